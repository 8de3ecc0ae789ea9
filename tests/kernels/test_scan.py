from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from run_parts import junk, run_parts

from autodiff_kernels import scan

SHAPES = [(2, 5, 3), (1, 40, 1), (3, 1, 2), (2, 0, 3), (0, 2, 2)]
rng = np.random.default_rng(0)


def test_log_add() -> None:
    inf = np.inf
    pairs = [(0.0, 1.0), (-inf, 2.0), (-inf, -inf), (inf, 0.0), (1000.0, 1000.0), (np.nan, 0.0), (inf, np.nan)]
    for x, y in pairs:
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(scan.log_add.py_func(x, y), np.logaddexp(x, y), rtol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_logcumsumexp(dtype: Any, shape: Any) -> None:
    x = (3 * rng.standard_normal(shape)).astype(dtype)
    y = run_parts(scan.logcumsumexp, junk(shape, dtype), x)
    wide = np.logaddexp.accumulate(x.astype(np.float64), 1)
    tolerance = 1e-6 if dtype == np.float32 else 1e-14
    np.testing.assert_allclose(y, wide, rtol=tolerance, atol=tolerance)

    g = rng.standard_normal(shape).astype(dtype)
    out = run_parts(scan.logcumsumexp_grad, junk(shape, dtype), g, x, wide.astype(dtype))
    slopes = np.exp(x[:, :, None].astype(np.float64) - wide[:, None])
    expected = (np.triu(np.ones(2 * shape[1:2]))[:, :, None] * slopes * g[:, None]).sum(2)
    np.testing.assert_allclose(out, expected, rtol=20 * tolerance, atol=20 * tolerance)


def test_the_gradient_of_large_numbers_stays_finite() -> None:
    x = np.array([[[-2000.0], [0.0], [2000.0]]])
    y = run_parts(scan.logcumsumexp, junk(x.shape, x.dtype), x)
    out = run_parts(scan.logcumsumexp_grad, junk(x.shape, x.dtype), np.ones_like(x), x, y)
    np.testing.assert_allclose(out.ravel(), [1, 1, 1])
