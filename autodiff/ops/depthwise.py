"""Depthwise convolutions, in which each channel has a kernel of its own: `autodiff_kernels.depthwise` computes them.

The operations stay those of `convolving.py`, which asks `fits` when it makes a plan. Several outputs for each channel
are groups like others.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.ops.images import Triple, before, operands, triple, volume, volume_weight
from autodiff.primitive import EachPart, Tail
from autodiff.spec import Array, Shape, Spec


def fits(weight: Shape, groups: int) -> bool:
    """Return whether a convolution with a weight of this shape is depthwise."""
    return groups > 1 and weight[:2] == (groups, 1)


def prepare(inputs: tuple[Spec, ...], tail: Tail | None, transposed: bool, stride: Any, padding: Any, dilation: Any
            ) -> Any:
    """Return what computes the convolution or, transposed, its gradient with respect to the image."""
    weight = inputs[1].shape
    return partial(_run, others=operands(inputs, tail), kernel=triple(weight[2:]), stride=triple(stride),
                   padding=before(padding), dilation=triple(dilation), transposed=int(transposed))


def scratch(weight: Spec) -> tuple[Spec | EachPart, ...]:
    """Return the specs of the weight as the kernel reads it, and of its table of places."""
    taps = math.prod(weight.shape[2:])
    places = kernels.depthwise.places_scratch(triple(weight.shape[2:]))
    return Spec.of((1, taps, weight.shape[0]), weight.dtype), EachPart(Spec.of((places,), np.int64))


def _run(outs: list[Array], ins: list[Array], others: Any, kernel: Triple, stride: Triple, padding: Triple,
         dilation: Triple, transposed: int) -> None:
    out, weights, places = outs
    kernels.layout.transpose(weights, ins[1].reshape(1, ins[1].shape[0], -1), 0, 1)
    kernels.depthwise.convolve(volume(out), places, volume(ins[0]), weights[0], *others(ins), kernel, stride, padding,
                               dilation, transposed, 0, 1)


def prepare_gradient(kernel: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    """Return what computes the gradients with respect to weight and bias."""
    return partial(_run_gradient, sizes=(triple(kernel), triple(stride), before(padding), triple(dilation)))


def gradient_scratch(weight: Spec, g: Spec, bias: bool) -> tuple[Spec | EachPart, ...]:
    """Return the specs of the sums of each segment of the images, and of those of a bias."""
    totals = weight.shape[0] + kernels.depthwise.CHANNELS if bias else 0
    segments = kernels.frames.segments_summed(g.shape[0], math.prod(g.shape[2:]), weight.size)
    return (Spec.of((segments, math.prod(weight.shape[2:]), weight.shape[0]), weight.dtype),
            Spec.of((segments, 2, totals), np.float64))


def _run_gradient(outs: list[Array], ins: list[Array], sizes: tuple[Triple, ...]) -> None:
    out, shifts, sums, totals = outs
    g, x = ins
    kernels.depthwise.weight_gradient(sums, totals, volume(x), volume(g), *sizes, 0, 1)
    kernels.depthwise.add_segments(volume_weight(out), shifts, sums, totals, 0, 1)
