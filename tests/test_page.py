"""The interactive page of a graph: what stands in the file."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from drawn import NASTY, Net, training_step

import autodiff as ad
from autodiff.nn.module import Parameter
from autodiff.program import Program
from autodiff.recording import record
from autodiff.viz import draw, page
from autodiff.viz.building import graph_of
from autodiff.viz.colors import dark, dark_rules
from autodiff.viz.dot import lines_of
from autodiff.viz.graph import OPERATION, Graph

INJECTIONS = [
    "</script><script>window.hacked = 1</script>", '"><img src=x onerror="window.hacked = 1">', "<!--<script>",
    "</noscript><script>window.hacked = 1</script>", "line\u2028paragraph\u2029", "${window.hacked = 1}", "$style",
    "]]><svg onload='window.hacked = 1'>", "</title><base href='https://example.org'>", "'); window.hacked = 1; ('",
]


def measured(program: Program) -> Graph:
    """Return the graph of a program with numbers such as measuring would find."""
    program.columns["seconds"] = [(i + 1) * 1e-6 for i in range(len(program))]
    graph = graph_of(program)
    operations = [node for node in graph.nodes if node.kind == OPERATION]
    for i, node in enumerate(operations):
        node.measures = {"seconds": program.columns["seconds"][i], "flops": 2.0 * i, "bytes": 1e3, "roofline": 0.5}
        node.values = [{"norm": float(i + 1), "largest": 1.0, "zeros": 0.25, "nans": 0.0} for _ in node.specs]
        node.gradients = [{"norm": 10.0 ** -i} for _ in node.specs] if node.phase == "forward" else []
        node.file, node.line = "model.py", 7
        node.source = [(6, "def forward(self, x):"), (7, "    return x < 1 & '</script>'"), (8, "")]
    return graph


def net_graph() -> Graph:
    return measured(record(Net(), ad.ones(2, 3)))


def step_graph() -> Graph:
    return measured(record(training_step, Net(), ad.ones(2, 3)))


def flat_graph(operations: int) -> Graph:
    def compute(x: Any) -> Any:
        for _ in range(operations):
            x = x * x
        return x

    return graph_of(record(compute, ad.ones(1)))


def text_of(graph: Graph, title: str = "A graph", still: str = "digraph {a}") -> str:
    return page.page_of(graph, still, title)


def block(text: str, name: str) -> bytes:
    """Return what is packed into a page under a name."""
    found = re.search(f'<script type="text/plain" id="{name}">([^<]*)</script>', text)
    assert found is not None
    return gzip.decompress(base64.b64decode(found[1]))


def data_of(text: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(block(text, "data"))
    return data


# ---- The file --------------------------------------------------------------------------------------------------------


def test_the_page_says_where_numbers_go_bad() -> None:
    program = ad.measure(lambda x: (x.log() * x).sum(), ad.tensor([0.0, 1.0]))
    assert draw(program).graph.remarks == []  # without an overlay the still picture shows no numbers
    assert data_of(text_of(draw(program).graph))["remarks"] == ["NaN, first in mul", "infinity before it, first in log"]


def test_the_page_has_every_node_and_edge() -> None:
    graph = step_graph()
    data = data_of(text_of(graph))
    assert [node["id"] for node in data["nodes"]] == [node.id for node in graph.nodes]
    assert Counter((edge[0], edge[1]) for edge in data["edges"]) == Counter(
        (edge.tail.id, edge.head.id) for edge in graph.edges)
    homes = {node["id"]: node["parent"] for node in data["nodes"]}
    assert homes == {node.id: node.parent.id for node in graph.nodes}
    assert [node["order"] for node in data["nodes"] if node["kind"] == "operation"] == list(
        range(sum(node.kind == OPERATION for node in graph.nodes)))


def test_the_boxes_are_those_of_the_picture() -> None:
    graph = step_graph()
    statements = {line.strip() for line in lines_of(graph)}
    assert {node["statement"] for node in data_of(text_of(graph))["nodes"]} <= statements


def test_a_group_adds_up_what_it_holds() -> None:
    graph = net_graph()
    data = data_of(text_of(graph))
    groups = {group["id"]: group for group in data["groups"]}
    root = groups["root"]["measures"]
    assert root["seconds"] == pytest.approx(sum(node.measures["seconds"] for node in graph.nodes if node.measures))
    assert root["roofline"] == pytest.approx(0.5)
    net = next(group for group in data["groups"] if group["title"] == "Net")
    assert "9 operations" in net["statement"]
    assert "10 parameters, 56 elements" in net["statement"]
    assert "2×2 float32" in net["statement"]


def test_a_parameter_with_many_readers_counts_once() -> None:
    weight = Parameter(ad.ones(3))

    def compute(x: Any) -> Any:
        for _ in range(20):
            x = x * weight
        return x

    data = data_of(text_of(graph_of(record(compute, ad.ones(3)))))
    assert sum(node["kind"] == "parameter" for node in data["nodes"]) >= 1
    assert "1 parameter, 3 elements" in data["groups"][1]["statement"]


def test_a_comparison_shows_what_changed() -> None:
    picture = draw(lambda x: x.tanh() * 2 + x, ad.ones(2), against=lambda x: x.exp() * 2 + x)
    data = data_of(text_of(picture.expanded()))
    changes = {node["title"]: node["statement"] for node in data["nodes"] if node["kind"] == "operation"}
    assert "+ tanh" in changes["tanh"]
    assert "− exp" in changes["exp"]
    assert "removed" in {edge[3] for edge in data["edges"]}
    assert "± " in data["groups"][1]["statement"]


def test_the_same_graph_has_the_same_page() -> None:
    assert text_of(net_graph()) == text_of(net_graph())


def test_numbers_that_json_does_not_know() -> None:
    graph = net_graph()
    first = next(node for node in graph.nodes if node.kind == OPERATION)
    first.values = [{"norm": float("nan"), "largest": float("inf"), "mean": float("-inf")}]
    data = block(text_of(graph), "data").decode()
    json.loads(data, parse_constant=pytest.fail)
    assert '{"norm": "NaN", "largest": "Infinity", "mean": "-Infinity"}' in data


def test_one_script_and_nothing_from_elsewhere() -> None:
    text = text_of(net_graph())
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    policy = re.search('http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert policy[1].startswith(f"default-src 'none'; script-src 'sha256-{digest}' 'wasm-unsafe-eval';")
    shown = re.sub(r"<pre>.*?</pre>", "", text, flags=re.DOTALL)  # the licences
    assert not re.findall(r"""(?:src|href|action)=["'](?!#)|url\(|@import|\bimport\(|\bfetch\(|XMLHttp""", shown)
    assert "Eclipse Public License - v 2.0" in text


@pytest.mark.parametrize("name", [*NASTY, *INJECTIONS])
def test_a_name_changes_nothing_but_itself(name: str) -> None:
    def tags(text: str) -> list[str]:
        return re.findall(r"<[a-zA-Z!/][^>]*", text)

    def page_named(name: str) -> str:
        graph = net_graph()
        for node in graph.nodes:
            node.title, node.file, node.source = name, name, [(7, name)]
        return text_of(graph, name, "digraph {a}")

    plain, nasty = (re.sub(r'<script type="text/plain".*', "", page_named(each)) for each in ("plain", name))
    assert tags(nasty) == tags(plain)
    nasty.encode()


def test_large_groups_become_bundles() -> None:
    graph = flat_graph(5000)
    data = data_of(text_of(graph))
    groups = {group["id"]: group for group in data["groups"]}
    members = Counter(member for group in data["groups"] for member in group["members"])
    assert set(members.values()) == {1}
    assert {node.id for node in graph.nodes} <= set(members)
    assert max(len(group["members"]) for group in data["groups"]) <= 64
    assert sum(group["bundle"] for group in data["groups"]) > 100
    for group in data["groups"]:
        assert all(groups[member]["parent"] == group["id"] for member in group["members"] if member in groups)
    order = {node["id"]: node["order"] for node in data["nodes"]}
    for group in data["groups"]:
        places = [order[member] for member in group["members"] if order.get(member, -1) >= 0]
        assert places == list(range(min(places, default=0), max(places, default=-1) + 1))


def test_leaves_do_not_count_in_bundles() -> None:
    """Each operation reads copies of two leaves: a bundle has 32 operations, and its arrows lead onwards."""
    scale, shift = ad.ones(3), ad.ones(3)

    def compute(x: Any) -> Any:
        for _ in range(1000):
            x = x * scale + shift
        return x

    program = record(compute, ad.ones(3))
    program.title = "many"
    data = data_of(text_of(draw(program, depth=5).graph))
    bundles = [group for group in data["groups"] if group["bundle"]]
    assert all(re.fullmatch("operations [\\d,]+ – [\\d,]+", group["title"]) for group in bundles)
    assert "operations 1 – 32" in {group["title"] for group in bundles}
    assert any("16 mul · 16 add" in group["statement"] for group in bundles)
    kinds = {node["id"]: node["kind"] for node in data["nodes"]}
    counts = Counter(sum(kinds.get(member) == "operation" for member in group["members"]) for group in bundles)
    assert counts[32] == 2000 // 32
    place = {member: number for number, group in enumerate(bundles) for member in group["members"] if member in kinds}
    for tail, head, *_ in data["edges"]:
        assert place.get(tail, -1) <= place.get(head, len(bundles)), (tail, head)
    # What is read first by the operation in the middle of a bundle stands there, too.
    assert {place[node] for node, kind in kinds.items() if kind == "constant"} == set(place.values())


def test_the_overhead_of_a_call_is_known() -> None:
    graph = net_graph()
    assert data_of(text_of(graph))["overhead"] is None
    graph.overhead = 2e-6
    assert data_of(text_of(graph))["overhead"] == 2e-6


def test_every_color_has_a_dark_counterpart() -> None:
    graph = step_graph()
    text = text_of(graph)
    for color in set(re.findall(r"#[0-9a-f]{6}\b", json.dumps(data_of(text)))):
        assert f'svg [fill="{color}"]' in text
    assert "#0072b2" in dark_rules('"#0072B2"')
    for light in ("#d6e8f5", "#fbe0d0", "#d2efe5", "#fff3c4", "#ffffff", "#d9c0ec"):
        assert contrast(dark(light), dark("#000000")) > 7
        assert contrast(dark(light), dark("#333333")) > 4.5


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours (Web Content Accessibility Guidelines 2.2, relative luminance)."""
    def luminance(color: str) -> float:
        parts = [int(color[i:i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def test_without_graphviz_the_page_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pygraphviz", None)
    monkeypatch.setenv("PATH", "")
    text = text_of(net_graph())
    assert "There is no still picture: " in text
    assert "`dot`" in text
    assert "pygraphviz" in text
    assert "test_page.py" not in text  # whoever reads the page has not written that line
    assert b"Graphviz" in block(text, "layout")


def test_a_still_picture_of_too_much_is_left_out() -> None:
    graph = flat_graph(2000)
    text = page.page_of(graph, "".join(lines_of(graph)), "")
    assert f"There is no still picture of this graph: it would have {len(graph.nodes):,} boxes." in text


def test_a_picture_writes_its_page(tmp_path: Path) -> None:
    file = tmp_path / "new" / "graph.html"
    assert draw(Net(), ad.ones(2, 3), depth=1).write_page(file) == str(file)
    data = data_of(file.read_text(encoding="utf-8"))
    assert data["title"] == "Net"
    assert sum(node["kind"] == "operation" for node in data["nodes"]) == 9
