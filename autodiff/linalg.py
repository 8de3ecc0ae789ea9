"""Linear algebra under PyTorch's `linalg` names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autodiff.eager import Tensor
from autodiff.errors import ValueRangeError
from autodiff.ops.matrices import cholesky, det, eigh, eigvalsh, inv, qr, slogdet, solve, svd, svdvals
from autodiff.ops.statistics import vector_norm

__all__ = [
    "cholesky", "det", "eigh", "eigvalsh", "inv", "norm", "qr", "slogdet", "solve", "svd", "svdvals", "vector_norm",
]


def norm(
    A: Tensor,  # PyTorch's name
    ord: float | str | None = None,
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Tensor:
    """Return the norm of vectors, ``sum(|x| ** ord) ** (1 / ord)``, or the Frobenius norm of matrices.

    Args:
        A: any shape; integers become float32.
        ord: order of the vector norm, for one dimension; None is 2 over all of `dim`; ``"fro"`` is for two dimensions.
        dim: dimension, or two of a matrix; all by default.
        keepdim: keep the reduced dimensions with size 1.
        dtype: convert `A` first.

    Raises:
        ValueRangeError: for the other norms of matrices.
        ShapeError: if a dimension does not exist.

    >>> import autodiff as ad
    >>> from autodiff import linalg
    >>> linalg.norm(ad.tensor([3.0, -4.0])), linalg.norm(ad.ones(2, 2), "fro"), linalg.norm(ad.ones(2, 3), 1, dim=1)
    (tensor(5.), tensor(2.), tensor([3., 3.]))
    """
    reduced = A.ndim if dim is None else len(dim) if isinstance(dim, Sequence) else 1
    if ord is None or (ord == "fro" and reduced == 2):
        return vector_norm(A, 2, dim, keepdim, dtype=dtype)
    if isinstance(ord, str) or reduced > 1:
        raise ValueRangeError(
            "linalg.norm", "this norm does not exist here", expected="a number for one dimension, 'fro' for two",
            got=f"{ord!r} for {reduced}", fix="name one dimension with dim=, or use vector_norm for all elements",
        )
    return vector_norm(A, ord, dim, keepdim, dtype=dtype)
