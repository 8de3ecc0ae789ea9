from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from run_parts import junk, run_parts

from autodiff_kernels import loss
from autodiff_kernels.softmax import BLOCK

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
    outputs = tuple(junk(len(x), x.dtype) for _ in range(4))
    return run_parts(loss.cross_entropy, outputs, x, target, weight, IGNORED, smoothing, status=True)


def soft(R: int, K: int, dtype: Any) -> tuple[Any, ...]:
    x, labels = rng.standard_normal((R, K)) * 3, rng.random((R, K))
    return *(array.astype(dtype) for array in (x, labels, rng.random(K) + 0.5)), rng.standard_normal(R).astype(dtype)


def soft_cross_entropy(x: Any, labels: Any, weight: Any, smoothing: float) -> Any:
    outputs = tuple(junk(len(x), x.dtype) for _ in range(4))
    return run_parts(loss.soft_cross_entropy, outputs, x, labels, weight, smoothing)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(("R", "K"), [(9, 5), (4, 1), (0, 3), (2, 70), (1, 50000)])
def test_cross_entropy(dtype: Any, smoothing: float, R: int, K: int) -> None:
    x, target, weight, g = case(R, K, dtype)
    wide = x.astype(np.float64)
    log_p = wide - np.log(np.exp(wide).sum(1, keepdims=True))
    q = coefficients(target, weight, smoothing)
    losses, row_weights, *kept, status = cross_entropy(x, target, weight, smoothing)
    assert status == -1
    np.testing.assert_allclose(losses, -(q * log_p).sum(1), **close(dtype))
    np.testing.assert_array_equal(row_weights, np.where(target == IGNORED, 0, weight[target % K]))
    out = run_parts(loss.cross_entropy_grad, junk(x.shape, dtype), g, x, *kept, target, weight, IGNORED, smoothing)
    np.testing.assert_allclose(out, g[:, None] * (q.sum(1, keepdims=True) * np.exp(log_p) - q), **close(dtype))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(("R", "K"), [(9, 5), (4, 1), (0, 3), (3, 0), (2, 70), (1, 50000)])
def test_soft_cross_entropy(dtype: Any, smoothing: float, R: int, K: int) -> None:
    x, labels, weight, g = soft(R, K, dtype)
    wide = x.astype(np.float64)
    log_p = wide - np.log(np.exp(wide).sum(1, keepdims=True) if K else 1)
    q = weight * ((1 - smoothing) * labels + (smoothing / K if K else 0))
    losses, *kept = soft_cross_entropy(x, labels, weight, smoothing)
    np.testing.assert_allclose(losses, -(q * log_p).sum(1), **close(dtype))
    np.testing.assert_allclose(kept[2], q.sum(1), **close(dtype))
    shape, g = junk(x.shape, dtype), g[:, None]
    out = run_parts(loss.soft_cross_entropy_grad, shape, g[:, 0], x, labels, *kept, weight, smoothing)
    np.testing.assert_allclose(out, g * (q.sum(1, keepdims=True) * np.exp(log_p) - q), **close(dtype))
    out = run_parts(loss.soft_cross_entropy_label_grad, shape, g[:, 0], x, *kept[:2], weight, smoothing)
    np.testing.assert_allclose(out, -g * (1 - smoothing) * weight * log_p, **close(dtype))


@pytest.mark.parametrize("dtype", FLOATS)
def test_long_rows_whose_largest_comes_late_or_early(dtype: Any) -> None:
    x = rng.standard_normal((4, 3 * BLOCK + 5)).astype(dtype)
    x[0] += np.linspace(0, 1e4, x.shape[1])
    x[1] -= np.linspace(0, 1e4, x.shape[1])
    x[2, : BLOCK + 3], x[3, 7] = -np.inf, 500
    target = np.array([5, 6, BLOCK + 9, 7])
    wide = x.astype(np.float64)
    top = wide.max(1, keepdims=True)
    log_p = wide - top - np.log(np.exp(wide - top).sum(1, keepdims=True))
    losses, _, shifts, scales, _ = cross_entropy(x, target, np.ones(x.shape[1], dtype), 0.0)
    np.testing.assert_allclose(losses, -log_p[np.arange(4), target], rtol=1e-6)
    np.testing.assert_array_equal(shifts, x.max(1))
    np.testing.assert_allclose(scales, np.exp(log_p.max(1)), rtol=1e-6)
    labels = np.zeros_like(x)
    labels[:, BLOCK + 5 :] = 1 / (x.shape[1] - BLOCK - 5)
    x[2, : BLOCK + 3] = -1e4
    expected = -(labels.astype(np.float64) * (x - top - np.log(np.exp(x - top).sum(1, keepdims=True)))).sum(1)
    found = soft_cross_entropy(x, labels, np.ones(x.shape[1], dtype), 0.0)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("place", [0, BLOCK, 2 * BLOCK + 1])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_row_with_nan_or_inf_is_nan(place: int, value: float) -> None:
    x = rng.standard_normal((2, 2 * BLOCK + 2)).astype(np.float32)
    x[0, place] = value
    losses, _, _, scales, _ = cross_entropy(x, np.array([3, 3]), np.ones(x.shape[1], np.float32), 0.0)
    np.testing.assert_array_equal(np.isnan(losses), [True, False])
    np.testing.assert_array_equal(np.isnan(scales), [True, False])
    x[0] = -np.inf
    x[0, place] = value
    assert np.isnan(cross_entropy(x, np.array([3, 3]), np.ones(x.shape[1], np.float32), 0.0)[0][0])


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
    losses, row_weights, *kept, status = cross_entropy(x, target, weight, 0.1)
    assert status == -1
    assert not losses.any()
    assert not row_weights.any()
    out = run_parts(loss.cross_entropy_grad, junk(x.shape, x.dtype), g, x, *kept, target, weight, IGNORED, 0.1)
    assert not out.any()


@pytest.mark.parametrize("dtype", FLOATS)
def test_large_and_infinite_logits(dtype: Any) -> None:
    x = np.array([[1e4, -1e4], [-1e4, 1e4], [-np.inf, 3], [-np.inf, -np.inf]], dtype)
    target, ones = np.array([0, 0, 1, 0]), np.ones(2, dtype)
    losses, _, *kept, _ = cross_entropy(x, target, ones, 0.0)
    np.testing.assert_array_equal(losses, np.array([0, 2e4, 0, np.nan], dtype))
    expected = np.array([[0, 0], [-1, 1], [0, 0], [np.nan] * 2], dtype)
    out = run_parts(loss.cross_entropy_grad, junk(x.shape, dtype), np.ones(4, dtype), x, *kept, target, ones, -1, 0.0)
    np.testing.assert_array_equal(out, expected)
    labels = np.eye(2, dtype=dtype)[target]
    losses, *kept = soft_cross_entropy(x, labels, ones, 0.0)
    np.testing.assert_array_equal(losses, np.array([0, 2e4, np.nan, np.nan], dtype))  # 0 * inf
    out = run_parts(loss.soft_cross_entropy_grad, junk(x.shape, dtype), np.ones(4, dtype), x, labels, *kept, ones, 0.0)
    np.testing.assert_array_equal(out, expected)


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
    losses, row_weights, *kept, _ = cross_entropy(x, target, weight, smoothing)
    np.testing.assert_allclose(losses.sum() / row_weights.sum(), expected.item(), **close(dtype))
    g = np.full(9, 1 / row_weights.sum(), dtype)
    out = run_parts(loss.cross_entropy_grad, junk(x.shape, dtype), g, x, *kept, target, weight, IGNORED, smoothing)
    np.testing.assert_allclose(out, logits.grad.numpy(), **close(dtype))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_soft_labels_like_pytorch(dtype: Any, smoothing: float) -> None:
    torch = pytest.importorskip("torch")
    x, labels, weight, g = soft(9, 70, dtype)
    x[3] *= 1e4
    x[5, 2] = -np.inf
    logits, wanted = (torch.from_numpy(array).requires_grad_() for array in (x, labels))
    expected = torch.nn.functional.cross_entropy(
        logits, wanted, torch.from_numpy(weight), reduction="none", label_smoothing=smoothing
    )
    expected.backward(torch.from_numpy(g))
    losses, *kept = soft_cross_entropy(x, labels, weight, smoothing)
    np.testing.assert_allclose(losses, expected.detach(), **close(dtype))
    shape = junk(x.shape, dtype)
    out = run_parts(loss.soft_cross_entropy_grad, shape, g, x, labels, *kept, weight, smoothing)
    np.testing.assert_allclose(out, logits.grad, **close(dtype))
    out = run_parts(loss.soft_cross_entropy_label_grad, shape, g, x, *kept[:2], weight, smoothing)
    np.testing.assert_allclose(out, wanted.grad, **close(dtype))
