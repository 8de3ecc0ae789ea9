"""Calls of the operations of convolution for the tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops.samples import spread
from autodiff.primitive import ErrorSample, Sample


def conv2d_samples() -> list[Sample]:
    """Return calls of `conv2d`."""
    x, weight, bias = spread(-1, 1, 2, 3, 5, 6), spread(-1, 1, 4, 3, 3, 2), spread(-1, 1, 4)
    image = spread(-1, 1, 2, 5, 4, 3).transpose(0, 3, 1, 2)
    plain = [
        Sample(x, weight), Sample(x, weight, bias), Sample(x, weight, stride=2, padding=1),
        Sample(x, weight, None, (1, 2), (2, 1), (2, 1)), Sample(x, weight, padding="same"),
        Sample(x, weight, padding="valid"), Sample(x[:, ::-1, :, ::2], weight[:, :, ::-1]),
        Sample(x[:1, :1], spread(-1, 1, 1, 1, 5, 6)), Sample(x[:0], weight, bias, padding=1),
        Sample(x.astype(np.float64), weight.astype(np.float64), bias.astype(np.float64), 3, 1),
        Sample(spread(-1, 1, 1, 17, 4, 5), spread(-1, 1, 33, 17, 2, 2), padding=1),
        Sample(image, spread(-1, 1, 2, 3, 1, 1), bias[:2]), Sample(image, spread(-1, 1, 2, 3, 1, 1), stride=(2, 3)),
        Sample(x[:0], spread(-1, 1, 2, 3, 1, 1), bias[:2]), Sample(image, spread(-1, 1, 1, 3, 1, 1)),
    ]
    grouped = spread(-1, 1, 6, 2, 3, 3), spread(-1, 1, 6)
    return [
        *plain, Sample(spread(-1, 1, 4, 5, 5), *grouped, padding="same", dilation=2, groups=2),
        Sample(image, spread(-1, 1, 3, 1, 2, 2), groups=3),
        Sample(image, spread(-1, 1, 6, 1, 3, 3), groups=3, padding=1),
        Sample(spread(-1, 1, 2, 19, 6, 9), spread(-1, 1, 19, 1, 3, 4), spread(-1, 1, 19), padding=1, groups=19),
        Sample(spread(-1, 1, 1, 5, 7, 9), spread(-1, 1, 5, 1, 3, 3), None, (2, 3), (1, 2), (3, 2), 5),
        Sample(spread(-1, 1, 4, 32, 7, 8), spread(-1, 1, 33, 32, 3, 3), spread(-1, 1, 33), padding=1),
    ]


def conv2d_errors() -> list[ErrorSample]:
    """Return calls of `conv2d` that must raise."""
    x, weight = np.ones((2, 3, 5, 5), np.float32), np.ones((4, 3, 3, 3), np.float32)
    return [
        ErrorSample(Sample(x[:, :2], weight), ShapeError, r"\[conv2d\].*expected 3 channels.*got 2"),
        ErrorSample(Sample(x, weight, np.ones(3, np.float32)), ShapeError, r"bias does not fit.*\(4,\); got \(3,\)"),
        ErrorSample(Sample(x[:, :, :2], weight), ShapeError, "does not fit into the padded input"),
        ErrorSample(Sample(x, weight, dilation=3), ShapeError, "does not fit into the padded input.*got 7"),
        ErrorSample(Sample(x, weight, groups=2), ShapeError, "do not divide into the groups"),
        ErrorSample(Sample(x[0, 0], weight), ShapeError, r"wrong number of dimensions.*\(N, C, H, W\) or"),
        ErrorSample(Sample(x, weight[0]), ShapeError, "the weight has the wrong number of dimensions"),
        ErrorSample(Sample(x, weight, stride=0), ValueRangeError, "stride is too small"),
        ErrorSample(Sample(x, weight, padding=(1, 2, 3)), ShapeError, "padding has the wrong length"),
        ErrorSample(Sample(x, weight, dilation=1.5), DTypeError, "dilation does not consist of integers"),
        ErrorSample(Sample(x, weight, padding="same", stride=2), ValueRangeError, "'same' needs stride 1"),
        ErrorSample(Sample(x, weight, padding="full"), ValueRangeError, "unknown padding"),
        ErrorSample(Sample(x.astype(np.int64), weight), DTypeError, "one float dtype.*int64"),
        ErrorSample(Sample(x.astype(np.float64), weight), DTypeError, "float64 and float32"),
    ]


def conv3d_samples() -> list[Sample]:
    """Return calls of `conv3d`."""
    x, weight, bias = spread(-1, 1, 2, 3, 4, 3, 5), spread(-1, 1, 4, 3, 2, 3, 2), spread(-1, 1, 4)
    volume = spread(-1, 1, 1, 3, 4, 3, 4).transpose(0, 4, 1, 2, 3)
    return [
        Sample(x, weight, bias), Sample(x, weight, stride=(1, 2, 2), padding=1), Sample(x, weight, padding="same"),
        Sample(x[0], weight, bias, (2, 1, 3), (1, 0, 2), (1, 1, 2)), Sample(x[:0], weight, bias),
        Sample(x.astype(np.float64), weight.astype(np.float64), padding=(1, 0, 0), dilation=(2, 1, 1)),
        Sample(volume, spread(-1, 1, 4, 1, 2, 2, 3), groups=4, padding=1), Sample(volume, spread(-1, 1, 5, 4, 1, 1, 1)),
        Sample(volume, spread(-1, 1, 6, 2, 2, 1, 2), groups=2), Sample(x[..., ::-1, :], weight),
    ]


def conv3d_errors() -> list[ErrorSample]:
    """Return calls of `conv3d` that must raise."""
    x, weight = np.ones((2, 3, 4, 4, 4), np.float32), np.ones((4, 3, 2, 2, 2), np.float32)
    return [
        ErrorSample(Sample(x[:, :2], weight), ShapeError, r"\[conv3d\].*expected 3 channels.*got 2"),
        ErrorSample(Sample(x[:, :, :1], weight), ShapeError, "does not fit into the padded input"),
        ErrorSample(Sample(x[0, 0], weight), ShapeError, r"expected \(N, C, D, H, W\) or \(C, D, H, W\)"),
        ErrorSample(Sample(x, weight[0]), ShapeError, "the weight has the wrong number of dimensions"),
        ErrorSample(Sample(x, weight, stride=(1, 2)), ShapeError, "stride has the wrong length.*1 or 3 numbers"),
        ErrorSample(Sample(x, weight, padding="same", stride=2), ValueRangeError, "'same' needs stride 1"),
    ]


def input_grad_samples() -> list[Sample]:
    """Return calls of the gradient with respect to an image."""
    g, weight = spread(-1, 1, 3, 2, 2, 4).transpose(1, 3, 0, 2), spread(-1, 1, 4, 3, 3, 2)
    pair, wide = spread(-1, 1, 2, 2, 2, 2), spread(-1, 1, 2, 2, 2, 2).transpose(0, 3, 1, 2)
    plain: dict[str, Any] = {"stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1), "groups": 1, "rank": 2}
    cut: dict[str, Any] = {**plain, "padding": (1, 0, 0, 1)}
    spaced: dict[str, Any] = {**plain, "stride": (1, 2), "padding": (0, 1, 1, 0), "dilation": (1, 2)}
    grouped: dict[str, Any] = {**plain, "groups": 2}
    return [
        Sample(g, weight, size=(5, 3), **plain), Sample(g, weight, size=(8, 5), **{**plain, "stride": (2, 3)}),
        Sample(g, weight, spread(-1, 1, 3), size=(4, 2), **cut), Sample(g, weight, size=(4, 4), **spaced),
        Sample(wide, pair, spread(-1, 1, 4), size=(3, 3), **grouped),
        Sample(wide.astype(np.float64), pair[:, :1].astype(np.float64), size=(3, 3), **grouped),
    ]


def input_grad3d_samples() -> list[Sample]:
    """Return calls of the gradient with respect to a volume."""
    g, weight = spread(-1, 1, 2, 2, 3, 2, 4).transpose(0, 4, 1, 2, 3), spread(-1, 1, 4, 3, 2, 1, 3)
    plain: dict[str, Any] = {"stride": (1, 1, 1), "padding": (0,) * 6, "dilation": (1, 1, 1), "groups": 1, "rank": 3}
    spaced: dict[str, Any] = {**plain, "stride": (2, 1, 3), "padding": (1, 0, 0, 0, 2, 1), "dilation": (3, 1, 1)}
    return [Sample(g, weight, size=(3, 3, 4), **plain), Sample(g, weight, spread(-1, 1, 3), size=(5, 3, 5), **spaced),
            Sample(g, weight[:, :1], size=(3, 3, 4), **{**plain, "groups": 4})]


def weight_grad_samples() -> list[Sample]:
    """Return calls of the gradients of an image's weight and bias."""
    g, x = spread(-1, 1, 2, 3, 3, 4).transpose(0, 3, 1, 2), spread(-1, 1, 2, 5, 4, 3).transpose(0, 3, 1, 2)
    wide, six = (spread(-1, 1, 1, n, n, c).transpose(0, 3, 1, 2) for n, c in ((6, 4), (5, 6)))
    plain: dict[str, Any] = {"stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1), "groups": 1, "rank": 2,
                             "bias": False}
    biased: dict[str, Any] = {**plain, "bias": True}
    spaced: dict[str, Any] = {**plain, "stride": (2, 2), "padding": (1, 0, 0, 0), "dilation": (2, 1)}
    return [
        Sample(g, x, kernel=(3, 2), **plain), Sample(g, x, kernel=(1, 2), **{**plain, "stride": (2, 1)}),
        Sample(g, x, kernel=(4, 3), **{**plain, "padding": (1, 0, 0, 1)}),
        Sample(g[:1], wide, kernel=(2, 2), **spaced), Sample(six[:, :4], wide, kernel=(2, 2), **{**plain, "groups": 4}),
        Sample(six.astype(np.float64), wide.astype(np.float64), kernel=(2, 2), **{**plain, "groups": 2}),
        Sample(g[:0], x[:0], kernel=(3, 2), **plain), Sample(g[:0], x[:0], kernel=(3, 2), **biased),
        Sample(g, x, kernel=(3, 2), **biased), Sample(g, x[..., :3, :3], kernel=(1, 1), **biased),
        Sample(six[:, :4], wide, kernel=(2, 2), **{**biased, "groups": 4}),
        Sample(six.astype(np.float64), wide.astype(np.float64), kernel=(2, 2), **{**biased, "groups": 2}),
    ]


def weight_grad3d_samples() -> list[Sample]:
    """Return calls of the gradients of a volume's weight and bias."""
    g, x = (spread(-1, 1, *shape).transpose(0, 4, 1, 2, 3) for shape in ((2, 2, 3, 2, 4), (2, 3, 3, 4, 4)))
    plain: dict[str, Any] = {"stride": (1, 1, 1), "padding": (0,) * 6, "dilation": (1, 1, 1), "groups": 1, "rank": 3,
                             "bias": False}
    spaced: dict[str, Any] = {**plain, "stride": (2, 1, 2), "padding": (1, 0, 0, 0, 0, 0), "dilation": (1, 1, 1)}
    return [Sample(g, x, kernel=(2, 1, 3), **plain), Sample(g, x, kernel=(2, 1, 2), **spaced),
            Sample(g, x, kernel=(2, 1, 3), **{**plain, "bias": True}),
            Sample(g, x, kernel=(2, 1, 3), **{**plain, "groups": 4}), Sample(g[:0], x[:0], kernel=(2, 1, 3), **plain)]


def followed_samples() -> list[Sample]:
    """Return calls of convolutions that steps follow: direct, as a product, depthwise, filtered, and the gradients."""
    plain = {"stride": (1, 1), "padding": (1, 1, 1, 1), "dilation": (1, 1), "groups": 1, "rank": 2}
    image, wide, number = spread(-1, 1, 2, 5, 4, 3), spread(-1, 1, 1, 14, 14, 32), np.full((), 0.3, np.float32)

    def sample(name: str, x: Any, weight: Any, bias: Any, out: int, steps: tuple[str, ...], **params: Any) -> Sample:
        residual = spread(-2, 2, *x.shape[:3], out).astype(x.dtype).transpose(0, 3, 1, 2)
        others = [operand for step, operand in (("mul", number.astype(x.dtype)), ("add", residual)) if step in steps]
        first = (name, tuple((plain | params).items()))
        return Sample(x.transpose(0, 3, 1, 2), weight, *bias, *others, first=first, steps=steps,
                      gradient=False)  # derivatives are tested with operands in C order

    bias, square = [spread(-1, 1, 4)], spread(-1, 1, 4, 3, 3, 3)
    unpadded, size = (0, 0, 0, 0), (5, 4)
    return [
        sample("conv2d", image, square, bias, 4, ("mul", "add", "gelu")),
        sample("conv2d", image, square, [], 4, ("relu",)),
        sample("conv2d", image.astype(np.float64), square.astype(np.float64), [], 4, ("add", "tanh")),
        sample("conv2d", image, square[:, :, :1, :1], bias, 4, ("add", "relu"), padding=unpadded),
        sample("conv2d", image, square[:3, :1], [], 3, ("mul", "add", "silu"), groups=3),
        sample("conv2d", wide, spread(-1, 1, 33, 32, 3, 3), [], 33, ("add", "sigmoid")),
        sample("conv2d_input_grad", image, square[:3], [], 3, ("add", "relu"), size=size),
        sample("conv2d_input_grad", image, spread(-1, 1, 3, 9, 3, 3), [], 9, ("add", "tanh"), size=size),
    ]
