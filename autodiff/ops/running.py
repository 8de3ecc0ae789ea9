"""Running extremes along a dimension, and where they stand."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.bind import TensorT, bind
from autodiff.ops.elementwise import spread
from autodiff.ops.extremes import ValuesAndIndices
from autodiff.ops.host import from_array
from autodiff.ops.picking import blocks
from autodiff.ops.promotion import INT64
from autodiff.ops.scattering import gather_grad_p
from autodiff.ops.shaping import missing_dimension, shape_of
from autodiff.ops.structural import axis_index, clone, contiguous
from autodiff.primitive import Keep, Primitive, Sample, define
from autodiff.spec import Array, Cost, Spec, moved

__all__ = ["cummax", "cummin"]


def _prepare(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], dim: int) -> dict[str, Any]:
    return {"shape": blocks(inputs[0].shape, dim)}


def _run(outs: list[Array], ins: list[Array], kernel: str, shape: tuple[int, int, int]) -> None:
    values, places, x = (array.reshape(shape) for array in (*outs, *ins))
    if x.dtype.kind == "b":
        values, x = values.view(np.uint8), x.view(np.uint8)
    getattr(kernels.running, kernel)(values, places, x, 0, 1)


def _vjp(record: Any, g: Any, _: Any = None) -> tuple[Any]:
    dim = record.params["dim"]
    return (bind(gather_grad_p, contiguous(g), record.output(1), dim=dim, size=record.inputs[0].shape[dim]),)


def _samples() -> list[Sample]:
    x = spread(-1, 1, 3, 4)
    return [
        Sample(x, 1), Sample(x, 0), Sample(np.array([1, 2, 2, 0]), 0), Sample(spread(-1, 1, 2, 3, 4).T, -2),
        Sample(np.float32(2), 0), Sample(np.array([1, np.nan, 3, np.nan, 0], np.float32), 0, gradient=False),
        Sample(np.array([[1, 2], [np.nan, 1], [3, 2]], np.float32), 0, gradient=False),
        Sample(np.zeros((2, 0), np.float32), 1), Sample(spread(-1, 1, 5, dtype=np.float64), 0),
        Sample(spread(-1, 1, 2, 50), 1), Sample(np.array([True, False, True]), 0),
        Sample(np.array([[3, 250], [7, 9]], np.uint8), 1),
    ]


def _running(name: str, call: Callable[..., Any]) -> Primitive:
    """Declare the running extremes along a dimension, and their places."""
    return define(
        name,
        infer=lambda x, dim: (Spec.of(x.shape, x.dtype), Spec.of(x.shape, INT64)),
        run=partial(_run, kernel=name),
        prepare=_prepare,
        vjp=_vjp,
        saves=Keep(outputs=(1,)),
        cost=lambda inputs, outputs, dim: Cost(inputs[0].size, moved(*inputs, *outputs)),
        samples=_samples,
        errors=lambda: missing_dimension(2),
        call=call,
    )


cummax_p = _running("cummax", lambda *a: cummax(*a))
cummin_p = _running("cummin", lambda *a: cummin(*a))


def _extremes(primitive: Primitive, x: Any, dim: int) -> ValuesAndIndices:
    axis = axis_index(primitive.name, dim, len(shape_of(x, primitive.name)))
    if not x.spec.ndim:
        return ValuesAndIndices(clone(x), from_array(np.array(0)))
    return ValuesAndIndices(*bind(primitive, contiguous(x), dim=axis))


def cummax(input: TensorT, dim: int) -> ValuesAndIndices:
    """Return the largest element up to each place of a dimension, and where it stands last.

    Args:
        input: any shape and dtype; NaN is larger than any number.
        dim: dimension.

    Returns:
        ``(values, indices)``; gradients flow through the values.

    Raises:
        ShapeError: if the dimension does not exist.

    >>> import autodiff as ad
    >>> ad.cummax(ad.tensor([1, 3, 2]), 0)
    ValuesAndIndices(values=tensor([1, 3, 3]), indices=tensor([0, 1, 1]))
    """
    return _extremes(cummax_p, input, dim)


def cummin(input: TensorT, dim: int) -> ValuesAndIndices:
    """Return the smallest element up to each place of a dimension, and where it stands last; see `cummax`.

    Raises:
        ShapeError: if the dimension does not exist.

    >>> import autodiff as ad
    >>> ad.cummin(ad.tensor([3, 1, 2]), 0)
    ValuesAndIndices(values=tensor([3, 1, 1]), indices=tensor([0, 1, 1]))
    """
    return _extremes(cummin_p, input, dim)
