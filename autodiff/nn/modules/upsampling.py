"""Resizing of sequences, images and volumes."""

from __future__ import annotations

from typing import Any

from autodiff.arguments import number
from autodiff.eager import Tensor
from autodiff.nn import functional as F
from autodiff.nn.module import Module


class Upsample(Module):
    """`functional.interpolate`: resize (N, C, ...) to a size or by a factor.

    Args:
        size: of the output.
        scale_factor: size of the output divided by that of the input; one of both is given.
        mode: ``"nearest"``, ``"linear"``, ``"bilinear"``, ``"trilinear"``, ... as `functional.interpolate` has them.
        align_corners: let the corners of input and output be the same points.
        recompute_scale_factor: use the factor of the sizes after rounding.

    >>> import autodiff as ad
    >>> ad.nn.Upsample(scale_factor=2)(ad.ones(1, 1, 2, 3)).shape
    (1, 1, 4, 6)
    """

    def __init__(
        self, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        self.size = size
        if scale_factor is not None:
            scale_factor = (tuple(map(float, scale_factor)) if isinstance(scale_factor, tuple | list)
                            else number("Upsample", "scale_factor", scale_factor))
        self.scale_factor = scale_factor
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.interpolate(input, self.size, self.scale_factor, self.mode, self.align_corners,
                             self.recompute_scale_factor)

    def extra_repr(self) -> str:
        by = f"size={self.size!r}" if self.scale_factor is None else f"scale_factor={self.scale_factor!r}"
        return f"{by}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """`Upsample` to the nearest pixel.

    Args:
        size: of the output.
        scale_factor: size of the output divided by that of the input.

    >>> import autodiff as ad
    >>> ad.nn.UpsamplingNearest2d(scale_factor=2)(ad.ones(1, 1, 2, 3)).shape
    (1, 1, 4, 6)
    """

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """`Upsample`, bilinear with aligned corners.

    Args:
        size: of the output.
        scale_factor: size of the output divided by that of the input.

    >>> import autodiff as ad
    >>> ad.nn.UpsamplingBilinear2d(scale_factor=2)(ad.ones(1, 1, 2, 3)).shape
    (1, 1, 4, 6)
    """

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)
