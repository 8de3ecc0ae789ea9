"""Normalisation that does not look at other examples of the batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autodiff.arguments import integer, integers
from autodiff.eager import Tensor
from autodiff.nn import functional as F
from autodiff.nn import init
from autodiff.nn.module import Module
from autodiff.nn.modules.common import require
from autodiff.nn.parameter import Parameter, uninitialised


def _shape(normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    return integers("LayerNorm", "normalized_shape", normalized_shape)


class LayerNorm(Module):
    """Normalise the last dimensions to mean 0 and variance 1: `functional.layer_norm`.

    Args:
        normalized_shape: sizes of the dimensions that are normalised together, the last ones of the input.
        eps: added to the variance.
        elementwise_affine: learn a factor and an offset for each of their elements.
        bias: learn the offset.
        device: the CPU; accepted for PyTorch's sake.
        dtype: of the parameters; float32 by default.

    Attributes:
        weight: of `normalized_shape`, 1 at first.
        bias: of `normalized_shape`, 0 at first.

    Source: Ba, Kiros and Hinton, "Layer normalization", 2016.

    >>> import autodiff as ad
    >>> ad.nn.LayerNorm(3)(ad.ones(2, 3)).tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float = 1e-5, elementwise_affine: bool = True,
        bias: bool = True, device: Any = None, dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        for name, wanted in (("weight", elementwise_affine), ("bias", elementwise_affine and bias)):
            self.register_parameter(name,
                                    uninitialised(*self.normalized_shape, dtype=dtype,
                                                  device=device) if wanted else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set factors to 1 and offsets to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
                f"bias={self.bias is not None}")


class RMSNorm(Module):
    """Divide the last dimensions by their root mean square: `functional.rms_norm`.

    Args:
        normalized_shape: sizes of the dimensions that are normalised together, the last ones of the input.
        eps: added to the mean square; None: the smallest step of the input's dtype above 1.
        elementwise_affine: learn a factor for each of their elements.
        device: the CPU; accepted for PyTorch's sake.
        dtype: of the parameter; float32 by default.

    Attributes:
        weight: of `normalized_shape`, 1 at first.

    Source: Zhang and Sennrich, "Root mean square layer normalization", 2019.

    >>> import autodiff as ad
    >>> ad.nn.RMSNorm(2)(ad.tensor([3.0, 3.0])).detach()
    tensor([1., 1.])
    """

    weight: Parameter | None

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float | None = None, elementwise_affine: bool = True,
        device: Any = None, dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        weight = uninitialised(*self.normalized_shape, dtype=dtype, device=device) if elementwise_affine else None
        self.register_parameter("weight", weight)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the factors to 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Normalise groups of channels of (N, C, ...), every example by itself: `functional.group_norm`.

    Args:
        num_groups: number of groups.
        num_channels: number of channels C, a multiple of `num_groups`.
        eps: added to the variance.
        affine: learn a factor and an offset for each channel.
        device: the CPU; accepted for PyTorch's sake.
        dtype: of the parameters; float32 by default.
        bias: learn the offset.

    Attributes:
        weight: (C,), 1 at first.
        bias: (C,), 0 at first.

    Raises:
        ValueRangeError: if the groups do not divide the channels.

    Source: Wu and He, "Group normalization", 2018.

    >>> import autodiff as ad
    >>> ad.nn.GroupNorm(2, 6)(ad.ones(1, 6, 4, 4)).shape
    (1, 6, 4, 4)
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, device: Any = None,
        dtype: Any = None, *, bias: bool = True,
    ) -> None:
        super().__init__()
        num_groups = integer("GroupNorm", "num_groups", num_groups)
        require("GroupNorm", num_channels % num_groups == 0, f"num_channels is no multiple of num_groups={num_groups}",
                num_channels)
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            parameter = uninitialised(num_channels, dtype=dtype, device=device) if wanted else None
            self.register_parameter(name, parameter)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set factors to 1 and offsets to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
                f"bias={self.bias is not None}")


class LocalResponseNorm(Module):
    """Divide by a power of the mean square over neighbouring channels: `functional.local_response_norm`.

    Args:
        size: number of neighbouring channels.
        alpha: factor of the mean square.
        beta: the power.
        k: added before taking the power.

    Source: Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep CNNs", 2012, section 3.3.

    >>> import autodiff as ad
    >>> ad.nn.LocalResponseNorm(2)(ad.ones(1, 3, 4, 4)).shape
    (1, 3, 4, 4)
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
