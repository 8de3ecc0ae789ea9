"""Maxima and means over windows. Sizes and errors are described at the functions of `nn.functional`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autodiff.eager import Tensor
from autodiff.nn import functional as F
from autodiff.nn.module import Module
from autodiff.nn.modules.common import Size, sizes


class _MaxPool(Module):
    def __init__(
        self, kernel_size: Size, stride: Size | None = None, padding: Size = 0, dilation: Size = 1,
        return_indices: bool = False, ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        return (f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
                f"dilation={self.dilation}, ceil_mode={self.ceil_mode}")


class MaxPool1d(_MaxPool):
    """`functional.max_pool1d`: the maxima of windows of (N, C, L) or (C, L).

    Args:
        kernel_size: of the window.
        stride: of the window; its size by default.
        padding: of -infinity, on both sides.
        dilation: distance of the elements of the window.
        return_indices: return the places of the maxima too.
        ceil_mode: let a last window reach over the end.

    >>> import autodiff as ad
    >>> ad.nn.MaxPool1d(2)(ad.tensor([[1.0, 2.0, 4.0, 3.0]]))
    tensor([[2., 4.]])
    """

    def forward(self, input: Tensor) -> Any:
        return F.max_pool1d(input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
                            self.return_indices)


class MaxPool2d(_MaxPool):
    """`functional.max_pool2d`: the maxima of windows of (N, C, H, W) or (C, H, W).

    Args:
        kernel_size: of the window: one number, or height and width.
        stride: of the window; its size by default.
        padding: of -infinity, on all sides.
        dilation: distance of the elements of the window.
        return_indices: return the places of the maxima too.
        ceil_mode: let a last window reach over the end.

    >>> import autodiff as ad
    >>> ad.nn.MaxPool2d(2)(ad.ones(1, 1, 4, 6)).shape
    (1, 1, 2, 3)
    """

    def forward(self, input: Tensor) -> Any:
        return F.max_pool2d(input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
                            self.return_indices)


class MaxPool3d(_MaxPool):
    """`functional.max_pool3d`: the maxima of windows of (N, C, D, H, W) or (C, D, H, W).

    Args:
        kernel_size: of the window: one number, or depth, height and width.
        stride: of the window; its size by default.
        padding: of -infinity, on all sides.
        dilation: distance of the elements of the window.
        return_indices: return the places of the maxima too.
        ceil_mode: let a last window reach over the end.

    >>> import autodiff as ad
    >>> ad.nn.MaxPool3d(2)(ad.ones(1, 1, 2, 4, 6)).shape
    (1, 1, 1, 2, 3)
    """

    def forward(self, input: Tensor) -> Any:
        return F.max_pool3d(input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
                            self.return_indices)


class _MaxUnpool(Module):
    rank: int

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None:
        super().__init__()
        name = type(self).__name__
        self.kernel_size: Size = sizes(kernel_size, self.rank, name, "kernel_size")
        self.stride: Size = self.kernel_size if stride is None else sizes(stride, self.rank, name, "stride")
        self.padding: Size = sizes(padding, self.rank, name, "padding")

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """`functional.max_unpool1d`: the maxima of a `MaxPool1d` back at their places.

    Args:
        kernel_size: of the pooling's window.
        stride: of the window; its size by default.
        padding: of the pooling, on both sides.

    Call it with the maxima, their places and, where it is not clear, the `output_size`.

    >>> import autodiff as ad
    >>> maxima, places = ad.nn.MaxPool1d(2, return_indices=True)(ad.tensor([[1.0, 2.0, 4.0, 3.0]]))
    >>> ad.nn.MaxUnpool1d(2)(maxima, places)
    tensor([[0., 2., 4., 0.]])
    """

    rank = 1

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        return F.max_unpool1d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool2d(_MaxUnpool):
    """`functional.max_unpool2d`: the maxima of a `MaxPool2d` back at their places.

    Args:
        kernel_size: of the pooling's window: one number, or height and width.
        stride: of the window; its size by default.
        padding: of the pooling, on all sides.

    Call it with the maxima, their places and, where it is not clear, the `output_size`.

    >>> import autodiff as ad
    >>> image = ad.arange(30.0).reshape(1, 5, 6)
    >>> maxima, places = ad.nn.MaxPool2d(2, return_indices=True)(image)
    >>> ad.nn.MaxUnpool2d(2)(maxima, places, output_size=image.shape[1:]).sum() == maxima.sum()
    tensor(True)
    """

    rank = 2

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        return F.max_unpool2d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool3d(_MaxUnpool):
    """`functional.max_unpool3d`: the maxima of a `MaxPool3d` back at their places.

    Args:
        kernel_size: of the pooling's window: one number, or depth, height and width.
        stride: of the window; its size by default.
        padding: of the pooling, on all sides.

    Call it with the maxima, their places and, where it is not clear, the `output_size`.

    >>> import autodiff as ad
    >>> maxima, places = ad.nn.MaxPool3d(2, return_indices=True)(ad.ones(1, 1, 2, 4, 6))
    >>> ad.nn.MaxUnpool3d(2)(maxima, places).shape
    (1, 1, 2, 4, 6)
    """

    rank = 3

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        return F.max_unpool3d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class AvgPool1d(Module):
    """`functional.avg_pool1d`: the means of windows of (N, C, L) or (C, L).

    Args:
        kernel_size: of the window.
        stride: of the window; its size by default.
        padding: of zeros, on both sides.
        ceil_mode: let a last window reach over the end.
        count_include_pad: count the padding among the elements of a window.

    >>> import autodiff as ad
    >>> ad.nn.AvgPool1d(2)(ad.tensor([[1.0, 2.0, 4.0, 3.0]]))
    tensor([[1.5000, 3.5000]])
    """

    def __init__(
        self, kernel_size: Size, stride: Size | None = None, padding: Size = 0, ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size: Size = sizes(kernel_size, 1, "AvgPool1d", "kernel_size")
        self.stride: Size = self.kernel_size if stride is None else sizes(stride, 1, "AvgPool1d", "stride")
        self.padding: Size = sizes(padding, 1, "AvgPool1d", "padding")
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _AvgPool(Module):
    def __init__(
        self, kernel_size: Size, stride: Size | None = None, padding: Size = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(_AvgPool):
    """`functional.avg_pool2d`: the means of windows of (N, C, H, W) or (C, H, W).

    Args:
        kernel_size: of the window: one number, or height and width.
        stride: of the window; its size by default.
        padding: of zeros, on all sides.
        ceil_mode: let a last window reach over the end.
        count_include_pad: count the padding among the elements of a window.
        divisor_override: divide the sums by this instead.

    >>> import autodiff as ad
    >>> ad.nn.AvgPool2d(2)(ad.ones(1, 1, 4, 6)).shape
    (1, 1, 2, 3)
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool2d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
                            self.divisor_override)


class AvgPool3d(_AvgPool):
    """`functional.avg_pool3d`: the means of windows of (N, C, D, H, W) or (C, D, H, W).

    Args:
        kernel_size: of the window: one number, or depth, height and width.
        stride: of the window; its size by default.
        padding: of zeros, on all sides.
        ceil_mode: let a last window reach over the end.
        count_include_pad: count the padding among the elements of a window.
        divisor_override: divide the sums by this instead.

    >>> import autodiff as ad
    >>> ad.nn.AvgPool3d(2)(ad.ones(1, 1, 2, 4, 6)).shape
    (1, 1, 1, 2, 3)
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool3d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
                            self.divisor_override)


class _Adaptive(Module):
    def __init__(self, output_size: Size) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_Adaptive):
    """`functional.adaptive_avg_pool1d`: means over as many windows as the output has places.

    Args:
        output_size: length of the output.

    >>> import autodiff as ad
    >>> ad.nn.AdaptiveAvgPool1d(1)(ad.tensor([[1.0, 3.0]]))
    tensor([[2.]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_Adaptive):
    """`functional.adaptive_avg_pool2d`: means over as many windows as the output has places.

    Args:
        output_size: height and width of the output, or one number for both; None keeps the input's.

    >>> import autodiff as ad
    >>> ad.nn.AdaptiveAvgPool2d((1, None))(ad.ones(2, 3, 4, 5)).shape
    (2, 3, 1, 5)
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(_Adaptive):
    """`functional.adaptive_avg_pool3d`: means over as many windows as the output has places.

    Args:
        output_size: depth, height and width of the output, or one number for all; None keeps the input's.

    >>> import autodiff as ad
    >>> ad.nn.AdaptiveAvgPool3d((1, None, 2))(ad.ones(2, 3, 4, 5, 6)).shape
    (2, 3, 1, 5, 2)
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool3d(input, self.output_size)


class _AdaptiveMax(_Adaptive):
    def __init__(self, output_size: Size, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices


class AdaptiveMaxPool1d(_AdaptiveMax):
    """`functional.adaptive_max_pool1d`: maxima over as many windows as the output has places.

    Args:
        output_size: length of the output.
        return_indices: return the places of the maxima too.

    >>> import autodiff as ad
    >>> ad.nn.AdaptiveMaxPool1d(1)(ad.tensor([[1.0, 3.0]]))
    tensor([[3.]])
    """

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMax):
    """`functional.adaptive_max_pool2d`: maxima over as many windows as the output has places.

    Args:
        output_size: height and width of the output, or one number for both; None keeps the input's.
        return_indices: return the places of the maxima too.

    >>> import autodiff as ad
    >>> ad.nn.AdaptiveMaxPool2d(2)(ad.ones(2, 3, 4, 5)).shape
    (2, 3, 2, 2)
    """

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool3d(_AdaptiveMax):
    """`functional.adaptive_max_pool3d`: maxima over as many windows as the output has places.

    Args:
        output_size: depth, height and width of the output, or one number for all; None keeps the input's.
        return_indices: return the places of the maxima too.

    >>> import autodiff as ad
    >>> ad.nn.AdaptiveMaxPool3d(2)(ad.ones(2, 3, 4, 5, 6)).shape
    (2, 3, 2, 2, 2)
    """

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool3d(input, self.output_size, self.return_indices)


class _LPPool(Module):
    def __init__(self, norm_type: float, kernel_size: Size, stride: Size | None = None,
                 ceil_mode: bool = False) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        return (f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
                f"ceil_mode={self.ceil_mode}")


class LPPool1d(_LPPool):
    """`functional.lp_pool1d`: p-norms of windows of (N, C, L) or (C, L).

    Args:
        norm_type: p.
        kernel_size: of the window.
        stride: of the window; its size by default.
        ceil_mode: let a last window reach over the end.

    >>> import autodiff as ad
    >>> ad.nn.LPPool1d(2, 2)(ad.tensor([[3.0, 4.0]]))
    tensor([[5.]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.lp_pool1d(input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)


class LPPool2d(_LPPool):
    """`functional.lp_pool2d`: p-norms of windows of (N, C, H, W) or (C, H, W).

    Args:
        norm_type: p.
        kernel_size: of the window: one number, or height and width.
        stride: of the window; its size by default.
        ceil_mode: let a last window reach over the end.

    >>> import autodiff as ad
    >>> ad.nn.LPPool2d(2, (1, 2))(ad.tensor([[[3.0, 4.0]]]))
    tensor([[[5.]]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.lp_pool2d(input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)


class LPPool3d(_LPPool):
    """`functional.lp_pool3d`: p-norms of windows of (N, C, D, H, W) or (C, D, H, W).

    Args:
        norm_type: p.
        kernel_size: of the window: one number, or depth, height and width.
        stride: of the window; its size by default.
        ceil_mode: let a last window reach over the end.

    >>> import autodiff as ad
    >>> ad.nn.LPPool3d(2, (1, 1, 2))(ad.tensor([[[[3.0, 4.0]]]]))
    tensor([[[[5.]]]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.lp_pool3d(input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)
