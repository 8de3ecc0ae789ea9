"""Largest and smallest elements and their positions."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import autodiff_kernels as kernels
from autodiff.bind import TensorT, bind
from autodiff.errors import ShapeError
from autodiff.ops import strided
from autodiff.ops.broadcast import (
    Groups,
    in_blocks,
    in_groups,
    partial_sums,
    reduced_shape,
    reducible,
    reduction,
    reduction_prepare,
)
from autodiff.ops.broadcast import sum as total
from autodiff.ops.choice import maximum, minimum, where
from autodiff.ops.comparison import eq, logical_and, logical_or, ne
from autodiff.ops.elementwise import div, mul
from autodiff.ops.host import from_array
from autodiff.ops.promotion import is_tensor
from autodiff.ops.reduce import dimension_errors
from autodiff.ops.samples import spread
from autodiff.ops.structural import axes, axis_index, cast_to, require_tensor, reshape
from autodiff.primitive import ErrorSample, Keep, Primitive, Sample, composed, define, no_errors
from autodiff.spec import Array, Cost, Spec, moved

__all__ = ["amax", "amin", "aminmax", "argmax", "argmin", "max", "min"]

Dims = tuple[int, ...]

# ---- What all of them share ------------------------------------------------------------------------------------------


def _require_elements(name: str, x: Spec, dims: Dims) -> None:
    """Raise unless each reduced dimension has elements.

    Raises:
        ShapeError: names the shape.
    """
    if builtins.any(x.shape[axis] == 0 for axis in dims):
        what = "smallest" if "min" in name else "largest"
        raise ShapeError(
            name, f"no elements have no {what} one", expected="dimensions of at least one element", got=str(x.shape)
        )


def _cost(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], **_: Any) -> Cost:
    return Cost(inputs[0].size, moved(*inputs, *outputs))


def _samples(*options: Any) -> list[Sample]:
    """Return samples of ``f(x, dim, keepdim)`` for one dimension; the options follow each sample."""
    x = spread(-2, 3, 2, 3, 4)
    image = spread(-2, 3, 2, 2, 4, 3).transpose(0, 3, 1, 2)
    return [
        Sample(x, 1),
        Sample(x, -1, True),
        Sample(x, 0, keepdim=True),
        Sample(image, 1),
        Sample(image, 2),
        Sample(image, -1),
        Sample(x[:, ::-2].T, 1),
        Sample(x[:, :, :1], 2),
        Sample(x[:, :0], 2),
        Sample(spread(1, 2, 1).reshape(()), 0),
        Sample(np.array([[3, 1, 3], [2, 2, 0]]), 1),
        Sample(np.array([[1, np.nan], [2, 3]], np.float32), 1, gradient=False),
        Sample(np.array([False, True]), 0),
        Sample(spread(-2, 3, 5, 3, dtype=np.float64), 0),
    ]


def _errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [
        ErrorSample(Sample(x, 2), ShapeError, "the dimension does not exist; expected a dimension from -2 to 1; got 2"),
        ErrorSample(Sample(x[:0], 0), ShapeError, r"no elements have no (largest|smallest) one.*\(0, 3\)"),
    ]


def selected(x: Any, indices: Any, dim: int) -> Any:
    """Return the mask of the positions `indices` (dimension `dim` kept with size 1) along `dim`."""
    shape = [1] * x.ndim
    shape[dim] = x.shape[dim]
    return eq(from_array(np.arange(x.shape[dim]).reshape(shape)), indices)


class ValuesAndIndices(NamedTuple):
    """Elements and their positions along a dimension."""

    values: Any
    indices: Any


# ---- amax, amin ------------------------------------------------------------------------------------------------------


def _extreme_infer(name: str, x: Spec, dims: Dims, keepdim: bool) -> Spec:
    _require_elements(name, x, dims)
    return Spec.of(reduced_shape(x.shape, dims, keepdim), x.dtype)


def _extreme_prepare(
    name: str, inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], dims: Dims, keepdim: bool
) -> Callable[..., None]:
    """Return the function that reduces in one pass, or, where one number comes out of many, blocks first."""
    (x,), (out,) = inputs, outputs
    whole = getattr(kernels.reduce, f"{name}_axes")
    if not in_blocks(x, out):
        return reduction(whole, inputs, outputs, dims)
    compiled, count = kernels.entry.compiled, partial_sums(x).size
    blocks = compiled(getattr(kernels.reduce, f"{name}_partial"), x.dtype, x.dtype)
    combine = compiled(whole, x.dtype, x.dtype)

    def run(outs: Sequence[Array], ins: Sequence[Array]) -> None:
        blocks(outs[1], ins[0], 0, 1)
        combine(outs[0], outs[1], 1, 1, 1, count, 0, 1)

    return run


def _extreme_scratch(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], **_: Any) -> tuple[Spec, ...]:
    (x,), (out,) = inputs, outputs
    return (partial_sums(x).like(dtype=x.dtype),) if in_blocks(x, out) else ()


def _extreme_vjp(record: Any, g: Any) -> tuple[Any]:
    """All elements that equal the extreme share its cotangent evenly."""
    x, y, dims = record.input(0), record.output(0), record.params["dims"]
    shape = reduced_shape(x.spec.shape, dims, True)
    return (_spread_over(eq(x, reshape(y, shape)), reshape(g, shape), dims) if dims else g,)


def _spread_over(hit: Any, g: Any, dims: Dims | None) -> Any:
    """Return a cotangent, evenly spread over the places of a mask."""
    share = cast_to(hit, g.spec.dtype)
    return mul(share, div(g, total(share, dims, keepdim=True)))


def _evenly_vjp(record: Any, g: Any) -> tuple[Any, None]:
    x, y = record.input(0), record.input(1)
    return _spread_over(logical_or(eq(x, y), logical_and(ne(x, x), ne(y, y))), g, None), None


# An element y of x, with the gradient that `amax` has: all elements that equal it share it. A NaN equals the others.
evenly_p = define(
    "evenly",
    host=True,
    infer=lambda x, y: y,
    run=lambda outs, ins: np.copyto(outs[0], ins[1]),
    vjp=_evenly_vjp,
    saves=Keep(inputs=(0, 1)),
    cost=lambda inputs, outputs: Cost(0, moved(*outputs)),
    samples=lambda: [Sample(np.array([1, 2, 2], np.float32), np.float32(2), gradient=False)],
    errors=no_errors,
)


def _extreme_samples() -> list[Sample]:
    x = spread(-2, 3, 2, 3, 4)
    ties = np.array([[1, 2, 2], [0, 0, 0]], np.float32)
    return [
        *_samples(),
        Sample(x),
        Sample(x, (0, 2), True),
        Sample(x, ()),
        Sample(ties, 1, gradient=False),
        Sample(spread(-2, 3, 2, 2, 4, 3).transpose(0, 3, 1, 2), (0, 2, 3)),
        Sample(np.zeros((2, 0), np.float32), 0),
    ]


def _extreme(name: str, call: Callable[..., Any]) -> Primitive:
    return define(
        name,
        infer=partial(_extreme_infer, name),
        run=strided.nothing,
        prepare=partial(_extreme_prepare, name[1:]),
        scratch=_extreme_scratch,
        vjp=_extreme_vjp,
        saves=Keep(inputs=(0,), outputs=(0,)),
        cost=_cost,
        samples=_extreme_samples,
        errors=lambda: [
            *dimension_errors(),
            ErrorSample(Sample(np.ones((0, 3), np.float32)), ShapeError, "no elements have no"),
        ],
        call=call,
    )


amax_p = _extreme("amax", lambda *a, **k: amax(*a, **k))
amin_p = _extreme("amin", lambda *a, **k: amin(*a, **k))


def _reduced(primitive: Primitive, x: Any, dim: Any, keepdim: bool) -> Any:
    require_tensor(primitive.name, x)
    dims = axes(primitive.name, dim, x.spec.ndim)
    return bind(primitive, reducible(x, dims), dims=dims, keepdim=bool(keepdim))


def amax(input: TensorT, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> TensorT:
    """Return the largest element over dimensions; NaN where there is one. Equal largest elements share the gradient.

    Args:
        input: any shape and dtype.
        dim: dimension or dimensions; all by default.
        keepdim: keep the reduced dimensions with size 1.

    Raises:
        ShapeError: if a dimension does not exist or has no elements.

    >>> import autodiff as ad
    >>> ad.amax(ad.tensor([[1.0, 4.0], [3.0, 2.0]]), 0)
    tensor([3., 4.])
    """
    return _reduced(amax_p, input, dim, keepdim)  # type: ignore[no-any-return]


def amin(input: TensorT, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> TensorT:
    """Return the smallest element over dimensions; NaN where there is one. Equal smallest elements share the gradient.

    Args:
        input: any shape and dtype.
        dim: dimension or dimensions; all by default.
        keepdim: keep the reduced dimensions with size 1.

    Raises:
        ShapeError: if a dimension does not exist or has no elements.

    >>> import autodiff as ad
    >>> ad.amin(ad.tensor([[1.0, 4.0], [3.0, 2.0]]), 0)
    tensor([1., 2.])
    """
    return _reduced(amin_p, input, dim, keepdim)  # type: ignore[no-any-return]


@composed(
    samples=lambda: [
        Sample(spread(-2, 3, 2, 3)),
        Sample(spread(-2, 3, 2, 3), dim=1, keepdim=True),
        Sample(np.arange(4)),
    ],
    errors=lambda: [ErrorSample(Sample(np.ones(2, np.float32), dim=1), ShapeError, "the dimension does not exist")],
)
def aminmax(input: TensorT, *, dim: int | None = None, keepdim: bool = False) -> tuple[TensorT, TensorT]:
    """Return the smallest and the largest element, of all or along a dimension.

    Args:
        input: any shape and dtype.
        dim: dimension; all by default.
        keepdim: keep the reduced dimensions with size 1.

    Raises:
        ShapeError: if the dimension does not exist or has no elements.

    >>> import autodiff as ad
    >>> ad.aminmax(ad.tensor([2.0, 1.0, 3.0]))
    (tensor(1.), tensor(3.))
    """
    return amin(input, dim, keepdim), amax(input, dim, keepdim)


# ---- max, min: with positions ----------------------------------------------------------------------------------------


def _along_infer(name: str, x: Spec, dims: Dims, keepdim: bool) -> tuple[Spec, Spec]:
    _require_elements(name, x, dims)
    shape = reduced_shape(x.shape, dims, keepdim)
    return Spec.of(shape, x.dtype), Spec.of(shape, np.int64)


def _along_run(kernel: str, outs: list[Array], ins: list[Array], order: Dims | None, groups: Groups) -> None:
    values, indices = outs
    before, length, after = groups[0], groups[1] * groups[3], groups[2]  # one dimension is reduced: one of the two is 1
    x = in_groups(ins[0], order, groups).reshape(before, length, after)
    getattr(kernels.reduce, kernel)(indices.reshape(before, after), values.reshape(before, after), x, 0, 1)


def _along_vjp(record: Any, g: Any, _: Any = None) -> tuple[Any]:
    """The element at the returned position receives the cotangent."""
    x, dims = record.inputs[0], record.params["dims"]
    if not dims:
        return (g,)
    shape = reduced_shape(x.shape, dims, True)
    mask = selected(x, reshape(record.output(1), shape), dims[0])
    return (where(mask, reshape(g, shape), 0.0),)


def _along_samples() -> list[Sample]:
    x = spread(-2, 3, 2, 3)
    return [
        *_samples(),
        Sample(x),
        Sample(x, spread(-2, 3, 3)),
        Sample(np.array([[1, 2, 2], [0, 0, 0]], np.float32), 1, gradient=False),
    ]


def _along(name: str, kernel: str, call: Callable[..., Any]) -> Primitive:
    return define(
        name,
        infer=partial(_along_infer, name),
        run=partial(_along_run, kernel),
        prepare=reduction_prepare,
        vjp=_along_vjp,
        saves=Keep(outputs=(1,)),
        cost=_cost,
        samples=_along_samples,
        errors=_errors,
        call=call,
    )


max_p = _along("max", "argmax_axes", lambda *a, **k: max(*a, **k))
min_p = _along("min", "argmin_axes", lambda *a, **k: min(*a, **k))


def _one_dimension(primitive: Primitive, x: Any, dim: int, keepdim: bool) -> Any:
    ndim = x.spec.ndim
    axis = axis_index(primitive.name, dim, ndim)
    dims = (axis,) if ndim else ()
    return bind(primitive, reducible(x, dims), dims=dims, keepdim=bool(keepdim))


def max(input: TensorT, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """Return the largest element; with a dimension, the largest along it and its position; with a tensor, `maximum`.

    Args:
        input: any shape and dtype.
        dim: dimension; or a tensor to compare with element by element (also as `other`).
        keepdim: keep the reduced dimension with size 1.
        other: tensor to compare with.

    Returns:
        A tensor, or the named tuple ``(values, indices)`` with a dimension. Of equal elements the first counts; NaN
        counts as the largest.

    Raises:
        ShapeError: if the dimension does not exist or has no elements, or the tensors do not broadcast.

    >>> import autodiff as ad
    >>> values, indices = ad.max(ad.tensor([[1.0, 4.0], [3.0, 2.0]]), dim=1)
    >>> values, indices
    (tensor([4., 3.]), tensor([1, 0]))
    """
    other = dim if is_tensor(dim) else other
    if other is not None:
        return maximum(input, other)
    return amax(input) if dim is None else ValuesAndIndices(*_one_dimension(max_p, input, dim, keepdim))


def min(input: TensorT, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """Return the smallest element; with a dimension, the smallest along it and its position; with a tensor, `minimum`.

    Args:
        input: any shape and dtype.
        dim: dimension; or a tensor to compare with element by element (also as `other`).
        keepdim: keep the reduced dimension with size 1.
        other: tensor to compare with.

    Returns:
        A tensor, or the named tuple ``(values, indices)`` with a dimension. Of equal elements the first counts; NaN
        counts as the smallest.

    Raises:
        ShapeError: if the dimension does not exist or has no elements, or the tensors do not broadcast.

    >>> import autodiff as ad
    >>> ad.min(ad.tensor([[1.0, 4.0], [3.0, 2.0]]), dim=1).indices
    tensor([0, 1])
    """
    other = dim if is_tensor(dim) else other
    if other is not None:
        return minimum(input, other)
    return amin(input) if dim is None else ValuesAndIndices(*_one_dimension(min_p, input, dim, keepdim))


# ---- argmax, argmin --------------------------------------------------------------------------------------------------


def _position_run(kernel: str, outs: list[Array], ins: list[Array], order: Dims | None, groups: Groups) -> None:
    indices, values = outs
    _along_run(kernel, [values, indices], ins, order, groups)


def _position(name: str, kernel: str, call: Callable[..., Any]) -> Primitive:
    return define(
        name,
        infer=lambda x, dims, keepdim: _along_infer(name, x, dims, keepdim)[1],
        run=partial(_position_run, kernel),
        prepare=reduction_prepare,
        scratch=lambda inputs, outputs, **_: (Spec.of(outputs[0].shape, inputs[0].dtype),),
        vjp=None,
        cost=_cost,
        samples=lambda: [
            *_samples(),
            Sample(spread(-2, 3, 2, 3, 4)),
            Sample(spread(-2, 3, 2, 3), None, True),
            Sample(spread(-2, 3, 2, 2, 4, 3).transpose(0, 3, 1, 2)),
        ],
        errors=_errors,
        call=call,
    )


argmax_p = _position("argmax", "argmax_axes", lambda *a, **k: argmax(*a, **k))
argmin_p = _position("argmin", "argmin_axes", lambda *a, **k: argmin(*a, **k))


def _positions(primitive: Primitive, x: Any, dim: int | None, keepdim: bool) -> Any:
    if dim is not None:
        return _one_dimension(primitive, x, dim, keepdim)
    index = _one_dimension(primitive, reshape(x, -1), 0, False)
    return reshape(index, (1,) * x.spec.ndim) if keepdim else index


def argmax(input: TensorT, dim: int | None = None, keepdim: bool = False) -> TensorT:
    """Return the position of the first largest element; NaN counts as the largest.

    Args:
        input: any shape and dtype.
        dim: dimension; by default the position is that in the flattened tensor.
        keepdim: keep the reduced dimension with size 1.

    Returns:
        int64.

    Raises:
        ShapeError: if the dimension does not exist or has no elements.

    >>> import autodiff as ad
    >>> ad.argmax(ad.tensor([[1.0, 4.0], [3.0, 2.0]]), dim=1)
    tensor([1, 0])
    """
    return _positions(argmax_p, input, dim, keepdim)  # type: ignore[no-any-return]


def argmin(input: TensorT, dim: int | None = None, keepdim: bool = False) -> TensorT:
    """Return the position of the first smallest element; NaN counts as the smallest.

    Args:
        input: any shape and dtype.
        dim: dimension; by default the position is that in the flattened tensor.
        keepdim: keep the reduced dimension with size 1.

    Returns:
        int64.

    Raises:
        ShapeError: if the dimension does not exist or has no elements.

    >>> import autodiff as ad
    >>> ad.argmin(ad.tensor([[1.0, 4.0], [3.0, 2.0]]), dim=1)
    tensor([0, 1])
    """
    return _positions(argmin_p, input, dim, keepdim)  # type: ignore[no-any-return]
