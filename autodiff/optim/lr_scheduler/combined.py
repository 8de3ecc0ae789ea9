"""Schedules made of others: one after the other, or all at once."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from autodiff.errors import ValueRangeError
from autodiff.optim.lr_scheduler.base import LRScheduler
from autodiff.optim.optimizer import Optimizer


class _Combined(LRScheduler):
    """A schedule that keeps others, whose state is part of its own."""

    def __init__(self, optimizer: Optimizer | None, schedulers: Sequence[LRScheduler], last_epoch: int) -> None:
        name = type(self).__name__
        if not schedulers:
            raise ValueRangeError(name, "there is no schedule to combine")
        if optimizer is None:
            optimizer = schedulers[0].optimizer
        for position, schedule in enumerate(schedulers):
            if not isinstance(schedule, LRScheduler):
                raise ValueRangeError(
                    name, "only schedules that count steps can be combined",
                    got=f"{type(schedule).__name__} at position {position}",
                )  # fmt: skip
            if schedule.optimizer is not optimizer:
                raise ValueRangeError(name, f"the schedule at position {position} belongs to another optimizer")
        self._schedulers = list(schedulers)
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the optimizer, the schedules by their states."""
        return {**super().state_dict(), "_schedulers": [schedule.state_dict() for schedule in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a `state_dict`."""
        super().load_state_dict({key: value for key, value in state_dict.items() if key != "_schedulers"})
        for schedule, state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            schedule.load_state_dict(state)


class SequentialLR(_Combined):
    """Let one schedule follow another: each counts from 0 when its turn comes.

    Args:
        optimizer: whose rates to set.
        schedulers: schedules of this optimizer, in their order.
        milestones: numbers of steps at which the second, third, ... begins.
        last_epoch: number of steps made already.

    Raises:
        ValueRangeError: unless there is one milestone less than schedules, all of them of `optimizer`.

    >>> import autodiff as ad
    >>> optimizer = ad.optim.SGD([ad.zeros(1, requires_grad=True)], lr=1.0)
    >>> warm_up = ad.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> decay = ad.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> schedule = ad.optim.lr_scheduler.SequentialLR(optimizer, [warm_up, decay], milestones=[2])
    >>> rates = []
    >>> for epoch in range(5):
    ...     rates.append(optimizer.param_groups[0]["lr"])
    ...     schedule.step()
    >>> rates
    [0.5, 0.75, 1.0, 0.5, 0.25]
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ) -> None:
        if len(milestones) != len(schedulers) - 1:
            raise ValueRangeError(
                "SequentialLR", "schedules and milestones do not fit", expected=f"{len(schedulers) - 1} milestones",
                got=str(len(milestones)),
            )  # fmt: skip
        self._milestones = list(milestones)
        super().__init__(optimizer, schedulers, last_epoch)

    def get_lr(self) -> list[float]:
        """Return the rate of each group now."""
        turn = bisect_right(self._milestones, self.last_epoch)
        schedule = self._schedulers[turn]
        schedule.step(self.last_epoch - (self._milestones[turn - 1] if turn else 0))
        return schedule.get_last_lr()


class ChainedScheduler(_Combined):
    """Let several schedules act at once: the initial rate is multiplied by the factors of all of them.

    Args:
        schedulers: schedules of one optimizer.
        optimizer: whose rates to set; that of the first schedule by default.

    Raises:
        ValueRangeError: if there is no schedule, or they belong to several optimizers.

    >>> import autodiff as ad
    >>> optimizer = ad.optim.SGD([ad.zeros(1, requires_grad=True)], lr=1.0)
    >>> constant = ad.optim.lr_scheduler.ConstantLR(optimizer, factor=0.1, total_iters=2)
    >>> decay = ad.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> schedule = ad.optim.lr_scheduler.ChainedScheduler([constant, decay])
    >>> rates = []
    >>> for epoch in range(4):
    ...     rates.append(optimizer.param_groups[0]["lr"])
    ...     schedule.step()
    >>> rates
    [0.1, 0.05, 0.25, 0.125]
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        super().__init__(optimizer, schedulers, schedulers[0].last_epoch - 1 if schedulers else -1)

    def get_lr(self) -> list[float]:
        """Return the rate of each group now."""
        for schedule in self._schedulers:
            schedule.step(self.last_epoch)
        rates = zip(*(schedule.get_last_lr() for schedule in self._schedulers), strict=True)
        return [
            base * math.prod(rate / base for rate in each) if base else 0.0
            for base, each in zip(self.base_lrs, rates, strict=True)
        ]
