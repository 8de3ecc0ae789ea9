"""Helpers for training: gradient clipping, parameters as one vector, sequences of several lengths."""

from autodiff.nn.utils import rnn
from autodiff.nn.utils.clip_grad import clip_grad_norm_, clip_grad_value_, clip_grads_with_norm_, get_total_norm
from autodiff.nn.utils.convert_parameters import parameters_to_vector, vector_to_parameters

__all__ = [
    "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm",
    "parameters_to_vector", "vector_to_parameters",
    "rnn",
]
