"""Convolution by minimal filtering against loops over the taps in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autodiff_kernels import convolution, frames, winograd
from tests.kernels.test_convolution import epilogues, flat, followed

# images, height, width, channels, outputs, zeros above, zeros at the left
CASES = [
    (1, 1, 1, 1, 1, 1, 1),
    (2, 6, 8, 3, 5, 1, 1),
    (3, 7, 5, 9, 33, 0, 2),
    (1, 12, 13, 35, 17, 2, 0),
    (5, 30, 31, 4, 6, 1, 1),  # several chunks and several blocks of tiles
    (2, 4, 4, 300, 8, 1, 1),  # more channels than a stretch
    (1, 3, 5, 260, 300, 1, 1),  # too large for several chunks, and for one group of channels or outputs
]


class Problem:
    """One case with random numbers, and what the kernels and NumPy make of it."""

    def __init__(self, case: Any, dtype: Any) -> None:
        images, self.height, self.width, channels, outputs, *self.place = case
        rng = np.random.default_rng(0)
        size = self.height + 2 - 2 * self.place[0], self.width + 2 - 2 * self.place[1]
        self.x = rng.standard_normal((images, *size, channels)).astype(dtype)
        self.w = (rng.standard_normal((outputs, channels, 3, 3)) / np.sqrt(9 * channels)).astype(dtype)
        self.dy = rng.standard_normal((images, self.height, self.width, outputs)).astype(dtype)
        self.bias = rng.standard_normal(outputs).astype(dtype)

    def convolve(self, image: Any, shape: Any, place: Any, turned: int, bias: Any, parts: int, residual: Any = None,
                 scale: Any = None, activation: int = 0) -> Any:
        tail = flat(residual, bias), flat(scale, bias), activation
        out, channels = np.full(shape, np.nan, image.dtype), image.shape[3]
        kernels = np.full(winograd.kernels_scratch(channels, shape[3], out.itemsize), np.nan, out.dtype)
        for part in range(parts):
            winograd.transform_kernels(kernels, self.w, turned, part, parts)
        scratch = np.full(parts * winograd.forward_scratch(channels, shape[3], out.itemsize), np.nan, out.dtype)
        for part in reversed(range(parts)):
            winograd.forward(out, scratch, image, kernels, bias, *tail, *place, part, parts)
        return out

    def forward(self, bias: Any, parts: int, *tail: Any) -> Any:
        return self.convolve(self.x, self.dy.shape, self.place, 0, bias, parts, *tail)

    def data_gradient(self, parts: int) -> Any:
        none = np.zeros(0, self.x.dtype)
        return self.convolve(self.dy, self.x.shape, [2 - p for p in self.place], 1, none, parts)

    def kernel_gradient(self, parts: int) -> Any:
        out, (outputs, channels) = np.full(self.w.shape, np.nan, self.w.dtype), self.w.shape[:2]
        tiles = self.x.shape[0] * ((self.height + 1) // 2) * ((self.width + 1) // 2)
        sums = np.full(winograd.gradient_sums(tiles, channels, outputs), np.nan, out.dtype)
        scratch = np.full(parts * winograd.gradient_scratch(channels, outputs, out.itemsize), np.nan, out.dtype)
        shifts = np.full(outputs, np.nan, out.dtype)
        totals = np.full(winograd.gradient_totals(tiles, channels, outputs, out.itemsize), np.nan)
        for part in reversed(range(parts)):
            winograd.kernel_gradient(sums, totals, scratch, self.x, self.dy, *self.place, part, parts)
        for part in range(parts):
            winograd.combine(out, shifts, sums, totals, part, parts)
        return out, shifts

    def reference(self) -> Any:
        """The forward result without bias, the data gradient and the kernel gradient."""
        x, w, dy = (a.astype(np.float64) for a in (self.x, self.w, self.dy))
        padded = np.pad(x, ((0, 0), *((p, p) for p in self.place), (0, 0)))
        out, gradient, kernel_gradient = np.zeros(dy.shape), np.zeros(padded.shape), np.zeros(w.shape)
        for i, j in np.ndindex(3, 3):
            seen = (slice(None), slice(i, i + self.height), slice(j, j + self.width))
            out += padded[seen] @ w[:, :, i, j].T
            gradient[seen] += dy @ w[:, :, i, j]
            kernel_gradient[:, :, i, j] = np.einsum("nijo,nijc->oc", dy, padded[seen])
        inside = (slice(None), *(slice(p, p + n) for p, n in zip(self.place, x.shape[1:3], strict=True)))
        return out, gradient[inside], kernel_gradient


def close(got: Any, want: Any) -> None:
    tolerance = 2e-6 if got.dtype == np.float32 else 4e-15
    assert np.max(np.abs(got - want)) <= tolerance * max(np.max(np.abs(want)), 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_forward_and_gradients(case: Any, dtype: Any) -> None:
    problem = Problem(case, dtype)
    out, gradient, kernel_gradient = problem.reference()
    plain = problem.forward(np.zeros(0, dtype), 1)
    close(plain, out)
    np.testing.assert_array_equal(plain, problem.forward(np.zeros(0, dtype), 3))
    np.testing.assert_array_equal(plain + problem.bias, problem.forward(problem.bias, 1))
    for tail in epilogues(np.random.default_rng(1).standard_normal(plain.shape).astype(dtype)):
        np.testing.assert_array_equal(problem.forward(problem.bias, 3, *tail), followed(plain + problem.bias, *tail))
    close(problem.data_gradient(1), gradient)
    np.testing.assert_array_equal(problem.data_gradient(1), problem.data_gradient(3))
    found, shifts = problem.kernel_gradient(1)
    close(found, kernel_gradient)
    close(shifts, problem.dy.astype(np.float64).sum((0, 1, 2)))
    for one, three in zip((found, shifts), problem.kernel_gradient(3), strict=True):
        np.testing.assert_array_equal(one, three)


@pytest.mark.parametrize("channels", [32, 64, 256])
def test_the_error_is_at_most_four_times_that_of_the_direct_sum(channels: int) -> None:
    problem = Problem((2, 8, 8, channels, 32, 1, 1), np.float32)
    out, gradient, kernel_gradient = problem.reference()
    direct, none = direct_results(problem), np.zeros(0, np.float32)
    found = problem.forward(none, 1), problem.data_gradient(1), problem.kernel_gradient(1)[0]
    for got, other, want in zip(found, direct, (out, gradient, kernel_gradient), strict=True):
        assert np.sqrt(np.mean((got - want) ** 2)) <= 4 * np.sqrt(np.mean((other - want) ** 2))


def direct_results(problem: Problem) -> Any:
    """Return what the kernels of `convolution.py` compute."""
    one, kernel, none = (1, 1, 1), (1, 3, 3), np.zeros(0, np.float32)
    x, w, dy = problem.x[:, None], problem.w[:, :, None], problem.dy[:, None]
    frame, cotangent = (np.pad(image, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0))) for image in (x, dy))
    offsets = np.zeros(frames.offsets_scratch(w.shape, 1, 1), np.int64)
    packed, out, dx, dw = np.empty(w.size, np.float32), np.empty_like(dy), np.empty_like(x), np.empty_like(w)
    convolution.pack_weights(packed, w, one, one, 1, 0, 0, 1)
    convolution.forward(out, offsets, frame, packed, none, none, none, 0, kernel, one, one, 1, 0, 1)
    convolution.pack_weights(packed, w, one, one, 1, 1, 0, 1)
    convolution.data_gradient(dx, offsets, cotangent, packed, none, none, none, 0, (0, 1, 1), kernel, one, (0, 1, 1),
                              one, 1, 0, 1)
    sums, totals = np.empty((1, w.size), np.float32), np.empty((1, 2, 0))
    convolution.weight_gradient(sums, totals, offsets, np.empty((0,) * 6, np.float32), frame, dy, kernel, (0, 0, 0),
                                one, one, 1, 0, 1)
    convolution.add_segments(dw, none, sums, totals, 1, 0, 1)
    return out[:, 0], dx[:, 0], dw[:, :, 0]


@pytest.mark.parametrize("channels", [5, 260])  # with four rows of M at a time, and with one
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_bias_that_is_not_finite_is_added_to_each_sum(channels: int) -> None:
    problem = Problem((1, 5, 6, channels, 4 if channels == 5 else 300, 1, 1), np.float32)
    problem.bias[:3] = np.inf, -np.inf, np.nan
    plain = problem.forward(np.zeros(0, np.float32), 1)
    np.testing.assert_array_equal(problem.forward(problem.bias, 1), plain + problem.bias)
