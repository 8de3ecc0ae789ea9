"""Every optimizer and every schedule: where they lead, what they say of their state, PyTorch's numbers.

A class that is exported and not in the tables below fails a gate.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.optim import lr_scheduler

OPTIMIZERS: dict[str, list[dict[str, Any]]] = {
    "SGD": [{"lr": 0.05}, {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}],
    "Adagrad": [{"lr": 0.5, "lr_decay": 0.01}],
    "RMSprop": [{"lr": 0.02}, {"lr": 0.01, "momentum": 0.5, "centered": True}],
    "Adadelta": [{"lr": 1.0, "rho": 0.9, "eps": 1e-3}],
    "Adam": [{"lr": 0.1}, {"lr": 0.1, "amsgrad": True, "weight_decay": 0.01}],
    "AdamW": [{"lr": 0.1, "weight_decay": 0.01}],
    "Rprop": [{"lr": 0.1}],
    "ASGD": [{"lr": 0.05}, {"lr": 0.05, "lambd": 1e-3, "t0": 5, "weight_decay": 0.01}],
    "NAdam": [{"lr": 0.1}, {"lr": 0.1, "weight_decay": 0.01, "decoupled_weight_decay": True}],
    "RAdam": [{"lr": 0.1}, {"lr": 0.1, "betas": (0.9, 0.9), "weight_decay": 0.01}],
    "Adamax": [{"lr": 0.1}],
}
OPTIMIZER_CASES = [(name, options) for name, cases in OPTIMIZERS.items() for options in cases]
OPTIMIZER_IDS = [f"{name}-{i}" for name, cases in OPTIMIZERS.items() for i in range(len(cases))]

SCHEDULES: dict[str, Callable[[Any, Any], Any]] = {
    "LambdaLR": lambda o, s: s.LambdaLR(o, [lambda k: 0.9**k, lambda k: 1 / (k + 1)]),
    "MultiplicativeLR": lambda o, s: s.MultiplicativeLR(o, lambda k: 0.8 if k % 2 else 0.9),
    "StepLR": lambda o, s: s.StepLR(o, 3, 0.5),
    "MultiStepLR": lambda o, s: s.MultiStepLR(o, [2, 7], 0.3),
    "ConstantLR": lambda o, s: s.ConstantLR(o, 0.25, 4),
    "LinearLR": lambda o, s: s.LinearLR(o, 0.1, 0.9, 6),
    "PolynomialLR": lambda o, s: s.PolynomialLR(o, 8, 2.0),
    "ExponentialLR": lambda o, s: s.ExponentialLR(o, 0.7),
    "CosineAnnealingLR": lambda o, s: s.CosineAnnealingLR(o, 10, 0.01),
}


def has_torch() -> bool:
    return importlib.util.find_spec("torch") is not None


def test_every_optimizer_is_tested() -> None:
    exported = {n for n in ad.optim.__all__ if isinstance(getattr(ad.optim, n), type)} - {"Optimizer"}
    assert exported == set(OPTIMIZERS) | {"LBFGS"}  # which has tests of its own


def test_every_schedule_is_tested() -> None:
    others = {"LRScheduler", "InverseTimeLR", "ReduceLROnPlateau"}  # the base; tests of their own below
    assert set(lr_scheduler.__all__) == set(SCHEDULES) | others


def parabola(torch: Any, w: Any) -> Any:
    """A narrow valley with its minimum at (1, -2)."""
    target = torch.tensor([1.0, -2.0], dtype=torch.float64)
    scale = torch.tensor([1.0, 10.0], dtype=torch.float64)
    return (scale * (w - target) ** 2).sum()


def path(torch: Any, name: str, options: dict[str, Any], steps: int, reload_at: int | None = None) -> list[Any]:
    """Return the weights after each step; with `reload_at`, go on with a new optimizer that took over the state."""
    w = torch.tensor([0.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimizer = getattr(torch.optim, name)([w], **options)
    weights = []
    for number in range(steps):
        if number == reload_at:
            state = optimizer.state_dict()
            optimizer = getattr(torch.optim, name)([w], lr=123.0)
            optimizer.load_state_dict(state)
        optimizer.zero_grad()
        parabola(torch, w).backward()
        optimizer.step()
        weights.append(w.detach().numpy().copy())
    return weights


@pytest.mark.parametrize(("name", "options"), OPTIMIZER_CASES, ids=OPTIMIZER_IDS)
def test_it_finds_the_bottom_of_a_valley(name: str, options: dict[str, Any]) -> None:
    w = ad.tensor(path(ad, name, options, 300)[-1])
    assert parabola(ad, w).item() < 0.05 * parabola(ad, ad.zeros(2, dtype=ad.float64)).item()


@pytest.mark.parametrize(("name", "options"), OPTIMIZER_CASES, ids=OPTIMIZER_IDS)
def test_a_reloaded_state_goes_on_with_the_same_bits(name: str, options: dict[str, Any]) -> None:
    np.testing.assert_array_equal(path(ad, name, options, 20), path(ad, name, options, 20, reload_at=9))


@pytest.mark.skipif(not has_torch(), reason="PyTorch is not installed")
@pytest.mark.parametrize(("name", "options"), OPTIMIZER_CASES, ids=OPTIMIZER_IDS)
def test_the_path_is_pytorchs(name: str, options: dict[str, Any]) -> None:
    import torch

    # PyTorch keeps the changing numbers of these two in float32.
    tolerance = 1e-5 if name in ("ASGD", "NAdam") else 1e-9
    np.testing.assert_allclose(path(ad, name, options, 50), path(torch, name, options, 50), rtol=tolerance, atol=1e-12)


def rates(library: Any, build: Callable[[Any, Any], Any], steps: int) -> list[list[float]]:
    optimizer = library.optim.SGD(
        [
            {"params": [library.zeros(1, requires_grad=True)]},
            {"params": [library.zeros(1, requires_grad=True)], "lr": 0.2},
        ],
        lr=1.0,
    )
    schedule = build(optimizer, library.optim.lr_scheduler)
    found = []
    for _ in range(steps):
        found.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.skipif(not has_torch(), reason="PyTorch is not installed")
@pytest.mark.parametrize("name", SCHEDULES)
def test_the_rates_are_pytorchs(name: str) -> None:
    import torch

    np.testing.assert_allclose(rates(ad, SCHEDULES[name], 12), rates(torch, SCHEDULES[name], 12), rtol=1e-9)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_reloaded_schedule_goes_on(name: str) -> None:
    optimizer = ad.optim.SGD(
        [{"params": [ad.zeros(1, requires_grad=True)]}, {"params": [ad.zeros(1, requires_grad=True)]}], lr=1.0
    )
    first = SCHEDULES[name](optimizer, lr_scheduler)
    for _ in range(4):
        first.step()
    state = first.state_dict()
    first.step()
    expected = first.get_last_lr()
    second = SCHEDULES[name](optimizer, lr_scheduler)
    second.load_state_dict(state)
    second.step()
    assert second.get_last_lr() == pytest.approx(expected)


def test_one_over_k_sums_to_infinity_and_its_squares_do_not() -> None:
    found = [rate for rate, _ in rates(ad, lambda o, s: s.InverseTimeLR(o, 0.5), 200)]
    np.testing.assert_allclose(found, [1 / (1 + 0.5 * k) for k in range(200)])
    # As of the harmonic series: doubling the steps adds about log(2) / 0.5, and ever less to the sum of squares.
    assert sum(found[100:]) == pytest.approx(math.log(2) / 0.5, rel=0.02)
    assert sum(rate**2 for rate in found[100:]) < 0.03


@pytest.mark.parametrize(
    "options",
    [{"patience": 1}, {"mode": "max", "patience": 0, "cooldown": 2}, {"threshold_mode": "abs", "threshold": 0.5}],
)
def test_plateaus(options: dict[str, Any]) -> None:
    losses = [5.0, 4.0, 4.0, 4.0, 4.1, 3.0, 3.2, 3.1, 3.0, 3.0, 2.9, 2.9, 2.9, 2.8]

    def run(library: Any) -> list[float]:
        optimizer = library.optim.SGD([library.zeros(1, requires_grad=True)], lr=1.0)
        schedule = library.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, **options)
        found = []
        for loss in losses:
            schedule.step(loss)
            found.append(optimizer.param_groups[0]["lr"])
        return found

    found = run(ad)
    assert found == sorted(found, reverse=True)
    if has_torch():
        import torch

        assert found == pytest.approx(run(torch))


def test_groups_have_their_own_settings_and_closures_are_called() -> None:
    a, b = ad.ones(1, requires_grad=True), ad.ones(1, requires_grad=True)
    optimizer = ad.optim.SGD([{"params": [a]}, {"params": [b], "lr": 0.5}], lr=0.1)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (a + b).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 2
    assert (a.item(), b.item()) == (pytest.approx(0.9), pytest.approx(0.5))
    optimizer.add_param_group({"params": [ad.ones(1, requires_grad=True)], "lr": 1.0})
    assert len(optimizer.param_groups) == 3
    with pytest.raises(ValueError, match="stands in two groups"):
        optimizer.add_param_group({"params": [a]})
