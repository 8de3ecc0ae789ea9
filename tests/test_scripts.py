"""PyTorch training scripts run on this library when their import lines name it, and learn the same thing there.

The scripts in `scripts/` are written for PyTorch. Where PyTorch is installed they run on it too, from the same initial
weights, and the losses of the first steps agree.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autodiff as ad

HERE = Path(__file__).parent
needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")


def translated(source: str) -> str:
    """Replace torch by autodiff in the import lines of a script, and nowhere else."""
    lines = []
    for line in source.splitlines(keepends=True):
        if re.match(r"(import|from) torch\b", line):
            line = re.sub(r"^import torch$", "import autodiff as torch", line.rstrip()) + "\n"
            line = re.sub(r"^(import|from) torch\b", r"\1 autodiff", line)
        lines.append(line)
    return "".join(lines)


def load(name: str, library: str) -> dict[str, Any]:
    """Return the names that a script defines, on either library."""
    path = HERE / "scripts" / f"{name}.py"
    source = path.read_text()
    namespace: dict[str, Any] = {"__name__": name, "__file__": str(path)}
    exec(compile(translated(source) if library == "autodiff" else source, path, "exec"), namespace)
    return namespace


def run(name: str, library: str, *arguments: object) -> dict[str, Any]:
    """Run a script and return what its `main` returns."""
    main: Callable[[list[str]], dict[str, Any]] = load(name, library)["main"]
    return main([str(argument) for argument in arguments])


def first_losses(name: str, tmp_path: Path, *arguments: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run a script on both libraries from the same weights: those that PyTorch drew."""
    weights = tmp_path / "weights.npz"
    np.savez(weights, **run(name, "torch", *arguments)["initial"])
    ours, theirs = (run(name, library, *arguments, "--weights", weights) for library in ("autodiff", "torch"))
    for key, array in theirs["initial"].items():
        np.testing.assert_array_equal(ours["initial"][key], array)
    return ours, theirs


def test_translation_touches_import_lines_only() -> None:
    script = ("import torch\nimport torch.nn as nn\nfrom torch import optim\nfrom torch.utils.data import Dataset\n"
              "import torchvision\nx = torch.ones(2)  # import torch\n")
    assert translated(script) == (
        "import autodiff as torch\nimport autodiff.nn as nn\nfrom autodiff import optim\n"
        "from autodiff.utils.data import Dataset\nimport torchvision\nx = torch.ones(2)  # import torch\n")


# ---- A multilayer perceptron -----------------------------------------------------------------------------------------


def test_mlp_learns(capsys: pytest.CaptureFixture[str]) -> None:
    found = run("mlp", "autodiff")
    assert found["losses"][-1] < 0.2 * found["losses"][0]
    assert found["accuracy"] > 0.9
    printed = capsys.readouterr().out
    assert "Sequential(\n  (0): Linear(in_features=2, out_features=32, bias=True)\n  (1): Tanh()" in printed
    assert "tensor([[" in printed
    assert "1,251 parameters" in printed
    assert found["losses"] == run("mlp", "autodiff")["losses"]  # the same seed, the same numbers
    assert found["losses"] != run("mlp", "autodiff", "--seed", 1, "--epochs", 2)["losses"]


@needs_torch
def test_mlp_agrees_with_pytorch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = first_losses("mlp", tmp_path, "--epochs", 20, "--log-interval", 1000)
    np.testing.assert_allclose(ours["losses"][:10], theirs["losses"][:10], rtol=2e-6)
    np.testing.assert_allclose(ours["losses"], theirs["losses"], rtol=1e-4)
    _, ours_printed, theirs_printed = capsys.readouterr().out.removesuffix("None\n").split("None\n")
    assert ours_printed == re.sub(r"torch\.Size\(\[(.*?)\]\)", r"(\1)", theirs_printed).replace("torch.", "")


def test_mlp_runs_as_a_program(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(translated((HERE / "scripts" / "mlp.py").read_text()))
    program = [sys.executable, script, "--epochs", "20", "--log-interval", "10"]
    answer = subprocess.run(program, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    assert re.search(r"epoch   20  loss 0\.\d{4}  test accuracy \d+\.\d%", answer.stdout)


# ---- A convolutional net with dropout, schedule and checkpoints ------------------------------------------------------


def test_cnn_learns_and_resumes(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    found = run("cnn", "autodiff", "--checkpoint", path)
    assert np.mean(found["losses"][-25:]) < 0.5 * np.mean(found["losses"][:10])
    assert found["accuracies"][-1] > 0.8
    np.testing.assert_allclose(found["rates"], [2 * 0.9**epoch for epoch in range(6)])
    checkpoint = ad.load(path)
    assert checkpoint["epoch"] == 6
    assert checkpoint["optimizer_state_dict"]["param_groups"][0]["lr"] == pytest.approx(2 * 0.9**6)
    more = run("cnn", "autodiff", "--checkpoint", path, "--resume", "--epochs", 7)
    assert len(more["accuracies"]) == 1
    assert np.mean(more["losses"]) < np.mean(found["losses"][-25:])  # it goes on, it does not begin anew
    assert more["rates"] == [pytest.approx(2 * 0.9**6)]


def test_a_resumed_run_repeats_the_uninterrupted_one(tmp_path: Path) -> None:
    # Without random draws after the start, nothing but the checkpoint carries the state.
    arguments = ["--no-shuffle", "--dropout", 0, "--checkpoint", tmp_path / "checkpoint.pt"]
    whole = run("cnn", "autodiff", *arguments, "--epochs", 2)
    run("cnn", "autodiff", *arguments, "--epochs", 1)
    rest = run("cnn", "autodiff", *arguments, "--epochs", 2, "--resume")
    assert rest["losses"] == whole["losses"][25:]
    assert rest["accuracies"] == whole["accuracies"][1:]


@needs_torch
@pytest.mark.parametrize("optimizer", [("adadelta", 2.0), ("sgd", 0.05)])
def test_cnn_agrees_with_pytorch(tmp_path: Path, optimizer: tuple[str, float]) -> None:
    name, lr = optimizer
    ours, theirs = first_losses("cnn", tmp_path, "--no-shuffle", "--dropout", 0, "--epochs", 1, "--optimizer", name,
                                "--lr", lr, "--checkpoint", tmp_path / "checkpoint.pt")
    np.testing.assert_allclose(ours["losses"][:5], theirs["losses"][:5], rtol=2e-6)
    np.testing.assert_allclose(ours["losses"], theirs["losses"], rtol=1e-3)


# ---- A residual net --------------------------------------------------------------------------------------------------


def test_residual_net_learns(capsys: pytest.CaptureFixture[str]) -> None:
    found = run("residual", "autodiff")
    assert np.mean(found["losses"][-5:]) < 0.5 * np.mean(found["losses"][:5])
    assert found["accuracy"] > 0.9
    rates = np.array(found["rates"])
    np.testing.assert_allclose(rates[:, 0], 0.05 * (1 + np.cos(np.pi * np.arange(48) / 48)), rtol=1e-12)
    np.testing.assert_allclose(rates[:, 1], rates[:, 0] / 2, rtol=1e-12)
    assert re.search(r"tensor\(\[\[ ?\d+,", capsys.readouterr().out)  # the confusion matrix


@needs_torch
def test_residual_net_agrees_with_pytorch(tmp_path: Path) -> None:
    ours, theirs = first_losses("residual", tmp_path, "--no-shuffle", "--epochs", 1)
    np.testing.assert_allclose(ours["losses"][:5], theirs["losses"][:5], rtol=1e-5)
    np.testing.assert_allclose(ours["norms"][:5], theirs["norms"][:5], rtol=1e-5)
    np.testing.assert_allclose(ours["losses"], theirs["losses"], rtol=1e-3)
    np.testing.assert_allclose(ours["rates"], theirs["rates"], rtol=1e-12)
