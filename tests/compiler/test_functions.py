"""The user's own functions, checkpoints and hooks inside compiled functions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import autodiff as ad
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


@pytest.mark.parametrize("inside", [True, False], ids=["inside", "outside"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str, inside: bool) -> None:
    function = FUNCTIONS[name]

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
    assert len(compiled.programs) == 1


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
