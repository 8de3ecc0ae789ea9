from __future__ import annotations

from typing import Any

import autodiff as ad
from autodiff import nn
from autodiff.program import Program


def program() -> Program:
    """A recurrent layer step by step, then the layer as one operation, and the gradients of both."""
    cell, layer = nn.RNNCell(3, 4), nn.GRU(3, 4)
    x = ad.zeros(2, 5, 3)

    def run() -> Any:
        h = None
        for t in range(2):
            h = cell(x[t], h)
        outputs, last = layer(x)
        loss = h.sum() + outputs.mean() + last.square().sum()
        loss.backward()
        return loss

    return ad.record(run)
