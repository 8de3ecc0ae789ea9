from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from run_parts import junk, run_parts
from test_norm import EPS, FLOATS, alone, close, gradient, normalised, nothing, numbers, sum_blocks

from autodiff_kernels import norm, planes

SHAPES = [(2, 6, 37), (3, 4, 100), (1, 1, 16), (2, 12, 1)]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [*SHAPES, (3, 0, 20)])
def test_batch_norm(dtype: Any, shape: Any) -> None:
    N, C, S = shape
    x, g, gamma, beta = numbers(shape, dtype, 3), numbers(shape, dtype), numbers(C, dtype), numbers(C, dtype)
    sums = junk((N, C), np.float64), junk((N, C), np.float64)
    blocks = run_parts(planes.moments, sums, x)
    one = junk(C, dtype)
    mean, variance, rstd = run_parts(norm.batch_norm_combine, (one, one, one), *blocks, N * S, S, EPS)
    true_mean, true_rstd, xhat = normalised(x, (0, 2))
    np.testing.assert_allclose(mean, true_mean.ravel(), **close(dtype))
    np.testing.assert_allclose(variance, x.astype(np.float64).var((0, 2)), **close(dtype))
    factor, term = gamma[:, None], beta[:, None]
    out = run_parts(planes.batch_norm, junk(shape, dtype), x, mean, rstd, gamma, beta, *alone(dtype))
    np.testing.assert_allclose(out, xhat * factor + term, **close(dtype))
    blocks = run_parts(planes.batch_norm_grad_partial, sums, g, x, mean, rstd, gamma, nothing(dtype))
    dgamma, dbeta = (sum_blocks(block, dtype) for block in blocks)
    np.testing.assert_allclose(dgamma, (g * xhat).sum((0, 2)), **close(dtype, C))
    np.testing.assert_allclose(dbeta, g.sum((0, 2), dtype=np.float64), **close(dtype, C))
    arguments = junk(shape, dtype), g, x, mean, rstd, gamma, nothing(dtype), dgamma, dbeta
    np.testing.assert_allclose(
        run_parts(planes.batch_norm_grad, *arguments, 1), gradient(g * factor, true_rstd, xhat, (0, 2)),
        **close(dtype, rstd),
    )
    np.testing.assert_allclose(run_parts(planes.batch_norm_grad, *arguments, 0), g * factor * true_rstd, **close(dtype))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [*SHAPES, (0, 4, 20)])
@pytest.mark.parametrize("count", [1, 2])
def test_group_norm(dtype: Any, shape: Any, count: int) -> None:
    N, C, S = shape
    G = max(C // count, 1)
    x, g, gamma, beta = numbers(shape, dtype, 3), numbers(shape, dtype), numbers(C, dtype), numbers(C, dtype)
    outputs = junk(shape, dtype), junk((N, G), dtype), junk((N, G), dtype)
    out, mean, rstd = run_parts(planes.group_norm, outputs, x, gamma, beta, *alone(dtype), EPS)
    grouped = (N, G, C // G, S)
    true_mean, true_rstd, xhat = normalised(x.reshape(grouped), (2, 3))
    np.testing.assert_allclose(mean, true_mean[:, :, 0, 0], **close(dtype))
    np.testing.assert_allclose(rstd, true_rstd[:, :, 0, 0], rtol=1e-3 if dtype == np.float32 else 1e-10)
    flat = xhat.reshape(shape)
    np.testing.assert_allclose(out, flat * gamma[:, None] + beta[:, None], **close(dtype, 10))
    sums = junk((N, C), np.float64), junk((N, C), np.float64)
    outputs = junk(shape, dtype), *sums
    out, dgammas, dbetas = run_parts(planes.group_norm_grad, outputs, g, x, mean, rstd, gamma, nothing(dtype))
    np.testing.assert_allclose(dgammas, (g * flat).sum(2), **close(dtype, 10))
    np.testing.assert_allclose(dbetas, g.sum(2, dtype=np.float64), **close(dtype, 10))
    h = (g * gamma[:, None]).reshape(grouped)
    expected = gradient(h, true_rstd, xhat, (2, 3)).reshape(shape)
    np.testing.assert_allclose(out, expected, **close(dtype, 10 * rstd))


def test_nan_stays_in_its_group() -> None:
    x = numbers((2, 4, 20), np.float32)
    x[1, 2, 3] = np.nan
    outputs = junk(x.shape, x.dtype), junk((2, 2), x.dtype), junk((2, 2), x.dtype)
    ones = np.ones(4, np.float32)
    out, _, _ = run_parts(planes.group_norm, outputs, x, ones, ones, *alone(x.dtype), EPS)
    assert np.isnan(out).any(2).tolist() == np.isnan(out).all(2).tolist() == [[False] * 4, [False, False, True, True]]
