"""Optimizers on parameters that change between steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.recording import record

OPTIMIZERS = [("SGD", {"momentum": 0.9}), ("Adam", {"amsgrad": True}), ("RMSprop", {"momentum": 0.9}), ("Adadelta", {}),
              ("Adagrad", {}), ("Rprop", {}), ("ASGD", {"t0": 1}), ("NAdam", {}), ("RAdam", {}), ("Adamax", {})]


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_state_follows_a_parameter_into_another_dtype_and_layout(name: str, options: dict[str, Any]) -> None:
    start = np.arange(6, dtype=np.float32).reshape(2, 3)

    def train(change: bool) -> Any:
        w = ad.tensor(start, requires_grad=True)
        optimizer = getattr(ad.optim, name)([w], lr=0.1, **options)
        for number in range(4):
            if change and number == 2:
                w.data = ad.tensor(w.detach().numpy().T).double().t()
            optimizer.zero_grad()
            (w * w).sum().backward()
            optimizer.step()
        return w.detach()

    changed = train(True)
    assert changed.dtype == ad.float64
    np.testing.assert_allclose(changed.numpy(), train(False).numpy(), rtol=1e-4)


def test_a_parameter_with_gaps_is_refused_whatever_its_gradient() -> None:
    memory = ad.ones(3, 4)
    w = memory[:, :2].detach().requires_grad_()
    w.grad = ad.ones(3, 4)[:, :2]
    with pytest.raises(ValueError, match="gaps in memory"):
        ad.optim.SGD([w], lr=1.0).step()
    assert (memory == 1).all()


@pytest.mark.parametrize(
    ("name", "switched"),
    [("SGD", {"momentum": 0.9, "dampening": 0.5}), ("RMSprop", {"momentum": 0.9, "centered": True}),
     ("Adam", {"amsgrad": True}), ("AdamW", {"amsgrad": True})],
)  # fmt: skip
def test_a_setting_that_needs_memory_is_switched_on_between_steps(name: str, switched: dict[str, Any]) -> None:
    w = ad.tensor([1.0, -2.0], requires_grad=True)
    fresh = ad.tensor([1.0, -2.0], requires_grad=True)
    optimizer = getattr(ad.optim, name)([w], lr=0.1)
    for number in range(3):
        if number == 1:
            optimizer.param_groups[0].update(switched)
            fresh.data = w.detach().clone()
            other = getattr(ad.optim, name)([fresh], lr=0.1, **switched)
        w.grad = ad.tensor([0.5, 1.5])
        optimizer.step()
        if number and name == "SGD":  # whose only memory is the velocity: it begins now, as in the first step
            fresh.grad = ad.tensor([0.5, 1.5])
            other.step()
            np.testing.assert_array_equal(w.detach().numpy(), fresh.detach().numpy())
    assert np.isfinite(w.detach().numpy()).all()


def test_parameters_that_step_together_or_not_take_the_steps_they_take_alone() -> None:
    def parameter(number: int) -> Any:
        dtype = ad.float64 if number == 2 else ad.float32
        return (ad.arange(4, dtype=dtype) - number).reshape(2, 2).requires_grad_()

    def gradient(number: int, step: int) -> Any:
        if (step, number) in ((0, 1), (2, 0)):
            return None  # it begins a step later, or misses one
        given = (ad.arange(4, dtype=ad.float64 if number == 2 else ad.float32) * 0.1 * (number + step)).reshape(2, 2)
        return given.t() if step == 3 and number == 3 else given

    def walk(numbers: list[int]) -> list[bytes]:
        params = [parameter(number) for number in numbers]
        optimizer = ad.optim.Adam(params, lr=0.1, weight_decay=0.1)
        for step in range(5):
            for p, number in zip(params, numbers, strict=True):
                p.grad = gradient(number, step)
                if step == 2:  # another array
                    p.data = p.detach().clone()
            optimizer.step()
        return [p.detach().numpy().tobytes() for p in params]

    assert walk([0, 1, 2, 3]) == [walk([number])[0] for number in range(4)]


def test_optimizers_do_not_change_each_others_slots() -> None:
    w = ad.ones(2, requires_grad=True)
    w.grad = ad.ones(2)
    optimizer = ad.optim.RMSprop([{"params": [w], "momentum": 0.9}, {"params": [ad.ones(1, requires_grad=True)]}])
    optimizer.step()
    assert optimizer.slots == ad.optim.RMSprop.slots
    assert set(optimizer.state[w]) == {"step", "square_avg", "momentum_buffer"}


def test_the_average_of_asgd_is_the_mean_of_the_weights_since_t0() -> None:
    w = ad.zeros(1, requires_grad=True, dtype=ad.float64)
    optimizer = ad.optim.ASGD([w], lr=0.5, lambd=0.0, t0=2)
    found = []
    for number in range(6):
        w.grad = ad.tensor([float(number)], dtype=ad.float64)
        optimizer.step()
        found.append(w.item())
    assert optimizer.state[w]["ax"].item() == pytest.approx(np.mean(found[3:]))


# ---- L-BFGS ----------------------------------------------------------------------------------------------------------

LINE_SEARCHES = [{"lr": 0.5, "max_iter": 8, "history_size": 3}, {"line_search_fn": "strong_wolfe", "max_iter": 12}]


def rosenbrock(library: Any, steps: int, reload_at: int | None = None, **options: Any) -> list[Any]:
    """Return the weights after each call of `step`, on a curved valley in four dimensions, and the losses seen."""
    x = library.tensor([[-1.2, 1.0]], dtype=library.float64, requires_grad=True)
    y = library.tensor([0.7, 0.9], dtype=library.float64, requires_grad=True)
    optimizer = library.optim.LBFGS([x, y], **options)

    def closure() -> Any:
        optimizer.zero_grad()
        w = library.cat([x.reshape(-1), y])
        loss = (3 * (w[1:] - w[:-1] ** 2) ** 2 + (1 - w[:-1]) ** 2).sum()
        loss.backward()
        losses.append(loss.item())
        return loss

    found: list[Any] = []
    losses: list[float] = []
    for number in range(steps):
        if number == reload_at:
            state = optimizer.state_dict()
            optimizer = library.optim.LBFGS([x, y], lr=99)
            optimizer.load_state_dict(state)
        optimizer.step(closure)
        found.append(np.concatenate([x.detach().numpy().ravel(), y.detach().numpy()]))
    return [*found, np.array(losses)]


@pytest.mark.parametrize("options", LINE_SEARCHES)
def test_lbfgs_finds_the_bottom_of_a_valley_and_goes_on_after_reloading(options: dict[str, Any]) -> None:
    found = rosenbrock(ad, 12, **options)
    np.testing.assert_allclose(found[-2], 1, atol=1e-3)
    for one, two in zip(found, rosenbrock(ad, 12, reload_at=2, **options), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("options", [*LINE_SEARCHES, {"max_iter": 30, "max_eval": 7}])
def test_lbfgs_takes_pytorchs_path(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    for one, two in zip(rosenbrock(ad, 3, **options), rosenbrock(torch, 3, **options), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6)


def lbfgs_on_parabola(change: Any = None, dtype: Any = ad.float64) -> Any:
    """Return where six iterations lead, before the last three of which `change` got the optimizer and its parameter."""
    w = ad.tensor([[3.0, -2.0], [5.0, 1.0]], requires_grad=True, dtype=dtype)
    optimizer = ad.optim.LBFGS([w], lr=0.3, max_iter=3, history_size=3)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (w * w * ad.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=ad.float64).to(w.dtype)).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    if change is not None:
        change(optimizer, w)
    optimizer.step(closure)
    return w.detach().double().numpy()


def test_lbfgs_goes_on_from_a_state_without_products() -> None:
    def forget(optimizer: Any, w: Any) -> None:
        state = optimizer.state_dict()
        del state["state"][0]["products"]
        optimizer.load_state_dict(state)

    np.testing.assert_array_equal(lbfgs_on_parabola(forget), lbfgs_on_parabola())


def test_lbfgs_follows_a_parameter_into_another_dtype_and_layout() -> None:
    def follow(optimizer: Any, w: Any) -> None:
        w.data = w.detach().double().t().contiguous().t()

    np.testing.assert_allclose(lbfgs_on_parabola(follow, ad.float32), lbfgs_on_parabola(), rtol=1e-4)


def test_lbfgs_changes_parameters_of_two_dtypes() -> None:
    w = [ad.tensor([3.0, -2.0], requires_grad=True, dtype=dtype) for dtype in (ad.float32, ad.float64)]
    optimizer = ad.optim.LBFGS(w, line_search_fn="strong_wolfe")

    def closure() -> Any:
        optimizer.zero_grad()
        loss = ((w[0] - w[1]) ** 2 + (w[0] - 1) ** 2).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    np.testing.assert_allclose([x.detach().double().numpy() for x in w], 1, atol=1e-4)


def test_lbfgs_has_the_same_bits_on_any_number_of_threads() -> None:
    found = []
    before = ad.get_num_threads()
    for threads in (1, 2):
        ad.set_num_threads(threads)
        w = ad.tensor(np.sin(np.arange(150_000, dtype=np.float32)), requires_grad=True)
        scale = ad.linspace(1, 9, 150_000)
        optimizer = ad.optim.LBFGS([w], lr=0.5, max_iter=6)

        def closure(w: Any = w, scale: Any = scale, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = (w * w * scale).sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        found.append(w.detach().numpy())
    ad.set_num_threads(before)
    np.testing.assert_array_equal(*found)


def test_lbfgs_needs_two_steps_on_a_parabola() -> None:
    w = ad.tensor([3.0, -2.0, 5.0], requires_grad=True, dtype=ad.float64)
    optimizer = ad.optim.LBFGS([w], max_iter=3, line_search_fn="strong_wolfe")

    def closure() -> Any:
        optimizer.zero_grad()
        loss = 0.5 * (w * w).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    np.testing.assert_allclose(w.detach().numpy(), 0, atol=1e-12)


def test_the_loss_that_lbfgs_asks_for_is_no_part_of_the_update() -> None:
    w = ad.tensor([3.0, -2.0], requires_grad=True)
    optimizer = ad.optim.LBFGS([w], max_iter=2)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    program = record(lambda: optimizer.step(closure))
    assert {each.phase for each in program if each.primitive.name == "mul"} >= {"forward", "backward"}


def test_lbfgs_goes_back_from_where_the_loss_is_infinite() -> None:
    w = ad.tensor([1.0], requires_grad=True, dtype=ad.float64)
    optimizer = ad.optim.LBFGS([w], lr=1000, max_iter=20, line_search_fn="strong_wolfe")

    def closure() -> Any:
        optimizer.zero_grad()
        loss = ad.exp(w * w).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert abs(w.item()) < 0.5


def test_lbfgs_refuses_what_it_cannot_do() -> None:
    a, b = ad.ones(1, requires_grad=True), ad.ones(1, requires_grad=True)
    with pytest.raises(ValueError, match="a closure is needed"):
        ad.optim.LBFGS([a]).step()
    with pytest.raises(ValueError, match="one group of parameters only"):
        ad.optim.LBFGS([{"params": [a]}, {"params": [b]}])
    with pytest.raises(ValueError, match="unknown line search"):
        ad.optim.LBFGS([a], line_search_fn="backtracking")


def test_a_gradient_that_does_not_fit_is_refused_when_it_is_assigned() -> None:
    w = ad.ones(2, 3, requires_grad=True)
    with pytest.raises(ad.errors.ShapeError, match=r"another shape than its tensor.*expected \(2, 3\); got \(3, 2\)"):
        w.grad = ad.ones(3, 2)
    with pytest.raises(ad.errors.DTypeError, match=r"another dtype.*expected float32; got float64"):
        w.grad = ad.ones(2, 3, dtype=ad.float64)
    with pytest.raises(ad.errors.DTypeError, match="a tensor or None"):
        w.grad = 1.0
    assert w.grad is None


def test_lbfgs_can_go_back_to_a_state_and_begin_again() -> None:
    """Later steps change nothing in a state that was taken; a count of 0 forgets the pairs."""
    w = ad.tensor([3.0, -2.0, 1.0], requires_grad=True)
    optimizer = ad.optim.LBFGS([w], history_size=2, max_iter=2, lr=0.3)

    def closure() -> ad.Tensor:
        optimizer.zero_grad()
        loss = ((w - 1) ** 2 * ad.tensor([1.0, 5.0, 30.0])).sum() + (w**4).sum()
        loss.backward()
        return loss

    for _ in range(4):
        optimizer.step(closure)
    state, start, found = optimizer.state_dict(), w.detach().clone(), []
    for _ in range(2):
        for _ in range(3):
            optimizer.step(closure)
        found.append(w.detach().numpy().tobytes())
        optimizer.load_state_dict(state)
        with ad.no_grad():
            w.copy_(start)
    assert found[0] == found[1]
    optimizer.state[w]["n_iter"] = 0
    optimizer.step(closure)
    assert len(optimizer.state[w]["old_dirs"]) <= 1


def test_lbfgs_refuses_a_pair_whose_exact_curvature_is_negative() -> None:
    """In float32 the products of a pair may add up to a positive number where they are negative."""
    rng = np.random.default_rng(0)
    while True:
        step = rng.standard_normal(64).astype(np.float32)
        change = rng.standard_normal(64).astype(np.float32)
        change -= (step * (float(change @ step.astype(np.float64)) / float(step @ step.astype(np.float64)))).astype(
            np.float32)
        if ad.tensor(change).dot(ad.tensor(step)).item() > 1e-10 and float(change.astype(np.float64) @ step) < 0:
            break
    w = ad.zeros(64, requires_grad=True)
    optimizer = ad.optim.LBFGS([w])
    gradient = ad.tensor(change)
    state = {"n_iter": 1, "prev_flat_grad": ad.zeros(64), "d": ad.tensor(step), "t": 1.0, "old_dirs": [],
             "old_stps": [], "ro": [], "H_diag": 1.0}
    direction = optimizer._direction(state, gradient, 10)
    assert direction.tolist() == (-gradient).tolist()
    assert state["old_dirs"] == []
