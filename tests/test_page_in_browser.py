"""The interactive page of a graph in a headless Chromium without network; skipped where there is none."""

from __future__ import annotations

import html
import re
from collections import Counter
from typing import Any

import pytest
from drawn import NASTY
from opened import NODES, TITLE, Opened, choose, select, settle
from test_lanes import restless_steps
from test_page import INJECTIONS, contrast, data_of, flat_graph, measured, net_graph, step_graph, text_of

import autodiff as ad
from autodiff import nn
from autodiff.recording import record
from autodiff.thread_mode import MODE
from autodiff.viz import draw
from autodiff.viz.building import graph_of
from autodiff.viz.dot import PHASES, lines_of
from autodiff.viz.graph import MODULE, OPERATION
from autodiff.viz.rendering import layout_with_pygraphviz


def test_opens_without_network_and_without_complaint(opened: Opened) -> None:
    graph = step_graph()
    chromium = opened.show(graph)
    assert chromium.complaints() == []
    assert {address.split(":")[0] for address in chromium.addresses()} == {"file", "blob"}
    assert chromium.run("document.title") == "A graph"
    assert chromium.run("document.querySelectorAll('#canvas svg').length") == 1


def test_all_open_it_shows_the_graph(opened: Opened) -> None:
    graph = step_graph()
    chromium = opened.show(graph)
    assert Counter(chromium.run(NODES)) == Counter(node.id for node in graph.nodes)
    edges = chromium.run("document.querySelectorAll('#canvas .edge').length")
    assert edges == len(graph.edges)
    areas = chromium.run("[...document.querySelectorAll('#canvas .cluster text')].map(text => text.textContent)")
    assert areas[:3] == ["▾ forward", "▾ Net", "▾ block1 (Block)"]
    lanes = chromium.run("['cluster_0', ...[...document.querySelectorAll('#canvas .cluster')].map(x => x.dataset.id)"
                         ".filter(id => /backward|update/.test(document.querySelector(`[data-id=${id}] text`)"
                         ".textContent))].map(id => document.querySelector(`[data-id=${id}]`).getBBox().x)")
    assert lanes == sorted(lanes)
    assert len(lanes) == 3


@pytest.mark.parametrize(("name", "depth"), [("tower", 1), ("tower", 2), ("lstm", None)])
def test_phases_stand_in_the_order_they_ran(opened: Opened, name: str, depth: int | None) -> None:
    picture = draw(restless_steps()[name], depth=depth)
    opened.show_page_of(picture)
    lanes = [[f"[data-id={lane.id}]", lane.title] for lane in picture.expanded().root.members]
    places = [opened.chromium.run(f"document.querySelector('{lane}').getBBox().x") for lane, _ in lanes]
    assert [title for _, title in lanes] == list(PHASES)
    assert places == sorted(places)


def test_fold_and_open(opened: Opened) -> None:
    graph = net_graph()
    chromium = opened.show(graph)
    whole = set(chromium.run(NODES))
    chromium.click("#fewer")
    settle(chromium)
    folded = set(chromium.run(NODES))
    assert {node for node in folded if node.startswith("cluster")} == {
        "cluster_3", "cluster_4", "cluster_6", "cluster_7"}
    assert folded < whole | {f"cluster_{i}" for i in range(10)}
    chromium.click("[data-id=cluster_3]", clicks=2)
    settle(chromium)
    assert "cluster_3" not in chromium.run(NODES)
    assert chromium.run(TITLE) == "first"
    chromium.click("#panel button")  # "Fold"
    settle(chromium)
    assert "cluster_3" in chromium.run(NODES)
    chromium.click("#more")
    settle(chromium)
    assert set(chromium.run(NODES)) == whole
    assert chromium.run("document.getElementById('more').disabled")
    assert chromium.complaints() == []


def test_folding_leads_edges_and_counts_values(opened: Opened) -> None:
    chromium = opened.show(step_graph())
    for _ in range(4):
        chromium.click("#fewer")
        settle(chromium)
    lanes = chromium.run(NODES)
    assert "cluster_0" in lanes
    labels = chromium.run("[...document.querySelectorAll('#canvas .edge text')].map(text => text.textContent)")
    assert any(re.fullmatch(r"\d+×", label) for label in labels)


class Mixed(nn.Module):
    """A block whose operations have several outputs, and one that reads its input twice."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.wide = nn.Linear(4, 8)

    def forward(self, x: Any) -> Any:
        left, right = self.wide(self.norm(x * x)).chunk(2, 1)
        return x + left.tanh() * right.relu()


ARROWS = """
[...document.querySelectorAll('#canvas .edge')].map(edge => [...edge.dataset.id.split('->'),
  parseInt(edge.querySelector('text')?.textContent ?? '1')])
"""


@pytest.mark.parametrize("roll", [False, True])
@pytest.mark.parametrize("depth", [0, 1])
def test_arrows_carry_as_many_values_as_in_the_still_picture(opened: Opened, depth: int, roll: bool) -> None:
    model = nn.Sequential(Mixed(), Mixed(), nn.Sequential(Mixed(), Mixed(), nn.Linear(4, 4)))
    picture = draw(model, ad.randn(3, 4), backward=True, depth=depth, roll=roll)
    still = Counter[tuple[frozenset[tuple[str, str]], int]]()
    for edge in picture.graph.edges:
        pair = (edge.tail, edge.head)
        is_folded = any(end.kind == MODULE and end.records > 1 for end in pair)
        if is_folded and all(end.kind in (OPERATION, MODULE) for end in pair):
            still[frozenset((end.phase, end.title) for end in pair), edge.values] += 1
    file = opened.folder / "arrows.html"
    picture.write_page(file)
    opened.chromium.open(file)
    settle(opened.chromium)
    data = data_of(file.read_text(encoding="utf-8"))
    boxes = {member["id"]: member for member in [*data["groups"], *data["nodes"]]}
    shown = Counter[tuple[frozenset[tuple[str, str]], int]]()
    for tail, head, values in opened.chromium.run(ARROWS):
        ends = [boxes[tail], boxes[head]]
        if all(end["kind"] in (OPERATION, MODULE) for end in ends) and any(end["kind"] == MODULE for end in ends):
            shown[frozenset((end["phase"], end["title"]) for end in ends), values] += 1
    assert shown == still
    assert max(values for _, values in shown) > 6


def test_search_finds_and_reveals(opened: Opened) -> None:
    chromium = opened.show(net_graph())
    for _ in range(3):
        chromium.click("#fewer")
        settle(chromium)
    assert len(chromium.run(NODES)) < 6
    chromium.press("/")
    chromium.call("Input.insertText", text="block2 tanh")
    assert chromium.run("[...document.querySelectorAll('#found li')].map(x => x.firstChild.textContent)") == [
        "Net.block2.tanh"]
    chromium.press("Enter")
    settle(chromium)
    assert chromium.run(TITLE) == "tanh"
    assert chromium.run("document.querySelectorAll('#canvas .node.selected').length") == 1
    chromium.press("/")
    chromium.call("Input.insertText", text=" nowhere")
    assert chromium.run("document.getElementById('found').textContent") == "nothing found"
    chromium.press("Escape")


def test_a_click_shows_what_a_node_is(opened: Opened) -> None:
    graph = net_graph()
    chromium = opened.show(graph)
    node = next(node for node in graph.nodes if node.title == "tanh")
    chromium.click(f"[data-id={node.id}]")
    assert chromium.run(TITLE) == "tanh"
    panel = chromium.run("document.getElementById('panel').textContent")
    for text in ("Net.block1.tanh", "2×3 float32", "2 µs", "model.py:7", "return x < 1 & '</script>'", "norm",
                 "gradient", "25%", "Reads", "Is read by"):
        assert text in panel, text
    assert chromium.run("document.querySelector('#panel .source .here').textContent").startswith("7")
    links = chromium.run("[...document.querySelectorAll('#panel .link')].map(link => link.textContent)")
    assert links == ["Net.block1.first.linear", "Net.block1.second.linear"]
    chromium.run("document.querySelector('#panel .link').click()")
    assert chromium.run(TITLE) == "linear"
    chromium.press("Escape")
    assert chromium.run(TITLE) == "A graph"


def test_the_legend_says_what_colours_mean_and_covers_nothing(opened: Opened) -> None:
    chromium = opened.show(step_graph())
    keys = "[...document.querySelectorAll('#legend .key')].map(key => key.textContent)"
    assert chromium.run(keys) == ["forward", "backward", "update", "input, output", "parameter", "saved for backward"]
    for overlay in ("", "seconds"):
        choose(chromium, overlay)
        stage, legend = (chromium.run(f"document.getElementById('{name}').getBoundingClientRect().toJSON()")
                         for name in ("stage", "legend"))
        assert stage["bottom"] <= legend["top"]
        assert legend["height"] < 50
    chromium.click("#fit")
    boxes = chromium.run("[...document.querySelectorAll('#canvas .node')].map(x => x.getBoundingClientRect().bottom)")
    assert max(boxes) <= stage["bottom"]


def test_equal_blocks_are_rolled_up(opened: Opened) -> None:
    model = nn.Sequential(*[nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)) for _ in range(5)])
    picture = draw(model, ad.randn(3, 4), roll=True)
    file = opened.folder / "rolled.html"
    picture.write_page(file)
    data = data_of(file.read_text(encoding="utf-8"))
    assert sum(node["kind"] == OPERATION for node in data["nodes"]) == 3
    rolled = next(group for group in data["groups"] if group["copies"] == 5)
    assert "15 operations in all" in rolled["statement"]
    assert "20 parameters, 200 elements" in rolled["statement"]
    opened.chromium.open(file)
    settle(opened.chromium)
    areas = opened.chromium.run("[...document.querySelectorAll('#canvas .cluster text')].map(text => text.textContent)")
    assert areas == ["▾ Sequential", "▾ Sequential × 5", "▾ 0 (Linear)", "▾ 2 (Linear)"]
    select(opened.chromium, "relu")
    assert "Stands for 5 equal ones." in opened.chromium.run("document.getElementById('panel').textContent")
    assert opened.chromium.complaints() == []


@pytest.mark.parametrize("operations", [5, 60])
def test_printed_it_is_the_graph_alone(opened: Opened, operations: int) -> None:
    chromium = opened.show(flat_graph(operations), "On paper")
    paper = chromium.printed()
    assert len(re.findall(rb"/Type /Page\b", paper)) == 1
    chromium.call("Emulation.setEmulatedMedia", media="print")
    try:
        hidden = "[...document.querySelectorAll('{}')].every(x => getComputedStyle(x).display === 'none')"
        assert chromium.run(hidden.format("#panel, footer, .buttons, .search"))
        assert not chromium.run(hidden.format("#canvas svg, h1"))
    finally:
        chromium.call("Emulation.setEmulatedMedia", media="")
    transform = "document.querySelector('#canvas svg > g').hasAttribute('transform')"
    assert chromium.run(transform)  # afterwards the picture is as it was


def test_the_differences_of_a_comparison(opened: Opened) -> None:
    def net(act: Any) -> Any:
        layers = [nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), act)) for _ in range(2)]
        return nn.Sequential(nn.Sequential(nn.Linear(4, 4), nn.Tanh()), *layers)

    graph = draw(net(nn.ReLU()), ad.ones(2, 4), against=net(nn.Sigmoid())).expanded()
    chromium = opened.show(graph)
    texts = "[...document.querySelectorAll('#canvas .node[data-id^=cluster] text')].map(text => text.textContent)"
    folded = chromium.run(texts)
    assert folded[:2] == ["▸ 0", "Sequential"]
    assert chromium.run("document.querySelectorAll('#canvas .node[data-id^=cluster]').length") == 4
    shown = chromium.run("document.getElementById('legend').innerText").split("\n")
    assert {"same", "+ added", "− removed"} <= set(shown)
    count = "document.getElementById('difference').textContent"
    assert graph.remarks == ["2 added, 2 removed, 1 changed"]
    assert chromium.run(count) == "5 differences"
    seen = []
    for key in ("n", "n", "n", "p"):
        chromium.press(key)
        settle(chromium)
        seen.append(chromium.run(count))
        assert chromium.run(TITLE) in ("sigmoid", "linear")
    between = "Difference 3 of 5"
    assert seen == ["Differences 1 – 2 of 5", between, "Differences 4 – 5 of 5", between]
    assert chromium.complaints() == []


def test_a_page_without_a_comparison_has_no_differences(opened: Opened) -> None:
    chromium = opened.show(net_graph())
    assert chromium.run("document.getElementById('differences').hidden")
    chromium.press("n")
    assert chromium.run(TITLE) == "A graph"


def test_keys_alone(opened: Opened) -> None:
    chromium = opened.show(net_graph())
    chromium.run("document.getElementById('stage').focus()")
    chromium.press("ArrowDown")
    first = chromium.run(TITLE)
    seen = {first}
    for _ in range(12):
        chromium.press("ArrowDown")
        seen.add(chromium.run(TITLE))
    assert len(seen) > 3
    active = "document.getElementById('stage').getAttribute('aria-activedescendant')"
    assert chromium.run(f"document.getElementById({active}).classList.contains('selected')")
    select(chromium, "tanh")
    before = len(chromium.run(NODES))
    chromium.press("Backspace")
    settle(chromium)
    assert len(chromium.run(NODES)) < before
    assert chromium.run(TITLE) == "block1"
    chromium.press("Enter")
    settle(chromium)
    assert chromium.run("document.querySelector('#canvas .node[data-id=cluster_1]')") is None
    zoom = "document.querySelector('#canvas svg > g').getAttribute('transform')"
    places = [chromium.run(zoom)]
    for key in ("+", "-", "0"):
        chromium.press(key)
        places.append(chromium.run(zoom))
    assert len(set(places)) > 2
    chromium.press("?")
    assert chromium.run("document.getElementById('help').open")
    chromium.press("Escape")
    assert not chromium.run("document.getElementById('help').open")


def test_pan_and_zoom_with_the_mouse(opened: Opened) -> None:
    chromium = opened.show(net_graph())
    transform = "document.querySelector('#canvas svg > g').getAttribute('transform').match(/-?[\\d.]+/g).map(Number)"
    x, y, zoom = chromium.run(transform)
    chromium.mouse("mousePressed", 40, 200, clickCount=1)
    chromium.mouse("mouseMoved", 60, 230, buttons=1)
    chromium.mouse("mouseMoved", 140, 250, buttons=1)
    chromium.mouse("mouseReleased", 140, 250, clickCount=1)
    moved = chromium.run(transform)
    assert moved == pytest.approx([x + 100, y + 50, zoom])
    chromium.mouse("mouseWheel", 300, 300, deltaX=0, deltaY=-200, button="none")
    chromium.wait(f"{transform}[2] > {zoom}")
    after = chromium.run(transform)
    # What is under the pointer stays there; the stage begins below the header.
    top = chromium.run("document.getElementById('stage').getBoundingClientRect().top")
    for axis, point in enumerate((300, 300 - top)):
        assert (point - after[axis]) / after[2] == pytest.approx((point - moved[axis]) / moved[2], abs=0.01)


def test_no_name_becomes_a_script(opened: Opened) -> None:
    names = [*NASTY, *INJECTIONS]

    def compute(x: Any) -> Any:
        for _ in names:
            x = x * x
        return x

    graph = measured(record(compute, ad.ones(1)))
    named = dict(zip((node for node in graph.nodes if node.kind == OPERATION), names))
    for node, name in named.items():
        node.title = node.file = node.place = name
        node.details, node.tooltip, node.source = [name], [name], [(7, name)]
    graph.remarks += names
    chromium = opened.show(graph, "".join(names))
    for node, name in named.items():
        chromium.run(f"document.querySelector('[data-id={node.id}]').dispatchEvent(new MouseEvent('click', "
                     "{bubbles: true}))")
        assert chromium.run("document.querySelector('#panel .source .here').lastChild.data") == name
    assert chromium.run("window.hacked === undefined")
    assert chromium.run("document.querySelectorAll('#page img, #page script, #canvas script').length") == 0
    assert chromium.run("document.querySelectorAll('script').length") == 3
    assert chromium.complaints() == []


@pytest.mark.parametrize("name", ["back\\slash", r"\N\G\E\T\H\L", r"\n\l\r\\", "&amp; &#92; <b>"])
def test_names_are_shown_as_they_are(opened: Opened, name: str) -> None:
    graph = net_graph()
    node = next(node for node in graph.nodes if node.kind == OPERATION)
    node.title = node.parent.title = name
    chromium = opened.show(graph)
    assert chromium.run(f"document.querySelector('[data-id={node.id}] text').textContent") == name
    areas = "[...document.querySelectorAll('#canvas .cluster text')].map(text => text.textContent)"
    assert f"▾ {name} (Linear)" in chromium.run(areas)
    select(chromium, "tanh")
    chromium.click("#fewer")
    settle(chromium)
    boxes = "[...document.querySelectorAll('#canvas .node text')].map(text => text.textContent)"
    assert f"▸ {name}" in chromium.run(boxes)
    pytest.importorskip("pygraphviz")
    svg = layout_with_pygraphviz("digraph {" + "".join(lines_of(graph)) + "}", "svg").decode()
    assert f">{html.escape(name, quote=False)}</text>" in svg.replace("&#160;", " ")


def test_a_script_that_came_in_would_not_run(opened: Opened) -> None:
    """The policy of the page, not only the escaping, keeps other scripts from running."""
    chromium = opened.show(net_graph())
    chromium.run("document.body.append(Object.assign(document.createElement('script'), "
                 "{textContent: 'window.hacked = 1'}))")
    chromium.run("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hacked = 1\">')")
    assert chromium.run("window.hacked === undefined")
    assert chromium.run("fetch('https://example.org').then(() => 'came', () => 'forbidden')") == "forbidden"


def test_without_javascript_the_still_picture_stands(opened: Opened) -> None:
    pytest.importorskip("pygraphviz")
    graph = net_graph()
    file = opened.folder / "still.html"
    file.write_text(text_of(graph, "Still", "digraph {" + "".join(lines_of(graph)) + "}"), encoding="utf-8")
    chromium = opened.chromium
    chromium.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        chromium.open(file)
        root = chromium.call("DOM.getDocument")["root"]["nodeId"]
        found = chromium.call("DOM.querySelector", nodeId=root, selector=".static svg .node")["nodeId"]
        assert found
        assert chromium.call("DOM.getBoxModel", nodeId=found)["model"]["width"] > 10
        assert chromium.complaints() == []
    finally:
        chromium.call("Emulation.setScriptExecutionDisabled", value=False)


def test_where_the_layout_fails_the_still_picture_stands(opened: Opened) -> None:
    pytest.importorskip("pygraphviz")
    file = opened.folder / "old.html"
    file.write_text(text_of(net_graph()), encoding="utf-8")
    broken = opened.chromium.call("Page.addScriptToEvaluateOnNewDocument", source="delete window.Worker")
    try:
        opened.chromium.open(file)
        opened.chromium.wait("document.querySelector('#canvas .static svg') !== null")
        assert "cannot be laid out" in opened.chromium.run("document.getElementById('message').textContent")
    finally:
        opened.chromium.call("Page.removeScriptToEvaluateOnNewDocument", identifier=broken["identifier"])


def test_until_there_is_a_layout_the_still_picture_stands(opened: Opened) -> None:
    pytest.importorskip("pygraphviz")
    graph = net_graph()
    file = opened.folder / "early.html"
    file.write_text(text_of(graph, "Early", "digraph {" + "".join(lines_of(graph)) + "}"), encoding="utf-8")
    silent = "window.Worker = class extends EventTarget { postMessage() {} terminate() {} }"
    slow = opened.chromium.call("Page.addScriptToEvaluateOnNewDocument", source=silent)
    try:
        opened.chromium.open(file)
        opened.chromium.wait("document.querySelector('#canvas > svg .node') !== null")
    finally:
        opened.chromium.call("Page.removeScriptToEvaluateOnNewDocument", identifier=slow["identifier"])


def test_ten_thousand_nodes(opened: Opened) -> None:
    graph = flat_graph(10_000)
    chromium = opened.show(graph)
    assert len(chromium.run(NODES)) <= 150
    select(chromium, "mul output")
    chromium.press(".")
    settle(chromium)
    assert len(chromium.run(NODES)) <= 150
    assert chromium.complaints() == []


def test_deep_modules(opened: Opened) -> None:
    scope = MODE.scope

    def compute(x: Any) -> Any:
        for i in range(200):
            MODE.scope = ".".join(["m"] * (i + 1))
            x = x * x
        MODE.scope = scope
        return x

    chromium = opened.show(graph_of(record(compute, ad.ones(1))))
    assert len(chromium.run(NODES)) < 20
    chromium.press("/")
    chromium.call("Input.insertText", text="output")
    chromium.press("Enter")
    settle(chromium)
    assert chromium.run(TITLE) == "output"
    assert chromium.complaints() == []


def test_a_long_layout_can_be_cancelled(opened: Opened) -> None:
    chromium = opened.show(flat_graph(3000))
    before = chromium.run(NODES)
    for _ in range(2):
        chromium.run("document.getElementById('more').click()")
    chromium.wait("!document.getElementById('cancel').hidden && !document.getElementById('message').hidden")
    assert "Laying out 3,0" in chromium.run("document.getElementById('message').textContent")
    chromium.click("#cancel")
    settle(chromium)
    assert chromium.run(NODES) == before
    chromium.click("#canvas .node", clicks=2)
    settle(chromium)
    assert len(chromium.run(NODES)) > len(before)
    assert chromium.complaints() == []


COLORS = """
[...document.querySelectorAll('#canvas .node')].flatMap(node => {
  const area = node.querySelector('path, polygon');
  if (!area) return [];
  return [...node.querySelectorAll('text')].map(text => [getComputedStyle(area).fill, getComputedStyle(text).fill]);
})
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("overlay", ["", "seconds"])
def test_text_is_readable_in_the_light_and_in_the_dark(opened: Opened, scheme: str, overlay: str) -> None:
    def color(text: str) -> str:
        return "#" + "".join(f"{int(part):02x}" for part in re.findall(r"\d+", text)[:3])

    opened.chromium.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    try:
        chromium = opened.show(step_graph())
        choose(chromium, overlay)
        chromium.run("new Promise(resolve => setTimeout(resolve, 400))")  # colours change softly
        pairs = chromium.run(COLORS)
        assert len(pairs) > 50
        for ground, text in pairs:
            assert contrast(color(ground), color(text)) > 4.5, (ground, text)
        paper = color(chromium.run("getComputedStyle(document.body).backgroundColor"))
        assert (contrast(paper, "#000000") < 3) == (scheme == "dark")
        names = "[...document.querySelectorAll('#canvas .cluster text')].map(text => getComputedStyle(text).fill)"
        for name in set(chromium.run(names)):
            assert contrast(paper, color(name)) > 3.3, name  # large text
    finally:
        opened.chromium.call("Emulation.setEmulatedMedia", features=[])


def test_on_paper_there_is_the_graph_alone(opened: Opened) -> None:
    chromium = opened.show(net_graph())
    chromium.call("Emulation.setEmulatedMedia", media="print")
    try:
        for part in ("#panel", "footer", ".search"):
            assert chromium.run(f"getComputedStyle(document.querySelector('{part}')).display") == "none"
        assert len(chromium.call("Page.printToPDF")["data"]) > 10_000
    finally:
        chromium.call("Emulation.setEmulatedMedia", media="")
    assert "scale" in chromium.run("document.querySelector('#canvas svg > g').getAttribute('transform')")


def test_nothing_moves_for_those_who_want_that(opened: Opened) -> None:
    opened.chromium.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    try:
        chromium = opened.show(net_graph())
        assert chromium.run("getComputedStyle(document.querySelector('#canvas .node path')).transitionDuration") == "0s"
    finally:
        opened.chromium.call("Emulation.setEmulatedMedia", features=[])
