"""Running log-sum-exps along the middle axis of (A, K, B) and their gradient; the columns (a, b) are shared.

The other scans, running sums and products, are in `reduce.py`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.parts import share

Array = np.ndarray[Any, np.dtype[Any]]


@njit(error_model="numpy")
def log_add(x: float, y: float) -> float:
    """Return log(exp(x) + exp(y)) = max + log1p(exp(min - max)); an infinite maximum, or NaN, is the result itself."""
    high, low = (x, y) if x > y else (y, x)
    if low != low or math.isinf(high):
        return low if low != low else high
    return high + math.log1p(math.exp(low - high))


@njit(cache=True, nogil=True, error_model="numpy")
def logcumsumexp(out: Array, x: Array, part: int, parts: int) -> None:
    """out[a, k, b] = log of the sum of exp(x[a, j, b]) over j <= k, accumulated in float64.

    Args:
        out: (A, K, B), out; float32 or float64.
        x: (A, K, B), in; like out.
    """
    _, K, B = x.shape
    low, high = share(x.shape[0] * B, part, parts)
    for column in range(low, high):
        a, b = column // B, column % B
        last = -math.inf
        for k in range(K):
            last = log_add(np.float64(x[a, k, b]), last)
            out[a, k, b] = last


@njit(cache=True, nogil=True, error_model="numpy")
def logcumsumexp_grad(out: Array, g: Array, x: Array, y: Array, part: int, parts: int) -> None:
    """Write the gradient of `logcumsumexp`: out[a, k, b] = sum over j >= k of g[a, j, b] exp(x[a, k, b] - y[a, j, b]).

    With S[k] = g[k] + exp(y[k] - y[k + 1]) S[k + 1] it is exp(x[k] - y[k]) S[k]: y rises along k, so no exponential
    overflows.

    Args:
        out: (A, K, B), out; float32 or float64.
        g: (A, K, B), in; the gradient with respect to the running log-sum-exps; like out.
        x: (A, K, B), in; like out.
        y: (A, K, B), in; the running log-sum-exps; like out.
    """
    _, K, B = x.shape
    low, high = share(x.shape[0] * B, part, parts)
    for column in range(low, high):
        a, b = column // B, column % B
        tail, after = 0.0, math.inf
        for step in range(K):
            k = K - 1 - step
            here = np.float64(y[a, k, b])
            tail = g[a, k, b] + (tail if here == after else tail * math.exp(here - after))
            out[a, k, b] = 0.0 if x[a, k, b] == -math.inf else math.exp(x[a, k, b] - here) * tail
            after = here
