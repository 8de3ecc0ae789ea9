"""Attention without the matrix of scores, against the formula in float64; blocks, masks, strides and parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autodiff_kernels import attention as family
from autodiff_kernels import random

SHAPES = [(1, 2, 5, 7, 3, 4), (2, 1, 96, 256, 16, 16), (1, 1, 200, 530, 20, 9), (1, 2, 390, 40, 5, 3),
          (2, 3, 33, 64, 32, 32), (1, 1, 1, 300, 8, 40)]


def plain(q: Any, k: Any, v: Any, mask: Any, g: Any, scale: float, causal: int, factors: Any = 1) -> tuple[Any, ...]:
    q, k, v, g = (x.astype(np.float64) for x in (q, k, v, g))
    scores = scale * q @ k.swapaxes(-1, -2)
    if mask is not None:
        scores = scores + mask
    if causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
    top = scores.max(-1, keepdims=True)
    weights = np.exp(scores - np.where(np.isinf(top), 0, top))
    total = weights.sum(-1, keepdims=True)
    weights /= np.where(total == 0, 1, total)
    passed = weights * factors
    slopes = weights * (factors * (g @ v.swapaxes(-1, -2)) - (g * (passed @ v)).sum(-1, keepdims=True))
    return (passed @ v, scale * slopes @ k, scale * slopes.swapaxes(-1, -2) @ q, passed.swapaxes(-1, -2) @ g)


def run(q: Any, k: Any, v: Any, mask: Any, g: Any, scale: float, causal: int, parts: int,
        draw: tuple[int, int, float] = (0, 0, 1.0)) -> tuple[Any, ...]:
    """Return the output and the gradients of q, k and v, from kernels called part after part."""
    dtype, size = q.dtype, q.itemsize
    (outer, inner, targets, features), (sources, columns) = q.shape, v.shape[-2:]
    sizes = (outer, inner, targets, sources, features, columns, scale, causal)
    added = np.zeros(0, dtype) if mask is None else mask
    strides = [stride // size for x in (q, k, v) for stride in x.strides[:3]]
    strides += [0, 0, 0] if mask is None else [0, 0, mask.strides[0] // size]
    flat = [np.lib.stride_tricks.as_strided(x, (1,), (size,)) for x in (q, k, v)] + [added.reshape(-1)]
    out = np.full((outer, inner, targets, columns), np.nan, dtype)
    logs = np.full(outer * inner * targets, np.nan, dtype)
    grads = [np.full(x.shape, np.nan, dtype) for x in (q, k, v)]
    scratches = [np.full(count(sources, features, columns, size, parts) + 16, np.nan, dtype)
                 for count in (family.forward_scratch, family.gradient_scratch)]
    for scratch in scratches:
        scratch[-16:] = 7
    for part in reversed(range(parts)):
        family.attention(out.reshape(-1), logs, scratches[0], *flat, *sizes, *strides, *draw, part, parts)
    chunks = family.chunks_of(outer * inner, targets)
    partial = np.full(outer * inner * (chunks - 1) * sources * (features + columns), np.nan, dtype)
    flat_grads = [x.reshape(-1) for x in grads]
    for part in range(parts):
        family.attention_grad(*flat_grads, scratches[1], partial, g.reshape(-1), *flat, out.reshape(-1), logs, *sizes,
                              *strides, *draw, chunks, part, parts)
    for part in range(parts):
        family.attention_grad_sum(*flat_grads[1:], partial, outer * inner, sources, features, columns, chunks, part,
                                  parts)
    for scratch in scratches:
        assert (scratch[-16:] == 7).all(), "a kernel wrote behind its scratch"
    return (out, *grads)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("how", ["", "causal", "mask", "hidden"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_output_and_gradients(dtype: Any, shape: Any, how: str, dropout: float) -> None:
    outer, inner, targets, sources, features, columns = shape
    rng = np.random.default_rng(0)

    def numbers(*sizes: int) -> Any:
        return rng.standard_normal(sizes).astype(dtype)

    # Heads side by side in memory, as a projection leaves them: rows have gaps between them.
    q = numbers(outer, targets, inner, features).transpose(0, 2, 1, 3)
    k, v = numbers(outer, inner, sources, features), numbers(outer, sources, inner, columns).transpose(0, 2, 1, 3)
    g, mask = numbers(outer, inner, targets, columns), None
    if how == "mask":
        mask = numbers(targets, sources)
    if how == "hidden":  # whole blocks of sources, single ones, and every source of one target
        mask = np.where(rng.random((targets, sources)) < 0.3, -np.inf, 0).astype(dtype)
        mask[::2, :256] = -np.inf
        mask[targets // 2] = -np.inf
    given = (q, k, v, mask, g, 0.4, int(how == "causal"))
    draw, factors = (11, -5, 1 - dropout), np.ones((outer, inner, targets, sources), dtype)
    if dropout:
        random.bernoulli(factors.reshape(-1), *draw, 1 / (1 - dropout), 0, 1)
    found = run(*given, 1, draw)
    tolerance = 2e-5 if dtype == np.float32 else 1e-12
    for x, want in zip(found, plain(*given, factors), strict=True):
        np.testing.assert_allclose(x, want, rtol=tolerance, atol=tolerance * max(1, np.abs(want).max()))
    for x, again in zip(found, run(*given, 3, draw), strict=True):
        assert x.tobytes() == again.tobytes(), "the number of parts changes the result"


def test_scores_of_any_size_and_not_a_number() -> None:
    q = np.full((1, 1, 2, 4), 300, np.float32)
    k, v = np.ones((1, 1, 300, 4), np.float32), np.ones((1, 1, 300, 4), np.float32)
    k[0, 0, 299] = 300
    v[0, 0, 299] = 5
    out, *_ = run(q, k, v, None, np.ones_like(q), 1.0, 0, 1)
    assert (out == 5).all()
    q[0, 0, 1, 0] = np.nan
    out, *_ = run(q, k, v, None, np.ones_like(q), 1.0, 0, 1)
    assert (out[0, 0, 0] == 5).all()
    assert np.isnan(out[0, 0, 1]).all()
