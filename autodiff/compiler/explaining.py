"""What a recording consists of, in words: for `Compiled.explain`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from autodiff.compiler.instructions import Instruction
from autodiff.compiler.recorded import Recorded
from autodiff.program import Program, Record
from autodiff.program_columns import shares_of_roofline, text_of

MOST = 5  # instructions that are named
NEGLIGIBLE = 0.02  # of the time of all instructions


def explanation(recorded: Recorded) -> list[str]:
    """Return lines: what is replayed, what Python runs of it, what the passes did, and what loses most of the time."""
    (_, first), *others = [(name, len(instructions)) for name, instructions in recorded.stages.items()]
    passes = f"passes: {first} instructions at first, " + ", ".join(f"{size} {name}" for name, size in others)
    lines = [*recorded.describe(), passes, *_joined(next(reversed(recorded.stages.values())))]
    return lines if recorded.measured is None else [*lines, *_losses(recorded.measured)]


def _joined(instructions: Sequence[Instruction]) -> list[str]:
    """Return which operations have become one instruction, the most frequent ones first."""
    kinds = Counter(_names([part.record for part in x.parts]) for x in instructions if x.parts)
    named = [text + (f" ({count} times)" if count > 1 else "") for text, count in kinds.most_common(MOST)]
    if len(kinds) > MOST:
        named.append(f"and {len(kinds) - MOST} other kinds")
    return ["one instruction each: " + "; ".join(named)] if named else []


def _losses(program: Program) -> list[str]:
    """Return what loses most of the time against the roofline, the largest loss first."""
    from autodiff.machine import limits_here  # some 2 s of measuring, once

    seconds = program.columns["seconds"]
    total = sum(seconds)
    shares = shares_of_roofline(program, limits_here())
    rows = zip(program, program.columns["parts"], seconds, shares, strict=True)
    lost = [(x * (1 - share), record, parts, x, share) for record, parts, x, share in rows
            if share is not None and x * (1 - share) > NEGLIGIBLE * total]
    lost.sort(key=lambda entry: -entry[0])
    return ["furthest from the roofline, what loses most time first:", *[
        f"  {text_of('seconds', x)} ({x / total:.0%} of all), {share:.0%} of the roofline: {_called(record, parts)}"
        for _, record, parts, x, share in lost[:MOST]]]


def _called(record: Record, parts: Sequence[Record]) -> str:
    """Return the operation, what it is fused of, its module and the user's line."""
    text = record.name + (f" of {_names(parts)}" if parts else "")
    return text + (f" in {record.scope}" if record.scope else "") + (f" at {record.line}" if record.line else "")


def _names(parts: Sequence[Record]) -> str:
    """Return the names of operations, the first ones of many."""
    names = [part.name for part in parts]
    return " + ".join(names[:MOST]) + (f" and {len(names) - MOST} more" if len(names) > MOST else "")
