"""What a recording consists of, in words: for `Compiled.explain`."""

from __future__ import annotations

from autodiff.compiler.recorded import Recorded
from autodiff.program import Program
from autodiff.program_columns import shares_of_roofline

MOST = 5  # instructions that are named
NEGLIGIBLE = 0.02  # of the time of all instructions


def explanation(recorded: Recorded) -> list[str]:
    """Return lines: what is replayed, what Python runs of it, what the passes did, and what loses most of the time."""
    (_, first), *others = [(name, len(instructions)) for name, instructions in recorded.stages.items()]
    passes = f"passes: {first} instructions at first, " + ", ".join(f"{size} {name}" for name, size in others)
    lines = [*recorded.describe(), passes]
    return lines if recorded.measured is None else [*lines, *_losses(recorded.measured)]


def _losses(program: Program) -> list[str]:
    from autodiff.machine import limits_here  # some 2 s of measuring, once

    seconds = program.columns["seconds"]
    shares = shares_of_roofline(program, limits_here())
    least = NEGLIGIBLE * sum(seconds)
    lost = [(x * (1 - share), record, x, share) for record, x, share in zip(program, seconds, shares, strict=True)
            if share is not None and x * (1 - share) > least]
    lost.sort(key=lambda entry: -entry[0])
    return ["furthest from the roofline:", *[
        f"  {1e6 * x:.3g} us, {share:.0%} of the roofline: {record.name} at {record.line}"
        for _, record, x, share in lost[:MOST]]]
