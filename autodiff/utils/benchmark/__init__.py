"""Timing: `Timer` for a statement, `compare` for the same work in several libraries.

`compare` is what the project's own benchmark suites are built on.
"""

from autodiff.utils.benchmark.comparison import Comparison, compare
from autodiff.utils.benchmark.contender import Contender
from autodiff.utils.benchmark.rounds import Result
from autodiff.utils.benchmark.timer import Measurement, Timer

__all__ = ["Comparison", "Contender", "Measurement", "Result", "Timer", "compare"]
