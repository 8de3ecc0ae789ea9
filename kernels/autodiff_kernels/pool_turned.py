"""Pooling of images whose channels are planes, x (N, C, H, W) in C order, with their channels side by side.

Some planes are turned at a time, and the kernels of `pool.py` do the rest: what they read and write stays in the
second-level cache. A copy of the whole tensor would go through memory. Results of adaptive pooling are channels-last,
others are planes again: those of rows so short that `pool_planes.py` would leave most of a register empty.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels import pool
from autodiff_kernels.cpu import L2_BYTES
from autodiff_kernels.layout import transpose
from autodiff_kernels.memory import address_of, array, pointer, pointer_at
from autodiff_kernels.parts import share
from autodiff_kernels.vectors import read, width, write, zeros

Array = np.ndarray[Any, np.dtype[Any]]

TILE = L2_BYTES // 4  # bytes of planes that are turned together
LEAST, MOST = 32, 64  # planes that are turned together: fewer would leave vectors of channels half empty


def tile_channels(places: int, itemsize: int) -> int:
    """Return how many planes of so many numbers are turned together."""
    return min(max(TILE // max(places * itemsize, 1) // LEAST * LEAST, LEAST), MOST)


@njit(error_model="numpy", forceinline=True)
def units(N: int, C: int, channels: int) -> int:
    """Return how many units of work there are: `channels` planes of an image each, or those that are left."""
    return N * ((C + channels - 1) // channels)


@njit(error_model="numpy", forceinline=True)
def planes_at(unit: int, channels: int, C: int) -> tuple[int, int, int]:
    """Return the image, the first channel and the number of channels of a unit of work."""
    chunks = (C + channels - 1) // channels
    c = unit % chunks * channels
    return unit // chunks, c, min(channels, C - c)


@njit(error_model="numpy", forceinline=True)
def turn(tile: Any, planes: Any, count: int, places: int) -> None:
    """Write `count` planes of so many places with their channels side by side."""
    transpose(array(tile, (1, places, count)), array(planes, (1, count, places)), 0, 1)


@njit(error_model="numpy", forceinline=True)
def turn_back(planes: Any, tile: Any, count: int, places: int) -> None:
    """Undo `turn`."""
    transpose(array(planes, (1, count, places)), array(tile, (1, places, count)), 0, 1)


@njit(error_model="numpy", forceinline=True)
def turned_planes(tiles: Array, part: int, x: Array, C: int, unit: int) -> tuple[int, int, int, Any]:
    """Turn the planes of a unit of x, of images of C planes, into this part's tile.

    Return what `planes_at` does, and a pointer to the tile.
    """
    channels, places = tiles.shape[1:]
    tile = pointer(tiles, part * channels * places)
    n, c, count = planes_at(unit, channels, C)
    turn(tile, pointer(x, (n * C + c) * places), count, places)
    return n, c, count, tile


@njit(error_model="numpy", forceinline=True)
def copy_pixels(out: Any, pitch: int, x: Any, step: int, pixels: int, count: int) -> None:
    """Copy `count` channels of pixels, which lie `pitch` numbers apart in `out`, and `step` in x."""
    like = zeros(x, 2, 4)
    for i in range(pixels):
        for c in range(0, count, width(like)):
            write(out, i * pitch + c, read(x, i * step + c, like, count - c, 0), count - c)


@njit(error_model="numpy", forceinline=True)
def as_floats(places: Any) -> Any:
    """Return a pointer to int64 as one to float64: what is copied is bits."""
    return pointer_at(address_of(places), np.float64)


@njit(cache=True, nogil=True, error_model="numpy")
def adaptive_avg_pool2d(out: Array, image: Array, means: Array, x: Array, part: int, parts: int) -> None:
    """Write the mean of each adaptive window, as `pool.adaptive_avg_pool2d` does.

    Args:
        out: (N, P, Q, C), out; float32 or float64. Some channels of an image are the unit of work.
        image: (parts, `tile_channels`, H W), scratch; like out.
        means: (parts, `tile_channels`, P Q), scratch; like out.
        x: (N, C, H, W) with H, W >= 1, in; like out.
    """
    N, C, H, W = x.shape
    P, Q, channels = out.shape[1], out.shape[2], image.shape[1]
    pooled = pointer(means, part * P * Q * channels)
    low, high = share(units(N, C, channels), part, parts)
    for unit in range(low, high):
        n, c, count, turned = turned_planes(image, part, x, C, unit)
        pool.adaptive_avg_pool2d(array(pooled, (1, P, Q, count)), array(turned, (1, H, W, count)), 0, 1)
        copy_pixels(pointer(out, n * P * Q * C + c), C, pooled, count, P * Q, count)


@njit(cache=True, nogil=True, error_model="numpy")
def adaptive_avg_pool2d_grad(
    out: Array, image: Array, cotangents: Array, g: Array, part: int, parts: int
) -> None:
    """Write the gradient of `adaptive_avg_pool2d`, as `pool.adaptive_avg_pool2d_grad` does.

    Args:
        out: (N, C, H, W), out; float32 or float64. Some channels of an image are the unit of work.
        image: (parts, `tile_channels`, H W), scratch; like out.
        cotangents: (parts, `tile_channels`, P Q), scratch; like out.
        g: (N, P, Q, C), in; the gradient with respect to the means; like out.
    """
    N, C, H, W = out.shape
    P, Q, channels = g.shape[1], g.shape[2], image.shape[1]
    turned, taken = pointer(image, part * H * W * channels), pointer(cotangents, part * P * Q * channels)
    low, high = share(units(N, C, channels), part, parts)
    for unit in range(low, high):
        n, c, count = planes_at(unit, channels, C)
        copy_pixels(taken, count, pointer(g, n * P * Q * C + c), C, P * Q, count)
        pool.adaptive_avg_pool2d_grad(array(turned, (1, H, W, count)), array(taken, (1, P, Q, count)), 0, 1)
        turn_back(pointer(out, (n * C + c) * H * W), turned, count, H * W)


@njit(cache=True, nogil=True, error_model="numpy")
def adaptive_max_pool2d(
    out: Array, indices: Array, image: Array, maxima: Array, places: Array, x: Array, part: int, parts: int
) -> None:
    """Write the maximum of each adaptive window and its place, as `pool.adaptive_max_pool2d` does.

    Args:
        out: (N, P, Q, C), out; float32 or float64. Some channels of an image are the unit of work.
        indices: (N, P, Q, C), out; int64.
        image: (parts, `tile_channels`, H W), scratch; like out.
        maxima: (parts, `tile_channels`, P Q), scratch; like out.
        places: like maxima, scratch; int64.
        x: (N, C, H, W) with H, W >= 1, in; like out.
    """
    N, C, H, W = x.shape
    P, Q, channels = out.shape[1], out.shape[2], image.shape[1]
    tile = part * P * Q * channels
    largest, found = pointer(maxima, tile), pointer(places, tile)
    low, high = share(units(N, C, channels), part, parts)
    for unit in range(low, high):
        n, c, count, turned = turned_planes(image, part, x, C, unit)
        pool.adaptive_max_pool2d(
            array(largest, (1, P, Q, count)), array(found, (1, P, Q, count)), array(turned, (1, H, W, count)), 0, 1
        )
        target = n * P * Q * C + c
        copy_pixels(pointer(out, target), C, largest, count, P * Q, count)
        copy_pixels(as_floats(pointer(indices, target)), C, as_floats(found), count, P * Q, count)


@njit(cache=True, nogil=True, error_model="numpy")
def max_pool2d(
    out: Array, indices: Array, image: Array, maxima: Array, places: Array, x: Array, kernel_h: int, kernel_w: int,
    stride_h: int, stride_w: int, padding_h: int, padding_w: int, dilation_h: int, dilation_w: int, part: int,
    parts: int,
) -> None:
    """Write the maximum of each window and its place, as `pool_planes.max_pool2d` does.

    Args:
        out: (N, C, P, Q), out; float32 or float64. Some planes are the unit of work.
        indices: (N, C, P, Q), out; int64.
        image: (parts, `tile_channels`, H W), scratch; like out.
        maxima: (parts, `tile_channels`, P Q), scratch; like out.
        places: like maxima, scratch; int64.
        x: (N, C, H, W), in; like out.
        kernel_h, kernel_w, stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w: as for the module.
    """
    C, H, W = x.shape[0] * x.shape[1], x.shape[2], x.shape[3]  # as if it were one image
    P, Q, channels = out.shape[2], out.shape[3], image.shape[1]
    tile = part * P * Q * channels
    largest, found = pointer(maxima, tile), pointer(places, tile)
    low, high = share(units(1, C, channels), part, parts)
    for unit in range(low, high):
        _, c, count, turned = turned_planes(image, part, x, C, unit)
        pool.max_pool2d(
            array(largest, (1, P, Q, count)), array(found, (1, P, Q, count)), array(turned, (1, H, W, count)), kernel_h,
            kernel_w, stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w, 0, 1,
        )
        turn_back(pointer(out, c * P * Q), largest, count, P * Q)
        turn_back(as_floats(pointer(indices, c * P * Q)), as_floats(found), count, P * Q)


@njit(cache=True, nogil=True, error_model="numpy")
def avg_pool2d(
    out: Array, image: Array, means: Array, x: Array, kernel_h: int, kernel_w: int, stride_h: int, stride_w: int,
    padding_h: int, padding_w: int, count_include_pad: int, divisor_override: int, part: int, parts: int,
) -> None:
    """Write the mean of each window, as `pool_planes.avg_pool2d` does.

    Args:
        out: (N, C, P, Q), out; float32 or float64. Some planes are the unit of work.
        image: (parts, `tile_channels`, H W), scratch; like out.
        means: (parts, `tile_channels`, P Q), scratch; like out.
        x: (N, C, H, W), in; like out.
        kernel_h, kernel_w, stride_h, stride_w, padding_h, padding_w: as for the module.
        count_include_pad, divisor_override: as for `pool.avg_pool2d`.
    """
    C, H, W = x.shape[0] * x.shape[1], x.shape[2], x.shape[3]  # as if it were one image
    P, Q, channels = out.shape[2], out.shape[3], image.shape[1]
    pooled = pointer(means, part * P * Q * channels)
    low, high = share(units(1, C, channels), part, parts)
    for unit in range(low, high):
        _, c, count, turned = turned_planes(image, part, x, C, unit)
        pool.avg_pool2d(
            array(pooled, (1, P, Q, count)), array(turned, (1, H, W, count)), kernel_h, kernel_w, stride_h, stride_w,
            padding_h, padding_w, count_include_pad, divisor_override, 0, 1,
        )
        turn_back(pointer(out, c * P * Q), pooled, count, P * Q)


@njit(cache=True, nogil=True, error_model="numpy")
def avg_pool2d_grad(
    out: Array, image: Array, cotangents: Array, g: Array, kernel_h: int, kernel_w: int, stride_h: int, stride_w: int,
    padding_h: int, padding_w: int, count_include_pad: int, divisor_override: int, part: int, parts: int,
) -> None:
    """Write the gradient of `avg_pool2d`, as `pool_planes.avg_pool2d_grad` does.

    Args:
        out: (N, C, H, W), out; float32 or float64. Some planes are the unit of work.
        image: (parts, `tile_channels`, H W), scratch; like out.
        cotangents: (parts, `tile_channels`, P Q), scratch; like out.
        g: (N, C, P, Q), in; the gradient with respect to the means; like out.
        kernel_h, kernel_w, stride_h, stride_w, padding_h, padding_w: as for the module.
        count_include_pad, divisor_override: as for `pool.avg_pool2d`.
    """
    C, P, Q = g.shape[0] * g.shape[1], g.shape[2], g.shape[3]  # as if it were one image
    H, W, channels = out.shape[2], out.shape[3], image.shape[1]
    pixels = pointer(image, part * H * W * channels)
    low, high = share(units(1, C, channels), part, parts)
    for unit in range(low, high):
        _, c, count, turned = turned_planes(cotangents, part, g, C, unit)
        pool.avg_pool2d_grad(
            array(pixels, (1, H, W, count)), array(turned, (1, P, Q, count)), kernel_h, kernel_w, stride_h, stride_w,
            padding_h, padding_w, count_include_pad, divisor_override, 0, 1,
        )
        turn_back(pointer(out, c * H * W), pixels, count, H * W)
