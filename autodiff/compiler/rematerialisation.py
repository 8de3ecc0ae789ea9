"""Less memory for more work: values that lie idle between two uses are dropped, and computed again before the second.

Where a program needs most memory, the backward pass has yet to read most of what the forward pass made. Of the values
that wait there, the one whose bytes are cheapest to make again goes first, until the program is small enough. What is
computed again is computed by the same operations from the same numbers: the bits do not change.

Source: Chen et al., Training Deep Nets with Sublinear Memory Cost (arXiv:1604.06174); value by value as in Kirisame et
al., Dynamic Tensor Rematerialization (arXiv:2006.09616), but ahead of time, with lifetimes and costs known.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from itertools import accumulate

from autodiff.compiler import arena
from autodiff.compiler.instructions import Instruction, Kind, Region, Value
from autodiff.slots import held

MOST_AGAIN = 4  # instructions that are run again for one value
FLOPS, BYTES = 50e9, 10e9  # a second: weights of what is computed and of what is moved; only their ratio counts


def with_less_memory(
    instructions: Sequence[Instruction], forward: int, kept: Iterable[Region], most: float
) -> tuple[list[Instruction], int]:
    """Return instructions whose temporaries take at most so many bytes at a time, or as few as can be had.

    Args:
        instructions: in the order they run.
        forward: how many of them belong to the function itself.
        kept: regions that are needed after the last one.
        most: bytes.

    Returns:
        The instructions, and how many of those belong to the function itself.
    """
    found, kept = list(instructions), list(kept)
    timeline = _Timeline(found, kept)
    smallest = timeline.peak, found, forward
    for _ in instructions:
        best = timeline.best() if timeline.peak > most else None
        if best is None:
            break
        region, again, place = best
        found = [*found[:place], *_recomputed(found, region, again, place)]
        forward += len(again) if place < forward else 0
        timeline = _Timeline(found, kept)
        smallest = min(smallest, (timeline.peak, found, forward), key=lambda choice: choice[0])
    return smallest[1], smallest[2]


class _Timeline:
    """When each region is written and read, and how many bytes are alive when."""

    def __init__(self, instructions: list[Instruction], kept: list[Region]) -> None:
        self.instructions = instructions
        self.kept = set(kept)
        self.writers: dict[Region, list[int]] = {}
        self.readers: dict[Region, list[int]] = {}
        for number, instruction in enumerate(instructions):
            for uses, values in ((self.readers, instruction.inputs), (self.writers, instruction.outputs)):
                for region in dict.fromkeys(value.region for value in values):
                    uses.setdefault(region, []).append(number)
        change = [0] * (len(instructions) + 2)
        self.last: dict[Region, int] = {}
        for region, first, last in arena.lifetimes(instructions, kept):
            self.last[region] = last
            change[first] += region.nbytes
            change[last + 1] -= region.nbytes
        live = list(accumulate(change))
        self.peak = max(live)
        self.time = live.index(self.peak)

    def best(self) -> tuple[Region, list[int], int] | None:
        """Return the cheapest value to drop where most is alive, what makes it again, and before which instruction."""
        choices = []
        for region, last in self.last.items():
            readers = self.readers.get(region, [])
            if last <= self.time or region in self.kept or self.time in readers or self.writers[region][0] >= self.time:
                continue
            place = next(number for number in readers if number > self.time)
            again = self._again(region, place)
            if again:
                price = sum(_seconds(self.instructions[number]) for number in again)
                choices.append((price / region.nbytes, self.writers[region][0], region, again, place))
        return min(choices, key=lambda choice: choice[:2])[2:] if choices else None

    def _again(self, region: Region, place: int) -> list[int] | None:
        """Return the instructions that make a region's content anew from what is there before `place`; None if none do.

        All that a value needs and that is gone by then is made again, too.
        """
        found: set[int] = set()
        wanted = [region]
        while wanted:
            writers = self.writers[wanted.pop()]
            producer = self.instructions[writers[0]]
            if len(writers) > 1 or not _repeatable(producer):
                return None
            found.add(writers[0])
            if len(found) > MOST_AGAIN:
                return None
            for source in dict.fromkeys(value.region for value in producer.inputs):
                changes = self.writers.get(source, [])
                if any(writers[0] < number < place for number in changes):
                    return None
                if source.kind is Kind.TEMPORARY and self.last[source] < place and changes[0] not in found:
                    wanted.append(source)
        return sorted(found)


def _repeatable(instruction: Instruction) -> bool:
    """Return whether an instruction does nothing but compute temporaries from what it reads."""
    primitive = instruction.primitive
    return not (
        instruction.in_place
        or primitive.host
        or primitive.status is not None
        or primitive.relocate is not None
        or any(value.region.kind is not Kind.TEMPORARY for value in instruction.outputs)
        or any(value.region.kind is Kind.GRADIENT for value in instruction.inputs)
    )


def _seconds(instruction: Instruction) -> float:
    """Return about how long an instruction takes."""
    specs = (tuple([value.spec for value in values]) for values in (instruction.inputs, instruction.outputs))
    cost = instruction.primitive.cost(*specs, **{name: held(x) for name, x in instruction.params.items()})
    return max(cost.flops / FLOPS, cost.bytes / BYTES)


def _recomputed(instructions: list[Instruction], region: Region, again: list[int], place: int) -> list[Instruction]:
    """Return the instructions from `place` on, with those that make the region again before them."""
    moved: dict[Value, Value] = {}

    def there(value: Value) -> Value:
        """Return what stands for a value: a view of one that moved has moved, too."""
        found = moved.get(value)
        if found is None:
            found = value
            if value.source is not None and (source := there(value.source)) is not value.source:
                found = Value(source.region, value.spec, source, value.view)
                found.record, found.place = value.record, value.place
            moved[value] = found
        return found

    made = []
    for number in again:
        before = instructions[number]
        inputs = [there(value) for value in before.inputs]
        for value in before.outputs:
            moved[value] = Value(Region(Kind.TEMPORARY, value.region.nbytes), value.spec)
        outputs = [moved[value] for value in before.outputs]
        record = copy(before.record)
        record.phase = instructions[place].record.phase
        made.append(Instruction(before.primitive, before.params, inputs, outputs, record,
                                recomputed=before.recomputed or before.record.phase))  # fmt: skip
    rest = []
    for instruction in instructions[place:]:
        if any(value.region is region for value in instruction.inputs):
            inputs = [there(value) if value.region is region else value for value in instruction.inputs]
            instruction = Instruction(instruction.primitive, instruction.params, inputs, instruction.outputs,
                                      instruction.record, instruction.in_place, (), instruction.recomputed)
        rest.append(instruction)
    return made + rest
