"""Transposed convolutions of lines, images and volumes: what `conv2d` does to its image's gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops.convolving import FAMILIES, as_weight
from autodiff.ops.elementwise import spread
from autodiff.ops.images import Pair, Triple, as_image, channels_last, from_image, numbers, per_axis, spatial
from autodiff.ops.structural import contiguous
from autodiff.primitive import ErrorSample, Sample, composed

__all__ = ["conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]


def _conv_transpose(rank: int, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, output_padding: Any,
                    groups: int, dilation: Any) -> Any:
    operation = f"conv_transpose{rank}d"
    x = channels_last(as_image(operation, input, rank))
    weight = as_weight(operation, weight, rank)
    stride, dilation = (per_axis(operation, name, value, rank)
                        for name, value in (("stride", stride), ("dilation", dilation)))
    before = per_axis(operation, "padding", padding, rank, 0)
    extra = per_axis(operation, "output_padding", output_padding, rank, 0)
    (groups,) = numbers(operation, "groups", groups, 1)
    size, sides = [], []
    for axis in range(len(stride)):
        if extra[axis] and extra[axis] >= max(stride[axis], dilation[axis]):
            raise ValueRangeError(operation, "output_padding is too large", got=repr(output_padding),
                                  expected=f"less than stride or dilation, {max(stride[axis], dilation[axis])}")
        reach = (x.spec.shape[2 + axis] - 1) * stride[axis] + dilation[axis] * (weight.spec.shape[2 + axis] - 1) + 1
        size.append(reach + extra[axis] - 2 * before[axis])
        # Of the convolution that this is the gradient of: it does not read the rows that output_padding adds.
        sides += [before[axis], before[axis] - extra[axis]]
    if min(size) < 1 or 0 in x.spec.shape[2:]:
        raise ShapeError(operation, "the output would be empty", expected="a size of at least 1",
                         got=f"{tuple(size[-rank:])} for the input {spatial(rank, x.spec.shape)}",
                         fix="use less padding")
    inputs = (x, weight) if bias is None else (x, weight, contiguous(bias))
    primitive = FAMILIES[weight.spec.ndim][1]
    out = bind(primitive, *inputs, size=tuple(size), stride=stride, padding=tuple(sides), dilation=dilation,
               groups=groups, rank=rank)
    return from_image(out, input, rank)


def _transpose2d_samples() -> list[Sample]:
    x, weight = spread(-1, 1, 2, 3, 3, 4), spread(-1, 1, 3, 2, 2, 3)
    return [Sample(x, weight), Sample(x, weight, spread(-1, 1, 2), 2, 1), Sample(x[:0], weight),
            Sample(x, weight, stride=(3, 2), output_padding=(2, 1)), Sample(x, weight, None, 2, (1, 0), 1, 1, (2, 1)),
            Sample(x, weight, dilation=3, output_padding=2),
            Sample(spread(-1, 1, 4, 3, 3), spread(-1, 1, 4, 3, 2, 2), spread(-1, 1, 6), groups=2),
            Sample(spread(-1, 1, 1, 2, 2, 4).transpose(0, 3, 1, 2), spread(-1, 1, 4, 1, 3, 3), stride=2, groups=4),
            Sample(x.astype(np.float64), weight.astype(np.float64), padding=1, stride=2)]


def _transpose2d_errors() -> list[ErrorSample]:
    x, weight = np.ones((2, 3, 4, 4), np.float32), np.ones((3, 2, 3, 3), np.float32)
    return [
        ErrorSample(Sample(x, weight[:2]), ShapeError, r"\[conv_transpose2d\].*expected 2 channels.*got 3"),
        ErrorSample(Sample(x, weight, np.ones(3, np.float32)), ShapeError, r"bias does not fit.*\(2,\); got \(3,\)"),
        ErrorSample(Sample(x, weight, output_padding=1), ValueRangeError, "output_padding is too large"),
        ErrorSample(Sample(x, weight, padding=4), ShapeError, "the output would be empty"),
        ErrorSample(Sample(x, weight, groups=2), ShapeError, "do not divide into the groups"),
        ErrorSample(Sample(x, weight.astype(np.float64)), DTypeError, "one float dtype"),
        ErrorSample(Sample(x, weight, stride=0), ValueRangeError, "stride is too small"),
    ]


@composed(samples=_transpose2d_samples, errors=_transpose2d_errors)
def conv_transpose2d(input: TensorT, weight: TensorT, bias: TensorT | None = None, stride: int | Pair = 1,
                     padding: int | Pair = 0, output_padding: int | Pair = 0, groups: int = 1,
                     dilation: int | Pair = 1) -> TensorT:
    """Spread each pixel over its surroundings with a kernel: the gradient of `conv2d` with respect to its image.

    Args:
        input: (N, C, H, W) or (C, H, W).
        weight: (C, O / groups, KH, KW).
        bias: (O,), or None.
        stride: distance in the output between neighbouring pixels of the input; one number or one a dimension.
        padding: rows and columns cut off on each side of the output.
        output_padding: rows and columns added below and right; less than `stride` or less than `dilation`.
        groups: the channels are cut into this many groups.
        dilation: distance between neighbouring elements of the kernel.

    Returns:
        (N, O, OH, OW) or (O, OH, OW), with
        ``OH = (H - 1) * stride - 2 * padding + dilation * (KH - 1) + output_padding + 1``; channels-last in memory.

    Raises:
        ShapeError: if the channels do not fit, or nothing would be left.
        DTypeError: unless all tensors have one float dtype.
        ValueRangeError: if `output_padding` is too large or a number too small.

    >>> import autodiff as ad
    >>> ad.nn.functional.conv_transpose2d(ad.ones(1, 1, 1, 2), ad.ones(1, 1, 1, 2))
    tensor([[[[1., 2., 1.]]]])
    """
    return _conv_transpose(2, input, weight, bias, stride, padding, output_padding, groups, dilation)  # type: ignore[no-any-return]


def _transpose3d_samples() -> list[Sample]:
    x, weight = spread(-1, 1, 2, 3, 2, 3, 2), spread(-1, 1, 3, 2, 2, 1, 3)
    return [Sample(x, weight), Sample(x, weight, spread(-1, 1, 2), 2, (1, 0, 1), 1), Sample(x[0], weight, dilation=2),
            Sample(x, weight[:, :1], groups=3, stride=(1, 3, 2)),
            Sample(x.astype(np.float64), weight.astype(np.float64), stride=(2, 1, 1), output_padding=(1, 0, 0))]


def _transpose3d_errors() -> list[ErrorSample]:
    x, weight = np.ones((2, 3, 3, 4, 4), np.float32), np.ones((3, 2, 2, 3, 3), np.float32)
    return [ErrorSample(Sample(x, weight[:2]), ShapeError, r"\[conv_transpose3d\].*expected 2 channels.*got 3"),
            ErrorSample(Sample(x, weight, padding=2), ShapeError, r"the output would be empty.*got \(0, 2, 2\)"),
            ErrorSample(Sample(x, weight, output_padding=1), ValueRangeError, "output_padding is too large")]


@composed(samples=_transpose3d_samples, errors=_transpose3d_errors)
def conv_transpose3d(input: TensorT, weight: TensorT, bias: TensorT | None = None, stride: int | Triple = 1,
                     padding: int | Triple = 0, output_padding: int | Triple = 0, groups: int = 1,
                     dilation: int | Triple = 1) -> TensorT:
    """Spread each element of a volume over its surroundings: `conv_transpose2d` with one spatial dimension more.

    Args:
        input: (N, C, D, H, W) or (C, D, H, W).
        weight: (C, O / groups, KD, KH, KW).
        bias: (O,), or None.
        stride, padding, output_padding, groups, dilation: as in `conv_transpose2d`; one number, or one for depth, rows
            and columns.

    Returns:
        (N, O, OD, OH, OW) or (O, OD, OH, OW), with sizes as in `conv_transpose2d`; channels-last in memory.

    Raises:
        ShapeError: if the channels do not fit, or nothing would be left.
        DTypeError: unless all tensors have one float dtype.
        ValueRangeError: if `output_padding` is too large or a number too small.

    >>> import autodiff as ad
    >>> ad.nn.functional.conv_transpose3d(ad.ones(1, 1, 1, 1, 2), ad.ones(1, 1, 1, 1, 2))
    tensor([[[[[1., 2., 1.]]]]])
    """
    return _conv_transpose(3, input, weight, bias, stride, padding, output_padding, groups, dilation)  # type: ignore[no-any-return]


def _transpose1d_samples() -> list[Sample]:
    x, weight = spread(-1, 1, 2, 3, 4), spread(-1, 1, 3, 2, 3)
    return [Sample(x, weight), Sample(x, weight, spread(-1, 1, 2), 2, 1, 1), Sample(x[0], weight, dilation=(2,)),
            Sample(x, spread(-1, 1, 3, 1, 2), groups=3),
            Sample(x.astype(np.float64), weight.astype(np.float64), stride=3)]


def _transpose1d_errors() -> list[ErrorSample]:
    x, weight = np.ones((2, 3, 4), np.float32), np.ones((3, 2, 3), np.float32)
    return [ErrorSample(Sample(x[:, :2], weight), ShapeError, r"\[conv_transpose1d\].*got 2 \(input \(2, 2, 4\)\)"),
            ErrorSample(Sample(x, weight, padding=3), ShapeError, r"the output would be empty.*got \(0,\)"),
            ErrorSample(Sample(x[0, 0], weight), ShapeError, r"expected \(N, C, L\) or \(C, L\)")]


@composed(samples=_transpose1d_samples, errors=_transpose1d_errors)
def conv_transpose1d(input: TensorT, weight: TensorT, bias: TensorT | None = None, stride: int | tuple[int] = 1,
                     padding: int | tuple[int] = 0, output_padding: int | tuple[int] = 0, groups: int = 1,
                     dilation: int | tuple[int] = 1) -> TensorT:
    """Spread each element of a line over its neighbours: `conv_transpose2d` with one spatial dimension.

    Args:
        input: (N, C, L) or (C, L).
        weight: (C, O / groups, K).
        bias: (O,), or None.
        stride, padding, output_padding, groups, dilation: as in `conv_transpose2d`, one number each.

    Returns:
        (N, O, OL) or (O, OL), with ``OL = (L - 1) * stride - 2 * padding + dilation * (K - 1) + output_padding + 1``.

    Raises:
        ShapeError: if the channels do not fit, or nothing would be left.
        DTypeError: unless all tensors have one float dtype.
        ValueRangeError: if `output_padding` is too large or a number too small.

    >>> import autodiff as ad
    >>> ad.nn.functional.conv_transpose1d(ad.tensor([[1.0, 2.0]]), ad.ones(1, 1, 2), stride=2)
    tensor([[1., 1., 2., 2.]])
    """
    return _conv_transpose(1, input, weight, bias, stride, padding, output_padding, groups, dilation)  # type: ignore[no-any-return]
