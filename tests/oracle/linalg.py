"""Linear algebra by elimination and by the definitions, one matrix at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import Array, array


def _each(function: Any, x: Any, *others: Any) -> Any:
    """Apply a function to the matrices of a stack."""
    x = array(x)
    results = [function(x[place], *[other[place] for other in others]) for place in np.ndindex(x.shape[:-2])]
    lead = x.shape[:-2]
    if not results:  # of an empty stack: shapes from a matrix that is there
        example = function(np.diag(np.arange(1.0, x.shape[-1] + 1)), *[np.zeros(other.shape[-2:]) for other in others])
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
