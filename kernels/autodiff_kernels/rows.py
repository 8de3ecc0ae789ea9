"""Work on one row of numbers: sums, the largest, exponentials, mean and variance.

A row is gone through in vectors of four registers, then, from where a whole one no longer fits, of one register.
Functions with `start` and `stop` do one of the two: the vector they are given says which. Sums are those of float64
after the registers of a vector have been added up in their own dtype.

`room` is where the part's rows end: the last vector of a row may spill into the rows below, which are written later,
because a masked store costs as much as ten others on some processors.
"""

from __future__ import annotations

import math
from typing import Any

from numba import njit

from autodiff_kernels.lanes import RELU
from autodiff_kernels.maths import constant, exp, fma, root
from autodiff_kernels.memory import forward, load
from autodiff_kernels.vectors import (
    filled,
    first,
    folded,
    kept,
    largest_of,
    read,
    select,
    sum_of,
    whole,
    widen,
    width,
    write,
    zeros,
)

SAMPLE = 64  # numbers of a row whose mean is near enough to that of the row to take differences from


@njit(error_model="numpy", forceinline=True)
def largest_in(x: Any, start: int, stop: int, best: Any) -> Any:
    """Return the larger ones of x and of the lanes of `best`; NaN does not count."""
    for i in range(start, stop, width(best)):
        numbers = read(x, i, best, stop - i, -math.inf)
        best = select(numbers > best, numbers, best)
    return best


@njit(error_model="numpy", forceinline=True)
def row_largest(x: Any, n: int) -> Any:
    """Return the largest of n numbers; -inf where there are none but NaN."""
    wide, narrow = filled(zeros(x, 4, 4), -math.inf), filled(zeros(x, 1, 1), -math.inf)
    end = whole(n, wide)
    best = largest_of(largest_in(x, end, n, narrow))
    if end:
        other = largest_of(largest_in(x, 0, end, wide))
        best = other if other > best else best
    return best


@njit(error_model="numpy", forceinline=True)
def exp_in(out: Any, x: Any, start: int, stop: int, room: int, shift: Any, like: Any) -> Any:
    """Write out = exp(x - shift) and return its sum in float64."""
    total = widen(folded(like))
    for i in range(start, stop, width(like)):
        powers = exp(read(x, i, like, stop - i, shift) - shift)  # no -inf to fill up: tiny numbers take long
        write(out, i, powers, room - i)
        total = total + widen(folded(kept(powers, stop - i)))
    return sum_of(total)


@njit(error_model="numpy", forceinline=True)
def row_exp(out: Any, x: Any, n: int, room: int, shift: Any) -> Any:
    """Write out = exp(x - shift), n numbers, and return its sum in float64."""
    wide, narrow = zeros(x, 4, 4), zeros(x, 1, 1)
    end = whole(n, wide)
    total = exp_in(out, x, 0, end, room, shift, wide) if end else 0.0
    return total + exp_in(out, x, end, n, room, shift, narrow) if end < n else total


@njit(error_model="numpy", forceinline=True)
def exp_sum_in(x: Any, start: int, stop: int, shift: Any, like: Any) -> Any:
    """Return the sum of exp(x - shift) in float64."""
    total = widen(folded(like))
    for i in range(start, stop, width(like)):
        powers = exp(read(x, i, like, stop - i, shift) - shift)
        total = total + widen(folded(kept(powers, stop - i)))
    return sum_of(total)


@njit(error_model="numpy", forceinline=True)
def row_exp_sum(x: Any, n: int, shift: Any) -> Any:
    """Return the sum of exp(x - shift) over n numbers, in float64."""
    wide, narrow = zeros(x, 4, 4), zeros(x, 1, 1)
    end = whole(n, wide)
    total = exp_sum_in(x, 0, end, shift, wide) if end else 0.0
    return total + exp_sum_in(x, end, n, shift, narrow) if end < n else total


@njit(error_model="numpy", forceinline=True)
def sum_in(x: Any, start: int, stop: int, like: Any) -> Any:
    """Return the sum of x in float64."""
    total = widen(folded(like))
    for i in range(start, stop, width(like)):
        total = total + widen(folded(read(x, i, like, stop - i, 0)))
    return sum_of(total)


@njit(error_model="numpy", forceinline=True)
def row_total(x: Any, n: int) -> Any:
    """Return the sum of n numbers in float64; registers are added up by fours in their own dtype first."""
    wide, narrow = zeros(x, 4, 4), zeros(x, 1, 1)
    end = whole(n, wide)
    return sum_in(x, 0, end, wide) + sum_in(x, end, n, narrow)


@njit(error_model="numpy", forceinline=True)
def dot_in(x: Any, y: Any, start: int, stop: int, like: Any) -> Any:
    """Return the sum of x * y in float64; products in their own dtype."""
    total = widen(folded(like))
    for i in range(start, stop, width(like)):
        total = total + widen(folded(read(x, i, like, stop - i, 0) * read(y, i, like, stop - i, 0)))
    return sum_of(total)


@njit(error_model="numpy", forceinline=True)
def row_dot(x: Any, y: Any, n: int) -> Any:
    """Return the sum of x * y over n numbers, in float64; products in their own dtype."""
    wide, narrow = zeros(x, 4, 4), zeros(x, 1, 1)
    end = whole(n, wide)
    return dot_in(x, y, 0, end, wide) + dot_in(x, y, end, n, narrow)


@njit(error_model="numpy", forceinline=True)
def row_scale(out: Any, x: Any, n: int, room: int, scale: Any) -> None:
    """Write out = x * scale, n numbers; `out` may be x: then what lies beyond keeps its value."""
    wide, narrow = zeros(x, 4, 4), zeros(x, 1, 1)
    end = whole(n, wide)
    for i in range(0, end, width(wide)):
        write(out, i, read(x, i, wide, room - i, 0) * scale, room - i)
    for i in range(end, n, width(narrow)):
        factor = select(first(narrow, n - i), filled(narrow, scale), constant(narrow, 1.0, 1.0))
        write(out, i, read(x, i, narrow, room - i, 0) * factor, room - i)


@njit(error_model="numpy", forceinline=True)
def deviations_in(x: Any, start: int, stop: int, centre: Any, like: Any) -> Any:
    """Return the sums of x - centre and of its square, in float64."""
    total, squares = widen(folded(like)), widen(folded(like))
    for i in range(start, stop, width(like)):
        difference = read(x, i, like, stop - i, centre) - centre
        total = total + widen(folded(difference))
        squares = squares + widen(folded(difference * difference))
    return sum_of(total), sum_of(squares)


@njit(error_model="numpy", forceinline=True)
def row_moments(x: Any, K: int) -> Any:
    """Return the mean of K numbers and the sum of their squared deviations, in float64."""
    wide, narrow = zeros(x, 4, 4), zeros(x, 1, 1)
    end = whole(K, wide)
    sample = min(K, SAMPLE)
    centre = row_total(x, sample) / sample
    near = constant(x, centre, centre)
    total, squares = deviations_in(x, 0, end, near, wide)
    more, more_squares = deviations_in(x, end, K, near, narrow)
    total += more
    squares += more_squares
    return near + total / K, max(squares - total * (total / K), 0.0)


@njit(error_model="numpy", forceinline=True)
def reciprocal_root(variance: Any, eps: float) -> Any:
    """Return 1 / sqrt(variance + eps); NaN of an infinite variance, as 0 would hide that squares overflowed."""
    return 1 / root(variance + eps) + variance * 0.0


@njit(error_model="numpy", forceinline=True)
def in_registers(scale: Any, activation: int) -> Any:
    """Return whether what follows a norm is done by `stepped`, or on blocks in the cache; and the floor for it."""
    return scale.size == 0 and activation <= RELU, 0.0 if activation == RELU else -math.inf


@njit(error_model="numpy", forceinline=True)
def stepped(value: Any, residual: Any, place: int, left: int, floor: Any) -> Any:
    """Return numbers with what follows them: the residual, from its element `place` on, is added, and then ReLU.

    Either may be None. The floor of ReLU is 0.0; with -inf it changes nothing. Each step rounds, as the operations do.
    """
    if residual is not None:
        value = read(residual, place, value, left, 0) + value
    if floor is not None:
        value = select(value < floor, 0.0, value)
    return value


@njit(error_model="numpy", forceinline=True)
def passing(g: Any, away: Any, scale: Any, shift: Any) -> Any:
    """Return the cotangent of ``n = away scale + shift`` from that of ReLU(n): 0 where n <= 0, else g.

    The norms compute n in just this way, so its sign is that of the number which ReLU was given. Without a shift, None,
    there was no ReLU.
    """
    if shift is not None:
        g = select(fma(away, scale, shift) <= 0, 0.0, g)
    return g


@njit(error_model="numpy", forceinline=True)
def normalised_in(
    out: Any, x: Any, gamma: Any, beta: Any, start: int, stop: int, room: int, centre: Any, scale: Any, like: Any
) -> None:
    """Write out = (x - centre) scale gamma + beta."""
    for i in range(start, stop, width(like)):
        normal = (read(x, i, like, room - i, 0) - centre) * scale
        value = fma(normal, read(gamma, i, like, stop - i, 0), read(beta, i, like, stop - i, 0))
        write(out, i, value, room - i)


@njit(error_model="numpy", forceinline=True)
def cotangent_in(
    g: Any, gamma: Any, x: Any, start: int, stop: int, centre: Any, scale: Any, like: Any
) -> Any:
    """Return the sums of h = g gamma and of h xhat in float64, xhat = (x - centre) scale."""
    total, products = widen(folded(like)), widen(folded(like))
    for i in range(start, stop, width(like)):
        inner = read(g, i, like, stop - i, 0) * read(gamma, i, like, stop - i, 0)
        total = total + widen(folded(inner))
        products = products + widen(folded(inner * ((read(x, i, like, stop - i, 0) - centre) * scale)))
    return sum_of(total), sum_of(products)


@njit(error_model="numpy", forceinline=True)
def row_grad_in(
    out: Any, g: Any, gamma: Any, x: Any, start: int, stop: int, room: int, centre: Any, scale: Any, mean: Any,
    slope: Any, like: Any,
) -> None:
    """Write out = scale (h - mean - slope xhat)."""
    for i in range(start, stop, width(like)):
        inner = read(g, i, like, room - i, 0) * read(gamma, i, like, stop - i, 0) - mean
        normal = (read(x, i, like, room - i, 0) - centre) * scale
        write(out, i, (inner - normal * slope) * scale, room - i)


@njit(error_model="numpy", forceinline=True)
def add_products_in(
    dgamma: Any, dbeta: Any, g: Any, x: Any, K: int, start: int, stop: int, rows: int, mean: Any, rstd: Any,
    centred: bool, like: Any,
) -> None:
    """Add the sums of g xhat, and of g, over a few rows to those of the block, in the columns from start to stop."""
    for i in range(start, stop, width(like)):
        left = stop - i
        products, sums = like, like
        for r in range(rows):
            cotangent = read(g, r * K + i, like, left, 0)
            normal = (read(x, r * K + i, like, left, 0) - load(forward(mean, r))) * load(forward(rstd, r))
            products = fma(cotangent, normal, products)
            sums = sums + cotangent
        write(dgamma, i, read(dgamma, i, like, left, 0) + widen(products), left)
        if centred:
            write(dbeta, i, read(dbeta, i, like, left, 0) + widen(sums), left)


@njit(error_model="numpy", forceinline=True)
def scaled_in(out: Any, x: Any, gamma: Any, start: int, stop: int, room: int, scale: Any, like: Any) -> None:
    """Write out = x scale gamma."""
    for i in range(start, stop, width(like)):
        write(out, i, read(x, i, like, room - i, 0) * scale * read(gamma, i, like, stop - i, 0), room - i)
