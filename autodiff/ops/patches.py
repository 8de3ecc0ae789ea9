"""The patches of an image as columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.bind import TensorT, bind
from autodiff.errors import ShapeError, ValueRangeError
from autodiff.ops.elementwise import spread
from autodiff.ops.images import Pair, as_image, numbers
from autodiff.ops.structural import contiguous, reshape, slice_grad_p, window_p
from autodiff.primitive import ErrorSample, Sample, composed

__all__ = ["unfold"]


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
    kernel, step = numbers("unfold", "kernel_size", kernel_size, 2), numbers("unfold", "stride", stride, 2)
    hop, border = numbers("unfold", "dilation", dilation, 2), numbers("unfold", "padding", padding, 2, 0)
    n, channels, *sizes = x.spec.shape
    padded = [size + 2 * width for size, width in zip(sizes, border, strict=True)]
    reach = [d * (k - 1) + 1 for d, k in zip(hop, kernel, strict=True)]
    for axis in range(2):
        if reach[axis] > padded[axis]:
            raise ShapeError("unfold", "the patch does not fit into the padded input",
                             expected=f"a size of 1 to {padded[axis]}", got=str(reach[axis]), fix="pad the input")
    if any(border):
        inside = tuple((width, size, 1) for width, size in zip(border, sizes, strict=True))
        x = bind(slice_grad_p, x, index=((0, n, 1), (0, channels, 1), *inside), shape=(n, channels, *padded))
    counts = [(padded[axis] - reach[axis]) // step[axis] + 1 for axis in range(2)]
    plane, line = padded[0] * padded[1], padded[1]
    patches = bind(window_p, contiguous(x), shape=(n, channels, *kernel, *counts), offset=0,
                   strides=(channels * plane, plane, hop[0] * line, hop[1], step[0] * line, step[1]))
    columns = reshape(patches, (n, channels * kernel[0] * kernel[1], counts[0] * counts[1]))
    if input.spec.ndim == 3:  # type: ignore[attr-defined]
        columns = reshape(columns, columns.spec.shape[1:])
    return columns  # type: ignore[no-any-return]
