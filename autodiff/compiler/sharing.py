"""Which arrays lie on the same memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from autodiff.spec import Array, address_of

_EFFORT = 1000  # for strides whose common places are hard to find; what is not decided by then counts as shared


def owner_of(array: Array) -> int:
    """Return a number for the memory of an array, the same for all arrays on it."""
    owner: Any = array
    base = array.base
    while base is not None:
        owner, base = base, getattr(base, "base", None)
    return id(owner)


def overlap(one: Array, other: Array) -> bool:
    """Return whether two arrays have a place in common: columns of one array that take turns have none."""
    return np.may_share_memory(one, other, max_work=_EFFORT)  # type: ignore[arg-type]  # its stub knows no effort in between


def byte_range(array: Array) -> tuple[int, int]:
    """Return the addresses from the lowest byte of an array to behind the highest."""
    low, high = np.lib.array_utils.byte_bounds(array)
    return int(low), int(high) if array.size else int(low)


def elsewhere(array: Array) -> Array:
    """Return an array of the same layout on memory of its own, which holds nothing."""
    low, high = byte_range(array)
    return np.ndarray(array.shape, array.dtype, np.empty(high - low, np.uint8), address_of(array) - low, array.strides)


def put_aside(arrays: list[Array], wholes: Mapping[int, Array]) -> dict[int, Array]:
    """Put those of `arrays` that are parts of `wholes` onto copies of these.

    Args:
        arrays: changed in place.
        wholes: arrays by the owners of their memory.

    Returns:
        The copies that were needed, by the same numbers.
    """
    copies: dict[int, Array] = {}
    for number, array in enumerate(arrays):
        owner = owner_of(array)
        whole = wholes.get(owner)
        if whole is not None:
            if owner not in copies:
                copies[owner] = elsewhere(whole)
                copies[owner][...] = whole
            start = address_of(array) - byte_range(whole)[0]
            arrays[number] = np.ndarray(array.shape, array.dtype, copies[owner].base, start, array.strides)
    return copies
