"""Any strided view of dense memory, a window, and its duals: what is read through it, added up, or written into it.

Dual pairs: window and window_grad, window and place. `bind` makes windows and places of changes in place through views.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.bind import bind
from autodiff.ops import strided
from autodiff.ops.host import from_array
from autodiff.ops.structural import ordered
from autodiff.primitive import Primitive, Sample, define, no_errors
from autodiff.spec import Array, Shape, Spec


def _windowed(array: Array, shape: Shape, strides: tuple[int, ...], offset: int) -> Array:
    """Return the view of a dense array's memory, counted from its lowest address."""
    flat = array.ravel("K") if array.size else array.reshape(-1)
    item = array.itemsize
    return np.lib.stride_tricks.as_strided(flat[offset:], shape, tuple(s * item for s in strides))


def _apart(shape: Shape, strides: tuple[int, ...]) -> bool:
    """Return whether no two elements of a window share a place: each stride steps over what lies within it."""
    reach = 0
    for stride, size in sorted(zip(strides, shape, strict=True)):
        if size > 1:
            if stride <= reach:
                return False
            reach += stride * (size - 1)
    return True


def _window_grad_run(outs: list[Array], ins: list[Array], strides: tuple[int, ...], offset: int, base: Spec) -> None:
    out, g = outs[0], ins[0]
    strided.fill_array(out, 0)
    if g.size and _apart(g.shape, strides):
        strided.copy_array(_windowed(out, g.shape, strides, offset), g)
        return
    # Where places share elements, the shortest dimensions are gone through place by place, until no others share any.
    kept = sorted(range(g.ndim), key=lambda axis: -g.shape[axis])
    while not _apart(tuple(g.shape[axis] for axis in kept), tuple(strides[axis] for axis in kept)):
        kept.pop()
    stepped = [axis for axis in range(g.ndim) if axis not in kept]
    turned, steps = g.transpose(*stepped, *kept), tuple(strides[axis] for axis in kept)
    for place in np.ndindex(turned.shape[:len(stepped)]):
        start = offset + sum(i * strides[axis] for i, axis in zip(place, stepped, strict=True))
        _windowed(out, turned.shape[len(stepped):], steps, start)[...] += turned[place]


window_p: Primitive = define(
    "window",
    infer=lambda x, shape, strides, offset: Spec.strided(shape, x.dtype, strides),
    run=lambda array, shape, strides, offset: [_windowed(array, shape, strides, offset)],
    vjp=lambda record, g: (
        bind(window_grad_p, g, strides=record.params["strides"], offset=record.params["offset"], base=record.inputs[0]),
    ),
    cost=strided.free,
    view=True,
    samples=lambda: [Sample(np.arange(12.0, dtype=np.float32), shape=shape, strides=strides, offset=1)
                     for shape, strides in (((3, 4), (2, 1)), ((2, 1, 3), (6, 1, 2)))],
    errors=no_errors,
)

window_grad_p: Primitive = define(
    "window_grad",
    host=True,
    infer=lambda g, strides, offset, base: base.like(dtype=g.dtype),
    run=_window_grad_run,
    vjp=lambda record, g: (
        bind(
            window_p,
            ordered(g, record.params["base"].order),
            shape=record.inputs[0].shape,
            strides=record.params["strides"],
            offset=record.params["offset"],
        ),
    ),
    cost=strided.cost(1),
    samples=lambda: [
        Sample(np.arange(12.0, dtype=np.float32).reshape(3, 4), strides=(2, 1), offset=1, base=Spec.of((12,))),
        Sample(np.arange(6.0, dtype=np.float32).reshape(2, 3), strides=(6, 2), offset=1, base=Spec.of((12,))),
    ],
    errors=no_errors,
)


def _place_run(outs: list[Array], ins: list[Array], shape: Shape, strides: tuple[int, ...], offset: int) -> None:
    strided.copy_array(outs[0], ins[0])
    strided.copy_array(_windowed(outs[0], shape, strides, offset), ins[1])


def _place_vjp(record: Any, g: Any) -> tuple[Any, Any]:
    g = ordered(g, record.outputs[0].order)
    params = record.params
    kept = bind(place_p, g, from_array(np.zeros((), g.spec.dtype)), **params) if record.mask[0] else None
    return kept, bind(window_p, g, **params) if record.mask[1] else None


place_p: Primitive = define(
    "place",
    infer=lambda base, patch, shape, strides, offset: (
        base if base.order is not None else Spec.of(base.shape, base.dtype)
    ),
    run=_place_run,
    vjp=_place_vjp,
    cost=strided.cost(0),
    samples=lambda: [
        Sample(np.arange(12.0, dtype=np.float32), -np.ones((2, 2), np.float32), shape=(2, 2), strides=(4, 1), offset=2)
    ],
    errors=no_errors,
)
