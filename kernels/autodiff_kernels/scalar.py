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

from autodiff_kernels import remainders, trigonometry
from autodiff_kernels.maths import acosh as acosh
from autodiff_kernels.maths import asinh as asinh
from autodiff_kernels.maths import atanh as atanh
from autodiff_kernels.maths import constant, cut, fma, magnitude, rint, root, round_down, round_up
from autodiff_kernels.maths import cosh as cosh
from autodiff_kernels.maths import erf as erf
from autodiff_kernels.maths import exp as exp
from autodiff_kernels.maths import exp2 as exp2
from autodiff_kernels.maths import expm1 as expm1
from autodiff_kernels.maths import log as log
from autodiff_kernels.maths import log1p as log1p
from autodiff_kernels.maths import log2 as log2
from autodiff_kernels.maths import log10 as log10
from autodiff_kernels.maths import normal_cdf as normal_cdf
from autodiff_kernels.maths import power_single as _power_single
from autodiff_kernels.maths import sigmoid as sigmoid
from autodiff_kernels.maths import sinh as sinh
from autodiff_kernels.maths import tanh as tanh
from autodiff_kernels.remainders import floor_divide as floor_divide
from autodiff_kernels.remainders import fmod as fmod
from autodiff_kernels.remainders import remainder as remainder
from autodiff_kernels.trigonometry import acos as acos
from autodiff_kernels.trigonometry import asin as asin
from autodiff_kernels.trigonometry import atan as atan
from autodiff_kernels.trigonometry import atan2 as atan2
from autodiff_kernels.trigonometry import cos as cos
from autodiff_kernels.trigonometry import sin as sin
from autodiff_kernels.trigonometry import tan as tan

# An operand that is often a number; these come last. The kernel has a second loop, in which all of them are numbers.
Number = Any

# Formulas that do not hold for all operands: where they do, and the formula that always does, which is slow. On
# operands for which both hold they give the same bits.
PARTIAL: dict[str, tuple[Any, Any]] = {
    "sin": (trigonometry.within_reach, trigonometry.sin_anywhere),
    "cos": (trigonometry.within_reach, trigonometry.cos_anywhere),
    "tan": (trigonometry.within_reach, trigonometry.tan_anywhere),
    "fmod": (remainders.quotient_is_small, remainders.fmod_anywhere),
    "remainder": (remainders.quotient_is_small, remainders.remainder_anywhere),
    "floor_divide": (remainders.quotient_is_small, remainders.floor_divide_anywhere),
}

# ---- Arithmetic ------------------------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def copy(x: Any) -> Any:
    """x; with an output of another dtype, the cast."""
    return x


@njit(error_model="numpy", forceinline=True)
def add(x: Any, y: Number) -> Any:
    """x + y."""
    return x + y


@njit(error_model="numpy", forceinline=True)
def subtract(x: Any, y: Number) -> Any:
    """x - y."""
    return x - y


@njit(error_model="numpy", forceinline=True)
def multiply(x: Any, y: Number) -> Any:
    """x * y."""
    return x * y


@njit(error_model="numpy", forceinline=True)
def divide(x: Any, y: Number) -> Any:
    """x / y, true division: of integers, a float64."""
    return x / y


@njit(error_model="numpy", forceinline=True)
def negative(x: Any) -> Any:
    """-x."""
    return -x


@njit(error_model="numpy", forceinline=True)
def multiply_add(x: Any, y: Any, z: Any, scale: Number) -> Any:
    """x + scale * y * z."""
    return x + scale * y * z


@njit(error_model="numpy", forceinline=True)
def divide_add(x: Any, y: Any, z: Any, scale: Number) -> Any:
    """x + scale * y / z."""
    return x + scale * y / z


@njit(error_model="numpy", forceinline=True)
def lerp(x: Any, y: Any, weight: Number) -> Any:
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
def cube(x: Any) -> Any:
    """x * x * x."""
    return x * x * x


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
def frac(x: Any) -> Any:
    """x - truncate(x)."""
    return x - cut(x)


@njit(error_model="numpy", forceinline=True)
def hypot(x: float, y: float) -> float:
    """sqrt(x**2 + y**2) within 2 ulp, scaled by a power of two so that squares neither overflow nor vanish."""
    T = type(x)
    a, b = magnitude(x), magnitude(y)
    larger = a if a > b else b
    huge, tiny = larger > constant(x, 2.0**60, 2.0**500), larger < constant(x, 2.0**-40, 2.0**-450)
    scale = constant(x, 2.0**-64, 2.0**-520) if huge else constant(x, 2.0**80, 2.0**570) if tiny else T(1)
    back = constant(x, 2.0**64, 2.0**520) if huge else constant(x, 2.0**-80, 2.0**-570) if tiny else T(1)
    a, b = scale * a, scale * b
    value = back * root(fma(a, a, b * b))
    return T(math.inf) if a == T(math.inf) or b == T(math.inf) else value


@njit(error_model="numpy", forceinline=True)
def logaddexp(x: float, y: float) -> float:
    """log(e**x + e**y) = max(x, y) + log(1 + e**-|x - y|)."""
    T = type(x)
    difference = T(0) if x == y else x - y
    return (x if difference > T(0) else y) + log1p(exp(-magnitude(difference)))


@njit(error_model="numpy", forceinline=True)
def logit(x: float) -> float:
    """log(x / (1 - x))."""
    return log(x / (type(x)(1) - x))


@njit(error_model="numpy", forceinline=True)
def nan_to_num(x: float, nan: Number, highest: Number, lowest: Number) -> float:
    """x, with `nan`, `highest` and `lowest` in the places of NaN and the two infinities."""
    T = type(x)
    y = highest if x == T(math.inf) else lowest if x == T(-math.inf) else x
    return nan if x != x else y


@njit(error_model="numpy", forceinline=True)
def maximum(x: Any, y: Number) -> Any:
    """The larger; NaN when either is."""
    return x if x > y or x != x else y


@njit(error_model="numpy", forceinline=True)
def minimum(x: Any, y: Number) -> Any:
    """The smaller; NaN when either is."""
    return x if x < y or x != x else y


@njit(error_model="numpy", forceinline=True)
def clamp(x: Any, low: Number, high: Number) -> Any:
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


# ---- Powers: one formula for floats, one for integers ----------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def power(x: Any, y: Number) -> Any:
    """x ** y; of integers with y < 0, 1 / x cut to an integer."""
    return _power(x, y)


def _power(x: Any, y: Any) -> Any:
    raise NotImplementedError


@overload(_power, strict=False)
def _choose_power(x: Any, y: Any) -> Any:
    if x == types.float32 and y == types.float32:
        return lambda x, y: _power_single(x, y)
    if isinstance(x, types.Float) or isinstance(y, types.Float):
        return lambda x, y: math.pow(x, y)
    return lambda x, y: _integer_power(x, y)


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


# ---- Comparisons, logic and bits ------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def equal(x: Any, y: Number) -> bool:
    """x == y."""
    return x == y


@njit(error_model="numpy", forceinline=True)
def not_equal(x: Any, y: Number) -> bool:
    """x != y."""
    return x != y


@njit(error_model="numpy", forceinline=True)
def less(x: Any, y: Number) -> bool:
    """x < y."""
    return x < y


@njit(error_model="numpy", forceinline=True)
def less_equal(x: Any, y: Number) -> bool:
    """x <= y."""
    return x <= y


@njit(error_model="numpy", forceinline=True)
def greater(x: Any, y: Number) -> bool:
    """x > y."""
    return x > y


@njit(error_model="numpy", forceinline=True)
def greater_equal(x: Any, y: Number) -> bool:
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
