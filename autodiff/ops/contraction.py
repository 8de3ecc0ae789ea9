"""Products of vectors and matrices, and sums over named dimensions (einsum): composed of matmul."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.bind import TensorT, bind, plan_for
from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops import strided
from autodiff.ops.broadcast import expand
from autodiff.ops.broadcast import sum as total
from autodiff.ops.choice import constant_of
from autodiff.ops.diagonals import diagonal
from autodiff.ops.elementwise import add, mul, spread
from autodiff.ops.followed import followed_p
from autodiff.ops.joining import tensors_of
from autodiff.ops.products import matmul, matmul_p, matvec_p
from autodiff.ops.promotion import constant
from autodiff.ops.shaping import shape_of, squeeze, unsqueeze
from autodiff.ops.structural import axes, axis_index, contiguous, permute, require_tensor, reshape
from autodiff.primitive import ErrorSample, Sample, composed
from autodiff.spec import Shape
from autodiff.thread_mode import MODE

__all__ = ["addmm", "addmv", "baddbmm", "bilinear", "bmm", "einsum", "inner", "kron", "mm", "mv", "outer",
           "tensordot"]

# ---- Products of given ranks -----------------------------------------------------------------------------------------


def _require_factors(operation: str, a: Any, b: Any, ranks: tuple[int, int]) -> None:
    """Raise unless two tensors of these numbers of dimensions can be multiplied.

    Raises:
        ShapeError: for other numbers of dimensions or sizes that do not fit.
    """
    require_tensor(operation, a)
    require_tensor(operation, b)
    shapes = shape_of(a, operation), shape_of(b, operation)
    if tuple(map(len, shapes)) != ranks:
        names = {1: "vector", 2: "matrix", 3: "batch of matrices"}
        raise ShapeError(operation, "the operands have other numbers of dimensions",
                         expected=" and ".join(f"a {names[rank]}" for rank in ranks),
                         got=f"{shapes[0]} and {shapes[1]}",
                         fix="use matmul, which takes every rank")
    inner = shapes[1][-2] if ranks[1] > 1 else shapes[1][0]
    if shapes[0][-1] != inner or (ranks == (3, 3) and shapes[0][0] != shapes[1][0]):
        raise ShapeError(operation, "the sizes do not fit", expected="equal inner sizes" + (
            " and equal batches" if ranks == (3, 3) else ""), got=f"{shapes[0]} and {shapes[1]}")


def _product(operation: str, a: Any, b: Any, ranks: tuple[int, int]) -> Any:
    """Return the product of two tensors of these numbers of dimensions."""
    _require_factors(operation, a, b, ranks)
    return matmul(a, b)


def _errors_of(*shapes: Shape) -> list[ErrorSample]:
    """Return a call with a wrong number of dimensions, and one with inner sizes that differ."""
    *first, last = [np.ones(shape, np.float32) for shape in shapes]
    inner = max(last.ndim - 2, 0)
    return [ErrorSample(Sample(*first, last[None]), ShapeError, "other numbers of dimensions"),
            ErrorSample(Sample(*first, last.repeat(2, inner)), ShapeError, "do not fit")]


@composed(samples=lambda: [Sample(spread(-1, 1, 3, 4), spread(-1, 1, 4, 2)),
                           Sample(spread(-1, 1, 4, 3).T, spread(-1, 1, 2, 4).T),
                           Sample(np.arange(6).reshape(2, 3), np.arange(3).reshape(3, 1))],
          errors=lambda: _errors_of((2, 3), (3, 4)))
def mm(input: TensorT, mat2: Any) -> TensorT:
    """Return the product of two matrices.

    Args:
        input: (m, k).
        mat2: (k, n).

    Raises:
        ShapeError: if one is no matrix, or the inner sizes differ.

    >>> import autodiff as ad
    >>> ad.mm(ad.tensor([[1.0, 2.0]]), ad.tensor([[3.0], [4.0]]))
    tensor([[11.]])
    """
    return _product("mm", input, mat2, (2, 2))  # type: ignore[no-any-return]


@composed(samples=lambda: [Sample(spread(-1, 1, 2, 3, 4), spread(-1, 1, 2, 4, 2)),
                           Sample(spread(-1, 1, 2, 4, 3).transpose(0, 2, 1), spread(-1, 1, 4, 2, 2).transpose(1, 0, 2)),
                           Sample(np.arange(6).reshape(1, 2, 3), np.arange(3).reshape(1, 3, 1))],
          errors=lambda: _errors_of((2, 2, 3), (2, 3, 4)))
def bmm(input: TensorT, mat2: Any) -> TensorT:
    """Return the products of two batches of matrices, pair by pair.

    Args:
        input: (b, m, k).
        mat2: (b, k, n).

    Raises:
        ShapeError: if one has not three dimensions, or the sizes differ.

    >>> import autodiff as ad
    >>> ad.bmm(ad.ones(2, 1, 3), ad.ones(2, 3, 1)).shape
    (2, 1, 1)
    """
    return _product("bmm", input, mat2, (3, 3))  # type: ignore[no-any-return]


@composed(samples=lambda: [Sample(spread(-1, 1, 3, 4), spread(-1, 1, 4)),
                           Sample(np.arange(6).reshape(2, 3), np.arange(3))],
          errors=lambda: _errors_of((2, 3), (3,)))
def mv(input: TensorT, vec: Any) -> TensorT:
    """Return the product of a matrix and a vector.

    Args:
        input: (m, k).
        vec: (k,).

    Raises:
        ShapeError: for other numbers of dimensions or sizes that do not fit.

    >>> import autodiff as ad
    >>> ad.mv(ad.tensor([[1.0, 2.0]]), ad.tensor([3.0, 4.0]))
    tensor([11.])
    """
    return _product("mv", input, vec, (2, 1))  # type: ignore[no-any-return]


@composed(samples=lambda: [Sample(spread(-1, 1, 3), spread(-2, 2, 4)), Sample(np.arange(2), np.arange(3))],
          errors=lambda: [ErrorSample(Sample(np.ones((2, 2), np.float32), np.ones(2, np.float32)), ShapeError,
                                      "two vectors")])
def outer(input: TensorT, vec2: Any) -> TensorT:
    """Return ``input[i] * vec2[j]`` at (i, j).

    Raises:
        ShapeError: if one is no vector.

    >>> import autodiff as ad
    >>> ad.outer(ad.tensor([1, 2]), ad.tensor([3, 4]))
    tensor([[3, 4],
            [6, 8]])
    """
    if len(shape_of(input, "outer")) != 1 or len(shape_of(vec2, "outer")) != 1:
        raise ShapeError("outer", "the operands are not two vectors", expected="two vectors",
                         got=f"{shape_of(input)} and {shape_of(vec2)}")
    return mul(reshape(input, -1, 1), reshape(vec2, 1, -1))


@composed(samples=lambda: [Sample(spread(-1, 1, 2, 3), spread(-2, 2, 4, 3)), Sample(spread(-1, 1, 3), spread(-2, 2, 3)),
                           Sample(np.float32(2), spread(-1, 1, 2))],
          errors=lambda: [ErrorSample(Sample(np.ones(2, np.float32), np.ones(3, np.float32)), ShapeError,
                                      "last sizes differ")])
def inner(input: TensorT, other: Any) -> TensorT:
    """Return the sums of products along the last dimensions of both; a product where one has no dimensions.

    Raises:
        ShapeError: if the last sizes differ.

    >>> import autodiff as ad
    >>> ad.inner(ad.tensor([1.0, 2.0]), ad.tensor([3.0, 4.0]))
    tensor(11.)
    """
    a, b = shape_of(input, "inner"), shape_of(other, "inner")
    if not a or not b:
        return mul(input, other)
    if a[-1] != b[-1]:
        raise ShapeError("inner", "the last sizes differ", got=f"{a} and {b}")
    return tensordot(input, other, ([-1], [-1]))


def _scaled(x: Any, factor: float) -> Any:
    return x if factor == 1 else mul(x, factor)


def added(input: Any, product: Any, beta: float, alpha: float, operation: str) -> Any:
    """Return ``beta * input + alpha * product``; with beta 0 the input does not count, not even its NaNs."""
    shape = shape_of(product)
    if strided.broadcast(operation, input.spec, product.spec) != shape:
        raise ShapeError(operation, "the input cannot be expanded to the shape of the product", expected=str(shape),
                         got=str(shape_of(input)))
    product = _scaled(product, alpha)
    return constant_of(input, product) if beta == 0 else add(_scaled(input, beta), product)


def _plus_product(operation: str, input: Any, a: Any, b: Any, ranks: tuple[int, int], beta: float, alpha: float) -> Any:
    """Return ``beta * input + alpha * a @ b``: one operation where nothing is recorded, which would want its parts."""
    require_tensor(operation, input)
    _require_factors(operation, a, b, ranks)
    tensors, plain = (input, a, b), isinstance(alpha, int | float)
    if beta != 0 and plain and MODE.recorder is None and not (MODE.grad and any(x.needs_grad for x in tensors)) and (
        a.spec.floating and all(x.spec.dtype == a.spec.dtype for x in tensors)
    ):
        first, b = (matvec_p, contiguous(b)) if ranks[1] == 1 else (matmul_p, b)
        residual = _scaled(input, beta)
        if residual.spec is plan_for(first, (a.spec, b.spec), {}).specs[0]:
            scale, steps = ((), ("add",)) if alpha == 1 else ((constant(alpha, a.spec.dtype),), ("mul", "add"))
            return bind(followed_p, a, b, *scale, residual, first=(first.name, ()), steps=steps)
    return added(input, matmul(a, b), beta, alpha, operation)


def plus_samples(*shapes: Shape) -> list[Sample]:
    """Return the samples of a sum ``f(input, a, b)`` of a tensor and a product."""
    tensors = [spread(-1, 1, *shape) for shape in shapes]
    return [Sample(*tensors), Sample(*tensors, beta=0.5, alpha=2), Sample(tensors[0][:1], *tensors[1:]),
            Sample(*tensors, beta=0),
            Sample(*[x.astype(np.float64) for x in tensors], alpha=-1)]


def plus_errors(*shapes: Shape) -> list[ErrorSample]:
    """Return the calls that no sum of a tensor and a product accepts."""
    tensors = [np.ones(shape, np.float32) for shape in shapes]
    return [ErrorSample(Sample(np.ones((7, 1, 1, 1), np.float32), *tensors[1:]), ShapeError, "cannot be expanded"),
            ErrorSample(Sample(tensors[0], tensors[1], tensors[1][:0]), ShapeError, "do not fit|other numbers")]


@composed(samples=lambda: plus_samples((2, 3), (2, 4), (4, 3)), errors=lambda: plus_errors((2, 3), (2, 4), (4, 3)))
def addmm(input: TensorT, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> TensorT:
    """Return ``beta * input + alpha * mat1 @ mat2``.

    Args:
        input: broadcast to (m, n); with beta 0 it does not count, not even its NaNs.
        mat1: (m, k).
        mat2: (k, n).
        beta, alpha: factors.

    Raises:
        ShapeError: if the sizes do not fit.

    >>> import autodiff as ad
    >>> ad.addmm(ad.tensor([1.0]), ad.tensor([[1.0, 2.0]]), ad.tensor([[3.0], [4.0]]))
    tensor([[12.]])
    """
    return _plus_product("addmm", input, mat1, mat2, (2, 2), beta, alpha)  # type: ignore[no-any-return]


@composed(samples=lambda: plus_samples((3,), (3, 4), (4,)), errors=lambda: plus_errors((3,), (3, 4), (4,)))
def addmv(input: TensorT, mat: Any, vec: Any, *, beta: float = 1, alpha: float = 1) -> TensorT:
    """Return ``beta * input + alpha * mat @ vec``.

    Raises:
        ShapeError: if the sizes do not fit.

    >>> import autodiff as ad
    >>> ad.addmv(ad.tensor([1.0]), ad.tensor([[1.0, 2.0]]), ad.tensor([3.0, 4.0]))
    tensor([12.])
    """
    return _plus_product("addmv", input, mat, vec, (2, 1), beta, alpha)  # type: ignore[no-any-return]


@composed(samples=lambda: plus_samples((2, 2, 3), (2, 2, 4), (2, 4, 3)),
          errors=lambda: plus_errors((2, 2, 3), (2, 2, 4), (2, 4, 3)))
def baddbmm(input: TensorT, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> TensorT:
    """Return ``beta * input + alpha * batch1 @ batch2``, matrix by matrix.

    Args:
        input: broadcast to (b, m, n); with beta 0 it does not count, not even its NaNs.
        batch1: (b, m, k).
        batch2: (b, k, n).
        beta, alpha: factors.

    Raises:
        ShapeError: if the sizes do not fit.

    >>> import autodiff as ad
    >>> ad.baddbmm(ad.zeros(2, 1, 1), ad.ones(2, 1, 3), ad.ones(2, 3, 1)).shape
    (2, 1, 1)
    """
    return _plus_product("baddbmm", input, batch1, batch2, (3, 3), beta, alpha)  # type: ignore[no-any-return]


@composed(samples=lambda: [Sample(spread(-1, 1, 2, 3), spread(-2, 2, 2, 2)),
                           Sample(spread(-1, 1, 2), spread(-2, 2, 2, 1, 2)),
                           Sample(np.arange(2), np.arange(3))],
          errors=lambda: [ErrorSample(Sample([1], [2]), DTypeError, "not a tensor")])
def kron(input: TensorT, other: Any) -> TensorT:
    """Return the Kronecker product: `other` times every element of `input`, as blocks.

    >>> import autodiff as ad
    >>> ad.kron(ad.tensor([1, 10]), ad.tensor([1, 2]))
    tensor([ 1,  2, 10, 20])
    """
    require_tensor("kron", input)
    require_tensor("kron", other)
    a, b = shape_of(input, "kron"), shape_of(other, "kron")
    ndim = max(len(a), len(b))
    a, b = (1,) * (ndim - len(a)) + a, (1,) * (ndim - len(b)) + b
    blocks = reshape(input, tuple([n for size in a for n in (size, 1)]))
    inside = reshape(other, tuple([n for size in b for n in (1, size)]))
    return reshape(mul(blocks, inside), tuple([m * n for m, n in zip(a, b, strict=True)]))


# ---- Sums over chosen dimensions -------------------------------------------------------------------------------------


def _tensordot_samples() -> list[Sample]:
    x, y = spread(-1, 1, 2, 3, 4), spread(-1, 1, 3, 4, 2)
    return [Sample(x, y), Sample(x, spread(-1, 1, 4, 2), dims=1),
            Sample(x, y, dims=([1, 2], [0, 1])),
            Sample(x, y, dims=([0], [2])), Sample(x[0, 0], y[0, 0], dims=0), Sample(x, y, dims=([-1, 0], [1, -1])),
            Sample(np.arange(6).reshape(2, 3), np.arange(3), dims=1)]


def _tensordot_errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [ErrorSample(Sample(x, x, dims=1), ShapeError, "sizes differ.*2 and 3|sizes differ.*3 and 2"),
            ErrorSample(Sample(x, x, dims=3), ShapeError, "dimensions"),
            ErrorSample(Sample(x, x, dims=([0], [0, 1])), ShapeError, "as many")]


@composed(samples=_tensordot_samples, errors=_tensordot_errors)
def tensordot(a: TensorT, b: Any, dims: int | Sequence[Sequence[int]] = 2) -> TensorT:
    """Return the sums of products over pairs of dimensions.

    Args:
        a, b: any shape.
        dims: a number n: the last n dimensions of `a` with the first n of `b`; or two lists of dimensions.

    Returns:
        The other dimensions of `a`, then those of `b`.

    Raises:
        ShapeError: if a dimension does not exist or the sizes of a pair differ.

    >>> import autodiff as ad
    >>> ad.tensordot(ad.ones(2, 3, 4), ad.ones(3, 4, 5), dims=2).shape
    (2, 5)
    """
    shape_a, shape_b = shape_of(a, "tensordot"), shape_of(b, "tensordot")
    if isinstance(dims, int):
        if not 0 <= dims <= min(len(shape_a), len(shape_b)):
            raise ShapeError("tensordot", "the tensors have not so many dimensions",
                             expected=f"0 to {min(len(shape_a), len(shape_b))}", got=str(dims))
        pairs = list(range(len(shape_a) - dims, len(shape_a))), list(range(dims))
    else:
        first, second = dims
        if len(first) != len(second):
            raise ShapeError("tensordot", "both lists need as many dimensions", got=f"{first} and {second}")
        pairs = ([axis_index("tensordot", d, len(shape_a)) for d in first],
                 [axis_index("tensordot", d, len(shape_b)) for d in second])
    for i, j in zip(*pairs, strict=True):
        if shape_a[i] != shape_b[j]:
            raise ShapeError("tensordot", "the sizes differ", got=f"{shape_a[i]} and {shape_b[j]}")
    axes("tensordot", pairs[0], len(shape_a))
    axes("tensordot", pairs[1], len(shape_b))
    rest_a = [axis for axis in range(len(shape_a)) if axis not in pairs[0]]
    rest_b = [axis for axis in range(len(shape_b)) if axis not in pairs[1]]
    summed = math.prod(shape_a[axis] for axis in pairs[0])
    left = reshape(permute(a, rest_a + pairs[0]), (math.prod(shape_a[axis] for axis in rest_a), summed))
    right = reshape(permute(b, pairs[1] + rest_b), (summed, math.prod(shape_b[axis] for axis in rest_b)))
    product = _product("tensordot", left, right, (2, 2))
    shape = tuple([shape_a[i] for i in rest_a] + [shape_b[j] for j in rest_b])
    return reshape(product, shape)  # type: ignore[no-any-return]


def _terms(equation: str, operands: Sequence[Any]) -> tuple[list[list[str]], list[str]]:
    """Return the labels of the dimensions of every operand, and of the result.

    A label is a letter, or a number for a dimension under an ellipsis, counted from the last.

    Raises:
        ValueRangeError: if the equation cannot be read.
        ShapeError: if it has another number of terms than operands, or of letters than dimensions.
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    texts = left.split(",")
    if len(texts) != len(operands):
        raise ShapeError("einsum", "the equation has another number of terms than there are operands",
                         expected=f"{len(texts)} operands", got=str(len(operands)))
    terms = []
    hidden = 0
    for text, x in zip(texts, operands, strict=True):
        before, dots, after = text.partition("...")
        ndim = len(shape_of(x))
        covered = ndim - len(before) - len(after)
        if covered < 0 or (covered and not dots):
            raise ShapeError("einsum", f"the term {text!r} does not fit its operand", got=f"{ndim} dimensions",
                             expected=f"{'at least ' if dots else ''}{len(before) + len(after)} dimensions")
        terms.append([*before, *map(str, reversed(range(covered))), *after])
        hidden = max(hidden, covered)
    shared = [str(i) for i in reversed(range(hidden))]
    letters = [label for term in terms for label in term if label not in shared]
    if arrow:
        before, dots, after = right.partition("...")
        output = [*before, *(shared if dots else ()), *after]
    else:
        output = shared + sorted({label for label in letters if letters.count(label) == 1})
    known = {*shared, *letters}
    if not all(label.isalpha() for label in [*letters, *output] if label not in shared):
        raise ValueRangeError("einsum", "the equation has a sign that is no letter", got=repr(equation))
    if len(set(output)) != len(output) or not set(output) <= known:
        raise ValueRangeError("einsum", "the result names a dimension twice, or one that no operand has",
                              got=repr(equation))
    return terms, output


def _single(x: Any, term: list[str]) -> tuple[Any, list[str]]:
    """Return an operand with its repeated labels taken as diagonals, each label once."""
    labels = list(term)
    for label in dict.fromkeys(term):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            x = diagonal(x, 0, first, second)
            labels = [name for at, name in enumerate(labels) if at not in (first, second)] + [label]
    return x, labels


def _summed(x: Any, labels: list[str], kept: set[str]) -> tuple[Any, list[str]]:
    """Return an operand summed over the labels that nothing else needs."""
    gone = tuple([axis for axis, label in enumerate(labels) if label not in kept])
    return (total(x, gone), [label for label in labels if label in kept]) if gone else (x, labels)


def _pair(a: Any, labels_a: list[str], b: Any, labels_b: list[str], kept: set[str]) -> tuple[Any, list[str]]:
    """Return the sum of the products of two operands over labels that nothing else needs, by one batched product."""
    sizes_a, sizes_b = dict(zip(labels_a, shape_of(a), strict=True)), dict(zip(labels_b, shape_of(b), strict=True))
    # A dimension of size 1 that is broadcast takes no part in the product.
    common = [label for label in labels_a if label in sizes_b]
    for label in common:
        if sizes_a[label] != sizes_b[label]:
            if sizes_a[label] == 1:
                a, labels_a = squeeze(a, labels_a.index(label)), [name for name in labels_a if name != label]
            else:
                b, labels_b = squeeze(b, labels_b.index(label)), [name for name in labels_b if name != label]
    sizes = {**sizes_a, **{label: n for label, n in sizes_b.items() if n != 1 or label not in sizes_a}}
    a, labels_a = _summed(a, labels_a, kept | set(labels_b))
    b, labels_b = _summed(b, labels_b, kept | set(labels_a))
    batch = [label for label in labels_a if label in labels_b and label in kept]
    contracted = [label for label in labels_a if label in labels_b and label not in kept]
    rows = [label for label in labels_a if label not in labels_b]
    columns = [label for label in labels_b if label not in labels_a]
    if not contracted:
        # Nothing to sum: an element-wise product.
        result = [*batch, *rows, *columns]
        return mul(_laid_out(a, labels_a, result), _laid_out(b, labels_b, result)), result

    def count(labels: list[str]) -> int:
        return math.prod(sizes[label] for label in labels)

    lead = (count(batch),) if batch else ()
    left = _reordered(a, labels_a, batch + rows + contracted, (*lead, count(rows), count(contracted)))
    right = _reordered(b, labels_b, batch + contracted + columns, (*lead, count(contracted), count(columns)))
    product = _product("einsum", left, right, (3, 3) if batch else (2, 2))
    result = [*batch, *rows, *columns]
    return _reordered(product, result, result, tuple([sizes[label] for label in result])), result


def _reordered(x: Any, labels: list[str], wanted: list[str], shape: Shape) -> Any:
    """Return an operand with its dimensions in the order of `wanted`, then in this shape."""
    if labels != wanted:
        x = permute(x, [labels.index(label) for label in wanted])
    return x if shape_of(x) == shape else reshape(x, shape)


def _laid_out(x: Any, labels: list[str], wanted: list[str]) -> Any:
    """Return an operand with its dimensions in the order of `wanted`, and size 1 where it has none."""
    sizes = dict(zip(labels, shape_of(x), strict=True))
    shape = tuple([sizes.get(label, 1) for label in wanted])
    return _reordered(x, labels, [label for label in wanted if label in sizes], shape)


def _einsum_samples() -> list[Sample]:
    x, y, z = spread(-1, 1, 2, 3), spread(-1, 1, 3, 4), spread(-1, 1, 2, 4, 3)
    square = spread(-1, 1, 3, 3)
    return [Sample("ij,jk->ik", x, y), Sample("ij,jk", x, y), Sample("ij->ji", x), Sample("ij->", x),
            Sample("ij->i", x), Sample("ii->i", square),
            Sample("ii", square), Sample("bij,jk->bik", z, y), Sample("bij,bkj->bik", z, z),
            Sample("...ij,...jk->...ik", z, y),
            Sample("i,j->ij", x[0], y[0]), Sample("ij,ij->ij", x, x), Sample("ij,ij->", x, x),
            Sample("ij,jk,kl->il", x, y, y.T),
            Sample("...i->...", z), Sample("ba", x),
            Sample("bhid,bhjd->bhij", spread(-1, 1, 2, 2, 3, 4), spread(-1, 1, 2, 2, 5, 4)),
            Sample("iij->j", spread(-1, 1, 2, 2, 3)), Sample("ij,kl->ijkl", x, y), Sample("i,i", x[0], x[1]),
            Sample("ij,j->", x, x[0]),
            Sample("ij, jk -> k i", x, y), Sample("...,...->...", x, x[0]), Sample("ij,ij->ij", x, x[:1]),
            Sample("ij,ij->j", x[:, :1], x),
            Sample("ii,ij->j", square, square.astype(np.float32)),
            Sample("ij,jk->ik", x.astype(np.float64), y.astype(np.float64)),
            Sample("i,i->i", np.arange(3), np.arange(3)),
            Sample("ij,jk", np.arange(6).reshape(2, 3), np.arange(3).reshape(3, 1)),
            Sample("ij,jk->ik", [x, y]), Sample("ijk,ilm,njm,nlk,abc->", *[spread(-1, 1, 2, 2, 2) for _ in range(5)])]


def _einsum_errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [ErrorSample(Sample("ij,jk->ik", x), ShapeError, "2 operands; got 1"),
            ErrorSample(Sample("ijk->k", x), ShapeError, "'ijk' does not fit.*2 dimensions"),
            ErrorSample(Sample("ij,jk->ik", x, x), ShapeError, r"'j' has two sizes.*3 and 2"),
            ErrorSample(Sample("ij->ik", x), ValueRangeError, "no operand has"),
            ErrorSample(Sample("ij->ii", x), ValueRangeError, "twice"),
            ErrorSample(Sample("i1->i", x), ValueRangeError, "no letter"),
            ErrorSample(Sample("ij", 3.0), DTypeError, "sequence")]


@composed(samples=_einsum_samples, errors=_einsum_errors)
def einsum(equation: str, *operands: Any) -> Any:
    """Return sums of products over named dimensions (Einstein's convention).

    Args:
        equation: one letter a dimension of each operand, operands apart by commas; after ``->`` the letters of the
            result: over all others is summed. A letter that an operand has twice means its diagonal; ``...`` stands for
            further dimensions in front, which are broadcast. Without ``->`` the result has the letters that occur once,
            in alphabetical order.
        operands: tensors, or one sequence of them; dtypes are promoted.

    Raises:
        ShapeError: if the equation does not fit the operands, or a letter has two sizes.
        ValueRangeError: if the equation cannot be read.
        DTypeError: if an operand is no tensor.

    Operands are multiplied from left to right, each pair by one batched matrix product.

    >>> import autodiff as ad
    >>> ad.einsum("ij,jk->ik", ad.tensor([[1.0, 2.0]]), ad.tensor([[3.0], [4.0]]))
    tensor([[11.]])
    """
    if len(operands) == 1 and isinstance(operands[0], Sequence):
        operands = tuple(operands[0])
    found = tensors_of("einsum", operands)
    terms, output = _terms(equation, found)
    sizes: dict[str, int] = {}
    for term, x in zip(terms, found, strict=True):
        for label, size in zip(term, shape_of(x), strict=True):
            if size != sizes.setdefault(label, size):
                if 1 not in (size, sizes[label]) or term.count(label) > 1:
                    raise ShapeError("einsum", f"the dimension {label!r} has two sizes",
                                     got=f"{sizes[label]} and {size}")
                sizes[label] = max(size, sizes[label])
    parts = [_single(x, term) for x, term in zip(found, terms, strict=True)]
    result, labels = parts[0]
    for number, (x, names) in enumerate(parts[1:], start=1):
        later = {label for _, others in parts[number + 1:] for label in others}
        result, labels = _pair(result, labels, x, names, later | set(output))
    result, labels = _summed(result, labels, set(output))
    result = _laid_out(result, labels, output)
    return expand(result, tuple([sizes[label] for label in output]))


# ---- Bilinear forms --------------------------------------------------------------------------------------------------


def _bilinear_samples() -> list[Sample]:
    weight, bias = spread(-1, 1, 4, 3, 2), spread(-1, 1, 4)
    wide = [x.astype(np.float64) for x in (spread(-1, 1, 3), spread(-1, 1, 2), weight)]
    return [Sample(spread(-1, 1, 5, 3), spread(-1, 2, 5, 2), weight, bias),
            Sample(spread(-1, 1, 2, 4, 3), spread(-1, 2, 2, 4, 2), weight), Sample(*wide)]


def _bilinear_errors() -> list[ErrorSample]:
    x, y, weight = np.ones((5, 3), np.float32), np.ones((5, 2), np.float32), np.ones((4, 3, 2), np.float32)
    return [ErrorSample(Sample(x, x, weight), ShapeError, r"\(\.\.\., 3\) and \(\.\.\., 2\); got \(5, 3\) and"),
            ErrorSample(Sample(x[:4], y, weight), ShapeError, "sizes in front"),
            ErrorSample(Sample(x, y, weight[0]), ShapeError, "three dimensions")]


@composed(samples=_bilinear_samples, errors=_bilinear_errors)
def bilinear(input1: TensorT, input2: Any, weight: Any, bias: Any = None) -> TensorT:
    """Return ``sum over i and j of input1[..., i] weight[k, i, j] input2[..., j] + bias[k]`` for every k.

    Args:
        input1: (..., I).
        input2: (..., J), of the same sizes in front.
        weight: (K, I, J).
        bias: (K,), or None.

    Returns:
        (..., K).

    Raises:
        ShapeError: if the sizes do not fit.

    >>> import autodiff as ad
    >>> ad.bilinear(ad.ones(1, 2), ad.ones(1, 3), ad.ones(1, 2, 3))
    tensor([[6.]])
    """
    left, right, sizes = shape_of(input1), shape_of(input2), shape_of(weight)
    if len(sizes) != 3:
        raise ShapeError("bilinear", "the weight has not three dimensions", expected="(K, I, J)", got=str(sizes))
    if left[-1:] != sizes[1:2] or right[-1:] != sizes[2:]:
        raise ShapeError("bilinear", "the last sizes of the inputs are not those of the weight",
                         expected=f"(..., {sizes[1]}) and (..., {sizes[2]})", got=f"{left} and {right}")
    if left[:-1] != right[:-1]:
        raise ShapeError("bilinear", "the sizes in front of the last one differ", expected=str(left[:-1]),
                         got=str(right[:-1]))
    # (..., I) @ (I, K J) is one product for all k; what it leaves is a matrix (K, J) for each pair.
    matrices = matmul(input1, reshape(permute(weight, 1, 0, 2), sizes[1], -1))
    matrices = reshape(matrices, *left[:-1], sizes[0], sizes[2])
    forms: Any = squeeze(matmul(matrices, unsqueeze(input2, -1)), -1)
    return forms if bias is None else add(forms, bias)  # type: ignore[no-any-return]
