"""`compile`: a function whose third call, and every later one, is a replay of what the second did."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import update_wrapper
from types import FunctionType
from typing import Any

import numpy as np

from autodiff.bind import Cut
from autodiff.compiler.instructions import Kind, Step
from autodiff.compiler.lowering import Lowered
from autodiff.compiler.tracer import RecordingError, Tracer
from autodiff.eager import Tensor, wrap
from autodiff.mode import MODE
from autodiff.recording import tensors_in
from autodiff.slots import CHANGES
from autodiff.spec import Array
from autodiff.threads import get_num_threads

MOST = 16  # programs of one function


def compile(fn: Any = None, *, fallback: bool = False, **options: Any) -> Any:
    """Return a function that does what `fn` does, recorded once and then replayed without Python.

    Args:
        fn: a function, a module, or a whole training step: forward, ``loss.backward()``, ``optimizer.step()``.
        fallback: run `fn` as it is, with a warning, if it cannot be recorded; by default that is an error.
        options: PyTorch's `fullgraph`, `dynamic`, `mode`, `backend`; they have no effect.

    Every call does exactly what a call of `fn` does, with the same bits. The first call with arguments of given shapes,
    dtypes and layouts runs `fn`; the second runs it and records every operation; later ones replay the record. So the
    Python in `fn` runs in two calls only: what it prints, counts or appends, it does twice. Parameters, buffers,
    optimizer states, learning rates and random numbers are read anew in every call.

    Raises:
        RecordingError: in the second call, if `fn` does what cannot be replayed: it names the line and what to write.

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
        return lambda function: compile(function, fallback=fallback)
    return Compiled(fn, fallback)


class Compiled:
    """What `compile` returns.

    Attributes:
        programs: what has been recorded, the last one first.
    """

    def __init__(self, fn: Callable[..., Any], fallback: bool) -> None:
        update_wrapper(self, fn)
        self.programs: list[Program] = []
        self._fn = fn
        self._fallback = fallback
        self._seen: set[Any] = set()  # signatures
        self._gradients: dict[int, tuple[Any, Tensor]] = {}
        self._lock = threading.RLock()
        self._surroundings = _surroundings(fn)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Do what the function does."""
        if MODE.recorder is not None:
            return self._fn(*args, **kwargs)
        with self._lock:
            tensors: list[Tensor] = []
            signature = (_signature((args, kwargs) if kwargs else args, tensors), MODE.grad, get_num_threads())
            around = tuple([_identity(read()) for read in self._surroundings])
            for program in self.programs:
                if program.fits(signature, around):
                    done, result = program.replay(tensors)
                    if done:
                        return result
                    break
            if signature not in self._seen:
                self._seen.add(signature)
                return self._fn(*args, **kwargs)
            return self._record(args, kwargs, signature, around, tensors)

    def _record(self, args: Any, kwargs: Any, signature: Any, around: Any, tensors: list[Tensor]) -> Any:
        """Call the function, record it, and make a program of it."""
        if len(self.programs) >= MOST:
            raise RecordingError("compile", f"the function was recorded {MOST} times, each time for other arguments",
                                 got=f"a call with {self.programs[0].difference(signature)}",
                                 fix="pass numbers that vary as tensors, and bring inputs to few shapes")
        tracer = Tracer()
        MODE.recorder = tracer
        try:
            result = self._fn(*args, **kwargs)
        finally:
            MODE.recorder = None
        self.programs.insert(0, Program(tracer, signature, around, tensors, result, self._gradients))
        return result


class Program:
    """One recording of a function, replayed for as long as it says what the function does."""

    def __init__(
        self, tracer: Tracer, signature: Any, around: Any, tensors: list[Tensor], result: Any,
        gradients: dict[int, tuple[Any, Tensor]],
    ) -> None:  # fmt: skip
        self._signature = signature
        self._around = around
        self._kept = tensors  # their ids stay their own
        self._changes = CHANGES.count
        self._read = [(tracer.grads[key], None if grad is None else grad.spec) for key, grad in tracer.read.items()]
        self._carried = [leaf for leaf, spec in self._read if spec is not None]
        before = [tracer.read[id(leaf)] for leaf in self._carried]
        arguments = [*tensors, *before]
        outputs = list(tensors_in(result))
        self.step = Step(tracer, arguments, outputs)
        self._guards = tracer.guards
        self._repeated = tracer.repeated
        self._counts = tracer.counts
        self._result = result
        self._outputs = [(tensor, value) for tensor, value in zip(outputs, self.step.results, strict=True)]
        self._leaves = list(tracer.grads.values())
        self._refuse_escapes(tracer, outputs)
        arrays = {}
        for leaf, value in self.step.gradients:
            known = gradients.get(id(leaf))
            if known is None or known[1].spec is not value.spec:
                gradients[id(leaf)] = known = (leaf, wrap(value.spec.empty()))
            arrays[id(leaf)] = known[1].array
        self._gradients = [(leaf, gradients[id(leaf)][1]) for leaf, _ in self.step.gradients]
        made = {id(leaf) for leaf, _ in self.step.gradients}
        self._cleared = [leaf for leaf in self._leaves if leaf._grad is None and id(leaf) not in made]
        self.lowered = Lowered(self.step, [x.array for x in arguments], arrays)
        self._written = self._memories()

    def _refuse_escapes(self, tracer: Tracer, outputs: Sequence[Tensor]) -> None:
        """Raise if a tensor that the function made is still alive and was not returned."""
        allowed = {id(x) for x in outputs} | {id(leaf._grad) for leaf in self._leaves}
        watched = [(weakref.ref(tensor), operand) for tensor, operand in tracer.tensors()
                   if type(operand) is tuple and id(tensor) not in allowed
                   and self.step.value(operand).region.kind is Kind.TEMPORARY]
        tracer.forget()
        if any(ref() is not None for ref, _ in watched):
            gc.collect()
        for ref, operand in watched:
            if ref() is not None:
                raise RecordingError("compile", "a tensor that the function made outlives the call", got=repr(ref().spec),
                                     fix="return it; a replay could not put it where it is now",
                                     line=operand[0].line)

    def _memories(self) -> list[Any]:
        """Return the memories outside the program that it writes to."""
        found = {}
        for instruction in self.step.instructions:
            if instruction.in_place:
                for value in instruction.outputs:
                    if value.region.kind is Kind.SLOT:
                        found[id(value.region.source.memory)] = value.region.source.memory
        return list(found.values())

    def fits(self, signature: Any, around: Any) -> bool:
        """Return whether a replay would do what a call with this signature does."""
        if signature != self._signature or self._changes != CHANGES.count or around != self._around:
            return False
        for leaf, spec in self._read:
            grad = leaf._grad
            if grad is not None if spec is None else grad is None or grad.spec is not spec:
                return False
        return all([guard.holds() for guard in self._guards])

    def replay(self, tensors: Sequence[Tensor]) -> tuple[bool, Any]:
        """Do what the function does; return whether the program still says that, and the result."""
        arguments = [x.array for x in tensors]
        arguments += [leaf._grad.array for leaf in self._carried]
        before = [[r.states[0][name] for name in r.names] for r in self._repeated]
        for r in self._repeated:
            r.advance()
        try:
            counts = {generator: generator.state()[1] for generator in self._counts}
            done = self.lowered.update(arguments, counts)
            if done:
                self.lowered.run(arguments)
        except BaseException:
            done = False
            raise
        finally:
            if not done:
                for r, numbers in zip(self._repeated, before, strict=True):
                    for state in r.states:
                        state.update(zip(r.names, numbers, strict=True))
        if not done:
            return False, None
        for r in self._repeated:
            r.conclude()
        for generator, number in self._counts.items():
            generator.restore((generator.initial_seed(), counts[generator] + number))
        for leaf in self._cleared:
            leaf._grad = None
        for leaf, gradient in self._gradients:
            gradient.memory.version += 1
            leaf._grad = gradient
        for memory in self._written:
            memory.version += 1
        if type(self._result) is Tensor and len(self._outputs) == 1:
            return True, self._output(*self._outputs[0], tensors)
        made = iter([self._output(tensor, value, tensors) for tensor, value in self._outputs])
        return True, _rebuilt(self._result, made)

    def _output(self, tensor: Tensor, value: Any, tensors: Sequence[Tensor]) -> Tensor:
        """Return a result: a copy, or the argument or outside tensor that it is."""
        kind = value.region.kind
        if kind is Kind.ARGUMENT and value.source is None:
            return tensors[value.region.source]
        if kind is Kind.SLOT and value.source is None:
            return tensor
        result = wrap(value.array.copy(order="K"))
        if tensor.needs_grad:
            result.cut = _CUT
        return result


_CUT = Cut("its backward pass belongs to a call that was replayed", None)


def _signature(value: Any, tensors: list[Tensor]) -> Any:
    """Return what the program depends on of an argument, and collect its tensors."""
    kind = type(value)
    if isinstance(value, Tensor):
        for i, other in enumerate(tensors):
            if other.memory is value.memory:
                tensors.append(value)
                return (i, value.spec, value.needs_grad)
        tensors.append(value)
        return (value.spec, value.needs_grad)
    if kind is tuple or kind is list:
        return (kind, *[_signature(x, tensors) for x in value])
    if isinstance(value, Mapping):
        return (kind, *[(key, _signature(x, tensors)) for key, x in value.items()])
    return _identity(value)


def _identity(value: Any) -> Any:
    """Return what stands for a value in a comparison: numbers, strings and the like themselves, others by identity."""
    if type(value) in _BY_VALUE:
        return (type(value), value)
    return _Same(value)


_BY_VALUE = {int, float, bool, str, bytes, complex, type(None), np.dtype, slice}


class _Same:
    """Equal to another one for the same object only, which it keeps alive."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


def _surroundings(fn: Any) -> list[Callable[[], Any]]:
    """Return functions that read what a function's closure and the globals that it names hold."""
    function = getattr(fn, "__func__", fn)
    if not isinstance(function, FunctionType):
        return []
    reads: list[Callable[[], Any]] = []
    for cell in function.__closure__ or ():
        reads.append(lambda cell=cell: _content(cell))  # type: ignore[misc]
    for name in function.__code__.co_names:
        if name in function.__globals__:
            reads.append(lambda name=name, names=function.__globals__: names.get(name))  # type: ignore[misc]
    return reads


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not yet assigned
        return None


def _rebuilt(value: Any, made: Any) -> Any:
    """Return a result like `value` with the tensors that come next."""
    if isinstance(value, Tensor):
        return next(made)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*[_rebuilt(x, made) for x in value])
    if isinstance(value, tuple | list):
        return type(value)([_rebuilt(x, made) for x in value])
    if isinstance(value, Mapping):
        return type(value)({key: _rebuilt(x, made) for key, x in value.items()})  # type: ignore[call-arg]
    return value
