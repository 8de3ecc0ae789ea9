"""Losses with kernels of their own: squared error, cross-entropy and the negative log-likelihood.

The losses that are composed of other operations are in `loss_composed.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.bind import TensorT, bind
from autodiff.errors import ShapeError, ValueRangeError
from autodiff.ops import strided
from autodiff.ops.broadcast import expand, partial_sums, sum_to
from autodiff.ops.broadcast import sum as total
from autodiff.ops.elementwise import mul, sub
from autodiff.ops.promotion import is_tensor, promote_float
from autodiff.ops.reduce import Run, division, mean, number
from autodiff.ops.samples import spread
from autodiff.ops.structural import dense, ordered
from autodiff.primitive import ErrorSample, Keep, Sample, define
from autodiff.spec import Array, Cost, Spec, moved

__all__ = ["mse_loss"]

# ---- What all losses share -------------------------------------------------------------------------------------------

_REDUCTIONS = ("mean", "sum", "none")


def check_reduction(operation: str, reduction: str, allowed: tuple[str, ...] = _REDUCTIONS) -> None:
    """Raise unless `reduction` is one of the allowed names.

    Raises:
        ValueRangeError: names them.
    """
    if reduction not in allowed:
        raise ValueRangeError(
            operation,
            "the reduction does not exist",
            expected=" or ".join(f"'{name}'" for name in allowed),
            got=repr(reduction),
        )


def reduced(losses: Any, reduction: str) -> Any:
    """Return the mean or the sum of losses, or the losses for ``"none"``."""
    return losses if reduction == "none" else total(losses) if reduction == "sum" else mean(losses)


def pair(operation: str, input: Any, target: Any) -> list[Any]:
    """Return prediction and target as floats of one dtype and one shape.

    One of them may be broadcast to the other. That both grow, as (N, 1) beside (N,) to (N, N), is an oversight which
    would train on wrong numbers, and is refused.

    Raises:
        ShapeError: if the shapes do not broadcast to one of the two.
    """
    if is_tensor(input) and is_tensor(target) and input.spec is target.spec and input.spec.floating:
        return [input, target]
    x, y = promote_float(operation, input, target)
    if x.spec.shape == y.spec.shape:
        return [x, y]
    shape = strided.broadcast(operation, x.spec, y.spec)
    if shape not in (x.spec.shape, y.spec.shape):
        raise ShapeError(
            operation,
            "input and target would both be broadcast, which compares every element with several",
            expected=f"one shape; these two would make {shape}",
            got=f"{x.spec.shape} and {y.spec.shape}",
            fix="bring the target to the input's shape: target.reshape(input.shape), or input.squeeze(-1)",
        )
    return [expand(x, shape), expand(y, shape)]


def pair_errors(*more: Any) -> list[ErrorSample]:
    """Return the calls ``f(input, target, *more)`` that `pair` and `check_reduction` refuse."""
    x = np.ones((3, 1), np.float32)
    return [
        ErrorSample(
            Sample(x, x[:, 0], *more), ShapeError, r"would both be broadcast.*make \(3, 3\); got \(3, 1\) and \(3,\)"
        ),
        ErrorSample(
            Sample(x, np.ones((2, 1), np.float32), *more), ShapeError, r"do not broadcast.*\(3, 1\) and \(2, 1\)"
        ),
        ErrorSample(
            Sample(x, x, *more, reduction="average"), ValueRangeError, "expected 'mean' or 'sum' or 'none'.*average"
        ),
    ]


def pair_samples(low: float, high: float, low_y: float, high_y: float, **options: Any) -> list[Sample]:
    """Return samples of a loss of two tensors: every reduction, shapes, layouts and dtypes."""
    image = spread(low, high, 2, 2, 3, 3).transpose(0, 3, 1, 2)
    return [
        Sample(spread(low, high, 4, 3), spread(low_y, high_y, 4, 3)[::-1], **options),
        Sample(spread(low, high, 4, 3), spread(low_y, high_y, 4, 3)[::-1], reduction="sum", **options),
        Sample(spread(low, high, 4, 3), spread(low_y, high_y, 4, 3)[::-1], reduction="none", **options),
        Sample(spread(low, high, 4, 3), spread(low_y, high_y, 3), **options),
        Sample(image, spread(low_y, high_y, *image.shape), **options),
        Sample(spread(low, high, 1).reshape(()), spread(low_y, high_y, 2)[1:].reshape(()), **options),
        Sample(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32), reduction="sum", **options),
        Sample(spread(low, high, 7, dtype=np.float64), spread(low_y, high_y, 9, dtype=np.float64)[2:], **options),
    ]


# ---- Squared error ---------------------------------------------------------------------------------------------------


def _mse_infer(x: Spec, y: Spec, mean: bool) -> Spec:
    return Spec.of((), x.dtype)


def _mse_prepare(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], mean: bool) -> dict[str, Any]:
    x = inputs[0]
    assert x.order is not None, "mse_loss() makes its operands dense"
    return {
        "order": None if x.contiguous else x.order,
        "count": number(x.size, x.dtype) if mean else None,
        "divide": division(outputs[0]),
    }


def _mse_run(
    outs: list[Array], ins: list[Array], order: tuple[int, ...] | None, count: Array | None, divide: Run
) -> None:
    out, partial = outs
    x, y = ins
    if order is not None:
        x, y = x.transpose(order), y.transpose(order)
    kernels.reduce.squared_error_partial(partial, x.ravel(), y.ravel(), 0, 1)
    kernels.reduce.sum_combine(out.ravel(), partial, 0, 1)
    if count is not None:
        divide((out,), (out, count))


def _mse_vjp(record: Any, g: Any) -> tuple[Any, ...]:
    x, y = record.input(0), record.input(1)
    scale = 2.0 / max(x.spec.size, 1) if record.params["mean"] else 2.0
    return (
        bind(mse_loss_grad_p, g, x, y, scale=scale) if record.mask[0] else None,
        bind(mse_loss_grad_p, g, y, x, scale=scale) if record.mask[1] else None,
    )


mse_loss_p = define(
    "mse_loss",
    infer=_mse_infer,
    run=_mse_run,
    prepare=_mse_prepare,
    scratch=lambda inputs, outputs, mean: (partial_sums(inputs[0]),),
    vjp=_mse_vjp,
    saves=Keep(inputs=(0, 1)),
    cost=lambda inputs, outputs, mean: Cost(3 * inputs[0].size + mean, moved(*inputs, *outputs)),
    samples=lambda: pair_samples(-2, 2, -1, 2.7),
    errors=pair_errors,
    call=lambda *arguments, **keywords: mse_loss(*arguments, **keywords),
)


def _mse_grad_prepare(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], scale: float) -> Run:
    factor = number(scale, inputs[1].dtype)
    run = strided.prepare((*inputs, Spec.of((), factor.dtype)), outputs, "scaled_difference")
    return lambda outs, ins: run(outs, (*ins, factor))


def _mse_grad_vjp(record: Any, h: Any) -> tuple[Any, ...]:
    g, x, y = record.input(0), record.input(1), record.input(2)
    scale = record.params["scale"]
    inner = mul(mul(h, g), scale)
    dg = sum_to(mul(mul(h, sub(x, y)), scale), g.spec.shape) if record.mask[0] else None
    return dg, inner if record.mask[1] else None, mul(inner, -1) if record.mask[2] else None


mse_loss_grad_p = define(
    "mse_loss_grad",
    infer=lambda g, x, y, scale: x.like(),
    run=strided.nothing,
    prepare=_mse_grad_prepare,
    vjp=_mse_grad_vjp,
    saves=Keep(inputs=(0, 1, 2)),
    twin=lambda g, x, y, scale: mul(mul(g, sub(x, y)), scale),
    cost=strided.cost(3),
    samples=lambda: [
        Sample(spread(1, 2, 1).reshape(()), spread(-1, 1, 3, 4), spread(-1, 1, 3, 4)[::-1], scale=0.5),
        Sample(spread(1, 2, 3), spread(-1, 1, 3), spread(-1, 1, 6)[::2], scale=2.0),
    ],
    errors=lambda: [],
)


def mse_loss(input: TensorT, target: TensorT, reduction: str = "mean") -> TensorT:
    """Return the squared error ``(input - target) ** 2``, reduced.

    Args:
        input: any shape.
        target: the same shape, or one that broadcasts to it.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for the error of each element.

    Raises:
        ShapeError: if the shapes do not broadcast, or to a larger shape than both have, as (N, 1) beside (N,).
        ValueRangeError: for another reduction.

    >>> import autodiff as ad
    >>> ad.nn.functional.mse_loss(ad.tensor([1.0, 2.0]), ad.tensor([1.0, 4.0]))
    tensor(2.)
    """
    check_reduction("mse_loss", reduction)
    x, y = pair("mse_loss", input, target)
    if reduction == "none":
        difference: Any = sub(x, y)
        return mul(difference, difference)  # type: ignore[no-any-return]
    if x.spec is not y.spec or x.spec.order is None:
        x = dense(x)
        y = ordered(y, x.spec.order)
    result: TensorT = bind(mse_loss_p, x, y, mean=reduction == "mean")
    return result
