"""Recurrent layers: the steps of a whole sequence in one kernel, forward and backward.

What the input contributes to all steps is one matrix product, made before (`matmul`); here each step adds what the
state contributes and applies the gates. A sequence depends on no other one, so a part takes some sequences of the batch
through all steps and never waits for another part. Sequences are sorted by length: `sizes[t]` of them reach step t, and
the rows of step t lie after those of step t - 1.

Sources: Hochreiter and Schmidhuber 1997 and Gers, Schmidhuber and Cummins 2000 (LSTM); Cho et al. 2014 (GRU, with the
reset gate after the product with the state); Elman 1990. Gradients: Werbos, Backpropagation through time, 1990.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.cpu import VECTOR_BYTES
from autodiff_kernels.lanes import TILE_VECTORS, address
from autodiff_kernels.maths import sigmoid, tanh
from autodiff_kernels.matmul import multiply_panels, pack, panel_size
from autodiff_kernels.memory import apply, pointer
from autodiff_kernels.parts import share

Array = np.ndarray[Any, np.dtype[Any]]

# ---- The weights of the hidden state, in panels ----------------------------------------------------------------------


def panels_size(groups: int, depth: int, columns: int, itemsize: int) -> int:
    """Return how many elements `pack_panels` fills.

    >>> from autodiff_kernels.recurrent import panels_size
    >>> panels_size(groups=4, depth=64, columns=64, itemsize=4)
    16384
    """
    lanes = VECTOR_BYTES // itemsize
    width = TILE_VECTORS * lanes
    return groups * ((columns + width - 1) // width) * width * (depth + -depth % lanes)


@njit(error_model="numpy")
def _matrix_size(like: Array, depth: int, columns: int) -> int:
    width = TILE_VECTORS * (VECTOR_BYTES // like.itemsize)
    return (columns + width - 1) // width * panel_size(like, depth)


@njit(cache=True, nogil=True, error_model="numpy")
def pack_panels(out: Array, weight: Array, groups: int, depth: int, columns: int, group: int, row: int, column: int,
                part: int, parts: int) -> None:
    """Lay `groups` matrices (depth, columns) out in panels of as many columns as a register tile has.

    Args:
        out: (`panels_size`,), out; float32 or float64.
        weight: (groups depth columns,), in; like out. Element (k, j) of a matrix lies ``k * row + j * column`` elements
            after the matrix's first, and the matrices begin `group` elements apart.
    """
    size = out.itemsize
    width, each = TILE_VECTORS * (VECTOR_BYTES // size), panel_size(out, depth)
    panels = (columns + width - 1) // width
    lo, hi = share(groups * panels, part, parts)
    for panel in range(lo, hi):
        j = panel % panels * width
        source = address(weight) + (panel // panels * group + j * column) * size
        pack(out, address(out) + panel * each * size, width * size, source, row * size, column * size, depth,
             min(width, columns - j))


@njit(error_model="numpy")
def _product(like: Array, out: int, out_row: int, a: int, rows: int, panels: int, depth: int, columns: int, bias: int,
             again: int) -> None:
    """out (+)= a @ one packed matrix + bias, for `rows` rows of `depth` neighbours at address `a`; strides in bytes."""
    size = like.itemsize
    multiply_panels(like, out, out_row, a, depth * size, size, rows, panels, TILE_VECTORS * VECTOR_BYTES,
                    panel_size(like, depth) * size, depth, columns, bias, again)


# ---- The order of the steps ------------------------------------------------------------------------------------------


@njit(error_model="numpy")
def _step(sizes: Array, turn: int, at: int, back: int) -> tuple[int, int]:
    """Return the step of a turn, and its first row; `at` is the first row of the turn before (or the end)."""
    if back:
        step = sizes.shape[0] - 1 - turn
        return step, at - sizes[step]
    return turn, at + sizes[turn - 1] if turn > 0 else 0


@njit(error_model="numpy")
def _before(sizes: Array, step: int, at: int, row: int, back: int) -> int:
    """Return the row that holds the state before `step` of the sequence `row`; -1 when it is the first state."""
    if back:
        return at + sizes[step] + row if step + 1 < sizes.shape[0] and row < sizes[step + 1] else -1
    return at - sizes[step - 1] + row if step > 0 else -1


@njit(error_model="numpy")
def _copy_rows(target: Array, source: Array, lo: int, hi: int) -> None:
    for n in range(lo, hi):
        for j in range(target.shape[1]):
            target[n, j] = source[n, j]


# ---- LSTM ------------------------------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def _lstm_gates(i: float, f: float, g: float, o: float, c: float) -> Any:
    i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
    c = f * c + i * g
    h = o * tanh(c)
    return i, f, g, o, c, c, h, h


@njit(cache=True, nogil=True, error_model="numpy")
def lstm(out: Array, state: Array, cell: Array, gates: Array, cells: Array, panels: Array, first_state: Array,
         first_cell: Array, bias: Array, sizes: Array, back: int, part: int, parts: int) -> None:
    """Run an LSTM: i, f, g, o = gates + W h + bias; c = sigmoid(f) c + sigmoid(i) tanh(g); h = sigmoid(o) tanh(c).

    Args:
        out: (rows, H), out: h after each step; float32 or float64, as all arrays but `sizes`.
        state: (N, H), out: h after each sequence's last step.
        cell: (N, H), out: c after each sequence's last step.
        gates: (rows, 4 H), in/out: what the input contributes, replaced by the gates after their functions.
        cells: (rows, H), out: c after each step.
        panels: in: W transposed, a matrix (H, H) a gate, from `pack_panels`.
        first_state: (N, H), in.
        first_cell: (N, H), in.
        bias: (4 H,), in, or of length 0 for none.
        sizes: (T,), in; int64: how many sequences reach each step, not rising.
        back: 1 to run from the last step to the first.
    """
    size, hidden = out.itemsize, out.shape[1]
    gate = _matrix_size(out, hidden, hidden)
    shift = address(bias) if bias.shape[0] > 0 else 0
    lo, hi = share(state.shape[0], part, parts)
    _copy_rows(state, first_state, lo, hi)
    _copy_rows(cell, first_cell, lo, hi)
    at = out.shape[0] if back else 0
    for turn in range(sizes.shape[0]):
        step, at = _step(sizes, turn, at, back)
        end = min(hi, sizes[step])
        if end <= lo:
            continue
        for k in range(4):
            _product(out, address(gates) + ((at + lo) * 4 + k) * hidden * size, 4 * hidden * size,
                     address(state) + lo * hidden * size, end - lo, address(panels) + k * gate * size, hidden, hidden,
                     shift + k * hidden * size if shift != 0 else 0, 1)
        for n in range(lo, end):
            i = pointer(gates, (at + n) * 4 * hidden)
            f, g, o = (pointer(gates, ((at + n) * 4 + 1) * hidden), pointer(gates, ((at + n) * 4 + 2) * hidden),
                       pointer(gates, ((at + n) * 4 + 3) * hidden))
            c = pointer(cell, n * hidden)
            apply(_lstm_gates, hidden, (i, f, g, o, c, pointer(cells, (at + n) * hidden),
                                        pointer(state, n * hidden), pointer(out, (at + n) * hidden)),
                  (i, f, g, o, c), ())


@njit(error_model="numpy", forceinline=True)
def _lstm_back(i: float, f: float, g: float, o: float, c: float, before: float, g_h: float, d_h: float, d_c: float
               ) -> Any:
    one = type(i)(1)
    t = tanh(c)
    d_h = g_h + d_h
    d_c = d_c + d_h * o * (one - t * t)
    return (d_c * g * i * (one - i), d_c * before * f * (one - f), d_c * i * (one - g * g), d_h * t * o * (one - o),
            d_c * f)


@njit(cache=True, nogil=True, error_model="numpy")
def lstm_grad(d_state: Array, d_cell: Array, d_gates: Array, previous: Array, panels: Array, g_out: Array,
              g_state: Array, g_cell: Array, gates: Array, cells: Array, out: Array, first_state: Array,
              first_cell: Array, sizes: Array, back: int, part: int, parts: int) -> None:
    """Go backward through `lstm`; the gradients of the weights are then products of d_gates.

    Args:
        d_state: (N, H), out: gradient of the first state; float32 or float64, as all arrays but `sizes`.
        d_cell: (N, H), out: gradient of the first cell state.
        d_gates: (rows, 4 H), out: gradient of the gates before their functions.
        previous: (rows, H), out: the state before each step.
        panels: in: W, one matrix (4 H, H), from `pack_panels`.
        g_out: (rows, H), in: cotangent of `out`.
        g_state: (N, H), in: cotangent of `state`.
        g_cell: (N, H), in: cotangent of `cell`.
        gates, cells, out, first_state, first_cell, sizes, back: in, as `lstm` leaves them.
    """
    size, hidden = out.itemsize, out.shape[1]
    lo, hi = share(d_state.shape[0], part, parts)
    _copy_rows(d_state, g_state, lo, hi)
    _copy_rows(d_cell, g_cell, lo, hi)
    at = 0 if back else out.shape[0]
    for turn in range(sizes.shape[0]):
        step, at = _step(sizes, turn, at, 1 - back)
        end = min(hi, sizes[step])
        if end <= lo:
            continue
        for n in range(lo, end):
            row, source = at + n, _before(sizes, step, at, n, back)
            if source < 0:
                h, c = pointer(first_state, n * hidden), pointer(first_cell, n * hidden)
            else:
                h, c = pointer(out, source * hidden), pointer(cells, source * hidden)
            apply(_same, hidden, (pointer(previous, row * hidden),), (h,), ())
            i = row * 4 * hidden
            f, g, o = i + hidden, i + 2 * hidden, i + 3 * hidden
            d_c = pointer(d_cell, n * hidden)
            outputs = (pointer(d_gates, i), pointer(d_gates, f), pointer(d_gates, g), pointer(d_gates, o), d_c)
            apply(_lstm_back, hidden, outputs,
                  (pointer(gates, i), pointer(gates, f), pointer(gates, g), pointer(gates, o),
                   pointer(cells, row * hidden), c, pointer(g_out, row * hidden), pointer(d_state, n * hidden), d_c),
                  ())
        _product(out, address(d_state) + lo * hidden * size, hidden * size,
                 address(d_gates) + (at + lo) * 4 * hidden * size, end - lo, address(panels), 4 * hidden, hidden, 0, 0)


@njit(error_model="numpy", forceinline=True)
def _same(x: float) -> float:
    return x


# ---- GRU -------------------------------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def _gru_gates(r: float, z: float, n: float, from_hidden: float, h: float) -> Any:
    r, z = sigmoid(r), sigmoid(z)
    n = tanh(n + r * from_hidden)
    h = n + z * (h - n)
    return r, z, n, h, h


@njit(cache=True, nogil=True, error_model="numpy")
def gru(out: Array, state: Array, gates: Array, candidate: Array, panels: Array, first_state: Array, bias: Array,
        sizes: Array, back: int, part: int, parts: int) -> None:
    """Run a GRU: r, z = sigmoid(gates + W h + bias), n = tanh(gates + r (W h + bias)), h = n + z (h - n).

    Args:
        out: (rows, H), out: h after each step; float32 or float64, as all arrays but `sizes`.
        state: (N, H), out: h after each sequence's last step.
        gates: (rows, 3 H), in/out: what the input contributes, replaced by r, z and n after their functions.
        candidate: (rows, H), out: what the state contributes to n, before r.
        panels: in: W transposed, a matrix (H, H) a gate, from `pack_panels`.
        first_state: (N, H), in.
        bias: (3 H,), in, or of length 0 for none.
        sizes: (T,), in; int64: how many sequences reach each step, not rising.
        back: 1 to run from the last step to the first.
    """
    size, hidden = out.itemsize, out.shape[1]
    gate = _matrix_size(out, hidden, hidden)
    shift = address(bias) if bias.shape[0] > 0 else 0
    lo, hi = share(state.shape[0], part, parts)
    _copy_rows(state, first_state, lo, hi)
    at = out.shape[0] if back else 0
    for turn in range(sizes.shape[0]):
        step, at = _step(sizes, turn, at, back)
        end = min(hi, sizes[step])
        if end <= lo:
            continue
        for k in range(3):
            target, row = address(gates) + ((at + lo) * 3 + k) * hidden * size, 3 * hidden * size
            if k == 2:
                target, row = address(candidate) + (at + lo) * hidden * size, hidden * size
            _product(out, target, row, address(state) + lo * hidden * size, end - lo,
                     address(panels) + k * gate * size, hidden, hidden, shift + k * hidden * size if shift != 0 else 0,
                     1 if k < 2 else 0)
        for m in range(lo, end):
            r, z, n = (pointer(gates, (at + m) * 3 * hidden), pointer(gates, ((at + m) * 3 + 1) * hidden),
                       pointer(gates, ((at + m) * 3 + 2) * hidden))
            h = pointer(state, m * hidden)
            apply(_gru_gates, hidden, (r, z, n, h, pointer(out, (at + m) * hidden)),
                  (r, z, n, pointer(candidate, (at + m) * hidden), h), ())


@njit(error_model="numpy", forceinline=True)
def _gru_back(r: float, z: float, n: float, from_hidden: float, before: float, g_h: float, d_h: float) -> Any:
    one = type(r)(1)
    d_h = g_h + d_h
    d_n = d_h * (one - z) * (one - n * n)
    d_z = d_h * (before - n) * z * (one - z)
    d_r = d_n * from_hidden * r * (one - r)
    return d_r, d_z, d_n, d_r, d_z, d_n * r, d_h * z


@njit(cache=True, nogil=True, error_model="numpy")
def gru_grad(d_state: Array, d_gates: Array, d_hidden: Array, previous: Array, panels: Array, g_out: Array,
             g_state: Array, gates: Array, candidate: Array, out: Array, first_state: Array, sizes: Array, back: int,
             part: int, parts: int) -> None:
    """Go backward through `gru`; the gradients of the weights are then products of d_gates and d_hidden.

    Args:
        d_state: (N, H), out: gradient of the first state; float32 or float64, as all arrays but `sizes`.
        d_gates: (rows, 3 H), out: gradient of what the input contributes.
        d_hidden: (rows, 3 H), out: gradient of what the state contributes.
        previous: (rows, H), out: the state before each step.
        panels: in: W, one matrix (3 H, H), from `pack_panels`.
        g_out: (rows, H), in: cotangent of `out`.
        g_state: (N, H), in: cotangent of `state`.
        gates, candidate, out, first_state, sizes, back: in, as `gru` leaves them.
    """
    size, hidden = out.itemsize, out.shape[1]
    lo, hi = share(d_state.shape[0], part, parts)
    _copy_rows(d_state, g_state, lo, hi)
    at = 0 if back else out.shape[0]
    for turn in range(sizes.shape[0]):
        step, at = _step(sizes, turn, at, 1 - back)
        end = min(hi, sizes[step])
        if end <= lo:
            continue
        for m in range(lo, end):
            row, source = at + m, _before(sizes, step, at, m, back)
            h = pointer(first_state, m * hidden) if source < 0 else pointer(out, source * hidden)
            apply(_same, hidden, (pointer(previous, row * hidden),), (h,), ())
            r = row * 3 * hidden
            z, n = r + hidden, r + 2 * hidden
            d_h = pointer(d_state, m * hidden)
            apply(_gru_back, hidden,
                  (pointer(d_gates, r), pointer(d_gates, z), pointer(d_gates, n), pointer(d_hidden, r),
                   pointer(d_hidden, z), pointer(d_hidden, n), d_h),
                  (pointer(gates, r), pointer(gates, z), pointer(gates, n), pointer(candidate, row * hidden), h,
                   pointer(g_out, row * hidden), d_h), ())
        _product(out, address(d_state) + lo * hidden * size, hidden * size,
                 address(d_hidden) + (at + lo) * 3 * hidden * size, end - lo, address(panels), 3 * hidden, hidden, 0, 1)


# ---- Elman's network -------------------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def _tanh_twice(x: float) -> Any:
    h = tanh(x)
    return h, h


@njit(error_model="numpy", forceinline=True)
def _relu_twice(x: float) -> Any:
    h = max(x, type(x)(0))
    return h, h


@njit(cache=True, nogil=True, error_model="numpy")
def rnn(out: Array, state: Array, panels: Array, first_state: Array, bias: Array, sizes: Array, rectified: int,
        back: int, part: int, parts: int) -> None:
    """Run Elman's network: h = tanh(out + W h + bias), or max(out + W h + bias, 0).

    Args:
        out: (rows, H), in/out: what the input contributes, replaced by h after each step; float32 or float64, as all
            arrays but `sizes`.
        state: (N, H), out: h after each sequence's last step.
        panels: in: W transposed, (H, H), from `pack_panels`.
        first_state: (N, H), in.
        bias: (H,), in, or of length 0 for none.
        sizes: (T,), in; int64: how many sequences reach each step, not rising.
        rectified: 1 for max(x, 0), 0 for tanh.
        back: 1 to run from the last step to the first.
    """
    size, hidden = out.itemsize, out.shape[1]
    shift = address(bias) if bias.shape[0] > 0 else 0
    lo, hi = share(state.shape[0], part, parts)
    _copy_rows(state, first_state, lo, hi)
    at = out.shape[0] if back else 0
    for turn in range(sizes.shape[0]):
        step, at = _step(sizes, turn, at, back)
        count = min(hi, sizes[step]) - lo
        if count <= 0:
            continue
        target = address(out) + (at + lo) * hidden * size
        _product(out, target, hidden * size, address(state) + lo * hidden * size, count, address(panels), hidden,
                 hidden, shift, 1)
        h, last = pointer(out, (at + lo) * hidden), pointer(state, lo * hidden)
        if rectified:
            apply(_relu_twice, count * hidden, (h, last), (h,), ())
        else:
            apply(_tanh_twice, count * hidden, (h, last), (h,), ())


@njit(error_model="numpy", forceinline=True)
def _tanh_back(h: float, g_h: float, d_h: float) -> float:
    return (g_h + d_h) * (type(h)(1) - h * h)


@njit(error_model="numpy", forceinline=True)
def _relu_back(h: float, g_h: float, d_h: float) -> float:
    zero = type(h)(0)
    return zero if h <= zero else g_h + d_h


@njit(cache=True, nogil=True, error_model="numpy")
def rnn_grad(d_state: Array, d_gates: Array, previous: Array, panels: Array, g_out: Array, g_state: Array, out: Array,
             first_state: Array, sizes: Array, rectified: int, back: int, part: int, parts: int) -> None:
    """Go backward through `rnn`; the gradients of the weights are then products of d_gates.

    Args:
        d_state: (N, H), out: gradient of the first state; float32 or float64, as all arrays but `sizes`.
        d_gates: (rows, H), out: gradient of the sum before its function.
        previous: (rows, H), out: the state before each step.
        panels: in: W, (H, H), from `pack_panels`.
        g_out: (rows, H), in: cotangent of `out`.
        g_state: (N, H), in: cotangent of `state`.
        out, first_state, sizes, rectified, back: in, as `rnn` leaves them.
    """
    size, hidden = out.itemsize, out.shape[1]
    lo, hi = share(d_state.shape[0], part, parts)
    _copy_rows(d_state, g_state, lo, hi)
    at = 0 if back else out.shape[0]
    for turn in range(sizes.shape[0]):
        step, at = _step(sizes, turn, at, 1 - back)
        end = min(hi, sizes[step])
        if end <= lo:
            continue
        for m in range(lo, end):
            row, source = (at + m) * hidden, _before(sizes, step, at, m, back)
            h = pointer(first_state, m * hidden) if source < 0 else pointer(out, source * hidden)
            apply(_same, hidden, (pointer(previous, row),), (h,), ())
        row, count = (at + lo) * hidden, (end - lo) * hidden
        sources = (pointer(out, row), pointer(g_out, row), pointer(d_state, lo * hidden))
        if rectified:
            apply(_relu_back, count, (pointer(d_gates, row),), sources, ())
        else:
            apply(_tanh_back, count, (pointer(d_gates, row),), sources, ())
        _product(out, address(d_state) + lo * hidden * size, hidden * size, address(d_gates) + row * size, end - lo,
                 address(panels), hidden, hidden, 0, 0)
