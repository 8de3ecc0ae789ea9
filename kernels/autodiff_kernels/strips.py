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


@njit(error_model="numpy", forceinline=True)
def strip_moments(means: Any, deviations: Any, x: Any, stride: int, rows: int, c: int, left: int, like: Any) -> None:
    """Write mean and sum of squared deviations of each column of a strip; `left` columns exist."""
    quarter = constant(like, 0.25, 0.25)
    centre = read(x, c, like, left, 0)
    if rows >= 4:
        x1, x2 = read(x, stride + c, like, left, 0), read(x, 2 * stride + c, like, left, 0)
        x3 = read(x, 3 * stride + c, like, left, 0)
        centre = (centre * quarter + x1 * quarter) + (x2 * quarter + x3 * quarter)
    centre = select(centre - centre != 0, like, centre)  # 0 where it is not finite
    total, squares = widen(like), widen(like)
    fours = rows & -4
    for r in range(0, fours, 4):
        place = r * stride + c
        d0 = read(x, place, like, left, 0) - centre
        d1 = read(x, place + stride, like, left, 0) - centre
        d2 = read(x, place + 2 * stride, like, left, 0) - centre
        d3 = read(x, place + 3 * stride, like, left, 0) - centre
        total = total + widen((d0 + d1) + (d2 + d3))
        squares = squares + widen(fma(d0, d0, d1 * d1) + fma(d2, d2, d3 * d3))
    for r in range(fours, rows):
        d0 = read(x, r * stride + c, like, left, 0) - centre
        total = total + widen(d0)
        squares = squares + widen(d0 * d0)
    mean = total / rows
    deviation = squares - total * mean
    write(means, c, widen(centre) + mean, left)
    write(deviations, c, select(deviation < 0.0, widen(like), deviation), left)


@njit(error_model="numpy", forceinline=True)
def column_moments(means: Any, deviations: Any, x: Any, stride: int, rows: int, C: int) -> None:
    """Write mean and sum of squared deviations of each column, in float64."""
    wide, narrow = zeros(x, STRIP, STRIP), zeros(x, 1, 1)
    end = whole(C, wide)
    for c in range(0, end, width(wide)):
        strip_moments(means, deviations, x, stride, rows, c, C - c, wide)
    for c in range(end, C, width(narrow)):
        strip_moments(means, deviations, x, stride, rows, c, C - c, narrow)


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
    products: Any, sums: Any, g: Any, x: Any, stride: int, rows: int, c: int, left: int, centre: Any, scale: Any,
) -> None:
    """Write the sums of g (x - centre) scale and of g over each column of a strip."""
    like = centre * 0.0
    product, total = widen(like), widen(like)
    fours = rows & -4
    for r in range(0, fours, 4):
        place = r * stride + c
        g0, g1 = read(g, place, like, left, 0), read(g, place + stride, like, left, 0)
        g2, g3 = read(g, place + 2 * stride, like, left, 0), read(g, place + 3 * stride, like, left, 0)
        total = total + widen((g0 + g1) + (g2 + g3))
        one = fma(g0, read(x, place, like, left, 0) - centre, g1 * (read(x, place + stride, like, left, 0) - centre))
        g3 = g3 * (read(x, place + 3 * stride, like, left, 0) - centre)
        product = product + widen(one + fma(g2, read(x, place + 2 * stride, like, left, 0) - centre, g3))
    for r in range(fours, rows):
        place = r * stride + c
        g0 = read(g, place, like, left, 0)
        total = total + widen(g0)
        product = product + widen(g0 * (read(x, place, like, left, 0) - centre))
    write(products, c, product * widen(scale), left)
    write(sums, c, total, left)


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
    out: Any, x: Any, stride: int, rows: int, c: int, count: int, centres: Any, scales: Any, beta: Any, like: Any
) -> None:
    """Write a strip of `group_norm` from the float64 factors of its channels."""
    left = count - c
    none = widen(like)
    centre = rounded(read(centres, c, none, left, 0), like)
    scale, shift = rounded(read(scales, c, none, left, 0), like), read(beta, c, like, left, 0)
    for s in range(rows):
        place = s * stride + c
        write(out, place, fma(read(x, place, like, left, 0) - centre, scale, shift), left)


@njit(error_model="numpy", forceinline=True)
def group_norm_grad_strip(
    out: Any, g: Any, x: Any, stride: int, rows: int, c: int, count: int, factors: Any, C: int, like: Any
) -> None:
    """Write a strip of `group_norm_grad` from the four rows of float64 factors of its channels."""
    left = count - c
    none = widen(like)
    factor = rounded(read(factors, c, none, left, 0), like)
    shift = rounded(read(factors, C + c, none, left, 0), like)
    slope = rounded(read(factors, 2 * C + c, none, left, 0), like)
    centre = rounded(read(factors, 3 * C + c, none, left, 0), like)
    for s in range(rows):
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
