"""Suite `train`: whole training steps, from the batch to the updated parameters."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.case import Case
from benchmarks.training import training_case
from benchmarks.workloads import autoencoder, gpt, kmeans, language, mlp, surface

SMALL_GPT = {"depth": 3, "width": 128, "heads": 4, "batch": 8, "length": 64}
GPT = {"depth": 6, "width": 384, "heads": 6, "batch": 4, "length": 256}


def both(workload: Any, **settings: Any) -> tuple[Any, Any]:
    """Return a module's two functions with the sizes filled in."""
    return partial(workload.torch_like, **settings), partial(workload.jax_like, **settings)


def cases() -> Iterator[Case]:
    """Yield every workload with an optimizer that it is trained with, from small nets to large ones."""
    for optimizer in ("sgd", "adam", "adamw"):
        yield training_case(
            f"train/mlp/tiny/{optimizer}",
            mlp.tiny_torch_like,
            mlp.tiny_jax_like,
            optimizer,
            numpy_like=mlp.tiny_numpy_like,
        )
    yield training_case("train/kmeans/sgd", *both(kmeans), "sgd")
    yield training_case("train/surface/sgd", *both(surface), "sgd")
    for optimizer in ("sgd", "adam", "adamw"):
        yield training_case(
            f"train/mlp/digits/{optimizer}",
            mlp.digits_torch_like,
            mlp.digits_jax_like,
            optimizer,
            numpy_like=mlp.digits_numpy_like,
        )
    yield training_case("train/autoencoder/adam", *both(autoencoder), "adam")
    yield training_case("train/lstm/adam", *both(language, kind="LSTM"), "adam")
    yield training_case("train/gru/adam", *both(language, kind="GRU"), "adam")
    yield training_case("train/gpt/3x128/adamw", *both(gpt, **SMALL_GPT), "adamw")
    yield training_case("train/gpt/6x384/adamw", *both(gpt, **GPT), "adamw", quick=False)
