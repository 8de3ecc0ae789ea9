"""The machine that the benchmarks run on: what it is, and how fast it could be at most."""

from benchmarks.machine.description import versions
from benchmarks.machine.limits import measure
from benchmarks.machine.roofline import bandwidth, level_of, limit

__all__ = ["bandwidth", "level_of", "limit", "measure", "versions"]
