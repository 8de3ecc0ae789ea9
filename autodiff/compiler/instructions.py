"""What a recorded function does to memory: values, the stretches of memory they lie in, and instructions in order.

A record says what was computed; an instruction also says where. Its operands are `Value`s, and each value lies in a
`Region`: a view lies in its source's, what is written in place in that of what it overwrites.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

from autodiff.bind import plan_for
from autodiff.compiler.tracer import Draw, Tracer
from autodiff.primitive import Primitive
from autodiff.program import Memory, Record
from autodiff.spec import Array, Spec


class Kind(Enum):
    """Whose memory a region is."""

    TEMPORARY = "temporary"  # the program's, for as long as the values in it are needed
    GRADIENT = "gradient"  # the program's, and readable as `.grad` between replays
    SLOT = "slot"  # a parameter's, a buffer's, an optimizer state's: outside, always the same
    ARGUMENT = "argument"  # outside, and another one at each replay
    CONSTANT = "constant"  # made while the function was recorded, and never written
    KEY = "key"  # seed and number of a random draw


class Region:
    """A stretch of memory.

    Attributes:
        kind: whose it is.
        nbytes: its size.
        source: the leaf tensor for a slot, a constant or a key; the number of the argument.
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
        array: on the memory it has in the lowered program; set by `lowering`.
    """

    __slots__ = ("array", "region", "source", "spec", "view")

    def __init__(
        self, region: Region, spec: Spec, source: Value | None = None, view: Callable[[Array], Array] | None = None
    ) -> None:
        self.region = region
        self.spec = spec
        self.source = source
        self.view = view
        self.array: Any = None


class Instruction:
    """An operation on values.

    Attributes:
        primitive: the operation.
        params: its parameters; a number may be a slot.
        inputs: what it reads.
        outputs: what it writes; in place where their regions were there before.
        in_place: whether it writes into memory that was there before.
        record: where it comes from.
    """

    __slots__ = ("in_place", "inputs", "outputs", "params", "primitive", "record")

    def __init__(
        self, primitive: Primitive, params: dict[str, Any], inputs: Sequence[Value], outputs: Sequence[Value],
        record: Record, in_place: bool = False,
    ) -> None:  # fmt: skip
        self.primitive = primitive
        self.params = params
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.record = record
        self.in_place = in_place

    def __repr__(self) -> str:
        return f"<instruction {self.primitive.name}>"


class Step:
    """A recorded function as instructions.

    Attributes:
        instructions: in the order they run.
        results: values that the function returns.
        gradients: leaves whose `.grad` is a value of the program when the function returns; ``(leaf, value)``.
    """

    def __init__(self, tracer: Tracer, arguments: Sequence[Any], results: Sequence[Any]) -> None:
        self.instructions: list[Instruction] = []
        self._tracer = tracer
        self._values: dict[Any, Value] = {}
        self._regions: dict[int, Region] = {}
        self._arguments = {id(x): i for i, x in enumerate(arguments)}
        for record in tracer.records:
            self._add(record)
        self.results = [self.value(tracer.operand(x)) for x in results]
        self.gradients: list[tuple[Any, Value]] = []
        for leaf in tracer.grads.values():
            if leaf._grad is not None:
                operand = tracer.operand(leaf._grad)
                if type(operand) is tuple:
                    self.gradients.append((leaf, self.value(operand)))

    def value(self, operand: Any) -> Value:
        """Return the value of an operand: an output of a record, or a leaf tensor."""
        key = operand if type(operand) is tuple else id(operand)
        found = self._values.get(key)
        if found is None:
            self._values[key] = found = Value(self._region(operand), operand.spec)
        return found

    def draw(self, key: Value) -> Draw:
        """Return the draw of a key."""
        return self._tracer.draws[id(key.region.source)]

    def _region(self, leaf: Any) -> Region:
        """Return the region of a leaf; leaves on one memory share it."""
        if id(leaf) in self._arguments:
            return Region(Kind.ARGUMENT, leaf.spec.nbytes, self._arguments[id(leaf)])
        if id(leaf) in self._tracer.draws:
            return Region(Kind.KEY, leaf.spec.nbytes, leaf)
        memory: Memory = leaf.memory
        region = self._regions.get(id(memory))
        if region is None:
            self._regions[id(memory)] = region = Region(Kind.SLOT, leaf.spec.nbytes, leaf)
        return region

    def _add(self, record: Record) -> None:
        """Append the instruction of a record, or note what its outputs are where nothing is to be done."""
        primitive = record.primitive
        inputs = [self.value(operand) for operand in record.operands]
        written = [self.value(operand) for operand in self._tracer.written.get(record, ())]
        if written and primitive.name == "place":
            outputs = written  # the base of a view that has changed: the memory has changed already
        elif written:
            outputs = written
            self.instructions.append(Instruction(primitive, record.params, inputs, outputs, record, in_place=True))
        elif primitive.view:
            run = plan_for(primitive, (inputs[0].spec,), record.params).run
            outputs = [
                Value(inputs[0].region, spec, inputs[0], _Part(run, i)) for i, spec in enumerate(record.outputs)
            ]
        else:
            outputs = [Value(Region(Kind.TEMPORARY, spec.nbytes), spec) for spec in record.outputs]
            self.instructions.append(Instruction(primitive, record.params, inputs, outputs, record))
        for i, value in enumerate(outputs):
            self._values[record, i] = value


class _Part:
    """One of the views that an operation makes of an array."""

    __slots__ = ("index", "run")

    def __init__(self, run: Callable[[Array], Sequence[Array]], index: int) -> None:
        self.run = run
        self.index = index

    def __call__(self, array: Array) -> Array:
        return self.run(array)[self.index]
