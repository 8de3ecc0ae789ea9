"""How the time grows along a sweep: the exponent p of c x^p."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.report.digest import Group


class Curve(NamedTuple):
    """What a contender did along a series.

    Attributes:
        x: the sizes, rising.
        y: time or memory of a call for each.
        unit: "seconds" or "bytes".
        exponent: the fitted one; None with fewer than two sizes.
    """

    series: str
    contender: str
    x: list[float]
    y: list[float]
    unit: str
    exponent: float | None


def curves(group: Group) -> list[Curve]:
    """Return the curves of a group, by series and then by contender."""
    points: dict[tuple[str, str], list[tuple[float, float]]] = {}
    units: dict[str, str] = {}
    for row in group.rows:
        series, x = row["sweep"] or (None, None)
        if x is None:
            continue
        units[series] = row["measure"]
        for name, result in row["results"].items():
            if result["status"] == "ok" and result["value"]:
                points.setdefault((series, name), []).append((float(x), result["value"]))
    order = list(units)
    keys = sorted(points, key=lambda key: (order.index(key[0]), group.contenders.index(key[1])))
    found = []
    for series, name in keys:
        x, y = (list(values) for values in zip(*sorted(points[series, name])))
        found.append(Curve(series, name, x, y, units[series], exponent(x, y)))
    return found


def across_threads(found: Sequence[Group]) -> Group | None:
    """Return the points of the curves over the number of threads, which the groups of a suite have one each of.

    None where all groups ran on as many threads.
    """
    rows = [
        row | {"sweep": (row["sweep"][0], group.threads)}
        for group in found for row in group.rows if row["sweep"] and row["sweep"][1] is None
    ]
    if len({row["threads"] for row in rows}) < 2:
        return None
    return Group(found[0].suite, 0, rows, found[0].contenders)


def exponent(x: list[float], y: list[float]) -> float | None:
    """Return the p for which c x^p is nearest to y, by least squares of the logarithms.

    None with fewer than two different x.
    """
    if len(set(x)) < 2:
        return None
    u, v = [math.log(number) for number in x], [math.log(number) for number in y]
    center_u, center_v = math.fsum(u) / len(u), math.fsum(v) / len(v)
    products = math.fsum((a - center_u) * (b - center_v) for a, b in zip(u, v))
    return products / math.fsum((a - center_u) ** 2 for a in u)
