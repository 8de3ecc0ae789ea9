"""K-means by stochastic gradient descent (Bottou & Bengio 1995): the centroids are the parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.training import Array, JaxTraining, Training


def points(batch: int) -> tuple[Array]:
    """Return points of the plane."""
    return (np.random.default_rng(0).standard_normal((batch, 2), np.float32),)


def torch_like(torch: Any, centroids: int = 8, batch: int = 32) -> Training:
    """Build K-means for PyTorch and autodiff."""
    nn = torch.nn

    class KMeans(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.centroids = nn.Parameter(torch.zeros(centroids, 2))

        def forward(self, x: Any) -> Any:
            return (x[:, None] - self.centroids).square().sum(2)

    def loss(model: Any, x: Any) -> Any:
        return model(x).min(1).values.mean()

    return Training(KMeans(), loss, points(batch))


def jax_like(jax: Any, centroids: int = 8, batch: int = 32) -> JaxTraining:
    """Build K-means for JAX."""

    def loss(parameters: Any, statistics: Any, x: Any) -> Any:
        distances = ((x[:, None] - parameters["centroids"]) ** 2).sum(2)
        return distances.min(1).mean(), statistics

    return JaxTraining({"centroids": (centroids, 2)}, loss, points(batch))
