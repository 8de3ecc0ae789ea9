from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from run_parts import junk, run_parts

from autodiff_kernels import pool

FLOATS = [np.float32, np.float64]
# kernel, stride, padding, dilation
WINDOWS = [((2, 2), (2, 2), (0, 0), (1, 1)), ((3, 2), (1, 2), (1, 1), (2, 1)), ((3, 3), (2, 1), (1, 1), (1, 2))]
rng = np.random.default_rng(0)


def images(shape: Any, dtype: Any) -> Any:
    return rng.standard_normal(shape).astype(dtype)


def output_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def windows(shape: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, outputs: Any) -> Iterator[Any]:
    """Yield (p, q, rows, columns): the input rows and columns of each output, those in the padding left out."""
    for p in range(outputs[0]):
        for q in range(outputs[1]):
            rows, columns = (
                [s for k in range(kernel[i]) if 0 <= (s := o * stride[i] - padding[i] + k * dilation[i]) < shape[i + 1]]
                for i, o in enumerate((p, q))
            )
            yield p, q, rows, columns


def adaptive(shape: Any, outputs: Any) -> Iterator[Any]:
    for p in range(outputs[0]):
        for q in range(outputs[1]):
            rows, columns = (
                list(range(int(np.floor(o * s / n)), int(np.ceil((o + 1) * s / n))))
                for o, s, n in zip((p, q), shape[1:3], outputs)
            )
            yield p, q, rows, columns


def maxima(x: Any, outputs: Any, places: Any) -> Any:
    out = np.empty((x.shape[0], *outputs, x.shape[3]))
    indices = np.empty(out.shape, np.int64)
    for p, q, rows, columns in places:
        window = x[:, rows][:, :, columns].reshape(x.shape[0], len(rows) * len(columns), x.shape[3])
        flat = (np.array(rows)[:, None] * x.shape[2] + columns).ravel()
        out[:, p, q], indices[:, p, q] = window.max(1), flat[window.argmax(1)]
    return out, indices


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("shape", [(2, 7, 6, 3), (1, 5, 8, 20), (0, 5, 5, 2)])
def test_max_pool(dtype: Any, window: Any, shape: Any) -> None:
    x = images(shape, dtype)
    outputs = [output_size(shape[i + 1], *(pair[i] for pair in window)) for i in range(2)]
    expected, places = maxima(x, outputs, windows(shape, *window, outputs))
    targets = junk(expected.shape, dtype), junk(expected.shape, np.int64)
    out, indices = run_parts(pool.max_pool2d, targets, x, *(number for pair in window for number in pair))
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(indices, places)
    check_max_grad(x, out, indices)


def check_max_grad(x: Any, out: Any, indices: Any) -> None:
    g = images(out.shape, x.dtype)
    dx = np.zeros((x.shape[0], x.shape[1] * x.shape[2], x.shape[3]))
    n, _, _, c = np.indices(g.shape)
    np.add.at(dx, (n, indices, c), g)
    result = run_parts(pool.max_pool2d_grad, junk(x.shape, x.dtype), g, indices)
    np.testing.assert_allclose(result, dx.reshape(x.shape), 1e-5, 1e-6)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("outputs", [(1, 1), (3, 2), (7, 9)])
def test_adaptive_pools(dtype: Any, outputs: Any) -> None:
    x = images((2, 7, 6, 18), dtype)
    expected, places = maxima(x, outputs, adaptive(x.shape, outputs))
    targets = junk(expected.shape, dtype), junk(expected.shape, np.int64)
    out, indices = run_parts(pool.adaptive_max_pool2d, targets, x)
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(indices, places)
    check_max_grad(x, out, indices)
    g, dx = images(out.shape, dtype), np.zeros(x.shape)
    for p, q, rows, columns in adaptive(x.shape, outputs):
        expected[:, p, q] = x[:, rows][:, :, columns].mean((1, 2), dtype=np.float64)
        dx[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] += (
            g[:, p : p + 1, q : q + 1].astype(np.float64) / (len(rows) * len(columns))
        )
    np.testing.assert_allclose(run_parts(pool.adaptive_avg_pool2d, junk(out.shape, dtype), x), expected, 1e-4, 1e-6)
    np.testing.assert_allclose(run_parts(pool.adaptive_avg_pool2d_grad, junk(x.shape, dtype), g), dx, 1e-4, 1e-6)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(("count_include_pad", "divisor"), [(0, 0), (1, 0), (1, 5)])
def test_avg_pool(dtype: Any, window: Any, count_include_pad: int, divisor: int) -> None:
    kernel, stride, padding, _ = window
    x = images((2, 7, 6, 3), dtype)
    # One output more than fits, as with ceil_mode.
    outputs = [output_size(x.shape[i + 1], kernel[i], stride[i], padding[i], 1) + (stride[i] > 1) for i in range(2)]
    g, expected, dx = images((2, *outputs, 3), dtype), np.zeros((2, *outputs, 3)), np.zeros(x.shape)
    for p, q, rows, columns in windows(x.shape, kernel, stride, padding, (1, 1), outputs):
        size = 1
        for i, (o, inside) in enumerate(zip((p, q), (rows, columns))):
            start = o * stride[i] - padding[i]
            size *= min(start + kernel[i], x.shape[i + 1] + padding[i]) - start if count_include_pad else len(inside)
        if rows and columns:
            expected[:, p, q] = x[:, rows][:, :, columns].sum((1, 2), dtype=np.float64) / (divisor or size)
            dx[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] += (
                g[:, p : p + 1, q : q + 1].astype(np.float64) / (divisor or size)
            )
    numbers = (*kernel, *stride, *padding, count_include_pad, divisor)
    np.testing.assert_allclose(run_parts(pool.avg_pool2d, junk(g.shape, dtype), x, *numbers), expected, 1e-4, 1e-6)
    np.testing.assert_allclose(run_parts(pool.avg_pool2d_grad, junk(x.shape, dtype), g, *numbers), dx, 1e-4, 1e-6)


def test_maxima_of_nan_and_minus_infinity() -> None:
    x = np.full((1, 2, 4, 1), -np.inf)
    x[0, 1, 2], x[0, 0, 3] = 5, np.nan
    targets = junk((1, 1, 2, 1), x.dtype), junk((1, 1, 2, 1), np.int64)
    for out, indices in (
        run_parts(pool.max_pool2d, targets, x, 2, 2, 2, 2, 0, 0, 1, 1),
        run_parts(pool.adaptive_max_pool2d, targets, x),
    ):
        np.testing.assert_array_equal(out.ravel(), [-np.inf, np.nan])
        assert indices.ravel().tolist() == [0, 3]


@pytest.mark.parametrize("ceil", [False, True])
def test_like_pytorch(ceil: bool) -> None:
    torch = pytest.importorskip("torch")
    x = images((2, 7, 6, 3), np.float64)
    x[0, 2, 3:5], x[1, 0, 0] = np.nan, -np.inf
    planes = torch.from_numpy(x.transpose(0, 3, 1, 2))

    def last(planes: Any) -> Any:
        return planes.numpy().transpose(0, 2, 3, 1)

    expected, places = map(last, torch.nn.functional.max_pool2d(planes, 3, 2, 1, 1, ceil, return_indices=True))
    targets = junk(expected.shape, x.dtype), junk(expected.shape, np.int64)
    out, indices = run_parts(pool.max_pool2d, targets, x, 3, 3, 2, 2, 1, 1, 1, 1)
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(indices, places)
    for include in (0, 1):
        expected = last(torch.nn.functional.avg_pool2d(planes, 3, 2, 1, ceil, bool(include)))
        out = run_parts(pool.avg_pool2d, junk(expected.shape, x.dtype), x, 3, 3, 2, 2, 1, 1, include, 0)
        np.testing.assert_allclose(out, expected, 1e-13)
