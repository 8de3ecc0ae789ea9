"""Optimizers on surfaces over two weights: their paths, and how they go them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path as File
from typing import TYPE_CHECKING, Any

import numpy as np

from autodiff.errors import DTypeError, ValueRangeError
from autodiff.spec import Array
from autodiff.viz.plots.figures import COLOURS, axes_or_new, grid_of
from autodiff.viz.rendering import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def descent(
    surface: Any, paths: Mapping[str, Any] | None = None, ax: Axes | None = None, *, minimum: Any = None,
    flat: bool = True,
) -> Axes:
    """Draw a surface over two weights, and the paths of optimizers on it.

    Args:
        surface: x, y and z of `autodiff.landscape.heights`.
        paths: by name: points and values of `autodiff.landscape.descend`.
        ax: axes to draw on, three-dimensional ones for a surface that is not flat; by default those of a new figure.
        minimum: a point to mark with a star.
        flat: seen from above, with contours (of the logarithm of the height, where heights differ much); otherwise from
            the side.

    Returns:
        The axes.

    Raises:
        DTypeError, ShapeError, ValueRangeError: if `surface` is none, `paths` are none, or nothing on it is finite.
        MissingExtraError: if matplotlib is not installed.

    >>> import autodiff as ad
    >>> from autodiff.landscape import beale, descend, heights
    >>> from autodiff.viz.plots import descent
    >>> path = descend(beale, lambda p: ad.optim.Adam(p, lr=0.1), (1.0, 1.5), 100)
    >>> ax = descent(heights(beale, (-0.5, 4.5, -1.5, 2.0)), {"Adam": path}, minimum=(3, 0.5))
    >>> ax.get_xlabel(), ax.get_xlim()[1]
    ('first weight', np.float64(4.5))

    ![](../../../docs/pictures/descent.png)
    """
    paths = _paths_of("descent", paths or {})
    x, y, z = grid_of("descent", surface)
    if not flat:
        ax = axes_or_new("descent", ax, 5, 4.4, projection="3d")
        ax.plot_surface(*np.meshgrid(x, y), z, cmap="viridis", alpha=0.85, linewidth=0)  # type: ignore[attr-defined]
        for place, (name, (points, values)) in enumerate(paths.items()):
            ax.plot(*points.T, values, color=COLOURS[place % len(COLOURS)], label=name, zorder=5)
        ax.set(xlabel="first weight", ylabel="second weight")
    else:
        ax = axes_or_new("descent", ax, 5, 4)
        contours(ax, x, y, z)
        for place, (name, (points, _)) in enumerate(paths.items()):
            colour = COLOURS[place % len(COLOURS)]
            ax.plot(*points.T, "-o", color=colour, label=name, linewidth=1.3, markersize=2.2)
            ax.plot(*points[0], "o", color="white", markeredgecolor="black", markersize=5)
        if minimum is not None:
            ax.plot(*minimum, "*", color="#f0e442", markeredgecolor="black", markersize=12)
        # A path may leave the picture; the picture does not follow it.
        ax.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]), xlabel="first weight", ylabel="second weight")
    if paths:
        ax.legend(fontsize="small")
    return ax


def _paths_of(operation: str, paths: Any) -> dict[str, tuple[Array, Array]]:
    """Return points and values of each path; raise where these are no paths."""
    wanted = "a dict: name -> points and values, such as autodiff.landscape.descend returns"
    found = {}
    try:
        for name, (points, values) in paths.items():
            found[name] = np.asarray(points, np.float64).reshape(len(values), 2), np.asarray(values, np.float64)
    except (AttributeError, TypeError, ValueError):
        raise DTypeError(operation, "these are no paths", expected=wanted,
                         got=type(paths).__name__) from None
    return found


def contours(ax: Axes, x: Any, y: Any, z: Any) -> None:
    """Draw heights as shades of grey with lines; those that differ by more than a factor of 100 by their logarithm."""
    finite = np.asarray(z)[np.isfinite(z)]
    low, high = finite.min(), finite.max()
    above = finite - low
    middle = np.median(above)
    if high > low and middle > 0 and (high - low) / middle > 20:
        # The logarithm of the height above the lowest place, softened near it.
        z = np.log10(z - low + 1e-3 * middle)
    ax.contourf(x, y, z, levels=24, cmap="Greys_r", alpha=0.75)
    ax.contour(x, y, z, levels=12, colors="black", linewidths=0.3, alpha=0.5)


def animate_descent(
    surface: Any, paths: Mapping[str, Any], path: str | os.PathLike[str], *, minimum: Any = None, frames: int = 60,
    seconds: float = 6.0, width: float = 4.8, height: float = 3.8, dpi: int = 90,
) -> None:
    """Write an animated GIF of optimizers that walk on a surface at the same pace.

    Args:
        surface, paths, minimum: as for `descent`, seen from above.
        path: of the file, a GIF that repeats.
        frames: number of pictures; each moves all optimizers on by the same number of steps.
        seconds: for one repetition.
        width, height: in inches.
        dpi: pixels an inch.

    Raises:
        ValueRangeError: if there are no paths, frames or seconds, or the file is no GIF.
        DTypeError, ShapeError: as `descent`.
        MissingExtraError: if matplotlib is not installed.

    >>> import tempfile
    >>> import autodiff as ad
    >>> from autodiff.landscape import descend, heights, saddle
    >>> from autodiff.viz.plots import animate_descent
    >>> walk = descend(saddle, lambda p: ad.optim.SGD(p, lr=0.1), (1.0, 0.01), 20)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     animate_descent(heights(saddle, (-1, 1.5, -2, 2), 30), {"SGD": walk}, f"{folder}/saddle.gif", frames=3)

    ![](../../../docs/pictures/saddle.gif)
    """
    walks = _paths_of("animate_descent", paths)
    if not walks or frames < 1 or not seconds > 0:
        raise ValueRangeError("animate_descent", "there is nothing to animate", expected="paths, frames, and seconds",
                              got=f"{len(walks)} paths, {frames} frames, {seconds} seconds")
    if File(path).suffix.lower() != ".gif":
        raise ValueRangeError("animate_descent", "an animation is a GIF", expected="a name that ends in .gif",
                              got=repr(os.fspath(path)))
    ax = axes_or_new("animate_descent", None, width, height)
    from matplotlib.animation import PillowWriter
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    descent(surface, {}, ax, minimum=minimum)
    lines = []
    for place, (name, (points, _)) in enumerate(walks.items()):
        colour = COLOURS[place % len(COLOURS)]
        (line,) = ax.plot([], [], "-", color=colour, label=name, linewidth=1.3)
        (head,) = ax.plot([], [], "o", color=colour, markeredgecolor="white", markersize=7)
        lines.append((points, line, head))
    ax.legend(fontsize="small", loc="upper right")
    longest = max(len(points) for points, _, _ in lines)
    figure: Any = ax.get_figure()
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # it has been laid out, once for all pictures
    writer = PillowWriter(fps=max(1, round(frames / seconds)))
    with tempfile.TemporaryDirectory() as folder:
        file = File(folder, "descent.gif")
        with writer.saving(figure, file, dpi):
            for step in np.linspace(1, longest, frames).round().astype(int):
                for points, line, head in lines:
                    seen = points[:step]
                    line.set_data(*seen.T)
                    head.set_data(*seen[-1:].T)
                writer.grab_frame()
        write_atomically(path, file.read_bytes())
