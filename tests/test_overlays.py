"""Measurements in pictures: colours, scales, the slowest path, where gradients vanish and numbers go bad."""

from __future__ import annotations

import inspect
import math
import random
from pathlib import Path
from typing import Any

import pytest
from drawn import drawn_nodes
from test_page import data_of
from test_pictures import random_program

import autodiff as ad
from autodiff import cli_graph, machine, nn
from autodiff.errors import ValueRangeError
from autodiff.program import Program
from autodiff.program_columns import shares_of_roofline, text_of
from autodiff.viz import draw
from autodiff.viz.overlay import OVERLAYS


def test_an_overlay_shows_numbers_a_scale_and_the_slowest_path() -> None:
    program = ad.record(lambda x: x.exp().sum() + x.tanh().sum(), ad.ones(3))
    program.columns["seconds"] = [1e-3, 2e-3, 5e-3, 1e-3, 1e-3]
    picture = draw(program, overlay="seconds")
    assert picture.graph.caption == ["time: 10 ms together", "bold: the slowest path, 7 ms"]
    assert [text for _, text in picture.graph.scale] == ["0 s", "1.25 ms", "2.5 ms", "3.75 ms", "5 ms"]
    slow = {(edge.tail.title, edge.head.title) for edge in picture.graph.edges if edge.slow}
    assert slow == {("tanh", "sum"), ("sum", "add")}
    nodes = drawn_nodes(picture.source)
    assert "5 ms · 50%" in nodes["r2"][0]
    assert 'COLOR="#ffffff"' in nodes["r2"][0]  # white on the dark end of the scale


def test_the_overhead_of_a_call_is_an_entry_of_its_own() -> None:
    program = ad.record(lambda x: x.exp().sum(), ad.ones(3))
    program.columns["seconds"], program.overhead = [1e-3, 2e-3], 1e-3
    picture = draw(program, overlay="seconds")
    assert picture.graph.caption[0] == "time of a call: 4 ms = 3 ms of operations + 1 ms of call overhead (25%)"
    assert "2 ms · 50%" in picture.source
    assert picture.expanded().overhead == 1e-3


@pytest.mark.parametrize("seed", range(8))
def test_the_slowest_path_is_the_longest(seed: int) -> None:
    program = random_program(seed, 0)
    pick = random.Random(seed)
    program.columns["seconds"] = seconds = [pick.random() for _ in program]
    longest: dict[Any, float] = {}
    for record, own in zip(program, seconds):
        before = [longest[operand[0]] for operand in record.operands if type(operand) is tuple]
        longest[record] = own + max(before, default=0.0)
    graph = draw(program, overlay="seconds").graph
    assert graph.caption[-1] == f"bold: the slowest path, {text_of('seconds', max(longest.values()))}"
    on_path = {node for edge in graph.edges if edge.slow for node in (edge.tail, edge.head)}
    assert sum(node.measures.get("seconds", 0.0) for node in on_path) == pytest.approx(max(longest.values()))


class Wide(nn.Module):
    """Two operations beside each other: they take long together, and a path leads through one of them alone."""

    def forward(self, x: Any) -> Any:
        return x.exp() + x.tanh()


class Deep(nn.Module):
    def forward(self, x: Any) -> Any:
        return x.sin().cos()


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wide, self.deep = Wide(), Deep()

    def forward(self, x: Any) -> Any:
        return self.wide(x) + self.deep(x)


def measured_branches() -> Program:
    program = ad.record(Branches(), ad.ones(3))
    assert [record.name for record in program] == ["exp", "tanh", "add", "sin", "cos", "add"]
    program.columns["seconds"] = [3e-3, 3e-3, 1e-3, 2e-3, 3e-3, 1e-3]
    return program


@pytest.mark.parametrize(("depth", "nodes", "edges"), [
    (None, {"sin", "cos", "add"}, {("sin", "cos"), ("cos", "add")}), (1, {"deep", "add"}, {("deep", "add")}),
    (0, {"Branches"}, set()),
])  # fmt: skip
def test_the_slowest_path_is_the_same_at_every_depth(depth: int | None, nodes: set[str], edges: set[Any]) -> None:
    graph = draw(measured_branches(), overlay="seconds", depth=depth).graph
    assert graph.caption[-1] == "bold: the slowest path, 6 ms"
    assert {node.title for node in graph.nodes if node.look.get("penwidth")} == nodes
    assert {(edge.tail.title, edge.head.title) for edge in graph.edges if edge.slow} == edges


def test_the_slowest_path_leads_through_equal_blocks_and_fused_operations() -> None:
    def steps(x: Any) -> Any:
        for _ in range(8):
            x = x.sin() + x.cos()
        return x

    program = ad.record(steps, ad.ones(3))
    program.columns["seconds"] = [1.0, 2.0, 3.0] * 7 + [2.0, 1.0, 3.0]  # the last step goes another way
    graph = draw(program, overlay="seconds", roll=True).graph
    assert {node.title for node in graph.nodes if node.look.get("penwidth")} == {"sin", "cos", "add"}
    around = {(edge.tail.title, edge.head.title, edge.again) for edge in graph.edges if edge.slow}
    assert around == {("cos", "add", 0), ("sin", "add", 0), ("add", "cos", 1), ("add", "sin", 1)}

    fused = ad.compile(lambda x: (x.exp() * 2).tanh())
    for _ in range(2):
        fused(ad.ones(4096))
    (program,) = fused.programs
    assert len(program) == 1
    program.columns["seconds"] = [1.0]
    graph = draw(program, overlay="seconds", unfold=True).graph
    inside = {(edge.tail.title, edge.head.title) for edge in graph.edges if edge.slow}
    assert inside == {("exp", "mul"), ("mul", "tanh")}


@pytest.mark.parametrize("overlay", ["flops", "bytes", "saved_bytes"])
def test_costs_need_no_measuring(overlay: str) -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh())
    graph = draw(model, ad.ones(2, 4), overlay=overlay).graph
    total = sum(node.measures[overlay] for node in graph.nodes if overlay in node.measures)
    assert total > 0
    assert text_of(overlay, total) in graph.caption[0]


def test_shares_of_the_roofline() -> None:
    limits = {"flops": {"float32": 1e9, "float64": 1e9}, "levels": [{"name": "memory", "size": None, "copy": 1e9}]}
    graph = draw(lambda x: (x @ x).sum(), ad.ones(32, 32), overlay="roofline", limits=limits).graph
    shares = [node.measures["roofline"] for node in graph.nodes if node.record]
    assert all(share > 0 for share in shares)
    assert graph.scale[-1][1] == "100%"


def test_limits_are_measured_where_none_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"flops": {"float32": 1e9, "float64": 1e9}, "levels": [{"name": "memory", "size": None, "copy": 1e9}]}
    monkeypatch.setattr(machine, "limits_here", lambda: limits)
    program = ad.measure(lambda x: (x @ x).sum(), ad.ones(32, 32))
    shares = draw(program, overlay="roofline").program.columns["roofline"]
    assert shares == shares_of_roofline(program, limits)


def test_gradients_that_vanish_and_explode_are_named() -> None:
    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(9)])

        def forward(self, x: Any) -> Any:
            for layer in self.layers:
                x = layer(x * 0.02)
            return x.sum()

    graph = draw(Deep(), ad.ones(2, 4), backward=True, overlay="gradient").graph
    vanishing = next(remark for remark in graph.remarks if remark.startswith("the gradient vanishes: "))
    assert "layers.0" in vanishing
    assert not any(remark.startswith("the gradient explodes: ") for remark in graph.remarks)
    ends = graph.scale[0][1], graph.scale[-1][1]
    assert [text[:2] for text in ends] == ["≤ ", "≥ "]  # what lies beyond has the colour of the end
    weights = [node for node in graph.nodes if node.kind == "parameter" and node.gradients]
    assert all(node.gradients[0] and node.gradients[0]["norm"] >= 0 for node in weights)


def remarks_of(layers: list[nn.Module], x: Any) -> dict[str, str]:
    """Return which layers' gradients a picture remarks on, for what."""
    graph = draw(nn.Sequential(*layers), x, backward=True, overlay="gradient").graph
    return {what: rest for what, colon, rest in (remark.partition(": ") for remark in graph.remarks) if colon}


def test_gradients_are_compared_with_those_next_to_the_loss() -> None:
    generator = ad.Generator(0)
    x = ad.randn(4, 16, generator=generator)
    vanishing = [layer for _ in range(12) for layer in (nn.Linear(16, 16), nn.Sigmoid())]
    found = remarks_of([*vanishing, nn.Linear(16, 1)], x)
    assert "the gradient explodes" not in found
    assert found["the gradient vanishes"].startswith("0.linear")
    exploding = [nn.Linear(16, 16) for _ in range(8)]
    for layer in exploding:
        with ad.no_grad():
            layer.weight.copy_(layer.weight * 60)
    found = remarks_of(exploding, x)
    assert "the gradient vanishes" not in found
    names = found["the gradient explodes"].partition(" and ")[0].split(", ")
    assert len(set(names)) == len(names) == 3


def test_a_gradient_with_nans_is_not_zero() -> None:
    x = ad.tensor([-1.0, math.inf], requires_grad=True)  # the gradients are NaN and zero
    picture = draw(lambda x: (x * 2).sqrt().sum(), x, backward=True, overlay="gradient")
    assert not any("zero" in remark for remark in picture.graph.remarks)
    [remark] = [remark for remark in picture.graph.remarks if remark.startswith("NaN in the gradient: ")]
    assert "x" in remark.partition(": ")[2].split(", ")
    assert remark in picture.expanded().remarks


def test_what_is_no_number_is_marked_where_it_begins() -> None:
    x = ad.tensor([[1.0, -1.0], [2.0, -3.0]], requires_grad=True)
    graph = draw(lambda x: (x.relu() * 2).log().sqrt().sum() + x.log().sum(), x, overlay="values").graph
    assert "NaN, first in " in " ".join(graph.remarks)
    first = next(node for node in graph.nodes if any(entry.get("nans") for entry in node.values))
    assert f"NaN, first in {first.title}" in graph.remarks
    relu = next(node for node in graph.nodes if node.title == "relu")
    assert "50% of the units are dead" in relu.numbers


def test_infinities_are_named_where_they_come_to_something() -> None:
    x, mask = ad.tensor([0.0, 1.0]), ad.tensor([-math.inf, 0.0])

    def remarks(function: Any, *inputs: Any) -> list[str]:
        return draw(function, *inputs, overlay="nans").graph.remarks

    assert remarks(lambda x: (x.log() * x).sum(), x) == ["NaN, first in mul", "infinity before it, first in log"]
    assert remarks(lambda x: -x.log(), x) == ["infinity, first in log"]
    assert remarks(lambda x, mask: ad.softmax(x + mask, -1), x, mask) == []
    assert remarks(lambda x, mask: ad.softmax(x + mask * 2 - math.inf, -1), x, mask)[1] == (
        "infinity before it, first in mask")
    assert remarks(lambda x: x.log(), ad.tensor([-1.0, 0.0])) == ["NaN, first in log"]
    assert remarks(lambda x, mask: (ad.softmax(x + mask, -1), (x * 0).log()), x, mask) == ["infinity, first in log"]


def test_gradients_are_shown_at_the_values_they_belong_to() -> None:
    x = ad.tensor([3.0, 4.0], requires_grad=True)
    graph = draw(lambda x: (x.square() * 2).sum(), x, backward=True, overlay="gradient").graph
    found = {node.title: node.gradients[0] for node in graph.nodes if node.phase == "forward" and node.gradients}
    assert found["x"] is not None
    assert found["x"]["norm"] == pytest.approx(20.0)
    assert found["square"] is not None
    assert found["square"]["norm"] == pytest.approx(8**0.5)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: draw(ad.record(ad.exp, ad.ones(2)), overlay="seconds"), r"'seconds' was not measured; expected .*"
         r"got a program without these measurements; draw\(autodiff.measure\(function, \*inputs\), overlay='seco"),
        (lambda: draw(ad.record(ad.exp, ad.ones(2)), overlay="roofline"), "'roofline' was not measured; expected"),
        (lambda: draw(ad.exp, ad.ones(2), overlay="gradient"), "'gradient' was not measured; expected a "
         "backward pass; got a forward pass alone; add backward=True"),
        (lambda: draw(ad.ones(2, requires_grad=True).exp(), backward=True, overlay="gradient"),
         r"got tensors, whose .* run already; .*: draw\(function, \*inputs, backward=True, overlay='gradient'\)"),
        (lambda: draw(ad.exp, ad.ones(2), overlay="heat"), "there is no such overlay; expected seconds, flops"),
    ],
)
def test_overlay_errors(call: Any, text: str) -> None:
    with pytest.raises(ValueRangeError, match=text):
        call()




def broken(x: Any) -> Any:
    """Compute with all that an overlay can show: dead units, zeros, NaN, and gradients of all sizes."""
    y = (x - 2).relu()
    return (y * 1e-5).sum() + (x - 1).sqrt().sum()


def measured_step() -> Any:
    x = ad.tensor([[1.5, 0.5, 3.0], [4.0, 1.5, 1.0]], requires_grad=True)
    return ad.measure(lambda: broken(x).backward())


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_overlay_colours_a_run_and_stands_on_its_page(overlay: str, tmp_path: Path) -> None:
    limits = {"flops": {"float32": 1e9, "float64": 1e9}, "levels": [{"name": "memory", "size": None, "copy": 1e9}]}
    program = measured_step()
    picture = draw(program, overlay=overlay, limits=limits)
    chosen = OVERLAYS[overlay]
    assert any(chosen.title in line for line in picture.graph.caption) or overlay == "seconds"
    coloured = {node.look.get("fillcolor", "#ffffff") for node in picture.graph.nodes} - {"#ffffff"}
    assert coloured
    assert len(picture.graph.scale) == 5
    data = data_of(Path(picture.write_page(tmp_path / "graph.html")).read_text(encoding="utf-8"))
    assert data["overlay"] == overlay
    assert {one["key"]: one["title"] for one in data["overlays"]} == {key: one.title for key, one in OVERLAYS.items()}
    # The page colours by itself, so its boxes have none of these colours.
    assert not any(fill in node["statement"] for node in data["nodes"] for fill, _ in picture.graph.scale)
    assert not any("bold" in remark for remark in data["remarks"])


def test_the_command_line_knows_every_overlay() -> None:
    text = inspect.getsource(cli_graph.add_arguments)
    assert all(key in text for key in OVERLAYS)


def test_shares_are_those_of_the_numbers() -> None:
    program = measured_step()
    found = {}
    for overlay in ("zeros", "nans", "dead", "gradient_zeros", "gradient_nans", "gradient_largest", "largest"):
        graph = draw(program, overlay=overlay).graph
        found[overlay] = {node.title: OVERLAYS[overlay].number(node) for node in graph.nodes[::-1]
                          if node.kind == "operation" and node.phase == "forward"}  # fmt: skip
    assert found["zeros"]["relu"] == pytest.approx(4 / 6)
    assert found["dead"] == {**dict.fromkeys(found["dead"]), "relu": pytest.approx(1 / 3)}
    assert found["nans"]["sqrt"] == pytest.approx(1 / 6)
    assert found["gradient_zeros"]["sub"] == pytest.approx(4 / 6)
    assert found["largest"]["relu"] == 2.0
    assert math.isnan(found["largest"]["sqrt"])
    assert found["gradient_largest"]["relu"] == pytest.approx(1e-5)


def test_a_folded_module_shows_the_worst_of_what_is_inside() -> None:
    class Inner(nn.Module):
        def forward(self, x: Any) -> Any:
            return (x - 5).relu() + x  # no unit lives, but what leaves is fine

    x = ad.tensor([[1.0, 2.0], [3.0, 4.0]])
    graph = draw(nn.Sequential(Inner(), nn.Tanh()), x, overlay="dead", depth=1).graph
    inner = next(node for node in graph.nodes if node.module == "Inner")
    assert "100% of the units are dead" in inner.numbers


def test_a_block_that_stands_for_others_shows_the_worst_of_them() -> None:
    layers = nn.Sequential(*[nn.Sequential(nn.Linear(2, 2), nn.ReLU()) for _ in range(4)])
    with ad.no_grad():
        for number, (linear, _) in enumerate(layers):
            linear.weight.copy_(ad.eye(2))
            linear.bias.copy_(ad.full((2,), -9.0 if number == 2 else 0.0))
    graph = draw(layers, ad.tensor([[1.0, 2.0], [3.0, 4.0]]), overlay="dead", roll=True).graph
    (relu,) = [node for node in graph.nodes if node.title == "relu"]
    assert OVERLAYS["dead"].number(relu) == 1.0


def test_an_arrow_says_what_was_measured_of_its_tensor() -> None:
    x = ad.tensor([3.0, 0.0, 0.0, -4.0], requires_grad=True)
    source = draw(ad.measure(lambda: (x * 2).relu().sum().backward())).source
    assert 'numbers: norm 10, largest 8, 50% zeros, 0% NaN\\ngradient: norm 1, largest 1, 75% zeros, 0% NaN"' in source


def test_the_graph_of_a_page_is_that_of_the_picture() -> None:
    picture = draw(broken, ad.ones(2, 3), overlay="seconds")
    assert picture.expanded() is picture.graph
    assert "bold" in picture.source
    folded = draw(nn.Sequential(nn.Tanh(), nn.Tanh()), ad.ones(2), depth=0)
    assert folded.expanded() is not folded.graph


def test_without_an_operation_there_is_nothing_to_colour() -> None:
    assert draw(lambda x: x, ad.ones(2), overlay="seconds").graph.remarks == ["no operation has run"]
