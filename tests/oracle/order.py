"""Quantiles and other order statistics, counts, differences of neighbours, covariances: one row at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .arrays import Array, array, ieee, real


def _rows(function: Callable[[Array], Any], x: Array, dim: int, keepdim: bool) -> Any:
    """Apply a function that returns a number, or a tuple of numbers, to the rows along a dimension."""
    if not x.ndim:
        return function(x.reshape(1))
    rows = np.moveaxis(x, dim, -1)
    results = [function(rows[place]) for place in np.ndindex(rows.shape[:-1])]
    shape = tuple(1 if i == dim % x.ndim else n for i, n in enumerate(x.shape)) if keepdim else rows.shape[:-1]
    if isinstance(results[0], tuple):
        return tuple(np.array(part).reshape(shape) for part in zip(*results, strict=True))
    return np.array(results).reshape(shape)


def _one_quantile(row: Array, q: float, interpolation: str) -> float:
    if np.isnan(row).any() or not len(row):
        return float("nan")
    row, rank = np.sort(row), q * (len(row) - 1)
    low, high = row[int(np.floor(rank))], row[int(np.ceil(rank))]
    if interpolation == "nearest":
        return float(row[round(rank)])
    if interpolation in ("lower", "higher"):
        return float(low if interpolation == "lower" else high)
    weight = 0.5 if interpolation == "midpoint" else rank - np.floor(rank)
    return float(low + weight * (high - low))


def quantile(input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *,
             interpolation: str = "linear") -> Array:
    x = real(input)

    def one(q: float) -> Array:
        if dim is None:
            found = np.array(_one_quantile(x.reshape(-1), q, interpolation))
            return found.reshape((1,) * x.ndim) if keepdim else found
        return np.asarray(_rows(lambda row: _one_quantile(row, q, interpolation), x, dim, keepdim))

    return np.stack([one(float(each)) for each in q]) if np.ndim(q) else one(float(q))


def nanquantile(
    input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Array:
    x = real(input)

    def one(q: float) -> Array:
        if dim is None:
            row = x.reshape(-1)
            found = np.array(_one_quantile(row[~np.isnan(row)], q, interpolation))
            return found.reshape((1,) * x.ndim) if keepdim else found
        return np.asarray(_rows(lambda row: _one_quantile(row[~np.isnan(row)], q, interpolation), x, dim, keepdim))

    return np.stack([one(float(each)) for each in q]) if np.ndim(q) else one(float(q))


def nanmedian(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    x = array(input)

    def one(row: Array) -> tuple[Any, int]:
        order = np.argsort(row, kind="stable")
        place = order[max(int((row == row).sum()) - 1, 0) // 2]
        return row[place], int(place)

    if dim is None:
        return np.asarray(one(x.reshape(-1))[0] if x.size else np.nan)
    values, places = _rows(one, x, dim, keepdim)
    return np.asarray(values), np.asarray(places)


def mode(input: Any, dim: int = -1, keepdim: bool = False) -> tuple[Array, Array]:
    def one(row: Array) -> tuple[Any, int]:
        counts = [(-(row == value).sum(), value) for value in row if value == value]
        value = min(counts)[1] if counts else row[0]
        places = np.flatnonzero(row == value) if counts else np.array([0])
        return value, int(places[-1])

    values, places = _rows(one, array(input), dim, keepdim)
    return np.asarray(values), np.asarray(places)


def _running(x: Array, dim: int, extreme: Any) -> tuple[Array, Array]:
    if not x.ndim:
        return x, np.array(0)
    values = extreme.accumulate(x, dim)
    rows, places = np.moveaxis(x, dim, -1), np.zeros(x.shape, np.int64)
    to = np.moveaxis(places, dim, -1)
    for place in np.ndindex(rows.shape[:-1]):
        best = 0
        for i, number in enumerate(rows[place]):
            before = rows[place][best]
            if number != number or (before == before and extreme(number, before) == number):
                best = i
            to[(*place, i)] = best
    return values, places


def cummax(input: Any, dim: int) -> tuple[Array, Array]:
    return _running(array(input), dim, np.maximum)


def cummin(input: Any, dim: int) -> tuple[Array, Array]:
    return _running(array(input), dim, np.minimum)


# ---- Counts ----------------------------------------------------------------------------------------------------------


def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Array:
    return np.bincount(input, None if weights is None else real(weights), minlength)


def histc(input: Any, bins: int = 100, min: float = 0, max: float = 0) -> Array:
    x = real(input).reshape(-1)
    if min == max and x.size:
        min, max = x.min(), x.max()
    if min == max:
        min, max = min - 1, max + 1
    return np.histogram(x[~np.isnan(x)], bins, (min, max))[0].astype(np.float64)


def histogram(input: Any, bins: Any, *, range: Any = None, weight: Any = None, density: bool = False) -> tuple[Array,
                                                                                                               ...]:
    x = real(input).reshape(-1)
    if range is None and np.ndim(bins) == 0:
        range = (x.min(), x.max()) if x.min() < x.max() else (x.min() - 1, x.max() + 1)
    weight = None if weight is None else real(weight).reshape(-1)
    found, edges = np.histogram(x, bins, range, weights=weight, density=density)
    return found.astype(np.float64), real(edges)


# ---- Neighbours ------------------------------------------------------------------------------------------------------


def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Array:
    x = np.concatenate([array(part) for part in (prepend, input, append) if part is not None], dim)
    return x if n == 0 else np.diff(x, n, dim)


def _distances(y: Array, x: Any, dx: Any, dim: int) -> Any:
    if x is None:
        return 1.0 if dx is None else dx
    x = real(x)
    if x.ndim == 1:
        x = x.reshape(-1, *(1,) * (y.ndim - dim % y.ndim - 1))
    return np.diff(x, axis=dim if dim < 0 else dim - y.ndim)


def trapezoid(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Array:
    y = real(y)
    heights = np.take(y, range(1, y.shape[dim]), dim) + np.take(y, range(max(y.shape[dim] - 1, 0)), dim)
    return np.asarray((heights / 2 * _distances(y, x, dx, dim)).sum(dim))


def cumulative_trapezoid(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Array:
    y = real(y)
    heights = np.take(y, range(1, y.shape[dim]), dim) + np.take(y, range(max(y.shape[dim] - 1, 0)), dim)
    return np.cumsum(heights / 2 * _distances(y, x, dx, dim), dim)


# ---- Covariances -----------------------------------------------------------------------------------------------------


@ieee
def cov(input: Any, *, correction: float = 1, fweights: Any = None, aweights: Any = None) -> Array:
    x = real(input)
    rows = np.atleast_2d(x)
    often = np.ones(rows.shape[1]) if fweights is None else real(fweights)
    weight = np.ones(rows.shape[1]) if aweights is None else real(aweights)
    both = often * weight
    rows = rows - (rows * both).sum(1, keepdims=True) / both.sum()
    number = both.sum() - correction * (both * weight).sum() / both.sum()
    found = (rows * both) @ rows.T / np.maximum(number, 0.0)
    return found if x.ndim == 2 else found.reshape(())


@ieee
def corrcoef(input: Any) -> Array:
    covariances = cov(input)
    if not covariances.ndim:
        return covariances / covariances
    deviations = np.sqrt(np.diagonal(covariances))
    return np.clip(covariances / np.outer(deviations, deviations), -1, 1)
