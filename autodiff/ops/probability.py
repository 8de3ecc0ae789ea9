"""Softmax, log-softmax and log-sum-exp along any dimensions.

In memory, a dense tensor is (A, K, B) around the chosen dimension. Where B is 1, the K numbers of one softmax are a
row, such as the channels of an image kept channels-last. Otherwise they are planes, with kernels of their own; planes
of a few positions are made rows first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

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
from autodiff.ops.structural import axes, axis_index, cast_to, contiguous, ordered, permute, require_tensor, reshape
from autodiff.primitive import EachPart, ErrorSample, Keep, Primitive, Sample, define
from autodiff.spec import Array, Cost, DType, Shape, Spec, moved

__all__ = ["log_softmax", "logsumexp", "softmax", "softmin"]

PLANE = 16  # positions from which on the numbers of a plane are worked on side by side


class Along(NamedTuple):
    """How the memory of a dense tensor is read around a dimension.

    Attributes:
        order: dimensions as they lie in memory; None for C order.
        shape: (A, K, B), or (A, K) where B is 1.
    """

    order: tuple[int, ...] | None
    shape: Shape

    @property
    def planes(self) -> bool:
        """Whether the numbers along the dimension are planes, not rows."""
        return len(self.shape) == 3

    @property
    def places(self) -> Shape:
        """(A, B), or (A,)."""
        return (self.shape[0], *self.shape[2:])

    def read(self, array: Array) -> Array:
        """Return an array of the tensor's layout in this shape."""
        return (array if self.order is None else array.transpose(self.order)).reshape(self.shape)

    def tile(self, dtype: DType, tiles: int = 1) -> tuple[EachPart, ...]:
        """Return the spec of what the kernels of planes copy their columns into; nothing for rows."""
        if not self.planes:
            return ()
        rows = tiles * self.shape[1]
        return (EachPart(Spec.of((1, rows, kernels.softmax_planes.tile_columns(rows)), dtype)),)


@lru_cache(maxsize=4096)
def along(spec: Spec, dim: int) -> Along:
    """Return how a dense tensor is read around a dimension; a number is one row of one."""
    if not spec.size or not spec.ndim:
        length = spec.shape[dim] if spec.ndim else 1
        return Along(None, (math.prod(n for axis, n in enumerate(spec.shape) if axis != dim), length))
    assert spec.order is not None
    at = spec.order.index(dim)
    before, length, after = (
        math.prod(spec.shape[axis] for axis in some) for some in (spec.order[:at], (dim,), spec.order[at + 1 :])
    )
    return Along(None if spec.contiguous else spec.order, (before, length, after) if after > 1 else (before, length))


def laid_out(x: Any, dim: int) -> Any:
    """Return `x` dense, its dimension `dim` innermost in memory unless planes of some size lie within it."""
    order = x.spec.order
    if order is None:
        x = contiguous(x)
        order = x.spec.order
    shape = along(x.spec, dim).shape
    if len(shape) == 3 and shape[2] < PLANE:
        x = ordered(x, (*[axis for axis in order if axis != dim], dim))
    return x


def _run(kernel: str, outs: list[Array], ins: list[Array], along: Along) -> None:
    family = kernels.softmax_planes if along.planes else kernels.softmax
    out, *scratch = outs
    getattr(family, kernel)(along.read(out), *scratch, *[along.read(array) for array in ins], 0, 1)


def _prepare(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], dim: int) -> dict[str, Any]:
    return {"along": along(inputs[-1], dim)}


def _tiles(number: int) -> Any:
    """Return the function that says the scratch of a kernel that copies so many tiles of planes."""
    return lambda inputs, outputs, dim: along(inputs[-1], dim).tile(inputs[-1].dtype, number)


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
        Sample(spread(-3, 3, 2, 5, 3, 7), 1),
        Sample(spread(-3, 3, 6, 2, 17).transpose(1, 0, 2), 1),
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
        Sample(spread(-1, 1, 3, 5), spread(0.1, 0.4, 3, 5)[::-1].copy(), dim=1),
        Sample(spread(-1, 1, 4), spread(0.1, 0.4, 4), dim=0),
        Sample(spread(-1, 1, 2, 2, 3, dtype=np.float64), spread(0.1, 0.4, 2, 2, 3, dtype=np.float64), dim=2),
        Sample(spread(-1, 1, 2, 5, 19), spread(0.1, 0.4, 2, 5, 19), dim=1),
    ]


def _through(primitive: Primitive, g: Any, y: Any, dim: int) -> Any:
    """Bind the gradient of an operation whose result is y, the cotangent laid out as y."""
    return bind(primitive, ordered(g, y.spec.order), y, dim=dim)


# ---- softmax ---------------------------------------------------------------------------------------------------------

softmax_p = define(
    "softmax",
    infer=lambda x, dim: Spec.of(x.shape, x.dtype, x.order),
    run=partial(_run, "softmax"),
    prepare=_prepare,
    scratch=_tiles(1),
    vjp=lambda record, g: (_through(softmax_grad_p, g, record.output(0), record.params["dim"]),),
    saves=Keep(outputs=(0,)),
    cost=_cost(12),
    samples=_samples,
    errors=_errors,
    call=lambda *arguments, **keywords: softmax(*arguments, **keywords),
)

softmax_grad_p: Primitive = define(
    "softmax_grad",
    infer=lambda g, y, dim: Spec.of(y.shape, y.dtype, y.order),
    run=partial(_run, "softmax_grad"),
    prepare=_prepare,
    scratch=_tiles(2),
    vjp=None,
    twin=lambda g, y, dim: mul(y, sub(g, total(mul(g, y), dim, keepdim=True))),
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
    return bind(softmax_p, laid_out(x, axis), dim=axis)  # type: ignore[no-any-return]


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
    infer=lambda x, dim: Spec.of(x.shape, x.dtype, x.order),
    run=partial(_run, "log_softmax"),
    prepare=_prepare,
    scratch=_tiles(1),
    vjp=lambda record, g: (_through(log_softmax_grad_p, g, record.output(0), record.params["dim"]),),
    saves=Keep(outputs=(0,)),
    cost=_cost(12),
    samples=_samples,
    errors=_errors,
    call=lambda *arguments, **keywords: log_softmax(*arguments, **keywords),
)

log_softmax_grad_p: Primitive = define(
    "log_softmax_grad",
    infer=lambda g, y, dim: Spec.of(y.shape, y.dtype, y.order),
    run=partial(_run, "log_softmax_grad"),
    prepare=_prepare,
    scratch=_tiles(1),
    vjp=None,
    twin=lambda g, y, dim: sub(g, mul(exp(y), total(g, dim, keepdim=True))),
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
    return bind(log_softmax_p, laid_out(x, axis), dim=axis)  # type: ignore[no-any-return]


# ---- logsumexp -------------------------------------------------------------------------------------------------------


def _logsumexp_run(outs: list[Array], ins: list[Array], along: Along) -> None:
    out, *scratch = outs
    family = kernels.softmax_planes if along.planes else kernels.softmax
    family.logsumexp(out.reshape(along.places), *scratch, along.read(ins[0]), 0, 1)


def _logsumexp_grad_run(outs: list[Array], ins: list[Array], along: Along) -> None:
    g, x, y = ins
    family = kernels.softmax_planes if along.planes else kernels.softmax
    places = along.places
    family.logsumexp_grad(along.read(outs[0]), g.reshape(places), along.read(x), y.reshape(places), 0, 1)


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
        Sample(spread(-3, 3, 2, 5, 3, 7), 1),
        Sample(spread(-3, 3, 2, 3, 2, 17), (1, 2), keepdim=True),
        Sample(infinite, 1, gradient=False),
        Sample(np.repeat(infinite, 9, 0).reshape(3, 9, 2).swapaxes(0, 2).copy(), 0, gradient=False),
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
    infer=lambda x, dim: Spec.of((*x.shape[:dim], *x.shape[dim + 1 :]), x.dtype),
    run=_logsumexp_run,
    prepare=_prepare,
    scratch=_tiles(1),
    vjp=lambda record, g: (
        bind(logsumexp_grad_p, contiguous(g), record.input(0), record.output(0), dim=record.params["dim"]),
    ),
    saves=Keep(inputs=(0,), outputs=(0,)),
    cost=_cost(12),
    samples=_logsumexp_samples,
    errors=_logsumexp_errors,
    call=lambda *arguments, **keywords: logsumexp(*arguments, **keywords),
)

logsumexp_grad_p: Primitive = define(
    "logsumexp_grad",
    infer=lambda g, x, y, dim: Spec.of(x.shape, x.dtype),
    run=_logsumexp_grad_run,
    prepare=lambda inputs, outputs, dim: _prepare(inputs[1:2], outputs, dim),
    vjp=None,
    twin=lambda g, x, y, dim: mul(unsqueeze(g, dim), exp(sub(x, unsqueeze(y, dim)))),
    cost=lambda inputs, outputs, dim: Cost(12 * inputs[1].size, moved(*inputs, *outputs)),
    samples=lambda: [
        Sample(spread(-1, 1, 3), spread(-1, 1, 3, 5), spread(1, 2, 3), dim=1),
        Sample(spread(-1, 1, 1).reshape(()), spread(-1, 1, 4), spread(1, 2, 1).reshape(()), dim=0),
        Sample(spread(-1, 1, 2, 19), spread(-1, 1, 2, 5, 19), spread(1, 2, 2, 19), dim=1),
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
    first = dims[0] if dims else 0
    neighbours = dims == tuple(range(first, first + len(dims)))
    if not neighbours or not x.spec.contiguous or math.prod(shape[first + len(dims) :]) < PLANE:
        first = len(kept)
        if kept != tuple(range(first)):
            x = permute(x, (*kept, *dims))
    sizes = [shape[axis] for axis in kept]
    length = math.prod(shape[axis] for axis in dims)
    result: Any = bind(logsumexp_p, reshape(contiguous(x), (*sizes[:first], length, *sizes[first:])), dim=first)
    return reshape(result, reduced_shape(shape, dims, True)) if keepdim else result  # type: ignore[no-any-return]
