"""Grids of places, and images read at them, one place at a time."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np

from .arrays import Array, real


def affine_grid(theta: Any, size: Any, align_corners: bool = False) -> Array:
    theta, (n, _, *sides) = real(theta), tuple(size)
    out = np.zeros((n, *sides, len(sides)))
    for place in np.ndindex(n, *sides):
        point = []
        for i, side in zip(place[1:], sides, strict=True):
            if align_corners:
                point.append(2 * i / (side - 1) - 1 if side > 1 else 0.0)
            else:
                point.append((2 * i + 1) / side - 1)
        out[place] = theta[place[0]] @ np.array([*point[::-1], 1.0])
    return out


def _reflect(x: float, low: float, high: float) -> float:
    if low == high:
        return 0.0
    while not low <= x <= high:
        x = 2 * low - x if x < low else 2 * high - x
    return x


def _brought_in(x: float, size: int, padding_mode: str, align_corners: bool) -> float:
    if padding_mode == "zeros":
        return x
    if padding_mode == "reflection":
        x = _reflect(x, 0, size - 1) if align_corners else _reflect(x, -0.5, size - 0.5)
    return min(max(x, 0), size - 1)


def _cubic(x: float, a: float = -0.75) -> float:
    x = abs(x)
    return (a + 2) * x**3 - (a + 3) * x**2 + 1 if x <= 1 else a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a


def grid_sample(
    input: Any, grid: Any, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool = False
) -> Array:
    x, grid = real(input), real(grid)
    sizes = x.shape[2:]
    out = np.zeros((*x.shape[:2], *grid.shape[1:-1]))
    for place in np.ndindex(grid.shape[:-1]):
        taps = []
        for size, c in zip(sizes, grid[place][::-1], strict=True):
            c = (c + 1) / 2 * (size - 1) if align_corners else ((c + 1) * size - 1) / 2
            if mode == "bicubic":
                first = math.floor(c)
                pixels = [(first + i, _cubic(c - first - i)) for i in (-1, 0, 1, 2)]
                taps.append([(_brought_in(p, size, padding_mode, align_corners), w) for p, w in pixels])
                continue
            c = _brought_in(c, size, padding_mode, align_corners)
            first = math.floor(c)
            taps.append([(round(c), 1.0)] if mode == "nearest" else [(first, 1 - c + first), (first + 1, c - first)])
        for chosen in product(*taps):
            pixel = tuple(int(p) for p, _ in chosen)
            if all(0 <= p < size for p, size in zip(pixel, sizes, strict=True)):
                weight = math.prod(w for _, w in chosen)
                out[(place[0], slice(None), *place[1:])] += weight * x[(place[0], slice(None), *pixel)]
    return out


def channel_shuffle(input: Any, groups: int) -> Array:
    x = real(input)
    each = x.shape[1] // groups
    return np.stack([x[:, group * each + i] for i in range(each) for group in range(groups)], 1)
