"""The direction of L-BFGS: products among its history, two loops on numbers, and the sum of the history."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from run_parts import junk, run_parts

from autodiff_kernels import lbfgs

Array = np.ndarray[Any, np.dtype[Any]]
SIZES = [0, 1, 77, lbfgs.BLOCK, 3 * lbfgs.BLOCK + 130]


def history(n: int, size: int, dtype: Any) -> tuple[Array, Array]:
    """Return the vectors, rows of a matrix, and the table of their addresses."""
    vectors = np.random.default_rng(size).standard_normal((2 * n + 1, size)).astype(dtype)
    return vectors, np.array([vectors.ctypes.data + i * vectors.strides[0] for i in range(2 * n + 1)], np.int64)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", SIZES)
def test_products_of_the_history_with_the_gradient_and_the_newest_change(size: int, dtype: Any) -> None:
    vectors, table = history(3, size, dtype)
    blocks = -(-size // lbfgs.BLOCK)
    partial = run_parts(lbfgs.products, junk((blocks, 2, 6), np.float64), table, vectors[6])
    wide = vectors.astype(np.float64)
    np.testing.assert_allclose(partial.sum(0), [wide[:6] @ wide[6], wide[:6] @ wide[2]], rtol=1e-11, atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", SIZES)
def test_combination_is_rounded_once(size: int, dtype: Any) -> None:
    vectors, table = history(3, size, dtype)
    weights = np.array([1e6, -3.0, 2.0, -1e6, 0.5, 4.0, 1.5])
    vectors[3] = vectors[0]  # what is left of two large terms needs float64
    out = run_parts(lbfgs.combination, junk(size, dtype), table, weights, scratch=np.empty(lbfgs.BLOCK))
    expected = weights @ vectors.astype(np.float64)
    np.testing.assert_allclose(out, expected.astype(dtype), rtol=1e-6 if dtype == np.float32 else 1e-12, atol=1e-8)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_two_loops_on_numbers_give_the_weights_of_the_direction(n: int) -> None:
    rng = np.random.default_rng(n)
    y = rng.standard_normal((n, 9))
    s = y + 0.3 * rng.standard_normal((n, 9))
    g = rng.standard_normal(9)
    products = np.triu([s @ y.T, y @ y.T])
    sums = np.array([np.vstack([y, s]) @ g, np.vstack([y, s]) @ y[-1]])
    weights, found = run_parts(lbfgs.two_loops, (junk(2 * n + 1, np.float64), junk((2, n, n), np.float64)),
                               np.ascontiguousarray(products[:, :-1, :-1]), sums)  # fmt: skip
    np.testing.assert_allclose(found, products, rtol=1e-12)
    # H, from the definition: Nocedal & Wright, equation 7.16.
    inverse = np.eye(9) * (s[-1] @ y[-1]) / (y[-1] @ y[-1])
    for one, two in zip(s, y, strict=True):
        turn = np.eye(9) - np.outer(two, one) / (one @ two)
        inverse = turn.T @ inverse @ turn + np.outer(one, one) / (one @ two)
    np.testing.assert_allclose(weights @ np.vstack([y, s, g]), -inverse @ g, rtol=1e-9, atol=1e-11)
