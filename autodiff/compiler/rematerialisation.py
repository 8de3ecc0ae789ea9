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
from itertools import pairwise

import numpy as np

from autodiff.compiler import arena
from autodiff.compiler.instructions import Instruction, Kind, Region, Substitution, Value
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
    timeline = Timeline(instructions, kept)
    smallest = timeline.peak, list(instructions), forward
    for _ in instructions:
        pause = timeline.best() if timeline.peak > most else None
        if pause is None:
            break
        place, count = timeline.drop(pause)
        forward += count if place < forward else 0
        if timeline.peak < smallest[0]:
            smallest = timeline.peak, list(timeline.instructions), forward
    return smallest[1], smallest[2]


class Timeline:
    """When each region is written and read, how many bytes are alive when, and what can be dropped.

    A value can be dropped in a pause, between two instructions that use it. What that costs is known for each pause,
    and worked out anew only where a drop has changed it. Instructions are known by numbers, which they keep while
    others are put between them.

    Attributes:
        instructions: in the order they run.
        peak, time: how many bytes are alive at a time at most, and the first place in that order where so many are.
    """

    def __init__(self, instructions: Sequence[Instruction], kept: Iterable[Region]) -> None:
        kept = set(kept)
        self.instructions = list(instructions)
        self._position = np.arange(len(self.instructions))  # in that order, by number
        self._writers: dict[Region, list[int]] = {}
        self._readers: dict[Region, list[int]] = {}
        for number, instruction in enumerate(instructions):
            for uses, values in ((self._readers, instruction.inputs), (self._writers, instruction.outputs)):
                for region in dict.fromkeys(value.region for value in values):
                    uses.setdefault(region, []).append(number)
        self._begins = np.zeros(len(instructions), np.int64)  # bytes that are alive from there on, by position
        self._ends = np.zeros(len(instructions), np.int64)  # bytes that are alive up to there
        self._last: dict[Region, int] = {}  # what uses a temporary last, unless it is needed afterwards
        self._regions: list[Region] = []  # whose a pause is, for each
        self._pauses: dict[tuple[Region, int], int] = {}  # the pause that a reader ends
        self._edges = np.zeros((2, 0), np.int64)  # the two instructions
        self._again: list[Sequence[int]] = []  # what makes the value again
        self._price = np.zeros(0)  # of that, in seconds a byte
        self._relying: dict[Region, set[int]] = {}  # the pauses whose price depends on when a region is last used
        self._seconds: dict[int, float] = {}
        for region, first, last in arena.lifetimes(self.instructions, kept):
            self._begins[first] += region.nbytes
            if region not in kept:
                self._ends[last] += region.nbytes
                self._last[region] = last
        for pause in self._add_pauses(self._last):
            self._judge(pause)
        self._find_peak()

    def best(self) -> int | None:
        """Return the pause in which the cheapest value is dropped where most is alive; None if there is none."""
        before, after = self._position[self._edges]
        possible = np.flatnonzero((before < self.time) & (after > self.time) & np.isfinite(self._price))
        if not len(possible):
            return None
        price = self._price[possible]
        cheapest: list[int] = possible[price == price.min()].tolist()
        return min(cheapest, key=lambda pause: self._made(self._regions[pause]))

    def drop(self, pause: int) -> tuple[int, int]:
        """Drop a value in a pause: return before which place it is made again, and by how many instructions."""
        region, again = self._regions[pause], self._again[pause]
        before, after = self._edges[:, pause].tolist()
        place, count = int(self._position[after]), len(again)
        phase = self.instructions[place].record.phase
        made, substitution = _made_again([self._instruction(number) for number in again], phase)
        numbers = range(len(self._position), len(self._position) + count)
        self._position[self._position >= place] += count
        self._position = np.append(self._position, np.arange(place, place + count))
        self._begins = np.insert(self._begins, place, [0] * count)
        self._ends = np.insert(self._ends, place, [0] * count)
        self.instructions[place:place] = made

        readers = self._readers[region]
        later = readers[readers.index(after) :]
        del readers[-len(later) :]
        self._live_until(region, before)
        for number in later:
            reader = substitution.applied(self._instruction(number), lambda value: value.region is region)
            self.instructions[self._position[number]] = reader
        stale = self._relying.pop(region, set())
        fresh: list[Region] = []
        for number, instruction in zip(numbers, made, strict=True):
            for source in dict.fromkeys(value.region for value in instruction.inputs):
                stale |= self._add_reader(source, number)
            for value in instruction.outputs:
                fresh.append(value.region)
                self._writers[value.region] = [number]
                self._begins[self._position[number]] += value.region.nbytes
        twin = next(new.region for old, new in zip(self._instruction(again[-1]).outputs, made[-1].outputs, strict=True)
                    if old.region is region)
        for number in later:  # these pauses are now the twin's; the one in which the value was dropped begins later
            moved = self._pauses[twin, number] = self._pauses.pop((region, number))
            self._regions[moved] = twin
            stale.add(moved)
        self._edges[0, pause] = numbers[-1]
        self._readers[twin] = later
        for new in fresh:
            self._live_until(new, (self._readers.get(new) or self._writers[new])[-1])
        stale |= self._add_pauses(new for new in fresh if new is not twin)
        for changed in stale:
            self._judge(changed)
        self._find_peak()
        return place, count

    def _instruction(self, number: int) -> Instruction:
        return self.instructions[int(self._position[number])]

    def _made(self, region: Region) -> tuple[int, int]:
        """Return where a region is written, and as which output."""
        place = int(self._position[self._writers[region][0]])
        return place, [value.region for value in self.instructions[place].outputs].index(region)

    def _live_until(self, region: Region, number: int) -> None:
        """Let a region be used last by an instruction."""
        if region in self._last:
            self._ends[self._position[self._last[region]]] -= region.nbytes
        self._ends[self._position[number]] += region.nbytes
        self._last[region] = number

    def _add_pauses(self, regions: Iterable[Region]) -> set[int]:
        """Note the pauses of regions that can be dropped: return them."""
        edges = []
        for region in regions:
            writers = self._writers[region]
            uses = [*writers, *self._readers.get(region, ())]
            if len(writers) == 1 and region.nbytes:
                for before, after in pairwise(uses):
                    self._pauses[region, after] = len(self._regions)
                    self._regions.append(region)
                    self._again.append(())
                    edges.append((before, after))
        if not edges:
            return set()
        self._edges = np.append(self._edges, np.array(edges).T, axis=1)
        self._price = np.append(self._price, np.full(len(edges), np.inf))
        return set(range(len(self._regions) - len(edges), len(self._regions)))

    def _add_reader(self, region: Region, number: int) -> set[int]:
        """Note that an instruction reads a region: return the pause that it adds, if it does."""
        readers, place = self._readers.setdefault(region, []), self._position[number]
        at = next((i for i, reader in enumerate(readers) if self._position[reader] > place), len(readers))
        readers.insert(at, number)
        divided = None if at + 1 == len(readers) else self._pauses.get((region, readers[at + 1]))
        if divided is None:
            return set()
        added = self._pauses[region, number] = len(self._regions)
        self._regions.append(region)
        self._again.append(())
        self._edges = np.append(self._edges, [[self._edges[0, divided]], [number]], axis=1)
        self._price = np.append(self._price, np.inf)
        self._edges[0, divided] = number
        return {added}

    def _judge(self, pause: int) -> None:
        """Work out what makes the value again after a pause, and the price."""
        region = self._regions[pause]
        again = self._recipe(pause, region, int(self._position[self._edges[1, pause]]))
        self._again[pause] = again
        self._price[pause] = sum(map(self._time_of, again)) / region.nbytes if again else np.inf

    def _recipe(self, pause: int, region: Region, place: int) -> list[int]:
        """Return the instructions that make a region's content anew from what is there before `place`; [] if none do.

        All that a value needs and that is gone by then is made again, too.
        """
        found: set[int] = set()
        wanted = [region]
        while wanted:
            writers = self._writers[wanted.pop()]
            producer = self._instruction(writers[0])
            if len(writers) > 1 or not _repeatable(producer):
                return []
            found.add(writers[0])
            if len(found) > MOST_AGAIN:
                return []
            written = self._position[writers[0]]
            for source in dict.fromkeys(value.region for value in producer.inputs):
                changes = self._writers.get(source, [])
                if any(written < self._position[number] < place for number in changes):
                    return []
                if source.kind is Kind.TEMPORARY:
                    self._relying.setdefault(source, set()).add(pause)
                    last = self._last.get(source)
                    if last is not None and self._position[last] < place and changes[0] not in found:
                        wanted.append(source)
        return sorted(found, key=self._position.__getitem__)

    def _time_of(self, number: int) -> float:
        """Return about how long an instruction takes."""
        found = self._seconds.get(number)
        if found is None:
            self._seconds[number] = found = _seconds(self._instruction(number))
        return found

    def _find_peak(self) -> None:
        live = np.append(np.cumsum(self._begins - self._ends) + self._ends, 0)
        self.time = int(live.argmax())
        self.peak = int(live[self.time])


def _repeatable(instruction: Instruction) -> bool:
    """Return whether an instruction can run once more: natively, without a check, and not on a `.grad`."""
    return instruction.computes and not (
        instruction.primitive.host
        or instruction.primitive.status is not None
        or any(value.region.kind is Kind.GRADIENT for value in instruction.inputs)
    )


def _seconds(instruction: Instruction) -> float:
    """Return about how long an instruction takes."""
    specs = (tuple([value.spec for value in values]) for values in (instruction.inputs, instruction.outputs))
    cost = instruction.primitive.cost(*specs, **{name: held(x) for name, x in instruction.params.items()})
    return max(cost.flops / FLOPS, cost.bytes / BYTES)


def _made_again(instructions: Sequence[Instruction], phase: str) -> tuple[list[Instruction], Substitution]:
    """Return instructions that make the results of these in memory of their own, in a later phase.

    Returns:
        them, and what stands for what then.
    """
    substitution, made = Substitution(), []
    for before in instructions:
        again = substitution.applied(before)
        outputs = [Value(Region(Kind.TEMPORARY, value.region.nbytes), value.spec) for value in before.outputs]
        for value, other in zip(before.outputs, outputs, strict=True):
            substitution.put(value, other)
        record = copy(before.record)
        record.phase = phase
        made.append(Instruction(again.primitive, again.params, again.inputs, outputs, record,
                                recomputed=before.recomputed or before.record.phase))
    return made, substitution
