"""Optimizer steps as operations: all parameters of one dtype, with their states, in one pass of one kernel.

Written in place, never differentiated. Every other number an update needs (bias corrections, decayed rates) is derived
from its settings and the step count inside the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from itertools import chain
from operator import attrgetter
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.bind import bind, bind_update
from autodiff.errors import ShapeError
from autodiff.ops.elementwise import spread
from autodiff.ops.in_place import fill_
from autodiff.ops.structural import clone, ordered, zeros_like_p
from autodiff.primitive import Primitive, Sample, define, no_errors
from autodiff.program import Memory
from autodiff.slots import number
from autodiff.spec import Array, Cost, Spec, addresses_of, moved
from autodiff.threads import threads_for

__all__ = ["adadelta_step", "adagrad_step", "asgd_step", "rmsprop_step", "rprop_step", "sgd_step"]


_spec, _array, _order, _size, _nbytes = map(attrgetter, ("spec", "array", "order", "size", "nbytes"))


def step(
    primitive: Primitive, params: Sequence[Any], states: Sequence[Sequence[Any]], grads: Sequence[Any], **settings: Any
) -> None:
    """Update parameters of one dtype in place.

    Args:
        primitive: the optimizer's operation.
        params: parameters.
        states: for each state of the optimizer one tensor a parameter, of its shape; may be empty where unused.
        grads: gradients, in the parameters' order.
        settings: the kernel's numbers.

    Raises:
        ShapeError: if a parameter has gaps in memory or a gradient another shape.
    """
    specs = tuple(map(_spec, params))
    sizes, nbytes, dense = _layout(specs)
    if not dense or tuple(map(_spec, grads)) != specs:
        grads = [_fitting(p, grad) for p, grad in zip(params, grads, strict=True)]
    for state in states:
        if state and tuple(map(_spec, state)) != specs:
            for p, x in zip(params, state, strict=True):
                _follow(p, x)
    columns = [params, *states, grads]
    addresses = iter(addresses_of(list(map(_array, chain.from_iterable(columns)))).reshape(-1, len(params)))
    table = np.zeros((len(params), len(columns) + 1), np.int64)
    for i, column in enumerate(columns):
        if column:
            table[:, i] = next(addresses)
    table[:, -1] = sizes
    threads = threads_for(Cost(0, nbytes * (2 * len(columns) - 1)))
    bind_update(primitive, list(chain.from_iterable(columns[:-1])), grads, threads, table=table, **settings)


@lru_cache(64)
def _layout(specs: tuple[Spec, ...]) -> tuple[Array, int, bool]:
    """Return the sizes of parameters, the bytes of all together, and whether none has gaps."""
    return np.array(list(map(_size, specs))), sum(map(_nbytes, specs)), None not in map(_order, specs)


def _fitting(p: Any, grad: Any) -> Any:
    """Return a gradient laid out as its parameter, itself if it is."""
    if p.spec.order is None:
        raise ShapeError("step", "a parameter has gaps in memory", got=repr(p.spec), fix="make it from x.contiguous()")
    if grad.spec.shape != p.spec.shape or grad.spec.dtype != p.spec.dtype:
        raise ShapeError("step", "a gradient does not fit its parameter", expected=repr(p.spec), got=repr(grad.spec))
    return ordered(grad, p.spec.order)


def _follow(p: Any, state: Any) -> None:
    """Bring a state into the dtype and layout that its parameter has taken on since the last step."""
    if state.spec.shape != p.spec.shape:
        raise ShapeError("step", "a state does not fit its parameter", expected=repr(p.spec), got=repr(state.spec))
    if state.spec.dtype != p.spec.dtype or state.spec.strides != p.spec.strides:
        array = p.spec.empty()
        array[...] = state.array
        state.array, state.spec, state.memory = array, p.spec, Memory()


def _kernel(name: str, outs: list[Array], ins: list[Array], table: Array, **settings: Any) -> None:
    getattr(kernels.update, name)(table, ins[0].reshape(-1)[:0], *settings.values(), 0, 1)


def _relocate(outs: list[Array], ins: list[Array], table: Array, **settings: Any) -> dict[str, Any]:
    """Return the parameters of a step on other arrays; a column of zeros is a state that the settings do not use."""
    moved = table.copy()
    moved[:, :-1][:, table[0, :-1] != 0] = addresses_of((*outs, *ins)).reshape(-1, len(table)).T
    return {"table": moved, **settings}


def _infer(*specs: Spec, **_: Any) -> tuple[Spec, ...]:
    return specs


def _cost(flops: int) -> Callable[..., Cost]:
    """Return the cost of an update with so many operations an element."""

    def count(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], **_: Any) -> Cost:
        grads = inputs[len(outputs) :]
        return Cost(flops * sum(spec.size for spec in grads), moved(*inputs, *outputs))

    return count


def path(take: Callable[..., None], states: int, param: Any, grads: Sequence[Any], **settings: Any) -> tuple[Any, ...]:
    """Return the values that a parameter has after each of the steps along `grads`."""
    p = clone(param.detach())
    slots = [[bind(zeros_like_p, p)] for _ in range(states)]
    path = []
    for count, grad in enumerate(grads, 1):
        take([p], *slots, [grad.detach()], step_count=count, **settings)
        path.append(clone(p))
    return tuple(path)


def _samples(*options: dict[str, Any]) -> list[Sample]:
    grads = [spread(-1, 1, 3, 7) * (-0.7) ** i for i in range(4)]
    image = spread(-1, 1, 2, 3, 3, 2).transpose(0, 3, 1, 2)
    samples = [Sample(spread(-2, 2, 3, 7), grads, gradient=False, tolerance=1e-4, **option) for option in options]
    return [
        *samples,
        Sample(image, [image * 0.5, image[:, ::-1]], gradient=False, tolerance=1e-4),
        Sample(spread(-1, 1, 40, dtype=np.float64), [spread(-1, 1, 40, dtype=np.float64)] * 3, gradient=False),
    ]


def define_step(
    name: str, call: Callable[..., Any], flops: int, *options: dict[str, Any], progress: tuple[str, ...] = ("step",)
) -> Primitive:
    """Declare the operation of the kernel `name`: so many operations an element, tested with these settings.

    What changes from step to step by itself is its `progress`.
    """
    return define(
        name,
        infer=_infer,
        run=partial(_kernel, name),
        vjp=None,
        relocate=_relocate,
        progress=progress,
        cost=_cost(flops),
        call=call,
        samples=lambda: _samples(*options),
        errors=no_errors,
    )


# The settings below stand in the order of the kernels' arguments, defaults as in `autodiff.optim`.


def sgd_step(
    params: Any,
    velocities: Any,
    grads: Any,
    *,
    lr: float = 1e-3,
    momentum: float = 0,
    dampening: float = 0,
    weight_decay: float = 0,
    nesterov: bool = False,
    maximize: bool = False,
    step_count: int = 1,
) -> None:
    """Take a step of stochastic gradient descent, all tensors in place; see `autodiff.optim.SGD`.

    Args:
        params: parameters of one dtype.
        velocities: one a parameter; empty without momentum.
        grads: gradients.
        lr, momentum, dampening, weight_decay, nesterov, maximize: as in `autodiff.optim.SGD`.
        step_count: number of this step, from 1.
    """
    step(
        sgd_p,
        params,
        [velocities if momentum else ()],
        grads,
        lr=number(lr),
        momentum=number(momentum),
        dampening=number(dampening),
        weight_decay=number(weight_decay),
        nesterov=nesterov,
        maximize=maximize,
        step=step_count,
    )


def asgd_step(
    params: Any,
    averages: Any,
    grads: Any,
    *,
    lambd: float = 1e-4,
    weight_decay: float = 0,
    maximize: bool = False,
    eta: float = 1e-2,
    mu: float = 1,
    step_count: int = 1,
) -> None:
    """Take a step of averaged stochastic gradient descent, all tensors in place; see `autodiff.optim.ASGD`.

    Args:
        params: parameters of one dtype.
        averages: averages of the parameters, one a parameter.
        grads: gradients.
        lambd, weight_decay, maximize: as in `autodiff.optim.ASGD`.
        eta: the rate of this step.
        mu: the weight of the new parameters in the average.
        step_count: number of this step; it has no influence.
    """
    step(
        asgd_p,
        params,
        [averages],
        grads,
        lambd=number(lambd),
        weight_decay=number(weight_decay),
        maximize=maximize,
        eta=number(eta),
        mu=number(mu),
    )


def adagrad_step(
    params: Any,
    sums: Any,
    grads: Any,
    *,
    lr: float = 1e-2,
    lr_decay: float = 0,
    eps: float = 1e-10,
    weight_decay: float = 0,
    maximize: bool = False,
    step_count: int = 1,
) -> None:
    """Take a step of Adagrad, all tensors in place; see `autodiff.optim.Adagrad`.

    Args:
        params: parameters of one dtype.
        sums: sums of squared gradients, one a parameter.
        grads: gradients.
        lr, lr_decay, eps, weight_decay, maximize: as in `autodiff.optim.Adagrad`.
        step_count: number of this step, from 1.
    """
    step(
        adagrad_p,
        params,
        [sums],
        grads,
        lr=number(lr),
        lr_decay=number(lr_decay),
        eps=number(eps),
        weight_decay=number(weight_decay),
        maximize=maximize,
        step=step_count,
    )


def rmsprop_step(
    params: Any,
    squares: Any,
    buffers: Any,
    averages: Any,
    grads: Any,
    *,
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0,
    momentum: float = 0,
    centered: bool = False,
    maximize: bool = False,
    step_count: int = 1,
) -> None:
    """Take a step of RMSprop, all tensors in place; see `autodiff.optim.RMSprop`.

    Args:
        params: parameters of one dtype.
        squares: running averages of the squared gradients, one a parameter.
        buffers: momentum; empty without.
        averages: running averages of the gradients; empty unless `centered`.
        grads: gradients.
        lr, alpha, eps, weight_decay, momentum, centered, maximize: as in `autodiff.optim.RMSprop`.
        step_count: number of this step; it has no influence.
    """
    step(
        rmsprop_p,
        params,
        [squares, buffers if momentum else (), averages if centered else ()],
        grads,
        lr=number(lr),
        alpha=number(alpha),
        eps=number(eps),
        weight_decay=number(weight_decay),
        momentum=number(momentum),
        centered=centered,
        maximize=maximize,
    )


def adadelta_step(
    params: Any,
    squares: Any,
    changes: Any,
    grads: Any,
    *,
    lr: float = 1.0,
    rho: float = 0.9,
    eps: float = 1e-6,
    weight_decay: float = 0,
    maximize: bool = False,
    step_count: int = 1,
) -> None:
    """Take a step of Adadelta, all tensors in place; see `autodiff.optim.Adadelta`.

    Args:
        params: parameters of one dtype.
        squares, changes: running averages of the squared gradients and the squared changes, one a parameter.
        grads: gradients.
        lr, rho, eps, weight_decay, maximize: as in `autodiff.optim.Adadelta`.
        step_count: number of this step; it has no influence.
    """
    step(
        adadelta_p,
        params,
        [squares, changes],
        grads,
        lr=number(lr),
        rho=number(rho),
        eps=number(eps),
        weight_decay=number(weight_decay),
        maximize=maximize,
    )


def rprop_step(
    params: Any,
    previous: Any,
    sizes: Any,
    grads: Any,
    *,
    etas: tuple[float, float] = (0.5, 1.2),
    step_sizes: tuple[float, float] = (1e-6, 50),
    maximize: bool = False,
    step_count: int = 1,
) -> None:
    """Take a step of Rprop, all tensors in place; see `autodiff.optim.Rprop`.

    Args:
        params: parameters of one dtype.
        previous: gradients of the step before, one a parameter.
        sizes: step sizes, one a parameter.
        grads: gradients.
        etas, step_sizes, maximize: as in `autodiff.optim.Rprop`.
        step_count: number of this step; it has no influence.
    """
    step(
        rprop_p,
        params,
        [previous, sizes],
        grads,
        shrink=number(etas[0]),
        grow=number(etas[1]),
        smallest=number(step_sizes[0]),
        largest=number(step_sizes[1]),
        maximize=maximize,
    )


def _asgd_path(
    param: Any, grads: Any, lr: float = 1e-2, lambd: float = 1e-4, alpha: float = 0.75, t0: float = 1e6, **settings: Any
) -> tuple[Any, ...]:
    def take(params: Any, averages: Any, gradients: Any, step_count: int, **numbers: Any) -> None:
        eta = lr / (1 + lambd * lr * (step_count - 1)) ** alpha
        mu = 1 / max(1, step_count - 1 - t0)
        asgd_step(params, averages, gradients, lambd=lambd, eta=eta, mu=mu, **numbers)

    return path(take, 1, param, grads, **settings)


def _adagrad_path(param: Any, grads: Any, initial_accumulator_value: float = 0, **settings: Any) -> tuple[Any, ...]:
    def take(params: Any, sums: Any, gradients: Any, step_count: int, **numbers: Any) -> None:
        if step_count == 1:
            fill_(sums[0], initial_accumulator_value)
        adagrad_step(params, sums, gradients, step_count=step_count, **numbers)

    return path(take, 1, param, grads, **settings)


def _rprop_path(param: Any, grads: Any, lr: float = 1e-2, **settings: Any) -> tuple[Any, ...]:
    def take(params: Any, previous: Any, sizes: Any, gradients: Any, step_count: int, **numbers: Any) -> None:
        if step_count == 1:
            fill_(sizes[0], lr)
        rprop_step(params, previous, sizes, gradients, step_count=step_count, **numbers)

    return path(take, 2, param, grads, **settings)


sgd_p = define_step(
    "sgd",
    partial(path, sgd_step, 1),
    5,
    {},
    {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1},
    {"momentum": 0.9, "dampening": 0.5, "maximize": True},
    {"lr": 0.1, "momentum": 0.8, "nesterov": True},
)
asgd_p = define_step(
    "asgd",
    _asgd_path,
    8,
    {},
    {"lr": 0.1, "lambd": 0.1, "t0": 1},
    {"weight_decay": 0.1, "maximize": True},
    progress=("eta", "mu"),
)
adagrad_p = define_step(
    "adagrad",
    _adagrad_path,
    8,
    {},
    {"lr": 0.1, "lr_decay": 0.2, "weight_decay": 0.1},
    {"initial_accumulator_value": 0.3, "maximize": True},
)
rmsprop_p = define_step(
    "rmsprop",
    partial(path, rmsprop_step, 3),
    12,
    {},
    {"lr": 0.1, "alpha": 0.9, "weight_decay": 0.1},
    {"momentum": 0.9},
    {"centered": True, "momentum": 0.5},
    {"maximize": True},
)
adadelta_p = define_step(
    "adadelta",
    partial(path, adadelta_step, 2),
    14,
    {},
    {"lr": 0.5, "rho": 0.8, "weight_decay": 0.1},
    {"maximize": True},
)
rprop_p = define_step(
    "rprop", _rprop_path, 6, {}, {"lr": 0.1, "etas": (0.4, 1.3), "step_sizes": (1e-3, 0.2)}, {"maximize": True}
)
