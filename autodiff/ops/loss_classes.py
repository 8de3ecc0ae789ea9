"""Losses of classifiers: cross-entropy of logits, and the negative log-likelihood of log-probabilities.

The primitives see the classes as the last dimension, in C order; the public functions move them there. Next to the loss
they return what their backward passes need: the probabilities, and the weight that a mean divided by.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, GradientError, PositionError, ShapeError, ValueRangeError
from autodiff.ops import strided
from autodiff.ops.broadcast import expand, partial_sums
from autodiff.ops.broadcast import sum as total
from autodiff.ops.comparison import eq, ne
from autodiff.ops.elementwise import add, div, mul, neg, sub
from autodiff.ops.host import from_array
from autodiff.ops.loss import check_reduction, reduced
from autodiff.ops.probability import last, log_softmax, softmax_grad_p
from autodiff.ops.promotion import INT64, is_tensor
from autodiff.ops.reduce import Run, division
from autodiff.ops.samples import spread
from autodiff.ops.shaping import unsqueeze
from autodiff.ops.structural import cast_to, contiguous, reshape
from autodiff.primitive import ErrorSample, Keep, Sample, define
from autodiff.spec import Array, Cost, DType, Shape, Spec, moved

__all__ = ["cross_entropy", "nll_loss"]

# ---- What both share ------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _even_weights(classes: int, dtype: DType) -> Any:
    return from_array(np.ones(classes, dtype))


@lru_cache(maxsize=64)
def _class_numbers(classes: int) -> Any:
    return from_array(np.arange(classes))


def _arguments(operation: str, x: Any, target: Any, weight: Any, reduction: str) -> tuple[Any, Any, Any]:
    """Check the arguments of a loss with class targets and bring them to what its primitive takes."""
    check_reduction(operation, reduction)
    shape: Shape = x.spec.shape
    if not shape:
        raise ShapeError(
            operation, "the input has no dimension of classes", expected="(C,), (N, C) or (N, C, d1, ...)", got="()"
        )
    axis = 1 if len(shape) > 1 else 0
    wanted = shape[:axis] + shape[axis + 1 :]
    if not is_tensor(target) or target.spec.dtype.kind not in "iu":
        raise DTypeError(
            operation,
            "class targets are not integers",
            expected="an integer tensor of class numbers",
            got=target.spec.dtype.name if is_tensor(target) else type(target).__name__,
            fix="convert them with target.long()",
        )
    if target.spec.shape != wanted:
        remedy = ""
        if target.spec.shape == shape:
            remedy = "one-hot targets go in as floats, or as classes: target.argmax(1)"
        elif target.spec.size == math.prod(wanted):
            remedy = f"bring it to that shape with target.reshape{wanted}"
        raise ShapeError(
            operation,
            f"the target does not fit an input of shape {shape} with {shape[axis]} classes in dimension {axis}",
            expected=str(wanted),
            got=str(target.spec.shape),
            fix=remedy,
        )
    weight = _class_weights(operation, weight, shape[axis], x.spec.dtype)
    return last(x, axis), contiguous(cast_to(target, INT64)), weight


def _require_logits(operation: str, x: Any) -> None:
    if not is_tensor(x) or not x.spec.floating:
        raise DTypeError(
            operation,
            "the input does not hold floats",
            expected="a tensor of float32 or float64",
            got=x.spec.dtype.name if is_tensor(x) else type(x).__name__,
            fix="convert it with x.float()",
        )


def _class_weights(operation: str, weight: Any, classes: int, dtype: DType) -> Any:
    if weight is None:
        return _even_weights(classes, dtype)
    if weight.spec.shape != (classes,):
        raise ShapeError(
            operation, "there is not one weight for each class", expected=f"({classes},)", got=str(weight.spec.shape)
        )
    if weight.needs_grad:
        raise GradientError(
            operation, "the class weights require a gradient, which this loss does not give", fix="pass weight.detach()"
        )
    return contiguous(cast_to(weight, dtype))


def _bad_target(operation: str, position: int, ins: list[Array], ignore_index: int) -> Exception:
    """Return the error for the target at a flat position, which is no class."""
    target, classes = ins[1], ins[2].size
    place = ", ".join(str(int(i)) for i in np.unravel_index(position, target.shape))
    where = f" at target[{place}]" if place else ""
    return PositionError(
        operation,
        "a target is no class",
        expected=f"0 to {classes - 1} (the input has {classes} classes), or ignore_index {ignore_index}",
        got=f"{target.reshape(-1)[position]}{where}",
        fix="check the number of outputs of the last layer, and that classes count from 0",
    )


def _reduce(reduction: str, outs: list[Array], losses: Array, weights: Array, partial: Array, divide: Run) -> None:
    """Reduce the losses of rows to the loss; write what a mean divides by, 1 for other reductions."""
    loss, divisor = outs[0].reshape(-1), outs[-1].reshape(1)
    if reduction == "none":
        strided.fill_array(divisor, 1)
        return
    kernels.reduce.sum_partial(partial, losses, 0, 1)
    kernels.reduce.sum_combine(loss, partial, 0, 1)
    if reduction == "sum":
        strided.fill_array(divisor, 1)
        return
    kernels.reduce.sum_partial(partial, weights, 0, 1)
    kernels.reduce.sum_combine(divisor, partial, 0, 1)
    divide(outs[:1], (outs[0], outs[-1]))


def _scratch(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], **_: Any) -> tuple[Spec, ...]:
    """Return the scratch of a loss: losses and weights of the rows, partial sums."""
    rows = Spec.of((inputs[1].size,), inputs[0].dtype)
    return rows, rows, partial_sums(rows)


def _rows_prepare(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], **params: Any) -> dict[str, Any]:
    return {**params, "rows": (inputs[1].size, inputs[2].size), "divide": division(outputs[-1])}


def _grad_prepare(g: Spec, target: Spec, weight: Spec, **params: Any) -> dict[str, Any]:
    """Return what a gradient's `run` needs: the rows, and how to divide the cotangent, one number or one a target."""
    (scaled,) = _grad_scratch(target, weight)
    divide = strided.prepare((g, Spec.of((), g.dtype)), (scaled,), "divide")
    return {**params, "rows": (target.size, weight.size), "divide": divide}


def _grad_scratch(target: Spec, weight: Spec) -> tuple[Spec, ...]:
    """Return the scratch of a gradient: the cotangent of each loss."""
    return (Spec.of(target.shape, weight.dtype),)


def class_hits(target: Any, classes: int) -> Any:
    """Return which class each target is: bools, the classes as a last dimension."""
    return eq(unsqueeze(target, -1), _class_numbers(classes))


def _hits(target: Any, weight: Any, ignore_index: int) -> tuple[Any, Any]:
    """Return, as floats, which class each row's target is (..., K) and which rows count (..., 1)."""
    live = cast_to(ne(unsqueeze(target, -1), ignore_index), weight.spec.dtype)
    hit = cast_to(class_hits(target, weight.spec.size), weight.spec.dtype)
    return mul(hit, live), live


# ---- cross_entropy --------------------------------------------------------------------------------------------------


def _cross_entropy_infer(x: Spec, target: Spec, weight: Spec, reduction: str, **_: Any) -> tuple[Spec, ...]:
    return (
        Spec.of(target.shape if reduction == "none" else (), x.dtype),
        Spec.of(x.shape, x.dtype),
        Spec.of((), x.dtype),
    )


def _cross_entropy_run(
    outs: list[Array],
    ins: list[Array],
    rows: tuple[int, int],
    divide: Run,
    reduction: str,
    ignore_index: int,
    label_smoothing: float,
) -> None:
    loss, probabilities, divisor, losses, weights, partial, status = outs
    x, target, weight = ins
    if reduction == "none":
        losses = loss.reshape(-1)
    kernels.loss.cross_entropy(
        losses,
        weights,
        probabilities.reshape(rows),
        status,
        x.reshape(rows),
        target.reshape(-1),
        weight,
        ignore_index,
        label_smoothing,
        0,
        1,
    )
    _reduce(reduction, [loss, divisor], losses, weights, partial, divide)


def _cross_entropy_vjp(record: Any, g: Any, g_probabilities: Any, _: Any) -> tuple[Any, None, None]:
    params = record.params
    probabilities = record.output(1)
    gradient = None
    if g is not None:
        gradient = bind(
            cross_entropy_grad_p,
            g,
            probabilities,
            record.input(1),
            record.input(2),
            record.output(2),
            ignore_index=params["ignore_index"],
            label_smoothing=params["label_smoothing"],
        )
    # The probabilities have a cotangent of their own when this gradient itself is differentiated.
    if g_probabilities is not None:
        through = bind(softmax_grad_p, contiguous(g_probabilities), probabilities)
        gradient = through if gradient is None else add(gradient, through)
    return gradient, None, None


def _cross_entropy_samples() -> list[Sample]:
    x, target = spread(-3, 3, 4, 3), np.array([2, 0, 1, 1])
    image, labels = spread(-3, 3, 2, 2, 3, 4).transpose(0, 3, 1, 2), np.arange(12).reshape(2, 2, 3) % 4
    weight = np.array([1, 3, 2])
    soft = spread(0, 1, 4, 3)
    return [
        Sample(x, target),
        Sample(x, target, reduction="sum"),
        Sample(x, target, reduction="none"),
        Sample(x, target, weight),
        Sample(x, target, weight, label_smoothing=0.1),
        Sample(x, target, (weight / 2).astype(np.float32), 1, "sum", gradient=False),
        Sample(x, target.astype(np.int32), ignore_index=1),
        Sample(x, np.array([-100, 2, 1, -100]), label_smoothing=0.3),
        Sample(x, target, weight, ignore_index=0, reduction="none", label_smoothing=0.2),
        Sample(spread(-3, 3, 5), np.array(4)),
        Sample(image, labels),
        Sample(image, labels, reduction="none"),
        Sample(spread(-3, 3, 2, 4, 3), labels[:, 0], label_smoothing=0.1),
        Sample(x[:, ::-1].astype(np.float64), target),
        Sample(100 * x + 50, target, gradient=False),
        Sample(x, np.full(4, -100), gradient=False),
        Sample(x[:0], target[:0], reduction="sum"),
        Sample(np.array([[0, -np.inf, 1]], np.float32), np.array([0]), gradient=False),
        Sample(x, soft),
        Sample(x, soft, weight, label_smoothing=0.1),
        Sample(x, soft, reduction="sum"),
        Sample(x, soft, reduction="none"),
        Sample(spread(-3, 3, 5), spread(0, 1, 5)),
        Sample(image, spread(0, 1, *image.shape), np.arange(1, 5)),
    ]


def _class_errors() -> list[ErrorSample]:
    x, target = np.ones((4, 3), np.float32), np.array([2, 0, 1, 1])
    return [
        ErrorSample(
            Sample(x, target + 1),
            PositionError,
            r"a target is no class; expected 0 to 2 \(the input has 3 classes\).*got 3 at target\[0\]",
        ),
        ErrorSample(Sample(x, target - 1), PositionError, r"got -1 at target\[1\]"),
        ErrorSample(
            Sample(np.ones((2, 3, 2), np.float32), np.array([[0, 1], [3, 0]])),
            PositionError,
            r"got 3 at target\[1, 0\]",
        ),
        ErrorSample(Sample(x[0], np.array(7)), PositionError, "got 7;"),
        ErrorSample(
            Sample(x, target[:, None]),
            ShapeError,
            r"expected \(4,\); got \(4, 1\); bring it to that shape with target.resh",
        ),
        ErrorSample(Sample(x, np.ones((4, 3), np.int64)), ShapeError, "one-hot targets go in as floats"),
        ErrorSample(
            Sample(x, target[:3]),
            ShapeError,
            r"input of shape \(4, 3\) with 3 classes in dimension 1; expected \(4,\); got \(3,\)",
        ),
        ErrorSample(
            Sample(x, target.astype(np.float32)), DTypeError, "class targets are not integers.*float32.*target.long"
        ),
        ErrorSample(Sample(x.astype(np.int64), target), DTypeError, "the input does not hold floats"),
        ErrorSample(Sample(np.float32(1), np.array(0)), ShapeError, "no dimension of classes"),
        ErrorSample(
            Sample(x, target, np.ones(4, np.float32)),
            ShapeError,
            r"one weight for each class; expected \(3,\); got \(4,\)",
        ),
        ErrorSample(
            Sample(x, target, reduction="avg"), ValueRangeError, "expected 'mean' or 'sum' or 'none'; got 'avg'"
        ),
    ]


cross_entropy_p = define(
    "cross_entropy",
    infer=_cross_entropy_infer,
    run=_cross_entropy_run,
    prepare=_rows_prepare,
    scratch=_scratch,
    status=lambda position, ins, ignore_index, **_: _bad_target("cross_entropy", position, ins, ignore_index),
    vjp=_cross_entropy_vjp,
    saves=Keep(inputs=(1, 2), outputs=(1, 2)),
    cost=lambda inputs, outputs, **_: Cost(14 * inputs[0].size, moved(*inputs, *outputs)),
    samples=_cross_entropy_samples,
    errors=lambda: [
        *_class_errors(),
        ErrorSample(
            Sample(np.ones((4, 3), np.float32), np.zeros(4, np.int64), label_smoothing=1.5),
            ValueRangeError,
            "label_smoothing.*from 0 to 1.*1.5",
        ),
    ],
    call=lambda *arguments, **keywords: cross_entropy(*arguments, **keywords),
)


def cross_entropy(
    input: TensorT,
    target: TensorT,
    weight: TensorT | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> TensorT:
    """Return the cross-entropy of logits with their classes: ``-log softmax(input)[target]``, reduced.

    Args:
        input: logits; (N, C), (C,) or (N, C, d1, ...).
        target: classes, integers from 0 to C - 1; (N,), () or (N, d1, ...). Or class probabilities, floats of the
            input's shape: the loss is then ``-(target * log softmax(input)).sum(1)``.
        weight: (C,); weight of each class. A mean divides by the sum of the weights of the targets.
        ignore_index: targets of this value have no loss and do not count. Not for probabilities.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for the loss of each target.
        label_smoothing: s from 0 to 1; the target becomes ``(1 - s) * target + s / C`` (Szegedy et al., Rethinking the
            Inception Architecture for Computer Vision, 2016, section 7).

    Raises:
        PositionError: if a target is no class; names its position.
        ShapeError: if the shapes do not fit.
        DTypeError: if the logits are no floats, or targets of another shape than the input no integers.
        ValueRangeError: for another reduction or label smoothing.

    >>> import autodiff as ad
    >>> logits = ad.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    >>> ad.nn.functional.cross_entropy(logits, ad.tensor([0, 2]))
    tensor(0.6691)
    """
    x: Any = input
    y: Any = target
    _require_logits("cross_entropy", x)
    if not 0 <= label_smoothing <= 1:
        raise ValueRangeError(
            "cross_entropy", "label_smoothing is no share", expected="a number from 0 to 1", got=str(label_smoothing)
        )
    if is_tensor(y) and y.spec.floating and y.spec.shape == x.spec.shape and y.spec.shape:
        return _soft_cross_entropy(x, y, weight, reduction, label_smoothing)  # type: ignore[no-any-return]
    x, y, weights = _arguments("cross_entropy", x, y, weight, reduction)
    params = {"ignore_index": int(ignore_index), "label_smoothing": float(label_smoothing), "reduction": reduction}
    return bind(cross_entropy_p, x, y, weights, **params)[0]  # type: ignore[no-any-return]


def _soft_cross_entropy(x: Any, target: Any, weight: Any, reduction: str, label_smoothing: float) -> Any:
    """Return the cross-entropy with class probabilities."""
    check_reduction("cross_entropy", reduction)
    axis = 1 if x.spec.ndim > 1 else 0
    classes = x.spec.shape[axis]
    if label_smoothing:
        target = add(mul(target, 1 - label_smoothing), label_smoothing / classes)
    if weight is not None:
        weights = _class_weights("cross_entropy", weight, classes, x.spec.dtype)
        target = mul(target, reshape(weights, (classes,) + (1,) * (x.spec.ndim - axis - 1)))
    losses = neg(total(mul(target, log_softmax(x, axis)), axis))
    return reduced(losses, reduction)


def _cross_entropy_grad_run(
    outs: list[Array],
    ins: list[Array],
    rows: tuple[int, int],
    divide: Run,
    ignore_index: int,
    label_smoothing: float,
) -> None:
    out, scaled = outs
    g, probabilities, target, weight, divisor = ins
    divide((scaled,), (g, divisor))
    kernels.loss.cross_entropy_grad(
        out.reshape(rows),
        scaled.reshape(-1),
        probabilities.reshape(rows),
        target.reshape(-1),
        weight.reshape(-1),
        ignore_index,
        label_smoothing,
        0,
        1,
    )


def _cross_entropy_grad_twin(
    g: Any, probabilities: Any, target: Any, weight: Any, divisor: Any, ignore_index: int, label_smoothing: float
) -> Any:
    hit, live = _hits(target, weight, ignore_index)
    hit = mul(mul(hit, weight), 1 - label_smoothing)
    even = mul(mul(weight, live), label_smoothing / weight.spec.size)
    wanted = add(hit, even)
    gradient = sub(mul(total(wanted, -1, keepdim=True), probabilities), wanted)
    return mul(unsqueeze(expand(div(g, divisor), target.spec.shape), -1), gradient)


def _grad_samples() -> list[Sample]:
    """Samples of `cross_entropy_grad`: cotangent, probabilities, target, weight, divisor."""
    p, target, weight = spread(0, 1, 4, 3), np.array([2, -1, 0, 1]), spread(0.5, 2, 3)
    one = np.float32(1)
    return [
        Sample(spread(1, 2, 1).reshape(()), p, target, weight, np.float32(2.5), ignore_index=-1, label_smoothing=0.2),
        Sample(spread(-1, 1, 4), p, target % 3, weight, one, ignore_index=-1, label_smoothing=0.0),
        Sample(
            spread(-1, 1, 2, 2),
            p.reshape(2, 2, 3),
            target.reshape(2, 2),
            weight,
            one,
            ignore_index=-1,
            label_smoothing=0.1,
        ),
        Sample(
            np.float64(2),
            p[0].astype(np.float64),
            np.array(1),
            weight.astype(np.float64),
            np.float64(2),
            ignore_index=-1,
            label_smoothing=0.0,
        ),
    ]


cross_entropy_grad_p = define(
    "cross_entropy_grad",
    infer=lambda g, probabilities, *_, **__: Spec.of(probabilities.shape, probabilities.dtype),
    run=_cross_entropy_grad_run,
    prepare=lambda inputs, outputs, **params: _grad_prepare(inputs[0], inputs[2], inputs[3], **params),
    scratch=lambda inputs, outputs, **_: _grad_scratch(inputs[2], inputs[3]),
    vjp=None,
    twin=_cross_entropy_grad_twin,
    cost=lambda inputs, outputs, **_: Cost(3 * inputs[1].size, moved(*inputs, *outputs)),
    samples=_grad_samples,
    errors=lambda: [],
)


# ---- nll_loss -------------------------------------------------------------------------------------------------------


def _nll_infer(x: Spec, target: Spec, weight: Spec, reduction: str, **_: Any) -> tuple[Spec, ...]:
    return Spec.of(target.shape if reduction == "none" else (), x.dtype), Spec.of((), x.dtype)


def _nll_run(
    outs: list[Array], ins: list[Array], rows: tuple[int, int], divide: Run, reduction: str, ignore_index: int
) -> None:
    loss, divisor, losses, weights, partial, status = outs
    x, target, weight = ins
    if reduction == "none":
        losses = loss.reshape(-1)
    kernels.loss.nll(losses, weights, status, x.reshape(rows), target.reshape(-1), weight, ignore_index, 0, 1)
    _reduce(reduction, [loss, divisor], losses, weights, partial, divide)


def _nll_vjp(record: Any, g: Any, _: Any) -> tuple[Any, None, None]:
    if g is None:
        return None, None, None
    gradient = bind(
        nll_loss_grad_p,
        g,
        record.input(1),
        record.input(2),
        record.output(1),
        ignore_index=record.params["ignore_index"],
    )
    return gradient, None, None


def _nll_samples() -> list[Sample]:
    x, target, weight = spread(-3, 0, 4, 3), np.array([2, 0, 1, 1]), np.array([1, 3, 2])
    image, labels = spread(-3, 0, 2, 2, 3, 4).transpose(0, 3, 1, 2), np.arange(12).reshape(2, 2, 3) % 4
    return [
        Sample(x, target),
        Sample(x, target, reduction="sum"),
        Sample(x, target, reduction="none"),
        Sample(x, target, weight),
        Sample(x, target, (weight / 2).astype(np.float32), 1, "sum", gradient=False),
        Sample(x, target, ignore_index=1),
        Sample(x, target, weight, ignore_index=0, reduction="none"),
        Sample(spread(-3, 0, 5), np.array(4)),
        Sample(image, labels),
        Sample(image, labels, reduction="none"),
        Sample(x.astype(np.float64)[:, ::-1], target),
        Sample(x, np.full(4, -100), gradient=False),
        Sample(x[:0], target[:0], reduction="sum"),
    ]


nll_loss_p = define(
    "nll_loss",
    infer=_nll_infer,
    run=_nll_run,
    prepare=_rows_prepare,
    scratch=_scratch,
    status=lambda position, ins, ignore_index, **_: _bad_target("nll_loss", position, ins, ignore_index),
    vjp=_nll_vjp,
    saves=Keep(inputs=(1, 2), outputs=(1,)),
    cost=lambda inputs, outputs, **_: Cost(
        2 * inputs[1].size, moved(*inputs[1:], *outputs) + inputs[1].size * inputs[0].dtype.itemsize
    ),
    samples=_nll_samples,
    errors=_class_errors,
    call=lambda *arguments, **keywords: nll_loss(*arguments, **keywords),
)


def nll_loss(
    input: TensorT, target: TensorT, weight: TensorT | None = None, ignore_index: int = -100, reduction: str = "mean"
) -> TensorT:
    """Return the negative log-likelihood of classes: ``-input[target]`` for log-probabilities, reduced.

    Args:
        input: log-probabilities, as from `log_softmax`; (N, C), (C,) or (N, C, d1, ...).
        target: classes, integers from 0 to C - 1; (N,), () or (N, d1, ...).
        weight: (C,); weight of each class. A mean divides by the sum of the weights of the targets.
        ignore_index: targets of this value have no loss and do not count.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for the loss of each target.

    Raises:
        PositionError: if a target is no class; names its position.
        ShapeError: if the shapes do not fit.
        DTypeError: if the input holds no floats or the target no integers.
        ValueRangeError: for another reduction.

    >>> import autodiff as ad
    >>> ad.nn.functional.nll_loss(ad.tensor([[-0.5, -1.0], [-2.0, -0.25]]), ad.tensor([0, 1]))
    tensor(0.3750)
    """
    _require_logits("nll_loss", input)
    x, y, weights = _arguments("nll_loss", input, target, weight, reduction)
    return bind(nll_loss_p, x, y, weights, ignore_index=int(ignore_index), reduction=reduction)[0]  # type: ignore[no-any-return]


def _nll_grad_run(outs: list[Array], ins: list[Array], rows: tuple[int, int], divide: Run, ignore_index: int) -> None:
    out, scaled = outs
    g, target, weight, divisor = ins
    divide((scaled,), (g, divisor))
    kernels.loss.nll_grad(
        out.reshape(rows), scaled.reshape(-1), target.reshape(-1), weight.reshape(-1), ignore_index, 0, 1
    )


def _nll_grad_twin(g: Any, target: Any, weight: Any, divisor: Any, ignore_index: int) -> Any:
    hit, _ = _hits(target, weight, ignore_index)
    return mul(unsqueeze(expand(neg(div(g, divisor)), target.spec.shape), -1), mul(hit, weight))


nll_loss_grad_p = define(
    "nll_loss_grad",
    infer=lambda g, target, weight, divisor, ignore_index: Spec.of((*target.shape, weight.size), weight.dtype),
    run=_nll_grad_run,
    prepare=lambda inputs, outputs, **params: _grad_prepare(*inputs[:3], **params),
    scratch=lambda inputs, outputs, **_: _grad_scratch(*inputs[1:3]),
    vjp=None,
    twin=_nll_grad_twin,
    cost=lambda inputs, outputs, **_: Cost(2 * inputs[1].size, moved(*inputs, *outputs)),
    samples=lambda: [
        Sample(*(sample.arguments[0], *sample.arguments[2:]), ignore_index=-1) for sample in _grad_samples()
    ],
    errors=lambda: [],
)
