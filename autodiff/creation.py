"""Functions that make tensors out of numbers, arrays and nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff.bind import Cut
from autodiff.eager import FLOAT32, SUPPORTED, Tensor, wrap
from autodiff.errors import DTypeError
from autodiff.ops.structural import shape_argument
from autodiff.source import here
from autodiff.spec import Array, DType

INT64 = np.dtype(np.int64)
BOOL = np.dtype(np.bool_)


def dtype_of(dtype: Any, default: DType = FLOAT32) -> DType:
    """Return a supported NumPy dtype; `default` for None.

    Raises:
        DTypeError: for a dtype that this library does not compute in.
    """
    if dtype is None:
        return default
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found not in SUPPORTED:
        raise DTypeError("dtype", "this dtype is not supported", expected=", ".join(d.name for d in SUPPORTED), got=str(dtype))
    return found  # type: ignore[return-value]


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Return a new leaf tensor with a copy of `data`.

    Args:
        data: number, nested sequence, NumPy array or tensor. Python floats give float32, integers int64; arrays keep
            their dtype.
        dtype: of the result.
        device: the CPU; accepted for PyTorch's sake.
        requires_grad: collect gradients here.

    Raises:
        DTypeError: for data or a dtype that is not supported.

    >>> import autodiff as ad
    >>> ad.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    """
    check_device(device)
    round_trip = isinstance(data, np.ndarray | np.generic)
    if isinstance(data, Tensor):
        array: Array = np.array(data.array, dtype=dtype_of(dtype, data.dtype))
    elif round_trip:
        array = np.array(data, dtype=dtype_of(dtype, data.dtype))
    else:
        array = _from_numbers(data, dtype)
    result = wrap(array)
    if round_trip:
        result.cut = Cut("it was made from NumPy data", here())
    return result.requires_grad_() if requires_grad else result


def _from_numbers(data: Any, dtype: Any) -> Array:
    if isinstance(data, Sequence) and not isinstance(data, str):
        data = _unwrapped(data)
    array = np.array(data)
    if array.dtype.kind not in "biuf":
        raise DTypeError("tensor", "this is not rectangular data of numbers", expected="numbers, or sequences of equal length",
                         got=f"{type(data).__name__} (NumPy reads it as {array.dtype})")
    if dtype is not None:
        return array.astype(dtype_of(dtype))
    if array.dtype.kind == "f":
        return array.astype(FLOAT32)
    return array.astype(BOOL if array.dtype.kind == "b" else INT64)


def _unwrapped(data: Any) -> Any:
    """Replace tensors inside sequences by arrays."""
    if isinstance(data, Tensor):
        return data.array
    if isinstance(data, list | tuple):
        return [_unwrapped(item) for item in data]
    return data


def from_numpy(array: Array) -> Tensor:
    """Return a leaf tensor on the memory of a NumPy array: a change of one is seen in the other.

    Raises:
        DTypeError: if the dtype is not supported.

    >>> import numpy as np, autodiff as ad
    >>> ad.from_numpy(np.arange(3.0))
    tensor([0., 1., 2.], dtype=float64)
    """
    if not isinstance(array, np.ndarray):
        raise DTypeError("from_numpy", "this is no NumPy array", expected="numpy.ndarray", got=type(array).__name__,
                         fix="use autodiff.tensor(data)")
    dtype_of(array.dtype)
    result = wrap(array)
    result.memory.shared = True
    result.cut = Cut("it was made from NumPy data", here())
    return result


def as_tensor(data: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Return `data` as a tensor, sharing memory where its dtype is right already.

    >>> import autodiff as ad
    >>> ad.as_tensor([1.5, 2.5])
    tensor([1.5000, 2.5000])
    """
    check_device(device)
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    if isinstance(data, np.ndarray) and (dtype is None or dtype_of(dtype) == data.dtype):
        return from_numpy(data)
    return tensor(data, dtype=dtype)


def _filled(shape: tuple[Any, ...], value: Any, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    check_device(device)
    result = wrap(np.full(shape_argument(shape), value, dtype_of(dtype)))
    return result.requires_grad_() if requires_grad else result


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Return a tensor of zeros of the given sizes.

    >>> import autodiff as ad
    >>> ad.zeros(2)
    tensor([0., 0.])
    """
    return _filled(size, 0, dtype, device, requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Return a tensor of ones of the given sizes.

    >>> import autodiff as ad
    >>> ad.ones(2)
    tensor([1., 1.])
    """
    return _filled(size, 1, dtype, device, requires_grad)


def check_device(device: Any) -> None:
    """Accept the CPU and refuse every other device.

    Raises:
        DTypeError: for a device that is not the CPU.
    """
    if device is not None and str(device) != "cpu":
        raise DTypeError("device", "this library computes on the CPU only", expected="'cpu'", got=str(device),
                         fix="use device('cpu'); cuda.is_available() is False here")
