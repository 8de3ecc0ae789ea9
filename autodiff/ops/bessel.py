"""Bessel's functions of orders 0 and 1; each is the derivative of another, but for a quotient by x."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autodiff.bind import TensorT, bind
from autodiff.ops.choice import where
from autodiff.ops.comparison import eq
from autodiff.ops.elementwise import add, div, mul, neg, sign, sub
from autodiff.ops.functions import function
from autodiff.ops.promotion import real
from autodiff.primitive import Keep, Primitive

__all__ = ["i0"]

BOTH = Keep(inputs=(0,), outputs=(0,))
ENDS = (float("inf"), float("-inf"), float("nan"), 0.0, -1.0, 1e-30)


def _declare(name: str, low: float, high: float, slope: Callable[[Any, Any], Any], special: tuple[float, ...] = ENDS,
             kernel: str | None = None) -> Primitive:
    """Declare a function, whose derivative is ``slope(x, value)``."""
    short = name.removeprefix("special_")
    operation: Primitive = function(
        name, low, high, lambda x: _FUNCTIONS[short](x), lambda r, g: (mul(g, slope(r.input(0), r.output(0))),), BOTH,
        special, flops=40, kernel=kernel or short)
    return operation


def _quotient(value: Any, x: Any) -> Any:
    """Return ``value / x``, and 1/2 at 0: what I1 and J1 of x are to x there."""
    zero = eq(x, 0)
    return where(zero, 0.5, div(value, where(zero, 1, x)))


# ---- I ---------------------------------------------------------------------------------------------------------------

i0_p = _declare("i0", -12, 12, lambda x, y: i1(x), (*ENDS, 60))
i0e_p = _declare("special_i0e", -12, 12, lambda x, y: sub(i1e(x), mul(sign(x), y)), (*ENDS, 2e4))
i1_p = _declare("special_i1", -12, 12, lambda x, y: sub(i0(x), _quotient(y, x)), (*ENDS, 60))
i1e_p = _declare("special_i1e", -12, 12,
                 lambda x, y: sub(sub(i0e(x), mul(sign(x), y)), _quotient(y, x)), (*ENDS, 2e4))


def i0(input: TensorT) -> TensorT:
    """Return the modified Bessel function I0, ``sum over k of (x**2 / 4)**k / k!**2``.

    Args:
        input: any shape; integers become float32.

    Raises:
        DTypeError: if `input` is no tensor.

    >>> import autodiff as ad
    >>> ad.i0(ad.tensor([0.0, 1.0]))
    tensor([1.0000, 1.2661])
    """
    return bind(i0_p, real("i0", input))  # type: ignore[no-any-return]


def i0e(input: TensorT) -> TensorT:
    """Return ``exp(-|x|) * i0(x)``, which is finite for every x.

    Args:
        input: any shape; integers become float32.

    Raises:
        DTypeError: if `input` is no tensor.

    >>> import autodiff as ad
    >>> ad.special.i0e(ad.tensor([0.0, 1000.0]))
    tensor([1.0000, 0.0126])
    """
    return bind(i0e_p, real("special.i0e", input))  # type: ignore[no-any-return]


def i1(input: TensorT) -> TensorT:
    """Return the modified Bessel function I1, the derivative of `i0`.

    Args:
        input: any shape; integers become float32.

    Raises:
        DTypeError: if `input` is no tensor.

    >>> import autodiff as ad
    >>> ad.special.i1(ad.tensor([0.0, 1.0]))
    tensor([0.0000, 0.5652])
    """
    return bind(i1_p, real("special.i1", input))  # type: ignore[no-any-return]


def i1e(input: TensorT) -> TensorT:
    """Return ``exp(-|x|) * i1(x)``, which is finite for every x.

    Args:
        input: any shape; integers become float32.

    Raises:
        DTypeError: if `input` is no tensor.

    >>> import autodiff as ad
    >>> ad.special.i1e(ad.tensor([0.0, 1000.0]))
    tensor([0.0000, 0.0126])
    """
    return bind(i1e_p, real("special.i1e", input))  # type: ignore[no-any-return]


# ---- K ---------------------------------------------------------------------------------------------------------------

k0_p = _declare("special_modified_bessel_k0", 0.2, 6, lambda x, y: neg(modified_bessel_k1(x)), kernel="bessel_k0")
k1_p = _declare("special_modified_bessel_k1", 0.2, 6, lambda x, y: neg(add(modified_bessel_k0(x), div(y, x))),
                kernel="bessel_k1")
k0e_p = _declare("special_scaled_modified_bessel_k0", 0.2, 6, lambda x, y: sub(y, scaled_modified_bessel_k1(x)),
                 kernel="bessel_k0e")
k1e_p = _declare("special_scaled_modified_bessel_k1", 0.2, 6,
                 lambda x, y: sub(sub(y, div(y, x)), scaled_modified_bessel_k0(x)), kernel="bessel_k1e")


def modified_bessel_k0(input: TensorT) -> TensorT:
    """Return the modified Bessel function K0: infinity at 0, NaN below.

    Args:
        input: any shape; integers become float32.

    Raises:
        DTypeError: if `input` is no tensor.

    >>> import autodiff as ad
    >>> ad.special.modified_bessel_k0(ad.tensor([1.0, 2.0]))
    tensor([0.4210, 0.1139])
    """
    return bind(k0_p, real("special.modified_bessel_k0", input))  # type: ignore[no-any-return]


def modified_bessel_k1(input: TensorT) -> TensorT:
    """Return the modified Bessel function K1, minus the derivative of K0: infinity at 0, NaN below.

    Args:
        input: any shape; integers become float32.

    Raises:
        DTypeError: if `input` is no tensor.

    >>> import autodiff as ad
    >>> ad.special.modified_bessel_k1(ad.tensor([1.0, 2.0]))
    tensor([0.6019, 0.1399])
    """
    return bind(k1_p, real("special.modified_bessel_k1", input))  # type: ignore[no-any-return]


def scaled_modified_bessel_k0(x: TensorT) -> TensorT:
    """Return ``exp(x) * modified_bessel_k0(x)``.

    Args:
        x: any shape; integers become float32.

    Raises:
        DTypeError: if `x` is no tensor.

    >>> import autodiff as ad
    >>> ad.special.scaled_modified_bessel_k0(ad.tensor([1.0, 1000.0]))
    tensor([1.1445, 0.0396])
    """
    return bind(k0e_p, real("special.scaled_modified_bessel_k0", x))  # type: ignore[no-any-return]


def scaled_modified_bessel_k1(x: TensorT) -> TensorT:
    """Return ``exp(x) * modified_bessel_k1(x)``.

    Args:
        x: any shape; integers become float32.

    Raises:
        DTypeError: if `x` is no tensor.

    >>> import autodiff as ad
    >>> ad.special.scaled_modified_bessel_k1(ad.tensor([1.0, 1000.0]))
    tensor([1.6362, 0.0396])
    """
    return bind(k1e_p, real("special.scaled_modified_bessel_k1", x))  # type: ignore[no-any-return]


# ---- J and Y ---------------------------------------------------------------------------------------------------------

j0_p = _declare("special_bessel_j0", -20, 20, lambda x, y: neg(bessel_j1(x)), (*ENDS, 1e6))
j1_p = _declare("special_bessel_j1", -20, 20, lambda x, y: sub(bessel_j0(x), _quotient(y, x)), (*ENDS, 1e6))
y0_p = _declare("special_bessel_y0", 0.3, 20, lambda x, y: neg(bessel_y1(x)), (*ENDS, 1e6))
y1_p = _declare("special_bessel_y1", 0.3, 20, lambda x, y: sub(bessel_y0(x), div(y, x)), (*ENDS, 1e6))


def bessel_j0(input: TensorT) -> TensorT:
    """Return the Bessel function of the first kind J0.

    Args:
        input: any shape; integers become float32.

    Raises:
        DTypeError: if `input` is no tensor.

    >>> import autodiff as ad
    >>> ad.special.bessel_j0(ad.tensor([0.0, 1.0]))
    tensor([1.0000, 0.7652])
    """
    return bind(j0_p, real("special.bessel_j0", input))  # type: ignore[no-any-return]


def bessel_j1(input: TensorT) -> TensorT:
    """Return the Bessel function of the first kind J1, minus the derivative of J0.

    Args:
        input: any shape; integers become float32.

    Raises:
        DTypeError: if `input` is no tensor.

    >>> import autodiff as ad
    >>> ad.special.bessel_j1(ad.tensor([0.0, 1.0]))
    tensor([0.0000, 0.4401])
    """
    return bind(j1_p, real("special.bessel_j1", input))  # type: ignore[no-any-return]


def bessel_y0(input: TensorT) -> TensorT:
    """Return the Bessel function of the second kind Y0: minus infinity at 0, NaN below.

    Args:
        input: any shape; integers become float32.

    Raises:
        DTypeError: if `input` is no tensor.

    >>> import autodiff as ad
    >>> ad.special.bessel_y0(ad.tensor([1.0, 2.0]))
    tensor([0.0883, 0.5104])
    """
    return bind(y0_p, real("special.bessel_y0", input))  # type: ignore[no-any-return]


def bessel_y1(input: TensorT) -> TensorT:
    """Return the Bessel function of the second kind Y1, minus the derivative of Y0: minus infinity at 0, NaN below.

    Args:
        input: any shape; integers become float32.

    Raises:
        DTypeError: if `input` is no tensor.

    >>> import autodiff as ad
    >>> ad.special.bessel_y1(ad.tensor([1.0, 2.0]))
    tensor([-0.7812, -0.1070])
    """
    return bind(y1_p, real("special.bessel_y1", input))  # type: ignore[no-any-return]


_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    f.__name__: f
    for f in (i0, i0e, i1, i1e, modified_bessel_k0, modified_bessel_k1, scaled_modified_bessel_k0,
              scaled_modified_bessel_k1, bessel_j0, bessel_j1, bessel_y0, bessel_y1)
}
