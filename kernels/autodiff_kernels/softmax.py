"""Softmax, log-softmax, log-sum-exp over rows (R, K), and their gradients; the rows are shared among the parts.

Each row's maximum is subtracted first, so inputs of any finite size neither overflow nor lose the largest entries. A
row whose entries are all -inf has no softmax: it is NaN, and its log-sum-exp is -inf, as in PyTorch.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.maths import exp
from autodiff_kernels.parts import share
from autodiff_kernels.reduce import row_extreme, row_sum

Array = np.ndarray[Any, np.dtype[Any]]


@njit(error_model="numpy")
def row_exp(out: Array, x: Array, shift: Any) -> Any:
    """Write out = exp(x - shift), all (K,), and return its sum in float64."""
    for k in range(x.shape[0]):
        out[k] = exp(x[k] - shift)
    return row_sum(out, 0.0)


@njit(error_model="numpy")
def row_dot(x: Array, y: Array) -> Any:
    """Return the sum of x * y, both (K,), in float64."""
    s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
    fours = x.shape[0] // 4
    for four in range(fours):
        k = 4 * four
        s0 += np.float64(x[k]) * y[k]
        s1 += np.float64(x[k + 1]) * y[k + 1]
        s2 += np.float64(x[k + 2]) * y[k + 2]
        s3 += np.float64(x[k + 3]) * y[k + 3]
    for k in range(4 * fours, x.shape[0]):
        s0 += np.float64(x[k]) * y[k]
    return (s0 + s1) + (s2 + s3)


@njit(cache=True, nogil=True, error_model="numpy")
def softmax(out: Array, x: Array, part: int, parts: int) -> None:
    """out[r, k] = exp(x[r, k] - m) / sum over j of exp(x[r, j] - m), with m the maximum of row r.

    Args:
        out: (R, K), out; float32 or float64. The sum is accumulated in float64.
        x: (R, K), in; like out.
    """
    low, high = share(x.shape[0], part, parts)
    if x.shape[1] == 0:
        return
    for r in range(low, high):
        row, target = x[r], out[r]
        scale = x.dtype.type(1 / row_exp(target, row, row_extreme(row, True)))
        for k in range(x.shape[1]):
            target[k] *= scale


@njit(cache=True, nogil=True, error_model="numpy")
def softmax_grad(out: Array, g: Array, y: Array, part: int, parts: int) -> None:
    """Write the gradient of `softmax`: out = y (g - sum over j of g[r, j] y[r, j]).

    Args:
        out: (R, K), out; float32 or float64. The sum is accumulated in float64.
        g: (R, K), in; the gradient with respect to the softmax; like out.
        y: (R, K), in; the softmax; like out.
    """
    low, high = share(y.shape[0], part, parts)
    for r in range(low, high):
        mean = y.dtype.type(row_dot(g[r], y[r]))
        for k in range(y.shape[1]):
            out[r, k] = y[r, k] * (g[r, k] - mean)


@njit(cache=True, nogil=True, error_model="numpy")
def log_softmax(out: Array, x: Array, part: int, parts: int) -> None:
    """out[r, k] = x[r, k] - m - log(sum over j of exp(x[r, j] - m)), with m the maximum of row r.

    Args:
        out: (R, K), out; float32 or float64. The sum is accumulated in float64.
        x: (R, K), in; like out.
    """
    low, high = share(x.shape[0], part, parts)
    if x.shape[1] == 0:
        return
    for r in range(low, high):
        row, target = x[r], out[r]
        shift = row_extreme(row, True)
        log_sum = x.dtype.type(math.log(row_exp(target, row, shift)))
        for k in range(x.shape[1]):
            target[k] = (row[k] - shift) - log_sum


@njit(cache=True, nogil=True, error_model="numpy")
def log_softmax_grad(out: Array, g: Array, y: Array, part: int, parts: int) -> None:
    """Write the gradient of `log_softmax`: out = g - exp(y) (sum over j of g[r, j]).

    Args:
        out: (R, K), out; float32 or float64. The sum is accumulated in float64.
        g: (R, K), in; the gradient with respect to the log-softmax; like out.
        y: (R, K), in; the log-softmax; like out.
    """
    low, high = share(y.shape[0], part, parts)
    for r in range(low, high):
        total = y.dtype.type(row_sum(g[r], 0.0))
        row, source, target = y[r], g[r], out[r]
        for k in range(y.shape[1]):
            target[k] = source[k] - exp(row[k]) * total


@njit(cache=True, nogil=True, error_model="numpy")
def logsumexp(out: Array, scratch: Array, x: Array, part: int, parts: int) -> None:
    """out[r] = m + log(sum over j of exp(x[r, j] - m)), with m the maximum of row r, or 0 where that is infinite.

    Args:
        out: (R,), out; float32 or float64. The sum is accumulated in float64; a row of no entries gives -inf.
        scratch: (parts, K); like out.
        x: (R, K), in; like out.
    """
    zero = x.dtype.type(0)
    low, high = share(x.shape[0], part, parts)
    for r in range(low, high):
        shift = row_extreme(x[r], True) if x.shape[1] else zero
        if math.isinf(shift):
            shift = zero
        out[r] = shift + math.log(row_exp(scratch[part], x[r], shift))


@njit(cache=True, nogil=True, error_model="numpy")
def logsumexp_grad(out: Array, g: Array, x: Array, y: Array, part: int, parts: int) -> None:
    """Write the gradient of `logsumexp`: out[r, k] = g[r] exp(x[r, k] - y[r]).

    Args:
        out: (R, K), out; float32 or float64.
        g: (R,), in; the gradient with respect to the log-sum-exp; like out.
        x: (R, K), in; like out.
        y: (R,), in; the log-sum-exp; like out.
    """
    low, high = share(x.shape[0], part, parts)
    for r in range(low, high):
        row, target = x[r], out[r]
        for k in range(x.shape[1]):
            target[k] = g[r] * exp(row[k] - y[r])
