"""Linear algebra by elimination and by the definitions, one matrix at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import Array, array, real


def _each(function: Any, x: Any, *others: Any) -> Any:
    """Apply a function to the matrices of a stack."""
    x = array(x)
    results = [function(x[place], *[other[place] for other in others]) for place in np.ndindex(x.shape[:-2])]
    lead = x.shape[:-2]
    if not results:  # of an empty stack: shapes from a matrix that is there
        example = function(np.eye(*x.shape[-2:]), *[np.zeros(other.shape[-2:]) for other in others])
        if isinstance(example, tuple):
            return tuple(np.zeros(lead + np.shape(part)) for part in example)
        return np.zeros(lead + np.shape(example))
    if isinstance(results[0], tuple):
        return tuple(np.stack(part).reshape(lead + part[0].shape) for part in zip(*results, strict=True))
    return np.stack(results).reshape(lead + np.shape(results[0]))


def _eliminated(a: Array, b: Array) -> tuple[Array, Array, float]:
    """Gauss and Jordan, with the largest pivot of the column: the reduced matrices, and the determinant."""
    a, b, determinant = a.copy(), b.copy(), 1.0
    for k in range(len(a)):
        pivot = k + int(np.argmax(np.abs(a[k:, k])))
        if pivot != k:
            a[[k, pivot]], b[[k, pivot]] = a[[pivot, k]], b[[pivot, k]]
            determinant = -determinant
        determinant *= a[k, k]
        if determinant == 0:
            break
        b[k], a[k] = b[k] / a[k, k], a[k] / a[k, k]
        for i in range(len(a)):
            if i != k:
                b[i], a[i] = b[i] - a[i, k] * b[k], a[i] - a[i, k] * a[k]
    return a, b, determinant


def linalg_solve(A: Any, B: Any) -> Array:
    a, b = array(A), array(B)
    vector = b.ndim == 1 or b.shape == a.shape[:-1]
    b = b[..., None] if vector else b
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = (np.broadcast_to(x, (*lead, *x.shape[-2:])) for x in (a, b))
    result = _each(lambda x, y: _eliminated(x, y)[1], a, b)
    return result[..., 0] if vector else result


def linalg_inv(A: Any) -> Array:
    return _each(lambda x: _eliminated(x, np.eye(len(x)))[1], A)


def linalg_det(A: Any) -> Array:
    return _each(lambda x: np.array(_eliminated(x, x)[2]), A)


def linalg_slogdet(A: Any) -> tuple[Array, Array]:
    determinant = linalg_det(A)
    with np.errstate(divide="ignore"):
        return np.sign(determinant), np.log(np.abs(determinant))


def _cholesky(a: Array) -> Array:
    lower = np.zeros_like(a)
    for i in range(len(a)):
        for j in range(i + 1):
            rest = a[i, j] - lower[i, :j] @ lower[j, :j]
            lower[i, j] = np.sqrt(rest) if i == j else rest / lower[j, j]
    return lower


def linalg_cholesky(A: Any) -> Array:
    return _each(_cholesky, A)


def _qr(a: Array) -> tuple[Array, Array]:
    """Householder's reflections."""
    m, n = a.shape
    k = min(m, n)
    q, r = np.eye(m), a.copy()
    for i in range(min(m - 1, n)):
        v = r[i:, i].copy()
        v[0] += (1 if v[0] >= 0 else -1) * np.sqrt(v @ v)
        reflection = np.eye(m)
        reflection[i:, i:] -= 2 * np.outer(v, v) / (v @ v)
        q, r = q @ reflection, reflection @ r
    return q[:, :k], np.triu(r[:k])


def linalg_qr(A: Any) -> tuple[Array, Array]:
    return _each(_qr, A)


def linalg_eigh(A: Any) -> tuple[Array, Array]:
    """The vectors have a free sign, so this is LAPACK's answer in float64."""
    values, vectors = np.linalg.eigh(array(A))
    return values, vectors


def linalg_svd(A: Any) -> tuple[Array, Array, Array]:
    """The vectors have a free sign, so this is LAPACK's answer in float64."""
    u, s, vh = np.linalg.svd(array(A), full_matrices=False)
    return u, s, vh


# ---- Norms, ranks, least squares, powers -----------------------------------------------------------------------------


def linalg_matrix_norm(A: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False) -> Array:
    x = real(A)
    # Sums of no magnitudes, and the largest of no sums, are 0.
    return np.asarray(np.linalg.norm(x, ord, tuple(dim), keepdim) if x.size else x.sum(tuple(dim), keepdims=keepdim))


def _rank_threshold(s: Array, shape: tuple[int, ...], eps: float, atol: float | None, rtol: float | None) -> Any:
    rtol = (0.0 if atol else max(shape) * eps) if rtol is None else rtol
    return max(atol or 0.0, rtol * s.max(initial=0))


def linalg_matrix_rank(A: Any, tol: Any = None, *, atol: Any = None, rtol: Any = None) -> Array:
    atol, rtol = (atol, rtol) if tol is None else (tol, 0.0)

    def rank(x: Array) -> Array:
        s = np.linalg.svd(x, compute_uv=False)
        return np.array((s > _rank_threshold(s, x.shape, 1e-12, atol, rtol)).sum())

    return np.asarray(_each(rank, A), np.int64)


def linalg_cond(A: Any, p: Any = None) -> Array:
    def one(x: Array) -> Array:
        if not x.size:
            return np.array(0.0)
        s = np.linalg.svd(x, compute_uv=False)
        if p in (None, 2, -2):
            return np.array(s[-1] / s[0] if p == -2 else s[0] / s[-1])
        if s[-1] < 1e-12 * s[0]:
            return np.array(np.inf)
        return np.linalg.norm(x, p) * np.linalg.norm(_eliminated(x, np.eye(len(x)))[1], p)

    return np.asarray(_each(one, A))


def linalg_pinv(A: Any, rcond: Any = None, *, atol: Any = None, rtol: Any = None) -> Array:
    def one(x: Array) -> Array:
        u, s, vh = np.linalg.svd(x, full_matrices=False)
        kept = s > _rank_threshold(s, x.shape, 1e-12, atol, rtol)
        return vh[kept].T / s[kept] @ u[:, kept].T

    a = array(A)
    return np.asarray(_each(one, a)) if a.size else np.zeros((*a.shape[:-2], a.shape[-1], a.shape[-2]))


def pinverse(input: Any, rcond: float = 1e-15) -> Array:
    return linalg_pinv(input, rtol=rcond)


def linalg_lstsq(A: Any, B: Any, rcond: Any = None, *, driver: Any = None) -> tuple[Array, ...]:
    a, b = array(A), array(B)
    if b.ndim == 1 or b.shape == a.shape[:-1]:
        solution, residuals, *rest = linalg_lstsq(a, b[..., None])
        return solution[..., 0], residuals, *rest
    solution, rank = linalg_pinv(a) @ b, linalg_matrix_rank(a)
    full = a.shape[-2] > a.shape[-1] and bool((rank == a.shape[-1]).all())
    residuals = ((a @ solution - b) ** 2).sum(-2) if full else np.zeros(0)
    return solution, residuals, rank, np.linalg.svd(a, compute_uv=False)


def linalg_solve_triangular(A: Any, B: Any, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Array:
    a = np.triu(array(A)) if upper else np.tril(array(A))
    if unitriangular:
        diagonal = np.arange(a.shape[-1])
        a[..., diagonal, diagonal] = 1
    if left:
        return linalg_solve(a, B)
    return np.swapaxes(linalg_solve(np.swapaxes(a, -1, -2), np.swapaxes(array(B), -1, -2)), -1, -2)


def cholesky_solve(input: Any, L: Any, upper: bool = False) -> Array:
    factor = array(L)
    turned = np.swapaxes(factor, -1, -2)
    return linalg_solve(turned @ factor if upper else factor @ turned, input)


def matrix_power(input: Any, n: int) -> Array:
    def one(x: Array) -> Array:
        factor, result = _eliminated(x, np.eye(len(x)))[1] if n < 0 else x, np.eye(len(x), dtype=x.dtype)
        for _ in range(abs(n)):
            result = result @ factor
        return result

    return np.asarray(_each(one, input))


def matrix_exp(input: Any) -> Array:
    """The series itself, for a matrix divided by a large power of 2, which is then squared as often."""

    def one(x: Array) -> Array:
        if x.size == 1:
            return np.exp(x)
        halvings = 6
        result = term = np.eye(len(x))
        for k in range(1, 60):
            term = term @ x / 2**halvings / k
            result = result + term
        for _ in range(halvings):
            result = result @ result
        return result

    return np.asarray(_each(one, input))


def linalg_multi_dot(tensors: Any) -> Array:
    result = array(tensors[0])
    for x in tensors[1:]:
        result = np.asarray(result @ array(x))
    return result


# ---- Vectors ---------------------------------------------------------------------------------------------------------


def linalg_cross(input: Any, other: Any, *, dim: int = -1) -> Array:
    a, b = np.broadcast_arrays(array(input), array(other))
    (a0, a1, a2), (b0, b1, b2) = np.moveaxis(a, dim, 0), np.moveaxis(b, dim, 0)
    return np.stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], dim)


def cross(input: Any, other: Any, dim: int | None = None) -> Array:
    shape = np.broadcast_shapes(np.shape(input), np.shape(other))
    return linalg_cross(input, other, dim=shape.index(3) if dim is None else dim)


def linalg_vecdot(x: Any, y: Any, *, dim: int = -1) -> Array:
    return np.asarray((array(x) * array(y)).sum(dim))


def vdot(input: Any, other: Any) -> Array:
    return np.asarray((array(input) * array(other)).sum())


def addr(input: Any, vec1: Any, vec2: Any, *, beta: float = 1, alpha: float = 1) -> Array:
    product = alpha * array(vec1)[:, None] * array(vec2)
    return product if beta == 0 else beta * array(input) + product


def addbmm(input: Any, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Array:
    product = alpha * sum(a @ b for a, b in zip(array(batch1), array(batch2), strict=True))
    return np.asarray(product if beta == 0 else beta * array(input) + product)
