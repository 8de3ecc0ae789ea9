"""Colours: scales for measurements, which text is readable on a colour, and its counterpart on a dark ground."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Scales are perceptually uniform, and every colour vision can read them, because lightness tells.
# Magma from its light end, without the darkest part (Smith & van der Walt, CC0, https://bids.github.io/colormap/).
SEQUENTIAL = ("#fcfdbf", "#fec98d", "#fd9567", "#f1605d", "#cd4071", "#9f2f7f", "#721f81")
# From blue over white to orange, both ends as dark (after Okabe & Ito): below and above what is usual.
DIVERGING = ("#004f80", "#5a9fc9", "#f7f7f7", "#e08a4a", "#8a3b00")

_COLOR = re.compile(r"#[0-9a-fA-F]{6}\b")
# Oklab (https://bottosson.github.io/posts/oklab/), in which equal lightness looks equally light in every hue.
_TO_CONES = ((0.4122214708, 0.5363325363, 0.0514459929), (0.2119034982, 0.6806995451, 0.1073969566),
             (0.0883024619, 0.2817188376, 0.6299787005))
_FROM_CONES = ((0.2104542553, 0.7936177850, -0.0040720468), (1.9779984951, -2.4285922050, 0.4505937099),
               (0.0259040371, 0.7827717662, -0.8086757660))
_BACK_TO_CONES = ((1.0, 0.3963377774, 0.2158037573), (1.0, -0.1055613458, -0.0638541728),
                  (1.0, -0.0894841775, -1.2914855480))
_BACK_TO_LIGHT = ((4.0767416621, -3.3077115913, 0.2309699292), (-1.2684380046, 2.6097574011, -0.3413193965),
                  (-0.0041960863, -0.7034186147, 1.7076147010))
# Black becomes nearly white, white a dark grey. The power keeps the blue, orange and green of lines light enough.
_LIGHTEST, _SPAN, _POWER = 0.97, 0.72, 1.8

_Triple = tuple[float, float, float]


def color(scale: Sequence[str], place: float) -> str:
    """Return the colour at a place from 0 to 1 on a scale of colours at equal distances.

    >>> color(("#000000", "#ffffff"), 0.5), color(("#000000", "#ffffff"), 7)
    ('#808080', '#ffffff')
    """
    at = min(max(place, 0.0), 1.0) * (len(scale) - 1)
    first = min(int(at), len(scale) - 2)
    low, high = _parts(scale[first]), _parts(scale[first + 1])
    return _written(tuple(a + (b - a) * (at - first) for a, b in zip(low, high, strict=True)))


def is_dark(color: str) -> bool:
    """Return whether white text is easier to read on a colour than black: by the contrast that WCAG 2 defines.

    >>> is_dark("#721f81"), is_dark("#fec98d")
    (True, False)
    """
    red, green, blue = map(_linear, _parts(color))
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return (luminance + 0.05) ** 2 < 1.05 * 0.05


def dark(color: str) -> str:
    """Return the counterpart of a colour for a dark ground: the same hue with the lightness turned round.

    >>> dark("#000000"), dark("#d6e8f5")
    ('#f5f5f5', '#2e3c46')
    """
    light = tuple(map(_linear, _parts(color)))
    lightness, a, b = _times(_FROM_CONES, _powers(_times(_TO_CONES, light), 1 / 3))
    cones = _powers(_times(_BACK_TO_CONES, (_LIGHTEST - _SPAN * lightness**_POWER, a, b)), 3)
    return _written(tuple(map(_encoded, _times(_BACK_TO_LIGHT, cones))))


def dark_rules(text: str) -> str:
    """Return CSS that gives every colour in a text its counterpart, on elements that have it as an attribute.

    Args:
        text: in which the colours stand as ``#rrggbb``.

    >>> dark_rules('fillcolor="#ffffff"').splitlines()[2]
    'svg [fill="#ffffff"] { fill: #222222; } svg [stroke="#ffffff"] { stroke: #222222; }'
    """
    colors = sorted({color.lower() for color in set(_COLOR.findall(text))} | {"#000000"})
    rules = []
    for color in colors:
        other = dark(color)
        rules.append(f'svg [fill="{color}"] {{ fill: {other}; }} svg [stroke="{color}"] {{ stroke: {other}; }}')
    rules.append('svg [fill="black"] { fill: %s; } svg [stroke="black"] { stroke: %s; }' % ((dark("#000000"),) * 2))
    rules.append('svg [fill="white"] { fill: none; }')
    return "\n".join(["@media screen and (prefers-color-scheme: dark) {", *rules, "}"])


def _parts(color: str) -> tuple[float, ...]:
    """Return red, green and blue of a colour, from 0 to 1."""
    return tuple(int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))


def _written(parts: Sequence[float]) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in parts)


def _times(matrix: tuple[_Triple, ...], vector: tuple[float, ...]) -> _Triple:
    first, second, third = (sum(weight * part for weight, part in zip(row, vector)) for row in matrix)
    return first, second, third


def _powers(vector: _Triple, power: float) -> _Triple:
    first, second, third = (abs(part) ** power * (1 if part >= 0 else -1) for part in vector)
    return first, second, third


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4


def _encoded(part: float) -> float:
    part = min(1.0, max(0.0, part))
    return 12.92 * part if part <= 0.0031308 else 1.055 * part ** (1 / 2.4) - 0.055
