"""Trade time for memory: forget what a part of the forward pass saved, and compute it again for the backward pass.

Chen et al., "Training deep nets with sublinear memory cost", 2016; Griewank & Walther, "Algorithm 799: revolve", 2000.

The records of the part stay as they are; only the arrays they saved are dropped. When the backward pass first asks one
of them for a saved array, the function runs again, and its new records hand their arrays to the old ones. So everything
that works on a tape works here: `autograd.grad`, hooks, `create_graph`, tensors that the function reaches from outside.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any, cast

from autodiff import bind
from autodiff.eager import Tensor, wrap
from autodiff.errors import GradientError, InPlaceError
from autodiff.program import Memory, Record
from autodiff.program_recorder import Recorder
from autodiff.random import default_generator
from autodiff.recording import tensors_in
from autodiff.spec import Array
from autodiff.thread_mode import MODE

__all__ = ["checkpoint", "checkpoint_sequential"]


def checkpoint(
    function: Callable[..., Any], *args: Any, use_reentrant: bool | None = None, preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """Return ``function(*args, **kwargs)`` without keeping what its operations save for the backward pass.

    Args:
        function: a module or any function of tensors. It runs once more in the backward pass and must then do the same
            operations; what it changes besides (running statistics of batch norm, counters) is changed twice.
        args, kwargs: its arguments; tensors in them must not change in place before the backward pass.
        use_reentrant: accepted for PyTorch's sake; every use is supported.
        preserve_rng_state: draw the same random numbers again.

    Returns:
        What the function returns. Only what the user's own `autograd.Function` saves is kept.

    Raises:
        InPlaceError: if the function changes one of its arguments in place.
        GradientError: in the backward pass, if the function did something else the second time.

    >>> import autodiff as ad
    >>> from autodiff.utils.checkpoint import checkpoint
    >>> x = ad.tensor(2.0, requires_grad=True)
    >>> checkpoint(lambda x: (x * x) * x, x).backward()
    >>> x.grad
    tensor(12.)
    """
    if not MODE.grad:
        return function(*args, **kwargs)
    given = list(tensors_in((args, kwargs)))
    versions = []
    for x in given:
        _ = x.grad_fn  # a view whose base has changed takes up its new history now, outside the part
        versions.append(x.memory.version)
    again = _Again(function, args, kwargs, default_generator.state() if preserve_rng_state else None)
    recorder = MODE.recorder
    recorded = 0 if recorder is None else len(recorder.records)
    start = bind.next_number()
    result = function(*args, **kwargs)
    for x, version in zip(given, versions, strict=True):
        if x.memory.version != version:
            raise InPlaceError("checkpoint", "the function changed one of its arguments in place, so it cannot run "
                               "again", got=f"{x.spec!r}, changed at {x.memory.changed}",
                               fix="change a clone() of it instead")
    again.follow(_records_since(start, result), () if recorder is None else recorder.records[recorded:])
    return result


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, preserve_rng_state: bool = True,
) -> Any:
    """Run functions one after the other in `segments` parts, each but the last under `checkpoint`.

    Args:
        functions: modules or functions of one argument, as a sequence or `nn.Sequential`.
        segments: number of parts of equal length (the last takes what is left over).
        input: argument of the first.
        use_reentrant, preserve_rng_state: as in `checkpoint`.

    >>> import autodiff as ad
    >>> from autodiff.utils.checkpoint import checkpoint_sequential
    >>> x = ad.tensor(0.5, requires_grad=True)
    >>> checkpoint_sequential([ad.exp, ad.sin, ad.exp], 3, x).requires_grad
    True
    """
    steps = list(functions)
    size = max(len(steps) // segments, 1)
    bounds = list(range(0, len(steps), size))[:segments]

    def run(part: Sequence[Callable[[Any], Any]], value: Any) -> Any:
        for step in part:
            value = step(value)
        return value

    for start in bounds[:-1]:
        input = checkpoint(run, steps[start:start + size], input, preserve_rng_state=preserve_rng_state)
    return run(steps[bounds[-1]:], input) if bounds else input


class _Again:
    """Knows how to run the function again, and which saved arrays it is then to bring back.

    It refers to its arguments' memory, never to the tensors: those may come to depend on the records made here, which
    hold this object, and nothing may be freed by the cycle collector only.
    """

    def __init__(self, function: Callable[..., Any], args: Any, kwargs: Any, state: tuple[int, int] | None) -> None:
        self.function = function
        self.arguments = _without_history((args, kwargs))
        self.state = state
        self.scope = MODE.scope
        self.signatures: list[tuple[Any, ...]] = []
        self.dropped: list[weakref.ref[_Saved]] = []
        self.first: list[weakref.ref[Record]] = []
        self.recorded: list[weakref.ref[Record]] = []

    def follow(self, records: list[Record], recorded: Sequence[Record]) -> None:
        """Drop what these records saved, and remember which they are.

        Args:
            records: those that lead to the result.
            recorded: all that the function has made, if a recorder collects them.
        """
        self.first, self.recorded = (list(map(weakref.ref, some)) for some in (records, recorded))
        for record in records:
            self.signatures.append(_signature(record))
            saved = _Saved(self, record.saved)
            if record.saved:  # one without would never be told to let go, and hold the arguments to the end
                record.saved = cast(Any, saved)
            self.dropped.append(weakref.ref(saved))

    def run(self) -> None:
        """Run the function again and give what its records save to those that dropped it.

        Raises:
            GradientError: if the operations are not the same as the first time.
        """
        mode = MODE
        before = mode.grad, mode.recorder, mode.origin, mode.scope
        recorder = mode.recorder
        recorded = 0 if recorder is None else len(recorder.records)
        now = default_generator.state()
        mode.grad, mode.recorder, mode.origin, mode.scope = True, None, None, self.scope
        try:
            if self.state is not None:
                default_generator.restore(self.state)
            mode.recorder = recorder
            args, kwargs = _as_tensors(self.arguments)
            start = bind.next_number()
            records = _records_since(start, self.function(*args, **kwargs))
        finally:
            mode.recorder = None
            if self.state is not None:
                default_generator.restore(now)
            mode.grad, mode.recorder, mode.origin, mode.scope = before
        if [_signature(record) for record in records] != self.signatures:
            raise GradientError(
                "checkpoint", "the function did other operations in the backward pass than in the forward pass",
                expected=f"{len(self.signatures)} records", got=f"{len(records)} records, or other shapes",
                fix="let it depend on nothing that changes in between (train/eval, counters, its own random numbers)")
        for record, reference in zip(records, self.dropped, strict=True):
            saved = reference()
            if saved is not None:
                saved.entries = record.saved
        # A recording that is to be replayed keeps what was computed first: of this run it needs the effects alone.
        if recorder is not None and not recorder.inside:
            self._tell(recorder, records, recorder.records[recorded:])
            left = set(_records_since(start, recorder.living()))
            for record in set(records).intersection(recorder.records[recorded:]) - left:
                # The recorder keeps it, but nobody goes back through it, to arguments that are to be freed.
                record.saved, record.edges = None, record.operands

    def _tell(self, recorder: Recorder, records: list[Record], recorded: list[Record]) -> None:
        """Tell a recorder which records of the first run these have computed again.

        Args:
            recorder: that has heard of this run.
            records: those that lead to the result.
            recorded: all.
        """
        first = [reference() for reference in self.recorded]
        if [record and record.primitive for record in first] != [record.primitive for record in recorded]:
            first, recorded = [reference() for reference in self.first], records  # it has not heard of the first run
        recorder.ran_again({new: old for new, old in zip(recorded, first, strict=True) if old is not None})


class _Saved:
    """Stands for the saved arrays of a record: there when somebody asks for one.

    Attributes:
        versions: of their memories when they were saved. The arrays that come back are checked against these, so that a
            tensor which has changed in place in between is an error as without `checkpoint`.
        entries: the arrays once they are back, None until then.
    """

    __slots__ = ("__weakref__", "again", "entries", "versions")

    def __init__(self, again: _Again, saved: Any) -> None:
        self.again = again
        self.versions: list[int] = saved.versions if isinstance(saved, _Saved) else [version for _, _, version in saved]
        self.entries: Any = None

    @property
    def kept(self) -> list[Any]:
        """What is kept to compute the arrays again: the operands that the function was given."""
        found: list[_Argument] = []
        _mapped(self.again.arguments, _Argument, found.append)
        return [argument.operand for argument in found]

    def __len__(self) -> int:
        return len(self.versions)

    def __getitem__(self, place: int) -> tuple[Array, Memory, int]:
        if self.entries is None:
            self.again.run()
        array, memory, _ = self.entries[place]
        return array, memory, self.versions[place]


class _Argument:
    """A tensor without its history: array, spec and memory, and whether it requires a gradient."""

    __slots__ = ("array", "copied_view", "known", "memory", "needs_grad", "spec", "version")

    def __init__(self, x: Tensor) -> None:
        self.array, self.spec, self.memory, self.version = x.array, x.spec, x.memory, x.memory.version
        self.needs_grad, self.copied_view = x.needs_grad, x.copied_view
        self.memory.shared = True
        operand = x.edge if MODE.recorder is None else MODE.recorder.operand(x)
        # Not to hold the history of an argument that nothing goes back through.
        self.known = (weakref.ref(operand[0]), operand[1]) if type(operand) is tuple else operand

    @property
    def operand(self) -> Any:
        """What the tensor is; None where nobody holds its record any more."""
        if type(self.known) is not tuple:
            return self.known
        record = self.known[0]()
        return None if record is None else (record, self.known[1])

    def tensor(self) -> Tensor:
        """Return a leaf on the same memory.

        Raises:
            InPlaceError: if the memory has changed since.
        """
        if self.memory.version != self.version:
            raise InPlaceError("checkpoint", f"an argument {self.spec!r} was changed in place before the backward pass,"
                               " so the function cannot run again", expected=f"version {self.version}",
                               got=f"version {self.memory.version}, last changed at {self.memory.changed}",
                               fix="change a clone() of it instead")
        x = wrap(self.array, self.spec, self.memory)
        x.needs_grad, x.copied_view = self.needs_grad, self.copied_view
        if MODE.recorder is not None:
            MODE.recorder.alias(x, self.operand)
        return x


def _without_history(value: Any) -> Any:
    return _mapped(value, Tensor, _Argument)


def _as_tensors(value: Any) -> Any:
    return _mapped(value, _Argument, _Argument.tensor)


def _mapped(value: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """Return nested tuples, lists and dictionaries with every `kind` in them changed."""
    if isinstance(value, kind):
        return change(value)
    if isinstance(value, dict):
        return {key: _mapped(item, kind, change) for key, item in value.items()}
    if isinstance(value, tuple | list):
        items = [_mapped(item, kind, change) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def _records_since(start: int, result: Any) -> list[Record]:
    """Return the records that lead to a result and were made after `start`, in order."""
    stack = [x.grad_fn for x in tensors_in(result)]
    found: set[Record] = set()
    while stack:
        record = stack.pop()
        if record is not None and record.number > start and record not in found:
            found.add(record)
            stack += [edge[0] for edge in record.edges if type(edge) is tuple]
    return sorted(found, key=lambda record: record.number)


def _signature(record: Record) -> tuple[Any, ...]:
    return record.name, record.inputs, record.outputs, record.tracked
