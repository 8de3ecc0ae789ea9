"""Pictures of computations: `draw` turns anything with records into a graph that a person can read."""

from autodiff.viz.drawing import draw

__all__ = ["draw"]
