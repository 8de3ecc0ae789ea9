"""Convolutions with kernels of size 1 and stride 1, which are matrix products: (places, C) by (C, O).

The operations stay those of `convolving.py`, which asks `fits` when it makes a plan. The bits are those of the kernels
of convolution, but where one factor has a single row or column.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import autodiff_kernels as kernels
from autodiff.ops.images import operands
from autodiff.ops.products import no_sums
from autodiff.primitive import EachPart
from autodiff.spec import Array, Shape, Spec


class Product(NamedTuple):
    """Numbers of rows, columns and products of each sum, and the steps of both factors along rows and columns."""

    m: int
    n: int
    k: int
    a_row: int
    a_column: int
    b_row: int
    b_column: int


def fits(weight: Shape, *, stride: Any, padding: Any, dilation: Any, groups: int) -> bool:
    """Return whether a convolution and its gradients are matrix products."""
    return groups == 1 and max(*weight[2:], *stride) == 1 and not any(padding)


def forward(image: Spec, weight: Shape) -> Product:
    """Return the product that is the convolution of an image."""
    outputs, channels = weight[:2]
    return Product(_places(image), outputs, channels, channels, 1, 1, channels)


def input_gradient(g: Spec, weight: Shape) -> Product:
    """Return the product that is the gradient with respect to the image."""
    outputs, channels = weight[:2]
    return Product(_places(g), channels, outputs, outputs, 1, channels, 1)


def weight_gradient(g: Spec, weight: Shape) -> Product:
    """Return the product that is the gradient with respect to the weight."""
    outputs, channels = weight[:2]
    return Product(outputs, channels, _places(g), 1, outputs, channels, 1)


def _places(image: Spec) -> int:
    return image.shape[0] * math.prod(image.shape[2:])


def prepare(product: Product, others: Any) -> Any:
    """Return what computes the product; `others` are `images.operands`."""
    m, n, k, a_row, a_column, b_row, b_column = product
    return partial(_run, others=others, sizes=(1, 1, m, n, k, 0, 0, a_row, a_column, 0, 0, b_row, b_column))


def scratch(product: Product, dtype: Any) -> tuple[EachPart]:
    """Return the spec of what the product works on."""
    m, n, k, a_row, _, _, b_column = product
    count = kernels.matmul.matmul_scratch(m, n, k, a_row, b_column, dtype.itemsize, 1)
    return (EachPart(Spec.of((count,), dtype)),)


def prepare_gradient(inputs: tuple[Spec, ...], weight: Shape) -> Any:
    """Return what computes the gradients with respect to weight and bias."""
    product = prepare(weight_gradient(inputs[0], weight), operands(inputs, None))
    return partial(_run_gradient, product=product)


def gradient_scratch(product: Product, dtype: Any, bias: bool) -> tuple[Spec | EachPart, ...]:
    """Return the specs of what the product works on, and of the sums of a bias."""
    totals = kernels.matmul.totals_size(product.m) if bias else 0
    return *scratch(product, dtype), EachPart(Spec.of((totals,), np.float64))


def _run_gradient(outs: list[Array], ins: list[Array], product: Any) -> None:
    out, shifts, work, totals = outs
    product([out, work], ins, sums=(shifts, totals))


def _run(outs: list[Array], ins: list[Array], others: Any, sizes: tuple[int, ...], sums: tuple[Array, ...] = ()
         ) -> None:
    out, work = outs
    left, right, result = ins[0].ravel("K"), ins[1].ravel("K"), out.ravel("K")  # as they lie in memory
    kernels.matmul.matmul(result, work, *(sums or no_sums(out.dtype)), left, right, *others(ins), *sizes, 0, 1)
