"""Writes the training times of a run into the README, between two comments.

    python -m benchmarks.readme RESULTS.json [--file README.md]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.report.digest import OURS, Group, Row, groups, title
from benchmarks.report.words import digits, ratio, threads

BEGIN, END = "<!-- training times: begin -->", "<!-- training times: end -->"
README = Path(__file__).parent.parent / "README.md"

# Column -> contenders; of several the fastest counts. PyTorch is given its better layout for each row.
COLUMNS = {
    "eager": ("autodiff eager",),
    "PyTorch": ("torch", "torch channels_last"),
    "torch.compile": ("torch.compile",),
    "JAX": ("jax",),
}
MARKS = {"torch channels_last": "¹"}
NOTES = {"torch channels_last": "channels-last images"}


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.readme", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, metavar="RESULTS.json", help="what a run with the suite train wrote")
    parser.add_argument("--file", type=Path, default=README, help="the file to change (default: the README)")
    arguments = parser.parse_args()
    try:
        text = replaced(arguments.file.read_text(encoding="utf-8"), section(json.loads(arguments.results.read_text())))
    except (OSError, ValueError) as error:
        raise SystemExit(f"{arguments.file} was left as it is: {error}") from None
    write(arguments.file, text)
    print(f"wrote the training times of {arguments.results} into {arguments.file}")


def section(results: dict[str, Any]) -> str:
    """Return the tables of a run's suite train as Markdown, one for each number of threads, and where they come from.

    Raises:
        ValueError: if the run has no rows of that suite.
    """
    found = [group for group in groups(results) if group.suite == "train"]
    if not found:
        raise ValueError("the results have no row of the suite train")
    used = {name for group in found for row in group.rows if (name := fastest(row, COLUMNS["PyTorch"]))}
    notes = [f"{MARKS[name]} {NOTES[name]}" for name in MARKS if name in used]
    ending = origin(results)
    if notes:
        ending = f"PyTorch's best setting for each row counts: {', '.join(notes)}.\n{ending}"
    return "\n\n".join([*(table(group) for group in found), ending])


def table(group: Group) -> str:
    """Return the table of a number of threads."""
    columns = [column for column, names in COLUMNS.items() if any(name in group.peers for name in names)]
    head = [f"{threads(group.threads)}, ms a step", OURS]
    for column in columns:
        head += [column, "ratio"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for row in group.rows:
        cells = [title(row), time(row, OURS)]
        for column in columns:
            cells += pair(row, COLUMNS[column])
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def pair(row: Row, names: Sequence[str]) -> list[str]:
    """Return the cells of a column of the table: the fastest contender's time and ratio, or what kept it from one."""
    name = fastest(row, names)
    if name is not None:
        return [time(row, name) + MARKS.get(name, ""), ratio(row["results"][name]["ratio"])]
    statuses = dict.fromkeys(row["results"][name]["status"] for name in names if name in row["results"])
    return [", ".join(statuses) or "–", ""]


def fastest(row: Row, names: Sequence[str]) -> str | None:
    """Return the contender with the lowest ratio in a row; None if none has one."""
    ratios = {name: row["results"][name]["ratio"] for name in names if name in row["results"]}
    timed = [name for name, found in ratios.items() if found is not None]
    return min(timed, key=lambda name: ratios[name], default=None)


def time(row: Row, name: str) -> str:
    """Return a contender's time in milliseconds, or its status."""
    result = row["results"].get(name)
    if result is None:
        return "–"
    return digits(1e3 * result["value"]) if result["status"] == "ok" else str(result["status"])


def origin(results: dict[str, Any]) -> str:
    """Return when and on what the run was, and with which versions."""
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    commit = f"{results['commit'][:10]}{' with uncommitted changes' if results['dirty'] else ''}"
    return (f"Measured on {str(results['date'])[:10]} on {machine['cpu']}, {machine['cores']} cores, vectors of "
            f"{8 * machine['vector_bytes']} bits; commit {commit}; {versions}.")


def replaced(text: str, new: str) -> str:
    """Return a text with what stands between the two comments replaced.

    Raises:
        ValueError: if it has not exactly one of each, in that order.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"it must have the lines '{BEGIN}' and '{END}', once each and in this order")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{new}\n{END}{after}"


def write(file: Path, text: str) -> None:
    """Replace a file's content; a reader never sees half of it."""
    half = file.with_name(file.name + ".part")
    half.write_text(text, encoding="utf-8")
    shutil.copymode(file, half)
    os.replace(half, file)


if __name__ == "__main__":
    main()
