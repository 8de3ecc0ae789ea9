"""The gradient of a convolution with respect to an image of few channels, also transposed convolution's forward.

::

    out[n, p, c] = bias[c] + sum of dy[n, q, o] * w[o, c, k]  over q*stride + k*dilation = p + padding

Where `convolution` gathers the cotangents that a pixel needs, few channels leave most of a register empty, and near the
border half of the cotangents are zeros of the frame. Here the products come first, of every cotangent with all
taps: one matrix product, (q, o) by (o, (k, c)), whose columns fill registers. Then each pixel adds up its share of
its neighbours' products. A band of rows at a time, so that they stay in the second-level cache; the rows of products
that two bands need are computed twice.

A product is summed over o as in `matmul`, those of a pixel in the order of the taps (row, column) from 0, the bias is
added last. So the bits depend on neither parts, bands nor vector width. Images are C-contiguous (N, H, W, C), float32
or float64; pairs are in the order row, column.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numba.extending import register_jitable
from numba.types import int64

from autodiff_kernels import inner
from autodiff_kernels.cpu import L2_BYTES, VECTOR_BYTES
from autodiff_kernels.epilogue import WORDS, finish_here, note
from autodiff_kernels.lanes import TILE_VECTORS, address
from autodiff_kernels.matmul import multiply_panels
from autodiff_kernels.memory import forward, load, pointer, stack, store
from autodiff_kernels.parts import share
from autodiff_kernels.taps import inside, taps_at
from autodiff_kernels.vectors import read, width, write, zeros

Array = np.ndarray[Any, np.dtype[Any]]
Pair = tuple[int, int]

PRODUCTS = L2_BYTES // 32  # numbers that a band's products may have, unless most of its rows are then computed twice
BEYOND = 32  # numbers behind weights and products that are read, too: of whole vectors and register tiles


@register_jitable(pipeline_class=inner.Compiler)
def _columns(each: int, itemsize: int) -> int:
    """Return for how many columns products are computed: for whole register tiles; those too many are not used."""
    lanes = TILE_VECTORS * VECTOR_BYTES // itemsize
    return (each + lanes - 1) // lanes * lanes


@register_jitable(pipeline_class=inner.Compiler)
def _bands(rows: int, row: int, kernel: int, stride: int, dilation: int) -> Pair:
    """Return the rows of a band, of an image of `rows` rows, and of the cotangent that it reads, of `row` products."""
    reach = (kernel - 1) * dilation
    band = min(max(PRODUCTS // max(row, 1) * stride - reach, reach + stride), rows)
    return band, (band - 1 + reach) // stride + 1


@register_jitable(pipeline_class=inner.Compiler)
def products_scratch(image: tuple[int, int, int, int], columns: int, kernel: Pair, stride: Pair, dilation: Pair,
                     itemsize: int) -> int:
    """Return how many numbers of scratch `data_gradient` needs for each part.

    Args:
        image: (N, H, W, C), of which H and C count.
        columns: of the cotangent.
        kernel, stride, dilation: the convolution's.
        itemsize: bytes of a number.
    """
    row = columns * _columns(kernel[0] * kernel[1] * image[3], itemsize)
    return _bands(image[1], row, kernel[0], stride[0], dilation[0])[1] * row + BEYOND


def places_scratch(columns: int) -> int:
    """Return how many int64 of scratch `data_gradient` needs for each part, for an image of so many columns."""
    return 3 * columns


@njit(cache=True, nogil=True, error_model="numpy")
def data_gradient(out: Array, products: Array, places: Array, dy: Array, weights: Array, bias: Array, residual: Array,
                  scale: Array, activation: int, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, part: int,
                  parts: int) -> None:
    """Compute the gradient with respect to the image, with an epilogue (`epilogue.py`). Shares are bands of rows.

    Args:
        out: out, (N, H, W, C), of any size that the caller wants.
        products: scratch, `products_scratch` of the same dtype for each part.
        places: scratch, `places_scratch` int64 for each part.
        dy: in, the cotangent (N, OH, OW, O).
        weights: in, (O, KH * KW, C) and `BEYOND` numbers more, as one row.
        bias: in, (C,), or of length 0 for none.
        residual: in, flat, lying like `out`, or of length 0 for none.
        scale: in, one number, or of length 0 for none.
        activation: one of `epilogue.ACTIVATIONS`, or NONE.
        kernel, stride, padding, dilation: the convolution's.
    """
    images, rows, columns, channels = out.shape
    tail = note(stack(int64(0), WORDS), address(out), residual, scale, activation)
    tall, wide, outputs = dy.shape[1:]
    size, panel = out.itemsize, TILE_VECTORS * VECTOR_BYTES
    depth = kernel[0] * kernel[1] * channels
    each = _columns(depth, size)  # products of a cotangent
    row = wide * each
    band, _ = _bands(rows, row, kernel[0], stride[0], dilation[0])
    count = products_scratch(out.shape, wide, kernel, stride, dilation, size)
    sums, table = pointer(products, part * count), pointer(places, part * 3 * columns)
    for j in range(columns):
        first, hop, at, move, taps = inside(taps_at(j, kernel[1], stride[1], padding[1], dilation[1], 1), wide)
        store(forward(table, 3 * j), at * each + first * channels)
        store(forward(table, 3 * j + 1), move * each + hop * channels)
        store(forward(table, 3 * j + 2), taps)
    bands = (rows + band - 1) // band
    lo, hi = share(images * bands, part, parts)
    for unit in range(lo, hi):
        n, top = unit // bands, unit % bands * band
        bottom = min(top + band, rows)
        reach = (kernel[0] - 1) * dilation[0]
        begin = max(-((reach - top - padding[0]) // stride[0]), 0)
        end = min((bottom - 1 + padding[0]) // stride[0] + 1, tall)
        if begin < end:
            multiply_panels(out, address(products) + part * count * size, each * size,
                            address(dy) + (n * tall + begin) * wide * outputs * size, outputs * size, size,
                            (end - begin) * wide, address(weights), depth * size, panel, outputs, each, 0, 0)
        for i in range(top, bottom):
            first, hop, at, move, taps = inside(taps_at(i, kernel[0], stride[0], padding[0], dilation[0], 1), tall)
            start = (at - begin) * row + first * kernel[1] * channels
            step = move * row + hop * kernel[1] * channels
            line = (n * rows + i) * columns * channels
            _line(out, line, (n * rows + bottom) * columns * channels, sums, start, step, taps, table, bias)
            finish_here(out, address(out) + line * size, 1, 0, columns * channels, tail)


@njit(error_model="numpy")
def _line(out: Array, line: int, end: int, products: Any, start: int, step: int, taps: int, table: Any, bias: Array
          ) -> None:
    """Write a line of pixels from left to right, each by whole vectors: what is too much the next one overwrites."""
    columns, channels = out.shape[2:]
    like = zeros(out, 1, 1)
    lanes = width(like)
    shifted, target, shifts = bias.shape[0] > 0, pointer(out, 0), pointer(bias, 0)
    for j in range(columns):
        first, move, count = load(table), load(forward(table, 1)), load(forward(table, 2))
        table = forward(table, 3)
        for c in range(0, channels, lanes):
            total, place = like, start + first + c
            for _ in range(taps):
                at = place
                for _ in range(count):
                    total = total + read(products, at, like, lanes, 0)
                    at += move
                place += step
            if shifted:
                total = total + read(shifts, c, like, channels - c, 0)
            here = line + j * channels + c
            write(target, here, total, end - here)
