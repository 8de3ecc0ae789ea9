"""Places added at the ends of dimensions, or taken away. A dual pair: pad and pad_grad."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import autodiff_kernels as kernels
from autodiff.arguments import integers
from autodiff.bind import TensorT, bind
from autodiff.errors import ShapeError, ValueRangeError
from autodiff.ops import strided
from autodiff.ops.elementwise import spread
from autodiff.ops.joining import copied
from autodiff.ops.shaping import shape_of
from autodiff.ops.structural import ordered
from autodiff.primitive import ErrorSample, Primitive, Sample, define, no_errors
from autodiff.spec import Array, Shape, Spec

__all__ = ["pad"]

# One (before, after) a dimension; a negative number takes places away.
Widths = tuple[tuple[int, int], ...]
# How far each mode reaches into a dimension of n places.
_REACH: dict[str, Callable[[int], float]] = {
    "constant": lambda n: math.inf,
    "reflect": lambda n: max(n - 1, 0),
    "replicate": lambda n: math.inf,
    "circular": lambda n: n,
}
_WIDE = 4096  # bytes from which on each place of the last padded dimension is a row: rows are what threads share


def _sources(n: int, before: int, after: int, mode: str) -> Array:
    """Return for each place of a padded dimension of n places which of these it comes from, or -1."""
    low = max(-before, 0)  # what is taken away goes first
    size = n - low - max(-after, 0)
    places = np.arange(-max(before, 0), size + max(after, 0))
    if mode == "constant":
        return np.where((places >= 0) & (places < size), places + low, -1)
    if mode == "reflect":
        places = size - 1 - abs(size - 1 - abs(places))
    elif mode == "circular" and size:
        places = places % size
    return low + np.clip(places, 0, max(size - 1, 0))


class _Layout(NamedTuple):
    """How an array and the padded one lie in memory for the kernels, (A, N, M, B) and (A, P, Q, B)."""

    order: Shape
    shape: Shape
    padded: Shape
    rows: Array
    columns: Array
    lead: int
    length: int


def _layout(order: Shape, shape: Shape, widths: Widths, mode: str, item: int) -> _Layout:
    """Return it for dimensions that lie in memory in an order; `item` is the size of an element in bytes."""
    ends = [(shape[axis], *widths[axis]) for axis in order] or [(1, 0, 0)]
    padded = [i for i, (_, before, after) in enumerate(ends) if before or after] or [0]
    first, last = padded[0], padded[-1]
    B = math.prod([n for n, _, _ in ends[last + 1:]])
    if B * item >= _WIDE:
        last += 1
    rows, N = np.zeros(1, np.int64), 1
    for n, before, after in ends[first:last]:
        sources = _sources(n, before, after, mode)
        rows = np.where((rows[:, None] < 0) | (sources < 0), -1, rows[:, None] * n + sources).ravel()
        N *= n
    M, before, after = ends[last] if last == padded[-1] else (1, 0, 0)
    columns = _sources(M, before, after, mode)
    A, length = math.prod([n for n, _, _ in ends[:first]]), M - max(-before, 0) - max(-after, 0)
    return _Layout(order, (A, N, M, B), (A, len(rows), len(columns), B), rows, columns, max(before, 0), length)


def _gapless(x: TensorT) -> TensorT:
    spec: Spec = x.spec  # type: ignore[attr-defined]
    return x if spec.order is not None else ordered(x, spec.lying)


# ---- The operations --------------------------------------------------------------------------------------------------


def _pad_prepare(
    inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], widths: Widths, mode: str, value: float
) -> Callable[..., None]:
    (x,), (out,) = inputs, outputs
    if out.size == 0:
        return strided.nothing
    assert x.order is not None
    order, shape, padded, *places = _layout(x.order, x.shape, widths, mode, x.dtype.itemsize)
    word = np.dtype(f"u{x.dtype.itemsize}")
    filler = np.full(1, value, x.dtype).view(word)

    def run(outs: list[Array], ins: list[Array]) -> None:
        kernels.padding.pad(outs[0].transpose(order).reshape(padded).view(word),
                            ins[0].transpose(order).reshape(shape).view(word), filler, *places, 0, 1)

    return run


def _pad_grad_prepare(
    inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], widths: Widths, mode: str
) -> Callable[..., None]:
    (padded_spec,), (spec,) = inputs, outputs
    if spec.size == 0:
        return strided.nothing
    assert padded_spec.order is not None
    order, shape, padded, rows, *places = _layout(padded_spec.order, spec.shape, widths, mode, spec.dtype.itemsize)
    inside = np.flatnonzero(rows >= 0)
    targets = inside[np.argsort(rows[inside], kind="stable")]
    first = np.searchsorted(rows[targets], np.arange(shape[1] + 1))

    def run(outs: list[Array], ins: list[Array]) -> None:
        gx, g = outs[0].transpose(order).reshape(shape), ins[0].transpose(order).reshape(padded)
        kernels.padding.pad_grad(gx, g, first, targets, *places, 0, 1)

    return run


def _pad_samples() -> list[Sample]:
    x = spread(-1, 1, 2, 3, 4)
    image = spread(-1, 1, 2, 3, 4, 2).transpose(0, 3, 1, 2)
    borders = [Sample(y, widths, mode) for mode in ("reflect", "replicate", "circular")
               for y, widths in ((x, (2, 1)), (image, (1, 2, 2, 0)), (x[..., ::2], (0, 1)))]
    return [Sample(x, (1, 2)), Sample(x, (1, 0, 0, 2), "constant", 3.5), Sample(image, (1, 1, 2, 1)),
            Sample(x, (-1, 2, 1, -1)),
            Sample(x, (0, 0)), Sample(x, (1, 1, 1, 1, 1, 1), value=-np.inf, gradient=False),
            Sample(x[:, :0], (0, 0, 1, 1)),
            Sample(x.astype(np.float64), (1, 1)), Sample(np.arange(3), (1, 0), value=7), Sample(x, ()), *borders,
            Sample(image, (3, 3, 2, 2), "circular"), Sample(x, (3, 0, 2, 1, 1, 0), "reflect"),
            Sample(x, (-1, 2, -1, 1), "replicate"), Sample(spread(-1, 1, 2, 3, 600), (0, 0, 1, 2, 1, 0), "reflect")]


def _pad_errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [ErrorSample(Sample(x, (1,)), ShapeError, "pairs of numbers"),
            ErrorSample(Sample(x, (1,) * 6), ShapeError, "more pairs"),
            ErrorSample(Sample(x, (1, 1), "mirror"), ValueRangeError, "'constant', 'reflect'.*got 'mirror'"),
            ErrorSample(Sample(x, (3, 0), "reflect"), ShapeError, "at most 2; got 3 and 0"),
            ErrorSample(Sample(x, (0, 4), "circular"), ShapeError, "at most 3; got 0 and 4"),
            ErrorSample(Sample(x[:, :0], (1, 0), "replicate"), ShapeError, "empty"),
            ErrorSample(Sample(np.arange(3), (1, 0), value=np.inf), ValueRangeError, "int64.*got inf"),
            ErrorSample(Sample(x, (-2, -2)), ShapeError, "less than nothing")]


def _pad_vjp(record: Any, g: Any) -> tuple[Any]:
    return (bind(pad_grad_p, _gapless(g), widths=record.params["widths"], mode=record.params["mode"]),)


pad_p = define(
    "pad",
    infer=lambda x, widths, mode, value: x.like([n + sum(ends) for n, ends in zip(x.shape, widths, strict=True)]),
    run=strided.nothing,
    prepare=_pad_prepare,
    vjp=_pad_vjp,
    cost=copied,
    samples=_pad_samples,
    errors=_pad_errors,
    call=lambda *arguments, **keywords: pad(*arguments, **keywords),
)
pad_grad_p: Primitive = define(
    "pad_grad",
    infer=lambda g, widths, mode: g.like([n - sum(ends) for n, ends in zip(g.shape, widths, strict=True)]),
    run=strided.nothing,
    prepare=_pad_grad_prepare,
    vjp=lambda record, h: (bind(pad_p, _gapless(h), **record.params, value=0.0),),
    cost=copied,
    samples=lambda: [Sample(spread(-1, 1, 2, 5, 5), widths=((0, 0), (1, 1), (2, 0)), mode=mode) for mode in _REACH],
    errors=no_errors,
)


def pad(input: TensorT, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> TensorT:
    """Return `input` with places added at the ends of its last dimensions.

    Args:
        input: any shape and dtype.
        pad: (before, after) of the last dimension, then of the one before it, and so on. A negative number takes
            places away.
        mode: what the new places hold: ``"constant"``: `value`; ``"reflect"``: what lies mirrored at the outermost
            element; ``"replicate"``: the outermost element; ``"circular"``: what lies at the other end.
        value: for ``"constant"``; 0 by default.

    Raises:
        ShapeError: if `pad` has an odd length or more pairs than dimensions, if nothing would be left of a dimension,
            or if a dimension is too small for the mode.
        ValueRangeError: for another mode, or a value that integers cannot have.

    >>> import autodiff as ad
    >>> ad.nn.functional.pad(ad.tensor([1, 2, 3]), (2, 1), mode="reflect")
    tensor([3, 2, 1, 2, 3, 2])
    """
    shape = shape_of(input, "pad")
    if len(pad) % 2 or len(pad) > 2 * len(shape):
        what = "there are more pairs than dimensions" if len(pad) % 2 == 0 else "the widths are no pairs of numbers"
        raise ShapeError("pad", what, expected=f"(before, after) for at most {len(shape)} dimensions",
                         got=str(tuple(pad)))
    if mode not in _REACH:
        raise ValueRangeError("pad", "this mode does not exist", expected=", ".join(map(repr, _REACH)),
                              got=repr(mode))
    edges = integers("pad", "pad", pad)
    pairs = list(zip(edges[::2], edges[1::2], strict=True))
    widths = ((0, 0),) * (len(shape) - len(pairs)) + tuple(reversed(pairs))
    for axis, (n, (before, after)) in enumerate(zip(shape, widths, strict=True)):
        left, added = n + min(before, 0) + min(after, 0), max(before, after)
        if left < 0:
            raise ShapeError("pad", "the negative widths would leave less than nothing",
                             expected=f"at most {n} places taken away", got=f"{before} and {after}")
        if added > 0 and left == 0 and mode != "constant":
            raise ShapeError("pad", f"dimension {axis} is empty, so mode {mode!r} has nothing to repeat")
        if added > _REACH[mode](left):
            raise ShapeError("pad", f"dimension {axis} has too few places for mode {mode!r}",
                             expected=f"at most {_REACH[mode](left)}", got=f"{before} and {after}")
    spec: Spec = input.spec  # type: ignore[attr-defined]
    if not (spec.floating or math.isfinite(value or 0)):
        raise ValueRangeError("pad", f"{spec.dtype} holds no such value", expected="a finite one", got=str(value))
    return bind(pad_p, _gapless(input), widths=widths, mode=mode, value=float(value or 0))  # type: ignore[no-any-return]
