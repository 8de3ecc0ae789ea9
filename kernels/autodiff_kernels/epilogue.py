"""What follows an operation element by element, done while its result is still in the cache: an epilogue.

    out = activation(residual + out * scale)

A kernel with an epilogue calls `finish` on each block of its result, once it is whole. Every step rounds to the dtype
and has the scalar formula of the element-wise operation it stands for, so the bits are those of the operations run one
after the other.

`finish` is compiled once, and kernels call it by its address, as they do `walk.next_tile`: with its code inside, each
of them would compile the loops of all activations.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
import numpy as np
from numba import cfunc, njit, types
from numba.types import float32, float64, int64

from autodiff_kernels import inner
from autodiff_kernels.lanes import RELU, address, address_at, copy_block
from autodiff_kernels.memory import apply, forward, load, pointer_at, stack, store
from autodiff_kernels.scalar import add, multiply, sigmoid, tanh
from autodiff_kernels.scalar_activations import gelu, gelu_tanh, relu, silu

Array = np.ndarray[Any, np.dtype[Any]]

NONE = 0
GELU, GELU_TANH, TANH, SIGMOID, SILU = range(RELU + 1, RELU + 6)
# By the name of the scalar formula.
ACTIVATIONS = {"relu": RELU, "gelu": GELU, "gelu_tanh": GELU_TANH, "tanh": TANH, "sigmoid": SIGMOID, "silu": SILU}

CHUNK = 512  # elements that go through one step after the other: they stay in the first-level cache
WHOLE = 64  # elements: the loops below leave less of a multiple of so many to single numbers, at any vector width


@njit(error_model="numpy")
def _activate(x: Any, count: int, activation: int) -> None:
    if activation == RELU:
        apply(relu, count, (x,), (x,), ())
    elif activation == GELU:
        apply(gelu, count, (x,), (x,), ())
    elif activation == GELU_TANH:
        apply(gelu_tanh, count, (x,), (x,), ())
    elif activation == TANH:
        apply(tanh, count, (x,), (x,), ())
    elif activation == SIGMOID:
        apply(sigmoid, count, (x,), (x,), ())
    elif activation == SILU:
        apply(silu, count, (x,), (x,), ())


@njit(error_model="numpy")
def _steps(out: Any, residual: Any, adds: bool, scale: Any, scales: bool, activation: int, count: int) -> None:
    """Do all steps on up to `CHUNK` numbers side by side; the residual and the scale count only where told so."""
    if scales:
        apply(multiply, count, (out,), (out,), (scale,))
    if adds:
        apply(add, count, (out,), (residual, out), ())
    _activate(out, count, activation)


@njit(error_model="numpy")
def _rows(out: Any, residual: Any, adds: bool, scale: Any, scales: bool, activation: int, rows: int, row: int,
          columns: int, size: int) -> None:
    """Do all steps on some rows: on what is many numbers side by side where it lies, on the rest in a copy.

    `out` and `residual` are pointers; a row is so many elements of `size` bytes away from the next one.
    """
    long = columns - columns % WHOLE
    piece = CHUNK if adds or scales else max(long, 1)
    for i in range(rows):
        for j in range(0, long, piece):
            at = i * row + j
            _steps(forward(out, at), forward(residual, at), adds, scale, scales, activation, min(piece, long - j))
    width = columns - long
    if width == 0:
        return
    here, there = stack(scale, CHUNK), stack(scale, CHUNK)
    most = CHUNK // width
    for i in range(0, rows, most):
        count, at = min(most, rows - i), i * row + long
        copy_block(out, address_at(here), width * size, address_at(forward(out, at)), row * size, count, width)
        if adds:
            copy_block(out, address_at(there), width * size, address_at(forward(residual, at)), row * size, count,
                       width)
        end = (count * width + WHOLE - 1) // WHOLE * WHOLE
        for k in range(count * width, end):
            store(forward(here, k), type(scale)(0))
            store(forward(there, k), type(scale)(0))
        _steps(here, there, adds, scale, scales, activation, end)
        copy_block(out, address_at(forward(out, at)), row * size, address_at(here), width * size, count, width)


inner.kernels_of(__name__)  # before what comes next is compiled


@cfunc(types.void(*[types.intp] * 8), cache=True, error_model="numpy")
def _finish(size: int, out: int, residual: int, scale: int, activation: int, rows: int, row: int, columns: int) -> None:
    """Do all steps on rows of elements of `size` bytes; see `finish`."""
    if row == columns * size:
        rows, columns = 1, rows * columns
    adds, scales = residual != 0, scale != 0
    if size == 4:
        factor = load(pointer_at(scale, float32)) if scales else float32(1)
        _rows(pointer_at(out, float32), pointer_at(residual, float32), adds, factor, scales, activation, rows,
              row // size, columns, size)
    else:
        factor64 = load(pointer_at(scale, float64)) if scales else float64(1)
        _rows(pointer_at(out, float64), pointer_at(residual, float64), adds, factor64, scales, activation, rows,
              row // size, columns, size)


_SYMBOL = "autodiff_finish"
llvm.add_symbol(_SYMBOL, _finish.address)
_compiled = types.ExternalFunction(_SYMBOL, types.void(*[types.intp] * 8))


@njit(error_model="numpy")
def finish(
    like: Array, out: int, residual: int, scale: int, activation: int, rows: int, row: int, columns: int
) -> None:
    """Compute ``out = activation(residual + out * scale)`` in place, for rows of neighbouring numbers.

    Args:
        like: an array of the dtype, float32 or float64.
        out: in/out, address of `rows` rows of `columns` numbers, which lie `row` bytes apart.
        residual: in, address of numbers that lie like those of `out`, elsewhere; 0 for none.
        scale: in, address of one number; 0 for none.
        activation: one of `ACTIVATIONS`, or NONE.
    """
    _compiled(like.itemsize, out, residual, scale, activation, rows, row, columns)


@njit(error_model="numpy")
def finish_block(
    out: Array, place: int, rows: int, stride: int, columns: int, residual: Array, scale: Array, activation: int
) -> None:
    """Do what `finish` does on a block of an array, from its element `place` on; a row lies `stride` elements apart.

    Arrays of length 0 stand for no residual and no scale.
    """
    start = place * out.itemsize
    adds, scales = residual.size > 0, scale.size > 0
    finish(out, address(out) + start, address(residual) + start if adds else 0, address(scale) if scales else 0,
           activation, rows, stride * out.itemsize, columns)


# An epilogue as one number: the address of these words, or 0 where there is none. Words: addresses of the scale and of
# the residual (0: none), how many bytes behind the result the residual lies, the activation.
WORDS = 4


@njit(error_model="numpy")
def note(words: Any, out: int, residual: Array, scale: Array, activation: int) -> int:
    """Write an epilogue of a result at the address `out` to the `words`, a pointer; return their address, or 0.

    Arrays of length 0 stand for no residual and no scale.
    """
    adds, scales = residual.shape[0] > 0, scale.shape[0] > 0
    if not adds and not scales and activation == NONE:
        return 0
    store(words, address(scale) if scales else 0)
    store(forward(words, 1), address(residual) if adds else 0)
    store(forward(words, 2), address(residual) - out)
    store(forward(words, 3), activation)
    return address_at(words)


@njit(error_model="numpy")
def finish_row(like: Array, out: int, made: int, count: int, tail: int) -> None:
    """Write `count` numbers that lie elsewhere to `out`, with the epilogue `tail`; the residual may be `out` itself."""
    words = pointer_at(tail, int64)
    residual = out + words[2] if words[1] != 0 else 0
    finish(like, made, residual, words[0], words[3], 1, 0, count)
    copy_block(like, out, 0, made, 0, 1, count)


@njit(error_model="numpy")
def finish_here(like: Array, out: int, rows: int, row: int, columns: int, tail: int) -> None:
    """Do the steps of the epilogue `tail`, unless it is 0, on rows of its result as they lie there; see `finish`."""
    if tail != 0:
        words = pointer_at(tail, int64)
        residual = out + words[2] if words[1] != 0 else 0
        finish(like, out, residual, words[0], words[3], rows, row, columns)
