"""Other shapes for the same elements: functions composed of reshape, permute and expand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.arguments import integers
from autodiff.bind import TensorT
from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops import strided
from autodiff.ops.broadcast import expand
from autodiff.ops.elementwise import spread
from autodiff.ops.structural import (
    axes,
    axis_index,
    permute,
    require_tensor,
    reshape,
    resolve_shape,
    shape_argument,
    transpose,
)
from autodiff.primitive import ErrorSample, Sample, composed, no_errors
from autodiff.spec import Shape, Spec

__all__ = ["atleast_1d", "atleast_2d", "atleast_3d", "broadcast_shapes", "broadcast_tensors", "broadcast_to",
           "expand_as",
           "flatten", "meshgrid", "moveaxis", "movedim", "ravel", "reshape_as", "squeeze", "swapaxes", "swapdims", "t",
           "unflatten", "unsqueeze", "view_as"]


def shape_of(x: Any, operation: str = "shape") -> Shape:
    """Return the shape of a tensor.

    Raises:
        DTypeError: if it is none.
    """
    try:
        shape: Shape = x.spec.shape
    except AttributeError:
        require_tensor(operation, x)
        raise
    return shape


def missing_dimension(*arguments: Any) -> list[ErrorSample]:
    """Return a call on a matrix with a dimension that it does not have, and one on a list."""
    return [ErrorSample(Sample([[1.0, 2.0]], *arguments), DTypeError, "not a tensor.*got list"),
            ErrorSample(Sample(np.ones((2, 3), np.float32), *arguments), ShapeError,
                        "dimension does not exist.*-2 to 1; got 2")]


# ---- Dimensions of size 1, merged and split dimensions ---------------------------------------------------------------


def _squeeze_samples() -> list[Sample]:
    x = spread(-1, 1, 1, 3, 1, 2)
    return [Sample(x), Sample(x, 0), Sample(x, 1), Sample(x, -2), Sample(x, (0, 2)), Sample(x.transpose(3, 0, 2, 1)),
            Sample(np.float32(2)), Sample(np.zeros((1, 0), np.float32), 0), Sample(x.astype(np.float64), (0, 1))]


@composed(samples=_squeeze_samples, errors=lambda: missing_dimension(2))
def squeeze(input: TensorT, dim: int | Sequence[int] | None = None) -> TensorT:
    """Return a view without the dimensions of size 1.

    Args:
        input: any shape and dtype.
        dim: drop only these; one whose size is not 1 stays. All by default.

    Raises:
        ShapeError: if a dimension does not exist.

    >>> import autodiff as ad
    >>> ad.squeeze(ad.zeros(1, 3, 1)).shape, ad.squeeze(ad.zeros(1, 3, 1), 0).shape
    ((3,), (3, 1))
    """
    shape = shape_of(input, "squeeze")
    dropped: Sequence[int] = () if dim == () else axes("squeeze", dim, len(shape))
    return reshape(input, tuple(n for axis, n in enumerate(shape) if n != 1 or axis not in dropped))


def _unsqueeze_samples() -> list[Sample]:
    x = spread(-1, 1, 2, 3)
    return [Sample(x, 0), Sample(x, 1), Sample(x, -1), Sample(x.T, -3), Sample(np.float32(2), 0),
            Sample(x[::2, ::-2], 1), Sample(np.zeros((0, 2), np.float32), 2)]


@composed(samples=_unsqueeze_samples, errors=lambda: [
    ErrorSample(Sample(np.ones((2, 3), np.float32), 3), ShapeError, "dimension does not exist.*-3 to 2; got 3")])
def unsqueeze(input: TensorT, dim: int) -> TensorT:
    """Return a view with a new dimension of size 1.

    Args:
        input: any shape and dtype.
        dim: where the new dimension stands in the result.

    Raises:
        ShapeError: if `dim` is outside the result.

    >>> import autodiff as ad
    >>> ad.unsqueeze(ad.zeros(2, 3), -1).shape
    (2, 3, 1)
    """
    shape = shape_of(input, "unsqueeze")
    axis = axis_index("unsqueeze", dim, len(shape) + 1)
    return reshape(input, (*shape[:axis], 1, *shape[axis:]))


def _flatten_samples() -> list[Sample]:
    x = spread(-1, 1, 2, 3, 4)
    return [Sample(x), Sample(x, 1), Sample(x, 0, 1), Sample(x, -2, -1), Sample(x, 1, 1), Sample(np.float32(2)),
            Sample(spread(-1, 1, 2, 2, 3, 3).transpose(0, 3, 1, 2), 1), Sample(np.zeros((2, 0, 3), np.float32), 1)]


def _flatten_errors() -> list[ErrorSample]:
    return [*missing_dimension(2),
            ErrorSample(Sample(np.ones((2, 3), np.float32), 1, 0), ShapeError, "start_dim lies after end_dim")]


@composed(samples=_flatten_samples, errors=_flatten_errors)
def flatten(input: TensorT, start_dim: int = 0, end_dim: int = -1) -> TensorT:
    """Return `input` with the dimensions from `start_dim` to `end_dim` (included) merged; a view where strides allow.

    Args:
        input: any shape and dtype; a tensor without dimensions becomes one of one element.
        start_dim, end_dim: first and last dimension to merge; all by default.

    Raises:
        ShapeError: if a dimension does not exist, or the first lies after the last.

    >>> import autodiff as ad
    >>> ad.flatten(ad.zeros(2, 3, 4), 1).shape
    (2, 12)
    """
    shape = shape_of(input, "flatten")
    first, last = axis_index("flatten", start_dim, len(shape)), axis_index("flatten", end_dim, len(shape))
    if first > last:
        raise ShapeError("flatten", "start_dim lies after end_dim", got=f"start_dim {start_dim}, end_dim {end_dim}")
    if first == last and shape:
        return input
    size = 1
    for n in shape[first:last + 1]:
        size *= n
    return reshape(input, (*shape[:first], size, *shape[last + 1:]))


@composed(samples=lambda: [Sample(spread(-1, 1, 2, 3)), Sample(spread(-1, 1, 3, 2).T), Sample(np.float32(1))],
          errors=no_errors)
def ravel(input: TensorT) -> TensorT:
    """Return all elements as one dimension, read in C order; a view where strides allow.

    >>> import autodiff as ad
    >>> ad.ravel(ad.tensor([[1, 2], [3, 4]]))
    tensor([1, 2, 3, 4])
    """
    return flatten(input)


def _unflatten_samples() -> list[Sample]:
    x = spread(-1, 1, 2, 6)
    return [Sample(x, 1, (2, 3)), Sample(x, -1, (3, -1)), Sample(x.T, 0, (1, 2, 3)),
            Sample(np.zeros((0,), np.float32), 0, (0, 4))]


def _unflatten_errors() -> list[ErrorSample]:
    x = np.ones((2, 6), np.float32)
    return [*missing_dimension(2, (1, 2)),
            ErrorSample(Sample(x, 1, (4, -1)), ShapeError, r"\[unflatten\].*of 6 elements.*got \(4, -1\)")]


@composed(samples=_unflatten_samples, errors=_unflatten_errors)
def unflatten(input: TensorT, dim: int, sizes: Sequence[int]) -> TensorT:
    """Return `input` with one dimension split into several.

    Args:
        input: any shape and dtype.
        dim: dimension to split.
        sizes: sizes it is split into; one may be -1.

    Raises:
        ShapeError: if the dimension does not exist, or its size is not the product of `sizes`.

    >>> import autodiff as ad
    >>> ad.unflatten(ad.zeros(2, 12), 1, (3, -1)).shape
    (2, 3, 4)
    """
    shape = shape_of(input, "unflatten")
    axis = axis_index("unflatten", dim, len(shape))
    split = resolve_shape("unflatten", shape[axis] if shape else 1, integers("unflatten", "sizes", sizes))
    return reshape(input, (*shape[:axis], *split, *shape[axis + 1:]))


def _as_samples() -> list[Sample]:
    x = spread(-1, 1, 2, 6)
    return [Sample(x, np.zeros((3, 4), np.float32)), Sample(x.T, np.zeros((12,), np.float32)),
            Sample(np.float32(1), np.zeros((1, 1), np.float32))]


def _as_errors() -> list[ErrorSample]:
    return [ErrorSample(Sample(np.ones((2, 3), np.float32), np.ones((4,), np.float32)), ShapeError,
                        "another number of elements")]


@composed(samples=_as_samples, errors=_as_errors)
def reshape_as(input: TensorT, other: Any) -> TensorT:
    """Return ``reshape(input, other.shape)``.

    Raises:
        ShapeError: if the number of elements differs.

    >>> import autodiff as ad
    >>> ad.reshape_as(ad.zeros(6), ad.zeros(2, 3)).shape
    (2, 3)
    """
    return reshape(input, shape_of(other))


@composed(samples=_as_samples, errors=_as_errors)
def view_as(input: TensorT, other: Any) -> TensorT:
    """Return ``input.view(other.shape)``: a view where the strides allow, else a copy.

    Raises:
        ShapeError: if the number of elements differs.

    >>> import autodiff as ad
    >>> ad.view_as(ad.zeros(6), ad.zeros(2, 3)).shape
    (2, 3)
    """
    return reshape(input, shape_of(other))


def _at_least(tensors: tuple[Any, ...], ndim: int) -> Any:
    """Return every tensor with at least `ndim` dimensions; the single one when there is one."""
    if len(tensors) == 1 and isinstance(tensors[0], Sequence):
        tensors = tuple(tensors[0])
    results = []
    for x in tensors:
        shape = shape_of(x)
        if len(shape) < ndim:
            # A vector is a row of a matrix, and a matrix one slice of a volume, the last dimension.
            lead = (1,) * (min(ndim, 2) - len(shape))
            x = reshape(x, (*lead, *shape, *(1,) * (ndim - len(lead) - len(shape))))
        results.append(x)
    return results[0] if len(results) == 1 else tuple(results)


def _at_least_samples() -> list[Sample]:
    return [Sample(np.float32(2)), Sample(spread(-1, 1, 3)), Sample(spread(-1, 1, 2, 3)),
            Sample(spread(-1, 1, 2, 3, 2))]


@composed(samples=_at_least_samples, errors=no_errors)
def atleast_1d(*tensors: Any) -> Any:
    """Return the tensor, or the tuple of tensors, with at least one dimension each.

    >>> import autodiff as ad
    >>> ad.atleast_1d(ad.tensor(2.0))
    tensor([2.])
    """
    return _at_least(tensors, 1)


@composed(samples=_at_least_samples, errors=no_errors)
def atleast_2d(*tensors: Any) -> Any:
    """Return the tensor, or the tuple of tensors, with at least two dimensions each; a vector becomes a row.

    >>> import autodiff as ad
    >>> ad.atleast_2d(ad.zeros(3)).shape
    (1, 3)
    """
    return _at_least(tensors, 2)


@composed(samples=_at_least_samples, errors=no_errors)
def atleast_3d(*tensors: Any) -> Any:
    """Return the tensor, or the tuple of tensors, with at least three dimensions each: (n,) gives (1, n, 1).

    >>> import autodiff as ad
    >>> ad.atleast_3d(ad.zeros(3)).shape, ad.atleast_3d(ad.zeros(2, 3)).shape
    ((1, 3, 1), (2, 3, 1))
    """
    return _at_least(tensors, 3)


# ---- Order of dimensions ---------------------------------------------------------------------------------------------


def _movedim_samples() -> list[Sample]:
    x = spread(-1, 1, 2, 3, 4)
    return [Sample(x, 0, 2), Sample(x, -1, 0), Sample(x, (0, 1), (2, 0)), Sample(x[::2], (-1, 0), (0, -1))]


def _movedim_errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [*missing_dimension(2, 0), ErrorSample(Sample(x, (0, 1), (0,)), ShapeError, "as many dimensions"),
            ErrorSample(Sample(x, (0, 0), (0, 1)), ShapeError, "stands twice")]


@composed(samples=_movedim_samples, errors=_movedim_errors)
def movedim(input: TensorT, source: int | Sequence[int], destination: int | Sequence[int]) -> TensorT:
    """Return a view with dimensions moved to other positions; the others keep their order.

    Args:
        input: any shape and dtype.
        source: the dimension, or dimensions, to move.
        destination: where each of them goes.

    Raises:
        ShapeError: if a dimension does not exist or stands twice, or the two lists differ in length.

    >>> import autodiff as ad
    >>> ad.movedim(ad.zeros(2, 3, 4), 0, -1).shape
    (3, 4, 2)
    """
    ndim = len(shape_of(input, "movedim"))
    sources = [axis_index("movedim", d, ndim) for d in integers("movedim", "source", source)]
    targets = [axis_index("movedim", d, ndim) for d in integers("movedim", "destination", destination)]
    if len(sources) != len(targets):
        raise ShapeError("movedim", "source and destination need as many dimensions", got=f"{source} and {destination}")
    if len(set(sources)) != len(sources) or len(set(targets)) != len(targets):
        raise ShapeError("movedim", "a dimension stands twice", got=f"{source} and {destination}")
    if not ndim:
        return permute(input, ())
    moved_there = dict(zip(targets, sources, strict=True))
    rest = iter([axis for axis in range(ndim) if axis not in sources])
    return permute(input, [moved_there[axis] if axis in moved_there else next(rest) for axis in range(ndim)])


def moveaxis(input: TensorT, source: int | Sequence[int], destination: int | Sequence[int]) -> TensorT:
    """Return ``movedim(input, source, destination)``: NumPy's name for it.

    >>> import autodiff as ad
    >>> ad.moveaxis(ad.zeros(2, 3, 4), 0, -1).shape
    (3, 4, 2)
    """
    return movedim(input, source, destination)


def swapaxes(input: TensorT, axis0: int, axis1: int) -> TensorT:
    """Return ``transpose(input, axis0, axis1)``: NumPy's name for it.

    >>> import autodiff as ad
    >>> ad.swapaxes(ad.zeros(2, 3), 0, 1).shape
    (3, 2)
    """
    return transpose(input, axis0, axis1)


def swapdims(input: TensorT, dim0: int, dim1: int) -> TensorT:
    """Return ``transpose(input, dim0, dim1)``.

    >>> import autodiff as ad
    >>> ad.swapdims(ad.zeros(2, 3), 0, 1).shape
    (3, 2)
    """
    return transpose(input, dim0, dim1)


@composed(samples=lambda: [Sample(spread(-1, 1, 2, 3)), Sample(spread(-1, 1, 3)), Sample(np.float32(1))],
          errors=lambda: [
    ErrorSample(Sample(np.ones((1, 2, 3), np.float32)), ShapeError, r"\[t\].*at most two dimensions.*\(1, 2, 3\)")])
def t(input: TensorT) -> TensorT:
    """Return the transpose of a matrix, a view; vectors and numbers as they are.

    Raises:
        ShapeError: for more than two dimensions.

    >>> import autodiff as ad
    >>> ad.t(ad.zeros(2, 3)).shape
    (3, 2)
    """
    ndim = len(shape_of(input, "t"))
    if ndim > 2:
        raise ShapeError("t", "only a matrix has a transpose", expected="at most two dimensions",
                         got=str(shape_of(input)),
                         fix="use x.mT or x.transpose(dim0, dim1)")
    return transpose(input, 0, 1) if ndim == 2 else permute(input, tuple(range(ndim)))


# ---- Broadcasting ----------------------------------------------------------------------------------------------------


def _expand_errors() -> list[ErrorSample]:
    return [ErrorSample(Sample(np.ones((2, 3), np.float32), np.ones((2, 4), np.float32)), ShapeError,
                        r"\(2, 3\) to \(2, 4\)")]


@composed(samples=lambda: [Sample(spread(-1, 1, 3, 1), np.zeros((2, 3, 4), np.float32)),
                           Sample(np.float32(1), np.zeros(0, np.float32))],
          errors=_expand_errors)
def expand_as(input: TensorT, other: Any) -> TensorT:
    """Return ``expand(input, other.shape)``.

    Raises:
        ShapeError: if a dimension of another size than 1 would have to grow.

    >>> import autodiff as ad
    >>> ad.expand_as(ad.zeros(3, 1), ad.zeros(3, 4)).shape
    (3, 4)
    """
    return expand(input, shape_of(other))


@composed(samples=lambda: [Sample(spread(-1, 1, 3, 1), (2, 3, 4)), Sample(np.float32(1), (2,))], errors=lambda: [
    ErrorSample(Sample(np.ones((2, 3), np.float32), (2, 4)), ShapeError, r"\(2, 3\) to \(2, 4\)")])
def broadcast_to(input: TensorT, size: Sequence[int]) -> TensorT:
    """Return ``expand(input, size)``: a view repeated along dimensions of size 1.

    Raises:
        ShapeError: if a dimension of another size than 1 would have to grow.

    >>> import autodiff as ad
    >>> ad.broadcast_to(ad.tensor([1, 2]), (2, 2))
    tensor([[1, 2],
            [1, 2]])
    """
    return expand(input, tuple(size))


def broadcast_shapes(*shapes: Any) -> Shape:
    """Return the shape that the given shapes (or sizes) broadcast to.

    Raises:
        ShapeError: if they do not.

    >>> import autodiff as ad
    >>> ad.broadcast_shapes((2, 1), (3,), 1)
    (2, 3)
    """
    if not shapes:
        return ()
    return strided.broadcast("broadcast_shapes", *[Spec.of(shape_argument((shape,))) for shape in shapes])


@composed(samples=lambda: [Sample(spread(-1, 1, 3, 1), spread(-1, 1, 4)),
                           Sample(spread(-1, 1, 2), np.float32(1), spread(-1, 1, 3, 1))],
          errors=lambda: [ErrorSample(Sample(np.ones(2, np.float32), np.ones(3, np.float32)), ShapeError,
                                      "do not broadcast")])
def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """Return views of all tensors in the shape that they broadcast to.

    Raises:
        ShapeError: if they do not broadcast.

    >>> import autodiff as ad
    >>> [x.shape for x in ad.broadcast_tensors(ad.zeros(3, 1), ad.zeros(2))]
    [(3, 2), (3, 2)]
    """
    shape = strided.broadcast("broadcast_tensors", *[x.spec for x in tensors])
    return tuple([expand(x, shape) for x in tensors])


def _meshgrid_samples() -> list[Sample]:
    x, y = spread(-1, 1, 3), spread(-1, 1, 2)
    return [Sample(x, y), Sample([x, y, x]), Sample(x, y, indexing="xy"), Sample(x),
            Sample(x, y, np.float32(1), indexing="xy")]


def _meshgrid_errors() -> list[ErrorSample]:
    x = np.ones(2, np.float32)
    return [ErrorSample(Sample(x, x, indexing="ji"), ValueRangeError, "'ij' or 'xy'"),
            ErrorSample(Sample(np.ones((2, 2), np.float32)), ShapeError, "vectors")]


@composed(samples=_meshgrid_samples, errors=_meshgrid_errors)
def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """Return the coordinates of a grid whose axes are the given vectors, as views.

    Args:
        tensors: vectors (or numbers), as arguments or one sequence.
        indexing: ``"ij"``: the first vector runs along dimension 0; ``"xy"``: along dimension 1, the second along 0.

    Returns:
        One tensor a vector, all of the shape of the grid.

    Raises:
        ShapeError: for a tensor of two or more dimensions.
        ValueRangeError: for another `indexing`.

    >>> import autodiff as ad
    >>> rows, columns = ad.meshgrid(ad.tensor([1, 2]), ad.tensor([3, 4, 5]))
    >>> rows
    tensor([[1, 1, 1],
            [2, 2, 2]])
    """
    if len(tensors) == 1 and isinstance(tensors[0], Sequence):
        tensors = tuple(tensors[0])
    if indexing not in ("ij", "xy"):
        raise ValueRangeError("meshgrid", "this indexing does not exist", expected="'ij' or 'xy'", got=repr(indexing))
    if any(len(shape_of(x)) > 1 for x in tensors):
        raise ShapeError("meshgrid", "the axes of a grid are vectors",
                         got=" and ".join(str(shape_of(x)) for x in tensors))
    places = list(range(len(tensors)))
    if indexing == "xy" and len(tensors) > 1:
        places[:2] = [1, 0]
    sizes = [x.spec.size for x in tensors]
    grid = tuple(sizes[places.index(axis)] for axis in range(len(tensors)))
    rows = [reshape(x, tuple(-1 if axis == place else 1 for axis in range(len(tensors))))
            for x, place in zip(tensors, places, strict=True)]
    return tuple([expand(row, grid) for row in rows])
