from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from run_parts import junk, run_parts

from autodiff_kernels import softmax, softmax_planes

FLOATS = [np.float32, np.float64]
SHAPES = [(2, 5, 7), (3, 21, 70), (1, 3, 1100), (0, 3, 20), (2, 3, 0), (4, 1, 33), (2, 130, 65)]
rng = np.random.default_rng(0)


def close(dtype: Any) -> Any:
    return {"rtol": 2e-5, "atol": 2e-6} if dtype == np.float32 else {"rtol": 1e-13, "atol": 1e-14}


def tile(shape: Any, dtype: Any, tiles: int = 1) -> Any:
    return junk((tiles * shape[1], softmax_planes.tile_columns(tiles * shape[1])), dtype)


def log_sum(x: Any) -> Any:
    shift = x.max(1, keepdims=True)
    return shift + np.log(np.exp(x - shift).sum(1, keepdims=True))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients(dtype: Any, shape: Any) -> None:
    x, g = (rng.standard_normal(shape).astype(dtype) * 3 for _ in range(2))
    wide, out, one, two = x.astype(np.float64), junk(shape, dtype), tile(shape, dtype), tile(shape, dtype, 2)
    y = run_parts(softmax_planes.softmax, out, x, scratch=one)
    p = np.exp(wide - log_sum(wide))
    np.testing.assert_allclose(y, p, **close(dtype))
    found = run_parts(softmax_planes.softmax_grad, out, g, y, scratch=two)
    np.testing.assert_allclose(found, p * (g - (g * p).sum(1, keepdims=True)), **close(dtype))
    y = run_parts(softmax_planes.log_softmax, out, x, scratch=one)
    np.testing.assert_allclose(y, wide - log_sum(wide), **close(dtype))
    found = run_parts(softmax_planes.log_softmax_grad, out, g, y, scratch=one)
    rounding = {**close(dtype), "atol": 5 * close(dtype)["atol"]}  # of p times a sum of many
    np.testing.assert_allclose(found, g - p * g.sum(1, keepdims=True), **rounding)
    places = shape[0], shape[2]
    y = run_parts(softmax_planes.logsumexp, junk(places, dtype), x, scratch=one)
    np.testing.assert_allclose(y, log_sum(wide)[:, 0], **close(dtype))
    g = rng.standard_normal(places).astype(dtype)
    found = run_parts(softmax_planes.logsumexp_grad, out, g, x, y)
    np.testing.assert_allclose(found, g[:, None] * p, **close(dtype))


@pytest.mark.parametrize("dtype", FLOATS)
def test_large_and_infinite_entries_as_in_rows(dtype: Any) -> None:
    inf, nan = np.inf, np.nan
    few = [[1e4, 1e4 - 1], [-1e4, -1e4 - 1], [-inf, 3], [-inf, -inf], [inf, 0], [nan, 0], [3e38, -3e38], [0, -1e4]]
    rows = np.tile(np.array(few, dtype), (5, 1))
    planes = np.ascontiguousarray(rows.T)[None]
    scratch = tile(planes.shape, dtype)
    for name in ("softmax", "log_softmax"):
        expected = run_parts(getattr(softmax, name), junk(rows.shape, dtype), rows)
        found = run_parts(getattr(softmax_planes, name), junk(planes.shape, dtype), planes, scratch=scratch)
        np.testing.assert_allclose(found[0].T, expected, 1e-6)
    expected = run_parts(softmax.logsumexp, junk(40, dtype), rows)
    found = run_parts(softmax_planes.logsumexp, junk((1, 40), dtype), planes, scratch=scratch)
    np.testing.assert_allclose(found[0], expected, 1e-6)


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_result_does_not_depend_on_its_place(dtype: Any) -> None:
    x = (rng.standard_normal((1, 11, 203)) * 5).astype(dtype)
    whole = run_parts(softmax_planes.softmax, junk(x.shape, dtype), x, scratch=tile(x.shape, dtype))
    for start in (1, 8, 100):
        later = np.ascontiguousarray(x[:, :, start:])
        found = run_parts(softmax_planes.softmax, junk(later.shape, dtype), later, scratch=tile(later.shape, dtype))
        np.testing.assert_array_equal(found, whole[:, :, start:])
