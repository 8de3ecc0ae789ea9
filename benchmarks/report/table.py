"""The report as plain text, for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmarks.report import words
from benchmarks.report.digest import OURS, Group, groups, median, problems, share_not_slower

SHOWN_PROBLEMS = 20


def line(row: dict[str, Any]) -> str:
    """Return a row as one line: what autodiff took, and each peer's ratio with its interval."""
    parts = []
    for name, result in row["results"].items():
        if result["status"] != "ok":
            parts.append(f"{name} {words.status(result)}")
        elif result["ratio"] is None:
            notes = ", ".join(note for note in (words.rate(row), words.share(row)) if note) if name == OURS else ""
            parts.append(f"{name} {words.value(row, result)}{f' ({notes})' if notes else ''}")
        else:
            between = words.interval(result)
            parts.append(f"{name} {words.ratio(result['ratio'])}{f' ({between})' if between else ''}")
    return f"{row['case']}, {words.threads(row['threads'])}:  {'  |  '.join(parts)}"


def summary(results: dict[str, Any]) -> str:
    """Return the summary of a run: ratios for each suite, the lowest ones, and what went wrong."""
    found = groups(results)
    if not found:
        return "Nothing was measured."
    peers = [name for name in results["contenders"] if any(name in group.peers for group in found)]
    head = ["suite", "threads", "rows", *peers]
    body = [
        [group.suite, str(group.threads), str(len(group.rows)), *(cell(group, peer) for peer in peers)]
        for group in found
    ]
    text = ["Median ratio of the peer's time to autodiff's (above 1: autodiff is faster), and share of rows from 1 on:",
            "", *aligned([head, *body])]
    text += ["", "Lowest ratios:"]
    for group in found:
        text += [f"  {words.ratio(entry.ratio):>5}  {entry.row['case']}, {words.threads(group.threads)}, {entry.peer}"
                 for entry in group.worst()]
    wrong = problems(results)
    if wrong:
        text += ["", f"Wrong or failed: {len(wrong)}"]
        text += [f"  {row['case']}, {words.threads(row['threads'])}, {contender} {words.status(result)}"
                 for row, contender, result in wrong[:SHOWN_PROBLEMS]]
        if len(wrong) > SHOWN_PROBLEMS:
            text.append(f"  and {len(wrong) - SHOWN_PROBLEMS} more, which the page lists")
    return "\n".join(text)


def cell(group: Group, peer: str) -> str:
    """Return what a summary says of a peer in a group."""
    ratios = group.comparisons(peer)
    others = counted(group.statuses(peer))
    if ratios:
        text = f"{words.ratio(median(ratios))} ({share_not_slower(ratios):.0%} of {len(ratios)})"
        return f"{text}, {others}" if others else text
    return others or "-"


def counted(statuses: Counter[str]) -> str:
    """Return how many rows have each status other than "ok"."""
    return ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()) if status != "ok")


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of cells as lines with columns of equal width."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows]
