"""The losses of `loss.py` where classes are planes: x (A, K, B), such as the classes of images in C order.

Targets, losses and weights are (A, B); formulas, ignored and bad targets are those of `loss.py`, the order of work is
that of `softmax_planes.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.maths import exp, log
from autodiff_kernels.memory import apply, forward, load, pointer, stack, store
from autodiff_kernels.parts import share
from autodiff_kernels.rows import row_total
from autodiff_kernels.softmax_planes import exp_sums, fetch_largest, tile_at
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
def cross_entropy_grad_in(
    out: Any, x: Any, shifts: Any, scales: Any, factors: Any, uniforms: Any, weight: Any, start: int, stop: int,
    like: Any,
) -> None:
    """Write out = factor exp(x - shift) - uniform weight, and 0 where the scale is 0, whatever x holds."""
    lanes = width(like)
    for i in range(start, stop, lanes):
        left = stop - i
        powers = exp(read(x, i, like, left, 0) - read(shifts, i, like, left, 0))
        value = powers * read(factors, i, like, lanes, 0) - read(uniforms, i, like, lanes, 0) * weight
        write(out, i, select(read(scales, i, like, left, 0) != 0, value, like), left)


@njit(cache=True, nogil=True, error_model="numpy")
def cross_entropy(
    losses: Array, weights: Array, shifts: Array, scales: Array, scratch: Array, status: Array, x: Array, target: Array,
    weight: Array, ignore_index: int, label_smoothing: float, part: int, parts: int,
) -> None:
    """Write the cross-entropy of logits x and classes t = target[a, b], as `loss.cross_entropy` does for rows.

    Args:
        losses: (A, B), out; float32 or float64. Sums are accumulated in float64. Tiles are shared among the parts.
        weights: (A, B), out; weight[t]; like losses.
        shifts: (A, B), out; like losses. The largest logits; 0 where targets are ignored.
        scales: (A, B), out; like losses. 1 / sum of exp(x - shift); 0 likewise.
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
    tile, class_weights = pointer(scratch, part * K * W), pointer(weight, 0)
    weight_sum = row_total(class_weights, K)
    largest = stack(x, 512)
    totals, log_sums, smooths = stack(np.float64(0), 512), stack(np.float64(0), 512), stack(np.float64(0), 512)
    status[part] = -1
    low, high = share(A * ((B + W - 1) // W), part, parts)
    for unit in range(low, high):
        a, c, n = tile_at(unit, W, B)
        fetch_largest(largest, tile, pointer(x, a * K * B + c), K, n, W, B)
        if label_smoothing != 0:
            weighted_sums(smooths, tile, largest, class_weights, K, n, W)
        exp_sums(totals, tile, largest, K, n, W, False)
        apply(log, n, (log_sums,), (totals,), ())
        for i in range(n):
            t = target[a, c + i]
            if t == ignore_index or not 0 <= t < K:
                if t != ignore_index and status[part] < 0:
                    status[part] = a * B + c + i
                losses[a, c + i], weights[a, c + i], shifts[a, c + i], scales[a, c + i] = 0, 0, 0, 0
                continue
            log_sum, shift = load(forward(log_sums, i)), load(forward(largest, i))
            loss = weight[t] * (log_sum - (load(forward(tile, t * W + i)) - np.float64(shift)))
            if label_smoothing != 0:
                smooth = weight_sum * log_sum - load(forward(smooths, i))
                loss = (1 - label_smoothing) * loss + label_smoothing / K * smooth
            losses[a, c + i], weights[a, c + i] = loss, weight[t]
            shifts[a, c + i], scales[a, c + i] = shift, 1 / load(forward(totals, i))


@njit(cache=True, nogil=True, error_model="numpy")
def cross_entropy_grad(
    out: Array, g: Array, x: Array, shifts: Array, scales: Array, target: Array, weight: Array, ignore_index: int,
    label_smoothing: float, part: int, parts: int,
) -> None:
    """Write the gradient of `cross_entropy` with respect to the logits, as `loss.cross_entropy_grad` does for rows.

    Args:
        out: (A, K, B), out; float32 or float64. Tiles are shared among the parts.
        g: (A, B), in; the gradient with respect to the losses; like out.
        x: (A, K, B), in; the logits; like out.
        shifts, scales: (A, B), in; from `cross_entropy`; like out.
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
    factors, uniforms, hits = stack(out, 512), stack(out, 512), stack(out, 512)
    low, high = share(A * ((B + COLUMNS - 1) // COLUMNS), part, parts)
    for unit in range(low, high):
        a, c, n = tile_at(unit, COLUMNS, B)
        place, end = a * K * B + c, whole(n, wide)
        for i in range(n):
            t, factor, uniform, hit = target[a, c + i], number(0), number(0), number(0)
            if t != ignore_index and 0 <= t < K:
                cotangent, share_of_class = g[a, c + i], (1 - label_smoothing) * weight[t]
                factor = cotangent * number(share_of_class + smooth_sum) * scales[a, c + i]
                uniform, hit = cotangent * smooth, cotangent * number(share_of_class)
            store(forward(factors, i), factor)
            store(forward(uniforms, i), uniform)
            store(forward(hits, i), hit)
        shift, scale = pointer(shifts, a * B + c), pointer(scales, a * B + c)
        for k in range(K):
            row, logits = pointer(out, place + k * B), pointer(x, place + k * B)
            cross_entropy_grad_in(row, logits, shift, scale, factors, uniforms, weight[k], 0, end, wide)
            cross_entropy_grad_in(row, logits, shift, scale, factors, uniforms, weight[k], end, n, narrow)
        for i in range(n):
            t = target[a, c + i]
            if t != ignore_index and 0 <= t < K:
                out[a, t, c + i] -= load(forward(hits, i))


@njit(error_model="numpy", forceinline=True)
def label_sums_in(
    totals: Any, products: Any, tile: Any, labels: Any, shifts: Any, weight: Any, rows: int, start: int, stop: int,
    W: int, B: int, kept: Any, even: Any, like: Any,
) -> None:
    """Add q and q (tile - shift) of a few rows to the sums of each column; q = weight (kept label + even)."""
    lanes = width(like)
    for i in range(start, stop, lanes):
        total, product, shift = like, like, read(shifts, i, like, lanes, 0)
        for k in range(rows):
            wanted = (read(labels, k * B + i, like, stop - i, 0) * kept + even) * load(forward(weight, k))
            total = total + wanted
            product = product + wanted * (read(tile, k * W + i, like, lanes, 0) - shift)
        write(totals, i, read(totals, i, like, lanes, 0) + widen(total), lanes)
        write(products, i, read(products, i, like, lanes, 0) + widen(product), lanes)


@njit(error_model="numpy", forceinline=True)
def soft_grad_in(
    out: Any, x: Any, labels: Any, shifts: Any, factors: Any, cotangents: Any, weight: Any, start: int, stop: int,
    kept: Any, even: Any, like: Any,
) -> None:
    """Write out = factor exp(x - shift) - cotangent weight (kept label + even)."""
    lanes = width(like)
    for i in range(start, stop, lanes):
        left = stop - i
        powers = exp(read(x, i, like, left, 0) - read(shifts, i, like, left, 0))
        wanted = (read(labels, i, like, left, 0) * kept + even) * weight
        write(out, i, powers * read(factors, i, like, lanes, 0) - wanted * read(cotangents, i, like, left, 0), left)


@njit(error_model="numpy", forceinline=True)
def label_grad_in(
    out: Any, x: Any, shifts: Any, log_sums: Any, cotangents: Any, scale: Any, start: int, stop: int, like: Any
) -> None:
    """Write out = scale cotangent (log_sum - (x - shift))."""
    lanes = width(like)
    for i in range(start, stop, lanes):
        left = stop - i
        below = read(x, i, like, left, 0) - read(shifts, i, like, left, 0)
        value = (read(log_sums, i, like, lanes, 0) - below) * scale
        write(out, i, value * read(cotangents, i, like, left, 0), left)


@njit(cache=True, nogil=True, error_model="numpy")
def soft_cross_entropy(
    losses: Array, shifts: Array, scales: Array, sums: Array, scratch: Array, x: Array, labels: Array, weight: Array,
    label_smoothing: float, part: int, parts: int,
) -> None:
    """Write the cross-entropy of logits x and class probabilities, as `loss.soft_cross_entropy` does for rows.

    Args:
        losses: (A, B), out; float32 or float64. Sums are accumulated in float64. Tiles are shared among the parts.
        shifts: (A, B), out; like losses. The largest logits.
        scales: (A, B), out; like losses. 1 / sum of exp(x - shift).
        sums: (A, B), out; like losses. The sum over the classes of what p is wanted to be, times the weights.
        scratch: (parts, K, `tile_columns`), scratch; like losses.
        x: (A, K, B), in; like losses.
        labels: (A, K, B), in; like losses.
        weight: (K,), in; like losses.
        label_smoothing: from 0 to 1, float64.
    """
    A, K, B = x.shape
    W = scratch.shape[2]
    number = x.dtype.type
    kept, even = number(1 - label_smoothing), number(label_smoothing / K)
    wide, narrow = zeros(x, 4, 4), zeros(x, 1, 1)
    tile, largest = pointer(scratch, part * K * W), stack(x, 512)
    totals, wanted, products = stack(np.float64(0), 512), stack(np.float64(0), 512), stack(np.float64(0), 512)
    low, high = share(A * ((B + W - 1) // W), part, parts)
    for unit in range(low, high):
        a, c, n = tile_at(unit, W, B)
        place, end = a * K * B + c, whole(n, wide)
        fetch_largest(largest, tile, pointer(x, place), K, n, W, B)
        for i in range(W):
            store(forward(wanted, i), 0.0)
            store(forward(products, i), 0.0)
        for k in range(0, K, 4):
            rows, row, some = min(4, K - k), forward(tile, k * W), pointer(labels, place + k * B)
            weights = pointer(weight, k)
            label_sums_in(wanted, products, row, some, largest, weights, rows, 0, end, W, B, kept, even, wide)
            label_sums_in(wanted, products, row, some, largest, weights, rows, end, n, W, B, kept, even, narrow)
        exp_sums(totals, tile, largest, K, n, W, False)
        for i in range(n):
            total = load(forward(totals, i))
            losses[a, c + i] = load(forward(wanted, i)) * log(total) - load(forward(products, i)) if K > 0 else 0.0
            shifts[a, c + i], scales[a, c + i] = load(forward(largest, i)), 1 / total
            sums[a, c + i] = load(forward(wanted, i))


@njit(cache=True, nogil=True, error_model="numpy")
def soft_cross_entropy_grad(
    out: Array, g: Array, x: Array, labels: Array, shifts: Array, scales: Array, sums: Array, weight: Array,
    label_smoothing: float, part: int, parts: int,
) -> None:
    """Write the gradient of `soft_cross_entropy` with respect to the logits, as for rows.

    Args:
        out: (A, K, B), out; float32 or float64. Tiles are shared among the parts.
        g: (A, B), in; the gradient with respect to the losses; like out.
        x, labels: (A, K, B), in; like out.
        shifts, scales, sums: (A, B), in; from `soft_cross_entropy`; like out.
        weight: (K,), in; like out.
        label_smoothing: as for `soft_cross_entropy`.
    """
    A, K, B = out.shape
    number = out.dtype.type
    kept, even = number(1 - label_smoothing), number(label_smoothing / K)
    wide, narrow = zeros(out, 4, 4), zeros(out, 1, 1)
    factors = stack(out, 512)
    low, high = share(A * ((B + COLUMNS - 1) // COLUMNS), part, parts)
    for unit in range(low, high):
        a, c, n = tile_at(unit, COLUMNS, B)
        place, position, end = a * K * B + c, a * B + c, whole(n, wide)
        for i in range(n):
            store(forward(factors, i), g[a, c + i] * sums[a, c + i] * scales[a, c + i])
        shift, cotangents = pointer(shifts, position), pointer(g, position)
        for k in range(K):
            at, some = place + k * B, weight[k]
            row, logits, wanted = pointer(out, at), pointer(x, at), pointer(labels, at)
            soft_grad_in(row, logits, wanted, shift, factors, cotangents, some, 0, end, kept, even, wide)
            soft_grad_in(row, logits, wanted, shift, factors, cotangents, some, end, n, kept, even, narrow)


@njit(cache=True, nogil=True, error_model="numpy")
def soft_cross_entropy_label_grad(
    out: Array, g: Array, x: Array, shifts: Array, scales: Array, weight: Array, label_smoothing: float, part: int,
    parts: int,
) -> None:
    """Write the gradient of `soft_cross_entropy` with respect to the labels, as for rows.

    Args:
        out: (A, K, B), out; float32 or float64. Tiles are shared among the parts.
        g: (A, B), in; the gradient with respect to the losses; like out.
        x: (A, K, B), in; like out.
        shifts, scales: (A, B), in; from `soft_cross_entropy`; like out.
        weight: (K,), in; like out.
        label_smoothing: as for `soft_cross_entropy`.
    """
    A, K, B = out.shape
    number = out.dtype.type
    wide, narrow = zeros(out, 4, 4), zeros(out, 1, 1)
    log_sums = stack(out, 512)
    low, high = share(A * ((B + COLUMNS - 1) // COLUMNS), part, parts)
    for unit in range(low, high):
        a, c, n = tile_at(unit, COLUMNS, B)
        place, position, end = a * K * B + c, a * B + c, whole(n, wide)
        for i in range(n):
            store(forward(log_sums, i), number(-log(np.float64(scales[a, c + i]))))
        shift, cotangents = pointer(shifts, position), pointer(g, position)
        for k in range(K):
            row, logits = pointer(out, place + k * B), pointer(x, place + k * B)
            scale = number(1 - label_smoothing) * weight[k]
            label_grad_in(row, logits, shift, log_sums, cotangents, scale, 0, end, wide)
            label_grad_in(row, logits, shift, log_sums, cotangents, scale, end, n, narrow)


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
