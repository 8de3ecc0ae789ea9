"""A small vision transformer (Dosovitskiy et al. 2021) on 32x32 images: 64 patches and a class token."""

from __future__ import annotations

from typing import Any

from benchmarks.training import JaxTraining, Training
from benchmarks.workloads import jax_layers as layers
from benchmarks.workloads.images import CLASSES, channels_last, labelled_images

SIZE, PATCH = 32, 4
TOKENS = 1 + (SIZE // PATCH) ** 2
WIDTH, LAYERS, HEADS = 128, 4, 4


def torch_like(torch: Any, batch: int = 32) -> Training:
    """Build patches, a class token, four layers of attention and a dense layer on the class token."""
    nn = torch.nn

    class Attention(nn.Module):
        """Self-attention with several heads."""

        def __init__(self) -> None:
            super().__init__()
            self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
            self.out = nn.Linear(WIDTH, WIDTH)

        def forward(self, x: Any) -> Any:
            n, t, d = x.shape
            q, k, v = self.qkv(x).view(n, t, 3, HEADS, d // HEADS).permute(2, 0, 3, 1, 4).unbind(0)
            x = nn.functional.scaled_dot_product_attention(q, k, v)
            return self.out(x.transpose(1, 2).reshape(n, t, d))

    class Layer(nn.Module):
        """Attention and a perceptron, each with its norm before and a shortcut around it."""

        def __init__(self) -> None:
            super().__init__()
            self.norm1 = nn.LayerNorm(WIDTH)
            self.attention = Attention()
            self.norm2 = nn.LayerNorm(WIDTH)
            self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

        def forward(self, x: Any) -> Any:
            x = x + self.attention(self.norm1(x))
            return x + self.mlp(self.norm2(x))

    class VisionTransformer(nn.Module):
        """From images to scores."""

        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, WIDTH, PATCH, stride=PATCH)
            self.class_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
            self.position = nn.Parameter(torch.zeros(1, TOKENS, WIDTH))
            self.layers = nn.Sequential(*(Layer() for _ in range(LAYERS)))
            self.norm = nn.LayerNorm(WIDTH)
            self.scores = nn.Linear(WIDTH, CLASSES)

        def forward(self, x: Any) -> Any:
            x = self.patches(x).flatten(2).transpose(1, 2)
            x = torch.cat([self.class_token.expand(len(x), -1, -1), x], 1) + self.position
            return self.scores(self.norm(self.layers(x))[:, 0])

    return Training(
        VisionTransformer(), lambda model, images, labels: nn.functional.cross_entropy(model(images), labels),
        labelled_images(batch, 3, SIZE),
    )


def jax_like(jax: Any, batch: int = 32) -> JaxTraining:
    """Build the same in JAX."""
    jnp = jax.numpy
    shapes = layers.conv_shapes("patches", 3, WIDTH, PATCH)
    shapes |= {"class_token": (1, 1, WIDTH), "position": (1, TOKENS, WIDTH)}
    for name in (f"layers.{number}" for number in range(LAYERS)):
        shapes |= layers.norm_shapes(f"{name}.norm1", WIDTH)
        shapes |= layers.linear_shapes(f"{name}.attention.qkv", WIDTH, 3 * WIDTH)
        shapes |= layers.linear_shapes(f"{name}.attention.out", WIDTH, WIDTH)
        shapes |= layers.norm_shapes(f"{name}.norm2", WIDTH)
        shapes |= layers.linear_shapes(f"{name}.mlp.0", WIDTH, 4 * WIDTH)
        shapes |= layers.linear_shapes(f"{name}.mlp.2", 4 * WIDTH, WIDTH)
    shapes |= layers.norm_shapes("norm", WIDTH) | layers.linear_shapes("scores", WIDTH, CLASSES)

    def attention(parameters: Any, name: str, x: Any) -> Any:
        qkv = layers.linear(parameters, f"{name}.qkv", x).reshape(*x.shape[:2], 3, HEADS, WIDTH // HEADS)
        x = jax.nn.dot_product_attention(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2])
        return layers.linear(parameters, f"{name}.out", x.reshape(*x.shape[:2], WIDTH))

    def mlp(parameters: Any, name: str, x: Any) -> Any:
        hidden = jax.nn.gelu(layers.linear(parameters, f"{name}.0", x), approximate=False)
        return layers.linear(parameters, f"{name}.2", hidden)

    def loss(parameters: Any, statistics: Any, images: Any, labels: Any) -> Any:
        x = layers.conv(parameters, "patches", images, stride=PATCH).reshape(len(images), -1, WIDTH)
        token = jnp.broadcast_to(parameters["class_token"], (len(images), 1, WIDTH))
        x = jnp.concatenate([token, x], 1) + parameters["position"]
        for name in (f"layers.{number}" for number in range(LAYERS)):
            x = x + attention(parameters, f"{name}.attention", layers.layer_norm(parameters, f"{name}.norm1", x))
            x = x + mlp(parameters, f"{name}.mlp", layers.layer_norm(parameters, f"{name}.norm2", x))
        x = layers.layer_norm(parameters, "norm", x)[:, 0]
        return layers.cross_entropy(layers.linear(parameters, "scores", x), labels), statistics

    images, labels = labelled_images(batch, 3, SIZE)
    return JaxTraining(shapes, loss, (channels_last(images), labels))
