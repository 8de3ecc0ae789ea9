"""A small U-Net (Ronneberger et al. 2015) on 64x64 images: three levels, batch norm, two classes for each pixel."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.training import Array, JaxTraining, Shapes, Training
from benchmarks.workloads import jax_layers as layers
from benchmarks.workloads.images import channels_last

SIZE = 64
WIDTHS = (16, 32, 64)
CLASSES = 2


def segmented_images(batch: int) -> tuple[Array, Array]:
    """Return images of noise, (N, 1, H, W), and which pixels are bright, (N, H, W)."""
    images = np.random.default_rng(0).standard_normal((batch, 1, SIZE, SIZE), dtype=np.float32)
    return images, (images[:, 0] > 0).astype(np.int64)


def torch_like(torch: Any, batch: int = 8) -> Training:
    """Build the way down, the way up with transposed convolutions, and the skips between them."""
    nn = torch.nn
    high, middle, low = WIDTHS

    def twice(inputs: int, outputs: int) -> Any:
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
        )

    class UNet(nn.Module):
        """Three levels."""

        def __init__(self) -> None:
            super().__init__()
            self.pool = nn.MaxPool2d(2)
            self.down1, self.down2, self.bottom = twice(1, high), twice(high, middle), twice(middle, low)
            self.widen2 = nn.ConvTranspose2d(low, middle, 2, stride=2)
            self.up2 = twice(2 * middle, middle)
            self.widen1 = nn.ConvTranspose2d(middle, high, 2, stride=2)
            self.up1 = twice(2 * high, high)
            self.scores = nn.Conv2d(high, CLASSES, 1)

        def forward(self, x: Any) -> Any:
            skip1 = self.down1(x)
            skip2 = self.down2(self.pool(skip1))
            x = self.bottom(self.pool(skip2))
            x = self.up2(torch.cat([skip2, self.widen2(x)], 1))
            x = self.up1(torch.cat([skip1, self.widen1(x)], 1))
            return self.scores(x)

    return Training(
        UNet(), lambda model, images, labels: nn.functional.cross_entropy(model(images), labels),
        segmented_images(batch),
    )


def jax_like(jax: Any, batch: int = 8) -> JaxTraining:
    """Build the same in JAX."""
    jnp = jax.numpy
    high, middle, low = WIDTHS

    def twice_shapes(name: str, inputs: int, outputs: int) -> Shapes:
        first = layers.conv_shapes(f"{name}.0", inputs, outputs, 3, bias=False)
        second = layers.conv_shapes(f"{name}.3", outputs, outputs, 3, bias=False)
        norms = (layers.norm_shapes(f"{name}.{number}", outputs, running=True) for number in (1, 4))
        return first | second | next(norms) | next(norms)

    shapes = layers.conv_shapes("scores", high, CLASSES, 1)
    shapes |= twice_shapes("down1", 1, high) | twice_shapes("down2", high, middle) | twice_shapes("bottom", middle, low)
    shapes |= twice_shapes("up2", 2 * middle, middle) | twice_shapes("up1", 2 * high, high)
    for name, inputs, outputs in (("widen2", low, middle), ("widen1", middle, high)):
        shapes |= {f"{name}.weight": (inputs, outputs, 2, 2), f"{name}.bias": (outputs,)}

    def twice(parameters: Any, statistics: Any, name: str, x: Any) -> Any:
        for number in (0, 3):
            x = layers.conv(parameters, f"{name}.{number}", x, padding=1)
            x, statistics = layers.batch_norm(parameters, statistics, f"{name}.{number + 1}", x)
            x = jax.nn.relu(x)
        return x, statistics

    def widen(parameters: Any, name: str, x: Any) -> Any:
        # The weights are those of the convolution whose gradient this is, hence `transpose_kernel`.
        y = jax.lax.conv_transpose(x, parameters[f"{name}.weight"], (2, 2), "VALID", transpose_kernel=True)
        return y + parameters[f"{name}.bias"]

    def loss(parameters: Any, statistics: Any, images: Any, labels: Any) -> Any:
        skip1, statistics = twice(parameters, statistics, "down1", images)
        skip2, statistics = twice(parameters, statistics, "down2", layers.max_pool(skip1, 2))
        x, statistics = twice(parameters, statistics, "bottom", layers.max_pool(skip2, 2))
        x = jnp.concatenate([skip2, widen(parameters, "widen2", x)], -1)
        x, statistics = twice(parameters, statistics, "up2", x)
        x = jnp.concatenate([skip1, widen(parameters, "widen1", x)], -1)
        x, statistics = twice(parameters, statistics, "up1", x)
        return layers.cross_entropy(layers.conv(parameters, "scores", x), labels), statistics

    images, labels = segmented_images(batch)
    return JaxTraining(shapes, loss, (channels_last(images), labels))
