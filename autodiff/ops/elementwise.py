"""Element-wise operations: arithmetic, comparisons, functions, and their gradients.

Each is one `define`; the kernel of the same name is generated from the scalar formula in `autodiff_kernels/scalar.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from autodiff.bind import TensorT, bind, bind_into
from autodiff.errors import DTypeError
from autodiff.ops import strided
from autodiff.ops.broadcast import sum_to
from autodiff.ops.promotion import BOOL, cast, constant, is_tensor, promote, promote_float, result_dtype
from autodiff.primitive import NOTHING, ErrorSample, Keep, Primitive, Sample, define, no_errors
from autodiff.errors import ShapeError
from autodiff.spec import DType, Spec

__all__ = ["add", "add_", "div", "mul", "neg", "sub", "tanh"]

X, Y, OUT = Keep(inputs=(0,)), Keep(inputs=(1,)), Keep(outputs=(0,))

# ---- Samples ----------------------------------------------------------------------------------------------------------


def spread(low: float, high: float, *shape: int, dtype: Any = np.float32) -> np.ndarray[Any, Any]:
    """Return irregular numbers from `low` to `high`: no ties, no round values, the same on every call."""
    n = int(np.prod(shape))
    golden = np.modf((np.arange(n) + 1) * 0.6180339887498949)[0]
    return (low + (high - low) * golden).astype(dtype).reshape(shape)


def unary_samples(low: float, high: float, tolerance: float = 2e-5) -> list[Sample]:
    """Return samples of a function of one tensor on [low, high]: every rank, layout and float dtype."""
    return [
        Sample(spread(low, high, 3, 5), tolerance=tolerance),
        Sample(spread(low, high, 1).reshape(()), tolerance=tolerance),
        Sample(np.zeros((0, 3), np.float32)),
        Sample(spread(low, high, 4, 6)[::2, ::-2].T, tolerance=tolerance),
        Sample(spread(low, high, 2, 2, 3, 3).transpose(0, 3, 1, 2), tolerance=tolerance),
        Sample(spread(low, high, 37, dtype=np.float64)),
    ]


def binary_samples(low: float, high: float, low_y: float | None = None, high_y: float | None = None) -> list[Sample]:
    """Return samples of a function of two tensors: equal shapes, broadcast, 0-d, empty, strided, channels-last."""
    low_y, high_y = low if low_y is None else low_y, high if high_y is None else high_y
    image = spread(low, high, 2, 2, 3, 3).transpose(0, 3, 1, 2)
    return [
        Sample(spread(low, high, 3, 5), spread(low_y, high_y, 3, 5)[:, ::-1]),
        Sample(spread(low, high, 3, 1), spread(low_y, high_y, 4)),
        Sample(spread(low, high, 2, 3), spread(low_y, high_y, 1).reshape(())),
        Sample(spread(low, high, 1).reshape(()), spread(low_y, high_y, 2)),
        Sample(np.zeros((0, 2), np.float32), np.ones((1, 2), np.float32)),
        Sample(image, spread(low_y, high_y, 3, 1, 1)),
        Sample(spread(low, high, 6, dtype=np.float64), spread(low_y, high_y, 2, 1, dtype=np.float64)),
    ]


def binary_errors() -> list[ErrorSample]:
    """Return calls that no function of two tensors accepts."""
    x = np.ones((2, 3), np.float32)
    return [
        ErrorSample(Sample(x, np.ones((4,), np.float32)), ShapeError, r"do not broadcast.*\(2, 3\) and \(4,\)"),
        ErrorSample(Sample(x, "3"), DTypeError, "neither a tensor nor a number"),
    ]


# ---- How the operations below are declared ----------------------------------------------------------------------------

Vjp = Callable[..., Sequence[Any]]


def pointwise(
    name: str, *, vjp: Vjp | None, saves: Keep | tuple[Keep, ...] = NOTHING, samples: Callable[[], list[Sample]],
    errors: Callable[[], list[ErrorSample]] = no_errors, dtype: DType | None = None, flops: int = 1,
    call: Callable[..., Any] | None = None, twin: Callable[..., Any] | None = None,
) -> Primitive:
    """Declare an element-wise operation whose kernel has the same name.

    Args:
        name: of the operation and of the scalar formula.
        vjp, saves, samples, errors, call, twin: as in `define`.
        dtype: of the result, when it is not that of the last input.
        flops: floating-point operations an element.
    """
    return define(
        name,
        infer=partial(_infer, name, dtype),
        run=strided.run,
        prepare=partial(_prepare, name),
        vjp=vjp,
        saves=saves,
        twin=twin,
        cost=strided.cost(flops),
        samples=samples,
        errors=errors,
        call=call,
    )


def _infer(name: str, dtype: DType | None, *specs: Spec) -> Spec:
    return strided.result_spec(name, *specs, dtype=dtype)


def _prepare(kernel: str, inputs: tuple[Spec, ...], outputs: tuple[Spec, ...]) -> dict[str, Any]:
    return strided.prepare(inputs, outputs, kernel)


def _fit(record: Any, *gradients: Any) -> tuple[Any, ...]:
    """Sum each gradient to the shape of its input."""
    return tuple([None if g is None else sum_to(g, spec.shape) for g, spec in zip(gradients, record.inputs, strict=True)])


# ---- Arithmetic -------------------------------------------------------------------------------------------------------

add_p = pointwise("add", vjp=lambda r, g: _fit(r, g, g), samples=lambda: binary_samples(-3, 3), errors=binary_errors,
                  call=lambda x, y: add(x, y))
subtract_p = pointwise("subtract", vjp=lambda r, g: _fit(r, g, neg(g) if r.mask[1] else None),
                       samples=lambda: binary_samples(-3, 3), errors=binary_errors, call=lambda x, y: sub(x, y))


def _multiply_vjp(r: Any, g: Any) -> tuple[Any, ...]:
    return _fit(r, bind(multiply_p, g, r.input(1)) if r.mask[0] else None,
                bind(multiply_p, g, r.input(0)) if r.mask[1] else None)


multiply_p = pointwise("multiply", vjp=_multiply_vjp, saves=(Y, X), samples=lambda: binary_samples(-3, 3),
                       errors=binary_errors, call=lambda x, y: mul(x, y))


def _divide_vjp(r: Any, g: Any) -> tuple[Any, ...]:
    y = r.input(1)
    gx = bind(divide_p, g, y)
    return _fit(r, gx if r.mask[0] else None, neg(mul(gx, r.output(0))) if r.mask[1] else None)


divide_p = pointwise("divide", vjp=_divide_vjp, saves=(Y, Keep(inputs=(1,), outputs=(0,))),
                     samples=lambda: binary_samples(-3, 3, 0.5, 2), errors=binary_errors, call=lambda x, y: div(x, y))
negative_p = pointwise("negative", vjp=lambda r, g: (neg(g),), samples=lambda: unary_samples(-2, 2))


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
    x, y = promote("add", input, other)
    if alpha != 1:
        y = mul(y, alpha)
    return bind(add_p, x, y)  # type: ignore[no-any-return]


def sub(input: TensorT, other: Any, *, alpha: float = 1) -> TensorT:
    """Return ``input - alpha * other``, broadcast.

    Raises:
        ShapeError: if the shapes do not broadcast.

    >>> import autodiff as ad
    >>> ad.sub(ad.tensor([1.0, 2.0]), ad.tensor([0.5]))
    tensor([0.5000, 1.5000])
    """
    x, y = promote("subtract", input, other)
    if alpha != 1:
        y = mul(y, alpha)
    if x.spec.dtype == BOOL:
        raise DTypeError("subtract", "bools cannot be subtracted", fix="use logical_xor(x, y) or logical_not(x)")
    return bind(subtract_p, x, y)  # type: ignore[no-any-return]


def mul(input: TensorT, other: Any) -> TensorT:
    """Return ``input * other``, element by element, broadcast.

    Raises:
        ShapeError: if the shapes do not broadcast.

    >>> import autodiff as ad
    >>> ad.mul(ad.tensor([1.0, 2.0]), ad.tensor([[3.0], [4.0]]))
    tensor([[3., 6.],
            [4., 8.]])
    """
    x, y = promote("multiply", input, other)
    return bind(multiply_p, x, y)  # type: ignore[no-any-return]


def neg(input: TensorT) -> TensorT:
    """Return ``-input``.

    >>> import autodiff as ad
    >>> ad.neg(ad.tensor([1.0, -2.0]))
    tensor([-1.,  2.])
    """
    return bind(negative_p, input)  # type: ignore[no-any-return]


def div(input: TensorT, other: Any, *, rounding_mode: str | None = None) -> TensorT:
    """Return ``input / other``, broadcast; integers divide to float32.

    Args:
        input: tensor or number.
        other: tensor or number.
        rounding_mode: None, ``"floor"`` or ``"trunc"``.

    Raises:
        ShapeError: if the shapes do not broadcast.

    >>> import autodiff as ad
    >>> ad.div(ad.tensor([1.0, 2.0]), 4)
    tensor([0.2500, 0.5000])
    """
    x, y = promote_float("divide", input, other)
    return bind(divide_p, x, y)  # type: ignore[no-any-return]


# ---- Functions --------------------------------------------------------------------------------------------------------

tanh_p = pointwise("tanh", vjp=lambda r, g: (bind(tanh_grad_p, g, r.output(0)),), saves=OUT,
                   samples=lambda: unary_samples(-4, 4), flops=10)
tanh_grad_p = pointwise(
    "tanh_grad",
    vjp=lambda r, h: (
        bind(tanh_grad_p, h, r.input(1)) if r.mask[0] else None,
        mul(mul(h, r.input(0)), mul(r.input(1), -2)) if r.mask[1] else None,
    ),
    saves=(Y, Keep(inputs=(0, 1))),
    samples=lambda: [Sample(spread(-1, 1, 3, 4), spread(-1, 1, 3, 4)[::-1])], flops=3,
)


def tanh(input: TensorT) -> TensorT:
    """Return the hyperbolic tangent of each element.

    >>> import autodiff as ad
    >>> ad.tanh(ad.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7616])
    """
    return bind(tanh_p, *promote_float("tanh", input))  # type: ignore[no-any-return]


# ---- In place ---------------------------------------------------------------------------------------------------------


def in_place(primitive: Primitive, target: Any, *others: Any) -> Any:
    """Write ``primitive(target, *others)`` into `target`: numbers and other dtypes are converted to its dtype.

    Raises:
        DTypeError: if an operand has a stronger kind than the target: a float for an integer tensor.
    """
    if target.spec.dtype.kind != result_dtype(primitive.name + "_", target, *others).kind:
        raise DTypeError(primitive.name + "_", "an in-place operation cannot change the dtype of its tensor",
                         expected=target.spec.dtype.name, got=result_dtype(primitive.name, target, *others).name,
                         fix="use the out-of-place form, or convert the tensor first")
    dtype = target.spec.dtype
    operands = [cast(x, dtype) if is_tensor(x) else constant(x, dtype) for x in others]
    return bind_into(target, primitive, target, *operands)


def add_(input: TensorT, other: Any, *, alpha: float = 1) -> TensorT:
    """Add ``alpha * other`` to `input` in place, and return it.

    Raises:
        InPlaceError: for a leaf that requires a gradient, while gradients are recorded.
        DTypeError: if the result has a stronger dtype than `input`.

    >>> import autodiff as ad
    >>> ad.zeros(2).add_(3)
    tensor([3., 3.])
    """
    result: TensorT = in_place(add_p, input, other if alpha == 1 else mul(other, alpha))
    return result
