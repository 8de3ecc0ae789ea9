"""Measurements shown in a graph: colours with a scale, the slowest path, where gradients vanish and numbers go bad."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import median

from autodiff.errors import ValueRangeError
from autodiff.program_columns import text_of
from autodiff.viz.colors import DIVERGING, SEQUENTIAL, color, is_dark
from autodiff.viz.graph import CONSTANT, MODULE, OPERATION, Graph, Node

MEASURES = ("seconds", "flops", "bytes", "saved_bytes", "roofline")
OVERLAYS = (*MEASURES, "gradient", "values")
_STEPS = 5
_TITLES = {
    "seconds": "time", "flops": "floating-point operations", "bytes": "bytes moved",
    "saved_bytes": "kept for the backward pass", "roofline": "share of the roofline",
    "gradient": "norm of the gradient", "values": "norm of the numbers",
}  # fmt: skip
FAR = 1e3  # times larger or smaller than usual: a gradient that explodes or vanishes
_NEAR = 3  # nodes next to the loss, whose gradients the others are compared with
_NAMED = 3  # nodes that a remark names
_EMPHASIS = {"penwidth": "3", "color": "#000000"}


def overlay(graph: Graph, name: str) -> None:
    """Colour the nodes of a graph by a measurement, and say what stands out.

    Args:
        graph: with measurements.
        name: one of ``OVERLAYS``.

    Raises:
        ValueRangeError: if there is no such overlay, or nothing was measured.
    """
    if name not in OVERLAYS:
        raise ValueRangeError("draw", "there is no such overlay", expected=", ".join(OVERLAYS), got=repr(name))
    numbers = {node: x for node in graph.nodes if (x := _number(node, name)) is not None}
    if not numbers:
        fix = {"gradient": "draw a function or module with its inputs and backward=True, or a whole training step: "
                           "what has led to a tensor has run already"}
        raise ValueRangeError("draw", f"'{name}' was not measured",
                              fix=fix.get(name, "draw what autodiff.measure(...) returns"))
    for node in graph.nodes:
        if node.kind != CONSTANT and node not in numbers:
            _paint(node, "#ffffff")
    if name in ("gradient", "values"):
        _show_spread(graph, numbers, name)
    else:
        _show_size(graph, numbers, name)
    if name == "seconds":
        _show_slowest(graph, numbers)
    _show_trouble(graph)


def _number(node: Node, name: str) -> float | None:
    """Return what a node shows of a measurement: that of its outputs which is largest, NaN above all."""
    if name in MEASURES:
        return node.measures.get(name) if node.kind in (OPERATION, MODULE) else None
    entries = node.gradients if name == "gradient" else node.values
    # The norm is that of the finite numbers: where there are NaNs, it says little.
    found = [math.nan if entry.get("nans") else entry.get("norm") for entry in entries if entry]
    norms = [x for x in found if x is not None]
    return max(norms, key=lambda x: (math.isnan(x), x)) if norms else None


def _show_size(graph: Graph, numbers: dict[Node, float], name: str) -> None:
    """Colour by size: the more, the darker."""
    most = 1.0 if name == "roofline" else max(numbers.values())
    overhead = graph.overhead if name == "seconds" else None
    operations = sum(numbers.values())
    total = operations + (overhead or 0.0)
    for node, x in numbers.items():
        _paint(node, color(SEQUENTIAL, x / most) if x else "#ffffff")
        share = f" · {x / total:.0%}" if name != "roofline" and total and x / total >= 0.005 else ""
        if x:
            node.details.append(text_of(name, x) + share)
    graph.scale = [(color(SEQUENTIAL, i / (_STEPS - 1)), text_of(name, most * i / (_STEPS - 1)) if most else "")
                   for i in range(_STEPS)]  # fmt: skip
    if overhead is not None and total:
        graph.remarks.append(f"time of a call: {text_of(name, total)} = {text_of(name, operations)} of operations + "
                             f"{text_of(name, overhead)} of call overhead ({overhead / total:.0%})")
    else:
        what = _TITLES[name]
        graph.remarks.append(what if name == "roofline" else f"{what}: {text_of(name, total)} together")


def _show_spread(graph: Graph, numbers: dict[Node, float], name: str) -> None:
    """Colour by size on a logarithmic scale, with the usual one in the middle. Its ends stand for all beyond them."""
    positive = [x for x in numbers.values() if 0 < x < math.inf]
    usual = median(positive) if positive else 1.0
    decades = math.log10(FAR)
    for node, x in numbers.items():
        far = math.log10(x / usual) if 0 < x < math.inf else -decades if x == 0 else decades
        _paint(node, color(DIVERGING, 0.5 + far / (2 * decades)))
        node.details.append(("‖gradient‖ " if name == "gradient" else "‖x‖ ") + text_of(name, x))
    steps = [i / (_STEPS - 1) for i in range(_STEPS)]
    texts = [text_of(name, usual * 10 ** ((2 * i - 1) * decades)) for i in steps]
    texts[0], texts[-1] = f"≤ {texts[0]}", f"≥ {texts[-1]}"
    graph.scale = [(color(DIVERGING, i), text) for i, text in zip(steps, texts)]
    graph.remarks.append(_TITLES[name])
    if name == "gradient":
        _name_gradients(graph, numbers)


def _name_gradients(graph: Graph, numbers: dict[Node, float]) -> None:
    """Say where gradients are zero, vanish or explode on their way back, counted from those next to the loss."""
    _name(graph, numbers, math.isnan, "NaN in the gradient", lambda x: 0.0)
    _name(graph, numbers, lambda x: x == 0, "the gradient is zero", lambda x: x)
    ends = sorted((node for node, x in numbers.items() if node.kind in (OPERATION, MODULE) and 0 < x < math.inf),
                  key=lambda node: -node.order)  # fmt: skip
    if ends:
        start = median(numbers[node] for node in ends[:_NEAR])
        _name(graph, numbers, lambda x: 0 < x < start / FAR, "the gradient vanishes", lambda x: x)
        _name(graph, numbers, lambda x: x > start * FAR, "the gradient explodes", lambda x: -x)


def _name(
    graph: Graph, numbers: dict[Node, float], chosen: Callable[[float], bool], what: str, rank: Callable[[float], float]
) -> None:
    """Add a remark that names some nodes, those first that lead the ranking."""
    found = sorted((node for node, x in numbers.items() if chosen(x)), key=lambda node: rank(numbers[node]))
    if found:
        names = list(dict.fromkeys(map(_called, found)))  # a parameter stands in each phase that reads it
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        graph.remarks.append(f"{what}: {', '.join(names[:_NAMED])}{more}")
        for node in found:
            node.look |= _EMPHASIS


def _show_slowest(graph: Graph, seconds: dict[Node, float]) -> None:
    """Emphasise the path of edges whose nodes take longest together, in one pass over the edges."""
    incoming: dict[Node, list[int]] = {}
    for number, edge in enumerate(graph.edges):
        if edge.tail is not edge.head and not edge.again and not edge.change:
            incoming.setdefault(edge.head, []).append(number)
    longest: dict[Node, float] = {}
    behind: dict[Node, int] = {}
    for node in sorted(graph.nodes, key=lambda node: node.kind in (OPERATION, MODULE)):  # leaves first
        before = [i for i in incoming.get(node, ()) if graph.edges[i].tail in longest]
        best = max(before, key=lambda i: longest[graph.edges[i].tail], default=None)
        longest[node] = seconds.get(node, 0.0)
        if best is not None:
            longest[node] += longest[graph.edges[best].tail]
            behind[node] = best
    last = max(seconds, key=lambda node: longest[node])
    graph.remarks.append(f"bold: the slowest path, {text_of('seconds', longest[last])}")
    last.look["penwidth"] = "3"
    while last in behind:
        edge = graph.edges[behind[last]]
        edge.slow = True
        last = edge.tail
        if last in seconds:
            last.look["penwidth"] = "3"


def _show_trouble(graph: Graph) -> None:
    """Mark numbers that are no numbers, and units that never fire."""
    bad = [node for node in graph.nodes if any(entry.get("nans") for entry in node.values)]
    if bad:
        first = min(bad, key=lambda node: node.order)
        graph.remarks.append(f"NaN, first in {_called(first)}")
    for node in bad:
        node.look |= _EMPHASIS | {"style": "rounded,filled,dashed"}
        node.details.append(f"NaN: {max(entry.get('nans', 0.0) for entry in node.values):.2%}")
    for node in graph.nodes:
        bad_gradients = max((entry.get("nans", 0.0) for entry in node.gradients if entry), default=0.0)
        if bad_gradients:
            node.look |= _EMPHASIS | {"style": "rounded,filled,dashed"}
            node.details.append(f"NaN in the gradient: {bad_gradients:.2%}")
        dead = max((entry.get("dead", 0.0) for entry in node.values), default=0.0)
        if dead >= 0.005:
            node.details.append(f"{dead:.0%} of the units are dead")
            node.look |= {"penwidth": "3"}


def _paint(node: Node, fill: str) -> None:
    node.look |= {"fillcolor": fill, "fontcolor": "#ffffff" if is_dark(fill) else "#000000"}


def _called(node: Node) -> str:
    """Return the name of a node with the modules around it."""
    labels = [node.place, node.title] if node.place else [node.title]
    group = node.parent
    while group.parent is not None and group.depth > 1:
        labels.insert(0, group.title)
        group = group.parent
    return ".".join(labels[1:] if len(labels) > 2 else labels)
