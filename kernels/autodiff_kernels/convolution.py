"""Convolution over channels-last volumes: forward, data gradient, weight gradient.

An image is a volume of depth 1, a line a volume of depth and height 1.

All three are one matrix product whose left factor is never built: its element (position, tap) is the image's element at
``place of the position + place of the tap``, and the register tile of `lanes.py` reads those places from two tables
(Dukhan, The Indirect Convolution Algorithm, arXiv:1907.02129, with one table entry a tap instead of one a pixel)::

    out[n, p, o] = sum over k, c of image[n, p*stride + k*dilation, c] * w[o, c, k]

where place p and tap k have three coordinates each: depth, row and column. All triples below are in this order.

Zero padding stands in memory: `pad` copies the image into a frame whose size `frames.py` gives; where the frame is the
image itself the copy is left out. The order of calls, each finished by all parts before the next begins:

- forward: `pad` x into its frame, `pack_weights`, `forward`
- data gradient, also transposed convolution's forward: `pad` dy into its frame, `pack_weights` transposed,
  `data_gradient`
- weight gradient: `pad` x into its frame, `weight_gradient`, `add_segments`

`forward_by_images` and `data_gradient_by_images`, and `weight_gradient` if it gets frames, do the padding, too, some
images at a time.

Sums follow `matmul`: stretches of `stretch_of` products (taps by depth, row, column, channel; positions by image,
depth, row, column), each summed in order by FMA from 0, stretches added in order, the bias added last. The bits do not
depend on parts, tile or vector width. Images are C-contiguous (N, D, H, W, C), weights C-contiguous
(O, C / groups, KD, KH, KW), float32 or float64. A bias's gradient, the sum of the cotangent over all positions, is
accumulated as in `accumulate.py`, stretch by stretch while the weight's gradient reads them. The sums of a weight's
gradient are those of segments of the images (`frames.segments_summed`), added in their order.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numba.types import int64

from autodiff_kernels.accumulate import add_rows, corrected_sum
from autodiff_kernels.cpu import VECTOR_BYTES
from autodiff_kernels.epilogue import WORDS, finish, note
from autodiff_kernels.lanes import (
    RELU,
    TILE_ROWS,
    TILE_VECTORS,
    address,
    gathered_edge_tile,
    gathered_full_narrow_tile,
    gathered_full_tile,
    gathered_low_narrow_tile,
    gathered_low_tile,
    gathered_narrow_tile,
)
from autodiff_kernels.matmul import STRETCH, stretch_of
from autodiff_kernels.memory import array, pointer, pointer_at, stack
from autodiff_kernels.parts import share
from autodiff_kernels.tall_tile import FITS, RUNS, in_runs, tile_of_eights, tile_of_nines

Array = np.ndarray[Any, np.dtype[Any]]
Triple = tuple[int, int, int]

POSITIONS = 96  # positions of a share's unit: whole tiles, enough to use a panel of weights many times


# ---- Kernels ---------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def pad(out: Array, image: Array, begin: Triple, part: int, parts: int) -> None:
    """Copy the image into a frame of zeros: ``out[n, begin + p, c] = image[n, p, c]``. Shares are rows.

    Args:
        out: out, (N, depth, rows, columns, C). What of the image falls outside is left out.
        image: in, (N, D, H, W, C), same dtype.
        begin: place of the frame where the image begins, each at least 0.
    """
    images, depth, rows, columns, channels = out.shape
    source, target = image.reshape(-1), out.reshape(-1)
    front, top, left = begin
    margin, width = left * channels, max(min(image.shape[3], columns - left), 0) * channels
    length, image_length = columns * channels, image.shape[3] * channels
    lo, hi = share(images * depth * rows, part, parts)
    for row in range(lo, hi):
        n, k, i = row // rows // depth, row // rows % depth - front, row % rows - top
        line = target[row * length : (row + 1) * length]
        if 0 <= k < image.shape[1] and 0 <= i < image.shape[2]:
            start = ((n * image.shape[1] + k) * image.shape[2] + i) * image_length
            inside, values = line[margin : margin + width], source[start : start + width]
            for c in range(width):
                inside[c] = values[c]
            line[:margin] = 0
            line[margin + width :] = 0
        else:
            line[:] = 0


@njit(cache=True, nogil=True, error_model="numpy")
def pack_weights(out: Array, w: Array, stride: Triple, dilation: Triple, groups: int, transposed: int, part: int,
                 parts: int) -> None:
    """Order the weights as `forward` (transposed = 0) or `data_gradient` (transposed = 1) reads them.

    Group by group and panel of columns by panel, rows are (tap, channel) and columns output channels; transposed, rows
    are (tap, output channel) and columns channels, and taps are sorted by the outputs that they reach together under
    the stride. Shares are rows of panels.

    Args:
        out: out, as many elements as w, same dtype.
        w: in, (O, C / groups, KD, KH, KW).
        stride, dilation: the convolution's; they count only if transposed.
        groups: number of groups.
        transposed: 0 or 1.
    """
    outputs, channels, kernel_d, kernel_h, kernel_w = w.shape
    rows, columns = _sizes(outputs, channels, groups, transposed)
    step_d, step_h, step_w = stride if transposed else (1, 1, 1)
    area = kernel_d * kernel_h * kernel_w
    width = _panel_width(out)
    source, size = w.reshape(-1), rows * area * columns
    row_step, column_step = (channels * area, area) if transposed else (area, channels * area)
    panels = (columns + width - 1) // width
    lo, hi = share(groups * panels * rows, part, parts)
    for item in range(lo, hi):
        group, panel, row = item // rows // panels, item // rows % panels * width, item % rows
        wide = min(width, columns - panel)
        origin = group * size + row * row_step + panel * column_step
        at = group * size + panel * rows * area + row * wide
        for residue_d, residue_h, residue_w in np.ndindex(step_d, step_h, step_w):
            first_d, hop_d, taps_d = taps_of_residue(kernel_d, step_d, dilation[0], residue_d)
            first_h, hop_h, taps_h = taps_of_residue(kernel_h, step_h, dilation[1], residue_h)
            first_w, hop_w, taps_w = taps_of_residue(kernel_w, step_w, dilation[2], residue_w)
            for k, i, j in np.ndindex(taps_d, taps_h, taps_w):
                plane = (first_d + k * hop_d) * kernel_h + first_h + i * hop_h
                tap = origin + plane * kernel_w + first_w + j * hop_w
                for column in range(wide):
                    out[at + column] = source[tap + column * column_step]
                at += rows * wide


@njit(cache=True, nogil=True, error_model="numpy")
def forward(out: Array, offsets: Array, image: Array, packed: Array, bias: Array, residual: Array, scale: Array,
            activation: int, kernel: Triple, stride: Triple, dilation: Triple, groups: int, part: int, parts: int
            ) -> None:
    """Convolve: the formula above, plus ``bias[o]``, with an epilogue (`epilogue.py`).

    Shares are blocks of positions by panels of output channels.

    Args:
        out: out, (N, OD, OH, OW, O).
        offsets: scratch, `offsets_scratch` int64.
        image: in, the padded image (N, depth, rows, columns, C) of `frames.forward_frame`.
        packed: in, the weights from `pack_weights` (transposed = 0).
        bias: in, (O,), or of length 0 for none.
        residual: in, flat, lying like `out`, or of length 0 for none.
        scale: in, one number, or of length 0 for none.
        activation: one of `epilogue.ACTIVATIONS`, or NONE.
        kernel, stride, dilation: the convolution's.
        groups: number of groups.
    """
    tail = note(stack(int64(0), WORDS), address(out), residual, scale, activation)
    table = part * _offsets(kernel, image.shape[4] // groups)
    _forward(out, offsets, table, image, packed, bias, tail, kernel, stride, dilation, groups, part, parts)


@njit(error_model="numpy")
def _forward(out: Array, offsets: Array, table: int, image: Array, packed: Array, bias: Array, tail: int,
             kernel: Triple, stride: Triple, dilation: Triple, groups: int, part: int, parts: int) -> None:
    """Do `forward`, with the table that begins at `table`."""
    depth, columns = _sizes(out.shape[4], image.shape[4] // groups, groups, 0)
    _convolve(out, offsets, table, image, packed, bias, tail, groups, depth, columns,
              (out.shape[1], out.shape[2], out.shape[3]), (0, 0, 0), (1, 1, 1), (0, 0, 0), stride, kernel, dilation,
              0, kernel[0] * kernel[1] * kernel[2], part, parts)  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy")
def forward_by_images(out: Array, offsets: Array, frames: Array, image: Array, packed: Array, bias: Array,
                      residual: Array, scale: Array, activation: int, begin: Triple, kernel: Triple, stride: Triple,
                      dilation: Triple, groups: int, part: int, parts: int) -> None:
    """Do `pad` and `forward`, some images at a time: their frame stays in the second-level cache.

    Args:
        out, offsets, packed, bias, residual, scale, activation, kernel, stride, dilation, groups: as in `forward`.
        frames: scratch, (parts, `images_together`, depth, rows, columns, C). Shares are as many images.
        image: in, (N, D, H, W, C).
        begin: place of the image in its frame.
    """
    tail = note(stack(int64(0), WORDS), address(out), residual, scale, activation)
    table, together = part * _offsets(kernel, image.shape[4] // groups), frames.shape[1]
    low, high = share((out.shape[0] + together - 1) // together, part, parts)
    for unit in range(low, high):
        count = min(together, image.shape[0] - unit * together)
        place = _frame_images(frames, image, unit * together, count, begin, part)
        results = array(pointer(out, unit * together * (out.size // out.shape[0])), (count,) + out.shape[1:])
        _forward(results, offsets, table, array(place, (count,) + frames.shape[2:]), packed, bias, tail, kernel, stride,
                 dilation, groups, 0, 1)


@njit(error_model="numpy")
def _frame_images(frames: Array, image: Array, first: int, count: int, begin: Triple, part: int) -> Any:
    """Pad `count` images from the `first` on into the frames of a part; return a pointer to them."""
    _, together, depth, rows, columns, channels = frames.shape
    place = pointer(frames, part * together * depth * rows * columns * channels)
    pad(array(place, (count, depth, rows, columns, channels)),
        array(pointer(image, first * (image.size // image.shape[0])), (count,) + image.shape[1:]), begin, 0, 1)
    return place


@njit(cache=True, nogil=True, error_model="numpy")
def data_gradient(out: Array, offsets: Array, cotangent: Array, packed: Array, bias: Array, residual: Array,
                  scale: Array, activation: int, begin: Triple, kernel: Triple, stride: Triple, padding: Triple,
                  dilation: Triple, groups: int, part: int, parts: int) -> None:
    """Compute the gradient with respect to the image, or transposed convolution, plus ``bias[c]``, with an epilogue.

    ::

        out[n, p, c] = sum of dy[n, q, o] * w[o, c, k]  over q*stride + k*dilation = p + padding

    Under a stride the places of out fall into classes by ``(p + padding) % stride``; each class is a convolution of its
    own with the taps ``k*dilation % stride`` equal to that (Dumoulin and Visin, A guide to convolution arithmetic,
    arXiv:1603.07285, section 4.6, without the zeros between). Shares as in `forward`, class by class.

    Args:
        out: out, (N, D, H, W, C), of any size that the caller wants (output padding).
        offsets: scratch, `offsets_scratch` int64.
        cotangent: in, the padded dy (N, depth, rows, columns, O) of `data_gradient_frame`.
        packed: in, the weights from `pack_weights` (transposed = 1).
        bias: in, (C,), or of length 0 for none.
        residual, scale, activation: as in `forward`.
        begin: where the frame's dy begins.
        kernel, stride, padding, dilation: the convolution's.
        groups: number of groups.
    """
    tail = note(stack(int64(0), WORDS), address(out), residual, scale, activation)
    table = part * _offsets(kernel, cotangent.shape[4] // groups)
    _data_gradient(out, offsets, table, cotangent, packed, bias, tail, begin, kernel, stride, padding, dilation, groups,
                   part, parts)


@njit(error_model="numpy")
def _data_gradient(out: Array, offsets: Array, table: int, cotangent: Array, packed: Array, bias: Array, tail: int,
                   begin: Triple, kernel: Triple, stride: Triple, padding: Triple, dilation: Triple, groups: int,
                   part: int, parts: int) -> None:
    """Do `data_gradient`, with the table that begins at `table`."""
    depth, columns = _sizes(cotangent.shape[4], out.shape[4] // groups, groups, 1)
    before = 0
    for residue_d, residue_h, residue_w in np.ndindex(stride[0], stride[1], stride[2]):
        d, h, w = (_class(residue_d, out.shape[1], begin[0], kernel[0], stride[0], padding[0], dilation[0]),
                   _class(residue_h, out.shape[2], begin[1], kernel[1], stride[1], padding[1], dilation[1]),
                   _class(residue_w, out.shape[3], begin[2], kernel[2], stride[2], padding[2], dilation[2]))
        taps = (d[3], h[3], w[3])
        _convolve(out, offsets, table, cotangent, packed, bias, tail, groups, depth, columns, (d[1], h[1], w[1]),
                  (d[0], h[0], w[0]), stride, (d[2], h[2], w[2]), (1, 1, 1), taps, (d[4], h[4], w[4]),
                  before, kernel[0] * kernel[1] * kernel[2], part, parts)
        before += taps[0] * taps[1] * taps[2]


@njit(cache=True, nogil=True, error_model="numpy")
def data_gradient_by_images(out: Array, offsets: Array, frames: Array, cotangent: Array, packed: Array, bias: Array,
                            residual: Array, scale: Array, activation: int, begin: Triple, kernel: Triple,
                            stride: Triple, padding: Triple, dilation: Triple, groups: int, part: int, parts: int
                            ) -> None:
    """Do `pad` and `data_gradient`, some images at a time, as `forward_by_images` does.

    Args:
        out, offsets, packed, bias, residual, scale, activation, begin, kernel, stride, padding, dilation, groups: as in
            `data_gradient`.
        frames: scratch, (parts, `images_together`, depth, rows, columns, O). Shares are as many images.
        cotangent: in, dy (N, OD, OH, OW, O).
    """
    tail = note(stack(int64(0), WORDS), address(out), residual, scale, activation)
    table, together = part * _offsets(kernel, cotangent.shape[4] // groups), frames.shape[1]
    low, high = share((out.shape[0] + together - 1) // together, part, parts)
    for unit in range(low, high):
        count = min(together, cotangent.shape[0] - unit * together)
        place = _frame_images(frames, cotangent, unit * together, count, begin, part)
        results = array(pointer(out, unit * together * (out.size // out.shape[0])), (count,) + out.shape[1:])
        _data_gradient(results, offsets, table, array(place, (count,) + frames.shape[2:]), packed, bias, tail, begin,
                       kernel, stride, padding, dilation, groups, 0, 1)


@njit(cache=True, nogil=True, error_model="numpy")
def weight_gradient(sums: Array, totals: Array, offsets: Array, frames: Array, image: Array, cotangent: Array,
                    kernel: Triple, begin: Triple, stride: Triple, dilation: Triple, groups: int, part: int, parts: int
                    ) -> None:
    """Compute the gradients with respect to weights and bias of each segment of the images.

    ::

        sum over n, p of image[n, p*stride + k*dilation, c] * dy[n, p, o],   sum over n, p of dy[n, p, o]

    Shares are tiles of (tap, channel) by output channels, of all segments.

    Args:
        sums: out, (`segments_summed`, O * C / groups * taps), group by group and panel of output channels by panel:
            rows are (tap, channel), columns output channels.
        totals: out, (`segments_summed`, 2, `totals_scratch`) float64, the sums of the cotangent and their errors; of
            length 0 at last where there is no bias.
        offsets: scratch, `offsets_scratch` int64.
        frames: scratch, (parts, `images_summed`, depth, rows, columns, C): so many images are padded and summed at a
            time, each part pads those of its segments; or of length 0.
        image: in, (N, D, H, W, C); without frames padded, (N, depth, rows, columns, C) of `frames.forward_frame`.
        cotangent: in, dy (N, OD, OH, OW, O).
        kernel: taps.
        begin: place of the image in its frame.
        stride, dilation: the convolution's.
        groups: number of groups.
    """
    outputs, depth = cotangent.shape[4], image.shape[4] // groups
    columns, size, taps = outputs // groups, sums.itemsize, kernel[0] * kernel[1] * kernel[2] * depth
    tiles, panels, width = _tiles_and_panels(sums, taps, columns)
    units = groups * panels * tiles
    tap_table = part * (2 * taps + STRETCH)
    row_table, position_table = tap_table + taps, tap_table + 2 * taps
    framed, images = frames.shape[0] > 0, image.shape[0]
    each = (images + sums.shape[0] - 1) // sums.shape[0]
    together = frames.shape[1] if framed else max(each, 1)
    tables = address(offsets)
    grid = cotangent.shape[1], cotangent.shape[2], cotangent.shape[3]
    area = grid[0] * grid[1] * grid[2]
    stretch, pace = stretch_of(together * area), _image_bytes(image) // max(area, 1)
    lo, hi = share(sums.shape[0] * units, part, parts)
    for segment in range(lo // units, (hi + units - 1) // units):
        low, high = max(lo - segment * units, 0), min(hi - segment * units, units)
        totals[segment, :, (low + tiles - 1) // tiles * width : (high + tiles - 1) // tiles * width] = 0
        begins, ends = segment * each, min(segment * each + each, images)
        for n in range(begins, max(ends, begins + 1), together):
            some = min(together, ends - n)
            place = pointer(image, n * (image.size // max(images, 1)))
            if framed:
                place = _frame_images(frames, image, n, some, begin, part)
            now = array(place, (some,) + (frames.shape[2:] if framed else image.shape[1:]))
            if n == begins:
                _fill_taps(offsets, tap_table, kernel, depth, _moves(now, dilation), size)
            for start in range(0, max(some * area, 1), stretch):
                count, again = min(stretch, some * area - start), n - begins + start
                _fill_positions(offsets, position_table, start, count, grid, _image_bytes(now), _moves(now, stride), 0)
                for tile_column in range(low // tiles, (high + tiles - 1) // tiles):
                    group, panel = tile_column // panels, tile_column % panels * width
                    wide, column = min(width, columns - panel), group * columns + panel
                    first = max(low - tile_column * tiles, 0) * TILE_ROWS
                    last = min(min(high - tile_column * tiles, tiles) * TILE_ROWS, taps)
                    for tap in range(taps):
                        offsets[row_table + tap] = tap * wide * size
                    dy = (n * area + start) * outputs + column
                    _tap_tiles(sums, address(sums) + (segment * sums.shape[1] + column * taps) * size,
                           tables + 8 * (row_table + first), address(now) + group * depth * size,
                           tables + 8 * (tap_table + first), last - first, tables + 8 * position_table, count,
                           address(cotangent) + dy * size, outputs * size, wide, again,
                           address(image) + ((n + some) * area + start) * pace, pace)
                    if totals.shape[2] > 0 and first == 0:
                        slot = slice(tile_column * width, tile_column * width + width)
                        add_rows(totals[segment, 0, slot], totals[segment, 1, slot], pointer(cotangent, dy), outputs,
                                 count, wide, False)


@njit(cache=True, nogil=True, error_model="numpy")
def add_segments(out: Array, shifts: Array, sums: Array, totals: Array, groups: int, part: int, parts: int) -> None:
    """Add what `weight_gradient` has found for each segment of the images, in their order.

    Shares are tiles of (tap, channel) by output channels.

    Args:
        out: out, (O, C / groups, KD, KH, KW).
        shifts: out, (O,), or of length 0 where there is no bias.
        sums, totals: in, as `weight_gradient` leaves them.
        groups: number of groups.
    """
    outputs, depth, kernel_d, kernel_h, kernel_w = out.shape
    area, columns, segments = kernel_d * kernel_h * kernel_w, outputs // groups, sums.shape[0]
    taps, target, source = area * depth, out.reshape(-1), sums.reshape(-1)
    tiles, panels, width = _tiles_and_panels(out, taps, columns)
    lo, hi = share(groups * panels * tiles, part, parts)
    for tile in range(lo, hi):
        group, panel = tile // tiles // panels, tile // tiles % panels * width
        wide, column = min(width, columns - panel), group * columns + panel
        for tap in range(tile % tiles * TILE_ROWS, min((tile % tiles + 1) * TILE_ROWS, taps)):
            at, place = column * taps + tap * wide, column * taps + tap % depth * area + tap // depth
            for j in range(wide):
                total = source[at + j]
                for segment in range(1, segments):
                    total += source[segment * sums.shape[1] + at + j]
                target[place + j * taps] = total
        if shifts.shape[0] > 0 and tile % tiles == 0:
            for j in range(wide):
                shifts[column + j] = corrected_sum(totals, tile // tiles * width + j)


# ---- Helpers of compiled code ----------------------------------------------------------------------------------------


@njit(error_model="numpy")
def _sizes(outputs: int, channels: int, groups: int, transposed: int) -> tuple[int, int]:
    """Return the depth of a tap and the columns of a group."""
    each = outputs // groups
    return (each, channels) if transposed else (channels, each)


@njit(error_model="numpy")
def _offsets(kernel: Triple, depth: int) -> int:
    """Return how many places `_convolve` tables for one part."""
    return kernel[0] * kernel[1] * kernel[2] * depth + 2 * POSITIONS


@njit(error_model="numpy")
def _tiles_and_panels(like: Array, taps: int, columns: int) -> Triple:
    """Return of a group's weights: tiles of (tap, channel), panels of columns, and the width of a panel."""
    width = _panel_width(like)
    return (taps + TILE_ROWS - 1) // TILE_ROWS, (columns + width - 1) // width, width


@njit(error_model="numpy")
def _panel_width(like: Array) -> int:
    return VECTOR_BYTES // like.itemsize * TILE_VECTORS


@njit(error_model="numpy")
def taps_of_residue(kernel: int, stride: int, dilation: int, residue: int) -> tuple[int, int, int]:
    """First, step and number of the taps k < kernel with k * dilation % stride == residue."""
    step = stride // math.gcd(stride, dilation)
    for first in range(min(step, kernel)):
        if first * dilation % stride == residue:
            return first, step, (kernel - first + step - 1) // step
    return 0, step, 0


@njit(error_model="numpy")
def _class(residue: int, size: int, begin: int, kernel: int, stride: int, padding: int,
           dilation: int) -> tuple[int, int, int, int, int]:
    """Of the outputs of one axis that share their taps: the first, their number, where the first reads, taps, step."""
    first, hop, taps = taps_of_residue(kernel, stride, dilation, residue)
    least = (residue - padding) % stride
    place = begin + (least + padding) // stride - first * dilation // stride
    return least, max((size - least + stride - 1) // stride, 0), place, taps, -(hop * dilation // stride)


@njit(error_model="numpy")
def _image_bytes(image: Array) -> int:
    return image.shape[1] * image.shape[2] * image.shape[3] * image.shape[4] * image.itemsize


@njit(error_model="numpy")
def _moves(image: Array, steps: Triple) -> Triple:
    """Return how many bytes further a step along each axis of an image leads."""
    pixel = image.shape[4] * image.itemsize
    line = image.shape[3] * pixel
    return steps[0] * image.shape[2] * line, steps[1] * line, steps[2] * pixel


@njit(error_model="numpy")
def _fill_positions(offsets: Array, at: int, first: int, count: int, grid: Triple, image: int, moves: Triple,
                    origin: int) -> None:
    """Write the places of `count` positions from the `first` on, of a grid in each image."""
    depth, rows, columns = grid
    line, j = first // columns, first % columns
    n, k, i = line // rows // depth, line // rows % depth, line % rows
    done = 0
    while done < count:
        place, run = origin + n * image + k * moves[0] + i * moves[1] + j * moves[2], min(columns - j, count - done)
        for p in range(run):
            offsets[at + done + p] = place + p * moves[2]
        done += run
        i, j = i + 1, 0
        if i == rows:
            k, i = k + 1, 0
            if k == depth:
                n, k = n + 1, 0


@njit(error_model="numpy")
def _fill_taps(offsets: Array, at: int, taps: Triple, depth: int, moves: Triple, size: int) -> None:
    """Write the places of the taps: by depth, row, column and channel."""
    for k in range(taps[0]):
        for i in range(taps[1]):
            for j in range(taps[2]):
                for c in range(depth):
                    offsets[at] = k * moves[0] + i * moves[1] + j * moves[2] + c * size
                    at += 1


@njit(error_model="numpy")
def _convolve(out: Array, offsets: Array, tap_table: int, image: Array, packed: Array, bias: Array, tail: int,
              groups: int, depth: int, columns: int, grid: Triple, out_begin: Triple, out_step: Triple, begin: Triple,
              step: Triple, taps_by_axis: Triple, tap_step: Triple, taps_before: int, all_taps: int, part: int,
              parts: int) -> None:
    """Convolve a grid of positions in each image, whose taps begin `taps_before` in the packed weights.

    The part's table begins at `tap_table` of the offsets.
    """
    size = out.itemsize
    width = _panel_width(out)
    panels = (columns + width - 1) // width
    taps = taps_by_axis[0] * taps_by_axis[1] * taps_by_axis[2] * depth
    positions = out.shape[0] * grid[0] * grid[1] * grid[2]
    blocks = (positions + POSITIONS - 1) // POSITIONS
    lo, hi = share(blocks * groups * panels, part, parts)
    if lo == hi:
        return
    image_table, out_table = tap_table + taps, tap_table + taps + POSITIONS
    origin, out_origin = _moves(image, begin), _moves(out, out_begin)
    _fill_taps(offsets, tap_table, taps_by_axis, depth, _moves(image, tap_step), size)
    tables = address(offsets)
    filled, count, stretch = -1, 0, stretch_of(taps)
    for unit in range(lo, hi):
        block = unit // (groups * panels)
        group, panel = unit // panels % groups, unit % panels * width
        if block != filled:
            filled, first = block, block * POSITIONS
            count = min(POSITIONS, positions - first)
            _fill_positions(offsets, image_table, first, count, grid, _image_bytes(image), _moves(image, step),
                            origin[0] + origin[1] + origin[2])
            _fill_positions(offsets, out_table, first, count, grid, _image_bytes(out), _moves(out, out_step),
                            out_origin[0] + out_origin[1] + out_origin[2])
        wide = min(width, columns - panel)
        column = group * columns + panel
        weights = address(packed) + (column * all_taps * depth + taps_before * depth * wide) * size
        for start in range(0, max(taps, 1), stretch):
            last = start + stretch >= taps
            shift = address(bias) + column * size if bias.shape[0] > 0 and last else 0
            _tiles(out, address(out) + column * size, tables + 8 * out_table,
                   address(image) + group * depth * size, tables + 8 * image_table, count,
                   tables + 8 * (tap_table + start), min(stretch, taps - start), weights + start * wide * size,
                   wide * size, shift, wide, start, tail if last else 0)
        if tail != 0:
            activation = pointer_at(tail, int64)[3]
            if activation > RELU:  # the tiles have done everything else
                row = out.shape[4] * size
                together = count if out_step == (1, 1, 1) else 1  # positions that lie one behind the other
                for position in range(0, count, together):
                    place = address(out) + column * size + offsets[out_table + position]
                    finish(out, place, 0, 0, activation, together, row, wide)


@njit(error_model="numpy")
def _tiles(like: Array, out: int, out_rows: int, a: int, a_rows: int, count: int, a_columns: int, depth: int, b: int,
           b_row: int, bias: int, wide: int, again: int, tail: int) -> None:
    """Multiply `count` rows of the gathered left factor by one panel: addresses and strides in bytes."""
    lanes = VECTOR_BYTES // like.itemsize
    for i in range(0, count, TILE_ROWS):
        high = min(TILE_ROWS, count - i)
        c, r = out_rows + 8 * i, a_rows + 8 * i
        if high == TILE_ROWS and wide == TILE_VECTORS * lanes:
            gathered_full_tile(like, out, a, b, bias, depth, c, r, a_columns, b_row, high, wide, again, tail)
        elif high == TILE_ROWS and wide == lanes:
            gathered_full_narrow_tile(like, out, a, b, bias, depth, c, r, a_columns, b_row, high, wide, again, tail)
        elif high <= TILE_ROWS // 2 and wide <= lanes:
            gathered_low_narrow_tile(like, out, a, b, bias, depth, c, r, a_columns, b_row, high, wide, again, tail)
        elif high <= TILE_ROWS // 2:
            gathered_low_tile(like, out, a, b, bias, depth, c, r, a_columns, b_row, high, wide, again, tail)
        elif wide > lanes:
            gathered_edge_tile(like, out, a, b, bias, depth, c, r, a_columns, b_row, high, wide, again, tail)
        else:
            gathered_narrow_tile(like, out, a, b, bias, depth, c, r, a_columns, b_row, high, wide, again, tail)


@njit(error_model="numpy")
def _tap_tiles(like: Array, out: int, out_rows: int, a: int, a_rows: int, count: int, a_columns: int, depth: int,
               b: int, b_row: int, wide: int, again: int, ahead: int, ahead_row: int) -> None:
    """Do what `_tiles` does for a weight's gradient, by tall tiles where they fit, and fetch what is read next."""
    lanes, size, rows, done = VECTOR_BYTES // like.itemsize, like.itemsize, pointer_at(a_rows, int64), 0
    while FITS and wide <= lanes and done + RUNS * 8 <= count:
        c, r = out_rows + 8 * done, a_rows + 8 * done
        if in_runs(rows, done, 8, size):
            tile_of_eights(like, out, a, b, depth, c, r, a_columns, b_row, wide, again, ahead, ahead_row)
            done += RUNS * 8
        elif done + RUNS * 9 <= count and in_runs(rows, done, 9, size):
            tile_of_nines(like, out, a, b, depth, c, r, a_columns, b_row, wide, again, ahead, ahead_row)
            done += RUNS * 9
        else:
            break
        ahead, ahead_row = b, b_row  # fetched: from now on what is there anyway
    if done < count:
        _tiles(like, out, out_rows + 8 * done, a, a_rows + 8 * done, count - done, a_columns, depth, b, b_row, 0, wide,
               again, 0)
