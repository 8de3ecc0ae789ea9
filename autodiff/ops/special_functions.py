"""The gamma function's relatives, computed in float64 whatever the dtype is."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from autodiff.arguments import integer
from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, GradientError, ValueRangeError
from autodiff.ops.broadcast import sum as total
from autodiff.ops.elementwise import X, add, fit, mul, neg, pointwise, sub
from autodiff.ops.functions import exp, xlogy
from autodiff.ops.host import from_array
from autodiff.ops.promotion import constant, is_tensor, promote_float, real
from autodiff.ops.samples import binary_errors, spread, unary_errors, unary_samples
from autodiff.ops.shaping import unsqueeze
from autodiff.primitive import ErrorSample, Keep, Primitive, Sample, composed

__all__ = ["digamma", "igamma", "igammac", "lgamma", "mvlgamma", "polygamma"]


# ---- The gamma function ----------------------------------------------------------------------------------------------

_POLES = np.array([-np.inf, -1, 0.0, np.inf, np.nan], np.float32)


def _gamma_samples() -> list[Sample]:
    both = np.array([-7.3, -2.5, -0.4, 0.3, 0.9, 1.1, 1.9, 2.2, 4, 7.9, 8.5, 60])
    return [*unary_samples(0.2, 9), Sample(both), Sample(both.astype(np.float32)), Sample(_POLES, gradient=False),
            Sample(np.array([1, 2, 7]), tolerance=1e-6)]


def _polygamma_samples(*orders: int) -> list[Sample]:
    return [Sample(n, sample.arguments[0], gradient=sample.gradient) for n in orders
            for sample in _gamma_samples() if sample.arguments[0].dtype.kind == "f"]


def _polygamma_errors() -> list[ErrorSample]:
    x = np.ones(2, np.float32)
    return [ErrorSample(Sample(1, "3"), DTypeError, "not a tensor"),
            ErrorSample(Sample(-1, x), ValueRangeError, "expected 0 or more; got -1"),
            ErrorSample(Sample(171, x), ValueRangeError, "expected at most 169; got 171"),
            ErrorSample(Sample(0.5, x), DTypeError, "no integer.*0.5")]


polygamma_p: Primitive = pointwise(
    "polygamma", kinds="f", vjp=lambda r, g: (mul(g, bind(polygamma_p, r.input(0), add(r.input(1), 1))), None),
    saves=Keep(inputs=(0, 1)), flops=150, samples=lambda: _polygamma_samples(2, 5), errors=_polygamma_errors,
    call=lambda *a: polygamma(*a),
)
trigamma_p = pointwise("trigamma", kinds="f", vjp=lambda r, g: (mul(g, polygamma(2, r.input(0))),), saves=X, flops=60,
                       samples=lambda: [*_polygamma_samples(1), Sample(1, np.array([1, 2]))],
                       call=lambda *a: polygamma(*a))
digamma_p = pointwise("digamma", kinds="f", vjp=lambda r, g: (mul(g, bind(trigamma_p, r.input(0))),), saves=X, flops=60,
                      samples=lambda: [*_gamma_samples(), Sample(np.array([1e-309, -1e-309]), gradient=False)],
                      errors=unary_errors, call=lambda x: digamma(x))
lgamma_p = pointwise("lgamma", kinds="f", vjp=lambda r, g: (mul(g, bind(digamma_p, r.input(0))),), saves=X, flops=60,
                     samples=_gamma_samples, errors=unary_errors, call=lambda x: lgamma(x))


def lgamma(input: TensorT) -> TensorT:
    """Return logarithms of the absolute values of the gamma function; infinity at 0, -1, -2, ...

    Args:
        input: any shape; integers become float32.

    Raises:
        DTypeError: if `input` is no tensor.

    >>> import autodiff as ad
    >>> ad.exp(ad.lgamma(ad.tensor([1.0, 5.0])))
    tensor([ 1., 24.])
    """
    return bind(lgamma_p, real("lgamma", input))  # type: ignore[no-any-return]


def digamma(input: TensorT) -> TensorT:
    """Return the derivative of `lgamma`; NaN at -1, -2, ..., minus infinity at 0.

    Args:
        input: any shape; integers become float32.

    Raises:
        DTypeError: if `input` is no tensor.

    >>> import autodiff as ad
    >>> ad.digamma(ad.tensor([1.0, 2.0]))
    tensor([-0.5772,  0.4228])
    """
    return bind(digamma_p, real("digamma", input))  # type: ignore[no-any-return]


def polygamma(n: int, input: TensorT) -> TensorT:
    """Return the n-th derivative of `digamma`.

    Args:
        n: order, 0 to 169: later factorials are beyond float64.
        input: any shape; integers become float32.

    Raises:
        DTypeError: if `input` is no tensor, or n no integer.
        ValueRangeError: if n is negative or too large.

    >>> import autodiff as ad
    >>> ad.polygamma(1, ad.tensor([1.0]))
    tensor([1.6449])
    """
    x = real("polygamma", input)
    n = integer("polygamma", "the order", n)
    if n < 0:
        raise ValueRangeError("polygamma", "the order is negative", expected="0 or more", got=str(n))
    if n > 169:
        raise ValueRangeError("polygamma", "the order is too large: its factorial is beyond float64",
                              expected="at most 169", got=str(n))
    if n < 2:
        return bind(trigamma_p if n else digamma_p, x)  # type: ignore[no-any-return]
    return bind(polygamma_p, x, constant(n, x.spec.dtype))  # type: ignore[no-any-return]


@composed(samples=lambda: [Sample(spread(2.2, 9, 3, 4), 3), Sample(spread(0.2, 9, 5), 1), Sample(spread(2.2, 9, 5), 4),
                           Sample(np.array([3, 4]), 2)],
          errors=lambda: [ErrorSample(Sample("3", 1), DTypeError, "not a tensor"),
                          ErrorSample(Sample(np.ones(2, np.float32), 0), ValueRangeError, "1 or more; got 0"),
                          ErrorSample(Sample(np.ones(2, np.float32), 1.5), DTypeError, "no integer.*1.5")])
def mvlgamma(input: TensorT, p: int) -> TensorT:
    """Return the logarithm of the gamma function of p dimensions.

    ``log(pi) * p * (p - 1) / 4 + sum of lgamma(x - j / 2) for j = 0, ..., p - 1``.

    Args:
        input: numbers above (p - 1) / 2, any shape; integers become float32.
        p: dimensions, 1 or more.

    Raises:
        DTypeError: if `input` is no tensor, or p no integer.
        ValueRangeError: if p is below 1.

    >>> import autodiff as ad
    >>> ad.mvlgamma(ad.tensor([1.5, 4.0]), 2)
    tensor([0.4516, 3.5651])
    """
    x: Any = real("mvlgamma", input)
    p = integer("mvlgamma", "the number of dimensions", p)
    if p < 1:
        raise ValueRangeError("mvlgamma", "the number of dimensions is too small", expected="1 or more", got=str(p))
    halves = from_array(np.arange(p).astype(x.spec.dtype) / 2)
    return add(total(lgamma(sub(unsqueeze(x, -1), halves)), -1), p * (p - 1) / 4 * math.log(math.pi))  # type: ignore[no-any-return]


# ---- Incomplete gamma functions and Hurwitz' zeta function -----------------------------------------------------------


def _incomplete_samples() -> list[Sample]:
    x = spread(0.1, 9, 3, 4)
    special = np.array([0, 1, np.inf, np.inf, 0, 0, -1, np.nan, 2, 2], np.float32)
    places = np.array([1, 0, 1, np.inf, 0, np.inf, 1, 1, np.nan, np.inf], np.float32)
    large = np.array([150.0, 90, 210, 1e4]), np.array([150.5, 140, 100, 1.01e4])
    return [*[Sample(a, x) for a in (0.3, 1, 4.5, 30)], Sample(0.7, x.T), Sample(2.5, x.astype(np.float64)),
            Sample(spread(0.1, 40, 3, 1), spread(0.1, 60, 4), gradient=False), Sample(special, places, gradient=False),
            Sample(*large, gradient=False), Sample(np.array([3, 2]), np.array([1, 4])), Sample(2.0, x[:0])]


def _incomplete_vjp(record: Any, g: Any, sign: float) -> tuple[Any, Any]:
    a, x = record.input(0), record.input(1)
    density = exp(sub(sub(xlogy(sub(a, 1), x), x), lgamma(a)))
    return fit(record, None, mul(g, mul(density, sign)))


def _of_order(operation: str, order: Any, x: Any) -> tuple[Any, Any]:
    """Return order and argument as floats of one dtype.

    Raises:
        GradientError: if the order requires a gradient.
    """
    a, x = promote_float(operation, order, x)
    if is_tensor(order) and order.needs_grad:
        raise GradientError(operation, "the first operand requires a gradient, which this function does not give",
                            fix="pass it as a number, or with .detach()")
    return a, x


igamma_p = pointwise("igamma", kernel="gammainc", kinds="f", vjp=partial(_incomplete_vjp, sign=1.0), flops=300,
                     saves=Keep(inputs=(0, 1)), samples=_incomplete_samples, errors=binary_errors,
                     call=lambda *a: igamma(*a))
igammac_p = pointwise("igammac", kernel="gammaincc", kinds="f", vjp=partial(_incomplete_vjp, sign=-1.0), flops=300,
                      saves=Keep(inputs=(0, 1)), samples=_incomplete_samples, errors=binary_errors,
                      call=lambda *a: igammac(*a))


def igamma(input: TensorT, other: TensorT) -> TensorT:
    """Return the regularised lower incomplete gamma function, the share of gamma(a)'s integral that lies below x.

    Args:
        input: a >= 0; tensor or number, without a gradient.
        other: x >= 0, broadcast; tensor or number.

    Raises:
        ShapeError: if the shapes do not broadcast.
        DTypeError: if an operand is neither a tensor nor a number.
        GradientError: if `input` requires a gradient.

    >>> import autodiff as ad
    >>> ad.igamma(ad.tensor([1.0, 2.0]), ad.tensor([1.0, 1.0]))
    tensor([0.6321, 0.2642])
    """
    return bind(igamma_p, *_of_order("igamma", input, other))  # type: ignore[no-any-return]


def igammac(input: TensorT, other: TensorT) -> TensorT:
    """Return the regularised upper incomplete gamma function, ``1 - igamma(input, other)``, also where it is small.

    Args:
        input: a >= 0; tensor or number, without a gradient.
        other: x >= 0, broadcast; tensor or number.

    Raises:
        ShapeError: if the shapes do not broadcast.
        DTypeError: if an operand is neither a tensor nor a number.
        GradientError: if `input` requires a gradient.

    >>> import autodiff as ad
    >>> ad.igammac(ad.tensor([1.0, 2.0]), ad.tensor([1.0, 1.0]))
    tensor([0.3679, 0.7358])
    """
    return bind(igammac_p, *_of_order("igammac", input, other))  # type: ignore[no-any-return]


def _zeta_samples() -> list[Sample]:
    q = spread(0.2, 9, 3, 4)
    special = np.array([2, 3, 2, 2.5, 1, 0.5, 2, 3, 2, np.inf, np.inf], np.float32)
    places = np.array([-2.5, -2.5, -2, -2.5, 2, 2, np.inf, 0, np.nan, 1, 2], np.float32)
    return [*[Sample(s, q) for s in (1.5, 2, 7)], Sample(3.5, q.astype(np.float64).T),
            Sample(spread(1.2, 9, 3, 1), spread(0.2, 60, 4), gradient=False), Sample(special, places, gradient=False),
            Sample(np.array([3, 2]), np.array([1, 4])), Sample(2.0, q[:0])]


zeta_p: Primitive = pointwise(
    "special_zeta", kernel="zeta", kinds="f", flops=300, saves=Keep(inputs=(0, 1)), samples=_zeta_samples,
    vjp=lambda r, g: fit(r, None, neg(mul(g, mul(r.input(0), zeta(add(r.input(0), 1), r.input(1)))))),
    errors=binary_errors, call=lambda *a: zeta(*a),
)


def zeta(input: TensorT, other: TensorT) -> TensorT:
    """Return Hurwitz' zeta function, ``sum over k of (q + k)**-s`` from k = 0 on.

    Args:
        input: s > 1; tensor or number, without a gradient.
        other: q, broadcast; tensor or number. Infinity at 0, -1, ...; of other negative numbers NaN unless s is an
            integer.

    Raises:
        ShapeError: if the shapes do not broadcast.
        DTypeError: if an operand is neither a tensor nor a number.
        GradientError: if `input` requires a gradient.

    >>> import autodiff as ad
    >>> ad.special.zeta(2.0, ad.tensor([1.0, 2.0]))
    tensor([1.6449, 0.6449])
    """
    return bind(zeta_p, *_of_order("special.zeta", input, other))  # type: ignore[no-any-return]
