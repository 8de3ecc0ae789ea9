"""A recorded call, and its replay.

A replay runs the program on the arguments, copies what the function returns out of the program's memory, and does the
rest of what the call would have done: `.grad`, versions, random numbers, step counts.

Where the function returns a tensor whose backward pass has not run, that pass is recorded, too, and runs when the
returned tensor is swept. Until then the memory of the program belongs to that tensor: another call takes other memory.
"""

from __future__ import annotations

import gc
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from autodiff import reverse
from autodiff.bind import Cut, next_number
from autodiff.compiler.backward import has_history, record_backward
from autodiff.compiler.calls import RecordingError
from autodiff.compiler.conditions import ZERO, Conditions, Leaf
from autodiff.compiler.improving import improve
from autodiff.compiler.instructions import Instruction, Kind, Step, Value
from autodiff.compiler.lowering import Lowered, now
from autodiff.compiler.reading import program_of
from autodiff.compiler.sharing import elsewhere, overlap, owner_of, put_aside
from autodiff.compiler.surroundings import unchanged
from autodiff.compiler.tracer import Tracer
from autodiff.eager import Tensor, wrap
from autodiff.errors import GradientError, InPlaceError
from autodiff.ops.structural import copied
from autodiff.primitive import NOTHING, Primitive
from autodiff.program import Program, Record, reachable
from autodiff.program_columns import text_of
from autodiff.recording import argument_names, rebuilt, tensors_in
from autodiff.slots import Reading
from autodiff.source import here
from autodiff.spec import Array
from autodiff.thread_mode import MODE
from autodiff.threads import get_num_threads

Run = Callable[[Lowered, Sequence[Array]], None]


class _Output:
    """One tensor of the result: what it is, its place among those with a history, and why it has none.

    Attributes:
        value: its value.
        known: the outside tensor that it is; None for anything else.
        moves: whether it is a view of an argument, and lies elsewhere each time.
    """

    __slots__ = ("cut", "known", "moves", "root", "spec", "value")

    def __init__(self, tensor: Tensor, value: Value, root: int | None) -> None:
        self.value = value
        self.known = value.leaf if value.outside else None
        self.moves = value.region.kind is Kind.ARGUMENT
        self.spec = None if value.spec.order is None else value.spec
        self.root = root
        self.cut = tensor.cut
        if tensor.needs_grad and type(tensor.edge) is tuple:
            self.cut = Cut("its backward pass ran inside a compiled function", tensor.edge[0].line)


def other_grad_mode(before: bool, put_back: bool) -> RecordingError:
    """Return the error for a function that leaves another grad mode behind, and perhaps put it back."""
    if put_back:
        MODE.grad = before
    return RecordingError("compile", "the function leaves another grad mode behind",
                          fix="use no_grad() or enable_grad() in a `with`, which puts back what was")


class Recorded:
    """One recording of a function, replayed for as long as it says what the function does.

    Attributes:
        signature, around: of the call that was recorded, and what surrounded it; see `Compiled`.
        plain: class, spec and `needs_grad` of the arguments, where all are tensors; None otherwise.
        cells, globals: the variables of the closure with what they held; globals, attributes and items.
        pinned: arguments that the function also finds outside: by their numbers.
        grad, threads: whether gradients were recorded, and the number of threads.
        conditions: what it depends on besides.
        fits: returns whether they hold for arguments.
        program: the records, for reading.
        stages: the instructions after each pass, by the pass's name.
        measured: what it runs, with the last measurements.
    """

    signature: Any = None
    around: Any = None
    plain: tuple[Any, ...] | None = None
    cells: Sequence[tuple[Any, Any]] = ()
    globals: Sequence[tuple[Mapping[Any, Any], Any, Any]] = ()
    grad = True
    threads = 0
    measured: Program | None = None
    _running = False

    @staticmethod
    def call(
        fn: Callable[..., Any], args: Any, kwargs: Any, tensors: list[Tensor], gradients: dict[int, Any],
        fallback: bool = False, budget: float | None = None, watched: Sequence[Any] = (),
        generators: Sequence[Any] = (),
    ) -> tuple[Recorded | None, Any]:  # fmt: skip
        """Call a function and return the recording and the function's result; no recording where it gave up.

        Args:
            fn: the function.
            args, kwargs: its arguments.
            tensors: those among them.
            gradients: what holds the gradients of leaves, by id: all recordings share it.
            fallback, budget: see `compile`.
            watched: modules and optimizers around the function.
            generators: of random numbers around it, which are not ours.

        Raises:
            RecordingError: if the function cannot be replayed, and `fallback` is not given.
        """
        tracer, grad = Tracer(fallback, generators), MODE.grad
        for thing in watched:
            tracer.watch(thing)
        # What leads to an argument does not belong to the function.
        inside = [_without_history(x) for x in tensors]
        tracer.arguments.update(map(id, inside))
        any_cut = any(x is not y for x, y in zip(inside, tensors, strict=True))
        if any_cut:
            args, kwargs = _rebuilt((args, kwargs), iter(inside))
            tracer.cut.update(id(x) for x, y in zip(inside, tensors, strict=True) if x is not y)
        recorded = None
        MODE.recorder = tracer
        try:
            result = fn(*args, **kwargs)
            try:
                if tracer.refused is not None and not fallback:
                    raise tracer.refused  # the function has caught it
                tracer.finish()
                if MODE.grad is not grad:
                    raise other_grad_mode(grad, put_back=not fallback)
                if tracer.refused is None:
                    names = argument_names(fn, args, kwargs)
                    recorded = Recorded(tracer, inside, result, gradients, names, budget)
            except RecordingError as error:
                tracer.refuse(error)
        finally:
            MODE.recorder = None
        if tracer.refused is not None:
            warnings.warn(f"the function runs as it is, not compiled: {tracer.refused}", stacklevel=4)
        if recorded is not None and any_cut:
            result = recorded._with_history(result, tensors)
        return recorded, result

    def __init__(
        self, tracer: Tracer, tensors: list[Tensor], result: Any, gradients: dict[int, Any],
        names: Sequence[tuple[str, Tensor]], budget: float | None,
    ) -> None:  # fmt: skip
        self.pinned: dict[int, Tensor] = {}
        outputs = list(tensors_in(result))
        for x in outputs:
            operand = tracer.operand(x)
            if x._grad is not None and type(operand) is tuple:
                raise RecordingError("compile", "a tensor that is returned has a .grad, which no replay would give it",
                                     fix="return the gradient, too", line=operand[0].line)
            del operand  # a record keeps alive what its history holds: escapes are looked for below
        inside = set(tracer.records)
        roots = [x for x in outputs if has_history(x)]
        if roots and tracer.argument_hooked:
            tracer.opaque("the function registers a hook on an argument, and its backward pass runs outside",
                          "register it outside, or compile the whole step")
        cotangents, targets, found, self._sources = record_backward(roots)
        grads = [leaf._grad for leaf in tracer.grads.values() if leaf._grad is not None]
        tracer.settle([*outputs, *grads])
        forward = sum(record in inside for record in tracer.records)
        del inside, grads
        places = {id(x): i for i, x in enumerate(tensors)}
        self._targets = [Leaf(x, places.get(id(x))) for x in targets]
        read = [(Leaf(tracer.grads[key], places.get(key)), grad) for key, grad in tracer.read.items()]
        self._carried = [leaf for leaf, grad in read if grad is not None]
        carried = [grad for _, grad in read if grad is not None]
        arguments = [*tensors, *carried, *cotangents]
        self._first_cotangent = len(tensors) + len(carried)
        self._step = Step(tracer, arguments, outputs, found, forward, names)
        self.stages, self._sizes = improve(self._step, budget)
        counted = [id(r.states[0]) for r in tracer.repeated]
        settings = [x for x in tracer.readings if id(x.source) not in counted]
        self._progress = [x for x in tracer.readings if id(x.source) in counted]
        self._repeated = tracer.repeated
        self._counts = tracer.counts
        leaves = list(tracer.grads.values())
        self.conditions = Conditions(tracer, self._step.slots(), tensors, read, settings)
        self.fits = self.conditions.hold
        bases = [x.base for x in outputs if x.base is not None]
        grads = [leaf._grad for leaf in leaves]
        self._refuse_escapes(tracer, [*outputs, *bases, *grads, *[x for x in found if x is not None]])
        del bases, grads
        made = {id(leaf) for leaf, _ in self._step.gradients}
        cleared = [Leaf(x, places.get(id(x))) for x in leaves if x._grad is None and id(x) not in made]
        around = self._step.around()
        owners = {owner_of(x.array) for x in around}
        for leaf, value in self._step.gradients:
            known = gradients.get(id(leaf))
            if known is None or known[1].spec is not value.spec or owner_of(known[1].array) in owners:
                gradients[id(leaf)] = (leaf, wrap(value.spec.empty()))
        self._gradients = [(Leaf(x, places.get(id(x))), gradients[id(x)][1]) for x, _ in self._step.gradients]
        self._own = {owner_of(gradient.array): gradient.array for _, gradient in self._gradients}
        ends = [*[(leaf, None) for leaf in cleared], *self._gradients]
        self._grads = [(leaf.tensor, grad) for leaf, grad in ends if leaf.number is None]
        self._argument_grads = [(leaf.number, grad) for leaf, grad in ends if leaf.number is not None]
        self._hooks = [(number, _hooks_of(tensors[number])) for number, _ in self._argument_grads]
        # That words of a program lie in an argument is told by their addresses: there no other tensor may lie.
        others = [x.array for x in (*around, *[gradient for _, gradient in self._gradients])]
        shared = [any(np.may_share_memory(x.array, other) for other in others) for x in arguments]
        self._arrays = [elsewhere(x.array) if also else x.array for x, also in zip(arguments, shared, strict=True)]
        self._lowered: list[Lowered] = []
        # A constant that is returned belongs to the caller, who may change it.
        self._changing = {id(x): x.array.copy("K") for x in outputs if id(x) in tracer.made}
        self._changing |= {key: before for key, (_, before) in tracer.before.items() if key in tracer.made}
        self._written = self._memories(writes=True)
        written = {value.region for instruction in self._step.instructions for value in instruction.outputs}
        roots_written = [value.root for instruction in self._step.instructions for value in instruction.outputs]
        written_memories = {arguments[root.number].memory for root in roots_written if root.number is not None}
        self._written_arguments = [i for i, x in enumerate(arguments) if x.memory in written_memories]
        changing = {owner_of(region.source.array) for region in written if region.kind in (Kind.SLOT, Kind.ARGUMENT)}
        self._apart: dict[int, list[Any]] = {}
        for array in [x.array for x in around]:
            if self._written_arguments or owner_of(array) in changing:
                self._apart.setdefault(owner_of(array), []).append(array)
        self._relied_on = self._memories(writes=False)
        self._backward = _primitive(lambda record, *cotangents: self.sweep(record, cotangents))
        self._outputs = [_Output(x, value, _place_of(x, roots)) for x, value in
                         zip(outputs, self._step.results, strict=True)]
        self._result = _rebuilt(result, iter(self._outputs))
        self._roots = [x.spec for x in roots]
        self._idle()
        self.program = self._step.program

    # ---- Recording ---------------------------------------------------------------------------------------------------

    def _refuse_escapes(self, tracer: Tracer, allowed: Sequence[Any]) -> None:
        """Raise if a tensor that the function made is still alive and was not returned."""
        # The history of what this call returns keeps its leaves, and what the user's own functions have saved.
        history = reachable([x.edge[0] for x in allowed if x is not None and type(x.edge) is tuple])
        known = {id(x) for x in (*allowed, *tracer.kept())}
        known.update(id(tensor._grad) for tensor, _ in tracer.tensors() if id(tensor) in tracer.made)
        known.update(id(x) for record in history for context in record.params.values() for x in _saved_in(context))
        leaves = [edge for record in history for edge in record.edges if isinstance(edge, Tensor)]
        known.update(id(x) for leaf in leaves for x in (leaf, leaf._grad))
        del history, leaves
        watched = [(weakref.ref(tensor), operand[0].line, tensor.spec) for tensor, operand in tracer.tensors()
                   if type(operand) is tuple and id(tensor) not in known
                   and self._step.value(operand).region.kind is Kind.TEMPORARY]  # fmt: skip
        tracer.forget()
        self._step.forget()
        if any(ref() is not None for ref, *_ in watched):
            gc.collect()
        for ref, line, spec in watched:
            if ref() is not None:
                raise RecordingError("compile", "a tensor that the function made outlives the call", got=repr(spec),
                                     fix="return it, for a replay cannot put it where it is now", line=line)

    def _memories(self, writes: bool) -> list[Any]:
        """Return the memories outside the program that it writes to, or that its backward pass reads."""
        found = {}
        for number, instruction in enumerate(self._step.instructions):
            values = instruction.outputs if writes else instruction.inputs
            if writes or number >= self._step.forward:
                for root in [value.root for value in values]:
                    if root.outside:
                        found[id(root.leaf.memory)] = root.leaf.memory
                    elif root.region.kind is Kind.GRADIENT:
                        found.update({id(grad.memory): grad.memory for (_, value), (_, grad) in
                                      zip(self._step.gradients, self._gradients, strict=True)
                                      if value.region is root.region})
        return list(found.values())

    # ---- Replay ------------------------------------------------------------------------------------------------------

    def takes(self, args: Sequence[Any]) -> bool:
        """Return whether these are arguments like those that were recorded, in the same surroundings: a fast yes."""
        plain = self.plain
        if plain is None or len(plain) != len(args) or MODE.grad is not self.grad or get_num_threads() != self.threads:
            return False
        try:
            for cell, value in self.cells:
                if cell.cell_contents is not value and not unchanged(cell.cell_contents, value):
                    return False
        except ValueError:  # it holds nothing any more
            return False
        for names, name, value in self.globals:
            if names.get(name) is not value and not unchanged(names.get(name), value):
                return False
        for i, (kind, spec, needs_grad) in enumerate(plain):
            x = args[i]
            if type(x) is not kind or x.spec is not spec or x.needs_grad is not needs_grad:
                return False
        if not (self._apart or self._written_arguments):  # where they lie does not matter
            one_each = len(args) < 2 or len({x.memory for x in args}) == len(args)
            return one_each and (not (self.pinned or self._hooks) or self.accepts(args))
        owners = {owner_of(x.array) for x in args}
        # Parts of one NumPy array have an owner in common, but not their memory; they may overlap.
        if len(owners) != len(args) and (self._written_arguments or len({x.memory for x in args}) != len(args)):
            return False
        return self.accepts(args) if self.pinned or self._hooks else self._apart.keys().isdisjoint(owners) or (
            self.lies_apart(args))

    def why_not(self, tensors: Sequence[Tensor]) -> str:
        """Return why it does not hold for these arguments, whose signature it has."""
        if any(_hooks_of(tensors[number]) != hooks for number, hooks in self._hooks):
            return "an argument has other hooks: register the same function on each, not a new one, or none"
        if not self.accepts(tensors):
            return "an argument shares memory with what the function finds outside, or no longer does"
        return self.conditions.broken(tensors) or ZERO

    def accepts(self, tensors: Sequence[Tensor]) -> bool:
        """Return whether the arguments lie apart from what the program finds outside, or are those that it knows."""
        for number, known in self.pinned.items():
            if tensors[number] is not known:
                return False
        for number, hooks in self._hooks:
            if _hooks_of(tensors[number]) != hooks:
                return False
        return self.lies_apart(tensors)

    def lies_apart(self, tensors: Sequence[Tensor]) -> bool:
        """Return whether nothing that the program changes is both in an argument and in another tensor from outside."""
        return not any(overlap(x.array, array) for i, x in enumerate(tensors) if i not in self.pinned
                       for array in self._apart.get(owner_of(x.array), ()))

    def _idle(self) -> Lowered:
        """Return a program whose memory no returned tensor needs, lowered anew where there is none."""
        for lowered in self._lowered:
            user = None if lowered.user is None else lowered.user()
            if user is None or user.saved is None:
                return lowered
        arrays = {id(leaf.tensor): gradient.array for leaf, gradient in self._gradients}
        lowered = Lowered(self._step, self._arrays, arrays, self._changing)
        self._lowered.append(lowered)
        return lowered

    def replay(self, tensors: Sequence[Tensor], run: Run = Lowered.run) -> tuple[bool, Any]:
        """Do what the function does; return whether the recording still says that, and the result.

        Args:
            tensors: the arguments.
            run: runs the instructions.
        """
        if self._running:
            raise RecordingError("compile", "a hook or a function of yours calls the compiled function that calls it",
                                 fix="let it call the function itself, not what compile() returned")
        lowered = self._idle()
        everything = tensors
        if self._carried:
            everything = (*tensors, *[leaf.now(tensors)._grad for leaf in self._carried])
        arguments = [x.array for x in everything]
        # Where this call makes a gradient, an earlier one may have made an argument of this one.
        aside = put_aside(arguments, self._own) if self._own else {}
        before = [r.states[0].copy() for r in self._repeated]
        contents = [array.copy("K") for array in lowered.exposed(arguments)] if lowered.early else ()
        counts = {generator: generator.state()[1] for generator in self._counts} if self._counts else {}
        ran, done, interrupted = lowered.ran[0], False, False
        self._running = True
        try:
            for r in self._repeated:
                r.advance()
            if all(map(Reading.renew, self._progress)):
                if arguments:
                    lowered.place(0, arguments)
                if counts:
                    lowered.draw(counts)
                for array, content in lowered.resets:
                    array[...] = content
                run(lowered, arguments)
                done = True
        except KeyboardInterrupt:
            if run is not Lowered.run or not lowered.finished(lowered.ran[0] - ran):
                raise
            done = interrupted = True  # Python has heard of it after native code, which has run to the end
        finally:
            self._running = False
            if not done:
                for r, numbers in zip(self._repeated, before, strict=True):
                    for state in r.states:
                        state.update({name: numbers[name] for name in r.names})
                for array, content in zip(lowered.exposed(arguments), contents, strict=True):
                    array[...] = content
                for owner, content in aside.items():
                    self._own[owner][...] = content
        if not done:
            return False, None
        for r in self._repeated:
            r.conclude()
        for generator, number in self._counts.items():
            generator.restore((generator.initial_seed(), counts[generator] + number))
        for tensor, grad in self._grads:
            tensor._grad = grad
        for number, grad in self._argument_grads:
            tensors[number]._grad = grad
        for memory in self._written:
            memory.version += 1
        for number in self._written_arguments:
            everything[number].memory.version += 1
        if interrupted:
            self._give_back(aside, tensors)
            raise KeyboardInterrupt
        record = None
        if self._roots:
            record = self._history(tensors, self._backward)
            lowered.user, lowered.arguments = weakref.ref(record), arguments
            lowered.tensors = [(x, x.memory.version) for x in tensors]
            lowered.versions = [memory.version for memory in self._relied_on]
        made = [self._made(output, lowered, everything, arguments, record) for output in self._outputs]
        if aside:
            self._give_back(aside, tensors)
        return True, made[0] if type(self._result) is _Output else _rebuilt(self._result, iter(made))

    def _give_back(self, aside: Mapping[int, Array], tensors: Sequence[Tensor]) -> None:
        """Give the place where this call has made a gradient back to what lay there, and the leaf another tensor."""
        for leaf, gradient in self._gradients:
            content = aside.get(owner_of(gradient.array))
            if content is not None:
                leaf.now(tensors)._grad = wrap(gradient.array.copy("K"), gradient.spec)
                gradient.array[...] = content
                gradient.memory.version += 1

    def _made(
        self, output: _Output, lowered: Lowered, tensors: Sequence[Tensor], arguments: Sequence[Array],
        record: Record | None,
    ) -> Tensor:  # fmt: skip
        """Return a result: a copy, or the argument or outside tensor that it is."""
        value = output.value
        if value.number is not None:
            return tensors[value.number]
        if output.known is not None:
            return output.known  # type: ignore[no-any-return]
        array = lowered.arrays[value]
        if output.moves:
            array = now(value, array, arguments)
        result = wrap(array.copy("K"), output.spec)
        if output.root is not None:
            result.edge = (record, output.root)
            result.needs_grad = True
        elif output.cut is not None:
            result.cut = output.cut
        return result

    def _with_history(self, result: Any, tensors: Sequence[Tensor]) -> Any:
        """Return the result of the call that was recorded, with the history of its arguments behind it."""
        sources = list(tensors_in(result))
        roots = [x for x in sources if has_history(x)]
        targets = [leaf.tensor for leaf in self._targets]

        def backward(_: Record, *cotangents: Any) -> list[Any]:
            pairs = [(root, c) for root, c in zip(roots, cotangents, strict=True) if c is not None]
            return reverse.sweep([root for root, _ in pairs], [c for _, c in pairs], targets)

        record = self._history(tensors, _primitive(backward))
        made = []
        for source in sources:
            tensor, place = source, _place_of(source, roots)
            if place is not None:
                tensor = wrap(source.array, source.spec, source.memory)
                tensor.edge, tensor.needs_grad = (record, place), True
            made.append(tensor)
        return _rebuilt(result, iter(made))

    def _history(self, tensors: Sequence[Tensor], primitive: Primitive) -> Record:
        """Return the record of a call, whose backward pass is that of `primitive`."""
        record = object.__new__(Record)
        record.number = next_number()
        record.primitive = primitive
        record.params = {}
        actual = [leaf.now(tensors) for leaf in self._targets]
        record.edges = record.operands = tuple([x if x.edge is None else x.edge for x in actual])
        record.inputs = tuple([x.spec for x in actual])
        record.outputs = tuple(self._roots)
        record.tracked = (True,) * len(actual)
        record.keep = NOTHING
        record.saved = _SOMETHING
        record.hooks = None
        record.scope, record.phase = MODE.scope, "forward"
        line = here()
        record.code, record.offset = (None, 0) if line is None else (line.code, line.offset)
        record.called, record.step = None, 0
        return record

    def sweep(self, record: Record, cotangents: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Run the backward pass of a call; return the gradients of the leaves.

        Raises:
            GradientError: if it has run before, or should itself be recorded.
            InPlaceError: if a tensor that it needs has changed since the call.
        """
        lowered = next((x for x in self._lowered if x.user is not None and x.user() is record), None)
        if record.saved is None or lowered is None:
            raise GradientError("backward", "the backward pass of a compiled function runs once for each call",
                                fix="call the function again, or compile the whole step", line=record.line)
        if MODE.grad:
            raise GradientError("backward", "the backward pass of a compiled function cannot be differentiated",
                                fix="compute the second derivative inside the compiled function", line=record.line)
        changed = [m for m, version in zip(self._relied_on, lowered.versions, strict=True) if m.version != version]
        changed += [x.memory for x, version in lowered.tensors if x.memory.version != version]
        if changed:
            line = changed[0].changed
            raise InPlaceError("backward", "a tensor that the backward pass needs has changed since the call",
                               got="a change " + (f"at {line}" if line else "by another call"), line=record.line,
                               fix="run backward before the optimizer's step and before the next call")
        arrays = []
        for spec, cotangent in zip(self._roots, cotangents, strict=True):
            if cotangent is None:
                array = spec.empty()
                array[...] = -0.0  # which changes no sum that it is added to
            else:
                array = cotangent.array
                if cotangent.spec is not spec:
                    array = copied(cotangent, spec.order or tuple(range(spec.ndim))).array
            arrays.append(array)
        lowered.place(self._first_cotangent, arrays)
        lowered.run([*lowered.arguments, *arrays], lowered.backward)
        lowered.user = None
        everything = [*lowered.arguments, *arrays]
        given = {number for number, cotangent in enumerate(cotangents) if cotangent is not None}
        return [None if v is None or given.isdisjoint(sources)
                else wrap(now(v, lowered.arrays[v], everything).copy(order="K"))
                for v, sources in zip(self._step.found, self._sources, strict=True)]

    @property
    def instructions(self) -> Sequence[Instruction]:
        """What a replay runs; at the end what the backward pass of its results runs."""
        return self._step.instructions

    @property
    def replayed(self) -> Program:
        """The instructions as a program."""
        return program_of(self._step, self._step.instructions)

    def stage(self, name: str) -> Program:
        """Return the instructions after a pass, as a program."""
        return program_of(self._step, self.stages[name])

    def describe(self) -> list[str]:
        """Return what the program consists of: a line of numbers, and lines of what Python runs, if there is any."""
        lowered = self._lowered[0]
        text = (f"{len(self._step.instructions)} instructions, {len(lowered.table) - 1} calls of kernels, "
                f"{len(lowered.hosts)} of Python, {text_of('bytes', lowered.memory.nbytes)}")
        calls = sum(instruction.calls_python for instruction in self._step.instructions)
        if calls:
            text += f"; hooks and functions of yours that it calls: {calls}"
        if self._sizes is not None:
            budget, now_taken, otherwise = (text_of("bytes", size) for size in self._sizes)
            text += f" (budget {budget}: temporaries {now_taken}, without it {otherwise})"
        places = [f"{instruction.primitive.name} at {instruction.record.line}" for instruction in lowered.hosts]
        return [text, "run by Python:", *[f"  {place}" for place in places]] if places else [text]


_SOMETHING: Any = ((None, None, 0),)  # what a call has saved is the program's business; a sweep takes it away


def _primitive(backward: Callable[..., Any]) -> Primitive:
    """Return what stands for a compiled function in the record of a call."""
    primitive: Primitive = object.__new__(Primitive)
    primitive.name = "compiled"
    primitive.vjp = backward
    primitive.twin = None
    primitive.progress = ()
    primitive.view = False
    primitive.differentiable = True
    return primitive


def _without_history(x: Tensor) -> Tensor:
    """Return an argument as the function gets it while it is recorded: a leaf."""
    if x.edge is None:
        return x
    leaf = wrap(x.array, x.spec, x.memory)
    leaf.needs_grad = x.needs_grad
    return leaf


def _hooks_of(leaf: Tensor) -> tuple[Any, ...]:
    """Return the hooks that a backward pass calls when it comes to a leaf."""
    return tuple(leaf.hooks or ()), tuple(leaf.accumulate_hooks or ())


def _saved_in(context: Any) -> Sequence[Any]:
    """Return the tensors that the context of a user's own function holds; none for anything else."""
    return list(tensors_in(vars(context))) if hasattr(context, "save_for_backward") else ()


def _place_of(wanted: Tensor, tensors: Sequence[Tensor]) -> int | None:
    return next((i for i, x in enumerate(tensors) if x is wanted), None)


def _rebuilt(value: Any, made: Any) -> Any:
    """Return a result like `value` with the tensors that come next."""
    return rebuilt(value, made, Tensor | _Output)
