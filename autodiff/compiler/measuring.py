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
from autodiff.compiler.recorded import Recorded, Run
from autodiff.errors import ValueRangeError
from autodiff.measuring import clock, unsure, usual, without_watching
from autodiff.program import Program
from autodiff.spec import Array


def measured(recorded: Recorded, call: Callable[[], Any]) -> Program:
    """Replay a recording some times and return what it runs as a program, with measurements as columns.

    Args:
        recorded: the recording.
        call: calls the compiled function with arguments that the recording is replayed for.

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

    while unsure(calls):
        begin = clock()
        _call_with(recorded, as_ever, call)
        calls.append(clock() - begin)
        _call_with(recorded, one_by_one, call)
    _call_with(recorded, looking, call)
    # Of each call what it took longer than its instructions: so a busy machine does not count as overhead.
    overhead = usual([whole - inside for whole, inside in zip(calls, plain, strict=True)])
    scale = usual(calls) / ((usual(plain) + overhead) or 1.0)
    seconds = {number: scale * x for number, x in enumerate(without_watching(watched, plain))}
    program.overhead = scale * overhead
    numbers = program.columns.pop("instruction")
    program.columns["seconds"] = [0.0 if number is None else seconds.get(number) for number in numbers]
    program.columns["values"] = [
        values[number] if number is not None and number < len(values) else [{}] * len(record.outputs)
        for record, number in zip(program, numbers, strict=True)
    ]
    program.columns["saved_bytes"] = program_columns.saved_bytes(program)
    return program


def _call_with(recorded: Recorded, run: Run, call: Callable[[], Any]) -> None:
    """Call a compiled function once, with another way to run the instructions of its recording."""
    replay, ran = recorded.replay, []

    def replay_so(tensors: Sequence[Any]) -> tuple[bool, Any]:
        done, result = replay(tensors, run)
        ran.append(done)
        return done, result

    recorded.__dict__["replay"] = replay_so
    try:
        call()
    finally:
        del recorded.__dict__["replay"]
    if ran != [True]:
        raise ValueRangeError("measure", "a number of an optimizer has become 0, so the recording holds no longer",
                              fix="call the compiled function once more before")
