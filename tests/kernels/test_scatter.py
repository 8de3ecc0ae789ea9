from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from run_parts import run_parts

from autodiff_kernels import scatter

KINDS = [(scatter.PRODUCT, np.multiply), (scatter.LARGEST, np.maximum), (scatter.SMALLEST, np.minimum)]
rng = np.random.default_rng(0)


def numbers(shape: Any, dtype: Any) -> Any:
    x = rng.integers(1, 4, shape).astype(dtype)
    if x.dtype.kind == "f":
        x[rng.random(shape) < 0.1] = np.nan
    return x


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8])
@pytest.mark.parametrize(("kind", "combine"), KINDS)
@pytest.mark.parametrize(("A", "K", "M", "B"), [(2, 3, 5, 4), (1, 4, 30, 1), (3, 5, 7, 40), (2, 3, 0, 2), (0, 1, 1, 1)])
def test_reductions_at_places(kind: int, combine: Any, A: int, K: int, M: int, B: int, dtype: Any) -> None:
    start, x = numbers((A, K, B), dtype), numbers((A, M, B), dtype)
    index = rng.integers(0, K, (A, M, B))
    out, status = run_parts(scatter.reduce_along, start, x, index, kind, status=True)
    expected = start.copy()
    at = np.arange(A)[:, None, None], index, np.arange(B)
    combine.at(expected, tuple(np.broadcast_arrays(*at)), x)
    np.testing.assert_array_equal(out, expected)
    assert status == -1

    rows = rng.integers(0, K, M)
    out, status = run_parts(scatter.reduce_rows, start, x, rows, kind, status=True)
    expected = start.copy()
    combine.at(expected, (slice(None), rows), x)
    np.testing.assert_array_equal(out, expected)
    assert status == -1


@pytest.mark.parametrize("B", [1, 20])
def test_positions_out_of_range_are_reported(B: int) -> None:
    start, x = np.ones((2, 3, B)), np.full((2, 4, B), 2.0)
    index = np.zeros((2, 4, B), np.int64)
    index[1, 2, B - 1], index[1, 3] = 3, -1
    out, status = run_parts(scatter.reduce_along, start, x, index, scatter.LARGEST, status=True)
    assert status == (4 + 2) * B + B - 1
    assert out[0, 0].tolist() == [2.0] * B
    _, status = run_parts(scatter.reduce_rows, start, x, np.array([0, 3, 1, -1]), scatter.LARGEST, status=True)
    assert status == 1
