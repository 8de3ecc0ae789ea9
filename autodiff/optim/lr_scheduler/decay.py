"""Schedules that lower or raise the rate once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from autodiff.arguments import integer
from autodiff.optim.lr_scheduler.base import LRScheduler, one_a_group
from autodiff.optim.optimizer import Optimizer


class LambdaLR(LRScheduler):
    """Multiply the initial rate by ``lr_lambda(epoch)``.

    Args:
        optimizer: whose rates to set.
        lr_lambda: function of the number of steps, or one for each group.
        last_epoch: number of steps made already.

    >>> import autodiff as ad
    >>> optimizer = ad.optim.SGD([ad.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = ad.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5 ** epoch)
    >>> schedule.step(); schedule.get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Any, last_epoch: int = -1) -> None:
        self.lr_lambdas: list[Callable[[int], float]] = one_a_group("LambdaLR", "lr_lambda", lr_lambda, optimizer)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """Return the rate of each group now."""
        return [base * function(self.last_epoch) for base, function in zip(self.base_lrs, self.lr_lambdas, strict=True)]


class MultiplicativeLR(LRScheduler):
    """Multiply the rate by ``lr_lambda(epoch)`` at each step.

    Args:
        optimizer: whose rates to set.
        lr_lambda: function of the number of steps, or one for each group.
        last_epoch: number of steps made already.
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Any, last_epoch: int = -1) -> None:
        self.lr_lambdas = one_a_group("MultiplicativeLR", "lr_lambda", lr_lambda, optimizer)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """Return the rate of each group now: its initial rate times all factors so far."""
        steps = range(1, self.last_epoch + 1)
        return [base * math.prod(map(function, steps))
                for base, function in zip(self.base_lrs, self.lr_lambdas, strict=True)]  # fmt: skip


class StepLR(LRScheduler):
    """Multiply the rate by `gamma` every `step_size` steps: ``lr = lr0 * gamma ** (epoch // step_size)``.

    Args:
        optimizer: whose rates to set.
        step_size: steps between drops.
        gamma: factor of a drop.
        last_epoch: number of steps made already.

    >>> import autodiff as ad
    >>> optimizer = ad.optim.SGD([ad.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = ad.optim.lr_scheduler.StepLR(optimizer, step_size=2)
    >>> rates = []
    >>> for epoch in range(4):
    ...     rates.append(optimizer.param_groups[0]["lr"])
    ...     schedule.step()
    >>> rates
    [1.0, 1.0, 0.1, 0.1]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size, self.gamma = integer("StepLR", "step_size", step_size), gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        """Return gamma ** (epoch // step_size)."""
        return float(self.gamma ** (epoch // self.step_size))


class MultiStepLR(LRScheduler):
    """Multiply the rate by `gamma` at each milestone.

    Args:
        optimizer: whose rates to set.
        milestones: numbers of steps at which to drop.
        gamma: factor of a drop.
        last_epoch: number of steps made already.
    """

    def __init__(
        self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        """Return gamma ** (number of milestones passed)."""
        return float(self.gamma ** sum(epoch >= milestone for milestone in self.milestones))


class ConstantLR(LRScheduler):
    """Multiply the rate by `factor` for the first `total_iters` steps.

    Args:
        optimizer: whose rates to set.
        factor: of the rate at first.
        total_iters: steps until the full rate.
        last_epoch: number of steps made already.
    """

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1) -> None:
        self.start_factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        """Return the factor, then 1."""
        return self.start_factor if epoch < self.total_iters else 1.0


class LinearLR(LRScheduler):
    """Let the factor of the rate go in a straight line from `start_factor` to `end_factor`: a warm-up.

    Args:
        optimizer: whose rates to set.
        start_factor: at first.
        end_factor: from `total_iters` steps on.
        total_iters: steps between them.
        last_epoch: number of steps made already.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        """Return start + (end - start) * epoch / total, at most `end_factor`."""
        return (
            self.start_factor + (self.end_factor - self.start_factor) * min(epoch, self.total_iters) / self.total_iters
        )


class PolynomialLR(LRScheduler):
    """Let the rate fall to zero as ``(1 - epoch / total_iters) ** power``.

    Args:
        optimizer: whose rates to set.
        total_iters: steps until zero.
        power: of the polynomial.
        last_epoch: number of steps made already.
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        """Return (1 - epoch / total) ** power."""
        return float((1 - min(epoch, self.total_iters) / self.total_iters) ** self.power)


class ExponentialLR(LRScheduler):
    """Multiply the rate by `gamma` at every step: ``lr = lr0 * gamma ** epoch``.

    Args:
        optimizer: whose rates to set.
        gamma: factor of a step.
        last_epoch: number of steps made already.
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        """Return gamma ** epoch."""
        return float(self.gamma**epoch)


class InverseTimeLR(LRScheduler):
    """Let the rate fall as 1/k: ``lr = lr0 / (1 + decay * epoch)``.

    The rates sum to infinity and their squares do not: the condition under which stochastic gradient descent converges
    (Robbins & Monro, "A stochastic approximation method", 1951).

    Args:
        optimizer: whose rates to set.
        decay: how fast; with 1 the rates are lr0, lr0 / 2, lr0 / 3, ...
        last_epoch: number of steps made already.

    >>> import autodiff as ad
    >>> optimizer = ad.optim.SGD([ad.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = ad.optim.lr_scheduler.InverseTimeLR(optimizer)
    >>> schedule.step(); schedule.get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, decay: float = 1.0, last_epoch: int = -1) -> None:
        self.decay = decay
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        """Return 1 / (1 + decay * epoch)."""
        return 1 / (1 + self.decay * epoch)
