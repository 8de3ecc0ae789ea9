"""Changes of layout: matrices transposed by squares that fit into registers, and numbers repeated into rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.lanes import address, transpose_square
from autodiff_kernels.memory import address_of, pointer, stack
from autodiff_kernels.parts import share
from autodiff_kernels.vectors import filled, read, width, write, zeros

Array = np.ndarray[Any, np.dtype[Any]]


BLOCK = 256  # rows and columns of what is transposed together


@njit(error_model="numpy")
def _ragged(out: Array, x: Array, b: int, top: int, bottom: int, left: int, right: int, end: int) -> None:
    """Transpose squares of which some rows or columns are missing; `end` is where this part's numbers of `out` end.

    Whole vectors are written, as a masked store costs as much as ten others on some processors. What is too much lies
    at the beginning of the next row, which is written later.
    """
    _, R, C = x.shape
    size = x.itemsize
    row = zeros(x, 1, 1)
    side = width(row)
    square = stack(x, 256)  # of the widest register: 16 x 16 float32
    place = address_of(square)
    for c in range(left, right, side):
        count = min(side, right - c)
        for r in range(top, bottom, side):
            source, target = address(x) + ((b * R + r) * C + c) * size, (b * C + c) * R + r
            transpose_square(x, place, side * size, source, C * size, min(side, bottom - r), count)
            for k in range(count):
                write(pointer(out, target), 0, read(square, k * side, row, side, 0), end - target)
                target += R


@njit(cache=True, nogil=True, error_model="numpy")
def transpose(out: Array, x: Array, part: int, parts: int) -> None:
    """out[b, c, r] = x[b, r, c].

    Of a matrix with more columns than rows squares are read along the rows, of others they are written along the rows
    of `out`: so the processor sees long runs of memory on that side, and the other side stays in the cache.

    Args:
        out: (B, C, R), out; float32 or float64. Rows of squares are shared among the parts.
        x: (B, R, C), in; like out.
    """
    B, R, C = x.shape
    size = x.itemsize
    side = width(zeros(x, 1, 1))
    strips = max((C + side - 1) // side, 1)
    low, high = share(B * strips, part, parts)
    whole_rows, end = R - R % side, (high // strips * C + high % strips * side) * R
    along = C > R
    for b in range(low // strips, (high + strips - 1) // strips):
        first, last = max(low - b * strips, 0) * side, min((high - b * strips) * side, C)
        for left in range(first, last, BLOCK):
            right = min(left + BLOCK, last)
            whole = right - (right - left) % side
            _ragged(out, x, b, whole_rows, R, left, right, end)
            for top in range(0, whole_rows, BLOCK):
                bottom = min(top + BLOCK, whole_rows)
                _ragged(out, x, b, top, bottom, whole, right, end)
                rows, columns = (bottom - top) // side, (whole - left) // side
                outer, inner = (rows, columns) if along else (columns, rows)
                row, column = C * size * side, size * side  # steps to the next square, of x; of out they are exchanged
                source = address(x) + ((b * R + top) * C + left) * size
                target = address(out) + ((b * C + left) * R + top) * size
                for i in range(outer):
                    s = source + i * (row if along else column)
                    t = target + i * (column if along else R * size * side)
                    for _ in range(inner):
                        transpose_square(x, t, R * size, s, C * size, side, side)
                        s += column if along else row
                        t += R * size * side if along else column


@njit(cache=True, nogil=True, error_model="numpy")
def repeat(out: Array, x: Array, part: int, parts: int) -> None:
    """out[r, i] = x[r].

    Args:
        out: (R, N), out; float32 or float64. Rows are shared among the parts.
        x: (R,), in; like out.
    """
    R, N = out.shape
    row = zeros(x, 1, 1)
    low, high = share(R, part, parts)
    for r in range(low, high):
        target, value = pointer(out, r * N), filled(row, x[r])
        for i in range(0, N, width(row)):
            write(target, i, value, N - i)
