"""A net of 3x3 convolutions in the style of VGG (Simonyan and Zisserman 2015) for 32x32 images, with batch norm.

Dropout's mask is part of the batch, so that every framework drops the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.training import Array, JaxTraining, Training
from benchmarks.workloads import jax_layers as layers
from benchmarks.workloads.images import CLASSES, channels_last, labelled_images

WIDTHS = (64, 64, 0, 128, 128, 0, 256, 256, 0)  # 0 halves the image
FLAT, HIDDEN = 256 * 4 * 4, 512


def masked_images(batch: int) -> tuple[Array, Array, Array]:
    """Return images, labels, and the factors 0 or 2 by which dropout with probability 1/2 multiplies."""
    mask = 2 * np.random.default_rng(1).integers(0, 2, (batch, HIDDEN))
    return *labelled_images(batch, 3, 32), mask.astype(np.float32)


def torch_like(torch: Any, batch: int = 32) -> Training:
    """Build six convolutions with batch norm and two dense layers."""
    nn = torch.nn

    class VGG(nn.Module):
        """Convolutions, then a classifier with dropout."""

        def __init__(self) -> None:
            super().__init__()
            features: list[Any] = []
            channels = 3
            for width in WIDTHS:
                if width:
                    convolution = nn.Conv2d(channels, width, 3, padding=1, bias=False)
                    features += convolution, nn.BatchNorm2d(width), nn.ReLU()
                    channels = width
                else:
                    features.append(nn.MaxPool2d(2))
            self.features = nn.Sequential(*features)
            self.hidden = nn.Linear(FLAT, HIDDEN)
            self.scores = nn.Linear(HIDDEN, CLASSES)

        def forward(self, x: Any, mask: Any) -> Any:
            x = self.features(x).flatten(1)
            return self.scores(nn.functional.relu(self.hidden(x)) * mask)

    return Training(
        VGG(), lambda model, images, labels, mask: nn.functional.cross_entropy(model(images, mask), labels),
        masked_images(batch),
    )


def jax_like(jax: Any, batch: int = 32) -> JaxTraining:
    """Build the same in JAX."""
    relu = jax.nn.relu
    shapes, position, channels = {}, 0, 3  # the position is that in PyTorch's `Sequential`
    convolutions = []  # position, or None where the image is halved
    for width in WIDTHS:
        if width:
            shapes |= layers.conv_shapes(f"features.{position}", channels, width, 3, bias=False)
            shapes |= layers.norm_shapes(f"features.{position + 1}", width, running=True)
            convolutions.append(position)
            channels, position = width, position + 3
        else:
            convolutions.append(None)
            position += 1
    shapes |= layers.linear_shapes("hidden", FLAT, HIDDEN) | layers.linear_shapes("scores", HIDDEN, CLASSES)

    def loss(parameters: Any, statistics: Any, images: Any, labels: Any, mask: Any) -> Any:
        x = images
        for position in convolutions:
            if position is None:
                x = layers.max_pool(x, 2)
            else:
                x = layers.conv(parameters, f"features.{position}", x, padding=1)
                x, statistics = layers.batch_norm(parameters, statistics, f"features.{position + 1}", x)
                x = relu(x)
        x = x.transpose(0, 3, 1, 2).reshape(len(x), -1)  # as the weights of the dense layer expect it
        x = relu(layers.linear(parameters, "hidden", x)) * mask
        return layers.cross_entropy(layers.linear(parameters, "scores", x), labels), statistics

    images, labels, mask = masked_images(batch)
    return JaxTraining(shapes, loss, (channels_last(images), labels, mask))
