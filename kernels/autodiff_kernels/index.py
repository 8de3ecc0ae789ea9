"""Reading and writing at integer positions along the middle axis of (A, K, B), for any type unless a kernel adds.

`index` (M,) holds one position for all A and B: `take`, `take_grad` and `place`. `index` (A, M, B) holds one for every
element: `gather_along`, `scatter_add_along` and `scatter_along`. Positions run from 0 to K - 1 (the caller has added K
to negative ones). Any other is reported in `status` as its flat place in `index`; what it would have read is 0, and
what it would have written is left out.

Where several numbers go to one place they are added, or overwrite each other, in the order of M.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.memory import apply, pointer
from autodiff_kernels.parts import columns, row_share, share
from autodiff_kernels.scalar import copy

Array = np.ndarray[Any, np.dtype[Any]]

HELD = 2048  # numbers that stay in the first-level cache


# ---- Rows of single numbers, B = 1: without the arithmetic of three dimensions ---------------------------------------


@njit(error_model="numpy", forceinline=True)
def inside(k: int, K: int) -> bool:
    """Return 0 <= k < K, by one comparison."""
    return bool(np.uint64(k) < np.uint64(K))


@njit(error_model="numpy")
def read_row(out: Array, x: Array, index: Array) -> int:
    """Write out[i] = x[index[i]], 0 where that does not exist; return the first such i, or -1."""
    K, wrong = x.shape[0], False
    for i in range(out.shape[0] if K else 0):
        k = index[i]
        wrong |= not inside(k, K)
        out[i] = x[np.uint64(k if inside(k, K) else 0)]  # without a branch, so that several reads are under way
    bad = -1
    if wrong or not K:
        for i in range(out.shape[0] - 1, -1, -1):
            if not inside(index[i], K):
                out[i], bad = 0, i
    return bad


@njit(error_model="numpy")
def add_row(out: Array, x: Array, index: Array, padding_index: int) -> int:
    """Add x[i] to out[index[i]] unless that is the padding; return the first i for which there is none, or -1."""
    K, bad = out.shape[0], -1
    for i in range(x.shape[0]):
        k = index[i]
        if inside(k, K):
            if k != padding_index:
                out[np.uint64(k)] += x[i]
        elif bad < 0:
            bad = i
    return bad


@njit(error_model="numpy")
def write_row(out: Array, x: Array, index: Array) -> int:
    """Write out[index[i]] = x[i]; return the first i for which there is none, or -1."""
    K, bad = out.shape[0], -1
    for i in range(x.shape[0]):
        k = index[i]
        if inside(k, K):
            out[np.uint64(k)] = x[i]
        elif bad < 0:
            bad = i
    return bad


@njit(error_model="numpy")
def take_row(out: Array, x: Array, index: Array) -> None:
    """From the last i to the first, move x[index[i]] to out[i] and leave 0; out[i] = 0 where that does not exist."""
    for i in range(out.shape[0] - 1, -1, -1):
        k = index[i]
        out[i] = 0
        if inside(k, x.shape[0]):
            out[i] = x[np.uint64(k)]
            x[np.uint64(k)] = 0


# ---- Kernels ---------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def take(out: Array, status: Array, x: Array, index: Array, part: int, parts: int) -> None:
    """out[a, i, b] = x[a, index[i], b].

    Args:
        out: (A, M, B), out; the type of x. Rows (a, i) are shared among the parts.
        status: (parts,), out; int64. The first i of each part whose position is out of range, or -1.
        x: (A, K, B), in; any type.
        index: (M,), in; int64.
    """
    A, M, B = out.shape
    status[part] = -1
    low, high = share(A * M, part, parts)
    if B == 1:
        for a in range(low // max(M, 1), (high + M - 1) // max(M, 1)):
            start, stop = max(low - a * M, 0), min(high - a * M, M)
            bad = read_row(out[a].reshape(M)[start:stop], x[a].reshape(x.shape[1]), index[start:stop])
            if bad >= 0 and status[part] < 0:
                status[part] = start + bad
        return
    for unit in range(low, high):
        a, i = unit // M, unit % M
        k = index[i]
        if inside(k, x.shape[1]):
            apply(copy, B, (pointer(out, unit * B),), (pointer(x, (a * x.shape[1] + k) * B),), ())
        else:
            out[a, i] = 0
            if status[part] < 0:
                status[part] = i


@njit(cache=True, nogil=True, error_model="numpy")
def take_grad(
    out: Array, status: Array, g: Array, index: Array, padding_index: int, part: int, parts: int
) -> None:
    """out[a, k, b] += sum of g[a, i, b] over the i with index[i] = k: the transpose of `take`, and `index_add`.

    Args:
        out: (A, K, B), in/out; any type that adds. Columns are shared among the parts.
        status: (parts,), out; int64. The first i of each part whose position is out of range, or -1.
        g: (A, M, B), in; like out.
        index: (M,), in; int64.
        padding_index: a position that receives nothing (that of an embedding's padding), or -1.
    """
    A, K, B = out.shape
    status[part] = -1
    low, high, units = row_share(A, B, part, parts)
    for a in range(low // units, (high + units - 1) // units):
        start, stop = columns(a, B, low, high, units)
        if B == 1:
            bad = add_row(out[a].reshape(K), g[a].reshape(g.shape[1]), index, padding_index)
            if bad >= 0 and status[part] < 0:
                status[part] = bad
            continue
        for i in range(index.shape[0]):
            k = index[i]
            if k == padding_index and k >= 0:
                continue
            if 0 <= k < K:
                target, source = out[a, k, start:stop], g[a, i, start:stop]
                for b in range(target.shape[0]):
                    target[b] += source[b]
            elif status[part] < 0:
                status[part] = i


@njit(cache=True, nogil=True, error_model="numpy")
def place(out: Array, status: Array, x: Array, index: Array, part: int, parts: int) -> None:
    """out[a, index[i], b] = x[a, i, b]; the last i wins. Other positions keep what they hold.

    Args:
        out: (A, K, B), in/out; any type. Columns are shared among the parts.
        status: (parts,), out; int64. The first i of each part whose position is out of range, or -1.
        x: (A, M, B), in; like out.
        index: (M,), in; int64.
    """
    A, K, B = out.shape
    status[part] = -1
    low, high, units = row_share(A, B, part, parts)
    for a in range(low // units, (high + units - 1) // units):
        start, stop = columns(a, B, low, high, units)
        if B == 1:
            bad = write_row(out[a].reshape(K), x[a].reshape(x.shape[1]), index)
            if bad >= 0 and status[part] < 0:
                status[part] = bad
            continue
        for i in range(index.shape[0]):
            k = index[i]
            if 0 <= k < K:
                target, source = out[a, k, start:stop], x[a, i, start:stop]
                for b in range(target.shape[0]):
                    target[b] = source[b]
            elif status[part] < 0:
                status[part] = i


@njit(cache=True, nogil=True, error_model="numpy")
def gather_along(out: Array, status: Array, x: Array, index: Array, part: int, parts: int) -> None:
    """out[a, i, b] = x[a, index[a, i, b], b].

    Args:
        out: (A, M, B), out; the type of x. Rows (a, i) are shared among the parts.
        status: (parts,), out; int64. The first flat place in index of each part that is out of range, or -1.
        x: (A, K, B), in; any type.
        index: (A, M, B), in; int64.
    """
    A, M, B = out.shape
    status[part] = -1
    low, high = share(A * M, part, parts)
    for a in range(low // max(M, 1), (high + M - 1) // max(M, 1)):
        start, stop = max(low - a * M, 0), min(high - a * M, M)
        if B == 1:
            source, places = x[a].reshape(x.shape[1]), index[a].reshape(M)
            bad = read_row(out[a].reshape(M)[start:stop], source, places[start:stop])
            if bad >= 0 and status[part] < 0:
                status[part] = a * M + start + bad
            continue
        for i in range(start, stop):
            for b in range(B):
                k = index[a, i, b]
                if 0 <= k < x.shape[1]:
                    out[a, i, b] = x[a, k, b]
                else:
                    out[a, i, b] = 0
                    if status[part] < 0:
                        status[part] = (a * M + i) * B + b


@njit(cache=True, nogil=True, error_model="numpy")
def scatter_add_along(out: Array, status: Array, g: Array, index: Array, part: int, parts: int) -> None:
    """out[a, k, b] += sum of g[a, i, b] over the i with index[a, i, b] = k: the transpose of `gather_along`.

    Args:
        out: (A, K, B), in/out; any type that adds. Columns are shared among the parts.
        status: (parts,), out; int64. The first flat place in index of each part that is out of range, or -1.
        g: (A, M, B), in; like out.
        index: (A, M, B), in; int64.
    """
    A, K, B = out.shape
    status[part] = -1
    low, high, units = row_share(A, B, part, parts)
    for a in range(low // units, (high + units - 1) // units):
        start, stop = columns(a, B, low, high, units)
        if B == 1:
            bad = add_row(out[a].reshape(K), g[a].reshape(g.shape[1]), index[a].reshape(g.shape[1]), -1)
            if bad >= 0 and status[part] < 0:
                status[part] = a * g.shape[1] + bad
            continue
        for i in range(index.shape[1]):
            for b in range(start, stop):
                k = index[a, i, b]
                if 0 <= k < K:
                    out[a, k, b] += g[a, i, b]
                elif status[part] < 0:
                    status[part] = (a * index.shape[1] + i) * B + b


@njit(cache=True, nogil=True, error_model="numpy")
def scatter_along(out: Array, status: Array, x: Array, index: Array, part: int, parts: int) -> None:
    """out[a, index[a, i, b], b] = x[a, i, b]; the last i wins. Other positions keep what they hold.

    Args:
        out: (A, K, B), in/out; any type. Columns are shared among the parts.
        status: (parts,), out; int64. The first flat place in index of each part that is out of range, or -1.
        x: (A, M, B), in; like out.
        index: (A, M, B), in; int64.
    """
    A, K, B = out.shape
    status[part] = -1
    low, high, units = row_share(A, B, part, parts)
    for a in range(low // units, (high + units - 1) // units):
        start, stop = columns(a, B, low, high, units)
        if B == 1:
            bad = write_row(out[a].reshape(K), x[a].reshape(x.shape[1]), index[a].reshape(x.shape[1]))
            if bad >= 0 and status[part] < 0:
                status[part] = a * x.shape[1] + bad
            continue
        for i in range(index.shape[1]):
            for b in range(start, stop):
                k = index[a, i, b]
                if 0 <= k < K:
                    out[a, k, b] = x[a, i, b]
                elif status[part] < 0:
                    status[part] = (a * index.shape[1] + i) * B + b


@njit(cache=True, nogil=True, error_model="numpy")
def scatter_along_grad(out: Array, g: Array, index: Array, part: int, parts: int) -> None:
    """out[a, i, b] = g[a, index[a, i, b], b] of the last i for a place, 0 of others: the transpose of `scatter_along`.

    From the last i to the first, each takes what is left at its place.

    Args:
        out: (A, M, B), out; any type. Columns are shared among the parts.
        g: (A, K, B), in/out; like out: 0 afterwards where something was taken.
        index: (A, M, B), in; int64. Of a position out of range, out is 0.
    """
    A, K, B = g.shape
    low, high, units = row_share(A, B, part, parts)
    for a in range(low // units, (high + units - 1) // units):
        start, stop = columns(a, B, low, high, units)
        if B == 1:
            take_row(out[a].reshape(out.shape[1]), g[a].reshape(K), index[a].reshape(out.shape[1]))
            continue
        for i in range(out.shape[1] - 1, -1, -1):
            for b in range(start, stop):
                k = index[a, i, b]
                out[a, i, b] = 0
                if inside(k, K):
                    out[a, i, b] = g[a, np.uint64(k), b]
                    g[a, np.uint64(k), b] = 0


@njit(cache=True, nogil=True, error_model="numpy")
def one_hot(out: Array, status: Array, index: Array, part: int, parts: int) -> None:
    """out[i, k] = 1 if k = index[i], otherwise 0.

    Args:
        out: (M, K) with K >= 1, out; any type. Rows are shared among the parts.
        status: (parts,), out; int64. The first i of each part whose position is out of range, or -1.
        index: (M,), in; int64.
    """
    M, K = out.shape
    status[part] = -1
    block = max(HELD // K, 1)  # rows that are still in the first-level cache when their ones are written
    low, high = share(M, part, parts)
    for start in range(low, high, block):
        stop = min(start + block, high)
        numbers = out[start:stop].reshape((stop - start) * K)
        for i in range(numbers.shape[0]):
            numbers[i] = 0
        for i in range(start, stop):
            if inside(index[i], K):
                out[i, np.uint64(index[i])] = 1
            elif status[part] < 0:
                status[part] = i
