from __future__ import annotations

from typing import Any

import autodiff as ad
from autodiff.program import Program


def program() -> Program:
    """Changes in place: of a whole tensor, through views, by an index, with a gradient."""
    x, w = ad.ones(3, 3), ad.ones(3, 3, requires_grad=True)
    x.name, w.name = "x", "w"

    def run() -> Any:
        y = (x @ w) * 0.1
        y += x
        y[0] = 1.0
        y[:, 1].mul_(3)
        y.T.exp_()
        y.sum().backward()
        with ad.no_grad():
            w.sub_(w.grad, alpha=0.5)
        return y, w.grad

    return ad.record(run)
