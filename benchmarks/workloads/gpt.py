"""A GPT over characters: a decoder-only transformer with layer norm before each block (Radford et al. 2019)."""

from __future__ import annotations

from typing import Any

from benchmarks.training import JaxTraining, Shapes, Training
from benchmarks.workloads import jax_layers as layers
from benchmarks.workloads.language import text

VOCABULARY = 64


def torch_like(torch: Any, depth: int, width: int, heads: int, batch: int, length: int) -> Training:
    """Build the model for PyTorch and autodiff."""
    nn = torch.nn

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inputs = nn.Linear(width, 3 * width)
            self.output = nn.Linear(width, width)

        def forward(self, x: Any) -> Any:
            n, t, _ = x.shape
            q, k, v = (y.view(n, t, heads, -1).transpose(1, 2) for y in self.inputs(x).split(width, dim=2))
            y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            return self.output(y.transpose(1, 2).reshape(n, t, width))

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.attention = nn.LayerNorm(width), Attention()
            self.norm2 = nn.LayerNorm(width)
            self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

        def forward(self, x: Any) -> Any:
            x = x + self.attention(self.norm1(x))
            return x + self.mlp(self.norm2(x))

    class GPT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.positions = nn.Embedding(VOCABULARY, width), nn.Embedding(length, width)
            self.blocks = nn.Sequential(*(Block() for _ in range(depth)))
            self.norm = nn.LayerNorm(width)
            self.head = nn.Linear(width, VOCABULARY, bias=False)

        def forward(self, tokens: Any) -> Any:
            x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1]))
            return self.head(self.norm(self.blocks(x)))

    def loss(model: Any, tokens: Any, following: Any) -> Any:
        return nn.functional.cross_entropy(model(tokens).view(-1, VOCABULARY), following.view(-1))

    return Training(GPT(), loss, text(VOCABULARY, batch, length))


def jax_like(jax: Any, depth: int, width: int, heads: int, batch: int, length: int) -> JaxTraining:
    """Build the model for JAX."""
    jnp = jax.numpy
    shapes: Shapes = {"tokens.weight": (VOCABULARY, width), "positions.weight": (length, width)}
    for i in range(depth):
        shapes |= layers.norm_shapes(f"blocks.{i}.norm1", width)
        shapes |= layers.linear_shapes(f"blocks.{i}.attention.inputs", width, 3 * width)
        shapes |= layers.linear_shapes(f"blocks.{i}.attention.output", width, width)
        shapes |= layers.norm_shapes(f"blocks.{i}.norm2", width)
        shapes |= layers.linear_shapes(f"blocks.{i}.mlp.0", width, 4 * width)
        shapes |= layers.linear_shapes(f"blocks.{i}.mlp.2", 4 * width, width)
    shapes |= layers.norm_shapes("norm", width) | layers.linear_shapes("head", width, VOCABULARY, bias=False)

    def loss(parameters: Any, statistics: Any, tokens: Any, following: Any) -> Any:
        x = parameters["tokens.weight"][tokens] + parameters["positions.weight"]
        for i in range(depth):
            h = layers.layer_norm(parameters, f"blocks.{i}.norm1", x)
            h = layers.linear(parameters, f"blocks.{i}.attention.inputs", h)
            q, k, v = (y.reshape(batch, length, heads, -1) for y in jnp.split(h, 3, axis=-1))
            h = jax.nn.dot_product_attention(q, k, v, is_causal=True).reshape(batch, length, width)
            x = x + layers.linear(parameters, f"blocks.{i}.attention.output", h)
            h = layers.layer_norm(parameters, f"blocks.{i}.norm2", x)
            h = jax.nn.gelu(layers.linear(parameters, f"blocks.{i}.mlp.0", h), approximate=False)
            x = x + layers.linear(parameters, f"blocks.{i}.mlp.2", h)
        scores = layers.linear(parameters, "head", layers.layer_norm(parameters, "norm", x))
        return layers.cross_entropy(scores, following), statistics

    return JaxTraining(shapes, loss, text(VOCABULARY, batch, length))
