"""Pooling by p-norms, composed of means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.bind import TensorT
from autodiff.errors import ShapeError, ValueRangeError
from autodiff.ops.activation import relu
from autodiff.ops.choice import where
from autodiff.ops.comparison import eq
from autodiff.ops.elementwise import abs, mul, sign
from autodiff.ops.functions import pow
from autodiff.ops.images import Pair, Triple, numbers
from autodiff.ops.pooling import avg_pool1d, avg_pool2d
from autodiff.ops.pooling3d import avg_pool3d
from autodiff.ops.samples import spread
from autodiff.primitive import ErrorSample, Sample, composed

__all__ = ["lp_pool1d", "lp_pool2d", "lp_pool3d"]


def _pooled(operation: str, x: Any, norm_type: float, kernel: tuple[int, ...], mean: Callable[[Any], Any]) -> Any:
    """Return ``sum(x ** p) ** (1 / p)`` of windows, given the function that averages over them."""
    if norm_type == 0:
        raise ValueRangeError(operation, "there is no norm of order 0", expected="another number", got=str(norm_type))
    averages = mean(pow(x, norm_type))
    # As in PyTorch: a sum that is negative, which only odd powers have, keeps its sign until the root.
    sums = mul(relu(abs(averages)), mul(sign(averages), int(np.prod(kernel))))
    zero = eq(sums, 0)
    return where(zero, 0.0, pow(where(zero, 1.0, sums), 1 / norm_type))


@composed(samples=lambda: [Sample(spread(0.2, 1, 2, 3, 8), 2, 3), Sample(spread(0.2, 1, 3, 8), 3.0, 2, 1, True),
                           Sample(spread(-1, 1, 1, 2, 9), 2, 2, ceil_mode=True),
                           Sample(spread(0.2, 1, 1, 1, 8, dtype=np.float64), 1, 4)],
          errors=lambda: [ErrorSample(Sample(np.ones((1, 1, 2), np.float32), 2, 3), ShapeError, "window|pool"),
                          ErrorSample(Sample(np.ones((1, 1, 2), np.float32), 0, 2), ValueRangeError, "order 0")])
def lp_pool1d(input: TensorT, norm_type: float, kernel_size: int | tuple[int], stride: int | tuple[int] | None = None,
              ceil_mode: bool = False) -> TensorT:
    """Return ``sum(x ** p) ** (1 / p)`` of each window of a line.

    Args:
        input: (N, C, L) or (C, L).
        norm_type: p.
        kernel_size: size of the window.
        stride: step from window to window; the size of the window by default.
        ceil_mode: let a last window reach over the end.

    Raises:
        ShapeError: if the window does not fit.
        ValueRangeError: if a number is too small, or p is 0.

    >>> import autodiff as ad
    >>> ad.nn.functional.lp_pool1d(ad.tensor([[3.0, 4.0]]), 2, 2)
    tensor([[5.]])
    """
    kernel = numbers("lp_pool1d", "kernel_size", kernel_size, 1)
    return _pooled("lp_pool1d", input, norm_type, kernel,  # type: ignore[no-any-return]
                   lambda x: avg_pool1d(x, kernel, stride, 0, ceil_mode))  # type: ignore[arg-type]


@composed(samples=lambda: [Sample(spread(0.2, 1, 2, 3, 4, 6), 2, 2), Sample(spread(0.2, 1, 3, 4, 6), 3.0, (2, 3), 1),
                           Sample(spread(-1, 1, 1, 2, 5, 5), 2, 2, ceil_mode=True),
                           Sample(spread(0.2, 1, 1, 1, 4, 4, dtype=np.float64), 1, 2)],
          errors=lambda: [ErrorSample(Sample(np.ones((1, 1, 2, 2), np.float32), 2, 3), ShapeError, "window|pool"),
                          ErrorSample(Sample(np.ones((1, 1, 2, 2), np.float32), 0, 2), ValueRangeError, "order 0")])
def lp_pool2d(input: TensorT, norm_type: float, kernel_size: int | Pair, stride: int | Pair | None = None,
              ceil_mode: bool = False) -> TensorT:
    """Return ``sum(x ** p) ** (1 / p)`` of each window of an image.

    Args:
        input: (N, C, H, W) or (C, H, W).
        norm_type: p.
        kernel_size: size of the window; one number, or one for rows and one for columns.
        stride: step from window to window; the size of the window by default.
        ceil_mode: let a last window reach over the end.

    Raises:
        ShapeError: if the window does not fit.
        ValueRangeError: if a number is too small, or p is 0.

    >>> import autodiff as ad
    >>> ad.nn.functional.lp_pool2d(ad.tensor([[[3.0, 4.0]]]), 2, (1, 2))
    tensor([[[5.]]])
    """
    kernel = numbers("lp_pool2d", "kernel_size", kernel_size, 2)
    return _pooled("lp_pool2d", input, norm_type, kernel,  # type: ignore[no-any-return]
                   lambda x: avg_pool2d(x, kernel, stride, 0, ceil_mode))  # type: ignore[arg-type]


@composed(samples=lambda: [Sample(spread(0.2, 1, 1, 2, 3, 4, 4), 2, 2),
                           Sample(spread(0.2, 1, 2, 3, 4, 4), 3.0, (1, 2, 3), 1),
                           Sample(spread(0.2, 1, 1, 1, 4, 4, 2, dtype=np.float64), 1, 2, ceil_mode=True)],
          errors=lambda: [ErrorSample(Sample(np.ones((1, 1, 2, 2, 2), np.float32), 2, 3), ShapeError, "window|pool"),
                          ErrorSample(Sample(np.ones((1, 1, 2, 2, 2), np.float32), 0, 2), ValueRangeError, "order 0")])
def lp_pool3d(input: TensorT, norm_type: float, kernel_size: int | Triple, stride: int | Triple | None = None,
              ceil_mode: bool = False) -> TensorT:
    """Return ``sum(x ** p) ** (1 / p)`` of each window of a volume.

    Args:
        input: (N, C, D, H, W) or (C, D, H, W).
        norm_type: p.
        kernel_size: size of the window; one number, or one for depth, rows and columns.
        stride: step from window to window; the size of the window by default.
        ceil_mode: let a last window reach over the end.

    Raises:
        ShapeError: if the window does not fit.
        ValueRangeError: if a number is too small, or p is 0.

    >>> import autodiff as ad
    >>> ad.nn.functional.lp_pool3d(ad.tensor([[[[3.0, 4.0]]]]), 2, (1, 1, 2))
    tensor([[[[5.]]]])
    """
    kernel = numbers("lp_pool3d", "kernel_size", kernel_size, 3)
    return _pooled("lp_pool3d", input, norm_type, kernel,  # type: ignore[no-any-return]
                   lambda x: avg_pool3d(x, kernel, stride, 0, ceil_mode))  # type: ignore[arg-type]
