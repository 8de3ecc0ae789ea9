"""Normalisation, and dropout with a given mask."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .arrays import Array, array, ieee
from .reduce import linalg_vector_norm


def _affine(x: Array, weight: Any, bias: Any, shape: tuple[int, ...]) -> Array:
    if weight is not None:
        x = x * array(weight).reshape(shape)
    return x if bias is None else x + array(bias).reshape(shape)


def _standardise(x: Array, axis: tuple[int, ...], eps: float) -> Array:
    mean = x.mean(axis=axis, keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=axis, keepdims=True)
    return (x - mean) / np.sqrt(variance + eps)


def _channels(x: Array) -> tuple[int, ...]:
    return (1, -1) + (1,) * (x.ndim - 2)


@ieee
def batch_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-05,
) -> Array:
    """Over all dimensions but the channels (dimension 1): Ioffe and Szegedy 2015, algorithm 1."""
    x = array(input)
    if training:
        normal = _standardise(x, (0, *range(2, x.ndim)), eps)
    else:
        mean, variance = (array(s).reshape(_channels(x)) for s in (running_mean, running_var))
        normal = (x - mean) / np.sqrt(variance + eps)
    return _affine(normal, weight, bias, _channels(x))


@ieee
def batch_norm_running(input: Any, running_mean: Any, running_var: Any, momentum: float = 0.1) -> tuple[Array, Array]:
    """The running statistics after one batch_norm in training: the variance in them is the unbiased one."""
    x = array(input)
    axis = (0, *range(2, x.ndim))
    mean, variance = x.mean(axis=axis), x.var(axis=axis, ddof=1)
    old_mean, old_variance = array(running_mean), array(running_var)
    return (1 - momentum) * old_mean + momentum * mean, (1 - momentum) * old_variance + momentum * variance


@ieee
def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-05,
) -> Array:
    """Over the spatial dimensions of each sample and channel: Ulyanov et al. 2016."""
    x = array(input)
    if not use_input_stats:
        return batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    return _affine(_standardise(x, tuple(range(2, x.ndim)), eps), weight, bias, _channels(x))


@ieee
def layer_norm(input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-05) -> Array:
    """Over the last dimensions, which have the shape `normalized_shape`: Ba et al. 2016."""
    x, shape = array(input), tuple(normalized_shape)
    return _affine(_standardise(x, tuple(range(-len(shape), 0)), eps), weight, bias, shape)


@ieee
def rms_norm(input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Array:
    """x / sqrt(mean(x^2) + eps): Zhang and Sennrich 2019. The default eps is that of the input's dtype."""
    eps = float(np.finfo(np.asarray(input).dtype).eps) if eps is None else eps
    x, shape = array(input), tuple(normalized_shape)
    mean_square = (x**2).mean(axis=tuple(range(-len(shape), 0)), keepdims=True)
    return _affine(x / np.sqrt(mean_square + eps), weight, None, shape)


@ieee
def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-05) -> Array:
    """Over the channels of a group and the spatial dimensions: Wu and He 2018."""
    x = array(input)
    grouped = x.reshape(x.shape[0], num_groups, math.prod(x.shape[1:]) // num_groups)
    return _affine(_standardise(grouped, (2,), eps).reshape(x.shape), weight, bias, _channels(x))


@ieee
def normalize(input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Array:
    return array(input) / np.maximum(linalg_vector_norm(input, p, dim, keepdim=True), eps)


@ieee
def local_response_norm(input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Array:
    """Krizhevsky et al. 2012, section 3.3, with the mean over `size` neighbouring channels instead of the sum."""
    x = array(input)
    out = np.zeros_like(x)
    for c in range(x.shape[1]):
        near = x[:, max(c - size // 2, 0) : c + (size - 1) // 2 + 1]
        out[:, c] = x[:, c] / (k + alpha * (near**2).sum(axis=1) / size) ** beta
    return out


def dropout(input: Any, mask: Any, p: float = 0.5, training: bool = True) -> Array:
    """The input where the mask is true, divided by 1 - p, else zero; the mask has the input's shape."""
    x = array(input)
    if not training:
        return x
    return np.where(mask, x / (1 - p), 0.0) if p < 1 else np.zeros_like(x)


def dropout2d(input: Any, mask: Any, p: float = 0.5, training: bool = True) -> Array:
    """As dropout, with one place of the mask (N, C) for each channel."""
    x = array(input)
    mask = np.asarray(mask)
    return dropout(x, np.broadcast_to(mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim)), x.shape), p, training)
