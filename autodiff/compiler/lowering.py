"""From instructions to calls: every value gets its memory, and every operation is asked which kernels it would run.

An operation's `run` is called once more, on the arrays of the program, while its kernels are written down instead of
run (`autodiff_kernels.replay`). So there is no second way to say what an operation does, and nothing to be written for
a new one. What stands in the argument blocks is known by name only where it varies from replay to replay: addresses of
the function's arguments, numbers that are slots, and keys of random draws. Slots and keys are found in the blocks by
what they hold meanwhile: numbers that occur nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import autodiff_kernels as kernels
from autodiff.bind import plan_for
from autodiff.compiler import arena
from autodiff.compiler.calls import RecordingError
from autodiff.compiler.instructions import Instruction, Kind, Step, Value
from autodiff.compiler.sharing import byte_range
from autodiff.compiler.tracer import Draw
from autodiff.errors import AutodiffError
from autodiff.primitive import Plan, largest
from autodiff.slots import Slot, held
from autodiff.spec import Array, Spec, address_of
from autodiff.threads import threads_for

_FIRST_MARK = 0x5EED_F00D_0000_0000


class Address(NamedTuple):
    """A word that holds an address in an argument: the argument's own and `start`."""

    words: Any
    at: int
    start: int


class Number:
    """A slot, and where it stands in the argument blocks.

    Attributes:
        slot: the slot.
        value: what stands there now.
        nonzero: whether it was other than 0 when the function was recorded: the operation may have branched on that.
        words: the argument blocks, as words of its type.
        places: which words.
    """

    __slots__ = ("nonzero", "places", "slot", "value", "words")

    def __init__(self, slot: Slot, words: Any, places: list[int]) -> None:
        self.slot = slot
        self.value = slot.read()
        self.nonzero = bool(slot.value)
        self.words = words
        self.places = places
        for place in places:
            words[place] = self.value

    def write(self) -> bool:
        """Write down what the slot holds now; return False where that has become 0, or is no longer."""
        value = self.slot.read()
        if value != self.value or not value:  # 0.0 and -0.0 are equal
            if bool(value) is not self.nonzero:
                return False
            self.value = value
            for place in self.places:
                self.words[place] = value
        return True


class Host(NamedTuple):
    """An instruction that Python runs."""

    run: Callable[[list[Array], list[Array]], None]
    outs: list[Array]
    ins: list[Array]
    inputs: tuple[Value, ...]

    def __call__(self, arguments: Sequence[Array]) -> None:
        """Run it."""
        self.run(self.outs, [now(x, array, arguments) for x, array in zip(self.inputs, self.ins, strict=True)])


class Stretch(NamedTuple):
    """Calls that follow one another: rows of the table."""

    first: int
    last: int


class Status(NamedTuple):
    """Words in which kernels report bad values, and what they are for."""

    words: Array
    plan: Plan
    instruction: Instruction
    ins: list[Array]

    def error(self, arguments: Sequence[Array]) -> Exception | None:
        """Return the error for a bad value that was met, and forget it; None where there was none."""
        bad = self.words[self.words >= 0]
        if not len(bad):
            return None
        position = int(bad.min())
        self.words[...] = -1
        assert self.plan.status is not None
        ins = [now(value, array, arguments) for value, array in zip(self.instruction.inputs, self.ins, strict=True)]
        error = self.plan.status(position, ins, **self.instruction.params)
        if isinstance(error, AutodiffError):
            error.move_to(self.instruction.record.line)
            error.within(self.instruction.record.scope)
        return error


def now(value: Value, array: Array, arguments: Sequence[Array]) -> Array:
    """Return the array of a value in this call, `array` when it was lowered: arguments are others each time."""
    if value.number is not None:
        return arguments[value.number]
    if value.source is None or value.view is None or value.root.number is None:
        return array
    return value.view(now(value.source, array, arguments))


class Lowered:
    """A step whose values have their memory and whose operations are calls of kernels.

    Args:
        step: the step.
        arguments: arrays of the function's arguments, from the call that was recorded.
        gradients: for each leaf whose `.grad` the step makes, by id, the array to make it in.
        changing: for each constant that the step changes, by id, what it holds at first.

    Attributes:
        memory: the arena.
        words: the argument blocks, one after the other.
        table: the calls, as `autodiff_kernels.replay` wants them.
        resets: constants that the step changes, with what they hold at first.
        parts: what to run in order: `forward`, then `backward`, the backward pass of the results.
        spans: what runs for each instruction: part of a stretch, or a host.
        arrays: of all values that were needed.
        statuses: what can go wrong in a call, by its number, or in what Python does, by its id.
        early: values outside that are written before the last instruction that can fail.
        addresses: for each argument the words that hold an address in it.
        draws: words that hold the seed and the number of a draw.
        user: a weak reference to the record of the call whose backward pass needs the memory.
        arguments, tensors: arrays of that call's arguments; the tensors, with their versions then.
        versions: those that the memories which that pass relies on had at that call.
        ran: how often a stretch has run to the end, as its first word.
        threads, work: the largest number of threads, and of nanoseconds, that a call wants.
    """

    def __init__(
        self, step: Step, arguments: Sequence[Array], gradients: dict[int, Array], changing: dict[int, Array]
    ) -> None:
        self.arrays: dict[Value, Array] = {}
        self.statuses: dict[int, Status] = {}
        self.addresses: list[list[Address]] = [[] for _ in arguments]
        self.draws: list[tuple[int, int, Draw]] = []
        self.parts: list[Stretch | Host] = []
        self.spans: list[Stretch | Host] = []
        self.resets: list[tuple[Array, Array]] = []
        self.user: Any = None
        self.arguments: list[Array] = []
        self.tensors: list[tuple[Any, int]] = []
        self.versions: list[int] = []
        self._step = step
        self._changing = changing
        self._arguments = arguments
        self._ranges = [byte_range(array) for array in arguments]
        self._blocks: list[Array] = []
        self._rows: list[list[int]] = []
        self._kept: list[Any] = []
        self._used = 0
        self._marks = iter(range(_FIRST_MARK, _FIRST_MARK + 2**32))
        self._found: list[tuple[Slot | Draw, list[list[int]]]] = []
        plans = [self._plan(instruction) for instruction in step.instructions]
        spare = [[Value(arena.scratch(spec), spec) for spec in plan.scratch_specs] if plan else [] for plan in plans]
        self.memory = self._take_memory(spare, gradients)
        for number, (instruction, plan, values) in enumerate(zip(step.instructions, plans, spare, strict=True)):
            if number == step.forward:
                self._forward = len(self.parts)
                self.parts.append(Stretch(len(self._rows), len(self._rows)))
            row, part = len(self._rows), len(self.parts)
            self._lower(instruction, plan, values)
            hosts = [added for added in self.parts[part:] if isinstance(added, Host)]
            self.spans.append(hosts[0] if hosts else Stretch(row, len(self._rows)))
        if step.forward == len(step.instructions):
            self._forward = len(self.parts)
        for value in (*step.results, *[value for value in step.found if value is not None]):
            self.array(value)
        self.early = self._early()
        self._finish()

    # ---- Memory ------------------------------------------------------------------------------------------------------

    def _take_memory(self, spare: list[list[Value]], gradients: dict[int, Array]) -> Array:
        """Take the arena, in which temporaries and work arrays have places by their lifetimes."""
        step = self._step
        for leaf, value in step.gradients:
            self.arrays[value] = gradients[id(leaf)]
        kept = [value.region for value in (*step.results, *(value for _, value in step.gradients), *step.found)
                if value is not None]
        requests = arena.lifetimes(step.instructions, kept)
        for number, values in enumerate(spare):
            requests += [(value.region, number, number) for value in values]
        size = arena.place(requests)
        memory = np.empty(size + arena.ALIGNMENT, np.uint8)
        start = -memory.ctypes.data % arena.ALIGNMENT
        return memory[start : start + size]

    def array(self, value: Value) -> Array:
        """Return the array of a value, on the memory that it has in the program."""
        array = self.arrays.get(value)
        if array is None:
            region = value.region
            if value.source is not None and value.view is not None:
                array = value.view(self.array(value.source))
            elif region.kind is Kind.TEMPORARY:
                array = _array_at(self.memory, region.offset, value.spec)
            elif value.number is not None:
                array = self._arguments[value.number]
            elif id(value.leaf) in self._changing:
                content = self._changing[id(value.leaf)]
                array = content.copy("K")
                self.resets.append((array, content))
            else:
                array = value.leaf.array
            self.arrays[value] = array
        return array

    def _early(self) -> list[Value]:
        """Return the values outside that are written before the last instruction that can fail, or by that one."""
        instructions = self._step.instructions[: self._step.forward]
        failing = [number for number, (instruction, span) in enumerate(zip(instructions, self.spans))
                   if instruction.primitive.status is not None or isinstance(span, Host)]
        early = instructions[: failing[-1] + 1] if failing else []
        written = [value for instruction in early for value in instruction.outputs]
        return list(dict.fromkeys(x for x in written if x.region.kind in (Kind.SLOT, Kind.ARGUMENT)))

    def exposed(self, arguments: Sequence[Array]) -> list[Array]:
        """Return the arrays of the values that an error would leave changed."""
        return [now(value, self.array(value), arguments) for value in self.early]

    # ---- Calls -------------------------------------------------------------------------------------------------------

    def _plan(self, instruction: Instruction) -> Plan | None:
        """Return the plan of an operation; None for an optimizer's step, which has none."""
        if instruction.primitive.relocate is not None:
            return None
        into = instruction.outputs[0].spec if instruction.in_place else None
        return plan_for(instruction.primitive, tuple(x.spec for x in instruction.inputs), instruction.params, into)

    def _lower(self, instruction: Instruction, plan: Plan | None, spare: Sequence[Value]) -> None:
        """Append the calls of an instruction."""
        marked: list[tuple[Slot | Draw, list[int]]] = []
        ins = [self._key(value, marked) if value.region.kind is Kind.KEY else self.array(value)
               for value in instruction.inputs]
        outs = [self.array(value) for value in (*instruction.outputs, *spare)]
        if plan is not None:
            run, threads, work = plan.alone, plan.threads, plan.work
            if plan.status is not None:
                outs.append(np.full(plan.parts, -1))
        else:
            ins = ins[len(instruction.outputs) :]  # a step's record counts what it writes among what it reads
            run, threads, work = self._update(instruction, outs, ins, marked)
        calls = [] if instruction.primitive.host else kernels.replay.record(run, outs, ins)
        status = None
        if plan is not None and plan.status is not None:
            status = Status(outs[-1], plan, instruction, ins)
        places = [[self._words_with(mark, calls) for mark in marks] for _, marks in marked]
        if (not calls and any(out.size for out in outs)) or not all(all(found) for found in places):
            if marked:
                raise RecordingError("compile", f"{instruction.primitive.name} hides the numbers that vary",
                                     line=instruction.record.line, fix="call it outside")
            host = Host(run, outs, ins, instruction.inputs)
            self.parts.append(host)
            if status is not None:
                self.statuses[id(host)] = status
            return
        self._found += [(what, found) for (what, _), found in zip(marked, places, strict=True)]
        for call in calls:
            if status is not None:
                self.statuses[len(self._rows)] = status
            self._append(call, threads, work, status)

    def _update(
        self, instruction: Instruction, outs: list[Array], ins: list[Array], marked: list[Any]
    ) -> tuple[Any, int, int]:
        """Return the function, the threads and the work of an optimizer's step, with marks in place of its slots."""
        primitive = instruction.primitive
        params = {}
        for name, x in instruction.params.items():
            params[name] = x
            if type(x) is Slot:
                mark = next(self._marks)
                params[name] = mark if isinstance(x.value, int) else float(np.int64(mark).view(np.float64))
                marked.append((x, [mark]))
        assert primitive.relocate is not None
        params = primitive.relocate(outs, ins, **params)
        for table in params.values():
            if isinstance(table, np.ndarray):
                words = memoryview(table.reshape(-1))  # type: ignore[arg-type]
                for at, address in enumerate(table.reshape(-1).tolist()):
                    self._note_argument(address, words, at)
        settings = {name: held(x) for name, x in instruction.params.items()}
        inputs, outputs = [tuple([x.spec for x in values]) for values in (instruction.inputs, instruction.outputs)]
        threads = threads_for(primitive.cost(inputs, outputs, **settings), largest(outputs))
        return partial(primitive.run, **params), threads.number, threads.work

    def _key(self, value: Value, marked: list[Any]) -> Array:
        """Return an array to stand for the key of a draw."""
        marks = [next(self._marks), next(self._marks)]
        marked.append((self._step.draw(value), marks))
        return np.array(marks, np.int64)

    def _words_with(self, mark: int, calls: list[Any]) -> list[int]:
        """Return the words of the blocks, as they will be, that hold a mark."""
        found = []
        start = self._used
        for call in calls:
            found += [start + int(i) for i in np.flatnonzero(call.block == mark)]
            start += len(call.block)
        return found

    def _append(self, call: Any, threads: int, work: int, status: Status | None) -> None:
        """Append a call to the table."""
        row = len(self._rows)
        last = self.parts[-1] if self.parts else None
        if isinstance(last, Stretch):
            self.parts[-1] = Stretch(last.first, row + 1)
        else:
            self.parts.append(Stretch(row, row + 1))
        reported = (0, 0) if status is None else (status.words.ctypes.data, len(status.words))
        self._rows.append([call.entry, self._used, threads, work, *reported])
        for place in call.arrays:
            word = place + kernels.replay.ADDRESS
            self._note_argument(int(call.block[word]), None, self._used + word)
        self._kept.append(call.objects)  # the status words are kept by `statuses`
        self._blocks.append(call.block)
        self._used += len(call.block)

    def _note_argument(self, address: int, words: Any, at: int) -> None:
        """Note a word that holds this address, if it is one in an argument; `words` is None for the argument blocks."""
        for argument, (low, high) in enumerate(self._ranges):
            if low <= address < high:
                start = address - address_of(self._arguments[argument])
                self.addresses[argument].append(Address(words, at, start))
                return

    def _finish(self) -> None:
        """Lay blocks and table out in memory."""
        self.words = np.concatenate([*self._blocks, np.zeros(0, np.int64)])
        words: Any = memoryview(self.words)  # type: ignore[arg-type]
        floats: Any = memoryview(self.words.view(np.float64))  # type: ignore[arg-type]
        self.table = np.array([*self._rows, [0] * kernels.replay.COLUMNS], np.int64)
        self.table[:-1, kernels.replay.BLOCK] = self.words.ctypes.data + 8 * self.table[:-1, kernels.replay.BLOCK]
        self.ran: Any = memoryview(self.table[-1])
        self.addresses = [[a if a.words is not None else a._replace(words=words) for a in found]
                          for found in self.addresses]
        for what, found in self._found:
            if isinstance(what, Slot):
                number = Number(what, floats if isinstance(what.value, float) else words, [i for f in found for i in f])
                for reading in what.readings:
                    reading.written.append(number.write)
            else:
                self.draws += [(seed, number, what) for seed in found[0] for number in found[1]]
        self._seen = [0] * len(self.addresses)
        self._last: list[Any] = [None] * len(self.addresses)
        self.forward, self.backward = self.parts[: self._forward], self.parts[self._forward :]
        self._words = words
        self.threads = max((row[2] for row in self._rows), default=1)
        self.work = max((row[3] for row in self._rows if row[2] > 1), default=0)

    # ---- Replay ------------------------------------------------------------------------------------------------------

    def draw(self, counts: dict[Any, int]) -> None:
        """Write seeds and numbers of draws into the argument blocks; `counts`: how many each generator has made."""
        words = self._words
        for seed, place, draw in self.draws:
            words[seed] = draw.generator.initial_seed()
            words[place] = counts[draw.generator] + draw.number

    def place(self, first: int, arguments: Sequence[Array]) -> None:
        """Write the addresses of arguments into the argument blocks, from the argument `first` on."""
        for i, array in enumerate(arguments, first):
            if array is self._last[i]:
                continue
            self._last[i] = array
            address = address_of(array)
            if address != self._seen[i]:
                self._seen[i] = address
                for words, at, start in self.addresses[i]:
                    words[at] = address + start

    @property
    def hosts(self) -> list[Instruction]:
        """The instructions that Python runs."""
        return [x for x, span in zip(self._step.instructions, self.spans, strict=True) if isinstance(span, Host)]

    def run(self, arguments: Sequence[Array], parts: Sequence[Stretch | Host] | None = None) -> None:
        """Run the function's instructions, or those of other parts: `backward` are those of its results' backward pass.

        Raises:
            The error of an instruction that met a bad value, with the user's line that it comes from.
        """
        for part in self.forward if parts is None else parts:
            if isinstance(part, Stretch):
                bad = kernels.replay.run(self.table, *part, self.threads, self.work)
                status = None if bad < 0 else self.statuses[bad]
            else:
                part(arguments)
                status = self.statuses.get(id(part))
            if status is not None and (error := status.error(arguments)) is not None:
                raise error

    def finished(self, stretches: int) -> bool:
        """Return whether the instructions have run, when so many stretches have: if a stretch is the last of them."""
        wanted = sum(isinstance(part, Stretch) for part in self.forward)
        return bool(self.forward) and isinstance(self.forward[-1], Stretch) and stretches == wanted

    def run_each(self, arguments: Sequence[Array], then: Callable[[], None]) -> None:
        """Do what `run` does, one instruction after the other, and call `then` after each."""
        for span in self.spans[: self._step.forward]:
            self.run(arguments, (span,))
            then()


def _array_at(memory: Array, offset: int, spec: Spec) -> Array:
    strides = tuple(stride * spec.dtype.itemsize for stride in spec.strides)
    return np.ndarray(spec.shape, spec.dtype, memory.data, offset, strides)
