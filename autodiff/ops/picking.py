"""Elements picked and placed by index tensors along one dimension.

A dual pair: index_select and index_select_grad. Every kernel reads memory as (A, K, B) and works along K, so inputs are
made contiguous first. Elements that meet at one place are added in the order of the index, for any number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, PositionError, ShapeError
from autodiff.ops import strided
from autodiff.ops.broadcast import expand
from autodiff.ops.choice import where
from autodiff.ops.comparison import eq, ne
from autodiff.ops.elementwise import mul, spread
from autodiff.ops.host import from_array
from autodiff.ops.joining import zeros_of
from autodiff.ops.promotion import INT64, cast, constant, is_tensor
from autodiff.ops.shaping import missing_dimension, shape_of
from autodiff.ops.structural import axis_index, contiguous, permute, require_tensor, reshape
from autodiff.primitive import ErrorSample, Keep, Primitive, Sample, composed, define
from autodiff.spec import Array, Cost, Shape, Spec, moved
from autodiff.threads import MOST

__all__ = ["index_add", "index_copy", "index_fill", "index_select"]

INDEX = Keep(inputs=(1,))


def blocks(shape: Shape, dim: int) -> tuple[int, int, int]:
    """Return the sizes (A, K, B) of a contiguous tensor seen along `dim`."""
    return math.prod(shape[:dim]), shape[dim], math.prod(shape[dim + 1:])


def require_index(operation: str, index: Any) -> Any:
    """Return an index tensor as contiguous int64.

    Raises:
        DTypeError: if it is no tensor of integers.
    """
    require_tensor(operation, index)
    if index.spec.dtype.kind != "i":
        raise DTypeError(operation, "the index does not hold integers", expected="int64", got=index.spec.dtype.name,
                         fix="convert it with index.long()")
    return contiguous(cast(index, INT64))


def outside(operation: str, position: int, index: Array, dim: int, size: int) -> PositionError:
    """Return the error for the index at a flat position of the index tensor."""
    place = tuple(map(int, np.unravel_index(position, index.shape)))
    value = index.reshape(-1)[position]
    where_ = f" at place {place[0] if len(place) == 1 else place} of the index" if place else ""
    expected = f"0 to {size - 1}" if size else "an empty index, as the dimension is empty"
    return PositionError(operation, f"the index{where_} lies outside dimension {dim}", expected=expected,
                         got=str(value))


# ---- Positions: several index tensors as one -------------------------------------------------------------------------


def _positions_run(outs: list[Array], ins: list[Array], sizes: tuple[int, ...]) -> None:
    out, status = outs
    for number, (index, size) in enumerate(zip(ins, sizes, strict=True)):
        kernels.positions.combine(out.reshape(-1), status, index.reshape(-1), size, int(number == 0), 0, 1)


def _positions_status(position: int, ins: list[Array], sizes: tuple[int, ...]) -> PositionError:
    for index, size in zip(ins, sizes, strict=True):
        value = int(index.reshape(-1)[position])
        if not -size <= value < size:
            break
    place = tuple(map(int, np.unravel_index(position, index.shape)))
    return PositionError("getitem",
                         f"the index at place {place} lies outside its dimension of {size}",
                         expected=f"{-size} to {size - 1}" if size else "an empty index", got=str(value))


positions_p = define(
    "positions",
    infer=lambda *specs, sizes: Spec.of(specs[0].shape, INT64),
    run=_positions_run,
    status=_positions_status,
    vjp=None,
    cost=lambda inputs, outputs, sizes: Cost(2 * len(inputs) * outputs[0].size, moved(*inputs, *outputs)),
    samples=lambda: [Sample(np.array([2, -1, 0]), sizes=(3,)),
                     Sample(np.array([[2, -1]]), np.array([[0, -4]]), sizes=(3, 4))],
    errors=lambda: [ErrorSample(Sample(np.array([0, 1]), np.array([3, -5]), sizes=(2, 4)), PositionError,
                                r"place \(1,\).*-4 to 3; got -5")],
)


def positions(indices: Sequence[Any], sizes: Sequence[int]) -> Any:
    """Return the position in C order of elements of dimensions of these sizes, given one index tensor a dimension.

    Args:
        indices: int64, broadcast against each other; negative ones count from the end.
        sizes: one number a tensor.

    Raises:
        PositionError: for an index outside its dimension.
        ShapeError: if the tensors do not broadcast.
    """
    shape = strided.broadcast("getitem", *[index.spec for index in indices])
    full = [index if index.spec.shape == shape else expand(index, shape) for index in indices]
    return bind(positions_p, *[contiguous(index) for index in full], sizes=tuple(sizes))


# ---- Reading along a dimension and its dual, the sum -----------------------------------------------------------------


def _read_infer(operation: str, x: Spec, index: Spec, dim: int, padding: int) -> Spec:
    return Spec.of((*x.shape[:dim], *index.shape, *x.shape[dim + 1:]), x.dtype)


def _seen_along(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], dim: int, padding: int) -> dict[str, Shape]:
    """Return the shapes (A, M, B) of the output and (A, K, B) of the input, for a kernel."""
    whole = blocks(inputs[0].shape, dim)
    return {"read": (whole[0], inputs[1].size, whole[2]), "whole": whole}


def _read_run(outs: list[Array], ins: list[Array], read: Shape, whole: Shape) -> None:
    (out, status), (x, index) = outs, ins
    kernels.index.take(out.reshape(read), status, x.reshape(whole), index.reshape(-1), 0, 1)


def _read_status(operation: str, position: int, ins: list[Array], dim: int, padding: int) -> PositionError:
    return outside(operation, position, ins[1], dim, ins[0].shape[dim])


def _read_vjp(record: Any, g: Any) -> tuple[Any, None]:
    size = record.inputs[0].shape[record.params["dim"]]
    return bind(index_select_grad_p, contiguous(g), record.input(1), **record.params, size=size), None


def reading(operation: str, samples: Callable[[], list[Sample]], errors: Callable[[], list[ErrorSample]],
             call: Callable[..., Any] | None, name: str | None = None) -> Primitive:
    """Declare a reading: one primitive a public function, so that errors and graphs carry the name the user knows."""
    return define(
        name or operation,
        infer=partial(_read_infer, operation),
        run=_read_run,
        prepare=_seen_along,
        status=partial(_read_status, operation),
        vjp=_read_vjp,
        saves=(INDEX, INDEX),
        cost=lambda inputs, outputs, **_: Cost(0, inputs[1].nbytes + 2 * outputs[0].nbytes),
        samples=samples,
        errors=errors,
        call=call,
    )


def _select_samples() -> list[Sample]:
    x, index = spread(-1, 1, 3, 4), np.array([2, 0, 2, 1, 2])
    image = spread(-1, 1, 2, 3, 2, 4).transpose(0, 3, 1, 2)
    return [Sample(x, 0, index), Sample(x, 1, index), Sample(x.T[::2], -1, index), Sample(image, 1, np.array([3, 0])),
            Sample(image, 0, np.array([1])), Sample(x.astype(np.float64), 0, index.astype(np.int32)),
            Sample(x, 0, index[:0]),
            Sample(np.arange(4), 0, np.array([3, 3])), Sample(np.array([True, False]), 0, np.array([1, 0]))]


def _select_errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [*missing_dimension(2, np.array([0])),
            ErrorSample(Sample(x, 1, np.array([0, 3])), PositionError,
                        r"\[index_select\].*place 1 .*dimension 1.*0 to 2; got 3"),
            ErrorSample(Sample(x, 0, np.array([-1])), PositionError, "0 to 1; got -1"),
            ErrorSample(Sample(x, 0, np.array([1.0], np.float32)), DTypeError, "integers.*got float32"),
            ErrorSample(Sample(x, 0, np.array([[1]])), ShapeError, "one dimension")]


index_select_p = reading("index_select", _select_samples, _select_errors, lambda *a: index_select(*a))
pick_p = reading("getitem", lambda: [
    Sample(spread(-1, 1, 2, 3, 2), np.array([[2, 0], [1, 2]]), dim=1, padding=-1)], lambda: [], None, name="pick")


def select_along(primitive: Primitive, x: Any, dim: int, index: Any, padding: int = -1) -> Any:
    """Bind a reading to any layout of `x`: memory in another order is read in that order, without a copy of it."""
    order = x.spec.order
    if x.spec.contiguous or order is None:
        return bind(primitive, contiguous(x), index, dim=dim, padding=padding)
    at = order.index(dim)
    read = bind(primitive, permute(x, order), index, dim=at, padding=padding)
    ndim = index.spec.ndim
    new = [("index", i) for i in range(ndim)]
    lies = [*order[:at], *new, *order[at + 1:]]
    wanted = [*range(dim), *new, *range(dim + 1, x.spec.ndim)]
    return permute(read, [lies.index(axis) for axis in wanted])


def index_select(input: TensorT, dim: int, index: Any) -> TensorT:
    """Return the places of a dimension that `index` lists.

    Args:
        input: any shape and dtype.
        dim: dimension.
        index: (n,), integers from 0 on; a place may stand several times, and then receives the sum of the gradients.

    Raises:
        PositionError: for an index outside the dimension.
        ShapeError: if the dimension does not exist, or `index` is no vector.
        DTypeError: if `index` does not hold integers.

    >>> import autodiff as ad
    >>> ad.index_select(ad.tensor([[1, 2], [3, 4]]), 1, ad.tensor([1, 1, 0]))
    tensor([[2, 2, 1],
            [4, 4, 3]])
    """
    index = _vector("index_select", index)
    shape = shape_of(input, "index_select")
    axis = axis_index("index_select", dim, len(shape))
    if not shape:
        result: TensorT = reshape(select_along(index_select_p, reshape(input, 1), 0, index), ())
        return result
    result = select_along(index_select_p, input, axis, index)
    return result


def _vector(operation: str, index: Any) -> Any:
    """Return an index as a vector of int64.

    Raises:
        ShapeError: if it has several dimensions.
    """
    index = require_index(operation, index)
    if index.spec.ndim > 1:
        raise ShapeError(operation, "the index is no vector", expected="one dimension", got=str(index.spec.shape))
    return index if index.spec.ndim else reshape(index, 1)


def _sum_infer(g: Spec, index: Spec, dim: int, padding: int, size: int) -> Spec:
    return Spec.of((*g.shape[:dim], size, *g.shape[dim + index.ndim:]), g.dtype)


def _sum_run(outs: list[Array], ins: list[Array], dim: int, padding: int, size: int) -> None:
    out, status = outs
    g, index = ins
    strided.fill_array(out, 0)
    a, k, b = blocks(out.shape, dim)
    kernels.index.take_grad(out.reshape(a, k, b), status, g.reshape(a, index.size, b), index.reshape(-1), padding, 0, 1)


def _sum_status(position: int, ins: list[Array], dim: int, padding: int, size: int) -> PositionError:
    return outside("index_add", position, ins[1], dim, size)


def _sum_vjp(record: Any, h: Any) -> tuple[Any, None]:
    dim, padding = record.params["dim"], record.params["padding"]
    index = record.input(1)
    read = select_along(pick_p, h, dim, index)
    if padding >= 0:
        column = reshape(ne(index, padding), (*index.spec.shape, *(1,) * (h.spec.ndim - dim - 1)))
        read = where(column, read, constant(0, read.spec.dtype))
    return read, None


index_select_grad_p = define(
    "index_select_grad",
    infer=_sum_infer,
    run=_sum_run,
    status=_sum_status,
    vjp=_sum_vjp,
    saves=(INDEX, INDEX),
    cost=lambda inputs, outputs, **_: Cost(inputs[0].size, moved(*inputs, *outputs)),
    samples=lambda: [Sample(spread(-1, 1, 2, 4, 3), np.array([2, 0, 2, 1]), dim=1, padding=-1, size=3),
                     Sample(spread(-1, 1, 2, 2, 3), np.array([[2, 0], [2, 1]]), dim=0, padding=2, size=4)],
    errors=lambda: [],
)


# ---- Writing along a dimension ---------------------------------------------------------------------------------------

_READ_BY_KERNEL = np.empty(MOST, np.int64)  # `positions` has checked the index already: no one reads this status


def _put_run(outs: list[Array], ins: list[Array], dim: int) -> None:
    out = outs[0]
    x, index, source = ins
    if out is not x:
        strided.copy_array(out, x)
    a, k, b = blocks(out.shape, dim)
    kernels.index.place(out.reshape(a, k, b), _READ_BY_KERNEL, source.reshape(a, index.size, b), index.reshape(-1), 0,
                        1)


@lru_cache(maxsize=256)
def numbers(count: int) -> Any:
    """Return 0, 1, ..., count - 1."""
    return from_array(np.arange(count))


def _put_vjp(record: Any, g: Any) -> tuple[Any, None, Any]:
    dim, index = record.params["dim"], record.input(1)
    kept = found = None
    if record.mask[0]:
        kept = bind(put_p, contiguous(g), index, contiguous(zeros_of(record.inputs[2])), dim=dim)
    if record.mask[2]:
        # Of several elements that went to one place only the last is still there: the others get zero.
        each = reshape(numbers(index.spec.size), index.spec.shape)
        places = contiguous(zeros_of(Spec.of((g.spec.shape[dim],), INT64)))
        last = eq(bind(pick_p, bind(put_p, places, index, each, dim=0), index, dim=0, padding=-1), each)
        read = select_along(pick_p, g, dim, index)
        column = reshape(last, (*index.spec.shape, *(1,) * (g.spec.ndim - dim - 1)))
        found = where(column, read, constant(0, read.spec.dtype))
    return kept, None, found


# Writes source (A, M, B) into a copy of x (A, K, B) at checked positions; also run in place by `setitem`.
put_p = define(
    "put_along",
    infer=lambda x, index, source, dim: Spec.of(x.shape, x.dtype),
    run=_put_run,
    vjp=_put_vjp,
    saves=(INDEX, INDEX, INDEX),
    cost=lambda inputs, outputs, dim: Cost(0, moved(*inputs, *outputs)),
    samples=lambda: [Sample(spread(-1, 1, 2, 5, 3), np.array([4, 0]), spread(-2, 2, 2, 2, 3), dim=1),
                     Sample(spread(-1, 1, 4), np.array([[2, 0], [1, 3]]), spread(-2, 2, 2, 2), dim=0)],
    errors=lambda: [],
)


def rows_of(operation: str, input: Any, dim: int, index: Any, source: Any) -> tuple[int, Any, Any]:
    """Return the dimension, the index and the source of an operation that writes along a dimension.

    Raises:
        ShapeError: if the source has other sizes than the places it goes to.
        DTypeError: if it has another dtype.
    """
    index = _vector(operation, index)
    shape = shape_of(input, operation)
    axis = axis_index(operation, dim, len(shape))
    if not is_tensor(source):
        source = constant(source, input.spec.dtype)
    if source.spec.dtype != input.spec.dtype:
        raise DTypeError(operation, "the source has another dtype than the input", expected=input.spec.dtype.name,
                         got=source.spec.dtype.name, fix="convert it with source.to(input.dtype)")
    places = (*shape[:axis], index.spec.size, *shape[axis + 1:])
    if source.spec.shape == () and len(places) > 0:
        source = expand(source, places)
    if source.spec.shape != places:
        raise ShapeError(operation, "the source does not fit the places it goes to", expected=str(places),
                         got=str(source.spec.shape))
    return axis, index, source


def _add_samples() -> list[Sample]:
    x, index = spread(-1, 1, 3, 4), np.array([2, 0, 2])
    return [Sample(x, 0, index, spread(-2, 2, 3, 4)), Sample(x.T, 1, index, spread(-2, 2, 4, 3), alpha=0.5),
            Sample(x.astype(np.float64), -2, index[:1], spread(-2, 2, 1, 4, dtype=np.float64)),
            Sample(x, 0, index[:0], x[:0]), Sample(np.arange(4), 0, np.array([1, 1]), np.array([5, 6]))]


def _rows_errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [*missing_dimension(2, np.array([0]), x),
            ErrorSample(Sample(x, 0, np.array([1]), x), ShapeError, r"\(1, 3\); got \(2, 3\)"),
            ErrorSample(Sample(x, 0, np.array([0, 2]), x), PositionError, "place .*1.*to 1; got 2"),
            ErrorSample(Sample(x, 0, np.array([0, 1]), x.astype(np.float64)), DTypeError, "another dtype")]


# The index may have several dimensions, which the source has in the place of `dim`.
def _index_add_run(outs: list[Array], ins: list[Array], dim: int) -> None:
    (out, status), (x, index, source) = outs, ins
    strided.copy_array(out, x)
    a, k, b = blocks(out.shape, dim)
    kernels.index.take_grad(out.reshape(a, k, b), status, source.reshape(a, index.size, b), index.reshape(-1), -1, 0,
                            1)


def _index_add_vjp(record: Any, g: Any) -> tuple[Any, None, Any]:
    read = select_along(pick_p, g, record.params["dim"], record.input(1)) if record.mask[2] else None
    return g, None, read


index_add_p = define(
    "index_add",
    infer=lambda x, index, source, dim: Spec.of(x.shape, x.dtype),
    run=_index_add_run,
    status=lambda position, ins, dim: outside("index_add", position, ins[1], dim, ins[0].shape[dim]),
    vjp=_index_add_vjp,
    saves=(Keep(), Keep(), INDEX),
    cost=lambda inputs, outputs, dim: Cost(inputs[2].size, moved(*inputs, *outputs)),
    samples=_add_samples,
    errors=_rows_errors,
    call=lambda *arguments, **keywords: index_add(*arguments, **keywords),
)


def index_add(input: TensorT, dim: int, index: Any, source: Any, *, alpha: float = 1) -> TensorT:
    """Return `input` with ``alpha * source`` added at the places of a dimension that `index` lists.

    Args:
        input: any shape.
        dim: dimension.
        index: (n,), integers; a place that stands several times receives the sum.
        source: shape of `input` with n places in `dim`, same dtype.
        alpha: factor of `source`.

    Raises:
        PositionError: for an index outside the dimension.
        ShapeError: if `source` does not fit.
        DTypeError: if `source` has another dtype.

    >>> import autodiff as ad
    >>> ad.index_add(ad.zeros(3), 0, ad.tensor([1, 1]), ad.tensor([2.0, 3.0]))
    tensor([0., 5., 0.])
    """
    axis, index, source = rows_of("index_add", input, dim, index, source)
    source = contiguous(source if alpha == 1 else mul(source, alpha))
    if not input.spec.ndim:  # type: ignore[attr-defined]
        return reshape(bind(index_add_p, reshape(input, 1), index, source, dim=axis), ())  # type: ignore[no-any-return]
    return bind(index_add_p, contiguous(input), index, source, dim=axis)  # type: ignore[no-any-return]


def _copy_samples() -> list[Sample]:
    x = spread(-1, 1, 3, 4)
    return [Sample(x, 0, np.array([2, 0]), spread(-2, 2, 2, 4)), Sample(x.T, 1, np.array([1]), spread(-2, 2, 4, 1)),
            Sample(x, -1, np.array([3, 1, 3]), spread(-2, 2, 3, 3)), Sample(x, 0, np.zeros(0, np.int64), x[:0])]


@composed(samples=_copy_samples, errors=_rows_errors)
def index_copy(input: TensorT, dim: int, index: Any, source: Any) -> TensorT:
    """Return `input` with `source` in the places of a dimension that `index` lists.

    Args:
        input: any shape.
        dim: dimension.
        index: (n,), integers; where a place stands several times, the last one counts.
        source: shape of `input` with n places in `dim`, same dtype.

    Raises:
        PositionError: for an index outside the dimension.
        ShapeError: if `source` does not fit.
        DTypeError: if `source` has another dtype.

    >>> import autodiff as ad
    >>> ad.index_copy(ad.zeros(3), 0, ad.tensor([2]), ad.tensor([7.0]))
    tensor([0., 0., 7.])
    """
    axis, index, source = rows_of("index_copy", input, dim, index, source)
    place = positions([index], shape_of(input)[axis:axis + 1])
    return bind(put_p, contiguous(input), place, contiguous(source), dim=axis)  # type: ignore[no-any-return]


def _fill_samples() -> list[Sample]:
    x = spread(-1, 1, 3, 4)
    return [Sample(x, 0, np.array([2, 0]), 5), Sample(x.T, 1, np.array([1, 1]), np.float32(2.5))]


@composed(samples=_fill_samples, errors=lambda: [*missing_dimension(2, np.array([0]), 1.0), ErrorSample(
    Sample(np.ones((2, 3), np.float32), 0, np.array([0]), np.ones(3, np.float32)), ShapeError,
    r"\(1, 3\); got \(3,\)")])
def index_fill(input: TensorT, dim: int, index: Any, value: Any) -> TensorT:
    """Return `input` with one number in the places of a dimension that `index` lists.

    Args:
        input: any shape.
        dim: dimension.
        index: (n,), integers.
        value: number, or tensor without dimensions.

    Raises:
        PositionError: for an index outside the dimension.
        ShapeError: if `value` has dimensions.

    >>> import autodiff as ad
    >>> ad.index_fill(ad.zeros(3), 0, ad.tensor([0, 2]), 1)
    tensor([1., 0., 1.])
    """
    return index_copy(input, dim, index, value)
