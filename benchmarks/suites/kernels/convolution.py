"""Convolutions over the layers of ResNet, VGG, MobileNet and others: forward, data gradient, weight gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from benchmarks.case import Case
from benchmarks.differentiation import Build, Inputs, What, backward, builds, forward, normal

TOLERANCE = 1e-4  # a weight gradient sums over all pixels of a batch


class Layer(NamedTuple):
    """A convolution of square images with a square kernel."""

    name: str
    channels: int
    outputs: int
    size: int  # height and width of the image
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    dilation: int = 1
    groups: int = 1
    batch: int = 32

    @property
    def inputs(self) -> Inputs:
        """The image and the weight."""
        fan_in = self.channels // self.groups * self.kernel**2
        return {
            "x": normal(self.batch, self.channels, self.size, self.size),
            "weight": normal(self.outputs, self.channels // self.groups, self.kernel, self.kernel, scale=fan_in**-0.5),
        }

    @property
    def settings(self) -> dict[str, int]:
        """The arguments besides the tensors."""
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "groups": self.groups}


RESNET = [  # of ResNet-20 and ResNet-56 for 32x32 images: the same layers, more often
    Layer("3-16", 3, 16, 32),
    Layer("16-16", 16, 16, 32),
    Layer("16-32-stride-2", 16, 32, 32, stride=2),
    Layer("32-32", 32, 32, 16),
    Layer("32-64-stride-2", 32, 64, 16, stride=2),
    Layer("64-64", 64, 64, 8),
]
OTHERS = [
    Layer("vgg/3-64", 3, 64, 32),
    Layer("vgg/64-128", 64, 128, 16),
    Layer("vgg/256-256", 256, 256, 8),
    Layer("vgg/512-512", 512, 512, 4),
    Layer("mobilenet/depthwise-64", 64, 64, 32, groups=64),
    Layer("mobilenet/depthwise-256-stride-2", 256, 256, 16, stride=2, groups=256),
    Layer("1x1/64-128", 64, 128, 16, kernel=1, padding=0),
    Layer("1x1/32-64-stride-2", 32, 64, 16, kernel=1, stride=2, padding=0),
    Layer("dilated/32-32-dilation-2", 32, 32, 32, padding=2, dilation=2),
    Layer("lenet/6-16-5x5", 6, 16, 14, kernel=5, padding=0, batch=128),
    Layer("stem/3-64-7x7-stride-2", 3, 64, 96, kernel=7, stride=2, padding=3, batch=8),
]
QUICK = {
    "resnet-batch-32/16-16": ("forward", "data-gradient", "weight-gradient"), "mobilenet/depthwise-64": ("forward",),
}
IMAGES = ("NHWC", "HWIO", "NHWC")


def convolution(module: Any, x: Any, weight: Any, **settings: int) -> Any:
    return module.nn.functional.conv2d(x, weight, **settings)


def convolution_jax(jax: Any, x: Any, weight: Any, stride: int, padding: int, dilation: int, groups: int) -> Any:
    """Return the convolution of (N, H, W, C) with (H, W, I, O)."""
    return jax.lax.conv_general_dilated(
        x, weight, (stride, stride), [(padding, padding)] * 2, rhs_dilation=(dilation, dilation),
        dimension_numbers=IMAGES, feature_group_count=groups,
    )


def transposed(module: Any, x: Any, weight: Any) -> Any:
    """Return the convolution that doubles the size, as in a U-Net."""
    return module.nn.functional.conv_transpose2d(x, weight, stride=2)


def transposed_jax(jax: Any, x: Any, weight: Any) -> Any:
    """Return it for images (N, H, W, C) and a weight (I, O, H, W), which the layout turns to (H, W, O, I)."""
    return jax.lax.conv_general_dilated(
        x, weight[::-1, ::-1], (1, 1), [(1, 1)] * 2, lhs_dilation=(2, 2), dimension_numbers=("NHWC", "HWOI", "NHWC"))


def convolution_1d(module: Any, x: Any, weight: Any) -> Any:
    return module.nn.functional.conv1d(x, weight, padding=2)


def convolution_1d_jax(jax: Any, x: Any, weight: Any) -> Any:
    return jax.lax.conv_general_dilated(x, weight, (1,), [(2, 2)], dimension_numbers=("NCH", "OIH", "NCH"))


def one_pass(what: What, function: Callable[..., Any], jax: Callable[..., Any], **settings: Any) -> dict[str, Build]:
    """Return the builds of one pass, in which autodiff gets its images channels-last."""
    found = builds(what, function, jax=jax, images=True, **settings)
    own = partial({"forward": forward, "backward": backward}[what], function=function, channels_last=("x",), **settings)
    return found | {"autodiff": own}


def rows(layer: Layer, prefix: str, whole: bool = True) -> Iterator[Case]:
    """Yield each pass of a layer alone and, if `whole`, forward and backward from images as users have them."""
    name, inputs = f"{prefix}{layer.name}", layer.inputs
    function, jax = partial(convolution, **layer.settings), partial(convolution_jax, **layer.settings)
    passes: dict[str, Any] = {"forward": {"what": "forward"}}
    if layer.channels > 3:  # of the first layer nobody needs the gradient of the image
        passes["data-gradient"] = {"what": "backward", "wrt": ("x",)}
    passes["weight-gradient"] = {"what": "backward", "wrt": ("weight",)}
    for one, settings in passes.items():
        found = one_pass(function=function, jax=jax, inputs=inputs, **settings)
        quick = one in QUICK.get(name, ())
        yield Case(f"kernels/convolution/{name}/{one}/kernel", found, tolerance=TOLERANCE, quick=quick)
    if whole:
        wrt = ("weight",) if layer.channels == 3 else ("x", "weight")
        found = builds("forward+backward", function, inputs, wrt=wrt, jax=jax, images=True)
        yield Case(f"kernels/convolution/{name}", found, tolerance=TOLERANCE, quick=name == "resnet-batch-32/16-16")


def cases() -> Iterator[Case]:
    """Yield the convolutions."""
    for layer in RESNET:
        yield from rows(layer, "resnet-batch-32/")
    for layer in RESNET:
        if layer.stride == 1:
            yield from rows(layer._replace(batch=128), "resnet-batch-128/", whole=False)
    for layer in OTHERS:
        yield from rows(layer, "")
    inputs = {"x": normal(16, 64, 16, 16), "weight": normal(64, 32, 2, 2, scale=0.1)}
    yield Case(
        "kernels/convolution/transposed/64-32-2x2-stride-2",
        builds("forward+backward", transposed, inputs, jax=transposed_jax, images=True),
        tolerance=TOLERANCE,
        quick=False,
    )
    inputs = {"x": normal(32, 64, 256), "weight": normal(64, 64, 5, scale=0.1)}
    yield Case(
        "kernels/convolution/1d/64-64-5",
        builds("forward+backward", convolution_1d, inputs, jax=convolution_1d_jax),
        tolerance=TOLERANCE,
        quick=False,
    )
