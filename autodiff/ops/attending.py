"""The softmax of scaled products of queries and keys, times values: as one operation, and step by step.

The operation never holds the matrix of all scores, nor what dropout multiplies the weights by
(`autodiff_kernels.attention`). The steps serve where somebody wants the weights or differentiates the mask, and are the
operation's twin: they draw the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.bind import bind
from autodiff.ops import strided
from autodiff.ops.broadcast import expand, sum_to
from autodiff.ops.broadcast import sum as total
from autodiff.ops.choice import masked_fill, where
from autodiff.ops.comparison import eq, logical_or, ne
from autodiff.ops.elementwise import add, mul, spread, sub
from autodiff.ops.host import from_array
from autodiff.ops.joining import zeros_of
from autodiff.ops.probability import softmax
from autodiff.ops.products import matmul, no_bias, require_floats
from autodiff.ops.random import bernoulli_p, check_probability, draw_key
from autodiff.ops.structural import contiguous, transpose
from autodiff.primitive import EachPart, Keep, Primitive, Sample, define, no_errors
from autodiff.spec import Array, Cost, Shape, Spec, moved

# ---- Step by step ----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def _later(targets: int, sources: int) -> Any:
    """Return the mask that hides from every position what comes after it."""
    return from_array(~np.tri(targets, sources, dtype=bool))


def _weights(query: Any, key: Any, mask: Any, is_causal: bool, scale: float) -> tuple[Any, Any]:
    """Return the weights, and which targets may attend to nothing, or None.

    Such a target takes part in the softmax with all sources, and its output and weights are then set to zero: no NaN
    arises, in the gradient neither.
    """
    scores = matmul(mul(query, scale), transpose(key, -1, -2))
    empty = None
    if is_causal:
        scores = masked_fill(scores, _later(*scores.spec.shape[-2:]), -math.inf)
    if mask is not None:
        bools = mask.spec.dtype.kind == "b"
        empty = eq(total(mask if bools else ne(mask, -math.inf), -1, keepdim=True), 0)
        if bools:
            scores = where(logical_or(mask, empty), scores, -math.inf)
        else:
            scores = add(scores, masked_fill(mask, empty, 0))
    return softmax(scores, -1), empty


def _given(mask: Any) -> Any:
    return mask if mask.spec.size else None


def _factors(drawn: Any, p: float, weights: Any, *operands: Any) -> Any:
    """Return what dropout multiplies the weights by: 0 or 1 / (1 - p), drawn for the batch of all operands."""
    batch = strided.broadcast("scaled_dot_product_attention", *[Spec.of(x.spec.shape[:-2]) for x in operands])
    shape = (*batch, *weights.spec.shape[-2:])
    scale = 0.0 if p == 1 else 1 / (1 - p)
    return bind(bernoulli_p, drawn, shape=shape, dtype=weights.spec.dtype, p=float(1 - p), scale=scale)


def _attend_in_steps(query: Any, key: Any, value: Any, mask: Any, drawn: Any, is_causal: bool, dropout_p: float,
                     scale: float) -> tuple[Any, Any]:
    weights, empty = _weights(query, key, mask, is_causal, scale)
    if dropout_p:
        masks = () if mask is None else (mask,)
        weights = mul(weights, _factors(drawn, dropout_p, weights, query, key, value, *masks))
    output = matmul(weights, value)
    if empty is not None:
        output, weights = masked_fill(output, empty, 0), masked_fill(weights, empty, 0)
    return output, weights


def attend(
    query: Any, key: Any, value: Any, mask: Any, is_causal: bool, dropout_p: float, scale: float, need_weights: bool
) -> tuple[Any, Any]:
    """Return the output and, if needed, the weights. `mask` is None, bools that keep, or floats to add to the scores.

    A target that may attend to nothing gives zeros. No matrix of all weights is in memory, with dropout neither, unless
    they are needed or `mask` needs a gradient: then L x S numbers are, several times.
    """
    check_probability("scaled_dot_product_attention", dropout_p)
    drawn = draw_key() if dropout_p else from_array(_NO_KEY)
    tensors = (query, key, value)
    own = need_weights or not all(x.spec.size and x.spec.dtype == query.spec.dtype for x in tensors)
    if own or not query.spec.floating or (mask is not None and (mask.needs_grad or not mask.spec.size)):
        return _attend_in_steps(query, key, value, mask, drawn, is_causal, dropout_p, scale)
    operands = [x if x.spec.strides[-1] == 1 or x.spec.shape[-1] == 1 else contiguous(x) for x in tensors]
    if mask is not None:
        if mask.spec.dtype.kind == "b":
            mask = where(mask, zeros_of(Spec.of((), query.spec.dtype)), -math.inf)
        if mask.spec.shape[-1:] != key.spec.shape[-2:-1] or mask.spec.strides[-1] != 1:
            mask = contiguous(expand(mask, (*mask.spec.shape[:-1], key.spec.shape[-2])))
        operands.append(mask)
    specs = [x.spec for x in operands]
    if _merged(specs) is None:
        batch = _batch(specs)
        operands = [contiguous(expand(x, (*batch, *x.spec.shape[-2:]))) for x in operands]
    if mask is None:
        operands.append(from_array(no_bias(query.spec.dtype)))
    params = {"causal": bool(is_causal), "scale": float(scale), "dropout": float(dropout_p)}
    return bind(attention_p, *operands, drawn, **params)[0], None


# ---- In one operation ------------------------------------------------------------------------------------------------

# Inputs: query, key and value with neighbouring features, a mask of floats, which is empty where there is none, and the
# key of dropout's draw, which is empty where nothing is dropped.

_NO_KEY = np.zeros(0, np.int64)


def _batch(specs: Sequence[Spec]) -> Shape:
    return strided.broadcast("scaled_dot_product_attention", *[Spec.of(x.shape[:-2]) for x in specs if x.size])


def _merged(specs: Sequence[Spec]) -> list[tuple[int, ...]] | None:
    """Return the batch as two dimensions (size, stride of each operand), outermost first; None where more are left."""
    batch = _batch(specs)
    merged: list[tuple[int, ...]] = []
    for axis in range(-len(batch), 0):
        size = batch[axis]
        steps = [spec.strides[axis - 2] if spec.ndim - 2 >= -axis and spec.shape[axis - 2] != 1 else 0
                 for spec in specs]
        if size == 1:
            continue
        if merged and all(before == step * size for before, step in zip(merged[-1][1:], steps, strict=True)):
            merged[-1] = (merged[-1][0] * size, *steps)
        else:
            merged.append((size, *steps))
    while len(merged) < 2:
        merged.insert(0, (1, *[0] * len(specs)))
    return merged if len(merged) == 2 else None


def _arguments(operands: Sequence[Spec], causal: bool, scale: float) -> tuple[Any, ...]:
    """Return the kernel's sizes, settings and strides."""
    merged = _merged(operands)
    assert merged is not None, "attend() copies operands whose batch dimensions do not merge"
    outer, inner = merged
    strides: list[int] = []
    for place, spec in enumerate(operands, 1):
        row = spec.strides[-2] if spec.ndim > 1 and spec.shape[-2] > 1 else 0
        strides += [outer[place], inner[place], row]
    q, k, v, _ = operands
    sizes = (outer[0], inner[0], q.shape[-2], k.shape[-2], q.shape[-1], v.shape[-1])
    return (*sizes, scale, int(causal), *strides)


def _infer(*inputs: Spec, causal: bool, scale: float, dropout: float) -> tuple[Spec, Spec]:
    operands = inputs[:4]
    require_floats("scaled_dot_product_attention", *operands)
    q, v, batch = operands[0], operands[2], _batch(operands)
    return Spec.of((*batch, q.shape[-2], v.shape[-1]), q.dtype), Spec.of((math.prod(batch) * q.shape[-2],), q.dtype)


def _draw(key: Array, dropout: float) -> tuple[int, int, float]:
    """Return seed and number of the draw, and the probability of keeping a weight."""
    return (int(key[0]), int(key[1]), 1 - dropout) if dropout else (0, 0, 1.0)


def _prepare(inputs: Sequence[Spec], outputs: Sequence[Spec], causal: bool, scale: float, dropout: float
             ) -> Callable[..., None]:
    arguments, kernel = _arguments(inputs[:4], causal, scale), kernels.attention.attention

    def run(outs: Sequence[Array], ins: Sequence[Array]) -> None:
        (out, logs, scratch), (*operands, key) = outs, ins
        kernel(out.ravel(), logs, scratch, *map(strided.first, operands), *arguments, *_draw(key, dropout), 0, 1)

    return run


def _scratch(inputs: Sequence[Spec], outputs: Sequence[Spec], **_: Any) -> tuple[EachPart]:
    q, k, v = inputs[:3]
    size = kernels.attention.forward_scratch(k.shape[-2], q.shape[-1], v.shape[-1], q.dtype.itemsize, 1)
    return (EachPart(Spec.of((size,), q.dtype)),)


def _pairs(operands: Sequence[Spec]) -> int:
    """Return how many scores there are."""
    return math.prod(_batch(operands)) * operands[0].shape[-2] * operands[1].shape[-2]


def _cost(operands: Sequence[Spec], others: Sequence[Spec], products: int, dropout: float) -> Cost:
    """Return the cost; `products` are what each score takes part in, and a random number is ten rounds."""
    return Cost(_pairs(operands) * (2 * products + (24 if dropout else 14)), moved(*operands, *others))


def _vjp(record: Any, *cotangents: Any) -> tuple[Any, ...]:
    inputs = [record.input(i) for i in range(5)]
    g, kept = contiguous(cotangents[0]), (record.output(0), record.output(1))
    found = bind(attention_grad_p, g, *inputs, *kept, **record.params)
    gradients = [sum_to(d, spec.shape) if needed else None
                 for d, spec, needed in zip(found, record.inputs, record.mask, strict=False)]
    return (*gradients, None, None)


def _samples() -> list[Sample]:
    q, k, v = spread(-2, 2, 2, 2, 3, 4), spread(-1, 2, 2, 2, 5, 4), spread(-2, 1, 2, 2, 5, 6)
    mask = np.where(np.arange(15).reshape(3, 5) % 4 == 1, -np.inf, spread(-1, 1, 3, 5)).astype(np.float32)
    none, key = no_bias(q.dtype), np.array([7, 7])
    return [Sample(q, k, v, none, _NO_KEY, causal=False, scale=0.5, dropout=0.0),
            Sample(q, k[0], v[:, :1], none, _NO_KEY, causal=True, scale=0.3, dropout=0.0),
            Sample(q, k, v, mask, _NO_KEY, causal=False, scale=0.4, dropout=0.0, gradient=False),
            Sample(q, k[0, :1], v, none, key, causal=True, scale=0.3, dropout=0.25),
            Sample(q, k, v, mask, key, causal=False, scale=0.4, dropout=0.5, gradient=False)]


attention_p: Primitive = define(
    "attention",
    infer=_infer,
    run=lambda outs, ins: None,
    prepare=_prepare,
    scratch=_scratch,
    vjp=_vjp,
    saves=Keep(inputs=(0, 1, 2, 3, 4), outputs=(0, 1)),
    twin=lambda q, k, v, mask, key, causal, scale, dropout: _attend_in_steps(
        q, k, v, _given(mask), key, causal, dropout, scale)[0],
    cost=lambda inputs, outputs, causal, scale, dropout: _cost(
        inputs[:4], outputs, inputs[0].shape[-1] + inputs[2].shape[-1], dropout),
    samples=_samples,
    errors=no_errors,
    call=lambda *operands, **params: bind(attention_p, *operands, **params)[0],
)


# Inputs: the cotangent, what `attention` had as inputs, and its two outputs; outputs have the whole batch's shape.


def _grad_infer(*inputs: Spec, **_: Any) -> tuple[Spec, ...]:
    batch = inputs[0].shape[:-2]
    return tuple([Spec.of((*batch, *spec.shape[-2:]), spec.dtype) for spec in inputs[1:4]])


def _chunks(inputs: Sequence[Spec]) -> int:
    return kernels.attention.chunks_of(math.prod(inputs[0].shape[:-2]), inputs[0].shape[-2])  # type: ignore[no-any-return]


def _grad_prepare(inputs: Sequence[Spec], outputs: Sequence[Spec], causal: bool, scale: float, dropout: float
                  ) -> Callable[..., None]:
    arguments, kernel, add_up = (_arguments(inputs[1:5], causal, scale), kernels.attention.attention_grad,
                                 kernels.attention.attention_grad_sum)
    chunks = _chunks(inputs)
    outer, inner, _, *sizes = arguments[:6]

    def run(outs: Sequence[Array], ins: Sequence[Array]) -> None:
        g, *operands, key, out, logs = ins
        gradients, work = [array.ravel() for array in outs[:3]], outs[3:]
        kernel(*gradients, *work, g.ravel(), *map(strided.first, operands), out.ravel(), logs, *arguments,
               *_draw(key, dropout), chunks, 0, 1)
        if chunks > 1:
            add_up(*gradients[1:], work[1], outer * inner, *sizes, chunks, 0, 1)

    return run


def _grad_scratch(inputs: Sequence[Spec], outputs: Sequence[Spec], **_: Any) -> tuple[EachPart, Spec]:
    q, k, v = inputs[1:4]
    size = kernels.attention.gradient_scratch(k.shape[-2], q.shape[-1], v.shape[-1], q.dtype.itemsize, 1)
    partial = (_chunks(inputs) - 1) * (outputs[1].size + outputs[2].size)
    return EachPart(Spec.of((size,), q.dtype)), Spec.of((partial,), q.dtype)


def _grad_twin(g: Any, q: Any, k: Any, v: Any, mask: Any, key: Any, out: Any, logs: Any, causal: bool, scale: float,
               dropout: float) -> tuple[Any, ...]:
    weights, empty = _weights(q, k, _given(mask), causal, scale)
    if empty is not None:
        weights = masked_fill(weights, empty, 0)
    from_value, passed = matmul(g, transpose(v, -1, -2)), weights
    if dropout:
        factors = _factors(key, dropout, weights, g)
        from_value, passed = mul(factors, from_value), mul(factors, weights)
    slopes = mul(weights, sub(from_value, total(mul(weights, from_value), -1, keepdim=True)))
    return (mul(matmul(slopes, k), scale), mul(matmul(transpose(slopes, -1, -2), q), scale),
            matmul(transpose(passed, -1, -2), g))


def _grad_samples() -> list[Sample]:
    """What `attention` returned takes part; its derivative is that of the inputs, so it is not checked here."""
    samples = []
    for sample in _samples():
        out, logs = bind(attention_p, *[from_array(x) for x in sample.arguments], **sample.keywords)
        samples.append(Sample(spread(-1, 2, *out.spec.shape), *sample.arguments, out.array, logs.array, gradient=False,
                              **sample.keywords))
    return samples


attention_grad_p = define(
    "attention_grad",
    infer=_grad_infer,
    run=lambda outs, ins: None,
    prepare=_grad_prepare,
    scratch=_grad_scratch,
    vjp=None,
    twin=_grad_twin,
    cost=lambda inputs, outputs, causal, scale, dropout: _cost(
        inputs[1:5], (inputs[0], *inputs[6:], *outputs), 3 * inputs[1].shape[-1] + 2 * inputs[3].shape[-1], dropout),
    samples=_grad_samples,
    errors=no_errors,
)
