"""Convolution and transposed convolution: a loop over output positions, and its transpose.

The input is (N, C, spatial...) or (C, spatial...), the weight (out, C / groups, kernel...), and for the transposed
convolution (C, out / groups, kernel...).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import Array, array, ieee, numbers, real


@ieee
def _conv(input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Array:
    x, w = array(input), array(weight)
    rank = w.ndim - 2
    if x.ndim == rank + 1:
        return _conv(x[None], w, bias, stride, padding, dilation, groups)[0]
    kernel = w.shape[2:]
    stride, dilation = numbers(stride, rank), numbers(dilation, rank)
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        widths = [(n // 2, n - n // 2) for n in total]
    else:
        widths = [(n, n) for n in numbers(0 if padding == "valid" else padding, rank)]
    x = np.pad(x, [(0, 0), (0, 0), *widths])
    size = [(x.shape[2 + i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in range(rank)]
    out = np.zeros((x.shape[0], w.shape[0], *size))
    outs, ins = w.shape[0] // groups, w.shape[1]
    for channel in range(w.shape[0]):
        group = channel // outs
        channels = x[:, group * ins : (group + 1) * ins]
        for place in np.ndindex(*size):
            for tap in np.ndindex(*kernel):
                at = tuple(p * s + t * d for p, s, t, d in zip(place, stride, tap, dilation, strict=True))
                out[(slice(None), channel, *place)] += channels[(..., *at)] @ w[(channel, slice(None), *tap)]
    return out if bias is None else out + array(bias).reshape((-1,) + (1,) * rank)


def conv1d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Array:
    return _conv(input, weight, bias, stride, padding, dilation, groups)


conv2d = conv3d = conv1d


@ieee
def _conv_transpose(
    input: Any, weight: Any, bias: Any, stride: Any, padding: Any, output_padding: Any, groups: int, dilation: Any
) -> Array:
    x, w = array(input), array(weight)
    rank = w.ndim - 2
    if x.ndim == rank + 1:
        return _conv_transpose(x[None], w, bias, stride, padding, output_padding, groups, dilation)[0]
    kernel = w.shape[2:]
    stride, dilation, padding = numbers(stride, rank), numbers(dilation, rank), numbers(padding, rank)
    extra = numbers(output_padding, rank)
    size = [(x.shape[2 + i] - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + 1 + extra[i] for i in range(rank)]
    outs, ins = w.shape[1], w.shape[0] // groups
    out = np.zeros((x.shape[0], outs * groups, *size))
    for channel in range(w.shape[0]):
        first = channel // ins * outs
        for place in np.ndindex(*x.shape[2:]):
            for tap in np.ndindex(*kernel):
                at = tuple(p * s + t * d for p, s, t, d in zip(place, stride, tap, dilation, strict=True))
                values = np.outer(x[(slice(None), channel, *place)], w[(channel, slice(None), *tap)])
                out[(slice(None), slice(first, first + outs), *at)] += values
    out = out[(..., *[slice(p, n - p) for p, n in zip(padding, size, strict=True)])]
    return out if bias is None else out + array(bias).reshape((-1,) + (1,) * rank)


def conv_transpose1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Array:
    return _conv_transpose(input, weight, bias, stride, padding, output_padding, groups, dilation)


conv_transpose2d = conv_transpose3d = conv_transpose1d


def unfold(input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Array:
    """The patches of an image as columns: (N, C kernel_h kernel_w, positions). This is nn.functional.unfold."""
    x = array(input)
    if x.ndim == 3:
        return unfold(x[None], kernel_size, dilation, padding, stride)[0]
    kernel, dilation, stride = numbers(kernel_size, 2), numbers(dilation, 2), numbers(stride, 2)
    x = np.pad(x, [(0, 0), (0, 0), *[(n, n) for n in numbers(padding, 2)]])
    size = [(x.shape[2 + i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in range(2)]
    columns = []
    for row, column in np.ndindex(*size):
        y, z = row * stride[0], column * stride[1]
        patch = x[:, :, y : y + dilation[0] * kernel[0] : dilation[0], z : z + dilation[1] * kernel[1] : dilation[1]]
        columns.append(patch[:, :, : kernel[0], : kernel[1]].reshape(len(x), -1))
    return np.stack(columns, axis=-1)


def fold(input: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Array:
    """What unfold read from each place, added up there: the transpose of `unfold`."""
    x = real(input)
    if x.ndim == 2:
        return fold(x[None], output_size, kernel_size, dilation, padding, stride)[0]
    n, (height, width) = len(x), numbers(output_size, 2)
    channels = x.shape[1] // int(np.prod(numbers(kernel_size, 2)))
    places = np.arange(float(channels * height * width)).reshape(1, channels, height, width) + 1
    read = unfold(places, kernel_size, dilation, padding, stride)[0].astype(np.int64)  # 0: the padding
    out = np.zeros((n, channels * height * width + 1))
    for place in np.ndindex(read.shape):
        out[:, read[place]] += x[(slice(None), *place)]
    return out[:, 1:].reshape(n, channels, height, width)
