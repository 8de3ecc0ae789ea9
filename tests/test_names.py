"""Names in pictures: whatever they hold, each is shown as it is, in boxes, clusters, tooltips and titles."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest
from drawn import NASTY, needs_layout

import autodiff as ad
from autodiff import nn
from autodiff.viz import draw

TOOLTIP = "{http://www.w3.org/1999/xlink}title"
NAMES = [*NASTY, r"\N\G\L", r"a\nb\lc", "&lt;b&gt; &#65; &copy;", "%d {a|b}", "\\", "ends\\"]


class Net(nn.Module):
    """A module, a module of modules and a parameter with the same name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.add_module(name, nn.Sequential())
        self._modules[name].add_module(name, nn.Linear(2, 2))
        self._modules[name].add_module("act", nn.Tanh())
        self.register_parameter(name + " ", nn.Parameter(ad.ones(2)))

    def forward(self, x: Any) -> Any:
        (inner,), (weight,) = self.children(), self._parameters.values()
        return inner(x) * weight


def shown(name: str) -> str:
    """Return how a name is spelled: control characters as escapes."""
    for character, text in {"\n": "\\n", "\t": "\\t", "\a": "\\x07", "\ud800": "\\ud800"}.items():
        name = name.replace(character, text)
    return name


def texts_and_tooltips(svg: bytes) -> tuple[list[str], list[str]]:
    root = ElementTree.fromstring(svg)
    texts = ["".join(element.itertext()) for element in root.iter() if element.tag.endswith("}text")]
    tooltips = [element.get(TOOLTIP, "") for element in root.iter() if TOOLTIP in element.attrib]
    return [text.replace("\xa0", " ") for text in texts], [text.replace("\xa0", " ") for text in tooltips]


@needs_layout
@pytest.mark.parametrize("depth", [None, 1])
@pytest.mark.parametrize("name", NAMES)
def test_names_are_shown_as_they_are(name: str, depth: int | None) -> None:
    x = ad.ones(1, 2)
    picture = draw(Net(name), x, names={name: x}, title=name, depth=depth)
    texts, tooltips = texts_and_tooltips(picture.pipe("svg"))
    text = shown(name)
    assert texts.count(text) == (3 if depth else 2), texts  # the title, the input, and the folded module
    assert texts.count(f"{text} ") == 1, texts  # the parameter
    if depth is None:
        assert texts.count(f"{text} (Sequential)") == 1, texts
        assert texts.count(f"{text} (Linear)") == 1, texts
    for kind in ("input", "parameter"):
        assert any(f"{kind} {text}" in tooltip for tooltip in tooltips), tooltips
    assert any(f"module Net.{text}" in tooltip for tooltip in tooltips), tooltips
