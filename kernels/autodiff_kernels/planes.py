"""Batch and group normalisation of images whose channels are planes, x (N, C, S): as (N, C, H, W) lies in C order.

The formulas are those of `norm.py`, which is for channels side by side. Here the numbers of a channel are neighbours
and share their factors, and a group is one run of numbers: it stays in the cache from its statistics to its result.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.epilogue import finish_block
from autodiff_kernels.lanes import RELU
from autodiff_kernels.maths import fma
from autodiff_kernels.memory import pointer
from autodiff_kernels.parts import share
from autodiff_kernels.rows import in_registers, passing, reciprocal_root, row_moments, stepped
from autodiff_kernels.vectors import folded, read, sum_of, whole, widen, width, write, zeros

Array = np.ndarray[Any, np.dtype[Any]]


# ---- One plane. `room` is where the part's planes end: the last vector may spill into the next plane (`rows.py`) -----


@njit(error_model="numpy", forceinline=True)
def affine_in(
    out: Any, x: Any, start: int, stop: int, room: int, centre: Any, scale: Any, shift: Any, residual: Any, floor: Any,
    like: Any,
) -> None:
    """Write out = (x - centre) scale + shift, `stepped`."""
    for i in range(start, stop, width(like)):
        value = fma(read(x, i, like, room - i, 0) - centre, scale, shift)
        write(out, i, stepped(value, residual, i, room - i, floor), room - i)


@njit(error_model="numpy", forceinline=True)
def affine(
    out: Any, x: Any, n: int, room: int, centre: Any, scale: Any, shift: Any, residual: Any, floor: Any
) -> None:
    """Write out = (x - centre) scale + shift, `stepped`, n numbers."""
    wide, narrow = zeros(x, 4, 4), zeros(x, 1, 1)
    end = whole(n, wide)
    affine_in(out, x, 0, end, room, centre, scale, shift, residual, floor, wide)
    affine_in(out, x, end, n, room, centre, scale, shift, residual, floor, narrow)


@njit(error_model="numpy", forceinline=True)
def finished_affine(
    out: Array, x: Array, place: int, n: int, room: int, centre: Any, factor: Any, shift: Any, residual: Array,
    scale: Array, activation: int,
) -> None:
    """Write out = (x - centre) factor + shift and what follows, n numbers from the element `place` on."""
    simple, floor = in_registers(scale, activation)
    target, row = pointer(out, place), pointer(x, place)
    if simple and residual.size > 0:
        affine(target, row, n, room, centre, factor, shift, pointer(residual, place), floor)
    elif simple and activation == RELU:
        affine(target, row, n, room, centre, factor, shift, None, floor)
    else:
        affine(target, row, n, room, centre, factor, shift, None, None)
        if not simple:
            finish_block(out, place, 1, n, n, residual, scale, activation)


@njit(error_model="numpy", forceinline=True)
def products_in(g: Any, x: Any, start: int, stop: int, centre: Any, scale: Any, shift: Any, like: Any) -> Any:
    """Return the sums of g (x - centre) and of g, `passing`, in float64."""
    products, total = widen(folded(like)), widen(folded(like))
    for i in range(start, stop, width(like)):
        away = read(x, i, like, stop - i, centre) - centre
        cotangent = passing(read(g, i, like, stop - i, 0), away, scale, shift)
        total = total + widen(folded(cotangent))
        products = products + widen(folded(cotangent * away))
    return sum_of(products), sum_of(total)


@njit(error_model="numpy", forceinline=True)
def products(g: Any, x: Any, n: int, centre: Any, scale: Any, shift: Any) -> Any:
    """Return the sums of g (x - centre) and of g, `passing`, over n numbers, in float64."""
    wide, narrow = zeros(x, 4, 4), zeros(x, 1, 1)
    end = whole(n, wide)
    product, total = products_in(g, x, 0, end, centre, scale, shift, wide)
    if end < n:
        more, more_total = products_in(g, x, end, n, centre, scale, shift, narrow)
        product += more
        total += more_total
    return product, total


@njit(error_model="numpy", forceinline=True)
def through_in(
    out: Any, g: Any, x: Any, start: int, stop: int, room: int, centre: Any, factor: Any, slope: Any, shift: Any,
    beta: Any, like: Any,
) -> None:
    """Write out = factor g - (slope (x - centre) + shift), g `passing`."""
    for i in range(start, stop, width(like)):
        away = read(x, i, like, room - i, 0) - centre
        cotangent = passing(read(g, i, like, room - i, 0), away, factor, beta)
        write(out, i, cotangent * factor - fma(away, slope, shift), room - i)


@njit(error_model="numpy", forceinline=True)
def through(
    out: Any, g: Any, x: Any, n: int, room: int, centre: Any, factor: Any, slope: Any, shift: Any, beta: Any
) -> None:
    """Write out = factor g - (slope (x - centre) + shift), g `passing`, n numbers."""
    wide, narrow = zeros(x, 4, 4), zeros(x, 1, 1)
    end = whole(n, wide)
    through_in(out, g, x, 0, end, room, centre, factor, slope, shift, beta, wide)
    through_in(out, g, x, end, n, room, centre, factor, slope, shift, beta, narrow)


# ---- Batch normalisation ---------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def moments(means: Array, deviations: Array, x: Array, part: int, parts: int) -> None:
    """Write each plane's mean, and its sum of squared deviations from it, for `norm.batch_norm_combine`.

    Args:
        means: (N, C), out; float64. Planes are shared among the parts.
        deviations: like means, out.
        x: (N, C, S), in; float32 or float64.
    """
    N, C, S = x.shape
    low, high = share(N * C, part, parts)
    for unit in range(low, high):
        n, c = unit // C, unit % C
        means[n, c], deviations[n, c] = row_moments(pointer(x, unit * S), S)


@njit(cache=True, nogil=True, error_model="numpy")
def batch_norm(
    out: Array, x: Array, mean: Array, rstd: Array, gamma: Array, beta: Array, residual: Array, scale: Array,
    activation: int, part: int, parts: int,
) -> None:
    """out[n, c, s] = (x[n, c, s] - mean[c]) rstd[c] gamma[c] + beta[c], and what follows.

    Args:
        out: (N, C, S), out; float32 or float64. Planes are shared among the parts.
        x: (N, C, S), in; like out.
        mean: (C,), in; like out; of this batch or given.
        rstd: (C,), in; like out.
        gamma: (C,), in; like out.
        beta: (C,), in; like out.
        residual: like out, in; added to the result; or of length 0. What follows is `epilogue`'s.
        scale: (1,), in; what the result is multiplied by before; or of length 0.
        activation: in; what comes last.
    """
    N, C, S = x.shape
    low, high = share(N * C, part, parts)
    for unit in range(low, high):
        c, place = unit % C, unit * S
        finished_affine(out, x, place, S, high * S - place, mean[c], rstd[c] * gamma[c], beta[c], residual, scale,
                        activation)


@njit(cache=True, nogil=True, error_model="numpy")
def batch_norm_grad_partial(
    dgammas: Array, dbetas: Array, g: Array, x: Array, mean: Array, rstd: Array, gamma: Array, beta: Array,
    part: int, parts: int,
) -> None:
    """Write each plane's sums of g xhat and of g: with `norm.sum_blocks` the gradients of gamma and beta.

    With a beta g is the gradient with respect to ReLU of the output; what ReLU does not let pass does not count.

    Args:
        dgammas: (N, C), out; float64. Planes are shared among the parts.
        dbetas: like dgammas, out.
        g: (N, C, S), in; the gradient with respect to the output; float32 or float64.
        x: (N, C, S), in; like g.
        mean: (C,), in; like g.
        rstd: (C,), in; like g.
        gamma: (C,), in; like g.
        beta: (C,), in; like g; of length 0 where no ReLU followed.
    """
    N, C, S = x.shape
    low, high = share(N * C, part, parts)
    for unit in range(low, high):
        n, c = unit // C, unit % C
        cotangent, row = pointer(g, unit * S), pointer(x, unit * S)
        if beta.size > 0:
            product, dbetas[n, c] = products(cotangent, row, S, mean[c], rstd[c] * gamma[c], beta[c])
        else:
            product, dbetas[n, c] = products(cotangent, row, S, mean[c], None, None)
        dgammas[n, c] = product * rstd[c]


@njit(cache=True, nogil=True, error_model="numpy")
def batch_norm_grad(
    out: Array, g: Array, x: Array, mean: Array, rstd: Array, gamma: Array, beta: Array, dgamma: Array, dbeta: Array,
    training: int, part: int, parts: int,
) -> None:
    """Write the gradient of `batch_norm` with respect to x, as `norm.batch_norm_grad` does.

    Args:
        out: (N, C, S), out; float32 or float64. Planes are shared among the parts.
        g: (N, C, S), in; the gradient with respect to the output; like out.
        x: (N, C, S), in; like out.
        mean: (C,), in; like out.
        rstd: (C,), in; like out.
        gamma: (C,), in; like out.
        beta: (C,), in; like out; of length 0 where no ReLU followed.
        dgamma: (C,), in; the gradient of gamma; like out.
        dbeta: (C,), in; the gradient of beta; like out.
        training: 1 if mean and rstd are those of x, 0 if they were given.
    """
    N, C, S = x.shape
    part_of_one = x.dtype.type(training / max(N * S, 1))
    low, high = share(N * C, part, parts)
    for unit in range(low, high):
        c, place = unit % C, unit * S
        factor = rstd[c] * gamma[c]
        slope, shift = dgamma[c] * rstd[c] * part_of_one * factor, dbeta[c] * part_of_one * factor
        row, cotangent, target = pointer(x, place), pointer(g, place), pointer(out, place)
        if beta.size > 0:
            through(target, cotangent, row, S, high * S - place, mean[c], factor, slope, shift, beta[c])
        else:
            through(target, cotangent, row, S, high * S - place, mean[c], factor, slope, shift, None)


# ---- Group normalisation ---------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def group_norm(
    out: Array, mean: Array, rstd: Array, x: Array, gamma: Array, beta: Array, residual: Array, scale: Array,
    activation: int, eps: float, part: int, parts: int,
) -> None:
    """out[n, c, s] = (x[n, c, s] - mean[n, i]) rstd[n, i] gamma[c] + beta[c], with the statistics of the group i of c.

    And what follows.

    Args:
        out: (N, C, S), out; float32 or float64. Groups are shared among the parts.
        mean: (N, G), out; like out; over C / G neighbouring channels. G divides C.
        rstd: (N, G), out; 1 / sqrt(biased variance + eps); like out.
        x: (N, C, S), in; like out.
        gamma: (C,), in; like out.
        beta: (C,), in; like out.
        residual: like out, in; added to the result; or of length 0. What follows is `epilogue`'s.
        scale: (1,), in; what the result is multiplied by before; or of length 0.
        activation: in; what comes last.
        eps: a float.
    """
    N, C, S = x.shape
    G = mean.shape[1]
    count = C // max(G, 1)
    low, high = share(N * G, part, parts)
    for unit in range(low, high):
        n, i = unit // G, unit % G
        centre, deviation = row_moments(pointer(x, unit * count * S), count * S)
        mean[n, i], rstd[n, i] = centre, reciprocal_root(deviation / (count * S), eps)
        for c in range(i * count, (i + 1) * count):
            place = (n * C + c) * S
            finished_affine(out, x, place, S, high * count * S - place, mean[n, i], rstd[n, i] * gamma[c], beta[c],
                            residual, scale, activation)


@njit(cache=True, nogil=True, error_model="numpy")
def group_norm_grad(
    out: Array, dgammas: Array, dbetas: Array, g: Array, x: Array, mean: Array, rstd: Array, gamma: Array, beta: Array,
    part: int, parts: int,
) -> None:
    """Write the gradient of `group_norm` with respect to x, and each plane's sums of g xhat and of g.

    With a beta it is that of ReLU of the output.

    With h = g gamma and means over the group, out = rstd (h - mean(h) - xhat mean(h xhat)). The sums become the
    gradients of gamma and beta by `norm.sum_blocks`.

    Args:
        out: (N, C, S), out; float32 or float64. Groups are shared among the parts.
        dgammas: (N, C), out; float64.
        dbetas: like dgammas, out.
        g: (N, C, S), in; the gradient with respect to the output; like out.
        x: (N, C, S), in; like out.
        mean: (N, G), in; like out.
        rstd: (N, G), in; like out.
        gamma: (C,), in; like out.
        beta: (C,), in; like out; of length 0 where no ReLU followed.
    """
    N, C, S = x.shape
    G = mean.shape[1]
    count, dtype = C // max(G, 1), x.dtype.type
    low, high = share(N * G, part, parts)
    for unit in range(low, high):
        n, i = unit // G, unit % G
        total, slope = 0.0, 0.0
        for c in range(i * count, (i + 1) * count):
            place = (n * C + c) * S
            cotangent, row = pointer(g, place), pointer(x, place)
            if beta.size > 0:
                product, dbetas[n, c] = products(cotangent, row, S, mean[n, i], rstd[n, i] * gamma[c], beta[c])
            else:
                product, dbetas[n, c] = products(cotangent, row, S, mean[n, i], None, None)
            dgammas[n, c] = product * rstd[n, i]
            total += gamma[c] * dbetas[n, c]
            slope += gamma[c] * dgammas[n, c]
        scale = np.float64(rstd[n, i])
        shift, slope = dtype(scale * (total / (count * S))), dtype(scale * scale * (slope / (count * S)))
        for c in range(i * count, (i + 1) * count):
            place = (n * C + c) * S
            factor, room = rstd[n, i] * gamma[c], high * count * S - place
            target, cotangent, row = pointer(out, place), pointer(g, place), pointer(x, place)
            if beta.size > 0:
                through(target, cotangent, row, S, room, mean[n, i], factor, slope, shift, beta[c])
            else:
                through(target, cotangent, row, S, room, mean[n, i], factor, slope, shift, None)
