"""Arrays from nothing but their shape. Without a dtype: float64 for floats, int64 for integers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .arrays import Array, array, varargs


def zeros(*size: Any) -> Array:
    return np.zeros(varargs(size))


def ones(*size: Any) -> Array:
    return np.ones(varargs(size))


def full(size: Any, fill_value: Any) -> Array:
    return np.full(size, fill_value)


def zeros_like(input: Any) -> Array:
    return np.zeros_like(array(input))


def ones_like(input: Any) -> Array:
    return np.ones_like(array(input))


def full_like(input: Any, fill_value: Any) -> Array:
    return np.full_like(array(input), fill_value)


def eye(n: int, m: int | None = None) -> Array:
    return np.eye(n, m)


def arange(start: float, end: float | None = None, step: float = 1) -> Array:
    """start + i step for i < ceil((end - start) / step)."""
    if end is None:
        start, end = 0, start
    return start + np.arange(math.ceil((end - start) / step)) * step


def linspace(start: float, end: float, steps: int) -> Array:
    return np.linspace(start, end, steps)
