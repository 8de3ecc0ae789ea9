"""Softmax and its relatives."""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import Array, ieee, real


def _shifted(input: Any, dim: int) -> Array:
    """x - max(x), which changes no softmax and keeps exp from overflowing."""
    x = real(input)
    return x - np.max(x, axis=dim, keepdims=True, initial=-np.inf) if x.ndim else x - x


@ieee
def softmax(input: Any, dim: int = -1, dtype: Any = None) -> Array:
    powers = np.exp(_shifted(input, dim))
    return powers / powers.sum(axis=dim if powers.ndim else None, keepdims=True)


@ieee
def log_softmax(input: Any, dim: int = -1, dtype: Any = None) -> Array:
    x = _shifted(input, dim)
    return x - np.log(np.exp(x).sum(axis=dim if x.ndim else None, keepdims=True))


@ieee
def softmin(input: Any, dim: int = -1, dtype: Any = None) -> Array:
    return softmax(-real(input), dim)
