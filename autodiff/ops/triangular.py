"""Triangular systems, and systems whose matrix has been factorised into triangles."""

from __future__ import annotations

from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops import strided
from autodiff.ops.broadcast import sum_to
from autodiff.ops.diagonals import tril, triu
from autodiff.ops.elementwise import neg, spread
from autodiff.ops.matrix_batches import in_batch, matrices, require_matrices
from autodiff.ops.products import matmul, require_floats
from autodiff.ops.structural import contiguous, require_tensor, turned
from autodiff.primitive import EachPart, ErrorSample, Keep, Primitive, Sample, composed, define
from autodiff.spec import Array, Cost, Spec, moved

# The name that PyTorch has outside `linalg`, too.
__all__ = ["cholesky_solve"]

_NAME = "linalg.solve_triangular"


# Inputs in C order: the matrices, (..., n, n) or (n, n) for all, and the right-hand sides (..., n, k).


def _run(outs: list[Array], ins: list[Array], upper: bool, unitriangular: bool, transposed: bool) -> None:
    out, scratch, status = outs
    a, b = ins
    kernels.triangular.solve_triangular(matrices(out), scratch, status, matrices(a), matrices(b), int(upper),
                                        int(transposed), int(unitriangular), 0, 1)


def _scratch(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], **_: Any) -> tuple[EachPart]:
    """Return the spec of a panel."""
    b = inputs[1]
    return (EachPart(Spec.of((1, b.shape[-2], kernels.triangular.PANEL_BYTES // b.dtype.itemsize), b.dtype)),)


def _singular(position: int, ins: list[Array], **_: Any) -> Exception:
    shape = ins[0].shape[:-2]
    which = f"matrix {tuple(map(int, np.unravel_index(position, shape)))}" if shape else "the matrix"
    return ValueRangeError(_NAME, f"{which} is singular: there is a 0 on its diagonal",
                           fix="add a small multiple of the identity, or use linalg.pinv or linalg.lstsq")


def _vjp(record: Any, g: Any) -> tuple[Any, Any]:
    a, x, params = record.input(0), record.output(0), record.params
    upper, unit, transposed = params["upper"], params["unitriangular"], params["transposed"]
    by_b = bind(solve_triangular_p, a, contiguous(g), upper=upper, unitriangular=unit, transposed=not transposed)
    if not record.mask[0]:
        return None, by_b
    product = matmul(x, turned(by_b)) if transposed else matmul(by_b, turned(x))
    diagonal = (1 if upper else -1) if unit else 0
    return neg((triu if upper else tril)(sum_to(product, a.spec.shape), diagonal)), by_b


def _samples() -> list[Sample]:
    a, b = spread(-1, 1, 2, 3, 3) + np.diag([2, -3, 4]).astype(np.float32), spread(-1, 1, 2, 3, 2)
    # Beyond one register tile of rows and of columns, and beyond one stretch of a sum.
    tall = (spread(-0.3, 0.3, 20, 20) + 3 * np.eye(20)).astype(np.float32)
    long = (spread(-0.02, 0.02, 270, 270) + 3 * np.eye(270)).astype(np.float32)
    return [Sample(a, b, upper=True), Sample(a, b, upper=False), Sample(a[0], b, upper=False, unitriangular=True),
            Sample(a, b, upper=True, unitriangular=True),
            Sample(a, np.swapaxes(b, -1, -2), upper=True, left=False),
            Sample(a[1], np.swapaxes(b, -1, -2), upper=False, left=False),
            Sample(a, b[0], upper=False), Sample(a[:, None], b, upper=True),
            *[Sample(tall, spread(-1, 1, 20, 37), upper=upper) for upper in (False, True)],
            Sample(tall, spread(-1, 1, 3, 20), upper=True, left=False),
            Sample(long, spread(-1, 1, 270, 3), upper=True),
            Sample(a[:0], b[:0], upper=True), Sample(a, b[..., :0], upper=True),
            Sample(a.astype(np.float64), b.astype(np.float64), upper=True)]


def _errors() -> list[ErrorSample]:
    one, eye, zeros = np.ones((2, 1), np.float32), np.eye(2, dtype=np.float32), np.zeros((2, 2), np.float32)
    return [
        ErrorSample(Sample(np.ones((2, 3), np.float32), one, upper=True), ShapeError, "square"),
        ErrorSample(Sample(eye, np.ones((3, 1), np.float32), upper=True), ShapeError, "do not fit"),
        ErrorSample(Sample(eye, np.ones(2, np.float32), upper=True), ShapeError, "do not fit"),
        ErrorSample(Sample(eye, one.astype(np.float64), upper=True), DTypeError, "one float dtype"),
        ErrorSample(Sample(zeros, one, upper=True), ValueRangeError, r"solve_triangular\] the matrix is singular"),
        ErrorSample(Sample(np.array([eye, zeros]), one, upper=True), ValueRangeError, r"matrix \(1,\) is singular"),
    ]


solve_triangular_p: Primitive = define(
    "linalg_solve_triangular",
    infer=lambda a, b, **_: Spec.of(b.shape, b.dtype),
    run=_run,
    scratch=_scratch,
    status=_singular,
    vjp=_vjp,
    saves=Keep(inputs=(0,), outputs=(0,)),
    cost=lambda inputs, outputs, **_: Cost(inputs[1].size * inputs[1].shape[-2], moved(*inputs, *outputs)),
    samples=_samples,
    errors=_errors,
    call=lambda *arguments, **keywords: solve_triangular(*arguments, **keywords),
)


def solve_triangular(A: TensorT, B: TensorT, *, upper: bool, left: bool = True,
                     unitriangular: bool = False) -> TensorT:
    """Return the X of ``A @ X = B`` for triangular matrices; the other triangle is not read.

    Args:
        A: (..., n, n), floats.
        B: (..., n, k), or (..., k, n) for ``left=False``; leading dimensions broadcast.
        upper: whether the upper triangle is meant, or the lower one.
        left: False for ``X @ A = B``.
        unitriangular: take the diagonal as ones.

    Raises:
        ValueRangeError: if a matrix is singular.
        ShapeError: unless the matrices are square and fit.
        DTypeError: unless both hold one float dtype.

    >>> import autodiff as ad
    >>> ad.linalg.solve_triangular(ad.tensor([[2.0, 0.0], [1.0, 4.0]]), ad.tensor([[2.0], [5.0]]), upper=False)
    tensor([[1.],
            [1.]])
    """
    a: Any = A
    b: Any = B
    for x in (a, b):
        require_tensor(_NAME, x)
    require_matrices(_NAME, a.spec)
    require_floats(_NAME, a.spec, b.spec)
    n = a.spec.shape[-1]
    if b.spec.ndim < 2 or b.spec.shape[-2 if left else -1] != n:
        raise ShapeError(_NAME, "the right-hand sides do not fit the matrices",
                         expected=f"(..., {n}, k)" if left else f"(..., k, {n})", got=str(b.spec.shape))
    batch = strided.broadcast(_NAME, Spec.of(a.spec.shape[:-2]), Spec.of(b.spec.shape[:-2]))
    a, b = in_batch(a, batch if a.spec.ndim > 2 else ()), in_batch(b if left else turned(b), batch)
    found = bind(solve_triangular_p, a, b, upper=bool(upper), unitriangular=bool(unitriangular), transposed=not left)
    return found if left else turned(found)  # type: ignore[no-any-return]


@composed(samples=lambda: [
    Sample(spread(-1, 1, 2, 3, 2), np.tril(spread(-1, 1, 2, 3, 3)) + 2 * np.eye(3, dtype=np.float32)),
    Sample(spread(-1, 1, 3, 2, dtype=np.float64), np.triu(spread(-1, 1, 3, 3, dtype=np.float64)) + 2 * np.eye(3),
           True)],
    errors=lambda: [ErrorSample(Sample(np.ones((2, 1), np.float32), np.ones((2, 3), np.float32)), ShapeError,
                                "square")])
def cholesky_solve(input: TensorT, L: TensorT, upper: bool = False) -> TensorT:
    """Return the X of ``A @ X = input``, given the factor L of ``A = L @ L.mT``.

    Args:
        input: (..., n, k).
        L: (..., n, n), lower triangles, as `linalg.cholesky` returns them.
        upper: L is the upper triangle of ``A = L.mT @ L``.

    Raises:
        ValueRangeError: if a matrix is singular.
        ShapeError: unless the matrices are square and fit.
        DTypeError: unless both hold one float dtype.

    >>> import autodiff as ad
    >>> ad.cholesky_solve(ad.tensor([[8.0]]), ad.tensor([[2.0]]))
    tensor([[2.]])
    """
    require_tensor("cholesky_solve", L)
    first, second = (turned(L), L) if upper else (L, turned(L))
    return solve_triangular(second, solve_triangular(first, input, upper=False), upper=True)
