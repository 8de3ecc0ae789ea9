"""What the current thread is doing: whether it records for a backward pass, for whom, and inside which module."""

from __future__ import annotations

import threading
from typing import Any


class Mode(threading.local):
    """Per-thread state, read by every operation.

    Attributes:
        grad: whether operations on tensors that require gradients are recorded.
        recorder: collects every record, gradients or not, while a function is being recorded; None otherwise.
        origin: the record whose vjp runs now; records made by it carry its line.
        wanted: which of its inputs' gradients are wanted; None: of all that are tracked.
        scope: path of the module that runs now.
        phase: ``"forward"``, ``"backward"`` or ``"update"``.
        anomaly: whether the backward pass looks for NaN.
    """

    grad: bool = True
    recorder: Any = None
    origin: Any = None
    wanted: tuple[bool, ...] | None = None
    scope: str = ""
    phase: str = "forward"
    anomaly: bool = False


MODE = Mode()
