"""Programs that compute values again to take less memory."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.compiler import arena
from autodiff.compiler.instructions import Instruction, Step
from autodiff.compiler.rematerialisation import Timeline, with_less_memory
from autodiff.errors import ValueRangeError
from tests.compiler.steps import Net, batch, bits
from tests.compiler.test_passes import names, recorded

F = ad.nn.functional


def smaller(step: Step, most: float) -> tuple[list[Instruction], int]:
    kept = [value.region for value in step.results]
    found, _ = with_less_memory(step.instructions, step.forward, kept, most)
    return found, arena.size(found, kept)


def chain(x: Any) -> Any:
    """Four values of 4 kB wait until the last is there."""
    a = x.sin()
    b = a.exp()
    c = b.cos()
    d = c.sqrt()
    return (d * c * b * a).sum()


def test_values_are_computed_again_where_they_are_read_next() -> None:
    step = recorded(chain, ad.ones(1000))
    kept = [value.region for value in step.results]
    before = arena.size(step.instructions, kept)
    assert names(step.instructions) == ["sin", "exp", "cos", "sqrt", "mul", "mul", "mul", "sum"]
    found, size = smaller(step, before - 4000)
    assert names(found) == ["sin", "exp", "cos", "sqrt", "mul", "mul", "sin", "mul", "sum"]
    assert size < before
    (again,) = found[6].outputs
    assert again in found[7].inputs
    assert again.region is not found[0].outputs[0].region


def test_nothing_changes_where_the_budget_is_large_enough() -> None:
    step = recorded(chain, ad.ones(1000))
    found, _ = smaller(step, 1e9)
    assert found == step.instructions


def test_a_value_is_not_made_again_of_what_has_changed() -> None:
    state = ad.ones(1000)

    def function(x: Any) -> Any:
        a = state * x
        b = a.exp().cos()
        state.add_(1.0)
        return (b.sin() * b * a).sum()

    step = recorded(function, ad.ones(1000))
    found, _ = smaller(step, 1)
    assert names(found).count("mul") == 3


def test_a_view_of_what_is_made_again_moves_with_it() -> None:
    def function(x: Any) -> Any:
        a = x.sin()
        part = a.reshape(10, 100)[2:]
        b = (a.exp().cos() * x).tanh()
        return b.sum() + part.sum()

    x = ad.rand(1000)
    found, _ = smaller(recorded(function, x), 1)
    assert names(found).count("sin") == 2
    compiled = ad.compile(function, memory_budget=0.1)
    results = [compiled(x).item() for _ in range(3)]
    assert results == [function(x).item()] * 3


@pytest.mark.parametrize("budget", [0.9, 0.5, 0.01, 2000])
def test_the_backward_pass_outside_finds_what_it_needs(budget: float) -> None:
    nets = Net(), Net()
    optimizers = [ad.optim.Adam(net.parameters()) for net in nets]
    losses = [lambda x, y, net=net: F.cross_entropy(net(x), y) for net in nets]
    losses[1] = ad.compile(losses[1], memory_budget=budget)
    for number in range(5):
        for optimizer, loss in zip(optimizers, losses, strict=True):
            ad.manual_seed(number)
            optimizer.zero_grad()
            loss(*batch(number)).backward()
            optimizer.step()
        assert bits(nets[0]) == bits(nets[1])


def deep(x: Any, weights: Any) -> Any:
    for weight in weights:
        x = F.silu(x @ weight).tanh()
    return x.square().mean()


def test_a_budget_in_bytes_is_kept_and_explained() -> None:
    rng = np.random.default_rng(0)
    weights = [ad.tensor(rng.standard_normal((32, 32), np.float32) / 6, requires_grad=True) for _ in range(8)]

    def step(x: Any) -> Any:
        for weight in weights:
            weight.grad = None
        loss = deep(x, weights)
        loss.backward()
        return loss

    x = ad.tensor(rng.standard_normal((512, 32), np.float32))
    plain, small = ad.compile(step), ad.compile(step, memory_budget=900_000)
    found = []
    for run in (plain, small):
        for _ in range(3):
            loss = run(x)
        found.append((loss.item(), [weight.grad.numpy().tobytes() for weight in weights]))
    assert found[0] == found[1]
    sizes = [run._recorded[0]._lowered[0].memory.nbytes for run in (plain, small)]
    assert sizes[1] < 0.75 * sizes[0]
    assert "(budget 0.9 MB: temporaries 0." in small.explain()
    assert "budget" not in plain.explain()


@pytest.mark.parametrize("budget", [0, -1.0, float("nan")])
def test_a_budget_is_positive(budget: float) -> None:
    with pytest.raises(ValueRangeError, match="memory budget is not positive"):
        ad.compile(deep, memory_budget=budget)


def layers(count: int) -> Step:
    """Return the training step of a net with this many layers."""
    weights = [ad.tensor(np.eye(8, dtype=np.float32), requires_grad=True) for _ in range(count)]

    def step(x: Any) -> Any:
        for weight in weights:
            x = F.gelu(x @ weight) + x[:, :1]
        loss = x.square().mean()
        loss.backward()
        return loss

    return recorded(step, ad.ones(16, 8))


def choice(timeline: Timeline) -> Any:
    """Return the places of what would be dropped: where it is written, and what runs again."""
    pause = timeline.best()
    if pause is None:
        return None
    return timeline._made(timeline._regions[pause]), timeline._position[list(timeline._again[pause])].tolist()


def test_a_timeline_after_drops_is_that_of_its_instructions() -> None:
    step = layers(12)
    kept = [value.region for value in step.results]
    timeline = Timeline(step.instructions, kept)
    drops = 0
    while (pause := timeline.best()) is not None and drops < 60:
        timeline.drop(pause)
        drops += 1
        anew = Timeline(timeline.instructions, kept)
        assert (timeline.peak, timeline.time) == (anew.peak, anew.time)
        assert choice(timeline) == choice(anew)
    assert drops > 10


def test_the_work_a_budget_takes_grows_with_the_program() -> None:
    calls = []
    for count in (50, 200):
        step = layers(count)
        made: list[str] = []
        sys.setprofile(lambda frame, event, argument, made=made: made.append(event))
        smaller(step, 1)
        sys.setprofile(None)
        calls.append(len(made))
    assert calls[1] < 6 * calls[0]  # 4 times as many layers; 16 times with a timeline made anew for each drop
