"""Losses of classes: the negative log-likelihood of log-probabilities, and what cross-entropy shares with it.

Classes are dimension 1, or 0 where it is the only one; how they lie in memory is as for softmax (`probability.py`).
Next to the loss the primitives return what their backward passes need, among it the weight that a mean divided by.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.arguments import integer
from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, GradientError, PositionError, ShapeError, ValueRangeError
from autodiff.ops import strided
from autodiff.ops.broadcast import expand, partial_sums
from autodiff.ops.comparison import eq, ne
from autodiff.ops.elementwise import div, mul, neg
from autodiff.ops.host import from_array
from autodiff.ops.loss import check_reduction
from autodiff.ops.probability import Along, along, laid_out
from autodiff.ops.promotion import INT64, is_tensor
from autodiff.ops.reduce import Run, division
from autodiff.ops.samples import spread
from autodiff.ops.shaping import unsqueeze
from autodiff.ops.structural import cast_to, contiguous, reshape
from autodiff.primitive import ErrorSample, Keep, Sample, define
from autodiff.spec import Array, Cost, DType, Shape, Spec, moved, spec_of

__all__ = ["nll_loss"]

# ---- What both share ------------------------------------------------------------------------------------------------


def class_axis(target: Spec) -> int:
    """Return the dimension of the classes, in the input for a target."""
    return min(1, target.ndim)


@lru_cache(maxsize=64)
def _even_weights(classes: int, dtype: DType) -> Any:
    return from_array(np.ones(classes, dtype))


@lru_cache(maxsize=64)
def _class_numbers(classes: int) -> Any:
    return from_array(np.arange(classes))


def class_arguments(operation: str, x: Any, target: Any, weight: Any, reduction: str) -> tuple[Any, Any, Any]:
    """Check the arguments of a loss with class targets and bring them to what its primitive takes."""
    check_reduction(operation, reduction)
    shape: Shape = x.spec.shape
    if not shape:
        raise ShapeError(
            operation, "the input has no dimension of classes", expected="(C,), (N, C) or (N, C, d1, ...)", got="()"
        )
    axis = min(1, len(shape) - 1)
    wanted = shape[:axis] + shape[axis + 1 :]
    if not is_tensor(target) or target.spec.dtype.kind not in "iu":
        raise DTypeError(
            operation,
            "class targets are not integers",
            expected="an integer tensor of class numbers",
            got=target.spec.dtype.name if is_tensor(target) else type(target).__name__,
            fix="convert them with target.long()" if is_tensor(target) else "wrap them with autodiff.tensor(...)",
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
    weight = class_weights(operation, weight, shape[axis], x.spec.dtype)
    places = [dim for dim in x.spec.order or () if dim != axis]
    if places != sorted(places):
        x = contiguous(x)  # the positions must lie in the order of the targets
    return laid_out(x, axis), contiguous(cast_to(target, INT64)), weight


def require_logits(operation: str, x: Any) -> None:
    """Raise unless `x` is a tensor of floats.

    Raises:
        DTypeError: says what it is.
    """
    if not is_tensor(x) or not x.spec.floating:
        raise DTypeError(
            operation,
            "the input does not hold floats",
            expected="a tensor of float32 or float64",
            got=x.spec.dtype.name if is_tensor(x) else type(x).__name__,
            fix="convert it with x.float()",
        )


def class_weights(operation: str, weight: Any, classes: int, dtype: DType) -> Any:
    """Return the weights of the classes in the dtype of the input; ones where they are missing.

    Raises:
        ShapeError: if there is not one for each class.
        GradientError: if they require a gradient.
    """
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


def bad_target(operation: str, position: int, ins: list[Array], ignore_index: int) -> Exception:
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


def reduce_losses(
    reduction: str, outs: list[Array], losses: Array, weights: Array, partial: Array, divide: Run
) -> None:
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


def losses_scratch(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], **_: Any) -> tuple[Spec, ...]:
    """Return the scratch of a loss: losses and weights of the targets, partial sums."""
    losses = Spec.of((inputs[1].size,), inputs[0].dtype)
    return losses, losses, partial_sums(losses)


def losses_prepare(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], **params: Any) -> dict[str, Any]:
    """Return what a loss's `run` needs: the layout of its input, and how to divide by the weights."""
    x, target, _ = inputs
    return {**params, "along": along(x, class_axis(target)), "divide": division(outputs[-1])}


def grad_prepare(g: Spec, target: Spec, weight: Spec, out: Spec, **params: Any) -> dict[str, Any]:
    """Return what a gradient's `run` needs: its layout, and how to divide the cotangent, one number or one a target."""
    (scaled,) = grad_scratch(target, weight)
    divide = strided.prepare((g, Spec.of((), g.dtype)), (scaled,), "divide")
    return {**params, "along": along(out, class_axis(target)), "divide": divide}


def grad_scratch(target: Spec, weight: Spec) -> tuple[Spec, ...]:
    """Return the scratch of a gradient: the cotangent of each loss."""
    return (Spec.of(target.shape, weight.dtype),)


def by_class(values: Any, target: Spec) -> Any:
    """Return one number a class, (K,), in a shape that fits the input for a target."""
    return reshape(values, (values.spec.size,) + (1,) * (target.ndim - class_axis(target)))


def class_hits(target: Any, classes: int) -> Any:
    """Return which class each target is: bools, in the shape of the input."""
    return eq(unsqueeze(target, class_axis(target.spec)), by_class(_class_numbers(classes), target.spec))


def hits(target: Any, weight: Any, ignore_index: int) -> tuple[Any, Any]:
    """Return, as floats, which class each target is, in the shape of the input, and which count, as one class."""
    live = cast_to(ne(unsqueeze(target, class_axis(target.spec)), ignore_index), weight.spec.dtype)
    hit = cast_to(class_hits(target, weight.spec.size), weight.spec.dtype)
    return mul(hit, live), live


def family_of(along: Along) -> Any:
    """Return the kernels for rows or for planes."""
    return kernels.loss_planes if along.planes else kernels.loss


def plane_inputs(low: float, high: float) -> tuple[Array, Array]:
    """Return inputs of five classes whose positions lie innermost, and targets."""
    return spread(low, high, 2, 5, 3, 7), (np.arange(42) % 5).reshape(2, 3, 7)


def plane_samples(low: float, high: float) -> list[Sample]:
    """Return samples whose positions lie innermost in memory."""
    x, labels = plane_inputs(low, high)
    return [
        Sample(x, labels),
        Sample(x, labels, np.arange(1, 6), ignore_index=3, reduction="none"),
        Sample(x.astype(np.float64), labels, reduction="sum"),
        Sample(spread(low, high, 5, 19).T, labels.reshape(-1)[:19]),
        Sample(spread(low, high, 3, 2, 5, 7).transpose(1, 2, 0, 3), labels),
    ]


def class_errors() -> list[ErrorSample]:
    """Return the calls that both losses refuse."""
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


def grad_samples() -> list[Sample]:
    """Samples of `cross_entropy_grad`: cotangent, probabilities, target, weight, divisor."""
    p, target, weight = spread(0, 1, 4, 3), np.array([2, -1, 0, 1]), spread(0.5, 2, 3)
    planes = (np.arange(34) % 4 - 1).reshape(2, 17)
    one = np.float32(1)
    return [
        Sample(spread(1, 2, 1).reshape(()), p, target, weight, np.float32(2.5), ignore_index=-1, label_smoothing=0.2),
        Sample(spread(-1, 1, 4), p, target % 3, weight, one, ignore_index=-1, label_smoothing=0.0),
        Sample(
            spread(-1, 1, 2, 2),
            p.reshape(2, 2, 3).transpose(0, 2, 1),
            target.reshape(2, 2),
            weight,
            one,
            ignore_index=-1,
            label_smoothing=0.1,
        ),
        *[
            Sample(
                spread(-1, 1, 2, 17), spread(0, 1, 2, 3, 17), planes, weight, one, ignore_index=-1, label_smoothing=s
            )
            for s in (0.0, 0.1)
        ],
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


# ---- nll_loss -------------------------------------------------------------------------------------------------------


def _nll_infer(x: Spec, target: Spec, weight: Spec, reduction: str, **_: Any) -> tuple[Spec, ...]:
    return Spec.of(target.shape if reduction == "none" else (), x.dtype), Spec.of((), x.dtype)


def _nll_run(
    outs: list[Array], ins: list[Array], along: Along, divide: Run, reduction: str, ignore_index: int
) -> None:
    loss, divisor, losses, weights, partial, status = outs
    x, target, weight = ins
    if reduction == "none":
        losses = loss.reshape(-1)
    places = along.places
    family_of(along).nll(losses.reshape(places), weights.reshape(places), status, along.read(x), target.reshape(places),
                       weight, ignore_index, 0, 1)
    reduce_losses(reduction, [loss, divisor], losses, weights, partial, divide)


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
        order=record.inputs[0].order,
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
        *plane_samples(-3, 0),
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
    prepare=losses_prepare,
    scratch=losses_scratch,
    status=lambda position, ins, ignore_index, **_: bad_target("nll_loss", position, ins, ignore_index),
    vjp=_nll_vjp,
    saves=Keep(inputs=(1, 2), outputs=(1,)),
    cost=lambda inputs, outputs, **_: Cost(
        2 * inputs[1].size, moved(*inputs[1:], *outputs) + inputs[1].size * inputs[0].dtype.itemsize
    ),
    samples=_nll_samples,
    errors=class_errors,
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
    require_logits("nll_loss", input)
    x, y, weights = class_arguments("nll_loss", input, target, weight, reduction)
    ignored = integer("nll_loss", "ignore_index", ignore_index)
    return bind(nll_loss_p, x, y, weights, ignore_index=ignored, reduction=reduction)[0]  # type: ignore[no-any-return]


def _nll_grad_infer(
    g: Spec, target: Spec, weight: Spec, divisor: Spec, ignore_index: int, order: tuple[int, ...]
) -> Spec:
    axis = class_axis(target)
    return Spec.of((*target.shape[:axis], weight.size, *target.shape[axis:]), weight.dtype, order)


def _nll_grad_run(outs: list[Array], ins: list[Array], along: Along, divide: Run, ignore_index: int) -> None:
    out, scaled = outs
    g, target, weight, divisor = ins
    divide((scaled,), (g, divisor))
    places = along.places
    family_of(along).nll_grad(
        along.read(out), scaled.reshape(places), target.reshape(places), weight.reshape(-1), ignore_index, 0, 1
    )


def _nll_grad_twin(
    g: Any, target: Any, weight: Any, divisor: Any, ignore_index: int, order: tuple[int, ...]
) -> Any:
    hit, _ = hits(target, weight, ignore_index)
    cotangents = unsqueeze(expand(neg(div(g, divisor)), target.spec.shape), class_axis(target.spec))
    return mul(cotangents, mul(hit, by_class(weight, target.spec)))


nll_loss_grad_p = define(
    "nll_loss_grad",
    infer=_nll_grad_infer,
    run=_nll_grad_run,
    prepare=lambda inputs, outputs, ignore_index, order: grad_prepare(
        *inputs[:3], *outputs, ignore_index=ignore_index
    ),
    scratch=lambda inputs, outputs, **_: grad_scratch(*inputs[1:3]),
    vjp=None,
    twin=_nll_grad_twin,
    cost=lambda inputs, outputs, **_: Cost(2 * inputs[1].size, moved(*inputs, *outputs)),
    samples=lambda: [
        Sample(
            *(sample.arguments[0], *sample.arguments[2:]), ignore_index=-1, order=spec_of(sample.arguments[1]).order
        )
        for sample in grad_samples()
    ],
    errors=lambda: [],
)
