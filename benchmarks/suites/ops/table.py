"""What the table of operations is made of: an entry an operation, an input for each of its tensors.

    *entries("sin cos", reals(VECTOR))                             # torch.sin(x), torch.cos(x)
    *entries("softmax", reals(MATRIX), dim=1)                      # torch.nn.functional.softmax(x, dim=1)
    *entries("cat", X, X, call=lambda cat, *tensors: cat(tensors))
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from benchmarks.differentiation import Array, Draw, integers, uniform

SIZES = ("small", "medium", "large")  # about 1e3, 1e5 and 4e6 elements; fewer where each costs much
Shapes = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
VECTOR: Shapes = ((1_000,), (100_000,), (4_000_000,))
MATRIX: Shapes = ((32, 32), (320, 320), (2000, 2000))
ROWS: Shapes = ((32,), (320,), (2000,))  # a number for each row or column of MATRIX


class Input(NamedTuple):
    """A tensor that an operation takes: how to draw it at each size, and whether to differentiate by it."""

    draws: tuple[Draw, Draw, Draw]
    gradient: bool


class Entry(NamedTuple):
    """An operation: its inputs, and how it is called.

    Attributes:
        name: in autodiff's table of operations.
        path: of PyTorch's function, in `torch.nn.functional`, `torch` or `torch.Tensor`; autodiff's is the same.
        inputs: its tensors.
        call: ``call(function, *tensors)``.
        gradient: whether it has one.
        images: whether PyTorch takes part a second time, with channels-last memory.
        random: whether it draws: then shape, dtype and moments of the results must agree instead of the results.
        tolerance: largest difference between answers, relative to the largest magnitude.
    """

    name: str
    path: str
    inputs: tuple[Input, ...]
    call: Callable[..., Any]
    gradient: bool
    images: bool
    random: bool
    tolerance: float


def entries(
    names: str,
    *inputs: Input,
    path: str = "",
    call: Callable[..., Any] | None = None,
    gradient: bool = True,
    images: bool = False,
    random: bool = False,
    tolerance: float = 1e-4,
    **options: Any,
) -> list[Entry]:
    """Return the entries of operations (their names with spaces between) that are called alike.

    Args:
        names: in autodiff's table of operations.
        inputs: tensors.
        path: of the function, where its name is another.
        call: ``call(function, *tensors)``; by default the function gets the tensors and the options.
        gradient, images, random, tolerance: see `Entry`.
        options: keyword arguments of the function.
    """
    call = call or partial(_call, options=options)
    return [Entry(name, path or name, inputs, call, gradient, images, random, tolerance) for name in names.split()]


def _call(function: Callable[..., Any], *tensors: Any, options: dict[str, Any]) -> Any:
    return function(*tensors, **options)


def find(module: Any, path: str) -> Any:
    """Return the function at a path in `nn.functional`, the module or its `Tensor`: the first that has it.

    Raises:
        AttributeError: if none has it.
    """
    for place in (module.nn.functional, module):
        try:
            return operator.attrgetter(path)(place)
        except AttributeError:
            continue
    return operator.attrgetter(path)(module.Tensor)


# Inputs


def reals(shapes: Shapes, low: float = -3.0, high: float = 3.0) -> Input:
    """Return floating numbers, even in [low, high)."""
    return Input(_each(shapes, lambda shape: uniform(*shape, low=low, high=high)), True)


def weights(shapes: Shapes) -> Input:
    """Return floating numbers that keep the variance of what they are summed over: all dimensions but the first."""
    return Input(
        _each(shapes, lambda shape: uniform(*shape, low=-(b := math.sqrt(3 / math.prod(shape[1:]))), high=b)), True
    )


def distinct(shapes: Shapes) -> Input:
    """Return floating numbers in [0, 1], no two of them alike, so that it is known where the largest is."""
    return Input(_each(shapes, lambda shape: partial(_draw_distinct, shape=shape)), True)


def regular(shapes: Shapes) -> Input:
    """Return square matrices far from singular: a diagonal of distinct numbers near 1, and small numbers around it."""
    return Input(_each(shapes, lambda shape: partial(_draw_regular, shape=shape)), True)


def constant(values: Input) -> Input:
    """Return an input that needs no gradient: a target, a running statistic."""
    return values._replace(gradient=False)


def whole(shapes: Shapes, high: tuple[int, int, int]) -> Input:
    """Return whole numbers in [0, high): classes, or places along a dimension."""
    small, medium, large = (integers(limit, *shape) for limit, shape in zip(high, shapes))
    return Input((small, medium, large), False)


def orders(shapes: Shapes) -> Input:
    """Return the places along the last dimension in random order: each once."""
    return Input(_each(shapes, lambda shape: partial(_draw_orders, shape=shape)), False)


def rising(shapes: Shapes) -> Input:
    """Return floating numbers in [0, 1), sorted along the last dimension."""
    return Input(_each(shapes, lambda shape: partial(_draw_rising, shape=shape)), False)


def booleans(shapes: Shapes, share: float = 0.5) -> Input:
    """Return truth values, a share of which is true."""
    return Input(_each(shapes, lambda shape: partial(_draw_booleans, shape=shape, share=share)), False)


def signs(shapes: Shapes) -> Input:
    """Return -1.0 and 1.0."""
    return Input(_each(shapes, lambda shape: partial(_draw_signs, shape=shape)), False)


def _each(shapes: Shapes, draw: Callable[[tuple[int, ...]], Draw]) -> tuple[Draw, Draw, Draw]:
    small, medium, large = map(draw, shapes)
    return small, medium, large


def _draw_distinct(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    # A multiple of 2**-24 is a float32 as it stands.
    return (rng.permutation(math.prod(shape)).astype(np.float32) * np.float32(2**-24)).reshape(shape)


def _draw_regular(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    n = shape[-1]
    around = rng.uniform(-0.3, 0.3, shape) / math.sqrt(n)
    return (around + np.diag(np.linspace(0.9, 1.1, n))).astype(np.float32)


def _draw_orders(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.permuted(np.broadcast_to(np.arange(shape[-1]), shape), axis=-1)


def _draw_rising(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return np.sort(rng.random(shape, np.float32), axis=-1)


def _draw_booleans(rng: np.random.Generator, shape: tuple[int, ...], share: float) -> Array:
    return rng.random(shape) < share


def _draw_signs(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return np.where(rng.random(shape) < 0.5, np.float32(-1), np.float32(1))
