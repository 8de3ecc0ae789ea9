"""Convolution and its gradients against loops over the taps in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autodiff import tensor
from autodiff.nn import functional
from autodiff_kernels import convolution, epilogue, frames

FLOATS = [np.float32, np.float64]
# images, (H, W) or (D, H, W), channels, outputs, (KH, KW) or (KD, KH, KW), stride, padding, dilation, groups
CASES = [
    (2, (5, 6), 3, 4, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (1, (1, 1), 1, 1, (1, 1), (1, 1), (0, 0), (1, 1), 1),
    (3, (7, 5), 2, 33, (1, 1), (1, 1), (0, 0), (1, 1), 1),
    (2, (9, 8), 5, 17, (3, 2), (2, 3), (1, 0), (1, 1), 1),
    (2, (11, 12), 4, 6, (3, 3), (2, 2), (2, 3), (2, 3), 1),
    (1, (10, 9), 3, 2, (2, 3), (3, 2), (0, 2), (3, 4), 1),
    (2, (8, 8), 6, 9, (3, 3), (1, 1), (1, 1), (1, 1), 3),
    (2, (8, 7), 6, 70, (5, 3), (2, 1), (2, 1), (1, 2), 2),
    (2, (8, 8), 37, 37, (3, 3), (1, 1), (1, 1), (1, 1), 37),
    (2, (9, 9), 5, 5, (3, 3), (2, 2), (1, 1), (1, 1), 5),
    (2, (9, 9), 3, 6, (3, 3), (2, 1), (1, 1), (2, 1), 3),
    (1, (12, 12), 40, 10, (3, 3), (1, 1), (0, 0), (1, 1), 1),
    (2, (6, 6), 2, 3, (1, 1), (3, 3), (0, 0), (1, 1), 1),
    (2, (4, 4), 2, 3, (2, 2), (1, 1), (3, 4), (1, 1), 1),
    (2, (17, 16), 8, 8, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (0, (4, 4), 2, 3, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (2, (4, 5, 6), 3, 4, (3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1), 1),
    (2, (7, 5, 6), 5, 18, (3, 2, 1), (2, 1, 3), (1, 0, 0), (1, 2, 1), 1),
    (1, (9, 8, 7), 4, 6, (2, 3, 2), (3, 2, 1), (0, 1, 2), (2, 3, 1), 2),
    (2, (5, 4, 5), 9, 9, (3, 3, 3), (2, 1, 1), (1, 1, 1), (1, 1, 1), 9),
    (3, (4, 3, 3), 7, 33, (1, 1, 1), (1, 1, 1), (0, 0, 0), (1, 1, 1), 1),
]


def flat(array: Any, like: Any) -> Any:
    """An operand of an epilogue as kernels take it."""
    return np.zeros(0, like.dtype) if array is None else array.reshape(-1)


class Problem:
    """One case with random numbers, and what the kernels and NumPy make of it."""

    def __init__(self, case: Any, dtype: Any) -> None:
        images, size, channels, outputs, kernel, stride, padding, dilation, self.groups = case
        images_only = len(size) == 2
        size, self.kernel, self.stride, self.dilation = (
            (1, *given) if images_only else given for given in (size, kernel, stride, dilation)
        )
        self.padding = (0, *padding) if images_only else padding
        rng = np.random.default_rng(0)
        self.out_shape = tuple((size[d] + 2 * self.padding[d] - self.dilation[d] * (self.kernel[d] - 1) - 1)
                               // self.stride[d] + 1 for d in range(3))
        self.x = rng.standard_normal((images, *size, channels)).astype(dtype)
        self.w = rng.standard_normal((outputs, channels // self.groups, *self.kernel)).astype(dtype)
        self.dy = rng.standard_normal((images, *self.out_shape, outputs)).astype(dtype)
        self.bias, self.image_bias = (rng.standard_normal(n).astype(dtype) for n in (outputs, channels))

    def framed(self, image: Any, frame: Any, parts: int) -> Any:
        begin, size = frame
        if frame == ((0, 0, 0), image.shape[1:4]):
            return image
        out = np.full((image.shape[0], *size, image.shape[4]), np.nan, image.dtype)
        for part in range(parts):
            convolution.pad(out, image, begin, part, parts)
        return out

    def packed(self, transposed: int, parts: int) -> Any:
        out = np.full(self.w.size, np.nan, self.w.dtype)
        for part in range(parts):
            convolution.pack_weights(out, self.w, self.stride, self.dilation, self.groups, transposed, part, parts)
        return out

    def offsets(self, parts: int) -> Any:
        return np.full(frames.offsets_scratch(self.w.shape, self.groups, parts), -1 << 60)

    def forward(self, parts: int, bias: Any, residual: Any = None, scale: Any = None, activation: int = 0) -> Any:
        tail = flat(residual, bias), flat(scale, bias), activation
        out = np.full(self.dy.shape, np.nan, self.x.dtype)
        frame = frames.forward_frame(self.x.shape, self.w.shape, out.shape, self.stride, self.padding,
                                          self.dilation)
        image, packed, offsets = self.framed(self.x, frame, parts), self.packed(0, parts), self.offsets(parts)
        for part in reversed(range(parts)):
            convolution.forward(out, offsets, image, packed, bias, *tail, self.kernel, self.stride, self.dilation,
                                self.groups, part, parts)
        return out

    def data_gradient(self, parts: int, bias: Any, residual: Any = None, scale: Any = None, activation: int = 0,
                      shape: Any = None) -> Any:
        tail = flat(residual, bias), flat(scale, bias), activation
        out = np.full(self.x.shape if shape is None else shape, np.nan, self.x.dtype)
        frame = frames.data_gradient_frame(self.dy.shape, self.w.shape, out.shape, self.stride, self.padding,
                                                self.dilation)
        image, packed, offsets = self.framed(self.dy, frame, parts), self.packed(1, parts), self.offsets(parts)
        for part in reversed(range(parts)):
            convolution.data_gradient(out, offsets, image, packed, bias, *tail, frame[0], self.kernel, self.stride,
                                      self.padding, self.dilation, self.groups, part, parts)
        return out

    def by_images(self, name: str, bias: Any, residual: Any = None, scale: Any = None, activation: int = 0) -> Any:
        """What a kernel that pads two images at a time makes of parts that are more than there are such pairs."""
        forward, parts = name == "forward", 3
        image, given = (self.x, self.dy.shape) if forward else (self.dy, self.x.shape)
        padding = () if forward else (self.padding,)
        tail = flat(residual, bias), flat(scale, bias), activation
        sizes = frames.forward_frame if forward else frames.data_gradient_frame
        begin, size = sizes(image.shape, self.w.shape, given, self.stride, self.padding, self.dilation)
        out, framed = (np.full(one, np.nan, image.dtype) for one in (given, (parts, 2, *size, image.shape[4])))
        offsets, packed = self.offsets(parts), self.packed(int(not forward), parts)
        for part in range(parts):
            kernel = getattr(convolution, f"{name}_by_images")
            kernel(out, offsets, framed, image, packed, bias, *tail, begin, self.kernel, self.stride, *padding,
                   self.dilation, self.groups, part, parts)
        return out

    def weight_gradient(self, parts: int, bias: bool = True, together: int = 0, segments: int = 1) -> Any:
        """The gradients of weight and bias; the latter is empty without `bias`. Some images are padded `together`."""
        out, sums = (np.full(shape, np.nan, self.x.dtype) for shape in (self.w.shape, (segments, self.w.size)))
        shifts = np.full(len(self.w) if bias else 0, np.nan, self.x.dtype)
        count = frames.totals_scratch(self.w.shape, self.groups, out.itemsize) if bias else 0
        totals = np.full((segments, 2, count), np.nan)
        frame = frames.forward_frame(self.x.shape, self.w.shape, self.dy.shape, self.stride, self.padding,
                                          self.dilation)
        image, offsets = self.x if together else self.framed(self.x, frame, parts), self.offsets(parts)
        shape = (parts, together, *frame[1], self.x.shape[4]) if together else (0,) * 6
        framed = np.full(shape, np.nan, self.x.dtype)
        for part in reversed(range(parts)):
            convolution.weight_gradient(sums, totals, offsets, framed, image, self.dy, self.kernel, frame[0],
                                        self.stride, self.dilation, self.groups, part, parts)
        for part in reversed(range(parts)):
            convolution.add_segments(out, shifts, sums, totals, self.groups, part, parts)
        return out, shifts

    def reference(self, shape: Any = None) -> Any:
        """The forward result without bias, the data gradient for an image of `shape`, and the weight gradient."""
        x, w, dy = (a.astype(np.float64) for a in (self.x, self.w, self.dy))
        size = self.x.shape[1:4] if shape is None else shape[1:4]
        padded = np.pad(x, ((0, 0), *((p, p + 20) for p in self.padding), (0, 0)))
        wide = [n + 2 * p + 60 for n, p in zip(size, self.padding, strict=True)]
        out, gradient = np.zeros_like(dy), np.zeros((x.shape[0], *wide, x.shape[4]))
        weight_gradient = np.zeros_like(w)
        inside = (slice(None), *(slice(n) for n in self.out_shape))
        cut = x.shape[4] // self.groups, w.shape[0] // self.groups
        for g in range(self.groups):
            c, o = (slice(g * n, (g + 1) * n) for n in cut)
            for tap in np.ndindex(*self.kernel):
                begin = [k * d for k, d in zip(tap, self.dilation, strict=True)]
                seen = (slice(None), *(slice(b, b + n * s, s) for b, n, s
                                       in zip(begin, self.out_shape, self.stride, strict=True)), c)  # fmt: skip
                weights = w[(o, slice(None), *tap)]
                out[..., o] += padded[seen][inside] @ weights.T
                gradient[seen] += dy[..., o] @ weights
                weight_gradient[(o, slice(None), *tap)] = np.einsum("nkijo,nkijc->oc", dy[..., o], padded[seen][inside])
        place = (slice(None), *(slice(p, p + n) for p, n in zip(self.padding, size, strict=True)))
        return out, gradient[place], weight_gradient


def epilogues(residual: Any) -> Any:
    """Residuals, scales and activations: what tiles do themselves, and what is done on blocks."""
    scale = np.array(0.3, residual.dtype)
    return ((residual, scale, epilogue.RELU), (residual, None, epilogue.TANH), (None, scale, epilogue.NONE),
            (None, None, epilogue.GELU))


def followed(out: Any, residual: Any, scale: Any, activation: int) -> Any:
    """The steps one after the other, on the whole array."""
    out = np.ascontiguousarray(out)
    out = out if scale is None else out * scale
    out = out if residual is None else residual + out
    names = {code: name for name, code in epilogue.ACTIVATIONS.items()}
    if activation == epilogue.NONE:
        return out
    return getattr(functional, names[activation])(tensor(out)).numpy()


def close(got: Any, want: Any) -> None:
    tolerance = 2e-4 if got.dtype == np.float32 else 1e-12
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_forward_and_gradients(case: Any, dtype: Any) -> None:
    problem = Problem(case, dtype)
    out, gradient, weight_gradient = problem.reference()
    none = np.zeros(0, dtype)
    runs = (problem.forward, out, problem.bias), (problem.data_gradient, gradient, problem.image_bias)
    for run, want, bias in runs:
        plain = run(1, none)
        close(plain, want)
        np.testing.assert_array_equal(plain, run(3, none))
        np.testing.assert_array_equal(plain + bias, run(1, bias))
        np.testing.assert_array_equal(plain + bias, problem.by_images(run.__name__, bias))
        residual = np.random.default_rng(1).standard_normal(plain.shape).astype(dtype)
        for tail in epilogues(residual):
            finished = followed(plain + bias, *tail)
            np.testing.assert_array_equal(run(3, bias, *tail), finished)
            np.testing.assert_array_equal(problem.by_images(run.__name__, bias, *tail), finished)
    found, shifts = problem.weight_gradient(1)
    close(found, weight_gradient)
    close(shifts, problem.dy.astype(np.float64).sum((0, 1, 2, 3)))
    for again, others in zip((found, shifts), problem.weight_gradient(3), strict=True):
        np.testing.assert_array_equal(again, others)
    np.testing.assert_array_equal(problem.weight_gradient(1, bias=False)[0], found)
    images = max(len(problem.x), 1)
    for together, segments in (1, 1), (2, 1), (0, images), (1, images), (1, -(-images // 2)):
        some = problem.weight_gradient(1, True, together, segments)
        close(some[0], weight_gradient)
        close(some[1], shifts)
        for again, others in zip(some, problem.weight_gradient(3, True, together, segments), strict=True):
            np.testing.assert_array_equal(again, others)


@pytest.mark.parametrize("case", [*CASES[:12], *CASES[-5:]], ids=str)
@pytest.mark.parametrize("extra", [(0, 1, 0), (1, 2, 5)])
def test_transposed_convolution_of_any_output_size(case: Any, extra: Any) -> None:
    problem = Problem(case, np.float64)
    images, *size, channels = problem.x.shape
    shape = (images, *(n + more for n, more in zip(size, extra, strict=True)), channels)
    close(problem.data_gradient(1, np.zeros(0), shape=shape), problem.reference(shape)[1])


def test_one_convolution_is_a_matmul_bit_for_bit() -> None:
    from autodiff_kernels import matmul

    problem = Problem((2, (8, 9), 300, 40, (1, 1), (1, 1), (0, 0), (1, 1), 1), np.float32)
    out = np.empty(2 * 72 * 40, np.float32)
    scratch = np.empty(matmul.matmul_scratch(144, 40, 300, 300, 300, 4, 1), np.float32)
    none = np.empty(0, np.float32)
    matmul.matmul(out, scratch, none, np.empty(0), problem.x.reshape(-1), problem.w.reshape(-1), problem.bias, none,
                  none, 0, 1, 1, 144, 40, 300, 0, 0, 300, 1, 0, 0, 1, 300, 0, 1)
    np.testing.assert_array_equal(out.reshape(2, 1, 8, 9, 40), problem.forward(1, problem.bias))


def test_the_frame_is_the_image_itself_where_nothing_is_padded() -> None:
    shapes = (2, 1, 8, 9, 4), (5, 4, 1, 1, 1), (2, 1, 8, 9, 5)
    none, one, whole = (0, 0, 0), (1, 1, 1), ((0, 0, 0), (1, 8, 9))
    assert frames.forward_frame(*shapes, one, none, one) == whole
    assert frames.data_gradient_frame(shapes[2], shapes[1], shapes[0], one, none, one) == whole
    cut = (2, 1, 8, 9, 4), (5, 4, 1, 3, 3), (2, 1, 3, 4, 5)
    assert frames.forward_frame(*cut, (1, 2, 2), none, one) == whole
