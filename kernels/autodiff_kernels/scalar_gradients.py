"""Scalar formulas of gradients, beside `scalar`: the cotangent g first, then x (the input) or y (the result)."""

from __future__ import annotations

import math

from numba import njit

from autodiff_kernels.maths import exp, fma, log, magnitude, normal_slope, root, sigmoid
from autodiff_kernels.scalar import Number, clamp, power, sign


@njit(error_model="numpy", forceinline=True)
def sqrt_grad(g: float, y: float) -> float:
    """g / (2 y)."""
    return g / (y + y)


@njit(error_model="numpy", forceinline=True)
def rsqrt_grad(g: float, y: float) -> float:
    """-g y**3 / 2."""
    return type(g)(-0.5) * g * y * y * y


@njit(error_model="numpy", forceinline=True)
def reciprocal_grad(g: float, y: float) -> float:
    """-g y**2."""
    return -g * y * y


@njit(error_model="numpy", forceinline=True)
def square_grad(g: float, x: float) -> float:
    """2 g x."""
    return type(g)(2) * g * x


@njit(error_model="numpy", forceinline=True)
def cube_grad(g: float, x: float) -> float:
    """3 g x^2."""
    return type(g)(3) * g * (x * x)


@njit(error_model="numpy", forceinline=True)
def absolute_grad(g: float, x: float) -> float:
    """g sign(x)."""
    return g * sign(x)


@njit(error_model="numpy", forceinline=True)
def tanh_grad(g: float, y: float) -> float:
    """g (1 - y**2)."""
    return g * (type(g)(1) - y * y)


@njit(error_model="numpy", forceinline=True)
def sigmoid_grad(g: float, y: float) -> float:
    """g y (1 - y)."""
    return g * y * (type(g)(1) - y)


@njit(error_model="numpy", forceinline=True)
def erf_grad(g: float, x: float) -> float:
    """2 g e**(-x**2) / sqrt(pi)."""
    T = type(g)
    return T(1.1283791670955126) * g * exp(-x * x)


@njit(error_model="numpy", forceinline=True)
def relu_grad(g: float, y: float) -> float:
    """g where y > 0, else 0; `y` is the input or the result."""
    T = type(g)
    return T(0) if y <= T(0) else g


@njit(error_model="numpy", forceinline=True)
def leaky_relu_grad(g: float, x: float, slope: Number) -> float:
    """g where x > 0, else slope * g."""
    return g if x > type(g)(0) else slope * g


@njit(error_model="numpy", forceinline=True)
def elu_grad(g: float, x: float, alpha: Number) -> float:
    """g where x > 0, else g alpha e**x."""
    return g if x > type(g)(0) else g * alpha * exp(x)


@njit(error_model="numpy", forceinline=True)
def clamp_grad(g: float, x: float, low: Number, high: Number) -> float:
    """g where low <= x <= high, else 0."""
    return g if low <= x and x <= high else type(g)(0)


@njit(error_model="numpy", forceinline=True)
def gelu_grad(g: float, x: float) -> float:
    """g (F(x) + x f(x)), F and f the normal distribution function and density."""
    return g * normal_slope(x)


@njit(error_model="numpy", forceinline=True)
def gelu_tanh_grad(g: float, x: float) -> float:
    """g (s + x s (1 - s) 2 u'), s = sigmoid(2 u), u' = sqrt(2 / pi) (1 + 3 * 0.044715 x**2)."""
    T = type(g)
    square = T(0.044715) * x * x
    s = sigmoid(T(1.5957691216057308) * fma(square, x, x))
    slope = T(1.5957691216057308) * fma(T(3), square, T(1))
    return g * fma(x * s * (T(1) - s), slope, s)


@njit(error_model="numpy", forceinline=True)
def silu_grad(g: float, x: float) -> float:
    """g (s + x s (1 - s)), s = sigmoid(x)."""
    s = sigmoid(x)
    return g * fma(x * s, type(g)(1) - s, s)


@njit(error_model="numpy", forceinline=True)
def softplus_grad(g: float, x: float, beta: Number, threshold: Number) -> float:
    """g sigmoid(beta x); g where beta x > threshold."""
    y = beta * x
    return g if y > threshold else g * sigmoid(y)


@njit(error_model="numpy", forceinline=True)
def log_sigmoid_grad(g: float, x: float) -> float:
    """g sigmoid(-x)."""
    return g * sigmoid(-x)


@njit(error_model="numpy", forceinline=True)
def scaled_difference(g: float, x: float, y: float, scale: Number) -> float:
    """g scale (x - y): the gradient of scale (x - y)**2 / 2."""
    return g * scale * (x - y)


@njit(error_model="numpy", forceinline=True)
def scaled_product(x: float, y: float, scale: Number) -> float:
    """x y scale: dropout with a mask of zeros and ones, and its gradient."""
    return x * y * scale


@njit(error_model="numpy", forceinline=True)
def power_base_grad(g: float, x: float, y: float) -> float:
    """g y x**(y - 1): the gradient of x**y by x; 0 where y is 0."""
    T = type(g)
    return T(0) if y == T(0) else g * y * power(x, y - T(1))


@njit(error_model="numpy", forceinline=True)
def power_exponent_grad(g: float, z: float, x: float, y: float) -> float:
    """g z log(x), z = x**y: its gradient by y; 0 where x is 0 and y >= 0."""
    T = type(g)
    return T(0) if x == T(0) and y >= T(0) else g * z * log(x)


# ---- Elementary functions --------------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def exp2_grad(g: float, y: float) -> float:
    """g y log(2)."""
    return g * (y * type(g)(math.log(2)))


@njit(error_model="numpy", forceinline=True)
def expm1_grad(g: float, y: float) -> float:
    """g (y + 1)."""
    return g * (y + type(g)(1))


@njit(error_model="numpy", forceinline=True)
def log1p_grad(g: float, x: float) -> float:
    """g / (1 + x)."""
    return g / (type(g)(1) + x)


@njit(error_model="numpy", forceinline=True)
def log2_grad(g: float, x: float) -> float:
    """g / (x log(2))."""
    return g / (x * type(g)(math.log(2)))


@njit(error_model="numpy", forceinline=True)
def log10_grad(g: float, x: float) -> float:
    """g / (x log(10))."""
    return g / (x * type(g)(math.log(10)))


@njit(error_model="numpy", forceinline=True)
def tan_grad(g: float, y: float) -> float:
    """g (1 + y**2)."""
    return g * fma(y, y, type(g)(1))


@njit(error_model="numpy", forceinline=True)
def asin_grad(g: float, x: float) -> float:
    """g / sqrt(1 - x**2)."""
    return g / root(fma(-x, x, type(g)(1)))


@njit(error_model="numpy", forceinline=True)
def acos_grad(g: float, x: float) -> float:
    """-g / sqrt(1 - x**2)."""
    return -g / root(fma(-x, x, type(g)(1)))


@njit(error_model="numpy", forceinline=True)
def atan_grad(g: float, x: float) -> float:
    """g / (1 + x**2)."""
    return g / fma(x, x, type(g)(1))


@njit(error_model="numpy", forceinline=True)
def asinh_grad(g: float, x: float) -> float:
    """g / sqrt(x**2 + 1)."""
    return g / root(fma(x, x, type(g)(1)))


@njit(error_model="numpy", forceinline=True)
def acosh_grad(g: float, x: float) -> float:
    """g / sqrt(x**2 - 1)."""
    return g / root(fma(x, x, type(g)(-1)))


@njit(error_model="numpy", forceinline=True)
def atanh_grad(g: float, x: float) -> float:
    """g / (1 - x**2)."""
    return g / fma(-x, x, type(g)(1))


@njit(error_model="numpy", forceinline=True)
def logit_grad(g: float, x: float) -> float:
    """g / (x (1 - x))."""
    return g / (x * (type(g)(1) - x))


@njit(error_model="numpy", forceinline=True)
def atan2_grad(g: float, a: float, b: float, sign: Number) -> float:
    """sign g a / (a**2 + b**2): the gradient of atan2(y, x) by y for (x, y, 1), by x for (y, x, -1); 0 at (0, 0)."""
    T = type(g)
    squares = fma(a, a, b * b)
    return sign * g * (a / (T(1) if squares == T(0) else squares))


@njit(error_model="numpy", forceinline=True)
def hypot_grad(g: float, x: float, z: float) -> float:
    """g x / z, z = hypot(x, y); 0 where z is 0."""
    T = type(g)
    return T(0) if z == T(0) else g * (x / z)


@njit(error_model="numpy", forceinline=True)
def logaddexp_grad(g: float, x: float, y: float) -> float:
    """g sigmoid(x - y): the gradient by x."""
    T = type(g)
    return g * sigmoid(T(0) if x == y else x - y)


@njit(error_model="numpy", forceinline=True)
def nan_to_num_grad(g: float, x: float) -> float:
    """g where x is finite, else 0."""
    T = type(g)
    return g if magnitude(x) < T(math.inf) else T(0)


# ---- Activations and losses ------------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def hardtanh_grad(g: float, x: float, low: Number, high: Number) -> float:
    """g where low < x < high, else 0."""
    return g if low < x and x < high else type(g)(0)


@njit(error_model="numpy", forceinline=True)
def hardsigmoid_grad(g: float, x: float) -> float:
    """g / 6 where -3 < x < 3, else 0."""
    T = type(g)
    return g / T(6) if T(-3) < x and x < T(3) else T(0)


@njit(error_model="numpy", forceinline=True)
def hardswish_grad(g: float, x: float) -> float:
    """g (2 x + 3) / 6 where -3 < x < 3; 0 below, g above."""
    T = type(g)
    return T(0) if x <= T(-3) else g if x >= T(3) else g * (T(2) * x + T(3)) / T(6)


@njit(error_model="numpy", forceinline=True)
def shrink_grad(g: float, x: float, limit: Number) -> float:
    """0 where |x| <= limit, else g."""
    return type(g)(0) if magnitude(x) <= limit else g


@njit(error_model="numpy", forceinline=True)
def softsign_grad(g: float, x: float) -> float:
    """g / (1 + |x|)**2."""
    one = type(g)(1) + magnitude(x)
    return g / (one * one)


@njit(error_model="numpy", forceinline=True)
def mish_grad(g: float, x: float) -> float:
    """g (t + x s (1 - t**2)), t = tanh(log(1 + e**x)), s = sigmoid(x); g where x is large."""
    T = type(g)
    u = exp(x)
    w = u * (u + T(2))
    t = w / (w + T(2))
    return g if x > T(20) else g * fma(x * (u / (u + T(1))), fma(-t, t, T(1)), t)


@njit(error_model="numpy", forceinline=True)
def threshold_grad(g: float, x: float, limit: Number) -> float:
    """0 where x <= limit, else g."""
    return type(g)(0) if x <= limit else g


@njit(error_model="numpy", forceinline=True)
def bent_loss_grad(g: float, x: float, y: float, corner: Number, scale: Number) -> float:
    """g scale min(max(x - y, -corner), corner): the gradient of `bent_loss` by x."""
    return g * scale * clamp(x - y, -corner, corner)


@njit(error_model="numpy", forceinline=True)
def logistic_loss_grad(g: float, x: float, y: float) -> float:
    """g (sigmoid(x) - y): the gradient of `logistic_loss` by x."""
    return g * (sigmoid(x) - y)
