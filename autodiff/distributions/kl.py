"""The divergence of Kullback & Leibler."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from autodiff import ops
from autodiff.distributions.bernoulli import Bernoulli
from autodiff.distributions.categorical import Categorical
from autodiff.distributions.distribution import Distribution
from autodiff.distributions.normal import Normal
from autodiff.distributions.uniform import Uniform
from autodiff.eager import Tensor
from autodiff.errors import DTypeError


def _expected(weight: Any, difference: Any, missing: Any) -> Any:
    """Return a probability times a difference of logarithms: 0 for none, infinity where only the other is `missing`."""
    return ops.where(weight == 0, 0.0, ops.where(missing, math.inf, weight * difference))


def _normal(p: Normal, q: Normal) -> Any:
    ratio = (p.scale / q.scale).square()
    return (ratio + ((p.loc - q.loc) / q.scale).square() - 1 - ratio.log()) / 2


def _uniform(p: Uniform, q: Uniform) -> Any:
    within = (q.low <= p.low) & (p.high <= q.high)
    return ops.where(within, ((q.high - q.low) / (p.high - p.low)).log(), math.inf)


def _categorical(p: Categorical, q: Categorical) -> Any:
    return _expected(p.probs, p.logits - q.logits, q.probs == 0).sum(-1)


def _bernoulli(p: Bernoulli, q: Bernoulli) -> Any:
    ones = ops.softplus(-q.logits) - ops.softplus(-p.logits)
    zeros = ops.softplus(q.logits) - ops.softplus(p.logits)
    return _expected(p.probs, ones, q.probs == 0) + _expected(1 - p.probs, zeros, q.probs == 1)


_FORMULAS: dict[type[Distribution], Callable[[Any, Any], Any]] = {
    Normal: _normal, Uniform: _uniform, Categorical: _categorical, Bernoulli: _bernoulli,
}  # fmt: skip


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """Return the expected value of ``p.log_prob - q.log_prob`` under p.

    Args:
        p, q: of one family; their batches broadcast.

    Raises:
        DTypeError: if they are of different families.

    >>> import autodiff as ad
    >>> from autodiff.distributions import Normal, kl_divergence
    >>> kl_divergence(Normal(1.0, 1.0), Normal(0.0, 1.0))
    tensor(0.5000)
    """
    if type(p) is not type(q) or type(p) not in _FORMULAS:
        raise DTypeError("kl_divergence", "there is no formula for these distributions", expected="two of one family",
                         got=f"{type(p).__name__} and {type(q).__name__}")
    return _FORMULAS[type(p)](p, q)  # type: ignore[no-any-return]
