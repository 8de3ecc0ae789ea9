"""Arguments and `.grad`s that lie on each other's memory: a replay changes what the function itself would change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.compiler.calls import RecordingError
from autodiff.errors import InPlaceError

Step = Callable[[ad.Tensor, ad.Tensor], Any]
Maker = Callable[[ad.Tensor], Step]


def numbers(*values: float) -> ad.Tensor:
    return ad.tensor([float(x) for x in values])


def _backward(w: ad.Tensor, x: ad.Tensor) -> ad.Tensor:
    loss = (w * w * x).sum()
    loss.backward()
    return loss.detach()


def _cleared(w: ad.Tensor) -> Step:
    def step(x: ad.Tensor, g: ad.Tensor) -> Any:
        w.grad = None
        g.mul_(2)
        return _backward(w, x) + g.sum()

    return step


def _written_late(w: ad.Tensor) -> Step:
    optimizer = ad.optim.SGD([w], lr=0.01, momentum=0.9)

    def step(x: ad.Tensor, g: ad.Tensor) -> Any:
        optimizer.zero_grad()
        loss = _backward(w, x)
        optimizer.step()
        g.add_(w.grad[: len(g)])
        return loss + g.sum()

    return step


def _set_to_zero(w: ad.Tensor) -> Step:
    optimizer = ad.optim.SGD([w], lr=0.01)

    def step(x: ad.Tensor, g: ad.Tensor) -> Any:
        optimizer.zero_grad(set_to_none=False)
        g.add_(1)
        loss = _backward(w, x)
        optimizer.step()
        return loss + g.sum()

    return step


def _accumulated(w: ad.Tensor) -> Step:
    def step(x: ad.Tensor, g: ad.Tensor) -> Any:
        before = g.sum()
        loss = _backward(w, x)
        g.mul_(0.5)
        return loss + before * g.sum()

    return step


def _replaced(w: ad.Tensor) -> Step:
    def step(x: ad.Tensor, g: ad.Tensor) -> Any:
        loss = (w * w * x).sum()
        w.grad = w.grad * 0.5 + ad.autograd.grad(loss, [w])[0]
        g.mul_(3)
        return loss.detach() + g.sum()

    return step


def _returned(w: ad.Tensor) -> Step:
    def step(x: ad.Tensor, g: ad.Tensor) -> Any:
        w.grad = None
        _backward(w, x)
        return g

    return step


def _old_returned(w: ad.Tensor) -> Step:
    def step(x: ad.Tensor, g: ad.Tensor) -> Any:
        old = w.grad
        w.grad = None
        return _backward(w, x) + g.sum(), old

    return step


def _run(step: Step, w: ad.Tensor, arguments: Callable[[ad.Tensor, int], ad.Tensor]) -> list[Any]:
    w.grad, seen = numbers(0.5, 0.25, -1), []
    for number in range(7):
        g = arguments(w, number)
        results = step(numbers(number, 2, 0.5), g)
        tensors = [g, w, w.grad, *(results if isinstance(results, tuple) else (results,))]
        seen.append([x.tolist() for x in tensors])
    return seen


@pytest.mark.parametrize("arguments", [
    lambda w, number: w.grad,
    lambda w, number: w.grad[:2],
    lambda w, number: ad.from_numpy(w.grad.numpy()[1:]),
    lambda w, number: w.grad if number > 3 else numbers(1, 2, 3),
    lambda w, number: w.grad if number < 3 else numbers(1, 2, 3),
], ids=["grad", "part", "numpy", "grad_later", "grad_at_first"])  # fmt: skip
@pytest.mark.parametrize("make", [
    _cleared, _written_late, _set_to_zero, _accumulated, _replaced, _returned, _old_returned,
])  # fmt: skip
def test_an_argument_that_is_an_earlier_gradient(make: Maker, arguments: Callable[[ad.Tensor, int], Any]) -> None:
    eager, w = [numbers(1, 2, 3).requires_grad_() for _ in range(2)]
    assert _run(ad.compile(make(w)), w, arguments) == _run(make(eager), eager, arguments)


def test_a_variable_that_is_an_earlier_gradient() -> None:
    w, eager = [numbers(1, 2).requires_grad_() for _ in range(2)]
    kept = numbers(5, 6)

    def step(x: ad.Tensor) -> ad.Tensor:
        w.grad = None
        return _backward(w, x) + kept.sum()

    compiled = ad.compile(step)
    for number in range(9):
        if number == 4:
            kept = w.grad
        before = kept.sum().item()
        assert compiled(numbers(number, 2)).item() == _backward(eager, numbers(number, 2)).item() + before
    assert kept.tolist() == [6, 8]


@pytest.mark.parametrize("late", [False, True])
def test_gradients_in_one_buffer(late: bool) -> None:
    """A `.grad` that leaves the buffer, or comes to it, is another recording."""

    def run(compiled: bool) -> list[Any]:
        w, v, flat, seen = numbers(1, 2).requires_grad_(), numbers(3, 4).requires_grad_(), ad.zeros(4), []

        def step(x: ad.Tensor) -> ad.Tensor:
            before = flat * 2
            (w * v * x).sum().backward()
            return before + flat

        call = ad.compile(step) if compiled else step
        for number in range(8):
            inside = (number >= 4) is late
            w.grad, v.grad = (flat[:2], flat[2:]) if inside else (ad.zeros(2), ad.zeros(2))
            seen.append([x.tolist() for x in (call(numbers(number, 2)), w.grad, v.grad, flat)])
        return seen

    assert run(compiled=True) == run(compiled=False)


def test_a_gradient_that_is_also_found_outside() -> None:
    def run(compiled: bool) -> list[Any]:
        w, total, seen = numbers(1, 2).requires_grad_(), numbers(0, 0), []

        def step(x: ad.Tensor) -> ad.Tensor:
            total.mul_(0.5)
            _backward(w, x)
            return total * 2

        call = ad.compile(step) if compiled else step
        for number in range(8):
            w.grad = total if number < 4 else numbers(7, 8)
            seen.append([x.tolist() for x in (call(numbers(number, 2)), w.grad, total)])
        return seen

    assert run(compiled=True) == run(compiled=False)


@pytest.mark.parametrize("clear", [False, True])
def test_the_gradient_of_a_parameter_that_has_changed_in_place(clear: bool) -> None:
    """It is still that parameter's, read anew and set."""

    def run(compiled: bool) -> list[Any]:
        w, seen = numbers(1, 2).requires_grad_(), []

        def step(x: ad.Tensor) -> ad.Tensor:
            with ad.no_grad():
                w.mul_(0.5)
            before = (w.grad * x).sum()
            if clear:
                w.grad = None
            return _backward(w, x) + before

        call = ad.compile(step) if compiled else step
        w.grad = numbers(3, 4)
        for number in range(8):
            if number == 4:
                w.grad = numbers(7, 8)
            seen.append([x.tolist() for x in (call(numbers(number, 2)), w, w.grad)])
        return seen

    assert run(compiled=True) == run(compiled=False)


def test_a_backward_pass_that_needs_a_gradient_of_an_earlier_call() -> None:
    w, v = numbers(1, 2).requires_grad_(), numbers(3, 4).requires_grad_()

    def step(x: ad.Tensor) -> ad.Tensor:
        w.grad = None
        _backward(w, x)
        return (w.grad * v).sum()

    compiled = ad.compile(step)
    for number in range(3):
        compiled(numbers(number, 1))
    first, second = compiled(numbers(1, 1)), compiled(numbers(2, 1))
    with pytest.raises(InPlaceError, match="by another call"):
        first.backward()
    second.backward()
    assert v.grad.tolist() == [4, 4]


def _changed(a: ad.Tensor, b: ad.Tensor) -> ad.Tensor:
    first = b * 2
    a.mul_(0.5)
    return first - b * 3


_COLUMNS = (slice(None), slice(None, None, 2)), (slice(None), slice(1, None, 2))
_HALVES = (slice(None), slice(None, 2)), (slice(None), slice(2, None))
_ROWS = slice(2), slice(2, None)


@pytest.mark.parametrize("places", [_COLUMNS, _HALVES, _ROWS], ids=["columns", "halves", "rows"])
@pytest.mark.parametrize("numpy", [False, True])
@pytest.mark.parametrize("outside", [0, 1, 2])
def test_parts_of_one_memory_that_take_turns(places: Any, numpy: bool, outside: int) -> None:
    """Both may be arguments, or the one that changes, or the other, a tensor from outside."""

    def parts() -> tuple[Any, ad.Tensor, ad.Tensor]:
        memory = np.arange(16, dtype=np.float32).reshape(4, 4)
        whole = ad.from_numpy(memory)
        a, b = [ad.from_numpy(memory[place]) if numpy else whole[place] for place in places]
        return memory, a, b

    memories = []
    for compiled in (False, True):
        memory, a, b = parts()
        step: Any = [_changed, lambda b, a=a: _changed(a, b), lambda a, b=b: _changed(a, b)][outside]
        step = ad.compile(step) if compiled else step
        results = [step(*[(a, b), (b,), (a,)][outside]).tolist() for _ in range(4)]
        memories.append((memory.tolist(), results))
    assert memories[0] == memories[1]


def test_columns_then_tensors_that_lie_apart() -> None:
    compiled = ad.compile(_changed)
    for number in range(9):
        found = []
        for step in (compiled, _changed):
            a, b = ad.arange(12.0).reshape(2, 6)[:, ::2], ad.arange(12.0).reshape(2, 6)[:, 1::2]
            if number % 3:
                whole = ad.arange(12.0).reshape(2, 6)
                a, b = whole[:, number % 3 - 1 :: 2], whole[:, 2 - number % 3 :: 2]
            found.append([x.tolist() for x in (step(a, b), a, b)])
        assert found[0] == found[1]


def test_columns_of_a_tensor_from_outside_that_an_argument_overlaps() -> None:
    whole = ad.arange(12.0).reshape(2, 6)
    compiled = ad.compile(lambda a, b=whole[:, ::2]: _changed(a, b))
    for _ in range(3):
        compiled(whole[:, 1::2])
    with pytest.raises(RecordingError, match=r"an argument shares memory with a tensor from outside.*clone\(\)"):
        compiled(whole[:, ::2])
