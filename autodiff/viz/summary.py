"""How much of a large program a picture shows."""

from __future__ import annotations

from collections.abc import Callable

from autodiff.program import Program
from autodiff.viz.graph import MODULE, OPERATION, Graph
from autodiff.viz.places import paths_of
from autodiff.viz.rolling import roll

_BLOCKS = 20  # where there is nothing to fold: nobody reads a column of 200 boxes that say the same


def summary(program: Program, expanded: Callable[..., Graph], boxes: int) -> Graph:
    """Return the picture of a program that is too large to be read: as deep as it fits, equal blocks in a row once.

    Where neither modules nor equal blocks make it small enough, it is cut into blocks of equal length. Operations are
    shown, too, where rolling up leaves few enough.

    Args:
        program: the program.
        expanded: returns its graph, to a `depth` or in a `block` of so many operations: see `graph_of`.
        boxes: how many operations and modules to show.
    """
    total = f"{len(program):,} operations"
    # Deeper than this there is nothing: like None, it shows every operation.
    low, high = -1, max((len(path) for path in paths_of(program)), default=1) - 1
    found = _rolled(expanded, None, boxes)
    if found is not None:
        graph, runs = found
        graph.remarks += [f"{total}: equal blocks in a row are shown once, with their number"] if runs else []
        return graph
    best: tuple[Graph, int] | None = None
    while high - low > 1:
        middle = (low + high) // 2
        found = _rolled(expanded, middle, boxes)
        if found is None:
            high = middle
        else:
            best, low = found, middle
    if best is None:
        length = -(-len(program) // min(boxes, _BLOCKS))
        graph = expanded(block=length)
        graph.remarks.append(f"{total}: shown in blocks of {length:,}")
        return graph
    graph, runs = best
    graph.remarks.append(f"{total}: shown to depth {low}" + (", equal blocks in a row once" if runs else ""))
    return graph


def _rolled(expanded: Callable[..., Graph], depth: int | None, boxes: int) -> tuple[Graph, int] | None:
    """Return the graph to a depth, and how many runs of equal blocks it shows once; None where it has more boxes."""
    graph = expanded(depth=depth)
    runs = roll(graph)
    return (graph, runs) if boxes_in(graph) <= boxes else None


def boxes_in(graph: Graph) -> int:
    """Return how many operations and modules a graph shows."""
    return sum(node.kind in (OPERATION, MODULE) for node in graph.nodes)


def fewest(program: Program) -> int:
    """Return how many operations and modules a picture shows whose outermost modules are one node each."""
    count = 0
    last: list[str] | None = None
    for path in paths_of(program):
        inside = len(path) > 1
        count += not (inside and path[:2] == last)
        last = path[:2] if inside else None
    return count
