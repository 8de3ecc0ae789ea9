from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from run_parts import junk, run_parts

from autodiff_kernels import triangular

rng = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("upper", [0, 1])
@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("unit", [0, 1])
@pytest.mark.parametrize(("N", "n", "k", "M"), [(1, 1, 1, 1), (2, 5, 3, 2), (3, 20, 37, 1), (1, 270, 9, 1),
                                                (2, 0, 3, 2), (0, 3, 2, 1), (1, 7, 0, 1)])
def test_solutions(N: int, n: int, k: int, M: int, unit: int, transposed: int, upper: int, dtype: Any) -> None:
    a = (rng.uniform(-1, 1, (M, n, n)) / max(n, 1) + 2 * np.eye(n)).astype(dtype)
    b = rng.standard_normal((N, n, k)).astype(dtype)
    triangle = (np.triu if upper else np.tril)(a).astype(np.float64)
    if unit:
        triangle[:, np.arange(n), np.arange(n)] = 1
    a[:, *(np.tril_indices(n, -1) if upper else np.triu_indices(n, 1))] = np.nan  # the other triangle is not read
    panel = np.full((n, triangular.PANEL_BYTES // b.itemsize), np.nan, dtype)
    out, status = run_parts(triangular.solve_triangular, junk(b.shape, dtype), a, b, upper, transposed, unit,
                            scratch=panel, status=True)
    product = (np.swapaxes(triangle, 1, 2) if transposed else triangle) @ out
    tolerance = 1e-5 if dtype == np.float32 else 1e-13
    np.testing.assert_allclose(product, b, rtol=tolerance, atol=tolerance)
    assert status == -1


def test_a_zero_on_a_diagonal_is_reported() -> None:
    a, b = np.ones((3, 2, 2)) * np.tri(2), np.ones((3, 2, 1))
    a[1, 1, 1] = a[2, 0, 0] = 0
    for unit, first in ((0, 1), (1, -1)):
        _, status = run_parts(triangular.solve_triangular, junk(b.shape, b.dtype), a, b, 0, 0, unit,
                              scratch=np.zeros((2, triangular.PANEL_BYTES // 8)), status=True)
        assert status == first
