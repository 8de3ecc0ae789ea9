"""The interactive page of a graph: one HTML file that needs no network.

Python writes down what there is: each box and area as a finished DOT statement, the edges, and what was measured.
The page chooses what is open, lays it out with Graphviz in a worker, and shows the rest on demand. `web/` holds its
parts; they are put into the file as they are, Graphviz and the data packed.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from string import Template
from typing import Any

from autodiff.errors import MissingExtraError
from autodiff.viz.colors import dark_rules
from autodiff.viz.dot import (
    EDGE_LOOKS,
    POINT,
    anchor,
    default_statements,
    escape,
    group_statements,
    guides,
    legend_of,
    look_of,
    main_edges,
    node_statement,
    printable,
)
from autodiff.viz.graph import (
    MODULE,
    OPERATION,
    OUTPUT,
    PARAMETER,
    Graph,
    Group,
    Node,
    combined,
    nodes_in,
)
from autodiff.viz.overlay import OVERLAYS, slowest_in, trouble_in
from autodiff.viz.picture import laid_out
from autodiff.viz.rendering import scalable
from autodiff.viz.texts import SIGNS, text_of_changes, text_of_operations, text_of_spec

WEB = Path(__file__).with_name("web")
GRAPHVIZ = WEB / "graphviz"
# In the order they are put into the page: the last one starts it.
SCRIPTS = ("text", "model", "dot", "layout", "stage", "measures", "panel", "search", "player", "main")
_MEMBERS_SHOWN = 64  # a group with more operations and modules holds bundles of them
_BUNDLE = 32
_SHAPES_SHOWN = 4
_BOX = re.compile(r"^\t+(?!graph )\w+ \[label=<", re.MULTILINE)
_STILL_BOXES = 1500  # a still picture of more is no help, and takes minutes


def page_of(graph: Graph, source: str, title: str, overlay: str = "", depth: int | None = None) -> str:
    """Return the HTML page of a graph.

    Args:
        graph: every operation of the program; what is folded at first is the page's business.
        source: DOT text of the still picture that stands on the page where JavaScript is off. It is drawn by `dot` or
            pygraphviz; without both the page says so.
        title: of the page.
        overlay: the measurement that it is coloured by at first; none by default.
        depth: modules nested deeper are folded at first; None: as much is open as is readable.

    >>> import autodiff as ad
    >>> from autodiff.recording import record
    >>> from autodiff.viz.building import graph_of
    >>> page_of(graph_of(record(lambda x: x * x, ad.ones(2))), "digraph {}", "square")[:15]
    '<!doctype html>'
    """
    data = json.dumps(_data(graph, title, overlay, depth))
    style = _text("style.css") + dark_rules(data + source)
    script = "(() => {\n\"use strict\";\n" + "\n".join(_text(f"{name}.js") for name in SCRIPTS) + "})();\n"
    layout = (GRAPHVIZ / "graphviz.js").read_bytes() + b"\n" + _text("worker.js").encode()
    return Template(_text("page.html")).substitute(
        title=escape(title or "Graph"), policy=_policy(script), style=style, script=script,
        picture=_still(source),
        licences=html.escape((GRAPHVIZ / "LICENSES.txt").read_text(encoding="utf-8")),
        data=_packed(data.encode()), layout=_packed(layout))


def _text(name: str) -> str:
    return (WEB / name).read_text(encoding="utf-8")


def _packed(data: bytes) -> str:
    """Return bytes as text that cannot end the element it stands in, and without the time in it."""
    # Level 9 takes four times as long as 6 on text that repeats itself, and packs it worse.
    return base64.b64encode(gzip.compress(data, 6, mtime=0)).decode()


def _policy(script: str) -> str:
    """Return what the page may do: run this one script and Graphviz, and load nothing from anywhere.

    A script that came in by a name in the graph would not run, for it has another hash.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (f"default-src 'none'; script-src 'sha256-{digest}' 'wasm-unsafe-eval'; worker-src blob:; "
            "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'")


def _still(source: str) -> str:
    """Return the picture for a page without JavaScript, or why there is none."""
    boxes = len(_BOX.findall(source))
    if boxes > _STILL_BOXES:
        return f"<p>There is no still picture of this graph: it would have {boxes:,} boxes.</p>"
    try:
        svg = laid_out(source, "svg")
    except MissingExtraError as error:
        error.move_to(None)  # the reader of the page has not written the line
        return f"<p>There is no still picture: {html.escape(str(error))}</p>"
    return scalable(svg[svg.index(b"<svg"):]).decode()


# ---- Data ------------------------------------------------------------------------------------------------------------


def _data(graph: Graph, title: str, overlay: str, depth: int | None) -> dict[str, Any]:
    """Return all that the page knows of a graph, as JSON will have it."""
    groups = _Groups(graph)
    sources: dict[Any, int] = {}  # many operations come from one line
    slow_nodes, slow_edges = slowest_in(graph)
    compared = graph.is_comparison
    return {
        "title": title,
        "overlay": overlay,
        "overlays": [asdict(one) | {"adds": one.adds} for one in OVERLAYS.values()],
        "slowest": graph.slowest,
        "depth": depth,
        "legend": legend_of(graph, plain=True),
        # Compiled for the browser, Graphviz knows how wide letters are only by the name of a single font.
        "head": default_statements(font="Helvetica"),
        "looks": EDGE_LOOKS,
        "point": POINT,
        "groups": groups.data(),
        "remarks": list(dict.fromkeys([*graph.remarks, *trouble_in(graph)])),
        "overhead": graph.overhead,
        "nodes": [_node_data(node, groups.home[node].id, sources, node in slow_nodes, compared)
                  for node in graph.nodes],
        "sources": [{"file": file, "line": line, "source": source} for file, line, source in sources],
        "edges": [[edge.tail.id, edge.head.id, edge.values, look_of(edge), _lines(edge.tooltip), edge.output,
                   edge.carries and sorted(edge.carries), edge.again, edge in slow_edges] for edge in graph.edges],
        "guides": [[first.id, second.id] for first, second in guides(graph, main_edges(graph))],
    }


@lru_cache(4096)  # many edges carry the same
def _lines(text: str) -> str:
    """Return lines of text in which everything can be seen."""
    return "\n".join(map(printable, text.split("\n")))


def _runs(node: Node) -> bool:
    return node.kind in (OPERATION, MODULE)


def _counts(member: Node | Group) -> bool:
    """Return whether a member is an operation or a module, not a tensor."""
    return isinstance(member, Group) or _runs(member)


def _node_data(
    node: Node, home: str, sources: dict[Any, int], is_slow: bool, compared: bool
) -> dict[str, Any]:
    where = (node.file, node.line, tuple(node.source))
    return {
        "id": node.id, "kind": node.kind, "title": node.title, "phase": node.phase, "parent": home,
        "order": node.order if _runs(node) else -1, "gradientOrder": node.gradient_order,
        "statement": node_statement(node, True, compared), "isSlow": is_slow,
        "place": node.place, "shapes": [text_of_spec(spec) for spec in node.specs],
        "notes": _notes(node), "measures": _numbers(node.measures),
        "values": [_numbers(found) for found in node.values],
        "gradients": [None if found is None else _numbers(found) for found in node.gradients],
        "change": node.change if node.change in SIGNS else "", "source": sources.setdefault(where, len(sources)),
    }


def _notes(node: Node) -> list[str]:
    """Return what a tooltip says besides the module and the line, which the panel shows by itself."""
    return [line for line in node.tooltip
            if line and not line.startswith("module ") and not (node.source and line.startswith(f"{node.file}:"))]


def _numbers(found: Mapping[str, float]) -> dict[str, Any]:
    """Return numbers as JSON can have them: it knows neither NaN nor infinity, so these are text for JavaScript.

    >>> _numbers({"norm": float("-inf"), "nans": 1})
    {'norm': '-Infinity', 'nans': 1.0}
    """
    words = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
    return {key: words.get(str(float(value)), float(value)) for key, value in found.items()}


class _Groups:
    """The groups of a page: those of the graph, of which the large ones hold bundles of their members.

    Args:
        graph: whose groups these are.

    Attributes:
        home: the group each node stands in.
        copies: how many equal groups each stands for, those around it counted in.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.home: dict[Node, Group] = {}
        self.around: dict[Group, Group] = {}
        self.members: dict[Group, list[Node | Group]] = {}  # those around others come first
        self.bundles: set[Group] = set()
        self.copies = {graph.root: 1}
        running = sorted(filter(_runs, graph.nodes), key=lambda node: node.order)
        self.number: dict[Node | Group, int] = {node: number for number, node in enumerate(running, 1)}
        beside: dict[Node, list[Node]] = {}  # what tensors are read by, and what has made the results
        for edge in graph.edges:
            for end, other in ((edge.tail, edge.head), (edge.head, edge.tail)):
                if not _runs(end):
                    beside.setdefault(end, []).append(other)
        stack = [graph.root]
        while stack:
            group = stack.pop()
            small = sum(map(_counts, group.members)) <= _MEMBERS_SHOWN
            members = group.members if small else self._bundled(group, beside)
            self.members[group] = members
            for member in reversed(members):
                if isinstance(member, Node):
                    self.home[member] = group
                else:
                    self.around[member] = group
                    self.copies[member] = self.copies[group] * member.copies
                    stack.append(member)

    def _bundled(self, group: Group, beside: Mapping[Node, list[Node]]) -> list[Node | Group]:
        """Return a large group's members in bundles, which are runs of the program: no two depend on each other."""
        place: dict[Node | Group, int] = {member: i for i, member in enumerate(group.members)}

        def places(node: Node) -> Iterator[int]:
            """Yield the place of the member that a node is in, if there is one."""
            around: Node | Group | None = node
            while around is not None and around not in place:
                around = around.parent
            if around is not None:
                yield place[around]

        def when(member: Node | Group) -> tuple[int, int]:
            """Return when a member comes: a tensor right before the first that reads it, a result behind its maker."""
            if isinstance(member, Group) or _runs(member):
                return place[member], 1
            found = [i for node in beside.get(member, ()) for i in places(node)]
            return min(found, default=place[member]), 2 if member.kind == OUTPUT else 0

        size = _BUNDLE
        while sum(map(_counts, group.members)) > size * _MEMBERS_SHOWN:
            size *= _BUNDLE
        parts: list[list[Node | Group]] = [[]]
        count = 0
        for member in sorted(group.members, key=when):
            if count == size and when(member)[1] < 2:
                parts.append([])
                count = 0
            parts[-1].append(member)
            count += _counts(member)
        bundles: list[Node | Group] = []
        for number, part in enumerate(parts):
            named = [member for member in part if _counts(member)] or part
            bundle = Group(f"{group.id}_{number}", self._title_of(named), group.phase, group, group.depth + 1, part)
            self.bundles.add(bundle)
            bundles.append(bundle)
        return bundles

    def _title_of(self, members: Sequence[Node | Group]) -> str:
        """Return what a bundle is called: operations by their numbers, others after the first and the last."""
        first, last = members[0], members[-1]
        if all(isinstance(member, Node) and _runs(member) for member in members):
            return f"operations {self.number[first]:,} – {self.number[last]:,}"
        return f"{first.title} … {last.title}"

    def data(self) -> list[dict[str, Any]]:
        """Return the groups as the page has them, each with its area and with the box it is seen as when folded."""
        sums = self._sums()
        leaving = self._leaving()
        return [
            {
                "id": group.id, "title": group.title, "kind": MODULE, "module": group.module,
                "phase": group.phase, "depth": group.depth, "copies": self.copies[group],
                "isRolled": group.copies > 1, "isCall": group.is_call,
                "parent": self.around[group].id if group in self.around else None,
                "members": [member.id for member in members], "bundle": group in self.bundles,
                "statement": self._box(group, sums[group], leaving.get(group, [])),
                "area": [] if group is self.graph.root else group_statements(
                    replace(group, title=f"▾ {group.title}", changes=sums[group].changes)),
                "changes": sums[group].changes.total(),
                "anchor": anchor(group), "measures": _numbers(sums[group].measures),
            }
            for group, members in self.members.items()
        ]

    def _box(self, group: Group, sums: _Sums, shapes: list[str]) -> str:
        """Return the statement of a folded group."""
        details = [group.module] if group.module not in ("", group.title) else []
        several = " in all" if self.copies[group] > 1 else ""
        details.append(f"{sums.operations:,} operation{'s' * (sums.operations != 1)}{several}")
        count = len(sums.parameters)
        if count:
            details.append(f"{count} parameter{'s' * (count != 1)}, {sum(sums.parameters.values()):,} elements")
        if sums.changes:
            details.append(text_of_changes(sums.changes))
        if group in self.bundles:
            details.append(text_of_operations(name for node in nodes_in(group) for name in node.operations))
        details += shapes if len(shapes) <= _SHAPES_SHOWN else [f"{len(shapes)} outputs"]
        return node_statement(
            Node(group.id, MODULE, f"▸ {group.title}", group.phase, group, details, change=sums.change))

    def _sums(self) -> dict[Group, _Sums]:
        """Return what each group holds, inner groups included: one pass from the innermost outwards."""
        sums = {group: _Sums() for group in self.members}
        for node, group in self.home.items():
            sums[group].add_node(node)
        for group in reversed(self.members):
            if group in self.around:
                sums[self.around[group]].add(sums[group])
        for found in sums.values():
            if found.limit:
                found.measures["roofline"] = found.limit / found.measures["seconds"]
        return sums

    def _leaving(self) -> dict[Group, list[str]]:
        """Return shape and dtype of what others in the same phase read from each group, once for each operation."""
        depth = dict.fromkeys(self.members, 0)
        for group, around in self.around.items():
            depth[group] = depth[around] + 1
        found: dict[Group, dict[tuple[Node, str], str]] = {}
        for edge in self.graph.edges:
            if edge.tail.phase != edge.head.phase or not _runs(edge.tail):
                continue
            inner, outer = self.home[edge.tail], self.home[edge.head]
            if inner is outer:
                continue
            carried = edge.tooltip.partition("\n")[0]
            text = next((text_of_spec(spec) for spec in edge.tail.specs if repr(spec) == carried), None)
            while inner is not outer:
                if depth[inner] < depth[outer]:
                    outer = self.around[outer]
                    continue
                if text is not None:
                    found.setdefault(inner, {})[edge.tail, text] = text
                inner = self.around[inner]
        return {group: list(texts.values()) for group, texts in found.items()}


@dataclass
class _Sums:
    """What a group holds: its operations, its parameters with their elements, and what its operations took."""

    operations: int = 0
    parameters: dict[Any, int] = field(default_factory=dict)  # elements of each
    limit: float = 0.0  # seconds that the machine needs at least
    measures: dict[str, float] = field(default_factory=dict)
    change: str = ""
    changes: Counter[str] = field(default_factory=Counter)

    def add_node(self, node: Node) -> None:
        """Add what a node stands for."""
        runs = _runs(node)
        self.operations += node.records if runs else 0
        if node.change:
            self.change = combined(self.change, node.change)
        if node.change in SIGNS:
            self.changes[node.change] += node.records if runs else 0
        self.parameters |= {id: size for (kind, id), size in node.held.items() if kind == PARAMETER}
        for key, value in node.measures.items():
            if key == "roofline":
                self.limit += value * node.measures.get("seconds", 0.0)
            else:
                self.measures[key] = self.measures.get(key, 0.0) + value

    def add(self, other: _Sums) -> None:
        """Add what another group holds."""
        self.operations += other.operations
        self.parameters |= other.parameters
        self.limit += other.limit
        self.changes += other.changes
        if other.change:
            self.change = combined(self.change, other.change)
        for key, value in other.measures.items():
            self.measures[key] = self.measures.get(key, 0.0) + value
