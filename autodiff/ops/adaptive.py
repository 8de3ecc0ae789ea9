"""Adaptive pooling: windows that divide an image or a line into a given number of parts, overlapping where they must.

Window i of n over a length L covers the places from ``floor(i * L / n)`` to ``ceil((i + 1) * L / n) - 1``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops.elementwise import spread
from autodiff.ops.images import (
    Pair,
    as_image,
    channels_last,
    from_image,
    image_spec,
    in_memory,
    numbers,
    separable,
    spatial,
)
from autodiff.ops.pooling import PLACES, in_planes, max_vjp, spec_of, tiles
from autodiff.ops.products import require_floats
from autodiff.ops.reduce import mean
from autodiff.primitive import EachPart, ErrorSample, Keep, Primitive, Sample, composed, define, no_errors
from autodiff.spec import Array, Cost, Spec, moved

__all__ = ["adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d"]

# ---- Layouts ---------------------------------------------------------------------------------------------------------


def turned(x: Spec) -> bool:
    """Whether the kernels turn an image, which lies in memory as planes."""
    return in_planes(x) and math.prod(x.shape[2:]) <= PLACES


def laid_out(x: Any) -> Any:
    """Return an image in planes that the kernels turn, or channels-last."""
    return x if turned(x.spec) else channels_last(x)


def input_tiles(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], **_: Any) -> tuple[EachPart, ...]:
    """Return the scratch of a pooling."""
    return tiles(inputs[0], *outputs) if turned(inputs[0]) else ()


def gradient_tiles(
    inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], planes: bool, **_: Any
) -> tuple[EachPart, ...]:
    """Return the scratch of the gradient of a pooling."""
    return tiles(outputs[0], *inputs) if planes else ()


# ---- What both share -------------------------------------------------------------------------------------------------


def _window(i: int, size: int, count: int) -> range:
    return range(i * size // count, -(-(i + 1) * size // count))


def _visits(size: int, count: int) -> int:
    """Return how many places all windows cover together."""
    return sum(len(_window(i, size, count)) for i in range(count))


def checked(operation: str, x: Spec, size: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """Return the shape of the result.

    Raises:
        ShapeError: if the input has no places.
        DTypeError: unless it holds floats.
    """
    require_floats(operation, x)
    if 0 in x.shape[2:]:
        raise ShapeError(operation, "the input has no places", expected="sizes of at least 1",
                         got=str(spatial(rank, x.shape)))
    return (*x.shape[:2], *size)


def _cost(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], size: Pair, **_: Any) -> Cost:
    wide, narrow = inputs[0].shape[2:], outputs[0].shape[2:]
    visits = _visits(wide[0], narrow[0]) * _visits(wide[1], narrow[1])
    return Cost(inputs[0].shape[0] * inputs[0].shape[1] * visits, moved(*inputs, *outputs))


def output_sizes(operation: str, value: Any, x: Any, rank: int) -> tuple[int, ...]:
    """Return the number of windows in each dimension; None keeps the input's size."""
    given = tuple(value) if isinstance(value, tuple | list) else (value,) * rank
    given = given * rank if len(given) == 1 else given
    if len(given) != rank:
        raise ShapeError(operation, "output_size has the wrong length", expected=f"1 or {rank} numbers",
                         got=repr(value))
    sizes = [x.spec.shape[x.spec.ndim - rank + i] if n is None else numbers(operation, "output_size", n, 1, 0)[0]
             for i, n in enumerate(given)]
    return (1, sizes[0]) if rank == 1 else tuple(sizes)


def _samples(rank: int, **options: Any) -> list[Sample]:
    x = spread(-2, 2, *((2, 3, 5, 4) if rank == 2 else (2, 3, 7)))
    samples = [
        Sample(x, 3, **options), Sample(x, 1, **options), Sample(x[0], 2, **options), Sample(x[:0], 2, **options),
        Sample(x, (9,) * rank, **options), Sample(x.astype(np.float64), (2,), **options),
    ]
    image = spread(-2, 2, 2, 4, 5, 3).transpose(0, 3, 1, 2)
    return samples if rank == 1 else [
        *samples, Sample(x, (None, 3), **options), Sample(image, (2, 5), **options),
        Sample(image[..., ::-2], 2, **options), Sample(image, (1, 1), **options),
    ]


def _errors(operation: str, rank: int) -> list[ErrorSample]:
    x = np.ones((2, 3, 4, 4)[: rank + 2], np.float32)
    return [ErrorSample(Sample(x, -1), ValueRangeError, rf"\[{operation}\] output_size is too small"),
            ErrorSample(Sample(x, (1, 2, 3)), ShapeError, "output_size has the wrong length"),
            ErrorSample(Sample(x, 2.5), DTypeError, "output_size does not consist of integers"),
            ErrorSample(Sample(x[0, 0], 2), ShapeError, "wrong number of dimensions"),
            ErrorSample(Sample(x[..., :0], 2), ShapeError, "the input has no places"),
            ErrorSample(Sample(x.astype(np.int64), 2), DTypeError, "one float dtype")]


# ---- Mean ------------------------------------------------------------------------------------------------------------


def _avg_infer(x: Spec, size: Pair, rank: int) -> Spec:
    return image_spec(checked(f"adaptive_avg_pool{rank}d", x, size, rank), x.dtype)


def _avg_run(outs: list[Array], ins: list[Array], size: Pair, rank: int) -> None:
    out, *tiles = outs
    if tiles:
        kernels.pool_turned.adaptive_avg_pool2d(in_memory(out), *tiles, ins[0], 0, 1)
    else:
        kernels.pool.adaptive_avg_pool2d(in_memory(out), in_memory(ins[0]), 0, 1)


def _avg_vjp(record: Any, g: Any) -> tuple[Any]:
    x = record.inputs[0]
    return (bind(adaptive_avg_pool2d_grad_p, channels_last(g), size=x.shape[2:], planes=turned(x)),)


adaptive_avg_pool2d_p = define(
    "adaptive_avg_pool2d",
    infer=_avg_infer,
    run=_avg_run,
    scratch=input_tiles,
    vjp=_avg_vjp,
    cost=_cost,
    samples=lambda: _samples(2),
    errors=lambda: _errors("adaptive_avg_pool2d", 2),
    call=lambda *arguments, **keywords: adaptive_avg_pool2d(*arguments, **keywords),
)


def _avg_grad_run(outs: list[Array], ins: list[Array], size: Pair, planes: bool) -> None:
    out, *tiles = outs
    if planes:
        kernels.pool_turned.adaptive_avg_pool2d_grad(out, *tiles, in_memory(ins[0]), 0, 1)
    else:
        kernels.pool.adaptive_avg_pool2d_grad(in_memory(out), in_memory(ins[0]), 0, 1)


def _shares(size: int, count: int) -> Array:
    """Return the matrix (size, count) of what each place has of each window's mean."""
    result = np.zeros((size, count))
    for i in range(count):
        places = _window(i, size, count)
        result[places.start:places.stop, i] = 1 / len(places)
    return result


def _avg_grad_twin(g: Any, *, size: Pair, planes: bool) -> Any:
    return separable(g, *[_shares(size[i], g.spec.shape[2 + i]) for i in range(2)])


def _avg_grad_samples() -> list[Sample]:
    g = spread(-1, 1, 2, 3, 2, 3).transpose(0, 3, 1, 2)
    return [*[Sample(g, size=size, planes=planes) for size in ((5, 4), (2, 7), (3, 2)) for planes in (False, True)],
            Sample(g.astype(np.float64), size=(6, 4), planes=False), Sample(g[:0], size=(3, 2), planes=True)]


def _grad_cost(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], size: Pair, planes: bool) -> Cost:
    return _cost(outputs, inputs, size)


adaptive_avg_pool2d_grad_p: Primitive = define(
    "adaptive_avg_pool2d_grad",
    infer=lambda g, size, planes: spec_of((*g.shape[:2], *size), g.dtype, planes),
    run=_avg_grad_run,
    scratch=gradient_tiles,
    vjp=lambda record, h: (bind(adaptive_avg_pool2d_p, laid_out(h), size=record.inputs[0].shape[2:], rank=2),),
    twin=_avg_grad_twin,
    cost=_grad_cost,
    samples=_avg_grad_samples,
    errors=no_errors,
    call=lambda g, **params: bind(adaptive_avg_pool2d_grad_p, channels_last(g), **params),
)


def _avg_pool(rank: int, input: Any, output_size: Any) -> Any:
    operation = f"adaptive_avg_pool{rank}d"
    x = as_image(operation, input, rank)
    size = output_sizes(operation, output_size, x, rank)
    if size == (1, 1) and x.spec.floating and 0 not in x.spec.shape[2:]:
        return from_image(mean(x, (2, 3), True), input, rank)  # a sum over everything, accumulated in float64
    return from_image(bind(adaptive_avg_pool2d_p, laid_out(x), size=size, rank=rank), input, rank)


def adaptive_avg_pool2d(input: TensorT, output_size: int | tuple[int | None, int | None] | None) -> TensorT:
    """Divide an image into windows and return their means.

    Args:
        input: (N, C, H, W) or (C, H, W), floats.
        output_size: number of windows; one number, or one for rows and one for columns; None keeps the input's size.

    Returns:
        (N, C, *output_size) or (C, *output_size), channels-last in memory.

    Raises:
        ShapeError: if the input has no places or another number of dimensions.
        DTypeError: unless `input` holds floats.
        ValueRangeError: if a size is negative.

    >>> import autodiff as ad
    >>> ad.nn.functional.adaptive_avg_pool2d(ad.tensor([[[1.0, 2.0, 3.0]]]), (1, 2))
    tensor([[[1.5000, 2.5000]]])
    """
    return _avg_pool(2, input, output_size)  # type: ignore[no-any-return]


@composed(samples=lambda: _samples(1), errors=lambda: _errors("adaptive_avg_pool1d", 1))
def adaptive_avg_pool1d(input: TensorT, output_size: int | tuple[int | None] | None) -> TensorT:
    """Divide a line into windows and return their means: `adaptive_avg_pool2d` with one spatial dimension.

    Args:
        input: (N, C, L) or (C, L), floats.
        output_size: number of windows.

    Returns:
        (N, C, output_size) or (C, output_size).

    Raises:
        ShapeError: if the input has no places or another number of dimensions.
        DTypeError: unless `input` holds floats.

    >>> import autodiff as ad
    >>> ad.nn.functional.adaptive_avg_pool1d(ad.tensor([[1.0, 2.0, 3.0]]), 2)
    tensor([[1.5000, 2.5000]])
    """
    return _avg_pool(1, input, output_size)  # type: ignore[no-any-return]


# ---- Maximum ---------------------------------------------------------------------------------------------------------


def _max_infer(x: Spec, size: Pair, rank: int) -> tuple[Spec, Spec]:
    shape = checked(f"adaptive_max_pool{rank}d", x, size, rank)
    return image_spec(shape, x.dtype), image_spec(shape, np.int64)


def _max_run(outs: list[Array], ins: list[Array], size: Pair, rank: int) -> None:
    out, indices, *tiles = outs
    if tiles:
        kernels.pool_turned.adaptive_max_pool2d(in_memory(out), in_memory(indices), *tiles, ins[0], 0, 1)
    else:
        kernels.pool.adaptive_max_pool2d(*(in_memory(array) for array in (*outs, *ins)), 0, 1)


adaptive_max_pool2d_p = define(
    "adaptive_max_pool2d",
    infer=_max_infer,
    run=_max_run,
    scratch=input_tiles,
    vjp=max_vjp,
    saves=Keep(outputs=(1,)),
    cost=_cost,
    samples=lambda: [*_samples(2), *_samples(2, return_indices=True)[-3:]],
    errors=lambda: _errors("adaptive_max_pool2d", 2),
    call=lambda *arguments, **keywords: adaptive_max_pool2d(*arguments, **keywords),
)


def _max_pool(rank: int, input: Any, output_size: Any, return_indices: bool) -> Any:
    operation = f"adaptive_max_pool{rank}d"
    x = laid_out(as_image(operation, input, rank))
    out, indices = bind(adaptive_max_pool2d_p, x, size=output_sizes(operation, output_size, x, rank), rank=rank)
    out = from_image(out, input, rank)
    return (out, from_image(indices, input, rank)) if return_indices else out


def adaptive_max_pool2d(input: TensorT, output_size: int | tuple[int | None, int | None] | None,
                        return_indices: bool = False) -> Any:
    """Divide an image into windows and return their largest elements.

    Args:
        input: (N, C, H, W) or (C, H, W), floats.
        output_size: number of windows; one number, or one for rows and one for columns; None keeps the input's size.
        return_indices: also return the places of the largest elements.

    Returns:
        (N, C, *output_size) or (C, *output_size), channels-last in memory; with `return_indices` a pair of it and of
        the places ``row * W + column``, int64.

    Raises:
        ShapeError: if the input has no places or another number of dimensions.
        DTypeError: unless `input` holds floats.
        ValueRangeError: if a size is negative.

    >>> import autodiff as ad
    >>> ad.nn.functional.adaptive_max_pool2d(ad.tensor([[[1.0, 2.0, 3.0]]]), (1, 2))
    tensor([[[2., 3.]]])
    """
    return _max_pool(2, input, output_size, return_indices)


@composed(samples=lambda: [*_samples(1), *_samples(1, return_indices=True)[:2]],
          errors=lambda: _errors("adaptive_max_pool1d", 1))
def adaptive_max_pool1d(input: TensorT, output_size: int | tuple[int | None] | None,
                        return_indices: bool = False) -> Any:
    """Divide a line into windows and return their largest elements: `adaptive_max_pool2d` with one spatial dimension.

    Args:
        input: (N, C, L) or (C, L), floats.
        output_size: number of windows.
        return_indices: also return the places of the largest elements.

    Returns:
        (N, C, output_size) or (C, output_size); with `return_indices` a pair of it and of the places, int64.

    Raises:
        ShapeError: if the input has no places or another number of dimensions.
        DTypeError: unless `input` holds floats.

    >>> import autodiff as ad
    >>> ad.nn.functional.adaptive_max_pool1d(ad.tensor([[1.0, 2.0, 3.0]]), 2)
    tensor([[2., 3.]])
    """
    return _max_pool(1, input, output_size, return_indices)
