"""Normalisation by the statistics of a batch."""

from __future__ import annotations

from typing import Any, ClassVar

from autodiff.creation import ones, tensor, zeros
from autodiff.eager import Tensor
from autodiff.errors import ShapeError
from autodiff.nn import functional as F
from autodiff.nn import init
from autodiff.nn.module import Module
from autodiff.nn.modules.common import counts
from autodiff.nn.parameter import Parameter, uninitialised


class RunningNorm(Module):
    """What batch and instance norm have in common: affine parameters, and averages over the steps of training.

    Args:
        num_features: number of channels C.
        eps: added to the variance.
        momentum: weight of the newest step in the running averages; None averages all steps alike.
        affine: learn a factor and an offset for each channel.
        track_running_stats: keep running averages.
        device: the CPU; accepted for PyTorch's sake.
        dtype: of parameters and averages; float32 by default.
        bias: learn the offset.
    """

    _ranks: ClassVar[tuple[int, ...]]
    _layout: ClassVar[str]

    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self, num_features: int, eps: float, momentum: float | None, affine: bool, track_running_stats: bool,
        device: Any, dtype: Any, bias: bool,
    ) -> None:
        super().__init__()
        counts(type(self).__name__, num_features=num_features)
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            parameter = uninitialised(num_features, dtype=dtype, device=device) if wanted else None
            self.register_parameter(name, parameter)
        self.register_buffer("running_mean",
                             zeros(num_features, dtype=dtype, device=device) if track_running_stats else None)
        self.register_buffer("running_var",
                             ones(num_features, dtype=dtype, device=device) if track_running_stats else None)
        self.register_buffer("num_batches_tracked", tensor(0) if track_running_stats else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget the running averages."""
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
            init.zeros_(self.num_batches_tracked)

    def reset_parameters(self) -> None:
        """Forget the running averages, and set factors to 1 and offsets to 0."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check(self, input: Tensor, batched: bool = True) -> None:
        shape, axis = input.spec.shape, int(batched)
        if len(shape) not in self._ranks:
            raise ShapeError(type(self).__name__, "the input has the wrong number of dimensions", expected=self._layout,
                             got=str(shape))
        if shape[axis] != self.num_features:
            raise ShapeError(type(self).__name__, "the number of channels is not num_features",
                             expected=f"{self.num_features} in dimension {axis}", got=f"{shape[axis]} (input {shape})",
                             fix=f"make the layer with num_features={shape[axis]}, or check what comes before it")

    def extra_repr(self) -> str:
        return (f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
                f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}")


class _BatchNorm(RunningNorm):
    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
        track_running_stats: bool = True, device: Any = None, dtype: Any = None, *, bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input: Tensor) -> Tensor:
        self._check(input)
        mean, var, momentum = self.running_mean, self.running_var, self.momentum
        by_batch = self.training or mean is None
        if self.training and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if momentum is None:
                momentum = 1 / self.num_batches_tracked.item()
        elif by_batch:
            mean = var = None
        return F.batch_norm(input, mean, var, self.weight, self.bias, by_batch, 0.0 if momentum is None else momentum,
                            self.eps)


class BatchNorm1d(_BatchNorm):
    """Normalise each channel of (N, C) or (N, C, L) over everything else: `functional.batch_norm`.

    Training normalises by the batch and moves the running averages towards it; evaluation normalises by those.

    Args:
        num_features: number of channels C.
        eps: added to the variance.
        momentum: weight of the newest batch in the running averages; None averages all batches alike.
        affine: learn a factor and an offset for each channel.
        track_running_stats: keep running averages; without, evaluation normalises by the batch too.
        device: the CPU; accepted for PyTorch's sake.
        dtype: of parameters and averages; float32 by default.
        bias: learn the offset.

    Attributes:
        weight: (C,) factors, 1 at first.
        bias: (C,) offsets, 0 at first.
        running_mean: (C,) buffer.
        running_var: (C,) buffer, of unbiased variances.
        num_batches_tracked: int64 buffer.

    Raises:
        ShapeError: for another number of dimensions or channels.

    Source: Ioffe and Szegedy, "Batch normalization", 2015.

    >>> import autodiff as ad
    >>> ad.nn.BatchNorm1d(1)(ad.tensor([[1.0], [3.0]]))[:, 0].tolist()
    [-0.9999949932098389, 0.9999949932098389]
    """

    _ranks = (2, 3)
    _layout = "(N, C) or (N, C, L)"


class BatchNorm2d(_BatchNorm):
    """Normalise each channel of (N, C, H, W) over everything else; arguments and attributes as for `BatchNorm1d`.

    Raises:
        ShapeError: for another number of dimensions or channels.

    >>> import autodiff as ad
    >>> ad.nn.BatchNorm2d(3)(ad.ones(2, 3, 4, 4)).shape
    (2, 3, 4, 4)
    """

    _ranks = (4,)
    _layout = "(N, C, H, W)"


class BatchNorm3d(_BatchNorm):
    """Normalise each channel of (N, C, D, H, W) over everything else; arguments and attributes as for `BatchNorm1d`.

    Raises:
        ShapeError: for another number of dimensions or channels.

    >>> import autodiff as ad
    >>> ad.nn.BatchNorm3d(3)(ad.ones(2, 3, 2, 4, 4)).shape
    (2, 3, 2, 4, 4)
    """

    _ranks = (5,)
    _layout = "(N, C, D, H, W)"
