"""Comparisons, logic, and tests for NaN and infinity: operations whose result is bools."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, ShapeError
from autodiff.ops.elementwise import abs, add, mul, pointwise, sub
from autodiff.ops.promotion import BOOL, promote, real
from autodiff.ops.samples import binary_errors, binary_samples, integer_samples, unary_errors
from autodiff.ops.structural import require_tensor
from autodiff.primitive import ErrorSample, Primitive, Sample, composed

__all__ = ["allclose", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "eq", "equal", "ge", "greater",
           "greater_equal", "gt", "isclose", "isfinite", "isinf", "isnan", "le", "less", "less_equal", "logical_and",
           "logical_not", "logical_or", "logical_xor", "lt", "ne", "not_equal"]

# ---- Comparisons -----------------------------------------------------------------------------------------------------


def _comparison_samples() -> list[Sample]:
    x = np.array([1, 2, 3, np.nan, np.inf], np.float32)
    return [*binary_samples(-3, 3), *integer_samples(), Sample(x, x[::-1]), Sample(x, x), Sample(x, 2),
            Sample(np.array([1, 2]), 1.5),
            Sample(np.array([True, False]), np.array([True, True]))]


def _comparison(name: str, kernel: str, call: Callable[..., Any]) -> Primitive:
    return pointwise(name, kernel=kernel, vjp=None, dtype=BOOL, call=call, samples=_comparison_samples,
                     errors=binary_errors)


eq_p = _comparison("eq", "equal", lambda *a: eq(*a))
ne_p = _comparison("ne", "not_equal", lambda *a: ne(*a))
lt_p = _comparison("lt", "less", lambda *a: lt(*a))
le_p = _comparison("le", "less_equal", lambda *a: le(*a))
gt_p = _comparison("gt", "greater", lambda *a: gt(*a))
ge_p = _comparison("ge", "greater_equal", lambda *a: ge(*a))


def eq(input: TensorT, other: Any) -> TensorT:
    """Return where ``input == other``, as bools; broadcast.

    Raises:
        ShapeError: if the shapes do not broadcast.

    >>> import autodiff as ad
    >>> ad.eq(ad.tensor([1, 2]), 2)
    tensor([False, True])
    """
    return bind(eq_p, *promote("eq", input, other))  # type: ignore[no-any-return]


def ne(input: TensorT, other: Any) -> TensorT:
    """Return where ``input != other``, as bools; broadcast.

    Raises:
        ShapeError: if the shapes do not broadcast.

    >>> import autodiff as ad
    >>> ad.ne(ad.tensor([1, 2]), 2)
    tensor([ True, False])
    """
    return bind(ne_p, *promote("ne", input, other))  # type: ignore[no-any-return]


def lt(input: TensorT, other: Any) -> TensorT:
    """Return where ``input < other``, as bools; broadcast.

    Raises:
        ShapeError: if the shapes do not broadcast.

    >>> import autodiff as ad
    >>> ad.lt(ad.tensor([1, 2]), 2)
    tensor([ True, False])
    """
    return bind(lt_p, *promote("lt", input, other))  # type: ignore[no-any-return]


def le(input: TensorT, other: Any) -> TensorT:
    """Return where ``input <= other``, as bools; broadcast.

    Raises:
        ShapeError: if the shapes do not broadcast.

    >>> import autodiff as ad
    >>> ad.le(ad.tensor([1, 2, 3]), 2)
    tensor([ True,  True, False])
    """
    return bind(le_p, *promote("le", input, other))  # type: ignore[no-any-return]


def gt(input: TensorT, other: Any) -> TensorT:
    """Return where ``input > other``, as bools; broadcast.

    Raises:
        ShapeError: if the shapes do not broadcast.

    >>> import autodiff as ad
    >>> ad.gt(ad.tensor([1, 2]), 1)
    tensor([False, True])
    """
    return bind(gt_p, *promote("gt", input, other))  # type: ignore[no-any-return]


def ge(input: TensorT, other: Any) -> TensorT:
    """Return where ``input >= other``, as bools; broadcast.

    Raises:
        ShapeError: if the shapes do not broadcast.

    >>> import autodiff as ad
    >>> ad.ge(ad.tensor([1, 2, 3]), 2)
    tensor([False, True, True])
    """
    return bind(ge_p, *promote("ge", input, other))  # type: ignore[no-any-return]


# ---- Logic and bits --------------------------------------------------------------------------------------------------


def _logic_samples() -> list[Sample]:
    x, y = np.array([True, True, False, False]), np.array([True, False, True, False])
    return [Sample(x, y), Sample(x[:, None], y[::2]), Sample(np.array([0, 3]), np.array([2, 0])), Sample(x[:0], y[:0]),
            Sample(np.array([0, 0.5], np.float32), np.array([1, 0])), Sample(np.array([np.nan, 0], np.float32), y[2:])]


def _logic(name: str, call: Callable[..., Any]) -> Primitive:
    errors = [ErrorSample(Sample(np.array([True]), 1), DTypeError, "the input is not a tensor"),
              ErrorSample(Sample(np.ones(2, bool), np.ones(3, bool)), ShapeError, "do not broadcast")]
    return pointwise(name, vjp=None, dtype=BOOL, call=call, samples=_logic_samples, errors=lambda: errors)


logical_and_p = _logic("logical_and", lambda *a: logical_and(*a))
logical_or_p = _logic("logical_or", lambda *a: logical_or(*a))
logical_xor_p = _logic("logical_xor", lambda *a: logical_xor(*a))
logical_not_p = pointwise("logical_not", vjp=None, dtype=BOOL, call=lambda x: logical_not(x), errors=unary_errors,
                          samples=lambda: [Sample(x) for sample in _logic_samples() for x in sample.arguments])


def _logical(primitive: Primitive, *operands: Any) -> Any:
    for x in operands:
        require_tensor(primitive.name, x)
    return bind(primitive, *operands)


def logical_and(input: TensorT, other: TensorT) -> TensorT:
    """Return where both are nonzero, as bools; broadcast.

    >>> import autodiff as ad
    >>> ad.logical_and(ad.tensor([True, True]), ad.tensor([1, 0]))
    tensor([ True, False])
    """
    return _logical(logical_and_p, input, other)  # type: ignore[no-any-return]


def logical_or(input: TensorT, other: TensorT) -> TensorT:
    """Return where at least one is nonzero, as bools; broadcast.

    >>> import autodiff as ad
    >>> ad.logical_or(ad.tensor([True, False]), ad.tensor([0, 0]))
    tensor([ True, False])
    """
    return _logical(logical_or_p, input, other)  # type: ignore[no-any-return]


def logical_xor(input: TensorT, other: TensorT) -> TensorT:
    """Return where exactly one is nonzero, as bools; broadcast.

    >>> import autodiff as ad
    >>> ad.logical_xor(ad.tensor([True, True]), ad.tensor([1, 0]))
    tensor([False, True])
    """
    return _logical(logical_xor_p, input, other)  # type: ignore[no-any-return]


def logical_not(input: TensorT) -> TensorT:
    """Return where `input` is zero, as bools.

    >>> import autodiff as ad
    >>> ad.logical_not(ad.tensor([0.0, 2.0]))
    tensor([ True, False])
    """
    return _logical(logical_not_p, input)  # type: ignore[no-any-return]


def _bits(name: str, call: Callable[..., Any], *others: Any) -> Primitive:
    x = np.array([0b1100, -1], np.int64)
    return pointwise(
        name, kinds="biu", vjp=None, call=call,
        samples=lambda: [Sample(x, *[x[::-1] for _ in others]), Sample(np.array([[True], [False]]), *others),
                         Sample(np.array([7, 200], np.uint8), *others)],
        errors=lambda: [ErrorSample(Sample(np.ones(2, np.float32), *others), DTypeError, "not supported.*got float32")],
    )


bitwise_and_p = _bits("bitwise_and", lambda *a: bitwise_and(*a), True)
bitwise_or_p = _bits("bitwise_or", lambda *a: bitwise_or(*a), True)
bitwise_xor_p = _bits("bitwise_xor", lambda *a: bitwise_xor(*a), True)
bitwise_not_p = _bits("bitwise_not", lambda x: bitwise_not(x))


def bitwise_and(input: TensorT, other: Any) -> TensorT:
    """Return ``input & other`` of integers or bools, broadcast.

    Raises:
        DTypeError: for floats.

    >>> import autodiff as ad
    >>> ad.bitwise_and(ad.tensor([12, 10]), 6)
    tensor([4, 2])
    """
    return bind(bitwise_and_p, *promote("bitwise_and", input, other))  # type: ignore[no-any-return]


def bitwise_or(input: TensorT, other: Any) -> TensorT:
    """Return ``input | other`` of integers or bools, broadcast.

    Raises:
        DTypeError: for floats.

    >>> import autodiff as ad
    >>> ad.bitwise_or(ad.tensor([12, 10]), 1)
    tensor([13, 11])
    """
    return bind(bitwise_or_p, *promote("bitwise_or", input, other))  # type: ignore[no-any-return]


def bitwise_xor(input: TensorT, other: Any) -> TensorT:
    """Return ``input ^ other`` of integers or bools, broadcast.

    Raises:
        DTypeError: for floats.

    >>> import autodiff as ad
    >>> ad.bitwise_xor(ad.tensor([True, False]), True)
    tensor([False, True])
    """
    return bind(bitwise_xor_p, *promote("bitwise_xor", input, other))  # type: ignore[no-any-return]


def bitwise_not(input: TensorT) -> TensorT:
    """Return ``~input`` of integers or bools.

    Raises:
        DTypeError: for floats.

    >>> import autodiff as ad
    >>> ad.bitwise_not(ad.tensor([True, False]))
    tensor([False, True])
    """
    return _logical(bitwise_not_p, input)  # type: ignore[no-any-return]


# ---- NaN and infinity ------------------------------------------------------------------------------------------------


def _special_samples() -> list[Sample]:
    x = np.array([[1, np.nan, np.inf], [-np.inf, 0, -2]], np.float32)
    return [Sample(x), Sample(x.T[::2]), Sample(x.astype(np.float64)), Sample(np.array([1, 2])), Sample(x[:0])]


def _special(name: str, call: Callable[..., Any]) -> Primitive:
    return pointwise(name, kinds="f", dtype=BOOL, vjp=None, call=call, samples=_special_samples, errors=unary_errors)


isnan_p = _special("isnan", lambda x: isnan(x))
isinf_p = _special("isinf", lambda x: isinf(x))
isfinite_p = _special("isfinite", lambda x: isfinite(x))


def isnan(input: TensorT) -> TensorT:
    """Return which elements are NaN, as bools.

    >>> import autodiff as ad
    >>> ad.isnan(ad.tensor([1.0, float("nan")]))
    tensor([False, True])
    """
    return bind(isnan_p, real("isnan", input))  # type: ignore[no-any-return]


def isinf(input: TensorT) -> TensorT:
    """Return which elements are infinite, as bools.

    >>> import autodiff as ad
    >>> ad.isinf(ad.tensor([1.0, float("-inf")]))
    tensor([False, True])
    """
    return bind(isinf_p, real("isinf", input))  # type: ignore[no-any-return]


def isfinite(input: TensorT) -> TensorT:
    """Return which elements are neither infinite nor NaN, as bools.

    >>> import autodiff as ad
    >>> ad.isfinite(ad.tensor([1.0, float("inf")]))
    tensor([ True, False])
    """
    return bind(isfinite_p, real("isfinite", input))  # type: ignore[no-any-return]


@composed(
    samples=lambda: [
        Sample(np.array([1, 1, np.inf, np.inf, np.nan], np.float32),
               np.array([1 + 5e-6, 1.1, np.inf, 1, np.nan], np.float32), **options)
        for options in ({}, {"equal_nan": True}, {"rtol": 0.0, "atol": 0.2})
    ],
    errors=lambda: binary_errors()[:1],
)
def isclose(input: TensorT, other: TensorT, rtol: float = 1e-05, atol: float = 1e-08,
            equal_nan: bool = False) -> TensorT:
    """Return where ``|input - other| <= atol + rtol * |other|``, as bools; equal infinities are close.

    Args:
        input: any shape.
        other: broadcast against `input`.
        rtol: allowed difference relative to `other`.
        atol: allowed difference beside it.
        equal_nan: whether NaN is close to NaN.

    >>> import autodiff as ad
    >>> ad.isclose(ad.tensor([1.0, 2.0]), ad.tensor([1.000001, 2.1]))
    tensor([ True, False])
    """
    x, y = promote("isclose", input, other)
    x, y = (real("isclose", operand) for operand in (x, y))
    difference = abs(sub(x, y))
    near = logical_and(isfinite(difference), le(difference, add(mul(abs(y), rtol), atol)))
    close = logical_or(eq(x, y), near)
    return logical_or(close, logical_and(isnan(x), isnan(y))) if equal_nan else close  # type: ignore[no-any-return]


def allclose(input: TensorT, other: TensorT, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Return whether all elements are close, as `isclose` says.

    >>> import autodiff as ad
    >>> ad.allclose(ad.tensor([1.0, 2.0]), ad.tensor([1.0, 2.0000001]))
    True
    """
    return _none(logical_not(isclose(input, other, rtol, atol, equal_nan)))


def equal(input: TensorT, other: TensorT) -> bool:
    """Return whether two tensors have one shape and equal elements.

    >>> import autodiff as ad
    >>> ad.equal(ad.tensor([1, 2]), ad.tensor([1, 2]))
    True
    """
    return input.spec.shape == other.spec.shape and _none(ne(input, other))  # type: ignore[attr-defined]


def _none(flags: Any) -> bool:
    """Return whether no element is true."""
    return flags.sum().item() == 0  # type: ignore[no-any-return]


greater, greater_equal, less, less_equal, not_equal = gt, ge, lt, le, ne
