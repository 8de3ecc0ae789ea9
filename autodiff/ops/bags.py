"""Rows of a table that are reduced bag by bag, composed of reading rows and of scattered reductions."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, PositionError, ShapeError, ValueRangeError
from autodiff.ops.broadcast import expand
from autodiff.ops.broadcast import sum as total
from autodiff.ops.choice import clamp_min, where
from autodiff.ops.comparison import eq, ne
from autodiff.ops.elementwise import div, mul, spread
from autodiff.ops.extremes import amax
from autodiff.ops.joining import zeros_of
from autodiff.ops.lookup import embedding
from autodiff.ops.picking import index_select_grad_p, require_index
from autodiff.ops.promotion import INT64, cast, constant
from autodiff.ops.scatter_reductions import scatter_reduce
from autodiff.ops.shaping import shape_of, unsqueeze
from autodiff.ops.structural import contiguous
from autodiff.primitive import ErrorSample, Sample, composed, define, no_errors
from autodiff.spec import Array, Cost, Spec, moved

__all__ = ["embedding_bag"]


# ---- To which bag each element belongs -------------------------------------------------------------------------------


def _owners_run(outs: list[Array], ins: list[Array], size: int, bags: int) -> None:
    (out, status), offsets = outs, ins[0]
    wrong = offsets > size
    wrong[:1] |= offsets[:1] != 0
    if wrong.any():
        status[0] = int(np.argmax(wrong))
        return
    out[...] = np.searchsorted(offsets[:bags], np.arange(size), side="right") - 1


def _owners_status(position: int, ins: list[Array], size: int, bags: int) -> Exception:
    value = ins[0][position]
    if value > size:
        return ValueRangeError("embedding_bag", "an offset leads outside the input", expected=f"at most {size}",
                               got=str(value))
    return ValueRangeError("embedding_bag", "the offsets do not begin with 0", got=str(value))


bag_owners_p = define(
    "bag_owners",
    host=True,
    infer=lambda offsets, size, bags: Spec.of((size,), INT64),
    run=_owners_run,
    status=_owners_status,
    vjp=None,
    cost=lambda inputs, outputs, size, bags: Cost(size * bags.bit_length(), moved(*inputs, *outputs)),
    samples=lambda: [Sample(np.array([0, 2, 2, 5]), size=6, bags=4), Sample(np.array([0, 3, 6]), size=6, bags=2)],
    errors=no_errors,
)


# ---- Bags ------------------------------------------------------------------------------------------------------------


def _samples() -> list[Sample]:
    table, index, offsets = spread(-1, 1, 5, 3), np.array([1, 4, 0, 1, 3]), np.array([0, 2, 2])
    bags = np.array([[0, 3], [2, 2]])
    return [
        *[Sample(index, table, offsets, mode=mode) for mode in ("sum", "mean", "max")],
        *[Sample(bags, table, mode=mode, gradient=mode != "max") for mode in ("sum", "mean", "max")],
        *[Sample(index, table, offsets, mode=mode, padding_idx=1) for mode in ("sum", "mean", "max")],
        Sample(bags, table, padding_idx=-3),
        Sample(index, table, offsets, mode="sum", per_sample_weights=spread(0, 2, 5)),
        Sample(index, table, np.array([0, 3, 5]), mode="sum", include_last_offset=True),
        Sample(index[:0], table, offsets * 0), Sample(bags[:0], table),
        Sample(index.astype(np.int32), table.astype(np.float64), offsets.astype(np.int32), mode="sum"),
    ]


def _errors() -> list[ErrorSample]:
    table, index, offsets = np.ones((5, 3), np.float32), np.array([1, 4]), np.array([0, 1])
    return [
        ErrorSample(Sample(index, table), ShapeError, "needs offsets"),
        ErrorSample(Sample(index[None], table, offsets), ShapeError, "no offsets"),
        ErrorSample(Sample(index, table, offsets[None]), ShapeError, "no vector"),
        ErrorSample(Sample(index, table, offsets + 1), ValueRangeError, "begin with 0.*got 1"),
        ErrorSample(Sample(index, table, offsets * 3), ValueRangeError, "at most 2; got 3"),
        ErrorSample(Sample(index, table, offsets, mode="min"), ValueRangeError, "'sum' or 'mean' or 'max'; got 'min'"),
        ErrorSample(Sample(index + 4, table, offsets), PositionError, "0 to 4; got 5"),
        ErrorSample(Sample(index, table, offsets, padding_idx=5), ValueRangeError, "padding_idx"),
        ErrorSample(Sample(index, table, offsets, max_norm=1.0), ValueRangeError, "max_norm is not supported"),
        ErrorSample(Sample(index, table, offsets, scale_grad_by_freq=True), ValueRangeError, "scale_grad_by_freq"),
        ErrorSample(Sample(index, table, offsets, per_sample_weights=np.ones(2, np.float32)), ValueRangeError, "'sum'"),
        ErrorSample(Sample(index, table, offsets, mode="sum", per_sample_weights=np.ones(3, np.float32)), ShapeError,
                    r"expected \(2,\); got \(3,\)"),
        ErrorSample(Sample(table[0], table, offsets), DTypeError, "integers"),
    ]


@composed(samples=_samples, errors=_errors)
def embedding_bag(
    input: Any, weight: TensorT, offsets: Any = None, max_norm: float | None = None, norm_type: float = 2,
    scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False, per_sample_weights: Any = None,
    include_last_offset: bool = False, padding_idx: int | None = None,
) -> TensorT:
    """Return the rows of a table that `input` lists, summed, averaged or maximised bag by bag.

    Args:
        input: (B, N), a bag a row; or (N,), with `offsets`. Integers from 0 on.
        weight: (rows, features).
        offsets: (B,), where in `input` each bag begins; rising, from 0 on.
        max_norm: not supported.
        norm_type: of `max_norm`.
        scale_grad_by_freq: not supported.
        mode: ``"sum"``, ``"mean"`` or ``"max"``; equal largest elements share the gradient.
        sparse: accepted for PyTorch's sake; gradients are dense.
        per_sample_weights: shape of `input`; factors of the rows, for ``"sum"``.
        include_last_offset: `offsets` has one more place, the end of the last bag.
        padding_idx: a row that takes no part, and receives no gradient; negative ones count from the end.

    Returns:
        (B, features); zeros for an empty bag.

    Raises:
        PositionError: for a row that does not exist.
        ShapeError: if the shapes do not fit.
        DTypeError: if `input` or `offsets` does not hold integers.
        ValueRangeError: for another mode, offsets that do not begin with 0 or lead outside, a `padding_idx` outside the
            table, or an option that is not supported.

    >>> import autodiff as ad
    >>> table = ad.tensor([[1.0], [2.0], [4.0]])
    >>> ad.nn.functional.embedding_bag(ad.tensor([0, 1, 2]), table, ad.tensor([0, 2]), mode="sum")
    tensor([[3.],
            [4.]])
    """
    operation = "embedding_bag"
    if mode not in ("sum", "mean", "max"):
        raise ValueRangeError(operation, "this mode does not exist", expected="'sum' or 'mean' or 'max'",
                              got=repr(mode))
    for name, given in (("max_norm", max_norm is not None), ("scale_grad_by_freq", scale_grad_by_freq)):
        if given:
            raise ValueRangeError(operation, f"{name} is not supported", fix="leave it out")
    if per_sample_weights is not None and mode != "sum":
        raise ValueRangeError(operation, "there are weights, and the mode is not 'sum'", got=repr(mode))
    index = require_index(operation, input)
    shape = index.spec.shape
    if per_sample_weights is not None and shape_of(per_sample_weights, operation) != shape:
        raise ShapeError(operation, "there is not one weight for each element", expected=str(shape),
                         got=str(shape_of(per_sample_weights)))
    if len(shape) == 2:
        if offsets is not None:
            raise ShapeError(operation, "an input of bags takes no offsets", expected="offsets=None", got=str(shape))
    elif len(shape) != 1 or offsets is None:
        raise ShapeError(operation, "the input is no matrix of bags, and a vector needs offsets", got=str(shape))

    rows: Any = embedding(index, weight, padding_idx)
    if per_sample_weights is not None:
        rows = mul(rows, unsqueeze(per_sample_weights, -1))
    counted = None
    if padding_idx is not None:
        counted = ne(index, padding_idx % weight.spec.shape[0])  # type: ignore[attr-defined]
        rows = where(unsqueeze(counted, -1), rows, constant(0 if mode != "max" else -np.inf, rows.spec.dtype))
    dtype, features = rows.spec.dtype, rows.spec.shape[-1]
    numbers = expand(constant(1, INT64), shape) if counted is None else cast(counted, INT64)
    if len(shape) == 2:
        if mode == "max" and shape[1]:
            return _without_empty(amax(rows, 1), counted)  # type: ignore[no-any-return]
        result, count = total(rows, 1), total(numbers, 1)
    else:
        starts = require_index(operation, offsets)
        if starts.spec.ndim != 1 or starts.spec.size < int(include_last_offset):
            raise ShapeError(operation, "the offsets are no vector", expected="one dimension",
                             got=str(starts.spec.shape))
        bags = starts.spec.size - int(include_last_offset)
        owner = bind(bag_owners_p, starts, size=shape[0], bags=bags)
        if mode == "max":
            places = expand(unsqueeze(owner, 1), (shape[0], features))
            nothing = contiguous(zeros_of(Spec.of((bags, features), dtype)))
            largest = scatter_reduce(nothing, 0, places, rows, "amax", include_self=False)
            return _without_empty(largest, counted)  # type: ignore[no-any-return]
        result, count = (bind(index_select_grad_p, contiguous(part), owner, dim=0, padding=-1, size=bags)
                         for part in (rows, numbers))
    return result if mode != "mean" else div(result, unsqueeze(cast(clamp_min(count, 1), dtype), 1))  # type: ignore[no-any-return]


def _without_empty(largest: Any, counted: Any) -> Any:
    """Return 0 for bags of nothing but padding."""
    return largest if counted is None else where(eq(largest, -np.inf), 0.0, largest)
