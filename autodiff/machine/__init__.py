"""The machine that this runs on: what it is, and how fast it could be at most."""

from autodiff.machine.description import versions
from autodiff.machine.limits import limits_here, measure
from autodiff.roofline import bandwidth, level_of, limit, limit_in_turn

__all__ = ["bandwidth", "level_of", "limit", "limit_in_turn", "limits_here", "measure", "versions"]
