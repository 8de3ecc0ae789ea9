"""Distances and similarities of pairs of vectors."""

from __future__ import annotations

from autodiff.eager import Tensor
from autodiff.nn import functional as F
from autodiff.nn.module import Module


class CosineSimilarity(Module):
    """`functional.cosine_similarity`.

    Args:
        dim: along which the vectors lie.
        eps: smallest product of norms.

    >>> import autodiff as ad
    >>> ad.nn.CosineSimilarity(dim=0)(ad.tensor([1.0, 0.0]), ad.tensor([0.0, 1.0]))
    tensor(0.)
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """`functional.pairwise_distance`.

    Args:
        p: of the norm.
        eps: added to the differences.
        keepdim: keep the dimension of the vectors with size 1.

    >>> import autodiff as ad
    >>> ad.nn.PairwiseDistance(eps=0.0)(ad.tensor([[3.0, 0.0]]), ad.tensor([[0.0, 4.0]]))
    tensor([5.])
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
