"""The machine that this runs on: what it is, and how fast it could be at most."""

from autodiff.roofline import bandwidth, level_of, limit, limit_in_turn
from autodiff.utils.benchmark.machine.description import versions
from autodiff.utils.benchmark.machine.limits import limits_here, measure

__all__ = ["bandwidth", "level_of", "limit", "limit_in_turn", "limits_here", "measure", "versions"]
