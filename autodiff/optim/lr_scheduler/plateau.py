"""The schedule that looks at a measure."""

from __future__ import annotations

import math
from typing import Any

from autodiff.errors import ValueRangeError
from autodiff.optim.lr_scheduler.base import one_a_group, refuse_recording
from autodiff.optim.optimizer import Optimizer


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
        self.min_lrs: list[float] = one_a_group("ReduceLROnPlateau", "min_lr", min_lr, optimizer)
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0
        self._last_lr = [group["lr"] for group in optimizer.param_groups]

    def step(self, metrics: Any, epoch: int | None = None) -> None:
        """Look at the measure, and lower the rates if it has stood still for too long."""
        refuse_recording()
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
