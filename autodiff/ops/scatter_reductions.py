"""Elements scattered along a dimension, where those that meet at one place are reduced.

They are taken in the order of the index, so the result has the same bits for any number of threads. An index has a
place for each element, or, with one dimension, for each row.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, PositionError, ShapeError, ValueRangeError
from autodiff.ops import strided
from autodiff.ops.broadcast import expand
from autodiff.ops.choice import limits, where
from autodiff.ops.comparison import eq, logical_and
from autodiff.ops.elementwise import div, mul
from autodiff.ops.picking import blocks, index_add, index_fill, index_select, outside, rows_of
from autodiff.ops.promotion import INT64, cast, constant
from autodiff.ops.samples import spread
from autodiff.ops.scattering import aligned, gather, scatter, scatter_add, source_of, written
from autodiff.ops.shaping import missing_dimension
from autodiff.ops.structural import contiguous, reshape
from autodiff.primitive import ErrorSample, Keep, Primitive, Sample, composed, define
from autodiff.spec import Array, Cost, Spec, moved

__all__ = ["index_reduce", "scatter_reduce"]

# ---- Products and extremes at places ---------------------------------------------------------------------------------


def _by_rows(x: Any, index: Any) -> bool:
    return bool(index.spec.ndim != x.spec.ndim)


def _read(x: Any, dim: int, index: Any) -> Any:
    return index_select(x, dim, index) if _by_rows(x, index) else gather(x, dim, index)


def _add(x: Any, dim: int, index: Any, source: Any) -> Any:
    return index_add(x, dim, index, source) if _by_rows(x, index) else scatter_add(x, dim, index, source)


def _reduce_prepare(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], dim: int, kind: str) -> dict[str, Any]:
    x, index, source = inputs
    along = index.shape == source.shape
    return {"kernel": kernels.scatter.reduce_along if along else kernels.scatter.reduce_rows,
            "shapes": (blocks(x.shape, dim), blocks(source.shape, dim), blocks(index.shape, dim) if along else -1),
            "number": getattr(kernels.scatter, kind)}


def _reduce_run(outs: list[Array], ins: list[Array], kernel: Any, shapes: tuple[Any, ...], number: int) -> None:
    (out, status), (x, index, source) = outs, ins
    strided.copy_array(out, x)
    target, numbers = out.reshape(shapes[0]), source.reshape(shapes[1])
    if x.dtype.kind == "b":
        target, numbers = target.view(np.uint8), numbers.view(np.uint8)
    kernel(target, status, numbers, index.reshape(shapes[2]), number, 0, 1)


def _extreme_vjp(record: Any, g: Any) -> tuple[Any, None, Any]:
    """Give equal extremes equal shares, as PyTorch does."""
    x, index, source = (record.input(i) for i in range(3))
    out, dim, zero = record.output(0), record.params["dim"], constant(0, g.spec.dtype)
    kept = eq(x, out)
    hit = eq(source, _read(out, dim, index))
    holders = _add(cast(kept, g.spec.dtype), dim, index, cast(hit, g.spec.dtype))
    share = div(g, where(eq(holders, 0), 1.0, holders))  # where all are NaN, none equals the result
    return where(kept, share, zero), None, where(hit, _read(share, dim, index), zero)


def _product_vjp(record: Any, g: Any) -> tuple[Any, None, Any]:
    """Divide the product by each factor; where a factor is 0, multiply the others anew."""
    x, index, source = (record.input(i) for i in range(3))
    dim = record.params["dim"]
    zero_x, zero_source = eq(x, 0), eq(source, 0)
    # What the product is without its zeros, and how many zeros each place has.
    filled_x, filled = where(zero_x, 1.0, x), where(zero_source, 1.0, source)
    rest = bind(record.primitive, filled_x, index, filled, dim=dim)
    zeros = _add(cast(zero_x, INT64), dim, index, cast(zero_source, INT64))
    one, none = eq(zeros, 1), eq(zeros, 0)
    nothing = constant(0, g.spec.dtype)
    ours = where(none, div(rest, filled_x), where(logical_and(one, zero_x), rest, nothing))
    rest, one, none = (_read(part, dim, index) for part in (rest, one, none))
    theirs = where(none, div(rest, filled), where(logical_and(one, zero_source), rest, nothing))
    return mul(g, ours), None, mul(_read(g, dim, index), theirs)


def _reduction(name: str, kind: str, vjp: Any) -> Primitive:
    x, source = spread(-1, 1, 3, 4), spread(-2, 2, 2, 4)
    index = np.array([[2, 0, 1, 2], [2, 1, 1, 0]])
    return define(
        f"scatter_{name}",
        infer=lambda x, index, source, dim: Spec.of(x.shape, x.dtype),
        run=_reduce_run,
        prepare=partial(_reduce_prepare, kind=kind),
        status=lambda position, ins, dim: outside(
            "scatter_reduce" if ins[1].ndim == ins[0].ndim else "index_reduce", position, ins[1], dim,
            ins[0].shape[dim]),
        vjp=vjp,
        saves=Keep(inputs=(0, 1, 2), outputs=(0,) if vjp is _extreme_vjp else ()),
        cost=lambda inputs, outputs, dim: Cost(inputs[2].size, moved(*inputs, *outputs)),
        samples=lambda: [Sample(x, index, source, dim=0), Sample(x, np.array([2, 2]), source, dim=0),
                         Sample(x.astype(np.float64), index, source.astype(np.float64), dim=0)],
        errors=lambda: [],
    )


_REDUCTIONS = {
    "prod": _reduction("prod", "PRODUCT", _product_vjp),
    "amax": _reduction("amax", "LARGEST", _extreme_vjp),
    "amin": _reduction("amin", "SMALLEST", _extreme_vjp),
}


def _start(reduce: str, dtype: Any) -> Any:
    """Return what a reduction of nothing is."""
    low, high = limits(dtype)
    return {"sum": 0, "mean": 0, "prod": 1, "amax": low, "amin": high}[reduce]


def _counts(x: Any, axis: int, index: Any, include_self: bool) -> Any:
    """Return how many elements are reduced at each place, as integers that broadcast with `x`."""
    one, rows = constant(1, INT64), _by_rows(x, index)
    count, dim = expand(one, x.spec.shape[axis:axis + 1] if rows else x.spec.shape), 0 if rows else axis
    count = count if include_self else scatter(count, dim, index, 0)
    count = scatter_add(count, dim, index, expand(one, index.spec.shape))
    return reshape(count, (-1, *(1,) * (x.spec.ndim - axis - 1))) if rows else count


def _scattered(x: Any, axis: int, index: Any, source: Any, reduce: str, include_self: bool) -> Any:
    """Return the reduction, for an index and a source as `aligned` and `source_of`, or `rows_of`, give them."""
    if not x.spec.ndim:
        index, source = reshape(index, -1), reshape(source, -1)
        return reshape(_scattered(reshape(x, 1), 0, index, source, reduce, include_self), ())
    base, rows = x, _by_rows(x, index)
    if not include_self:
        base = (index_fill if rows else scatter)(x, axis, index, _start(reduce, x.spec.dtype))
    if reduce == "sum":
        return _add(base, axis, index, source)
    if reduce == "mean":
        count = cast(_counts(x, axis, index, include_self), x.spec.dtype)
        return div(_add(base, axis, index, source), count, rounding_mode=None if x.spec.floating else "floor")
    reduction = _REDUCTIONS[reduce]
    if rows:
        return bind(reduction, contiguous(base), index, source, dim=axis)
    return written(base, axis, index, lambda part: bind(reduction, contiguous(part), index, source, dim=axis))


def _check(operation: str, reduce: str, names: tuple[str, ...]) -> None:
    if reduce not in names:
        raise ValueRangeError(operation, "this reduction does not exist", expected=", ".join(map(repr, names)),
                              got=repr(reduce))


def _scatter_reduce_samples() -> list[Sample]:
    x, index, source = spread(-1, 1, 3, 4), np.array([[2, 0, 1, 2], [2, 1, 1, 2], [2, 2, 1, 0]]), spread(-2, 2, 3, 4)
    ties = np.array([3, 1, 3], np.float32)
    samples = []
    for reduce in ("sum", "prod", "mean", "amax", "amin"):
        for include in (True, False):
            samples += [
                Sample(x, 0, index, source, reduce, include_self=include),
                Sample(x.T, 1, index[:2, :3].T, source.T, reduce, include_self=include),
                Sample(np.array([5, -3, 2]), 0, np.array([1, 1, 0]), np.array([4, -7, 2]), reduce,
                       include_self=include),
            ]
        samples += [
            Sample(x[0], -1, index[0], source[0], reduce), Sample(x, 0, index[:0], source, reduce),
            Sample(np.float32(2), 0, np.array(0), np.float32(3), reduce),
            Sample(ties, 0, np.array([0, 0, 2, 2]), np.array([3, 3, 3, np.nan], np.float32), reduce, gradient=False),
            Sample(x.astype(np.float64), 0, index, source.astype(np.float64), reduce),
        ]
    zeros = np.array([0, 0, 2, 3], np.float32)
    return [*samples, Sample(zeros, 0, np.array([0, 2, 2, 3]), np.array([2, 0, 5, 4], np.float32), "prod",
                               gradient=False)]


def _scatter_reduce_errors() -> list[ErrorSample]:
    x, index = np.ones((2, 3), np.float32), np.zeros((1, 3), np.int64)
    samples = [*missing_dimension(2, index, x, "amax"),
               ErrorSample(Sample(x, 0, index, x, "max"), ValueRangeError, "'sum', 'prod'.*got 'max'"),
               ErrorSample(Sample(x, 0, index[0], x, "sum"), ShapeError, "as many dimensions"),
               ErrorSample(Sample(x, 0, index, x[:, :2], "sum"), ShapeError, "at least"),
               ErrorSample(Sample(x, 0, x, x, "sum"), DTypeError, "integers")]
    return samples + [ErrorSample(Sample(x, 0, index + 2, x, reduce), PositionError, r"place \(0, 0\).*0 to 1; got 2")
                      for reduce in ("mean", "amin")]


@composed(samples=_scatter_reduce_samples, errors=_scatter_reduce_errors)
def scatter_reduce(input: TensorT, dim: int, index: Any, src: Any, reduce: str, *,
                   include_self: bool = True) -> TensorT:
    """Return `input` with ``src[i, j, k]`` reduced into ``[index[i, j, k], j, k]`` for dimension 0; others likewise.

    Args:
        input: any shape.
        dim: dimension.
        index: integers from 0 on; as many dimensions as `input` and, except in `dim`, no larger.
        src: at least as large as `index`; same dtype as `input`.
        reduce: ``"sum"``, ``"prod"``, ``"mean"`` (of integers, rounded down), ``"amax"`` or ``"amin"``. Equal extremes
            share the gradient in equal parts. Second derivatives of products leave out factors that are 0.
        include_self: whether what `input` holds takes part; otherwise a place that receives elements starts anew.

    Raises:
        PositionError: for an index outside the dimension.
        ShapeError: if the dimension does not exist, or `index` or `src` does not fit.
        DTypeError: if `index` does not hold integers, or `src` has another dtype.
        ValueRangeError: for another `reduce`.

    >>> import autodiff as ad
    >>> ad.scatter_reduce(ad.zeros(3), 0, ad.tensor([2, 2]), ad.tensor([1.0, 4.0]), "amax")
    tensor([0., 0., 4.])
    """
    _check("scatter_reduce", reduce, ("sum", "prod", "mean", "amax", "amin"))
    axis, places = aligned("scatter_reduce", input, dim, index)
    source = source_of("scatter_reduce", input, places, src)
    return _scattered(input, axis, places, source, reduce, include_self)  # type: ignore[no-any-return]


def _index_samples() -> list[Sample]:
    operands = ((spread(-1, 1, 3, 4), 0, spread(-2, 2, 3, 4)), (spread(-1, 1, 2, 3, 2), 1, spread(-2, 2, 2, 3, 2)),
                (spread(-1, 1, 4), 0, spread(-2, 2, 3)), (np.array([[5], [-3], [2]]), 0, np.array([[4], [-7], [2]])))
    return [Sample(x, dim, np.array([2, 0, 2]), source, reduce, include_self=include) for x, dim, source in operands
            for reduce in ("prod", "mean", "amax", "amin") for include in (True, False)]


@composed(samples=_index_samples, errors=lambda: [
    *missing_dimension(2, np.array([0]), np.ones((2, 3), np.float32), "amax"),
    ErrorSample(Sample(np.ones((2, 3), np.float32), 0, np.array([2]), np.ones((1, 3), np.float32), "amax"),
                PositionError, "0 to 1; got 2"),
    ErrorSample(Sample(np.ones((2, 3), np.float32), 0, np.array([0]), np.ones((2, 3), np.float32), "prod"),
                ShapeError, r"\(1, 3\); got \(2, 3\)"),
    ErrorSample(Sample(np.ones(2, np.float32), 0, np.array([0]), np.ones(1, np.float32), "sum"), ValueRangeError,
                "'prod'.*got 'sum'")])
def index_reduce(input: TensorT, dim: int, index: Any, source: Any, reduce: str, *,
                 include_self: bool = True) -> TensorT:
    """Return `input` with the slices of `source` reduced into the places of a dimension that `index` lists.

    Args:
        input: any shape.
        dim: dimension.
        index: (n,), integers.
        source: shape of `input` with n places in `dim`, same dtype.
        reduce: ``"prod"``, ``"mean"``, ``"amax"`` or ``"amin"``; see `index_add` for sums.
        include_self: whether what `input` holds takes part.

    Raises:
        PositionError: for an index outside the dimension.
        ShapeError: if the dimension does not exist or `source` does not fit.
        DTypeError: if `index` does not hold integers, or `source` has another dtype.
        ValueRangeError: for another `reduce`.

    >>> import autodiff as ad
    >>> ad.index_reduce(ad.zeros(3), 0, ad.tensor([1, 1]), ad.tensor([2.0, 3.0]), "amax")
    tensor([0., 3., 0.])
    """
    _check("index_reduce", reduce, ("prod", "mean", "amax", "amin"))
    axis, places, rows = rows_of("index_reduce", input, dim, index, source)
    return _scattered(input, axis, places, contiguous(rows), reduce, include_self)  # type: ignore[no-any-return]
