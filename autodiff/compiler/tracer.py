"""The recorder of a function that is being compiled: it also notes what a replay must do anew, and what it cannot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

from autodiff.compiler.calls import RecordingError
from autodiff.compiler.python import PythonTracer
from autodiff.slots import Reading, Settings, Slot
from autodiff.source import Line, here
from autodiff.spec import Array


class Draw(NamedTuple):
    """A random draw: whose, and the how manieth since the function began."""

    generator: Any
    number: int


class Repeated(NamedTuple):
    """Python that each replay runs: what brings the numbers of an optimizer's states on by a step.

    Attributes:
        advance: called before the replay.
        conclude: called after it.
        states: the states.
        names: of the numbers that change; all states agree in them.
    """

    advance: Callable[[], None]
    conclude: Callable[[], None]
    states: Sequence[dict[str, Any]]
    names: Sequence[str]


class Tracer(PythonTracer):
    """Records one call of a function: what a replay must read anew, and what it cannot do again.

    Attributes:
        draws: the draw of each key, by id of the key's tensor.
        counts: for each generator how many draws it made.
        cut: ids of the arguments that something outside has made.
        before: content of leaves just before the function first changed them in place, by id.
        repeated: what each replay has to call.
        readings: dictionaries with settings that the program depends on.
        containers: containers that must keep the number of their members, with that number, by id.
        watched: modules and optimizers that the function uses, by id.
        switches: those of them that it has thrown and not put back: what, and where.
        grads: the leaves from outside whose `.grad` was read or set, in order.
        read: the `.grad` of those that were read before they were set, by id of the leaf; None where there was none.
    """

    def __init__(self, fallback: bool = False, generators: Sequence[Any] = ()) -> None:
        super().__init__(fallback, generators)
        self.draws: dict[int, Draw] = {}
        self.counts: dict[Any, int] = {}
        self._first: dict[Any, int] = {}  # the number of the first draw
        self.before: dict[int, tuple[Any, Array]] = {}
        self.repeated: list[Repeated] = []
        self.readings: list[Reading] = []
        self.containers: dict[int, tuple[Any, int]] = {}
        self.watched: dict[int, Any] = {}
        self.switches: dict[tuple[int, str], tuple[str, Line | None]] = {}
        self.grads: dict[int, Any] = {}
        self.read: dict[int, Any] = {}
        self.argument_hooked = False
        self.cut: set[int] = set()

    def target(self, tensor: Any) -> Any:
        """Return what `tensor` is, just before it changes in place; a leaf's content is kept."""
        operand = self.operand(tensor)
        if type(operand) is not tuple and id(operand) not in self.before:
            self.before[id(operand)] = (operand, operand.array.copy(order="K"))
        return operand

    def entered(self, module: Any, outer: str) -> None:
        """Watch the module."""
        super().entered(module, outer)
        self.watch(module)

    def watch(self, thing: Any) -> None:
        """Let a module, with all below it, or an optimizer tell when it changes."""
        if id(thing) not in self.watched:
            self.watched.update({id(x): x for x in thing._watch()})

    def changed(self, text: str) -> None:
        """Refuse a change: a replay would not make it.

        Raises:
            RecordingError: unless the function may run as it is instead.
        """
        self.refuse(_changes(text))

    def switched(self, owner: Any, name: str, text: str) -> None:
        """Note that a switch is thrown, or put back."""
        if self.switches.pop((id(owner), name), None) is None:
            self.switches[id(owner), name] = text, here()

    def born(self, tensor: Any) -> None:
        """Note a constant."""
        self._look_at_generators()
        self.made.add(id(tensor))
        self.alias(tensor, tensor)  # keeps it alive, so that its id stays its own

    def finish(self) -> None:
        """Look at what the function has left behind.

        Raises:
            RecordingError: if a replay would not leave it.
        """
        self._look_at_generators(self.records[-1].line if self.records else None)
        for text, line in self.switches.values():
            raise _changes(text, line)

    def drawn(self, key: Any, generator: Any) -> None:
        """Note the draw of a key."""
        self._take_part()
        draw = int(key.array[1])
        number = draw - self._first.setdefault(generator, draw)  # a checkpoint makes its draws again
        self.counts[generator] = max(self.counts.get(generator, 0), number + 1)
        self.draws[id(key)] = Draw(generator, number)
        self.alias(key, key)  # keeps the key alive, so that its id stays its own

    def replaced(self, tensor: Any, value: Any) -> None:
        """Refuse to put a tensor on other memory: a replay could not.

        Raises:
            RecordingError: unless the function may run as it is instead.
        """
        self.refuse(RecordingError(
            "compile", "the function makes a parameter, or gives a tensor other data, which no replay would",
            got=repr(value.spec), fix="make it before, and write into it with copy_() under no_grad()",
        ))

    def grad_read(self, leaf: Any) -> None:
        """Note that a `.grad` is looked at: one that the function did not set itself comes from outside."""
        if id(leaf) not in self.grads and id(leaf) not in self.made and not self._made_here(leaf):
            self.grads[id(leaf)] = leaf
            self.read[id(leaf)] = leaf._grad
        run = self._hook
        if run is not None and id(leaf) not in run.grads:
            if self._is_outside(leaf):
                grad = leaf._grad
                leaf._grad = other = None if grad is None else self._another(grad)
                run.grads[id(leaf)] = leaf, grad, other
            else:
                run.takes_part = True

    def grad_set(self, leaf: Any) -> None:
        """Note that a `.grad` is set.

        Raises:
            RecordingError: if that is the gradient of an argument that something outside has made.
        """
        self._take_part()
        if self._made_here(leaf):
            return  # nobody finds it afterwards
        if id(leaf) in self.cut:
            self.refuse(RecordingError(
                "compile", "a backward pass inside the function would have to go on outside, behind an argument",
                got=repr(leaf.spec), fix="return the loss and call backward() outside, or pass x.detach()",
            ))
        if id(leaf) not in self.made:
            self.grads.setdefault(id(leaf), leaf)

    def _made_here(self, leaf: Any) -> bool:
        """Return whether the function made a tensor; one from outside that it has changed in place is still that."""
        operand = self.operand(leaf)
        return type(operand) is tuple and self._root(operand) is not leaf

    def settings(self, source: dict[str, Any], names: Sequence[str] | None = None, **renamed: str) -> dict[str, Any]:
        """Return the numbers of `source` as slots; the other settings must stay as they are."""
        given = super().settings(source, names, **renamed)
        names = [renamed.get(name, name) for name in given if name != "params"]
        if not names:
            return given
        get = itemgetter(*names) if len(names) > 1 else partial(_alone, names[0])
        reading = Reading(source, _all if isinstance(source, Settings) else get)
        self.readings.append(reading)
        for name, value in given.items():
            old = renamed.get(name, name)
            read = partial(dict.__getitem__, source, old)
            if _is_number(value):
                given[name] = Slot(read, (reading,))
            elif isinstance(value, tuple | list) and all(map(_is_number, value)):
                items = reading
                if isinstance(value, list):  # whose items may change, while it stays the same
                    items = Reading(source, partial(_items, old))
                    self.readings.append(items)
                given[name] = tuple([Slot(_Item(read, i), (items,)) for i in range(len(value))])
            elif name != "params":
                reading.fixed[old] = value
        return given

    def members(self, container: Any) -> None:
        """Note that the program depends on which members a container has; their number stands for them."""
        self.containers[id(container)] = container, len(container)

    def repeat(self, advance: Any, conclude: Any, states: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
        """Note what each replay has to call.

        Raises:
            RecordingError: for a second step of the same optimizer.
        """
        self._take_part()
        if any(r.states[0] is states[0] for r in self.repeated):
            self.opaque("an optimizer takes two steps in one call", "compile one step, and call it twice")
        self.repeated.append(Repeated(advance, conclude, states, names))

    def hook_registered(self, tensor: Any) -> None:
        """Hear that a tensor is given a hook.

        Raises:
            RecordingError: if something outside has made the tensor: each call would give it one hook more.
        """
        self._take_part()
        if id(tensor) in self.arguments:
            self.argument_hooked = True
        if self._is_outside(tensor):
            self.opaque("the function registers a hook on a tensor from outside", "register it once, before")

    def tensors(self) -> list[tuple[Any, Any]]:
        """Return every tensor that is known and lives, with what it is."""
        known = [(living(), operand) for living, operand in list(self._values.values())]
        return [(tensor, operand) for tensor, operand in known if tensor is not None]


class _Item:
    """Reads an item of what another function reads."""

    __slots__ = ("number", "read")

    def __init__(self, read: Callable[[], Any], number: int) -> None:
        self.read = read
        self.number = number

    def __call__(self) -> Any:
        return self.read()[self.number]


def _all(source: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(dict.values(source))


def _alone(name: str, source: dict[str, Any]) -> tuple[Any, ...]:
    return (dict.__getitem__(source, name),)


def _items(name: str, source: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(dict.__getitem__(source, name))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _changes(text: str, line: Line | None = None) -> RecordingError:
    return RecordingError("compile", f"the function itself changes what it depends on: {text}", line=line,
                          fix="do it outside, or keep the value in a tensor that changes in place")


