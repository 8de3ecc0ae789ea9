"""Passes: functions that take the instructions of a program and return better ones, which do the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from autodiff.compiler.fusion import Chain, Followed, chains
from autodiff.compiler.instructions import Instruction, Kind, Region

OUTSIDE = (Kind.SLOT, Kind.ARGUMENT, Kind.CONSTANT)  # memory that others look at, or that the next replay reads


def without_dead(instructions: Sequence[Instruction], needed: Iterable[Region]) -> list[Instruction]:
    """Leave out what nobody reads: instructions that write temporaries only, none of which is needed.

    Args:
        instructions: in the order they run.
        needed: regions that are read afterwards.

    What a hook does is a result, too, and so is an error. A region counts as read as a whole, so a change in place
    stays as long as anything in its region is read later.
    """
    alive = set(needed)
    kept = []
    for instruction in reversed(instructions):
        seen = instruction.primitive.status is not None or instruction.calls_python
        if seen or any(value.region in alive or value.region.kind in OUTSIDE for value in instruction.outputs):
            alive.update(value.region for value in instruction.inputs)
            kept.append(instruction)
    return kept[::-1]


def with_late_writes(instructions: Sequence[Instruction]) -> list[Instruction]:
    """Move changes of memory outside the program behind the last instruction that can meet a bad value.

    So a step that ends in an error (an index out of range) leaves buffers and parameters as they were. A change stays
    where it is if something up to there reads or writes what it changes, or changes what it reads.
    """
    last = max((i for i, x in enumerate(instructions) if x.primitive.status is not None), default=-1)
    early: list[Instruction] = []
    late: list[Instruction] = []
    for number, instruction in enumerate(instructions[: last + 1]):
        rest = instructions[number + 1 : last + 1]
        moves = _changes_outside(instruction)
        if moves and not any(_conflict(instruction, other) for other in rest):
            late.append(instruction)
        else:
            early.append(instruction)
    return [*early, *late, *instructions[last + 1 :]]


def with_chains(instructions: Sequence[Instruction], needed: Iterable[Region]) -> list[Instruction]:
    """Run chains of element-wise instructions, and epilogues, as one operation each; see `fusion`."""
    found = []
    outside = {value.region for x in instructions for value in x.outputs if value.region.kind is not Kind.TEMPORARY}
    for item in chains(instructions, outside.union(needed)):
        if isinstance(item, Chain | Followed):
            primitive, params = item.operation
            record = item.instructions[-1].record
            found.append(Instruction(primitive, params, item.inputs, item.outputs, record, parts=item.instructions))
        else:
            found.append(item)
    return found


def _changes_outside(instruction: Instruction) -> bool:
    return any(value.region.kind is Kind.SLOT for value in instruction.outputs)


def _conflict(instruction: Instruction, other: Instruction) -> bool:
    """Return whether the two must keep their order."""
    written = {value.region for value in instruction.outputs}
    touched = written | {value.region for value in instruction.inputs}
    other_written = {value.region for value in other.outputs}
    reads = {value.region for value in other.inputs}
    return bool(other.calls_python or other_written & touched or reads & written)
