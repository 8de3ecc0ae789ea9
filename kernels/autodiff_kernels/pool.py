"""Pooling of images (N, H, W, C): maximum and mean over windows, with their gradients; every definition is PyTorch's.

The window of output row i covers the input rows i * stride - padding + k * dilation, k = 0 ... kernel - 1, that exist;
columns likewise. How many outputs there are (`ceil_mode`) the caller decides by the shape of out. Adaptive pooling of H
rows into O takes the rows from floor(i H / O) to ceil((i + 1) H / O) - 1. One-dimensional pooling has H = 1.

Sums of means are accumulated in the images' type, row by row of the window: for the mean of a whole large image use
`reduce.sum_axes`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.parts import share

Array = np.ndarray[Any, np.dtype[Any]]

CHANNELS = 16  # a chunk of the channels of one image is the unit of work of `max_pool2d_grad`


@njit(error_model="numpy")
def take_larger(values: Array, places: Array, x: Array, place: int) -> None:
    """Replace each value by x and its place by `place` where x is larger or NaN; all (C,)."""
    for c in range(x.shape[0]):
        larger = (x[c] > values[c]) | (x[c] != x[c])
        values[c] = x[c] if larger else values[c]
        places[c] = place if larger else places[c]


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
    N, H, W, _ = x.shape
    P, Q = out.shape[1], out.shape[2]
    low, high = share(N * P, part, parts)
    for unit in range(low, high):
        n, p = unit // P, unit % P
        top = p * stride_h - padding_h
        for q in range(Q):
            left = q * stride_w - padding_w
            values, places = out[n, p, q], indices[n, p, q]
            first = True
            for kh in range(kernel_h):
                h = top + kh * dilation_h
                if not 0 <= h < H:
                    continue
                for kw in range(kernel_w):
                    w = left + kw * dilation_w
                    if not 0 <= w < W:
                        continue
                    if first:
                        values[:] = x[n, h, w]
                        places[:] = h * W + w
                        first = False
                    else:
                        take_larger(values, places, x[n, h, w], h * W + w)
            if first:
                values[:] = x.dtype.type(-math.inf)
                places[:] = 0


@njit(cache=True, nogil=True, error_model="numpy")
def adaptive_max_pool2d(out: Array, indices: Array, x: Array, part: int, parts: int) -> None:
    """Write the maximum of each adaptive window and its place h * W + w: the first of equal ones, the last NaN.

    Args:
        out: (N, P, Q, C), out; float32 or float64. Output rows are shared among the parts.
        indices: (N, P, Q, C), out; int64.
        x: (N, H, W, C) with H, W >= 1, in; like out.
    """
    N, H, W, _ = x.shape
    P, Q = out.shape[1], out.shape[2]
    low, high = share(N * P, part, parts)
    for unit in range(low, high):
        n, p = unit // P, unit % P
        top, bottom = adaptive_window(p, H, P)
        for q in range(Q):
            left, right = adaptive_window(q, W, Q)
            values, places = out[n, p, q], indices[n, p, q]
            values[:] = x[n, top, left]
            places[:] = top * W + left
            for h in range(top, bottom):
                for w in range(left, right):
                    take_larger(values, places, x[n, h, w], h * W + w)


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
    image = out.reshape((N, H * W, C))
    chunks = (C + CHANNELS - 1) // CHANNELS
    low, high = share(N * chunks, part, parts)
    for n in range(low // max(chunks, 1), (high + chunks - 1) // max(chunks, 1)):
        start = max(low - n * chunks, 0) * CHANNELS
        stop = min(min(high - n * chunks, chunks) * CHANNELS, C)
        for place in range(H * W):
            image[n, place, start:stop] = 0
        for p in range(P):
            for q in range(Q):
                for c in range(start, stop):
                    image[n, indices[n, p, q, c], c] += g[n, p, q, c]


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
        top = p * stride_h - padding_h
        rows = window_size(p, kernel_h, stride_h, padding_h, H, count_include_pad)
        for q in range(Q):
            left = q * stride_w - padding_w
            columns = window_size(q, kernel_w, stride_w, padding_w, W, count_include_pad)
            target = out[n, p, q]
            target[:] = 0
            top_inside, bottom_inside = max(top, 0), min(top + kernel_h, H)
            left_inside, right_inside = max(left, 0), min(left + kernel_w, W)
            if top_inside >= bottom_inside or left_inside >= right_inside:
                continue
            for h in range(top_inside, bottom_inside):
                for w in range(left_inside, right_inside):
                    pixel = x[n, h, w]
                    for c in range(C):
                        target[c] += pixel[c]
            divisor = x.dtype.type(divisor_override if divisor_override else rows * columns)
            for c in range(C):
                target[c] /= divisor


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
        for w in range(W):
            target = out[n, h, w]
            target[:] = 0
            # p * stride <= h + padding < p * stride + kernel
            for p in range(max((h + padding_h - kernel_h) // stride_h + 1, 0), min((h + padding_h) // stride_h + 1, P)):
                rows = window_size(p, kernel_h, stride_h, padding_h, H, count_include_pad)
                for q in range(
                    max((w + padding_w - kernel_w) // stride_w + 1, 0), min((w + padding_w) // stride_w + 1, Q)
                ):
                    columns = window_size(q, kernel_w, stride_w, padding_w, W, count_include_pad)
                    divisor = out.dtype.type(divisor_override if divisor_override else rows * columns)
                    cotangent = g[n, p, q]
                    for c in range(C):
                        target[c] += cotangent[c] / divisor


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
        top, bottom = adaptive_window(p, H, P)
        for q in range(Q):
            left, right = adaptive_window(q, W, Q)
            target = out[n, p, q]
            target[:] = 0
            for h in range(top, bottom):
                for w in range(left, right):
                    pixel = x[n, h, w]
                    for c in range(C):
                        target[c] += pixel[c]
            divisor = x.dtype.type((bottom - top) * (right - left))
            for c in range(C):
                target[c] /= divisor


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
        for w in range(W):
            target = out[n, h, w]
            target[:] = 0
            # The windows that contain a place are those of the transposed pooling, from P outputs back to H places.
            first_p, last_p = adaptive_window(h, P, H)
            first_q, last_q = adaptive_window(w, Q, W)
            for p in range(first_p, last_p):
                top, bottom = adaptive_window(p, H, P)
                for q in range(first_q, last_q):
                    left, right = adaptive_window(q, W, Q)
                    divisor = out.dtype.type((bottom - top) * (right - left))
                    cotangent = g[n, p, q]
                    for c in range(C):
                        target[c] += cotangent[c] / divisor
