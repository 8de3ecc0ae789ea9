"""Where the temporaries of a program lie: in one stretch of memory, in places that follow from their lifetimes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

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
    placed = np.zeros((4, len(requests)), np.int64)  # offsets, ends, first and last instructions; by offset
    largest_first = sorted(requests, key=lambda request: (-request[0].nbytes, request[1]))
    for count, (region, first, last) in enumerate(largest_first):
        size = -(-region.nbytes // ALIGNMENT) * ALIGNMENT
        offsets, ends, begin, finish = placed[:, :count]
        together = (begin <= last) & (finish >= first)
        # Between what lies below and what lies above: the first gap that is large enough, or behind everything.
        starts = np.append(0, np.maximum.accumulate(ends[together]))
        gaps = np.append(offsets[together], np.iinfo(np.int64).max) - starts
        region.offset = at = int(starts[np.argmax(gaps >= size)])
        before = int(np.searchsorted(offsets, at, side="right"))
        placed[:, before + 1 : count + 1] = placed[:, before:count]
        placed[:, before] = at, at + size, first, last
    return int(placed[1].max(initial=0))


def size(instructions: Sequence[Instruction], kept: Iterable[Region]) -> int:
    """Return how many bytes the temporaries take, work arrays of kernels not counted."""
    return place(lifetimes(instructions, kept))


def lifetimes(instructions: Sequence[Instruction], kept: Iterable[Region]) -> list[tuple[Region, int, int]]:
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
