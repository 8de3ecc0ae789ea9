"""What all schedules share: the base rates, the number of steps, `state_dict`."""

from __future__ import annotations

from typing import Any

from autodiff.errors import ValueRangeError
from autodiff.optim.optimizer import Optimizer
from autodiff.thread_mode import MODE


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
                group.setdefault("initial_lr", group["lr"])
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
        refuse_recording()
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


def refuse_recording() -> None:
    """Raise where a function is compiled: what a schedule does is Python, which no replay would do again.

    Raises:
        RecordingError: unless the function may run as it is instead.
    """
    if MODE.recorder is not None:
        MODE.recorder.opaque("a schedule takes a step", "step it outside: the rates are read anew in each call")


def one_a_group(name: str, argument: str, value: Any, optimizer: Optimizer) -> list[Any]:
    """Return an argument that may be one value for all parameter groups or a list of one for each, as a list.

    Raises:
        ValueRangeError: if the list has another length.
    """
    count = len(optimizer.param_groups)
    if not isinstance(value, list | tuple):
        return [value] * count
    if len(value) != count:
        raise ValueRangeError(
            name, f"'{argument}' does not fit the parameter groups", expected=f"one value, or {count}",
            got=str(len(value)),
        )  # fmt: skip
    return list(value)
