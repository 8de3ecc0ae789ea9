"""What happens at the end of an epoch besides training: files are written, training is stopped."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autodiff.errors import ValueRangeError
from autodiff.serialization import save

if TYPE_CHECKING:
    from autodiff.train.trainer import Trainer


class Callback:
    """Base of callbacks: override what is wanted. All methods get the `Trainer`, and may change it."""

    def on_fit_start(self, trainer: Trainer) -> None:
        """Run before the first epoch of a `Trainer.fit`."""

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Run after each epoch; its numbers are ``trainer.history[-1]``."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """Run after the last epoch."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training must know: anything that `autodiff.save` takes."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a `state_dict`."""


class _Monitor(Callback):
    """Follows one number of the history and knows the best so far."""

    def __init__(self, monitor: str | None, mode: str | None, min_delta: float = 0.0) -> None:
        if mode not in ("min", "max", None):
            raise ValueRangeError(type(self).__name__, "unknown mode", expected="'min', 'max' or None", got=repr(mode))
        self.monitor = monitor
        self.mode = mode
        self.min_delta = min_delta
        self.best = math.inf
        self.best_epoch = 0

    def improved(self, entry: dict[str, Any]) -> bool:
        """Say whether this epoch is the best so far, and remember it if so."""
        name = self.monitor or ("test_loss" if "test_loss" in entry else "train_loss")
        if name not in entry:
            raise ValueRangeError(type(self).__name__, "the history has no such number", expected=", ".join(entry),
                                  got=name)
        mode = self.mode or ("max" if "accuracy" in name else "min")
        value = entry[name] if mode == "min" else -entry[name]
        if not value < self.best - self.min_delta:
            return False
        self.best, self.best_epoch = value, entry["epoch"]
        return True

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.best_epoch = state_dict["best"], state_dict["best_epoch"]


class Checkpoint(_Monitor):
    """Writes the training state after each epoch, and the weights of the best one.

    Args:
        folder: made if there is none. ``last.safetensors`` is the whole state, for `Trainer.resume`;
            ``model.safetensors`` holds the weights of the best epoch under their names in the model.
        monitor: the number of the history that says which epoch is best; by default the test loss, or the training loss
            where nothing is tested.
        mode: whether the ``"min"`` or the ``"max"`` is best; by default ``"max"`` for an accuracy, ``"min"`` otherwise.

    Attributes:
        best_epoch: the best so far, counted from 1; 0 before the first.

    Raises:
        ValueRangeError: for an unknown mode or, after the first epoch, an unknown number.
    """

    def __init__(self, folder: str | os.PathLike[str], monitor: str | None = None, mode: str | None = None) -> None:
        super().__init__(monitor, mode)
        self.folder = Path(folder)

    def on_fit_start(self, trainer: Trainer) -> None:
        """Make the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Write the files."""
        if self.improved(trainer.history[-1]):
            save(trainer.model.state_dict(), self.folder / "model.safetensors")
        save(trainer.state_dict(), self.folder / "last.safetensors")


class EarlyStopping(_Monitor):
    """Stops training when a number has not improved for some epochs, and brings back the weights of the best one.

    Args:
        patience: epochs without improvement after which to stop.
        monitor, mode: as in `Checkpoint`.
        min_delta: how much better counts as an improvement.
        restore_best: at the end of training, stopped early or not, give the model the weights of its best epoch.

    Attributes:
        waited: epochs since the last improvement.

    Raises:
        ValueRangeError: for an unknown mode or a patience below 1.
    """

    def __init__(self, patience: int = 5, monitor: str | None = None, mode: str | None = None, min_delta: float = 0.0,
                 restore_best: bool = True) -> None:
        super().__init__(monitor, mode, min_delta)
        if patience < 1:
            raise ValueRangeError("EarlyStopping", "the patience must be at least 1", got=str(patience))
        self.patience = patience
        self.restore_best = restore_best
        self.waited = 0
        self._weights: dict[str, Any] | None = None

    def on_epoch_end(self, trainer: Trainer) -> None:
        """Keep the weights of a better epoch; stop when there has been none for too long."""
        if self.improved(trainer.history[-1]):
            self.waited = 0
            if self.restore_best:
                self._weights = {name: x.clone() for name, x in trainer.model.state_dict().items()}
        else:
            self.waited += 1
            if self.waited >= self.patience:
                trainer.stopped = True

    def on_fit_end(self, trainer: Trainer) -> None:
        """Bring back the weights of the best epoch."""
        if self._weights is not None:
            trainer.model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """Return the best value, the waiting time and the best weights."""
        return {**super().state_dict(), "waited": self.waited, "weights": self._weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a `state_dict`."""
        super().load_state_dict(state_dict)
        self.waited, self._weights = state_dict["waited"], state_dict["weights"]
