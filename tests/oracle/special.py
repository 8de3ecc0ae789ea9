"""Special functions, number by number."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .arrays import Array, ieee, real


@ieee
def _each(function: Any, x: Any) -> Array:
    return np.vectorize(function, otypes=[np.float64])(real(x)) if np.size(x) else real(x)


def _one_lgamma(x: float) -> float:
    if math.isnan(x):
        return x
    if math.isinf(x) or (x <= 0 and x == math.floor(x)):
        return math.inf
    return math.lgamma(x)


def lgamma(input: Any) -> Array:
    return _each(_one_lgamma, input)


def _one_digamma(x: float) -> float:
    """Up to 30 by the recurrence, then the asymptotic series."""
    if x == 0:
        return -math.copysign(math.inf, x)
    if math.isnan(x) or x == -math.inf or (x < 0 and x == math.floor(x)):
        return math.nan
    total = 0.0
    while x < 30:
        total -= 1 / x
        x += 1
    return total + math.log(x) - 1 / (2 * x) - 1 / (12 * x**2) + 1 / (120 * x**4) - 1 / (252 * x**6) + 1 / (240 * x**8)


def digamma(input: Any) -> Array:
    return _each(_one_digamma, input)


def _one_polygamma(n: int, x: float) -> float:
    """(-1)**(n + 1) * n! times the sum of (x + k)**-(n + 1), its rest by the integral and a few terms of Euler's."""
    if n == 0:
        return _one_digamma(x)
    sign, s, total = (-1.0) ** (n + 1), n + 1, 0.0
    if math.isnan(x) or x == math.inf:
        return x if math.isnan(x) else sign * 0.0
    if x == -math.inf or (x <= 0 and x == math.floor(x)):
        return sign * math.inf
    while x < 60:
        total += x**-s
        x += 1
    total += x ** (1 - s) / (s - 1) + x**-s / 2 + s * x ** (-s - 1) / 12 - s * (s + 1) * (s + 2) * x ** (-s - 3) / 720
    return sign * math.factorial(n) * total


def polygamma(n: int, input: Any) -> Array:
    return _each(lambda x: _one_polygamma(n, x), input)


def _one_erfinv(x: float) -> float:
    """Newton's method on erfc."""
    if math.isnan(x):
        return x
    if not abs(x) < 1:
        return math.copysign(math.inf, x) if abs(x) == 1 else math.nan
    y, rest = 0.0, 1 - abs(x)
    for _ in range(200):
        missing = math.erfc(y) - rest if abs(x) > 0.5 else abs(x) - math.erf(y)
        step = missing * math.sqrt(math.pi) / 2 * math.exp(y * y)
        y += step
        if abs(step) < 1e-17 * y:
            break
    return math.copysign(y, x)


def erfinv(input: Any) -> Array:
    return _each(_one_erfinv, input)


def special_ndtr(input: Any) -> Array:
    return _each(lambda x: math.erfc(-x / math.sqrt(2)) / 2, input)


@ieee
def special_entr(input: Any) -> Array:
    x = real(input)
    return np.where(x < 0, -np.inf, np.where(x == 0, 0, -x * np.log(x)))
