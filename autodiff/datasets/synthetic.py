"""Points in the plane with classes: small, seeded, and made where they are needed."""

from __future__ import annotations

import numpy as np

from autodiff.creation import rand, randn, randperm
from autodiff.eager import Tensor, wrap
from autodiff.errors import ValueRangeError
from autodiff.random import Generator
from autodiff.spec import Array

FLOAT64 = np.dtype(np.float64)


def spirals(
    n: int = 500, arms: int = 2, turns: float = 1.5, noise: float = 0.05, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Return points on spiral arms that wind around each other, one class an arm.

    Args:
        n: number of points, shared out evenly among the arms.
        arms: number of classes.
        turns: how often an arm goes around the centre.
        noise: standard deviation of what is added to each coordinate; the outer radius is 1.
        seed: of the points.

    Returns:
        Points float32 (n, 2), classes int64 (n,), in random order.

    Raises:
        ValueRangeError: for fewer points than arms, or a negative `noise`.

    >>> from autodiff.datasets import spirals
    >>> points, classes = spirals(100)
    >>> points.shape, classes.sum().item()
    ((100, 2), 50)
    """
    _check("spirals", n, arms, noise)
    generator = Generator().manual_seed(seed)
    classes = np.arange(n) % arms
    # The square root spreads the points evenly over the length of an arm.
    radius = np.sqrt(rand(n, generator=generator, dtype=FLOAT64).array)
    angle = 2 * np.pi * (turns * radius + classes / arms)
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return _shuffled(points, classes, noise, generator)


def two_moons(n: int = 500, noise: float = 0.1, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return points on two half circles of radius 1 that reach into each other.

    Args:
        n: number of points, half of them on each.
        noise: standard deviation of what is added to each coordinate.
        seed: of the points.

    Returns:
        Points float32 (n, 2), classes int64 (n,), in random order.

    Raises:
        ValueRangeError: for fewer than two points, or a negative `noise`.

    >>> from autodiff.datasets import two_moons
    >>> points, classes = two_moons(100)
    >>> points.shape, classes.sum().item()
    ((100, 2), 50)
    """
    _check("two_moons", n, 2, noise)
    generator = Generator().manual_seed(seed)
    classes = np.arange(n) % 2
    angle = np.pi * rand(n, generator=generator, dtype=FLOAT64).array
    upper = np.stack([np.cos(angle), np.sin(angle)], 1)
    points = np.where(classes[:, None] == 0, upper, [1.0, 0.5] - upper)
    return _shuffled(points, classes, noise, generator)


def blobs(
    n: int = 500, centres: int = 3, dimensions: int = 2, spread: float = 0.5, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Return points around random centres, one class a centre.

    Args:
        n: number of points, shared out evenly among the centres.
        centres: number of classes; the centres are uniform in [-4, 4] in each dimension.
        dimensions: number of coordinates.
        spread: standard deviation around a centre.
        seed: of centres and points.

    Returns:
        Points float32 (n, dimensions), classes int64 (n,), in random order.

    Raises:
        ValueRangeError: for fewer points than centres, or a negative `spread`.

    >>> from autodiff.datasets import blobs
    >>> points, classes = blobs(90, dimensions=3)
    >>> points.shape, classes.max().item()
    ((90, 3), 2)
    """
    _check("blobs", n, centres, spread)
    generator = Generator().manual_seed(seed)
    middle = 8 * rand(centres, dimensions, generator=generator, dtype=FLOAT64).array - 4
    classes = np.arange(n) % centres
    return _shuffled(middle[classes], classes, spread, generator)


def _shuffled(points: Array, classes: Array, noise: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Return points with noise and their classes, in random order."""
    points = points + noise * randn(*points.shape, generator=generator, dtype=FLOAT64).array
    order = randperm(len(points), generator=generator).array
    return wrap(points[order].astype(np.float32)), wrap(classes[order].astype(np.int64))


def _check(name: str, n: int, classes: int, noise: float) -> None:
    if not 1 <= classes <= n:
        raise ValueRangeError(name, "there must be at least one class, and a point for each",
                              got=f"{n} points, {classes} classes")
    if noise < 0:
        raise ValueRangeError(name, "a standard deviation cannot be negative", got=str(noise))
