from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from run_parts import junk, run_parts

from autodiff_kernels import loss

FLOATS = [np.float32, np.float64]
rng = np.random.default_rng(0)
IGNORED = -100


def close(dtype: Any) -> Any:
    return {"rtol": 1e-5, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-13}


def case(R: int, K: int, dtype: Any, weighted: bool = True) -> tuple[Any, ...]:
    x = (rng.standard_normal((R, K)) * 3).astype(dtype)
    target = rng.integers(0, K, R)
    target[1::4] = IGNORED
    weight = rng.random(K).astype(dtype) + 0.5 if weighted else np.ones(K)
    return x, target, weight.astype(dtype), rng.standard_normal(R).astype(dtype)


def coefficients(target: Any, weight: Any, smoothing: float) -> Any:
    """Return q with losses = -sum over k of q[r, k] log p[r, k]."""
    K = len(weight)
    q = (1 - smoothing) * np.eye(K)[np.where(target == IGNORED, 0, target)] + smoothing / K
    return q * weight * (target != IGNORED)[:, None]


def cross_entropy(x: Any, target: Any, weight: Any, smoothing: float) -> Any:
    outputs = junk(len(x), x.dtype), junk(len(x), x.dtype), junk(x.shape, x.dtype)
    return run_parts(loss.cross_entropy, outputs, x, target, weight, IGNORED, smoothing, status=True)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(("R", "K"), [(9, 5), (4, 1), (0, 3), (2, 70)])
def test_cross_entropy(dtype: Any, smoothing: float, R: int, K: int) -> None:
    x, target, weight, g = case(R, K, dtype)
    wide = x.astype(np.float64)
    log_p = wide - np.log(np.exp(wide).sum(1, keepdims=True))
    q = coefficients(target, weight, smoothing)
    losses, row_weights, p, status = cross_entropy(x, target, weight, smoothing)
    assert status == -1
    np.testing.assert_allclose(losses, -(q * log_p).sum(1), **close(dtype))
    np.testing.assert_array_equal(row_weights, np.where(target == IGNORED, 0, weight[target % K]))
    out = run_parts(loss.cross_entropy_grad, junk(x.shape, dtype), g, p, target, weight, IGNORED, smoothing)
    np.testing.assert_allclose(out, g[:, None] * (q.sum(1, keepdims=True) * np.exp(log_p) - q), **close(dtype))


@pytest.mark.parametrize("dtype", FLOATS)
def test_nll(dtype: Any) -> None:
    x, target, weight, g = case(9, 5, dtype)
    q = coefficients(target, weight, 0)
    outputs = junk(9, dtype), junk(9, dtype)
    losses, row_weights, status = run_parts(loss.nll, outputs, x, target, weight, IGNORED, status=True)
    assert status == -1
    np.testing.assert_allclose(losses, -(q * x).sum(1), **close(dtype))
    np.testing.assert_array_equal(row_weights, q.sum(1).astype(dtype))
    out = run_parts(loss.nll_grad, junk(x.shape, dtype), g, target, weight, IGNORED)
    np.testing.assert_allclose(out, -g[:, None] * q, **close(dtype))


@pytest.mark.parametrize("bad", [-1, 5, 2**40])
def test_a_target_out_of_range_is_reported(bad: int) -> None:
    x, target, weight, _ = case(9, 5, np.float64)
    target[[4, 7]] = bad
    *outputs, status = cross_entropy(x, target, weight, 0.1)
    assert status == 4
    assert not any(output[[4, 7]].any() for output in outputs)
    rows = junk(9, x.dtype), junk(9, x.dtype)
    *outputs, status = run_parts(loss.nll, rows, x, target, weight, IGNORED, status=True)
    assert status == 4
    assert not any(output[[4, 7]].any() for output in outputs)


def test_all_rows_ignored() -> None:
    x, target, weight, g = case(3, 4, np.float64)
    target[:] = IGNORED
    losses, row_weights, p, status = cross_entropy(x, target, weight, 0.1)
    assert status == -1
    assert not losses.any()
    assert not row_weights.any()
    out = run_parts(loss.cross_entropy_grad, junk(x.shape, x.dtype), g, p, target, weight, IGNORED, 0.1)
    assert not out.any()


@pytest.mark.parametrize("dtype", FLOATS)
def test_large_and_infinite_logits(dtype: Any) -> None:
    x = np.array([[1e4, -1e4], [-1e4, 1e4], [-np.inf, 3], [-np.inf, -np.inf]], dtype)
    losses, _, p, _ = cross_entropy(x, np.array([0, 0, 1, 0]), np.ones(2, dtype), 0.0)
    np.testing.assert_array_equal(losses, np.array([0, 2e4, 0, np.nan], dtype))
    np.testing.assert_array_equal(p, np.array([[1, 0], [0, 1], [0, 1], [np.nan] * 2], dtype))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
def test_weighted_mean_like_pytorch(dtype: Any, smoothing: float, weighted: bool) -> None:
    torch = pytest.importorskip("torch")
    x, target, weight, _ = case(9, 5, dtype, weighted)
    logits = torch.from_numpy(x).requires_grad_()
    expected = torch.nn.functional.cross_entropy(
        logits, torch.from_numpy(target), torch.from_numpy(weight) if weighted else None, label_smoothing=smoothing
    )
    expected.backward()
    losses, row_weights, p, _ = cross_entropy(x, target, weight, smoothing)
    np.testing.assert_allclose(losses.sum() / row_weights.sum(), expected.item(), **close(dtype))
    g = np.full(9, 1 / row_weights.sum(), dtype)
    out = run_parts(loss.cross_entropy_grad, junk(x.shape, dtype), g, p, target, weight, IGNORED, smoothing)
    np.testing.assert_allclose(out, logits.grad.numpy(), **close(dtype))
