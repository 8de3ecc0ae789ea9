"""What goes back to where max pooling took it from: the elements to their places, zeros to all others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.bind import TensorT
from autodiff.errors import DTypeError, PositionError, ShapeError, ValueRangeError
from autodiff.ops.elementwise import spread
from autodiff.ops.images import Pair, Triple, numbers, require_rank
from autodiff.ops.joining import zeros_of
from autodiff.ops.scattering import scatter
from autodiff.ops.structural import require_tensor, reshape
from autodiff.primitive import ErrorSample, Sample, composed
from autodiff.spec import Array, Shape, Spec

__all__ = ["max_unpool1d", "max_unpool2d", "max_unpool3d"]


def _unpooled(
    rank: int, x: Any, indices: Any, kernel_size: Any, stride: Any, padding: Any, output_size: Sequence[int] | None
) -> Any:
    operation = f"max_unpool{rank}d"
    require_tensor(operation, indices)
    require_rank(operation, x, rank)
    shape: Shape = x.spec.shape
    if indices.spec.shape != shape:
        raise ShapeError(operation, "there is not one place for each element", expected=str(shape),
                         got=str(indices.spec.shape))
    if indices.spec.dtype.kind not in "iu":
        raise DTypeError(operation, "the places are no integers", expected="what max pooling returns with "
                         "return_indices=True", got=indices.spec.dtype.name)
    kernel = numbers(operation, "kernel_size", kernel_size, rank)
    step = kernel if stride is None or stride == () else numbers(operation, "stride", stride, rank)
    before = numbers(operation, "padding", padding, rank, 0)
    # With the smallest input that has so many windows; one up to a step larger has as many.
    size = tuple([(n - 1) * s + k - 2 * p for n, s, k, p in zip(shape[-rank:], step, kernel, before, strict=True)])
    if output_size is not None:
        wanted = tuple([int(n) for n in output_size][-rank:])
        if len(output_size) not in (rank, rank + 2):
            raise ShapeError(operation, "output_size has the wrong length", expected=f"{rank} or {rank + 2} numbers",
                             got=str(tuple(output_size)))
        if any(abs(n - usual) >= s for n, usual, s in zip(wanted, size, step, strict=True)):
            raise ValueRangeError(operation, "pooling an input of this output_size gives another shape",
                                  expected=f"within a step of {size}", got=str(wanted))
        size = wanted
    if min(size) < 0:
        raise ShapeError(operation, "the padding is larger than the output", got=str(before))
    lead, windows = shape[:-rank], math.prod(shape[-rank:])
    flat = scatter(zeros_of(Spec.of((*lead, math.prod(size)), x.spec.dtype)), -1, reshape(indices, (*lead, windows)),
                   reshape(x, (*lead, windows)))
    return reshape(flat, (*lead, *size))


def _places(size: tuple[int, ...], *shape: int) -> Array:
    """Return places in planes of a size, none of them twice."""
    count = math.prod(shape[2:])
    planes = [np.arange(math.prod(size))[i::2][:count] for i in range(2)]
    return np.array([planes[i % 2] for i in range(shape[0] * shape[1])]).reshape(shape)


def _samples(rank: int) -> list[Sample]:
    shape, size = (2, 3, *(2, 3, 2)[:rank]), (4, 6, 4)[:rank]
    x, places = spread(-1, 1, *shape), _places(size, *shape)
    odd = tuple(n + 1 for n in size)
    return [Sample(x, places, 2), Sample(x[0], places[0], (2,) * rank, None), Sample(x, places, 2, output_size=odd),
            Sample(x, places, 3, 2, 1, (2, 3, *size)), Sample(x.astype(np.float64), places, 2),
            Sample(x[:0], places[:0], 2)]


def _errors(rank: int) -> list[ErrorSample]:
    shape, size = (1, 1, *(2,) * rank), (4,) * rank
    x, places = np.ones(shape, np.float32), np.zeros(shape, np.int64)
    return [ErrorSample(Sample(x[0, 0], places[0, 0], 2), ShapeError, "wrong number of dimensions"),
            ErrorSample(Sample(x, places[0], 2), ShapeError, "one place for each element"),
            ErrorSample(Sample(x, x, 2), DTypeError, "the places are no integers.*return_indices=True; got float32"),
            ErrorSample(Sample(x, places + 4**rank, 2), PositionError, str(4**rank)),
            ErrorSample(Sample(x, places, 2, output_size=(*size[1:], 6)), ValueRangeError, "shape.*within a step"),
            ErrorSample(Sample(x, places, 2, output_size=(4,) * 7), ShapeError, "output_size has the wrong length"),
            ErrorSample(Sample(x, places, 0), ValueRangeError, "kernel_size is too small")]


@composed(samples=lambda: _samples(1), errors=lambda: _errors(1))
def max_unpool1d(input: TensorT, indices: TensorT, kernel_size: int | tuple[int],
                 stride: int | tuple[int] | None = None, padding: int | tuple[int] = 0,
                 output_size: Sequence[int] | None = None) -> TensorT:
    """Return a line with the maxima of its windows at their places and zeros elsewhere: `max_unpool2d` of a line.

    Args:
        input: (N, C, L) or (C, L), floats.
        indices: places as `max_pool1d` returns them; as large as `input`.
        kernel_size, stride, padding: of the pooling.
        output_size: length of the result, or its whole shape.

    Raises:
        ShapeError, DTypeError, ValueRangeError, PositionError: as `max_unpool2d`.

    >>> import autodiff as ad
    >>> from autodiff.nn import functional as F
    >>> F.max_unpool1d(*F.max_pool1d(ad.tensor([[1.0, 3.0, 2.0, 0.0]]), 2, return_indices=True), 2)
    tensor([[0., 3., 2., 0.]])
    """
    return _unpooled(1, input, indices, kernel_size, stride, padding, output_size)  # type: ignore[no-any-return]


@composed(samples=lambda: _samples(2), errors=lambda: _errors(2))
def max_unpool2d(input: TensorT, indices: TensorT, kernel_size: int | Pair, stride: int | Pair | None = None,
                 padding: int | Pair = 0, output_size: Sequence[int] | None = None) -> TensorT:
    """Return an image with the maxima of its windows at their places and zeros elsewhere.

    Args:
        input: (N, C, H, W) or (C, H, W), floats.
        indices: places ``row * width + column`` in the result, as `max_pool2d` returns them; as large as `input`. Of
            several elements with one place, the last counts.
        kernel_size: size of the pooling's windows; one number, or one for rows and one for columns.
        stride: step from window to window; by default `kernel_size`.
        padding: of the pooling.
        output_size: rows and columns of the result, or its whole shape. By default
            ``(H - 1) * stride + kernel_size - 2 * padding``; the pooled image may have been less than a step larger.

    Raises:
        ShapeError: for another number of dimensions, or if `indices` is not as large as `input`.
        DTypeError: if `indices` does not hold integers.
        ValueRangeError: if a number is too small, or pooling an image of `output_size` gives another shape.
        PositionError: for a place outside of the result.

    >>> import autodiff as ad
    >>> from autodiff.nn import functional as F
    >>> F.max_unpool2d(*F.max_pool2d(ad.tensor([[[1.0, 2.0], [4.0, 3.0]]]), 2, return_indices=True), 2)
    tensor([[[0., 0.],
             [4., 0.]]])
    """
    return _unpooled(2, input, indices, kernel_size, stride, padding, output_size)  # type: ignore[no-any-return]


@composed(samples=lambda: _samples(3), errors=lambda: _errors(3))
def max_unpool3d(input: TensorT, indices: TensorT, kernel_size: int | Triple, stride: int | Triple | None = None,
                 padding: int | Triple = 0, output_size: Sequence[int] | None = None) -> TensorT:
    """Return a volume with the maxima of its windows at their places and zeros elsewhere: `max_unpool2d` of a volume.

    Args:
        input: (N, C, D, H, W) or (C, D, H, W), floats.
        indices: places as `max_pool3d` returns them; as large as `input`.
        kernel_size, stride, padding: of the pooling; one number, or one for depth, rows and columns.
        output_size: depth, rows and columns of the result, or its whole shape.

    Raises:
        ShapeError, DTypeError, ValueRangeError, PositionError: as `max_unpool2d`.

    >>> import autodiff as ad
    >>> from autodiff.nn import functional as F
    >>> F.max_unpool3d(ad.ones(1, 1, 1, 1), ad.tensor([[[[2]]]]), (1, 2, 2))
    tensor([[[[0., 0.],
              [1., 0.]]]])
    """
    return _unpooled(3, input, indices, kernel_size, stride, padding, output_size)  # type: ignore[no-any-return]
