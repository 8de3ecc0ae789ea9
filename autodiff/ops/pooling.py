"""Pooling: the largest element or the mean of each window of an image or a line.

Max pooling also gives the places of the largest elements. Its gradient adds to these places, `max_pool2d_gather` reads
from them, and the two are each other's vjp. Mean pooling is linear: it and its gradient are each other's vjp.

Images in C order have results and gradients in C order, others channels-last in memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.arguments import integer
from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops.elementwise import mul, spread
from autodiff.ops.host import from_array, values
from autodiff.ops.images import (
    Pair,
    as_image,
    channels_last,
    from_image,
    image_spec,
    in_memory,
    per_axis,
    separable,
    spatial,
)
from autodiff.ops.products import matmul, require_floats
from autodiff.ops.structural import contiguous, reshape
from autodiff.primitive import EachPart, ErrorSample, Keep, Primitive, Sample, composed, define, no_errors
from autodiff.spec import Array, Cost, Shape, Spec, moved

__all__ = ["avg_pool1d", "avg_pool2d", "max_pool1d", "max_pool2d"]

Sizes = tuple[int, ...]  # one number a dimension

PLACES = 1024  # in the largest planes that are turned by the kernels: of larger ones a copy takes less time
# Turning pays for no fewer planes than a register has lanes, and for results with rows of no more outputs: longer ones
# fill registers as they lie. Where windows overlap, the outputs of which windows leave the image cost the most.
LEAST_PLANES, SHORT_ROW, SHORT_OVERLAPPING_ROW = 32, 12, 32

# ---- Layouts ---------------------------------------------------------------------------------------------------------


def in_planes(x: Spec) -> bool:
    """Whether an image lies in memory as planes, one for each of several channels."""
    return x.contiguous and x.shape[1] > 1 and math.prod(x.shape[2:]) > 1


def laid_out(x: Any) -> Any:
    """Return an image in planes or channels-last."""
    return x if in_planes(x.spec) else channels_last(x)


def like_input(x: Any, planes: bool) -> Any:
    """Return an image laid out as the input of a pooling is."""
    return contiguous(x) if planes else channels_last(x)


def spec_of(shape: Shape, dtype: Any, planes: bool) -> Spec:
    """Return the spec of a result or a gradient, laid out as the input is."""
    return Spec.of(shape, dtype) if planes else image_spec(shape, dtype)


def tiles(image: Spec, *pooled: Spec) -> tuple[EachPart, ...]:
    """Return the specs of tiles for some channels of an image in planes, and of what belongs to its windows."""
    channels = kernels.pool_turned.tile_channels(math.prod(image.shape[2:]), image.dtype.itemsize)
    return tuple(
        EachPart(Spec.of((1, channels, math.prod(spec.shape[2:])), spec.dtype)) for spec in (image, *pooled)
    )


def turned_tiles(image: Spec, *pooled: Spec, longest: int) -> tuple[EachPart, ...]:
    """Return the scratch of a pooling of planes whose results' rows are at most so long; none where it does not pay."""
    pays = math.prod(image.shape[:2]) >= LEAST_PLANES and math.prod(image.shape[2:]) <= PLACES
    return tiles(image, *pooled) if pays and pooled[0].shape[3] <= longest else ()


def _pooling_tiles(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], kernel: Pair, stride: Pair, **_: Any
                   ) -> tuple[EachPart, ...]:
    overlapping = kernel[0] > stride[0] or kernel[1] > stride[1]
    longest = SHORT_OVERLAPPING_ROW if overlapping else SHORT_ROW
    return turned_tiles(inputs[0], *outputs, longest=longest) if in_planes(inputs[0]) else ()


def kernels_of(planes: bool, *arrays: Array) -> tuple[Any, list[Array]]:
    """Return the kernels for images of a layout, and images as these read them."""
    return (kernels.pool_planes, list(arrays)) if planes else (kernels.pool, list(map(in_memory, arrays)))


def _prepare(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], **params: Any) -> dict[str, Any]:
    return {"planes": in_planes(inputs[0]), **params}


# ---- Windows ---------------------------------------------------------------------------------------------------------


def pooled_size(operation: str, x: Spec, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes,
                ceil_mode: bool, rank: int) -> Sizes:
    """Return how many windows there are in each dimension.

    With `ceil_mode` a last window that leaves the padded image counts too, if it starts inside the image or left of it.

    Raises:
        ShapeError: if there is none, or a window could lie in the padding alone.
    """
    require_floats(operation, x)
    result = []
    for axis in range(len(kernel)):
        size, before = x.shape[2 + axis], padding[axis]
        reach = dilation[axis] * (kernel[axis] - 1) + 1
        if 2 * before > kernel[axis]:
            raise ShapeError(operation, "the padding is more than half of the window", got=str(padding[-rank:]),
                             expected=f"at most {kernel[axis] // 2} for kernel_size={kernel[axis]}")
        steps = size + 2 * before - reach
        count = (steps + (stride[axis] - 1 if ceil_mode else 0)) // stride[axis] + 1
        if ceil_mode and (count - 1) * stride[axis] >= size + before:
            count -= 1
        if size < 1 or count < 1:
            raise ShapeError(operation, "the window does not fit into the padded input",
                             expected=f"a window of at most {size + 2 * before}",
                             got=f"{reach} (input {spatial(rank, x.shape)})", fix="pad the input, or use fewer layers")
        result.append(count)
    return tuple(result)


def windows(operation: str, rank: int, kernel_size: Any, stride: Any, padding: Any) -> dict[str, Sizes]:
    """Return a pooling's arguments for each dimension; the stride is the window's size by default."""
    kernel = per_axis(operation, "kernel_size", kernel_size, rank)
    step = kernel if stride is None or stride == () else per_axis(operation, "stride", stride, rank)
    return {"kernel": kernel, "stride": step, "padding": per_axis(operation, "padding", padding, rank, 0)}


def _cost(more: int) -> Callable[..., Cost]:
    """Return the cost of a pooling: an addition or comparison for each element of a window, and some for the whole."""

    def count(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], *, kernel: Pair, **_: Any) -> Cost:
        pooled = min(inputs[0].size, outputs[0].size)
        return Cost((kernel[0] * kernel[1] + more) * pooled, moved(*inputs, *outputs))

    return count


# ---- Max pooling -----------------------------------------------------------------------------------------------------


def _max_infer(x: Spec, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool,
               rank: int) -> tuple[Spec, Spec]:
    size = pooled_size(f"max_pool{rank}d", x, kernel, stride, padding, dilation, ceil_mode, rank)
    shape = (*x.shape[:2], *size)
    return spec_of(shape, x.dtype, in_planes(x)), spec_of(shape, np.int64, in_planes(x))


def _max_run(outs: list[Array], ins: list[Array], planes: bool, kernel: Pair, stride: Pair, padding: Pair,
             dilation: Pair, ceil_mode: bool, rank: int) -> None:
    out, indices, *tiles = outs
    numbers = *kernel, *stride, *padding, *dilation
    if tiles:
        kernels.pool_turned.max_pool2d(out, indices, *tiles, *ins, *numbers, 0, 1)
    else:
        family, arrays = kernels_of(planes, out, indices, *ins)
        family.max_pool2d(*arrays, *numbers, 0, 1)


def max_vjp(record: Any, g: Any, _: Any) -> tuple[Any]:
    """Return the gradient of a max pooling, whose second output is the places."""
    x = record.inputs[0]
    planes = in_planes(x)
    g, places = like_input(g, planes), like_input(record.output(1), planes)
    return (bind(max_pool2d_grad_p, g, places, size=x.shape[2:], planes=planes),)


def _max_samples(rank: int) -> list[Sample]:
    x = spread(-2, 2, *((2, 3, 7, 6) if rank == 2 else (2, 3, 7)))
    image = spread(-2, 2, 2, 4, 5, 3).transpose(0, 3, 1, 2)
    samples = [
        Sample(x, 2), Sample(x, 3, 2, 1), Sample(x, 2, 1, return_indices=True), Sample(x, 3, 2, 1, ceil_mode=True),
        Sample(x, 2, 1, 1, 2, return_indices=True), Sample(x[0], (2,) * rank, None), Sample(x[:0], 2),
        Sample(x.astype(np.float64), 3, ceil_mode=True, return_indices=True),
    ]
    return samples if rank == 1 else [
        *samples, Sample(x, (2, 3), (1, 2), (1, 0)), Sample(image, 2, 1, return_indices=True),
        Sample(image[..., ::-2], 2),
        Sample(np.zeros((1, 1, 4, 4), np.float32), 3, 1, return_indices=True, gradient=False),
        Sample(spread(-2, 2, 3, LEAST_PLANES // 2, 5, 4), 3, 1, 1, return_indices=True),
    ]


def _max_errors() -> list[ErrorSample]:
    x = np.ones((2, 3, 5, 5), np.float32)
    return [
        ErrorSample(Sample(x, 6), ShapeError, r"\[max_pool2d\].*window of at most 5; got 6 \(input \(2, 3, 5, 5\)\)"),
        ErrorSample(Sample(x, 2, 1, 2), ShapeError, r"padding is more than half of the window.*at most 1"),
        ErrorSample(Sample(x, 2, 0), ValueRangeError, "stride is too small"),
        ErrorSample(Sample(x, (2, 2, 2)), ShapeError, "kernel_size has the wrong length"),
        ErrorSample(Sample(x, 2.5), DTypeError, "kernel_size does not consist of integers"),
        ErrorSample(Sample(x[0, 0], 2), ShapeError, "wrong number of dimensions"),
        ErrorSample(Sample(x.astype(np.int64), 2), DTypeError, "one float dtype"),
    ]


max_pool2d_p = define(
    "max_pool2d",
    infer=_max_infer,
    run=_max_run,
    prepare=_prepare,
    scratch=_pooling_tiles,
    vjp=max_vjp,
    saves=Keep(outputs=(1,)),
    cost=_cost(0),
    samples=lambda: _max_samples(2),
    errors=_max_errors,
    call=lambda *arguments, **keywords: max_pool2d(*arguments, **keywords),
)


def largest(rank: int, input: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool,
            return_indices: bool) -> Any:
    """Return the largest elements of windows of an image or a line, and their places if asked for."""
    operation = f"max_pool{rank}d"
    given = windows(operation, rank, kernel_size, stride, padding)
    x = laid_out(as_image(operation, input, rank))
    out, indices = bind(max_pool2d_p, x, **given, dilation=per_axis(operation, "dilation", dilation, rank),
                        ceil_mode=bool(ceil_mode), rank=rank)
    out = from_image(out, input, rank)
    return (out, from_image(indices, input, rank)) if return_indices else out


def max_pool2d(input: TensorT, kernel_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0,
               dilation: int | Pair = 1, ceil_mode: bool = False, return_indices: bool = False) -> Any:
    """Return the largest element of each window of an image; NaN counts as largest.

    Args:
        input: (N, C, H, W) or (C, H, W), floats.
        kernel_size: size of a window; one number, or one for rows and one for columns.
        stride: step from window to window; by default `kernel_size`.
        padding: rows and columns of -infinity on each side, at most half of the window.
        dilation: distance between the elements of a window.
        ceil_mode: whether a last window that leaves the padded image counts.
        return_indices: also return the places of the largest elements.

    Returns:
        (N, C, OH, OW) or (C, OH, OW), with ``OH = (H + 2 * padding - dilation * (KH - 1) - 1) // stride + 1`` (rounded
        up with `ceil_mode`), laid out in memory like `input`; with `return_indices` a pair of it and of the places
        ``row * W + column``, int64. Of equal elements the first counts, for the gradient too.

    Raises:
        ShapeError: if the window is larger than the padded image, or the padding more than half of the window.
        DTypeError: unless `input` holds floats.
        ValueRangeError: if a number is too small.

    >>> import autodiff as ad
    >>> ad.nn.functional.max_pool2d(ad.tensor([[[1.0, 2.0, 5.0], [4.0, 3.0, 0.0]]]), 2, stride=1)
    tensor([[[4., 5.]]])
    """
    return largest(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@composed(samples=lambda: _max_samples(1), errors=lambda: [
    ErrorSample(Sample(np.ones((2, 3, 4), np.float32), 5), ShapeError, r"\[max_pool1d\].*got 5 \(input \(2, 3, 4\)\)"),
    ErrorSample(Sample(np.ones(4, np.float32), 2), ShapeError, r"expected \(N, C, L\) or \(C, L\)"),
])
def max_pool1d(input: TensorT, kernel_size: int | tuple[int], stride: int | tuple[int] | None = None,
               padding: int | tuple[int] = 0, dilation: int | tuple[int] = 1, ceil_mode: bool = False,
               return_indices: bool = False) -> Any:
    """Return the largest element of each window of a line: `max_pool2d` with one spatial dimension.

    Args:
        input: (N, C, L) or (C, L), floats.
        kernel_size, stride, padding, dilation: as in `max_pool2d`, one number each.
        ceil_mode: whether a last window that leaves the padded line counts.
        return_indices: also return the places of the largest elements.

    Returns:
        (N, C, OL) or (C, OL); with `return_indices` a pair of it and of the places, int64.

    Raises:
        ShapeError: if the window is larger than the padded line, or the padding more than half of the window.
        DTypeError: unless `input` holds floats.

    >>> import autodiff as ad
    >>> ad.nn.functional.max_pool1d(ad.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[3., 2.]])
    """
    return largest(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _max_grad_run(outs: list[Array], ins: list[Array], size: Pair, planes: bool) -> None:
    family, arrays = kernels_of(planes, *outs, *ins)
    family.max_pool2d_grad(*arrays, 0, 1)


def _gather_run(outs: list[Array], ins: list[Array]) -> None:
    # The places come from max pooling, so the kernel's status word (the scratch) never reports one out of range.
    out, status = outs
    if out.size:
        out, h, indices = (a.reshape(a.shape[0], -1, a.shape[3]) for a in map(in_memory, (out, *ins)))
        kernels.index.gather_along(out, status, h, indices, 0, 1)


def _choice(indices: Any, dtype: Any, places: int) -> Any:
    """Return a constant (N, C, P, places): 1 where the window's largest element lies."""
    n, channels, *windows = indices.spec.shape
    columns = values(indices).reshape(n, channels, math.prod(windows), 1)
    return from_array((columns == np.arange(places)).astype(dtype))


def _max_grad_twin(g: Any, indices: Any, *, size: Pair, planes: bool) -> Any:
    n, channels, rows, columns = g.spec.shape
    chosen = _choice(indices, g.spec.dtype, size[0] * size[1])
    return reshape(matmul(reshape(g, (n, channels, 1, rows * columns)), chosen), (n, channels, *size))


def _gather_twin(h: Any, indices: Any) -> Any:
    n, channels, rows, columns = h.spec.shape
    chosen = _choice(indices, h.spec.dtype, rows * columns)
    return reshape(matmul(chosen, reshape(h, (n, channels, rows * columns, 1))), indices.spec.shape)


def _places(*shape: int) -> Array:
    return np.arange(np.prod(shape)).reshape(shape) * 5 % 12


def _max_grad_samples() -> list[Sample]:
    g, places = spread(-1, 1, 2, 2, 2, 3).transpose(0, 3, 1, 2), _places(2, 2, 2, 3).transpose(0, 3, 1, 2)
    return [Sample(g, places, size=(3, 4), planes=False), Sample(g[:0], places[:0], size=(3, 4), planes=True),
            *[Sample(spread(-1, 1, 1, 20, 1, 2, dtype=np.float64), _places(1, 20, 1, 2), size=(4, 3), planes=planes)
              for planes in (False, True)]]


def _gather_samples() -> list[Sample]:
    places = _places(2, 2, 2, 3).transpose(0, 3, 1, 2)
    return [Sample(spread(-1, 1, 2, 3, 3, 4), places), Sample(spread(-1, 1, 0, 3, 3, 4), places[:0]),
            Sample(spread(-1, 1, 1, 20, 4, 3, dtype=np.float64), _places(1, 20, 1, 2))]


max_pool2d_grad_p: Primitive = define(
    "max_pool2d_grad",
    infer=lambda g, indices, size, planes: spec_of((*g.shape[:2], *size), g.dtype, planes),
    run=_max_grad_run,
    vjp=lambda record, h: (bind(max_pool2d_gather_p, *map(channels_last, (h, record.input(1)))), None),
    twin=_max_grad_twin,
    saves=Keep(inputs=(1,)),
    cost=lambda inputs, outputs, **_: Cost(inputs[0].size, moved(*inputs, *outputs)),
    samples=_max_grad_samples,
    errors=no_errors,
    call=lambda g, indices, planes, **params: bind(
        max_pool2d_grad_p, like_input(g, planes), like_input(indices, planes), planes=planes, **params
    ),
)

max_pool2d_gather_p: Primitive = define(
    "max_pool2d_gather",
    infer=lambda h, indices: image_spec(indices.shape, h.dtype),
    run=_gather_run,
    scratch=lambda inputs, outputs: (EachPart(Spec.of((1,), np.int64)),),
    vjp=lambda record, g: (
        bind(max_pool2d_grad_p, channels_last(g), record.input(1), size=record.inputs[0].shape[2:], planes=False), None
    ),
    twin=_gather_twin,
    saves=Keep(inputs=(1,)),
    cost=lambda inputs, outputs: Cost(0, moved(inputs[1], *outputs) + outputs[0].nbytes),
    samples=_gather_samples,
    errors=no_errors,
    call=lambda h, indices: bind(max_pool2d_gather_p, channels_last(h), channels_last(indices)),
)


# ---- Mean pooling ----------------------------------------------------------------------------------------------------


def _avg_infer(x: Spec, kernel: Pair, stride: Pair, padding: Pair, ceil_mode: bool, count_include_pad: bool,
               divisor: int, rank: int) -> Spec:
    size = pooled_size(f"avg_pool{rank}d", x, kernel, stride, padding, (1, 1), ceil_mode, rank)
    return spec_of((*x.shape[:2], *size), x.dtype, in_planes(x))


def _avg_run(outs: list[Array], ins: list[Array], planes: bool, kernel: Pair, stride: Pair, padding: Pair,
             ceil_mode: bool, count_include_pad: bool, divisor: int, rank: int) -> None:
    out, *tiles = outs
    numbers = *kernel, *stride, *padding, int(count_include_pad), divisor
    if tiles:
        kernels.pool_turned.avg_pool2d(out, *tiles, *ins, *numbers, 0, 1)
    else:
        family, arrays = kernels_of(planes, out, *ins)
        family.avg_pool2d(*arrays, *numbers, 0, 1)


def _avg_vjp(record: Any, g: Any) -> tuple[Any]:
    x = record.inputs[0]
    planes = in_planes(x)
    return (bind(avg_pool2d_grad_p, like_input(g, planes), size=x.shape[2:], planes=planes, **record.params),)


def _avg_samples(rank: int) -> list[Sample]:
    x = spread(-2, 2, *((2, 3, 7, 6) if rank == 2 else (2, 3, 7)))
    samples = [
        Sample(x, 2), Sample(x, 3, 2, 1), Sample(x, 3, 2, 1, count_include_pad=False), Sample(x, 3, 2, ceil_mode=True),
        Sample(x, 3, 3, 1, True, False), Sample(x[0], (2,) * rank, 1), Sample(x[:0], 2),
        Sample(x.astype(np.float64), 3, 2, 1),
    ]
    image = spread(-2, 2, 2, 4, 5, 3).transpose(0, 3, 1, 2)
    return samples if rank == 1 else [
        *samples, Sample(x, (2, 3), (1, 2), (1, 0)), Sample(x, 3, divisor_override=5), Sample(image, 2, 1),
        Sample(image[..., ::-2], 2), Sample(spread(-2, 2, 3, LEAST_PLANES // 2, 5, 4), 2),
    ]


def _avg_errors() -> list[ErrorSample]:
    x = np.ones((2, 3, 5, 5), np.float32)
    return [
        ErrorSample(Sample(x, 6), ShapeError, r"\[avg_pool2d\].*window of at most 5; got 6"),
        ErrorSample(Sample(x, 3, 1, 2), ShapeError, "padding is more than half of the window"),
        ErrorSample(Sample(x, 2, divisor_override=0), ValueRangeError, "divisor_override is zero"),
        ErrorSample(Sample(x.astype(np.int64), 2), DTypeError, "one float dtype"),
    ]


avg_pool2d_p = define(
    "avg_pool2d",
    infer=_avg_infer,
    run=_avg_run,
    prepare=_prepare,
    scratch=_pooling_tiles,
    vjp=_avg_vjp,
    cost=_cost(1),
    samples=lambda: _avg_samples(2),
    errors=_avg_errors,
    call=lambda *arguments, **keywords: avg_pool2d(*arguments, **keywords),
)


def _avg_grad_run(outs: list[Array], ins: list[Array], size: Pair, planes: bool, kernel: Pair, stride: Pair,
                  padding: Pair, ceil_mode: bool, count_include_pad: bool, divisor: int, rank: int) -> None:
    out, *scratch = outs
    numbers = *kernel, *stride, *padding, int(count_include_pad), divisor
    if len(scratch) == 2:
        kernels.pool_turned.avg_pool2d_grad(out, *scratch, *ins, *numbers, 0, 1)
    elif planes:
        kernels.pool_planes.avg_pool2d_grad(out, *scratch, *ins, *numbers, 0, 1)
    else:
        kernels.pool.avg_pool2d_grad(in_memory(out), in_memory(ins[0]), *numbers, 0, 1)


def _avg_grad_scratch(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], planes: bool, **_: Any) -> Any:
    """Return the specs of tiles, or of what a plane's windows give to each of their pixels."""
    if not planes:
        return ()
    shares = EachPart(Spec.of((1, math.prod(inputs[0].shape[2:])), inputs[0].dtype))
    return turned_tiles(outputs[0], inputs[0], longest=SHORT_OVERLAPPING_ROW) or (shares,)


def _avg_grad_vjp(record: Any, h: Any) -> tuple[Any]:
    params = {key: value for key, value in record.params.items() if key not in ("size", "planes")}
    return (bind(avg_pool2d_p, laid_out(h), **params),)


def _coverage(size: int, count: int, kernel: int, stride: int, padding: int) -> tuple[Array, Array, Array]:
    """Return which places each window covers, and how many: with padding, and without."""
    start = np.arange(count)[:, None] * stride - padding
    stop = np.minimum(start + kernel, size + padding)
    covered = (np.arange(size) >= start) & (np.arange(size) < stop)
    return covered, (stop - start)[:, 0], covered.sum(1)


def _avg_grad_twin(g: Any, *, size: Pair, planes: bool, kernel: Pair, stride: Pair, padding: Pair, ceil_mode: bool,
                   count_include_pad: bool, divisor: int, rank: int) -> Any:
    rows, columns = (_coverage(size[i], g.spec.shape[2 + i], kernel[i], stride[i], padding[i]) for i in range(2))
    which = 1 if count_include_pad else 2
    sizes = np.full((1, 1), divisor) if divisor else np.outer(rows[which], columns[which])
    shares = mul(g, from_array((1 / np.maximum(sizes, 1)).astype(g.spec.dtype)))
    return separable(shares, rows[0].T, columns[0].T)


def _avg_grad_samples() -> list[Sample]:
    g = spread(-1, 1, 2, 3, 2, 3).transpose(0, 3, 1, 2)
    plain: dict[str, Any] = {"kernel": (2, 3), "stride": (1, 2), "padding": (0, 1), "ceil_mode": False,
                             "count_include_pad": True, "divisor": 0, "rank": 2, "planes": False}
    return [Sample(g, size=(4, 3), **plain), Sample(g, size=(4, 4), **{**plain, "count_include_pad": False}),
            Sample(g, size=(4, 3), **{**plain, "divisor": 4}), Sample(g[:0], size=(4, 3), **plain),
            Sample(g.astype(np.float64), size=(5, 4), **{**plain, "stride": (2, 3), "ceil_mode": True}),
            Sample(g, size=(4, 3), **{**plain, "planes": True}),
            Sample(spread(-1, 1, 1, LEAST_PLANES, 2, 2), size=(3, 3), **{**plain, "planes": True})]


avg_pool2d_grad_p: Primitive = define(
    "avg_pool2d_grad",
    infer=lambda g, size, planes, **_: spec_of((*g.shape[:2], *size), g.dtype, planes),
    run=_avg_grad_run,
    scratch=_avg_grad_scratch,
    vjp=_avg_grad_vjp,
    twin=_avg_grad_twin,
    cost=_cost(1),
    samples=_avg_grad_samples,
    errors=no_errors,
    call=lambda g, planes, **params: bind(avg_pool2d_grad_p, like_input(g, planes), planes=planes, **params),
)


def average(rank: int, input: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool,
            count_include_pad: bool, divisor: int) -> Any:
    """Return the means of windows of an image or a line; `divisor` takes the place of their size unless it is 0."""
    operation = f"avg_pool{rank}d"
    given = windows(operation, rank, kernel_size, stride, padding)
    x = laid_out(as_image(operation, input, rank))
    out = bind(avg_pool2d_p, x, **given, ceil_mode=bool(ceil_mode), count_include_pad=bool(count_include_pad),
               divisor=divisor, rank=rank)
    return from_image(out, input, rank)


def avg_pool2d(input: TensorT, kernel_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0,
               ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: int | None = None) -> TensorT:
    """Return the mean of each window of an image.

    Args:
        input: (N, C, H, W) or (C, H, W), floats.
        kernel_size: size of a window; one number, or one for rows and one for columns.
        stride: step from window to window; by default `kernel_size`.
        padding: rows and columns of zeros on each side, at most half of the window.
        ceil_mode: whether a last window that leaves the padded image counts.
        count_include_pad: whether padding counts as elements of a window.
        divisor_override: divide by this number instead of the number of elements.

    Returns:
        (N, C, OH, OW) or (C, OH, OW), with ``OH = (H + 2 * padding - KH) // stride + 1`` (rounded up with `ceil_mode`);
        laid out in memory like `input`.

    Raises:
        ShapeError: if the window is larger than the padded image, or the padding more than half of the window.
        DTypeError: unless `input` holds floats.
        ValueRangeError: if a number is too small.

    >>> import autodiff as ad
    >>> ad.nn.functional.avg_pool2d(ad.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 2)
    tensor([[[2.5000]]])
    """
    if divisor_override == 0:
        raise ValueRangeError("avg_pool2d", "divisor_override is zero", expected="another number, or None", got="0")
    return average(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad,  # type: ignore[no-any-return]
                   0 if divisor_override is None else integer("avg_pool2d", "divisor_override", divisor_override))


@composed(samples=lambda: _avg_samples(1), errors=lambda: [
    ErrorSample(Sample(np.ones((2, 3, 4), np.float32), 5), ShapeError, r"\[avg_pool1d\].*got 5 \(input \(2, 3, 4\)\)"),
    ErrorSample(Sample(np.ones(4, np.float32), 2), ShapeError, r"expected \(N, C, L\) or \(C, L\)"),
])
def avg_pool1d(input: TensorT, kernel_size: int | tuple[int], stride: int | tuple[int] | None = None,
               padding: int | tuple[int] = 0, ceil_mode: bool = False, count_include_pad: bool = True) -> TensorT:
    """Return the mean of each window of a line: `avg_pool2d` with one spatial dimension.

    Args:
        input: (N, C, L) or (C, L), floats.
        kernel_size, stride, padding: as in `avg_pool2d`, one number each.
        ceil_mode: whether a last window that leaves the padded line counts.
        count_include_pad: whether padding counts as elements of a window.

    Returns:
        (N, C, OL) or (C, OL).

    Raises:
        ShapeError: if the window is larger than the padded line, or the padding more than half of the window.
        DTypeError: unless `input` holds floats.

    >>> import autodiff as ad
    >>> ad.nn.functional.avg_pool1d(ad.tensor([[1.0, 3.0, 2.0, 0.0]]), 2)
    tensor([[2., 1.]])
    """
    return average(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, 0)  # type: ignore[no-any-return]
