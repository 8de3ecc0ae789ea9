"""What a recorded program depends on besides its arguments, looked at before each replay."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from autodiff.compiler.surroundings import unchanged
from autodiff.compiler.tracer import Tracer
from autodiff.eager import Tensor
from autodiff.slots import CHANGES, Reading, Settings
from autodiff.spec import Spec


class Leaf:
    """A leaf whose `.grad` matters: a tensor from outside, or the argument with a number."""

    __slots__ = ("number", "tensor")

    def __init__(self, tensor: Tensor, number: int | None) -> None:
        self.tensor = tensor
        self.number = number

    def now(self, tensors: Sequence[Tensor]) -> Tensor:
        """Return the leaf of a call with these arguments."""
        return self.tensor if self.number is None else tensors[self.number]


class Conditions:
    """Holds as long as nothing has changed that a program depends on.

    Args:
        tracer: of the call that was recorded.
        slots: tensors from outside that the program reads or writes.
        read: leaves whose `.grad` is read before it is set, with the spec of that, or None where there was none.
        settings: numbers of optimizers, and what stands beside them.
    """

    def __init__(
        self, tracer: Tracer, slots: Sequence[Tensor], read: Sequence[tuple[Leaf, Spec | None]],
        settings: Sequence[Reading],
    ) -> None:  # fmt: skip
        for tensor in slots:
            tensor.watched = True
        watched = list(tracer.watched.values())
        self._recorded = self._seen = CHANGES.count
        self._owners = [*watched, *slots]
        self._switches = [(x, "training", x.training) for x in watched if hasattr(x, "training")]
        self._switches += [(x, "needs_grad", x.needs_grad) for x in slots]
        self._containers = list(tracer.containers.values())
        self._groups = [(x.source, dict.__getitem__(x.source, "params")) for x in settings
                        if isinstance(x.source, Settings)]
        self._together = [(itemgetter(*x.names), x.states) for x in tracer.repeated if len(x.states) > 1]
        self._frozen = list(tracer.frozen.values())
        self._read = read
        self._settings = settings

    def hold(self, tensors: Sequence[Tensor]) -> bool:
        """Return whether they hold for a call with these arguments."""
        count = CHANGES.count
        if self._seen != count:
            if self.outdated() or self._switched():
                return False
            self._seen = count
        for leaf, spec in self._read:
            grad = leaf.now(tensors)._grad
            if grad is not None if spec is None else grad is None or grad.spec is not spec:
                return False
        for container, number in self._containers:
            if len(container) != number:
                return False
        for group, params in self._groups:
            if dict.get(group, "params") is not params:
                return False
        for numbers, states in self._together:
            if _differ(list(map(numbers, states))):
                return False
        for source, name, value, _ in self._frozen:
            if source.get(name) is not value and not unchanged(source.get(name), value):
                return False
        return all(map(Reading.renew, self._settings))

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

    def broken(self) -> str:
        """Return which of them does not hold, when one does not."""
        found = self.outdated() or self._switched()
        if found:
            return found
        for container, number in self._containers:
            if len(container) != number:
                return f"an optimizer has {len(container)} groups, parameters or states instead of {number}"
        if any(dict.get(group, "params") is not params for group, params in self._groups):
            return "an optimizer has another list of parameters"
        if any(_differ(list(map(numbers, states))) for numbers, states in self._together):
            return "parameters that an optimizer updates together have made different numbers of steps"
        for source, name, value, line in self._frozen:
            now = source.get(name)
            if not unchanged(now, value):
                return f"'{name}' of an optimizer is {now!r} instead of {value!r}, and the function itself reads it" + (
                    f" at {line}" if line else "")
        for reading in self._settings:
            name = reading.other()
            if name:
                return f"'{name}' of an optimizer changed"
        return "a `.grad` that is read came or went, or a number of an optimizer became 0 or ceased to be"


def _differ(numbers: list[Any]) -> bool:
    return numbers.count(numbers[0]) != len(numbers)
