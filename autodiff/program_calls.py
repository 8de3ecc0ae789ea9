"""Which records of a program one call of a public function has made, and what that function is called.

``F.l1_loss(x, y)`` is a difference, its absolute value and a mean; ``x.max(dim=0)`` is an ``amax`` and an ``argmax``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

from autodiff.program import Program, Record


class Call:
    """A call of a public function by the user's program.

    Args:
        name: of the function, such as ``"l1_loss"``.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<call of {self.name}>"


class Named(NamedTuple):
    """What the user's program calls a record.

    Attributes:
        call: that has made it, or that it propagates back through.
        alone: whether that call has made one record, leaving out what propagates back through it.
    """

    call: Call
    alone: bool


def calls_of(program: Program) -> list[Call | None]:
    """Return the call that has made each record, or that it propagates back through; None where that is not known.

    A recorder knows. Without one, records are of one call that follow each other and come from the same place in the
    user's program, the same call of a module and the same function. Where they do the same several times over, as in a
    loop, these are so many calls. So a function that does nothing but one operation several times seems to be called
    once for each.

    >>> import autodiff as ad
    >>> x = ad.tensor([3.0, 1.0])
    >>> program = ad.record(lambda: [y.std() for y in (x, x)])
    >>> first, second = dict.fromkeys(calls_of(program))
    >>> first, first is second
    (<call of std>, False)
    """
    known = program.columns.get("call")
    if known is not None:
        return known
    origins = program.columns.get("origin") or [None] * len(program)
    guessed = _guessed(program, origins)
    numbers = [-guess if number is None else number for number, guess in
               zip(program.columns.get("call_number") or [None] * len(program), guessed, strict=True)]
    calls: dict[int, Call] = {}
    found: dict[Record, Call | None] = {}
    for record, origin, number in zip(program, origins, numbers, strict=True):
        if origin is not None or record.phase == "backward":
            found[record] = found.get(origin)
        elif name := name_of(record):
            found[record] = calls.setdefault(number, Call(name))
        else:
            found[record] = None
    return list(found.values())


def named(program: Program) -> list[Named | None]:
    """Return for each record of a program what the user's program calls it; None where that is not known."""
    calls = calls_of(program)
    made = Counter(call for record, call in zip(program, calls, strict=True) if record.phase != "backward")
    found = [None if call is None else Named(call, made[call] <= 1) for call in calls]
    # An optimizer's step is one operation, which no user calls by that name.
    return [None if call is not None and call.alone and record.phase == "update" else call
            for record, call in zip(program, found, strict=True)]


def name_of(record: Record) -> str:
    """Return the name of the public function whose call has made a record; empty where it is not known."""
    if record.called is None:
        return ""
    name = record.called.co_name
    if name.startswith("__"):
        name = name.strip("_")
    return name if name.isidentifier() and not name.startswith("_") else ""


def _guessed(program: Program, origins: Sequence[Any]) -> list[int]:
    """Return a number from 0 for the call that each record seems to be of."""
    numbers: list[int] = []
    for _, run in groupby(zip(program, origins, strict=True), key=_place):
        does = [(record.primitive, record.step) for record, _ in run]
        length = _period(does)
        numbers += [len(numbers) + i // length * length for i in range(len(does))]
    return numbers


def _place(entry: tuple[Record, Any]) -> tuple[Any, ...]:
    """Return where a record comes from: what records that follow each other have in common if they are of one call."""
    record, origin = entry
    return id(record.called), id(record.code), record.offset, id(record.scope), record.phase, id(origin)


def _period(items: Sequence[Any]) -> int:
    """Return the length of the shortest piece that a sequence repeats from its begin to its end.

    By the prefix function of Knuth, Morris and Pratt, "Fast pattern matching in strings", 1977.

    >>> _period("abcabc"), _period("aabaab"), _period("aaa"), _period("abcab")
    (3, 3, 1, 5)
    """
    borders = [0] * len(items)  # of each beginning the longest end that it begins with, too
    for i in range(1, len(items)):
        length = borders[i - 1]
        while length and items[i] != items[length]:
            length = borders[length - 1]
        borders[i] = length + (items[i] == items[length])
    shortest = len(items) - borders[-1]
    return shortest if len(items) % shortest == 0 else len(items)
