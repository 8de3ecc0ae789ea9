"""Sorting and selection along the middle axis of (A, K, B), on integer keys.

A number of any type becomes an unsigned integer, its key, in the same order: all NaN are one key above the others, and
-0 is 0. Rows are sorted by the bytes of the keys, the lowest first (radix sort, Knuth, The Art of Computer Programming
3, 5.2.5), short ones by insertion; both keep the order of equal numbers. Selection goes from the highest digit to the
lowest, and keeps the keys that have the digit of the one that is sought.

All kernels have the scratch `keys` (parts, W + 1, K), uint32 for numbers of up to four bytes, otherwise uint64. W is 1
with B = 1 and otherwise `COLUMNS`: so many columns are read, and written, side by side. Blocks of columns are shared
among the parts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload as _overload

from autodiff_kernels.memory import forward, load, pointer, stack, store
from autodiff_kernels.parts import share

Array = np.ndarray[Any, np.dtype[Any]]

overload: Any = _overload  # its type would lose the types of the functions it is put on
COMPILED = {"error_model": "numpy", "forceinline": True}

COLUMNS = 16  # columns that are read and written side by side: a cache line of float32
SHORT = 40  # numbers that are sorted by insertion
BYTES = 256  # values of a digit of the radix sort
DIGITS = 2048  # values of a digit of the selection: in the first of a float32 are sign, exponent and two more bits
GROUPS, SEVERAL = 32, 16  # groups of a row whose least keys bound the least keys of the row; up to so many of them


# ---- Keys ------------------------------------------------------------------------------------------------------------


def single_key(value: Any, like: Array) -> Any:
    """Return the key of a float32."""
    pattern = np.float32(value).view(np.uint32)
    size = pattern & np.uint32(0x7FFFFFFF)
    ordered = np.uint32(np.uint32(0x80000000) + size) if size == pattern else np.uint32(np.uint32(0x80000000) - size)
    return np.uint32(0xFFFFFFFF) if size > np.uint32(0x7F800000) else ordered


def double_key(value: Any, like: Array) -> Any:
    """Return the key of a float64."""
    pattern = np.float64(value).view(np.uint64)
    size = pattern & np.uint64(0x7FFFFFFFFFFFFFFF)
    sign = np.uint64(0x8000000000000000)
    ordered = np.uint64(sign + size) if size == pattern else np.uint64(sign - size)
    return np.uint64(0xFFFFFFFFFFFFFFFF) if size > np.uint64(0x7FF0000000000000) else ordered


def signed_key(value: Any, like: Array) -> Any:
    """Return the key of a signed integer."""
    one = like.dtype.type(1)
    return like.dtype.type(value) ^ like.dtype.type(one << like.dtype.type(8 * like.itemsize - 1))


def unsigned_key(value: Any, like: Array) -> Any:
    """Return the key of an unsigned integer or a truth value."""
    return like.dtype.type(value)


def key_of(value: Any, like: Array) -> Any:
    """Return the key of a number, of the dtype of `like`."""


@overload(key_of, jit_options=COMPILED, strict=False)
def _key_of(value: Any, like: Any) -> Any:
    if isinstance(value, types.Float):
        return single_key if value.bitwidth == 32 else double_key
    return signed_key if isinstance(value, types.Integer) and value.signed else unsigned_key


@njit(error_model="numpy")
def fill_keys(keys: Array, x: Array, a: int, b: int, width: int, descending: int) -> None:
    """Write the keys of `width` columns from b on, a column a row; the order of `descending` keys is the opposite."""
    zero = keys.dtype.type(0)
    turn = keys.dtype.type(~zero) if descending else zero
    K = x.shape[1]
    if x.shape[2] == 1:
        source, target = x[a].reshape(K), keys[0]
        for k in range(K):
            target[k] = key_of(source[k], keys) ^ turn
        return
    for k in range(K):
        row = x[a, k]
        for c in range(width):
            keys[c, k] = key_of(row[b + c], keys) ^ turn


# ---- Rows ------------------------------------------------------------------------------------------------------------


@njit(error_model="numpy")
def sort_keys(keys: Any, n: int) -> None:
    """Sort the n keys at a pointer, by insertion."""
    for i in range(1, n):
        key = load(forward(keys, i))
        j = i
        while j > 0 and load(forward(keys, j - 1)) > key:
            store(forward(keys, j), load(forward(keys, j - 1)))
            j -= 1
        store(forward(keys, j), key)


@njit(error_model="numpy")
def insertion_sort(keys: Array, places: Array, n: int) -> None:
    """Sort n keys and their places, by insertion."""
    for i in range(1, n):
        key, place = keys[i], places[i]
        j = i
        while j > 0 and keys[j - 1] > key:
            keys[j], places[j] = keys[j - 1], places[j - 1]
            j -= 1
        keys[j], places[j] = key, place


@njit(error_model="numpy")
def sort_places(places: Array, keys: Array, spare_places: Array, spare_keys: Array, n: int) -> None:
    """Sort n keys and their places; stable. The spare arrays are scratch."""
    if n <= SHORT:
        insertion_sort(keys, places, n)
        return
    digits = keys.itemsize
    mask = keys.dtype.type(BYTES - 1)
    counts = stack(np.int64(0), 2048)
    for i in range(digits * BYTES):
        store(forward(counts, i), 0)
    for i in range(n):
        key = keys[i]
        for d in range(digits):
            here = forward(counts, d * BYTES + np.int64((key >> keys.dtype.type(8 * d)) & mask))
            store(here, load(here) + 1)
    moved = False
    for d in range(digits):
        shift = keys.dtype.type(8 * d)
        row = forward(counts, d * BYTES)
        if load(forward(row, np.int64((keys[0] >> shift) & mask))) == n:
            continue  # all keys agree in this byte
        total = 0
        for i in range(BYTES):
            count = load(forward(row, i))
            store(forward(row, i), total)
            total += count
        source, target = (spare_keys, keys) if moved else (keys, spare_keys)
        source_places, target_places = (spare_places, places) if moved else (places, spare_places)
        for i in range(n):
            key = source[i]
            here = forward(row, np.int64((key >> shift) & mask))
            p = load(here)
            store(here, p + 1)
            target[p], target_places[p] = key, source_places[i]
        moved = not moved
    if moved:
        for i in range(n):
            keys[i], places[i] = spare_keys[i], spare_places[i]


@njit(error_model="numpy")
def key_at(keys: Array, left: Array, n: int, rank: int) -> tuple[Any, int]:
    """Return the key at a rank, counted from 0, of n keys, and how many keys are smaller; `left` (n,) is scratch."""
    counts = stack(np.int64(0), 2048)
    mask = keys.dtype.type(DIGITS - 1)
    shift = 8 * keys.itemsize
    source, below = keys, 0
    while n > SHORT and shift > 0:
        shift = max(shift - 11, 0)
        move = keys.dtype.type(shift)
        for i in range(DIGITS):
            store(forward(counts, i), 0)
        for i in range(n):
            here = forward(counts, np.int64((source[i] >> move) & mask))
            store(here, load(here) + 1)
        digit, before = 0, 0
        count = load(counts)
        while before + count <= rank:
            before += count
            digit += 1
            count = load(forward(counts, digit))
        sought = keys.dtype.type(digit)
        m = 0
        for i in range(n):
            key = source[i]
            left[m] = key
            m += 1 if (key >> move) & mask == sought else 0
        source, n = left, m
        below += before
        rank -= before
    if shift == 0:
        return source[0], below
    for i in range(n):
        left[i] = source[i]
    sort_keys(pointer(left, 0), n)
    while rank > 0 and left[rank - 1] == left[rank]:
        rank -= 1
    return left[rank], below + rank


@njit(error_model="numpy")
def bound(keys: Array, n: int, count: int) -> Any:
    """Return a key that at least `count` <= `SEVERAL` of n keys do not exceed, and few others."""
    least = stack(keys, 32)  # of every 32nd key
    highest = keys.dtype.type(~keys.dtype.type(0))
    for j in range(GROUPS):
        store(forward(least, j), highest)
    for i in range(0, n - GROUPS + 1, GROUPS):
        for j in range(GROUPS):
            here = forward(least, j)
            store(here, min(load(here), keys[i + j]))
    sort_keys(least, GROUPS)
    return load(forward(least, count - 1))


# ---- Kernels ---------------------------------------------------------------------------------------------------------


@njit(error_model="numpy")
def block(unit: int, B: int, W: int) -> tuple[int, int, int]:
    """Return a, the first column and the number of columns of a block of columns."""
    blocks = (B + W - 1) // W
    b = unit % blocks * W
    return unit // blocks, b, min(W, B - b)


@njit(error_model="numpy")
def write_places(out: Array, places: Array, a: int, b: int, width: int) -> None:
    """Write the places of a block of columns, a column a row, into the columns from b on."""
    for k in range(out.shape[1]):
        for c in range(width):
            out[a, k, b + c] = places[c, k]


@njit(cache=True, nogil=True, error_model="numpy")
def argsort(out: Array, keys: Array, places: Array, x: Array, descending: int, part: int, parts: int) -> None:
    """out[a, :, b] = the places that sort x[a, :, b]; equal numbers keep their order.

    Args:
        out: (A, K, B), out; int64.
        keys: scratch, see above.
        places: (parts, W + 1, K), scratch; int32, or int64 for 2**31 places or more.
        x: (A, K, B), in; any type.
        descending: 0, or 1 for the largest first.
    """
    A, K, B = x.shape
    W = keys.shape[1] - 1
    low, high = share(A * ((B + W - 1) // W), part, parts)
    for unit in range(low, high):
        a, b, width = block(unit, B, W)
        fill_keys(keys[part], x, a, b, width, descending)
        for c in range(width):
            for k in range(K):
                places[part, c, k] = k
            sort_places(places[part, c], keys[part, c], places[part, W], keys[part, W], K)
        write_places(out, places[part], a, b, width)


@njit(cache=True, nogil=True, error_model="numpy")
def first_places(
    out: Array, keys: Array, places: Array, x: Array, descending: int, part: int, parts: int
) -> None:
    """out[a, :, b] = the first places of those that sort x[a, :, b].

    Args:
        out: (A, count, B) with 1 <= count <= K, out; int64.
        keys, places, x, descending: as for `argsort`.
    """
    A, K, B = x.shape
    W, count = keys.shape[1] - 1, out.shape[1]
    low, high = share(A * ((B + W - 1) // W), part, parts)
    for unit in range(low, high):
        a, b, width = block(unit, B, W)
        fill_keys(keys[part], x, a, b, width, descending)
        for c in range(width):
            row, place = keys[part, c], places[part, c]
            limit = bound(row, K, count) if count <= SEVERAL else key_at(row, keys[part, W], K, count - 1)[0]
            m = 0
            for k in range(K):
                key = row[k]
                row[m], place[m] = key, k  # m <= k: what is overwritten has been read
                m += 1 if key <= limit else 0
            sort_places(place, row, places[part, W], keys[part, W], m)
        write_places(out, places[part], a, b, width)


@njit(cache=True, nogil=True, error_model="numpy")
def place_at(out: Array, keys: Array, x: Array, rank: int, nan: int, part: int, parts: int) -> None:
    """out[a, b] = the place of x[a, :, b] that stands at a rank, counted from 0, of the order that `argsort` gives.

    Args:
        out: (A, B), out; int64.
        keys: scratch, see above.
        x: (A, K, B), in; any type.
        rank: from 0 to K - 1.
        nan: 1 if the first NaN of a row takes the place of that number; x holds floats.
    """
    A, K, B = x.shape
    W = keys.shape[1] - 1
    highest = keys.dtype.type(~keys.dtype.type(0))
    low, high = share(A * ((B + W - 1) // W), part, parts)
    for unit in range(low, high):
        a, b, width = block(unit, B, W)
        fill_keys(keys[part], x, a, b, width, 0)
        for c in range(width):
            row = keys[part, c]
            broken = 0
            if nan:
                for k in range(K):
                    broken += row[k] == highest
            sought, below = (highest, rank) if broken else key_at(row, keys[part, W], K, rank)
            before = rank - below  # numbers that equal it and stand before it
            k = 0
            while row[k] != sought or before > 0:
                before -= row[k] == sought
                k += 1
            out[a, b + c] = k
