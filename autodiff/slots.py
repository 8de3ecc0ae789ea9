"""Numbers that a recorded step must not freeze, and the count of what can outdate a recording."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, KeysView, ValuesView
from threading import Lock
from typing import Any

from autodiff.thread_mode import MODE

_PLAIN = (int, float, str)


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

    __slots__ = ("_exact", "_get", "_values", "fixed", "source", "written")

    def __init__(self, source: dict[str, Any], get: Callable[[dict[str, Any]], tuple[Any, ...]]) -> None:
        self.source = source
        self.fixed: dict[str, Any] = {}
        self.written: list[Callable[[], bool]] = []
        self._get = get
        self._values: tuple[Any, ...] = ()
        self._exact: list[int] = []  # where something equal may be something else: 0.0 and -0.0, or an array
        self._keep(get(source))

    def renew(self) -> bool:
        """Look at the entries again; return whether the program holds for what they are now."""
        now = self._get(self.source)
        if len(now) == len(self._values):
            for place in self._exact:
                if now[place] is not self._values[place]:
                    break
            else:
                try:
                    if now == self._values:
                        return True
                except (ValueError, TypeError, RuntimeError):  # an array, whose elements are compared
                    pass
        self._values = ()  # until all is written down
        if self.other():
            return False
        for write in self.written:
            if not write():
                return False
        self._keep(now)
        return True

    def _keep(self, values: tuple[Any, ...]) -> None:
        """Remember what was there."""
        self._values = values
        self._exact = [place for place, x in enumerate(values) if not isinstance(x, _PLAIN) or not x]

    def other(self) -> str:
        """Return which entry that must stay what it is has changed: its name, or nothing."""
        for name, value in self.fixed.items():
            now = self.source.get(name)
            if now is not value and not (isinstance(now, _PLAIN) and isinstance(value, _PLAIN) and now == value):
                return name
        return ""


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


class Settings(dict[str, Any]):
    """A parameter group. A recorder hears who reads it: the function's own arithmetic would freeze its numbers.

    It also hears who writes into it, which no replay would do. `dict` asks an `__iter__` that is not its own, and then
    `__getitem__`, wherever it takes over a dictionary: ``dict(group)``, ``{**group}``, ``f(**group)``.
    """

    __slots__ = ()

    # ---- Reading -----------------------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Any:
        value = dict.__getitem__(self, name)
        if MODE.recorder is not None:
            MODE.recorder.setting_read(self, name, value)
        return value

    def __iter__(self) -> Iterator[str]:
        self._look_for()
        return dict.__iter__(self)

    def __contains__(self, name: object) -> bool:
        self._look_for()
        return dict.__contains__(self, name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return an entry, or `default` where there is none."""
        try:
            return self[name]
        except KeyError:
            self._look_for()
            return default

    def keys(self) -> Any:
        """Return the names."""
        return KeysView(self)

    def values(self) -> Any:
        """Return what the entries hold."""
        return ValuesView(self)

    def items(self) -> Any:
        """Return names and entries."""
        return ItemsView(self)

    def copy(self) -> dict[str, Any]:
        """Return an ordinary dictionary with the same entries."""
        return dict(self)

    def __reduce__(self) -> Any:
        return Settings, (dict(self),)

    def __or__(self, other: Any) -> Any:
        return dict(self) | other

    def __ror__(self, other: Any) -> Any:
        return other | dict(self)

    def _look_for(self) -> None:
        """Tell that somebody depends on which entries there are."""
        if MODE.recorder is not None and MODE.phase != "update":
            MODE.recorder.members(self)

    # ---- Writing -----------------------------------------------------------------------------------------------------

    def __setitem__(self, name: str, value: Any) -> None:
        self._tell_of_writing(name)
        dict.__setitem__(self, name, value)

    def __delitem__(self, name: str) -> None:
        self._tell_of_writing(name)
        dict.__delitem__(self, name)

    def __ior__(self, other: Any) -> Any:
        self.update(other)
        return self

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Take over entries."""
        new = dict(*args, **kwargs)
        for name in new:
            self._tell_of_writing(name)
        dict.update(self, new)

    def setdefault(self, name: str, default: Any = None) -> Any:
        """Return an entry; make it where there is none."""
        if name not in self:
            self[name] = default
        return self[name]

    def pop(self, name: str, *default: Any) -> Any:
        """Remove an entry and return it, or the default where there is none."""
        if name in self:
            self._tell_of_writing(name)
        return dict.pop(self, name, *default)

    def popitem(self) -> tuple[str, Any]:
        """Remove the last entry and return it."""
        self._tell_of_writing("")
        return dict.popitem(self)

    def clear(self) -> None:
        """Remove all entries."""
        self._tell_of_writing("")
        dict.clear(self)

    def _tell_of_writing(self, name: str) -> None:
        if MODE.recorder is not None:
            what = f"'{name}'" if name else "settings"
            MODE.recorder.opaque(f"the function changes {what} of an optimizer",
                                 "change it outside, between the calls: it is read anew each time")


class Changes:
    """How often something has changed that can change what a recorded program would be, and what that was last.

    Modules (attributes, hooks), optimizers (parameter groups, loaded state) and tensors tell, as far as a recorded
    program has come across them. Training, say, is a switch: who depends on it looks where it stands.

    Attributes:
        count: of changes and switches.
        known: for what has changed, by its id, and the name of the switch if it was one: the count then, and a text.
    """

    def __init__(self) -> None:
        self.count = 0
        self.known: dict[tuple[int, str], tuple[int, str]] = {}
        self._lock = Lock()

    def note(self, owner: object, text: str) -> None:
        """Count a change of `owner`."""
        self._count(owner, "", text)
        if MODE.recorder is not None:
            MODE.recorder.changed(text)

    def switch(self, owner: object, name: str, text: str) -> None:
        """Count that a switch of `owner` is thrown: from training to evaluation, say, or back."""
        self._count(owner, name, text)
        if MODE.recorder is not None:
            MODE.recorder.switched(owner, name, text)

    def _count(self, owner: object, name: str, text: str) -> None:
        with self._lock:
            self.known[id(owner), name] = self.count + 1, text
            self.count += 1  # last: who sees it, in another thread, finds what has changed

    def of(self, owner: object, since: int = 0, switch: str = "") -> str:
        """Return what changed last of `owner`, if that was after the first `since` changes; otherwise nothing."""
        count, text = self.known.get((id(owner), switch), (0, ""))
        return text if count > since else ""


CHANGES = Changes()
