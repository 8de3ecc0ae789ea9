"""Recurrent language models: embedding, one layer of LSTM or GRU, a linear layer over the vocabulary."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.training import Array, JaxTraining, Training
from benchmarks.workloads import jax_layers as layers

GATES = {"LSTM": 4, "GRU": 3}


def text(vocabulary: int, batch: int, length: int) -> tuple[Array, Array]:
    """Return sequences of random tokens and, for each token, the one that follows."""
    tokens = np.random.default_rng(0).integers(0, vocabulary, (batch, length + 1))
    return tokens[:, :-1].copy(), tokens[:, 1:].copy()


def torch_like(
    torch: Any,
    kind: str,
    vocabulary: int = 1000,
    width: int = 128,
    hidden: int = 256,
    batch: int = 32,
    length: int = 32,
) -> Training:
    """Build the model for PyTorch and autodiff; the kind is "LSTM" or "GRU"."""
    nn = torch.nn

    class LanguageModel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(vocabulary, width)
            self.recurrent = getattr(nn, kind)(width, hidden, batch_first=True)
            self.head = nn.Linear(hidden, vocabulary)

        def forward(self, tokens: Any) -> Any:
            h, _ = self.recurrent(self.embedding(tokens))
            return self.head(h)

    def loss(model: Any, tokens: Any, following: Any) -> Any:
        return nn.functional.cross_entropy(model(tokens).reshape(-1, vocabulary), following.reshape(-1))

    return Training(LanguageModel(), loss, text(vocabulary, batch, length))


def jax_like(
    jax: Any,
    kind: str,
    vocabulary: int = 1000,
    width: int = 128,
    hidden: int = 256,
    batch: int = 32,
    length: int = 32,
) -> JaxTraining:
    """Build the model for JAX: a scan over time, all inputs projected before it."""
    jnp = jax.numpy
    rows = GATES[kind] * hidden
    shapes = {
        "embedding.weight": (vocabulary, width),
        "recurrent.weight_ih_l0": (rows, width),
        "recurrent.weight_hh_l0": (rows, hidden),
        "recurrent.bias_ih_l0": (rows,),
        "recurrent.bias_hh_l0": (rows,),
    } | layers.linear_shapes("head", hidden, vocabulary)

    def loss(parameters: Any, statistics: Any, tokens: Any, following: Any) -> Any:
        x = parameters["embedding.weight"][tokens.T]  # (time, batch, width)
        projected = x @ parameters["recurrent.weight_ih_l0"].T + parameters["recurrent.bias_ih_l0"]
        weight, bias = parameters["recurrent.weight_hh_l0"].T, parameters["recurrent.bias_hh_l0"]

        def lstm(carried: Any, given: Any) -> Any:
            h, c = carried
            i, f, g, o = jnp.split(given + h @ weight, 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        def gru(h: Any, given: Any) -> Any:
            r, z, n = jnp.split(given, 3, axis=-1)
            hr, hz, hn = jnp.split(h @ weight + bias, 3, axis=-1)
            z = jax.nn.sigmoid(z + hz)
            n = jnp.tanh(n + jax.nn.sigmoid(r + hr) * hn)
            h = n + z * (h - n)
            return h, h

        zero = jnp.zeros((batch, hidden), x.dtype)
        if kind == "LSTM":
            _, outputs = jax.lax.scan(lstm, (zero, zero), projected + bias)
        else:
            _, outputs = jax.lax.scan(gru, zero, projected)
        return layers.cross_entropy(layers.linear(parameters, "head", outputs), following.T), statistics

    return JaxTraining(shapes, loss, text(vocabulary, batch, length))
