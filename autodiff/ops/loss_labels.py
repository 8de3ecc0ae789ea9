"""The loss of scores where several classes are right at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.bind import TensorT
from autodiff.errors import DTypeError, PositionError, ShapeError, ValueRangeError
from autodiff.ops.activation import relu
from autodiff.ops.broadcast import sum as total
from autodiff.ops.choice import where
from autodiff.ops.comparison import eq, gt, logical_and, logical_not, lt
from autodiff.ops.elementwise import add, div, spread, sub
from autodiff.ops.joining import zeros_of
from autodiff.ops.loss import check_reduction, reduced
from autodiff.ops.promotion import INT64, cast, real
from autodiff.ops.scan import cumsum
from autodiff.ops.scattering import gather, scatter_add
from autodiff.ops.shaping import unsqueeze
from autodiff.ops.structural import require_tensor
from autodiff.primitive import ErrorSample, Sample, composed
from autodiff.spec import Spec

__all__ = ["multilabel_margin_loss"]


def _samples() -> list[Sample]:
    x = spread(-1, 1, 3, 4)
    target = np.array([[3, 0, -1, 1], [2, -1, -1, -1], [-1, 0, 1, 2]])
    return [Sample(x, target), Sample(x, target, reduction="none"), Sample(x, target, reduction="sum"),
            Sample(x[0], target[0]), Sample(x, np.arange(12).reshape(3, 4) % 4),
            Sample(x.astype(np.float64)[:, ::-1], target[::-1]), Sample(x[:0], target[:0], reduction="sum")]


def _errors() -> list[ErrorSample]:
    x, target = np.ones((2, 3), np.float32), np.zeros((2, 3), np.int64)
    return [ErrorSample(Sample(x, target + 3), PositionError, "got 3"),
            ErrorSample(Sample(x, target[0]), ShapeError, r"the target does not fit.*\(2, 3\); got \(3,\)"),
            ErrorSample(Sample(x[None], target[None]), ShapeError, r"\(N, C\) or \(C,\)"),
            ErrorSample(Sample(x, x), DTypeError, "integers; got float32"),
            ErrorSample(Sample(x, target, reduction="avg"), ValueRangeError, "'mean' or 'sum' or 'none'; got 'avg'")]


@composed(samples=_samples, errors=_errors)
def multilabel_margin_loss(input: TensorT, target: TensorT, reduction: str = "mean") -> TensorT:
    """Return ``sum over right t and wrong k of max(0, 1 - x[t] + x[k]) / C`` for scores x, reduced.

    Args:
        input: scores of C classes; (N, C) or (C,).
        target: the right classes of each row, integers from 0 to C - 1, up to the first negative one; as large as
            `input`.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for the loss of each row.

    Raises:
        PositionError: if a target is no class.
        ShapeError: if the shapes do not fit.
        DTypeError: if `target` does not hold integers.
        ValueRangeError: for another reduction.

    >>> import autodiff as ad
    >>> ad.nn.functional.multilabel_margin_loss(ad.tensor([[0.0, 0.5, 2.0]]), ad.tensor([[2, 1, -1]]))
    tensor(0.1667)
    """
    operation = "multilabel_margin_loss"
    check_reduction(operation, reduction)
    require_tensor(operation, target)
    x, labels = real(operation, input), target
    shape, given = x.spec.shape, labels.spec  # type: ignore[attr-defined]
    if len(shape) not in (1, 2):
        raise ShapeError(operation, "the input has the wrong number of dimensions", expected="(N, C) or (C,)",
                         got=str(shape))
    if given.shape != shape:
        raise ShapeError(operation, "the target does not fit the input", expected=str(shape), got=str(given.shape))
    if given.dtype.kind not in "iu":
        raise DTypeError(operation, "the target holds no classes", expected="integers", got=given.dtype.name)
    meant: Any = eq(cumsum(lt(labels, 0), -1), 0)
    place = where(meant, labels, 0)
    right = gt(scatter_add(zeros_of(Spec.of(shape, INT64)), -1, place, cast(meant, INT64)), 0)
    shortfall = relu(add(sub(1, unsqueeze(gather(x, -1, place), -1)), unsqueeze(x, -2)))
    counts = logical_and(unsqueeze(meant, -1), logical_not(unsqueeze(right, -2)))
    losses = div(total(where(counts, shortfall, 0.0), (-2, -1)), shape[-1])
    return reduced(losses, reduction)  # type: ignore[no-any-return]
