from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from run_parts import junk

from autodiff_kernels import sort

DTYPES = [np.float32, np.float64, np.int64, np.int32, np.int8, np.uint8, np.bool_]
SHAPES = [(3, 30, 1), (2, 300, 1), (2, 41, 20), (1, 1, 3), (2, 0, 3), (0, 4, 2), (2, 4, 0)]  # A, K, B
rng = np.random.default_rng(0)


def numbers(shape: Any, dtype: Any) -> Any:
    """Return few different numbers; floats with NaN, infinities, zeros of both signs and subnormal ones."""
    if dtype == np.bool_:
        return rng.random(shape) < 0.5
    x = (rng.standard_normal(shape) * 20).astype(np.int64).astype(dtype)
    if x.dtype.kind == "f" and x.size:
        special = np.array([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-310, -1e-310, 1e-42, -1e-42, 0.5], dtype)
        x.reshape(-1)[:: 4] = rng.choice(special, x.reshape(-1)[:: 4].size)
    return x


def order_of(x: Any, descending: int = 0) -> Any:
    """Return NumPy's stable order; NaN is the largest."""
    if not descending:
        return np.argsort(x, axis=1, kind="stable")
    return x.shape[1] - 1 - np.flip(np.argsort(np.flip(x, 1), axis=1, kind="stable"), 1)


def run(kernel: Any, out: Any, x: Any, *numbers: int, places: bool = True) -> Any:
    """Return the output of a kernel, the same from one part and from three."""
    results = []
    for parts in (1, 3):
        shape = (parts, 2 if x.shape[2] == 1 else sort.COLUMNS + 1, x.shape[1])
        scratch = [np.full(shape, 7, np.uint64 if x.itemsize == 8 else np.uint32)]
        scratch += [np.full(shape, 7, np.int32)] if places else []
        copy = out.copy()
        for part in range(parts):
            kernel(copy, *scratch, x, *numbers, part, parts)
        results.append(copy)
    np.testing.assert_array_equal(*results)
    return results[0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("descending", [0, 1])
def test_orders(dtype: Any, shape: Any, descending: int) -> None:
    x = numbers(shape, dtype)
    order = order_of(x, descending)
    np.testing.assert_array_equal(run(sort.argsort, junk(shape, np.int64), x, descending), order)
    for count in {1, shape[1] // 2, min(shape[1], sort.SEVERAL), shape[1]} - {0}:
        if count <= shape[1]:
            out = junk((shape[0], count, shape[2]), np.int64)
            np.testing.assert_array_equal(run(sort.first_places, out, x, descending), order[:, :count])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_ranks(dtype: Any, shape: Any) -> None:
    x = numbers(shape, dtype)
    order = order_of(x)
    for rank in {0, shape[1] // 3, shape[1] - 1} - {-1}:
        if rank < shape[1]:
            out = junk(shape[::2], np.int64)
            np.testing.assert_array_equal(run(sort.place_at, out, x, rank, 0, places=False), order[:, rank])
            if x.dtype.kind == "f":
                broken = np.isnan(x).sum(1)
                ranks = np.where(broken > 0, shape[1] - broken, rank)
                want = np.take_along_axis(order, ranks[:, None], 1)[:, 0]
                np.testing.assert_array_equal(run(sort.place_at, out, x, rank, 1, places=False), want)


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_rows_of_one_number_and_in_order(dtype: Any) -> None:
    """All keys alike, rising and falling ones: no digit tells them apart, or the first bound is of no use."""
    rising = np.arange(5000).astype(dtype)
    for row in (np.zeros(5000, dtype), rising, rising[::-1] * dtype(1000), rising // 700):
        x = np.ascontiguousarray(row)[None, :, None]
        order = order_of(x)
        np.testing.assert_array_equal(run(sort.argsort, junk(x.shape, np.int64), x, 0), order)
        for count in (3, 100):
            out = junk((1, count, 1), np.int64)
            np.testing.assert_array_equal(run(sort.first_places, out, x, 0), order[:, :count])
            found = run(sort.place_at, junk((1, 1), np.int64), x, count, 0, places=False)
            np.testing.assert_array_equal(found, order[:, count])
