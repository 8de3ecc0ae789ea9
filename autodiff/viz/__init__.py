"""Pictures of computations: `draw` turns anything with records into a graph that a person can read."""

from autodiff.viz import plots
from autodiff.viz.drawing import draw
from autodiff.viz.memory import Timeline, timeline

__all__ = ["Timeline", "draw", "plots", "timeline"]
