"""Numbers that a recorded step must not freeze, and the count of what can outdate a recording."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Slot:
    """A number that a recorded program reads anew at each replay, such as a learning rate.

    It stands in the parameters of a record in place of a number. It is no number itself: arithmetic on it would freeze
    what it holds, and is an error; `derived` computes with it.

    Attributes:
        read: returns the number that holds now.
        source: returns an object that is another one whenever the number may be: so nothing has to be computed where
            nothing has changed. By default it is `read`.
        value: the number that held when the slot was made; operations run with it.
    """

    __slots__ = ("read", "source", "value")

    def __init__(self, read: Callable[[], Any], source: Callable[[], Any] | None = None) -> None:
        self.read = read
        self.source = source or read
        self.value = read()

    def __bool__(self) -> bool:
        return bool(self.value)

    def __repr__(self) -> str:
        return f"slot({self.value!r})"


def derived(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return ``function(*arguments)``; where an argument is a slot, a slot that computes it anew each time.

    >>> rate = [0.5]
    >>> half = derived(lambda x: x / 2, Slot(lambda: rate[0]))
    >>> rate[0] = 3.0
    >>> half.value, half.read()
    (0.25, 1.5)
    """
    if len(arguments) == 1 and type(arguments[0]) is Slot:
        read = arguments[0].read
        return Slot(lambda: function(read()), arguments[0].source)
    if any(isinstance(x, Slot) for x in arguments):
        return Slot(lambda: function(*[x.read() if isinstance(x, Slot) else x for x in arguments]))
    return function(*arguments)


def number(x: Any) -> Any:
    """Return `x` as a float; a slot stays one."""
    return derived(float, x) if type(x) is Slot else float(x)


def held(x: Any) -> Any:
    """Return the number that a slot held when it was made; anything else as it is."""
    return x.value if type(x) is Slot else x


class Changes:
    """How often something has changed that can change what a recorded program would be, and what it was last.

    Modules (attributes, hooks), optimizers (parameter groups, loaded state) and the tensors that programs read raise
    the count. Switching between training and evaluation is another matter, for it is switched back: `modes` is the
    same again when all modules are in the mode they were in.
    """

    def __init__(self) -> None:
        self.count = 0
        self.modes = 0
        self.last = ""

    def state(self) -> tuple[int, int]:
        """Return what differs whenever something has changed."""
        return self.count, self.modes

    def switch(self, module: object, what: str) -> None:
        """Note that a module went from training to evaluation, or back."""
        self.modes ^= hash((id(module), "training"))
        self.last = what

    def note(self, what: str) -> None:
        """Count a change."""
        self.count += 1
        self.last = what


CHANGES = Changes()
