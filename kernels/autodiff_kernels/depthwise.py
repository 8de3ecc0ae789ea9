"""Depthwise convolution over channels-last volumes, where each channel has a kernel of its own: both gradients, too.

An image is a volume of depth 1, a line a volume of depth and height 1; triples are in the order depth, row, column::

    out[n, p, c]  = sum over k of image[n, p*stride + k*dilation - padding, c] * w[c, k]
    image's       = sum of dy[n, q, c] * w[c, k]     over q*stride + k*dilation = p + padding
    weight's      = sum over n, q of image[n, q*stride + k*dilation - padding, c] * dy[n, q, c]

One product belongs to each pixel that is read, so memory and loads are the limit, not arithmetic. A tile of neighbouring
outputs and two registers of channels is summed in registers, and each vector of weights is read once for all of it. Taps
outside the image are left out, so no padded copy is made.

Taps are summed in order (depth, row, column) by FMA from 0, the bias is added last. The sum of a weight's gradient goes over
positions in order (image, depth, row, column), by FMA from 0 in stretches of whole rows that have `STRETCH` positions at
most, or of as many positions of one row; stretches are added in order. The bits do not depend on parts or vector width.

Images are C-contiguous (N, D, H, W, C), float32 or float64. Weights are read as (KD * KH * KW, C): `layout.transpose` makes
that of (C, 1, KD, KH, KW).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.convolution import taps_of_residue
from autodiff_kernels.maths import fma
from autodiff_kernels.matmul import STRETCH
from autodiff_kernels.memory import forward as ahead
from autodiff_kernels.memory import load, pointer, store
from autodiff_kernels.parts import share
from autodiff_kernels.vectors import read, whole, width, write, zeros

Array = np.ndarray[Any, np.dtype[Any]]
Triple = tuple[int, int, int]
# Of one axis: the first tap, the hop from one tap to the next, where the first one reads, how far the next one reads from
# there, and how many taps there are.
Taps = tuple[int, int, int, int, int]

COLUMNS = 64  # of a share's unit, which is a row of outputs or a piece of one
TILE = 4  # outputs beside one another that are summed together
GROUP = 3  # taps beside one another whose gradients are summed together


def places_scratch(kernel: Triple) -> int:
    """Return how many int64 of scratch `convolve` needs for each part."""
    return 2 * kernel[0] * kernel[1] * kernel[2]


@njit(cache=True, nogil=True, error_model="numpy")
def convolve(out: Array, places: Array, image: Array, weights: Array, bias: Array, kernel: Triple, stride: Triple,
             padding: Triple, dilation: Triple, transposed: int, part: int, parts: int) -> None:
    """Convolve, or compute the gradient with respect to the image (transposed = 1), plus ``bias[c]``.

    Shares are pieces of rows of outputs.

    Args:
        out: out, (N, OD, OH, OW, C); transposed, an image of any size that the caller wants.
        places: scratch, `places_scratch` int64 for each part.
        image: in, (N, D, H, W, C); transposed, the cotangent.
        weights: in, (KD * KH * KW, C).
        bias: in, (C,), or of length 0 for none.
        kernel, stride, padding, dilation: the convolution's.
        transposed: 0 or 1.
    """
    images, depth, rows, columns, channels = out.shape
    wide = image.shape[3]
    y, x, w, shifts = pointer(out, 0), pointer(image, 0), pointer(weights, 0), pointer(bias, 0)
    table = pointer(places, part * 2 * kernel[0] * kernel[1] * kernel[2])
    step, image_step = (stride[2], 1) if transposed else (1, stride[2])
    shifted = bias.shape[0] > 0
    pieces = (columns + COLUMNS - 1) // COLUMNS
    lo, hi = share(images * depth * rows * pieces, part, parts)
    for unit in range(lo, hi):
        row, begin = unit // pieces, unit % pieces * COLUMNS
        end = min(begin + COLUMNS, columns)
        n, k, i = row // rows // depth, row // rows % depth, row % rows
        source = n * image.shape[1] * image.shape[2] * wide * channels
        deep = _inside(_taps(k, kernel[0], stride[0], padding[0], dilation[0], transposed), image.shape[1])
        high = _inside(_taps(i, kernel[1], stride[1], padding[1], dilation[1], transposed), image.shape[2])
        for first in range(begin, min(begin + step, end)):  # outputs `step` apart have the same taps
            taps = _taps(first, kernel[2], stride[2], padding[2], dilation[2], transposed)
            total = (end - first + step - 1) // step
            inner_begin, inner_end = _inner(taps, image_step, total, wide)
            j, count, filled = 0, 0, False
            while j < total:
                tiled = inner_begin <= j < inner_end and inner_end - inner_begin >= TILE
                if tiled:
                    if not filled:
                        count, filled = _fill(table, deep, high, taps, kernel, image.shape[2], wide, channels), True
                    j = min(j, inner_end - TILE)
                    _tile(y, (row * columns + first + j * step) * channels, step * channels, x,
                          source + j * image_step * channels, image_step * channels, w, table, count, shifts, shifted,
                          channels)
                    j += TILE
                else:
                    tap, hop, at, move, some = taps
                    inside = _inside((tap, hop, at + j * image_step, move, some), wide)
                    count, filled = _fill(table, deep, high, inside, kernel, image.shape[2], wide, channels), False
                    _single(y, (row * columns + first + j * step) * channels, x, source, w, table, count, shifts, shifted,
                            channels)
                    j += 1


@njit(cache=True, nogil=True, error_model="numpy")
def weight_gradient(out: Array, sums: Array, image: Array, cotangent: Array, stride: Triple, padding: Triple,
                    dilation: Triple, part: int, parts: int) -> None:
    """Compute the gradient with respect to the weights. Shares are channels, two registers at a time.

    Args:
        out: out, (C, 1, KD, KH, KW).
        sums: scratch, twice as many elements as out, same dtype.
        image: in, (N, D, H, W, C).
        cotangent: in, (N, OD, OH, OW, C).
        stride, padding, dilation: the convolution's.
    """
    channels, _, kernel_d, kernel_h, kernel_w = out.shape
    images, depth, rows, columns = cotangent.shape[:4]
    area = kernel_d * kernel_h * kernel_w
    x, dy, s = pointer(image, 0), pointer(cotangent, 0), pointer(sums, 0)
    lanes = width(zeros(out, 2, 2))
    lo, hi = share((channels + lanes - 1) // lanes, part, parts)
    lo, hi = lo * lanes, min(hi * lanes, channels)
    totals = area * channels
    for tap in range(2 * area):
        sums[tap * channels + lo : tap * channels + hi] = 0
    x_step, near = stride[2] * channels, dilation[2] * channels
    pieces = (columns + STRETCH - 1) // STRETCH
    units, stretch = images * depth * rows * pieces, max(STRETCH // max(columns, 1), 1)
    for unit in range(units):
        row, begin = unit // pieces, unit % pieces * STRETCH
        end = min(begin + STRETCH, columns)
        n, k, i = row // rows // depth, row // rows % depth, row % rows
        factors = row * columns * channels
        for a in range(kernel_d):
            at_d = k * stride[0] + a * dilation[0] - padding[0]
            if not 0 <= at_d < image.shape[1]:
                continue
            for b in range(kernel_h):
                at_h = i * stride[1] + b * dilation[1] - padding[1]
                if not 0 <= at_h < image.shape[2]:
                    continue
                line = (((n * image.shape[1] + at_d) * image.shape[2] + at_h) * image.shape[3] - padding[2]) * channels
                at = (a * kernel_h + b) * kernel_w * channels
                tap = 0
                while tap < kernel_w:
                    source, target = line + tap * near, at + tap * channels
                    some = _positions(tap, begin, end, image.shape[3], stride[2], padding[2], dilation[2])
                    if tap + GROUP <= kernel_w:
                        _three_sums(s, target, channels, x, source, x_step, near, dy, factors, some,
                                    _positions(tap + 1, begin, end, image.shape[3], stride[2], padding[2], dilation[2]),
                                    _positions(tap + 2, begin, end, image.shape[3], stride[2], padding[2], dilation[2]),
                                    lo, hi)
                        tap += GROUP
                    else:
                        _one_sum(s, target, x, source, x_step, dy, factors, channels, some, lo, hi)
                        tap += 1
        if (unit + 1) % stretch == 0 or unit + 1 == units:
            for tap in range(area):
                one, total = tap * channels, totals + tap * channels
                for c in range(lo, hi):
                    sums[total + c] += sums[one + c]
                    sums[one + c] = 0
    target = out.reshape(-1)
    for c in range(lo, hi):
        for tap in range(area):
            target[c * area + tap] = sums[totals + tap * channels + c]


# ---- Helpers of compiled code ----------------------------------------------------------------------------------------


@njit(error_model="numpy")
def _taps(place: int, kernel: int, stride: int, padding: int, dilation: int, transposed: int) -> Taps:
    """Return the taps of the output at a place of one axis."""
    if transposed:
        first, hop, taps = taps_of_residue(kernel, stride, dilation, (place + padding) % stride)
        return first, hop, (place + padding - first * dilation) // stride, -(hop * dilation // stride), taps
    return 0, 1, place * stride - padding, dilation, kernel


@njit(error_model="numpy")
def _inside(taps: Taps, size: int) -> Taps:
    """Return those of the taps that read inside an image of this size."""
    tap, hop, at, move, count = taps
    before, distance = (at, move) if move > 0 else (size - 1 - at, -move)
    begin = max(-(before // distance), 0)
    end = max(min((size - 1 - before) // distance + 1, count), begin)
    return tap + begin * hop, hop, at + begin * move, move, end - begin


@njit(error_model="numpy")
def _inner(taps: Taps, step: int, count: int, size: int) -> tuple[int, int]:
    """Return the range of outputs, each `step` pixels further, all of whose taps read inside an image of this size."""
    _, _, at, move, number = taps
    reach = max(number - 1, 0) * move
    begin = min(max(-((at + min(reach, 0)) // step), 0), count)
    return begin, max(min((size - 1 - at - max(reach, 0)) // step + 1, count), begin)


@njit(error_model="numpy")
def _fill(table: Any, deep: Taps, high: Taps, wide: Taps, kernel: Triple, rows: int, columns: int, channels: int) -> int:
    """Write where each tap reads, and the place of its weights; return the number of taps."""
    for k in range(deep[4]):
        for i in range(high[4]):
            line = ((deep[2] + k * deep[3]) * rows + high[2] + i * high[3]) * columns
            plane = ((deep[0] + k * deep[1]) * kernel[1] + high[0] + i * high[1]) * kernel[2]
            for j in range(wide[4]):
                store(table, (line + wide[2] + j * wide[3]) * channels)
                store(ahead(table, 1), (plane + wide[0] + j * wide[1]) * channels)
                table = ahead(table, 2)
    return deep[4] * high[4] * wide[4]


@njit(error_model="numpy")
def _tile(y: Any, target: int, y_step: int, x: Any, source: int, x_step: int, w: Any, table: Any, number: int,
          shifts: Any, shifted: bool, channels: int) -> None:
    """Write `TILE` outputs of all channels."""
    like = zeros(y, 2, 2)
    lanes, last = width(like), whole(channels, like)
    for c in range(0, last, lanes):
        _tile_of(y, target + c, y_step, x, source + c, x_step, w, c, table, number, shifts, shifted, like, lanes)
    if last < channels:
        _tile_of(y, target + last, y_step, x, source + last, x_step, w, last, table, number, shifts, shifted, like,
                 channels - last)


@njit(error_model="numpy", forceinline=True)
def _tile_of(y: Any, target: int, y_step: int, x: Any, source: int, x_step: int, w: Any, channel: int, table: Any,
             number: int, shifts: Any, shifted: bool, like: Any, left: int) -> None:
    a = b = c = d = like
    for _ in range(number):
        at, weight = source + load(table), channel + load(ahead(table, 1))
        table = ahead(table, 2)
        factor = read(w, weight, like, left, 0)
        a = fma(read(x, at, like, left, 0), factor, a)
        b = fma(read(x, at + x_step, like, left, 0), factor, b)
        c = fma(read(x, at + 2 * x_step, like, left, 0), factor, c)
        d = fma(read(x, at + 3 * x_step, like, left, 0), factor, d)
    shift = read(shifts, channel, like, left, 0) if shifted else like
    write(y, target, a + shift, left)
    write(y, target + y_step, b + shift, left)
    write(y, target + 2 * y_step, c + shift, left)
    write(y, target + 3 * y_step, d + shift, left)


@njit(error_model="numpy")
def _single(y: Any, target: int, x: Any, source: int, w: Any, table: Any, number: int, shifts: Any, shifted: bool,
            channels: int) -> None:
    """Write one output of all channels."""
    like = zeros(y, 2, 2)
    for channel in range(0, channels, width(like)):
        left, a, entry = channels - channel, like, table
        for _ in range(number):
            at, weight = source + channel + load(entry), channel + load(ahead(entry, 1))
            entry = ahead(entry, 2)
            a = fma(read(x, at, like, left, 0), read(w, weight, like, left, 0), a)
        shift = read(shifts, channel, like, left, 0) if shifted else like
        write(y, target + channel, a + shift, left)


@njit(error_model="numpy")
def _positions(tap: int, begin: int, end: int, size: int, stride: int, padding: int, dilation: int) -> tuple[int, int]:
    """Return the range of a row's outputs in begin..end for which the tap reads inside the image."""
    at = tap * dilation - padding
    first = min(max(-(at // stride), begin), end)
    return first, max(min((size - 1 - at) // stride + 1, end), first)


@njit(error_model="numpy")
def _three_sums(s: Any, target: int, channels: int, x: Any, source: int, x_step: int, near: int, dy: Any, factors: int,
                some_a: tuple[int, int], some_b: tuple[int, int], some_c: tuple[int, int], lo: int, hi: int) -> None:
    """Add the products of cotangents and pixels to the sums of `GROUP` taps, each over its range of positions."""
    like = zeros(s, 2, 2)
    lanes, last = width(like), lo + whole(hi - lo, like)
    for c in range(lo, last, lanes):
        _three_sums_of(s, target + c, channels, x, source + c, x_step, near, dy, factors + c, some_a, some_b, some_c, like,
                       lanes)
    if last < hi:
        _three_sums_of(s, target + last, channels, x, source + last, x_step, near, dy, factors + last, some_a, some_b,
                       some_c, like, hi - last)


@njit(error_model="numpy", forceinline=True)
def _three_sums_of(s: Any, target: int, channels: int, x: Any, source: int, x_step: int, near: int, dy: Any,
                   factors: int, some_a: tuple[int, int], some_b: tuple[int, int], some_c: tuple[int, int], like: Any,
                   left: int) -> None:
    a, b, c = (read(s, target, like, left, 0), read(s, target + channels, like, left, 0),
               read(s, target + 2 * channels, like, left, 0))
    begin, end = min(some_a[0], some_b[0], some_c[0]), max(some_a[1], some_b[1], some_c[1])
    inner_begin, inner_end = max(some_a[0], some_b[0], some_c[0]), min(some_a[1], some_b[1], some_c[1])
    j = begin
    while j < end:
        at, g = source + j * x_step, factors + j * channels
        if inner_begin <= j < inner_end:
            for _ in range(inner_end - j):
                factor = read(dy, g, like, left, 0)
                a = fma(read(x, at, like, left, 0), factor, a)
                b = fma(read(x, at + near, like, left, 0), factor, b)
                c = fma(read(x, at + 2 * near, like, left, 0), factor, c)
                at, g = at + x_step, g + channels
            j = inner_end
        else:
            factor = read(dy, g, like, left, 0)
            if some_a[0] <= j < some_a[1]:
                a = fma(read(x, at, like, left, 0), factor, a)
            if some_b[0] <= j < some_b[1]:
                b = fma(read(x, at + near, like, left, 0), factor, b)
            if some_c[0] <= j < some_c[1]:
                c = fma(read(x, at + 2 * near, like, left, 0), factor, c)
            j += 1
    write(s, target, a, left)
    write(s, target + channels, b, left)
    write(s, target + 2 * channels, c, left)


@njit(error_model="numpy")
def _one_sum(s: Any, target: int, x: Any, source: int, x_step: int, dy: Any, factors: int, channels: int,
             positions: tuple[int, int], lo: int, hi: int) -> None:
    """Add the products of cotangents and pixels to the sum of one tap."""
    like = zeros(s, 2, 2)
    for c in range(lo, hi, width(like)):
        left = hi - c
        a = read(s, target + c, like, left, 0)
        for j in range(positions[0], positions[1]):
            factor = read(dy, factors + c + j * channels, like, left, 0)
            a = fma(read(x, source + c + j * x_step, like, left, 0), factor, a)
        write(s, target + c, a, left)
