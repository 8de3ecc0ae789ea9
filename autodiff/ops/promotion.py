"""Which dtype an operation on mixed operands computes in: PyTorch's rules, and never a silent float64.

Three kinds, bool < integer < float. A Python number, or a tensor without dimensions beside one with dimensions, decides
the kind at most, never the width; a Python float beside integers gives float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.bind import bind
from autodiff.errors import DTypeError
from autodiff.ops.structural import copy_p, require_tensor
from autodiff.program import Memory, tensor_class
from autodiff.spec import DType, spec_of

FLOAT32 = np.dtype(np.float32)
INT64 = np.dtype(np.int64)
BOOL = np.dtype(np.bool_)
_KIND = {"b": 0, "i": 1, "u": 1, "f": 2}


def is_tensor(x: Any) -> bool:
    """Return whether `x` is a tensor of this library."""
    return isinstance(x, tensor_class[0])


_CONSTANT_LIMIT = 1024
_constants: dict[tuple[Any, ...], Any] = {}


def constant(value: Any, dtype: Any) -> Any:
    """Return a tensor without dimensions that holds a Python number and requires no gradient.

    Later calls with the same number return the same tensor, so nobody may change it in place.
    """
    key = (type(value), value or str(value), dtype)  # 0.0 and -0.0 are equal and must stay apart
    found = _constants.get(key)
    if found is None:
        with np.errstate(over="ignore", invalid="ignore"):
            array = np.asarray(value).astype(dtype)
        found = tensor_class[0].__new__(tensor_class[0])
        found.array = array
        found.spec = spec_of(array)
        found.memory = Memory()
        found.memory.shared = True
        if len(_constants) >= _CONSTANT_LIMIT:
            _constants.clear()
        _constants[key] = found
    return found


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


# The types of numbers that leave a tensor of this kind of dtype as it is.
WEAKER = {"f": (float, int, bool), "i": (int, bool), "u": (int, bool), "b": (bool,)}


def promote(operation: str, *operands: Any) -> list[Any]:
    """Return all operands as tensors of the dtype they promote to; numbers become tensors without dimensions."""
    tensor = tensor_class[0]
    dtype: DType | None
    if len(operands) == 2 and isinstance(operands[0], tensor):  # by far the most common cases, in half the time
        x, y = operands
        dtype = x.spec.dtype
        if not isinstance(y, tensor):
            if type(y) in WEAKER[dtype.kind]:
                return [x, constant(y, dtype)]
        elif y.spec.dtype is dtype:
            return [x, y]
    dtype = None
    numbers = False
    for x in operands:
        if not isinstance(x, tensor):
            numbers = True
        elif dtype is None:
            dtype = x.spec.dtype
        elif x.spec.dtype is not dtype:
            break
    else:
        # The common case: all tensors have one dtype, and numbers do not change it.
        if not numbers:
            return list(operands)
        if dtype is not None:
            weaker = WEAKER[dtype.kind]
            if all(isinstance(x, tensor) or type(x) in weaker for x in operands):
                return [x if isinstance(x, tensor) else constant(x, dtype) for x in operands]
    return _converted(operands, result_dtype(operation, *operands))


def promote_float(operation: str, *operands: Any) -> list[Any]:
    """Like `promote`, but integers and bools become float32: for operations with real results."""
    tensor = tensor_class[0]
    for x in operands:
        if isinstance(x, tensor) and x.spec.floating:
            return promote(operation, *operands)
    dtype = result_dtype(operation, *operands)
    return _converted(operands, dtype if dtype.kind == "f" else FLOAT32)


def _converted(operands: tuple[Any, ...], dtype: DType) -> list[Any]:
    return [cast(x, dtype) if is_tensor(x) else constant(x, dtype) for x in operands]


def real(operation: str, x: Any) -> Any:
    """Return a tensor of floats: `x` itself, or converted to float32 from integers or bools.

    Raises:
        DTypeError: if `x` is not a tensor.
    """
    if isinstance(x, tensor_class[0]) and x.spec.floating:
        return x
    require_tensor(operation, x)
    return cast(x, FLOAT32)
