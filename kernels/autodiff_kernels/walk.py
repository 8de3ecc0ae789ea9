"""The walk of an element-wise kernel over its operands: what the generated kernels call.

A walk is an int64 array [dims, total, shape..., strides of the first operand..., of the second..., ...], strides in
elements, outputs before inputs; the last dimension is the innermost one. A kernel goes tile by tile: a stretch of one
row or, where rows are short, some whole rows. An operand that does not hold a tile side by side is copied to or from
the stack, at most `CHUNK` elements at a time, so that one vectorised loop serves operands with any strides:

    tiles = begin(outs, ins, walk, part, parts, LIMIT)
    count = next_tile(tiles)
    while count > 0:
        apply(formula, count, here(tiles, outs, 0), here(tiles, ins, len(outs)), ())
        count = next_tile(tiles)

`next_tile` knows the size of an operand's elements and not their dtype. So it is compiled once, and kernels call it by
its address: with its code inside, a kernel would take three times as long to compile.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import cfunc, njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.types import int8, int32, int64

from autodiff_kernels import inner
from autodiff_kernels.memory import INT64, forward, load, pointer_at, store
from autodiff_kernels.parts import share_of_elements

CHUNK = 512
LIMIT, SHORT = 2**62, 4 * CHUNK  # the most elements of a tile: any number; few enough to be read twice from the cache

# What `begin` leaves on the stack, in words: first what all operands share, then a record an operand, then the copies.
WALK, PART, PARTS, OPERANDS, OUTPUTS, LONGEST = range(6)
STARTED, LEFT, ROW, COLUMN, ROWS, WIDTH, MOST = range(6, 13)
HEADER = 16
# Where the tile lies side by side, where the operand begins, bytes of an element, where its copy lies, strides along a
# row and from row to row, which tile this is (an offset), and what the copy holds: the offset, width and elements.
HERE, FIRST, ITEM, COPY, STEP, ROW_STEP, AT, HELD_AT, HELD_WIDTH, HELD = range(10)
RECORD = 16


@intrinsic
def begin(typing_context: Any, outputs: Any, inputs: Any, walk: Any, part: Any, parts: Any, limit: Any) -> Any:
    """begin(outputs, inputs, walk, part, parts, limit): address of the state of a walk over this part's elements.

    `outputs` and `inputs` are tuples of pointers to the operands' first elements; a tile has at most `limit` elements.
    """
    kinds = [*outputs, *inputs]

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        sizes = [context.get_abi_sizeof(context.get_data_type(kind.dtype)) for kind in kinds]
        words = HEADER + RECORD * len(kinds)
        with builder.goto_entry_block():
            state = builder.alloca(ir.ArrayType(INT64, words))
            copies = builder.alloca(ir.ArrayType(ir.IntType(8), CHUNK * sum(sizes)))
            copies.align = 64

        def put(word: int, value: Any) -> None:
            builder.store(value, cgutils.gep_inbounds(builder, state, 0, word))

        data = cgutils.create_struct_proxy(walk)(context, builder, arguments[2]).data
        put(WALK, builder.ptrtoint(data, INT64))
        put(PART, arguments[3])
        put(PARTS, arguments[4])
        put(OPERANDS, INT64(len(kinds)))
        put(OUTPUTS, INT64(len(outputs)))
        put(LONGEST, arguments[5])
        put(STARTED, INT64(0))
        firsts = [first for packed in arguments[:2] for first in cgutils.unpack_tuple(builder, packed)]
        for k, (first, size) in enumerate(zip(firsts, sizes, strict=True)):
            record, copy = HEADER + RECORD * k, cgutils.gep_inbounds(builder, copies, 0, CHUNK * sum(sizes[:k]))
            put(record + FIRST, builder.ptrtoint(first, INT64))
            put(record + ITEM, INT64(size))
            put(record + COPY, builder.ptrtoint(copy, INT64))
            put(record + HELD, INT64(0))
        return builder.ptrtoint(state, INT64)

    return types.intp(outputs, inputs, walk, types.intp, types.intp, types.intp), generate


@intrinsic(prefer_literal=True)
def here(typing_context: Any, tiles: Any, operands: Any, first: Any) -> Any:
    """here(tiles, operands, first): where the tile's elements lie side by side, for a tuple of pointers to operands.

    `first` (a literal) is the number of the first of them among all operands.
    """
    at = first.literal_value

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        words = builder.inttoptr(arguments[0], INT64.as_pointer())
        places = []
        for k, kind in enumerate(operands):
            word = builder.gep(words, [INT64(HEADER + RECORD * (at + k) + HERE)])
            places.append(builder.inttoptr(builder.load(word), context.get_value_type(kind)))
        return context.make_tuple(builder, signature.return_type, places)

    return operands(types.intp, operands, first), generate


@njit(error_model="numpy")
def _start(tiles: Any, walk: Any) -> None:
    """Find this part's elements, each operand's strides along a row and from row to row, and how large tiles are.

    Operands that all hold their rows side by side (step 1) need no copies, and short rows are taken several at a time.
    """
    dims = walk[0]
    inner, side_by_side = walk[1 + dims], True
    start, end = share_of_elements(walk[1], tiles[PART], tiles[PARTS])
    tiles[STARTED] = 1
    tiles[LEFT] = end - start
    tiles[ROW], tiles[COLUMN] = start // inner, start % inner
    for k in range(tiles[OPERANDS]):
        record, last = HEADER + RECORD * k, 2 + dims * (k + 2) - 1
        tiles[record + STEP] = walk[last]
        tiles[record + ROW_STEP] = walk[last - 1] if dims > 1 else 0
        side_by_side &= walk[last] == 1
    if dims > 1 and inner <= CHUNK // 4:
        tiles[MOST] = CHUNK // inner
    else:
        tiles[MOST] = 1
        tiles[LONGEST] = min(tiles[LONGEST], inner if side_by_side else CHUNK)


@njit(error_model="numpy")
def _choose(tiles: Any, walk: Any) -> None:
    """Choose rows and width of the tile that begins here, and find where it begins in each operand."""
    dims, row, column, left = walk[0], tiles[ROW], tiles[COLUMN], tiles[LEFT]
    inner = walk[1 + dims]
    if column > 0 or tiles[MOST] == 1 or left < inner:
        tiles[ROWS], tiles[WIDTH] = 1, min(tiles[LONGEST], inner - column, left)
    else:
        tiles[ROWS], tiles[WIDTH] = min(tiles[MOST], walk[dims] - row % walk[dims], left // inner), inner
    for k in range(tiles[OPERANDS]):
        record = HEADER + RECORD * k
        tiles[record + AT] = column * tiles[record + STEP]
    # `row` counts all dimensions but the last, in order.
    for axis in range(dims - 2, -1, -1):
        outer = row // walk[2 + axis] if axis > 0 else 0
        index = row - outer * walk[2 + axis]
        for k in range(tiles[OPERANDS]):
            tiles[HEADER + RECORD * k + AT] += index * walk[2 + dims * (k + 1) + axis]
        row = outer


@njit(error_model="numpy")
def _copy(source: Any, target: Any, rows: int, width: int, row_step: int, step: int, to_row: int, to: int) -> None:
    """Copy a tile; strides from row to row and along a row, of the source and of the target."""
    for row in range(rows):
        here, there = forward(source, row * row_step), forward(target, row * to_row)
        if step == 0:
            value = load(here)
            for i in range(width):
                store(forward(there, i * to), value)
        elif step == -1 and to == 1:  # the strides as constants: LLVM turns whole vectors round
            for i in range(width):
                store(forward(there, i), load(forward(here, -i)))
        else:
            for i in range(width):
                store(forward(there, i * to), load(forward(here, i * step)))


@njit(error_model="numpy")
def _copy_bytes(
    item: int, source: int, target: int, rows: int, width: int, row_step: int, step: int, to_row: int, to: int
) -> None:
    """Copy a tile of elements of `item` bytes from one address to another."""
    if item == 4:
        _copy(pointer_at(source, int32), pointer_at(target, int32), rows, width, row_step, step, to_row, to)
    elif item == 8:
        _copy(pointer_at(source, int64), pointer_at(target, int64), rows, width, row_step, step, to_row, to)
    else:
        for byte in range(item):
            here, there = pointer_at(source + byte, int8), pointer_at(target + byte, int8)
            _copy(here, there, rows, width, item * row_step, item * step, item * to_row, item * to)


inner.kernels_of(__name__)  # before what comes next is compiled


@cfunc(types.intp(types.intp), cache=True, error_model="numpy")
def _next_tile(state: int) -> int:
    """Finish the tile that was computed, go on to the next one, and return the number of its elements; 0 at the end."""
    tiles = pointer_at(state, int64)
    walk = pointer_at(tiles[WALK], int64)
    one = int64(1)  # of the same Numba type as any other stride
    if tiles[STARTED] == 0:
        _start(tiles, walk)
    else:
        rows, width = tiles[ROWS], tiles[WIDTH]
        for k in range(tiles[OUTPUTS]):
            record = HEADER + RECORD * k
            if tiles[record + HERE] == tiles[record + COPY]:
                item, copy = tiles[record + ITEM], tiles[record + COPY]
                place = tiles[record + FIRST] + tiles[record + AT] * item
                _copy_bytes(item, copy, place, rows, width, width, one, tiles[record + ROW_STEP], tiles[record + STEP])
        tiles[LEFT] -= rows * width
        tiles[COLUMN] += width
        if tiles[COLUMN] == walk[1 + walk[0]]:
            tiles[ROW], tiles[COLUMN] = tiles[ROW] + rows, 0
    if tiles[LEFT] <= 0:
        return 0
    _choose(tiles, walk)
    rows, width = tiles[ROWS], tiles[WIDTH]
    for k in range(tiles[OPERANDS]):
        record = HEADER + RECORD * k
        item, at, copy = tiles[record + ITEM], tiles[record + AT], tiles[record + COPY]
        row_step, step = tiles[record + ROW_STEP], tiles[record + STEP]
        place = tiles[record + FIRST] + at * item
        if step == 1 and (rows == 1 or row_step == width):
            tiles[record + HERE] = place
            continue
        tiles[record + HERE] = copy
        # A tile that the copy holds already is not copied again: rows or numbers that are broadcast.
        held = tiles[record + HELD_AT] == at and tiles[record + HELD_WIDTH] == width
        if k >= tiles[OUTPUTS] and not (held and tiles[record + HELD] >= rows * width):
            _copy_bytes(item, place, copy, rows, width, row_step, step, width, one)
            tiles[record + HELD_AT], tiles[record + HELD_WIDTH], tiles[record + HELD] = at, width, rows * width
    return rows * width


_SYMBOL = "autodiff_next_tile"
llvm.add_symbol(_SYMBOL, _next_tile.address)
next_tile = types.ExternalFunction(_SYMBOL, types.intp(types.intp))
