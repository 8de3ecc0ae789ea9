"""Convolutions of lines, images and volumes."""

from __future__ import annotations

import numpy as np

from autodiff.bind import TensorT
from autodiff.errors import ShapeError
from autodiff.ops.convolving import convolve
from autodiff.ops.elementwise import spread
from autodiff.ops.images import Pair, Triple
from autodiff.primitive import ErrorSample, Sample, composed

__all__ = ["conv1d", "conv2d", "conv3d"]


def conv2d(input: TensorT, weight: TensorT, bias: TensorT | None = None, stride: int | Pair = 1,
           padding: int | Pair | str = 0, dilation: int | Pair = 1, groups: int = 1) -> TensorT:
    """Slide a kernel over an image: in each place, the sum of the products of kernel and pixels (cross-correlation).

    Args:
        input: (N, C, H, W) or (C, H, W).
        weight: (O, C / groups, KH, KW).
        bias: (O,), or None.
        stride: step from place to place; one number, or one for rows and one for columns.
        padding: zeros on each side; numbers like `stride`, ``"valid"`` (none) or ``"same"`` (the output keeps the
            input's size; needs stride 1).
        dilation: distance between the pixels that neighbouring elements of the kernel meet.
        groups: the channels are cut into this many groups, each with its own kernels; C of them is depthwise.

    Returns:
        (N, O, OH, OW) or (O, OH, OW), with ``OH = (H + 2 * padding - dilation * (KH - 1) - 1) // stride + 1``;
        channels-last in memory.

    Raises:
        ShapeError: if the channels do not fit, or the kernel is larger than the padded image.
        DTypeError: unless all tensors have one float dtype.
        ValueRangeError: if a number is too small or `padding` unknown.

    >>> import autodiff as ad
    >>> ad.nn.functional.conv2d(ad.ones(1, 1, 3, 3), ad.ones(1, 1, 2, 2))
    tensor([[[[4., 4.],
              [4., 4.]]]])
    """
    return convolve(2, input, weight, bias, stride, padding, dilation, groups)  # type: ignore[no-any-return]


def conv3d(input: TensorT, weight: TensorT, bias: TensorT | None = None, stride: int | Triple = 1,
           padding: int | Triple | str = 0, dilation: int | Triple = 1, groups: int = 1) -> TensorT:
    """Slide a kernel over a volume, or over a film: `conv2d` with one spatial dimension more.

    Args:
        input: (N, C, D, H, W) or (C, D, H, W).
        weight: (O, C / groups, KD, KH, KW).
        bias: (O,), or None.
        stride, padding, dilation, groups: as in `conv2d`; one number, or one for depth, rows and columns.

    Returns:
        (N, O, OD, OH, OW) or (O, OD, OH, OW), with sizes as in `conv2d`; channels-last in memory.

    Raises:
        ShapeError: if the channels do not fit, or the kernel is larger than the padded volume.
        DTypeError: unless all tensors have one float dtype.
        ValueRangeError: if a number is too small or `padding` unknown.

    >>> import autodiff as ad
    >>> ad.nn.functional.conv3d(ad.ones(1, 1, 2, 3, 3), ad.ones(1, 1, 2, 2, 2))
    tensor([[[[[8., 8.],
               [8., 8.]]]]])
    """
    return convolve(3, input, weight, bias, stride, padding, dilation, groups)  # type: ignore[no-any-return]


def _conv1d_samples() -> list[Sample]:
    x, weight, bias = spread(-1, 1, 2, 3, 7), spread(-1, 1, 4, 3, 3), spread(-1, 1, 4)
    return [Sample(x, weight), Sample(x, weight, bias, 2, 1), Sample(x, weight, padding="same", dilation=(2,)),
            Sample(x[0], weight, bias, padding="valid"), Sample(x, spread(-1, 1, 6, 1, 2), groups=3, padding=2),
            Sample(spread(-1, 1, 2, 5, 3).transpose(0, 2, 1), weight), Sample(x[:0], weight),
            Sample(x.astype(np.float64), weight.astype(np.float64), stride=(3,))]


def _conv1d_errors() -> list[ErrorSample]:
    x, weight = np.ones((2, 3, 5), np.float32), np.ones((4, 3, 3), np.float32)
    return [ErrorSample(Sample(x[:, :2], weight), ShapeError, r"\[conv1d\].*\(4, 3, 3\).*got 2 \(input \(2, 2, 5\)\)"),
            ErrorSample(Sample(x[..., :2], weight), ShapeError, r"\[conv1d\].*does not fit into the padded input"),
            ErrorSample(Sample(x[None], weight), ShapeError, r"expected \(N, C, L\) or \(C, L\)"),
            ErrorSample(Sample(x, weight[..., None]), ShapeError, "the weight has the wrong number of dimensions")]


@composed(samples=_conv1d_samples, errors=_conv1d_errors)
def conv1d(input: TensorT, weight: TensorT, bias: TensorT | None = None, stride: int | tuple[int] = 1,
           padding: int | tuple[int] | str = 0, dilation: int | tuple[int] = 1, groups: int = 1) -> TensorT:
    """Slide a kernel over a line: `conv2d` with one spatial dimension.

    Args:
        input: (N, C, L) or (C, L).
        weight: (O, C / groups, K).
        bias: (O,), or None.
        stride, padding, dilation, groups: as in `conv2d`, one number each.

    Returns:
        (N, O, OL) or (O, OL), with ``OL = (L + 2 * padding - dilation * (K - 1) - 1) // stride + 1``.

    Raises:
        ShapeError: if the channels do not fit, or the kernel is larger than the padded line.
        DTypeError: unless all tensors have one float dtype.

    >>> import autodiff as ad
    >>> ad.nn.functional.conv1d(ad.tensor([[1.0, 2.0, 4.0]]), ad.tensor([[[-1.0, 1.0]]]))
    tensor([[1., 2.]])
    """
    return convolve(1, input, weight, bias, stride, padding, dilation, groups)  # type: ignore[no-any-return]
