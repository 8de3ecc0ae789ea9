"""Where the temporaries of a program lie: in one stretch of memory, in places that follow from their lifetimes."""

from __future__ import annotations

from autodiff.compiler.instructions import Instruction, Kind, Region
from autodiff.spec import Spec

ALIGNMENT = 64  # bytes: a cache line, and the largest vector register


def place(requests: list[tuple[Region, int, int]]) -> int:
    """Give each region an offset, so that regions which live at the same time do not overlap; return the total size.

    Args:
        requests: regions with the first and the last instruction that needs them.

    The largest come first, each to the lowest place where it fits (the greedy-by-size strategy of Pisarchyk & Lee,
    "Efficient memory management for deep neural net inference", 2020).
    """
    placed: list[tuple[int, int, int, int]] = []  # offset, end, first, last; by offset
    total = 0
    for region, first, last in sorted(requests, key=lambda request: (-request[0].nbytes, request[1])):
        size = -(-region.nbytes // ALIGNMENT) * ALIGNMENT
        at = 0
        for offset, end, begin, finish in placed:
            if begin > last or finish < first:
                continue
            if offset - at >= size:
                break
            at = max(at, end)
        region.offset = at
        placed.append((at, at + size, first, last))
        placed.sort()
        total = max(total, at + size)
    return total


def lifetimes(instructions: list[Instruction], kept: list[Region]) -> list[tuple[Region, int, int]]:
    """Return each temporary region with the first and the last instruction that needs it; `kept` live to the end."""
    first: dict[Region, int] = {}
    last: dict[Region, int] = {}
    for number, instruction in enumerate(instructions):
        for value in (*instruction.inputs, *instruction.outputs):
            if value.region.kind is Kind.TEMPORARY:
                first.setdefault(value.region, number)
                last[value.region] = number
    for region in kept:
        if region in first:
            last[region] = len(instructions)
    return [(region, begin, last[region]) for region, begin in first.items()]


def scratch(spec: Spec) -> Region:
    """Return a region for a work array."""
    return Region(Kind.TEMPORARY, spec.nbytes)
