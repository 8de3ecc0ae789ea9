"""The gradient of Euclidean distances as a product of matrices, which only large operands take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.ops import pairwise

rng = np.random.default_rng(0)


def gradients(a: Any, b: Any, g: Any, dtype: Any) -> list[Any]:
    """Return the gradients of cdist, and those of the sum of their squares."""
    x, y = (ad.tensor(v.astype(dtype), requires_grad=True) for v in (a, b))
    first = ad.autograd.grad(ad.cdist(x, y), (x, y), ad.tensor(g.astype(dtype)), create_graph=True)
    second = ad.autograd.grad(sum((v * v).sum() for v in first), (x, y))
    return [v.detach().numpy() for v in (*first, *second)]


@pytest.mark.parametrize("batch", [(), (2,)])
def test_products_give_the_gradients_of_the_kernel(monkeypatch: pytest.MonkeyPatch, batch: tuple[int, ...]) -> None:
    a, b, g = (rng.standard_normal((*batch, *shape)) for shape in ((5, 3), (7, 3), (5, 7)))
    b[..., 2, :] = a[..., 1, :]  # a distance of 0 has no slope
    found = gradients(a, b, g, np.float64)
    monkeypatch.setattr(pairwise, "PRODUCTS", 0)
    for one, other in zip(found, gradients(a, b, g, np.float64), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10)


def test_products_keep_the_digits_of_points_far_from_0() -> None:
    a = rng.standard_normal((200, 64)) + 1000
    b = np.concatenate([a[:100] + 1e-2 * rng.standard_normal((100, 64)), rng.standard_normal((100, 64)) + 1000])
    a, b, g = a.astype(np.float32), b.astype(np.float32), rng.standard_normal((200, 200))
    assert a.shape[0] * b.shape[0] * a.shape[1] >= pairwise.PRODUCTS
    exact = gradients(a, b, g, np.float64)[:2]
    for one, other in zip(gradients(a, b, g, np.float32)[:2], exact, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5 * np.abs(other).max(), rtol=0)
