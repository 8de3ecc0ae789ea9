"""Which element-wise instructions run as one, or as the epilogue of another.

As one they are one pass over memory, for which `ops/fused.py` makes the kernel; as an epilogue (`ops/followed.py`) they
are none: they finish the result of a product, say, while it is in the cache.

Instructions are joined one after the other to what they may follow, or to what made their inputs, or else to what reads
one of their inputs, too. What is joined runs in one place. One of the two sides has to move there, which it may where
nothing between depends on it: where no memory is written that it reads or writes, and none read that it writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from autodiff.compiler.calls import PythonCall
from autodiff.ops import followed
from autodiff.ops.followed import followed_p
from autodiff.ops.fused import Steps, fusable, fused_p
from autodiff.primitive import Primitive
from autodiff.spec import Spec

OPERANDS = 12  # of a chain, inputs and outputs: more streams than the processor fetches ahead
STEPS = 24  # of a chain: a kernel that is quick to compile
REACH = 32  # instructions that one moves across: what lies further apart has left the caches
LEAST = 256  # elements: a pass over fewer is not worth a kernel of its own


class Value(Protocol):
    """A tensor of a program: where it lies, and how."""

    @property
    def region(self) -> Hashable:
        """The memory it lies in: views lie in that of their source."""

    @property
    def spec(self) -> Spec:
        """Its shape, dtype and strides."""


class Instruction(Protocol):
    """An operation on values, as `instructions.Instruction`."""

    @property
    def primitive(self) -> Primitive:
        """The operation."""

    @property
    def params(self) -> Mapping[str, Any]:
        """Its parameters."""

    @property
    def inputs(self) -> Sequence[Any]:
        """The values it reads."""

    @property
    def outputs(self) -> Sequence[Any]:
        """The values it writes."""

    @property
    def in_place(self) -> bool:
        """Whether it writes into memory that was there before."""


I = TypeVar("I", bound=Instruction)  # noqa: E741


class Chain(NamedTuple):
    """Instructions that run as one: `bind(fused_p, *inputs, steps=steps, results=results)` gives the outputs.

    Attributes:
        instructions: in order.
        inputs: values that it reads.
        outputs: values that it writes: those that somebody else needs.
        steps: one for each instruction.
        results: the steps that the outputs come from.
    """

    instructions: tuple[Any, ...]
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    steps: Steps
    results: tuple[int, ...]

    @property
    def operation(self) -> tuple[Primitive, dict[str, Any]]:
        """The operation that does the same, with its parameters."""
        return fused_p, {"steps": self.steps, "results": self.results}


class Followed(NamedTuple):
    """Instructions that run as one: `bind(followed_p, *inputs, first=first, steps=steps)` gives the outputs.

    Attributes:
        instructions: in order: the one that is followed first.
        inputs: values that it reads.
        outputs: values that it writes: the last result, and what else the first instruction makes.
        first: name and parameters of the first operation.
        steps: names of the others.
    """

    instructions: tuple[Any, ...]
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    first: followed.First
    steps: tuple[str, ...]

    @property
    def operation(self) -> tuple[Primitive, dict[str, Any]]:
        """The operation that does the same, with its parameters."""
        return followed_p, {"first": self.first, "steps": self.steps}


class _Unit:
    """Instructions that run in one place, and the memory they read and write."""

    def __init__(self, members: list[Any]) -> None:
        self.members = members
        self.reads = {value.region for member in members for value in member.inputs}
        self.writes = {value.region for member in members for value in member.outputs}
        self.checks = any(member.primitive.status is not None or isinstance(member.primitive, PythonCall)
                          for member in members)
        self.changes = any(member.in_place for member in members)
        self.joins = _can_be_step(members[0])
        self.leads = followed.leads(members[0].primitive) and not members[0].in_place

    def depends(self, other: _Unit) -> bool:
        """Return whether it matters which runs first: also to a hook, and for what is left after an error."""
        return not (
            self.writes.isdisjoint(other.writes)
            and self.writes.isdisjoint(other.reads)
            and self.reads.isdisjoint(other.writes)
            and not (self.checks and other.changes)
            and not (self.changes and other.checks)
        )


def chains(instructions: Iterable[I], needed: Iterable[Hashable]) -> list[I | Chain | Followed]:
    """Return the instructions with those put together that run faster as one, in an order that computes the same.

    Args:
        instructions: of a program, in order.
        needed: regions whose content somebody wants after the program.

    Only element-wise instructions of one shape and layout are put together, and those that follow an operation which
    has an epilogue. A result that nobody else reads is never written.
    """
    units = [_Unit([instruction]) for instruction in instructions]
    use = _Use(Counter(region for unit in units for region in unit.reads), frozenset(needed))
    joined: list[_Unit] = []
    for unit in units:
        joined.append(unit)
        if unit.joins:
            for partner in _partners(joined):
                unit = _join(joined, partner, unit, use)
    found = [unit.members[0] if len(unit.members) == 1 else _followed(unit) if unit.leads else _chain(unit, use)
             for unit in joined]
    return [item for item in found if not isinstance(item, Chain) or item.outputs]


class _Use(NamedTuple):
    """How many instructions read each region, and which ones are needed after the program."""

    readers: Counter[Hashable]
    needed: frozenset[Hashable]


def _can_be_step(instruction: Instruction) -> bool:
    """Return whether an instruction can be part of a chain; in place, its target must lie as a new result would."""
    if not fusable(instruction.primitive):
        return False
    (out,) = instruction.outputs
    specs = [value.spec for value in instruction.inputs]
    return (
        out.spec.size >= LEAST
        and all(_follows(spec, out.spec) for spec in specs)
        and instruction.primitive.infer(*specs, **instruction.params) is out.spec
    )


def _follows(operand: Spec, out: Spec) -> bool:
    """Return whether an operand's dimensions lie in memory as those of the result: then both are read in order."""
    if operand.shape != out.shape:
        return True
    axes = sorted((axis for axis in range(out.ndim) if out.shape[axis] > 1), key=lambda axis: -abs(out.strides[axis]))
    steps = [abs(operand.strides[axis]) for axis in axes if operand.strides[axis] != 0]
    return steps == sorted(steps, reverse=True)


def _partners(units: list[_Unit]) -> list[_Unit]:
    """Return units that the last one may be joined to.

    Those that it may follow come first, then those that made its inputs, then those that read them, too.
    """
    *before, last = units[-REACH - 1 :]
    near = [unit for unit in reversed(before) if unit.joins or unit.leads]
    made = [unit for unit in near if not unit.writes.isdisjoint(last.reads)]
    made.sort(key=lambda unit: not unit.leads)
    return made + [unit for unit in near if unit.joins and unit not in made and _share_a_large_input(unit, last)]


def _share_a_large_input(one: _Unit, other: _Unit) -> bool:
    shape = one.members[0].outputs[0].spec.shape
    found = {value for member in one.members for value in member.inputs if value.spec.shape == shape}
    return any(value in found for member in other.members for value in member.inputs)


def _join(units: list[_Unit], partner: _Unit, unit: _Unit, use: _Use) -> _Unit:
    """Join two of the units, if they fit together and one of them may move to the other; return what `unit` is then."""
    first, second = sorted((units.index(partner), units.index(unit)))
    one, other, between = units[first], units[second], units[first + 1 : second]
    both = _Unit([*one.members, *other.members])
    if other.leads or not (_follow(both, use) if one.leads else _can_be_chain(both, use)):
        return unit
    if not any(x.depends(one) for x in between):
        units[first : second + 1] = [*between, both]
    elif not any(x.depends(other) for x in between):
        units[first : second + 1] = [both, *between]
    else:
        return unit
    return both


def _can_be_chain(unit: _Unit, use: _Use) -> bool:
    """Return whether instructions fit together, and into one kernel."""
    if len(unit.members) > STEPS or not _alike(unit.members):
        return False
    inputs, results = _ends(unit, use)
    return len(inputs) + len(results) <= OPERANDS


def _follow(unit: _Unit, use: _Use) -> bool:
    """Return whether all members but the first are steps of its epilogue, in order, and nobody needs what lies between.

    What the last one writes in place must not be what the others read: the first one writes there before them. The
    residual may be where a product is simply added to it.
    """
    first, *steps = unit.members
    kinds = [followed.kind(step.primitive) for step in steps]
    if not followed.in_order(kinds):
        return False
    value, last = first.outputs[0], steps[-1].outputs[0]
    between, read = {value.region}, {x.region for x in first.inputs}
    for kind, step in zip(kinds, steps, strict=True):
        others = [x for x in step.inputs if x is not value]
        if len(others) + 1 != len(step.inputs) or step.outputs[0].spec is not value.spec:
            return False
        for other in others:
            if not followed.fits(kind, other.spec, value.spec) or other.region in between:
                return False
            in_place = other is last and followed.accumulates(first.primitive, [x.spec for x in first.inputs])
            read.update(() if in_place else (other.region,))
        value = step.outputs[0]
        between.add(value.region)
    inside = Counter(region for member in unit.members for region in {x.region for x in member.inputs})
    between.remove(last.region)
    return last.region not in read and not any(
        region in use.needed or use.readers[region] > inside[region] for region in between)


def _alike(members: Sequence[Any]) -> bool:
    """Return whether instructions have results of one shape and layout, and read what they write as it was written."""
    outs = [member.outputs[0] for member in members]
    written = {out.region: out for out in outs}
    layouts = {(out.spec.shape, out.spec.strides) for out in outs}
    return len(layouts) == 1 and all(
        written.get(value.region, value) is value for member in members for value in (*member.inputs, *member.outputs)
    )


def _ends(unit: _Unit, use: _Use) -> tuple[list[Any], list[int]]:
    """Return the values that a chain reads, and the numbers of its instructions whose results others need.

    Of several that write a value it is the last one.
    """
    inputs: dict[Any, None] = {}
    last: dict[Any, int] = {}
    for number, member in enumerate(unit.members):
        inputs.update(dict.fromkeys(value for value in member.inputs if value not in last))
        last[member.outputs[0]] = number
    inside = Counter(region for member in unit.members for region in {value.region for value in member.inputs})
    return list(inputs), sorted(
        number
        for value, number in last.items()
        if value.region in use.needed or use.readers[value.region] > inside[value.region]
    )


def _followed(unit: _Unit) -> Followed:
    first, *steps = unit.members
    inputs, value = list(first.inputs), first.outputs[0]
    for step in steps:
        inputs += [x for x in step.inputs if x is not value]
        value = step.outputs[0]
    return Followed(tuple(unit.members), tuple(inputs), (value, *first.outputs[1:]),
                    (first.primitive.name, tuple(first.params.items())), tuple(step.primitive.name for step in steps))


def _chain(unit: _Unit, use: _Use) -> Chain:
    inputs, results = _ends(unit, use)
    numbers = {value: number for number, value in enumerate(inputs)}
    steps = []
    for number, member in enumerate(unit.members, len(inputs)):
        operands = tuple(numbers[value] for value in member.inputs)
        steps.append((member.primitive.name, tuple(member.params.items()), operands))
        numbers[member.outputs[0]] = number
    outputs = tuple(unit.members[number].outputs[0] for number in results)
    return Chain(tuple(unit.members), tuple(inputs), outputs, tuple(steps), tuple(results))
