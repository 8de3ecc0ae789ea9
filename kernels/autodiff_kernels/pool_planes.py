"""Pooling of images whose channels are planes, x (N, C, H, W) in C order; so are its results. Bits as in `pool.py`.

The outputs of a row are worked on side by side: for windows one or two columns apart their pixels are read as vectors,
where all windows lie inside the image. Other outputs are computed one by one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic as _intrinsic

from autodiff_kernels.memory import forward, load, pointer, store
from autodiff_kernels.parts import share
from autodiff_kernels.pool import clear, distances, inside, window_size, write_places
from autodiff_kernels.vectors import lanes_of, read, select, width, write, zeros

# Numba's extension points are partly annotated.
intrinsic: Any = _intrinsic

Array = np.ndarray[Any, np.dtype[Any]]
Pair = tuple[int, int]


# ---- Numbers two apart -----------------------------------------------------------------------------------------------


@intrinsic
def evens(typing_context: Any, low: Any, high: Any) -> Any:
    """evens(low, high): every second lane of two vectors, one behind the other."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        first, second = arguments
        return lanes_of(builder, low).shuffle(first, second, list(range(0, 2 * low.count, 2)))

    return low(low, high), generate


@intrinsic
def interleaved(typing_context: Any, even: Any, odd: Any) -> Any:
    """interleaved(even, odd): two vectors, one behind the other, whose lanes are those of `even` and `odd` in turns."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes, count = lanes_of(builder, even), even.count
        first, second = arguments
        halves = [lanes.shuffle(first, second, [i // 2 + i % 2 * count for i in range(start, start + count)])
                  for start in (0, count)]
        return context.make_tuple(builder, signature.return_type, halves)

    return types.UniTuple(even, 2)(even, odd), generate


@njit(error_model="numpy", forceinline=True)
def read_apart(x: Any, offset: int, like: Any, stride: int, left: int) -> Any:
    """Return numbers that lie `stride`, 1 or 2, apart; `left` of them exist."""
    if stride == 1:
        return read(x, offset, like, left, 0)
    lanes = width(like)
    reach = 2 * min(left, lanes) - 1
    return evens(read(x, offset, like, reach, 0), read(x, offset + lanes, like, reach - lanes, 0))


@njit(error_model="numpy")
def inner_outputs(count: int, kernel: int, stride: int, padding: int, dilation: int, size: int) -> Pair:
    """Return the range of outputs of a row whose windows lie inside and can be read as vectors."""
    if stride > 2:
        return 0, 0
    first = min((padding + stride - 1) // stride, count)
    return first, max(min((size - 1 - (kernel - 1) * dilation + padding) // stride + 1, count), first)


@njit(error_model="numpy")
def _inner_pixels(count: int, kernel: int, stride: int, padding: int, size: int) -> tuple[int, int, int]:
    """Return which pixels of a row have inner windows only: the first one, and how many they are, or pairs of them.

    The third number is how many windows a pixel is in at most.
    """
    first, last = inner_outputs(count, kernel, stride, padding, 1, size)
    windows = (kernel + stride - 1) // stride
    first += windows - 1
    if first >= last or kernel < stride:
        return 0, 0, 0
    return first * stride - padding, last - first, windows


# ---- Maxima ----------------------------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def largest_of_one(out: Any, indices: Any, x: Any, rows: Any, columns: Any, W: int, none: Any) -> None:
    """Write the largest of a window of the plane x, rows and columns of which are given, and its place."""
    top, bottom, down = rows
    left, right, across = columns
    best, found = none, 0
    if top < bottom and left < right:
        found = top * W + left
        best = load(forward(x, found))
        for h in range(top, bottom, down):
            for w in range(left, right, across):
                value = load(forward(x, h * W + w))
                if value > best or value != value:
                    best, found = value, h * W + w
    store(out, best)
    store(indices, found)


@njit(cache=True, nogil=True, error_model="numpy")
def max_pool2d(
    out: Array, indices: Array, x: Array, kernel_h: int, kernel_w: int, stride_h: int, stride_w: int, padding_h: int,
    padding_w: int, dilation_h: int, dilation_w: int, part: int, parts: int,
) -> None:
    """Write the maximum of each window and its place h * W + w: the first of equal ones, the last NaN.

    Args:
        out: (N, C, P, Q), out; float32 or float64. Output rows are shared among the parts. A window that contains no
            pixel gives -inf and place 0.
        indices: (N, C, P, Q), out; int64.
        x: (N, C, H, W), in; like out.
        kernel_h, kernel_w, stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w: as for the module.
    """
    _, C, H, W = x.shape
    N, P, Q = out.shape[0], out.shape[2], out.shape[3]
    like, none = zeros(x, 1, 1), x.dtype.type(-math.inf)
    begin, end = inner_outputs(Q, kernel_w, stride_w, padding_w, dilation_w, W)
    low, high = share(N * C * P, part, parts)
    n, p = low // max(P, 1), low % max(P, 1)
    for unit in range(low, high):
        plane = pointer(x, n * H * W)
        top, bottom = inside(p * stride_h - padding_h, kernel_h, dilation_h, H)
        q = 0
        while q < Q:
            place = unit * Q + q
            left = q * stride_w - padding_w
            if begin <= q < end and top < bottom:
                # Whole vectors are written where this part has room: what is too much is overwritten by what follows.
                count, room, first = end - q, high * Q - place, top * W + left
                best, distance = read_apart(plane, first, like, stride_w, count), distances(like, 0)
                for h in range(top, bottom, dilation_h):
                    for w in range(kernel_w):
                        pixel = h * W + left + w * dilation_w
                        value = read_apart(plane, pixel, like, stride_w, count)
                        larger = (value > best) | (value != value)
                        best = select(larger, value, best)
                        distance = select(larger, distances(like, pixel - first), distance)
                write(pointer(out, place), 0, best, room)
                write_places(pointer(indices, place), 0, distance, first, stride_w, room)
                q += min(count, width(like))
            else:
                first, last = inside(left, kernel_w, dilation_w, W)
                largest_of_one(pointer(out, place), pointer(indices, place), plane, (top, bottom, dilation_h),
                               (first, last, dilation_w), W, none)
                q += 1
        p += 1
        if p == P:
            n, p = n + 1, 0


@njit(cache=True, nogil=True, error_model="numpy")
def max_pool2d_grad(out: Array, g: Array, indices: Array, part: int, parts: int) -> None:
    """Write the gradient of `max_pool2d`: each g is added to the place its maximum came from.

    Args:
        out: (N, C, H, W), out; float32 or float64. Planes are shared among the parts.
        g: (N, C, P, Q), in; the gradient with respect to the maxima; like out.
        indices: (N, C, P, Q), in; int64, places h * W + w.
    """
    N, C, H, W = out.shape
    windows = g.shape[2] * g.shape[3]
    low, high = share(N * C, part, parts)
    clear(pointer(out, low * H * W), (high - low) * H * W)
    for unit in range(low, high):
        plane, cotangents, places = (
            pointer(out, unit * H * W), pointer(g, unit * windows), pointer(indices, unit * windows)
        )
        for window in range(windows):
            target = forward(plane, load(forward(places, window)))
            store(target, load(target) + load(forward(cotangents, window)))


# ---- Means -----------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def avg_pool2d(
    out: Array, x: Array, kernel_h: int, kernel_w: int, stride_h: int, stride_w: int, padding_h: int, padding_w: int,
    count_include_pad: int, divisor_override: int, part: int, parts: int,
) -> None:
    """Write the mean of each window: its sum divided by `divisor_override`, or by the window's size if that is 0.

    Args:
        out: (N, C, P, Q), out; float32 or float64. Output rows are shared among the parts. A window that contains no
            pixel gives 0.
        x: (N, C, H, W), in; like out.
        kernel_h, kernel_w, stride_h, stride_w, padding_h, padding_w: as for the module.
        count_include_pad, divisor_override: as for `pool.avg_pool2d`.
    """
    _, C, H, W = x.shape
    N, P, Q = out.shape[0], out.shape[2], out.shape[3]
    like, none = zeros(x, 1, 1), x.dtype.type(0)
    begin, end = inner_outputs(Q, kernel_w, stride_w, padding_w, 1, W)
    low, high = share(N * C * P, part, parts)
    n, p = low // max(P, 1), low % max(P, 1)
    for unit in range(low, high):
        plane = pointer(x, n * H * W)
        top = max(p * stride_h - padding_h, 0)
        bottom = min(p * stride_h - padding_h + kernel_h, H)
        rows = window_size(p, kernel_h, stride_h, padding_h, H, count_include_pad)
        q = 0
        while q < Q:
            place = unit * Q + q
            left = q * stride_w - padding_w
            if begin <= q < end:
                count, sums = end - q, like
                for h in range(top, bottom):
                    for w in range(left, left + kernel_w):
                        sums = sums + read_apart(plane, h * W + w, like, stride_w, count)
                if top < bottom:
                    sums = sums / x.dtype.type(divisor_override if divisor_override else rows * kernel_w)
                write(pointer(out, place), 0, sums, high * Q - place)
                q += min(count, width(like))
            else:
                columns = window_size(q, kernel_w, stride_w, padding_w, W, count_include_pad)
                first, last = max(left, 0), min(left + kernel_w, W)
                total = none
                for h in range(top, bottom):
                    for w in range(first, last):
                        total += load(forward(plane, h * W + w))
                if top < bottom and first < last:
                    total /= x.dtype.type(divisor_override if divisor_override else rows * columns)
                store(pointer(out, place), total)
                q += 1
        p += 1
        if p == P:
            n, p = n + 1, 0


@njit(cache=True, nogil=True, error_model="numpy")
def avg_pool2d_grad(
    out: Array, shares: Array, g: Array, kernel_h: int, kernel_w: int, stride_h: int, stride_w: int, padding_h: int,
    padding_w: int, count_include_pad: int, divisor_override: int, part: int, parts: int,
) -> None:
    """Write the gradient of `avg_pool2d`: for each pixel the sum of g / divisor over the windows that contain it.

    Args:
        out: (N, C, H, W), out; float32 or float64. Planes are shared among the parts.
        shares: (parts, P Q), scratch; like out.
        g: (N, C, P, Q), in; the gradient with respect to the means; like out.
        kernel_h, kernel_w, stride_h, stride_w, padding_h, padding_w: as for the module.
        count_include_pad, divisor_override: as for `pool.avg_pool2d`.
    """
    N, C, H, W = out.shape
    P, Q = g.shape[2], g.shape[3]
    like, none = zeros(out, 1, 1), out.dtype.type(0)
    lanes, taken = width(like), pointer(shares, part * P * Q)
    first_q, last_q = inner_outputs(Q, kernel_w, stride_w, padding_w, 1, W)
    begin, count, windows = _inner_pixels(Q, kernel_w, stride_w, padding_w, W)
    begin_q = (begin + padding_w) // stride_w
    low, high = share(N * C, part, parts)
    for plane in range(low, high):
        for p in range(P):
            rows = window_size(p, kernel_h, stride_h, padding_h, H, count_include_pad)
            q = 0
            while q < Q:
                place = p * Q + q
                if q == first_q and q < last_q:
                    divisor = out.dtype.type(divisor_override if divisor_override else rows * kernel_w)
                    for i in range(0, last_q - q, lanes):
                        value = read(pointer(g, plane * P * Q + place), i, like, last_q - q - i, 0) / divisor
                        write(taken, place + i, value, last_q - q - i)
                    q = last_q
                else:
                    columns = window_size(q, kernel_w, stride_w, padding_w, W, count_include_pad)
                    divisor = out.dtype.type(divisor_override if divisor_override else rows * columns)
                    store(forward(taken, place), load(pointer(g, plane * P * Q + place)) / divisor)
                    q += 1
        first = last = 0
        for h in range(H):
            # p * stride <= h + padding < p * stride + kernel. A division takes as long as the sum of a short row.
            while first < P and first * stride_h + kernel_h <= h + padding_h:
                first += 1
            while last < P and last * stride_h <= h + padding_h:
                last += 1
            w = 0
            while w < W:
                place = (plane * H + h) * W + w
                if w == begin and count > 0:
                    for i in range(0, count, lanes):
                        left = right = like
                        for p in range(first, last):
                            for k in range(windows - 1, -1, -1):
                                value = read(taken, p * Q + begin_q + i - k, like, count - i, 0)
                                if stride_w == 1:
                                    left = left + value
                                else:  # the second pixel of two may lie behind the window
                                    both = interleaved(value, value if 2 * k + 1 < kernel_w else like)
                                    left, right = left + both[0], right + both[1]
                        target, room = pointer(out, place + i * stride_w), high * H * W - place - i * stride_w
                        write(target, 0, left, room)
                        if stride_w == 2:
                            write(target, lanes, right, room - lanes)
                    w += count * stride_w
                else:
                    total = none
                    left_q = max((w + padding_w - kernel_w) // stride_w + 1, 0)
                    right_q = min((w + padding_w) // stride_w + 1, Q)
                    for p in range(first, last):
                        for q in range(left_q, right_q):
                            total += load(forward(taken, p * Q + q))
                    store(pointer(out, place), total)
                    w += 1
