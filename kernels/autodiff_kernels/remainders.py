"""Quotients rounded to an integer, and what they leave: one formula for floats, one for integers.

The remainder of floats is exact. Where the quotient is far below the first integer that a float cannot hold, one
division and one `fma` find it; elsewhere the functions `..._anywhere` ask libm, whose result is the same number.
"""

from __future__ import annotations

import math
from typing import Any

from numba import njit, types
from numba.extending import overload

from autodiff_kernels.maths import constant, cut, fma, frem, magnitude, rint, with_sign


@njit(error_model="numpy", forceinline=True)
def fmod(x: Any, y: Any) -> Any:
    """x - y * truncate(x / y), exact, with the sign of x; of integers, 0 where y is 0."""
    return _rest(x, y)


@njit(error_model="numpy", forceinline=True)
def fmod_anywhere(x: Any, y: Any) -> Any:
    """`fmod` of any two numbers."""
    return _rest_anywhere(x, y)


@njit(error_model="numpy", forceinline=True)
def remainder(x: Any, y: Any) -> Any:
    """x - y * floor(x / y) with the sign of y, Python's %; of integers, 0 where y is 0."""
    return _signed_like(_rest(x, y), y)


@njit(error_model="numpy", forceinline=True)
def remainder_anywhere(x: Any, y: Any) -> Any:
    """`remainder` of any two numbers."""
    return _signed_like(_rest_anywhere(x, y), y)


@njit(error_model="numpy", forceinline=True)
def floor_divide(x: Any, y: Any) -> Any:
    """floor(x / y), Python's //; of integers, 0 where y is 0."""
    return _floor_quotient(x, y, _rest(x, y))


@njit(error_model="numpy", forceinline=True)
def floor_divide_anywhere(x: Any, y: Any) -> Any:
    """`floor_divide` of any two numbers."""
    return _floor_quotient(x, y, _rest_anywhere(x, y))


@njit(error_model="numpy", forceinline=True)
def quotient_is_small(x: Any, y: Any) -> bool:
    """Whether `fmod`, `remainder` and `floor_divide` hold for x and y."""
    return _quotient_is_small(x, y)


# ---- Floats and integers ---------------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def _float_rest(x: float, y: float) -> float:
    """The rounded quotient, cut to an integer, is right or too large by 1; the `fma` is exact."""
    T = type(x)
    rest = fma(-cut(x / y), y, x)
    beyond = rest > T(0) if x < T(0) else rest < T(0)
    return with_sign(magnitude(y) - magnitude(rest) if beyond else rest, x)


@njit(error_model="numpy", forceinline=True)
def _integer_rest(x: int, y: int) -> int:
    rest = x % y
    return rest - y if rest != 0 and (rest < 0) != (x < 0) else rest


@njit(error_model="numpy", forceinline=True)
def _signed_like(rest: Any, y: Any) -> Any:
    return rest + y if rest != 0 and (rest < 0) != (y < 0) else rest


@njit(error_model="numpy", forceinline=True)
def _float_quotient(x: float, y: float, rest: float) -> float:
    """As Python's float division does it: from the exact remainder, so that a rounded quotient is not off by one."""
    T = type(x)
    quotient = rint((x - rest) / y) - T(rest != 0 and (rest < 0) != (y < 0))
    return x / y if y == T(0) else with_sign(T(0), x / y) if quotient == T(0) else quotient


@njit(error_model="numpy", forceinline=True)
def _float_quotient_is_small(x: float, y: float) -> bool:
    size = magnitude(y)
    return magnitude(x) < constant(x, 2.0**22, 2.0**51) * size and size < type(x)(math.inf)


def _rest(x: Any, y: Any) -> Any:
    raise NotImplementedError


def _rest_anywhere(x: Any, y: Any) -> Any:
    raise NotImplementedError


def _floor_quotient(x: Any, y: Any, rest: Any) -> Any:
    raise NotImplementedError


def _quotient_is_small(x: Any, y: Any) -> Any:
    raise NotImplementedError


@overload(_rest, strict=False)
def _choose_rest(x: Any, y: Any) -> Any:
    if isinstance(x, types.Float):
        return lambda x, y: _float_rest(x, y)
    return lambda x, y: _integer_rest(x, y)


@overload(_rest_anywhere, strict=False)
def _choose_rest_anywhere(x: Any, y: Any) -> Any:
    if isinstance(x, types.Float):
        return lambda x, y: frem(x, y)
    return lambda x, y: _integer_rest(x, y)


@overload(_floor_quotient, strict=False)
def _choose_floor_quotient(x: Any, y: Any, rest: Any) -> Any:
    if isinstance(x, types.Float):
        return lambda x, y, rest: _float_quotient(x, y, rest)
    return lambda x, y, rest: -x if y == -1 else x // y  # Numba gives 0 for the smallest number, NumPy that number


@overload(_quotient_is_small, strict=False)
def _choose_quotient_is_small(x: Any, y: Any) -> Any:
    if isinstance(x, types.Float):
        return lambda x, y: _float_quotient_is_small(x, y)
    return lambda x, y: True
