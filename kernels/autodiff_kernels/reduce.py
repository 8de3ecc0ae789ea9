"""Reductions and running sums.

A reduction sees its input as x (A, K1, B, K2) and removes K1 and K2: neighbouring axes that are both kept, or both
reduced, count as one. Arrays are flat, and the sizes whole numbers, so that a call from Python makes no views. Two
loops serve all shapes: with K2 = 1 rows of B numbers are combined column by column; otherwise each output combines K1
rows of K2 neighbouring numbers.

How sums are accumulated stands in `accumulate.py`. A full sum, which several parts work on together, is `sum_partial`
and `sum_combine`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.accumulate import (
    TILE,
    add_rows,
    better,
    corrected,
    extreme_rows,
    replaces,
    row_extreme,
    row_product,
    row_sum,
    sum_rows,
    two_sum,
)
from autodiff_kernels.memory import forward, pointer, store
from autodiff_kernels.parts import columns, row_share, share
from autodiff_kernels.rows import row_dot

Array = np.ndarray[Any, np.dtype[Any]]

BLOCK = 4096  # numbers to a partial sum of a full reduction
SCANNED = 4  # rows whose running sums are added up side by side
ALONE = 1 << 17  # numbers that are too few for several parts


@njit(error_model="numpy", forceinline=True)
def first_row(unit: int, K1: int, B: int) -> int:
    """Return the first of the K1 rows that make output `unit`; two divisions would cost as much as a short row."""
    return unit if K1 == 1 else unit // B * K1 * B + unit % B


# ---- Sums ------------------------------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def add_axes(
    out: Array, scratch: Array, x: Array, A: int, K1: int, B: int, K2: int, squared: bool, part: int, parts: int
) -> None:
    """Add up x (A, K1, B, K2), or its squares, to out (A, B) as `sum_axes` does."""
    zero = scratch.dtype.type(0)
    if K2 != 1:
        low, high = share(A * B, part, parts)
        if K1 == 1:
            sum_rows(pointer(out, 0), pointer(x, 0), low, high, K2, zero, squared)
            return
        for unit in range(low, high):
            row = pointer(x, first_row(unit, K1, B) * K2)
            sum_, lost = zero, zero
            for k in range(K1):
                sum_, error = two_sum(sum_, row_sum(forward(row, k * B * K2), K2, zero, squared))
                lost += error
            store(pointer(out, unit), corrected(sum_, lost))
        return
    own = 2 * part * TILE
    totals, errors = scratch[own : own + TILE], scratch[own + TILE : own + 2 * TILE]
    low, high, units = row_share(A, B, part, parts)
    for a in range(low // units, (high + units - 1) // units):
        begin, end = columns(a, B, low, high, units)
        for b in range(begin, end, TILE):
            n = min(TILE, end - b)
            totals[:n] = 0
            errors[:n] = 0
            add_rows(totals, errors, pointer(x, a * K1 * B + b), B, K1, n, squared)
            target = out[a * B + b : a * B + b + n]
            for i in range(n):
                target[i] = corrected(totals[i], errors[i])


@njit(cache=True, nogil=True, error_model="numpy")
def sum_axes(
    out: Array, scratch: Array, x: Array, A: int, K1: int, B: int, K2: int, part: int, parts: int
) -> None:
    """out[a, b] = sum over k1 and k2 of x[a, k1, b, k2]; an empty sum is 0.

    Args:
        out: (A B,), out; the type of x, float64, or int64 for integers and booleans.
        scratch: (parts 2 `TILE`,), or of any size unless K2 = 1; float64 for floats, int64 for integers and booleans:
            the type that accumulates.
        x: (A K1 B K2,), in; any type. Outputs, or tiles of `TILE` columns with K2 = 1, are shared among the parts.
        A, K1, B, K2: sizes.
    """
    add_axes(out, scratch, x, A, K1, B, K2, False, part, parts)


@njit(cache=True, nogil=True, error_model="numpy")
def square_sum_axes(
    out: Array, scratch: Array, x: Array, A: int, K1: int, B: int, K2: int, part: int, parts: int
) -> None:
    """out[a, b] = sum over k1 and k2 of x[a, k1, b, k2]^2, squared in their own dtype; an empty sum is 0.

    Args:
        out: (A B,), out; the type of x, or float64.
        scratch: (parts 2 `TILE`,), or of any size unless K2 = 1; float64.
        x: (A K1 B K2,), in; float32 or float64. Outputs, or tiles of columns with K2 = 1, are shared among the parts.
        A, K1, B, K2: sizes.
    """
    add_axes(out, scratch, x, A, K1, B, K2, True, part, parts)


@njit(error_model="numpy", forceinline=True)
def add_blocks(partial: Array, x: Array, squared: bool, part: int, parts: int) -> None:
    """Add up blocks of x, or of its squares, as `sum_partial` does."""
    zero = partial.dtype.type(0)
    low, high = share(partial.shape[0], part, parts)
    for i in range(low, high):
        partial[i] = row_sum(pointer(x, i * BLOCK), min(BLOCK, x.shape[0] - i * BLOCK), zero, squared)


@njit(cache=True, nogil=True, error_model="numpy")
def sum_partial(partial: Array, x: Array, part: int, parts: int) -> None:
    """partial[i] = sum of the i-th `BLOCK` numbers of x; `sum_combine` adds them up.

    Args:
        partial: (ceil(n / `BLOCK`),), out; float64 for floats, int64 for integers and booleans. Shared among the parts.
        x: (n,), in; any type.
    """
    add_blocks(partial, x, False, part, parts)


@njit(cache=True, nogil=True, error_model="numpy")
def square_sum_partial(partial: Array, x: Array, part: int, parts: int) -> None:
    """partial[i] = sum of the squares of the i-th `BLOCK` numbers of x; `sum_combine` adds them up.

    Args:
        partial: (ceil(n / `BLOCK`),), out; float64. Shared among the parts.
        x: (n,), in; float32 or float64, in which the squares are taken.
    """
    add_blocks(partial, x, True, part, parts)


@njit(cache=True, nogil=True, error_model="numpy")
def dot_partial(partial: Array, x: Array, y: Array, part: int, parts: int) -> None:
    """partial[i] = sum of x y over the i-th `BLOCK` numbers; `sum_combine` adds them up.

    Args:
        partial: (ceil(n / `BLOCK`),), out; float64. Shared among the parts.
        x: (n,), in; float32 or float64, in which the products are taken.
        y: (n,), in; like x.
    """
    low, high = share(partial.shape[0], part, parts)
    for i in range(low, high):
        partial[i] = row_dot(pointer(x, i * BLOCK), pointer(y, i * BLOCK), min(BLOCK, x.shape[0] - i * BLOCK))


@njit(cache=True, nogil=True, error_model="numpy")
def squared_error_partial(partial: Array, x: Array, y: Array, part: int, parts: int) -> None:
    """partial[i] = sum of (x - y)^2 over the i-th `BLOCK` numbers; `sum_combine` adds them up.

    Args:
        partial: (ceil(n / `BLOCK`),), out; float64. Shared among the parts.
        x: (n,), in; float32 or float64.
        y: (n,), in; like x.
    """
    zero = partial.dtype.type(0)
    low, high = share(partial.shape[0], part, parts)
    for block in range(low, high):
        start, stop = block * BLOCK, min((block + 1) * BLOCK, x.shape[0])
        s0, s1, s2, s3, s4, s5, s6, s7 = zero, zero, zero, zero, zero, zero, zero, zero
        eights = (stop - start) // 8
        for eight in range(eights):
            i = start + 8 * eight
            s0 += (zero + x[i] - y[i]) ** 2
            s1 += (zero + x[i + 1] - y[i + 1]) ** 2
            s2 += (zero + x[i + 2] - y[i + 2]) ** 2
            s3 += (zero + x[i + 3] - y[i + 3]) ** 2
            s4 += (zero + x[i + 4] - y[i + 4]) ** 2
            s5 += (zero + x[i + 5] - y[i + 5]) ** 2
            s6 += (zero + x[i + 6] - y[i + 6]) ** 2
            s7 += (zero + x[i + 7] - y[i + 7]) ** 2
        for i in range(start + 8 * eights, stop):
            s0 += (zero + x[i] - y[i]) ** 2
        partial[block] = ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))


@njit(cache=True, nogil=True, error_model="numpy")
def sum_combine(out: Array, partial: Array, part: int, parts: int) -> None:
    """out[0] = sum of the partial sums; one part does it.

    Args:
        out: (1,), out; any type that holds the sum.
        partial: (blocks,), in; float64 or int64. It may be empty: the sum is 0.
    """
    low, high = share(1, part, parts)
    for i in range(low, high):
        out[i] = row_sum(pointer(partial, 0), partial.shape[0], partial.dtype.type(0), False)


@njit(cache=True, nogil=True, error_model="numpy")
def prod_axes(out: Array, x: Array, A: int, K1: int, B: int, K2: int, part: int, parts: int) -> None:
    """out[a, b] = product over k1 and k2 of x[a, k1, b, k2]; an empty product is 1.

    Args:
        out: (A B,), out; the type of x, or int64 for integers and booleans. The product is accumulated in it.
        x: (A K1 B K2,), in; any type. Outputs, or tiles of `TILE` columns with K2 = 1, are shared among the parts.
        A, K1, B, K2: sizes.
    """
    one = out.dtype.type(1)
    if K2 != 1:
        low, high = share(A * B, part, parts)
        for unit in range(low, high):
            row, product = pointer(x, first_row(unit, K1, B) * K2), one
            for k in range(K1):
                product *= row_product(forward(row, k * B * K2), K2, one)
            store(pointer(out, unit), product)
        return
    rows = x.reshape((A * K1, B))
    low, high, units = row_share(A, B, part, parts)
    for a in range(low // units, (high + units - 1) // units):
        begin, end = columns(a, B, low, high, units)
        for b in range(begin, end, TILE):
            width = min(TILE, end - b)
            target = out[a * B + b : a * B + b + width]
            target[:] = one
            for k in range(K1):
                row = rows[a * K1 + k, b : b + width]
                for i in range(width):
                    target[i] *= row[i]


@njit(error_model="numpy", forceinline=True)
def extreme_axes(
    out: Array, x: Array, A: int, K1: int, B: int, K2: int, largest: bool, part: int, parts: int
) -> None:
    """Reduce x (A, K1, B, K2) to out (A, B) as `max_axes` and `min_axes` do."""
    if K2 != 1:
        low, high = share(A * B, part, parts)
        for unit in range(low, high):
            row = pointer(x, first_row(unit, K1, B) * K2)
            best = row_extreme(row, K2, largest)
            for k in range(1, K1):
                value = row_extreme(forward(row, k * B * K2), K2, largest)
                best = value if replaces(value, best, largest) else best
            store(pointer(out, unit), best)
        return
    low, high, units = row_share(A, B, part, parts)
    for a in range(low // units, (high + units - 1) // units):
        begin, end = columns(a, B, low, high, units)
        for b in range(begin, end, TILE):
            n = min(TILE, end - b)
            extreme_rows(pointer(out, a * B + b), pointer(x, a * K1 * B + b), B, K1, n, largest)


@njit(cache=True, nogil=True, error_model="numpy")
def max_axes(out: Array, x: Array, A: int, K1: int, B: int, K2: int, part: int, parts: int) -> None:
    """out[a, b] = maximum over k1 and k2 of x[a, k1, b, k2]; NaN if one of them is.

    Args:
        out: (A B,), out; the type of x.
        x: (A K1 B K2,) with K1, K2 >= 1, in; any type. Outputs, or tiles of columns with K2 = 1, are shared.
        A, K1, B, K2: sizes.
    """
    extreme_axes(out, x, A, K1, B, K2, True, part, parts)


@njit(cache=True, nogil=True, error_model="numpy")
def min_axes(out: Array, x: Array, A: int, K1: int, B: int, K2: int, part: int, parts: int) -> None:
    """out[a, b] = minimum over k1 and k2 of x[a, k1, b, k2]; NaN if one of them is.

    Args:
        out: (A B,), out; the type of x.
        x: (A K1 B K2,) with K1, K2 >= 1, in; any type. Outputs, or tiles of columns with K2 = 1, are shared.
        A, K1, B, K2: sizes.
    """
    extreme_axes(out, x, A, K1, B, K2, False, part, parts)


@njit(error_model="numpy", forceinline=True)
def extreme_blocks(partial: Array, x: Array, largest: bool, part: int, parts: int) -> None:
    """Reduce blocks of x as `max_partial` and `min_partial` do."""
    low, high = share(partial.shape[0], part, parts)
    for i in range(low, high):
        partial[i] = row_extreme(pointer(x, i * BLOCK), min(BLOCK, x.shape[0] - i * BLOCK), largest)


@njit(cache=True, nogil=True, error_model="numpy")
def max_partial(partial: Array, x: Array, part: int, parts: int) -> None:
    """partial[i] = maximum of the i-th `BLOCK` numbers of x, NaN if one of them is; `max_axes` reduces them.

    Args:
        partial: (ceil(n / `BLOCK`),), out; the type of x. Shared among the parts.
        x: (n,), in; any type.
    """
    extreme_blocks(partial, x, True, part, parts)


@njit(cache=True, nogil=True, error_model="numpy")
def min_partial(partial: Array, x: Array, part: int, parts: int) -> None:
    """partial[i] = minimum of the i-th `BLOCK` numbers of x, NaN if one of them is; `min_axes` reduces them.

    Args:
        partial: (ceil(n / `BLOCK`),), out; the type of x. Shared among the parts.
        x: (n,), in; any type.
    """
    extreme_blocks(partial, x, False, part, parts)


@njit(error_model="numpy")
def extreme_positions(indices: Array, values: Array, x: Array, largest: bool, part: int, parts: int) -> None:
    """Reduce x (A, K, B) to positions and values (A, B) as `argmax_axes` and `argmin_axes` do."""
    A, K, B = x.shape
    if B == 1:
        low, high = share(A, part, parts)
        for a in range(low, high):
            best, position = x[a, 0, 0], 0
            for k in range(K):
                value = x[a, k, 0]
                if value != value:
                    best, position = value, k
                    break
                if better(value, best, largest):
                    best, position = value, k
            values[a, 0], indices[a, 0] = best, position
        return
    low, high, units = row_share(A, B, part, parts)
    for a in range(low // units, (high + units - 1) // units):
        begin, end = columns(a, B, low, high, units)
        for b in range(begin, end, TILE):
            width = min(TILE, end - b)
            target, places = values[a, b : b + width], indices[a, b : b + width]
            for i in range(width):
                target[i] = x[a, 0, b + i]
            places[:] = 0
            for k in range(1, K):
                row = x[a, k, b : b + width]
                for i in range(width):
                    value, best = row[i], target[i]
                    found = replaces(value, best, largest)
                    target[i] = value if found else best
                    places[i] = k if found else places[i]


@njit(cache=True, nogil=True, error_model="numpy")
def argmax_axes(indices: Array, values: Array, x: Array, part: int, parts: int) -> None:
    """indices[a, b] = first k at which x[a, k, b] is largest, values[a, b] = x there; NaN counts as larger than all.

    Args:
        indices: (A, B), out; int64.
        values: (A, B), out; the type of x.
        x: (A, K, B) with K >= 1, in; any type. Rows with B = 1, otherwise tiles of columns are shared.
    """
    extreme_positions(indices, values, x, True, part, parts)


@njit(cache=True, nogil=True, error_model="numpy")
def argmin_axes(indices: Array, values: Array, x: Array, part: int, parts: int) -> None:
    """indices[a, b] = first k at which x[a, k, b] is smallest, values[a, b] = x there; NaN counts as smaller than all.

    Args:
        indices: (A, B), out; int64.
        values: (A, B), out; the type of x.
        x: (A, K, B) with K >= 1, in; any type. Rows with B = 1, otherwise tiles of columns are shared.
    """
    extreme_positions(indices, values, x, False, part, parts)


@njit(error_model="numpy")
def exists_axes(out: Array, x: Array, A: int, K1: int, B: int, K2: int, sought: bool, part: int, parts: int) -> None:
    """out[a, b] = `sought` if the truth value of one x[a, k1, b, k2] is `sought`, otherwise not `sought`."""
    if K2 != 1:
        rows = x.reshape((A * K1 * B, K2))
        low, high = share(A * B, part, parts)
        for unit in range(low, high):
            a, b = unit // B, unit % B
            found = False
            for k in range(K1):
                row = rows[(a * K1 + k) * B + b]
                for i in range(K2):
                    if (row[i] != 0) == sought:
                        found = True
                        break
                if found:
                    break
            out[unit] = found == sought
        return
    rows = x.reshape((A * K1, B))
    low, high, units = row_share(A, B, part, parts)
    for a in range(low // units, (high + units - 1) // units):
        begin, end = columns(a, B, low, high, units)
        for b in range(begin, end, TILE):
            width = min(TILE, end - b)
            target = out[a * B + b : a * B + b + width]
            target[:] = not sought
            for k in range(K1):
                row = rows[a * K1 + k, b : b + width]
                for i in range(width):
                    target[i] = sought if (row[i] != 0) == sought else target[i]


@njit(cache=True, nogil=True, error_model="numpy")
def any_axes(out: Array, x: Array, A: int, K1: int, B: int, K2: int, part: int, parts: int) -> None:
    """out[a, b] = whether some x[a, k1, b, k2] is not 0 (NaN is not 0); False for none.

    Args:
        out: (A B,), out; bool.
        x: (A K1 B K2,), in; any type. Outputs, or tiles of columns with K2 = 1, are shared among the parts.
        A, K1, B, K2: sizes.
    """
    exists_axes(out, x, A, K1, B, K2, True, part, parts)


@njit(cache=True, nogil=True, error_model="numpy")
def all_axes(out: Array, x: Array, A: int, K1: int, B: int, K2: int, part: int, parts: int) -> None:
    """out[a, b] = whether no x[a, k1, b, k2] is 0 (NaN is not 0); True for none.

    Args:
        out: (A B,), out; bool.
        x: (A K1 B K2,), in; any type. Outputs, or tiles of columns with K2 = 1, are shared among the parts.
        A, K1, B, K2: sizes.
    """
    exists_axes(out, x, A, K1, B, K2, False, part, parts)


@njit(error_model="numpy", forceinline=True)
def joined(x: Any, y: Any, product: bool) -> Any:
    """Return the product, or the sum, of two numbers."""
    return x * y if product else x + y


@njit(error_model="numpy")
def scan(out: Array, scratch: Array, x: Array, product: bool, reverse: int, part: int, parts: int) -> None:
    """Add up, or multiply, x (A, K, B) along K as `cumsum` and `cumprod` do."""
    A, K, B = x.shape
    start = scratch.dtype.type(product)
    if B == 1:
        low, high = share(A, part, parts)
        # One addition waits for the one before, but not for those of other rows; of integers it takes a single cycle.
        floats = scratch.dtype.type(0.5) > 0
        alone = low + (high - low) % SCANNED if floats else high
        for a in range(low, alone):
            last = start
            for step in range(K):
                k = K - 1 - step if reverse else step
                last = joined(last, x[a, k, 0], product)
                out[a, k, 0] = last
        for a in range(alone, high, SCANNED):
            last0, last1, last2, last3 = start, start, start, start
            for step in range(K):
                k = K - 1 - step if reverse else step
                last0, last1 = joined(last0, x[a, k, 0], product), joined(last1, x[a + 1, k, 0], product)
                last2, last3 = joined(last2, x[a + 2, k, 0], product), joined(last3, x[a + 3, k, 0], product)
                out[a, k, 0], out[a + 1, k, 0], out[a + 2, k, 0], out[a + 3, k, 0] = last0, last1, last2, last3
        return
    running = scratch[part, 0]
    low, high, units = row_share(A, B, part, parts)
    for a in range(low // units, (high + units - 1) // units):
        begin, end = columns(a, B, low, high, units)
        for b in range(begin, end, TILE):
            width = min(TILE, end - b)
            running[:width] = start
            for step in range(K):
                k = K - 1 - step if reverse else step
                row, target = x[a, k, b : b + width], out[a, k, b : b + width]
                for i in range(width):
                    running[i] = joined(running[i], row[i], product)
                    target[i] = running[i]


@njit(cache=True, nogil=True, error_model="numpy")
def cumsum(out: Array, scratch: Array, x: Array, reverse: int, part: int, parts: int) -> None:
    """out[a, k, b] = sum of x[a, j, b] over j <= k, or over j >= k if `reverse` is 1, which is the gradient's sum.

    Args:
        out: (A, K, B), out; the type of x, or int64 for integers and booleans.
        scratch: (parts, 2, `TILE`); float64 for floats, int64 for integers and booleans: the type that accumulates.
        x: (A, K, B), in; any type. Rows with B = 1, otherwise tiles of `TILE` columns are shared among the parts.
        reverse: 0 or 1.
    """
    scan(out, scratch, x, False, reverse, part, parts)


@njit(cache=True, nogil=True, error_model="numpy")
def cumprod(out: Array, scratch: Array, x: Array, reverse: int, part: int, parts: int) -> None:
    """out[a, k, b] = product of x[a, j, b] over j <= k, or over j >= k if `reverse` is 1.

    Args:
        out: (A, K, B), out; the type of x, or int64 for integers and booleans.
        scratch: (parts, 2, `TILE`); float64 for floats, int64 for integers and booleans: the type that accumulates.
        x: (A, K, B), in; any type. Rows with B = 1, otherwise tiles of `TILE` columns are shared among the parts.
        reverse: 0 or 1.
    """
    scan(out, scratch, x, True, reverse, part, parts)


@njit(cache=True, nogil=True, error_model="numpy")
def cumprod_grad(out: Array, g: Array, x: Array, part: int, parts: int) -> None:
    """Write the gradient of `cumprod` along K, without a division and so exact where x is 0.

    With P[k] = product of x[j] over j < k and S[k] = g[k] + x[k + 1] S[k + 1], out[k] = P[k] S[k].

    Args:
        out: (A, K, B), out; float32 or float64.
        g: (A, K, B), in; the gradient with respect to the running products; like out.
        x: (A, K, B), in; like out. Columns (a, b) are shared among the parts.
    """
    _, K, B = x.shape
    low, high = share(x.shape[0] * B, part, parts)
    for column in range(low, high):
        a, b = column // B, column % B
        tail, factor, product = 0.0, 0.0, 1.0
        for step in range(K):
            k = K - 1 - step
            tail = g[a, k, b] + factor * tail
            factor = x[a, k, b]
            out[a, k, b] = tail
        for k in range(K):
            out[a, k, b] *= product
            product *= x[a, k, b]
