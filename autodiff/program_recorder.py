"""What listens while a function is being recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from inspect import CO_OPTIMIZED
from itertools import count
from types import FrameType
from typing import Any
from weakref import ref

from autodiff.program import Record
from autodiff.program_scopes import around
from autodiff.thread_mode import MODE

_next_call = count(1).__next__
_CALL = "<call>"  # which no variable of a function is called


class Recorder:
    """Collects every record of this thread while a function is being recorded, and knows what each tensor is.

    The methods from `target` on are what the library tells it of. They do nothing here; the compiler's recorder needs
    to know.

    Attributes:
        records: in the order they ran.
        written: for each record that wrote into memory that was there before, what its outputs were before; for one
            that only says what a change through a view has made of its base, that base.
        inside: whether the operations inside a user's own `Function` are recorded, instead of the function.
        gradients: for each record whose outputs are gradients: output index, and what it is the gradient of.
        origins: for each record of a backward pass the record that it propagates back through, or computes again.
        again: for each record whose results were computed again the one that did so last.
        recomputed: for each record that computes something again the phase in which it was computed before.
        calls: for each record that a public function has made the number of the call.
        module_calls: for each record the numbers of the calls of the modules in its scope, as far as they are known.
        classes: class names of the modules that were called, by their paths.
    """

    inside = False

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.written: dict[Record, tuple[Any, ...]] = {}
        self.gradients: dict[Record, list[tuple[int, Any]]] = {}
        self.origins: dict[Record, Any] = {}
        self.again: dict[Record, Record] = {}
        self.recomputed: dict[Record, str] = {}
        self.calls: dict[Record, int] = {}
        self.module_calls: dict[Record, tuple[int | None, ...]] = {}
        self.classes: dict[str, str] = {}
        self._values: dict[int, tuple[Callable[[], Any], Any]] = {}
        self._entered: dict[int, tuple[str, tuple[int | None, ...]]] = {}  # by id of the text that is the scope inside
        self._outermost: dict[int, tuple[Any, str]] = {}  # modules and their names by id of the module
        self._named: Counter[str] = Counter()

    def columns(self) -> dict[str, list[Any]]:
        """Return what was heard besides, as columns of the program."""
        gradients = [tuple(self.gradients.get(record, ())) for record in self.records]
        known = {scope: self._classes_of(scope) for scope in {record.scope for record in self.records}}
        classes = [known[record.scope] for record in self.records]
        origins = [self.origins.get(record) for record in self.records]
        calls = [self.calls.get(record) for record in self.records]
        again = [(self.recomputed[record],) if record in self.recomputed else () for record in self.records]
        modules = [self.module_calls.get(record, ()) for record in self.records]
        columns: dict[str, list[Any]] = {
            "gradient_of": gradients, "origin": origins, "classes": classes, "call_number": calls,
            "module_calls": modules, "recomputed": again}
        return {name: column for name, column in columns.items() if any(column)}

    def _classes_of(self, scope: str) -> tuple[str, ...]:
        return tuple([self.classes.get(path, "") for path in around(scope)]) if self.classes else ()

    def add(self, record: Record | None, results: Sequence[Any], written: tuple[Any, ...] = ()) -> None:
        """Append a record, and note that the tensors `results` are its outputs."""
        assert record is not None
        self.records.append(record)
        origin = MODE.origin
        if origin is not None:
            self.origins[record] = origin
        if origin is not None and record.scope is origin.scope:
            self.module_calls[record] = self.module_calls.get(origin, ())
        else:
            self.module_calls[record] = self._entered.get(id(record.scope), ("", ()))[1]
        if written:
            self.written[record] = written
        for index, tensor in enumerate(results):
            self.alias(tensor, (record, index))

    def alias(self, tensor: Any, operand: Any) -> None:
        """Note that `tensor` is now the value `operand`, for as long as it lives: then its id may be another one's.

        What is no output of a record is kept alive: only by its id will somebody know it again.
        """
        key, values = id(tensor), self._values
        if type(operand) is tuple:
            values[key] = ref(tensor, lambda _: values.pop(key, None)), operand
        else:
            values[key] = (lambda: tensor), operand

    def operand(self, tensor: Any) -> Any:
        """Return what `tensor` is: an output of a record, or an input of the program."""
        found = self._values.get(id(tensor))
        return tensor if found is None or found[1] is None else found[1]

    def target(self, tensor: Any) -> Any:
        """Return what `tensor` is, just before it changes in place."""
        return self.operand(tensor)

    def latest(self, record: Record) -> Record:
        """Return the record whose results those of `record` are by now: itself, or one that computed them again."""
        while record in self.again:
            record = self.again[record]
        return record

    def living(self) -> list[Any]:
        """Return the tensors that records have made and that somebody still has."""
        made = [found for found, operand in self._values.values() if type(operand) is tuple]
        return [x for found in made if (x := found()) is not None]

    def made_in(self, frame: FrameType, record: Record) -> None:
        """Hear that `record` was made in the call of a public function that runs in `frame`.

        The call's number is put among its local variables: a frame may come to lie where another has lain, and to hold
        it would keep its tensors alive.
        """
        variables = frame.f_locals
        number = variables.get(_CALL) or _next_call()
        if type(variables) is dict and frame.f_code.co_flags & CO_OPTIMIZED:
            variables.clear()  # before Python 3.13 it is a copy, which the frame keeps, and dropped tensors with it
        variables[_CALL] = number
        self.calls[record] = number

    def ran_again(self, first: Mapping[Record, Record]) -> None:
        """Hear that records have computed again what others, the values of this mapping, had computed before."""
        for record, before in first.items():
            self.again[before], self.origins[record] = record, before
            self.recomputed[record] = self.recomputed.get(before, before.phase)
            record.scope = before.scope
            self.module_calls[record] = self.module_calls.get(before, ())
            record.code, record.offset = before.code, before.offset  # a module was called by the backward pass here

    def arrived(self, edge: Any, cotangent: Any) -> None:
        """Hear that `cotangent` is the whole gradient of a record's output ``(record, output index)``, or of a leaf."""
        value = self.operand(cotangent)
        if type(value) is tuple:
            self.gradients.setdefault(value[0], []).append((value[1], edge))

    def name_of(self, module: Any, label: str) -> str:
        """Return what to call a module that no other one calls: its label, with a number behind that of another one."""
        known = self._outermost.get(id(module))
        if known is None:
            self._named[label] += 1
            number = self._named[label]
            known = self._outermost[id(module)] = module, label if number == 1 else f"{label}_{number}"
        return known[1]

    def entered(self, module: Any, outer: str) -> None:
        """Hear that a module is called where the scope was `outer`.

        Calls are known again by the text that is their scope: each of a module in another has one of its own, and those
        of an outermost module come one after the other.
        """
        label = MODE.scope
        around = self._entered.get(id(outer), ("", ()))[1]
        unknown = (None,) * (label.count(".") - len(around))  # such as that of a list that the module is in
        self._entered[id(label)] = label, (*around, *unknown, _next_call())
        if label not in self.classes:
            for path, inside in module.named_modules():
                self.classes[f"{label}.{path}" if path else label] = type(inside).__name__

    def born(self, tensor: Any) -> None:
        """Hear that `tensor` was made of numbers that no operation computed."""

    def replaced(self, tensor: Any, value: Any) -> None:
        """Hear that `tensor` is about to be put on the memory of `value`."""

    def drawn(self, key: Any, generator: Any) -> None:
        """Hear that `key` is the key of the draw that `generator` made last."""

    def asked(self, operation: str, tensor: Any, fix: str = "") -> None:
        """Hear that somebody wants to know the numbers of `tensor`, and what to do instead, where that is special."""

    def grad_read(self, leaf: Any) -> None:
        """Hear that the `.grad` of `leaf` is looked at."""

    def grad_set(self, leaf: Any) -> None:
        """Hear that `leaf` is about to get another `.grad`."""

    def settings(self, source: dict[str, Any], names: Sequence[str] | None = None, **renamed: str) -> dict[str, Any]:
        """Return the numbers of `source` as an operation should get them; `renamed` are new names with old ones."""
        kept = dict.fromkeys(source if names is None else names)
        return {name: source[old] for name, old in (*zip(kept, kept, strict=True), *renamed.items())}

    def opaque(self, what: str, fix: str) -> None:
        """Hear that something happens that is no operation, and what to do instead."""

    def watch(self, thing: Any) -> None:
        """Hear that what is recorded depends on a module or an optimizer, which tells of changes once it is watched."""

    def changed(self, text: str) -> None:
        """Hear of a change of something that is watched."""

    def switched(self, owner: Any, name: str, text: str) -> None:
        """Hear that a switch of something that is watched is thrown, such as from training to evaluation."""

    def setting_read(self, group: dict[str, Any], name: str, value: Any) -> None:
        """Hear that somebody looks at an entry of an optimizer's parameter group."""

    def hook_registered(self, tensor: Any) -> None:
        """Hear that `tensor` is given a hook."""

    def hooked(self, hook: Callable[..., Any], *arguments: Any) -> Any:
        """Call a hook, and return what it returns."""
        return hook(*arguments)

    def forward_of(self, name: str, forward: Callable[..., Any], context: Any, args: Any, kwargs: Any) -> Any:
        """Call the forward pass of a user's own `Function`, and return its result."""
        return forward(context, args, kwargs)

    def backward_of(self, name: str, backward: Callable[..., Any], context: Any, cotangents: tuple[Any, ...]) -> Any:
        """Call the backward pass of a user's own `Function`, and return its result."""
        return backward(context, *cotangents)

    def members(self, container: Any) -> None:
        """Hear that what is recorded depends on which members a container has."""

    def repeat(
        self, advance: Any, conclude: Any, states: Sequence[dict[str, Any]], names: Sequence[str]
    ) -> None:
        """Hear that ``advance()`` comes before what is recorded next, and ``conclude()`` after it.

        Each repetition must call them. They change these numbers of the `states`, which agree in them.
        """
