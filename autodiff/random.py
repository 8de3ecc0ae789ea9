"""Where random numbers come from: a seed and the number of the draw, nothing else.

Draw k of a generator is the same whatever was drawn before it and however many threads draw it (Philox, a counter-based
generator: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
"""

from __future__ import annotations

import secrets
import threading

import numpy as np

from autodiff.errors import DTypeError
from autodiff.spec import Array
from autodiff.thread_mode import MODE


class Generator:
    """A seed and a counter of draws.

    Args:
        device: the CPU; accepted for PyTorch's sake.

    >>> import autodiff as ad
    >>> one, other = ad.Generator().manual_seed(3), ad.Generator().manual_seed(3)
    >>> bool((ad.rand(4, generator=one) == ad.rand(4, generator=other)).all())
    True
    """

    def __init__(self, device: object = None) -> None:
        _note_seeding()
        self._lock = threading.Lock()
        self._seed = 0
        self._draws = 0

    def manual_seed(self, seed: int) -> Generator:
        """Start over from `seed`, and return the generator.

        Raises:
            DTypeError: if `seed` is no integer.
        """
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
            raise DTypeError("manual_seed", "the seed must be an integer", got=type(seed).__name__)
        _note_seeding()
        with self._lock:
            # Any integer is a seed; the state holds its lowest 63 bits.
            self._seed = int(seed) & (2**63 - 1)
            self._draws = 0
        return self

    def seed(self) -> int:
        """Start over from a seed of the operating system's, and return it."""
        seed = secrets.randbits(48)
        self.manual_seed(seed)
        return seed

    def initial_seed(self) -> int:
        """Return the seed."""
        return self._seed

    def next_key(self) -> Array:
        """Return ``[seed, number of the draw]`` for one draw, and count it."""
        with self._lock:
            draw = self._draws
            self._draws += 1
        return np.array((self._seed, draw), np.int64)

    def state(self) -> tuple[int, int]:
        """Return seed and number of draws so far."""
        return self._seed, self._draws

    def restore(self, state: tuple[int, int]) -> None:
        """Go back to a `state`."""
        _note_seeding()
        with self._lock:
            self._seed, self._draws = int(state[0]), int(state[1])


def _note_seeding() -> None:
    if MODE.recorder is not None:
        MODE.recorder.opaque("the function sets the state of a generator", "seed outside")


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Seed the default generator, from which all random numbers come unless told otherwise, and return it.

    >>> import autodiff as ad
    >>> first = (ad.manual_seed(0), ad.rand(3))[1]
    >>> second = (ad.manual_seed(0), ad.rand(3))[1]
    >>> ad.equal(first, second)
    True
    """
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Seed the default generator from the operating system, and return the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """Return the seed of the default generator."""
    return default_generator.initial_seed()
