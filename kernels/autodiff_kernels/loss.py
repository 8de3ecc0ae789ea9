"""Classification losses of rows (R, K) with class targets; the rows are shared among the parts.

A kernel gives each row's loss and weight. PyTorch's reductions of them are: "none" the losses, "sum" their sum, "mean"
their sum divided by the sum of the weights (NaN if that is 0). A row whose target is `ignore_index` has loss and weight
0. A target outside 0 ... K - 1 that is not `ignore_index` is reported in `status`, and its row counts as ignored.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.maths import log
from autodiff_kernels.memory import forward, load, pointer, stack, store
from autodiff_kernels.parts import share
from autodiff_kernels.rows import row_exp, row_largest, row_scale, row_total
from autodiff_kernels.softmax import block_of
from autodiff_kernels.vectors import read, sum_of, whole, widen, width, write, zeros

Array = np.ndarray[Any, np.dtype[Any]]


@njit(error_model="numpy", forceinline=True)
def smoothed_in(x: Any, weight: Any, start: int, stop: int, shift: Any, log_sum: float, like: Any) -> Any:
    """Return the sum of weight (log_sum - (x - shift)) in float64."""
    total = widen(like)
    for i in range(start, stop, width(like)):
        log_power = widen(read(x, i, like, stop - i, 0)) - np.float64(shift)
        total = total + widen(read(weight, i, like, stop - i, 0)) * (log_sum - log_power)
    return sum_of(total)


@njit(error_model="numpy", forceinline=True)
def cross_entropy_grad_in(
    out: Any, p: Any, weight: Any, start: int, stop: int, scale: Any, uniform: Any, like: Any
) -> None:
    """Write out = scale p - uniform weight."""
    for i in range(start, stop, width(like)):
        value = read(p, i, like, stop - i, 0) * scale - read(weight, i, like, stop - i, 0) * uniform
        write(out, i, value, stop - i)


@njit(cache=True, nogil=True, error_model="numpy")
def cross_entropy(
    losses: Array, row_weights: Array, probabilities: Array, status: Array, x: Array, target: Array, weight: Array,
    ignore_index: int, label_smoothing: float, part: int, parts: int,
) -> None:
    """Write the cross-entropy of logits x and classes t = target[r]; p = softmax(x), s = label_smoothing.

    losses[r] = -(1 - s) weight[t] log p[r, t] - (s / K) sum over k of weight[k] log p[r, k];
    row_weights[r] = weight[t].

    Label smoothing: Szegedy et al., Rethinking the Inception Architecture for Computer Vision (2016), section 7.

    Args:
        losses: (R,), out; float32 or float64. Sums are accumulated in float64.
        row_weights: (R,), out; like losses.
        probabilities: (R, K), out; like losses. p, for `cross_entropy_grad`; 0 in rows that are ignored.
        status: (parts,), out; int64. The first row of each part whose target is out of range, or -1.
        x: (R, K), in; like losses.
        target: (R,), in; int64.
        weight: (K,), in; like losses. The weight of each class: ones for the unweighted loss.
        ignore_index: the target of rows to ignore, in range or not.
        label_smoothing: from 0 to 1, float64; with 0 the second sum is left out, so that log 0 does not spoil it.
    """
    R, K = x.shape
    narrow = zeros(x, 1, 1)
    low, high = share(R, part, parts)
    status[part] = -1
    if K == 0:
        for r in range(low, high):
            losses[r], row_weights[r] = 0, 0
            if target[r] != ignore_index and status[part] < 0:
                status[part] = r
        return
    block = block_of(K)
    shifts, totals = stack(x, 32), stack(np.float64(0), 32)
    for start in range(low, high, block):
        stop = min(start + block, high)
        for r in range(start, stop):
            store(forward(shifts, r - start), row_largest(pointer(x, r * K), K))
        for r in range(start, stop):
            row, p = pointer(x, r * K), pointer(probabilities, r * K)
            total = row_exp(p, row, K, (high - r) * K, load(forward(shifts, r - start)))
            store(forward(totals, r - start), total)
        for r in range(start, stop):
            t = target[r]
            if t == ignore_index or not 0 <= t < K:
                if t != ignore_index and status[part] < 0:
                    status[part] = r
                losses[r], row_weights[r], probabilities[r] = 0, 0, 0
                continue
            p, shift = pointer(probabilities, r * K), load(forward(shifts, r - start))
            total = load(forward(totals, r - start))
            row_scale(p, p, K, (high - r) * K, x.dtype.type(1 / total))
            log_sum = log(total)
            loss = weight[t] * (log_sum - (np.float64(x[r, t]) - shift))
            if label_smoothing != 0:
                smooth = smoothed_in(pointer(x, r * K), pointer(weight, 0), 0, K, shift, log_sum, narrow)
                loss = (1 - label_smoothing) * loss + label_smoothing / K * smooth
            losses[r], row_weights[r] = loss, weight[t]


@njit(cache=True, nogil=True, error_model="numpy")
def cross_entropy_grad(
    out: Array, g: Array, probabilities: Array, target: Array, weight: Array, ignore_index: int, label_smoothing: float,
    part: int, parts: int,
) -> None:
    """Write the gradient of `cross_entropy` with respect to the logits; t = target[r], s = label_smoothing.

    out[r, k] = g[r] (a p[r, k] - (1 - s) weight[t] [k = t] - (s / K) weight[k]), where
    a = (1 - s) weight[t] + (s / K) sum of the weights; 0 in rows that are ignored.

    Args:
        out: (R, K), out; float32 or float64.
        g: (R,), in; the gradient with respect to the losses; like out.
        probabilities: (R, K), in; p, from `cross_entropy`; like out.
        target: (R,), in; int64. Rows out of range are ignored: `cross_entropy` has reported them.
        weight: (K,), in; like out.
        ignore_index: as for `cross_entropy`.
        label_smoothing: as for `cross_entropy`.
    """
    R, K = out.shape
    number = out.dtype.type
    smooth = number(label_smoothing / K)
    smooth_sum = label_smoothing / K * row_total(pointer(weight, 0), K) if label_smoothing != 0 else 0.0
    wide, narrow = zeros(out, 4, 4), zeros(out, 1, 1)
    end = whole(K, wide)
    low, high = share(R, part, parts)
    for r in range(low, high):
        t = target[r]
        if t == ignore_index or not 0 <= t < K:
            out[r] = 0
            continue
        row, p, weights = pointer(out, r * K), pointer(probabilities, r * K), pointer(weight, 0)
        room = (high - r) * K
        hit = (1 - label_smoothing) * weight[t]
        scale = g[r] * number(hit + smooth_sum)
        if label_smoothing == 0:
            row_scale(row, p, K, room, scale)
        else:
            uniform = g[r] * smooth
            cross_entropy_grad_in(row, p, weights, 0, end, scale, uniform, wide)
            cross_entropy_grad_in(row, p, weights, end, K, scale, uniform, narrow)
        out[r, t] -= g[r] * number(hit)


@njit(cache=True, nogil=True, error_model="numpy")
def nll(
    losses: Array, row_weights: Array, status: Array, x: Array, target: Array, weight: Array, ignore_index: int,
    part: int, parts: int,
) -> None:
    """Write the negative log-likelihood losses[r] = -weight[t] x[r, t], row_weights[r] = weight[t]; t = target[r].

    Args:
        losses: (R,), out; float32 or float64.
        row_weights: (R,), out; like losses.
        status: (parts,), out; int64. The first row of each part whose target is out of range, or -1.
        x: (R, K), in; log-probabilities; like losses.
        target: (R,), in; int64.
        weight: (K,), in; like losses. The weight of each class: ones for the unweighted loss.
        ignore_index: the target of rows to ignore, in range or not.
    """
    low, high = share(x.shape[0], part, parts)
    status[part] = -1
    for r in range(low, high):
        t = target[r]
        losses[r], row_weights[r] = 0, 0
        if t == ignore_index:
            continue
        if 0 <= t < x.shape[1]:
            losses[r], row_weights[r] = -weight[t] * x[r, t], weight[t]
        elif status[part] < 0:
            status[part] = r


@njit(cache=True, nogil=True, error_model="numpy")
def nll_grad(
    out: Array, g: Array, target: Array, weight: Array, ignore_index: int, part: int, parts: int
) -> None:
    """Write the gradient of `nll` with respect to x: out[r, k] = -g[r] weight[k] [k = target[r]].

    Args:
        out: (R, K), out; float32 or float64. 0 in rows that are ignored.
        g: (R,), in; the gradient with respect to the losses; like out.
        target: (R,), in; int64. Rows out of range are ignored: `nll` has reported them.
        weight: (K,), in; like out.
        ignore_index: as for `nll`.
    """
    low, high = share(out.shape[0], part, parts)
    for r in range(low, high):
        t = target[r]
        out[r, :] = 0
        if t != ignore_index and 0 <= t < out.shape[1]:
            out[r, t] = -g[r] * weight[t]
