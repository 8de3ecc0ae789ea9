from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from run_parts import junk, run_parts

from autodiff_kernels import softmax

FLOATS = [np.float32, np.float64]
SHAPES = [(5, 7), (4, 1), (0, 3), (3, 130), (2, 0)]
rng = np.random.default_rng(0)


def close(dtype: Any) -> Any:
    return {"rtol": 2e-5, "atol": 1e-6} if dtype == np.float32 else {"rtol": 1e-13, "atol": 1e-15}


def log_sum(x: Any) -> Any:
    shift = x.max(1, keepdims=True, initial=-np.inf)
    shift[np.isinf(shift)] = 0
    with np.errstate(divide="ignore"):
        return shift + np.log(np.exp(x - shift).sum(1, keepdims=True))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients(dtype: Any, shape: Any) -> None:
    x, g = (rng.standard_normal(shape).astype(dtype) * 3 for _ in range(2))
    wide, out, row = x.astype(np.float64), junk(shape, dtype), junk(shape[0], dtype)
    y = run_parts(softmax.softmax, out, x)
    p = np.exp(wide - log_sum(wide))
    np.testing.assert_allclose(y, p, **close(dtype))
    np.testing.assert_allclose(
        run_parts(softmax.softmax_grad, out, g, y), p * (g - (g * p).sum(1, keepdims=True)), **close(dtype)
    )
    y = run_parts(softmax.log_softmax, out, x)
    np.testing.assert_allclose(y, wide - log_sum(wide), **close(dtype))
    np.testing.assert_allclose(
        run_parts(softmax.log_softmax_grad, out, g, y), g - p * g.sum(1, keepdims=True), **close(dtype)
    )
    y = run_parts(softmax.logsumexp, row, x)
    np.testing.assert_allclose(y, log_sum(wide)[:, 0], **close(dtype))
    g = rng.standard_normal(shape[0]).astype(dtype)
    np.testing.assert_allclose(run_parts(softmax.logsumexp_grad, out, g, x, y), g[:, None] * p, **close(dtype))


@pytest.mark.parametrize("dtype", FLOATS)
def test_large_and_infinite_entries(dtype: Any) -> None:
    inf, nan = np.inf, np.nan
    x = np.array([[1e4, 1e4 - 1], [-1e4, -1e4 - 1], [-inf, 3], [-inf, -inf], [inf, 0], [nan, 0]], dtype)
    a, b = 1 / (1 + np.exp(-1.0)), 1 / (1 + np.exp(1.0))
    p = np.array([[a, b], [a, b], [0, 1], [nan, nan], [nan, nan], [nan, nan]])
    np.testing.assert_allclose(run_parts(softmax.softmax, junk((6, 2), dtype), x), p, 1e-6)
    logs = run_parts(softmax.log_softmax, junk((6, 2), dtype), x)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(logs, np.log(p), 1e-6)
    sums = run_parts(softmax.logsumexp, junk(6, dtype), x)
    np.testing.assert_allclose(sums, [1e4 - np.log(a), -1e4 - np.log(a), 3, -inf, inf, nan], 1e-6)


@pytest.mark.parametrize("dtype", FLOATS)
def test_like_pytorch(dtype: Any) -> None:
    torch = pytest.importorskip("torch")
    x = rng.standard_normal((6, 5)).astype(dtype) * 1000
    x[1, 2], x[2], x[3, 4], x[4, 0] = -np.inf, -np.inf, np.inf, np.nan
    for kernel, function in ((softmax.softmax, torch.softmax), (softmax.log_softmax, torch.log_softmax)):
        expected = function(torch.from_numpy(x), 1).numpy()
        np.testing.assert_allclose(run_parts(kernel, junk(x.shape, dtype), x), expected, **close(dtype))
    y = run_parts(softmax.logsumexp, junk(6, dtype), x)
    np.testing.assert_allclose(y, torch.logsumexp(torch.from_numpy(x), 1).numpy(), **close(dtype))
