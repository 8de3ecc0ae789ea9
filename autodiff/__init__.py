"""Reverse-mode automatic differentiation with graph tracing: a PyTorch-like API on NumPy and Numba."""

from autodiff.creation import as_tensor, from_numpy, ones, tensor, zeros
from autodiff.eager import Tensor
from autodiff.ops import *  # noqa: F403

__all__ = ["Tensor", "as_tensor", "from_numpy", "ones", "tensor", "zeros"]
