"""Element-wise functions beyond the elementary ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import Array, array, ieee, operand, real


def signbit(input: Any) -> Array:
    x = array(input)
    return np.signbit(x) if x.dtype.kind in "fi" else np.zeros(x.shape, np.bool_)


def copysign(input: Any, other: Any) -> Array:
    return np.copysign(real(input), real(other))


def heaviside(input: Any, values: Any) -> Array:
    x, values = array(input), array(values)
    return np.where(x == 0, values, (x > 0).astype(x.dtype))


def sgn(input: Any) -> Array:
    x = array(input)
    return np.sign(x)


def positive(input: Any) -> Array:
    return array(input)


def isposinf(input: Any) -> Array:
    return array(input) == np.inf


def isneginf(input: Any) -> Array:
    return array(input) == -np.inf


def isreal(input: Any) -> Array:
    return np.ones(np.shape(input), np.bool_)


def gcd(input: Any, other: Any) -> Array:
    return np.gcd(operand(input), operand(other))


def lcm(input: Any, other: Any) -> Array:
    return np.lcm(operand(input), operand(other))


@ieee
def logaddexp2(input: Any, other: Any) -> Array:
    return np.logaddexp2(real(input), real(other))


@ieee
def float_power(input: Any, exponent: Any) -> Array:
    return np.float_power(real(input), real(exponent))


@ieee
def ldexp(input: Any, other: Any) -> Array:
    return real(input) * 2.0 ** real(other)


def deg2rad(input: Any) -> Array:
    return real(input) * (np.pi / 180)


def rad2deg(input: Any) -> Array:
    return real(input) * (180 / np.pi)


def sinc(input: Any) -> Array:
    return np.sinc(real(input))
