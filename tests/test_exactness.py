"""Long sums, wide rows and random draws beside exact values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.nn import functional as F


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 1000, 10**5 + 7, 10**7])
def test_sums(size: int, dtype: Any) -> None:
    x = (np.random.default_rng(size).standard_normal(size) * 1e3).astype(dtype)
    ulp = float(np.spacing(np.abs(x).sum(dtype=np.float64).astype(dtype)))
    assert abs(float(ad.tensor(x).sum().numpy()) - math.fsum(x)) <= 2 * ulp


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-12)])
@pytest.mark.parametrize("width", [2, 50_000])
def test_rows(width: int, dtype: Any, tolerance: float) -> None:
    rng = np.random.default_rng(width)
    x, labels = (5 * rng.standard_normal((3, width))).astype(dtype), rng.integers(0, width, 3)
    wide = x.astype(np.float64)
    logs = wide - wide.max(1, keepdims=True)
    logs -= np.log(np.exp(logs).sum(1, keepdims=True))
    t = ad.tensor(x)
    np.testing.assert_allclose(F.softmax(t, 1).numpy(), np.exp(logs), rtol=tolerance)
    np.testing.assert_allclose(F.log_softmax(t, 1).numpy(), logs, rtol=tolerance, atol=tolerance)
    loss = F.cross_entropy(t, ad.tensor(labels), reduction="none").numpy()
    np.testing.assert_allclose(loss, -logs[range(3), labels], rtol=tolerance, atol=tolerance)


def distance(cumulative: Any) -> float:
    """Return Kolmogorov and Smirnov's D times the root of n, of the sorted values' cumulative probabilities."""
    n = len(cumulative)
    steps = np.arange(n + 1) / n
    return float(max((steps[1:] - cumulative).max(), (cumulative - steps[:-1]).max())) * math.sqrt(n)


CRITICAL = 1.95  # exceeded with a probability of 0.001: 2 exp(-2 * 1.95**2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_distributions(dtype: str) -> None:
    ad.manual_seed(3)
    n = 200_000
    uniform = np.sort(ad.rand(n, dtype=getattr(ad, dtype)).numpy().astype(np.float64))
    assert distance(uniform) < CRITICAL
    normal = np.sort(ad.randn(n, dtype=getattr(ad, dtype)).numpy().astype(np.float64))
    assert distance(np.array([math.erfc(-v / math.sqrt(2)) / 2 for v in normal])) < CRITICAL
    assert distance(uniform**1.02) > CRITICAL  # a slight distortion is noticed


def test_tails_of_the_normal_distribution() -> None:
    ad.manual_seed(5)
    n = 2_000_000
    x = np.abs(ad.randn(n).numpy())
    for sigmas in (3, 4):
        expected = n * math.erfc(sigmas / math.sqrt(2))
        assert abs((x > sigmas).sum() - expected) < 4 * math.sqrt(expected), sigmas
