"""Running sums, products and log-sum-exps along a dimension."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.bind import TensorT, bind
from autodiff.errors import ShapeError
from autodiff.ops.broadcast import running_sums
from autodiff.ops.broadcast import sum as total
from autodiff.ops.choice import where
from autodiff.ops.elementwise import mul, sub
from autodiff.ops.functions import exp
from autodiff.ops.host import from_array
from autodiff.ops.promotion import INT64, real
from autodiff.ops.samples import spread
from autodiff.ops.shaping import movedim, unsqueeze
from autodiff.ops.structural import axis_index, cast_to, contiguous, require_tensor
from autodiff.primitive import ErrorSample, Keep, Primitive, Sample, define
from autodiff.spec import Array, Cost, Spec, moved

__all__ = ["cumprod", "cumsum", "logcumsumexp"]

# ---- What all of them share ------------------------------------------------------------------------------------------


def _prepare(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], dim: int, **params: Any) -> dict[str, Any]:
    """Return the shape (A, K, B) as which a tensor in C order is scanned along K."""
    shape = outputs[0].shape or (1,)
    return {**params, "groups": (math.prod(shape[:dim]), shape[dim], math.prod(shape[dim + 1 :]))}


def _cost(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], **_: Any) -> Cost:
    return Cost(outputs[0].size, moved(*inputs, *outputs))


def _samples(low: float = -2, high: float = 2) -> list[Sample]:
    x = spread(low, high, 2, 3, 4)
    return [
        Sample(x, 0),
        Sample(x, 1),
        Sample(x, -1),
        Sample(x[:, ::-2].T, 1),
        Sample(spread(low, high, 2, 2, 4, 3).transpose(0, 3, 1, 2), 1),
        Sample(spread(low, high, 1).reshape(()), 0),
        Sample(x[:0], 0),
        Sample(x[:0], 1),
        Sample(np.arange(1, 7, dtype=np.int32).reshape(2, 3), 1),
        Sample(np.array([True, False, True]), 0),
        Sample(spread(low, high, 5, 3, dtype=np.float64), 0),
    ]


def _errors() -> list[ErrorSample]:
    return [
        ErrorSample(
            Sample(np.ones((2, 3), np.float32), -3),
            ShapeError,
            "the dimension does not exist; expected a dimension from -2 to 1; got -3",
        )
    ]


def _scanned(x: Any, dtype: Any) -> Any:
    """Return the input of a scan in C order; integers and bools become int64."""
    if dtype is not None or not x.spec.floating:
        x = cast_to(x, INT64 if dtype is None else np.dtype(dtype))
    return contiguous(x)


# ---- cumsum ----------------------------------------------------------------------------------------------------------


def _cumsum_run(outs: list[Array], ins: list[Array], groups: tuple[int, int, int], reverse: bool) -> None:
    out, scratch = outs
    kernels.reduce.cumsum(out.reshape(groups), scratch, ins[0].reshape(groups), int(reverse), 0, 1)


cumsum_p: Primitive = define(
    "cumsum",
    infer=lambda x, dim, reverse: Spec.of(x.shape, x.dtype),
    run=_cumsum_run,
    prepare=_prepare,
    scratch=lambda inputs, outputs, **_: (running_sums(inputs[0]),),
    vjp=lambda record, g: (
        bind(cumsum_p, contiguous(g), dim=record.params["dim"], reverse=not record.params["reverse"]),
    ),
    cost=_cost,
    samples=_samples,
    errors=_errors,
    call=lambda *arguments, **keywords: cumsum(*arguments, **keywords),
)


def cumsum(input: TensorT, dim: int, *, dtype: Any = None) -> TensorT:
    """Return the sums of all elements up to each one along a dimension.

    Args:
        input: any shape and dtype; integers and bools are summed in int64.
        dim: dimension.
        dtype: convert `input` first.

    Raises:
        ShapeError: if the dimension does not exist.

    >>> import autodiff as ad
    >>> ad.cumsum(ad.tensor([1.0, 2.0, 3.0]), 0)
    tensor([1., 3., 6.])
    """
    require_tensor("cumsum", input)
    axis = axis_index("cumsum", dim, input.spec.ndim)  # type: ignore[attr-defined]
    return bind(cumsum_p, _scanned(input, dtype), dim=axis, reverse=False)  # type: ignore[no-any-return]


# ---- cumprod ---------------------------------------------------------------------------------------------------------


def _cumprod_run(outs: list[Array], ins: list[Array], groups: tuple[int, int, int]) -> None:
    out, scratch = outs
    kernels.reduce.cumprod(out.reshape(groups), scratch, ins[0].reshape(groups), 0, 0, 1)


cumprod_p: Primitive = define(
    "cumprod",
    infer=lambda x, dim: Spec.of(x.shape, x.dtype),
    run=_cumprod_run,
    prepare=_prepare,
    scratch=lambda inputs, outputs, **_: (running_sums(inputs[0]),),
    vjp=lambda record, g: (bind(cumprod_grad_p, contiguous(g), record.input(0), dim=record.params["dim"]),),
    saves=Keep(inputs=(0,)),
    cost=_cost,
    samples=lambda: [*_samples(), Sample(np.array([[2, 0, 3], [0, 0, 1]], np.float32), 1)],
    errors=_errors,
    call=lambda *arguments, **keywords: cumprod(*arguments, **keywords),
)


def cumprod(input: TensorT, dim: int, *, dtype: Any = None) -> TensorT:
    """Return the products of all elements up to each one along a dimension. The gradient is exact where elements are 0.

    Args:
        input: any shape and dtype; integers and bools are multiplied in int64.
        dim: dimension.
        dtype: convert `input` first.

    Raises:
        ShapeError: if the dimension does not exist.

    >>> import autodiff as ad
    >>> ad.cumprod(ad.tensor([1.0, 2.0, 3.0]), 0)
    tensor([1., 2., 6.])
    """
    require_tensor("cumprod", input)
    axis = axis_index("cumprod", dim, input.spec.ndim)  # type: ignore[attr-defined]
    return bind(cumprod_p, _scanned(input, dtype), dim=axis)  # type: ignore[no-any-return]


def _cumprod_grad_run(outs: list[Array], ins: list[Array], groups: tuple[int, int, int]) -> None:
    g, x = ins
    kernels.reduce.cumprod_grad(outs[0].reshape(groups), g.reshape(groups), x.reshape(groups), 0, 1)


def _cumprod_grad_twin(g: Any, x: Any, dim: int) -> Any:
    """The slope of a product by a factor is the product with 1 in its place: K products of K factors."""
    if x.spec.ndim == 0:
        return g
    g, x = (unsqueeze(movedim(a, dim, -1), -2) for a in (g, x))
    size = x.spec.shape[-1]
    products = cumprod(where(from_array(np.eye(size, dtype=np.bool_)), 1.0, x), -1)
    later = from_array(np.triu(np.ones((size, size), np.bool_)))
    return movedim(total(where(later, mul(products, g), 0.0), -1), -1, dim)


cumprod_grad_p: Primitive = define(
    "cumprod_grad",
    infer=lambda g, x, dim: Spec.of(x.shape, x.dtype),
    run=_cumprod_grad_run,
    prepare=_prepare,
    vjp=None,
    twin=_cumprod_grad_twin,
    cost=lambda inputs, outputs, **_: Cost(4 * outputs[0].size, moved(*inputs, *outputs)),
    samples=lambda: [
        Sample(spread(-1, 1, 2, 3, 4), spread(-2, 2, 2, 3, 4), dim=1),
        Sample(spread(-1, 1, 2, 4), np.array([[1, 0, 2, 3], [0, 2, 0, 1]], np.float32), dim=1),
        Sample(spread(-1, 1, 1).reshape(()), spread(1, 2, 1).reshape(()), dim=0),
        Sample(spread(-1, 1, 4, 3, dtype=np.float64).T, spread(-2, 2, 3, 4, dtype=np.float64), dim=0),
    ],
    errors=lambda: [],
)


# ---- logcumsumexp ----------------------------------------------------------------------------------------------------


def _logcumsumexp_run(outs: list[Array], ins: list[Array], groups: tuple[int, int, int]) -> None:
    kernels.scan.logcumsumexp(outs[0].reshape(groups), ins[0].reshape(groups), 0, 1)


def _logcumsumexp_vjp(record: Any, g: Any) -> tuple[Any]:
    return (bind(logcumsumexp_grad_p, contiguous(g), record.input(0), record.output(0), dim=record.params["dim"]),)


logcumsumexp_p: Primitive = define(
    "logcumsumexp",
    infer=lambda x, dim: Spec.of(x.shape, x.dtype),
    run=_logcumsumexp_run,
    prepare=_prepare,
    vjp=_logcumsumexp_vjp,
    saves=Keep(inputs=(0,), outputs=(0,)),
    cost=lambda inputs, outputs, **_: Cost(20 * outputs[0].size, moved(*inputs, *outputs)),
    samples=lambda: [
        *_samples(),
        Sample(1000 * spread(-1, 1, 2, 4), 1),
        Sample(np.array([-np.inf, 1, 2]), 0, gradient=False),
    ],
    errors=_errors,
    call=lambda *arguments, **keywords: logcumsumexp(*arguments, **keywords),
)


def logcumsumexp(input: TensorT, dim: int) -> TensorT:
    """Return ``log(cumsum(exp(input)))`` along a dimension, without overflow.

    Args:
        input: any shape; integers become float32.
        dim: dimension.

    Raises:
        ShapeError: if the dimension does not exist.

    >>> import autodiff as ad
    >>> ad.logcumsumexp(ad.tensor([0.0, 0.0, 500.0]), 0)
    tensor([  0.0000,   0.6931, 500.0000])
    """
    require_tensor("logcumsumexp", input)
    axis = axis_index("logcumsumexp", dim, input.spec.ndim)  # type: ignore[attr-defined]
    return bind(logcumsumexp_p, contiguous(real("logcumsumexp", input)), dim=axis)  # type: ignore[no-any-return]


def _logcumsumexp_grad_run(outs: list[Array], ins: list[Array], groups: tuple[int, int, int]) -> None:
    g, x, y = (array.reshape(groups) for array in ins)
    kernels.scan.logcumsumexp_grad(outs[0].reshape(groups), g, x, y, 0, 1)


def _logcumsumexp_grad_twin(g: Any, x: Any, y: Any, dim: int) -> Any:
    """K times K slopes of the later sums by the earlier elements."""
    if x.spec.ndim == 0:
        return mul(g, exp(sub(x, y)))
    g, y = (unsqueeze(movedim(a, dim, -1), -2) for a in (g, y))
    size = y.spec.shape[-1]
    later = from_array(np.triu(np.ones((size, size), np.bool_)))
    slopes = exp(where(later, sub(unsqueeze(movedim(x, dim, -1), -1), y), -math.inf))
    return movedim(total(mul(slopes, g), -1), -1, dim)


logcumsumexp_grad_p: Primitive = define(
    "logcumsumexp_grad",
    infer=lambda g, x, y, dim: Spec.of(x.shape, x.dtype),
    run=_logcumsumexp_grad_run,
    prepare=_prepare,
    vjp=None,
    twin=_logcumsumexp_grad_twin,
    cost=lambda inputs, outputs, **_: Cost(40 * outputs[0].size, moved(*inputs, *outputs)),
    samples=lambda: [
        Sample(spread(-1, 1, 2, 3, 4), spread(-2, 2, 2, 3, 4), np.cumsum(spread(1, 2, 2, 3, 4), 1), dim=1),
        Sample(spread(-1, 1, 1).reshape(()), spread(1, 2, 1).reshape(()), spread(1, 2, 1).reshape(()), dim=0),
        Sample(spread(-1, 1, 3, 2), spread(-2, 2, 3, 2), np.cumsum(spread(1, 2, 3, 2), 0), dim=0),
    ],
    errors=lambda: [],
)
