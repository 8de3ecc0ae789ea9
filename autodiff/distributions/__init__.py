"""Probability distributions under PyTorch's names: draws, logarithms of densities, entropies, divergences."""

from autodiff.distributions.bernoulli import Bernoulli
from autodiff.distributions.categorical import Categorical
from autodiff.distributions.distribution import Distribution
from autodiff.distributions.kl import kl_divergence
from autodiff.distributions.normal import Normal
from autodiff.distributions.uniform import Uniform

__all__ = ["Bernoulli", "Categorical", "Distribution", "Normal", "Uniform", "kl_divergence"]
