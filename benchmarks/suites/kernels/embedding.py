"""Embedding: rows picked from a table, and their gradients added up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.case import Case
from benchmarks.differentiation import builds, integers, normal


def embedding(module: Any, indices: Any, weight: Any) -> Any:
    return module.nn.functional.embedding(indices, weight)


def embedding_jax(jax: Any, indices: Any, weight: Any) -> Any:
    return weight[indices]


def cases() -> Iterator[Case]:
    """Yield the embeddings."""
    for words, features, batch, length in ((65, 128, 8, 64), (10_000, 256, 32, 64), (20_000, 384, 4, 256)):
        inputs = {"indices": integers(words, batch, length), "weight": normal(words, features)}
        place = f"{words}x{features}/{batch}x{length}"
        found = builds("forward+backward", embedding, inputs, jax=embedding_jax)
        yield Case(f"kernels/embedding/{place}", found, quick=words == 65)
    found = builds("forward", embedding, inputs, jax=embedding_jax)
    yield Case(f"kernels/embedding/{place}/kernel", found, quick=False)
