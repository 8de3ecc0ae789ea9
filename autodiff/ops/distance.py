"""Distances and similarities of vectors, and the losses that compare them, composed of other operations."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.bind import TensorT
from autodiff.errors import PositionError, ShapeError, ValueRangeError
from autodiff.ops import strided
from autodiff.ops.activation import relu
from autodiff.ops.broadcast import expand
from autodiff.ops.broadcast import sum as total
from autodiff.ops.choice import clamp_min, minimum, where
from autodiff.ops.comparison import eq
from autodiff.ops.elementwise import add, div, mul, neg, square, sub
from autodiff.ops.functions import sqrt
from autodiff.ops.loss import check_reduction, reduced
from autodiff.ops.loss_classes import class_hits, nll_loss
from autodiff.ops.promotion import constant, promote_float
from autodiff.ops.samples import spread
from autodiff.ops.shaping import unsqueeze
from autodiff.ops.statistics import vector_norm
from autodiff.ops.structural import axis_index
from autodiff.primitive import ErrorSample, Sample, composed

__all__ = [
    "cosine_embedding_loss",
    "cosine_similarity",
    "dist",
    "margin_ranking_loss",
    "multi_margin_loss",
    "pairwise_distance",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


def _two_errors(*more: Any) -> list[ErrorSample]:
    """Return the calls ``f(x1, x2, *more)`` with shapes that do not broadcast."""
    x = np.ones((3, 2), np.float32)
    return [ErrorSample(Sample(x, np.ones((3, 4), np.float32), *more), ShapeError, "do not broadcast")]


def _reduction_error(*arguments: Any) -> ErrorSample:
    return ErrorSample(
        Sample(*arguments, reduction="avg"), ValueRangeError, "expected 'mean' or 'sum' or 'none'; got 'avg'"
    )


def _same_shape(operation: str, *tensors: Any) -> None:
    """Raise where operands of several shapes would silently be compared with each other many times.

    Raises:
        ShapeError: if the shapes broadcast to another shape than one of theirs, or not at all.
    """
    shape = strided.broadcast(operation, *[x.spec for x in tensors])
    if all(x.spec.shape != shape for x in tensors):
        raise ShapeError(
            operation,
            "all operands would be broadcast, which compares every element with several",
            expected=f"one shape; these would make {shape}",
            got=" and ".join(str(x.spec.shape) for x in tensors),
            fix="bring them to one shape with reshape or squeeze",
        )


# ---- Distances -------------------------------------------------------------------------------------------------------


@composed(
    samples=lambda: [
        Sample(spread(-1, 1, 3, 4), spread(-1, 1, 3, 4)[::-1]),
        Sample(spread(-1, 1, 3, 4), spread(-1, 1, 4), dim=-1),
        Sample(spread(-1, 1, 2, 3, 4), spread(-1, 1, 2, 3, 1), dim=1),
        Sample(spread(-1, 1, 5, dtype=np.float64), spread(-1, 1, 5, dtype=np.float64) + 1, 0),
        Sample(np.zeros((2, 3), np.float32), spread(-1, 1, 2, 3), gradient=False),
    ],
    errors=lambda: [
        *_two_errors(),
        ErrorSample(
            Sample(np.ones(3, np.float32), np.ones(3, np.float32)),
            ShapeError,
            r"\[cosine_similarity\] the dimension does not",
        ),
    ],
)
def cosine_similarity(x1: TensorT, x2: TensorT, dim: int = 1, eps: float = 1e-8) -> TensorT:
    """Return the cosine of the angle between vectors: ``x1 . x2 / (max(|x1|, eps) * max(|x2|, eps))``.

    Args:
        x1: any shape.
        x2: any shape that broadcasts with `x1`.
        dim: dimension of the vectors, after broadcasting; it is dropped.
        eps: least length.

    Raises:
        ShapeError: if the shapes do not broadcast or the dimension does not exist.

    >>> import autodiff as ad
    >>> ad.cosine_similarity(ad.tensor([[1.0, 0.0]]), ad.tensor([[1.0, 1.0]]))
    tensor([0.7071])
    """
    operation = "cosine_similarity"
    a, b = promote_float(operation, x1, x2)
    shape = strided.broadcast(operation, a.spec, b.spec)
    axis = axis_index(operation, dim, len(shape))
    a, b = expand(a, shape), expand(b, shape)
    lengths = mul(clamp_min(vector_norm(a, 2, axis), eps), clamp_min(vector_norm(b, 2, axis), eps))
    return div(total(mul(a, b), axis), lengths)  # type: ignore[no-any-return]


@composed(
    samples=lambda: [
        Sample(spread(-1, 1, 3, 4), spread(0, 3, 3, 4)[::-1]),
        Sample(spread(-1, 1, 3, 4), spread(0, 3, 4), 1.0, keepdim=True),
        Sample(spread(-1, 1, 4), spread(0, 3, 4), 3),
        Sample(spread(-1, 1, 2, 5, dtype=np.float64), spread(0, 3, 2, 5, dtype=np.float64), math.inf),
    ],
    errors=_two_errors,
)
def pairwise_distance(x1: TensorT, x2: TensorT, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> TensorT:
    """Return the p-norm of ``x1 - x2 + eps`` over the last dimension.

    Args:
        x1: (..., D).
        x2: (..., D); broadcasts with `x1`.
        p: order of the norm.
        eps: added to the difference, so that the distance of equal vectors has a gradient.
        keepdim: keep the last dimension with size 1.

    Raises:
        ShapeError: if the shapes do not broadcast.

    >>> import autodiff as ad
    >>> ad.nn.functional.pairwise_distance(ad.tensor([[0.0, 3.0]]), ad.tensor([[4.0, 0.0]]))
    tensor([5.])
    """
    a, b = promote_float("pairwise_distance", x1, x2)
    return vector_norm(add(sub(a, b), eps), p, -1, keepdim)  # type: ignore[no-any-return]


@composed(
    samples=lambda: [
        Sample(spread(-1, 1, 3, 4), spread(-1, 1, 3, 4)[::-1]),
        Sample(spread(-1, 1, 3, 4), spread(2, 5, 4), 1),
        Sample(spread(-1, 1, 3), 0.5, 3),
        Sample(spread(-1, 1, 5, dtype=np.float64), spread(1, 5, 5, dtype=np.float64), math.inf),
    ],
    errors=_two_errors,
)
def dist(input: TensorT, other: Any, p: float = 2) -> TensorT:
    """Return the p-norm of ``input - other`` over all elements. Its gradient is 0 where it is 0.

    Args:
        input: any shape.
        other: broadcasts with `input`.
        p: order of the norm.

    Raises:
        ShapeError: if the shapes do not broadcast.

    >>> import autodiff as ad
    >>> ad.dist(ad.tensor([0.0, 3.0]), ad.tensor([4.0, 0.0]))
    tensor(5.)
    """
    a, b = promote_float("dist", input, other)
    return vector_norm(sub(a, b), p)  # type: ignore[no-any-return]


# ---- Losses of pairs -------------------------------------------------------------------------------------------------


@composed(
    samples=lambda: [
        Sample(spread(-1, 1, 4, 3), spread(0, 2, 4, 3), np.array([1, -1, 1, -1])),
        Sample(spread(-1, 1, 4, 3), spread(0, 2, 4, 3), np.array([-1, -1, 1, -1]), 0.2, "none"),
        Sample(spread(-1, 1, 3), spread(0, 2, 3), np.array(-1), reduction="sum"),
        Sample(spread(-1, 1, 4, 3, dtype=np.float64), spread(0, 2, 4, 3, dtype=np.float64), np.array([1, -1, 1, -1])),
    ],
    errors=lambda: [
        *_two_errors(np.ones(3, np.int64)),
        _reduction_error(np.ones((3, 2), np.float32), np.ones((3, 2), np.float32), np.ones(3, np.int64)),
        ErrorSample(
            Sample(np.ones((3, 2), np.float32), np.ones((3, 2), np.float32), np.ones((3, 1), np.int64)),
            ShapeError,
            r"not one target for each pair.*\(3,\).*\(3, 1\)",
        ),
    ],
)
def cosine_embedding_loss(
    input1: TensorT, input2: TensorT, target: TensorT, margin: float = 0.0, reduction: str = "mean"
) -> TensorT:
    """Return ``1 - cos`` for pairs of target 1 and ``max(0, cos - margin)`` for others, reduced.

    Args:
        input1: (N, D) or (D,).
        input2: the same shape.
        target: 1 or -1; (N,) or ().
        margin: cosine up to which unlike pairs have no loss.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for the loss of each pair.

    Raises:
        ShapeError: if the shapes do not fit.
        ValueRangeError: for another reduction.

    >>> import autodiff as ad
    >>> a, b = ad.tensor([[1.0, 0.0]]), ad.tensor([[1.0, 1.0]])
    >>> ad.nn.functional.cosine_embedding_loss(a, b, ad.tensor([1]))
    tensor(0.2929)
    """
    operation = "cosine_embedding_loss"
    check_reduction(operation, reduction)
    a, b = promote_float(operation, input1, input2)
    pairs = strided.broadcast(operation, a.spec, b.spec)[:-1]
    if target.spec.shape != pairs:  # type: ignore[attr-defined]
        raise ShapeError(
            operation,
            "there is not one target for each pair",
            expected=str(pairs),
            got=str(target.spec.shape),  # type: ignore[attr-defined]
        )
    # PyTorch adds 1e-12 to the squared lengths here, and takes the larger of length and eps in `cosine_similarity`.
    squares = mul(add(total(square(a), -1), 1e-12), add(total(square(b), -1), 1e-12))
    cosine = div(total(mul(a, b), -1), sqrt(squares))
    losses = where(eq(target, 1), sub(1, cosine), clamp_min(sub(cosine, margin), 0.0))
    return reduced(losses, reduction)  # type: ignore[no-any-return]


@composed(
    samples=lambda: [
        Sample(spread(-1, 1, 4), spread(-1, 1, 4)[::-1], np.array([1, -1, 1, -1])),
        Sample(spread(-1, 1, 4, 3), spread(-1, 1, 4, 3)[::-1], np.array(1), 0.3, "none"),
        Sample(
            spread(-1, 1, 4, dtype=np.float64),
            spread(0, 2, 4, dtype=np.float64),
            np.array([1, -1, 1, -1]),
            reduction="sum",
        ),
    ],
    errors=lambda: [
        *_two_errors(np.ones((3, 2), np.int64)),
        _reduction_error(np.ones(3, np.float32), np.ones(3, np.float32), np.ones(3, np.int64)),
        ErrorSample(
            Sample(np.ones((3, 1), np.float32), np.ones((3, 1), np.float32), np.ones(3, np.int64)),
            ShapeError,
            r"would be broadcast.*make \(3, 3\); got \(3, 1\) and \(3, 1\) and \(3,\)",
        ),
    ],
)
def margin_ranking_loss(
    input1: TensorT, input2: TensorT, target: TensorT, margin: float = 0.0, reduction: str = "mean"
) -> TensorT:
    """Return ``max(0, -target * (input1 - input2) + margin)``, reduced.

    Args:
        input1: scores; any shape.
        input2: scores; the same shape.
        target: 1 where `input1` ought to be the larger, -1 where `input2`.
        margin: difference from which on there is no loss.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for the loss of each pair.

    Raises:
        ShapeError: if the shapes do not fit.
        ValueRangeError: for another reduction.

    >>> import autodiff as ad
    >>> ad.nn.functional.margin_ranking_loss(ad.tensor([1.0]), ad.tensor([1.5]), ad.tensor([1]))
    tensor(0.5000)
    """
    check_reduction("margin_ranking_loss", reduction)
    a, b, y = promote_float("margin_ranking_loss", input1, input2, target)
    _same_shape("margin_ranking_loss", a, b, y)
    return reduced(clamp_min(sub(margin, mul(y, sub(a, b))), 0.0), reduction)  # type: ignore[no-any-return]


def _triplets(*shape: int, dtype: Any = np.float32) -> list[Any]:
    return [spread(low, low + 2, *shape, dtype=dtype) for low in (-1.0, -0.3, 0.6)]


@composed(
    samples=lambda: [
        Sample(*_triplets(4, 3)),
        Sample(*_triplets(4, 3), swap=True, reduction="none"),
        Sample(*_triplets(4, 3), 2.0, 1, reduction="sum"),
        Sample(*_triplets(3), margin=0.5),
        Sample(*_triplets(2, 3, 4, dtype=np.float64), swap=True),
    ],
    errors=lambda: [
        *_two_errors(np.ones((3, 2), np.float32)),
        _reduction_error(*[np.ones((3, 2), np.float32)] * 3),
    ],
)
def triplet_margin_loss(
    anchor: TensorT,
    positive: TensorT,
    negative: TensorT,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> TensorT:
    """Return ``max(0, d(anchor, positive) - d(anchor, negative) + margin)`` for distances d, reduced.

    Args:
        anchor: (..., D).
        positive: alike; the same shape.
        negative: unlike; the same shape.
        margin: how much further away the negative ought to be.
        p: order of the norm.
        eps: as for `pairwise_distance`.
        swap: use the distance of positive and negative where it is the smaller. (Balntas et al., Learning local feature
            descriptors with triplets and shallow convolutional neural networks, 2016, section 3.1)
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for the loss of each triplet.

    Raises:
        ShapeError: if the shapes do not broadcast.
        ValueRangeError: for another reduction.

    >>> import autodiff as ad
    >>> points = ad.tensor([[0.0]]), ad.tensor([[1.0]]), ad.tensor([[1.5]])
    >>> ad.nn.functional.triplet_margin_loss(*points)
    tensor(0.5000)
    """
    check_reduction("triplet_margin_loss", reduction)
    a, near, far = promote_float("triplet_margin_loss", anchor, positive, negative)
    _same_shape("triplet_margin_loss", a, near, far)
    distance = pairwise_distance(a, far, p, eps)
    if swap:
        distance = minimum(distance, pairwise_distance(near, far, p, eps))
    losses = clamp_min(add(sub(pairwise_distance(a, near, p, eps), distance), margin), 0.0)
    return reduced(losses, reduction)  # type: ignore[no-any-return]


@composed(
    samples=lambda: [
        Sample(*_triplets(4, 3)),
        Sample(*_triplets(4, 3), margin=0.5, swap=True, reduction="none"),
        Sample(*_triplets(2, 3, dtype=np.float64), reduction="sum"),
    ],
    errors=lambda: [_reduction_error(*[np.ones((3, 2), np.float32)] * 3)],
)
def triplet_margin_with_distance_loss(
    anchor: TensorT,
    positive: TensorT,
    negative: TensorT,
    *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> TensorT:
    """Return ``max(0, d(anchor, positive) - d(anchor, negative) + margin)`` for any distance d, reduced.

    Args:
        anchor: what the distance takes.
        positive: alike.
        negative: unlike.
        distance_function: the distance of two tensors; `pairwise_distance` by default.
        margin: how much further away the negative ought to be.
        swap: use the distance of positive and negative where it is the smaller.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for the loss of each triplet.

    Raises:
        ValueRangeError: for another reduction.

    >>> import autodiff as ad
    >>> points = ad.tensor([[0.0]]), ad.tensor([[1.0]]), ad.tensor([[1.5]])
    >>> ad.nn.functional.triplet_margin_with_distance_loss(*points)
    tensor(0.5000)
    """
    check_reduction("triplet_margin_with_distance_loss", reduction)
    distance = distance_function or pairwise_distance
    far = distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    losses = clamp_min(add(sub(distance(anchor, positive), far), margin), 0.0)
    return reduced(losses, reduction)  # type: ignore[no-any-return]


# ---- Losses of scores of classes -------------------------------------------------------------------------------------


@composed(
    samples=lambda: [
        Sample(spread(-1, 1, 4, 3), np.array([2, 0, 1, 1])),
        Sample(spread(-1, 1, 4, 3), np.array([2, 0, 1, 1]), 2, 0.7, spread(0.5, 2, 3), "none", gradient=False),
        Sample(spread(-1, 1, 4, 3), np.array([2, 0, 1, 1]), 2, 0.7, np.array([1, 3, 2]), "sum"),
        Sample(spread(-1, 1, 5), np.array(3)),
        Sample(spread(-1, 1, 2, 5, dtype=np.float64), np.array([3, 0])),
    ],
    errors=lambda: [
        ErrorSample(
            Sample(np.ones((2, 3), np.float32), np.array([0, 3])),
            PositionError,
            r"a target is no class.*got 3 at target\[1\]",
        ),
        ErrorSample(Sample(np.ones((2, 3), np.float32), np.array([0, 1]), 3), ValueRangeError, "p is.*1 or 2; got 3"),
        ErrorSample(Sample(np.ones((2, 3), np.float32), np.array([0, 1, 1])), ShapeError, "the target does not fit"),
        ErrorSample(
            Sample(np.ones((2, 3, 4), np.float32), np.zeros((2, 4), np.int64)), ShapeError, r"\(N, C\) or \(C,\)"
        ),
        _reduction_error(np.ones((2, 3), np.float32), np.array([0, 1])),
    ],
)
def multi_margin_loss(
    input: TensorT,
    target: TensorT,
    p: int = 1,
    margin: float = 1.0,
    weight: TensorT | None = None,
    reduction: str = "mean",
) -> TensorT:
    """Return ``weight[t] * sum over k != t of max(0, margin - x[t] + x[k]) ** p / C`` for scores x, reduced.

    Args:
        input: scores of C classes; (N, C) or (C,).
        target: classes t, integers from 0 to C - 1; (N,) or ().
        p: 1 or 2.
        margin: how much larger the score of the target ought to be.
        weight: (C,); weight of each class.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for the loss of each row.

    Raises:
        PositionError: if a target is no class; names its position.
        ShapeError: if the shapes do not fit.
        ValueRangeError: for another `p` or reduction.

    >>> import autodiff as ad
    >>> ad.nn.functional.multi_margin_loss(ad.tensor([[0.0, 0.5, 2.0]]), ad.tensor([1]))
    tensor(1.)
    """
    operation = "multi_margin_loss"
    check_reduction(operation, reduction)
    if p not in (1, 2):
        raise ValueRangeError(operation, "p is out of range", expected="1 or 2", got=str(p))
    x: Any = input
    if x.spec.ndim not in (1, 2):
        raise ShapeError(
            operation, "the input has the wrong number of dimensions", expected="(N, C) or (C,)", got=str(x.spec.shape)
        )
    # The loss of log-probabilities picks an element of each row; it also checks the targets.
    score = neg(nll_loss(x, target, reduction="none"))
    hinge = relu(sub(add(x, margin), unsqueeze(score, -1)))
    losses = total(where(class_hits(target, x.spec.shape[-1]), 0.0, hinge if p == 1 else square(hinge)), -1)
    if weight is not None:
        minus_one = expand(constant(-1, x.spec.dtype), x.spec.shape)
        losses = mul(losses, nll_loss(minus_one, target, weight, reduction="none"))
    return reduced(div(losses, x.spec.shape[-1]), reduction)  # type: ignore[no-any-return]
