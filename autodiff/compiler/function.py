"""`compile`: a function whose third call, and every later one, replays what the second did."""

from __future__ import annotations

import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial, update_wrapper
from io import IOBase
from itertools import combinations
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from autodiff.compiler.calls import RecordingError
from autodiff.compiler.conditions import Members
from autodiff.compiler.explaining import explanation
from autodiff.compiler.generators import KINDS
from autodiff.compiler.measuring import measured
from autodiff.compiler.recorded import Recorded, other_grad_mode
from autodiff.compiler.sharing import owner_of
from autodiff.compiler.surroundings import Content, Global, Surroundings, all_unchanged, assignment, identity, unchanged
from autodiff.eager import Tensor
from autodiff.errors import ValueRangeError
from autodiff.measuring import measure
from autodiff.program import Program
from autodiff.recording import title_of
from autodiff.thread_mode import MODE
from autodiff.threads import get_num_threads

MOST = 16  # recordings of one function
_RETURN_THE_MODULE = {"train", "eval", "to", "float", "double", "cpu", "requires_grad_", "apply"}


def compile(
    fn: Any = None, *, fallback: bool = False, memory_budget: float | None = None, **options: Any
) -> Any:
    """Return a function that does what `fn` does, recorded once and then replayed without Python.

    Args:
        fn: a function, a module, or a whole training step: forward, ``loss.backward()``, ``optimizer.step()``. Without
            it, the result is a decorator.
        fallback: run `fn` as it is from then on, with a warning, if it cannot be recorded; by default that is an error.
        memory_budget: what the temporaries of a program may take: bytes, or up to 1 a share of what they would take.
            What is cheap to compute again is dropped after the forward pass and made again in the backward pass, bit
            for bit, until the rest fits or nothing more can be dropped: `explain` tells. Work arrays of kernels are not
            counted.
        options: PyTorch's `fullgraph`, `dynamic`, `mode`, `backend`; they have no effect.

    Returns:
        A `Compiled`. A module's attributes and methods are found on it, too.

    A call computes what a call of `fn` computes, with the same bits. The first call with arguments of given shapes,
    dtypes and layouts runs `fn`; the second runs it and records every operation; later ones replay the record. So the
    Python in `fn` runs in two calls only: what it prints, counts or appends, it does twice. Parameters, buffers,
    optimizer states, learning rates and random numbers are read anew in every call. A `.grad` that a replay has made is
    overwritten by the next: ``clone()`` it to keep it. docs/compile.md says what a recording cannot see.

    Raises:
        RecordingError: in the second call, if `fn` does what cannot be replayed: it names the line and what to write.
        ValueRangeError: if `memory_budget` is not positive.

    >>> import autodiff as ad
    >>> model = ad.nn.Linear(3, 1)
    >>> optimizer = ad.optim.SGD(model.parameters(), lr=0.1)
    >>> @ad.compile
    ... def step(x, y):
    ...     optimizer.zero_grad()
    ...     loss = ad.nn.functional.mse_loss(model(x), y)
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> x, y = ad.ones(4, 3), ad.zeros(4, 1)
    >>> losses = [step(x, y).item() for _ in range(5)]
    >>> losses == sorted(losses, reverse=True), len(step.programs)
    (True, 1)
    """
    unknown = options.keys() - {"fullgraph", "dynamic", "mode", "backend"}
    if unknown:
        raise TypeError(f"compile() got an unexpected keyword argument {unknown.pop()!r}")
    if fn is None:
        return lambda function: compile(function, fallback=fallback, memory_budget=memory_budget)
    if not callable(fn):
        raise TypeError(f"compile() wants a function or a module, not {type(fn).__name__}")
    if memory_budget is not None and not memory_budget > 0:
        raise ValueRangeError("compile", "the memory budget is not positive", got=repr(memory_budget),
                              expected="bytes, or a share of at most 1")
    return Compiled(fn, fallback, memory_budget)


class Compiled:
    """What `compile` returns: call it as the function or the module that it was made of."""

    def __init__(self, fn: Callable[..., Any], fallback: bool, memory_budget: float | None) -> None:
        if isinstance(fn, FunctionType):
            update_wrapper(self, fn)
        self.__name__ = title_of(fn)
        self._fn = fn
        self._fallback = fallback
        self._memory_budget = memory_budget
        self._gave_up = False
        self._recorded: list[Recorded] = []
        self._seen: set[Any] = set()  # signatures of calls so far
        self._gradients: dict[int, tuple[Any, Tensor]] = {}
        self._reasons: list[str] = []
        self._lock = threading.RLock()
        self._surroundings: Surroundings | None = None

    @property
    def programs(self) -> list[Program]:
        """What is replayed, of each recording, the last one first: fused operations are one record, with `parts`."""
        return [recorded.replayed for recorded in self._recorded]

    def stages(self, number: int = 0) -> dict[str, Program]:
        """Return what became of a recording: the program as recorded, and after each pass, by the pass's name.

        Args:
            number: of the recording, as in `programs`.

        Raises:
            ValueRangeError: if there is no such recording.

        >>> import autodiff as ad
        >>> square = ad.compile(lambda x: (x * x).sum())
        >>> calls = [square(ad.ones(2)), square(ad.ones(2))]
        >>> list(square.stages())
        ['recorded', 'without_dead', 'without_repeats', 'with_joined', 'with_late_writes', 'with_chains']
        """
        if not -len(self._recorded) <= number < len(self._recorded):
            raise ValueRangeError("stages", "there is no such recording", got=f"{number} of {len(self._recorded)}",
                                  fix="the second call with the same shapes is recorded; see explain()")
        recorded = self._recorded[number]
        return {name: recorded.stage(name) for name in recorded.stages}

    def measured(self, *args: Any, **kwargs: Any) -> Program:
        """Return what `autodiff.measure` does: what is replayed for these arguments, with measurements.

        Raises:
            RecordingError: if the function cannot be recorded.
        """
        with self._lock:
            for _ in range(3):  # the first call runs the function, the second records it
                self(*args, **kwargs)
            if self._gave_up:
                return measure(self._fn, *args, **kwargs)
            tensors: list[Tensor] = []
            signature = (_signature((args, kwargs) if kwargs else args, tensors), MODE.grad, get_num_threads())
            for recorded in self._recorded:
                if recorded.signature == signature and recorded.accepts(tensors) and recorded.fits(tensors):
                    program = measured(recorded, lambda: self(*args, **kwargs))
                    program.title = self.__name__
                    recorded.measured = program
                    return program
            raise RecordingError("measure", "nothing is replayed for such arguments", fix="see explain()")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        fn = self.__dict__["_fn"]
        found = getattr(fn, name)
        if name not in _RETURN_THE_MODULE or not callable(found):
            return found

        def method(*args: Any, **kwargs: Any) -> Any:
            result = found(*args, **kwargs)
            return self if result is fn else result

        return method

    def __getitem__(self, place: Any) -> Any:
        return self._fn[place]  # type: ignore[index]

    def __repr__(self) -> str:
        return f"compiled({self._fn!r})"

    def __get__(self, instance: Any, owner: Any) -> Any:
        return self if instance is None else partial(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Do what the function does."""
        if MODE.recorder is not None or self._gave_up or MODE.anomaly:
            return self._fn(*args, **kwargs)
        with self._lock:
            refused = None
            if not kwargs:
                for recorded in self._recorded:  # by far the most calls: tensors, and what was recorded last
                    if recorded.takes(args) and recorded.fits(args):
                        done, result = recorded.replay(args)
                        if done:
                            return result
                        refused = recorded
                        break
            if self._surroundings is None:
                self._surroundings = Surroundings(self._fn)
            readers = self._surroundings.readers()
            around = [read() for read in readers]
            tensors: list[Tensor] = []
            signature = (_signature((args, kwargs) if kwargs else args, tensors), MODE.grad, get_num_threads())
            for recorded in self._recorded:
                if recorded is not refused and recorded.signature == signature and (
                    all_unchanged(around, recorded.around) and recorded.accepts(tensors) and recorded.fits(tensors)
                ):
                    done, result = recorded.replay(tensors)
                    if done:
                        return result
            if signature not in self._seen:
                self._seen.add(signature)
                return self._first(args, kwargs)
            return self._record(args, kwargs, signature, readers, around, tensors)

    def _first(self, args: Any, kwargs: Any) -> Any:
        """Call the function, which is not recorded yet."""
        grad = MODE.grad
        result = self._fn(*args, **kwargs)
        if MODE.grad is not grad:
            self._refuse(other_grad_mode(grad, put_back=not self._fallback))
        return result

    def _refuse(self, error: RecordingError) -> None:
        """Raise the error, or warn and run the function as it is from now on."""
        if not self._fallback:
            raise error
        warnings.warn(f"the function runs as it is, not compiled: {error}", stacklevel=4)
        self._gave_up = True

    def _record(
        self, args: Any, kwargs: Any, signature: Any, readers: Sequence[Content | Global], around: Sequence[Any],
        tensors: list[Tensor],
    ) -> Any:  # fmt: skip
        """Call the function and record it."""
        self._reasons.append(self._reason(signature, around, tensors))
        self._recorded = [recorded for recorded in self._recorded if not recorded.conditions.outdated()]
        if len(self._recorded) >= MOST:
            self._refuse(RecordingError("compile", f"there are {MOST} recordings, and none fits this call",
                                        got=self._reasons[-1],
                                        fix="pass numbers that vary as tensors, and bring inputs to few shapes"))
            return self._fn(*args, **kwargs)
        for read, value in zip(readers, around, strict=True):
            if isinstance(value, Iterator) and not isinstance(value, IOBase):
                raise RecordingError("compile", f"{read} is an iterator: each call would take other values from it",
                                     got=type(value).__name__, fix="take the next value outside, and pass that")
        found, given = _outside([*around, getattr(self._fn, "__self__", None), self._fn]), _outside([args, kwargs])
        outside = found.tensors | given.tensors - {id(x) for x in tensors}
        optimizers = [*found.optimizers, *given.optimizers]
        watched = [*found.modules, *given.modules, *[x for x in optimizers if hasattr(x, "_watch")]]
        numbers = [(group, dict(group)) for optimizer in optimizers for group in optimizer.param_groups]
        try:
            recorded, result = Recorded.call(self._fn, args, kwargs, tensors, self._gradients, self._fallback,
                                             self._memory_budget, watched,
                                             [*found.generators, *given.generators])
        except RecordingError:
            self._reasons.pop()
            raise
        if recorded is None:
            self._gave_up = True
            return result
        for group, before in numbers:
            for name, value in before.items():
                if name != "params" and not unchanged(group.get(name), value):
                    raise RecordingError("compile", f"the function changes '{name}' of an optimizer: no replay would",
                                         fix="change it outside, between the calls: it is read anew each time")
        for read, before in zip(readers, around, strict=True):
            if not unchanged(read(), before):
                raise RecordingError("compile", f"the function changes {read}, which a replay would not do again",
                                     fix="return the new value, or keep it in a tensor that changes in place",
                                     line=assignment(self._fn, read.name))
        recorded.signature, recorded.around = signature, around
        recorded.conditions.members = found.members
        recorded.pinned = {i: x for i, x in enumerate(tensors) if id(x) in outside}
        recorded.conditions.pin(outside)
        if not recorded.lies_apart(tensors):
            self._refuse(RecordingError(
                "compile", "an argument shares memory with a tensor from outside, and the function changes it",
                got=", ".join(repr(x.spec) for x in tensors), fix="pass a clone() of the argument"))
            return result
        apart = not any(np.may_share_memory(x.array, y.array) for x, y in combinations(tensors, 2))
        if not kwargs and apart and all(isinstance(x, Tensor) for x in args):
            recorded.plain = tuple([(type(x), x.spec, x.needs_grad) for x in args])
            recorded.grad, recorded.threads = MODE.grad, get_num_threads()
            known = list(zip(readers, around, strict=True))
            recorded.cells = [(x.cell, value) for x, value in known if isinstance(x, Content)]
            recorded.globals = [(x.names, x.name, value) for x, value in known if isinstance(x, Global)]
        self._recorded.insert(0, recorded)
        return result

    def _reason(self, signature: Any, around: Any, tensors: Sequence[Tensor]) -> str:
        """Return why the function has to be recorded now."""
        if not self._recorded:
            return "the first recording"
        last = self._recorded[0]
        if last.signature != signature:
            return "a call with other shapes, dtypes, layouts, numbers, grad mode or number of threads"
        if not all_unchanged(around, last.around):
            return "a variable of the closure, a global that is named, or what is named of those is another object"
        return last.why_not(tensors)

    def check(self, *args: Any, **kwargs: Any) -> str:
        """Call the function itself, once more and for real, and compare what it does with what is replayed for it.

        Returns:
            The difference between the program and a new recording, as text: empty if there is none.

        Raises:
            RecordingError: if no program is replayed for such arguments, or the function cannot be recorded.
        """
        tensors: list[Tensor] = []
        signature = (_signature((args, kwargs) if kwargs else args, tensors), MODE.grad, get_num_threads())
        known = next((recorded for recorded in self._recorded if recorded.signature == signature), None)
        if known is None:
            raise RecordingError("check", "nothing has been recorded for such arguments",
                                 fix="call the function twice before")
        recorded, _ = Recorded.call(self._fn, args, kwargs, tensors, self._gradients, fallback=False)
        assert recorded is not None
        return known.program.diff(recorded.program)

    def explain(self) -> str:
        """Return why the function was recorded, each time, and what each program consists of.

        For each program: how many instructions and calls, the instructions that Python runs, and the number of
        instructions after each pass. Once `autodiff.measure` has measured it, also the instructions that lose most of
        the time against the roofline, with the user's lines; the first time, this measures the machine for some 2 s.

        >>> import autodiff as ad
        >>> step = ad.compile(lambda x: (2 * x + 1).relu().sum())
        >>> calls = [step(ad.ones(10000)) for _ in range(2)]
        >>> print(step.explain())  # doctest: +ELLIPSIS
        recorded: the first recording
        program 0: ...
          passes: 4 instructions at first, ..., 2 with_chains
          one instruction each: mul + add + relu
        """
        lines = [f"recorded: {reason}" for reason in self._reasons]
        if self._gave_up:
            lines.append("runs without being compiled: it cannot be recorded")
        for number, recorded in enumerate(self._recorded):
            first, *others = explanation(recorded)
            lines += [f"program {number}: {first}", *[f"  {line}" for line in others]]
        return "\n".join(lines or ["not recorded yet: the second call with the same shapes is"])


def _signature(value: Any, tensors: list[Tensor]) -> Any:
    """Return what a recording depends on of an argument, and collect its tensors."""
    kind = type(value)
    if isinstance(value, Tensor):
        shared: tuple[Any, ...] = ()
        owner = owner_of(value.array)
        for i, other in enumerate(tensors):
            if other.memory is value.memory or (
                owner_of(other.array) == owner and np.may_share_memory(other.array, value.array)
            ):
                shared = (*shared, i, other is value, value.data_ptr() - other.data_ptr())
        tensors.append(value)
        return (value.spec, value.needs_grad, shared)
    if isinstance(value, tuple | list):
        return (kind, *[_signature(x, tensors) for x in value])
    if isinstance(value, Mapping):
        return (kind, *[(key, _signature(x, tensors)) for key, x in value.items()])
    if isinstance(value, np.ndarray):
        raise RecordingError("compile", "an argument is a NumPy array, whose numbers no replay would read again",
                             got=f"{value.dtype}{list(value.shape)}", fix="pass a tensor: autodiff.from_numpy(array)")
    if kind is slice:
        return (kind, value.start, value.stop, value.step)
    if isinstance(value, Iterator):
        raise RecordingError("compile", "an argument is an iterator: each call would take other values from it",
                             got=kind.__name__, fix="take the next value outside, and pass that")
    return identity(value) or _Same(value)


class _Same:
    """Equal to another one for the same object only, which it keeps alive."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


class _Outside(NamedTuple):
    """What a function finds around itself; of tensors the ids, parameters included."""

    members: list[Members]
    modules: list[Any]
    optimizers: list[Any]
    generators: list[Any]
    tensors: set[int]


def _outside(values: list[Any]) -> _Outside:
    """Look through values: lists, tuples, dictionaries, closures and attributes of objects, two deep."""
    found = _Outside([], [], [], [], set())
    containers: list[Any] = []
    queue = deque((value, 2) for value in values)  # what is found in two ways is seen where it lies less deep
    seen: set[int] = set()
    while queue:
        value, depth = queue.popleft()
        if id(value) in seen or isinstance(value, ModuleType | type | np.ndarray | str | bytes):
            continue
        seen.add(id(value))
        attributes = getattr(value, "__dict__", None)
        if isinstance(value, Tensor):
            found.tensors.add(id(value))
        elif isinstance(value, Compiled):
            queue.append((value._fn, depth))
        elif hasattr(value, "param_groups"):
            found.optimizers.append(value)
        elif isinstance(attributes, dict) and "_watched" in attributes:
            found.modules.append(value)
            found.tensors.update(id(x) for x in (*value.parameters(), *value.buffers()))
        elif type(value) in KINDS:
            found.generators.append(value)
        elif depth and isinstance(value, list | tuple | set | frozenset):
            containers.append(value)
            queue += [(x, depth - 1) for x in value]
        elif depth and isinstance(value, Mapping):
            containers.append(value)
            queue += [(x, depth - 1) for x in value.values()]
        elif depth and isinstance(value, FunctionType):
            queue += [(Content(cell, "")(), depth - 1) for cell in value.__closure__ or ()]
        elif depth and isinstance(attributes, dict):
            queue += [(x, depth - 1) for x in attributes.values()]
    holders: set[int] = set()
    for container in reversed(containers):  # those inside before those around them
        if isinstance(container, list | tuple | dict):
            members = Members(container, holders)
            if members.known:
                holders.add(id(container))
                found.members.append(members)
    return found
