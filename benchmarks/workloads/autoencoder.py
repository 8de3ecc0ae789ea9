"""A variational autoencoder for 28x28 digits (Kingma & Welling 2014): 784-400-20, its draws given as an input."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.training import Array, JaxTraining, Training
from benchmarks.workloads import jax_layers as layers

PIXELS, HIDDEN, LATENT = 784, 400, 20


def inputs(batch: int) -> tuple[Array, Array]:
    """Return images with values in [0, 1], as vectors, and normal draws for the latent variables."""
    rng = np.random.default_rng(0)
    return rng.random((batch, PIXELS), np.float32), rng.standard_normal((batch, LATENT), np.float32)


def torch_like(torch: Any, batch: int = 128) -> Training:
    """Build the autoencoder for PyTorch and autodiff."""
    nn = torch.nn

    class Autoencoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = nn.Linear(PIXELS, HIDDEN)
            self.mean = nn.Linear(HIDDEN, LATENT)
            self.log_variance = nn.Linear(HIDDEN, LATENT)
            self.decoder = nn.Sequential(nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, PIXELS))

        def forward(self, x: Any, noise: Any) -> Any:
            h = torch.relu(self.hidden(x))
            mean, log_variance = self.mean(h), self.log_variance(h)
            return self.decoder(mean + noise * torch.exp(0.5 * log_variance)), mean, log_variance

    def loss(model: Any, x: Any, noise: Any) -> Any:
        scores, mean, log_variance = model(x, noise)
        reconstruction = nn.functional.binary_cross_entropy_with_logits(scores, x, reduction="sum")
        divergence = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
        return (reconstruction + divergence) / len(x)

    return Training(Autoencoder(), loss, inputs(batch))


def jax_like(jax: Any, batch: int = 128) -> JaxTraining:
    """Build the autoencoder for JAX."""
    jnp = jax.numpy
    shapes = layers.linear_shapes("hidden", PIXELS, HIDDEN)
    shapes |= layers.linear_shapes("mean", HIDDEN, LATENT) | layers.linear_shapes("log_variance", HIDDEN, LATENT)
    shapes |= layers.linear_shapes("decoder.0", LATENT, HIDDEN) | layers.linear_shapes("decoder.2", HIDDEN, PIXELS)

    def loss(parameters: Any, statistics: Any, x: Any, noise: Any) -> Any:
        h = jax.nn.relu(layers.linear(parameters, "hidden", x))
        mean, log_variance = layers.linear(parameters, "mean", h), layers.linear(parameters, "log_variance", h)
        h = jax.nn.relu(layers.linear(parameters, "decoder.0", mean + noise * jnp.exp(0.5 * log_variance)))
        scores = layers.linear(parameters, "decoder.2", h)
        reconstruction = (jax.nn.softplus(scores) - scores * x).sum()
        divergence = -0.5 * (1 + log_variance - mean**2 - jnp.exp(log_variance)).sum()
        return (reconstruction + divergence) / len(x), statistics

    return JaxTraining(shapes, loss, inputs(batch))
