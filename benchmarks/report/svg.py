"""Figures of matplotlib as SVG that stands in a page and takes its colours and its font."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from benchmarks.report.html import Html, element

# Colours are drawn as codes and replaced by the page's variables, so that they follow its light and dark style.
INK, FAINT, RULE, FASTER, SLOWER, PAPER = (f"#00d0{i:02x}" for i in range(6))
COLOURS = [f"#00c0{i:02x}" for i in range(8)]
VARIABLES = {INK: "ink", FAINT: "faint", RULE: "rule", FASTER: "faster", SLOWER: "slower", PAPER: "paper"} | {
    code: f"c{i}" for i, code in enumerate(COLOURS)
}
SETTINGS: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "autodiff",
    "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none",
    "font.size": 8.5, "axes.titlesize": 8.5, "axes.labelsize": 8, "xtick.labelsize": 7.5, "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5, "legend.title_fontsize": 7.5, "legend.frameon": False,
    "axes.titleweight": "bold", "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.7,
    "text.color": INK, "axes.labelcolor": INK, "axes.titlecolor": INK, "axes.edgecolor": FAINT,
    "xtick.color": FAINT, "ytick.color": FAINT, "xtick.labelcolor": INK, "ytick.labelcolor": INK,
}


@contextmanager
def style() -> Iterator[None]:
    """Set matplotlib's settings for the figures of the page."""
    import matplotlib

    with matplotlib.rc_context(SETTINGS):
        yield


def new_figure(
    width: float, height: float, panels: int = 1, *, left: float = 0.75, right: float = 0.15, sharey: bool = False
) -> tuple[Any, Any]:
    """Return a figure of some inches, with margins of some inches, and its axes side by side."""
    from matplotlib.figure import Figure

    figure = Figure((width, height))
    between = 0.12 if sharey else 0.35
    panel = (width - left - right - between * (panels - 1)) / panels
    figure.subplots_adjust(left / width, 0.42 / height, 1 - right / width, 1 - 0.3 / height, between / panel)
    return figure, figure.subplots(1, panels, sharey=sharey, squeeze=False)[0]


def framed(figure: Any, name: str, caption: str, marks: Mapping[str, Sequence[str]] | None = None) -> Html:
    """Return a figure of matplotlib as a figure of the page.

    Args:
        figure: the figure.
        name: unique in the page.
        caption: what it shows; empty for nothing.
        marks: for scatters that have an id, what their marks are called: the texts that appear under the pointer.
    """
    drawn = element("div", Html(inline(figure, name, marks or {})), class_="plot")
    return element("figure", drawn, element("figcaption", caption) if caption else "")


def inline(figure: Any, name: str, marks: Mapping[str, Sequence[str]]) -> str:
    """Return the SVG of a figure, made to stand in a page beside others."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    file = io.StringIO()
    canvas: Any = FigureCanvasSVG(figure)
    canvas.print_svg(file, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = file.getvalue()
    text = text[text.index("<svg"):]
    for key, titles in marks.items():
        text = named(text, key, titles)
    # Every id of the page is unique.
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(xlink:href="|url\()#', rf"\g<1>#{name}-", text)
    for code, variable in VARIABLES.items():
        text = text.replace(code, f"var(--{variable})")
    # A style sheet inside would be one of the whole page.
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)
    head, rest = text.split(">", 1)
    width = round(figure.get_figwidth() * 96)
    return re.sub(r' (width|height)="[^"]*"', "", head) + f' style="width: {width}px">' + rest


def named(text: str, key: str, titles: Sequence[str]) -> str:
    """Return the text of an SVG with titles for the marks of the scatter whose id is `key`."""
    before, start, after = text.partition(f'<g id="{key}">')
    scatter, end, rest = after.partition('<g id="')
    pieces = re.split(r"(<use [^>]*)/>", scatter)  # every second one is the beginning of a mark
    for i, title in enumerate(titles):
        pieces[2 * i + 1] += f">{element('title', title)}</use>"
    return "".join([before, start, *pieces, end, rest])
