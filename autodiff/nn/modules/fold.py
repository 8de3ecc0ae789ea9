"""Images cut into windows, and put together from them."""

from __future__ import annotations

from autodiff.eager import Tensor
from autodiff.nn import functional as F
from autodiff.nn.module import Module
from autodiff.nn.modules.common import Size


class Unfold(Module):
    """`functional.unfold`: the windows of (N, C, H, W) as columns, (N, C height width, number of windows).

    Args:
        kernel_size: of the window: one number, or height and width.
        dilation: distance of the elements of the window.
        padding: of zeros, on all sides.
        stride: of the window.

    >>> import autodiff as ad
    >>> ad.nn.Unfold(2)(ad.ones(1, 3, 4, 4)).shape
    (1, 12, 9)
    """

    def __init__(self, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, "
                f"stride={self.stride}")


class Fold(Module):
    """`functional.fold`: columns become the windows of images again, added up where they overlap.

    Args:
        output_size: of the images: one number, or height and width.
        kernel_size: of the window: one number, or height and width.
        dilation: distance of the elements of the window.
        padding: that `Unfold` had, on all sides.
        stride: of the window.

    >>> import autodiff as ad
    >>> ad.nn.Fold((4, 5), 2)(ad.ones(1, 12, 12)).shape
    (1, 3, 4, 5)
    """

    def __init__(
        self, output_size: Size, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation}, "
                f"padding={self.padding}, stride={self.stride}")
