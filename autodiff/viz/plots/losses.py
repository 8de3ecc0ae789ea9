"""The loss around the weights of a model, and along the steps of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from autodiff.errors import DTypeError, ValueRangeError
from autodiff.viz.plots.figures import COLOURS, GRID, axes_or_new, draw_curve, grid_of, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WALK = {
    "losses": "loss along the steps",
    "heights": "height above the floor",
    "distances": "distance from the start",
    "lengths": "length of the step",
    "angles": "angle between gradients, °",
}


def loss_line(line: Any, ax: Axes | None = None, *, value: str = "loss", ends: tuple[float, ...] = (0.0, 1.0)) -> Axes:
    """Draw what was measured along a line through a model's weights.

    Args:
        line: of `autodiff.landscape.loss_along`.
        ax: axes to draw on; by default those of a new figure.
        value: which of the numbers that were measured.
        ends: places to mark: the solutions that the line goes through.

    Returns:
        The axes.

    Raises:
        ValueRangeError: if the number was not measured.
        DTypeError: if nothing was.
        MissingExtraError: if matplotlib is not installed.

    >>> import autodiff as ad
    >>> from autodiff.landscape import loss_along, towards
    >>> from autodiff.viz.plots import loss_line
    >>> model, other = ad.nn.Linear(2, 1), ad.nn.Linear(2, 1)
    >>> measure = lambda: model(ad.ones(1, 2)).square().sum()
    >>> ax = loss_line(loss_along(measure, model, towards(model, other.state_dict()), -0.5, 1.5))
    >>> ax.get_ylabel()
    'loss'

    ![](../../../docs/pictures/loss_line.svg)
    """
    x, y = _chosen("loss_line", line, 2, value)
    ax = axes_or_new("loss_line", ax)
    draw_curve(ax, x, y, color=COLOURS[0], linewidth=1.5)
    for end in ends:
        if x[0] <= end <= x[-1]:
            ax.plot(end, np.interp(end, x, y), "o", color=COLOURS[1], markeredgecolor="white", markersize=7)
    ax.set(xlabel="along the direction", ylabel=value)
    ax.grid(**GRID)
    return ax


def loss_surface(
    surface: Any, ax: Axes | None = None, *, value: str = "loss", flat: bool = True, log: bool = False,
    marks: Any = ((0.0, 0.0),),
) -> Axes:
    """Draw what was measured over a plane through a model's weights.

    Args:
        surface: of `autodiff.landscape.loss_over`.
        ax: axes to draw on, three-dimensional ones for a surface that is not flat; by default those of a new figure.
        value: which of the numbers that were measured.
        flat: as contours with their numbers; otherwise as a surface in space.
        log: the logarithm of the numbers, to base 10.
        marks: points to mark on contours: solutions in the plane.

    Returns:
        The axes.

    Raises:
        ValueRangeError: if the number was not measured.
        DTypeError: if nothing was.
        MissingExtraError: if matplotlib is not installed.

    >>> import autodiff as ad
    >>> from autodiff.landscape import filter_normalised, loss_over
    >>> from autodiff.viz.plots import loss_surface
    >>> model = ad.nn.Linear(2, 2)
    >>> directions = filter_normalised(model), filter_normalised(model)
    >>> ax = loss_surface(loss_over(lambda: model(ad.ones(1, 2)).square().sum(), model, *directions, points=9))
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('first direction', 'second direction')

    ![](../../../docs/pictures/loss_surface.svg)
    """
    x, y, z = grid_of("loss_surface", _chosen("loss_surface", surface, 3, value))
    if log:
        z = np.log10(np.maximum(z, np.finfo(np.float64).tiny))
    label = f"log₁₀ of the {value}" if log else value
    if flat:
        ax = axes_or_new("loss_surface", ax, 5, 4)
        lines = ax.contour(x, y, z, levels=18, cmap="viridis", linewidths=1.0)
        ax.clabel(lines, fontsize=7)
        for mark in marks:
            ax.plot(*mark, "o", color=COLOURS[1], markeredgecolor="white", markersize=7)
        ax.set(title=label)
    else:
        ax = axes_or_new("loss_surface", ax, 5, 4.4, projection="3d")
        ax.plot_surface(*np.meshgrid(x, y), z, cmap="viridis", linewidth=0)  # type: ignore[attr-defined]
        ax.set_zlabel(label)  # type: ignore[attr-defined]
    ax.set(xlabel="first direction", ylabel="second direction")
    return ax


def _chosen(operation: str, measured: Any, parts: int, value: str) -> list[Any]:
    """Return the places of a line or surface, and one of the numbers that were measured there."""
    if not isinstance(measured, Sequence) or len(measured) != parts or not isinstance(measured[-1], Mapping):
        wanted = "loss_along" if parts == 2 else "loss_over"
        raise DTypeError(operation, "this was not measured", expected=f"what autodiff.landscape.{wanted} returns",
                         got=type(measured).__name__)
    *places, values = measured
    if value not in values:
        raise ValueRangeError(operation, "this was not measured", expected=", ".join(values), got=value)
    return [*places, values[value]]


def walk(walked: Any, ax: Axes | None = None, *, quantity: str = "losses") -> Axes:
    """Draw a training as a walk: the loss along the line of each step, or another number of it.

    Args:
        walked: an `autodiff.landscape.Walk`.
        ax: axes to draw on; by default those of a new figure.
        quantity: ``"losses"``: the loss on the line from each step's weights to the next (where it falls and rises
            again between two dots, the step went across a valley); ``"heights"``, ``"distances"``, ``"lengths"`` or
            ``"angles"``: one number a step.

    Returns:
        The axes.

    Raises:
        ValueRangeError: for another quantity, or before the first step.
        DTypeError: for something else than a walk.
        MissingExtraError: if matplotlib is not installed.

    >>> import autodiff as ad
    >>> from autodiff.landscape import Walk
    >>> from autodiff.viz.plots import walk
    >>> model = ad.nn.Linear(2, 1)
    >>> optimizer, walked = ad.optim.SGD(model.parameters(), lr=0.1), Walk(model)
    >>> measure = lambda: model(ad.ones(1, 2)).square().sum()
    >>> for _ in range(3):
    ...     optimizer.zero_grad()
    ...     measure().backward()
    ...     with walked.step(measure):
    ...         optimizer.step()
    >>> walk(walked, quantity="distances").get_ylabel()
    'distance from the start'

    ![](../../../docs/pictures/walk.svg)
    """
    if quantity not in _WALK:
        raise ValueRangeError("walk", "there is no such quantity", expected=", ".join(_WALK), got=repr(quantity))
    steps = getattr(walked, quantity, None)
    if steps is None:
        raise DTypeError("walk", "this is no walk", expected="an autodiff.landscape.Walk", got=type(walked).__name__)
    if not len(steps):
        raise ValueRangeError("walk", "there is nothing to draw yet", got=f"{len(walked.losses)} steps")
    ax = axes_or_new("walk", ax)
    if quantity == "losses":
        for number, losses in enumerate(steps):
            draw_curve(ax, np.linspace(number, number + 1, len(losses)), losses, color=COLOURS[0], linewidth=1.2)
            ax.plot(number, losses[0], "o", color=COLOURS[1], markersize=3, zorder=3)
    else:
        # The first angle is between the first two steps.
        first = 2 if quantity == "angles" else 1
        draw_curve(ax, np.arange(first, first + len(steps)), steps, color=COLOURS[0], linewidth=1.3)
    ax.set(xlabel="step", ylabel=_WALK[quantity])
    whole_numbers(ax.xaxis)
    ax.grid(**GRID)
    return ax
