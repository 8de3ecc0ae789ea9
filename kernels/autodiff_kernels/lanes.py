"""Vector registers in Numba: LLVM vector instructions at integer addresses, and the register tile of a matrix product.

Numba's own vectoriser does not keep a tile of sums in registers; these intrinsics write the vector instructions
themselves. They take addresses in bytes and learn the float type from their first argument, an array of that type.
An intrinsic must stand at module level: a kernel that holds one in a closure is never found in Numba's disk cache.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import config, types
from numba.core import cgutils as _cgutils
from numba.extending import intrinsic as _intrinsic

from autodiff_kernels.cpu import TILES, VECTOR_BYTES, VECTOR_REGISTERS
from autodiff_kernels.memory import DistinctNode

cgutils: Any = _cgutils  # partly annotated
intrinsic: Any = _intrinsic  # its type would still ask compiled code for the typing context

TILE_ROWS, TILE_VECTORS = TILES[VECTOR_BYTES, VECTOR_REGISTERS]
RELU = 1  # of the activations of `epilogue` the one that a tile does itself
DOT_BYTES = 64  # a dot product is summed in this many bytes of lanes, however wide the register

_I32, _I64, _VOID = ir.IntType(32), ir.IntType(64), ir.VoidType()


def has_avx512() -> bool:
    """Return whether instructions that LLVM has no portable name for may be used: not where Numba is told otherwise."""
    told = config.CPU_NAME is not None or config.CPU_FEATURES is not None
    return VECTOR_BYTES == 64 and not told and bool(llvm.get_host_cpu_features().get("avx512f"))


class Lanes:
    """Emits the instructions on vectors of one float type into `builder`: of one register, or of `count` numbers."""

    def __init__(self, builder: Any, dtype: Any, count: int | None = None) -> None:
        self.builder = builder
        self.itemsize: int = dtype.bitwidth // 8
        self.count: int = VECTOR_BYTES // self.itemsize if count is None else count
        self.scalar = ir.FloatType() if self.itemsize == 4 else ir.DoubleType()
        self.vector = ir.VectorType(self.scalar, self.count)
        self.zeros = ir.Constant(self.vector, [0.0] * self.count)
        self._suffix = f"v{self.count}f{8 * self.itemsize}"

    def _call(self, name: str, result: Any, *values: Any) -> Any:
        kind = ir.FunctionType(result, [value.type for value in values])
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), values)

    def _pointer(self, address: Any) -> Any:
        return self.builder.inttoptr(address, self.vector.as_pointer())

    def first(self, count: Any) -> Any:
        """Return the mask of the first `count` lanes; any int32, also beyond the register or below 0."""
        kind = ir.VectorType(_I32, self.count)
        count = self.broadcast(self.builder.trunc(count, _I32), kind)
        return self.builder.icmp_signed("<", ir.Constant(kind, list(range(self.count))), count)

    def broadcast(self, value: Any, kind: Any = None) -> Any:
        """Return the scalar in every lane."""
        kind = self.vector if kind is None else kind
        undefined = ir.Constant(kind, ir.Undefined)
        first = self.builder.insert_element(undefined, value, _I32(0))
        return self.builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_I32, self.count), None))

    def prefetch(self, address: Any, far: bool = False) -> None:
        """Have the cache line at the address brought in, to be written; `far`: into the second-level cache only."""
        kind = ir.FunctionType(_VOID, [ir.IntType(8).as_pointer(), _I32, _I32, _I32])
        function = cgutils.get_or_insert_function(self.builder.module, kind, "llvm.prefetch.p0i8")
        place = self.builder.inttoptr(address, ir.IntType(8).as_pointer())
        self.builder.call(function, [place, *map(_I32, (0, 2, 1) if far else (1, 3, 1))])

    def load_broadcast(self, address: Any) -> Any:
        """Return the scalar at the address in every lane."""
        return self.broadcast(self.builder.load(self.builder.inttoptr(address, self.scalar.as_pointer())))

    def load(self, address: Any, mask: Any = None, fill: Any = None) -> Any:
        """Return the vector at the address; lanes outside the mask are not read and are those of `fill`, or zero."""
        pointer = self._pointer(address)
        if mask is None:
            value = self.builder.load(pointer)
            value.align = self.itemsize
            return value
        name = f"llvm.masked.load.{self._suffix}.p0"
        fill = self.zeros if fill is None else fill
        return self._call(name, self.vector, pointer, _I32(self.itemsize), mask, fill)

    def store(self, value: Any, address: Any, mask: Any = None) -> None:
        """Write the vector to the address; memory of lanes outside the mask is not touched."""
        pointer = self._pointer(address)
        if mask is None:
            self.builder.store(value, pointer).align = self.itemsize
        else:
            self._call(f"llvm.masked.store.{self._suffix}.p0", _VOID, value, pointer, _I32(self.itemsize), mask)

    def store_first(self, value: Any, address: Any, left: Any = None) -> None:
        """Write the first `left` lanes, or all; masked only if need be, as that costs ten times as much on Zen 3."""
        if left is None:
            self.store(value, address)
            return
        some = self.builder.icmp_signed("<", left, _I64(self.count))
        with self.builder.if_else(some) as (then, otherwise):
            with then:
                self.store(value, address, self.first(left))
            with otherwise:
                self.store(value, address)

    def fma(self, x: Any, y: Any, z: Any) -> Any:
        """Return x * y + z, rounded once."""
        return self._call(f"llvm.fma.{self._suffix}", self.vector, x, y, z)

    def times_powers(self, x: Any, n: Any) -> Any:
        """Return x * 2**n, rounded once, for integral n: an instruction of AVX-512, register by register."""
        count = 64 // self.itemsize
        register, mask = ir.VectorType(self.scalar, count), ir.IntType(count)
        kind = ir.FunctionType(register, [register, register, register, mask, _I32])
        name = f"llvm.x86.avx512.mask.scalef.p{'s' if self.itemsize == 4 else 'd'}.512"
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        parts = []
        for start in range(0, self.count, count):
            places = ir.Constant(ir.VectorType(_I32, count), list(range(start, start + count)))
            one, power = (self.builder.shuffle_vector(vector, vector, places) for vector in (x, n))
            parts.append(self.builder.call(function, [one, power, one, mask(-1), _I32(4)]))  # 4: the current rounding
        while len(parts) > 1:
            places = ir.Constant(ir.VectorType(_I32, 2 * parts[0].type.count), list(range(2 * parts[0].type.count)))
            parts = [self.builder.shuffle_vector(*pair, places) for pair in zip(parts[::2], parts[1::2], strict=True)]
        return parts[0]

    def shuffle(self, x: Any, y: Any, places: list[int]) -> Any:
        """Return the chosen lanes of x (places 0 to count - 1) and y (count to 2 count - 1)."""
        return self.builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(_I32, self.count), places))


@intrinsic
def address(typing_context: Any, array: Any) -> Any:
    """Return the byte address of an array's first element."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.ptrtoint(data, _I64)

    return types.intp(array), codegen


@intrinsic
def address_at(typing_context: Any, place: Any) -> Any:
    """Return the byte address that a typed pointer holds."""
    return types.intp(place), lambda context, builder, signature, arguments: builder.ptrtoint(arguments[0], _I64)


@intrinsic
def pointer_at(typing_context: Any, like: Any, address: Any) -> Any:
    """Return the byte address as a pointer to elements of the dtype of the array `like`."""
    kind = types.CPointer(like.dtype)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[1], context.get_value_type(kind))

    return kind(like, types.intp), codegen


@intrinsic
def copy_row(typing_context: Any, like: Any, target: Any, source: Any, stride: Any, count: Any) -> Any:
    """Copy `count` numbers that lie `stride` bytes apart to neighbouring places."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, target, source, stride, count = arguments
        lanes = Lanes(builder, signature.args[0].dtype)
        pointer = lanes.scalar.as_pointer()
        with cgutils.for_range(builder, count) as loop:
            value = builder.load(builder.inttoptr(builder.add(source, builder.mul(stride, loop.index)), pointer))
            place = builder.add(target, builder.mul(_I64(lanes.itemsize), loop.index))
            builder.store(value, builder.inttoptr(place, pointer))
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 4), codegen


@intrinsic
def transpose_square(typing_context: Any, like: Any, target: Any, target_row: Any, source: Any, source_row: Any,
                     rows: Any, columns: Any) -> Any:
    """Transpose a square of as many rows and columns as a register has lanes; strides in bytes.

    Only the first `rows` rows and `columns` columns of the source are read (missing ones count as the last row and as
    zeros); the whole square is written. log2(lanes) rounds of two-input shuffles.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, target, target_row, source, source_row, rows, columns = arguments
        lanes = Lanes(builder, signature.args[0].dtype)
        count, mask, last = lanes.count, lanes.first(columns), builder.sub(rows, _I64(1))
        square = []
        for i in range(count):
            row = builder.select(builder.icmp_signed("<", _I64(i), rows), _I64(i), last)
            square.append(lanes.load(builder.add(source, builder.mul(source_row, row)), mask))
        step = count // 2
        while step:
            upper = [count + i - step if i & step else i for i in range(count)]
            lower = [count + i if i & step else i + step for i in range(count)]
            for i in range(count):
                if not i & step:
                    x, y = square[i], square[i + step]
                    square[i], square[i + step] = lanes.shuffle(x, y, upper), lanes.shuffle(x, y, lower)
            step //= 2
        for i in range(count):
            lanes.store(square[i], builder.add(target, builder.mul(target_row, _I64(i))))
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 6), codegen


@intrinsic
def copy_block(typing_context: Any, like: Any, target: Any, target_row: Any, source: Any, source_row: Any, rows: Any,
               columns: Any) -> Any:
    """Copy `rows` rows of `columns` neighbouring numbers; addresses and strides in bytes."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, target, target_row, source, source_row, rows, columns = arguments
        lanes = Lanes(builder, signature.args[0].dtype)
        whole, rest = builder.sdiv(columns, _I64(lanes.count)), builder.srem(columns, _I64(lanes.count))
        mask, ragged = lanes.first(rest), builder.icmp_signed("!=", rest, _I64(0))
        with cgutils.for_range(builder, rows) as row:
            start = builder.add(source, builder.mul(source_row, row.index))
            goal = builder.add(target, builder.mul(target_row, row.index))
            with cgutils.for_range(builder, whole) as loop:
                place = builder.mul(loop.index, _I64(VECTOR_BYTES))
                lanes.store(lanes.load(builder.add(start, place)), builder.add(goal, place))
            with builder.if_then(ragged):
                place = builder.mul(whole, _I64(VECTOR_BYTES))
                lanes.store(lanes.load(builder.add(start, place), mask), builder.add(goal, place), mask)
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 6), codegen


@intrinsic
def interleave(typing_context: Any, like: Any, target: Any, source: Any, column: Any, rows: Any, columns: Any) -> Any:
    """Copy `columns` columns of up to TILE_ROWS neighbouring numbers to places TILE_ROWS numbers apart; in bytes.

    Whole vectors are written: after the last column up to a vector more than there are numbers.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, target, source, column, rows, columns = arguments
        lanes = Lanes(builder, signature.args[0].dtype)
        parts = range(0, TILE_ROWS, lanes.count)
        masks = [lanes.first(builder.sub(rows, _I64(part))) for part in parts]
        with turns(builder, columns) as index:
            start = builder.add(source, builder.mul(column, index))
            goal = builder.add(target, builder.mul(index, _I64(TILE_ROWS * lanes.itemsize)))
            for part, mask in zip(parts, masks, strict=True):
                place = _I64(part * lanes.itemsize)
                lanes.store(lanes.load(builder.add(start, place), mask), builder.add(goal, place))
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 5), codegen


@contextlib.contextmanager
def turns(builder: Any, count: Any) -> Iterator[Any]:
    """Emit a loop over 0 <= index < count that LLVM does not unroll."""
    with cgutils.for_range(builder, count) as loop:
        yield loop.index
        body = builder.block
    hint = builder.module.add_metadata([ir.MetaDataString(builder.module, "llvm.loop.unroll.disable")])
    body.terminator.set_metadata("llvm.loop", DistinctNode(builder.module, (hint,), names_itself=True))


def opaque(builder: Any, value: Any) -> Any:
    """Return the value, but let LLVM know nothing of where it comes from.

    In a loop as tight as a tile's, LLVM's rearranging of addresses costs more than it saves. From equally spaced ones
    it would make a chain, each the one before plus the stride, as long as the multiplications beside it; from a place
    that moves by a stride, a pointer for each row and an addition for each, where the row's address plus the place
    costs none.
    """
    kind = ir.FunctionType(value.type, [value.type])
    return builder.asm(kind, "", "=r,0", [value], side_effect=False)


def _words(builder: Any, tail: Any) -> list[Any]:
    words = builder.inttoptr(tail, _I64.as_pointer())
    return [builder.load(builder.gep(words, [_I64(word)])) for word in range(4)]


def follow(builder: Any, lanes: Lanes, tail: Any, sums: dict[Any, Any], targets: dict[Any, Any], masks: list[Any]
           ) -> None:
    """Emit what a tile does of an epilogue, on sums that are kept for (row, vector), with the places to write them."""
    scale, residual, distance, activation = _words(builder, tail)

    def change(step: Any) -> None:
        for cell in sums:
            builder.store(step(cell, builder.load(sums[cell])), sums[cell])

    def added(cell: Any, value: Any) -> Any:
        return builder.fadd(lanes.load(builder.add(targets[cell], distance), masks[cell[1]]), value)

    def positive(cell: Any, value: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", value, lanes.zeros), lanes.zeros, value)

    with builder.if_then(builder.icmp_signed("!=", scale, _I64(0))):
        factor = lanes.load_broadcast(scale)
        change(lambda cell, value: builder.fmul(value, factor))
    with builder.if_then(builder.icmp_signed("!=", residual, _I64(0))):
        change(added)
    with builder.if_then(builder.icmp_signed("==", activation, _I64(RELU))):
        change(positive)


def _tile(rows: int, vectors: int, masked: bool, gathered: bool = False) -> Any:
    """Return an intrinsic that computes a tile of `rows` rows and `vectors` registers of a product, held in registers.

    The intrinsic's arguments (like, out, a, b, bias, depth, out_row, a_row, a_column, b_row, height, width, again,
    tail) are an array of the float type, addresses and strides in bytes::

        sum[i, :] = a[i, 0] * b[0, :], then + a[i, k] * b[k, :] for k = 1 ... depth - 1, each by one FMA
        out[i, :] = sum[i, :], or out[i, :] + sum[i, :] with `again`; then + bias[:] unless the address `bias` is 0

    - tail: unless it is 0, the address of what `epilogue.note` has written: the sum is multiplied by the scale and
      added to the residual, which may be `out` itself; where the activation is RELU, that is done, too. Each rounds.
    - masked: only `height` rows and `width` columns exist. Missing columns are masked; missing rows are the last row
      once more, which writes the same values to the same place (all is read before anything is written).
    - gathered: out_row, a_row and a_column are addresses of int64 tables that hold the place in bytes of each row of
      out, row of a, and column of a, instead of strides.
    """

    def tile(typing_context: Any, like: Any, out: Any, a: Any, b: Any, bias: Any, depth: Any, out_row: Any, a_row: Any,
             a_column: Any, b_row: Any, height: Any, width: Any, again: Any, tail: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _, out, a, b, bias, depth, out_row, a_row, a_column, b_row, height, width, again, tail = arguments
            lanes = Lanes(builder, signature.args[0].dtype)
            add, mul = builder.add, builder.mul
            masks = [lanes.first(builder.sub(width, _I64(v * lanes.count))) if masked else None for v in range(vectors)]

            def entry(table: Any, index: Any) -> Any:
                return builder.load(builder.inttoptr(add(table, mul(index, _I64(8))), _I64.as_pointer()))

            def place(stride: Any, i: int) -> Any:
                index = _I64(i)
                if masked:
                    index = builder.select(builder.icmp_signed("<", index, height), index, builder.sub(height, _I64(1)))
                return entry(stride, index) if gathered else mul(stride, index)

            def vector_at(base: Any, v: int) -> Any:
                return add(base, _I64(v * VECTOR_BYTES))

            cells = [(i, v) for i in range(rows) for v in range(vectors)]
            sums = {cell: cgutils.alloca_once_value(builder, lanes.zeros) for cell in cells}
            for i, v in cells:
                lanes.prefetch(vector_at(add(out, place(out_row, i)), v))
            with builder.if_then(builder.icmp_signed("!=", tail, _I64(0))):
                _, residual, distance, _ = _words(builder, tail)
                with builder.if_then(builder.icmp_signed("!=", residual, _I64(0))):
                    for i, v in cells:
                        lanes.prefetch(vector_at(add(add(out, distance), place(out_row, i)), v), far=True)
            a_rows = [opaque(builder, add(a, place(a_row, i))) for i in range(rows)]
            a_now, b_now = cgutils.alloca_once_value(builder, _I64(0)), cgutils.alloca_once_value(builder, b)
            with turns(builder, depth) as index:
                column = entry(a_column, index) if gathered else builder.load(a_now)
                panel = [lanes.load(vector_at(builder.load(b_now), v), masks[v]) for v in range(vectors)]
                for i in range(rows):
                    x = lanes.load_broadcast(add(a_rows[i], column))
                    for v in range(vectors):
                        builder.store(lanes.fma(x, panel[v], builder.load(sums[i, v])), sums[i, v])
                if not gathered:
                    builder.store(opaque(builder, add(column, a_column)), a_now)
                builder.store(add(builder.load(b_now), b_row), b_now)

            out = opaque(builder, out)  # or twelve addresses, found before the loop, would be kept in memory meanwhile
            targets = {(i, v): vector_at(add(out, place(out_row, i)), v) for i, v in cells}
            with builder.if_then(builder.icmp_signed("!=", again, _I64(0))):
                for cell in cells:
                    total = builder.fadd(lanes.load(targets[cell], masks[cell[1]]), builder.load(sums[cell]))
                    builder.store(total, sums[cell])
            with builder.if_then(builder.icmp_signed("!=", bias, _I64(0))):
                shifts = [lanes.load(vector_at(bias, v), masks[v]) for v in range(vectors)]
                for cell in cells:
                    builder.store(builder.fadd(builder.load(sums[cell]), shifts[cell[1]]), sums[cell])
            with builder.if_then(builder.icmp_signed("!=", tail, _I64(0))):
                follow(builder, lanes, tail, sums, targets, masks)
            for cell in cells:
                lanes.store(builder.load(sums[cell]), targets[cell], masks[cell[1]])
            return context.get_dummy_value()

        return types.void(like, *[types.intp] * 13), codegen

    return intrinsic(tile)


full_tile = _tile(TILE_ROWS, TILE_VECTORS, masked=False)
edge_tile = _tile(TILE_ROWS, TILE_VECTORS, masked=True)
narrow_tile = _tile(TILE_ROWS, 1, masked=True)
full_tile_less_1 = _tile(TILE_ROWS - 1, TILE_VECTORS, masked=False)
full_tile_less_2 = _tile(TILE_ROWS - 2, TILE_VECTORS, masked=False)
full_tile_less_3 = _tile(TILE_ROWS - 3, TILE_VECTORS, masked=False)
low_tile = _tile(TILE_ROWS // 2, TILE_VECTORS, masked=True)
gathered_full_tile = _tile(TILE_ROWS, TILE_VECTORS, masked=False, gathered=True)
gathered_edge_tile = _tile(TILE_ROWS, TILE_VECTORS, masked=True, gathered=True)
gathered_narrow_tile = _tile(TILE_ROWS, 1, masked=True, gathered=True)
gathered_low_tile = _tile(TILE_ROWS // 2, TILE_VECTORS, masked=True, gathered=True)
gathered_low_narrow_tile = _tile(TILE_ROWS // 2, 1, masked=True, gathered=True)
gathered_full_narrow_tile = _tile(TILE_ROWS, 1, masked=False, gathered=True)


# ---- One row times a matrix: bound by memory, so each number of the matrix is read once, along its rows --------------


def _combination(rows: int) -> Any:
    """Return an intrinsic (like, out, a, b, a_column, b_row, count, again) that adds multiples of `rows` rows.

    out[j] = (out[j] with `again`, else 0) + a[0] * b[0, j], then + a[l] * b[l, j] for l = 1 ... rows - 1, each by one
    FMA; addresses and strides in bytes.
    """

    def combination(typing_context: Any, like: Any, out: Any, a: Any, b: Any, a_column: Any, b_row: Any, count: Any,
                    again: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _, out, a, b, a_column, b_row, count, again = arguments
            lanes = Lanes(builder, signature.args[0].dtype)
            add, mul = builder.add, builder.mul
            factors = [lanes.load_broadcast(add(a, mul(a_column, _I64(i)))) for i in range(rows)]
            sources = [add(b, mul(b_row, _I64(i))) for i in range(rows)]
            keeps = builder.icmp_signed("!=", again, _I64(0))

            def vector(place: Any, mask: Any = None) -> None:
                total = builder.select(keeps, lanes.load(add(out, place), mask), lanes.zeros)
                for factor, source in zip(factors, sources, strict=True):
                    total = lanes.fma(factor, lanes.load(add(source, place), mask), total)
                lanes.store(total, add(out, place), mask)

            whole, rest = builder.sdiv(count, _I64(lanes.count)), builder.srem(count, _I64(lanes.count))
            with cgutils.for_range(builder, whole) as loop:
                vector(mul(loop.index, _I64(VECTOR_BYTES)))
            with builder.if_then(builder.icmp_signed("!=", rest, _I64(0))):
                vector(mul(whole, _I64(VECTOR_BYTES)), lanes.first(rest))
            return context.get_dummy_value()

        return types.void(like, *[types.intp] * 7), codegen

    return intrinsic(combination)


COMBINED_ROWS = 4  # eight rows of 4096 bytes, or a multiple, would have one place in the first-level cache
combine_rows = _combination(COMBINED_ROWS)
combine_row = _combination(1)


def _dot_products(rows: int) -> Any:
    """Return an intrinsic (like, out, a, b, b_row, height, depth, again) for dot products of one row with others.

    out[i] = (out[i] with `again`, else 0) + sum over k < depth of a[k] * b[i, k], for i < height <= rows. Lane l of
    DOT_BYTES adds the products k = l, l + lanes, ... in order, by FMA from 0; then the upper half of the lanes is added
    to the lower one until one is left. Addresses and strides in bytes; the elements of a row are neighbours.
    """

    def dots(typing_context: Any, like: Any, out: Any, a: Any, b: Any, b_row: Any, height: Any, depth: Any, again: Any
             ) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _, out, a, b, b_row, height, depth, again = arguments
            lanes = Lanes(builder, signature.args[0].dtype)
            add, mul, vectors = builder.add, builder.mul, DOT_BYTES // VECTOR_BYTES
            each = _I64(DOT_BYTES // lanes.itemsize)
            exists = [builder.icmp_signed("<", _I64(i), height) for i in range(rows)]
            last = builder.sub(height, _I64(1))
            sources = [add(b, mul(b_row, builder.select(exists[i], _I64(i), last))) for i in range(rows)]
            cells = [(i, v) for i in range(rows) for v in range(vectors)]
            sums = {cell: cgutils.alloca_once_value(builder, lanes.zeros) for cell in cells}

            def turn(index: Any, masks: list[Any]) -> None:
                place = mul(index, _I64(DOT_BYTES))
                for v in range(vectors):
                    here = add(place, _I64(v * VECTOR_BYTES))
                    factor = lanes.load(add(a, here), masks[v])
                    for i in range(rows):
                        value = lanes.load(add(sources[i], here), masks[v])
                        builder.store(lanes.fma(factor, value, builder.load(sums[i, v])), sums[i, v])

            whole, rest = builder.sdiv(depth, each), builder.srem(depth, each)
            with cgutils.for_range(builder, whole) as loop:
                turn(loop.index, [None] * vectors)
            with builder.if_then(builder.icmp_signed("!=", rest, _I64(0))):
                turn(whole, [lanes.first(builder.sub(rest, _I64(v * lanes.count))) for v in range(vectors)])

            for i in range(rows):
                parts = [builder.load(sums[i, v]) for v in range(vectors)]
                while len(parts) > 1:
                    half = len(parts) // 2
                    parts = [builder.fadd(x, y) for x, y in zip(parts[:half], parts[half:], strict=True)]
                total, half = parts[0], lanes.count // 2
                while half:
                    upper = [half + j if j < half else j for j in range(lanes.count)]
                    total = builder.fadd(total, lanes.shuffle(total, total, upper))
                    half //= 2
                value = builder.extract_element(total, _I32(0))
                with builder.if_then(exists[i]):
                    pointer = builder.inttoptr(add(out, _I64(i * lanes.itemsize)), lanes.scalar.as_pointer())
                    before = builder.select(builder.icmp_signed("!=", again, _I64(0)), builder.load(pointer),
                                            ir.Constant(lanes.scalar, 0.0))
                    builder.store(builder.fadd(before, value), pointer)
            return context.get_dummy_value()

        return types.void(like, *[types.intp] * 7), codegen

    return intrinsic(dots)


DOT_ROWS = 4
dot_rows = _dot_products(DOT_ROWS)


# ---- One number from a row of neighbours -----------------------------------------------------------------------------


def _row_reduction(kind: str) -> Any:
    """Return an intrinsic (like, x, y, count) that reduces rows at byte addresses: in DOT_BYTES of lanes, then halves.

    ``"maximum"``: the largest x[i], -inf of none; NaN is passed over. ``"dot"``: the sum of x[i] * y[i] by FMA.
    """
    largest = kind == "maximum"

    def reduction(typing_context: Any, like: Any, x: Any, y: Any, count: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _, x, y, count = arguments
            lanes = Lanes(builder, signature.args[0].dtype)
            vectors = DOT_BYTES // VECTOR_BYTES
            start = ir.Constant(lanes.vector, [float("-inf") if largest else 0.0] * lanes.count)
            totals = [cgutils.alloca_once_value(builder, start) for _ in range(vectors)]

            def larger(a: Any, b: Any) -> Any:
                return builder.select(builder.fcmp_ordered(">", a, b), a, b)

            def turn(index: Any, masks: list[Any]) -> None:
                for v, total in enumerate(totals):
                    place = builder.add(builder.mul(index, _I64(DOT_BYTES)), _I64(v * VECTOR_BYTES))
                    value, before = lanes.load(builder.add(x, place), masks[v]), builder.load(total)
                    if largest:
                        value = larger(value if masks[v] is None else builder.select(masks[v], value, before), before)
                    else:
                        value = lanes.fma(value, lanes.load(builder.add(y, place), masks[v]), before)
                    builder.store(value, total)

            each = _I64(DOT_BYTES // lanes.itemsize)
            whole, rest = builder.sdiv(count, each), builder.srem(count, each)
            with cgutils.for_range(builder, whole) as loop:
                turn(loop.index, [None] * vectors)
            with builder.if_then(builder.icmp_signed("!=", rest, _I64(0))):
                turn(whole, [lanes.first(builder.sub(rest, _I64(v * lanes.count))) for v in range(vectors)])
            combine = larger if largest else builder.fadd
            parts = [builder.load(total) for total in totals]
            while len(parts) > 1:
                half = len(parts) // 2
                parts = [combine(a, b) for a, b in zip(parts[:half], parts[half:], strict=True)]
            value, half = parts[0], lanes.count // 2
            while half:
                upper = [half + j if j < half else j for j in range(lanes.count)]
                value = combine(value, lanes.shuffle(value, value, upper))
                half //= 2
            return builder.extract_element(value, _I32(0))

        return like.dtype(like, *[types.intp] * 3), codegen

    return intrinsic(reduction)


row_maximum, row_dot = _row_reduction("maximum"), _row_reduction("dot")
