"""Scalar formulas of activations and of losses element by element, beside `scalar`."""

from __future__ import annotations

from typing import Any

from numba import njit

from autodiff_kernels.maths import exp, expm1, fma, log1p, magnitude, normal_cdf, sigmoid
from autodiff_kernels.scalar import Number, clamp

# ---- Activations -----------------------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def relu(x: Any) -> Any:
    """max(x, 0); NaN stays."""
    T = type(x)
    return T(0) if x < T(0) else x


@njit(error_model="numpy", forceinline=True)
def leaky_relu(x: float, slope: Number) -> float:
    """x where x > 0, else slope * x."""
    return x if x > type(x)(0) else slope * x


@njit(error_model="numpy", forceinline=True)
def elu(x: float, alpha: Number) -> float:
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
def softplus(x: float, beta: Number, threshold: Number) -> float:
    """log(1 + e**(beta x)) / beta; x where beta x > threshold."""
    y = beta * x
    return x if y > threshold else log1p(exp(y)) / beta


@njit(error_model="numpy", forceinline=True)
def log_sigmoid(x: float) -> float:
    """log(sigmoid(x)) = min(x, 0) - log(1 + e**-|x|)."""
    T = type(x)
    return (T(0) if x > T(0) else x) - log1p(exp(-magnitude(x)))


@njit(error_model="numpy", forceinline=True)
def hardsigmoid(x: float) -> float:
    """min(max(x + 3, 0), 6) / 6."""
    T = type(x)
    return clamp(x + T(3), T(0), T(6)) / T(6)


@njit(error_model="numpy", forceinline=True)
def hardswish(x: float) -> float:
    """x min(max(x + 3, 0), 6) / 6.  Howard et al. 2019."""
    T = type(x)
    return x * clamp(x + T(3), T(0), T(6)) / T(6)


@njit(error_model="numpy", forceinline=True)
def hardshrink(x: float, limit: Number) -> float:
    """0 where |x| <= limit, else x."""
    return type(x)(0) if magnitude(x) <= limit else x


@njit(error_model="numpy", forceinline=True)
def softshrink(x: float, limit: Number) -> float:
    """x - min(max(x, -limit), limit)."""
    return x - clamp(x, -limit, limit)


@njit(error_model="numpy", forceinline=True)
def softsign(x: float) -> float:
    """x / (1 + |x|)."""
    return x / (type(x)(1) + magnitude(x))


@njit(error_model="numpy", forceinline=True)
def mish(x: float) -> float:
    """x tanh(log(1 + u)) = x u (u + 2) / (u (u + 2) + 2), u = e**x; x itself where they are equal.  Misra 2019."""
    T = type(x)
    u = exp(x)
    w = u * (u + T(2))
    return x if x > T(20) else x * (w / (w + T(2)))


@njit(error_model="numpy", forceinline=True)
def threshold(x: Any, limit: Number, value: Number) -> Any:
    """`value` where x <= limit, else x."""
    return value if x <= limit else x


# ---- Losses ----------------------------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def bent_loss(x: float, y: float, corner: Number, scale: Number) -> float:
    """scale c (d - c / 2), d = x - y, c = min(max(d, -corner), corner): a parabola, beyond the corner its tangent."""
    d = x - y
    c = clamp(d, -corner, corner)
    return scale * c * (d - type(x)(0.5) * c)


@njit(error_model="numpy", forceinline=True)
def logistic_loss(x: float, y: float) -> float:
    """-y log(s) - (1 - y) log(1 - s), s = sigmoid(x): max(x, 0) - x y + log(1 + e**-|x|)."""
    T = type(x)
    return (x if x > T(0) else T(0)) - x * y + log1p(exp(-magnitude(x)))
