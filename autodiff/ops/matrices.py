"""Inverses and factorizations of matrices: NumPy's LAPACK, with gradients.

All take matrices in the last two dimensions. The gradients are matrix products and solutions of systems, so they can be
differentiated again. Source of the formulas: Giles, "Collected matrix derivative results for forward and reverse mode
algorithmic differentiation", 2008; Walter & Lehmann, "On evaluating higher-order derivatives of the QR decomposition",
2010.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops.broadcast import expand
from autodiff.ops.diagonals import diag_embed, tril
from autodiff.ops.elementwise import add, div, mul, neg, spread, sub
from autodiff.ops.host import from_array
from autodiff.ops.joining import cat
from autodiff.ops.matrix_batches import require_matrices
from autodiff.ops.products import matmul, require_floats
from autodiff.ops.shaping import squeeze, unsqueeze
from autodiff.ops.structural import narrow, require_tensor, turned
from autodiff.ops.triangular import solve_triangular
from autodiff.primitive import ErrorSample, Keep, Primitive, Sample, define
from autodiff.spec import Array, Cost, Spec, moved

# The names that PyTorch has outside `linalg` too, with the same meaning.
__all__ = ["cholesky", "inverse"]


def _product(*factors: Any) -> Any:
    result = factors[0]
    for factor in factors[1:]:
        result = matmul(result, factor)
    return result


def _total(*parts: Any) -> Any:
    """Return the sum of the parts that are there."""
    there = [part for part in parts if part is not None]
    result = there[0]
    for part in there[1:]:
        result = add(result, part)
    return result


def symmetric(x: Any) -> Any:
    """Return the symmetric parts of matrices."""
    return mul(add(x, turned(x)), 0.5)


def identity(x: Any, n: int) -> Any:
    """Return the identity (n, n) in the dtype of `x`."""
    return from_array(np.eye(n, dtype=x.spec.dtype))


def _run(outs: list[Array], ins: list[Array], function: Callable[..., Any]) -> None:
    """Fill the outputs; where LAPACK fails, report the first matrix that it fails for."""
    *results, status = outs
    try:
        found = function(*ins)
    except np.linalg.LinAlgError:
        for position, place in enumerate(np.ndindex(ins[0].shape[:-2])):
            try:
                function(*(array[place] for array in ins))
            except np.linalg.LinAlgError:
                status[0] = position
                return
        raise
    for out, value in zip(results, found if len(results) > 1 else (found,), strict=True):
        out[...] = value


def _failure(name: str, what: str, fix: str, position: int, ins: Sequence[Array]) -> Exception:
    shape = ins[0].shape[:-2]
    which = f"matrix {tuple(map(int, np.unravel_index(position, shape)))}" if shape else "the matrix"
    return ValueRangeError(f"linalg.{name}", f"{which} {what}", fix=fix)


def lapack(
    name: str,
    function: Callable[..., Any],
    infer: Callable[..., Any],
    vjp: Callable[..., Any] | None,
    saves: Keep,
    samples: Callable[[], list[Sample]],
    call: Callable[..., Any] | None,
    flops: float,
    failure: tuple[str, str] = ("does not converge", "look for NaN and infinity in it"),
    square: bool = True,
    twin: Callable[..., Any] | None = None,
) -> Primitive:
    """Declare an operation that a function of NumPy computes, with about ``flops * m * n * min(m, n)`` operations."""

    def cost(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], **_: Any) -> Cost:
        a = inputs[0]
        return Cost(int(flops * a.size * min(a.shape[-2:])), moved(*inputs, *outputs))

    def errors() -> list[ErrorSample]:
        if call is None:
            return []
        bad = np.array([np.eye(2), -np.ones((2, 2))], np.float32)
        other = [np.ones((2, 2), np.float32)] if name == "solve" else []
        return [
            ErrorSample(Sample(np.ones(3, np.float32), *other), ShapeError, rf"\[linalg.{name}\] these are no .*matri"),
            ErrorSample(Sample(np.ones((2, 2), np.int64), *other), DTypeError, "float dtype.*int64"),
            *([ErrorSample(Sample(np.ones((2, 3), np.float32), *other), ShapeError, "no square matrices")] * square),
            *([ErrorSample(Sample(bad, *other), ValueRangeError, rf"matrix \(1,\) {failure[0]}; add")]
              if failure[1].startswith("add") else []),
        ]

    return define(
        f"linalg_{name}",
        infer=infer,
        run=partial(_run, function=function),
        vjp=vjp,
        twin=twin,
        saves=saves,
        cost=cost,
        host=True,
        status=lambda position, ins, **_: _failure(name, *failure, position, ins),
        samples=samples,
        errors=errors,
        call=call,
    )


def square_samples(symmetric: bool = False) -> list[Sample]:
    """Return well-conditioned matrices; symmetric ones are positive definite with distinct eigenvalues."""
    plain = spread(-1, 1, 3, 3) + np.diag([3, -4, 5]).astype(np.float32)
    batch = spread(-1, 1, 2, 3, 3) + np.diag([4, 6, 9]).astype(np.float32)
    found = [batch, plain.astype(np.float64), batch[:1, :1, :1], batch[:0]]
    if symmetric:
        found = [(x + np.swapaxes(x, -1, -2)) / 2 for x in found]
        found[1] = found[1] @ found[1]
    return [Sample(x) for x in found]


def made_symmetric(x: Any) -> Any:
    """Return what the samples of an operation that reads one triangle differentiate by: the symmetric part."""
    square = x.spec.ndim > 1 and x.spec.shape[-1] == x.spec.shape[-2]
    return symmetric(x) if square and x.spec.floating else x


_SINGULAR = "is singular", "add a small multiple of the identity, or use linalg.pinv or linalg.lstsq"


def _same_infer(name: str, a: Spec) -> Spec:
    require_matrices(f"linalg.{name}", a)
    return Spec.of(a.shape, a.dtype)


# ---- Inverse and systems ---------------------------------------------------------------------------------------------


def _inv_vjp(record: Any, g: Any) -> tuple[Any]:
    inverse = turned(record.output(0))
    return (neg(_product(inverse, g, inverse)),)


inv_p = lapack(
    "inv", np.linalg.inv, partial(_same_infer, "inv"), _inv_vjp, Keep(outputs=(0,)), square_samples,
    lambda a: inv(a), 2, _SINGULAR,
)  # fmt: skip


def inv(A: TensorT) -> TensorT:
    """Return the inverses of square matrices.

    Args:
        A: (..., n, n), floats.

    Raises:
        ValueRangeError: if a matrix is singular.
        ShapeError: unless the matrices are square.
        DTypeError: unless `A` holds floats.

    >>> import autodiff as ad
    >>> ad.linalg.inv(ad.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    require_tensor("linalg.inv", A)
    return bind(inv_p, A)  # type: ignore[no-any-return]


inverse = inv


def _solve_infer(a: Spec, b: Spec) -> Spec:
    require_matrices("linalg.solve", a)
    require_floats("linalg.solve", a, b)
    return Spec.of(b.shape, b.dtype)


def _solve_vjp(record: Any, g: Any) -> tuple[Any, Any]:
    back = bind(solve_p, turned(record.input(0)), g)
    return neg(matmul(back, turned(record.output(0)))), back


def _solve_samples() -> list[Sample]:
    a = spread(-1, 1, 2, 3, 3) + np.diag([4, -6, 9]).astype(np.float32)
    b = spread(-2, 2, 2, 3, 4)
    return [Sample(a, b), Sample(a[0].astype(np.float64), b[0, :, 0].astype(np.float64)), Sample(a[1], b),
            Sample(a, b[1]), Sample(a, b[..., 0])]


solve_p = lapack(
    "solve", np.linalg.solve, _solve_infer, _solve_vjp, Keep(inputs=(0,), outputs=(0,)), _solve_samples,
    lambda a, b: solve(a, b), 1, _SINGULAR,
)  # fmt: skip


def right_sides(operation: str, a: Spec, b: Any) -> tuple[Any, bool]:
    """Return the right-hand sides for matrices as matrices (..., m, k), and whether they were vectors.

    Raises:
        ShapeError: unless they fit the matrices.
    """
    shape = b.spec.shape
    vector = len(shape) == 1 or shape == a.shape[:-1]
    if not shape or shape[-1 if vector else -2] != a.shape[-2]:
        raise ShapeError(operation, "the right-hand sides do not fit the matrices",
                         expected=f"(..., {a.shape[-2]}, k)", got=str(shape))
    return unsqueeze(b, -1) if vector else b, vector


def solve(A: TensorT, B: TensorT) -> TensorT:
    """Return the X of ``A @ X = B``.

    Args:
        A: (..., n, n), floats.
        B: (..., n, k), or (n,) or (..., n) with the leading dimensions of `A`: one right-hand side each; leading
            dimensions broadcast otherwise.

    Raises:
        ValueRangeError: if a matrix is singular.
        ShapeError: unless the matrices are square and fit.
        DTypeError: unless both hold one float dtype.

    >>> import autodiff as ad
    >>> ad.linalg.solve(ad.tensor([[2.0, 0.0], [0.0, 4.0]]), ad.tensor([2.0, 2.0]))
    tensor([1.0000, 0.5000])
    """
    a: Any = A
    b: Any = B
    for x in (a, b):
        require_tensor("linalg.solve", x)
    require_matrices("linalg.solve", a.spec)
    b, vector = right_sides("linalg.solve", a.spec, b)
    try:
        lead = np.broadcast_shapes(a.spec.shape[:-2], b.spec.shape[:-2])
    except ValueError:
        raise ShapeError("linalg.solve", "the leading dimensions do not broadcast",
                         got=f"{a.spec.shape} and {b.spec.shape}") from None
    a, b = (x if x.spec.shape[:-2] == lead else expand(x, (*lead, *x.spec.shape[-2:])) for x in (a, b))
    result = bind(solve_p, a, b)
    return squeeze(result, -1) if vector else result  # type: ignore[no-any-return]


# ---- Factorizations --------------------------------------------------------------------------------------------------


def _cholesky_vjp(record: Any, g: Any) -> tuple[Any]:
    lower = record.output(0)
    inner = matmul(turned(lower), g)
    half = sub(tril(inner), mul(mul(inner, identity(inner, inner.spec.shape[-1])), 0.5))
    # lower.T ** -1 @ half @ lower ** -1
    left = solve_triangular(turned(lower), half, upper=True)
    return (symmetric(turned(solve_triangular(turned(lower), turned(left), upper=True))),)


cholesky_p = lapack(
    "cholesky", np.linalg.cholesky, partial(_same_infer, "cholesky"), _cholesky_vjp, Keep(outputs=(0,)),
    partial(square_samples, True), lambda a: cholesky(made_symmetric(a)), 0.3,
    ("is not positive definite", "add a small multiple of the identity"),
)  # fmt: skip


def cholesky(A: TensorT) -> TensorT:
    """Return the lower triangles L with positive diagonals for which ``A = L @ L.mT``.

    Args:
        A: (..., n, n) symmetric and positive definite; the lower triangle is read.

    Raises:
        ValueRangeError: if a matrix is not positive definite.
        ShapeError: unless the matrices are square.
        DTypeError: unless `A` holds floats.

    >>> import autodiff as ad
    >>> ad.linalg.cholesky(ad.tensor([[4.0, 2.0], [2.0, 2.0]]))
    tensor([[2., 0.],
            [1., 1.]])
    """
    require_tensor("linalg.cholesky", A)
    return bind(cholesky_p, A)  # type: ignore[no-any-return]


def _qr_infer(a: Spec) -> tuple[Spec, Spec]:
    require_matrices("linalg.qr", a, square=False)
    n = a.shape[-1]
    return Spec.of(a.shape, a.dtype), Spec.of((*a.shape[:-2], n, n), a.dtype)


def _qr_vjp(record: Any, g_q: Any, g_r: Any) -> tuple[Any]:
    q, r = record.output(0), record.output(1)
    inner = _total(None if g_r is None else matmul(r, turned(g_r)),
                   None if g_q is None else neg(matmul(turned(g_q), q)))  # fmt: skip
    both = add(tril(inner), turned(tril(inner, -1)))
    return (turned(solve_triangular(r, turned(_total(g_q, matmul(q, both))), upper=True)),)


qr_p = lapack(
    "qr", np.linalg.qr, _qr_infer, _qr_vjp, Keep(outputs=(0, 1)),
    lambda: [*square_samples(), Sample(spread(-1, 1, 2, 4, 3) + np.eye(4, 3, dtype=np.float32)),
             Sample(spread(-1, 1, 2, 4) + 2 * np.eye(2, 4, dtype=np.float32))],
    lambda a: qr(a), 2, square=False,
)  # fmt: skip


def qr(A: TensorT, mode: str = "reduced") -> tuple[TensorT, TensorT]:
    """Return matrices Q with orthonormal columns and upper triangles R for which ``A = Q @ R``.

    Args:
        A: (..., m, n), floats.
        mode: ``"reduced"``.

    Returns:
        Q (..., m, k) and R (..., k, n), k = min(m, n). The gradient needs linearly independent leading columns.

    Raises:
        ShapeError: if `A` has less than two dimensions.
        ValueRangeError: for another mode.
        DTypeError: unless `A` holds floats.

    >>> import autodiff as ad
    >>> q, r = ad.linalg.qr(ad.tensor([[3.0, 1.0], [4.0, 2.0]]))
    >>> ad.allclose(q @ r, ad.tensor([[3.0, 1.0], [4.0, 2.0]])), ad.allclose(q.T @ q, ad.eye(2), atol=1e-6)
    (True, True)
    """
    require_tensor("linalg.qr", A)
    if mode != "reduced":
        raise ValueRangeError("linalg.qr", "this mode does not exist here", expected="'reduced'", got=repr(mode))
    x: Any = A
    shape = x.spec.shape
    if len(shape) < 2 or shape[-2] >= shape[-1]:
        return bind(qr_p, x)  # type: ignore[no-any-return]
    q, r = bind(qr_p, narrow(x, -1, 0, shape[-2]))
    rest = narrow(x, -1, shape[-2], shape[-1] - shape[-2])
    return q, cat([r, matmul(turned(q), rest)], -1)


def _gaps(values: Any) -> Any:
    """Return the differences of all pairs of values, column minus row, with ones on the diagonal."""
    differences = sub(unsqueeze(values, -2), unsqueeze(values, -1))
    return add(differences, identity(values, values.spec.shape[-1]))


def _off_diagonal(x: Any) -> Any:
    return sub(x, mul(x, identity(x, x.spec.shape[-1])))


def _eigh_infer(a: Spec) -> tuple[Spec, Spec]:
    require_matrices("linalg.eigh", a)
    return Spec.of(a.shape[:-1], a.dtype), Spec.of(a.shape, a.dtype)


def _eigh_vjp(record: Any, g_values: Any, g_vectors: Any) -> tuple[Any]:
    values, vectors = record.output(0), record.output(1)
    turn = None if g_vectors is None else _off_diagonal(div(matmul(turned(vectors), g_vectors), _gaps(values)))
    inner = _total(None if g_values is None else diag_embed(g_values), turn)
    return (symmetric(_product(vectors, inner, turned(vectors))),)


eigh_p = lapack(
    "eigh", np.linalg.eigh, _eigh_infer, _eigh_vjp, Keep(outputs=(0, 1)), partial(square_samples, True),
    lambda a: eigh(made_symmetric(a)), 9,
)  # fmt: skip


def eigh(A: TensorT, UPLO: str = "L") -> tuple[TensorT, TensorT]:
    """Return the eigenvalues of symmetric matrices in rising order, and their eigenvectors as columns.

    Args:
        A: (..., n, n) symmetric.
        UPLO: which triangle is read: ``"L"``, the lower one, or ``"U"``.

    Returns:
        (..., n) and (..., n, n). The gradient of the vectors exists where no two eigenvalues are equal.

    Raises:
        ShapeError: unless the matrices are square.
        ValueRangeError: for another `UPLO`, or if LAPACK does not converge.
        DTypeError: unless `A` holds floats.

    >>> import autodiff as ad
    >>> ad.linalg.eigh(ad.tensor([[2.0, 1.0], [1.0, 2.0]]))[0].tolist()
    [1.0, 3.0]
    """
    require_tensor("linalg.eigh", A)
    if UPLO not in ("L", "U"):
        raise ValueRangeError("linalg.eigh", "there is no such triangle", expected="'L' or 'U'", got=repr(UPLO))
    return bind(eigh_p, A if UPLO == "L" else turned(A))  # type: ignore[no-any-return]


def eigvalsh(A: TensorT, UPLO: str = "L") -> TensorT:
    """Return the eigenvalues of symmetric matrices in rising order; see `eigh`.

    >>> import autodiff as ad
    >>> ad.linalg.eigvalsh(ad.tensor([[2.0, 1.0], [1.0, 2.0]])).tolist()
    [1.0, 3.0]
    """
    return eigh(A, UPLO)[0]


def _svd_infer(a: Spec) -> tuple[Spec, Spec, Spec]:
    require_matrices("linalg.svd", a, square=False)
    *lead, m, n = a.shape
    k = min(m, n)
    return (Spec.of((*lead, m, k), a.dtype), Spec.of((*lead, k), a.dtype), Spec.of((*lead, k, n), a.dtype))


def _svd_vjp(record: Any, g_u: Any, g_s: Any, g_vh: Any) -> tuple[Any]:
    u, s, vh = (record.output(i) for i in range(3))
    row, column = unsqueeze(s, -2), unsqueeze(s, -1)
    gaps = _gaps(mul(s, s))
    within = [] if g_s is None else [diag_embed(g_s)]  # what U and Vh span
    beyond = []
    if g_u is not None:
        turn = matmul(turned(u), g_u)
        within.append(mul(div(sub(turn, turned(turn)), gaps), row))
        beyond.append(matmul(div(sub(g_u, matmul(u, turn)), row), vh))
    if g_vh is not None:
        turn = matmul(vh, turned(g_vh))
        within.append(mul(div(sub(turn, turned(turn)), gaps), column))
        beyond.append(matmul(u, div(sub(g_vh, matmul(turned(turn), vh)), column)))
    return (_total(_product(u, _total(*within), vh), *beyond),)


svd_p = lapack(
    "svd", partial(np.linalg.svd, full_matrices=False), _svd_infer, _svd_vjp, Keep(outputs=(0, 1, 2)),
    lambda: [*square_samples(), Sample(spread(-1, 1, 2, 4, 3) + np.eye(4, 3, dtype=np.float32) * [2, 3, 5]),
             Sample((spread(-1, 1, 2, 4) + np.eye(2, 4, dtype=np.float32) * 2).astype(np.float64))],
    lambda a: svd(a, full_matrices=False), 14, square=False,
)  # fmt: skip


def svd(A: TensorT, full_matrices: bool = True) -> tuple[TensorT, TensorT, TensorT]:
    """Return singular value decompositions, ``A = U @ diag(S) @ Vh``, with S in falling order.

    Args:
        A: (..., m, n), floats.
        full_matrices: must be False unless the matrices are square: only the reduced form exists here.

    Returns:
        U (..., m, k), S (..., k), Vh (..., k, n), k = min(m, n). The gradients of U and Vh exist where no two singular
        values are equal and none is 0.

    Raises:
        ShapeError: if `A` has less than two dimensions.
        ValueRangeError: for the full form of other than square matrices, or if LAPACK does not converge.
        DTypeError: unless `A` holds floats.

    >>> import autodiff as ad
    >>> ad.linalg.svd(ad.tensor([[0.0, 2.0], [3.0, 0.0]]))[1]
    tensor([3., 2.])
    """
    require_tensor("linalg.svd", A)
    shape = A.spec.shape  # type: ignore[attr-defined]
    if full_matrices and len(shape) > 1 and shape[-1] != shape[-2]:
        raise ValueRangeError("linalg.svd", "the full matrices do not exist here", got=f"matrices {shape[-2:]}",
                              fix="pass full_matrices=False")
    return bind(svd_p, A)  # type: ignore[no-any-return]


def svdvals(A: TensorT) -> TensorT:
    """Return singular values in falling order; see `svd`.

    >>> import autodiff as ad
    >>> ad.linalg.svdvals(ad.tensor([[0.0, 2.0], [3.0, 0.0]]))
    tensor([3., 2.])
    """
    return svd(A, full_matrices=False)[1]
