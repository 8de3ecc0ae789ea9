"""The roofline: the time that a machine needs at least (Williams, Waterman & Patterson, CACM 52, 2009)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def limit(cost: Mapping[str, int], limits: Mapping[str, Any]) -> dict[str, Any]:
    """Return the seconds that work takes at least, and what bounds it: "flops" or the name of a level.

    Args:
        cost: "flops", "bytes" read and written, "operand_bytes" of all arrays together, "itemsize" of a number.
        limits: of the machine, for the number of threads, as `autodiff.machine.limits_here` returns
            them: "flops" (name of a dtype -> operations a second) and "levels", smallest first: "name", "size" in
            bytes (None for the main memory), and bytes a second of some streams.

    It is the time of the floating-point operations or that of moving the operands, whichever is longer. Operands come
    from the smallest level that holds them.
    """
    level = level_of(cost["operand_bytes"], limits)
    arithmetic = cost["flops"] / limits["flops"]["float64" if cost["itemsize"] == 8 else "float32"]
    traffic = cost["bytes"] / bandwidth(level)
    if arithmetic > traffic:
        return {"seconds": arithmetic, "bound": "flops"}
    return {"seconds": traffic, "bound": level["name"]}


def limit_in_turn(costs: Iterable[Mapping[str, int]], limits: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `limit` does for works that are done one after the other: the sum, and what bounds most of it."""
    seconds: dict[str, float] = {}
    for cost in costs:
        one = limit(cost, limits)
        seconds[one["bound"]] = seconds.get(one["bound"], 0.0) + one["seconds"]
    return {"seconds": sum(seconds.values()), "bound": max(seconds, key=seconds.__getitem__)}


def level_of(size: int, limits: Mapping[str, Any]) -> dict[str, Any]:
    """Return the smallest level that holds `size` bytes."""
    levels = limits["levels"]
    found: dict[str, Any] = next((level for level in levels if level["size"] and level["size"] >= size), levels[-1])
    return found


def bandwidth(level: Mapping[str, Any]) -> float:
    """Return the bytes a second of a level: those of the fastest stream."""
    return float(max(rate for key, rate in level.items() if key not in ("name", "size")))
