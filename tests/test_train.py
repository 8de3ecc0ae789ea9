"""The training loop, its callbacks and its curves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import autodiff as ad
from autodiff import nn
from autodiff.datasets import blobs
from autodiff.errors import MissingExtraError, ShapeError, ValueRangeError
from autodiff.serialization import load
from autodiff.train import Callback, Checkpoint, EarlyStopping, Trainer, accuracy, plot_curves
from autodiff.utils.data import DataLoader, TensorDataset

EPOCHS = 6


def loaders() -> tuple[DataLoader, DataLoader]:
    x, y = blobs(60, spread=1.5)
    train = DataLoader(TensorDataset(x[:40], y[:40]), 16, shuffle=True, generator=ad.Generator().manual_seed(7))
    return train, DataLoader(TensorDataset(x[40:], y[40:]), 20)


def noisy(x: ad.Tensor) -> ad.Tensor:
    return x + 0.1 * ad.randn_like(x)


def trainer(*callbacks: Callback, scheduler: str = "cosine", **options: Any) -> Trainer:
    ad.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))
    optimizer = ad.optim.Adam(model.parameters(), lr=0.02)
    schedulers = {
        "cosine": lambda: ad.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=EPOCHS),
        "plateau": lambda: ad.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5, threshold=0.3),
    }
    return Trainer(model, optimizer, nn.CrossEntropyLoss(), scheduler=schedulers[scheduler](),
                   metrics={"accuracy": accuracy}, clip_norm=1.0, augment=noisy, callbacks=callbacks,
                   progress=False, **options)


def numbers(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in entry.items() if key != "seconds"} for entry in history]


def test_it_learns_and_keeps_account() -> None:
    t = trainer()
    history = t.fit(*loaders(), epochs=EPOCHS)
    assert history is t.history
    assert [entry["epoch"] for entry in history] == list(range(1, EPOCHS + 1))
    assert list(history[0]) == ["epoch", "lr", "train_loss", "train_accuracy", "test_loss", "test_accuracy", "seconds"]
    assert history[-1]["train_loss"] < 0.7 * history[0]["train_loss"]
    assert history[0]["lr"] == 0.02
    assert history[-1]["lr"] < 0.003
    found = t.evaluate(loaders()[1])
    assert found == {"loss": history[-1]["test_loss"], "accuracy": history[-1]["test_accuracy"]}
    assert t.model.training
    assert len(t.fit(*loaders(), epochs=EPOCHS)) == EPOCHS  # they are done


@pytest.mark.parametrize("scheduler", ["cosine", "plateau"])
def test_resumed_training_is_the_same_to_the_bit(tmp_path: Path, scheduler: str) -> None:
    def make(folder: str) -> Trainer:
        return trainer(Checkpoint(tmp_path / folder), EarlyStopping(50), scheduler=scheduler)

    whole = make("whole")
    whole.fit(*loaders(), epochs=EPOCHS)
    first = make("half")
    first.fit(*loaders(), epochs=EPOCHS // 2)
    ad.manual_seed(99)
    second = make("half")
    second.resume(tmp_path / "half" / "last.safetensors")
    assert second.epoch == EPOCHS // 2
    second.fit(*loaders(), epochs=EPOCHS)
    assert numbers(second.history) == numbers(whole.history)
    assert first.history[-1]["lr"] != whole.history[-1]["lr"]
    for a, b in [(load(tmp_path / folder / "last.safetensors") for folder in ("whole", "half"))]:
        assert a["generators"] == b["generators"]
        for name, value in a["model"].items():
            assert ad.equal(value, b["model"][name]), name


def test_checkpoint_keeps_the_best_weights(tmp_path: Path) -> None:
    class Spoil(Callback):
        def on_epoch_end(self, trainer: Trainer) -> None:
            trainer.history[-1]["score"] = [3.0, 5.0, 4.0][trainer.epoch - 1]
            kept.append({name: x.clone() for name, x in trainer.model.state_dict().items()})

    kept: list[dict[str, Any]] = []
    checkpoint = Checkpoint(tmp_path / "new" / "folder", monitor="score", mode="max")
    trainer(checkpoint, Spoil()).fit(*loaders(), epochs=3)
    assert checkpoint.best_epoch == 2
    best = load(tmp_path / "new" / "folder" / "model.safetensors")
    for name, value in kept[1].items():
        assert ad.equal(best[name], value)
    assert sorted(path.name for path in checkpoint.folder.iterdir()) == ["last.safetensors", "model.safetensors"]


def test_early_stopping_restores_the_best_weights(tmp_path: Path) -> None:
    class Worse(Callback):
        """Makes the second epoch the best."""

        def on_epoch_end(self, trainer: Trainer) -> None:
            trainer.history[-1]["test_loss"] = abs(trainer.epoch - 2)
            kept.append({name: x.clone() for name, x in trainer.model.state_dict().items()})

    kept: list[dict[str, Any]] = []
    t = trainer(Checkpoint(tmp_path), Worse(), EarlyStopping(patience=2))
    t.fit(*loaders(), epochs=20)
    assert t.stopped
    assert t.epoch == 4
    for name, value in t.model.state_dict().items():
        assert ad.equal(value, kept[1][name])
    # A training that had stopped has stopped after a resume, too.
    again = trainer(Checkpoint(tmp_path), Worse(), EarlyStopping(patience=2))
    again.resume(tmp_path / "last.safetensors")
    again.fit(*loaders(), epochs=20)
    assert again.epoch == 4
    assert ad.equal(again.model.state_dict()["0.weight"], kept[1]["0.weight"])


def test_schedule_by_batch_and_progress(capsys: pytest.CaptureFixture[str]) -> None:
    t = trainer(schedule="batch")
    t.progress = True
    t.fit(*loaders(), epochs=1)
    assert t.scheduler.last_epoch == 3
    shown = capsys.readouterr().err
    assert "epoch 1/1" in shown
    assert "accuracy" in shown
    assert "test loss" in shown


def test_a_regression_without_metrics_and_test() -> None:
    ad.manual_seed(0)
    x = ad.linspace(-1, 1, 32).reshape(32, 1)
    model = nn.Linear(1, 1)
    t = Trainer(model, ad.optim.SGD(model.parameters(), lr=0.3), nn.MSELoss(), progress=False)
    history = t.fit(DataLoader(TensorDataset(x, 2 * x + 1), 8, shuffle=True), epochs=10)
    assert list(history[0]) == ["epoch", "lr", "train_loss", "seconds"]
    assert history[-1]["train_loss"] < 1e-3
    assert model.bias.item() == pytest.approx(1, abs=0.05)


def test_errors() -> None:
    with pytest.raises(ValueRangeError, match="schedule"):
        trainer(schedule="never")
    with pytest.raises(ValueRangeError, match="mode"):
        Checkpoint("x", mode="best")
    with pytest.raises(ValueRangeError, match="patience"):
        EarlyStopping(0)
    with pytest.raises(ValueRangeError, match=r"no such number.*test_loss"):
        trainer(EarlyStopping(monitor="nothing")).fit(*loaders(), epochs=1)
    with pytest.raises(ValueRangeError, match="other callbacks"):
        trainer().load_state_dict(trainer(EarlyStopping()).state_dict())
    with pytest.raises(ShapeError, match="metrics"):
        accuracy(ad.ones(3), ad.ones(3))
    with pytest.raises(ValueRangeError, match="empty"):
        plot_curves([], "x.png")


def test_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history = [{"epoch": i, "train_loss": 1 / i, "test_loss": 2 / i, "train_accuracy": 1 - 1 / i} for i in (1, 2, 3)]
    pytest.importorskip("matplotlib")
    plot_curves(history, tmp_path / "curve.png", title="A title")
    plot_curves(history, tmp_path / "curve.svg")
    assert (tmp_path / "curve.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert b"<svg" in (tmp_path / "curve.svg").read_bytes()
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"autodiff-tape\[plots\]"):
        plot_curves(history, tmp_path / "curve.png")
