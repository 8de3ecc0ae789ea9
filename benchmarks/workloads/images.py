"""Batches of random images for the workloads that classify."""

from __future__ import annotations

import numpy as np

from benchmarks.training import Array

CLASSES = 10


def labelled_images(batch: int, channels: int, size: int) -> tuple[Array, Array]:
    """Return (N, C, H, W) of noise and a class for each."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((batch, channels, size, size), dtype=np.float32), rng.integers(0, CLASSES, batch)


def channels_last(images: Array) -> Array:
    """Return (N, C, H, W) as (N, H, W, C)."""
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1))
