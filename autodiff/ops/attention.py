"""Attention: Vaswani et al., "Attention is all you need", 2017, section 3.2."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.bind import TensorT
from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops import strided
from autodiff.ops.attending import attend
from autodiff.ops.broadcast import expand
from autodiff.ops.choice import masked_fill
from autodiff.ops.comparison import eq, logical_not, logical_or
from autodiff.ops.elementwise import add, spread
from autodiff.ops.joining import cat, chunk, split, unbind, zeros_of
from autodiff.ops.products import linear
from autodiff.ops.promotion import cast
from autodiff.ops.reduce import mean
from autodiff.ops.shaping import unsqueeze
from autodiff.ops.structural import permute, require_tensor, reshape, select
from autodiff.primitive import ErrorSample, Sample, composed
from autodiff.spec import Shape, Spec

__all__ = ["multi_head_attention_forward", "scaled_dot_product_attention"]

# ---- What both have in common ----------------------------------------------------------------------------------------


def _check_mask(operation: str, mask: Any, like: Any) -> Any:
    """Return a mask of bools, or of floats in the dtype of `like`.

    Raises:
        DTypeError: for integers.
    """
    require_tensor(operation, mask)
    if mask.spec.dtype.kind not in "bf":
        raise DTypeError(operation, "a mask holds bools, or floats to add to the scores", expected="bool or float",
                         got=mask.spec.dtype.name, fix="compare it: mask != 0")
    return mask if mask.spec.dtype.kind == "b" else cast(mask, like.spec.dtype)


# ---- One head --------------------------------------------------------------------------------------------------------


def _samples() -> list[Sample]:
    q, k, v = spread(-2, 2, 2, 2, 3, 4), spread(-1, 2, 2, 2, 5, 4), spread(-2, 1, 2, 2, 5, 6)
    keep = np.array([[True] * 5, [False] * 5, [True, False] * 2 + [True]])
    added = np.where(keep, spread(-1, 1, 3, 5), -np.inf).astype(np.float32)
    heads = spread(-1, 1, 2, 3, 4, 2).transpose(0, 2, 1, 3)
    return [Sample(q, k, v), Sample(q, k, v, is_causal=True, scale=0.3), Sample(q, k, v, attn_mask=spread(-1, 1, 3, 5)),
            Sample(q, k, v, attn_mask=keep), Sample(q, k, v, added, gradient=False), Sample(q, k, v, keep[2]),
            Sample(q[0, 0], k[0, 0], v[0, 0], np.stack([keep[2]] * 3)), Sample(heads, heads, heads, is_causal=True),
            Sample(spread(-1, 1, 1, 4, 3, 2), spread(-2, 1, 1, 2, 3, 2), spread(-1, 2, 1, 2, 3, 2), enable_gqa=True),
            Sample(q[0].astype(np.float64), k[0].astype(np.float64), v[0].astype(np.float64)),
            Sample(q[:0], k[:0], v[:0])]


def _errors() -> list[ErrorSample]:
    q, k = np.ones((2, 3, 4), np.float32), np.ones((2, 5, 4), np.float32)
    return [ErrorSample(Sample(q, k[..., :3], k), ShapeError, r"query and key.*\(\.\.\., 4\); got \(2, 5, 3\)"),
            ErrorSample(Sample(q, k, k[:, :4]), ShapeError, "number of keys and values"),
            ErrorSample(Sample(q[0, 0], k, k), ShapeError, "two dimensions"),
            ErrorSample(Sample(q, k, k, np.ones((3, 4), bool)), ShapeError, r"not fit.*\(2, 3, 5\); got \(3, 4\)"),
            ErrorSample(Sample(q, k, k, np.ones((3, 5), np.int64)), DTypeError, "a mask holds bools.*int64"),
            ErrorSample(Sample(q, k, k, np.ones((3, 5), bool), is_causal=True), ValueRangeError, "mask and is_causal"),
            ErrorSample(Sample(q[None], *[k[None][:, [0, 1, 1]]] * 2, enable_gqa=True), ShapeError,
                        "heads of the query.*multiple of 3; got 2")]


def _check(query: Any, key: Any, value: Any) -> None:
    operation = "scaled_dot_product_attention"
    for name, x in (("query", query), ("key", key), ("value", value)):
        require_tensor(operation, x, name)
    q, k, v = (x.spec.shape for x in (query, key, value))
    if min(len(q), len(k), len(v)) < 2:
        raise ShapeError(operation, "query, key and value need at least two dimensions",
                         expected="(..., length, features)", got=f"{q}, {k} and {v}")
    if q[-1] != k[-1]:
        raise ShapeError(operation, "the features of query and key differ", expected=f"(..., {q[-1]})", got=str(k))
    if k[-2] != v[-2]:
        raise ShapeError(operation, "the number of keys and values differs", expected=f"(..., {k[-2]}, features)",
                         got=str(v))


def _check_fit(mask: Any, shape: Shape) -> None:
    """Raise unless the mask broadcasts to the scores."""
    own = mask.spec.shape
    if len(own) > len(shape) or any(n not in (1, m) for n, m in zip(reversed(own), reversed(shape), strict=False)):
        raise ShapeError("scaled_dot_product_attention", "the mask does not fit the scores",
                         expected=f"a shape that broadcasts to {shape}", got=str(own))


def _repeated(x: Any, heads: int) -> Any:
    """Return keys or values with each head repeated, so that there are `heads` of them."""
    shape = x.spec.shape
    if heads % shape[-3]:
        raise ShapeError("scaled_dot_product_attention",
                         "the heads of the query do not divide among those of key and value",
                         expected=f"a multiple of {shape[-3]}", got=str(heads))
    times = heads // shape[-3]
    wide = expand(unsqueeze(x, -3), *shape[:-2], times, *shape[-2:])
    return reshape(wide, *shape[:-3], heads, *shape[-2:])


@composed(samples=_samples, errors=_errors)
def scaled_dot_product_attention(
    query: TensorT, key: TensorT, value: TensorT, attn_mask: TensorT | None = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> TensorT:
    """Return ``softmax(query @ key.T * scale + mask) @ value``.

    Forward and backward hold no matrix of L x S weights, with dropout neither, unless `attn_mask` needs a gradient.
    Time grows with L x S, memory with L + S.

    Args:
        query: (..., L, E): L targets.
        key: (..., S, E): S sources.
        value: (..., S, V).
        attn_mask: broadcasts to (..., L, S). Bools: True takes part. Floats: added to the scores.
        dropout_p: probability of setting a weight to 0 after the softmax; the others are divided by 1 - dropout_p.
            There is no training flag: pass 0 to evaluate.
        is_causal: target i attends to sources 0 to i.
        scale: 1 / sqrt(E) by default.
        enable_gqa: the third dimension from the end, the heads, may be smaller in key and value by a whole factor; each
            of their heads then serves several of the query's (grouped queries: Ainslie et al. 2023).

    Returns:
        (..., L, V). A target that may attend to nothing gives zeros.

    Raises:
        ShapeError: if the sizes do not fit.
        DTypeError: for a mask of integers.
        ValueRangeError: if both `attn_mask` and `is_causal` are given, or `dropout_p` is no probability.

    Sources: Milakov and Gimelshein 2018 and Dao et al. 2022 for the softmax by blocks; Srivastava et al. 2014 for
    dropout, whose factors are drawn again on the way back (Salmon et al. 2011).

    >>> import autodiff as ad
    >>> x = ad.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> ad.nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True)[0]
    tensor([1., 0.])
    """
    q: Any = query
    k: Any = key
    v: Any = value
    mask: Any = attn_mask
    _check(q, k, v)
    if enable_gqa:
        k, v = _repeated(k, q.spec.shape[-3]), _repeated(v, q.spec.shape[-3])
    if mask is not None:
        if is_causal:
            raise ValueRangeError("scaled_dot_product_attention", "attn_mask and is_causal exclude each other",
                                  fix="put the causal mask into attn_mask, or leave one out")
        mask = _check_mask("scaled_dot_product_attention", mask, q)
        batch = strided.broadcast("scaled_dot_product_attention", *(Spec.of(x.spec.shape[:-2]) for x in (q, k)))
        _check_fit(mask, (*batch, q.spec.shape[-2], k.spec.shape[-2]))
    scale = 1 / math.sqrt(q.spec.shape[-1] or 1) if scale is None else scale
    return attend(q, k, v, mask, is_causal, dropout_p, scale, False)[0]  # type: ignore[no-any-return]


# ---- Several heads ---------------------------------------------------------------------------------------------------


def _heads_samples() -> list[Sample]:
    projection = (spread(-1, 1, 12, 4), spread(-1, 1, 12))
    output = (spread(-1, 1, 4, 4), spread(-1, 1, 4))
    query, source = spread(-1, 2, 3, 2, 4), spread(-2, 1, 5, 2, 4)
    settings = (4, 2, *projection, None, None, False, 0.0, *output)
    hidden = np.array([[False, False, True, False, True], [False] * 5])
    later = np.triu(np.ones((3, 5), bool), 1)
    apart: dict[str, Any] = {f"{name}_proj_weight": spread(-1, 1, 4, n) for name, n in (("q", 4), ("k", 3), ("v", 6))}
    return [
        Sample(query, query, query, *settings),
        Sample(query, source, source, *settings, need_weights=False, attn_mask=later),
        Sample(query, source, spread(-1, 1, 5, 2, 4), *settings, attn_mask=spread(-1, 1, 4, 3, 5)),
        Sample(query[:, 0], source[:, 0], source[:, 0], *settings, average_attn_weights=False),
        Sample(query, source, source, *settings, key_padding_mask=hidden, attn_mask=spread(-1, 1, 3, 5)),
        Sample(query, source, source, *settings, key_padding_mask=hidden, attn_mask=later),
        Sample(query, source, source, 4, 2, *projection, spread(-1, 1, 1, 1, 4), spread(-2, 1, 1, 1, 4), True, 0.0,
               *output, attn_mask=later, training=False),
        Sample(query, spread(-1, 1, 5, 2, 3), spread(-1, 1, 5, 2, 6), 4, 2, None, spread(-1, 1, 12), None, None, False,
               0.0, spread(-1, 1, 4, 4), None, use_separate_proj_weight=True, key_padding_mask=hidden, **apart),
    ]


def _heads_errors() -> list[ErrorSample]:
    x = np.ones((3, 2, 4), np.float32)
    projection = (np.ones((12, 4), np.float32), None)
    rest = (*projection, None, None, False, 0.0, np.ones((4, 4), np.float32), None)
    return [ErrorSample(Sample(x, x, x, 4, 3, *rest), ShapeError, "do not divide into the heads.*multiple of 3; got 4"),
            ErrorSample(Sample(x, x, x, 6, 2, *rest), ShapeError, "features of the query.*6.*got \\(3, 2, 4\\)"),
            ErrorSample(Sample(x[None], x, x, 4, 2, *rest), ShapeError, "two dimensions, or three"),
            ErrorSample(Sample(x, x, x[:2], 4, 2, *rest), ShapeError, "number of keys and values"),
            ErrorSample(Sample(x, x, x, 4, 2, *rest, is_causal=True), ValueRangeError, "is_causal.*attn_mask"),
            ErrorSample(Sample(x, x, x, 4, 2, *rest, attn_mask=np.ones((3, 2), bool)), ShapeError,
                        r"attn_mask.*\(3, 3\) or \(4, 3, 3\); got \(3, 2\)"),
            ErrorSample(Sample(x, x, x, 4, 2, *rest, key_padding_mask=np.ones((3, 2), bool)), ShapeError,
                        r"key_padding_mask.*\(2, 3\); got \(3, 2\)")]


def _heads_of(x: Any, parts: int, heads: int, batch_first: bool) -> tuple[Any, ...]:
    """Return `parts` views (batch, heads, length, size) of projected features that lie side by side."""
    x = reshape(x, *x.spec.shape[:2], parts, heads, -1)
    return unbind(permute(x, (2, 0, 3, 1, 4) if batch_first else (2, 1, 3, 0, 4)), 0)


def _projected(
    query: Any, key: Any, value: Any, weight: Any, bias: Any, heads: int, batch_first: bool
) -> tuple[Any, ...]:
    """Project with one matrix that holds those of query, key and value; one product for inputs that are one tensor."""
    if query is key and key is value:
        return _heads_of(linear(query, weight, bias), 3, heads, batch_first)
    if key is value:
        sizes = (weight.spec.shape[1], 2 * weight.spec.shape[1])
        own, other = split(weight, sizes)
        own_bias, other_bias = (None, None) if bias is None else split(bias, sizes)
        return (*_heads_of(linear(query, own, own_bias), 1, heads, batch_first),
                *_heads_of(linear(key, other, other_bias), 2, heads, batch_first))
    return _projected_apart(query, key, value, chunk(weight, 3), bias, heads, batch_first)


def _projected_apart(
    query: Any, key: Any, value: Any, weights: Sequence[Any], bias: Any, heads: int, batch_first: bool
) -> tuple[Any, ...]:
    """Project with three matrices."""
    biases = (None,) * 3 if bias is None else chunk(bias, 3)
    return tuple([_heads_of(linear(x, w, b), 1, heads, batch_first)[0]
                  for x, w, b in zip((query, key, value), weights, biases, strict=True)])


def _hidden(attn_mask: Any, key_padding_mask: Any, shape: Shape, extra: int) -> Any:
    """Join both masks, in which True hides, into one for `attend`.

    Args:
        attn_mask: (targets, sources) or (batch heads, targets, sources), or None.
        key_padding_mask: (batch, sources), or None.
        shape: of the scores without the extra sources: (batch, heads, targets, sources).
        extra: number of sources at the end that are never hidden.
    """
    batch, heads, targets, sources = shape
    if attn_mask is not None:
        allowed = ((targets, sources), (batch * heads, targets, sources))
        if attn_mask.spec.shape not in allowed:
            raise ShapeError("multi_head_attention_forward", "attn_mask has the wrong shape",
                             expected=f"{allowed[0]} or {allowed[1]}", got=str(attn_mask.spec.shape))
        if attn_mask.spec.ndim == 3:
            attn_mask = reshape(attn_mask, shape)
    if key_padding_mask is not None:
        if key_padding_mask.spec.shape != (batch, sources):
            raise ShapeError("multi_head_attention_forward", "key_padding_mask has the wrong shape",
                             expected=str((batch, sources)), got=str(key_padding_mask.spec.shape))
        key_padding_mask = reshape(key_padding_mask, batch, 1, 1, sources)
    masks = [mask for mask in (attn_mask, key_padding_mask) if mask is not None]
    if all(mask.spec.dtype.kind == "b" for mask in masks):
        mask = logical_not(logical_or(*masks) if len(masks) == 2 else masks[0])
    else:
        floats = next(mask.spec for mask in masks if mask.spec.dtype.kind == "f")
        added = [mask if mask.spec.dtype.kind == "f" else
                 masked_fill(zeros_of(Spec.of(mask.spec.shape, floats.dtype)), mask, -math.inf) for mask in masks]
        mask = add(*added) if len(added) == 2 else added[0]
    if extra:
        end = zeros_of(Spec.of((*mask.spec.shape[:-1], extra), mask.spec.dtype))
        mask = cat([mask, eq(end, 0) if mask.spec.dtype.kind == "b" else end], -1)
    return mask


def _check_heads(query: Any, key: Any, value: Any, features: int, heads: int) -> None:
    operation = "multi_head_attention_forward"
    q, k, v = (x.spec.shape for x in (query, key, value))
    if len(q) not in (2, 3) or len(k) != len(q) or len(v) != len(q):
        raise ShapeError(operation, "query, key and value need two dimensions, or three with a batch",
                         expected="(length, features) or (length, batch, features)", got=f"{q}, {k} and {v}")
    if q[-1] != features:
        raise ShapeError(operation, "the features of the query are not the layer's", expected=f"(..., {features})",
                         got=str(q))
    if features % heads:
        raise ShapeError(operation, "the features do not divide into the heads", expected=f"a multiple of {heads}",
                         got=str(features))
    if k[:-1] != v[:-1]:
        raise ShapeError(operation, "the number of keys and values differs",
                         expected=f"({', '.join(map(str, k[:-1]))}, features)", got=str(v))


@composed(samples=_heads_samples, errors=_heads_errors)
def multi_head_attention_forward(
    query: TensorT, key: TensorT, value: TensorT, embed_dim_to_check: int, num_heads: int,
    in_proj_weight: TensorT | None, in_proj_bias: TensorT | None, bias_k: TensorT | None, bias_v: TensorT | None,
    add_zero_attn: bool, dropout_p: float, out_proj_weight: TensorT, out_proj_bias: TensorT | None,
    training: bool = True, key_padding_mask: TensorT | None = None, need_weights: bool = True,
    attn_mask: TensorT | None = None, use_separate_proj_weight: bool = False, q_proj_weight: TensorT | None = None,
    k_proj_weight: TensorT | None = None, v_proj_weight: TensorT | None = None, static_k: TensorT | None = None,
    static_v: TensorT | None = None, average_attn_weights: bool = True, is_causal: bool = False,
    batch_first: bool = False,
) -> tuple[TensorT, TensorT | None]:
    """Project query, key and value, attend with several heads side by side, and project the result.

    Args:
        query: (L, N, E) or (L, E).
        key: (S, N, K) or (S, K).
        value: (S, N, V) or (S, V).
        embed_dim_to_check: E.
        num_heads: H, a divisor of E.
        in_proj_weight: (3 E, E): the projections of query, key and value, one below the other.
        in_proj_bias: (3 E,), or None.
        bias_k: (1, 1, E): one more key at the end, or None.
        bias_v: (1, 1, E): one more value at the end, or None.
        add_zero_attn: add one more key and value of zeros.
        dropout_p: probability of setting an attention weight to 0; the others are divided by 1 - dropout_p.
        out_proj_weight: (E, E).
        out_proj_bias: (E,), or None.
        training: drop weights.
        key_padding_mask: (N, S) or (S,). Bools: True *hides* a source. Floats: added to the scores.
        need_weights: return the weights too.
        attn_mask: (L, S) or (N H, L, S), read in the same way.
        use_separate_proj_weight: use the three matrices below instead of `in_proj_weight`.
        q_proj_weight: (E, E).
        k_proj_weight: (E, K).
        v_proj_weight: (E, V).
        static_k: (N H, S, E / H): used instead of the projected keys.
        static_v: (N H, S, E / H): used instead of the projected values.
        average_attn_weights: average the returned weights over the heads.
        is_causal: promises that `attn_mask` is the causal mask, which then need not be read.
        batch_first: the batch is the first dimension of query, key, value and output.

    Returns:
        The output, of the shape of `query`, and the weights: (N, L, S), or (N, H, L, S) without averaging, without N
        when there is no batch; None unless wanted.

    Raises:
        ShapeError: if the sizes do not fit.
        DTypeError: for masks of integers.
        ValueRangeError: for `is_causal` without `attn_mask`.

    >>> import autodiff as ad
    >>> x, eye, zeros = ad.ones(3, 1, 2), ad.eye(2), ad.zeros(6, 2)
    >>> output, weights = ad.nn.functional.multi_head_attention_forward(
    ...     x, x, x, 2, 1, zeros, None, None, None, False, 0.0, eye, None)
    >>> output.shape, weights.shape
    ((3, 1, 2), (1, 3, 3))
    """
    operation = "multi_head_attention_forward"
    q: Any = query
    k: Any = key
    v: Any = value
    _check_heads(q, k, v, embed_dim_to_check, num_heads)
    masks = [None if mask is None else _check_mask(operation, mask, q) for mask in (attn_mask, key_padding_mask)]
    if is_causal and masks[0] is None:
        raise ValueRangeError(operation, "is_causal is a promise about attn_mask, which is missing",
                              fix="pass the causal mask as attn_mask too")

    batched = q.spec.ndim == 3
    if not batched:
        alone = q is k and k is v
        q = unsqueeze(q, 1)
        k, v = (q, q) if alone else (unsqueeze(k, 1), unsqueeze(v, 1))
        masks[1] = None if masks[1] is None else unsqueeze(masks[1], 0)
    batch_first = batch_first and batched
    if use_separate_proj_weight:
        apart: Any = (q_proj_weight, k_proj_weight, v_proj_weight)
        q, k, v = _projected_apart(q, k, v, apart, in_proj_bias, num_heads, batch_first)
    else:
        q, k, v = _projected(q, k, v, in_proj_weight, in_proj_bias, num_heads, batch_first)
    batch, _, _, size = q.spec.shape
    fixed: Any = (static_k, static_v)
    k, v = (x if own is None else reshape(own, batch, num_heads, -1, size)
            for x, own in zip((k, v), fixed, strict=True))
    shape = (batch, num_heads, q.spec.shape[2], k.spec.shape[2])
    more: Any = (bias_k, bias_v)
    if bias_k is not None:
        k, v = (cat([x, expand(reshape(b, 1, num_heads, 1, size), batch, num_heads, 1, size)], 2)
                for x, b in zip((k, v), more, strict=True))
    if add_zero_attn:
        k, v = (cat([x, zeros_of(Spec.of((batch, num_heads, 1, size), x.spec.dtype))], 2) for x in (k, v))
    extra = k.spec.shape[2] - shape[3]

    causal = is_causal and masks[1] is None and not extra
    mask = None if causal or masks == [None, None] else _hidden(masks[0], masks[1], shape, extra)
    output, weights = attend(q, k, v, mask, causal, dropout_p if training else 0.0, 1 / math.sqrt(size), need_weights)
    output = permute(output, (0, 2, 1, 3) if batch_first else (2, 0, 1, 3))
    output = reshape(output, *query.spec.shape)  # type: ignore[attr-defined]
    output = linear(output, out_proj_weight, out_proj_bias)
    if not need_weights:
        return output, None
    weights = mean(weights, 1) if average_attn_weights else weights
    return output, weights if batched else select(weights, 0, 0)
