"""`Timer`: how long a statement takes."""

from __future__ import annotations

import statistics
import timeit
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Measurement:
    """Times of one statement.

    Attributes:
        times: mean seconds of a run, for each block of runs.
        number_per_run: runs in a block.
        label: what was measured.
    """

    times: tuple[float, ...]
    number_per_run: int
    label: str

    @property
    def median(self) -> float:
        """Median of the times, in seconds: what to quote."""
        return statistics.median(self.times)

    @property
    def mean(self) -> float:
        """Mean of the times, in seconds."""
        return statistics.fmean(self.times)

    @property
    def iqr(self) -> float:
        """Distance between the quartiles of the times, in seconds."""
        if len(self.times) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.times, n=4, method="inclusive")
        return high - low

    def __repr__(self) -> str:
        blocks = "one block" if len(self.times) == 1 else f"{len(self.times)} blocks"
        return (f"{self.label}: {duration(self.median)} a run (median; quartiles {duration(self.iqr)} apart; "
                f"{blocks} of {self.number_per_run})")


def duration(seconds: float) -> str:
    """Return a time with a unit in which it is easy to read.

    >>> from autodiff.utils.benchmark.timer import duration
    >>> duration(0.00123)
    '1.23 ms'
    """
    seconds = float(f"{seconds:.2e}")  # 999.9 us is 1 ms
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if abs(seconds) >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


class Timer:
    """Times a statement in this process, as `torch.utils.benchmark.Timer` does.

    To compare two libraries use `compare`: numbers that were taken one after the other also measure what else the
    machine did.

    Args:
        stmt: a function without arguments, or source.
        setup: what runs once before, likewise.
        globals: names that sources may use.
        label: what to call it; by default the source or the function's name.

    >>> from autodiff.utils.benchmark import Timer
    >>> import autodiff as ad
    >>> timer = Timer("x.exp()", globals={"x": ad.ones(8)})
    >>> timer.timeit(100).number_per_run
    100
    """

    def __init__(
        self,
        stmt: str | Callable[[], object] = "pass",
        setup: str | Callable[[], object] = "pass",
        globals: Mapping[str, Any] | None = None,
        label: str | None = None,
    ) -> None:
        source = stmt if isinstance(stmt, str) else str(getattr(stmt, "__qualname__", stmt))
        self.label = source if label is None else label
        self._timer = timeit.Timer(stmt, setup, globals=dict(globals or {}))

    def timeit(self, number: int = 1_000_000) -> Measurement:
        """Run the statement `number` times in one block.

        Raises:
            ValueError: if `number` is not positive.
        """
        if number < 1:
            raise ValueError(f"timeit needs a positive number of runs, got {number}")
        return Measurement((self._timer.timeit(number) / number,), number, self.label)

    def blocked_autorange(self, min_run_time: float = 0.2) -> Measurement:
        """Run blocks of about 10 ms until `min_run_time` seconds have passed, and at least five."""
        self._timer.timeit(1)  # compiles kernels, fills caches
        number, taken = 1, self._timer.timeit(1)
        while taken < 0.005:
            number *= 2 if taken > 0.0025 else 4
            taken = self._timer.timeit(number)
        blocks = max(5, round(min_run_time / taken))
        return Measurement(tuple(self._timer.timeit(number) / number for _ in range(blocks)), number, self.label)
