"""Sums and extremes of a row of numbers, or of the columns of some rows, of any dtype.

Sums of integers and booleans are accumulated in int64, sums of floats in float64, after four numbers at a time have
been added up in their own dtype. Those of float64 carry their rounding errors along (Knuth, The Art of Computer
Programming 2, 4.2.2, theorem B), all but those of the four. So a sum of any length is within 2 ulp of the sum of the
magnitudes; where four float32 numbers together overflow, it is infinite or NaN, as in NumPy.

A row is summed in lanes of `SUM_BYTES`, four vectors of which are added up at a time, so that its sum has the same bits
on any processor; lanes of float32 by halves, which are read faster. Columns are worked on in strips, four rows at a
time. What is done differently for floats and for other numbers is an overload: Numba picks by type.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload as _overload

from autodiff_kernels.cpu import VECTOR_BYTES
from autodiff_kernels.memory import STREAM_BYTES, forward, load, pointer, store
from autodiff_kernels.vectors import (
    any_of,
    broken_lanes,
    exact_sum_of,
    extreme_folded,
    fetch,
    filled,
    half,
    product_of,
    read,
    rounded,
    select,
    sum_of,
    sums_of,
    whole,
    widen,
    width,
    write,
    zeros,
    zeros_in,
)

Array = np.ndarray[Any, np.dtype[Any]]
overload: Any = _overload  # its type would lose the types of the functions it is put on
COMPILED = {"error_model": "numpy", "forceinline": True}

SUM_BYTES = 64  # of the lanes in which a row is summed
REGISTERS = SUM_BYTES // VECTOR_BYTES  # that hold them
WIDE_BYTES = 4 * STREAM_BYTES  # of the lanes in which the extreme of a row is sought
TILE = 2048  # neighbouring columns that are combined side by side, so that their sums stay in the first-level cache
LONG, MANY = 128, 1 << 17  # numbers of a row, and of all rows, from which on the next rows are fetched early


@njit(error_model="numpy", forceinline=True)
def two_sum(x: Any, y: Any) -> Any:
    """Return x + y and its rounding error (Knuth's TwoSum); the error is NaN where the sum is not finite."""
    total = x + y
    from_y = total - x
    return total, (x - (total - from_y)) + (y - from_y)


@njit(error_model="numpy", forceinline=True)
def corrected(total: Any, error: Any) -> Any:
    """Return total + error, or the total alone where it is not finite."""
    return select(error != error, total, total + error)


@njit(error_model="numpy", forceinline=True)
def corrected_sum(totals: Any, column: int) -> Any:
    """Return the sum of a column of the totals of some segments (segments, 2, columns), with its errors."""
    total, error = totals[0, 0, column], totals[0, 1, column]
    for segment in range(1, totals.shape[0]):
        total, lost = two_sum(total, totals[segment, 0, column])
        error += lost + totals[segment, 1, column]
    return corrected(total, error)


# ---- Rows ------------------------------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def term(x: Any, i: int, like: Any, left: int, squared: bool) -> Any:
    """Return a vector of numbers, or of their squares."""
    value = read(x, i, like, left, 0)
    return value * value if squared else value


@njit(error_model="numpy", forceinline=True)
def four_vectors(x: Any, stride: int, i: int, like: Any, left: int, squared: bool) -> Any:
    """Return the sum of four vectors, `stride` numbers apart, widened to float64."""
    x0, x1 = term(x, i, like, left, squared), term(x, i + stride, like, left, squared)
    x2, x3 = term(x, i + 2 * stride, like, left, squared), term(x, i + 3 * stride, like, left, squared)
    return widen((x0 + x1) + (x2 + x3))


@njit(error_model="numpy", forceinline=True)
def single_sums(x: Any, n: int, squared: bool) -> Any:
    """Return lanes whose sum is that of n float32 numbers, or of their squares, in float64.

    They are those of `SUM_BYTES`, in two halves: half a register of float32 widens to a whole one of float64, and is
    read as such, while of a whole register the upper half would have to be moved down.
    """
    like = zeros_in(x, STREAM_BYTES)
    lanes, low, high = width(like), widen(like), widen(like)
    end = n & -8 * lanes
    for i in range(0, end, 8 * lanes):
        low = low + four_vectors(x, 2 * lanes, i, like, lanes, squared)
        high = high + four_vectors(x, 2 * lanes, i + lanes, like, lanes, squared)
    for i in range(end, n, 2 * lanes):
        low = low + widen(term(x, i, like, n - i, squared))
        high = high + widen(term(x, i + lanes, like, n - i - lanes, squared))
    return low + high


@njit(error_model="numpy", forceinline=True)
def double_sum(x: Any, n: int, squared: bool) -> Any:
    """Return the sum of n float64 numbers, or of their squares."""
    like = zeros(x, REGISTERS, REGISTERS)
    lanes, totals, errors = width(like), like, like
    end = n & -4 * lanes
    for i in range(0, end, 4 * lanes):
        totals, lost = two_sum(totals, four_vectors(x, lanes, i, like, lanes, squared))
        errors = errors + lost
    for i in range(end, n, lanes):
        totals, lost = two_sum(totals, term(x, i, like, n - i, squared))
        errors = errors + lost
    total, error = exact_sum_of(totals, errors)
    return corrected(total, error)


@njit(error_model="numpy", forceinline=True)
def plain_sum(x: Any, n: int, zero: Any) -> Any:
    """Return the sum of n integers or booleans, accumulated in the type of `zero`."""
    total = zero
    for i in range(n):
        total += load(forward(x, i))
    return total


def row_sum(x: Any, n: int, zero: Any, squared: bool) -> Any:
    """Return the sum of n numbers at the pointer x, accumulated in the type of `zero`; of floats also of squares."""


@overload(row_sum, jit_options=COMPILED, strict=False)
def _row_sum(x: Any, n: int, zero: Any, squared: bool) -> Any:
    if not isinstance(x.dtype, types.Float):
        return lambda x, n, zero, squared: plain_sum(x, n, zero)
    if x.dtype.bitwidth == 32:
        return lambda x, n, zero, squared: sum_of(single_sums(x, n, squared))
    return lambda x, n, zero, squared: double_sum(x, n, squared)


def sum_rows(out: Any, x: Any, low: int, high: int, n: int, zero: Any, squared: bool) -> None:
    """Write out[i] = the sum of row i of n numbers, `row_sum`, for the rows from `low` to `high`."""


@overload(sum_rows, jit_options=COMPILED, strict=False)
def _sum_rows(out: Any, x: Any, low: int, high: int, n: int, zero: Any, squared: bool) -> Any:
    return single_row_sums if x.dtype == types.float32 else plain_row_sums


def plain_row_sums(out: Any, x: Any, low: int, high: int, n: int, zero: Any, squared: bool) -> None:
    """Write the sums of rows one by one."""
    for i in range(low, high):
        store(forward(out, i), row_sum(forward(x, i * n), n, zero, squared))


def single_row_sums(out: Any, x: Any, low: int, high: int, n: int, zero: Any, squared: bool) -> None:
    """Write the sums of rows of float32: the lanes of four rows are added up together."""
    fours = low + (high - low & -4)
    for i in range(low, fours, 4):
        row = forward(x, i * n)
        a, b = single_sums(row, n, squared), single_sums(forward(row, n), n, squared)
        c, d = single_sums(forward(row, 2 * n), n, squared), single_sums(forward(row, 3 * n), n, squared)
        write(out, i, rounded(sums_of(a, b, c, d), out), 4)
    for i in range(fours, high):
        store(forward(out, i), row_sum(forward(x, i * n), n, zero, squared))


# ---- Products of rows ------------------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def product_in(x: Any, start: int, stop: int, product: Any) -> Any:
    """Return the product of the lanes of `product` and of x."""
    for i in range(start, stop, width(product)):
        product = product * read(x, i, product, stop - i, 1)
    return product_of(product)


@njit(error_model="numpy", forceinline=True)
def float_product(x: Any, n: int, one: Any) -> Any:
    """Return the product of n floats, in their own dtype."""
    wide, narrow = filled(zeros(x, 4, 4), one), filled(zeros(x, 1, 1), one)
    end = whole(n, wide)
    return product_in(x, 0, end, wide) * product_in(x, end, n, narrow)


@njit(error_model="numpy", forceinline=True)
def plain_product(x: Any, n: int, one: Any) -> Any:
    """Return the product of n integers or booleans, in the type of `one`."""
    product = one
    for i in range(n):
        product *= load(forward(x, i))
    return product


def row_product(x: Any, n: int, one: Any) -> Any:
    """Return the product of n numbers at the pointer x; that of integers in the type of `one`."""


@overload(row_product, jit_options=COMPILED, strict=False)
def _row_product(x: Any, n: int, one: Any) -> Any:
    if isinstance(x.dtype, types.Float):
        return lambda x, n, one: float_product(x, n, one)
    return lambda x, n, one: plain_product(x, n, one)


# ---- Columns ---------------------------------------------------------------------------------------------------------


def add_rows(totals: Array, errors: Array, x: Any, stride: int, rows: int, n: int, squared: bool) -> None:
    """Add `rows` rows of n columns, `stride` numbers apart, or their squares, to the totals and errors.

    Whole vectors of both are written: up to a register more than n.
    """


@overload(add_rows, jit_options=COMPILED, strict=False)
def _add_rows(totals: Any, errors: Any, x: Any, stride: int, rows: int, n: int, squared: bool) -> Any:
    if not isinstance(x.dtype, types.Float):
        return plain_rows
    return single_rows if x.dtype.bitwidth == 32 else double_rows


def plain_rows(totals: Array, errors: Array, x: Any, stride: int, rows: int, n: int, squared: bool) -> None:
    """Add rows of integers or booleans."""
    for k in range(rows):
        row = forward(x, k * stride)
        for i in range(n):
            totals[i] += load(forward(row, i))


@njit(error_model="numpy", forceinline=True)
def stretch(rows: int, n: int, vector: Any) -> int:
    """Return how many rows of n columns are worked on together.

    Where a row is one vector, all, in registers; of longer rows four, so that they are read in the order of memory.
    """
    return max(rows, 1) if n <= width(vector) else 4


@njit(error_model="numpy", forceinline=True)
def far_apart(stride: int, rows: int) -> bool:
    """Return whether processors fetch too little ahead by themselves: rows of some length, more than a cache holds."""
    return stride > LONG and rows * stride > MANY


@njit(error_model="numpy", forceinline=True)
def fetch_four(x: Any, stride: int, i: int, like: Any) -> None:
    """Have a vector of each of the four rows after the next four brought into the second-level cache."""
    for k in range(4, 8):
        fetch(x, k * stride + i, like)


@njit(error_model="numpy", forceinline=True)
def add_strips(
    totals: Any, x: Any, stride: int, rows: int, start: int, stop: int, squared: bool, far: bool, like: Any
) -> None:
    """Add rows of float32 to the totals of the columns from start to stop."""
    fours = rows & -4
    for i in range(start, stop, width(like)):
        left, total = stop - i, read(totals, i, widen(like), TILE - i, 0)
        if far:
            fetch_four(x, stride, i, like)
        if rows == 4:  # by far the most calls: without a loop
            total = total + four_vectors(x, stride, i, like, left, squared)
        else:
            for k in range(0, fours, 4):
                total = total + four_vectors(forward(x, k * stride), stride, i, like, left, squared)
            for k in range(fours, rows):
                total = total + widen(term(x, k * stride + i, like, left, squared))
        write(totals, i, total, TILE - i)


def single_rows(totals: Array, errors: Array, x: Any, stride: int, rows: int, n: int, squared: bool) -> None:
    """Add rows of float32."""
    broad, wide, narrow, target = zeros(x, 4, 4), zeros(x, 2, 2), zeros(x, 1, 1), pointer(totals, 0)
    middle, end, step, far = whole(n, broad), whole(n, wide), stretch(rows, n, broad), far_apart(stride, rows)
    for k in range(0, rows, step):
        row, count = forward(x, k * stride), min(step, rows - k)
        add_strips(target, row, stride, count, 0, middle, squared, far, broad)
        add_strips(target, row, stride, count, middle, end, squared, far, wide)
        add_strips(target, row, stride, count, end, n, squared, far, narrow)


def double_rows(totals: Array, errors: Array, x: Any, stride: int, rows: int, n: int, squared: bool) -> None:
    """Add rows of float64, with their rounding errors."""
    like, target, lost, far = zeros(x, 1, 1), pointer(totals, 0), pointer(errors, 0), far_apart(stride, rows)
    fours = rows & -4
    for k in range(0, fours, 4):
        row = forward(x, k * stride)
        for i in range(0, n, width(like)):
            if far:
                fetch_four(row, stride, i, like)
            four = four_vectors(row, stride, i, like, n - i, squared)
            total, error = two_sum(read(target, i, like, TILE - i, 0), four)
            write(target, i, total, TILE - i)
            write(lost, i, read(lost, i, like, TILE - i, 0) + error, TILE - i)
    for k in range(fours, rows):
        row = forward(x, k * stride)
        for i in range(0, n, width(like)):
            total, error = two_sum(read(target, i, like, TILE - i, 0), term(row, i, like, n - i, squared))
            write(target, i, total, TILE - i)
            write(lost, i, read(lost, i, like, TILE - i, 0) + error, TILE - i)


# ---- Extremes --------------------------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def better(x: Any, y: Any, largest: bool) -> Any:
    """Return x > y to seek the largest, x < y to seek the smallest."""
    return x > y if largest else x < y


@njit(error_model="numpy", forceinline=True)
def replaces(value: Any, best: Any, largest: bool) -> Any:
    """Return whether `value` is better than `best`, or is NaN: NaN is never given up."""
    return (better(value, best, largest) | (value != value)) & (best == best)


@njit(error_model="numpy", forceinline=True)
def extreme_in(x: Any, start: int, stop: int, largest: bool, worst: Any, best: Any, broken: Any) -> Any:
    """Return the better ones of x and of the lanes of `best`, and half as many lanes: NaN where one of x was."""
    for i in range(start, stop, width(best)):
        value = read(x, i, best, stop - i, worst)
        best = select(value > best, value, best) if largest else select(value < best, value, best)
        broken = select(broken_lanes(value), math.nan, broken)
    return best, broken


@njit(error_model="numpy", forceinline=True)
def float_extreme(x: Any, n: int, largest: bool) -> Any:
    """Return the best of n floats, or NaN."""
    worst = -math.inf if largest else math.inf
    wide, best = filled(zeros_in(x, WIDE_BYTES), worst), filled(zeros_in(x, STREAM_BYTES), worst)
    end, found = whole(n, wide), False
    if end:
        wide, broken = extreme_in(x, 0, end, largest, worst, wide, half(wide))
        best, found = extreme_folded(wide, best, largest), any_of(broken != broken)
    if end < n:
        best, rest = extreme_in(x, end, n, largest, worst, best, half(best))
        found |= any_of(rest != rest)
    return extreme_folded(best * (math.nan if found else 1.0), worst, largest)


@njit(error_model="numpy", forceinline=True)
def plain_extreme(x: Any, n: int, largest: bool) -> Any:
    """Return the best of n integers or booleans."""
    best = load(x)
    for i in range(1, n):
        value = load(forward(x, i))
        best = value if better(value, best, largest) else best
    return best


def row_extreme(x: Any, n: int, largest: bool) -> Any:
    """Return the one of n >= 1 numbers at the pointer x that no other is better than, or NaN."""


@overload(row_extreme, jit_options=COMPILED, strict=False)
def _row_extreme(x: Any, n: int, largest: bool) -> Any:
    if isinstance(x.dtype, types.Float):
        return lambda x, n, largest: float_extreme(x, n, largest)
    return lambda x, n, largest: plain_extreme(x, n, largest)


def extreme_rows(out: Any, x: Any, stride: int, rows: int, n: int, largest: bool) -> None:
    """Write the best number of each of n columns in `rows` rows, `stride` numbers apart."""


@overload(extreme_rows, jit_options=COMPILED, strict=False)
def _extreme_rows(out: Any, x: Any, stride: int, rows: int, n: int, largest: bool) -> Any:
    return float_extreme_rows if isinstance(x.dtype, types.Float) else plain_extreme_rows


def plain_extreme_rows(out: Any, x: Any, stride: int, rows: int, n: int, largest: bool) -> None:
    """Write the best integers or booleans of columns."""
    for i in range(n):
        store(forward(out, i), load(forward(x, i)))
    for k in range(1, rows):
        row = forward(x, k * stride)
        for i in range(n):
            value, best = load(forward(row, i)), load(forward(out, i))
            store(forward(out, i), value if better(value, best, largest) else best)


@njit(error_model="numpy", forceinline=True)
def extreme_of(x: Any, y: Any, largest: bool) -> Any:
    """Return the better numbers of two vectors, NaN where one is."""
    best = select(x > y, x, y) if largest else select(x < y, x, y)
    return select(x != x, x, best)


@njit(error_model="numpy", forceinline=True)
def extreme_strips(
    out: Any, x: Any, stride: int, rows: int, start: int, stop: int, largest: bool, far: bool, like: Any
) -> None:
    """Replace the best numbers of the columns from start to stop by better ones in some rows."""
    for i in range(start, stop, width(like)):
        best = read(out, i, like, stop - i, 0)
        if far:
            fetch_four(x, stride, i, like)
        for k in range(rows):
            best = extreme_of(read(x, k * stride + i, like, stop - i, 0), best, largest)
        write(out, i, best, stop - i)


def float_extreme_rows(out: Any, x: Any, stride: int, rows: int, n: int, largest: bool) -> None:
    """Write the best floats of columns."""
    wide, narrow = zeros(x, 2, 2), zeros(x, 1, 1)
    end, step, far = whole(n, wide), stretch(rows, n, wide), far_apart(stride, rows)
    for i in range(0, n, width(narrow)):
        write(out, i, read(x, i, narrow, n - i, 0), n - i)
    for k in range(1, rows, step):
        row, count = forward(x, k * stride), min(step, rows - k)
        extreme_strips(out, row, stride, count, 0, end, largest, far, wide)
        extreme_strips(out, row, stride, count, end, n, largest, far, narrow)
