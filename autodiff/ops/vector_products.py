"""Products of vectors along a dimension, sums of products on top of a tensor, products of several matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.bind import TensorT
from autodiff.errors import DTypeError, ShapeError
from autodiff.ops import strided
from autodiff.ops.broadcast import expand, sum
from autodiff.ops.contraction import added, bmm, outer, plus_errors, plus_samples
from autodiff.ops.elementwise import mul, sub
from autodiff.ops.joining import stack, unbind
from autodiff.ops.products import dot, matmul
from autodiff.ops.promotion import promote
from autodiff.ops.samples import binary_errors, spread
from autodiff.ops.shaping import shape_of, squeeze, unsqueeze
from autodiff.ops.structural import axis_index
from autodiff.primitive import ErrorSample, Sample, composed

__all__ = ["addbmm", "addr", "chain_matmul", "cross", "vdot"]


def _cross_samples(*options: Any) -> list[Sample]:
    a, b = spread(-1, 1, 3, 4), spread(-2, 2, 3, 4)
    return [Sample(a.T, b.T, *options), Sample(a, b[:, :1], dim=0), Sample(a[:, 0], b[:, 1]),
            Sample(spread(-1, 1, 2, 3, 1), spread(-1, 1, 3, 5), dim=-2),
            Sample(np.array([1, 2, 3]), np.array([0, 1, 0])),
            Sample(a.T.astype(np.float64), b.T.astype(np.float64), dim=1)]


def _cross_errors() -> list[ErrorSample]:
    x = np.ones((2, 4), np.float32)
    return [*binary_errors()[:1], ErrorSample(Sample(x, x), ShapeError, "three"),
            ErrorSample(Sample(x, x, dim=2), ShapeError, "does not exist")]


def _cross(operation: str, a: Any, b: Any, axis: int) -> Any:
    a, b = (expand(x, strided.broadcast(operation, a.spec, b.spec)) for x in (a, b))
    if a.spec.shape[axis] != 3:
        raise ShapeError(operation, "the vectors do not have three elements", expected=f"size 3 of dimension {axis}",
                         got=str(a.spec.shape))
    (a0, a1, a2), (b0, b1, b2) = unbind(a, axis), unbind(b, axis)
    parts = [sub(mul(a1, b2), mul(a2, b1)), sub(mul(a2, b0), mul(a0, b2)), sub(mul(a0, b1), mul(a1, b0))]
    return stack(parts, axis)


@composed(name="linalg_cross", samples=_cross_samples, errors=_cross_errors)
def linalg_cross(input: TensorT, other: Any, *, dim: int = -1) -> TensorT:
    """Return the vector products of vectors of three elements.

    Args:
        input: any shape with size 3 in `dim`.
        other: broadcasts against `input`.
        dim: dimension of the vectors.

    Raises:
        ShapeError: if the shapes do not broadcast, or the vectors do not have three elements.

    >>> import autodiff as ad
    >>> ad.linalg.cross(ad.tensor([1.0, 0.0, 0.0]), ad.tensor([0.0, 1.0, 0.0]))
    tensor([0., 0., 1.])
    """
    a, b = promote("linalg.cross", input, other)
    shape = strided.broadcast("linalg.cross", a.spec, b.spec)
    return _cross("linalg.cross", a, b, axis_index("linalg.cross", dim, len(shape)))  # type: ignore[no-any-return]


@composed(samples=lambda: [*_cross_samples()[1:], Sample(spread(-1, 1, 3, 3), spread(-2, 2, 3, 3))],
          errors=_cross_errors)
def cross(input: TensorT, other: Any, dim: int | None = None) -> TensorT:
    """Return the vector products of vectors of three elements.

    Args:
        input: any shape with size 3 in `dim`.
        other: broadcasts against `input`.
        dim: dimension of the vectors; the first of size 3 by default. `linalg.cross` takes the last one.

    Raises:
        ShapeError: if the shapes do not broadcast, or the vectors do not have three elements.

    >>> import autodiff as ad
    >>> ad.cross(ad.tensor([1.0, 0.0, 0.0]), ad.tensor([0.0, 1.0, 0.0]))
    tensor([0., 0., 1.])
    """
    a, b = promote("cross", input, other)
    shape = strided.broadcast("cross", a.spec, b.spec)
    if dim is None:
        if 3 not in shape:
            raise ShapeError("cross", "there are no vectors of three elements", expected="a dimension of size three",
                             got=str(shape))
        dim = shape.index(3)
    return _cross("cross", a, b, axis_index("cross", dim, len(shape)))  # type: ignore[no-any-return]


@composed(name="linalg_vecdot", samples=lambda: [
    Sample(spread(-1, 1, 3, 4), spread(-2, 2, 3, 4)), Sample(spread(-1, 1, 3, 4), spread(-2, 2, 4)),
    Sample(spread(-1, 1, 3, 4), spread(-2, 2, 3, 1), dim=0), Sample(np.array([1, 2]), np.array([3, 4])),
    Sample(spread(-1, 1, 3, 4, dtype=np.float64), spread(-2, 2, 3, 4, dtype=np.float64))], errors=binary_errors)
def vecdot(x: TensorT, y: Any, *, dim: int = -1) -> TensorT:
    """Return the scalar products of vectors.

    Args:
        x: any shape.
        y: broadcasts against `x`.
        dim: dimension of the vectors, after broadcasting; it is dropped.

    Raises:
        ShapeError: if the shapes do not broadcast or the dimension does not exist.

    >>> import autodiff as ad
    >>> ad.linalg.vecdot(ad.tensor([[1.0, 2.0], [3.0, 4.0]]), ad.tensor([1.0, 1.0]))
    tensor([3., 7.])
    """
    return sum(mul(x, y), dim)


@composed(samples=lambda: [Sample(spread(-1, 1, 4), spread(-2, 2, 4)), Sample(np.array([1, 2]), np.array([3, 4]))],
          errors=lambda: [ErrorSample(Sample(np.ones(2, np.float32), np.ones(3, np.float32)), ShapeError, "dot"),
                          ErrorSample(Sample([1.0], np.ones(1, np.float32)), DTypeError, "not a tensor")])
def vdot(input: TensorT, other: Any) -> TensorT:
    """Return `dot`: what PyTorch calls the product that conjugates the first vector, and here all numbers are real.

    Raises:
        ShapeError: if one is no vector, or their lengths differ.

    >>> import autodiff as ad
    >>> ad.vdot(ad.tensor([1.0, 2.0]), ad.tensor([3.0, 4.0]))
    tensor(11.)
    """
    return dot(input, other)


@composed(samples=lambda: plus_samples((2, 3), (2,), (3,)), errors=lambda: plus_errors((2, 3), (2,), (3,))[:1])
def addr(input: TensorT, vec1: Any, vec2: Any, *, beta: float = 1, alpha: float = 1) -> TensorT:
    """Return ``beta * input + alpha * outer(vec1, vec2)``.

    Args:
        input: broadcast to (m, n); with beta 0 it does not count, not even its NaNs.
        vec1: (m,).
        vec2: (n,).
        beta, alpha: factors.

    Raises:
        ShapeError: if the sizes do not fit.

    >>> import autodiff as ad
    >>> ad.addr(ad.zeros(1), ad.tensor([1.0, 2.0]), ad.tensor([3.0]))
    tensor([[3.],
            [6.]])
    """
    return added(input, outer(vec1, vec2), beta, alpha, "addr")  # type: ignore[no-any-return]


@composed(samples=lambda: plus_samples((2, 3), (5, 2, 4), (5, 4, 3)),
          errors=lambda: plus_errors((2, 3), (5, 2, 4), (5, 4, 3)))
def addbmm(input: TensorT, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> TensorT:
    """Return ``beta * input`` and the sum of ``alpha * batch1 @ batch2`` over all matrices.

    Args:
        input: broadcast to (m, n); with beta 0 it does not count, not even its NaNs.
        batch1: (b, m, k).
        batch2: (b, k, n).
        beta, alpha: factors.

    Raises:
        ShapeError: if the sizes do not fit.

    >>> import autodiff as ad
    >>> ad.addbmm(ad.zeros(1, 1), ad.ones(2, 1, 3), ad.ones(2, 3, 1))
    tensor([[6.]])
    """
    return added(input, sum(bmm(batch1, batch2), 0), beta, alpha, "addbmm")  # type: ignore[no-any-return]


# ---- Products of several matrices ------------------------------------------------------------------------------------


def _chain_samples() -> list[Sample]:
    a, b, c, d = spread(-1, 1, 2, 5), spread(-1, 1, 5, 3), spread(-1, 1, 3, 7), spread(-1, 1, 7, 2)
    return [Sample([a, b, c, d]), Sample([a, b]), Sample([a[0], b, c]), Sample([a, b, c[:, 0]]), Sample([a[0], a[1]]),
            Sample([x.astype(np.float64) for x in (a, b, c)])]


@composed(name="linalg_multi_dot", samples=_chain_samples, errors=lambda: [
    ErrorSample(Sample([np.ones((2, 2), np.float32)]), ShapeError, "two or more"),
    ErrorSample(Sample([np.ones((2, 2), np.float32), np.ones((3, 2), np.float32)]), ShapeError, "do not fit"),
    ErrorSample(Sample([np.ones((2, 2), np.float32), np.ones(2, np.float32), np.ones((2, 2), np.float32)]), ShapeError,
                "no matrix")])
def multi_dot(tensors: Sequence[TensorT]) -> TensorT:
    """Return the product of several matrices, in the order that needs the fewest multiplications.

    Args:
        tensors: two or more matrices; the first may be a row, the last a column, as vectors.

    Raises:
        ShapeError: if there are fewer, one has other dimensions, or the sizes do not fit.

    Source: Cormen et al., Introduction to algorithms, section 14.2.

    >>> import autodiff as ad
    >>> ad.linalg.multi_dot([ad.ones(2, 3), ad.ones(3, 4), ad.ones(4)])
    tensor([12., 12.])
    """
    if len(tensors) < 2:
        raise ShapeError("linalg.multi_dot", "there is nothing to multiply", expected="two or more matrices",
                         got=str(len(tensors)))
    shapes = [shape_of(x, "linalg.multi_dot") for x in tensors]
    for i, shape in enumerate(shapes):
        if len(shape) != 2 and not (len(shape) == 1 and i in (0, len(shapes) - 1)):
            raise ShapeError("linalg.multi_dot", f"tensor {i} is no matrix", expected="two dimensions", got=str(shape))
    xs: list[Any] = list(tensors)
    row, column = len(shapes[0]) == 1, len(shapes[-1]) == 1
    xs[0] = unsqueeze(xs[0], 0) if row else xs[0]
    xs[-1] = unsqueeze(xs[-1], 1) if column else xs[-1]
    sizes = [x.spec.shape[0] for x in xs] + [xs[-1].spec.shape[1]]
    if any(x.spec.shape[1] != size for x, size in zip(xs, sizes[1:], strict=True)):
        raise ShapeError("linalg.multi_dot", "the sizes do not fit", got=" @ ".join(map(str, shapes)))
    # best[i, j]: the number of multiplications for the tensors i to j, and behind which one to cut.
    best: dict[tuple[int, int], tuple[int, int]] = {(i, i): (0, i) for i in range(len(xs))}
    for length in range(1, len(xs)):
        for i in range(len(xs) - length):
            j = i + length
            best[i, j] = min((best[i, k][0] + best[k + 1, j][0] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                             for k in range(i, j))

    def product(i: int, j: int) -> Any:
        return xs[i] if i == j else matmul(product(i, best[i, j][1]), product(best[i, j][1] + 1, j))

    result = product(0, len(xs) - 1)
    result = squeeze(result, -1) if column else result
    return squeeze(result, 0) if row else result  # type: ignore[no-any-return]


def chain_matmul(*matrices: TensorT) -> TensorT:
    """Return ``linalg.multi_dot(matrices)``: its older name.

    >>> import autodiff as ad
    >>> ad.chain_matmul(ad.ones(1, 3), ad.ones(3, 4), ad.ones(4, 1))
    tensor([[12.]])
    """
    return multi_dot(matrices)
