"""Colours of pictures on a dark ground: the same hue with the lightness turned round."""

from __future__ import annotations

import re

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


def dark_rules(text: str) -> str:
    """Return CSS that gives every colour in a text its counterpart, on elements that have it as an attribute.

    Args:
        text: in which the colours stand as ``#rrggbb``.

    >>> dark_rules('fillcolor="#ffffff"').splitlines()[2]
    'svg [fill="#ffffff"] { fill: #222222; } svg [stroke="#ffffff"] { stroke: #222222; }'
    """
    colors = sorted({color.lower() for color in _COLOR.findall(text)} | {"#000000"})
    rules = []
    for color in colors:
        other = dark(color)
        rules.append(f'svg [fill="{color}"] {{ fill: {other}; }} svg [stroke="{color}"] {{ stroke: {other}; }}')
    rules.append('svg [fill="black"] { fill: %s; } svg [stroke="black"] { stroke: %s; }' % ((dark("#000000"),) * 2))
    rules.append('svg [fill="white"] { fill: none; }')
    return "\n".join(["@media screen and (prefers-color-scheme: dark) {", *rules, "}"])


def dark(color: str) -> str:
    """Return the counterpart of a colour for a dark ground.

    >>> dark("#000000"), dark("#d6e8f5")
    ('#f5f5f5', '#2e3c46')
    """
    light = tuple(_linear(int(color[i:i + 2], 16) / 255) for i in (1, 3, 5))
    lightness, a, b = _times(_FROM_CONES, _cubed(_times(_TO_CONES, light), 1 / 3))
    cones = _cubed(_times(_BACK_TO_CONES, (_LIGHTEST - _SPAN * lightness**_POWER, a, b)), 3)
    return "#" + "".join(f"{round(255 * _encoded(part)):02x}" for part in _times(_BACK_TO_LIGHT, cones))


def _times(matrix: tuple[_Triple, ...], vector: tuple[float, ...]) -> _Triple:
    first, second, third = (sum(weight * part for weight, part in zip(row, vector)) for row in matrix)
    return first, second, third


def _cubed(vector: _Triple, power: float) -> _Triple:
    first, second, third = (abs(part) ** power * (1 if part >= 0 else -1) for part in vector)
    return first, second, third


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4


def _encoded(part: float) -> float:
    part = min(1.0, max(0.0, part))
    return 12.92 * part if part <= 0.0031308 else 1.055 * part ** (1 / 2.4) - 0.055
