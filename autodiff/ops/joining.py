"""Tensors joined and cut: every pair is each other's gradient, cat and split, stack and unbind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.arguments import integer, integers, several
from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, ShapeError
from autodiff.ops import strided
from autodiff.ops.broadcast import expand
from autodiff.ops.elementwise import spread
from autodiff.ops.promotion import cast, constant, is_tensor, result_dtype
from autodiff.ops.shaping import atleast_1d, atleast_2d, atleast_3d, missing_dimension, shape_of
from autodiff.ops.structural import axis_index, narrow, reshape, select
from autodiff.primitive import ErrorSample, Sample, composed, define
from autodiff.spec import Array, Cost, Shape, Spec, moved

__all__ = ["cat", "chunk", "column_stack", "concat", "concatenate", "dstack", "hsplit", "hstack", "split",
           "split_with_sizes",
           "stack", "tensor_split", "unbind", "vsplit", "vstack"]


def copied(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], **_: Any) -> Cost:
    """Cost of an operation that reads its inputs and writes its outputs once, without arithmetic."""
    return Cost(0, moved(*inputs, *outputs))


def zeros_of(spec: Spec) -> Any:
    """Return a tensor of zeros of the shape and dtype of `spec`: one number, expanded."""
    return expand(constant(0, spec.dtype), spec.shape)


def tensors_of(operation: str, tensors: Any) -> list[Any]:
    """Return a sequence of tensors as a list, all of the dtype that they promote to.

    Raises:
        DTypeError: unless it is a sequence of at least one tensor.
    """
    found = list(tensors) if isinstance(tensors, Sequence) else []
    if not found or not all(is_tensor(x) for x in found):
        got = type(tensors).__name__ + (f" of {', '.join(type(x).__name__ for x in found)}" if found else "")
        raise DTypeError(operation, "tensors are joined from a sequence",
                         expected="a list or tuple of at least one tensor", got=got)
    dtype = found[0].spec.dtype
    if any(x.spec.dtype != dtype for x in found):
        dtype = result_dtype(operation, *found)
        found = [cast(x, dtype) for x in found]
    return found


def _joined(specs: tuple[Spec, ...], shape: Shape) -> Spec:
    """Return the spec of a result of this shape in the memory order of the largest input."""
    return max(specs, key=lambda spec: spec.size).like(shape)


# ---- cat and split ---------------------------------------------------------------------------------------------------


def _cat_infer(*specs: Spec, dim: int) -> Spec:
    shape = specs[0].shape
    for spec in specs:
        if spec.shape[:dim] + spec.shape[dim + 1:] != shape[:dim] + shape[dim + 1:] or spec.ndim != len(shape):
            raise ShapeError("cat", "the shapes differ in another dimension than the joined one",
                             expected=f"equal sizes except in dimension {dim}",
                             got=" and ".join(str(s.shape) for s in specs))
    return _joined(specs, (*shape[:dim], sum([spec.shape[dim] for spec in specs]), *shape[dim + 1:]))


def _pieces(dim: int, sizes: Sequence[int]) -> tuple[tuple[slice, ...], ...]:
    """Return the index of each piece, given the sizes along `dim`."""
    places = []
    at = 0
    for size in sizes:
        places.append((*(slice(None),) * dim, slice(at, at + size)))
        at += size
    return tuple(places)


def _cat_run(outs: list[Array], ins: list[Array], places: tuple[tuple[slice, ...], ...]) -> None:
    out = outs[0]
    for place, array in zip(places, ins, strict=True):
        strided.copy_array(out[place], array)


def _cat_vjp(record: Any, g: Any) -> Sequence[Any]:
    dim = record.params["dim"]
    sizes = tuple([spec.shape[dim] for spec in record.inputs])
    if all(record.mask):
        return split(g, sizes, dim)
    starts = np.cumsum((0, *sizes[:-1])).tolist()
    return [narrow(g, dim, start, size) if needed else None
            for start, size, needed in zip(starts, sizes, record.mask, strict=True)]


def _cat_samples() -> list[Sample]:
    x, y = spread(-1, 1, 2, 3), spread(-2, 2, 2, 4)
    image = spread(-1, 1, 2, 3, 2, 2).transpose(0, 3, 1, 2)
    return [Sample([x, y], 1), Sample([x, x[:0], x[::-1]]), Sample((x,), -1), Sample([x[:, :0], x[:, :0]], 1),
            Sample([image, image[:, :1]], 1), Sample([x.astype(np.float64), x.astype(np.float64)], 0),
            Sample([x, np.zeros(0, np.float32)], 1), Sample([x, np.arange(6).reshape(2, 3)]),
            Sample([y.T[::2], y.T], dim=0)]


def _joining_errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [ErrorSample(Sample([x, np.ones((3, 4), np.float32)]), ShapeError, r"got \(2, 3\) and \(3, 4\)"),
            ErrorSample(Sample([]), DTypeError, "at least one tensor"),
            ErrorSample(Sample(x), DTypeError, "sequence.*got Tensor")]


def _cat_errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [*_joining_errors(), ErrorSample(Sample([x, x], 2), ShapeError, "dimension does not exist"),
            ErrorSample(Sample([np.float32(1), np.float32(2)]), ShapeError, r"without dimensions.*stack")]


cat_p = define(
    "cat",
    infer=_cat_infer,
    run=_cat_run,
    prepare=lambda inputs, outputs, dim: {"places": _pieces(dim, [spec.shape[dim] for spec in inputs])},
    vjp=_cat_vjp,
    cost=copied,
    samples=_cat_samples,
    errors=_cat_errors,
    call=lambda tensors, dim=0: cat(tensors, dim),
)


def cat(tensors: Sequence[TensorT], dim: int = 0) -> TensorT:
    """Return the tensors joined along a dimension that they have.

    Args:
        tensors: equal shapes except in `dim`; a tensor of shape (0,) fits everywhere. dtypes are promoted.
        dim: where they are joined.

    Raises:
        ShapeError: if other sizes differ, or the dimension does not exist.
        DTypeError: unless `tensors` is a sequence of at least one tensor.

    >>> import autodiff as ad
    >>> ad.cat([ad.tensor([1, 2]), ad.tensor([3])])
    tensor([1, 2, 3])
    """
    found = tensors_of("cat", tensors)
    if any(x.spec.shape == (0,) for x in found):
        found = [x for x in found if x.spec.shape != (0,)] or found[:1]
    ndim = found[0].spec.ndim
    if not ndim:
        raise ShapeError("cat", "tensors without dimensions cannot be joined along one", fix="use stack(tensors)")
    return bind(cat_p, *found, dim=axis_index("cat", dim, ndim))  # type: ignore[no-any-return]


def concat(tensors: Sequence[TensorT], dim: int = 0) -> TensorT:
    """Return ``cat(tensors, dim)``.

    >>> import autodiff as ad
    >>> ad.concat([ad.tensor([1, 2]), ad.tensor([3])])
    tensor([1, 2, 3])
    """
    return cat(tensors, dim)


def concatenate(tensors: Sequence[TensorT], dim: int = 0) -> TensorT:
    """Return ``cat(tensors, dim)``: NumPy's name for it.

    >>> import autodiff as ad
    >>> ad.concatenate([ad.tensor([1, 2]), ad.tensor([3])])
    tensor([1, 2, 3])
    """
    return cat(tensors, dim)


def _gathered(record: Any, cotangents: tuple[Any, ...]) -> list[Any]:
    """Return a cotangent for every output: zeros for those that did not take part."""
    return [zeros_of(spec) if g is None else g for g, spec in zip(cotangents, record.outputs, strict=True)]


def _split_errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [*missing_dimension(1, 2),
            ErrorSample(Sample(x, (1, 1), 1), ShapeError, r"\[split\].*add up to 3.*got \(1, 1\)"),
            ErrorSample(Sample(x, 0), ShapeError, "positive size"),
            ErrorSample(Sample(np.float32(1), 1), ShapeError, "without dimensions")]


def _split_samples() -> list[Sample]:
    x = spread(-1, 1, 2, 5)
    image = spread(-1, 1, 2, 3, 2, 4).transpose(0, 3, 1, 2)
    return [Sample(x, 2, 1), Sample(x, (1, 0, 4), -1), Sample(x, 1), Sample(image, 2, 1), Sample(x.T[::2], [1, 2]),
            Sample(x, 9),
            Sample(np.zeros((0, 2), np.float32), 3)]


split_p = define(
    "split",
    infer=lambda x, sizes, dim: tuple(Spec.of((*x.shape[:dim], size, *x.shape[dim + 1:]), x.dtype) for size in sizes),
    run=lambda array, places: [array[place] for place in places],
    prepare=lambda inputs, outputs, sizes, dim: {"places": _pieces(dim, sizes)},
    vjp=lambda record, *cotangents: (bind(cat_p, *_gathered(record, cotangents), dim=record.params["dim"]),),
    cost=strided.free,
    view=True,
    samples=_split_samples,
    errors=_split_errors,
    call=lambda *arguments, **keywords: split(*arguments, **keywords),
)


def split(tensor: TensorT, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[TensorT, ...]:
    """Return views that cut the tensor along a dimension.

    Args:
        tensor: at least one dimension.
        split_size_or_sections: size of every piece (the last may be smaller), or the size of each.
        dim: dimension to cut.

    Raises:
        ShapeError: if the dimension does not exist or the sizes do not add up.
        DTypeError: if a size is no integer.

    >>> import autodiff as ad
    >>> ad.split(ad.arange(5), 2)
    (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    """
    length, axis = _cut("split", tensor, dim)
    if not several(split_size_or_sections):
        size = integer("split", "split_size_or_sections", split_size_or_sections)
        if size < 0 or (size == 0 and length):
            raise ShapeError("split", "pieces need a positive size", got=str(size))
        sizes = tuple([min(size, length - at) for at in range(0, length, size or 1)]) or (0,)
    else:
        sizes = integers("split", "split_size_or_sections", split_size_or_sections)
        if sum(sizes) != length or min(sizes, default=0) < 0:
            raise ShapeError("split", f"the sizes do not cut dimension {axis}",
                             expected=f"sizes that add up to {length}", got=str(sizes))
    return bind(split_p, tensor, sizes=sizes, dim=axis)  # type: ignore[no-any-return]


def _cut(operation: str, x: Any, dim: int) -> tuple[int, int]:
    """Return the size of a dimension and its number counted from 0.

    Raises:
        ShapeError: if there is none.
    """
    shape = shape_of(x, operation)
    if not shape:
        raise ShapeError(operation, "a tensor without dimensions cannot be cut")
    axis = axis_index(operation, dim, len(shape))
    return shape[axis], axis


def split_with_sizes(input: TensorT, split_sizes: Sequence[int], dim: int = 0) -> tuple[TensorT, ...]:
    """Return ``split(input, split_sizes, dim)``.

    >>> import autodiff as ad
    >>> ad.split_with_sizes(ad.arange(3), (1, 2))
    (tensor([0]), tensor([1, 2]))
    """
    return split(input, split_sizes, dim)


@composed(samples=lambda: [Sample(spread(-1, 1, 2, 5), 2, 1), Sample(spread(-1, 1, 5), 4), Sample(spread(-1, 1, 2), 3),
                           Sample(np.zeros((0,), np.float32), 2)],
          errors=lambda: [*missing_dimension(1, 2),
                          ErrorSample(Sample(np.ones(2, np.float32), 0), ShapeError, "positive number")])
def chunk(input: TensorT, chunks: int, dim: int = 0) -> tuple[TensorT, ...]:
    """Return at most `chunks` views of one size (the last may be smaller) that cut a dimension.

    Raises:
        ShapeError: if the dimension does not exist, or `chunks` is not positive.
        DTypeError: if `chunks` is no integer.

    >>> import autodiff as ad
    >>> ad.chunk(ad.arange(5), 2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    """
    length, axis = _cut("chunk", input, dim)
    chunks = integer("chunk", "chunks", chunks)
    if chunks < 1:
        raise ShapeError("chunk", "chunks is no positive number", got=str(chunks))
    if length == 0:
        return split(input, (0,) * chunks, axis)
    return split(input, -(-length // chunks), axis)


def _tensor_split_samples() -> list[Sample]:
    x = spread(-1, 1, 7, 3)
    return [Sample(x, 3), Sample(x, (1, 4)), Sample(x, (2, 9, 5), 0), Sample(x, 2, 1), Sample(x, (-3,), -2)]


@composed(samples=_tensor_split_samples, errors=lambda: [
    *missing_dimension(1, 2), ErrorSample(Sample(np.ones(2, np.float32), 0), ShapeError, "positive number")])
def tensor_split(input: TensorT, indices_or_sections: int | Sequence[int], dim: int = 0) -> tuple[TensorT, ...]:
    """Return views that cut a dimension into equal parts, or at given places.

    Args:
        input: at least one dimension.
        indices_or_sections: number of parts (the first ones are larger by one where it does not divide), or the places.
        dim: dimension to cut.

    Raises:
        ShapeError: if the dimension does not exist, or the number of parts is not positive.
        DTypeError: if that number, or a place, is no integer.

    >>> import autodiff as ad
    >>> ad.tensor_split(ad.arange(5), (1, 3))
    (tensor([0]), tensor([1, 2]), tensor([3, 4]))
    """
    length, axis = _cut("tensor_split", input, dim)
    if not several(indices_or_sections):
        parts = integer("tensor_split", "indices_or_sections", indices_or_sections)
        if parts < 1:
            raise ShapeError("tensor_split", "the number of parts is no positive number", got=str(parts))
        return split(input, [length // parts + (i < length % parts) for i in range(parts)], axis)
    edges = [slice(None, at).indices(length)[1]
             for at in integers("tensor_split", "indices_or_sections", indices_or_sections)]
    starts, stops = [0, *edges], [*edges, length]
    return tuple([narrow(input, axis, start, max(stop - start, 0)) for start, stop in zip(starts, stops, strict=True)])


# ---- stack and unbind ------------------------------------------------------------------------------------------------


def _stack_infer(*specs: Spec, dim: int, order: tuple[int, ...] | None) -> Spec:
    shape = specs[0].shape
    if any(spec.shape != shape for spec in specs):
        raise ShapeError("stack", "the shapes differ", expected=str(shape),
                         got=" and ".join(str(s.shape) for s in specs),
                         fix="use cat, or pad them to one shape")
    return Spec.of((*shape[:dim], len(specs), *shape[dim:]), specs[0].dtype, order)


def _at(array: Array, dim: int, position: int) -> Array:
    """Return the view at one place of a dimension."""
    view: Array = array[(slice(None),) * dim + (position, ...)]
    return view


def _stack_run(outs: list[Array], ins: list[Array], dim: int, **_: Any) -> None:
    out = outs[0]
    for position, array in enumerate(ins):
        strided.copy_array(_at(out, dim, position), array)


def _stack_vjp(record: Any, g: Any) -> Sequence[Any]:
    dim = record.params["dim"]
    if all(record.mask):
        return unbind(g, dim)
    return [select(g, dim, position) if needed else None for position, needed in enumerate(record.mask)]


def _stack_samples() -> list[Sample]:
    x, y = spread(-1, 1, 2, 3), spread(-2, 2, 2, 3)
    return [Sample([x, y]), Sample((x, y, x[::-1]), 1), Sample([x, y], -1), Sample([np.float32(1), np.float32(2)]),
            Sample([x[:0], x[:0]], 1), Sample([x.T, y.T]), Sample([x, np.arange(6).reshape(2, 3)], dim=2)]


def _stack_errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [*_joining_errors(), ErrorSample(Sample([x, x], 3), ShapeError, "dimension does not exist.*-3 to 2; got 3")]


stack_p = define(
    "stack",
    infer=_stack_infer,
    run=_stack_run,
    vjp=_stack_vjp,
    cost=copied,
    samples=_stack_samples,
    errors=_stack_errors,
    call=lambda tensors, dim=0: stack(tensors, dim),
)


def stack(tensors: Sequence[TensorT], dim: int = 0) -> TensorT:
    """Return the tensors joined along a new dimension.

    Args:
        tensors: of one shape; dtypes are promoted.
        dim: where the new dimension stands in the result.

    Raises:
        ShapeError: if the shapes differ, or `dim` is outside the result.
        DTypeError: unless `tensors` is a sequence of at least one tensor.

    >>> import autodiff as ad
    >>> ad.stack([ad.tensor([1, 2]), ad.tensor([3, 4])], dim=1)
    tensor([[1, 3],
            [2, 4]])
    """
    found = tensors_of("stack", tensors)
    place = axis_index("stack", dim, found[0].spec.ndim + 1)
    return bind(stack_p, *found, dim=place, order=None)  # type: ignore[no-any-return]


def _unbind_vjp(record: Any, *cotangents: Any) -> Sequence[Any]:
    """Return the gradient in the memory order of the input, so that no copy is needed to undo what has ordered it."""
    order = record.inputs[0].lying
    return (bind(stack_p, *_gathered(record, cotangents), dim=record.params["dim"], order=order),)


unbind_p = define(
    "unbind",
    infer=lambda x, dim: (Spec.of(x.shape[:dim] + x.shape[dim + 1:], x.dtype),) * x.shape[dim],
    run=lambda array, dim: [_at(array, dim, position) for position in range(array.shape[dim])],
    vjp=_unbind_vjp,
    cost=strided.free,
    view=True,
    samples=lambda: [Sample(spread(-1, 1, 2, 3)), Sample(spread(-1, 1, 2, 3), -1), Sample(spread(-1, 1, 4)),
                     Sample(spread(-1, 1, 2, 3).T[::2], 1)],
    errors=lambda: [*missing_dimension(2), ErrorSample(Sample(np.float32(1)), ShapeError, "without dimensions")],
    call=lambda x, dim=0: unbind(x, dim),
)


def unbind(input: TensorT, dim: int = 0) -> tuple[TensorT, ...]:
    """Return the views at every place of a dimension, which is dropped.

    Raises:
        ShapeError: if the dimension does not exist.

    >>> import autodiff as ad
    >>> ad.unbind(ad.tensor([[1, 2], [3, 4]]), 1)
    (tensor([1, 3]), tensor([2, 4]))
    """
    length, axis = _cut("unbind", input, dim)
    return bind(unbind_p, input, dim=axis) if length else ()


# ---- NumPy's names for matrices --------------------------------------------------------------------------------------


def _rows_samples() -> list[Sample]:
    x = spread(-1, 1, 2, 3)
    return [Sample([x, x]), Sample([x[0], x[1]]), Sample([np.float32(1), np.float32(2)])]


@composed(samples=_rows_samples, errors=_joining_errors)
def hstack(tensors: Sequence[TensorT]) -> TensorT:
    """Return the tensors joined side by side: along dimension 1, vectors along dimension 0.

    Raises:
        ShapeError: if other sizes differ.

    >>> import autodiff as ad
    >>> ad.hstack([ad.tensor([[1], [2]]), ad.tensor([[3], [4]])])
    tensor([[1, 3],
            [2, 4]])
    """
    found = [atleast_1d(x) for x in tensors_of("hstack", tensors)]
    return cat(found, 0 if found[0].spec.ndim == 1 else 1)  # type: ignore[no-any-return]


@composed(samples=_rows_samples, errors=_joining_errors)
def vstack(tensors: Sequence[TensorT]) -> TensorT:
    """Return the tensors joined along dimension 0; vectors count as rows.

    Raises:
        ShapeError: if other sizes differ.

    >>> import autodiff as ad
    >>> ad.vstack([ad.tensor([1, 2]), ad.tensor([3, 4])])
    tensor([[1, 2],
            [3, 4]])
    """
    return cat([atleast_2d(x) for x in tensors_of("vstack", tensors)], 0)  # type: ignore[no-any-return]


@composed(samples=_rows_samples, errors=lambda: [ErrorSample(Sample([]), DTypeError, "at least one tensor")])
def dstack(tensors: Sequence[TensorT]) -> TensorT:
    """Return the tensors joined along dimension 2; matrices (m, n) count as (m, n, 1), vectors as (1, n, 1).

    Raises:
        ShapeError: if other sizes differ.

    >>> import autodiff as ad
    >>> ad.dstack([ad.zeros(2, 3), ad.ones(2, 3)]).shape
    (2, 3, 2)
    """
    return cat([atleast_3d(x) for x in tensors_of("dstack", tensors)], 2)  # type: ignore[no-any-return]


@composed(samples=lambda: [Sample([spread(-1, 1, 3), spread(-1, 1, 3, 2)]), Sample([np.float32(1), np.float32(2)])],
          errors=_joining_errors)
def column_stack(tensors: Sequence[TensorT]) -> TensorT:
    """Return the tensors joined along dimension 1; vectors count as columns.

    Raises:
        ShapeError: if other sizes differ.

    >>> import autodiff as ad
    >>> ad.column_stack([ad.tensor([1, 2]), ad.tensor([3, 4])])
    tensor([[1, 3],
            [2, 4]])
    """
    found = tensors_of("column_stack", tensors)
    return cat([reshape(x, -1, 1) if x.spec.ndim < 2 else x for x in found], 1)  # type: ignore[no-any-return]


@composed(samples=lambda: [Sample(spread(-1, 1, 2, 4), 2), Sample(spread(-1, 1, 6), (1, 4))],
          errors=lambda: [ErrorSample(Sample(np.float32(1), 1), ShapeError, "without dimensions")])
def hsplit(input: TensorT, indices_or_sections: int | Sequence[int]) -> tuple[TensorT, ...]:
    """Return ``tensor_split`` along dimension 1, of a vector along dimension 0.

    Raises:
        ShapeError: for a tensor without dimensions.

    >>> import autodiff as ad
    >>> ad.hsplit(ad.arange(4), 2)
    (tensor([0, 1]), tensor([2, 3]))
    """
    return tensor_split(input, indices_or_sections, 0 if len(shape_of(input, "hsplit")) == 1 else 1)


@composed(samples=lambda: [Sample(spread(-1, 1, 4, 2), 2), Sample(spread(-1, 1, 6, 1), (1, 4))], errors=lambda: [
    ErrorSample(Sample(np.ones(2, np.float32), 1), ShapeError, "at least two dimensions")])
def vsplit(input: TensorT, indices_or_sections: int | Sequence[int]) -> tuple[TensorT, ...]:
    """Return ``tensor_split`` along dimension 0.

    Raises:
        ShapeError: for fewer than two dimensions.

    >>> import autodiff as ad
    >>> ad.vsplit(ad.tensor([[1], [2]]), 2)
    (tensor([[1]]), tensor([[2]]))
    """
    if len(shape_of(input, "vsplit")) < 2:
        raise ShapeError("vsplit", "only rows can be split", expected="at least two dimensions",
                         got=str(shape_of(input)))
    return tensor_split(input, indices_or_sections, 0)
