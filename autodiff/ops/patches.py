"""The patches of an image as columns, and columns added up to an image again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.bind import TensorT, bind
from autodiff.errors import ShapeError, ValueRangeError
from autodiff.ops.elementwise import spread
from autodiff.ops.images import Pair, as_image, numbers
from autodiff.ops.shaping import shape_of
from autodiff.ops.structural import contiguous, reshape, slice_grad_p, slice_p
from autodiff.ops.windows import window_grad_p, window_p
from autodiff.primitive import ErrorSample, Sample, composed
from autodiff.spec import Spec

__all__ = ["fold", "unfold"]


class _Patches:
    """Where the patches of an image lie.

    Attributes:
        kernel: size of a patch.
        border: rows and columns of zeros on each side.
        padded: size of the image with them.
        counts: number of patches in each dimension.
    """

    def __init__(self, operation: str, sizes: Sequence[int], kernel_size: Any, dilation: Any, padding: Any,
                 stride: Any) -> None:
        self.kernel = numbers(operation, "kernel_size", kernel_size, 2)
        self.step = numbers(operation, "stride", stride, 2)
        self.hop = numbers(operation, "dilation", dilation, 2)
        self.border = numbers(operation, "padding", padding, 2, 0)
        self.sizes = sizes
        self.padded = [size + 2 * width for size, width in zip(sizes, self.border, strict=True)]
        reach = [d * (k - 1) + 1 for d, k in zip(self.hop, self.kernel, strict=True)]
        for axis in range(2):
            if reach[axis] > self.padded[axis]:
                raise ShapeError(operation, "the patch does not fit into the padded input",
                                 expected=f"a size of 1 to {self.padded[axis]}", got=str(reach[axis]),
                                 fix="pad the input")
        self.counts = [(self.padded[axis] - reach[axis]) // self.step[axis] + 1 for axis in range(2)]

    def inside(self, n: int, channels: int) -> tuple[tuple[int, int, int], ...]:
        """Return where in the padded images the images lie."""
        sides = zip(self.border, self.sizes, strict=True)
        return (0, n, 1), (0, channels, 1), *((width, size, 1) for width, size in sides)

    def walk(self, n: int, channels: int) -> dict[str, tuple[int, ...]]:
        """Return shape and strides of all patches in the memory of the padded images."""
        plane, line = self.padded[0] * self.padded[1], self.padded[1]
        return {"shape": (n, channels, *self.kernel, *self.counts),
                "strides": (channels * plane, plane, self.hop[0] * line, self.hop[1], self.step[0] * line,
                            self.step[1])}


def _samples() -> list[Sample]:
    x = spread(-1, 1, 2, 3, 4, 5)
    return [Sample(x, 2), Sample(x, (2, 3), 1, 1, 2), Sample(x, 2, (2, 1), (1, 0), (1, 2)), Sample(x[0], 3),
            Sample(spread(-1, 1, 2, 4, 5, 3).transpose(0, 3, 1, 2)[..., ::-1], 2), Sample(x.astype(np.float64), 1)]


def _errors() -> list[ErrorSample]:
    x = np.ones((1, 2, 3, 3), np.float32)
    return [ErrorSample(Sample(x, 4), ShapeError, r"\[unfold\] the patch does not fit into the padded input.*got 4"),
            ErrorSample(Sample(x, 2, stride=0), ValueRangeError, "stride is too small"),
            ErrorSample(Sample(x[0, 0], 2), ShapeError, "wrong number of dimensions")]


@composed(samples=_samples, errors=_errors)
def unfold(input: TensorT, kernel_size: int | Pair, dilation: int | Pair = 1, padding: int | Pair = 0,
           stride: int | Pair = 1) -> TensorT:
    """Return the patches that a convolution reads, one a column.

    Args:
        input: (N, C, H, W) or (C, H, W).
        kernel_size: size of a patch; one number, or one for rows and one for columns.
        dilation: distance between the elements of a patch.
        padding: rows and columns of zeros on each side.
        stride: step from patch to patch.

    Returns:
        (N, C * KH * KW, patches) or (C * KH * KW, patches): ``weight.flatten(1) @ unfold(x, ...)`` is a convolution.

    Raises:
        ShapeError: if the patch is larger than the padded image.
        ValueRangeError: if a number is too small.

    >>> import autodiff as ad
    >>> ad.nn.functional.unfold(ad.tensor([[[1.0, 2.0, 3.0]]]), (1, 2))
    tensor([[1., 2.],
            [2., 3.]])
    """
    x: Any = as_image("unfold", input, 2)
    n, channels, *sizes = x.spec.shape
    patches = _Patches("unfold", sizes, kernel_size, dilation, padding, stride)
    kernel, counts = patches.kernel, patches.counts
    if any(patches.border):
        x = bind(slice_grad_p, x, index=patches.inside(n, channels), shape=(n, channels, *patches.padded))
    windows = bind(window_p, contiguous(x), offset=0, **patches.walk(n, channels))
    columns = reshape(windows, (n, channels * kernel[0] * kernel[1], counts[0] * counts[1]))
    if input.spec.ndim == 3:  # type: ignore[attr-defined]
        columns = reshape(columns, columns.spec.shape[1:])
    return columns  # type: ignore[no-any-return]


def _fold_samples() -> list[Sample]:
    x = spread(-1, 1, 2, 12, 12)
    return [Sample(x, (4, 5), 2), Sample(x[:, :, :6], (3, 4), 2), Sample(x[0], (4, 5), (2, 2)),
            Sample(spread(-1, 1, 1, 18, 25), (4, 5), (2, 3), 1, 1, 1),
            Sample(spread(-1, 1, 2, 8, 12), (5, 8), 2, 2, 1, 2),
            Sample(spread(-1, 1, 1, 4, 4), 4, 2, stride=2), Sample(x.astype(np.float64), (4, 5), 2)]


def _fold_errors() -> list[ErrorSample]:
    x = np.ones((1, 8, 4), np.float32)
    return [ErrorSample(Sample(x, 3, 3), ShapeError, r"\[fold\].*a multiple of 9; got 8"),
            ErrorSample(Sample(x, 4, 2), ShapeError, r"as many patches.*expected 9; got 4"),
            ErrorSample(Sample(x, 1, 2), ShapeError, "does not fit"),
            ErrorSample(Sample(x[0, 0], 3, 2), ShapeError, "wrong number of dimensions")]


@composed(samples=_fold_samples, errors=_fold_errors)
def fold(input: TensorT, output_size: int | Pair, kernel_size: int | Pair, dilation: int | Pair = 1,
         padding: int | Pair = 0, stride: int | Pair = 1) -> TensorT:
    """Return images whose patches are the columns of `input`; where patches overlap, they are added.

    Args:
        input: (N, C * KH * KW, patches) or (C * KH * KW, patches), as `unfold` returns them.
        output_size: size of the images; one number, or height and width.
        kernel_size: size of a patch; one number, or one for rows and one for columns.
        dilation: distance between the elements of a patch.
        padding: rows and columns on each side of which the patches do not become part of the image.
        stride: step from patch to patch.

    Returns:
        (N, C, H, W) or (C, H, W).

    Raises:
        ShapeError: if the columns do not fit the images.
        ValueRangeError: if a number is too small.

    >>> import autodiff as ad
    >>> ad.nn.functional.fold(ad.tensor([[1.0, 2.0], [2.0, 3.0]]), (1, 3), (1, 2))
    tensor([[[1., 4., 3.]]])
    """
    shape = shape_of(input, "fold")
    if len(shape) not in (2, 3):
        raise ShapeError("fold", "the input has the wrong number of dimensions",
                         expected="(N, C * KH * KW, patches) or (C * KH * KW, patches)", got=str(shape))
    n, length, count = (1, *shape)[-3:]
    sizes = numbers("fold", "output_size", output_size, 2)
    patches = _Patches("fold", sizes, kernel_size, dilation, padding, stride)
    kernel, counts = patches.kernel, patches.counts
    if length % (kernel[0] * kernel[1]):
        raise ShapeError("fold", "the columns do not hold whole patches",
                         expected=f"a multiple of {kernel[0] * kernel[1]}", got=str(length))
    if count != counts[0] * counts[1]:
        raise ShapeError("fold", "there are not as many patches as the image has",
                         expected=str(counts[0] * counts[1]), got=str(count))
    channels = length // (kernel[0] * kernel[1])
    windows: Any = reshape(input, (n, channels, *kernel, *counts))
    base = Spec.of((n, channels, *patches.padded), windows.spec.dtype)
    x = bind(window_grad_p, windows, strides=patches.walk(n, channels)["strides"], offset=0, base=base)
    if any(patches.border):
        x = bind(slice_p, x, index=patches.inside(n, channels))
    return x if len(shape) == 3 else reshape(x, x.spec.shape[1:])  # type: ignore[no-any-return]
