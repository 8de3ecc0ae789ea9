"""The rows of a run in groups, and the few numbers that say how a group went."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

OURS = "autodiff"
Row = dict[str, Any]


class Comparison(NamedTuple):
    """A ratio, with where it comes from."""

    ratio: float
    peer: str
    row: Row


@dataclass(frozen=True)
class Group:
    """The rows of a suite for one number of threads, in the order in which they ran.

    Attributes:
        contenders: those that some row has, in the order of the run.
    """

    suite: str
    threads: int
    rows: list[Row]
    contenders: list[str]

    @property
    def peers(self) -> list[str]:
        """All contenders but autodiff."""
        return [name for name in self.contenders if name != OURS]

    def comparisons(self, peer: str) -> list[Comparison]:
        """Return the ratios against a peer that were measured."""
        found = [(row["results"].get(peer), row) for row in self.rows]
        return [
            Comparison(result["ratio"], peer, row) for result, row in found
            if result and result["status"] == "ok" and result["ratio"] is not None
        ]

    def statuses(self, contender: str) -> Counter[str]:
        """Return how many rows of a contender have each status."""
        return Counter(row["results"][contender]["status"] for row in self.rows if contender in row["results"])

    def worst(self, count: int = 5) -> list[Comparison]:
        """Return the lowest ratios, one a case, lowest first."""
        lowest: dict[str, Comparison] = {}
        for peer in self.peers:
            for found in self.comparisons(peer):
                case = found.row["case"]
                if case not in lowest or found.ratio < lowest[case].ratio:
                    lowest[case] = found
        return sorted(lowest.values(), key=lambda found: found.ratio)[:count]


class Problem(NamedTuple):
    """A contender that computed something else in a row, or nothing."""

    row: Row
    contender: str
    result: dict[str, Any]


def groups(results: dict[str, Any]) -> list[Group]:
    """Return the rows by suite, then by number of threads."""
    rows: dict[tuple[str, int], list[Row]] = {}
    suites = list(dict.fromkeys(row["suite"] for row in results["rows"]))
    for row in results["rows"]:
        rows.setdefault((row["suite"], row["threads"]), []).append(row)
    order = sorted(rows, key=lambda key: (suites.index(key[0]), key[1]))
    return [
        Group(suite, threads, rows[suite, threads], [
            name for name in results["contenders"] if any(name in row["results"] for row in rows[suite, threads])
        ])
        for suite, threads in order
    ]


def problems(results: dict[str, Any]) -> list[Problem]:
    """Return what was wrong or failed, in the order in which it ran."""
    return [
        Problem(row, name, result) for row in results["rows"] for name, result in row["results"].items()
        if result["status"] in ("wrong", "failed")
    ]


def median(found: list[Comparison]) -> float:
    """Return the median ratio."""
    return statistics.median(entry.ratio for entry in found)


def share_not_slower(found: list[Comparison]) -> float:
    """Return the share of ratios that are at least 1."""
    return sum(entry.ratio >= 1 for entry in found) / len(found)


def title(row: Row) -> str:
    """Return the name of a case without its suite."""
    return str(row["case"]).removeprefix(row["suite"] + "/")


def family(row: Row) -> str:
    """Return the part of a case's name after the suite."""
    return title(row).split("/")[0]
