"""Graphs as tests draw them: small modules, and what is read from DOT text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

import autodiff as ad
from autodiff.autograd.modes import no_grad
from autodiff.nn.module import Module, Parameter
from autodiff.thread_mode import MODE
from autodiff.viz.graph import Graph, Node

EDGE = re.compile(r"^\t(\w+) -> (\w+) \[(.*)\]$")
NODE = re.compile(r"^\t+([rmloc]\d+(?:_\d+)?) \[label=<(.*)> ?.* tooltip=(\".*\")\]$")
NASTY = [
    'a"b', "back\\slash\\N", "two\nlines", "tab\tbell\a", "ünï→💡", "<script>alert(1)</script>", "a&amp;b", "\ud800",
    "}]>",
]


class Linear(Module):
    def __init__(self, features_in: int, features_out: int) -> None:
        super().__init__()
        self.weight = Parameter(ad.ones(features_out, features_in) * 0.5)
        self.bias = Parameter(ad.zeros(features_out))

    def forward(self, x: Any) -> Any:
        return ad.linear(x, self.weight, self.bias)


class Block(Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.first = Linear(features, features)
        self.second = Linear(features, features)

    def forward(self, x: Any) -> Any:
        return x + self.second(ad.tanh(self.first(x)))


class Net(Module):
    def __init__(self) -> None:
        super().__init__()
        self.block1 = Block(3)
        self.block2 = Block(3)
        self.head = Linear(3, 2)

    def forward(self, x: Any) -> Any:
        return self.head(self.block2(self.block1(x)))


def training_step(net: Module, x: Any) -> Any:
    """Forward, backward and a plain gradient step, in their phases."""
    loss = net(x).sum()
    loss.backward()
    MODE.phase = "update"
    try:
        with no_grad():
            for parameter in net.parameters():
                parameter.add_(parameter.grad * -0.1)
    finally:
        MODE.phase = "forward"
    return loss


def visible_edges(source: str) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield the ends of each visible edge of DOT text, what is made before what reads it, and its attributes."""
    for line in source.splitlines():
        found = EDGE.match(line)
        if found and "style=invis" not in found[3]:
            yield ((found[2], found[1]) if "dir=back" in found[3] else (found[1], found[2])), found[3]


def drawn_edges(source: str) -> Counter[tuple[str, str]]:
    """Return the visible edges of DOT text, from what is made to what reads it."""
    return Counter(ends for ends, _ in visible_edges(source))


def drawn_nodes(source: str) -> dict[str, tuple[str, str]]:
    """Return id -> (label, tooltip) of the nodes of DOT text."""
    return {found[1]: (found[2], found[3]) for found in map(NODE.match, source.splitlines()) if found}


def titles(source: str) -> list[str]:
    """Return the first line of every node."""
    return [re.sub(r"<BR/>.*|</?B>", "", label) for label, _ in drawn_nodes(source).values()]


def layout_is_possible() -> bool:
    try:
        import pygraphviz  # noqa: F401
    except ImportError:
        return False
    return True


needs_layout = pytest.mark.skipif(not layout_is_possible(), reason="pygraphviz is not installed")


def assert_acyclic(graph: Graph) -> None:
    waiting = Counter(edge.head for edge in graph.edges)
    following: dict[Node, list[Node]] = {}
    for edge in graph.edges:
        following.setdefault(edge.tail, []).append(edge.head)
    ready = [node for node in graph.nodes if not waiting[node]]
    for node in ready:
        for head in following.get(node, ()):
            waiting[head] -= 1
            if not waiting[head]:
                ready.append(head)
    assert len(ready) == len(graph.nodes)
