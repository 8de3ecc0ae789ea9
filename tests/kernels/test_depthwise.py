"""Depthwise convolution and its gradients against loops over the taps in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autodiff_kernels import depthwise
from tests.kernels.run_parts import junk, run_parts
from tests.kernels.test_convolution import epilogues, flat, followed

FLOATS = [np.float32, np.float64]
# images, (D, H, W), channels, (KD, KH, KW), stride, padding, dilation
CASES = [
    (2, (1, 8, 8), 37, (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1)),
    (2, (1, 9, 9), 5, (1, 3, 3), (1, 2, 2), (0, 1, 1), (1, 1, 1)),
    (1, (1, 14, 13), 16, (1, 7, 7), (1, 1, 1), (0, 3, 3), (1, 1, 1)),
    (2, (1, 12, 11), 18, (1, 5, 8), (1, 1, 1), (0, 2, 0), (1, 2, 1)),
    (2, (1, 21, 19), 33, (1, 7, 5), (1, 3, 2), (0, 4, 5), (1, 2, 3)),
    (2, (1, 9, 9), 16, (1, 1, 2), (1, 3, 4), (0, 0, 0), (1, 1, 1)),
    (2, (1, 5, 4), 4, (1, 2, 2), (1, 1, 1), (0, 3, 4), (1, 1, 1)),
    (2, (1, 3, 3), 8, (1, 5, 5), (1, 1, 1), (0, 2, 2), (1, 1, 1)),
    (1, (1, 1, 500), 18, (1, 1, 4), (1, 1, 1), (0, 0, 2), (1, 1, 1)),
    (1, (1, 1, 900), 3, (1, 1, 4), (1, 1, 2), (0, 0, 2), (1, 1, 1)),
    (1, (1, 60, 70), 2, (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1)),
    (2, (5, 4, 5), 9, (3, 3, 3), (2, 1, 1), (1, 1, 1), (1, 1, 1)),
    (1, (7, 6, 8), 17, (2, 3, 4), (3, 2, 1), (0, 1, 2), (2, 3, 1)),
    (0, (1, 4, 4), 2, (1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1)),
]


class Problem:
    """One case with random numbers, and what the kernels and NumPy make of it."""

    def __init__(self, case: Any, dtype: Any) -> None:
        images, size, channels, self.kernel, self.stride, self.padding, self.dilation = case
        rng = np.random.default_rng(0)
        grid = tuple((size[d] + 2 * self.padding[d] - self.dilation[d] * (self.kernel[d] - 1) - 1) // self.stride[d] + 1
                     for d in range(3))
        self.x = rng.standard_normal((images, *size, channels)).astype(dtype)
        self.w = rng.standard_normal((channels, 1, *self.kernel)).astype(dtype)
        self.dy = rng.standard_normal((images, *grid, channels)).astype(dtype)
        self.bias = rng.standard_normal(channels).astype(dtype)
        self.none = np.zeros(0, dtype)

    def convolve(self, image: Any, shape: Any, bias: Any, transposed: int, residual: Any = None, scale: Any = None,
                 activation: int = 0) -> Any:
        tail = flat(residual, bias), flat(scale, bias), activation
        weights = np.ascontiguousarray(self.w.reshape(len(self.w), -1).T)
        results = []
        for parts in (1, 3):
            places = np.full(parts * depthwise.places_scratch(self.kernel), -1 << 60)
            out = junk(shape, image.dtype)
            for part in reversed(range(parts)):
                depthwise.convolve(out, places, image, weights, bias, *tail, self.kernel, self.stride,
                                   self.padding, self.dilation, transposed, part, parts)
            results.append(out)
        assert results[0].tobytes() == results[1].tobytes(), "the number of parts changes the result"
        return results[0]

    def weight_gradient(self, segments: int = 1) -> Any:
        """The gradients of weight and bias."""
        channels = len(self.w)
        sums = (junk((segments, self.w.size // channels, channels), self.w.dtype),
                junk((segments, 2, channels + depthwise.CHANNELS), np.float64))
        found = run_parts(depthwise.weight_gradient, sums, self.x, self.dy, self.kernel, self.stride, self.padding,
                          self.dilation)
        out = junk(self.w.shape, self.w.dtype), junk(channels, self.w.dtype)
        return run_parts(depthwise.add_segments, out, *found)

    def reference(self, shape: Any) -> Any:
        """The forward result without bias, the gradient for an image of `shape`, and the weight's."""
        x, w, dy = (a.astype(np.float64) for a in (self.x, self.w, self.dy))
        padded = np.pad(x, ((0, 0), *((p, p + 20) for p in self.padding), (0, 0)))
        wide = [n + 2 * p + 60 for n, p in zip(shape[1:4], self.padding, strict=True)]
        out, gradient, weight_gradient = np.zeros_like(dy), np.zeros((len(x), *wide, x.shape[4])), np.zeros_like(w)
        for tap in np.ndindex(*self.kernel):
            seen = (slice(None), *(slice(k * d, k * d + n * s, s) for k, d, n, s
                                   in zip(tap, self.dilation, dy.shape[1:4], self.stride, strict=True)))  # fmt: skip
            pixels = padded[seen][:, : dy.shape[1], : dy.shape[2], : dy.shape[3]]
            out += pixels * w[(slice(None), 0, *tap)]
            gradient[seen] += dy * w[(slice(None), 0, *tap)]
            weight_gradient[(slice(None), 0, *tap)] = (pixels * dy).sum((0, 1, 2, 3))
        place = (slice(None), *(slice(p, p + n) for p, n in zip(self.padding, shape[1:4], strict=True)))
        return out, gradient[place], weight_gradient


def close(got: Any, want: Any) -> None:
    tolerance = 2e-4 if got.dtype == np.float32 else 1e-12
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_forward_and_gradients(case: Any, dtype: Any) -> None:
    problem = Problem(case, dtype)
    want = problem.reference(problem.x.shape)
    for image, shape, result, transposed in ((problem.x, problem.dy.shape, want[0], 0),
                                             (problem.dy, problem.x.shape, want[1], 1)):
        plain = problem.convolve(image, shape, problem.none, transposed)
        close(plain, result)
        np.testing.assert_array_equal(plain + problem.bias, problem.convolve(image, shape, problem.bias, transposed))
        for tail in epilogues(np.random.default_rng(1).standard_normal(shape).astype(dtype)):
            np.testing.assert_array_equal(problem.convolve(image, shape, problem.bias, transposed, *tail),
                                          followed(plain + problem.bias, *tail))
    for segments in (1, max(len(problem.x), 1)):
        found, shifts = problem.weight_gradient(segments)
        close(found, want[2])
        close(shifts, problem.dy.astype(np.float64).sum((0, 1, 2, 3)))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_transposed_convolution_of_any_output_size(case: Any) -> None:
    problem = Problem(case, np.float64)
    images, depth, rows, columns, channels = problem.x.shape
    shape = (images, depth + 1, rows + 2, columns + 5, channels)
    close(problem.convolve(problem.dy, shape, problem.none, 1), problem.reference(shape)[1])


def test_a_place_does_not_change_the_result() -> None:
    """Outputs of a tile have the bits of those that are summed alone."""
    problem = Problem((1, (1, 5, 40), 20, (1, 3, 5), (1, 1, 1), (0, 0, 0), (1, 1, 1)), np.float32)
    whole = problem.convolve(problem.x, problem.dy.shape, problem.bias, 0)
    for column in range(whole.shape[3]):
        window = np.ascontiguousarray(problem.x[:, :, :, column : column + 5])
        alone = problem.convolve(window, (*whole.shape[:3], 1, 20), problem.bias, 0)
        np.testing.assert_array_equal(alone[:, :, :, 0], whole[:, :, :, column])
