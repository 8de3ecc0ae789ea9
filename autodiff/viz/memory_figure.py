"""The picture of a `Timeline` as a matplotlib figure, for files that are no text: PNG and PDF."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from autodiff.viz.memory_svg import STYLE
from autodiff.viz.plots.figures import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_RULE = re.compile(r"\.autodiff-memory(?: \.?(\w+))? \{ ([^}]*) \}")
_ANCHORS = {"start": "left", "middle": "center", "end": "right"}


def figure_of(svg: str) -> Figure:
    """Return what `memory_svg.svg_of` has drawn: a point of the figure is a pixel of that picture.

    It is read again from the text, style sheet included, so that there is one drawing of a timeline.

    Args:
        svg: paths along the axes, rectangles and texts, with the classes of `memory_svg.STYLE`.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    picture = ElementTree.fromstring(svg)
    width, height = (float(number) for number in picture.attrib["viewBox"].split()[2:])
    figure = new_figure("timeline", width / 72, height / 72)
    from matplotlib.colors import to_rgba
    from matplotlib.patches import PathPatch, Rectangle
    from matplotlib.path import Path

    figure.set_layout_engine("none")  # the axes are the whole figure
    ax = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    ax.set_axis_off()
    rules = _rules()
    for element in picture:
        tag = element.tag.rpartition("}")[2]
        look = dict(rules[""])
        for name in (tag, *element.get("class", "").split()):
            look |= rules.get(name, {})
        look = {key: rules[""].get(value.removeprefix("var(").removesuffix(")"), value)
                for key, value in (look | element.attrib).items()}
        place = float(look.get("x", 0)), float(look.get("y", 0))
        if tag == "text":
            ax.text(*place, element.text or "", color=look["fill"], size=float(look["font-size"].removesuffix("px")),
                    ha=_ANCHORS[look.get("text-anchor", "start")], parse_math=False)
            continue
        inside, line = (to_rgba(look.get(part, "none"), float(look.get(f"{part}-opacity", 1)))
                        for part in ("fill", "stroke"))
        dashes = [float(length) for length in look.get("stroke-dasharray", "").split()] or None
        shape: Any = {"facecolor": inside, "edgecolor": line, "linewidth": float(look.get("stroke-width", 1)),
                      "linestyle": (0, dashes), "capstyle": "butt"}
        if tag == "path":
            ax.add_patch(PathPatch(Path(*_corners(look["d"])), **shape))
        elif tag == "rect":
            ax.add_patch(Rectangle(place, float(look["width"]), float(look["height"]), **shape))
    return figure


def _rules() -> dict[str, dict[str, str]]:
    """Return the declarations of the style sheet by class or tag; of the picture itself by the empty name."""
    found = {}
    for name, declarations in _RULE.findall(STYLE.partition("@media")[0]):
        pairs = (declaration.split(":", 1) for declaration in declarations.rstrip("; ").split(";"))
        found[name] = {key.strip(): value.strip() for key, value in pairs}
    return found


def _corners(text: str) -> tuple[list[tuple[float, float]], list[int]]:
    """Return the corners of a path along the axes, and how to get to each: 1 move, 2 a line, 79 close."""
    x = y = 0.0
    corners, codes = [], []
    for letter, numbers in re.findall("([MHVZ])([^MHVZ]*)", text):
        if letter == "M":
            x, y = map(float, numbers.split())
        elif letter == "H":
            x = float(numbers)
        elif letter == "V":
            y = float(numbers)
        corners.append((x, y))
        codes.append({"M": 1, "Z": 79}.get(letter, 2))
    return corners, codes
