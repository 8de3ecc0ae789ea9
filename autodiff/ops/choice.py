"""What chooses between elements: where, masked_fill, maximum, minimum, clamp."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops.comparison import eq, eq_p, gt_p, le, logical_and, logical_or, lt_p, ne
from autodiff.ops.elementwise import X, fit, mul, pointwise
from autodiff.ops.promotion import BOOL, cast, constant, is_tensor, promote
from autodiff.ops.samples import (
    binary_errors,
    binary_samples,
    gradient_samples,
    integer_samples,
    spread,
    unary_errors,
)
from autodiff.ops.structural import clone, require_tensor
from autodiff.primitive import ErrorSample, Keep, Primitive, Sample, composed
from autodiff.spec import DType

__all__ = ["clamp", "clamp_max", "clamp_min", "clip", "fmax", "fmin", "masked_fill", "maximum", "minimum",
           "nan_to_num", "where"]

# ---- Where -----------------------------------------------------------------------------------------------------------


def _where_vjp(r: Any, g: Any) -> tuple[Any, ...]:
    # The cotangent is chosen, not multiplied: the branch not taken gets exactly zero, whatever its slope is.
    zero = constant(0, g.spec.dtype)
    condition = r.input(0)
    return fit(r, None, bind(where_p, condition, g, zero) if r.mask[1] else None,
               bind(where_p, condition, zero, g) if r.mask[2] else None)


def _where_samples() -> list[Sample]:
    mask = np.arange(12).reshape(3, 4) % 3 == 0
    image = spread(-1, 1, 2, 2, 3, 3).transpose(0, 3, 1, 2)
    return [Sample(mask, spread(-1, 1, 3, 4), spread(-2, 2, 3, 4)),
            Sample(mask[:, :1], spread(-1, 1, 4), spread(-2, 2, 1).reshape(())),
            Sample(image > 0, image, spread(-1, 1, 3, 1, 1)), Sample(mask, spread(-1, 1, 3, 4), -5),
            Sample(mask, 1.0, 0.0),
            Sample(mask, np.arange(4), 7), Sample(mask[:0], spread(-1, 1, 0, 4), 2.0),
            Sample(mask, spread(-1, 1, 4, 3, dtype=np.float64).T, spread(-1, 1, 4, dtype=np.float64))]


def _where_errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [ErrorSample(Sample(x > 0, x, np.ones(2, np.float32)), ShapeError, "do not broadcast"),
            ErrorSample(Sample(x, x, x), DTypeError, "the condition does not hold bools.*bool.*got float32.*x != 0")]


where_p = pointwise("where", vjp=_where_vjp, saves=X, samples=_where_samples, errors=_where_errors,
                    call=lambda *a: where(*a))


def where(condition: TensorT, input: Any = None, other: Any = None) -> TensorT:
    """Return `input` where `condition` holds and `other` elsewhere, broadcast.

    Args:
        condition: bools.
        input: tensor or number.
        other: tensor or number. Without both, the places where `condition` holds are returned, as `nonzero` does with
            ``as_tuple=True``.

    Raises:
        ShapeError: if the shapes do not broadcast.
        DTypeError: if `condition` does not hold bools.

    The branch that is not taken receives a gradient of exactly zero, also where its slope is infinite or NaN.

    >>> import autodiff as ad
    >>> x = ad.tensor([1.0, -2.0])
    >>> ad.where(x > 0, x, 0.0)
    tensor([1., 0.])
    """
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)  # type: ignore[attr-defined, no-any-return]
    require_bools("where", "condition", condition)
    return bind(where_p, condition, *promote("where", input, other))  # type: ignore[no-any-return]


def constant_of(x: Any, value: Any) -> Any:
    """Return `value`, which does not depend on `x`, so that the gradient of `x` is zero, as in PyTorch, not none."""
    return where(constant(False, BOOL), x, value)


def require_bools(operation: str, what: str, mask: Any) -> None:
    """Raise unless `mask` is a tensor of bools.

    Raises:
        DTypeError: names the dtype.
    """
    require_tensor(operation, mask)
    if mask.spec.dtype != BOOL:
        raise DTypeError(operation, f"the {what} does not hold bools", expected="bool", got=mask.spec.dtype.name,
                         fix="compare it: x != 0")


def _masked_fill_samples() -> list[Sample]:
    mask = np.arange(12).reshape(3, 4) % 3 == 0
    return [Sample(spread(-1, 1, 3, 4), mask, -np.inf, gradient=False), Sample(spread(-1, 1, 3, 4), mask[0], 2),
            Sample(spread(-1, 1, 4), mask, 2),
            Sample(spread(-1, 1, 3, 4), mask, spread(1, 2, 1).reshape(())), Sample(np.arange(4), mask[1], 7.9)]


def _masked_fill_errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [ErrorSample(Sample(x, x[0] > 0, x), ShapeError, "one number.*got a tensor of shape"),
            ErrorSample(Sample(x, x, 0.0), DTypeError, "the mask does not hold bools"),
            ErrorSample(Sample(x, np.array([True, False]), 0.0), ShapeError, "do not broadcast")]


@composed(samples=_masked_fill_samples, errors=_masked_fill_errors)
def masked_fill(input: TensorT, mask: TensorT, value: Any) -> TensorT:
    """Return `input` with `value` where `mask` holds.

    Args:
        input: any shape.
        mask: bools, broadcast against `input`.
        value: number or tensor without dimensions, converted to the dtype of `input`.

    Raises:
        ShapeError: if the shapes do not broadcast or `value` has dimensions.
        DTypeError: if `mask` does not hold bools.

    >>> import autodiff as ad
    >>> ad.masked_fill(ad.tensor([1.0, 2.0]), ad.tensor([True, False]), 0)
    tensor([0., 2.])
    """
    require_tensor("masked_fill", input)
    require_bools("masked_fill", "mask", mask)
    return bind(where_p, mask, fill_value("masked_fill", value, input), input)  # type: ignore[no-any-return]


def fill_value(operation: str, value: Any, target: Any) -> Any:
    """Return a number, or a tensor without dimensions, as a tensor of the dtype of `target`.

    Raises:
        ShapeError: if it has dimensions.
    """
    if not is_tensor(value):
        return constant(value, target.spec.dtype)
    if value.spec.ndim:
        raise ShapeError(operation, "the value is no single number",
                         expected="one number, or a tensor without dimensions",
                         got=f"a tensor of shape {value.spec.shape}", fix="use where(mask, value, input)")
    return cast(value, target.spec.dtype)


def _nan_to_num_samples() -> list[Sample]:
    x = np.array([1, np.nan, np.inf, -np.inf])
    replaced = Sample(x.astype(np.float32), nan=2.0, posinf=3.0, neginf=-4.0, gradient=False)
    return [Sample(x, gradient=False), replaced, Sample(np.array([1, 2])), Sample(spread(-1, 1, 3))]


nan_to_num_p = pointwise(
    "nan_to_num", kinds="f", saves=X, samples=_nan_to_num_samples, errors=unary_errors, flops=3,
    vjp=lambda r, g: (bind(nan_to_num_grad_p, g, r.input(0)), None, None, None),
    call=lambda *a, **k: nan_to_num(*a, **k),
)
nan_to_num_grad_p: Primitive = pointwise(
    "nan_to_num_grad", vjp=None, samples=gradient_samples(-2, 2),
    twin=lambda g, x: where(logical_or(ne(x, x), logical_or(eq(x, math.inf), eq(x, -math.inf))), 0, g),
)


def nan_to_num(input: TensorT, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> TensorT:
    """Return `input` with numbers in place of NaN and infinities; their gradient is zero.

    Args:
        input: any shape.
        nan: replaces NaN.
        posinf: replaces infinity; the largest number of the dtype by default.
        neginf: replaces minus infinity; the lowest number of the dtype by default.

    >>> import autodiff as ad
    >>> ad.nan_to_num(ad.tensor([1.0, float("nan"), float("inf")]), posinf=9.0)
    tensor([1., 0., 9.])
    """
    require_tensor("nan_to_num", input)
    dtype = input.spec.dtype  # type: ignore[attr-defined]
    if dtype.kind != "f":
        return clone(input)
    largest = float(np.finfo(dtype).max)
    replacements = (nan, largest if posinf is None else posinf, -largest if neginf is None else neginf)
    return bind(nan_to_num_p, input, *[constant(x, dtype) for x in replacements])  # type: ignore[no-any-return]


# ---- Maximum and minimum ---------------------------------------------------------------------------------------------


def _extremum_vjp(loses: Primitive) -> Callable[..., tuple[Any, ...]]:
    """Return the vjp of a maximum (`loses` is lt) or minimum (gt): the winner takes the cotangent, a tie halves it."""

    def vjp(r: Any, g: Any) -> tuple[Any, ...]:
        x, y = r.input(0), r.input(1)
        zero = constant(0, g.spec.dtype)
        shared = bind(where_p, bind(eq_p, x, y), mul(g, 0.5), g)
        return fit(r, bind(where_p, bind(loses, x, y), zero, shared) if r.mask[0] else None,
                   bind(where_p, bind(loses, y, x), zero, shared) if r.mask[1] else None)

    return vjp


def _extremum_samples() -> list[Sample]:
    x = np.array([1, 2, np.nan], np.float32)
    return [*binary_samples(-3, 3.1), *integer_samples()[::3], Sample(x, x[::-1], gradient=False),
            Sample(np.array([True, False]), np.array([False, False])), Sample(np.array([1, 5]), spread(1, 3, 2))]


maximum_p = pointwise("maximum", vjp=_extremum_vjp(lt_p), saves=Keep(inputs=(0, 1)), samples=_extremum_samples,
                      errors=binary_errors,
                      call=lambda *a: maximum(*a))
minimum_p = pointwise("minimum", vjp=_extremum_vjp(gt_p), saves=Keep(inputs=(0, 1)), samples=_extremum_samples,
                      errors=binary_errors,
                      call=lambda *a: minimum(*a))


def maximum(input: TensorT, other: Any) -> TensorT:
    """Return the larger of two elements, NaN where either is; broadcast. Equal elements share the gradient by halves.

    Raises:
        ShapeError: if the shapes do not broadcast.

    >>> import autodiff as ad
    >>> ad.maximum(ad.tensor([1.0, 4.0]), ad.tensor([3.0, 2.0]))
    tensor([3., 4.])
    """
    return bind(maximum_p, *promote("maximum", input, other))  # type: ignore[no-any-return]


def minimum(input: TensorT, other: Any) -> TensorT:
    """Return the smaller of two elements, NaN where either is; broadcast. Equal elements share the gradient by halves.

    Raises:
        ShapeError: if the shapes do not broadcast.

    >>> import autodiff as ad
    >>> ad.minimum(ad.tensor([1.0, 4.0]), ad.tensor([3.0, 2.0]))
    tensor([1., 2.])
    """
    return bind(minimum_p, *promote("minimum", input, other))  # type: ignore[no-any-return]


def _nan_samples() -> list[Sample]:
    x = np.array([1, 2, np.nan, np.nan], np.float32)
    return [*binary_samples(-3, 3.1), Sample(x, x[[1, 2, 0, 3]], gradient=False),
            Sample(np.array([1, 5]), np.array([2, 2]))]


@composed(samples=_nan_samples, errors=binary_errors)
def fmax(input: TensorT, other: Any) -> TensorT:
    """Return the larger of two elements; where one is NaN, the other one.

    >>> import autodiff as ad
    >>> ad.fmax(ad.tensor([1.0, float("nan")]), ad.tensor([3.0, 2.0]))
    tensor([3., 2.])
    """
    x, y = promote("fmax", input, other)
    return where(ne(x, x), y, where(ne(y, y), x, maximum(x, y)))  # type: ignore[no-any-return]


@composed(samples=_nan_samples, errors=binary_errors)
def fmin(input: TensorT, other: Any) -> TensorT:
    """Return the smaller of two elements; where one is NaN, the other one.

    >>> import autodiff as ad
    >>> ad.fmin(ad.tensor([1.0, float("nan")]), ad.tensor([3.0, 2.0]))
    tensor([1., 2.])
    """
    x, y = promote("fmin", input, other)
    return where(ne(x, x), y, where(ne(y, y), x, minimum(x, y)))  # type: ignore[no-any-return]


# ---- Clamp -----------------------------------------------------------------------------------------------------------


def _clamp_vjp(r: Any, g: Any) -> tuple[Any, ...]:
    x, low, high = (r.input(i) for i in range(3))
    gx = glow = ghigh = None
    zero = constant(0, g.spec.dtype)
    if r.mask[0]:
        gx = bind(clamp_grad_p, g, x, low, high)
    if r.mask[1]:
        below = logical_and(bind(lt_p, x, low), bind(lt_p, low, high))
        glow = bind(where_p, below, g, zero)
    if r.mask[2]:
        above = logical_or(bind(gt_p, x, high), bind(lt_p, high, low))
        ghigh = bind(where_p, above, g, zero)
    return fit(r, gx, glow, ghigh)


def _clamp_samples() -> list[Sample]:
    x = spread(-3, 3, 3, 4)
    image = spread(-3, 3, 2, 2, 3, 3).transpose(0, 3, 1, 2)
    return [Sample(x, -1.0, 2.0), Sample(x, min=-1), Sample(x, max=1.5),
            Sample(x, spread(-2, -1, 4), spread(1, 2, 3, 1)),
            Sample(x, 1.0, -1.0), Sample(x, max=spread(-1, 1, 3, 4)), Sample(x, -1.0, spread(-2, 2, 4)),
            Sample(image, 0, 1),
            Sample(np.arange(5), 1, 3), Sample(np.arange(5), max=2.5), Sample(np.arange(5, dtype=np.uint8), min=2),
            Sample(x[0, 0].reshape(()), 0.0, 1.0), Sample(x[:0], 0.0), Sample(x.astype(np.float64).T, -1.0, 0.1),
            Sample(np.array([np.nan, np.inf, 1, 2], np.float32), 1.0, 2.0, gradient=False)]


def _clamp_errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [ErrorSample(Sample(x), ValueRangeError, "neither a lower nor an upper bound"),
            ErrorSample(Sample(x, "3"), DTypeError, "neither a tensor nor a number"),
            ErrorSample(Sample(x, np.ones(2, np.float32)), ShapeError, "do not broadcast")]


clamp_p = pointwise("clamp", vjp=_clamp_vjp, saves=Keep(inputs=(0, 1, 2)), samples=_clamp_samples, errors=_clamp_errors,
                    flops=2,
                    call=lambda *a, **k: clamp(*a, **k))


def _clamp_grad_twin(g: Any, x: Any, low: Any, high: Any) -> Any:
    return where(logical_and(le(low, x), le(x, high)), g, 0)


clamp_grad_p: Primitive = pointwise(
    "clamp_grad", vjp=None, twin=_clamp_grad_twin, flops=2,
    samples=lambda: [Sample(spread(-1, 1, 3, 4), spread(-3, 3, 3, 4), spread(-2, -1, 4), spread(1, 2, 1).reshape(()))],
)


def clamp(input: TensorT, min: Any = None, max: Any = None) -> TensorT:
    """Return ``minimum(maximum(input, min), max)``; NaN stays.

    Args:
        input: any shape.
        min: lower bound, tensor or number; None for none.
        max: upper bound, tensor or number; None for none. Where it is below `min`, the result is `max`.

    Raises:
        ValueRangeError: if both bounds are None.
        ShapeError: if the shapes do not broadcast.

    The gradient passes where ``min <= input <= max``, bounds included, and goes to the bound elsewhere.

    >>> import autodiff as ad
    >>> ad.clamp(ad.tensor([-1.0, 0.5, 2.0]), 0, 1)
    tensor([0.0000, 0.5000, 1.0000])
    """
    require_tensor("clamp", input)
    require_bound(min, max)
    if min is not None and max is not None:
        return bind(clamp_p, *promote("clamp", input, min, max))  # type: ignore[no-any-return]
    if min is None:
        x, high = promote("clamp", input, max)
        return bind(clamp_p, x, constant(limits(x.spec.dtype)[0], x.spec.dtype), high)  # type: ignore[no-any-return]
    x, low = promote("clamp", input, min)
    return bind(clamp_p, x, low, constant(limits(x.spec.dtype)[1], x.spec.dtype))  # type: ignore[no-any-return]


def require_bound(min: Any, max: Any) -> None:
    """Raise unless one of the bounds is given.

    Raises:
        ValueRangeError: for two None.
    """
    if min is None and max is None:
        raise ValueRangeError("clamp", "there is neither a lower nor an upper bound", fix="give min, max or both")


def limits(dtype: DType) -> tuple[float, float]:
    """Return the bounds that no element of this dtype exceeds."""
    if dtype.kind == "f":
        return -math.inf, math.inf
    if dtype.kind == "b":
        return False, True
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


def clamp_min(input: TensorT, min: Any) -> TensorT:
    """Return ``clamp(input, min=min)``.

    >>> import autodiff as ad
    >>> ad.clamp_min(ad.tensor([-1.0, 2.0]), 0)
    tensor([0., 2.])
    """
    return clamp(input, min=min)


def clamp_max(input: TensorT, max: Any) -> TensorT:
    """Return ``clamp(input, max=max)``.

    >>> import autodiff as ad
    >>> ad.clamp_max(ad.tensor([-1.0, 2.0]), 0)
    tensor([-1.,  0.])
    """
    return clamp(input, max=max)


clip = clamp
