"""Numbers and calls that the samples of operations are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.errors import DTypeError, ShapeError
from autodiff.primitive import ErrorSample, Sample


def spread(low: float, high: float, *shape: int, dtype: Any = np.float32) -> np.ndarray[Any, Any]:
    """Return irregular numbers from `low` to `high`: no ties, no round values, the same on every call."""
    n = int(np.prod(shape))
    golden = np.modf((np.arange(n) + 1) * 0.6180339887498949)[0]
    numbers: np.ndarray[Any, Any] = (low + (high - low) * golden).astype(dtype).reshape(shape)
    return numbers


def unary_samples(low: float, high: float, tolerance: float = 2e-5) -> list[Sample]:
    """Return samples of a function of one tensor on [low, high]: every rank, layout and float dtype."""
    return [
        Sample(spread(low, high, 3, 5), tolerance=tolerance),
        Sample(spread(low, high, 1).reshape(()), tolerance=tolerance),
        Sample(np.zeros((0, 3), np.float32)),
        Sample(spread(low, high, 4, 6)[::2, ::-2].T, tolerance=tolerance),
        Sample(spread(low, high, 2, 2, 3, 3).transpose(0, 3, 1, 2), tolerance=tolerance),
        Sample(spread(low, high, 37, dtype=np.float64)),
    ]


def binary_samples(low: float, high: float, low_y: float | None = None, high_y: float | None = None) -> list[Sample]:
    """Return samples of a function of two tensors: equal shapes, broadcast, 0-d, empty, strided, channels-last."""
    low_y, high_y = low if low_y is None else low_y, high if high_y is None else high_y
    image = spread(low, high, 2, 2, 3, 3).transpose(0, 3, 1, 2)
    return [
        Sample(spread(low, high, 3, 5), spread(low_y, high_y, 3, 5)[:, ::-1]),
        Sample(spread(low, high, 3, 1), spread(low_y, high_y, 4)),
        Sample(spread(low, high, 2, 3), spread(low_y, high_y, 1).reshape(())),
        Sample(spread(low, high, 1).reshape(()), spread(low_y, high_y, 2)),
        Sample(np.zeros((0, 2), np.float32), np.ones((1, 2), np.float32)),
        Sample(image, spread(low_y, high_y, 3, 1, 1)),
        Sample(spread(low, high, 6, dtype=np.float64), spread(low_y, high_y, 2, 1, dtype=np.float64)),
    ]


def integer_samples() -> list[Sample]:
    """Return samples of a function of two tensors on integers of several dtypes and numbers."""
    x = np.array([7, -7, 3, -3], np.int64)
    return [Sample(x, np.array([2, 2, -2, -5])), Sample(x.astype(np.int32), 4),
            Sample(x.astype(np.int8), np.array([3], np.int8)),
            Sample(np.array([[1], [9]], np.uint8), np.array([2, 5], np.uint8))]


def unary_errors() -> list[ErrorSample]:
    """Return calls that no function of one tensor accepts."""
    return [ErrorSample(Sample("3"), DTypeError, "the input is not a tensor; expected a tensor; got str")]


def binary_errors() -> list[ErrorSample]:
    """Return calls that no function of two tensors accepts."""
    x = np.ones((2, 3), np.float32)
    return [
        ErrorSample(Sample(x, np.ones((4,), np.float32)), ShapeError, r"do not broadcast.*\(2, 3\) and \(4,\)"),
        ErrorSample(Sample(x, "3"), DTypeError, "neither a tensor nor a number"),
    ]


def gradient_samples(low: float, high: float) -> Callable[[], list[Sample]]:
    """Return the samples of a gradient operation ``(g, x)`` with x on [low, high]."""
    return lambda: [
        Sample(spread(-2, 2, 3, 4), spread(low, high, 3, 4)[::-1]),
        Sample(spread(-2, 2, 4, 3, dtype=np.float64).T, spread(low, high, 3, 4, dtype=np.float64)),
    ]


def bool_errors(*arguments: Any) -> Callable[[], list[ErrorSample]]:
    """Return the error samples of a function of one tensor that refuses bools."""
    call = Sample(np.array([True]), *arguments)
    return lambda: [*unary_errors(), ErrorSample(call, DTypeError, "this dtype is not supported.*got bool")]
