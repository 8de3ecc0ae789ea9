"""Softmax, log-softmax, log-sum-exp over the planes of (A, K, B), such as the classes of images in C order.

Formulas, infinities and NaN are those of `softmax.py`. Here the K numbers of one softmax lie B apart, and neighbours in
memory belong to different ones: lanes run along the positions, and each adds up its own K numbers in their order. So
results depend neither on the parts nor on the width of registers.

A part works on tiles of some columns. Planes that lie a power of two apart share few places of the caches, so what is
read twice is copied into a tile that lies in one piece, in the order of rows, as the processor fetches memory.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.cpu import L1_BYTES
from autodiff_kernels.maths import exp, fma, log
from autodiff_kernels.memory import apply, forward, pointer, stack
from autodiff_kernels.parts import share
from autodiff_kernels.vectors import filled, read, rounded, select, whole, widen, width, write, zeros

Array = np.ndarray[Any, np.dtype[Any]]

TILE = L1_BYTES // 8  # numbers to a tile: half of the first-level cache in float32
LEAST, MOST = 64, 512  # columns to a tile: whole vectors of every width; what the arrays on the stack hold


def tile_columns(K: int) -> int:
    """Return how many columns of K numbers are a tile."""
    return min(max(TILE // max(K, 1) // LEAST * LEAST, LEAST), MOST)


# ---- One tile: K rows of n numbers, W apart. What lies behind the n in a last vector is computed, but not used -------


@njit(error_model="numpy", forceinline=True)
def tile_at(unit: int, W: int, B: int) -> tuple[int, int, int]:
    """Return the matrix, the first column and the number of columns of a tile."""
    tiles = (B + W - 1) // W
    c = unit % tiles * W
    return unit // tiles, c, min(W, B - c)


@njit(error_model="numpy", forceinline=True)
def copy_in(row: Any, x: Any, start: int, stop: int, like: Any) -> None:
    """Copy x into a row of a tile."""
    for i in range(start, stop, width(like)):
        write(row, i, read(x, i, like, stop - i, 0), width(like))


@njit(error_model="numpy", forceinline=True)
def fetch(tile: Any, x: Any, K: int, n: int, W: int, B: int) -> None:
    """Copy K rows that lie B apart into a tile."""
    wide, narrow = zeros(x, 4, 4), zeros(x, 1, 1)
    end = whole(n, wide)
    for k in range(K):
        copy_in(forward(tile, k * W), forward(x, k * B), 0, end, wide)
        copy_in(forward(tile, k * W), forward(x, k * B), end, n, narrow)


@njit(error_model="numpy", forceinline=True)
def larger_in(largest: Any, row: Any, x: Any, start: int, stop: int, like: Any) -> None:
    """Copy x into a row of a tile and keep the larger ones of x and `largest`; NaN does not count."""
    for i in range(start, stop, width(like)):
        numbers, best = read(x, i, like, stop - i, 0), read(largest, i, like, width(like), 0)
        write(row, i, numbers, width(like))
        write(largest, i, select(numbers > best, numbers, best), width(like))


@njit(error_model="numpy", forceinline=True)
def fetch_largest(largest: Any, tile: Any, x: Any, K: int, n: int, W: int, B: int) -> None:
    """Copy K rows that lie B apart into a tile, and write the largest number of each column."""
    wide, narrow = zeros(x, 4, 4), zeros(x, 1, 1)
    end = whole(n, wide)
    for c in range(0, n, width(wide)):
        write(largest, c, filled(wide, -math.inf), width(wide))
    for k in range(K):
        larger_in(largest, forward(tile, k * W), forward(x, k * B), 0, end, wide)
        larger_in(largest, forward(tile, k * W), forward(x, k * B), end, n, narrow)


@njit(error_model="numpy", forceinline=True)
def exp_sums(totals: Any, tile: Any, shifts: Any, K: int, n: int, W: int, kept: bool) -> None:
    """Write the sum of exp(tile - shift) over each column, in float64 of sums of four; `kept` puts it into the tile."""
    wide = zeros(tile, 4, 4)
    lanes = width(wide)
    for c in range(0, n, lanes):
        shift, total = read(shifts, c, wide, lanes, 0), widen(wide)
        for start in range(0, K, 4):
            four = wide
            for k in range(start, min(start + 4, K)):
                powers = exp(read(tile, k * W + c, wide, lanes, 0) - shift)
                if kept:
                    write(tile, k * W + c, powers, lanes)
                four = four + powers
            total = total + widen(four)
        write(totals, c, total, lanes)


@njit(error_model="numpy", forceinline=True)
def sums(totals: Any, tile: Any, K: int, n: int, W: int) -> None:
    """Write the sum of each column, in float64 of sums of four."""
    wide = zeros(tile, 4, 4)
    lanes = width(wide)
    for c in range(0, n, lanes):
        total = widen(wide)
        for start in range(0, K, 4):
            four = wide
            for k in range(start, min(start + 4, K)):
                four = four + read(tile, k * W + c, wide, lanes, 0)
            total = total + widen(four)
        write(totals, c, rounded(total, wide), lanes)


@njit(error_model="numpy", forceinline=True)
def dots(totals: Any, g: Any, y: Any, K: int, n: int, W: int) -> None:
    """Write the sum of g * y over each column of two tiles, in float64 of sums of four."""
    wide = zeros(y, 4, 4)
    lanes = width(wide)
    for c in range(0, n, lanes):
        total = widen(wide)
        for start in range(0, K, 4):
            four = wide
            for k in range(start, min(start + 4, K)):
                four = fma(read(g, k * W + c, wide, lanes, 0), read(y, k * W + c, wide, lanes, 0), four)
            total = total + widen(four)
        write(totals, c, rounded(total, wide), lanes)


@njit(error_model="numpy", forceinline=True)
def reciprocals(scales: Any, totals: Any, n: int) -> None:
    """Write 1 / total, from float64."""
    narrow = zeros(scales, 1, 1)
    lanes = width(narrow)
    for c in range(0, n, lanes):
        write(scales, c, rounded(1.0 / read(totals, c, widen(narrow), lanes, 0), narrow), lanes)


# ---- One row of a result ---------------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def scaled_in(out: Any, row: Any, scales: Any, start: int, stop: int, like: Any) -> None:
    """Write out = row * scale."""
    lanes = width(like)
    for i in range(start, stop, lanes):
        write(out, i, read(row, i, like, stop - i, 0) * read(scales, i, like, lanes, 0), stop - i)


@njit(error_model="numpy", forceinline=True)
def softmax_grad_in(out: Any, g: Any, y: Any, means: Any, start: int, stop: int, like: Any) -> None:
    """Write out = y (g - mean)."""
    lanes = width(like)
    for i in range(start, stop, lanes):
        away = read(g, i, like, lanes, 0) - read(means, i, like, lanes, 0)
        write(out, i, read(y, i, like, lanes, 0) * away, stop - i)


@njit(error_model="numpy", forceinline=True)
def log_softmax_in(out: Any, row: Any, shifts: Any, log_sums: Any, start: int, stop: int, like: Any) -> None:
    """Write out = (row - shift) - log_sum."""
    lanes = width(like)
    for i in range(start, stop, lanes):
        below = read(row, i, like, lanes, 0) - read(shifts, i, like, lanes, 0)
        write(out, i, below - read(log_sums, i, like, lanes, 0), stop - i)


@njit(error_model="numpy", forceinline=True)
def log_softmax_grad_in(out: Any, g: Any, y: Any, totals: Any, start: int, stop: int, like: Any) -> None:
    """Write out = g - exp(y) total."""
    lanes = width(like)
    for i in range(start, stop, lanes):
        powers = exp(read(y, i, like, stop - i, 0))
        write(out, i, read(g, i, like, lanes, 0) - powers * read(totals, i, like, lanes, 0), stop - i)


@njit(error_model="numpy", forceinline=True)
def scaled_exp_in(out: Any, x: Any, shifts: Any, scales: Any, start: int, stop: int, like: Any) -> None:
    """Write out = scale exp(x - shift)."""
    for i in range(start, stop, width(like)):
        left = stop - i
        powers = exp(read(x, i, like, left, 0) - read(shifts, i, like, left, 0))
        write(out, i, powers * read(scales, i, like, left, 0), left)


# ---- Kernels. Tiles are shared among the parts -----------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def softmax(out: Array, scratch: Array, x: Array, part: int, parts: int) -> None:
    """out[a, k, b] = exp(x[a, k, b] - m) / sum over j of exp(x[a, j, b] - m), with m the maximum over k.

    Args:
        out: (A, K, B), out; float32 or float64. The sum is accumulated in float64.
        scratch: (parts, K, `tile_columns`), scratch; like out.
        x: (A, K, B), in; like out.
    """
    A, K, B = x.shape
    W = scratch.shape[2]
    wide, narrow = zeros(x, 4, 4), zeros(x, 1, 1)
    tile = pointer(scratch, part * K * W)
    shifts, totals, scales = stack(x, 512), stack(np.float64(0), 512), stack(x, 512)
    low, high = share(A * ((B + W - 1) // W), part, parts)
    for unit in range(low, high):
        a, c, n = tile_at(unit, W, B)
        place, end = a * K * B + c, whole(n, wide)
        fetch_largest(shifts, tile, pointer(x, place), K, n, W, B)
        exp_sums(totals, tile, shifts, K, n, W, True)
        reciprocals(scales, totals, n)
        for k in range(K):
            target, row = pointer(out, place + k * B), forward(tile, k * W)
            scaled_in(target, row, scales, 0, end, wide)
            scaled_in(target, row, scales, end, n, narrow)


@njit(cache=True, nogil=True, error_model="numpy")
def softmax_grad(out: Array, scratch: Array, g: Array, y: Array, part: int, parts: int) -> None:
    """Write the gradient of `softmax`: out = y (g - sum over j of g[a, j, b] y[a, j, b]).

    Args:
        out: (A, K, B), out; float32 or float64. The sum is accumulated in float64.
        scratch: (parts, 2 K, `tile_columns`), scratch; like out.
        g: (A, K, B), in; the gradient with respect to the softmax; like out.
        y: (A, K, B), in; the softmax; like out.
    """
    A, K, B = y.shape
    W = scratch.shape[2]
    wide, narrow = zeros(y, 4, 4), zeros(y, 1, 1)
    cotangents, values = pointer(scratch, part * 2 * K * W), pointer(scratch, (part * 2 + 1) * K * W)
    means = stack(y, 512)
    low, high = share(A * ((B + W - 1) // W), part, parts)
    for unit in range(low, high):
        a, c, n = tile_at(unit, W, B)
        place, end = a * K * B + c, whole(n, wide)
        fetch(cotangents, pointer(g, place), K, n, W, B)
        fetch(values, pointer(y, place), K, n, W, B)
        dots(means, cotangents, values, K, n, W)
        for k in range(K):
            target, cotangent, row = pointer(out, place + k * B), forward(cotangents, k * W), forward(values, k * W)
            softmax_grad_in(target, cotangent, row, means, 0, end, wide)
            softmax_grad_in(target, cotangent, row, means, end, n, narrow)


@njit(cache=True, nogil=True, error_model="numpy")
def log_softmax(out: Array, scratch: Array, x: Array, part: int, parts: int) -> None:
    """out[a, k, b] = x[a, k, b] - m - log(sum over j of exp(x[a, j, b] - m)), with m the maximum over k.

    Args:
        out: (A, K, B), out; float32 or float64. The sum is accumulated in float64.
        scratch: (parts, K, `tile_columns`), scratch; like out.
        x: (A, K, B), in; like out.
    """
    A, K, B = x.shape
    W = scratch.shape[2]
    wide, narrow = zeros(x, 4, 4), zeros(x, 1, 1)
    tile = pointer(scratch, part * K * W)
    shifts, totals, log_sums = stack(x, 512), stack(np.float64(0), 512), stack(x, 512)
    low, high = share(A * ((B + W - 1) // W), part, parts)
    for unit in range(low, high):
        a, c, n = tile_at(unit, W, B)
        place, end = a * K * B + c, whole(n, wide)
        fetch_largest(shifts, tile, pointer(x, place), K, n, W, B)
        exp_sums(totals, tile, shifts, K, n, W, False)
        apply(log, n, (log_sums,), (totals,), ())
        for k in range(K):
            target, row = pointer(out, place + k * B), forward(tile, k * W)
            log_softmax_in(target, row, shifts, log_sums, 0, end, wide)
            log_softmax_in(target, row, shifts, log_sums, end, n, narrow)


@njit(cache=True, nogil=True, error_model="numpy")
def log_softmax_grad(out: Array, scratch: Array, g: Array, y: Array, part: int, parts: int) -> None:
    """Write the gradient of `log_softmax`: out = g - exp(y) (sum over j of g[a, j, b]).

    Args:
        out: (A, K, B), out; float32 or float64. The sum is accumulated in float64.
        scratch: (parts, K, `tile_columns`), scratch; like out.
        g: (A, K, B), in; the gradient with respect to the log-softmax; like out.
        y: (A, K, B), in; the log-softmax; like out.
    """
    A, K, B = y.shape
    W = scratch.shape[2]
    wide, narrow = zeros(y, 4, 4), zeros(y, 1, 1)
    tile = pointer(scratch, part * K * W)
    totals = stack(y, 512)
    low, high = share(A * ((B + W - 1) // W), part, parts)
    for unit in range(low, high):
        a, c, n = tile_at(unit, W, B)
        place, end = a * K * B + c, whole(n, wide)
        fetch(tile, pointer(g, place), K, n, W, B)
        sums(totals, tile, K, n, W)
        for k in range(K):
            target, cotangent, row = pointer(out, place + k * B), forward(tile, k * W), pointer(y, place + k * B)
            log_softmax_grad_in(target, cotangent, row, totals, 0, end, wide)
            log_softmax_grad_in(target, cotangent, row, totals, end, n, narrow)


@njit(error_model="numpy", forceinline=True)
def _log_sum(total: float, shift: float) -> float:
    return np.float64(shift) + log(total)


@njit(cache=True, nogil=True, error_model="numpy")
def logsumexp(out: Array, scratch: Array, x: Array, part: int, parts: int) -> None:
    """out[a, b] = m + log(sum over j of exp(x[a, j, b] - m)), with m the maximum over j, or 0 where that is infinite.

    Args:
        out: (A, B), out; float32 or float64. The sum is accumulated in float64.
        scratch: (parts, K, `tile_columns`), scratch; like out.
        x: (A, K, B), in; like out.
    """
    A, K, B = x.shape
    W = scratch.shape[2]
    wide = zeros(x, 4, 4)
    tile = pointer(scratch, part * K * W)
    shifts, totals = stack(x, 512), stack(np.float64(0), 512)
    low, high = share(A * ((B + W - 1) // W), part, parts)
    for unit in range(low, high):
        a, c, n = tile_at(unit, W, B)
        fetch_largest(shifts, tile, pointer(x, a * K * B + c), K, n, W, B)
        for i in range(0, n, width(wide)):
            shift = read(shifts, i, wide, width(wide), 0)
            write(shifts, i, select(shift - shift != 0, wide, shift), width(wide))
        exp_sums(totals, tile, shifts, K, n, W, False)
        apply(_log_sum, n, (pointer(out, a * B + c),), (totals, shifts), ())


@njit(cache=True, nogil=True, error_model="numpy")
def logsumexp_grad(out: Array, g: Array, x: Array, y: Array, part: int, parts: int) -> None:
    """Write the gradient of `logsumexp`: out[a, k, b] = g[a, b] exp(x[a, k, b] - y[a, b]).

    Args:
        out: (A, K, B), out; float32 or float64. Planes are shared among the parts.
        g: (A, B), in; the gradient with respect to the log-sum-exp; like out.
        x: (A, K, B), in; like out.
        y: (A, B), in; the log-sum-exp; like out.
    """
    A, K, B = x.shape
    wide, narrow = zeros(x, 4, 4), zeros(x, 1, 1)
    end = whole(B, wide)
    low, high = share(A * K, part, parts)
    for unit in range(low, high):
        a = unit // K
        target, row, shifts, scales = pointer(out, unit * B), pointer(x, unit * B), pointer(y, a * B), pointer(g, a * B)
        scaled_exp_in(target, row, shifts, scales, 0, end, wide)
        scaled_exp_in(target, row, shifts, scales, end, B, narrow)
