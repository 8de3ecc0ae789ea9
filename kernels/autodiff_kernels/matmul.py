"""Matrix products: batched, in every transposition, any size.

A register tile (`lanes.py`) walks down a panel of the right factor that stays in the first-level cache, beside a block
of the left factor that stays in the second-level one (Goto and van de Geijn, Anatomy of High-Performance Matrix
Multiplication, ACM TOMS 34(3), 2008). A factor is read where it lies or packed into scratch: `packs_left`,
`packs_right`. A product of one row or one column reads each number of the other factor once; memory is its limit, so
it goes along the rows of the matrix, whichever way they lie.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numba.extending import register_jitable
from numba.types import int64

from autodiff_kernels import inner
from autodiff_kernels.accumulate import TILE, add_rows, corrected
from autodiff_kernels.cpu import L1_BYTES, L2_BYTES, VECTOR_BYTES
from autodiff_kernels.epilogue import WORDS, finish, finish_row, note
from autodiff_kernels.lanes import (
    COMBINED_ROWS,
    DOT_BYTES,
    DOT_ROWS,
    RELU,
    TILE_ROWS,
    TILE_VECTORS,
    address,
    address_at,
    combine_row,
    combine_rows,
    copy_block,
    copy_row,
    dot_rows,
    edge_tile,
    full_tile,
    full_tile_less_1,
    full_tile_less_2,
    full_tile_less_3,
    interleave,
    low_tile,
    narrow_tile,
    transpose_square,
)
from autodiff_kernels.memory import forward, load, pointer, stack, store
from autodiff_kernels.parts import columns as columns_of
from autodiff_kernels.parts import row_share, share

Array = np.ndarray[Any, np.dtype[Any]]

STRETCH = 384  # products that are summed before the sum is added to the total, at most: `stretch_of`; on any processor
# Rows of the left factor, each with a line of the cache beside it, that are multiplied by one panel after the other.
BLOCK_ROWS = max(3 * L2_BYTES // 8 // (4 * STRETCH + 64) // TILE_ROWS, 1) * TILE_ROWS
SMALL = L1_BYTES // 2  # bytes of a factor that is not worth packing: it stays in the first-level cache as it is
KEPT = 2 * L2_BYTES  # of packed panels that are kept for the next block of the left factor: a strip of columns
BAND = 8  # rows of the right factor, columns of the left one, that are packed at a time: they are read along memory
GROUP = 4  # panels that are packed together where none is kept
PAGE = 4096  # rows this far apart, or a multiple, share one place in the first-level cache
LONGEST = DOT_BYTES // 4 * STRETCH  # products of a dot product that are summed before the sum is added to the total
COLUMNS = 2048  # of a product of one row that are summed together, at most
COLUMNS_OF_ROWS = COLUMNS * COMBINED_ROWS
TURNED = (TILE_VECTORS * VECTOR_BYTES // 4) ** 2  # numbers of a product of fewer rows and columns than a panel has


@register_jitable(pipeline_class=inner.Compiler)
def stretch_of(k: int) -> int:
    """Return how many of k products are summed before the sum is added to the total; part of the result's definition.

    They are shared evenly among the fewest stretches: each pass over the result costs a tile its beginning and end.
    """
    pieces = max((k + STRETCH - 1) // STRETCH, 1)
    return max((k + pieces - 1) // pieces, 1)


@register_jitable(pipeline_class=inner.Compiler)
def turns(m: int, n: int, k: int, row: int, itemsize: int) -> bool:
    """Tell whether the transposed product is computed: a few columns, and rows that are neighbours in memory.

    `row` is how many elements the rows of the left factor lie apart. It pays where columns leave lanes idle.
    """
    lanes = VECTOR_BYTES // itemsize
    return row == 1 and 1 < n < TILE_VECTORS * lanes <= m and -n % lanes > lanes // 8 and k > 1


@register_jitable(pipeline_class=inner.Compiler)
def packs_right(m: int, n: int, k: int, column: int, itemsize: int) -> bool:
    """Tell whether panels of the right factor, whose columns lie `column` elements apart, are packed.

    Where its columns are neighbours and it stays in the second-level cache, its rows are read where they lie: that
    costs less than to pack them, unless all of them share one place in the first-level cache. A row of a panel lies on
    a line of the cache more than it fills. For narrow panels, as of AVX2, that is twice the lines: then many rows of
    the left factor are worth packing for.
    """
    far = n * k * itemsize > L2_BYTES or n * itemsize % PAGE == 0
    twice = TILE_VECTORS * VECTOR_BYTES <= 64 and m >= 16 * TILE_ROWS
    pays = m >= 8 * TILE_ROWS and n * k * itemsize > SMALL and (far or twice)
    return m > 1 and n > 1 and (column != 1 or pays)


@register_jitable(pipeline_class=inner.Compiler)
def packs_left(m: int, n: int, k: int, row: int, itemsize: int) -> bool:
    """Tell whether the left factor, whose rows lie `row` elements apart, is packed: bad strides, several panels."""
    panels = n * itemsize // (TILE_VECTORS * VECTOR_BYTES)
    bad = row == 1 or row * itemsize % PAGE == 0
    return m > 1 and panels >= 4 and m * k * itemsize > SMALL and bad


@register_jitable(pipeline_class=inner.Compiler)
def _chunks(m: int) -> tuple[int, int]:
    """Return how many blocks of the left factor's rows there are, and of how many tiles the largest one is."""
    chunks = (m + BLOCK_ROWS - 1) // BLOCK_ROWS
    return chunks, ((m + max(chunks, 1) - 1) // max(chunks, 1) + TILE_ROWS - 1) // TILE_ROWS


@register_jitable(pipeline_class=inner.Compiler)
def tile_size(depth: int, itemsize: int) -> int:
    """Return how many elements a packed tile's rows take, with the vector that `interleave` writes beyond them."""
    return TILE_ROWS * depth + 64 // itemsize


@register_jitable(pipeline_class=inner.Compiler)
def _packed_sizes(m: int, n: int, k: int, a_row: int, b_column: int, itemsize: int) -> tuple[int, int, int, int]:
    """Return the elements of a packed panel, how many panels stay packed, and the elements of a block and its row."""
    lanes = VECTOR_BYTES // itemsize
    depth = stretch_of(k)
    depth += -depth % lanes
    row = depth + 64 // itemsize  # one cache line more, so that rows do not share a place in the cache
    panel = TILE_VECTORS * lanes * depth if packs_right(m, n, k, b_column, itemsize) else 0
    chunks, tiles = _chunks(m)
    panels = (n + TILE_VECTORS * lanes - 1) // (TILE_VECTORS * lanes)
    kept = min(panels, GROUP)
    if panel > 0 and chunks > 1:
        strips = (panels * panel * itemsize + KEPT - 1) // KEPT
        kept = (panels + strips - 1) // strips
    block = 0
    if packs_left(m, n, k, a_row, itemsize):
        block = tiles * tile_size(depth, itemsize) if a_row == 1 else (min(m, BLOCK_ROWS) + lanes) * row
    return panel, kept, block, row


def matmul_scratch(m: int, n: int, k: int, a_row: int, b_column: int, itemsize: int, parts: int) -> int:
    """Return how many elements of scratch `matmul` needs for these sizes, element strides and number of parts.

    0 where it reads both factors in place.

    >>> from autodiff_kernels.matmul import matmul_scratch
    >>> matmul_scratch(32, 32, 32, a_row=32, b_column=1, itemsize=4, parts=2)
    0
    """
    panel, kept, block, _ = _packed_sizes(m, n, k, a_row, b_column, itemsize)
    return parts * (panel * kept + block)


@njit(error_model="numpy")
def pack(like: Array, target: int, target_row: int, source: int, row: int, column: int, depth: int, width: int) -> None:
    """Copy `depth` rows and `width` columns at address `source` to rows of `target_row` bytes; strides in bytes.

    Where the rows are neighbours, whole squares of the target are written, as `transpose_square` says.
    """
    size = like.itemsize
    lanes = VECTOR_BYTES // size
    if column == size:
        copy_block(like, target, target_row, source, row, depth, width)
    elif row == size:
        for j in range(0, width, lanes):
            for k in range(0, depth, lanes):
                transpose_square(like, target + k * target_row + j * size, target_row, source + j * column + k * row,
                                 column, width - j, depth - k)
    else:
        for k in range(depth):
            copy_row(like, target + k * target_row, source + k * row, column, width)


@njit(error_model="numpy")
def pack_tiles(like: Array, target: int, source: int, column: int, rows: int, depth: int, blocks: int) -> None:
    """Pack `rows` rows that are neighbours in memory tile by tile, as `multiply` spreads them over `blocks` tiles.

    A tile's numbers lie in the order in which it reads them: TILE_ROWS of the first column, then of the second, ...
    Tiles begin `tile_size` apart.
    """
    size = like.itemsize
    for k in range(0, depth, BAND):
        for block in range(blocks):
            i, end = share(rows, block, blocks)
            interleave(like, target + (block * tile_size(depth, size) + k * TILE_ROWS) * size,
                       source + i * size + k * column, column, end - i, min(BAND, depth - k))


@njit(error_model="numpy")
def multiply(like: Array, out: int, a: int, b: int, bias: int, depth: int, out_row: int, a_row: int, a_column: int,
             a_tile: int, b_row: int, rows: int, blocks: int, first: int, last: int, wide: int, again: int,
             tail: int) -> None:
    """Multiply `rows` rows by one panel of `wide` columns, in `blocks` tiles, of which it does `first` to `last`.

    The rows are spread evenly over the tiles. Those of the next tile begin `a_tile` bytes further, or, where that is 0,
    lie in one matrix. The other arguments are those of a tile (`lanes._tile`).
    """
    lanes = VECTOR_BYTES // like.itemsize
    end, _ = share(rows, first, blocks)
    for block in range(first, last):
        i, end = end, rows * (block + 1) // blocks  # share(rows, block, blocks), with one division instead of two
        high = end - i
        c, r = out + i * out_row, a + (block * a_tile if a_tile != 0 else i * a_row)
        if wide <= lanes:
            narrow_tile(like, c, r, b, bias, depth, out_row, a_row, a_column, b_row, high, wide, again, tail)
        elif high <= TILE_ROWS // 2:
            low_tile(like, c, r, b, bias, depth, out_row, a_row, a_column, b_row, high, wide, again, tail)
        elif wide < TILE_VECTORS * lanes:
            edge_tile(like, c, r, b, bias, depth, out_row, a_row, a_column, b_row, high, wide, again, tail)
        elif high == TILE_ROWS:
            full_tile(like, c, r, b, bias, depth, out_row, a_row, a_column, b_row, high, wide, again, tail)
        elif high == TILE_ROWS - 1:
            full_tile_less_1(like, c, r, b, bias, depth, out_row, a_row, a_column, b_row, high, wide, again, tail)
        elif high == TILE_ROWS - 2:
            full_tile_less_2(like, c, r, b, bias, depth, out_row, a_row, a_column, b_row, high, wide, again, tail)
        else:
            full_tile_less_3(like, c, r, b, bias, depth, out_row, a_row, a_column, b_row, high, wide, again, tail)


@njit(error_model="numpy")
def _activate(like: Array, out: int, out_row: int, rows: int, columns: int, blocks: int, first: int, last: int,
              panel_step: int, activation: int) -> None:
    """Do an activation that is no tile's on the tiles `first` to `last` of some rows: many columns at a time.

    Panel p has the tiles from p `panel_step` on. Those that are done whole lie side by side in `columns` columns.
    """
    width, panel = TILE_VECTORS * (VECTOR_BYTES // like.itemsize), first // panel_step
    while panel * panel_step < last:
        low, high = max(first - panel * panel_step, 0), min(last - panel * panel_step, blocks)
        following = panel + 1
        if low == 0 and high == blocks:
            following = (last - blocks) // panel_step + 1
        if low < high:
            begin, _ = share(rows, low, blocks)
            _, end = share(rows, high - 1, blocks)
            j = panel * width
            finish(like, out + begin * out_row + j * like.itemsize, 0, 0, activation, end - begin, out_row,
                   min(following * width, columns) - j)
        panel = following


@njit(error_model="numpy")
def panel_size(like: Array, depth: int) -> int:
    """Return how many elements a panel of `depth` rows of a register tile's columns takes, when packed."""
    lanes = VECTOR_BYTES // like.itemsize
    return TILE_VECTORS * lanes * (depth + -depth % lanes)


@njit(error_model="numpy")
def pack_panels(like: Array, target: int, source: int, row: int, column: int, depth: int, columns: int) -> None:
    """Pack a matrix (depth, columns) panel by panel, `panel_size` elements apart; addresses and strides in bytes."""
    width = TILE_VECTORS * VECTOR_BYTES
    each = panel_size(like, depth) * like.itemsize
    band = BAND if column == like.itemsize else max(depth, 1)
    for k in range(0, depth, band):
        for panel in range((columns * like.itemsize + width - 1) // width):
            j = panel * (width // like.itemsize)
            pack(like, target + panel * each + k * width, width, source + k * row + j * column, row, column,
                 min(band, depth - k), min(width // like.itemsize, columns - j))


@njit(error_model="numpy")
def multiply_panels(like: Array, out: int, out_row: int, a: int, a_row: int, a_column: int, rows: int, b: int,
                    b_row: int, b_panel: int, depth: int, columns: int, bias: int, again: int) -> None:
    """out = a @ b, or out + a @ b with `again`, + bias unless its address is 0; for compiled code with its own blocks.

    Panels of b begin `b_panel` bytes apart, and their rows lie `b_row` apart; addresses and strides in bytes. The sums
    are those of `matmul`.
    """
    size = like.itemsize
    width = TILE_VECTORS * (VECTOR_BYTES // size)
    blocks, stretch = (rows + TILE_ROWS - 1) // TILE_ROWS, stretch_of(depth)
    for j in range(0, columns, width):
        panel = b + j // width * b_panel
        for start in range(0, depth, stretch):
            shift = bias + j * size if bias != 0 and start + stretch >= depth else 0
            multiply(like, out + j * size, a + start * a_column, panel + start * b_row, shift,
                     min(stretch, depth - start), out_row, a_row, a_column, 0, b_row, rows, blocks, 0, blocks,
                     min(width, columns - j), 1 if again or start > 0 else 0, 0)


@njit(error_model="numpy")
def _row(like: Array, out: int, a: int, b: int, bias: int, a_column: int, b_row: int, b_column: int, columns: int,
         depth: int) -> None:
    """Multiply a row by up to COLUMNS columns and add the bias unless its address is 0; strides in bytes."""
    size = like.itemsize
    lanes = DOT_BYTES // size
    unit = stack(like, 1)
    store(unit, like.dtype.type(1))
    one = address_at(unit)
    if b_row == size:
        row = address_at(stack(like, LONGEST))
        for start in range(0, depth, lanes * STRETCH):
            count = min(lanes * STRETCH, depth - start)
            factor = a + start * a_column
            if a_column != size:
                copy_row(like, row, factor, a_column, count)
                factor = row
            for j in range(0, columns, DOT_ROWS):
                dot_rows(like, out + j * size, factor, b + j * b_column + start * size, b_column,
                         min(DOT_ROWS, columns - j), count, start)
    else:
        total, rows = address_at(stack(like, COLUMNS)), address_at(stack(like, COLUMNS_OF_ROWS))
        stretch = stretch_of(depth)
        for start in range(0, depth, stretch):
            end = min(start + stretch, depth)
            goal = out if start == 0 else total
            for k in range(start, end, COMBINED_ROWS):
                count = min(COMBINED_ROWS, end - k)
                source, source_row = b + k * b_row, b_row
                if b_column != size:
                    pack(like, rows, COLUMNS * size, source, b_row, b_column, count, columns)
                    source, source_row = rows, COLUMNS * size
                if count == COMBINED_ROWS:
                    combine_rows(like, goal, a + k * a_column, source, a_column, source_row, columns, k - start)
                else:
                    for i in range(count):
                        combine_row(like, goal, a + (k + i) * a_column, source + i * source_row, 0, 0, columns,
                                    k + i - start)
            if start > 0:
                combine_row(like, out, one, total, 0, 0, columns, 1)
    if bias != 0:
        combine_row(like, out, one, bias, 0, 0, columns, 1)


def totals_size(m: int) -> int:
    """Return how many float64 numbers each part needs for the sums of `matmul`: m totals and errors, and a register.

    >>> from autodiff_kernels.matmul import totals_size
    >>> totals_size(10)
    52
    """
    return 2 * (m + 16)


@njit(error_model="numpy")
def _add_columns(sums: Array, totals: Array, a: Array, begin: int, end: int, k: int, first: int, last: int, part: int
                 ) -> None:
    """Add rows `begin` to `end` of the k rows of a, the left factor turned, to the sums of columns `first` to `last`.

    Rows are added four at a time, those that are left over with the next ones. So the sums are those of
    `reduce.sum_axes`, however the rows are cut.
    """
    m = sums.shape[0]
    room = m + 16
    own, errors = totals[2 * part * room :], totals[(2 * part + 1) * room :]
    if begin == 0:
        own[first:last] = 0
        errors[first:last] = 0
    begin, stop = begin & -4, k if end == k else end & -4
    for j in range(first, last, TILE):
        add_rows(own[j:last], errors[j:last], pointer(a, begin * m + j), m, stop - begin, min(TILE, last - j), False)
    if end == k:
        for j in range(first, last):
            sums[j] = corrected(own[j], errors[j])


@njit(error_model="numpy")
def _outer(like: Array, out: int, a: int, b: int, bias: int, inner: int, a_outer: int, a_inner: int, a_row: int,
           b_outer: int, b_inner: int, m: int, n: int, first: int, last: int) -> None:
    """Write the rows from `first` to `last` of products of a column and a row: a tile's beginning and end would be all.

    Addresses and strides in bytes; those of b's elements are neighbours. The bias is added unless its address is 0.
    """
    size = like.itemsize
    unit = stack(like, 1)
    store(unit, like.dtype.type(1))
    for row in range(first, last):
        matrix, i = row // m, row % m
        target = out + row * n * size
        combine_row(like, target, a + matrix // inner * a_outer + matrix % inner * a_inner + i * a_row,
                    b + matrix // inner * b_outer + matrix % inner * b_inner, 0, 0, n, 0)
        if bias != 0:
            combine_row(like, target, address_at(unit), bias, 0, 0, n, 1)


@njit(error_model="numpy")
def _turned_panel(like: Array, out: int, a: int, b: int, bias: int, a_column: int, b_row: int, b_column: int,
                  rows: int, n: int, depth: int, tail: int) -> None:
    """Multiply some rows, neighbours in memory, by a few columns: as the columns by a panel, and turn the result.

    Columns that are fewer than the lanes of a register would leave lanes idle; rows fill them. Addresses and strides in
    bytes; the rows are at most a panel's columns. The bias is added unless its address is 0, and the epilogue `tail`
    follows.
    """
    size = like.itemsize
    width = TILE_VECTORS * VECTOR_BYTES
    unit, turned, made = stack(like, 1), address_at(stack(like, TURNED)), address_at(stack(like, TURNED))
    target = made if tail != 0 else out
    store(unit, like.dtype.type(1))
    multiply_panels(like, turned, width, b, b_column, b_row, n, a, a_column, 0, depth, rows, 0, 0)
    for i in range(rows):
        copy_row(like, target + i * n * size, turned + i * size, width, n)
        if bias != 0:
            combine_row(like, target + i * n * size, address_at(unit), bias, 0, 0, n, 1)
    if tail != 0:
        finish_row(like, out, made, rows * n, tail)


@njit(cache=True, nogil=True, error_model="numpy")
def matmul(out: Array, scratch: Array, sums: Array, totals: Array, a: Array, b: Array, bias: Array, residual: Array,
           scale: Array, activation: int, outer: int, inner: int, m: int, n: int, k: int, a_outer: int, a_inner: int,
           a_row: int, a_column: int, b_outer: int, b_inner: int, b_row: int, b_column: int, part: int, parts: int
           ) -> None:
    """Compute ``out[p, q] = activation(residual[p, q] + scale * (a[p, q] @ b[p, q] + bias))`` for p < outer, q < inner.

    Each element is the sum over k, in order, of stretches of `stretch_of(k)` products, each summed in order by FMA
    from 0; the bias is added to the finished sum. Where one factor is a single row or column, and along k the other's
    numbers are neighbours, a stretch has 64 bytes of lanes with `STRETCH` products each (`lanes.dot_rows`). So the bits
    depend on neither parts, tile nor vector width. k = 0 gives 0. Shares are runs of register tiles, row by
    row or column by column.

    Args:
        out: out, (outer * inner * m * n,), matrices of m rows and n columns in C order; float32 or float64.
        scratch: scratch, `matmul_scratch` elements of the same dtype; its contents do not matter.
        sums: out, (m,) of the same dtype, the sums of the rows of a, or of length 0. Only of one product
            (outer = inner = 1) whose left factor is a matrix (k, m) in C order, turned: a_row = 1, a_column = m.
        totals: scratch, `totals_size` float64 for each part, or of length 0 without sums.
        a: in, an array of that dtype of which only the address of the first element is used: element (i, l) of matrix
            (p, q) lies ``p * a_outer + q * a_inner + i * a_row + l * a_column`` elements further.
        b: in, likewise with ``p * b_outer + q * b_inner + l * b_row + j * b_column``. A stride of 0 broadcasts.
        bias: in, (n,) of that dtype, or of length 0 for none.
        residual: in, of that dtype, lying like `out`, or of length 0 for none. Where k is no more than `STRETCH`, it
            may be `out` itself.
        scale: in, one number of that dtype, or of length 0 for none.
        activation: one of `epilogue.ACTIVATIONS`, or NONE. Each step of the epilogue rounds.
    """
    size = out.itemsize
    lanes = VECTOR_BYTES // size
    shift = address(bias) if bias.shape[0] > 0 else 0
    tail = note(stack(int64(0), WORDS), address(out), residual, scale, activation)
    out_at, a_at, b_at = address(out), address(a), address(b)
    panel_size, kept, block_size, block_row = _packed_sizes(m, n, k, a_row, b_column, size)
    packed_panel = address(scratch) + part * (panel_size * kept + block_size) * size
    packed_block = packed_panel + panel_size * kept * size
    a_outer, a_inner, a_row, a_column = a_outer * size, a_inner * size, a_row * size, a_column * size
    b_outer, b_inner, b_row, b_column = b_outer * size, b_inner * size, b_row * size, b_column * size

    summed = sums.shape[0] > 0
    if summed and (m == 1 or n <= 1 or k == 1 or turns(m, n, k, 1, size)):  # what follows has no stretches
        summed = False
        low, high, units = row_share(1, m, parts - 1 - part, parts)  # of a few products the last part has most
        _add_columns(sums, totals, a, 0, k, k, *columns_of(0, m, low, high, units), part)

    if k > 0 and (m == 1 or n == 1):
        columns = n
        if n == 1:  # one column: the transposed product has one row, and its result lies in memory the same way
            a_at, b_at = b_at, a_at
            a_outer, a_inner, a_row, a_column, b_outer, b_inner, b_row, b_column = (
                b_outer, b_inner, b_column, b_row, a_outer, a_inner, a_column, a_row)
            m, n = 1, m
        length = min(COLUMNS, ((n + parts - 1) // parts + 63) // 64 * 64)
        pieces = (n + length - 1) // length
        made = stack(out, COLUMNS)
        lo, hi = share(outer * inner * pieces, part, parts)
        for piece in range(lo, hi):
            matrix, j = piece // pieces, piece % pieces * length
            target = made if tail != 0 else pointer(out, matrix * n + j)
            left = a_at + matrix // inner * a_outer + matrix % inner * a_inner
            right = b_at + matrix // inner * b_outer + matrix % inner * b_inner + j * b_column
            count = min(length, n - j)
            add = shift + j * size if shift != 0 and columns > 1 else 0
            _row(out, address_at(target), left, right, add, a_column, b_row, b_column, count, k)
            if shift != 0 and columns == 1:
                for i in range(count):
                    store(forward(target, i), load(forward(target, i)) + bias[0])
            if tail != 0:
                finish_row(out, out_at + (matrix * n + j) * size, address_at(target), count, tail)
        return

    if tail == 0 and k == 1 and b_column == size and n >= TILE_VECTORS * lanes:
        _outer(out, out_at, a_at, b_at, shift, inner, a_outer, a_inner, a_row, b_outer, b_inner, m, n,
               *share(outer * inner * m, part, parts))
        return

    width, out_row, stretch = TILE_VECTORS * lanes, n * size, stretch_of(k)
    if turns(m, n, k, a_row // size, size):
        pieces = (m + width - 1) // width
        lo, hi = share(outer * inner * pieces, part, parts)
        for piece in range(lo, hi):
            matrix, i = piece // pieces, piece % pieces * width
            _turned_panel(out, out_at + (matrix * m + i) * out_row,
                          a_at + matrix // inner * a_outer + matrix % inner * a_inner + i * size,
                          b_at + matrix // inner * b_outer + matrix % inner * b_inner, shift, a_column, b_row, b_column,
                          min(width, m - i), n, k, tail)
        return

    panels = (n + width - 1) // width
    chunks, blocks = _chunks(m)
    tiles = panels * blocks
    # Each part packs what it multiplies. With shares of the columns a panel is packed once, not once by each part, but
    # a left factor that is packed, too, by each.
    by_columns = (parts > 1 and outer * inner == 1 and chunks > 1 and panels >= 4 * parts and panel_size > 0
                  and (block_size == 0 or n > m))
    chunk_step, panel_step = (blocks, chunks * blocks) if by_columns else (tiles, blocks)
    lo, hi = share(outer * inner * chunks * tiles, part, parts)
    if lo == hi:
        return
    for matrix in range(lo // (chunks * tiles), (hi + chunks * tiles - 1) // (chunks * tiles)):
        left = a_at + matrix // inner * a_outer + matrix % inner * a_inner
        right = b_at + matrix // inner * b_outer + matrix % inner * b_inner
        low, high = max(lo - matrix * chunks * tiles, 0), min(hi - matrix * chunks * tiles, chunks * tiles)
        chunk_begin, chunk_end, panel_begin, panel_end = 0, chunks, 0, panels
        if by_columns:
            panel_begin, panel_end = low // panel_step, (high + panel_step - 1) // panel_step
        else:
            chunk_begin, chunk_end = low // chunk_step, (high + chunk_step - 1) // chunk_step
        keep = panel_size > 0 and chunk_end - chunk_begin > 1
        strip, group = kept if keep else panels, min(kept, GROUP)
        for strip_begin in range(panel_begin, panel_end, strip):
            strip_end = min(strip_begin + strip, panel_end)
            for start in range(0, max(k, 1), stretch):
                depth = min(stretch, k - start)
                right_now = right + start * b_row
                if keep:
                    j = strip_begin * width
                    pack_panels(out, packed_panel, right_now + j * b_column, b_row, b_column, depth,
                                min((strip_end - strip_begin) * width, n - j))
                for chunk in range(chunk_begin, chunk_end):
                    begin, end = share(m, chunk, chunks)
                    first, last = low - chunk * chunk_step, high - chunk * chunk_step
                    first_panel, last_panel = strip_begin, strip_end
                    if not by_columns:
                        first_panel = max(first // panel_step, strip_begin)
                        last_panel = min((last + panel_step - 1) // panel_step, strip_end)
                    if first_panel >= last_panel:
                        continue
                    if summed and first_panel == 0:  # the part that has a tile of this panel adds up the tile's rows
                        rows = end - begin
                        _add_columns(sums, totals, a, start, start + depth, k,
                                     begin + rows * max(first, 0) // blocks, begin + rows * min(last, blocks) // blocks,
                                     part)
                    a_now, a_row_now, a_column_now, a_tile = left + begin * a_row + start * a_column, a_row, a_column, 0
                    if block_size > 0 and a_row == size:
                        pack_tiles(out, packed_block, a_now, a_column, end - begin, depth, blocks)
                        a_now, a_column_now, a_tile = packed_block, TILE_ROWS * size, tile_size(depth, size) * size
                    elif block_size > 0:
                        pack(out, packed_block, block_row * size, a_now, a_row, a_column, end - begin, depth)
                        a_now, a_row_now, a_column_now = packed_block, block_row * size, size
                    for panel in range(first_panel, last_panel):
                        j = panel * width
                        b_now, b_row_now = right_now + j * b_column, b_row
                        if panel_size > 0:
                            place = panel - strip_begin if keep else (panel - first_panel) % group
                            if not keep and place == 0:
                                pack_panels(out, packed_panel, b_now, b_row, b_column, depth,
                                            min(min(group, last_panel - panel) * width, n - j))
                            packed = packed_panel + place * (width * (depth + -depth % lanes)) * size
                            b_now, b_row_now = packed, width * size
                        add = shift + j * size if shift != 0 and start + stretch >= k else 0
                        multiply(out, out_at + ((matrix * m + begin) * n + j) * size, a_now, b_now, add, depth, out_row,
                                 a_row_now, a_column_now, a_tile, b_row_now, end - begin, blocks,
                                 max(first - panel * panel_step, 0), min(last - panel * panel_step, blocks),
                                 min(width, n - j), start, tail if start + stretch >= k else 0)
                    if activation > RELU and start + stretch >= k:
                        _activate(out, out_at + (matrix * m + begin) * out_row, out_row, end - begin, n, blocks,
                                  max(first, first_panel * panel_step), min(last, last_panel * panel_step), panel_step,
                                  activation)
