"""Distributions: PyTorch's numbers, draws with the right moments, gradients through draws where there are any."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.distributions import Bernoulli, Categorical, Normal, Uniform, kl_divergence
from autodiff.errors import DTypeError, ShapeError, ValueRangeError

X = np.random.default_rng(0).uniform(-1.5, 1.5, (3, 4)).astype(np.float32)
P = np.random.default_rng(1).uniform(0.05, 0.95, (3, 4)).astype(np.float32)

# How to make each from a library and a function that makes its tensors, and values to ask about.
CASES: dict[str, tuple[Callable[..., Any], Any]] = {
    "normal": (lambda d, t: d.Normal(t(X), t(P)), X[::-1]),
    "normal of numbers": (lambda d, t: d.Normal(1.0, 2), X),
    "normal, broadcast": (lambda d, t: d.Normal(t(X[0]), t(P[:, :1])), X[:1]),
    "uniform": (lambda d, t: d.Uniform(t(X), t(X + 2 * P)), X + P),
    "categorical": (lambda d, t: d.Categorical(t(P)), np.array([3, 0, 1])),
    "categorical of logits": (lambda d, t: d.Categorical(logits=t(X)), np.array([[3, 0, 1], [2, 2, 2]])),
    "categorical, one value": (lambda d, t: d.Categorical(logits=t(X)), np.array(2)),
    "bernoulli": (lambda d, t: d.Bernoulli(t(P)), np.round(P)),
    "bernoulli of logits": (lambda d, t: d.Bernoulli(logits=t(X)), np.round(P)),
    "bernoulli of a number": (lambda d, t: d.Bernoulli(0.3), np.array([0.0, 1.0], np.float32)),
}


@pytest.mark.parametrize("name", CASES)
def test_numbers_are_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    make, value = CASES[name]
    ours, theirs = make(ad.distributions, ad.tensor), make(torch.distributions, torch.tensor)
    assert ours.batch_shape == tuple(theirs.batch_shape)
    found = {"log_prob": (ours.log_prob(ad.tensor(value)), theirs.log_prob(torch.tensor(value.copy()))),
             "entropy": (ours.entropy(), theirs.entropy())}
    if "categorical" not in name:
        found |= {key: (getattr(ours, key), getattr(theirs, key)) for key in ("mean", "variance", "stddev")}
    if name == "normal":
        found["cdf"] = ours.cdf(ad.tensor(value)), theirs.cdf(torch.tensor(value.copy()))
    for key, (mine, other) in found.items():
        assert mine.dtype == np.float32
        np.testing.assert_allclose(mine.numpy(), other.numpy(), rtol=2e-5, atol=1e-6, err_msg=key)


@pytest.mark.parametrize("name", CASES)
def test_gradients_of_probabilities_are_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    make, value = CASES[name]
    leaves: dict[Any, list[Any]] = {ad: [], torch: []}

    def maker(library: Any) -> Callable[[Any], Any]:
        def leaf(array: Any) -> Any:
            leaves[library].append(library.tensor(array.copy(), requires_grad=True))
            return leaves[library][-1]

        return leaf

    for library in (ad, torch):
        made = make(library.distributions, maker(library))
        total = made.log_prob(library.tensor(value.copy())).sum() + made.entropy().sum()
        if leaves[library]:
            total.backward()
    for ours, theirs in zip(leaves[ad], leaves[torch], strict=True):
        np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_draws_have_the_shape_and_the_moments(name: str) -> None:
    make, _ = CASES[name]
    ad.manual_seed(0)
    made = make(ad.distributions, ad.tensor)
    draws = made.sample((200, 100))
    assert draws.shape == (200, 100, *made.batch_shape)
    assert not draws.requires_grad
    assert made.sample().shape == made.batch_shape
    numbers = draws.numpy()
    if "categorical" in name:
        shares = (numbers[..., None] == np.arange(4)).mean((0, 1))
        np.testing.assert_allclose(shares, made.probs.numpy(), atol=0.02)
        assert draws.dtype == np.int64
    else:
        np.testing.assert_allclose(numbers.mean((0, 1)), made.mean.numpy(), atol=0.06)
        np.testing.assert_allclose(numbers.std((0, 1)), made.stddev.numpy(), atol=0.05)


PAIRS: list[Callable[[Any, Any, int], Any]] = [
    lambda d, t, i: d.Normal(t(X[i]), t(P[i])),
    lambda d, t, i: d.Uniform(t(X[0] - i), t(X[0] + 1 + i)),
    lambda d, t, i: d.Categorical(t(P[i])),
    lambda d, t, i: d.Categorical(t(np.array([[1, 2, 0], [1, i, 1]], np.float32))),
    lambda d, t, i: d.Bernoulli(t(P[i])),
    lambda d, t, i: d.Bernoulli(t(np.array([0, 0.5, 1, 0.5, i], np.float32)[:: 1 - 2 * i].copy())),
]


@pytest.mark.parametrize("make", PAIRS)
def test_divergences_are_pytorchs(make: Callable[..., Any]) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = ([make(library.distributions, library.tensor, i) for i in (0, 1)] for library in (ad, torch))
    for order in (1, -1):
        np.testing.assert_allclose(kl_divergence(*ours[::order]).numpy(),
                                   torch.distributions.kl_divergence(*theirs[::order]).numpy(), rtol=1e-5, atol=1e-6)


def test_gradients_flow_through_draws() -> None:
    loc, scale = ad.tensor([1.0, 2.0], requires_grad=True), ad.tensor(0.5, requires_grad=True)
    ad.manual_seed(0)
    draws = Normal(loc, scale).rsample((3,))
    draws.sum().backward()
    np.testing.assert_array_equal(loc.grad.numpy(), [3, 3])
    noise = (draws.detach() - loc.detach()) / 0.5
    assert scale.grad.item() == pytest.approx(noise.sum().item(), rel=1e-4)
    low = ad.tensor(0.0, requires_grad=True)
    Uniform(low, 1.0).rsample().backward()
    assert 0 < low.grad.item() <= 1
    for discrete in (Categorical(ad.ones(2)), Bernoulli(0.5)):
        assert not discrete.has_rsample
        with pytest.raises(NotImplementedError):
            discrete.rsample()


def test_a_policy_learns() -> None:
    """REINFORCE (Williams 1992): the action with the reward becomes likely."""
    ad.manual_seed(0)
    logits = ad.zeros(3, requires_grad=True)
    optimizer = ad.optim.Adam([logits], lr=0.1)
    for _ in range(60):
        policy = Categorical(logits=logits)
        actions = policy.sample((20,))
        reward = (actions == 2).float()
        optimizer.zero_grad()
        (-policy.log_prob(actions) * (reward - reward.mean())).mean().backward()
        optimizer.step()
    assert Categorical(logits=logits).probs[2].item() > 0.9
    assert Categorical(logits=logits).mode.item() == 2


def test_impossible_classes_and_values() -> None:
    certain = Categorical(ad.tensor([0.0, 1.0]))
    assert certain.entropy().item() == pytest.approx(0, abs=1e-5)
    assert Uniform(0.0, 1.0, validate_args=False).log_prob(ad.tensor(1.5)).item() == -math.inf
    assert "Categorical(probs: tensor([0., 1.]))" in repr(certain)
    assert repr(Normal(0.0, 1.0)) == "Normal(loc: 0.0, scale: 1.0)"


def test_errors() -> None:
    with pytest.raises(ValueRangeError, match=r"either probabilities or logits.*got both"):
        Bernoulli(0.5, logits=0.0)
    with pytest.raises(ValueRangeError, match="got none"):
        Categorical()
    with pytest.raises(ShapeError, match="no classes"):
        Categorical(ad.tensor(1.0))
    with pytest.raises(ShapeError, match="do not broadcast"):
        Normal(ad.zeros(2), ad.ones(3))
    with pytest.raises(DTypeError, match="got Normal and Uniform"):
        kl_divergence(Normal(0.0, 1.0), Uniform(0.0, 1.0))


WRONG: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "normal loc": (lambda d, t: d.Normal(t([0.0, math.nan]), 1.0), r"Normal.*loc.*than NaN; got nan at \(1,\)"),
    "normal scale": (lambda d, t: d.Normal(0.0, t([[1.0, -2.0]])), r"above 0; got -2.0 at \(0, 1\).*validate_args"),
    "normal value": (lambda d, t: d.Normal(0.0, 1.0).log_prob(t(math.nan)), "the value.*got nan"),
    "normal cdf": (lambda d, t: d.Normal(0.0, 1.0).cdf(t(math.nan)), "the value.*got nan"),
    "uniform": (lambda d, t: d.Uniform(t([0.0, 1.0]), t([1.0, 1.0])), r"low.*below high; got 1.0 at \(1,\)"),
    "uniform value": (lambda d, t: d.Uniform(0.0, t([3.0, 1.0])).log_prob(t(2.0)), r"to high; got 2.0 at \(1,\)"),
    "bernoulli": (lambda d, t: d.Bernoulli(t([0.5, 1.5])), "probs.*from 0 to 1; got 1.5"),
    "bernoulli logits": (lambda d, t: d.Bernoulli(logits=t([0.5, math.nan])), "logits.*got nan"),
    "bernoulli value": (lambda d, t: d.Bernoulli(0.5).log_prob(t(2.0)), "0 or 1; got 2.0"),
    "categorical": (lambda d, t: d.Categorical(t([0.5, -0.1])), "probs.*from 0 on.*got -0.1"),
    "categorical, zeros": (lambda d, t: d.Categorical(t([[0.5, 1], [0.0, 0]])), r"all of them 0; got 0.0 at \(1, 0\)"),
    "categorical logits": (lambda d, t: d.Categorical(logits=t([0.5, math.nan])), "logits.*got nan"),
    "categorical value": (lambda d, t: d.Categorical(t([0.5, 0.5])).log_prob(t(2)), "0 to 1; got 2"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_pytorch_refuses_is_refused_with_words(name: str) -> None:
    torch = pytest.importorskip("torch")
    make, pattern = WRONG[name]
    with pytest.raises(ValueRangeError, match=pattern):
        make(ad.distributions, ad.tensor)
    with pytest.raises(ValueError, match=r"(Expected|not defined)"):
        make(torch.distributions, torch.tensor)


def test_nothing_is_checked_on_request() -> None:
    assert math.isnan(Normal(0.0, -1.0, validate_args=False).log_prob(ad.tensor(0.0)).item())
    assert Bernoulli(0.5, validate_args=False).log_prob(ad.tensor(2.0)).shape == ()


def test_a_compiled_function_checks_what_it_is_recorded_with() -> None:
    step = ad.compile(lambda loc, scale: Normal(loc, scale).log_prob(loc + 1))
    loc, scale = ad.zeros(2), ad.ones(2)
    for _ in range(3):
        np.testing.assert_array_equal(step(loc, scale).numpy(), Normal(0.0, 1.0).log_prob(ad.ones(2)).numpy())
    with pytest.raises(ValueRangeError, match="scale"):
        ad.compile(lambda scale: Normal(0.0, scale).log_prob(0.0))(-scale)
