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
    "CosineAnnealingWarmRestarts": lambda o, s: s.CosineAnnealingWarmRestarts(o, 2, 2, 0.01),
    "CyclicLR": lambda o, s: s.CyclicLR(o, [0.1, 0.2], 1.0, 2, 3, mode="triangular2"),
    "OneCycleLR": lambda o, s: s.OneCycleLR(o, [1.0, 0.5], 13),
    "SequentialLR": lambda o, s: s.SequentialLR(
        o, [s.LinearLR(o, 0.1, 1.0, 3), s.CosineAnnealingLR(o, 4), s.ConstantLR(o, 0.5, 2)], [3, 8]
    ),
    "ChainedScheduler": lambda o, s: s.ChainedScheduler(
        [s.ConstantLR(o, 0.1, 4), s.ExponentialLR(o, 0.9), s.StepLR(o, 3, 0.5)]
    ),
}
# More settings of the schedules with many.
VARIANTS: dict[str, Callable[[Any, Any], Any]] = {
    "MultiplicativeLR-lists": lambda o, s: s.MultiplicativeLR(o, [lambda k: 0.9, lambda k: 0.5]),
    "restarts-equal": lambda o, s: s.CosineAnnealingWarmRestarts(o, 3),
    "cyclic-triangular": lambda o, s: s.CyclicLR(o, 0.1, [0.5, 0.7], 4),
    "cyclic-exponential": lambda o, s: s.CyclicLR(o, 0.1, 0.5, 3, 1, "exp_range", 0.9, base_momentum=[0.5, 0.6]),
    "cyclic-function": lambda o, s: s.CyclicLR(o, 0.1, 0.5, 2, scale_fn=lambda n: 1 / n),
    "cyclic-iterations": lambda o, s: s.CyclicLR(o, 0.1, 0.5, 2, scale_fn=lambda n: 0.9**n, scale_mode="iterations"),
    "one-cycle-linear": lambda o, s: s.OneCycleLR(o, 1.0, 15, pct_start=0.5, anneal_strategy="linear"),
    "one-cycle-three": lambda o, s: s.OneCycleLR(o, 1.0, epochs=7, steps_per_epoch=2, three_phase=True),
    "one-cycle-plain": lambda o, s: s.OneCycleLR(o, 1.0, 13, cycle_momentum=False, div_factor=5, final_div_factor=10),
    "chained-cosine": lambda o, s: s.ChainedScheduler([s.CosineAnnealingLR(o, 30), s.LinearLR(o, 0.5)], o),
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
        momentum=0.3,
    )
    schedule = build(optimizer, library.optim.lr_scheduler)
    found = []
    for _ in range(steps):
        found.append([group[name] for group in optimizer.param_groups for name in ("lr", "momentum")])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.skipif(not has_torch(), reason="PyTorch is not installed")
@pytest.mark.parametrize("name", [*SCHEDULES, *VARIANTS])
def test_the_rates_and_momenta_are_pytorchs(name: str) -> None:
    import torch

    build = {**SCHEDULES, **VARIANTS}[name]
    np.testing.assert_allclose(rates(ad, build, 12), rates(torch, build, 12), rtol=1e-9)


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
    found = [row[0] for row in rates(ad, lambda o, s: s.InverseTimeLR(o, 0.5), 200)]
    np.testing.assert_allclose(found, [1 / (1 + 0.5 * k) for k in range(200)])
    # As of the harmonic series: doubling the steps adds about log(2) / 0.5, and ever less to the sum of squares.
    assert sum(found[100:]) == pytest.approx(math.log(2) / 0.5, rel=0.02)
    assert sum(rate**2 for rate in found[100:]) < 0.03


def first_group(build: Callable[[Any, Any], Any], steps: int) -> Any:
    """Return the rate and the momentum of the first group before each step."""
    return np.array(rates(ad, build, steps))[:, :2].T


def test_restarts_return_to_the_initial_rate_at_growing_distances() -> None:
    found, _ = first_group(lambda o, s: s.CosineAnnealingWarmRestarts(o, 2, 3), 27)
    assert [k for k, rate in enumerate(found) if rate == 1] == [0, 2, 8, 26]
    np.testing.assert_allclose(found[2:8], [(1 + math.cos(math.pi * t / 6)) / 2 for t in range(6)])
    schedule = lr_scheduler.CosineAnnealingWarmRestarts(ad.optim.SGD([ad.zeros(1, requires_grad=True)], lr=1.0), 2)
    schedule.step(2.5)
    assert schedule.get_last_lr() == [pytest.approx((1 + math.cos(math.pi / 4)) / 2)]


def test_a_cycle_is_a_triangle_and_momentum_its_mirror_image() -> None:
    rate, momentum = first_group(lambda o, s: s.CyclicLR(o, 1.0, 3.0, 2, 4, base_momentum=0.5, max_momentum=0.9), 13)
    np.testing.assert_allclose(rate, [1, 2, 3, 2.5, 2, 1.5, 1, 2, 3, 2.5, 2, 1.5, 1])
    np.testing.assert_allclose(momentum, 0.9 - 0.2 * (rate - 1))


def test_one_cycle_meets_its_corners_and_ends() -> None:
    rate, momentum = first_group(lambda o, s: s.OneCycleLR(o, 2.0, 20, pct_start=0.5, anneal_strategy="linear"), 20)
    assert rate[0] == pytest.approx(2 / 25)
    assert rate[9] == pytest.approx(2)
    assert rate[19] == pytest.approx(2 / 25 / 1e4)
    np.testing.assert_allclose(np.diff(rate[:10]), (2 - 2 / 25) / 9)
    assert (momentum[0], momentum[9], momentum[19]) == pytest.approx((0.95, 0.85, 0.95))
    schedule = lr_scheduler.OneCycleLR(ad.optim.Adam([ad.zeros(1, requires_grad=True)]), 1.0, 2)
    assert schedule.optimizer.param_groups[0]["betas"][1] == 0.999
    schedule.step()
    schedule.step()
    with pytest.raises(ValueError, match=r"the cycle is over.*total_steps"):
        schedule.step()


def test_one_cycle_may_begin_at_its_top_or_end_there() -> None:
    rate, _ = first_group(lambda o, s: s.OneCycleLR(o, 2.0, 10, pct_start=0.1), 10)
    assert (rate[0], rate[9]) == pytest.approx((2, 2 / 25 / 1e4))
    rate, _ = first_group(lambda o, s: s.OneCycleLR(o, 2.0, 10, pct_start=1.0), 10)
    assert (rate[0], rate[9]) == pytest.approx((2 / 25, 2))


def test_schedules_say_what_is_wrong() -> None:
    optimizer = ad.optim.SGD([ad.zeros(1, requires_grad=True)], lr=1.0)
    other = ad.optim.Adagrad([ad.zeros(1, requires_grad=True)])
    decay = lr_scheduler.ExponentialLR(optimizer, 0.5)
    with pytest.raises(ValueError, match="neither momentum nor betas"):
        lr_scheduler.CyclicLR(other, 0.1, 1.0)
    with pytest.raises(ValueError, match="one value, or 1; got 2"):
        lr_scheduler.OneCycleLR(optimizer, [1.0, 2.0], 10)
    with pytest.raises(ValueError, match="number of steps is not known"):
        lr_scheduler.OneCycleLR(optimizer, 1.0, epochs=3)
    with pytest.raises(ValueError, match="expected 1 milestones; got 2"):
        lr_scheduler.SequentialLR(optimizer, [decay, decay], [1, 2])
    with pytest.raises(ValueError, match="belongs to another optimizer"):
        lr_scheduler.ChainedScheduler([decay], other)
    with pytest.raises(ValueError, match="no positive integer"):
        lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 0)


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
