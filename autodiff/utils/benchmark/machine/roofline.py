"""The roofline: the time that a machine needs at least (Williams, Waterman & Patterson 2009)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autodiff.utils.benchmark.machine.kernels import STREAMS


def limit(cost: Mapping[str, int], limits: Mapping[str, Any]) -> dict[str, Any]:
    """Return the seconds that work takes at least, and what bounds it: "flops" or the name of a level.

    Args:
        cost: "flops", "bytes" read and written, "operand_bytes" of all arrays together, "itemsize" of a number.
        limits: what ``measure`` found for this number of threads.
    """
    level = level_of(cost["operand_bytes"], limits)
    arithmetic = cost["flops"] / limits["flops"]["float64" if cost["itemsize"] == 8 else "float32"]
    traffic = cost["bytes"] / bandwidth(level)
    if arithmetic > traffic:
        return {"seconds": arithmetic, "bound": "flops"}
    return {"seconds": traffic, "bound": level["name"]}


def level_of(size: int, limits: Mapping[str, Any]) -> dict[str, Any]:
    """Return the smallest level that holds `size` bytes."""
    levels = limits["levels"]
    found: dict[str, Any] = next((level for level in levels if level["size"] and level["size"] >= size), levels[-1])
    return found


def bandwidth(level: Mapping[str, Any]) -> float:
    """Return the bytes a second of a level: those of the fastest stream."""
    return float(max(level[stream] for stream in STREAMS))
