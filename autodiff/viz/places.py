"""Where a record stands: in which modules, and at which line of the user's program."""

from __future__ import annotations

import linecache
from collections.abc import Sequence
from typing import NamedTuple

from autodiff.program import Program, Record
from autodiff.program_calls import Call, named
from autodiff.program_scopes import scopes_of
from autodiff.source import Line

AROUND = 2  # lines shown before and after the one that ran an operation


def paths_of(program: Program) -> list[list[str]]:
    """Return where each record stands: its phase, then the labels of what is around it, outermost first.

    That are modules, and the call of a function that has made several records (`label_of_call`). What is computed again
    stands in the phase in which it was computed first.
    """
    first = program.columns.get("recomputed") or [()] * len(program)
    return [[phases[0] if phases and all(phases) else record.phase, *(scope.split(".") if scope else ()),
             *([label_of_call(made.call)] if made is not None and not made.alone else ())]
            for record, scope, phases, made in zip(program, scopes_of(program), first, named(program), strict=True)]


def label_of_call(call: Call) -> str:
    """Return the label of a call in a path, which no module has.

    >>> from autodiff.program_calls import Call
    >>> label_of_call(Call("l1_loss"))
    'l1_loss()'
    """
    return f"{call.name}()"


def function_of(label: str) -> str:
    """Return the name of the function whose call has this label in a path; empty where it is that of a module.

    >>> function_of("l1_loss()"), function_of("fc")
    ('l1_loss', '')
    """
    return label[:-2] if label.endswith("()") else ""


def blocks_of(program: Program, length: int) -> list[list[str]]:
    """Return paths that put records in a row into blocks of equal length, as far as they are of one phase."""
    last = len(program) - 1
    starts = [i // length * length for i in range(len(program))]
    return [[record.phase, f"operations {start:,} – {min(start + length - 1, last):,}"]
            for record, start in zip(program, starts)]  # fmt: skip


class Folding:
    """Which modules are shown as one box each.

    Args:
        paths: of all records.
        depth: modules nested deeper are; None for none.
        changes: what a comparison says of each record: then modules are in which nothing has changed.
    """

    def __init__(self, paths: Sequence[list[str]], depth: int | None, changes: Sequence[str] | None = None) -> None:
        self._depth = depth
        self._open: set[tuple[str, ...]] | None = None
        if changes is not None:
            self._open = {tuple(path[:length]) for path, change in zip(paths, changes, strict=True) if change != "same"
                          for length in range(1, len(path) + 1)}  # fmt: skip

    def shown(self, path: list[str]) -> tuple[list[str], bool]:
        """Return what is shown of a path, and whether its last label is a module shown as one box."""
        most = len(path) if self._depth is None else self._depth + 1
        if self._open is not None:
            closed = (length for length in range(2, len(path) + 1) if tuple(path[:length]) not in self._open)
            most = min(most, next(closed, len(path) + 1) - 1)
        return path[: most + 1], len(path) > most


class Place(NamedTuple):
    """A line of the user's program.

    Attributes:
        text: file without its folder, so that it is the same on every machine, number, function and line.
        file: without its folder.
        number: of the line.
        around: the lines around it with their numbers.
    """

    text: str
    file: str
    number: int
    around: list[tuple[int, str]]


class Lines:
    """The user's lines of records, each looked up once: those of a loop come from one."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, int], Place] = {}

    def of(self, record: Record) -> Place:
        """Return the line of a record that stays alive; nothing where it is not known."""
        key = id(record.code), record.offset
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = Place("", "", 0, []) if record.line is None else _place_of(record.line)
        return found


def _place_of(line: Line) -> Place:
    number, lines = line.number, linecache.getlines(line.filename)
    first = max(number - AROUND, 1)
    around = [(i, text.rstrip()) for i, text in enumerate(lines[first - 1 : number + AROUND], first)]
    file = line.filename.replace("\\", "/").rpartition("/")[2]
    return Place(str(line).replace(line.filename, file, 1), file, number, around)
