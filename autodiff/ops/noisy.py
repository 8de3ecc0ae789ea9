"""Activations that draw random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.bind import TensorT
from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops.activation import leaky_relu
from autodiff.ops.choice import where
from autodiff.ops.comparison import ge
from autodiff.ops.draws import exponential_draws
from autodiff.ops.elementwise import add, div, mul, sub
from autodiff.ops.extremes import argmax
from autodiff.ops.functions import log
from autodiff.ops.in_place import copy_
from autodiff.ops.joining import zeros_of
from autodiff.ops.probability import softmax
from autodiff.ops.random import random_uniform
from autodiff.ops.samples import spread
from autodiff.ops.scattering import scatter
from autodiff.ops.shaping import shape_of, unsqueeze
from autodiff.ops.structural import axis_index, require_tensor
from autodiff.primitive import ErrorSample, Sample, composed

__all__ = ["gumbel_softmax", "rrelu"]


@composed(samples=lambda: [Sample(spread(-1, 1, 3, 4)), Sample(spread(-1, 1, 3, 4), 0.2, 0.2, True),
                           Sample(spread(-1, 1, 5, dtype=np.float64), 0.1, 0.5)],
          errors=lambda: [ErrorSample(Sample("3"), DTypeError, "not a tensor"),
                          ErrorSample(Sample(np.ones(2, np.float32), 0.5, 0.1), ValueRangeError, "lower.*0.5 and 0.1")])
def rrelu(input: TensorT, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False,
          inplace: bool = False) -> TensorT:
    """Return `input`, times a random slope where it is negative: one for each element, even in [lower, upper).

    Args:
        input: any shape; floats.
        lower: least slope.
        upper: largest slope.
        training: False takes the middle of both as the slope of all elements.
        inplace: write the result into `input`.

    Raises:
        ValueRangeError: if `lower` is above `upper`.

    Source: Xu et al., "Empirical evaluation of rectified activations in convolutional network", 2015.

    >>> import autodiff as ad
    >>> ad.nn.functional.rrelu(ad.tensor([1.0, -2.0]), 0.2, 0.3)
    tensor([ 1.0000, -0.5000])
    """
    require_tensor("rrelu", input)
    if lower > upper:
        raise ValueRangeError("rrelu", "lower is above upper", got=f"{lower} and {upper}")
    x: Any = input
    if not training:
        return leaky_relu(x, (lower + upper) / 2, inplace)  # type: ignore[no-any-return]
    slope = add(mul(random_uniform(x.spec.shape, dtype=x.spec.dtype), upper - lower), lower)
    result = where(ge(x, 0), x, mul(x, slope))
    return copy_(x, result) if inplace else result  # type: ignore[no-any-return]


# How large the random numbers are only a draw can tell; far apart, the logits alone decide.
@composed(samples=lambda: [Sample(np.array([[0, 500, 0], [500, 0, 0]], np.float32), hard=hard, gradient=False)
                           for hard in (False, True)],
          errors=lambda: [ErrorSample(Sample(np.ones(3, np.float32), dim=1), ShapeError, "does not exist"),
                          ErrorSample(Sample(np.ones(3, np.int64)), DTypeError, "floats.*int64")])
def gumbel_softmax(logits: TensorT, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> TensorT:
    """Return a random choice of one class with the probabilities ``softmax(logits)``, as a soft one-hot vector.

    Args:
        logits: any shape; floats: logarithms of probabilities, up to a number that is added to all.
        tau: temperature: the smaller, the nearer to a one-hot vector.
        hard: return a one-hot vector, with the gradient of the soft one.
        eps: accepted for PyTorch's sake.
        dim: dimension of the classes.

    Raises:
        ShapeError: if the dimension does not exist.
        DTypeError: unless `logits` holds floats.

    Source: Jang et al., "Categorical reparameterization with Gumbel-softmax", 2017.

    >>> import autodiff as ad
    >>> ad.nn.functional.gumbel_softmax(ad.tensor([0.0, 500.0]), hard=True)
    tensor([0., 1.])
    """
    x: Any = logits
    axis = axis_index("gumbel_softmax", dim, len(shape_of(x, "gumbel_softmax")))
    if not x.spec.floating:
        raise DTypeError("gumbel_softmax", "the logits do not hold floats", expected="float32 or float64",
                         got=x.spec.dtype.name)
    # Minus the logarithm of an exponential draw is Gumbel's.
    drawn = exponential_draws(x.spec.shape, x.spec.dtype)
    soft = softmax(div(sub(x, log(drawn)), tau), axis)
    if not hard:
        return soft  # type: ignore[no-any-return]
    chosen = unsqueeze(argmax(soft, axis), axis)
    one_hot = scatter(zeros_of(x.spec), axis, chosen, 1.0)
    return add(sub(one_hot, soft.detach()), soft)  # type: ignore[no-any-return]
