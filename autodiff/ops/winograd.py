"""Which convolutions Winograd's minimal filtering computes, and how; its kernels are `autodiff_kernels.winograd`.

The operations stay those of `convolving.py`, which asks `fits` when it makes a plan.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.ops.images import in_memory, operands
from autodiff.primitive import EachPart, Tail
from autodiff.spec import Array, Shape, Spec

Place = tuple[int, int]

LEAST_CHANNELS = 32  # in and out: with fewer, transforms take as long as the products save
LEAST_TILES = 48  # to be worth the transform of the kernels
MOST_WASTE = 1.4  # places in whole tiles for each place of the result


def fits(image: Spec, weight: Shape, out: Spec, *, stride: Any, padding: Any, dilation: Any, groups: int) -> bool:
    """Return whether a convolution of this image is computed with Winograd's algorithm, and its gradients with it.

    Args:
        image: what is convolved: the input, or the cotangent for the gradient with respect to it.
        weight: shape of the kernels.
        out: the result; of the kernels' gradient, what the cotangent of the forward pass looks like.
        stride, padding, dilation, groups: the convolution's.
    """
    steps = (*stride, *dilation, groups)
    if weight[2:] != (3, 3) or any(step != 1 for step in steps) or max(padding) > 2:
        return False
    places = out.shape[0] * out.shape[2] * out.shape[3]
    tiles = _tiles(out.shape)
    return min(weight[:2]) >= LEAST_CHANNELS and tiles >= LEAST_TILES and 4 * tiles <= MOST_WASTE * places


def _tiles(shape: Shape) -> int:
    """Return the number of 2x2 tiles of an (N, C, H, W) result."""
    return shape[0] * ((shape[2] + 1) // 2) * ((shape[3] + 1) // 2)


def scratch(image: Spec, out: Spec) -> tuple[Spec | EachPart, ...]:
    """Return the specs of the transformed kernels, and of what a convolution works on."""
    channels, outputs, size = image.shape[1], out.shape[1], image.dtype.itemsize
    count = kernels.winograd.kernels_scratch(channels, outputs, size)
    work = kernels.winograd.forward_scratch(channels, outputs, size)
    return Spec.of((count,), image.dtype), EachPart(Spec.of((work,), image.dtype))


def prepare(inputs: tuple[Spec, ...], tail: Tail | None, padding: Any, turned: bool) -> Any:
    """Return what convolves an image; with turned kernels, what computes the gradient with respect to it."""
    return partial(_run, others=operands(inputs, tail), place=place_of(padding, turned), turned=int(turned))


def _run(outs: list[Array], ins: list[Array], others: Any, place: Place, turned: int) -> None:
    out, transformed, work = outs
    kernels.winograd.transform_kernels(transformed, ins[1], turned, 0, 1)
    kernels.winograd.forward(in_memory(out), work, in_memory(ins[0]), transformed, *others(ins), *place, 0, 1)


def gradient_scratch(g: Spec, image: Spec, bias: bool) -> tuple[Spec | EachPart, ...]:
    """Return the specs of the sums of weight and bias, and of what the kernels' gradient works on."""
    channels, outputs, tiles, size = image.shape[1], g.shape[1], _tiles(g.shape), g.dtype.itemsize
    sums = kernels.winograd.gradient_sums(tiles, channels, outputs)
    totals = kernels.winograd.gradient_totals(tiles, channels, outputs, size) if bias else (0, 2, 0)
    work = kernels.winograd.gradient_scratch(channels, outputs, size)
    return Spec.of((sums,), g.dtype), Spec.of(totals, np.float64), EachPart(Spec.of((work,), g.dtype))


def run_gradient(outs: list[Array], ins: list[Array], place: Place) -> None:
    """Compute the gradients with respect to kernels and bias."""
    out, shifts, sums, totals, work = outs
    g, image = ins
    kernels.winograd.kernel_gradient(sums, totals, work, in_memory(image), in_memory(g), *place, 0, 1)
    kernels.winograd.combine(out, shifts, sums, totals, 0, 1)


def place_of(padding: Any, turned: bool = False) -> Place:
    """Return the rows and columns of zeros before an image: the input or, with turned kernels, the cotangent."""
    above, _, left, _ = padding
    return (2 - above, 2 - left) if turned else (above, left)

