"""Order: sort, the k largest, medians, searches in sorted rows, distinct elements.

The orders themselves carry no gradient; values are read with `gather`, which does. What has a shape that depends on
values, and searches, are computed by NumPy on the host.
Sorting is always stable, and NaN is larger than any number.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.arguments import integer
from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops.elementwise import spread
from autodiff.ops.extremes import ValuesAndIndices, evenly_p
from autodiff.ops.host import from_array, values
from autodiff.ops.picking import blocks
from autodiff.ops.promotion import INT64, is_tensor
from autodiff.ops.reduce import mean
from autodiff.ops.scattering import gather, middle
from autodiff.ops.shaping import flatten, missing_dimension, shape_of, squeeze
from autodiff.ops.structural import axis_index, contiguous, require_tensor, reshape
from autodiff.primitive import EachPart, ErrorSample, Primitive, Sample, composed, define, no_errors
from autodiff.spec import Array, Cost, Spec, moved

__all__ = ["argsort", "bucketize", "isin", "kthvalue", "median", "msort", "searchsorted", "sort", "topk", "unique",
           "unique_consecutive"]

# ---- Order -----------------------------------------------------------------------------------------------------------


def _scratch(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], dim: int, **_: Any) -> tuple[EachPart, ...]:
    """Return the specs of the work arrays that order a dimension: keys and places."""
    x = inputs[0]
    k, b = blocks(x.shape, dim)[1:]
    rows = (1, 1 + (1 if b == 1 else kernels.sort.COLUMNS), k)
    return (EachPart(Spec.of(rows, np.uint64 if x.dtype.itemsize == 8 else np.uint32)),
            EachPart(Spec.of(rows, np.int32 if k < 2**31 else INT64)))


def _cost(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], **_: Any) -> Cost:
    """Return the cost of a selection: each element is looked at once."""
    return Cost(inputs[0].size, moved(*inputs, *outputs))


def _places(primitive: Primitive, x: Any, axis: int, **params: Any) -> Any:
    """Bind an order along a dimension; a tensor without dimensions counts as a row of one."""
    if x.spec.ndim:
        return bind(primitive, contiguous(x), dim=axis, **params)
    bind(primitive, reshape(x, 1), dim=axis, **params)  # for its errors
    return from_array(np.array(0))


def _argsort_run(outs: list[Array], ins: list[Array], dim: int, descending: bool) -> None:
    out, keys, places = outs
    kernels.sort.argsort(middle(out, dim), keys, places, middle(ins[0], dim), int(descending), 0, 1)


def _sort_samples() -> list[Sample]:
    x = spread(-1, 1, 3, 5)
    ties = np.array([[2, 1, 2, 1], [0, 0, 3, 3]])
    return [Sample(x), Sample(x, 0), Sample(x, -1, True), Sample(x.T, 1, descending=True), Sample(ties),
            Sample(ties, 1, True),
            Sample(np.array([1, np.nan, -np.inf, 3], np.float32), gradient=False), Sample(x[:, :0]),
            Sample(np.float32(1)),
            Sample(np.array([np.nan, 1, 3], np.float32), descending=True, gradient=False), Sample(x.astype(np.float64))]


argsort_p = define(
    "argsort",
    infer=lambda x, dim, descending: Spec.of(x.shape, INT64),
    run=_argsort_run,
    scratch=_scratch,
    vjp=None,
    cost=lambda inputs, outputs, dim, descending: Cost(
        outputs[0].size * max(inputs[0].shape[dim] - 1, 0).bit_length(), moved(*inputs, *outputs)),
    samples=_sort_samples,
    errors=lambda: missing_dimension(2),
    call=lambda *arguments, **keywords: argsort(*arguments, **keywords),
)


def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """Return the positions that sort a dimension.

    Args:
        input: any shape and dtype.
        dim: dimension.
        descending: largest first.
        stable: accepted for PyTorch's sake: equal elements always keep their order.

    Returns:
        int64, shape of `input`.

    Raises:
        ShapeError: if the dimension does not exist.

    >>> import autodiff as ad
    >>> ad.argsort(ad.tensor([3.0, 1.0, 2.0]))
    tensor([1, 2, 0])
    """
    axis = axis_index("argsort", dim, len(shape_of(input, "argsort")))
    return _places(argsort_p, input, axis, descending=bool(descending))


@composed(samples=_sort_samples, errors=lambda: missing_dimension(2))
def sort(input: TensorT, dim: int = -1, descending: bool = False, stable: bool = False) -> ValuesAndIndices:
    """Return the elements of a dimension in order, and their positions before.

    Args:
        input: any shape and dtype; NaN is larger than any number.
        dim: dimension.
        descending: largest first.
        stable: accepted for PyTorch's sake: equal elements always keep their order.

    Returns:
        ``(values, indices)``; gradients flow through the values.

    Raises:
        ShapeError: if the dimension does not exist.

    >>> import autodiff as ad
    >>> ad.sort(ad.tensor([3.0, 1.0, 2.0])).values
    tensor([1., 2., 3.])
    """
    order = argsort(input, dim, descending)
    return ValuesAndIndices(gather(input, dim, order), order)


@composed(samples=lambda: [Sample(spread(-1, 1, 3, 2)), Sample(spread(-1, 1, 4))], errors=no_errors)
def msort(input: TensorT) -> TensorT:
    """Return the elements of dimension 0 in order.

    >>> import autodiff as ad
    >>> ad.msort(ad.tensor([3.0, 1.0, 2.0]))
    tensor([1., 2., 3.])
    """
    return sort(input, 0).values  # type: ignore[no-any-return]


def _topk_samples() -> list[Sample]:
    x = spread(-1, 1, 3, 5)
    return [Sample(x, 2), Sample(x, 3, 0), Sample(x, 2, -1, False), Sample(x.T, 1, 0), Sample(x, 0),
            Sample(x, 5, sorted=False),
            Sample(np.array([1, 3, 3, 2]), 3), Sample(np.float32(2), 1), Sample(x.astype(np.float64), 2, largest=False)]


def _topk_errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [*missing_dimension(1, 2), ErrorSample(Sample(x, 4), ShapeError, r"\[topk\].*0 to 3; got 4")]


def _topk_infer(x: Spec, dim: int, k: int, largest: bool) -> Spec:
    if not 0 <= k <= x.shape[dim]:
        raise ShapeError("topk", "the dimension has fewer places", expected=f"0 to {x.shape[dim]}", got=str(k))
    return Spec.of((*x.shape[:dim], k, *x.shape[dim + 1:]), INT64)


def _topk_run(outs: list[Array], ins: list[Array], dim: int, k: int, largest: bool) -> None:
    out, keys, places = outs
    if k:
        kernels.sort.first_places(middle(out, dim), keys, places, middle(ins[0], dim), int(largest), 0, 1)


topk_places_p = define(
    "topk",
    infer=_topk_infer,
    run=_topk_run,
    scratch=_scratch,
    vjp=None,
    cost=_cost,
    samples=_topk_samples,
    errors=_topk_errors,
    call=lambda *arguments, **keywords: topk(*arguments, **keywords),
)


def topk(input: TensorT, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> ValuesAndIndices:
    """Return the k largest elements of a dimension, in order, and their positions.

    Args:
        input: any shape and dtype; NaN is larger than any number.
        k: how many.
        dim: dimension.
        largest: False for the k smallest.
        sorted: accepted for PyTorch's sake: the result is always in order, of equal elements the first ones first.

    Returns:
        ``(values, indices)``; gradients flow through the values.

    Raises:
        ShapeError: if the dimension does not exist or has fewer than k places.
        DTypeError: if `k` is no integer.

    >>> import autodiff as ad
    >>> ad.topk(ad.tensor([3.0, 1.0, 2.0]), 2).indices
    tensor([0, 2])
    """
    axis = axis_index("topk", dim, len(shape_of(input, "topk")))
    places = _places(topk_places_p, input, axis, k=integer("topk", "k", k), largest=bool(largest))
    return ValuesAndIndices(gather(input, axis, places), places)


def _kth_errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [*missing_dimension(1, 2), ErrorSample(Sample(x, 0), ShapeError, "1 to 3; got 0"),
            ErrorSample(Sample(x, 4), ShapeError, "got 4")]


def _place_infer(x: Spec, dim: int, rank: int) -> Spec:
    """Return the spec of one position a row.

    Raises:
        ShapeError: if the row has no such rank.
    """
    places = x.shape[dim]
    if not 0 <= rank < places:
        raise ShapeError("kthvalue", "the dimension has no such place in order", expected=f"1 to {places}",
                         got=str(rank + 1))
    return Spec.of((*x.shape[:dim], 1, *x.shape[dim + 1:]), INT64)


def _place_run(outs: list[Array], ins: list[Array], dim: int, rank: int, nan: bool) -> None:
    (out, keys), x = outs, middle(ins[0], dim)
    kernels.sort.place_at(out.reshape(x.shape[0], x.shape[2]), keys, x, rank, int(nan), 0, 1)


kth_place_p = define(
    "kthvalue",
    infer=_place_infer,
    run=partial(_place_run, nan=False),
    scratch=lambda inputs, outputs, dim, rank: _scratch(inputs, outputs, dim)[:1],
    vjp=None,
    cost=_cost,
    samples=lambda: [Sample(spread(-1, 1, 3, 5), 2), Sample(spread(-1, 1, 3, 5), 3, 0),
                     Sample(spread(-1, 1, 3, 5), 1, keepdim=True), Sample(spread(-1, 1, 3, 5).T, 3),
                     Sample(np.array([[1, 0, 1, 1], [2, 2, 2, 2]]), 3), Sample(np.float32(2), 1)],
    errors=_kth_errors,
    call=lambda *arguments, **keywords: kthvalue(*arguments, **keywords),
)


def kthvalue(input: TensorT, k: int, dim: int = -1, keepdim: bool = False) -> ValuesAndIndices:
    """Return the k-th smallest element of a dimension, counted from 1, and its position.

    Raises:
        ShapeError: if the dimension does not exist or has fewer than k places.
        DTypeError: if `k` is no integer.

    >>> import autodiff as ad
    >>> ad.kthvalue(ad.tensor([3.0, 1.0, 2.0]), 2).values
    tensor(2.)
    """
    axis = axis_index("kthvalue", dim, len(shape_of(input, "kthvalue")))
    return _ranked(input, axis, _places(kth_place_p, input, axis, rank=integer("kthvalue", "k", k) - 1), keepdim)


def _ranked(x: Any, axis: int, place: Any, keepdim: bool) -> ValuesAndIndices:
    """Return the elements at one position a row, and that position."""
    found = gather(x, axis, place)
    return ValuesAndIndices(found, place) if keepdim or not place.spec.ndim else ValuesAndIndices(squeeze(found, axis),
                                                                                                  squeeze(place, axis))


def _median_run(outs: list[Array], ins: list[Array], dim: int) -> None:
    x = ins[0]
    _place_run(outs, ins, dim, (x.shape[dim] - 1) // 2, nan=x.dtype.kind == "f")


def _median_infer(x: Spec, dim: int) -> Spec:
    if x.shape[dim] == 0:
        raise ShapeError("median", "there are no elements", got=str(x.shape))
    return Spec.of((*x.shape[:dim], 1, *x.shape[dim + 1:]), INT64)


def _median_samples() -> list[Sample]:
    x = spread(-1, 1, 3, 4)
    return [Sample(x), Sample(x, 0), Sample(x, 1), Sample(x.T, -1, True), Sample(np.float32(3)),
            Sample(np.array([3, 1, 2])),
            Sample(np.array([2, 1, 2, 2], np.float32), gradient=False), Sample(np.zeros(0, np.float32), gradient=False),
            Sample(np.array([[1, np.nan, 2], [3, 1, 2]], np.float32), 1, gradient=False)]


median_place_p = define(
    "median",
    infer=_median_infer,
    run=_median_run,
    scratch=lambda inputs, outputs, dim: _scratch(inputs, outputs, dim)[:1],
    vjp=None,
    cost=_cost,
    samples=_median_samples,
    errors=lambda: [*missing_dimension(2),
                    ErrorSample(Sample(np.zeros((2, 0), np.float32), 1), ShapeError, "no elements")],
    call=lambda *arguments: median(*arguments),
)


def median(input: TensorT, dim: int | None = None, keepdim: bool = False) -> Any:
    """Return the median, the lower one of two; with a dimension, the medians along it and their positions.

    Args:
        input: any shape and dtype; a row with a NaN has the median NaN.
        dim: dimension; by default all elements.
        keepdim: keep the dimension with size 1.

    Returns:
        A tensor without dimensions, NaN of no floats, whose gradient all elements share that equal it; or
        ``(values, indices)``, whose gradient the elements get that were picked.

    Raises:
        ShapeError: if the dimension does not exist or there are no elements along it.

    >>> import autodiff as ad
    >>> ad.median(ad.tensor([3.0, 1.0, 2.0]))
    tensor(2.)
    """
    if dim is None:
        return of_all(median, input)
    axis = axis_index("median", dim, len(shape_of(input, "median")))
    return _ranked(input, axis, _places(median_place_p, input, axis), keepdim)


def of_all(median: Callable[..., ValuesAndIndices], x: Any) -> Any:
    """Return the median of all elements; those that equal it share its gradient, and of no floats it is NaN."""
    row = flatten(x)
    if not row.spec.floating:
        return median(row, 0).values
    return bind(evenly_p, row, median(row, 0).values.detach()) if row.spec.size else mean(row)


# ---- Searches in sorted rows -----------------------------------------------------------------------------------------


def _search_run(outs: list[Array], ins: list[Array], side: str) -> None:
    out, (rows, x) = outs[0], ins
    if rows.ndim == 1:
        out[...] = np.searchsorted(rows, x, side=side)  # type: ignore[call-overload]
        return
    for place in np.ndindex(rows.shape[:-1]):
        out[place] = np.searchsorted(rows[place], x[place], side=side)  # type: ignore[call-overload]


def _search_infer(rows: Spec, x: Spec, side: str) -> Spec:
    if rows.ndim == 0 or (rows.ndim > 1 and rows.shape[:-1] != x.shape[:-1]):
        raise ShapeError("searchsorted", "the sorted rows do not fit the values", got=f"{rows.shape} and {x.shape}",
                         expected="one row, or a row for each row of values")
    return Spec.of(x.shape, INT64)


def _search_samples() -> list[Sample]:
    rows, x = np.array([[1.0, 2, 3], [0, 0, 5]], np.float32), np.array([[2.0, 9], [0, -1]], np.float32)
    return [Sample(rows[0], x), Sample(rows, x), Sample(rows, x, right=True),
            Sample(rows[1], np.float32(0), side="right"), Sample(rows[0], 2.5)]


searchsorted_p = define(
    "searchsorted",
    host=True,
    infer=_search_infer,
    run=_search_run,
    vjp=None,
    cost=lambda inputs, outputs, side: Cost(outputs[0].size * inputs[0].shape[-1].bit_length(),
                                            moved(*inputs, *outputs)),
    samples=_search_samples,
    errors=lambda: [ErrorSample(Sample(np.ones((2, 3), np.float32), np.ones((3, 3), np.float32)), ShapeError,
                                "do not fit"),
                    ErrorSample(Sample(np.ones(3, np.float32), 1.0, side="middle"), ValueRangeError,
                                "'left' or 'right'")],
    call=lambda *arguments, **keywords: searchsorted(*arguments, **keywords),
)


def searchsorted(sorted_sequence: Any, input: Any, *, out_int32: bool = False, right: bool = False,
                 side: str | None = None) -> Any:
    """Return where each value would have to be put into a sorted row so that it stays sorted.

    Args:
        sorted_sequence: (n,), or (..., n) with one row for each row of `input`; rising.
        input: any shape, or a number.
        out_int32: return int32 instead of int64.
        right: put a value behind equal ones.
        side: ``"left"`` or ``"right"``; another way to say `right`.

    Raises:
        ShapeError: if the shapes do not fit.
        ValueRangeError: for another side.

    >>> import autodiff as ad
    >>> ad.searchsorted(ad.tensor([1, 3, 5]), ad.tensor([3, 6]))
    tensor([1, 3])
    """
    require_tensor("searchsorted", sorted_sequence)
    if side not in (None, "left", "right"):
        raise ValueRangeError("searchsorted", "this side does not exist", expected="'left' or 'right'", got=repr(side))
    x = input if is_tensor(input) else from_array(np.array(input))
    found = bind(searchsorted_p, sorted_sequence, x, side=side or ("right" if right else "left"))
    return found.to(np.int32) if out_int32 else found


@composed(samples=lambda: [Sample(np.array([[0.5, 1], [3, 9]], np.float32), np.array([1, 3, 5], np.float32)),
                           Sample(3, np.array([1, 3]), right=True)],
          errors=lambda: [ErrorSample(Sample(np.ones(2, np.float32), np.ones((2, 2), np.float32)), ShapeError,
                                      "one row")])
def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    """Return the number of the bucket between `boundaries` that each value falls into.

    Args:
        input: any shape, or a number.
        boundaries: (n,); rising.
        out_int32: return int32 instead of int64.
        right: False: bucket i holds ``boundaries[i - 1] < x <= boundaries[i]``; True: ``<=`` on the left.

    Raises:
        ShapeError: unless `boundaries` is one row.

    >>> import autodiff as ad
    >>> ad.bucketize(ad.tensor([0.5, 1.0, 2.0]), ad.tensor([1.0, 1.5]))
    tensor([0, 0, 2])
    """
    if len(shape_of(boundaries, "bucketize")) != 1:
        raise ShapeError("bucketize", "the boundaries are no vector", expected="one row", got=str(shape_of(boundaries)))
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


def _isin_run(outs: list[Array], ins: list[Array], invert: bool) -> None:
    outs[0][...] = np.isin(ins[0], ins[1], invert=invert)


isin_p = define(
    "isin",
    host=True,
    infer=lambda x, among, invert: Spec.of(x.shape, np.bool_),
    run=_isin_run,
    vjp=None,
    cost=lambda inputs, outputs, invert: Cost((inputs[0].size + inputs[1].size) * inputs[1].size.bit_length(),
                                              moved(*inputs, *outputs)),
    samples=lambda: [Sample(np.array([[1, 2], [3, 4]]), np.array([2, 9])), Sample(np.array([1, 2]), 2, invert=True),
                     Sample(1, np.array([1, 2]))],
    errors=lambda: [ErrorSample(Sample(1, 2), DTypeError, "not a tensor")],
    call=lambda *arguments, **keywords: isin(*arguments, **keywords),
)


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Any:
    """Return whether each element is one of `test_elements`.

    Args:
        elements: any shape, or a number.
        test_elements: any shape, or a number; one of both is a tensor.
        assume_unique: accepted for PyTorch's sake.
        invert: return the opposite.

    Raises:
        DTypeError: if neither is a tensor.

    >>> import autodiff as ad
    >>> ad.isin(ad.tensor([1, 2, 3]), ad.tensor([2, 5]))
    tensor([False, True, False])
    """
    require_tensor("isin", test_elements if not is_tensor(elements) else elements)
    x, among = (t if is_tensor(t) else from_array(np.array(t)) for t in (elements, test_elements))
    return bind(isin_p, x, among, invert=bool(invert))


# ---- Distinct elements -----------------------------------------------------------------------------------------------


def _several(results: Any) -> Any:
    """Return NumPy's answer, an array or a tuple of arrays, as tensors."""
    return tuple([from_array(part) for part in results]) if isinstance(results, tuple) else from_array(results)


def _unique_samples() -> list[Sample]:
    x = np.array([[3, 1, 3], [2, 1, 3]])
    return [Sample(x), Sample(x, return_inverse=True), Sample(x, return_inverse=True, return_counts=True),
            Sample(x, return_counts=True, dim=1),
            Sample(x, dim=0), Sample(spread(-1, 1, 3)), Sample(x[:0])]


@composed(samples=_unique_samples, errors=lambda: missing_dimension(True, False, False, 2))
def unique(input: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False,
           dim: int | None = None) -> Any:
    """Return the distinct elements, or the distinct slices of a dimension, in order.

    Args:
        input: any shape and dtype.
        sorted: accepted for PyTorch's sake: the result is always in order.
        return_inverse: also return where each element stands in the result.
        return_counts: also return how often each stands in `input`.
        dim: compare whole slices of this dimension; by default single elements.

    Returns:
        A tensor, or a tuple of what was asked for.

    Raises:
        ShapeError: if the dimension does not exist.

    >>> import autodiff as ad
    >>> ad.unique(ad.tensor([3, 1, 3]), return_counts=True)
    (tensor([1, 3]), tensor([1, 2]))
    """
    require_tensor("unique", input)
    axis = None if dim is None else axis_index("unique", dim, len(shape_of(input, "unique")))
    find: Any = np.unique
    return _several(find(values(input), return_inverse=return_inverse, return_counts=return_counts, axis=axis))


@composed(samples=lambda: [Sample(np.array([1, 1, 2, 2, 1])), Sample(np.array([1, 1, 2, 1]), True, True),
                           Sample(np.array([[1, 1], [1, 2]])),
                           Sample(np.array([[1, 2], [1, 2], [3, 2]]), return_inverse=True, return_counts=True, dim=0),
                           Sample(np.zeros(0, np.int64))],
          errors=lambda: missing_dimension(False, False, 2))
def unique_consecutive(input: Any, return_inverse: bool = False, return_counts: bool = False,
                       dim: int | None = None) -> Any:
    """Return the elements, or the slices of a dimension, without those that equal the one before.

    Args:
        input: any shape and dtype.
        return_inverse: also return where each element stands in the result.
        return_counts: also return the length of each run.
        dim: compare whole slices of this dimension; by default the elements in C order.

    Returns:
        A tensor, or a tuple of what was asked for.

    Raises:
        ShapeError: if the dimension does not exist.

    >>> import autodiff as ad
    >>> ad.unique_consecutive(ad.tensor([1, 1, 2, 1]))
    tensor([1, 2, 1])
    """
    require_tensor("unique_consecutive", input)
    x = values(input)
    rows = x.reshape(-1) if dim is None else np.moveaxis(x, axis_index("unique_consecutive", dim, x.ndim), 0)
    first = np.ones(len(rows), np.bool_)
    if rows.ndim == 1:
        np.not_equal(rows[1:], rows[:-1], out=first[1:])
    else:
        first[1:] = (rows[1:] != rows[:-1]).any(axis=tuple(range(1, rows.ndim)))
    kept = rows[first] if dim is None else np.moveaxis(rows[first], 0, dim)
    results = [np.ascontiguousarray(kept)]
    if return_inverse:
        inverse = np.cumsum(first) - 1
        results += [inverse.reshape(x.shape) if dim is None else inverse]
    if return_counts:
        results += [np.diff(np.flatnonzero(first), append=len(rows))]
    return _several(tuple(results) if len(results) > 1 else results[0])
