"""The gradient of images of few channels against loops over the taps in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autodiff_kernels import few_channels
from tests.kernels.run_parts import junk
from tests.kernels.test_convolution import epilogues, flat, followed

# images, (H, W), channels, (OH, OW), outputs, kernel, stride, padding, dilation
CASES = [
    (3, (14, 14), 6, (10, 10), 16, (5, 5), (1, 1), (0, 0), (1, 1)),
    (2, (9, 8), 3, (9, 8), 17, (3, 3), (1, 1), (1, 1), (1, 1)),
    (2, (8, 9), 1, (4, 5), 5, (4, 4), (2, 2), (1, 1), (1, 1)),
    (1, (11, 7), 2, (3, 4), 3, (2, 3), (3, 2), (0, 1), (1, 1)),
    (2, (10, 11), 7, (4, 3), 400, (3, 2), (2, 3), (2, 1), (2, 3)),
    (2, (1, 21), 5, (1, 20), 4, (1, 4), (1, 1), (0, 1), (1, 1)),
    (1, (6, 6), 19, (5, 5), 3, (2, 2), (1, 1), (0, 0), (1, 1)),
    (2, (7, 8), 1, (3, 3), 2, (1, 1), (3, 3), (0, 0), (1, 1)),
    (1, (5, 5), 2, (2, 2), 2, (2, 2), (1, 1), (3, 4), (1, 1)),
    (1, (70, 60), 4, (70, 60), 8, (5, 5), (1, 1), (2, 2), (1, 1)),
    (1, (131, 90), 3, (65, 44), 4, (7, 7), (2, 2), (2, 3), (1, 1)),
    (0, (4, 4), 2, (4, 4), 3, (3, 3), (1, 1), (1, 1), (1, 1)),
]


def gradient(case: Any, dy: Any, w: Any, bias: Any, residual: Any = None, scale: Any = None, activation: int = 0
             ) -> Any:
    images, size, channels, grid, _, kernel, stride, padding, dilation = case
    weights = np.full(w.size + few_channels.BEYOND, np.nan, w.dtype)
    weights[: w.size] = w.reshape(*w.shape[:2], -1).transpose(0, 2, 1).ravel()
    shape, results = (images, *size, channels), []
    for parts in (1, 3):
        count = few_channels.products_scratch(shape, grid[1], kernel, stride, dilation, dy.itemsize)
        products = np.full(parts * count, np.nan, dy.dtype)
        places = np.full(parts * few_channels.places_scratch(size[1]), -1 << 60)
        out = junk(shape, dy.dtype)
        for part in reversed(range(parts)):
            few_channels.data_gradient(out, products, places, dy, weights, bias, flat(residual, bias),
                                       flat(scale, bias), activation, kernel, stride, padding, dilation, part, parts)
        results.append(out)
    assert results[0].tobytes() == results[1].tobytes(), "the number of parts changes the result"
    return results[0]


def reference(case: Any, dy: Any, w: Any) -> Any:
    images, size, channels, grid, _, kernel, stride, padding, dilation = case
    out = np.zeros((images, *(n + 2 * p + 400 for n, p in zip(size, padding, strict=True)), channels))
    for tap in np.ndindex(*kernel):
        rows, columns = (slice(k * d, k * d + n * s, s) for k, d, n, s
                         in zip(tap, dilation, grid, stride, strict=True))  # fmt: skip
        out[:, rows, columns] += dy.astype(np.float64) @ w[(..., *tap)].astype(np.float64)
    return out[:, padding[0] : padding[0] + size[0], padding[1] : padding[1] + size[1]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradient(case: Any, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    images, _, channels, grid, outputs, kernel = case[:6]
    dy = rng.standard_normal((images, *grid, outputs)).astype(dtype)
    w = rng.standard_normal((outputs, channels, *kernel)).astype(dtype)
    bias = rng.standard_normal(channels).astype(dtype)
    tolerance = 2e-4 if dtype == np.float32 else 1e-12
    plain = gradient(case, dy, w, bias[:0])
    np.testing.assert_allclose(plain, reference(case, dy, w), rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(gradient(case, dy, w, bias), plain + bias)
    for tail in epilogues(rng.standard_normal(plain.shape).astype(dtype)):
        np.testing.assert_array_equal(gradient(case, dy, w, bias, *tail), followed(plain + bias, *tail))


def test_a_place_does_not_change_the_result() -> None:
    """A pixel has the same bits in an image that is cut into bands and in one that is not."""
    rng = np.random.default_rng(0)
    dy, w = rng.standard_normal((1, 100, 60, 8), np.float32), rng.standard_normal((8, 4, 5, 5), np.float32)
    size, grid, rest = (104, 64), (100, 60), (8, (5, 5), (1, 1), (0, 0), (1, 1))
    whole = gradient((1, size, 4, grid, *rest), dy, w, w[0, 0, 0, :0])
    for row in (0, 37, 90):
        window = np.ascontiguousarray(dy[:, row : row + 10])
        part = gradient((1, (14, 64), 4, (10, 60), *rest), window, w, w[0, 0, 0, :0])
        np.testing.assert_array_equal(part[:, 4:10], whole[:, row + 4 : row + 10])
