"""Square brackets: reading and writing a tensor through integers, slices, None, ... , masks and index tensors.

Integers, slices and None give views; what index tensors pick is a copy. Writing follows PyTorch's rules: through a view
it is a copy into that view, through index tensors an `index_put` into the tensor, each with its history.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from autodiff.arguments import integer
from autodiff.bind import TensorT, bind, bind_into
from autodiff.errors import DTypeError, PositionError, ShapeError, ValueRangeError
from autodiff.ops.broadcast import expand
from autodiff.ops.choice import require_bools
from autodiff.ops.elementwise import spread
from autodiff.ops.host import from_array, values
from autodiff.ops.in_place import copy_, masked_fill_
from autodiff.ops.picking import index_add_p, pick_p, positions, put_p, select_along
from autodiff.ops.promotion import INT64, cast, constant, is_tensor, number_dtype
from autodiff.ops.shaping import broadcast_tensors, flatten, shape_of
from autodiff.ops.structural import alias, clone, contiguous, inverse, permute, require_tensor, reshape, slice_p
from autodiff.primitive import ErrorSample, Sample, composed, define
from autodiff.spec import Array, Cost, Shape, Spec, moved

__all__ = ["argwhere", "getitem", "index_put", "masked_scatter", "masked_select", "nonzero", "nonzero_static",
           "setitem"]

Entry = int | tuple[int, int, int]


class Parts(NamedTuple):
    """An index in three steps, taken one after the other.

    Attributes:
        slices: one entry a dimension, as `slice_p` takes them; None when everything is kept.
        shape: shape after the slices, with the new dimensions of size 1; None when there are none.
        arrays: one entry a dimension of that shape: an int64 index tensor, or None to keep it; () without any.
    """

    slices: tuple[Entry, ...] | None
    shape: Shape | None
    arrays: tuple[Any, ...]


def parse(shape: Shape, index: Any) -> Parts:
    """Translate what stands in square brackets.

    Raises:
        PositionError: for an integer outside its dimension, too many indices, or a mask of another shape.
        ValueRangeError: for a slice whose step is not positive.
        DTypeError: for anything that is no index.
    """
    if type(index) is int and shape:
        return Parts((_place(index, shape, 0), *[(0, n, 1) for n in shape[1:]]), None, ())
    if type(index) is slice and shape:
        entry = _range(index, shape[0])
        return Parts(None if entry == (0, shape[0], 1) else (entry, *[(0, n, 1) for n in shape[1:]]), None, ())
    items = index if type(index) is tuple else (index,)
    used = ellipses = 0
    if not _PLAIN.issuperset(map(type, items)):
        items = tuple([item if type(item) in _PLAIN else _normal(item) for item in items])
        used = sum([item.spec.ndim - 1 for item in items if is_tensor(item) and item.spec.dtype.kind == "b"])
    for item in items:
        if item is Ellipsis:
            ellipses += 1
        elif item is not None and item is not True and item is not False:
            used += 1
    if used > len(shape):
        raise PositionError("getitem", "there are more indices than dimensions", expected=f"at most {len(shape)}",
                            got=str(used))
    if ellipses > 1:
        raise PositionError("getitem", "an index has one ellipsis at most", got=f"{ellipses} ellipses")
    if not ellipses:
        items = (*items, Ellipsis)

    slices: list[Entry] = []
    kept: list[int] = []     # the shape after the slices, with new dimensions
    arrays: list[Any] = []
    grown = False
    whole = True
    for item in items:
        if item is None or type(item) is bool:
            grown = True
            kept.append(1)
            arrays.append(None if item is None else from_array(np.zeros(int(item), np.int64)))
        elif item is Ellipsis:
            for n in shape[len(slices):len(slices) + len(shape) - used]:
                slices.append((0, n, 1))
                kept.append(n)
                arrays.append(None)
        elif type(item) is int:
            whole = False
            slices.append(_place(item, shape, len(slices)))
        elif type(item) is slice:
            n = shape[len(slices)]
            entry = _range(item, n)
            whole = whole and entry == (0, n, 1)
            slices.append(entry)
            kept.append(entry[1])
            arrays.append(None)
        else:
            columns = _columns(item, shape, len(slices)) if item.spec.dtype.kind == "b" else [item]
            for column in columns:
                n = shape[len(slices)]
                slices.append((0, n, 1))
                kept.append(n)
                arrays.append(column)
    return Parts(None if whole else tuple(slices), tuple(kept) if grown else None,
                 tuple(arrays) if any(a is not None for a in arrays) else ())


_PLAIN = frozenset((int, slice, type(None), type(Ellipsis), bool))


def _normal(item: Any) -> Any:
    """Return an index of another type as an int, a bool or an index tensor.

    Raises:
        DTypeError: if it is none of these.
    """
    if isinstance(item, np.bool_):
        return bool(item)
    if isinstance(item, np.integer):
        return int(item)
    if isinstance(item, Sequence) and not isinstance(item, str):
        item = np.array([values(part) if is_tensor(part) else part for part in item])
        item = item if item.size else item.astype(np.int64)
    if isinstance(item, np.ndarray):
        item = from_array(item)
    if not is_tensor(item) or item.spec.dtype.kind not in "bi":
        got = f"a tensor of {item.spec.dtype.name}" if is_tensor(item) else type(item).__name__
        raise DTypeError("getitem", "this is no index", got=got,
                         expected="an integer, a slice, None, ..., or integers or bools as a tensor, array or list",
                         fix="convert with x.long(), or x.bool() for a mask")
    if not item.spec.ndim:
        return item.item()
    return cast(item, np.dtype(np.int64)) if item.spec.dtype.kind == "i" else item


def _place(item: int, shape: Shape, axis: int) -> int:
    n = shape[axis]
    if not -n <= item < n:
        raise PositionError("getitem", f"the index lies outside dimension {axis} of {shape}", got=str(item),
                            expected=f"{-n} to {n - 1}" if n else "a dimension that is not empty")
    return item + n if item < 0 else item


def _range(item: slice, n: int) -> tuple[int, int, int]:
    """Return (start, count, step) of a slice of n places."""
    if item.start is None and item.stop is None and item.step is None:
        return 0, n, 1
    try:
        start, stop, step = item.indices(n)
    except (TypeError, ValueError):
        raise DTypeError("getitem", "the bounds of a slice are integers, its step is not 0", got=str(item)) from None
    if step < 0:
        raise ValueRangeError("getitem", "the step of a slice must be positive", got=str(step), fix="use flip(x, dim)")
    count = stop - start if step == 1 else -((start - stop) // step)
    return (start, count, step) if count > 0 else (0, 0, 1)


def _columns(mask: Any, shape: Shape, axis: int) -> list[Any]:
    """Return the places where a mask is true, one index tensor a dimension."""
    have, want = mask.spec.shape, shape[axis:axis + mask.spec.ndim]
    if have != want:
        raise PositionError("getitem", "the mask has another shape than the dimensions it stands for",
                            expected=str(want), got=str(have))
    return [from_array(column) for column in np.nonzero(values(mask))]


def _viewed(input: Any, index: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return the view that the integers, slices and None of an index give, and its index tensors."""
    x = input
    slices, shape, arrays = parse(shape_of(x, "getitem"), index)
    if slices is not None:
        x = bind(slice_p, x, index=slices)
    if shape is not None:
        x = reshape(x, shape)
    return x, arrays


def _adjacent(arrays: tuple[Any, ...]) -> tuple[list[int], tuple[int, ...] | None]:
    """Return the dimensions with index tensors, and the order that brings them in front if they are no neighbours."""
    dims = [axis for axis, array in enumerate(arrays) if array is not None]
    if dims[-1] - dims[0] == len(dims) - 1:
        return dims, None
    return dims, (*dims, *(axis for axis, array in enumerate(arrays) if array is None))


def _merged(x: Any, arrays: tuple[Any, ...]) -> tuple[Any, Any, int]:
    """Return `x` with its indexed dimensions merged into one, the index into that, and which dimension it is."""
    dims, order = _adjacent(arrays)
    shape = shape_of(x)
    index = positions([arrays[axis] for axis in dims], [shape[axis] for axis in dims])
    at = dims[0]
    if order is not None:
        x, at = permute(x, order), 0
        shape = shape_of(x)
    if len(dims) > 1:
        x = reshape(x, (*shape[:at], math.prod(shape[at:at + len(dims)]), *shape[at + len(dims):]))
    return x, index, at


def _getitem_samples() -> list[Sample]:
    x = spread(-1, 1, 3, 4, 5)
    image = spread(-1, 1, 2, 3, 3, 4).transpose(0, 3, 1, 2)
    rows, columns, mask = np.array([2, 0, 2]), np.array([[1], [-1]]), spread(-1, 1, 3, 4) > 0
    every = slice(None)
    basic: list[Any] = [1, -1, slice(1, None), slice(None, None, 2), slice(-2, 9), slice(2, 1), (0, slice(1, 3)),
                        (..., -1),
                        (every, None, 2), None, ..., (2, 3, 4), (1, ..., None), (),
                        (slice(1, 2), slice(0, 4, 3), every)]
    advanced: list[Any] = [rows, (every, rows), (..., rows), (rows, columns), (rows, every, columns),
                           (every, rows, columns),
                           (rows, 1), (1, rows), (1, every, rows), (rows, None, columns), (rows, slice(1, 3)), [0, -1],
                           mask,
                           (mask, 2), (every, mask[:, 0].repeat(2)[:4]), (rows[:1], mask[0]), True, (False, ...),
                           rows.astype(np.int32), (np.array(1), rows), rows[:0], (0, mask[1])]
    return [*(Sample(x, index) for index in basic + advanced), Sample(image, (every, slice(1, 3))), Sample(image, 1),
            Sample(image, (every, np.array([3, 0]))), Sample(image, np.array([1, 1, 0])),
            Sample(x[:, ::2], (every, rows - 1)),
            Sample(np.float32(2), None), Sample(np.float32(2), ...), Sample(x.astype(np.float64), 0),
            Sample(np.arange(4), 2)]


def _getitem_errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [ErrorSample(Sample(x, 2), PositionError, r"\[getitem\].*dimension 0.*-2 to 1; got 2"),
            ErrorSample(Sample(x, (0, -4)), PositionError, "dimension 1.*-3 to 2; got -4"),
            ErrorSample(Sample(x, (0, 0, 0)), PositionError, "at most 2; got 3"),
            ErrorSample(Sample(x, (..., ...)), PositionError, "one ellipsis"),
            ErrorSample(Sample(x, slice(None, None, -1)), ValueRangeError, "positive; got -1; use flip"),
            ErrorSample(Sample(x, 1.0), DTypeError, "no index.*got float"),
            ErrorSample(Sample(x, slice(0.5, 2)), DTypeError, "integers"),
            ErrorSample(Sample(x[:0], 0), PositionError, "not empty"),
            ErrorSample(Sample(x, x), DTypeError, "no index.*a tensor of float32"),
            ErrorSample(Sample(x, np.array([0, 2])), PositionError, r"\[getitem\].*place \(1,\).*-2 to 1; got 2"),
            ErrorSample(Sample(x, (slice(None), np.array([-4]))), PositionError, "-3 to 2; got -4"),
            ErrorSample(Sample(x, np.array([True, False, True])), PositionError, r"mask.*\(2,\); got \(3,\)"),
            ErrorSample(Sample(x, (np.array([0, 1]), np.array([0, 1, 2]))), ShapeError, "do not broadcast")]


@composed(samples=_getitem_samples, errors=_getitem_errors)
def getitem(input: TensorT, index: Any) -> TensorT:
    """Return ``input[index]``.

    Args:
        input: any shape and dtype.
        index: what gives a view: integers, slices (with positive steps), None for a new dimension, ``...``. What gives
            a copy: bool tensors, which pick where they are true; int tensors, arrays or lists, which are broadcast to
            one shape and pick element by element. The picked dimensions stand where the index tensors stood when
            these are neighbours (integers do not count), else in front.

    Raises:
        PositionError: for an index outside its dimension, too many indices or a mask of another shape.
        ValueRangeError: for a negative step.
        DTypeError: for anything that is no index.

    An element that is picked several times receives the sum of the gradients, added in the order of the index.

    >>> import autodiff as ad
    >>> x = ad.tensor([[1, 2], [3, 4]])
    >>> ad.getitem(x, (slice(None), 0)), ad.getitem(x, ad.tensor([1, 1]))
    (tensor([1, 3]), tensor([[3, 4],
            [3, 4]]))
    """
    x, arrays = _viewed(input, index)
    if arrays:
        x, place, at = _merged(x, arrays)
        return select_along(pick_p, x, at, place)  # type: ignore[no-any-return]
    return alias(x) if x is input else x


# ---- Writing ---------------------------------------------------------------------------------------------------------


def _written(x: Any, arrays: tuple[Any, ...], value: Any, accumulate: bool) -> Any:
    """Return `x` with `value` at the places of the index tensors."""
    _, order = _adjacent(arrays)
    merged, index, at = _merged(x, arrays)
    source = contiguous(expand(value, (*shape_of(merged)[:at], *index.spec.shape, *shape_of(merged)[at + 1:])))
    if accumulate:
        result = bind(index_add_p, contiguous(merged), index, source, dim=at)
    else:
        result = bind(put_p, contiguous(merged), index, source, dim=at)
    shape = shape_of(x)
    if order is None:
        return reshape(result, shape)
    return permute(reshape(result, tuple([shape[axis] for axis in order])), inverse(order))


def _index_put_samples() -> list[Sample]:
    x, rows, columns = spread(-1, 1, 3, 4), np.array([2, 0, 2]), np.array([1, -1, 0])
    return [Sample(x, (rows[:2],), spread(-2, 2, 4)), Sample(x, (rows, columns), spread(-2, 2, 3)),
            Sample(x, (rows,), spread(-2, 2, 3, 4)),
            Sample(x, (rows, columns * 0), spread(-2, 2, 3), True), Sample(x, (rows,), np.float32(2), accumulate=True),
            Sample(x.T[::2], (columns[:2], rows[:2]), spread(-2, 2, 2)), Sample(x, (x > 0,), np.float32(3)),
            Sample(x.astype(np.float64), [rows], spread(-2, 2, 3, 1, dtype=np.float64))]


def _index_put_errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [ErrorSample(Sample(x, (np.array([2]),), x[0]), PositionError, "-2 to 1; got 2"),
            ErrorSample(Sample(x, (np.array([0]),), x[:, :2]), ShapeError, r"\(2, 2\) to \(1, 3\)"),
            ErrorSample(Sample(x, (np.array([0]),), x.astype(np.float64)), DTypeError, "another dtype")]


@composed(samples=_index_put_samples, errors=_index_put_errors)
def index_put(input: TensorT, indices: Sequence[Any], values: Any, accumulate: bool = False) -> TensorT:
    """Return `input` with `values` at the places that index tensors pick.

    Args:
        input: any shape.
        indices: int or bool tensors, or None for a whole dimension, as in ``input[indices]``.
        values: broadcast to the shape of ``input[indices]``; same dtype.
        accumulate: add to what is there, also several values at one place, instead of writing over it, where the last
            value counts.

    Raises:
        PositionError: for an index outside its dimension.
        ShapeError: if `values` does not fit.
        DTypeError: if `values` has another dtype.

    >>> import autodiff as ad
    >>> ad.index_put(ad.zeros(3), (ad.tensor([1, 1]),), ad.tensor([2.0, 3.0]), accumulate=True)
    tensor([0., 5., 0.])
    """
    require_tensor("index_put", values)
    dtype = input.spec.dtype  # type: ignore[attr-defined]
    if values.spec.dtype != dtype:
        raise DTypeError("index_put", "the values have another dtype than the input", expected=dtype.name,
                         got=values.spec.dtype.name, fix="convert them with values.to(input.dtype)")
    x, arrays = _viewed(input, tuple([slice(None) if index is None else index for index in indices]))
    return _written(x, arrays, values, bool(accumulate))  # type: ignore[no-any-return]


def setitem(input: Any, index: Any, value: Any) -> None:
    """Do ``input[index] = value``.

    Args:
        input: any shape and dtype; changed in place.
        index: as in `getitem`.
        value: number or tensor, broadcast to the shape of ``input[index]`` and converted to the dtype of `input`.

    Raises:
        PositionError: for an index outside its dimension, too many indices or a mask of another shape.
        ShapeError: if `value` does not fit.
        InPlaceError: for a leaf that requires a gradient, while gradients are recorded.
        DTypeError: for anything that is no index, or a value that is neither a tensor nor a number.

    >>> import autodiff as ad
    >>> x = ad.zeros(3)
    >>> ad.setitem(x, slice(1, None), 5)
    >>> x
    tensor([0., 5., 5.])
    """
    if not is_tensor(value):
        number_dtype(value, "setitem")
        value = constant(value, input.spec.dtype)
    mask: Any = None if type(index) in _PLAIN or type(index) is tuple else _normal(index)
    if not value.spec.ndim and is_tensor(mask) and mask.spec.dtype.kind == "b":
        have, want = shape_of(mask), shape_of(input, "setitem")
        if have == want[:len(have)]:
            # A choice between elements, without looking at the values of the mask first.
            masked_fill_(input, reshape(mask, (*have, *(1,) * (len(want) - len(have)))), value)
            return
    target, arrays = _viewed(input, index)
    if target is not input:
        target.copied_view = input.copied_view
    if not arrays:
        lead = value.spec.ndim - target.spec.ndim
        if lead > 0 and shape_of(value)[:lead] == (1,) * lead:
            value = reshape(value, shape_of(value)[lead:])
        copy_(target, value)
        return
    value = cast(value, target.spec.dtype)
    if not target.spec.contiguous or _adjacent(arrays)[1] is not None:
        copy_(target, _written(target, arrays, value, False))
        return
    merged, places, at = _merged(target, arrays)
    merged.copied_view = target.copied_view
    source = contiguous(expand(value, (*shape_of(merged)[:at], *shape_of(places), *shape_of(merged)[at + 1:])))
    bind_into(merged, put_p, merged, places, source, dim=at)


def _setitem_samples() -> list[Sample]:
    x, rows, mask = spread(-1, 1, 3, 4), np.array([2, 0]), spread(-1, 1, 3, 4) > 0
    return [Sample(x, 1, 5.0), Sample(x, (slice(None), slice(1, 3)), spread(-2, 2, 3, 2)),
            Sample(x, ..., spread(-2, 2, 1, 1, 3, 4)),
            Sample(x, (0, 0), np.float32(3)), Sample(x, mask, 0.0), Sample(x, mask[:, 0], np.float32(7)),
            Sample(x, mask, spread(-2, 2, int(mask.sum()))), Sample(x, rows, spread(-2, 2, 4)),
            Sample(x, (rows, rows), spread(-2, 2, 2)),
            Sample(x, (slice(None), rows), spread(-2, 2, 3, 2)), Sample(x.T, (rows, slice(1, None)), 1.5),
            Sample(spread(-1, 1, 3, 2, 3), (rows, slice(None), rows), spread(-2, 2, 2, 2)),
            Sample(x, (None, 1), spread(-2, 2, 4)),
            Sample(np.arange(4), slice(1, 3), np.array([7, 8])), Sample(x.astype(np.float64), rows[:0], 1.0)]


def _setitem_errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [ErrorSample(Sample(x, 2, 1.0), PositionError, "dimension 0"),
            ErrorSample(Sample(x, 0, x), ShapeError, r"expected a shape that broadcasts to \(3,\); got \(2, 3\)"),
            ErrorSample(Sample(x, np.array([0]), x[:, :2]), ShapeError, r"\(2, 2\) to \(1, 3\)"),
            ErrorSample(Sample(x, 0, "1"), DTypeError, "neither a tensor nor a number"),
            ErrorSample(Sample(x, np.array([True] * 3), 1.0), PositionError, "mask")]


@composed(samples=_setitem_samples, errors=_setitem_errors, name="setitem")
def _set_in_copy(input: Any, index: Any, value: Any) -> Any:
    """Return a copy of `input` in which ``input[index] = value`` has been done: what the tests call."""
    copy = clone(input)
    setitem(copy, index, value)
    return copy


# ---- Masks -----------------------------------------------------------------------------------------------------------


@composed(samples=lambda: [Sample(spread(-1, 1, 3, 4) > 0), Sample(np.array([0.0, 2.0, 0.0], np.float32)),
                           Sample(np.zeros((2, 0), np.bool_)),
                           Sample(spread(-1, 1, 3, 4) > 0, as_tuple=True), Sample(np.array(True))],
          errors=lambda: [ErrorSample(Sample([1]), DTypeError, "not a tensor")])
def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """Return where the elements are not zero, in C order.

    Args:
        input: any shape and dtype.
        as_tuple: return one vector a dimension, ready to be an index, instead of a matrix.

    Returns:
        int64 (n, dimensions), or that many vectors (n,).

    >>> import autodiff as ad
    >>> ad.nonzero(ad.tensor([[0, 1], [2, 0]]))
    tensor([[0, 1],
            [1, 0]])
    """
    require_tensor("nonzero", input)
    if as_tuple:
        return tuple([from_array(column) for column in np.nonzero(np.atleast_1d(values(input)))])
    return from_array(np.argwhere(values(input)))


def argwhere(input: Any) -> Any:
    """Return ``nonzero(input)``: NumPy's name for it.

    >>> import autodiff as ad
    >>> ad.argwhere(ad.tensor([0, 1, 2]))
    tensor([[1],
            [2]])
    """
    return nonzero(input)


def _static_run(outs: list[Array], ins: list[Array], size: int, fill_value: int) -> None:
    found = np.argwhere(ins[0])[:size]
    outs[0][: len(found)] = found
    outs[0][len(found) :] = fill_value


nonzero_static_p = define(
    "nonzero_static",
    host=True,
    infer=lambda x, size, fill_value: Spec.of((size, x.ndim), INT64),
    run=_static_run,
    vjp=None,
    cost=lambda inputs, outputs, **_: Cost(inputs[0].size, moved(*inputs, *outputs)),
    samples=lambda: [Sample(spread(-1, 1, 3, 4) > 0, size=5), Sample(np.array([0, 2, 0, 1]), size=6, fill_value=9),
                     Sample(np.float32(3), size=2), Sample(spread(-1, 1, 3, 4).T, size=0)],
    errors=lambda: [ErrorSample(Sample("3", size=2), DTypeError, "not a tensor"),
                    ErrorSample(Sample(np.ones(2), size=-1), ValueRangeError, "0 or more; got -1")],
    call=lambda x, **options: nonzero_static(x, **options),
)


def nonzero_static(input: Any, *, size: int, fill_value: int = -1) -> Any:
    """Return where the first elements that are not zero are, in C order, as a tensor whose size is known before.

    Args:
        input: any shape and dtype.
        size: how many places there are in the result: further elements are left out.
        fill_value: what stands in the places behind the last element.

    Returns:
        int64 (size, dimensions).

    Raises:
        DTypeError: if `input` is no tensor.
        ValueRangeError: if `size` is negative.

    >>> import autodiff as ad
    >>> ad.nonzero_static(ad.tensor([[0, 1], [2, 0]]), size=3)
    tensor([[ 0,  1],
            [ 1,  0],
            [-1, -1]])
    """
    require_tensor("nonzero_static", input)
    if size < 0:
        raise ValueRangeError("nonzero_static", "the size is negative", expected="0 or more", got=str(size))
    return bind(nonzero_static_p, input, size=integer("nonzero_static", "size", size),
                fill_value=integer("nonzero_static", "fill_value", fill_value))


def _true_places(operation: str, input: Any, mask: Any) -> tuple[Any, Any]:
    """Return the flattened input, broadcast with a mask, and the positions where the mask holds.

    Raises:
        DTypeError: if the mask does not hold bools.
        ShapeError: if the shapes do not broadcast.
    """
    require_tensor(operation, input)
    require_bools(operation, "mask", mask)
    x, mask = broadcast_tensors(input, mask)
    return flatten(x), from_array(np.flatnonzero(values(mask)))


def _mask_errors(*more: Any) -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [ErrorSample(Sample(x, x, *more), DTypeError, "mask does not hold bools"),
            ErrorSample(Sample(x, np.ones(2, np.bool_), *more), ShapeError, "do not broadcast")]


@composed(samples=lambda: [Sample(spread(-1, 1, 3, 4), spread(-1, 1, 3, 4) > 0),
                           Sample(spread(-1, 1, 4, 3).T, np.array([True, False, True, True])),
                           Sample(spread(-1, 1, 2), np.array([[True], [False]])),
                           Sample(np.arange(3), np.zeros(3, np.bool_))],
          errors=_mask_errors)
def masked_select(input: TensorT, mask: Any) -> TensorT:
    """Return the elements where a mask holds, as a vector in C order.

    Args:
        input: any shape and dtype.
        mask: bools; both are broadcast.

    Raises:
        DTypeError: if `mask` does not hold bools.
        ShapeError: if the shapes do not broadcast.

    >>> import autodiff as ad
    >>> x = ad.tensor([1.0, -2.0, 3.0])
    >>> ad.masked_select(x, x > 0)
    tensor([1., 3.])
    """
    x, places = _true_places("masked_select", input, mask)
    return select_along(pick_p, x, 0, places)  # type: ignore[no-any-return]


@composed(samples=lambda: [Sample(spread(-1, 1, 3, 4), spread(-1, 1, 3, 4) > 0, spread(-2, 2, 3, 4)),
                           Sample(spread(-1, 1, 4, 3).T, np.array([True, False, True, False]), spread(-2, 2, 6))],
          errors=lambda: [*_mask_errors(np.ones(6, np.float32)), ErrorSample(
              Sample(np.ones(3, np.float32), np.ones(3, np.bool_), np.ones(2, np.float32)), ShapeError,
              "at least 3.*got 2")])
def masked_scatter(input: TensorT, mask: Any, source: Any) -> TensorT:
    """Return `input` with the elements where a mask holds replaced by those of `source`, in C order.

    Args:
        input: any shape.
        mask: bools, broadcast to the shape of `input`.
        source: at least as many elements as the mask holds; same dtype.

    Raises:
        DTypeError: if `mask` does not hold bools.
        ShapeError: if the shapes do not broadcast or `source` has too few elements.

    >>> import autodiff as ad
    >>> ad.masked_scatter(ad.zeros(3), ad.tensor([True, False, True]), ad.tensor([5.0, 6.0]))
    tensor([5., 0., 6.])
    """
    x, places = _true_places("masked_scatter", input, mask)
    count = places.spec.size
    if source.spec.size < count:
        raise ShapeError("masked_scatter", "the source has too few elements", expected=f"at least {count}",
                         got=str(source.spec.size))
    taken = contiguous(getitem(flatten(source), slice(count)))
    written = bind(put_p, contiguous(x), places, cast(taken, x.spec.dtype), dim=0)
    return reshape(written, shape_of(broadcast_tensors(input, mask)[0]))  # type: ignore[no-any-return]
