"""Broadcasting and its dual, the sum: each is the other's gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.bind import TensorT, bind
from autodiff.errors import ShapeError
from autodiff.ops import strided
from autodiff.ops.structural import axes, cast_to, contiguous, permute, require_tensor, reshape, shape_argument
from autodiff.primitive import EachPart, ErrorSample, Sample, define
from autodiff.spec import Array, Cost, DType, Shape, Spec, moved

__all__ = ["expand", "sum", "sum_to"]

INT64, FLOAT64 = np.dtype(np.int64), np.dtype(np.float64)

# ---- Expand ----------------------------------------------------------------------------------------------------------


def _expand_infer(x: Spec, shape: Shape) -> Spec:
    lead = len(shape) - x.ndim
    if lead < 0 or any(have not in (1, want) for have, want in zip(x.shape, shape[lead:], strict=True)):
        raise ShapeError(
            "expand",
            "the tensor cannot be expanded to this shape",
            expected="equal sizes, or 1 where the size grows, counted from the last dimension",
            got=f"{x.shape} to {shape}",
        )
    return Spec.of(shape, x.dtype)


def _expand_prepare(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], shape: Shape) -> dict[str, Any]:
    """Return the result's shape and its strides in bytes."""
    x = inputs[0]
    lead = len(shape) - x.ndim
    grown = [0 if have != want else step for have, want, step in zip(x.shape, shape[lead:], x.strides, strict=True)]
    return {"shape": shape, "strides": tuple([step * x.dtype.itemsize for step in (*(0,) * lead, *grown)])}


def _expand_run(array: Array, shape: Shape, strides: Shape) -> list[Array]:
    # np.broadcast_to marks its result read-only, which is another type to Numba: every kernel would compile again.
    if array.flags.c_contiguous:  # five times as fast
        return [np.ndarray(shape, array.dtype, array, 0, strides)]
    return [np.lib.stride_tricks.as_strided(array, shape, strides)]


expand_p = define(
    "expand",
    infer=_expand_infer,
    prepare=_expand_prepare,
    run=_expand_run,
    vjp=lambda record, g: (sum_to(g, record.inputs[0].shape),),
    cost=strided.free,
    view=True,
    samples=lambda: [
        Sample(np.arange(3, dtype=np.float32).reshape(3, 1), 2, -1, 4),
        Sample(np.float32(2), (2,)),
        Sample(np.zeros((1, 0), np.float32), (3, 0)),
    ],
    errors=lambda: [
        ErrorSample(Sample(np.ones((2, 3), np.float32), 2, 4), ShapeError, r"cannot be expanded.*\(2, 3\) to \(2, 4\)")
    ],
    call=lambda x, *shape: expand(x, *shape),
)


def expand(x: TensorT, *shape: Any) -> TensorT:
    """Return a view repeated along dimensions of size 1, without copying.

    Args:
        x: any shape.
        shape: sizes; -1 keeps a size. New dimensions may be added in front.

    Raises:
        ShapeError: if a dimension of another size than 1 would have to grow.

    >>> import autodiff as ad
    >>> ad.expand(ad.tensor([[1.0], [2.0]]), 2, 3)
    tensor([[1., 1., 1.],
            [2., 2., 2.]])
    """
    require_tensor("expand", x)
    spec: Spec = x.spec  # type: ignore[attr-defined]
    sizes = shape_argument(shape)
    lead = len(sizes) - spec.ndim
    sizes = tuple(spec.shape[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(sizes))
    return x if sizes == spec.shape else bind(expand_p, x, shape=sizes)


# ---- Sum -------------------------------------------------------------------------------------------------------------

# A reduction reads its input as (A, K1, B, K2) in memory order and reduces K1 and K2: this covers all dimensions, the
# leading, the trailing, one in the middle, and batch plus space of an image in either layout. Other choices of
# dimensions are permuted and copied first.
Groups = tuple[int, int, int, int]


@lru_cache(maxsize=4096)
def reduction_groups(spec: Spec, dims: tuple[int, ...]) -> Groups | None:
    """Return the sizes (A, K1, B, K2) of a dense tensor when `dims` are reduced, or None where it takes a copy."""
    if spec.order is None:
        return None
    if spec.size == 0:
        return 1, math.prod(spec.shape[axis] for axis in dims), math.prod(reduced_shape(spec.shape, dims, False)), 1
    sizes = [1, 1, 1, 1]
    at = 0
    kept = []
    for axis in spec.order:
        if spec.shape[axis] == 1:
            continue
        reduced = axis in dims
        while at < 4 and (at % 2 == 1) != reduced:
            at += 1
        if at == 4:
            return None
        sizes[at] *= spec.shape[axis]
        if not reduced:
            kept.append(axis)
    if at == 1:
        sizes[1], sizes[3] = 1, sizes[1]  # whole rows: the kernels go along K2
    # The kept dimensions must come out in their own order.
    return (sizes[0], sizes[1], sizes[2], sizes[3]) if kept == sorted(kept) else None


def reduced_shape(shape: Shape, dims: tuple[int, ...], keepdim: bool) -> Shape:
    """Return the shape that is left when `dims` are reduced."""
    if keepdim:
        return tuple(1 if axis in dims else n for axis, n in enumerate(shape))
    return tuple(n for axis, n in enumerate(shape) if axis not in dims)


def reducible(x: TensorT, dims: tuple[int, ...]) -> TensorT:
    """Return `x`, or a copy laid out so that `reduction_groups` exist."""
    spec: Spec = x.spec  # type: ignore[attr-defined]
    if (spec.contiguous and len(dims) in (1, spec.ndim)) or reduction_groups(spec, dims) is not None:
        return x
    x = contiguous(x)
    if reduction_groups(x.spec, dims) is not None:  # type: ignore[attr-defined]
        return x
    # Kept dimensions first in memory, reduced ones last; the view keeps the user's order.
    order = tuple(a for a in range(spec.ndim) if a not in dims) + dims
    from_memory = tuple(order.index(axis) for axis in range(spec.ndim))
    return permute(contiguous(permute(x, order)), from_memory)


def in_groups(array: Array, order: tuple[int, ...] | None, groups: Groups) -> Array:
    """Return a dense array as (A, K1, B, K2), in memory order; None is the order of its dimensions."""
    return (array if order is None else array.transpose(order)).reshape(groups)


def reduction_prepare(
    inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], dims: tuple[int, ...], **_: Any
) -> dict[str, Any]:
    """Return the grouping of a reduction for its `run`."""
    (x,) = inputs
    return {"order": None if x.contiguous else x.order, "groups": groups_of(x, dims)}


def groups_of(x: Spec, dims: tuple[int, ...]) -> Groups:
    """Return the grouping of a reduction whose input is reducible."""
    groups = reduction_groups(x, dims)
    assert groups is not None, "the operation's function makes its input reducible"
    return groups


def reduction(
    kernel: Any, inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], dims: tuple[int, ...]
) -> Callable[..., None]:
    """Return the function that runs a kernel of one output and one input on arrays of these specs."""
    (x,), (out,) = inputs, outputs
    sizes = groups_of(x, dims)
    function = kernels.entry.compiled(kernel, out.dtype, x.dtype)
    return lambda outs, ins: function(outs[0], ins[0], *sizes, 0, 1)


def sum_infer(x: Spec, dims: tuple[int, ...], keepdim: bool) -> Spec:
    """Return the spec of a sum, or of the mean, over `dims`."""
    return Spec.of(reduced_shape(x.shape, dims, keepdim), x.dtype)


def sum_prepare(
    inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], dims: tuple[int, ...], keepdim: bool, squared: bool = False
) -> Callable[..., None]:
    """Return the function that sums in one pass, or, where one number comes out of many, in blocks first."""
    (x,), (out,) = inputs, outputs
    of, compiled, wide = kernels.reduce, kernels.entry.compiled, accumulator(x)
    if in_blocks(x, out):
        blocks = compiled(of.square_sum_partial if squared else of.sum_partial, wide, x.dtype)
        combine = compiled(of.sum_combine, out.dtype, wide)

        def run(outs: Sequence[Array], ins: Sequence[Array]) -> None:
            blocks(outs[1], ins[0], 0, 1)
            combine(outs[0], outs[1], 0, 1)

        return run
    function = compiled(of.square_sum_axes if squared else of.sum_axes, out.dtype, wide, x.dtype)
    sizes = groups_of(x, dims)
    if along_rows(sizes):
        none = np.empty(0, wide)
        return lambda outs, ins: function(outs[0], none, ins[0], *sizes, 0, 1)
    return lambda outs, ins: function(outs[0], outs[1], ins[0], *sizes, 0, 1)


def sum_scratch(
    inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], dims: tuple[int, ...], **_: Any
) -> tuple[Spec | EachPart, ...]:
    """Return the scratch of a sum: partial sums where one number comes out of many, running sums of columns."""
    (x,), (out,) = inputs, outputs
    if in_blocks(x, out):
        return (partial_sums(x),)
    return () if along_rows(groups_of(x, dims)) else (running_sums(x),)


def along_rows(groups: Groups) -> bool:
    """Return whether the kernels go along K2, and need no running sums."""
    return groups[3] != 1


def column_sums(dtype: DType) -> Callable[..., None]:
    """Return ``sums(out, scratch, x, 1, rows, columns, 1, 0, 1)``, which adds up the rows of a float matrix."""
    function: Callable[..., None] = kernels.entry.compiled(kernels.reduce.sum_axes, dtype, np.float64, dtype)
    return function


def in_blocks(x: Spec, out: Spec) -> bool:
    """Return whether several threads may have to work on one number: then blocks are reduced first."""
    return out.size == 1 and x.size > kernels.reduce.ALONE


def partial_sums(x: Spec) -> Spec:
    """Return the spec of the partial sums that a full reduction of `x` needs."""
    return Spec.of((-(-x.size // kernels.reduce.BLOCK),), accumulator(x))


def running_sums(x: Spec) -> EachPart:
    """Return the spec of the running sums that `sum_axes` and the cumulative sums of `x` need."""
    return EachPart(Spec.of((1, 2, kernels.reduce.TILE), accumulator(x)))


def accumulator(x: Spec) -> DType:
    """Return the dtype in which numbers of the dtype of `x` are added up."""
    return FLOAT64 if x.floating else INT64


def _sum_samples() -> list[Sample]:
    x = np.linspace(-1, 2, 24, dtype=np.float32).reshape(2, 3, 4)
    image = np.linspace(-1, 2, 48, dtype=np.float32).reshape(2, 2, 4, 3).transpose(0, 3, 1, 2)
    return [
        Sample(x),
        Sample(x, 1, keepdim=True),
        Sample(x, 0),
        Sample(x, -1),
        Sample(image, (0, 2, 3)),
        Sample(image, (1,)),
        Sample(np.float32(3)),
        Sample(x[:, :0], 1),
        Sample(x.astype(np.float64), (0, 2), keepdim=True),
        Sample(x.transpose(2, 0, 1)[::2], (1, 2)),
        Sample(np.arange(6).reshape(2, 3), 1),
    ]


def _sum_vjp(record: Any, g: Any) -> tuple[Any]:
    shape, dims = record.inputs[0].shape, record.params["dims"]
    if not record.params["keepdim"] and dims != tuple(range(len(dims))):  # leading ones come back by themselves
        g = reshape(g, reduced_shape(shape, dims, True))
    return (expand(g, shape),)


sum_p = define(
    "sum",
    infer=sum_infer,
    run=strided.nothing,
    prepare=sum_prepare,
    scratch=sum_scratch,
    vjp=_sum_vjp,
    cost=lambda inputs, outputs, **_: Cost(inputs[0].size, moved(*inputs, *outputs)),
    samples=_sum_samples,
    errors=lambda: [
        ErrorSample(
            Sample(np.ones((2, 3), np.float32), 2), ShapeError, "dimension does not exist.*from -2 to 1; got 2"
        ),
        ErrorSample(Sample(np.ones((2, 3), np.float32), (0, 0)), ShapeError, "stands twice"),
    ],
    call=lambda x, dim=None, keepdim=False: sum(x, dim, keepdim),
)


def sum(x: TensorT, dim: int | Sequence[int] | None = None, keepdim: bool = False, *, dtype: Any = None) -> TensorT:
    """Return the sum over dimensions.

    Args:
        x: any shape and dtype; integers and bools are summed in int64.
        dim: dimension or dimensions; all by default.
        keepdim: keep the reduced dimensions with size 1.
        dtype: convert `x` first.

    Raises:
        ShapeError: if a dimension does not exist.

    >>> import autodiff as ad
    >>> ad.sum(ad.tensor([[1.0, 2.0], [3.0, 4.0]]), 0)
    tensor([4., 6.])
    """
    require_tensor("sum", x)
    spec: Spec = x.spec  # type: ignore[attr-defined]
    if dtype is not None or not spec.floating:
        x = cast_to(x, np.dtype(dtype) if dtype is not None else INT64)
    dims = axes("sum", dim, spec.ndim)
    result: TensorT = bind(sum_p, reducible(x, dims), dims=dims, keepdim=bool(keepdim))
    return result


def sum_to(g: Any, shape: Shape) -> Any:
    """Return `g` summed over the dimensions along which `shape` was broadcast; `g` itself when there are none."""
    have: Shape = g.spec.shape
    if have == shape:
        return g
    lead = len(have) - len(shape)
    stretched = tuple(range(lead)) + tuple(lead + i for i, n in enumerate(shape) if n == 1 and have[lead + i] != 1)
    if stretched:
        g = sum(g, stretched, keepdim=True)
    return reshape(g, shape) if lead else g
