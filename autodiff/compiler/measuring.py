"""How long each instruction of a replay takes, and what numbers it makes.

The replay runs in turns as ever and one instruction after the other. What the second takes longer is Python's, the same
for each instruction, and taken off: see `autodiff.measuring`. What a whole call takes longer than all instructions is
its overhead: Python that looks whether the recording fits, copies results and hands gradients over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from autodiff import program_columns
from autodiff.compiler.lowering import Lowered, now
from autodiff.compiler.recorded import Recorded
from autodiff.errors import ValueRangeError
from autodiff.measuring import clock, unsure, usual, without_watching
from autodiff.program import Program
from autodiff.spec import Array


def measured(recorded: Recorded, tensors: Sequence[Any], call: Callable[[], Any]) -> Program:
    """Replay a recording some times and return what it runs as a program, with measurements as columns.

    Args:
        recorded: the recording.
        tensors: its arguments.
        call: calls the compiled function with them.

    Raises:
        ValueRangeError: if the recording does not fit any longer.
    """
    program = recorded.replayed
    calls: list[float] = []
    plain: list[float] = []
    watched: list[list[float]] = []
    values: list[list[dict[str, float]]] = []

    def as_ever(lowered: Lowered, arguments: Sequence[Array]) -> None:
        begin = clock()
        lowered.run(arguments)
        plain.append(clock() - begin)

    def one_by_one(lowered: Lowered, arguments: Sequence[Array]) -> None:
        seconds: list[float] = []
        last = clock()

        def note() -> None:
            nonlocal last
            current = clock()
            seconds.append(current - last)
            last = current

        lowered.run_each(arguments, note)
        watched.append(seconds)

    def looking(lowered: Lowered, arguments: Sequence[Array]) -> None:
        def look() -> None:
            instruction = recorded.instructions[len(values)]
            arrays = [now(value, lowered.array(value), arguments) for value in instruction.outputs]
            values.append([program_columns.statistics_of(instruction, array) for array in arrays])

        lowered.run_each(arguments, look)

    def replay(run: Callable[[Lowered, Sequence[Array]], None]) -> None:
        done, _ = recorded.replay(tensors, run)
        if not done:
            raise ValueRangeError("measure", "a number of an optimizer has become 0, so the recording holds no longer",
                                  fix="call the compiled function once more before")  # fmt: skip

    while unsure(calls):
        begin = clock()
        call()
        calls.append(clock() - begin)
        replay(as_ever)
        replay(one_by_one)
    replay(looking)
    seconds = dict(enumerate(without_watching(watched, plain)))
    program.overhead = max(usual(calls) - usual(plain), 0.0)
    numbers = program.columns.pop("instruction")
    program.columns["seconds"] = [0.0 if number is None else seconds.get(number) for number in numbers]
    program.columns["values"] = [
        values[number] if number is not None and number < len(values) else [{}] * len(record.outputs)
        for record, number in zip(program, numbers, strict=True)
    ]
    program.columns["saved_bytes"] = program_columns.saved_bytes(program)
    return program
