"""Matrix products: batched, in every transposition, any size.

A register tile (`lanes.py`) walks down a panel of the right factor that stays in the first-level cache (Goto and
van de Geijn, Anatomy of High-Performance Matrix Multiplication, ACM TOMS 34(3), 2008). The left factor is read where it
lies; a right factor whose columns are not neighbours in memory is packed, panel by panel, into scratch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.cpu import VECTOR_BYTES
from autodiff_kernels.lanes import (
    ROW_VECTORS,
    TILE_ROWS,
    TILE_VECTORS,
    address,
    copy_row,
    edge_tile,
    full_tile,
    narrow_tile,
    row_tile,
    transpose_square,
)
from autodiff_kernels.parts import share

Array = np.ndarray[Any, np.dtype[Any]]

STRETCH = 256  # products that are summed before the sum is added to the total; part of the result's definition


def matmul_scratch(m: int, n: int, k: int, a_row: int, b_column: int, itemsize: int, parts: int) -> int:
    """Return how many elements of scratch `matmul` needs for these sizes, element strides and number of parts.

    0 where it reads both factors in place; a factor on the right is packed where its columns are no neighbours.

    >>> from autodiff_kernels.matmul import matmul_scratch
    >>> matmul_scratch(32, 32, 32, a_row=32, b_column=1, itemsize=4, parts=2)
    0
    """
    if n == 1:
        m, n, b_column = 1, m, a_row
    if n == 1 or b_column == 1:
        return 0
    lanes = VECTOR_BYTES // itemsize
    depth = min(k, STRETCH)
    return parts * lanes * (ROW_VECTORS if m == 1 else TILE_VECTORS) * (depth + -depth % lanes)


@njit(error_model="numpy")
def _pack(like: Array, target: int, target_row: int, source: int, row: int, column: int, depth: int, width: int
          ) -> None:
    """Copy `depth` rows and `width` columns at address `source` to rows of `target_row` bytes; strides in bytes."""
    size = like.itemsize
    lanes = VECTOR_BYTES // size
    if row == size:
        for j in range(0, width, lanes):
            for k in range(0, depth, lanes):
                transpose_square(like, target + k * target_row + j * size, target_row, source + j * column + k * row,
                                 column, width - j, depth - k)
    else:
        for k in range(depth):
            copy_row(like, target + k * target_row, source + k * row, column, width)


@njit(cache=True, nogil=True, error_model="numpy")
def matmul(out: Array, scratch: Array, a: Array, b: Array, bias: Array, outer: int, inner: int, m: int, n: int, k: int,
           a_outer: int, a_inner: int, a_row: int, a_column: int,
           b_outer: int, b_inner: int, b_row: int, b_column: int, part: int, parts: int) -> None:
    """Compute ``out[p, q] = a[p, q] @ b[p, q] + bias`` for p < outer, q < inner.

    Each element is the sum over k, in order, of stretches of 256 products, each stretch summed in order by FMA from 0;
    the bias is added to the finished sum. So the bits depend on neither parts, tile nor vector width. k = 0 gives 0.
    Shares are runs of register tiles.

    Args:
        out: out, outer * inner matrices of m rows and n columns, C-contiguous; float32 or float64.
        scratch: scratch, `matmul_scratch` elements of the same dtype; its contents do not matter.
        a: in, an array of that dtype of which only the address of the first element is used: element (i, l) of matrix
            (p, q) lies ``p * a_outer + q * a_inner + i * a_row + l * a_column`` elements further.
        b: in, likewise with ``p * b_outer + q * b_inner + l * b_row + j * b_column``. A stride of 0 broadcasts.
        bias: in, (n,) of that dtype, or of length 0 for none.
    """
    size = out.itemsize
    shift = address(bias) if bias.shape[0] > 0 else 0
    out_at, a_at, b_at = address(out), address(a), address(b)
    columns = n
    if n == 1:  # one column: the transposed product has one row, and its result lies in memory the same way
        a_at, b_at = b_at, a_at
        a_outer, a_inner, a_row, a_column, b_outer, b_inner, b_row, b_column = (
            b_outer, b_inner, b_column, b_row, a_outer, a_inner, a_column, a_row)
        m, n = 1, m
    height, vectors = (1, ROW_VECTORS) if m == 1 else (TILE_ROWS, TILE_VECTORS)
    lanes = VECTOR_BYTES // size
    width = vectors * lanes
    packs = n > 1 and b_column != 1
    a_row, a_column, b_row, b_column, out_row = a_row * size, a_column * size, b_row * size, b_column * size, n * size
    packed = address(scratch)
    if packs:
        depth = min(k, STRETCH)
        packed += part * VECTOR_BYTES * vectors * (depth + -depth % lanes)

    blocks, panels = (m + height - 1) // height, (n + width - 1) // width
    lo, hi = share(outer * inner * panels * blocks, part, parts)
    if lo == hi:
        return
    for column_of_tiles in range(lo // blocks, (hi + blocks - 1) // blocks):
        matrix, panel = column_of_tiles // panels, column_of_tiles % panels
        first = max(lo - column_of_tiles * blocks, 0)
        last = min(hi - column_of_tiles * blocks, blocks)
        p, q = matrix // inner, matrix % inner
        left = a_at + (p * a_outer + q * a_inner) * size
        right = b_at + (p * b_outer + q * b_inner) * size + panel * width * b_column
        target = out_at + (matrix * m * n + panel * width) * size
        wide = min(width, n - panel * width)
        for start in range(0, max(k, 1), STRETCH):
            depth = min(STRETCH, k - start)
            source, source_row = right + start * b_row, b_row
            if packs:
                _pack(out, packed, VECTOR_BYTES * vectors, source, b_row, b_column, depth, wide)
                source, source_row = packed, VECTOR_BYTES * vectors
            add = shift + panel * width * size if shift != 0 and columns > 1 and start + STRETCH >= k else 0
            for block in range(first, last):
                i = block * height
                high = min(height, m - i)
                c, r = target + i * out_row, left + i * a_row + start * a_column
                if m == 1:
                    row_tile(out, c, r, source, add, depth, out_row, a_row, a_column, source_row, high, wide, start)
                elif high == height and wide == width:
                    full_tile(out, c, r, source, add, depth, out_row, a_row, a_column, source_row, high, wide, start)
                elif wide > lanes:
                    edge_tile(out, c, r, source, add, depth, out_row, a_row, a_column, source_row, high, wide, start)
                else:
                    narrow_tile(out, c, r, source, add, depth, out_row, a_row, a_column, source_row, high, wide, start)
        if shift != 0 and columns == 1:
            for i in range(panel * width, panel * width + wide):
                out[matrix * n + i] += bias[0]
