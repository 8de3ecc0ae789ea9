"""What is computed twice is computed once: common subexpressions of a program.

Two instructions repeat one another where they are the same operation with the same parameters, and read the same values
of memory that nobody has changed in between. Then the second is left out, and whoever reads its results reads those of
the first: the same bits, for an operation's result depends on nothing else. Views run nothing, so they are not merged;
two views are the same value where they are made in the same way of the same value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np

from autodiff.compiler.instructions import Instruction, Region, Substitution, Value


def without_repeats(
    instructions: Sequence[Instruction], forward: int, needed: Iterable[Region]
) -> tuple[list[Instruction], int]:
    """Leave out instructions that compute what an earlier one has computed.

    Args:
        instructions: in the order they run.
        forward: how many of them belong to the function itself. What belongs to the backward pass of its results does
            not repeat those: it reads anew what may have changed since the call, which is an error then.
        needed: regions that are read afterwards; they are written as they were.

    Returns:
        The instructions, and how many of those belong to the function itself.

    What draws random numbers, writes into memory that was there before or reaches memory outside stays, and so does
    whatever has a result that somebody changes later. Of two equal checks the first stays.
    """
    needed = set(needed)
    writers = Counter(value.region for instruction in instructions for value in instruction.outputs)
    names = _Names()
    substitution = Substitution()
    found: dict[Hashable, Instruction] = {}
    kept: list[Instruction] = []
    inside = forward
    for number, before in enumerate(instructions):
        if number == forward:
            found.clear()
            inside = len(kept)
        instruction = substitution.applied(before)
        if instruction.computes and all(writers[value.region] == 1 for value in instruction.outputs):
            key = names.instruction(instruction)
            first = found.setdefault(key, instruction)
            if first is not instruction and not any(value.region in needed for value in instruction.outputs):
                for value, other in zip(instruction.outputs, first.outputs, strict=True):
                    substitution.put(value, other)
                continue
        kept.append(instruction)
        names.written(instruction)
    return kept, min(inside, len(kept))


class _Names:
    """Says of values and instructions what they have in common with those that are the same."""

    def __init__(self) -> None:
        self._changes: Counter[Region] = Counter()

    def written(self, instruction: Instruction) -> None:
        """Note that the values in these regions are others from now on."""
        self._changes.update({value.region for value in instruction.outputs})

    def instruction(self, instruction: Instruction) -> Hashable:
        """Return what equal instructions have in common."""
        return (
            instruction.primitive,
            exact(tuple(instruction.params.items())),
            tuple([self._value(value) for value in instruction.inputs]),
            tuple([value.spec for value in instruction.outputs]),
        )

    def _value(self, value: Value) -> Hashable:
        if value.source is None or value.record is None:
            return value, self._changes[value.region]
        record, index = value.record
        return self._value(value.source), record.primitive, exact(tuple(record.params.items())), index


def exact(x: Any) -> Hashable:
    """Return what stands for a parameter in comparisons: numbers are equal that have one type and one text.

    >>> exact(0.0) == exact(-0.0), exact(1) == exact(True), exact((1.5, None)) == exact((1.5, None))
    (False, False, True)
    """
    if isinstance(x, tuple):
        return tuple([exact(item) for item in x])
    return (type(x), repr(x)) if isinstance(x, int | float | np.generic) else x
