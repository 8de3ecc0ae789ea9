"""Distances of all pairs of rows, of two matrices or of one, each with its gradient in one operation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.bind import TensorT, bind
from autodiff.errors import ShapeError, ValueRangeError
from autodiff.ops import strided
from autodiff.ops.broadcast import sum as total
from autodiff.ops.choice import where
from autodiff.ops.comparison import eq, ne
from autodiff.ops.elementwise import abs, div, mul, sign, spread, sub
from autodiff.ops.functions import pow
from autodiff.ops.host import from_array
from autodiff.ops.joining import zeros_of
from autodiff.ops.matrix_batches import in_batch, matrices
from autodiff.ops.picking import index_select
from autodiff.ops.promotion import promote_float
from autodiff.ops.shaping import unsqueeze
from autodiff.ops.statistics import vector_norm
from autodiff.ops.structural import contiguous, reshape, turned
from autodiff.primitive import EachPart, ErrorSample, Keep, Primitive, Sample, define, no_errors
from autodiff.spec import Array, Cost, Spec, moved

__all__ = ["cdist", "pdist"]

_MODES = ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist")


def _by_columns(x: Any) -> Any:
    return contiguous(turned(x))


def _scratch(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], **_: Any) -> tuple[Spec, EachPart]:
    """Return the specs of the other matrix by columns, and of a row of sums."""
    other = inputs[-1]
    *batch, rows, columns = other.shape
    return (Spec.of((*batch, columns, rows), other.dtype),
            EachPart(Spec.of((1, kernels.pairwise.PANEL), np.float64)))


def _cost(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], **_: Any) -> Cost:
    return Cost(3 * outputs[0].size * inputs[-1].shape[-1], moved(*inputs, *outputs))


def _require_order(operation: str, p: float) -> None:
    if not p >= 0:
        raise ValueRangeError(operation, "the order of the norm is negative or NaN", expected="0 or more", got=str(p))


# ---- Of two matrices -------------------------------------------------------------------------------------------------

# Inputs in C order: (..., P, columns) and (..., R, columns).


def _between_run(outs: list[Array], ins: list[Array], p: float) -> None:
    (out, columns, scratch), (a, b) = outs, map(matrices, ins)
    n, rows, others = matrices(out).shape
    kernels.layout.transpose(matrices(columns), b, 0, 1)
    kernels.pairwise.distances(out.reshape(n, rows * others), scratch, a, matrices(columns), p, 0, 0, 1)


def _between_vjp(record: Any, g: Any) -> tuple[Any, Any]:
    p, (to_a, to_b) = record.params["p"], record.mask
    if p == 0:
        a, b = record.inputs
        return zeros_of(a) if to_a else None, zeros_of(b) if to_b else None
    a, b, lengths = record.input(0), record.input(1), record.output(0)
    by_a = bind(cdist_grad_p, contiguous(g), lengths, a, b, p=p) if to_a else None
    by_b = bind(cdist_grad_p, _by_columns(g), _by_columns(lengths), b, a, p=p) if to_b else None
    return by_a, by_b


def _far(*shape: int) -> Any:
    return spread(2, 5, *shape)


def _between_samples() -> list[Sample]:
    x = spread(-1, 1, 4, 3)
    return [
        Sample(x, _far(5, 3)),
        Sample(spread(-1, 1, 2, 4, 3), _far(5, 3), 1.0),
        Sample(spread(-1, 1, 2, 1, 4, 3), _far(3, 5, 3), math.inf),
        Sample(x, _far(5, 3), 3),
        Sample(x, _far(5, 3), 0.5),
        Sample(x, _far(5, 3), 0, gradient=False),
        Sample(spread(-1, 1, 3, 4).T, _far(3, 5).T, compute_mode="use_mm_for_euclid_dist"),
        *[Sample(spread(-1, 1, 3, 70), _far(75, 70), p) for p in (2, 1, math.inf, 1.5)],
        Sample(spread(-1, 1, 0, 3), _far(5, 3)),
        Sample(x, _far(0, 3)),
        Sample(spread(-1, 1, 4, 0), _far(5, 0)),
        Sample(x, spread(-1, 1, 4, 3), gradient=False),
        Sample(spread(-1, 1, 40, 3, dtype=np.float64), _far(5, 3).astype(np.float64)),
        *[Sample(np.array([[1, np.nan], [2, 3]], np.float32), x[:, :2], p, gradient=False) for p in (1, 2, math.inf)],
    ]


def _between_errors() -> list[ErrorSample]:
    x = np.ones((3, 2), np.float32)
    return [
        ErrorSample(Sample(x, np.ones((3, 4), np.float32)), ShapeError, "as many columns"),
        ErrorSample(Sample(x[:, 0], x), ShapeError, r"\(\.\.\., rows, columns\)"),
        ErrorSample(Sample(np.ones((2, 3, 2), np.float32), np.ones((3, 3, 2), np.float32)), ShapeError, "broadcast"),
        ErrorSample(Sample(x, x, -1), ValueRangeError, "negative"),
        ErrorSample(Sample(x, x, compute_mode="mm"), ValueRangeError, "'mm'"),
    ]


cdist_p: Primitive = define(
    "cdist",
    infer=lambda a, b, p: Spec.of((*a.shape[:-1], b.shape[-2]), a.dtype),
    run=_between_run,
    scratch=_scratch,
    vjp=_between_vjp,
    saves=Keep(inputs=(0, 1), outputs=(0,)),
    cost=_cost,
    samples=_between_samples,
    errors=_between_errors,
    call=lambda *arguments, **keywords: cdist(*arguments, **keywords),
)


def cdist(
    x1: TensorT, x2: TensorT, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary"
) -> TensorT:
    """Return the p-norm of the difference of each row of `x1` and each row of `x2`.

    Args:
        x1: (..., P, columns).
        x2: (..., R, columns); leading dimensions broadcast.
        p: order of the norm, from 0 (how many elements differ) to infinity.
        compute_mode: accepted for PyTorch's sake: distances are always those of the differences, which loses no digits
            where rows are near each other.

    Returns:
        (..., P, R). The gradient of a distance of 0 is 0. For infinity all largest differences have one.

    Raises:
        ShapeError: if the shapes do not fit.
        ValueRangeError: if p is negative, or for another mode.

    >>> import autodiff as ad
    >>> ad.cdist(ad.tensor([[0.0, 0.0], [0.0, 3.0]]), ad.tensor([[4.0, 0.0]]))
    tensor([[4.],
            [5.]])
    """
    a, b = promote_float("cdist", x1, x2)
    for x in (a, b):
        if x.spec.ndim < 2:
            raise ShapeError("cdist", "these are no rows", expected="(..., rows, columns)", got=str(x.spec.shape))
    if a.spec.shape[-1] != b.spec.shape[-1]:
        raise ShapeError("cdist", "the rows do not have as many columns", got=f"{a.spec.shape} and {b.spec.shape}")
    _require_order("cdist", p)
    if compute_mode not in _MODES:
        raise ValueRangeError(
            "cdist", "this mode does not exist", expected=", ".join(map(repr, _MODES)), got=repr(compute_mode)
        )
    batch = strided.broadcast("cdist", Spec.of(a.spec.shape[:-2]), Spec.of(b.spec.shape[:-2]))
    return bind(cdist_p, in_batch(a, batch), in_batch(b, batch), p=float(p))  # type: ignore[no-any-return]


# The gradient by the first matrix: inputs are the cotangent, the distances, and both matrices.


def _grad_run(outs: list[Array], ins: list[Array], p: float) -> None:
    out, scratch = outs
    kernels.pairwise.distances_grad(matrices(out), scratch, *map(matrices, ins), p, 0, 1)


def _grad_twin(g: Any, lengths: Any, a: Any, b: Any, p: float) -> Any:
    difference = sub(unsqueeze(a, -2), unsqueeze(b, -3))
    length, size, slope = vector_norm(difference, p, -1), abs(difference), sign(difference)
    away = ne(length, 0)
    weight = where(away, g, 0.0)
    if math.isinf(p):
        slope = where(eq(size, unsqueeze(length, -1)), slope, 0.0)
    elif p != 1:
        slope = mul(slope, pow(where(eq(size, 0), 1.0, size), p - 1))
        weight = div(weight, pow(where(away, length, 1.0), p - 1))
    return total(mul(unsqueeze(weight, -1), slope), -2)


def _grad_samples() -> list[Sample]:
    """The distances take part; their derivative is that of the matrices, so it is not checked here."""
    found = []
    for p in (2.0, 1.0, math.inf, 3.0, 0.5):
        for columns in (3, 40):
            a, b = spread(-1, 1, 2, 4, columns), _far(2, 70, columns)
            lengths = bind(cdist_p, from_array(a), from_array(b), p=p)
            found.append(Sample(spread(-1, 2, 2, 4, 70), lengths.array, a, b, p=p, gradient=False, tolerance=5e-5))
    return found


cdist_grad_p: Primitive = define(
    "cdist_grad",
    infer=lambda g, lengths, a, b, p: Spec.of(a.shape, a.dtype),
    run=_grad_run,
    scratch=lambda inputs, outputs, p: (EachPart(Spec.of((1, inputs[0].shape[-1]), inputs[0].dtype)),),
    vjp=None,
    twin=_grad_twin,
    cost=lambda inputs, outputs, p: Cost(3 * inputs[0].size * inputs[2].shape[-1], moved(*inputs, *outputs)),
    samples=_grad_samples,
    errors=no_errors,
)


# ---- Of one matrix ---------------------------------------------------------------------------------------------------


def _pairs(n: int) -> int:
    return n * (n - 1) // 2


def _uneven(*shape: int) -> Array:
    """Return rows of which no two are near each other, or differ as much in two columns."""
    found: Array = 3 * np.cos(np.arange(math.prod(shape)) ** 2 + 1.0).astype(np.float32).reshape(shape)
    return found


def _within_run(outs: list[Array], ins: list[Array], p: float) -> None:
    (out, columns, scratch), (x,) = outs, ins
    x, columns = matrices(x), matrices(columns)
    kernels.layout.transpose(columns, x, 0, 1)
    kernels.pairwise.distances(out.reshape(1, out.size), scratch, x, columns, p, 1, 0, 1)


def _within_vjp(record: Any, g: Any) -> tuple[Any]:
    p, spec = record.params["p"], record.inputs[0]
    if p == 0 or spec.shape[0] < 2:
        return (zeros_of(spec),)
    x = record.input(0)
    g, lengths = (bind(pdist_square_p, contiguous(pairs), size=spec.shape[0]) for pairs in (g, record.output(0)))
    return (bind(cdist_grad_p, g, lengths, x, x, p=p),)


pdist_p: Primitive = define(
    "pdist",
    infer=lambda x, p: Spec.of((_pairs(x.shape[0]),), x.dtype),
    run=_within_run,
    scratch=_scratch,
    vjp=_within_vjp,
    saves=Keep(inputs=(0,), outputs=(0,)),
    cost=_cost,
    samples=lambda: [
        Sample(spread(-1, 1, 4, 3)), Sample(spread(-1, 1, 3, 4).T, 1), Sample(spread(-1, 1, 4, 3, dtype=np.float64), 3),
        Sample(spread(-1, 1, 1, 3)), Sample(spread(-1, 1, 0, 3)), Sample(spread(-1, 1, 4, 3), 0, gradient=False),
        *[Sample(_uneven(71, 5), p) for p in (2, math.inf, 3)],
    ],
    errors=lambda: [ErrorSample(Sample(np.ones(3, np.float32)), ShapeError, r"\(rows, columns\); got \(3,\)"),
                    ErrorSample(Sample(np.ones((3, 2), np.float32), -1), ValueRangeError, "negative")],
    call=lambda *arguments: pdist(*arguments),
)


def pdist(input: TensorT, p: float = 2.0) -> TensorT:
    """Return the p-norm of the difference of each row and each row behind it.

    Args:
        input: (rows, columns).
        p: order of the norm, from 0 (how many elements differ) to infinity.

    Returns:
        (rows * (rows - 1) / 2,): row 0 with 1, 2, ..., then row 1 with 2, and so on. Gradients are those of `cdist`.

    Raises:
        ShapeError: if `input` is no matrix.
        ValueRangeError: if p is negative.

    >>> import autodiff as ad
    >>> ad.nn.functional.pdist(ad.tensor([[0.0, 0.0], [0.0, 3.0], [4.0, 0.0]]))
    tensor([3., 4., 5.])
    """
    (x,) = promote_float("pdist", input)
    if x.spec.ndim != 2:
        raise ShapeError("pdist", "the input is no matrix", expected="(rows, columns)", got=str(x.spec.shape))
    _require_order("pdist", p)
    return bind(pdist_p, contiguous(x), p=float(p))  # type: ignore[no-any-return]


def _square_run(outs: list[Array], ins: list[Array], size: int) -> None:
    kernels.pairwise.square_of_pairs(outs[0], ins[0], 0, 1)


def _square_twin(pairs: Any, size: int) -> Any:
    places = np.zeros((size, size), np.int64)
    first, second = np.triu_indices(size, 1)
    places[first, second] = places[second, first] = np.arange(_pairs(size))
    read = reshape(index_select(pairs, 0, from_array(places.reshape(-1))), (size, size))
    return where(from_array(np.eye(size, dtype=np.bool_)), 0.0, read)


pdist_square_p: Primitive = define(
    "pdist_square",
    infer=lambda pairs, size: Spec.of((size, size), pairs.dtype),
    run=_square_run,
    vjp=None,
    twin=_square_twin,
    cost=lambda inputs, outputs, size: Cost(0, moved(*inputs, *outputs)),
    samples=lambda: [Sample(spread(-1, 1, 10), size=5), Sample(spread(-1, 1, 1, dtype=np.float64), size=2)],
    errors=no_errors,
)
