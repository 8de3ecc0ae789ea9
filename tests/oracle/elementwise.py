"""Arithmetic, comparison and elementary functions, element by element with broadcasting."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .arrays import Array, array, ieee, operand, real


@ieee
def abs(input: Any) -> Array:
    return np.abs(array(input))


absolute = abs


@ieee
def add(input: Any, other: Any, *, alpha: float = 1) -> Array:
    return operand(input) + (operand(other) if alpha == 1 else alpha * operand(other))


@ieee
def sub(input: Any, other: Any, *, alpha: float = 1) -> Array:
    return operand(input) - (operand(other) if alpha == 1 else alpha * operand(other))


subtract = sub


@ieee
def rsub(input: Any, other: Any, *, alpha: float = 1) -> Array:
    return sub(other, input, alpha=alpha)


@ieee
def mul(input: Any, other: Any) -> Array:
    return operand(input) * operand(other)


multiply = mul


@ieee
def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Array:
    a, b = operand(input), operand(other)
    if rounding_mode is None:
        return np.true_divide(a, b)
    if rounding_mode == "floor":
        return np.floor_divide(a, b)
    return np.trunc(np.true_divide(a, b)).astype(np.result_type(a, b))


divide = div


@ieee
def true_divide(input: Any, other: Any) -> Array:
    return div(input, other)


@ieee
def floor_divide(input: Any, other: Any) -> Array:
    return np.floor_divide(operand(input), operand(other))


@ieee
def remainder(input: Any, other: Any) -> Array:
    """x - floor(x / y) y: the sign of the divisor."""
    return np.remainder(operand(input), operand(other))


@ieee
def fmod(input: Any, other: Any) -> Array:
    """x - trunc(x / y) y: the sign of the dividend."""
    return np.fmod(operand(input), operand(other))


@ieee
def neg(input: Any) -> Array:
    return -array(input)


negative = neg


@ieee
def pow(input: Any, exponent: Any) -> Array:
    return np.power(operand(input), operand(exponent))


@ieee
def square(input: Any) -> Array:
    return array(input) * array(input)


@ieee
def reciprocal(input: Any) -> Array:
    return 1 / real(input)


@ieee
def sqrt(input: Any) -> Array:
    return np.sqrt(real(input))


@ieee
def rsqrt(input: Any) -> Array:
    return 1 / np.sqrt(real(input))


@ieee
def lerp(input: Any, end: Any, weight: Any) -> Array:
    return array(input) + operand(weight) * (array(end) - array(input))


@ieee
def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Array:
    return array(input) + value * array(tensor1) * array(tensor2)


@ieee
def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Array:
    return array(input) + value * array(tensor1) / array(tensor2)


def maximum(input: Any, other: Any) -> Array:
    return np.maximum(array(input), array(other))


def minimum(input: Any, other: Any) -> Array:
    return np.minimum(array(input), array(other))


def fmax(input: Any, other: Any) -> Array:
    return np.fmax(array(input), array(other))


def fmin(input: Any, other: Any) -> Array:
    return np.fmin(array(input), array(other))


def clamp(input: Any, min: Any = None, max: Any = None) -> Array:
    x = array(input)
    if min is not None:
        x = np.maximum(x, operand(min))
    if max is not None:
        x = np.minimum(x, operand(max))
    return x


clip = clamp


def clamp_min(input: Any, min: Any) -> Array:
    return clamp(input, min=min)


def clamp_max(input: Any, max: Any) -> Array:
    return clamp(input, max=max)


def where(condition: Any, input: Any, other: Any) -> Array:
    return np.where(condition, operand(input), operand(other))


def masked_fill(input: Any, mask: Any, value: Any) -> Array:
    x = array(input)
    return np.where(mask, np.asarray(value).astype(x.dtype), x)


def sign(input: Any) -> Array:
    """-1, 0 or 1; 0 for NaN."""
    x = array(input)
    return ((x > 0).astype(np.int64) - (x < 0).astype(np.int64)).astype(x.dtype)


def floor(input: Any) -> Array:
    return np.floor(array(input))


def ceil(input: Any) -> Array:
    return np.ceil(array(input))


def trunc(input: Any) -> Array:
    return np.trunc(array(input))


@ieee
def frac(input: Any) -> Array:
    return array(input) - np.trunc(array(input))


@ieee
def round(input: Any, *, decimals: int = 0) -> Array:
    """To the nearest integer, halves to the even one."""
    x = array(input)
    return np.rint(x * 10.0**decimals) / 10.0**decimals if decimals else np.rint(x).astype(x.dtype)


@ieee
def exp(input: Any) -> Array:
    return np.exp(real(input))


@ieee
def exp2(input: Any) -> Array:
    return np.exp2(real(input))


@ieee
def expm1(input: Any) -> Array:
    return np.expm1(real(input))


@ieee
def log(input: Any) -> Array:
    return np.log(real(input))


@ieee
def log1p(input: Any) -> Array:
    return np.log1p(real(input))


@ieee
def log2(input: Any) -> Array:
    return np.log2(real(input))


@ieee
def log10(input: Any) -> Array:
    return np.log10(real(input))


@ieee
def logaddexp(input: Any, other: Any) -> Array:
    return np.logaddexp(real(input), real(other))


@ieee
def xlogy(input: Any, other: Any) -> Array:
    """x log(y); 0 where x is 0, NaN where y is NaN."""
    x, y = np.broadcast_arrays(real(input), real(other))
    return np.where((x == 0) & ~np.isnan(y), 0.0, x * np.log(y))


@ieee
def sin(input: Any) -> Array:
    return np.sin(real(input))


@ieee
def cos(input: Any) -> Array:
    return np.cos(real(input))


@ieee
def tan(input: Any) -> Array:
    return np.tan(real(input))


@ieee
def asin(input: Any) -> Array:
    return np.arcsin(real(input))


@ieee
def acos(input: Any) -> Array:
    return np.arccos(real(input))


@ieee
def atan(input: Any) -> Array:
    return np.arctan(real(input))


@ieee
def atan2(input: Any, other: Any) -> Array:
    return np.arctan2(real(input), real(other))


@ieee
def sinh(input: Any) -> Array:
    return np.sinh(real(input))


@ieee
def cosh(input: Any) -> Array:
    return np.cosh(real(input))


@ieee
def tanh(input: Any) -> Array:
    return np.tanh(real(input))


@ieee
def asinh(input: Any) -> Array:
    return np.arcsinh(real(input))


@ieee
def acosh(input: Any) -> Array:
    return np.arccosh(real(input))


@ieee
def atanh(input: Any) -> Array:
    return np.arctanh(real(input))


@ieee
def hypot(input: Any, other: Any) -> Array:
    return np.hypot(real(input), real(other))


@ieee
def sigmoid(input: Any) -> Array:
    return 1 / (1 + np.exp(-real(input)))


@ieee
def logit(input: Any, eps: float | None = None) -> Array:
    x = real(input) if eps is None else np.clip(real(input), eps, 1 - eps)
    return np.log(x / (1 - x))


def erf(input: Any) -> Array:
    return np.vectorize(math.erf, otypes=[np.float64])(real(input))


def erfc(input: Any) -> Array:
    return np.vectorize(math.erfc, otypes=[np.float64])(real(input))


def eq(input: Any, other: Any) -> Array:
    return np.equal(operand(input), operand(other))


def ne(input: Any, other: Any) -> Array:
    return np.not_equal(operand(input), operand(other))


def lt(input: Any, other: Any) -> Array:
    return np.less(operand(input), operand(other))


def le(input: Any, other: Any) -> Array:
    return np.less_equal(operand(input), operand(other))


def gt(input: Any, other: Any) -> Array:
    return np.greater(operand(input), operand(other))


def ge(input: Any, other: Any) -> Array:
    return np.greater_equal(operand(input), operand(other))


def equal(input: Any, other: Any) -> bool:
    return np.array_equal(array(input), array(other))


@ieee
def isclose(input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Array:
    """|x - y| <= atol + rtol |y|."""
    return np.isclose(array(input), array(other), rtol=rtol, atol=atol, equal_nan=equal_nan)


def allclose(input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    return bool(np.all(isclose(input, other, rtol, atol, equal_nan)))


def logical_and(input: Any, other: Any) -> Array:
    return np.logical_and(input, other)


def logical_or(input: Any, other: Any) -> Array:
    return np.logical_or(input, other)


def logical_xor(input: Any, other: Any) -> Array:
    return np.logical_xor(input, other)


def logical_not(input: Any) -> Array:
    return np.logical_not(input)


def bitwise_and(input: Any, other: Any) -> Array:
    return np.bitwise_and(input, other)


def bitwise_or(input: Any, other: Any) -> Array:
    return np.bitwise_or(input, other)


def bitwise_xor(input: Any, other: Any) -> Array:
    return np.bitwise_xor(input, other)


def bitwise_not(input: Any) -> Array:
    return np.bitwise_not(input)


def isnan(input: Any) -> Array:
    return np.isnan(input)


def isinf(input: Any) -> Array:
    return np.isinf(input)


def isfinite(input: Any) -> Array:
    return np.isfinite(input)


def nan_to_num(input: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Array:
    """Infinities become the largest finite numbers of the input's own dtype."""
    if np.asarray(input).dtype.kind != "f":
        return array(input)
    largest = float(np.finfo(np.asarray(input).dtype).max)
    posinf = largest if posinf is None else posinf
    neginf = -largest if neginf is None else neginf
    return np.nan_to_num(array(input), nan=nan, posinf=posinf, neginf=neginf)
