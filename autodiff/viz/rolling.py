"""Equal blocks in a row, shown once: a network of 48 layers is one layer and a number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from itertools import groupby, takewhile

from autodiff.viz.graph import INPUT, MODULE, Edge, Graph, Group, Node, common_group

_SUMS = ("seconds", "flops", "bytes", "saved_bytes")


def roll(graph: Graph) -> None:
    """Show each run of equal blocks as its first one, with their number; in time linear in nodes and edges.

    Blocks are equal that hold the same operations with the same shapes, connected in the same way. What is measured of
    all of them is added up. An edge inside of a block stands for that edge of each. All others are led to the first
    block and counted; those from a block to the next become edges that go around.
    """
    _lift_inputs(graph)
    shapes = _shapes(graph)
    rolled = _Rolled()
    for parent in _groups(graph.root):
        kept: list[Node | Group] = []
        for _, members in groupby(parent.members, lambda member: shapes[member] if _is_block(member) else None):
            run = list(members)
            if _is_block(run[0]) and len(run) > 1:
                rolled.merge(run)
                run = run[:1]
            kept += run
        parent.members[:] = kept
    if rolled.runs:
        graph.edges[:] = rolled.lead(graph.edges)
        graph.nodes[:] = [node for node in graph.nodes if node not in rolled.first]


def _lift_inputs(graph: Graph) -> None:
    """Show inputs outside of all modules: only the first of equal blocks reads them."""
    for node in graph.nodes:
        if node.kind == INPUT and node.parent.depth > 1:
            node.parent.members.remove(node)
            while node.parent.depth > 1 and node.parent.parent is not None:
                node.parent = node.parent.parent
            node.parent.members.append(node)


def _is_block(member: Node | Group) -> bool:
    return member.depth > 1 if isinstance(member, Group) else member.kind == MODULE


def _groups(root: Group) -> Iterator[Group]:
    """Yield all groups that are shown, outer ones before those in them."""
    stack = [root]
    while stack:
        group = stack.pop()
        yield group
        stack += [member for member in reversed(group.members) if isinstance(member, Group)]


def nodes_in(member: Node | Group) -> list[Node]:
    """Return the nodes of a group in the order of its members."""
    stack, found = [member], []
    while stack:
        item = stack.pop()
        if isinstance(item, Node):
            found.append(item)
        else:
            stack += reversed(item.members)
    return found


def _shapes(graph: Graph) -> dict[Node | Group, int]:
    """Return a number for each node and group, the same for equal ones. The name of a block itself does not count."""
    numbers = {node: number for number, node in enumerate(nodes_in(graph.root))}  # those of a group are neighbours
    known: dict[Hashable, int] = {}
    shapes: dict[Node | Group, int] = {}
    incoming: Counter[Node] = Counter()
    inside: dict[Group, list[tuple[int, int, int, bool]]] = {}
    for edge in graph.edges:
        incoming[edge.head] += edge.values
        group = common_group(edge.tail.parent, edge.head.parent)
        inside.setdefault(group, []).append((numbers[edge.tail], numbers[edge.head], edge.values, edge.saved))
    for node in graph.nodes:
        name = "" if node.kind in (MODULE, INPUT) else node.title
        place = "" if node.kind == MODULE else node.place
        key: Hashable = (node.kind, name, place, tuple(map(repr, node.specs)), tuple(node.details),
                         tuple(node.operations), incoming[node], node.change)  # fmt: skip
        shapes[node] = known.setdefault(key, len(known))
    start: dict[Group, int] = {}
    order = [graph.root]
    for group in order:
        order += [member for member in group.members if isinstance(member, Group)]
    for group in reversed(order):
        starts = [numbers[m] if isinstance(m, Node) else start[m] for m in group.members]
        start[group] = min(starts, default=0)
        begin = start[group]
        edges = sorted((tail - begin, head - begin, *rest) for tail, head, *rest in inside.get(group, ()))
        members = tuple((shapes[m], "" if isinstance(m, Node) else m.title) for m in group.members)
        key = (group.phase, members, tuple(edges))
        shapes[group] = known.setdefault(key, len(known))
    return shapes


class _Rolled:
    """Which node stands for which, and where each stands: in which copy of which blocks."""

    def __init__(self) -> None:
        self.first: dict[Node, Node] = {}
        self.levels: dict[Node, list[tuple[int, int]]] = {}  # run and copy; outer ones first
        self.runs = 0

    def merge(self, run: list[Group | Node]) -> None:
        """Let the first of equal blocks stand for all of them."""
        block = run[0]
        names = f"{run[0].title} … {run[-1].title}"
        if isinstance(block, Group):
            block.copies = len(run)
        block.title = f"{block.module or names} × {len(run)}"
        mine = nodes_in(block)
        for copy, member in enumerate(run):
            for own, other in zip(mine, nodes_in(member), strict=True):
                self.levels.setdefault(other, []).append((self.runs, copy))
                if copy:
                    self.first[other] = own
                    _add_measures(own, other)
        self.runs += 1

    def shown(self, node: Node) -> Node:
        """Return the node that stands for this one."""
        while node in self.first:
            node = self.first[node]
        return node

    def places(self, node: Node) -> list[tuple[int, int]]:
        """Return the runs that a node is in, outer ones first, and the copy in each."""
        found = list(self.levels.get(node, ()))
        while node in self.first:
            node = self.first[node]
            found += self.levels[node][len(found) :]
        return found

    def lead(self, edges: list[Edge]) -> list[Edge]:
        """Return the edges between the nodes that are shown."""
        led: list[Edge] = []
        merged: dict[tuple[Node, Node, bool, bool], Edge] = {}
        for edge in edges:
            tail, head = self.places(edge.tail), self.places(edge.head)
            common = list(takewhile(lambda pair: pair[0][0] == pair[1][0], zip(tail, head)))
            inside = list(takewhile(lambda pair: pair[0] == pair[1], common))
            if any(place[1] for place, _ in inside):
                continue  # the first block has the same edge
            again = len(inside) < len(common)
            if not again and len(tail) == len(head) == len(inside):
                led.append(edge)
                continue
            key = (self.shown(edge.tail), self.shown(edge.head), edge.saved, again)
            known = merged.get(key)
            if known is None:
                known = Edge(*key[:2], 0, edge.saved, edge.tooltip, edge.change, again)
                merged[key] = known
                led.append(known)
            known.values += edge.values
        return led


def _add_measures(node: Node, other: Node) -> None:
    node.records += other.records
    mine, others = (x.measures.get("seconds", 0.0) for x in (node, other))
    if "roofline" in node.measures and mine + others:
        share = mine * node.measures["roofline"] + others * other.measures.get("roofline", 0.0)
        node.measures["roofline"] = share / (mine + others)
    for name in _SUMS:
        if name in other.measures:
            node.measures[name] = node.measures.get(name, 0.0) + other.measures[name]
