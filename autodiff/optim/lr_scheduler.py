"""Learning rates that change from epoch to epoch.

A schedule is a function of the number of `step` calls so far, in closed form: after k calls the rate is what the
formula says for k, whatever happened before. `ReduceLROnPlateau` alone looks at a measure instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from autodiff.errors import ValueRangeError
from autodiff.optim.optimizer import Optimizer

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "ExponentialLR",
    "InverseTimeLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "StepLR",
]


class LRScheduler:
    """Base of the schedules: sets the ``"lr"`` of every group from its initial value and the number of steps.

    Args:
        optimizer: whose rates to set.
        last_epoch: number of steps made already; -1 starts anew.

    Attributes:
        base_lrs: initial rate of each group.
        last_epoch: number of `step` calls so far.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            if last_epoch == -1:
                group["initial_lr"] = group["lr"]
            elif "initial_lr" not in group:
                raise ValueRangeError(
                    type(self).__name__,
                    "a schedule that goes on needs the optimizer's initial rates",
                    expected="'initial_lr' in every parameter group",
                    fix="load the optimizer's state first",
                )
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self.step()

    def factor(self, epoch: int) -> float:
        """Return what the initial rate is multiplied by after `epoch` steps; override this or `get_lr`."""
        raise NotImplementedError

    def get_lr(self) -> list[float]:
        """Return the rate of each group now."""
        return [base * self.factor(self.last_epoch) for base in self.base_lrs]

    def get_last_lr(self) -> list[float]:
        """Return the rates that were set last."""
        return self._last_lr

    def step(self, epoch: int | None = None) -> None:
        """Count one step (usually an epoch) and set the rates.

        Args:
            epoch: go to this number of steps instead.
        """
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self._last_lr = self.get_lr()
        for group, rate in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = rate

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the optimizer and functions."""
        return {
            key: value
            for key, value in self.__dict__.items()
            if key != "optimizer"
            and not callable(value)
            and not (isinstance(value, list) and value and callable(value[0]))
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a `state_dict`."""
        self.__dict__.update(state_dict)


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
        functions = (
            list(lr_lambda) if isinstance(lr_lambda, list | tuple) else [lr_lambda] * len(optimizer.param_groups)
        )
        self.lr_lambdas: list[Callable[[int], float]] = functions
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """Return the rate of each group now."""
        return [base * function(self.last_epoch) for base, function in zip(self.base_lrs, self.lr_lambdas, strict=True)]


class MultiplicativeLR(LRScheduler):
    """Multiply the rate by ``lr_lambda(epoch)`` at each step.

    Args:
        optimizer: whose rates to set.
        lr_lambda: function of the number of steps.
        last_epoch: number of steps made already.
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable[[int], float], last_epoch: int = -1) -> None:
        self.lr_lambda = lr_lambda
        super().__init__(optimizer, last_epoch)

    def factor(self, epoch: int) -> float:
        """Return the product of all factors so far."""
        return math.prod(self.lr_lambda(i) for i in range(1, epoch + 1))


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
        self.step_size, self.gamma = step_size, gamma
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


class ReduceLROnPlateau:
    """Multiply the rate by `factor` when a measure has not improved for more than `patience` steps.

    Args:
        optimizer: whose rates to set.
        mode: ``"min"`` or ``"max"``: which direction is an improvement.
        factor: of a drop.
        patience: steps without improvement that are put up with.
        threshold: how much better counts.
        threshold_mode: ``"rel"`` (a share of the best) or ``"abs"``.
        cooldown: steps after a drop that are not counted.
        min_lr: lowest rate, one number or one a group.
        eps: smaller changes of the rate are not made.

    Raises:
        ValueRangeError: for an unknown mode or a factor of 1 or more.

    >>> import autodiff as ad
    >>> optimizer = ad.optim.SGD([ad.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = ad.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
    >>> for loss in (1.0, 1.0):
    ...     schedule.step(loss)
    >>> schedule.get_last_lr()
    [0.1]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: Any = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ValueRangeError(
                "ReduceLROnPlateau",
                "unknown mode",
                expected="mode 'min' or 'max', threshold_mode 'rel' or 'abs'",
                got=f"{mode!r}, {threshold_mode!r}",
            )
        if not factor < 1:
            raise ValueRangeError(
                "ReduceLROnPlateau", "the factor would not lower the rate", expected="factor < 1", got=str(factor)
            )
        self.optimizer = optimizer
        self.mode, self.factor, self.patience, self.cooldown, self.eps = mode, factor, patience, cooldown, eps
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.min_lrs: list[float] = (
            list(min_lr) if isinstance(min_lr, list | tuple) else [min_lr] * len(optimizer.param_groups)
        )
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0
        self._last_lr = [group["lr"] for group in optimizer.param_groups]

    def step(self, metrics: Any, epoch: int | None = None) -> None:
        """Look at the measure, and lower the rates if it has stood still for too long."""
        current = float(metrics)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._better(current):
            self.best, self.num_bad_epochs = current, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                new = max(group["lr"] * self.factor, least)
                if group["lr"] - new > self.eps:
                    group["lr"] = new
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def _better(self, current: float) -> bool:
        margin = self.threshold if self.threshold_mode == "abs" else self.threshold * abs(self.best)
        if math.isinf(self.best):
            return current < self.best if self.mode == "min" else current > self.best
        return current < self.best - margin if self.mode == "min" else current > self.best + margin

    def get_last_lr(self) -> list[float]:
        """Return the rates that were set last."""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the optimizer."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a `state_dict`."""
        self.__dict__.update(state_dict)
