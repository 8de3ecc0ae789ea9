"""What a training's steps look like from above.

Xing et al., "A walk with SGD", 2018, arXiv:1802.08770: the loss on the straight line from each step's weights to the
next shows whether the optimizer walks along a valley's floor, or bounces between its walls at a height above it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from autodiff.eager import wrap
from autodiff.errors import ValueRangeError
from autodiff.landscape.around import kept, numbers_of
from autodiff.nn.module import Module
from autodiff.random import default_generator
from autodiff.spec import Array


class Walk:
    """Records a training step by step: the loss along each step, height over the floor, distance, angles.

    Args:
        model: what is trained.
        points: places on the line of each step at which the loss is measured, both ends included: at least 2.

    Attributes:
        losses: for each step, an array (points,) from the weights before it to those after it.
        distances: for each step, how far the weights after it are from those at the beginning.
        lengths: for each step, how far it went.
        angles: for each step from the second on, the angle between its gradient and the one before, in degrees.

    Raises:
        ValueRangeError: for fewer than 2 points.

    >>> import autodiff as ad
    >>> from autodiff.landscape import Walk
    >>> _ = ad.manual_seed(0)
    >>> model = ad.nn.Linear(2, 1)
    >>> optimizer = ad.optim.SGD(model.parameters(), lr=0.1)
    >>> walk = Walk(model, points=5)
    >>> for _ in range(3):
    ...     x = ad.randn(8, 2)
    ...     loss = model(x).square().mean()
    ...     optimizer.zero_grad()
    ...     loss.backward()
    ...     with walk.step(lambda: model(x).square().mean()):
    ...         optimizer.step()
    >>> len(walk.losses), len(walk.angles), bool(walk.heights.min() >= 0)
    (3, 2, True)
    """

    def __init__(self, model: Module, points: int = 10) -> None:
        if points < 2:
            raise ValueRangeError("Walk", "a line has two ends", expected="points >= 2", got=str(points))
        self.model = model
        self.points = points
        self.losses: list[Array] = []
        self.distances: list[float] = []
        self.lengths: list[float] = []
        self.angles: list[float] = []
        self._start = self._weights()
        self._gradient: Array | None = None

    @property
    def heights(self) -> Array:
        """For each step, how far its first weights lie above the lowest place on its line: (steps,)."""
        return np.array([losses[0] - losses.min() for losses in self.losses])

    @contextmanager
    def step(self, measure: Callable[[], Any]) -> Iterator[None]:
        """Watch one step: ``with walk.step(lambda: loss of this batch): optimizer.step()``.

        Args:
            measure: the loss of the model as it is, on the batch of this step. It runs without gradients; weights,
                running statistics and random numbers are afterwards what they were.
        """
        before = {name: x.array.copy() for name, x in self.model.named_parameters()}
        gradient = _vector([x.grad.array for x in self.model.parameters() if x.grad is not None])
        yield
        if self._gradient is not None and self._gradient.shape == gradient.shape:
            self.angles.append(_angle(self._gradient, gradient))
        self._gradient = gradient
        weights = self._weights()
        self.distances.append(float(np.linalg.norm(weights - self._start)))
        self.lengths.append(float(np.linalg.norm(weights - _vector(list(before.values())))))
        losses = []
        with kept(self.model) as tensors:
            state = default_generator.state()
            for t in np.linspace(0, 1, self.points):
                for name, (x, after) in tensors.items():
                    # The ends are the weights themselves, without rounding; buffers are those after the step.
                    first = before.get(name, after)
                    x.copy_(wrap(after if t == 1 else np.asarray(first + t * (after - first), after.dtype)))
                default_generator.restore(state)  # the same masks of dropout in each place
                losses.append(numbers_of(measure())["loss"])
        self.losses.append(np.array(losses))

    def _weights(self) -> Array:
        return _vector([x.array for x in self.model.parameters()])


def _vector(arrays: list[Array]) -> Array:
    return np.concatenate([np.zeros(0), *[array.ravel() for array in arrays]], dtype=np.float64)


def _angle(first: Array, second: Array) -> float:
    """Return the angle between two vectors in degrees; NaN where one of them is zero."""
    lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(np.degrees(np.arccos(np.clip(first @ second / lengths, -1, 1)))) if lengths else float("nan")
