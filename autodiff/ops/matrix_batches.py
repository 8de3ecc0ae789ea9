"""What operations on matrices share: their check, and how they take the dimensions in front of the last two."""

from __future__ import annotations

import math
from typing import Any

from autodiff.errors import ShapeError
from autodiff.ops.broadcast import expand
from autodiff.ops.products import require_floats
from autodiff.ops.structural import contiguous
from autodiff.spec import Array, Shape, Spec


def require_matrices(operation: str, x: Spec, square: bool = True, floats: bool = True) -> None:
    """Raise unless there are matrices, of floats, in the last two dimensions.

    Raises:
        ShapeError: for less than two dimensions, or matrices that are not square.
        DTypeError: unless they hold floats.
    """
    if floats:
        require_floats(operation, x)
    if x.ndim < 2 or (square and x.shape[-1] != x.shape[-2]):
        raise ShapeError(operation, f"these are no {'square ' if square else ''}matrices",
                         expected="(..., n, n)" if square else "(..., m, n)", got=str(x.shape))


def in_batch(x: Any, batch: Shape) -> Any:
    """Return matrices expanded to these leading dimensions, in C order."""
    return contiguous(x if x.spec.shape[:-2] == batch else expand(x, (*batch, *x.spec.shape[-2:])))


def matrices(array: Array) -> Array:
    """Return an array in C order as (matrices, rows, columns)."""
    return array.reshape(math.prod(array.shape[:-2]), *array.shape[-2:])
