"""Element-wise operations: how they are declared and sampled, and arithmetic.

Each is one `pointwise`; its kernel is generated from the scalar formula in `autodiff_kernels/scalar.py`. A gradient
that has a kernel of its own is an operation too; its twin, composed of others, gives the derivatives of higher order.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops import strided
from autodiff.ops.broadcast import sum_to
from autodiff.ops.promotion import is_tensor, promote, promote_float, real
from autodiff.ops.samples import (
    binary_errors,
    binary_samples,
    bool_errors,
    gradient_samples,
    integer_samples,
    unary_errors,
    unary_samples,
)
from autodiff.ops.samples import spread as spread
from autodiff.ops.structural import clone, require_tensor, zeros_like_p
from autodiff.primitive import NOTHING, ErrorSample, Keep, Primitive, Sample, composed, define, no_errors
from autodiff.spec import DType, Spec

__all__ = ["abs", "absolute", "add", "addcdiv", "addcmul", "ceil", "div", "divide", "floor", "floor_divide", "fmod",
           "frac", "lerp", "mul", "multiply", "neg", "negative", "reciprocal", "remainder", "round", "rsub", "sign",
           "square", "sub", "subtract", "true_divide", "trunc"]

X, Y, OUT = Keep(inputs=(0,)), Keep(inputs=(1,)), Keep(outputs=(0,))

# ---- How the operations below are declared ---------------------------------------------------------------------------

Vjp = Callable[..., Sequence[Any]]
_KIND_NAMES = {"b": "bool", "i": "int8 to int64", "u": "uint8", "f": "float32, float64"}


def pointwise(
    name: str, *, vjp: Vjp | None, samples: Callable[[], list[Sample]], saves: Keep | tuple[Keep, ...] = NOTHING,
    errors: Callable[[], list[ErrorSample]] = no_errors, dtype: DType | None = None, kinds: str = "biuf",
    flops: int = 1,
    kernel: str | None = None, call: Callable[..., Any] | None = None, twin: Callable[..., Any] | None = None,
) -> Primitive:
    """Declare an element-wise operation.

    Args:
        name: of the operation.
        vjp, saves, samples, errors, call, twin: as in `define`.
        dtype: of the result, when it is not that of the last input.
        kinds: NumPy's letters of the kinds of dtype that the last input may have.
        flops: floating-point operations an element.
        kernel: name of the scalar formula; `name` by default.
    """
    return define(
        name,
        infer=partial(_infer, name, dtype, kinds),
        run=strided.nothing,
        prepare=partial(strided.prepare, kernel=kernel or name),
        formula=kernel or name,
        vjp=vjp,
        saves=saves,
        twin=twin,
        cost=strided.cost(flops),
        samples=samples,
        errors=errors,
        call=call,
    )


def _infer(name: str, dtype: DType | None, kinds: str, *specs: Spec) -> Spec:
    if specs[-1].dtype.kind not in kinds:
        raise DTypeError(name, "this dtype is not supported", got=specs[-1].dtype.name,
                         expected=", ".join(_KIND_NAMES[kind] for kind in kinds), fix=_INSTEAD.get(name, ""))
    return strided.result_spec(name, *specs, dtype=dtype)


_INSTEAD = {"neg": "use ~x or logical_not(x)", "sub": "use x ^ y or logical_xor(x, y)"}


def fit(record: Any, *gradients: Any) -> tuple[Any, ...]:
    """Sum each gradient that is wanted to the shape of its input."""
    each = zip(gradients, record.inputs, record.mask, strict=True)
    return tuple([sum_to(g, spec.shape) if wanted and g is not None else None for g, spec, wanted in each])


def no_slope(record: Any, g: Any) -> tuple[Any, ...]:
    """Return the gradient of a function that is constant almost everywhere: zeros."""
    return fit(record, *[bind(zeros_like_p, g) if wanted else None for wanted in record.mask])


# ---- Arithmetic ------------------------------------------------------------------------------------------------------

add_p = pointwise(
    "add", vjp=lambda r, g: fit(r, g, g), call=lambda *a, **k: add(*a, **k), errors=binary_errors,
    samples=lambda: [*binary_samples(-3, 3), *integer_samples(), Sample(spread(-1, 1, 3), 2.5, alpha=-0.5),
                     Sample(2.5, spread(-1, 1, 3), alpha=-0.5),
                     Sample(np.array([True, False]), np.array([True, True]))],
)
sub_p = pointwise(
    "sub", kernel="subtract", kinds="iuf", vjp=lambda r, g: fit(r, g, neg(g) if r.mask[1] else None),
    call=lambda *a, **k: sub(*a, **k),
    samples=lambda: [*binary_samples(-3, 3), *integer_samples(), Sample(spread(-1, 1, 3), spread(0, 1, 3), alpha=2)],
    errors=lambda: [*binary_errors(), ErrorSample(Sample(np.array([True]), np.array([False])), DTypeError,
                                                  r"got bool; use x \^ y")],
)


def _mul_vjp(r: Any, g: Any) -> tuple[Any, ...]:
    return fit(r, bind(mul_p, g, r.input(1)) if r.mask[0] else None, bind(mul_p, g, r.input(0)) if r.mask[1] else None)


mul_p = pointwise(
    "mul", kernel="multiply", saves=(Y, X), vjp=_mul_vjp,
    samples=lambda: [*binary_samples(-3, 3), *integer_samples(), Sample(2, spread(-1, 1, 3)),
                     Sample(np.array([1, 2]), 2.5)],
    errors=binary_errors, call=lambda *a: mul(*a),
)


def _div_vjp(r: Any, g: Any) -> tuple[Any, ...]:
    gx = bind(div_p, g, r.input(1))
    return fit(r, gx if r.mask[0] else None, neg(bind(mul_p, gx, r.output(0))) if r.mask[1] else None)


div_p = pointwise(
    "div", kernel="divide", vjp=_div_vjp, saves=(Y, Keep(inputs=(1,), outputs=(0,))), kinds="f",
    call=lambda *a, **k: div(*a, **k),
    samples=lambda: [
        *binary_samples(-3, 3, 0.5, 2), *integer_samples(), Sample(2, spread(1, 2, 3)),
        Sample(np.array([True, False]), 4),
        *[Sample(*s.arguments, rounding_mode=mode, gradient=False) for mode in ("floor", "trunc")
          for s in (*integer_samples(), Sample(spread(-9, 9, 7), spread(1, 3, 7)), Sample(spread(-9, 9, 7), -2))],
    ],
    errors=lambda: [*binary_errors(), ErrorSample(Sample(spread(1, 2, 2), 2, rounding_mode="up"), ValueRangeError,
                                                  "'floor'.*'up'")],
)
neg_p = pointwise("neg", kernel="negative", kinds="iuf", vjp=lambda r, g: (neg(g),), call=lambda x: neg(x),
                  samples=lambda: [*unary_samples(-2, 2), Sample(np.array([1, -2]))], errors=bool_errors())


def add(input: TensorT, other: Any, *, alpha: float = 1) -> TensorT:
    """Return ``input + alpha * other``, broadcast.

    Args:
        input: tensor or number.
        other: tensor or number.
        alpha: factor of `other`.

    Raises:
        ShapeError: if the shapes do not broadcast.
        DTypeError: if an operand is neither a tensor nor a number.

    >>> import autodiff as ad
    >>> ad.add(ad.tensor([1.0, 2.0]), 10)
    tensor([11., 12.])
    """
    x, y = promote("add", input, other if alpha == 1 else scaled(other, alpha))
    return bind(add_p, x, y)  # type: ignore[no-any-return]


def sub(input: TensorT, other: Any, *, alpha: float = 1) -> TensorT:
    """Return ``input - alpha * other``, broadcast.

    Args:
        input: tensor or number.
        other: tensor or number.
        alpha: factor of `other`.

    Raises:
        ShapeError: if the shapes do not broadcast.
        DTypeError: for bools.

    >>> import autodiff as ad
    >>> ad.sub(ad.tensor([1.0, 2.0]), ad.tensor([0.5]))
    tensor([0.5000, 1.5000])
    """
    x, y = promote("sub", input, other if alpha == 1 else scaled(other, alpha))
    return bind(sub_p, x, y)  # type: ignore[no-any-return]


def scaled(x: Any, factor: float) -> Any:
    """Return ``factor * x`` of a tensor or a number."""
    return mul(x, factor) if is_tensor(x) else x * factor


@composed(samples=lambda: [Sample(spread(-1, 1, 3), spread(-1, 1, 2, 3)), Sample(spread(-1, 1, 3), 1, alpha=3)],
          errors=lambda: binary_errors()[1:])
def rsub(input: TensorT, other: Any, *, alpha: float = 1) -> TensorT:
    """Return ``other - alpha * input``.

    >>> import autodiff as ad
    >>> ad.rsub(ad.tensor([1.0, 2.0]), 1)
    tensor([ 0., -1.])
    """
    return sub(other, input, alpha=alpha)  # type: ignore[no-any-return]


def mul(input: TensorT, other: Any) -> TensorT:
    """Return ``input * other``, element by element, broadcast.

    Raises:
        ShapeError: if the shapes do not broadcast.

    >>> import autodiff as ad
    >>> ad.mul(ad.tensor([1.0, 2.0]), ad.tensor([[3.0], [4.0]]))
    tensor([[3., 6.],
            [4., 8.]])
    """
    x, y = promote("mul", input, other)
    return bind(mul_p, x, y)  # type: ignore[no-any-return]


def neg(input: TensorT) -> TensorT:
    """Return ``-input``.

    Raises:
        DTypeError: for bools.

    >>> import autodiff as ad
    >>> ad.neg(ad.tensor([1.0, -2.0]))
    tensor([-1.,  2.])
    """
    require_tensor("neg", input)
    return bind(neg_p, input)  # type: ignore[no-any-return]


def div(input: TensorT, other: Any, *, rounding_mode: str | None = None) -> TensorT:
    """Return ``input / other``, broadcast.

    Args:
        input: tensor or number.
        other: tensor or number.
        rounding_mode: None divides exactly, integers to float32; ``"floor"`` rounds down and ``"trunc"`` towards zero,
            in the operands' own dtype. An integer divided by zero is 0 then. A rounded quotient's gradient is zero.

    Raises:
        ShapeError: if the shapes do not broadcast.
        ValueRangeError: for another rounding mode.

    >>> import autodiff as ad
    >>> ad.div(ad.tensor([1.0, 2.0]), 4)
    tensor([0.2500, 0.5000])
    >>> ad.div(ad.tensor([7, -7]), 2, rounding_mode="trunc")
    tensor([ 3, -3])
    """
    if rounding_mode is None:
        x, y = promote_float("div", input, other)
        return bind(div_p, x, y)  # type: ignore[no-any-return]
    if rounding_mode == "floor":
        return floor_divide(input, other)
    if rounding_mode != "trunc":
        raise ValueRangeError("div", "unknown rounding mode", expected="None, 'floor' or 'trunc'",
                              got=repr(rounding_mode))
    x, y = promote("div", input, other)
    if x.spec.floating:
        return trunc(bind(div_p, x, y))  # type: ignore[no-any-return]
    return floor_divide(sub(x, fmod(x, y)), y)  # type: ignore[no-any-return]


# ---- Quotients and remainders ----------------------------------------------------------------------------------------


def _quotient_samples() -> list[Sample]:
    x = spread(-9, 9, 3, 4)
    return [Sample(x, spread(1, 3, 4)), Sample(x, -spread(1, 3, 3, 1)), Sample(x, 2.5), Sample(-7.0, spread(1, 3, 4)),
            Sample(x.astype(np.float64), spread(1, 3, 4, dtype=np.float64)), Sample(x[:0], 2.0), *integer_samples()]


floor_divide_p = pointwise("floor_divide", kinds="iuf", vjp=no_slope, samples=_quotient_samples, errors=binary_errors,
                           call=lambda *a: floor_divide(*a))
remainder_p = pointwise(
    "remainder", kinds="iuf", saves=(NOTHING, Keep(inputs=(0, 1))), samples=_quotient_samples, errors=binary_errors,
    vjp=lambda r, g: fit(r, g, neg(mul(g, floor_divide(r.input(0), r.input(1)))) if r.mask[1] else None),
    call=lambda *a: remainder(*a),
)
fmod_p = pointwise(
    "fmod", kinds="iuf", saves=(NOTHING, Keep(inputs=(0, 1))), samples=_quotient_samples, errors=binary_errors,
    vjp=lambda r, g: fit(r, g, neg(mul(g, trunc(div(r.input(0), r.input(1))))) if r.mask[1] else None),
    call=lambda *a: fmod(*a),
)


def floor_divide(input: TensorT, other: Any) -> TensorT:
    """Return ``floor(input / other)``, Python's ``//``; an integer divided by zero is 0. The gradient is zero.

    Raises:
        ShapeError: if the shapes do not broadcast.

    >>> import autodiff as ad
    >>> ad.floor_divide(ad.tensor([7, -7]), 2)
    tensor([ 3, -4])
    """
    return bind(floor_divide_p, *promote("floor_divide", input, other))  # type: ignore[no-any-return]


def remainder(input: TensorT, other: Any) -> TensorT:
    """Return ``input - other * floor(input / other)``, Python's ``%``: it has the sign of `other`.

    Raises:
        ShapeError: if the shapes do not broadcast.

    >>> import autodiff as ad
    >>> ad.remainder(ad.tensor([5.0, -5.0]), 3)
    tensor([2., 1.])
    """
    return bind(remainder_p, *promote("remainder", input, other))  # type: ignore[no-any-return]


def fmod(input: TensorT, other: Any) -> TensorT:
    """Return ``input - other * trunc(input / other)``: it has the sign of `input`.

    Raises:
        ShapeError: if the shapes do not broadcast.

    >>> import autodiff as ad
    >>> ad.fmod(ad.tensor([5.0, -5.0]), 3)
    tensor([ 2., -2.])
    """
    return bind(fmod_p, *promote("fmod", input, other))  # type: ignore[no-any-return]


# ---- Square, reciprocal, magnitude and sign --------------------------------------------------------------------------

square_p = pointwise("square", vjp=lambda r, g: (bind(square_grad_p, g, r.input(0)),), saves=X, kinds="iuf",
                     samples=lambda: [*unary_samples(-3, 3), Sample(np.array([2, -3]))], errors=bool_errors(),
                     call=lambda x: square(x))
square_grad_p: Primitive = pointwise("square_grad", vjp=None, twin=lambda g, x: mul(mul(g, x), 2),
                                     samples=gradient_samples(-2, 2), flops=2)
reciprocal_p = pointwise("reciprocal", kinds="f", vjp=lambda r, g: (bind(reciprocal_grad_p, g, r.output(0)),),
                         saves=OUT, errors=unary_errors,
                         samples=lambda: [*unary_samples(0.5, 3), Sample(np.array([2, -3]))],
                         call=lambda x: reciprocal(x))
reciprocal_grad_p: Primitive = pointwise("reciprocal_grad", vjp=None, twin=lambda g, y: neg(mul(g, mul(y, y))), flops=2,
                              samples=gradient_samples(-2, 2))
abs_p = pointwise("abs", kernel="absolute", vjp=lambda r, g: (bind(abs_grad_p, g, r.input(0)),), saves=X, kinds="iuf",
                  samples=lambda: [*unary_samples(-3, 3.1), Sample(np.array([2, -3])),
                                   Sample(np.zeros(2, np.float32), gradient=False)],
                  errors=bool_errors(), call=lambda x: abs(x))
abs_grad_p: Primitive = pointwise("abs_grad", kernel="absolute_grad", vjp=None, twin=lambda g, x: mul(g, sign(x)),
                                  flops=2,
                       samples=gradient_samples(-2, 2))
sign_p = pointwise("sign", vjp=no_slope, samples=lambda: [*unary_samples(-3, 3.1), Sample(np.array([2, 0, -3]))],
                   errors=unary_errors, call=lambda x: sign(x))


def square(input: TensorT) -> TensorT:
    """Return ``input * input``.

    >>> import autodiff as ad
    >>> ad.square(ad.tensor([1.0, -2.0]))
    tensor([1., 4.])
    """
    require_tensor("square", input)
    return bind(square_p, input)  # type: ignore[no-any-return]


def reciprocal(input: TensorT) -> TensorT:
    """Return ``1 / input``; integers become float32.

    >>> import autodiff as ad
    >>> ad.reciprocal(ad.tensor([1.0, -2.0]))
    tensor([ 1.0000, -0.5000])
    """
    return bind(reciprocal_p, real("reciprocal", input))  # type: ignore[no-any-return]


def abs(input: TensorT) -> TensorT:
    """Return ``|input|``; the gradient at 0 is 0.

    >>> import autodiff as ad
    >>> ad.abs(ad.tensor([1.0, -2.0]))
    tensor([1., 2.])
    """
    require_tensor("abs", input)
    return bind(abs_p, input)  # type: ignore[no-any-return]


def sign(input: TensorT) -> TensorT:
    """Return -1, 0 or 1, in the dtype of `input`; 0 for NaN. The gradient is zero.

    >>> import autodiff as ad
    >>> ad.sign(ad.tensor([3.0, 0.0, -2.0]))
    tensor([ 1.,  0., -1.])
    """
    require_tensor("sign", input)
    return bind(sign_p, input)  # type: ignore[no-any-return]


# ---- Rounding: the gradient is zero ----------------------------------------------------------------------------------


def _rounding(name: str, kernel: str, call: Callable[..., Any], *more: Sample) -> Primitive:
    return pointwise(
        name, kernel=kernel, kinds="f", vjp=no_slope, call=call, errors=bool_errors(),
        samples=lambda: [*unary_samples(-3.3, 3.1), Sample(np.array([2, -3])),
                         Sample(np.array([0.5, 1.5, -0.5, 1e9, np.inf], np.float32), gradient=False), *more],
    )


floor_p = _rounding("floor", "floor", lambda x: floor(x))
ceil_p = _rounding("ceil", "ceil", lambda x: ceil(x))
trunc_p = _rounding("trunc", "truncate", lambda x: trunc(x))
round_p = _rounding("round", "round", lambda x, **k: round(x, **k),
                    Sample(spread(-3, 3, 4, dtype=np.float64), decimals=2),
                    Sample(spread(-300, 300, 4), decimals=-2))


def _rounded(primitive: Primitive, x: Any) -> Any:
    require_tensor(primitive.name, x)
    return clone(x) if x.spec.dtype.kind in "iu" else bind(primitive, x)


def floor(input: TensorT) -> TensorT:
    """Return the largest integer not above each element, in the dtype of `input`.

    >>> import autodiff as ad
    >>> ad.floor(ad.tensor([1.5, -1.5]))
    tensor([ 1., -2.])
    """
    return _rounded(floor_p, input)  # type: ignore[no-any-return]


def ceil(input: TensorT) -> TensorT:
    """Return the smallest integer not below each element, in the dtype of `input`.

    >>> import autodiff as ad
    >>> ad.ceil(ad.tensor([1.5, -1.5]))
    tensor([ 2., -1.])
    """
    return _rounded(ceil_p, input)  # type: ignore[no-any-return]


def trunc(input: TensorT) -> TensorT:
    """Return each element without its fraction.

    >>> import autodiff as ad
    >>> ad.trunc(ad.tensor([1.5, -1.5]))
    tensor([ 1., -1.])
    """
    return _rounded(trunc_p, input)  # type: ignore[no-any-return]


def round(input: TensorT, *, decimals: int = 0) -> TensorT:
    """Return the nearest integers, halves to the even one; with `decimals`, multiples of ``10**-decimals``.

    >>> import autodiff as ad
    >>> ad.round(ad.tensor([0.5, 1.5, 2.6]))
    tensor([0., 2., 3.])
    """
    if not decimals:
        return _rounded(round_p, input)  # type: ignore[no-any-return]
    scale = 10.0 ** builtins.abs(decimals)
    if decimals > 0:
        return div(_rounded(round_p, mul(real("round", input), scale)), scale)  # type: ignore[no-any-return]
    return mul(_rounded(round_p, div(real("round", input), scale)), scale)  # type: ignore[no-any-return]


frac_p = pointwise("frac", kinds="f", vjp=lambda r, g: (g,), call=lambda x: frac(x), errors=unary_errors,
                   samples=lambda: [*unary_samples(-3.3, 3.1), Sample(np.array([2, -3]))])


def frac(input: TensorT) -> TensorT:
    """Return ``input - trunc(input)``: zeros for integers.

    >>> import autodiff as ad
    >>> ad.frac(ad.tensor([1.5, -1.5]))
    tensor([ 0.5000, -0.5000])
    """
    require_tensor("frac", input)
    if input.spec.dtype.kind in "iu":  # type: ignore[attr-defined]
        return bind(zeros_like_p, input)  # type: ignore[no-any-return]
    return bind(frac_p, input)  # type: ignore[no-any-return]


# ---- Arithmetic of three operands ------------------------------------------------------------------------------------


def _three_samples(**options: Any) -> list[Sample]:
    image = spread(1, 2, 2, 2, 3, 3).transpose(0, 3, 1, 2)
    return [Sample(spread(-2, 2, 3, 4), spread(-1, 1, 3, 4), spread(1, 2, 3, 4), **options),
            Sample(spread(-2, 2, 1), spread(-1, 1, 3, 1), spread(1, 2, 4)),
            Sample(image, image, spread(1, 2, 1).reshape(()), **options),
            Sample(*[spread(1, 2, 5, dtype=np.float64)] * 3, **options), Sample(*[np.zeros((0, 2), np.float32)] * 3)]


def _three_errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [ErrorSample(Sample(x, x, np.ones(2, np.float32)), ShapeError, "do not broadcast"),
            ErrorSample(Sample(x, x, "3"), DTypeError, "neither a tensor nor a number")]


addcmul_p: Primitive = pointwise(
    "addcmul", kernel="multiply_add", saves=(NOTHING, Keep(inputs=(2, 3)), Keep(inputs=(1, 3)), NOTHING), flops=3,
    vjp=lambda r, g: fit(r, g, mul(mul(g, r.input(3)), r.input(2)) if r.mask[1] else None,
                         mul(mul(g, r.input(3)), r.input(1)) if r.mask[2] else None, None),
    samples=lambda: [*_three_samples(value=-0.5), Sample(*[np.array([1, 2, 3])] * 3, value=2)], errors=_three_errors,
    call=lambda *a, **k: addcmul(*a, **k),
)


def _addcdiv_vjp(r: Any, g: Any) -> tuple[Any, ...]:
    share = div(mul(g, r.input(3)), r.input(2)) if r.mask[1] or r.mask[2] else None
    return fit(r, g, share if r.mask[1] else None,
               neg(mul(share, div(r.input(1), r.input(2)))) if r.mask[2] else None, None)


addcdiv_p = pointwise("addcdiv", kernel="divide_add", vjp=_addcdiv_vjp, flops=3, kinds="f", errors=_three_errors,
                      saves=(NOTHING, Keep(inputs=(2, 3)), Keep(inputs=(1, 2, 3)), NOTHING),
                      samples=lambda: _three_samples(value=-0.5), call=lambda *a, **k: addcdiv(*a, **k))


def _lerp_vjp(r: Any, g: Any) -> tuple[Any, ...]:
    to_end = mul(g, r.input(2)) if r.mask[0] or r.mask[1] else None
    return fit(r, sub(g, to_end) if r.mask[0] else None, to_end if r.mask[1] else None,
               mul(g, sub(r.input(1), r.input(0))) if r.mask[2] else None)


lerp_p = pointwise("lerp", vjp=_lerp_vjp, saves=(Keep(inputs=(2,)), Keep(inputs=(2,)), Keep(inputs=(0, 1))), flops=3,
                   kinds="f",
                   samples=lambda: [*_three_samples(), Sample(spread(-1, 1, 4), spread(0, 1, 4), 0.25)],
                   errors=_three_errors, call=lambda *a: lerp(*a))


def addcmul(input: TensorT, tensor1: Any, tensor2: Any, *, value: float = 1) -> TensorT:
    """Return ``input + value * tensor1 * tensor2``, broadcast.

    Raises:
        ShapeError: if the shapes do not broadcast.

    >>> import autodiff as ad
    >>> ad.addcmul(ad.tensor([1.0]), ad.tensor([2.0]), ad.tensor([3.0]), value=0.5)
    tensor([4.])
    """
    return bind(addcmul_p, *promote("addcmul", input, tensor1, tensor2, value))  # type: ignore[no-any-return]


def addcdiv(input: TensorT, tensor1: Any, tensor2: Any, *, value: float = 1) -> TensorT:
    """Return ``input + value * tensor1 / tensor2``, broadcast; integers become float32.

    Raises:
        ShapeError: if the shapes do not broadcast.

    >>> import autodiff as ad
    >>> ad.addcdiv(ad.tensor([1.0]), ad.tensor([3.0]), ad.tensor([2.0]))
    tensor([2.5000])
    """
    return bind(addcdiv_p, *promote_float("addcdiv", input, tensor1, tensor2, value))  # type: ignore[no-any-return]


def lerp(input: TensorT, end: Any, weight: Any) -> TensorT:
    """Return ``input + weight * (end - input)``, broadcast; exact at weights 0 and 1.

    Args:
        input: tensor: the value at weight 0.
        end: tensor: the value at weight 1.
        weight: tensor or number.

    Raises:
        ShapeError: if the shapes do not broadcast.

    >>> import autodiff as ad
    >>> ad.lerp(ad.tensor([1.0]), ad.tensor([3.0]), 0.25)
    tensor([1.5000])
    """
    return bind(lerp_p, *promote_float("lerp", input, end, weight))  # type: ignore[no-any-return]


absolute, divide, multiply, negative, subtract, true_divide = abs, div, mul, neg, sub, div
