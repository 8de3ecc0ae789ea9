"""Square brackets: reading and writing a tensor through integers, slices, None, ... , masks and index tensors.

Integers, slices and None give views. What index tensors pick is copied by `picking.pick`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, PositionError, ValueRangeError
from autodiff.ops.elementwise import spread
from autodiff.ops.host import from_array, values
from autodiff.ops.promotion import cast, is_tensor
from autodiff.ops.structural import alias, reshape, slice_p
from autodiff.primitive import ErrorSample, Sample, composed
from autodiff.spec import Shape

__all__ = ["getitem"]

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
    items = index if type(index) is tuple else (index,)
    items = tuple([item if type(item) in _PLAIN else _normal(item) for item in items])
    used = 0
    ellipses = 0
    for item in items:
        if item is Ellipsis:
            ellipses += 1
        elif item is not None and type(item) is not bool:
            used += item.spec.ndim if is_tensor(item) and item.spec.dtype.kind == "b" else 1
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


_PLAIN = (int, slice, type(None), type(Ellipsis), bool)


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
    try:
        start, stop, step = item.indices(n)
    except (TypeError, ValueError):
        raise DTypeError("getitem", "the bounds of a slice are integers, its step is not 0", got=str(item)) from None
    if step < 0:
        raise ValueRangeError("getitem", "the step of a slice must be positive", got=str(step), fix="use flip(x, dim)")
    count = max(0, -((start - stop) // step))
    return (start, count, step) if count else (0, 0, 1)


def _columns(mask: Any, shape: Shape, axis: int) -> list[Any]:
    """Return the places where a mask is true, one index tensor a dimension."""
    have, want = mask.spec.shape, shape[axis:axis + mask.spec.ndim]
    if have != want:
        raise PositionError("getitem", "the mask has another shape than the dimensions it stands for",
                            expected=str(want), got=str(have))
    return [from_array(column) for column in np.nonzero(values(mask))]


def _getitem_samples() -> list[Sample]:
    x = spread(-1, 1, 3, 4, 5)
    image = spread(-1, 1, 2, 3, 3, 4).transpose(0, 3, 1, 2)
    basic: list[Any] = [1, -1, slice(1, None), slice(None, None, 2), slice(-2, 9), slice(2, 1), (0, slice(1, 3)),
                        (..., -1),
                        (slice(None), None, 2), None, ..., (2, 3, 4), (1, ..., None), (),
                        (slice(1, 2), slice(0, 4, 3), slice(None))]
    return [*(Sample(x, index) for index in basic), Sample(image, (slice(None), slice(1, 3))), Sample(image, 1),
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
            ErrorSample(Sample(x[:0], 0), PositionError, "not empty")]


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

    >>> import autodiff as ad
    >>> ad.getitem(ad.tensor([[1, 2], [3, 4]]), (slice(None), 0))
    tensor([1, 3])
    """
    x: Any = input
    slices, shape, arrays = parse(x.spec.shape, index)
    if slices is not None:
        x = bind(slice_p, x, index=slices)
    if shape is not None:
        x = reshape(x, shape)
    elif x is input and not arrays:
        x = alias(x)
    return x  # type: ignore[no-any-return]
