"""What operations are called in pictures and texts: as the user's program calls them, and calls of several together."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

import numpy as np
import pytest
from drawn import assert_acyclic
from test_operations import converted, strided_copy

import autodiff as ad
from autodiff import nn, ops
from autodiff.nn import functional as F
from autodiff.primitive import OPERATIONS
from autodiff.program import Program
from autodiff.program_calls import calls_of, name_of
from autodiff.viz import draw
from autodiff.viz.graph import Graph, Group, Node


def groups_in(graph: Graph) -> list[Group]:
    found = [graph.root]
    for outer in found:
        found += [member for member in outer.members if isinstance(member, Group)]
    return found


def calls_in(graph: Graph) -> list[tuple[str, list[str]]]:
    """Return the calls of functions that are drawn as groups, with what is in them."""
    return [(group.title, [member.title for member in group.members]) for group in groups_in(graph) if group.is_call]


def operations(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if node.kind == "operation"]


@pytest.mark.parametrize("name", [name for name, operation in OPERATIONS.items()
                                  if name in ops.__all__ and not isinstance(operation.call, partial)])  # fmt: skip
def test_every_function_is_called_by_its_name(name: str) -> None:
    function = getattr(ops, name)
    for sample in OPERATIONS[name].samples():
        arguments, keywords = converted(sample, lambda x: ad.tensor(strided_copy(x)))
        program = ad.record(function, *arguments, **keywords)
        assert {name_of(record) for record in program} <= {function.__name__}
        assert len(set(calls_of(program))) <= 1
        assert not len(program) or f" {function.__name__}(" in str(program)


@pytest.mark.parametrize(("function", "names"), [
    (lambda x, v: x @ v, ["matmul"]),
    (lambda x, v: x.max(), ["max"]),
    (lambda x, v: x**3, ["pow"]),
    (lambda x, v: 2 - x, ["sub"]),
    (lambda x, v: 1 / x, ["div"]),
    (lambda x, v: x.T, ["T"]),
    (lambda x, v: x[0], ["getitem"]),
    (lambda x, v: x.flatten(), ["flatten"]),
    (lambda x, v: x.clone().abs_(), ["clone", "abs_"]),
    (lambda x, v: x.clone().tril_(), ["where", "copy"]),
])  # fmt: skip
def test_names_of_operators_and_methods(function: Any, names: list[str]) -> None:
    graph = draw(function, ad.ones(2, 3), ad.ones(3)).graph
    titles = [node.title for node in operations(graph)]
    assert titles[-len(names) :] == names


def test_a_single_operation_of_another_name_says_which_it_is() -> None:
    (node,) = operations(draw(lambda x: x.flatten(), ad.ones(2, 3)).graph)
    assert (node.title, node.details[0]) == ("flatten", "reshape")
    assert node.operations == ["reshape"]


def test_a_call_of_several_operations_is_a_group() -> None:
    x, y = ad.ones(3, requires_grad=True), ad.zeros(3)
    for picture in (draw(F.l1_loss, x, y), draw(F.l1_loss(x, y)), draw(lambda: F.l1_loss(x, y), backward=True)):
        forward = [group for group in groups_in(picture.graph) if group.is_call and group.phase == "forward"]
        assert [(group.title, [member.title for member in group.members]) for group in forward] == [
            ("l1_loss", ["sub", "abs", "mean"])]
        assert {leaf.parent.is_call for leaf in picture.graph.nodes if leaf.record is None} == {False}
        assert_acyclic(picture.graph)
    backward = {node.title for group in groups_in(picture.graph) if group.is_call and group.phase == "backward"
                for node in group.members}  # fmt: skip
    made = {record.name for record in picture.program if record.phase == "backward"}
    assert backward == made


def test_a_call_is_one_box_where_it_is_deeper_than_asked_for() -> None:
    x, y = ad.ones(3), ad.zeros(3)
    (box,) = [node for node in draw(F.l1_loss, x, y, depth=0).graph.nodes if node.records]
    assert (box.kind, box.title, box.details[0]) == ("module", "l1_loss", "3 operations")
    assert box.tooltip[0] == "call of l1_loss"


def test_two_calls_are_two_groups() -> None:
    x, y = ad.ones(3), ad.zeros(3)

    def several(x: Any, y: Any) -> Any:
        total = F.l1_loss(x, y) + F.l1_loss(y, x)
        for _ in range(3):
            total = total.reshape(1).repeat(2).std()
        chain = [F.l1_loss(z, y) for z in (x, y)]
        return total, chain

    program = ad.record(several, x, y)
    found = calls_in(draw(program).graph)
    assert Counter(name for name, _ in found)["l1_loss"] == 4
    assert all(parts == ["sub", "abs", "mean"] for name, parts in found if name == "l1_loss")
    names = [call.name for call in dict.fromkeys(calls_of(program)) if call]
    assert Counter(names) == {"l1_loss": 4, "add": 1, "reshape": 3, "repeat": 3, "std": 3}


@pytest.mark.parametrize("function", [
    lambda a, b: ad.einsum("i,j->ij", a, b),
    lambda a, b: ad.outer(a, b),
    lambda a, b: ad.kron(a, b),
    lambda a, b: ad.tensordot(a, b, 0),
    lambda a, b: ad.hstack([a, b]),
    lambda a, b: ad.linalg.matrix_power(ad.outer(a, b), 5),
])  # fmt: skip
def test_equal_operations_of_one_call_are_one_group(function: Any) -> None:
    a, b = ad.randn(3, requires_grad=True), ad.randn(3, requires_grad=True)

    def several(a: Any, b: Any) -> Any:
        return [function(a, b) for _ in range(3)]

    once, thrice = (ad.record(call, a, b) for call in (function, several))
    named = Counter(call.name for call in set(calls_of(once)) if call)
    assert set(named.values()) == {1}
    assert Counter(call.name for call in set(calls_of(thrice)) if call) == dict.fromkeys(named, 3)
    assert len({name for name, _ in calls_in(draw(once).graph)}) == len(calls_in(draw(once).graph))


def test_calls_of_a_tape_are_what_is_repeated() -> None:
    a, b = ad.randn(3, requires_grad=True), ad.randn(3, requires_grad=True)
    products = [ad.einsum("i,j->ij", a, b) for _ in range(3)]
    assert calls_in(draw(products[0]).graph) == [("einsum", ["reshape", "reshape", "mul"])]
    assert calls_in(draw(products).graph) == 3 * [("einsum", ["reshape", "reshape", "mul"])]
    x = a
    for _ in range(3):
        x = x.exp()
    assert calls_in(draw(x).graph) == []


@pytest.mark.parametrize("loss", [
    lambda y: y.std(), lambda y: y.std(dim=0).sum(), lambda y: y.tanh().var(dim=1).mean(),
    lambda y: F.normalize(y).sum(), lambda y: F.l1_loss(y, ad.zeros(32, 64)),
])  # fmt: skip
def test_a_call_is_one_group_in_each_lane_of_a_replay(loss: Any) -> None:
    model, x = nn.Linear(8, 64), ad.randn(32, 8)

    def step(x: Any) -> Any:
        model.zero_grad()
        result = loss(model(x))
        result.backward()
        return result

    compiled = ad.compile(step)
    for _ in range(2):
        compiled(x)
    for picture in (draw(step, x), draw(compiled)):
        groups = [(group.title, group.phase) for group in groups_in(picture.graph) if group.is_call]
        assert [phase for _, phase in groups] == ["forward", "backward"]
        assert len({title for title, _ in groups}) == 1
        assert_acyclic(picture.graph)


@pytest.mark.parametrize("clip", [nn.utils.clip_grad_norm_, nn.utils.clip_grad_value_])
def test_what_prepares_an_update_stands_outside_of_modules(clip: Any) -> None:
    model, x = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)), ad.randn(4, 2)
    optimizer = ad.optim.SGD(model.parameters(), lr=0.1)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        model(x).mean().backward()
        clip(model.parameters(), 1.0)
        optimizer.step()

    compiled = ad.compile(step)
    for _ in range(2):
        compiled(x)
    program = ad.record(step, x)
    for picture in (draw(program), draw(compiled), draw(Program.parse(str(program)))):
        (lane,) = [group for group in groups_in(picture.graph) if group.title == "update"]
        assert [member.title for member in lane.members] == [clip.__name__, "Sequential"]
        inside, model_inside = lane.members
        assert isinstance(inside, Group)
        assert isinstance(model_inside, Group)
        assert inside.is_call
        assert {node.kind for node in inside.members if isinstance(node, Node)} == {"operation"}
        assert [node.title for node in model_inside.members if isinstance(node, Node) and node.record] == ["sgd"]
        assert_acyclic(picture.graph)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.5)
        self.linear = nn.Linear(3, 3)
        self.loss = nn.L1Loss()

    def forward(self, x: Any) -> Any:
        return self.loss(self.drop(self.linear(x)), self.drop(F.normalize(x)))


def test_a_module_that_calls_a_function_of_its_name_is_one_group() -> None:
    graph = draw(Net(), ad.ones(2, 3), backward=True).graph
    assert_acyclic(graph)
    forward = [group for group in groups_in(graph) if group.phase == "forward"]
    assert [group.title for group in forward if group.is_call] == ["normalize"]
    assert [group.title for group in forward if group.module] == ["Net", "linear", "drop", "drop", "loss"]
    folded = draw(Net(), ad.ones(2, 3), depth=1).graph
    assert [node.title for node in folded.nodes if node.records] == ["linear", "drop", "normalize", "drop", "loss"]


def test_a_replay_has_the_names_of_its_recording() -> None:
    x, y = ad.ones(3), ad.zeros(3)
    compiled = ad.compile(lambda x, y: F.l1_loss(x, y) + x.max())
    for _ in range(2):
        compiled(x, y)
    graph = draw(compiled).graph
    assert "l1_loss" in {node.title for node in graph.nodes} | {group.title for group in groups_in(graph)}
    assert "max" in {node.title for node in graph.nodes}


def test_the_text_tells_the_calls() -> None:
    x, y = ad.ones(3), ad.zeros(3)
    text = str(ad.record(lambda: (F.l1_loss(x, y), F.l1_loss(y, x), x.max())))
    said = [line.partition("#")[2].rpartition("test_calls")[0].strip() for line in text.splitlines() if "#" in line]
    several = [f"l1_loss() {part} of 3" for part in (1, 2, 3)]
    assert said == [*several, *several, "max()"]
    read = Program.parse(text)
    assert str(read) == text
    assert calls_in(draw(read).graph)[:2] == 2 * [("l1_loss", ["sub", "abs", "mean"])]


def test_a_product_with_a_vector_has_its_operands_in_order() -> None:
    matrix, vector = (ad.randn(*shape, requires_grad=True) for shape in ((2, 3), (3,)))
    (node,) = operations(draw(matrix @ vector).graph)
    np.testing.assert_array_equal(node.jacobian(1), matrix.numpy(force=True))
    expected = np.einsum("ij,k->ijk", np.eye(2), vector.numpy(force=True))
    np.testing.assert_array_equal(node.jacobian(0), expected)


class Towers(nn.Module):
    """Equal operations in several modules."""

    def __init__(self, names: str) -> None:
        super().__init__()
        for name in names:
            self.add_module(name, nn.Tanh())

    def forward(self, x: Any) -> Any:
        for tower in self.children():
            x = tower(x)
        return x


@pytest.mark.parametrize("left", ["c", "b", "ac", "bd", "ad", "cd", "abd"])
def test_equal_operations_are_removed_from_their_own_modules(left: str) -> None:
    both = draw(Towers(left), ad.ones(2), against=Towers("abcd"))
    change = dict(zip([record.scope[-1] for record in both.program], both.program.columns["change"], strict=True))
    assert {name for name, what in change.items() if what == "removed"} == {*"abcd"} - {*left}


def test_a_tensor_from_a_closure_is_a_leaf_everywhere() -> None:
    weight, frozen = ad.ones(3, requires_grad=True), nn.Parameter(ad.ones(3), requires_grad=False)
    program = ad.record(lambda: (weight * frozen).exp())
    drawn = sorted(node.kind for node in draw(program).graph.nodes if node.record is None and node.kind != "output")
    held = sorted(holding.kind for holding in program.memory().holdings if holding.record is None)
    assert drawn == held == ["leaf", "parameter"]
