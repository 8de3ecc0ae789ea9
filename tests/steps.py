"""Training steps that several tests take."""

from __future__ import annotations

from typing import Any

from autodiff import nn


def classifier_step(model: Any, optimizer: Any) -> Any:
    """Return a step of a classifier."""

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step
