"""How many threads an operation runs on. The result is the same, bit for bit, for any number.

The threads are those of the kernels' team (`autodiff_kernels/team.py`), which is made when the first operation large
enough for it runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import autodiff_kernels as kernels
from autodiff.errors import ValueRangeError
from autodiff.spec import Cost

__all__ = ["get_num_threads", "set_num_threads"]

MOST = 1024
_ALLOWED = f"a whole number from 1 to {MOST}"
_VARIABLE = "AUTODIFF_NUM_THREADS"

# A thread is worth having where it works for PART nanoseconds at the rates of the fastest kernels. The estimate errs on
# the side of one thread, as most kernels are slower. docs/performance-log.md has the measurements.
PART = 5_000
FLOPS, BYTES = 200, 100  # a nanosecond

_number: list[int] = []  # the setting
on_change: list[Callable[[], None]] = []  # called when it has changed: whoever remembers a choice forgets it


def get_num_threads() -> int:
    """Return how many threads an operation uses at most.

    It is what `set_num_threads` has set, or else the environment variable ``AUTODIFF_NUM_THREADS``, or else the number
    of cores that this process may run on.

    >>> import autodiff as ad
    >>> ad.get_num_threads() >= 1
    True
    """
    return _number[0]


def set_num_threads(number: int) -> None:
    """Set how many threads an operation uses at most; small ones use one. Results do not depend on it.

    Args:
        number: from 1 to 1024.

    Raises:
        ValueRangeError: if it is anything else.

    >>> import autodiff as ad
    >>> before = ad.get_num_threads()
    >>> ad.set_num_threads(1)
    >>> ad.get_num_threads()
    1
    >>> ad.set_num_threads(before)
    """
    if type(number) is not int or not 1 <= number <= MOST:
        raise ValueRangeError("set_num_threads", "this is no number of threads", expected=_ALLOWED, got=repr(number))
    _number[:] = [number]
    for forget in on_change:
        forget()


def _first_number() -> int:
    """Return the number of threads to begin with: from the environment, or else the cores for this process.

    Raises:
        ValueRangeError: if the environment variable holds something else than a number of threads.
    """
    text = os.environ.get(_VARIABLE)
    if text:
        if not text.isdecimal() or not 1 <= int(text) <= MOST:
            raise ValueRangeError("import", f"the environment variable {_VARIABLE} is no number of threads",
                                  expected=_ALLOWED, got=repr(text))
        return int(text)
    return min(len(cores()), MOST)


def cores() -> list[int]:
    """Return the numbers of the processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


_number.append(_first_number())


class Threads(NamedTuple):
    """How an operation is run: on how many threads, and how many nanoseconds it would take one of them, at least."""

    number: int
    work: int

    def run(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does what `function` does, its kernels on these threads."""
        return function if self.number == 1 else partial(kernels.team.run, self.number, self.work, function)


def threads_for(cost: Cost, largest: int = 0) -> Threads:
    """Return the threads that an operation of this cost should run on; `largest` are the bytes of its largest result.

    All operations with results as large as this run on as many threads as a sum of two such tensors: what one thread
    has written is in its core's cache, and would have to go to the other core's if the next operation ran otherwise.
    """
    work = max(cost.flops // FLOPS, cost.bytes // BYTES)
    return Threads(max(1, min(_number[0], int(max(work, 3 * largest // BYTES) / PART))) if HAS_TEAM else 1, work)


HAS_TEAM = os.name == "posix"
