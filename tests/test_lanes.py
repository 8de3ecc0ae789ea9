"""The phases of a training step: lanes side by side in the order they ran, in each of which data flows one way."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
from drawn import Net, needs_layout, training_step

import autodiff as ad
from autodiff import nn
from autodiff.nn.functional import cross_entropy, mse_loss
from autodiff.program import Program
from autodiff.recording import record
from autodiff.viz import draw
from autodiff.viz.building import graph_of
from autodiff.viz.dot import PHASES
from autodiff.viz.graph import nodes_in
from benchmarks.workloads import language


def test_phases_of_a_training_step_are_lanes() -> None:
    graph = graph_of(record(training_step, Net(), ad.ones(2, 3)))
    assert [lane.title for lane in graph.root.members] == ["forward", "backward", "update"]
    assert any(edge.saved for edge in graph.edges)
    assert all((edge.tail.phase, edge.head.phase) == ("forward", "backward") for edge in graph.edges if edge.saved)
    updates = [node for node in graph.nodes if node.phase == "update" and node.kind == "operation"]
    assert len(updates) == 2 * len(list(Net().parameters()))
    assert all(node.parent.title in ("first", "second", "head") for node in updates)


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Any) -> Any:
        h = self.bn1(self.conv1(x)).relu()
        return (self.bn2(self.conv2(h)) + x).relu()


def step_of(model: Any, *inputs: Any) -> Any:
    """Return the records of a training step with Adam."""
    optimizer = ad.optim.Adam(model.parameters())

    def step() -> None:
        optimizer.zero_grad()
        results = model(*inputs)
        (results[0] if isinstance(results, tuple) else results).sum().backward()
        optimizer.step()

    return record(step)


class Tower(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.blocks = nn.Sequential(*(Residual(8) for _ in range(3)))
        self.head = nn.Linear(8, 10)

    def forward(self, x: Any) -> Any:
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


def restless_steps() -> dict[str, Any]:
    """Return steps whose many lines between the phases let Graphviz like another order of them as much."""
    lstm = language.torch_like(ad, "LSTM", batch=2, length=5)
    return {"tower": step_of(Tower(), ad.ones(1, 3, 8, 8)), "lstm": step_of(lstm.model, ad.tensor(lstm.batch[0]))}


@pytest.mark.parametrize("depth", [1, 2, None])
@pytest.mark.parametrize("name", ["tower", "lstm"])
def test_phases_stand_side_by_side_in_the_order_they_ran(name: str, depth: int | None) -> None:
    picture = draw(restless_steps()[name], depth=depth).pipe("svg").decode()
    area = r'class="cluster">\s*<title>cluster_\d+</title>.*?<text[^>]* x="([-0-9.]+)"[^>]*>(\w+)'
    areas = re.findall(area, picture, re.DOTALL)
    places = {title: float(x) for x, title in areas if title in PHASES}
    assert sorted(places, key=places.__getitem__) == list(PHASES)


class Cell(nn.Module):
    """The first state of the cell is one tensor, which the first step reads twice."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(3, 4)

    def forward(self, x: Any) -> Any:
        h = c = ad.zeros(2, 4)
        for step in range(len(x)):
            h, c = self.cell(x[step], (h, c))
        return h


class Autoencoder(nn.Module):
    """Its loss reads the input again, when all else has run."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(6, 3), nn.Linear(3, 6)

    def forward(self, x: Any) -> Any:
        return mse_loss(self.decoder(self.encoder(x).relu()), x)


def clipped_step(steps: int = 1) -> Program:
    """Return the records of steps whose gradients are clipped: the update has many lines of its own."""
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = ad.optim.Adam(model.parameters())

    def step(x: Any, y: Any) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            cross_entropy(model(x), y).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()

    return record(step, ad.ones(4, 8), ad.zeros(4, dtype=ad.int64))


def places(picture: Any) -> dict[str, tuple[float, float]]:
    """Return where Graphviz puts the boxes: to the right, and up."""
    lines = [line.split(" ") for line in picture.pipe("plain", encoding="utf-8").splitlines()]
    return {line[1]: (float(line[2]), float(line[3])) for line in lines if line[0] == "node"}


@needs_layout
@pytest.mark.parametrize("direction", ["TB", "LR"])
@pytest.mark.parametrize("roll", [False, True])
@pytest.mark.parametrize("depth", [0, 1, None])
@pytest.mark.parametrize("name", ["cell", "autoencoder", "clipped"])
def test_data_flows_one_way_in_each_phase(name: str, depth: int | None, roll: bool, direction: str) -> None:
    steps = {"cell": lambda: step_of(Cell(), ad.ones(5, 2, 3)), "clipped": clipped_step,
             "autoencoder": lambda: step_of(Autoencoder(), ad.ones(4, 6))}  # fmt: skip
    picture = draw(steps[name](), depth=depth, roll=roll, direction=direction)
    place = {}  # how far along the way forward, and how far from the first phase
    for id, (x, y) in places(picture).items():
        place[id] = (-y, x) if direction == "TB" else (x, -y)
    for edge in picture.graph.edges:
        if edge.tail.phase == edge.head.phase and not edge.again:
            tail, head = place[edge.tail.id][0], place[edge.head.id][0]
            assert tail > head if edge.head.phase == "backward" else tail < head, edge
    found = {phase: [place[node.id][1] for node in picture.graph.nodes if node.phase == phase] for phase in PHASES}
    assert max(found["forward"]) < min(found["backward"])
    assert max(found["backward"]) < min(found["update"])


def test_a_replay_is_one_step() -> None:
    """What a compiled step still has to do of the backward pass when the update has begun is in the same lane."""
    program = clipped_step()
    update = next(i for i, made in enumerate(program) if made.phase == "update")
    last = program.records[update - 1]
    program.records[update - 1 : update + 1] = program.records[update], last
    lanes = graph_of(program).root.members
    assert [lane.title for lane in lanes] == ["forward", "backward", "update"]


@needs_layout
@pytest.mark.parametrize("direction", ["TB", "LR"])
def test_two_steps_are_two_rows_of_three_lanes(direction: str) -> None:
    picture = draw(clipped_step(2), direction=direction)
    lanes = picture.graph.root.members
    assert [lane.title for lane in lanes] == [f"{phase} {step}" for step in (1, 2) for phase in PHASES]
    later = [edge for edge in picture.graph.edges if edge.later]
    assert {edge.tail.phase for edge in later} == {"update"}
    place = places(picture)
    if direction == "LR":  # turned: a row stands to the right of the one before, its lanes from the top down
        place = {name: (-up, -right) for name, (right, up) in place.items()}
    across, up = ([[place[node.id][axis] for node in nodes_in(lane)] for lane in lanes] for axis in (0, 1))
    for row in (across[:3], across[3:]):
        assert all(max(left) < min(right) for left, right in pairwise(row))
    assert max(max(lane) for lane in up[3:]) < min(min(lane) for lane in up[:3])


@needs_layout
@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("clear", [False, True])
@pytest.mark.parametrize("depth", [1, None])
def test_phases_of_steps_that_are_rolled_up_stand_in_order(depth: int | None, clear: bool, clip: bool) -> None:
    """Arrows go around from the update to the forward pass, and from running statistics to themselves."""
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = ad.optim.Adam(model.parameters())

    def steps(x: Any, y: Any) -> None:
        for _ in range(4):
            if clear:
                optimizer.zero_grad()
            cross_entropy(model(x), y).backward()
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()

    picture = draw(record(steps, ad.ones(4, 4), ad.zeros(4, dtype=ad.int64)), roll=True, depth=depth)
    place = places(picture)
    across = [[place[node.id][0] for node in nodes_in(lane)] for lane in picture.graph.root.members[-3:]]
    assert all(max(left) < min(right) for left, right in pairwise(across))


def test_what_a_step_hands_to_the_next_is_one_arrow() -> None:
    model = nn.Linear(2, 3)
    optimizer = ad.optim.Adam(model.parameters())

    def steps(x: Any) -> None:
        for _ in range(2):
            optimizer.zero_grad()
            model(x).sum().backward()
            optimizer.step()

    picture = draw(record(steps, ad.ones(4, 2)))
    first, second = (node.id for node in picture.graph.nodes if node.title == "adam")
    (arrow,) = re.findall(rf"\t{first} -> {second} (.*)", picture.source)
    assert 'xlabel="6×"' in arrow  # weight and bias with two states each
    assert "constraint=false" in arrow
    assert len([edge for edge in picture.graph.edges if (edge.tail.id, edge.head.id) == (first, second)]) == 6
