"""The loss of scores where several classes are right at once."""

from __future__ import annotations

from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, PositionError, ShapeError, ValueRangeError
from autodiff.ops.activation import relu
from autodiff.ops.broadcast import expand
from autodiff.ops.broadcast import sum as total
from autodiff.ops.choice import where
from autodiff.ops.comparison import eq, gt, logical_and, logical_not, lt
from autodiff.ops.elementwise import add, div, mul, spread, sub
from autodiff.ops.joining import zeros_of
from autodiff.ops.loss import check_reduction, reduced
from autodiff.ops.promotion import INT64, cast, constant, real
from autodiff.ops.scan import cumsum
from autodiff.ops.scattering import gather, scatter_add
from autodiff.ops.shaping import unsqueeze
from autodiff.ops.structural import contiguous, require_tensor, reshape
from autodiff.primitive import EachPart, ErrorSample, Keep, Primitive, Sample, composed, define, no_errors
from autodiff.spec import Array, Cost, Spec, moved

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


# ---- The losses of rows, and their gradient ------------------------------------------------------------------------

# Inputs: scores (N, C) and labels (N, C), in C order.


def _shortfalls(x: Any, labels: Any) -> tuple[Any, Any]:
    """Return by how much each right score fails to beat each wrong one by 1, (N, C, C), and what is right."""
    meant: Any = eq(cumsum(lt(labels, 0), -1), 0)
    place = where(meant, labels, 0)
    right = gt(scatter_add(zeros_of(Spec.of(x.spec.shape, INT64)), -1, place, cast(meant, INT64)), 0)
    shortfall = relu(add(sub(1, unsqueeze(gather(x, -1, place), -1)), unsqueeze(x, -2)))
    return where(logical_and(unsqueeze(meant, -1), logical_not(unsqueeze(right, -2))), shortfall, 0.0), place


def _twin(x: Any, labels: Any) -> Any:
    shortfall, _ = _shortfalls(x, labels)
    return div(total(shortfall, (-2, -1)), x.spec.shape[-1])


def _grad_twin(g: Any, x: Any, labels: Any) -> Any:
    shortfall, place = _shortfalls(x, labels)
    hits = cast(gt(shortfall, 0), x.spec.dtype)
    slope = scatter_add(total(hits, -2), -1, place, mul(total(hits, -1), -1))
    return mul(slope, unsqueeze(div(g, x.spec.shape[-1]), -1))


def _bad_label(position: int, ins: list[Array]) -> Exception:
    labels = ins[-1]
    return PositionError("multilabel_margin_loss", "a label is no class", expected=f"0 to {labels.shape[1] - 1}",
                         got=f"{labels.flat[position]} in row {position // labels.shape[1]}")


def _cost(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...]) -> Cost:
    return Cost(inputs[-1].size * inputs[-1].shape[1], moved(*inputs, *outputs))


def _scratch(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...]) -> tuple[EachPart]:
    return (EachPart(Spec.of((1, 2, inputs[-1].shape[1]), INT64)),)


def _loss_samples() -> list[Sample]:
    return [Sample(*sample.arguments) for sample in _samples() if sample.arguments[0].ndim == 2]


multilabel_margin_p: Primitive = define(
    "multilabel_margin",
    infer=lambda x, labels: Spec.of(x.shape[:1], x.dtype),
    run=lambda outs, ins: kernels.labels.multilabel_margin(*outs, *ins, 0, 1),
    scratch=_scratch,
    status=_bad_label,
    vjp=lambda r, g: (bind(multilabel_margin_grad_p, contiguous(g), r.input(0), r.input(1)), None),
    saves=Keep(inputs=(0, 1)),
    twin=_twin,
    cost=_cost,
    samples=_loss_samples,
    errors=no_errors,
    call=lambda x, labels: bind(multilabel_margin_p, contiguous(x), contiguous(labels)),
)


def _grad_vjp(record: Any, h: Any) -> tuple[Any, None, None]:
    ones = contiguous(expand(constant(1, h.spec.dtype), record.inputs[0].shape))
    slope = bind(multilabel_margin_grad_p, ones, record.input(1), record.input(2))
    return total(mul(h, slope), -1), None, None


multilabel_margin_grad_p: Primitive = define(
    "multilabel_margin_grad",
    infer=lambda g, x, labels: Spec.of(x.shape, x.dtype),
    run=lambda outs, ins: kernels.labels.multilabel_margin_grad(*outs, *ins, 0, 1),
    scratch=_scratch,
    vjp=_grad_vjp,
    saves=Keep(inputs=(1, 2)),
    twin=_grad_twin,
    cost=_cost,
    samples=lambda: [Sample(spread(-1, 1, len(sample.arguments[0]), dtype=sample.arguments[0].dtype), *sample.arguments)
                     for sample in _loss_samples()],
    errors=no_errors,
    call=lambda g, x, labels: bind(multilabel_margin_grad_p, g, contiguous(x), contiguous(labels)),
)


# ---- The function ----------------------------------------------------------------------------------------------------


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
    rows, names = (contiguous(v if len(shape) == 2 else unsqueeze(v, 0)) for v in (x, cast(labels, INT64)))
    losses = bind(multilabel_margin_p, rows, names)
    return reduced(losses if len(shape) == 2 else reshape(losses, ()), reduction)  # type: ignore[no-any-return]
