"""Channels turned into pixels and back, and channels in another order."""

from __future__ import annotations

from autodiff.eager import Tensor
from autodiff.nn import functional as F
from autodiff.nn.module import Module


class PixelShuffle(Module):
    """`functional.pixel_shuffle`: (..., C r², H, W) becomes (..., C, H r, W r).

    Args:
        upscale_factor: r.

    Source: Shi et al., "Real-time single image and video super-resolution", 2016.

    >>> import autodiff as ad
    >>> ad.nn.PixelShuffle(2)(ad.ones(1, 8, 3, 3)).shape
    (1, 2, 6, 6)
    """

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """`functional.pixel_unshuffle`: (..., C, H r, W r) becomes (..., C r², H, W).

    Args:
        downscale_factor: r.

    >>> import autodiff as ad
    >>> ad.nn.PixelUnshuffle(2)(ad.ones(1, 2, 6, 6)).shape
    (1, 8, 3, 3)
    """

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """`functional.channel_shuffle`: the channels of (N, C, ...) are taken from their groups by turns.

    Args:
        groups: number of groups.

    Source: Zhang et al., "ShuffleNet: an extremely efficient convolutional neural network for mobile devices", 2018.

    >>> import autodiff as ad
    >>> ad.nn.ChannelShuffle(2)(ad.arange(4.0).view(1, 4, 1)).view(4)
    tensor([0., 2., 1., 3.])
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: Tensor) -> Tensor:
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
