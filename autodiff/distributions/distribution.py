"""What all distributions share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from autodiff import ops
from autodiff.autograd.modes import no_grad
from autodiff.eager import Tensor
from autodiff.errors import ValueRangeError
from autodiff.ops.promotion import promote_float
from autodiff.spec import Array, Shape


class Range(NamedTuple):
    """What numbers of a kind have in common.

    Attributes:
        words: the numbers, in words.
        holds: says of each element of an array whether it is one.
    """

    words: str
    holds: Callable[[Array], Array]


REAL = Range("numbers other than NaN", lambda x: x == x)
POSITIVE = Range("numbers above 0", lambda x: x > 0)
PROBABILITY = Range("numbers from 0 to 1", lambda x: (x >= 0) & (x <= 1))
BINARY = Range("0 or 1", lambda x: (x == 0) | (x == 1))


class Distribution:
    """A distribution of numbers: one for each place of `batch_shape`, independent of each other.

    Attributes:
        has_rsample: whether `rsample` exists.
        batch_shape: shape of the parameters, and of one draw.

    Parameters, and the values that `log_prob` gets, are checked when they are given; a compiled function checks those
    of the call that records it. With ``validate_args=False`` nothing is checked: parameters that no distribution has,
    such as a negative scale, give NaN.

    >>> import autodiff as ad
    >>> ad.distributions.Normal(ad.zeros(3), 1.0).sample((2,)).shape
    (2, 3)
    """

    has_rsample = False
    event_shape: Shape = ()

    def __init__(self, batch_shape: Shape, validate_args: bool | None = None) -> None:
        self.batch_shape = batch_shape
        self._checks = validate_args is None or validate_args

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

    def _check(self, name: str, given: Any, wanted: Range) -> None:
        """Raise unless an argument holds what it should; `given` is a tensor or a number.

        Raises:
            ValueRangeError: names the first element that is wrong.
        """
        if self._checks:
            numbers = np.asarray(getattr(given, "array", given))
            right = wanted.holds(numbers)
            if not right.all():
                place = tuple(int(i) for i in np.argwhere(~right)[0])
                numbers = np.broadcast_to(numbers, right.shape)
                raise ValueRangeError(
                    type(self).__name__, f"{name} is out of range", expected=wanted.words,
                    got=f"{numbers[place]}" + (f" at {place}" if place else ""),
                    fix="pass validate_args=False to skip this check",
                )

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
