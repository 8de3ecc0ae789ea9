"""The dtypes under PyTorch's names, their limits, and memory formats. A dtype is a NumPy dtype."""

from __future__ import annotations

import builtins
from enum import Enum
from typing import Any

import numpy as np

from autodiff.errors import DTypeError
from autodiff.spec import DType

float32: DType = np.dtype(np.float32)
float64: DType = np.dtype(np.float64)
int64: DType = np.dtype(np.int64)
int32: DType = np.dtype(np.int32)
int16: DType = np.dtype(np.int16)
int8: DType = np.dtype(np.int8)
uint8: DType = np.dtype(np.uint8)
bool: DType = np.dtype(np.bool_)

dtype = np.dtype  # their class, for annotations and isinstance

float, double, long, int, short = float32, float64, int64, int32, int16


class memory_format(Enum):  # PyTorch's name
    """How the dimensions of an image lie in memory: (N, C, H, W) as they are, or with the channels last."""

    contiguous_format = "contiguous_format"
    channels_last = "channels_last"
    preserve_format = "preserve_format"


contiguous_format, channels_last, preserve_format = memory_format


class finfo:
    """Limits of a float dtype.

    Args:
        dtype: float32, the default, or float64.

    Attributes:
        bits: number of bits.
        eps: difference between 1 and the next larger number.
        max: the largest number.
        min: the lowest number, ``-max``.
        tiny: the smallest positive normal number; also called `smallest_normal`.
        resolution: ``10**-digits``, with the number of decimal digits that are exact.

    Raises:
        DTypeError: for a dtype that does not hold floats.

    >>> import autodiff as ad
    >>> ad.finfo(ad.float32).eps
    1.1920928955078125e-07
    """

    def __init__(self, dtype: Any = float32) -> None:
        self.dtype = np.dtype(dtype)
        if self.dtype.kind != "f":
            raise DTypeError("finfo", "this is no dtype of floats", got=self.dtype.name, fix="use iinfo for integers")
        limits = np.finfo(self.dtype)
        self.bits = limits.bits
        self.eps = builtins.float(limits.eps)
        self.max = builtins.float(limits.max)
        self.min = builtins.float(limits.min)
        self.tiny = self.smallest_normal = builtins.float(limits.tiny)
        self.resolution = builtins.float(limits.resolution)

    def __repr__(self) -> str:
        return f"finfo(min={self.min}, max={self.max}, eps={self.eps}, tiny={self.tiny}, dtype={self.dtype.name})"


class iinfo:
    """Limits of an integer dtype.

    Args:
        dtype: an integer dtype.

    Attributes:
        bits: number of bits.
        max: the largest number.
        min: the smallest number.

    Raises:
        DTypeError: for a dtype that does not hold integers.

    >>> import autodiff as ad
    >>> ad.iinfo(ad.int8)
    iinfo(min=-128, max=127, dtype=int8)
    """

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        if self.dtype.kind not in "iu":
            raise DTypeError("iinfo", "this is no integer dtype", got=self.dtype.name, fix="use finfo for floats")
        limits = np.iinfo(self.dtype)
        self.bits = limits.bits
        self.max = builtins.int(limits.max)
        self.min = builtins.int(limits.min)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype.name})"


def get_default_dtype() -> DType:
    """Return the dtype of tensors made from Python floats: always float32.

    >>> import autodiff as ad
    >>> ad.get_default_dtype().name
    'float32'
    """
    return float32


def set_default_dtype(d: Any) -> None:
    """Accept float32, the only default dtype there is.

    Raises:
        DTypeError: for another dtype.
    """
    if np.dtype(d) != float32:
        raise DTypeError("set_default_dtype", "the default dtype is always float32", got=np.dtype(d).name,
                         fix="pass dtype=autodiff.float64 where tensors are made, or call module.double()")
