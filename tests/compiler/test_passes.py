"""Each pass alone: instructions before and after."""

from __future__ import annotations

from typing import Any

import pytest

import autodiff as ad
from autodiff.compiler import passes
from autodiff.compiler.instructions import Instruction, Kind, Step
from autodiff.compiler.tracer import Tracer
from autodiff.errors import PositionError
from autodiff.mode import MODE
from tests.compiler.steps import bits, classifying


def recorded(function: Any, *arguments: Any) -> Step:
    """Return a function's instructions as they were recorded."""
    tracer = Tracer()
    MODE.recorder = tracer
    try:
        result = function(*arguments)
    finally:
        MODE.recorder = None
    return Step(tracer, arguments, list(result) if isinstance(result, tuple) else [result], [], len(tracer.records))


def names(instructions: list[Instruction]) -> list[str]:
    return [x.primitive.name for x in instructions]


def test_what_nobody_reads_is_left_out() -> None:
    total = ad.zeros(2)

    def function(x: Any) -> Any:
        unused = x.exp()
        unused.add_(x.sin())
        used = x.cos()
        used.mul_(2.0)
        total.add_(x.tanh())
        return used[0]

    step = recorded(function, ad.ones(2))
    assert names(step.instructions) == ["exp", "sin", "add", "cos", "mul", "tanh", "add"]
    kept = passes.without_dead(step.instructions, {value.region for value in step.results})
    assert names(kept) == ["cos", "mul", "tanh", "add"]


def test_changes_outside_wait_for_the_last_check() -> None:
    count, scale, table = ad.zeros(()), ad.ones(2), ad.ones(3, 2)

    def function(x: Any, index: Any) -> Any:
        count.add_(1)  # waits
        scale.mul_(2.0)  # is read before the check
        y = x * scale
        return y + ad.nn.functional.embedding(index, table)

    step = recorded(function, ad.ones(2), ad.tensor([0, 1]))
    before = names(step.instructions)
    after = names(passes.with_late_writes(step.instructions))
    assert before.index("add") == 0
    assert after.index("mul") == 0
    assert after.index("add") > after.index("embedding")
    assert sorted(before) == sorted(after)


def test_buffers_are_as_before_after_an_error() -> None:
    net = ad.nn.Sequential(ad.nn.Linear(3, 4), ad.nn.BatchNorm1d(4))
    step = classifying(net, ad.optim.SGD(net.parameters(), lr=0.1))
    x = ad.tensor([[1.0, 2.0, 3.0], [0.0, 1.0, 5.0]])
    for _ in range(3):
        step(x, ad.tensor([0, 3]))
    before = bits(net)[: len(net.state_dict())]
    with pytest.raises(PositionError, match="got 4"):
        step(x, ad.tensor([0, 4]))
    assert bits(net)[: len(before)] == before


def test_regions_of_views_and_changes_in_place() -> None:
    def function(x: Any) -> Any:
        y = x * 2
        y[0].add_(1)
        return y.view(4), y

    step = recorded(function, ad.ones(2, 2))
    flat, whole = step.results
    assert flat.region is whole.region
    assert whole.region.kind is Kind.TEMPORARY
    assert [x.in_place for x in step.instructions] == [False, True]


def test_no_chain_brings_a_change_back_before_a_check() -> None:
    state, table = ad.zeros(300), ad.ones(3, 2)

    def function(x: Any, index: Any) -> Any:
        state.add_(x)
        return x.exp().sum(), ad.nn.functional.embedding(index, table)

    step = recorded(function, ad.ones(300), ad.tensor([0, 1]))
    late = passes.with_late_writes(step.instructions)
    assert names(late) == ["exp", "sum", "embedding", "add"]
    found = passes.with_chains(late, {value.region for value in step.results})
    assert names(found) == ["exp", "sum", "embedding", "add"]
