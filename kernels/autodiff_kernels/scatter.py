"""Products and extremes of what meets at integer positions along the middle axis of (A, K, B), for any number type.

`index` (M,) holds one position for all A and B: `reduce_rows`. `index` (A, M, B) holds one for every element:
`reduce_along`. Positions and `status` are those of `index.py`, which holds the sums. Numbers are taken in order of M.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.index import inside
from autodiff_kernels.memory import forward, load, pointer, store
from autodiff_kernels.parts import columns, row_share

Array = np.ndarray[Any, np.dtype[Any]]

PRODUCT, LARGEST, SMALLEST = 0, 1, 2


@njit(error_model="numpy", forceinline=True)
def joined(x: Any, y: Any, kind: int) -> Any:
    """Return the product of two numbers, or the larger or smaller one: the first of equal ones, NaN if one is NaN."""
    if kind == PRODUCT:
        return x * y
    chosen = y if (y > x if kind == LARGEST else y < x) else x
    # NaN is not one of the two: LLVM would write y only where it is chosen, and masked writes are slow on some CPUs.
    return type(x)(x + y) if (x != x) | (y != y) else chosen


@njit(error_model="numpy", forceinline=True)
def rows_joined(out: Array, status: Array, x: Array, index: Array, kind: int, part: int, parts: int) -> None:
    """Do what `reduce_rows` does, for one kind."""
    A, K, B = out.shape
    low, high, units = row_share(A, B, part, parts)
    for a in range(low // units, (high + units - 1) // units):
        start, stop = columns(a, B, low, high, units)
        for i in range(index.shape[0]):
            k = index[i]
            if inside(k, K):
                target, source = pointer(out, (a * K + k) * B + start), pointer(x, (a * x.shape[1] + i) * B + start)
                for b in range(stop - start):
                    store(forward(target, b), joined(load(forward(target, b)), load(forward(source, b)), kind))
            elif status[part] < 0:
                status[part] = i


@njit(error_model="numpy", forceinline=True)
def elements_joined(out: Array, status: Array, x: Array, index: Array, kind: int, part: int, parts: int) -> None:
    """Do what `reduce_along` does, for one kind."""
    A, K, B = out.shape
    M = index.shape[1]
    low, high, units = row_share(A, B, part, parts)
    for a in range(low // units, (high + units - 1) // units):
        start, stop = columns(a, B, low, high, units)
        if B == 1:
            target, source, places = out[a].reshape(K), x[a].reshape(M), index[a].reshape(M)
            for i in range(M):
                k = places[i]
                if inside(k, K):
                    target[np.uint64(k)] = joined(target[np.uint64(k)], source[i], kind)
                elif status[part] < 0:
                    status[part] = a * M + i
            continue
        for i in range(M):
            for b in range(start, stop):
                k = index[a, i, b]
                if inside(k, K):
                    out[a, k, b] = joined(out[a, k, b], x[a, i, b], kind)
                elif status[part] < 0:
                    status[part] = (a * M + i) * B + b


@njit(cache=True, nogil=True, error_model="numpy")
def reduce_rows(out: Array, status: Array, x: Array, index: Array, kind: int, part: int, parts: int) -> None:
    """out[a, k, b] = out[a, k, b] joined with x[a, i, b] for the i with index[i] = k.

    Args:
        out: (A, K, B), in/out; any number type. Columns are shared among the parts.
        status: (parts,), out; int64. The first i of each part whose position is out of range, or -1.
        x: (A, M, B), in; like out.
        index: (M,), in; int64.
        kind: `PRODUCT`, `LARGEST` or `SMALLEST`.
    """
    status[part] = -1
    if kind == PRODUCT:
        rows_joined(out, status, x, index, PRODUCT, part, parts)
    elif kind == LARGEST:
        rows_joined(out, status, x, index, LARGEST, part, parts)
    else:
        rows_joined(out, status, x, index, SMALLEST, part, parts)


@njit(cache=True, nogil=True, error_model="numpy")
def reduce_along(out: Array, status: Array, x: Array, index: Array, kind: int, part: int, parts: int) -> None:
    """out[a, k, b] = out[a, k, b] joined with x[a, i, b] for the i with index[a, i, b] = k.

    Args:
        out: (A, K, B), in/out; any number type. Columns are shared among the parts.
        status: (parts,), out; int64. The first flat place in index of each part that is out of range, or -1.
        x: (A, M, B), in; like out.
        index: (A, M, B), in; int64.
        kind: `PRODUCT`, `LARGEST` or `SMALLEST`.
    """
    status[part] = -1
    if kind == PRODUCT:
        elements_joined(out, status, x, index, PRODUCT, part, parts)
    elif kind == LARGEST:
        elements_joined(out, status, x, index, LARGEST, part, parts)
    else:
        elements_joined(out, status, x, index, SMALLEST, part, parts)
