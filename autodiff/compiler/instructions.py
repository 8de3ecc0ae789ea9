"""What a recorded function does to memory: values, the stretches of memory they lie in, and instructions in order.

A record says what was computed; an instruction also says where. Its operands are `Value`s, and each value lies in a
`Region`: a view lies in its source's, what is written in place in that of what it overwrites.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from enum import Enum
from typing import Any

from autodiff.bind import plan_for
from autodiff.compiler.calls import PythonCall, RecordingError
from autodiff.compiler.sharing import owner_of
from autodiff.compiler.tracer import Draw, Tracer
from autodiff.primitive import Primitive
from autodiff.program import Program, Record
from autodiff.spec import Array, Spec


class Kind(Enum):
    """Whose memory a region is."""

    TEMPORARY = "temporary"  # the program's, for as long as the values in it are needed
    GRADIENT = "gradient"  # the program's, and readable as `.grad` between replays
    SLOT = "slot"  # a parameter's, a buffer's, an optimizer state's: outside, always the same
    ARGUMENT = "argument"  # outside, and another one at each replay
    CONSTANT = "constant"  # made by the function, of numbers that no operation computed
    KEY = "key"  # seed and number of a random draw


class Region:
    """A stretch of memory.

    Attributes:
        kind: whose it is.
        nbytes: its size.
        source: a leaf tensor that lies there, for all but temporaries.
        offset: bytes from the beginning of the arena, for a temporary; set by `arena`.
    """

    __slots__ = ("kind", "nbytes", "offset", "source")

    def __init__(self, kind: Kind, nbytes: int, source: Any = None) -> None:
        self.kind = kind
        self.nbytes = nbytes
        self.source = source
        self.offset = -1

    def __repr__(self) -> str:
        return f"<{self.kind.value} {self.nbytes} bytes>"


class Value:
    """A tensor of the program.

    Attributes:
        region: where it lies.
        spec: shape, dtype, strides.
        source: for a view the value that it is a view of, else None.
        view: makes the view's array from the source's.
        leaf: the tensor that the function found there, where no operation made the value.
        number: of the argument that it is; None for anything else.
        record: for a view the record that made it, and which of its outputs it is.
        place: for a view that was written into, the record that says what that has made of its base.
    """

    __slots__ = ("leaf", "number", "place", "record", "region", "source", "spec", "view")

    def __init__(
        self, region: Region, spec: Spec, source: Value | None = None, view: Callable[[Array], Array] | None = None,
        leaf: Any = None,
    ) -> None:  # fmt: skip
        self.region = region
        self.spec = spec
        self.source = source
        self.view = view
        self.leaf = leaf
        self.number: int | None = None
        self.record: tuple[Record, int] | None = None
        self.place: Record | None = None

    @property
    def root(self) -> Value:
        """The value that it is a view of, through all views; itself if it is none."""
        value = self
        while value.source is not None:
            value = value.source
        return value

    @property
    def outside(self) -> bool:
        """Whether it is a tensor from outside, no argument."""
        return self.leaf is not None and self.number is None and self.region.kind in (Kind.SLOT, Kind.ARGUMENT)


class Instruction:
    """An operation on values.

    Attributes:
        primitive: the operation.
        params: its parameters; a number may be a slot.
        inputs: what it reads.
        outputs: what it writes; in place where their regions were there before.
        in_place: whether it writes into memory that was there before.
        record: where it comes from.
        parts: the instructions that it does the work of; of a fused one.
        recomputed: the phase in which the same was computed before; empty where it was not.
    """

    __slots__ = ("in_place", "inputs", "outputs", "params", "parts", "primitive", "recomputed", "record")

    def __init__(
        self, primitive: Primitive, params: dict[str, Any], inputs: Sequence[Value], outputs: Sequence[Value],
        record: Record, in_place: bool = False, parts: Sequence[Instruction] = (), recomputed: str = "",
    ) -> None:  # fmt: skip
        self.primitive = primitive
        self.params = params
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.record = record
        self.in_place = in_place
        self.parts = tuple(parts)
        self.recomputed = recomputed

    @property
    def calls_python(self) -> bool:
        """Whether it calls the user's Python: nobody knows what that looks at."""
        return isinstance(self.primitive, PythonCall)

    @property
    def computes(self) -> bool:
        """Whether it does nothing but compute temporaries from what it reads."""
        return not (
            self.in_place
            or self.calls_python
            or self.primitive.relocate is not None
            or any(value.region.kind is not Kind.TEMPORARY for value in self.outputs)
        )

    def __repr__(self) -> str:
        return f"<instruction {self.primitive.name}>"


class Substitution:
    """Which values stand for others; a view of a value for which another one stands is that view of the other one."""

    def __init__(self) -> None:
        self._found: dict[Value, Value] = {}

    def put(self, value: Value, other: Value) -> None:
        """Let `other` stand for `value`."""
        self._found[value] = other

    def of(self, value: Value) -> Value:
        """Return what stands for a value: itself where nothing else does."""
        found = self._found.get(value)
        if found is None:
            found = value
            if value.source is not None and (source := self.of(value.source)) is not value.source:
                found = Value(source.region, value.spec, source, value.view)
                found.record, found.place = value.record, value.place
            self._found[value] = found
        return found

    def applied(self, instruction: Instruction, where: Callable[[Value], bool] = lambda _: True) -> Instruction:
        """Return an instruction that reads what stands for its inputs, those `where` that is wanted; itself if none."""
        inputs = [self.of(value) if where(value) else value for value in instruction.inputs]
        if all(x is y for x, y in zip(inputs, instruction.inputs, strict=True)):
            return instruction
        return Instruction(instruction.primitive, instruction.params, inputs, instruction.outputs, instruction.record,
                           instruction.in_place, instruction.parts, instruction.recomputed)


class Step:
    """A recorded function as instructions.

    Args:
        tracer: what was recorded.
        arguments: tensors that are others at each replay.
        results: tensors that the function returned.
        found: gradients that the backward pass of the results found; None for a leaf without one.
        forward: how many of the records belong to the function itself; the rest is that backward pass.
        inputs: arguments with the names of their parameters.

    Attributes:
        instructions: in the order they run.
        forward: how many of them belong to the function itself.
        results: values that the function returns.
        found: values of those gradients.
        gradients: leaves whose `.grad` is a value of the step when the function returns: ``(leaf, value)``.
        program: the records for reading, without the arrays that were saved for the backward pass.
    """

    def __init__(
        self, tracer: Tracer, arguments: Sequence[Any], results: Sequence[Any], found: Sequence[Any], forward: int,
        inputs: Sequence[tuple[str, Any]] = (),
    ) -> None:  # fmt: skip
        self.instructions: list[Instruction] = []
        self._draws = tracer.draws
        self._made = tracer.made
        self._values: dict[Any, Value] = {}
        self._regions: dict[int, Region] = {}
        self._arguments = {id(x): i for i, x in enumerate(arguments)}
        self._given = {owner_of(x.array) for x in arguments}
        self._copies: dict[Record, Record] = {}
        self.forward = -1
        for number, record in enumerate(tracer.records):
            if number == forward:
                self.forward = len(self.instructions)
            self._add(record, tracer.written.get(record, ()))
        if self.forward < 0:
            self.forward = len(self.instructions)
        operands = [tracer.operand(x) for x in results]
        self.results = [self.value(operand) for operand in operands]
        self.found = [None if x is None else self.value(tracer.operand(x)) for x in found]
        self.gradients: list[tuple[Any, Value]] = []
        for leaf in tracer.grads.values():
            if leaf._grad is not None:
                operand = tracer.operand(leaf._grad)
                if operand is tracer.read.get(id(leaf)):
                    continue  # the one from outside, perhaps changed in place
                value = self.value(operand)
                if value.region.kind is not Kind.TEMPORARY or value.source is not None:
                    if value.leaf is not None and value.leaf is tracer.read.get(id(leaf)):
                        continue
                    raise RecordingError("compile", "the function sets a .grad to a tensor that has other uses, too",
                                         got=leaf.name or repr(leaf.spec), fix="set it to a clone()")
                value.region.kind = Kind.GRADIENT
                self.gradients.append((leaf, value))
        written = {self._copies[record]: tuple([self._copied(x) for x in before])
                   for record, before in tracer.written.items() if record in self._copies}
        for record, pairs in tracer.gradients.items():
            # A leaf that the function has cut off from a result of its own is that result.
            known = [(i, x if type(x) is tuple or id(x) in self._values else tracer.operand(x)) for i, x in pairs]
            here = [(i, x) for i, x in known if type(x) is not tuple or x[0] in self._copies]
            tracer.gradients[record] = [(i, self._copied(x)) for i, x in here]
        tracer.origins = {record: self._copies.get(origin) for record, origin in tracer.origins.items()}
        ends = [self._copied(x) for x in operands if type(x) is tuple]
        self.program = Program(self._copies.values(), ends, written, tracer.columns(), inputs)

    def value(self, operand: Any) -> Value:
        """Return the value of an operand: an output of a record, or a leaf tensor."""
        key = operand if type(operand) is tuple else id(operand)
        found = self._values.get(key)
        if found is None:
            self._values[key] = found = Value(self._region(operand), operand.spec, leaf=operand)
            found.number = self._arguments.get(id(operand))
        return found

    def forget(self) -> None:
        """Let go of the original records: they keep arrays alive."""
        self._values.clear()
        self._copies.clear()

    def slots(self) -> list[Any]:
        """Return the leaf tensors outside the function that it uses, and the bases of arguments that it changes."""
        return [x.leaf for x in self._values.values() if x.outside]

    def around(self) -> list[Any]:
        """Return the leaf tensors outside the function that its instructions read or write, or that it returns."""
        used = [*self.results, *[value for value in self.found if value is not None]]
        for instruction in self.instructions:
            used += (*instruction.inputs, *instruction.outputs)
        return list({id(root.leaf): root.leaf for root in [value.root for value in used] if root.outside}.values())

    def draw(self, key: Value) -> Draw:
        """Return the draw of a key."""
        return self._draws[id(key.region.source)]

    def _region(self, leaf: Any) -> Region:
        """Return the region of a leaf; leaves on one memory share it."""
        if id(leaf) in self._draws:
            return Region(Kind.KEY, leaf.spec.nbytes, leaf)
        if type(leaf.edge) is tuple and id(leaf) not in self._arguments:
            raise RecordingError(
                "compile", "the function uses a tensor with the history of an earlier call, that no replay could sweep",
                got=repr(leaf.spec), line=leaf.edge[0].line, fix="keep its detach(), or pass it as an argument",
            )
        owner = owner_of(leaf.array)
        region = self._regions.get(owner)
        if region is None:
            kind = Kind.CONSTANT if id(leaf) in self._made else Kind.SLOT
            if owner in self._given:
                kind = Kind.ARGUMENT
            self._regions[owner] = region = Region(kind, leaf.spec.nbytes, leaf)
        return region

    def _add(self, original: Record, before: tuple[Any, ...]) -> None:
        """Append the instruction of a record, or note what its outputs are where nothing is to be done."""
        record = self._readable(original)
        primitive = record.primitive
        inputs = [self.value(operand) for operand in original.operands]
        written = [self.value(operand) for operand in before]
        if written and primitive.name == "place":
            outputs = written  # the base of a view that has changed: the memory has changed already
            inputs[1].place = record
        elif written:
            outputs = written
            if primitive.relocate is not None:
                for value in outputs:
                    if value.region.kind is Kind.CONSTANT:  # a state that the optimizer has made in this call
                        value.region.kind = Kind.SLOT
            self.instructions.append(Instruction(primitive, record.params, inputs, outputs, record, in_place=True))
        elif primitive.view:
            run = plan_for(primitive, (inputs[0].spec,), record.params).run
            outputs = [
                Value(inputs[0].region, spec, inputs[0], _Part(run, i)) for i, spec in enumerate(record.outputs)
            ]
            for i, value in enumerate(outputs):
                value.record = record, i
        else:
            outputs = [Value(Region(Kind.TEMPORARY, spec.nbytes), spec) for spec in record.outputs]
            self.instructions.append(Instruction(primitive, record.params, inputs, outputs, record))
        for i, value in enumerate(outputs):
            self._values[original, i] = value

    def _readable(self, record: Record) -> Record:
        """Return a copy of a record that keeps no arrays alive."""
        found = copy(record)
        found.saved, found.hooks, found.edges = None, None, ()
        found.operands = tuple([self._copied(operand) for operand in record.operands])
        self._copies[record] = found
        return found

    def _copied(self, operand: Any) -> Any:
        return (self._copies[operand[0]], operand[1]) if type(operand) is tuple else operand


class _Part:
    """One of the views that an operation makes of an array."""

    __slots__ = ("index", "run")

    def __init__(self, run: Callable[[Array], Sequence[Array]], index: int) -> None:
        self.run = run
        self.index = index

    def __call__(self, array: Array) -> Array:
        return self.run(array)[self.index]
