"""What operations on images share: (N, C, H, W) to the user, channels-last in memory; a line has height 1.

A volume, (N, C, D, H, W), has one dimension more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.bind import TensorT
from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops.host import from_array
from autodiff.ops.products import matmul, no_bias
from autodiff.ops.structural import ordered, permute, require_tensor, reshape
from autodiff.primitive import Tail
from autodiff.spec import Array, Shape, Spec

Pair = tuple[int, int]
Triple = tuple[int, int, int]

# The dimensions of an image as they lie in memory, N, H, W, C, and of a volume: by their number.
CHANNELS_LAST = {4: (0, 2, 3, 1), 5: (0, 2, 3, 4, 1)}


def image_spec(shape: Shape, dtype: Any) -> Spec:
    """Return the spec of an (N, C, H, W) or (N, C, D, H, W) result: channels-last."""
    return Spec.of(shape, dtype, CHANNELS_LAST[len(shape)])


def channels_last(x: TensorT) -> TensorT:
    """Return an image or a volume channels-last in memory: itself when it is, else a copy."""
    order = CHANNELS_LAST[x.spec.ndim]  # type: ignore[attr-defined]
    return x if x.spec.order == order else ordered(x, order)  # type: ignore[attr-defined]


def in_memory(array: Array) -> Array:
    """Return a channels-last image or volume as kernels read it: (N, H, W, C) or (N, D, H, W, C), C-contiguous."""
    return array.transpose(CHANNELS_LAST[array.ndim])


# Kernels of convolution know volumes only: an image has depth 1.


def triple(sizes: tuple[int, ...], one: int = 1) -> Triple:
    """Return numbers for rows and columns, or also for depth, as numbers for depth, rows and columns."""
    return (one, sizes[0], sizes[1]) if len(sizes) == 2 else (sizes[0], sizes[1], sizes[2])


def before(padding: tuple[int, ...]) -> Triple:
    """Return the padding before depth, rows and columns."""
    return triple(padding[::2], 0)


def volume(array: Array) -> Array:
    """Return a channels-last image or volume as (N, D, H, W, C)."""
    return in_memory(array) if array.ndim == 5 else in_memory(array)[:, None]


def volume_weight(array: Array) -> Array:
    """Return the weight of a convolution as (O, C / groups, KD, KH, KW)."""
    return array if array.ndim == 5 else array[:, :, None]


def operands(inputs: Sequence[Spec], tail: Tail | None) -> Callable[[Sequence[Array]], tuple[Any, ...]]:
    """Return a function that takes a kernel's bias, residual, scale and activation out of a convolution's operands."""
    biased, missing = len(inputs) == 3, no_bias(inputs[0].dtype)

    def found(ins: Sequence[Array]) -> tuple[Any, ...]:
        bias = ins[2] if biased else missing
        if tail is None:
            return bias, missing, missing, kernels.epilogue.NONE
        residual, scale, activation = tail.arguments(ins, missing)
        return bias, residual.ravel("K"), scale.ravel(), activation

    return found


def numbers(operation: str, name: str, value: Any, count: int, least: int = 1) -> tuple[int, ...]:
    """Return an argument that may be one integer or one for each spatial dimension, as a tuple of `count` integers.

    Raises:
        DTypeError: unless it consists of integers.
        ShapeError: if it has another length than `count` or 1.
        ValueRangeError: if a number is below `least`.
    """
    if type(value) is int:
        found: tuple[Any, ...] = (value,) * count
    else:
        found = tuple(value) if isinstance(value, tuple | list) else (value,)
        for n in found:
            if not isinstance(n, int | np.integer) or isinstance(n, bool):
                raise DTypeError(operation, f"{name} does not consist of integers", expected="int or tuple of int",
                                 got=repr(value))
        found = tuple(int(n) for n in found) * (count if len(found) == 1 else 1)
        if len(found) != count:
            raise ShapeError(operation, f"{name} has the wrong length", expected=f"1 or {count} numbers",
                             got=repr(value))
    if min(found) < least:
        raise ValueRangeError(operation, f"{name} is too small", expected=f"at least {least}", got=repr(value))
    return found


def per_axis(operation: str, name: str, value: Any, rank: int, least: int = 1) -> tuple[int, ...]:
    """Return an argument for each dimension of an image (a line is one) or volume, given one for each of the user's."""
    if rank > 1:
        return numbers(operation, name, value, rank, least)
    return least, numbers(operation, name, value, 1, least)[0]  # height 1: no padding, a step of 1


def spatial(rank: int, shape: Shape) -> Shape:
    """Return the shape the user gave for an (N, C, H, W) shape: without the height when `rank` is 1."""
    return shape if rank > 1 else (*shape[:2], *shape[3:])


_LAYOUT = {1: "(N, C, L) or (C, L)", 2: "(N, C, H, W) or (C, H, W)", 3: "(N, C, D, H, W) or (C, D, H, W)"}


def require_rank(operation: str, x: Any, rank: int) -> None:
    """Raise unless `x` has `rank` spatial dimensions, batched or not.

    Raises:
        DTypeError: if it is no tensor.
        ShapeError: if it has another number of dimensions.
    """
    require_tensor(operation, x)
    if x.spec.ndim not in (rank + 1, rank + 2):
        raise ShapeError(operation, "the input has the wrong number of dimensions", expected=_LAYOUT[rank],
                         got=str(x.spec.shape), fix="add a dimension with unsqueeze, or reshape")


def as_image(operation: str, x: TensorT, rank: int) -> TensorT:
    """Return an input with `rank` spatial dimensions, batched or not, as an image or a volume, without copying.

    Raises:
        DTypeError: if it is no tensor.
        ShapeError: if it has another number of dimensions.
    """
    require_rank(operation, x, rank)
    shape: Shape = x.spec.shape  # type: ignore[attr-defined]
    if rank > 1 and len(shape) == rank + 2:
        return x
    batch = shape[:-1 - rank] or (1,)
    height = (1,) if rank == 1 else ()
    return reshape(x, (*batch, shape[-1 - rank], *height, *shape[len(shape) - rank:]))


def from_image(out: TensorT, x: Any, rank: int) -> TensorT:
    """Return a result in the rank of the input `x` that `as_image` took."""
    if rank > 1 and x.spec.ndim == rank + 2:
        return out
    shape: Shape = out.spec.shape  # type: ignore[attr-defined]
    return reshape(out, (*(shape[:1] if x.spec.ndim == rank + 2 else ()), shape[1], *shape[len(shape) - rank:]))


class Passes:
    """The two views of a volume (N, C, D, H, W), as planes and as lines along its depth, and the way back.

    What works along each axis alone, such as pooling, goes through the planes first and then along the depth.
    Channels-last memory makes both of them views.
    """

    def __init__(self, volume: Any) -> None:
        self.batch, self.channels, self.depth, *self.plane = volume.spec.shape
        self.volume = channels_last(volume)

    def planes(self) -> Any:
        """Return the planes as images, (N * D, C, H, W)."""
        images = permute(self.volume, 0, 2, 1, 3, 4)
        return reshape(images, (self.batch * self.depth, self.channels, *self.plane))

    def lines(self, planes: Any) -> Any:
        """Return planes that one pass made as lines, (N, H * W * C, D)."""
        self.plane = list(planes.spec.shape[2:])
        rows = permute(planes, 0, 2, 3, 1)
        return permute(reshape(rows, (self.batch, self.depth, self.channels * self.plane[0] * self.plane[1])), 0, 2, 1)

    def back(self, lines: Any) -> Any:
        """Return lines that the other pass made as a volume."""
        rows = permute(lines, 0, 2, 1)
        shape = (self.batch, lines.spec.shape[2], *self.plane, self.channels)
        return permute(reshape(rows, shape), 0, 4, 1, 2, 3)


def separable(x: Any, rows: Array, columns: Array) -> Any:
    """Return ``rows @ x @ columns.T`` for (N, C, H, W), rows (P, H) and columns (Q, W): any separable linear map."""
    left, right = (from_array(np.ascontiguousarray(m, x.spec.dtype)) for m in (rows, columns.T))
    return matmul(left, matmul(x, right))
