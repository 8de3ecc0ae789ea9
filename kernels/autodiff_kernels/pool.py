"""Pooling of images (N, H, W, C): maximum and mean over windows, with their gradients; every definition is PyTorch's.

The window of output row i covers the input rows i * stride - padding + k * dilation, k = 0 ... kernel - 1, that exist;
columns likewise. How many outputs there are (`ceil_mode`) the caller decides by the shape of out. Adaptive pooling of H
rows into O takes the rows from floor(i H / O) to ceil((i + 1) H / O) - 1. One-dimensional pooling has H = 1.

The channels of a pixel are worked on side by side, in vectors that stay in registers while a window is gone through.
Sums of means are accumulated in the images' type, row by row of the window: for the mean of a whole large image use
`reduce.sum_axes`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic as _intrinsic

from autodiff_kernels.lanes import Lanes
from autodiff_kernels.memory import forward, load, pointer, store
from autodiff_kernels.parts import share
from autodiff_kernels.vectors import filled, lanes_of, read, select, whole, width, write, zeros

# Numba's extension points are partly annotated.
intrinsic: Any = _intrinsic

Array = np.ndarray[Any, np.dtype[Any]]

CHANNELS = 16  # a chunk of the channels of one image is the unit of work of `max_pool2d_grad`


# ---- Places of maxima: integers in the lanes of a vector of floats, as bits that are only selected -------------------


@intrinsic
def distances(typing_context: Any, like: Any, distance: Any) -> Any:
    """distances(like, distance): a vector of the type of `like` with the bits of an integer in every lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = lanes_of(builder, like)
        bits = ir.IntType(like.dtype.bitwidth)
        number = arguments[1] if bits.width == 64 else builder.trunc(arguments[1], bits)
        return lanes.broadcast(builder.bitcast(number, lanes.scalar))

    return like(like, types.intp), generate


@intrinsic
def write_places(
    typing_context: Any, address: Any, offset: Any, vector: Any, first: Any, step: Any, left: Any
) -> Any:
    """write_places(address, offset, vector, first, step, left): write places to int64, at most `left` of them.

    That of lane i is first + i * step + distance.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start, offset, vector_, first, step, left = arguments
        kind = ir.VectorType(ir.IntType(64), vector.count)
        bits = builder.bitcast(vector_, ir.VectorType(ir.IntType(vector.dtype.bitwidth), vector.count))
        distance = bits if bits.type == kind else builder.sext(bits, kind)
        lanes = Lanes(builder, types.float64, vector.count)
        base, steps = (
            builder.bitcast(lanes.broadcast(builder.bitcast(number, lanes.scalar)), kind) for number in (first, step)
        )
        base = builder.add(base, builder.mul(steps, ir.Constant(kind, list(range(vector.count)))))
        places = builder.bitcast(builder.add(distance, base), lanes.vector)
        place = builder.ptrtoint(builder.gep(start, [offset]), ir.IntType(64))
        with builder.if_else(builder.icmp_signed(">=", left, ir.IntType(64)(vector.count))) as (then, otherwise):
            with then:
                lanes.store(places, place)
            with otherwise:
                lanes.store(places, place, lanes.first(left))
        return context.get_dummy_value()

    return types.void(address, types.intp, vector, types.intp, types.intp, types.intp), generate


@njit(error_model="numpy", forceinline=True)
def largest_in(
    out: Any, indices: Any, x: Any, top: int, bottom: int, down: int, left: int, right: int, across: int, W: int,
    C: int, start: int, stop: int, room: int, like: Any,
) -> None:
    """Write the largest of each channel from start to stop, and its place; the window has at least one pixel.

    Whole vectors are written where `room` has room for them: what is too much is overwritten by the next windows.
    """
    first = top * W + left
    for c in range(start, stop, width(like)):
        best, distance = read(x, first * C + c, like, stop - c, 0), distances(like, 0)
        for h in range(top, bottom, down):
            for w in range(left, right, across):
                place = h * W + w
                value = read(x, place * C + c, like, stop - c, 0)
                larger = (value > best) | (value != value)
                best = select(larger, value, best)
                distance = select(larger, distances(like, place - first), distance)
        write(out, c, best, room - c)
        write_places(indices, c, distance, first, 0, room - c)


@njit(error_model="numpy", forceinline=True)
def window_largest(
    out: Any, indices: Any, x: Any, top: int, bottom: int, down: int, left: int, right: int, across: int, W: int,
    C: int, room: int,
) -> None:
    """Write the largest of each channel in a window of the image x, and its place; -inf and 0 if it has no pixel.

    The calling part writes `room` numbers from `out` on, window by window in order.
    """
    wide, narrow = zeros(x, 2, 2), zeros(x, 1, 1)
    end = whole(C, wide)
    if top < bottom and left < right:
        largest_in(out, indices, x, top, bottom, down, left, right, across, W, C, 0, end, room, wide)
        largest_in(out, indices, x, top, bottom, down, left, right, across, W, C, end, C, room, narrow)
        return
    for c in range(0, C, width(narrow)):
        write(out, c, filled(narrow, -math.inf), C - c)
        write_places(indices, c, distances(narrow, 0), 0, 0, C - c)


# ---- Means: sums over a window, and a cotangent spread over a window -------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def mean_in(
    out: Any, x: Any, top: int, bottom: int, left: int, right: int, W: int, C: int, start: int, stop: int, room: int,
    divisor: Any, like: Any,
) -> None:
    """Write the sum over a window, divided, of each channel from start to stop; `room` as in `largest_in`."""
    for c in range(start, stop, width(like)):
        total = like
        for h in range(top, bottom):
            for w in range(left, right):
                total = total + read(x, (h * W + w) * C + c, like, stop - c, 0)
        write(out, c, total / divisor, room - c)


@njit(error_model="numpy", forceinline=True)
def window_mean(
    out: Any, x: Any, top: int, bottom: int, left: int, right: int, W: int, C: int, room: int, divisor: Any
) -> None:
    """Write the sum over a window of the image x, divided, of each channel; `room` as in `window_largest`."""
    wide, narrow = zeros(x, 4, 4), zeros(x, 1, 1)
    end = whole(C, wide)
    mean_in(out, x, top, bottom, left, right, W, C, 0, end, room, divisor, wide)
    mean_in(out, x, top, bottom, left, right, W, C, end, C, room, divisor, narrow)


@njit(error_model="numpy", forceinline=True)
def share_in(
    out: Any, g: Any, left: int, right: int, done: int, C: int, start: int, stop: int, divisor: Any, like: Any
) -> None:
    """Add g / divisor to the pixels from left to right of a row; those from `done` on hold nothing yet."""
    for c in range(start, stop, width(like)):
        value = read(g, c, like, stop - c, 0) / divisor
        for w in range(left, min(right, done)):
            write(out, w * C + c, read(out, w * C + c, like, stop - c, 0) + value, stop - c)
        value = value + 0  # no negative zeros
        for w in range(max(left, done), right):
            write(out, w * C + c, value, stop - c)


@njit(error_model="numpy", forceinline=True)
def window_share(out: Any, g: Any, left: int, right: int, done: int, C: int, divisor: Any) -> None:
    """Add g / divisor to the pixels from left to right of a row; those from `done` on hold nothing yet."""
    wide, narrow = zeros(g, 4, 4), zeros(g, 1, 1)
    end = whole(C, wide)
    share_in(out, g, left, right, done, C, 0, end, divisor, wide)
    share_in(out, g, left, right, done, C, end, C, divisor, narrow)


@njit(error_model="numpy", forceinline=True)
def clear(out: Any, count: int) -> None:
    """Write `count` zeros."""
    none = zeros(out, 4, 4)
    for i in range(0, count, width(none)):
        write(out, i, none, count - i)


# ---- Windows ---------------------------------------------------------------------------------------------------------


@njit(error_model="numpy")
def inside(start: int, kernel: int, dilation: int, size: int) -> tuple[int, int]:
    """Return the first place of a window that exists, and the end of those that do."""
    first = start if start >= 0 else start + (dilation - 1 - start) // dilation * dilation
    return first, min(start + (kernel - 1) * dilation + 1, size)


@njit(error_model="numpy")
def adaptive_window(i: int, size: int, outputs: int) -> tuple[int, int]:
    """Return the half-open range of the `size` input places that output i of `outputs` covers."""
    return i * size // outputs, ((i + 1) * size + outputs - 1) // outputs


@njit(cache=True, nogil=True, error_model="numpy")
def max_pool2d(
    out: Array, indices: Array, x: Array, kernel_h: int, kernel_w: int, stride_h: int, stride_w: int, padding_h: int,
    padding_w: int, dilation_h: int, dilation_w: int, part: int, parts: int,
) -> None:
    """Write the maximum of each window and its place h * W + w: the first of equal ones, the last NaN.

    Args:
        out: (N, P, Q, C), out; float32 or float64. Output rows are shared among the parts. A window that contains no
            pixel gives -inf and place 0.
        indices: (N, P, Q, C), out; int64.
        x: (N, H, W, C), in; like out.
        kernel_h, kernel_w, stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w: as for the module.
    """
    N, H, W, C = x.shape
    P, Q = out.shape[1], out.shape[2]
    low, high = share(N * P, part, parts)
    for unit in range(low, high):
        n, p = unit // P, unit % P
        image = pointer(x, n * H * W * C)
        top, bottom = inside(p * stride_h - padding_h, kernel_h, dilation_h, H)
        for q in range(Q):
            left, right = inside(q * stride_w - padding_w, kernel_w, dilation_w, W)
            place = (unit * Q + q) * C
            window_largest(pointer(out, place), pointer(indices, place), image, top, bottom, dilation_h, left, right,
                           dilation_w, W, C, high * Q * C - place)


@njit(cache=True, nogil=True, error_model="numpy")
def adaptive_max_pool2d(out: Array, indices: Array, x: Array, part: int, parts: int) -> None:
    """Write the maximum of each adaptive window and its place h * W + w: the first of equal ones, the last NaN.

    Args:
        out: (N, P, Q, C), out; float32 or float64. Output rows are shared among the parts.
        indices: (N, P, Q, C), out; int64.
        x: (N, H, W, C) with H, W >= 1, in; like out.
    """
    N, H, W, C = x.shape
    P, Q = out.shape[1], out.shape[2]
    low, high = share(N * P, part, parts)
    for unit in range(low, high):
        n, p = unit // P, unit % P
        image = pointer(x, n * H * W * C)
        top, bottom = adaptive_window(p, H, P)
        for q in range(Q):
            left, right = adaptive_window(q, W, Q)
            place = (unit * Q + q) * C
            window_largest(pointer(out, place), pointer(indices, place), image, top, bottom, 1, left, right, 1, W, C,
                           high * Q * C - place)


@njit(cache=True, nogil=True, error_model="numpy")
def max_pool2d_grad(out: Array, g: Array, indices: Array, part: int, parts: int) -> None:
    """Write the gradient of `max_pool2d` and `adaptive_max_pool2d`: each g is added to the place its maximum came from.

    Args:
        out: (N, H, W, C), out; float32 or float64. Chunks of `CHANNELS` channels of an image are shared.
        g: (N, P, Q, C), in; the gradient with respect to the maxima; like out.
        indices: (N, P, Q, C), in; int64, places h * W + w.
    """
    N, H, W, C = out.shape
    P, Q = g.shape[1], g.shape[2]
    chunks = (C + CHANNELS - 1) // CHANNELS
    low, high = share(N * chunks, part, parts)
    for n in range(low // max(chunks, 1), (high + chunks - 1) // max(chunks, 1)):
        start = max(low - n * chunks, 0) * CHANNELS
        stop = min(min(high - n * chunks, chunks) * CHANNELS, C)
        image = pointer(out, n * H * W * C)
        if stop - start == C:
            clear(image, H * W * C)
        else:
            for place in range(H * W):
                clear(forward(image, place * C + start), stop - start)
        for window in range(n * P * Q, (n + 1) * P * Q):
            cotangents, places = pointer(g, window * C), pointer(indices, window * C)
            for c in range(start, stop):
                target = forward(image, load(forward(places, c)) * C + c)
                store(target, load(target) + load(forward(cotangents, c)))


@njit(error_model="numpy")
def window_size(i: int, kernel: int, stride: int, padding: int, size: int, count_include_pad: int) -> int:
    """Return how many places of one axis the mean of output i divides by."""
    start = i * stride - padding
    stop = min(start + kernel, size + padding)
    return stop - start if count_include_pad else max(min(stop, size) - max(start, 0), 0)


@njit(cache=True, nogil=True, error_model="numpy")
def avg_pool2d(
    out: Array, x: Array, kernel_h: int, kernel_w: int, stride_h: int, stride_w: int, padding_h: int, padding_w: int,
    count_include_pad: int, divisor_override: int, part: int, parts: int,
) -> None:
    """Write the mean of each window: its sum divided by `divisor_override`, or by the window's size if that is 0.

    Args:
        out: (N, P, Q, C), out; float32 or float64. Output rows are shared among the parts. A window that contains no
            pixel gives 0.
        x: (N, H, W, C), in; like out.
        kernel_h, kernel_w, stride_h, stride_w, padding_h, padding_w: as for the module.
        count_include_pad: 1 if the size counts padding (but nothing beyond it), 0 if it counts pixels only.
        divisor_override: the divisor, or 0.
    """
    N, H, W, C = x.shape
    P, Q = out.shape[1], out.shape[2]
    low, high = share(N * P, part, parts)
    for unit in range(low, high):
        n, p = unit // P, unit % P
        image, top = pointer(x, n * H * W * C), p * stride_h - padding_h
        first, last = max(top, 0), min(top + kernel_h, H)
        rows = window_size(p, kernel_h, stride_h, padding_h, H, count_include_pad)
        for q in range(Q):
            left = q * stride_w - padding_w
            columns = window_size(q, kernel_w, stride_w, padding_w, W, count_include_pad)
            place = (unit * Q + q) * C
            target = pointer(out, place)
            if first < last and max(left, 0) < min(left + kernel_w, W):
                divisor = x.dtype.type(divisor_override if divisor_override else rows * columns)
                window_mean(target, image, first, last, max(left, 0), min(left + kernel_w, W), W, C,
                            high * Q * C - place, divisor)
            else:
                clear(target, C)


@njit(cache=True, nogil=True, error_model="numpy")
def avg_pool2d_grad(
    out: Array, g: Array, kernel_h: int, kernel_w: int, stride_h: int, stride_w: int, padding_h: int, padding_w: int,
    count_include_pad: int, divisor_override: int, part: int, parts: int,
) -> None:
    """Write the gradient of `avg_pool2d`: for each pixel the sum of g / divisor over the windows that contain it.

    Args:
        out: (N, H, W, C), out; float32 or float64. Input rows are shared among the parts.
        g: (N, P, Q, C), in; the gradient with respect to the means; like out.
        kernel_h, kernel_w, stride_h, stride_w, padding_h, padding_w: as for the module.
        count_include_pad: as for `avg_pool2d`.
        divisor_override: as for `avg_pool2d`.
    """
    N, H, W, C = out.shape
    P, Q = g.shape[1], g.shape[2]
    low, high = share(N * H, part, parts)
    for unit in range(low, high):
        n, h = unit // H, unit % H
        row = pointer(out, unit * W * C)
        # p * stride <= h + padding < p * stride + kernel
        first, last = max((h + padding_h - kernel_h) // stride_h + 1, 0), min((h + padding_h) // stride_h + 1, P)
        for p in range(first, last):
            rows, done = window_size(p, kernel_h, stride_h, padding_h, H, count_include_pad), 0 if p == first else W
            for q in range(Q):
                columns = window_size(q, kernel_w, stride_w, padding_w, W, count_include_pad)
                left, right = max(q * stride_w - padding_w, 0), min(q * stride_w - padding_w + kernel_w, W)
                divisor = out.dtype.type(divisor_override if divisor_override else rows * columns)
                if done < left:
                    clear(forward(row, done * C), (min(left, W) - done) * C)
                    done = min(left, W)
                window_share(row, pointer(g, ((n * P + p) * Q + q) * C), left, right, done, C, divisor)
                done = max(done, right)
            clear(forward(row, done * C), (W - done) * C)
        if first >= last:
            clear(row, W * C)


@njit(cache=True, nogil=True, error_model="numpy")
def adaptive_avg_pool2d(out: Array, x: Array, part: int, parts: int) -> None:
    """Write the mean of each adaptive window.

    Args:
        out: (N, P, Q, C), out; float32 or float64. Output rows are shared among the parts.
        x: (N, H, W, C) with H, W >= 1, in; like out.
    """
    N, H, W, C = x.shape
    P, Q = out.shape[1], out.shape[2]
    low, high = share(N * P, part, parts)
    for unit in range(low, high):
        n, p = unit // P, unit % P
        image = pointer(x, n * H * W * C)
        top, bottom = adaptive_window(p, H, P)
        for q in range(Q):
            left, right = adaptive_window(q, W, Q)
            divisor = x.dtype.type((bottom - top) * (right - left))
            place = (unit * Q + q) * C
            window_mean(pointer(out, place), image, top, bottom, left, right, W, C, high * Q * C - place, divisor)


@njit(cache=True, nogil=True, error_model="numpy")
def adaptive_avg_pool2d_grad(out: Array, g: Array, part: int, parts: int) -> None:
    """Write the gradient of `adaptive_avg_pool2d`: for each pixel the sum of g / size over the windows that contain it.

    Args:
        out: (N, H, W, C), out; float32 or float64. Input rows are shared among the parts.
        g: (N, P, Q, C), in; the gradient with respect to the means; like out.
    """
    N, H, W, C = out.shape
    P, Q = g.shape[1], g.shape[2]
    low, high = share(N * H, part, parts)
    for unit in range(low, high):
        n, h = unit // H, unit % H
        row = pointer(out, unit * W * C)
        # The windows that contain a place are those of the transposed pooling, from P outputs back to H places.
        first, last = adaptive_window(h, P, H)
        if Q == 0 or first >= last:
            clear(row, W * C)
        for p in range(first, last):
            top, bottom = adaptive_window(p, H, P)
            done = 0 if p == first else W
            for q in range(Q):
                left, right = adaptive_window(q, W, Q)
                divisor = out.dtype.type((bottom - top) * (right - left))
                window_share(row, pointer(g, ((n * P + p) * Q + q) * C), left, right, done, C, divisor)
                done = max(done, right)
