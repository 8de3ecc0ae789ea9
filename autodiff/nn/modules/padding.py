"""Borders around sequences and images: `functional.pad` as modules."""

from __future__ import annotations

from typing import ClassVar

from autodiff.eager import Tensor
from autodiff.nn import functional as F
from autodiff.nn.module import Module
from autodiff.nn.modules.common import Size, sizes


class _Pad(Module):
    """A border of the last dimensions; a single width stands for all sides."""

    _rank: ClassVar[int]
    _mode: ClassVar[str]

    def __init__(self, padding: Size) -> None:
        super().__init__()
        self.padding = sizes(padding, 2 * self._rank, type(self).__name__, "padding")

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        return str(self.padding)


class _ConstantPad(_Pad):
    _mode = "constant"

    def __init__(self, padding: Size, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self._mode, self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """A border of one number around the last dimension.

    Args:
        padding: width on both sides, or (left, right).
        value: the number.

    >>> import autodiff as ad
    >>> ad.nn.ConstantPad1d((1, 0), 9.0)(ad.ones(2))
    tensor([9., 1., 1.])
    """

    _rank = 1


class ConstantPad2d(_ConstantPad):
    """A border of one number around the last two dimensions.

    Args:
        padding: width on all sides, or (left, right, top, bottom).
        value: the number.

    >>> import autodiff as ad
    >>> ad.nn.ConstantPad2d(1, 9.0)(ad.ones(1, 2, 2)).shape
    (1, 4, 4)
    """

    _rank = 2


class ConstantPad3d(_ConstantPad):
    """A border of one number around the last three dimensions.

    Args:
        padding: width on all sides, or (left, right, top, bottom, front, back).
        value: the number.

    >>> import autodiff as ad
    >>> ad.nn.ConstantPad3d(1, 9.0)(ad.ones(1, 2, 2, 2)).shape
    (1, 4, 4, 4)
    """

    _rank = 3


class ZeroPad1d(_ConstantPad):
    """A border of zeros around the last dimension.

    Args:
        padding: width on both sides, or (left, right).

    >>> import autodiff as ad
    >>> ad.nn.ZeroPad1d(1)(ad.ones(2))
    tensor([0., 1., 1., 0.])
    """

    _rank = 1

    def __init__(self, padding: Size) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return str(self.padding)


class ZeroPad2d(ZeroPad1d):
    """A border of zeros around the last two dimensions.

    Args:
        padding: width on all sides, or (left, right, top, bottom).

    >>> import autodiff as ad
    >>> ad.nn.ZeroPad2d((1, 2, 0, 1))(ad.ones(1, 2, 2)).shape
    (1, 3, 5)
    """

    _rank = 2


class ZeroPad3d(ZeroPad1d):
    """A border of zeros around the last three dimensions.

    Args:
        padding: width on all sides, or (left, right, top, bottom, front, back).

    >>> import autodiff as ad
    >>> ad.nn.ZeroPad3d((1, 2, 0, 1, 1, 0))(ad.ones(1, 2, 2, 2)).shape
    (1, 3, 3, 5)
    """

    _rank = 3


class ReflectionPad1d(_Pad):
    """A border that mirrors (N, C, L) or (C, L), without repeating the last element.

    Args:
        padding: width on both sides, or (left, right).

    >>> import autodiff as ad
    >>> ad.nn.ReflectionPad1d(1)(ad.tensor([[1.0, 2.0, 3.0]]))
    tensor([[2., 1., 2., 3., 2.]])
    """

    _rank = 1
    _mode = "reflect"


class ReflectionPad2d(_Pad):
    """A border that mirrors (N, C, H, W) or (C, H, W), without repeating the last pixels.

    Args:
        padding: width on all sides, or (left, right, top, bottom).

    >>> import autodiff as ad
    >>> ad.nn.ReflectionPad2d(1)(ad.ones(1, 3, 3)).shape
    (1, 5, 5)
    """

    _rank = 2
    _mode = "reflect"


class ReflectionPad3d(_Pad):
    """A border that mirrors (N, C, D, H, W) or (C, D, H, W), without repeating the outermost elements.

    Args:
        padding: width on all sides, or (left, right, top, bottom, front, back).

    >>> import autodiff as ad
    >>> ad.nn.ReflectionPad3d(1)(ad.ones(1, 3, 3, 3)).shape
    (1, 5, 5, 5)
    """

    _rank = 3
    _mode = "reflect"


class ReplicationPad1d(_Pad):
    """A border that repeats the last elements of (N, C, L) or (C, L).

    Args:
        padding: width on both sides, or (left, right).

    >>> import autodiff as ad
    >>> ad.nn.ReplicationPad1d(1)(ad.tensor([[1.0, 2.0, 3.0]]))
    tensor([[1., 1., 2., 3., 3.]])
    """

    _rank = 1
    _mode = "replicate"


class ReplicationPad2d(_Pad):
    """A border that repeats the last pixels of (N, C, H, W) or (C, H, W).

    Args:
        padding: width on all sides, or (left, right, top, bottom).

    >>> import autodiff as ad
    >>> ad.nn.ReplicationPad2d(1)(ad.ones(1, 3, 3)).shape
    (1, 5, 5)
    """

    _rank = 2
    _mode = "replicate"


class ReplicationPad3d(_Pad):
    """A border that repeats the outermost elements of (N, C, D, H, W) or (C, D, H, W).

    Args:
        padding: width on all sides, or (left, right, top, bottom, front, back).

    >>> import autodiff as ad
    >>> ad.nn.ReplicationPad3d(1)(ad.ones(1, 3, 3, 3)).shape
    (1, 5, 5, 5)
    """

    _rank = 3
    _mode = "replicate"


class CircularPad1d(_Pad):
    """A border that goes on at the other end of (N, C, L) or (C, L).

    Args:
        padding: width on both sides, or (left, right).

    >>> import autodiff as ad
    >>> ad.nn.CircularPad1d(1)(ad.tensor([[1.0, 2.0, 3.0]]))
    tensor([[3., 1., 2., 3., 1.]])
    """

    _rank = 1
    _mode = "circular"


class CircularPad2d(_Pad):
    """A border that goes on at the other side of (N, C, H, W) or (C, H, W).

    Args:
        padding: width on all sides, or (left, right, top, bottom).

    >>> import autodiff as ad
    >>> ad.nn.CircularPad2d(1)(ad.ones(1, 3, 3)).shape
    (1, 5, 5)
    """

    _rank = 2
    _mode = "circular"


class CircularPad3d(_Pad):
    """A border that goes on at the other side of (N, C, D, H, W) or (C, D, H, W).

    Args:
        padding: width on all sides, or (left, right, top, bottom, front, back).

    >>> import autodiff as ad
    >>> ad.nn.CircularPad3d(1)(ad.ones(1, 3, 3, 3)).shape
    (1, 5, 5, 5)
    """

    _rank = 3
    _mode = "circular"
