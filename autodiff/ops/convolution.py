"""Convolutions of lines and images, and their gradients.

Three operations, each bilinear, differentiate one another, to any order: `conv2d`, its gradient with respect to the
image (which is the transposed convolution), and its gradient with respect to the weight::

    out[n, o, i, j]     = sum over c, k, l of x[n, c, i*sh + k*dh - top, j*sw + l*dw - left] * weight[o, c, k, l]
    image gradient      = the sum that carries out[n, o, i, j] back to the places it was read from
    weight gradient     = sum over n, i, j of g[n, o, i, j] * x[n, c, i*sh + k*dh - top, j*sw + l*dw - left]

A line is an image of height 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops import strided
from autodiff.ops.broadcast import sum as total
from autodiff.ops.elementwise import add, spread
from autodiff.ops.images import Pair, as_image, channels_last, from_image, image_spec, in_memory, numbers, pair, spatial
from autodiff.ops.products import matmul, no_bias, require_floats
from autodiff.ops.structural import contiguous, reshape, slice_grad_p, slice_p, transpose
from autodiff.primitive import EachPart, ErrorSample, Keep, Primitive, Sample, composed, define, no_errors
from autodiff.spec import Array, Cost, Shape, Spec, moved

__all__ = ["conv1d", "conv2d"]

# Rows above and below, columns left and right. Below and right it may be negative: the last pixels are not read then.
Padding = tuple[int, int, int, int]
Frame = tuple[int, int, int, int]

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
    """Return the multiplications and additions of all three operations: g is conv2d's output or its cotangent."""
    _, channels, rows, columns = weight
    return 2 * g.size * channels * rows * columns


def _nhwc(shape: Shape) -> Shape:
    return (shape[0], shape[2], shape[3], shape[1])


# ---- Convolution -----------------------------------------------------------------------------------------------------


def _conv2d_infer(x: Spec, weight: Spec, bias: Spec | None = None, *, stride: Pair, padding: Padding, dilation: Pair,
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
    for axis in range(2):
        padded = sizes[axis] + padding[2 * axis] + padding[2 * axis + 1]
        reach = dilation[axis] * (kernel[axis] - 1) + 1
        if not 0 < reach <= padded:
            raise ShapeError(operation, "the kernel does not fit into the padded input",
                             expected=f"a size of 1 to {padded}",
                             got=f"{reach} (weight {spatial(rank, weight.shape)}, dilation={dilation[axis]}, "
                                 f"input {spatial(rank, x.shape)})", fix="pad the input, or use fewer layers")
        result.append((padded - reach) // stride[axis] + 1)
    return image_spec((n, outputs, *result), x.dtype)


def _forward_frame(x: Spec, weight: Shape, out: Shape, stride: Pair, padding: Padding, dilation: Pair) -> Frame:
    found: Frame = kernels.convolution.forward_frame(_nhwc(x.shape), weight, _nhwc(out), stride,
                                                     (padding[0], padding[2]), dilation)
    return found


def _scratch(frame: Frame, image: Spec, weight: Shape, groups: int) -> tuple[Spec | EachPart, ...]:
    """Return the specs of the padded image (empty where the image itself will do), of weights and of offsets."""
    n, channels, height, width = image.shape
    framed = (0,) if frame == (0, 0, height, width) else (n, frame[2], frame[3], channels)
    return (Spec.of(framed, image.dtype), Spec.of((math.prod(weight),), image.dtype),
            EachPart(Spec.of((kernels.convolution.offsets_scratch(weight, groups, 1),), np.int64)))


def _framed(frame: Array, image: Array, top: int, left: int) -> Array:
    if frame.size == 0:
        return image
    kernels.convolution.pad(frame, image, top, left, 0, 1)
    return frame


def _conv2d_prepare(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], *, groups: int, rank: int,
                    **geometry: Any) -> dict[str, Any]:
    x, weight = inputs[:2]
    frame = _forward_frame(x, weight.shape, outputs[0].shape, **geometry)
    sizes = (*weight.shape[2:], *geometry["stride"], *geometry["dilation"], groups)
    return {"sizes": sizes if outputs[0].size else None, "place": frame[:2]}


def _conv2d_scratch(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], *, groups: int, rank: int,
                    **geometry: Any) -> tuple[Spec | EachPart, ...]:
    x, weight = inputs[:2]
    return _scratch(_forward_frame(x, weight.shape, outputs[0].shape, **geometry), x, weight.shape, groups)


def _conv2d_run(outs: list[Array], ins: list[Array], sizes: tuple[int, ...] | None, place: Pair) -> None:
    if sizes is None:
        return
    out, frame, packed, offsets = outs
    bias = ins[2] if len(ins) == 3 else no_bias(out.dtype)
    kernels.convolution.pack_weights(packed, ins[1], *sizes[2:], 0, 0, 1)
    image = _framed(frame, in_memory(ins[0]), *place)
    kernels.convolution.forward(in_memory(out), offsets, image, packed, bias, *sizes, 0, 1)


def _conv2d_vjp(record: Any, g: Any) -> tuple[Any, ...]:
    x, weight = record.inputs[:2]
    mask = record.mask
    g = channels_last(g)
    gradients = [
        bind(conv2d_input_grad_p, g, record.input(1), size=x.shape[2:], **record.params) if mask[0] else None,
        bind(conv2d_weight_grad_p, g, record.input(0), kernel=weight.shape[2:], **record.params) if mask[1] else None,
    ]
    if len(mask) == 3:
        gradients.append(total(g, (0, 2, 3)) if mask[2] else None)
    return tuple(gradients)


def _conv2d_samples() -> list[Sample]:
    x, weight, bias = spread(-1, 1, 2, 3, 5, 6), spread(-1, 1, 4, 3, 3, 2), spread(-1, 1, 4)
    image = spread(-1, 1, 2, 5, 4, 3).transpose(0, 3, 1, 2)
    plain = [
        Sample(x, weight), Sample(x, weight, bias), Sample(x, weight, stride=2, padding=1),
        Sample(x, weight, None, (1, 2), (2, 1), (2, 1)), Sample(x, weight, padding="same"),
        Sample(x, weight, padding="valid"), Sample(x[:, ::-1, :, ::2], weight[:, :, ::-1]),
        Sample(x[:1, :1], spread(-1, 1, 1, 1, 5, 6)), Sample(x[:0], weight, bias, padding=1),
        Sample(x.astype(np.float64), weight.astype(np.float64), bias.astype(np.float64), 3, 1),
        Sample(spread(-1, 1, 1, 17, 4, 5), spread(-1, 1, 33, 17, 2, 2), padding=1),
        Sample(image, spread(-1, 1, 2, 3, 1, 1), bias[:2]), Sample(image, spread(-1, 1, 2, 3, 1, 1), stride=(2, 3)),
    ]
    grouped = spread(-1, 1, 6, 2, 3, 3), spread(-1, 1, 6)
    return [
        *plain, Sample(spread(-1, 1, 4, 5, 5), *grouped, padding="same", dilation=2, groups=2),
        Sample(image, spread(-1, 1, 3, 1, 2, 2), groups=3),
        Sample(image, spread(-1, 1, 6, 1, 3, 3), groups=3, padding=1),
    ]


def _conv2d_errors() -> list[ErrorSample]:
    x, weight = np.ones((2, 3, 5, 5), np.float32), np.ones((4, 3, 3, 3), np.float32)
    return [
        ErrorSample(Sample(x[:, :2], weight), ShapeError, r"\[conv2d\].*expected 3 channels.*got 2"),
        ErrorSample(Sample(x, weight, np.ones(3, np.float32)), ShapeError, r"bias does not fit.*\(4,\); got \(3,\)"),
        ErrorSample(Sample(x[:, :, :2], weight), ShapeError, "does not fit into the padded input"),
        ErrorSample(Sample(x, weight, dilation=3), ShapeError, "does not fit into the padded input.*got 7"),
        ErrorSample(Sample(x, weight, groups=2), ShapeError, "do not divide into the groups"),
        ErrorSample(Sample(x[0, 0], weight), ShapeError, r"wrong number of dimensions.*\(N, C, H, W\) or"),
        ErrorSample(Sample(x, weight[0]), ShapeError, "the weight has the wrong number of dimensions"),
        ErrorSample(Sample(x, weight, stride=0), ValueRangeError, "stride is too small"),
        ErrorSample(Sample(x, weight, padding=(1, 2, 3)), ShapeError, "padding has the wrong length"),
        ErrorSample(Sample(x, weight, dilation=1.5), DTypeError, "dilation does not consist of integers"),
        ErrorSample(Sample(x, weight, padding="same", stride=2), ValueRangeError, "'same' needs stride 1"),
        ErrorSample(Sample(x, weight, padding="full"), ValueRangeError, "unknown padding"),
        ErrorSample(Sample(x.astype(np.int64), weight), DTypeError, "one float dtype.*int64"),
        ErrorSample(Sample(x.astype(np.float64), weight), DTypeError, "float64 and float32"),
    ]


conv2d_p = define(
    "conv2d",
    infer=_conv2d_infer,
    run=_conv2d_run,
    prepare=_conv2d_prepare,
    scratch=_conv2d_scratch,
    vjp=_conv2d_vjp,
    saves=(Keep(inputs=(1,)), Keep(inputs=(0,)), Keep()),
    cost=lambda inputs, outputs, **_: Cost(
        _flops(outputs[0], inputs[1].shape) + (outputs[0].size if len(inputs) == 3 else 0), moved(*inputs, *outputs)
    ),
    samples=_conv2d_samples,
    errors=_conv2d_errors,
    call=lambda *arguments, **keywords: conv2d(*arguments, **keywords),
)


def _conv_padding(operation: str, padding: Any, kernel: Shape, stride: Pair, dilation: Pair, rank: int) -> Padding:
    """Return the rows and columns of zeros on each side."""
    if padding == "valid":
        return (0, 0, 0, 0)
    if padding == "same":
        if stride != (1, 1):
            raise ValueRangeError(operation, "padding 'same' needs stride 1", got=f"stride {stride[2 - rank:]}")
        rows, columns = (d * (k - 1) for d, k in zip(dilation, kernel, strict=True))
        return (rows // 2, rows - rows // 2, columns // 2, columns - columns // 2)
    if isinstance(padding, str):
        raise ValueRangeError(operation, "unknown padding", expected="'same', 'valid' or numbers", got=repr(padding))
    rows, columns = pair(operation, "padding", padding, rank, 0)
    return (rows, rows, columns, columns)


def as_weight(operation: str, weight: Any, rank: int) -> Any:
    """Return a weight with `rank` spatial dimensions as (outputs, channels, rows, columns), C-contiguous."""
    shape: Shape = weight.spec.shape
    if len(shape) != rank + 2:
        raise ShapeError(operation, "the weight has the wrong number of dimensions",
                         expected=f"{rank + 2} dimensions: two of channels, {rank} of the kernel", got=str(shape))
    return contiguous(weight) if rank == 2 else reshape(contiguous(weight), (*shape[:2], 1, shape[2]))


def _conv(rank: int, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Any:
    operation = f"conv{rank}d"
    x = channels_last(as_image(operation, input, rank))
    weight = as_weight(operation, weight, rank)
    stride, dilation = pair(operation, "stride", stride, rank), pair(operation, "dilation", dilation, rank)
    padding = _conv_padding(operation, padding, weight.spec.shape[2:], stride, dilation, rank)
    (groups,) = numbers(operation, "groups", groups, 1)
    inputs = (x, weight) if bias is None else (x, weight, contiguous(bias))
    out = bind(conv2d_p, *inputs, stride=stride, padding=padding, dilation=dilation, groups=groups, rank=rank)
    return from_image(out, input, rank)


def conv2d(input: TensorT, weight: TensorT, bias: TensorT | None = None, stride: int | Pair = 1,
           padding: int | Pair | str = 0, dilation: int | Pair = 1, groups: int = 1) -> TensorT:
    """Slide a kernel over an image: in each place, the sum of the products of kernel and pixels (cross-correlation).

    Args:
        input: (N, C, H, W) or (C, H, W).
        weight: (O, C / groups, KH, KW).
        bias: (O,), or None.
        stride: step from place to place; one number, or one for rows and one for columns.
        padding: zeros on each side; numbers like `stride`, ``"valid"`` (none) or ``"same"`` (the output keeps the
            input's size; needs stride 1).
        dilation: distance between the pixels that neighbouring elements of the kernel meet.
        groups: the channels are cut into this many groups, each with its own kernels; C of them is depthwise.

    Returns:
        (N, O, OH, OW) or (O, OH, OW), with ``OH = (H + 2 * padding - dilation * (KH - 1) - 1) // stride + 1``;
        channels-last in memory.

    Raises:
        ShapeError: if the channels do not fit, or the kernel is larger than the padded image.
        DTypeError: unless all tensors have one float dtype.
        ValueRangeError: if a number is too small or `padding` unknown.

    >>> import autodiff as ad
    >>> ad.nn.functional.conv2d(ad.ones(1, 1, 3, 3), ad.ones(1, 1, 2, 2))
    tensor([[[[4., 4.],
              [4., 4.]]]])
    """
    return _conv(2, input, weight, bias, stride, padding, dilation, groups)  # type: ignore[no-any-return]


def _conv1d_samples() -> list[Sample]:
    x, weight, bias = spread(-1, 1, 2, 3, 7), spread(-1, 1, 4, 3, 3), spread(-1, 1, 4)
    return [Sample(x, weight), Sample(x, weight, bias, 2, 1), Sample(x, weight, padding="same", dilation=(2,)),
            Sample(x[0], weight, bias, padding="valid"), Sample(x, spread(-1, 1, 6, 1, 2), groups=3, padding=2),
            Sample(spread(-1, 1, 2, 5, 3).transpose(0, 2, 1), weight), Sample(x[:0], weight),
            Sample(x.astype(np.float64), weight.astype(np.float64), stride=(3,))]


def _conv1d_errors() -> list[ErrorSample]:
    x, weight = np.ones((2, 3, 5), np.float32), np.ones((4, 3, 3), np.float32)
    return [ErrorSample(Sample(x[:, :2], weight), ShapeError, r"\[conv1d\].*\(4, 3, 3\).*got 2 \(input \(2, 2, 5\)\)"),
            ErrorSample(Sample(x[..., :2], weight), ShapeError, r"\[conv1d\].*does not fit into the padded input"),
            ErrorSample(Sample(x[None], weight), ShapeError, r"expected \(N, C, L\) or \(C, L\)"),
            ErrorSample(Sample(x, weight[..., None]), ShapeError, "the weight has the wrong number of dimensions")]


@composed(samples=_conv1d_samples, errors=_conv1d_errors)
def conv1d(input: TensorT, weight: TensorT, bias: TensorT | None = None, stride: int | tuple[int] = 1,
           padding: int | tuple[int] | str = 0, dilation: int | tuple[int] = 1, groups: int = 1) -> TensorT:
    """Slide a kernel over a line: `conv2d` with one spatial dimension.

    Args:
        input: (N, C, L) or (C, L).
        weight: (O, C / groups, K).
        bias: (O,), or None.
        stride, padding, dilation, groups: as in `conv2d`, one number each.

    Returns:
        (N, O, OL) or (O, OL), with ``OL = (L + 2 * padding - dilation * (K - 1) - 1) // stride + 1``.

    Raises:
        ShapeError: if the channels do not fit, or the kernel is larger than the padded line.
        DTypeError: unless all tensors have one float dtype.

    >>> import autodiff as ad
    >>> ad.nn.functional.conv1d(ad.tensor([[1.0, 2.0, 4.0]]), ad.tensor([[[-1.0, 1.0]]]))
    tensor([[1., 2.]])
    """
    return _conv(1, input, weight, bias, stride, padding, dilation, groups)  # type: ignore[no-any-return]


# ---- Transposed convolution, which is the image's gradient -----------------------------------------------------------


def _input_grad_infer(g: Spec, weight: Spec, bias: Spec | None = None, *, size: Pair, stride: Pair, padding: Padding,
                      dilation: Pair, groups: int, rank: int) -> Spec:
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


def _gradient_frame(g: Spec, weight: Shape, out: Shape, stride: Pair, padding: Padding, dilation: Pair) -> Frame:
    found: Frame = kernels.convolution.data_gradient_frame(_nhwc(g.shape), weight, _nhwc(out), stride,
                                                           (padding[0], padding[2]), dilation)
    return found


def _input_grad_prepare(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], *, size: Pair, groups: int, rank: int,
                        **geometry: Any) -> dict[str, Any]:
    g, weight = inputs[:2]
    stride, padding, dilation = (geometry[name] for name in ("stride", "padding", "dilation"))
    sizes = (*weight.shape[2:], *stride, padding[0], padding[2], *dilation, groups)
    return {"sizes": sizes if outputs[0].size else None, "steps": (*stride, *dilation, groups),
            "place": _gradient_frame(g, weight.shape, outputs[0].shape, **geometry)[:2]}


def _input_grad_scratch(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], *, size: Pair, groups: int, rank: int,
                        **geometry: Any) -> tuple[Spec | EachPart, ...]:
    g, weight = inputs[:2]
    return _scratch(_gradient_frame(g, weight.shape, outputs[0].shape, **geometry), g, weight.shape, groups)


def _input_grad_run(outs: list[Array], ins: list[Array], sizes: tuple[int, ...] | None, steps: tuple[int, ...],
                    place: Pair) -> None:
    if sizes is None:
        return
    out, frame, packed, offsets = outs
    bias = ins[2] if len(ins) == 3 else no_bias(out.dtype)
    kernels.convolution.pack_weights(packed, ins[1], *steps, 1, 0, 1)
    cotangent = _framed(frame, in_memory(ins[0]), *place)
    kernels.convolution.data_gradient(in_memory(out), offsets, cotangent, packed, bias, *place, *sizes, 0, 1)


def _input_grad_vjp(record: Any, h: Any) -> tuple[Any, ...]:
    params = {key: value for key, value in record.params.items() if key != "size"}
    mask, kernel = record.mask, record.inputs[1].shape[2:]
    h = channels_last(h)
    gradients = [
        bind(conv2d_p, h, record.input(1), **params) if mask[0] else None,
        bind(conv2d_weight_grad_p, record.input(0), h, kernel=kernel, **params) if mask[1] else None,
    ]
    if len(mask) == 3:
        gradients.append(total(h, (0, 2, 3)) if mask[2] else None)
    return tuple(gradients)


def _taps(kernel: Shape, g: Spec, stride: Pair, dilation: Pair) -> Iterator[tuple[int, int, Any]]:
    """Yield, for each element (k, l) of the kernel, the slice of the padded image that it meets."""
    for k in range(kernel[0]):
        for j in range(kernel[1]):
            yield k, j, ((k * dilation[0], g.shape[2], stride[0]), (j * dilation[1], g.shape[3], stride[1]))


def _canvas(size: Shape, kernel: Shape, g: Spec, stride: Pair, padding: Padding, dilation: Pair) -> tuple[Shape, Any]:
    """Return the size of an image padded as far as the kernel reaches, and the slice of it that is the image."""
    reach = [(g.shape[2 + axis] - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + 1 for axis in range(2)]
    canvas = tuple(max(reach[axis], padding[2 * axis] + size[axis]) for axis in range(2))
    return canvas, tuple((padding[2 * axis], size[axis], 1) for axis in range(2))


def _input_grad_twin(g: Any, weight: Any, bias: Any = None, *, size: Pair, stride: Pair, padding: Padding,
                     dilation: Pair, groups: int, rank: int) -> Any:
    n, outputs, *positions = g.spec.shape
    channels, kernel = weight.spec.shape[1], weight.spec.shape[2:]
    canvas, inside = _canvas(size, kernel, g.spec, stride, padding, dilation)
    batch, all_channels = (0, n, 1), (0, groups * channels, 1)
    columns = reshape(g, (n, groups, outputs // groups, math.prod(positions)))
    image: Any = None
    for k, j, places in _taps(kernel, g.spec, stride, dilation):
        tap = reshape(bind(slice_p, weight, index=((0, outputs, 1), (0, channels, 1), k, j)), (groups, -1, channels))
        part = reshape(matmul(transpose(tap, 1, 2), columns), (n, groups * channels, *positions))
        part = bind(slice_grad_p, part, index=(batch, all_channels, *places), shape=(n, groups * channels, *canvas))
        image = part if image is None else add(image, part)
    out = bind(slice_p, image, index=(batch, all_channels, *inside))
    return out if bias is None else add(out, reshape(bias, (-1, 1, 1)))


def _input_grad_samples() -> list[Sample]:
    g, weight = spread(-1, 1, 3, 2, 2, 4).transpose(1, 3, 0, 2), spread(-1, 1, 4, 3, 3, 2)
    pair, wide = spread(-1, 1, 2, 2, 2, 2), spread(-1, 1, 2, 2, 2, 2).transpose(0, 3, 1, 2)
    plain: dict[str, Any] = {"stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1), "groups": 1, "rank": 2}
    cut: dict[str, Any] = {**plain, "padding": (1, 0, 0, 1)}
    spaced: dict[str, Any] = {**plain, "stride": (1, 2), "padding": (0, 1, 1, 0), "dilation": (1, 2)}
    grouped: dict[str, Any] = {**plain, "groups": 2}
    return [
        Sample(g, weight, size=(5, 3), **plain), Sample(g, weight, size=(8, 5), **{**plain, "stride": (2, 3)}),
        Sample(g, weight, spread(-1, 1, 3), size=(4, 2), **cut), Sample(g, weight, size=(4, 4), **spaced),
        Sample(wide, pair, spread(-1, 1, 4), size=(3, 3), **grouped),
        Sample(wide.astype(np.float64), pair[:, :1].astype(np.float64), size=(3, 3), **grouped),
    ]


conv2d_input_grad_p: Primitive = define(
    "conv2d_input_grad",
    infer=_input_grad_infer,
    run=_input_grad_run,
    prepare=_input_grad_prepare,
    scratch=_input_grad_scratch,
    vjp=_input_grad_vjp,
    twin=_input_grad_twin,
    saves=(Keep(inputs=(1,)), Keep(inputs=(0,)), Keep()),
    cost=lambda inputs, outputs, **_: Cost(
        _flops(inputs[0], inputs[1].shape) + (outputs[0].size if len(inputs) == 3 else 0), moved(*inputs, *outputs)
    ),
    samples=_input_grad_samples,
    errors=no_errors,
    call=lambda g, *others, **params: bind(conv2d_input_grad_p, channels_last(g), *others, **params),
)


# ---- The weight's gradient -------------------------------------------------------------------------------------------


def _weight_grad_infer(g: Spec, x: Spec, *, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair, groups: int,
                       rank: int) -> Spec:
    return Spec.of((g.shape[1], x.shape[1] // groups, *kernel), g.dtype)


def _weight_grad_prepare(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], *, kernel: Pair, groups: int, rank: int,
                         **geometry: Any) -> dict[str, Any]:
    frame = _forward_frame(inputs[1], outputs[0].shape, inputs[0].shape, **geometry)
    return {"sizes": (*geometry["stride"], *geometry["dilation"], groups), "place": frame[:2]}


def _weight_grad_scratch(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], *, kernel: Pair, groups: int, rank: int,
                         **geometry: Any) -> tuple[Spec | EachPart, ...]:
    g, x = inputs
    weight = outputs[0].shape
    return _scratch(_forward_frame(x, weight, g.shape, **geometry), x, weight, groups)


def _weight_grad_run(outs: list[Array], ins: list[Array], sizes: tuple[int, ...], place: Pair) -> None:
    out, frame, sums, offsets = outs
    g, x = ins
    if g.size == 0:
        strided.fill_array(out, 0)
        return
    image = _framed(frame, in_memory(x), *place)
    kernels.convolution.weight_gradient(out, sums, offsets, image, in_memory(g), *sizes, 0, 1)


def _weight_grad_vjp(record: Any, h: Any) -> tuple[Any, Any]:
    params = {key: value for key, value in record.params.items() if key != "kernel"}
    mask = record.mask
    h = contiguous(h)
    size = record.inputs[1].shape[2:]
    return (bind(conv2d_p, record.input(1), h, **params) if mask[0] else None,
            bind(conv2d_input_grad_p, record.input(0), h, size=size, **params) if mask[1] else None)


def _weight_grad_twin(g: Any, x: Any, *, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair, groups: int,
                      rank: int) -> Any:
    n, outputs, *positions = g.spec.shape
    channels, size = x.spec.shape[1], x.spec.shape[2:]
    canvas, inside = _canvas(size, kernel, g.spec, stride, padding, dilation)
    batch, all_channels = (0, n, 1), (0, channels, 1)
    framed = bind(slice_grad_p, x, index=(batch, all_channels, *inside), shape=(n, channels, *canvas))
    rows = reshape(g, (n, groups, outputs // groups, math.prod(positions)))
    weight: Any = None
    for k, j, places in _taps(kernel, g.spec, stride, dilation):
        pixels = bind(slice_p, framed, index=(batch, all_channels, *places))
        pixels = reshape(pixels, (n, groups, channels // groups, math.prod(positions)))
        tap = reshape(total(matmul(rows, transpose(pixels, 2, 3)), 0), (outputs, channels // groups))
        tap = bind(slice_grad_p, tap, index=((0, outputs, 1), (0, channels // groups, 1), k, j),
                   shape=(outputs, channels // groups, *kernel))
        weight = tap if weight is None else add(weight, tap)
    return weight


def _weight_grad_samples() -> list[Sample]:
    g, x = spread(-1, 1, 2, 3, 3, 4).transpose(0, 3, 1, 2), spread(-1, 1, 2, 5, 4, 3).transpose(0, 3, 1, 2)
    wide, six = (spread(-1, 1, 1, n, n, c).transpose(0, 3, 1, 2) for n, c in ((6, 4), (5, 6)))
    plain: dict[str, Any] = {"stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1), "groups": 1, "rank": 2}
    spaced: dict[str, Any] = {**plain, "stride": (2, 2), "padding": (1, 0, 0, 0), "dilation": (2, 1)}
    return [
        Sample(g, x, kernel=(3, 2), **plain), Sample(g, x, kernel=(1, 2), **{**plain, "stride": (2, 1)}),
        Sample(g, x, kernel=(4, 3), **{**plain, "padding": (1, 0, 0, 1)}),
        Sample(g[:1], wide, kernel=(2, 2), **spaced), Sample(six[:, :4], wide, kernel=(2, 2), **{**plain, "groups": 4}),
        Sample(six.astype(np.float64), wide.astype(np.float64), kernel=(2, 2), **{**plain, "groups": 2}),
        Sample(g[:0], x[:0], kernel=(3, 2), **plain),
    ]


conv2d_weight_grad_p: Primitive = define(
    "conv2d_weight_grad",
    infer=_weight_grad_infer,
    run=_weight_grad_run,
    prepare=_weight_grad_prepare,
    scratch=_weight_grad_scratch,
    vjp=_weight_grad_vjp,
    twin=_weight_grad_twin,
    saves=(Keep(inputs=(1,)), Keep(inputs=(0,))),
    cost=lambda inputs, outputs, **_: Cost(_flops(inputs[0], outputs[0].shape), moved(*inputs, *outputs)),
    samples=_weight_grad_samples,
    errors=no_errors,
    call=lambda g, x, **params: bind(conv2d_weight_grad_p, channels_last(g), channels_last(x), **params),
)
