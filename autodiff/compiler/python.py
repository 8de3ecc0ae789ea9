"""The part of the recorder that deals with Python nobody can see into: hooks, users' own functions, random numbers.

What such Python computes with operations is recorded like the rest of the function. Where that is not enough, because
it looks at numbers or has effects, the call itself is recorded, if each replay can make it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from autodiff.bind import make_record
from autodiff.compiler.calls import HOLE, RAN, BackwardCall, ForwardCall, HookCall, RecordingError
from autodiff.compiler.generators import Generators
from autodiff.eager import Tensor, wrap
from autodiff.program import Record
from autodiff.program_recorder import Recorder
from autodiff.recording import rebuilt, tensors_in
from autodiff.source import Line, here
from autodiff.thread_mode import MODE


class Frozen(NamedTuple):
    """A setting of an optimizer that the function itself looks at, and where."""

    group: dict[str, Any]
    name: str
    value: Any
    line: Line | None


class PythonTracer(Recorder):
    """Records one call of a function: hooks and users' own functions.

    Args:
        fallback: whether the function may run as it is where it cannot be recorded.
        generators: of random numbers that are not ours, and that the function may draw from.

    Attributes:
        refused: why it cannot be recorded.
        arguments: ids of the arguments.
        made: ids of the leaves that the function made: constants.
        frozen: settings of optimizers that the function itself computes with.

    Hooks that only have effects are called by each replay again. What such a hook keeps, of what it was given or has
    made, may outlive the call; if the function uses it after all, the hook is recorded like the rest of the function.
    """

    inside = True

    def __init__(self, fallback: bool = False, generators: Sequence[Any] = ()) -> None:
        super().__init__()
        self.fallback = fallback
        self.refused: RecordingError | None = None
        self.made: set[int] = set()
        self.arguments: set[int] = set()
        self.frozen: dict[tuple[int, str], Frozen] = {}
        self._generators = Generators(generators)
        self._hook: _HookRun | None = None  # the one that runs
        self._calls: dict[Record, _HookRun] = {}  # of hooks that each replay calls
        self._kept: dict[int, tuple[Any, Record]] = {}  # what they have kept, by id, with the call
        self._numbers: dict[Record, RecordingError] = {}  # calls of functions that look at numbers: what they ask for
        self._contexts: dict[int, tuple[Any, ForwardCall, Any]] = {}  # by id: the context, the call, its last result

    def operand(self, tensor: Any) -> Any:
        """Return what `tensor` is; where a hook has kept it, the function, or another hook, uses it."""
        operand = self._known(tensor)
        kept = self._kept.get(id(tensor))
        if kept is not None:
            if self._hook is None:
                self._hand_on(kept[1])
            else:
                self._hook.borrowed.append((kept[1], operand))
        return operand

    def _known(self, tensor: Any) -> Any:
        """Return what `tensor` is; nobody uses it."""
        return super().operand(tensor)

    def add(self, record: Record | None, results: Sequence[Any], written: tuple[Any, ...] = ()) -> None:
        """Append a record."""
        self._look_at_generators()
        super().add(record, results, written)

    def refuse(self, error: RecordingError) -> None:
        """Remember the error, and raise it unless the function may run as it is instead."""
        self.refused = self.refused or error
        if not self.fallback:
            raise error

    def opaque(self, what: str, fix: str) -> None:
        """Refuse what a replay would not do again.

        Raises:
            RecordingError: unless the function may run as it is instead.
        """
        self.refuse(RecordingError("compile", f"{what}, which no replay would do again", fix=fix))

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

    def _look_at_generators(self, line: Line | None = None) -> None:
        """Refuse numbers that somebody has drawn from a generator that is not ours, as if a tensor's were asked for."""
        name = self._generators.moved()
        if not name:
            return
        error = RecordingError(
            "compile", f"the function draws from {name}, and a replay would have the numbers of this call for ever",
            got="in this line or just before it", line=line,
            fix="draw with autodiff.rand() or the like, or outside, and pass a tensor",
        )
        if self._hook is None:
            self.refuse(error)
        else:
            self._hook.questions.append(error)

    def setting_read(self, group: dict[str, Any], name: str, value: Any) -> None:
        """Note that the function itself looks at a setting: the program holds for this value."""
        if name != "params" and MODE.phase != "update":
            frozen = self.frozen if self._hook is None else self._hook.frozen
            frozen.setdefault((id(group), name), Frozen(group, name, value, here()))

    def hooked(self, hook: Callable[..., Any], *arguments: Any) -> Any:
        """Call a hook, and record what it computes; one that has effects only is called by each replay, too.

        That is a hook which returns nothing, changes no tensor, draws no random numbers, registers no hook and sets no
        `.grad`. It may look at numbers, and keep what it is given.

        Raises:
            RecordingError: if another one looks at numbers, or this one at other tensors of the function, unless the
                function may run as it is instead.
        """
        if self._hook is not None and self._hook.hook is not None:  # the one around it is called as a whole
            return hook(*arguments)
        before, run = dict(self._values), _HookRun(hook)
        given = list(tensors_in(arguments))
        shown = [self._lent(x, run) for x in given]  # what the hook keeps is known by being another tensor
        result = self._run(run, hook, *rebuilt(arguments, iter(shown)))
        if result is not None or run.takes_part:
            self._join(run)
            return result
        other = self._other(run, [])
        if other:
            self.refuse(RecordingError(
                "compile", "a hook looks at a tensor of the function that it is not given, which a replay has no "
                "other one of", got=f"in {getattr(hook, '__qualname__', repr(hook))}",
                fix="return the tensor and look at it outside, or let the hook return a gradient",
            ))
        places = [x if self._is_outside(x) else HOLE for x in given]
        grads = list(run.grads.values())
        inputs = [x for x, place in zip(given, places, strict=True) if place is HOLE]
        inputs += [grad for _, grad, _ in grads if grad is not None]
        call = HookCall(hook, rebuilt(arguments, iter(places)), [(leaf, grad is not None) for leaf, grad, _ in grads])
        record = make_record(call, tuple(inputs), {}, tuple([x.spec for x in inputs]), (RAN,), None, ())
        self.add(record, [])
        self._calls[record] = run
        self._keep(record, before)
        return None

    def forward_of(self, name: str, forward: Callable[..., Any], context: Any, args: Any, kwargs: Any) -> Any:
        """Call the forward pass of a user's own function, and record its operations; if it looks at numbers, the call.

        Raises:
            RecordingError: if it looks at numbers, and cannot be called by a replay either; see `hooked`.
        """
        if self._hook is not None:
            return forward(context, args, kwargs)
        first, before, run = len(self.records), dict(self._values), _HookRun()
        results = self._run(run, forward, context, args, kwargs)
        if not run.questions:
            self._join(run)
            return results
        given = list(tensors_in((args, kwargs)))
        outputs = results if isinstance(results, tuple) else (results,)
        if run.takes_part or self._other(run, given) or not all(self._is_new(x, given) for x in outputs):
            self._join(run)
            return results
        places = [x if self._is_outside(x) else HOLE for x in given]
        inputs = [x for x, place in zip(given, places, strict=True) if place is HOLE]
        call = ForwardCall(name, forward, context, rebuilt((args, kwargs), iter(places)), [x.spec for x in outputs])
        ran = wrap(np.ones((), np.bool_))
        self._replace(call, first, inputs, [*outputs, ran], before, run.questions[0])
        self._contexts[id(context)] = context, call, ran
        return results

    def backward_of(self, name: str, backward: Callable[..., Any], context: Any, cotangents: tuple[Any, ...]) -> Any:
        """Do the same for the backward pass; where the call of the forward pass is recorded, it always is the call.

        Raises:
            RecordingError: if it looks at numbers, and cannot be called by a replay either.
        """
        if self._hook is not None:
            return backward(context, *cotangents)
        first, before, run = len(self.records), dict(self._values), _HookRun()
        _, forward, ran = self._contexts.get(id(context), (None, None, None))
        found = self._run(run, backward, context, *cotangents)
        if forward is None and not run.questions:
            self._join(run)
            return found
        given = [*tensors_in(vars(context)), *tensors_in(cotangents)]
        gradients = list(found) if isinstance(found, tuple | list) else [found]
        gradients = [x if x is None or self._is_new(x, given) else wrap(x.array.copy("K")) for x in gradients]
        if MODE.grad or run.takes_part or self._other(run, given):
            if not run.questions:
                self.opaque(f"the backward pass of {name} does more than compute", "let forward() use operations")
            self._join(run)
            return found
        if forward is not None:  # it has the context of the same replay
            given = list(tensors_in(cotangents))
        places = [x if self._is_outside(x) else HOLE for x in given]
        inputs = [x for x, place in zip(given, places, strict=True) if place is HOLE]
        holes = iter(places)
        template = context.like(holes) if forward is None else None
        made = [x for x in gradients if x is not None]
        call = BackwardCall(name, backward, forward, template, rebuilt(cotangents, holes),
                            [None if x is None else x.spec for x in gradients])
        error = run.questions[0] if run.questions else RecordingError("compile", f"{name} hands a tensor on")
        self._replace(call, first, [*inputs, *([] if ran is None else [ran])], made, before, error)
        return tuple(gradients)

    def _run(self, run: _HookRun, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call the user's Python, and note what it does."""
        self._look_at_generators()
        first, outer = len(self.records), self._hook
        self._hook = run
        try:
            result = function(*arguments)
            self._look_at_generators()
        finally:
            self._hook = outer
            for leaf, grad, other in run.grads.values():
                if leaf._grad is other:
                    leaf._grad = grad
        run.records = self.records[first:]
        own = set(run.records)
        changed = [x for record in run.records for x in self.written.get(record, ()) if x is not None]
        run.takes_part = run.takes_part or any(_made_by(self._root(x)) not in own for x in changed)
        return result

    def _replace(
        self, call: Any, first: int, inputs: Sequence[Any], outputs: Sequence[Any], before: dict[int, Any],
        error: RecordingError,
    ) -> None:  # fmt: skip
        """Record a call in place of what it has computed; `error` is for what it may hand on besides."""
        del self.records[first:]
        specs, made = tuple([x.spec for x in inputs]), tuple([x.spec for x in outputs])
        record = make_record(call, tuple(inputs), {}, specs, made, None, ())
        self.made.difference_update(map(id, outputs))
        self.add(record, outputs)
        self._numbers[record] = error
        self._keep(record, before)
        for x in outputs:
            self._kept.pop(id(x), None)

    def _keep(self, call: Record, before: dict[int, Any]) -> None:
        """Note what a call has made, or was lent, and has kept: what is known now and was not before."""
        for key, known in self._values.items():
            if before.get(key) is not known and (tensor := known[0]()) is not None:
                self._kept[key] = tensor, call

    def _is_new(self, result: Any, given: Sequence[Any]) -> bool:
        """Return whether a result is a dense tensor on memory of its own."""
        known = {self._root(self._known(x)) for x in given}
        return (isinstance(result, Tensor) and result.spec.order is not None
                and self._root(self._known(result)) not in known)

    def _take_part(self) -> None:
        """Note that the hook that runs, if one does, does what only a recording can do again."""
        if self._hook is not None:
            self._hook.takes_part = True

    def _is_outside(self, tensor: Any) -> bool:
        """Return whether a tensor is found outside, and is the same in each replay."""
        return self._known(tensor) is tensor and id(tensor) not in self.arguments and id(tensor) not in self.made

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
        self._answer_for(run)

    def _hand_on(self, call: Record) -> None:
        """Note that the function uses what a hook has kept: so it takes part, and is not called again."""
        if call in self._numbers:
            self.refuse(self._numbers[call])
        run = self._calls.pop(call, None)
        if run is not None:
            self.records[:] = [record for record in self.records if record is not call]
            self._kept = {key: kept for key, kept in self._kept.items() if kept[1] is not call}
            for other, _ in run.borrowed:
                self._hand_on(other)
            self._answer_for(run)

    def _answer_for(self, run: _HookRun) -> None:
        """Let what was looked at in Python be for ever what it was: no replay runs that Python."""
        self.frozen |= run.frozen
        if run.questions:
            self.refuse(run.questions[0])

    def _other(self, run: _HookRun, given: Sequence[Any]) -> bool:
        """Return whether Python looks at a tensor of the function that no replay could give it."""
        seen = [tensor for tensor, *_ in run.lent] + [grad for _, grad, _ in run.grads.values() if grad is not None]
        operands = [*map(self._known, (*seen, *given)), *[x for _, x in run.borrowed]]
        known, own = set(map(self._root, operands)), set(run.records)
        for x in (*run.looked_at, *[operand for record in run.records for operand in record.operands]):
            root = None if x is None else self._root(x)
            if root not in known and _made_by(root) not in own and (type(root) is tuple or id(root) in self.arguments):
                return True
        return False

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

    def forget(self) -> None:
        """Let go of all tensors and records."""
        for known in (self._values, self.records, self.written, self.gradients, self.origins, self.calls, self._calls,
                      self.module_calls, self._outermost, self._kept, self._numbers, self._contexts):  # fmt: skip
            known.clear()


def _made_by(operand: Any) -> Any:
    """Return the record that made an operand; None for an input."""
    return operand[0] if type(operand) is tuple else None


class _HookRun:
    """What a hook, or a user's own function, does while it is recorded.

    Attributes:
        hook: the hook; None for a function.
        lent: tensors of the function, what the hook got in place of each, and the edge that both had.
        grads: leaves whose `.grad` it has looked at, what was there, and what it got in place of that: by id.
        questions: errors for the numbers that it has asked for.
        frozen: settings of optimizers that it has looked at.
        looked_at: what those are the numbers of.
        borrowed: what it uses of what other hooks have kept: the call, and what the tensor is.
        takes_part: whether it has done what only a recording can do again.
        records: what it has computed.
    """

    def __init__(self, hook: Callable[..., Any] | None = None) -> None:
        self.hook = hook
        self.lent: list[tuple[Any, Any, Any]] = []
        self.grads: dict[int, tuple[Any, Any, Any]] = {}
        self.questions: list[RecordingError] = []
        self.frozen: dict[tuple[int, str], Frozen] = {}
        self.looked_at: list[Any] = []
        self.borrowed: list[tuple[Record, Any]] = []
        self.takes_part = False
        self.records: list[Record] = []
