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


def softplus(x: Array) -> Array:
    """Return log(1 + e**x) without overflow."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def silu(x: Array) -> Array:
    """Return x sigmoid(x), 0 far below zero."""
    return np.where(np.isinf(x), np.where(x > 0, x, np.nan), x * sigmoid(x))


def mish(x: Array) -> Array:
    """Return x tanh(log(1 + e**x))."""
    return x * np.tanh(softplus(x))


def elu(x: Array, scale: float = 1.0, alpha: float = 1.0) -> Array:
    """Return scale x of positive numbers, scale alpha (e**x - 1) of others."""
    return scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def gelu(x: Array) -> Array:
    """Return x times the normal distribution function of x."""
    return x * erfc(-x / np.sqrt(Wide(2))) / 2


def gelu_tanh(x: Array) -> Array:
    """Return the approximation of gelu by tanh: x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x**3))."""
    return x * sigmoid(2 * np.sqrt(2 / PI) * (x + Wide("0.044715") * x**3))


def sinc(x: Array) -> Array:
    """Return sin(pi x) / (pi x); x mod 2 is exact."""
    angle = PI * np.where(x == 0, 1, x)
    return np.where(x == 0, 1, np.sin(PI * np.fmod(x, 2)) / angle)


def logit(x: Array) -> Array:
    """Return log(x / (1 - x))."""
    return np.log(x) - np.log1p(-x)


def xlogy(x: Array, y: Array) -> Array:
    """Return x log(y); 0 where x is 0 and y a number."""
    return np.where((x == 0) & ~np.isnan(y), 0, x * np.log(y))


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


def erfcx(x: Array) -> Array:
    """Return e**(x**2) erfc(x): from 1 on as a continued fraction."""
    a = np.clip(np.abs(x), 1, None)
    denominator = a
    for k in range(600, 0, -1):
        denominator = a + Wide(k) / 2 / denominator
    power = np.exp(np.minimum(x * x, 1000))
    tail = np.where(np.abs(x) < 1, power * (1 - erf(np.minimum(np.abs(x), 1))), 1 / (np.sqrt(PI) * denominator))
    return np.where(x < 0, 2 * power - tail, tail)


def erfinv(x: Array) -> Array:
    """Return the inverse of erf on [-1, 1]."""
    return np.copysign(_inverse(np.abs(x), 1 - np.abs(x)), x)


def _inverse(a: Array, rest: Array) -> Array:
    """Return the inverse of erf at a = 1 - rest >= 0, by Halley's method (the start: Winitzki 2008)."""
    logarithm = np.log(rest * (1 + a))
    half = 2 / (PI * Wide("0.147")) + logarithm / 2
    y = np.sqrt(np.maximum(np.sqrt(half * half - logarithm / Wide("0.147")) - half, 0))
    for _ in range(5):
        missing = np.where(a < 0.5, erf(y) - a, rest - erfc(y))
        step = missing * np.sqrt(PI) / 2 * np.exp(y * y)
        y = y - step / (1 + y * step)
    return np.where(rest == 0, np.inf, y)


def ndtri(p: Array) -> Array:
    """Return the inverse of the normal distribution function."""
    return np.copysign(np.sqrt(Wide(2)) * _inverse(np.abs(1 - 2 * p), 2 * np.minimum(p, 1 - p)), p - 0.5)


def log_ndtr(x: Array) -> Array:
    """Return the logarithm of the normal distribution function."""
    below = np.log(erfcx(-np.minimum(x, 0) / np.sqrt(Wide(2))) / 2) - x * x / 2
    return np.where(x < 0, below, np.log1p(-erfc(np.maximum(x, 0) / np.sqrt(Wide(2))) / 2))


# ---- Bessel's functions of orders 0 and 1 ----------------------------------------------------------------------------


def bessel_i(n: int, x: Array, scaled: bool = False) -> Array:
    """Return the modified function I: its power series up to 40 (DLMF 10.25.2), then the asymptotic one (10.40.1)."""
    a = np.abs(x)
    near, far = np.minimum(a, 40), np.maximum(a, 40)
    term = total = (near / 2) ** n
    for k in range(1, 150):
        term = term * (near * near / 4) / (k * (k + n))
        total = total + term
    inner = total * (np.exp(-near) if scaled else 1)
    outer = _series(n, far, -1) / np.sqrt(2 * PI * far) * (1 if scaled else np.exp(np.minimum(far, 11_000)))
    return np.where(a <= 40, inner, outer) * np.sign(x) ** n


def _series(n: int, x: Array, sign: int, only: int | None = None) -> Array:
    """Return the sum of sign**k a_k / x**k (DLMF 10.17.1); of k with this remainder by 2, with signs by turns."""
    term, total = np.ones_like(x), np.zeros_like(x)
    for k in range(30):
        if only is None:
            total = total + sign**k * term
        elif k % 2 == only:
            total = total + (-1) ** (k // 2) * term
        term = term * (4 * n * n - (2 * k + 1) ** 2) / ((k + 1) * 8 * x)
    return total


def bessel_k(n: int, x: Array, scaled: bool = False) -> Array:
    """Return the modified function K: series up to 2 (DLMF 10.31.2 and 10.28.2), then the integral 10.32.9."""
    near, far = np.minimum(x, 2), np.maximum(x, 2)
    z, term, harmonic, total = near * near / 4, np.ones_like(x), Wide(0), np.zeros_like(x)
    for k in range(1, 30):
        term, harmonic = term * z / (k * k), harmonic + Wide(1) / k
        total = total + harmonic * term
    inner = total - (np.log(near / 2) + EULER) * bessel_i(0, near)
    if n == 1:
        inner = (1 / near - bessel_i(1, near) * inner) / bessel_i(0, near)
    outer = np.zeros_like(x)
    for j in range(70):
        t = j * Wide("0.2") / np.sqrt(far)
        outer = outer + np.exp(-2 * far * np.sinh(t / 2) ** 2) * np.cosh(n * t) * (0.5 if j == 0 else 1)
    outer = outer * Wide("0.2") / np.sqrt(far)
    return np.where(x <= 2, inner * (np.exp(near) if scaled else 1), outer * (1 if scaled else np.exp(-far)))


def _orders(x: Array, parity: int) -> Array:
    """Return J of the orders of a parity up to 80, by the trapezoidal rule (DLMF 10.9.2), for x up to 40."""
    places = (np.arange(128).astype(Wide) + Wide("0.5")) * PI / 128
    orders = np.arange(parity, 80, 2).astype(Wide)
    wave = (np.sin if parity else np.cos)(x[:, None] * np.sin(places))
    return wave @ (np.sin if parity else np.cos)(places[:, None] * orders) / 128


def bessel_j(n: int, x: Array) -> Array:
    """Return the function J: the integral up to 40, then the asymptotic expansion (DLMF 10.17.3)."""
    return np.where(np.abs(x) <= 40, _orders(np.clip(x, -40, 40), n)[:, 0], _far(n, np.abs(x), 0) * np.sign(x) ** n)


def bessel_y(n: int, x: Array) -> Array:
    """Return the function Y of positive numbers: sums of J up to 40 (A&S 9.1.88)."""
    near = np.minimum(x, 40)
    j = _orders(near, n)
    k = np.arange(1, j.shape[1]).astype(Wide)
    weights = (-1) ** k * (n + 2 * k) / (k * (n + k))
    inner = (np.log(near / 2) + EULER - n) * j[:, 0] - j[:, 1:] @ weights
    inner = inner - bessel_j(0, near) / near if n else inner
    return np.where(x <= 40, 2 / PI * inner, _far(n, x, 1))


def _far(n: int, x: Array, second: int) -> Array:
    """Return the expansion of J for large x, or of Y."""
    x = np.maximum(x, 40)
    even, odd = _series(n, x, 1, 0), _series(n, x, 1, 1)
    # cos and sin of x - (2 n + 1) pi / 4, times the root of 2, without a rounded difference.
    sine, cosine = np.sin(x), np.cos(x)
    across, up = (sine - cosine, -sine - cosine) if n else (sine + cosine, sine - cosine)
    return (up * even + across * odd if second else across * even - up * odd) / np.sqrt(PI * x)


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


def gammainc(a: int, x: Array) -> Array:
    """Return the regularised lower incomplete gamma function, by its power series (DLMF 8.7.1)."""
    term = total = np.exp(a * np.log(x) - x) / math.factorial(a)
    for n in range(1, 600):
        term = term * x / (a + n)
        total = total + term
    return total


def gammaincc(a: int, x: Array) -> Array:
    """Return the upper function of a whole order, which is a finite sum (DLMF 8.4.10)."""
    return np.exp(-x) * sum(x**k / math.factorial(k) for k in range(a))
