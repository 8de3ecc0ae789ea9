"""`measure`: the program of a function, and what each of its operations costs and computes.

An operation lasts from the end of the one before until its own end, so the Python that leads to it (the module's, the
tape's, the sweep's) counts as its time. What remains of the call behind the last one is its overhead. Together they are
the time of a call without a watch: the median of many.

Watching takes time, too: some for each record, however large its tensors are. How much is seen by calling the function
in turns with and without a watch: what the calls take longer with it, divided by their records, is taken off each.
Statistics of the numbers are taken in a call that is not timed.
"""

from __future__ import annotations

import statistics as averages
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

from autodiff import program_columns
from autodiff.errors import ValueRangeError
from autodiff.program import Program
from autodiff.program_recorder import Recorder
from autodiff.recording import check_call, record_with
from autodiff.thread_mode import MODE

ROUNDS, SECONDS = 5, 0.6  # at least so many, and so long
A_ROW, MOST_IN_A_ROW = 1e-3, 20  # seconds, and calls
MOST_FOR_A_RECORD = 2e-5  # seconds that watching can take a record: what is more has other reasons
LEAST_LEFT = 0.1  # of what an operation was seen to take


def measure(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Program:
    """Call ``fn(*args, **kwargs)`` some times and return its program with measurements as columns.

    Args:
        fn: a function, a module, a whole training step, or a compiled function; each call has its usual effects.
        args, kwargs: its arguments.

    Returns:
        The program that `record` would return; of a compiled function the one that is replayed. Its `columns` are
        described in `autodiff.program_columns`: ``"seconds"``, ``"values"``, ``"gradient_of"`` and ``"saved_bytes"``.
        The seconds and the program's `overhead` add up to the median time of a call without any recording. The overhead
        is what comes behind the last operation; of a compiled function all that is no kernel.

    Raises:
        DTypeError: if `fn` cannot be called with these arguments.
        ValueRangeError: if the calls do not run the same operations.
        Whatever `fn` raises.

    >>> import autodiff as ad
    >>> program = ad.measure(lambda x: (x * x).sum(), ad.tensor([3.0, 4.0]))
    >>> program.columns["values"][0][0]["largest"]
    16.0
    >>> all(seconds > 0 for seconds in program.columns["seconds"])
    True
    """
    check_call("measure", fn, args, kwargs)
    own = getattr(type(fn), "measured", None)
    if own is not None:
        program: Program = own(fn, *args, **kwargs)
        return program
    fn(*args, **kwargs)  # compiles kernels, makes an optimizer's states
    plain: list[float] = []
    watched: list[Stopwatch] = []
    start = clock()
    while unsure(plain, start):
        time_calls(lambda: fn(*args, **kwargs), plain)
        watched.append(Stopwatch())
        MODE.recorder, outer = watched[-1], MODE.recorder
        try:
            watched[-1].begin()
            fn(*args, **kwargs)
        finally:
            MODE.recorder = outer
        watched[-1].end()
    recorder = Observer()
    program = record_with(recorder, fn, *args, **kwargs)
    names = [record.name for record in program]
    for other in watched:
        if other.names != names:
            raise ValueRangeError("measure", "the function does not run the same operations in each call",
                                  expected=f"{len(names)} operations", got=f"{len(other.names)} others",
                                  fix="measure a part of it that does")  # fmt: skip
    *seconds, program.overhead = without_watching([other.seconds for other in watched], plain)
    program.columns["seconds"] = seconds
    program.columns["values"] = recorder.values
    program.columns["saved_bytes"] = program_columns.saved_bytes(program)
    return program


def unsure(rounds: Sequence[Any], start: float) -> bool:
    """Return whether another round is wanted after these, which began at a time."""
    return len(rounds) < ROUNDS or clock() - start < SECONDS


def time_calls(call: Callable[[], Any], plain: list[float]) -> None:
    """Call without a watch and append the seconds that it took; if it takes little, the mean over some calls in a row.

    The caches hold other things after watching, but a user times a call after another of its kind.
    """
    times = min(1 + int(A_ROW / plain[-1]), MOST_IN_A_ROW) if plain and plain[-1] > 0 else 1
    begin = clock()
    for _ in range(times):
        call()
    plain.append((clock() - begin) / times)


def without_watching(watched: Sequence[Sequence[float]], plain: Sequence[float]) -> list[float]:
    """Return the seconds of each part of a call, of several rounds, without what watching has taken.

    Args:
        watched: for each round the seconds of all parts, as they were watched.
        plain: for each round the seconds of all of them together without a watch.

    Means over the quiet third of the rounds: means, for they add up, and quiet ones, for a busy machine adds to some.
    What watching took is the same for each part, but none of them keeps less than a tenth. Where more is left than that
    explains, the machine was busier while it was watched, and all parts are shortened alike (lengthened, where it was
    busier meanwhile). In the end they add up to the usual time without a watch.

    >>> [round(x, 6) for x in without_watching([[0.003001, 0.000011]] * 3, [0.00301] * 3)]
    [0.003, 1e-05]
    """
    seconds = [averages.fmean(times) for times in zip(*quiet(watched, sum), strict=True)]
    if not seconds:
        return []
    whole = averages.fmean(quiet(plain, float))
    share = min(_share(sorted(seconds), sum(seconds) - whole), MOST_FOR_A_RECORD)
    left = [max(x - share, LEAST_LEFT * x) for x in seconds]
    together = sum(left)
    return [x * usual(plain) / together for x in left] if together else left


def _share(seconds: Sequence[float], excess: float) -> float:
    """Return what to take off each operation, at most all but a tenth of it, to take off so much together.

    Args:
        seconds: of the operations, shortest first.
        excess: what to take off.

    >>> _share([1.0, 10.0], 2.9)
    2.0
    """
    for number, shortest in enumerate(seconds):
        # From here on all operations are longer than what is taken off them.
        share = excess / (len(seconds) - number)
        if share <= (1 - LEAST_LEFT) * shortest:
            return max(share, 0.0)
        excess -= (1 - LEAST_LEFT) * shortest
    return seconds[-1]


def usual(seconds: Sequence[float]) -> float:
    """Return the median: what a call takes, as one would time it."""
    return averages.median(seconds)


def quiet(rounds: Sequence[Any], seconds: Callable[[Any], float]) -> list[Any]:
    """Return the quickest third of the rounds, at least one."""
    return sorted(rounds, key=seconds)[: -(-len(rounds) // 3)]


def clock() -> float:
    """Return the time in seconds."""
    return perf_counter()


class Stopwatch(Recorder):
    """Notes when each operation is done, and the call, and no more.

    Attributes:
        names: of the operations.
        seconds: how long each took; at the end also what was left of the call behind the last one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.seconds: list[float] = []
        self._last = 0.0

    def begin(self) -> None:
        """Start the watch."""
        self._last = clock()

    def end(self) -> None:
        """Take the time that is left."""
        self.seconds.append(clock() - self._last)

    def add(self, record: Any, results: Sequence[Any], written: tuple[Any, ...] = ()) -> None:
        """Take the time of an operation."""
        self.names.append(record.primitive.name)
        now = clock()
        self.seconds.append(now - self._last)
        self._last = now

    def alias(self, tensor: Any, operand: Any) -> None:
        """Forget it: no values are known here."""

    def entered(self, module: Any, outer: str) -> None:
        """Forget it, for it would take time."""

    def made_in(self, frame: Any, record: Any) -> None:
        """Forget it, for it would take time."""

    def operand(self, tensor: Any) -> Any:
        """Return None: no values are known here."""


class Observer(Recorder):
    """Takes the statistics of all numbers that operations make.

    Attributes:
        values: for each record those of its outputs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.values: list[list[dict[str, float]]] = []

    def add(self, record: Any, results: Sequence[Any], written: tuple[Any, ...] = ()) -> None:
        """Append a record, and look at its results."""
        super().add(record, results, written)
        self.values.append([program_columns.statistics_of(record, x.array) for x in results])
