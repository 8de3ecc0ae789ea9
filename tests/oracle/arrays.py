"""What all families share: floats become float64, integers and bools keep their dtype."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

# Division by zero, log(0) and overflow follow IEEE 754 without a warning, as in PyTorch.
ieee = np.errstate(all="ignore")


def array(x: Any) -> Array:
    """Return x as an array, float64 if it holds floats."""
    x = np.asarray(x)
    return x.astype(np.float64) if x.dtype.kind == "f" else x


def real(x: Any) -> Array:
    """Return x as a float64 array, integers and bools converted."""
    return np.asarray(x).astype(np.float64)


def operand(x: Any) -> Any:
    """Return x as an array, or unchanged if it is a Python number, which takes part in no promotion."""
    return x if isinstance(x, bool | int | float) else array(x)


def axes(dim: Any, ndim: int) -> tuple[int, ...]:
    """Return the reduced dimensions as non-negative numbers; None and () mean all of them."""
    if dim is None or (isinstance(dim, tuple | list) and len(dim) == 0):
        return tuple(range(ndim))
    dims = dim if isinstance(dim, tuple | list) else (dim,)
    return tuple(d % ndim if ndim else 0 for d in dims) if ndim else ()


def numbers(x: Any, n: int) -> tuple[Any, ...]:
    """Return n numbers: x itself if it is a sequence, otherwise x repeated."""
    return tuple(x) * (n if len(x) == 1 else 1) if isinstance(x, tuple | list) else (x,) * n


def varargs(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arguments of a call f(2, 3), f((2, 3)) or f([2, 3]) alike."""
    return tuple(args[0]) if len(args) == 1 and isinstance(args[0], tuple | list) else args
