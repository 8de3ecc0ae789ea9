"""Numbers that a recorded step must not freeze, and the count of what can outdate a recording."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autodiff.source import Line, here
from autodiff.thread_mode import MODE


class Reading:
    """Entries of a dictionary that a recorded program depends on, looked at all at once.

    Args:
        source: the dictionary: a parameter group, or the state of a parameter.
        get: returns the entries of the dictionary, as a tuple.

    Attributes:
        fixed: those that are no numbers, and must stay what they are.
        written: called when an entry has changed, to write down the numbers that depend on them; each says whether the
            program holds for its number.
    """

    __slots__ = ("_floats", "_get", "_values", "_zeros", "fixed", "source", "written")

    def __init__(self, source: dict[str, Any], get: Callable[[dict[str, Any]], tuple[Any, ...]]) -> None:
        self.source = source
        self.fixed: dict[str, Any] = {}
        self.written: list[Callable[[], bool]] = []
        self._get = get
        self._values = get(source)
        self._floats = [place for place, x in enumerate(self._values) if type(x) in (float, tuple)]
        self._zeros: list[int] = []  # where something equal may be another number: 0.0 and -0.0
        self._keep(self._values)

    def renew(self) -> bool:
        """Look at the entries again; return whether the program holds for what they are now."""
        now = self._get(self.source)
        if now == self._values:
            for place in self._zeros:
                if now[place] is not self._values[place]:
                    break
            else:
                return True
        self._values = ()  # until all is written down
        for name, value in self.fixed.items():
            if self.source[name] is not value and self.source[name] != value:
                return False
        for write in self.written:
            if not write():
                return False
        self._keep(now)
        return True

    def _keep(self, values: tuple[Any, ...]) -> None:
        """Remember what was there."""
        self._values = values
        if self._floats:
            self._zeros = [place for place in self._floats
                           if not values[place] or (type(values[place]) is tuple and 0.0 in values[place])]


class Slot:
    """A number that a recorded program reads anew at each replay, such as a learning rate.

    It stands in the parameters of a record in place of a number. It is no number itself: arithmetic on it would freeze
    what it holds, and is an error; `derived` computes with it.

    Attributes:
        read: returns the number that holds now.
        readings: what it is read from: it is the same for as long as nothing changes there.
        value: the number that held when the slot was made; operations run with it.
    """

    __slots__ = ("read", "readings", "value")

    def __init__(self, read: Callable[[], Any], readings: tuple[Reading, ...] = ()) -> None:
        self.read = read
        self.readings = readings
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
    slots = [x for x in arguments if type(x) is Slot]
    if not slots:
        return function(*arguments)
    readings = {reading for slot in slots for reading in slot.readings}
    return Slot(lambda: function(*[x.read() if type(x) is Slot else x for x in arguments]), tuple(readings))


def number(x: Any) -> Any:
    """Return `x` as a float; a slot stays one."""
    return derived(float, x) if type(x) is Slot else float(x)


def held(x: Any) -> Any:
    """Return the number that a slot held when it was made; anything else as it is."""
    return x.value if type(x) is Slot else x


class Changes:
    """How often something has changed that can change what a recorded program would be, what it was last, and where.

    Modules (attributes, hooks), optimizers (parameter groups, loaded state) and the tensors that programs read raise
    the count. Switching between training and evaluation is another matter, for it is switched back: `modes` is the
    same again when all modules are in the mode they were in.
    """

    def __init__(self) -> None:
        self.count = 0
        self.modes = 0
        self.last = ""
        self.line: Line | None = None

    def state(self) -> tuple[int, int]:
        """Return what differs whenever something has changed."""
        return self.count, self.modes

    def switch(self, module: object, what: str) -> None:
        """Note that a module went from training to evaluation, or back."""
        self.modes ^= hash((id(module), "training"))
        self._remember(what)

    def note(self, what: str) -> None:
        """Count a change."""
        self.count += 1
        self._remember(what)

    def _remember(self, what: str) -> None:
        self.last = what
        if MODE.recorder is not None:
            self.line = here()


CHANGES = Changes()
