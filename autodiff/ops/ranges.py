"""The check that numbers lie in the range that a function is defined on: an operation, so that replays check, too."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.bind import bind
from autodiff.errors import ValueRangeError
from autodiff.ops.promotion import BOOL
from autodiff.ops.samples import spread
from autodiff.primitive import ErrorSample, Sample, define
from autodiff.spec import Array, Cost, Spec, moved

__all__: list[str] = []


def _run(outs: list[Array], ins: list[Array], low: float, high: float, **_: Any) -> None:
    (out, status), x = outs, ins[0]
    out[...] = x.size == 0 or not (np.fmin.reduce(x, None) < low or np.fmax.reduce(x, None) > high)
    if not out:
        status[0] = int(np.argmax((x < low) | (x > high)))


def _status(position: int, ins: list[Array], operation: str, what: str, low: float, high: float, fix: str) -> Exception:
    place = np.unravel_index(position, ins[0].shape)
    at = f" at [{', '.join(str(int(i)) for i in place)}]" if place else ""
    return ValueRangeError(operation, f"{what} out of range", expected=f"{low:g} to {high:g}",
                           got=f"{ins[0][place]:g}{at}", fix=fix)


in_range_p = define(
    "in_range",
    host=True,
    infer=lambda x, **_: Spec.of((), BOOL),
    run=_run,
    status=_status,
    vjp=None,
    cost=lambda inputs, outputs, **_: Cost(2 * inputs[0].size, moved(*inputs)),
    samples=lambda: [
        Sample(x, operation="test", what="a number is", low=0.0, high=1.0, fix="", gradient=False)
        for x in (spread(0, 1, 3, 4), spread(0.2, 0.9, 4, 3).T, np.array([0, np.nan, 1]), np.ones((0, 2), np.float32))
    ],
    errors=lambda: [
        ErrorSample(
            Sample(np.array([[0.5, 2.0]], np.float32), operation="test", what="a number is", low=0.0, high=1.0, fix=""),
            ValueRangeError, r"a number is out of range; expected 0 to 1; got 2 at \[0, 1\]",
        )
    ],
)  # fmt: skip


def require_range(operation: str, what: str, x: Any, low: float, high: float, fix: str = "") -> None:
    """Raise unless all elements lie from `low` to `high`; NaN passes.

    Raises:
        ValueRangeError: names the first element that does not.
    """
    bind(in_range_p, x, operation=operation, what=what, low=float(low), high=float(high), fix=fix)
