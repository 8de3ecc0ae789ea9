"""Depthwise convolution over channels-last volumes, where each channel has a kernel of its own: both gradients, too.

An image is a volume of depth 1, a line a volume of depth and height 1; triples are in the order depth, row, column::

    out[n, p, c]  = sum over k of image[n, p*stride + k*dilation - padding, c] * w[c, k]
    image's       = sum of dy[n, q, c] * w[c, k]     over q*stride + k*dilation = p + padding
    weight's      = sum over n, q of image[n, q*stride + k*dilation - padding, c] * dy[n, q, c]

A pixel takes part in few products, so memory and loads are the limit, not arithmetic. `depthwise_tiles.py` sums some
outputs beside one another, or the gradients of some taps, in registers, where a pixel is loaded once for all taps that
read it. Taps outside the image are left out, so no padded copy is made. What the next row (or stretch) needs is asked
for while this one is summed.

Taps are summed in order (depth, row, column) by FMA from 0, the bias is added last. A weight's gradient is summed over
stretches of at most `POSITIONS` positions, whole rows of one plane or a piece of one row: in each in order (row,
column) by FMA from 0, then stretch by stretch, at last by segments of the images (`frames.segments_summed`), which
parts share. So the bits depend on neither parts, tile nor vector width. A bias's gradient, the sum of dy, is
accumulated as in `accumulate.py` while a stretch is in the cache.

Images are C-contiguous (N, D, H, W, C), float32 or float64. The weights are read as (KD * KH * KW, C);
`layout.transpose` makes that of (C, 1, KD, KH, KW).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numba.types import int64

from autodiff_kernels.accumulate import add_rows, corrected_sum
from autodiff_kernels.depthwise_tiles import ENTRY, GROUP, ROWS, TILE, WIDE, add_sums, write_outputs
from autodiff_kernels.epilogue import WORDS, finish_here, note
from autodiff_kernels.lanes import address
from autodiff_kernels.memory import address_of, pointer, stack, store
from autodiff_kernels.memory import forward as ahead
from autodiff_kernels.parts import share
from autodiff_kernels.taps import inside, taps_at
from autodiff_kernels.vectors import width, zeros

Array = np.ndarray[Any, np.dtype[Any]]
Triple = tuple[int, int, int]

# Of a weight's gradient that are summed before the sum is added to the total: so few that the rows which they read, and
# those that come next, stay in the second-level cache.
POSITIONS = 128
COLUMNS = 64  # of a share's unit, which is a row of outputs or a piece of one
CHANNELS = 64  # whose gradients are summed over a stretch, one after the other, while it stays in the cache


def places_scratch(kernel: Triple) -> int:
    """Return how many int64 of scratch `convolve` needs for each part."""
    return ENTRY * kernel[0] * kernel[1] * kernel[2]


@njit(cache=True, nogil=True, error_model="numpy")
def convolve(out: Array, places: Array, image: Array, weights: Array, bias: Array, residual: Array, scale: Array,
             activation: int, kernel: Triple, stride: Triple, padding: Triple, dilation: Triple, transposed: int,
             part: int, parts: int) -> None:
    """Convolve, or compute the gradient with respect to the image (transposed = 1), plus ``bias[c]``.

    An epilogue follows (`epilogue.py`).

    Shares are rows of outputs, long ones in pieces.

    Args:
        out: out, (N, OD, OH, OW, C); transposed, an image of any size that the caller wants.
        places: scratch, `places_scratch` int64 for each part.
        image: in, (N, D, H, W, C); transposed, the cotangent.
        weights: in, (KD * KH * KW, C).
        bias: in, (C,), or of length 0 for none.
        residual: in, flat, lying like `out`, or of length 0 for none.
        scale: in, one number, or of length 0 for none.
        activation: one of `epilogue.ACTIVATIONS`, or NONE.
        kernel, stride, padding, dilation: the convolution's.
        transposed: 0 or 1.
    """
    images, depth, rows, columns, channels = out.shape
    size, wide = out.itemsize, image.shape[3]
    pixel, line = channels * size, wide * channels * size
    y, x, w = address(out), address(image), address(weights)
    shift = address(bias) if bias.shape[0] else 0
    tail = note(stack(int64(0), WORDS), y, residual, scale, activation)
    table = pointer(places, part * ENTRY * kernel[0] * kernel[1] * kernel[2])
    entries = address_of(table)
    step, image_step = (stride[2], 1) if transposed else (1, stride[2])
    filled = -1, -1, -1
    number = 0
    pieces = (columns + COLUMNS - 1) // COLUMNS
    lo, hi = share(images * depth * rows * pieces, part, parts)
    for unit in range(lo, hi):
        row, begin = unit // pieces, unit % pieces * COLUMNS
        end = min(begin + COLUMNS, columns)
        n, k, i = row // rows // depth, row // rows % depth, row % rows
        deep = inside(taps_at(k, kernel[0], stride[0], padding[0], dilation[0], transposed), image.shape[1])
        high = inside(taps_at(i, kernel[1], stride[1], padding[1], dilation[1], transposed), image.shape[2])
        source = x + ((n * image.shape[1] + deep[2]) * image.shape[2] + high[2]) * line
        for first in range(begin, min(begin + step, end)):  # outputs `step` apart have the same taps
            taps = taps_at(first, kernel[2], stride[2], padding[2], dilation[2], transposed)
            weight = w + ((deep[0] * kernel[1] + high[0]) * kernel[2] + taps[0]) * pixel
            counts = deep[4], high[4], taps[4]
            moves = deep[3] * image.shape[2] * line, high[3] * line, taps[3] * pixel
            hops = deep[1] * kernel[1] * kernel[2] * pixel, high[1] * kernel[2] * pixel, taps[1] * pixel
            total = (end - first + step - 1) // step
            # From left to right or, where the next tap reads further to the left, from right to left.
            sign, start = (-1, total - 1) if taps[3] < 0 else (1, 0)
            at, move = taps[2] + start * image_step, abs(taps[3])
            place, target = source + at * pixel, y + (row * columns + first + start * step) * pixel
            at = wide - 1 - at if sign < 0 else at
            shared = image_step // move if image_step == move or image_step == 2 * move else 0
            near = sign * (move if shared else image_step)
            if counts != filled:
                number = _fill(table, counts, moves, hops, move, GROUP if shared else 1)
                filled = counts
            steps = sign * step * pixel, near * pixel, hops[2], abs(near)
            aheads = columns * pixel, line if transposed else (counts[1] + stride[1] - 1) * high[3] * line
            inner_begin = min(max(-(at // image_step), 0), total)
            inner_end = min((wide - 1 - at - max(taps[4] - 1, 0) * move) // image_step + 1, total)
            for j in range(0, total, TILE):
                x_place, y_place = place + j * sign * image_step * pixel, target + j * sign * step * pixel
                count, column = min(total - j, TILE), at + j * image_step
                inner = inner_begin <= j and j + TILE <= inner_end
                write_outputs(out, inner, shared, (y_place, x_place, weight, shift), steps, entries, number, count,
                              column, wide, aheads, channels)
        finish_here(out, y + (row * columns + begin) * pixel, 1, 0, (end - begin) * channels, tail)


@njit(cache=True, nogil=True, error_model="numpy")
def weight_gradient(sums: Array, totals: Array, image: Array, cotangent: Array, kernel: Triple, stride: Triple,
                    padding: Triple, dilation: Triple, part: int, parts: int) -> None:
    """Compute the gradients with respect to weights and bias of each segment of the images.

    Shares are channels, two registers at a time, of all segments.

    Args:
        sums: out, (`frames.segments_summed`, KD * KH * KW, C).
        totals: out, (`frames.segments_summed`, 2, C + `CHANNELS`) float64, the sums of the cotangent and their errors;
            of length 0 at last where there is no bias.
        image: in, (N, D, H, W, C).
        cotangent: in, (N, OD, OH, OW, C).
        kernel: taps.
        stride, padding, dilation: the convolution's.
    """
    images, channels, segments = image.shape[0], image.shape[4], sums.shape[0]
    lanes = width(zeros(sums, WIDE, WIDE))
    units, each = (channels + lanes - 1) // lanes, (images + segments - 1) // segments
    first, last = share(segments * units, part, parts)
    for segment in range(first // units, (last + units - 1) // units):
        lo, hi = max(first - segment * units, 0) * lanes, min((last - segment * units) * lanes, channels)
        _segment(sums[segment], totals[segment], image, cotangent, kernel, stride, padding, dilation, segment * each,
                 min(segment * each + each, images), lo, hi)


@njit(error_model="numpy")
def _segment(sums: Array, totals: Array, image: Array, cotangent: Array, kernel: Triple, stride: Triple,
             padding: Triple, dilation: Triple, begins: int, ends: int, lo: int, hi: int) -> None:
    """Compute the gradients of the channels from lo to hi of some images."""
    kernel_d, kernel_h, kernel_w = kernel
    depth, rows, columns, channels = cotangent.shape[1:]
    size, item = image.shape[3], sums.itemsize
    pixel, line = channels * item, size * channels * item
    s, x, dy = address(sums), address(image), address(cotangent)
    sums[:, lo:hi] = 0
    totals[:, lo:hi] = 0
    apart = stride[2] // dilation[2] if stride[2] in (dilation[2], 2 * dilation[2]) else 0
    each = max(POSITIONS // max(columns, 1), 1)  # rows of a stretch
    blocks, pieces = (rows + each - 1) // each, (columns + POSITIONS - 1) // POSITIONS
    for unit in range(begins * depth * blocks * pieces, ends * depth * blocks * pieces):
        plane, top, left = unit // pieces // blocks, unit // pieces % blocks * each, unit % pieces * POSITIONS
        height, count = min(each, rows - top), min(POSITIONS, columns - left)
        n, k = plane // depth, plane % depth
        factors = dy + ((plane * rows + top) * columns + left) * pixel
        # The rows of the image that the next stretch reads, and this one does not, begin behind those of the taps.
        fresh = max(height * stride[1] + (kernel_h - 1) * dilation[1] + 1 - stride[1], 0)
        aheads = fresh * line, height * columns * pixel
        for begin in range(lo, hi, CHANNELS):
            for a in range(kernel_d):
                at = k * stride[0] + a * dilation[0] - padding[0]
                if not 0 <= at < image.shape[1]:
                    continue
                for b in range(0, kernel_h, ROWS):
                    row = top * stride[1] + b * dilation[1] - padding[1]
                    source = x + ((n * image.shape[1] + at) * image.shape[2] + row) * line
                    tap = 0
                    while tap < kernel_w:
                        group = GROUP if apart and tap + GROUP <= kernel_w else 1
                        column, near = left * stride[2] + tap * dilation[2] - padding[2], stride[2]
                        if group > 1:
                            near = dilation[2]
                        first = min(max(-(column // stride[2]), 0), count)
                        last = min((size - 1 - column - (group - 1) * dilation[2]) // stride[2] + 1, count)
                        target = s + ((a * kernel_h + b) * kernel_w + tap) * pixel
                        add_sums(
                            sums, apart if group > 1 else 1,
                            (target + begin * item, source + column * pixel + begin * item, factors + begin * item),
                            (group, kernel_h - b),
                            (kernel_w * pixel, pixel, stride[1] * line, dilation[1] * line, near * pixel,
                             columns * pixel, pixel),
                            (height, row, stride[1], dilation[1], image.shape[2]),
                            (count, first, max(last, first), column, near, size),
                            aheads, min(begin + CHANNELS, hi) - begin,
                        )
                        tap += group
            if totals.shape[1] > 0:
                source = pointer(cotangent, ((plane * rows + top) * columns + left) * channels + begin)
                add_rows(totals[0, begin : begin + CHANNELS], totals[1, begin : begin + CHANNELS], source, channels,
                         height * count, min(begin + CHANNELS, hi) - begin, False)


@njit(cache=True, nogil=True, error_model="numpy")
def add_segments(out: Array, shifts: Array, sums: Array, totals: Array, part: int, parts: int) -> None:
    """Add what `weight_gradient` has found for each segment of the images, in their order. Shares are channels.

    Args:
        out: out, (C, 1, KD, KH, KW).
        shifts: out, (C,), or of length 0 where there is no bias.
        sums, totals: in, as `weight_gradient` leaves them.
    """
    segments, area, channels = sums.shape
    target = out.reshape(-1)
    lo, hi = share(channels, part, parts)
    for c in range(lo, hi):
        for tap in range(area):
            total = sums[0, tap, c]
            for segment in range(1, segments):
                total += sums[segment, tap, c]
            target[c * area + tap] = total
        if shifts.shape[0] > 0:
            shifts[c] = corrected_sum(totals, c)


# ---- Which outputs meet the image ------------------------------------------------------------------------------------


@njit(error_model="numpy")
def _fill(table: Any, counts: Triple, moves: Triple, hops: Triple, move: int, group: int) -> int:
    """Write for each group of taps where it reads, where its weights are, how many taps it has, and its column.

    Places count in bytes from those of the first tap in the image and its weights, columns from its column.
    """
    entries = 0
    for k, i in np.ndindex(counts[0], counts[1]):
        j = 0
        while j < counts[2]:
            some = min(group, counts[2] - j)
            store(table, k * moves[0] + i * moves[1] + j * moves[2])
            store(ahead(table, 1), k * hops[0] + i * hops[1] + j * hops[2])
            store(ahead(table, 2), some)
            store(ahead(table, 3), j * move)
            j += some
            entries += 1
            table = ahead(table, ENTRY)
    return entries
