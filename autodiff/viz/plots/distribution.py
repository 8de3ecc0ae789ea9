"""The numbers of each layer, as one hill a layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from autodiff.errors import DTypeError, ValueRangeError
from autodiff.spec import Array
from autodiff.viz.plots.figures import COLOURS, GRID, axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Hill(NamedTuple):
    """How the numbers of a layer are distributed.

    Attributes:
        name: of the layer.
        share: (bins,), the share of all its numbers in each bin.
        zeros: share of zeros; they are in no bin.
        outside: share of numbers beyond the first and last bin; they are in no bin either.
        bad: share of infinities and NaN.
        deviation: standard deviation of the finite numbers.
        constant: where the numbers are that are finite and not zero, if they lie closer together than a bin is wide;
            0 if there are none but zeros; otherwise None.
    """

    name: str
    share: Array
    zeros: float
    outside: float
    bad: float
    deviation: float
    constant: float | None


def hills(layers: Mapping[str, Any], bins: int = 80, reach: float | None = None) -> tuple[Array, list[Hill]]:
    """Return the edges of bins and the distribution of each layer's numbers in them.

    Args:
        layers: arrays by name, as `autodiff.landscape.weights` and its like return them.
        bins: how many.
        reach: the bins go from minus this to this; by default so far that of each layer 99% lie inside.

    Raises:
        ValueRangeError: if there are no layers, no bins, or nothing is within reach.
        DTypeError: if these are no layers.

    >>> import numpy as np
    >>> from autodiff.viz.plots.distribution import hills
    >>> edges, (only,) = hills({"layer": np.array([-1.0, 0.0, 1.0, np.nan])}, bins=2)
    >>> edges.tolist(), only.share.tolist(), only.zeros, only.bad
    ([-1.0, 0.0, 1.0], [0.25, 0.25], 0.25, 0.25)
    """
    if not isinstance(layers, Mapping):
        raise DTypeError("distributions", "these are no layers", expected="a dict: name -> numbers, such as "
                         "autodiff.landscape.weights returns", got=type(layers).__name__)  # fmt: skip
    if reach is not None and not 0 < reach < np.inf:
        raise ValueRangeError("distributions", "the axis has no width", expected="reach > 0", got=str(reach))
    if not layers or bins < 1 or bins != int(bins):
        raise ValueRangeError("distributions", "there is nothing to draw", got=f"{len(layers)} layers, {bins} bins")
    numbers = {name: np.asarray(values, np.float64).ravel() for name, values in layers.items()}
    finite = {name: values[np.isfinite(values)] for name, values in numbers.items()}
    if reach is None:
        reach = max((float(np.quantile(np.abs(values), 0.99, method="higher"))
                     for values in finite.values() if len(values)), default=0.0) or 1.0
    edges = np.linspace(-reach, reach, bins + 1)
    found = []
    for name, values in numbers.items():
        inside, count = finite[name], max(1, len(values))
        others = inside[inside != 0]
        counts, _ = np.histogram(others, edges)
        outside, zeros = len(others) - int(counts.sum()), len(inside) - len(others)
        found.append(Hill(name, counts / count, zeros / count, outside / count, (len(values) - len(inside)) / count,
                          _deviation(inside), _constant(others if len(others) else inside, edges[1] - edges[0])))
    return edges, found


def _deviation(numbers: Array) -> float:
    """Return the standard deviation; exactly 0 for equal numbers, whose mean may be rounded."""
    if not len(numbers):
        return float("nan")
    return float(numbers.std()) if np.ptp(numbers) else 0.0


def _constant(numbers: Array, width: float) -> float | None:
    """Return the middle of numbers that lie closer together than this; None for others."""
    return float(np.median(numbers)) if len(numbers) and np.ptp(numbers) < width else None


def distributions(
    layers: Mapping[str, Any], ax: Axes | None = None, *, bins: int = 80, reach: float | None = None,
    title: str | None = None,
) -> Axes:
    """Draw how the numbers of each layer are distributed: one hill a layer, the first at the top.

    Beside each hill stand its standard deviation and the share of zeros and of numbers that are not finite. Heights are
    square roots of shares, so that flat hills are seen beside steep ones. Where all numbers of a layer are equal, or
    closer together than a bin is wide, there is no hill: a line stands at their value, which is noted.

    Args:
        layers: arrays by name: `weights`, `gradients` or `activations` of `autodiff.landscape`.
        ax: axes to draw on; by default those of a new figure.
        bins: how many values on the horizontal axis.
        reach: the hills go from minus this to this; by default so far that of each layer 99% lie inside.
        title: above.

    Returns:
        The axes.

    Raises:
        ValueRangeError: if there are no layers, no bins, or nothing is within reach.
        DTypeError: if these are no layers.
        MissingExtraError: if matplotlib is not installed.

    >>> import autodiff as ad
    >>> from autodiff.landscape import weights
    >>> from autodiff.viz.plots import distributions
    >>> ax = distributions(weights(ad.nn.Linear(4, 8)))
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['weight', 'bias']

    ![](../../../docs/pictures/distributions.svg)
    """
    edges, found = hills(layers, bins, reach)
    ax = axes_or_new("distributions", ax, 5.6, 1.0 + 0.42 * len(found))
    centres = (edges[:-1] + edges[1:]) / 2
    places = np.arange(len(found))[::-1]
    highest = max((float(hill.share.max()) for hill in found if hill.constant is None), default=0.0) or 1.0
    for place, hill in zip(places, found):
        nearer = len(found) - place
        if hill.constant is None:
            height = 1.6 * np.sqrt(hill.share / highest)
            ax.fill_between(centres, place, place + height, color=COLOURS[0], alpha=0.55, linewidth=0, zorder=nearer)
        else:
            height = np.zeros_like(centres)
            if abs(hill.constant) <= edges[-1]:
                ax.plot([hill.constant] * 2, [place, place + 0.8], color=COLOURS[0], linewidth=2, zorder=nearer)
        ax.plot(centres, place + height, color=COLOURS[0], linewidth=0.8, zorder=nearer)
        notes = [f"σ {hill.deviation:.2g}"]
        notes += [f"at {hill.constant:.3g}"] if hill.constant else []
        notes += [f"{hill.zeros:.0%} zero"] if hill.zeros >= 0.005 else []
        notes += [f"{hill.bad:.1%} not finite"] if hill.bad else []
        ax.annotate(", ".join(notes), (1.01, place), xycoords=("axes fraction", "data"), fontsize="small",
                    color=COLOURS[1] if hill.bad else "#555555", va="bottom")
    ax.set_yticks(places, [hill.name for hill in found])
    # A little wider than the hills: a line at their end stands beside the frame, not on it.
    ax.set(xlim=(1.03 * edges[0], 1.03 * edges[-1]), ylim=(-0.2, len(found) + 0.9), title=title or "")
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", **GRID)
    return ax
