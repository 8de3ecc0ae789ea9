"""Work on the columns of a matrix, in strips of a few registers: what batch and group normalisation are made of.

Some rows are worked on side by side, strip by strip, with their sums and factors in registers. Processors fetch ahead
what is read in the order of memory, but not pieces of rows one below the other: where rows are longer than a strip,
those of the rows that come next are asked for early.

The functions work on `rows` rows, `stride` numbers apart, of which the strip at column c is as wide as the vectors they
are given; `left` columns exist from there on. `room` is the end of what may be written, counted from the first row: the
last strip may spill into the next row (`rows.py`), so strips are written from the last to the first.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from autodiff_kernels.cpu import VECTOR_REGISTERS
from autodiff_kernels.maths import constant, fma
from autodiff_kernels.memory import forward, stack
from autodiff_kernels.rows import passing, stepped
from autodiff_kernels.vectors import fetch, read, rounded, select, whole, widen, width, write, zeros

STRIP = VECTOR_REGISTERS // 8  # registers to a strip with several sums
TILE_ROWS = 16  # rows whose strips are worked on side by side
NEAR = 1 << 20  # numbers that stay in the caches
AHEAD = 32  # rows between those that are summed and those that are asked for
GROUP = 16  # numbers of a column that are added up in their own dtype before they are accumulated
COLUMNS = 1024  # columns whose sums and factors are kept at hand


@njit(error_model="numpy", forceinline=True)
def tile_rows(rows: int, C: int, wide: Any) -> int:
    """Return how many rows of C numbers are worked on side by side: many, so that their factors are read once for all.

    One, where rows are longer than a strip and all of them more than the caches hold: then reading pieces of rows one
    below the other takes longer than reading factors again, even if the pieces are asked for early.
    """
    return TILE_ROWS if width(wide) >= C or rows * C <= NEAR else 1


@njit(error_model="numpy", forceinline=True)
def fetch_strip(x: Any, place: int, stride: int, rows: int, like: Any) -> None:
    """Ask early for a strip of the next tile, where a tile's strips are pieces of rows."""
    if rows > 1 and stride > width(like):
        fetch(x, place + TILE_ROWS * stride, like)


@njit(error_model="numpy", forceinline=True)
def round_factors(out: Any, factors: Any, n: int, like: Any) -> None:
    """Write n numbers, `COLUMNS` at most, in the dtype of `like`; `out` has places for whole vectors."""
    for c in range(0, n, width(like)):
        write(out, c, rounded(read(factors, c, like, n - c, 0), like), width(like))


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
    totals: Any, squares: Any, x: Any, stride: int, start: int, stop: int, c: int, left: int, centre: Any, like: Any
) -> None:
    """Add the sums of x - centre and of its square over the rows from start to stop; `like` holds zeros."""
    total, square = read(totals, c, like, left, 0), read(squares, c, like, left, 0)
    some, some_squares, far = like, like, stride > width(like)
    for r in range(start, stop):
        if far:
            fetch(x, (r + AHEAD) * stride + c, like)
        difference = read(x, r * stride + c, like, left, 0) - centre
        some = some + difference
        some_squares = fma(difference, difference, some_squares)
    write(totals, c, total + widen(some), left)
    write(squares, c, square + widen(some_squares), left)


@njit(error_model="numpy", forceinline=True)
def column_moments(means: Any, deviations: Any, x: Any, stride: int, rows: int, C: int) -> None:
    """Write mean and sum of squared deviations of each column, in float64."""
    wide, narrow = zeros(x, STRIP, STRIP), zeros(x, 1, 1)
    end = whole(C, wide)
    for c in range(0, C, width(narrow)):
        write(means, c, widen(narrow), C - c)
        write(deviations, c, widen(narrow), C - c)
    for start in range(0, rows, GROUP):
        stop = min(start + GROUP, rows)
        for c in range(0, end, width(wide)):
            centre = strip_centre(x, stride, rows, c, C - c, wide)
            strip_differences(means, deviations, x, stride, start, stop, c, C - c, centre, wide)
        for c in range(end, C, width(narrow)):
            centre = strip_centre(x, stride, rows, c, C - c, narrow)
            strip_differences(means, deviations, x, stride, start, stop, c, C - c, centre, narrow)
    for c in range(0, C, width(narrow)):
        left = C - c
        total, square = read(means, c, narrow, left, 0), read(deviations, c, narrow, left, 0)
        mean = total / rows
        deviation = square - total * mean
        write(means, c, widen(strip_centre(x, stride, rows, c, left, narrow)) + mean, left)
        write(deviations, c, select(deviation < 0.0, widen(narrow), deviation), left)


@njit(error_model="numpy", forceinline=True)
def strip_affine(
    out: Any, x: Any, stride: int, rows: int, c: int, room: int, centre: Any, scale: Any, shift: Any, residual: Any,
    floor: Any,
) -> None:
    """Write out = (x - centre) scale + shift in a strip, `stepped`."""
    for r in range(rows):
        place = r * stride + c
        fetch_strip(x, place, stride, rows, centre)
        fetch_strip(out, place, stride, rows, centre)
        value = fma(read(x, place, centre, room - place, 0) - centre, scale, shift)
        write(out, place, stepped(value, residual, place, room - place, floor), room - place)


@njit(error_model="numpy", forceinline=True)
def strip_products(
    products: Any, sums: Any, g: Any, x: Any, stride: int, start: int, stop: int, c: int, left: int, centre: Any,
    scale: Any, shift: Any, like: Any,
) -> None:
    """Add the sums of g (x - centre) and of g, `passing`, over the rows from start to stop; `like` holds zeros."""
    product, total = read(products, c, like, left, 0), read(sums, c, like, left, 0)
    some_products, some, far = like, like, stride > width(like)
    for r in range(start, stop):
        if far:
            fetch(x, (r + AHEAD) * stride + c, like)
            fetch(g, (r + AHEAD) * stride + c, like)
        away = read(x, r * stride + c, like, left, 0) - centre
        cotangent = passing(read(g, r * stride + c, like, left, 0), away, scale, shift)
        some_products = fma(cotangent, away, some_products)
        some = some + cotangent
    write(products, c, product + widen(some_products), left)
    write(sums, c, total + widen(some), left)


@njit(error_model="numpy", forceinline=True)
def column_products_in(
    products: Any, sums: Any, g: Any, x: Any, stride: int, start: int, stop: int, c: int, left: int, centres: Any,
    scales: Any, gammas: Any, betas: Any, like: Any,
) -> None:
    """Add what `column_products` writes, of one strip over the rows from start to stop, but for the scale."""
    centre = rounded(read(centres, c, like, left, 0), like)
    if betas is None:
        strip_products(products, sums, g, x, stride, start, stop, c, left, centre, None, None, like)
    else:
        scale = rounded(read(scales, c, like, left, 0), like) * read(gammas, c, like, left, 0)
        shift = read(betas, c, like, left, 0)
        strip_products(products, sums, g, x, stride, start, stop, c, left, centre, scale, shift, like)


@njit(error_model="numpy", forceinline=True)
def column_products(
    products: Any, sums: Any, g: Any, x: Any, stride: int, rows: int, C: int, centres: Any, scales: Any, gammas: Any,
    betas: Any,
) -> None:
    """Write the sums of g (x - centre) scale and of g over each column, in float64.

    With `betas` g is the cotangent of ReLU((x - centre) scale gamma + beta): where that is 0, it does not count.
    """
    wide, narrow = zeros(x, STRIP, STRIP), zeros(x, 1, 1)
    end = whole(C, wide)
    for c in range(0, C, width(narrow)):
        write(products, c, widen(narrow), C - c)
        write(sums, c, widen(narrow), C - c)
    for start in range(0, rows, GROUP):
        stop = min(start + GROUP, rows)
        for c in range(0, end, width(wide)):
            column_products_in(products, sums, g, x, stride, start, stop, c, C - c, centres, scales, gammas, betas,
                               wide)
        for c in range(end, C, width(narrow)):
            column_products_in(products, sums, g, x, stride, start, stop, c, C - c, centres, scales, gammas, betas,
                               narrow)
    for c in range(0, C, width(narrow)):
        scale = widen(read(scales, c, narrow, C - c, 0))
        write(products, c, read(products, c, narrow, C - c, 0) * scale, C - c)


@njit(error_model="numpy", forceinline=True)
def strip_grad(
    out: Any, g: Any, x: Any, stride: int, rows: int, c: int, room: int, centre: Any, factor: Any, slope: Any,
    shift: Any, beta: Any,
) -> None:
    """Write out = factor g - (slope (x - centre) + shift) in a strip, g `passing`."""
    for r in range(rows):
        place = r * stride + c
        fetch_strip(x, place, stride, rows, centre)
        fetch_strip(g, place, stride, rows, centre)
        fetch_strip(out, place, stride, rows, centre)
        away = read(x, place, centre, room - place, 0) - centre
        cotangent = passing(read(g, place, centre, room - place, 0), away, factor, beta)
        write(out, place, cotangent * factor - fma(away, slope, shift), room - place)


@njit(error_model="numpy", forceinline=True)
def group_norm_rows(
    out: Any, x: Any, stride: int, rows: int, n: int, centres: Any, scales: Any, shifts: Any, residual: Any, floor: Any,
    wide: Any, narrow: Any,
) -> None:
    """Write out = (x - centre) scale + shift, `stepped`, in n columns, `COLUMNS` at most.

    Centres and scales are float64.
    """
    centre, scale = stack(x, COLUMNS), stack(x, COLUMNS)
    round_factors(centre, centres, n, narrow)
    round_factors(scale, scales, n, narrow)
    end, tile = whole(n, wide), tile_rows(rows, n, wide)
    for start in range(0, rows, tile):
        row, target, count = forward(x, start * stride), forward(out, start * stride), min(tile, rows - start)
        for c in range(0, end, width(wide)):
            group_norm_strip(target, row, stride, count, c, n, centre, scale, shifts, residual, start, floor, wide)
        for c in range(end, n, width(narrow)):
            group_norm_strip(target, row, stride, count, c, n, centre, scale, shifts, residual, start, floor,
                             narrow)


@njit(error_model="numpy", forceinline=True)
def group_norm_strip(
    out: Any, x: Any, stride: int, rows: int, c: int, n: int, centres: Any, scales: Any, shifts: Any, residual: Any,
    start: int, floor: Any, like: Any,
) -> None:
    """Write a strip of `group_norm_rows`, rows from `start` on; what lies beside its n columns is not written."""
    left, all_there = n - c, width(like)
    centre, scale = read(centres, c, like, all_there, 0), read(scales, c, like, all_there, 0)
    shift = read(shifts, c, like, left, 0)
    for r in range(rows):
        place = r * stride + c
        fetch_strip(x, place, stride, rows, like)
        fetch_strip(out, place, stride, rows, like)
        value = fma(read(x, place, like, left, 0) - centre, scale, shift)
        write(out, place, stepped(value, residual, start * stride + place, left, floor), left)


@njit(error_model="numpy", forceinline=True)
def group_norm_grad_rows(
    out: Any, g: Any, x: Any, stride: int, rows: int, n: int, factors: Any, C: int, betas: Any, wide: Any, narrow: Any
) -> None:
    """Write out = factor g - (slope (x - centre) + shift), g `passing`, in n columns, `COLUMNS` at most.

    `factors` are four rows of C float64: factor, shift, slope, centre.
    """
    factor, shift, slope, centre = stack(x, COLUMNS), stack(x, COLUMNS), stack(x, COLUMNS), stack(x, COLUMNS)
    round_factors(factor, factors, n, narrow)
    round_factors(shift, forward(factors, C), n, narrow)
    round_factors(slope, forward(factors, 2 * C), n, narrow)
    round_factors(centre, forward(factors, 3 * C), n, narrow)
    end, tile = whole(n, wide), tile_rows(rows, n, wide)
    for start in range(0, rows, tile):
        row, cotangent, target = forward(x, start * stride), forward(g, start * stride), forward(out, start * stride)
        count = min(tile, rows - start)
        for c in range(0, end, width(wide)):
            group_norm_grad_strip(target, cotangent, row, stride, count, c, n, factor, shift, slope, centre, betas,
                                  wide)
        for c in range(end, n, width(narrow)):
            group_norm_grad_strip(target, cotangent, row, stride, count, c, n, factor, shift, slope, centre, betas,
                                  narrow)


@njit(error_model="numpy", forceinline=True)
def group_norm_grad_strip(
    out: Any, g: Any, x: Any, stride: int, rows: int, c: int, n: int, factors: Any, shifts: Any, slopes: Any,
    centres: Any, betas: Any, like: Any,
) -> None:
    """Write a strip of `group_norm_grad_rows`; what lies beside its n columns is not written."""
    left, all_there = n - c, width(like)
    factor, shift = read(factors, c, like, all_there, 0), read(shifts, c, like, all_there, 0)
    slope, centre = read(slopes, c, like, all_there, 0), read(centres, c, like, all_there, 0)
    for r in range(rows):
        place = r * stride + c
        fetch_strip(x, place, stride, rows, like)
        fetch_strip(g, place, stride, rows, like)
        fetch_strip(out, place, stride, rows, like)
        away = read(x, place, like, left, 0) - centre
        cotangent = read(g, place, like, left, 0)
        if betas is not None:
            cotangent = passing(cotangent, away, factor, read(betas, c, like, left, 0))
        write(out, place, cotangent * factor - fma(away, slope, shift), left)


@njit(error_model="numpy", forceinline=True)
def batch_norm_grad_strip(
    out: Any, g: Any, x: Any, C: int, rows: int, c: int, room: int, mean: Any, rstd: Any, gamma: Any, beta: Any,
    dgamma: Any, dbeta: Any, part_of_one: Any, like: Any,
) -> None:
    """Write a strip of the gradient of `batch_norm`; with `beta`, of its ReLU."""
    left = C - c
    scale, centre = read(rstd, c, like, left, 0), read(mean, c, like, left, 0)
    factor = scale * read(gamma, c, like, left, 0)
    slope = read(dgamma, c, like, left, 0) * scale * part_of_one * factor
    shift = read(dbeta, c, like, left, 0) * part_of_one * factor
    if beta is None:
        strip_grad(out, g, x, C, rows, c, room, centre, factor, slope, shift, None)
    else:
        strip_grad(out, g, x, C, rows, c, room, centre, factor, slope, shift, read(beta, c, like, left, 0))
