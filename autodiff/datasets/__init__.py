"""Small data sets: real handwritten digits, and synthetic points in the plane."""

from autodiff.datasets.images import Split, digits
from autodiff.datasets.synthetic import blobs, spirals, two_moons

__all__ = ["Split", "blobs", "digits", "spirals", "two_moons"]
