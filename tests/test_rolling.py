"""Steps of a loop, shown once: calls of one module, and operations that go on with what the ones before have made."""

from __future__ import annotations

from typing import Any

import pytest

import autodiff as ad
from autodiff import nn
from autodiff.viz import draw
from autodiff.viz.graph import MODULE, OPERATION, Graph, Group


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
