"""Training curves: loss and metrics over epochs or steps."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from autodiff.errors import ValueRangeError
from autodiff.spec import Array
from autodiff.viz.plots.figures import (
    COLOURS,
    GRID,
    axes_or_new,
    draw_curve,
    new_figure,
    plain_numbers,
    row_of,
    save_figure,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def running_average(values: Sequence[float] | Array, last: int) -> Array:
    """Return, for each value, the mean of the last ones up to it; at the beginning, of those there are.

    Args:
        values: numbers in order, such as the loss of each mini-batch.
        last: how many to average over, at least 1.

    Raises:
        ValueRangeError: for a smaller number.
        DTypeError: if these are no numbers.

    >>> from autodiff.viz.plots import running_average
    >>> running_average([4, 2, 0, 0], 2).tolist()
    [4.0, 3.0, 1.0, 0.0]

    ![](../../../docs/pictures/running_average.svg)
    """
    if last < 1 or last != int(last):
        raise ValueRangeError("running_average", "an average needs a value", expected="last >= 1", got=str(last))
    numbers = row_of("running_average", values)
    # Means of windows, not differences of one running sum: an infinite loss stays in its own windows.
    first = np.cumsum(numbers[:last - 1]) / np.arange(1, len(numbers[:last - 1]) + 1)
    if len(numbers) < last:
        return first
    return np.concatenate([first, np.lib.stride_tricks.sliding_window_view(numbers, last).mean(1)])


def training_curves(
    runs: Any, ax: Axes | None = None, *, value: str = "loss", average: int = 1, log: bool | None = None
) -> Axes:
    """Draw one or several trainings: a number over the epochs or steps.

    Args:
        runs: the `history` of a `Trainer`, a sequence of numbers (one a step), or several of either by name.
        ax: axes to draw on; by default those of a new figure.
        value: of a history, which number: its ``train_...`` is drawn as a line, its ``test_...`` dashed.
        average: draw the mean over the last so many values; the values themselves are faint behind it.
        log: whether the axis is logarithmic; by default for a loss that is positive wherever it is finite.

    Returns:
        The axes.

    Raises:
        ValueRangeError: if there is nothing to draw, or nothing to average over.
        DTypeError: if a run is no history and no row of numbers.
        MissingExtraError: if matplotlib is not installed.

    >>> from autodiff.viz.plots import training_curves
    >>> ax = training_curves({"SGD": [1.0, 0.5, 0.4], "Adam": [1.0, 0.3, 0.1]}, average=2)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['SGD', 'Adam']

    ![](../../../docs/pictures/training_curves.svg)
    """
    if average < 1 or average != int(average):
        raise ValueRangeError("training_curves", "an average needs a value", expected="average >= 1", got=str(average))
    named = runs if isinstance(runs, Mapping) else {"": runs}
    curves = [curve for place, (name, run) in enumerate(named.items())
              for curve in _curves_of(run, name, value, COLOURS[place % len(COLOURS)], len(named) == 1)]
    if not curves:
        raise _nothing_to_draw(named, value)
    ax = axes_or_new("training_curves", ax)
    for x, y, label, style in curves:
        if average > 1:
            draw_curve(ax, x, y, color=style["color"], alpha=0.25, linewidth=0.8)
        draw_curve(ax, x, running_average(y, average) if average > 1 else y, label=label, **style)
    epochs = any(_is_history(run) for run in named.values())
    ax.set(xlabel="epoch" if epochs else "step",
           ylabel=value if average == 1 else f"{value}, mean of the last {average}")
    whole_numbers(ax.xaxis)
    if log is None:
        numbers = np.concatenate([y[np.isfinite(y)] for _, y, _, _ in curves])
        log = value == "loss" and len(numbers) > 0 and bool((numbers > 0).all())
    if log:
        ax.set_yscale("log")
        plain_numbers(ax.yaxis)
    if value == "accuracy":
        from matplotlib.ticker import PercentFormatter

        ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.grid(**GRID)
    if any(label for _, _, label, _ in curves):
        ax.legend()
    return ax


def _is_history(run: Any) -> bool:
    return isinstance(run, Sequence) and len(run) > 0 and isinstance(run[0], Mapping)


def _nothing_to_draw(runs: Mapping[str, Any], value: str) -> ValueRangeError:
    """Return the error to raise where no run has a number to draw."""
    entries = [entry for run in runs.values() if _is_history(run) for entry in run]
    keys = {str(key): None for entry in entries for key in entry}
    known = sorted({key.partition("_")[2] for key in keys if key.startswith(("train_", "test_"))})
    if known:
        expected, got = f"value={' or '.join(map(repr, known))}", f"value={value!r}"
    else:
        expected = f"numbers, or the history of a Trainer: entries with train_{value} or test_{value}"
        without = "a run without numbers" if len(runs) == 1 else f"{len(runs) or 'no'} runs without numbers"
        got = f"entries with {', '.join(keys) or 'nothing'}" if entries else without
    return ValueRangeError("training_curves", f"there is nothing to draw: no run has a {value}", expected=expected,
                           got=got)


def _curves_of(
    run: Any, name: str, value: str, colour: str, alone: bool
) -> list[tuple[Any, Array, str, dict[str, Any]]]:
    """Return x, y, label and style of a run's curves."""
    if not _is_history(run):
        y = row_of("training_curves", run)
        return [(np.arange(1, len(y) + 1), y, name, {"color": colour, "linewidth": 1.5})] if len(y) else []
    curves: list[tuple[Any, Array, str, dict[str, Any]]] = []
    for part in ("train", "test"):
        points = [(entry.get("epoch", place), entry[f"{part}_{value}"]) for place, entry in enumerate(run, 1)
                  if f"{part}_{value}" in entry]
        if points:
            style = {"color": COLOURS[1] if alone and part == "test" else colour, "linewidth": 1.5, "marker": "o",
                     "markersize": 3, "linestyle": "-" if part == "train" else "--"}
            epochs, numbers = zip(*points)
            curves.append((epochs, row_of("training_curves", numbers), f"{name} {part}".strip(), style))
    return curves


def plot_curves(history: Sequence[dict[str, Any]], path: str | os.PathLike[str], title: str | None = None) -> None:
    """Draw the history of a training to a file: one panel for the loss and one for each metric, over the epochs.

    Args:
        history: of a `Trainer`.
        path: its ending says the format: png, svg or pdf.
        title: above.

    Raises:
        ValueRangeError: if the history is empty, or has no number of the training.
        MissingExtraError: if matplotlib is not installed.

    >>> import tempfile
    >>> from autodiff.viz.plots import plot_curves
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     plot_curves([{"epoch": 1, "train_loss": 0.5}, {"epoch": 2, "train_loss": 0.1}], f"{folder}/curve.svg")
    """
    if not history:
        raise ValueRangeError("plot_curves", "there is nothing to draw: the history is empty")
    names = [name.removeprefix("train_") for name in history[0] if name.startswith("train_")]
    if not names:
        raise ValueRangeError("plot_curves", "there is nothing to draw", expected="train_loss in each entry",
                              got=", ".join(map(str, history[0])) or "nothing")
    figure = new_figure("plot_curves", 5 * len(names))
    if title:
        figure.suptitle(title)
    for ax, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names):
        training_curves(history, ax, value=name)
    save_figure(figure, path)
