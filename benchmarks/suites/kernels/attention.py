"""Attention of heads that are cut out already: (batch, heads, length, features)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.case import Case
from benchmarks.differentiation import builds, normal


def attention(module: Any, query: Any, key: Any, value: Any, causal: bool) -> Any:
    return module.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=causal)


def attention_jax(jax: Any, query: Any, key: Any, value: Any, causal: bool) -> Any:
    """Return softmax(Q K^T / sqrt(features)) V."""
    scores = query @ key.swapaxes(-1, -2) / query.shape[-1] ** 0.5
    if causal:
        scores = jax.numpy.where(jax.numpy.tri(*scores.shape[-2:], dtype=bool), scores, -jax.numpy.inf)
    return jax.nn.softmax(scores) @ value


def cases() -> Iterator[Case]:
    """Yield the attentions: a small GPT's, a larger one's, a vision transformer's, a long sequence."""
    for shape, masks in (((8, 4, 64, 32), (True,)), ((4, 6, 256, 64), (True, False)), ((32, 4, 65, 32), (False,)),
                         ((1, 8, 1024, 64), (True, False))):
        inputs = {name: normal(*shape) for name in ("query", "key", "value")}
        for causal in masks:
            function, jax = (partial(f, causal=causal) for f in (attention, attention_jax))
            place = f"kernels/attention/{'x'.join(map(str, shape))}/{'causal' if causal else 'full'}"
            yield Case(place, builds("forward+backward", function, inputs, jax=jax), quick=shape[2] == 64)
            if shape[2] >= 256:
                yield Case(f"{place}/kernel", builds("forward", function, inputs, jax=jax), quick=False)
