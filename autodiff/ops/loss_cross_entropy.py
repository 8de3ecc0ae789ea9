"""Cross-entropy of logits with classes; that with class probabilities is `loss_soft.py`.

Next to the loss the primitive returns what its backward pass needs: of each softmax the largest logit and the scale
that makes the exponentials probabilities, and the weight that a mean divided by.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.arguments import integer
from autodiff.bind import TensorT, bind
from autodiff.errors import ValueRangeError
from autodiff.ops.broadcast import expand
from autodiff.ops.broadcast import sum as total
from autodiff.ops.elementwise import add, div, mul, sub
from autodiff.ops.host import from_array
from autodiff.ops.loss_classes import (
    bad_target,
    by_class,
    class_arguments,
    class_axis,
    class_errors,
    family_of,
    grad_prepare,
    grad_samples,
    grad_scratch,
    hits,
    losses_prepare,
    losses_scratch,
    plane_inputs,
    plane_samples,
    reduce_losses,
    require_logits,
)
from autodiff.ops.loss_soft import soft_cross_entropy
from autodiff.ops.probability import Along, along, softmax
from autodiff.ops.promotion import is_tensor
from autodiff.ops.reduce import Run
from autodiff.ops.samples import spread
from autodiff.ops.shaping import unsqueeze
from autodiff.primitive import EachPart, ErrorSample, Keep, Sample, define
from autodiff.spec import Array, Cost, Spec, moved

__all__ = ["cross_entropy"]


def _cross_entropy_infer(x: Spec, target: Spec, weight: Spec, reduction: str, **_: Any) -> tuple[Spec, ...]:
    each, one = Spec.of(target.shape, x.dtype), Spec.of((), x.dtype)
    return each if reduction == "none" else one, each, each, one


def _cross_entropy_scratch(
    inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], **_: Any
) -> tuple[Spec | EachPart, ...]:
    x, target, _weight = inputs
    return *losses_scratch(inputs, outputs), *along(x, class_axis(target)).tile(x.dtype)


def _cross_entropy_run(
    outs: list[Array],
    ins: list[Array],
    along: Along,
    divide: Run,
    reduction: str,
    ignore_index: int,
    label_smoothing: float,
) -> None:
    loss, shifts, scales, divisor, losses, weights, partial, *tile, status = outs
    x, target, weight = ins
    if reduction == "none":
        losses = loss.reshape(-1)
    family, places = family_of(along), along.places
    family.cross_entropy(
        losses.reshape(places),
        weights.reshape(places),
        shifts.reshape(places),
        scales.reshape(places),
        *tile,
        status,
        along.read(x),
        target.reshape(places),
        weight,
        ignore_index,
        label_smoothing,
        0,
        1,
    )
    reduce_losses(reduction, [loss, divisor], losses, weights, partial, divide)


def _cross_entropy_vjp(record: Any, g: Any, *_: Any) -> tuple[Any, None, None]:
    if g is None:
        return None, None, None
    params = record.params
    gradient = bind(
        cross_entropy_grad_p,
        g,
        record.input(0),
        record.output(1),
        record.output(2),
        record.input(1),
        record.input(2),
        record.output(3),
        ignore_index=params["ignore_index"],
        label_smoothing=params["label_smoothing"],
    )
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
        *plane_samples(-3, 3),
        Sample(*plane_inputs(-3, 3), np.arange(1, 6), label_smoothing=0.2, ignore_index=2),
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


cross_entropy_p = define(
    "cross_entropy",
    infer=_cross_entropy_infer,
    run=_cross_entropy_run,
    prepare=losses_prepare,
    scratch=_cross_entropy_scratch,
    status=lambda position, ins, ignore_index, **_: bad_target("cross_entropy", position, ins, ignore_index),
    vjp=_cross_entropy_vjp,
    saves=Keep(inputs=(0, 1, 2), outputs=(1, 2, 3)),
    cost=lambda inputs, outputs, **_: Cost(14 * inputs[0].size, moved(*inputs, *outputs)),
    samples=_cross_entropy_samples,
    errors=lambda: [
        *class_errors(),
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
    require_logits("cross_entropy", x)
    if not 0 <= label_smoothing <= 1:
        raise ValueRangeError(
            "cross_entropy", "label_smoothing is no share", expected="a number from 0 to 1", got=str(label_smoothing)
        )
    if is_tensor(y) and y.spec.floating and y.spec.shape == x.spec.shape and y.spec.shape:
        return soft_cross_entropy(x, y, weight, reduction, float(label_smoothing))  # type: ignore[no-any-return]
    x, y, weights = class_arguments("cross_entropy", x, y, weight, reduction)
    params = {"ignore_index": integer("cross_entropy", "ignore_index", ignore_index),
              "label_smoothing": float(label_smoothing), "reduction": reduction}
    return bind(cross_entropy_p, x, y, weights, **params)[0]  # type: ignore[no-any-return]


def _cross_entropy_grad_run(
    outs: list[Array],
    ins: list[Array],
    along: Along,
    divide: Run,
    ignore_index: int,
    label_smoothing: float,
) -> None:
    out, scaled = outs
    g, x, shifts, scales, target, weight, divisor = ins
    divide((scaled,), (g, divisor))
    places = along.places
    family_of(along).cross_entropy_grad(
        along.read(out),
        scaled.reshape(places),
        along.read(x),
        shifts.reshape(places),
        scales.reshape(places),
        target.reshape(places),
        weight.reshape(-1),
        ignore_index,
        label_smoothing,
        0,
        1,
    )


def _cross_entropy_grad_twin(
    g: Any, x: Any, shifts: Any, scales: Any, target: Any, weight: Any, divisor: Any, ignore_index: int,
    label_smoothing: float,
) -> Any:
    hit, live = hits(target, weight, ignore_index)
    axis, weights = class_axis(target.spec), by_class(weight, target.spec)
    hit = mul(mul(hit, weights), 1 - label_smoothing)
    even = mul(mul(weights, live), label_smoothing / weight.spec.size)
    wanted = add(hit, even)
    gradient = sub(mul(total(wanted, axis, keepdim=True), softmax(x, axis)), wanted)
    return mul(unsqueeze(expand(div(g, divisor), target.spec.shape), axis), gradient)


def _cross_entropy_grad_samples() -> list[Sample]:
    """What `cross_entropy` returned takes part; its derivative is that of the logits, so it is not checked here."""
    samples = []
    for g, p, target, weight, _ in [sample.arguments for sample in grad_samples()]:
        for smoothing in (0.0, 0.2):
            operands = [from_array(np.asarray(array)) for array in (3 * p, target, weight)]
            params = {"ignore_index": -1, "label_smoothing": smoothing}
            found = bind(cross_entropy_p, *operands, **params, reduction="mean" if g.ndim == 0 else "none")[1:]
            shifts, scales, divisor = [x.array for x in found]
            samples.append(Sample(g, 3 * p, shifts, scales, target, weight, divisor, **params, gradient=False))
    return samples


cross_entropy_grad_p = define(
    "cross_entropy_grad",
    infer=lambda g, x, *_, **__: Spec.of(x.shape, x.dtype, x.order),
    run=_cross_entropy_grad_run,
    prepare=lambda inputs, outputs, **params: grad_prepare(inputs[0], inputs[4], inputs[5], *outputs, **params),
    scratch=lambda inputs, outputs, **_: grad_scratch(inputs[4], inputs[5]),
    vjp=None,
    twin=_cross_entropy_grad_twin,
    cost=lambda inputs, outputs, **_: Cost(14 * inputs[1].size, moved(*inputs, *outputs)),
    samples=_cross_entropy_grad_samples,
    errors=lambda: [],
)
