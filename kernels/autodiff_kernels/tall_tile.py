"""The register tile of a weight's gradient whose output channels fill one vector: as many taps as registers hold sums.

`lanes.py` has the tile of other products: one vector wide it would have eight rows, as each takes a register for its
address, and read the right factor and the place of a column three times as often as this one.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils as _cgutils
from numba.extending import intrinsic as _intrinsic

from autodiff_kernels.cpu import VECTOR_REGISTERS
from autodiff_kernels.lanes import Lanes, opaque, turns

cgutils: Any = _cgutils  # partly annotated
intrinsic: Any = _intrinsic  # its type would still ask compiled code for the typing context

RUNS = 3
FITS = VECTOR_REGISTERS >= 32  # or else the sums would be kept in memory

_I64 = ir.IntType(64)


def _tile(run: int) -> Any:
    """Return an intrinsic that computes `RUNS` runs of rows, of one vector of columns, of a product in registers.

    The intrinsic's arguments (like, out, a, b, depth, out_rows, a_rows, a_columns, b_row, width, again, ahead,
    ahead_row) are an array of the float type, addresses and strides in bytes::

        sum[i, :] = a[i, 0] * b[0, :], then + a[i, k] * b[k, :] for k = 1 ... depth - 1, each by one FMA
        out[i, :] = sum[i, :], or out[i, :] + sum[i, :] with `again`

    - out_rows, a_rows, a_columns: addresses of int64 tables that hold the place in bytes of each row of out, row of a,
      and column of a. The `run` rows of a run lie one number behind the other: only the first is looked up.
    - width: columns that exist; the others are masked.
    - ahead, ahead_row: beside the k-th product, the line at ``ahead + k * ahead_row`` is brought into the second-level
      cache. It may be anywhere.
    """
    rows = RUNS * run

    def tile(typing_context: Any, like: Any, out: Any, a: Any, b: Any, depth: Any, out_rows: Any, a_rows: Any,
             a_columns: Any, b_row: Any, width: Any, again: Any, ahead: Any, ahead_row: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _, out, a, b, depth, out_rows, a_rows, a_columns, b_row, width, again, ahead, ahead_row = arguments
            lanes = Lanes(builder, signature.args[0].dtype)
            add, mul, mask = builder.add, builder.mul, lanes.first(width)

            def entry(table: Any, index: Any) -> Any:
                return builder.load(builder.inttoptr(add(table, mul(index, _I64(8))), _I64.as_pointer()))

            sums = [cgutils.alloca_once_value(builder, lanes.zeros) for _ in range(rows)]
            for i in range(rows):
                lanes.prefetch(add(out, entry(out_rows, _I64(i))))
            starts = [opaque(builder, add(a, entry(a_rows, _I64(i)))) for i in range(0, rows, run)]
            with turns(builder, depth) as index:
                column, right = entry(a_columns, index), lanes.load(add(b, mul(index, b_row)), mask)
                lanes.prefetch(add(ahead, mul(index, ahead_row)), far=True)
                for i in range(rows):
                    x = lanes.load_broadcast(add(add(starts[i // run], column), _I64(i % run * lanes.itemsize)))
                    builder.store(lanes.fma(x, right, builder.load(sums[i])), sums[i])

            targets = [add(opaque(builder, out), entry(out_rows, _I64(i))) for i in range(rows)]
            with builder.if_then(builder.icmp_signed("!=", again, _I64(0))):
                for i in range(rows):
                    builder.store(builder.fadd(lanes.load(targets[i], mask), builder.load(sums[i])), sums[i])
            for i in range(rows):
                lanes.store(builder.load(sums[i]), targets[i], mask)
            return context.get_dummy_value()

        return types.void(like, *[types.intp] * 12), codegen

    return intrinsic(tile)


tile_of_eights = _tile(8)
tile_of_nines = _tile(9)  # all taps of a 3x3 kernel on three channels


@njit(error_model="numpy")
def in_runs(places: Any, first: int, run: int, size: int) -> bool:
    """Return whether `RUNS` times `run` places from the `first` on rise by `size`."""
    for start in range(first, first + RUNS * run, run):
        for i in range(start, start + run - 1):
            if places[i + 1] != places[i] + size:
                return False
    return True
