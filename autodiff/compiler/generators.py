"""Generators of random numbers that are not ours: a replay cannot draw from them, so a recording watches them."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable
from typing import Any

import numpy as np

KINDS = (random.Random, np.random.Generator, np.random.RandomState)
_GLOBAL = [(random, "random"), (np.random, "numpy.random")]


class Generators:
    """Python's and NumPy's own generators, and others.

    Python's and NumPy's own belong to all threads, and do not tell who has drawn. So they are watched only while there
    is one thread: what a loader draws in the background must not be laid at the function's door.

    Args:
        others: of the classes in `KINDS`.
    """

    def __init__(self, others: Iterable[Any] = ()) -> None:
        self._sources = [*_GLOBAL, *[(other, f"a generator {type(other).__name__}") for other in others]]
        self._states = self._read()

    def moved(self) -> str:
        """Return the name of one that somebody has drawn from since the last call; nothing if there is none."""
        before, self._states = self._states, self._read()
        names = [name for (_, name), x, y in zip(self._sources, before, self._states, strict=True)
                 if x is not None and y is not None and x != y]
        return names[0] if names else ""

    def _read(self) -> list[Any]:
        """Return their states; None of those that other threads may draw from."""
        hidden = len(_GLOBAL) if threading.active_count() > 1 else 0
        return [None] * hidden + [_state_of(source) for source, _ in self._sources[hidden:]]


def _state_of(source: Any) -> Any:
    if hasattr(source, "getstate"):
        return source.getstate()
    return _comparable(source.get_state(False) if hasattr(source, "get_state") else source.bit_generator.state)


def _comparable(state: Any) -> Any:
    if isinstance(state, dict):
        return {name: _comparable(x) for name, x in state.items()}
    return state.tobytes() if isinstance(state, np.ndarray) else state
