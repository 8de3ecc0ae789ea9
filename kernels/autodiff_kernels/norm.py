"""Normalisations with an affine map: batch, layer, group (and instance: one channel a group) and RMS normalisation.

All compute xhat = (x - mean) * rstd, rstd = 1 / sqrt(variance + eps), out = xhat * gamma + beta, where the variance is
biased and computed in a second pass, after the mean, and sums are accumulated in float64. Without an affine map pass
ones and zeros. Rows are pixels or tokens with their channels side by side.

Sums over rows are partial sums of `ROWS` rows each, which the parts share, and a combine: `sum_blocks` for the
gradients of gamma and beta, `batch_norm_combine` for statistics.

Sources: Ioffe, Szegedy, Batch Normalization (2015); Ba, Kiros, Hinton, Layer Normalization (2016); Wu, He, Group
Normalization (2018); Ulyanov et al., Instance Normalization (2016); Zhang, Sennrich, Root Mean Square Layer
Normalization (2019).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.parts import share



Array = np.ndarray[Any, np.dtype[Any]]

ROWS = 128  # rows to a partial sum
CHANNELS = 64  # of group normalisation: channels that are summed side by side, as long as they are whole groups


@njit(cache=True, nogil=True, error_model="numpy")
def sum_blocks(out: Array, partial: Array, part: int, parts: int) -> None:
    """out[c] = sum over the blocks of partial[block, c].

    Args:
        out: (C,), out; float32 or float64. Shared among the parts.
        partial: (blocks, C), in; float64.
    """
    low, high = share(out.shape[0], part, parts)
    for c in range(low, high):
        total = 0.0
        for block in range(partial.shape[0]):
            total += partial[block, c]
        out[c] = total


# ---- Batch normalisation ---------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def batch_norm_partial(means: Array, deviations: Array, x: Array, part: int, parts: int) -> None:
    """Write each block's mean of every channel, and its sum of squared deviations from that mean.

    Args:
        means: (ceil(R / `ROWS`), C), out; float64. Blocks of `ROWS` rows are shared among the parts.
        deviations: like means, out.
        x: (R, C), in; float32 or float64.
    """
    low, high = share(means.shape[0], part, parts)
    for block in range(low, high):
        start, stop = block * ROWS, min((block + 1) * ROWS, x.shape[0])
        mean, deviation = means[block], deviations[block]
        mean[:] = 0
        deviation[:] = 0
        for r in range(start, stop):
            row = x[r]
            for c in range(row.shape[0]):
                mean[c] += row[c]
        mean /= stop - start
        for r in range(start, stop):
            row = x[r]
            for c in range(row.shape[0]):
                difference = row[c] - mean[c]
                deviation[c] += difference * difference


@njit(cache=True, nogil=True, error_model="numpy")
def batch_norm_combine(
    mean: Array, variance: Array, rstd: Array, means: Array, deviations: Array, rows: int, eps: float,
    part: int, parts: int,
) -> None:
    """Write the statistics of all rows from those of the blocks.

    mean = sum of n_b mean_b / R; R variance = sum of deviation_b + n_b (mean_b - mean)^2 over the blocks b of n_b rows.

    Source: Chan, Golub, LeVeque, Algorithms for Computing the Sample Variance (1983), section 3.

    Args:
        mean: (C,), out; float32 or float64. Channels are shared among the parts.
        variance: (C,), out; the biased variance; like mean.
        rstd: (C,), out; 1 / sqrt(variance + eps); like mean.
        means: (blocks, C), in; from `batch_norm_partial`.
        deviations: (blocks, C), in; from `batch_norm_partial`.
        rows: R, the number of rows.
        eps: a float.
    """
    low, high = share(mean.shape[0], part, parts)
    for c in range(low, high):
        total, deviation = 0.0, 0.0
        for block in range(means.shape[0]):
            total += means[block, c] * (min((block + 1) * ROWS, rows) - block * ROWS)
        centre = total / rows
        for block in range(means.shape[0]):
            count = min((block + 1) * ROWS, rows) - block * ROWS
            deviation += deviations[block, c] + count * (means[block, c] - centre) ** 2
        mean[c], variance[c], rstd[c] = centre, deviation / rows, 1 / math.sqrt(deviation / rows + eps)


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


@njit(cache=True, nogil=True, error_model="numpy")
def batch_norm(
    out: Array, x: Array, mean: Array, rstd: Array, gamma: Array, beta: Array, part: int, parts: int
) -> None:
    """out[r, c] = (x[r, c] - mean[c]) rstd[c] gamma[c] + beta[c].

    Args:
        out: (R, C), out; float32 or float64. Rows are shared among the parts.
        x: (R, C), in; like out.
        mean: (C,), in; like out; of this batch (`batch_norm_combine`) or given.
        rstd: (C,), in; like out; of this batch or from `reciprocal_std`.
        gamma: (C,), in; like out.
        beta: (C,), in; like out.
    """
    low, high = share(x.shape[0], part, parts)
    for r in range(low, high):
        row, target = x[r], out[r]
        for c in range(row.shape[0]):
            target[c] = (row[c] - mean[c]) * (rstd[c] * gamma[c]) + beta[c]


@njit(cache=True, nogil=True, error_model="numpy")
def batch_norm_grad_partial(
    dgammas: Array, dbetas: Array, g: Array, x: Array, mean: Array, rstd: Array, part: int, parts: int
) -> None:
    """Write each block's sums of g xhat and of g over its rows: with `sum_blocks` the gradients of gamma and beta.

    Args:
        dgammas: (ceil(R / `ROWS`), C), out; float64. Blocks of `ROWS` rows are shared among the parts.
        dbetas: like dgammas, out.
        g: (R, C), in; the gradient with respect to the output; float32 or float64.
        x: (R, C), in; like g.
        mean: (C,), in; like g.
        rstd: (C,), in; like g.
    """
    low, high = share(dgammas.shape[0], part, parts)
    for block in range(low, high):
        dgamma, dbeta = dgammas[block], dbetas[block]
        dgamma[:] = 0
        dbeta[:] = 0
        for r in range(block * ROWS, min((block + 1) * ROWS, x.shape[0])):
            row, cotangent = x[r], g[r]
            for c in range(row.shape[0]):
                dgamma[c] += cotangent[c] * (row[c] - mean[c])
                dbeta[c] += cotangent[c]
        for c in range(dgamma.shape[0]):
            dgamma[c] *= rstd[c]


@njit(cache=True, nogil=True, error_model="numpy")
def batch_norm_grad(
    out: Array, g: Array, x: Array, mean: Array, rstd: Array, gamma: Array, dgamma: Array, dbeta: Array, training: int,
    part: int, parts: int,
) -> None:
    """Write the gradient of `batch_norm` with respect to x.

    out = gamma rstd g with given statistics; out = gamma rstd (g - dbeta / R - xhat dgamma / R) with the batch's own,
    which depend on x.

    Args:
        out: (R, C), out; float32 or float64. Rows are shared among the parts.
        g: (R, C), in; the gradient with respect to the output; like out.
        x: (R, C), in; like out.
        mean: (C,), in; like out.
        rstd: (C,), in; like out.
        gamma: (C,), in; like out.
        dgamma: (C,), in; the gradient of gamma; like out.
        dbeta: (C,), in; the gradient of beta; like out.
        training: 1 if mean and rstd are those of x, 0 if they were given.
    """
    R, C = x.shape
    part_of_one = x.dtype.type(training / R)
    low, high = share(R, part, parts)
    for r in range(low, high):
        row, cotangent, target = x[r], g[r], out[r]
        for c in range(C):
            through_statistics = dbeta[c] + (row[c] - mean[c]) * rstd[c] * dgamma[c]
            target[c] = gamma[c] * rstd[c] * (cotangent[c] - part_of_one * through_statistics)


# ---- Layer normalisation ---------------------------------------------------------------------------------------------


@njit(error_model="numpy")
def row_deviation(x: Array, mean: Any) -> Any:
    """Return the sum of (x - mean)^2 over x (K,), in float64."""
    s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
    fours = x.shape[0] // 4
    for four in range(fours):
        k = 4 * four
        s0 += (x[k] - mean) ** 2
        s1 += (x[k + 1] - mean) ** 2
        s2 += (x[k + 2] - mean) ** 2
        s3 += (x[k + 3] - mean) ** 2
    for k in range(4 * fours, x.shape[0]):
        s0 += (x[k] - mean) ** 2
    return (s0 + s1) + (s2 + s3)


@njit(error_model="numpy")
def row_cotangent_sums(g: Array, gamma: Array, x: Array, mean: Any) -> Any:
    """Return the sums of h = g gamma and of h (x - mean) over a row (K,), in float64."""
    h0, h1, s0, s1 = 0.0, 0.0, 0.0, 0.0
    twos = x.shape[0] // 2
    for two in range(twos):
        k = 2 * two
        first, second = np.float64(g[k]) * gamma[k], np.float64(g[k + 1]) * gamma[k + 1]
        h0 += first
        h1 += second
        s0 += first * (x[k] - mean)
        s1 += second * (x[k + 1] - mean)
    for k in range(2 * twos, x.shape[0]):
        h0 += np.float64(g[k]) * gamma[k]
        s0 += np.float64(g[k]) * gamma[k] * (x[k] - mean)
    return h0 + h1, s0 + s1


@njit(cache=True, nogil=True, error_model="numpy")
def layer_norm(
    out: Array, mean: Array, rstd: Array, x: Array, gamma: Array, beta: Array, eps: float, part: int, parts: int
) -> None:
    """out[r, k] = (x[r, k] - mean[r]) rstd[r] gamma[k] + beta[k], with the statistics of row r.

    Args:
        out: (R, K), out; float32 or float64. Rows are shared among the parts.
        mean: (R,), out; like out.
        rstd: (R,), out; 1 / sqrt(biased variance + eps); like out.
        x: (R, K), in; like out.
        gamma: (K,), in; like out.
        beta: (K,), in; like out.
        eps: a float.
    """
    R, K = x.shape
    low, high = share(R, part, parts)
    for r in range(low, high):
        row, target = x[r], out[r]
        centre = row_sum(row, 0.0) / K
        mean[r], rstd[r] = centre, 1 / math.sqrt(row_deviation(row, centre) / K + eps)
        shift, scale = mean[r], rstd[r]
        for k in range(K):
            target[k] = (row[k] - shift) * scale * gamma[k] + beta[k]


@njit(cache=True, nogil=True, error_model="numpy")
def layer_norm_grad(
    out: Array, g: Array, x: Array, mean: Array, rstd: Array, gamma: Array, part: int, parts: int
) -> None:
    """Write the gradient of `layer_norm` with respect to x.

    With h = g gamma and means over the row, out = rstd (h - mean(h) - xhat mean(h xhat)).

    Args:
        out: (R, K), out; float32 or float64. Rows are shared among the parts.
        g: (R, K), in; the gradient with respect to the output; like out.
        x: (R, K), in; like out.
        mean: (R,), in; like out.
        rstd: (R,), in; like out.
        gamma: (K,), in; like out.
    """
    R, K = x.shape
    number = x.dtype.type
    low, high = share(R, part, parts)
    for r in range(low, high):
        row, cotangent, target, shift, scale = x[r], g[r], out[r], mean[r], rstd[r]
        total, slope_total = row_cotangent_sums(cotangent, gamma, row, shift)
        centre, slope = number(total / K), number(slope_total / K * scale * scale)
        for k in range(K):
            target[k] = scale * (cotangent[k] * gamma[k] - centre - (row[k] - shift) * slope)


@njit(cache=True, nogil=True, error_model="numpy")
def layer_norm_grad_partial(
    dgammas: Array, dbetas: Array, g: Array, x: Array, mean: Array, rstd: Array, part: int, parts: int
) -> None:
    """Write each block's sums of g xhat and of g over its rows: with `sum_blocks` the gradients of gamma and beta.

    Args:
        dgammas: (ceil(R / `ROWS`), K), out; float64. Blocks of `ROWS` rows are shared among the parts.
        dbetas: like dgammas, out.
        g: (R, K), in; the gradient with respect to the output; float32 or float64.
        x: (R, K), in; like g.
        mean: (R,), in; like g.
        rstd: (R,), in; like g.
    """
    low, high = share(dgammas.shape[0], part, parts)
    for block in range(low, high):
        dgamma, dbeta = dgammas[block], dbetas[block]
        dgamma[:] = 0
        dbeta[:] = 0
        for r in range(block * ROWS, min((block + 1) * ROWS, x.shape[0])):
            row, cotangent, shift, scale = x[r], g[r], mean[r], rstd[r]
            for k in range(row.shape[0]):
                dgamma[k] += cotangent[k] * ((row[k] - shift) * scale)
                dbeta[k] += cotangent[k]


# ---- RMS normalisation -----------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def rms_norm(out: Array, rstd: Array, x: Array, gamma: Array, eps: float, part: int, parts: int) -> None:
    """out[r, k] = x[r, k] rstd[r] gamma[k], rstd[r] = 1 / sqrt(mean over k of x[r, k]^2 + eps).

    Args:
        out: (R, K), out; float32 or float64. Rows are shared among the parts.
        rstd: (R,), out; like out.
        x: (R, K), in; like out.
        gamma: (K,), in; like out.
        eps: a float.
    """
    R, K = x.shape
    low, high = share(R, part, parts)
    for r in range(low, high):
        row, target = x[r], out[r]
        rstd[r] = 1 / math.sqrt(row_dot(row, row) / K + eps)
        scale = rstd[r]
        for k in range(K):
            target[k] = row[k] * scale * gamma[k]


@njit(cache=True, nogil=True, error_model="numpy")
def rms_norm_grad(out: Array, g: Array, x: Array, rstd: Array, gamma: Array, part: int, parts: int) -> None:
    """Write the gradient of `rms_norm` with respect to x: with h = g gamma, out = rstd (h - xhat mean(h xhat)).

    Args:
        out: (R, K), out; float32 or float64. Rows are shared among the parts.
        g: (R, K), in; the gradient with respect to the output; like out.
        x: (R, K), in; like out.
        rstd: (R,), in; like out.
        gamma: (K,), in; like out.
    """
    R, K = x.shape
    low, high = share(R, part, parts)
    for r in range(low, high):
        row, cotangent, target, scale = x[r], g[r], out[r], rstd[r]
        _, slope_total = row_cotangent_sums(cotangent, gamma, row, 0.0)
        slope = x.dtype.type(slope_total / K * scale * scale)
        for k in range(K):
            target[k] = scale * (cotangent[k] * gamma[k] - row[k] * slope)


@njit(cache=True, nogil=True, error_model="numpy")
def rms_norm_grad_partial(dgammas: Array, g: Array, x: Array, rstd: Array, part: int, parts: int) -> None:
    """Write each block's sum of g xhat over its rows: with `sum_blocks` the gradient of gamma.

    Args:
        dgammas: (ceil(R / `ROWS`), K), out; float64. Blocks of `ROWS` rows are shared among the parts.
        g: (R, K), in; the gradient with respect to the output; float32 or float64.
        x: (R, K), in; like g.
        rstd: (R,), in; like g.
    """
    low, high = share(dgammas.shape[0], part, parts)
    for block in range(low, high):
        dgamma = dgammas[block]
        dgamma[:] = 0
        for r in range(block * ROWS, min((block + 1) * ROWS, x.shape[0])):
            row, cotangent, scale = x[r], g[r], rstd[r]
            for k in range(row.shape[0]):
                dgamma[k] += cotangent[k] * (row[k] * scale)


# ---- Group normalisation ---------------------------------------------------------------------------------------------


@njit(error_model="numpy")
def group_chunks(C: int, G: int) -> Any:
    """Return how many groups are summed side by side, and in how many chunks of that many all groups are."""
    groups = max(1, CHANNELS * G // max(C, 1))
    return groups, (G + groups - 1) // groups


@njit(cache=True, nogil=True, error_model="numpy")
def group_norm(
    out: Array, mean: Array, rstd: Array, scratch: Array, x: Array, gamma: Array, beta: Array, eps: float,
    part: int, parts: int,
) -> None:
    """out[n, s, c] = (x[n, s, c] - mean[n, i]) rstd[n, i] gamma[c] + beta[c], with the statistics of the group i of c.

    Args:
        out: (N, S, C), out; float32 or float64. Groups (or chunks of small groups) are shared among the parts.
        mean: (N, G), out; like out; over the S places and C / G neighbouring channels. G divides C.
        rstd: (N, G), out; 1 / sqrt(biased variance + eps); like out.
        scratch: (N, 4, C); float64.
        x: (N, S, C), in; like out.
        gamma: (C,), in; like out.
        beta: (C,), in; like out.
        eps: a float.
    """
    N, S, C = x.shape
    G = mean.shape[1]
    width = C // max(G, 1)
    number = x.dtype.type
    groups, chunks = group_chunks(C, G)
    low, high = share(N * chunks, part, parts)
    for unit in range(low, high):
        n, first = unit // chunks, unit % chunks * groups
        last = min(first + groups, G)
        start, stop = first * width, last * width
        sums, centre = scratch[n, 0, start:stop], scratch[n, 1, start:stop]
        sums[:] = 0
        for s in range(S):
            row = x[n, s, start:stop]
            for c in range(row.shape[0]):
                sums[c] += row[c]
        for i in range(first, last):
            place = i * width - start
            total = row_sum(sums[place : place + width], 0.0)
            centre[place : place + width] = total / (S * width)
            mean[n, i] = total / (S * width)
        sums[:] = 0
        for s in range(S):
            row = x[n, s, start:stop]
            for c in range(row.shape[0]):
                difference = row[c] - centre[c]
                sums[c] += difference * difference
        for i in range(first, last):
            place = i * width - start
            total = row_sum(sums[place : place + width], 0.0)
            rstd[n, i] = 1 / math.sqrt(total / (S * width) + eps)
            for c in range(place, place + width):
                sums[c] = rstd[n, i] * gamma[start + c]
        shift = beta[start:stop]
        for s in range(S):
            row, target = x[n, s, start:stop], out[n, s, start:stop]
            for c in range(row.shape[0]):
                target[c] = (row[c] - number(centre[c])) * number(sums[c]) + shift[c]


@njit(cache=True, nogil=True, error_model="numpy")
def group_norm_grad_partial(
    dgammas: Array, dbetas: Array, scratch: Array, g: Array, x: Array, mean: Array, rstd: Array, part: int, parts: int
) -> None:
    """Write each sample's sums of g xhat and of g over its places: with `sum_blocks` the gradients of gamma and beta.

    Args:
        dgammas: (N, C), out; float64. Groups (or chunks of small groups) are shared among the parts.
        dbetas: like dgammas, out.
        scratch: (N, 4, C); float64.
        g: (N, S, C), in; the gradient with respect to the output; float32 or float64.
        x: (N, S, C), in; like g.
        mean: (N, G), in; like g.
        rstd: (N, G), in; like g.
    """
    N, S, C = x.shape
    G = mean.shape[1]
    width = C // max(G, 1)
    groups, chunks = group_chunks(C, G)
    low, high = share(N * chunks, part, parts)
    for unit in range(low, high):
        n, first = unit // chunks, unit % chunks * groups
        start, stop = first * width, min(first + groups, G) * width
        dgamma, dbeta, centre = dgammas[n, start:stop], dbetas[n, start:stop], scratch[n, 0, start:stop]
        dgamma[:] = 0
        dbeta[:] = 0
        for c in range(centre.shape[0]):
            centre[c] = mean[n, first + c // width]
        for s in range(S):
            row, cotangent = x[n, s, start:stop], g[n, s, start:stop]
            for c in range(row.shape[0]):
                dgamma[c] += cotangent[c] * (row[c] - centre[c])
            for c in range(row.shape[0]):
                dbeta[c] += cotangent[c]
        for c in range(dgamma.shape[0]):
            dgamma[c] *= rstd[n, first + c // width]


@njit(cache=True, nogil=True, error_model="numpy")
def group_norm_grad(
    out: Array, scratch: Array, g: Array, x: Array, mean: Array, rstd: Array, gamma: Array, dgammas: Array,
    dbetas: Array, part: int, parts: int,
) -> None:
    """Write the gradient of `group_norm` with respect to x.

    With h = g gamma and means over the group, out = rstd (h - mean(h) - xhat mean(h xhat)).

    Args:
        out: (N, S, C), out; float32 or float64. Groups (or chunks of small groups) are shared among the parts.
        scratch: (N, 4, C); float64.
        g: (N, S, C), in; the gradient with respect to the output; like out.
        x: (N, S, C), in; like out.
        mean: (N, G), in; like out.
        rstd: (N, G), in; like out.
        gamma: (C,), in; like out.
        dgammas: (N, C), in; from `group_norm_grad_partial`.
        dbetas: (N, C), in; from `group_norm_grad_partial`.
    """
    N, S, C = x.shape
    G = mean.shape[1]
    width = C // max(G, 1)
    number = x.dtype.type
    groups, chunks = group_chunks(C, G)
    low, high = share(N * chunks, part, parts)
    for unit in range(low, high):
        n, first = unit // chunks, unit % chunks * groups
        last = min(first + groups, G)
        start, stop = first * width, last * width
        scale, h_mean = scratch[n, 0, start:stop], scratch[n, 1, start:stop]
        slope, centre = scratch[n, 2, start:stop], scratch[n, 3, start:stop]
        factor = gamma[start:stop]
        for i in range(first, last):
            total, slope_total = 0.0, 0.0
            for c in range(i * width, (i + 1) * width):
                total += gamma[c] * dbetas[n, c]
                slope_total += gamma[c] * dgammas[n, c]
            for c in range(i * width, (i + 1) * width):
                scale[c - start], centre[c - start] = rstd[n, i], mean[n, i]
                h_mean[c - start] = total / (S * width)
                slope[c - start] = rstd[n, i] * (slope_total / (S * width))
        for s in range(S):
            row, cotangent, target = x[n, s, start:stop], g[n, s, start:stop], out[n, s, start:stop]
            for c in range(row.shape[0]):
                through_statistics = number(h_mean[c]) + (row[c] - number(centre[c])) * number(slope[c])
                target[c] = number(scale[c]) * (cotangent[c] * factor[c] - through_statistics)
