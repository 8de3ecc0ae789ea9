"""The way an optimizer takes down a surface over two weights, and the heights of that surface."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from autodiff.autograd.modes import enable_grad, no_grad
from autodiff.eager import Tensor, wrap
from autodiff.errors import ValueRangeError
from autodiff.spec import Array

Function = Callable[[Any, Any], Any]
Box = tuple[float, float, float, float]


class Path(NamedTuple):
    """Where an optimizer was.

    Attributes:
        points: (steps + 1, 2), the start first.
        values: (steps + 1,), of the function there.
    """

    points: Array
    values: Array


class Heights(NamedTuple):
    """A surface on a grid.

    Attributes:
        x: (columns,).
        y: (rows,).
        z: (rows, columns).
    """

    x: Array
    y: Array
    z: Array


def descend(
    function: Function, optimizer: Callable[[list[Tensor]], Any], start: Sequence[float], steps: int
) -> Path:
    """Return the points that an optimizer visits on a function of two weights, in float64.

    Args:
        function: ``function(x, y)`` of two tensors without dimensions.
        optimizer: makes the optimizer of a list of parameters: ``lambda p: optim.SGD(p, lr=0.1)``.
        start: first point.
        steps: number of steps.

    Raises:
        ValueRangeError: if the start is no point of the plane or `steps` is negative.

    >>> import autodiff as ad
    >>> from autodiff.landscape import descend, saddle
    >>> path = descend(saddle, lambda p: ad.optim.SGD(p, lr=0.1), (1.0, 0.5), 50)
    >>> path.points.shape, round(float(path.values[-1]), 3)
    ((51, 2), -1.0)
    """
    if len(start) != 2 or steps < 0:
        raise ValueRangeError("descend", "the start must be a point of the plane, and steps cannot be negative",
                              got=f"start={tuple(start)}, steps={steps}")
    # A new tensor: its gradient is nobody else's.
    point = wrap(np.array(start, np.float64)).requires_grad_()
    stepper = optimizer([point])
    points, values = [], []

    def closure() -> Tensor:
        stepper.zero_grad()
        value: Tensor = function(point[0], point[1])
        value.backward()
        return value

    with enable_grad():
        for _ in range(steps):
            points.append(point.array.copy())
            values.append(stepper.step(closure).item())
    with no_grad():
        values.append(function(point[0], point[1]).item())
    return Path(np.array([*points, point.array]), np.array(values))


@no_grad()
def heights(function: Function, box: Box, points: int = 121) -> Heights:
    """Return the values of a function of two weights on a grid, in float64.

    Args:
        function: ``function(x, y)`` of two tensors that broadcast.
        box: left, right, bottom, top.
        points: along each side, at least 2.

    Raises:
        ValueRangeError: if the box is empty or there are too few points.

    >>> from autodiff.landscape import heights, saddle
    >>> surface = heights(saddle, (-1, 1, -2, 2), points=5)
    >>> surface.z.shape, float(surface.z[0, 2])
    ((5, 5), 0.0)
    """
    left, right, bottom, top = box
    if not (left < right and bottom < top and points >= 2):
        raise ValueRangeError("heights", "there is nothing to look at",
                              expected="left < right, bottom < top, points >= 2",
                              got=f"box={tuple(box)}, points={points}")
    x, y = np.linspace(left, right, points), np.linspace(bottom, top, points)
    columns, rows = np.meshgrid(x, y)
    return Heights(x, y, function(wrap(columns), wrap(rows)).array)
