"""2-D convolution over channels-last images: forward, data gradient, weight gradient.

All three are one matrix product whose left factor is never built: its element (position, tap) is the image's element at
``place of the position + place of the tap``, and the register tile of `lanes.py` reads those places from two tables
(Dukhan, The Indirect Convolution Algorithm, arXiv:1907.02129, with one table entry a tap instead of one a pixel)::

    out[n, i, j, o] = sum over kh, kw, c of image[n, i*sh + kh*dh, j*sw + kw*dw, c] * w[o, c, kh, kw]

Zero padding stands in memory: `pad` copies the image into a frame whose size `forward_frame` or `data_gradient_frame`
gives; where the frame is the image itself the copy is left out. The order of calls, each finished by all parts before
the next begins:

- forward: `pad` x into its frame, `pack_weights`, `forward`
- data gradient, also transposed convolution's forward: `pad` dy into its frame, `pack_weights` transposed,
  `data_gradient`
- weight gradient: `pad` x into its frame, `weight_gradient`

Sums follow `matmul`: stretches of 256 products (taps by kh, kw, channel; positions by image, row, column), each summed
in order by FMA from 0, stretches added in order, the bias added last. The bits do not depend on parts, tile or vector
width. Images are C-contiguous (N, H, W, C), weights C-contiguous (O, C / groups, KH, KW), float32 or float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.cpu import VECTOR_BYTES
from autodiff_kernels.lanes import (
    TILE_ROWS,
    TILE_VECTORS,
    address,
    gathered_edge_tile,
    gathered_full_tile,
    gathered_narrow_tile,
    lanewise_tile,
)
from autodiff_kernels.matmul import STRETCH
from autodiff_kernels.parts import share

Array = np.ndarray[Any, np.dtype[Any]]
Frame = tuple[int, int, int, int]

POSITIONS = 96  # positions of a share's unit: whole tiles, enough to use a panel of weights many times


# ---- Sizes, for the caller -------------------------------------------------------------------------------------------


def forward_frame(x_shape: tuple[int, ...], w_shape: tuple[int, ...], out_shape: tuple[int, ...],
                  stride: tuple[int, int], padding: tuple[int, int], dilation: tuple[int, int]) -> Frame:
    """Return (top, left, rows, columns) of the zero-padded image that `forward` and `weight_gradient` read.

    The image's element (0, 0) stands at (top, left) of the frame. The rows and columns are those that the output
    reaches, so the padding below and right need not equal that above and left. (0, 0, H, W) means: use the image.

    >>> from autodiff_kernels.convolution import forward_frame
    >>> forward_frame((8, 5, 5, 3), (4, 3, 3, 3), (8, 5, 5, 4), stride=(1, 1), padding=(1, 1), dilation=(1, 1))
    (1, 1, 7, 7)
    """
    rows, columns = ((out_shape[axis] - 1) * stride[axis - 1] + (w_shape[axis + 1] - 1) * dilation[axis - 1] + 1
                     for axis in (1, 2))
    return _frame(x_shape, *padding, rows, columns)


def data_gradient_frame(dy_shape: tuple[int, ...], w_shape: tuple[int, ...], dx_shape: tuple[int, ...],
                        stride: tuple[int, int], padding: tuple[int, int], dilation: tuple[int, int]) -> Frame:
    """Return (top, left, rows, columns) of the zero-padded cotangent that `data_gradient` reads.

    (0, 0, OH, OW) means: use the cotangent itself.

    >>> from autodiff_kernels.convolution import data_gradient_frame
    >>> data_gradient_frame((8, 3, 3, 4), (4, 3, 3, 3), (8, 5, 5, 3), stride=(2, 2), padding=(1, 1), dilation=(1, 1))
    (1, 1, 4, 4)
    """
    offsets, sizes = [], []
    for axis in (1, 2):
        step, before = stride[axis - 1], padding[axis - 1]
        offset = max((w_shape[axis + 1] - 1) * dilation[axis - 1] // step - before // step, 0)
        offsets.append(offset)
        sizes.append((dx_shape[axis] - 1 + before) // step + offset + 1)
    return _frame(dy_shape, *offsets, *sizes)


def _frame(shape: tuple[int, ...], top: int, left: int, rows: int, columns: int) -> Frame:
    if top == left == 0 and rows <= shape[1] and columns <= shape[2]:
        return 0, 0, shape[1], shape[2]
    return top, left, rows, columns


def offsets_scratch(w_shape: tuple[int, ...], groups: int, parts: int) -> int:
    """Return how many int64 of scratch `forward`, `data_gradient` and `weight_gradient` need.

    >>> from autodiff_kernels.convolution import offsets_scratch
    >>> offsets_scratch((4, 3, 3, 3), groups=1, parts=2)
    656
    """
    outputs, channels, rows, columns = w_shape
    return parts * (2 * rows * columns * max(outputs // groups, channels) + STRETCH)


# ---- Kernels ---------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def pad(out: Array, image: Array, top: int, left: int, part: int, parts: int) -> None:
    """Copy the image into a frame of zeros: ``out[n, top + i, left + j, c] = image[n, i, j, c]``. Shares are rows.

    Args:
        out: out, (N, rows, columns, C). What of the image falls outside is left out.
        image: in, (N, H, W, C), same dtype.
        top: row of the frame where the image begins, at least 0.
        left: column of the frame where it begins, at least 0.
    """
    images, rows, columns, channels = out.shape
    source, target = image.reshape(-1), out.reshape(-1)
    begin, width = left * channels, max(min(image.shape[2], columns - left), 0) * channels
    length, image_length = columns * channels, image.shape[2] * channels
    lo, hi = share(images * rows, part, parts)
    for row in range(lo, hi):
        n, i = row // rows, row % rows - top
        line = target[row * length : (row + 1) * length]
        if 0 <= i < image.shape[1]:
            start = (n * image.shape[1] + i) * image_length
            inside, values = line[begin : begin + width], source[start : start + width]
            for c in range(width):
                inside[c] = values[c]
            line[:begin] = 0
            line[begin + width :] = 0
        else:
            line[:] = 0


@njit(cache=True, nogil=True, error_model="numpy")
def pack_weights(out: Array, w: Array, stride_h: int, stride_w: int, dilation_h: int, dilation_w: int, groups: int,
                 transposed: int, part: int, parts: int) -> None:
    """Order the weights as `forward` (transposed = 0) or `data_gradient` (transposed = 1) reads them.

    Group by group and panel of columns by panel, rows are (tap, channel) and columns output channels; transposed, rows
    are (tap, output channel) and columns channels, and taps are sorted by the outputs that they reach together under
    the stride. Shares are rows of panels.

    Args:
        out: out, as many elements as w, same dtype.
        w: in, (O, C / groups, KH, KW).
        stride_h, stride_w, dilation_h, dilation_w: the convolution's; they count only if transposed.
        groups: number of groups.
        transposed: 0 or 1.
    """
    outputs, channels, kernel_h, kernel_w = w.shape
    groups, rows, columns, lanewise = _sizes(outputs, channels, groups, transposed)
    step_h, step_w = (stride_h, stride_w) if transposed else (1, 1)
    area = kernel_h * kernel_w
    width = _panel_width(out, lanewise)
    source, size = w.reshape(-1), rows * area * columns
    row_step, column_step = (channels * area, area) if transposed and not lanewise else (area, channels * area)
    panels = (columns + width - 1) // width
    lo, hi = share(groups * panels * rows, part, parts)
    for item in range(lo, hi):
        group, panel, row = item // rows // panels, item // rows % panels * width, item % rows
        wide = min(width, columns - panel)
        origin = group * size + row * row_step + panel * column_step
        at = group * size + panel * rows * area + row * wide
        for residue_h in range(step_h):
            first_h, hop_h, taps_h = _taps(kernel_h, step_h, dilation_h, residue_h)
            for residue_w in range(step_w):
                first_w, hop_w, taps_w = _taps(kernel_w, step_w, dilation_w, residue_w)
                for i in range(taps_h):
                    for j in range(taps_w):
                        tap = origin + (first_h + i * hop_h) * kernel_w + first_w + j * hop_w
                        for column in range(wide):
                            out[at + column] = source[tap + column * column_step]
                        at += rows * wide


@njit(cache=True, nogil=True, error_model="numpy")
def forward(out: Array, offsets: Array, image: Array, packed: Array, bias: Array, kernel_h: int, kernel_w: int,
            stride_h: int, stride_w: int, dilation_h: int, dilation_w: int, groups: int, part: int, parts: int) -> None:
    """Convolve: the formula above, plus ``bias[o]``. Shares are blocks of positions by panels of output channels.

    Args:
        out: out, (N, OH, OW, O).
        offsets: scratch, `offsets_scratch` int64.
        image: in, the padded image (N, rows, columns, C) of `forward_frame`.
        packed: in, the weights from `pack_weights` (transposed = 0).
        bias: in, (O,), or of length 0 for none.
        kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w: the convolution's.
        groups: number of groups; groups == C == O (depthwise) goes lane by lane.
    """
    groups, depth, columns, lanewise = _sizes(out.shape[3], image.shape[3] // groups, groups, 0)
    _convolve(out, offsets, image, packed, bias, groups, depth, columns, lanewise, out.shape[1], out.shape[2],
              0, 1, 0, 1, 0, stride_h, 0, stride_w, kernel_h, dilation_h, kernel_w, dilation_w,
              0, kernel_h * kernel_w, part, parts)


@njit(cache=True, nogil=True, error_model="numpy")
def data_gradient(out: Array, offsets: Array, cotangent: Array, packed: Array, bias: Array, top: int, left: int,
                  kernel_h: int, kernel_w: int, stride_h: int, stride_w: int, padding_h: int, padding_w: int,
                  dilation_h: int, dilation_w: int, groups: int, part: int, parts: int) -> None:
    """Compute the gradient with respect to the image, or transposed convolution, plus ``bias[c]``.

    ::

        out[n, i, j, c] = sum of dy[n, p, q, o] * w[o, c, kh, kw]
                          over p*sh + kh*dh = i + ph, q*sw + kw*dw = j + pw

    Under a stride the rows of out fall into classes by ``(i + ph) % sh``; each class is a convolution of its own with
    the taps ``kh*dh % sh`` equal to that (Dumoulin and Visin, A guide to convolution arithmetic, arXiv:1603.07285,
    section 4.6, without the zeros between). Shares as in `forward`, class by class.

    Args:
        out: out, (N, H, W, C), of any size that the caller wants (output padding).
        offsets: scratch, `offsets_scratch` int64.
        cotangent: in, the padded dy (N, rows, columns, O) of `data_gradient_frame`.
        packed: in, the weights from `pack_weights` (transposed = 1).
        bias: in, (C,), or of length 0 for none.
        top, left: where the frame's dy begins.
        kernel_h, kernel_w, stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w: the convolution's.
        groups: number of groups.
    """
    groups, depth, columns, lanewise = _sizes(cotangent.shape[3], out.shape[3] // groups, groups, 1)
    area = kernel_h * kernel_w
    before = 0
    for residue_h in range(stride_h):
        first_h, hop_h, taps_h = _taps(kernel_h, stride_h, dilation_h, residue_h)
        begin_h = (residue_h - padding_h) % stride_h
        rows = max((out.shape[1] - begin_h + stride_h - 1) // stride_h, 0)
        top_h = top + (begin_h + padding_h) // stride_h - first_h * dilation_h // stride_h
        for residue_w in range(stride_w):
            first_w, hop_w, taps_w = _taps(kernel_w, stride_w, dilation_w, residue_w)
            begin_w = (residue_w - padding_w) % stride_w
            wide = max((out.shape[2] - begin_w + stride_w - 1) // stride_w, 0)
            left_w = left + (begin_w + padding_w) // stride_w - first_w * dilation_w // stride_w
            _convolve(out, offsets, cotangent, packed, bias, groups, depth, columns, lanewise, rows, wide,
                      begin_h, stride_h, begin_w, stride_w, top_h, 1, left_w, 1,
                      taps_h, -(hop_h * dilation_h // stride_h), taps_w, -(hop_w * dilation_w // stride_w),
                      before, area, part, parts)
            before += taps_h * taps_w


@njit(cache=True, nogil=True, error_model="numpy")
def weight_gradient(out: Array, sums: Array, offsets: Array, image: Array, cotangent: Array, stride_h: int,
                    stride_w: int, dilation_h: int, dilation_w: int, groups: int, part: int, parts: int) -> None:
    """Compute the gradient with respect to the weights. Shares are tiles of (tap, channel) by output channels.

    ::

        out[o, c, kh, kw] = sum over n, i, j of image[n, i*sh + kh*dh, j*sw + kw*dw, c] * dy[n, i, j, o]

    Args:
        out: out, (O, C / groups, KH, KW).
        sums: scratch, as many elements as out, same dtype.
        offsets: scratch, `offsets_scratch` int64.
        image: in, the padded image (N, rows, columns, C) of `forward_frame`.
        cotangent: in, dy (N, OH, OW, O).
        stride_h, stride_w, dilation_h, dilation_w: the convolution's.
        groups: number of groups.
    """
    outputs, channels, kernel_h, kernel_w = out.shape
    groups, depth, columns, lanewise = _sizes(outputs, channels, groups, 0)
    size, area = out.itemsize, kernel_h * kernel_w
    taps, width = area * depth, _panel_width(out, lanewise)
    tiles, panels = (taps + TILE_ROWS - 1) // TILE_ROWS, (columns + width - 1) // width
    lo, hi = share(groups * panels * tiles, part, parts)
    if lo == hi:
        return
    tap_table = part * (2 * taps + STRETCH)
    row_table, position_table = tap_table + taps, tap_table + 2 * taps
    line, pixel = image.shape[2] * image.shape[3] * size, image.shape[3] * size
    _fill_taps(offsets, tap_table, kernel_h, kernel_w, depth, dilation_h * line, dilation_w * pixel, size)
    tables = address(offsets)
    positions = cotangent.shape[0] * cotangent.shape[1] * cotangent.shape[2]
    for start in range(0, max(positions, 1), STRETCH):
        count = min(STRETCH, positions - start)
        _fill_positions(offsets, position_table, start, count, cotangent.shape[1], cotangent.shape[2],
                        image.shape[1] * line, stride_h * line, stride_w * pixel, 0)
        for tile_column in range(lo // tiles, (hi + tiles - 1) // tiles):
            group, panel = tile_column // panels, tile_column % panels * width
            wide = min(width, columns - panel)
            first = max(lo - tile_column * tiles, 0) * TILE_ROWS
            last = min(min(hi - tile_column * tiles, tiles) * TILE_ROWS, taps)
            for tap in range(taps):
                offsets[row_table + tap] = tap * wide * size
            _tiles(out, address(sums) + (group * columns + panel) * taps * size, tables + 8 * (row_table + first),
                   address(image) + (panel if lanewise else group * depth) * size, tables + 8 * (tap_table + first),
                   last - first, tables + 8 * position_table, count,
                   address(cotangent) + (start * outputs + group * columns + panel) * size, outputs * size,
                   0, wide, start, lanewise)

    target = out.reshape(-1)
    for tile in range(lo, hi):
        group, panel = tile // tiles // panels, tile // tiles % panels * width
        wide = min(width, columns - panel)
        for tap in range(tile % tiles * TILE_ROWS, min((tile % tiles + 1) * TILE_ROWS, taps)):
            source = (group * columns + panel) * taps + tap * wide
            place = tap % depth * area + tap // depth
            for column in range(wide):
                target[(group * columns + panel + column) * channels * area + place] = sums[source + column]


# ---- Helpers of compiled code ----------------------------------------------------------------------------------------


@njit(error_model="numpy")
def _sizes(outputs: int, channels: int, groups: int, transposed: int) -> tuple[int, int, int, bool]:
    """Return groups, depth of a tap, columns of a group, and whether it goes lane by lane (depthwise, as one group)."""
    if groups > 1 and channels == 1 and outputs == groups:
        return 1, 1, outputs, True
    each = outputs // groups
    return (groups, each, channels, False) if transposed else (groups, channels, each, False)


@njit(error_model="numpy")
def _panel_width(like: Array, lanewise: bool) -> int:
    return VECTOR_BYTES // like.itemsize * (1 if lanewise else TILE_VECTORS)


@njit(error_model="numpy")
def _taps(kernel: int, stride: int, dilation: int, residue: int) -> tuple[int, int, int]:
    """First, step and number of the taps k < kernel with k * dilation % stride == residue."""
    step = stride // math.gcd(stride, dilation)
    for first in range(min(step, kernel)):
        if first * dilation % stride == residue:
            return first, step, (kernel - first + step - 1) // step
    return 0, step, 0


@njit(error_model="numpy")
def _fill_positions(offsets: Array, at: int, first: int, count: int, rows: int, columns: int, image: int, row: int,
                    column: int, origin: int) -> None:
    """Write the places of `count` positions from the `first` on, of a grid of images, rows and columns."""
    n, i, j = first // (rows * columns), first // columns % rows, first % columns
    for p in range(count):
        offsets[at + p] = origin + n * image + i * row + j * column
        j += 1
        if j == columns:
            i, j = i + 1, 0
            if i == rows:
                n, i = n + 1, 0


@njit(error_model="numpy")
def _fill_taps(offsets: Array, at: int, rows: int, columns: int, depth: int, row: int, column: int, size: int) -> None:
    """Write the places of the taps: by row, column and channel."""
    for i in range(rows):
        for j in range(columns):
            for c in range(depth):
                offsets[at] = i * row + j * column + c * size
                at += 1


@njit(error_model="numpy")
def _convolve(out: Array, offsets: Array, image: Array, packed: Array, bias: Array, groups: int, depth: int,
              columns: int, lanewise: bool, grid_h: int, grid_w: int,
              out_top: int, out_step_h: int, out_left: int, out_step_w: int,
              top: int, step_h: int, left: int, step_w: int,
              taps_h: int, tap_step_h: int, taps_w: int, tap_step_w: int,
              taps_before: int, all_taps: int, part: int, parts: int) -> None:
    """Convolve a grid of grid_h by grid_w positions an image, whose taps begin `taps_before` in the packed weights."""
    size = out.itemsize
    width = _panel_width(out, lanewise)
    panels = (columns + width - 1) // width
    taps, positions = taps_h * taps_w * depth, out.shape[0] * grid_h * grid_w
    blocks = (positions + POSITIONS - 1) // POSITIONS
    lo, hi = share(blocks * groups * panels, part, parts)
    if lo == hi:
        return
    tap_table = part * (all_taps * depth + 2 * POSITIONS)
    image_table, out_table = tap_table + taps, tap_table + taps + POSITIONS
    line, pixel = image.shape[2] * image.shape[3] * size, image.shape[3] * size
    out_line, out_pixel = out.shape[2] * out.shape[3] * size, out.shape[3] * size
    _fill_taps(offsets, tap_table, taps_h, taps_w, depth, tap_step_h * line, tap_step_w * pixel, size)
    tables = address(offsets)
    filled, count = -1, 0
    for unit in range(lo, hi):
        block = unit // (groups * panels)
        group, panel = unit // panels % groups, unit % panels * width
        if block != filled:
            filled, first = block, block * POSITIONS
            count = min(POSITIONS, positions - first)
            _fill_positions(offsets, image_table, first, count, grid_h, grid_w, image.shape[1] * line, step_h * line,
                            step_w * pixel, top * line + left * pixel)
            _fill_positions(offsets, out_table, first, count, grid_h, grid_w, out.shape[1] * out_line,
                            out_step_h * out_line, out_step_w * out_pixel, out_top * out_line + out_left * out_pixel)
        wide = min(width, columns - panel)
        column = group * columns + panel
        weights = address(packed) + (column * all_taps * depth + taps_before * depth * wide) * size
        for start in range(0, max(taps, 1), STRETCH):
            shift = address(bias) + column * size if bias.shape[0] > 0 and start + STRETCH >= taps else 0
            _tiles(out, address(out) + column * size, tables + 8 * out_table,
                   address(image) + (panel if lanewise else group * depth) * size, tables + 8 * image_table, count,
                   tables + 8 * (tap_table + start), min(STRETCH, taps - start), weights + start * wide * size,
                   wide * size, shift, wide, start, lanewise)


@njit(error_model="numpy")
def _tiles(like: Array, out: int, out_rows: int, a: int, a_rows: int, count: int, a_columns: int, depth: int, b: int,
           b_row: int, bias: int, wide: int, again: int, lanewise: bool) -> None:
    """Multiply `count` rows of the gathered left factor by one panel: addresses and strides in bytes."""
    lanes = VECTOR_BYTES // like.itemsize
    for i in range(0, count, TILE_ROWS):
        high = min(TILE_ROWS, count - i)
        c, r = out_rows + 8 * i, a_rows + 8 * i
        if lanewise:
            lanewise_tile(like, out, a, b, bias, depth, c, r, a_columns, b_row, high, wide, again)
        elif high == TILE_ROWS and wide == TILE_VECTORS * lanes:
            gathered_full_tile(like, out, a, b, bias, depth, c, r, a_columns, b_row, high, wide, again)
        elif wide > lanes:
            gathered_edge_tile(like, out, a, b, bias, depth, c, r, a_columns, b_row, high, wide, again)
        else:
            gathered_narrow_tile(like, out, a, b, bias, depth, c, r, a_columns, b_row, high, wide, again)
