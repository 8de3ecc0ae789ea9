"""Dimensions joined and split."""

from __future__ import annotations

from collections.abc import Sequence

from autodiff import ops
from autodiff.eager import Tensor
from autodiff.nn.module import Module


class Flatten(Module):
    """Join neighbouring dimensions into one; all but the first by default.

    Args:
        start_dim: first dimension of those that are joined.
        end_dim: last one.

    >>> import autodiff as ad
    >>> ad.nn.Flatten()(ad.ones(2, 3, 4)).shape
    (2, 12)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        return ops.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Split one dimension into several.

    Args:
        dim: the dimension.
        unflattened_size: sizes it becomes; one may be -1.

    >>> import autodiff as ad
    >>> ad.nn.Unflatten(1, (3, -1))(ad.ones(2, 12)).shape
    (2, 3, 4)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        return ops.unflatten(input, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
