"""What all plots share: axes of their own where none are given, colours, and files."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autodiff.eager import Tensor
from autodiff.errors import DTypeError, ShapeError, ValueRangeError, missing_extra
from autodiff.spec import Array
from autodiff.viz.rendering import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, which people with any colour vision tell apart (https://jfly.uni-koeln.de/color/).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")
GRID: dict[str, Any] = {"alpha": 0.3, "linewidth": 0.6}


def new_figure(operation: str, width: float = 5.0, height: float = 3.6) -> Figure:
    """Return an empty figure that pyplot does not know of, in inches.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_extra(operation, "matplotlib", "plots") from None
    return Figure(figsize=(width, height), layout="constrained")


def axes_or_new(operation: str, ax: Any, width: float = 5.0, height: float = 3.6, **options: Any) -> Axes:
    """Return the given axes, or those of a new figure.

    Raises:
        MissingExtraError: if there are none and matplotlib is not installed.
        DTypeError: if something else is given, or flat axes for a picture in space, or the other way round.
    """
    if ax is None:
        made: Axes = new_figure(operation, width, height).add_subplot(**options)
        return made
    import matplotlib.axes

    in_space = options.get("projection") == "3d"
    if not isinstance(ax, matplotlib.axes.Axes) or (ax.name == "3d") != in_space:
        which = "add_subplot(projection='3d')" if in_space else "add_subplot()"
        raise DTypeError(operation, "it cannot be drawn on this", expected=f"axes, such as those of a figure's {which}",
                         got=type(ax).__name__)
    given: Axes = ax
    return given


def row_of(operation: str, numbers: Any) -> Array:
    """Return numbers, or tensors of one number each, as an array of one dimension.

    Raises:
        DTypeError: if that is not what they are.
    """
    with contextlib.suppress(TypeError, ValueError):
        row = np.array([x.item() if isinstance(x, Tensor) else x for x in numbers], np.float64)
        if row.ndim == 1:
            return row
    raise DTypeError(operation, "this is no row of numbers", expected="a sequence of numbers, one a step",
                     got=type(numbers).__name__)


def grid_of(operation: str, surface: Any) -> tuple[Array, Array, Array]:
    """Return the places and heights of a surface as arrays.

    Raises:
        DTypeError: if it is not made of x, y and z.
        ShapeError: if there is not a height for each place of the grid.
        ValueRangeError: if no height is finite.
    """
    try:
        x, y, z = (np.asarray(part, np.float64) for part in surface)
    except (TypeError, ValueError):
        raise DTypeError(operation, "this is no surface", got=type(surface).__name__,
                         expected="x, y and z, such as autodiff.landscape.heights returns") from None
    if z.shape != (*y.shape, *x.shape) or z.ndim != 2 or min(z.shape) < 2:
        raise ShapeError(operation, "the heights do not fit the grid",
                         expected=f"(rows, columns), each at least 2, of y {y.shape} and x {x.shape}", got=str(z.shape))
    if not np.isfinite(z).any():
        raise ValueRangeError(operation, "there is nothing to draw: no height is finite")
    return x, y, z


def draw_curve(ax: Axes, x: Any, y: Any, **style: Any) -> None:
    """Draw numbers as a line; one between two that are not finite is no part of a line, and gets a dot."""
    finite = np.pad(np.isfinite(np.asarray(y, np.float64)), 1)
    alone = np.flatnonzero(finite[1:-1] & ~finite[:-2] & ~finite[2:])
    if len(alone) and "marker" not in style:
        style |= {"marker": "o", "markersize": 3, "markevery": alone.tolist()}
    ax.plot(x, y, **style)


def whole_numbers(axis: Any) -> None:
    """Put ticks on whole numbers only: between two steps there is nothing."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def plain_numbers(axis: Any) -> None:
    """Write 0.02 at a tick of a logarithmic axis, not 2·10⁻²; between powers of ten where these are few."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0) if high < 100 * low else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))
    axis.set_minor_formatter(NullFormatter())


def save_figure(drawn: Any, path: str | os.PathLike[str], dpi: int = 150) -> None:
    """Write a figure to a file, whole or not at all; the same figure gives the same bytes.

    Args:
        drawn: axes, or a figure.
        path: its ending says the format: png, svg or pdf; png without one. Folders are made as needed.
        dpi: pixels an inch, of png.

    Raises:
        ValueRangeError: if matplotlib does not write this format.

    >>> import tempfile
    >>> from autodiff.viz.plots import save_figure, training_curves
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_figure(training_curves([3.0, 2.0, 1.0]), f"{folder}/loss.png")
    """
    import matplotlib

    figure = getattr(drawn, "figure", drawn)
    format = Path(path).suffix[1:] or "png"
    formats = figure.canvas.get_supported_filetypes()
    if format.lower() not in formats:
        raise ValueRangeError("save_figure", "this is no format of a figure", expected=", ".join(sorted(formats)),
                              got=repr(format))
    # Without these a file has the time, and random ids, in it, and an SVG every letter as a shape.
    dated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(format)
    picture = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "autodiff", "svg.fonttype": "none"}):
        figure.savefig(picture, format=format, dpi=dpi, metadata=dated)
    write_atomically(path, picture.getvalue())
