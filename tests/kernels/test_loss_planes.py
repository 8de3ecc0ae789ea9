from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from run_parts import junk, run_parts

from autodiff_kernels import loss, loss_planes, softmax_planes

FLOATS = [np.float32, np.float64]
SHAPES = [(2, 5, 7), (3, 21, 300), (1, 3, 1100), (0, 3, 20), (2, 3, 0), (4, 1, 33)]
IGNORED = -100
rng = np.random.default_rng(0)


def close(dtype: Any) -> Any:
    return {"rtol": 1e-5, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-13}


def case(shape: Any, dtype: Any) -> tuple[Any, ...]:
    A, K, B = shape
    x = (rng.standard_normal(shape) * 3).astype(dtype)
    target = rng.integers(0, K, (A, B))
    target[:, 1::4] = IGNORED
    return x, target, rng.random(K).astype(dtype) + dtype(0.5), rng.standard_normal((A, B)).astype(dtype)


def rows(x: Any) -> Any:
    return np.ascontiguousarray(x.transpose(0, 2, 1)).reshape(-1, x.shape[1])


def planes(x: Any, shape: Any) -> Any:
    A, K, B = shape
    return x.reshape(A, B, K).transpose(0, 2, 1)


def cross_entropy(x: Any, target: Any, weight: Any, smoothing: float) -> Any:
    A, K, B = x.shape
    outputs = tuple(junk((A, B), x.dtype) for _ in range(4))
    scratch = junk((K, softmax_planes.tile_columns(K)), x.dtype)
    return run_parts(
        loss_planes.cross_entropy, outputs, x, target, weight, IGNORED, smoothing, scratch=scratch, status=True
    )


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("shape", SHAPES)
def test_cross_entropy_as_of_rows(dtype: Any, smoothing: float, shape: Any) -> None:
    x, target, weight, g = case(shape, dtype)
    losses, weights, *kept, status = cross_entropy(x, target, weight, smoothing)
    assert status == -1
    flat = tuple(junk(target.size, dtype) for _ in range(4))
    arguments = target.reshape(-1), weight, IGNORED, smoothing
    expected = run_parts(loss.cross_entropy, flat, rows(x), *arguments, status=True)
    np.testing.assert_allclose(losses.reshape(-1), expected[0], **close(dtype))
    np.testing.assert_array_equal(weights.reshape(-1), expected[1])
    np.testing.assert_array_equal(kept[0].reshape(-1), expected[2])
    np.testing.assert_allclose(kept[1].reshape(-1), expected[3], **close(dtype))
    operands = x, *kept, target, weight, IGNORED, smoothing
    found = run_parts(loss_planes.cross_entropy_grad, junk(shape, dtype), g, *operands)
    flat = tuple(array.reshape(-1) for array in kept)
    expected = run_parts(loss.cross_entropy_grad, junk(rows(x).shape, dtype), g.reshape(-1), rows(x), *flat, *arguments)
    np.testing.assert_array_equal(found, planes(expected, shape))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("shape", SHAPES)
def test_soft_cross_entropy_as_of_rows(dtype: Any, smoothing: float, shape: Any) -> None:
    x, _, weight, g = case(shape, dtype)
    A, K, B = shape
    labels = rng.random(shape).astype(dtype)
    outputs, flat = (tuple(junk(size, dtype) for _ in range(4)) for size in ((A, B), A * B))
    scratch = junk((K, softmax_planes.tile_columns(K)), dtype)
    losses, *kept = run_parts(
        loss_planes.soft_cross_entropy, outputs, x, labels, weight, smoothing, scratch=scratch
    )
    expected = run_parts(loss.soft_cross_entropy, flat, rows(x), rows(labels), weight, smoothing)
    for found, wanted in zip((losses, *kept), expected, strict=True):
        np.testing.assert_allclose(found.reshape(-1), wanted, **close(dtype))
    flat = tuple(array.reshape(-1) for array in kept)
    out, row_out = junk(shape, dtype), junk(rows(x).shape, dtype)
    found = run_parts(loss_planes.soft_cross_entropy_grad, out, g, x, labels, *kept, weight, smoothing)
    operands = g.reshape(-1), rows(x), rows(labels), *flat, weight, smoothing
    expected = run_parts(loss.soft_cross_entropy_grad, row_out, *operands)
    np.testing.assert_allclose(found, planes(expected, shape), **close(dtype))
    found = run_parts(loss_planes.soft_cross_entropy_label_grad, out, g, x, *kept[:2], weight, smoothing)
    operands = g.reshape(-1), rows(x), *flat[:2], weight, smoothing
    expected = run_parts(loss.soft_cross_entropy_label_grad, row_out, *operands)
    np.testing.assert_allclose(found, planes(expected, shape), **close(dtype))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_nll_as_of_rows(dtype: Any, shape: Any) -> None:
    x, target, weight, g = case(shape, dtype)
    outputs = junk(target.shape, dtype), junk(target.shape, dtype)
    losses, weights, status = run_parts(loss_planes.nll, outputs, x, target, weight, IGNORED, status=True)
    assert status == -1
    flat = junk(target.size, dtype), junk(target.size, dtype)
    expected = run_parts(loss.nll, flat, rows(x), target.reshape(-1), weight, IGNORED, status=True)
    np.testing.assert_array_equal(losses.reshape(-1), expected[0])
    np.testing.assert_array_equal(weights.reshape(-1), expected[1])
    found = run_parts(loss_planes.nll_grad, junk(shape, dtype), g, target, weight, IGNORED)
    expected = run_parts(loss.nll_grad, junk(rows(x).shape, dtype), g.reshape(-1), target.reshape(-1), weight, IGNORED)
    np.testing.assert_array_equal(found, planes(expected, shape))


@pytest.mark.parametrize("bad", [-1, 5, 2**40])
def test_a_target_out_of_range_is_reported(bad: int) -> None:
    x, target, weight, _ = case((2, 5, 20), np.float64)
    target[0, 14] = target[1, 3] = bad
    *outputs, status = cross_entropy(x, target, weight, 0.1)
    assert status == 14
    places = junk(target.shape, x.dtype), junk(target.shape, x.dtype)
    *others, status = run_parts(loss_planes.nll, places, x, target, weight, IGNORED, status=True)
    assert status == 14
    for output in (*outputs, *others):
        assert not output[0, ..., 14].any()
        assert not output[1, ..., 3].any()


@pytest.mark.parametrize("dtype", FLOATS)
def test_large_and_infinite_logits(dtype: Any) -> None:
    inf, nan = np.inf, np.nan
    logits = np.array([[1e4, -1e4], [-1e4, 1e4], [-inf, 3], [-inf, -inf], [nan, 1]], dtype)
    x = np.ascontiguousarray(np.tile(logits, (5, 1)).T)[None]
    target = np.tile([0, 0, 1, 0, IGNORED], 5)[None]
    ones, g = np.ones(2, dtype), np.ones(target.shape, dtype)
    losses, _, *kept, _ = cross_entropy(x, target, ones, 0.0)
    np.testing.assert_array_equal(losses[0], np.tile(np.array([0, 2e4, 0, nan, 0], dtype), 5))
    out = run_parts(loss_planes.cross_entropy_grad, junk(x.shape, dtype), g, x, *kept, target, ones, IGNORED, 0.0)
    expected = np.array([[0, 0], [-1, 1], [0, 0], [nan, nan], [0, 0]], dtype)
    np.testing.assert_array_equal(out[0].T, np.tile(expected, (5, 1)))
