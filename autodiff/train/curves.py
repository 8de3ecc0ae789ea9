"""Training curves as a picture."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autodiff.errors import ValueRangeError, missing_extra
from autodiff.serialization import write_atomically

_COLOURS = {"train": "#5b7bb4", "test": "#d1602f"}


def plot_curves(history: Sequence[dict[str, Any]], path: str | os.PathLike[str], title: str | None = None) -> None:
    """Draw the history of a training to a file: one panel for the loss and one for each metric, over the epochs.

    Args:
        history: of a `Trainer`.
        path: its ending says the format: png, svg or pdf.
        title: above.

    Raises:
        ValueRangeError: if the history is empty.
        MissingExtraError: if matplotlib is not installed.
    """
    if not history:
        raise ValueRangeError("plot_curves", "there is nothing to draw: the history is empty")
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator, PercentFormatter
    except ImportError:
        raise missing_extra("plot_curves", "matplotlib", "plots") from None
    names = [name.removeprefix("train_") for name in history[0] if name.startswith("train_")]
    # A figure of its own, without pyplot: it needs no screen and leaves the user's figures and backend alone.
    figure = Figure(figsize=(5 * len(names), 3.6), layout="constrained")
    if title:
        figure.suptitle(title)
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for part, colour in _COLOURS.items():
            points = [(entry["epoch"], entry[f"{part}_{name}"]) for entry in history if f"{part}_{name}" in entry]
            if points:
                axes.plot(*zip(*points, strict=True), marker="o", markersize=3, color=colour, label=part)
        axes.set(xlabel="epoch", ylabel=name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if name == "loss" and all(entry["train_loss"] > 0 for entry in history):
            axes.set_yscale("log")
        if name == "accuracy":
            axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.grid(alpha=0.3)
        axes.legend()
    picture = io.BytesIO()
    path = Path(path)
    figure.savefig(picture, format=path.suffix[1:] or "png", dpi=150)
    write_atomically(path, picture.getvalue())
