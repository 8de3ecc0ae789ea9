"""Work on the columns of a matrix, in strips of a few registers: what batch and group normalisation are made of.

The functions work on `rows` rows, `stride` numbers apart, of which the strip at column c is as wide as the vectors they
are given; `left` columns exist from there on. `room` is the end of what may be written, counted from the first row: the
last strip may spill into the next row (`rows.py`), so strips are written from the last to the first.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from autodiff_kernels.cpu import VECTOR_BYTES
from autodiff_kernels.maths import constant, fma
from autodiff_kernels.vectors import read, rounded, select, whole, widen, width, write, zeros

STRIP = 4 if VECTOR_BYTES == 64 else 2  # registers to a strip with several sums: AVX2 has few of them
TILE_ROWS = 32  # rows whose strips are worked on side by side: the processor fetches memory in the order of rows
SUM_ROWS = 64  # the same where each strip has sums to fetch and to put back


@njit(error_model="numpy", forceinline=True)
def strip_centre(x: Any, stride: int, rows: int, c: int, left: int, like: Any) -> Any:
    """Return a number near the mean of each column of a strip: that of its first rows, or 0 if it is not finite."""
    quarter = constant(like, 0.25, 0.25)
    centre = read(x, c, like, left, 0)
    if rows >= 4:
        x1, x2 = read(x, stride + c, like, left, 0), read(x, 2 * stride + c, like, left, 0)
        x3 = read(x, 3 * stride + c, like, left, 0)
        centre = (centre * quarter + x1 * quarter) + (x2 * quarter + x3 * quarter)
    return select(centre - centre != 0, like, centre)


@njit(error_model="numpy", forceinline=True)
def strip_differences(
    totals: Any, squares: Any, x: Any, stride: int, start: int, stop: int, c: int, left: int, centre: Any
) -> None:
    """Add the sums of x - centre and of its square over the rows from start to stop."""
    total, square = read(totals, c, centre, left, 0), read(squares, c, centre, left, 0)
    fours = start + (stop - start & -4)
    for r in range(start, fours, 4):
        place = r * stride + c
        d0 = read(x, place, centre, left, 0) - centre
        d1 = read(x, place + stride, centre, left, 0) - centre
        d2 = read(x, place + 2 * stride, centre, left, 0) - centre
        d3 = read(x, place + 3 * stride, centre, left, 0) - centre
        total = total + widen((d0 + d1) + (d2 + d3))
        square = square + widen(fma(d0, d0, d1 * d1) + fma(d2, d2, d3 * d3))
    for r in range(fours, stop):
        d0 = read(x, r * stride + c, centre, left, 0) - centre
        total = total + widen(d0)
        square = square + widen(d0 * d0)
    write(totals, c, total, left)
    write(squares, c, square, left)


@njit(error_model="numpy", forceinline=True)
def column_moments(means: Any, deviations: Any, x: Any, stride: int, rows: int, C: int) -> None:
    """Write mean and sum of squared deviations of each column, in float64."""
    wide, narrow = zeros(x, STRIP, STRIP), zeros(x, 1, 1)
    end = whole(C, wide)
    for c in range(0, C, width(narrow)):
        write(means, c, widen(narrow), C - c)
        write(deviations, c, widen(narrow), C - c)
    for start in range(0, rows, SUM_ROWS):
        stop = min(start + SUM_ROWS, rows)
        for c in range(0, end, width(wide)):
            centre = strip_centre(x, stride, rows, c, C - c, wide)
            strip_differences(means, deviations, x, stride, start, stop, c, C - c, centre)
        for c in range(end, C, width(narrow)):
            centre = strip_centre(x, stride, rows, c, C - c, narrow)
            strip_differences(means, deviations, x, stride, start, stop, c, C - c, centre)
    for c in range(0, C, width(narrow)):
        left = C - c
        total, square = read(means, c, narrow, left, 0), read(deviations, c, narrow, left, 0)
        mean = total / rows
        deviation = square - total * mean
        write(means, c, widen(strip_centre(x, stride, rows, c, left, narrow)) + mean, left)
        write(deviations, c, select(deviation < 0.0, widen(narrow), deviation), left)


@njit(error_model="numpy", forceinline=True)
def strip_affine(
    out: Any, x: Any, stride: int, rows: int, c: int, room: int, centre: Any, scale: Any, shift: Any
) -> None:
    """Write out = (x - centre) scale + shift in a strip."""
    for r in range(rows):
        place = r * stride + c
        write(out, place, fma(read(x, place, centre, room - place, 0) - centre, scale, shift), room - place)


@njit(error_model="numpy", forceinline=True)
def strip_products(
    products: Any, sums: Any, g: Any, x: Any, stride: int, start: int, stop: int, c: int, left: int, centre: Any
) -> None:
    """Add the sums of g (x - centre) and of g over the rows from start to stop."""
    like = centre
    product, total = read(products, c, like, left, 0), read(sums, c, like, left, 0)
    fours = start + (stop - start & -4)
    for r in range(start, fours, 4):
        place = r * stride + c
        g0, g1 = read(g, place, like, left, 0), read(g, place + stride, like, left, 0)
        g2, g3 = read(g, place + 2 * stride, like, left, 0), read(g, place + 3 * stride, like, left, 0)
        total = total + widen((g0 + g1) + (g2 + g3))
        one = fma(g0, read(x, place, like, left, 0) - centre, g1 * (read(x, place + stride, like, left, 0) - centre))
        g3 = g3 * (read(x, place + 3 * stride, like, left, 0) - centre)
        product = product + widen(one + fma(g2, read(x, place + 2 * stride, like, left, 0) - centre, g3))
    for r in range(fours, stop):
        place = r * stride + c
        g0 = read(g, place, like, left, 0)
        total = total + widen(g0)
        product = product + widen(g0 * (read(x, place, like, left, 0) - centre))
    write(products, c, product, left)
    write(sums, c, total, left)


@njit(error_model="numpy", forceinline=True)
def column_products(
    products: Any, sums: Any, g: Any, x: Any, stride: int, rows: int, C: int, centres: Any, scales: Any
) -> None:
    """Write the sums of g (x - centre) scale and of g over each column, in float64."""
    wide, narrow = zeros(x, STRIP, STRIP), zeros(x, 1, 1)
    end = whole(C, wide)
    for c in range(0, C, width(narrow)):
        write(products, c, widen(narrow), C - c)
        write(sums, c, widen(narrow), C - c)
    for start in range(0, rows, SUM_ROWS):
        stop = min(start + SUM_ROWS, rows)
        for c in range(0, end, width(wide)):
            centre = rounded(read(centres, c, wide, C - c, 0), wide)
            strip_products(products, sums, g, x, stride, start, stop, c, C - c, centre)
        for c in range(end, C, width(narrow)):
            centre = rounded(read(centres, c, narrow, C - c, 0), narrow)
            strip_products(products, sums, g, x, stride, start, stop, c, C - c, centre)
    for c in range(0, C, width(narrow)):
        scale = widen(read(scales, c, narrow, C - c, 0))
        write(products, c, read(products, c, narrow, C - c, 0) * scale, C - c)


@njit(error_model="numpy", forceinline=True)
def strip_grad(
    out: Any, g: Any, x: Any, stride: int, rows: int, c: int, room: int, centre: Any, factor: Any, slope: Any,
    shift: Any,
) -> None:
    """Write out = factor g - (slope (x - centre) + shift) in a strip."""
    for r in range(rows):
        place = r * stride + c
        through = fma(read(x, place, centre, room - place, 0) - centre, slope, shift)
        write(out, place, read(g, place, centre, room - place, 0) * factor - through, room - place)


@njit(error_model="numpy", forceinline=True)
def group_norm_strip(
    out: Any, x: Any, stride: int, start: int, stop: int, c: int, count: int, centres: Any, scales: Any, beta: Any,
    like: Any,
) -> None:
    """Write a strip of `group_norm` from the float64 factors of its channels."""
    left = count - c
    none = widen(like)
    centre = rounded(read(centres, c, none, left, 0), like)
    scale, shift = rounded(read(scales, c, none, left, 0), like), read(beta, c, like, left, 0)
    for s in range(start, stop):
        place = s * stride + c
        write(out, place, fma(read(x, place, like, left, 0) - centre, scale, shift), left)


@njit(error_model="numpy", forceinline=True)
def group_norm_grad_strip(
    out: Any, g: Any, x: Any, stride: int, start: int, stop: int, c: int, count: int, factors: Any, C: int, like: Any
) -> None:
    """Write a strip of `group_norm_grad` from the four rows of float64 factors of its channels."""
    left = count - c
    none = widen(like)
    factor = rounded(read(factors, c, none, left, 0), like)
    shift = rounded(read(factors, C + c, none, left, 0), like)
    slope = rounded(read(factors, 2 * C + c, none, left, 0), like)
    centre = rounded(read(factors, 3 * C + c, none, left, 0), like)
    for s in range(start, stop):
        place = s * stride + c
        through = fma(read(x, place, like, left, 0) - centre, slope, shift)
        write(out, place, read(g, place, like, left, 0) * factor - through, left)


@njit(error_model="numpy", forceinline=True)
def batch_norm_grad_strip(
    out: Any, g: Any, x: Any, C: int, rows: int, c: int, room: int, mean: Any, rstd: Any, gamma: Any, dgamma: Any,
    dbeta: Any, part_of_one: Any, like: Any,
) -> None:
    """Write a strip of the gradient of `batch_norm`."""
    left = C - c
    scale, centre = read(rstd, c, like, left, 0), read(mean, c, like, left, 0)
    factor = scale * read(gamma, c, like, left, 0)
    slope = read(dgamma, c, like, left, 0) * scale * part_of_one * factor
    strip_grad(out, g, x, C, rows, c, room, centre, factor, slope, read(dbeta, c, like, left, 0) * part_of_one * factor)
