"""The loss of scores where several classes of a row are right: every right score against every wrong one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.parts import share

Array = np.ndarray[Any, np.dtype[Any]]


@njit(error_model="numpy", forceinline=True)
def note_right(wrong: Array, labels: Array) -> int:
    """Write 0 for the classes that the labels of a row name, 1 for others; return how many labels there are.

    A label that is no class gives -1 minus its place.
    """
    wrong[:] = 1
    for i in range(labels.shape[0]):
        if labels[i] < 0:
            return i
        if labels[i] >= wrong.shape[0]:
            return -1 - i
        wrong[labels[i]] = 0
    return labels.shape[0]


@njit(cache=True, nogil=True, error_model="numpy")
def multilabel_margin(
    out: Array, scratch: Array, status: Array, x: Array, labels: Array, part: int, parts: int
) -> None:
    """out[n] = the sum over right t and wrong k of max(0, 1 - x[n, t] + x[n, k]) / C; NaN counts.

    Args:
        out: (N,), out; float32 or float64, summed in float64. Rows are shared among the parts.
        scratch: (parts, 2, C), scratch; int64.
        status: (parts,), out; int64. The first flat place of each part with a label that is no class, or -1.
        x: (N, C), in; like out.
        labels: (N, C), in; int64: the right classes of each row, up to the first negative number.
    """
    N, C = x.shape
    wrong, one = scratch[part, 0], x.dtype.type(1)
    status[part] = -1
    low, high = share(N, part, parts)
    for n in range(low, high):
        scores, count, total = x[n], note_right(wrong, labels[n]), 0.0
        if count < 0 and status[part] < 0:
            status[part] = n * C - 1 - count
        for i in range(count):
            least = one - scores[labels[n, i]]
            for k in range(C):
                short = least + scores[k]
                total += 0.0 if wrong[k] == 0 or short <= 0 else np.float64(short)
        out[n] = total / C


@njit(cache=True, nogil=True, error_model="numpy")
def multilabel_margin_grad(
    out: Array, scratch: Array, g: Array, x: Array, labels: Array, part: int, parts: int
) -> None:
    """Write the gradient of `multilabel_margin`: g / C times the pairs a score is wrong in, less those it is right in.

    Args:
        out: (N, C), out; float32 or float64. Rows are shared among the parts.
        scratch: (parts, 2, C), scratch; int64.
        g: (N,), in; the gradient with respect to the losses; like out.
        x: (N, C), in; like out.
        labels: (N, C), in; int64; all of them classes, up to the first negative number.
    """
    N, C = x.shape
    wrong, counts, one = scratch[part, 0], scratch[part, 1], x.dtype.type(1)
    low, high = share(N, part, parts)
    for n in range(low, high):
        scores, count = x[n], note_right(wrong, labels[n])
        counts[:] = 0
        for i in range(count):
            least, hits = one - scores[labels[n, i]], 0
            for k in range(C):
                hit = wrong[k] * np.int64(least + scores[k] > 0)
                counts[k] += hit
                hits += hit
            counts[labels[n, i]] -= hits
        weight = g[n] / out.dtype.type(C)
        for k in range(C):
            out[n, k] = weight * out.dtype.type(counts[k])
