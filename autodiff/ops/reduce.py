"""Means, products and truth: one number from many over some dimensions; sums are in `broadcast.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, ShapeError
from autodiff.ops import strided
from autodiff.ops.broadcast import (
    expand,
    reduced_shape,
    reducible,
    reduction,
    sum,
    sum_infer,
    sum_prepare,
    sum_scratch,
)
from autodiff.ops.choice import where
from autodiff.ops.comparison import isnan, logical_not, ne
from autodiff.ops.elementwise import div, div_p
from autodiff.ops.promotion import INT64, constant
from autodiff.ops.samples import spread
from autodiff.ops.scan import cumprod_grad_p
from autodiff.ops.structural import axes, axis_index, cast_to, contiguous, require_tensor, reshape, slice_grad_p
from autodiff.primitive import ErrorSample, Keep, Primitive, Sample, composed, define
from autodiff.spec import Array, Cost, DType, Spec, moved

__all__ = ["all", "any", "count_nonzero", "mean", "nanmean", "nansum", "prod"]


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
) -> Run:
    (x,), (out,) = inputs, outputs
    count = number(x.size // out.size if out.size else 1, x.dtype)
    add, divide = sum_prepare(inputs, outputs, dims, keepdim), division(out)

    def run(outs: Sequence[Array], ins: Sequence[Array]) -> None:
        add(outs, ins)
        divide(outs[:1], (outs[0], count))

    return run


def _mean_vjp(record: Any, g: Any) -> tuple[Any]:
    x, out = record.inputs[0], record.outputs[0]
    if out.size:
        g = bind(div_p, g, constant(x.size // out.size, out.dtype))
    if out.ndim and not record.params["keepdim"]:
        g = reshape(g, reduced_shape(x.shape, record.params["dims"], True))
    return (expand(g, x.shape),)


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
    run=strided.nothing,
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
    require_tensor("mean", input)
    x = with_dtype(input, dtype)
    spec: Spec = x.spec  # type: ignore[attr-defined]
    require_float("mean", x)
    dims = axes("mean", dim, spec.ndim)
    result: TensorT = bind(mean_p, reducible(x, dims), dims=dims, keepdim=bool(keepdim))
    return result


def require_float(operation: str, x: Any) -> None:
    """Raise unless `x` holds floats.

    Raises:
        DTypeError: names the dtype.
    """
    if not x.spec.floating:
        raise DTypeError(
            operation,
            "integers have no mean of their own dtype",
            expected="float32 or float64",
            got=x.spec.dtype.name,
            fix="convert with x.float(), or pass dtype=",
        )


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


# ---- prod ------------------------------------------------------------------------------------------------------------


def _axes_prepare(
    kernel: str, inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], dims: tuple[int, ...], keepdim: bool
) -> Run:
    return reduction(getattr(kernels.reduce, kernel), inputs, outputs, dims)


def _prod_vjp(record: Any, g: Any) -> tuple[Any]:
    """A product is the last of the running products, whose gradient needs no division and is exact at zeros."""
    shape, dims = record.inputs[0].shape, record.params["dims"]
    if not dims:
        return (g,)
    (dim,) = dims
    if record.inputs[0].size == 0:
        return (expand(reshape(g, reduced_shape(shape, dims, True)), shape),)
    last = tuple(n - 1 if axis == dim else (0, n, 1) for axis, n in enumerate(shape))
    g = bind(slice_grad_p, reshape(g, reduced_shape(shape, dims, False)), index=last, shape=shape)
    return (bind(cumprod_grad_p, g, contiguous(record.input(0)), dim=dim),)


def _prod_samples() -> list[Sample]:
    x = spread(-2, 2, 2, 3, 4)
    zeros = np.where(np.arange(12).reshape(3, 4) % 5 == 0, 0, spread(1, 2, 3, 4)).astype(np.float32)
    return [
        Sample(x),
        Sample(x, 1),
        Sample(x, -1, keepdim=True),
        Sample(spread(-2, 2, 2, 2, 4, 3).transpose(0, 3, 1, 2), 2),
        Sample(zeros, 0),
        Sample(zeros),
        Sample(np.zeros((2, 3), np.float32), 1),
        Sample(spread(-2, 2, 1).reshape(())),
        Sample(x[:0], 0),
        Sample(x[:0], 1),
        Sample(np.arange(1, 7).reshape(2, 3), 1),
        Sample(spread(-2, 2, 5, 3, dtype=np.float64), 0),
    ]


prod_p = define(
    "prod",
    infer=sum_infer,
    run=strided.nothing,
    prepare=partial(_axes_prepare, "prod_axes"),
    vjp=_prod_vjp,
    saves=Keep(inputs=(0,)),
    cost=lambda inputs, outputs, **_: Cost(inputs[0].size, moved(*inputs, *outputs)),
    samples=_prod_samples,
    errors=lambda: dimension_errors()[:1],
    call=lambda *arguments, **keywords: prod(*arguments, **keywords),
)


def prod(input: TensorT, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> TensorT:
    """Return the product of all elements, or of those along a dimension. The gradient is exact where elements are 0.

    Args:
        input: any shape and dtype; integers and bools are multiplied in int64.
        dim: dimension; all by default.
        keepdim: keep the reduced dimension with size 1.
        dtype: convert `input` first.

    Raises:
        ShapeError: if the dimension does not exist.

    >>> import autodiff as ad
    >>> ad.prod(ad.tensor([[1.0, 2.0], [3.0, 4.0]]), 1)
    tensor([ 2., 12.])
    """
    x: Any = with_dtype(input, INT64 if dtype is None and not input.spec.floating else dtype)  # type: ignore[attr-defined]
    ndim = x.spec.ndim
    if dim is None:
        result = bind(prod_p, reshape(x, -1), dims=(0,), keepdim=False)
        return reshape(result, (1,) * ndim) if keepdim else result  # type: ignore[no-any-return]
    axis = axis_index("prod", dim, ndim)
    dims = (axis,) if ndim else ()
    return bind(prod_p, reducible(x, dims), dims=dims, keepdim=bool(keepdim))  # type: ignore[no-any-return]


# ---- all, any --------------------------------------------------------------------------------------------------------


def _truth_samples() -> list[Sample]:
    x = np.arange(24).reshape(2, 3, 4) % 5 != 0
    return [
        Sample(x),
        Sample(x, 1),
        Sample(x, (0, 2), True),
        Sample(x, -1),
        Sample(np.zeros((2, 3), np.float32), 0),
        Sample(np.array([0.0, np.nan, 2.0])),
        Sample(np.arange(3), 0, keepdim=True),
        Sample(x[:, ::-2].T, 0),
        Sample(x[:0], 0),
        Sample(x[:0], 1),
        Sample(np.array(True)),
    ]


def _truth(name: str, kernel: str, call: Callable[..., Any]) -> Primitive:
    return define(
        name,
        infer=lambda x, dims, keepdim: Spec.of(reduced_shape(x.shape, dims, keepdim), np.bool_),
        run=strided.nothing,
        prepare=partial(_axes_prepare, kernel),
        vjp=None,
        cost=lambda inputs, outputs, **_: Cost(inputs[0].size, moved(*inputs, *outputs)),
        samples=_truth_samples,
        errors=dimension_errors,
        call=call,
    )


all_p = _truth("all", "all_axes", lambda *arguments, **keywords: all(*arguments, **keywords))
any_p = _truth("any", "any_axes", lambda *arguments, **keywords: any(*arguments, **keywords))


def all(input: TensorT, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> TensorT:
    """Return whether all elements are nonzero, over dimensions. NaN is not zero.

    Args:
        input: any shape and dtype.
        dim: dimension or dimensions; all by default.
        keepdim: keep the reduced dimensions with size 1.

    Returns:
        bool.

    Raises:
        ShapeError: if a dimension does not exist.

    >>> import autodiff as ad
    >>> ad.all(ad.tensor([[True, False], [True, True]]), 1)
    tensor([False, True])
    """
    return _truth_of(all_p, input, dim, keepdim)  # type: ignore[no-any-return]


def any(input: TensorT, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> TensorT:
    """Return whether some element is nonzero, over dimensions. NaN is not zero.

    Args:
        input: any shape and dtype.
        dim: dimension or dimensions; all by default.
        keepdim: keep the reduced dimensions with size 1.

    Returns:
        bool.

    Raises:
        ShapeError: if a dimension does not exist.

    >>> import autodiff as ad
    >>> ad.any(ad.tensor([[0, 0], [0, 2]]), 1)
    tensor([False, True])
    """
    return _truth_of(any_p, input, dim, keepdim)  # type: ignore[no-any-return]


def _truth_of(primitive: Primitive, x: Any, dim: Any, keepdim: bool) -> Any:
    dims = axes(primitive.name, dim, x.spec.ndim)
    return bind(primitive, reducible(x, dims), dims=dims, keepdim=bool(keepdim))


# ---- Counts and sums that leave elements out -------------------------------------------------------------------------


def _with_nans() -> list[Sample]:
    x = np.where(np.arange(12).reshape(3, 4) % 5 == 0, np.nan, spread(-2, 2, 3, 4)).astype(np.float32)
    return [
        Sample(x),
        Sample(x, 0),
        Sample(x, (0, 1), keepdim=True),
        Sample(x[:, 1:].astype(np.float64), -1),
        Sample(x[:0], 1),
    ]


@composed(
    samples=lambda: [
        Sample(np.arange(6).reshape(2, 3) % 3),
        Sample(spread(0, 1, 2, 3) > 0.5, 1),
        Sample(np.zeros((2, 3), np.float32), (0, 1)),
    ],
    errors=dimension_errors,
)
def count_nonzero(input: TensorT, dim: int | Sequence[int] | None = None) -> TensorT:
    """Return the number of elements that are not 0, over dimensions.

    Args:
        input: any shape and dtype.
        dim: dimension or dimensions; all by default.

    Returns:
        int64.

    Raises:
        ShapeError: if a dimension does not exist.

    >>> import autodiff as ad
    >>> ad.count_nonzero(ad.tensor([[0, 1], [2, 3]]), 0)
    tensor([1, 2])
    """
    return sum(ne(input, 0), dim)


@composed(samples=lambda: [*_with_nans(), Sample(np.arange(4))], errors=dimension_errors)
def nansum(
    input: TensorT, dim: int | Sequence[int] | None = None, keepdim: bool = False, *, dtype: Any = None
) -> TensorT:
    """Return the sum over dimensions, NaN counting as 0.

    Args:
        input: any shape and dtype.
        dim: dimension or dimensions; all by default.
        keepdim: keep the reduced dimensions with size 1.
        dtype: convert `input` first.

    Raises:
        ShapeError: if a dimension does not exist.

    >>> import autodiff as ad
    >>> ad.nansum(ad.tensor([1.0, float("nan"), 2.0]))
    tensor(3.)
    """
    x = with_dtype(input, dtype)
    return sum(where(isnan(x), 0, x) if x.spec.floating else x, dim, keepdim)  # type: ignore[attr-defined]


@composed(
    samples=lambda: [Sample(*s.arguments, **s.keywords) for s in _with_nans()],
    errors=lambda: [*dimension_errors(), ErrorSample(Sample(np.arange(3)), DTypeError, "integers have no mean.*int64")],
)
def nanmean(
    input: TensorT, dim: int | Sequence[int] | None = None, keepdim: bool = False, *, dtype: Any = None
) -> TensorT:
    """Return the mean over dimensions of the elements that are not NaN; NaN where there are none.

    Args:
        input: any shape; floats.
        dim: dimension or dimensions; all by default.
        keepdim: keep the reduced dimensions with size 1.
        dtype: convert `input` first.

    Raises:
        DTypeError: for integers and bools, unless `dtype` is a float type.
        ShapeError: if a dimension does not exist.

    >>> import autodiff as ad
    >>> ad.nanmean(ad.tensor([1.0, float("nan"), 2.0]))
    tensor(1.5000)
    """
    x = with_dtype(input, dtype)
    require_float("nanmean", x)
    present: Any = logical_not(isnan(x))
    return div(nansum(x, dim, keepdim), sum(present, dim, keepdim))
