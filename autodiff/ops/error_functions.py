"""The error function's relatives: what is left of it to 1, its inverse, and the normal distribution's functions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autodiff.bind import TensorT, bind
from autodiff.ops.choice import where
from autodiff.ops.comparison import eq, isinf, le, logical_and, logical_or, lt
from autodiff.ops.elementwise import OUT, div, mul, neg, square, sub
from autodiff.ops.functions import exp, function, log1p, xlogy
from autodiff.ops.promotion import promote_float, real
from autodiff.ops.samples import binary_errors, spread, unary_errors, unary_samples
from autodiff.primitive import Keep, Primitive, Sample, composed

__all__ = ["erfc", "erfinv"]

ENDS = (math.inf, -math.inf, math.nan, 0.0, -0.0)

erfc_p = function("erfc", -3, 4, lambda x: erfc(x),
                  lambda r, g: (mul(mul(g, -2 / math.sqrt(math.pi)), exp(neg(square(r.input(0))))),),
                  special=(*ENDS, 5, 9.1, -9), flops=40)
erfcx_p: Primitive = function(
    "special_erfcx", -2, 30, lambda x: erfcx(x),
    lambda r, g: (mul(g, sub(mul(mul(r.input(0), r.output(0)), 2), 2 / math.sqrt(math.pi))),),
    Keep(inputs=(0,), outputs=(0,)), (*ENDS, 1e20, -9), flops=40, kernel="erfcx")
erfinv_p = function("erfinv", -0.97, 0.98, lambda x: erfinv(x),
                    lambda r, g: (mul(mul(g, math.sqrt(math.pi) / 2), exp(square(r.output(0)))),), OUT,
                    (-1, 1, 2, math.nan, -0.0, 0.99999, -0.999), flops=40)
ndtri_p = function("special_ndtri", 0.02, 0.97, lambda x: ndtri(x),
                   lambda r, g: (mul(mul(g, math.sqrt(2 * math.pi)), exp(mul(square(r.output(0)), 0.5))),), OUT,
                   (0, 1, 2, -1, math.nan, 1e-30, 0.5), flops=40, kernel="ndtri")
log_ndtr_p = function("special_log_ndtr", -9, 5, lambda x: log_ndtr(x),
                      lambda r, g: (div(mul(g, math.sqrt(2 / math.pi)), erfcx(mul(r.input(0), -math.sqrt(0.5)))),),
                      special=(*ENDS, -1e10, 12), flops=60, kernel="log_ndtr")


def erfc(input: TensorT) -> TensorT:
    """Return ``1 - erf(input)``, with all digits where it is small.

    Args:
        input: any shape; integers become float32.

    Raises:
        DTypeError: if `input` is no tensor.

    >>> import autodiff as ad
    >>> ad.erfc(ad.tensor([0.0, 1.0]))
    tensor([1.0000, 0.1573])
    """
    return bind(erfc_p, real("erfc", input))  # type: ignore[no-any-return]


def erfcx(input: TensorT) -> TensorT:
    """Return ``exp(x**2) * erfc(x)``, which is about ``1 / (sqrt(pi) * x)`` for large x.

    Args:
        input: any shape; integers become float32.

    Raises:
        DTypeError: if `input` is no tensor.

    >>> import autodiff as ad
    >>> ad.special.erfcx(ad.tensor([0.0, 100.0]))
    tensor([1.0000, 0.0056])
    """
    return bind(erfcx_p, real("special.erfcx", input))  # type: ignore[no-any-return]


def erfinv(input: TensorT) -> TensorT:
    """Return the number whose `erf` is each element: NaN outside [-1, 1], infinities at its ends.

    Args:
        input: any shape; integers become float32.

    Raises:
        DTypeError: if `input` is no tensor.

    >>> import autodiff as ad
    >>> ad.erfinv(ad.tensor([0.0, 0.5, 1.0]))
    tensor([0.0000, 0.4769,    inf])
    """
    return bind(erfinv_p, real("erfinv", input))  # type: ignore[no-any-return]


@composed(name="special_ndtr", samples=lambda: [*unary_samples(-3, 4), Sample(np.array([-30.0, -12, 9]))],
          errors=unary_errors)
def ndtr(input: TensorT) -> TensorT:
    """Return the standard normal distribution function, ``erfc(-input / sqrt(2)) / 2``.

    >>> import autodiff as ad
    >>> ad.special.ndtr(ad.tensor([0.0, 1.0]))
    tensor([0.5000, 0.8413])
    """
    return mul(erfc(mul(real("special.ndtr", input), -math.sqrt(0.5))), 0.5)  # type: ignore[no-any-return]


def log_ndtr(input: TensorT) -> TensorT:
    """Return ``log(ndtr(input))``, with all digits where `ndtr` is near 0 or 1.

    Args:
        input: any shape; integers become float32.

    Raises:
        DTypeError: if `input` is no tensor.

    >>> import autodiff as ad
    >>> ad.special.log_ndtr(ad.tensor([-100.0, 0.0]))
    tensor([-5.0055e+03, -6.9315e-01])
    """
    return bind(log_ndtr_p, real("special.log_ndtr", input))  # type: ignore[no-any-return]


def ndtri(input: TensorT) -> TensorT:
    """Return the number whose `ndtr` is each element: NaN outside [0, 1], infinities at its ends.

    Args:
        input: any shape; integers become float32.

    Raises:
        DTypeError: if `input` is no tensor.

    >>> import autodiff as ad
    >>> ad.special.ndtri(ad.tensor([0.5, 0.975]))
    tensor([0.0000, 1.9600])
    """
    return bind(ndtri_p, real("special.ndtri", input))  # type: ignore[no-any-return]


# ---- Products with logarithms ----------------------------------------------------------------------------------------


@composed(name="special_entr", samples=lambda: [*unary_samples(0.1, 4), Sample(np.array([-1, 0, np.inf, np.nan],
                                                                                       np.float32), gradient=False)],
          errors=unary_errors)
def entr(input: TensorT) -> TensorT:
    """Return ``-x * log(x)``, 0 at 0 and minus infinity for negative numbers: what each x adds to an entropy.

    >>> import autodiff as ad
    >>> ad.special.entr(ad.tensor([0.0, 0.5]))
    tensor([0.0000, 0.3466])
    """
    x: Any = real("special.entr", input)
    return where(lt(x, 0), -math.inf, xlogy(neg(x), x))  # type: ignore[no-any-return]


@composed(
    name="special_xlog1py",
    samples=lambda: [Sample(spread(-2, 2, 3, 4), spread(-0.8, 3, 4)), Sample(2, spread(-0.8, 3, 4)),
                     Sample(np.zeros(4, np.float32), spread(-0.8, 3, 4)),
                     Sample(np.zeros(5, np.float32), np.array([0, 1, -1, np.inf, np.nan], np.float32), gradient=False)],
    errors=binary_errors,
)
def xlog1py(input: TensorT, other: TensorT) -> TensorT:
    """Return ``input * log(1 + other)``, broadcast: 0 where `input` is 0, NaN where `other` is.

    >>> import autodiff as ad
    >>> ad.special.xlog1py(ad.tensor([0.0, 2.0]), ad.tensor([-1.0, 0.0]))
    tensor([0., 0.])
    """
    x, y = promote_float("special.xlog1py", input, other)
    vanishes = logical_and(eq(x, 0), logical_or(le(y, -1), isinf(y)))
    return where(vanishes, 0, mul(x, log1p(where(vanishes, 0, y))))  # type: ignore[no-any-return]
