"""Functions that NumPy does not have: slowly, by series, and as exact as the precision of their argument allows.

Accuracy is measured beside them: results in float64 beside these in long double. A&S is Abramowitz & Stegun, Handbook
of mathematical functions, 1964; DLMF the Digital library of mathematical functions.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

Wide = np.longdouble
PI = Wide("3.14159265358979323846264338327950288")
EULER = Wide("0.577215664901532860606512090082402431")
_BERNOULLI = [
    Wide(a) / b for a, b in ((1, 6), (-1, 30), (1, 42), (-1, 30), (5, 66), (-691, 2730), (7, 6), (-3617, 510))
]
_FAR = 30  # from here on, eight terms of the asymptotic series are exact


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + e**-x) without overflow."""
    power = np.exp(-np.abs(x))
    return np.where(x < 0, power, 1) / (1 + power)


# ---- The error function ----------------------------------------------------------------------------------------------


def erf(x: Array) -> Array:
    """Return the error function as its series of positive terms (A&S 7.1.6)."""
    a = np.minimum(np.abs(x), 7)
    total = term = a
    for n in range(1, 260):
        term = term * (2 * a * a / (2 * n + 1))
        total = total + term
    half_pi = np.arctan2(x.dtype.type(1), x.dtype.type(0))
    return np.copysign(np.minimum(np.sqrt(2 / half_pi) * np.exp(-a * a) * total, 1), x)


def erfc(x: Array) -> Array:
    """Return 1 - erf(x): from 1 on as a continued fraction (A&S 7.1.14)."""
    a = np.clip(np.abs(x), 1, 200)
    denominator = a
    for k in range(600, 0, -1):
        denominator = a + Wide(k) / 2 / denominator
    lead = np.floor(a * 16) / 16  # its square is exact
    tail = np.exp(-lead * lead) * np.exp((lead - a) * (lead + a)) / (np.sqrt(PI) * denominator)
    tail = np.where(np.abs(x) < 1, 1 - erf(np.abs(x)), tail)
    return np.where(x < 0, 2 - tail, tail)


def erfinv(x: Array) -> Array:
    """Return the inverse of erf on [-1, 1], by Halley's method (the start: Winitzki 2008)."""
    a = np.abs(x)
    rest = 1 - a
    logarithm = np.log(rest * (1 + a))
    half = 2 / (PI * Wide("0.147")) + logarithm / 2
    y = np.sqrt(np.maximum(np.sqrt(half * half - logarithm / Wide("0.147")) - half, 0))
    for _ in range(5):
        missing = np.where(a < 0.5, erf(y) - a, rest - erfc(y))
        step = missing * np.sqrt(PI) / 2 * np.exp(y * y)
        y = y - step / (1 + y * step)
    return np.copysign(np.where(a == 1, np.inf, y), x)


# ---- The gamma function, of positive numbers -------------------------------------------------------------------------


def hurwitz(s: int, x: Array) -> Array:
    """Return the sum of (x + k)**-s over k from 0 on (Euler & Maclaurin: DLMF 25.11.5)."""
    y, total = x, np.zeros_like(x)
    for _ in range(_FAR):
        near = y < _FAR
        total = total + np.where(near, (1 / y) ** s, 0)
        y = np.where(near, y + 1, y)
    total = total + (1 / y) ** (s - 1) / (s - 1) + (1 / y) ** s / 2
    factor = Wide(1)
    for j, b in enumerate(_BERNOULLI):
        factor *= s if j == 0 else (s + 2 * j - 1) * (s + 2 * j)
        total = total + b * factor / math.factorial(2 * j + 2) * (1 / y) ** (s + 2 * j + 1)
    return total


def polygamma(n: int, x: Array) -> Array:
    """Return the n-th derivative of digamma, n > 0 (DLMF 5.15.1)."""
    return (-1) ** (n + 1) * math.factorial(n) * hurwitz(n + 1, x)


def digamma(x: Array) -> Array:
    """Return the derivative of lgamma (A&S 6.3.5 and 6.3.18)."""
    y, total = x, np.zeros_like(x)
    for _ in range(_FAR):
        near = y < _FAR
        total = total - np.where(near, 1 / y, 0)
        y = np.where(near, y + 1, y)
    total = total + np.log(y) - 1 / (2 * y)
    for j, b in enumerate(_BERNOULLI, 1):
        total = total - b / (2 * j) * (1 / y) ** (2 * j)
    return total


@lru_cache
def _about_two() -> list[Any]:
    """Return the coefficients of lgamma(2 + z) in powers of z (A&S 6.1.33)."""
    return [Wide(0), 1 - EULER, *[(-1) ** k * hurwitz(k, np.array(2, Wide)) / k for k in range(2, 45)]]


def lgamma(x: Array) -> Array:
    """Return the logarithm of the gamma function: Stirling's series from 8 on (A&S 6.1.41), and that about 2."""
    large = x >= 8
    y, product = np.where(large, x, 8), np.ones_like(x)
    for _ in range(_FAR - 8):
        near = y < _FAR
        product = np.where(near, product * y, product)
        y = np.where(near, y + 1, y)
    far = (y - 0.5) * (np.log(y) - 1) + (np.log(2 * PI) - 1) / 2 - np.log(product)
    for j, b in enumerate(_BERNOULLI, 1):
        far = far + b / (2 * j * (2 * j - 1)) * (1 / y) ** (2 * j - 1)
    z, product = np.where(large, 2, x), np.ones_like(x)
    for _ in range(6):
        above = z > 2.5
        z = np.where(above, z - 1, z)
        product = np.where(above, product * z, product)
    tiny, low = z < 0.5, z < 1.5
    shift = np.where(tiny, z, np.where(low, z - 1, z - 2))
    near = np.polynomial.polynomial.polyval(shift, np.array(_about_two(), Wide))
    near = near - np.where(low, np.log1p(shift), 0) - np.where(tiny, np.log(z), 0) + np.log(product)
    return np.where(large, far, near)
