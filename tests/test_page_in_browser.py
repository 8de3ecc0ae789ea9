"""The interactive page of a graph in a headless Chromium without network; skipped where there is none."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browser
import numpy as np
import pytest
from test_page import INJECTIONS, contrast, data_of, flat_graph, measured, net_graph, step_graph, text_of
from test_viz import NASTY, Net, restless_steps

import autodiff as ad
from autodiff import nn
from autodiff.recording import record
from autodiff.thread_mode import MODE
from autodiff.viz import draw
from autodiff.viz.building import graph_of
from autodiff.viz.dot import PHASES, lines_of
from autodiff.viz.graph import MODULE, OPERATION, Graph
from autodiff.viz.page import page_of
from autodiff.viz.rendering import layout_with_pygraphviz

BUSY = "document.getElementById('stage').getAttribute('aria-busy')"
TITLE = "document.querySelector('#panel h2').textContent"
NODES = "[...document.querySelectorAll('#canvas .node')].map(node => node.dataset.id)"


class Opened:
    """A page in the browser."""

    def __init__(self, chromium: browser.Browser, folder: Path) -> None:
        self.chromium = chromium
        self.folder = folder

    def show(self, graph: Graph, title: str = "A graph", still: str = "digraph {a}") -> browser.Browser:
        """Open the page of a graph and wait for its first layout."""
        file = self.folder / "graph.html"
        file.write_text(text_of(graph, title, still), encoding="utf-8")
        self.chromium.open(file)
        self.chromium.wait(f"{BUSY} === 'false'")
        return self.chromium


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Browser]:
    if browser.program() is None:
        pytest.skip("there is no Chromium")
    chromium = browser.Browser(tmp_path_factory.mktemp("profile"))
    yield chromium
    chromium.close()


@pytest.fixture
def opened(chromium: browser.Browser, tmp_path: Path) -> Opened:
    return Opened(chromium, tmp_path)


def settle(chromium: browser.Browser) -> None:
    chromium.wait(f"{BUSY} === 'false'")


def choose(chromium: browser.Browser, overlay: str) -> None:
    """Colour by a measure."""
    chromium.run(f"document.getElementById('overlay').value = '{overlay}';"
                 "document.getElementById('overlay').dispatchEvent(new Event('change'))")


def select(chromium: browser.Browser, text: str) -> None:
    """Go to what a search finds first."""
    chromium.press("/")
    chromium.call("Input.insertText", text=text)
    chromium.press("Enter")
    settle(chromium)
    chromium.run("document.getElementById('search').value = ''")


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
    opened.chromium.open(Path(picture.write_page(opened.folder / "step.html")))
    opened.chromium.wait(f"{BUSY} === 'false'")
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
        ends = frozenset((end.phase, end.title) for end in (edge.tail, edge.head) if end.kind in (OPERATION, MODULE))
        if len(ends) == 2 and any(end.kind == MODULE and end.records > 1 for end in (edge.tail, edge.head)):
            still[ends, edge.values] += 1
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


def test_play_forwards_and_in_reverse(opened: Opened) -> None:
    graph = net_graph()
    count = sum(node.kind == OPERATION for node in graph.nodes)
    chromium = opened.show(graph)
    waiting = "document.querySelectorAll('#canvas .node.waiting').length"
    values = "document.querySelectorAll('#canvas .statistic:not(.gradient)').length"
    gradients = "document.querySelectorAll('#canvas .statistic.gradient').length"
    assert chromium.run(waiting) == 0
    chromium.press(".")
    assert chromium.run(waiting) > 0
    assert [chromium.run(values), chromium.run(gradients)] == [1, 0]
    assert chromium.run("document.getElementById('played').textContent") == f"1 of {2 * count} · linear · norm 1"
    chromium.press(".", ".", ",")
    assert chromium.run(values) == 2
    for _ in range(count - 1):
        chromium.click("#next")
    assert [chromium.run(waiting), chromium.run(values), chromium.run(gradients)] == [0, count, 1]
    assert "gradient 1.00e-8" in chromium.run("document.getElementById('played').textContent")
    chromium.press("End")
    assert chromium.run(gradients) == count
    chromium.press("Escape")
    assert [chromium.run(waiting), chromium.run(values)] == [0, 0]
    chromium.press("Home", " ")
    chromium.wait(f"{values} > 1")
    chromium.press(" ")
    assert chromium.run("document.getElementById('play').textContent") == "Play"
    assert chromium.complaints() == []


def test_what_is_played_is_what_was_computed(opened: Opened) -> None:
    """Both ways through a small perceptron; the numbers come from formulas."""
    ad.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).to(ad.float64)
    x = ad.randn(5, 3, dtype=ad.float64)
    w1, b1, w2, b2 = (parameter.detach().numpy() for parameter in model.parameters())
    inputs = x.numpy()
    hidden = inputs @ w1.T + b1
    active = np.tanh(hidden)
    outputs = active @ w2.T + b2
    d_outputs = np.ones_like(outputs)
    d_active = d_outputs @ w2
    d_hidden = d_active * (1 - active**2)
    picture = draw(model, x, backward=True, overlay="values")
    file = opened.folder / "played.html"
    picture.write_page(file)
    opened.chromium.open(file)
    chromium = opened.chromium
    settle(chromium)

    def norm_of(numbers: Any) -> str:
        return f"{float(f'{np.linalg.norm(numbers):.3g}'):g}"

    shown = """[...document.querySelectorAll('#canvas .node')].map(node => [node.dataset.id,
      ...[...node.querySelectorAll('.statistic')].map(text => text.textContent)]).filter(texts => texts.length > 1)"""
    played = "document.getElementById('played').textContent"
    chromium.press("Home")
    seen = [(chromium.run(played), chromium.run(shown))]
    last = int(chromium.run("document.getElementById('step').max"))
    for _ in range(last - 1):
        chromium.press(".")
        seen.append((chromium.run(played), chromium.run(shown)))
    forward = [("linear", hidden), ("tanh", active), ("linear", outputs), ("sum", outputs.sum())]
    for number, (name, values) in enumerate(forward, 1):
        assert seen[number - 1][0] == f"{number} of {last} · {name} · norm {norm_of(values)}"
    nodes = {node.id: node for node in picture.expanded().nodes}
    final = {(node.place or node.parent.title, node.title): texts
             for id, *texts in seen[-1][1] if (node := nodes[id]).phase == "forward"}
    for name, values, gradient in (
        (("0", "linear"), hidden, d_hidden), (("1", "tanh"), active, d_active), (("2", "linear"), outputs, d_outputs),
        (("2", "weight"), w2, d_outputs.T @ active), (("2", "bias"), b2, d_outputs.sum(0)),
    ):
        assert final[name] == [norm_of(values), f"∇ {norm_of(gradient)}"], name
    # The way back shows the same, step by step.
    for expected in reversed(seen[:-1]):
        chromium.press(",")
        assert (chromium.run(played), chromium.run(shown)) == expected
    # And each number in the panel.
    node = next(node for node in nodes.values() if node.title == "tanh")
    chromium.press("Escape")
    chromium.click(f"[data-id={node.id}]")
    rows = dict(chromium.run("[...document.querySelectorAll('#panel .scroll tr')].slice(1).map(row => "
                             "[row.cells[0].textContent, [...row.cells].slice(1).map(cell => cell.textContent)])"))
    for name, measure in (("norm", np.linalg.norm), ("largest", lambda a: np.abs(a).max()), ("mean", np.mean),
                          ("deviation", np.std)):
        for cell, numbers in zip(rows[name], (active, d_active)):
            assert float(cell) == pytest.approx(measure(numbers), rel=6e-3), name


def test_gradients_appear_while_the_backward_pass_runs(opened: Opened) -> None:
    graph = draw(Net(), ad.ones(2, 3), backward=True, overlay="values").expanded()
    forward = [node for node in graph.nodes if node.kind == OPERATION and node.phase == "forward"]
    last = max(node.order for node in forward)
    assert all(node.gradient_order > last for node in forward if any(node.gradients))
    chromium = opened.show(graph)
    gradients = "document.querySelectorAll('#canvas .statistic.gradient').length"
    chromium.press(*["."] * (last + 1))
    assert chromium.run(gradients) == 0
    chromium.press(".")
    seen = [chromium.run(gradients)]
    while chromium.run("document.getElementById('step').value < document.getElementById('step').max * 1"):
        chromium.press(".")
        seen.append(chromium.run(gradients))
    assert seen == sorted(seen)
    assert seen[-1] == sum(bool(node.gradients and node.gradients[0]) for node in graph.nodes)


def test_what_is_not_finite_is_the_greatest(opened: Opened) -> None:
    graph = net_graph()
    nan, infinite, *_ = [node for node in graph.nodes if node.kind == OPERATION]
    nan.values[0] |= {"norm": 0.0, "nans": 1.0}
    infinite.values[0] |= {"norm": float("inf")}
    chromium = opened.show(graph)
    choose(chromium, "values")
    levels = "['" + "', '".join([nan.id, infinite.id]) + "'].map(id => document.querySelector(`[data-id=${id}]`)"
    assert chromium.run(levels + ".classList.contains('level6'))") == [True, True]
    ranked = "[...document.querySelectorAll('#panel h3:last-of-type + table td')].map(cell => cell.textContent)"
    assert chromium.run(ranked)[:2] == ["NaN", "∞"]
    for _ in range(3):
        chromium.click("#fewer")
        settle(chromium)
    folded = "[...document.querySelectorAll('#canvas .node[data-id^=cluster].level6')].length"
    assert chromium.run(folded) > 0


def test_colors_by_a_measure(opened: Opened) -> None:
    graph = net_graph()
    chromium = opened.show(graph)
    names = "[...document.querySelectorAll('#overlay option')].map(option => option.value)"
    assert chromium.run(names) == ["", "seconds", "flops", "bytes", "roofline", "gradient", "values", "zeros"]
    choose(chromium, "seconds")
    last = [node.id for node in graph.nodes if node.kind == OPERATION][-1]
    assert chromium.run(f"document.querySelector('[data-id={last}]').classList.contains('level6')")
    assert chromium.run("document.getElementById('legend').innerText").split("\n") == ["Time", "0 s", "9 µs"]
    assert "Greatest: time" in chromium.run("document.getElementById('panel').textContent")
    choose(chromium, "gradient")
    assert chromium.run("document.getElementById('legend').innerText").split("\n")[1:] == ["1.00e-8", "1"]
    choose(chromium, "")
    assert chromium.run("document.querySelectorAll('#canvas [class*=level], #legend [class*=level]').length") == 0


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


def test_the_overhead_of_a_call_is_shown(opened: Opened) -> None:
    graph = net_graph()
    graph.overhead = 15e-6
    chromium = opened.show(graph)
    measured_rows = "[...document.querySelectorAll('#panel tr')].map(row => row.innerText.replace(/\\s+/g, ' '))"
    assert chromium.run(measured_rows)[:3] == ["Time 45 µs", "Call overhead 15 µs", "Time of a call 60 µs"]
    choose(chromium, "seconds")
    shown = chromium.run("document.getElementById('legend').innerText").split("\n")
    assert shown == ["Time", "0 s", "9 µs", "call overhead 15 µs"]


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
    assert chromium.run(count) == "3 differences"
    seen = []
    for key in ("n", "n", "n", "p"):
        chromium.press(key)
        settle(chromium)
        seen.append(chromium.run(count))
        assert chromium.run(TITLE) in ("sigmoid", "linear")
    assert seen == [f"Difference {i} of 3" for i in (1, 2, 3, 2)]
    assert chromium.complaints() == []


def test_a_page_without_a_comparison_has_no_differences(opened: Opened) -> None:
    chromium = opened.show(net_graph())
    assert chromium.run("document.getElementById('differences').hidden")
    chromium.press("n")
    assert chromium.run(TITLE) == "A graph"


def test_a_page_opens_coloured(opened: Opened) -> None:
    file = opened.folder / "coloured.html"
    file.write_text(page_of(net_graph(), "digraph {a}", "", "seconds"), encoding="utf-8")
    opened.chromium.open(file)
    settle(opened.chromium)
    assert opened.chromium.run("document.getElementById('overlay').value") == "seconds"
    assert opened.chromium.run("document.querySelectorAll('#canvas [class*=level]').length") > 5


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

    graph = measured(graph_of(record(compute, ad.ones(1))))
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
