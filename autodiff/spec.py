"""What is known of a tensor without its numbers: `Spec` (shape, dtype, strides); what an operation costs: `Cost`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from ctypes import c_int64
from functools import partial
from typing import Any, NamedTuple
from weakref import ref

import numpy as np

import autodiff_kernels as kernels

Array = np.ndarray[Any, np.dtype[Any]]
DType = np.dtype[Any]
Shape = tuple[int, ...]

_HEAD = object.__basicsize__  # bytes that every Python object begins with
_LEAST_LIMIT = 8192
_limit = _LEAST_LIMIT  # entries of `_table` after which those that nobody uses are dropped
_table: dict[tuple[Shape, tuple[int, ...], DType], Spec] = {}
_by_array: dict[tuple[Shape, tuple[int, ...], DType], Spec] = {}


def contiguous_strides(shape: Sequence[int], order: Sequence[int] | None = None) -> tuple[int, ...]:
    """Return the element strides of a dense array whose dimensions lie in memory in `order`, outermost first.

    >>> contiguous_strides((2, 3, 4))
    (12, 4, 1)
    >>> contiguous_strides((2, 3, 4), order=(0, 2, 1))
    (12, 1, 3)
    """
    strides = [0] * len(shape)
    step = 1
    for axis in reversed(range(len(shape)) if order is None else order):
        strides[axis] = step
        step *= max(shape[axis], 1)
    return tuple(strides)


def channels_last_order(ndim: int) -> tuple[int, ...]:
    """Return the memory order of (N, C, ...) kept channels-last: N, ..., C."""
    return (0, *range(2, ndim), 1)


class Spec:
    """Shape, dtype and element strides of an array.

    Specs are interned: `Spec.of` and `spec_of` return the same object for the same fields, so operations look their
    plans up by identity. Those that nobody holds any more are forgotten now and then.

    Attributes:
        shape: sizes.
        dtype: NumPy dtype.
        strides: in elements. Dimensions of size 1 do not count: dense arrays have canonical strides.
        size: number of elements.
        nbytes: `size` times the item size.
        floating: whether the dtype is float32 or float64.
        contiguous: whether the elements lie in C order without gaps.
        order: dimensions as they lie in memory, outermost first, when the array is dense; None when it has gaps.
        empty: takes an uninitialised array of this spec (dense specs; others are taken in C order).
    """

    __slots__ = (
        "__weakref__",
        "contiguous",
        "dtype",
        "empty",
        "floating",
        "nbytes",
        "ndim",
        "order",
        "shape",
        "size",
        "strides",
    )

    empty: Callable[[], Array]

    def __init__(self, shape: Shape, dtype: DType, strides: tuple[int, ...]) -> None:
        self.shape = shape
        self.dtype = dtype
        self.strides = strides
        self.ndim = len(shape)
        self.size = math.prod(shape)
        self.nbytes = self.size * dtype.itemsize
        self.floating = dtype.kind == "f"
        self.contiguous = strides == contiguous_strides(shape)
        self.order = _memory_order(shape, strides)
        if self.size == 0:
            # Nothing can be written there, so one array serves all: scratch is often empty.
            nothing = np.empty(shape, dtype)
            self.empty = lambda: nothing
        elif self.contiguous or self.order is None:
            self.empty = partial(np.empty, shape, dtype)
        else:
            self.empty = partial(_take, tuple(shape[axis] for axis in self.order), dtype, tuple(np.argsort(self.order)))

    @staticmethod
    def of(shape: Sequence[int], dtype: Any = np.float32, order: Sequence[int] | None = None) -> Spec:
        """Return the spec of a dense array: C order, or the dimensions in memory `order`, outermost first."""
        return Spec.strided(tuple(shape), np.dtype(dtype), contiguous_strides(shape, order))

    @staticmethod
    def strided(shape: Shape, dtype: DType, strides: tuple[int, ...]) -> Spec:
        """Return the interned spec with these element strides."""
        key = (shape, strides, dtype)
        spec = _table.get(key)
        if spec is None:
            order = _memory_order(shape, strides)
            if order is not None:
                dense = contiguous_strides(shape)
                same = all(s == d for s, d, size in zip(strides, dense, shape, strict=True) if size > 1)
                strides = dense if same or 0 in shape else contiguous_strides(shape, order)
            if len(_table) >= _limit:
                _forget_unused()
            spec = _table.get((shape, strides, dtype)) or Spec(shape, dtype, strides)
            _table[(shape, strides, dtype)] = _table[key] = spec
        return spec

    def like(self, shape: Sequence[int] | None = None, dtype: Any = None) -> Spec:
        """Return a dense spec with this one's dtype and, where the rank allows, memory order."""
        shape = self.shape if shape is None else tuple(shape)
        return Spec.of(shape, dtype or self.dtype, self.lying if len(shape) == self.ndim else None)

    @property
    def lying(self) -> tuple[int, ...] | None:
        """Dimensions as they lie in memory, with or without gaps between; None where elements share memory."""
        if self.order is not None:
            return self.order
        if any(stride <= 0 for stride, size in zip(self.strides, self.shape, strict=True) if size > 1):
            return None
        return tuple(sorted(range(self.ndim), key=lambda axis: -self.strides[axis]))

    @property
    def channels_last(self) -> bool:
        """Whether (N, C, ...) lies in memory as N, ..., C without gaps."""
        if self.ndim < 3:
            return False
        want = contiguous_strides(self.shape, channels_last_order(self.ndim))
        return all(s == w for s, w, size in zip(self.strides, want, self.shape, strict=True) if size > 1)

    @property
    def layout(self) -> str:
        """``"contiguous"``, ``"channels_last"`` or ``"strided"``."""
        return "contiguous" if self.contiguous else "channels_last" if self.channels_last else "strided"

    def __repr__(self) -> str:
        suffix = "" if self.contiguous else f" {self.layout}"
        return f"{self.dtype.name}[{','.join(map(str, self.shape))}]{suffix}"


def _forget_unused() -> None:
    """Drop the specs that only the tables hold. Others stay: two equal ones would have plans of their own."""
    global _limit
    weak = [ref(spec) for spec in set(_table.values())]  # `set` takes them at once: other threads may add some
    _table.clear()
    _by_array.clear()
    for found in weak:
        if (spec := found()) is not None:
            _table[spec.shape, spec.strides, spec.dtype] = spec
    _limit = max(_LEAST_LIMIT, 2 * len(_table))


def _memory_order(shape: Shape, strides: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the dimensions from outermost to innermost when the memory has neither gaps nor overlaps, else None."""
    if 0 in shape:
        return tuple(range(len(shape)))
    # Size-1 dimensions have no place of their own in memory: they stay in front of their right-hand neighbour.
    wide = sorted((axis for axis in range(len(shape)) if shape[axis] > 1), key=lambda axis: -strides[axis])
    step = 1
    for axis in reversed(wide):
        if strides[axis] != step:
            return None
        step *= shape[axis]
    if wide == sorted(wide):
        return tuple(range(len(shape)))
    order = list(wide)
    for axis in reversed(range(len(shape))):
        if shape[axis] == 1:
            following = [order.index(other) for other in range(axis + 1, len(shape)) if other in order]
            order.insert(following[0] if following else len(order), axis)
    return tuple(order)


def _take(shape: Shape, dtype: DType, axes: tuple[int, ...]) -> Array:
    return np.empty(shape, dtype).transpose(axes)


def spec_of(array: Array) -> Spec:
    """Return the interned spec of an array."""
    key = (array.shape, array.strides, array.dtype)
    spec = _by_array.get(key)
    if spec is None:
        itemsize = array.dtype.itemsize
        spec = Spec.strided(array.shape, array.dtype, tuple(stride // itemsize for stride in array.strides))
        _by_array[key] = spec
    return spec


def address_of(array: Array) -> int:
    """Return where an array's first element lies in memory.

    It is the word behind the object's head (`PyArrayObject_fields` in NumPy's C API). `__array_interface__` makes a
    dictionary, strings and tuples around it, which takes eight times as long.
    """
    return c_int64.from_address(id(array) + _HEAD).value


def addresses_of(arrays: Sequence[Array]) -> Array:
    """Return where the first elements of arrays lie, as `address_of` does for one.

    The items of a tuple stand behind its own fields, as words with the places of the objects (`PyTupleObject`).
    """
    held = tuple(arrays)
    words = np.empty(len(held), np.int64)
    kernels.update.follow(words, id(held) + tuple.__basicsize__, _HEAD, 0, 1)
    return words


class Cost(NamedTuple):
    """What an operation must do at least: floating-point operations, and bytes read and written."""

    flops: int
    bytes: int

    def __add__(self, other: object) -> Cost:
        if not isinstance(other, Cost):
            return NotImplemented
        return Cost(self.flops + other.flops, self.bytes + other.bytes)


def moved(*specs: Spec) -> int:
    """Return the bytes of all given specs: what an operation moves that touches each place in memory once.

    The elements of an expanded dimension share their place.
    """
    return sum(
        math.prod(size for size, stride in zip(spec.shape, spec.strides, strict=True) if stride) * spec.dtype.itemsize
        for spec in specs
    )
