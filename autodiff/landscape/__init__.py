"""What a loss looks like around the weights, and how an optimizer walks on it: numbers, which `viz.plots` draws."""

from autodiff.landscape.around import (
    Direction,
    LossLine,
    LossSurface,
    filter_normalised,
    loss_along,
    loss_over,
    towards,
)
from autodiff.landscape.descending import Heights, Path, descend, heights
from autodiff.landscape.layers import activations, gradients, weights
from autodiff.landscape.surfaces import beale, rosenbrock, saddle, square, square_of_product, tanh_product
from autodiff.landscape.walking import Walk

__all__ = [
    "Direction", "Heights", "LossLine", "LossSurface", "Path", "Walk", "activations", "beale", "descend",
    "filter_normalised", "gradients", "heights", "loss_along", "loss_over", "rosenbrock", "saddle", "square",
    "square_of_product", "tanh_product", "towards", "weights",
]
