"""Tables: rows of an embedding, elements by their flat position, repeated places, one-hot vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.arguments import integer, integers
from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, PositionError, ShapeError, ValueRangeError
from autodiff.ops.broadcast import expand
from autodiff.ops.elementwise import spread
from autodiff.ops.host import from_array, values
from autodiff.ops.picking import index_select, outside, pick_p, positions, reading, require_index
from autodiff.ops.promotion import INT64, is_tensor
from autodiff.ops.shaping import flatten, missing_dimension, shape_of
from autodiff.ops.structural import axis_index, contiguous, copied, reshape
from autodiff.primitive import ErrorSample, Sample, composed, define
from autodiff.spec import Array, Cost, Spec, moved

__all__ = ["embedding", "one_hot", "repeat_interleave", "take"]

# ---- Flat reading and repeated places -------------------------------------------------------------------------------


@composed(samples=lambda: [Sample(spread(-1, 1, 3, 4), np.array([[0, 11], [-1, 5]])),
                           Sample(spread(-1, 1, 2, 3).T, np.array(4))],
          errors=lambda: [ErrorSample(Sample(np.ones((2, 3), np.float32), np.array([6])), PositionError,
                                      "-6 to 5; got 6")])
def take(input: TensorT, index: Any) -> TensorT:
    """Return the elements at positions counted over the whole tensor in C order.

    Args:
        input: any shape and dtype.
        index: integers of any shape, which is the shape of the result; negative ones count from the end.

    Raises:
        PositionError: for an index outside the tensor.
        DTypeError: if `index` does not hold integers.

    >>> import autodiff as ad
    >>> ad.take(ad.tensor([[1, 2], [3, 4]]), ad.tensor([0, -1]))
    tensor([1, 4])
    """
    flat: Any = flatten(input)
    places = positions([require_index("take", index)], flat.spec.shape)
    return bind(pick_p, contiguous(flat), places, dim=0, padding=-1)  # type: ignore[no-any-return]


def _interleave_samples() -> list[Sample]:
    x = spread(-1, 1, 2, 3)
    return [Sample(x, 2), Sample(x, 3, 1), Sample(x.T, 2, dim=0), Sample(x, np.array([2, 1]), 0),
            Sample(x, np.array([0, 2, 1]), -1),
            Sample(x, np.array([2]), 1), Sample(x, 0, 1)]


def _interleave_errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [*missing_dimension(2, 2),
            ErrorSample(Sample(x, np.array([1, 2]), 1), ShapeError, "one number, or 3; got 2"),
            ErrorSample(Sample(x, -1), ValueRangeError, "negative"),
            ErrorSample(Sample(x, np.array([1, -1]), 0), ValueRangeError, "negative")]


@composed(samples=_interleave_samples, errors=_interleave_errors)
def repeat_interleave(input: TensorT, repeats: Any, dim: int | None = None, *,
                      output_size: int | None = None) -> TensorT:
    """Return every place of a dimension repeated.

    Args:
        input: any shape and dtype.
        repeats: how often: one number, or a tensor of one integer a place.
        dim: dimension; by default the tensor is flattened.
        output_size: places of the result; not needed.

    Raises:
        ShapeError: if the dimension does not exist or `repeats` has another length.
        ValueRangeError: for a negative number.

    >>> import autodiff as ad
    >>> ad.repeat_interleave(ad.tensor([1, 2]), 2)
    tensor([1, 1, 2, 2])
    """
    if dim is None:
        return repeat_interleave(flatten(input), repeats, 0)
    shape = shape_of(input, "repeat_interleave")
    axis = axis_index("repeat_interleave", dim, len(shape))
    counts = (values(repeats).reshape(-1) if is_tensor(repeats)
              else np.array(integers("repeat_interleave", "repeats", repeats)))
    if counts.size not in (1, shape[axis]):
        raise ShapeError("repeat_interleave", "repeats has another length than the dimension",
                         expected=f"one number, or {shape[axis]}", got=str(counts.size))
    if counts.min(initial=0) < 0:
        raise ValueRangeError("repeat_interleave", "a number of repeats is negative", got=str(counts.min()))
    if counts.size == 1:
        count = int(counts[0])
        apart = reshape(input, (*shape[:axis + 1], 1, *shape[axis + 1:]))
        copies = copied(expand(apart, (*shape[:axis + 1], count, *shape[axis + 1:])), tuple(range(len(shape) + 1)))
        return reshape(copies, (*shape[:axis], count * shape[axis], *shape[axis + 1:]))
    return index_select(input, axis, from_array(np.repeat(np.arange(shape[axis]), counts)))


# ---- Embedding -------------------------------------------------------------------------------------------------------


def _embedding_samples() -> list[Sample]:
    weight, rows = spread(-1, 1, 5, 3), np.array([[1, 4], [0, 1]])
    return [Sample(rows, weight), Sample(rows[0], weight), Sample(np.array(3), weight),
            Sample(rows.T, weight.astype(np.float64)),
            Sample(rows[:0], weight), Sample(rows.astype(np.int32), weight[:, ::2])]


def _embedding_errors() -> list[ErrorSample]:
    weight = np.ones((5, 3), np.float32)
    return [ErrorSample(Sample(np.array([[0, 1], [5, 2]]), weight), PositionError,
                        r"\[embedding\].*\(1, 0\).*0 to 4; got 5"),
            ErrorSample(Sample(np.array([-1]), weight), PositionError, "got -1"),
            ErrorSample(Sample(np.ones(2, np.float32), weight), DTypeError, "integers"),
            ErrorSample(Sample(np.array([0]), weight[0]), ShapeError, r"\(rows, features\)"),
            ErrorSample(Sample(np.array([0]), weight, 5), ValueRangeError, "-5 to 4; got 5")]


embedding_p = reading("embedding", _embedding_samples, _embedding_errors, lambda *a: embedding(*a))


def embedding(input: Any, weight: TensorT, padding_idx: int | None = None) -> TensorT:
    """Return the rows of a table that `input` lists.

    Args:
        input: any shape; integers from 0 on.
        weight: (rows, features).
        padding_idx: a row that receives no gradient; negative ones count from the end.

    Returns:
        Shape of `input`, features.

    Raises:
        PositionError: for a row that does not exist.
        ShapeError: if `weight` is no matrix.
        DTypeError: if `input` does not hold integers.
        ValueRangeError: for a `padding_idx` outside the table.

    >>> import autodiff as ad
    >>> ad.nn.functional.embedding(ad.tensor([1, 0]), ad.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[3., 4.],
            [1., 2.]])
    """
    index = require_index("embedding", input)
    shape = shape_of(weight, "embedding")
    if len(shape) != 2:
        raise ShapeError("embedding", "the weight is no table", expected="(rows, features)", got=str(shape))
    if padding_idx is not None and not -shape[0] <= padding_idx < shape[0]:
        raise ValueRangeError("embedding", "padding_idx is no row of the table",
                              expected=f"{-shape[0]} to {shape[0] - 1}",
                              got=str(padding_idx))
    padding = -1 if padding_idx is None else padding_idx % shape[0]
    return bind(embedding_p, contiguous(weight), index, dim=0, padding=padding)  # type: ignore[no-any-return]


# ---- One-hot ---------------------------------------------------------------------------------------------------------


def _one_hot_run(outs: list[Array], ins: list[Array], classes: int) -> None:
    out, status = outs
    index = ins[0].reshape(-1)
    kernels.index.one_hot(out.reshape(index.size, classes), status, index, 0, 1)


one_hot_p = define(
    "one_hot",
    infer=lambda index, classes: Spec.of((*index.shape, classes), INT64),
    run=_one_hot_run,
    status=lambda position, ins, classes: outside("one_hot", position, ins[0], ins[0].ndim, classes),
    vjp=None,
    cost=lambda inputs, outputs, classes: Cost(0, moved(*inputs, *outputs)),
    samples=lambda: [Sample(np.array([2, 0, 1])), Sample(np.array([[2, 0], [1, 1]]), 4), Sample(np.array(1), 2),
                     Sample(np.zeros(0, np.int64), 3)],
    errors=lambda: [ErrorSample(Sample(np.array([0, 3]), 3), PositionError, r"\[one_hot\].*place 1 .*0 to 2; got 3"),
                    ErrorSample(Sample(np.ones(2, np.float32), 3), DTypeError, "integers"),
                    ErrorSample(Sample(np.zeros(0, np.int64)), ValueRangeError, "num_classes")],
    call=lambda *a: one_hot(*a),
)


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """Return int64 vectors that are 1 at the class and 0 elsewhere.

    Args:
        tensor: any shape; integers from 0 on.
        num_classes: length of the vectors; by default the largest class + 1.

    Returns:
        Shape of `tensor`, num_classes.

    Raises:
        PositionError: for a class outside the range.
        DTypeError: if `tensor` does not hold integers.
        ValueRangeError: if the number of classes is missing or not positive.

    >>> import autodiff as ad
    >>> ad.nn.functional.one_hot(ad.tensor([1, 0]), 3)
    tensor([[0, 1, 0],
            [1, 0, 0]])
    """
    index = require_index("one_hot", tensor)
    classes = integer("one_hot", "num_classes", num_classes)
    if classes == -1:
        classes = int(values(index).max(initial=-1)) + 1
    if classes < 1:
        raise ValueRangeError("one_hot", "num_classes is no positive number", got=str(num_classes),
                              fix="pass the number of classes")
    return bind(one_hot_p, index, classes=classes)
