"""LeNet-5 on 28x28 digits (LeCun et al. 1998, figure 2), as it is built today: ReLU, max pooling, padded images."""

from __future__ import annotations

from typing import Any

from benchmarks.training import JaxTraining, Training
from benchmarks.workloads import jax_layers as layers
from benchmarks.workloads.images import CLASSES, channels_last, labelled_images


def torch_like(torch: Any, batch: int = 128) -> Training:
    """Build two convolutions with pooling and three dense layers."""
    nn = torch.nn
    model = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(),
        nn.Linear(120, 84), nn.ReLU(),
        nn.Linear(84, CLASSES),
    )
    return Training(
        model, lambda model, images, labels: nn.functional.cross_entropy(model(images), labels),
        labelled_images(batch, 1, 28),
    )


def jax_like(jax: Any, batch: int = 128) -> JaxTraining:
    """Build the same in JAX."""
    shapes = layers.conv_shapes("0", 1, 6, 5) | layers.conv_shapes("3", 6, 16, 5)
    for name, inputs, outputs in (("7", 400, 120), ("9", 120, 84), ("11", 84, CLASSES)):
        shapes |= layers.linear_shapes(name, inputs, outputs)

    def loss(parameters: Any, statistics: Any, images: Any, labels: Any) -> Any:
        x = layers.max_pool(jax.nn.relu(layers.conv(parameters, "0", images, padding=2)), 2)
        x = layers.max_pool(jax.nn.relu(layers.conv(parameters, "3", x)), 2)
        x = x.transpose(0, 3, 1, 2).reshape(len(x), -1)  # as the weights of the dense layer expect it
        x = jax.nn.relu(layers.linear(parameters, "7", x))
        x = jax.nn.relu(layers.linear(parameters, "9", x))
        return layers.cross_entropy(layers.linear(parameters, "11", x), labels), statistics

    images, labels = labelled_images(batch, 1, 28)
    return JaxTraining(shapes, loss, (channels_last(images), labels))
