"""The demonstration, with one epoch of a few batches; that it reaches its accuracy is what `make demo` shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import datasets, demo
from autodiff.errors import missing_extra
from autodiff.serialization import load
from autodiff.utils.data import TensorDataset


@pytest.fixture
def few_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    split = datasets.digits()
    train, test = (TensorDataset(*(x[:n] for x in part.tensors)) for part, n in zip(split, (192, 40), strict=True))
    small = datasets.Split(train, test)
    monkeypatch.setattr(demo, "digits", lambda: small)


@pytest.mark.usefixtures("few_digits")
def test_demo_writes_what_it_promises(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    metrics = demo.main(tmp_path / "a", epochs=1, progress=False)
    said = capsys.readouterr().out
    names = {"metrics.json", "history.json", "model.safetensors", "curve.png", "model.svg", "step.svg", "overview.svg"}
    if "No graphs" in said:
        names -= {"model.svg", "step.svg", "overview.svg"}
    assert {path.name for path in (tmp_path / "a").iterdir()} == names
    assert all(name in said for name in names)
    assert json.loads((tmp_path / "a" / "metrics.json").read_text()) == metrics
    assert {"test_accuracy", "seconds", "seed", "epochs", "parameters", "weights_sha256"} <= set(metrics)
    assert len(json.loads((tmp_path / "a" / "history.json").read_text())) == 1

    model = demo.DigitsNet()
    model.load_state_dict(load(tmp_path / "a" / "model.safetensors"))
    assert demo.weights_hash(model) == metrics["weights_sha256"]

    again = demo.main(str(tmp_path / "b"), epochs=1, seed=0, progress=False)
    assert again["weights_sha256"] == metrics["weights_sha256"]
    assert demo.main(tmp_path / "b", epochs=1, seed=1, progress=False)["weights_sha256"] != metrics["weights_sha256"]


@pytest.mark.usefixtures("few_digits")
def test_demo_goes_on_where_it_cannot_draw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise missing_extra("viz", "pygraphviz", "draw")

    monkeypatch.setattr(demo, "draw", fail)
    monkeypatch.setattr(demo, "plot_curves", fail)
    demo.main(tmp_path, epochs=1, progress=False)
    said = capsys.readouterr().out
    assert "No graphs: [viz] the package 'pygraphviz' is not installed" in said
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.json", "history.json", "model.safetensors"}


def test_shifted_images() -> None:
    ad.manual_seed(0)
    images = ad.rand(64, 2, 8, 8)
    moved = demo.shifted(images)
    assert moved.shape == images.shape
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)))
    found = set()
    for n in range(64):
        (place,) = [(i, j) for i in range(3) for j in range(3)
                    if np.array_equal(moved.numpy()[n], padded[n, :, i:i + 8, j:j + 8])]
        found.add(place)
    assert len(found) == 9
