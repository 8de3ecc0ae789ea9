"""What is computed twice is computed once, where nobody can tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.compiler.instructions import Instruction, Step
from autodiff.compiler.repeats import exact, without_repeats
from autodiff.errors import PositionError
from tests.compiler.test_passes import names, recorded


def merged(step: Step) -> list[Instruction]:
    return without_repeats(step.instructions, step.forward, [value.region for value in step.results])[0]


def test_an_equal_instruction_is_left_out_and_its_readers_read_the_first() -> None:
    def function(x: Any) -> Any:
        a, b = (x * 2).exp(), (x * 2).exp()
        return (a * b.t()[0]).sum()

    step = recorded(function, ad.ones(2, 2))
    assert names(step.instructions) == ["mul", "exp", "mul", "exp", "mul", "sum"]
    found = merged(step)
    assert names(found) == ["mul", "exp", "mul", "sum"]
    first, product = found[1].outputs[0], found[2]
    assert [value.region for value in product.inputs] == [first.region] * 2
    assert product.inputs[1].source is not None


def test_equal_views_are_one_value() -> None:
    step = recorded(lambda x: (x.t()[0].exp() * x.t()[0].exp() * x.t()[1].exp()).sum(), ad.ones(2, 2))
    assert names(merged(step)) == ["exp", "mul", "exp", "mul", "sum"]


def _changed_between(x: Any) -> Any:
    y = x * 2
    a = y.exp()
    y.add_(1)
    return (a * y.exp()).sum()


def _changed_through_a_view(x: Any) -> Any:
    y = x * 2
    a = y.exp()
    y[0].add_(1)
    return (a * y.exp()).sum()


def _changed_afterwards(x: Any) -> Any:
    a, b = x.exp(), x.exp()
    a.add_(1)
    return (a * b).sum()


@pytest.mark.parametrize("function", [
    _changed_between,
    _changed_through_a_view,
    _changed_afterwards,
    lambda x: (ad.rand_like(x) * ad.rand_like(x)).sum(),
    lambda x: (ad.nn.functional.dropout(x) * ad.nn.functional.dropout(x)).sum(),
    lambda x: (x.exp(), x.exp()),
    lambda x: (x.sum(0) * x.sum(1)).sum(),
], ids=["input", "view", "result", "draws", "dropout", "results", "parameters"])  # fmt: skip
def test_what_differs_or_is_changed_stays(function: Callable[[Any], Any]) -> None:
    step = recorded(function, ad.ones(2, 2))
    before = names(step.instructions)
    assert names(merged(step)) == before
    compiled = ad.compile(function)
    for number in range(4):
        results = []
        for run in (function, compiled):
            ad.manual_seed(number)
            outputs = run(ad.full((2, 2), float(number)))
            results.append([x.tolist() for x in (outputs if isinstance(outputs, tuple) else (outputs,))])
        assert results[0] == results[1]


def test_numbers_are_equal_that_have_one_sign_and_one_type() -> None:
    assert len({exact(x) for x in (0, 0.0, -0.0, False, 1, 1.0, True, (1,), (1.0,), None, "1")}) == 11
    assert exact((float("nan"), 2)) == exact((float("nan"), 2))


def test_of_two_equal_checks_the_first_stays() -> None:
    table = ad.ones(3, 2)

    def function(index: Any) -> Any:
        return (ad.nn.functional.embedding(index, table) * ad.nn.functional.embedding(index, table)).sum()

    step = recorded(function, ad.tensor([0, 1]))
    assert names(merged(step)) == ["embedding", "mul", "sum"]
    compiled = ad.compile(function)
    for _ in range(3):
        compiled(ad.tensor([0, 1]))
    with pytest.raises(PositionError, match="got 7"):
        compiled(ad.tensor([0, 7]))


def test_the_backward_pass_outside_reads_anew() -> None:
    w = ad.tensor([1.0, 2.0], requires_grad=True)
    found = ad.compile(lambda x: (x * w.exp() * w.exp()).sum())
    for number in range(4):
        w.grad = None
        x = ad.tensor([float(number), 1.0])
        found(x).backward()
        assert w.grad is not None
        expected = 2 * x.numpy() * np.exp(2 * w.detach().numpy())
        np.testing.assert_allclose(w.grad.numpy(), expected, rtol=1e-5)
    program = found.programs[0]
    assert [record.name for record in program].count("exp") <= 1
