"""The picture of a `Timeline` as SVG: bands stacked over the records, without any other program."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from autodiff.program_memory import KINDS
from autodiff.spec import Array
from autodiff.viz.dot import escape

if TYPE_CHECKING:
    from autodiff.viz.memory import Band, Timeline

LEFT, RIGHT, TOP, BOTTOM = 64, 12, 54, 44
_LETTER = 6.0  # width of a letter of the small font, about

# From Okabe and Ito's palette (https://jfly.uni-koeln.de/color/). What stays is grey and yellow, gradients are
# orange, what the forward pass leaves is blue.
COLOURS = {
    "parameter": "#e6b800", "leaf": "#f0e442", "optimizer state": "#c9a66b", "buffer": "#b5b5b5",
    "input": "#8c8c8c", "gradient": "#d55e00", "saved for backward": "#0072b2", "temporary": "#56b4e9",
    "work array": "#cc79a7",
}
STYLE = """
.autodiff-memory { font-family: system-ui, sans-serif; font-size: 11px; --ink: #222; --faint: #888; --paper: #fff; }
.autodiff-memory text { fill: var(--ink); stroke: none; }
.autodiff-memory .faint { fill: var(--faint); }
.autodiff-memory .axis { stroke: var(--faint); stroke-width: 0.5; stroke-opacity: 0.5; fill: none; }
.autodiff-memory .band { stroke: var(--paper); stroke-width: 0.5; }
.autodiff-memory .band:hover { fill-opacity: 0.7; }
.autodiff-memory .inside { fill: #fff; pointer-events: none; font-size: 10px; }
.autodiff-memory .dark { fill: #111; }
.autodiff-memory .peak { stroke: var(--ink); stroke-width: 1; stroke-dasharray: 4 3; pointer-events: none; }
.autodiff-memory .phase { fill: var(--faint); fill-opacity: 0.18; }
@media (prefers-color-scheme: dark) { .autodiff-memory { --ink: #ddd; --faint: #999; --paper: #16181c; } }
"""


class Shape(NamedTuple):
    """Where a band lies in the picture: bytes below it, and up to its top, column by column from its first."""

    band: Band
    low: Array
    high: Array


def shapes_of(bands: list[Band], columns: int) -> list[Shape]:
    """Return the bands stacked on each other."""
    ground = np.zeros(columns)
    shapes = []
    for band in bands:
        low = ground[band.first:band.first + len(band.sizes)]
        high = low + band.sizes
        shapes.append(Shape(band, low.copy(), high))
        low[:] = high
    return shapes


class Scale(NamedTuple):
    """From columns and bytes to the picture: pixels a column, pixels a byte, where the bottom is."""

    across: float
    up: float
    bottom: int

    def x(self, column: float) -> float:
        """Return where a column begins."""
        return LEFT + column * self.across

    def y(self, size: float) -> float:
        """Return how high so many bytes reach."""
        return self.bottom - size * self.up


def svg_of(timeline: Timeline, width: int, height: int) -> str:
    """Return the picture of a timeline; see `Timeline.svg`."""
    columns, peak = len(timeline.columns), timeline.use.peak or 1
    scale = Scale((width - LEFT - RIGHT) / columns, (height - TOP - BOTTOM) / (1.04 * peak), height - BOTTOM)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="autodiff-memory" viewBox="0 0 {width} {height}" width="100%" '
        f'style="max-width:{width}px" role="img" aria-label="{escape(repr(timeline)[1:-1])}">',
        f"<style>{STYLE}</style>",
    ]
    for size, text in _ticks(peak):
        y = scale.y(size)
        parts.append(f'<path class="axis" d="M{LEFT} {y:.1f}H{width - RIGHT}"/>'
                     f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    shapes = shapes_of(timeline.bands, columns)
    for number, shape in enumerate(shapes):
        outline = _outline(shape, scale)
        parts.append(f'<path class="band" data-band="{number}" fill="{COLOURS[shape.band.kind]}" d="{outline}">'
                     f"<title>{_description(shape.band)}</title></path>")
    for shape in shapes:
        parts += _label(shape, scale)
    parts += _phases(timeline, scale)
    column = int(np.searchsorted(timeline.columns, timeline.peak))
    x = scale.x(column + 0.5)
    anchor = "end" if x > width / 2 else "start"
    parts.append(f'<path class="peak" d="M{x:.1f} {TOP - 6}V{scale.bottom}"/>'
                 f'<text x="{x + (-5 if anchor == "end" else 5):.1f}" y="{TOP + 2}" text-anchor="{anchor}">peak '
                 f"{text_of_size(peak)}: {escape(timeline.program.records[timeline.peak].name)}</text>")
    parts += _legend(timeline)
    return "\n".join([*parts, "</svg>"])


def _outline(shape: Shape, scale: Scale) -> str:
    """Return the path around a band: along its top to the right, along its bottom back."""
    first = shape.band.first
    (to_right, end), (to_left, _) = _steps(shape.high), _steps(shape.low)
    text = f"M{scale.x(first):.1f} {scale.y(shape.high[0]):.1f}"
    for place, size in to_right[1:]:
        text += f"H{scale.x(first + place):.1f}V{scale.y(size):.1f}"
    text += f"H{scale.x(first + end):.1f}V{scale.y(shape.low[-1]):.1f}"
    for (place, _), (_, size) in zip(to_left[:0:-1], to_left[-2::-1]):
        text += f"H{scale.x(first + place):.1f}V{scale.y(size):.1f}"
    return text + f"H{scale.x(first):.1f}Z"


def _steps(sizes: Array) -> tuple[list[tuple[int, float]], int]:
    """Return where a staircase begins a new step and how high it is, and where it ends."""
    starts = np.concatenate([[0], np.flatnonzero(np.diff(sizes)) + 1])
    return list(zip(starts.tolist(), sizes[starts].tolist())), len(sizes)


def _description(band: Band) -> str:
    """Return what is shown when the pointer rests on a band, escaped."""
    low, high = int(band.sizes.min()), int(band.sizes.max())
    size = text_of_size(high) if low == high else f"{text_of_size(low)} to {text_of_size(high)}"
    return "\n".join(map(escape, filter(None, [f"{band.title}: {size}", band.kind, band.module, band.line])))


def _label(shape: Shape, scale: Scale) -> Iterator[str]:
    """Yield the name of a band, where there is room for it inside."""
    band = shape.band
    # The longest stretch in which the band lies almost level.
    start = best = length = 0
    for place in range(1, len(shape.low) + 1):
        if place == len(shape.low) or max(abs(shape.low[place] - shape.low[start]),
                                          abs(shape.high[place] - shape.high[start])) * scale.up > 2:
            if place - start > length:
                best, length = start, place - start
            start = place
    low, high = shape.low[best], shape.high[best]
    letters = int((length * scale.across - 8) / _LETTER)
    if scale.y(low) - scale.y(high) < 12 or letters < 8:
        return
    text = fitting(band.module, band.title, letters)
    dark = "" if band.kind in ("saved for backward", "gradient") else " dark"
    x, y = scale.x(band.first + best) + 4, (scale.y(low) + scale.y(high)) / 2 + 3.5
    yield f'<text class="inside{dark}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def fitting(module: str, title: str, letters: int) -> str:
    """Return as much of a band's name as there is room for; of its module the last parts, which tell it from others.

    >>> for letters in (40, 28, 20, 12, 8):
    ...     print(fitting("Sequential.2.1.0", "conv2d 8×16 float32 (%32)", letters))
    Sequential.2.1.0: conv2d 8×16 float32 (…
    Sequential.2.1.0: conv2d 8×…
    …2.1.0: conv2d 8×16…
    …2.1.0
    …2.1.0
    """
    parts = module.split(".")
    paths = [module, *("…" + ".".join(parts[first:]) for first in range(1, len(parts)))]
    operation = title.partition(" ")[0]
    if not module:
        return _cut(title, letters)
    # With a path of one part alone, the name of the operation says less than another part would.
    for path in paths[:max(1, len(paths) - 1)]:
        text = f"{path}: {title}"
        if len(text) <= letters or len(f"{path}: {operation}…") <= letters:
            return _cut(text, letters)
    return next((path for path in paths if len(path) <= letters), "…" + module[1 - letters:])


def _cut(text: str, letters: int) -> str:
    return text if len(text) <= letters else text[:letters - 1].rstrip() + "…"


def _phases(timeline: Timeline, scale: Scale) -> Iterator[str]:
    """Yield the strip below that says which phase of the program runs, and the numbers of the records."""
    records = timeline.program.records
    start = 0
    for number, (phase, run) in enumerate(groupby(records[place].phase for place in timeline.columns)):
        end = start + len(list(run))
        left, right = scale.x(start), scale.x(end)
        if number % 2 == 0:
            yield f'<rect class="phase" x="{left:.1f}" y="{scale.bottom}" width="{right - left:.1f}" height="18"/>'
        if right - left > 8 * len(phase):
            middle = (left + right) / 2
            yield f'<text x="{middle:.1f}" y="{scale.bottom + 13}" text-anchor="middle">{escape(phase)}</text>'
        start = end
    yield (f'<text class="faint" x="{LEFT}" y="{scale.bottom + 34}">{len(records):,} records, in the order they run'
           "</text>")


def _legend(timeline: Timeline) -> Iterator[str]:
    """Yield the kinds that occur with their bytes at the peak, in two rows."""
    sizes = dict.fromkeys((kind for kind in KINDS if any(band.kind == kind for band in timeline.bands)), 0)
    for holder in timeline.holders():
        sizes[holder.kind] += holder.size
    for number, (kind, size) in enumerate(sizes.items()):
        x, y = LEFT + 200 * (number // 2), 6 + 16 * (number % 2)
        yield (f'<rect x="{x}" y="{y}" width="10" height="10" fill="{COLOURS[kind]}"/>'
               f'<text x="{x + 14}" y="{y + 9}">{kind} {text_of_size(size)}</text>')


def _ticks(peak: int) -> Iterator[tuple[float, str]]:
    """Yield some four round numbers of bytes."""
    unit = 1024.0 ** max(0, int(math.log(peak, 1024)))
    rough = peak / unit / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    place = 0.0
    while place * unit <= peak:
        yield place * unit, f"{place:g} " + {1: "B", 1024: "KiB", 1024**2: "MiB"}.get(int(unit), "GiB")
        place += step


def text_of_size(size: float) -> str:
    """Return a number of bytes as people write it; a half is rounded up, as the page's script does.

    >>> text_of_size(0), text_of_size(2048), text_of_size(3200), text_of_size(350 * 2**20)
    ('0 B', '2.00 KiB', '3.13 KiB', '350 MiB')
    """
    unit = "B"
    for larger in ("KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            break
        size, unit = size / 1024, larger
    digits = 0 if unit == "B" or abs(size) >= 100 else 2
    return f"{math.floor(size * 10**digits + 0.5) / 10**digits:.{digits}f} {unit}"
