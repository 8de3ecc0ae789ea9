"""Methods of `Tensor` that ask for its form, change its dtype or layout, or make new tensors like it."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

import numpy as np

from autodiff import dtypes, ops
from autodiff.devices import CPU, check_device, device
from autodiff.errors import DTypeError, ShapeError
from autodiff.ops.structural import axis_index, cast_to, ordered
from autodiff.spec import Array, DType, Spec, address_of, channels_last_order

if TYPE_CHECKING:
    from autodiff.eager import Tensor


class Conversions:
    """Form, dtype and layout; `Tensor` inherits them."""

    if TYPE_CHECKING:
        array: Array
        spec: Spec

    # ---- Form --------------------------------------------------------------------------------------------------------

    @property
    def device(self) -> device:
        """The device: the CPU."""
        return CPU

    @property
    def is_cuda(self) -> builtins.bool:
        """False: there is only the CPU."""
        return False

    @property
    def itemsize(self) -> builtins.int:
        """Bytes an element."""
        return self.spec.dtype.itemsize

    @property
    def nbytes(self) -> builtins.int:
        """Bytes of all elements."""
        return self.spec.nbytes

    @property
    def T(self) -> Any:
        """View with all dimensions in reverse order: the transpose of a matrix."""
        return ops.permute(self, range(self.spec.ndim)[::-1])

    @property
    def mT(self) -> Any:
        """View with the last two dimensions exchanged.

        Raises:
            ShapeError: for fewer than two dimensions.
        """
        if self.spec.ndim < 2:
            raise ShapeError("mT", "a matrix needs two dimensions", got=str(self.spec.shape))
        return ops.transpose(self, -2, -1)

    def size(self, dim: builtins.int | None = None) -> Any:
        """Return the sizes of all dimensions, or of one.

        Raises:
            ShapeError: if the dimension does not exist.

        >>> import autodiff as ad
        >>> ad.zeros(2, 3).size(), ad.zeros(2, 3).size(-1)
        ((2, 3), 3)
        """
        return self.spec.shape if dim is None else self.spec.shape[_axis("size", dim, self.spec.ndim)]

    def stride(self, dim: builtins.int | None = None) -> Any:
        """Return the steps in memory of all dimensions, or of one, in elements.

        >>> import autodiff as ad
        >>> ad.zeros(2, 3).stride()
        (3, 1)
        """
        return self.spec.strides if dim is None else self.spec.strides[_axis("stride", dim, self.spec.ndim)]

    def dim(self) -> builtins.int:
        """Return the number of dimensions; also called `ndimension` and `ndim`."""
        return self.spec.ndim

    ndimension = dim

    def numel(self) -> builtins.int:
        """Return the number of elements; also called `nelement`."""
        return self.spec.size

    nelement = numel

    def element_size(self) -> builtins.int:
        """Return the bytes an element."""
        return self.spec.dtype.itemsize

    def data_ptr(self) -> builtins.int:
        """Return the address of the first element."""
        return address_of(self.array)

    def is_floating_point(self) -> builtins.bool:
        """Return whether the elements are floats."""
        return self.spec.floating

    def is_complex(self) -> builtins.bool:
        """Return False: there are no complex tensors."""
        return False

    def is_contiguous(self, memory_format: dtypes.memory_format = dtypes.contiguous_format) -> builtins.bool:
        """Return whether the elements lie in memory in C order, or channels-last, without gaps.

        Args:
            memory_format: `contiguous_format` or `channels_last`.
        """
        return self.spec.channels_last if memory_format is dtypes.channels_last else self.spec.contiguous

    # ---- Layout ------------------------------------------------------------------------------------------------------

    def contiguous(self, memory_format: dtypes.memory_format = dtypes.contiguous_format) -> Any:
        """Return the elements in C order, or channels-last, without gaps: this tensor if they lie so, else a copy.

        Args:
            memory_format: `contiguous_format` or `channels_last`.

        Raises:
            ShapeError: if channels-last is asked of a tensor without channels.

        >>> import autodiff as ad
        >>> ad.zeros(2, 3).T.contiguous().stride()
        (2, 1)
        """
        if memory_format is not dtypes.channels_last:
            return ops.contiguous(self)
        if self.spec.ndim < 3:
            raise ShapeError("contiguous", "there are no channels", expected="(N, C, ...)", got=str(self.spec.shape))
        return ordered(self, channels_last_order(self.spec.ndim))

    def view(self, *shape: Any) -> Any:
        """Return the same elements under another shape.

        Args:
            shape: sizes, as arguments or one sequence; one may be -1.

        Where the strides allow no view, the result is a copy,
        as `reshape` makes it; such a copy refuses to be changed in
        place.

        Raises:
            ShapeError: if the number of elements differs.
            DTypeError: for a dtype: memory is not read as another dtype.

        >>> import autodiff as ad
        >>> ad.arange(6).view(2, -1).shape
        (2, 3)
        """
        if len(shape) == 1 and isinstance(shape[0], np.dtype | builtins.type):
            raise DTypeError("view", "memory is not read as another dtype", got=str(shape[0]),
                             fix="convert with x.to(dtype)")
        return ops.reshape(self, *shape)

    # ---- Conversion --------------------------------------------------------------------------------------------------

    def to(self, *args: Any, dtype: Any = None, device: Any = None, non_blocking: builtins.bool = False,
           copy: builtins.bool = False, memory_format: dtypes.memory_format | None = None) -> Any:
        """Return this tensor in another dtype or layout; itself where nothing changes.

        Called as ``to(dtype)``, ``to(device)``, ``to(device, dtype)``,
        ``to(other)`` with a tensor whose dtype is taken, or
        with keywords.

        Args:
            args: a dtype, a device or another tensor.
            dtype: of the result.
            device: the CPU.
            non_blocking: accepted for PyTorch's sake.
            copy: copy in any case.
            memory_format: `contiguous_format` or `channels_last`.

        Raises:
            DTypeError: for a dtype that is not supported or a device that is not the CPU.

        >>> import autodiff as ad
        >>> ad.tensor([1, 2]).to(ad.float32)
        tensor([1., 2.])
        """
        for value in args:
            if isinstance(value, Conversions):
                dtype = value.spec.dtype
            elif isinstance(value, np.dtype | builtins.type | TypedTensor):
                dtype = value
            elif not isinstance(value, builtins.bool):  # PyTorch's positional non_blocking and copy
                check_device(value)
        check_device(device)
        result: Any = self if dtype is None else cast_to(self, _supported(dtype))
        if memory_format in (dtypes.channels_last, dtypes.contiguous_format):
            result = result.contiguous(memory_format)
        return ops.clone(self) if copy and result is self else result

    def cpu(self) -> Any:
        """Return this tensor: it is on the CPU."""
        return self

    def cuda(self, device: Any = None, non_blocking: builtins.bool = False) -> Any:
        """Raise: there is only the CPU.

        Raises:
            DTypeError: always.
        """
        return self.to("cuda")

    def type(self, dtype: Any = None, non_blocking: builtins.bool = False) -> Any:
        """Return the name of this tensor's type, or the tensor in another dtype.

        >>> import autodiff as ad
        >>> ad.zeros(2).type()
        'autodiff.FloatTensor'
        """
        if dtype is None:
            return f"autodiff.{_TYPE_NAMES[self.spec.dtype]}"
        if isinstance(dtype, str):
            named = {name: found for found, name in _TYPE_NAMES.items()}
            dtype = named.get(dtype.rpartition(".")[2], dtype)
        return self.to(dtype=dtype)

    def type_as(self, other: Any) -> Any:
        """Return this tensor in the dtype of `other`."""
        return cast_to(self, other.spec.dtype)

    def double(self) -> Any:
        """Return this tensor in float64."""
        return cast_to(self, dtypes.float64)

    def long(self) -> Any:
        """Return this tensor in int64, floats cut towards zero."""
        return cast_to(self, dtypes.int64)

    def short(self) -> Any:
        """Return this tensor in int16."""
        return cast_to(self, dtypes.int16)

    def char(self) -> Any:
        """Return this tensor in int8."""
        return cast_to(self, dtypes.int8)

    def byte(self) -> Any:
        """Return this tensor in uint8."""
        return cast_to(self, dtypes.uint8)

    def float(self) -> Any:
        """Return this tensor in float32."""
        return cast_to(self, dtypes.float32)

    def int(self) -> Any:
        """Return this tensor in int32, floats cut towards zero."""
        return cast_to(self, dtypes.int32)

    def bool(self) -> Any:
        """Return which elements are not zero, as bools."""
        return cast_to(self, dtypes.bool)

    # ---- New tensors -------------------------------------------------------------------------------------------------

    def new_zeros(self, *size: Any, dtype: Any = None, device: Any = None,
                  requires_grad: builtins.bool = False) -> Tensor:
        """Return zeros of the given sizes, in this tensor's dtype unless another is given."""
        from autodiff.creation import zeros

        return zeros(*size, dtype=dtype or self.spec.dtype, device=device, requires_grad=requires_grad)

    def new_ones(self, *size: Any, dtype: Any = None, device: Any = None,
                 requires_grad: builtins.bool = False) -> Tensor:
        """Return ones of the given sizes, in this tensor's dtype unless another is given."""
        from autodiff.creation import ones

        return ones(*size, dtype=dtype or self.spec.dtype, device=device, requires_grad=requires_grad)

    def new_full(self, size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None,
                 requires_grad: builtins.bool = False) -> Tensor:
        """Return a tensor of one value and the given sizes, in this tensor's dtype unless another is given."""
        from autodiff.creation import full

        return full(size, fill_value, dtype=dtype or self.spec.dtype, device=device, requires_grad=requires_grad)

    def new_empty(self, *size: Any, dtype: Any = None, device: Any = None,
                  requires_grad: builtins.bool = False) -> Tensor:
        """Return uninitialised memory of the given sizes, in this tensor's dtype unless another is given."""
        from autodiff.creation import empty

        return empty(*size, dtype=dtype or self.spec.dtype, device=device, requires_grad=requires_grad)

    def new_tensor(self, data: Any, *, dtype: Any = None, device: Any = None,
                   requires_grad: builtins.bool = False) -> Tensor:
        """Return a copy of `data`, in this tensor's dtype unless another is given."""
        from autodiff.creation import tensor

        return tensor(data, dtype=dtype or self.spec.dtype, device=device, requires_grad=requires_grad)


def _axis(operation: str, dim: int, ndim: int) -> int:
    if not ndim:
        raise ShapeError(operation, "a tensor without dimensions has no sizes", got=str(dim))
    return axis_index(operation, dim, ndim)


def _supported(dtype: Any) -> DType:
    from autodiff.creation import dtype_of

    return dtype_of(dtype.dtype if isinstance(dtype, TypedTensor) else dtype)


class TypedTensor:
    """PyTorch's old constructors with a dtype in their name: ``LongTensor([1, 2])``, ``FloatTensor(2, 3)``.

    Args:
        dtype: of the tensors it makes.

    Called with sizes it returns uninitialised memory, with anything else a tensor of that data.

    >>> import autodiff as ad
    >>> ad.LongTensor([1, 2])
    tensor([1, 2])
    >>> ad.FloatTensor(2, 3).shape
    (2, 3)
    """

    def __init__(self, dtype: DType) -> None:
        self.dtype = dtype

    def __call__(self, *data: Any) -> Tensor:
        """Return uninitialised memory of the given sizes, or a tensor of the given data."""
        from autodiff.creation import empty, tensor

        sizes = all(isinstance(n, int) for n in data)
        return empty(data or (0,), dtype=self.dtype) if sizes else tensor(data[0], dtype=self.dtype)

    def __repr__(self) -> str:
        return f"autodiff.{_TYPE_NAMES[self.dtype]}"


_TYPE_NAMES: dict[DType, str] = {
    dtypes.float32: "FloatTensor", dtypes.float64: "DoubleTensor", dtypes.int64: "LongTensor",
    dtypes.int32: "IntTensor",
    dtypes.int16: "ShortTensor", dtypes.int8: "CharTensor", dtypes.uint8: "ByteTensor", dtypes.bool: "BoolTensor",
}
FloatTensor, DoubleTensor = TypedTensor(dtypes.float32), TypedTensor(dtypes.float64)
LongTensor, IntTensor, ShortTensor = TypedTensor(dtypes.int64), TypedTensor(dtypes.int32), TypedTensor(dtypes.int16)
CharTensor, ByteTensor, BoolTensor = TypedTensor(dtypes.int8), TypedTensor(dtypes.uint8), TypedTensor(dtypes.bool)


def is_tensor(obj: Any) -> bool:
    """Return whether `obj` is a tensor.

    >>> import autodiff as ad
    >>> ad.is_tensor(ad.zeros(2)), ad.is_tensor([0, 0])
    (True, False)
    """
    return isinstance(obj, Conversions)


def is_floating_point(input: Tensor) -> bool:
    """Return whether the elements of `input` are floats."""
    return input.spec.floating


def numel(input: Tensor) -> int:
    """Return the number of elements of `input`.

    >>> import autodiff as ad
    >>> ad.numel(ad.zeros(2, 3))
    6
    """
    return input.spec.size
