"""From a `Graph` to DOT text: deterministic, and with every text escaped."""

from __future__ import annotations

import html
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import groupby, pairwise
from typing import NamedTuple

from autodiff.viz.colors import is_dark
from autodiff.viz.graph import (
    BUFFER,
    CONSTANT,
    INPUT,
    LEAF,
    MODULE,
    OPERATION,
    OUTPUT,
    PARAMETER,
    STATE,
    Edge,
    Graph,
    Group,
    Node,
    nodes_in,
    outside_of,
)
from autodiff.viz.texts import SIGNS, text_of_changes

# Blue, orange and green of Okabe and Ito's palette, which people with any colour vision tell apart
# (https://jfly.uni-koeln.de/color/): fill and line of nodes, and of the area around them.
_PHASE_COLORS = {
    "forward": ("#d6e8f5", "#0072b2", "#f4f9fc"),
    "backward": ("#fbe0d0", "#d55e00", "#fef8f4"),
    "update": ("#d2efe5", "#009e73", "#f3fbf8"),
}
_OTHER_PHASE = ("#eeeeee", "#555555", "#fafafa")
_LEAF_STYLES = {
    PARAMETER: {"shape": "box", "style": "filled", "fillcolor": "#fff3c4", "color": "#a67c00"},
    LEAF: {"shape": "box", "style": "filled,rounded", "fillcolor": "#fff3c4", "color": "#a67c00"},
    STATE: {"shape": "box", "style": "filled,dashed", "fillcolor": "#eef8f3", "color": "#009e73"},
    BUFFER: {"shape": "box", "style": "filled,dashed", "fillcolor": "#f2f2f2", "color": "#777777"},
    INPUT: {"shape": "box", "style": "filled,bold", "fillcolor": "#ffffff", "color": "#222222"},
    OUTPUT: {"shape": "box", "style": "filled,bold", "fillcolor": "#ffffff", "color": "#222222"},
    CONSTANT: {"shape": "plaintext", "style": "", "fontcolor": "#666666", "margin": "0.04,0.02"},
}
_DASHED = "rounded,filled,dashed"
# In a comparison a sign and the line say the same as the colour. Colours tell changes alone there: leaves have none.
# They differ for any colour vision, in the light and in the dark, because their lightness does, too.
_COLORLESS = {"fillcolor": "#ffffff", "color": "#777777"}
_CHANGE_STYLES = {
    "same": {"fillcolor": "#f4f4f4", "color": "#aaaaaa"},
    "added": {"fillcolor": "#cfe6f5", "color": "#0072b2", "penwidth": "2.5"},
    "removed": {"fillcolor": "#fbdcc8", "color": "#d55e00", "penwidth": "2.5", "style": _DASHED},
    "changed": {"fillcolor": "#d9c0ec", "color": "#4f2a75", "penwidth": "2.5"},
}
FONT = "Helvetica,Arial,sans-serif"
_SAVED, _REMOVED, _AROUND = "#888888", "#d55e00", "#444444"  # colours of arrows that the legend explains
# What an edge looks like for what it is. The page of a graph leads edges anew and picks from these, too.
EDGE_LOOKS = {
    "saved": f'style=dashed color="{_SAVED}" arrowsize=0.45',
    # A backward operation stands beside the last forward one whose values it reads. Edges from earlier ones do not
    # pull: with them Graphviz may put the phases in the wrong order.
    "beside": "minlen=0 weight=6",
    "loose": "constraint=false",
    "backward": "dir=back",
    "main": "weight=16",
    "crossing": "minlen=0",
    "guide": "style=invis",
    "slow": 'penwidth=3.5 color="#000000"',
    "removed": f'style=dotted penwidth=2 color="{_REMOVED}"',
    "before": f'style=dotted penwidth=2 color="{_REMOVED}" constraint=false',
    "again": f'style=dotted color="{_AROUND}" constraint=false',
    "later": "constraint=false",
}
POINT = 'shape=point style=invis width=0 height=0 label=""'  # nothing to be seen, to hold on to
_LONGEST_TOOLTIP = 4000  # letters; Graphviz reads no text of more than 16,384
_SHARES = {"zeros": "zeros", "nans": "NaN"}
PHASES = {"forward": 0, "backward": 1, "update": 2}
_LEGEND = {
    INPUT: "input, output", PARAMETER: "parameter", LEAF: "requires_grad", STATE: "optimizer state", BUFFER: "buffer",
}


class Swatch(NamedTuple):
    """A line of the legend: what boxes of these colours and this border are."""

    text: str
    fill: str
    line: str
    rounded: bool
    dashed: bool


@lru_cache(4096)  # many edges carry the same
def quote(text: str) -> str:
    r"""Return a text as a quoted DOT string that shows exactly this text, line breaks included.

    >>> print(quote('say "hi"\\N'))
    "say \"hi\"\\N"
    """
    # Graphviz replaces sequences that start with a backslash (\N, \G, \l, ...) and HTML's names of characters.
    lines = (printable(line).replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')
             for line in text.split("\n"))  # fmt: skip
    return '"' + "\\n".join(lines) + '"'


@lru_cache(4096)
def escape(text: str) -> str:
    """Return a text for use in HTML, on one line.

    >>> escape("<b>&")
    '&lt;b&gt;&amp;'
    """
    return html.escape(printable(text))


def _in_label(text: str) -> str:
    """Return a text for use in an HTML-like label: there, too, Graphviz replaces what starts with a backslash."""
    return escape(text).replace("\\", "\\\\")


def _tooltip(lines: Iterable[str]) -> str:
    """Return lines as a quoted DOT string for a tooltip, in which Graphviz replaces sequences twice."""
    text = "\n".join(printable(line).replace("\\", "\\\\") for line in lines)
    return quote(text if len(text) <= _LONGEST_TOOLTIP else text[:_LONGEST_TOOLTIP].rstrip("\\") + "…")


def printable(text: str) -> str:
    """Spell out what cannot stand in a picture: control characters, line breaks, lone surrogates."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def lines_of(graph: Graph, *, title: str = "", direction: str = "TB", legend: bool = True) -> list[str]:
    """Return the DOT statements of a graph: everything between the outer braces, one statement or brace a line.

    Args:
        graph: what to draw.
        title: text above the picture.
        direction: where the computation runs to: ``"TB"`` down, ``"LR"`` to the right.
        legend: explain the colours below the title.
    """
    lanes = [member for member in graph.root.members if isinstance(member, Group)]
    lines = [f"\t{line}\n" for line in default_statements(direction)]
    header = _header(graph, title, legend)
    if header:
        lines.append(f"\tgraph [label=<{header}> labelloc=t]\n")
    lines += _group_lines(graph, len(lanes) > 1)
    # In one row arrows from an update would cross all lanes up to the one that reads it.
    rows = [list(row) for _, row in groupby(lanes, key=lambda lane: lane.step)]
    if len(lanes) > 1:
        lines += [f"\t{statement}\n" for row in rows
                  for statement in order_statements({anchor(lane): _ends(lane)[0] for lane in row})]
        lines += [f"\t{statement}\n" for upper, lower in pairwise(rows) for statement in _below(upper, lower)]
    main = main_edges(graph)
    beside = _latest(graph, [edge for edge in graph.edges if edge.saved and not edge.later])
    lines += [_edge_line(edge, edge in (main.get(edge.head), beside.get(edge.head)))
              for edge in _bundled(graph.edges)]
    lines += [f"\t{first.id} -> {second.id} [{EDGE_LOOKS['guide']}]\n" for first, second in guides(graph, main)]
    return lines


def default_statements(direction: str = "TB", font: str = FONT) -> list[str]:
    """Return what holds for all of a picture's graphs, nodes and edges that say nothing else."""
    font = f'fontname="{font}"'
    return [
        f'graph [rankdir={direction} newrank=true nodesep=0.25 ranksep=0.35 {font} fontsize=12 tooltip=" "]',
        f'node [shape=box style="rounded,filled" {font} fontsize=10 height=0.3 margin="0.13,0.07"]',
        f'edge [color="#444444" arrowsize=0.6 {font} fontsize=8]',
    ]


def main_edges(graph: Graph) -> dict[Node, Edge]:
    """Return for each node the edge from the operation of its phase that ran last before it.

    A picture whose main road is straight is easy to follow: these edges get weight, a skip connection bends around.
    """
    return _latest(graph, [edge for edge in graph.edges
                           if edge.tail.phase == edge.head.phase and edge.tail.kind in (OPERATION, MODULE)
                           and not edge.again and not edge.later and edge.change != "before"])


def _latest(graph: Graph, edges: Iterable[Edge]) -> dict[Node, Edge]:
    """Return for each node the edge from the latest of the nodes it reads."""
    position = {node: i for i, node in enumerate(graph.nodes)}
    latest: dict[Node, Edge] = {}
    for edge in edges:
        known = latest.get(edge.head)
        if known is None or position[edge.tail] > position[known.tail]:
            latest[edge.head] = edge
    return latest


def guides(graph: Graph, main: Mapping[Node, Edge]) -> Iterator[tuple[Node, Node]]:
    """Yield invisible edges that put a leaf behind what its reader waits for, and a module behind the one before it.

    Without them leaves stand beside earlier operations and side branches (running statistics) beside later ones, so
    that modules overlap in height, and a chain of modules that could stand below each other becomes a staircase.
    """
    position = {node: i for i, node in enumerate(graph.nodes)}
    reader: dict[Node, Node] = {}  # that comes first: behind what a later one waits for, a leaf would be too low for it
    for edge in graph.edges:
        known = reader.get(edge.tail, edge.head)
        if edge.tail.kind in _LEAF_STYLES and not edge.again and position[edge.head] <= position[known]:
            reader[edge.tail] = edge.head
    for leaf, head in reader.items():
        if head in main:
            yield _guide(main[head].tail, leaf)
    read = {edge.tail for edge in graph.edges if edge.tail.phase == edge.head.phase and edge.head.kind != OUTPUT}
    # Groups are unbroken runs: what comes after the last node of a group comes after the group.
    after: dict[Group, Node | None] = {}
    following: Node | None = None
    for node in reversed(graph.nodes):
        if node.kind not in (OPERATION, MODULE) or node.phase == "update":
            continue
        group = node.parent
        while group.depth > 1 and group not in after and group.parent is not None:
            after[group] = following
            group = group.parent
        next_node = after.get(node.parent)
        if node not in read and next_node is not None and next_node.phase == node.phase:
            yield _guide(node, next_node)
        following = node
    # So do the gradients that leave a module of the backward pass.
    for node in graph.nodes:
        next_node = after.get(node.parent) if node.kind == OUTPUT else None
        if next_node is not None and next_node.phase == node.phase:
            yield _guide(node, next_node)


def _guide(before: Node, after: Node) -> tuple[Node, Node]:
    """Return an edge that keeps one node above another; below, in the backward pass."""
    return (after, before) if before.phase == "backward" else (before, after)


def _bundled(edges: Iterable[Edge]) -> Iterator[Edge]:
    """Yield edges; those from one box to another in a later training step as one that carries all their values.

    An optimizer hands each parameter and state to its next step: twelve arrows side by side for two layers.
    """
    bundles: dict[tuple[Node, Node, str], list[Edge]] = defaultdict(list)
    for edge in edges:
        if outside_of(edge.tail.parent).step == outside_of(edge.head.parent).step:
            yield edge
        else:
            bundles[edge.tail, edge.head, look_of(edge)].append(edge)
    for bundle in bundles.values():
        yield replace(bundle[0], values=sum(edge.values for edge in bundle), slow=any(edge.slow for edge in bundle),
                      tooltip="\n".join(dict.fromkeys(edge.tooltip for edge in bundle)), later=True)


def anchor(lane: Group) -> str:
    """Return the name of the invisible point that keeps a phase in its place."""
    return f"a{lane.id.rpartition('_')[2]}"


def _ends(lane: Group) -> tuple[str, str]:
    """Return the names of the boxes at the top and at the bottom of a phase."""
    nodes = nodes_in(lane)
    boxes = [node.id for node in nodes if node.kind in (OPERATION, MODULE)] or [nodes[0].id]
    return (boxes[-1], boxes[0]) if lane.phase == "backward" else (boxes[0], boxes[-1])


def _below(upper: Iterable[Group], lower: Sequence[Group]) -> Iterator[str]:
    """Yield what puts the phases of a training step below those of the step before.

    Only one line for each phase, for each takes room beside all that it passes. Below the last box of a phase there may
    be its result; below the first one of a backward pass, what it reads.
    """
    for lane in upper:
        yield f"{_ends(lane)[1]} -> {_over(anchor(lower[0]))} [{EDGE_LOOKS['guide']} minlen=3 weight=0]"


def _over(first: str) -> str:
    """Return the name of the invisible point above the phases of a training step, by that in the first of them."""
    return f"{first}_row"


def order_statements(tops: Mapping[str, str]) -> list[str]:
    """Return what keeps the phases in order, from left to right: a row of invisible points above those inside them.

    Graphviz puts whole clusters in order before it looks at edges along a rank between them. Points that are in no
    cluster bind it, and lines from them down to the phases would cross in any other order. Each such line joins a group
    (an attribute of its ends): where it crosses another that does, Graphviz counts a million crossings, and not one.
    It begins with the order in which it finds things from the top of the picture, and so that has to be these points.
    They are put in order as what one more point above them leads to: Graphviz 2.43 does not find places for all boxes
    where `rank=same` and lines along the rank say the same.

    Args:
        tops: the point in each phase, with the box that is to be the first one below it.
    """
    row = [f"above_{point}" for point in tops]
    above = _over(next(iter(tops)))
    return [
        f"{above} [{POINT} ordering=out]",
        *(f"{over} [{POINT} group={over}]" for over in row),
        *(f"{point} [group={over}]" for over, point in zip(row, tops)),
        *(f"{above} -> {point} [{EDGE_LOOKS['guide']}]" for point in row),
        *(f"{over} -> {point} [{EDGE_LOOKS['guide']}]" for over, point in zip(row, tops)),
        *(f"{point} -> {top} [{EDGE_LOOKS['guide']} minlen=2 weight=0]" for point, top in tops.items()),
    ]


def legend_of(graph: Graph, plain: bool = False) -> list[Swatch]:
    """Return what the boxes that occur in a graph look like; `plain`, without the colours of an overlay."""
    found = []
    is_white = bool(graph.scale) and not plain
    boxes = [node for node in graph.nodes if node.kind in (OPERATION, MODULE)]
    for phase in dict.fromkeys(node.phase for node in boxes if not node.change):
        fill, line, _ = _PHASE_COLORS.get(phase, _OTHER_PHASE)
        found.append(Swatch(phase, "#ffffff" if is_white else fill, line, True, False))
    changes = {node.change for node in boxes}
    for change, style in _CHANGE_STYLES.items():
        if change in changes:
            found.append(Swatch(f"{SIGNS.get(change, '')} {change}".lstrip(), style["fillcolor"], style["color"], True,
                                style.get("style") == _DASHED))
    if any(node.recomputed for node in boxes):
        found.append(Swatch("recomputed", "#ffffff", "#555555", True, True))
    kinds = {INPUT if node.kind == OUTPUT else node.kind for node in graph.nodes}
    for kind, text in _LEGEND.items():
        if kind in kinds:
            style = _leaf_style(kind, graph.is_comparison)
            fill = "#ffffff" if is_white else style["fillcolor"]
            found.append(Swatch(text, fill, style["color"], kind == LEAF, kind in (STATE, BUFFER)))
    return found


def _header(graph: Graph, title: str, legend: bool) -> str:
    """Return the title and the legend of what occurs in the graph, as an HTML-like label."""
    rows = [f'<TR><TD COLSPAN="12"><FONT POINT-SIZE="16"><B>{_in_label(title)}</B></FONT></TD></TR>'] if title else []
    if legend:
        cells = [_swatch(swatch) for swatch in legend_of(graph)]
        cells += [f'<TD><FONT COLOR="{color}">{line}</FONT> {text}</TD>' for color, line, text in _arrows(graph)]
        if cells:
            rows.append(f"<TR>{''.join(cells)}</TR>")
        if graph.scale:
            rows.append(f'<TR><TD COLSPAN="12">{_scale(graph)}</TD></TR>')
    if graph.caption or graph.remarks:
        remarks = "<BR/>".join(map(_in_label, [*graph.caption, *graph.remarks]))
        rows.append(f'<TR><TD COLSPAN="12"><FONT POINT-SIZE="10" COLOR="#333333">{remarks}</FONT></TD></TR>')
    return f'<TABLE BORDER="0" CELLSPACING="6" CELLPADDING="4">{"".join(rows)}</TABLE>' if rows else ""


def _arrows(graph: Graph) -> Iterator[tuple[str, str, str]]:
    """Yield colour, line and meaning of the arrows in a graph that are no plain ones."""
    if any(edge.saved and not edge.change for edge in graph.edges):
        yield _SAVED, "- - -", "saved for backward"
    if any(edge.change for edge in graph.edges):
        yield _REMOVED, "· · ·", "read no longer"
    if any(edge.again for edge in graph.edges):
        yield _AROUND, "· · ·", "to the next of equal ones"


def _scale(graph: Graph) -> str:
    """Return the colours of an overlay, from low to high."""
    cells = []
    for fill, text in graph.scale:
        ink = "#ffffff" if is_dark(fill) else "#000000"
        cells.append(f'<TD BGCOLOR="{fill}" WIDTH="64"><FONT COLOR="{ink}">{_in_label(text)}</FONT></TD>')
    return f'<TABLE BORDER="0" CELLSPACING="0" CELLPADDING="4"><TR>{"".join(cells)}</TR></TABLE>'


def _swatch(swatch: Swatch) -> str:
    styles = ["ROUNDED"] * swatch.rounded + ["DASHED"] * swatch.dashed
    style = f' STYLE="{",".join(styles)}"' if styles else ""
    return f'<TD BORDER="1" BGCOLOR="{swatch.fill}" COLOR="{swatch.line}"{style}>{_in_label(swatch.text)}</TD>'


def _group_lines(graph: Graph, lanes: bool) -> Iterator[str]:
    """Yield nodes and nested clusters, without recursion: modules nest as deep as they like."""
    stack: list[Group | Node | str] = list(reversed(graph.root.members))
    compared = graph.is_comparison
    while stack:
        member = stack.pop()
        if isinstance(member, str):
            yield member
        elif isinstance(member, Node):
            yield "\t" * (member.parent.depth + 1) + node_statement(member, compared=compared) + "\n"
        else:
            is_lane = member.depth == 1
            if is_lane and not lanes:
                stack += reversed(member.members)
                continue
            indent = "\t" * member.depth
            yield f"{indent}subgraph {member.id} {{\n"
            for statement in group_statements(member):
                yield f"{indent}\t{statement}\n"
            stack.append(f"{indent}}}\n")
            stack += reversed(member.members)


def group_statements(group: Group) -> list[str]:
    """Return what a cluster begins with: its look, and in that of a phase the point that keeps it in its place."""
    changes = text_of_changes(group.changes)
    name = _with_class(group.title, group.module)
    title = f"{name} · {changes}" if changes else name
    texts = f"label={quote(printable(title))} tooltip={_tooltip([title])}"
    start = f'graph [{texts} labeljust=l labelloc=t style="rounded,filled"'
    if group.depth > 1:
        line = f'color="{_CHANGE_STYLES["changed"]["color"]}" penwidth=2' if changes else 'color="#999999"'
        several = " peripheries=2" if group.copies > 1 else ""
        # With half of this margin, twice as many arrows ran through titles; with it pictures are a tenth larger.
        return [f'{start} fillcolor="#00000009" {line} fontcolor="#333333" fontsize=11 margin=16{several}]']
    _, line, area = _PHASE_COLORS.get(group.phase, _OTHER_PHASE)
    return [
        f'{start} fillcolor="{area}" color="{line}" fontcolor="{line}" fontsize=14 margin=14]',
        f"{anchor(group)} [{POINT}]",
    ]


def look_of(edge: Edge) -> str:
    """Return which of `EDGE_LOOKS` an edge has for what it is; empty for an ordinary one."""
    return "again" if edge.again else edge.change or ("saved" if edge.saved else "later" if edge.later else "")


def _with_class(label: str, module: str) -> str:
    """Return the name of a module with its class, unless that is in it: of the outermost, of those rolled up."""
    return label if module in label else f"{label} ({module})"


def _leaf_style(kind: str, compared: bool) -> dict[str, str]:
    """Return the look of a leaf or a result; empty for anything else."""
    has_color = kind in (PARAMETER, LEAF, STATE, BUFFER)
    return _LEAF_STYLES.get(kind, {}) | (_COLORLESS if compared and has_color else {})


def node_statement(node: Node, plain: bool = False, compared: bool = False) -> str:
    """Return the statement of a box; `plain`, without what an overlay shows on it; `compared`, in a comparison."""
    style = _leaf_style(node.kind, compared)
    if not style:
        fill, line, _ = _PHASE_COLORS.get(node.phase, _OTHER_PHASE)
        style = {"fillcolor": fill, "color": line}
        if node.kind == MODULE:
            style |= {"penwidth": "2"}
        if node.recomputed:
            style |= {"style": _DASHED}
    look, numbers = ({}, []) if plain else (node.look, node.numbers)
    style = style | _CHANGE_STYLES.get(node.change, {}) | look
    attributes = "".join(f' {key}="{value}"' for key, value in style.items())
    details, head = node.details, f"{SIGNS[node.change]} {node.title}" if node.change in SIGNS else node.title
    if node.place and node.kind == MODULE:
        head = f"{node.place}.{head}"
    elif node.place:
        details = [_with_class(node.place, node.module), *details]
    ink, lines = look.get("fontcolor", "#333333"), [*details, *numbers]
    # Blanks as large as the title: Graphviz gives lines no leading where sizes differ.
    small = "".join(f'<BR/> <FONT POINT-SIZE="8" COLOR="{ink}">{_in_label(text)}</FONT> ' for text in lines)
    tooltip = _tooltip([text for text in node.tooltip if text] or " ")
    label = _in_label(head) if node.kind == CONSTANT else f"<B>{_in_label(head)}</B>"
    return f"{node.id} [label=<{label}{small}>{attributes} tooltip={tooltip}]"


def _numbers_on(edge: Edge) -> Iterator[str]:
    """Yield what was measured of the one tensor that an edge carries, and of its gradient."""
    if edge.tail.kind == MODULE or edge.values > 1:
        return
    for name, entries in (("numbers", edge.tail.values), ("gradient", edge.tail.gradients)):
        for entry in filter(None, entries[edge.output : edge.output + 1]):
            texts = [f"{key} {entry[key]:.3g}" for key in ("norm", "largest") if key in entry]
            texts += [f"{100 * entry[key]:.3g}% {word}" for key, word in _SHARES.items() if key in entry]
            yield f"{name}: {', '.join(texts)}"


def _edge_line(edge: Edge, main: bool) -> str:
    """Return an edge statement. The backward pass is drawn upwards, beside the operations it differentiates."""
    attributes = [f"tooltip={_tooltip([*edge.tooltip.splitlines(), *_numbers_on(edge)])}"]
    if edge.values > 1:  # a `label` would take room of its own, and Graphviz then puts phases in the wrong order
        attributes.append(f'xlabel="{edge.values:,}×"')
    look = look_of(edge)
    attributes += [EDGE_LOOKS[look]] if look else []
    if look in ("again", "before", "later"):
        pass  # they do not pull
    elif edge.saved:
        attributes.append(EDGE_LOOKS["beside" if main else "loose"])
    elif main:
        attributes.append(EDGE_LOOKS["main"])
    elif edge.tail.phase != edge.head.phase:
        ahead = PHASES.get(edge.tail.phase, 0) <= PHASES.get(edge.head.phase, 0)
        attributes.append(EDGE_LOOKS["crossing" if ahead else "loose"])
    if edge.slow:
        attributes.append(EDGE_LOOKS["slow"])
    tail, head = edge.tail.id, edge.head.id
    if edge.tail.phase == edge.head.phase == "backward" and not edge.later:
        tail, head = head, tail
        attributes.append(EDGE_LOOKS["backward"])
    return f"\t{tail} -> {head} [{' '.join(attributes)}]\n"
