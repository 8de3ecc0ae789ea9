"""Elementary functions: powers, roots, exponentials, logarithms, trigonometric and hyperbolic functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from autodiff.bind import TensorT, bind
from autodiff.errors import ValueRangeError
from autodiff.ops.choice import clamp, where
from autodiff.ops.comparison import eq, ge, isinf, le, logical_and, logical_or
from autodiff.ops.elementwise import OUT, X, add, div, fit, mul, neg, pointwise, reciprocal, square, sub
from autodiff.ops.promotion import constant, is_tensor, promote, promote_float, real, result_dtype
from autodiff.ops.samples import binary_errors, binary_samples, gradient_samples, spread, unary_errors, unary_samples
from autodiff.ops.structural import clone
from autodiff.primitive import ErrorSample, Keep, Primitive, Sample, composed

__all__ = ["acos", "acosh", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "asin", "asinh",
           "atan", "atan2", "atanh", "cos", "cosh", "erf", "exp", "exp2", "expm1", "hypot", "log", "log10", "log1p",
           "log2", "logaddexp", "logit", "logsigmoid", "pow", "rsqrt", "sigmoid", "sin", "sinh", "sqrt", "tan", "tanh",
           "xlogy"]

# ---- Powers ----------------------------------------------------------------------------------------------------------


def _pow_vjp(r: Any, g: Any) -> tuple[Any, ...]:
    x, y = r.input(0), r.input(1)
    return fit(r, bind(pow_base_grad_p, g, x, y) if r.mask[0] else None,
               bind(pow_exponent_grad_p, g, r.output(0), x, y) if r.mask[1] else None)


def _pow_samples() -> list[Sample]:
    x = spread(0.5, 2.5, 3, 4)
    numbers = [Sample(x, n) for n in (0, 0.0, 1, 2, 3, 4, 2.5, -1, -2, 0.5, -0.5)]
    signs = spread(-2, 2, 6)
    return [Sample(x, spread(-2, 2, 3, 4)), Sample(x, spread(-2, 2, 3, 1)),
            Sample(spread(0.5, 2, 4), spread(-1, 1, 3, 1)),
            *numbers, Sample(signs, 2), Sample(signs, 3), Sample(signs, 5.0), Sample(signs, -3), Sample(2, signs),
            Sample(2.5, signs.astype(np.float64)),
            Sample(x.astype(np.float64).T, 1.7), Sample(x[:0], 1.7),
            Sample(np.array([0, 0, 2], np.float32), np.array([0, 2, 0], np.float32), gradient=False),
            Sample(np.arange(5), 3), Sample(np.arange(5), 2.5), Sample(2, np.arange(5)),
            Sample(np.array([True, False]), 2),
            Sample(np.array([-2, 3], np.int32), np.array([3, 2], np.int32)), Sample(np.array([3, 250], np.uint8), 2)]


pow_p = pointwise(
    "pow", kernel="power", vjp=_pow_vjp, saves=(Keep(inputs=(0, 1)), Keep(inputs=(0, 1), outputs=(0,))), flops=20,
    samples=_pow_samples, call=lambda *a: pow(*a),
    errors=lambda: [*binary_errors(), ErrorSample(Sample(np.arange(1, 3), -1), ValueRangeError, "negative.*float")],
)


def _pow_base_grad_twin(g: Any, x: Any, y: Any) -> Any:
    return where(eq(y, 0), 0, mul(g, mul(y, pow(x, sub(y, 1)))))


def _pow_exponent_grad_twin(g: Any, z: Any, x: Any, y: Any) -> Any:
    return where(logical_and(eq(x, 0), ge(y, 0)), 0, mul(g, mul(z, log(x))))


pow_base_grad_p: Primitive = pointwise("pow_base_grad", kernel="power_base_grad", vjp=None, twin=_pow_base_grad_twin,
                                       flops=22,
                            samples=lambda: [Sample(spread(-1, 1, 3, 4), spread(0.5, 2, 3, 4), spread(-2, 2, 4))])
pow_exponent_grad_p: Primitive = pointwise(
    "pow_exponent_grad", kernel="power_exponent_grad", vjp=None, twin=_pow_exponent_grad_twin, flops=12,
    samples=lambda: [Sample(spread(-1, 1, 3, 4), spread(0.2, 3, 3, 4), spread(0.5, 2, 4), spread(-2, 2, 3, 1))],
)

cube_p = pointwise("cube", vjp=lambda r, g: (bind(cube_grad_p, g, r.input(0)),), saves=X, kinds="f", flops=2,
                   twin=lambda x: mul(square(x), x), samples=lambda: unary_samples(-3, 3))
cube_grad_p: Primitive = pointwise("cube_grad", vjp=None, twin=lambda g, x: mul(mul(g, 3), square(x)), flops=3,
                                   samples=gradient_samples(-2, 2))

# As in PyTorch, these exponents are computed without a logarithm.
_EXACT: dict[float, Callable[[Any], Any]] = {
    1.0: clone, 2.0: square, 3.0: lambda x: bind(cube_p, x), -1.0: reciprocal, -2.0: lambda x: square(reciprocal(x)),
    0.5: lambda x: sqrt(x), -0.5: lambda x: rsqrt(x),
}


def pow(input: TensorT, exponent: Any) -> TensorT:
    """Return ``input ** exponent``, broadcast.

    Args:
        input: tensor or number.
        exponent: tensor or number.

    Raises:
        ShapeError: if the shapes do not broadcast.
        ValueRangeError: if integers are raised to a negative number.

    The gradient of ``x ** 0`` by x is 0 and that of ``0 ** y`` by y is 0 for y >= 0, where the formulas
    ``y x**(y - 1)`` and ``x**y log(x)`` are undefined.

    >>> import autodiff as ad
    >>> ad.pow(ad.tensor([1.0, 2.0, 3.0]), 2)
    tensor([1., 4., 9.])
    >>> ad.pow(2, ad.tensor([1.0, 2.0, 3.0]))
    tensor([2., 4., 8.])
    """
    if not is_tensor(exponent) and is_tensor(input):
        dtype = result_dtype("pow", input, exponent)
        if dtype.kind == "f":
            exact = _EXACT.get(float(exponent))
            if exact is not None:
                return exact(promote("pow", input, exponent)[0])  # type: ignore[no-any-return]
        elif exponent < 0:
            raise ValueRangeError("pow", "an integer to a negative power is no integer",
                                  got=f"{dtype.name} ** {exponent}",
                                  fix="convert the integers with x.float()")
    return bind(pow_p, *promote("pow", input, exponent))  # type: ignore[no-any-return]


sqrt_p = pointwise("sqrt", kinds="f", vjp=lambda r, g: (bind(sqrt_grad_p, g, r.output(0)),), saves=OUT,
                   call=lambda x: sqrt(x), errors=unary_errors,
                   samples=lambda: [*unary_samples(0.2, 9), Sample(np.array([4, 9])),
                                    Sample(np.array([0, -1, np.inf], np.float32), gradient=False)])
sqrt_grad_p: Primitive = pointwise("sqrt_grad", vjp=None, twin=lambda g, y: div(g, mul(y, 2)),
                                   samples=gradient_samples(0.5, 2), flops=2)
rsqrt_p = pointwise("rsqrt", kinds="f", vjp=lambda r, g: (bind(rsqrt_grad_p, g, r.output(0)),), saves=OUT,
                    call=lambda x: rsqrt(x), flops=2,
                    samples=lambda: [*unary_samples(0.2, 9), Sample(np.array([4, 9]))], errors=unary_errors)
rsqrt_grad_p: Primitive = pointwise("rsqrt_grad", vjp=None, twin=lambda g, y: mul(mul(g, -0.5), mul(square(y), y)),
                                    samples=gradient_samples(0.5, 2),
                         flops=4)


def sqrt(input: TensorT) -> TensorT:
    """Return the square root of each element; NaN below 0. Integers become float32.

    >>> import autodiff as ad
    >>> ad.sqrt(ad.tensor([4.0, 9.0]))
    tensor([2., 3.])
    """
    return bind(sqrt_p, real("sqrt", input))  # type: ignore[no-any-return]


def rsqrt(input: TensorT) -> TensorT:
    """Return ``1 / sqrt(input)``. Integers become float32.

    >>> import autodiff as ad
    >>> ad.rsqrt(ad.tensor([4.0, 16.0]))
    tensor([0.5000, 0.2500])
    """
    return bind(rsqrt_p, real("rsqrt", input))  # type: ignore[no-any-return]


# ---- Functions of one tensor -----------------------------------------------------------------------------------------


def function(
    name: str, low: float, high: float, call: Callable[[Any], Any], vjp: Callable[..., Sequence[Any]] | None = None,
    saves: Keep = X, special: tuple[float, ...] = (), flops: int = 10, tolerance: float = 2e-5,
    kernel: str | None = None, gradient: Callable[[Any, Any], Any] | None = None,
) -> Any:
    """Declare a function of one tensor of floats.

    Args:
        name: of the operation and its kernel.
        low, high: interval of the samples.
        call: the public function.
        vjp, saves, flops, kernel: as in `pointwise`.
        special: further sample points, without derivatives.
        tolerance: of float32 samples.
        gradient: instead of `vjp`: the gradient as a function of the cotangent and of what is saved. It becomes the
            twin of an operation of its own, whose kernel has the name of this one's with ``_grad``.
    """
    if gradient is not None:
        vjp = _own_gradient(name, low, high, saves, flops, kernel or name, gradient)
    more = [Sample(np.array(special, np.float32), gradient=False)] if special else []
    return pointwise(name, kernel=kernel, vjp=vjp, saves=saves, kinds="f", flops=flops, call=call, errors=unary_errors,
                     samples=lambda: [*unary_samples(low, high, tolerance),
                                      Sample(np.array([math.ceil(low), int(high)])), *more])


def _own_gradient(
    name: str, low: float, high: float, saves: Keep, flops: int, kernel: str, twin: Callable[[Any, Any], Any]
) -> Callable[..., Sequence[Any]]:
    """Declare the gradient operation of a function of one tensor, and return the function's vjp."""
    low, high = (0.1, 0.9) if saves is OUT else (low, high)
    operation = pointwise(f"{name}_grad", kernel=f"{kernel}_grad", vjp=None, twin=twin, flops=flops + 2,
                          samples=gradient_samples(low, high))
    if saves is OUT:
        return lambda r, g: (bind(operation, g, r.output(0)),)
    return lambda r, g: (bind(operation, g, r.input(0)),)


_INF = (np.inf, -np.inf, np.nan)

exp_p = function("exp", -5, 5, lambda x: exp(x), lambda r, g: (mul(g, r.output(0)),), OUT, (*_INF, 0))
exp2_p = function("exp2", -5, 5, lambda x: exp2(x), saves=OUT, special=(*_INF, 0),
                  gradient=lambda g, y: mul(g, mul(y, math.log(2))))
expm1_p = function("expm1", -5, 3, lambda x: expm1(x), saves=OUT, special=(*_INF, 1e-10),
                   gradient=lambda g, y: mul(g, add(y, 1)))
log_p = function("log", 0.1, 9, lambda x: log(x), lambda r, g: (div(g, r.input(0)),), special=(*_INF, 0, -1, 1))
log1p_p = function("log1p", -0.9, 9, lambda x: log1p(x), special=(*_INF, -1, 1e-10),
                   gradient=lambda g, x: div(g, add(x, 1)))
log2_p = function("log2", 0.1, 9, lambda x: log2(x), special=(*_INF, 0, -1, 8),
                  gradient=lambda g, x: div(g, mul(x, math.log(2))))
log10_p = function("log10", 0.1, 9, lambda x: log10(x), special=(*_INF, 0, -1, 100),
                   gradient=lambda g, x: div(g, mul(x, math.log(10))))
sin_p = function("sin", -4, 4, lambda x: sin(x), lambda r, g: (mul(g, cos(r.input(0))),), special=(0, 100))
cos_p = function("cos", -4, 4, lambda x: cos(x), lambda r, g: (neg(mul(g, sin(r.input(0)))),), special=(0, 100))
tan_p = function("tan", -1.4, 1.4, lambda x: tan(x), saves=OUT, tolerance=1e-4,
                 gradient=lambda g, y: mul(g, add(square(y), 1)))
asin_p = function("asin", -0.9, 0.9, lambda x: asin(x), special=(1, -1, 2),
                  gradient=lambda g, x: mul(g, rsqrt(sub(1, square(x)))))
acos_p = function("acos", -0.9, 0.9, lambda x: acos(x), special=(1, -1, 2),
                  gradient=lambda g, x: neg(mul(g, rsqrt(sub(1, square(x))))))
atan_p = function("atan", -4, 4, lambda x: atan(x), special=_INF, gradient=lambda g, x: div(g, add(square(x), 1)))
sinh_p = function("sinh", -3, 3, lambda x: sinh(x), lambda r, g: (mul(g, cosh(r.input(0))),))
cosh_p = function("cosh", -3, 3, lambda x: cosh(x), lambda r, g: (mul(g, sinh(r.input(0))),))
asinh_p = function("asinh", -4, 4, lambda x: asinh(x), special=_INF,
                   gradient=lambda g, x: mul(g, rsqrt(add(square(x), 1))))
acosh_p = function("acosh", 1.2, 6, lambda x: acosh(x), special=(1, 0.5),
                   gradient=lambda g, x: mul(g, rsqrt(sub(square(x), 1))))
atanh_p = function("atanh", -0.9, 0.9, lambda x: atanh(x), special=(1, -1, 2),
                   gradient=lambda g, x: div(g, sub(1, square(x))))
tanh_p = function("tanh", -4, 4, lambda x: tanh(x), saves=OUT, special=(*_INF, 50, 1e-10),
                  gradient=lambda g, y: mul(g, sub(1, square(y))))
sigmoid_p = function("sigmoid", -6, 6, lambda x: sigmoid(x), saves=OUT, special=(*_INF, -200, 200),
                     gradient=lambda g, y: mul(g, mul(y, sub(1, y))))
erf_p = function("erf", -3, 3, lambda x: erf(x), special=(*_INF, 1e-10),
                 gradient=lambda g, x: mul(mul(g, 2 / math.sqrt(math.pi)), exp(neg(square(x)))))
logsigmoid_p = function("logsigmoid", -6, 6, lambda x: logsigmoid(x), special=(np.inf, np.nan, -200, 200),
                        kernel="log_sigmoid", gradient=lambda g, x: mul(g, sigmoid(neg(x))))
logit_p = pointwise(
    "logit", kinds="f", flops=11, saves=X, call=lambda x, **k: logit(x, **k), errors=unary_errors,
    vjp=_own_gradient("logit", 0.1, 0.9, X, 3, "logit", lambda g, x: div(g, mul(x, sub(1, x)))),
    samples=lambda: [*unary_samples(0.1, 0.9), Sample(spread(-0.2, 1.2, 8), eps=0.05),
                     Sample(np.array([0, 1, 2, np.nan], np.float32), gradient=False)],
)


def exp(input: TensorT) -> TensorT:
    """Return e to the power of each element. Integers become float32.

    >>> import autodiff as ad
    >>> ad.exp(ad.tensor([0.0, 1.0]))
    tensor([1.0000, 2.7183])
    """
    return bind(exp_p, real("exp", input))  # type: ignore[no-any-return]


def exp2(input: TensorT) -> TensorT:
    """Return 2 to the power of each element. Integers become float32.

    >>> import autodiff as ad
    >>> ad.exp2(ad.tensor([0.0, 3.0]))
    tensor([1., 8.])
    """
    return bind(exp2_p, real("exp2", input))  # type: ignore[no-any-return]


def expm1(input: TensorT) -> TensorT:
    """Return ``exp(input) - 1``, exact for small elements. Integers become float32.

    >>> import autodiff as ad
    >>> ad.expm1(ad.tensor([0.0, 1.0]))
    tensor([0.0000, 1.7183])
    """
    return bind(expm1_p, real("expm1", input))  # type: ignore[no-any-return]


def log(input: TensorT) -> TensorT:
    """Return the natural logarithm; minus infinity at 0, NaN below. Integers become float32.

    >>> import autodiff as ad
    >>> ad.log(ad.tensor([1.0, 10.0]))
    tensor([0.0000, 2.3026])
    """
    return bind(log_p, real("log", input))  # type: ignore[no-any-return]


def log2(input: TensorT) -> TensorT:
    """Return the logarithm to base 2. Integers become float32.

    >>> import autodiff as ad
    >>> ad.log2(ad.tensor([1.0, 10.0]))
    tensor([0.0000, 3.3219])
    """
    return bind(log2_p, real("log2", input))  # type: ignore[no-any-return]


def log10(input: TensorT) -> TensorT:
    """Return the logarithm to base 10. Integers become float32.

    >>> import autodiff as ad
    >>> ad.log10(ad.tensor([1.0, 20.0]))
    tensor([0.0000, 1.3010])
    """
    return bind(log10_p, real("log10", input))  # type: ignore[no-any-return]


def log1p(input: TensorT) -> TensorT:
    """Return ``log(1 + input)``, exact for small elements. Integers become float32.

    >>> import autodiff as ad
    >>> ad.log1p(ad.tensor([0.0, 1.0]))
    tensor([0.0000, 0.6931])
    """
    return bind(log1p_p, real("log1p", input))  # type: ignore[no-any-return]


def sin(input: TensorT) -> TensorT:
    """Return the sine of each element, in radians. Integers become float32.

    >>> import autodiff as ad
    >>> ad.sin(ad.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8415])
    """
    return bind(sin_p, real("sin", input))  # type: ignore[no-any-return]


def cos(input: TensorT) -> TensorT:
    """Return the cosine of each element, in radians. Integers become float32.

    >>> import autodiff as ad
    >>> ad.cos(ad.tensor([0.0, 1.0]))
    tensor([1.0000, 0.5403])
    """
    return bind(cos_p, real("cos", input))  # type: ignore[no-any-return]


def tan(input: TensorT) -> TensorT:
    """Return the tangent of each element, in radians. Integers become float32.

    >>> import autodiff as ad
    >>> ad.tan(ad.tensor([0.0, 1.0]))
    tensor([0.0000, 1.5574])
    """
    return bind(tan_p, real("tan", input))  # type: ignore[no-any-return]


def asin(input: TensorT) -> TensorT:
    """Return the inverse sine; NaN outside [-1, 1]. Integers become float32.

    >>> import autodiff as ad
    >>> ad.asin(ad.tensor([0.0, 1.0]))
    tensor([0.0000, 1.5708])
    """
    return bind(asin_p, real("asin", input))  # type: ignore[no-any-return]


def acos(input: TensorT) -> TensorT:
    """Return the inverse cosine; NaN outside [-1, 1]. Integers become float32.

    >>> import autodiff as ad
    >>> ad.acos(ad.tensor([1.0, 0.0]))
    tensor([0.0000, 1.5708])
    """
    return bind(acos_p, real("acos", input))  # type: ignore[no-any-return]


def atan(input: TensorT) -> TensorT:
    """Return the inverse tangent. Integers become float32.

    >>> import autodiff as ad
    >>> ad.atan(ad.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7854])
    """
    return bind(atan_p, real("atan", input))  # type: ignore[no-any-return]


def sinh(input: TensorT) -> TensorT:
    """Return the hyperbolic sine of each element. Integers become float32.

    >>> import autodiff as ad
    >>> ad.sinh(ad.tensor([0.0, 1.0]))
    tensor([0.0000, 1.1752])
    """
    return bind(sinh_p, real("sinh", input))  # type: ignore[no-any-return]


def cosh(input: TensorT) -> TensorT:
    """Return the hyperbolic cosine of each element. Integers become float32.

    >>> import autodiff as ad
    >>> ad.cosh(ad.tensor([0.0, 1.0]))
    tensor([1.0000, 1.5431])
    """
    return bind(cosh_p, real("cosh", input))  # type: ignore[no-any-return]


def tanh(input: TensorT) -> TensorT:
    """Return the hyperbolic tangent of each element. Integers become float32.

    >>> import autodiff as ad
    >>> ad.tanh(ad.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7616])
    """
    return bind(tanh_p, real("tanh", input))  # type: ignore[no-any-return]


def asinh(input: TensorT) -> TensorT:
    """Return the inverse hyperbolic sine. Integers become float32.

    >>> import autodiff as ad
    >>> ad.asinh(ad.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8814])
    """
    return bind(asinh_p, real("asinh", input))  # type: ignore[no-any-return]


def acosh(input: TensorT) -> TensorT:
    """Return the inverse hyperbolic cosine; NaN below 1. Integers become float32.

    >>> import autodiff as ad
    >>> ad.acosh(ad.tensor([1.0, 2.0]))
    tensor([0.0000, 1.3170])
    """
    return bind(acosh_p, real("acosh", input))  # type: ignore[no-any-return]


def atanh(input: TensorT) -> TensorT:
    """Return the inverse hyperbolic tangent; NaN outside [-1, 1]. Integers become float32.

    >>> import autodiff as ad
    >>> ad.atanh(ad.tensor([0.0, 0.5]))
    tensor([0.0000, 0.5493])
    """
    return bind(atanh_p, real("atanh", input))  # type: ignore[no-any-return]


def sigmoid(input: TensorT) -> TensorT:
    """Return ``1 / (1 + exp(-input))``. Integers become float32.

    >>> import autodiff as ad
    >>> ad.sigmoid(ad.tensor([0.0, 2.0]))
    tensor([0.5000, 0.8808])
    """
    return bind(sigmoid_p, real("sigmoid", input))  # type: ignore[no-any-return]


def logit(input: TensorT, eps: float | None = None) -> TensorT:
    """Return ``log(x / (1 - x))``, the inverse of `sigmoid`.

    Args:
        input: probabilities.
        eps: clamp them to [eps, 1 - eps] first.

    >>> import autodiff as ad
    >>> ad.logit(ad.tensor([0.5, 0.9]))
    tensor([0.0000, 2.1972])
    """
    x = real("logit", input) if eps is None else clamp(real("logit", input), eps, 1 - eps)
    return bind(logit_p, x)  # type: ignore[no-any-return]


def logsigmoid(input: TensorT) -> TensorT:
    """Return ``log(sigmoid(input)) = min(x, 0) - log(1 + exp(-|x|))``, exact also where the sigmoid rounds to 0 or 1.

    >>> import autodiff as ad
    >>> ad.logsigmoid(ad.tensor([0.0, -100.0]))
    tensor([  -0.6931, -100.0000])
    """
    return bind(logsigmoid_p, real("logsigmoid", input))  # type: ignore[no-any-return]


def erf(input: TensorT) -> TensorT:
    """Return the error function, ``2 / sqrt(pi)`` times the integral of ``exp(-t**2)`` from 0 to each element.

    >>> import autodiff as ad
    >>> ad.erf(ad.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8427])
    """
    return bind(erf_p, real("erf", input))  # type: ignore[no-any-return]


# ---- Functions of two tensors ----------------------------------------------------------------------------------------


def _atan2_vjp(r: Any, g: Any) -> tuple[Any, ...]:
    y, x = r.input(0), r.input(1)
    dtype = g.spec.dtype
    return fit(r, bind(atan2_grad_p, g, x, y, constant(1, dtype)) if r.mask[0] else None,
               bind(atan2_grad_p, g, y, x, constant(-1, dtype)) if r.mask[1] else None)


def _atan2_grad_samples() -> list[Sample]:
    x, y = spread(-3, 3, 3, 4), spread(0.5, 3, 4)
    return [Sample(spread(-2, 2, 3, 4), x, y, np.full((), 1, np.float32)),
            Sample(spread(-2, 2, 3, 4), y, x, np.full((), -1, np.float32))]


def _atan2_grad_twin(g: Any, a: Any, b: Any, sign: Any) -> Any:
    squares = add(square(a), square(b))
    return mul(mul(g, sign), div(a, where(eq(squares, 0), 1, squares)))


atan2_p = pointwise("atan2", vjp=_atan2_vjp, saves=Keep(inputs=(0, 1)), flops=20, call=lambda *a: atan2(*a),
                    errors=binary_errors,
                    samples=lambda: [*binary_samples(-3, 3), Sample(np.array([1, -1]), np.array([0, 2]))])
atan2_grad_p: Primitive = pointwise(
    "atan2_grad", vjp=None, flops=6, samples=_atan2_grad_samples,
    twin=_atan2_grad_twin,
)


def atan2(input: TensorT, other: TensorT) -> TensorT:
    """Return the angles of the points (other, input), in radians from -pi to pi; broadcast.

    The gradient at (0, 0) is 0.

    Args:
        input: ordinates.
        other: abscissae.

    >>> import autodiff as ad
    >>> ad.atan2(ad.tensor([1.0, -1.0]), ad.tensor([0.0, -1.0]))
    tensor([ 1.5708, -2.3562])
    """
    return bind(atan2_p, *promote_float("atan2", input, other))  # type: ignore[no-any-return]


def _hypot_vjp(r: Any, g: Any) -> tuple[Any, ...]:
    z = r.output(0)
    return fit(r, *[bind(hypot_grad_p, g, r.input(i), z) if r.mask[i] else None for i in (0, 1)])


hypot_p = pointwise(
    "hypot", vjp=_hypot_vjp, saves=(Keep(inputs=(0,), outputs=(0,)), Keep(inputs=(1,), outputs=(0,))), flops=6,
    errors=binary_errors, call=lambda *a: hypot(*a),
    samples=lambda: [*binary_samples(1, 3), Sample(np.array([0, 1e30, 1e-30], np.float32),
                                                   np.array([0, 1e30, 1e-30], np.float32), gradient=False)],
)
hypot_grad_p: Primitive = pointwise(
    "hypot_grad", vjp=None, flops=2,
    samples=lambda: [Sample(spread(-2, 2, 3, 4), spread(-1, 1, 4), spread(1, 2, 3, 4))],
    twin=lambda g, x, z: mul(g, where(eq(z, 0), 0, div(x, where(eq(z, 0), 1, z)))),
)


def hypot(input: TensorT, other: TensorT) -> TensorT:
    """Return ``sqrt(input**2 + other**2)``, broadcast, without overflow on the way; the gradient at 0 is 0.

    >>> import autodiff as ad
    >>> ad.hypot(ad.tensor([3.0]), ad.tensor([4.0]))
    tensor([5.])
    """
    return bind(hypot_p, *promote_float("hypot", input, other))  # type: ignore[no-any-return]


def _logaddexp_vjp(r: Any, g: Any) -> tuple[Any, ...]:
    x, y = r.input(0), r.input(1)
    return fit(r, bind(logaddexp_grad_p, g, x, y) if r.mask[0] else None,
               bind(logaddexp_grad_p, g, y, x) if r.mask[1] else None)


logaddexp_p = pointwise(
    "logaddexp", vjp=_logaddexp_vjp, saves=Keep(inputs=(0, 1)), flops=25, errors=binary_errors,
    call=lambda *a: logaddexp(*a),
    samples=lambda: [*binary_samples(-3, 3), Sample(np.array([0, 100, -90], np.float32),
                                                    np.array([-50, 0, -90], np.float32)),
                     Sample(np.array([np.inf, -np.inf, np.nan], np.float32), np.array([np.inf, -np.inf, 1], np.float32),
                            gradient=False)],
)
logaddexp_grad_p: Primitive = pointwise(
    "logaddexp_grad", vjp=None, flops=15,
    twin=lambda g, x, y: mul(g, sigmoid(where(logical_and(isinf(x), eq(x, y)), 0, sub(x, y)))),
    samples=lambda: [Sample(spread(-2, 2, 3, 4), spread(-3, 3, 3, 4), spread(-1, 1, 4))],
)


def logaddexp(input: TensorT, other: TensorT) -> TensorT:
    """Return ``log(exp(input) + exp(other))``, broadcast, without overflow or underflow on the way.

    >>> import autodiff as ad
    >>> ad.logaddexp(ad.tensor([0.0, 1000.0]), ad.tensor([0.0, 1000.0]))
    tensor([6.9315e-01, 1.0007e+03])
    """
    return bind(logaddexp_p, *promote_float("logaddexp", input, other))  # type: ignore[no-any-return]


@composed(
    samples=lambda: [Sample(spread(-2, 2, 3, 4), spread(0.2, 3, 4)), Sample(2, spread(0.2, 3, 4)),
                     Sample(np.zeros(4, np.float32), spread(0.2, 3, 4)),
                     Sample(np.zeros(5, np.float32), np.array([0, 1, -1, np.inf, np.nan], np.float32), gradient=False)],
    errors=binary_errors,
)
def xlogy(input: TensorT, other: TensorT) -> TensorT:
    """Return ``input * log(other)``, broadcast: 0 where `input` is 0, NaN where `other` is.

    >>> import autodiff as ad
    >>> ad.xlogy(ad.tensor([0.0, 2.0]), ad.tensor([0.0, 1.0]))
    tensor([0., 0.])
    """
    x, y = promote_float("xlogy", input, other)
    # Only where 0 log(y) is no number: elsewhere the derivative by `input` is log(y), also at 0.
    vanishes = logical_and(eq(x, 0), logical_or(le(y, 0), isinf(y)))
    return where(vanishes, 0, mul(x, log(where(vanishes, 1, y))))  # type: ignore[no-any-return]


arccos, arcsin, arctan, arctan2 = acos, asin, atan, atan2
arccosh, arcsinh, arctanh = acosh, asinh, atanh
