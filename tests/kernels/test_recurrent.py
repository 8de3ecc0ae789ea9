"""Recurrent layers against a plain loop over the steps in float64, and their gradients against finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from run_parts import junk, run_parts

from autodiff_kernels import recurrent as family

SIZES = [((5, 5, 5), 7), ((7, 4, 4, 1), 16), ((13,), 33), ((2, 2), 300)]
GATES = {"lstm": 4, "gru": 3, "rnn": 1}


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def step(kind: str, given: Any, h: Any, c: Any, w: Any, bias: Any) -> tuple[Any, Any]:
    mine = h @ w.T + bias
    if kind == "rnn":
        return np.tanh(given + mine), c
    if kind == "gru":
        (r, z, n), (r2, z2, n2) = np.split(given, 3, -1), np.split(mine, 3, -1)
        r, z = sigmoid(r + r2), sigmoid(z + z2)
        n = np.tanh(n + r * n2)
        return n + z * (h - n), c
    i, f, g, o = np.split(given + mine, 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def plain(kind: str, given: Any, h: Any, c: Any, w: Any, bias: Any, sizes: Any, back: int) -> tuple[Any, Any, Any]:
    given, h, c, w, bias = (x.astype(np.float64) for x in (given, h, c, w, bias))
    starts = np.cumsum([0, *sizes])
    out = np.zeros((starts[-1], h.shape[1]))
    for t in reversed(range(len(sizes))) if back else range(len(sizes)):
        rows = slice(starts[t], starts[t + 1])
        h[: sizes[t]], c[: sizes[t]] = step(kind, given[rows], h[: sizes[t]], c[: sizes[t]], w, bias)
        out[rows] = h[: sizes[t]]
    return out, h, c


def panels(w: Any, groups: int, hidden: int, turned: bool) -> Any:
    depth = hidden if turned else w.shape[0]
    strides = (hidden * hidden, 1, hidden) if turned else (0, hidden, 1)
    size = family.panels_size(groups, depth, hidden, w.itemsize)
    out = np.full(size, np.nan, w.dtype)
    for part in range(2):
        family.pack_panels(out, w.reshape(-1), groups, depth, hidden, *strides, part, 2)
    return out


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize(("sizes", "hidden"), SIZES)
@pytest.mark.parametrize("back", [0, 1])
def test_forward_and_gradient(dtype: Any, kind: str, sizes: Any, hidden: int, back: int) -> None:
    rng = np.random.default_rng(0)
    gates, rows, count = GATES[kind], sum(sizes), sizes[0]

    def numbers(*shape: int) -> Any:
        return (rng.standard_normal(shape) / np.sqrt(hidden)).astype(dtype)

    given, h, c = numbers(rows, gates * hidden), numbers(count, hidden), numbers(count, hidden)
    w, bias, steps = numbers(gates * hidden, hidden), numbers(gates * hidden), np.array(sizes)
    packed = panels(w, gates, hidden, True)
    row, state = junk((rows, hidden), dtype), junk((count, hidden), dtype)
    wide = junk((rows, gates * hidden), dtype)
    if kind == "lstm":
        outputs = (row, state, state, given, row)
        out, last, cell, kept, cells = run_parts(family.lstm, outputs, packed, h, c, bias, steps, back)
        found: Any = (out, last, cell)
    elif kind == "gru":
        out, last, kept, candidate = run_parts(family.gru, (row, state, given, row), packed, h, bias, steps, back)
        found = (out, last)
    else:
        out, last = run_parts(family.rnn, (given, state), packed, h, bias, steps, 0, back)
        found = (out, last)
    want = plain(kind, given, h, c, w, bias, sizes, back)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    for x, y in zip(found, want, strict=False):
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)

    turned = panels(w, 1, hidden, False)
    g = [numbers(*x.shape) for x in found]
    if kind == "lstm":
        d_h, d_c, d_gates, before = run_parts(family.lstm_grad, (state, state, wide, row), turned, *g, kept, cells, out,
                                              h, c, steps, back)
        d_hidden = d_gates
    elif kind == "gru":
        d_h, d_gates, d_hidden, before = run_parts(family.gru_grad, (state, wide, wide, row), turned, *g, kept,
                                                   candidate, out, h, steps, back)
        d_c = np.zeros_like(h)
    else:
        d_h, d_gates, before = run_parts(family.rnn_grad, (state, wide, row), turned, *g, out, h, steps, 0, back)
        d_hidden, d_c = d_gates, np.zeros_like(h)
    exact = (given, h, c, w, bias)
    found = (d_gates, d_h, d_c, d_hidden.T @ before, d_hidden.sum(0))
    way = [rng.standard_normal(x.shape) for x in exact]

    def value(length: float) -> float:
        moved = [x + length * d for x, d in zip((y.astype(np.float64) for y in exact), way, strict=True)]
        results = plain(kind, *moved, sizes, back)
        return sum(float((x * y).sum()) for x, y in zip(results, g, strict=False))

    slope = sum(float((x * d).sum()) for x, d in zip(found, way, strict=True))
    assert slope == pytest.approx((value(1e-5) - value(-1e-5)) / 2e-5, rel=1e-4 if dtype == np.float32 else 1e-6,
                                  abs=1e-3 if dtype == np.float32 else 1e-6)
