"""Graphs of computations: what is in them."""

from __future__ import annotations

import random
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from drawn import Linear, Net, assert_acyclic, drawn_edges, drawn_nodes, titles, training_step

import autodiff as ad
from autodiff import reverse
from autodiff.autograd.modes import no_grad
from autodiff.eager import cotangent_of
from autodiff.errors import DTypeError, GradientError, ValueRangeError
from autodiff.nn.module import Module
from autodiff.program import Program
from autodiff.recording import record
from autodiff.thread_mode import MODE
from autodiff.viz import draw, timeline
from autodiff.viz.building import graph_of
from autodiff.viz.dot import lines_of
from autodiff.viz.graph import Edge, Graph, Group, Node

ROOT = Path(__file__).resolve().parent.parent


# ---- What is drawn ---------------------------------------------------------------------------------------------------


def test_the_text_of_a_small_graph() -> None:
    def square(x: Any) -> Any:
        return (x * x).sum()

    source = draw(square, ad.ones(2, 3), legend=False, title="").source
    assert re.sub(r'tooltip="[^"]*"', "tooltip", source).splitlines()[4:] == [
        '\t\tr0 [label=<<B>mul</B><BR/> <FONT POINT-SIZE="8" COLOR="#333333">2×3 float32</FONT> > '
        'fillcolor="#d6e8f5" color="#0072b2" tooltip]',
        '\t\tr1 [label=<<B>sum</B><BR/> <FONT POINT-SIZE="8" COLOR="#333333">scalar float32</FONT> > '
        'fillcolor="#d6e8f5" color="#0072b2" tooltip]',
        '\t\to2 [label=<<B>output</B><BR/> <FONT POINT-SIZE="8" COLOR="#333333">scalar float32</FONT> > '
        'shape="box" style="filled,bold" fillcolor="#ffffff" color="#222222" tooltip]',
        '\t\tl0 [label=<<B>x</B><BR/> <FONT POINT-SIZE="8" COLOR="#333333">2×3 float32</FONT> > '
        'shape="box" style="filled,bold" fillcolor="#ffffff" color="#222222" tooltip]',
        "\tr0 -> r1 [tooltip weight=16]",
        "\tr1 -> o2 [tooltip weight=16]",
        "\tl0 -> r0 [tooltip]",
        "\tl0 -> r0 [tooltip]",
        "}",
    ]


def test_the_same_computation_has_the_same_text() -> None:
    first, second = (draw(training_step, Net(), ad.ones(2, 3)).source for _ in range(2))
    assert first == second


def random_program(seed: int) -> Program:
    """Record a random computation of two inputs and its gradients."""
    draws = random.Random(seed)

    def compute(x: Any, y: Any) -> Any:
        values = [x, y]
        for _ in range(25):
            a, b = draws.choice(values), draws.choice(values)
            values.append(draws.choice([lambda a=a, b=b: a * b, lambda a=a, b=b: a + b, lambda a=a: ad.tanh(a)])())
        loss = (values[-1] * values[-2]).sum()
        return loss, *reverse.sweep([loss], [cotangent_of(loss, None, "test")], [x, y])

    return record(compute, ad.tensor([1.0, 2.0], requires_grad=True), ad.tensor([3.0, 4.0], requires_grad=True))


@pytest.mark.parametrize("seed", range(8))
def test_nodes_and_edges_are_those_of_the_program(seed: int) -> None:
    program = random_program(seed)
    source = draw(program, constants=True).source
    number = {r: f"r{i}" for i, r in enumerate(program)}
    expected = Counter(
        (number[edge[0]], number[r]) for r in program for edge in r.operands if type(edge) is tuple)
    edges = drawn_edges(source)
    assert {pair: n for pair, n in edges.items() if {*pair} <= {*number.values()}} == expected
    for r in program:
        assert sum(n for (_, head), n in edges.items() if head == number[r]) == len(r.operands)
    nodes = drawn_nodes(source)
    assert {name: nodes[name][0].split("</B>")[0] for name in number.values()} == {
        number[r]: f"<B>{r.name}" for r in program}
    outputs = [head for _, head in edges if head.startswith("o")]
    assert len(outputs) == len(program.outputs)


def test_a_module_with_an_input_shows_names_shapes_and_lines() -> None:
    source = draw(Net(), ad.ones(2, 3)).source
    nodes = drawn_nodes(source).values()
    shapes = {"x": "2×3 float32", "weight": "2×3 float32", "bias": "3 float32", "linear": "2×2 float32"}
    for title, text in shapes.items():
        assert any(label.startswith(f"<B>{title}</B>") and text in label for label, _ in nodes), title
    assert any("drawn.py:" in tip and "in forward: `return x + self.second" in tip for _, tip in nodes)
    assert any("parameter head.weight" in tip for _, tip in nodes)
    assert str(ROOT) not in source
    clusters = re.findall(r'label="([\w() ]+)"', source)
    linear = ["first (Linear)", "second (Linear)"]
    assert clusters == ["Net", "block1 (Block)", *linear, "block2 (Block)", *linear, "head (Linear)"]


def test_a_tensor_shows_its_tape() -> None:
    x = ad.tensor([1.0, 2.0], requires_grad=True)
    x.name = "start"
    loss = (x * ad.ones(2)).sum()
    loss.name = "loss"
    assert titles(draw(loss).source) == ["mul", "sum", "2 float32", "loss", "start"]


def test_a_tape_knows_what_it_has_saved_by_the_names_of_variables() -> None:
    weight, inputs, mask = ad.ones(3, 4, requires_grad=True), ad.ones(2, 4), ad.ones(2, 3)
    loss = (ad.linear(inputs, weight) * mask + ad.ones(2, 3)).sum()
    found = titles(draw(loss).source)
    assert found == ["linear", "mul", "add", "sum", "2×3 float32", "loss", "inputs", "weight", "mask"]
    assert "mine" in titles(draw(loss, names={"mine": mask}).source)


def test_a_tape_with_its_backward_pass() -> None:
    weight, inputs = ad.ones(3, 4, requires_grad=True), ad.ones(2, 4)
    loss = ad.linear(inputs, weight).tanh().sum()
    for _ in range(2):  # what is saved stays
        picture = draw(loss, backward=True)
        assert {node.phase for node in picture.graph.nodes} == {"forward", "backward"}
        assert [node.title for node in picture.graph.nodes if node.title == "inputs"]
        assert "gradient of weight" in titles(picture.source)
        saved = [(edge.tail.title, edge.head.title) for edge in picture.graph.edges if edge.saved]
        assert saved == [("tanh", "tanh_grad")]
        picture.program.verify()
    assert weight.grad is None
    loss.backward()
    with pytest.raises(GradientError, match="freed"):
        draw(loss, backward=True)


def test_a_tape_of_several_elements_is_summed() -> None:
    x = ad.ones(3, requires_grad=True)
    assert [r.name for r in draw(x.exp(), backward=True).program] == ["exp", "sum", "expand", "mul"]


def test_several_tensors_and_named_tensors() -> None:
    x, y = ad.tensor([1.0], requires_grad=True), ad.tensor([1.0])
    assert titles(draw((x * 2, x + 1)).source) == ["mul", "add", "output 0", "output 1", "x"]
    assert "offset" in titles(draw(record(lambda: x + y), names={"offset": y}).source)


def test_inputs_in_lists_have_names() -> None:
    source = draw(lambda pair: pair[0] * pair[1], [ad.ones(2), ad.ones(2)]).source
    assert titles(source) == ["mul", "output", "pair[0]", "pair[1]"]


def test_numbers_stand_on_the_operation_unless_constants_are_wanted() -> None:
    source = draw(lambda x: x * 2.5, ad.ones(2)).source
    assert "with 2.5" in source
    assert "c0" not in drawn_nodes(source)
    source = draw(lambda x: x * 2.5, ad.ones(2), constants=True).source
    assert any(name.startswith("c") and label == "2.5" for name, (label, _) in drawn_nodes(source).items())


class Masked(Module):
    def forward(self, x: Any, mask: Any = None, *, scale: float = 1.0) -> Any:
        return x * scale if mask is None else x * scale * mask


def test_keyword_arguments_go_to_what_is_called() -> None:
    x, mask = ad.ones(2, requires_grad=True), ad.ones(2)
    once = draw(Masked(), x, mask=mask, scale=2.0)
    assert [node.title for node in once.graph.nodes if node.kind == "input"] == ["x", "mask"]
    back = draw(Masked(), x, mask=mask, backward=True)
    assert "mask" in [node.title for node in back.graph.nodes if node.phase == "backward"]
    assert "no difference" in draw(Masked(), x, mask=mask, against=Masked()).graph.remarks
    assert draw(Masked(), x, mask=mask, overlay="zeros").program.columns["values"]
    assert len(timeline(Masked(), x, mask=mask).program) == len(once.program) == 2


def test_a_tape_shows_the_numbers_that_it_has_saved() -> None:
    x = ad.ones(2, requires_grad=True)
    nodes = draw((x * 2 + 1) / 3).graph.nodes
    assert [node.details[0] for node in nodes[:3]] == ["with 2", "2 float32", "with 3"]  # a sum saves nothing


def test_tensors_may_be_in_a_dictionary() -> None:
    x = ad.ones(2, requires_grad=True)
    assert draw({"one": x.exp(), "other": [x.tanh()]}).source == draw([x.exp(), x.tanh()]).source


def test_numbers_are_written_as_they_are() -> None:
    source = draw(lambda x, n: (x * 0.1 + 1e-6, n * 12345678), ad.ones(2), ad.tensor([1, 2])).source
    assert re.findall("with ([^<]*)<", source) == ["0.1", "1e-06", "12345678"]


def test_backward_touches_no_gradient_and_names_the_results() -> None:
    net = Net()
    source = draw(net, ad.ones(2, 3), backward=True).source
    assert all(parameter.grad is None for parameter in net.parameters())
    gradients = [title for title in titles(source) if title.startswith("gradient of ")]
    assert sorted(gradients) == sorted(f"gradient of {name}" for name, _ in net.named_parameters())
    assert 'label="forward"' in source
    assert 'label="backward"' in source
    assert "saved for backward" in source


def test_an_update_shows_no_addresses() -> None:
    model = Net()
    optimizer = ad.optim.Adam(model.parameters())

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = model(x).sum()
        loss.backward()
        optimizer.step()
        return loss

    program = record(step, ad.ones(2, 3))
    assert "table=<array int64" in str(program)
    assert "table=array([[" not in draw(program).source


def test_backward_operations_stand_in_the_module_they_differentiate() -> None:
    graph = graph_of(record(training_step, Net(), ad.ones(2, 3)))
    homes = [node.parent.title for node in graph.nodes if node.title == "linear_grad"]
    assert homes == ["head", "second", "first", "second", "first"]


def test_clipping_belongs_to_the_update() -> None:
    net = Net()

    def step(x: Any) -> Any:
        loss = net(x).sum()
        loss.backward()
        return ad.nn.utils.clip_grad_norm_(net.parameters(), 1.0)

    program = record(step, ad.ones(2, 3))
    assert list(dict.fromkeys(r.phase for r in program)) == ["forward", "backward", "update"]
    assert {r.name for r in program if r.phase == "forward"} == {"linear", "tanh", "add", "sum"}
    assert MODE.phase == "forward"


class Twice(Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = Linear(3, 3)

    def forward(self, x: Any) -> Any:
        return self.layer(ad.tanh(self.layer(x)))


def test_calls_of_a_module_are_drawn_alike() -> None:
    def step(model: Module, x: Any) -> Any:
        loss = (model(x) * ad.ones(1, 3)).sum()
        loss.backward()
        return loss

    graph = graph_of(record(step, Twice(), ad.ones(1, 3)))
    assert [node.parent.title for node in graph.nodes if node.title == "linear_grad"] == ["layer", "layer"]


# ---- Depth -----------------------------------------------------------------------------------------------------------


def operations(graph: Graph) -> int:
    return sum(node.records for node in graph.nodes)


@pytest.mark.parametrize(("depth", "modules"), [(0, 3), (1, 9), (2, 12), (3, 0), (None, 0)])
def test_depth_shows_deeper_modules_as_one_node(depth: int | None, modules: int) -> None:
    program = record(training_step, Net(), ad.ones(2, 3))
    graph = graph_of(program, depth=depth)
    assert sum(node.kind == "module" for node in graph.nodes) == modules
    assert operations(graph) == len(program)
    assert_acyclic(graph)


def test_a_module_called_twice_is_two_nodes() -> None:
    graph = graph_of(record(Twice(), ad.ones(1, 3)), depth=1)
    assert [node.title for node in graph.nodes if node.kind in ("module", "operation")] == ["layer", "tanh", "layer"]
    assert_acyclic(graph)


def test_a_node_for_a_module_counts_what_it_hides() -> None:
    source = draw(Net(), ad.ones(2, 3), depth=1, backward=True).source
    label = next(label for label, _ in drawn_nodes(source).values() if label.startswith("<B>block1</B>"))
    assert "4 operations" in label
    assert "4 parameters, 24 elements" in label
    assert "2×3 float32" in label
    assert "4 gradients" in source


def test_parallel_values_between_modules_are_one_edge_with_a_number() -> None:
    graph = graph_of(record(training_step, Net(), ad.ones(2, 3)), depth=1)
    gradients = [edge for edge in graph.edges if (edge.tail.phase, edge.head.phase) == ("backward", "update")]
    assert [edge.values for edge in gradients] == [4, 4, 2]


def test_an_operation_on_many_leaves_lists_their_number() -> None:
    leaves = [ad.ones(2).requires_grad_() for _ in range(20)]
    graph = draw(lambda: ad.stack(leaves)).graph
    crowd = next(node for node in graph.nodes if node.kind == "leaf")
    assert (crowd.title, crowd.details) == ("20 leaves", ["40 elements"])
    assert crowd.tooltip[:2] == ["leaves[0] float32[2]", "leaves[1] float32[2]"]
    assert [edge.values for edge in graph.edges if edge.tail is crowd] == [20]
    assert len(graph.nodes) == 3


# ---- Size ------------------------------------------------------------------------------------------------------------


def test_long_chains_and_deep_modules_need_no_recursion() -> None:
    scope = MODE.scope

    def compute(x: Any) -> Any:
        for i in range(3000):
            MODE.scope = ".".join(["m"] * (i % 1500 + 1))
            x = x * x
        MODE.scope = scope
        return x

    program = record(compute, ad.ones(1))
    lines = lines_of(graph_of(program))
    assert sum("mul" in line and "label" in line for line in lines) == 3000
    assert operations(graph_of(program, depth=2)) == 3000


def test_building_is_linear_in_the_edges() -> None:
    """Counted, not timed: lines executed while a graph of n and of 2n records is built."""

    def lines_executed(records: int) -> int:
        def compute(x: Any) -> Any:
            first = x
            for _ in range(records):
                x = x * first
            return x

        program = record(compute, ad.ones(1))
        count = 0

        def trace(frame: Any, event: str, _: Any) -> Any:
            nonlocal count
            count += event == "line"
            return trace

        sys.settrace(trace)
        try:
            lines_of(graph_of(program))
        finally:
            sys.settrace(None)
        return count

    small, large = lines_executed(200), lines_executed(400)
    assert large < 2.1 * small


# ---- Errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: draw(3), DTypeError, "nothing here has records; expected a tensor, a Program"),
        (lambda: draw(ad.ones(2)), GradientError, r"to this tensor: what it is made from requires no gradient; "
         r"expected .*; got 2 float32, requires_grad=False; pass the function .* draw\(function, \*inputs\)"),
        (lambda: draw(ad.ones(2, requires_grad=True)), GradientError, "it was made by no operation; expected"),
        (lambda: draw(no_grad()(Net())(ad.ones(2, 3))), GradientError, r"it ran under no_grad\(\) at .*drawn.py:"),
        (lambda: draw([1, 2]), DTypeError, "no tensor in this list; expected a tensor, .*; got list of int; pass"),
        (lambda: draw(()), DTypeError, "no tensor in this tuple; expected .*; got an empty tuple; pass"),
        (lambda: draw(Net(), ad.ones(2, 3), dept=1), DTypeError, r"\[draw\] Net takes no argument 'dept'; expected x; "
         "got dept; .*; draw itself takes backward, depth, .*, legend"),
        (lambda: draw(record(ad.tanh, ad.ones(2)), dept=1), DTypeError, "no option 'dept'; expected backward, depth"),
        (lambda: timeline(record(ad.tanh, ad.ones(2)), depth=1), DTypeError, r"\[timeline\] there is no option"),
        (lambda: ad.record(Net(), ad.ones(2, 3), y=1), DTypeError, r"\[record\] Net takes no argument 'y'; expected x"),
        (lambda: draw(Net(), ad.ones(2, 3), depth=-1), ValueRangeError, "depth cannot be negative"),
        (lambda: draw(Net(), ad.ones(2, 3), roll=3), DTypeError, r"\[draw\] roll is on or off; .* True or False; got"),
        (lambda: draw(Net(), ad.ones(2, 3), depth="a"), DTypeError, "no whole number; expected 0, 1, 2, .* got 'a'"),
        (lambda: draw(Net()), DTypeError, r"Net was not given the inputs that it takes; .* x; got 0 .*draw\(Net, x\)"),
        (lambda: draw(Net(), 1, 2), DTypeError, r"not given the inputs that it takes; expected x; got 2 inputs"),
        (lambda: draw(ad.record(ad.tanh, ad.ones(2)), ad.ones(2)), DTypeError,
         r"\[draw\] nothing here is called with inputs, .* Program alone; got 1 more; .*draw\(function, \*inputs\)"),
        (lambda: draw(ad.ones(2, requires_grad=True).exp(), ad.ones(2)), DTypeError, "Tensor alone; got 1 more"),
        (lambda: draw(ad.tanh, ad.ones(2), against=3), DTypeError, "nothing in `against` has records; expected"),
        (lambda: draw(Net(), ad.ones(2, 3), direction="up"), ValueRangeError, "'TB' or 'LR'; got 'up'"),
        (lambda: draw(ad.tanh, ad.ones(2), backward=True), GradientError, r"\[draw\] this tensor requires no gradient"),
        (lambda: draw(record(ad.tanh, ad.ones(2)), backward=True), GradientError, "nothing .*; got Program"),
        (lambda: draw(lambda: None, backward=True), GradientError, "nothing is propagated back here; expected"),
        (lambda: ad.measure(5), DTypeError, r"\[measure\] this cannot be called; expected a function, .*got int"),
        (lambda: ad.record(ad.ones(1)), DTypeError, r"\[record\] this cannot be called; .*got Tensor"),
        (lambda: ad.measure(Net()), DTypeError, r"Net was not given .* expected x; got 0 .*measure\(Net, x\)"),
    ],
)
def test_errors(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


# ---- Recording -------------------------------------------------------------------------------------------------------


def test_record_returns_everything_that_ran() -> None:
    program = record(training_step, Net(), ad.ones(2, 3))
    program.verify()
    assert list(dict.fromkeys(r.phase for r in program)) == ["forward", "backward", "update"]
    assert [r.name for r, _ in program.outputs] == ["sum"]
    assert MODE.recorder is None


def test_record_finds_results_in_containers() -> None:
    program = record(lambda x: {"a": [x * x], "b": (x + x, x)}, ad.ones(2))
    assert [r.name for r, _ in program.outputs] == ["mul", "add"]


def test_record_ends_when_the_function_raises() -> None:
    with pytest.raises(ZeroDivisionError):
        record(lambda: 1 / 0)
    assert MODE.recorder is None


def test_nothing_to_draw_is_said() -> None:
    assert draw(lambda: None).graph.remarks == ["no operation has run"]


def test_graph_classes_are_what_they_say() -> None:
    graph = graph_of(record(lambda x: x * x, ad.ones(2)))
    assert all(isinstance(node, Node) for node in graph.nodes)
    assert all(isinstance(edge, Edge) for edge in graph.edges)
    assert isinstance(graph.root, Group)
