"""Several index arrays as one: flat positions for the kernels of `index`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.parts import share

Array = np.ndarray[Any, np.dtype[Any]]


@njit(cache=True, nogil=True, error_model="numpy")
def combine(out: Array, status: Array, index: Array, size: int, first: int, part: int, parts: int) -> None:
    """out[i] = out[i] * size + index[i], where a negative index counts from the end of `size` places.

    Called once for each dimension, outermost first, this gives the C-order position of an element in all of them.

    Args:
        out: (M,), out for the first dimension, in/out after it; int64.
        status: (parts,), out for the first dimension, in/out after it; int64. The first i of each part whose index is
            out of range, in this or an earlier call, or -1.
        index: (M,), in; int64.
        size: places of this dimension.
        first: 1 for the first dimension: out starts from 0.
        part, parts: elements are shared among the parts.
    """
    if first:
        status[part] = -1
    low, high = share(out.shape[0], part, parts)
    for i in range(low, high):
        k = index[i]
        if k < 0:
            k += size
        if not 0 <= k < size:
            k = 0
            if status[part] < 0:
                status[part] = i
        out[i] = k if first else out[i] * size + k
