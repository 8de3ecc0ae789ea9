from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from run_parts import junk, run_parts

from autodiff_kernels import reduce

SHAPES = [(2, 3, 2, 5), (1, 7, 600, 1), (3, 1, 1, 40), (2, 300, 3, 1), (1, 1, 1, 1), (2, 3, 0, 1), (0, 2, 2, 2)]
SHAPES += [(3, 1, 3, 83)]
FLOATS = [np.float32, np.float64]
rng = np.random.default_rng(0)


def accumulator(dtype: Any) -> Any:
    return np.float64 if np.issubdtype(dtype, np.floating) else np.int64


def scratch(dtype: Any) -> Any:
    return junk((2, reduce.TILE), accumulator(dtype))


def reduced(kernel: Any, out: Any, x: Any, scratch: Any = None) -> Any:
    """Run a kernel on flat arrays, and return its result in the shape of `out`."""

    def flat(*arguments: Any) -> None:
        *arrays, part, parts = arguments
        kernel(*[array.reshape(-1) for array in arrays], *x.shape, part, parts)

    return run_parts(flat, out, x, scratch=scratch)


def numbers(shape: Any, dtype: Any = np.float64) -> Any:
    if dtype == np.bool_:
        return rng.random(shape) < 0.7
    return (rng.standard_normal(shape) * 3).astype(dtype)


def total(x: Any) -> Any:
    out = junk((x.shape[0], x.shape[2]), x.dtype if x.dtype.kind == "f" else np.int64)
    return reduced(reduce.sum_axes, out, x, scratch=scratch(x.dtype))


@pytest.mark.parametrize("dtype", [*FLOATS, np.bool_])
@pytest.mark.parametrize("shape", [*SHAPES, (2, 0, 3, 1), (2, 3, 2, 0)])
def test_sum_and_prod(dtype: Any, shape: Any) -> None:
    x = numbers(shape, dtype)
    wide = x.astype(accumulator(dtype))
    out = total(x)
    eps = np.finfo(dtype).eps if out.dtype.kind == "f" else 0
    assert (np.abs(out - wide.sum((1, 3))) <= 2 * eps * np.abs(wide).sum((1, 3))).all()
    if x.dtype.kind == "f":
        x = 1 + x / 50
    out = reduced(reduce.prod_axes, junk(out.shape, out.dtype), x)
    wide = x.astype(accumulator(dtype))
    np.testing.assert_allclose(out, wide.prod((1, 3)), rtol=1e-4 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("dtype", [*FLOATS, np.int64])
@pytest.mark.parametrize("shape", [(1, 301, 450, 1), (2, 67, 2053, 1), (3, 1001, 5, 1)])
def test_columns_of_many_rows(dtype: Any, shape: Any) -> None:
    x = numbers(shape, dtype)
    eps = np.finfo(dtype).eps if x.dtype.kind == "f" else 0
    assert (np.abs(total(x) - x.sum((1, 3))) <= 2 * eps * np.abs(x).sum((1, 3))).all()
    out = junk((shape[0], shape[2]), dtype)
    np.testing.assert_array_equal(reduced(reduce.max_axes, out, x), x.max((1, 3)))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [*SHAPES, (1, 67, 2053, 1)])
def test_sums_of_squares_have_the_bits_of_squares_that_are_summed(dtype: Any, shape: Any) -> None:
    x = numbers(shape, dtype)
    out = junk((shape[0], shape[2]), dtype)
    got = reduced(reduce.square_sum_axes, out, x, scratch=scratch(x.dtype))
    np.testing.assert_array_equal(got, total(x * x))


@pytest.mark.parametrize("shape", [(1, 1, 1, 100_003), (1, 100_003, 1, 1), (1, 1003, 1, 97)])
def test_long_sums_have_the_error_of_a_short_run(shape: Any) -> None:
    x = rng.random(shape)
    exact = math.fsum(x.ravel())
    assert abs(total(x)[0, 0] - exact) <= 8 * np.spacing(exact)
    assert abs(total(x.astype(np.float32))[0, 0] - np.float32(exact)) <= np.spacing(np.float32(exact))


DISTRIBUTIONS: dict[str, Any] = {
    "positive": lambda draw, shape: draw.random(shape),
    "about zero": lambda draw, shape: draw.standard_normal(shape),
    "of many magnitudes": lambda draw, shape: draw.standard_normal(shape) * 10.0 ** draw.integers(-9, 9, shape),
    "cancelling": lambda draw, shape: 1e4 * (-1.0) ** np.arange(np.prod(shape)).reshape(shape) + draw.random(shape),
}


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 60, reason="needs a long double that is longer than a double")
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1000), (1, 1, 1, 10**7), (1, 10**6, 1, 3), (1, 1000, 1, 1003)])
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_sums_are_within_2_ulp_of_the_sum_of_magnitudes(distribution: str, shape: Any, dtype: Any) -> None:
    x = DISTRIBUTIONS[distribution](np.random.default_rng(3), shape).astype(dtype)
    wide = x.astype(np.longdouble)
    unit = np.spacing(np.abs(wide).sum((1, 3)).astype(dtype))
    assert (np.abs(total(x) - wide.sum((1, 3))) <= 2 * unit).all()


@pytest.mark.parametrize("shape", [(1, 300, 1, 1), (1, 1, 1, 300), (1, 300, 1, 2)])
@pytest.mark.parametrize("values", [[np.inf], [np.inf, -np.inf], [np.nan], [1e308, 1e308]])
def test_sums_that_are_not_finite(shape: Any, values: Any) -> None:
    x = np.zeros(shape)
    x.ravel()[7 : 7 + 140 * len(values) : 140] = values
    with np.errstate(over="ignore", invalid="ignore"):
        np.testing.assert_equal(total(x), x.sum((1, 3)))


@pytest.mark.parametrize("dtype", [*FLOATS, np.int64])
@pytest.mark.parametrize("n", [0, 1, 4096, 20_011])
def test_full_sum(dtype: Any, n: int) -> None:
    x, y = numbers(n, dtype), numbers(n, dtype)
    partial = junk(-(-n // reduce.BLOCK), accumulator(dtype))
    out = junk(1, accumulator(dtype))

    def combined(partial: Any) -> Any:
        return run_parts(reduce.sum_combine, out, partial)[0]

    bound = 2 * np.finfo(dtype).eps * np.abs(x).sum() if dtype != np.int64 else 0
    assert abs(combined(run_parts(reduce.sum_partial, partial, x)) - x.sum(dtype=out.dtype)) <= bound
    if dtype != np.int64:
        sums = run_parts(reduce.sum_partial, partial, x * x)
        np.testing.assert_array_equal(run_parts(reduce.square_sum_partial, partial, x), sums)
        squares = (x.astype(np.float64) - y) ** 2
        result = combined(run_parts(reduce.squared_error_partial, partial, x, y))
        assert result == pytest.approx(squares.sum(), rel=1e-13)
        products = x.astype(np.float64) * y
        result = combined(run_parts(reduce.dot_partial, partial, x, y))
        assert result == pytest.approx(products.sum(), abs=np.finfo(dtype).eps * np.abs(products).sum())


@pytest.mark.parametrize("dtype", [*FLOATS, np.int64])
@pytest.mark.parametrize("shape", SHAPES)
def test_extremes_any_and_all(dtype: Any, shape: Any) -> None:
    x = numbers(shape, dtype)
    x[x == 1] = 0
    out = junk((shape[0], shape[2]), dtype)
    for kernel, function in ((reduce.max_axes, np.max), (reduce.min_axes, np.min)):
        np.testing.assert_array_equal(reduced(kernel, out, x), function(x, (1, 3)))
        if x.dtype.kind == "f" and x.size > 1:
            broken = x.copy()
            broken.ravel()[[0, x.size // 2, -1]] = np.nan
            np.testing.assert_array_equal(reduced(kernel, out, broken), function(broken, (1, 3)))
    for kernel, function in ((reduce.any_axes, np.any), (reduce.all_axes, np.all)):
        np.testing.assert_array_equal(reduced(kernel, junk(out.shape, np.bool_), x), function(x, (1, 3)))


@pytest.mark.parametrize("dtype", [*FLOATS, np.int64, np.bool_])
@pytest.mark.parametrize("n", [1, 4096, 20_011])
def test_extremes_of_blocks(dtype: Any, n: int) -> None:
    x = numbers(n, dtype)
    if x.dtype.kind == "f" and n > 1:
        x[n // 2] = np.nan
    starts = range(0, n, reduce.BLOCK)
    partial = junk(len(starts), dtype)
    for kernel, function in ((reduce.max_partial, np.maximum), (reduce.min_partial, np.minimum)):
        np.testing.assert_array_equal(run_parts(kernel, partial, x), function.reduceat(x, starts))


@pytest.mark.parametrize("dtype", FLOATS)
def test_an_extreme_is_nan_wherever_one_stands_and_keeps_its_sign(dtype: Any) -> None:
    x = numbers((83, 83), dtype)
    np.fill_diagonal(x, np.nan)
    for kernel in (reduce.max_axes, reduce.min_axes):
        assert np.isnan(reduced(kernel, junk((83, 1), dtype), x.reshape(83, 1, 1, 83))).all()
        zeros = np.full((2, 1, 1, 83), -0.0, dtype)
        assert np.signbit(reduced(kernel, junk((2, 1), dtype), zeros)).all()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [2, 16, 33, 64, 300])
def test_rows_summed_by_fours_have_the_bits_of_rows_alone(dtype: Any, n: int) -> None:
    x = numbers((11, 1, 1, n), dtype)
    np.testing.assert_array_equal(total(x)[:, 0], [total(row[None])[0, 0] for row in x])


@pytest.mark.parametrize("shape", [(2, 0, 3, 1), (2, 3, 2, 0)])
def test_any_and_all_of_nothing(shape: Any) -> None:
    x, out = np.zeros(shape), junk((2, shape[2]), np.bool_)
    assert not reduced(reduce.any_axes, out, x).any()
    assert reduced(reduce.all_axes, ~out, x).all()


@pytest.mark.parametrize("dtype", [*FLOATS, np.int64])
@pytest.mark.parametrize("shape", [(3, 50, 1), (2, 9, 600), (1, 1, 1), (4, 3, 0)])
def test_positions_of_extremes(dtype: Any, shape: Any) -> None:
    x = numbers(shape, dtype).round()  # many ties
    outputs = junk((shape[0], shape[2]), np.int64), junk((shape[0], shape[2]), dtype)
    for kernel, name in ((reduce.argmax_axes, "argmax"), (reduce.argmin_axes, "argmin")):
        for broken in (False, True):
            if broken and x.dtype.kind == "f" and x.size > 1:
                x.ravel()[[0, x.size // 2, x.size // 2 + shape[2], -1]] = np.nan
            indices, values = run_parts(kernel, outputs, x)
            np.testing.assert_array_equal(indices, getattr(np, name)(x, axis=1))
            np.testing.assert_array_equal(values, np.take_along_axis(x, indices[:, None], 1)[:, 0])


@pytest.mark.parametrize("dtype", [*FLOATS, np.int64])
@pytest.mark.parametrize("shape", [(3, 50, 1), (14, 7, 1), (2, 9, 600), (2, 0, 3), (1, 1, 1)])
def test_running_sums_and_products(dtype: Any, shape: Any) -> None:
    x = numbers(shape, dtype)
    wide = x.astype(accumulator(dtype))
    out = junk(shape, dtype if x.dtype.kind == "f" else np.int64)
    close = {"rtol": 1e-5 if dtype == np.float32 else 1e-12, "atol": 1e-5 if dtype == np.float32 else 1e-12}
    for kernel, function in ((reduce.cumsum, np.cumsum), (reduce.cumprod, np.cumprod)):
        forward = run_parts(kernel, out, x, 0, scratch=scratch(dtype))
        np.testing.assert_allclose(forward, function(wide, 1), **close)
        backward = run_parts(kernel, out, x, 1, scratch=scratch(dtype))
        np.testing.assert_allclose(backward, function(wide[:, ::-1], 1)[:, ::-1], **close)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_gradient_of_running_product(dtype: Any, zeros: int) -> None:
    x, g = numbers((2, 6, 3), dtype), numbers((2, 6, 3), dtype)
    x[:, [1, 4][:zeros]] = 0
    expected = np.zeros((2, 6, 3))
    for k in range(6):
        for j in range(k, 6):
            others = [i for i in range(j + 1) if i != k]
            expected[:, k] += g[:, j] * x[:, others].astype(np.float64).prod(1)
    out = run_parts(reduce.cumprod_grad, junk(x.shape, dtype), g, x)
    np.testing.assert_allclose(out, expected, rtol=1e-5 if dtype == np.float32 else 1e-12, atol=1e-5)
