"""The figures of the page: ratios as bars, rates under the machine's roofs, growth along a sweep."""

from __future__ import annotations

import importlib.util
import math
import statistics
from collections.abc import Sequence
from typing import Any

from autodiff.roofline import bandwidth
from benchmarks.report import words
from benchmarks.report.digest import Comparison, Group, Row, family, median, title
from benchmarks.report.html import Html, element, join
from benchmarks.report.scaling import Curve, curves
from benchmarks.report.svg import COLOURS, FAINT, FASTER, INK, PAPER, RULE, SLOWER, framed, new_figure, style

MANY = 40  # rows: beyond, the distribution of the ratios is drawn instead of each
FARTHEST = 5.0  # ratio: bars that are longer are cut and bear their number
MARKERS = "osD^v"
QUARTILES = "The line goes from the first quartile to the third."
DASHES = ((None, None), (6, 2), (3, 2), (1, 2))

Bar = tuple[float, float, float] | None  # low, ratio, high


def available() -> bool:
    """Tell whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def figures(group: Group, limits: dict[str, Any] | None) -> Html:
    """Return all figures of a group."""
    name = f"{group.suite}-{group.threads}"
    drawn = [ratios(group, name)]
    if limits is not None:
        drawn.append(roofline(group, limits, f"{name}-roofline"))
    return join([*drawn, growth(group)])


def growth(group: Group) -> Html:
    """Return the curves of a group, a panel for each series; nothing without any."""
    series: dict[str, list[Curve]] = {}
    for curve in curves(group):
        series.setdefault(curve.series, []).append(curve)
    name = f"{group.suite}-{group.threads}-scaling"
    panels = [scaling(found, group.contenders, f"{name}-{i}") for i, found in enumerate(series.values())]
    return element("div", *panels, class_="side") if panels else Html("")


def medians(groups: Sequence[Group], peers: Sequence[str]) -> Html:
    """Return bars of the median ratios of all groups, with the quartiles."""
    labels = [f"{group.suite}, {words.threads(group.threads)}" for group in groups]
    panels = {peer: [quartiles(group.comparisons(peer)) for group in groups] for peer in peers}
    return bars(labels, panels, "summary", f"Median ratio in each suite. {QUARTILES}")


def quartiles(found: list[Comparison]) -> Bar:
    """Return the quartiles of some ratios with the median between them."""
    if not found:
        return None
    if len(found) < 2:
        return (found[0].ratio,) * 3
    low, _, high = statistics.quantiles([entry.ratio for entry in found], n=4, method="inclusive")
    return low, median(found), high


def ratios(group: Group, name: str) -> Html:
    """Return bars of a group's ratios; of a large one, their distribution, and the medians of its families."""
    what = "memory" if all(row["measure"] == "bytes" for row in group.rows) else "time"
    if len(group.rows) <= MANY:
        panels = {peer: [interval(row["results"].get(peer)) for row in group.rows] for peer in group.peers}
        return bars([title(row) for row in group.rows], panels, f"{name}-ratios",
                    f"The peer's {what} divided by autodiff's: right of 1, autodiff's is less. With the 95% interval.")
    drawn = []
    families = list(dict.fromkeys(family(row) for row in group.rows))
    if len(families) <= MANY:
        panels = {
            peer: [quartiles([entry for entry in group.comparisons(peer) if family(entry.row) == each])
                   for each in families]
            for peer in group.peers
        }
        drawn.append(bars(families, panels, f"{name}-families",
                          f"Median ratio of each family of cases. {QUARTILES}"))
    return join([*drawn, histograms(group, f"{name}-histograms", what)])


def interval(result: dict[str, Any] | None) -> Bar:
    """Return a result's ratio with its interval."""
    if result is None or result["status"] != "ok" or result["ratio"] is None:
        return None
    return result["low"] or result["ratio"], result["ratio"], result["high"] or result["ratio"]


def bars(labels: Sequence[str], panels: dict[str, list[Bar]], name: str, caption: str) -> Html:
    """Return a figure with a panel for each peer: horizontal bars on a logarithmic axis that start at 1."""
    panels = {peer: found for peer, found in panels.items() if any(found)}
    if not panels:
        return Html("")
    left = 0.07 * max(len(label) for label in labels) + 0.15
    width, height = left + 1.75 * len(panels) + 0.15, 0.21 * len(labels) + 0.8
    with style():
        figure, axes = new_figure(width, height, len(panels), left=left, sharey=True)
        for axis, (peer, found) in zip(axes, panels.items()):
            places = [place for place, bar in enumerate(found) if bar]
            lows, middles, highs = zip(*filter(None, found))
            colours = [FASTER if ratio >= 1 else SLOWER for ratio in middles]
            axis.barh(places, [ratio - 1 for ratio in middles], left=1, height=0.68, color=colours, zorder=2)
            axis.plot(middles, places, "|", color=INK, markersize=4, zorder=3)
            axis.hlines(places, lows, highs, color=INK, linewidth=1, zorder=3)
            for place, ratio in zip(places, middles):
                if not 1 / FARTHEST < ratio < FARTHEST:
                    axis.annotate(words.ratio(ratio), (FARTHEST if ratio > 1 else 1 / FARTHEST, place), color=PAPER,
                                  ha="right" if ratio > 1 else "left", va="center", fontsize=7, fontweight="bold")
            axis.set_title(peer)
            axis.tick_params(axis="y", length=0)
        axes[0].set_yticks(range(len(labels)), labels)
        axes[0].set_ylim(len(labels) - 0.4, -0.6)
        numbers = [number for found in panels.values() for bar in found if bar for number in bar]
        ratio_axes(axes, [min(max(number, 1 / FARTHEST), FARTHEST) for number in numbers])
        return framed(figure, name, caption)


def histograms(group: Group, name: str, what: str) -> Html:
    """Return the distribution of the ratios against each peer."""
    panels = {peer: [entry.ratio for entry in group.comparisons(peer)] for peer in group.peers}
    panels = {peer: found for peer, found in panels.items() if found}
    if not panels:
        return Html("")
    everything = [number for found in panels.values() for number in found]
    # Twelve bars for each factor of ten, with an edge at 1.
    first, last = math.floor(12 * math.log10(min(everything))), math.floor(12 * math.log10(max(everything))) + 1
    edges = [10 ** (i / 12) for i in range(first, last + 1)]
    with style():
        figure, axes = new_figure(0.75 + 2.4 * len(panels), 2.3, len(panels))
        for axis, (peer, found) in zip(axes, panels.items()):
            _, _, patches = axis.hist(found, bins=edges, zorder=2, edgecolor=PAPER, linewidth=0.5)
            for i, patch in zip(range(first, last), patches):
                patch.set_facecolor(FASTER if i >= 0 else SLOWER)
            axis.set_title(f"{peer}: {sum(ratio >= 1 for ratio in found)} of {len(found)} from 1 on")
            axis.yaxis.get_major_locator().set_params(integer=True)
        axes[0].set_ylabel("cases")
        ratio_axes(axes, everything)
        return framed(figure, name, f"How many cases have which ratio of the peer's {what} to autodiff's.")


def ratio_axes(axes: Sequence[Any], numbers: Sequence[float]) -> None:
    """Make x a logarithmic axis for ratios, the same in all panels, with a line at 1."""
    low, high = min(*numbers, 0.8) / 1.1, max(*numbers, 1.25) * 1.1
    decades = math.log10(high / low)
    steps = (1, 2, 5) if decades < 1.5 else (1, 3) if decades < 2.5 else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
    for axis in axes:
        axis.set_xscale("log")
        axis.set_xlim(low, high)
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_xticks([], minor=True)
        axis.grid(axis="x", color=RULE, linewidth=0.6, zorder=0)
        axis.axvline(1, color=INK, linewidth=0.9, zorder=4)


def roofline(group: Group, limits: dict[str, Any], name: str) -> Html:
    """Return autodiff's rows as points of arithmetic intensity and rate, under the roofs that were measured."""
    points = [point for row in group.rows if (point := intensity(row))]
    if not points:
        return Html("")
    families: dict[str, list[tuple[float, float, Row]]] = {}
    for point in points:
        families.setdefault(family(point[2]), []).append(point)
    if len(families) > len(COLOURS) * len(MARKERS):
        families = {"a case": points}
    peaks = {"float32": limits["flops"]["float32"] / 1e9}
    if any(row["cost"]["itemsize"] == 8 for _, _, row in points):
        peaks["float64"] = limits["flops"]["float64"] / 1e9
    low, high = min(x for x, _, _ in points) / 2, max(x for x, _, _ in points) * 2
    bottom, top = min(y for _, y, _ in points) / 2, max(peaks.values())
    columns = -(-(len(peaks) + len(limits["levels"]) + len(families)) // 20)
    legend = columns * (0.6 + 0.065 * max(18, *map(len, families)))
    with style():
        figure, (axis,) = new_figure(7 + legend, 4.4, right=legend)
        for dashes, (dtype, peak) in zip(DASHES, peaks.items()):
            axis.plot([low, high], [peak, peak], color=INK, linewidth=1, dashes=dashes,
                      label=f"{dtype} {words.digits(peak)} GFLOP/s")
        for i, level in enumerate(limits["levels"]):
            speed = bandwidth(level) / 1e9
            ridge = min(max(top / speed, low), high)
            axis.plot([low, ridge], [low * speed, ridge * speed], color=FAINT, linewidth=0.9, zorder=1,
                      dashes=DASHES[i % len(DASHES)], label=f"{level['name']} {words.digits(speed)} GB/s")
        marks = {}
        for place, (each, chosen) in enumerate(families.items()):
            key = f"family-{place}"
            marks[key] = [f"{title(row)}: {words.digits(y)} GFLOP/s, {words.share(row)}" for _, y, row in chosen]
            axis.scatter([x for x, _, _ in chosen], [y for _, y, _ in chosen], 24, COLOURS[place % len(COLOURS)],
                         marker=MARKERS[place // len(COLOURS)], label=each, gid=key, alpha=0.85, edgecolors=PAPER,
                         linewidths=0.4, zorder=3)
        axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1.02), ncols=columns)
        axis.set(xscale="log", yscale="log", xlabel="flops for each byte", ylabel="GFLOP/s", xlim=(low, high),
                 ylim=(bottom, top * 2))
        plain_ticks(axis)
        caption = "Rate of autodiff under the roofs of this machine. Point at a mark to read its name."
        return framed(figure, name, caption, marks)


def intensity(row: Row) -> tuple[float, float, Row] | None:
    """Return flops for each byte, GFLOP/s, and the row; None if it has no flops or was not timed."""
    cost, found = row["cost"], words.ours(row)
    if not cost or not found or not cost["flops"] or not cost["bytes"]:
        return None
    return cost["flops"] / cost["bytes"], cost["flops"] / found / 1e9, row


def scaling(found: Sequence[Curve], contenders: Sequence[str], name: str) -> Html:
    """Return the curves of a series on logarithmic axes, with the fitted exponents."""
    with style():
        figure, (axis,) = new_figure(4.1, 3.1)
        for curve in found:
            label = curve.contender if curve.exponent is None else f"{curve.contender}: {curve.exponent:.2f}"
            colour = COLOURS[contenders.index(curve.contender) % len(COLOURS)]
            axis.plot(curve.x, curve.y, "o-", color=colour, label=label, markersize=3.5, linewidth=1.3)
        axis.set(xscale="log", yscale="log", title=found[0].series, ylabel=found[0].unit)
        plain_ticks(axis)
        axis.grid(color=RULE, linewidth=0.6, zorder=0)
        axis.legend(title="fitted exponent", alignment="left")
        return framed(figure, name, "")


def plain_ticks(axis: Any) -> None:
    """Label logarithmic axes with plain numbers: the decades, and more where these are few."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for each in (axis.xaxis, axis.yaxis):
        low, high = each.get_view_interval()
        few = math.log10(high / low) < 2
        each.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0) if few else (1.0,)))
        each.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))
        each.set_minor_formatter(NullFormatter())
