"""Convolutions of lines, images and volumes as operations, and their gradients.

Three operations, each bilinear, differentiate one another, to any order: the convolution, its gradient with respect to
the image (which is the transposed convolution), and its gradient with respect to the weight; of images::

    out[n, o, i, j]     = sum over c, k, l of x[n, c, i*sh + k*dh - top, j*sw + l*dw - left] * weight[o, c, k, l]
    image gradient      = the sum that carries out[n, o, i, j] back to the places it was read from
    weight gradient     = sum over n, i, j of g[n, o, i, j] * x[n, c, i*sh + k*dh - top, j*sw + l*dw - left]

A line is an image of height 1. Volumes have operations of their own, with the same rules and kernels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.bind import bind
from autodiff.errors import ShapeError, ValueRangeError
from autodiff.ops import depthwise, few_channels, strided, unit_kernels, winograd
from autodiff.ops.broadcast import expand
from autodiff.ops.broadcast import sum as total
from autodiff.ops.convolution_samples import (
    conv2d_errors,
    conv2d_samples,
    conv3d_errors,
    conv3d_samples,
    input_grad3d_samples,
    input_grad_samples,
    weight_grad3d_samples,
    weight_grad_samples,
)
from autodiff.ops.elementwise import add
from autodiff.ops.images import (
    Triple,
    as_image,
    before,
    channels_last,
    from_image,
    image_spec,
    numbers,
    operands,
    per_axis,
    spatial,
    triple,
    volume,
    volume_weight,
)
from autodiff.ops.products import matmul, no_bias, require_floats
from autodiff.ops.structural import contiguous, require_tensor, reshape, slice_grad_p, slice_p, transpose
from autodiff.primitive import EachPart, ErrorSample, Keep, Primitive, Sample, Tail, define, no_errors
from autodiff.spec import Array, Cost, Shape, Spec, moved

# One number a dimension.
Sizes = tuple[int, ...]
# Before and behind in each dimension. Behind it may be negative: the last pixels are not read then.
Padding = tuple[int, ...]
Frame = tuple[Triple, Triple]

# ---- Sizes, checks and costs -----------------------------------------------------------------------------------------


def _require_groups(operation: str, channels: int, weight: Shape, groups: int, rank: int) -> None:
    if weight[0] % groups or (channels % groups and not operation.startswith("conv_transpose")):
        raise ShapeError(operation, "the channels do not divide into the groups",
                         expected=f"input and output channels that are multiples of groups={groups}",
                         got=f"{channels} input channels and a weight of shape {spatial(rank, weight)}")


def _require_bias(operation: str, bias: Spec | None, channels: int) -> None:
    if bias is not None and bias.shape != (channels,):
        raise ShapeError(operation, "the bias does not fit the weight", expected=str((channels,)), got=str(bias.shape))


def _flops(g: Spec, weight: Shape) -> int:
    """Return the multiplications and additions of all three operations: g is the output or its cotangent."""
    return 2 * g.size * math.prod(weight[1:])


def _volume_shape(shape: Shape) -> Shape:
    """Return the shape in memory, (N, D, H, W, C)."""
    return (shape[0], *triple(shape[2:]), shape[1])


def _weight_shape(shape: Shape) -> Shape:
    return (*shape[:2], *triple(shape[2:]))


# ---- Convolution -----------------------------------------------------------------------------------------------------


def _conv_infer(x: Spec, weight: Spec, bias: Spec | None = None, *, stride: Sizes, padding: Padding, dilation: Sizes,
                  groups: int, rank: int) -> Spec:
    operation = f"conv{rank}d"
    require_floats(operation, x, weight, *(() if bias is None else (bias,)))
    n, channels, *sizes = x.shape
    outputs, depth, *kernel = weight.shape
    _require_groups(operation, channels, weight.shape, groups, rank)
    if depth * groups != channels:
        raise ShapeError(operation, "the input has another number of channels than the weight",
                         expected=f"{depth * groups} channels (weight {spatial(rank, weight.shape)}, groups={groups})",
                         got=f"{channels} (input {spatial(rank, x.shape)})",
                         fix="check the layer's in_channels, and that the channels are dimension 1")
    _require_bias(operation, bias, outputs)
    result = []
    for axis in range(len(sizes)):
        padded = sizes[axis] + padding[2 * axis] + padding[2 * axis + 1]
        reach = dilation[axis] * (kernel[axis] - 1) + 1
        if not 0 < reach <= padded:
            raise ShapeError(operation, "the kernel does not fit into the padded input",
                             expected=f"a size of 1 to {padded}",
                             got=f"{reach} (weight {spatial(rank, weight.shape)}, dilation={dilation[axis]}, "
                                 f"input {spatial(rank, x.shape)})", fix="pad the input, or use fewer layers")
        result.append((padded - reach) // stride[axis] + 1)
    return image_spec((n, outputs, *result), x.dtype)


def _forward_frame(x: Spec, weight: Shape, out: Shape, stride: Sizes, padding: Padding, dilation: Sizes) -> Frame:
    found: Frame = kernels.frames.forward_frame(_volume_shape(x.shape), _weight_shape(weight), _volume_shape(out),
                                                     triple(stride), before(padding), triple(dilation))
    return found


def _scratch(frame: Frame, image: Spec, weight: Shape, groups: int, together: int) -> tuple[Spec | EachPart, ...]:
    """Return the specs of the padded image (empty where the image itself will do), of weights and of offsets.

    Each part pads as many images at a time as are worked on `together`, unless that is 0.
    """
    n, channels, *size = image.shape
    framed: Spec | EachPart = Spec.of((n, *frame[1], channels), image.dtype)
    if frame == ((0, 0, 0), triple(tuple(size))):
        framed = Spec.of((0,), image.dtype)
    elif together:
        framed = EachPart(Spec.of((1, together, *frame[1], channels), image.dtype))
    return (framed, Spec.of((math.prod(weight),), image.dtype),
            EachPart(Spec.of((kernels.frames.offsets_scratch(weight, groups, 1),), np.int64)))


def _together(frame: Frame, image: Spec) -> int:
    n, channels = image.shape[:2]
    together: int = kernels.frames.images_together(n, frame[1], channels, image.dtype.itemsize)
    return together


def _framed(frame: Array, image: Array, place: Triple) -> Array:
    if frame.size == 0:
        return image
    kernels.convolution.pad(frame, image, place, 0, 1)
    return frame


def _conv_prepare(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], tail: Tail | None = None, *, groups: int,
                  rank: int, **geometry: Any) -> Any:
    x, weight = inputs[:2]
    if depthwise.fits(weight.shape, groups):
        return depthwise.prepare(inputs, tail, False, **geometry)
    if unit_kernels.fits(weight.shape, groups=groups, **geometry):
        return unit_kernels.prepare(unit_kernels.forward(x, weight.shape), operands(inputs, tail))
    if winograd.fits(x, weight.shape, outputs[0], groups=groups, **geometry):
        return winograd.prepare(inputs, tail, geometry["padding"], turned=False)
    frame = _forward_frame(x, weight.shape, outputs[0].shape, **geometry)
    sizes = (*map(triple, (weight.shape[2:], geometry["stride"], geometry["dilation"])), groups)
    return {"sizes": sizes if outputs[0].size else None, "place": frame[0], "others": operands(inputs, tail)}


def _conv_scratch(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], *, groups: int, rank: int,
                    **geometry: Any) -> tuple[Spec | EachPart, ...]:
    x, weight = inputs[:2]
    if depthwise.fits(weight.shape, groups):
        return depthwise.scratch(weight)
    if unit_kernels.fits(weight.shape, groups=groups, **geometry):
        return unit_kernels.scratch(unit_kernels.forward(x, weight.shape), x.dtype)
    if winograd.fits(x, weight.shape, outputs[0], groups=groups, **geometry):
        return winograd.scratch(x, outputs[0])
    frame = _forward_frame(x, weight.shape, outputs[0].shape, **geometry)
    return _scratch(frame, x, weight.shape, groups, _together(frame, x))


def _conv_run(outs: list[Array], ins: list[Array], sizes: tuple[Any, ...] | None, place: Triple, others: Any) -> None:
    if sizes is None:
        return
    out, frame, packed, offsets = outs
    kernels.convolution.pack_weights(packed, volume_weight(ins[1]), *sizes[1:], 0, 0, 1)
    image, following = volume(ins[0]), (packed, *others(ins))
    if frame.ndim == 6:
        kernels.convolution.forward_by_images(volume(out), offsets, frame, image, *following, place, *sizes, 0, 1)
    else:
        kernels.convolution.forward(volume(out), offsets, _framed(frame, image, place), *following, *sizes, 0, 1)


def _bias_grad(g: Any) -> Any:
    return total(g, (0, *range(2, g.spec.ndim)))


def _conv_vjp(record: Any, g: Any) -> tuple[Any, ...]:
    x, weight = record.inputs[:2]
    _, input_grad_p, weight_grad_p = FAMILIES[len(x.shape)]
    mask = record.mask
    g = channels_last(g)
    g_x = bind(input_grad_p, g, record.input(1), size=x.shape[2:], **record.params) if mask[0] else None
    g_weight, g_bias, biased = None, None, len(mask) == 3 and mask[2]
    if mask[1]:
        together = biased and weight.size > 0
        found = bind(weight_grad_p, g, record.input(0), kernel=weight.shape[2:], bias=together, **record.params)
        g_weight, g_bias = found if together else (found, None)
    if biased and g_bias is None:
        g_bias = _bias_grad(g)
    return (g_x, g_weight, g_bias)[: len(mask)]


def _conv_padding(operation: str, padding: Any, kernel: Shape, stride: Sizes, dilation: Sizes, rank: int) -> Padding:
    """Return the zeros before and behind in each dimension."""
    if padding == "valid":
        return (0,) * (2 * len(kernel))
    if padding == "same":
        if max(stride) > 1:
            raise ValueRangeError(operation, "padding 'same' needs stride 1", got=f"stride {stride[-rank:]}")
        reaches = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return tuple(n for reach in reaches for n in (reach // 2, reach - reach // 2))
    if isinstance(padding, str):
        raise ValueRangeError(operation, "unknown padding", expected="'same', 'valid' or numbers", got=repr(padding))
    return tuple(n for n in per_axis(operation, "padding", padding, rank, 0) for _ in range(2))


def as_weight(operation: str, weight: Any, rank: int) -> Any:
    """Return a weight with `rank` spatial dimensions C-contiguous, that of a line with height 1."""
    require_tensor(operation, weight, "weight")
    shape: Shape = weight.spec.shape
    if len(shape) != rank + 2:
        raise ShapeError(operation, "the weight has the wrong number of dimensions",
                         expected=f"{rank + 2} dimensions: two of channels, {rank} of the kernel", got=str(shape))
    return contiguous(weight) if rank > 1 else reshape(contiguous(weight), (*shape[:2], 1, shape[2]))


def convolve(rank: int, input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
             groups: Any = 1) -> Any:
    """Convolve with `rank` spatial dimensions; arguments and errors are those of `conv1d`, `conv2d` and `conv3d`."""
    operation = f"conv{rank}d"
    x = channels_last(as_image(operation, input, rank))
    weight = as_weight(operation, weight, rank)
    stride, dilation = (per_axis(operation, name, value, rank)
                        for name, value in (("stride", stride), ("dilation", dilation)))
    padding = _conv_padding(operation, padding, weight.spec.shape[2:], stride, dilation, rank)
    (groups,) = numbers(operation, "groups", groups, 1)
    if bias is not None:
        require_tensor(operation, bias, "bias")
    inputs = (x, weight) if bias is None else (x, weight, contiguous(bias))
    primitive = FAMILIES[weight.spec.ndim][0]
    out = bind(primitive, *inputs, stride=stride, padding=padding, dilation=dilation, groups=groups, rank=rank)
    return from_image(out, input, rank)


# ---- Transposed convolution, which is the image's gradient -----------------------------------------------------------


def _input_grad_infer(g: Spec, weight: Spec, bias: Spec | None = None, *, size: Sizes, stride: Sizes, padding: Padding,
                      dilation: Sizes, groups: int, rank: int) -> Spec:
    operation = f"conv_transpose{rank}d"
    require_floats(operation, g, weight, *(() if bias is None else (bias,)))
    _require_groups(operation, g.shape[1], weight.shape, groups, rank)
    if g.shape[1] != weight.shape[0]:
        raise ShapeError(operation, "the input has another number of channels than the weight",
                         expected=f"{weight.shape[0]} channels (weight {spatial(rank, weight.shape)})",
                         got=f"{g.shape[1]} (input {spatial(rank, g.shape)})",
                         fix="a transposed convolution's weight is (in channels, out channels / groups, kernel)")
    channels = weight.shape[1] * groups
    _require_bias(operation, bias, channels)
    return image_spec((g.shape[0], channels, *size), g.dtype)


def _gradient_frame(g: Spec, weight: Shape, out: Shape, stride: Sizes, padding: Padding, dilation: Sizes) -> Frame:
    found: Frame = kernels.frames.data_gradient_frame(_volume_shape(g.shape), _weight_shape(weight),
                                                           _volume_shape(out), triple(stride), before(padding),
                                                           triple(dilation))
    return found


def _input_grad_prepare(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], tail: Tail | None = None, *, size: Sizes,
                        groups: int, rank: int, **geometry: Any) -> Any:
    g, weight = inputs[:2]
    if depthwise.fits(weight.shape, groups):
        return depthwise.prepare(inputs, tail, True, **geometry)
    if unit_kernels.fits(weight.shape, groups=groups, **geometry):
        return unit_kernels.prepare(unit_kernels.input_gradient(g, weight.shape), operands(inputs, tail))
    if few_channels.fits(g, weight.shape, outputs[0], groups=groups, **geometry):
        return few_channels.prepare(inputs, tail, **geometry)
    if winograd.fits(g, weight.shape, outputs[0], groups=groups, **geometry):
        return winograd.prepare(inputs, tail, geometry["padding"], turned=True)
    stride, dilation = triple(geometry["stride"]), triple(geometry["dilation"])
    sizes = (triple(weight.shape[2:]), stride, before(geometry["padding"]), dilation, groups)
    return {"sizes": sizes if outputs[0].size else None, "steps": (stride, dilation, groups),
            "place": _gradient_frame(g, weight.shape, outputs[0].shape, **geometry)[0],
            "others": operands(inputs, tail)}


def _input_grad_scratch(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], *, size: Sizes, groups: int, rank: int,
                        **geometry: Any) -> tuple[Spec | EachPart, ...]:
    g, weight = inputs[:2]
    if depthwise.fits(weight.shape, groups):
        return depthwise.scratch(weight)
    if unit_kernels.fits(weight.shape, groups=groups, **geometry):
        return unit_kernels.scratch(unit_kernels.input_gradient(g, weight.shape), g.dtype)
    if few_channels.fits(g, weight.shape, outputs[0], groups=groups, **geometry):
        return few_channels.scratch(g, weight.shape, outputs[0], **geometry)
    if winograd.fits(g, weight.shape, outputs[0], groups=groups, **geometry):
        return winograd.scratch(g, outputs[0])
    frame = _gradient_frame(g, weight.shape, outputs[0].shape, **geometry)
    return _scratch(frame, g, weight.shape, groups, _together(frame, g))


def _input_grad_run(outs: list[Array], ins: list[Array], sizes: tuple[Any, ...] | None, steps: tuple[Any, ...],
                    place: Triple, others: Any) -> None:
    if sizes is None:
        return
    out, frame, packed, offsets = outs
    kernels.convolution.pack_weights(packed, volume_weight(ins[1]), *steps, 1, 0, 1)
    cotangent, rest = volume(ins[0]), (packed, *others(ins), place, *sizes, 0, 1)
    if frame.ndim == 6:
        kernels.convolution.data_gradient_by_images(volume(out), offsets, frame, cotangent, *rest)
    else:
        kernels.convolution.data_gradient(volume(out), offsets, _framed(frame, cotangent, place), *rest)


def _input_grad_vjp(record: Any, h: Any) -> tuple[Any, ...]:
    params = {key: value for key, value in record.params.items() if key != "size"}
    mask, kernel = record.mask, record.inputs[1].shape[2:]
    forward_p, _, weight_grad_p = FAMILIES[h.spec.ndim]
    h = channels_last(h)
    gradients = [
        bind(forward_p, h, record.input(1), **params) if mask[0] else None,
        bind(weight_grad_p, record.input(0), h, kernel=kernel, bias=False, **params) if mask[1] else None,
    ]
    if len(mask) == 3:
        gradients.append(_bias_grad(h) if mask[2] else None)
    return tuple(gradients)


def _taps(kernel: Shape, g: Spec, stride: Sizes, dilation: Sizes) -> Iterator[tuple[Sizes, Any]]:
    """Yield, for each element of the kernel, the slice of the padded image that it meets."""
    for tap in np.ndindex(*kernel):
        yield tap, tuple((k * d, n, s) for k, d, n, s in zip(tap, dilation, g.shape[2:], stride, strict=True))


def _canvas(size: Shape, kernel: Shape, g: Spec, stride: Sizes, padding: Padding, dilation: Sizes) -> tuple[Shape, Any]:
    """Return the size of an image padded as far as the kernel reaches, and the slice of it that is the image."""
    reach = [(n - 1) * s + (k - 1) * d + 1 for n, s, k, d in zip(g.shape[2:], stride, kernel, dilation, strict=True)]
    canvas = tuple(max(far, before + n) for far, before, n in zip(reach, padding[::2], size, strict=True))
    return canvas, tuple((before, n, 1) for before, n in zip(padding[::2], size, strict=True))


def _input_grad_twin(g: Any, weight: Any, bias: Any = None, *, size: Sizes, stride: Sizes, padding: Padding,
                     dilation: Sizes, groups: int, rank: int) -> Any:
    n, outputs, *positions = g.spec.shape
    channels, kernel = weight.spec.shape[1], weight.spec.shape[2:]
    canvas, inside = _canvas(size, kernel, g.spec, stride, padding, dilation)
    batch, all_channels = (0, n, 1), (0, groups * channels, 1)
    columns = reshape(g, (n, groups, outputs // groups, math.prod(positions)))
    image: Any = None
    for place, places in _taps(kernel, g.spec, stride, dilation):
        tap = reshape(bind(slice_p, weight, index=((0, outputs, 1), (0, channels, 1), *place)), (groups, -1, channels))
        part = reshape(matmul(transpose(tap, 1, 2), columns), (n, groups * channels, *positions))
        part = bind(slice_grad_p, part, index=(batch, all_channels, *places), shape=(n, groups * channels, *canvas))
        image = part if image is None else add(image, part)
    out = bind(slice_p, image, index=(batch, all_channels, *inside))
    return out if bias is None else add(out, reshape(bias, (-1, *(1,) * len(size))))


# ---- The gradients of weight and bias --------------------------------------------------------------------------------


def _weight_grad_infer(g: Spec, x: Spec, *, kernel: Sizes, bias: bool, stride: Sizes, padding: Padding, dilation: Sizes,
                       groups: int, rank: int) -> Spec | tuple[Spec, Spec]:
    weight = Spec.of((g.shape[1], x.shape[1] // groups, *kernel), g.dtype)
    return (weight, Spec.of(g.shape[1:2], g.dtype)) if bias else weight


def _weight_grad_prepare(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], *, bias: bool, **params: Any) -> Any:
    run = _weight_grad_path(inputs, outputs[0].shape, **params)
    return run if bias else partial(_without_bias, run)


def _weight_grad_path(inputs: tuple[Spec, ...], weight: Shape, *, kernel: Sizes, groups: int, rank: int,
                      **geometry: Any) -> Any:
    g, x = inputs
    if depthwise.fits(weight, groups):
        return depthwise.prepare_gradient(kernel, **geometry)
    if unit_kernels.fits(weight, groups=groups, **geometry):
        return unit_kernels.prepare_gradient(inputs, weight)
    if winograd.fits(x, weight, g, groups=groups, **geometry):
        return partial(winograd.run_gradient, place=winograd.place_of(geometry["padding"]))
    frame = _forward_frame(x, weight, g.shape, **geometry)
    sizes = *map(triple, (kernel, frame[0], geometry["stride"], geometry["dilation"])), groups
    return partial(_weight_grad_run, sizes=sizes, no_frames=np.empty((0,) * 6, x.dtype))


def _weight_grad_scratch(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], *, kernel: Sizes, bias: bool, groups: int,
                         rank: int, **geometry: Any) -> tuple[Spec | EachPart, ...]:
    g, x = inputs
    weight = outputs[0].shape
    if depthwise.fits(weight, groups):
        return depthwise.gradient_scratch(outputs[0], g, bias)
    if unit_kernels.fits(weight, groups=groups, **geometry):
        return unit_kernels.gradient_scratch(unit_kernels.weight_gradient(g, weight), g.dtype, bias)
    if winograd.fits(x, weight, g, groups=groups, **geometry):
        return winograd.gradient_scratch(g, x, bias)
    totals = kernels.frames.totals_scratch(weight, groups, g.dtype.itemsize) if bias else 0
    frame, positions, n = _forward_frame(x, weight, g.shape, **geometry), math.prod(g.shape[2:]), x.shape[0]
    segments = kernels.frames.segments_summed(n, positions, math.prod(weight))
    together = kernels.frames.images_summed(n, segments, frame[1], positions, x.shape[1], x.dtype.itemsize)
    framed, _, offsets = _scratch(frame, x, weight, groups, together)
    sums = Spec.of((segments, math.prod(weight)), g.dtype)
    return framed, sums, offsets, Spec.of((segments, 2, totals), np.float64)


def _without_bias(run: Any, outs: list[Array], ins: list[Array]) -> None:
    run([outs[0], no_bias(outs[0].dtype), *outs[1:]], ins)


def _weight_grad_run(outs: list[Array], ins: list[Array], sizes: tuple[Any, ...], no_frames: Array) -> None:
    out, shifts, frame, sums, offsets, totals = outs
    g, x = ins
    if g.size == 0:
        strided.fill_array(out, 0)
        strided.fill_array(shifts, 0)
        return
    image, frames = (volume(x), frame) if frame.ndim == 6 else (_framed(frame, volume(x), sizes[1]), no_frames)
    kernels.convolution.weight_gradient(sums, totals, offsets, frames, image, volume(g), *sizes, 0, 1)
    kernels.convolution.add_segments(volume_weight(out), shifts, sums, totals, sizes[-1], 0, 1)


def _weight_grad_vjp(record: Any, h: Any, h_bias: Any = None) -> tuple[Any, Any]:
    params = {key: value for key, value in record.params.items() if key not in ("kernel", "bias")}
    (g, x), mask, g_g, g_x = record.inputs, record.mask, None, None
    forward_p, input_grad_p, _ = FAMILIES[len(g.shape)]
    if h is not None:
        h = contiguous(h)
        g_g = bind(forward_p, record.input(1), h, **params) if mask[0] else None
        g_x = bind(input_grad_p, record.input(0), h, size=x.shape[2:], **params) if mask[1] else None
    if h_bias is not None and mask[0]:
        everywhere = expand(reshape(h_bias, (-1, *(1,) * (len(g.shape) - 2))), g.shape)
        g_g = everywhere if g_g is None else add(g_g, everywhere)
    return g_g, g_x


def _weight_grad_twin(g: Any, x: Any, *, kernel: Sizes, bias: bool, stride: Sizes, padding: Padding, dilation: Sizes,
                      groups: int, rank: int) -> Any:
    n, outputs, *positions = g.spec.shape
    channels, size = x.spec.shape[1], x.spec.shape[2:]
    canvas, inside = _canvas(size, kernel, g.spec, stride, padding, dilation)
    batch, all_channels = (0, n, 1), (0, channels, 1)
    framed = bind(slice_grad_p, x, index=(batch, all_channels, *inside), shape=(n, channels, *canvas))
    rows = reshape(g, (n, groups, outputs // groups, math.prod(positions)))
    weight: Any = None
    for place, places in _taps(kernel, g.spec, stride, dilation):
        pixels = bind(slice_p, framed, index=(batch, all_channels, *places))
        pixels = reshape(pixels, (n, groups, channels // groups, math.prod(positions)))
        tap = reshape(total(matmul(rows, transpose(pixels, 2, 3)), 0), (outputs, channels // groups))
        tap = bind(slice_grad_p, tap, index=((0, outputs, 1), (0, channels // groups, 1), *place),
                   shape=(outputs, channels // groups, *kernel))
        weight = tap if weight is None else add(weight, tap)
    return (weight, _bias_grad(g)) if bias else weight


# ---- The operations --------------------------------------------------------------------------------------------------


def _family(rank: int, samples: tuple[Callable[[], list[Sample]], ...],
            errors: Callable[[], list[ErrorSample]]) -> tuple[Primitive, Primitive, Primitive]:
    """Declare a convolution and its gradients with respect to image and weight."""
    name = f"conv{rank}d"
    forward_p = define(
        name,
        infer=_conv_infer,
        run=_conv_run,
        prepare=_conv_prepare,
        epilogue=_conv_prepare,
        scratch=_conv_scratch,
        vjp=_conv_vjp,
        saves=(Keep(inputs=(1,)), Keep(inputs=(0,)), Keep()),
        cost=lambda inputs, outputs, **_: Cost(
            _flops(outputs[0], inputs[1].shape) + (outputs[0].size if len(inputs) == 3 else 0),
            moved(*inputs, *outputs),
        ),
        samples=samples[0],
        errors=errors,
        call=partial(convolve, rank),
    )
    input_grad_p = define(
        f"{name}_input_grad",
        infer=_input_grad_infer,
        run=_input_grad_run,
        prepare=_input_grad_prepare,
        epilogue=_input_grad_prepare,
        scratch=_input_grad_scratch,
        vjp=_input_grad_vjp,
        twin=_input_grad_twin,
        saves=(Keep(inputs=(1,)), Keep(inputs=(0,)), Keep()),
        cost=lambda inputs, outputs, **_: Cost(
            _flops(inputs[0], inputs[1].shape) + (outputs[0].size if len(inputs) == 3 else 0),
            moved(*inputs, *outputs),
        ),
        samples=samples[1],
        errors=no_errors,
        call=lambda g, *others, **params: bind(input_grad_p, channels_last(g), *others, **params),
    )
    weight_grad_p = define(
        f"{name}_weight_grad",
        infer=_weight_grad_infer,
        run=_weight_grad_run,
        prepare=_weight_grad_prepare,
        scratch=_weight_grad_scratch,
        vjp=_weight_grad_vjp,
        twin=_weight_grad_twin,
        saves=(Keep(inputs=(1,)), Keep(inputs=(0,))),
        cost=lambda inputs, outputs, bias, **_: Cost(
            _flops(inputs[0], outputs[0].shape) + (inputs[0].size if bias else 0), moved(*inputs, *outputs)),
        samples=samples[2],
        errors=no_errors,
        call=lambda g, x, **params: bind(weight_grad_p, channels_last(g), channels_last(x), **params),
    )
    return forward_p, input_grad_p, weight_grad_p


# Convolution, gradient of the image, gradient of the weight: by the number of an image's dimensions.
FAMILIES = {
    4: _family(2, (conv2d_samples, input_grad_samples, weight_grad_samples), conv2d_errors),
    5: _family(3, (conv3d_samples, input_grad3d_samples, weight_grad3d_samples), conv3d_errors),
}
