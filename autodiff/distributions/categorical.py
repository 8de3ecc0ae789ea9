"""The categorical distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from autodiff import ops
from autodiff.autograd.modes import no_grad
from autodiff.creation import multinomial
from autodiff.distributions.distribution import REAL, Distribution, Range, inside, one_of
from autodiff.eager import Tensor
from autodiff.errors import ShapeError
from autodiff.ops.promotion import real

WEIGHT = Range("finite numbers from 0 on, not all of them 0",
               lambda x: (x >= 0) & (x < math.inf) & (x.sum(-1, keepdims=True) > 0))


class Categorical(Distribution):
    """The distribution of one of K classes.

    Args:
        probs: (..., K), probabilities; their sum need not be 1.
        logits: (..., K), logarithms of such, in their place.
        validate_args: whether parameters and values are checked; by default they are.

    Raises:
        ValueRangeError: unless either `probs` or `logits` is given; if a probability is negative or infinite, or all
            of them 0, or a logit NaN.
        ShapeError: if they have no dimensions.

    >>> import autodiff as ad
    >>> policy = ad.distributions.Categorical(ad.tensor([1.0, 3.0]))
    >>> policy.log_prob(ad.tensor(1)).exp(), policy.sample((5,)).shape
    (tensor(0.7500), (5,))
    """

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        one_of("Categorical", probs, logits)
        given: Any = real("Categorical", logits if probs is None else probs)
        if not given.ndim:
            raise ShapeError("Categorical", "there are no classes", expected="(..., K)", got="()")
        if probs is None:
            self.__dict__["logits"] = given - given.logsumexp(-1, keepdim=True)
        else:
            self.__dict__["probs"] = given / given.sum(-1, keepdim=True)
        self._classes = given.shape[-1]
        super().__init__(given.shape[:-1], validate_args)
        self._check("logits" if probs is None else "probs", given, REAL if probs is None else WEIGHT)

    def __repr__(self) -> str:
        return f"Categorical(probs: {self.probs})"

    @cached_property
    def probs(self) -> Any:
        """The probabilities, whose sum is 1: (..., K)."""
        return self.logits.softmax(-1)

    @cached_property
    def logits(self) -> Any:
        """The logarithms of the probabilities: (..., K)."""
        return inside(self.probs).log()

    @property
    def mode(self) -> Tensor:
        """The class with the largest probability."""
        return self.probs.argmax(-1)  # type: ignore[no-any-return]

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Return classes, int64, of the shape ``(*sample_shape, *batch_shape)``."""
        with no_grad():
            draws = multinomial(self.probs.reshape(-1, self._classes), math.prod(sample_shape), replacement=True)
            return draws.T.reshape(self._shape(sample_shape))  # type: ignore[no-any-return]

    def log_prob(self, value: Any) -> Tensor:
        """Return the logarithms of the probabilities of classes.

        Raises:
            ValueRangeError: if a value is no class.
        """
        last = self._classes - 1
        self._check("the value", value, Range(f"0 to {last}", lambda x: (x >= 0) & (x <= last) & (x == np.floor(x))))
        value, logits = ops.broadcast_tensors(value.long().unsqueeze(-1), self.logits)
        return logits.gather(-1, value[..., :1]).squeeze(-1)  # type: ignore[no-any-return]

    def entropy(self) -> Tensor:
        """Return the expected value of ``-log_prob``."""
        # An impossible class adds 0 * log 0, which is 0.
        logits = self.logits.clamp(min=float(np.finfo(self.logits.dtype).min))
        return -(logits * self.probs).sum(-1)  # type: ignore[no-any-return]
