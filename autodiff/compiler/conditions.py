"""What a recorded program depends on besides its arguments, looked at before each replay."""

from __future__ import annotations

from collections.abc import Sequence, Set
from operator import is_, itemgetter
from typing import Any
from weakref import ref

from autodiff.compiler.sharing import owner_of
from autodiff.compiler.surroundings import unchanged
from autodiff.compiler.tracer import Tracer
from autodiff.eager import Tensor
from autodiff.slots import CHANGES, Reading
from autodiff.spec import address_of

ZERO = "a number of an optimizer became 0 or ceased to be"


class Leaf:
    """A leaf whose `.grad` matters: a tensor from outside, or the argument with a number."""

    __slots__ = ("number", "tensor")

    def __init__(self, tensor: Tensor, number: int | None) -> None:
        self.tensor = tensor
        self.number = number

    def now(self, tensors: Sequence[Tensor]) -> Tensor:
        """Return the leaf of a call with these arguments."""
        return self.tensor if self.number is None else tensors[self.number]


class Members:
    """The modules and optimizers in a list or a dictionary, and the lists and dictionaries in it that hold some.

    Args:
        container: the list or dictionary.
        inner: ids of those in it.
    """

    __slots__ = ("_container", "_inner", "known")

    def __init__(self, container: Any, inner: Set[int]) -> None:
        self._container = container
        self._inner = inner
        self.known = self._now()

    def changed(self) -> bool:
        """Return whether there are others now."""
        now = self._now()
        return len(now) != len(self.known) or not all(map(is_, now, self.known))

    def _now(self) -> list[Any]:
        values = list(self._container.values() if isinstance(self._container, dict) else self._container)
        return [x for x in values if hasattr(x, "_watched") or id(x) in self._inner]


class Conditions:
    """Holds as long as nothing has changed that a program depends on.

    Args:
        tracer: of the call that was recorded.
        slots: tensors from outside that the program reads or writes.
        tensors: the arguments.
        read: leaves whose `.grad` is read before it is set, with that, or None where there was none.
        settings: numbers of optimizers, and what stands beside them.

    Attributes:
        members: modules and optimizers in lists and dictionaries around the function.
    """

    members: Sequence[Members] = ()

    def __init__(
        self, tracer: Tracer, slots: Sequence[Tensor], tensors: Sequence[Tensor],
        read: Sequence[tuple[Leaf, Tensor | None]], settings: Sequence[Reading],
    ) -> None:  # fmt: skip
        watched = list(tracer.watched.values())
        parameters = [p for x in watched for p in getattr(x, "_parameters", {}).values() if p is not None]
        known = list({id(x): x for x in (*slots, *parameters)}.values())  # the function may ask each what it requires
        for tensor in known:
            tensor.watched = True
        self._recorded = self._seen = CHANGES.count
        self._owners = [*watched, *slots]
        self._switches = [(x, "training", x.training) for x in watched if hasattr(x, "training")]
        self._switches += [(x, "needs_grad", x.needs_grad) for x in known]
        self._containers = list(tracer.containers.values())
        used = [x for x in watched if id(getattr(x, "param_groups", None)) in tracer.containers]
        self._optimizers = [(x, x.state, x.param_groups) for x in used]
        self._groups = [(x.param_groups, number, group, dict.get(group, "params"))
                        for x in used for number, group in enumerate(x.param_groups)]
        self._together = [(itemgetter(*x.names), x.states) for x in tracer.repeated if len(x.states) > 1]
        self._frozen = list(tracer.frozen.values())
        self._read = [(leaf, None if grad is None else grad.spec) for leaf, grad in read]
        self._carried = [(number, ref(grad)) for number, (_, grad) in enumerate(read) if grad is not None]
        self._pinned: list[tuple[int, Tensor]] = []
        self._first = {owner_of(x.array): (-1 - number, address_of(x.array)) for number, x in enumerate(slots)}
        self._places = self._places_of([grad for _, grad in read], tensors)
        self._settings = settings

    def pin(self, outside: Set[int]) -> None:
        """Note which `.grad` that is read the function finds in another way, too: among tensors with these ids."""
        self._pinned = [(number, grad) for number, living in self._carried
                        if (grad := living()) is not None and id(grad) in outside]

    def _places_of(self, grads: Sequence[Tensor | None], tensors: Sequence[Tensor]) -> list[tuple[int, int, int]]:
        """Return where `.grad`s lie on memory of slots or other `.grad`s, and where arguments lie on memory of those.

        Returns:
            For each its number, the number of the first tensor on that memory, and the bytes between both.
        """
        lying = [(number, x.array, owner_of(x.array)) for number, x in enumerate(grads) if x is not None]
        near = {owner for _, _, owner in lying}
        given = [(number, x.array, owner) for number, x in enumerate(tensors, len(grads))
                 if (owner := owner_of(x.array)) in near]
        if not given and len(near) == len(lying) and near.isdisjoint(self._first):
            return []
        first, found = self._first.copy(), []
        for number, array, owner in (*lying, *given):
            address = address_of(array)
            other, start = first.setdefault(owner, (number, address))
            if other != number:
                found.append((number, other, address - start))
        return found

    def hold(self, tensors: Sequence[Tensor]) -> bool:
        """Return whether they hold for a call with these arguments."""
        return not self.broken(tensors)

    def broken(self, tensors: Sequence[Tensor]) -> str:
        """Return which of them does not hold for a call with these arguments; nothing if all do."""
        count = CHANGES.count
        if self._seen != count:
            text = self.outdated() or self._switched()
            if text:
                return text
            self._seen = count
        grads = []
        for leaf, spec in self._read:
            grad = leaf.now(tensors)._grad
            if grad is not None if spec is None else grad is None or grad.spec is not spec:
                return "a `.grad` that is read came or went"
            grads.append(grad)
        if self._carried:
            if self._places_of(grads, tensors) != self._places:
                return "a `.grad` that is read shares memory with others than before"
            if any(grads[number] is not grad for number, grad in self._pinned):
                return "a `.grad` that is read is no longer a tensor that the function finds outside, too"
        for container, number in self._containers:
            if len(container) != number:
                return f"an optimizer has {len(container)} groups, parameters, settings or states instead of {number}"
        for optimizer, state, groups in self._optimizers:
            if optimizer.param_groups is not groups or optimizer.state is not state:
                return "an optimizer has other groups or another state"
        for groups, number, group, params in self._groups:
            if groups[number] is not group or dict.get(group, "params") is not params:
                return "an optimizer has other groups, or another list of parameters"
        for members in self.members:
            if members.changed():
                return "a list or a dictionary has another module or optimizer"
        for numbers, states in self._together:
            found = list(map(numbers, states))
            if found.count(found[0]) != len(found):
                return "parameters that an optimizer updates together have made different numbers of steps"
        for source, name, value, line in self._frozen:
            now = dict.get(source, name)
            if now is not value and not unchanged(now, value):
                return f"'{name}' of an optimizer is {now!r} instead of {value!r}, and the function itself reads it" + (
                    f" at {line}" if line else "")
        for reading in self._settings:
            if not reading.renew():
                name = reading.other()
                return f"'{name}' of an optimizer changed" if name else ZERO
        return ""

    def outdated(self) -> str:
        """Return what has changed for good since the recording; nothing if nothing has."""
        for owner in self._owners:
            text = CHANGES.of(owner, self._recorded)
            if text:
                return text
        return ""

    def _switched(self) -> str:
        """Return which switch has been thrown, which may be switched back."""
        for owner, name, value in self._switches:
            if getattr(owner, name) is not value:
                return CHANGES.of(owner, switch=name)
        return ""
