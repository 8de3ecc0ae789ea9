"""Convolutions, and the transposed ones that undo their strides."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from autodiff.eager import Tensor
from autodiff.errors import ShapeError
from autodiff.nn import functional as F
from autodiff.nn import init
from autodiff.nn.module import Module
from autodiff.nn.modules.common import Size, counts, require, sizes
from autodiff.nn.parameter import Parameter, uninitialised

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _Conv(Module):
    """What convolutions have in common: sizes, checks, parameters and their first values.

    The weight is (out_channels, in_channels / groups, *kernel_size); a transposed convolution has the first two, apart
    from the division, the other way round.
    """

    _rank: ClassVar[int]
    _transposed: ClassVar[bool] = False

    weight: Parameter
    bias: Parameter | None
    padding: str | tuple[int, ...]

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size, padding: str | Size, dilation: Size,
        output_padding: Size, groups: int, bias: bool, padding_mode: str, device: Any, dtype: Any,
    ) -> None:
        super().__init__()
        name, rank = type(self).__name__, self._rank
        counts(name, in_channels=in_channels, out_channels=out_channels, groups=groups)
        require(name, groups > 0, "groups is no positive number", groups)
        require(name, in_channels % groups == 0, f"in_channels is no multiple of groups={groups}", in_channels)
        require(name, out_channels % groups == 0, f"out_channels is no multiple of groups={groups}", out_channels)
        modes = _PADDING_MODES[:1] if self._transposed else _PADDING_MODES
        require(name, padding_mode in modes, f"padding_mode is none of {', '.join(modes)}", padding_mode)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = sizes(kernel_size, rank, name, "kernel_size")
        self.stride = sizes(stride, rank, name, "stride")
        self.dilation = sizes(dilation, rank, name, "dilation")
        self.output_padding = sizes(output_padding, rank, name, "output_padding")
        self.groups = groups
        self.padding_mode = padding_mode
        if isinstance(padding, str):
            require(name, padding in ("same", "valid"), "padding is neither numbers nor 'same' nor 'valid'", padding)
            require(name, padding == "valid" or set(self.stride) == {1}, "padding='same' needs a stride of 1", stride)
            self.padding = padding
        else:
            self.padding = sizes(padding, rank, name, "padding")
        shape = (in_channels, out_channels // groups) if self._transposed else (out_channels, in_channels // groups)
        self.weight = uninitialised(*shape, *self.kernel_size, dtype=dtype, device=device)
        self.register_parameter("bias", uninitialised(out_channels, dtype=dtype, device=device) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the parameters anew: uniform on ±1 / sqrt(fan in)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in = self.weight.shape[1] * math.prod(self.kernel_size)
            bound = 1 / math.sqrt(fan_in) if fan_in else 0
            init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        none = (0,) * self._rank
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        parts += [f"padding={self.padding}"] if self.padding != none else []
        parts += [f"dilation={self.dilation}"] if self.dilation != (1,) * self._rank else []
        parts += [f"output_padding={self.output_padding}"] if self.output_padding != none else []
        parts += [f"groups={self.groups}"] if self.groups != 1 else []
        parts += ["bias=False"] if self.bias is None else []
        parts += [f"padding_mode={self.padding_mode}"] if self.padding_mode != "zeros" else []
        return ", ".join(parts)


class _Convolution(_Conv):
    """A convolution that is not transposed."""

    _function: ClassVar[Callable[..., Tensor]]

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size = 1, padding: str | Size = 0,
        dilation: Size = 1, groups: int = 1, bias: bool = True, padding_mode: str = "zeros", device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, 0, groups, bias,
                         padding_mode, device, dtype)
        self._border = self._border_widths() if padding_mode != "zeros" else None

    def _border_widths(self) -> tuple[int, ...]:
        """Return the widths for `functional.pad`, last dimension first."""
        widths: list[int] = []
        for axis in reversed(range(self._rank)):
            if self.padding == "same":
                total = self.dilation[axis] * (self.kernel_size[axis] - 1)
                widths += [total // 2, total - total // 2]
            else:
                widths += [0, 0] if self.padding == "valid" else [int(self.padding[axis])] * 2
        return tuple(widths)

    def forward(self, input: Tensor) -> Tensor:
        convolve = type(self)._function
        if self._border is None:
            return convolve(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
        padded = F.pad(input, self._border, self.padding_mode)
        return convolve(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class Conv1d(_Convolution):
    """`functional.conv1d` with learned weights.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: of the window.
        stride: of the window.
        padding: added on both sides; or ``"valid"`` for none, ``"same"`` for an output as long as the input.
        dilation: distance of the elements of the window.
        groups: the channels are divided into this many groups that do not see each other.
        bias: add a bias.
        padding_mode: what is added: ``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.
        device: the CPU; accepted for PyTorch's sake.
        dtype: of the parameters; float32 by default.

    Attributes:
        weight: (out_channels, in_channels / groups, kernel_size), uniform on ±1 / sqrt(fan in) at first.
        bias: (out_channels,), the same; None without.

    Raises:
        ValueRangeError: if the groups do not divide the channels, or for an unknown padding.

    >>> import autodiff as ad
    >>> ad.nn.Conv1d(2, 3, 5, padding=2)(ad.ones(1, 2, 9)).shape
    (1, 3, 9)
    """

    _rank = 1
    _function = staticmethod(F.conv1d)


class Conv2d(_Convolution):
    """`functional.conv2d` with learned weights.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: of the window: one number, or height and width.
        stride: of the window.
        padding: added on all sides; or ``"valid"`` for none, ``"same"`` for an output as large as the input.
        dilation: distance of the elements of the window.
        groups: the channels are divided into this many groups that do not see each other.
        bias: add a bias.
        padding_mode: what is added: ``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.
        device: the CPU; accepted for PyTorch's sake.
        dtype: of the parameters; float32 by default.

    Attributes:
        weight: (out_channels, in_channels / groups, height, width), uniform on ±1 / sqrt(fan in) at first.
        bias: (out_channels,), the same; None without.

    Raises:
        ValueRangeError: if the groups do not divide the channels, or for an unknown padding.

    >>> import autodiff as ad
    >>> ad.nn.Conv2d(1, 6, 5)(ad.ones(2, 1, 28, 28)).shape
    (2, 6, 24, 24)
    """

    _rank = 2
    _function = staticmethod(F.conv2d)


class Conv3d(_Convolution):
    """`functional.conv3d` with learned weights.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: of the window: one number, or depth, height and width.
        stride: of the window.
        padding: added on all sides; or ``"valid"`` for none, ``"same"`` for an output as large as the input.
        dilation: distance of the elements of the window.
        groups: the channels are divided into this many groups that do not see each other.
        bias: add a bias.
        padding_mode: what is added: ``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.
        device: the CPU; accepted for PyTorch's sake.
        dtype: of the parameters; float32 by default.

    Attributes:
        weight: (out_channels, in_channels / groups, depth, height, width), uniform on ±1 / sqrt(fan in) at first.
        bias: (out_channels,), the same; None without.

    Raises:
        ValueRangeError: if the groups do not divide the channels, or for an unknown padding.

    >>> import autodiff as ad
    >>> ad.nn.Conv3d(1, 6, 3)(ad.ones(2, 1, 4, 8, 8)).shape
    (2, 6, 2, 6, 6)
    """

    _rank = 3
    _function = staticmethod(F.conv3d)


class _ConvTranspose(_Conv):
    """A transposed convolution."""

    _transposed = True
    _function: ClassVar[Callable[..., Tensor]]

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size = 1, padding: Size = 0,
        output_padding: Size = 0, groups: int = 1, bias: bool = True, dilation: Size = 1, padding_mode: str = "zeros",
        device: Any = None, dtype: Any = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding, groups,
                         bias, padding_mode, device, dtype)

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        extra = self.output_padding if output_size is None else self._padding_for(input, output_size)
        return type(self)._function(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups,
                                    self.dilation)

    def _padding_for(self, input: Tensor, output_size: Sequence[int]) -> tuple[int, ...]:
        """Return the output padding with which the output has the wanted size.

        Raises:
            ShapeError: if there is none: a stride of s makes s sizes possible.
        """
        name, rank = type(self).__name__, self._rank
        wanted = tuple(output_size)[-rank:]
        assert not isinstance(self.padding, str)
        least = tuple([(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in
                       zip(input.shape[-rank:], self.stride, self.padding, self.dilation, self.kernel_size,
                           strict=True)])
        extra = tuple([w - n for w, n in zip(wanted, least, strict=False)])
        if len(wanted) != rank or any(not 0 <= e < max(s, d) for e, s,
                                      d in zip(extra, self.stride, self.dilation, strict=True)):
            most = tuple([n + max(s, d) - 1 for n, s, d in zip(least, self.stride, self.dilation, strict=True)])
            raise ShapeError(name, "no output has this size", expected=f"{rank} numbers from {least} to {most}",
                             got=str(tuple(output_size)))
        return extra


class ConvTranspose1d(_ConvTranspose):
    """`functional.conv_transpose1d` with learned weights: the gradient of a `Conv1d` with respect to its input.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: of the window.
        stride: of the window.
        padding: taken away on both sides of the output.
        output_padding: added to the output at the end.
        groups: the channels are divided into this many groups that do not see each other.
        bias: add a bias.
        dilation: distance of the elements of the window.
        padding_mode: ``"zeros"``.
        device: the CPU; accepted for PyTorch's sake.
        dtype: of the parameters; float32 by default.

    Attributes:
        weight: (in_channels, out_channels / groups, kernel_size), uniform on ±1 / sqrt(fan in) at first.
        bias: (out_channels,), the same; None without.

    Calling it with ``output_size=...`` chooses the output padding.

    Raises:
        ValueRangeError: if the groups do not divide the channels.

    >>> import autodiff as ad
    >>> ad.nn.ConvTranspose1d(2, 3, 4, stride=2, padding=1)(ad.ones(1, 2, 5)).shape
    (1, 3, 10)
    """

    _rank = 1
    _function = staticmethod(F.conv_transpose1d)


class ConvTranspose2d(_ConvTranspose):
    """`functional.conv_transpose2d` with learned weights: the gradient of a `Conv2d` with respect to its input.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: of the window: one number, or height and width.
        stride: of the window.
        padding: taken away on all sides of the output.
        output_padding: added to the output below and on the right.
        groups: the channels are divided into this many groups that do not see each other.
        bias: add a bias.
        dilation: distance of the elements of the window.
        padding_mode: ``"zeros"``.
        device: the CPU; accepted for PyTorch's sake.
        dtype: of the parameters; float32 by default.

    Attributes:
        weight: (in_channels, out_channels / groups, height, width), uniform on ±1 / sqrt(fan in) at first.
        bias: (out_channels,), the same; None without.

    Calling it with ``output_size=...`` chooses the output padding.

    Raises:
        ValueRangeError: if the groups do not divide the channels.

    >>> import autodiff as ad
    >>> ad.nn.ConvTranspose2d(2, 3, 4, stride=2, padding=1)(ad.ones(1, 2, 5, 5)).shape
    (1, 3, 10, 10)
    """

    _rank = 2
    _function = staticmethod(F.conv_transpose2d)


class ConvTranspose3d(_ConvTranspose):
    """`functional.conv_transpose3d` with learned weights: the gradient of a `Conv3d` with respect to its input.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: of the window: one number, or depth, height and width.
        stride: of the window.
        padding: taken away on all sides of the output.
        output_padding: added to the output behind, below and on the right.
        groups: the channels are divided into this many groups that do not see each other.
        bias: add a bias.
        dilation: distance of the elements of the window.
        padding_mode: ``"zeros"``.
        device: the CPU; accepted for PyTorch's sake.
        dtype: of the parameters; float32 by default.

    Attributes:
        weight: (in_channels, out_channels / groups, depth, height, width), uniform on ±1 / sqrt(fan in) at first.
        bias: (out_channels,), the same; None without.

    Calling it with ``output_size=...`` chooses the output padding.

    Raises:
        ValueRangeError: if the groups do not divide the channels.

    >>> import autodiff as ad
    >>> ad.nn.ConvTranspose3d(2, 3, 4, stride=2, padding=1)(ad.ones(1, 2, 3, 5, 5)).shape
    (1, 3, 6, 10, 10)
    """

    _rank = 3
    _function = staticmethod(F.conv_transpose3d)
