"""Random draws as users see them: reproducible, distributed as they say, the same whatever was drawn before."""

from __future__ import annotations

import numpy as np
import pytest

import autodiff as ad
from autodiff.errors import ValueRangeError
from autodiff.nn import functional as F

N = 20_000


def test_the_seed_decides_everything() -> None:
    def draws() -> list[np.ndarray]:
        ad.manual_seed(7)
        return [
            t.numpy()
            for t in (ad.rand(5), ad.randn(3, 4), ad.randint(0, 9, (6,)), ad.randperm(8), F.dropout(ad.ones(9)))
        ]

    for first, second in zip(draws(), draws(), strict=True):
        np.testing.assert_array_equal(first, second)
    ad.manual_seed(8)
    assert not np.array_equal(ad.rand(5).numpy(), draws()[0])
    one, other = ad.Generator().manual_seed(3), ad.Generator().manual_seed(3)
    np.testing.assert_array_equal(ad.randn(4, generator=one).numpy(), ad.randn(4, generator=other).numpy())


def test_a_draw_does_not_depend_on_the_sizes_of_earlier_ones() -> None:
    ad.manual_seed(0)
    ad.rand(3)
    second = ad.rand(4).numpy()
    ad.manual_seed(0)
    ad.rand(1000)
    np.testing.assert_array_equal(ad.rand(4).numpy(), second)


def test_moments() -> None:
    ad.manual_seed(1)
    u, z = ad.rand(N).numpy(), ad.randn(N).numpy()
    assert 0 <= u.min() <= u.max() < 1
    assert abs(u.mean() - 0.5) < 0.01
    assert abs(u.var() - 1 / 12) < 0.005
    assert abs(z.mean()) < 0.03
    assert abs(z.var() - 1) < 0.05
    assert abs((z**4).mean() - 3) < 0.3
    shifted = ad.normal(2.0, 0.5, (N,)).numpy()
    assert abs(shifted.mean() - 2) < 0.02
    assert abs(shifted.std() - 0.5) < 0.02


def test_integers_permutations_and_choices() -> None:
    ad.manual_seed(2)
    counts = np.bincount(ad.randint(3, 8, (N,)).numpy(), minlength=8)
    assert counts[:3].sum() == 0
    assert (abs(counts[3:] / N - 0.2) < 0.02).all()
    assert sorted(ad.randperm(100).tolist()) == list(range(100))
    assert ad.randperm(100).tolist() != list(range(100))
    weights = ad.tensor([1.0, 0.0, 3.0])
    picked = np.bincount(ad.multinomial(weights, N, replacement=True).numpy(), minlength=3) / N
    assert picked[1] == 0
    assert abs(picked[2] - 0.75) < 0.02
    assert sorted(ad.multinomial(weights, 2).tolist()) == [0, 2]
    with pytest.raises(ValueError, match="fewer positive weights"):
        ad.multinomial(weights, 3)
    with pytest.raises(ValueError, match="range is empty"):
        ad.randint(5, 5, (2,))


@pytest.mark.parametrize("p", [0.0, 0.3, 0.9, 1.0])
def test_dropout_keeps_the_mean_and_masks_the_gradient(p: float) -> None:
    ad.manual_seed(3)
    x = ad.ones(N, requires_grad=True)
    y = F.dropout(x, p)
    kept = y.detach().numpy() != 0
    assert abs(kept.mean() - (1 - p)) < 0.02
    if p < 1:
        np.testing.assert_allclose(y.detach().numpy()[kept], 1 / (1 - p), rtol=1e-6)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())
    assert F.dropout(x, p, training=False) is x


def test_channel_dropout_and_alpha_dropout() -> None:
    ad.manual_seed(4)
    y = F.dropout2d(ad.ones(50, 40, 3, 3), 0.25).numpy()
    per_channel = y.reshape(50, 40, -1)
    assert (per_channel == per_channel[..., :1]).all()
    assert abs((per_channel[..., 0] == 0).mean() - 0.25) < 0.05
    z = F.alpha_dropout(ad.randn(N), 0.3, training=True).numpy()
    assert abs(z.mean()) < 0.05
    assert abs(z.std() - 1) < 0.05
    with pytest.raises(ValueError, match=r"expected 0 <= p <= 1; got -1"):
        F.dropout(ad.ones(2), -1)


def test_in_place_draws() -> None:
    ad.manual_seed(5)
    x = ad.empty(N)
    assert abs(float(x.uniform_(-1, 3).mean()) - 1) < 0.05
    assert abs(float(x.normal_(2, 3).std()) - 3) < 0.1
    assert set(np.unique(x.bernoulli_(0.5).numpy())) == {0.0, 1.0}


def test_integers_are_drawn_in_place() -> None:
    ad.manual_seed(5)
    assert set(ad.empty(N).random_(-1, 2).tolist()) == {-1, 0, 1}
    assert set(ad.empty(N, dtype=ad.int32).random_(3).tolist()) == {0, 1, 2}
    assert set(ad.empty(N, dtype=ad.bool).random_().tolist()) == {False, True}
    for dtype, most in ((ad.uint8, 255), (ad.int64, 2**63 - 1), (ad.float32, 2**24), (ad.float64, 2**53)):
        x = ad.empty(N, dtype=dtype).random_()
        assert 0 <= x.min().item() <= 0.01 * most
        assert 0.99 * most <= x.max().item() <= most
    for empty in (lambda: x.random_(0), lambda: x.random_(2, 2)):
        with pytest.raises(ValueRangeError, match="the range is empty"):
            empty()


def test_what_is_no_distribution_is_refused() -> None:
    x = ad.ones(3)
    for wrong, pattern in [
        (lambda: x.uniform_(2, 1), "expected a <= b; got a 2, b 1"),
        (lambda: x.normal_(0, -1), "expected std >= 0; got -1"),
        (lambda: x.bernoulli_(1.5), "expected 0 <= p <= 1; got 1.5"),
        (lambda: ad.normal(0, -1.0, (2,)), "expected std >= 0; got -1"),
        (lambda: ad.normal(0, ad.tensor([1.0, -2.0])), r"expected 0 to inf; got -2 at \[1\]"),
        (lambda: ad.bernoulli(ad.tensor([0.5, 2.0])), r"expected 0 to 1; got 2 at \[1\]"),
        (lambda: ad.randperm(-1), "expected n >= 0; got -1"),
    ]:
        with pytest.raises(ValueRangeError, match=pattern):
            wrong()
    assert x.tolist() == [1, 1, 1]


def test_draws_from_further_distributions() -> None:
    ad.manual_seed(3)
    x = ad.empty(N)
    assert x.exponential_(2.0) is x
    assert x.min().item() > 0
    np.testing.assert_allclose([x.mean().item(), x.std().item()], [0.5, 0.5], rtol=0.05)
    np.testing.assert_allclose(x.double().exponential_().mean().item(), 1, rtol=0.05)
    trials = ad.empty(N, dtype=ad.int64).geometric_(0.25)
    np.testing.assert_allclose((trials == 1).float().mean().item(), 0.25, atol=0.02)
    np.testing.assert_allclose([trials.min().item(), trials.float().mean().item()], [1, 4], rtol=0.05)
    logarithms = x.log_normal_(0.5, 0.25).log()
    np.testing.assert_allclose([logarithms.mean().item(), logarithms.std().item()], [0.5, 0.25], rtol=0.05)
    quarter, half, upper = x.cauchy_(1.0, 2.0).quantile(ad.tensor([0.25, 0.5, 0.75])).tolist()
    np.testing.assert_allclose([quarter, half, upper], [-1, 1, 3], atol=0.15)
    one, other = (ad.empty(4).exponential_(generator=ad.Generator().manual_seed(3)) for _ in range(2))
    assert one.equal(other)
    for wrong in (lambda: x.exponential_(0), lambda: x.geometric_(1.0), lambda: x.log_normal_(0, -1),
                  lambda: x.cauchy_(sigma=0)):
        with pytest.raises(ValueRangeError, match="is out of range"):
            wrong()
