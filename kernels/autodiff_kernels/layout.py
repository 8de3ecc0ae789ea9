"""Changes of layout: matrices transposed by squares that fit into registers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.lanes import address, transpose_square
from autodiff_kernels.memory import address_of, pointer, stack
from autodiff_kernels.parts import share
from autodiff_kernels.vectors import read, width, write, zeros

Array = np.ndarray[Any, np.dtype[Any]]


@njit(cache=True, nogil=True, error_model="numpy")
def transpose(out: Array, x: Array, part: int, parts: int) -> None:
    """out[b, c, r] = x[b, r, c].

    Args:
        out: (B, C, R), out; float32 or float64. Rows of squares are shared among the parts.
        x: (B, R, C), in; like out.
    """
    B, R, C = x.shape
    size = x.itemsize
    row = zeros(x, 1, 1)
    side = width(row)
    square = stack(x, 256)  # of the widest register: 16 x 16 float32
    place = address_of(square)
    strips = (C + side - 1) // side
    low, high = share(B * strips, part, parts)
    for unit in range(low, high):
        b, c = unit // strips, unit % strips * side
        count = min(side, C - c)
        for r in range(0, R, side):
            source, target = address(x) + ((b * R + r) * C + c) * size, (b * C + c) * R + r
            if count == side and r + side <= R:
                transpose_square(x, address(out) + target * size, R * size, source, C * size, side, side)
                continue
            transpose_square(x, place, side * size, source, C * size, min(side, R - r), count)
            for k in range(count):
                write(pointer(out, target + k * R), 0, read(square, k * side, row, side, 0), R - r)
