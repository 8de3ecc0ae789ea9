"""Losses that compare an input with its target element by element, composed of other operations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autodiff.bind import TensorT, bind
from autodiff.errors import ShapeError, ValueRangeError
from autodiff.ops import strided
from autodiff.ops.broadcast import expand
from autodiff.ops.choice import clamp, clamp_min, where
from autodiff.ops.comparison import eq, gt
from autodiff.ops.elementwise import abs, add, div, fit, mul, neg, pointwise, square, sub
from autodiff.ops.functions import exp, log, logsigmoid, sigmoid, xlogy
from autodiff.ops.loss import check_reduction, pair, pair_errors, pair_samples, reduced
from autodiff.ops.promotion import constant, is_tensor
from autodiff.ops.ranges import require_range
from autodiff.ops.reduce import mean
from autodiff.ops.samples import spread
from autodiff.ops.shaping import unsqueeze
from autodiff.ops.structural import cast_to
from autodiff.primitive import ErrorSample, Keep, Primitive, Sample, composed

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "multilabel_soft_margin_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
]

# ---- What all of them share ------------------------------------------------------------------------------------------


def _operands(operation: str, input: Any, target: Any, reduction: str) -> list[Any]:
    check_reduction(operation, reduction)
    return pair(operation, input, target)


def _weighted(operation: str, losses: Any, weight: Any) -> Any:
    """Return the losses times a weight that broadcasts to them."""
    if weight is None:
        return losses
    if strided.broadcast(operation, losses.spec, weight.spec) != losses.spec.shape:
        raise ShapeError(
            operation,
            "the weight does not broadcast to the losses",
            expected=f"{losses.spec.shape}, or sizes of 1",
            got=str(weight.spec.shape),
        )
    return mul(losses, cast_to(weight, losses.spec.dtype))


def _weight_samples() -> list[Sample]:
    """Return samples of ``f(probabilities or logits, target, weight)``."""
    x, y = spread(0.1, 0.9, 4, 3), spread(0, 1, 4, 3)[::-1]
    return [
        Sample(x, y, spread(0.5, 2, 3)),
        Sample(x, y, spread(0.5, 2, 4, 1), reduction="sum"),
        Sample(x, (y > 0.5).astype(np.int64), spread(0.5, 2, 4, 3), reduction="none"),
        Sample(x, y > 0.5),
    ]


def _weight_errors() -> list[ErrorSample]:
    x = np.full((3, 2), 0.5, np.float32)
    return [
        *pair_errors(),
        ErrorSample(
            Sample(x, x, np.ones((2, 3, 2), np.float32)), ShapeError, "the weight does not broadcast to the losses"
        ),
    ]


# ---- Distances of numbers --------------------------------------------------------------------------------------------


@composed(samples=lambda: pair_samples(-2, 2, -1, 2.7), errors=pair_errors)
def l1_loss(input: TensorT, target: TensorT, reduction: str = "mean") -> TensorT:
    """Return the absolute error ``|input - target|``, reduced.

    Args:
        input: any shape.
        target: the same shape, or one that broadcasts to it.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for the error of each element.

    Raises:
        ShapeError: if the shapes do not broadcast, or to a larger shape than both have.
        ValueRangeError: for another reduction.

    >>> import autodiff as ad
    >>> ad.nn.functional.l1_loss(ad.tensor([1.0, 2.0]), ad.tensor([1.0, 4.0]))
    tensor(1.)
    """
    x, y = _operands("l1_loss", input, target, reduction)
    return reduced(abs(sub(x, y)), reduction)  # type: ignore[no-any-return]


def _positive_errors(name: str, least: str) -> list[ErrorSample]:
    x = np.ones(3, np.float32)
    wrong: dict[str, Any] = {name: -1.0}
    return [*pair_errors(), ErrorSample(Sample(x, x, **wrong), ValueRangeError, f"{name} is.*{least}.*got -1")]


@composed(
    samples=lambda: [
        *pair_samples(-2, 2, -1, 2.7),
        *pair_samples(-2, 2, -1, 2.7, beta=0.7)[:3],
        Sample(spread(-2, 2, 5), spread(-1, 2.7, 5)[::-1], beta=0),
    ],
    errors=lambda: _positive_errors("beta", "at least 0"),
)
def smooth_l1_loss(input: TensorT, target: TensorT, reduction: str = "mean", beta: float = 1.0) -> TensorT:
    """Return ``d ** 2 / (2 * beta)`` where the error ``d = |input - target|`` is below `beta`, else ``d - beta / 2``.

    Args:
        input: any shape.
        target: the same shape, or one that broadcasts to it.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for the loss of each element.
        beta: where the parabola ends; with 0 the loss is `l1_loss`. (Girshick, Fast R-CNN, 2015, section 2.3)

    Raises:
        ShapeError: if the shapes do not broadcast, or to a larger shape than both have.
        ValueRangeError: for a negative `beta` or another reduction.

    >>> import autodiff as ad
    >>> ad.nn.functional.smooth_l1_loss(ad.tensor([1.0, 2.0]), ad.tensor([1.5, 4.0]), reduction="none")
    tensor([0.1250, 1.5000])
    """
    x, y = _operands("smooth_l1_loss", input, target, reduction)
    if beta < 0:
        raise ValueRangeError("smooth_l1_loss", "beta is negative", expected="at least 0", got=str(beta))
    if beta == 0:
        return reduced(abs(sub(x, y)), reduction)  # type: ignore[no-any-return]
    return reduced(_bent(x, y, beta, 1 / beta), reduction)  # type: ignore[no-any-return]


def _bent_vjp(r: Any, g: Any) -> tuple[Any, ...]:
    gx = bind(bent_loss_grad_p, g, *[r.input(i) for i in range(4)])
    return fit(r, gx if r.mask[0] else None, neg(gx) if r.mask[1] else None, None, None)


def _bent_twin(x: Any, y: Any, corner: Any, scale: Any) -> Any:
    clamped = clamp(sub(x, y), -corner, corner)
    return mul(mul(clamped, scale), sub(sub(x, y), mul(clamped, 0.5)))


def _bent_grad_samples() -> list[Sample]:
    numbers = [np.full((), 0.7, np.float32), np.full((), 2.0, np.float32)]
    return [Sample(spread(-1, 1, 3, 4), spread(-2, 2, 3, 4), spread(-1, 2.7, 3, 4)[::-1], *numbers)]


bent_loss_p = pointwise("bent_loss", kinds="f", vjp=_bent_vjp, twin=_bent_twin, saves=Keep(inputs=(0, 1, 2, 3)),
                        flops=6, call=lambda *a: _bent(*a),
                        samples=lambda: [Sample(spread(-2, 2, 3, 4), spread(-1, 2.7, 3, 4)[::-1], 0.7, 2.0)])
bent_loss_grad_p: Primitive = pointwise(
    "bent_loss_grad", vjp=None, flops=5, samples=_bent_grad_samples,
    twin=lambda g, x, y, corner, scale: mul(mul(g, scale), clamp(sub(x, y), -corner, corner)),
)


def _bent(x: Any, y: Any, corner: float, scale: float) -> Any:
    """Return scale d ** 2 / 2, d = x - y, up to the corner and its tangent beyond."""
    dtype = x.spec.dtype
    return bind(bent_loss_p, x, y, constant(corner, dtype), constant(scale, dtype))


@composed(
    samples=lambda: [*pair_samples(-2, 2, -1, 2.7), *pair_samples(-2, 2, -1, 3, delta=0.7)[:3]],
    errors=lambda: _positive_errors("delta", "above 0"),
)
def huber_loss(input: TensorT, target: TensorT, reduction: str = "mean", delta: float = 1.0) -> TensorT:
    """Return ``d ** 2 / 2`` where ``d = |input - target|`` is at most `delta`, else ``delta * (d - delta / 2)``.

    Args:
        input: any shape.
        target: the same shape, or one that broadcasts to it.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for the loss of each element.
        delta: where the parabola ends. (Huber, Robust estimation of a location parameter, 1964)

    Raises:
        ShapeError: if the shapes do not broadcast, or to a larger shape than both have.
        ValueRangeError: unless `delta` is positive, or for another reduction.

    >>> import autodiff as ad
    >>> ad.nn.functional.huber_loss(ad.tensor([1.0, 2.0]), ad.tensor([1.5, 4.0]), reduction="none")
    tensor([0.1250, 1.5000])
    """
    x, y = _operands("huber_loss", input, target, reduction)
    if delta <= 0:
        raise ValueRangeError("huber_loss", "delta is not positive", expected="above 0", got=str(delta))
    return reduced(_bent(x, y, delta, 1), reduction)  # type: ignore[no-any-return]


# ---- Yes or no -------------------------------------------------------------------------------------------------------


def _logistic_vjp(r: Any, g: Any) -> tuple[Any, ...]:
    return fit(r, bind(logistic_loss_grad_p, g, r.input(0), r.input(1)) if r.mask[0] else None,
               neg(mul(g, r.input(0))) if r.mask[1] else None)


logistic_loss_p = pointwise(
    "logistic_loss", kinds="f", vjp=_logistic_vjp, twin=lambda x, y: sub(mul(sub(1, y), x), logsigmoid(x)),
    saves=(Keep(inputs=(0, 1)), Keep(inputs=(0,))), flops=22,
    samples=lambda: [Sample(spread(-4, 4, 3, 4), spread(0, 1, 3, 4)[::-1])],
)
logistic_loss_grad_p: Primitive = pointwise(
    "logistic_loss_grad", vjp=None, flops=12, twin=lambda g, x, y: mul(g, sub(sigmoid(x), y)),
    samples=lambda: [Sample(spread(-1, 1, 3, 4), spread(-4, 4, 3, 4), spread(0, 1, 3, 4)[::-1])],
)


def _bounded_log(p: Any) -> Any:
    """Return the logarithm, at least -100; its gradient is 0 there instead of infinite."""
    zero = eq(p, 0)
    return where(zero, -100.0, clamp_min(log(where(zero, 1.0, p)), -100.0))


@composed(
    samples=lambda: [
        *pair_samples(0.1, 0.9, 0, 1),
        *_weight_samples(),
        Sample(np.array([0, 1, 0, 1], np.float32), np.array([0, 1, 1, 0], np.float32), gradient=False),
    ],
    errors=lambda: [
        *_weight_errors(),
        ErrorSample(
            Sample(np.array([[0.5, 2.0]], np.float32), np.ones((1, 2), np.float32)),
            ValueRangeError,
            r"a probability is out of range; expected 0 to 1; got 2 at \[0, 1\]; .*binary_cross_entropy_with_logits",
        ),
    ],
)
def binary_cross_entropy(
    input: TensorT, target: TensorT, weight: TensorT | None = None, reduction: str = "mean"
) -> TensorT:
    """Return ``-(y * log(p) + (1 - y) * log(1 - p))`` for probabilities p, reduced.

    A logarithm is never below -100, as in PyTorch, so that the loss stays finite. Its gradient there is 0.

    Args:
        input: probabilities p; any shape.
        target: y from 0 to 1; the same shape, or one that broadcasts to it.
        weight: factor of each loss; broadcasts to the losses.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for the loss of each element.

    Raises:
        ShapeError: if the shapes do not fit.
        ValueRangeError: if `input` leaves [0, 1], or for another reduction.

    >>> import autodiff as ad
    >>> ad.nn.functional.binary_cross_entropy(ad.tensor([0.5, 0.9]), ad.tensor([1.0, 1.0]))
    tensor(0.3993)
    """
    p, y = _operands("binary_cross_entropy", input, target, reduction)
    remedy = "pass probabilities, sigmoid(logits), or use binary_cross_entropy_with_logits"
    require_range("binary_cross_entropy", "a probability is", p, 0, 1, remedy)
    losses = neg(add(mul(y, _bounded_log(p)), mul(sub(1, y), _bounded_log(sub(1, p)))))
    return reduced(_weighted("binary_cross_entropy", losses, weight), reduction)  # type: ignore[no-any-return]


@composed(
    samples=lambda: [
        *pair_samples(-4, 4, 0, 1),
        *_weight_samples(),
        Sample(spread(-4, 4, 4, 3), spread(0, 1, 4, 3), pos_weight=spread(0.5, 3, 3)),
        Sample(spread(-4, 4, 4, 3), spread(0, 1, 4, 3), spread(0.5, 3, 3), "sum", spread(0.5, 3, 4, 1)),
        Sample(np.array([-200, 200, 0], np.float32), np.array([0, 0, 1], np.float32), gradient=False),
    ],
    errors=_weight_errors,
)
def binary_cross_entropy_with_logits(
    input: TensorT,
    target: TensorT,
    weight: TensorT | None = None,
    reduction: str = "mean",
    pos_weight: TensorT | None = None,
) -> TensorT:
    """Return `binary_cross_entropy` of ``sigmoid(input)``, computed from the logits without overflow.

    Args:
        input: logits; any shape.
        target: y from 0 to 1; the same shape, or one that broadcasts to it.
        weight: factor of each loss; broadcasts to the losses.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for the loss of each element.
        pos_weight: factor of the term ``y * log(sigmoid(input))``; broadcasts to the losses.

    Raises:
        ShapeError: if the shapes do not fit.
        ValueRangeError: for another reduction.

    >>> import autodiff as ad
    >>> ad.nn.functional.binary_cross_entropy_with_logits(ad.tensor([0.0, 2.0]), ad.tensor([1.0, 1.0]))
    tensor(0.4100)
    """
    operation = "binary_cross_entropy_with_logits"
    x, y = _operands(operation, input, target, reduction)
    if pos_weight is None:
        losses = bind(logistic_loss_p, x, y)
    else:
        # log(1 - sigmoid(x)) = log(sigmoid(x)) - x
        factor = add(1, _weighted(operation, y, sub(pos_weight, 1)))
        losses = sub(mul(sub(1, y), x), mul(logsigmoid(x), factor))
    return reduced(_weighted(operation, losses, weight), reduction)  # type: ignore[no-any-return]


@composed(
    samples=lambda: [
        Sample(spread(-2, 2, 4, 3), np.where(spread(0, 1, 4, 3) > 0.5, 1, -1)),
        Sample(spread(-2, 2, 4, 3), np.where(spread(0, 1, 4, 3) > 0.5, 1, -1), reduction="none"),
        Sample(spread(-90, 90, 5), np.where(spread(0, 1, 5) > 0.5, 1.0, -1.0), reduction="sum", gradient=False),
    ],
    errors=pair_errors,
)
def soft_margin_loss(input: TensorT, target: TensorT, reduction: str = "mean") -> TensorT:
    """Return ``log(1 + exp(-target * input))``, reduced.

    Args:
        input: any shape.
        target: 1 or -1; the same shape, or one that broadcasts to it.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for the loss of each element.

    Raises:
        ShapeError: if the shapes do not fit.
        ValueRangeError: for another reduction.

    >>> import autodiff as ad
    >>> ad.nn.functional.soft_margin_loss(ad.tensor([0.0, 2.0]), ad.tensor([1.0, 1.0]))
    tensor(0.4100)
    """
    x, y = _operands("soft_margin_loss", input, target, reduction)
    return reduced(neg(logsigmoid(mul(y, x))), reduction)  # type: ignore[no-any-return]


@composed(
    samples=lambda: [
        Sample(spread(-3, 3, 4, 3), spread(0, 1, 4, 3)),
        Sample(spread(-3, 3, 4, 3), spread(0, 1, 4, 3) > 0.5, spread(0.5, 2, 3), reduction="none"),
        Sample(spread(-3, 3, 4, 3), spread(0, 1, 4, 3), reduction="sum"),
    ],
    errors=_weight_errors,
)
def multilabel_soft_margin_loss(
    input: TensorT, target: TensorT, weight: TensorT | None = None, reduction: str = "mean"
) -> TensorT:
    """Return the mean over classes of `binary_cross_entropy_with_logits`, reduced over the batch.

    Args:
        input: logits; (N, C) or (C,).
        target: y from 0 to 1; the same shape.
        weight: factor of each class; (C,).
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for the loss of each row.

    Raises:
        ShapeError: if the shapes do not fit.
        ValueRangeError: for another reduction.

    >>> import autodiff as ad
    >>> ad.nn.functional.multilabel_soft_margin_loss(ad.tensor([[0.0, 2.0]]), ad.tensor([[1.0, 1.0]]))
    tensor(0.4100)
    """
    check_reduction("multilabel_soft_margin_loss", reduction)
    losses = binary_cross_entropy_with_logits(input, target, weight, "none")
    return reduced(mean(losses, -1), reduction)  # type: ignore[no-any-return]


@composed(
    samples=lambda: [
        Sample(spread(0, 3, 4, 3), np.where(spread(0, 1, 4, 3) > 0.5, 1, -1)),
        Sample(spread(0, 3, 4, 3), np.where(spread(0, 1, 4, 3) > 0.5, 1, -1), 2.0, reduction="none"),
        Sample(spread(0, 3, 5, dtype=np.float64), np.array([1, -1, 1, -1, -1]), reduction="sum"),
    ],
    errors=pair_errors,
)
def hinge_embedding_loss(input: TensorT, target: TensorT, margin: float = 1.0, reduction: str = "mean") -> TensorT:
    """Return `input` where the target is 1, and ``max(0, margin - input)`` elsewhere, reduced.

    Args:
        input: distances; any shape.
        target: 1 or -1; the same shape, or one that broadcasts to it.
        margin: distance from which on unlike pairs have no loss.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for the loss of each element.

    Raises:
        ShapeError: if the shapes do not fit.
        ValueRangeError: for another reduction.

    >>> import autodiff as ad
    >>> ad.nn.functional.hinge_embedding_loss(ad.tensor([0.5, 0.25]), ad.tensor([1, -1]), reduction="none")
    tensor([0.5000, 0.7500])
    """
    x, y = _operands("hinge_embedding_loss", input, target, reduction)
    return reduced(where(eq(y, 1), x, clamp_min(sub(margin, x), 0.0)), reduction)  # type: ignore[no-any-return]


# ---- Distributions ---------------------------------------------------------------------------------------------------


@composed(
    samples=lambda: [
        *pair_samples(-3, 0, 0.1, 1),
        *pair_samples(-3, 0, -2, 0, log_target=True)[:4],
        Sample(spread(-3, 0, 4, 3), spread(0.1, 1, 4, 3), reduction="batchmean"),
        Sample(spread(-3, 0, 3), np.array([0, 0.25, 0.75], np.float32), gradient=False),
    ],
    errors=lambda: [
        *pair_errors()[:2],
        ErrorSample(
            Sample(np.ones(2, np.float32), np.ones(2, np.float32), reduction="average"),
            ValueRangeError,
            "'batchmean'; got 'average'",
        ),
    ],
)
def kl_div(input: TensorT, target: TensorT, reduction: str = "mean", log_target: bool = False) -> TensorT:
    """Return the Kullback-Leibler divergence ``target * (log(target) - input)``, reduced.

    Args:
        input: log-probabilities; any shape.
        target: probabilities; the same shape, or one that broadcasts to it.
        reduction: ``"batchmean"`` divides the sum by the first size, which is the divergence of distributions;
            ``"mean"`` divides by the number of elements; ``"sum"``, ``"none"``.
        log_target: `target` holds log-probabilities.

    Raises:
        ShapeError: if the shapes do not fit.
        ValueRangeError: for another reduction.

    >>> import autodiff as ad
    >>> p, q = ad.tensor([[0.5, 0.5]]), ad.tensor([[0.25, 0.75]])
    >>> ad.nn.functional.kl_div(ad.log(p), q, reduction="batchmean")
    tensor(0.1308)
    """
    check_reduction("kl_div", reduction, ("mean", "sum", "none", "batchmean"))
    x, y = pair("kl_div", input, target)
    losses = mul(exp(y), sub(y, x)) if log_target else sub(xlogy(y, y), mul(y, x))
    if reduction == "batchmean":
        batch = losses.spec.shape[0] if losses.spec.ndim else 1
        return div(reduced(losses, "sum"), batch)  # type: ignore[no-any-return]
    return reduced(losses, reduction)  # type: ignore[no-any-return]


@composed(
    samples=lambda: [
        *pair_samples(-1, 1, 0.1, 4),
        Sample(spread(0.1, 2, 4, 3), spread(0, 4, 4, 3), log_input=False),
        Sample(spread(-1, 1, 4, 3), spread(0, 4, 4, 3), full=True),
        Sample(spread(-1, 1, 4), np.arange(4), True, True, reduction="none"),
    ],
    errors=pair_errors,
)
def poisson_nll_loss(
    input: TensorT,
    target: TensorT,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> TensorT:
    """Return the negative log-likelihood of Poisson counts, ``exp(input) - target * input``, reduced.

    Args:
        input: logarithm of the expected count; any shape.
        target: counts; the same shape, or one that broadcasts to it.
        log_input: False: `input` is the expected count, the loss ``input - target * log(input + eps)``.
        full: add Stirling's approximation of ``log(target!)`` where `target` is above 1.
        eps: keeps the logarithm finite.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for the loss of each element.

    Raises:
        ShapeError: if the shapes do not fit.
        ValueRangeError: for another reduction.

    >>> import autodiff as ad
    >>> ad.nn.functional.poisson_nll_loss(ad.tensor([0.0, 1.0]), ad.tensor([1.0, 2.0]), reduction="none")
    tensor([1.0000, 0.7183])
    """
    x, y = _operands("poisson_nll_loss", input, target, reduction)
    losses = sub(exp(x), mul(y, x)) if log_input else sub(x, mul(y, log(add(x, eps))))
    if full:
        several = gt(y, 1)
        count = where(several, y, 1.0)
        stirling = add(sub(xlogy(count, count), count), mul(log(mul(count, 2 * math.pi)), 0.5))
        losses = add(losses, where(several, stirling, 0.0))
    return reduced(losses, reduction)  # type: ignore[no-any-return]


def _gaussian_samples() -> list[Sample]:
    x, y, variance = spread(-2, 2, 4, 3), spread(-1, 3, 4, 3), spread(0.5, 2, 4, 3)
    return [
        Sample(x, y, variance),
        Sample(x, y, variance, full=True, reduction="sum"),
        Sample(x, y, variance[:, :1], reduction="none"),
        Sample(x, y, 0.5),
        Sample(x, y, np.zeros((4, 3), np.float32), eps=0.1, gradient=False),
        Sample(x.astype(np.float64), y.astype(np.float64), variance.astype(np.float64)),
    ]


def _gaussian_errors() -> list[ErrorSample]:
    x = np.ones((3, 2), np.float32)
    return [
        *pair_errors(x[:, :1]),
        ErrorSample(
            Sample(x, x, -x), ValueRangeError, r"a variance is out of range; expected 0 to inf; got -1 at \[0, 0\]"
        ),
        ErrorSample(
            Sample(x, x, np.ones(5, np.float32)), ShapeError, r"the variance does not fit.*\(3, 2\).*got \(5,\)"
        ),
    ]


@composed(samples=_gaussian_samples, errors=_gaussian_errors)
def gaussian_nll_loss(
    input: TensorT,
    target: TensorT,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> TensorT:
    """Return the negative log-likelihood of a normal distribution, reduced.

    The loss is ``(log(v) + (input - target) ** 2 / v) / 2`` with ``v = max(var, eps)``; where `var` is below `eps` it
    receives no gradient.

    Args:
        input: expectations; any shape.
        target: the same shape, or one that broadcasts to it.
        var: variances, a number or a tensor: of the same shape, or without or with a last dimension of size 1.
        full: add the constant ``log(2 * pi) / 2``.
        eps: least variance.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for the loss of each element.

    Raises:
        ShapeError: if the shapes do not fit.
        ValueRangeError: for a negative variance or another reduction.

    >>> import autodiff as ad
    >>> ad.nn.functional.gaussian_nll_loss(ad.tensor([0.0]), ad.tensor([2.0]), ad.tensor([1.0]))
    tensor(2.)
    """
    operation = "gaussian_nll_loss"
    x, y = _operands(operation, input, target, reduction)
    variance = _variance(operation, var, x)
    require_range(operation, "a variance is", variance, 0, math.inf)
    variance = clamp_min(variance, eps)
    losses = mul(add(log(variance), div(square(sub(x, y)), variance)), 0.5)
    if full:
        losses = add(losses, 0.5 * math.log(2 * math.pi))
    return reduced(losses, reduction)  # type: ignore[no-any-return]


def _variance(operation: str, var: Any, x: Any) -> Any:
    """Return a variance as a tensor of the shape of `x`."""
    shape = x.spec.shape
    if not is_tensor(var):
        return expand(constant(float(var), x.spec.dtype), shape)
    found = cast_to(var, x.spec.dtype)
    if found.spec.shape == shape[:-1] != shape:
        found = unsqueeze(found, -1)
    fits = len(found.spec.shape) == len(shape) and all(have in (1, want) for have, want in zip(found.spec.shape, shape))
    if not fits:
        raise ShapeError(
            operation,
            "the variance does not fit the input",
            expected=f"{shape}, {(*shape[:-1], 1)} or {shape[:-1]}",
            got=str(var.spec.shape),
        )
    return expand(found, shape)
