"""Tables of vectors looked up by number."""

from __future__ import annotations

from typing import Any

from autodiff.eager import Tensor
from autodiff.errors import ShapeError
from autodiff.nn import functional as F
from autodiff.nn import init
from autodiff.nn.module import Module
from autodiff.nn.modules.common import counts, require
from autodiff.nn.parameter import Parameter, uninitialised


class Embedding(Module):
    """A learned vector for each of `num_embeddings` numbers.

    Args:
        num_embeddings: number of vectors.
        embedding_dim: size of a vector.
        padding_idx: the vector of this number is zero at first and receives no gradient; None for none.
        max_norm: not supported.
        norm_type: of `max_norm`.
        scale_grad_by_freq: not supported.
        sparse: accepted for PyTorch's sake; gradients are dense.
        device: the CPU; accepted for PyTorch's sake.
        dtype: of the weight; float32 by default.

    Attributes:
        weight: (num_embeddings, embedding_dim), standard normal at first.

    Raises:
        ValueRangeError: if `padding_idx` is outside the table, or an option is not supported.

    >>> import autodiff as ad
    >>> ad.nn.Embedding(10, 3)(ad.tensor([[1, 2], [4, 9]])).shape
    (2, 2, 3)
    """

    weight: Parameter

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None, max_norm: float | None = None,
        norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False, _weight: Tensor | None = None,
        _freeze: bool = False, device: Any = None, dtype: Any = None,
    ) -> None:
        super().__init__()
        require("Embedding", max_norm is None, "max_norm is not supported", max_norm)
        require("Embedding", not scale_grad_by_freq, "scale_grad_by_freq is not supported", scale_grad_by_freq)
        counts("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        if padding_idx is not None:
            require("Embedding", -num_embeddings <= padding_idx < num_embeddings,
                    f"padding_idx is outside the table of {num_embeddings}", padding_idx)
            padding_idx %= num_embeddings
        self.padding_idx = padding_idx
        self.sparse = sparse
        if _weight is None:
            self.weight = uninitialised(num_embeddings, embedding_dim, dtype=dtype, device=device)
            self.weight.requires_grad_(not _freeze)
            self.reset_parameters()
        elif _weight.shape != (num_embeddings, embedding_dim):
            raise ShapeError("Embedding", "the given weight has the wrong shape",
                             expected=str((num_embeddings, embedding_dim)), got=str(_weight.shape))
        else:
            self.weight = Parameter(_weight, requires_grad=not _freeze)

    def reset_parameters(self) -> None:
        """Draw the vectors anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            init.zeros_(self.weight.detach()[self.padding_idx])

    @classmethod
    def from_pretrained(
        cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None, max_norm: float | None = None,
        norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False,
    ) -> Embedding:
        """Return a table of given vectors.

        Args:
            embeddings: (num_embeddings, embedding_dim); the layer works on its memory.
            freeze: collect no gradient for them.
            padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse: as for the class.

        Raises:
            ShapeError: unless there are two dimensions.

        >>> import autodiff as ad
        >>> ad.nn.Embedding.from_pretrained(ad.eye(3))(ad.tensor(1))
        tensor([0., 1., 0.])
        """
        if embeddings.ndim != 2:
            raise ShapeError("Embedding", "the table must have two dimensions",
                             expected="(num_embeddings, embedding_dim)",
                             got=str(embeddings.shape))
        rows, columns = embeddings.shape
        return cls(rows, columns, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, embeddings, freeze)

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}" + (", sparse=True" if self.sparse else "")


class EmbeddingBag(Module):
    """Vectors for numbers, as `Embedding` has them, summed, averaged or maximised bag by bag.

    Args:
        num_embeddings: number of vectors.
        embedding_dim: size of a vector.
        max_norm: not supported.
        norm_type: of `max_norm`.
        scale_grad_by_freq: not supported.
        mode: ``"sum"``, ``"mean"`` or ``"max"``.
        sparse: accepted for PyTorch's sake; gradients are dense.
        include_last_offset: the offsets have one more place, the end of the last bag.
        padding_idx: the vector of this number is zero at first and takes no part; None for none.
        device: the CPU; accepted for PyTorch's sake.
        dtype: of the weight; float32 by default.

    Attributes:
        weight: (num_embeddings, embedding_dim), standard normal at first.

    Raises:
        ValueRangeError: if `padding_idx` is outside the table, or an option is not supported.

    >>> import autodiff as ad
    >>> ad.nn.EmbeddingBag(10, 3)(ad.tensor([1, 2, 4, 9]), ad.tensor([0, 3])).shape
    (2, 3)
    """

    weight: Parameter

    def __init__(
        self, num_embeddings: int, embedding_dim: int, max_norm: float | None = None, norm_type: float = 2.0,
        scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False, _weight: Tensor | None = None,
        include_last_offset: bool = False, padding_idx: int | None = None, device: Any = None, dtype: Any = None,
    ) -> None:
        super().__init__()
        require("EmbeddingBag", mode in ("sum", "mean", "max"), "the mode is not 'sum', 'mean' or 'max'", mode)
        table = Embedding(num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse,
                          _weight, device=device, dtype=dtype)
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.mode = mode
        self.include_last_offset = include_last_offset
        self.padding_idx = table.padding_idx
        self.weight = table.weight

    @classmethod
    def from_pretrained(
        cls, embeddings: Tensor, freeze: bool = True, max_norm: float | None = None, norm_type: float = 2.0,
        scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False, include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> EmbeddingBag:
        """Return a table of given vectors.

        Args:
            embeddings: (num_embeddings, embedding_dim); the layer works on its memory.
            freeze: collect no gradient for them.
            max_norm, norm_type, scale_grad_by_freq, mode, sparse, include_last_offset, padding_idx: as for the class.

        Raises:
            ShapeError: unless there are two dimensions.

        >>> import autodiff as ad
        >>> ad.nn.EmbeddingBag.from_pretrained(ad.eye(2))(ad.tensor([[0, 1]]))
        tensor([[0.5000, 0.5000]])
        """
        weight = Embedding.from_pretrained(embeddings).weight
        rows, columns = weight.shape
        bag = cls(rows, columns, max_norm, norm_type, scale_grad_by_freq, mode, sparse, weight, include_last_offset,
                  padding_idx)
        bag.weight.requires_grad_(not freeze)
        return bag

    def forward(
        self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None
    ) -> Tensor:
        return F.embedding_bag(input, self.weight, offsets, mode=self.mode, per_sample_weights=per_sample_weights,
                               include_last_offset=self.include_last_offset, padding_idx=self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}, mode={self.mode!r}{padding}"
