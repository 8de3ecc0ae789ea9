"""Which gradients of convolutions have too few channels for a register; `autodiff_kernels.few_channels` computes them.

The operations stay those of `convolving.py`, which asks `fits` when it makes a plan.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.ops.images import in_memory, operands
from autodiff.primitive import EachPart, Tail
from autodiff.spec import Array, Shape, Spec

# The images have no more channels. This is not the register's width: the choice decides in which order products are
# summed, so it must be the same for every width.
LANES = 8
# What this takes, in multiplications at the speed of a full register tile, and how much longer a narrow one takes.
TAP, PIXEL, NARROW = 40, 24, 1.4
BAND_BYTES = 2**21  # that the products of the smallest band may take: those of large kernels over wide images grow
REGISTER_TILE = 128  # bytes of a register tile's row of the widest registers, of which products take whole ones


def fits(g: Spec, weight: Shape, out: Spec, *, stride: Any, padding: Any, dilation: Any, groups: int) -> bool:
    """Return whether an image's gradient is computed from the products of every cotangent with all taps.

    Args:
        g: the cotangent.
        weight: shape of the kernels.
        out: the image's gradient.
        stride, padding, dilation, groups: the convolution's.
    """
    if len(weight) != 4 or groups > 1 or weight[1] > LANES or 0 in (*g.shape, *out.shape, *weight):
        return False
    outputs, channels, *kernel = weight
    if _least_band(g, weight, out, stride[0], dilation[0]) > BAND_BYTES:
        return False
    taps, places, pixels = math.prod(kernel), math.prod(g.shape[2:]), math.prod(out.shape[2:])
    columns = -(-taps * channels // (2 * LANES)) * 2 * LANES
    products = places * (columns * outputs + TAP * taps) + PIXEL * pixels
    gathered: float = NARROW * LANES * outputs * taps * pixels / math.prod(stride)
    return products < gathered


def _least_band(g: Spec, weight: Shape, out: Spec, stride: int, dilation: int) -> int:
    """Return the bytes of the products that the smallest band of an image's rows needs, for the widest registers."""
    reach = (weight[2] - 1) * dilation
    rows = (min(reach + stride, out.shape[2]) - 1 + reach) // stride + 1
    tiles = -(-math.prod(weight[1:]) * g.dtype.itemsize // REGISTER_TILE)
    return rows * g.shape[3] * tiles * REGISTER_TILE


def prepare(inputs: tuple[Spec, ...], tail: Tail | None, stride: Any, padding: Any, dilation: Any) -> Any:
    """Return what computes the gradient."""
    return partial(_run, others=operands(inputs, tail), stride=tuple(stride), padding=tuple(padding[::2]),
                   dilation=tuple(dilation))


def scratch(g: Spec, weight: Shape, out: Spec, stride: Any, padding: Any, dilation: Any
            ) -> tuple[Spec | EachPart, ...]:
    """Return the specs of the weight as the kernel reads it, of products, and of the table of places."""
    n, channels, rows, columns = out.shape
    kernel = weight[2:]
    count = kernels.few_channels.products_scratch((n, rows, columns, channels), g.shape[3], kernel,
                                                  tuple(stride), tuple(dilation), g.dtype.itemsize)
    return (Spec.of((math.prod(weight) + kernels.few_channels.BEYOND,), g.dtype), EachPart(Spec.of((count,), g.dtype)),
            EachPart(Spec.of((kernels.few_channels.places_scratch(columns),), np.int64)))


def _run(outs: list[Array], ins: list[Array], others: Any, stride: tuple[int, int], padding: tuple[int, int],
         dilation: tuple[int, int]) -> None:
    out, weights, products, places = outs
    g, weight = ins[:2]
    outputs, channels, *kernel = weight.shape
    taps = math.prod(kernel)
    by_tap = weights[: weight.size].reshape(outputs, taps, channels)
    kernels.layout.transpose(by_tap, weight.reshape(outputs, channels, taps), 0, 1)
    kernels.few_channels.data_gradient(in_memory(out), products, places, in_memory(g), weights, *others(ins),
                                       weight.shape[2:], stride, padding, dilation, 0, 1)
