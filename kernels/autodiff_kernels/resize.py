"""Resizing of images (N, H, W, C) by the nearest pixel or by bilinear interpolation, with their gradients.

Source positions are PyTorch's, rounding included: the position of output i is computed in float32 for the nearest pixel
and in the images' type for interpolation. `scale` is how many input pixels one output pixel covers: 1 / scale_factor if
that was given, otherwise H / P, or with align_corners (H - 1) / (P - 1), 0 for P = 1.

The gradients gather: each part writes whole input rows, and finds the output rows that read them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.parts import share

Array = np.ndarray[Any, np.dtype[Any]]


@njit(error_model="numpy")
def nearest_source(i: int, size: int, scale: float) -> int:
    """Return the input place min(floor(i * scale), size - 1), computed in float32."""
    return min(int(np.float32(i) * np.float32(scale)), size - 1)


@njit(error_model="numpy")
def linear_source(i: Any, size: int, scale: Any, align_corners: int) -> Any:
    """Return the two input places around i's source position and their weights, in the type of i, a float.

    The position is i * scale with align_corners, otherwise (i + 1/2) * scale - 1/2 and at least 0.
    """
    number = type(i)
    position = scale * i if align_corners else max(scale * (i + number(0.5)) - number(0.5), number(0))
    first = min(int(position), size - 1)
    weight = min(position - number(first), number(1))
    return first, min(first + 1, size - 1), number(1) - weight, weight


@njit(cache=True, nogil=True, error_model="numpy")
def resize_nearest(out: Array, x: Array, scale_h: float, scale_w: float, part: int, parts: int) -> None:
    """out[n, p, q] = x[n, h, w] with h = min(floor(p scale_h), H - 1), w likewise.

    Args:
        out: (N, P, Q, C), out; the type of x. Output rows are shared among the parts.
        x: (N, H, W, C) with H, W >= 1, in; any type.
        scale_h, scale_w: floats, see the module.
    """
    N, H, W, C = x.shape
    P, Q = out.shape[1], out.shape[2]
    low, high = share(N * P, part, parts)
    for unit in range(low, high):
        n, p = unit // P, unit % P
        h = nearest_source(p, H, scale_h)
        for q in range(Q):
            target, source = out[n, p, q], x[n, h, nearest_source(q, W, scale_w)]
            for c in range(C):
                target[c] = source[c]


@njit(cache=True, nogil=True, error_model="numpy")
def resize_nearest_grad(out: Array, g: Array, scale_h: float, scale_w: float, part: int, parts: int) -> None:
    """Write the gradient of `resize_nearest`: for each pixel the sum of g over the outputs that read it.

    Args:
        out: (N, H, W, C), out; float32 or float64. Input rows are shared among the parts.
        g: (N, P, Q, C), in; the gradient with respect to the resized images; like out.
        scale_h, scale_w: floats, see the module.
    """
    N, H, W, C = out.shape
    P, Q = g.shape[1], g.shape[2]
    low, high = share(N * H, part, parts)
    for unit in range(low, high):
        n, h = unit // H, unit % H
        out[n, h] = 0
        for p in range(P):
            if nearest_source(p, H, scale_h) != h:
                continue
            for q in range(Q):
                target, cotangent = out[n, h, nearest_source(q, W, scale_w)], g[n, p, q]
                for c in range(C):
                    target[c] += cotangent[c]


@njit(cache=True, nogil=True, error_model="numpy")
def resize_bilinear(
    out: Array, x: Array, scale_h: float, scale_w: float, align_corners: int, part: int, parts: int
) -> None:
    """out[n, p, q] = the mean of the four pixels around (p, q)'s source position, weighted by `linear_source`.

    Args:
        out: (N, P, Q, C), out; float32 or float64. Output rows are shared among the parts.
        x: (N, H, W, C) with H, W >= 1, in; like out.
        scale_h, scale_w: floats, see the module.
        align_corners: 1 if the centres of the corner pixels are to coincide, 0 if the images' edges are.
    """
    N, H, W, C = x.shape
    P, Q = out.shape[1], out.shape[2]
    number = x.dtype.type
    low, high = share(N * P, part, parts)
    for unit in range(low, high):
        n, p = unit // P, unit % P
        top, bottom, up, down = linear_source(number(p), H, number(scale_h), align_corners)
        for q in range(Q):
            left, right, west, east = linear_source(number(q), W, number(scale_w), align_corners)
            target = out[n, p, q]
            a, b, c, d = x[n, top, left], x[n, top, right], x[n, bottom, left], x[n, bottom, right]
            for i in range(C):
                target[i] = up * (west * a[i] + east * b[i]) + down * (west * c[i] + east * d[i])


@njit(cache=True, nogil=True, error_model="numpy")
def resize_bilinear_grad(
    out: Array, g: Array, scale_h: float, scale_w: float, align_corners: int, part: int, parts: int
) -> None:
    """Write the gradient of `resize_bilinear`: for each pixel the sum of g times its weight.

    Args:
        out: (N, H, W, C), out; float32 or float64. Input rows are shared among the parts.
        g: (N, P, Q, C), in; the gradient with respect to the resized images; like out.
        scale_h, scale_w: floats, see the module.
        align_corners: as for `resize_bilinear`.
    """
    N, H, W, C = out.shape
    P, Q = g.shape[1], g.shape[2]
    number = out.dtype.type
    low, high = share(N * H, part, parts)
    for unit in range(low, high):
        n, h = unit // H, unit % H
        out[n, h] = 0
        for p in range(P):
            top, bottom, up, down = linear_source(number(p), H, number(scale_h), align_corners)
            if h not in (top, bottom):
                continue
            weight = (up if h == top else number(0)) + (down if h == bottom else number(0))
            for q in range(Q):
                left, right, west, east = linear_source(number(q), W, number(scale_w), align_corners)
                first, second, cotangent = out[n, h, left], out[n, h, right], g[n, p, q]
                for c in range(C):
                    first[c] += weight * west * cotangent[c]
                for c in range(C):
                    second[c] += weight * east * cotangent[c]
