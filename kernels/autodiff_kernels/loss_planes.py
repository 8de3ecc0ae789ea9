"""The losses of `loss.py` where classes are planes: x (A, K, B), such as the classes of images in C order.

Targets, losses and weights are (A, B); formulas, ignored and bad targets are those of `loss.py`, the order of work is
that of `softmax_planes.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.maths import log
from autodiff_kernels.memory import apply, forward, load, pointer, stack, store
from autodiff_kernels.parts import share
from autodiff_kernels.rows import row_total
from autodiff_kernels.softmax_planes import exp_sums, fetch_largest, reciprocals, scaled_in, tile_at
from autodiff_kernels.vectors import read, select, whole, widen, width, write, zeros

Array = np.ndarray[Any, np.dtype[Any]]

COLUMNS = 256  # whose gradient is written together


@njit(error_model="numpy", forceinline=True)
def weighted_sums(totals: Any, tile: Any, shifts: Any, weight: Any, K: int, n: int, W: int) -> None:
    """Write the sum of weight[k] (tile - shift) over each column, in float64."""
    narrow = zeros(tile, 1, 1)
    lanes = width(narrow)
    for c in range(0, n, lanes):
        shift, total = widen(read(shifts, c, narrow, lanes, 0)), widen(narrow)
        for k in range(K):
            log_power = widen(read(tile, k * W + c, narrow, lanes, 0)) - shift
            total = total + log_power * np.float64(load(forward(weight, k)))
        write(totals, c, total, lanes)


@njit(error_model="numpy", forceinline=True)
def probabilities_in(out: Any, row: Any, scales: Any, start: int, stop: int, like: Any) -> None:
    """Write out = row * scale, and 0 where the scale is 0, whatever the row holds."""
    lanes = width(like)
    for i in range(start, stop, lanes):
        scale = read(scales, i, like, lanes, 0)
        write(out, i, select(scale != 0, read(row, i, like, lanes, 0) * scale, like), stop - i)


@njit(error_model="numpy", forceinline=True)
def cross_entropy_grad_in(
    out: Any, p: Any, scales: Any, uniforms: Any, weight: Any, start: int, stop: int, like: Any
) -> None:
    """Write out = scale p - uniform weight."""
    lanes = width(like)
    for i in range(start, stop, lanes):
        value = read(p, i, like, stop - i, 0) * read(scales, i, like, lanes, 0)
        write(out, i, value - read(uniforms, i, like, lanes, 0) * weight, stop - i)


@njit(cache=True, nogil=True, error_model="numpy")
def cross_entropy(
    losses: Array, weights: Array, probabilities: Array, scratch: Array, status: Array, x: Array, target: Array,
    weight: Array, ignore_index: int, label_smoothing: float, part: int, parts: int,
) -> None:
    """Write the cross-entropy of logits x and classes t = target[a, b], as `loss.cross_entropy` does for rows.

    Args:
        losses: (A, B), out; float32 or float64. Sums are accumulated in float64. Tiles are shared among the parts.
        weights: (A, B), out; weight[t]; like losses.
        probabilities: (A, K, B), out; like losses. The softmax, for `cross_entropy_grad`; 0 where targets are ignored.
        scratch: (parts, K, `tile_columns`), scratch; like losses.
        status: (parts,), out; int64. The first flat position of each part whose target is out of range, or -1.
        x: (A, K, B), in; like losses.
        target: (A, B), in; int64.
        weight: (K,), in; like losses. The weight of each class: ones for the unweighted loss.
        ignore_index: the target of positions to ignore, in range or not.
        label_smoothing: from 0 to 1, float64; with 0 the sum over all classes is left out, so that log 0 does not
            spoil it.
    """
    A, K, B = x.shape
    W = scratch.shape[2]
    wide, narrow = zeros(x, 4, 4), zeros(x, 1, 1)
    tile, class_weights = pointer(scratch, part * K * W), pointer(weight, 0)
    weight_sum = row_total(class_weights, K)
    shifts, scales, logits = stack(x, 512), stack(x, 512), stack(x, 512)
    totals, log_sums, smooths = stack(np.float64(0), 512), stack(np.float64(0), 512), stack(np.float64(0), 512)
    status[part] = -1
    low, high = share(A * ((B + W - 1) // W), part, parts)
    for unit in range(low, high):
        a, c, n = tile_at(unit, W, B)
        place, end = a * K * B + c, whole(n, wide)
        fetch_largest(shifts, tile, pointer(x, place), K, n, W, B)
        for i in range(n):
            t = target[a, c + i]
            if 0 <= t < K:
                store(forward(logits, i), load(forward(tile, t * W + i)))
        if label_smoothing != 0:
            weighted_sums(smooths, tile, shifts, class_weights, K, n, W)
        exp_sums(totals, tile, shifts, K, n, W, True)
        reciprocals(scales, totals, n)
        apply(log, n, (log_sums,), (totals,), ())
        for i in range(n):
            t = target[a, c + i]
            if t == ignore_index or not 0 <= t < K:
                if t != ignore_index and status[part] < 0:
                    status[part] = a * B + c + i
                losses[a, c + i], weights[a, c + i] = 0, 0
                store(forward(scales, i), x.dtype.type(0))
                continue
            log_sum, shift = load(forward(log_sums, i)), np.float64(load(forward(shifts, i)))
            loss = weight[t] * (log_sum - (load(forward(logits, i)) - shift))
            if label_smoothing != 0:
                smooth = weight_sum * log_sum - load(forward(smooths, i))
                loss = (1 - label_smoothing) * loss + label_smoothing / K * smooth
            losses[a, c + i], weights[a, c + i] = loss, weight[t]
        for k in range(K):
            p, row = pointer(probabilities, place + k * B), forward(tile, k * W)
            probabilities_in(p, row, scales, 0, end, wide)
            probabilities_in(p, row, scales, end, n, narrow)


@njit(cache=True, nogil=True, error_model="numpy")
def cross_entropy_grad(
    out: Array, g: Array, probabilities: Array, target: Array, weight: Array, ignore_index: int, label_smoothing: float,
    part: int, parts: int,
) -> None:
    """Write the gradient of `cross_entropy` with respect to the logits, as `loss.cross_entropy_grad` does for rows.

    Args:
        out: (A, K, B), out; float32 or float64. Tiles are shared among the parts.
        g: (A, B), in; the gradient with respect to the losses; like out.
        probabilities: (A, K, B), in; from `cross_entropy`; like out.
        target: (A, B), in; int64. Positions out of range are ignored: `cross_entropy` has reported them.
        weight: (K,), in; like out.
        ignore_index: as for `cross_entropy`.
        label_smoothing: as for `cross_entropy`.
    """
    A, K, B = out.shape
    number = out.dtype.type
    smooth = number(label_smoothing / K)
    smooth_sum = label_smoothing / K * row_total(pointer(weight, 0), K) if label_smoothing != 0 else 0.0
    wide, narrow = zeros(out, 4, 4), zeros(out, 1, 1)
    scales, uniforms, hits = stack(out, 512), stack(out, 512), stack(out, 512)
    low, high = share(A * ((B + COLUMNS - 1) // COLUMNS), part, parts)
    for unit in range(low, high):
        a, c, n = tile_at(unit, COLUMNS, B)
        place, end = a * K * B + c, whole(n, wide)
        for i in range(n):
            t, scale, uniform, hit = target[a, c + i], number(0), number(0), number(0)
            if t != ignore_index and 0 <= t < K:
                cotangent, share_of_class = g[a, c + i], (1 - label_smoothing) * weight[t]
                scale, hit = cotangent * number(share_of_class + smooth_sum), cotangent * number(share_of_class)
                uniform = cotangent * smooth
            store(forward(scales, i), scale)
            store(forward(uniforms, i), uniform)
            store(forward(hits, i), hit)
        for k in range(K):
            row, p = pointer(out, place + k * B), pointer(probabilities, place + k * B)
            if label_smoothing == 0:
                scaled_in(row, p, scales, 0, end, wide)
                scaled_in(row, p, scales, end, n, narrow)
            else:
                cross_entropy_grad_in(row, p, scales, uniforms, weight[k], 0, end, wide)
                cross_entropy_grad_in(row, p, scales, uniforms, weight[k], end, n, narrow)
        for i in range(n):
            t = target[a, c + i]
            if t != ignore_index and 0 <= t < K:
                out[a, t, c + i] -= load(forward(hits, i))


@njit(cache=True, nogil=True, error_model="numpy")
def nll(
    losses: Array, weights: Array, status: Array, x: Array, target: Array, weight: Array, ignore_index: int,
    part: int, parts: int,
) -> None:
    """Write losses[a, b] = -weight[t] x[a, t, b], weights[a, b] = weight[t]; t = target[a, b].

    Args:
        losses: (A, B), out; float32 or float64. Positions are shared among the parts.
        weights: (A, B), out; like losses.
        status: (parts,), out; int64. The first flat position of each part whose target is out of range, or -1.
        x: (A, K, B), in; log-probabilities; like losses.
        target: (A, B), in; int64.
        weight: (K,), in; like losses. The weight of each class: ones for the unweighted loss.
        ignore_index: the target of positions to ignore, in range or not.
    """
    A, K, B = x.shape
    low, high = share(A * B, part, parts)
    status[part] = -1
    for position in range(low, high):
        a, b = position // B, position % B
        t = target[a, b]
        losses[a, b], weights[a, b] = 0, 0
        if t == ignore_index:
            continue
        if 0 <= t < K:
            losses[a, b], weights[a, b] = -weight[t] * x[a, t, b], weight[t]
        elif status[part] < 0:
            status[part] = position


@njit(cache=True, nogil=True, error_model="numpy")
def nll_grad(out: Array, g: Array, target: Array, weight: Array, ignore_index: int, part: int, parts: int) -> None:
    """Write the gradient of `nll` with respect to x: out[a, k, b] = -g[a, b] weight[k] [k = target[a, b]].

    Args:
        out: (A, K, B), out; float32 or float64. 0 where targets are ignored. Positions are shared among the parts.
        g: (A, B), in; the gradient with respect to the losses; like out.
        target: (A, B), in; int64. Positions out of range are ignored: `nll` has reported them.
        weight: (K,), in; like out.
        ignore_index: as for `nll`.
    """
    A, K, B = out.shape
    low, high = share(A * B, part, parts)
    position = low
    while position < high:
        a, begin = position // B, position % B
        end = min(B, begin + high - position)
        for k in range(K):
            out[a, k, begin:end] = 0
        for b in range(begin, end):
            t = target[a, b]
            if t != ignore_index and 0 <= t < K:
                out[a, t, b] = -g[a, b] * weight[t]
        position += end - begin
