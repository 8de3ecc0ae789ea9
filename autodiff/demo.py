"""The demonstration: a small residual convolutional net learns to read handwritten digits."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from autodiff import nn, optim
from autodiff.creation import randint
from autodiff.datasets import digits
from autodiff.eager import Tensor, wrap
from autodiff.errors import MissingExtraError
from autodiff.nn import functional as F
from autodiff.random import manual_seed
from autodiff.serialization import save, write_atomically
from autodiff.train import Trainer, accuracy, plot_curves
from autodiff.utils.data import DataLoader
from autodiff.viz import draw


class ResidualBlock(nn.Module):
    """Two convolutions with batch norm whose result is added to the input (He et al., CVPR 2016).

    Args:
        channels: of the input, (N, channels, H, W).
        out_channels: of the output.
        stride: of the first convolution. Where it or the channels change the shape, the input goes through a 1x1
            convolution.
    """

    def __init__(self, channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out_channels, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(shortcut(x) + norm2(conv2(relu(norm1(conv1(x))))))."""
        y = F.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        z: Tensor = F.relu(y + self.shortcut(x))
        return z


class DigitsNet(nn.Module):
    """A residual net for images of 8 by 8 pixels: (N, 1, 8, 8) -> (N, 10) scores."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.layer1 = ResidualBlock(16, 16)
        self.layer2 = ResidualBlock(16, 32, stride=2)
        self.layer3 = ResidualBlock(32, 64, stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores of the ten digits."""
        x = self.layer3(self.layer2(self.layer1(self.stem(x))))
        scores: Tensor = self.head(self.pool(x).flatten(1))
        return scores


def shifted(images: Tensor) -> Tensor:
    """Return images, (N, C, H, W), each moved by up to one pixel in both directions; what comes in is empty."""
    n, _, height, width = images.shape
    padded = np.pad(images.array, ((0, 0), (0, 0), (1, 1), (1, 1)))
    offsets = randint(0, 3, (n, 2)).array
    rows = offsets[:, :1] + np.arange(height)
    columns = offsets[:, 1:] + np.arange(width)
    picked = padded[np.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]]  # (N, H, W, C)
    return wrap(picked.transpose(0, 3, 1, 2))


def weights_hash(model: nn.Module) -> str:
    """Return the SHA-256 of all names and bits of a model's state."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor.array).tobytes())
    return digest.hexdigest()


def main(
    out: str | os.PathLike[str] = "out/demo", epochs: int = 15, seed: int = 0, progress: bool = True
) -> dict[str, Any]:
    """Train `DigitsNet` on the handwritten digits and write what came out of it.

    Args:
        out: folder for ``metrics.json``, ``history.json``, ``model.safetensors``, ``curve.png``, ``model.svg`` (the
            graph of the model), ``step.svg`` (that of a whole training step) and ``overview.svg`` (the same with one
            node a module).
        epochs: passes over the training set.
        seed: of weights, order and shifts; the same seed gives the same bits.
        progress: show a progress bar.

    Returns:
        What ``metrics.json`` holds.

    Raises:
        MissingExtraError: if scikit-learn, which brings the digits, is not installed.
    """
    start = time.perf_counter()
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    print("Learning to read digits. The first run begins with compiling kernels; later runs find them on disk.")
    manual_seed(seed)
    train, test = digits()
    train_loader = DataLoader(train, batch_size=64, shuffle=True, drop_last=True)
    test_loader = DataLoader(test, batch_size=len(test))
    model = DigitsNet()
    optimizer = optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.01)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs * len(train_loader))
    trainer = Trainer(model, optimizer, nn.CrossEntropyLoss(), scheduler=scheduler, schedule="batch",
                      metrics={"accuracy": accuracy}, augment=shifted, progress=progress)
    history = trainer.fit(train_loader, test_loader, epochs)

    metrics = {
        "test_accuracy": history[-1]["test_accuracy"],
        "test_loss": history[-1]["test_loss"],
        "seconds": time.perf_counter() - start,
        "seed": seed,
        "epochs": epochs,
        "parameters": sum(p.numel() for p in model.parameters()),
        "train_samples": len(train),
        "test_samples": len(test),
        "weights_sha256": weights_hash(model),
    }
    save(model.state_dict(), folder / "model.safetensors")
    _write_json(folder / "history.json", history)
    written = ["metrics.json", "history.json", "model.safetensors"]
    remarks = []
    try:
        plot_curves(history, folder / "curve.png", title="Handwritten digits")
        written.append("curve.png")
    except MissingExtraError as error:
        remarks.append(f"No curve.png: {error}")
    try:
        _draw(model, next(iter(train_loader)), folder)
        written += ["model.svg", "step.svg", "overview.svg"]
    except MissingExtraError as error:
        remarks.append(f"No graphs: {error}")
    metrics["seconds"] = time.perf_counter() - start
    _write_json(folder / "metrics.json", metrics)

    print(f"{metrics['test_accuracy']:.2%} of {len(test)} held-out digits read correctly: {epochs} epochs, "
          f"{metrics['parameters']:,} parameters, seed {seed}, {metrics['seconds']:.1f} s.")
    print(f"Written to {folder}/: {', '.join(written)}")
    for remark in remarks:
        print(remark)
    return metrics


def _draw(model: nn.Module, batch: Any, folder: Path) -> None:
    """Draw the model, and a whole step of its training (forward, backward and update) in full and module by module."""
    inputs, targets = batch
    model = copy.deepcopy(model)  # a step changes the weights
    draw(model.eval(), inputs, title="The model").render(outfile=folder / "model.svg")
    step = Trainer(model.train(), optim.AdamW(model.parameters()), nn.CrossEntropyLoss()).step
    for name, depth in (("step", None), ("overview", 1)):
        draw(step, inputs, targets, depth=depth, title="A training step").render(outfile=folder / f"{name}.svg")


def _write_json(path: Path, value: Any) -> None:
    write_atomically(path, (json.dumps(value, indent=2) + "\n").encode())
