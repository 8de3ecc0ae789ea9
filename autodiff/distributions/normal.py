"""The normal distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from autodiff import ops
from autodiff.distributions.distribution import POSITIVE, REAL, Distribution, parameters
from autodiff.eager import Tensor


class Normal(Distribution):
    """The normal distribution, ``exp(-((x - loc) / scale)**2 / 2) / (scale * sqrt(2 pi))``.

    Args:
        loc: mean; a number or a tensor.
        scale: standard deviation.
        validate_args: whether parameters and values are checked; by default they are.

    Raises:
        ValueRangeError: if a mean is NaN, or a standard deviation not positive.

    >>> import autodiff as ad
    >>> ad.distributions.Normal(1.0, 2.0).log_prob(ad.tensor([1.0, 3.0]))
    tensor([-1.6121, -2.1121])
    """

    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = parameters("Normal", loc, scale)
        super().__init__(self.loc.shape, validate_args)
        self._check("loc", self.loc, REAL)
        self._check("scale", self.scale, POSITIVE)

    def __repr__(self) -> str:
        return f"Normal(loc: {self.loc}, scale: {self.scale})"

    @property
    def mean(self) -> Tensor:
        """`loc`."""
        return self.loc  # type: ignore[no-any-return]

    @property
    def stddev(self) -> Tensor:
        """`scale`."""
        return self.scale  # type: ignore[no-any-return]

    @property
    def variance(self) -> Tensor:
        """The square of `scale`."""
        return self.scale.square()  # type: ignore[no-any-return]

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return ``loc + scale * noise``."""
        noise = ops.random_normal(self._shape(sample_shape), dtype=self.loc.dtype)
        return self.loc + noise * self.scale  # type: ignore[no-any-return]

    def log_prob(self, value: Any) -> Tensor:
        """Return the logarithm of the density.

        Raises:
            ValueRangeError: if a value is NaN.
        """
        self._check("the value", value, REAL)
        distance = (value - self.loc) / self.scale
        return -distance.square() / 2 - self.scale.log() - math.log(2 * math.pi) / 2  # type: ignore[no-any-return]

    def entropy(self) -> Tensor:
        """Return ``log(scale) + (1 + log(2 pi)) / 2``."""
        return self.scale.log() + (1 + math.log(2 * math.pi)) / 2  # type: ignore[no-any-return]

    def cdf(self, value: Any) -> Tensor:
        """Return the probability of at most `value`.

        Raises:
            ValueRangeError: if a value is NaN.
        """
        self._check("the value", value, REAL)
        return ops.erfc((self.loc - value) / (self.scale * math.sqrt(2))) / 2  # type: ignore[no-any-return]
