"""Padding: rows of an array laid into longer ones, with what stands at their ends.

Arrays are dense, (A, rows, columns, B). Where each row and each column of the padded array comes from is data, so one
kernel serves all modes. Of a row, the columns from `lead` on that come from as many neighbours move in one piece.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.memory import apply, copy, forward, load, pointer, store
from autodiff_kernels.parts import share
from autodiff_kernels.vectors import read, width, write, zeros

Array = np.ndarray[Any, np.dtype[Any]]


@njit(error_model="numpy", forceinline=True)
def _same(x: Any) -> Any:
    return x


@njit(error_model="numpy")
def _lay(out: Any, x: Any, columns: Array, begin: int, end: int, B: int, filler: Any) -> None:
    """Write the columns from begin to end of a row, one by one."""
    if B == 1:
        for q in range(begin, end):
            column = columns[q]
            store(forward(out, q), load(forward(x, column)) if column >= 0 else filler)
        return
    for q in range(begin, end):
        column = columns[q]
        if column >= 0:
            copy(forward(out, q * B), forward(x, column * B), B)
        else:
            apply(_same, B, (forward(out, q * B),), (), (filler,))


@njit(cache=True, nogil=True, error_model="numpy")
def pad(
    out: Array, x: Array, filler: Array, rows: Array, columns: Array, lead: int, length: int, part: int, parts: int
) -> None:
    """out[a, p, q] = x[a, rows[p], columns[q]], or `filler` where one of these is negative.

    Args:
        out: (A, P, Q, B), out; integers of 1, 2, 4 or 8 bytes. Rows are shared among the parts.
        x: (A, N, M, B), in; like out.
        filler: (1,), in; like out.
        rows: (P,), in; int64.
        columns: (Q,), in; int64.
        lead: the first column of those that move in one piece.
        length: how many they are.
    """
    _, N, M, _ = x.shape
    A, P, Q, B = out.shape
    low, high = share(A * P, part, parts)
    rest = lead + length
    begin = columns[lead] * B if length else 0
    a, p = low // max(P, 1), low % max(P, 1)
    for unit in range(low, high):
        target, row = pointer(out, unit * Q * B), rows[p]
        source = pointer(x, (a * N + row) * M * B)
        if row < 0:
            apply(_same, Q * B, (target,), (), (filler[0],))
        else:
            _lay(target, source, columns, 0, lead, B, filler[0])
            copy(forward(target, lead * B), forward(source, begin), length * B)
            _lay(target, source, columns, rest, Q, B, filler[0])
        p += 1
        if p == P:
            a, p = a + 1, 0


@njit(error_model="numpy", forceinline=True)
def _add(out: Any, g: Any, n: int) -> None:
    like = zeros(out, 1, 1)
    for i in range(0, n, width(like)):
        write(out, i, read(out, i, like, n - i, 0) + read(g, i, like, n - i, 0), n - i)


@njit(error_model="numpy")
def _gather(out: Any, g: Any, columns: Array, begin: int, end: int, B: int) -> None:
    """Add the columns from begin to end of a row to where they came from."""
    for q in range(begin, end):
        column = columns[q]
        if column >= 0 and B == 1:
            store(forward(out, column), load(forward(out, column)) + load(forward(g, q)))
        elif column >= 0:
            _add(forward(out, column * B), forward(g, q * B), B)


@njit(cache=True, nogil=True, error_model="numpy")
def pad_grad(
    gx: Array, g: Array, first: Array, rows: Array, columns: Array, lead: int, length: int, part: int, parts: int
) -> None:
    """gx[a, n, m] = sum over p and q with n = source of p and m = columns[q] of g[a, p, q], in the order of p, then q.

    But of a row's q those that move in one piece come first.

    Args:
        gx: (A, N, M, B), out; float32 or float64. Rows are shared among the parts.
        g: (A, P, Q, B), in; like gx.
        first: (N + 1,), in; int64. Rows of g that come from n are those of `rows` from first[n] to before first[n + 1].
        rows: (up to P,), in; int64.
        columns, lead, length: as for `pad`.
    """
    A, N, M, B = gx.shape
    _, P, Q, _ = g.shape
    low, high = share(A * N, part, parts)
    rest = lead + length
    begin = columns[lead] * B if length else 0
    a, n = low // max(N, 1), low % max(N, 1)
    for unit in range(low, high):
        target = pointer(gx, unit * M * B)
        if length < M or first[n] == first[n + 1]:
            apply(_same, M * B, (target,), (), (gx.dtype.type(0),))
        for k in range(first[n], first[n + 1]):
            source = pointer(g, (a * P + rows[k]) * Q * B)
            if k == first[n]:
                copy(forward(target, begin), forward(source, lead * B), length * B)
            else:
                _add(forward(target, begin), forward(source, lead * B), length * B)
            _gather(target, source, columns, 0, lead, B)
            _gather(target, source, columns, rest, Q, B)
        n += 1
        if n == N:
            a, n = a + 1, 0
