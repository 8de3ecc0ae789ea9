"""How long each instruction of a replay takes, and what numbers it makes.

The replay runs in turns as ever and one instruction after the other. What the second takes longer is Python's, the same
for each instruction, and taken off: see `autodiff.measuring`. What a whole call takes longer than all instructions is
its overhead: Python that looks whether the recording fits, copies results and hands gradients over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from autodiff import program_columns
from autodiff.compiler.lowering import Lowered, now
from autodiff.compiler.recorded import Recorded, Run
from autodiff.errors import ValueRangeError
from autodiff.measuring import clock, time_calls, unsure, usual, without_watching
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
    rest: list[float] = []
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

    start = clock()
    while unsure(calls, start):
        time_calls(call, calls)
        with _running(recorded, as_ever):
            begin = clock()
            call()
            rest.append(clock() - begin - plain[-1])
        with _running(recorded, one_by_one):
            call()
    with _running(recorded, looking):
        call()
    # The rest and the instructions of one call, so that a busy machine does not count as overhead.
    scale = usual(calls) / ((usual(plain) + usual(rest)) or 1.0)
    seconds = {number: scale * x for number, x in enumerate(without_watching(watched, plain))}
    program.overhead = scale * usual(rest)
    numbers = program.columns.pop("instruction")
    program.columns["seconds"] = [0.0 if number is None else seconds.get(number) for number in numbers]
    program.columns["values"] = [
        values[number] if number is not None and number < len(values) else [{}] * len(record.outputs)
        for record, number in zip(program, numbers, strict=True)
    ]
    program.columns["saved_bytes"] = program_columns.saved_bytes(program)
    return program


@contextmanager
def _running(recorded: Recorded, run: Run) -> Iterator[None]:
    """Let calls of the compiled function run the instructions of a recording in another way."""
    replay, refused = recorded.replay, []

    def replay_so(tensors: Sequence[Any]) -> tuple[bool, Any]:
        done, result = replay(tensors, run)
        if not done:
            refused.append(result)
        return done, result

    recorded.__dict__["replay"] = replay_so
    try:
        yield
    finally:
        del recorded.__dict__["replay"]
    if refused:
        raise ValueRangeError("measure", "a number of an optimizer has become 0, so the recording holds no longer",
                              fix="call the compiled function once more before")
