"""Optimizers on parameters that change between steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autodiff as ad

OPTIMIZERS = [("SGD", {"momentum": 0.9}), ("Adam", {"amsgrad": True}), ("RMSprop", {"momentum": 0.9}), ("Adadelta", {}),
              ("Adagrad", {}), ("Rprop", {})]


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
