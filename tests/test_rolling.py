"""Steps of a loop, shown once: calls of one module, and operations that go on with what the ones before have made."""

from __future__ import annotations

from typing import Any

import pytest

import autodiff as ad
from autodiff import nn
from autodiff.program import Program
from autodiff.viz import draw
from autodiff.viz.building import graph_of
from autodiff.viz.graph import MODULE, OPERATION, Graph, Group, nodes_in
from autodiff.viz.rolling import roll


class Unrolled(nn.Module):
    """A cell called for each step of a sequence."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(3, 5)
        self.head = nn.Linear(5, 2)
        self.how = how

    def forward(self, x: Any) -> Any:
        h = c = ad.zeros(2, 5)
        outputs = []
        steps = x.unbind(0) if self.how == "list" else x if self.how == "heads" else (x[t] for t in range(len(x)))
        for step in steps:
            h, c = self.cell(step, (h, c))
            if self.how == "heads":
                outputs.append(self.head(h))
        return ad.stack(outputs) if outputs else self.head(h)


def groups_of(graph: Graph) -> list[Group]:
    found = [graph.root]
    for group in found:
        found += [member for member in group.members if isinstance(member, Group)]
    return found


def times(graph: Graph) -> list[str]:
    groups = [group.title for group in groups_of(graph) if group.copies > 1]
    return groups + [node.title for node in graph.nodes if " × " in node.title and node.kind == MODULE]


@pytest.mark.parametrize("how", ["list", "slices", "heads"])
@pytest.mark.parametrize("steps", [8, 64])
@pytest.mark.parametrize("depth", [None, 1])
def test_time_steps_are_rolled_up(how: str, steps: int, depth: int | None) -> None:
    x = ad.randn(steps, 2, 3)
    full = draw(Unrolled(how), x, depth=depth).graph
    graph = draw(Unrolled(how), x, roll=True, depth=depth).graph
    assert sum(node.records for node in graph.nodes) == sum(node.records for node in full.nodes)
    assert any("LSTMCell" in title and title.endswith(f"× {steps}") for title in times(graph)), times(graph)
    assert sum(node.kind == OPERATION for node in graph.nodes) < 40
    assert len(graph.nodes) < 60


@pytest.mark.parametrize("steps", [8, 64])
def test_an_input_stands_outside_of_the_blocks(steps: int) -> None:
    graph = draw(Unrolled("slices"), ad.randn(steps, 2, 3), roll=True, depth=1).graph
    (x,) = [node for node in graph.nodes if node.kind == "input"]
    assert x.parent.depth == 1
    assert [edge.values for edge in graph.edges if edge.tail is x] == [steps]


def test_parameters_stand_in_the_module_that_is_called_again() -> None:
    graph = draw(Unrolled("slices"), ad.randn(10, 2, 3), depth=1).graph
    cells = [node for node in graph.nodes if node.title == "cell"]
    assert len(cells) == 10
    assert all("4 parameters, 200 elements" in node.details for node in cells)
    assert not any(node.kind == "parameter" for node in graph.nodes)
    between = [edge for edge in graph.edges if edge.tail in cells and edge.head in cells]
    assert [edge.values for edge in between] == [2] * 9


def test_a_training_step_in_time_can_be_read() -> None:
    model = Unrolled("slices")

    def step(x: Any) -> Any:
        loss = model(x).square().mean()
        loss.backward()
        return loss

    graph = draw(step, ad.randn(64, 2, 3), roll=True).graph
    assert len(graph.nodes) < 200
    assert not any("shown to depth" in remark for remark in graph.remarks)


def test_a_loop_without_modules() -> None:
    weight = ad.ones(3, 3)

    def iterate(x: Any) -> Any:
        for _ in range(10):
            x = (x @ weight).tanh()
        return x

    graph = draw(iterate, ad.ones(2, 3), roll=True).graph
    (title,) = times(graph)
    assert title.endswith("tanh × 10")
    around = [edge for edge in graph.edges if edge.again]
    assert [(edge.tail.title, edge.values) for edge in around] == [("tanh", 9)]


@pytest.mark.parametrize("count", [4, 40])
def test_many_operations_side_by_side(count: int) -> None:
    def compute(x: Any) -> Any:
        return ad.stack([part.exp() for part in x.unbind(0)])

    expected = [] if count == 4 else ["exp × 40"]
    assert times(draw(compute, ad.ones(count, 3), roll=True).graph) == expected


def test_modules_of_one_operation_are_rolled_up() -> None:
    layers = [layer for _ in range(5) for layer in (nn.Linear(3, 3), nn.ReLU())]
    assert times(draw(nn.Sequential(*layers), ad.ones(2, 3), roll=True).graph) == ["Linear · ReLU × 5"]
    assert times(draw(nn.Sequential(*[nn.Tanh() for _ in range(5)]), ad.ones(3), roll=True).graph) == ["Tanh × 5"]


def test_two_steps_of_operations_are_shown() -> None:
    assert times(draw(lambda x: x.exp().tanh().exp().tanh(), ad.ones(3), roll=True).graph) == []


def test_a_long_loop_is_small() -> None:
    def compute(x: Any) -> Any:
        for _ in range(5000):
            x = x * 2 + 1
        return x

    picture = draw(compute, ad.ones(1), roll=True)
    assert times(picture.graph) == ["mul … add × 5,000"]
    assert len(picture.graph.nodes) == 4


class Towers(nn.Module):
    """Four equal towers of three equal floors, joined twice: each floor goes on with two values of the one below."""

    class Floor(nn.Module):
        def forward(self, x: Any, y: Any) -> Any:
            return (x + y).tanh(), (x * y).exp()

    class Tower(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.floors = nn.ModuleList([Towers.Floor() for _ in range(3)])

        def forward(self, x: Any, y: Any) -> Any:
            for floor in self.floors:
                x, y = floor(x, y)
            return x, y

    def __init__(self) -> None:
        super().__init__()
        self.towers = nn.ModuleList([Towers.Tower() for _ in range(4)])

    def forward(self, x: Any, y: Any) -> Any:
        for tower in self.towers:
            x, y = tower(x, y)
        return x + y


@pytest.mark.parametrize("depth", [None, 4])
def test_arrows_to_the_next_are_counted_for_each_run_alone(depth: int | None) -> None:
    """Within a tower two steps lead from floor to floor, and three from tower to tower; not five of both kinds."""
    graph = draw(Towers(), ad.ones(3), ad.ones(3), roll=True, depth=depth).graph
    around = [edge for edge in graph.edges if edge.again]
    per_step = 2 if depth else 1  # a floor that is one box carries both values on one arrow
    counts = {edge.again: edge.values for edge in around}
    assert counts == {1: 3 * per_step, 2: 2 * per_step}
    for edge in around:
        title = "Tower × 4" if edge.again == 1 else "Floor × 3"
        assert edge.tooltip.endswith(f"from one to the next: {title}")
        assert f"{edge.values}×" in draw(Towers(), ad.ones(3), ad.ones(3), roll=True, depth=depth).source


def lanes_of(graph: Graph) -> list[Group]:
    return [member for member in graph.root.members if isinstance(member, Group)]


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))


OPTIMIZERS: dict[str, Any] = {
    "sgd": lambda parameters: ad.optim.SGD(parameters, lr=0.1),
    "momentum": lambda parameters: ad.optim.SGD(parameters, lr=0.1, momentum=0.9),
    "adam": ad.optim.Adam,
}


def training(kind: str, steps: int, zero: bool = True, total: bool = False) -> Any:
    model = mlp()
    optimizer = OPTIMIZERS[kind](list(model.parameters()))

    def train(x: Any) -> Any:
        losses: Any = 0
        for _ in range(steps):
            if zero:
                optimizer.zero_grad()
            loss = model(x).square().mean()
            loss.backward()
            optimizer.step()
            losses = losses + loss if total else loss
        return losses

    return train


def assert_no_edge_is_lost(program: Program, depth: int | None) -> None:
    """Each edge of the whole graph has one between the nodes that stand for its ends, and there are no others."""
    full, rolled = graph_of(program, depth=depth), graph_of(program, depth=depth)
    roll(rolled)
    assert sum(node.records for node in rolled.nodes) == len(program)
    runs = (OPERATION, MODULE)
    shown = {other.id: node.id for node in rolled.nodes for other in (node, *node.others)}
    assert set(shown) >= {node.id for node in full.nodes if node.kind in runs}
    ends = {(shown[edge.tail.id], shown[edge.head.id]) for edge in full.edges
            if edge.tail.kind in runs and edge.head.kind in runs}  # fmt: skip
    assert {(edge.tail.id, edge.head.id) for edge in rolled.edges
            if edge.tail.kind in runs and edge.head.kind in runs} == ends  # fmt: skip
    left = set(rolled.nodes)
    assert all(edge.tail in left and edge.head in left for edge in rolled.edges)
    assert {node for lane in lanes_of(rolled) for node in nodes_in(lane)} == left


@pytest.mark.parametrize("kind", list(OPTIMIZERS))
@pytest.mark.parametrize("depth", [None, 0, 1])
def test_training_steps_are_rolled_up(kind: str, depth: int | None) -> None:
    program = ad.record(training(kind, 6), ad.ones(3, 4))
    graph = draw(program, roll=True, depth=depth).graph
    assert [(lane.title, lane.copies) for lane in lanes_of(graph)] == [
        ("forward × 6", 6), ("backward × 6", 6), ("update × 6", 6)]
    (update,) = [node for node in graph.nodes if node.phase == "update" and node.records]
    assert update.records == 6
    assert {edge.values for edge in graph.edges if edge.again and edge.tail.phase != edge.head.phase} <= {5, 10, 20}
    assert [node.title for node in graph.nodes if node.kind == "output"] == ["output"]
    assert_no_edge_is_lost(program, depth)


@pytest.mark.parametrize("total", [False, True])
def test_a_first_step_that_differs_is_shown_whole(total: bool) -> None:
    program = ad.record(training("sgd", 6, zero=total, total=total), ad.ones(3, 4))
    titles = [lane.title for lane in lanes_of(draw(program, roll=True).graph)]
    assert titles == ["forward 1", "backward 1", "update 1", "forward 2–6 × 5", "backward 2–6 × 5", "update 2–6 × 5"]
    assert_no_edge_is_lost(program, None)


def test_lanes_of_several_steps_have_numbers() -> None:
    graph = draw(training("sgd", 2), ad.ones(3, 4)).graph
    assert [lane.title for lane in lanes_of(graph)] == [
        f"{phase} {step}" for step in (1, 2) for phase in ("forward", "backward", "update")]


def test_steps_that_take_turns_are_rolled_up() -> None:
    generator, critic = nn.Linear(4, 8), nn.Linear(8, 1)
    optimizers = [ad.optim.SGD(model.parameters(), lr=0.1) for model in (generator, critic)]

    def train(x: Any) -> None:
        for _ in range(4):
            for optimizer, sign in zip(optimizers, (-1, 1), strict=True):
                generator.zero_grad()
                critic.zero_grad()
                made = generator(x) if sign < 0 else generator(x).detach()
                (sign * critic(made).mean()).backward()
                optimizer.step()

    program = ad.record(train, ad.ones(2, 4))
    assert [lane.title for lane in lanes_of(draw(program, roll=True).graph)] == [
        f"{phase} {step} × 4" for step in (1, 2) for phase in ("forward", "backward", "update")]
    assert_no_edge_is_lost(program, None)


def test_batches_that_are_given_one_for_each_step_are_one_box() -> None:
    model = mlp()
    optimizer = ad.optim.Adam(model.parameters())

    def train(batches: Any) -> Any:
        losses = []
        for x in batches:
            optimizer.zero_grad()
            losses.append(model(x).square().mean())
            losses[-1].backward()
            optimizer.step()
        return losses

    graph = draw(train, [ad.ones(3, 4) for _ in range(5)], roll=True).graph
    assert {node.title for node in graph.nodes if node.kind == "input"} == {"batches[0] … batches[4]"}
    assert [node.title for node in graph.nodes if node.kind == "output"] == ["output 0 … output 4"]


@pytest.mark.parametrize("filled", [False, True])
def test_backward_passes_that_add_gradients_up_are_not_cut(filled: bool) -> None:
    model = nn.Linear(4, 2)
    if filled:
        model(ad.ones(1, 4)).sum().backward()

    def parts(x: Any) -> None:
        for part in x.chunk(6):
            model(part).square().mean().backward()

    program = ad.record(parts, ad.ones(6, 4))
    graph = draw(program, roll=True).graph
    backward = lanes_of(graph)[1]
    (block,) = [member for member in backward.members if isinstance(member, Group) and member.copies > 1]
    begins = [node.title for node in nodes_in(block) if node.records]
    assert block.copies == (6 if filled else 5)
    assert (begins[0], begins[-1]) == ("div", "add")
    assert_no_edge_is_lost(program, None)


def test_a_first_step_that_reads_leaves_does_not_shift_the_blocks() -> None:
    """Batch norm's statistics are leaves in the first of four steps: a block was the loss of one and the next model."""
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))

    def step(xs: Any, ys: Any) -> None:
        for i in range(4):
            (ad.nn.functional.cross_entropy(model(xs[i]), ys[i]) / 4).backward()

    graph = draw(step, ad.ones(4, 8, 4), ad.zeros(4, 8, dtype=ad.int64), roll=True).graph
    forward = graph.root.members[0]
    assert isinstance(forward, Group)
    (block,) = (member for member in forward.members if isinstance(member, Group) and member.copies == 3)
    titles = [member.title for member in block.members if isinstance(member, Group) or member.kind == OPERATION]
    assert titles == ["getitem", "Sequential", "getitem", "cross_entropy", "div"]
