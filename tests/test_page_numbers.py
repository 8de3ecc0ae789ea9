"""Numbers on the page of a graph: what it is coloured by, and what appears while the program is played."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from drawn import Net, training_step
from opened import LEGEND, Opened, choose, settle
from test_page import net_graph

import autodiff as ad
from autodiff import nn
from autodiff.viz import draw
from autodiff.viz.graph import OPERATION
from autodiff.viz.overlay import OVERLAYS
from autodiff.viz.page import page_of


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
    assert chromium.run(names) == [
        "", "seconds", "flops", "bytes", "roofline", "gradient", "values", "largest", "zeros", "nans"]
    choose(chromium, "seconds")
    last = [node.id for node in graph.nodes if node.kind == OPERATION][-1]
    assert chromium.run(f"document.querySelector('[data-id={last}]').classList.contains('level6')")
    shown = chromium.run("document.getElementById('legend').innerText").split("\n")
    assert shown == ["Time", "0 s", "9 µs", "bold: the slowest path, 45 µs"]
    assert "Greatest: time" in chromium.run("document.getElementById('panel').textContent")
    choose(chromium, "gradient")
    assert chromium.run("document.getElementById('legend').innerText").split("\n")[1:] == ["1.00e-8", "1"]
    choose(chromium, "")
    assert chromium.run("document.querySelectorAll('#canvas [class*=level], #legend [class*=level]').length") == 0


def test_the_overhead_of_a_call_is_shown(opened: Opened) -> None:
    graph = net_graph()
    graph.overhead = 15e-6
    chromium = opened.show(graph)
    measured_rows = "[...document.querySelectorAll('#panel tr')].map(row => row.innerText.replace(/\\s+/g, ' '))"
    assert chromium.run(measured_rows)[:3] == ["Time 45 µs", "Call overhead 15 µs", "Time of a call 60 µs"]
    choose(chromium, "seconds")
    shown = chromium.run("document.getElementById('legend').innerText").split("\n")
    assert shown[:4] == ["Time", "0 s", "9 µs", "call overhead 15 µs"]


def test_a_page_opens_coloured(opened: Opened) -> None:
    file = opened.folder / "coloured.html"
    file.write_text(page_of(net_graph(), "digraph {a}", "", "seconds"), encoding="utf-8")
    opened.chromium.open(file)
    settle(opened.chromium)
    assert opened.chromium.run("document.getElementById('overlay').value") == "seconds"
    assert opened.chromium.run("document.querySelectorAll('#canvas [class*=level]').length") > 5


BOLD = "[...document.querySelectorAll('#canvas .{}.bold')].map(x => x.dataset.id)"


def test_the_slowest_path_is_bold_where_the_page_says_so(opened: Opened) -> None:
    program = ad.record(lambda x: x.exp().sum() + x.tanh().sum(), ad.ones(3))
    program.columns["seconds"] = [1e-3, 2e-3, 5e-3, 1e-3, 1e-3]
    picture = draw(program, overlay="seconds")
    chromium = opened.show_page_of(picture)
    slow = [edge for edge in picture.graph.edges if edge.slow]
    assert {node.title for edge in slow for node in (edge.tail, edge.head)} == {"tanh", "sum", "add"}
    assert set(chromium.run(BOLD.format("edge"))) == {f"{edge.tail.id}->{edge.head.id}" for edge in slow}
    assert set(chromium.run(BOLD.format("node"))) == {"r2", "r3", "r4"}
    width = "parseFloat(getComputedStyle(document.querySelector('{}')).strokeWidth)"
    assert chromium.run(width.format("#canvas .edge.bold path")) > 2 * chromium.run(
        width.format("#canvas .edge:not(.bold) path"))
    assert "bold: the slowest path, 7 ms" in chromium.run(LEGEND)
    for other in ("flops", ""):
        choose(chromium, other)
        assert chromium.run(BOLD.format("edge")) == chromium.run(BOLD.format("node")) == []
        assert "bold" not in chromium.run("document.body.innerText")


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_the_slowest_path_is_that_of_the_still_picture(opened: Opened, depth: int) -> None:
    program = ad.record(training_step, Net(), ad.ones(2, 3))
    pick = random.Random(1)
    program.columns["seconds"] = [pick.random() for _ in program]
    picture = draw(program, overlay="seconds", depth=depth)
    chromium = opened.show_page_of(picture)
    assert picture.graph.caption[-1] in chromium.run(LEGEND)
    bold = [node for node in picture.graph.nodes if node.look.get("penwidth") == "3"]
    assert len(chromium.run(BOLD.format("node"))) == len(bold)
    # The page draws an edge for each kind of value between two boxes.
    still = {(edge.tail, edge.head) for edge in picture.graph.edges if edge.slow}
    assert len(set(chromium.run(BOLD.format("edge")))) == len(still)


def test_the_slowest_path_leads_through_folded_modules(opened: Opened) -> None:
    picture = draw(Net(), ad.ones(2, 3), overlay="seconds", depth=1)
    chromium = opened.show_page_of(picture)
    assert len(chromium.run(BOLD.format("node"))) == 3  # both blocks and the head
    assert len(chromium.run(BOLD.format("edge"))) >= 2


def test_the_page_has_every_column_that_a_run_has_measured(opened: Opened) -> None:
    x = ad.tensor([[1.5, 0.5, 3.0], [4.0, 1.5, 1.0]], requires_grad=True)
    program = ad.measure(lambda: ((x - 2).relu().sum() + (x - 1).log().sum()).backward())
    program.columns["roofline"] = [0.5] * len(program)
    chromium = opened.show_page_of(draw(program, overlay="dead"))
    names = chromium.run("[...document.querySelectorAll('#overlay option')].map(option => option.value)")
    assert set(names) == {"", *OVERLAYS}
    for overlay, title in (("nans", "sum"), ("dead", "relu"), ("gradient_zeros", "sub"), ("zeros", "relu")):
        choose(chromium, overlay)
        ranked = chromium.run("document.querySelector('#panel h3:last-of-type + table .link').textContent")
        assert ranked.endswith(title), (overlay, ranked)
    choose(chromium, "dead")
    assert chromium.run(LEGEND).split("\n")[1:] == ["0%", "100%"]
    relu = "[...document.querySelectorAll('#canvas .node')].find(x => x.ariaLabel === 'relu').classList"
    assert chromium.run(f"{relu}.contains('level2')")  # a third of seven levels
