"""Embedding tables and one-hot vectors."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from .arrays import Array, array, real


def embedding(input: Any, weight: Any, padding_idx: int | None = None) -> Array:
    """Row input[...] of the table; `padding_idx` matters to the gradient alone."""
    return array(weight)[np.asarray(input)]


def one_hot(tensor: Any, num_classes: int = -1) -> Array:
    labels = np.asarray(tensor)
    classes = int(labels.max()) + 1 if num_classes == -1 else num_classes
    return (labels[..., None] == np.arange(classes)).astype(np.int64)


def embedding_bag(
    input: Any, weight: Any, offsets: Any = None, *, mode: str = "mean", per_sample_weights: Any = None,
    include_last_offset: bool = False, padding_idx: int | None = None,
) -> Array:
    index, table = np.asarray(input), real(weight)
    factors = np.ones(index.shape) if per_sample_weights is None else real(per_sample_weights)
    if index.ndim == 1:
        ends = [*offsets] if include_last_offset else [*offsets, len(index)]
        bags = [(index[a:b], factors[a:b]) for a, b in pairwise(ends)]
    else:
        bags = list(zip(index, factors, strict=True))
    out = np.zeros((len(bags), table.shape[1]))
    for row, (places, weights) in zip(out, bags, strict=True):
        rows = [table[i] * w for i, w in zip(places, weights, strict=True)
                if padding_idx is None or i != padding_idx % len(table)]
        if rows:
            row[:] = {"sum": np.sum, "mean": np.mean, "max": np.max}[mode](rows, axis=0)
    return out
