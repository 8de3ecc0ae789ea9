"""The recorder of a function that is being compiled: it also notes what a replay must do anew, and what it cannot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from autodiff.bind import make_record
from autodiff.eager import wrap
from autodiff.errors import AutodiffError
from autodiff.primitive import NOTHING, Primitive
from autodiff.program import Record, Recorder
from autodiff.recording import rebuilt, tensors_in
from autodiff.slots import Reading, Slot
from autodiff.spec import Array, Cost, Spec, moved
from autodiff.thread_mode import MODE


class RecordingError(AutodiffError):
    """A function cannot be recorded and replayed as it is written."""


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


class Tracer(Recorder):
    """Records one call of a function.

    Args:
        fallback: whether the function may run as it is where it cannot be recorded.

    Attributes:
        refused: why it cannot be recorded.
        draws: the draw of each key, by id of the key's tensor.
        counts: for each generator how many draws it made.
        arguments: ids of the arguments.
        cut: ids of those that something outside has made.
        made: ids of the leaves that the function made: constants.
        before: content of leaves just before the function first changed them in place, by id.
        repeated: what each replay has to call.
        readings: dictionaries with settings that the program depends on.
        containers: containers that must keep the number of their members, with that number.
        grads: the leaves from outside whose `.grad` was read or set, in order.
        read: the `.grad` of those that were read before they were set, by id of the leaf; None where there was none.

    Hooks that only have effects are called by each replay again. What such a hook keeps, of what it was given or has
    made, may outlive the call; if the function uses it after all, the hook is recorded like the rest of the function.
    """

    inside = True

    def __init__(self, fallback: bool = False) -> None:
        super().__init__()
        self.fallback = fallback
        self.refused: RecordingError | None = None
        self.draws: dict[int, Draw] = {}
        self.counts: dict[Any, int] = {}
        self._first: dict[Any, int] = {}  # the number of the first draw
        self.before: dict[int, tuple[Any, Array]] = {}
        self.repeated: list[Repeated] = []
        self.readings: list[Reading] = []
        self.containers: list[tuple[Any, int]] = []
        self.grads: dict[int, Any] = {}
        self.read: dict[int, Any] = {}
        self.made: set[int] = set()
        self.arguments: set[int] = set()
        self.cut: set[int] = set()
        self._hook: _HookRun | None = None  # the one that runs
        self._calls: dict[Record, _HookRun] = {}  # of hooks that each replay calls
        self._kept: dict[int, tuple[Any, Record]] = {}  # what they have kept, by id, with the call

    def operand(self, tensor: Any) -> Any:
        """Return what `tensor` is; where a hook has kept it, the function, or another hook, uses it."""
        operand = super().operand(tensor)
        kept = self._kept.get(id(tensor))
        if kept is not None:
            if self._hook is None:
                self._hand_on(kept[1])
            else:
                self._hook.borrowed.append((kept[1], operand))
        return operand

    def target(self, tensor: Any) -> Any:
        """Return what `tensor` is, just before it changes in place; a leaf's content is kept."""
        operand = self.operand(tensor)
        if type(operand) is not tuple and id(operand) not in self.before:
            self.before[id(operand)] = (operand, operand.array.copy(order="K"))
        return operand

    def entered(self, module: Any) -> None:
        """Let the module, and all below it, tell when they change."""
        super().entered(module)
        module._watch()

    def born(self, tensor: Any) -> None:
        """Note a constant."""
        self.made.add(id(tensor))
        self.alias(tensor, tensor)  # keeps it alive, so that its id stays its own

    def drawn(self, key: Any, generator: Any) -> None:
        """Note the draw of a key."""
        self._take_part()
        draw = int(key.array[1])
        number = draw - self._first.setdefault(generator, draw)  # a checkpoint makes its draws again
        self.counts[generator] = max(self.counts.get(generator, 0), number + 1)
        self.draws[id(key)] = Draw(generator, number)
        self.alias(key, key)  # keeps the key alive, so that its id stays its own

    def asked(self, operation: str, tensor: Any, fix: str = "") -> None:
        """Refuse to give numbers: they would be those of this call for ever.

        Raises:
            RecordingError: unless the function may run as it is instead.
        """
        error = RecordingError(
            "compile",
            f"{operation} asks for the numbers of a tensor, and a compiled function does not know them in advance",
            got=f"a tensor {tensor.spec!r}" + (f" '{tensor.name}'" if tensor.name else ""),
            fix=fix or "return the tensor and look at it outside, or compute with operations such as where(), clamp()",
        )
        if self._hook is None:
            self.refuse(error)
        else:
            self._hook.questions.append(error)
            self._hook.looked_at.append(self.operand(tensor))

    def refuse(self, error: RecordingError) -> None:
        """Remember the error, and raise it unless the function may run as it is instead."""
        self.refused = self.refused or error
        if not self.fallback:
            raise error

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
        if id(leaf) not in self.grads and id(leaf) not in self.made and type(self.operand(leaf)) is not tuple:
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
        if type(self.operand(leaf)) is tuple:
            return  # of a tensor that the function made, and that nobody finds afterwards
        if id(leaf) in self.cut:
            self.refuse(RecordingError(
                "compile", "a backward pass inside the function would have to go on outside, behind an argument",
                got=repr(leaf.spec), fix="return the loss and call backward() outside, or pass x.detach()",
            ))
        if id(leaf) not in self.made:
            self.grads.setdefault(id(leaf), leaf)

    def settings(self, source: dict[str, Any], names: Sequence[str] | None = None, **renamed: str) -> dict[str, Any]:
        """Return the numbers of `source` as slots; the other settings must stay as they are."""
        given = super().settings(source, names, **renamed)
        names = [renamed.get(name, name) for name in given if name != "params"]
        if not names:
            return given
        reading = Reading(source, itemgetter(*names) if len(names) > 1 else partial(_alone, names[0]))
        self.readings.append(reading)
        for name, value in given.items():
            old = renamed.get(name, name)
            read = partial(source.__getitem__, old)
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

    def opaque(self, what: str, fix: str) -> None:
        """Refuse what a replay would not do again.

        Raises:
            RecordingError: unless the function may run as it is instead.
        """
        self.refuse(RecordingError("compile", f"{what}, which no replay would do again", fix=fix))

    def members(self, container: Any) -> None:
        """Note that the program depends on which members a container has; their number stands for them."""
        self.containers.append((container, len(container)))

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
        if self._is_outside(tensor):
            self.opaque("the function registers a hook on a tensor from outside", "register it once, before")

    def hooked(self, hook: Callable[..., Any], *arguments: Any) -> Any:
        """Call a hook, and record what it computes; one that has effects only is called by each replay, too.

        That is a hook which returns nothing, changes no tensor, draws no random numbers, registers no hook and sets no
        `.grad`. It may look at numbers, and keep what it is given.

        Raises:
            RecordingError: if another one looks at numbers, or this one at other tensors of the function, unless the
                function may run as it is instead.
        """
        if self._hook is not None:  # the one around it is called as a whole
            return hook(*arguments)
        first, before, run = len(self.records), dict(self._values), _HookRun()
        given = list(tensors_in(arguments))
        shown = [self._lent(x, run) for x in given]  # what the hook keeps is known by being another tensor
        self._hook = run
        try:
            result = hook(*rebuilt(arguments, iter(shown)))
        finally:
            self._hook = None
            for leaf, grad, other in run.grads.values():
                if leaf._grad is other:
                    leaf._grad = grad
        run.records = self.records[first:]
        own = set(run.records)
        changed = [x for record in run.records for x in self.written.get(record, ()) if x is not None]
        if result is not None or run.takes_part or any(_made_by(self._root(x)) not in own for x in changed):
            self._join(run)
            return result
        self._refuse_others(hook, run, own)
        places = [x if self._is_outside(x) else _HOLE for x in given]
        grads = list(run.grads.values())
        inputs = [x for x, place in zip(given, places, strict=True) if place is _HOLE]
        inputs += [grad for _, grad, _ in grads if grad is not None]
        call = HookCall(hook, rebuilt(arguments, iter(places)), [(leaf, grad is not None) for leaf, grad, _ in grads])
        record = make_record(call, tuple(inputs), {}, tuple([x.spec for x in inputs]), (_RAN,), None, ())
        self.add(record, [])
        self._calls[record] = run
        for key, known in self._values.items():
            if before.get(key) is not known and (tensor := known[0]()) is not None:
                self._kept[key] = tensor, record
        return None

    def _take_part(self) -> None:
        """Note that the hook that runs, if one does, does what only a recording can do again."""
        if self._hook is not None:
            self._hook.takes_part = True

    def _is_outside(self, tensor: Any) -> bool:
        """Return whether a tensor is found outside, and is the same in each replay."""
        return self.operand(tensor) is tensor and id(tensor) not in self.arguments and id(tensor) not in self.made

    def _lent(self, tensor: Any, run: _HookRun) -> Any:
        """Return what a hook gets in place of a tensor: one with the same history; a leaf of some history is itself."""
        if self._is_outside(tensor) or (tensor.needs_grad and tensor.edge is None):
            return tensor
        other = self._another(tensor)
        other.base, other.seen = tensor.base, tensor.seen
        other.edge, other.needs_grad = tensor.edge, tensor.needs_grad
        run.lent.append((tensor, other, tensor.edge))
        return other

    def _join(self, run: _HookRun) -> None:
        """Let the function go on with what a hook has done, which takes part in it."""
        for tensor, other, edge in run.lent:
            self.alias(tensor, self.operand(other))  # it may have changed in place
            tensor.seen = other.seen
            if other.edge is not edge:
                tensor.edge, tensor.needs_grad = other.edge, other.needs_grad
        for _, grad, other in run.grads.values():
            if grad is not None:
                self.alias(grad, self.operand(other))
        for call, _ in run.borrowed:
            self._hand_on(call)
        if run.questions:
            self.refuse(run.questions[0])

    def _hand_on(self, call: Record) -> None:
        """Note that the function uses what a hook has kept: so it takes part, and is not called again."""
        run = self._calls.pop(call, None)
        if run is not None:
            self.records.remove(call)
            self._kept = {key: kept for key, kept in self._kept.items() if kept[1] is not call}
            for other, _ in run.borrowed:
                self._hand_on(other)
            if run.questions:
                self.refuse(run.questions[0])

    def _refuse_others(self, hook: Callable[..., Any], run: _HookRun, own: set[Record]) -> None:
        """Refuse a hook that looks at what no replay could give it.

        Raises:
            RecordingError: unless the function may run as it is instead.
        """
        seen = [tensor for tensor, *_ in run.lent] + [grad for _, grad, _ in run.grads.values() if grad is not None]
        known = {self._root(operand) for operand in (*map(self.operand, seen), *[x for _, x in run.borrowed])}
        for x in (*run.looked_at, *[operand for record in run.records for operand in record.operands]):
            root = None if x is None else self._root(x)
            if root not in known and _made_by(root) not in own and (type(root) is tuple or id(root) in self.arguments):
                self.refuse(RecordingError(
                    "compile", "a hook looks at a tensor of the function that it is not given, which a replay has no "
                    "other one of", got=f"in {getattr(hook, '__qualname__', repr(hook))}",
                    fix="return the tensor and look at it outside, or let the hook return a gradient",
                ))

    def settle(self, results: Sequence[Any]) -> None:
        """Leave out what hooks have computed that each replay calls; `results` are what the function leaves."""
        for tensor in results:
            self.operand(tensor)  # a hook may have kept it
        dropped = {record for run in self._calls.values() for record in run.records}
        if dropped:
            self.records[:] = [record for record in self.records if record not in dropped]

    def kept(self) -> list[Any]:
        """Return what hooks have kept that each replay calls."""
        return [tensor for tensor, _ in self._kept.values()]

    def _root(self, operand: Any) -> Any:
        """Return what lay in the memory of an operand first, before views of it and changes in place."""
        while type(operand) is tuple:
            record, index = operand
            before = self.written.get(record, ())
            if index < len(before) and before[index] is not None:
                operand = before[index]
            elif record.primitive.view:
                operand = record.operands[0]
            else:
                break
        return operand

    def _another(self, tensor: Any) -> Any:
        """Return another tensor that is the same value, on the same memory."""
        other = wrap(tensor.array, tensor.spec, tensor.memory)
        self.made.discard(id(other))  # no constant
        self.alias(other, self.operand(tensor))
        return other

    def tensors(self) -> list[tuple[Any, Any]]:
        """Return every tensor that is known and lives, with what it is."""
        known = [(living(), operand) for living, operand in list(self._values.values())]
        return [(tensor, operand) for tensor, operand in known if tensor is not None]

    def forget(self) -> None:
        """Let go of all tensors and records."""
        self._values.clear()
        self.records.clear()
        self.written.clear()
        self.gradients.clear()
        self.origins.clear()
        self._calls.clear()
        self._kept.clear()


class _Item:
    """Reads an item of what another function reads."""

    __slots__ = ("number", "read")

    def __init__(self, read: Callable[[], Any], number: int) -> None:
        self.read = read
        self.number = number

    def __call__(self) -> Any:
        return self.read()[self.number]


def _alone(name: str, source: dict[str, Any]) -> tuple[Any, ...]:
    return (source[name],)


def _items(name: str, source: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(source[name])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _made_by(operand: Any) -> Any:
    """Return the record that made an operand; None for an input."""
    return operand[0] if type(operand) is tuple else None


class _HookRun:
    """What a hook does while it is recorded.

    Attributes:
        lent: tensors of the function, what the hook got in place of each, and the edge that both had.
        grads: leaves whose `.grad` it has looked at, what was there, and what it got in place of that: by id.
        questions: errors for the numbers that it has asked for.
        looked_at: what those are the numbers of.
        borrowed: what it uses of what other hooks have kept: the call, and what the tensor is.
        takes_part: whether it has done what only a recording can do again.
        records: what it has computed.
    """

    def __init__(self) -> None:
        self.lent: list[tuple[Any, Any, Any]] = []
        self.grads: dict[int, tuple[Any, Any, Any]] = {}
        self.questions: list[RecordingError] = []
        self.looked_at: list[Any] = []
        self.borrowed: list[tuple[Record, Any]] = []
        self.takes_part = False
        self.records: list[Record] = []


class HookCall(Primitive):
    """The operation that calls a hook which has effects only: its result says that it has run.

    Args:
        hook: the hook.
        arguments: of the call that was recorded, with holes for the tensors that are others in each replay: copies of
            the operation's inputs.
        leaves: leaves whose `.grad` it looks at, and whether there was one: a copy of the next input.
    """

    __slots__ = ("_arguments", "_grad", "_hook", "_leaves")

    def __init__(
        self, hook: Callable[..., Any], arguments: tuple[Any, ...], leaves: Sequence[tuple[Any, bool]]
    ) -> None:
        # Not one of the table: each call is an operation of its own, and goes with its program.
        self.name = "hook"
        self.saves = NOTHING
        self.vjp = self.twin = self.prepare = self.scratch = self.status = self.relocate = self.formula = None
        self.view = self.differentiable = False
        self.host = True
        self.plans, self.keeps = {}, {}
        self.infer = lambda *_: _RAN
        self.cost = lambda inputs, outputs: Cost(0, moved(*inputs, *outputs))
        self.run = self._call
        self._hook = hook
        self._arguments = arguments
        self._leaves = leaves
        self._grad = MODE.grad

    def _call(self, outs: Sequence[Array], ins: Sequence[Array]) -> None:
        """Call the hook.

        Raises:
            RecordingError: if it returns something or changes a tensor, as it did not when it was recorded.
        """
        copies = [wrap(array.copy("K")) for array in ins]
        tensors = iter(copies)
        arguments = rebuilt(self._arguments, tensors, _Hole)
        shown = [(leaf, next(tensors) if there else None) for leaf, there in self._leaves]
        grads, mode = [leaf._grad for leaf, _ in shown], MODE.grad
        for leaf, grad in shown:
            leaf._grad = grad
        MODE.grad = self._grad
        try:
            result = self._hook(*arguments)
            changed = any(x.memory.version for x in copies) or any(leaf._grad is not grad for leaf, grad in shown)
        finally:
            MODE.grad = mode
            for (leaf, _), grad in zip(shown, grads, strict=True):
                leaf._grad = grad
        if result is not None:
            raise RecordingError("compile", "a hook returns something that returned nothing when it was recorded",
                                 got=type(result).__name__, fix="let it return a tensor each time, or never")
        if changed:
            raise RecordingError("compile", "a hook changes a tensor that it left alone when it was recorded",
                                 fix="let it do so each time, or never, and decide with where()")
        outs[0][...] = True


_RAN = Spec.of((), np.dtype(np.bool_))  # the type of its result


class _Hole:
    """Stands for a tensor among the arguments of a hook."""


_HOLE: Any = _Hole()
