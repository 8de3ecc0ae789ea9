"""Reductions and cumulative sums."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .arrays import Array, array, axes, ieee, real


def _summable(input: Any) -> Array:
    """Sums and products of integers and bools are int64."""
    x = array(input)
    return x if x.dtype.kind == "f" else x.astype(np.int64)


def _count(x: Array, dim: Any) -> int:
    return math.prod(x.shape[d] for d in axes(dim, x.ndim))


@ieee
def sum(input: Any, dim: Any = None, keepdim: bool = False) -> Array:
    x = _summable(input)
    return np.sum(x, axis=axes(dim, x.ndim), keepdims=keepdim)


@ieee
def nansum(input: Any, dim: Any = None, keepdim: bool = False) -> Array:
    x = _summable(input)
    return sum(np.where(np.isnan(x), 0, x), dim, keepdim)


@ieee
def mean(input: Any, dim: Any = None, keepdim: bool = False) -> Array:
    x = real(input)
    return sum(x, dim, keepdim) / np.float64(_count(x, dim))


@ieee
def nanmean(input: Any, dim: Any = None, keepdim: bool = False) -> Array:
    return nansum(input, dim, keepdim) / sum(~np.isnan(real(input)), dim, keepdim)


@ieee
def prod(input: Any, dim: Any = None, keepdim: bool = False) -> Array:
    x = _summable(input)
    return np.prod(x, axis=axes(dim, x.ndim), keepdims=keepdim)


@ieee
def var(
    input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float = 1
) -> Array:
    """The sum of squared distances from the mean, divided by max(0, n - correction)."""
    x = real(input)
    if isinstance(dim, bool):  # var(x, unbiased)
        dim, unbiased = None, dim
    if unbiased is not None:
        correction = 1 if unbiased else 0
    squares = (x - mean(x, dim, True)) ** 2
    return sum(squares, dim, keepdim) / np.maximum(np.float64(_count(x, dim) - correction), 0.0)


@ieee
def std(
    input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float = 1
) -> Array:
    return np.sqrt(var(input, dim, unbiased, keepdim, correction=correction))


def var_mean(
    input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float = 1
) -> tuple[Array, Array]:
    average = mean(input, None if isinstance(dim, bool) else dim, keepdim)
    return var(input, dim, unbiased, keepdim, correction=correction), average


def std_mean(
    input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float = 1
) -> tuple[Array, Array]:
    average = mean(input, None if isinstance(dim, bool) else dim, keepdim)
    return std(input, dim, unbiased, keepdim, correction=correction), average


def amax(input: Any, dim: Any = None, keepdim: bool = False) -> Array:
    x = array(input)
    return np.max(x, axis=axes(dim, x.ndim), keepdims=keepdim)


def amin(input: Any, dim: Any = None, keepdim: bool = False) -> Array:
    x = array(input)
    return np.min(x, axis=axes(dim, x.ndim), keepdims=keepdim)


def argmax(input: Any, dim: int | None = None, keepdim: bool = False) -> Array:
    """The first position of the largest element (of the first NaN, if there is one)."""
    x = array(input)
    return np.asarray(np.argmax(x, axis=dim if x.ndim else None, keepdims=keepdim))


def argmin(input: Any, dim: int | None = None, keepdim: bool = False) -> Array:
    x = array(input)
    return np.asarray(np.argmin(x, axis=dim if x.ndim else None, keepdims=keepdim))


def max(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """max(x) is a value, max(x, dim) values and their positions, max(x, y) the larger of two arrays."""
    if dim is None:
        return amax(input)
    if not isinstance(dim, int):
        return np.maximum(array(input), array(dim))
    return amax(input, dim, keepdim), argmax(input, dim, keepdim)


def min(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    if dim is None:
        return amin(input)
    if not isinstance(dim, int):
        return np.minimum(array(input), array(dim))
    return amin(input, dim, keepdim), argmin(input, dim, keepdim)


def all(input: Any, dim: Any = None, keepdim: bool = False) -> Array:
    x = array(input)
    return np.all(x, axis=axes(dim, x.ndim), keepdims=keepdim)


def any(input: Any, dim: Any = None, keepdim: bool = False) -> Array:
    x = array(input)
    return np.any(x, axis=axes(dim, x.ndim), keepdims=keepdim)


def count_nonzero(input: Any, dim: Any = None) -> Array:
    x = array(input)
    return np.sum(x != 0, axis=axes(dim, x.ndim))


@ieee
def logsumexp(input: Any, dim: Any, keepdim: bool = False) -> Array:
    """log(sum(exp(x))), with the largest finite x taken out of the sum."""
    x = real(input)
    largest = np.max(x, axis=axes(dim, x.ndim), keepdims=True, initial=-np.inf)
    largest = np.where(np.isfinite(largest), largest, 0.0)
    result = np.log(sum(np.exp(x - largest), dim, True)) + largest
    return result if keepdim else np.squeeze(result, axis=axes(dim, x.ndim))


@ieee
def linalg_vector_norm(x: Any, ord: float = 2, dim: Any = None, keepdim: bool = False) -> Array:
    """(sum of |x|^ord)^(1 / ord); for ord 0 the number of nonzero elements, for +-infinity the largest or smallest."""
    magnitudes = np.abs(real(x))
    if ord == 0:
        return sum((magnitudes != 0).astype(np.float64), dim, keepdim)
    if math.isinf(ord):
        return (amax if ord > 0 else amin)(magnitudes, dim, keepdim)
    return sum(magnitudes**ord, dim, keepdim) ** (1.0 / ord)


vector_norm = linalg_vector_norm


@ieee
def norm(input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False) -> Array:
    return linalg_vector_norm(input, 2 if p in ("fro", None) else p, dim, keepdim)


@ieee
def linalg_norm(A: Any, ord: Any = None, dim: Any = None, keepdim: bool = False) -> Array:
    """A vector norm over all elements without `ord`; with it a matrix norm over two dimensions, or a vector norm."""
    x = real(A)
    dims = axes(dim, x.ndim)
    if ord is None:
        return linalg_vector_norm(x, 2, dim, keepdim)
    if len(dims) == 2:
        return np.linalg.norm(x, ord, axis=dims, keepdims=keepdim) if x.size else sum(x, dim, keepdim)
    return linalg_vector_norm(x, ord, dim, keepdim)


@ieee
def cumsum(input: Any, dim: int) -> Array:
    x = _summable(input)
    return np.cumsum(x, axis=dim) if x.ndim else x


@ieee
def cumprod(input: Any, dim: int) -> Array:
    x = _summable(input)
    return np.cumprod(x, axis=dim) if x.ndim else x


@ieee
def logcumsumexp(input: Any, dim: int) -> Array:
    x = real(input)
    return np.logaddexp.accumulate(x, axis=dim) if x.ndim else x


def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False) -> tuple[Array, Array]:
    return amin(input, dim, keepdim), amax(input, dim, keepdim)
