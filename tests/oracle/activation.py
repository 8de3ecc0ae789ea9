"""Activation functions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .arrays import Array, array, ieee, real
from .elementwise import erfc, sigmoid


def relu(input: Any) -> Array:
    return np.maximum(array(input), 0)


def relu6(input: Any) -> Array:
    return np.minimum(np.maximum(array(input), 0), 6)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0) -> Array:
    return np.minimum(np.maximum(array(input), min_val), max_val)


def threshold(input: Any, threshold: float, value: float) -> Array:
    x = array(input)
    return np.where(x <= threshold, value, x)


@ieee
def leaky_relu(input: Any, negative_slope: float = 0.01) -> Array:
    x = real(input)
    return np.where(x > 0, x, negative_slope * x)


@ieee
def prelu(input: Any, weight: Any) -> Array:
    """One slope for all, or one for each channel (dimension 1)."""
    x, slope = real(input), real(weight).reshape(-1)
    if slope.size > 1:
        slope = slope.reshape((1, -1) + (1,) * (x.ndim - 2))
    return np.where(x > 0, x, slope * x) if x.ndim else np.where(x > 0, x, slope[0] * x)


@ieee
def elu(input: Any, alpha: float = 1.0) -> Array:
    x = real(input)
    return np.where(x > 0, x, alpha * np.expm1(x))


@ieee
def selu(input: Any) -> Array:
    """Klambauer et al. 2017, equation 2."""
    return 1.0507009873554804934193349852946 * elu(input, 1.6732632423543772848170429916717)


@ieee
def celu(input: Any, alpha: float = 1.0) -> Array:
    x = real(input)
    return np.maximum(x, 0) + np.minimum(0, alpha * np.expm1(x / alpha))


@ieee
def gelu(input: Any, approximate: str = "none") -> Array:
    """Return x Phi(x) with the standard normal distribution Phi, or its approximation by tanh."""
    x = real(input)
    if approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return x * 0.5 * erfc(-x / math.sqrt(2))


@ieee
def silu(input: Any) -> Array:
    return real(input) * sigmoid(input)


@ieee
def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Array:
    x = real(input)
    return np.where(beta * x > threshold, x, np.log1p(np.exp(beta * x)) / beta)


@ieee
def mish(input: Any) -> Array:
    return real(input) * np.tanh(np.logaddexp(0, real(input)))


@ieee
def logsigmoid(input: Any) -> Array:
    return -np.logaddexp(0, -real(input))


def hardsigmoid(input: Any) -> Array:
    return np.minimum(np.maximum(real(input) + 3, 0), 6) / 6


@ieee
def hardswish(input: Any) -> Array:
    return real(input) * hardsigmoid(input)


def hardshrink(input: Any, lambd: float = 0.5) -> Array:
    x = real(input)
    return np.where(np.abs(x) <= lambd, 0.0, x)


def softshrink(input: Any, lambd: float = 0.5) -> Array:
    x = real(input)
    return np.where(x > lambd, x - lambd, np.where(x < -lambd, x + lambd, 0.0 * x))


@ieee
def softsign(input: Any) -> Array:
    return real(input) / (1 + np.abs(real(input)))


@ieee
def tanhshrink(input: Any) -> Array:
    return real(input) - np.tanh(real(input))


@ieee
def glu(input: Any, dim: int = -1) -> Array:
    """The first half times the sigmoid of the second half."""
    a, b = np.split(real(input), 2, axis=dim)
    return a * sigmoid(b)


def rrelu(input: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False) -> Array:
    """Without random slopes: in evaluation, or where both limits are equal."""
    return leaky_relu(input, (lower + upper) / 2)


def gumbel_softmax(logits: Any, tau: float = 1, hard: bool = False) -> Array:
    """For logits so far apart that no draw matters: the largest one is chosen."""
    x = real(logits)
    return (x == x.max(-1, keepdims=True)).astype(np.float64)
