"""Normalisation of every channel of every image by its own statistics."""

from __future__ import annotations

from typing import Any

from autodiff import ops
from autodiff.eager import Tensor
from autodiff.nn import functional as F
from autodiff.nn.modules.batchnorm import RunningNorm


class _InstanceNorm(RunningNorm):
    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = False,
        track_running_stats: bool = False, device: Any = None, dtype: Any = None, *, bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input: Tensor) -> Tensor:
        batched = input.spec.ndim == self._ranks[-1]
        self._check(input, batched)
        by_instance = self.training or not self.track_running_stats
        x = input if batched else ops.unsqueeze(input, 0)
        out = F.instance_norm(x, self.running_mean, self.running_var, self.weight, self.bias, by_instance,
                              0.0 if self.momentum is None else self.momentum, self.eps)
        return out if batched else ops.squeeze(out, 0)


class InstanceNorm1d(_InstanceNorm):
    """Normalise each channel of each sequence of (N, C, L) or (C, L): `functional.instance_norm`.

    Args:
        num_features: number of channels C.
        eps: added to the variance.
        momentum: weight of the newest batch in the running averages.
        affine: learn a factor and an offset for each channel.
        track_running_stats: keep running averages, and normalise by those in evaluation.
        device: the CPU; accepted for PyTorch's sake.
        dtype: of parameters and averages; float32 by default.
        bias: learn the offset.

    Attributes: as for `BatchNorm1d`; by default there are none.

    Raises:
        ShapeError: for another number of dimensions or channels.

    Source: Ulyanov, Vedaldi and Lempitsky, "Instance normalization", 2016.

    >>> import autodiff as ad
    >>> ad.nn.InstanceNorm1d(3)(ad.ones(2, 3, 4)).shape
    (2, 3, 4)
    """

    _ranks = (2, 3)
    _layout = "(N, C, L) or (C, L)"


class InstanceNorm2d(_InstanceNorm):
    """Normalise each channel of each image of (N, C, H, W) or (C, H, W); arguments as for `InstanceNorm1d`.

    Raises:
        ShapeError: for another number of dimensions or channels.

    >>> import autodiff as ad
    >>> ad.nn.InstanceNorm2d(3)(ad.ones(2, 3, 4, 4)).shape
    (2, 3, 4, 4)
    """

    _ranks = (3, 4)
    _layout = "(N, C, H, W) or (C, H, W)"


class InstanceNorm3d(_InstanceNorm):
    """Normalise each channel of each volume of (N, C, D, H, W) or (C, D, H, W); arguments as for `InstanceNorm1d`.

    Raises:
        ShapeError: for another number of dimensions or channels.

    >>> import autodiff as ad
    >>> ad.nn.InstanceNorm3d(3)(ad.ones(2, 3, 2, 4, 4)).shape
    (2, 3, 2, 4, 4)
    """

    _ranks = (4, 5)
    _layout = "(N, C, D, H, W) or (C, D, H, W)"
