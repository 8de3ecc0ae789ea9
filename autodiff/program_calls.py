"""Which records of a program one call of a public function has made, and what that function is called.

``F.l1_loss(x, y)`` is a difference, its absolute value and a mean; ``x.max(dim=0)`` is an ``amax`` and an ``argmax``.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

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
        alone: whether that call has made one record in the forward pass.
    """

    call: Call
    alone: bool


def calls_of(program: Program) -> list[Call | None]:
    """Return the call that has made each record, or that it propagates back through; None where that is not known.

    Records are of one call that follow each other, come from the same place in the user's program and in the same call
    of a module, and go on in the function that was called there. Where they begin in it anew, as in a loop, another
    call begins. So a function that is itself a loop over one operation seems to be called once for each.

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
    found: dict[Record, Call | None] = {}
    latest: Call | None = None
    first: Record | None = None
    for record, origin in zip(program, program.columns.get("origin") or [None] * len(program), strict=True):
        if record.phase != "forward":
            found[record] = found.get(origin)
            continue
        name = name_of(record)
        if not name:
            latest = None
        elif latest is None or first is None or not _goes_on(first, record):
            latest, first = Call(name), record
        found[record] = latest
    return list(found.values())


def named(program: Program) -> list[Named | None]:
    """Return for each record of a program what the user's program calls it; None where that is not known."""
    calls = calls_of(program)
    made = Counter(call for record, call in zip(program, calls, strict=True) if record.phase == "forward")
    return [None if call is None else Named(call, made[call] <= 1) for call in calls]


def name_of(record: Record) -> str:
    """Return the name of the public function whose call has made a record; empty where it is not known."""
    if record.called is None:
        return ""
    name = record.called.co_name
    if name.startswith("__"):
        name = name.strip("_")
    return name if name.isidentifier() and not name.startswith("_") else ""


def _goes_on(first: Record, record: Record) -> bool:
    """Tell whether a record may be of the call that began with another one."""
    same = (record.called is first.called and record.code is first.code and record.offset == first.offset
            and record.scope is first.scope)  # fmt: skip
    return same and record.step >= first.step and (record.step > first.step or record.primitive is not first.primitive)
