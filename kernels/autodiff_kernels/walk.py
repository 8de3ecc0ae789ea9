"""The walk of an element-wise kernel over its operands: what the generated kernels call.

A walk is an int64 array [dims, total, shape..., strides of out..., strides of x0..., ...], strides in elements; the
last dimension is the innermost one. A kernel goes tile by tile: a stretch of one row or, where rows are short, some
whole rows. An operand that does not hold a tile side by side is copied to or from the stack, at most `CHUNK` elements
at a time, so that one vectorised loop serves operands with any strides.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.memory import forward, load, store
from autodiff_kernels.parts import share

CHUNK = 512
LINE = 64
NOTHING = (np.int64(0), np.int64(-1), np.int64(0))


@njit(error_model="numpy")
def share_of_elements(total: int, part: int, parts: int) -> tuple[int, int]:
    """Return this part's range of the element numbers; it begins at a multiple of `LINE`: no shared cache lines."""
    begin, end = share((total + LINE - 1) // LINE, part, parts)
    return min(LINE * begin, total), min(LINE * end, total)


@njit(error_model="numpy")
def steps(dims: int, strides: Any) -> tuple[int, int]:
    """Return an operand's stride along a row, and from row to row."""
    return strides[dims - 1], strides[dims - 2] if dims > 1 else 0


@njit(error_model="numpy")
def offset(dims: int, shape: Any, strides: Any, row: int) -> int:
    """Where the row with this number (all dimensions but the last, counted in order) begins in an operand.

    `shape` and `strides` are pointers into the walk.
    """
    place = 0
    for axis in range(dims - 2, 0, -1):
        outer = row // shape[axis]
        place += (row - outer * shape[axis]) * strides[axis]
        row = outer
    return place + row * strides[0] if dims > 1 else 0


@njit(error_model="numpy")
def tile_limits(dims: int, shape: Any, side_by_side: bool) -> tuple[int, int]:
    """Return the most elements of one row, and the most rows, that make a tile.

    Operands that all hold their rows side by side (step 1) need no copies, and short rows are taken several at a time.
    """
    inner = shape[dims - 1]
    if dims > 1 and inner <= CHUNK // 4:
        return inner, CHUNK // inner
    return inner if side_by_side else CHUNK, 1


@njit(error_model="numpy")
def tile_here(
    dims: int, shape: Any, row: int, column: int, count: int, longest: int, most: int
) -> tuple[int, int]:
    """Return rows and width of the tile that begins here, when `count` elements are left to do."""
    inner = shape[dims - 1]
    if column > 0 or most == 1 or count < inner:
        return 1, min(longest, inner - column, count)
    return min(most, shape[dims - 2] - row % shape[dims - 2], count // inner), inner


@njit(error_model="numpy")
def side_by_side(step: int, row_step: int, rows: int, width: int) -> bool:
    """Whether an operand holds a tile without gaps; `row_step` is its stride from row to row."""
    return step == 1 and (rows == 1 or row_step == width)


@njit(error_model="numpy")
def gather(
    source: Any, at: int, step: int, row_step: int, rows: int, width: int, copy: Any, held: tuple[Any, Any, Any]
) -> tuple[Any, tuple[Any, Any, Any]]:
    """Return where an operand's tile lies side by side, and what `copy` holds then: (offset, width, elements).

    A tile that the copy holds already is not copied again: rows or numbers that are broadcast.
    """
    if side_by_side(step, row_step, rows, width):
        return source, NOTHING
    if held[0] == at and held[1] == width and held[2] >= rows * width:
        return copy, held
    for row in range(rows):
        here, there = forward(source, row * row_step), forward(copy, row * width)
        if step == 0:
            value = load(here)
            for i in range(width):
                store(forward(there, i), value)
        else:
            for i in range(width):
                store(forward(there, i), load(forward(here, i * step)))
    return copy, (at, width, rows * width)


@njit(error_model="numpy")
def scatter(copy: Any, target: Any, step: int, row_step: int, rows: int, width: int) -> None:
    """Write the copy to an output that does not hold the tile side by side."""
    if not side_by_side(step, row_step, rows, width):
        for row in range(rows):
            here, there = forward(copy, row * width), forward(target, row * row_step)
            for i in range(width):
                store(forward(there, i * step), load(forward(here, i)))
