"""Schedules along a cosine or a triangle, once or again and again."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from autodiff.errors import ValueRangeError
from autodiff.optim.lr_scheduler.base import LRScheduler, one_a_group
from autodiff.optim.optimizer import Optimizer


class CosineAnnealingLR(LRScheduler):
    """Let the rate fall along half a cosine: ``eta_min + (lr0 - eta_min) * (1 + cos(pi * epoch / T_max)) / 2``.

    Args:
        optimizer: whose rates to set.
        T_max: steps until the lowest rate.
        eta_min: the lowest rate.
        last_epoch: number of steps made already.

    Source: Loshchilov & Hutter, "SGDR", ICLR 2017, equation 5, without restarts.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """Return the rate of each group now."""
        weight = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (base - self.eta_min) * weight for base in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Let the rate fall along half a cosine, return to the initial rate at once, and begin again.

    With t steps since the last restart and T steps between this one and the next, the rate is
    ``eta_min + (lr0 - eta_min) * (1 + cos(pi * t / T)) / 2``.

    Args:
        optimizer: whose rates to set.
        T_0: steps until the first restart.
        T_mult: factor by which the distance of restarts grows.
        eta_min: the lowest rate.
        last_epoch: number of steps made already.

    Raises:
        ValueRangeError: unless `T_0` and `T_mult` are positive integers.

    Source: Loshchilov & Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017, equation 5.

    >>> import autodiff as ad
    >>> optimizer = ad.optim.SGD([ad.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = ad.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2)
    >>> rates = []
    >>> for epoch in range(4):
    ...     rates.append(round(optimizer.param_groups[0]["lr"], 2))
    ...     schedule.step()
    >>> rates
    [1.0, 0.5, 1.0, 0.5]
    """

    def __init__(
        self, optimizer: Optimizer, T_0: Any, T_mult: Any = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        for name, value in (("T_0", T_0), ("T_mult", T_mult)):
            if not isinstance(value, int) or value < 1:
                raise ValueRangeError(
                    "CosineAnnealingWarmRestarts", f"'{name}' is no positive integer", got=repr(value)
                )
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: float) -> float:
        """Return how much of the way from `eta_min` to the initial rate is left; `epoch` may be a fraction."""
        length = self.T_0
        if self.T_mult == 1:
            epoch %= length
        while epoch >= length:
            epoch -= length
            length *= self.T_mult
        return (1 + math.cos(math.pi * epoch / length)) / 2

    def get_lr(self) -> list[float]:
        """Return the rate of each group now."""
        weight = self.factor(self.last_epoch)
        return [self.eta_min + (base - self.eta_min) * weight for base in self.base_lrs]


class _MomentumCycle(LRScheduler):
    """A schedule that also sets the momentum of each group, or the first of its betas."""

    cycle_momentum: bool

    def momentum(self) -> list[float]:
        """Return the momentum of each group now."""
        raise NotImplementedError

    def require_momentum(self) -> None:
        """Raise if the momentum is to be cycled and the optimizer has none.

        Raises:
            ValueRangeError: says so.
        """
        if self.cycle_momentum and not {"momentum", "betas"} & set(self.optimizer.defaults):
            raise ValueRangeError(
                type(self).__name__,
                "the optimizer has neither momentum nor betas to cycle",
                got=type(self.optimizer).__name__,
                fix="pass cycle_momentum=False",
            )

    def step(self, epoch: int | None = None) -> None:
        """Count one step (usually a batch) and set the rates and momenta.

        Args:
            epoch: go to this number of steps instead.
        """
        super().step(epoch)
        if self.cycle_momentum:
            for group, momentum in zip(self.optimizer.param_groups, self.momentum(), strict=True):
                if "betas" in group:
                    group["betas"] = (momentum, *group["betas"][1:])
                else:
                    group["momentum"] = momentum


class CyclicLR(_MomentumCycle):
    """Let the rate rise and fall in a straight line between two values, and the momentum the other way.

    Args:
        optimizer: whose rates to set.
        base_lr: the lowest rate; one number or one a group.
        max_lr: the highest rate of the first cycle; one number or one a group.
        step_size_up: steps from the lowest to the highest.
        step_size_down: steps back; as many by default.
        mode: what the height of a cycle is multiplied by: ``"triangular"``, 1; ``"triangular2"``, 1/2 more in each
            cycle; ``"exp_range"``, ``gamma ** steps``.
        gamma: see `mode`.
        scale_fn: function that takes the place of `mode`.
        scale_mode: whether `scale_fn` is given the number of the ``"cycle"``, from 1, or of ``"iterations"``.
        cycle_momentum: set the momentum (of Adam, the first beta) too.
        base_momentum: the lowest momentum, at the highest rate.
        max_momentum: the highest momentum, at the lowest rate.
        last_epoch: number of steps made already.

    Raises:
        ValueRangeError: for an unknown mode, or an optimizer without momentum.

    Source: Smith, "Cyclical learning rates for training neural networks", WACV 2017.

    >>> import autodiff as ad
    >>> optimizer = ad.optim.SGD([ad.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
    >>> schedule = ad.optim.lr_scheduler.CyclicLR(optimizer, base_lr=0.0, max_lr=1.0, step_size_up=2)
    >>> rates = []
    >>> for batch in range(5):
    ...     rates.append(optimizer.param_groups[0]["lr"])
    ...     schedule.step()
    >>> rates
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: Any,
        max_lr: Any,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: Any = 0.8,
        max_momentum: Any = 0.9,
        last_epoch: int = -1,
    ) -> None:
        if scale_fn is None and mode not in ("triangular", "triangular2", "exp_range"):
            raise ValueRangeError(
                "CyclicLR", "unknown mode", expected="'triangular', 'triangular2' or 'exp_range'", got=repr(mode)
            )
        self.optimizer = optimizer
        self.cycle_momentum = cycle_momentum
        self.require_momentum()
        self.max_lrs = one_a_group("CyclicLR", "max_lr", max_lr, optimizer)
        lowest = one_a_group("CyclicLR", "base_lr", base_lr, optimizer)
        self.base_momentums = one_a_group("CyclicLR", "base_momentum", base_momentum, optimizer)
        self.max_momentums = one_a_group("CyclicLR", "max_momentum", max_momentum, optimizer)
        self.step_size_up = step_size_up
        self.step_size_down = step_size_up if step_size_down is None else step_size_down
        self.mode, self.gamma, self.scale_fn, self.scale_mode = mode, gamma, scale_fn, scale_mode
        if last_epoch == -1:
            for group, rate in zip(optimizer.param_groups, lowest, strict=True):
                group["initial_lr"] = group["lr"] = rate
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        """Return the height: 0 at the lowest rate, 1 at the highest of the first cycle."""
        length = self.step_size_up + self.step_size_down
        cycle, place = epoch // length + 1, epoch % length
        up = place <= self.step_size_up
        height = place / self.step_size_up if up else (length - place) / self.step_size_down
        if self.scale_fn is not None:
            return height * self.scale_fn(cycle if self.scale_mode == "cycle" else epoch)
        scale = {"triangular": 1.0, "triangular2": 0.5 ** (cycle - 1), "exp_range": self.gamma**epoch}
        return float(height * scale[self.mode])

    def get_lr(self) -> list[float]:
        """Return the rate of each group now."""
        height = self.factor(self.last_epoch)
        return [low + (high - low) * height for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]

    def momentum(self) -> list[float]:
        """Return the momentum of each group now."""
        height = self.factor(self.last_epoch)
        pairs = zip(self.base_momentums, self.max_momentums, strict=True)
        return [high - (high - low) * height for low, high in pairs]


class OneCycleLR(_MomentumCycle):
    """Let the rate rise from a low value to the highest and fall to nearly zero, once, and the momentum the other way.

    Args:
        optimizer: whose rates to set.
        max_lr: the highest rate; one number or one a group.
        total_steps: steps of the whole run; or give `epochs` and `steps_per_epoch`, whose product it is.
        epochs, steps_per_epoch: see `total_steps`.
        pct_start: share of the steps in which the rate rises.
        anneal_strategy: ``"cos"`` or ``"linear"``.
        cycle_momentum: set the momentum (of Adam, the first beta) too.
        base_momentum: the lowest momentum, at the highest rate.
        max_momentum: the highest momentum, at the lowest rates.
        div_factor: the first rate is ``max_lr / div_factor``.
        final_div_factor: the last rate is the first one divided by this.
        three_phase: fall to the first rate in as many steps as the rise took, then to the last.
        last_epoch: number of steps made already.

    Raises:
        ValueRangeError: without a number of steps, for a setting outside its range, for an optimizer without momentum,
            and by `step` after the last step.

    Source: Smith & Topin, "Super-convergence: very fast training of neural networks using large learning rates", 2017.

    >>> import autodiff as ad
    >>> optimizer = ad.optim.SGD([ad.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
    >>> schedule = ad.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10)
    >>> rates = []
    >>> for batch in range(10):
    ...     rates.append(round(optimizer.param_groups[0]["lr"], 2))
    ...     schedule.step()
    >>> rates
    [0.04, 0.52, 1.0, 0.95, 0.81, 0.61, 0.39, 0.19, 0.05, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: Any,
        total_steps: Any = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: Any = 0.85,
        max_momentum: Any = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None:
            total_steps = epochs * steps_per_epoch if epochs and steps_per_epoch else 0
        if not isinstance(total_steps, int) or total_steps <= 0:
            raise ValueRangeError(
                "OneCycleLR", "the number of steps is not known", got=str(total_steps),
                fix="pass total_steps, or epochs and steps_per_epoch, as positive integers",
            )  # fmt: skip
        if not 0 <= pct_start <= 1:
            raise ValueRangeError(
                "OneCycleLR", "'pct_start' is outside its range", expected="0 to 1", got=str(pct_start)
            )
        if anneal_strategy not in ("cos", "linear"):
            raise ValueRangeError(
                "OneCycleLR", "unknown anneal_strategy", expected="'cos' or 'linear'", got=repr(anneal_strategy)
            )
        self.optimizer = optimizer
        self.cycle_momentum = cycle_momentum
        self.require_momentum()
        self.total_steps, self.anneal_strategy = total_steps, anneal_strategy
        self.div_factor, self.final_div_factor = div_factor, final_div_factor
        rise = pct_start * total_steps - 1
        # The last step of each phase, and what it goes from and to: 0 stands for the first value, 1 for the highest
        # rate and the lowest momentum, 2 for the last rate.
        self.phases = [(rise, 0, 1), (2 * rise, 1, 0), (total_steps - 1, 0, 2)] if three_phase else [
            (rise, 0, 1), (total_steps - 1, 1, 2)]  # fmt: skip
        self.max_lrs = one_a_group("OneCycleLR", "max_lr", max_lr, optimizer)
        self.base_momentums = one_a_group("OneCycleLR", "base_momentum", base_momentum, optimizer)
        self.max_momentums = one_a_group("OneCycleLR", "max_momentum", max_momentum, optimizer)
        if last_epoch == -1:
            for group, rate in zip(optimizer.param_groups, self.max_lrs, strict=True):
                group["initial_lr"] = rate / div_factor
        super().__init__(optimizer, last_epoch)

    def _between(self, values: tuple[float, float, float]) -> float:
        """Return where on the way between the values of its phase the present step is."""
        first = 0.0
        for last, start, end in self.phases:
            if self.last_epoch <= last or last == self.phases[-1][0]:
                share = (self.last_epoch - first) / (last - first) if last > first else 1.0
                weight = (1 + math.cos(math.pi * share)) / 2 if self.anneal_strategy == "cos" else 1 - share
                return values[end] + (values[start] - values[end]) * weight
            first = last
        raise AssertionError

    def get_lr(self) -> list[float]:
        """Return the rate of each group now."""
        if self.last_epoch > self.total_steps:
            raise ValueRangeError(
                "OneCycleLR", "the cycle is over", expected=f"{self.total_steps} steps", got=f"step {self.last_epoch}",
                fix="pass the number of steps of the whole run as total_steps",
            )  # fmt: skip
        return [self._between((first, highest, first / self.final_div_factor))
                for first, highest in zip(self.base_lrs, self.max_lrs, strict=True)]  # fmt: skip

    def momentum(self) -> list[float]:
        """Return the momentum of each group now."""
        return [self._between((highest, lowest, highest))
                for lowest, highest in zip(self.base_momentums, self.max_momentums, strict=True)]  # fmt: skip
