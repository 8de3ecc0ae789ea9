"""Normalization in the shapes of real nets: batch, layer, group, instance and RMS norm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from benchmarks.case import Case
from benchmarks.differentiation import Array, Draw, Inputs, builds, forward, full, normal, uniform
from benchmarks.suites.kernels.images import both_layouts

EPSILON = 1e-5


def batch_norm(module: Any, x: Any, weight: Any, bias: Any, mean: Any, variance: Any, training: bool = True) -> Any:
    return module.nn.functional.batch_norm(x, mean, variance, weight, bias, training, momentum=0.1, eps=EPSILON)


def batch_norm_jax(jax: Any, x: Any, weight: Any, bias: Any, mean: Any, variance: Any, training: bool = True) -> Any:
    """Return the batch norm of (N, C) or (N, H, W, C)."""
    if training:
        axes = tuple(range(x.ndim - 1))
        mean, variance = x.mean(axes), x.var(axes)
    return (x - mean) * (jax.lax.rsqrt(variance + EPSILON) * weight) + bias


def batch_norm_relu(module: Any, *operands: Any) -> Any:
    return module.nn.functional.relu(batch_norm(module, *operands))


def batch_norm_relu_jax(jax: Any, *operands: Any) -> Any:
    return jax.nn.relu(batch_norm_jax(jax, *operands))


def layer_norm(module: Any, x: Any, weight: Any, bias: Any) -> Any:
    return module.nn.functional.layer_norm(x, weight.shape, weight, bias, eps=EPSILON)


def layer_norm_jax(jax: Any, x: Any, weight: Any, bias: Any) -> Any:
    """Return the layer norm over the last dimension."""
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + EPSILON) * weight + bias


def layer_norm_numpy(numpy: Any, x: Any, weight: Any, bias: Any) -> Any:
    """Return the layer norm and its pullback."""
    centred = x - x.mean(-1, keepdims=True)
    rstd = 1 / numpy.sqrt(numpy.square(centred).mean(-1, keepdims=True) + numpy.float32(EPSILON))
    normal = centred * rstd

    def pullback(g: Any) -> Any:
        h = g * weight
        slope = h - h.mean(-1, keepdims=True) - normal * (h * normal).mean(-1, keepdims=True)
        return {"x": slope * rstd, "weight": (g * normal).sum(0), "bias": g.sum(0)}

    return normal * weight + bias, pullback


def rms_norm(module: Any, x: Any, weight: Any) -> Any:
    return module.nn.functional.rms_norm(x, weight.shape, weight, eps=EPSILON)


def rms_norm_jax(jax: Any, x: Any, weight: Any) -> Any:
    return x * jax.lax.rsqrt(jax.numpy.square(x).mean(-1, keepdims=True) + EPSILON) * weight


def group_norm(module: Any, x: Any, weight: Any, bias: Any, groups: int) -> Any:
    return module.nn.functional.group_norm(x, groups, weight, bias, eps=EPSILON)


def group_norm_jax(jax: Any, x: Any, weight: Any, bias: Any, groups: int) -> Any:
    """Return the group norm of (N, H, W, C)."""
    split = x.reshape(*x.shape[:3], groups, -1)
    mean, variance = (f((1, 2, 4), keepdims=True) for f in (split.mean, split.var))
    return ((split - mean) * jax.lax.rsqrt(variance + EPSILON)).reshape(x.shape) * weight + bias


def instance_norm(module: Any, x: Any, weight: Any, bias: Any) -> Any:
    return module.nn.functional.instance_norm(x, weight=weight, bias=bias, eps=EPSILON)


def instance_norm_jax(jax: Any, x: Any, weight: Any, bias: Any) -> Any:
    """Return the instance norm of (N, H, W, C)."""
    mean, variance = (f((1, 2), keepdims=True) for f in (x.mean, x.var))
    return (x - mean) * jax.lax.rsqrt(variance + EPSILON) * weight + bias


def rounded(rng: np.random.Generator, draw: Draw) -> Array:
    """Draw numbers and round them to multiples of 1/8."""
    return np.round(draw(rng) * 8) / 8


def operands(*shape: int, bias: bool = True) -> Inputs:
    """Return the inputs of a norm whose weight has the length of dimension 1.

    x is off centre. It has few different values, so that none is normalized to almost zero, where rounding would decide
    on which side of ReLU's kink it falls.
    """
    x = partial(rounded, draw=normal(*shape, mean=0.5))
    found: Inputs = {"x": x, "weight": uniform(shape[1], low=0.5, high=1.5)}
    return {**found, "bias": normal(shape[1])} if bias else found


def statistics(channels: int) -> Inputs:
    """Return running statistics."""
    return {"mean": full(0, channels), "variance": full(1, channels)}


def by_channel(
    name: str,
    shape: tuple[int, ...],
    function: Callable[..., Any],
    jax: Callable[..., Any],
    inputs: Inputs,
    quick: bool,
) -> Iterator[Case]:
    """Yield a norm of features, or of images in both layouts."""
    place, wrt = f"kernels/{name}/{'x'.join(map(str, shape))}", ("x", "weight", "bias")
    if len(shape) == 2:
        yield Case(place, builds("forward+backward", function, inputs, wrt=wrt, jax=jax), quick=quick)
    else:
        yield from both_layouts(place, function, jax, inputs, quick, wrt)


def cases() -> Iterator[Case]:
    """Yield the norms."""
    for shape in ((128, 256), (32, 16, 32, 32), (128, 16, 32, 32), (32, 64, 8, 8), (32, 64, 32, 32)):
        inputs = {**operands(*shape), **statistics(shape[1])}
        yield from by_channel("batch_norm", shape, batch_norm, batch_norm_jax, inputs, shape == (32, 16, 32, 32))
        if shape in ((128, 256), (32, 16, 32, 32), (32, 64, 8, 8)):
            quick = shape == (128, 256)
            yield from by_channel("batch_norm+relu", shape, batch_norm_relu, batch_norm_relu_jax, inputs, quick)
    shape = (32, 16, 32, 32)
    for training, name in ((True, "training"), (False, "inference")):
        function, jax = (partial(f, training=training) for f in (batch_norm, batch_norm_jax))
        inputs = {**operands(*shape), **statistics(16)}
        found = builds("forward", function, inputs, jax=jax, images=True)
        found["autodiff"] = partial(forward, function=function, inputs=inputs, channels_last=True)
        yield Case(f"kernels/batch_norm/32x16x32x32/{name}/kernel", found, quick=False)
    for rows, features in ((512, 128), (1024, 384), (32, 1024), (4096, 768)):
        inputs = operands(rows, features)
        found = builds("forward+backward", layer_norm, inputs, jax=layer_norm_jax, numpy=layer_norm_numpy)
        yield Case(f"kernels/layer_norm/{rows}x{features}", found, quick=rows == 512)
        found = builds("forward+backward", rms_norm, operands(rows, features, bias=False), jax=rms_norm_jax)
        yield Case(f"kernels/rms_norm/{rows}x{features}", found, quick=False)
    found = builds("forward", layer_norm, operands(1024, 384), jax=layer_norm_jax)
    yield Case("kernels/layer_norm/1024x384/kernel", found, quick=False)
    for shape, groups in (((32, 64, 16, 16), 8), ((8, 128, 32, 32), 32)):
        function, jax = (partial(f, groups=groups) for f in (group_norm, group_norm_jax))
        yield from by_channel("group_norm", shape, function, jax, operands(*shape), shape[0] == 32)
    for shape in ((8, 32, 64, 64), (32, 64, 16, 16)):
        yield from by_channel("instance_norm", shape, instance_norm, instance_norm_jax, operands(*shape), False)
