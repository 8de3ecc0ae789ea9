"""Distances of rows, one pair at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .arrays import Array, real


def _length(x: Array, p: float) -> Any:
    x = np.abs(x)
    if p == 0:
        return float(np.count_nonzero(x))
    return x.max(initial=0) if math.isinf(p) else (x**p).sum() ** (1 / p)


def dist(input: Any, other: Any, p: float = 2) -> Array:
    return np.asarray(_length((real(input) - real(other)).reshape(-1), p))


def cdist(x1: Any, x2: Any, p: float = 2.0, compute_mode: str = "") -> Array:
    a, b = real(x1), real(x2)
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = (np.broadcast_to(x, (*lead, *x.shape[-2:])) for x in (a, b))
    found = np.zeros((*lead, a.shape[-2], b.shape[-2]))
    for place in np.ndindex(found.shape):
        found[place] = _length(a[place[:-1]] - b[(*place[:-2], place[-1])], p)
    return found


def pdist(input: Any, p: float = 2.0) -> Array:
    x = real(input)
    return np.array([_length(x[i] - x[j], p) for i in range(len(x)) for j in range(i + 1, len(x))], np.float64)


def triplet_margin_with_distance_loss(
    anchor: Any, positive: Any, negative: Any, *, margin: float = 1.0, swap: bool = False, reduction: str = "mean"
) -> Array:
    a, near, far = real(anchor), real(positive), real(negative)

    def distance(x: Array, y: Array) -> Array:
        return np.sqrt(((x - y + 1e-6) ** 2).sum(-1))

    away = np.minimum(distance(a, far), distance(near, far)) if swap else distance(a, far)
    losses = np.maximum(distance(a, near) - away + margin, 0)
    return np.asarray({"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](losses))
