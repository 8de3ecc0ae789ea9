"""Elements read and written along a dimension, each at a position of its own: gather and its dual, the scattered sum.

Every kernel reads memory as (A, K, B) with an index (A, M, B). Elements that meet at one place are added in the order
of the index, for any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, PositionError, ShapeError, ValueRangeError
from autodiff.ops import strided
from autodiff.ops.broadcast import expand
from autodiff.ops.choice import where
from autodiff.ops.elementwise import add, spread
from autodiff.ops.joining import zeros_of
from autodiff.ops.padding import pad
from autodiff.ops.picking import INDEX, blocks, outside, require_index
from autodiff.ops.promotion import constant, is_tensor
from autodiff.ops.shaping import flatten, missing_dimension, shape_of
from autodiff.ops.structural import axis_index, contiguous, narrow, reshape
from autodiff.primitive import ErrorSample, Sample, composed, define, no_errors
from autodiff.spec import Array, Cost, Shape, Spec, moved

__all__ = ["gather", "scatter", "scatter_add", "take_along_dim"]

# ---- Reading and its dual, the sum -----------------------------------------------------------------------------------


def middle(array: Array, dim: int) -> Array:
    """Return a contiguous array as (A, K, B)."""
    return array.reshape(blocks(array.shape, dim))


def _seen_along(
    inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], dim: int, **_: Any
) -> dict[str, tuple[tuple[int, int, int], ...]]:
    """Return the shapes (A, K, B) of the output and of the inputs, for a kernel."""
    return {"shapes": tuple([blocks(spec.shape, dim) for spec in (*outputs, *inputs)])}


def _gather_run(outs: list[Array], ins: list[Array], shapes: tuple[tuple[int, int, int], ...]) -> None:
    (out, status), (x, index) = outs, ins
    kernels.index.gather_along(out.reshape(shapes[0]), status, x.reshape(shapes[1]), index.reshape(shapes[2]), 0, 1)


def _gather_status(position: int, ins: list[Array], dim: int) -> PositionError:
    return outside("gather", position, ins[1], dim, ins[0].shape[dim])


def _gather_vjp(record: Any, g: Any) -> tuple[Any, None]:
    dim = record.params["dim"]
    return bind(gather_grad_p, contiguous(g), record.input(1), dim=dim, size=record.inputs[0].shape[dim]), None


def _gather_samples() -> list[Sample]:
    x = spread(-1, 1, 3, 4)
    index = np.array([[2, 0, 1, 2], [1, 1, 0, 2]])
    return [Sample(x, 0, index), Sample(x, 1, index.T[:3]), Sample(x.T, -1, index.T[:, :1] * 0),
            Sample(x, 0, index[:, :2]),
            Sample(spread(-1, 1, 2, 3, 2), 1, index.reshape(2, 2, 2)), Sample(x[0], 0, index[0]),
            Sample(np.float32(3), 0, np.array(0)),
            Sample(x.astype(np.float64), 0, index.astype(np.int32)), Sample(np.arange(4), 0, np.array([3, 3])),
            Sample(x, 0, index[:0])]


def _along_errors(*more: Any) -> list[ErrorSample]:
    x, index = np.ones((2, 3), np.float32), np.zeros((1, 3), np.int64)
    return [*missing_dimension(2, index, *more),
            ErrorSample(Sample(x, 0, index + 2, *more), PositionError,
                        r"place \(0, 0\).*dimension 0; expected 0 to 1; got 2"),
            ErrorSample(Sample(x, 0, index - 1, *more), PositionError, "0 to 1; got -1"),
            ErrorSample(Sample(x, 0, index[0], *more), ShapeError, "as many dimensions"),
            ErrorSample(Sample(x, 0, np.zeros((1, 4), np.int64), *more), ShapeError,
                        r"at most \(any, 3\); got \(1, 4\)"),
            ErrorSample(Sample(x, 0, x, *more), DTypeError, "integers")]


gather_p = define(
    "gather",
    infer=lambda x, index, dim: Spec.of(index.shape, x.dtype),
    run=_gather_run,
    prepare=_seen_along,
    status=_gather_status,
    vjp=_gather_vjp,
    saves=(INDEX, INDEX),
    cost=lambda inputs, outputs, dim: Cost(0, inputs[1].nbytes + 2 * outputs[0].nbytes),
    samples=_gather_samples,
    errors=_along_errors,
    call=lambda *arguments: gather(*arguments),
)


def _gather_grad_run(outs: list[Array], ins: list[Array], shapes: tuple[tuple[int, int, int], ...]) -> None:
    (out, status), (g, index) = outs, ins
    strided.fill_array(out, 0)
    kernels.index.scatter_add_along(out.reshape(shapes[0]), status, g.reshape(shapes[1]), index.reshape(shapes[2]), 0,
                                    1)


def _gather_grad_vjp(record: Any, h: Any) -> tuple[Any, None]:
    return bind(gather_p, contiguous(h), record.input(1), dim=record.params["dim"]), None


gather_grad_p = define(
    "gather_grad",
    infer=lambda g, index, dim, size: Spec.of((*g.shape[:dim], size, *g.shape[dim + 1:]), g.dtype),
    run=_gather_grad_run,
    prepare=_seen_along,
    status=lambda position, ins, dim, size: outside("scatter_add", position, ins[1], dim, size),
    vjp=_gather_grad_vjp,
    saves=(INDEX, INDEX),
    cost=lambda inputs, outputs, **_: Cost(inputs[0].size, moved(*inputs, *outputs)),
    samples=lambda: [Sample(spread(-1, 1, 2, 4), np.array([[2, 0, 1, 2], [2, 1, 0, 2]]), dim=0, size=3)],
    errors=lambda: [],
)


def aligned(operation: str, input: Any, dim: int, index: Any) -> tuple[int, Any]:
    """Return the dimension counted from 0, and the index as contiguous int64.

    Raises:
        ShapeError: if the dimension does not exist or the index does not fit the input.
        DTypeError: if the index does not hold integers.
    """
    index = require_index(operation, index)
    shape, have = shape_of(input, operation), shape_of(index, operation)
    axis = axis_index(operation, dim, len(shape))
    if len(have) != len(shape):
        raise ShapeError(operation, "input and index need as many dimensions", got=f"input {shape}, index {have}")
    if any(n > shape[i] for i, n in enumerate(have) if i != axis):
        limits = ", ".join("any" if i == axis else str(n) for i, n in enumerate(shape))
        raise ShapeError(operation, "the index is larger than the input", expected=f"at most ({limits})", got=str(have))
    return axis, index


def _narrowed(x: Any, shape: Shape, axis: int | None) -> Any:
    """Return the leading places of `x` that `shape` has, in all dimensions but `axis`."""
    for i, (have, want) in enumerate(zip(shape_of(x), shape, strict=True)):
        if i != axis and have != want:
            x = narrow(x, i, 0, want)
    return x


def gather(input: TensorT, dim: int, index: Any) -> TensorT:
    """Return ``out[i, j, k] = input[index[i, j, k], j, k]`` for dimension 0, and so on for the others.

    Args:
        input: any shape and dtype.
        dim: dimension.
        index: integers from 0 on; as many dimensions as `input` and, except in `dim`, no larger. Its shape is the
            result's.

    Raises:
        PositionError: for an index outside the dimension.
        ShapeError: if the dimension does not exist or `index` does not fit.
        DTypeError: if `index` does not hold integers.

    >>> import autodiff as ad
    >>> ad.gather(ad.tensor([[1, 2], [3, 4]]), 1, ad.tensor([[1], [0]]))
    tensor([[2],
            [3]])
    """
    axis, index = aligned("gather", input, dim, index)
    if not index.spec.ndim:
        return reshape(gather(reshape(input, 1), 0, reshape(index, 1)), ())
    x = contiguous(_narrowed(input, index.spec.shape, axis))
    return bind(gather_p, x, index, dim=axis)  # type: ignore[no-any-return]


def _take_along_samples() -> list[Sample]:
    x, index = spread(-1, 1, 3, 4), np.array([[2, 0, 1, 2]])
    return [Sample(x, index, 0), Sample(x, index[:, :1], 1), Sample(x, index.T[:3], -1),
            Sample(x, np.array([[5], [11]])),
            Sample(x.T, index.T, 1)]


@composed(samples=_take_along_samples, errors=lambda: [
    ErrorSample(Sample(np.ones((2, 3), np.float32), np.array([0]), 0), ShapeError, "as many dimensions"),
    ErrorSample(Sample(np.ones((2, 3), np.float32), np.array([[0], [1], [0]]), 1), ShapeError, "do not broadcast"),
    ErrorSample(Sample(np.ones((2, 3), np.float32), np.array([[2]]), 0), PositionError, "0 to 1; got 2")])
def take_along_dim(input: TensorT, indices: Any, dim: int | None = None) -> TensorT:
    """Return the elements along a dimension that `indices`, such as the result of `argsort`, lists.

    Args:
        input: any shape and dtype.
        indices: integers from 0 on; as many dimensions as `input`; both are broadcast except in `dim`.
        dim: dimension; by default both are flattened.

    Raises:
        PositionError: for an index outside the dimension.
        ShapeError: if the shapes do not fit.
        DTypeError: if `indices` does not hold integers.

    >>> import autodiff as ad
    >>> x = ad.tensor([[2, 1], [3, 4]])
    >>> ad.take_along_dim(x, ad.tensor([[1, 0]]), 1)
    tensor([[1, 2],
            [4, 3]])
    """
    if dim is None:
        return gather(flatten(input), 0, flatten(indices))
    shape, have = shape_of(input, "take_along_dim"), shape_of(indices, "take_along_dim")
    axis = axis_index("take_along_dim", dim, len(shape))
    if len(have) != len(shape):
        raise ShapeError("take_along_dim", "input and indices need as many dimensions", got=f"{shape} and {have}")
    open_x, open_index = ((*s[:axis], 1, *s[axis + 1:]) for s in (shape, have))
    full = strided.broadcast("take_along_dim", Spec.of(open_x), Spec.of(open_index))
    return gather(expand(input, (*full[:axis], shape[axis], *full[axis + 1:])), axis,
                  expand(indices, (*full[:axis], have[axis], *full[axis + 1:])))


# ---- Writing ---------------------------------------------------------------------------------------------------------


def _scatter_prepare(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], dim: int) -> Callable[..., None]:
    copy = strided.prepare(inputs[:1], outputs, "copy")
    whole, _, places, written = _seen_along(inputs, outputs, dim)["shapes"]

    def run(outs: list[Array], ins: list[Array]) -> None:
        (out, status), (x, index, source) = outs, ins
        copy((out,), (x,))
        kernels.index.scatter_along(out.reshape(whole), status, source.reshape(written), index.reshape(places), 0, 1)

    return run


def _scatter_vjp(record: Any, g: Any) -> tuple[Any, None, Any]:
    dim, index = record.params["dim"], record.input(1)
    kept, found = record.mask[0], record.mask[2]
    return (bind(scatter_p, g, index, contiguous(zeros_of(record.inputs[2])), dim=dim) if kept else None, None,
            bind(scatter_grad_p, g, index, dim=dim) if found else None)


def _scatter_samples() -> list[Sample]:
    x, index = spread(-1, 1, 3, 4), np.array([[2, 0, 1, 2], [1, 1, 1, 0]])
    source = spread(-2, 2, 2, 4)
    return [Sample(x, 0, index, source), Sample(x, 1, index.T[:3], spread(-2, 2, 5, 3)),
            Sample(x.T, 1, index[:, :2], source),
            Sample(x, 0, index, 7.5), Sample(x, 0, index[:, :3], spread(-2, 2, 3, 3)),
            Sample(x[0], -1, index[0], source[0]),
            Sample(x, 0, index, source, reduce="add"), Sample(np.arange(4), 0, np.array([3, 1]), 9),
            Sample(x.astype(np.float64), 0, index, source.astype(np.float64)), Sample(x, 0, index[:0], source)]


def _scatter_errors() -> list[ErrorSample]:
    x, index = np.ones((2, 3), np.float32), np.zeros((1, 3), np.int64)
    return [*_along_errors(1.0),
            ErrorSample(Sample(x, 0, index, x[:, :2]), ShapeError, r"at least \(1, 3\); got \(2, 2\)"),
            ErrorSample(Sample(x, 0, index, x.astype(np.float64)), DTypeError, "another dtype"),
            ErrorSample(Sample(x, 0, index, x, reduce="mean"), ValueRangeError, "'add'.*got 'mean'")]


scatter_p = define(
    "scatter",
    infer=lambda x, index, source, dim: Spec.of(x.shape, x.dtype),
    run=strided.nothing,
    prepare=_scatter_prepare,
    status=lambda position, ins, dim: outside("scatter", position, ins[1], dim, ins[0].shape[dim]),
    vjp=_scatter_vjp,
    saves=(INDEX, INDEX, INDEX),
    cost=lambda inputs, outputs, dim: Cost(0, moved(*inputs, *outputs)),
    samples=_scatter_samples,
    errors=_scatter_errors,
    call=lambda *arguments, **keywords: scatter(*arguments, **keywords),
)


def _scatter_grad_prepare(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], dim: int) -> Callable[..., None]:
    (rest,) = _scatter_grad_scratch(inputs, outputs, dim)
    copy = strided.prepare(inputs[:1], (rest,), "copy")
    written, whole, places = _seen_along(inputs, outputs, dim)["shapes"]

    def run(outs: list[Array], ins: list[Array]) -> None:
        (out, rest), (g, index) = outs, ins
        copy((rest,), (g,))
        kernels.index.scatter_along_grad(out.reshape(written), rest.reshape(whole), index.reshape(places), 0, 1)

    return run


def _scatter_grad_scratch(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], dim: int) -> tuple[Spec]:
    return (Spec.of(inputs[0].shape, inputs[0].dtype),)


def _scatter_grad_vjp(record: Any, h: Any) -> tuple[Any, None]:
    return bind(scatter_p, zeros_of(record.inputs[0]), record.input(1), contiguous(h), **record.params), None


scatter_grad_p = define(
    "scatter_grad",
    infer=lambda g, index, dim: Spec.of(index.shape, g.dtype),
    run=strided.nothing,
    prepare=_scatter_grad_prepare,
    vjp=_scatter_grad_vjp,
    saves=(INDEX, INDEX),
    scratch=_scatter_grad_scratch,
    cost=lambda inputs, outputs, dim: Cost(0, inputs[0].nbytes + moved(*inputs, *outputs)),
    samples=lambda: [Sample(spread(-1, 1, 3, 2), np.array([[2, 0], [2, 1], [0, 1], [2, 1]]), dim=0),
                     Sample(spread(-1, 1, 2, 3, dtype=np.float64), np.array([[2, 2, 0, 2], [1, 1, 1, 1]]), dim=1)],
    errors=no_errors,
)


def source_of(operation: str, input: Any, index: Any, src: Any) -> Any:
    """Return what is written as a contiguous tensor of the shape of the index.

    Raises:
        ShapeError: if it is smaller than the index.
        DTypeError: if it has another dtype than the input.
    """
    if not is_tensor(src):
        return contiguous(expand(constant(src, input.spec.dtype), index.spec.shape))
    if src.spec.dtype != input.spec.dtype:
        raise DTypeError(operation, "the source has another dtype than the input", expected=input.spec.dtype.name,
                         got=src.spec.dtype.name, fix="convert it with src.to(input.dtype)")
    have, want = shape_of(src, operation), index.spec.shape
    if len(have) != len(want) or any(n < m for n, m in zip(have, want, strict=True)):
        raise ShapeError(operation, "the source is smaller than the index", expected=f"at least {want}", got=str(have))
    return contiguous(_narrowed(src, want, None))


def written(input: Any, axis: int, index: Any, write: Callable[[Any], Any]) -> Any:
    """Return ``write(x)``, contiguous, for the part x of `input` that the index covers, with the rest around it."""
    part = _narrowed(input, index.spec.shape, axis)
    if part is input:
        return write(input)
    changed = write(part)
    # What is outside the part stays: add the change, as zeros around it, to where the part has been cut out.
    covered = index.spec.shape[:axis] + shape_of(input)[axis:axis + 1] + index.spec.shape[axis + 1:]
    widths = [n for have, want in zip(reversed(shape_of(input)), reversed(covered), strict=True)
              for n in (0, have - want)]
    inside = pad(expand(constant(True, np.bool_), covered), widths)
    return where(inside, pad(changed, widths), input)


def scatter(input: TensorT, dim: int, index: Any, src: Any = None, *, value: Any = None,
            reduce: str | None = None) -> TensorT:
    """Return `input` with ``out[index[i, j, k], j, k] = src[i, j, k]`` for dimension 0, and so on for the others.

    Args:
        input: any shape.
        dim: dimension.
        index: integers from 0 on; as many dimensions as `input` and, except in `dim`, no larger. Of several elements
            that go to one place, the last counts.
        src: tensor at least as large as `index`, of the dtype of `input`, or a number.
        value: a number; another name for `src`.
        reduce: ``"add"`` adds to what is there, as `scatter_add` does; None replaces it.

    Raises:
        PositionError: for an index outside the dimension.
        ShapeError: if the dimension does not exist, or `index` or `src` does not fit.
        DTypeError: if `index` does not hold integers, or `src` has another dtype.
        ValueRangeError: for another `reduce`.

    >>> import autodiff as ad
    >>> ad.scatter(ad.zeros(2, 3), 1, ad.tensor([[2], [0]]), 1.0)
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """
    if reduce not in (None, "add"):
        raise ValueRangeError("scatter", "this reduction does not exist", expected="None or 'add'", got=repr(reduce))
    axis, index = aligned("scatter", input, dim, index)
    source = source_of("scatter", input, index, value if src is None else src)
    if reduce == "add":
        return scatter_add(input, axis, index, source)
    if not index.spec.ndim:
        return reshape(scatter(reshape(input, 1), 0, reshape(index, 1), reshape(source, 1)), ())
    result: TensorT = written(input, axis, index, lambda x: bind(scatter_p, x, index, source, dim=axis))
    return result


def _scatter_add_samples() -> list[Sample]:
    x, index = spread(-1, 1, 3, 4), np.array([[2, 0, 1, 2], [1, 1, 1, 0], [2, 0, 1, 1]])
    source = spread(-2, 2, 3, 4)
    return [Sample(x, 0, index, source), Sample(x.T, 1, index.T, source.T), Sample(x, 1, index[:2, :2], source),
            Sample(x[0], 0, index[0], source[0]), Sample(x.astype(np.float64), 0, index, source.astype(np.float64)),
            Sample(np.arange(3), 0, np.array([1, 1]), np.array([5, 6]))]


@composed(samples=_scatter_add_samples, errors=lambda: [*_along_errors(np.ones((2, 4), np.float32))])
def scatter_add(input: TensorT, dim: int, index: Any, src: Any) -> TensorT:
    """Return `input` with ``src[i, j, k]`` added at ``[index[i, j, k], j, k]`` for dimension 0; others likewise.

    Args:
        input: any shape.
        dim: dimension.
        index: integers from 0 on; as many dimensions as `input` and, except in `dim`, no larger. A place that several
            elements go to receives their sum, taken in the order of the index.
        src: at least as large as `index`; same dtype as `input`.

    Raises:
        PositionError: for an index outside the dimension.
        ShapeError: if the dimension does not exist, or `index` or `src` does not fit.
        DTypeError: if `index` does not hold integers, or `src` has another dtype.

    >>> import autodiff as ad
    >>> ad.scatter_add(ad.zeros(3), 0, ad.tensor([2, 2]), ad.tensor([1.0, 4.0]))
    tensor([0., 0., 5.])
    """
    axis, index = aligned("scatter_add", input, dim, index)
    source = source_of("scatter_add", input, index, src)
    shape = shape_of(input, "scatter_add")
    if not shape:
        return reshape(scatter_add(reshape(input, 1), 0, reshape(index, 1), reshape(source, 1)), ())
    added = bind(gather_grad_p, source, index, dim=axis, size=shape[axis])
    if shape_of(added) != shape:
        added = pad(added, [n for have, want in zip(reversed(shape), reversed(shape_of(added)), strict=True)
                            for n in (0, have - want)])
    return add(input, added)
