"""Embedding tables and one-hot vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import Array, array


def embedding(input: Any, weight: Any, padding_idx: int | None = None) -> Array:
    """Row input[...] of the table; `padding_idx` matters to the gradient alone."""
    return array(weight)[np.asarray(input)]


def one_hot(tensor: Any, num_classes: int = -1) -> Array:
    labels = np.asarray(tensor)
    classes = int(labels.max()) + 1 if num_classes == -1 else num_classes
    return (labels[..., None] == np.arange(classes)).astype(np.int64)
