"""Residual nets for 32x32 images (He et al. 2016, section 4.2): 6n + 2 layers with 16, 32 and 64 channels.

Shortcuts have no parameters (the paper's option A): where a stage halves the image and doubles the channels, they take
every second pixel and pad with channels of zeros.
"""

from __future__ import annotations

from typing import Any

from benchmarks.training import JaxTraining, Training
from benchmarks.workloads import jax_layers as layers
from benchmarks.workloads.images import CLASSES, channels_last, labelled_images

WIDTHS = (16, 32, 64)


def torch_like(torch: Any, depth: int = 20, batch: int = 32) -> Training:
    """Build a residual net of `depth` layers."""
    nn = torch.nn
    functional = nn.functional

    class Block(nn.Module):
        """Two convolutions and a shortcut."""

        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.stride, self.added = stride, outputs - inputs

        def forward(self, x: Any) -> Any:
            out = functional.relu(self.bn1(self.conv1(x)))
            out = self.bn2(self.conv2(out))
            if self.stride > 1:
                x = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.added))
            return functional.relu(out + x)

    class ResNet(nn.Module):
        """A convolution, three stages, the mean over the image and a dense layer."""

        def __init__(self, blocks: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(WIDTHS[0])
            self.layer1 = self.stage(WIDTHS[0], WIDTHS[0], blocks, 1)
            self.layer2 = self.stage(WIDTHS[0], WIDTHS[1], blocks, 2)
            self.layer3 = self.stage(WIDTHS[1], WIDTHS[2], blocks, 2)
            self.fc = nn.Linear(WIDTHS[2], CLASSES)

        def stage(self, inputs: int, outputs: int, blocks: int, stride: int) -> Any:
            first = Block(inputs, outputs, stride)
            return nn.Sequential(first, *(Block(outputs, outputs, 1) for _ in range(blocks - 1)))

        def forward(self, x: Any) -> Any:
            x = functional.relu(self.bn1(self.conv1(x)))
            x = self.layer3(self.layer2(self.layer1(x)))
            return self.fc(x.mean((2, 3)))

    return Training(
        ResNet((depth - 2) // 6), lambda model, images, labels: functional.cross_entropy(model(images), labels),
        labelled_images(batch, 3, 32),
    )


def jax_like(jax: Any, depth: int = 20, batch: int = 32) -> JaxTraining:
    """Build the same in JAX."""
    jnp, relu = jax.numpy, jax.nn.relu
    blocks, inputs = [], WIDTHS[0]
    for stage, outputs in enumerate(WIDTHS, 1):
        for number in range((depth - 2) // 6):
            blocks.append((f"layer{stage}.{number}", inputs, outputs))
            inputs = outputs
    shapes = layers.conv_shapes("conv1", 3, WIDTHS[0], 3, bias=False)
    shapes |= layers.norm_shapes("bn1", WIDTHS[0], running=True)
    for name, inputs, outputs in blocks:
        shapes |= layers.conv_shapes(f"{name}.conv1", inputs, outputs, 3, bias=False)
        shapes |= layers.norm_shapes(f"{name}.bn1", outputs, running=True)
        shapes |= layers.conv_shapes(f"{name}.conv2", outputs, outputs, 3, bias=False)
        shapes |= layers.norm_shapes(f"{name}.bn2", outputs, running=True)
    shapes |= layers.linear_shapes("fc", WIDTHS[2], CLASSES)

    def loss(parameters: Any, statistics: Any, images: Any, labels: Any) -> Any:
        x = layers.conv(parameters, "conv1", images, padding=1)
        x, statistics = layers.batch_norm(parameters, statistics, "bn1", x)
        x = relu(x)
        for name, inputs, outputs in blocks:
            stride = outputs // inputs  # 2 where the channels double
            out = layers.conv(parameters, f"{name}.conv1", x, stride, padding=1)
            out, statistics = layers.batch_norm(parameters, statistics, f"{name}.bn1", out)
            out = layers.conv(parameters, f"{name}.conv2", relu(out), padding=1)
            out, statistics = layers.batch_norm(parameters, statistics, f"{name}.bn2", out)
            if stride > 1:
                x = jnp.pad(x[:, ::stride, ::stride], ((0, 0), (0, 0), (0, 0), (0, outputs - inputs)))
            x = relu(out + x)
        return layers.cross_entropy(layers.linear(parameters, "fc", x.mean((1, 2))), labels), statistics

    images, labels = labelled_images(batch, 3, 32)
    return JaxTraining(shapes, loss, (channels_last(images), labels))
