"""Softmax, log-softmax and log-sum-exp along any dimensions.

The kernels work on rows that lie side by side in memory. A primitive here takes the last dimension of a tensor in C
order; the public function moves the chosen dimension there: for the channels of an image kept channels-last, a view.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, ShapeError
from autodiff.ops.broadcast import reduced_shape
from autodiff.ops.broadcast import sum as total
from autodiff.ops.elementwise import mul, neg, sub
from autodiff.ops.functions import exp
from autodiff.ops.promotion import real
from autodiff.ops.samples import spread
from autodiff.ops.shaping import unsqueeze
from autodiff.ops.structural import axes, axis_index, cast_to, contiguous, permute, require_tensor, reshape
from autodiff.primitive import ErrorSample, Keep, Primitive, Sample, define
from autodiff.spec import Array, Cost, Spec, moved

__all__ = ["log_softmax", "logsumexp", "softmax", "softmin"]


def rows_of(spec: Spec) -> tuple[int, int]:
    """Return the shape (R, K) of a tensor read as rows of its last dimension; a number is one row of one."""
    return (math.prod(spec.shape[:-1]), spec.shape[-1]) if spec.ndim else (1, 1)


def last(x: Any, axis: int) -> Any:
    """Return `x` in C order with the dimension `axis` moved to the end."""
    ndim = x.spec.ndim
    if axis < ndim - 1:
        x = permute(x, (*range(axis), *range(axis + 1, ndim), axis))
    return contiguous(x)


def unlast(x: Any, axis: int) -> Any:
    """Undo the move of `last`."""
    ndim = x.spec.ndim
    return x if axis >= ndim - 1 else permute(x, (*range(axis), ndim - 1, *range(axis, ndim - 1)))


def _rowwise(kernel: str, outs: list[Array], ins: list[Array], rows: tuple[int, int]) -> None:
    getattr(kernels.softmax, kernel)(*[array.reshape(rows) for array in (*outs, *ins)], 0, 1)


def _prepare(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...]) -> dict[str, Any]:
    return {"rows": rows_of(inputs[-1])}


def _cost(flops: int) -> Any:
    return lambda inputs, outputs, **_: Cost(flops * inputs[-1].size, moved(*inputs, *outputs))


def _samples() -> list[Sample]:
    x = spread(-3, 3, 2, 3, 4)
    image = spread(-3, 3, 2, 2, 3, 4).transpose(0, 3, 1, 2)
    return [
        Sample(x, -1),
        Sample(x, 1),
        Sample(x[:, ::-2].T, 0),
        Sample(image, 1),
        Sample(spread(-3, 3, 1).reshape(()), 0),
        Sample(x[:0], 2),
        Sample(x[:, :0], 1),
        Sample(100 * x + 1000, 2, gradient=False),
        Sample(np.array([[0, -np.inf, 1], [np.inf, 0, 0]], np.float32)[:1], 1, gradient=False),
        Sample(spread(-3, 3, 5, 3, dtype=np.float64), 0),
        Sample(np.arange(3), 0, dtype=np.dtype(np.float32)),
    ]


def _errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [
        ErrorSample(Sample(x, 2), ShapeError, "the dimension does not exist; expected a dimension from -2 to 1; got 2"),
        ErrorSample(Sample(x), DTypeError, "the dimension is missing.*along which"),
        ErrorSample(Sample(x.astype(np.int64), 0), DTypeError, "integers.*dtype"),
    ]


def _gradient_samples() -> list[Sample]:
    return [
        Sample(spread(-1, 1, 3, 5), spread(0.1, 0.4, 3, 5)[::-1].copy()),
        Sample(spread(-1, 1, 4), spread(0.1, 0.4, 4)),
        Sample(spread(-1, 1, 2, 2, 3, dtype=np.float64), spread(0.1, 0.4, 2, 2, 3, dtype=np.float64)),
    ]


# ---- softmax ---------------------------------------------------------------------------------------------------------

softmax_p = define(
    "softmax",
    infer=lambda x: Spec.of(x.shape, x.dtype),
    run=partial(_rowwise, "softmax"),
    prepare=_prepare,
    vjp=lambda record, g: (bind(softmax_grad_p, contiguous(g), record.output(0)),),
    saves=Keep(outputs=(0,)),
    cost=_cost(12),
    samples=_samples,
    errors=_errors,
    call=lambda *arguments, **keywords: softmax(*arguments, **keywords),
)

softmax_grad_p: Primitive = define(
    "softmax_grad",
    infer=lambda g, y: Spec.of(y.shape, y.dtype),
    run=partial(_rowwise, "softmax_grad"),
    prepare=_prepare,
    vjp=None,
    twin=lambda g, y: mul(y, sub(g, total(mul(g, y), -1, keepdim=True))),
    cost=_cost(4),
    samples=_gradient_samples,
    errors=lambda: [],
)


def softmax(input: TensorT, dim: int | None = None, dtype: Any = None) -> TensorT:
    """Return ``exp(x) / sum(exp(x))`` along a dimension: positive numbers that add up to 1.

    Args:
        input: any shape; floats.
        dim: the dimension.
        dtype: convert `input` first.

    Raises:
        DTypeError: if `dim` is missing, or for integers without `dtype`.
        ShapeError: if the dimension does not exist.

    >>> import autodiff as ad
    >>> ad.softmax(ad.tensor([[0.0, 0.0], [1.0, 0.0]]), dim=1)
    tensor([[0.5000, 0.5000],
            [0.7311, 0.2689]])
    """
    x, axis = _arguments("softmax", input, dim, dtype)
    return unlast(bind(softmax_p, last(x, axis)), axis)  # type: ignore[no-any-return]


def softmin(input: TensorT, dim: int | None = None, dtype: Any = None) -> TensorT:
    """Return ``softmax(-input)`` along a dimension.

    Raises:
        DTypeError: if `dim` is missing, or for integers without `dtype`.
        ShapeError: if the dimension does not exist.

    >>> import autodiff as ad
    >>> ad.nn.functional.softmin(ad.tensor([1.0, 0.0]), dim=0)
    tensor([0.2689, 0.7311])
    """
    x, axis = _arguments("softmin", input, dim, dtype)
    return softmax(neg(x), axis)  # type: ignore[no-any-return]


def _arguments(operation: str, x: Any, dim: int | None, dtype: Any) -> tuple[Any, int]:
    """Check what softmax and its kin are called with; return the tensor of floats and the dimension from 0."""
    if dim is None:
        raise DTypeError(
            operation, "the dimension is missing", fix="pass dim=, the dimension along which the results add up to 1"
        )
    require_tensor(operation, x)
    if dtype is not None:
        x = cast_to(x, np.dtype(dtype))
    if not x.spec.floating:
        raise DTypeError(
            operation,
            "integers have no softmax of their own dtype",
            expected="float32 or float64",
            got=x.spec.dtype.name,
            fix="convert with x.float(), or pass dtype=",
        )
    return x, axis_index(operation, dim, x.spec.ndim)


# ---- log_softmax -----------------------------------------------------------------------------------------------------

log_softmax_p = define(
    "log_softmax",
    infer=lambda x: Spec.of(x.shape, x.dtype),
    run=partial(_rowwise, "log_softmax"),
    prepare=_prepare,
    vjp=lambda record, g: (bind(log_softmax_grad_p, contiguous(g), record.output(0)),),
    saves=Keep(outputs=(0,)),
    cost=_cost(12),
    samples=_samples,
    errors=_errors,
    call=lambda *arguments, **keywords: log_softmax(*arguments, **keywords),
)

log_softmax_grad_p: Primitive = define(
    "log_softmax_grad",
    infer=lambda g, y: Spec.of(y.shape, y.dtype),
    run=partial(_rowwise, "log_softmax_grad"),
    prepare=_prepare,
    vjp=None,
    twin=lambda g, y: sub(g, mul(exp(y), total(g, -1, keepdim=True))),
    cost=_cost(12),
    samples=_gradient_samples,
    errors=lambda: [],
)


def log_softmax(input: TensorT, dim: int | None = None, dtype: Any = None) -> TensorT:
    """Return ``log(softmax(input))`` along a dimension, without the overflow that the two steps would meet.

    Args:
        input: any shape; floats.
        dim: the dimension.
        dtype: convert `input` first.

    Raises:
        DTypeError: if `dim` is missing, or for integers without `dtype`.
        ShapeError: if the dimension does not exist.

    >>> import autodiff as ad
    >>> ad.log_softmax(ad.tensor([[0.0, 0.0], [1000.0, 0.0]]), dim=1)
    tensor([[-6.9315e-01, -6.9315e-01],
            [ 0.0000e+00, -1.0000e+03]])
    """
    x, axis = _arguments("log_softmax", input, dim, dtype)
    return unlast(bind(log_softmax_p, last(x, axis)), axis)  # type: ignore[no-any-return]


# ---- logsumexp -------------------------------------------------------------------------------------------------------


def _logsumexp_run(outs: list[Array], ins: list[Array], rows: tuple[int, int]) -> None:
    kernels.softmax.logsumexp(outs[0].reshape(-1), ins[0].reshape(rows), 0, 1)


def _logsumexp_grad_run(outs: list[Array], ins: list[Array], rows: tuple[int, int]) -> None:
    g, x, y = ins
    kernels.softmax.logsumexp_grad(outs[0].reshape(rows), g.reshape(-1), x.reshape(rows), y.reshape(-1), 0, 1)


def _logsumexp_samples() -> list[Sample]:
    x = spread(-3, 3, 2, 3, 4)
    infinite = np.array([[-np.inf, -np.inf], [np.inf, 0], [-np.inf, 0]], np.float32)
    return [
        Sample(x, 1),
        Sample(x, (0, -1), keepdim=True),
        Sample(x[:, ::-2].T, 2),
        Sample(spread(-3, 3, 1).reshape(()), 0),
        Sample(spread(-3, 3, 2, 2, 3, 4).transpose(0, 3, 1, 2), 1),
        Sample(x[:0], 1),
        Sample(x[:0], 0, gradient=False),
        Sample(infinite, 1, gradient=False),
        Sample(1000 * x, 2, gradient=False),
        Sample(np.arange(3), 0),
        Sample(spread(-3, 3, 5, 3, dtype=np.float64), 0),
    ]


def _logsumexp_errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [
        ErrorSample(Sample(x, 2), ShapeError, "the dimension does not exist"),
        ErrorSample(Sample(x, (0, -2)), ShapeError, "a dimension stands twice"),
    ]


logsumexp_p = define(
    "logsumexp",
    infer=lambda x: Spec.of(x.shape[:-1], x.dtype),
    run=_logsumexp_run,
    prepare=_prepare,
    vjp=lambda record, g: (bind(logsumexp_grad_p, contiguous(g), record.input(0), record.output(0)),),
    saves=Keep(inputs=(0,), outputs=(0,)),
    cost=_cost(12),
    samples=_logsumexp_samples,
    errors=_logsumexp_errors,
    call=lambda *arguments, **keywords: logsumexp(*arguments, **keywords),
)

logsumexp_grad_p: Primitive = define(
    "logsumexp_grad",
    infer=lambda g, x, y: Spec.of(x.shape, x.dtype),
    run=_logsumexp_grad_run,
    prepare=lambda inputs, outputs: _prepare(inputs[1:2], outputs),
    vjp=None,
    twin=lambda g, x, y: mul(unsqueeze(g, -1), exp(sub(x, unsqueeze(y, -1)))),
    cost=lambda inputs, outputs: Cost(12 * inputs[1].size, moved(*inputs, *outputs)),
    samples=lambda: [
        Sample(spread(-1, 1, 3), spread(-1, 1, 3, 5), spread(1, 2, 3)),
        Sample(spread(-1, 1, 1).reshape(()), spread(-1, 1, 4), spread(1, 2, 1).reshape(())),
    ],
    errors=lambda: [],
)


def logsumexp(input: TensorT, dim: int | Sequence[int], keepdim: bool = False) -> TensorT:
    """Return ``log(sum(exp(input)))`` over dimensions, without overflow.

    Args:
        input: any shape; integers become float32.
        dim: dimension or dimensions.
        keepdim: keep the reduced dimensions with size 1.

    Raises:
        ShapeError: if a dimension does not exist.

    >>> import autodiff as ad
    >>> ad.logsumexp(ad.tensor([500.0, 500.0]), 0)
    tensor(500.6931)
    """
    x: Any = real("logsumexp", input)
    shape = x.spec.shape
    dims = axes("logsumexp", dim, len(shape))
    kept = tuple(axis for axis in range(len(shape)) if axis not in dims)
    if kept != tuple(range(len(kept))):
        x = permute(x, (*kept, *dims))
    rows = reshape(contiguous(x), (*[shape[axis] for axis in kept], math.prod(shape[axis] for axis in dims)))
    result: Any = bind(logsumexp_p, rows)
    return reshape(result, reduced_shape(shape, dims, True)) if keepdim else result  # type: ignore[no-any-return]
