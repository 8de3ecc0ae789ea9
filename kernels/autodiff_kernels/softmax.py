"""Softmax, log-softmax, log-sum-exp over rows (R, K), and their gradients; the rows are shared among the parts.

Each row's maximum is subtracted first, so inputs of any finite size neither overflow nor lose the largest entries. A
row whose entries are all -inf has no softmax: it is NaN, and its log-sum-exp is -inf, as in PyTorch.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.maths import exp, log
from autodiff_kernels.memory import forward, load, pointer, stack, store
from autodiff_kernels.parts import share
from autodiff_kernels.rows import row_dot, row_exp, row_exp_sum, row_largest, row_scale, row_total
from autodiff_kernels.vectors import read, select, whole, width, write, zeros

Array = np.ndarray[Any, np.dtype[Any]]

# Work goes step by step over blocks of rows, so that the processor finds independent chains of arithmetic in short
# rows; a block stays in the first-level cache.
BLOCK = 2048  # numbers to a block of rows
BLOCK_ROWS = 32  # the most rows to a block


@njit(error_model="numpy", forceinline=True)
def block_of(K: int) -> int:
    """Return how many rows of K numbers are a block."""
    return min(max(BLOCK // K, 1), BLOCK_ROWS)


@njit(error_model="numpy", forceinline=True)
def exp_sums(shifts: Any, totals: Any, x: Array, start: int, stop: int) -> None:
    """Write the largest number m of the rows from `start` to `stop`, and their sums of exp(x - m) in float64.

    A long row is gone through in stretches that stay in the first-level cache, so that memory is read once: where a
    stretch has a larger number, the sum so far is scaled (Milakov and Gimelshein, Online normalizer calculation for
    softmax, 2018). A stretch of -inf adds 0, and NaN wherever it is makes the sum NaN, as inf does.
    """
    K = x.shape[1]
    lowest, zero = x.dtype.type(-math.inf), x.dtype.type(0)
    for begin in range(0, K, BLOCK):
        n = min(BLOCK, K - begin)
        for r in range(start, stop):
            shift, largest = forward(shifts, r - start), row_largest(pointer(x, r * K + begin), n)
            if begin == 0:
                store(shift, largest)
                store(forward(totals, r - start), 0.0)
            elif largest > load(shift):
                scale = exp(np.float64(load(shift)) - np.float64(largest))
                store(forward(totals, r - start), load(forward(totals, r - start)) * scale)
                store(shift, largest)
        for r in range(start, stop):
            shift = load(forward(shifts, r - start))
            total = row_exp_sum(pointer(x, r * K + begin), n, select(shift == lowest, zero, shift))
            store(forward(totals, r - start), load(forward(totals, r - start)) + total)


@njit(error_model="numpy", forceinline=True)
def softmax_grad_in(out: Any, g: Any, y: Any, start: int, stop: int, room: int, mean: Any, like: Any) -> None:
    """Write out = y (g - mean)."""
    for i in range(start, stop, width(like)):
        value = read(y, i, like, room - i, 0) * (read(g, i, like, room - i, 0) - mean)
        write(out, i, value, room - i)


@njit(error_model="numpy", forceinline=True)
def log_softmax_in(out: Any, x: Any, start: int, stop: int, room: int, shift: Any, log_sum: Any, like: Any) -> None:
    """Write out = (x - shift) - log_sum."""
    for i in range(start, stop, width(like)):
        write(out, i, (read(x, i, like, room - i, 0) - shift) - log_sum, room - i)


@njit(error_model="numpy", forceinline=True)
def log_softmax_grad_in(out: Any, g: Any, y: Any, start: int, stop: int, room: int, total: Any, like: Any) -> None:
    """Write out = g - exp(y) total."""
    for i in range(start, stop, width(like)):
        powers = exp(read(y, i, like, room - i, 0))
        write(out, i, read(g, i, like, room - i, 0) - powers * total, room - i)


@njit(error_model="numpy", forceinline=True)
def scaled_exp_in(out: Any, x: Any, start: int, stop: int, room: int, shift: Any, scale: Any, like: Any) -> None:
    """Write out = scale exp(x - shift)."""
    for i in range(start, stop, width(like)):
        write(out, i, exp(read(x, i, like, room - i, 0) - shift) * scale, room - i)


@njit(cache=True, nogil=True, error_model="numpy")
def softmax(out: Array, x: Array, part: int, parts: int) -> None:
    """out[r, k] = exp(x[r, k] - m) / sum over j of exp(x[r, j] - m), with m the maximum of row r.

    Args:
        out: (R, K), out; float32 or float64. The sum is accumulated in float64.
        x: (R, K), in; like out.
    """
    R, K = x.shape
    low, high = share(R, part, parts)
    if K == 0:
        return
    block = block_of(K)
    shifts, totals = stack(x, 32), stack(np.float64(0), 32)
    for start in range(low, high, block):
        stop = min(start + block, high)
        for r in range(start, stop):
            store(forward(shifts, r - start), row_largest(pointer(x, r * K), K))
        for r in range(start, stop):
            row, target = pointer(x, r * K), pointer(out, r * K)
            total = row_exp(target, row, K, (high - r) * K, load(forward(shifts, r - start)))
            store(forward(totals, r - start), total)
        for r in range(start, stop):
            target, scale = pointer(out, r * K), 1 / load(forward(totals, r - start))
            row_scale(target, target, K, (high - r) * K, x.dtype.type(scale))


@njit(cache=True, nogil=True, error_model="numpy")
def softmax_grad(out: Array, g: Array, y: Array, part: int, parts: int) -> None:
    """Write the gradient of `softmax`: out = y (g - sum over j of g[r, j] y[r, j]).

    Args:
        out: (R, K), out; float32 or float64. The sum is accumulated in float64.
        g: (R, K), in; the gradient with respect to the softmax; like out.
        y: (R, K), in; the softmax; like out.
    """
    R, K = y.shape
    wide, narrow = zeros(y, 4, 4), zeros(y, 1, 1)
    end = whole(K, wide)
    low, high = share(R, part, parts)
    for r in range(low, high):
        room = (high - r) * K
        row, cotangent, target = pointer(y, r * K), pointer(g, r * K), pointer(out, r * K)
        mean = y.dtype.type(row_dot(cotangent, row, K))
        softmax_grad_in(target, cotangent, row, 0, end, room, mean, wide)
        softmax_grad_in(target, cotangent, row, end, K, room, mean, narrow)


@njit(cache=True, nogil=True, error_model="numpy")
def log_softmax(out: Array, x: Array, part: int, parts: int) -> None:
    """out[r, k] = x[r, k] - m - log(sum over j of exp(x[r, j] - m)), with m the maximum of row r.

    Args:
        out: (R, K), out; float32 or float64. The sum is accumulated in float64.
        x: (R, K), in; like out.
    """
    R, K = x.shape
    wide, narrow = zeros(x, 4, 4), zeros(x, 1, 1)
    end = whole(K, wide)
    low, high = share(R, part, parts)
    if K == 0:
        return
    block = block_of(K)
    shifts, totals = stack(x, 32), stack(np.float64(0), 32)
    for start in range(low, high, block):
        stop = min(start + block, high)
        exp_sums(shifts, totals, x, start, stop)
        for r in range(start, stop):
            row, target, room = pointer(x, r * K), pointer(out, r * K), (high - r) * K
            shift, log_sum = load(forward(shifts, r - start)), x.dtype.type(log(load(forward(totals, r - start))))
            log_softmax_in(target, row, 0, end, room, shift, log_sum, wide)
            log_softmax_in(target, row, end, K, room, shift, log_sum, narrow)


@njit(cache=True, nogil=True, error_model="numpy")
def log_softmax_grad(out: Array, g: Array, y: Array, part: int, parts: int) -> None:
    """Write the gradient of `log_softmax`: out = g - exp(y) (sum over j of g[r, j]).

    Args:
        out: (R, K), out; float32 or float64. The sum is accumulated in float64.
        g: (R, K), in; the gradient with respect to the log-softmax; like out.
        y: (R, K), in; the log-softmax; like out.
    """
    R, K = y.shape
    wide, narrow = zeros(y, 4, 4), zeros(y, 1, 1)
    end = whole(K, wide)
    low, high = share(R, part, parts)
    for r in range(low, high):
        room = (high - r) * K
        row, cotangent, target = pointer(y, r * K), pointer(g, r * K), pointer(out, r * K)
        total = y.dtype.type(row_total(cotangent, K))
        log_softmax_grad_in(target, cotangent, row, 0, end, room, total, wide)
        log_softmax_grad_in(target, cotangent, row, end, K, room, total, narrow)


@njit(cache=True, nogil=True, error_model="numpy")
def logsumexp(out: Array, x: Array, part: int, parts: int) -> None:
    """out[r] = m + log(sum over j of exp(x[r, j] - m)), with m the maximum of row r, or 0 where that is infinite.

    Args:
        out: (R,), out; float32 or float64. The sum is accumulated in float64; a row of no entries gives -inf.
        x: (R, K), in; like out.
    """
    R, K = x.shape
    low, high = share(R, part, parts)
    for r in range(low, high):
        row = pointer(x, r * K)
        shift = row_largest(row, K)
        if math.isinf(shift):
            shift = x.dtype.type(0)
        out[r] = shift + log(row_exp_sum(row, K, shift))


@njit(cache=True, nogil=True, error_model="numpy")
def logsumexp_grad(out: Array, g: Array, x: Array, y: Array, part: int, parts: int) -> None:
    """Write the gradient of `logsumexp`: out[r, k] = g[r] exp(x[r, k] - y[r]).

    Args:
        out: (R, K), out; float32 or float64.
        g: (R,), in; the gradient with respect to the log-sum-exp; like out.
        x: (R, K), in; like out.
        y: (R,), in; the log-sum-exp; like out.
    """
    R, K = x.shape
    wide, narrow = zeros(x, 4, 4), zeros(x, 1, 1)
    end = whole(K, wide)
    low, high = share(R, part, parts)
    for r in range(low, high):
        room = (high - r) * K
        row, target = pointer(x, r * K), pointer(out, r * K)
        scaled_exp_in(target, row, 0, end, room, y[r], g[r], wide)
        scaled_exp_in(target, row, end, K, room, y[r], g[r], narrow)
