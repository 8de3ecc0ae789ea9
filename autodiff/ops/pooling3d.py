"""Pooling of volumes: first in the planes, then along the depth.

The maximum of a box is the largest of its planes' maxima, and a mean is the mean of its planes' means: the number of
elements of a window is a product of one number an axis, also where padding is left out. Channels-last memory is what
makes both passes views: the planes are images of a batch of N * D, and then the depth is a line with H * W * C
channels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.arguments import integer
from autodiff.bind import TensorT
from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops.adaptive import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    checked,
    output_sizes,
)
from autodiff.ops.elementwise import add, mul, spread
from autodiff.ops.images import Passes, Triple, as_image, from_image, per_axis
from autodiff.ops.pooling import average, largest, pooled_size, windows
from autodiff.ops.reduce import mean
from autodiff.ops.scattering import gather
from autodiff.primitive import ErrorSample, Sample, composed

__all__ = ["adaptive_avg_pool3d", "adaptive_max_pool3d", "avg_pool3d", "max_pool3d"]


def _largest(input: Any, x: Any, images: Callable[[Any], Any], line: Callable[[Any], Any], return_indices: bool) -> Any:
    """Return the maxima of the volume `x` that two poolings give and, if asked for, their places."""
    passes = Passes(x)
    values, places = images(passes.planes())
    values, depths = line(passes.lines(values))
    result = from_image(passes.back(values), input, 3)
    if not return_indices:
        return result
    before = mul(depths, x.spec.shape[3] * x.spec.shape[4])  # the elements of the planes in front
    return result, from_image(passes.back(add(before, gather(passes.lines(places), 2, depths))), input, 3)


# ---- Windows of a given size -----------------------------------------------------------------------------------------


def _max_samples() -> list[Sample]:
    x = spread(-2, 2, 2, 3, 5, 4, 6)
    volume = spread(-2, 2, 1, 4, 3, 5, 3).transpose(0, 4, 1, 2, 3)
    return [
        Sample(x, 2), Sample(x, 3, 2, 1, return_indices=True), Sample(x, 3, 2, 1, ceil_mode=True, return_indices=True),
        Sample(x[0], (2, 1, 3), (1, 2, 1), (1, 0, 1), return_indices=True), Sample(x, 2, 1, 1, 2), Sample(x[:0], 2),
        Sample(volume.astype(np.float64), 2, 1), Sample(volume[..., ::-1], 2, None),
        Sample(np.zeros((1, 1, 4, 4, 4), np.float32), 3, 1, return_indices=True, gradient=False),
    ]


def _window_errors(name: str) -> list[ErrorSample]:
    x = np.ones((2, 3, 4, 5, 5), np.float32)
    return [
        ErrorSample(Sample(x, 5), ShapeError, rf"\[{name}\].*window of at most 4; got 5 \(input \(2, 3, 4, 5, 5\)\)"),
        ErrorSample(Sample(x, 2, 1, 2), ShapeError, r"padding is more than half of the window.*at most 1"),
        ErrorSample(Sample(x, 2, 0), ValueRangeError, "stride is too small"),
        ErrorSample(Sample(x, (2, 2)), ShapeError, "kernel_size has the wrong length.*1 or 3 numbers"),
        ErrorSample(Sample(x[0, 0], 2), ShapeError, r"expected \(N, C, D, H, W\) or \(C, D, H, W\)"),
        ErrorSample(Sample(x.astype(np.int64), 2), DTypeError, "one float dtype"),
    ]


@composed(samples=_max_samples, errors=lambda: _window_errors("max_pool3d"))
def max_pool3d(input: TensorT, kernel_size: int | Triple, stride: int | Triple | None = None, padding: int | Triple = 0,
               dilation: int | Triple = 1, ceil_mode: bool = False, return_indices: bool = False) -> Any:
    """Return the largest element of each window of a volume: `max_pool2d` with one spatial dimension more.

    Args:
        input: (N, C, D, H, W) or (C, D, H, W), floats.
        kernel_size, stride, padding, dilation: as in `max_pool2d`; one number, or one for depth, rows and columns.
        ceil_mode: whether a last window that leaves the padded volume counts.
        return_indices: also return the places of the largest elements.

    Returns:
        (N, C, OD, OH, OW) or (C, OD, OH, OW), channels-last in memory; with `return_indices` a pair of it and of the
        places ``(depth * H + row) * W + column``, int64.

    Raises:
        ShapeError: if the window is larger than the padded volume, or the padding more than half of the window.
        DTypeError: unless `input` holds floats.
        ValueRangeError: if a number is too small.

    >>> import autodiff as ad
    >>> ad.nn.functional.max_pool3d(ad.arange(8.0).reshape(1, 2, 2, 2), 2)
    tensor([[[[7.]]]])
    """
    given = windows("max_pool3d", 3, kernel_size, stride, padding)
    dilations = per_axis("max_pool3d", "dilation", dilation, 3)
    x: Any = as_image("max_pool3d", input, 3)
    pooled_size("max_pool3d", x.spec, **given, dilation=dilations, ceil_mode=ceil_mode, rank=3)
    kernel, step, border = given.values()
    return _largest(
        input,
        x,
        lambda planes: largest(2, planes, kernel[1:], step[1:], border[1:], dilations[1:], ceil_mode, True),
        lambda line: largest(1, line, kernel[0], step[0], border[0], dilations[0], ceil_mode, True),
        return_indices,
    )


def _avg_samples() -> list[Sample]:
    x = spread(-2, 2, 2, 3, 5, 4, 6)
    volume = spread(-2, 2, 1, 4, 3, 5, 3).transpose(0, 4, 1, 2, 3)
    return [
        Sample(x, 2), Sample(x, 3, 2, 1), Sample(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
        Sample(x[0], (2, 1, 3), (1, 2, 1), (1, 0, 1), count_include_pad=False), Sample(x, 2, divisor_override=3),
        Sample(x[:0], 2), Sample(volume.astype(np.float64), 2, 1, 1, ceil_mode=True),
        Sample(volume[..., ::-1], 2, None),
    ]


@composed(samples=_avg_samples, errors=lambda: [
    *_window_errors("avg_pool3d"),
    ErrorSample(Sample(np.ones((1, 1, 2, 2, 2), np.float32), 2, divisor_override=0), ValueRangeError, "is zero"),
])
def avg_pool3d(input: TensorT, kernel_size: int | Triple, stride: int | Triple | None = None, padding: int | Triple = 0,
               ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: int | None = None) -> TensorT:
    """Return the mean of each window of a volume: `avg_pool2d` with one spatial dimension more.

    Args:
        input: (N, C, D, H, W) or (C, D, H, W), floats.
        kernel_size, stride, padding: as in `avg_pool2d`; one number, or one for depth, rows and columns.
        ceil_mode: whether a last window that leaves the padded volume counts.
        count_include_pad: whether padding counts as elements of a window.
        divisor_override: divide by this number instead of the number of elements.

    Returns:
        (N, C, OD, OH, OW) or (C, OD, OH, OW), channels-last in memory.

    Raises:
        ShapeError: if the window is larger than the padded volume, or the padding more than half of the window.
        DTypeError: unless `input` holds floats.
        ValueRangeError: if a number is too small.

    >>> import autodiff as ad
    >>> ad.nn.functional.avg_pool3d(ad.arange(8.0).reshape(1, 2, 2, 2), 2)
    tensor([[[[3.5000]]]])
    """
    given = windows("avg_pool3d", 3, kernel_size, stride, padding)
    x: Any = as_image("avg_pool3d", input, 3)
    pooled_size("avg_pool3d", x.spec, **given, dilation=(1, 1, 1), ceil_mode=ceil_mode, rank=3)
    if divisor_override == 0:
        raise ValueRangeError("avg_pool3d", "divisor_override is zero", expected="another number, or None", got="0")
    passes = Passes(x)
    kernel, step, border = given.values()
    divisors = (0, 0) if divisor_override is None else (1, integer("avg_pool3d", "divisor_override", divisor_override))
    planes = average(2, passes.planes(), kernel[1:], step[1:], border[1:], ceil_mode, count_include_pad, divisors[0])
    lines = passes.lines(planes)
    means = average(1, lines, kernel[0], step[0], border[0], ceil_mode, count_include_pad, divisors[1])
    return from_image(passes.back(means), input, 3)  # type: ignore[no-any-return]


# ---- A given number of windows ---------------------------------------------------------------------------------------


def _adaptive_samples(**options: Any) -> list[Sample]:
    x = spread(-2, 2, 2, 3, 5, 4, 6)
    volume = spread(-2, 2, 1, 4, 3, 5, 3).transpose(0, 4, 1, 2, 3)
    return [Sample(x, 3, **options), Sample(x, 1, **options), Sample(x[0], (2, None, 7), **options),
            Sample(x[:0], 2, **options), Sample(volume.astype(np.float64), 2, **options)]


def _adaptive_errors(name: str) -> list[ErrorSample]:
    x = np.ones((2, 3, 4, 4, 4), np.float32)
    return [ErrorSample(Sample(x, -1), ValueRangeError, rf"\[{name}\] output_size is too small"),
            ErrorSample(Sample(x, (1, 2)), ShapeError, "output_size has the wrong length; expected 1 or 3 numbers"),
            ErrorSample(Sample(x[0, 0], 2), ShapeError, "wrong number of dimensions"),
            ErrorSample(Sample(x[..., :0], 2), ShapeError, "the input has no places"),
            ErrorSample(Sample(x.astype(np.int64), 2), DTypeError, "one float dtype")]


def _adaptive_input(name: str, input: Any, output_size: Any) -> tuple[Any, tuple[int, ...]]:
    x: Any = as_image(name, input, 3)
    sizes = output_sizes(name, output_size, x, 3)
    checked(name, x.spec, sizes, 3)
    return x, sizes


@composed(samples=_adaptive_samples, errors=lambda: _adaptive_errors("adaptive_avg_pool3d"))
def adaptive_avg_pool3d(input: TensorT, output_size: int | tuple[int | None, ...] | None) -> TensorT:
    """Divide a volume into windows and return their means: `adaptive_avg_pool2d` with one spatial dimension more.

    Args:
        input: (N, C, D, H, W) or (C, D, H, W), floats.
        output_size: number of windows; one number, or one for depth, rows and columns; None keeps the input's size.

    Returns:
        (N, C, *output_size) or (C, *output_size), channels-last in memory.

    Raises:
        ShapeError: if the input has no places or another number of dimensions.
        DTypeError: unless `input` holds floats.
        ValueRangeError: if a size is negative.

    >>> import autodiff as ad
    >>> ad.nn.functional.adaptive_avg_pool3d(ad.arange(8.0).reshape(1, 2, 2, 2), (1, 1, 2))
    tensor([[[[3., 4.]]]])
    """
    x, sizes = _adaptive_input("adaptive_avg_pool3d", input, output_size)
    if sizes == (1, 1, 1):
        return from_image(mean(x, (2, 3, 4), True), input, 3)  # type: ignore[no-any-return]
    passes = Passes(x)
    lines = passes.lines(adaptive_avg_pool2d(passes.planes(), (sizes[1], sizes[2])))
    return from_image(passes.back(adaptive_avg_pool1d(lines, sizes[0])), input, 3)  # type: ignore[no-any-return]


@composed(samples=lambda: [*_adaptive_samples(), *_adaptive_samples(return_indices=True)[:3]],
          errors=lambda: _adaptive_errors("adaptive_max_pool3d"))
def adaptive_max_pool3d(input: TensorT, output_size: int | tuple[int | None, ...] | None,
                        return_indices: bool = False) -> Any:
    """Divide a volume into windows and return their largest elements: `adaptive_max_pool2d` with one dimension more.

    Args:
        input: (N, C, D, H, W) or (C, D, H, W), floats.
        output_size: number of windows; one number, or one for depth, rows and columns; None keeps the input's size.
        return_indices: also return the places of the largest elements.

    Returns:
        (N, C, *output_size) or (C, *output_size), channels-last in memory; with `return_indices` a pair of it and of
        the places ``(depth * H + row) * W + column``, int64.

    Raises:
        ShapeError: if the input has no places or another number of dimensions.
        DTypeError: unless `input` holds floats.
        ValueRangeError: if a size is negative.

    >>> import autodiff as ad
    >>> ad.nn.functional.adaptive_max_pool3d(ad.arange(8.0).reshape(1, 2, 2, 2), (1, 1, 2))
    tensor([[[[6., 7.]]]])
    """
    x, sizes = _adaptive_input("adaptive_max_pool3d", input, output_size)
    return _largest(
        input,
        x,
        lambda planes: adaptive_max_pool2d(planes, (sizes[1], sizes[2]), return_indices=True),
        lambda line: adaptive_max_pool1d(line, sizes[0], return_indices=True),
        return_indices,
    )
