"""Scalar formulas of Bessel's functions, of the error function's relatives and of the gamma function's logarithm.

In float64 whatever the dtype is.

Near 0 and far from it a function is another polynomial; both are computed and one is chosen, so that there is no
branch. The polynomials (`special_coefficients.py`) interpolate at Chebyshev's points, from values of 50 digits. The
functions and their behaviour far from 0: Digital library of mathematical functions (DLMF), chapters 7 and 10.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels import special_coefficients as c
from autodiff_kernels import trigonometry
from autodiff_kernels.maths import exp, fma, log, log1p, magnitude, polynomial, rint, root, round_down, with_sign
from autodiff_kernels.trigonometry import cos, sin

# ---- Modified functions: I and K -------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def _far_from_zero(a: float) -> float:
    """16 / a - 1, which runs from -1 to 1 as `a` comes from infinity to 8; 1 below."""
    return 16.0 / (8.0 if a < 8.0 else a) - 1.0


@njit(error_model="numpy", forceinline=True)
def i0(x: Any) -> float:
    """The modified Bessel function I0: its power series up to 8, then e**|x| / sqrt(|x|) times a polynomial."""
    x = np.float64(x)
    a = magnitude(x)
    half = exp(0.5 * a)  # e**a may be infinite where the product is not
    far = half * (polynomial(_far_from_zero(a), c.I0_FAR, c.I0_FAR) / root(a)) * half
    z = 0.25 * a * a
    value = polynomial(z, c.I0_NEAR, c.I0_NEAR) if a <= 8.0 else far
    return a if a == math.inf else value


@njit(error_model="numpy", forceinline=True)
def i0e(x: Any) -> float:
    """e**-|x| I0(x)."""
    x = np.float64(x)
    a = magnitude(x)
    far = polynomial(_far_from_zero(a), c.I0_FAR, c.I0_FAR) / root(a)
    z = 0.25 * a * a
    return exp(-a) * polynomial(z, c.I0_NEAR, c.I0_NEAR) if a <= 8.0 else far


@njit(error_model="numpy", forceinline=True)
def i1(x: Any) -> float:
    """The modified Bessel function I1, the derivative of I0."""
    x = np.float64(x)
    a = magnitude(x)
    half = exp(0.5 * a)
    far = half * (polynomial(_far_from_zero(a), c.I1_FAR, c.I1_FAR) / root(a)) * half
    z = 0.25 * a * a
    value = a * polynomial(z, c.I1_NEAR, c.I1_NEAR) if a <= 8.0 else far
    return with_sign(a if a == math.inf else value, x)


@njit(error_model="numpy", forceinline=True)
def i1e(x: Any) -> float:
    """e**-|x| I1(x)."""
    x = np.float64(x)
    a = magnitude(x)
    far = polynomial(_far_from_zero(a), c.I1_FAR, c.I1_FAR) / root(a)
    z = 0.25 * a * a
    near = exp(-a) * (a * polynomial(z, c.I1_NEAR, c.I1_NEAR))
    return with_sign(near if a <= 8.0 else far, x)


@njit(error_model="numpy", forceinline=True)
def _k_places(x: float) -> tuple[float, float, float]:
    """x**2 / 4, x**2 / 2 - 1 for x up to 2, and 4 / x - 1 for the others."""
    near = x if x < 2.0 else 2.0
    z = 0.25 * near * near
    return z, fma(2.0, z, -1.0), 4.0 / (2.0 if x < 2.0 else x) - 1.0


@njit(error_model="numpy", forceinline=True)
def _k_at_limits(value: float, x: float) -> float:
    """The value of a function K, corrected where x is 0 or negative."""
    value = math.inf if x == 0.0 else value
    return math.nan if x < 0.0 else value


@njit(error_model="numpy", forceinline=True)
def _k0_near(x: float, z: float, t: float) -> float:
    """-log(x / 2) I0(x) and the polynomial that is left (DLMF 10.31.2)."""
    rest = polynomial(t, c.K0_NEAR, c.K0_NEAR)
    return fma(-log(0.5 * x), polynomial(z, c.I0_SMALL, c.I0_SMALL), rest)


@njit(error_model="numpy", forceinline=True)
def _k1_near(x: float, z: float, t: float) -> float:
    """1 / x + log(x / 2) I1(x) and the polynomial that is left, times x."""
    inner = polynomial(z, c.I1_SMALL, c.I1_SMALL)
    rest = fma(log(0.5 * x), inner, polynomial(t, c.K1_NEAR, c.K1_NEAR))
    return fma(x, rest, 1.0 / x)


@njit(error_model="numpy", forceinline=True)
def bessel_k0(x: Any) -> float:
    """The modified Bessel function K0; NaN below 0."""
    x = np.float64(x)
    z, t, s = _k_places(x)
    far = polynomial(s, c.K0_FAR, c.K0_FAR) / root(x) * exp(-x)
    return _k_at_limits(_k0_near(x, z, t) if x <= 2.0 else far, x)


@njit(error_model="numpy", forceinline=True)
def bessel_k0e(x: Any) -> float:
    """e**x K0(x)."""
    x = np.float64(x)
    z, t, s = _k_places(x)
    far = polynomial(s, c.K0_FAR, c.K0_FAR) / root(x)
    return _k_at_limits(exp(x) * _k0_near(x, z, t) if x <= 2.0 else far, x)


@njit(error_model="numpy", forceinline=True)
def bessel_k1(x: Any) -> float:
    """The modified Bessel function K1; NaN below 0."""
    x = np.float64(x)
    z, t, s = _k_places(x)
    far = polynomial(s, c.K1_FAR, c.K1_FAR) / root(x) * exp(-x)
    return _k_at_limits(_k1_near(x, z, t) if x <= 2.0 else far, x)


@njit(error_model="numpy", forceinline=True)
def bessel_k1e(x: Any) -> float:
    """e**x K1(x)."""
    x = np.float64(x)
    z, t, s = _k_places(x)
    far = polynomial(s, c.K1_FAR, c.K1_FAR) / root(x)
    return _k_at_limits(exp(x) * _k1_near(x, z, t) if x <= 2.0 else far, x)


# ---- J and Y ---------------------------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def _j0_near(a: float, t: float) -> float:
    """J0 of 0 to 8, with its two zeros as factors, so that it has all digits beside them."""
    first = (a - c.J0_ROOT_1) - c.J0_ROOT_1_LOW
    second = (a - c.J0_ROOT_2) - c.J0_ROOT_2_LOW
    first *= a + c.J0_ROOT_1
    second *= a + c.J0_ROOT_2
    z = 0.25 * a * a
    small = fma(-z, polynomial(z, c.J0_SMALL, c.J0_SMALL), 1.0)
    return small if a < 1.0 else first * second * polynomial(t, c.J0_NEAR, c.J0_NEAR)


@njit(error_model="numpy", forceinline=True)
def _j1_near(a: float, t: float) -> float:
    """J1 of 0 to 8, with its two zeros as factors."""
    first = (a - c.J1_ROOT_1) - c.J1_ROOT_1_LOW
    second = (a - c.J1_ROOT_2) - c.J1_ROOT_2_LOW
    first *= a + c.J1_ROOT_1
    second *= a + c.J1_ROOT_2
    return a * (first * second * polynomial(t, c.J1_NEAR, c.J1_NEAR))


@njit(error_model="numpy", forceinline=True)
def _near_place(a: float) -> float:
    """x**2 / 32 - 1, which runs from -1 to 1 between 0 and 8; 1 beyond."""
    near = a if a < 8.0 else 8.0
    return fma(near * near, 0.03125, -1.0)


@njit(error_model="numpy", forceinline=True)
def _phase(a: float) -> tuple[float, float]:
    """128 / x**2 - 1 and 1 / x, of x from 8 on."""
    inverse = 1.0 / (a if a > 8.0 else 8.0)
    return fma(128.0 * inverse, inverse, -1.0), inverse


@njit(error_model="numpy", forceinline=True)
def _wave(a: float, amplitude: float) -> float:
    """amplitude / sqrt(pi a), 0 at infinity."""
    return 0.0 if a == math.inf else amplitude * 0.5641895835477563 / root(a)


@njit(error_model="numpy", forceinline=True)
def _phase_0(a: float) -> tuple[float, float]:
    """P and Q with J0 = sqrt(2 / (pi x)) (P cos(x - pi / 4) - Q sin(x - pi / 4)), and Y0 likewise (DLMF 10.17.3)."""
    t, inverse = _phase(a)
    return (polynomial(t, c.PHASE_0_COSINE, c.PHASE_0_COSINE),
            inverse * polynomial(t, c.PHASE_0_SINE, c.PHASE_0_SINE))


@njit(error_model="numpy", forceinline=True)
def _phase_1(a: float) -> tuple[float, float]:
    """P and Q of J1 and Y1, whose angle is x - 3 pi / 4."""
    t, inverse = _phase(a)
    return (polynomial(t, c.PHASE_1_COSINE, c.PHASE_1_COSINE),
            inverse * polynomial(t, c.PHASE_1_SINE, c.PHASE_1_SINE))


@njit(error_model="numpy", forceinline=True)
def _j0(a: float, sine: float, cosine: float) -> float:
    p, q = _phase_0(a)
    far = _wave(a, fma(cosine, p + q, sine * (p - q)))
    return _j0_near(a, _near_place(a)) if a <= 8.0 else far


@njit(error_model="numpy", forceinline=True)
def _j1(x: float, sine: float, cosine: float) -> float:
    a = magnitude(x)
    p, q = _phase_1(a)
    far = _wave(a, fma(sine, p + q, cosine * (q - p)))
    value = _j1_near(a, _near_place(a)) if a <= 8.0 else far
    return -value if x < 0.0 else value if a > 0.0 else x


@njit(error_model="numpy", forceinline=True)
def _y_at_limits(value: float, x: float) -> float:
    """The value of a function Y, corrected where x is 0 or negative."""
    value = -math.inf if x == 0.0 else value
    return math.nan if x < 0.0 else value


@njit(error_model="numpy", forceinline=True)
def _y0(x: float, sine: float, cosine: float) -> float:
    t = _near_place(x)
    rest = polynomial(t, c.Y0_NEAR, c.Y0_NEAR)
    near = fma(0.6366197723675814 * log(x), _j0_near(x, t), rest)
    p, q = _phase_0(x)
    far = _wave(x, fma(sine, p + q, cosine * (q - p)))
    return _y_at_limits(near if x <= 8.0 else far, x)


@njit(error_model="numpy", forceinline=True)
def _y1(x: float, sine: float, cosine: float) -> float:
    t = _near_place(x)
    rest = x * polynomial(t, c.Y1_NEAR, c.Y1_NEAR)
    near = fma(0.6366197723675814, fma(log(x), _j1_near(x, t), -1.0 / x), rest)
    p, q = _phase_1(x)
    far = _wave(x, fma(sine, q - p, -cosine * (p + q)))
    return _y_at_limits(near if x <= 8.0 else far, x)


@njit(error_model="numpy", forceinline=True)
def bessel_j0(x: Any) -> float:
    """The Bessel function J0."""
    x = np.float64(x)
    a = magnitude(x)
    return _j0(a, sin(a), cos(a))


@njit(error_model="numpy", forceinline=True)
def _bessel_j0_anywhere(x: Any) -> float:
    x = np.float64(x)
    a = magnitude(x)
    return _j0(a, trigonometry.sin_anywhere(a), trigonometry.cos_anywhere(a))


@njit(error_model="numpy", forceinline=True)
def bessel_j1(x: Any) -> float:
    """The Bessel function J1."""
    x = np.float64(x)
    a = magnitude(x)
    return _j1(x, sin(a), cos(a))


@njit(error_model="numpy", forceinline=True)
def _bessel_j1_anywhere(x: Any) -> float:
    x = np.float64(x)
    a = magnitude(x)
    return _j1(x, trigonometry.sin_anywhere(a), trigonometry.cos_anywhere(a))


@njit(error_model="numpy", forceinline=True)
def bessel_y0(x: Any) -> float:
    """The Bessel function Y0; NaN below 0."""
    x = np.float64(x)
    return _y0(x, sin(x), cos(x))


@njit(error_model="numpy", forceinline=True)
def _bessel_y0_anywhere(x: Any) -> float:
    x = np.float64(x)
    return _y0(x, trigonometry.sin_anywhere(x), trigonometry.cos_anywhere(x))


@njit(error_model="numpy", forceinline=True)
def bessel_y1(x: Any) -> float:
    """The Bessel function Y1; NaN below 0."""
    x = np.float64(x)
    return _y1(x, sin(x), cos(x))


@njit(error_model="numpy", forceinline=True)
def _bessel_y1_anywhere(x: Any) -> float:
    x = np.float64(x)
    return _y1(x, trigonometry.sin_anywhere(x), trigonometry.cos_anywhere(x))


PARTIAL: dict[str, tuple[Any, Any]] = {
    "bessel_j0": (trigonometry.within_reach, _bessel_j0_anywhere),
    "bessel_j1": (trigonometry.within_reach, _bessel_j1_anywhere),
    "bessel_y0": (trigonometry.within_reach, _bessel_y0_anywhere),
    "bessel_y1": (trigonometry.within_reach, _bessel_y1_anywhere),
}

# ---- The error function ----------------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def _power_of_square(x: float, scale: float) -> float:
    """e**(scale x**2), with what the square loses by rounding."""
    square = x * x
    lost = fma(x, x, -square)
    power = exp(scale * square)
    return fma(power, scale * lost, power) if power < math.inf else power


@njit(error_model="numpy", forceinline=True)
def _scaled_tail(a: float) -> float:
    """e**(a**2) erfc(a) for a >= 0: a polynomial in (a - 3.75) / (a + 3.75), over 1 + 2 a (Shepherd & Laframboise)."""
    t = 1.0 - 7.5 / (a + 3.75)
    return polynomial(t, c.ERFCX, c.ERFCX) / fma(2.0, a, 1.0)


@njit(error_model="numpy", forceinline=True)
def erfcx(x: Any) -> float:
    """e**(x**2) erfc(x)."""
    x = np.float64(x)
    tail = _scaled_tail(magnitude(x))
    low = x if x > -30.0 else -30.0
    return fma(2.0, _power_of_square(low, 1.0), -tail) if x < 0.0 else tail


@njit(error_model="numpy", forceinline=True)
def log_ndtr(x: Any) -> float:
    """The logarithm of the normal distribution function: with e**(-x**2 / 2) as a factor, or as what is left to 1."""
    x = np.float64(x)
    a = magnitude(x)
    tail = 0.5 * _scaled_tail(0.7071067811865476 * a)
    end = 40.0  # from here on the result is 0
    near = log1p(-tail * _power_of_square(a if a < end else end, -0.5))
    return log(tail) - 0.5 * a * a if x < 0.0 else near


@njit(error_model="numpy", forceinline=True)
def erfc(x: Any) -> float:
    """1 - erf(x)."""
    x = np.float64(x)
    a, end = magnitude(x), 30.0  # from here on the tail is 0
    tail = _scaled_tail(a) * _power_of_square(a if a < end else end, -1.0)
    return 2.0 - tail if x < 0.0 else tail


@njit(error_model="numpy", forceinline=True)
def _quantile(q: float, p: float) -> float:
    """The number that the normal distribution has q more than half of its mass below; p is 1/2 - |q|.

    Source: Wichura, Algorithm AS 241, 1988.
    """
    away = fma(-q, q, 0.180625)
    middle = q * (polynomial(away, c.QUANTILE_MIDDLE, c.QUANTILE_MIDDLE)
                  / polynomial(away, c.QUANTILE_MIDDLE_BELOW, c.QUANTILE_MIDDLE_BELOW))
    r = root(-log(p))
    s, u = r - 1.6, r - 5.0
    outer = (polynomial(s, c.QUANTILE_OUTER, c.QUANTILE_OUTER)
             / polynomial(s, c.QUANTILE_OUTER_BELOW, c.QUANTILE_OUTER_BELOW))
    far = (polynomial(u, c.QUANTILE_FAR, c.QUANTILE_FAR)
           / polynomial(u, c.QUANTILE_FAR_BELOW, c.QUANTILE_FAR_BELOW))
    far = math.inf if r == math.inf else far
    return middle if magnitude(q) <= 0.425 else with_sign(outer if r <= 5.0 else far, q)


@njit(error_model="numpy", forceinline=True)
def ndtri(p: Any) -> float:
    """The number below which the normal distribution has the share p; NaN outside [0, 1]."""
    p = np.float64(p)
    q = p - 0.5
    value = _quantile(q, p if q < 0.0 else 1.0 - p)
    return value if (p >= 0.0) & (p <= 1.0) else math.nan


@njit(error_model="numpy", forceinline=True)
def erfinv(x: Any) -> float:
    """The inverse of erf; NaN outside [-1, 1]."""
    x = np.float64(x)
    value = 0.7071067811865476 * _quantile(0.5 * x, 0.5 * (1.0 - magnitude(x)))
    return value if magnitude(x) <= 1.0 else math.nan


# ---- The logarithm of the gamma function, and its derivatives --------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def _sine_of_turns(x: float) -> tuple[float, float]:
    """sin(pi x) and cos(pi x), but for a sign that both have."""
    angle = math.pi * (x - rint(x))
    return sin(angle), cos(angle)


@njit(error_model="numpy", forceinline=True)
def lgamma(x: Any) -> float:
    """log |gamma(x)|; infinity at 0, -1, ...

    Stirling's series from 8 on (DLMF 5.11.1), a polynomial about 2, the recurrence between, and below 0 the reflection
    5.5.3.
    """
    x = np.float64(x)
    y = 1.0 - x if x < 0.0 else x
    large = y >= 8.0
    z, factors = 2.0 if large else y, 1.0
    for _ in range(6):
        above = z > 2.5
        z = z - 1.0 if above else z
        factors = factors * z if above else factors
    # From 1/2 to 3/2, and below it, lgamma(z) = lgamma(z + 1) - log(z), with the logarithm about 1.
    tiny, low = z < 0.5, z < 1.5
    shift = z if tiny else z - 1.0 if low else z - 2.0
    logarithm = log(y if large else z if tiny else factors)
    near = shift * polynomial(shift, c.LGAMMA_OF_TWO_MORE, c.LGAMMA_OF_TWO_MORE) - (log1p(shift) if low else 0.0)
    near += -logarithm if tiny else logarithm
    inverse = 1.0 / y
    far = (y - 0.5) * (logarithm - 1.0) + c.HALF_LOG_OF_TURN_LESS_HALF
    far += inverse * polynomial(inverse * inverse, c.LGAMMA_FAR, c.LGAMMA_FAR)
    value = far if large else near
    sine, _ = _sine_of_turns(x)
    pole = (x < 0.0) & (sine == 0.0)
    value = -log(magnitude(sine) * (1.0 / math.pi)) - value if x < 0.0 else value
    return math.inf if pole | (magnitude(x) == math.inf) else value


@njit(error_model="numpy", forceinline=True)
def digamma(x: Any) -> float:
    """The derivative of `lgamma`: NaN at -1, -2, ..., infinite at 0.

    The recurrence up to 10, two steps at a time, then the series DLMF 5.11.2, and below 1/2 the reflection 5.5.4.
    """
    x = np.float64(x)
    y, steps = 1.0 - x if x < 0.5 else x, 0.0
    for _ in range(5):
        small = y < 10.0
        steps += fma(2.0, y, 1.0) / (y * (y + 1.0)) if small else 0.0
        y = y + 2.0 if small else y
    inverse = 1.0 / y
    square = inverse * inverse
    value = log(y) - 0.5 * inverse - square * polynomial(square, c.DIGAMMA_FAR, c.DIGAMMA_FAR) - steps
    sine, cosine = _sine_of_turns(x)
    value = value - math.pi * (cosine / sine) if x < 0.5 else value
    value = math.nan if (x < 0.0) & (x == round_down(x)) else value
    return with_sign(math.inf, -x) if x == 0.0 else value


@njit(error_model="numpy", forceinline=True)
def trigamma(x: Any) -> float:
    """The derivative of `digamma`: infinity at 0, -1, ...

    The recurrence up to 10, two steps at a time, then the series DLMF 5.15.8, and below 1/2 the reflection 5.15.6.
    """
    x = np.float64(x)
    y, steps = 1.0 - x if x < 0.5 else x, 0.0
    for _ in range(5):
        small, both = y < 10.0, y * (y + 1.0)
        steps += fma(2.0, both, 1.0) / (both * both) if small else 0.0
        y = y + 2.0 if small else y
    inverse = 1.0 / y
    square = inverse * inverse
    value = fma(inverse * square, polynomial(square, c.TRIGAMMA_FAR, c.TRIGAMMA_FAR), 0.5 * square)
    value += inverse + steps
    sine, _ = _sine_of_turns(x)
    ratio = math.pi / sine
    value = ratio * ratio - value if x < 0.5 else value
    return math.inf if (x <= 0.0) & (x == round_down(x)) else value
