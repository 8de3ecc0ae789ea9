"""Which dtype an operation on mixed operands computes in: PyTorch's rules, and never a silent float64.

Three kinds, bool < integer < float. A Python number, or a tensor without dimensions beside one with dimensions, decides
the kind at most, never the width; a Python float beside integers gives float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.bind import bind
from autodiff.errors import DTypeError
from autodiff.ops.structural import copy_p
from autodiff.program import Memory, tensor_class
from autodiff.spec import DType, spec_of

FLOAT32 = np.dtype(np.float32)
INT64 = np.dtype(np.int64)
BOOL = np.dtype(np.bool_)
_KIND = {"b": 0, "i": 1, "u": 1, "f": 2}


def is_tensor(x: Any) -> bool:
    """Return whether `x` is a tensor of this library."""
    return isinstance(x, tensor_class[0])


def constant(value: Any, dtype: Any) -> Any:
    """Return a tensor without dimensions that holds a Python number and requires no gradient."""
    tensor = tensor_class[0].__new__(tensor_class[0])
    tensor.array = np.array(value, dtype)
    tensor.spec = spec_of(tensor.array)
    tensor.memory = Memory()
    return tensor


def cast(x: Any, dtype: DType) -> Any:
    """Return `x` in `dtype`; `x` itself when it is that already."""
    return x if x.spec.dtype is dtype or x.spec.dtype == dtype else bind(copy_p, x, dtype=dtype, order=None)


def number_dtype(value: Any, operation: str) -> DType:
    """Return the dtype a Python or NumPy number stands for on its own."""
    if isinstance(value, bool | np.bool_):
        return BOOL
    if isinstance(value, int | np.integer):
        return INT64
    if isinstance(value, float | np.floating):
        return FLOAT32
    if isinstance(value, np.ndarray):
        raise DTypeError(operation, "a NumPy array cannot be mixed with tensors", got="numpy.ndarray",
                         fix="wrap it with autodiff.from_numpy(array)")
    raise DTypeError(operation, "an operand is neither a tensor nor a number", expected="a tensor or a number",
                     got=type(value).__name__)


def result_dtype(operation: str, *operands: Any) -> DType:
    """Return the dtype that the operands promote to."""
    strongest: list[DType | None] = [None, None, None]  # with dimensions, without, numbers
    for x in operands:
        if is_tensor(x):
            rank, dtype = (0 if x.spec.ndim else 1), x.spec.dtype
        else:
            rank, dtype = 2, number_dtype(x, operation)
        before = strongest[rank]
        strongest[rank] = dtype if before is None else _join(before, dtype)
    result: DType | None = None
    for found in strongest:
        if found is not None and (result is None or _KIND[found.kind] > _KIND[result.kind]):
            result = found
    assert result is not None
    return result


def _join(a: DType, b: DType) -> DType:
    if _KIND[a.kind] != _KIND[b.kind]:
        return a if _KIND[a.kind] > _KIND[b.kind] else b
    return np.promote_types(a, b)


def promote(operation: str, *operands: Any) -> list[Any]:
    """Return all operands as tensors of the dtype they promote to; numbers become tensors without dimensions."""
    tensor = tensor_class[0]
    first = operands[0]
    if isinstance(first, tensor):
        dtype = first.spec.dtype
        for x in operands:
            if not isinstance(x, tensor) or x.spec.dtype is not dtype:
                break
        else:
            return list(operands)
    dtype = result_dtype(operation, *operands)
    return [cast(x, dtype) if isinstance(x, tensor) else constant(x, dtype) for x in operands]


def promote_float(operation: str, *operands: Any) -> list[Any]:
    """Like `promote`, but integers and bools become float32: for operations with real results."""
    dtype = result_dtype(operation, *operands)
    if dtype.kind != "f":
        dtype = FLOAT32
    return [cast(x, dtype) if is_tensor(x) else constant(x, dtype) for x in operands]
