"""The direction of L-BFGS, with two readings of its history instead of four.

The two loops of Nocedal & Wright's algorithm 7.4 go through the pairs (s_i, y_i) one after the other: each takes a
scalar product with the direction so far and changes it. But all that these products are made of is products among the
s, the y and the gradient g, and the direction is a sum of them with weights. So the products are taken first, all in
one reading of the history (`products`), the loops run on numbers (`two_loops`), and a second reading adds up
(`combination`): Byrd, Nocedal & Schnabel 1994, "Representations of quasi-Newton matrices and their use in limited
memory methods", section 3; Chen, Wang & Zhou 2014, "Large-scale L-BFGS using MapReduce". Products, weights and the
sum are of float64. A reading goes from one vector to the next after every block, too soon for a processor that fetches
ahead of what it sees being read: so the block of the next vector is fetched while this one is worked on.

A history of n pairs is a table, int64 (2 n + 1,): the addresses of y_0 to y_{n-1}, of s_0 to s_{n-1}, the newest last,
and of g; all contiguous, and of one length and dtype.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.maths import fma
from autodiff_kernels.memory import pointer, pointers_at
from autodiff_kernels.parts import share, share_of_elements
from autodiff_kernels.vectors import fetch, read, rounded, sum_of, whole, widen, width, write, zeros

Array = np.ndarray[Any, np.dtype[Any]]

BLOCK = 4096  # numbers of a vector that are worked on while what all vectors meet stays in the nearest caches


@njit(error_model="numpy", forceinline=True)
def row_dots(x: Any, after_x: Any, z: Any, after_z: Any, g: Any, y: Any, n: int) -> Any:
    """Return the sums of x * g, z * g, x * y and z * y over n numbers; products and sums in float64."""
    like = zeros(x, 1, 2)
    xg, zg, xy, zy = widen(like), widen(like), widen(like), widen(like)
    for i in range(0, n, width(like)):
        left = n - i
        fetch(after_x, i, like)
        fetch(after_z, i, like)
        first, second = widen(read(x, i, like, left, 0)), widen(read(z, i, like, left, 0))
        with_g, with_y = widen(read(g, i, like, left, 0)), widen(read(y, i, like, left, 0))
        xg, zg = fma(first, with_g, xg), fma(second, with_g, zg)
        xy, zy = fma(first, with_y, xy), fma(second, with_y, zy)
    return sum_of(xg), sum_of(zg), sum_of(xy), sum_of(zy)


@njit(cache=True, nogil=True, error_model="numpy")
def products(partial: Array, table: Array, like: Array, part: int, parts: int) -> None:
    """partial[b, 0, k] = v_k . g and partial[b, 1, k] = v_k . y_{n-1} over the b-th `BLOCK` numbers.

    Args:
        partial: (ceil(N / `BLOCK`), 2, 2 n), out; float64. Blocks are shared among the parts.
        table: (2 n + 1,), in; the history, of which v_k is the k-th vector.
        like: (N,) of the history's dtype, float32 or float64 (its elements are not touched).
    """
    blocks, pairs = partial.shape[0], partial.shape[2] // 2
    low, high = share(blocks, part, parts)
    for b in range(low, high):
        begin = b * BLOCK
        count = min(BLOCK, like.shape[0] - begin)
        (g,) = pointers_at(table[2 * pairs :], like, begin, 1)
        (newest,) = pointers_at(table[pairs - 1 :], like, begin, 1)
        for k in range(pairs):
            y, after_y = pointers_at(table[k:], like, begin, 2)
            s, after_s = pointers_at(table[pairs + k :], like, begin, 2)
            (
                partial[b, 0, k], partial[b, 0, pairs + k], partial[b, 1, k], partial[b, 1, pairs + k]
            ) = row_dots(y, after_y, s, after_s, g, newest, count)


@njit(cache=True, nogil=True, error_model="numpy")
def two_loops(weights: Array, products: Array, known: Array, sums: Array, part: int, parts: int) -> None:
    """weights: of the vectors of the history, whose sum is the direction -H g.

    H is the estimate of the inverse Hessian, which starts from a multiple of the identity, by
    ``s . y / y . y`` of the newest pair. One part does it.

    Args:
        weights: (2 n + 1,), out; float64.
        products: (2, n, n), out; float64: s_i . y_j and y_i . y_j for i <= j, 0 below.
        known: (2, n - 1, n - 1), in; float64: the same without the newest pair.
        sums: (2, 2 n), in; float64: the products of the y and the s with g, and with the newest y.
    """
    n = products.shape[1]
    low, high = share(1, part, parts)
    for _ in range(low, high):
        for i in range(n):
            for j in range(n - 1):
                products[0, i, j] = known[0, i, j] if i <= j else 0.0
                products[1, i, j] = known[1, i, j] if i <= j else 0.0
            products[0, i, n - 1] = sums[1, n + i]
            products[1, i, n - 1] = sums[1, i]
        scale = products[0, n - 1, n - 1] / products[1, n - 1, n - 1]
        # q = -g - sum of a_i y_i; a_i = s_i . q / s_i . y_i, from the newest pair on.
        for i in range(n - 1, -1, -1):
            product = -sums[0, n + i]
            for j in range(i + 1, n):
                product += weights[j] * products[0, i, j]
            weights[i] = -product / products[0, i, i]
        # r = scale q + sum of (a_i - b_i) s_i; b_i = y_i . r / s_i . y_i, from the oldest pair on.
        for i in range(n):
            product = -sums[0, i]
            for j in range(n):
                product += weights[j] * (products[1, i, j] if i <= j else products[1, j, i])
            product *= scale
            for j in range(i):
                product += weights[n + j] * products[0, j, i]
            weights[n + i] = -weights[i] - product / products[0, i, i]
        for i in range(n):
            weights[i] *= scale
        weights[2 * n] = -scale


@njit(error_model="numpy", forceinline=True)
def add_pair_in(
    total: Any, x: Any, after_x: Any, a: float, y: Any, after_y: Any, b: float, start: int, stop: int, like: Any
) -> None:
    """Add a x + b y to the total in float64."""
    for i in range(start, stop, width(like)):
        left = stop - i
        fetch(after_x, i, like)
        fetch(after_y, i, like)
        value = fma(widen(read(x, i, like, left, 0)), a, read(total, i, like, left, 0))
        write(total, i, fma(widen(read(y, i, like, left, 0)), b, value), left)


@njit(error_model="numpy", forceinline=True)
def scale_in(total: Any, x: Any, a: float, start: int, stop: int, like: Any) -> None:
    """Write a x to the total in float64."""
    for i in range(start, stop, width(like)):
        write(total, i, widen(read(x, i, like, stop - i, 0)) * a, stop - i)


@njit(cache=True, nogil=True, error_model="numpy")
def combination(out: Array, scratch: Array, table: Array, weights: Array, part: int, parts: int) -> None:
    """out = sum of weights[k] v_k, added up in float64.

    Args:
        out: (N,), out; float32 or float64, as the history. Shared among the parts.
        scratch: (parts, `BLOCK`); float64.
        table: (2 n + 1,), in; the history, of which v_k is the k-th vector.
        weights: (2 n + 1,), in; float64.
    """
    pairs = weights.shape[0] // 2
    first, last = share_of_elements(out.shape[0], part, parts)
    total = pointer(scratch, part * BLOCK)
    for begin in range(first, last, BLOCK):
        count = min(BLOCK, last - begin)
        (g,) = pointers_at(table[2 * pairs :], out, begin, 1)
        wide, narrow = zeros(g, 2, 4), zeros(g, 1, 1)
        end = whole(count, wide)
        scale_in(total, g, weights[2 * pairs], 0, end, wide)
        scale_in(total, g, weights[2 * pairs], end, count, narrow)
        for k in range(pairs):
            y, after_y = pointers_at(table[k:], out, begin, 2)
            s, after_s = pointers_at(table[pairs + k :], out, begin, 2)
            a, b = weights[k], weights[pairs + k]
            add_pair_in(total, y, after_y, a, s, after_s, b, 0, end, wide)
            add_pair_in(total, y, after_y, a, s, after_s, b, end, count, narrow)
        target = pointer(out, begin)
        for i in range(0, end, width(wide)):
            write(target, i, rounded(read(total, i, wide, width(wide), 0), wide), width(wide))
        for i in range(end, count, width(narrow)):
            write(target, i, rounded(read(total, i, narrow, count - i, 0), narrow), count - i)
