"""A small net with everything that makes compiling hard: dropout, batch norm, an attribute that scales."""

from __future__ import annotations

from typing import Any

import numpy as np

import autodiff as ad


class Net(ad.nn.Module):
    """(N, 4) -> (N, 3)."""

    def __init__(self) -> None:
        super().__init__()
        ad.manual_seed(1)
        self.inner = ad.nn.Linear(4, 6)
        self.norm = ad.nn.BatchNorm1d(6)
        self.drop = ad.nn.Dropout(0.3)
        self.outer = ad.nn.Linear(6, 3)
        self.scale = 1.0

    def forward(self, x: ad.Tensor) -> ad.Tensor:
        result: ad.Tensor = self.outer(self.drop(self.norm(self.inner(x)).tanh())) * self.scale
        return result


def batch(number: int) -> list[ad.Tensor]:
    """Return inputs and targets."""
    rng = np.random.default_rng(number)
    return [ad.tensor(rng.standard_normal((5, 4), np.float32)), ad.tensor(rng.integers(0, 3, 5))]


def twins() -> list[tuple[Net, Any]]:
    """Return two equal nets, each with its loss."""

    def made() -> tuple[Net, Any]:
        net = Net()
        return net, lambda x, y: ad.nn.functional.cross_entropy(net(x), y)

    return [made(), made()]


def bits(net: Any) -> list[bytes]:
    """Return parameters and gradients as bytes."""
    found = [x.detach().numpy().tobytes() for x in net.state_dict().values()]
    return found + [p.grad.numpy().tobytes() for p in net.parameters() if p.grad is not None]


def classifying(net: Any, optimizer: Any) -> Any:
    """Return the compiled step of a classifier."""

    @ad.compile
    def step(x: ad.Tensor, y: ad.Tensor) -> ad.Tensor:
        optimizer.zero_grad()
        loss = ad.nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def falling() -> tuple[ad.Tensor, Any, Any]:
    """Return a weight, its optimizer, and the compiled step that takes the learning rate, 1, from it."""
    w = ad.tensor([1.0], requires_grad=True)
    optimizer = ad.optim.SGD([w], lr=1.0)

    @ad.compile
    def step() -> None:
        optimizer.zero_grad()
        w.sum().backward()
        optimizer.step()

    return w, optimizer, step
