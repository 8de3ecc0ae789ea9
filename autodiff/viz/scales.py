"""Colours of measurements: perceptually uniform scales that every colour vision can read, because lightness tells."""

from __future__ import annotations

from collections.abc import Sequence

# Magma from its light end, without the darkest part (Smith & van der Walt, CC0, https://bids.github.io/colormap/).
SEQUENTIAL = ("#fcfdbf", "#fec98d", "#fd9567", "#f1605d", "#cd4071", "#9f2f7f", "#721f81")
# From blue over white to orange, both ends as dark (after Okabe & Ito): below and above what is usual.
DIVERGING = ("#004f80", "#5a9fc9", "#f7f7f7", "#e08a4a", "#8a3b00")


def color(scale: Sequence[str], place: float) -> str:
    """Return the colour at a place from 0 to 1 on a scale of colours at equal distances.

    >>> color(("#000000", "#ffffff"), 0.5), color(("#000000", "#ffffff"), 7)
    ('#808080', '#ffffff')
    """
    at = min(max(place, 0.0), 1.0) * (len(scale) - 1)
    first = min(int(at), len(scale) - 2)
    pairs = zip(_parts(scale[first]), _parts(scale[first + 1]), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * (at - first)):02x}" for a, b in pairs)


def is_dark(color: str) -> bool:
    """Return whether white text is easier to read on a colour than black: by the contrast that WCAG 2 defines.

    >>> is_dark("#721f81"), is_dark("#fec98d")
    (True, False)
    """
    red, green, blue = (
        x / 3294.6 if x <= 10 else ((x / 255 + 0.055) / 1.055) ** 2.4 for x in map(float, _parts(color)))
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return (luminance + 0.05) ** 2 < 1.05 * 0.05


def _parts(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
