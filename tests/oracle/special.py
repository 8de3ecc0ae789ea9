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


def trigamma(n: int, input: Any) -> Array:
    return polygamma(n, input)


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


def special_xlog1py(input: Any, other: Any) -> Array:
    return np.vectorize(_one_xlog1py, otypes=[np.float64])(*np.broadcast_arrays(real(input), real(other)))


def _one_xlog1py(x: float, y: float) -> float:
    if math.isnan(x) or math.isnan(y) or (y < -1 and x):
        return math.nan
    return x * (math.inf if y == math.inf else -math.inf if y == -1 else math.log1p(y)) if x else 0.0


# ---- The error function ----------------------------------------------------------------------------------------------


def _one_erfcx(x: float) -> float:
    """Up to 5 the product, beyond it the continued fraction."""
    if x == math.inf or x < -26 or math.isnan(x):
        return 0.0 if x > 0 else math.nan if math.isnan(x) else math.inf
    if x < 5:
        return math.exp(x * x) * math.erfc(x)
    denominator = x
    for k in range(200, 0, -1):
        denominator = x + k / 2 / denominator
    return 1 / (math.sqrt(math.pi) * denominator)


def special_erfcx(input: Any) -> Array:
    return _each(_one_erfcx, input)


def _one_log_ndtr(x: float) -> float:
    if x < 0:
        return math.log(_one_erfcx(-x / math.sqrt(2)) / 2) - x * x / 2 if x > -1e100 else -math.inf
    return math.log1p(-math.erfc(x / math.sqrt(2)) / 2)


def special_log_ndtr(input: Any) -> Array:
    return _each(_one_log_ndtr, input)


def _one_ndtri(p: float) -> float:
    """Bisection."""
    if not 0 < p < 1:
        return -math.inf if p == 0 else math.inf if p == 1 else math.nan
    low, high = -40.0, 40.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erfc(-middle / math.sqrt(2)) / 2 < p else (low, middle)
    return high


def special_ndtri(input: Any) -> Array:
    return _each(_one_ndtri, input)


# ---- Bessel's functions: their integrals (DLMF 10.9 and 10.32) -------------------------------------------------------

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(40)


def _integral(function: Any, low: float, high: float, pieces: int) -> float:
    ends = np.linspace(low, high, pieces + 1)
    half = (ends[1] - ends[0]) / 2
    places = (ends[:-1] + half)[:, None] + half * _NODES
    return float((function(places) * _WEIGHTS).sum() * half)


def _one_i(n: int, scaled: bool, x: float) -> float:
    if not math.isfinite(x):
        return x if math.isnan(x) else 0.0 if scaled else abs(x) if n == 0 else x
    a = abs(x)
    found = _integral(lambda t: np.exp(a * (np.cos(t) - 1)) * np.cos(n * t), 0, math.pi, 4 + int(a ** 0.5)) / math.pi
    return math.copysign(1, x) ** n * found * (1.0 if scaled else math.exp(a))


def _one_k(n: int, scaled: bool, x: float) -> float:
    if not 0 < x < math.inf:
        return math.inf if x == 0 else 0.0 if x == math.inf else math.nan
    end = math.acosh(1 + 740 / x)
    found = _integral(lambda t: np.exp(-x * (np.cosh(t) - 1)) * np.cosh(n * t), 0, end, 40)
    return found * (1.0 if scaled else math.exp(-x))


def _one_j(n: int, x: float) -> float:
    if not math.isfinite(x):
        return x if math.isnan(x) else 0.0
    if abs(x) > 1e3:
        return _far(n, x, 0.0)
    return _integral(lambda t: np.cos(n * t - x * np.sin(t)), 0, math.pi, 6 + int(abs(x))) / math.pi


def _one_y(n: int, x: float) -> float:
    if not 0 < x < math.inf:
        return -math.inf if x == 0 else 0.0 if x == math.inf else math.nan
    if x > 1e3:
        return _far(n, x, math.pi / 2)
    if x < 1e-8:
        return 2 / math.pi * (math.log(x / 2) + 0.5772156649015329) if n == 0 else -2 / math.pi / x
    waves = _integral(lambda t: np.sin(x * np.sin(t) - n * t), 0, math.pi, 6 + int(x))
    end = math.asinh(740 / x)
    rest = _integral(lambda t: np.exp(-x * np.sinh(t)) * (np.exp(n * t) + (-1) ** n * np.exp(-n * t)), 0, end, 60)
    return (waves - rest) / math.pi


def _far(n: int, x: float, turn: float) -> float:
    """The expansion for large x; `turn` makes a Y of a J."""
    m, a, terms = 4 * n * n, abs(x), [1.0]
    for k in range(1, 8):
        terms.append(terms[-1] * (m - (2 * k - 1) ** 2) / (k * 8 * a))
    even = sum((-1) ** i * term for i, term in enumerate(terms[::2]))
    odd = sum((-1) ** i * term for i, term in enumerate(terms[1::2]))
    angle = a - (2 * n + 1) * math.pi / 4 - turn
    found = math.sqrt(2 / (math.pi * a)) * (math.cos(angle) * even - math.sin(angle) * odd)
    return math.copysign(1, x) ** n * found


def i0(input: Any) -> Array:
    return _each(lambda x: _one_i(0, False, x), input)


def special_i1(input: Any) -> Array:
    return _each(lambda x: _one_i(1, False, x), input)


def special_i0e(input: Any) -> Array:
    return _each(lambda x: _one_i(0, True, x), input)


def special_i1e(input: Any) -> Array:
    return _each(lambda x: _one_i(1, True, x), input)


def special_modified_bessel_k0(input: Any) -> Array:
    return _each(lambda x: _one_k(0, False, x), input)


def special_modified_bessel_k1(input: Any) -> Array:
    return _each(lambda x: _one_k(1, False, x), input)


def special_scaled_modified_bessel_k0(input: Any) -> Array:
    return _each(lambda x: _one_k(0, True, x), input)


def special_scaled_modified_bessel_k1(input: Any) -> Array:
    return _each(lambda x: _one_k(1, True, x), input)


def special_bessel_j0(input: Any) -> Array:
    return _each(lambda x: _one_j(0, x), input)


def special_bessel_j1(input: Any) -> Array:
    return _each(lambda x: _one_j(1, x), input)


def special_bessel_y0(input: Any) -> Array:
    return _each(lambda x: _one_y(0, x), input)


def special_bessel_y1(input: Any) -> Array:
    return _each(lambda x: _one_y(1, x), input)


# ---- Sums and integrals of powers ------------------------------------------------------------------------------------


def mvlgamma(input: Any, p: int) -> Array:
    return p * (p - 1) / 4 * math.log(math.pi) + sum(lgamma(real(input) - j / 2) for j in range(p))


def _one_lower(a: float, x: float) -> float:
    """The power series."""
    if math.isnan(a) or math.isnan(x) or a < 0 or x < 0 or (a == x and a in (0, math.inf)):
        return math.nan
    if a == 0 or x == math.inf:
        return 1.0
    if x == 0 or a == math.inf:
        return 0.0
    total, n = 0.0, 0
    logarithm = a * math.log(x) - x - math.lgamma(a + 1)
    while n < 20 + 4 * x:
        total += math.exp(logarithm)
        n += 1
        logarithm += math.log(x / (a + n))
    return total


@ieee
def _pairs(function: Any, first: Any, second: Any) -> Array:
    return np.vectorize(function, otypes=[np.float64])(*np.broadcast_arrays(real(first), real(second)))


def igamma(input: Any, other: Any) -> Array:
    return _pairs(_one_lower, input, other)


def igammac(input: Any, other: Any) -> Array:
    return _pairs(lambda a, x: 1 - _one_lower(a, x), input, other)


def _one_zeta(s: float, q: float) -> float:
    """1000 terms, and the integral of the others with a few terms of Euler's."""
    if s == 1 or (s > 1 and q <= 0 and q == math.floor(q)):
        return math.inf
    if not s > 1 or math.isnan(q) or (q < 0 and s != math.floor(s)):
        return math.nan
    if s == math.inf or q == math.inf:
        return 1.0 if q == 1 else math.inf if q < 1 else 0.0
    end = q + 1000
    return (sum((q + k) ** -s for k in range(1000)) + end ** (1 - s) / (s - 1) + end**-s / 2
            + s * end ** (-s - 1) / 12 - s * (s + 1) * (s + 2) * end ** (-s - 3) / 720)


def special_zeta(input: Any, other: Any) -> Array:
    return _pairs(_one_zeta, input, other)
