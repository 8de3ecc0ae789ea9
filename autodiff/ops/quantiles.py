"""Quantiles, medians without NaN, and the most frequent element.

Positions carry no gradient themselves; values are read with `gather`, which does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops.broadcast import expand, sum
from autodiff.ops.choice import maximum, where
from autodiff.ops.comparison import eq, lt, ne
from autodiff.ops.elementwise import add, ceil, floor, floor_divide, mul, round, spread, sub
from autodiff.ops.extremes import ValuesAndIndices
from autodiff.ops.host import values
from autodiff.ops.promotion import INT64, cast, constant, is_tensor
from autodiff.ops.scattering import gather
from autodiff.ops.shaping import flatten, missing_dimension, movedim, shape_of, squeeze
from autodiff.ops.sorting import argsort, of_all, sort
from autodiff.ops.structural import axis_index, contiguous, narrow, reshape
from autodiff.primitive import ErrorSample, Sample, composed, define
from autodiff.spec import Array, Cost, Spec, moved

__all__ = ["mode", "nanmedian", "nanquantile", "quantile"]

# ---- Quantiles -------------------------------------------------------------------------------------------------------

_BETWEEN = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile(operation: str, x: Any, q: Any, dim: int | None, keepdim: bool, interpolation: str, skip: bool) -> Any:
    """Return quantiles of all elements, or, if NaN are to be skipped, of the others.

    Raises:
        DTypeError: if the input does not hold floats, or `q` another dtype.
        ShapeError: if the dimension does not exist, is empty, or `q` has several dimensions.
        ValueRangeError: for a `q` outside [0, 1] or another interpolation.
    """
    shape = shape_of(x, operation)
    if not x.spec.floating:
        raise DTypeError(operation, "only floats have quantiles", expected="float32 or float64",
                         got=x.spec.dtype.name, fix="convert with x.float()")
    if interpolation not in _BETWEEN:
        raise ValueRangeError(operation, "this interpolation does not exist", expected=", ".join(map(repr, _BETWEEN)),
                              got=repr(interpolation))
    if is_tensor(q) and q.spec.dtype != x.spec.dtype:
        raise DTypeError(operation, "q has another dtype than the input", expected=x.spec.dtype.name,
                         got=q.spec.dtype.name, fix="convert it with q.to(input.dtype)")
    if is_tensor(q) and q.spec.ndim > 1:
        raise ShapeError(operation, "q is neither a number nor a vector", expected="at most one dimension",
                         got=str(q.spec.shape))
    asked = values(q) if is_tensor(q) else np.asarray(q)
    if asked.size and not (asked.min() >= 0 and asked.max() <= 1):
        raise ValueRangeError(operation, "q is out of range", expected="0 to 1", got=str(asked.tolist()))
    if dim is None:
        axis, kept = 0, (1,) * len(shape)
        x = flatten(x)
    else:
        axis = axis_index(operation, dim, len(shape))
        kept = (*shape[:axis], 1, *shape[axis + 1:])
        x = x if shape else reshape(x, 1)
    if not x.spec.shape[axis]:
        raise ShapeError(operation, "there are no elements", got=str(shape))

    ordered = movedim(sort(x, axis).values, axis, -1)  # NaN stands last
    count, dtype = x.spec.shape[axis], x.spec.dtype
    places = q if is_tensor(q) else constant(q, dtype)
    places = reshape(places, places.spec.size)
    number = ne(ordered, ordered)
    if skip:
        last = maximum(sub(count - 1, sum(number, -1, True)), 0)
        rank = mul(places, cast(last, dtype))
    else:  # one NaN makes the quantile NaN, and the last element is one then
        rank = where(narrow(number, -1, count - 1, 1), count - 1, mul(places, count - 1))
    below = _at(ordered, _ROUNDED[interpolation](rank))
    found = below
    if interpolation in ("linear", "midpoint"):
        # In the form that PyTorch's lerp has: from the nearer end, so that both ends are met exactly.
        weight = sub(rank, floor(rank)) if interpolation == "linear" else constant(0.5, dtype)
        above = _at(ordered, ceil(rank))
        step = sub(above, below)
        found = where(lt(weight, 0.5), add(below, mul(weight, step)), sub(above, mul(sub(1, weight), step)))
    found = movedim(found, -1, 0)
    single = not is_tensor(q) or not q.spec.ndim
    rest = kept if keepdim else shape[:axis] + shape[axis + 1:] if dim is not None else ()
    return reshape(found, rest if single else (found.spec.shape[0], *rest))


def _at(ordered: Any, rank: Any) -> Any:
    """Return the elements of the last dimension at ranks."""
    places = cast(rank, INT64)
    return gather(ordered, -1, expand(places, (*ordered.spec.shape[:-1], places.spec.shape[-1])))


_ROUNDED: dict[str, Callable[[Any], Any]] = {
    "linear": floor, "lower": floor, "higher": ceil, "midpoint": floor, "nearest": round,
}


def _quantile_samples() -> list[Sample]:
    x, q = spread(-1, 1, 3, 4), np.array([0.1, 0.75, 0.95], np.float32)
    return [Sample(x, 0.4), Sample(x, 0.3, 0), Sample(x, 0.9, 1, True), Sample(x, q, -1), Sample(x, q, keepdim=True),
            Sample(x.T, q, 0, True), Sample(np.float32(3), 0.5), Sample(x, 0.5, None, True),
            *[Sample(x, 0.4, 1, interpolation=name) for name in _BETWEEN], Sample(x[:, :1], 0.3, 1),
            Sample(np.array([[1, np.nan, 2], [3, 1, 2]], np.float32), 0.4, 1, gradient=False),
            Sample(np.array([[1, np.nan, 2], [3, 1, 2]], np.float32), 0.4, 0, gradient=False),
            Sample(x.astype(np.float64), q.astype(np.float64), 1, gradient=False), Sample(x.astype(np.float64), 0.7, 0)]


def _quantile_errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [*missing_dimension(0.5, 2), ErrorSample(Sample(np.arange(3), 0.5), DTypeError, "only floats.*int64"),
            ErrorSample(Sample(x, 1.5), ValueRangeError, "0 to 1; got 1.5"),
            ErrorSample(Sample(x, np.array([0.5])), DTypeError, "expected float32; got float64"),
            ErrorSample(Sample(x, x), ShapeError, "neither a number nor a vector"),
            ErrorSample(Sample(x, 0.5, interpolation="cubic"), ValueRangeError, "'linear'.*got 'cubic'"),
            ErrorSample(Sample(x[:0], 0.5), ShapeError, "no elements")]


@composed(samples=_quantile_samples, errors=_quantile_errors)
def quantile(input: TensorT, q: Any, dim: int | None = None, keepdim: bool = False, *,
             interpolation: str = "linear") -> TensorT:
    """Return quantiles: the numbers at the fraction q of the way through the ordered elements.

    Args:
        input: any shape; floats. A row with a NaN has the quantile NaN.
        q: number from 0 to 1, or a vector of them in the dtype of `input`.
        dim: dimension; by default all elements.
        keepdim: keep the dimension with size 1.
        interpolation: for a q between two elements: ``"linear"``, ``"lower"``, ``"higher"``, ``"midpoint"``, or
            ``"nearest"``, the even place of two.

    Returns:
        `input` without `dim`; for a vector q, with a first dimension for its numbers.

    Raises:
        DTypeError: if `input` does not hold floats, or `q` another dtype.
        ShapeError: if the dimension does not exist or is empty, or `q` has several dimensions.
        ValueRangeError: for a `q` outside [0, 1] or another interpolation.

    >>> import autodiff as ad
    >>> ad.quantile(ad.tensor([3.0, 1.0, 2.0]), 0.25), ad.quantile(ad.tensor([3.0, 1.0]), ad.tensor([0.0, 0.5]))
    (tensor(1.5000), tensor([1., 2.]))
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, skip=False)  # type: ignore[no-any-return]


@composed(samples=lambda: [*_quantile_samples(), Sample(np.array([np.nan, np.nan], np.float32), 0.5, gradient=False)],
          errors=_quantile_errors)
def nanquantile(input: TensorT, q: Any, dim: int | None = None, keepdim: bool = False, *,
                interpolation: str = "linear") -> TensorT:
    """Return quantiles of the elements that are numbers, NaN where there are none; arguments as for `quantile`.

    Raises:
        DTypeError: if `input` does not hold floats, or `q` another dtype.
        ShapeError: if the dimension does not exist or is empty, or `q` has several dimensions.
        ValueRangeError: for a `q` outside [0, 1] or another interpolation.

    >>> import autodiff as ad
    >>> ad.nanquantile(ad.tensor([3.0, float("nan"), 2.0]), 0.5)
    tensor(2.5000)
    """
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, skip=True)  # type: ignore[no-any-return]


def _median_samples() -> list[Sample]:
    x = spread(-1, 1, 3, 4)
    nan = np.array([[1, np.nan, 2, 0], [np.nan, np.nan, np.nan, np.nan]], np.float32)
    return [Sample(x), Sample(x, 0), Sample(x.T, -1, True), Sample(np.float32(3)), Sample(np.array([3, 1, 2])),
            Sample(np.array([3, 1, 2]), 0), Sample(nan, gradient=False), Sample(nan, 0, gradient=False),
            Sample(nan[:1], 1, gradient=False), Sample(x.astype(np.float64), 1),
            Sample(np.array([2, 1, np.nan, 2], np.float32), gradient=False),
            Sample(np.zeros((2, 0), np.float32), gradient=False)]


@composed(samples=_median_samples, errors=lambda: [
    *missing_dimension(2), ErrorSample(Sample(np.zeros((2, 0), np.float32), 1), ShapeError, "no elements")])
def nanmedian(input: TensorT, dim: int | None = None, keepdim: bool = False) -> Any:
    """Return the median of the elements that are numbers, the lower one of two; NaN where there are none.

    Args:
        input: any shape and dtype.
        dim: dimension; by default all elements.
        keepdim: keep the dimension with size 1.

    Returns:
        A tensor without dimensions, NaN of no floats, whose gradient all elements share that equal it; or
        ``(values, indices)``, whose gradient the elements get that were picked.

    Raises:
        ShapeError: if the dimension does not exist or there are no elements along it.

    >>> import autodiff as ad
    >>> ad.nanmedian(ad.tensor([3.0, float("nan"), 2.0]))
    tensor(2.)
    """
    if dim is None:
        return of_all(nanmedian, input)
    x: Any = input
    shape = shape_of(x, "nanmedian")
    axis = axis_index("nanmedian", dim, len(shape))
    if not shape:
        return ValuesAndIndices(*(reshape(part, ()) for part in nanmedian(reshape(x, 1), 0)))
    if not shape[axis]:
        raise ShapeError("nanmedian", "there are no elements", got=str(shape))
    numbers = sum(eq(x, x), axis, True)
    rank = floor_divide(maximum(sub(numbers, 1), 0), 2)
    place = gather(argsort(x, axis), axis, rank)
    return _read(x, axis, place, keepdim)


def _read(x: Any, axis: int, place: Any, keepdim: bool) -> ValuesAndIndices:
    """Return the elements at one position a row, and that position."""
    found = gather(x, axis, place)
    return ValuesAndIndices(found, place) if keepdim else ValuesAndIndices(squeeze(found, axis), squeeze(place, axis))


# ---- Positions that NumPy finds --------------------------------------------------------------------------------------


def _mode_run(outs: list[Array], ins: list[Array], dim: int) -> None:
    x = np.moveaxis(ins[0], dim, -1)
    order = np.argsort(x, -1, kind="stable")
    ordered = np.take_along_axis(x, order, -1)
    first = np.ones(x.shape, np.bool_)
    first[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    place = np.arange(x.shape[-1])
    run = place - np.maximum.accumulate(np.where(first, place, 0), -1)  # how many equal elements stand before
    last = np.argmax(run, -1)[..., None]  # of the first, smallest, of the longest runs
    outs[0][...] = np.moveaxis(np.take_along_axis(order, last, -1), -1, dim)


def _mode_infer(x: Spec, dim: int) -> Spec:
    if not x.shape[dim]:
        raise ShapeError("mode", "there are no elements", got=str(x.shape))
    return Spec.of((*x.shape[:dim], 1, *x.shape[dim + 1:]), INT64)


def _order_cost(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], dim: int) -> Cost:
    return Cost(inputs[0].size * max(inputs[0].shape[dim] - 1, 0).bit_length(), moved(*inputs, *outputs))


mode_p = define(
    "mode",
    host=True,
    infer=_mode_infer,
    run=_mode_run,
    vjp=None,
    cost=_order_cost,
    samples=lambda: [Sample(np.array([[3, 1, 3, 1], [2, 2, 0, 1]])), Sample(np.array([[3, 1, 3], [2, 1, 3]]), 0),
                     Sample(np.array([[3, 1, 3], [2, 1, 3]]), 1, True), Sample(spread(-1, 1, 3, 4).T, 0),
                     Sample(np.array([2, np.nan, 2, np.nan, np.nan], np.float32), gradient=False),
                     Sample(np.float32(3)),
                     Sample(spread(-1, 1, 3, 4, dtype=np.float64))],
    errors=lambda: [*missing_dimension(2),
                    ErrorSample(Sample(np.zeros((2, 0), np.float32)), ShapeError, "no elements")],
    call=lambda *a: mode(*a),
)


def mode(input: TensorT, dim: int = -1, keepdim: bool = False) -> ValuesAndIndices:
    """Return the element of a dimension that stands there most often, the smallest of several, and its last position.

    Args:
        input: any shape and dtype; no NaN equals another.
        dim: dimension.
        keepdim: keep the dimension with size 1.

    Returns:
        ``(values, indices)``; gradients flow to the elements that were picked.

    Raises:
        ShapeError: if the dimension does not exist or there are no elements.

    >>> import autodiff as ad
    >>> ad.mode(ad.tensor([3, 1, 3, 1, 2]))
    ValuesAndIndices(values=tensor(1), indices=tensor(3))
    """
    x: Any = input
    axis = axis_index("mode", dim, len(shape_of(x, "mode")))
    if not x.spec.ndim:
        return ValuesAndIndices(*(reshape(part, ()) for part in mode(reshape(x, 1), 0)))
    return _read(x, axis, bind(mode_p, contiguous(x), dim=axis), keepdim)
