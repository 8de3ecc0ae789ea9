"""Activation functions of `nn.functional`.

With ``inplace=True`` the input itself is changed; where the gradient needs its values, they are copied first.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops.choice import clamp, where
from autodiff.ops.comparison import ge, gt, le, logical_and, lt
from autodiff.ops.elementwise import OUT, X, abs, add, div, fit, mul, pointwise, square, sub
from autodiff.ops.functions import erf, exp, function, sigmoid, tanh
from autodiff.ops.in_place import in_place, through, unary
from autodiff.ops.promotion import cast, constant, real
from autodiff.ops.samples import gradient_samples, spread, unary_errors, unary_samples
from autodiff.ops.structural import require_tensor, reshape
from autodiff.primitive import ErrorSample, Keep, Primitive, Sample, composed
from autodiff.spec import Spec

__all__ = ["celu", "elu", "gelu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "mish", "prelu",
           "relu", "relu6", "relu_", "selu", "silu", "softplus", "softshrink", "softsign", "tanhshrink", "threshold"]

# ---- ReLU and its relatives ------------------------------------------------------------------------------------------

relu_p = pointwise(
    "relu", vjp=lambda r, g: (bind(relu_grad_p, g, r.output(0)),), saves=OUT, kinds="iuf", errors=unary_errors,
    samples=lambda: [*unary_samples(-3, 3.1), Sample(np.array([2, -3])),
                     Sample(np.array([0, np.nan, -np.inf], np.float32), gradient=False)],
    call=lambda *a, **k: relu(*a, **k),
)
relu_grad_p: Primitive = pointwise("relu_grad", vjp=None, twin=lambda g, y: where(le(y, 0), 0, g),
                                   samples=gradient_samples(-2, 2))


def relu(input: TensorT, inplace: bool = False) -> TensorT:
    """Return ``max(input, 0)``; NaN stays, and the gradient at 0 is 0.

    Args:
        input: any shape.
        inplace: change `input` itself.

    >>> import autodiff as ad
    >>> ad.relu(ad.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    if inplace:
        return relu_(input)
    require_tensor("relu", input)
    return bind(relu_p, input)  # type: ignore[no-any-return]


relu_ = unary(relu_p)


def _hardtanh_vjp(r: Any, g: Any) -> tuple[Any, ...]:
    # Unlike that of clamp, the gradient is 0 at the bounds.
    return bind(hardtanh_grad_p, g, *[r.input(i) for i in range(3)]), None, None


def _bounded_samples(**options: Any) -> list[Sample]:
    return [*[Sample(*s.arguments, tolerance=s.tolerance, **options) for s in unary_samples(-8, 9)],
            Sample(np.array([np.nan, 0, 6, np.inf], np.float32), gradient=False, **options)]


hardtanh_p = pointwise(
    "hardtanh", kernel="clamp", vjp=_hardtanh_vjp, saves=Keep(inputs=(0, 1, 2)), kinds="iuf", flops=2,
    samples=lambda: [*_bounded_samples(), *_bounded_samples(min_val=-2.0, max_val=3.5),
                     Sample(np.array([2, -3]), -1, 1)],
    errors=lambda: [*unary_errors(), ErrorSample(Sample(spread(-1, 1, 3), 1.0, -1.0), ValueRangeError,
                                                 "min_val is above max_val")],
    call=lambda *a, **k: hardtanh(*a, **k),
)

hardtanh_grad_p: Primitive = pointwise(
    "hardtanh_grad", vjp=None, flops=2, twin=lambda g, x, low, high: where(logical_and(lt(low, x), lt(x, high)), g, 0),
    samples=lambda: [Sample(spread(-1, 1, 3, 4), spread(-3, 3, 3, 4), np.full((), -1, np.float32),
                            np.full((), 2, np.float32))],
)


def hardtanh(input: TensorT, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> TensorT:
    """Return `input` limited to [`min_val`, `max_val`]; the gradient passes strictly between them.

    Args:
        input: any shape.
        min_val: lower limit.
        max_val: upper limit.
        inplace: change `input` itself.

    Raises:
        ValueRangeError: if `min_val` is above `max_val`.

    >>> import autodiff as ad
    >>> import autodiff.ops as F
    >>> F.hardtanh(ad.tensor([-2.0, 0.5, 2.0]))
    tensor([-1.0000,  0.5000,  1.0000])
    """
    require_tensor("hardtanh", input)
    if min_val > max_val:
        raise ValueRangeError("hardtanh", "min_val is above max_val", got=f"{min_val} and {max_val}")
    if inplace:
        return in_place(hardtanh_p, input, min_val, max_val)  # type: ignore[no-any-return]
    dtype = input.spec.dtype  # type: ignore[attr-defined]
    return bind(hardtanh_p, input, constant(min_val, dtype), constant(max_val, dtype))  # type: ignore[no-any-return]


@composed(samples=_bounded_samples, errors=unary_errors)
def relu6(input: TensorT, inplace: bool = False) -> TensorT:
    """Return ``min(max(input, 0), 6)``; the gradient passes strictly between the limits.

    >>> import autodiff as ad
    >>> import autodiff.ops as F
    >>> F.relu6(ad.tensor([-1.0, 2.0, 9.0]))
    tensor([0., 2., 6.])
    """
    return hardtanh(input, 0, 6, inplace)


threshold_p = pointwise(
    "threshold", saves=Keep(inputs=(0, 1)), call=lambda *a, **k: threshold(*a, **k),
    vjp=lambda r, g: (bind(threshold_grad_p, g, r.input(0), r.input(1)), None, None),
    samples=lambda: [*[Sample(*s.arguments, 0.3, -2.0) for s in unary_samples(-3, 3.1)],
                     Sample(np.array([1, 5]), 3, 7),
                     Sample(np.array([np.nan, np.inf], np.float32), 0, 1, gradient=False)],
    errors=lambda: [ErrorSample(Sample("3", 1.0, 2.0), DTypeError, "not a tensor")],
)
threshold_grad_p: Primitive = pointwise(
    "threshold_grad", vjp=None, twin=lambda g, x, limit: where(le(x, limit), 0, g),
    samples=lambda: [Sample(spread(-1, 1, 3, 4), spread(-3, 3, 3, 4), np.full((), 0.5, np.float32))],
)


def threshold(input: TensorT, threshold: float, value: float, inplace: bool = False) -> TensorT:
    """Return `input` where it is above `threshold`, else `value`.

    Args:
        input: any shape.
        threshold: elements up to it are replaced.
        value: what replaces them.
        inplace: change `input` itself.

    >>> import autodiff as ad
    >>> import autodiff.ops as F
    >>> F.threshold(ad.tensor([0.5, 2.0]), 1.0, -7.0)
    tensor([-7.,  2.])
    """
    require_tensor("threshold", input)
    if inplace:
        return in_place(threshold_p, input, threshold, value)  # type: ignore[no-any-return]
    dtype = input.spec.dtype  # type: ignore[attr-defined]
    return bind(threshold_p, input, constant(threshold, dtype), constant(value, dtype))  # type: ignore[no-any-return]


# ---- Leaky ReLU and PReLU: one operation; the slope is a number or a parameter ---------------------------------------


def _leaky_relu_vjp(r: Any, g: Any) -> tuple[Any, ...]:
    x = r.input(0)
    gx = bind(leaky_relu_grad_p, g, x, r.input(1)) if r.mask[0] else None
    return fit(r, gx, mul(g, clamp(x, max=0)) if r.mask[1] else None)


leaky_relu_p = pointwise(
    "leaky_relu", vjp=_leaky_relu_vjp, saves=(Keep(inputs=(0, 1)), X), kinds="f", errors=unary_errors,
    samples=lambda: [*unary_samples(-3, 3.1), Sample(spread(-1, 1, 3, 4), negative_slope=0.2)],
    call=lambda *a, **k: leaky_relu(*a, **k),
)
leaky_relu_grad_p: Primitive = pointwise("leaky_relu_grad", vjp=None,
                                         twin=lambda g, x, slope: where(gt(x, 0), g, mul(g, slope)), flops=2,
                              samples=lambda: [Sample(spread(-2, 2, 3, 4), spread(-2, 2, 3, 4)[::-1],
                                                      spread(0.1, 1, 4))])


def leaky_relu(input: TensorT, negative_slope: float = 0.01, inplace: bool = False) -> TensorT:
    """Return `input` where it is positive, else ``negative_slope * input``.

    Source: Maas, Hannun & Ng 2013, "Rectifier nonlinearities improve neural network acoustic models".

    >>> import autodiff as ad
    >>> import autodiff.ops as F
    >>> F.leaky_relu(ad.tensor([-1.0, 2.0]), 0.1)
    tensor([-0.1000,  2.0000])
    """
    if inplace:
        return in_place(leaky_relu_p, input, negative_slope)  # type: ignore[no-any-return]
    x = real("leaky_relu", input)
    return bind(leaky_relu_p, x, constant(negative_slope, x.spec.dtype))  # type: ignore[no-any-return]


def _prelu_errors() -> list[ErrorSample]:
    return [ErrorSample(Sample(spread(-1, 1, 2, 3), spread(0, 1, 2)), ShapeError, "number of slopes.*1 or 3.*got 2"),
            ErrorSample(Sample(spread(-1, 1, 2, 3), spread(0, 1, 3, 1)), ShapeError, "one-dimensional"),
            ErrorSample(Sample(spread(-1, 1, 2, 3), 0.1), DTypeError, "not a tensor")]


@composed(
    samples=lambda: [Sample(spread(-1, 1, 3, 4), spread(0.1, 1, 1)), Sample(spread(-1, 1, 3, 4), spread(0.1, 1, 4)),
                     Sample(spread(-1, 1, 2, 2, 3, 3).transpose(0, 3, 1, 2), spread(0.1, 1, 3)),
                     Sample(spread(-1, 1, 5), spread(0.1, 1, 1)),
                     Sample(spread(-1, 1, 1).reshape(()), spread(0.1, 1, 1)),
                     Sample(spread(-1, 1, 2, 3, 4, dtype=np.float64), spread(0.1, 1, 3, dtype=np.float64))],
    errors=_prelu_errors,
)
def prelu(input: TensorT, weight: TensorT) -> TensorT:
    """Return `input` where it is positive, else ``weight * input``.

    Args:
        input: any shape; dimension 1 holds the channels.
        weight: (1,), or one slope a channel.

    Raises:
        ShapeError: if the number of slopes is neither 1 nor the number of channels.

    Source: He et al. 2015, "Delving deep into rectifiers", section 2.1.

    >>> import autodiff as ad
    >>> import autodiff.ops as F
    >>> F.prelu(ad.tensor([-1.0, 2.0]), ad.tensor([0.25]))
    tensor([-0.2500,  2.0000])
    """
    x: Any = real("prelu", input)
    slope: Any = real("prelu", weight)
    spec: Spec = x.spec
    if slope.spec.ndim > 1:
        raise ShapeError("prelu", "the weight must be one-dimensional", got=str(slope.spec.shape))
    channels = spec.shape[1] if spec.ndim > 1 else 1
    if slope.spec.size not in (1, channels):
        raise ShapeError("prelu", "the number of slopes is not the number of channels", expected=f"1 or {channels}",
                         got=str(slope.spec.size))
    slope = cast(slope, spec.dtype)
    slope = reshape(slope, (-1,) + (1,) * (spec.ndim - 2)) if slope.spec.size > 1 else reshape(slope, ())
    return bind(leaky_relu_p, x, slope)  # type: ignore[no-any-return]


# ---- ELU and its relatives -------------------------------------------------------------------------------------------


def _elu_vjp(r: Any, g: Any) -> tuple[Any, ...]:
    return bind(elu_grad_p, g, r.input(0), r.input(1)), None


elu_p = pointwise("elu", vjp=_elu_vjp, saves=Keep(inputs=(0, 1)), kinds="f", flops=10, errors=unary_errors,
                  samples=lambda: [*unary_samples(-3, 3.1), Sample(spread(-1, 1, 3, 4), alpha=0.5),
                                   Sample(np.array([200, -200], np.float32))],
                  call=lambda *a, **k: elu(*a, **k))
elu_grad_p: Primitive = pointwise(
    "elu_grad", vjp=None, flops=12,
    twin=lambda g, x, alpha: mul(g, where(gt(x, 0), 1, mul(alpha, exp(where(ge(x, 0), 0, x))))),
    samples=lambda: [Sample(spread(-2, 2, 3, 4), spread(-2, 2, 3, 4)[::-1], spread(0.5, 1, 1).reshape(()))],
)


def elu(input: TensorT, alpha: float = 1.0, inplace: bool = False) -> TensorT:
    """Return `input` where it is positive, else ``alpha * (exp(input) - 1)``.

    At 0 the gradient is alpha, the limit from below, and the second derivative 0, that from above, as PyTorch's.

    Source: Clevert, Unterthiner & Hochreiter 2016,
    "Fast and accurate deep network learning by exponential linear units".

    >>> import autodiff as ad
    >>> import autodiff.ops as F
    >>> F.elu(ad.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """
    if inplace:
        return in_place(elu_p, input, alpha)  # type: ignore[no-any-return]
    x = real("elu", input)
    return bind(elu_p, x, constant(alpha, x.spec.dtype))  # type: ignore[no-any-return]


_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


@composed(samples=lambda: unary_samples(-3, 3.1), errors=unary_errors)
def selu(input: TensorT, inplace: bool = False) -> TensorT:
    """Return ``scale * elu(input, alpha)`` with the constants that keep mean 0 and variance 1.

    Source: Klambauer et al. 2017, "Self-normalizing neural networks", equation 2.

    >>> import autodiff as ad
    >>> import autodiff.ops as F
    >>> F.selu(ad.tensor([-1.0, 1.0]))
    tensor([-1.1113,  1.0507])
    """
    if inplace:
        return through(selu, input)  # type: ignore[no-any-return]
    return mul(elu(input, _SELU_ALPHA), _SELU_SCALE)


@composed(samples=lambda: [*unary_samples(-3, 3.1), Sample(spread(-1, 1, 3, 4), alpha=0.5)], errors=unary_errors)
def celu(input: TensorT, alpha: float = 1.0, inplace: bool = False) -> TensorT:
    """Return ``max(x, 0) + min(alpha * (exp(x / alpha) - 1), 0)``.

    Source: Barron 2017, "Continuously differentiable exponential linear units".

    >>> import autodiff as ad
    >>> import autodiff.ops as F
    >>> F.celu(ad.tensor([-1.0, 2.0]), 2.0)
    tensor([-0.7869,  2.0000])
    """
    if inplace:
        return through(celu, input, alpha)  # type: ignore[no-any-return]
    return mul(elu(div(input, alpha)), alpha) if alpha != 1 else elu(input)


# ---- Smooth activations ----------------------------------------------------------------------------------------------


def _gelu_tanh_twin(x: Any) -> Any:
    inner = mul(add(x, mul(mul(x, mul(x, x)), 0.044715)), math.sqrt(2 / math.pi))
    return mul(mul(x, 0.5), add(tanh(inner), 1))


def _gelu_grad_twin(g: Any, x: Any) -> Any:
    density = mul(exp(mul(mul(x, x), -0.5)), 1 / math.sqrt(2 * math.pi))
    return mul(g, add(mul(add(erf(mul(x, math.sqrt(0.5))), 1), 0.5), mul(x, density)))


def _gelu_tanh_grad_twin(g: Any, x: Any) -> Any:
    square = mul(mul(x, x), 0.044715)
    t = tanh(mul(add(x, mul(square, x)), math.sqrt(2 / math.pi)))
    slope = mul(add(mul(square, 3), 1), math.sqrt(2 / math.pi))
    return mul(mul(g, 0.5), add(add(t, 1), mul(mul(x, sub(1, mul(t, t))), slope)))


def _silu_grad_twin(g: Any, x: Any) -> Any:
    s = sigmoid(x)
    return mul(g, add(s, mul(mul(x, s), sub(1, s))))


def _mish_grad_twin(g: Any, x: Any) -> Any:
    t = tanh(softplus(x))
    return mul(g, add(t, mul(mul(x, sigmoid(x)), sub(1, mul(t, t)))))


_LARGE = (-30, 30, 0, np.nan)

gelu_p = function("gelu", -4, 4, lambda *a, **k: gelu(*a, **k), lambda r, g: (bind(gelu_grad_p, g, r.input(0)),),
                  special=_LARGE, flops=15)
gelu_grad_p: Primitive = pointwise("gelu_grad", vjp=None, twin=_gelu_grad_twin, samples=gradient_samples(-3, 3),
                                   flops=30)
gelu_tanh_p = pointwise("gelu_tanh", kinds="f", vjp=lambda r, g: (bind(gelu_tanh_grad_p, g, r.input(0)),), saves=X,
                        twin=_gelu_tanh_twin,
                        samples=lambda: unary_samples(-4, 4), errors=unary_errors, call=lambda x: gelu(x, "tanh"),
                        flops=15)
gelu_tanh_grad_p: Primitive = pointwise("gelu_tanh_grad", vjp=None, twin=_gelu_tanh_grad_twin,
                                        samples=gradient_samples(-3, 3), flops=25)
silu_p = function("silu", -6, 6, lambda *a, **k: silu(*a, **k), lambda r, g: (bind(silu_grad_p, g, r.input(0)),),
                  special=_LARGE, flops=11)
silu_grad_p: Primitive = pointwise("silu_grad", vjp=None, twin=_silu_grad_twin, samples=gradient_samples(-3, 3),
                                   flops=15)


def gelu(input: TensorT, approximate: str = "none") -> TensorT:
    """Return ``x * F(x)``, where F is the distribution function of the standard normal distribution.

    Args:
        input: any shape.
        approximate: ``"tanh"`` computes ``x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))``.

    Raises:
        ValueRangeError: for another value of `approximate`.

    Source: Hendrycks & Gimpel 2016, "Gaussian error linear units".

    >>> import autodiff as ad
    >>> import autodiff.ops as F
    >>> F.gelu(ad.tensor([-1.0, 2.0]))
    tensor([-0.1587,  1.9545])
    """
    if approximate == "none":
        return bind(gelu_p, real("gelu", input))  # type: ignore[no-any-return]
    if approximate != "tanh":
        raise ValueRangeError("gelu", "unknown approximation", expected="'none' or 'tanh'", got=repr(approximate))
    return bind(gelu_tanh_p, real("gelu", input))  # type: ignore[no-any-return]


def silu(input: TensorT, inplace: bool = False) -> TensorT:
    """Return ``x * sigmoid(x)``, also known as swish.

    Source: Elfwing, Uchibe & Doya 2018; Ramachandran, Zoph & Le 2017.

    >>> import autodiff as ad
    >>> import autodiff.ops as F
    >>> F.silu(ad.tensor([-1.0, 2.0]))
    tensor([-0.2689,  1.7616])
    """
    if inplace:
        return in_place(silu_p, input)  # type: ignore[no-any-return]
    return bind(silu_p, real("silu", input))  # type: ignore[no-any-return]


def _softplus_grad_twin(g: Any, x: Any, beta: Any, limit: Any) -> Any:
    scaled = mul(beta, x)
    return mul(g, where(gt(scaled, limit), 1, sigmoid(scaled)))


softplus_p = pointwise(
    "softplus", vjp=lambda r, g: (bind(softplus_grad_p, g, r.input(0), r.input(1), r.input(2)), None, None), kinds="f",
    flops=20,
    saves=Keep(inputs=(0, 1, 2)), call=lambda *a, **k: softplus(*a, **k), errors=unary_errors,
    samples=lambda: [*unary_samples(-5, 5), Sample(spread(-1, 1, 3, 4), beta=2.5), Sample(spread(-3, 3, 3, 4), 2, 1.0),
                     Sample(np.array([100, -100, 20.5], np.float32), gradient=False)],
)
softplus_grad_p: Primitive = pointwise(
    "softplus_grad", vjp=None, twin=_softplus_grad_twin, flops=12,
    samples=lambda: [Sample(spread(-2, 2, 3, 4), spread(-3, 3, 3, 4)[::-1], np.full((), 1.5, np.float32),
                            np.full((), 2.0, np.float32))],
)


def softplus(input: TensorT, beta: float = 1.0, threshold: float = 20.0) -> TensorT:
    """Return ``log(1 + exp(beta * x)) / beta``, and x itself where ``beta * x`` is above `threshold`.

    >>> import autodiff as ad
    >>> import autodiff.ops as F
    >>> F.softplus(ad.tensor([0.0, 30.0]))
    tensor([ 0.6931, 30.0000])
    """
    x = real("softplus", input)
    dtype = x.spec.dtype
    return bind(softplus_p, x, constant(beta, dtype), constant(threshold, dtype))  # type: ignore[no-any-return]


mish_p = function("mish", -5, 5, lambda *a, **k: mish(*a, **k), special=(50, -50, 0, np.nan), flops=15,
                  gradient=_mish_grad_twin)


def mish(input: TensorT, inplace: bool = False) -> TensorT:
    """Return ``x * tanh(softplus(x))``.

    Source: Misra 2019, "Mish: a self regularized non-monotonic neural activation function".

    >>> import autodiff as ad
    >>> import autodiff.ops as F
    >>> F.mish(ad.tensor([-1.0, 2.0]))
    tensor([-0.3034,  1.9440])
    """
    if inplace:
        return in_place(mish_p, input)  # type: ignore[no-any-return]
    return bind(mish_p, real("mish", input))  # type: ignore[no-any-return]


# ---- Piecewise and rational activations ------------------------------------------------------------------------------


def _inside(x: Any) -> Any:
    return logical_and(lt(-3, x), lt(x, 3))


hardsigmoid_p = function(
    "hardsigmoid", -5, 5.1, lambda *a, **k: hardsigmoid(*a, **k), special=_LARGE, flops=4,
    gradient=lambda g, x: where(_inside(x), div(g, 6), 0),
)
hardswish_p = function(
    "hardswish", -5, 5.1, lambda *a, **k: hardswish(*a, **k), special=_LARGE, flops=5,
    gradient=lambda g, x: mul(g, where(_inside(x), div(add(mul(x, 2), 3), 6), where(le(x, 0), 0, 1))),
)
softsign_p = function(
    "softsign", -3, 3.1, lambda x: softsign(x), special=_LARGE, flops=3,
    gradient=lambda g, x: div(g, square(add(abs(x), 1))),
)


def hardsigmoid(input: TensorT, inplace: bool = False) -> TensorT:
    """Return ``relu6(x + 3) / 6``.

    >>> import autodiff as ad
    >>> import autodiff.ops as F
    >>> F.hardsigmoid(ad.tensor([-4.0, 0.0, 4.0]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    if inplace:
        return in_place(hardsigmoid_p, input)  # type: ignore[no-any-return]
    return bind(hardsigmoid_p, real("hardsigmoid", input))  # type: ignore[no-any-return]


def hardswish(input: TensorT, inplace: bool = False) -> TensorT:
    """Return ``x * relu6(x + 3) / 6``.

    Source: Howard et al. 2019, "Searching for MobileNetV3", section 5.2.

    >>> import autodiff as ad
    >>> import autodiff.ops as F
    >>> F.hardswish(ad.tensor([-2.0, 1.0, 4.0]))
    tensor([-0.3333,  0.6667,  4.0000])
    """
    if inplace:
        return in_place(hardswish_p, input)  # type: ignore[no-any-return]
    return bind(hardswish_p, real("hardswish", input))  # type: ignore[no-any-return]


def _shrink(name: str, call: Any) -> Primitive:
    return pointwise(
        name, kinds="f", flops=2, saves=Keep(inputs=(0, 1)), call=call, errors=unary_errors,
        vjp=lambda r, g: (bind(shrink_grad_p, g, r.input(0), r.input(1)), None),
        samples=lambda: [*unary_samples(-2, 2), Sample(spread(-1, 1, 5), 0.3),
                         Sample(np.array([np.nan, 0.5, -50], np.float32), gradient=False)],
    )


hardshrink_p = _shrink("hardshrink", lambda *a: hardshrink(*a))
softshrink_p = _shrink("softshrink", lambda *a: softshrink(*a))
shrink_grad_p: Primitive = pointwise(
    "shrink_grad", vjp=None, twin=lambda g, x, limit: where(le(abs(x), limit), 0, g),
    samples=lambda: [Sample(spread(-1, 1, 3, 4), spread(-2, 2, 3, 4), np.full((), 0.5, np.float32))],
)


def hardshrink(input: TensorT, lambd: float = 0.5) -> TensorT:
    """Return 0 where ``|input| <= lambd``, else `input`.

    >>> import autodiff as ad
    >>> import autodiff.ops as F
    >>> F.hardshrink(ad.tensor([-1.0, 0.3]))
    tensor([-1.,  0.])
    """
    x = real("hardshrink", input)
    return bind(hardshrink_p, x, constant(lambd, x.spec.dtype))  # type: ignore[no-any-return]


def softshrink(input: TensorT, lambd: float = 0.5) -> TensorT:
    """Return `input` moved towards 0 by `lambd`, and 0 where ``|input| <= lambd``.

    >>> import autodiff as ad
    >>> import autodiff.ops as F
    >>> F.softshrink(ad.tensor([-1.0, 0.3]))
    tensor([-0.5000,  0.0000])
    """
    x = real("softshrink", input)
    return bind(softshrink_p, x, constant(lambd, x.spec.dtype))  # type: ignore[no-any-return]


def softsign(input: TensorT) -> TensorT:
    """Return ``x / (1 + |x|)``.

    >>> import autodiff as ad
    >>> import autodiff.ops as F
    >>> F.softsign(ad.tensor([-1.0, 3.0]))
    tensor([-0.5000,  0.7500])
    """
    return bind(softsign_p, real("softsign", input))  # type: ignore[no-any-return]


@composed(samples=lambda: unary_samples(-3, 3), errors=unary_errors)
def tanhshrink(input: TensorT) -> TensorT:
    """Return ``x - tanh(x)``.

    >>> import autodiff as ad
    >>> import autodiff.ops as F
    >>> F.tanhshrink(ad.tensor([0.0, 1.0]))
    tensor([0.0000, 0.2384])
    """
    return sub(input, tanh(input))
