"""The Bernoulli distribution."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from autodiff import ops
from autodiff.autograd.modes import no_grad
from autodiff.creation import bernoulli
from autodiff.distributions.distribution import BINARY, PROBABILITY, REAL, Distribution, inside, one_of, parameters
from autodiff.eager import Tensor


class Bernoulli(Distribution):
    """The Bernoulli distribution: 1 with a probability, and 0.

    Args:
        probs: probability of 1; a number or a tensor.
        logits: ``log(probs / (1 - probs))``, in its place.
        validate_args: whether parameters and values are checked; by default they are.

    Raises:
        ValueRangeError: unless either `probs` or `logits` is given; if a probability is not from 0 to 1, a logit NaN.

    >>> import autodiff as ad
    >>> ad.distributions.Bernoulli(0.25).log_prob(ad.tensor([0.0, 1.0])).exp()
    tensor([0.7500, 0.2500])
    """

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        one_of("Bernoulli", probs, logits)
        (given,) = parameters("Bernoulli", logits if probs is None else probs)
        self.__dict__["logits" if probs is None else "probs"] = given
        super().__init__(given.shape, validate_args)
        self._check("logits" if probs is None else "probs", given, REAL if probs is None else PROBABILITY)

    def __repr__(self) -> str:
        return f"Bernoulli(probs: {self.probs})"

    @cached_property
    def probs(self) -> Any:
        """The probability of 1."""
        return self.logits.sigmoid()

    @cached_property
    def logits(self) -> Any:
        """The logarithm of its ratio to the probability of 0."""
        probs = inside(self.probs)
        return probs.log() - (-probs).log1p()

    @property
    def mean(self) -> Tensor:
        """The probability of 1."""
        return self.probs  # type: ignore[no-any-return]

    @property
    def variance(self) -> Tensor:
        """``probs * (1 - probs)``."""
        return self.probs * (1 - self.probs)  # type: ignore[no-any-return]

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return zeros and ones, of the shape ``(*sample_shape, *batch_shape)``."""
        with no_grad():
            return bernoulli(self.probs.expand(self._shape(sample_shape)))

    def log_prob(self, value: Any) -> Tensor:
        """Return the logarithms of the probabilities of zeros and ones.

        Raises:
            ValueRangeError: if a value is neither.
        """
        self._check("the value", value, BINARY)
        logits, value = parameters("Bernoulli", self.logits, value)
        return -ops.binary_cross_entropy_with_logits(logits, value, reduction="none")  # type: ignore[no-any-return]

    def entropy(self) -> Tensor:
        """Return the expected value of ``-log_prob``."""
        return ops.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")  # type: ignore[no-any-return]
