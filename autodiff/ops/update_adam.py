"""Steps of Adam and its relatives; see `update`, which they are made with."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from autodiff.ops.update import define_step, path, step
from autodiff.slots import derived, number

__all__ = ["adam_step", "adamax_step", "nadam_step", "radam_step"]


def adam_step(
    params: Any,
    means: Any,
    squares: Any,
    largest: Any,
    grads: Any,
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0,
    decoupled_weight_decay: bool = False,
    amsgrad: bool = False,
    maximize: bool = False,
    step_count: int = 1,
) -> None:
    """Take a step of Adam or AdamW (decoupled), all tensors in place; see `autodiff.optim.Adam`.

    Args:
        params: parameters of one dtype.
        means, squares: running averages of the gradients and their squares, one a parameter.
        largest: largest `squares` so far; empty without `amsgrad`.
        grads: gradients.
        lr, betas, eps, weight_decay, decoupled_weight_decay, amsgrad, maximize: as in `autodiff.optim.Adam`.
        step_count: number of this step, from 1.
    """
    step(
        adam_p,
        params,
        [means, squares, largest if amsgrad else ()],
        grads,
        lr=number(lr),
        beta1=number(betas[0]),
        beta2=number(betas[1]),
        eps=number(eps),
        weight_decay=number(weight_decay),
        decoupled=decoupled_weight_decay,
        amsgrad=amsgrad,
        maximize=maximize,
        step=step_count,
    )


def nadam_momentum(beta: float, momentum_decay: float, step_count: int) -> float:
    """Return the momentum of NAdam's step `step_count`: ``beta * (1 - 0.96 ** (step_count * momentum_decay) / 2)``."""
    return float(beta * (1 - 0.5 * 0.96 ** (step_count * momentum_decay)))


def nadam_step(
    params: Any,
    means: Any,
    squares: Any,
    grads: Any,
    *,
    lr: float = 2e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0,
    momentum_decay: float = 4e-3,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
    mu_product: float = 1,
    step_count: int = 1,
) -> None:
    """Take a step of NAdam, all tensors in place; see `autodiff.optim.NAdam`.

    Args:
        params: parameters of one dtype.
        means, squares: running averages of the gradients and their squares, one a parameter.
        grads: gradients.
        lr, betas, eps, weight_decay, momentum_decay, decoupled_weight_decay, maximize: as in `autodiff.optim.NAdam`.
        mu_product: product of the momenta of all steps up to this one.
        step_count: number of this step, from 1.
    """
    step(
        nadam_p,
        params,
        [means, squares],
        grads,
        lr=number(lr),
        beta1=number(betas[0]),
        beta2=number(betas[1]),
        eps=number(eps),
        weight_decay=number(weight_decay),
        decoupled=decoupled_weight_decay,
        maximize=maximize,
        mu=derived(nadam_momentum, betas[0], momentum_decay, step_count),
        following=derived(nadam_momentum, betas[0], momentum_decay, derived(int.__add__, step_count, 1)),
        product=number(mu_product),
        step=step_count,
    )


def radam_step(
    params: Any,
    means: Any,
    squares: Any,
    grads: Any,
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0,
    decoupled_weight_decay: bool = False,
    maximize: bool = False,
    step_count: int = 1,
) -> None:
    """Take a step of RAdam, all tensors in place; see `autodiff.optim.RAdam`.

    Args:
        params: parameters of one dtype.
        means, squares: running averages of the gradients and their squares, one a parameter.
        grads: gradients.
        lr, betas, eps, weight_decay, decoupled_weight_decay, maximize: as in `autodiff.optim.RAdam`.
        step_count: number of this step, from 1.
    """
    step(
        radam_p,
        params,
        [means, squares],
        grads,
        lr=number(lr),
        beta1=number(betas[0]),
        beta2=number(betas[1]),
        eps=number(eps),
        weight_decay=number(weight_decay),
        decoupled=decoupled_weight_decay,
        maximize=maximize,
        step=step_count,
    )


def adamax_step(
    params: Any,
    means: Any,
    norms: Any,
    grads: Any,
    *,
    lr: float = 2e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0,
    maximize: bool = False,
    step_count: int = 1,
) -> None:
    """Take a step of Adamax, all tensors in place; see `autodiff.optim.Adamax`.

    Args:
        params: parameters of one dtype.
        means, norms: running averages of the gradients and decaying maxima of their sizes, one a parameter.
        grads: gradients.
        lr, betas, eps, weight_decay, maximize: as in `autodiff.optim.Adamax`.
        step_count: number of this step, from 1.
    """
    step(
        adamax_p,
        params,
        [means, norms],
        grads,
        lr=number(lr),
        beta1=number(betas[0]),
        beta2=number(betas[1]),
        eps=number(eps),
        weight_decay=number(weight_decay),
        maximize=maximize,
        step=step_count,
    )


def _nadam_path(
    param: Any, grads: Any, betas: tuple[float, float] = (0.9, 0.999), momentum_decay: float = 4e-3, **settings: Any
) -> tuple[Any, ...]:
    def take(*tensors: Any, step_count: int, **numbers: Any) -> None:
        product = math.prod(nadam_momentum(betas[0], momentum_decay, t) for t in range(1, step_count + 1))
        nadam_step(*tensors, betas=betas, momentum_decay=momentum_decay, mu_product=product, step_count=step_count,
                   **numbers)  # fmt: skip

    return path(take, 2, param, grads, **settings)


adam_p = define_step(
    "adam",
    partial(path, adam_step, 3),
    15,
    {},
    {"lr": 0.1, "betas": (0.8, 0.95), "weight_decay": 0.1},
    {"lr": 0.1, "amsgrad": True},
    {"weight_decay": 0.1, "decoupled_weight_decay": True},
    {"maximize": True},
)
nadam_p = define_step(
    "nadam",
    _nadam_path,
    17,
    {},
    {"lr": 0.1, "betas": (0.8, 0.95), "weight_decay": 0.1, "momentum_decay": 0.1},
    {"weight_decay": 0.1, "decoupled_weight_decay": True},
    {"maximize": True},
    progress=("mu", "following", "product", "step"),
)
radam_p = define_step(
    "radam",
    partial(path, radam_step, 2),
    15,
    {},
    {"lr": 0.1, "betas": (0.8, 0.4), "weight_decay": 0.1},
    {"lr": 0.1, "betas": (0.8, 0.99), "weight_decay": 0.1, "decoupled_weight_decay": True},
    {"maximize": True},
)
adamax_p = define_step(
    "adamax",
    partial(path, adamax_step, 2),
    10,
    {},
    {"lr": 0.1, "betas": (0.8, 0.95), "weight_decay": 0.1},
    {"maximize": True},
)
