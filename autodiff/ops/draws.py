"""Draws from further distributions, made of even and normal ones, in place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autodiff.bind import TensorT
from autodiff.errors import ValueRangeError
from autodiff.ops.choice import clamp_min
from autodiff.ops.elementwise import add, ceil, div, mul, neg, sub
from autodiff.ops.functions import exp, log, tan
from autodiff.ops.in_place import copy_
from autodiff.ops.promotion import BOOL, FLOAT32
from autodiff.ops.random import random_integers, random_normal, random_uniform
from autodiff.ops.structural import require_tensor
from autodiff.random import Generator
from autodiff.spec import DType, Shape, Spec

__all__ = ["cauchy_", "exponential_", "geometric_", "log_normal_", "random_"]

_MOST = {BOOL: 2, FLOAT32: 2**24 + 1, np.dtype(np.float64): 2**53 + 1}  # what `random_` draws below, of each dtype


def exponential_draws(shape: Shape, dtype: DType, generator: Generator | None = None) -> Any:
    """Return positive draws with the density ``exp(-x)``: ``-log(u)`` of even draws u from (0, 1]."""
    drawn = sub(1, random_uniform(shape, dtype=dtype, generator=generator))
    return clamp_min(neg(log(drawn)), float(np.finfo(dtype).tiny))


def _target(operation: str, x: Any, holds: bool, what: str, got: float) -> tuple[Shape, DType]:
    """Return the shape to draw in, and the dtype.

    Raises:
        DTypeError: if `x` is no tensor.
        ValueRangeError: unless the distribution's number is right.
    """
    require_tensor(operation, x)
    if not holds:
        raise ValueRangeError(operation, f"{what} is out of range", expected="above 0" if what != "p" else "0 < p < 1",
                              got=str(got))
    return x.spec.shape, x.spec.dtype if x.spec.floating else FLOAT32


def exponential_(input: TensorT, lambd: float = 1, *, generator: Generator | None = None) -> TensorT:
    """Fill `input` with draws from the exponential distribution, ``lambd * exp(-lambd * x)``, and return it.

    The draws are never 0, so that one may divide by them.

    Raises:
        ValueRangeError: unless ``lambd > 0``.
        InPlaceError: for a leaf that requires a gradient, while gradients are recorded.

    >>> import autodiff as ad
    >>> bool((ad.empty(9).exponential_() > 0).all())
    True
    """
    shape, dtype = _target("exponential_", input, lambd > 0, "lambd", lambd)
    return copy_(input, div(exponential_draws(shape, dtype, generator), lambd))


def geometric_(input: TensorT, p: float, *, generator: Generator | None = None) -> TensorT:
    """Fill `input` with how many trials there are up to the first success, and return it.

    Args:
        input: any shape.
        p: probability of success.
        generator: the default one when None.

    Raises:
        ValueRangeError: unless ``0 < p < 1``.
        InPlaceError: for a leaf that requires a gradient, while gradients are recorded.

    >>> import autodiff as ad
    >>> bool((ad.empty(9).geometric_(0.5) >= 1).all())
    True
    """
    shape, dtype = _target("geometric_", input, 0 < p < 1, "p", p)
    return copy_(input, clamp_min(ceil(div(exponential_draws(shape, dtype, generator), -math.log1p(-p))), 1.0))


def log_normal_(input: TensorT, mean: float = 1, std: float = 2, *, generator: Generator | None = None) -> TensorT:
    """Fill `input` with exponentials of draws from a normal distribution, and return it.

    Raises:
        ValueRangeError: unless ``std > 0``.
        InPlaceError: for a leaf that requires a gradient, while gradients are recorded.

    >>> import autodiff as ad
    >>> bool((ad.empty(9).log_normal_() > 0).all())
    True
    """
    shape, dtype = _target("log_normal_", input, std > 0, "std", std)
    return copy_(input, exp(random_normal(shape, mean, std, dtype, generator)))


def cauchy_(input: TensorT, median: float = 0, sigma: float = 1, *, generator: Generator | None = None) -> TensorT:
    """Fill `input` with draws of the density ``sigma / (pi * (sigma**2 + (x - median)**2))``, and return it.

    Raises:
        ValueRangeError: unless ``sigma > 0``.
        InPlaceError: for a leaf that requires a gradient, while gradients are recorded.

    >>> import autodiff as ad
    >>> ad.empty(9).cauchy_().isfinite().all()
    tensor(True)
    """
    shape, dtype = _target("cauchy_", input, sigma > 0, "sigma", sigma)
    angle = mul(sub(random_uniform(shape, dtype=dtype, generator=generator), 0.5), math.pi)
    return copy_(input, add(mul(tan(angle), sigma), median))


def random_(
    input: TensorT, low: int | None = None, high: int | None = None, *, generator: Generator | None = None
) -> TensorT:
    """Fill `input` with even draws of the integers low, ..., high - 1, and return it; ``x.random_(n)``: below n.

    Without numbers, they are those from 0 that the dtype holds: up to the largest integer, 1 of bools, or ``2**24`` of
    float32 and ``2**53`` of float64, below which floats hold every integer.

    Raises:
        ValueRangeError: if the range is empty.
        DTypeError: if a bound is no integer.
        InPlaceError: for a leaf that requires a gradient, while gradients are recorded.

    >>> import autodiff as ad
    >>> ad.empty(3).random_(5, 6)
    tensor([5., 5., 5.])
    """
    require_tensor("random_", input)
    spec: Spec = input.spec  # type: ignore[attr-defined]
    if low is None:
        low, high = 0, _MOST.get(spec.dtype) or min(int(np.iinfo(spec.dtype).max), 2**63 - 2) + 1
    elif high is None:
        low, high = 0, low
    return copy_(input, random_integers(spec.shape, low, high, generator))
