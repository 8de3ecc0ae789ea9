"""Convolutions of images with 3x3 kernels by Winograd's minimal filtering, with 2.25 times fewer multiplications.

Two by two outputs, a *tile*, depend on four by four pixels. With 1-D matrices B (4x4), G (4x3) and A (4x2), for the
pixels d, the kernel g and the tile y, and all products of matrices in both dimensions::

    y = A' [(G g G') * (B' d B)] A           * is taken element by element: 16 products instead of 36

    B' = 1  0 -1  0      G =  1    0    0        A' = 1  1  1  0
         0  1  1  0          1/2  1/2  1/2            0  1 -1 -1
         0 -1  1  0          1/2 -1/2  1/2
         0  1  0 -1           0    0    1

For all tiles and channels these are 16 matrix products, (tiles, channels) by (channels, outputs). A tile is transformed
once for all outputs, a kernel once for all tiles. The gradient with respect to the image is the same with turned
kernels; the gradient with respect to the kernels is the transpose of the formula::

    dg = G' [sum over tiles of (A dy A') * (B' d B)] G

Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016 (arXiv:1509.09308), F(2x2, 3x3).

Sums over channels follow `matmul`; those over tiles go over `gradient_chunks` equal shares of them, in each over blocks
of `gradient_block` tiles. So the bits depend on neither parts nor vector width. An infinite pixel makes a tile NaN. A
bias's gradient is the sum of dy: of one of the 16 numbers of A dy A', which is the sum of a tile's four; it is
accumulated as in `accumulate.py`.

Images are C-contiguous (N, H, W, C); of a tile that reaches beyond its image, what lies inside is read. The order of
calls, each finished by all parts before the next begins:

- forward: `transform_kernels`, `forward`
- data gradient: `transform_kernels` with turned = 1, `forward` of dy
- kernel gradient: `kernel_gradient`, `combine`
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numba.extending import register_jitable
from numba.types import int64

from autodiff_kernels import inner
from autodiff_kernels.accumulate import add_rows, corrected, two_sum
from autodiff_kernels.cpu import L2_BYTES, VECTOR_BYTES
from autodiff_kernels.epilogue import WORDS, finish_here, note
from autodiff_kernels.lanes import TILE_ROWS, TILE_VECTORS, address, full_tile
from autodiff_kernels.matmul import multiply, panel_size, stretch_of
from autodiff_kernels.memory import forward as ahead
from autodiff_kernels.memory import load, pointer, stack, store
from autodiff_kernels.parts import share
from autodiff_kernels.vectors import read, whole, width, write, zeros

Array = np.ndarray[Any, np.dtype[Any]]

BLOCK = 96  # tiles that are transformed together, at most: whole register tiles of any width
LEAST_BLOCK = 24
SCRATCH = 2**21  # bytes of a block's transformed tiles and products, unless there are thousands of channels
GROUP = 1024  # bytes of the channels, and of the outputs, that the kernels' gradient is computed for together
FEWEST = 256  # tiles of a share, where there are several
MOST_CHUNKS = 4  # shares of the tiles whose sums in the kernel's gradient are added up one by one
LARGE = 2**16  # channels times outputs, above which the sums of one share are large enough
GAP = 16  # elements between planes, and rows read down their columns, so that they do not share places in the cache


# ---- Sizes, for the caller -------------------------------------------------------------------------------------------


def kernels_scratch(channels: int, outputs: int, itemsize: int) -> int:
    """Return how many elements `transform_kernels` writes."""
    return 16 * _kernel_plane(channels, outputs, itemsize)


@register_jitable(pipeline_class=inner.Compiler)
def forward_block(channels: int, outputs: int, itemsize: int) -> int:
    """Return how many tiles are transformed together at most: as few as keep the scratch below `SCRATCH` bytes."""
    return min(BLOCK, max(SCRATCH // (4 * (channels + outputs) * itemsize) // 8 * 8, 8))


@register_jitable(pipeline_class=inner.Compiler)
def rows_together(channels: int, outputs: int, itemsize: int) -> int:
    """Return how many rows of the 4x4 matrices are worked on together: all that stay in the second-level cache."""
    return 4 if 16 * BLOCK * (channels + outputs) * itemsize <= L2_BYTES else 1


def forward_scratch(channels: int, outputs: int, itemsize: int) -> int:
    """Return how many elements of scratch `forward` needs for each part."""
    block = forward_block(channels, outputs, itemsize)
    return 4 * rows_together(channels, outputs, itemsize) * (block * (channels + outputs) + 2 * GAP)


def gradient_sums(tiles: int, channels: int, outputs: int) -> int:
    """Return how many elements the sums of `kernel_gradient` take."""
    return gradient_chunks(tiles, channels, outputs) * 16 * channels * outputs


def gradient_scratch(channels: int, outputs: int, itemsize: int) -> int:
    """Return how many elements of scratch `kernel_gradient` needs for each part."""
    group = GROUP // itemsize
    columns = min(channels, group) + GAP + _whole_panels(min(outputs, group), itemsize)
    return 4 * (gradient_block(channels, outputs) * columns + 2 * GAP)


def gradient_totals(tiles: int, channels: int, outputs: int, itemsize: int) -> tuple[int, int, int]:
    """Return the shape of the totals that `kernel_gradient` needs for a bias."""
    return gradient_chunks(tiles, channels, outputs), 2, _whole_panels(outputs, itemsize)


@register_jitable(pipeline_class=inner.Compiler)
def _whole_panels(outputs: int, itemsize: int) -> int:
    """Return the columns of the panels of so many outputs."""
    width = TILE_VECTORS * VECTOR_BYTES // itemsize
    return (outputs + width - 1) // width * width


@register_jitable(pipeline_class=inner.Compiler)
def gradient_block(channels: int, outputs: int) -> int:
    """Return how many tiles are summed before the sum is added to the total; part of the result's definition."""
    return 64 if channels + outputs <= 128 else 128


@register_jitable(pipeline_class=inner.Compiler)
def gradient_chunks(tiles: int, channels: int, outputs: int) -> int:
    """Return in how many shares the tiles are summed; part of the result's definition."""
    return 1 if channels * outputs > LARGE else max(1, min(MOST_CHUNKS, tiles // FEWEST))


@register_jitable(pipeline_class=inner.Compiler)
def _tiles(size: int) -> int:
    return (size + 1) // 2


@register_jitable(pipeline_class=inner.Compiler)
def _kernel_plane(channels: int, outputs: int, itemsize: int) -> int:
    """Return the elements of one of the 16 matrices of transformed kernels: panels of a register tile's columns."""
    lanes = VECTOR_BYTES // itemsize
    panels = (outputs + TILE_VECTORS * lanes - 1) // (TILE_VECTORS * lanes)
    return panels * TILE_VECTORS * lanes * (channels + -channels % lanes)


# ---- The transforms in one dimension ---------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def _pixels(a: Any, b: Any, c: Any, d: Any) -> Any:
    """B' d."""
    return a - c, b + c, c - b, b - d


@njit(error_model="numpy", forceinline=True)
def _kernel(a: Any, b: Any, c: Any, half: Any) -> Any:
    """G g."""
    return a, (a + c + b) * half, (a + c - b) * half, c


@njit(error_model="numpy", forceinline=True)
def _outputs(a: Any, b: Any, c: Any, d: Any) -> Any:
    """A' m."""
    return a + b + c, b - c - d


@njit(error_model="numpy", forceinline=True)
def _kernel_sums(a: Any, b: Any, c: Any, d: Any, half: Any) -> Any:
    """G' m."""
    both = (b + c) * half
    return a + both, (b - c) * half, both + d


@njit(error_model="numpy", forceinline=True)
def _four(x: Any, at: int, step: int, like: Any, left: int) -> Any:
    return (read(x, at, like, left, 0), read(x, at + step, like, left, 0), read(x, at + 2 * step, like, left, 0),
            read(x, at + 3 * step, like, left, 0))  # fmt: skip


@njit(error_model="numpy", forceinline=True)
def _write_four(out: Any, at: int, step: int, values: Any, left: int) -> None:
    write(out, at, values[0], left)
    write(out, at + step, values[1], left)
    write(out, at + 2 * step, values[2], left)
    write(out, at + 3 * step, values[3], left)


@njit(error_model="numpy", forceinline=True)
def _next_tile(image: int, row: int, column: int, rows: int, columns: int) -> tuple[int, int, int]:
    column += 1
    if column == columns:
        row, column = row + 1, 0
        if row == rows:
            image, row = image + 1, 0
    return image, row, column


# ---- Kernels ---------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def transform_kernels(out: Array, w: Array, turned: int, part: int, parts: int) -> None:
    """Write G g G' of all kernels as 16 matrices, each in panels of columns. Shares are columns, a vector at a time.

    Args:
        out: out, `kernels_scratch` elements: rows are channels and columns outputs; turned, the other way round.
        w: in, (O, C, 3, 3), C-contiguous; float32 or float64.
        turned: 1 for the data gradient, whose kernels are turned by 180 degrees.
    """
    rows, columns = (w.shape[0], w.shape[1]) if turned else (w.shape[1], w.shape[0])
    row_step, column_step = (9 * w.shape[1], 9) if turned else (9, 9 * w.shape[1])
    target, source, taps = pointer(out, 0), pointer(w, 0), stack(w, 9 * 64)
    like, half = zeros(w, 1, 1), w.dtype.type(0.5)
    lanes = width(like)
    wide = TILE_VECTORS * lanes
    panel, plane = panel_size(w, rows), _kernel_plane(rows, columns, w.itemsize)
    first, step = (8, -1) if turned else (0, 1)
    lo, hi = share((columns + lanes - 1) // lanes, part, parts)
    for column in range(lo * lanes, min(hi * lanes, columns), lanes):
        left = columns - column
        for row in range(rows):
            at = row * row_step + column * column_step
            for lane in range(min(lanes, left)):
                one = at + lane * column_step + first
                for tap in range(9):
                    store(ahead(taps, tap * lanes + lane), load(ahead(source, one + tap * step)))
            place = column // wide * panel + row * wide + column % wide
            down0 = _kernel_column(taps, 0, lanes, like, half)
            down1 = _kernel_column(taps, lanes, lanes, like, half)
            down2 = _kernel_column(taps, 2 * lanes, lanes, like, half)
            _write_four(target, place, plane, _kernel(down0[0], down1[0], down2[0], half), left)
            _write_four(target, place + 4 * plane, plane, _kernel(down0[1], down1[1], down2[1], half), left)
            _write_four(target, place + 8 * plane, plane, _kernel(down0[2], down1[2], down2[2], half), left)
            _write_four(target, place + 12 * plane, plane, _kernel(down0[3], down1[3], down2[3], half), left)


@njit(error_model="numpy", forceinline=True)
def _kernel_column(taps: Any, at: int, lanes: int, like: Any, half: Any) -> Any:
    return _kernel(read(taps, at, like, lanes, 0), read(taps, at + 3 * lanes, like, lanes, 0),
                   read(taps, at + 6 * lanes, like, lanes, 0), half)


@njit(cache=True, nogil=True, error_model="numpy")
def forward(out: Array, scratch: Array, image: Array, kernels: Array, bias: Array, residual: Array, scale: Array,
            activation: int, top: int, left: int, part: int, parts: int) -> None:
    """Convolve: out[n, i, j, o] = sum over c, k, l of image[n, i + k - top, j + l - left, c] w[o, c, k, l] + bias[o].

    Of many channels, the rows of the 4x4 matrices come one after the other, as A' M adds them up: of a tile four
    numbers are in scratch, not 16. An epilogue follows (`epilogue.py`). Shares are blocks of tiles.

    Args:
        out: out, (N, H, W, O).
        scratch: scratch, `forward_scratch` elements a part; its contents do not matter.
        image: in, (N, any height, any width, C); it is zero outside.
        kernels: in, from `transform_kernels`.
        bias: in, (O,), or of length 0 for none.
        residual: in, flat, lying like `out`, or of length 0 for none.
        scale: in, one number, or of length 0 for none.
        activation: one of `epilogue.ACTIVATIONS`, or NONE.
        top, left: how many rows and columns before the image are read.
    """
    images, height, wide, outputs = out.shape
    channels, size = image.shape[3], out.itemsize
    rows, columns = _tiles(height), _tiles(wide)
    tiles = images * rows * columns
    most = forward_block(channels, outputs, size)
    block = min(most, max(LEAST_BLOCK, tiles // (2 * parts) // LEAST_BLOCK * LEAST_BLOCK))
    step = rows_together(channels, outputs, size)
    tail = note(stack(int64(0), WORDS), address(out), residual, scale, activation)
    in_plane, out_plane = most * channels + GAP, most * outputs + GAP
    values = part * 4 * step * (in_plane + out_plane)
    sums = values + 4 * step * in_plane
    place, kernel_row = address(scratch), 4 * _kernel_plane(channels, outputs, size) * size
    lo, hi = share((tiles + block - 1) // block, part, parts)
    for first in range(lo * block, min(hi * block, tiles), block):
        count = min(block, tiles - first)
        for across in range(0, 4, step):
            _rows_in(pointer(scratch, values), in_plane, channels, image, 0, channels, top, left, across, across + step,
                     first, count, rows, columns)
            _products(out, place + sums * size, out_plane * size, outputs * size, place + values * size,
                      in_plane * size, channels * size, count, address(kernels) + across * kernel_row, 4 * step,
                      channels, outputs)
            if step == 4:  # with known rows, they are added up in registers
                _rows_out(out, pointer(scratch, sums), out_plane, bias, 0, 4, first, count)
            else:
                _rows_out(out, pointer(scratch, sums), out_plane, bias, across, across + 1, first, count)
        if tail != 0:
            _finish(out, first, count, tail)


@njit(error_model="numpy")
def _finish(out: Array, first: int, count: int, tail: int) -> None:
    """Do the epilogue on some tiles: those beside one another are two rows of neighbouring pixels."""
    _, height, wide, outputs = out.shape
    rows, columns, size = _tiles(height), _tiles(wide), out.itemsize
    while count > 0:
        n, i, j = first // columns // rows, first // columns % rows, first % columns
        some = min(columns - j, count)
        at = ((n * height + 2 * i) * wide + 2 * j) * outputs
        finish_here(out, address(out) + at * size, min(2, height - 2 * i), wide * outputs * size,
                    min(2 * some, wide - 2 * j) * outputs, tail)
        first, count = first + some, count - some


@njit(error_model="numpy")
def _rows_in(target: Any, plane: int, step: int, image: Array, begin: int, end: int, top: int, left: int, low: int,
             high: int, first: int, count: int, rows: int, columns: int) -> None:
    """Write the rows from low to high of B' d B of some tiles, for the channels from begin to end: four planes each.

    Tiles lie `step` apart in each plane. Of an image's tiles there are `rows` by `columns`.
    """
    _, height, wide, channels = image.shape
    x, like, unit = pointer(image, begin), zeros(image, 1, 1), image.dtype.type(1)
    lanes, end = width(like), end - begin
    whole_end = whole(end, like)
    n, i, j = first // columns // rows, first // columns % rows, first % columns
    for tile in range(count):
        line, column = 2 * i - top, 2 * j - left
        at = ((n * height + line) * wide + column) * channels
        inside = 0 <= line <= height - 4 and 0 <= column <= wide - 4
        together = inside and high - low == 4
        for c in range(0, end if together else 0, lanes):
            _tile_in(target, tile * step + c, plane, x, at + c, wide * channels, channels, like, end - c)
        for across in range(high if together else low, high):
            # Row `across` of B' is one row of pixels plus or minus another.
            plus, other = (0, 2) if across == 0 else (1, 2) if across == 1 else (2, 1) if across == 2 else (1, 3)
            sign = unit if across == 1 else -unit
            to = tile * step + 4 * (across - low) * plane
            one, two = at + plus * wide * channels, at + other * wide * channels
            upper, lower = 0 <= line + plus < height, 0 <= line + other < height
            for c in range(0, whole_end if inside else 0, lanes):
                _row_in(target, to + c, plane, _four(x, one + c, channels, like, lanes),
                        _four(x, two + c, channels, like, lanes), sign, lanes)
            for c in range(whole_end if inside else 0, end, lanes):
                _row_in(target, to + c, plane, _four_inside(x, one + c, channels, like, end - c, upper, column, wide),
                        _four_inside(x, two + c, channels, like, end - c, lower, column, wide), sign, end - c)
        n, i, j = _next_tile(n, i, j, rows, columns)


@njit(error_model="numpy", forceinline=True)
def _tile_in(out: Any, to: int, plane: int, x: Any, at: int, row: int, pixel: int, like: Any, left: int) -> None:
    """Write B' d B of one tile and a vector of channels, each of the 16 numbers into its plane."""
    a0, b0, c0, d0 = _pixels(*_four(x, at, row, like, left))
    a1, b1, c1, d1 = _pixels(*_four(x, at + pixel, row, like, left))
    a2, b2, c2, d2 = _pixels(*_four(x, at + 2 * pixel, row, like, left))
    a3, b3, c3, d3 = _pixels(*_four(x, at + 3 * pixel, row, like, left))
    _write_four(out, to, plane, _pixels(a0, a1, a2, a3), left)
    _write_four(out, to + 4 * plane, plane, _pixels(b0, b1, b2, b3), left)
    _write_four(out, to + 8 * plane, plane, _pixels(c0, c1, c2, c3), left)
    _write_four(out, to + 12 * plane, plane, _pixels(d0, d1, d2, d3), left)


@njit(error_model="numpy", forceinline=True)
def _row_in(out: Any, to: int, plane: int, one: Any, two: Any, sign: Any, left: int) -> None:
    """Write one row of B' d B of a tile for a vector of channels, each of the four numbers into its plane."""
    a, b, c, d = one
    e, f, g, h = two
    _write_four(out, to, plane, _pixels(a + e * sign, b + f * sign, c + g * sign, d + h * sign), left)


@njit(error_model="numpy", forceinline=True)
def _four_inside(x: Any, at: int, step: int, like: Any, left: int, exists: bool, column: int, columns: int) -> Any:
    """Return what `_four` would of four pixels from `column` on; those outside the image are zero and not read."""
    left = left if exists else 0
    return (read(x, at, like, left if 0 <= column < columns else 0, 0),
            read(x, at + step, like, left if -1 <= column < columns - 1 else 0, 0),
            read(x, at + 2 * step, like, left if -2 <= column < columns - 2 else 0, 0),
            read(x, at + 3 * step, like, left if -3 <= column < columns - 3 else 0, 0))


@njit(error_model="numpy", forceinline=True)
def _rows_out(out: Array, sums: Any, plane: int, bias: Array, begin: int, end: int, first: int, count: int) -> None:
    """Add the rows of M from begin to end to A' M A of some tiles, and in the end the bias."""
    _, height, wide, outputs = out.shape
    rows, columns = _tiles(height), _tiles(wide)
    y, shifts, like = pointer(out, 0), pointer(bias, 0), zeros(out, 1, 1)
    lanes, all_whole, shifted = width(like), whole(outputs, like), bias.shape[0] > 0 and end == 4
    n, i, j = first // columns // rows, first // columns % rows, first % columns
    for tile in range(count):
        at, below, beside = ((n * height + 2 * i) * wide + 2 * j) * outputs, 2 * i + 1 < height, 2 * j + 1 < wide
        for o in range(0, all_whole, lanes):
            shift = read(shifts, o, like, lanes, 0) if shifted else like
            _tile_out(y, at + o, wide * outputs, outputs, below, beside, sums, tile * outputs + o, plane, begin, end,
                      shift, like, lanes)
        if all_whole < outputs:
            left = outputs - all_whole
            shift = read(shifts, all_whole, like, left, 0) if shifted else like
            _tile_out(y, at + all_whole, wide * outputs, outputs, below, beside, sums, tile * outputs + all_whole,
                      plane, begin, end, shift, like, left)
        n, i, j = _next_tile(n, i, j, rows, columns)


@njit(error_model="numpy", forceinline=True)
def _tile_out(y: Any, at: int, row: int, pixel: int, below: bool, beside: bool, sums: Any, source: int, plane: int,
              begin: int, end: int, shift: Any, none: Any, left: int) -> None:
    """Add some rows of M to a vector of a tile's outputs, and the shift; of the tile, what lies inside the image.

    `none` holds zeros.
    """
    here = right = under = corner = none
    if begin > 0:
        some = left if beside else 0
        here, right = read(y, at, none, left, 0), read(y, at + pixel, none, some, 0)
        if below:
            under, corner = read(y, at + row, none, left, 0), read(y, at + row + pixel, none, some, 0)
    for across in range(begin, end):
        a, b = _outputs(*_four(sums, source + 4 * (across - begin) * plane, plane, none, left))
        if across < 3:
            here, right = here + a, right + b
        if across == 1:
            under, corner = under + a, corner + b
        elif across > 1:
            under, corner = under - a, corner - b
    write(y, at, here + shift, left)
    if beside:
        write(y, at + pixel, right + shift, left)
    if below:
        write(y, at + row, under + shift, left)
        if beside:
            write(y, at + row + pixel, corner + shift, left)


@njit(error_model="numpy")
def _products(like: Array, out: int, out_plane: int, out_row: int, a: int, a_plane: int, a_row: int, rows: int, b: int,
              planes: int, depth: int, columns: int) -> None:
    """Multiply matrices a by the panels b; addresses and strides in bytes.

    Depths are small, so whole register tiles are called from here, without the choices of `multiply`.
    """
    size = like.itemsize
    wide = TILE_VECTORS * (VECTOR_BYTES // size)
    panel, b_plane = panel_size(like, depth) * size, _kernel_plane(depth, columns, size) * size
    stretch = stretch_of(depth)
    for plane in range(planes):
        for column in range(0, columns, wide):
            end = rows // TILE_ROWS * TILE_ROWS if column + wide <= columns else 0
            for start in range(0, depth, stretch):
                deep = min(stretch, depth - start)
                to, source = out + plane * out_plane + column * size, a + plane * a_plane + start * size
                factor = b + plane * b_plane + column // wide * panel + start * wide * size
                for row in range(0, end, TILE_ROWS):
                    full_tile(like, to + row * out_row, source + row * a_row, factor, 0, deep, out_row, a_row, size,
                              wide * size, TILE_ROWS, wide, start, 0)
                if end < rows:
                    blocks = (rows - end + TILE_ROWS - 1) // TILE_ROWS
                    multiply(like, to + end * out_row, source + end * a_row, factor, 0, deep, out_row, a_row, size, 0,
                             wide * size, rows - end, blocks, 0, blocks, min(wide, columns - column), start, 0)


@njit(cache=True, nogil=True, error_model="numpy")
def kernel_gradient(sums: Array, totals: Array, scratch: Array, image: Array, cotangent: Array, top: int, left: int,
                    part: int, parts: int) -> None:
    """Write sums of (B' d B) (A dy A') over shares of the tiles, for `combine`. Shares are rows of 4x4 by chunks.

    Args:
        sums: out, (`gradient_chunks`, 16, C, O).
        totals: out, `gradient_totals` float64: sums of dy, and their rounding errors; empty where there is no bias.
        scratch: scratch, `gradient_scratch` elements a part; its contents do not matter.
        image: in, (N, any height, any width, C); it is zero outside.
        cotangent: in, dy, (N, H, W, O).
        top, left: how many rows and columns before the image are read.
    """
    images, height, wide, outputs = cotangent.shape
    channels, size = image.shape[3], image.itemsize
    rows, columns = _tiles(height), _tiles(wide)
    panel_width = TILE_VECTORS * VECTOR_BYTES // size
    block, group = gradient_block(channels, outputs), GROUP // size
    x_row, panel = min(channels, group) + GAP, block * panel_width
    x_plane, g_plane = block * x_row + GAP, block * _whole_panels(min(outputs, group), size) + GAP
    values = part * 4 * (x_plane + g_plane)
    slopes = values + 4 * x_plane
    place, plane = address(scratch), channels * outputs
    chunks = gradient_chunks(images * rows * columns, channels, outputs)
    lo, hi = share(4 * chunks, part, parts)
    for item in range(lo, hi):
        chunk, across = item // 4, item % 4
        adds = across == 1 and totals.size > 0
        if adds:
            totals[chunk] = 0
        begin, end = share(images * rows * columns, chunk, chunks)
        for first in range(begin, end, block):
            count = min(block, end - first)
            for o in range(0, outputs, group):
                some = min(group, outputs - o)
                _slopes(pointer(scratch, slopes), g_plane, panel, cotangent, o, o + some, across, first, count)
                for column in range(o, o + some if adds else o, panel_width):
                    stop = column + panel_width
                    add_rows(totals[chunk, 0, column:stop], totals[chunk, 1, column:stop],
                             pointer(scratch, slopes + g_plane + (column - o) // panel_width * panel), panel_width,
                             count, min(panel_width, outputs - column), False)
                for c in range(0, channels, group):
                    high = min(group, channels - c)
                    _rows_in(pointer(scratch, values), x_plane, x_row, image, c, c + high, top, left, across,
                             across + 1, first, count, rows, columns)
                    tiles = (high + TILE_ROWS - 1) // TILE_ROWS
                    for column in range(o, o + some, panel_width):
                        b = slopes + (column - o) // panel_width * panel
                        for k in range(4):
                            to = (4 * item + k) * plane + c * outputs + column
                            multiply(image, address(sums) + to * size, place + (values + k * x_plane) * size,
                                     place + (b + k * g_plane) * size, 0, count, outputs * size, size, x_row * size, 0,
                                     panel_width * size, high, tiles, 0, tiles, min(panel_width, outputs - column),
                                     first - begin, 0)


@njit(error_model="numpy")
def _slopes(target: Any, plane: int, panel: int, cotangent: Array, begin: int, end: int, across: int, first: int,
            count: int) -> None:
    """Write row `across` of A dy A' of some tiles, for the outputs from begin to end: four planes of panels."""
    _, height, wide, outputs = cotangent.shape
    rows, columns = _tiles(height), _tiles(wide)
    g, like, unit = pointer(cotangent, begin), zeros(cotangent, 1, 1), cotangent.dtype.type(1)
    lanes, panel_width = width(like), TILE_VECTORS * width(like)
    # Row `across` of A is upper * y0 + lower * y1.
    upper = unit - unit if across == 3 else unit
    lower = unit - unit if across == 0 else unit if across == 1 else -unit
    n, i, j = first // columns // rows, first // columns % rows, first % columns
    for tile in range(count):
        at = ((n * height + 2 * i) * wide + 2 * j) * outputs
        below, beside = 2 * i + 1 < height, 2 * j + 1 < wide
        for o in range(0, end - begin, lanes):
            left = end - begin - o
            to = o // panel_width * panel + tile * panel_width + o % panel_width
            if left >= lanes and below and beside:
                _row_of_slopes(target, to, plane, g, at + o, wide * outputs, outputs, upper, lower, like, lanes, lanes,
                               lanes)
            else:
                _row_of_slopes(target, to, plane, g, at + o, wide * outputs, outputs, upper, lower, like, left,
                               left if below else 0, left if beside else 0)
        n, i, j = _next_tile(n, i, j, rows, columns)


@njit(error_model="numpy", forceinline=True)
def _row_of_slopes(out: Any, to: int, plane: int, g: Any, at: int, row: int, pixel: int, upper: Any, lower: Any,
                   like: Any, left: int, below: int, beside: int) -> None:
    """Write one row of A dy A' of a tile for a vector of outputs; `below` and `beside` of them lie inside the image."""
    corner = min(below, beside)
    here = read(g, at, like, left, 0) * upper + read(g, at + row, like, below, 0) * lower
    right = read(g, at + pixel, like, beside, 0) * upper + read(g, at + row + pixel, like, corner, 0) * lower
    _write_four(out, to, plane, (here, here + right, here - right, like - right), left)


@njit(cache=True, nogil=True, error_model="numpy")
def combine(out: Array, shifts: Array, sums: Array, totals: Array, part: int, parts: int) -> None:
    """Write the gradient with respect to the kernels: G' m G of the sums. Shares are channels; one part does the bias.

    Args:
        out: out, (O, C, 3, 3).
        shifts: out, (O,), or of length 0 where there is no bias.
        sums: in, from `kernel_gradient`: as many elements as it has filled.
        totals: in, from `kernel_gradient`.
    """
    outputs, channels = out.shape[0], out.shape[1]
    source, target, taps = pointer(sums, 0), pointer(out, 0), stack(out, 12 * 64)
    like, half = zeros(out, 1, 1), out.dtype.type(0.5)
    lanes, plane = width(like), channels * outputs
    chunks = sums.size // (16 * plane)
    lo, hi = share(channels, part, parts)
    for c in range(lo, hi):
        for o in range(0, outputs, lanes):
            left, at = outputs - o, c * outputs + o
            for j in range(4):
                down = _kernel_sums(_total(source, at + j * plane, plane, chunks, like, left),
                                    _total(source, at + (4 + j) * plane, plane, chunks, like, left),
                                    _total(source, at + (8 + j) * plane, plane, chunks, like, left),
                                    _total(source, at + (12 + j) * plane, plane, chunks, like, left), half)  # fmt: skip
                write(taps, j * lanes, down[0], lanes)
                write(taps, (4 + j) * lanes, down[1], lanes)
                write(taps, (8 + j) * lanes, down[2], lanes)
            for i in range(3):
                a, b, c2, d = _four(taps, 4 * i * lanes, lanes, like, lanes)
                across = _kernel_sums(a, b, c2, d, half)
                write(taps, 3 * i * lanes, across[0], lanes)
                write(taps, (3 * i + 1) * lanes, across[1], lanes)
                write(taps, (3 * i + 2) * lanes, across[2], lanes)
            for lane in range(min(lanes, left)):
                for tap in range(9):
                    store(ahead(target, ((o + lane) * channels + c) * 9 + tap), load(ahead(taps, tap * lanes + lane)))
    for o in range(shifts.shape[0] if part == parts - 1 else 0):
        total, lost = 0.0, 0.0
        for chunk in range(chunks):
            total, error = two_sum(total, totals[chunk, 0, o])
            lost += error + totals[chunk, 1, o]
        shifts[o] = corrected(total, lost)


@njit(error_model="numpy", forceinline=True)
def _total(sums: Any, at: int, plane: int, chunks: int, like: Any, left: int) -> Any:
    """Return the sum over the chunks, in order."""
    total = read(sums, at, like, left, 0)
    for chunk in range(1, chunks):
        total = total + read(sums, at + chunk * 16 * plane, like, left, 0)
    return total
