"""Resizing of (N, C, spatial...)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .arrays import Array, array, numbers


def _source(place: int, scale: float, align_corners: bool, clamp: bool) -> float:
    if align_corners:
        return place * scale
    position = (place + 0.5) * scale - 0.5
    return max(position, 0.0) if clamp else position


def _taps(place: int, length: int, scale: float, mode: str, align_corners: bool) -> list[tuple[int, float]]:
    """The input positions and their weights that make one output position, along one axis."""
    if mode == "nearest":
        return [(min(math.floor(place * scale), length - 1), 1.0)]
    if mode == "nearest-exact":
        return [(min(math.floor((place + 0.5) * scale), length - 1), 1.0)]
    if mode == "bicubic":
        position = _source(place, scale, align_corners, clamp=False)
        first = math.floor(position)
        taps = [(first + i, _cubic(position - (first + i))) for i in range(-1, 3)]
        return [(min(max(tap, 0), length - 1), weight) for tap, weight in taps]
    position = _source(place, scale, align_corners, clamp=True)
    low = min(math.floor(position), length - 1)
    return [(low, 1 - (position - low)), (min(low + 1, length - 1), position - low)]


def _smooth_taps(place: int, length: int, scale: float, mode: str) -> list[tuple[int, float]]:
    """The same with antialias: the kernel is as wide as an output pixel, and weights add up to 1."""
    centre, width = (place + 0.5) * scale, max(scale, 1.0)
    weights = []
    for tap in range(length):
        d = (tap + 0.5 - centre) / width
        weights.append(_cubic(d, -0.5) if mode == "bicubic" else max(1 - abs(d), 0.0))
    return [(tap, weight / sum(weights)) for tap, weight in enumerate(weights)]


def _area_taps(place: int, length: int, count: int) -> list[tuple[int, float]]:
    """All positions that an output position covers, at least in part, count alike."""
    first, stop = place * length // count, -((place + 1) * length // -count)
    return [(tap, 1 / (stop - first)) for tap in range(first, stop)]


def _cubic(distance: float, a: float = -0.75) -> float:
    """Keys 1981, equation 4."""
    d = abs(distance)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0


def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Array:
    """Modes: nearest, nearest-exact, area, linear, bilinear, trilinear, bicubic; each works axis after axis."""
    out = array(input)
    rank = out.ndim - 2
    factors = None if scale_factor is None else numbers(scale_factor, rank)
    lengths = out.shape[2:]
    sizes = (
        numbers(size, rank) if factors is None else [math.floor(n * f) for n, f in zip(lengths, factors, strict=True)]
    )
    for axis in range(rank):
        length, n = lengths[axis], sizes[axis]
        if align_corners:
            scale = (length - 1) / (n - 1) if n > 1 else 0.0
        elif factors is not None and not recompute_scale_factor:
            scale = 1 / factors[axis]
        else:
            scale = length / n
        rows = np.moveaxis(out, 2 + axis, 0)
        made = []
        for place in range(n):
            if mode == "area":
                taps = _area_taps(place, length, n)
            elif antialias:
                taps = _smooth_taps(place, length, scale, mode)
            else:
                taps = _taps(place, length, scale, mode, bool(align_corners))
            made.append(sum(w * rows[i] for i, w in taps))
        out = np.moveaxis(np.stack(made), 0, 2 + axis)
    return out.astype(array(input).dtype)


def pixel_shuffle(input: Any, upscale_factor: int) -> Array:
    """(..., C r r, H, W) -> (..., C, H r, W r) (Shi et al. 2016, equation 4)."""
    x, r = array(input), upscale_factor
    *lead, channels, height, width = x.shape
    out = np.zeros((*lead, channels // r**2, height * r, width * r), x.dtype)
    for c, i, j in np.ndindex(*out.shape[-3:]):
        out[..., c, i, j] = x[..., c * r * r + i % r * r + j % r, i // r, j // r]
    return out


def pixel_unshuffle(input: Any, downscale_factor: int) -> Array:
    x, r = array(input), downscale_factor
    *lead, channels, height, width = x.shape
    out = np.zeros((*lead, channels * r**2, height // r, width // r), x.dtype)
    for c, i, j in np.ndindex(*x.shape[-3:]):
        out[..., c * r * r + i % r * r + j % r, i // r, j // r] = x[..., c, i, j]
    return out
