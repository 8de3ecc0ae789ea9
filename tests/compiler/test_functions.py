"""The user's own functions, checkpoints and hooks inside compiled functions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.compiler.calls import RecordingError
from autodiff.utils.checkpoint import checkpoint
from tests.compiler.steps import Net, batch, bits


class Scaled(ad.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: ad.Tensor, w: ad.Tensor) -> ad.Tensor:
        y = (x * w).exp()
        ctx.save_for_backward(x, w, y)
        return y

    @staticmethod
    def backward(ctx: Any, g: ad.Tensor) -> tuple[ad.Tensor, ad.Tensor]:
        x, w, y = ctx.saved_tensors
        return g * y * w, (g * y * x).sum(0)


LAYER, WEIGHT = ad.nn.Linear(3, 3), ad.full((3,), 0.5, requires_grad=True)

FUNCTIONS: dict[str, Callable[[ad.Tensor], ad.Tensor]] = {
    "function": lambda x: Scaled.apply(LAYER(x), WEIGHT).sum(),
    "checkpoint": lambda x: checkpoint(lambda y: ad.nn.functional.dropout(LAYER(y), 0.5) * WEIGHT, x).sum(),
    "no_grad": lambda x: (LAYER(x) * _without_gradient(x)).sum() + WEIGHT.sum(),
    "inner gradient": lambda x: _penalty(x) + WEIGHT.sum(),
}


@ad.no_grad()
def _without_gradient(x: ad.Tensor) -> Any:
    return LAYER(x).tanh()


def _penalty(x: ad.Tensor) -> ad.Tensor:
    leaf = x.detach().requires_grad_()
    (gradient,) = ad.autograd.grad(LAYER(leaf).square().sum(), leaf, create_graph=True)
    result: ad.Tensor = gradient.square().mean()
    return result


def found(function: Callable[..., Any], x: ad.Tensor, inside: bool) -> list[bytes]:
    """Return the loss and all gradients; the backward pass runs inside the function or outside."""
    ad.manual_seed(3)
    loss = function(x)
    if not inside:
        loss.backward()
    return [loss.detach().numpy().tobytes(), *[p.grad.numpy().tobytes() for p in (*LAYER.parameters(), WEIGHT)]]


def agreeing(function: Any, inside: bool) -> Any:
    """Return a function compiled, with its backward pass or without, after calls that gave the bits of the function."""

    def step(x: ad.Tensor) -> ad.Tensor:
        loss = function(x)
        loss.backward()
        return loss

    whole = step if inside else function
    compiled = ad.compile(whole)
    for number in range(5):
        x = ad.randn(2, 3)
        results = []
        for run in (whole, compiled):
            for p in (*LAYER.parameters(), WEIGHT):
                p.grad = None
            results.append(found(run, x, inside))
        assert results[0] == results[1], number
    return compiled


@pytest.mark.parametrize("inside", [True, False], ids=["inside", "outside"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str, inside: bool) -> None:
    assert len(agreeing(FUNCTIONS[name], inside).programs) == 1


@pytest.mark.parametrize("inside", [True, False], ids=["inside", "outside"])
def test_a_checkpoint_changes_what_it_changes_twice(inside: bool) -> None:
    nets = Net(), Net()

    def step(x: ad.Tensor, net: Net = nets[0]) -> ad.Tensor:
        net.zero_grad()
        loss = ad.nn.functional.dropout(checkpoint(net, x), 0.5).sum()
        if inside:
            loss.backward()
        return loss

    compiled = ad.compile(partial(step, net=nets[1]))
    for number in range(5):
        drawn = []
        for run in (step, compiled):
            ad.manual_seed(number)
            loss = run(batch(number)[0])
            if not inside:
                loss.backward()
            drawn.append(ad.rand(1).item())
        assert bits(nets[0]) == bits(nets[1])
        assert drawn[0] == drawn[1]
    assert nets[1].norm.num_batches_tracked.item() == 10


# ---- Functions that look at numbers ----------------------------------------------------------------------------------


def array(x: ad.Tensor) -> Any:
    return x.detach().numpy()


class Forward(ad.autograd.Function):
    """Only the forward pass leaves the library; a number and a tensor of its own go to the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: ad.Tensor, w: ad.Tensor) -> ad.Tensor:
        sine = ad.from_numpy(np.sin(array(x)))
        ctx.save_for_backward(x, w, sine)
        ctx.largest = float(array(x).max())
        return sine * w

    @staticmethod
    def backward(ctx: Any, g: ad.Tensor) -> tuple[ad.Tensor, ad.Tensor]:
        x, w, sine = ctx.saved_tensors
        return g * x.cos() * w * ctx.largest, (g * sine).sum(0)


class Backward(ad.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: ad.Tensor, w: ad.Tensor) -> ad.Tensor:
        y = x.exp() * w
        ctx.save_for_backward(x, w)
        ctx.y = y
        return y

    @staticmethod
    def backward(ctx: Any, g: ad.Tensor) -> tuple[ad.Tensor, ad.Tensor]:
        x, _ = ctx.saved_tensors
        return ad.from_numpy(array(g) * array(ctx.y)), ad.from_numpy((array(g) * np.exp(array(x))).sum(0))


class Two(ad.autograd.Function):
    """Two results, one of them without a gradient; one gradient is the cotangent itself, one is None."""

    @staticmethod
    def forward(ctx: Any, x: ad.Tensor, w: ad.Tensor) -> tuple[ad.Tensor, ad.Tensor]:
        places = ad.from_numpy(array(x).argsort(0))
        ctx.mark_non_differentiable(places)
        return ad.from_numpy(array(x) + array(w)), places

    @staticmethod
    def backward(ctx: Any, g: ad.Tensor, _: Any) -> tuple[ad.Tensor, None]:
        assert array(g).size
        return g, None


LOOKING: dict[str, Callable[[ad.Tensor], ad.Tensor]] = {
    "forward": lambda x: Forward.apply(LAYER(x), WEIGHT).sum(),
    "backward": lambda x: Backward.apply(LAYER(x), WEIGHT).square().sum(),
    "two": lambda x: (lambda y, places: (y * y * places).sum() + WEIGHT.sum())(*Two.apply(LAYER(x), WEIGHT)),
    "twice": lambda x: Forward.apply(Forward.apply(LAYER(x), WEIGHT), WEIGHT).sum(),
}


@pytest.mark.parametrize("inside", [True, False], ids=["inside", "outside"])
@pytest.mark.parametrize("name", LOOKING)
def test_functions_that_look_at_numbers_are_called_in_each_replay(name: str, inside: bool) -> None:
    (program,) = agreeing(LOOKING[name], inside).programs
    assert any(record.name in ("Forward", "Backward_grad", "Two") for record in program)


def test_contexts_of_calls_whose_backward_passes_wait() -> None:
    compiled, inputs, found = ad.compile(LOOKING["forward"]), [ad.randn(2, 3) for _ in range(3)], []
    for run in (compiled, compiled, compiled, LOOKING["forward"]):
        losses = [run(x) for x in inputs]
        found.append([])
        for loss in losses:
            WEIGHT.grad = None
            loss.backward()
            assert WEIGHT.grad is not None
            found[-1].append(WEIGHT.grad.tolist())
    assert found[1:] == [found[-1]] * 3


class Hands(ad.autograd.Function):
    kept: ad.Tensor

    @staticmethod
    def forward(ctx: Any, x: ad.Tensor) -> ad.Tensor:
        Hands.kept = x * 2
        return ad.from_numpy(np.sin(array(x)))

    @staticmethod
    def backward(ctx: Any, g: ad.Tensor) -> ad.Tensor:
        return g


class Changes(ad.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: ad.Tensor) -> ad.Tensor:
        x.mul_(float(array(x).max()))
        ctx.mark_dirty(x)
        return x

    @staticmethod
    def backward(ctx: Any, g: ad.Tensor) -> ad.Tensor:
        return g


@pytest.mark.parametrize("function", [
    lambda x: Hands.apply(x) + Hands.kept,
    lambda x: Changes.apply(x * 1),
    lambda x: (OUTSIDE.append(x + 1), Looks.apply(x, x), OUTSIDE.pop())[1],
], ids=["hands on", "changes", "looks"])  # fmt: skip
def test_what_a_function_that_looks_at_numbers_must_not_do(function: Callable[[ad.Tensor], ad.Tensor]) -> None:
    compiled = ad.compile(function)
    compiled(ad.ones(3))
    with pytest.raises(RecordingError, match="numpy asks for the numbers of a tensor"):
        compiled(ad.ones(3))


class Looks(ad.autograd.Function):
    """It looks at a tensor that it is not given."""

    @staticmethod
    def forward(ctx: Any, x: ad.Tensor, y: Any) -> ad.Tensor:
        return ad.from_numpy(np.sin(array(OUTSIDE[0])))

    @staticmethod
    def backward(ctx: Any, g: ad.Tensor) -> tuple[ad.Tensor, None]:
        return g, None


OUTSIDE: list[Any] = []
