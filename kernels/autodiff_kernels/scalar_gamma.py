"""Scalar formulas of the incomplete gamma functions, of Hurwitz' zeta function and of its kin: float64, by sums.

Each operand goes its own way, so there is nothing to vectorise; float32 numbers are computed in float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels import special_coefficients as c
from autodiff_kernels.maths import constant, polynomial
from autodiff_kernels.scalar import Number

EPS_SINGLE, EPS_DOUBLE = 2.0**-36, 2.0**-54  # sums end at terms of this share: float32 keeps 24 bits of the result
LIMIT = 10_000  # terms of a sum; a few hundred are needed

# ---- Incomplete gamma functions --------------------------------------------------------------------------------------


@njit(error_model="numpy")
def _excess(a: float, x: float) -> float:
    """mu - log(1 + mu) with 1 + mu = x / a."""
    mu = (x - a) / a
    if abs(mu) > 0.5:
        return mu - math.log(x / a)
    # log(1 + mu) = 2 atanh(s), whose first term takes away what is alike.
    s = mu / (2.0 + mu)
    square, total = s * s, 0.0
    for k in range(19, 0, -1):
        total = total * square + 1.0 / (2 * k + 1)
    return s * (mu - 2.0 * square * total)


@njit(error_model="numpy")
def _front(a: float, x: float) -> float:
    """x**a e**-x / gamma(a + 1)."""
    if a < 140.0:
        power, half = math.pow(x, a), math.exp(-0.5 * x)  # the square of half may be too small where the product is not
        if a < 10.0 or 1e-300 < power < 1e300:
            return power * half / math.gamma(a + 1.0) * half if x < 2000.0 else 0.0
    stirling = polynomial(1.0 / a, c.STIRLING, c.STIRLING)
    return math.exp(-a * _excess(a, x)) / (math.sqrt(2.0 * math.pi * a) * stirling)


@njit(error_model="numpy")
def _lower_series(a: float, x: float, eps: float) -> float:
    """The lower function by its power series (DLMF 8.11.4)."""
    term, total = 1.0, 1.0
    for n in range(1, LIMIT):
        term *= x / (a + n)
        total += term
        if term < eps * total:
            break
    return _front(a, x) * total


@njit(error_model="numpy")
def _upper_fraction(a: float, x: float, eps: float) -> float:
    """The upper function by its continued fraction (DLMF 8.9.2), by Lentz' method."""
    b = x + 1.0 - a
    above, below = 1e300, 1.0 / b
    value = below
    for n in range(1, LIMIT):
        factor = -n * (n - a)
        b += 2.0
        below = 1.0 / (factor * below + b)
        above = b + factor / above
        change = below * above
        value *= change
        if abs(change - 1.0) < eps:
            break
    return _front(a, x) * a * value


@njit(error_model="numpy")
def _upper_of_small(a: float, x: float, eps: float) -> float:
    """The upper function where both numbers are small: 1 - x**a / gamma(a + 1) and what the series adds, both exact."""
    logarithm = a * polynomial(2.0 * a - 1.0, c.LGAMMA_OF_ONE_MORE, c.LGAMMA_OF_ONE_MORE)
    power, total = 1.0, 0.0
    for n in range(1, LIMIT):
        power *= -x / n
        term = power / (a + n)
        total += term
        if abs(term) < eps * abs(total):
            break
    exponent = a * math.log(x) - logarithm
    return -math.expm1(exponent) - a * math.exp(exponent) * total


@njit(error_model="numpy")
def _uniform(a: float, x: float, upper: bool) -> float:
    """Either function where x is near a large a: Temme's uniform expansion (DLMF 8.12.3, 8.12.4 and 8.12.9)."""
    mu = (x - a) / a
    half_square = _excess(a, x)
    eta = math.copysign(math.sqrt(2.0 * half_square), mu)
    total = 0.0
    for k in range(c.TEMME.shape[0] - 1, -1, -1):
        row = 0.0
        for n in range(c.TEMME.shape[1] - 1, -1, -1):
            row = row * eta + c.TEMME[k, n]
        total = total / a + row
    rest = math.exp(-a * half_square) / math.sqrt(2.0 * math.pi * a) * total
    place = eta * math.sqrt(0.5 * a)
    return 0.5 * math.erfc(place) + rest if upper else 0.5 * math.erfc(-place) - rest


@njit(error_model="numpy")
def _incomplete(a: float, x: float, upper: bool, eps: float) -> float:
    """The share of the gamma function's integral that lies below x, or, with `upper`, above."""
    if a != a or x != x or a < 0.0 or x < 0.0 or (a == 0.0 and x == 0.0) or (a == math.inf and x == math.inf):
        return math.nan
    if x == 0.0 or a == math.inf:
        return 1.0 if upper else 0.0
    if a == 0.0 or x == math.inf:
        return 0.0 if upper else 1.0
    if a >= 20.0 and abs(x - a) < 0.3 * a:
        return _uniform(a, x, upper)
    if x > 1.1 and x > a:
        found = _upper_fraction(a, x, eps)
        return found if upper else 1.0 - found
    # Below, the lower function is the smaller one, except where a is smaller still.
    small = a < -0.4 / math.log(x) if x <= 0.5 else a < 1.1 * x
    if small and a <= 1.0 and upper:
        return _upper_of_small(a, x, eps)
    found = _lower_series(a, x, eps)
    return 1.0 - found if upper else found


@njit(error_model="numpy")
def gammainc(a: Any, x: Any) -> float:
    """The regularised lower incomplete gamma function P(a, x)."""
    return _incomplete(np.float64(a), np.float64(x), False, constant(x, EPS_SINGLE, EPS_DOUBLE))


@njit(error_model="numpy")
def gammaincc(a: Any, x: Any) -> float:
    """The regularised upper incomplete gamma function Q(a, x) = 1 - P(a, x)."""
    return _incomplete(np.float64(a), np.float64(x), True, constant(x, EPS_SINGLE, EPS_DOUBLE))


# ---- Hurwitz' zeta function ------------------------------------------------------------------------------------------


@njit(error_model="numpy")
def _inverse_power(q: float, s: float) -> float:
    """q**-s: by multiplication where s is whole and small, which takes a fraction of the time."""
    if s <= 8.0 and s == np.floor(s):
        power = q
        for _ in range(1, int(s)):
            power *= q
        if 1e-300 < power < 1e300:
            return 1.0 / power
    return math.pow(q, -s)


@njit(error_model="numpy")
def _zeta_of_positive(s: float, q: float) -> float:
    """The sum of (q + k)**-s: its first terms, and Euler & Maclaurin's formula for the others (DLMF 25.11.5)."""
    total = 0.0
    for k in range(12):
        total += _inverse_power(q + k, s)
    q += 12.0
    # q**-s alone would be 0 too soon.
    total += _inverse_power(q, s - 1.0) * (1.0 / (s - 1.0) + 0.5 / q)
    power = _inverse_power(q, s)
    factor, inverse = s * power / q, 1.0 / (q * q)
    for j in range(c.EULER_MACLAURIN.shape[0]):
        if factor == 0.0:  # the rest is 0, too, where its growth by s overflows
            break
        total += c.EULER_MACLAURIN[j] * factor
        factor *= (s + 2 * j + 1) * (s + 2 * j + 2) * inverse
    return total


@njit(error_model="numpy")
def zeta(s: Any, q: Any) -> float:
    """The sum of (q + k)**-s over k from 0 on; s > 1. Of a negative q there are finitely many negative terms."""
    s, q = np.float64(s), np.float64(q)
    if s == 1.0:
        return math.inf
    if not s > 1.0 or q != q:
        return math.nan
    if s == math.inf or q == math.inf:
        return math.pow(q, -s)
    if q > 0.0:
        return _zeta_of_positive(s, q)
    if q == np.floor(q):
        return math.inf
    if s != np.floor(s):
        return math.nan
    # The numbers q + k are q, ..., -(1 + nearest), -nearest, and from there on positive. 1 less the first positive one
    # is `nearest`, too, but for its last digits: beside a pole these are all it has.
    below = np.ceil(-q)
    nearest = -(q + (below - 1.0))
    negative = _zeta_of_positive(s, nearest) - _zeta_of_positive(s, nearest + below)
    return _zeta_of_positive(s, q + below) + (negative if s % 2.0 == 0.0 else -negative)


@njit(error_model="numpy")
def polygamma(x: Any, n: Number) -> float:
    """The n-th derivative of `digamma`, n > 0: (-1)**(n + 1) n! zeta(n + 1, x) (DLMF 5.15.1 and 25.11.12)."""
    factorial, last = 1.0, int(n) if 1.0 < n < 171.0 else 171 if n > 1.0 else 1  # 171! is infinite
    for k in range(2, last + 1):
        factorial *= k
    value = factorial * zeta(np.float64(n) + 1.0, x)
    return -value if int(n) % 2 == 0 else value
