"""Operations that move or re-read elements without arithmetic: views, copies, and their duals.

A dual pair stands together: slice and slice_grad.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.arguments import integer
from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, ShapeError
from autodiff.ops import strided
from autodiff.primitive import ErrorSample, Primitive, Sample, define, no_errors
from autodiff.program import tensor_class
from autodiff.spec import Array, DType, Shape, Spec, contiguous_strides

__all__ = ["alias", "cast_to", "clone", "contiguous", "copied", "narrow", "permute", "reshape", "select", "transpose"]


def require_tensor(operation: str, x: Any, name: str = "input") -> None:
    """Raise unless `x` is a tensor.

    Raises:
        DTypeError: names the argument and its type.
    """
    if not isinstance(x, tensor_class[0]):
        raise DTypeError(operation, f"the {name} is not a tensor", expected="a tensor", got=type(x).__name__,
                         fix="wrap it with autodiff.tensor(...)")


# ---- Copies and casts ------------------------------------------------------------------------------------------------


def _copy_infer(x: Spec, dtype: DType | None, order: tuple[int, ...] | None) -> Spec:
    return Spec.of(x.shape, dtype or x.dtype, x.order if order is None else order)


def transposition(source: Spec, target: Spec) -> tuple[int, int, int] | None:
    """Return the shape (B, I, J) of `source` in memory if the memory of `target`, of equal shape, is (B, J, I).

    None where it is not, or where there is nothing to gain.
    """
    if source.order is None or target.order is None or not source.floating or source.dtype is not target.dtype:
        return None
    before, after = ([axis for axis in order if source.shape[axis] > 1] for order in (source.order, target.order))
    lead = 0
    while lead < len(before) and before[lead] == after[lead]:
        lead += 1
    for split in range(lead + 1, len(before)):
        if after[lead:] == before[split:] + before[lead:split]:
            cuts = before[:lead], before[lead:split], before[split:]
            shape = tuple(math.prod(source.shape[axis] for axis in axes) for axes in cuts)
            return shape if min(shape[1:]) >= 4 else None  # type: ignore[return-value]
    return None


def repetition(source: Spec, target: Spec) -> tuple[int, int] | None:
    """Return the shape (R, N) of `target` in memory if `source` is R numbers side by side, each of which fills a row.

    None where it is not, or where there is nothing to gain.
    """
    if target.order is None or not source.floating or source.dtype is not target.dtype:
        return None
    kept = [axis for axis in target.order if source.shape[axis] > 1]
    count = 1
    while kept and source.strides[kept[-1]] == 0:
        count *= source.shape[kept.pop()]
    rows = tuple(source.shape[axis] for axis in kept)
    dense = tuple(source.strides[axis] for axis in kept) == contiguous_strides(rows)
    return (math.prod(rows), count) if dense and count >= 64 and math.prod(rows) >= 16 else None


def _copy_prepare(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], **_: Any) -> Callable[..., None]:
    (x,), (out,) = inputs, outputs
    shape, rows = transposition(x, out), repetition(x, out)
    if rows is not None:
        assert out.order is not None
        return partial(_repeat_run, order=out.order, shape=rows)
    if shape is None:
        return strided.prepare(inputs, outputs, "copy")
    assert x.order is not None
    assert out.order is not None
    return partial(_transpose_run, before=x.order, after=out.order, shape=shape)


def _transpose_run(
    outs: list[Array], ins: list[Array], before: Shape, after: Shape, shape: tuple[int, int, int]
) -> None:
    b, i, j = shape
    kernels.layout.transpose(outs[0].transpose(after).reshape(b, j, i), ins[0].transpose(before).reshape(shape), 0, 1)


def _repeat_run(outs: list[Array], ins: list[Array], order: Shape, shape: tuple[int, int]) -> None:
    source = ins[0].transpose(order)
    numbers = source[tuple([slice(None) if step else 0 for step in source.strides])].reshape(shape[0])
    kernels.layout.repeat(outs[0].transpose(order).reshape(shape), numbers, 0, 1)


def _copy_samples() -> list[Sample]:
    x = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4)
    return [
        Sample(x, dtype=None, order=None),
        Sample(x.transpose(2, 0, 1), dtype=None, order=(0, 1, 2)),
        Sample(x, dtype=np.dtype(np.float64), order=None),
        Sample(x[:, :0], dtype=None, order=None),
        Sample(x - 3.7, dtype=np.dtype(np.int64), order=None),
    ]


copy_p: Primitive = define(
    "copy",
    infer=_copy_infer,
    run=strided.nothing,
    prepare=_copy_prepare,
    vjp=lambda record, g: (g if g.spec.dtype == record.inputs[0].dtype else cast_to(g, record.inputs[0].dtype),),
    cost=strided.cost(0),
    formula="copy",
    samples=_copy_samples,
    errors=no_errors,
)


def cast_to(x: TensorT, dtype: DType) -> TensorT:
    """Return `x` in `dtype`, itself when nothing changes."""
    return x if x.spec.dtype == dtype else bind(copy_p, x, dtype=dtype, order=None)  # type: ignore[attr-defined]


def clone(x: TensorT) -> TensorT:
    """Return a copy with memory of its own, in the same layout; gradients flow through.

    >>> import autodiff as ad
    >>> x = ad.tensor([1.0, 2.0])
    >>> ad.clone(x).add_(1), x
    (tensor([2., 3.]), tensor([1., 2.]))
    """
    require_tensor("clone", x)
    result: TensorT = bind(copy_p, x, dtype=None, order=None)
    return result


def contiguous(x: TensorT) -> TensorT:
    """Return `x` with its elements in C order without gaps: itself when they are, else a copy."""
    spec: Spec = x.spec  # type: ignore[attr-defined]
    return x if spec.contiguous else bind(copy_p, x, dtype=None, order=tuple(range(spec.ndim)))


def ordered(x: TensorT, order: tuple[int, ...] | None) -> TensorT:
    """Return `x` dense with its dimensions in memory `order` (None: C order); itself when it is."""
    spec: Spec = x.spec  # type: ignore[attr-defined]
    if order is None:
        return contiguous(x)
    return (
        x
        if spec.strides == Spec.of(spec.shape, spec.dtype, order).strides
        else bind(copy_p, x, dtype=None, order=order)
    )


def copied(x: TensorT, order: tuple[int, ...]) -> TensorT:
    """Return a copy of `x`, dense with its dimensions in memory `order`."""
    result: TensorT = bind(copy_p, x, dtype=None, order=order)
    return result


def dense(x: TensorT) -> TensorT:
    """Return `x` without gaps or overlaps in memory: itself, or a copy in C order."""
    return x if x.spec.order is not None else contiguous(x)  # type: ignore[attr-defined]


# ---- Alias -----------------------------------------------------------------------------------------------------------

alias_p: Primitive = define(
    "alias",
    infer=lambda x: x,
    run=lambda array: [array[...]],
    vjp=lambda record, g: (g,),
    cost=strided.free,
    view=True,
    samples=lambda: [Sample(np.ones((2, 3), np.float32))],
    errors=no_errors,
)


def alias(x: TensorT) -> TensorT:
    """Return another tensor on the same memory, one record further."""
    result: TensorT = bind(alias_p, x)
    return result


# ---- Reshape ---------------------------------------------------------------------------------------------------------


def _reshape_infer(x: Spec, shape: Shape) -> Spec:
    return Spec.of(shape, x.dtype)


reshape_p: Primitive = define(
    "reshape",
    infer=_reshape_infer,
    run=lambda array, shape: [array.reshape(shape)],
    vjp=lambda record, g: (reshape(g, record.inputs[0].shape),),
    cost=strided.free,
    view=True,
    samples=lambda: [
        Sample(np.arange(6, dtype=np.float32).reshape(2, 3), 3, 2),
        Sample(np.arange(6, dtype=np.float32).reshape(2, 3)[:, None], (6,)),
        Sample(np.float32(2), 1, -1),
        Sample(np.zeros((0, 3), np.float32), (3, 0)),
        Sample(np.arange(6, dtype=np.float32).reshape(2, 3).T, -1),
    ],
    errors=lambda: [
        ErrorSample(Sample(np.ones((2, 3), np.float32), 4, 2), ShapeError, "another number of elements.*6 elements"),
        ErrorSample(Sample(np.ones((2, 3), np.float32), -1, -1), ShapeError, "at most one -1"),
    ],
    call=lambda x, *shape: reshape(x, *shape),
)


@lru_cache(maxsize=4096)
def resolve_shape(operation: str, size: int, shape: Shape) -> Shape:
    """Return `shape` with a -1 replaced by what is left of `size` elements.

    Raises:
        ShapeError: when the element counts do not agree.
    """
    known = 1
    for n in shape:
        known *= n if n >= 0 else 1
    holes = [axis for axis, n in enumerate(shape) if n == -1]
    valid = len(holes) <= 1 and all(n >= -1 for n in shape)
    if valid and holes and known and size % known == 0:
        return tuple(size // known if n == -1 else int(n) for n in shape)
    if not valid or holes or known != size:
        raise ShapeError(operation, "the new shape has another number of elements", got=str(tuple(shape)),
                         expected=f"a shape of {size} elements, with at most one -1")
    return tuple(int(n) for n in shape)


@lru_cache(maxsize=4096)
def view_strides(spec: Spec, shape: Shape) -> tuple[int, ...] | None:
    """Return the element strides of `spec` read as `shape` without a copy, or None where that is impossible."""
    if spec.contiguous:
        return contiguous_strides(shape)
    # NumPy decides by the same rule: try on an array of these strides without memory behind it.
    probe = np.lib.stride_tricks.as_strided(np.empty(1, np.uint8), spec.shape, spec.strides)
    try:
        return tuple(np.reshape(probe, shape, copy=False).strides)
    except ValueError:
        return None


def reshape(x: TensorT, *shape: Any) -> TensorT:
    """Return the same elements, read in C order, under another shape; a view where the strides allow, else a copy.

    Args:
        x: any shape.
        shape: sizes, as arguments or one sequence; one may be -1.

    Raises:
        ShapeError: if the number of elements differs.

    >>> import autodiff as ad
    >>> ad.reshape(ad.arange(6), (2, -1)).shape
    (2, 3)
    """
    require_tensor("reshape", x)
    spec: Spec = x.spec  # type: ignore[attr-defined]
    sizes = resolve_shape("reshape", spec.size, shape_argument(shape))
    if view_strides(spec, sizes) is None:
        x = contiguous(x)
        result: Any = bind(reshape_p, x, shape=sizes)
        result.copied_view = True
        return result  # type: ignore[no-any-return]
    return bind(reshape_p, x, shape=sizes)  # type: ignore[no-any-return]


def shape_argument(shape: tuple[Any, ...]) -> Shape:
    """Return sizes that came as arguments or as one sequence.

    Raises:
        DTypeError: if one is no integer.
    """
    given = shape
    try:
        if len(shape) == 1 and not isinstance(shape[0], int | np.integer):
            shape = tuple(shape[0])
        return tuple(map(operator.index, shape))
    except TypeError:
        raise DTypeError("shape", "a size is no integer", expected="integers, or one sequence of them",
                         got=", ".join(map(repr, given))) from None


# ---- Permute ---------------------------------------------------------------------------------------------------------


def axis_index(operation: str, dim: int, ndim: int) -> int:
    """Return a dimension counted from 0, given one counted from either end.

    Raises:
        ShapeError: when it is out of range.
        DTypeError: when it is no integer.
    """
    span = max(ndim, 1)
    if not isinstance(dim, int | np.integer):
        raise DTypeError(operation, "the dimension is no integer", expected=f"an integer from {-span} to {span - 1}",
                         got=repr(dim))
    if not -span <= dim < span:
        raise ShapeError(operation, "the dimension does not exist", expected=f"a dimension from {-span} to {span - 1}",
                         got=str(dim))
    return int(dim) % span


_ALL = [tuple(range(ndim)) for ndim in range(65)]  # NumPy's arrays have no more dimensions


def axes(operation: str, dim: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """Return dimensions counted from 0 in rising order; None means all.

    Raises:
        ShapeError: when one is out of range or stands twice.
    """
    if dim is None:
        return _ALL[ndim]
    if type(dim) is int and -ndim <= dim < ndim:  # by far the most calls, and the test for a sequence takes long
        return (dim % ndim,)
    found = (
        [axis_index(operation, d, ndim) for d in dim]
        if isinstance(dim, Sequence) and not isinstance(dim, str)
        else [axis_index(operation, dim, ndim)]
    )
    if len(set(found)) != len(found):
        raise ShapeError(operation, "a dimension stands twice", got=str(dim))
    if not found:
        return tuple(range(ndim))
    return tuple(axis for axis in sorted(found) if axis < ndim)


def _permute_infer(x: Spec, dims: tuple[int, ...]) -> Spec:
    if sorted(dims) != list(range(x.ndim)):
        raise ShapeError(
            "permute", "the dimensions are not a permutation", expected=f"each of 0 to {x.ndim - 1} once", got=str(dims)
        )
    return Spec.strided(tuple(x.shape[d] for d in dims), x.dtype, tuple(x.strides[d] for d in dims))


permute_p: Primitive = define(
    "permute",
    infer=_permute_infer,
    run=lambda array, dims: [array.transpose(dims)],
    vjp=lambda record, g: (bind(permute_p, g, dims=inverse(record.params["dims"])),),
    cost=strided.free,
    view=True,
    samples=lambda: [
        Sample(np.arange(24.0, dtype=np.float32).reshape(2, 3, 4), (2, 0, -2)),
        Sample(np.arange(6.0, dtype=np.float32).reshape(2, 3), dims=(1, 0)),
        Sample(np.float32(1), ()),
        Sample(np.zeros((0, 2), np.float32), 1, 0),
    ],
    errors=lambda: [ErrorSample(Sample(np.ones((2, 3), np.float32), 0, 0), ShapeError, "not a permutation")],
    call=lambda x, *order, **keywords: permute(x, *order, **keywords),
)


def inverse(dims: tuple[int, ...]) -> tuple[int, ...]:
    """Return the permutation that undoes `dims`."""
    result = [0] * len(dims)
    for position, dim in enumerate(dims):
        result[dim] = position
    return tuple(result)


def permute(x: TensorT, *order: Any, dims: Any = None) -> TensorT:
    """Return a view with the dimensions in another order.

    Args:
        x: any shape.
        order: the old dimensions in their new order, as arguments or one sequence; negative ones count from the end.
        dims: the same as a keyword.

    Raises:
        ShapeError: if they are not a permutation.

    >>> import autodiff as ad
    >>> ad.permute(ad.zeros(2, 3, 4), (2, 0, 1)).shape
    (4, 2, 3)
    """
    require_tensor("permute", x)
    ndim = x.spec.ndim  # type: ignore[attr-defined]
    listed = shape_argument(order if dims is None else (dims,))
    if sorted(listed) != list(range(ndim)):
        listed = tuple(axis_index("permute", d, ndim) for d in listed) if ndim else ()
    return bind(permute_p, x, dims=listed)  # type: ignore[no-any-return]


def transpose(x: TensorT, dim0: int, dim1: int) -> TensorT:
    """Return a view with two dimensions exchanged.

    >>> import autodiff as ad
    >>> ad.transpose(ad.zeros(2, 3, 4), 0, -1).shape
    (4, 3, 2)
    """
    require_tensor("transpose", x)
    ndim = x.spec.ndim  # type: ignore[attr-defined]
    order = list(range(ndim))
    if ndim:
        a, b = axis_index("transpose", dim0, ndim), axis_index("transpose", dim1, ndim)
        order[a], order[b] = order[b], order[a]
    return bind(permute_p, x, dims=tuple(order))  # type: ignore[no-any-return]


def turned(x: TensorT) -> TensorT:
    """Return a view of the transposed matrices, of a tensor that has at least two dimensions."""
    ndim = x.spec.ndim  # type: ignore[attr-defined]
    return bind(permute_p, x, dims=(*range(ndim - 2), ndim - 1, ndim - 2))  # type: ignore[no-any-return]


# ---- Slice and its dual, slice_grad ----------------------------------------------------------------------------------

# A slice is one entry a dimension: an integer takes one place and drops the dimension, (start, count, step) keeps it.
Index = tuple[int | tuple[int, int, int], ...]


def _as_slices(index: Index) -> tuple[Any, ...]:
    result: list[Any] = []
    for entry in index:
        if isinstance(entry, int):
            result.append(entry)
        else:
            start, count, step = entry
            stop = start + count * step
            result.append(slice(start, stop if stop >= 0 else None, step) if count else slice(0, 0))
    return tuple(result)


def sliced_shape(index: Index) -> Shape:
    """Return the shape that a slice has."""
    return tuple(entry[1] for entry in index if not isinstance(entry, int))


slice_p: Primitive = define(
    "slice",
    infer=lambda x, index: Spec.of(sliced_shape(index), x.dtype),
    prepare=lambda inputs, outputs, index: {"slices": (*_as_slices(index), ...)},
    run=lambda array, slices: [array[slices]],
    vjp=lambda record, g: (bind(slice_grad_p, g, index=record.params["index"], shape=record.inputs[0].shape),),
    cost=strided.free,
    view=True,
    samples=lambda: [
        Sample(np.arange(24.0, dtype=np.float32).reshape(2, 3, 4), index=(1, (0, 2, 2), (3, 4, -1))),
        Sample(np.arange(3.0, dtype=np.float32), index=(2,)),
        Sample(np.arange(3.0, dtype=np.float32), index=((0, 0, 1),)),
    ],
    errors=no_errors,
)


def _slice_grad_run(outs: list[Array], ins: list[Array], index: Index, shape: Shape) -> None:
    strided.fill_array(outs[0], 0)
    strided.copy_array(outs[0][(*_as_slices(index), ...)], ins[0])


slice_grad_p: Primitive = define(
    "slice_grad",
    infer=lambda g, index, shape: g.like(shape),
    run=_slice_grad_run,
    vjp=lambda record, g: (bind(slice_p, g, index=record.params["index"]),),
    cost=strided.cost(0),
    samples=lambda: [
        Sample(np.arange(4.0, dtype=np.float32).reshape(2, 2), index=(1, (0, 2, 2), (3, 2, -1)), shape=(2, 3, 4)),
        Sample(np.float32(3), index=(2,), shape=(3,)),
    ],
    errors=no_errors,
)


def narrow(x: TensorT, dim: int, start: int, length: int) -> TensorT:
    """Return the view of `length` places of dimension `dim` from `start` on.

    Raises:
        ShapeError: if the range leaves the tensor.
        DTypeError: if `dim`, `start` or `length` is no integer.

    >>> import autodiff as ad
    >>> ad.narrow(ad.arange(5), 0, 1, 3)
    tensor([1, 2, 3])
    """
    require_tensor("narrow", x)
    shape: Shape = x.spec.shape  # type: ignore[attr-defined]
    axis = axis_index("narrow", dim, len(shape))
    start, length = integer("narrow", "start", start), integer("narrow", "length", length)
    start = start + shape[axis] if start < 0 else start
    if not 0 <= start <= start + length <= shape[axis]:
        raise ShapeError("narrow", "the range leaves the tensor", got=f"start {start}, length {length}",
                         expected=f"0 <= start <= start + length <= {shape[axis]}")
    index = tuple((start, length, 1) if i == axis else (0, n, 1) for i, n in enumerate(shape))
    return bind(slice_p, x, index=index)  # type: ignore[no-any-return]


def select(x: TensorT, dim: int, index: int) -> TensorT:
    """Return the view at one place of dimension `dim`, which is dropped.

    Raises:
        ShapeError: if the place does not exist.
        DTypeError: if `dim` or `index` is no integer.

    >>> import autodiff as ad
    >>> ad.select(ad.tensor([[1, 2], [3, 4]]), 1, -1)
    tensor([2, 4])
    """
    require_tensor("select", x)
    shape: Shape = x.spec.shape  # type: ignore[attr-defined]
    axis, index = axis_index("select", dim, len(shape)), integer("select", "index", index)
    if not -shape[axis] <= index < shape[axis]:
        raise ShapeError("select", "the place does not exist", expected=f"{-shape[axis]} to {shape[axis] - 1}",
                         got=str(index))
    place = index % shape[axis]
    return bind(slice_p, x, index=tuple(place if i == axis else (0, n, 1) for i, n in enumerate(shape)))  # type: ignore[no-any-return]


# ---- Zeros ----------------------------------------------------------------------------------------------------------

zeros_like_p: Primitive = define(
    "zeros_like",
    infer=lambda x: Spec.of(x.shape, x.dtype),
    run=lambda outs, ins: strided.fill_array(outs[0], 0),
    vjp=None,
    cost=strided.cost(0),
    samples=lambda: [Sample(np.ones((2, 3), np.float32))],
    errors=no_errors,
)
