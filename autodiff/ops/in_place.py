"""Operations that change their tensor in place: the names with a trailing underscore.

What autodiff of a change in place means is said in `autodiff.bind.bind_into`. Where the gradient needs the values from
before the change, they are copied first, as PyTorch does; nothing is copied while no gradient is wanted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autodiff.bind import TensorT, bind, bind_into, refresh
from autodiff.errors import DTypeError, ShapeError
from autodiff.ops import choice, comparison, elementwise, functions
from autodiff.ops.broadcast import expand_p
from autodiff.ops.promotion import WEAKER, cast, constant, is_tensor, result_dtype
from autodiff.ops.structural import clone, copy_p, require_tensor
from autodiff.primitive import Primitive
from autodiff.spec import DType
from autodiff.thread_mode import MODE

__all__ = ["abs_", "absolute_", "acos_", "add_", "addcdiv_", "addcmul_", "asin_", "atan_", "bitwise_and_",
           "bitwise_not_", "bitwise_or_", "bitwise_xor_", "ceil_", "clamp_", "clamp_max_", "clamp_min_", "clip_",
           "copy_", "cos_", "cosh_", "div_", "divide_", "erf_", "exp2_", "exp_", "expm1_", "fill_", "floor_",
           "floor_divide_", "fmod_", "frac_", "lerp_", "log10_", "log1p_", "log2_", "log_", "logit_", "masked_fill_",
           "mul_", "multiply_", "nan_to_num_", "neg_", "negative_", "pow_", "reciprocal_", "remainder_", "round_",
           "rsqrt_", "sigmoid_", "sign_", "sin_", "sinh_", "sqrt_", "square_", "sub_", "subtract_", "tan_", "tanh_",
           "trunc_", "zero_"]

# ---- How it is done --------------------------------------------------------------------------------------------------


def in_place(primitive: Primitive, target: Any, *others: Any) -> Any:
    """Write ``primitive(target, *others)`` into `target`: numbers and other dtypes are converted to its dtype.

    Raises:
        DTypeError: if an operand has a stronger kind than the target: a float for an integer tensor.
    """
    require_tensor(primitive.name + "_", target)
    dtype = target.spec.dtype
    weaker = WEAKER[dtype.kind]
    operands = []
    for x in others:
        if type(x) in weaker:
            operands.append(constant(x, dtype))
        elif is_tensor(x) and x.spec.dtype is dtype:
            operands.append(x)
        else:
            require_same_kind(primitive.name, dtype, result_dtype(primitive.name + "_", target, x))
            operands.append(cast(x, dtype) if is_tensor(x) else constant(x, dtype))
    if MODE.grad:
        for x in (target, *operands):
            if x.base is not None and x.seen != x.memory.version:
                refresh(x)
        mask = (target.needs_grad, *[x.needs_grad for x in operands])
        if True in mask:
            # The gradient may need the values from before the change.
            kept = primitive.keep(mask).inputs
            if any(i == 0 or operands[i - 1] is target for i in kept):
                before = clone(target)
                return bind_into(target, primitive, before, *[before if x is target else x for x in operands])
    return bind_into(target, primitive, target, *operands)


def through(function: Callable[..., Any], target: Any, *arguments: Any, **options: Any) -> Any:
    """Write ``function(target, *arguments, **options)`` into `target`: for functions composed of several operations.

    Raises:
        DTypeError: if the result has a stronger kind than the target.
    """
    name = function.__name__
    require_tensor(name + "_", target)
    recorded = MODE.grad and any(is_tensor(x) and x.needs_grad for x in (target, *arguments))
    value = function(clone(target) if recorded else target, *arguments, **options)
    require_same_kind(name, target.spec.dtype, value.spec.dtype)
    return copy_(target, value)


def require_same_kind(name: str, dtype: DType, wanted: DType) -> None:
    """Raise unless a result of dtype `wanted` may be written into a tensor of `dtype`.

    Raises:
        DTypeError: names both.
    """
    if "biuf".index(wanted.kind.replace("u", "i")) > "biuf".index(dtype.kind):
        raise DTypeError(name + "_", "an in-place operation cannot change the dtype of its tensor",
                         expected=dtype.name, got=wanted.name,
                         fix="use the out-of-place form, or convert the tensor first")


def called(function: Callable[..., TensorT], name: str) -> Callable[..., TensorT]:
    """Give a function a name, by which tracebacks and the records of its calls know it, too; return it."""
    function.__name__ = function.__qualname__ = name
    function.__code__ = function.__code__.replace(co_name=name, co_qualname=name)
    return function


def _documented(function: Callable[..., TensorT], name: str) -> Callable[..., TensorT]:
    function.__doc__ = f"""Change `input` in place into ``{name}(input)``, and return it.

    Raises:
        InPlaceError: for a leaf that requires a gradient, while gradients are recorded.
        DTypeError: if the result has a stronger dtype than `input`.

    >>> import autodiff as ad
    >>> x = ad.tensor([0.25, 0.75])
    >>> ad.{name}_(x) is x
    True
    """
    return called(function, name + "_")


def unary(operation: Primitive | Callable[..., Any]) -> Callable[[TensorT], TensorT]:
    """Return the in-place form of a function of one tensor: a primitive, or one composed of several."""
    if isinstance(operation, Primitive):
        return _documented(lambda input: in_place(operation, input), operation.name)
    return _documented(lambda input: through(operation, input), operation.__name__)


# ---- Values ----------------------------------------------------------------------------------------------------------


def copy_(input: TensorT, src: Any, non_blocking: bool = False) -> TensorT:
    """Copy `src`, broadcast and converted, into `input`, and return it; the gradient goes to `src`.

    If `src` requires no gradient, `input` does not any more either: it holds constants. (In PyTorch it still would, and
    hand on zeros.) So it is with all that overwrites a whole tensor: `fill_`, `zero_`, ``x[:] = 0``, `normal_`.

    Raises:
        ShapeError: if `src` cannot be expanded to the shape of `input`.
        InPlaceError: for a leaf that requires a gradient, while gradients are recorded.

    >>> import autodiff as ad
    >>> ad.zeros(2).copy_(ad.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """
    require_tensor("copy_", src)
    spec = input.spec  # type: ignore[attr-defined]
    try:
        source = src if src.spec.shape == spec.shape else bind(expand_p, src, shape=spec.shape)
    except ShapeError:
        raise ShapeError("copy_", "the value does not fit where it is written", got=str(src.spec.shape),
                         expected=f"a shape that broadcasts to {spec.shape}") from None
    return bind_into(input, copy_p, source, dtype=spec.dtype, order=None)  # type: ignore[no-any-return]


def fill_(input: TensorT, value: Any) -> TensorT:
    """Set every element of `input` to a number, or to a tensor without dimensions, and return it.

    Raises:
        ShapeError: if `value` has dimensions.
        InPlaceError: for a leaf that requires a gradient, while gradients are recorded.

    >>> import autodiff as ad
    >>> ad.zeros(2).fill_(3)
    tensor([3., 3.])
    """
    return copy_(input, choice.fill_value("fill_", value, input))


def zero_(input: TensorT) -> TensorT:
    """Set every element of `input` to 0, and return it.

    >>> import autodiff as ad
    >>> ad.ones(2).zero_()
    tensor([0., 0.])
    """
    return fill_(input, 0)


def masked_fill_(input: TensorT, mask: Any, value: Any) -> TensorT:
    """Set the elements of `input` where `mask` holds to `value`, and return it.

    Raises:
        ShapeError: if `mask` does not broadcast to the shape of `input`, or `value` has dimensions.
        DTypeError: if `mask` does not hold bools.

    >>> import autodiff as ad
    >>> ad.ones(2).masked_fill_(ad.tensor([True, False]), 0)
    tensor([0., 1.])
    """
    choice.require_bools("masked_fill_", "mask", mask)
    number = choice.fill_value("masked_fill_", value, input)
    return bind_into(input, choice.where_p, mask, number, input)  # type: ignore[no-any-return]


# ---- Arithmetic ------------------------------------------------------------------------------------------------------


def add_(input: TensorT, other: Any, *, alpha: float = 1) -> TensorT:
    """Add ``alpha * other`` to `input` in place, and return it.

    Raises:
        ShapeError: if `other` does not broadcast to the shape of `input`.
        InPlaceError: for a leaf that requires a gradient, while gradients are recorded.
        DTypeError: if the result has a stronger dtype than `input`.

    >>> import autodiff as ad
    >>> ad.zeros(2).add_(3)
    tensor([3., 3.])
    """
    change = other if alpha == 1 else elementwise.scaled(other, alpha)
    return in_place(elementwise.add_p, input, change)  # type: ignore[no-any-return]


def sub_(input: TensorT, other: Any, *, alpha: float = 1) -> TensorT:
    """Subtract ``alpha * other`` from `input` in place, and return it.

    Raises:
        As `add_`.

    >>> import autodiff as ad
    >>> ad.zeros(2).sub_(3)
    tensor([-3., -3.])
    """
    change = other if alpha == 1 else elementwise.scaled(other, alpha)
    return in_place(elementwise.sub_p, input, change)  # type: ignore[no-any-return]


def mul_(input: TensorT, other: Any) -> TensorT:
    """Multiply `input` by `other` in place, and return it.

    Raises:
        As `add_`.

    >>> import autodiff as ad
    >>> ad.ones(2).mul_(3)
    tensor([3., 3.])
    """
    return in_place(elementwise.mul_p, input, other)  # type: ignore[no-any-return]


def div_(input: TensorT, other: Any, *, rounding_mode: str | None = None) -> TensorT:
    """Divide `input` by `other` in place, and return it; `rounding_mode` as in `div`.

    Raises:
        As `add_`; DTypeError for integers without a rounding mode.

    >>> import autodiff as ad
    >>> ad.ones(2).div_(4)
    tensor([0.2500, 0.2500])
    """
    if rounding_mode is None:
        return in_place(elementwise.div_p, input, other)  # type: ignore[no-any-return]
    return through(elementwise.div, input, other, rounding_mode=rounding_mode)  # type: ignore[no-any-return]


def floor_divide_(input: TensorT, other: Any) -> TensorT:
    """Replace `input` by ``floor(input / other)``, and return it.

    >>> import autodiff as ad
    >>> ad.tensor([7, -7]).floor_divide_(2)
    tensor([ 3, -4])
    """
    return in_place(elementwise.floor_divide_p, input, other)  # type: ignore[no-any-return]


def remainder_(input: TensorT, other: Any) -> TensorT:
    """Replace `input` by ``remainder(input, other)``, and return it.

    >>> import autodiff as ad
    >>> ad.tensor([7, -7]).remainder_(4)
    tensor([3, 1])
    """
    return in_place(elementwise.remainder_p, input, other)  # type: ignore[no-any-return]


def fmod_(input: TensorT, other: Any) -> TensorT:
    """Replace `input` by ``fmod(input, other)``, and return it.

    >>> import autodiff as ad
    >>> ad.tensor([7, -7]).fmod_(4)
    tensor([ 3, -3])
    """
    return in_place(elementwise.fmod_p, input, other)  # type: ignore[no-any-return]


def pow_(input: TensorT, exponent: Any) -> TensorT:
    """Raise `input` to a power in place, and return it.

    >>> import autodiff as ad
    >>> ad.tensor([2.0, 3.0]).pow_(2)
    tensor([4., 9.])
    """
    return through(functions.pow, input, exponent)  # type: ignore[no-any-return]


def lerp_(input: TensorT, end: Any, weight: Any) -> TensorT:
    """Move `input` towards `end` by the part `weight` of the way, in place, and return it.

    >>> import autodiff as ad
    >>> ad.zeros(2).lerp_(ad.ones(2), 0.25)
    tensor([0.2500, 0.2500])
    """
    return in_place(elementwise.lerp_p, input, end, weight)  # type: ignore[no-any-return]


def addcmul_(input: TensorT, tensor1: Any, tensor2: Any, *, value: float = 1) -> TensorT:
    """Add ``value * tensor1 * tensor2`` to `input` in place, and return it.

    >>> import autodiff as ad
    >>> ad.ones(2).addcmul_(ad.tensor([1.0, 2.0]), ad.tensor([3.0, 4.0]), value=0.5)
    tensor([2.5000, 5.0000])
    """
    return in_place(elementwise.addcmul_p, input, tensor1, tensor2, value)  # type: ignore[no-any-return]


def addcdiv_(input: TensorT, tensor1: Any, tensor2: Any, *, value: float = 1) -> TensorT:
    """Add ``value * tensor1 / tensor2`` to `input` in place, and return it.

    >>> import autodiff as ad
    >>> ad.ones(2).addcdiv_(ad.tensor([1.0, 2.0]), ad.tensor([4.0, 4.0]), value=2)
    tensor([1.5000, 2.0000])
    """
    return in_place(elementwise.addcdiv_p, input, tensor1, tensor2, value)  # type: ignore[no-any-return]


def clamp_(input: TensorT, min: Any = None, max: Any = None) -> TensorT:
    """Clamp `input` in place, and return it; bounds as in `clamp`.

    Raises:
        ValueRangeError: if both bounds are None.

    >>> import autodiff as ad
    >>> ad.tensor([-1.0, 0.5, 2.0]).clamp_(0, 1)
    tensor([0.0000, 0.5000, 1.0000])
    """
    choice.require_bound(min, max)
    lowest, highest = choice.limits(input.spec.dtype)  # type: ignore[attr-defined]
    low, high = lowest if min is None else min, highest if max is None else max
    return in_place(choice.clamp_p, input, low, high)  # type: ignore[no-any-return]


def clamp_min_(input: TensorT, min: Any) -> TensorT:
    """Raise the elements of `input` to at least `min` in place, and return it.

    >>> import autodiff as ad
    >>> ad.tensor([-1.0, 2.0]).clamp_min_(0)
    tensor([0., 2.])
    """
    return clamp_(input, min=min)


def clamp_max_(input: TensorT, max: Any) -> TensorT:
    """Lower the elements of `input` to at most `max` in place, and return it.

    >>> import autodiff as ad
    >>> ad.tensor([-1.0, 2.0]).clamp_max_(0)
    tensor([-1.,  0.])
    """
    return clamp_(input, max=max)


def round_(input: TensorT, *, decimals: int = 0) -> TensorT:
    """Round `input` in place, and return it; `decimals` as in `round`.

    >>> import autodiff as ad
    >>> ad.tensor([0.5, 1.7]).round_()
    tensor([0., 2.])
    """
    return through(elementwise.round, input, decimals=decimals)  # type: ignore[no-any-return]


def nan_to_num_(input: TensorT, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> TensorT:
    """Put numbers in place of NaN and infinities in `input`, as `nan_to_num` does, and return it.

    >>> import autodiff as ad
    >>> ad.tensor([1.0, float("nan")]).nan_to_num_()
    tensor([1., 0.])
    """
    return through(choice.nan_to_num, input, nan, posinf, neginf)  # type: ignore[no-any-return]


def logit_(input: TensorT, eps: float | None = None) -> TensorT:
    """Replace `input` by ``logit(input, eps)``, and return it.

    >>> import autodiff as ad
    >>> ad.tensor([0.5, 0.9]).logit_()
    tensor([0.0000, 2.1972])
    """
    return through(functions.logit, input, eps)  # type: ignore[no-any-return]


def bitwise_and_(input: TensorT, other: Any) -> TensorT:
    """Replace `input` by ``input & other``, and return it.

    >>> import autodiff as ad
    >>> ad.tensor([True, False]).bitwise_and_(True)
    tensor([ True, False])
    """
    return in_place(comparison.bitwise_and_p, input, other)  # type: ignore[no-any-return]


def bitwise_or_(input: TensorT, other: Any) -> TensorT:
    """Replace `input` by ``input | other``, and return it.

    >>> import autodiff as ad
    >>> ad.tensor([True, False]).bitwise_or_(True)
    tensor([True, True])
    """
    return in_place(comparison.bitwise_or_p, input, other)  # type: ignore[no-any-return]


def bitwise_xor_(input: TensorT, other: Any) -> TensorT:
    """Replace `input` by ``input ^ other``, and return it.

    >>> import autodiff as ad
    >>> ad.tensor([True, False]).bitwise_xor_(True)
    tensor([False, True])
    """
    return in_place(comparison.bitwise_xor_p, input, other)  # type: ignore[no-any-return]


def bitwise_not_(input: TensorT) -> TensorT:
    """Replace `input` by ``~input``, and return it.

    >>> import autodiff as ad
    >>> ad.tensor([True, False]).bitwise_not_()
    tensor([False, True])
    """
    return in_place(comparison.bitwise_not_p, input)  # type: ignore[no-any-return]


# ---- Functions of one tensor -----------------------------------------------------------------------------------------

abs_, neg_, sign_ = unary(elementwise.abs_p), unary(elementwise.neg_p), unary(elementwise.sign_p)
square_, reciprocal_ = unary(elementwise.square_p), unary(elementwise.reciprocal_p)
floor_, ceil_, trunc_, frac_ = (unary(f) for f in (elementwise.floor, elementwise.ceil, elementwise.trunc,
                                                   elementwise.frac))
sqrt_, rsqrt_ = unary(functions.sqrt_p), unary(functions.rsqrt_p)
exp_, expm1_, exp2_ = unary(functions.exp_p), unary(functions.expm1_p), unary(functions.exp2_p)
log_, log1p_ = unary(functions.log_p), unary(functions.log1p_p)
log2_, log10_ = unary(functions.log2_p), unary(functions.log10_p)
sin_, cos_, tan_ = unary(functions.sin_p), unary(functions.cos_p), unary(functions.tan_p)
asin_, acos_, atan_ = unary(functions.asin_p), unary(functions.acos_p), unary(functions.atan_p)
sinh_, cosh_, tanh_ = unary(functions.sinh_p), unary(functions.cosh_p), unary(functions.tanh_p)
sigmoid_, erf_ = unary(functions.sigmoid_p), unary(functions.erf_p)

absolute_, clip_, divide_, multiply_, negative_, subtract_ = abs_, clamp_, div_, mul_, neg_, sub_
