"""Suite `train`: whole training steps, from the batch to the updated parameters."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.case import Case
from benchmarks.training import training_case
from benchmarks.workloads import autoencoder, gpt, kmeans, language, lenet, mlp, resnet, surface, unet, vgg, vit

OPTIMIZERS = ("sgd", "adam", "adamw")
GPTS = {
    "3x128": {"depth": 3, "width": 128, "heads": 4, "batch": 8, "length": 64},
    "6x384": {"depth": 6, "width": 384, "heads": 6, "batch": 4, "length": 256},
}

# Of the millions of values that a deep convolutional net puts through ReLU and pooling, a few lie so near to the edge
# that rounding decides on which side, and each of them moves entries of a gradient by percents: PyTorch's own gradients
# differ by up to 6% of their largest entry when the images change by 2e-7. (In float64 all agree to 2e-13.)
EDGES = {"": 1e-3, "statistics": 1e-4, "gradients": 0.1}


def both(workload: Any, **settings: Any) -> tuple[Any, Any]:
    """Return the two functions of a module with their sizes filled in."""
    return partial(workload.torch_like, **settings), partial(workload.jax_like, **settings)


def cases() -> Iterator[Case]:
    """Yield every workload with the optimizer that people train it with; the perceptrons with all three."""
    for optimizer in OPTIMIZERS:
        tiny = (mlp.tiny_torch_like, mlp.tiny_jax_like)
        yield training_case(f"train/mlp/tiny/{optimizer}", *tiny, optimizer, numpy_like=mlp.tiny_numpy_like)
    for optimizer in OPTIMIZERS:
        digits = (mlp.digits_torch_like, mlp.digits_jax_like)
        yield training_case(f"train/mlp/digits/{optimizer}", *digits, optimizer, numpy_like=mlp.digits_numpy_like)
    yield training_case("train/kmeans/sgd", *both(kmeans), "sgd")
    yield training_case("train/surface/sgd", *both(surface), "sgd")
    yield training_case("train/autoencoder/adam", *both(autoencoder), "adam")
    yield training_case("train/lenet/sgd", *both(lenet), "sgd", images=True, tolerance=1e-3)
    for depth, batch in ((20, 32), (20, 128), (56, 32), (56, 128)):
        yield training_case(
            f"train/resnet/{depth}/batch{batch}/sgd", *both(resnet, depth=depth, batch=batch), "sgd",
            images=True, tolerance=EDGES, quick=(depth, batch) == (20, 32),
        )
    yield training_case("train/vgg/sgd", *both(vgg), "sgd", images=True, tolerance=EDGES)
    yield training_case("train/unet/adam", *both(unet), "adam", images=True, tolerance=EDGES)
    yield training_case("train/vit/adamw", *both(vit), "adamw", images=True)
    yield training_case("train/lstm/adam", *both(language, kind="LSTM"), "adam")
    yield training_case("train/gru/adam", *both(language, kind="GRU"), "adam")
    for name, sizes in GPTS.items():
        yield training_case(f"train/gpt/{name}/adamw", *both(gpt, **sizes), "adamw", quick=name == "3x128")
