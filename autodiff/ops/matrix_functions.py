"""What is made of factorizations and products of matrices: norms, ranks, pseudoinverses, least squares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops.broadcast import expand, sum
from autodiff.ops.choice import maximum, where
from autodiff.ops.comparison import gt, ne
from autodiff.ops.determinants import slogdet
from autodiff.ops.elementwise import abs, add, div, mul, square, sub
from autodiff.ops.extremes import amax, amin
from autodiff.ops.host import from_array, values
from autodiff.ops.matrices import identity, inv, lapack, right_sides, square_samples, svdvals
from autodiff.ops.matrix_batches import require_matrices
from autodiff.ops.products import matmul
from autodiff.ops.promotion import cast, constant, is_tensor, real
from autodiff.ops.reduce import with_dtype
from autodiff.ops.samples import spread
from autodiff.ops.shaping import movedim, shape_of, squeeze, unsqueeze
from autodiff.ops.statistics import vector_norm
from autodiff.ops.structural import axes, require_tensor, turned
from autodiff.primitive import ErrorSample, Keep, Sample, composed
from autodiff.spec import Array, Spec

# The names that PyTorch has outside `linalg` too, with the same meaning.
__all__ = ["pinverse"]

# ---- Norms -----------------------------------------------------------------------------------------------------------

_ORDERS = ("fro", "nuc", math.inf, -math.inf, 1, -1, 2, -2)


def _uneven(*shape: int) -> Array:
    """Return numbers whose sums over rows and columns have no ties, in matrices of full rank."""
    found: Array = np.cos(np.arange(math.prod(shape)) ** 2 + 1.0).astype(np.float32).reshape(shape)
    return found


def _norm_samples() -> list[Sample]:
    x = _uneven(3, 4)
    return [*[Sample(x, order) for order in _ORDERS], Sample(x), Sample(x.astype(np.float64), 2),
            Sample(_uneven(2, 3, 4), 1, (0, 2), True), Sample(_uneven(3, 2, 4), "nuc", (-1, 0), True),
            Sample(_uneven(2, 3, 4), "nuc"), *_empty_samples()]


def _empty_samples() -> list[Sample]:
    rows, columns = np.ones((2, 0, 3), np.float32), np.ones((3, 0), np.float32)
    return [*[Sample(columns, order) for order in ("fro", "nuc", math.inf, -math.inf, 1, 2)],
            *[Sample(rows, order, (-2, -1), True) for order in (1, -1, math.inf, 2)]]


def _extreme(x: Any, axis: int, keepdim: bool, largest: bool) -> Any:
    """Return the largest or the smallest magnitude of a dimension; the largest of none is 0.

    Raises:
        ShapeError: for the smallest of none.
    """
    if x.spec.shape[axis]:
        return (amax if largest else amin)(x, axis, keepdim)
    if not largest:
        raise ShapeError("linalg.matrix_norm", "an empty matrix has no norm of this order",
                         fix="use an order above 0, for which the norm is 0")
    return sum(x, axis, keepdim)


@composed(name="linalg_matrix_norm", samples=_norm_samples, errors=lambda: [
    ErrorSample(Sample(np.ones(3, np.float32)), ShapeError, "no matrices"),
    ErrorSample(Sample(np.ones((2, 3), np.float32), 3), ValueRangeError, "'fro', 'nuc'.*got 3"),
    ErrorSample(Sample(np.ones((0, 3), np.float32), -2), ShapeError, "empty matrix has no norm of this order.*above 0"),
    ErrorSample(Sample(np.ones((2, 3), np.float32), dim=(0, 2)), ShapeError, "does not exist"),
    ErrorSample(Sample(np.ones((2, 3), np.float32), dim=(0, 0)), ShapeError, "stands twice")])
def matrix_norm(A: TensorT, ord: float | str = "fro", dim: Sequence[int] = (-2, -1), keepdim: bool = False, *,
                dtype: Any = None) -> TensorT:
    """Return norms of matrices.

    Args:
        A: (..., m, n); integers become float32.
        ord: ``"fro"``, Frobenius: the root of the sum of squares; ``"nuc"``: the sum of the singular values; infinity
            and -infinity: the largest and smallest sum of the magnitudes of a row; 1 and -1: of a column; 2 and -2: the
            largest and smallest singular value. The largest of none is 0.
        dim: dimensions of the rows and of the columns.
        keepdim: keep both with size 1.
        dtype: convert `A` first.

    Raises:
        ShapeError: unless there are two such dimensions; for the smallest of no numbers.
        ValueRangeError: for another norm.

    >>> import autodiff as ad
    >>> x = ad.tensor([[0.0, 3.0], [-4.0, 0.0]])
    >>> ad.linalg.matrix_norm(x), ad.linalg.matrix_norm(x, 2), ad.linalg.matrix_norm(x, "nuc")
    (tensor(5.), tensor(4.), tensor(7.))
    """
    require_tensor("linalg.matrix_norm", A)
    x: Any = real("linalg.matrix_norm", with_dtype(A, dtype))
    ndim = x.spec.ndim
    if ndim < 2 or len(dim) != 2:
        raise ShapeError("linalg.matrix_norm", "these are no matrices", expected="two dimensions",
                         got=f"{x.spec.shape}, dim {tuple(dim)}")
    dims = axes("linalg.matrix_norm", dim, ndim)
    if ord not in _ORDERS:
        raise ValueRangeError("linalg.matrix_norm", "this norm does not exist",
                              expected=", ".join(map(repr, _ORDERS)), got=repr(ord))
    if ord == "fro":
        return vector_norm(x, 2, dims, keepdim)  # type: ignore[no-any-return]
    rows, columns = (axis % ndim for axis in dim)
    if ord in ("nuc", 2, -2):
        singular = svdvals(movedim(x, (rows, columns), (-2, -1)))
        found = sum(singular, -1) if ord == "nuc" else _extreme(singular, -1, False, ord == 2)
    else:
        summed, chosen = (columns, rows) if math.isinf(ord) else (rows, columns)  # type: ignore[arg-type]
        sums = sum(abs(x), summed, True)
        found = squeeze(_extreme(sums, chosen, True, ord > 0), dims)  # type: ignore[operator]
    if keepdim:
        for axis in dims:
            found = unsqueeze(found, axis)
    return found  # type: ignore[no-any-return]


@composed(name="linalg_norm", samples=lambda: [
    *_norm_samples()[:10], *_empty_samples(), Sample(spread(-1, 1, 5)), Sample(spread(-1, 1, 5), 3),
    Sample(spread(-1, 1, 2, 3, 4)),
    Sample(spread(-1, 1, 3, 4), 1, 1), Sample(spread(-1, 1, 3, 4), math.inf, dim=0, keepdim=True)],
    errors=lambda: [
        ErrorSample(Sample(np.ones((2, 3), np.float32), 3), ValueRangeError, "this norm does not exist.*got 3"),
        ErrorSample(Sample(np.ones(3, np.float32), "nuc"), ValueRangeError, "'nuc' for 1 dim"),
        ErrorSample(Sample(np.ones((1, 2, 3), np.float32), 2), ValueRangeError, "2 for 3 dim")])
def norm(A: TensorT, ord: float | str | None = None, dim: int | Sequence[int] | None = None, keepdim: bool = False, *,
         dtype: Any = None) -> TensorT:
    """Return the norm of vectors or matrices: `vector_norm` over one dimension, `matrix_norm` over two.

    Args:
        A: any shape; integers become float32.
        ord: order, see there; None is the root of the sum of all squares over any number of dimensions.
        dim: dimension, or two of a matrix; all by default.
        keepdim: keep the reduced dimensions with size 1.
        dtype: convert `A` first.

    Raises:
        ValueRangeError: for an order that does not exist, or more than two dimensions.
        ShapeError: if a dimension does not exist; for the smallest of no numbers.

    >>> import autodiff as ad
    >>> from autodiff import linalg
    >>> linalg.norm(ad.tensor([3.0, -4.0])), linalg.norm(ad.ones(2, 2), 2), linalg.norm(ad.ones(2, 3), 1, dim=1)
    (tensor(5.), tensor(2.), tensor([3., 3.]))
    """
    dims = len(shape_of(A, "linalg.norm")) if dim is None else len(dim) if isinstance(dim, Sequence) else 1
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype)
    if dims == 2:
        return matrix_norm(A, ord, (-2, -1) if dim is None else dim, keepdim, dtype=dtype)  # type: ignore[arg-type]
    if isinstance(ord, str) or dims != 1:
        raise ValueRangeError("linalg.norm", "this norm does not exist", expected="a number for one dimension",
                              got=f"{ord!r} for {dims} dimensions", fix="name one or two dimensions with dim=")
    return vector_norm(A, ord, dim, keepdim, dtype=dtype)


# ---- Ranks -----------------------------------------------------------------------------------------------------------


def _rectangular_samples() -> list[Sample]:
    tall = spread(-1, 1, 2, 4, 3) + np.eye(4, 3, dtype=np.float32) * np.array([2, 3, 5], np.float32)
    return [Sample(x) for x in (tall, tall[0].T, tall.astype(np.float64), tall[:0])]


def _matrices_errors(name: str) -> list[ErrorSample]:
    return [ErrorSample(Sample(np.ones(3, np.float32)), ShapeError, rf"\[linalg.{name}\] these are no .*matrices"),
            ErrorSample(Sample(np.ones((2, 2), np.int64)), DTypeError, "float dtype.*int64")]


def _threshold(x: Any, atol: Any, rtol: Any) -> tuple[Any, Any]:
    """Return the absolute and the relative tolerance of singular values, one a matrix."""
    *lead, m, n = x.spec.shape
    if rtol is None:
        plain = is_tensor(atol) or (atol or 0) > 0
        rtol = 0.0 if plain else max(m, n) * float(np.finfo(x.spec.dtype).eps)
    both = [t if is_tensor(t) else constant(t, x.spec.dtype) for t in (0.0 if atol is None else atol, rtol)]
    return tuple(expand(cast(t, x.spec.dtype), tuple(lead)) for t in both)


@composed(name="linalg_matrix_rank", samples=lambda: [
    *_rectangular_samples(), Sample(np.array([[1, 2], [2, 4]], np.float32)), Sample(np.zeros((2, 3, 3), np.float32)),
    Sample(np.ones((2, 0, 3), np.float32)), Sample(np.ones((3, 0), np.float32)),
    Sample(np.diag([4, 2, 1]).astype(np.float32), atol=1.5), Sample(np.diag([4, 2, 1]).astype(np.float32), rtol=0.4),
    Sample(np.diag([4, 2, 1]).astype(np.float32), 3.0)],
    errors=lambda: _matrices_errors("matrix_rank"))
def matrix_rank(A: TensorT, tol: Any = None, *, atol: Any = None, rtol: Any = None, hermitian: bool = False) -> TensorT:
    """Return how many singular values are larger than ``max(atol, rtol * largest)``.

    Args:
        A: (..., m, n), floats.
        tol: an older name for `atol`, with `rtol` 0.
        atol: absolute tolerance; number or tensor (...).
        rtol: relative tolerance; by default ``max(m, n) * eps``, or 0 beside a positive `atol`.
        hermitian: accepted for PyTorch's sake: singular values serve symmetric matrices as well.

    Returns:
        (...), int64.

    Raises:
        ShapeError: if `A` has less than two dimensions.
        DTypeError: unless `A` holds floats.

    >>> import autodiff as ad
    >>> ad.linalg.matrix_rank(ad.tensor([[1.0, 2.0], [2.0, 4.0]]))
    tensor(1)
    """
    require_tensor("linalg.matrix_rank", A)
    x: Any = A
    require_matrices("linalg.matrix_rank", x.spec, square=False)
    return _rank(svdvals(x), _threshold(x, *((atol, rtol) if tol is None else (tol, 0.0))))  # type: ignore[no-any-return]


def _rank(singular: Any, tolerances: tuple[Any, Any]) -> Any:
    """Return how many singular values count."""
    least = maximum(tolerances[0], mul(tolerances[1], _extreme(singular, -1, False, True)))
    return sum(gt(singular, unsqueeze(least, -1)), -1)


@composed(name="linalg_cond", samples=lambda: [
    *square_samples()[:3], *[Sample(square_samples()[0].arguments[0], p) for p in (2, -2, "fro", "nuc", 1, math.inf)],
    *_rectangular_samples()[:2], Sample(np.array([[1, 2], [2, 4]], np.float32), 1, gradient=False),
    *[Sample(np.ones((2, 0, 0), np.float32), p) for p in (None, -2, 1)], Sample(np.ones((3, 0), np.float32))],
    errors=lambda: [*_matrices_errors("cond"),
                    ErrorSample(Sample(np.ones((2, 3), np.float32), 1), ShapeError, r"\[linalg.cond\].*no square")])
def cond(A: TensorT, p: float | str | None = None) -> TensorT:
    """Return condition numbers, ``norm(A) * norm(inv(A))``: infinity for singular matrices, 0 for empty ones.

    Args:
        A: (..., n, n), floats; (..., m, n) for the orders None, 2 and -2.
        p: order of `matrix_norm`; None is 2, the largest singular value divided by the smallest.

    Raises:
        ShapeError: unless the matrices are square where they have to be.
        DTypeError: unless `A` holds floats.
        ValueRangeError: for another norm.

    >>> import autodiff as ad
    >>> ad.linalg.cond(ad.tensor([[4.0, 0.0], [0.0, 2.0]]))
    tensor(2.)
    """
    require_tensor("linalg.cond", A)
    x: Any = A
    order = 2 if p is None else p
    require_matrices("linalg.cond", x.spec, square=order not in (2, -2))
    if 0 in x.spec.shape[-2:]:
        return sum(x, (-2, -1))  # type: ignore[no-any-return]
    if order in (2, -2):
        singular = svdvals(x)
        largest, smallest = amax(singular, -1), amin(singular, -1)
        return div(largest, smallest) if order == 2 else div(smallest, largest)  # type: ignore[no-any-return]
    regular = ne(slogdet(x)[0], 0)
    filled = where(unsqueeze(unsqueeze(regular, -1), -1), x, identity(x, x.spec.shape[-1]))
    return where(regular, mul(matrix_norm(x, order), matrix_norm(inv(filled), order)), math.inf)  # type: ignore[no-any-return]


# ---- Pseudoinverses and least squares --------------------------------------------------------------------------------


def _pinv(a: Array, atol: Array, rtol: Array) -> Array:
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    kept = s > np.maximum(atol, rtol * s.max(-1, initial=0))[..., None]
    inverse = np.divide(1, s, out=np.zeros_like(s), where=kept)
    found: Array = np.swapaxes(vh, -1, -2) @ (inverse[..., None] * np.swapaxes(u, -1, -2))
    return found


def _pinv_infer(a: Spec, atol: Spec, rtol: Spec) -> Spec:
    *lead, m, n = a.shape
    return Spec.of((*lead, n, m), a.dtype)


def _pinv_vjp(record: Any, g: Any) -> tuple[Any, None, None]:
    # Golub & Pereyra, The differentiation of pseudo-inverses and nonlinear least squares problems whose variables
    # separate, 1973, formula 4.12, transposed: where the rank does not change.
    a, p = record.input(0), record.output(0)
    p_t, g_t = turned(p), turned(g)
    beyond = sub(g_t, matmul(a, matmul(p, g_t)))  # (1 - a p) g.T
    beside = sub(g_t, matmul(matmul(g_t, p), a))  # g.T (1 - p a)
    found = add(matmul(beyond, matmul(p, p_t)), matmul(matmul(p_t, p), beside))
    return sub(found, matmul(matmul(p_t, g), p_t)), None, None


pinv_p = lapack(
    "pinv", _pinv, _pinv_infer, _pinv_vjp, Keep(inputs=(0,), outputs=(0,)),
    lambda: [*_rectangular_samples(), Sample(np.array([[1, 2], [2, 4]], np.float32), gradient=False),
             Sample(np.diag([4, 2, 1]).astype(np.float32), atol=1.5, gradient=False), *square_samples(True)[:1]],
    lambda *a, **k: pinv(*a, **k), 20, square=False,
)  # fmt: skip


def pinv(A: TensorT, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> TensorT:
    """Return Moore's and Penrose's pseudoinverses; singular values up to ``max(atol, rtol * largest)`` count as 0.

    Args:
        A: (..., m, n), floats.
        rcond: an older name for `rtol`.
        hermitian: accepted for PyTorch's sake: singular values serve symmetric matrices as well.
        atol: absolute tolerance; number or tensor (...).
        rtol: relative tolerance; by default ``max(m, n) * eps``, or 0 beside a positive `atol`.

    Returns:
        (..., n, m). The gradient exists where the rank does not change.

    Raises:
        ShapeError: if `A` has less than two dimensions.
        DTypeError: unless `A` holds floats.
        ValueRangeError: if LAPACK does not converge.

    >>> import autodiff as ad
    >>> ad.linalg.pinv(ad.tensor([[2.0], [0.0]]))
    tensor([[0.5000, 0.0000]])
    """
    require_tensor("linalg.pinv", A)
    x: Any = A
    require_matrices("linalg.pinv", x.spec, square=False)
    return bind(pinv_p, x, *_threshold(x, atol, rcond if rtol is None else rtol))  # type: ignore[no-any-return]


def pinverse(input: TensorT, rcond: float = 1e-15) -> TensorT:
    """Return ``linalg.pinv(input, rtol=rcond)``.

    >>> import autodiff as ad
    >>> ad.pinverse(ad.tensor([[2.0], [0.0]]))
    tensor([[0.5000, 0.0000]])
    """
    return pinv(input, rtol=rcond)


class LeastSquares(NamedTuple):
    """What `lstsq` returns."""

    solution: Any
    residuals: Any
    rank: Any
    singular_values: Any


def _lstsq_samples() -> list[Sample]:
    tall, flat = (x.arguments[0] for x in _rectangular_samples()[:2])
    return [Sample(tall, spread(-1, 1, 2, 4, 2)), Sample(flat, spread(-1, 1, 3, 2)),
            Sample(tall, spread(-1, 1, 2, 4)), Sample(flat, spread(-1, 1, 3)),
            Sample(tall[0].astype(np.float64), spread(-1, 1, 4, 2, dtype=np.float64)),
            Sample(np.array([[1, 2], [2, 4], [3, 6]], np.float32), spread(-1, 1, 3, 1), gradient=False)]


@composed(name="linalg_lstsq", samples=_lstsq_samples, errors=lambda: [
    ErrorSample(Sample(np.ones(3, np.float32), np.ones(3, np.float32)), ShapeError, "these are no matrices"),
    *[ErrorSample(Sample(np.ones((3, 2), np.float32), np.ones(shape, np.float32)), ShapeError, r"\(..., 3, k\)")
      for shape in ((2, 2), (2,), ())],
    ErrorSample(Sample(np.ones((3, 2), np.float32), np.ones((3, 2))), DTypeError, "one float dtype")])
def lstsq(A: TensorT, B: TensorT, rcond: float | None = None, *, driver: str | None = None) -> LeastSquares:
    """Return the X of least length for which the length of ``A @ X - B`` is least, column by column.

    Args:
        A: (..., m, n), floats.
        B: (..., m, k), or (m,) or (..., m) with the leading dimensions of `A`: one right-hand side each; the same
            dtype; leading dimensions broadcast otherwise.
        rcond: singular values up to this times the largest count as 0; ``max(m, n) * eps`` by default.
        driver: accepted for PyTorch's sake: the solution always comes from the singular values.

    Returns:
        ``(solution, residuals, rank, singular_values)``: (..., n, k); the squared lengths of ``A @ X - B``,
        (..., k), or (0,) unless m > n and all matrices have the rank n; (...), int64; (..., min(m, n)). For vectors B,
        the solution is (..., n), and k is 1.

    Raises:
        ShapeError: if the shapes do not fit.
        DTypeError: unless both hold one float dtype.

    >>> import autodiff as ad
    >>> ad.linalg.lstsq(ad.tensor([[1.0], [1.0]]), ad.tensor([[1.0], [3.0]])).solution
    tensor([[2.0000]])
    """
    for x in (A, B):
        require_tensor("linalg.lstsq", x)
    a: Any = A
    b: Any = B
    require_matrices("linalg.lstsq", a.spec, square=False)
    if a.spec.dtype != b.spec.dtype:
        raise DTypeError("linalg.lstsq", "the matrices differ in dtype", expected="one float dtype",
                         got=f"{a.spec.dtype.name} and {b.spec.dtype.name}")
    b, vector = right_sides("linalg.lstsq", a.spec, b)
    m, n = a.spec.shape[-2:]
    solution = matmul(pinv(a, rtol=rcond), b)
    singular = svdvals(a)
    rank = _rank(singular, _threshold(a, None, rcond))
    if m > n and bool((values(rank) == n).all()):
        residuals = sum(square(sub(matmul(a, solution), b)), -2)
    else:
        residuals = from_array(np.zeros(0, a.spec.dtype))
    return LeastSquares(squeeze(solution, -1) if vector else solution, residuals, rank, singular)


