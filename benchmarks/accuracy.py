"""Measures how far results are from exact ones, and writes the tables of `docs/accuracy.md`.

    python -m benchmarks.accuracy [--file docs/accuracy.md]

Elementary functions are measured in ulp, units in the last place of the exact result: float32 on every `STEP`-th of all
float32 numbers, beside NumPy's float64; float64 on random numbers of every magnitude, beside NumPy's long double.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import autodiff as ad
import autodiff.nn.functional as F
from benchmarks import exact

Array = np.ndarray[Any, np.dtype[Any]]

FILE = Path(__file__).parent.parent / "docs" / "accuracy.md"
STEP = 251  # a prime, so that all endings of a fraction come up
COUNT = 400_000  # float64 numbers, and pairs of either dtype
BLOCK = 1 << 20
RARER = 100  # what is slow to know exactly is measured on every so manieth of these numbers


UNARY: dict[str, Callable[[Array], Array]] = {
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2, "log10": np.log10,
    "log1p": np.log1p, "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos,
    "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh, "acosh": np.arccosh,
    "atanh": np.arctanh, "sigmoid": exact.sigmoid, "erf": exact.erf, "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x),
    "reciprocal": lambda x: 1 / x,
}  # fmt: skip
BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "div": np.true_divide, "atan2": np.arctan2, "hypot": np.hypot, "fmod": np.fmod, "remainder": np.remainder,
    "pow": np.power, "logaddexp": np.logaddexp, "logaddexp2": np.logaddexp2, "xlogy": exact.xlogy,
}  # fmt: skip
LEAST = {"logaddexp": 1.0, "logaddexp2": 1.0}  # what `Special.least` is


class Special(NamedTuple):
    """A function of one number, with what its error is measured by.

    Attributes:
        call: the library's function.
        exact: the same of long doubles.
        where: which numbers are measured, in words, and as a function that replaces all others.
        least: errors are measured in units of the last place of the result, and at least of this number.
    """

    call: Callable[[Any], Any]
    exact: Callable[[Array], Array]
    where: tuple[str, Callable[[Array], Array]]
    least: float = 0.0


ANY = "any", lambda x: np.where(np.isnan(x), 0, x)
POSITIVE = "positive", lambda x: np.where(x > 0, x, 1)
INSIDE = "-1 to 1", lambda x: np.where(np.abs(x) <= 1, x, 0)
SHARE = "0 to 1", lambda x: np.where((x >= 0) & (x <= 1), x, 0.5)
FINITE = "up to 1e6", lambda x: np.where(np.abs(x) <= 1e6, x, 0)
ABOVE_5 = "-5 to 1e6", lambda x: np.where((x >= -5) & (x <= 1e6), x, 0)
ABOVE_80 = "-80 to 1e6", lambda x: np.where((x >= -80) & (x <= 1e6), x, 0)
MODERATE = "1e-6 to 1e6", lambda x: np.where((x >= 1e-6) & (x <= 1e6), x, 1)
NEAR = "0.1 to 100", lambda x: np.where((x >= 0.1) & (x <= 100), x, 1)
SPECIAL: dict[str, Special] = {
    "erfc": Special(ad.erfc, exact.erfc, ANY),
    "erfinv": Special(ad.erfinv, exact.erfinv, INSIDE),
    "lgamma": Special(ad.lgamma, exact.lgamma, POSITIVE),
    "digamma": Special(ad.digamma, exact.digamma, POSITIVE, least=1.0),
    "polygamma 1": Special(lambda x: ad.polygamma(1, x), lambda x: exact.polygamma(1, x), POSITIVE),
    "polygamma 2": Special(lambda x: ad.polygamma(2, x), lambda x: exact.polygamma(2, x), POSITIVE),
    "zeta 3": Special(lambda x: ad.special.zeta(3, x), lambda x: exact.hurwitz(3, x), POSITIVE),
    "igamma 3": Special(lambda x: ad.igamma(3, x), lambda x: exact.gammainc(3, x), NEAR),
    "igammac 3": Special(lambda x: ad.igammac(3, x), lambda x: exact.gammaincc(3, x), NEAR),
    "igamma 40": Special(lambda x: ad.igamma(40, x), lambda x: exact.gammainc(40, x), NEAR),
    "igammac 40": Special(lambda x: ad.igammac(40, x), lambda x: exact.gammaincc(40, x), NEAR),
    "erfcx": Special(ad.special.erfcx, exact.erfcx, ANY),
    "ndtri": Special(ad.special.ndtri, exact.ndtri, SHARE),
    "log_ndtr": Special(ad.special.log_ndtr, exact.log_ndtr, FINITE),
    "i0": Special(ad.i0, partial(exact.bessel_i, 0), ANY),
    "i1": Special(ad.special.i1, partial(exact.bessel_i, 1), ANY),
    "i0e": Special(ad.special.i0e, partial(exact.bessel_i, 0, scaled=True), FINITE),
    "i1e": Special(ad.special.i1e, partial(exact.bessel_i, 1, scaled=True), FINITE),
    "modified_bessel_k0": Special(ad.special.modified_bessel_k0, partial(exact.bessel_k, 0), POSITIVE),
    "modified_bessel_k1": Special(ad.special.modified_bessel_k1, partial(exact.bessel_k, 1), POSITIVE),
    "scaled_modified_bessel_k0": Special(
        ad.special.scaled_modified_bessel_k0, partial(exact.bessel_k, 0, scaled=True), MODERATE),
    "scaled_modified_bessel_k1": Special(
        ad.special.scaled_modified_bessel_k1, partial(exact.bessel_k, 1, scaled=True), MODERATE),
    "bessel_j0": Special(ad.special.bessel_j0, partial(exact.bessel_j, 0), FINITE, least=1.0),
    "bessel_j1": Special(ad.special.bessel_j1, partial(exact.bessel_j, 1), FINITE, least=1.0),
    "bessel_y0": Special(ad.special.bessel_y0, partial(exact.bessel_y, 0), MODERATE, least=1.0),
    "bessel_y1": Special(ad.special.bessel_y1, partial(exact.bessel_y, 1), MODERATE, least=1.0),
}

SELU = 1.0507009873554805, 1.6732632423543772
ACTIVATIONS: dict[str, Special] = {
    "gelu": Special(F.gelu, exact.gelu, FINITE, least=1.0),
    "gelu tanh": Special(lambda x: F.gelu(x, approximate="tanh"), exact.gelu_tanh, ABOVE_5),
    "silu": Special(F.silu, exact.silu, ABOVE_80),
    "mish": Special(F.mish, exact.mish, ABOVE_80),
    "softplus": Special(F.softplus, lambda x: np.where(x > 20, x, exact.softplus(x)), ANY),
    "logsigmoid": Special(F.logsigmoid, lambda x: -exact.softplus(-x), ANY),
    "elu": Special(F.elu, exact.elu, ANY),
    "selu": Special(F.selu, lambda x: exact.elu(x, *SELU), ANY),
    "celu": Special(F.celu, exact.elu, ANY),
    "hardswish": Special(F.hardswish, lambda x: x * np.clip(x + 3, 0, 6) / 6, FINITE, least=1.0),
    "logit": Special(ad.logit, exact.logit, SHARE, least=1.0),
    "sinc": Special(ad.sinc, exact.sinc, FINITE, least=1.0),
    "x ** 3": Special(lambda x: x**3, lambda x: x**3, ANY),
}

WIDER = {np.dtype(np.float32): np.float64, np.dtype(np.float64): np.longdouble}


def ulps(got: Array, exact: Array, least: float = 0.0) -> float:
    """Return the largest error in units of the last place of the exact result; inf where a special value is wrong.

    The units are at least those of the number `least`.
    """
    with np.errstate(over="ignore"):
        rounded = exact.astype(got.dtype)
    finite = np.isfinite(rounded)
    if not np.array_equal(got[~finite], rounded[~finite], equal_nan=True) or not np.isfinite(got[finite]).all():
        return math.inf
    unit = np.spacing(np.maximum(np.abs(rounded[finite]), got.dtype.type(least))).astype(exact.dtype)
    return float(np.max(np.abs(got[finite] - exact[finite]) / unit, initial=0))


def numbers(dtype: Any, part: int = 1) -> Iterator[Array]:
    """Yield blocks of numbers of every magnitude and sign; `part` > 1: every part-th of them."""
    if dtype == np.float32:
        for start in range(0, 1 << 32, STEP * part * BLOCK):
            bits = np.arange(start, min(start + STEP * part * BLOCK, 1 << 32), STEP * part).astype(np.uint32)
            yield bits.view(np.float32)
    else:
        rng = np.random.default_rng(0)
        bits = rng.integers(0, 1 << 64, COUNT, np.uint64).view(np.float64)
        near = [rng.uniform(-size, size, COUNT) for size in (1.2, 10, 800)]
        for block in (bits, *near, 1 + rng.standard_normal(COUNT) * 1e-3):
            yield block[::part]


def pairs(dtype: Any, part: int = 1) -> Iterator[tuple[Array, Array]]:
    """Yield blocks of pairs: unrelated numbers of every magnitude, numbers of a like size, moderate numbers."""
    rng = np.random.default_rng(1)
    bits, size = (np.uint32, 1 << 32) if dtype == np.float32 else (np.uint64, 1 << 64)
    x, y = (rng.integers(0, size, COUNT, bits).view(dtype) for _ in range(2))
    factor, base, exponent = rng.uniform(-2, 2, COUNT), rng.uniform(0, 30, COUNT), rng.uniform(-30, 30, COUNT)
    with np.errstate(all="ignore"):
        found = [(x, y), (x, x * factor), (base, exponent)]
        yield from ((first.astype(dtype)[::part], second.astype(dtype)[::part]) for first, second in found)


def error(name: str, dtype: Any, part: int = 1) -> float:
    """Return the largest error of a function in ulp; `part` > 1: on every part-th of the numbers."""
    wide = WIDER[np.dtype(dtype)]
    blocks = ((x,) for x in numbers(dtype, part)) if name in UNARY else pairs(dtype, part)
    reference: Callable[..., Array] = UNARY[name] if name in UNARY else BINARY[name]
    worst = 0.0
    with np.errstate(all="ignore"), ad.no_grad():
        for operands in blocks:
            # What a signalling NaN becomes is nobody's business.
            operands = tuple(np.where(np.isnan(x), x.dtype.type(np.nan), x) for x in operands)
            got = getattr(ad, name)(*map(ad.tensor, operands)).numpy()
            worst = max(worst, ulps(got, reference(*(x.astype(wide) for x in operands)), LEAST.get(name, 0.0)))
    return worst


def special_error(name: str, dtype: Any, part: int = 1) -> float:
    """Return the largest error of an activation or a special function in ulp; `part`: as for `error`."""
    function = {**ACTIVATIONS, **SPECIAL}[name]
    worst = 0.0
    with np.errstate(all="ignore"), ad.no_grad():
        for block in numbers(dtype, RARER * part):
            x = function.where[1](block).astype(dtype)
            got = function.call(ad.tensor(x)).numpy()
            worst = max(worst, ulps(got, function.exact(x.astype(np.longdouble)), function.least))
    return worst


class Sum(NamedTuple):
    """An operation made of sums: its result, the exact one, and the magnitude that errors are measured by."""

    got: Array
    exact: Array
    magnitude: Array


def matmul(part: int = 1, dtype: Any = np.float32) -> Sum:
    """Return the product of two square matrices; by that of the absolute values."""
    a, b = _normal(dtype, 512 // part, 512), _normal(dtype, 512, 512 // part)
    wide = a.astype(WIDER[np.dtype(dtype)]), b.astype(WIDER[np.dtype(dtype)])
    return Sum(ad.matmul(ad.tensor(a), ad.tensor(b)).numpy(), wide[0] @ wide[1], np.abs(wide[0]) @ np.abs(wide[1]))


def conv2d(part: int = 1, dtype: Any = np.float32) -> Sum:
    """Return a convolution of 32 channels with 3x3 kernels; by that of the absolute values."""
    x, w = _normal(dtype, max(8 // part, 1), 32, 16, 16), _normal(dtype, 64, 32, 3, 3)

    def exact(x: Array, w: Array) -> Array:
        windows = np.lib.stride_tricks.sliding_window_view(x.astype(WIDER[np.dtype(dtype)]), (3, 3), (2, 3))
        return np.einsum("nchwij,ocij->nohw", windows, w.astype(WIDER[np.dtype(dtype)]), optimize=True)

    got = ad.nn.functional.conv2d(ad.tensor(x), ad.tensor(w)).numpy()
    return Sum(got, exact(x, w), exact(np.abs(x), np.abs(w)))


def softmax(part: int = 1, dtype: Any = np.float32) -> Sum:
    """Return the softmax of rows of 1000; by the results."""
    x = 3 * _normal(dtype, 512 // part, 1000)
    wide = np.exp(x.astype(WIDER[np.dtype(dtype)]))
    exact = wide / wide.sum(1, keepdims=True)
    return Sum(ad.softmax(ad.tensor(x), 1).numpy(), exact, exact)


def log_softmax(part: int = 1, dtype: Any = np.float32) -> Sum:
    """Return the log-softmax of rows of 1000; by the results, at least 1."""
    x = 3 * _normal(dtype, 512 // part, 1000)
    wide = x.astype(WIDER[np.dtype(dtype)])
    exact = wide - np.log(np.exp(wide).sum(1, keepdims=True))
    return Sum(ad.log_softmax(ad.tensor(x), 1).numpy(), exact, np.maximum(np.abs(exact), 1))


def layer_norm(part: int = 1, dtype: Any = np.float32) -> Sum:
    """Return the layer norm of rows of 768 about 5; by the results, at least 1."""
    x = _normal(dtype, 512 // part, 768) + dtype(5)
    got = ad.nn.functional.layer_norm(ad.tensor(x), (768,)).numpy()
    return _standardised(x, got, 1)


def batch_norm(part: int = 1, dtype: Any = np.float32) -> Sum:
    """Return the batch norm of 32 channels about 5; by the results, at least 1."""
    x = _normal(dtype, max(64 // part, 2), 32, 16, 16) + dtype(5)
    got = ad.nn.functional.batch_norm(ad.tensor(x), None, None, training=True).numpy()
    return _standardised(x, got, (0, 2, 3))


def total(part: int = 1, dtype: Any = np.float32) -> Sum:
    """Return the sum of 10**7 numbers about 0; by that of the absolute values."""
    x = _normal(dtype, 10**7 // part)
    exact = np.asarray(math.fsum(x))
    return Sum(ad.tensor(x).sum().numpy(), exact, np.abs(x.astype(WIDER[np.dtype(dtype)])).sum())


def variance(part: int = 1, dtype: Any = np.float32) -> Sum:
    """Return the variance of 10**6 numbers about 100; by the result."""
    x = _normal(dtype, 10**6 // part) + dtype(100)
    exact = x.astype(WIDER[np.dtype(dtype)]).var(ddof=1)
    return Sum(ad.tensor(x).var().numpy(), exact, exact)


def softmax_gradient(part: int = 1, dtype: Any = np.float32) -> Sum:
    """Return the gradient of the softmax of rows of 1000; by the sums of the absolute values."""
    x, g = 3 * _normal(dtype, 512 // part, 1000), _normal(dtype, 512 // part, 1000)[:, ::-1].copy()
    p, wide = _softmax(_wider(x)), _wider(g)
    exact = p * (wide - (p * wide).sum(1, keepdims=True))
    magnitude = p * (abs(wide) + (p * abs(wide)).sum(1, keepdims=True))
    return Sum(_gradient(lambda t: ad.softmax(t, 1), g, x), exact, magnitude)


def cross_entropy_gradient(part: int = 1, dtype: Any = np.float32) -> Sum:
    """Return the gradient of the cross-entropy of rows of 1000, smoothed by 0.1; by the sum of the absolute values."""
    x = 3 * _normal(dtype, 512 // part, 1000)
    labels = np.arange(len(x)) * 7 % 1000
    got = _gradient(lambda t: F.cross_entropy(t, ad.tensor(labels), reduction="sum", label_smoothing=0.1), None, x)
    p, wanted = _softmax(_wider(x)), 0.9 * np.eye(1000, dtype=WIDER[x.dtype])[labels] + 0.1 / 1000
    return Sum(got, p - wanted, p + wanted)


def soft_cross_entropy_gradient(part: int = 1, dtype: Any = np.float32) -> Sum:
    """Return the same with class probabilities; by the same."""
    x = 3 * _normal(dtype, 512 // part, 1000)
    labels = np.abs(x[::-1])
    labels /= labels.sum(1, keepdims=True)
    got = _gradient(lambda t: F.cross_entropy(t, ad.tensor(labels), reduction="sum"), None, x)
    p, wanted = _softmax(_wider(x)), _wider(labels)
    total = wanted.sum(1, keepdims=True)
    return Sum(got, total * p - wanted, total * p + wanted)


def layer_norm_gradient(part: int = 1, dtype: Any = np.float32) -> Sum:
    """Return the gradient of the layer norm of rows of 768 about 5; by the sum of the absolute values."""
    x, g = _normal(dtype, 512 // part, 768) + dtype(5), _normal(dtype, 512 // part, 768)[:, ::-1].copy()
    return _norm_gradient(x, g, _gradient(lambda t: F.layer_norm(t, (768,)), g, x), 1)


def batch_norm_gradient(part: int = 1, dtype: Any = np.float32) -> Sum:
    """Return the gradient of the batch norm of 32 channels about 5; by the sum of the absolute values."""
    x = _normal(dtype, max(64 // part, 2), 32, 16, 16) + dtype(5)
    g = _normal(dtype, *x.shape)[:, ::-1].copy()
    return _norm_gradient(x, g, _gradient(lambda t: F.batch_norm(t, None, None, training=True), g, x), (0, 2, 3))


def attention(part: int = 1, dtype: Any = np.float32) -> Sum:
    """Return attention of 300 targets and sources with 64 features; by the sum of the absolute values."""
    q, k, v, _ = _attention_operands(dtype, part)
    p = _softmax(_wider(q) @ _wider(k).swapaxes(-1, -2) / 8)
    got = F.scaled_dot_product_attention(*map(ad.tensor, (q, k, v))).numpy()
    return Sum(got, p @ _wider(v), p @ np.abs(_wider(v)))


def attention_gradient(part: int = 1, dtype: Any = np.float32) -> Sum:
    """Return the gradients of queries, keys and values of this attention; by the sum of the absolute values."""
    q, k, v, g = _attention_operands(dtype, part)
    got = _gradient(F.scaled_dot_product_attention, g, q, k, v)
    q, k, v, g = map(_wider, (q, k, v, g))
    p = _softmax(q @ k.swapaxes(-1, -2) / 8)
    back = g @ v.swapaxes(-1, -2)
    slopes = p * (back - (p * back).sum(-1, keepdims=True)) / 8
    sizes = np.abs(g) @ np.abs(v).swapaxes(-1, -2)
    slope_sizes = p * (sizes + (p * sizes).sum(-1, keepdims=True)) / 8
    turned, turned_sizes = slopes.swapaxes(-1, -2), slope_sizes.swapaxes(-1, -2)
    exact = slopes @ k, turned @ q, p.swapaxes(-1, -2) @ g
    magnitude = slope_sizes @ np.abs(k), turned_sizes @ np.abs(q), p.swapaxes(-1, -2) @ np.abs(g)
    return Sum(got, np.concatenate([x.ravel() for x in exact]), np.concatenate([x.ravel() for x in magnitude]))


SUMS: tuple[Callable[..., Sum], ...] = (
    matmul, conv2d, softmax, log_softmax, layer_norm, batch_norm, attention, total, variance, softmax_gradient,
    cross_entropy_gradient, soft_cross_entropy_gradient, layer_norm_gradient, batch_norm_gradient, attention_gradient,
)  # fmt: skip


def sum_error(measure: Callable[..., Sum], dtype: Any = np.float32, part: int = 1) -> float:
    """Return the largest error of an operation, in its dtype's spacing at 1 times its magnitude; `part`: less data."""
    found = measure(part, dtype)
    return float(np.max(np.abs(found.got - found.exact) / found.magnitude) / np.finfo(dtype).eps)


def _normal(dtype: Any, *shape: int) -> Array:
    return np.random.default_rng(2).standard_normal(shape, dtype)


def _wider(x: Array) -> Array:
    return x.astype(WIDER[x.dtype])


def _softmax(x: Array) -> Array:
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def _gradient(function: Callable[..., Any], g: Array | None, *operands: Array) -> Array:
    """Return the gradients of the operands for a cotangent (None: of a number), as they are or, of several, flat."""
    leaves = [ad.tensor(x, requires_grad=True) for x in operands]
    found = ad.autograd.grad(function(*leaves), leaves, None if g is None else ad.tensor(g))
    arrays: list[Array] = [gradient.numpy() for gradient in found]
    return arrays[0] if len(arrays) == 1 else np.concatenate([x.ravel() for x in arrays])


def _attention_operands(dtype: Any, part: int) -> list[Array]:
    """Return queries, keys, values and a cotangent."""
    return [np.ascontiguousarray(x) for x in _normal(dtype, 4, max(8 // part, 1), 300, 64)]


def _norm_gradient(x: Array, g: Array, got: Array, axes: Any) -> Sum:
    """Return the gradient of a norm over axes, r (g - mean g - xhat mean(g xhat)), r = 1 / root of the variance."""
    wide, cotangent = _wider(x), _wider(g)
    centred = wide - wide.mean(axes, keepdims=True)
    scale = 1 / np.sqrt(centred.var(axes, keepdims=True) + 1e-5)
    normal = centred * scale

    def mean(values: Array) -> Array:
        return values.mean(axes, keepdims=True)

    exact = scale * (cotangent - mean(cotangent) - normal * mean(cotangent * normal))
    sizes = np.abs(cotangent), np.abs(normal)
    return Sum(got, exact, scale * (sizes[0] + mean(sizes[0]) + sizes[1] * mean(sizes[0] * sizes[1])))


def _standardised(x: Array, got: Array, axes: Any) -> Sum:
    wide = x.astype(WIDER[x.dtype])
    centred = wide - wide.mean(axes, keepdims=True)
    exact = centred / np.sqrt(centred.var(axes, keepdims=True) + 1e-5)
    return Sum(got, exact, np.maximum(np.abs(exact), 1))


def rounded_up(x: float) -> str:
    """Return a number with two decimals that is not below x."""
    return f"{math.ceil(100 * x) / 100:.2f}"


EXTREMES = """
## Extreme inputs
`tests/test_extremes.py` checks what is said here, and much of it beside PyTorch.

**Softmax, log_softmax, logsumexp, cross-entropy.** Logits of 1e4 and more overflow nothing: the largest one is
subtracted first. -inf is a share of 0. A row with inf or NaN, and one of -inf alone, becomes NaN; `logsumexp` is inf
and -inf there (NaN of NaN). With class probabilities, a logit of -inf makes the loss NaN also where its label is 0
(0 * inf), as in PyTorch; the gradient is finite.

**Norms** (batch, layer, group, instance, RMS). A channel, row or group of equal numbers has variance 0 and becomes
exactly 0, before weight and bias (in PyTorch's batch norm it may be the rounding of its mean, divided by the root of
eps); RMS does not subtract a mean. Subnormal numbers are normed as others are; beside eps their variance is nothing.
Numbers whose squares overflow, in float32 from about 1e19 on, have an infinite variance: all that is normed with them
becomes NaN (but in group norm of one place a channel, which has no variance to take inside a channel). PyTorch has NaN,
0 or numbers, as size and layout have it. An infinity or NaN makes all that is normed with it NaN, and nothing else (in
PyTorch's RMS norm an infinity makes the others 0). With given statistics, nothing but its own number.

**Convolution and products** follow IEEE arithmetic: inf * 0 is NaN. In 3x3 convolutions by minimal filtering (above)
an infinite pixel or NaN spoils its tiles of 2x2 results, no others.

**Attention.** A row whose keys are all masked gives 0. Logits of 1e4 are as in softmax.

**Pooling.** The largest of a window with NaN is NaN; means follow IEEE arithmetic.

**Reductions and order.** Sums with an infinity are infinite, with both of them or NaN, NaN, and so is a variance with
any. The largest and the least of numbers with NaN are NaN, and `argmax` finds it. NaN is sorted behind inf.

**Elementary functions** keep subnormal numbers, overflow to inf and underflow to 0 as the exact result does, and give
NaN outside their domain. `silu` and `gelu` of -inf are NaN (-inf * 0), as in PyTorch; `gelu` of inf is inf, where
PyTorch may give NaN. Far below zero see Activations."""


def page() -> str:
    """Return the text of `docs/accuracy.md`."""
    lines = [f"""\
# Accuracy

Written by `python -m benchmarks.accuracy`; `tests/test_accuracy.py` checks that a part of the same numbers stays within
these figures.

## Elementary functions
The largest error found, in ulp: units in the last place of the exact result. 0.5 is a correctly rounded result, 0.00 an
exact one. float32: one in {STEP} of all float32 numbers, {2**32 // STEP:,} of them, infinities and subnormal numbers
too, beside float64. float64: {5 * COUNT:,} numbers, a fifth of them of any magnitude, beside long double. Functions of
two numbers: {3 * COUNT:,} pairs. An infinity, overflow or NaN in a wrong place would count as infinite.

| function | float32 | float64 |
|---|---:|---:|"""]
    for name in (*UNARY, *BINARY):
        found = [rounded_up(error(name, dtype)) for dtype in (np.float32, np.float64)]
        lines.append(f"| {name} | {' | '.join(found)} |")
        print(lines[-1], flush=True)
    lines.append(f"""
## Activations and their kin
Computed in their dtype, on one in {RARER} of these numbers. Errors are in ulp of the result; for gelu, hardswish,
logit and sinc at least of 1. gelu is x times a distribution function that is right to 2**-24 (float64: 2**-53): far
below zero it loses its digits, and is 0 from -5.7 (-8.5) on. silu and mish lose theirs where the sigmoid function is
subnormal, and the approximation of gelu by tanh as its exponential function grows steep. softplus is x above its
threshold of 20, and is measured as that. In the table above, logaddexp and logaddexp2 have errors in ulp, at least of
1.

| function | of numbers | float32 | float64 |
|---|---|---:|---:|""")
    for name, function in ACTIVATIONS.items():
        found = [rounded_up(special_error(name, dtype)) for dtype in (np.float32, np.float64)]
        lines.append(f"| {name} | {function.where[0]} | {' | '.join(found)} |")
        print(lines[-1], flush=True)
    lines.append(f"""
## Special functions
Computed in float64, whatever the dtype is, on one in {RARER} of these numbers. The errors are in ulp of the result, for
digamma and the functions J and Y at least of 1: near their zeros they have the digits behind the point that 1 has. Of
negative numbers the functions of the gamma family are computed by reflection, with an error that depends on how near a
pole or zero is. A number beside a function of two is the first operand.

| function | of numbers | float32 | float64 |
|---|---|---:|---:|""")
    for name, function in SPECIAL.items():
        found = [rounded_up(special_error(name, dtype)) for dtype in (np.float32, np.float64)]
        lines.append(f"| {name} | {function.where[0]} | {' | '.join(found)} |")
        print(lines[-1], flush=True)
    lines.append("""
## Operations made of sums
float32 beside float64, float64 beside long double. The largest error found, in the dtype's spacing at 1 (2**-23,
2**-52) times what the last column names.

| operation | float32 | float64 | result, and the magnitude that the error is measured by |
|---|---:|---:|---|""")
    for measure in SUMS:
        described = (measure.__doc__ or "").removeprefix("Return ").rstrip(".")
        found = [rounded_up(sum_error(measure, dtype)) for dtype in (np.float32, np.float64)]
        lines.append(f"| {measure.__name__} | {' | '.join(found)} | {described} |")
        print(lines[-1], flush=True)
    lines.append("""
## 3x3 convolutions
Of 32 channels and more, with at least 48 tiles of 2x2 results in the batch, they are computed by Winograd's minimal
filtering, and so are their gradients. The error is at most four times that of the direct sum (a test holds it;
0.75 to 1.8 was measured). Four pixels are added before they are multiplied: pixels above a quarter of the largest float
may overflow, and an infinite pixel makes results NaN where the direct sum is infinite. As the number of tiles decides,
the last bits of an image's result may be others in a batch of another size.""")
    lines.append(EXTREMES)
    return "\n".join(lines) + "\n"


def bounds(text: str) -> dict[str, list[float]]:
    """Return the figures of each row of the tables of a page, by name."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {row[0]: [float(cell) for cell in row[1:] if cell.replace(".", "").isdigit()] for row in rows}


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--file", type=Path, default=FILE, help="the file to write (default: docs/accuracy.md)")
    arguments = parser.parse_args()
    arguments.file.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
