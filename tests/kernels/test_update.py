"""Optimizer steps against PyTorch's documented formulas in NumPy, in float64, and against PyTorch if installed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from autodiff_kernels import update

Array = np.ndarray[Any, np.dtype[Any]]
LENGTHS = (1, 7, 64, 1000)
STEPS = 5


def table(arrays: list[list[Array | None]]) -> Array:
    """`arrays` holds, for each parameter, the parameter, its state and its gradient."""
    addresses = [[0 if x is None else x.ctypes.data for x in row] for row in arrays]
    return np.array([[*row, arrays[k][-1].size] for k, row in enumerate(addresses)], np.int64)


def settings(**values: Any) -> dict[str, Any]:
    return values


def sgd(p: Array, g: Array, state: list[Array], step: int, lr: float, momentum: float, dampening: float,
        weight_decay: float, nesterov: bool, maximize: bool) -> Array:  # fmt: skip
    g = (-g if maximize else g) + weight_decay * p
    if momentum:
        state[0][:] = g if step == 1 else momentum * state[0] + (1 - dampening) * g
        g = g + momentum * state[0] if nesterov else state[0]
    return p - lr * g


def adam(p: Array, g: Array, state: list[Array], step: int, lr: float, beta1: float, beta2: float, eps: float,
         weight_decay: float, decoupled: bool, amsgrad: bool, maximize: bool) -> Array:  # fmt: skip
    m, v, largest = state
    g = -g if maximize else g
    if decoupled:
        p = p - lr * weight_decay * p
    else:
        g = g + weight_decay * p
    m[:] = beta1 * m + (1 - beta1) * g
    v[:] = beta2 * v + (1 - beta2) * g**2
    largest[:] = np.maximum(largest, v)
    corrected = (largest if amsgrad else v) / (1 - beta2**step)
    return p - lr * m / (1 - beta1**step) / (np.sqrt(corrected) + eps)


def adagrad(p: Array, g: Array, state: list[Array], step: int, lr: float, lr_decay: float, eps: float,
            weight_decay: float, maximize: bool) -> Array:  # fmt: skip
    g = (-g if maximize else g) + weight_decay * p
    state[0] += g**2
    return p - lr / (1 + (step - 1) * lr_decay) * g / (np.sqrt(state[0]) + eps)


def rmsprop(p: Array, g: Array, state: list[Array], step: int, lr: float, alpha: float, eps: float, weight_decay: float,
            momentum: float, centered: bool, maximize: bool) -> Array:  # fmt: skip
    v, b, mean = state
    g = (-g if maximize else g) + weight_decay * p
    v[:] = alpha * v + (1 - alpha) * g**2
    mean[:] = alpha * mean + (1 - alpha) * g
    b[:] = momentum * b + g / (np.sqrt(v - mean**2 if centered else v) + eps)
    return p - lr * b


def adadelta(p: Array, g: Array, state: list[Array], step: int, lr: float, rho: float, eps: float, weight_decay: float,
             maximize: bool) -> Array:  # fmt: skip
    v, d = state
    g = (-g if maximize else g) + weight_decay * p
    v[:] = rho * v + (1 - rho) * g**2
    delta = np.sqrt(d + eps) / np.sqrt(v + eps) * g
    d[:] = rho * d + (1 - rho) * delta**2
    return p - lr * delta


def rprop(p: Array, g: Array, state: list[Array], step: int, shrink: float, grow: float, smallest: float,
          largest: float, maximize: bool) -> Array:  # fmt: skip
    before, size = state
    g = -g if maximize else g
    turned = g * before < 0
    size[:] = np.clip(size * np.where(g * before > 0, grow, np.where(turned, shrink, 1)), smallest, largest)
    g = np.where(turned, 0, g)
    before[:] = g
    return p - np.sign(g) * size


def nadam(p: Array, g: Array, state: list[Array], step: int, lr: float, beta1: float, beta2: float, eps: float,
          weight_decay: float, decoupled: bool, maximize: bool, mu: float, following: float,
          product: float) -> Array:  # fmt: skip
    m, v = state
    g = -g if maximize else g
    if decoupled:
        p = p - lr * weight_decay * p
    else:
        g = g + weight_decay * p
    m[:] = beta1 * m + (1 - beta1) * g
    v[:] = beta2 * v + (1 - beta2) * g**2
    change = following * m / (1 - product * following) + (1 - mu) * g / (1 - product)
    return p - lr * change / (np.sqrt(v / (1 - beta2**step)) + eps)


def radam(p: Array, g: Array, state: list[Array], step: int, lr: float, beta1: float, beta2: float, eps: float,
          weight_decay: float, decoupled: bool, maximize: bool) -> Array:  # fmt: skip
    m, v = state
    g = -g if maximize else g
    if decoupled:
        p = p - lr * weight_decay * p
    else:
        g = g + weight_decay * p
    m[:] = beta1 * m + (1 - beta1) * g
    v[:] = beta2 * v + (1 - beta2) * g**2
    change = m / (1 - beta1**step)
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * step * beta2**step / (1 - beta2**step)
    if length > 5:
        change *= math.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))
        change *= math.sqrt(1 - beta2**step) / (np.sqrt(v) + eps)
    return p - lr * change


def adamax(p: Array, g: Array, state: list[Array], step: int, lr: float, beta1: float, beta2: float, eps: float,
           weight_decay: float, maximize: bool) -> Array:  # fmt: skip
    m, u = state
    g = (-g if maximize else g) + weight_decay * p
    m[:] = beta1 * m + (1 - beta1) * g
    u[:] = np.maximum(beta2 * u, np.abs(g) + eps)
    return p - lr / (1 - beta1**step) * m / u


def asgd(p: Array, g: Array, state: list[Array], step: int, lambd: float, weight_decay: float, maximize: bool,
         eta: float, mu: float) -> Array:  # fmt: skip
    g = (-g if maximize else g) + weight_decay * p
    p = p - lambd * eta * p - eta * g
    state[0] += mu * (p - state[0])
    return p


# formula, initial state, options
CASES: list[tuple[Callable[..., Array], tuple[float, ...], dict[str, Any]]] = [
    (sgd, (0,), settings(lr=0.1, momentum=momentum, dampening=dampening, weight_decay=decay, nesterov=nesterov,
                         maximize=up))
    for momentum, dampening, decay, nesterov, up in
    [(0.0, 0.0, 0.0, False, False), (0.0, 0.0, 0.1, False, True), (0.9, 0.0, 0.0, False, False),
     (0.9, 0.5, 0.1, False, True), (0.9, 0.0, 0.1, True, False)]
] + [
    (adam, (0, 0, 0), settings(lr=0.01, beta1=0.9, beta2=0.99, eps=1e-8, weight_decay=decay, decoupled=decoupled,
                           amsgrad=amsgrad, maximize=up))
    for decay, decoupled, amsgrad, up in
    [(0.0, False, False, False), (0.1, False, False, True), (0.1, True, False, False), (0.1, True, True, False)]
] + [
    (adagrad, (0.5,), settings(lr=0.1, lr_decay=decay, eps=1e-10, weight_decay=decay, maximize=up))
    for decay, up in [(0.0, False), (0.1, True)]
] + [
    (rmsprop, (0, 0, 0), settings(lr=0.01, alpha=0.9, eps=1e-8, weight_decay=0.1, momentum=momentum, centered=centered,
                              maximize=up))
    for momentum, centered, up in [(0.0, False, False), (0.9, False, True), (0.0, True, False), (0.9, True, False)]
] + [
    (adadelta, (0, 0), settings(lr=1.0, rho=0.9, eps=1e-6, weight_decay=0.1, maximize=up)) for up in (False, True)
] + [
    (rprop, (0, 0.01), settings(shrink=0.5, grow=1.2, smallest=1e-6, largest=50.0, maximize=up)) for up in (False, True)
]  # fmt: skip
PYTORCH_CASES = len(CASES)  # those below are compared with PyTorch one floor up: their numbers change with the step
CASES += [
    (nadam, (0, 0), settings(lr=0.01, beta1=0.9, beta2=0.99, eps=1e-8, weight_decay=0.1, decoupled=up, maximize=up,
                             mu=0.5, following=0.6, product=0.3)) for up in (False, True)
] + [
    (radam, (0, 0), settings(lr=0.01, beta1=0.9, beta2=beta2, eps=1e-8, weight_decay=0.1, decoupled=up, maximize=up))
    for up, beta2 in [(False, 0.5), (True, 0.8), (False, 0.999)]
] + [
    (adamax, (0, 0), settings(lr=0.01, beta1=0.9, beta2=0.99, eps=1e-8, weight_decay=0.1, maximize=up))
    for up in (False, True)
] + [
    (asgd, (0,), settings(lambd=0.1, weight_decay=0.1, maximize=up, eta=0.1, mu=0.3 if up else 1.0))
    for up in (False, True)
]  # fmt: skip
WITH_STEP = {sgd, adam, adagrad, nadam, radam, adamax}


def unused(formula: Callable[..., Array], options: dict[str, Any]) -> set[int]:
    if formula is sgd:
        return set() if options["momentum"] else {0}
    if formula is adam:
        return set() if options["amsgrad"] else {2}
    if formula is rmsprop:
        return ({1} if not options["momentum"] else set()) | ({2} if not options["centered"] else set())
    return set()


def run(case: int, dtype: Any, parts: int) -> tuple[list[Array], list[Array]]:
    """Some steps on some parameters: the parameters by the kernel, and by the formula in float64."""
    formula, start, options = CASES[case]
    rng = np.random.default_rng(case)
    params = [rng.standard_normal(n).astype(dtype) for n in LENGTHS]
    states = [[np.full(n, value, dtype) for value in start] for n in LENGTHS]
    exact = [p.astype(np.float64) for p in params]
    exact_states = [[s.astype(np.float64) for s in row] for row in states]
    absent = unused(formula, options)
    for step in range(1, STEPS + 1):
        grads = [rng.standard_normal(n).astype(dtype) for n in LENGTHS]
        rows = [[p, *(None if k in absent else s for k, s in enumerate(state)), g]
                for p, state, g in zip(params, states, grads, strict=True)]  # fmt: skip
        numbers = [*options.values(), *([step] if formula in WITH_STEP else [])]
        for part in range(parts):
            getattr(update, formula.__name__)(table(rows), params[0], *numbers, part, parts)
        exact = [formula(p, g.astype(np.float64), state, step, **options)
                 for p, g, state in zip(exact, grads, exact_states, strict=True)]  # fmt: skip
    return params, exact


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", range(len(CASES)))
def test_steps_follow_the_formula_with_any_number_of_parts(case: int, dtype: Any) -> None:
    params, exact = run(case, dtype, 1)
    tolerance = 2e-5 if dtype == np.float32 else 1e-12
    for got, want in zip(params, exact, strict=True):
        assert got.dtype == dtype
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)
    for one, three in zip(params, run(case, dtype, 3)[0], strict=True):
        assert one.tobytes() == three.tobytes()


@pytest.mark.parametrize("case", range(PYTORCH_CASES))
def test_steps_follow_pytorch(case: int) -> None:
    torch = pytest.importorskip("torch")
    formula, start, options = CASES[case]
    options = {**options}
    name = {"sgd": "SGD", "adam": "AdamW" if options.pop("decoupled", False) else "Adam", "adagrad": "Adagrad",
            "rmsprop": "RMSprop", "adadelta": "Adadelta", "rprop": "Rprop"}[formula.__name__]  # fmt: skip
    if formula is adam:
        options["betas"] = (options.pop("beta1"), options.pop("beta2"))
    if formula is adagrad:
        options["initial_accumulator_value"] = start[0]
    if formula is rprop:
        options["etas"] = (options.pop("shrink"), options.pop("grow"))
        options["step_sizes"] = (options.pop("smallest"), options.pop("largest"))
        options["lr"] = start[1]
    rng = np.random.default_rng(case)
    params = [torch.tensor(rng.standard_normal(n), requires_grad=True) for n in LENGTHS]
    optimizer = getattr(torch.optim, name)(params, **options)
    for _ in range(STEPS):
        for p in params:
            p.grad = torch.tensor(rng.standard_normal(p.numel()))
        optimizer.step()
    for got, want in zip(run(case, np.float64, 1)[0], params, strict=True):
        np.testing.assert_allclose(got, want.detach().numpy(), rtol=1e-12, atol=1e-12)


def test_adam_of_late_steps_corrects_in_float64() -> None:
    p, m, v, g = (np.full(3, value, np.float32) for value in (1, 0.5, 0.25, 0.5))
    for step in (10, 10**6):
        q, mean, square = p.copy(), m.copy(), v.copy()  # the table holds addresses only
        rows = table([[q, mean, square, None, g]])
        update.adam(rows, q, 0.1, 0.9, 0.999, 0.0, 0.0, False, False, False, step, 0, 1)
        want = 1 - 0.1 * 0.5 / (1 - 0.9**step) / math.sqrt(0.25 / (1 - 0.999**step))
        np.testing.assert_allclose(q, want, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lbfgs_goes_along_a_line_from_a_start_or_from_where_it_is(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    p, start, d = (rng.standard_normal(1000).astype(dtype) for _ in range(3))
    for own, parts in ((True, 1), (True, 3), (False, 1), (False, 3)):
        q = p.copy()
        for part in range(parts):
            update.lbfgs(table([[q, None if own else start, d]]), q, 0.25, part, parts)
        np.testing.assert_array_equal(q, (p if own else start) + dtype(0.25) * d)  # exact: 0.25 * d is not rounded


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("parts", [1, 3])
def test_sums_of_squares_scaling_and_limits_of_many_tensors(dtype: Any, parts: int) -> None:
    rng = np.random.default_rng(0)
    tensors = [rng.standard_normal(n).astype(dtype) for n in (0, *LENGTHS)]
    sums, rows, factor = np.empty(len(tensors), dtype), table([[x] for x in tensors]), np.array([0.3], dtype)
    before = [x.copy() for x in tensors]
    for part in range(parts):
        update.square_sums(sums, rows, part, parts)
    for part in range(parts):
        update.scale(rows, factor, part, parts)
    exact = [(x.astype(np.float64) ** 2).sum() for x in before]
    np.testing.assert_allclose(sums, exact, rtol=1e-6 if dtype == np.float32 else 1e-14)
    for x, old in zip(tensors, before, strict=True):
        np.testing.assert_array_equal(x, old * factor)
        x[-1:] = np.nan
    for part in range(parts):
        update.limit(rows, np.array([-0.1, 0.2], dtype), part, parts)
    for x, old in zip(tensors, before, strict=True):
        np.testing.assert_array_equal(x[:-1], np.clip(old * factor, dtype(-0.1), dtype(0.2))[:-1])
        assert np.isnan(x[-1:]).all()


def test_words_are_read_behind_pointers() -> None:
    objects, words = np.arange(12).reshape(4, 3), np.zeros(4, np.int64)
    pointers = objects.ctypes.data + objects.strides[0] * np.array([2, 0, 3, 1])
    for part in range(3):
        update.follow(words, pointers.ctypes.data, 8, part, 3)
    assert words.tolist() == [7, 1, 10, 4]
