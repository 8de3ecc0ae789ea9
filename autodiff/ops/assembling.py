"""Tensors put together from blocks, turned by right angles, and combined element by element."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.arguments import integer
from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops import strided
from autodiff.ops.elementwise import spread
from autodiff.ops.host import from_array
from autodiff.ops.joining import copied, stack, tensors_of
from autodiff.ops.picking import index_select
from autodiff.ops.promotion import cast, result_dtype
from autodiff.ops.rearranging import flip
from autodiff.ops.shaping import meshgrid, missing_dimension, shape_of
from autodiff.ops.structural import axes, clone, reshape, slice_p, transpose
from autodiff.primitive import ErrorSample, Sample, composed, define
from autodiff.spec import Array, Spec

__all__ = ["block_diag", "cartesian_prod", "combinations", "rot90"]


def _blocks(specs: Sequence[Spec]) -> list[tuple[int, int]]:
    """Return the row and the column where each block begins, and where a next one would."""
    return [(sum(spec.shape[0] for spec in specs[:i]), sum(spec.shape[1] for spec in specs[:i]))
            for i in range(len(specs) + 1)]


def _block_diag_run(outs: list[Array], ins: list[Array], begins: list[tuple[int, int]]) -> None:
    for block, (top, left), (bottom, right) in zip(ins, begins, begins[1:], strict=False):
        rows = outs[0][top:bottom]
        strided.fill_array(rows[:, :left], 0)
        strided.copy_array(rows[:, left:right], block)
        strided.fill_array(rows[:, right:], 0)


def _block_diag_vjp(record: Any, g: Any) -> list[Any]:
    return [bind(slice_p, g, index=((top, spec.shape[0], 1), (left, spec.shape[1], 1))) if wanted else None
            for wanted, spec, (top, left) in zip(record.mask, record.inputs, _blocks(record.inputs), strict=False)]


block_diag_p = define(
    "block_diag",
    infer=lambda *specs: Spec.of(_blocks(specs)[-1], specs[0].dtype),
    run=_block_diag_run,
    prepare=lambda inputs, outputs: {"begins": _blocks(inputs)},
    vjp=_block_diag_vjp,
    cost=copied,
    samples=lambda: [Sample(spread(-1, 1, 2, 3), spread(-2, 2, 1, 2)),
                     Sample(spread(-1, 1, 2, 2), spread(1, 2, 3), spread(-1, 1, 1, 1)),
                     Sample(spread(-1, 1, 2, 2).T, spread(1, 2, 1).reshape(())), Sample(spread(-1, 1, 3)),
                     Sample(np.array([[1, 2]]), np.array([[3]])),
                     Sample(spread(-1, 1, 0, 2), spread(-1, 1, 1, 1)),
                     Sample(spread(-1, 1, 2, 2, dtype=np.float64), spread(1, 2, 2, dtype=np.float64))],
    errors=lambda: [ErrorSample(Sample(np.ones((1, 1, 1), np.float32)), ShapeError, "no matrix"),
                    ErrorSample(Sample(), ShapeError, "no blocks")],
    call=lambda *tensors: block_diag(*tensors),
)


def block_diag(*tensors: TensorT) -> TensorT:
    """Return a matrix with the given ones along its diagonal, and zeros elsewhere.

    Args:
        tensors: matrices; a vector is one row, a tensor without dimensions one element.

    Raises:
        ShapeError: if there are no tensors, or one has more dimensions.

    >>> import autodiff as ad
    >>> ad.block_diag(ad.tensor([[1, 2]]), ad.tensor([3]))
    tensor([[1, 2, 0],
            [0, 0, 3]])
    """
    if not tensors:
        raise ShapeError("block_diag", "there are no blocks", expected="one tensor or more", got="none")
    blocks = []
    dtype = result_dtype("block_diag", *tensors)
    for x in tensors:
        shape = shape_of(x, "block_diag")
        if len(shape) > 2:
            raise ShapeError("block_diag", "a block is no matrix", expected="at most two dimensions", got=str(shape))
        blocks.append(cast(x if len(shape) == 2 else reshape(x, (1, shape[0] if shape else 1)), dtype))
    return bind(block_diag_p, *blocks)  # type: ignore[no-any-return]


@composed(samples=lambda: [Sample(spread(-1, 1, 2, 3), k) for k in (0, 1, 2, 3, -1, 5)] + [
    Sample(spread(-1, 1, 2, 3, 4), 1, (2, 0)), Sample(spread(-1, 1, 2, 3).T, 1, [-1, 0])],
    errors=lambda: [
        ErrorSample(Sample(np.ones((2, 3), np.float32), 1, (0, 2)), ShapeError, "does not exist"),
        ErrorSample(Sample(np.ones((2, 3), np.float32), 1, (0, -2)), ShapeError, "stands twice"),
        ErrorSample(Sample(np.ones((2, 3), np.float32), 1, (0,)), ShapeError, "two dimensions")])
def rot90(input: TensorT, k: int = 1, dims: Sequence[int] = (0, 1)) -> TensorT:
    """Return a copy turned by right angles, from the first of two dimensions towards the second.

    Args:
        input: any shape with two dimensions or more.
        k: how many right angles; negative ones the other way.
        dims: both dimensions.

    Raises:
        ShapeError: unless these are two dimensions of the tensor.
        DTypeError: if `k` is no integer.

    >>> import autodiff as ad
    >>> ad.rot90(ad.tensor([[1, 2], [3, 4]]))
    tensor([[2, 4],
            [1, 3]])
    """
    ndim = len(shape_of(input, "rot90"))
    if len(dims) != 2:
        raise ShapeError("rot90", "a plane has two dimensions", expected="two dimensions", got=str(tuple(dims)))
    axes("rot90", dims, ndim)
    first, second = (axis % ndim for axis in dims)
    k = integer("rot90", "k", k)
    if k % 4 == 0:
        return clone(input)
    if k % 4 == 2:
        return flip(input, (first, second))
    return flip(transpose(input, first, second), first if k % 4 == 1 else second)


@composed(samples=lambda: [Sample(spread(-1, 1, 2), spread(-2, 2, 3)), Sample(spread(-1, 1, 4)),
                           Sample(np.array([1, 2]), np.array([3, 4]), np.array([5]))],
          errors=lambda: [ErrorSample(Sample(np.ones((2, 2), np.float32), np.ones(2, np.float32)), ShapeError,
                                      "vectors")])
def cartesian_prod(*tensors: TensorT) -> TensorT:
    """Return all combinations of one element of each vector, in the order of the vectors.

    Args:
        tensors: vectors of one dtype.

    Returns:
        (product of the lengths, number of vectors); a single vector as it is.

    Raises:
        ShapeError: if one is no vector.

    >>> import autodiff as ad
    >>> ad.cartesian_prod(ad.tensor([1, 2]), ad.tensor([4, 5]))
    tensor([[1, 4],
            [1, 5],
            [2, 4],
            [2, 5]])
    """
    vectors = tensors_of("cartesian_prod", tensors)
    if any(x.spec.ndim != 1 for x in vectors):
        raise ShapeError("cartesian_prod", "these are no vectors", expected="one dimension each",
                         got=" and ".join(str(x.spec.shape) for x in vectors))
    if len(vectors) == 1:
        return clone(vectors[0])  # type: ignore[no-any-return]
    grids = meshgrid(*vectors, indexing="ij")
    return stack([reshape(grid, grid.spec.size) for grid in grids], 1)  # type: ignore[no-any-return]


@composed(samples=lambda: [Sample(spread(-1, 1, 4)), Sample(spread(-1, 1, 4), 3), Sample(np.array([1, 2, 3]), 2, True),
                           Sample(spread(-1, 1, 3), 4), Sample(spread(-1, 1, 3), 0)],
          errors=lambda: [*missing_dimension()[:1],
                          ErrorSample(Sample(np.ones((2, 2), np.float32)), ShapeError, "no vector"),
                          ErrorSample(Sample(np.ones(2, np.float32), -1), ValueRangeError, "negative"),
                          ErrorSample(Sample(np.ones(2, np.float32), 1.5), DTypeError, "no integer")])
def combinations(input: TensorT, r: int = 2, with_replacement: bool = False) -> TensorT:
    """Return all choices of r elements of a vector, each in the order of the vector.

    Args:
        input: (n,).
        r: how many.
        with_replacement: whether an element may be chosen several times.

    Returns:
        (number of choices, r); (0,) for r = 0.

    Raises:
        ShapeError: if `input` is no vector.
        ValueRangeError: if r is negative.
        DTypeError: if r is no integer.

    >>> import autodiff as ad
    >>> ad.combinations(ad.tensor([1, 2, 3]))
    tensor([[1, 2],
            [1, 3],
            [2, 3]])
    """
    shape = shape_of(input, "combinations")
    if len(shape) != 1:
        raise ShapeError("combinations", "the input is no vector", expected="one dimension", got=str(shape))
    r = integer("combinations", "the number of elements", r)
    if r < 0:
        raise ValueRangeError("combinations", "the number of elements is negative", expected="0 or more", got=str(r))
    places = _choices(shape[0], r, 0 if with_replacement else 1)
    chosen = index_select(input, 0, from_array(places.reshape(-1)))
    return reshape(chosen, places.shape) if r else chosen


def _choices(n: int, r: int, step: int) -> Array:
    """Return in order all rows of r whole numbers below n that grow by `step` or more, an int64 array (choices, r)."""
    columns: list[Array] = []
    for _ in range(r):
        # Each row so far is followed by every number that can follow its last one, up to n - 1.
        least = columns[-1] + step if columns else np.zeros(1, np.int64)
        counts = np.maximum(n - least, 0)
        ends = np.cumsum(counts)
        first = np.repeat(least - (ends - counts), counts)
        columns = [*(np.repeat(column, counts) for column in columns), first + np.arange(len(first))]
    return np.stack(columns, 1) if columns else np.empty((0, 1), np.int64)
