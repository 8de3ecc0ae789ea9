"""Dropout: set random elements or channels to zero while training."""

from __future__ import annotations

from autodiff.arguments import number
from autodiff.eager import Tensor
from autodiff.nn import functional as F
from autodiff.nn.module import Module
from autodiff.nn.modules.common import require


class _Dropout(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        name = type(self).__name__
        require(name, 0 <= number(name, "p", p) <= 1, "the probability of dropping is outside 0 to 1", p)
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """`functional.dropout` while training; the identity in evaluation.

    Args:
        p: probability of dropping an element.
        inplace: change the input itself.

    Raises:
        ValueRangeError: unless 0 <= p <= 1.

    >>> import autodiff as ad
    >>> ad.nn.Dropout(0.9).eval()(ad.ones(2))
    tensor([1., 1.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_Dropout):
    """`functional.dropout1d` while training: whole channels of (N, C, L) are dropped; the identity in evaluation.

    Args:
        p: probability of dropping a channel.
        inplace: change the input itself.

    Raises:
        ValueRangeError: unless 0 <= p <= 1.

    >>> import autodiff as ad
    >>> ad.nn.Dropout1d(1.0)(ad.ones(1, 2, 3)).sum()
    tensor(0.)
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """`functional.dropout2d` while training: whole channels of (N, C, H, W) are dropped; the identity in evaluation.

    Args:
        p: probability of dropping a channel.
        inplace: change the input itself.

    Raises:
        ValueRangeError: unless 0 <= p <= 1.

    >>> import autodiff as ad
    >>> ad.nn.Dropout2d(1.0)(ad.ones(1, 2, 3, 3)).sum()
    tensor(0.)
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_Dropout):
    """`functional.dropout3d` while training: whole channels of (N, C, D, H, W) are dropped; the identity in evaluation.

    Args:
        p: probability of dropping a channel.
        inplace: change the input itself.

    Raises:
        ValueRangeError: unless 0 <= p <= 1.

    >>> import autodiff as ad
    >>> ad.nn.Dropout3d(1.0)(ad.ones(1, 2, 3, 3, 3)).sum()
    tensor(0.)
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_Dropout):
    """`functional.alpha_dropout` while training: for nets of `SELU`; the identity in evaluation.

    Args:
        p: probability of dropping an element.
        inplace: change the input itself.

    Raises:
        ValueRangeError: unless 0 <= p <= 1.

    >>> import autodiff as ad
    >>> ad.nn.AlphaDropout(0.9).eval()(ad.ones(2))
    tensor([1., 1.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.alpha_dropout(input, self.p, self.training, self.inplace)
