"""Attention: Vaswani et al. 2017, section 3.2."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .arrays import Array, array, ieee
from .probability import softmax
from .products import linear, matmul


def _additive(mask: Any, keep: bool) -> Array:
    """Return a mask as something to add to the scores; `keep` says what a True means."""
    mask = array(mask)
    return np.where(mask == keep, 0.0, -np.inf) if mask.dtype == bool else mask


@ieee
def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Array:
    """softmax(query key^T scale + mask) value; True in a mask keeps. A row with nothing to attend to is zero."""
    q, k, v = array(query), array(key), array(value)
    if enable_gqa:
        k, v = (np.repeat(x, q.shape[-3] // x.shape[-3], axis=-3) for x in (k, v))
    scores = matmul(q, np.swapaxes(k, -1, -2)) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    if is_causal:
        scores = scores + _additive(np.tril(np.ones(scores.shape[-2:], bool)), keep=True)
    if attn_mask is not None:
        scores = scores + _additive(attn_mask, keep=True)
    empty = np.all(scores == -np.inf, axis=-1, keepdims=True)
    return matmul(np.where(empty, 0.0, softmax(scores, -1)), v)


@ieee
def multi_head_attention_forward(
    query: Any,
    key: Any,
    value: Any,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Any,
    in_proj_bias: Any,
    bias_k: Any,
    bias_v: Any,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Any,
    out_proj_bias: Any,
    training: bool = True,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Any = None,
    k_proj_weight: Any = None,
    v_proj_weight: Any = None,
    static_k: Any = None,
    static_v: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Array, Array | None]:
    """(length, batch, features) or (length, features); in masks True hides. Without dropout.

    Returns the output and the weights (batch, target, source), averaged over heads.
    """
    q, k, v = array(query), array(key), array(value)
    batched = q.ndim == 3
    if not batched:
        q, k, v = q[:, None], k[:, None], v[:, None]
    features = q.shape[-1]
    if use_separate_proj_weight:
        weights = [array(q_proj_weight), array(k_proj_weight), array(v_proj_weight)]
    else:
        weights = np.split(array(in_proj_weight), 3)
    biases = [None] * 3 if in_proj_bias is None else np.split(array(in_proj_bias), 3)
    q, k, v = (linear(x, w, b) for x, w, b in zip((q, k, v), weights, biases, strict=True))
    masks = [] if attn_mask is None else [_additive(attn_mask, keep=False)]
    if key_padding_mask is not None:
        padding = _additive(key_padding_mask, keep=False).reshape(-1, k.shape[0])
    extra = 0
    if bias_k is not None:
        k, v = (np.concatenate([x, np.repeat(array(b), x.shape[1], axis=1)]) for x, b in ((k, bias_k), (v, bias_v)))
        extra += 1
    if add_zero_attn:
        k, v = (np.concatenate([x, np.zeros_like(x[:1])]) for x in (k, v))
        extra += 1
    batch, size = q.shape[1], features // num_heads
    out = np.zeros((q.shape[0], batch, features))
    attention = np.zeros((batch, num_heads, q.shape[0], k.shape[0]))
    for n, head in np.ndindex(batch, num_heads):
        part = slice(head * size, (head + 1) * size)
        scores = matmul(q[:, n, part], k[:, n, part].T) / math.sqrt(size)
        for mask in masks:
            own = mask[n * num_heads + head] if mask.ndim == 3 else mask
            scores = scores + np.pad(own, [(0, 0), (0, extra)])
        if key_padding_mask is not None:
            scores = scores + np.pad(padding[n], (0, extra))
        attention[n, head] = softmax(scores, -1)
        out[:, n, part] = matmul(attention[n, head], v[:, n, part])
    out = linear(out, out_proj_weight, out_proj_bias)
    attention = attention.mean(axis=1) if average_attn_weights else attention
    if not batched:
        out, attention = out[:, 0], attention[0]
    return out, attention if need_weights else None
