"""How much of a large program a picture shows."""

from __future__ import annotations

from autodiff.program import Program
from autodiff.viz.places import paths_of

_BLOCKS = 20  # where there are no modules: nobody reads a column of 200 boxes that say the same


def summary(program: Program, boxes: int) -> tuple[int, int, str]:
    """Choose what to show of a program that is too large to be read.

    Args:
        program: the program.
        boxes: how many operations and modules to show.

    Returns:
        The depth to draw it to; how many operations to put into one block, where even the outermost modules are too
        many or there are none, otherwise 0; and a remark that says so.
    """
    paths = paths_of(program)
    deepest = max((len(path) for path in paths), default=1)
    best: int | None = None
    for depth in range(deepest):
        if _boxes(paths, depth) > boxes:
            break
        best = depth
    total = f"{len(program):,} operations"
    if best is not None:
        return best, 0, f"{total}: shown to depth {best}"
    length = -(-len(program) // min(boxes, _BLOCKS))
    return 0, length, f"{total}: shown in blocks of {length:,}"


def fewest(program: Program) -> int:
    """Return how many operations and modules a picture shows whose outermost modules are one node each."""
    return _boxes(paths_of(program), 0)


def _boxes(paths: list[list[str]], depth: int) -> int:
    """Return how many nodes a picture to this depth has."""
    count = 0
    last: list[str] | None = None
    for path in paths:
        shown = path[: depth + 2]
        inside = len(path) > depth + 1
        count += not (inside and shown == last)
        last = shown if inside else None
    return count
