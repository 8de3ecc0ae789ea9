"""The walk of an element-wise kernel over its operands: what the generated kernels call.

A walk is an int64 array [dims, total, shape..., strides of out..., strides of x0..., ...], strides in elements; the
last dimension is the innermost one. What an operand does not hold side by side along it is copied, at most `CHUNK`
elements at a time, to or from the stack, so that one vectorised loop serves operands with any strides.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.memory import forward, load, store
from autodiff_kernels.parts import share

CHUNK = 512
LINE = 64
NOTHING = np.int64(-(2**62))


@njit(error_model="numpy")
def share_of_elements(total: int, part: int, parts: int) -> tuple[int, int]:
    """Return this part's range of the element numbers; it begins at a multiple of `LINE`: no shared cache lines."""
    begin, end = share((total + LINE - 1) // LINE, part, parts)
    return min(LINE * begin, total), min(LINE * end, total)


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
def chunk_length(inner: int, side_by_side: bool) -> int:
    """How many elements of a row are computed at once: all, or what the copies hold."""
    return inner if side_by_side else min(inner, CHUNK)


@njit(error_model="numpy")
def gather(source: Any, at: int, step: int, count: int, chunk: int, copy: Any, held: int) -> tuple[Any, Any]:
    """Return where `count` elements of an operand lie side by side, and the offset of the one that fills the copy.

    With a step of 0 the whole copy is filled with the element, whose offset is `held`, and later chunks use it again.
    """
    if step == 1:
        return source, NOTHING
    if step == 0:
        if held != at:
            value = load(source)
            for i in range(chunk):
                store(forward(copy, i), value)
        return copy, at
    for i in range(count):
        store(forward(copy, i), load(forward(source, i * step)))
    return copy, NOTHING


@njit(error_model="numpy")
def scatter(copy: Any, target: Any, step: int, count: int) -> None:
    """Write the copy to an output whose elements do not lie side by side."""
    if step != 1:
        for i in range(count):
            store(forward(target, i * step), load(forward(copy, i)))
