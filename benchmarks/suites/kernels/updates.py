"""Steps of optimizers alone, over the parameters of nets, from fixed gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.case import Case
from benchmarks.differentiation import Array, Build
from benchmarks.training import LEARNING_RATE, MOMENTUM, jax_update

Shapes = list[tuple[int, ...]]

# Name -> PyTorch's class and the arguments that users pass, besides the learning rate.
OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {"lr": LEARNING_RATE["sgd"], "momentum": MOMENTUM}),
    "adam": ("Adam", {"lr": LEARNING_RATE["adam"]}),
    "adamw": ("AdamW", {"lr": LEARNING_RATE["adamw"]}),
    "rmsprop": ("RMSprop", {}),
    "adagrad": ("Adagrad", {}),
    "adadelta": ("Adadelta", {}),
    "rprop": ("Rprop", {}),
    "nadam": ("NAdam", {}),
    "radam": ("RAdam", {}),
    "adamax": ("Adamax", {}),
    "asgd": ("ASGD", {}),
}
FUSED = ("sgd", "adam", "adamw", "adagrad")  # those for which PyTorch has a fused CPU kernel
STEPS = 3  # before the parameters are compared


def mlp() -> Shapes:
    """Return the shapes of the digits MLP 784-256-128-10 with batch norm."""
    return [(256, 784), (256,), (256,), (256,), (128, 256), (128,), (128,), (128,), (10, 128), (10,)]


def resnet_20() -> Shapes:
    """Return the shapes of ResNet-20 for 32x32 images, whose shortcuts have no parameters."""
    widths = [3, *[16] * 7, *[32] * 6, *[64] * 6]
    shapes: Shapes = []
    for inputs, outputs in pairwise(widths):
        shapes += [(outputs, inputs, 3, 3), (outputs,), (outputs,)]
    return [*shapes, (10, 64), (10,)]


def ten_million() -> Shapes:
    """Return ten square matrices."""
    return [(1024, 1024)] * 10


SETS: dict[str, Callable[[], Shapes]] = {"mlp": mlp, "resnet-20": resnet_20, "10-million": ten_million}


def values(shapes: Shapes) -> tuple[list[Array], list[Array]]:
    """Return initial parameters and gradients."""
    rng = np.random.default_rng(0)
    starts, gradients = ([0.1 * rng.standard_normal(shape, np.float32) for shape in shapes] for _ in range(2))
    return starts, gradients


def step(
    module: Any, optimizer: str, parameters: Callable[[], Shapes], fused: bool = False
) -> tuple[Callable[[], Any], Callable[[], dict[str, Any]]]:
    """Build a step for autodiff and PyTorch."""
    starts, gradients = values(parameters())
    name, settings = OPTIMIZERS[optimizer]
    if fused:
        settings = {**settings, "fused": True}

    def start() -> tuple[list[Any], Any]:
        made = [module.nn.Parameter(module.tensor(value)) for value in starts]
        for parameter, gradient in zip(made, gradients):
            parameter.grad = module.tensor(gradient)
        return made, getattr(module.optim, name)(made, **settings)

    held, own = start()

    def run() -> list[Any]:
        own.step()
        return held

    def answers() -> dict[str, Any]:
        made, other = start()
        for _ in range(STEPS):
            other.step()
        return {str(position): parameter.detach() for position, parameter in enumerate(made)}

    return run, answers


def step_jax(
    jax: Any, optimizer: str, parameters: Callable[[], Shapes]
) -> tuple[Callable[[], Any], Callable[[], dict[str, Any]]]:
    """Build a step for JAX, which gives the memory of the old values to the new ones."""
    starts, fixed = values(parameters())
    init, update = jax_update(jax, optimizer)
    compiled = jax.jit(update, donate_argnums=(0, 2))
    gradients = jax.device_put(fixed)

    def start() -> Any:
        made = [jax.numpy.array(value) for value in starts]
        return made, init(made)

    held, memory = start()

    def run() -> Any:
        nonlocal held, memory
        held, memory = compiled(held, gradients, memory)
        return held, memory

    def answers() -> dict[str, Any]:
        made, other = start()
        for _ in range(STEPS):
            made, other = compiled(made, gradients, other)
        return {str(position): parameter for position, parameter in enumerate(made)}

    return run, answers


def builds(optimizer: str, parameters: Callable[[], Shapes]) -> dict[str, Build]:
    """Return the builds of a step by contender."""
    own = partial(step, optimizer=optimizer, parameters=parameters)
    table: dict[str, Build] = {"autodiff": own, "torch": own}
    if optimizer in FUSED:
        table["torch fused"] = partial(own, fused=True)
    if optimizer in LEARNING_RATE:
        table["jax"] = partial(step_jax, optimizer=optimizer, parameters=parameters)
    return table


def cases() -> Iterator[Case]:
    """Yield the steps."""
    for optimizer in OPTIMIZERS:
        for name, parameters in SETS.items():
            found = builds(optimizer, parameters)
            quick = optimizer in ("sgd", "adam") and name == "mlp"
            yield Case(f"kernels/update/{optimizer}/{name}", found, tolerance=1e-5, quick=quick)
