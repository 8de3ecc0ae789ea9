from __future__ import annotations

from typing import Any

import autodiff as ad
from autodiff import nn
from autodiff.program import Program


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(2, 8)
        self.out = nn.Linear(8, 1)

    def forward(self, x: Any) -> Any:
        return self.out(ad.tanh(self.hidden(x)))


def program() -> Program:
    """The second step of Adam on a tiny net."""
    model = Net()
    optimizer = ad.optim.Adam(model.parameters(), lr=1e-2)
    x, y = ad.zeros(4, 2), ad.ones(4, 1)

    def step() -> Any:
        loss = nn.functional.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    step()
    return ad.record(step)
