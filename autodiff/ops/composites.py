"""Element-wise functions composed of others, and the few that NumPy computes on the host."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, ShapeError
from autodiff.ops import strided
from autodiff.ops.choice import where
from autodiff.ops.comparison import eq, gt, lt
from autodiff.ops.elementwise import abs, div, mul, neg, sign, square, sub
from autodiff.ops.functions import exp2, logaddexp, pow, sin
from autodiff.ops.promotion import BOOL, cast, promote, promote_float, real
from autodiff.ops.samples import binary_errors, binary_samples, integer_samples, spread, unary_errors, unary_samples
from autodiff.ops.structural import require_tensor, zeros_like_p
from autodiff.primitive import ErrorSample, Primitive, Sample, composed, define
from autodiff.spec import DType, Spec

__all__ = ["copysign", "deg2rad", "float_power", "gcd", "heaviside", "isneginf", "isposinf", "isreal", "lcm", "ldexp",
           "logaddexp2", "positive", "rad2deg", "sgn", "signbit", "sinc"]


def _on_host(name: str, function: Callable[..., Any], dtype: DType | None, samples: Callable[[], list[Sample]],
             errors: Callable[[], list[ErrorSample]], call: Callable[..., Any]) -> Primitive:
    """Declare an element-wise operation without a gradient that a function of NumPy computes."""
    return define(
        name,
        host=True,
        infer=lambda *specs: Spec.of(strided.broadcast(name, *specs), dtype or specs[0].dtype),
        run=lambda outs, ins: function(*ins, out=outs[0]),
        vjp=None,
        cost=strided.cost(1),
        samples=samples,
        errors=errors,
        call=call,
    )


# ---- Signs -----------------------------------------------------------------------------------------------------------

_SIGNED = np.array([-np.inf, -2, -0.0, 0.0, 3, np.inf, np.nan], np.float32)

signbit_p = _on_host(
    "signbit", np.signbit, BOOL,
    lambda: [Sample(_SIGNED), Sample(spread(-1, 1, 3, 4).T), Sample(np.array([-3, 0, 2])), Sample(np.array([True])),
             Sample(np.array([7], np.uint8)), Sample(np.zeros((0, 2), np.float32))],
    unary_errors, lambda *a: signbit(*a),
)  # fmt: skip


def signbit(input: TensorT) -> TensorT:
    """Return whether the sign bit of each element is set: True for negative numbers and -0.0.

    Args:
        input: any shape and dtype.

    Raises:
        DTypeError: if `input` is no tensor.

    >>> import autodiff as ad
    >>> ad.signbit(ad.tensor([-1.0, -0.0, 0.0]))
    tensor([ True,  True, False])
    """
    require_tensor("signbit", input)
    floating = input.spec.floating  # type: ignore[attr-defined]
    return bind(signbit_p, input) if floating else lt(input, 0)


@composed(samples=lambda: [*binary_samples(-2, 3.1), Sample(_SIGNED, -1.0, gradient=False),
                           Sample(spread(1, 2, 3), -0.0),
                           Sample(_SIGNED, _SIGNED[[2, 1, 3, 0, 5, 4, 4]], gradient=False),
                           Sample(np.array([3, -4]), np.array([-1, 1]))],
          errors=binary_errors)
def copysign(input: TensorT, other: Any) -> TensorT:
    """Return the magnitudes of `input` with the signs of `other`, broadcast.

    Args:
        input: any shape; integers become float32.
        other: tensor or number; -0.0 is negative. It receives no gradient.

    Raises:
        ShapeError: if the shapes do not broadcast.
        DTypeError: if an operand is neither a tensor nor a number.

    >>> import autodiff as ad
    >>> ad.copysign(ad.tensor([1.0, -2.0]), ad.tensor([-3.0, 4.0]))
    tensor([-1.,  2.])
    """
    x, y = promote_float("copysign", input, other)
    strided.broadcast("copysign", x.spec, y.spec)
    size = abs(x)
    return where(signbit(y), neg(size), size)  # type: ignore[no-any-return]


@composed(samples=lambda: [Sample(_SIGNED, spread(0.2, 0.8, 7), gradient=False),
                           Sample(spread(-1, 1, 3, 4), spread(0.2, 0.8, 4)), Sample(np.array([-2, 0, 3]), np.array(7))],
          errors=binary_errors)
def heaviside(input: TensorT, values: TensorT) -> TensorT:
    """Return the step function: 0 where `input` is negative, 1 where it is positive, `values` where it is 0.

    Args:
        input: any shape; 0 also stands for NaN, as in PyTorch.
        values: broadcast against `input`.

    Raises:
        ShapeError: if the shapes do not broadcast.
        DTypeError: if an operand is neither a tensor nor a number.

    >>> import autodiff as ad
    >>> ad.heaviside(ad.tensor([-1.0, 0.0, 2.0]), ad.tensor(0.5))
    tensor([0.0000, 0.5000, 1.0000])
    """
    x, at_zero = promote("heaviside", input, values)
    strided.broadcast("heaviside", x.spec, at_zero.spec)
    return where(eq(x, 0), at_zero, cast(gt(x, 0), x.spec.dtype))  # type: ignore[no-any-return]


@composed(samples=lambda: [*unary_samples(-2, 3), Sample(np.array([-3, 0, 2]))], errors=unary_errors)
def sgn(input: TensorT) -> TensorT:
    """Return `sign`: what PyTorch calls the sign of real and complex numbers, and there are only real ones here.

    >>> import autodiff as ad
    >>> ad.sgn(ad.tensor([-2.0, 0.0]))
    tensor([-1.,  0.])
    """
    return sign(input)


@composed(samples=lambda: unary_samples(-2, 3), errors=lambda: [
    *unary_errors(), ErrorSample(Sample(np.array([True])), DTypeError, "bools have no sign")])
def positive(input: TensorT) -> TensorT:
    """Return `input` itself.

    Raises:
        DTypeError: for bools.

    >>> import autodiff as ad
    >>> ad.positive(ad.tensor([-2.0]))
    tensor([-2.])
    """
    require_tensor("positive", input)
    if input.spec.dtype == BOOL:  # type: ignore[attr-defined]
        raise DTypeError("positive", "bools have no sign", got="bool", fix="convert with x.int()")
    return input


@composed(samples=lambda: [Sample(_SIGNED), Sample(np.array([1, 2]))], errors=unary_errors)
def isposinf(input: TensorT) -> TensorT:
    """Return where the elements are infinity.

    >>> import autodiff as ad
    >>> ad.isposinf(ad.tensor([1.0, float("inf"), -float("inf")]))
    tensor([False, True, False])
    """
    require_tensor("isposinf", input)
    return eq(input, math.inf)


@composed(samples=lambda: [Sample(_SIGNED), Sample(np.array([1, 2]))], errors=unary_errors)
def isneginf(input: TensorT) -> TensorT:
    """Return where the elements are minus infinity.

    >>> import autodiff as ad
    >>> ad.isneginf(ad.tensor([1.0, float("inf"), -float("inf")]))
    tensor([False, False, True])
    """
    require_tensor("isneginf", input)
    return eq(input, -math.inf)


@composed(samples=lambda: [Sample(_SIGNED), Sample(np.array([[1, 2]]))], errors=unary_errors)
def isreal(input: TensorT) -> TensorT:
    """Return where the elements are real numbers: everywhere, as there are no complex ones here.

    >>> import autodiff as ad
    >>> ad.isreal(ad.tensor([1.0, float("nan")]))
    tensor([True, True])
    """
    require_tensor("isreal", input)
    return eq(bind(zeros_like_p, input), 0)  # type: ignore[no-any-return]


# ---- Whole numbers ---------------------------------------------------------------------------------------------------


def _whole_errors() -> list[ErrorSample]:
    x = np.array([1, 2])
    return [ErrorSample(Sample(x, np.array([1, 2, 3])), ShapeError, "do not broadcast"),
            ErrorSample(Sample(x, np.ones(2, np.float32)), DTypeError, "needs integers.*got float32")]


def _whole(operation: str, *operands: Any) -> list[Any]:
    """Return the operands in one dtype of integers.

    Raises:
        DTypeError: for floats and bools.
    """
    found = promote(operation, *operands)
    if found[0].spec.dtype.kind not in "iu":
        raise DTypeError(operation, "this function needs integers", expected="an integer dtype",
                         got=found[0].spec.dtype.name)
    return found


gcd_p = _on_host("gcd", np.gcd, None, integer_samples, _whole_errors, lambda *a: gcd(*a))
lcm_p = _on_host("lcm", np.lcm, None, integer_samples, _whole_errors, lambda *a: lcm(*a))


def gcd(input: TensorT, other: Any) -> TensorT:
    """Return greatest common divisors, broadcast; that of 0 and 0 is 0.

    Args:
        input: integers of any shape.
        other: tensor or number.

    Raises:
        DTypeError: for floats and bools.
        ShapeError: if the shapes do not broadcast.

    >>> import autodiff as ad
    >>> ad.gcd(ad.tensor([12, -9]), 6)
    tensor([6, 3])
    """
    return bind(gcd_p, *_whole("gcd", input, other))  # type: ignore[no-any-return]


def lcm(input: TensorT, other: Any) -> TensorT:
    """Return least common multiples, broadcast; that of 0 and any number is 0.

    Args:
        input: integers of any shape.
        other: tensor or number.

    Raises:
        DTypeError: for floats and bools.
        ShapeError: if the shapes do not broadcast.

    >>> import autodiff as ad
    >>> ad.lcm(ad.tensor([4, -9]), 6)
    tensor([12, 18])
    """
    return bind(lcm_p, *_whole("lcm", input, other))  # type: ignore[no-any-return]


# ---- Powers and logarithms -------------------------------------------------------------------------------------------


@composed(samples=lambda: [*binary_samples(-3, 3), Sample(np.array([-np.inf, 800, np.inf], np.float32),
                                                          np.array([-np.inf, 801, 1], np.float32), gradient=False)],
          errors=binary_errors)
def logaddexp2(input: TensorT, other: Any) -> TensorT:
    """Return ``log2(2 ** input + 2 ** other)`` without overflow, broadcast.

    Raises:
        ShapeError: if the shapes do not broadcast.
        DTypeError: if an operand is neither a tensor nor a number.

    >>> import autodiff as ad
    >>> ad.logaddexp2(ad.tensor([3.0]), ad.tensor([3.0]))
    tensor([4.])
    """
    x, y = promote_float("logaddexp2", input, other)
    strided.broadcast("logaddexp2", x.spec, y.spec)
    return div(logaddexp(mul(x, math.log(2)), mul(y, math.log(2))), math.log(2))  # type: ignore[no-any-return]


@composed(samples=lambda: [Sample(np.array([1, -2, 3]), np.array([2, 3, -1])), Sample(np.array([4, 9]), 0.5),
                           Sample(spread(0.5, 2, 3, 4, dtype=np.float64), spread(-1, 1, 4, dtype=np.float64))],
          errors=binary_errors)
def float_power(input: Any, exponent: Any) -> Any:
    """Return powers in float64, whatever the dtypes are, broadcast.

    Args:
        input: tensor or number.
        exponent: tensor or number.

    Raises:
        ShapeError: if the shapes do not broadcast.
        DTypeError: if an operand is neither a tensor nor a number.

    >>> import autodiff as ad
    >>> ad.float_power(ad.tensor([4, 9]), 0.5)
    tensor([2., 3.], dtype=float64)
    """
    x, y = (cast(operand, np.dtype(np.float64)) for operand in promote("float_power", input, exponent))
    return pow(x, y)


@composed(samples=lambda: [*binary_samples(-3, 3), Sample(np.array([1, 3]), np.array([-1, 2]))], errors=binary_errors)
def ldexp(input: TensorT, other: Any) -> TensorT:
    """Return ``input * 2 ** other``, broadcast.

    Raises:
        ShapeError: if the shapes do not broadcast.
        DTypeError: if an operand is neither a tensor nor a number.

    >>> import autodiff as ad
    >>> ad.ldexp(ad.tensor([1.0, 3.0]), ad.tensor([2, -1]))
    tensor([4.0000, 1.5000])
    """
    x, y = promote_float("ldexp", input, other)
    strided.broadcast("ldexp", x.spec, y.spec)
    return mul(x, exp2(y))  # type: ignore[no-any-return]


# ---- Angles ----------------------------------------------------------------------------------------------------------


@composed(samples=lambda: [*unary_samples(-200, 300), Sample(np.array([90, 180]))], errors=unary_errors)
def deg2rad(input: TensorT) -> TensorT:
    """Return angles in degrees as radians; integers become float32.

    >>> import autodiff as ad
    >>> ad.deg2rad(ad.tensor([180.0]))
    tensor([3.1416])
    """
    return mul(real("deg2rad", input), math.pi / 180)  # type: ignore[no-any-return]


@composed(samples=lambda: [*unary_samples(-4, 5), Sample(np.array([1, 2]))], errors=unary_errors)
def rad2deg(input: TensorT) -> TensorT:
    """Return angles in radians as degrees; integers become float32.

    >>> import autodiff as ad
    >>> ad.rad2deg(ad.tensor([ad.pi]))
    tensor([180.])
    """
    return mul(real("rad2deg", input), 180 / math.pi)  # type: ignore[no-any-return]


@composed(samples=lambda: [*unary_samples(-2, 2), Sample(np.array([0.0, 0.25], np.float32), gradient=False),
                           Sample(np.array([0, 0]))],
          errors=unary_errors)
def sinc(input: TensorT) -> TensorT:
    """Return ``sin(pi x) / (pi x)``, 1 at 0.

    Args:
        input: any shape; integers become float32.

    >>> import autodiff as ad
    >>> ad.sinc(ad.tensor([0.0, 0.5]))
    tensor([1.0000, 0.6366])
    """
    x: Any = real("sinc", input)
    angle = mul(x, math.pi)
    squared = square(angle)
    # Near 0 the derivative, (cos(angle) - sinc(x)) / x, is a difference of equal numbers; that of Taylor's polynomial
    # is not. At this border both have lost as much.
    near = lt(squared, 4 * math.sqrt(np.finfo(x.spec.dtype).eps))
    far = where(near, 1.0, angle)
    return where(near, sub(1.0, mul(squared, 1 / 6)), div(sin(far), far))  # type: ignore[no-any-return]
