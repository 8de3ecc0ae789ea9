from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from run_parts import junk, run_parts

from autodiff_kernels import pairwise

ORDERS = [0.0, 1.0, 2.0, math.inf, 3.0, 0.5]
rng = np.random.default_rng(0)


def rows(*shape: int, dtype: Any) -> Any:
    return rng.standard_normal(shape).astype(dtype)


def norm(difference: Any, p: float) -> Any:
    return np.linalg.norm(difference, p, -1) if difference.shape[-1] else np.zeros(difference.shape[:-1])


def by_columns(x: Any) -> Any:
    return np.ascontiguousarray(np.swapaxes(x, 1, 2))


def close(dtype: Any) -> Any:
    return {"rtol": 5e-5, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-12}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("p", ORDERS)
@pytest.mark.parametrize(("N", "P", "R", "C"), [(2, 3, 5, 4), (1, 7, 150, 70), (2, 4, 9, 0), (0, 3, 2, 1),
                                                (1, 0, 2, 3)])
def test_distances(N: int, P: int, R: int, C: int, p: float, dtype: Any) -> None:
    a, b = rows(N, P, C, dtype=dtype), rows(N, R, C, dtype=dtype)
    row = np.full(pairwise.PANEL, np.nan)
    out = run_parts(pairwise.distances, junk((N, P * R), dtype), a, by_columns(b), p, 0, scratch=row)
    expected = norm(a[:, :, None].astype(np.float64) - b[:, None], p)
    np.testing.assert_allclose(out.reshape(N, P, R), expected, **close(dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("p", ORDERS)
@pytest.mark.parametrize("n", [1, 2, 5, 71, 130])
def test_distances_within_one_matrix(n: int, p: float, dtype: Any) -> None:
    a, (first, second) = rows(1, n, 3, dtype=dtype), np.triu_indices(n, 1)
    row = np.full(pairwise.PANEL, np.nan)
    out = run_parts(pairwise.distances, junk((1, first.size), dtype), a, by_columns(a), p, 1, scratch=row)[0]
    np.testing.assert_allclose(out, norm(a[0, first].astype(np.float64) - a[0, second], p), **close(dtype))
    square = run_parts(pairwise.square_of_pairs, junk((n, n), dtype), out)
    np.testing.assert_array_equal(square[first, second], out)
    np.testing.assert_array_equal(square, square.T)
    np.testing.assert_array_equal(np.diag(square), 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("p", ORDERS[1:])
@pytest.mark.parametrize(("P", "R", "C"), [(3, 5, 4), (4, 90, 37), (2, 3, 0), (2, 0, 3)])
def test_gradient(P: int, R: int, C: int, p: float, dtype: Any) -> None:
    a, b, g = rows(2, P, C, dtype=dtype), rows(2, R, C, dtype=dtype), rows(2, P, R, dtype=dtype)
    if R and C:
        b[:, 0] = a[:, 0]  # a distance of 0 has no slope
    difference = a[:, :, None].astype(np.float64) - b[:, None]
    lengths = norm(a[:, :, None] - b[:, None], p).astype(dtype)
    sizes, signs = np.abs(difference), np.sign(difference)
    with np.errstate(all="ignore"):
        if p == math.inf:
            slopes = signs * (sizes == sizes.max(-1, keepdims=True, initial=0))
        else:
            slopes = signs * (sizes / norm(difference, p)[..., None]) ** (p - 1)
    slopes[difference == 0] = 0
    out = run_parts(pairwise.distances_grad, junk(a.shape, dtype), g, lengths, a, b, p, scratch=np.zeros(R, dtype))
    expected = (g[..., None] * slopes).sum(2)
    tolerance = 2e-4 if dtype == np.float32 else 1e-11
    np.testing.assert_allclose(out, expected, rtol=tolerance, atol=tolerance)


def test_nan() -> None:
    a, b = np.array([[[np.nan, 1.0]]]), np.array([[[0.0, 0.0], [2.0, 1.0]]])
    for p in ORDERS[1:]:
        out = run_parts(pairwise.distances, junk((1, 2), a.dtype), a, by_columns(b), p, 0, scratch=np.zeros(64))
        assert np.isnan(out).all()


@pytest.mark.parametrize("p", ORDERS[1:])
def test_a_cotangent_that_is_no_number_shows(p: float) -> None:
    a, b = np.array([[[1.0, 2.0]]]), np.array([[[1.0, 5.0]]])
    g, lengths = np.full((1, 1, 1), np.nan), np.full((1, 1, 1), 3.0)
    out = run_parts(pairwise.distances_grad, junk(a.shape, a.dtype), g, lengths, a, b, p, scratch=np.zeros(1))
    assert np.isnan(out).all()
