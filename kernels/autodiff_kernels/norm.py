"""Normalisations with an affine map: batch, layer, group (and instance: one channel a group) and RMS normalisation.

All compute xhat = (x - mean) * rstd, rstd = 1 / sqrt(variance + eps), out = xhat * gamma + beta, where the variance is
biased; an infinite one, of numbers whose squares overflow, makes rstd NaN. Sums are accumulated in float64, after a few
numbers (four of a row, or `GROUP` of a column) have been added up in their own dtype. Variances are sums of squared
differences from a number near the mean, corrected by the sum of the differences (Chan, Golub, LeVeque, Algorithms for
Computing the Sample Variance, 1983, equation 1.7): they do not cancel far from zero. Without an affine map pass
ones and zeros. Rows are pixels or tokens, channels side by side; for images whose channels are planes see `planes.py`.

Sums over rows are partial sums of `ROWS` rows each, which the parts share, and a combine: `sum_blocks` for the
gradients of gamma and beta, `batch_norm_combine` for statistics. Columns are worked on in strips of a few registers;
strips go from the last to the first, because what the last one writes may spill into the next row (see `strips.py`).

Sources: Ioffe, Szegedy, Batch Normalization (2015); Ba, Kiros, Hinton, Layer Normalization (2016); Wu, He, Group
Normalization (2018); Ulyanov et al., Instance Normalization (2016); Zhang, Sennrich, Root Mean Square Layer
Normalization (2019).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.epilogue import NONE, finish_block
from autodiff_kernels.lanes import RELU
from autodiff_kernels.maths import constant
from autodiff_kernels.memory import forward, load, pointer, stack, store
from autodiff_kernels.parts import share
from autodiff_kernels.rows import (
    add_products_in,
    cotangent_in,
    in_registers,
    normalised_in,
    reciprocal_root,
    row_dot,
    row_grad_in,
    row_moments,
    scaled_in,
)
from autodiff_kernels.strips import (
    COLUMNS,
    GROUP,
    STRIP,
    batch_norm_grad_strip,
    column_moments,
    column_products,
    group_norm_grad_rows,
    group_norm_rows,
    strip_affine,
    tile_rows,
)
from autodiff_kernels.vectors import read, rounded, whole, write, zeros
from autodiff_kernels.vectors import width as lanes

Array = np.ndarray[Any, np.dtype[Any]]

ROWS = 128  # rows to a partial sum
BLOCK = 512  # numbers of whole rows that are finished at once
CHANNELS, UNITS = 64, 4  # of group normalisation: least channels of a chunk; chunks that all samples have at least


@njit(cache=True, nogil=True, error_model="numpy")
def sum_blocks(out: Array, partial: Array, part: int, parts: int) -> None:
    """out[c] = sum over the blocks of partial[block, c].

    Args:
        out: (C,), out; float32 or float64. Shared among the parts.
        partial: (blocks, C), in; float64.
    """
    blocks, C = partial.shape
    none = zeros(partial, 4, 4)
    low, high = share(C, part, parts)
    for c in range(low, high, lanes(none)):
        total, left = none, high - c
        for block in range(blocks):
            total = total + read(pointer(partial, block * C + c), 0, none, left, 0)
        write(pointer(out, c), 0, rounded(total, out), left)


# ---- Batch normalisation ---------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def batch_norm_partial(means: Array, deviations: Array, x: Array, part: int, parts: int) -> None:
    """Write each block's mean of every channel, and its sum of squared deviations from that mean.

    Args:
        means: (ceil(R / `ROWS`), C), out; float64. Blocks of `ROWS` rows are shared among the parts.
        deviations: like means, out.
        x: (R, C), in; float32 or float64.
    """
    R, C = x.shape
    low, high = share(means.shape[0], part, parts)
    for block in range(low, high):
        rows = min(ROWS, R - block * ROWS)
        mean, deviation, row = pointer(means, block * C), pointer(deviations, block * C), pointer(x, block * ROWS * C)
        column_moments(mean, deviation, row, C, rows, C)


@njit(cache=True, nogil=True, error_model="numpy")
def batch_norm_combine(
    mean: Array, variance: Array, rstd: Array, means: Array, deviations: Array, rows: int, length: int, eps: float,
    part: int, parts: int,
) -> None:
    """Write the statistics of all rows from those of the blocks.

    mean = sum of n_b mean_b / R; R variance = sum of deviation_b + n_b (mean_b - mean)^2 over the blocks b of n_b rows.

    Source: Chan, Golub, LeVeque, Algorithms for Computing the Sample Variance (1983), section 3.

    Args:
        mean: (C,), out; float32 or float64. Channels are shared among the parts.
        variance: (C,), out; the biased variance; like mean.
        rstd: (C,), out; 1 / sqrt(variance + eps); like mean.
        means: (blocks, C), in; from `batch_norm_partial` or `planes.moments`.
        deviations: like means, in.
        rows: R, the number of rows.
        length: rows of a block; the last one may be shorter. `ROWS`, or, from `planes.moments`, the places of a plane.
        eps: a float.
    """
    blocks, C = means.shape
    none = zeros(means, 1, 1)
    low, high = share(C, part, parts)
    for c in range(low, high, lanes(none)):
        left, total, deviation = high - c, none, none
        for block in range(blocks):
            count = min((block + 1) * length, rows) - block * length
            total = total + read(pointer(means, block * C + c), 0, none, left, 0) * count
        centre = total / rows
        for block in range(blocks):
            count = min((block + 1) * length, rows) - block * length
            distance = read(pointer(means, block * C + c), 0, none, left, 0) - centre
            within = read(pointer(deviations, block * C + c), 0, none, left, 0)
            deviation = deviation + (within + distance * distance * count)
        spread = deviation / rows
        write(pointer(mean, c), 0, rounded(centre, mean), left)
        write(pointer(variance, c), 0, rounded(spread, mean), left)
        write(pointer(rstd, c), 0, rounded(reciprocal_root(spread, eps), mean), left)


@njit(cache=True, nogil=True, error_model="numpy")
def reciprocal_std(rstd: Array, variance: Array, eps: float, part: int, parts: int) -> None:
    """rstd = 1 / sqrt(variance + eps), for batch normalisation with given statistics.

    Args:
        rstd: (C,), out; float32 or float64. Shared among the parts.
        variance: (C,), in; like rstd.
        eps: a float.
    """
    low, high = share(rstd.shape[0], part, parts)
    for c in range(low, high):
        rstd[c] = 1 / math.sqrt(variance[c] + eps)


@njit(error_model="numpy", forceinline=True)
def tile_affine(
    out: Any, x: Any, C: int, rows: int, room: int, mean: Any, rstd: Any, gamma: Any, beta: Any, residual: Any,
    floor: Any, wide: Any, narrow: Any,
) -> None:
    """Write some rows of `batch_norm`, `stepped`."""
    end = whole(C, wide)
    for c in range(end + (C - end - 1) // lanes(narrow) * lanes(narrow), end - 1, -lanes(narrow)):
        scale = read(rstd, c, narrow, C - c, 0) * read(gamma, c, narrow, C - c, 0)
        centre, shift = read(mean, c, narrow, C - c, 0), read(beta, c, narrow, C - c, 0)
        strip_affine(out, x, C, rows, c, room, centre, scale, shift, residual, floor)
    for c in range(0, end, lanes(wide)):
        scale = read(rstd, c, wide, C - c, 0) * read(gamma, c, wide, C - c, 0)
        centre, shift = read(mean, c, wide, C - c, 0), read(beta, c, wide, C - c, 0)
        strip_affine(out, x, C, rows, c, room, centre, scale, shift, residual, floor)


@njit(cache=True, nogil=True, error_model="numpy")
def batch_norm(
    out: Array, x: Array, mean: Array, rstd: Array, gamma: Array, beta: Array, residual: Array, scale: Array,
    activation: int, part: int, parts: int,
) -> None:
    """out[r, c] = (x[r, c] - mean[c]) rstd[c] gamma[c] + beta[c], and what follows: ReLU in registers.

    Args:
        out: (R, C), out; float32 or float64. Rows are shared among the parts.
        x: (R, C), in; like out.
        mean: (C,), in; like out; of this batch (`batch_norm_combine`) or given.
        rstd: (C,), in; like out; of this batch or from `reciprocal_std`.
        gamma: (C,), in; like out.
        beta: (C,), in; like out.
        residual: like out, in; added to the result; or of length 0. What follows is `epilogue`'s.
        scale: (1,), in; what the result is multiplied by before; or of length 0.
        activation: in; what comes last.
    """
    R, C = x.shape
    wide, narrow = zeros(x, 4, 4), zeros(x, 1, 1)
    statistics = pointer(mean, 0), pointer(rstd, 0), pointer(gamma, 0), pointer(beta, 0)
    simple, floor = in_registers(scale, activation)
    low, high = share(R, part, parts)
    tile = tile_rows(R, C, wide)
    for start in range(low, high, tile):
        rows, room = min(tile, high - start), (high - start) * C
        row, target = pointer(x, start * C), pointer(out, start * C)
        if simple and residual.size > 0:
            added = pointer(residual, start * C)
            tile_affine(target, row, C, rows, room, *statistics, added, floor, wide, narrow)
        elif simple and activation == RELU:
            tile_affine(target, row, C, rows, room, *statistics, None, floor, wide, narrow)
        else:
            tile_affine(target, row, C, rows, room, *statistics, None, None, wide, narrow)
            if not simple:
                finish_block(out, start * C, rows, C, C, residual, scale, activation)


@njit(cache=True, nogil=True, error_model="numpy")
def batch_norm_grad_partial(
    dgammas: Array, dbetas: Array, g: Array, x: Array, mean: Array, rstd: Array, gamma: Array, beta: Array,
    part: int, parts: int,
) -> None:
    """Write each block's sums of g xhat and of g over its rows: with `sum_blocks` the gradients of gamma and beta.

    With a beta g is the gradient with respect to ReLU of the output; what ReLU does not let pass does not count.

    Args:
        dgammas: (ceil(R / `ROWS`), C), out; float64. Blocks of `ROWS` rows are shared among the parts.
        dbetas: like dgammas, out.
        g: (R, C), in; the gradient with respect to the output; float32 or float64.
        x: (R, C), in; like g.
        mean: (C,), in; like g.
        rstd: (C,), in; like g.
        gamma: (C,), in; like g.
        beta: (C,), in; like g; of length 0 where no ReLU followed.
    """
    R, C = x.shape
    low, high = share(dgammas.shape[0], part, parts)
    for block in range(low, high):
        rows, first = min(ROWS, R - block * ROWS), block * ROWS * C
        products, sums = pointer(dgammas, block * C), pointer(dbetas, block * C)
        row, cotangent = pointer(x, first), pointer(g, first)
        centres, scales = pointer(mean, 0), pointer(rstd, 0)
        if beta.size > 0:
            column_products(products, sums, cotangent, row, C, rows, C, centres, scales, pointer(gamma, 0),
                            pointer(beta, 0))
        else:
            column_products(products, sums, cotangent, row, C, rows, C, centres, scales, None, None)


@njit(error_model="numpy", forceinline=True)
def tile_grad(
    out: Any, g: Any, x: Any, C: int, rows: int, room: int, mean: Any, rstd: Any, gamma: Any, beta: Any, dgamma: Any,
    dbeta: Any, part_of_one: Any, wide: Any, narrow: Any,
) -> None:
    """Write some rows of `batch_norm_grad`."""
    end = whole(C, wide)
    statistics = mean, rstd, gamma, beta, dgamma, dbeta
    for c in range(end + (C - end - 1) // lanes(narrow) * lanes(narrow), end - 1, -lanes(narrow)):
        batch_norm_grad_strip(out, g, x, C, rows, c, room, *statistics, part_of_one, narrow)
    for c in range(0, end, lanes(wide)):
        batch_norm_grad_strip(out, g, x, C, rows, c, room, *statistics, part_of_one, wide)


@njit(cache=True, nogil=True, error_model="numpy")
def batch_norm_grad(
    out: Array, g: Array, x: Array, mean: Array, rstd: Array, gamma: Array, beta: Array, dgamma: Array, dbeta: Array,
    training: int, part: int, parts: int,
) -> None:
    """Write the gradient of `batch_norm` with respect to x; with a beta, of its ReLU.

    out = gamma rstd g with given statistics; out = gamma rstd (g - dbeta / R - xhat dgamma / R) with the batch's own,
    which depend on x.

    Args:
        out: (R, C), out; float32 or float64. Rows are shared among the parts.
        g: (R, C), in; the gradient with respect to the output; like out.
        x: (R, C), in; like out.
        mean: (C,), in; like out.
        rstd: (C,), in; like out.
        gamma: (C,), in; like out.
        beta: (C,), in; like out; of length 0 where no ReLU followed.
        dgamma: (C,), in; the gradient of gamma; like out.
        dbeta: (C,), in; the gradient of beta; like out.
        training: 1 if mean and rstd are those of x, 0 if they were given.
    """
    R, C = x.shape
    part_of_one = x.dtype.type(training / R)
    wide, narrow = zeros(x, STRIP, STRIP), zeros(x, 1, 1)
    statistics, sums = (pointer(mean, 0), pointer(rstd, 0), pointer(gamma, 0)), (pointer(dgamma, 0), pointer(dbeta, 0))
    low, high = share(R, part, parts)
    tile = tile_rows(R, C, wide)
    for start in range(low, high, tile):
        rows, room = min(tile, high - start), (high - start) * C
        row, cotangent, target = pointer(x, start * C), pointer(g, start * C), pointer(out, start * C)
        if beta.size > 0:
            tile_grad(target, cotangent, row, C, rows, room, *statistics, pointer(beta, 0), *sums, part_of_one, wide,
                      narrow)
        else:
            tile_grad(target, cotangent, row, C, rows, room, *statistics, None, *sums, part_of_one, wide, narrow)


# ---- Layer normalisation ---------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def layer_norm(
    out: Array, mean: Array, rstd: Array, x: Array, gamma: Array, beta: Array, residual: Array, scale: Array,
    activation: int, eps: float, part: int, parts: int,
) -> None:
    """out[r, k] = (x[r, k] - mean[r]) rstd[r] gamma[k] + beta[k], with the statistics of row r, and what follows.

    Args:
        out: (R, K), out; float32 or float64. Rows are shared among the parts.
        mean: (R,), out; like out.
        rstd: (R,), out; 1 / sqrt(biased variance + eps); like out.
        x: (R, K), in; like out.
        gamma: (K,), in; like out.
        beta: (K,), in; like out.
        residual: like out, in; added to the result; or of length 0. What follows is `epilogue`'s.
        scale: (1,), in; what the result is multiplied by before; or of length 0.
        activation: in; what comes last.
        eps: a float.
    """
    R, K = x.shape
    wide, narrow = zeros(x, 4, 4), zeros(x, 1, 1)
    end = whole(K, wide)
    gammas, betas = pointer(gamma, 0), pointer(beta, 0)
    follows = residual.size > 0 or scale.size > 0 or activation != NONE
    low, high = share(R, part, parts)
    begin = low
    for r in range(low, high):
        row, target, room = pointer(x, r * K), pointer(out, r * K), (high - r) * K
        centre, deviation = row_moments(row, K)
        mean[r], rstd[r] = centre, reciprocal_root(deviation / K, eps)
        normalised_in(target, row, gammas, betas, 0, end, room, mean[r], rstd[r], wide)
        normalised_in(target, row, gammas, betas, end, K, room, mean[r], rstd[r], narrow)
        if follows and ((r + 1 - begin) * K >= BLOCK or r + 1 == high):
            finish_block(out, begin * K, r + 1 - begin, K, K, residual, scale, activation)
            begin = r + 1


@njit(error_model="numpy", forceinline=True)
def block_grad(
    out: Any, dgamma: Any, dbeta: Any, g: Any, x: Any, mean: Any, rstd: Any, gamma: Any, K: int, rows: int, room: int,
    centred: bool, like: Any, rest: Any,
) -> None:
    """Write the gradients of a few rows with respect to x, and add theirs with respect to gamma and beta.

    Without `centred` they are those of RMS normalisation: `mean` holds zeros, and `dbeta` is not written.
    """
    end = whole(K, like)
    for r in range(rows):
        row, cotangent, target, space = forward(x, r * K), forward(g, r * K), forward(out, r * K), room - r * K
        centre, scale = load(forward(mean, r)), load(forward(rstd, r))
        total, products = cotangent_in(cotangent, gamma, row, 0, end, centre, scale, like)
        more, more_products = cotangent_in(cotangent, gamma, row, end, K, centre, scale, rest)
        total, products = (total + more) / K if centred else 0.0, (products + more_products) / K
        h_mean, slope = constant(x, total, total), constant(x, products, products)
        row_grad_in(target, cotangent, gamma, row, 0, end, space, centre, scale, h_mean, slope, like)
        row_grad_in(target, cotangent, gamma, row, end, K, space, centre, scale, h_mean, slope, rest)
    add_products_in(dgamma, dbeta, g, x, K, 0, end, rows, mean, rstd, centred, like)
    add_products_in(dgamma, dbeta, g, x, K, end, K, rows, mean, rstd, centred, rest)


@njit(cache=True, nogil=True, error_model="numpy")
def layer_norm_grad(
    out: Array, dgammas: Array, dbetas: Array, g: Array, x: Array, mean: Array, rstd: Array, gamma: Array,
    part: int, parts: int,
) -> None:
    """Write the gradient of `layer_norm` with respect to x, and each block's sums of g xhat and of g over its rows.

    With h = g gamma and means over the row, out = rstd (h - mean(h) - xhat mean(h xhat)). The sums become the gradients
    of gamma and beta by `sum_blocks`.

    Args:
        out: (R, K), out; float32 or float64. Blocks of `ROWS` rows are shared among the parts.
        dgammas: (ceil(R / `ROWS`), K), out; float64.
        dbetas: like dgammas, out.
        g: (R, K), in; the gradient with respect to the output; like out.
        x: (R, K), in; like out.
        mean: (R,), in; like out.
        rstd: (R,), in; like out.
        gamma: (K,), in; like out.
    """
    R, K = x.shape
    wide, narrow = zeros(x, 4, 4), zeros(x, 1, 1)
    low, high = share(dgammas.shape[0], part, parts)
    last = min(high * ROWS, R)
    for block in range(low, high):
        dgammas[block] = 0
        dbetas[block] = 0
        for r in range(block * ROWS, min((block + 1) * ROWS, R), GROUP):
            rows = min(GROUP, R - r)
            block_grad(pointer(out, r * K), pointer(dgammas, block * K), pointer(dbetas, block * K), pointer(g, r * K),
                       pointer(x, r * K), pointer(mean, r), pointer(rstd, r), pointer(gamma, 0), K, rows,
                       (last - r) * K, True, wide, narrow)


# ---- RMS normalisation -----------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def rms_norm(
    out: Array, rstd: Array, x: Array, gamma: Array, residual: Array, scale: Array, activation: int, eps: float,
    part: int, parts: int,
) -> None:
    """out[r, k] = x[r, k] rstd[r] gamma[k], rstd[r] = 1 / sqrt(mean over k of x[r, k]^2 + eps), and what follows.

    Args:
        out: (R, K), out; float32 or float64. Rows are shared among the parts.
        rstd: (R,), out; like out.
        x: (R, K), in; like out.
        gamma: (K,), in; like out.
        residual: like out, in; added to the result; or of length 0. What follows is `epilogue`'s.
        scale: (1,), in; what the result is multiplied by before; or of length 0.
        activation: in; what comes last.
        eps: a float.
    """
    R, K = x.shape
    wide, narrow = zeros(x, 4, 4), zeros(x, 1, 1)
    end, gammas = whole(K, wide), pointer(gamma, 0)
    follows = residual.size > 0 or scale.size > 0 or activation != NONE
    low, high = share(R, part, parts)
    begin = low
    for r in range(low, high):
        row, target, room = pointer(x, r * K), pointer(out, r * K), (high - r) * K
        rstd[r] = reciprocal_root(row_dot(row, row, K) / K, eps)
        scaled_in(target, row, gammas, 0, end, room, rstd[r], wide)
        scaled_in(target, row, gammas, end, K, room, rstd[r], narrow)
        if follows and ((r + 1 - begin) * K >= BLOCK or r + 1 == high):
            finish_block(out, begin * K, r + 1 - begin, K, K, residual, scale, activation)
            begin = r + 1


@njit(cache=True, nogil=True, error_model="numpy")
def rms_norm_grad(
    out: Array, dgammas: Array, g: Array, x: Array, rstd: Array, gamma: Array, part: int, parts: int
) -> None:
    """Write the gradient of `rms_norm` with respect to x, and each block's sum of g xhat over its rows.

    With h = g gamma and the mean over the row, out = rstd (h - xhat mean(h xhat)). The sums become the gradient of
    gamma by `sum_blocks`.

    Args:
        out: (R, K), out; float32 or float64. Blocks of `ROWS` rows are shared among the parts.
        dgammas: (ceil(R / `ROWS`), K), out; float64.
        g: (R, K), in; the gradient with respect to the output; like out.
        x: (R, K), in; like out.
        rstd: (R,), in; like out.
        gamma: (K,), in; like out.
    """
    R, K = x.shape
    wide, narrow = zeros(x, 4, 4), zeros(x, 1, 1)
    centres = stack(x, 16)
    for r in range(GROUP):
        store(forward(centres, r), x.dtype.type(0))
    low, high = share(dgammas.shape[0], part, parts)
    last = min(high * ROWS, R)
    for block in range(low, high):
        dgammas[block] = 0
        dgamma = pointer(dgammas, block * K)
        for r in range(block * ROWS, min((block + 1) * ROWS, R), GROUP):
            rows = min(GROUP, R - r)
            block_grad(pointer(out, r * K), dgamma, dgamma, pointer(g, r * K), pointer(x, r * K), centres,
                       pointer(rstd, r), pointer(gamma, 0), K, rows, (last - r) * K, False, wide, narrow)


# ---- Group normalisation ---------------------------------------------------------------------------------------------


@njit(error_model="numpy")
def group_chunks(N: int, C: int, G: int) -> Any:
    """Return how many groups are worked on side by side, and in how many chunks of that many all groups are.

    Whole rows are best, as memory is fetched in order; few samples are cut into chunks, so that parts can share them.
    """
    groups = max(1, max(CHANNELS, C * N // UNITS) * G // max(C, 1))
    return groups, (G + groups - 1) // groups


@njit(cache=True, nogil=True, error_model="numpy")
def group_norm(
    out: Array, mean: Array, rstd: Array, scratch: Array, x: Array, gamma: Array, beta: Array, residual: Array,
    scale: Array, activation: int, eps: float, part: int, parts: int,
) -> None:
    """out[n, s, c] = (x[n, s, c] - mean[n, i]) rstd[n, i] gamma[c] + beta[c], with the statistics of the group i of c.

    And what follows: ReLU in registers.

    Args:
        out: (N, S, C), out; float32 or float64. Chunks of whole groups are shared among the parts.
        mean: (N, G), out; like out; over the S places and C / G neighbouring channels. G divides C.
        rstd: (N, G), out; 1 / sqrt(biased variance + eps); like out.
        scratch: (N, 4, C); float64.
        x: (N, S, C), in; like out.
        gamma: (C,), in; like out.
        beta: (C,), in; like out.
        residual: like out, in; added to the result; or of length 0. What follows is `epilogue`'s.
        scale: (1,), in; what the result is multiplied by before; or of length 0.
        activation: in; what comes last.
        eps: a float.
    """
    N, S, C = x.shape
    G = mean.shape[1]
    width = C // max(G, 1)
    wide, narrow = zeros(x, 4, 4), zeros(x, 1, 1)
    simple, floor = in_registers(scale, activation)
    groups, chunks = group_chunks(N, C, G)
    low, high = share(N * chunks, part, parts)
    for unit in range(low, high):
        n, first = unit // chunks, unit % chunks * groups
        last = min(first + groups, G)
        start, stop = first * width, last * width
        row, target = pointer(x, n * S * C + start), pointer(out, n * S * C + start)
        centres, scales = pointer(scratch, n * 4 * C + start), pointer(scratch, (n * 4 + 1) * C + start)
        column_moments(centres, scales, row, C, S, stop - start)
        for i in range(first, last):
            total, squares = 0.0, 0.0
            for c in range(i * width, (i + 1) * width):
                total += scratch[n, 0, c]
            centre = total / width
            for c in range(i * width, (i + 1) * width):
                squares += scratch[n, 1, c] + S * (scratch[n, 0, c] - centre) ** 2
            mean[n, i], rstd[n, i] = centre, reciprocal_root(squares / (S * width), eps)
            for c in range(i * width, (i + 1) * width):
                scratch[n, 0, c], scratch[n, 1, c] = mean[n, i], rstd[n, i] * gamma[c]
        count = stop - start
        for c in range(0, count, COLUMNS):
            columns, shifts = min(COLUMNS, count - c), pointer(beta, start + c)
            to, place, centre, factor = forward(target, c), forward(row, c), forward(centres, c), forward(scales, c)
            if simple and residual.size > 0:
                added = pointer(residual, n * S * C + start + c)
                group_norm_rows(to, place, C, S, columns, centre, factor, shifts, added, floor, wide, narrow)
            elif simple and activation == RELU:
                group_norm_rows(to, place, C, S, columns, centre, factor, shifts, None, floor, wide, narrow)
            else:
                group_norm_rows(to, place, C, S, columns, centre, factor, shifts, None, None, wide, narrow)
                if not simple:
                    finish_block(out, n * S * C + start + c, S, C, columns, residual, scale, activation)


@njit(cache=True, nogil=True, error_model="numpy")
def group_norm_grad(
    out: Array, dgammas: Array, dbetas: Array, scratch: Array, g: Array, x: Array, mean: Array, rstd: Array,
    gamma: Array, beta: Array, part: int, parts: int,
) -> None:
    """Write the gradient of `group_norm` with respect to x, and each sample's sums of g xhat and of g over its places.

    With a beta it is that of ReLU of the output.

    With h = g gamma and means over the group, out = rstd (h - mean(h) - xhat mean(h xhat)). The sums become the
    gradients of gamma and beta by `sum_blocks`.

    Args:
        out: (N, S, C), out; float32 or float64. Chunks of whole groups are shared among the parts.
        dgammas: (N, C), out; float64.
        dbetas: like dgammas, out.
        scratch: (N, 4, C); float64.
        g: (N, S, C), in; the gradient with respect to the output; like out.
        x: (N, S, C), in; like out.
        mean: (N, G), in; like out.
        rstd: (N, G), in; like out.
        gamma: (C,), in; like out.
        beta: (C,), in; like out; of length 0 where no ReLU followed.
    """
    N, S, C = x.shape
    G = mean.shape[1]
    width = C // max(G, 1)
    wide, narrow = zeros(x, STRIP, STRIP), zeros(x, 1, 1)
    groups, chunks = group_chunks(N, C, G)
    low, high = share(N * chunks, part, parts)
    for unit in range(low, high):
        n, first = unit // chunks, unit % chunks * groups
        last = min(first + groups, G)
        start, stop = first * width, last * width
        for i in range(first, last):
            for c in range(i * width, (i + 1) * width):
                scratch[n, 0, c], scratch[n, 1, c] = mean[n, i], rstd[n, i]
        place, count, factors = n * S * C + start, stop - start, pointer(scratch, n * 4 * C + start)
        row, cotangent, target = pointer(x, place), pointer(g, place), pointer(out, place)
        products, sums = pointer(dgammas, n * C + start), pointer(dbetas, n * C + start)
        if beta.size > 0:
            column_products(products, sums, cotangent, row, C, S, count, factors, forward(factors, C),
                            pointer(gamma, start), pointer(beta, start))
        else:
            column_products(products, sums, cotangent, row, C, S, count, factors, forward(factors, C), None, None)
        for i in range(first, last):
            total, slope_total = 0.0, 0.0
            for c in range(i * width, (i + 1) * width):
                total += gamma[c] * dbetas[n, c]
                slope_total += gamma[c] * dgammas[n, c]
            scale = np.float64(rstd[n, i])
            for c in range(i * width, (i + 1) * width):
                scratch[n, 0, c], scratch[n, 1, c] = scale * gamma[c], scale * (total / (S * width))
                scratch[n, 2, c], scratch[n, 3, c] = scale * scale * (slope_total / (S * width)), mean[n, i]
        for c in range(0, count, COLUMNS):
            to, of, at, factor = forward(target, c), forward(cotangent, c), forward(row, c), forward(factors, c)
            columns = min(COLUMNS, count - c)
            if beta.size > 0:
                group_norm_grad_rows(to, of, at, C, S, columns, factor, C, pointer(beta, start + c), wide, narrow)
            else:
                group_norm_grad_rows(to, of, at, C, S, columns, factor, C, None, wide, narrow)
