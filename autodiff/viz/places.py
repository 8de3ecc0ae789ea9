"""Where a record stands: in which modules, and at which line of the user's program."""

from __future__ import annotations

import linecache

from autodiff.program import Program, Record, common_scope
from autodiff.source import Line

AROUND = 2  # lines shown before and after the one that ran an operation


def paths_of(program: Program) -> list[list[str]]:
    """Return where each record stands: its phase, then the labels of the modules around it, outermost first."""
    model = next((record.scope.split(".")[0] for record in program if record.scope), "")
    paths = []
    following: list[str] = []
    for record in reversed(program.records):
        if record.scope:
            path = record.scope.split(".")
        elif record.phase == "update":
            # An update runs outside every module. It belongs to the module whose parameters it changes; where it only
            # prepares a change, to that of the next one.
            owners = [f"{model}.{leaf.name}".rpartition(".")[0] for leaf in record.operands
                      if leaf is not None and type(leaf) is not tuple and leaf.name]
            path = following = common_scope(owners).split(".") if owners and model else following
        else:
            path = following = []
        paths.append([record.phase, *path])
    return paths[::-1]


def blocks_of(program: Program, length: int) -> list[list[str]]:
    """Return paths that put records in a row into blocks of equal length, as far as they are of one phase."""
    last = len(program) - 1
    starts = [i // length * length for i in range(len(program))]
    return [[record.phase, f"operations {start:,} – {min(start + length - 1, last):,}"]
            for record, start in zip(program, starts)]  # fmt: skip


def classes_of(program: Program) -> dict[str, str]:
    """Return the class names of modules, by their paths."""
    classes: dict[str, str] = {}
    for record, names in zip(program, program.columns.get("classes", ())):
        labels = record.scope.split(".")
        for i, name in enumerate(names, 1):
            classes.setdefault(".".join(labels[:i]), name)
    return classes


def text_of_line(record: Record) -> str:
    """Return the user's line without its folder, so that the text is the same on every machine."""
    line = record.line
    if line is None:
        return ""
    return str(line).replace(line.filename, _without_folder(line), 1)


def lines_around(line: Line | None) -> tuple[str, int, list[tuple[int, str]]]:
    """Return file (without folder) and number of a line, and the lines around it with their numbers.

    >>> lines_around(None)
    ('', 0, [])
    """
    if line is None:
        return "", 0, []
    number, lines = line.number, linecache.getlines(line.filename)
    first = max(number - AROUND, 1)
    shown = [(i, text.rstrip()) for i, text in enumerate(lines[first - 1 : number + AROUND], first)]
    return _without_folder(line), number, shown


def _without_folder(line: Line) -> str:
    return line.filename.replace("\\", "/").rpartition("/")[2]
