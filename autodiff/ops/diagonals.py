"""Diagonals and triangles of matrices. A dual pair: diagonal and diagonal_grad."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from autodiff.arguments import integer
from autodiff.bind import TensorT, bind
from autodiff.errors import ShapeError
from autodiff.ops import strided
from autodiff.ops.broadcast import sum as total_of
from autodiff.ops.choice import where
from autodiff.ops.elementwise import add, spread
from autodiff.ops.host import from_array
from autodiff.ops.joining import copied, zeros_of
from autodiff.ops.promotion import constant
from autodiff.ops.shaping import flatten, missing_dimension, shape_of
from autodiff.ops.structural import axis_index, select, slice_grad_p
from autodiff.primitive import ErrorSample, Sample, composed, define, no_errors
from autodiff.spec import Array, Shape, Spec

__all__ = ["diag", "diag_embed", "diagflat", "diagonal", "trace", "tril", "triu"]

# ---- Diagonals -------------------------------------------------------------------------------------------------------


def _diagonal_view(array: Array, offset: int, dim1: int, dim2: int) -> Array:
    view = np.diagonal(array, offset, dim1, dim2)
    view.flags.writeable = array.flags.writeable
    return view


def _diagonal_infer(x: Spec, offset: int, dim1: int, dim2: int) -> Spec:
    rows, columns = x.shape[dim1], x.shape[dim2]
    length = max(0, min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns))
    return Spec.of((*(n for axis, n in enumerate(x.shape) if axis not in (dim1, dim2)), length), x.dtype)


def _diagonal_vjp(record: Any, g: Any) -> tuple[Any]:
    return (bind(diagonal_grad_p, g, **record.params, shape=record.inputs[0].shape),)


def _diagonal_samples() -> list[Sample]:
    x = spread(-1, 1, 3, 4)
    return [Sample(x), Sample(x, 1), Sample(x, -2), Sample(x, 7), Sample(spread(-1, 1, 2, 3, 3), 0, 1, 2),
            Sample(spread(-1, 1, 2, 3, 4), 1, -1, 0), Sample(x.T[::2]), Sample(np.zeros((0, 2), np.float32))]


def _diagonal_errors() -> list[ErrorSample]:
    return [*missing_dimension(0, 2),
            ErrorSample(Sample(np.ones((2, 2), np.float32), 0, 1, -1), ShapeError, "two different dimensions"),
            ErrorSample(Sample(np.ones(2, np.float32)), ShapeError, "two dimensions")]


diagonal_p = define(
    "diagonal",
    infer=_diagonal_infer,
    run=lambda array, offset, dim1, dim2: [_diagonal_view(array, offset, dim1, dim2)],
    vjp=_diagonal_vjp,
    cost=strided.free,
    view=True,
    samples=_diagonal_samples,
    errors=_diagonal_errors,
    call=lambda *arguments: diagonal(*arguments),
)


def _diagonal_grad_run(outs: list[Array], ins: list[Array], shape: Shape, **place: int) -> None:
    strided.fill_array(outs[0], 0)
    strided.copy_array(_diagonal_view(outs[0], **place), ins[0])


def _diagonal_grad_twin(g: Any, offset: int, dim1: int, dim2: int, shape: Shape) -> Any:
    total: Any = zeros_of(Spec.of(shape, g.spec.dtype))
    for i in range(shape_of(g)[-1]):
        places = {dim1: i - min(offset, 0), dim2: i + max(offset, 0)}
        index = tuple(places.get(axis, (0, n, 1)) for axis, n in enumerate(shape))
        total = add(total, bind(slice_grad_p, select(g, -1, i), index=index, shape=shape))
    return total


diagonal_grad_p = define(
    "diagonal_grad",
    infer=lambda g, offset, dim1, dim2, shape: Spec.of(shape, g.dtype),
    run=_diagonal_grad_run,
    vjp=lambda record, h: (bind(diagonal_p, h, **{name: record.params[name] for name in ("offset", "dim1", "dim2")}),),
    twin=_diagonal_grad_twin,
    cost=copied,
    samples=lambda: [Sample(spread(-1, 1, 2, 3), offset=-1, dim1=2, dim2=0, shape=(3, 2, 5)),
                     Sample(spread(-1, 1, 2), offset=1, dim1=0, dim2=1, shape=(2, 3))],
    errors=no_errors,
)


def _two_dimensions(operation: str, dim1: int, dim2: int, ndim: int) -> tuple[int, int]:
    """Return two dimensions counted from 0.

    Raises:
        ShapeError: if one does not exist, or both are one.
    """
    if ndim < 2:
        raise ShapeError(operation, "a diagonal lies in two dimensions", got=f"{ndim} dimensions")
    first, second = axis_index(operation, dim1, ndim), axis_index(operation, dim2, ndim)
    if first == second:
        raise ShapeError(operation, "a diagonal lies in two different dimensions", got=f"{dim1} and {dim2}")
    return first, second


def diagonal(input: TensorT, offset: int = 0, dim1: int = 0, dim2: int = 1) -> TensorT:
    """Return a view of the diagonals of two dimensions; they become the last dimension.

    Args:
        input: at least two dimensions.
        offset: 0 is the main diagonal, above it the numbers are positive.
        dim1, dim2: the two dimensions.

    Raises:
        ShapeError: if a dimension does not exist or both are the same.

    >>> import autodiff as ad
    >>> ad.diagonal(ad.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    first, second = _two_dimensions("diagonal", dim1, dim2, len(shape_of(input)))
    result: TensorT = bind(diagonal_p, input, offset=integer("diagonal", "offset", offset), dim1=first, dim2=second)
    return result


def _diag_embed_samples() -> list[Sample]:
    x = spread(-1, 1, 2, 3)
    return [Sample(x), Sample(x, 1), Sample(x, -2, 0, 2), Sample(x[0]), Sample(x.T, 0, 1, 0), Sample(x[:, :0])]


def _diag_embed_errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [ErrorSample(Sample(x, 0, 0, 3), ShapeError, "dimension does not exist"),
            ErrorSample(Sample(x, 0, 1, -2), ShapeError, "two different dimensions"),
            ErrorSample(Sample(np.float32(1)), ShapeError, "at least one dimension")]


@composed(samples=_diag_embed_samples, errors=_diag_embed_errors)
def diag_embed(input: TensorT, offset: int = 0, dim1: int = -2, dim2: int = -1) -> TensorT:
    """Return square matrices of zeros whose diagonals are the last dimension of `input`.

    Args:
        input: (..., n).
        offset: which diagonal; 0 is the main one, above it the numbers are positive.
        dim1, dim2: where the rows and columns, ``n + |offset|`` each, stand in the result.

    Raises:
        ShapeError: if a dimension does not exist or both are the same.

    >>> import autodiff as ad
    >>> ad.diag_embed(ad.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    shape = shape_of(input, "diag_embed")
    if not shape:
        raise ShapeError("diag_embed", "a diagonal needs at least one dimension", got="a tensor without dimensions")
    rows, columns = _two_dimensions("diag_embed", dim1, dim2, len(shape) + 1)
    size = shape[-1] + abs(offset)
    rest = iter(shape[:-1])
    full = tuple([size if axis in (rows, columns) else next(rest) for axis in range(len(shape) + 1)])
    result: TensorT = bind(diagonal_grad_p, input, offset=int(offset), dim1=rows, dim2=columns, shape=full)
    return result


@composed(samples=lambda: [Sample(spread(-1, 1, 3)), Sample(spread(-1, 1, 2), -1), Sample(spread(-1, 1, 2, 3), 1)],
          errors=lambda: [ErrorSample(Sample(np.ones((1, 2, 3), np.float32)), ShapeError, "a vector or a matrix")])
def diag(input: TensorT, diagonal: int = 0) -> TensorT:
    """Return the matrix with a vector on its diagonal, or the diagonal of a matrix.

    Args:
        input: vector or matrix.
        diagonal: which one; 0 is the main one, above it the numbers are positive.

    Raises:
        ShapeError: for another number of dimensions.

    >>> import autodiff as ad
    >>> ad.diag(ad.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    shape = shape_of(input, "diag")
    if len(shape) == 1:
        return diag_embed(input, diagonal)
    if len(shape) != 2:
        raise ShapeError("diag", "this is no vector or matrix", expected="a vector or a matrix", got=str(shape),
                         fix="use diagonal(x, offset, dim1, dim2)")
    result: TensorT = bind(diagonal_p, input, offset=integer("diag", "diagonal", diagonal), dim1=0, dim2=1)
    return result


@composed(samples=lambda: [Sample(spread(-1, 1, 2, 2)), Sample(spread(-1, 1, 2), 1), Sample(np.float32(2))],
          errors=no_errors)
def diagflat(input: TensorT, offset: int = 0) -> TensorT:
    """Return the matrix with all elements of `input` on a diagonal.

    >>> import autodiff as ad
    >>> ad.diagflat(ad.tensor([[1], [2]]))
    tensor([[1, 0],
            [0, 2]])
    """
    return diag_embed(flatten(input), offset)


@composed(samples=lambda: [Sample(spread(-1, 1, 3, 3)), Sample(spread(-1, 1, 2, 3))],
          errors=lambda: [ErrorSample(Sample(np.ones(3, np.float32)), ShapeError, "of a matrix")])
def trace(input: TensorT) -> TensorT:
    """Return the sum of the diagonal of a matrix.

    Raises:
        ShapeError: for anything but a matrix.

    >>> import autodiff as ad
    >>> ad.trace(ad.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(5.)
    """
    if len(shape_of(input, "trace")) != 2:
        raise ShapeError("trace", "the trace is that of a matrix", expected="two dimensions", got=str(shape_of(input)))
    return total_of(diagonal(input))


# ---- Triangles -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _triangle(rows: int, columns: int, diagonal: int) -> Any:
    """Return the bools that are true on and below a diagonal."""
    return from_array(np.tri(rows, columns, diagonal, np.bool_))


def _triangle_samples() -> list[Sample]:
    x = spread(-1, 1, 3, 4)
    return [Sample(x), Sample(x, 1), Sample(x, diagonal=-1), Sample(spread(-1, 1, 2, 3, 3)), Sample(x.T),
            Sample(x[:, :0]),
            Sample(np.array([[np.nan, np.inf], [1, np.nan]], np.float32), gradient=False),
            Sample(np.ones((2, 2), np.bool_)),
            Sample(np.arange(9).reshape(3, 3)), Sample(x.astype(np.float64), -7)]


def _triangle_errors() -> list[ErrorSample]:
    return [ErrorSample(Sample(np.ones(3, np.float32)), ShapeError, "at least two dimensions")]


@composed(samples=_triangle_samples, errors=_triangle_errors)
def tril(input: TensorT, diagonal: int = 0) -> TensorT:
    """Return the matrices with zeros above a diagonal.

    Args:
        input: (..., rows, columns).
        diagonal: the last diagonal to keep; 0 is the main one, above it the numbers are positive.

    Raises:
        ShapeError: for fewer than two dimensions.

    >>> import autodiff as ad
    >>> ad.tril(ad.ones(2, 2))
    tensor([[1., 0.],
            [1., 1.]])
    """
    x: Any = input
    rows, columns = _matrix("tril", x)
    return where(_triangle(rows, columns, integer("tril", "diagonal", diagonal)), x, constant(0, x.spec.dtype))  # type: ignore[no-any-return]


@composed(samples=_triangle_samples, errors=_triangle_errors)
def triu(input: TensorT, diagonal: int = 0) -> TensorT:
    """Return the matrices with zeros below a diagonal.

    Args:
        input: (..., rows, columns).
        diagonal: the first diagonal to keep; 0 is the main one, above it the numbers are positive.

    Raises:
        ShapeError: for fewer than two dimensions.

    >>> import autodiff as ad
    >>> ad.triu(ad.ones(2, 2))
    tensor([[1., 1.],
            [0., 1.]])
    """
    x: Any = input
    rows, columns = _matrix("triu", x)
    below = _triangle(rows, columns, integer("triu", "diagonal", diagonal) - 1)
    return where(below, constant(0, x.spec.dtype), x)  # type: ignore[no-any-return]


def _matrix(operation: str, x: Any) -> tuple[int, int]:
    """Return the numbers of rows and columns.

    Raises:
        ShapeError: for fewer than two dimensions.
    """
    shape = shape_of(x, operation)
    if len(shape) < 2:
        raise ShapeError(operation, "a triangle is part of a matrix", expected="at least two dimensions",
                         got=str(shape))
    return shape[-2], shape[-1]
