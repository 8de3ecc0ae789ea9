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

import contextlib
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils as _cgutils
from numba.extending import intrinsic as _intrinsic

from autodiff_kernels.cpu import VECTOR_BYTES
from autodiff_kernels.lanes import Lanes, address, turns
from autodiff_kernels.maths import fma
from autodiff_kernels.matmul import STRETCH
from autodiff_kernels.memory import forward as ahead
from autodiff_kernels.memory import address_of, pointer, store
from autodiff_kernels.parts import share
from autodiff_kernels.taps import inside, taps_at
from autodiff_kernels.vectors import read, whole, width, write, zeros

# Numba's extension points are partly annotated.
cgutils: Any = _cgutils
intrinsic: Any = _intrinsic

_I64 = ir.IntType(64)

Array = np.ndarray[Any, np.dtype[Any]]
Pair = tuple[int, int]
Triple = tuple[int, int, int]
Places = tuple[int, int, int, int]

COLUMNS = 64  # of a share's unit, which is a row of outputs or a piece of one
TILE = 8  # outputs that are summed together
ENTRY = 4  # numbers of the table of places for a group of taps
GROUP = 3  # taps beside one another for which a pixel is read once, or whose gradients are summed together
CHANNELS = 64  # whose gradients are summed over a stretch, one after the other, while it stays in the cache


def places_scratch(kernel: Triple) -> int:
    """Return how many int64 of scratch `convolve` needs for each part."""
    return ENTRY * kernel[0] * kernel[1] * kernel[2]


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
    size, wide = out.itemsize, image.shape[3]
    pixel, line = channels * size, wide * channels * size
    y, x, w = address(out), address(image), address(weights)
    shift = address(bias) if bias.shape[0] else 0
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
                _tile(out, inner, shared, (y_place, x_place, weight, shift), steps, entries, number, count, column,
                      wide, aheads, channels)


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
def _positions(tap: int, begin: int, end: int, size: int, stride: int, padding: int, dilation: int) -> Pair:
    """Return the range of the outputs begin..end of one axis for which a tap reads inside the image."""
    at = tap * dilation - padding
    first = min(max(-(at // stride), begin), end)
    return first, max(min((size - 1 - at) // stride + 1, end), first)


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


# ---- Outputs ---------------------------------------------------------------------------------------------------------


def _outputs(stride: int, registers: int, edge: bool) -> Any:
    """Return an intrinsic that sums `TILE` outputs beside one another, for some registers of channels.

    Output t reads for tap k of a group the pixel t * stride + k, counted from the first one, so that a pixel is loaded
    once for all of them. At an edge pixels outside the image and outputs from `count` on do not exist. One register at
    an edge has `left` channels, if that is less. Arguments, addresses and steps in bytes:

    - places: of the first output, of its pixel for the first tap, of the weights, and of the bias or 0.
    - steps: from output to output, from pixel to pixel, from weight to weight; columns from pixel to pixel.
    - table, entries: what `_fill` has written.
    - edges: left, count, column of the first pixel, columns of the image.
    - aheads: how far away are the outputs and the pixels that are to be in the cache for the next row.
    """

    def outputs(typing_context: Any, like: Any, places: Any, steps: Any, table: Any, entries: Any, edges: Any,
                aheads: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _, places, steps, table, entries, edges, aheads = arguments
            y, x, w, bias = cgutils.unpack_tuple(builder, places)
            y_step, x_step, hop, column_step = cgutils.unpack_tuple(builder, steps)
            left, count, column, columns = cgutils.unpack_tuple(builder, edges)
            y_ahead, x_ahead = cgutils.unpack_tuple(builder, aheads)
            dtype = signature.args[0].dtype
            lanes = Lanes(builder, dtype, registers * VECTOR_BYTES * 8 // dtype.bitwidth)
            add, mul = builder.add, builder.mul
            masked = edge and registers == 1
            mask = lanes.first(left) if masked else None
            sums = [cgutils.alloca_once_value(builder, lanes.zeros) for _ in range(TILE)]

            def where(*condition: Any) -> Any:
                return builder.if_then(builder.icmp_unsigned("<", *condition)) if edge else contextlib.nullcontext()

            for line in range(0, registers * VECTOR_BYTES, 64):
                for i in range(TILE * stride):
                    lanes.prefetch(add(add(x, x_ahead), add(mul(x_step, _I64(i)), _I64(line))), far=True)
                for t in range(TILE):
                    lanes.prefetch(add(add(y, y_ahead), add(mul(y_step, _I64(t)), _I64(line))), far=True)
            with turns(builder, entries) as index:
                entry = builder.inttoptr(add(table, mul(index, _I64(8 * ENTRY))), _I64.as_pointer())
                offset, tap, taps, behind = (builder.load(builder.gep(entry, [_I64(i)])) for i in range(ENTRY))
                source, tap, first = add(x, offset), add(w, tap), add(column, behind)
                for group in range(1, GROUP + 1):
                    with builder.if_then(builder.icmp_signed("==", taps, _I64(group))):
                        weights = [lanes.load(add(tap, mul(hop, _I64(k))), mask) for k in range(group)]
                        for i in range((TILE - 1) * stride + group):
                            read = [(t, i - t * stride) for t in range(TILE) if 0 <= i - t * stride < group]
                            with where(add(first, mul(column_step, _I64(i))), columns):
                                pixel = lanes.load(add(source, mul(x_step, _I64(i))), mask)
                                for t, k in read:
                                    builder.store(lanes.fma(pixel, weights[k], builder.load(sums[t])), sums[t])
            shift = cgutils.alloca_once_value(builder, lanes.zeros)
            with builder.if_then(builder.icmp_signed("!=", bias, _I64(0))):
                builder.store(lanes.load(bias, mask), shift)
            for t in range(TILE):
                with where(_I64(t), count):
                    value = builder.fadd(builder.load(sums[t]), builder.load(shift))
                    lanes.store_first(value, add(y, mul(y_step, _I64(t))), left if masked else None)
            return context.get_dummy_value()

        return types.void(like, places, steps, types.intp, types.intp, edges, aheads), codegen

    return intrinsic(outputs)


WIDE = 2 if VECTOR_BYTES == 64 else 1  # registers of channels: AVX-512 has 32 registers, AVX2 16
_inner_1, _edge_1, _narrow_1 = _outputs(1, WIDE, False), _outputs(1, WIDE, True), _outputs(1, 1, True)
_inner_2, _edge_2, _narrow_2 = _outputs(2, WIDE, False), _outputs(2, WIDE, True), _outputs(2, 1, True)


@njit(error_model="numpy")
def _tile(like: Array, inner: bool, shared: int, places: Places, steps: Places, table: int, entries: int, count: int,
          column: int, columns: int, aheads: Pair, channels: int) -> None:
    """Write `count` outputs that have the same taps, those of the table, by the intrinsics above.

    Args:
        inner: whether there are `TILE` outputs and all pixels they read.
        shared: how many pixels lie between two outputs' if taps read neighbouring ones, or 0 for groups of one tap.
    """
    lanes, register = width(zeros(like, WIDE, WIDE)), width(zeros(like, 1, 1))
    c = 0
    while c < channels:
        wide = channels >= lanes and channels - c > lanes - register
        some = lanes if wide else min(channels, register)
        at = min(c, channels - some) * like.itemsize  # the last registers may repeat what those before them do
        here = places[0] + at, places[1] + at, places[2] + at, places[3] + at if places[3] else 0
        edges = some, count, column, columns
        if wide and inner:
            if shared == 2:
                _inner_2(like, here, steps, table, entries, edges, aheads)
            else:
                _inner_1(like, here, steps, table, entries, edges, aheads)
        elif wide:
            if shared == 2:
                _edge_2(like, here, steps, table, entries, edges, aheads)
            else:
                _edge_1(like, here, steps, table, entries, edges, aheads)
        elif shared == 2:
            _narrow_2(like, here, steps, table, entries, edges, aheads)
        else:
            _narrow_1(like, here, steps, table, entries, edges, aheads)
        c += some


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
