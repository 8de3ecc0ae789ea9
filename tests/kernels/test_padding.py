from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from run_parts import junk, run_parts

from autodiff_kernels import padding

rng = np.random.default_rng(0)
# Where rows and columns come from, the piece of the columns that moves as a whole, and the sizes of the array.
CASES = [
    ([0, 1, 2], [0, 1, 2, 3], (0, 4), (3, 4)),
    ([-1, 0, 1, 2, -1, -1], [-1, -1, *range(37), -1], (2, 37), (3, 37)),
    ([1, 0, 1, 2, 1, 0], [2, 1, 0, 1, 2, 1], (2, 2), (3, 3)),
    ([0, 0, 0, 1], [0, 0, 0], (0, 1), (2, 1)),
    ([1], [2, 3, 2], (0, 2), (3, 5)),
    ([-1, -1], [-1], (0, 0), (0, 0)),
    ([], [0], (0, 1), (2, 1)),
]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("A", [0, 1, 3])
@pytest.mark.parametrize("B", [1, 2, 19])
def test_rows_and_columns_come_from_where_is_said(case: Any, A: int, B: int) -> None:
    rows, columns = (np.array(places, np.int64) for places in case[:2])
    piece, sizes = case[2:]
    for dtype in (np.uint8, np.uint16, np.uint32, np.uint64):
        x = rng.integers(1, 200, (A, *sizes, B)).astype(dtype)
        filled = np.full((A, sizes[0] + 1, sizes[1] + 1, B), 77, dtype)  # the last row and column, those of -1
        filled[:, :-1, :-1] = x
        out = run_parts(padding.pad, junk((A, len(rows), len(columns), B), dtype), x, np.full(1, 77, dtype), rows,
                        columns, *piece)
        np.testing.assert_array_equal(out, filled[:, rows][:, :, columns])
    inside = np.flatnonzero(rows >= 0)
    order = inside[np.argsort(rows[inside], kind="stable")]
    first = np.searchsorted(rows[order], np.arange(sizes[0] + 1))
    for dtype in (np.float32, np.float64):
        g = rng.integers(-9, 9, (A, len(rows), len(columns), B)).astype(dtype)
        summed = np.zeros((A, sizes[0] + 1, sizes[1] + 1, B), dtype)
        np.add.at(summed, (slice(None), rows[:, None], columns), g)
        out = run_parts(padding.pad_grad, junk((A, *sizes, B), dtype), g, first, order, columns, *piece)
        np.testing.assert_array_equal(out, summed[:, :-1, :-1])
