"""Vector registers in Numba: LLVM vector instructions at integer addresses, and the register tile of a matrix product.

Numba's own vectoriser does not keep a tile of sums in registers; these intrinsics write the vector instructions
themselves. They take addresses in bytes and learn the float type from their first argument, an array of that type.
An intrinsic must stand at module level: a kernel that holds one in a closure is never found in Numba's disk cache.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils as _cgutils
from numba.extending import intrinsic as _intrinsic

from autodiff_kernels.cpu import VECTOR_BYTES

cgutils: Any = _cgutils  # partly annotated
intrinsic: Any = _intrinsic  # its type would still ask compiled code for the typing context

TILE_ROWS = 8 if VECTOR_BYTES == 64 else 6  # AVX-512 has 32 registers, AVX2 16
TILE_VECTORS = 2
ROW_VECTORS = 8  # a tile of one row: as many independent sums as the FMA units' latency needs

_I32, _I64, _VOID = ir.IntType(32), ir.IntType(64), ir.VoidType()


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

    def fma(self, x: Any, y: Any, z: Any) -> Any:
        """Return x * y + z, rounded once."""
        return self._call(f"llvm.fma.{self._suffix}", self.vector, x, y, z)

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


def _tile(rows: int, vectors: int, masked: bool, gathered: bool = False, lanewise: bool = False) -> Any:
    """Return an intrinsic that computes a tile of `rows` rows and `vectors` registers of a product, held in registers.

    The intrinsic's arguments (like, out, a, b, bias, depth, out_row, a_row, a_column, b_row, height, width, again) are
    an array of the float type, addresses and strides in bytes::

        sum[i, :] = a[i, 0] * b[0, :], then + a[i, k] * b[k, :] for k = 1 ... depth - 1, each by one FMA
        out[i, :] = sum[i, :], or out[i, :] + sum[i, :] with `again`; then + bias[:] unless the address `bias` is 0

    - masked: only `height` rows and `width` columns exist. Missing columns are masked; missing rows are the last row
      once more, which writes the same values to the same place (with `again` all is read before anything is written).
    - gathered: out_row, a_row and a_column are addresses of int64 tables that hold the place in bytes of each row of
      out, row of a, and column of a, instead of strides.
    - lanewise: a[i, k] is a vector of its own for each column (depthwise convolution), not one number for all.
    """

    def tile(typing_context: Any, like: Any, out: Any, a: Any, b: Any, bias: Any, depth: Any, out_row: Any, a_row: Any,
             a_column: Any, b_row: Any, height: Any, width: Any, again: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _, out, a, b, bias, depth, out_row, a_row, a_column, b_row, height, width, again = arguments
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
            a_places = [place(a_row, i) for i in range(rows)]
            a_now, b_now = cgutils.alloca_once_value(builder, a), cgutils.alloca_once_value(builder, b)
            with cgutils.for_range(builder, depth) as loop:
                column = add(a, entry(a_column, loop.index)) if gathered else builder.load(a_now)
                panel = [lanes.load(vector_at(builder.load(b_now), v), masks[v]) for v in range(vectors)]
                for i in range(rows):
                    source = add(column, a_places[i])
                    x = None if lanewise else lanes.load_broadcast(source)
                    for v in range(vectors):
                        factor = lanes.load(vector_at(source, v), masks[v]) if lanewise else x
                        builder.store(lanes.fma(factor, panel[v], builder.load(sums[i, v])), sums[i, v])
                if not gathered:
                    builder.store(add(column, a_column), a_now)
                builder.store(add(builder.load(b_now), b_row), b_now)

            targets = {(i, v): vector_at(add(out, place(out_row, i)), v) for i, v in cells}
            with builder.if_then(builder.icmp_signed("!=", again, _I64(0))):
                for cell in cells:
                    total = builder.fadd(lanes.load(targets[cell], masks[cell[1]]), builder.load(sums[cell]))
                    builder.store(total, sums[cell])
            with builder.if_then(builder.icmp_signed("!=", bias, _I64(0))):
                shifts = [lanes.load(vector_at(bias, v), masks[v]) for v in range(vectors)]
                for cell in cells:
                    builder.store(builder.fadd(builder.load(sums[cell]), shifts[cell[1]]), sums[cell])
            for cell in cells:
                lanes.store(builder.load(sums[cell]), targets[cell], masks[cell[1]])
            return context.get_dummy_value()

        return types.void(like, *[types.intp] * 12), codegen

    return intrinsic(tile)


full_tile = _tile(TILE_ROWS, TILE_VECTORS, masked=False)
edge_tile = _tile(TILE_ROWS, TILE_VECTORS, masked=True)
narrow_tile = _tile(TILE_ROWS, 1, masked=True)
row_tile = _tile(1, ROW_VECTORS, masked=True)
gathered_full_tile = _tile(TILE_ROWS, TILE_VECTORS, masked=False, gathered=True)
gathered_edge_tile = _tile(TILE_ROWS, TILE_VECTORS, masked=True, gathered=True)
gathered_narrow_tile = _tile(TILE_ROWS, 1, masked=True, gathered=True)
lanewise_tile = _tile(TILE_ROWS, 1, masked=True, gathered=True, lanewise=True)
