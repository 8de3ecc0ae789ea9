"""What must hold after every pass: that a program makes sense, and that it still does what it did before.

The cost is small beside that of recording, so that every program is verified. An error here is one of the compiler, not
of the user.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from autodiff.bind import plan_for
from autodiff.compiler.instructions import Instruction, Kind, Region
from autodiff.primitive import Primitive
from autodiff.program import Record

OWN = (Kind.TEMPORARY, Kind.GRADIENT)  # memory that holds nothing before the program writes it


def verify(name: str, instructions: Sequence[Instruction], needed: Iterable[Region]) -> None:
    """Check that every instruction reads what was written, of the type it expects, and writes where it may.

    Args:
        name: of the pass that made the instructions, for the message.
        instructions: in the order they run.
        needed: regions that are read afterwards.

    Raises:
        ValueError: names the pass and the first instruction that is wrong.
    """
    written: set[Region] = set()

    def refuse(instruction: Instruction, what: str) -> None:
        raise ValueError(f"after the pass '{name}', {instruction!r} from {instruction.record.line} {what}")

    for instruction in instructions:
        for position, value in enumerate(instruction.inputs):
            if value.region.kind in OWN and value.region not in written:
                refuse(instruction, f"reads input {position}, which nobody has written")
            if value.source is not None and value.source.region is not value.region:
                refuse(instruction, f"reads input {position}, a view that lies apart from its source")
        for value in instruction.outputs:
            there = value.region.kind not in OWN or value.region in written
            if there and not any(part.in_place for part in instruction.parts or (instruction,)):
                refuse(instruction, "writes a new result into memory that was there before")
        own = {value.region for value in instruction.outputs}
        parts = [value.region for part in instruction.parts for value in part.outputs]
        if any(region.kind is not Kind.TEMPORARY and region not in own for region in parts):
            refuse(instruction, "does not write what its parts write outside")
        if not instruction.in_place:
            specs = tuple([value.spec for value in instruction.inputs])
            plan = plan_for(instruction.primitive, specs, instruction.params)
            if plan.specs != tuple([value.spec for value in instruction.outputs]):
                refuse(instruction, f"makes {plan.specs} where other types are read")
        written |= own
    missing = [region for region in needed if region.kind in OWN and region not in written]
    if missing:
        raise ValueError(f"after the pass '{name}', nobody writes {missing[0]!r}, which is read afterwards")


def verify_effects(name: str, before: Sequence[Instruction], after: Sequence[Instruction]) -> None:
    """Check that a pass has changed nothing that is seen from outside.

    Raises:
        ValueError: names the pass, and what it has lost, added or put into another order.
    """
    effects, new = _effects(before), _effects(after)
    for what in {**effects, **new}:
        if effects.get(what) != new.get(what):
            raise ValueError(f"the pass '{name}' has changed what is done to {what!r}")
    lost = _checks(before) - _checks(after)
    if lost:
        raise ValueError(f"the pass '{name}' has lost the check of {lost.pop().name}")


def _effects(instructions: Sequence[Instruction]) -> dict[Any, list[Record]]:
    """Return what is done to each region outside and to each `.grad`, and which hooks are called, in order."""
    found: dict[Any, list[Record]] = {}
    for instruction in instructions:
        for part in instruction.parts or (instruction,):
            regions = dict.fromkeys(value.region for value in part.outputs if value.region.kind is not Kind.TEMPORARY)
            for what in (*regions, *(["hooks"] if part.calls_python else [])):
                found.setdefault(what, []).append(part.record)
    return found


def _checks(instructions: Sequence[Instruction]) -> set[Primitive]:
    """Return the operations that can meet a bad value; of several equal checks a pass may keep one."""
    return {part.primitive for x in instructions for part in x.parts or (x,) if part.primitive.status is not None}
