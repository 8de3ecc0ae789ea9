"""Measurements shown in a graph: colours with a scale, the slowest path, where gradients vanish and numbers go bad."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

from autodiff.errors import ValueRangeError
from autodiff.program_columns import text_of
from autodiff.viz.colors import DIVERGING, SEQUENTIAL, color, is_dark
from autodiff.viz.graph import CONSTANT, MODULE, OPERATION, OUTPUT, Edge, Graph, Node


@dataclass(frozen=True)
class Overlay:
    """A measurement that boxes are coloured by, in the still picture and on the page.

    Attributes:
        key: what `draw` calls it.
        title: what the numbers are.
        unit: ``"s"``, ``"FLOP"``, ``"B"``, ``"%"`` of shares from 0 to 1, or none.
        of: where a node has them: among its ``"measures"``, or the statistics of its ``"values"`` or ``"gradients"``.
        entry: which of those.
        label: what a box says; empty where it says so in any overlay.
        logarithmic: whether colours show factors, not differences.
        top: the end of the scale, where that is always the same; otherwise the largest number.
        timed: whether a function has to run with a watch for it; the others are known of any program.
    """

    key: str
    title: str
    unit: str
    of: str
    entry: str
    label: str = "{}"
    logarithmic: bool = False
    top: float | None = None
    timed: bool = True

    @property
    def adds(self) -> bool:
        """Whether a module has the sum of what its operations have; otherwise it has the largest."""
        return self.of == "measures" and self.unit != "%"

    def number(self, node: Node) -> float | None:
        """Return what a node shows: of all tensors that it stands for the largest, NaN above all; None without any."""
        if self.of == "measures":
            return node.measures.get(self.entry) if node.kind in (OPERATION, MODULE) else None
        found: list[float] = []
        waiting = [node]
        while waiting:
            one = waiting.pop()
            entries = one.values if self.of == "values" else one.gradients
            found += [x for entry in entries if entry and (x := self._number_in(entry)) is not None]
            waiting += one.others
        return max(found, key=lambda x: (math.isnan(x), x)) if found else None

    def _number_in(self, entry: Mapping[str, float]) -> float | None:
        # These are of the numbers that are no NaN: where there are some, they say little.
        spoilt = self.entry in ("norm", "largest") and entry.get("nans")
        return math.nan if spoilt else entry.get(self.entry)

    def text(self, number: float) -> str:
        """Return a number with its unit."""
        if self.unit == "%":
            return f"{100 * number:.3g}%"
        return text_of(self.key, number) if self.unit else f"{number:.2g}"


OVERLAYS = {overlay.key: overlay for overlay in (
    Overlay("seconds", "time", "s", "measures", "seconds"),
    Overlay("flops", "floating-point operations", "FLOP", "measures", "flops", timed=False),
    Overlay("bytes", "bytes moved", "B", "measures", "bytes", timed=False),
    Overlay("saved_bytes", "kept for the backward pass", "B", "measures", "saved_bytes", timed=False),
    Overlay("roofline", "share of the roofline", "%", "measures", "roofline", top=1.0),
    Overlay("gradient", "norm of the gradient", "", "gradients", "norm", "‖gradient‖ {}", logarithmic=True),
    Overlay("gradient_largest", "largest number of the gradient", "", "gradients", "largest", "max |gradient| {}",
            logarithmic=True),
    Overlay("gradient_zeros", "zeros in the gradient", "%", "gradients", "zeros", "{} of the gradient is 0", top=1.0),
    Overlay("gradient_nans", "NaN in the gradient", "%", "gradients", "nans", ""),
    Overlay("values", "norm of the numbers", "", "values", "norm", "‖x‖ {}", logarithmic=True),
    Overlay("largest", "largest number", "", "values", "largest", "max |x| {}", logarithmic=True),
    Overlay("zeros", "zeros among the numbers", "%", "values", "zeros", "{} zeros", top=1.0),
    Overlay("nans", "NaN among the numbers", "%", "values", "nans", ""),
    Overlay("dead", "dead units of ReLUs", "%", "values", "dead", "", top=1.0),
)}  # fmt: skip
_STEPS = 5
FAR = 1e3  # times larger or smaller than usual: a gradient that explodes or vanishes
_NEAR = 3  # nodes next to the loss, whose gradients the others are compared with
_NAMED = 3  # nodes that a remark names
_EMPHASIS = {"penwidth": "3", "color": "#000000"}
_SPOILT = _EMPHASIS | {"style": "rounded,filled,dashed"}


def overlay(graph: Graph, name: str, given: str = "program") -> None:
    """Colour the nodes of a graph by a measurement, and say what stands out.

    What the colours show becomes the caption of the graph, what was found its remarks.

    Args:
        graph: with measurements.
        name: a key of ``OVERLAYS``.
        given: what `draw` was given, for errors: a ``"function"``, a ``"program"`` or ``"tensors"``.

    Raises:
        ValueRangeError: if there is no such overlay, or nothing was measured.
    """
    if name not in OVERLAYS:
        raise ValueRangeError("draw", "there is no such overlay", expected=", ".join(OVERLAYS), got=repr(name))
    chosen = OVERLAYS[name]
    numbers = {node: x for node in graph.nodes if (x := chosen.number(node)) is not None}
    if not numbers:
        raise _not_measured(chosen, given)
    for node in graph.nodes:
        if node.kind != CONSTANT and node not in numbers:
            _paint(node, "#ffffff")
    if chosen.logarithmic:
        _show_factors(graph, numbers, chosen)
    else:
        _show_size(graph, numbers, chosen)
    if name == "seconds":
        _show_slowest(graph)
    if name == "gradient":
        _name_gradients(graph, numbers)
    _show_trouble(graph)


def _not_measured(chosen: Overlay, given: str) -> ValueRangeError:
    """Return the error to raise where there is nothing to show, with what to do about it."""
    gradients = chosen.of == "gradients"
    if chosen.key == "dead":
        expected, got, fix = "a ReLU that was measured", "none", "only ReLUs have units that can be dead"
    elif given == "tensors":
        options = "backward=True, " if gradients else ""
        expected, got = "something that is called and measured", "tensors, whose operations have run already"
        fix = f"pass the function that computes them: draw(function, *inputs, {options}overlay='{chosen.key}')"
    elif given == "program":
        calls = ", of a function that calls backward()" if gradients else ""
        expected, got = f"the program of a measured call{calls}", "a program without these measurements"
        fix = f"draw(autodiff.measure(function, *inputs), overlay='{chosen.key}')"
    elif gradients:
        expected, got = "a backward pass", "a forward pass alone"
        fix = "add backward=True, or draw a whole training step"
    else:
        expected, got = "a call with inputs", "a function that was not called"
        fix = f"draw(function, *inputs, overlay='{chosen.key}')"
    return ValueRangeError("draw", f"'{chosen.key}' was not measured", expected=expected, got=got, fix=fix)


def _show_size(graph: Graph, numbers: dict[Node, float], chosen: Overlay) -> None:
    """Colour by size: the more, the darker."""
    most = chosen.top or max(numbers.values())
    overhead = graph.overhead if chosen.key == "seconds" else None
    together = sum(numbers.values())
    total = together + (overhead or 0.0)
    for node, x in numbers.items():
        _paint(node, color(SEQUENTIAL, x / most) if x else "#ffffff")
        share = f" · {x / total:.0%}" if chosen.adds and total and x / total >= 0.005 else ""
        if x and chosen.label:
            node.numbers.append(chosen.label.format(chosen.text(x)) + share)
    graph.scale = [(color(SEQUENTIAL, i / (_STEPS - 1)), chosen.text(most * i / (_STEPS - 1)) if most else "")
                   for i in range(_STEPS)]  # fmt: skip
    if overhead is not None and total:
        graph.caption.append(f"time of a call: {chosen.text(total)} = {chosen.text(together)} of operations + "
                             f"{chosen.text(overhead)} of call overhead ({overhead / total:.0%})")
    else:
        graph.caption.append(f"{chosen.title}: {chosen.text(total)} together" if chosen.adds else chosen.title)


def _show_factors(graph: Graph, numbers: dict[Node, float], chosen: Overlay) -> None:
    """Colour by size on a logarithmic scale, with the usual one in the middle. Its ends stand for all beyond them."""
    positive = [x for x in numbers.values() if 0 < x < math.inf]
    usual = median(positive) if positive else 1.0
    decades = math.log10(FAR)
    for node, x in numbers.items():
        far = math.log10(x / usual) if 0 < x < math.inf else -decades if x == 0 else decades
        _paint(node, color(DIVERGING, 0.5 + far / (2 * decades)))
        node.numbers.append(chosen.label.format(chosen.text(x)))
    steps = [i / (_STEPS - 1) for i in range(_STEPS)]
    texts = [chosen.text(usual * 10 ** ((2 * i - 1) * decades)) for i in steps]
    texts[0], texts[-1] = f"≤ {texts[0]}", f"≥ {texts[-1]}"
    graph.scale = [(color(DIVERGING, i), text) for i, text in zip(steps, texts)]
    graph.caption.append(chosen.title)


def _name_gradients(graph: Graph, numbers: dict[Node, float]) -> None:
    """Say where gradients are zero, vanish or explode on their way back, counted from those next to the loss."""
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


def slowest_in(graph: Graph) -> tuple[set[Node], set[Edge]]:
    """Return the nodes and the edges that the slowest path of the program leads through.

    A node is on it if one of its operations is, or one of an equal node that it stands for; an edge, if the path goes
    on from its tail to its head.
    """
    shown: dict[Node, Node] = {}
    for node in graph.nodes:
        waiting = [node]
        while waiting:
            one = waiting.pop()
            shown[one] = node
            waiting += one.others
    there: dict[int, list[Node]] = {}  # a fused operation whose parts are shown has many in one place
    for node in shown:
        for place in node.on_path:
            there.setdefault(place, []).append(node)
    links = {(shown[tail], shown[head]) for place, tails in there.items() for tail in tails
             for head in (*tails, *there.get(place + 1, ())) if tail is not head}
    edges = {edge for edge in graph.edges if (edge.tail, edge.head) in links}
    return {shown[node] for nodes in there.values() for node in nodes}, edges


def _show_slowest(graph: Graph) -> None:
    nodes, edges = slowest_in(graph)
    for node in nodes:
        node.look["penwidth"] = "3"
    for edge in edges:
        edge.slow = True
    graph.caption.append(f"bold: the slowest path, {text_of('seconds', graph.slowest or 0.0)}")


def trouble_in(graph: Graph) -> list[str]:
    """Say where numbers begin that are no numbers, and where the infinities begin that they may come from.

    Infinities that lead neither to NaN nor to a result are no trouble: masks of attention are made of them.
    """
    def when(node: Node) -> tuple[int, bool]:
        return node.order, node.kind in (OPERATION, MODULE)  # leaves before what reads them

    makers: dict[Node, list[Node]] = {}
    for edge in graph.edges:
        if not edge.again and not edge.change:
            makers.setdefault(edge.head, []).append(edge.tail)
    first = min(filter(OVERLAYS["nans"].number, graph.nodes), key=when, default=None)
    ends = [node for node in graph.nodes if node.kind == OUTPUT and any(map(_has_infinity, makers.get(node, ())))]
    if first is not None:
        ends = makers.get(first, [])
    before = dict.fromkeys(ends)
    waiting = list(ends)
    while waiting:
        new = [node for node in makers.get(waiting.pop(), ()) if node not in before]
        before |= dict.fromkeys(new)
        waiting += new
    infinite = min(filter(_has_infinity, before), key=when, default=None)
    found = [] if first is None else [f"NaN, first in {_called(first)}"]
    if infinite is not None:
        found.append(f"infinity{' before it' if found else ''}, first in {_called(infinite)}")
    return found


def _has_infinity(node: Node) -> bool:
    return any(math.isinf(entry.get("largest", 0.0)) for one in (node, *node.others) for entry in one.values)


def _show_trouble(graph: Graph) -> None:
    """Mark numbers that are no numbers, and units that never fire."""
    graph.remarks += trouble_in(graph)
    bad = {node: share for node in graph.nodes if (share := OVERLAYS["nans"].number(node))}
    bad_gradients = {node: share for node in graph.nodes if (share := OVERLAYS["gradient_nans"].number(node))}
    _name(graph, bad_gradients, bool, "NaN in the gradient", lambda x: -x)
    for what, found in (("NaN", bad), ("NaN in the gradient", bad_gradients)):
        for node, share in found.items():
            node.look |= _SPOILT
            node.numbers.append(f"{what}: {share:.2%}")
    for node in graph.nodes:
        dead = OVERLAYS["dead"].number(node) or 0.0
        if dead >= 0.005:
            node.numbers.append(f"{dead:.0%} of the units are dead")


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
