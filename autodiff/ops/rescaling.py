"""Normalisations composed of other operations: to unit length, and by the neighbouring channels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops.broadcast import sum as total
from autodiff.ops.choice import clamp_min
from autodiff.ops.elementwise import abs as magnitude
from autodiff.ops.elementwise import add, div, mul, spread, square
from autodiff.ops.extremes import amax
from autodiff.ops.functions import pow as power
from autodiff.ops.functions import sqrt
from autodiff.ops.pooling import avg_pool1d
from autodiff.ops.promotion import real
from autodiff.ops.structural import permute, reshape, slice_grad_p
from autodiff.primitive import ErrorSample, Sample, composed
from autodiff.spec import Shape

__all__ = ["local_response_norm", "normalize"]


def _normalize_samples() -> list[Sample]:
    x = spread(-2, 3, 2, 3, 4)
    return [Sample(x), Sample(x, 1), Sample(x, 2, -1), Sample(x, 3.5, 0), Sample(x, math.inf, 2), Sample(x, dim=(1, 2)),
            Sample(np.zeros((2, 3), np.float32), gradient=False), Sample(1e-3 * x, eps=10.0),
            Sample(x[:, ::-2].T, 2, 0), Sample(x.astype(np.float64)), Sample(x[:0])]


def _normalize_errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [ErrorSample(Sample(x, dim=2), ShapeError, "the dimension does not exist"),
            ErrorSample(Sample(x, -1), ValueRangeError, r"\[normalize\] p is not positive")]


@composed(samples=_normalize_samples, errors=_normalize_errors)
def normalize(input: TensorT, p: float = 2.0, dim: int | Sequence[int] = 1, eps: float = 1e-12) -> TensorT:
    """Divide by the p-norm along a dimension: ``x / max(norm(x), eps)``.

    Args:
        input: any shape.
        p: exponent of the norm, positive; infinity is the largest magnitude.
        dim: dimension or dimensions.
        eps: smallest divisor.

    Returns:
        The shape of `input`.

    Raises:
        ShapeError: if a dimension does not exist.
        ValueRangeError: if `p` is not positive.

    >>> import autodiff as ad
    >>> ad.nn.functional.normalize(ad.tensor([[3.0, 4.0]]))
    tensor([[0.6000, 0.8000]])
    """
    if not p > 0:
        raise ValueRangeError("normalize", "p is not positive", expected="p > 0", got=str(p))
    x: Any = real("normalize", input)
    # The smallest divisor is taken before the root, whose slope at 0 is infinite.
    if p == 2:
        length = sqrt(clamp_min(total(square(x), dim, True), eps * eps))
    elif p == 1:
        length = clamp_min(total(magnitude(x), dim, True), eps)
    elif p == math.inf:
        length = clamp_min(amax(magnitude(x), dim, True), eps)
    else:
        length = power(clamp_min(total(power(magnitude(x), p), dim, True), eps**p), 1 / p)
    return div(x, length)  # type: ignore[no-any-return]


def _response_samples() -> list[Sample]:
    x = spread(-2, 3, 2, 5, 3, 2)
    image = spread(-2, 3, 1, 3, 2, 6).transpose(0, 3, 1, 2)
    return [Sample(x, 3), Sample(x, 2, 0.5), Sample(x, 5, 0.1, 0.5, 2.0), Sample(x[..., 0], 1), Sample(image, 4, 0.2),
            Sample(x.astype(np.float64), 3, 1.0)]


def _response_errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [ErrorSample(Sample(x, 2), ShapeError, r"\[local_response_norm\].*expected \(N, C, ...\).*got \(2, 3\)"),
            ErrorSample(Sample(x[..., None], 0), ValueRangeError, "size is too small"),
            ErrorSample(Sample(x[..., None].astype(np.int64), 2), DTypeError, "one float dtype")]


@composed(samples=_response_samples, errors=_response_errors)
def local_response_norm(input: TensorT, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> TensorT:
    """Divide by a power of the mean square of the neighbouring channels: ``x / (k + alpha * mean) ** beta``.

    Args:
        input: (N, C, ...), floats.
        size: number of neighbouring channels, the channel itself included; channels that do not exist count as zeros.
        alpha: factor of the mean square.
        beta: exponent.
        k: added to the mean square.

    Returns:
        The shape of `input`.

    Raises:
        ShapeError: if the input has no dimension behind the channels.
        DTypeError: unless `input` holds floats.
        ValueRangeError: if `size` is less than 1.

    Source: Krizhevsky et al., ImageNet Classification with Deep Convolutional Neural Networks (2012), section 3.3.

    >>> import autodiff as ad
    >>> ad.nn.functional.local_response_norm(ad.ones(1, 1, 2), 1, alpha=3.0, beta=0.5)
    tensor([[[0.5000, 0.5000]]])
    """
    shape: Shape = input.spec.shape  # type: ignore[attr-defined]
    if len(shape) < 3:
        raise ShapeError("local_response_norm", "the input has no dimension behind the channels",
                         expected="(N, C, ...)", got=str(shape))
    if size < 1:
        raise ValueRangeError("local_response_norm", "size is too small", expected="at least 1", got=str(size))
    n, channels, places = shape[0], shape[1], math.prod(shape[2:])
    squares = reshape(square(input), (n, channels, places))
    inside = ((0, n, 1), (size // 2, channels, 1), (0, places, 1))
    framed = bind(slice_grad_p, squares, index=inside, shape=(n, channels + size - 1, places))
    # As lines along the channels, whose channels are the places: these lie side by side, as pooling wants them.
    lines = avg_pool1d(permute(framed, 0, 2, 1), size, 1)
    means = reshape(permute(lines, 0, 2, 1), shape)
    return div(input, power(add(mul(means, alpha), k), beta))
