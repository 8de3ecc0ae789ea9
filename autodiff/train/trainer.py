"""`Trainer`: the loop over epochs and batches."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from autodiff.autograd.modes import no_grad
from autodiff.eager import Tensor
from autodiff.errors import ShapeError, ValueRangeError
from autodiff.nn.module import Module
from autodiff.nn.utils import clip_grad_norm_
from autodiff.optim.lr_scheduler import ReduceLROnPlateau
from autodiff.optim.optimizer import Optimizer
from autodiff.random import Generator, default_generator
from autodiff.serialization import load
from autodiff.train.callbacks import Callback, Checkpoint


def accuracy(output: Tensor, target: Tensor) -> float:
    """Return the share of samples whose largest output stands at their class.

    Args:
        output: (N, C) scores.
        target: (N,) classes, integers.

    Raises:
        ShapeError: for other shapes.

    >>> import autodiff as ad
    >>> from autodiff.train import accuracy
    >>> accuracy(ad.tensor([[0.1, 0.9], [0.8, 0.2]]), ad.tensor([1, 1]))
    0.5
    """
    if output.ndim != 2 or target.shape != output.shape[:1]:
        raise ShapeError("accuracy", "these are no scores and classes", expected="(N, C) and (N,)",
                         got=f"{output.shape} and {target.shape}", fix="pass other metrics to the Trainer")
    return float((output.detach().array.argmax(1) == target.array).mean())


class Trainer:
    """Trains a model on the batches of a loader, and keeps account.

    Args:
        model: module that maps the inputs of a batch to outputs.
        optimizer: of its parameters.
        loss: ``loss(output, target)`` returns the mean over the batch.
        scheduler: stepped after every epoch; `ReduceLROnPlateau` gets the test loss (the training loss without a test).
        schedule: ``"epoch"``, or ``"batch"`` to step the scheduler after every batch.
        metrics: more numbers to follow, ``metric(output, target)`` as means over the batch.
        clip_norm: scale the gradients so that their common norm is at most this.
        augment: changes the inputs of every training batch; random numbers come from the default generator.
        callbacks: see `Callback`. A `Checkpoint` runs after the others, so that it writes what they have decided.
        progress: show a progress bar.

    Attributes:
        epoch: number of epochs done.
        history: one dictionary an epoch: ``epoch`` (from 1), ``lr``, ``train_loss`` (mean over the epoch, of the model
            as it was changing), the metrics as ``train_...``, the same as ``test_...``, ``seconds``.
        stopped: set by a callback to end training after this epoch.

    Raises:
        ValueRangeError: for an unknown `schedule`.

    >>> import autodiff as ad
    >>> from autodiff.datasets import blobs
    >>> from autodiff.train import Trainer
    >>> from autodiff.utils.data import DataLoader, TensorDataset
    >>> _ = ad.manual_seed(0)
    >>> model = ad.nn.Linear(2, 3)
    >>> trainer = Trainer(model, ad.optim.SGD(model.parameters(), lr=0.1), ad.nn.CrossEntropyLoss(), progress=False)
    >>> history = trainer.fit(DataLoader(TensorDataset(*blobs(90)), batch_size=30, shuffle=True), epochs=3)
    >>> history[-1]["train_loss"] < history[0]["train_loss"]
    True
    """

    def __init__(
        self, model: Module, optimizer: Optimizer, loss: Callable[[Any, Any], Tensor], *, scheduler: Any = None,
        schedule: str = "epoch", metrics: Mapping[str, Callable[[Any, Any], float]] | None = None,
        clip_norm: float | None = None, augment: Callable[[Any], Any] | None = None, callbacks: Sequence[Callback] = (),
        progress: bool = True,
    ) -> None:
        if schedule not in ("epoch", "batch"):
            raise ValueRangeError("Trainer", "unknown schedule", expected="'epoch' or 'batch'", got=repr(schedule))
        self.model = model
        self.optimizer = optimizer
        self.loss = loss
        self.scheduler = scheduler
        self.schedule = schedule
        self.metrics = dict(metrics or {})
        self.clip_norm = clip_norm
        self.augment = augment
        self.callbacks = sorted(callbacks, key=lambda callback: isinstance(callback, Checkpoint))
        self.progress = progress
        self.epoch = 0
        self.history: list[dict[str, Any]] = []
        self.stopped = False
        self._generators: list[Generator] = [default_generator]
        self._generator_states: list[tuple[int, int]] = []

    def fit(
        self, train_loader: Iterable[Any], test_loader: Iterable[Any] | None = None, epochs: int = 1
    ) -> list[dict[str, Any]]:
        """Train until `epochs` epochs are done, those before a `resume` included.

        Args:
            train_loader: yields ``(inputs, targets)``.
            test_loader: the same; evaluated after each epoch.
            epochs: number of epochs altogether.

        Returns:
            The history.
        """
        self._generators = _generators_of(train_loader, test_loader)
        for generator, state in zip(self._generators, self._generator_states):
            generator.restore(state)
        self._generator_states = []
        for callback in self.callbacks:
            callback.on_fit_start(self)
        while self.epoch < epochs and not self.stopped:
            self.history.append(self._run_epoch(train_loader, test_loader, epochs))
            self.epoch += 1
            for callback in self.callbacks:
                callback.on_epoch_end(self)
        for callback in self.callbacks:
            callback.on_fit_end(self)
        return self.history

    def step(self, inputs: Any, targets: Any) -> tuple[Tensor, Any]:
        """Do one training step on one batch; return the loss and the outputs."""
        outputs = self.model(inputs)
        loss = self.loss(outputs, targets)
        self.optimizer.zero_grad()
        loss.backward()
        if self.clip_norm is not None:
            clip_grad_norm_(self.model.parameters(), self.clip_norm)
        self.optimizer.step()
        return loss, outputs

    @no_grad()
    def evaluate(self, loader: Iterable[Any]) -> dict[str, float]:
        """Return the mean loss and metrics of the model in evaluation mode: ``{"loss": ..., "accuracy": ..., ...}``."""
        training = self.model.training
        self.model.eval()
        means = _Means()
        for inputs, targets in loader:
            outputs = self.model(inputs)
            means.add(len(targets), self._measure(self.loss(outputs, targets), outputs, targets))
        self.model.train(training)
        return means.values()

    def _run_epoch(self, train_loader: Any, test_loader: Any, epochs: int) -> dict[str, Any]:
        from tqdm import tqdm

        start = time.perf_counter()
        entry: dict[str, Any] = {"epoch": self.epoch + 1, "lr": self.optimizer.param_groups[0]["lr"]}
        self.model.train()
        means = _Means()
        title = f"epoch {self.epoch + 1:{len(str(epochs))}}/{epochs}"
        with tqdm(desc=title, total=_length(train_loader), unit="batch", disable=not self.progress) as bar:
            for inputs, targets in train_loader:
                loss, outputs = self.step(inputs if self.augment is None else self.augment(inputs), targets)
                means.add(len(targets), self._measure(loss, outputs, targets))
                if self.scheduler is not None and self.schedule == "batch":
                    self.scheduler.step()
                bar.set_postfix_str(_text(means.values()), refresh=False)
                bar.update()
            entry |= {f"train_{name}": value for name, value in means.values().items()}
            if test_loader is not None:
                found = self.evaluate(test_loader)
                entry |= {f"test_{name}": value for name, value in found.items()}
                bar.set_postfix_str(f"{_text(means.values())}, test {_text(found)}")
        if self.scheduler is not None and self.schedule == "epoch":
            plateau = isinstance(self.scheduler, ReduceLROnPlateau)
            self.scheduler.step(*[entry.get("test_loss", entry["train_loss"])] if plateau else [])
        entry["seconds"] = time.perf_counter() - start
        return entry

    def _measure(self, loss: Tensor, outputs: Any, targets: Any) -> dict[str, float]:
        return {"loss": loss.item()} | {name: float(metric(outputs, targets)) for name, metric in self.metrics.items()}

    # ---- State -------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the epochs to come depend on: anything of it goes through `autodiff.save`."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "callbacks": [callback.state_dict() for callback in self.callbacks],
            "epoch": self.epoch,
            "history": self.history,
            "stopped": self.stopped,
            "generators": [generator.state() for generator in self._generators],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a `state_dict`; the trainer must have been made with the same arguments.

        Raises:
            ValueRangeError: if it has another number of callbacks.
        """
        if len(state_dict["callbacks"]) != len(self.callbacks):
            raise ValueRangeError("load_state_dict", "the state belongs to a trainer with other callbacks",
                                  expected=f"{len(self.callbacks)} of them", got=str(len(state_dict["callbacks"])))
        self.model.load_state_dict(state_dict["model"])
        self.optimizer.load_state_dict(state_dict["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state_dict["scheduler"])
        for callback, state in zip(self.callbacks, state_dict["callbacks"], strict=True):
            callback.load_state_dict(state)
        self.epoch = state_dict["epoch"]
        self.history = list(state_dict["history"])
        self.stopped = state_dict["stopped"]
        self._generator_states = [tuple(state) for state in state_dict["generators"]]

    def resume(self, path: str | os.PathLike[str]) -> None:
        """Take over the ``last.safetensors`` of a `Checkpoint`: the next `fit` goes on as if nothing had happened.

        Args:
            path: the file. Model, optimizer, scheduler, callbacks and loaders must be made as they were at first. Then
                the weights come out bit for bit as without the break.

        Raises:
            FileNotFoundError: if there is none.
        """
        self.load_state_dict(load(path))


class _Means:
    """Means over samples, batch by batch."""

    def __init__(self) -> None:
        self.count = 0
        self.sums: dict[str, float] = {}

    def add(self, count: int, values: dict[str, float]) -> None:
        self.count += count
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + count * value

    def values(self) -> dict[str, float]:
        return {name: total / self.count for name, total in self.sums.items()}


def _text(values: dict[str, float]) -> str:
    return ", ".join([f"{name} {value:.2%}" if name == "accuracy" else f"{name} {value:.4g}"
                      for name, value in values.items()])


def _length(loader: Any) -> int | None:
    """Return the number of batches, None where only the end will tell."""
    try:
        return len(loader)
    except TypeError:
        return None


def _generators_of(*loaders: Any) -> list[Generator]:
    """Return the default generator and those of the loaders, each once."""
    found = {id(default_generator): default_generator}
    for loader in loaders:
        for owner in (loader, getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None)):
            generator = getattr(owner, "generator", None)
            if isinstance(generator, Generator):
                found.setdefault(id(generator), generator)
    return list(found.values())
