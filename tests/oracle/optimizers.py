"""The optimizers' updates, as written in PyTorch's documentation.

Each function takes a parameter, the gradients of successive steps and the optimizer's settings, and returns the
parameter after every step.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .arrays import Array, array, ieee


def _gradient(grad: Any, p: Array, weight_decay: float, maximize: bool) -> Array:
    """The gradient of what is minimised, with the penalty weight_decay |p|^2 / 2."""
    return (-array(grad) if maximize else array(grad)) + weight_decay * p


@ieee
def sgd(
    param: Any,
    grads: Iterable[Any],
    lr: float = 1e-3,
    momentum: float = 0,
    dampening: float = 0,
    weight_decay: float = 0,
    nesterov: bool = False,
    *,
    maximize: bool = False,
) -> list[Array]:
    """Momentum: Sutskever et al. 2013, with the learning rate outside the velocity."""
    p, velocity, path = array(param), None, []
    for grad in grads:
        g = _gradient(grad, p, weight_decay, maximize)
        if momentum:
            velocity = g if velocity is None else momentum * velocity + (1 - dampening) * g
            g = g + momentum * velocity if nesterov else velocity
        p = p - lr * g
        path.append(p)
    return path


@ieee
def adagrad(
    param: Any,
    grads: Iterable[Any],
    lr: float = 1e-2,
    lr_decay: float = 0,
    weight_decay: float = 0,
    initial_accumulator_value: float = 0,
    eps: float = 1e-10,
    *,
    maximize: bool = False,
) -> list[Array]:
    """Duchi et al. 2011."""
    p, path = array(param), []
    total = np.full_like(p, initial_accumulator_value)
    for step, grad in enumerate(grads):
        g = _gradient(grad, p, weight_decay, maximize)
        total = total + g**2
        p = p - lr / (1 + step * lr_decay) * g / (np.sqrt(total) + eps)
        path.append(p)
    return path


@ieee
def rmsprop(
    param: Any,
    grads: Iterable[Any],
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0,
    momentum: float = 0,
    centered: bool = False,
    *,
    maximize: bool = False,
) -> list[Array]:
    """Tieleman and Hinton 2012; centred: Graves 2013, section 4."""
    p, path = array(param), []
    square, average, velocity = np.zeros_like(p), np.zeros_like(p), np.zeros_like(p)
    for grad in grads:
        g = _gradient(grad, p, weight_decay, maximize)
        square = alpha * square + (1 - alpha) * g**2
        average = alpha * average + (1 - alpha) * g
        variance = square - average**2 if centered else square
        velocity = momentum * velocity + g / (np.sqrt(variance) + eps)
        p = p - lr * velocity
        path.append(p)
    return path


@ieee
def adadelta(
    param: Any,
    grads: Iterable[Any],
    lr: float = 1.0,
    rho: float = 0.9,
    eps: float = 1e-6,
    weight_decay: float = 0,
    *,
    maximize: bool = False,
) -> list[Array]:
    """Zeiler 2012, algorithm 1."""
    p, path = array(param), []
    square, moved = np.zeros_like(p), np.zeros_like(p)
    for grad in grads:
        g = _gradient(grad, p, weight_decay, maximize)
        square = rho * square + (1 - rho) * g**2
        delta = np.sqrt(moved + eps) / np.sqrt(square + eps) * g
        moved = rho * moved + (1 - rho) * delta**2
        p = p - lr * delta
        path.append(p)
    return path


@ieee
def adam(
    param: Any,
    grads: Iterable[Any],
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0,
    amsgrad: bool = False,
    *,
    maximize: bool = False,
    decoupled_weight_decay: bool = False,
) -> list[Array]:
    """Kingma and Ba 2015, algorithm 1; AMSGrad: Reddi et al. 2018, algorithm 2, on the uncorrected second moment."""
    p, path = array(param), []
    m, v, largest = np.zeros_like(p), np.zeros_like(p), np.zeros_like(p)
    for step, grad in enumerate(grads, start=1):
        g = _gradient(grad, p, 0 if decoupled_weight_decay else weight_decay, maximize)
        if decoupled_weight_decay:
            p = p * (1 - lr * weight_decay)
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        largest = np.maximum(largest, v)
        m_hat = m / (1 - betas[0] ** step)
        v_hat = (largest if amsgrad else v) / (1 - betas[1] ** step)
        p = p - lr * m_hat / (np.sqrt(v_hat) + eps)
        path.append(p)
    return path


def adamw(
    param: Any,
    grads: Iterable[Any],
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
    amsgrad: bool = False,
    *,
    maximize: bool = False,
) -> list[Array]:
    """Loshchilov and Hutter 2019, algorithm 2."""
    return adam(param, grads, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True)


@ieee
def rprop(
    param: Any,
    grads: Iterable[Any],
    lr: float = 1e-2,
    etas: tuple[float, float] = (0.5, 1.2),
    step_sizes: tuple[float, float] = (1e-6, 50),
    *,
    maximize: bool = False,
) -> list[Array]:
    """Riedmiller and Braun 1993, without weight backtracking: after a change of sign the gradient counts as zero."""
    p, path = array(param), []
    size, previous = np.full_like(p, lr), np.zeros_like(p)
    for grad in grads:
        g = _gradient(grad, p, 0, maximize)
        agreement = g * previous
        factor = np.where(agreement > 0, etas[1], np.where(agreement < 0, etas[0], 1.0))
        size = np.clip(size * factor, *step_sizes)
        g = np.where(agreement < 0, 0.0, g)
        p = p - np.sign(g) * size
        previous = g
        path.append(p)
    return path


@ieee
def asgd(
    param: Any,
    grads: Iterable[Any],
    lr: float = 1e-2,
    lambd: float = 1e-4,
    alpha: float = 0.75,
    t0: float = 1e6,
    weight_decay: float = 0,
    *,
    maximize: bool = False,
) -> list[Array]:
    """Bottou 2010, section 5.2; the path is that of the parameters, the average has no influence on it."""
    p, path = array(param), []
    for step, grad in enumerate(grads):
        g = _gradient(grad, p, weight_decay, maximize)
        eta = lr * (1 + lambd * lr * step) ** -alpha
        p = p - eta * (g + lambd * p)
        path.append(p)
    return path


@ieee
def nadam(
    param: Any,
    grads: Iterable[Any],
    lr: float = 2e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0,
    momentum_decay: float = 4e-3,
    decoupled_weight_decay: bool = False,
    *,
    maximize: bool = False,
) -> list[Array]:
    """Dozat 2016, algorithm 2, with the schedule of momenta of its section 3."""
    p, path = array(param), []
    m, v, product = np.zeros_like(p), np.zeros_like(p), 1.0
    for step, grad in enumerate(grads, start=1):
        g = _gradient(grad, p, 0 if decoupled_weight_decay else weight_decay, maximize)
        if decoupled_weight_decay:
            p = p * (1 - lr * weight_decay)
        now, following = (betas[0] * (1 - 0.5 * 0.96 ** (t * momentum_decay)) for t in (step, step + 1))
        product *= now
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        m_hat = following * m / (1 - product * following) + (1 - now) * g / (1 - product)
        p = p - lr * m_hat / (np.sqrt(v / (1 - betas[1] ** step)) + eps)
        path.append(p)
    return path


@ieee
def radam(
    param: Any,
    grads: Iterable[Any],
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0,
    decoupled_weight_decay: bool = False,
    *,
    maximize: bool = False,
) -> list[Array]:
    """Liu et al. 2020, algorithm 2, with PyTorch's bound of 5 and its place of eps."""
    p, path = array(param), []
    m, v = np.zeros_like(p), np.zeros_like(p)
    longest = 2 / (1 - betas[1]) - 1
    for step, grad in enumerate(grads, start=1):
        g = _gradient(grad, p, 0 if decoupled_weight_decay else weight_decay, maximize)
        if decoupled_weight_decay:
            p = p * (1 - lr * weight_decay)
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        change = m / (1 - betas[0] ** step)
        length = longest - 2 * step * betas[1] ** step / (1 - betas[1] ** step)
        if length > 5:
            ratio = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            change = change * np.sqrt(ratio) * np.sqrt(1 - betas[1] ** step) / (np.sqrt(v) + eps)
        p = p - lr * change
        path.append(p)
    return path


@ieee
def adamax(
    param: Any,
    grads: Iterable[Any],
    lr: float = 2e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0,
    *,
    maximize: bool = False,
) -> list[Array]:
    """Kingma and Ba 2015, algorithm 2, with eps added to the size of the gradient as in PyTorch."""
    p, path = array(param), []
    m, u = np.zeros_like(p), np.zeros_like(p)
    for step, grad in enumerate(grads, start=1):
        g = _gradient(grad, p, weight_decay, maximize)
        m = betas[0] * m + (1 - betas[0]) * g
        u = np.maximum(betas[1] * u, np.abs(g) + eps)
        p = p - lr / (1 - betas[0] ** step) * m / u
        path.append(p)
    return path
