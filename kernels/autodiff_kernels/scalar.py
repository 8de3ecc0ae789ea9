"""Scalar formulas: one function per element-wise operation and gradient, made to be inlined into a vectorised loop.

`elementwise.<name>` is the kernel of the function `<name>` here. An argument's dtype is that of the kernel's operand;
the result is cast to the output's dtype (`memory.convert`). Functions of a float compute in its dtype.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

from autodiff_kernels.maths import (
    cut,
    exp,
    expm1,
    fma,
    frem,
    log,
    log1p,
    magnitude,
    normal_cdf,
    rint,
    root,
    round_down,
    round_up,
    sigmoid,
    with_sign,
)
from autodiff_kernels.maths import erf as erf
from autodiff_kernels.maths import tanh as tanh

# ---- Arithmetic ------------------------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def copy(x: Any) -> Any:
    """x; with an output of another dtype, the cast."""
    return x


@njit(error_model="numpy", forceinline=True)
def add(x: Any, y: Any) -> Any:
    """x + y."""
    return x + y


@njit(error_model="numpy", forceinline=True)
def subtract(x: Any, y: Any) -> Any:
    """x - y."""
    return x - y


@njit(error_model="numpy", forceinline=True)
def multiply(x: Any, y: Any) -> Any:
    """x * y."""
    return x * y


@njit(error_model="numpy", forceinline=True)
def divide(x: Any, y: Any) -> Any:
    """x / y, true division: of integers, a float64."""
    return x / y


@njit(error_model="numpy", forceinline=True)
def negative(x: Any) -> Any:
    """-x."""
    return -x


@njit(error_model="numpy", forceinline=True)
def multiply_add(x: Any, y: Any, z: Any, scale: Any) -> Any:
    """x + scale * y * z."""
    return x + scale * y * z


@njit(error_model="numpy", forceinline=True)
def divide_add(x: Any, y: Any, z: Any, scale: Any) -> Any:
    """x + scale * y / z."""
    return x + scale * y / z


@njit(error_model="numpy", forceinline=True)
def lerp(x: Any, y: Any, weight: Any) -> Any:
    """x + weight * (y - x), from the nearer end, so that weights 0 and 1 give x and y."""
    T = type(x)
    return x + weight * (y - x) if abs(weight) < T(0.5) else y - (y - x) * (T(1) - weight)


@njit(error_model="numpy", forceinline=True)
def reciprocal(x: Any) -> Any:
    """1 / x."""
    return type(x)(1) / x


@njit(error_model="numpy", forceinline=True)
def square(x: Any) -> Any:
    """x * x."""
    return x * x


@njit(error_model="numpy", forceinline=True)
def sqrt(x: float) -> float:
    """Square root, correctly rounded."""
    return root(x)


@njit(error_model="numpy", forceinline=True)
def rsqrt(x: float) -> float:
    """1 / sqrt(x)."""
    return type(x)(1) / root(x)


@njit(error_model="numpy", forceinline=True)
def absolute(x: Any) -> Any:
    """|x|."""
    return abs(x)


@njit(error_model="numpy", forceinline=True)
def sign(x: Any) -> Any:
    """-1, 0 or 1; 0 for NaN."""
    return type(x)((x > 0) - (x < 0))


@njit(error_model="numpy", forceinline=True)
def round(x: Any) -> Any:
    """The nearest integer, the even one from the middle."""
    return rint(x)


@njit(error_model="numpy", forceinline=True)
def maximum(x: Any, y: Any) -> Any:
    """The larger; NaN when either is."""
    return x if x > y or x != x else y


@njit(error_model="numpy", forceinline=True)
def minimum(x: Any, y: Any) -> Any:
    """The smaller; NaN when either is."""
    return x if x < y or x != x else y


@njit(error_model="numpy", forceinline=True)
def clamp(x: Any, low: Any, high: Any) -> Any:
    """min(max(x, low), high); NaN stays."""
    y = low if x < low else x
    return high if y > high else y


@njit(error_model="numpy", forceinline=True)
def where(condition: bool, x: Any, y: Any) -> Any:
    """x where `condition`, else y."""
    return x if condition else y


@njit(error_model="numpy", forceinline=True)
def floor(x: Any) -> Any:
    """The largest integer not above x."""
    return round_down(x)


@njit(error_model="numpy", forceinline=True)
def ceil(x: Any) -> Any:
    """The smallest integer not below x."""
    return round_up(x)


@njit(error_model="numpy", forceinline=True)
def truncate(x: Any) -> Any:
    """x without its fraction."""
    return cut(x)


# ---- Remainders and powers: one formula for floats, one for integers -------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def fmod(x: Any, y: Any) -> Any:
    """x - y * truncate(x / y), exact, with the sign of x; of integers, 0 where y is 0."""
    return _fmod(x, y)


@njit(error_model="numpy", forceinline=True)
def remainder(x: Any, y: Any) -> Any:
    """x - y * floor(x / y) with the sign of y, Python's %; of integers, 0 where y is 0."""
    return _remainder(x, y)


@njit(error_model="numpy", forceinline=True)
def floor_divide(x: Any, y: Any) -> Any:
    """floor(x / y), Python's //; of integers, 0 where y is 0."""
    return _floor_divide(x, y)


@njit(error_model="numpy", forceinline=True)
def power(x: Any, y: Any) -> Any:
    """x ** y; of integers with y < 0, 1 / x cut to an integer."""
    return _power(x, y)


def _fmod(x: Any, y: Any) -> Any:
    raise NotImplementedError


def _remainder(x: Any, y: Any) -> Any:
    raise NotImplementedError


def _floor_divide(x: Any, y: Any) -> Any:
    raise NotImplementedError


def _power(x: Any, y: Any) -> Any:
    raise NotImplementedError


@overload(_fmod, strict=False)
def _choose_fmod(x: Any, y: Any) -> Any:
    if isinstance(x, types.Float):
        return lambda x, y: frem(x, y)
    return lambda x, y: _integer_fmod(x, y)


@overload(_remainder, strict=False)
def _choose_remainder(x: Any, y: Any) -> Any:
    if isinstance(x, types.Float):
        return lambda x, y: _float_remainder(x, y)
    return lambda x, y: x % y


@overload(_floor_divide, strict=False)
def _choose_floor_divide(x: Any, y: Any) -> Any:
    if isinstance(x, types.Float):
        return lambda x, y: _float_floor_divide(x, y)
    return lambda x, y: x // y


@overload(_power, strict=False)
def _choose_power(x: Any, y: Any) -> Any:
    if x == types.float32 and y == types.float32:
        return lambda x, y: _power_single(x, y)
    if isinstance(x, types.Float) or isinstance(y, types.Float):
        return lambda x, y: math.pow(x, y)
    return lambda x, y: _integer_power(x, y)


@njit(error_model="numpy", forceinline=True)
def _integer_fmod(x: int, y: int) -> int:
    rest = x % y
    return rest - y if rest != 0 and (rest < 0) != (x < 0) else rest


@njit(error_model="numpy", forceinline=True)
def _float_remainder(x: float, y: float) -> float:
    rest = frem(x, y)
    return rest + y if rest != 0 and (rest < 0) != (y < 0) else rest


@njit(error_model="numpy", forceinline=True)
def _float_floor_divide(x: float, y: float) -> float:
    """As Python's float division does it: from the exact remainder, so that a rounded quotient is not off by one."""
    T = type(x)
    rest = frem(x, y)
    quotient = rint((x - rest) / y) - T(rest != 0 and (rest < 0) != (y < 0))
    return x / y if y == T(0) else with_sign(T(0), x / y) if quotient == T(0) else quotient


@njit(error_model="numpy", forceinline=True)
def _integer_power(x: int, y: int) -> int:
    """By squaring; wraps as products of integers do. x ** y for y < 0 is 0 unless x is 1 or -1."""
    value: Any = np.int64(1)
    factor, exponent = np.int64(x), np.int64(y)
    while exponent > 0:
        if exponent & 1:
            value *= factor
        factor *= factor
        exponent >>= 1
    if y < 0:
        value = np.int64(1 if x == 1 else 1 - 2 * (exponent & 1) if x == -1 else 0)
    return value


@njit(error_model="numpy", forceinline=True)
def _power_single(x: float, y: float) -> float:
    """float32 x ** y as e**(y log|x|) in float64, whose 29 spare bits leave 1 ulp at the end; C99's special cases."""
    T = type(x)
    double_x, double_y = np.float64(x), np.float64(y)
    value = T(exp(double_y * log(magnitude(double_x))))
    whole, half = double_y == round_down(double_y), double_y * 0.5
    odd = whole and half != round_down(half)
    value = with_sign(value, x) if odd else value
    value = T(math.nan) if x < T(0) and not whole and magnitude(x) != T(math.inf) else value
    one = y == T(0) or x == T(1) or (x == T(-1) and magnitude(y) == T(math.inf))
    return T(1) if one else value


# ---- Comparisons, logic and bits ------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def equal(x: Any, y: Any) -> bool:
    """x == y."""
    return x == y


@njit(error_model="numpy", forceinline=True)
def not_equal(x: Any, y: Any) -> bool:
    """x != y."""
    return x != y


@njit(error_model="numpy", forceinline=True)
def less(x: Any, y: Any) -> bool:
    """x < y."""
    return x < y


@njit(error_model="numpy", forceinline=True)
def less_equal(x: Any, y: Any) -> bool:
    """x <= y."""
    return x <= y


@njit(error_model="numpy", forceinline=True)
def greater(x: Any, y: Any) -> bool:
    """x > y."""
    return x > y


@njit(error_model="numpy", forceinline=True)
def greater_equal(x: Any, y: Any) -> bool:
    """x >= y."""
    return x >= y


@njit(error_model="numpy", forceinline=True)
def logical_and(x: Any, y: Any) -> bool:
    """Both are nonzero."""
    return (x != 0) & (y != 0)


@njit(error_model="numpy", forceinline=True)
def logical_or(x: Any, y: Any) -> bool:
    """One is nonzero."""
    return (x != 0) | (y != 0)


@njit(error_model="numpy", forceinline=True)
def logical_xor(x: Any, y: Any) -> bool:
    """Exactly one is nonzero."""
    return (x != 0) != (y != 0)


@njit(error_model="numpy", forceinline=True)
def logical_not(x: Any) -> bool:
    """x is zero."""
    return x == 0


@njit(error_model="numpy", forceinline=True)
def bitwise_and(x: Any, y: Any) -> Any:
    """x & y, of integers or bools."""
    return x & y


@njit(error_model="numpy", forceinline=True)
def bitwise_or(x: Any, y: Any) -> Any:
    """x | y, of integers or bools."""
    return x | y


@njit(error_model="numpy", forceinline=True)
def bitwise_xor(x: Any, y: Any) -> Any:
    """x ^ y, of integers or bools."""
    return x ^ y


@njit(error_model="numpy", forceinline=True)
def bitwise_not(x: Any) -> Any:
    """~x; of bools, not x."""
    return ~x


@njit(error_model="numpy", forceinline=True)
def left_shift(x: Any, y: Any) -> Any:
    """x << y."""
    return x << y


@njit(error_model="numpy", forceinline=True)
def right_shift(x: Any, y: Any) -> Any:
    """x >> y, keeping the sign."""
    return x >> y


@njit(error_model="numpy", forceinline=True)
def isnan(x: Any) -> bool:
    """x is NaN."""
    return x != x


@njit(error_model="numpy", forceinline=True)
def isinf(x: Any) -> bool:
    """x is infinite."""
    return magnitude(x) == math.inf


@njit(error_model="numpy", forceinline=True)
def isfinite(x: Any) -> bool:
    """x is neither infinite nor NaN."""
    return magnitude(x) < math.inf


# ---- libm -----------------------------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def sin(x: float) -> float:
    """Sine."""
    return math.sin(x)


@njit(error_model="numpy", forceinline=True)
def cos(x: float) -> float:
    """Cosine."""
    return math.cos(x)


@njit(error_model="numpy", forceinline=True)
def tan(x: float) -> float:
    """Tangent."""
    return math.tan(x)


@njit(error_model="numpy", forceinline=True)
def asin(x: float) -> float:
    """Inverse sine."""
    return math.asin(x)


@njit(error_model="numpy", forceinline=True)
def acos(x: float) -> float:
    """Inverse cosine."""
    return math.acos(x)


@njit(error_model="numpy", forceinline=True)
def atan(x: float) -> float:
    """Inverse tangent."""
    return math.atan(x)


@njit(error_model="numpy", forceinline=True)
def sinh(x: float) -> float:
    """Hyperbolic sine."""
    return math.sinh(x)


@njit(error_model="numpy", forceinline=True)
def cosh(x: float) -> float:
    """Hyperbolic cosine."""
    return math.cosh(x)


@njit(error_model="numpy", forceinline=True)
def asinh(x: float) -> float:
    """Inverse hyperbolic sine."""
    return math.asinh(x)


@njit(error_model="numpy", forceinline=True)
def acosh(x: float) -> float:
    """Inverse hyperbolic cosine."""
    return math.acosh(x)


@njit(error_model="numpy", forceinline=True)
def atanh(x: float) -> float:
    """Inverse hyperbolic tangent."""
    return math.atanh(x)


@njit(error_model="numpy", forceinline=True)
def atan2(y: float, x: float) -> float:
    """The angle of the point (x, y)."""
    return math.atan2(y, x)


# ---- Activations -----------------------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def relu(x: Any) -> Any:
    """max(x, 0); NaN stays."""
    T = type(x)
    return T(0) if x < T(0) else x


@njit(error_model="numpy", forceinline=True)
def leaky_relu(x: float, slope: float) -> float:
    """x where x > 0, else slope * x."""
    return x if x > type(x)(0) else slope * x


@njit(error_model="numpy", forceinline=True)
def elu(x: float, alpha: float) -> float:
    """x where x > 0, else alpha * (e**x - 1).  Clevert et al. 2016."""
    return x if x > type(x)(0) else alpha * expm1(x)


@njit(error_model="numpy", forceinline=True)
def gelu(x: float) -> float:
    """x times the normal distribution function of x.  Hendrycks & Gimpel 2016."""
    return x * normal_cdf(x)


@njit(error_model="numpy", forceinline=True)
def gelu_tanh(x: float) -> float:
    """x (1 + tanh(u)) / 2 = x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x**3).  Hendrycks & Gimpel 2016."""
    T = type(x)
    return x * sigmoid(T(1.5957691216057308) * fma(T(0.044715) * x * x, x, x))


@njit(error_model="numpy", forceinline=True)
def silu(x: float) -> float:
    """x sigmoid(x)."""
    return x * sigmoid(x)


@njit(error_model="numpy", forceinline=True)
def softplus(x: float, beta: float, threshold: float) -> float:
    """log(1 + e**(beta x)) / beta; x where beta x > threshold."""
    y = beta * x
    return x if y > threshold else log1p(exp(y)) / beta


@njit(error_model="numpy", forceinline=True)
def log_sigmoid(x: float) -> float:
    """log(sigmoid(x)) = min(x, 0) - log(1 + e**-|x|)."""
    T = type(x)
    return (T(0) if x > T(0) else x) - log1p(exp(-magnitude(x)))
