"""What a picture says of what operations read: every operand is an arrow, also those of an optimizer's step."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from drawn import drawn_nodes, visible_edges
from steps import classifier_step

import autodiff as ad
from autodiff import nn
from autodiff.nn.functional import cross_entropy
from autodiff.program import Program
from autodiff.viz import draw
from autodiff.viz.graph import OPERATION, Node
from autodiff.viz.picture import Picture


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(11, 8)
        self.inputs, self.head = nn.Linear(8, 24), nn.Linear(8, 11)

    def forward(self, tokens: Any) -> Any:
        q, k, v = self.inputs(self.tokens(tokens)).split(8, dim=2)
        return self.head(nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)).flatten(0, 1)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.LSTMCell(3, 5), nn.Linear(5, 3)

    def forward(self, x: Any) -> Any:
        h = c = ad.zeros(4, 5)
        for part in x.unbind(1):
            h, c = self.cell(part, (h, c))
        return self.head(h)


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 3))


def convolutional() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))


STEPS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Any], int, Callable[[Any], Any]]] = {
    "perceptron": (perceptron, lambda: ad.randn(4, 8), 4, ad.optim.Adam),
    "convolutional": (convolutional, lambda: ad.randn(4, 1, 8, 8), 4,
                      lambda parameters: ad.optim.SGD(parameters, lr=0.1, momentum=0.9)),
    "recurrent": (Recurrent, lambda: ad.randn(4, 6, 3), 4, lambda parameters: ad.optim.SGD(parameters, lr=0.1)),
    "attention": (Attention, lambda: ad.randint(0, 11, (2, 6)), 12, ad.optim.AdamW),
}


def program_of(name: str, compiled: bool) -> Program:
    ad.manual_seed(0)
    build, inputs, count, optimizer_of = STEPS[name]
    model, x, y = build(), inputs(), ad.randint(0, 3, (count,))
    optimizer = optimizer_of(model.parameters())

    step = classifier_step(model, optimizer)
    step(x, y)  # makes the optimizer's states
    if not compiled:
        return ad.record(step, x, y)
    replayed = ad.compile(step)
    for _ in range(2):
        replayed(x, y)
    program: Program = replayed.programs[0]
    return program


def arrows(source: str) -> Counter[tuple[str, str]]:
    """Return how many values go from one node of DOT text to another."""
    found: Counter[tuple[str, str]] = Counter()
    for ends, attributes in visible_edges(source):
        several = re.search(r'xlabel="(\d+)×"', attributes)
        found[ends] += int(several[1]) if several else 1
    return found


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", STEPS)
def test_every_operand_is_an_arrow(name: str, compiled: bool) -> None:
    program = program_of(name, compiled)
    source = draw(program, constants=True).source
    number = {record: f"r{i}" for i, record in enumerate(program)}
    assert {node for node in drawn_nodes(source) if node.startswith("r")} == set(number.values())
    found = arrows(source)
    for record in program:
        reads = Counter(tail if tail.startswith("r") else "leaf" for (tail, head), n in found.items()
                        for _ in range(n) if head == number[record])
        made = (number[operand[0]] if type(operand) is tuple else "leaf" for operand in record.operands)
        assert reads == Counter(made), record


@pytest.mark.parametrize("name", STEPS)
def test_only_numbers_are_no_arrows(name: str) -> None:
    program = program_of(name, False)
    graph = draw(program).graph
    reads: Counter[Node] = Counter()
    for edge in graph.edges:
        reads[edge.head] += edge.values
    for node in graph.nodes:
        if node.kind == OPERATION and node.record is not None:
            numbers = sum(text.startswith("with ") for text in node.details)
            assert reads[node] + numbers == len(node.record.operands), node


def test_an_optimizers_step_reads_parameters_and_states() -> None:
    graph = draw(program_of("perceptron", False)).graph
    adam = next(node for node in graph.nodes if node.title == "adam")
    leaves = {edge.tail.title: (edge.tail.kind, edge.values) for edge in graph.edges
              if edge.head is adam and edge.tail.phase == "update"}
    assert leaves == {"6 parameters": ("parameter", 6), "12 optimizer states": ("optimizer state", 12)}
    states = next(node for node in graph.nodes if node.kind == "optimizer state")
    assert states.tooltip[0].startswith("exp_avg of 0.weight ")
    assert states.details == [f"{2 * (8 * 16 + 16 + 16 * 16 + 16 + 16 * 3 + 3):,} elements"]
    folded = next(node for node in draw(program_of("perceptron", False), depth=0).graph.nodes if node.phase == "update")
    assert "12 optimizer states, 934 elements" in folded.details


def test_the_gradient_of_a_layer_reads_what_it_needs() -> None:
    x, weight = ad.randn(4, 3), ad.randn(2, 3)
    for wants, names in (((False, True), ["x"]), ((True, False), ["weight"]), ((True, True), ["x", "weight"])):
        first, second = x.clone().requires_grad_(wants[0]), weight.clone().requires_grad_(wants[1])
        graph = draw(lambda x, weight: ad.linear(x, weight).sum(), first, second, backward=True).graph
        node = next(node for node in graph.nodes if node.title == "linear_grad")
        read = [edge.tail for edge in graph.edges if edge.head is node]
        assert [tail.title for tail in read if tail.kind == "input"] == names
        assert len(read) == len(names) + 1


def test_leaves_are_called_like_variables() -> None:
    scale = ad.tensor([1.0, 2.0], requires_grad=True)
    weights = [ad.ones(2, requires_grad=True), ad.ones(2)]

    def function(x: Any) -> Any:
        return x * scale * weights[0] + weights[1]

    kinds = {node.title: node.kind for node in draw(function, ad.ones(2)).graph.nodes if node.kind != OPERATION}
    assert kinds == {"x": "input", "scale": "leaf", "weights[0]": "leaf", "weights[1]": "constant", "output": "output"}
    loss = function(ad.ones(2)).sum()
    assert {node.title for node in draw(loss).graph.nodes if node.kind == "leaf"} == {"scale", "weights[0]"}
    source = draw(loss).source
    assert ">requires_grad</TD>" in source
    assert ">parameter</TD>" not in source
    assert {node.title for node in draw(loss).graph.nodes if node.kind == "output"} == {"loss"}


def test_a_measured_program_has_a_title() -> None:
    model = nn.Linear(3, 2)
    assert draw(ad.record(model, ad.ones(1, 3))).title == "Linear"
    assert draw(ad.measure(model, ad.ones(1, 3)), overlay="seconds").title == "Linear"
    compiled = ad.compile(model)
    assert draw(ad.measure(compiled, ad.ones(1, 3)), overlay="seconds").title == "Linear"
    assert draw(compiled).title == "Linear"


def test_reprs_are_short() -> None:
    graph = draw(program_of("convolutional", False)).graph
    for thing in (graph, *graph.nodes, *graph.edges, *graph.root.members):
        assert len(repr(thing)) < 100, repr(thing)
        assert "\n" not in repr(thing)
    assert repr(graph.nodes[0]).startswith("<operation r0 '")


@pytest.mark.parametrize("model", [lambda x: x, nn.Identity(), nn.Sequential(nn.Identity(), nn.Identity())])
def test_an_input_that_is_returned_is_shown_as_the_output(model: Any) -> None:
    picture = draw(model, ad.ones(2, 3))
    (edge,) = picture.graph.edges
    assert (edge.tail.kind, edge.head.kind, edge.head.title) == ("input", "output", "output")
    assert "2×3 float32" in edge.head.details
    assert picture.graph.remarks == ["no operation has run"]


def test_an_input_beside_other_results_and_in_a_backward_pass() -> None:
    x = ad.ones(2, requires_grad=True)
    graph = draw(lambda x: (x.exp(), x), x, backward=True).graph
    assert {(edge.tail.title, edge.head.title) for edge in graph.edges if edge.head.kind == "output"} >= {
        ("exp", "output 0"), ("x", "output 1")}


def test_an_update_of_very_many_parameters_can_be_laid_out() -> None:
    """Graphviz reads no text of more than 16,384 letters, so a tooltip does not list them all."""
    parameters = [nn.Parameter(ad.ones(16, 16, 3, 3)) for _ in range(300)]
    optimizer = ad.optim.Adam(parameters)

    def step() -> None:
        ad.stack(parameters).sum().backward()
        optimizer.step()

    picture = draw(step)
    assert max(len(line) for line in picture.source.splitlines()) < 10_000
    assert "and 1,188 more" in picture.source  # each with its gradient and two states, but for the twelve listed
    assert picture.pipe("svg").startswith(b"<?xml")


def test_optimizer_states_have_names() -> None:
    model, x = nn.Linear(2, 3), ad.randn(4, 2)
    optimizer = ad.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def step(x: Any) -> None:
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()

    compiled = ad.compile(step)
    for _ in range(2):
        compiled(x)
    for picture in (draw(step, x), draw(compiled)):
        titles = {node.title for node in picture.graph.nodes if node.kind == "optimizer state"}
        assert titles == {"momentum_buffer of weight", "momentum_buffer of bias"}
        (update,) = [node for node in picture.graph.nodes if node.title == "sgd"]
        assert update.parent.title == "Linear"


def test_a_part_that_is_overwritten_leads_to_what_overwrites_it() -> None:
    def changed(x: Any) -> Any:
        x = x.clone()
        x[0] = 1
        return x * 2

    graph = draw(changed, ad.ones(3, 4)).graph
    assert {edge.tail.title for edge in graph.edges} >= {node.title for node in graph.nodes if node.kind == OPERATION}
    assert ("slice", "copy") in {(edge.tail.title, edge.head.title) for edge in graph.edges}


def test_a_conversion_of_the_layout_says_that_it_is_one() -> None:
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Conv2d(3, 2, 1), nn.Flatten())
    found = [node for node in draw(net, ad.randn(1, 2, 5, 5)).graph.nodes if node.operations == ["copy"]]
    assert [node.details[0] for node in found] == ["to channels-last", "to C order"]
    assert "another order in memory: channels-last" in found[0].tooltip[1]
    (clone,) = [node for node in draw(lambda x: x.T.clone(), ad.ones(2, 3)).graph.nodes if node.title == "clone"]
    assert not any(text.startswith("to ") for text in clone.details)


def leaves_of(picture: Picture) -> list[str]:
    """Return the names of what a picture's operations read, without inputs and parameters."""
    return sorted(node.title for node in picture.graph.nodes if node.kind in ("constant", "buffer", "leaf"))


@pytest.mark.parametrize("compiled", [False, True])
def test_what_the_library_has_made_has_a_name(compiled: bool) -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5))

    def step(x: Any) -> None:
        model(x).sum().backward()

    run = ad.compile(step) if compiled else step
    for _ in range(3 if compiled else 1):
        run(ad.ones(2, 4))
    picture = draw(run) if compiled else draw(step, ad.ones(2, 4))
    assert leaves_of(picture) == ["grad of 0.bias", "grad of 0.weight", "random key"]


def test_a_gradient_is_called_after_a_variable_and_may_be_gone_by_then() -> None:
    factor = ad.ones(3, requires_grad=True)
    (factor * 2).sum().backward()

    def again() -> None:
        (factor * 3).sum().backward()
        factor.grad = None

    assert leaves_of(draw(again)) == ["factor", "grad of factor"]


@pytest.mark.parametrize("backward", [False, True])
def test_a_weight_that_was_not_given_stands_on_the_operation(backward: bool) -> None:
    x, image = ad.randn(2, 3, requires_grad=True), ad.randn(2, 3, 4, 4, requires_grad=True)
    target, even = ad.tensor([0, 2]), ad.ones(3)
    picture = draw(lambda x, y: cross_entropy(x, y), x, target, backward=backward)
    assert leaves_of(picture) == []
    assert picture.source.count("with weight 1<") == 1 + backward
    norm = draw(nn.BatchNorm2d(3, affine=False), image, backward=backward)
    assert set(leaves_of(norm)) == {"running_mean", "running_var", "num_batches_tracked"}
    assert "with weight 1<" in norm.source
    assert "with bias 0<" in norm.source
    given = leaves_of(draw(lambda x, y: cross_entropy(x, y, even), x, target, backward=backward))
    assert given == ["even"] * (1 + backward)
    uneven = leaves_of(draw(lambda x, y: cross_entropy(x, y, ad.tensor([1.0, 2.0, 1.0])), x, target, backward=backward))
    assert uneven == ["3 float32"] * (1 + backward)
    names = ["target"] * (1 + backward) + ["x"] * (1 + backward)
    assert leaves_of(draw(cross_entropy(x, target), backward=backward)) == names


def test_weights_that_require_a_gradient_are_shown() -> None:
    def normalised(x: Any) -> Any:
        return ad.nn.functional.layer_norm(x, (3,), ad.ones(3, requires_grad=True), ad.zeros(3, requires_grad=True))

    assert leaves_of(draw(normalised, ad.randn(2, 3))) == ["3 float32"] * 2
