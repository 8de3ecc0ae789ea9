"""Cross-entropy of logits with class probabilities.

Next to the losses the primitive returns what its backward pass needs: of each softmax the largest logit and the scale
that makes the exponentials probabilities, and the sum of the smoothed and weighted labels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.bind import bind
from autodiff.ops.broadcast import sum as total
from autodiff.ops.elementwise import add, mul, neg, sub
from autodiff.ops.host import from_array
from autodiff.ops.loss import check_reduction, reduced
from autodiff.ops.loss_classes import class_weights, family_of, plane_inputs
from autodiff.ops.probability import Along, along, laid_out, log_softmax, softmax
from autodiff.ops.promotion import promote
from autodiff.ops.samples import spread
from autodiff.ops.shaping import unsqueeze
from autodiff.ops.structural import cast_to, contiguous, ordered, reshape
from autodiff.primitive import EachPart, Keep, Primitive, Sample, define, no_errors
from autodiff.spec import Array, Cost, Spec, moved


def soft_cross_entropy(input: Any, target: Any, weight: Any, reduction: str, label_smoothing: float) -> Any:
    """Return the cross-entropy with class probabilities in the shape of the input, reduced."""
    check_reduction("cross_entropy", reduction)
    x, labels = promote("cross_entropy", input, target)
    axis = _class_axis(x.spec)
    weights = class_weights("cross_entropy", weight, x.spec.shape[axis], x.spec.dtype)
    places = [dim for dim in x.spec.order or () if dim != axis]
    x = laid_out(contiguous(x) if places != sorted(places) else x, axis)
    labels = ordered(labels, x.spec.order)
    return reduced(bind(soft_cross_entropy_p, x, labels, weights, label_smoothing=label_smoothing)[0], reduction)


def _class_axis(x: Spec) -> int:
    return min(1, x.ndim - 1)


def _places(x: Spec) -> Spec:
    """Return the spec of one number a softmax."""
    axis = _class_axis(x)
    return Spec.of(x.shape[:axis] + x.shape[axis + 1 :], x.dtype)


def _prepare(x: Spec, label_smoothing: float) -> dict[str, Any]:
    return {"along": along(x, _class_axis(x)), "label_smoothing": label_smoothing}


def _scratch(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], **_: Any) -> tuple[EachPart, ...]:
    x = inputs[0]
    return along(x, _class_axis(x)).tile(x.dtype)


def _cost(passes: int) -> Any:
    """Return the cost function of a kernel with so many operations a logit."""
    return lambda inputs, outputs, **_: Cost(passes * inputs[1].size, moved(*inputs, *outputs))


def _run(outs: list[Array], ins: list[Array], along: Along, label_smoothing: float) -> None:
    x, labels, weight = ins
    rows, tile = [out.reshape(along.places) for out in outs[:4]], outs[4:]
    family_of(along).soft_cross_entropy(
        *rows, *tile, along.read(x), along.read(labels), weight.reshape(-1), label_smoothing, 0, 1
    )


def _vjp(record: Any, g: Any, *_: Any) -> tuple[Any, Any, None]:
    if g is None:
        return None, None, None
    of_logits = of_labels = None
    g, x, weight, kept = contiguous(g), record.input(0), record.input(2), (record.output(1), record.output(2))
    if record.mask[0]:
        of_logits = bind(soft_cross_entropy_grad_p, g, x, record.input(1), *kept, record.output(3), weight,
                         **record.params)
    if record.mask[1]:
        of_labels = bind(soft_cross_entropy_label_grad_p, g, x, *kept, weight, **record.params)
    return of_logits, of_labels, None


def _wanted(x: Any, labels: Any, weight: Any, label_smoothing: float) -> Any:
    """Return the smoothed and weighted labels."""
    even = label_smoothing / weight.spec.size if weight.spec.size else 0.0
    return mul(add(mul(labels, 1 - label_smoothing), even), _by_class(weight, x))


def _by_class(weight: Any, x: Any) -> Any:
    return reshape(weight, (weight.spec.size,) + (1,) * (x.spec.ndim - _class_axis(x.spec) - 1))


def _samples() -> list[Sample]:
    """Weights are integers, as they have no gradient."""
    x, soft, weight = spread(-3, 3, 4, 3), spread(0, 1, 4, 3), np.array([1, 3, 2])
    planes, _ = plane_inputs(-3, 3)
    image = spread(-3, 3, 2, 2, 3, 4).transpose(0, 3, 1, 2)
    return [
        Sample(x, soft, np.ones(3, int), label_smoothing=0.0),
        Sample(x, soft, weight, label_smoothing=0.3),
        Sample(x[0], soft[0], weight, label_smoothing=0.1),
        Sample(planes, abs(planes)[::-1].copy(), np.arange(1, 6), label_smoothing=0.1),
        Sample(image, abs(image), np.arange(1, 5), label_smoothing=0.0),
        Sample(planes.astype(np.float64), abs(planes.astype(np.float64)), np.arange(1, 6), label_smoothing=0.0),
        Sample(x[:0], soft[:0], weight, label_smoothing=0.0),
    ]


soft_cross_entropy_p: Primitive = define(
    "soft_cross_entropy",
    infer=lambda x, labels, weight, **_: (_places(x),) * 4,
    run=_run,
    prepare=lambda inputs, outputs, **params: _prepare(inputs[0], **params),
    scratch=_scratch,
    vjp=_vjp,
    saves=(Keep(inputs=(0, 1, 2), outputs=(1, 2, 3)), Keep(inputs=(0, 2), outputs=(1, 2)), Keep()),
    twin=lambda x, labels, weight, label_smoothing: neg(
        total(mul(_wanted(x, labels, weight, label_smoothing), log_softmax(x, _class_axis(x.spec))),
              _class_axis(x.spec))
    ),
    cost=_cost(18),
    samples=_samples,
    errors=no_errors,
    call=lambda x, labels, weight, **params: bind(
        soft_cross_entropy_p, x, labels, cast_to(weight, x.spec.dtype), **params)[0],
)


# ---- The gradients of logits and of labels ---------------------------------------------------------------------------


def _grad_run(outs: list[Array], ins: list[Array], along: Along, label_smoothing: float) -> None:
    g, x, labels, *kept, weight = ins
    rows = [array.reshape(along.places) for array in kept]
    family_of(along).soft_cross_entropy_grad(
        along.read(outs[0]), g.reshape(along.places), along.read(x), along.read(labels), *rows, weight.reshape(-1),
        label_smoothing, 0, 1,
    )


def _grad_twin(
    g: Any, x: Any, labels: Any, shifts: Any, scales: Any, sums: Any, weight: Any, label_smoothing: float
) -> Any:
    axis, wanted = _class_axis(x.spec), _wanted(x, labels, weight, label_smoothing)
    gradient = sub(mul(total(wanted, axis, keepdim=True), softmax(x, axis)), wanted)
    return mul(unsqueeze(g, axis), gradient)


def _grad_samples() -> list[Sample]:
    """What `soft_cross_entropy` returned takes part; its derivative is that of the inputs: not checked here."""
    samples = []
    for sample in _samples():
        x, labels, weight = [array.astype(sample.arguments[0].dtype) for array in sample.arguments]
        kept = bind(soft_cross_entropy_p, *map(from_array, (x, labels, weight)), **sample.keywords)[1:]
        g = spread(-1, 1, *kept[0].spec.shape, dtype=x.dtype)
        arrays = [tensor.array for tensor in kept]
        samples.append(Sample(g, x, labels, *arrays, weight, gradient=False, **sample.keywords))
    return samples


soft_cross_entropy_grad_p: Primitive = define(
    "soft_cross_entropy_grad",
    infer=lambda g, x, *_, **__: Spec.of(x.shape, x.dtype, x.order),
    run=_grad_run,
    prepare=lambda inputs, outputs, **params: _prepare(inputs[1], **params),
    vjp=None,
    twin=_grad_twin,
    cost=_cost(16),
    samples=_grad_samples,
    errors=no_errors,
)


def _label_grad_run(outs: list[Array], ins: list[Array], along: Along, label_smoothing: float) -> None:
    g, x, shifts, scales, weight = ins
    rows = [array.reshape(along.places) for array in (shifts, scales)]
    family_of(along).soft_cross_entropy_label_grad(
        along.read(outs[0]), g.reshape(along.places), along.read(x), *rows, weight.reshape(-1), label_smoothing, 0, 1
    )


def _label_grad_twin(g: Any, x: Any, shifts: Any, scales: Any, weight: Any, label_smoothing: float) -> Any:
    axis = _class_axis(x.spec)
    scaled = mul(mul(unsqueeze(g, axis), label_smoothing - 1), _by_class(weight, x))
    return mul(scaled, log_softmax(x, axis))


soft_cross_entropy_label_grad_p: Primitive = define(
    "soft_cross_entropy_label_grad",
    infer=lambda g, x, *_, **__: Spec.of(x.shape, x.dtype, x.order),
    run=_label_grad_run,
    prepare=lambda inputs, outputs, **params: _prepare(inputs[1], **params),
    vjp=None,
    twin=_label_grad_twin,
    cost=_cost(4),
    samples=lambda: [
        Sample(*sample.arguments[:2], *sample.arguments[3:5], sample.arguments[6], gradient=False, **sample.keywords)
        for sample in _grad_samples()
    ],
    errors=no_errors,
)
