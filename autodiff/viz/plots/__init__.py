"""Plots of trainings, surfaces and layers, with matplotlib (extra ``plots``).

Each function takes the axes to draw on, makes a figure of its own where it gets none, and returns the axes. None of
them touches pyplot: no window opens, and the user's figures stay as they are. What they draw are numbers that come from
a `Trainer` or from `autodiff.landscape`. All of them with their pictures: docs/plots.md.
"""

from autodiff.viz.plots.descents import animate_descent, descent
from autodiff.viz.plots.distribution import distributions
from autodiff.viz.plots.figures import save_figure
from autodiff.viz.plots.losses import loss_line, loss_surface, walk
from autodiff.viz.plots.training import plot_curves, running_average, training_curves

__all__ = [
    "animate_descent", "descent", "distributions", "loss_line", "loss_surface", "plot_curves", "running_average",
    "save_figure", "training_curves", "walk",
]
