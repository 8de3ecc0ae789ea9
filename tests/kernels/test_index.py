from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from run_parts import junk, run_parts

from autodiff_kernels import index

DTYPES = [np.float32, np.float64, np.int64, np.bool_]
SHAPES = [(2, 5, 40, 7), (1, 3, 1, 9), (3, 4, 2, 0), (1, 1, 130, 4), (0, 2, 3, 2), (2, 3, 0, 2)]  # A, K, B, M
rng = np.random.default_rng(0)


def numbers(shape: Any, dtype: Any) -> Any:
    return (rng.standard_normal(shape) * 9).astype(dtype)


def added(out: Any, position: Any, g: Any) -> Any:
    """Add g along the middle axis at the positions, in order."""
    total = out.copy()
    for i in range(g.shape[1]):
        a, b = np.indices((g.shape[0], g.shape[2]))
        total[a, position[:, i], b] += g[:, i]
    return total


def placed(out: Any, position: Any, x: Any) -> Any:
    result = out.copy()
    for i in range(x.shape[1]):
        a, b = np.indices((x.shape[0], x.shape[2]))
        result[a, position[:, i], b] = x[:, i]
    return result


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_reads_and_sets(dtype: Any, shape: Any) -> None:
    A, K, B, M = shape
    x, source, out = numbers((A, K, B), dtype), numbers((A, M, B), dtype), junk((A, M, B), dtype)
    one, each = rng.integers(0, K, M), rng.integers(0, K, (A, M, B))
    spread = np.broadcast_to(one[None, :, None], each.shape)
    for kernel, setter, position, full in (
        (index.take, index.place, one, spread),
        (index.gather_along, index.scatter_along, each, each),
    ):
        result, status = run_parts(kernel, out, x, position, status=True)
        assert status == -1
        np.testing.assert_array_equal(result, np.take_along_axis(x, full, 1))
        result, status = run_parts(setter, x, source, position, status=True)
        assert status == -1
        np.testing.assert_array_equal(result, placed(x, full, source))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_of_what_is_set_goes_to_the_last(dtype: Any, shape: Any) -> None:
    A, K, B, M = shape
    g, each = numbers((A, K, B), dtype), rng.integers(0, K, (A, M, B))
    each[:, M // 2:M // 2 + 1] = -1  # nowhere
    out, rest = run_parts(index.scatter_along_grad, (junk((A, M, B), dtype), g), each)
    want, left = np.zeros_like(out), g.copy()
    for a, i, b in np.ndindex(A, M, B):
        if each[a, i, b] >= 0 and not (each[a, i + 1:, b] == each[a, i, b]).any():
            want[a, i, b], left[a, each[a, i, b], b] = g[a, each[a, i, b], b], 0
    np.testing.assert_array_equal(out, want)
    np.testing.assert_array_equal(rest, left)


@pytest.mark.parametrize("dtype", DTYPES[:3])
@pytest.mark.parametrize("shape", SHAPES)
def test_sums(dtype: Any, shape: Any) -> None:
    A, K, B, M = shape
    g, start = numbers((A, M, B), dtype), numbers((A, K, B), dtype)
    each = rng.integers(0, K, (A, M, B))
    result, status = run_parts(index.scatter_add_along, start, g, each, status=True)
    assert status == -1
    np.testing.assert_array_equal(result, added(start, each, g))
    one = rng.integers(0, K, M)
    spread = np.broadcast_to(one[None, :, None], each.shape)
    for padding in (-1, 0):
        result, status = run_parts(index.take_grad, start, g, one, padding, status=True)
        assert status == -1
        np.testing.assert_array_equal(result, added(start, spread, np.where(spread == padding, 0, g)))


@pytest.mark.parametrize("bad", [-1, 3, 2**40])
def test_a_position_out_of_range_is_reported(bad: int) -> None:
    x, source = numbers((2, 3, 20), np.float64), numbers((2, 4, 20), np.float64)
    one, each = rng.integers(0, 3, 4), rng.integers(0, 3, source.shape)
    one[[1, 3]] = bad
    each[0, 3, 18] = each[1, 2, [3, 19]] = bad
    first = np.ravel_multi_index((0, 3, 18), each.shape)
    for kernel, outputs, arguments, expected in (
        (index.take, junk(source.shape, x.dtype), (x, one), 1),
        (index.take_grad, x, (source, one, -1), 1),
        (index.place, x, (source, one), 1),
        (index.gather_along, junk(source.shape, x.dtype), (x, each), first),
        (index.scatter_add_along, x, (source, each), first),
        (index.scatter_along, x, (source, each), first),
    ):
        result, status = run_parts(kernel, outputs, *arguments, status=True)
        assert status == expected
        assert not np.isin(result, 77).any()
    result, _ = run_parts(index.take, junk(source.shape, x.dtype), x, one, status=True)
    assert not result[:, [1, 3]].any()
    result, _ = run_parts(index.gather_along, junk(source.shape, x.dtype), x, each, status=True)
    assert not result[each == bad].any()
    good = np.where(each == bad, 0, each)
    result, _ = run_parts(index.scatter_add_along, x, source, each, status=True)
    np.testing.assert_array_equal(result, added(x, good, np.where(each == bad, 0, source)))


@pytest.mark.parametrize("K", [1, 10, 3000])
def test_one_hot(K: int) -> None:
    places = rng.integers(0, K, 500)
    out, status = run_parts(index.one_hot, junk((500, K), np.int64), places, status=True)
    assert status == -1
    np.testing.assert_array_equal(out, places[:, None] == np.arange(K))
    places[[7, 400]] = -1, K
    out, status = run_parts(index.one_hot, junk((500, K), np.int64), places, status=True)
    assert status == 7
    np.testing.assert_array_equal(out, places[:, None] == np.arange(K))
