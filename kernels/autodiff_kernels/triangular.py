"""Triangular systems by substitution in blocks.

The right-hand sides are solved in panels as wide as a register tile of a matrix product. What the rows solved so far
contribute to the next few is one such tile, so that most of the work runs at the speed of products (`matmul.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.cpu import VECTOR_BYTES
from autodiff_kernels.lanes import (
    TILE_ROWS,
    TILE_VECTORS,
    address,
    edge_tile,
    full_tile,
    narrow_tile,
    pointer_at,
)
from autodiff_kernels.maths import fma
from autodiff_kernels.matmul import STRETCH
from autodiff_kernels.memory import address_of, forward, load, pointer
from autodiff_kernels.parts import share
from autodiff_kernels.vectors import read, width, write, zeros

Array = np.ndarray[Any, np.dtype[Any]]

PANEL_BYTES = TILE_VECTORS * VECTOR_BYTES  # of a row of a panel


@njit(error_model="numpy", forceinline=True)
def solve_rows(panel: Any, a: int, row: int, column: int, start: int, stop: int, unit: int, like: Any) -> None:
    """Solve the rows from start to stop of a panel, whose right-hand sides have been freed of the rows before.

    Solved rows stand there with the other sign; `like` is a vector as wide as the panel. The matrix lies at the address
    a, with strides in bytes.
    """
    columns = width(like)
    for r in range(start, stop):
        here = forward(panel, r * columns)
        value = read(here, 0, like, columns, 0)
        for k in range(start, r):
            factor, other = load(pointer_at(like, a + r * row + k * column)), forward(panel, k * columns)
            value = fma(read(other, 0, like, columns, 0), factor, value)
        if not unit:
            value = value / load(pointer_at(like, a + r * (row + column)))
        write(here, 0, like - value, columns)


@njit(cache=True, nogil=True, error_model="numpy")
def solve_triangular(
    out: Array, scratch: Array, status: Array, a: Array, b: Array, upper: int, transposed: int, unit: int, part: int,
    parts: int,
) -> None:
    """Solve a[i] out[i] = b[i], or a[i].T out[i] = b[i], reading one triangle of each matrix.

    Args:
        out: (N, n, k), out; float32 or float64. Panels of columns are shared among the parts.
        scratch: (parts, n, `PANEL_BYTES` / itemsize), scratch; like out.
        status: (parts,), out; int64. The first i of each part for which a diagonal has a 0, or -1.
        a: (N, n, n) or (1, n, n), in; like out.
        b: (N, n, k), in; like out.
        upper: 1 for the upper triangle, 0 for the lower one.
        transposed: 1 for a.T, 0 for a.
        unit: 1 to take the diagonal as ones.
    """
    N, n, k = out.shape
    size, like, wide = out.itemsize, zeros(out, 1, 1), zeros(out, TILE_VECTORS, TILE_VECTORS)
    lanes, columns = width(like), width(wide)
    panels = (k + columns - 1) // columns
    panel = pointer(scratch, part * n * columns)
    target = address_of(panel)
    row, column = (size, n * size) if transposed else (n * size, size)
    backward = upper != transposed  # then the last unknown comes first: the matrix is read from its end
    status[part] = -1
    low, high = share(N * panels, part, parts)
    for piece in range(low, high):
        i, j = piece // panels, piece % panels * columns
        matrix = i if a.shape[0] > 1 else 0
        at, down, across = address(a) + matrix * n * n * size, row, column
        if backward:
            at, down, across = at + (n * n - 1) * size, -row, -column
        left = min(columns, k - j)
        for r in range(n):
            source = pointer(b, (i * n + (n - 1 - r if backward else r)) * k + j)
            for v in range(0, columns, lanes):
                write(panel, r * columns + v, read(source, v, like, left - v, 0), lanes)
            if not unit and status[part] < 0 and a[matrix, r, r] == 0:
                status[part] = matrix
        for start in range(0, n, TILE_ROWS):
            stop = min(start + TILE_ROWS, n)
            for begin in range(0, start, STRETCH):
                place, solved = target + start * PANEL_BYTES, target + begin * PANEL_BYTES
                factor, depth = at + start * down + begin * across, min(STRETCH, start - begin)
                if left <= lanes:
                    narrow_tile(out, place, factor, solved, 0, depth, PANEL_BYTES, down, across, PANEL_BYTES,
                                stop - start, lanes, 1, 0)
                elif stop - start == TILE_ROWS:
                    full_tile(out, place, factor, solved, 0, depth, PANEL_BYTES, down, across, PANEL_BYTES, TILE_ROWS,
                              columns, 1, 0)
                else:
                    edge_tile(out, place, factor, solved, 0, depth, PANEL_BYTES, down, across, PANEL_BYTES,
                              stop - start, columns, 1, 0)
            solve_rows(panel, at, down, across, start, stop, unit, wide)
        for r in range(n):
            solution = pointer(out, (i * n + (n - 1 - r if backward else r)) * k + j)
            for v in range(0, columns, lanes):
                write(solution, v, like - read(panel, r * columns + v, like, lanes, 0), left - v)
