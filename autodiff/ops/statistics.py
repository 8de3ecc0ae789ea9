"""Variances, standard deviations and norms, composed of sums."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops import strided
from autodiff.ops.broadcast import (
    expand,
    reduced_shape,
    reducible,
    sum,
    sum_infer,
    sum_prepare,
    sum_scratch,
)
from autodiff.ops.choice import constant_of, where
from autodiff.ops.comparison import eq, ne
from autodiff.ops.elementwise import OUT, X, abs, div, mul, pointwise, square, square_grad_p, sub
from autodiff.ops.extremes import amax, amin
from autodiff.ops.functions import pow, sqrt
from autodiff.ops.promotion import real
from autodiff.ops.reduce import dimension_errors, mean, require_float, with_dtype
from autodiff.ops.samples import spread, unary_samples
from autodiff.ops.structural import axes, cast_to, reshape
from autodiff.primitive import ErrorSample, Sample, composed, define, no_errors
from autodiff.spec import Cost, moved

__all__ = ["norm", "std", "std_mean", "var", "var_mean"]


# ---- Roots -----------------------------------------------------------------------------------------------------------


def _root_vjp(record: Any, g: Any) -> tuple[Any]:
    y = record.output(0)
    zero = eq(y, 0)
    return (where(zero, 0.0, div(mul(g, 0.5), where(zero, 1.0, y))),)


# The square root with the gradient 0 at 0, where the slope is infinite: for lengths, which have no slope there.
root_p = pointwise(
    "root",
    kernel="sqrt",
    kinds="f",
    vjp=_root_vjp,
    saves=OUT,
    twin=lambda x: sqrt(x),
    samples=lambda: [*unary_samples(0.1, 4), Sample(np.array([0, 4], np.float32), gradient=False)],
    flops=1,
)


def root(x: Any, exponent: float = 0.5) -> Any:
    """Return a root of nonnegative numbers, with the gradient 0 at 0."""
    if exponent == 0.5:
        return bind(root_p, x)
    zero = eq(x, 0)
    return where(zero, 0.0, pow(where(zero, 1.0, x), exponent))


# ---- Sums of squares -------------------------------------------------------------------------------------------------


def _square_sum_vjp(record: Any, g: Any) -> tuple[Any]:
    shape = record.inputs[0].shape
    g = expand(reshape(g, reduced_shape(shape, record.params["dims"], True)), shape)
    return (bind(square_grad_p, g, record.input(0)),)


def _square_sum_samples() -> list[Sample]:
    x, image = spread(-1, 2, 2, 3, 4), spread(-1, 2, 2, 2, 4, 3).transpose(0, 3, 1, 2)
    return [
        Sample(x, dims=(0, 1, 2), keepdim=False),
        Sample(x, dims=(0,), keepdim=True),
        Sample(x, dims=(1, 2), keepdim=False),
        Sample(image, dims=(0, 2, 3), keepdim=False),
        Sample(x[:, :0], dims=(1,), keepdim=False),
        Sample(x.astype(np.float64), dims=(0, 2), keepdim=True),
    ]


# sum(square(x)) in one pass, with the same bits.
square_sum_p = define(
    "square_sum",
    infer=sum_infer,
    run=strided.nothing,
    prepare=partial(sum_prepare, squared=True),
    scratch=sum_scratch,
    vjp=_square_sum_vjp,
    saves=X,
    twin=lambda x, dims, keepdim: sum(square(x), dims, keepdim),
    cost=lambda inputs, outputs, **_: Cost(2 * inputs[0].size, moved(*inputs, *outputs)),
    samples=_square_sum_samples,
    errors=no_errors,
)


def square_sum(x: Any, dims: tuple[int, ...] | None = None, keepdim: bool = False) -> Any:
    """Return ``sum(square(x))`` over dimensions, all by default."""
    dims = tuple(range(x.spec.ndim)) if dims is None else dims
    return bind(square_sum_p, reducible(x, dims), dims=dims, keepdim=bool(keepdim))


# ---- Variance --------------------------------------------------------------------------------------------------------


def _arguments(operation: str, x: Any, dim: Any, unbiased: bool | None, correction: float) -> tuple[Any, float]:
    """Return the dimensions and the correction of a variance; PyTorch also takes ``var(input, unbiased)``."""
    require_float(operation, x)
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    return dim, correction if unbiased is None else float(unbiased)


def _variance(operation: str, x: Any, dim: Any, keepdim: bool, correction: float) -> tuple[Any, Any]:
    """Return the variance and the mean; the mean keeps its dimensions."""
    dims = axes(operation, dim, x.spec.ndim)
    count = math.prod(x.spec.shape[axis] for axis in dims)
    center = mean(x, dims, keepdim=True)
    squares = sum(square(sub(x, center)), dims, keepdim)
    return div(squares, max(0.0, count - correction)), center


def _samples() -> list[Sample]:
    x = spread(-2, 3, 2, 3, 4)
    return [
        Sample(x),
        Sample(x, 1),
        Sample(x, (0, -1), keepdim=True),
        Sample(x, 1, False),
        Sample(x, 2, correction=0),
        Sample(x, 2, correction=0.5),
        Sample(x, False),
        Sample(spread(-2, 3, 2, 2, 4, 3).transpose(0, 3, 1, 2), (0, 2, 3), unbiased=False),
        Sample(x[:, ::-2].T, 0),
        Sample(1000 + x, 2, gradient=False, tolerance=1e-3),
        Sample(spread(0, 1, 1), gradient=False),
        Sample(x[:0], 1),
        Sample(spread(-2, 3, 5, 3, dtype=np.float64), 0),
    ]


def _errors() -> list[ErrorSample]:
    return [*dimension_errors(), ErrorSample(Sample(np.arange(3)), DTypeError, "integers have no mean.*int64.*float")]


@composed(samples=_samples, errors=_errors)
def var(
    input: TensorT,
    dim: int | Sequence[int] | bool | None = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float = 1,
) -> TensorT:
    """Return the variance over dimensions: ``sum((x - mean(x)) ** 2) / max(0, n - correction)``.

    Args:
        input: any shape; floats.
        dim: dimension or dimensions; all by default.
        unbiased: True for the correction 1 (Bessel's), False for 0.
        keepdim: keep the reduced dimensions with size 1.
        correction: what is subtracted from the number of elements n.

    Raises:
        DTypeError: for integers and bools.
        ShapeError: if a dimension does not exist.

    >>> import autodiff as ad
    >>> ad.var(ad.tensor([1.0, 2.0, 3.0]))
    tensor(1.)
    """
    dim, correction = _arguments("var", input, dim, unbiased, correction)
    return _variance("var", input, dim, keepdim, correction)[0]  # type: ignore[no-any-return]


@composed(samples=_samples, errors=_errors)
def std(
    input: TensorT,
    dim: int | Sequence[int] | bool | None = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float = 1,
) -> TensorT:
    """Return the standard deviation over dimensions, the square root of `var`. Its gradient is 0 where it is 0.

    Args:
        input: any shape; floats.
        dim: dimension or dimensions; all by default.
        unbiased: True for the correction 1 (Bessel's), False for 0.
        keepdim: keep the reduced dimensions with size 1.
        correction: what is subtracted from the number of elements n.

    Raises:
        DTypeError: for integers and bools.
        ShapeError: if a dimension does not exist.

    >>> import autodiff as ad
    >>> ad.std(ad.tensor([1.0, 2.0, 3.0]))
    tensor(1.)
    """
    dim, correction = _arguments("std", input, dim, unbiased, correction)
    return root(_variance("std", input, dim, keepdim, correction)[0])  # type: ignore[no-any-return]


@composed(samples=_samples, errors=_errors)
def var_mean(
    input: TensorT,
    dim: int | Sequence[int] | bool | None = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float = 1,
) -> tuple[TensorT, TensorT]:
    """Return the variance and the mean over dimensions; arguments as for `var`.

    Raises:
        DTypeError: for integers and bools.
        ShapeError: if a dimension does not exist.

    >>> import autodiff as ad
    >>> ad.var_mean(ad.tensor([1.0, 2.0, 3.0]))
    (tensor(1.), tensor(2.))
    """
    dim, correction = _arguments("var_mean", input, dim, unbiased, correction)
    variance, _ = _variance("var_mean", input, dim, keepdim, correction)
    return variance, mean(input, dim, keepdim)


@composed(samples=_samples, errors=_errors)
def std_mean(
    input: TensorT,
    dim: int | Sequence[int] | bool | None = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float = 1,
) -> tuple[TensorT, TensorT]:
    """Return the standard deviation and the mean over dimensions; arguments as for `std`.

    Raises:
        DTypeError: for integers and bools.
        ShapeError: if a dimension does not exist.

    >>> import autodiff as ad
    >>> ad.std_mean(ad.tensor([1.0, 2.0, 3.0]))
    (tensor(1.), tensor(2.))
    """
    dim, correction = _arguments("std_mean", input, dim, unbiased, correction)
    variance, _ = _variance("std_mean", input, dim, keepdim, correction)
    return root(variance), mean(input, dim, keepdim)


# ---- Norms -----------------------------------------------------------------------------------------------------------


def _norm_samples(*orders: Any) -> list[Sample]:
    x = spread(-2, 3, 2, 3, 4)
    zeros = np.array([[0, 0], [3, -4]], np.float32)
    return [
        Sample(x),
        Sample(x, 2, 1),
        Sample(x, 1, (0, 2), True),
        Sample(x, 3, -1, keepdim=True),
        Sample(x, 1.5),
        Sample(x, 0.5, 0, tolerance=5e-5),
        Sample(x, 0, 1),
        Sample(np.array([[0, 2], [np.nan, -0.0]], np.float32), 0, 1, gradient=False),
        Sample(x, math.inf, 1),
        Sample(x, -math.inf, (0, 1)),
        Sample(x[:, ::-2].T, 2, 0),
        Sample(zeros, 2, 1, gradient=False),
        Sample(zeros, 1.5, 1, gradient=False),
        Sample(spread(-2, 3, 1).reshape(())),
        Sample(x[:0], 2, 0, gradient=False),
        Sample(x[:, :0], 0, 1),
        Sample(x[:0], math.inf, 1),
        Sample(spread(-2, 3, 5, 3, dtype=np.float64), 4, 0),
        *[Sample(x, *order) for order in orders],
    ]


def _empty_errors() -> list[ErrorSample]:
    x = np.ones((2, 0), np.float32)
    what = r"no numbers have no norm of this order; expected a finite order.*got .* for \(2, 0\)"
    return [ErrorSample(Sample(x, order, dim), ShapeError, what) for order, dim in ((math.inf, 1), (-2, None))]


@composed(
    samples=_norm_samples,
    errors=lambda: [
        ErrorSample(Sample(np.ones((2, 3), np.float32), 2, 2), ShapeError, "the dimension does not exist"),
        ErrorSample(Sample(np.ones((2, 3), np.float32), "big"), DTypeError, "the order is no number.*'big'"),
        *_empty_errors(),
    ],
)
def vector_norm(
    x: TensorT, ord: float = 2, dim: int | Sequence[int] | None = None, keepdim: bool = False, *, dtype: Any = None
) -> TensorT:
    """Return the norm ``sum(|x| ** ord) ** (1 / ord)`` over dimensions. Its gradient is 0 where the norm is 0.

    Args:
        x: any shape; integers become float32.
        ord: order. 0 counts the elements that are not 0, infinity is the largest magnitude, -infinity the smallest.
        dim: dimension or dimensions; all by default.
        keepdim: keep the reduced dimensions with size 1.
        dtype: convert `x` first.

    Raises:
        DTypeError: if the order is no number.
        ShapeError: if a dimension does not exist, or if there are no numbers and the order is negative or infinite.

    >>> import autodiff as ad
    >>> from autodiff.ops.statistics import vector_norm
    >>> vector_norm(ad.tensor([3.0, -4.0]))
    tensor(5.)
    """
    if not isinstance(ord, int | float | np.number):
        raise DTypeError("vector_norm", "the order is no number", got=repr(ord))
    values: Any = real("vector_norm", with_dtype(x, dtype))
    dims = axes("vector_norm", dim, values.spec.ndim)
    if (ord < 0 or ord == math.inf) and any(values.spec.shape[axis] == 0 for axis in dims):
        raise ShapeError("vector_norm", "no numbers have no norm of this order", expected="a finite order from 0 on",
                         got=f"{ord} for {values.spec.shape}")
    if ord == 2:
        return root(square_sum(values, dims, keepdim))  # type: ignore[no-any-return]
    if ord == 0:
        return sum(constant_of(values, cast_to(ne(values, 0), values.spec.dtype)), dims, keepdim)  # type: ignore[no-any-return]
    magnitudes = abs(values)
    if ord == 1:
        return sum(magnitudes, dims, keepdim)  # type: ignore[no-any-return]
    if math.isinf(ord):
        return (amax if ord > 0 else amin)(magnitudes, dims, keepdim)  # type: ignore[no-any-return]
    return root(sum(root(magnitudes, ord) if ord > 0 else pow(magnitudes, ord), dims, keepdim), 1 / ord)  # type: ignore[no-any-return]


@composed(
    samples=lambda: [*_norm_samples(("fro",), ("fro", (0, 2)), (None, 1))],
    errors=lambda: [
        ErrorSample(Sample(np.ones((2, 3), np.float32), 2, 2), ShapeError, "the dimension does not exist"),
        ErrorSample(Sample(np.ones((2, 3), np.float32), "nuc"), ValueRangeError, "'nuc'.*linalg.matrix_norm"),
        *_empty_errors(),
    ],
)
def norm(
    input: TensorT,
    p: float | str | None = "fro",
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
    dtype: Any = None,
) -> TensorT:
    """Return the norm ``sum(|x| ** p) ** (1 / p)`` over dimensions. Its gradient is 0 where the norm is 0.

    Args:
        input: any shape; integers become float32.
        p: order, as for `linalg.vector_norm`; ``"fro"`` and None are 2.
        dim: dimension or dimensions; all by default.
        keepdim: keep the reduced dimensions with size 1.
        dtype: convert `input` first.

    Raises:
        ShapeError: if a dimension does not exist, or if there are no numbers and the order is negative or infinite.
        ValueRangeError: for another name than ``"fro"``.

    >>> import autodiff as ad
    >>> ad.norm(ad.tensor([3.0, -4.0])), ad.norm(ad.tensor([3.0, -4.0]), 1)
    (tensor(5.), tensor(7.))
    """
    if isinstance(p, str) and p != "fro":
        raise ValueRangeError(
            "norm",
            "the norm does not exist",
            expected="'fro' or a number",
            got=repr(p),
            fix="use linalg.matrix_norm for norms of matrices",
        )
    return vector_norm(input, 2 if p is None or p == "fro" else p, dim, keepdim, dtype=dtype)  # type: ignore[arg-type]
