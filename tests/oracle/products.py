"""Products of vectors and matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import Array, array, ieee, varargs


@ieee
def matmul(input: Any, other: Any) -> Array:
    """Sum over the last dimension of the first and the last but one of the second; the others are broadcast."""
    a, b = array(input), array(other)
    row = a[None, :] if a.ndim == 1 else a
    column = b[:, None] if b.ndim == 1 else b
    out = (row[..., :, :, None] * column[..., None, :, :]).sum(axis=-2, dtype=np.result_type(a, b))
    if b.ndim == 1:
        out = out[..., 0]
    if a.ndim == 1:
        out = out[..., 0] if b.ndim == 1 else out[..., 0, :]
    return np.asarray(out)


def mm(input: Any, mat2: Any) -> Array:
    return matmul(input, mat2)


def bmm(input: Any, mat2: Any) -> Array:
    return matmul(input, mat2)


def mv(input: Any, vec: Any) -> Array:
    return matmul(input, vec)


def dot(input: Any, tensor: Any) -> Array:
    return matmul(input, tensor)


@ieee
def outer(input: Any, vec2: Any) -> Array:
    return array(input)[:, None] * array(vec2)[None, :]


@ieee
def addmm(input: Any, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> Array:
    """Beta input + alpha mat1 @ mat2; with beta 0 the input does not count, not even its NaNs."""
    product = alpha * matmul(mat1, mat2)
    return product if beta == 0 else beta * array(input) + product


def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Array:
    return addmm(input, batch1, batch2, beta=beta, alpha=alpha)


def addmv(input: Any, mat: Any, vec: Any, *, beta: float = 1, alpha: float = 1) -> Array:
    return addmm(input, mat, vec, beta=beta, alpha=alpha)


@ieee
def linear(input: Any, weight: Any, bias: Any = None) -> Array:
    """x @ weight.T + bias."""
    out = matmul(input, array(weight).T)
    return out if bias is None else out + array(bias)


@ieee
def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Array:
    """out[..., k] = sum over i and j of input1[..., i] weight[k, i, j] input2[..., j]."""
    a, b, w = array(input1), array(input2), array(weight)
    out = np.stack([(matmul(a, w[k]) * b).sum(axis=-1) for k in range(len(w))], axis=-1)
    return out if bias is None else out + array(bias)


@ieee
def einsum(equation: str, *operands: Any) -> Array:
    """The definition: a loop over every value of every letter."""
    arrays = [array(x) for x in varargs(operands)]
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    # The dimensions under an ellipsis are named by digits, counted from the last one.
    hidden = [x.ndim - len(term.replace("...", "")) for term, x in zip(terms, arrays, strict=True)]
    digits = "9876543210"
    terms = [term.replace("...", digits[10 - n :]) for term, n in zip(terms, hidden, strict=True)]
    shared = digits[10 - max(hidden) :]
    letters = [letter for letter in "".join(terms) if not letter.isdigit()]
    if arrow:
        output = right.replace("...", shared)
    else:
        output = shared + "".join(sorted(letter for letter in set(letters) if letters.count(letter) == 1))
    sizes: dict[str, int] = {}
    for term, x in zip(terms, arrays, strict=True):
        for letter, size in zip(term, x.shape, strict=True):
            sizes[letter] = size if sizes.get(letter, 1) == 1 else sizes[letter]
    out = np.zeros([sizes[letter] for letter in output], np.result_type(*arrays))
    for place in np.ndindex(*sizes.values()):
        value = dict(zip(sizes, place, strict=True))
        product: Any = 1
        for term, x in zip(terms, arrays, strict=True):
            product *= x[tuple(value[letter] if size > 1 else 0 for letter, size in zip(term, x.shape, strict=True))]
        out[tuple(value[letter] for letter in output)] += product
    return out


@ieee
def inner(input: Any, other: Any) -> Array:
    return np.asarray(np.inner(array(input), array(other)))


@ieee
def kron(input: Any, other: Any) -> Array:
    return np.asarray(np.kron(array(input), array(other)))


@ieee
def tensordot(a: Any, b: Any, dims: Any = 2) -> Array:
    return np.asarray(np.tensordot(array(a), array(b), dims))
