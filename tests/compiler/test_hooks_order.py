"""Hooks and contexts at the seam between a compiled function and a backward pass outside."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest

import autodiff as ad
from autodiff.utils.checkpoint import checkpoint

Compiling = Callable[[Callable[..., Any]], Callable[..., Any]]


def both(found: Callable[[Compiling], list[Any]]) -> None:
    """Assert that a function finds the same with eager and with compiled functions."""
    assert found(ad.compile) == found(lambda function: function)


def test_hooks_of_leaves_run_in_the_order_of_the_function_itself() -> None:
    def found(compiling: Compiling) -> list[Any]:
        weights = [ad.ones(2, requires_grad=True) for _ in range(4)]
        seen: list[str] = []
        for i, w in enumerate(weights):
            w.register_hook(lambda g, i=i: seen.append(f"gradient {i}"))
            w.register_post_accumulate_grad_hook(lambda w, i=i: seen.append(f"sum {i}"))
        a, b, c, d = weights
        run = compiling(lambda x: ((c * x + a) * d + b * c).sum())
        for _ in range(4):
            run(ad.ones(2)).backward()
        return seen

    both(found)


def test_leaves_of_results_without_a_backward_pass_get_no_gradient() -> None:
    def found(compiling: Compiling) -> list[Any]:
        a, b, c = [ad.ones(2, requires_grad=True) for _ in range(3)]
        run = compiling(lambda x: ((a * x).sum(), (b * x * c).sum()))
        grads = []
        for number in range(6):
            a.grad = b.grad = c.grad = None
            run(ad.full((2,), float(number)))[number % 2].backward()
            grads.append([None if w.grad is None else w.grad.tolist() for w in (a, b, c)])
        return grads

    both(found)


def test_a_result_without_a_backward_pass_changes_no_bit_of_the_gradients() -> None:
    def found(compiling: Compiling) -> list[Any]:
        w = ad.tensor([1.0, 2.0], requires_grad=True)

        def function(x: ad.Tensor) -> Any:
            y = w * x
            return (y * -0.0).sum(), y

        run = compiling(function)
        grads = []
        for _ in range(4):
            w.grad = None
            loss, _ = run(ad.ones(2))
            loss.backward()
            grads.append(w.grad.numpy().tobytes())
        return grads

    both(found)


@pytest.mark.parametrize("hooking", [
    lambda net, see: net[0].register_forward_hook(lambda *_: see("forward")),
    lambda net, see: net[1].register_forward_pre_hook(lambda *_: see("before")),
    lambda net, see: net[2].register_full_backward_hook(lambda *_: see("backward")),
    lambda net, see: net[0].weight.register_hook(lambda _: see("gradient")),
])  # fmt: skip
def test_hooks_in_a_checkpoint_run_as_often_as_in_the_function_itself(hooking: Callable[..., Any]) -> None:
    def found(compiling: Compiling) -> list[Any]:
        net = ad.nn.Sequential(ad.nn.Linear(3, 3), ad.nn.Tanh(), ad.nn.Linear(3, 3))
        seen: list[str] = []
        hooking(net, seen.append)

        def step(x: ad.Tensor) -> None:
            net.zero_grad()
            checkpoint(net, x).sum().backward()
            seen.append("step")  # in the first two calls

        run = compiling(step)
        for _ in range(5):
            run(ad.ones(2, 3))
        return [name for name in seen if name != "step"]

    both(found)


class Reader(ad.autograd.Function):
    """Looks at numbers, so that each replay calls it, and saves a tensor of its own."""

    saved: list[weakref.ref[ad.Tensor]]

    @staticmethod
    def forward(ctx: Any, x: ad.Tensor) -> ad.Tensor:
        factor = ad.ones(3) * x.sum().item()
        ctx.save_for_backward(factor)
        Reader.saved.append(weakref.ref(factor))
        return x * 2

    @staticmethod
    def backward(ctx: Any, g: ad.Tensor) -> ad.Tensor:
        (factor,) = ctx.saved_tensors
        return g * factor.sum().item()


@pytest.mark.parametrize("passes", [0, 1, 2])
def test_what_a_function_has_saved_is_freed_after_its_last_use(passes: int) -> None:
    Reader.saved = []
    w = ad.ones(2, requires_grad=True)

    @ad.compile
    def step(x: ad.Tensor) -> Any:
        w.grad = None
        loss = Reader.apply(w * x).sum()
        for number in range(passes):
            loss.backward(retain_graph=number + 1 < passes)
        return loss.detach()

    for number in range(5):
        step(ad.full((2,), float(number)))
        if passes:
            assert w.grad.tolist() == [passes * 6.0 * number * number] * 2
    assert [reference() for reference in Reader.saved[-3:]] == [None] * 3
