"""How element-wise operations reach their kernels: any strides, any rank, one compiled kernel a dtype.

A kernel takes of each array the address of its first element only, and a walk: the shape and the strides to go through,
with dimensions merged where all operands allow it (`kernels/README.md`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.errors import ShapeError
from autodiff.spec import Array, Cost, Shape, Spec, moved


def prepare(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], kernel: str = "", **_: Any) -> Callable[..., None]:
    """Return the function that runs an element-wise kernel on arrays of these specs."""
    (out,) = outputs
    if out.size == 0:
        return nothing
    walk = kernels.elementwise.plan(out.shape, out.strides, [(spec.shape, spec.strides) for spec in inputs])
    return run_along(walk, getattr(kernels.elementwise, kernel), *outputs, *inputs)


def run_along(walk: Array, kernel: Any, *specs: Spec) -> Callable[..., None]:
    """Return the function that runs an element-wise kernel along a walk on arrays of these specs, outputs first."""
    function = kernels.entry.compiled(kernel, *[spec.dtype for spec in specs], walk.dtype)
    return lambda outs, ins: function(*outs, *ins, walk, 0, 1)


def nothing(*_: Any) -> None:
    """Runs where there are no elements."""


@lru_cache(maxsize=4096)
def _copy_walk(shape: Shape, out: tuple[int, ...], source_shape: Shape, source: tuple[int, ...], item: int,
               source_item: int) -> Array:
    strides = tuple(stride // item for stride in out)
    source_strides = tuple(stride // source_item for stride in source)
    walk: Array = kernels.elementwise.plan(shape, strides, [(source_shape, source_strides)])
    return walk


def first(array: Array) -> Array:
    """Return a one-dimensional view that starts at the first element of a non-empty array."""
    return array.ravel() if array.flags.c_contiguous else array[(0,) * (array.ndim - 1) + (slice(0, 1),)]


def copy_array(out: Array, source: Array) -> None:
    """Copy `source`, broadcast and cast, into `out`; for `run` functions that move blocks."""
    if out.size == 0:
        return
    walk = _copy_walk(out.shape, out.strides, source.shape, source.strides, out.itemsize, source.itemsize)
    kernels.entry.compiled(kernels.elementwise.copy, out.dtype, source.dtype, walk.dtype)(out, source, walk, 0, 1)


_filler = lru_cache(maxsize=1024)(partial(np.full, ()))


def fill_array(out: Array, value: float) -> None:
    """Set every element of `out` to `value`."""
    copy_array(out, _filler(value or 0, out.dtype))  # -0.0 equals 0.0, so the cache could not tell them apart


def broadcast(operation: str, *specs: Spec) -> Shape:
    """Return the shape that the specs broadcast to.

    Raises:
        ShapeError: when two sizes differ and neither is 1.
    """
    first_shape = specs[0].shape
    if all(spec.shape == first_shape for spec in specs):
        return first_shape
    rank = max(spec.ndim for spec in specs)
    result = []
    for axis in range(-rank, 0):
        size = 1
        for spec in specs:
            if spec.ndim >= -axis and spec.shape[axis] != 1:
                if size not in (1, spec.shape[axis]):
                    raise ShapeError(
                        operation, "the shapes do not broadcast",
                        expected=f"sizes that are equal or 1 in dimension {axis}, counted from the last",
                        got=" and ".join(str(s.shape) for s in specs),
                        fix="bring them to one shape with reshape, unsqueeze or transpose",
                    )
                size = spec.shape[axis]
        result.append(size)
    return tuple(result)


def result_spec(operation: str, *specs: Spec, dtype: Any = None) -> Spec:
    """Return the spec of an element-wise result: broadcast shape, and the layout of the first input of that shape.

    An input whose elements share memory (an expanded one) has no layout that a result could take.
    """
    shape = broadcast(operation, *specs)
    dtype = dtype or specs[-1].dtype
    for spec in specs:
        if spec.shape == shape and spec.lying is not None:
            return spec.like(dtype=dtype)
    return Spec.of(shape, dtype)


def free(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], **_: Any) -> Cost:
    """Return the cost of a view."""
    return Cost(0, 0)


def cost(flops_per_element: int) -> Any:
    """Return the cost function of an element-wise operation."""

    def count(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], **_: Any) -> Cost:
        return Cost(flops_per_element * outputs[0].size, moved(*inputs, *outputs))

    return count
