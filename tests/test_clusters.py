"""Where operations are shown: one cluster a module, also where the program comes back to it; what is computed again."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from drawn import assert_acyclic
from steps import classifier_step

import autodiff as ad
from autodiff import nn, optim
from autodiff.eager import tape_of
from autodiff.program import Program
from autodiff.program_columns import saved_bytes
from autodiff.program_scopes import scopes_of
from autodiff.utils.checkpoint import checkpoint
from autodiff.viz import draw
from autodiff.viz.building import graph_of
from autodiff.viz.graph import MODULE, OPERATION, Graph, Group, Node, nodes_in


def net() -> nn.Module:
    def block(features_in: int, features: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(features_in, features, 3, padding=1), nn.BatchNorm2d(features), nn.ReLU())

    return nn.Sequential(block(3, 8), block(8, 8), block(8, 8), nn.Flatten(), nn.Linear(8 * 64, 4))


def replayed(memory_budget: float | None) -> Program:
    """Return what is replayed of a training step of a small convolutional net."""
    ad.manual_seed(0)
    model = net()
    optimizer = ad.optim.SGD(model.parameters(), lr=0.1)

    compiled = ad.compile(classifier_step(model, optimizer), memory_budget=memory_budget)
    x, y = ad.randn(8, 3, 8, 8), ad.tensor([0, 1, 2, 3, 0, 1, 2, 3])
    for _ in range(2):
        compiled(x, y)
    program: Program = compiled.programs[0]
    return program


def members(group: Group) -> Counter[str]:
    return Counter(member.title for member in group.members if isinstance(member, Group) or member.kind == MODULE)


def groups_of(graph: Graph) -> list[Group]:
    found = [graph.root]
    for group in found:
        found += [member for member in group.members if isinstance(member, Group)]
    return found


@pytest.mark.parametrize("memory_budget", [None, 0.6, 0.1])
@pytest.mark.parametrize("depth", [None, 1, 2])
def test_a_module_is_one_cluster_in_each_lane(memory_budget: float | None, depth: int | None) -> None:
    program = replayed(memory_budget)
    graph = graph_of(program, depth=depth)
    assert sum(node.records for node in graph.nodes) == len(program)
    for group in groups_of(graph):
        # A fused operation of the backward pass that computes something again can stand between two of one module.
        most = 2 if memory_budget and group.phase == "backward" else 1
        assert max(members(group).values(), default=0) <= most, (group.phase, group.title, members(group))
    assert sum(sum(members(group).values()) for group in groups_of(graph)) < 45


@pytest.mark.parametrize("memory_budget", [None, 0.6])
def test_operations_stand_behind_what_they_are_made_from(memory_budget: float | None) -> None:
    program = replayed(memory_budget)
    graph = graph_of(program)
    place = {node.record: i for i, node in enumerate(graph.nodes) if node.record}
    phases = {node.record: node.phase for node in graph.nodes if node.record}
    for record in program:
        for operand in record.operands:
            if type(operand) is tuple and phases[operand[0]] == phases[record]:
                assert place[operand[0]] < place[record]
    assert_acyclic(graph_of(program, depth=1))


def test_what_is_computed_again_says_so() -> None:
    program = replayed(0.3)
    again = [all(phases) for phases in map(tuple, program.columns["recomputed"])]
    again = [bool(phases) and every for phases, every in zip(program.columns["recomputed"], again)]
    assert any(again)
    assert all(record.phase == "backward" for record, repeated in zip(program, again) if repeated)
    graph = graph_of(program)
    nodes = {node.record: node for node in graph.nodes if node.record}
    for record, repeated in zip(program, again):
        node = nodes[record]
        assert node.recomputed is repeated
        assert ("recomputed" in node.details) is repeated
        assert node.phase == ("forward" if repeated else record.phase)
    picture = draw(program)
    assert picture.source.count('style="rounded,filled,dashed"') == sum(again)
    assert ">recomputed</TD>" in picture.source
    folded = graph_of(program, depth=0)
    assert any(f"{sum(again):,} recomputed" in node.details for node in folded.nodes)


def test_what_is_computed_again_is_not_kept() -> None:
    plain, small = replayed(None), replayed(0.3)
    assert sum(saved_bytes(small)) < sum(saved_bytes(plain))
    graph = graph_of(small)
    saved = [edge for edge in graph.edges if edge.saved]
    assert saved
    assert not any(edge.tail.recomputed for edge in saved)
    kept = {(edge.tail.id, edge.head.id) for edge in saved}
    for edge in graph.edges:
        if edge.tail.record is not None and edge.head.recomputed and not edge.tail.recomputed:
            assert (edge.tail.id, edge.head.id) in kept


def test_a_difference_says_what_is_computed_again() -> None:
    function_of = {budget: replayed(budget) for budget in (None, 0.3)}
    picture = draw(function_of[0.3], against=function_of[None])
    assert any(node.recomputed for node in picture.graph.nodes)


def test_a_module_that_is_called_again_with_its_own_result_is_two_clusters() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Sequential(nn.Linear(3, 3), nn.Tanh())

        def forward(self, x: Any) -> Any:
            return self.layer(self.layer(x).exp())

    (lane,) = draw(Twice(), ad.ones(1, 3)).graph.root.members
    assert isinstance(lane, Group)
    (model,) = [member for member in lane.members if isinstance(member, Group)]
    assert members(model) == {"layer": 2}


def test_a_way_through_another_lane_leads_to_a_cluster_of_its_own() -> None:
    layer = nn.Sequential(nn.Linear(3, 3), nn.Tanh())

    def penalty(x: Any) -> Any:
        (gradient,) = ad.autograd.grad(layer(x).sum(), x, create_graph=True)
        return layer(gradient).sum()

    graph = draw(penalty, ad.ones(2, 3, requires_grad=True)).graph
    forward = next(lane for lane in graph.root.members if isinstance(lane, Group) and lane.phase == "forward")
    assert members(forward) == {"Sequential": 2}


def test_inputs_stand_outside_of_modules() -> None:
    def around(node: Node) -> int:
        return node.parent.depth

    graph = draw(net(), ad.ones(2, 3, 8, 8), backward=True).graph
    assert {around(node) for node in graph.nodes if node.kind == "input"} == {1}
    assert all(around(node) > 1 for node in graph.nodes if node.kind == OPERATION and node.title == "conv2d")


def test_folded_boxes_have_the_class_of_the_module() -> None:
    graph = draw(net(), ad.ones(2, 3, 8, 8), depth=1).graph
    details = {node.title: node.details[0] for node in graph.nodes if node.kind == MODULE}
    assert details == {"0": "Sequential", "1": "Sequential", "2": "Sequential", "3": "Flatten", "4": "Linear"}
    outermost = next(node for node in draw(net(), ad.ones(2, 3, 8, 8), depth=0).graph.nodes if node.kind == MODULE)
    assert (outermost.title, outermost.details[0]) == ("Sequential", "25 operations")


def adversaries() -> tuple[nn.Module, nn.Module]:
    return nn.LayerNorm(8), nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("trained", ["second", "both"])
def test_an_update_stands_in_the_model_that_reads_its_parameters(steps: int, trained: str) -> None:
    generator, critic = adversaries()
    parameters = [*critic.parameters(), *(generator.parameters() if trained == "both" else ())]
    optimizer = ad.optim.SGD(parameters, lr=0.1)

    def step(x: Any) -> None:
        for _ in range(steps):
            (critic(generator(x)).mean() - critic(x).mean()).backward()
            optimizer.step()

    program = ad.record(step, ad.ones(2, 8))
    expected = "Sequential" if trained == "second" else ""
    for same in (program, Program.parse(str(program))):
        scopes = scopes_of(same)
        found = [scope for record, scope in zip(same, scopes, strict=True) if record.phase == "update"]
        assert found == [expected] * steps


def test_an_update_of_parameters_that_nobody_has_read_stands_in_no_module() -> None:
    used, unused = adversaries()
    unused(ad.ones(1, 8))  # now its parameters have names
    optimizer = ad.optim.SGD(unused.parameters(), lr=0.1, weight_decay=0.1)
    unused(ad.ones(1, 8)).sum().backward()

    def step(x: Any) -> None:
        used(x)
        optimizer.step()

    assert scopes_of(ad.record(step, ad.ones(1, 8)))[-1] == ""


def test_shared_weights_are_updated_in_the_module_that_they_are_called_after() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
            self.second.weight = self.first.weight

        def forward(self, x: Any) -> Any:
            return self.first(self.second(x))

    model = Tied()
    optimizer = ad.optim.SGD([model.first.weight], lr=0.1)

    def step(x: Any) -> None:
        model(x).sum().backward()
        optimizer.step()

    assert scopes_of(ad.record(step, ad.ones(1, 3)))[-1] == "Tied.first"


class Shared(nn.Module):
    """A block that is called for parts of a batch, beside each other."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
        self.list = nn.ModuleList([self.block])

    def forward(self, x: Any) -> Any:
        return ad.cat([self.block(part) * part for part in x.chunk(4)])


def places(graph: Graph, title: str) -> list[int]:
    """Return how many operations each area or box of this title holds, in the order in which they stand."""
    return [sum(node.records for node in nodes_in(member)) for group in groups_of(graph) for member in group.members
            if member.title == title and (isinstance(member, Group) or member.kind == MODULE)]  # fmt: skip


@pytest.mark.parametrize("module", [nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.Tanh())])
def test_each_call_of_an_outermost_module_is_an_area(module: nn.Module) -> None:
    def parts(x: Any) -> Any:
        return ad.cat([module(part) for part in x.chunk(4)])

    kind = type(module).__name__
    operations = len(list(module.modules())) - (kind == "Sequential")
    graph = draw(parts, ad.ones(8, 4)).graph
    assert places(graph, kind) == [operations] * 4
    rolled = draw(parts, ad.ones(8, 4), roll=True).graph
    assert places(rolled, f"{kind} × 4") == [4 * operations]
    assert {edge.values for edge in rolled.edges if edge.tail.kind == "parameter"} == {4}


@pytest.mark.parametrize("title", ["block", "0"])
@pytest.mark.parametrize("compiled", [False, True])
def test_each_call_of_a_module_that_calls_others_is_an_area(title: str, compiled: bool) -> None:
    model, x = Shared(), ad.ones(8, 4)
    if title == "block":
        del model.list
        model.block = model.block  # its label is the last name that it was given

    def step(x: Any) -> None:
        model(x).sum().backward()

    replay = ad.compile(step)
    for _ in range(2):
        replay(x)
    program = replay.programs[0] if compiled else ad.record(step, x)
    graph = graph_of(program)
    assert sum(node.records for node in graph.nodes) == len(program)
    assert_acyclic(graph_of(program, depth=1))
    area = {record: group for group in groups_of(graph) for node in nodes_in(group) for record in program
            if group.title == title and group.module == "Sequential" and node.record is record}  # fmt: skip
    forward = [group for group in set(area.values()) if group.phase == "forward"]
    assert len(forward) == 4
    # An area of the backward lane goes with one of the forward lane: it propagates back through this call alone.
    pairs = {(area[record], area[origin]) for record, origin in zip(program, program.columns["origin"], strict=True)
             if record in area and origin in area}  # fmt: skip
    assert len(pairs) == len({pair[0] for pair in pairs}) == len({pair[1] for pair in pairs}) == 4


def test_a_tape_tells_the_calls_of_a_module_apart_that_calls_no_others() -> None:
    class Parts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: Any) -> Any:
            return ad.cat([self.layer(part) for part in x.chunk(4)])

    program = tape_of(Parts()(ad.ones(8, 4)))
    assert "module_calls" not in program.columns
    assert places(graph_of(program, depth=1), "layer") == [1] * 4


def test_blocks_of_equal_length_do_not_end_with_a_call() -> None:
    program = ad.record(Shared(), ad.ones(8, 4))
    graph = graph_of(program, block=9)
    assert [node.records for node in graph.nodes if node.kind == MODULE] == [9, 5]


def test_what_is_computed_again_stands_in_the_call_that_computed_it_first() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
    program = ad.record(lambda x: (checkpoint(module, x) + checkpoint(module, x * 2)).sum().backward(), ad.ones(2, 4))
    forward, backward = (lane for lane in graph_of(program).root.members if isinstance(lane, Group))
    assert members(forward)["Sequential"] == members(backward)["Sequential"] == 2
    assert places(Graph(forward, [], []), "Sequential") == [4, 4]


@pytest.mark.parametrize("compiled", [False, True])
def test_two_models_of_one_class_have_names_of_their_own(compiled: bool) -> None:
    first, second = (nn.Sequential(nn.Linear(4, 4), activation) for activation in (nn.Tanh(), nn.ReLU()))
    optimizer = optim.SGD(second.parameters(), lr=0.1)

    def step(x: Any) -> None:
        second(first(x).detach()).sum().backward()
        first(x)
        optimizer.step()

    x = ad.ones(2, 4)
    program = ad.record(step, x)
    if compiled:
        replay = ad.compile(step)
        for _ in range(2):
            replay(x)
        program = replay.programs[0]
    assert {record.scope for record in program} >= {"Sequential.0", "Sequential.1", "Sequential_2.0", "Sequential_2.1"}
    assert {scope for record, scope in zip(program, scopes_of(program), strict=True) if record.phase == "update"} == {
        "Sequential_2.0"}  # fmt: skip
    graph = graph_of(program)
    classes = {group.title: group.module for group in groups_of(graph)}
    assert classes["Sequential"] == classes["Sequential_2"] == "Sequential"
    assert {node.module for node in graph.nodes} >= {"Tanh", "ReLU"}
    states = {holding.module for holding in program.memory().holdings if holding.kind == "parameter"}
    assert states == {"Sequential.0", "Sequential_2.0"}


def test_a_parameter_outside_of_all_areas_has_the_name_of_its_model_where_there_are_several() -> None:
    first, second = (nn.Sequential(nn.Linear(4, 4), nn.Tanh()) for _ in range(2))
    graph = draw(lambda x: second(second(first(x))), ad.ones(2, 4)).graph
    names = {node.title for node in graph.nodes if node.kind == "parameter"}
    assert names == {"weight", "bias", "Sequential_2.0.weight", "Sequential_2.0.bias"}
