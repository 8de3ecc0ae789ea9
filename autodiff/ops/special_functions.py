"""The gamma function's relatives and the error function's, computed with NumPy in float64 whatever the dtype is.

They are vectorised NumPy on the host: some 100 ns an element.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, ValueRangeError
from autodiff.ops.choice import where
from autodiff.ops.comparison import lt
from autodiff.ops.elementwise import OUT, X, mul, neg, square
from autodiff.ops.functions import exp, xlogy
from autodiff.ops.promotion import real
from autodiff.ops.samples import spread, unary_errors, unary_samples
from autodiff.primitive import ErrorSample, Keep, Primitive, Sample, composed, define
from autodiff.spec import Array, Cost, Spec, moved

__all__ = ["digamma", "erfc", "erfinv", "lgamma", "polygamma"]


def _run(outs: list[Array], ins: list[Array], compute: Callable[..., Array], **params: Any) -> None:
    with np.errstate(all="ignore"):
        outs[0][...] = compute(ins[0].astype(np.float64), **params)


def _function(name: str, compute: Callable[..., Array], vjp: Callable[..., Any], saves: Keep,
              samples: Callable[[], list[Sample]], call: Callable[..., Any],
              errors: Callable[[], list[ErrorSample]] = unary_errors) -> Primitive:
    """Declare a function of one tensor of floats that a function of float64 arrays computes."""
    return define(
        name,
        host=True,
        infer=lambda x, **_: Spec.of(x.shape, x.dtype),
        run=lambda outs, ins, **params: _run(outs, ins, compute, **params),
        vjp=vjp,
        saves=saves,
        cost=lambda inputs, outputs, **_: Cost(60 * outputs[0].size, moved(*inputs, *outputs)),
        samples=samples,
        errors=errors,
        call=call,
    )


def _polynomial(x: Array, coefficients: tuple[float, ...]) -> Array:
    """Return ``c[0] + c[1] * x + c[2] * x**2 + ...``."""
    return np.polynomial.polynomial.polyval(x, coefficients)


# ---- The gamma function ----------------------------------------------------------------------------------------------

# Bernoulli's numbers B2, B4, ..., B16
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)


def _cot_derivative(order: int, x: Array) -> Array:
    """Return a derivative of ``pi * cot(pi * x)``: a polynomial in the cotangent, as the first is -1 - cot**2."""
    polynomial = np.polynomial.Polynomial([0.0, 1.0])
    for _ in range(order):
        polynomial = polynomial.deriv() * np.polynomial.Polynomial([-1.0, 0.0, -1.0])
    angle = np.pi * (x - np.round(x))
    cotangent = np.cos(angle) / np.sin(angle)  # infinite at numbers below 1e-308, where NumPy's Horner has 0 * infinity
    found: Array = np.full_like(x, polynomial.coef[-1])
    for coefficient in polynomial.coef[-2::-1]:
        found = found * cotangent + coefficient
    found *= np.pi ** (order + 1)
    return found


def _digamma(x: Array) -> Array:
    # The recurrence up to 10, then Abramowitz & Stegun, Handbook of mathematical functions, 6.3.18; below 1/2 the
    # reflection 6.3.7.
    mirrored = x < 0.5
    y = np.where(mirrored, 1 - x, x)
    found = np.zeros_like(y)
    for _ in range(10):
        small = y < 10
        found -= np.where(small, 1 / y, 0)
        y = np.where(small, y + 1, y)
    series = _polynomial(1 / (y * y), (0.0, *(b / (2 * j + 2) for j, b in enumerate(_BERNOULLI))))
    found += np.log(y) - 0.5 / y - series
    found = np.where(mirrored, found - _cot_derivative(0, x), found)
    found = np.where(np.isneginf(x) | ((x < 0) & (x == np.floor(x))), np.nan, found)
    return np.where(x == 0, np.copysign(np.inf, -x), found)


def _polygamma(x: Array, n: int) -> Array:
    if n == 0:
        return _digamma(x)
    # Euler & Maclaurin's sum for the zeta function of Hurwitz behind 12 terms of its series, and below 1/2 the
    # reflection: Digital library of mathematical functions, 25.11.5 and 5.15.6.
    mirrored = x < 0.5
    y = np.where(mirrored, 1 - x, x)
    s = n + 1
    zeta = np.zeros_like(y)
    for k in range(12):
        zeta += (y + k) ** -float(s)
    y = y + 12
    zeta += y ** -float(s - 1) * (1 / (s - 1) + 0.5 / y)  # y ** -s alone would be 0 too soon
    factor = 1.0
    for j, b in enumerate(_BERNOULLI):
        factor *= s if j == 0 else (s + 2 * j - 1) * (s + 2 * j)
        zeta += b / math.factorial(2 * j + 2) * factor * y ** -float(s + 2 * j + 1)
    sign = -1.0 if n % 2 == 0 else 1.0
    found = sign * math.factorial(n) * zeta
    found = np.where(mirrored, (1 if n % 2 == 0 else -1) * found - _cot_derivative(n, x), found)
    found = np.where((x <= 0) & (x == np.floor(x)), sign * np.inf, found)
    return np.where(np.isposinf(x), sign * 0.0, found)


@lru_cache
def _zetas() -> tuple[float, ...]:
    """Return the coefficients of lgamma(2 + z): 0, 1 - Euler's constant, and ``(-1)**k * (zeta(k) - 1) / k``."""
    sums = [float(abs(_polygamma(np.array(2.0), k - 1))) / math.factorial(k - 1) for k in range(2, 32)]
    return 0.0, 1 - 0.5772156649015329, *((-1) ** k * rest / k for k, rest in enumerate(sums, 2))


def _lgamma(x: Array) -> Array:
    # Abramowitz & Stegun 6.1.41 from 8 on, the series 6.1.33 about 2, the recurrence between, and below 1/2 the
    # reflection 6.1.17.
    mirrored = x < 0
    y = np.where(mirrored, 1 - x, x)
    large = y >= 8
    z = np.where(large, y, 8.0)
    stirling = (z - 0.5) * (np.log(z) - 1) + (0.5 * math.log(2 * math.pi) - 0.5)
    terms = tuple(b / ((2 * j + 1) * (2 * j + 2)) for j, b in enumerate(_BERNOULLI))
    stirling += _polynomial(1 / (z * z), terms) / z
    z = np.where(large, 2.0, y)
    factors = np.ones_like(z)
    for _ in range(6):
        above = z > 2.5
        z = np.where(above, z - 1, z)
        factors = np.where(above, factors * z, factors)
    # From 1/2 to 3/2, and below it, lgamma(z) = lgamma(z + 1) - log(z), with the logarithm about 1.
    tiny, low = z < 0.5, z < 1.5
    shift = np.where(tiny, z, np.where(low, z - 1, z - 2))
    near = _polynomial(shift, _zetas()) - np.where(low, np.log1p(shift), 0) - np.where(tiny, np.log(z), 0)
    found = np.where(large, stirling, near + np.log(factors))
    reflected = np.log(np.pi / np.abs(np.sin(np.pi * (x - np.round(x))))) - found
    found = np.where(mirrored, reflected, found)
    return np.where(np.isinf(x), np.inf, found)


_POLES = np.array([-np.inf, -1, 0.0, np.inf, np.nan], np.float32)


def _gamma_samples() -> list[Sample]:
    both = np.array([-7.3, -2.5, -0.4, 0.3, 0.9, 1.1, 1.9, 2.2, 4, 7.9, 8.5, 60])
    return [*unary_samples(0.2, 9), Sample(both), Sample(both.astype(np.float32)), Sample(_POLES, gradient=False),
            Sample(np.array([1, 2, 7]), tolerance=1e-6)]


def _polygamma_errors() -> list[ErrorSample]:
    x = np.ones(2, np.float32)
    return [ErrorSample(Sample(1, "3"), DTypeError, "not a tensor"),
            ErrorSample(Sample(-1, x), ValueRangeError, "expected 0 or more; got -1"),
            ErrorSample(Sample(171, x), ValueRangeError, "expected at most 169; got 171"),
            ErrorSample(Sample(0.5, x), DTypeError, "no integer.*0.5")]


polygamma_p: Primitive = _function(
    "polygamma", _polygamma, lambda r, g: (mul(g, bind(polygamma_p, r.input(0), n=r.params["n"] + 1)),), X,
    lambda: [Sample(n, sample.arguments[0], gradient=sample.gradient) for n in (0, 1, 2, 5)
             for sample in _gamma_samples() if sample.arguments[0].dtype.kind == "f"] + [Sample(1, np.array([1, 2]))],
    lambda *a: polygamma(*a), _polygamma_errors,
)  # fmt: skip
digamma_p = _function("digamma", _digamma, lambda r, g: (mul(g, bind(polygamma_p, r.input(0), n=1)),), X,
                      lambda: [*_gamma_samples(), Sample(np.array([1e-309, -1e-309]), gradient=False)],
                      lambda x: digamma(x))
lgamma_p = _function("lgamma", _lgamma, lambda r, g: (mul(g, bind(digamma_p, r.input(0))),), X, _gamma_samples,
                     lambda x: lgamma(x))


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
    if not isinstance(n, int | np.integer):
        raise DTypeError("polygamma", "the order is no integer", got=repr(n))
    if n < 0:
        raise ValueRangeError("polygamma", "the order is negative", expected="0 or more", got=str(n))
    if n > 169:
        raise ValueRangeError("polygamma", "the order is too large: its factorial is beyond float64",
                              expected="at most 169", got=str(n))
    return bind(polygamma_p, x, n=int(n))  # type: ignore[no-any-return]


# ---- The error function ----------------------------------------------------------------------------------------------

# The Chebyshev series of (1 + 2 * x) * exp(x**2) * erfc(x) in (x - 3.75) / (x + 3.75), for x from 0 to infinity:
# Shepherd & Laframboise, Chebyshev approximation of (1 + 2x) exp(x^2) erfc(x) in 0 <= x < infinity, 1981.
_TAIL = (
    1.1775789345674017541, -0.0045900545806464773309, -0.084249133366517915584, 0.059209939998191890498,
    -0.026658668435305752277, 0.0090749976707052650939, -0.0024131635404176081909, 0.00049077583652580863229,
    -0.000069169733025012063671, 4.1390279860730101675e-6, 7.7403830661984906686e-7, -2.1886401049234395661e-7,
    1.0764999465670910377e-8, 4.5219598112182868979e-9, -7.7544002088313511065e-10, -6.3180883408866844944e-11,
    2.8687950109306698981e-11, 1.945586854577734723e-13, -9.6546967484334389059e-13, 3.2525481481487398415e-14,
    3.3478119482868053878e-14, -1.8645628804193131015e-15, -1.2507950530688647085e-15, 7.418235256624043463e-17,
    5.0681489047961113168e-17, -2.2370566594359995974e-18, -2.187342944303017665e-18,
)


def _erfc(x: Array) -> Array:
    a = np.minimum(np.abs(x), 40.0)  # erfc is 0 from 27.3 on
    ratio = np.polynomial.chebyshev.chebval((a - 3.75) / (a + 3.75), _TAIL) / (1 + 2 * a)
    # exp(-a**2) of a few leading digits, whose square is exact, and of the rest.
    lead = np.floor(a * 16) / 16
    tail = np.exp(-lead * lead) * np.exp((lead - a) * (lead + a)) * ratio
    return np.where(np.isnan(x), np.nan, np.where(x < 0, 2 - tail, tail))


# Wichura, Algorithm AS 241: the percentage points of the normal distribution, 1988: numerators and denominators of the
# quantile in the middle, for 5e-7 < p < 0.075, and further out.
_MIDDLE = (
    (3.3871328727963666080, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125, 45921.953931549871457,
     67265.770927008700853, 33430.575583588128105, 2509.0809287301226727),
    (1.0, 42.313330701600911252, 687.18700749205790830, 5394.1960214247511077, 21213.794301586595867,
     39307.895800092710610, 28729.085735721942674, 5226.4952788528545610),
)
_OUTER = (
    (1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550, 3.64784832476320460504,
     1.27045825245236838258, 0.241780725177450611770, 0.0227238449892691845833, 7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187, 1.67638483018380384940, 0.689767334985100004550, 0.148103976427480074590,
     0.0151986665636164571966, 5.47593808499534494600e-4, 1.05075007164441684324e-9),
)
_FAR = (
    (6.65790464350110377720, 5.46378491116411436990, 1.78482653991729133580, 0.296560571828504891230,
     0.0265321895265761230930, 0.00124266094738807843860, 2.71155556874348757815e-5, 2.01033439929228813265e-7),
    (1.0, 0.599832206555887937690, 0.136929880922735805310, 0.0148753612908506148525, 7.86869131145613259100e-4,
     1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15),
)


def _erfinv(x: Array) -> Array:
    def ratio(t: Array, pair: tuple[tuple[float, ...], tuple[float, ...]]) -> Array:
        return _polynomial(t, pair[0]) / _polynomial(t, pair[1])

    # The quantile of p = (1 + x) / 2, divided by the root of 2.
    q = x / 2
    middle = q * ratio(0.180625 - q * q, _MIDDLE)
    r = np.sqrt(-np.log((1 - np.abs(x)) / 2))
    tail = np.copysign(np.where(r <= 5, ratio(r - 1.6, _OUTER), ratio(r - 5, _FAR)), x)
    found = np.where(np.abs(q) <= 0.425, middle, tail) / math.sqrt(2)
    return np.where(np.abs(x) == 1, np.copysign(np.inf, x), np.where(np.abs(x) <= 1, found, np.nan))


erfc_p = _function(
    "erfc", _erfc, lambda r, g: (mul(mul(g, -2 / math.sqrt(math.pi)), exp(neg(square(r.input(0))))),), X,
    lambda: [*unary_samples(-3, 4), Sample(np.array([-np.inf, np.inf, np.nan], np.float32), gradient=False),
             Sample(np.array([5, 9.1, 26.4])), Sample(np.array([0, 1, -2]))],
    lambda x: erfc(x),
)  # fmt: skip
erfinv_p = _function(
    "erfinv", _erfinv, lambda r, g: (mul(mul(g, math.sqrt(math.pi) / 2), exp(square(r.output(0)))),), OUT,
    lambda: [*unary_samples(-0.97, 0.98), Sample(np.array([-1, 1, 2, np.nan, -0.0], np.float32), gradient=False),
             Sample(spread(0.9999, 1, 5, dtype=np.float64), gradient=False), Sample(np.array([0, 0]))],
    lambda x: erfinv(x),
)  # fmt: skip


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
