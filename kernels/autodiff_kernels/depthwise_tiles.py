"""The tiles of depthwise convolution, held in registers: outputs beside one another, and sums of a weight's gradient.

A pixel is loaded once for all taps that read it. What `depthwise.py` says of the order of additions holds here.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils as _cgutils
from numba.extending import intrinsic as _intrinsic

from autodiff_kernels.cpu import VECTOR_BYTES, VECTOR_REGISTERS
from autodiff_kernels.lanes import Lanes, turns
from autodiff_kernels.vectors import width, zeros

# Numba's extension points are partly annotated.
cgutils: Any = _cgutils
intrinsic: Any = _intrinsic

_I64 = ir.IntType(64)

Array = np.ndarray[Any, np.dtype[Any]]
Pair = tuple[int, int]
Triple = tuple[int, int, int]
Places = tuple[int, int, int, int]

TILE = 8  # outputs that are summed together
ENTRY = 4  # numbers of the table of places for a group of taps
GROUP = 3  # taps beside one another for which a pixel is loaded once, at most
ROWS = 3  # of taps whose gradients are summed together
RUN = 4  # positions beside one another for which a pixel is loaded once for the gradients of a row of taps
LINE = 64  # bytes of a line of the cache
WIDE = VECTOR_REGISTERS // 16  # registers of channels beside one another, for each of which there are `TILE` sums


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

            for line in range(0, registers * VECTOR_BYTES, LINE):
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


_inner_1, _edge_1, _narrow_1 = _outputs(1, WIDE, False), _outputs(1, WIDE, True), _outputs(1, 1, True)
_inner_2, _edge_2, _narrow_2 = _outputs(2, WIDE, False), _outputs(2, WIDE, True), _outputs(2, 1, True)


@njit(error_model="numpy")
def write_outputs(like: Array, inner: bool, shared: int, places: Places, steps: Places, table: int, entries: int,
                  count: int, column: int, columns: int, aheads: Pair, channels: int) -> None:
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


def _sums(stride: int, registers: int, masked: bool) -> Any:
    """Return an intrinsic that adds the sums of a stretch of positions to taps' gradients.

    It does so for some registers of channels, and for `GROUP` taps or 1 of each of up to `ROWS` rows. Position j reads
    for tap k of a row the pixel j * stride + k. Arguments, addresses and steps in bytes:

    - places: of the sums, of the first position's pixel for the first tap, which need not exist, and of its cotangent.
    - taps: how many of each row, and how many rows there are.
    - steps: of sums from row to row and from tap to tap; of pixels from a row of positions to the next, from a row of
      taps to the next, and from pixel to pixel; of cotangents from row to row and from position to position.
    - rows: how many of positions; the row of the first one's pixel, the step to the next one's and to the next tap's,
      the rows of the image.
    - columns: how many positions; the range of those all pixels of which exist; the column of the first pixel, the step
      from pixel to pixel, the columns of the image.
    - left: the channels that exist, where masked.
    - aheads: how far away are the pixels and cotangents that are to be in the cache for the next stretch.
    """

    def add_sums(typing_context: Any, like: Any, places: Any, taps: Any, steps: Any, rows: Any, columns: Any, left: Any,
                 aheads: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _, places, taps, steps, rows, columns, left, aheads = arguments
            s, x, dy = cgutils.unpack_tuple(builder, places)
            group_size, tap_rows = cgutils.unpack_tuple(builder, taps)
            s_row, s_step, x_row, x_tap_row, x_step, dy_row, dy_step = cgutils.unpack_tuple(builder, steps)
            row_count, row, row_step, tap_row_step, height = cgutils.unpack_tuple(builder, rows)
            count, begin, end, column, column_step, wide = cgutils.unpack_tuple(builder, columns)
            x_ahead, dy_ahead = cgutils.unpack_tuple(builder, aheads)
            dtype = signature.args[0].dtype
            lanes = Lanes(builder, dtype, registers * VECTOR_BYTES * 8 // dtype.bitwidth)
            add, mul, less = builder.add, builder.mul, builder.icmp_unsigned
            mask = lanes.first(left) if masked else None
            runs = builder.sdiv(builder.sub(end, begin), _I64(RUN))
            run_end = add(begin, mul(runs, _I64(RUN)))
            turns_of_row = builder.sub(count, mul(runs, _I64(RUN - 1)))

            def stretch(group: int) -> None:
                cells = [(r, k) for r in range(ROWS) for k in range(group)]
                sums = {cell: cgutils.alloca_once_value(builder, lanes.zeros) for cell in cells}

                def multiply(r: int, k: int, pixel: Any, factor: Any) -> None:
                    builder.store(lanes.fma(pixel, factor, builder.load(sums[r, k])), sums[r, k])

                def run(pixels: list[Any], cotangents: Any, exists: list[Any]) -> None:
                    factors = [lanes.load(add(cotangents, mul(dy_step, _I64(t))), mask) for t in range(RUN)]
                    for line in range(0, registers * VECTOR_BYTES, LINE):
                        for t in range(RUN):
                            place = add(cotangents, add(dy_ahead, mul(dy_step, _I64(t))))
                            lanes.prefetch(add(place, _I64(line)), far=True)
                        for pixel in pixels[:stride]:
                            for i in range(RUN * stride):
                                place = add(pixel, add(x_ahead, mul(x_step, _I64(i))))
                                lanes.prefetch(add(place, _I64(line)), far=True)
                    for r in range(ROWS):
                        with builder.if_then(exists[r]):
                            for i in range((RUN - 1) * stride + group):
                                read = [(t, i - t * stride) for t in range(RUN) if 0 <= i - t * stride < group]
                                pixel = lanes.load(add(pixels[r], mul(x_step, _I64(i))), mask)
                                for t, k in read:
                                    multiply(r, k, pixel, factors[t])

                def single(pixels: list[Any], cotangent: Any, exists: list[Any], first: Any) -> None:
                    factor = lanes.load(cotangent, mask)
                    for k in range(group):
                        with builder.if_then(less("<", add(first, mul(column_step, _I64(k))), wide)):
                            for r in range(ROWS):
                                with builder.if_then(exists[r]):
                                    multiply(r, k, lanes.load(add(pixels[r], mul(x_step, _I64(k))), mask), factor)

                with turns(builder, row_count) as i:
                    at = add(row, mul(row_step, i))
                    places_of_rows = [add(at, mul(tap_row_step, _I64(r))) for r in range(ROWS)]
                    exists = [
                        builder.and_(less("<", place, height), less("<", _I64(r), tap_rows))
                        for r, place in enumerate(places_of_rows)
                    ]
                    source, factors = add(x, mul(x_row, i)), add(dy, mul(dy_row, i))
                    position = cgutils.alloca_once_value(builder, _I64(0))
                    builder.store(_I64(0), position)
                    with turns(builder, turns_of_row):
                        j = builder.load(position)
                        here = add(source, mul(mul(x_step, _I64(stride)), j))
                        pixels = [add(here, mul(x_tap_row, _I64(r))) for r in range(ROWS)]
                        cotangents = add(factors, mul(dy_step, j))
                        inner = builder.and_(builder.icmp_signed("<=", begin, j), builder.icmp_signed("<", j, run_end))
                        with builder.if_else(inner) as (then, otherwise):
                            with then:
                                run(pixels, cotangents, exists)
                                builder.store(add(j, _I64(RUN)), position)
                            with otherwise:
                                single(pixels, cotangents, exists, add(column, mul(mul(column_step, _I64(stride)), j)))
                                builder.store(add(j, _I64(1)), position)
                for r, k in cells:
                    with builder.if_then(less("<", _I64(r), tap_rows)):
                        place = add(s, add(mul(s_row, _I64(r)), mul(s_step, _I64(k))))
                        total = builder.fadd(lanes.load(place, mask), builder.load(sums[r, k]))
                        lanes.store_first(total, place, left if masked else None)

            for group in (1, GROUP):
                with builder.if_then(builder.icmp_signed("==", group_size, _I64(group))):
                    stretch(group)
            return context.get_dummy_value()

        return types.void(like, places, taps, steps, rows, columns, types.intp, aheads), codegen

    return intrinsic(add_sums)


_sums_1, _some_sums_1 = _sums(1, WIDE, False), _sums(1, 1, True)
_sums_2, _some_sums_2 = _sums(2, WIDE, False), _sums(2, 1, True)


@njit(error_model="numpy")
def add_sums(like: Array, shared: int, places: Triple, taps: Pair, steps: Any, rows: Any, columns: Any, aheads: Pair,
             channels: int) -> None:
    """Add the sums of a stretch of positions to the gradients of some taps, by the intrinsics above.

    Args:
        shared: how many pixels lie between two positions' if taps read neighbouring ones; 0 or 1 for one tap.
    """
    lanes, register = width(zeros(like, WIDE, WIDE)), width(zeros(like, 1, 1))
    c = 0
    while c < channels:
        at, wide = c * like.itemsize, channels - c >= lanes
        here = places[0] + at, places[1] + at, places[2] + at
        if wide:
            if shared == 2:
                _sums_2(like, here, taps, steps, rows, columns, lanes, aheads)
            else:
                _sums_1(like, here, taps, steps, rows, columns, lanes, aheads)
        elif shared == 2:
            _some_sums_2(like, here, taps, steps, rows, columns, channels - c, aheads)
        else:
            _some_sums_1(like, here, taps, steps, rows, columns, channels - c, aheads)
        c += lanes if wide else register
