"""Running extremes along the middle axis of (A, K, B), with the places they stand at; NaN wins, and stays.

Of equal extremes the last one counts. Rows, B = 1, are gone through in blocks: one without a new extreme, as most are,
is only filled. Of columns side by side each row is made of the one before it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.memory import forward, load, pointer, store
from autodiff_kernels.parts import share

Array = np.ndarray[Any, np.dtype[Any]]

BLOCK = 32  # numbers of a row that are compared with the extreme so far at once
COLUMNS = 256  # neighbouring columns that are gone through together


@njit(error_model="numpy", forceinline=True)
def takes_over(x: Any, best: Any, largest: bool) -> bool:
    """Return whether x is the extreme now: also if it equals the one so far, or is NaN."""
    return bool((x >= best if largest else x <= best) | (x != x))


@njit(error_model="numpy", forceinline=True)
def extremes_of_row(out: Array, places: Array, x: Array, largest: bool) -> None:
    """Write the running extremes of a row of at least one number, and their places."""
    n, best, place = x.shape[0], x[0], 0
    whole = n - n % BLOCK
    for start in range(0, whole, BLOCK):
        numbers, found, at = pointer(x, start), pointer(out, start), pointer(places, start)
        new = False
        for i in range(BLOCK):
            new |= takes_over(load(forward(numbers, i)), best, largest)
        if new:
            for i in range(BLOCK):
                number = load(forward(numbers, i))
                if takes_over(number, best, largest):
                    best, place = number, start + i
                store(forward(found, i), best)
                store(forward(at, i), place)
        else:
            for i in range(BLOCK):
                store(forward(found, i), best)
            for i in range(BLOCK):
                store(forward(at, i), place)
    for i in range(whole, n):
        if takes_over(x[i], best, largest):
            best, place = x[i], i
        out[i], places[i] = best, place


@njit(error_model="numpy", forceinline=True)
def extremes_of_columns(out: Array, places: Array, x: Array, start: int, stop: int, largest: bool) -> None:
    """Write the running extremes of the columns from start to stop of (K, B), K > 0, and their places."""
    for b in range(start, stop):
        out[0, b], places[0, b] = x[0, b], 0
    for k in range(1, x.shape[0]):
        numbers, before, places_before = x[k, start:stop], out[k - 1, start:stop], places[k - 1, start:stop]
        found, at = out[k, start:stop], places[k, start:stop]
        for b in range(numbers.shape[0]):
            new = takes_over(numbers[b], before[b], largest)
            found[b] = numbers[b] if new else before[b]
            at[b] = k if new else places_before[b]


@njit(error_model="numpy", forceinline=True)
def extremes(out: Array, places: Array, x: Array, largest: bool, part: int, parts: int) -> None:
    """Do what `cummax` and `cummin` do."""
    A, K, B = x.shape
    if K == 0:
        return
    tiles = (B + COLUMNS - 1) // COLUMNS
    low, high = share(A * tiles, part, parts)
    for unit in range(low, high):
        a = unit // tiles
        if B == 1:
            extremes_of_row(out[a].reshape(K), places[a].reshape(K), x[a].reshape(K), largest)
        else:
            start = unit % tiles * COLUMNS
            extremes_of_columns(out[a], places[a], x[a], start, min(start + COLUMNS, B), largest)


@njit(cache=True, nogil=True, error_model="numpy")
def cummax(out: Array, places: Array, x: Array, part: int, parts: int) -> None:
    """out[a, k, b] = the largest of x[a, j, b] over j <= k, and places[a, k, b] = the last such j.

    Args:
        out: (A, K, B), out; the type of x. Tiles of `COLUMNS` columns are shared among the parts.
        places: (A, K, B), out; int64.
        x: (A, K, B), in; any number type.
    """
    extremes(out, places, x, True, part, parts)


@njit(cache=True, nogil=True, error_model="numpy")
def cummin(out: Array, places: Array, x: Array, part: int, parts: int) -> None:
    """out[a, k, b] = the smallest of x[a, j, b] over j <= k, and places[a, k, b] = the last such j.

    Args:
        out: (A, K, B), out; the type of x. Tiles of `COLUMNS` columns are shared among the parts.
        places: (A, K, B), out; int64.
        x: (A, K, B), in; any number type.
    """
    extremes(out, places, x, False, part, parts)
