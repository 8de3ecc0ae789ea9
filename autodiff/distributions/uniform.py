"""The uniform distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from autodiff import ops
from autodiff.distributions.distribution import Distribution, Range, parameters
from autodiff.eager import Tensor


class Uniform(Distribution):
    """The uniform distribution on [low, high).

    Args:
        low: lower limit; a number or a tensor.
        high: upper limit.
        validate_args: whether parameters and values are checked; by default they are.

    Raises:
        ValueRangeError: if a lower limit is not below the upper one.

    >>> import autodiff as ad
    >>> ad.distributions.Uniform(0.0, 2.0).log_prob(ad.tensor([0.0, 1.0, 2.0]))
    tensor([-0.6931, -0.6931,    -inf])
    """

    has_rsample = True

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = parameters("Uniform", low, high)
        super().__init__(self.low.shape, validate_args)
        self._check("low", self.low, Range("numbers below high", lambda x: x < self.high.array))

    def __repr__(self) -> str:
        return f"Uniform(low: {self.low}, high: {self.high})"

    @property
    def mean(self) -> Tensor:
        """The middle."""
        return (self.low + self.high) / 2  # type: ignore[no-any-return]

    @property
    def variance(self) -> Tensor:
        """``(high - low)**2 / 12``."""
        return (self.high - self.low).square() / 12  # type: ignore[no-any-return]

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return ``low + (high - low) * noise``."""
        draws = ops.random_uniform(self._shape(sample_shape), dtype=self.low.dtype)
        return self.low + draws * (self.high - self.low)  # type: ignore[no-any-return]

    def log_prob(self, value: Any) -> Tensor:
        """Return the logarithm of the density: minus infinity at `high`.

        Raises:
            ValueRangeError: if a value lies outside.
        """
        inside = Range("numbers from low to high", lambda x: (self.low.array <= x) & (x <= self.high.array))
        self._check("the value", value, inside)
        inside = (self.low <= value) & (value < self.high)
        return ops.where(inside, -(self.high - self.low).log(), -math.inf)  # type: ignore[no-any-return]

    def entropy(self) -> Tensor:
        """Return ``log(high - low)``."""
        return (self.high - self.low).log()  # type: ignore[no-any-return]
