"""What all distributions share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff import ops
from autodiff.autograd.modes import no_grad
from autodiff.eager import Tensor
from autodiff.errors import ValueRangeError
from autodiff.ops.promotion import promote_float
from autodiff.spec import Shape


class Distribution:
    """A distribution of numbers: one for each place of `batch_shape`, independent of each other.

    Attributes:
        has_rsample: whether `rsample` exists.
        batch_shape: shape of the parameters, and of one draw.

    Parameters are not checked: those that no distribution has, such as a negative scale, give NaN.

    >>> import autodiff as ad
    >>> ad.distributions.Normal(ad.zeros(3), 1.0).sample((2,)).shape
    (2, 3)
    """

    has_rsample = False
    event_shape: Shape = ()

    def __init__(self, batch_shape: Shape) -> None:
        self.batch_shape = batch_shape

    @property
    def mean(self) -> Tensor:
        """The expected value."""
        raise NotImplementedError

    @property
    def variance(self) -> Tensor:
        """The expected square of the difference from the mean."""
        raise NotImplementedError

    @property
    def stddev(self) -> Tensor:
        """The root of the variance."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return draws without a gradient, of the shape ``(*sample_shape, *batch_shape)``."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return draws as a function of the parameters, through which gradients flow (Kingma & Welling 2014).

        Raises:
            NotImplementedError: if the draws are whole numbers, which no gradient flows through.
        """
        raise NotImplementedError

    def log_prob(self, value: Any) -> Tensor:
        """Return the logarithm of the density, or of the probability, at values that broadcast with `batch_shape`."""
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """Return the expected value of ``-log_prob``."""
        raise NotImplementedError

    def _shape(self, sample_shape: Sequence[int]) -> Shape:
        return (*sample_shape, *self.batch_shape)


def parameters(operation: str, *values: Any) -> tuple[Any, ...]:
    """Return numbers and tensors as tensors of one float dtype and one shape."""
    found: tuple[Any, ...] = ops.broadcast_tensors(*promote_float(operation, *values))
    return found


def one_of(operation: str, probs: Any, logits: Any) -> None:
    """Raise unless either probabilities or logits are given.

    Raises:
        ValueRangeError: for both or none.
    """
    if (probs is None) == (logits is None):
        raise ValueRangeError(operation, "this takes either probabilities or logits", expected="probs= or logits=",
                              got="none" if probs is None else "both")


def inside(probs: Any) -> Any:
    """Return probabilities that have a finite logarithm, and whose complements have one."""
    eps = float(np.finfo(probs.dtype).eps)
    return probs.clamp(eps, 1 - eps)
