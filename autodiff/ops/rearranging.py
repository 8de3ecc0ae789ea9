"""Elements turned, repeated and seen through sliding windows.

A dual pair: tensor_unfold and tensor_unfold_grad. flip is its own dual.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.arguments import integers
from autodiff.bind import TensorT, bind
from autodiff.errors import ShapeError
from autodiff.ops import strided
from autodiff.ops.broadcast import expand
from autodiff.ops.elementwise import add, mul, spread
from autodiff.ops.functions import sigmoid
from autodiff.ops.joining import copied, split, zeros_of
from autodiff.ops.shaping import flatten, missing_dimension, shape_of
from autodiff.ops.structural import (
    axes,
    axis_index,
    copy_p,
    reshape,
    select,
    shape_argument,
    slice_grad_p,
)
from autodiff.primitive import ErrorSample, Sample, composed, define, no_errors
from autodiff.spec import Array, Cost, Shape, Spec, moved

__all__ = ["flip", "fliplr", "flipud", "glu", "repeat", "roll", "tensor_unfold", "tile"]

# ---- flip and roll ---------------------------------------------------------------------------------------------------


def _flip_prepare(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], dims: tuple[int, ...]) -> Callable[..., None]:
    (x,) = inputs
    turned = tuple([slice(None, None, -1) if axis in dims else slice(None) for axis in range(x.ndim)])
    steps = tuple([-step if axis in dims else step for axis, step in enumerate(x.strides)])
    copy = strided.prepare((Spec.strided(x.shape, x.dtype, steps),), outputs, "copy")
    return lambda outs, ins: copy(outs, [ins[0][(*turned, ...)]])


def _flip_vjp(record: Any, g: Any) -> tuple[Any]:
    return (bind(flip_p, g, dims=record.params["dims"]),)


def _flip_samples() -> list[Sample]:
    x = spread(-1, 1, 2, 3, 2)
    image = spread(-1, 1, 1, 2, 3, 2).transpose(0, 3, 1, 2)
    return [Sample(x, 0), Sample(x, (0, -1)), Sample(x, [1]), Sample(image, 1, 2), Sample(x[::2].T, 1),
            Sample(x[:, :0], 1), Sample(x, dims=(2, 0))]


flip_p = define(
    "flip",
    infer=lambda x, dims: x.like(),
    run=strided.nothing,
    prepare=_flip_prepare,
    vjp=_flip_vjp,
    cost=copied,
    samples=_flip_samples,
    errors=lambda: [*missing_dimension(2),
                    ErrorSample(Sample(np.ones((2, 2), np.float32), 0, -2), ShapeError, "stands twice")],
    call=lambda *arguments, **keywords: flip(*arguments, **keywords),
)


def flip(input: TensorT, *turned: Any, dims: Any = None) -> TensorT:
    """Return a copy with the order of the elements reversed along dimensions.

    Args:
        input: any shape and dtype.
        turned: dimensions, as arguments or one sequence.
        dims: the same as a keyword.

    Raises:
        ShapeError: if a dimension does not exist or stands twice.

    >>> import autodiff as ad
    >>> ad.flip(ad.tensor([[1, 2], [3, 4]]), 1)
    tensor([[2, 1],
            [4, 3]])
    """
    listed = shape_argument(turned if dims is None else (dims,))
    found = axes("flip", listed, len(shape_of(input, "flip"))) if listed else ()
    return bind(flip_p, input, dims=found)  # type: ignore[no-any-return]


@composed(samples=lambda: [Sample(spread(-1, 1, 2, 3))], errors=lambda: [
    ErrorSample(Sample(np.ones(3, np.float32)), ShapeError, "dimension does not exist")])
def fliplr(input: TensorT) -> TensorT:
    """Return ``flip(input, 1)``.

    Raises:
        ShapeError: for fewer than two dimensions.

    >>> import autodiff as ad
    >>> ad.fliplr(ad.tensor([[1, 2]]))
    tensor([[2, 1]])
    """
    return flip(input, axis_index("fliplr", 1, len(shape_of(input))))


@composed(samples=lambda: [Sample(spread(-1, 1, 3, 2)), Sample(spread(-1, 1, 3))], errors=no_errors)
def flipud(input: TensorT) -> TensorT:
    """Return ``flip(input, 0)``.

    >>> import autodiff as ad
    >>> ad.flipud(ad.tensor([1, 2, 3]))
    tensor([3, 2, 1])
    """
    return flip(input, 0)


def _roll_samples() -> list[Sample]:
    x = spread(-1, 1, 3, 4)
    return [Sample(x, 1), Sample(x, -1, 0), Sample(x, (1, 2), (0, 1)), Sample(x, 9, -1), Sample(x.T[::2], 1, 1),
            Sample(x[:, :0], 2, 1), Sample(x, 0, 0), Sample(spread(-1, 1, 4), [1, 1], [0, 0])]


def _roll_errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [*missing_dimension(1, 2), ErrorSample(Sample(x, (1, 2), (0,)), ShapeError, "one shift a dimension"),
            ErrorSample(Sample(x, (1, 2)), ShapeError, "one shift a dimension")]


def _rolled(length: int, back: int) -> list[tuple[slice, slice]]:
    """Return (to, from) for the two pieces of a dimension that starts `back` places further on."""
    return [(slice(0, length - back), slice(back, length)), (slice(length - back, length), slice(0, back))]


def _roll_run(outs: list[Array], ins: list[Array], backs: tuple[int, ...]) -> None:
    pieces = [_rolled(n, back) if back else [(slice(None), slice(None))]
              for n, back in zip(ins[0].shape, backs, strict=True)]
    for choice in product(*pieces):
        target, source = zip(*choice, strict=True)
        strided.copy_array(outs[0][target], ins[0][source])


def _roll_vjp(record: Any, g: Any) -> tuple[Any]:
    backs = tuple([-back % n if n else 0 for n, back in zip(g.spec.shape, record.params["backs"], strict=True)])
    return (bind(roll_p, g, backs=backs),)


roll_p = define(
    "roll",
    infer=lambda x, backs: x.like(),
    run=_roll_run,
    vjp=_roll_vjp,
    cost=copied,
    samples=_roll_samples,
    errors=_roll_errors,
    call=lambda *arguments: roll(*arguments),
)


def roll(input: TensorT, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> TensorT:
    """Return a copy with the elements moved along dimensions; what leaves one end comes back at the other.

    Args:
        input: any shape and dtype.
        shifts: places to move, towards the end where positive: one a dimension.
        dims: dimensions; by default all elements are moved as one flat row.

    Raises:
        ShapeError: if a dimension does not exist, or there are more or fewer shifts than dimensions.
        DTypeError: if a shift or a dimension is no integer.

    >>> import autodiff as ad
    >>> ad.roll(ad.tensor([1, 2, 3]), 1)
    tensor([3, 1, 2])
    """
    shape = shape_of(input, "roll")
    steps = integers("roll", "shifts", shifts)
    listed = () if dims is None else integers("roll", "dims", dims)
    if len(steps) != max(len(listed), 1):
        raise ShapeError("roll", "there is not one shift a dimension", got=f"shifts {shifts}, dims {dims}")
    if not listed:
        return reshape(roll(flatten(input), steps, 0), shape)
    backs = [0] * len(shape)
    for step, dim in zip(steps, listed, strict=True):
        axis = axis_index("roll", dim, len(shape))
        backs[axis] = (backs[axis] - step) % max(shape[axis], 1)
    return bind(roll_p, input, backs=tuple(backs))  # type: ignore[no-any-return]


# ---- repeat ----------------------------------------------------------------------------------------------------------


def _repeat_samples() -> list[Sample]:
    x = spread(-1, 1, 2, 3)
    return [Sample(x, 2, 1), Sample(x, (3, 1, 2)), Sample(x, 1, 1), Sample(x.T[::2], 1, 2), Sample(np.float32(2), 3),
            Sample(x, 0, 2), Sample(np.float32(2), ())]


def _repeat_errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [ErrorSample(Sample(x, 2), ShapeError, r"at least 2 numbers.*got \(2,\)"),
            ErrorSample(Sample(x, 1, -1), ShapeError, "negative")]


@composed(samples=_repeat_samples, errors=_repeat_errors)
def repeat(input: TensorT, *repeats: Any) -> TensorT:
    """Return copies of the whole tensor laid side by side.

    Args:
        input: any shape and dtype.
        repeats: how many along each dimension, as arguments or one sequence; more than dimensions add some in front.

    Raises:
        ShapeError: if there are fewer numbers than dimensions, or one is negative.

    >>> import autodiff as ad
    >>> ad.repeat(ad.tensor([1, 2]), 2, 2)
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    shape = shape_of(input, "repeat")
    counts = shape_argument(repeats)
    if len(counts) < len(shape):
        raise ShapeError("repeat", "every dimension needs a number", expected=f"at least {len(shape)} numbers",
                         got=str(counts))
    if min(counts, default=0) < 0:
        raise ShapeError("repeat", "a number of copies is negative", got=str(counts))
    sizes = (1,) * (len(counts) - len(shape)) + shape
    apart = reshape(input, tuple([n for size in sizes for n in (1, size)]))
    whole = expand(apart, tuple([n for pair in zip(counts, sizes, strict=True) for n in pair]))
    # Always a copy, and one that can be read under the merged shape without another.
    copy: Any = bind(copy_p, whole, dtype=None, order=tuple(range(2 * len(sizes))))
    merged = tuple([n * size for n, size in zip(counts, sizes, strict=True)])
    return reshape(copy, merged)  # type: ignore[no-any-return]


@composed(samples=lambda: [Sample(spread(-1, 1, 2, 3), 2), Sample(spread(-1, 1, 2, 3), (2, 1, 1)),
                           Sample(spread(-1, 1, 3), 1, 2), Sample(spread(-1, 1, 3), dims=(2, 2))],
          errors=lambda: [ErrorSample(Sample(np.ones(3, np.float32), -1), ShapeError, "negative")])
def tile(input: TensorT, *repeats: Any, dims: Any = None) -> TensorT:
    """Return ``repeat(input, *repeats)``, with ones in front of `repeats` where there are fewer than dimensions.

    Args:
        input: any shape and dtype.
        repeats: how many along each dimension, as arguments or one sequence.
        dims: the same as a keyword.

    Raises:
        ShapeError: if a number is negative.

    >>> import autodiff as ad
    >>> ad.tile(ad.tensor([1, 2]), 2)
    tensor([1, 2, 1, 2])
    """
    counts = shape_argument(repeats if dims is None else (dims,))
    return repeat(input, (1,) * (len(shape_of(input)) - len(counts)) + counts)


# ---- Sliding windows -------------------------------------------------------------------------------------------------


def _unfold_view(array: Array, dim: int, size: int, step: int) -> Array:
    """Return the windows of a dimension as a view: their number in its place, their elements last."""
    count = (array.shape[dim] - size) // step + 1
    shape = (*array.shape[:dim], count, *array.shape[dim + 1:], size)
    strides = (*array.strides[:dim], array.strides[dim] * step, *array.strides[dim + 1:], array.strides[dim])
    return np.lib.stride_tricks.as_strided(array, shape, strides)


@lru_cache(maxsize=1024)
def _add_walk(shape: Shape, out: tuple[int, ...], other: tuple[int, ...], item: int) -> Array:
    mine, theirs = (tuple([step // item for step in strides]) for strides in (out, other))
    walk: Array = kernels.elementwise.plan(shape, mine, [(shape, mine), (shape, theirs)])
    return walk


def _unfold_vjp(record: Any, g: Any) -> tuple[Any]:
    params = record.params
    return (bind(tensor_unfold_grad_p, g, **params, length=record.inputs[0].shape[params["dim"]]),)


def _unfold_grad_run(outs: list[Array], ins: list[Array], dim: int, size: int, step: int, length: int) -> None:
    out, g = outs[0], ins[0]
    strided.fill_array(out, 0)
    if g.size == 0:
        return
    count = g.shape[dim]
    # Windows overlap, but the first elements of all windows do not, nor do the second ones, and so on.
    for position in range(size):
        places = (*(slice(None),) * dim, slice(position, position + (count - 1) * step + 1, step))
        target, added = out[places], g[..., position]
        walk = _add_walk(target.shape, target.strides, added.strides, out.itemsize)
        kernels.elementwise.add(strided.first(target), strided.first(target), strided.first(added), walk, 0, 1)


def _unfold_grad_twin(g: Any, dim: int, size: int, step: int, length: int) -> Any:
    shape = shape_of(g)[:dim] + (length,) + shape_of(g)[dim + 1:-1]
    total: Any = zeros_of(Spec.of(shape, g.spec.dtype))
    for position in range(size):
        index = tuple((position, shape_of(g)[dim], step) if axis == dim else (0, n, 1) for axis, n in enumerate(shape))
        total = add(total, bind(slice_grad_p, select(g, -1, position), index=index, shape=shape))
    return total


def _unfold_samples() -> list[Sample]:
    x = spread(-1, 1, 2, 5)
    return [Sample(x, 1, 3, 1), Sample(x, -1, 2, 2), Sample(x, 0, 1, 4), Sample(x.T[::2], 0, 2, 1),
            Sample(spread(-1, 1, 7), 0, 2, 3),
            Sample(x[:0], 1, 2, 1), Sample(x.astype(np.float64), 1, 5, 1)]


def _unfold_errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [*missing_dimension(2, 1, 1), ErrorSample(Sample(x, 1, 4, 1), ShapeError, "from 0 to 3; got 4"),
            ErrorSample(Sample(x, 1, 2, 0), ShapeError, "positive step"),
            ErrorSample(Sample(np.float32(1), 0, 1, 1), ShapeError, "without")]


tensor_unfold_p = define(
    "tensor_unfold",
    infer=lambda x, dim, size, step: Spec.of(
        (*x.shape[:dim], (x.shape[dim] - size) // step + 1, *x.shape[dim + 1:], size), x.dtype),
    run=lambda array, dim, size, step: [_unfold_view(array, dim, size, step)],
    vjp=_unfold_vjp,
    cost=strided.free,
    view=True,
    samples=_unfold_samples,
    errors=_unfold_errors,
    call=lambda *arguments: tensor_unfold(*arguments),
)

tensor_unfold_grad_p = define(
    "tensor_unfold_grad",
    infer=lambda g, dim, size, step, length: Spec.of((*g.shape[:dim], length, *g.shape[dim + 1:-1]), g.dtype),
    run=_unfold_grad_run,
    vjp=lambda record, h: (
        bind(tensor_unfold_p, h, **{name: record.params[name] for name in ("dim", "size", "step")}),
    ),
    twin=_unfold_grad_twin,
    cost=lambda inputs, outputs, **_: Cost(inputs[0].size, moved(*inputs, *outputs)),
    samples=lambda: [Sample(spread(-1, 1, 2, 3, 3), dim=1, size=3, step=1, length=5),
                     Sample(spread(-1, 1, 2, 3, 2), dim=0, size=2, step=3, length=5)],
    errors=no_errors,
)


def tensor_unfold(input: TensorT, dimension: int, size: int, step: int) -> TensorT:
    """Return the sliding windows of a dimension as a view: the method ``Tensor.unfold``.

    Args:
        input: at least one dimension.
        dimension: n places; the windows' number, ``(n - size) // step + 1``, takes their stead.
        size: length of a window; a new last dimension of the result.
        step: places from one window to the next.

    Raises:
        ShapeError: if the dimension does not exist, a window does not fit into it or the step is not positive.

    >>> import autodiff as ad
    >>> ad.tensor_unfold(ad.tensor([1, 2, 3, 4]), 0, 2, 1)
    tensor([[1, 2],
            [2, 3],
            [3, 4]])
    """
    shape = shape_of(input, "tensor_unfold")
    if not shape:
        raise ShapeError("unfold", "a tensor without dimensions has no windows")
    axis = axis_index("unfold", dimension, len(shape))
    if not 0 <= size <= shape[axis]:
        raise ShapeError("unfold", "a window does not fit into the dimension",
                         expected=f"a size from 0 to {shape[axis]}",
                         got=str(size))
    if step < 1:
        raise ShapeError("unfold", "windows need a positive step", got=str(step))
    return bind(tensor_unfold_p, input, dim=axis, size=int(size), step=int(step))  # type: ignore[no-any-return]


# ---- Gated linear unit -----------------------------------------------------------------------------------------------


@composed(samples=lambda: [Sample(spread(-2, 2, 3, 4)), Sample(spread(-2, 2, 3, 4).T, 0),
                           Sample(spread(-2, 2, 2, 4, 3), 1)],
          errors=lambda: [*missing_dimension(2),
                          ErrorSample(Sample(np.ones((2, 3), np.float32)), ShapeError, "even size.*got 3")])
def glu(input: TensorT, dim: int = -1) -> TensorT:
    """Return ``a * sigmoid(b)``, where a and b are the halves of a dimension.

    Source: Dauphin et al. 2017, Language Modeling with Gated Convolutional Networks, section 2.

    Raises:
        ShapeError: if the dimension does not exist or its size is odd.

    >>> import autodiff as ad
    >>> ad.nn.functional.glu(ad.tensor([3.0, 0.0]))
    tensor([1.5000])
    """
    shape = shape_of(input, "glu")
    axis = axis_index("glu", dim, len(shape))
    if not shape or shape[axis] % 2:
        raise ShapeError("glu", "the dimension cannot be halved", expected="an even size",
                         got=str(shape[axis] if shape else "none"))
    a, b = split(input, (shape[axis] // 2,) * 2, axis)
    return mul(a, sigmoid(b))
