"""Images (N, H, W, C) read at any places, at the nearest pixel or between four, and the gradients of that.

A place is (x, y), from -1 to 1 inside the image. Positions in pixels are PyTorch's, rounding included, computed in the
images' type. A pixel outside is a row of zeros, not left out: a weight that is NaN shows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.maths import cut, fma, rint, round_down
from autodiff_kernels.memory import forward, pointer
from autodiff_kernels.parts import columns, row_share, share
from autodiff_kernels.vectors import folded, read, sum_of, widen, width, write, zeros

Array = np.ndarray[Any, np.dtype[Any]]

ZEROS, BORDER, REFLECTION = 0, 1, 2


@njit(error_model="numpy", forceinline=True)
def located(place: Any, size: int, padding: int, align_corners: int) -> Any:
    """Return a coordinate in pixels, brought into the image as the padding says, and its slope by `place`, a float.

    On the border and beyond, a coordinate that is held there has no slope; NaN is held at the first pixel.
    """
    number = type(place)
    span = number(size - 1 if align_corners else size)
    low, last, slope = number(0.0 if align_corners else -0.5), number(size - 1), number(0.5) * span
    x = fma(place + number(1), slope, low)
    if padding == REFLECTION:
        if span > number(0):
            away = x - low
            if away < number(0):
                away, slope = -away, -slope
            # Of places so far outside that this rounds, PyTorch's rounding decides, too.
            beyond = fma(-cut(away / (span + span)), span + span, away)
            if beyond > span:
                beyond, slope = span + span - beyond, -slope
            x = beyond + low
        else:
            x = x * number(0)
    if padding != ZEROS and not (x > number(0) and x < last):
        x, slope = (last if x >= last else number(0)), number(0)
    return x, slope


@njit(error_model="numpy", forceinline=True)
def neighbours(x: Any, size: int) -> Any:
    """Return the pixel before a coordinate, how far beyond it lies, and whether that pixel and the next one exist."""
    first, last = round_down(x), type(x)(size - 1)
    here, following = (first >= 0) & (first <= last), (first >= -1) & (first < last)
    return int(first) if here | following else 0, x - first, here, following


@njit(error_model="numpy", forceinline=True)
def nearest(x: Any, size: int) -> Any:
    """Return the pixel nearest to a coordinate, and whether it exists."""
    found = rint(x)
    here = (found >= 0) & (found <= type(x)(size - 1))
    return int(found) if here else 0, here


@njit(error_model="numpy", forceinline=True)
def add_to_pixel(out: Any, g: Any, weight: Any, start: int, stop: int, room: int, like: Any) -> None:
    """Add weight g to the channels from start to stop of a pixel; `room` is how much memory there is to write to.

    What is behind `stop` keeps its value.
    """
    for c in range(start, stop, width(like)):
        added = read(g, c, like, stop - c, 0) * weight
        write(out, c, read(out, c, like, room - c, 0) + added, room - c)


@njit(cache=True, nogil=True, error_model="numpy")
def sample(
    out: Array, scratch: Array, x: Array, grid: Array, only_nearest: int, padding: int, align_corners: int, part: int,
    parts: int,
) -> None:
    """out[n, s] = the image n at the place grid[n, s]: the nearest pixel, or the mean of the four pixels around.

    Args:
        out: (N, S, C), out; float32 or float64. Places are shared among the parts.
        scratch: (parts, C), scratch; like out.
        x: (N, H, W, C) with H, W >= 1, in; like out.
        grid: (N, S, 2), in; like out; x comes first.
        only_nearest: 1 for the nearest pixel, 0 for bilinear interpolation.
        padding: `ZEROS`, `BORDER` or `REFLECTION`.
        align_corners: 1 if -1 and 1 are the middles of the outer pixels, 0 if their outer edges.
    """
    N, H, W, C = x.shape
    S, like, one = grid.shape[1], zeros(x, 1, 1), x.dtype.type(1)
    nothing = pointer(scratch, part * C)
    for c in range(C):
        scratch[part, c] = 0
    low, high = share(N * S, part, parts)
    for unit in range(low, high):
        n, s = unit // S, unit % S
        image, target, room = n * H * W * C, pointer(out, unit * C), (high - unit) * C
        across, _ = located(grid[n, s, 0], W, padding, align_corners)
        down, _ = located(grid[n, s, 1], H, padding, align_corners)
        if only_nearest:
            w, w_exists = nearest(across, W)
            h, h_exists = nearest(down, H)
            source = pointer(x, image + (h * W + w) * C) if w_exists & h_exists else nothing
            for c in range(0, C, width(like)):
                write(target, c, read(source, c, like, C - c, 0), room - c)
            continue
        w, east, left, right = neighbours(across, W)
        h, south, above, below = neighbours(down, H)
        west, north, corner = one - east, one - south, image + (h * W + w) * C
        a = pointer(x, corner) if above & left else nothing
        b = pointer(x, corner + C) if above & right else nothing
        d = pointer(x, corner + W * C) if below & left else nothing
        e = pointer(x, corner + (W + 1) * C) if below & right else nothing
        for c in range(0, C, width(like)):
            value = read(a, c, like, C - c, 0) * (north * west)
            value = fma(read(b, c, like, C - c, 0), north * east, value)
            value = fma(read(d, c, like, C - c, 0), south * west, value)
            write(target, c, fma(read(e, c, like, C - c, 0), south * east, value), room - c)


@njit(cache=True, nogil=True, error_model="numpy")
def sample_input_grad(
    out: Array, g: Array, grid: Array, only_nearest: int, padding: int, align_corners: int, part: int, parts: int
) -> None:
    """Write the gradient of `sample` with respect to the images: g of all places, in order, added to the pixels read.

    Args:
        out: (N, H, W, C), out; float32 or float64. Images, and channels of an image, are shared among the parts.
        g: (N, S, C), in; the gradient with respect to what was read; like out.
        grid: (N, S, 2), in; like out.
        only_nearest: as for `sample`.
        padding: as for `sample`.
        align_corners: as for `sample`.
    """
    N, H, W, C = out.shape
    S, like, one = grid.shape[1], zeros(out, 1, 1), out.dtype.type(1)
    lowest, highest, units = row_share(N, C, part, parts)
    for n in range(lowest // units, (highest + units - 1) // units):
        start, stop = columns(n, C, lowest, highest, units)
        out[n, :, :, start:stop] = 0
        image, size = pointer(out, n * H * W * C), H * W * C
        alone = stop - start == C  # nobody else writes to this image
        for s in range(S):
            source = pointer(g, (n * S + s) * C)
            across, _ = located(grid[n, s, 0], W, padding, align_corners)
            down, _ = located(grid[n, s, 1], H, padding, align_corners)
            if only_nearest:
                w, w_exists = nearest(across, W)
                h, h_exists = nearest(down, H)
                if w_exists & h_exists:
                    at = (h * W + w) * C
                    add_to_pixel(forward(image, at), source, one, start, stop, size - at if alone else stop, like)
                continue
            w, east, left, right = neighbours(across, W)
            h, south, above, below = neighbours(down, H)
            for tap in range(4):
                lower, further = tap >= 2, tap % 2 == 1
                if (below if lower else above) & (right if further else left):
                    at = ((h + lower) * W + w + further) * C
                    weight = (south if lower else one - south) * (east if further else one - east)
                    add_to_pixel(forward(image, at), source, weight, start, stop, size - at if alone else stop, like)


@njit(cache=True, nogil=True, error_model="numpy")
def sample_grid_grad(
    out: Array, scratch: Array, g: Array, x: Array, grid: Array, padding: int, align_corners: int, part: int, parts: int
) -> None:
    """Write the gradient of bilinear `sample` with respect to the grid: g times the slopes of what was read.

    Args:
        out: (N, S, 2), out; float32 or float64. Places are shared among the parts.
        scratch: (parts, C), scratch; like out.
        g: (N, S, C), in; the gradient with respect to what was read; like out.
        x: (N, H, W, C) with H, W >= 1, in; like out.
        grid: (N, S, 2), in; like out.
        padding: as for `sample`.
        align_corners: as for `sample`.
    """
    N, H, W, C = x.shape
    S, like, one = grid.shape[1], zeros(x, 1, 1), x.dtype.type(1)
    nothing = pointer(scratch, part * C)
    for c in range(C):
        scratch[part, c] = 0
    low, high = share(N * S, part, parts)
    for unit in range(low, high):
        n, s = unit // S, unit % S
        across, slope_x = located(grid[n, s, 0], W, padding, align_corners)
        down, slope_y = located(grid[n, s, 1], H, padding, align_corners)
        w, east, left, right = neighbours(across, W)
        h, south, above, below = neighbours(down, H)
        west, north, corner = one - east, one - south, ((n * H + h) * W + w) * C
        a = pointer(x, corner) if above & left else nothing
        b = pointer(x, corner + C) if above & right else nothing
        d = pointer(x, corner + W * C) if below & left else nothing
        e = pointer(x, corner + (W + 1) * C) if below & right else nothing
        source, by_x, by_y = pointer(g, unit * C), like, like
        for c in range(0, C, width(like)):
            cotangent = read(source, c, like, C - c, 0)
            first, second = read(a, c, like, C - c, 0), read(b, c, like, C - c, 0)
            third, fourth = read(d, c, like, C - c, 0), read(e, c, like, C - c, 0)
            by_x = fma(cotangent, fma(fourth - third, south, (second - first) * north), by_x)
            by_y = fma(cotangent, fma(fourth - second, east, (third - first) * west), by_y)
        out[n, s, 0] = slope_x * out.dtype.type(sum_of(widen(folded(by_x))))
        out[n, s, 1] = slope_y * out.dtype.type(sum_of(widen(folded(by_y))))
