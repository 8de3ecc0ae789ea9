"""Pooling over windows of (N, C, spatial...) or (C, spatial...)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .arrays import Array, array, numbers, real


def _output_size(length: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """The number of windows; a last, partial one counts (ceil_mode) if it starts inside the input or left padding."""
    steps = (length + 2 * padding - dilation * (kernel - 1) - 1) / stride
    size = (math.ceil(steps) if ceil_mode else math.floor(steps)) + 1
    return size - 1 if ceil_mode and (size - 1) * stride >= length + padding else size


def _max_of_positions(x: Array, positions: list[list[list[int]]]) -> tuple[Array, Array]:
    """Return the largest element, and its flat place in the plane, of each window given by its positions by axis."""
    rank = len(positions)
    plane = x.shape[-rank:]
    lead = x.shape[:-rank]
    out = np.zeros(lead + tuple(len(windows) for windows in positions), x.dtype)
    places = np.zeros(out.shape, np.int64)
    flat = x.reshape((*lead, math.prod(plane)))
    for place in np.ndindex(*[len(windows) for windows in positions]):
        grid = np.meshgrid(*[windows[i] for windows, i in zip(positions, place, strict=True)], indexing="ij")
        window = np.ravel_multi_index(tuple(axis.ravel() for axis in grid), plane)
        best = window[np.argmax(flat[..., window], axis=-1)]
        places[(..., *place)] = best
        out[(..., *place)] = np.take_along_axis(flat, np.expand_dims(best, -1), axis=-1)[..., 0]
    return out, places


def _max_pool(
    rank: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    x = array(input)
    kernel = numbers(kernel_size, rank)
    stride = kernel if stride is None or stride == () else numbers(stride, rank)
    padding, dilation = numbers(padding, rank), numbers(dilation, rank)
    positions = []
    for axis in range(rank):
        length = x.shape[x.ndim - rank + axis]
        windows = []
        for i in range(_output_size(length, kernel[axis], stride[axis], padding[axis], dilation[axis], ceil_mode)):
            taps = [i * stride[axis] - padding[axis] + t * dilation[axis] for t in range(kernel[axis])]
            windows.append([tap for tap in taps if 0 <= tap < length])
        positions.append(windows)
    out, places = _max_of_positions(x, positions)
    return (out, places) if return_indices else out


def max_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _avg_pool(
    rank: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    """The divisor counts the window's part in the padded input, or only in the input without count_include_pad."""
    x = array(input)
    kernel = numbers(kernel_size, rank)
    stride = kernel if stride is None or stride == () else numbers(stride, rank)
    padding = numbers(padding, rank)
    lengths = x.shape[-rank:]
    size = [_output_size(lengths[i], kernel[i], stride[i], padding[i], 1, ceil_mode) for i in range(rank)]
    out = np.zeros(x.shape[:-rank] + tuple(size))
    for place in np.ndindex(*size):
        padded, real, window = 1, 1, []
        for i in range(rank):
            start = place[i] * stride[i] - padding[i]
            end = min(start + kernel[i], lengths[i] + padding[i])
            padded *= end - start
            start, end = max(start, 0), min(end, lengths[i])
            real *= end - start
            window.append(slice(start, end))
        total = x[(..., *window)].sum(axis=tuple(range(-rank, 0)))
        out[(..., *place)] = total / (divisor_override or (padded if count_include_pad else real))
    return out


def avg_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    return _avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    return _avg_pool(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def _adaptive_windows(x: Array, output_size: Any, rank: int) -> list[list[list[int]]]:
    """Window i of n covers floor(i L / n) to ceil((i + 1) L / n); None keeps the length."""
    positions = []
    for axis, size in enumerate(numbers(output_size, rank)):
        length = x.shape[x.ndim - rank + axis]
        n = length if size is None else size
        positions.append([list(range(i * length // n, -(-(i + 1) * length // n))) for i in range(n)])
    return positions


def _adaptive_avg_pool(rank: int, input: Any, output_size: Any) -> Array:
    x = array(input)
    positions = _adaptive_windows(x, output_size, rank)
    out = np.zeros(x.shape[:-rank] + tuple(len(windows) for windows in positions))
    for place in np.ndindex(*out.shape[-rank:]):
        window = tuple(slice(w[i][0], w[i][-1] + 1) for w, i in zip(positions, place, strict=True))
        out[(..., *place)] = x[(..., *window)].mean(axis=tuple(range(-rank, 0)))
    return out


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Array:
    return _adaptive_avg_pool(1, input, output_size)


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Array:
    return _adaptive_avg_pool(2, input, output_size)


def adaptive_max_pool1d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    x = array(input)
    out, places = _max_of_positions(x, _adaptive_windows(x, output_size, 1))
    return (out, places) if return_indices else out


def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    x = array(input)
    out, places = _max_of_positions(x, _adaptive_windows(x, output_size, 2))
    return (out, places) if return_indices else out


def max_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    return _max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def avg_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    return _avg_pool(3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def adaptive_avg_pool3d(input: Any, output_size: Any) -> Array:
    return _adaptive_avg_pool(3, input, output_size)


def adaptive_max_pool3d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    x = array(input)
    out, places = _max_of_positions(x, _adaptive_windows(x, output_size, 3))
    return (out, places) if return_indices else out


def lp_pool2d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Array:
    sums = avg_pool2d(real(input) ** norm_type, kernel_size, stride, 0, ceil_mode) * np.prod(numbers(kernel_size, 2))
    return np.abs(sums) ** (1 / norm_type) * np.sign(sums)


def lp_pool1d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Array:
    sums = avg_pool1d(real(input) ** norm_type, kernel_size, stride, 0, ceil_mode) * np.prod(numbers(kernel_size, 1))
    return np.abs(sums) ** (1 / norm_type) * np.sign(sums)


def lp_pool3d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Array:
    sums = avg_pool3d(real(input) ** norm_type, kernel_size, stride, 0, ceil_mode) * np.prod(numbers(kernel_size, 3))
    return np.abs(sums) ** (1 / norm_type) * np.sign(sums)


def _max_unpool(
    rank: int, input: Any, indices: Any, kernel_size: Any, stride: Any, padding: Any, output_size: Any
) -> Array:
    x = array(input)
    if output_size is None:
        kernel, padding = numbers(kernel_size, rank), numbers(padding, rank)
        stride = kernel if stride is None else numbers(stride, rank)
        output_size = [(x.shape[i - rank] - 1) * stride[i] + kernel[i] - 2 * padding[i] for i in range(rank)]
    size = tuple(output_size[-rank:])
    out = np.zeros((*x.shape[:-rank], math.prod(size)))
    for place in np.ndindex(x.shape):
        out[(*place[:-rank], indices[place])] = x[place]
    return out.reshape((*x.shape[:-rank], *size))


def max_unpool1d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Array:
    return _max_unpool(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Array:
    return _max_unpool(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Array:
    return _max_unpool(3, input, indices, kernel_size, stride, padding, output_size)
