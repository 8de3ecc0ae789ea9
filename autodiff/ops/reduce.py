"""Reductions: one number from many along some dimensions, and the running sums and products along one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, ShapeError
from autodiff.ops import strided
from autodiff.ops.broadcast import (
    Groups,
    expand,
    reduced_shape,
    reducible,
    reduction_prepare,
    sum_infer,
    sum_run,
    sum_scratch,
)
from autodiff.ops.elementwise import div, spread
from autodiff.ops.structural import axes, cast_to, reshape
from autodiff.primitive import ErrorSample, Sample, define
from autodiff.spec import Array, Cost, DType, Spec, moved

__all__ = ["mean"]


Run = Callable[..., None]


def number(value: float, dtype: DType) -> Array:
    """Return an array without dimensions: how a kernel is handed a number of its own dtype."""
    return np.full((), value, dtype)


def division(out: Spec) -> Run:
    """Return the function that divides an array by a number in place: ``divide((out,), (out, number))``."""
    return strided.prepare((out, Spec.of((), out.dtype)), (out,), "divide")


# ---- mean ------------------------------------------------------------------------------------------------------------


def _mean_prepare(
    inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], dims: tuple[int, ...], keepdim: bool
) -> dict[str, Any]:
    (x,), (out,) = inputs, outputs
    count = number(x.size // out.size if out.size else 1, x.dtype)
    return {**reduction_prepare(inputs, outputs, dims), "count": count, "divide": division(out)}


def _mean_run(
    outs: list[Array], ins: list[Array], order: tuple[int, ...], groups: Groups, count: Array, divide: Run
) -> None:
    sum_run(outs, ins, order, groups)
    divide(outs[:1], (outs[0], count))


def _mean_vjp(record: Any, g: Any) -> tuple[Any]:
    x, out = record.inputs[0], record.outputs[0]
    if not record.params["keepdim"]:
        g = reshape(g, reduced_shape(x.shape, record.params["dims"], True))
    return (expand(div(g, x.size // out.size), x.shape) if out.size else expand(g, x.shape),)


def _mean_samples() -> list[Sample]:
    x = spread(-1, 2, 2, 3, 4)
    image = spread(-1, 2, 2, 2, 4, 3).transpose(0, 3, 1, 2)
    return [
        Sample(x),
        Sample(x, 1),
        Sample(x, (0, -1), keepdim=True),
        Sample(x, (), keepdim=True),
        Sample(image, (0, 2, 3)),
        Sample(image, dim=2),
        Sample(spread(-1, 2, 1).reshape(())),
        Sample(x[:, ::-2].T, 1),
        Sample(x[:0], 1),
        Sample(x[:0], 0, gradient=False),
        Sample(spread(-1, 2, 5, 3, dtype=np.float64), 0),
    ]


mean_p = define(
    "mean",
    infer=sum_infer,
    run=_mean_run,
    prepare=_mean_prepare,
    scratch=sum_scratch,
    vjp=_mean_vjp,
    cost=lambda inputs, outputs, **_: Cost(inputs[0].size + outputs[0].size, moved(*inputs, *outputs)),
    samples=_mean_samples,
    errors=lambda: [
        ErrorSample(Sample(np.arange(3)), DTypeError, r"\[mean\] integers have no mean.*int64.*float"),
        *dimension_errors(),
    ],
    call=lambda *arguments, **keywords: mean(*arguments, **keywords),
)


def mean(
    input: TensorT, dim: int | Sequence[int] | None = None, keepdim: bool = False, *, dtype: Any = None
) -> TensorT:
    """Return the mean over dimensions: the sum divided by the number of elements.

    Args:
        input: any shape; floats.
        dim: dimension or dimensions; all by default.
        keepdim: keep the reduced dimensions with size 1.
        dtype: convert `input` first.

    Raises:
        DTypeError: for integers and bools, unless `dtype` is a float type.
        ShapeError: if a dimension does not exist.

    >>> import autodiff as ad
    >>> ad.mean(ad.tensor([[1.0, 2.0], [3.0, 4.0]]), 0)
    tensor([2., 3.])
    """
    x = with_dtype(input, dtype)
    spec: Spec = x.spec  # type: ignore[attr-defined]
    if not spec.floating:
        raise DTypeError(
            "mean",
            "integers have no mean of their own dtype",
            expected="float32 or float64",
            got=spec.dtype.name,
            fix="convert with x.float(), or pass dtype=",
        )
    dims = axes("mean", dim, spec.ndim)
    result: TensorT = bind(mean_p, reducible(x, dims), dims=dims, keepdim=bool(keepdim))
    return result


def with_dtype(x: TensorT, dtype: Any) -> TensorT:
    """Return `x` converted to `dtype`; as it is for None."""
    return x if dtype is None else cast_to(x, np.dtype(dtype))


def dimension_errors(*more: Any) -> list[ErrorSample]:
    """Return calls with dimensions that do not exist, for a reduction ``f(x, dim)`` that takes several dimensions."""
    x = np.ones((2, 3), np.float32)
    return [
        ErrorSample(
            Sample(x, 2, *more), ShapeError, "the dimension does not exist; expected a dimension from -2 to 1; got 2"
        ),
        ErrorSample(Sample(x, (0, -2), *more), ShapeError, "a dimension stands twice"),
    ]
