"""Classification losses of rows (R, K) with classes or class probabilities; the rows are shared among the parts.

The cross-entropies keep two numbers of the softmax of each row. Their gradients make it again from the logits: that
takes less time than writing and reading a matrix (`docs/performance-log.md`).

With class targets, a kernel gives each row's loss and weight. PyTorch's reductions of them are: "none" the losses,
"sum" their sum, "mean" their sum divided by the sum of the weights (NaN if that is 0). A row whose target is
`ignore_index` has loss and weight 0. A target outside 0 ... K - 1 that is not `ignore_index` is reported in `status`,
and its row counts as ignored.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.maths import exp, log
from autodiff_kernels.memory import forward, load, pointer, stack
from autodiff_kernels.parts import share
from autodiff_kernels.rows import row_total
from autodiff_kernels.softmax import block_of, exp_sums, scaled_exp_in
from autodiff_kernels.vectors import folded, read, sum_of, whole, widen, width, write, zeros

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
    out: Any, x: Any, weight: Any, start: int, stop: int, room: int, shift: Any, scale: Any, uniform: Any, like: Any
) -> None:
    """Write out = scale exp(x - shift) - uniform weight."""
    for i in range(start, stop, width(like)):
        value = exp(read(x, i, like, room - i, 0) - shift) * scale
        write(out, i, value - read(weight, i, like, stop - i, 0) * uniform, room - i)


@njit(cache=True, nogil=True, error_model="numpy")
def cross_entropy(
    losses: Array, row_weights: Array, shifts: Array, scales: Array, status: Array, x: Array, target: Array,
    weight: Array, ignore_index: int, label_smoothing: float, part: int, parts: int,
) -> None:
    """Write the cross-entropy of logits x and classes t = target[r]; p = softmax(x), s = label_smoothing.

    losses[r] = -(1 - s) weight[t] log p[r, t] - (s / K) sum over k of weight[k] log p[r, k];
    row_weights[r] = weight[t].

    Label smoothing: Szegedy et al., Rethinking the Inception Architecture for Computer Vision (2016), section 7.

    Args:
        losses: (R,), out; float32 or float64. Sums are accumulated in float64.
        row_weights: (R,), out; like losses.
        shifts: (R,), out; like losses. The largest logit of each row; 0 in rows that are ignored.
        scales: (R,), out; like losses. 1 / sum of exp(x - shift), so that p = exp(x - shift) scale; 0 likewise.
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
    block = block_of(max(K, 1))
    totals = stack(np.float64(0), 32)
    for start in range(low, high, block):
        stop = min(start + block, high)
        exp_sums(pointer(shifts, start), totals, x, start, stop)
        for r in range(start, stop):
            t = target[r]
            if t == ignore_index or not 0 <= t < K:
                if t != ignore_index and status[part] < 0:
                    status[part] = r
                losses[r], row_weights[r], shifts[r], scales[r] = 0, 0, 0, 0
                continue
            total, shift = load(forward(totals, r - start)), np.float64(shifts[r])
            log_sum = log(total)
            loss = weight[t] * (log_sum - (np.float64(x[r, t]) - shift))
            if label_smoothing != 0:
                smooth = smoothed_in(pointer(x, r * K), pointer(weight, 0), 0, K, shift, log_sum, narrow)
                loss = (1 - label_smoothing) * loss + label_smoothing / K * smooth
            losses[r], row_weights[r], scales[r] = loss, weight[t], 1 / total


@njit(cache=True, nogil=True, error_model="numpy")
def cross_entropy_grad(
    out: Array, g: Array, x: Array, shifts: Array, scales: Array, target: Array, weight: Array, ignore_index: int,
    label_smoothing: float, part: int, parts: int,
) -> None:
    """Write the gradient of `cross_entropy` with respect to the logits; t = target[r], s = label_smoothing.

    out[r, k] = g[r] (a p[r, k] - (1 - s) weight[t] [k = t] - (s / K) weight[k]), where
    a = (1 - s) weight[t] + (s / K) sum of the weights; 0 in rows that are ignored.

    Args:
        out: (R, K), out; float32 or float64.
        g: (R,), in; the gradient with respect to the losses; like out.
        x: (R, K), in; the logits; like out.
        shifts, scales: (R,), in; from `cross_entropy`; like out.
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
        row, logits, weights = pointer(out, r * K), pointer(x, r * K), pointer(weight, 0)
        room, shift = (high - r) * K, shifts[r]
        hit = (1 - label_smoothing) * weight[t]
        scale = g[r] * number(hit + smooth_sum) * scales[r]
        if label_smoothing == 0:
            scaled_exp_in(row, logits, 0, end, room, shift, scale, wide)
            scaled_exp_in(row, logits, end, K, room, shift, scale, narrow)
        else:
            uniform = g[r] * smooth
            cross_entropy_grad_in(row, logits, weights, 0, end, room, shift, scale, uniform, wide)
            cross_entropy_grad_in(row, logits, weights, end, K, room, shift, scale, uniform, narrow)
        out[r, t] -= g[r] * number(hit)


@njit(error_model="numpy", forceinline=True)
def label_sums_in(
    x: Any, labels: Any, weight: Any, start: int, stop: int, shift: Any, kept: Any, even: Any, like: Any
) -> Any:
    """Return the sums of q and of q (x - shift) in float64; q = weight (kept label + even)."""
    total, products = widen(folded(like)), widen(folded(like))
    for i in range(start, stop, width(like)):
        left = stop - i
        wanted = read(weight, i, like, left, 0) * (read(labels, i, like, left, 0) * kept + even)
        total = total + widen(folded(wanted))
        products = products + widen(folded(wanted * (read(x, i, like, left, shift) - shift)))
    return sum_of(total), sum_of(products)


@njit(error_model="numpy", forceinline=True)
def soft_grad_in(
    out: Any, x: Any, labels: Any, weight: Any, start: int, stop: int, room: int, shift: Any, scale: Any, kept: Any,
    even: Any, like: Any,
) -> None:
    """Write out = scale exp(x - shift) - weight (kept label + even)."""
    for i in range(start, stop, width(like)):
        wanted = read(weight, i, like, stop - i, 0) * (read(labels, i, like, room - i, 0) * kept + even)
        write(out, i, exp(read(x, i, like, room - i, 0) - shift) * scale - wanted, room - i)


@njit(error_model="numpy", forceinline=True)
def label_grad_in(
    out: Any, x: Any, weight: Any, start: int, stop: int, room: int, shift: Any, log_sum: Any, scale: Any, like: Any
) -> None:
    """Write out = scale weight (log_sum - (x - shift))."""
    for i in range(start, stop, width(like)):
        below = read(x, i, like, room - i, 0) - shift
        write(out, i, read(weight, i, like, stop - i, 0) * scale * (log_sum - below), room - i)


@njit(cache=True, nogil=True, error_model="numpy")
def soft_cross_entropy(
    losses: Array, shifts: Array, scales: Array, sums: Array, x: Array, labels: Array, weight: Array,
    label_smoothing: float, part: int, parts: int,
) -> None:
    """Write the cross-entropy of logits x and class probabilities: losses[r] = -sum over k of q[r, k] log p[r, k].

    p = softmax(x), q[r, k] = weight[k] ((1 - s) labels[r, k] + s / K), s = label_smoothing; 0 log 0 is NaN, as IEEE
    arithmetic and PyTorch have it.

    Args:
        losses: (R,), out; float32 or float64. Sums are accumulated in float64.
        shifts: (R,), out; like losses. The largest logit of each row.
        scales: (R,), out; like losses. 1 / sum of exp(x - shift).
        sums: (R,), out; like losses. The sum of q over the classes.
        x: (R, K), in; like losses.
        labels: (R, K), in; like losses.
        weight: (K,), in; like losses.
        label_smoothing: from 0 to 1, float64.
    """
    R, K = x.shape
    number = x.dtype.type
    kept, even = number(1 - label_smoothing), number(label_smoothing / K)
    wide, narrow = zeros(x, 4, 4), zeros(x, 1, 1)
    end = whole(K, wide)
    low, high = share(R, part, parts)
    block = block_of(max(K, 1))
    totals = stack(np.float64(0), 32)
    for start in range(low, high, block):
        stop = min(start + block, high)
        exp_sums(pointer(shifts, start), totals, x, start, stop)
        for r in range(start, stop):
            if K == 0:
                losses[r], shifts[r], scales[r], sums[r] = 0, 0, 0, 0
                continue
            row, wanted, weights = pointer(x, r * K), pointer(labels, r * K), pointer(weight, 0)
            total, products = label_sums_in(row, wanted, weights, 0, end, shifts[r], kept, even, wide)
            more, more_products = label_sums_in(row, wanted, weights, end, K, shifts[r], kept, even, narrow)
            total += more
            losses[r] = total * log(load(forward(totals, r - start))) - (products + more_products)
            scales[r], sums[r] = 1 / load(forward(totals, r - start)), total


@njit(cache=True, nogil=True, error_model="numpy")
def soft_cross_entropy_grad(
    out: Array, g: Array, x: Array, labels: Array, shifts: Array, scales: Array, sums: Array, weight: Array,
    label_smoothing: float, part: int, parts: int,
) -> None:
    """Write the gradient of `soft_cross_entropy` with respect to the logits: out = g[r] (sums[r] p - q).

    Args:
        out: (R, K), out; float32 or float64.
        g: (R,), in; the gradient with respect to the losses; like out.
        x, labels: (R, K), in; like out.
        shifts, scales, sums: (R,), in; from `soft_cross_entropy`; like out.
        weight: (K,), in; like out.
        label_smoothing: as for `soft_cross_entropy`.
    """
    R, K = out.shape
    number = out.dtype.type
    wide, narrow = zeros(out, 4, 4), zeros(out, 1, 1)
    end = whole(K, wide)
    low, high = share(R, part, parts)
    for r in range(low, high):
        row, logits, wanted = pointer(out, r * K), pointer(x, r * K), pointer(labels, r * K)
        weights, room, shift, scale = pointer(weight, 0), (high - r) * K, shifts[r], g[r] * sums[r] * scales[r]
        kept, even = g[r] * number(1 - label_smoothing), g[r] * number(label_smoothing / K)
        soft_grad_in(row, logits, wanted, weights, 0, end, room, shift, scale, kept, even, wide)
        soft_grad_in(row, logits, wanted, weights, end, K, room, shift, scale, kept, even, narrow)


@njit(cache=True, nogil=True, error_model="numpy")
def soft_cross_entropy_label_grad(
    out: Array, g: Array, x: Array, shifts: Array, scales: Array, weight: Array, label_smoothing: float, part: int,
    parts: int,
) -> None:
    """Write the gradient of `soft_cross_entropy` with respect to the labels: out = -g[r] (1 - s) weight[k] log p[r, k].

    Args:
        out: (R, K), out; float32 or float64.
        g: (R,), in; the gradient with respect to the losses; like out.
        x: (R, K), in; like out.
        shifts, scales: (R,), in; from `soft_cross_entropy`; like out.
        weight: (K,), in; like out.
        label_smoothing: as for `soft_cross_entropy`.
    """
    R, K = out.shape
    number = out.dtype.type
    wide, narrow = zeros(out, 4, 4), zeros(out, 1, 1)
    end = whole(K, wide)
    low, high = share(R, part, parts)
    for r in range(low, high):
        row, logits, weights, room = pointer(out, r * K), pointer(x, r * K), pointer(weight, 0), (high - r) * K
        log_sum, scale = number(-log(np.float64(scales[r]))), g[r] * number(1 - label_smoothing)
        label_grad_in(row, logits, weights, 0, end, room, shifts[r], log_sum, scale, wide)
        label_grad_in(row, logits, weights, end, K, room, shifts[r], log_sum, scale, narrow)


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
