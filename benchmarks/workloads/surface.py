"""Gradient descent on the surface of two parameters, (0.5 - tanh(w1 tanh(0.5 w2)))^2: a step that is all overhead."""

from __future__ import annotations

from typing import Any

from benchmarks.training import JaxTraining, Training


def torch_like(torch: Any) -> Training:
    """Build the surface for PyTorch and autodiff."""
    nn = torch.nn

    class Surface(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w1, self.w2 = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))

        def forward(self, x: Any) -> Any:
            return torch.tanh(self.w1 * torch.tanh(self.w2 * x))

    def loss(model: Any) -> Any:
        return (0.5 - model(0.5)) ** 2

    return Training(Surface(), loss, ())


def jax_like(jax: Any) -> JaxTraining:
    """Build the surface for JAX."""
    jnp = jax.numpy

    def loss(parameters: Any, statistics: Any) -> Any:
        y = jnp.tanh(parameters["w1"] * jnp.tanh(parameters["w2"] * 0.5))
        return (0.5 - y) ** 2, statistics

    return JaxTraining({"w1": (), "w2": ()}, loss, ())
