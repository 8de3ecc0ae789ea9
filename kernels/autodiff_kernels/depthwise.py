"""Depthwise convolution over channels-last volumes, where each channel has a kernel of its own: both gradients, too.

An image is a volume of depth 1, a line a volume of depth and height 1; triples are in the order depth, row, column::

    out[n, p, c]  = sum over k of image[n, p*stride + k*dilation - padding, c] * w[c, k]
    image's       = sum of dy[n, q, c] * w[c, k]     over q*stride + k*dilation = p + padding
    weight's      = sum over n, q of image[n, q*stride + k*dilation - padding, c] * dy[n, q, c]

A pixel takes part in few products, so memory and loads are the limit, not arithmetic. A tile of outputs beside one
another and two registers of channels is summed in registers: a vector of weights is read once for all of it and, where
a tap reads what the one before it reads for the next output, a pixel once for three taps. Where taps lie outside the
image, an output is summed alone, without them; so no padded copy is made.

Taps are summed in order (depth, row, column) by FMA from 0, the bias is added last. A weight's gradient is summed over
stretches of at most `STRETCH` positions, whole rows of one plane or a piece of one row: in each in order (row, column)
by FMA from 0, then stretch by stretch. So the bits depend on neither parts, tile nor vector width.

Images are C-contiguous (N, D, H, W, C), float32 or float64. The weights are read as (KD * KH * KW, C);
`layout.transpose` makes that of (C, 1, KD, KH, KW).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.maths import fma
from autodiff_kernels.matmul import STRETCH
from autodiff_kernels.memory import forward as ahead
from autodiff_kernels.memory import load, pointer, store
from autodiff_kernels.parts import share
from autodiff_kernels.taps import Taps, inside, range_inside, taps_at
from autodiff_kernels.vectors import read, whole, width, write, zeros

Array = np.ndarray[Any, np.dtype[Any]]
Pair = tuple[int, int]
Triple = tuple[int, int, int]

COLUMNS = 64  # of a share's unit, which is a row of outputs or a piece of one
TILE = 4  # outputs that are summed together
GROUP = 3  # taps beside one another for which a pixel is read once, or whose gradients are summed together
CHANNELS = 64  # whose gradients are summed over a stretch, one after the other, while it stays in the cache


def places_scratch(kernel: Triple) -> int:
    """Return how many int64 of scratch `convolve` needs for each part."""
    return 3 * kernel[0] * kernel[1] * kernel[2]


@njit(cache=True, nogil=True, error_model="numpy")
def convolve(out: Array, places: Array, image: Array, weights: Array, bias: Array, kernel: Triple, stride: Triple,
             padding: Triple, dilation: Triple, transposed: int, part: int, parts: int) -> None:
    """Convolve, or compute the gradient with respect to the image (transposed = 1), plus ``bias[c]``.

    Shares are rows of outputs, long ones in pieces.

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
    line = wide * channels
    y, x, w, shifts = pointer(out, 0), pointer(image, 0), pointer(weights, 0), pointer(bias, 0)
    table = pointer(places, part * 3 * kernel[0] * kernel[1] * kernel[2])
    step, image_step = (stride[2], 1) if transposed else (1, stride[2])
    shifted, filled, entries = bias.shape[0] > 0, (-1, -1, -1), 0
    pieces = (columns + COLUMNS - 1) // COLUMNS
    lo, hi = share(images * depth * rows * pieces, part, parts)
    for unit in range(lo, hi):
        row, begin = unit // pieces, unit % pieces * COLUMNS
        end = min(begin + COLUMNS, columns)
        n, k, i = row // rows // depth, row // rows % depth, row % rows
        deep = inside(taps_at(k, kernel[0], stride[0], padding[0], dilation[0], transposed), image.shape[1])
        high = inside(taps_at(i, kernel[1], stride[1], padding[1], dilation[1], transposed), image.shape[2])
        source = ((n * image.shape[1] + deep[2]) * image.shape[2] + high[2]) * line
        for first in range(begin, min(begin + step, end)):  # outputs `step` apart have the same taps
            taps = taps_at(first, kernel[2], stride[2], padding[2], dilation[2], transposed)
            weight = ((deep[0] * kernel[1] + high[0]) * kernel[2] + taps[0]) * channels
            counts = deep[4], high[4], taps[4]
            moves = deep[3] * image.shape[2] * line, high[3] * line, taps[3] * channels
            hops = deep[1] * kernel[1] * kernel[2] * channels, high[1] * kernel[2] * channels, taps[1] * channels
            # From left to right or, where the next tap reads the pixel before, from right to left.
            back, sign = (TILE - 1, -1) if taps[3] < 0 else (0, 1)
            if counts != filled:
                entries = _fill(table, counts, moves, hops, taps[4] // GROUP if taps[3] == sign * image_step else 0)
                filled = counts
            total = (end - first + step - 1) // step
            inner_begin, inner_end = _inner(taps, image_step, total, wide)
            j = 0
            while j < total:
                if inner_begin <= j < inner_end and inner_end - inner_begin >= TILE:
                    j = min(j, inner_end - TILE)
                    target = (row * columns + first + (j + back) * step) * channels
                    place = source + (taps[2] + (j + back) * image_step) * channels
                    _tile(y, target, sign * step * channels, x, place, sign * image_step * channels, w, weight, hops[2],
                          table, entries, shifts, shifted, channels)
                    j += TILE
                else:
                    some = range_inside(taps[2] + j * image_step, taps[3], taps[4], wide)
                    target = (row * columns + first + j * step) * channels
                    place = source + (taps[2] + j * image_step) * channels + some[0] * moves[2]
                    _single(y, target, x, place, w, weight + some[0] * hops[2],
                            (counts[0], counts[1], some[1] - some[0]), moves, hops, shifts, shifted, channels)
                    j += 1


@njit(cache=True, nogil=True, error_model="numpy")
def weight_gradient(out: Array, sums: Array, image: Array, cotangent: Array, stride: Triple, padding: Triple,
                    dilation: Triple, part: int, parts: int) -> None:
    """Compute the gradient with respect to the weights. Shares are channels, two registers at a time.

    Args:
        out: out, (C, 1, KD, KH, KW).
        sums: scratch, as many elements as out, same dtype.
        image: in, (N, D, H, W, C).
        cotangent: in, (N, OD, OH, OW, C).
        stride, padding, dilation: the convolution's.
    """
    channels, _, kernel_d, kernel_h, kernel_w = out.shape
    images, depth, rows, columns = cotangent.shape[:4]
    area, size = kernel_d * kernel_h * kernel_w, image.shape[3]
    line = size * channels
    s, x, dy = pointer(sums, 0), pointer(image, 0), pointer(cotangent, 0)
    lanes = width(zeros(out, 2, 2))
    lo, hi = share((channels + lanes - 1) // lanes, part, parts)
    lo, hi = lo * lanes, min(hi * lanes, channels)
    for tap in range(area):
        sums[tap * channels + lo : tap * channels + hi] = 0
    x_steps = stride[1] * line, stride[2] * channels, dilation[2] * channels
    dy_steps = columns * channels, channels
    each = max(STRETCH // max(columns, 1), 1)  # rows of a stretch
    blocks, pieces = (rows + each - 1) // each, (columns + STRETCH - 1) // STRETCH
    for unit in range(images * depth * blocks * pieces):
        plane, top, left = unit // pieces // blocks, unit // pieces % blocks * each, unit % pieces * STRETCH
        bottom, right = min(top + each, rows), min(left + STRETCH, columns)
        n, k = plane // depth, plane % depth
        factors = plane * rows * columns * channels
        for begin in range(lo, hi, CHANNELS):
            end = min(begin + CHANNELS, hi)
            for a, b in np.ndindex(kernel_d, kernel_h):
                at = k * stride[0] + a * dilation[0] - padding[0]
                if not 0 <= at < image.shape[1]:
                    continue
                high = _positions(b, top, bottom, image.shape[2], stride[1], padding[1], dilation[1])
                place = ((n * image.shape[1] + at) * image.shape[2] + b * dilation[1] - padding[1]) * line
                tap = 0
                while tap < kernel_w:
                    source = place + (tap * dilation[2] - padding[2]) * channels
                    target = ((a * kernel_h + b) * kernel_w + tap) * channels
                    wide = _positions(tap, left, right, size, stride[2], padding[2], dilation[2])
                    if tap + GROUP <= kernel_w:
                        _three_sums(s, target, x, source, x_steps, dy, factors, dy_steps, high, wide,
                                    _positions(tap + 1, left, right, size, stride[2], padding[2], dilation[2]),
                                    _positions(tap + 2, left, right, size, stride[2], padding[2], dilation[2]),
                                    begin, end)
                        tap += GROUP
                    else:
                        _one_sum(s, target, x, source, x_steps, dy, factors, dy_steps, high, wide, begin, end)
                        tap += 1
    target = out.reshape(-1)
    for c in range(lo, hi):
        for tap in range(area):
            target[c * area + tap] = sums[tap * channels + c]


# ---- Which outputs meet the image ------------------------------------------------------------------------------------


@njit(error_model="numpy")
def _inner(taps: Taps, step: int, count: int, size: int) -> Pair:
    """Return the range of `count` outputs, each reading `step` pixels further, whose taps all read inside the image."""
    _, _, at, move, number = taps
    reach = max(number - 1, 0) * move
    begin = min(max(-((at + min(reach, 0)) // step), 0), count)
    return begin, max(min((size - 1 - at - max(reach, 0)) // step + 1, count), begin)


@njit(error_model="numpy")
def _positions(tap: int, begin: int, end: int, size: int, stride: int, padding: int, dilation: int) -> Pair:
    """Return the range of the outputs begin..end of one axis for which a tap reads inside the image."""
    at = tap * dilation - padding
    first = min(max(-(at // stride), begin), end)
    return first, max(min((size - 1 - at) // stride + 1, end), first)


@njit(error_model="numpy")
def _fill(table: Any, counts: Triple, moves: Triple, hops: Triple, groups: int) -> int:
    """Write for each group of taps, and for each tap that is left, where it reads and how many taps it has.

    Places count from those of the first tap in the image and its weights.
    """
    for k, i in np.ndindex(counts[0], counts[1]):
        j = 0
        while j < counts[2]:
            store(table, k * moves[0] + i * moves[1] + j * moves[2])
            store(ahead(table, 1), k * hops[0] + i * hops[1] + j * hops[2])
            store(ahead(table, 2), GROUP if j < groups * GROUP else 1)
            j += GROUP if j < groups * GROUP else 1
            table = ahead(table, 3)
    return counts[0] * counts[1] * (counts[2] - groups * (GROUP - 1))


# ---- Outputs ---------------------------------------------------------------------------------------------------------


@njit(error_model="numpy")
def _tile(y: Any, target: int, y_step: int, x: Any, source: int, x_step: int, w: Any, weight: int, hop: int, table: Any,
          entries: int, shifts: Any, shifted: bool, channels: int) -> None:
    """Write `TILE` outputs, which have the same taps: those of the table."""
    like = zeros(y, 2, 2)
    lanes, last = width(like), whole(channels, like)
    for c in range(0, last, lanes):
        shift = read(shifts, c, like, lanes, 0) if shifted else like
        _tile_of(y, target + c, y_step, x, source + c, x_step, w, weight + c, hop, table, entries, shift, lanes)
    if last < channels:
        left = channels - last
        shift = read(shifts, last, like, left, 0) if shifted else like
        _tile_of(y, target + last, y_step, x, source + last, x_step, w, weight + last, hop, table, entries, shift, left)


@njit(error_model="numpy", forceinline=True)
def _tile_of(y: Any, target: int, y_step: int, x: Any, source: int, x_step: int, w: Any, weight: int, hop: int,
             table: Any, entries: int, shift: Any, left: int) -> None:
    a = b = c = d = zeros(y, 2, 2)
    for _ in range(entries):
        at, tap, taps = source + load(table), weight + load(ahead(table, 1)), load(ahead(table, 2))
        table = ahead(table, 3)
        f = read(w, tap, shift, left, 0)
        if taps == 1:
            a = fma(read(x, at, shift, left, 0), f, a)
            b = fma(read(x, at + x_step, shift, left, 0), f, b)
            c = fma(read(x, at + 2 * x_step, shift, left, 0), f, c)
            d = fma(read(x, at + 3 * x_step, shift, left, 0), f, d)
        else:
            g, h = read(w, tap + hop, shift, left, 0), read(w, tap + 2 * hop, shift, left, 0)
            pixel = read(x, at, shift, left, 0)
            a = fma(pixel, f, a)
            pixel = read(x, at + x_step, shift, left, 0)
            a, b = fma(pixel, g, a), fma(pixel, f, b)
            pixel = read(x, at + 2 * x_step, shift, left, 0)
            a, b, c = fma(pixel, h, a), fma(pixel, g, b), fma(pixel, f, c)
            pixel = read(x, at + 3 * x_step, shift, left, 0)
            b, c, d = fma(pixel, h, b), fma(pixel, g, c), fma(pixel, f, d)
            pixel = read(x, at + 4 * x_step, shift, left, 0)
            c, d = fma(pixel, h, c), fma(pixel, g, d)
            d = fma(read(x, at + 5 * x_step, shift, left, 0), h, d)
    write(y, target, a + shift, left)
    write(y, target + y_step, b + shift, left)
    write(y, target + 2 * y_step, c + shift, left)
    write(y, target + 3 * y_step, d + shift, left)


@njit(error_model="numpy")
def _single(y: Any, target: int, x: Any, source: int, w: Any, weight: int, counts: Triple, moves: Triple, hops: Triple,
            shifts: Any, shifted: bool, channels: int) -> None:
    """Write one output, which has so many taps along each axis."""
    like = zeros(y, 2, 2)
    for c in range(0, channels, width(like)):
        left, a = channels - c, like
        for k in range(counts[0]):
            for i in range(counts[1]):
                at, tap = source + c + k * moves[0] + i * moves[1], weight + c + k * hops[0] + i * hops[1]
                for _ in range(counts[2]):
                    a = fma(read(x, at, like, left, 0), read(w, tap, like, left, 0), a)
                    at, tap = at + moves[2], tap + hops[2]
        shift = read(shifts, c, like, left, 0) if shifted else like
        write(y, target + c, a + shift, left)


# ---- Sums over positions ---------------------------------------------------------------------------------------------


@njit(error_model="numpy")
def _three_sums(s: Any, target: int, x: Any, source: int, x_steps: Triple, dy: Any, factors: int, dy_steps: Pair,
                high: Pair, wide_a: Pair, wide_b: Pair, wide_c: Pair, begin: int, end: int) -> None:
    """Add the sums of products of pixels and cotangents for `GROUP` taps, whose ranges of columns differ.

    Of an image there are given the steps to the next row of positions, the next position and the next tap; of the
    cotangents to the next row and the next position, which is also the step to the next tap's sums.
    """
    like = zeros(s, 2, 2)
    lanes, last = width(like), begin + whole(end - begin, like)
    for c in range(begin, last, lanes):
        _three_sums_of(s, target + c, x, source + c, x_steps, dy, factors + c, dy_steps, high, wide_a, wide_b, wide_c,
                       like, lanes)
    if last < end:
        _three_sums_of(s, target + last, x, source + last, x_steps, dy, factors + last, dy_steps, high, wide_a, wide_b,
                       wide_c, like, end - last)


@njit(error_model="numpy", forceinline=True)
def _three_sums_of(s: Any, target: int, x: Any, source: int, x_steps: Triple, dy: Any, factors: int, dy_steps: Pair,
                   high: Pair, wide_a: Pair, wide_b: Pair, wide_c: Pair, like: Any, left: int) -> None:
    a = b = c = like
    row, step, near = x_steps
    first, last = min(wide_a[0], wide_b[0], wide_c[0]), max(wide_a[1], wide_b[1], wide_c[1])
    inner_first, inner_last = max(wide_a[0], wide_b[0], wide_c[0]), min(wide_a[1], wide_b[1], wide_c[1])
    if inner_first >= inner_last:
        inner_first = inner_last = last
    for i in range(high[0], high[1]):
        at, g = source + i * row, factors + i * dy_steps[0]
        j = first
        while j < last:
            if j == inner_first:
                here, factor_at = at + j * step, g + j * dy_steps[1]
                for _ in range(inner_last - j):
                    factor = read(dy, factor_at, like, left, 0)
                    a = fma(read(x, here, like, left, 0), factor, a)
                    b = fma(read(x, here + near, like, left, 0), factor, b)
                    c = fma(read(x, here + 2 * near, like, left, 0), factor, c)
                    here, factor_at = here + step, factor_at + dy_steps[1]
                j = inner_last
            else:
                here, factor = at + j * step, read(dy, g + j * dy_steps[1], like, left, 0)
                if wide_a[0] <= j < wide_a[1]:
                    a = fma(read(x, here, like, left, 0), factor, a)
                if wide_b[0] <= j < wide_b[1]:
                    b = fma(read(x, here + near, like, left, 0), factor, b)
                if wide_c[0] <= j < wide_c[1]:
                    c = fma(read(x, here + 2 * near, like, left, 0), factor, c)
                j += 1
    _add(s, target, a, like, left)
    _add(s, target + dy_steps[1], b, like, left)
    _add(s, target + 2 * dy_steps[1], c, like, left)


@njit(error_model="numpy")
def _one_sum(s: Any, target: int, x: Any, source: int, x_steps: Triple, dy: Any, factors: int, dy_steps: Pair,
             high: Pair, wide: Pair, begin: int, end: int) -> None:
    """Add the sum for one tap."""
    like = zeros(s, 2, 2)
    for c in range(begin, end, width(like)):
        left, a = end - c, like
        for i in range(high[0], high[1]):
            at, g = source + c + i * x_steps[0], factors + c + i * dy_steps[0]
            for j in range(wide[0], wide[1]):
                a = fma(read(x, at + j * x_steps[1], like, left, 0), read(dy, g + j * dy_steps[1], like, left, 0), a)
        _add(s, target + c, a, like, left)


@njit(error_model="numpy", forceinline=True)
def _add(s: Any, target: int, value: Any, like: Any, left: int) -> None:
    write(s, target, read(s, target, like, left, 0) + value, left)
