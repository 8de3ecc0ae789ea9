"""Multilayer perceptrons: a tiny one whose step is all overhead, and one with batch norm for 28x28 digits."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.training import Array, JaxTraining, NumpyTraining, Shapes, Training
from benchmarks.workloads import jax_layers as layers

EPSILON = 1e-5  # of batch norm
SHARE = 0.1  # of the batch in its running statistics


# 2-32-32-1, tanh, mean squared error


def tiny_batch(batch: int) -> tuple[Array, Array]:
    """Return points of the plane and the values of a smooth function there."""
    x = np.random.default_rng(0).uniform(-2, 2, (batch, 2)).astype(np.float32)
    return x, np.sin(x[:, :1]) * np.cos(x[:, 1:])


def tiny_shapes() -> Shapes:
    """Return the table of the tiny net."""
    return layers.linear_shapes("0", 2, 32) | layers.linear_shapes("2", 32, 32) | layers.linear_shapes("4", 32, 1)


def tiny_torch_like(torch: Any, batch: int = 32) -> Training:
    """Build the tiny net for PyTorch and autodiff."""
    nn = torch.nn
    model = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))

    def loss(model: Any, x: Any, y: Any) -> Any:
        return nn.functional.mse_loss(model(x), y)

    return Training(model, loss, tiny_batch(batch))


def tiny_jax_like(jax: Any, batch: int = 32) -> JaxTraining:
    """Build the tiny net for JAX."""
    jnp = jax.numpy

    def loss(parameters: Any, statistics: Any, x: Any, y: Any) -> Any:
        h = jnp.tanh(layers.linear(parameters, "0", x))
        h = jnp.tanh(layers.linear(parameters, "2", h))
        return ((layers.linear(parameters, "4", h) - y) ** 2).mean(), statistics

    return JaxTraining(tiny_shapes(), loss, tiny_batch(batch))


def tiny_numpy_like(numpy: Any, batch: int = 32) -> NumpyTraining:
    """Build the tiny net for NumPy."""
    h1, h2, d1, d2, slope = np.empty((5, batch, 32), np.float32)
    error = np.empty((batch, 1), np.float32)

    def backward(p: Any, statistics: Any, g: Any, x: Array, y: Array) -> float:
        np.matmul(x, p["0.weight"].T, out=h1)
        np.add(h1, p["0.bias"], out=h1)
        np.tanh(h1, out=h1)
        np.matmul(h1, p["2.weight"].T, out=h2)
        np.add(h2, p["2.bias"], out=h2)
        np.tanh(h2, out=h2)
        np.matmul(h2, p["4.weight"].T, out=error)
        np.add(error, p["4.bias"], out=error)
        np.subtract(error, y, out=error)
        loss = float(np.vdot(error, error)) / batch

        np.multiply(error, 2 / batch, out=error)
        np.matmul(error.T, h2, out=g["4.weight"])
        error.sum(0, out=g["4.bias"])
        np.multiply(error, p["4.weight"], out=d2)  # an outer product: the layer has one output
        np.multiply(h2, h2, out=slope)
        np.subtract(1, slope, out=slope)
        np.multiply(d2, slope, out=d2)
        np.matmul(d2.T, h1, out=g["2.weight"])
        d2.sum(0, out=g["2.bias"])
        np.matmul(d2, p["2.weight"], out=d1)
        np.multiply(h1, h1, out=slope)
        np.subtract(1, slope, out=slope)
        np.multiply(d1, slope, out=d1)
        np.matmul(d1.T, x, out=g["0.weight"])
        d1.sum(0, out=g["0.bias"])
        return loss

    return NumpyTraining(tiny_shapes(), backward, tiny_batch(batch))


# 784-256-128-10, batch norm, ReLU, cross-entropy


def digits_batch(batch: int) -> tuple[Array, Array]:
    """Return images of noise as vectors, and their classes."""
    rng = np.random.default_rng(0)
    return rng.random((batch, 784), np.float32), rng.integers(0, 10, batch)


def digits_shapes() -> Shapes:
    """Return the table of the digits net."""
    first = layers.linear_shapes("0", 784, 256, bias=False) | layers.norm_shapes("1", 256, running=True)
    second = layers.linear_shapes("3", 256, 128, bias=False) | layers.norm_shapes("4", 128, running=True)
    return first | second | layers.linear_shapes("6", 128, 10)


def digits_torch_like(torch: Any, batch: int = 128) -> Training:
    """Build the digits net for PyTorch and autodiff."""
    nn = torch.nn
    model = nn.Sequential(
        nn.Linear(784, 256, bias=False), nn.BatchNorm1d(256), nn.ReLU(),
        nn.Linear(256, 128, bias=False), nn.BatchNorm1d(128), nn.ReLU(),
        nn.Linear(128, 10),
    )  # fmt: skip

    def loss(model: Any, images: Any, labels: Any) -> Any:
        return nn.functional.cross_entropy(model(images), labels)

    return Training(model, loss, digits_batch(batch))


def digits_jax_like(jax: Any, batch: int = 128) -> JaxTraining:
    """Build the digits net for JAX."""

    def loss(parameters: Any, statistics: Any, images: Any, labels: Any) -> Any:
        h = layers.linear(parameters, "0", images)
        h, statistics = layers.batch_norm(parameters, statistics, "1", h)
        h = layers.linear(parameters, "3", jax.nn.relu(h))
        h, statistics = layers.batch_norm(parameters, statistics, "4", h)
        return layers.cross_entropy(layers.linear(parameters, "6", jax.nn.relu(h)), labels), statistics

    return JaxTraining(digits_shapes(), loss, digits_batch(batch))


def digits_numpy_like(numpy: Any, batch: int = 128) -> NumpyTraining:
    """Build the digits net for NumPy."""
    first, second = NumpyBatchNorm("1", (batch, 256)), NumpyBatchNorm("4", (batch, 128))
    z1, z2 = np.empty((batch, 256), np.float32), np.empty((batch, 128), np.float32)
    scores = np.empty((batch, 10), np.float32)
    rows = np.arange(batch)

    def backward(p: Any, statistics: Any, g: Any, images: Array, labels: Array) -> float:
        np.matmul(images, p["0.weight"].T, out=z1)
        h1 = first.forward(p, statistics, z1)
        np.maximum(h1, 0, out=h1)
        np.matmul(h1, p["3.weight"].T, out=z2)
        h2 = second.forward(p, statistics, z2)
        np.maximum(h2, 0, out=h2)
        np.matmul(h2, p["6.weight"].T, out=scores)
        np.add(scores, p["6.bias"], out=scores)
        np.subtract(scores, scores.max(1, keepdims=True), out=scores)
        chosen = scores[rows, labels]
        np.exp(scores, out=scores)
        total = scores.sum(1, keepdims=True)
        loss = float((np.log(total[:, 0]) - chosen).mean())

        np.divide(scores, total, out=scores)
        scores[rows, labels] -= 1
        np.multiply(scores, 1 / batch, out=scores)
        np.matmul(scores.T, h2, out=g["6.weight"])
        scores.sum(0, out=g["6.bias"])
        np.matmul(scores, p["6.weight"], out=z2)
        np.multiply(z2, h2 > 0, out=z2)
        second.backward(p, g, z2)
        np.matmul(z2.T, h1, out=g["3.weight"])
        np.matmul(z2, p["3.weight"], out=z1)
        np.multiply(z1, h1 > 0, out=z1)
        first.backward(p, g, z1)
        np.matmul(z1.T, images, out=g["0.weight"])
        return loss

    return NumpyTraining(digits_shapes(), backward, digits_batch(batch))


class NumpyBatchNorm:
    """Batch norm over the rows of a matrix, in training (Ioffe & Szegedy 2015, section 3), in memory of its own."""

    def __init__(self, prefix: str, shape: tuple[int, int]) -> None:
        self.prefix = prefix
        self.normalised, self.output = np.empty((2, *shape), np.float32)

    def forward(self, p: Any, statistics: Any, x: Array) -> Array:
        """Return the output, which stays valid until the next call; x is used up."""
        count = len(x)
        mean = x.mean(0)
        np.subtract(x, mean, out=x)
        variance = np.einsum("ij,ij->j", x, x) / count
        self.scale = 1 / np.sqrt(variance + EPSILON)
        for name, seen in (("running_mean", mean), ("running_var", variance * (count / (count - 1)))):
            running = statistics[f"{self.prefix}.{name}"]
            running += SHARE * (seen - running)
        np.multiply(x, self.scale, out=self.normalised)
        np.multiply(self.normalised, p[f"{self.prefix}.weight"], out=self.output)
        np.add(self.output, p[f"{self.prefix}.bias"], out=self.output)
        return self.output

    def backward(self, p: Any, g: Any, d: Array) -> None:
        """Turn the gradient with respect to the output into that with respect to the input, in place."""
        weight, bias = g[f"{self.prefix}.weight"], g[f"{self.prefix}.bias"]
        np.einsum("ij,ij->j", d, self.normalised, out=weight)
        d.sum(0, out=bias)
        np.subtract(d, bias / len(d), out=d)
        np.multiply(self.normalised, weight / len(d), out=self.normalised)
        np.subtract(d, self.normalised, out=d)
        np.multiply(d, p[f"{self.prefix}.weight"] * self.scale, out=d)
