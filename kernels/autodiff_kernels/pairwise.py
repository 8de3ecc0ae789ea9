"""Distances of all pairs of rows, p-norms of their differences, and the gradient of that.

The lanes of a vector hold the distances of one row from several others, which are read by columns, or columns of a
gradient. So no sum crosses lanes. Up to `STRETCH` terms are summed in order in the rows' type, the sums of these in
float64. Of other orders than 0, 1, 2 and infinity every term is a power.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.maths import fma, magnitude, root
from autodiff_kernels.memory import forward, load, pointer
from autodiff_kernels.parts import share
from autodiff_kernels.scalar import power
from autodiff_kernels.vectors import read, rounded, select, whole, widen, width, write, zeros

Array = np.ndarray[Any, np.dtype[Any]]

STRETCH = 64
PANEL = 64  # rows of the second matrix that one row after the other is compared with: they stay in the nearest cache
COUNT, SUM, EUCLIDEAN, LARGEST, POWER = 0, 1, 2, 3, 4  # the orders 0, 1, 2, infinity and any other


@njit(error_model="numpy")
def kind_of(p: float) -> int:
    """Return what the distances of order p are made of."""
    if p == 0.0 or p == 1.0 or p == 2.0:
        return int(p)
    return LARGEST if p == math.inf else POWER


# ---- Distances -------------------------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def larger(total: Any, size: Any) -> Any:
    """Return the larger of two vectors lane by lane, NaN where one is NaN."""
    return select((size > total) | (size != size), size, total)


@njit(error_model="numpy", forceinline=True)
def with_term(total: Any, difference: Any, kind: int) -> Any:
    """Return the sum, or the largest, with one more difference."""
    if kind == EUCLIDEAN:
        return fma(difference, difference, total)
    if kind == COUNT:
        return select(difference != 0.0, total + 1.0, total)
    size = magnitude(difference)
    return total + size if kind == SUM else larger(total, size)


@njit(error_model="numpy", forceinline=True)
def strip(out: Any, a: Any, b: Any, stride: int, columns: int, left: int, kind: int, like: Any) -> None:
    """Write the distances of the row a from as many rows as `like` has lanes, or `left`.

    Columns of b lie `stride` apart.
    """
    total = widen(like)
    for start in range(0, columns, STRETCH):
        part = like
        for c in range(start, min(start + STRETCH, columns)):
            part = with_term(part, read(b, c * stride, like, left, 0) - load(forward(a, c)), kind)
        total = larger(total, widen(part)) if kind == LARGEST else total + widen(part)
    value = rounded(total, like)
    write(out, 0, root(value) if kind == EUCLIDEAN else value, left)


@njit(error_model="numpy", forceinline=True)
def strips(out: Any, a: Any, b: Any, stride: int, columns: int, count: int, kind: int) -> None:
    """Write the distances of the row a from `count` rows."""
    wide, narrow = zeros(a, 4, 4), zeros(a, 1, 1)
    end = whole(count, wide)
    for j in range(0, end, width(wide)):
        strip(forward(out, j), a, forward(b, j), stride, columns, width(wide), kind, wide)
    for j in range(end, count, width(narrow)):
        strip(forward(out, j), a, forward(b, j), stride, columns, count - j, kind, narrow)


@njit(error_model="numpy", forceinline=True)
def powers(out: Array, totals: Array, a: Array, b: Array, start: int, p: float) -> None:
    """Write the distances of order p of the row a from the rows from `start` on; rows are columns of b."""
    order, count = a.dtype.type(p), out.shape[0]
    totals[:count] = 0
    for c in range(a.shape[0]):
        numbers, here = b[c, start : start + count], a[c]
        for j in range(numbers.shape[0]):
            totals[j] += power(abs(numbers[j] - here), order)
    for j in range(count):
        out[j] = power(a.dtype.type(totals[j]), a.dtype.type(1.0 / p))


@njit(cache=True, nogil=True, error_model="numpy")
def distances(out: Array, scratch: Array, a: Array, b: Array, p: float, triangle: int, part: int, parts: int) -> None:
    """Write the p-norms of a[n, i, :] - b[n, :, j] for all i and j, or, of one matrix, for i < j.

    Args:
        out: (N, P R), out; float32 or float64; with `triangle` (1, P (P - 1) / 2): row 0 with 1, 2, ..., 1 with 2, ...
            Rows of a are shared among the parts.
        scratch: (parts, `PANEL`); float64.
        a: (N, P, C), in; like out.
        b: (N, C, R), in; like out; with `triangle` the one matrix of a, transposed.
        p: order, from 0 to infinity.
        triangle: 0 or 1.
    """
    N, P, C = a.shape
    R, kind = b.shape[2], kind_of(p)
    low, high = share(N * P, part, parts)
    for n in range(low // max(P, 1), (high + P - 1) // max(P, 1)):
        first, last = max(low - n * P, 0), min(high - n * P, P)
        for panel in range(0, R, PANEL):
            for row in range(first, last):
                # From both ends by turns: in a triangle, each part gets long rows and short ones.
                i = row // 2 if row % 2 == 0 else P - 1 - row // 2
                start, stop = max(panel, i + 1) if triangle else panel, min(panel + PANEL, R)
                if start >= stop:
                    continue
                at = i * P - i * (i + 1) // 2 - i - 1 + start if triangle else i * R + start
                target, source = pointer(out, n * P * R + at), pointer(b, n * C * R + start)
                here = pointer(a, (n * P + i) * C)
                if kind == EUCLIDEAN:
                    strips(target, here, source, R, C, stop - start, EUCLIDEAN)
                elif kind == SUM:
                    strips(target, here, source, R, C, stop - start, SUM)
                elif kind == LARGEST:
                    strips(target, here, source, R, C, stop - start, LARGEST)
                elif kind == COUNT:
                    strips(target, here, source, R, C, stop - start, COUNT)
                else:
                    powers(out[n, at : at + stop - start], scratch[part], a[n, i], b[n], start, p)


@njit(cache=True, nogil=True, error_model="numpy")
def square_of_pairs(out: Array, pairs: Array, part: int, parts: int) -> None:
    """out[i, j] = out[j, i] = what `pairs` holds of i < j, in the order of `distances`; 0 where i = j.

    Args:
        out: (n, n), out; float32 or float64. Rows are shared among the parts.
        pairs: (n (n - 1) / 2,), in; like out.
    """
    n = out.shape[0]
    low, high = share(n, part, parts)
    for i in range(low, high):
        out[i, i] = 0
        start = i * n - i * (i + 1) // 2
        for j in range(i + 1, n):
            out[i, j] = pairs[start + j - i - 1]
    for j in range(high):
        start = j * n - j * (j + 1) // 2 - j - 1
        for i in range(max(low, j + 1), high):
            out[i, j] = pairs[start + i]


# ---- Gradient --------------------------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def weigh(weights: Array, g: Array, lengths: Array, p: float) -> None:
    """Write weights = g / lengths ** (p - 1), 0 where a length is 0."""
    zero = weights.dtype.type(0)
    if p == 2.0:
        for j in range(weights.shape[0]):
            weights[j] = zero if lengths[j] == zero else g[j] / lengths[j]
    elif p == 1.0 or p == math.inf:
        for j in range(weights.shape[0]):
            weights[j] = zero if lengths[j] == zero else g[j]
    else:
        exponent = weights.dtype.type(p - 1.0)
        for j in range(weights.shape[0]):
            weights[j] = zero if lengths[j] == zero else g[j] / power(lengths[j], exponent)


@njit(error_model="numpy", forceinline=True)
def rise(difference: Any, length: Any, kind: int, like: Any) -> Any:
    """Return the slope of a distance by a difference, but for the factor that all differences of a pair share."""
    if kind == EUCLIDEAN:
        return difference
    sign = select(difference > 0.0, like + 1.0, select(difference < 0.0, like - 1.0, difference * 0.0))
    return sign if kind == SUM else select(magnitude(difference) != length, like, sign)


@njit(error_model="numpy", forceinline=True)
def gradient_strip(
    out: Any, a: Any, b: Any, weights: Any, lengths: Any, C: int, rows: int, c: int, left: int, kind: int, like: Any
) -> None:
    """Write the columns of a row of the gradient that lie at c, as many as `like` has lanes, or `left`."""
    total = widen(like)
    here = read(a, c, like, left, 0)
    for start in range(0, rows, STRETCH):
        part = like
        for j in range(start, min(start + STRETCH, rows)):
            slope = rise(here - read(b, j * C + c, like, left, 0), load(forward(lengths, j)), kind, like)
            part = fma(slope, load(forward(weights, j)), part)
        total = total + widen(part)
    write(out, c, rounded(total, like), left)


@njit(error_model="numpy", forceinline=True)
def gradient_row(out: Any, a: Any, b: Any, weights: Any, lengths: Any, C: int, rows: int, kind: int) -> None:
    """Write a row of the gradient."""
    wide, narrow = zeros(a, 4, 4), zeros(a, 1, 1)
    end = whole(C, wide)
    for c in range(0, end, width(wide)):
        gradient_strip(out, a, b, weights, lengths, C, rows, c, width(wide), kind, wide)
    for c in range(end, C, width(narrow)):
        gradient_strip(out, a, b, weights, lengths, C, rows, c, C - c, kind, narrow)


@njit(error_model="numpy", forceinline=True)
def gradient_of_powers(out: Array, a: Array, b: Array, weights: Array, p: float) -> None:
    """Write a row of the gradient of distances of order p."""
    zero, exponent = out.dtype.type(0), out.dtype.type(p - 1.0)
    out[:] = zero
    for j in range(b.shape[0]):
        row, weight = b[j], weights[j]
        for c in range(row.shape[0]):
            difference = a[c] - row[c]
            size = power(abs(difference), exponent) * weight
            out[c] += weight * zero if difference == zero else size if difference > zero else -size


@njit(cache=True, nogil=True, error_model="numpy")
def distances_grad(
    out: Array, scratch: Array, g: Array, lengths: Array, a: Array, b: Array, p: float, part: int, parts: int
) -> None:
    """Write the gradient of distances with respect to a: the sum over j of g[n, i, j] times the distance's slope.

    The slope by the difference d is sign(d) (|d| / length)^(p - 1); for p = infinity, sign(d) where |d| is the length;
    0 where the length is 0.

    Args:
        out: (N, P, C), out; float32 or float64. Rows are shared among the parts.
        scratch: (parts, R), scratch; like out.
        g: (N, P, R), in; the gradient with respect to the distances; like out.
        lengths: (N, P, R), in; the distances; like out.
        a: (N, P, C), in; like out.
        b: (N, R, C), in; like out.
        p: order, above 0, to infinity.
    """
    N, P, C = a.shape
    R, kind = b.shape[1], kind_of(p)
    weights = pointer(scratch, part * R)
    low, high = share(N * P, part, parts)
    for unit in range(low, high):
        n, i = unit // P, unit % P
        weigh(scratch[part], g[n, i], lengths[n, i], p)
        target, here, others = pointer(out, unit * C), pointer(a, unit * C), pointer(b, n * R * C)
        of_row = pointer(lengths, unit * R)
        if kind == EUCLIDEAN:
            gradient_row(target, here, others, weights, of_row, C, R, EUCLIDEAN)
        elif kind == SUM:
            gradient_row(target, here, others, weights, of_row, C, R, SUM)
        elif kind == LARGEST:
            gradient_row(target, here, others, weights, of_row, C, R, LARGEST)
        else:
            gradient_of_powers(out[n, i], a[n, i], b[n], scratch[part], p)
