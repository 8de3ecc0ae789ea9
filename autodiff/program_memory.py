"""How much memory a program's values take while it runs: from when each is made and when it is read last."""

from __future__ import annotations

from collections.abc import Hashable, Set
from itertools import accumulate, groupby
from typing import Any, NamedTuple

from autodiff.primitive import EachPart
from autodiff.program import Program, Record, common_scope, tensor_class
from autodiff.program_reading import Leaf
from autodiff.program_scopes import owners_of
from autodiff.program_text import Printer
from autodiff.spec import Spec
from autodiff.threads import get_num_threads

PARAMETER, LEAF, STATE, BUFFER, INPUT, GRADIENT, SAVED, TEMPORARY, WORK = KINDS = (
    "parameter", "leaf", "optimizer state", "buffer", "input", "gradient", "saved for backward", "temporary",
    "work array")


class Holding(NamedTuple):
    """A piece of memory, and what holds it from when to when.

    Attributes:
        name: of the value that it was made for, as in the program's text: ``"%3"``, or the name of a leaf.
        kind: one of `KINDS`. A leaf is a tensor with `requires_grad` that is no parameter of a module. A gradient is
            that of a leaf or parameter; those on their way back are temporary.
        size: bytes.
        first, last: places of the records in the program from whose start to whose end it is needed.
        record: that made it; None for a leaf.
        spec: of the value.
        module: path of the module that made it or, for a parameter or buffer, holds it; empty outside of modules.
        around: path of the innermost module around whatever makes it and reads it in the backward pass.
    """

    name: str
    kind: str
    size: int
    first: int
    last: int
    record: Record | None
    spec: Spec
    module: str
    around: str


class MemoryUse(NamedTuple):
    """Bytes of a program's values.

    Attributes:
        live: while each record runs, its inputs, outputs and work arrays among them.
        peak: the most of these; 0 for a program without records.
        record: the first record that needs so much; None without records.
        holdings: what the bytes are held by, in the order in which it begins.
    """

    live: tuple[int, ...]
    peak: int
    record: Record | None
    holdings: tuple[Holding, ...]

    def at(self, place: int) -> list[Holding]:
        """Return what is alive while a record runs, largest first.

        >>> import autodiff as ad
        >>> use = ad.record(lambda x: x.exp()[:1].exp(), ad.ones(4)).memory()
        >>> [(holding.name, holding.size) for holding in use.at(2)]
        [('leaf0', 16), ('%0', 16), ('%2', 4)]
        """
        alive = [holding for holding in self.holdings if holding.first <= place <= holding.last]
        return sorted(alive, key=lambda holding: -holding.size)


class _Block:
    """What is known of a piece of memory while the records are read."""

    __slots__ = ("around", "first", "last", "made", "name", "readers", "size", "spec", "writers")

    def __init__(self, name: str, spec: Spec, first: int, made: Record | None) -> None:
        self.name = name
        self.spec = spec
        self.size = 0
        self.first = self.last = first
        self.made = made
        self.around = "" if made is None else made.scope
        self.readers: set[str] = set()  # phases
        self.writers: set[str] = set()


def memory_of(program: Program) -> MemoryUse:
    """Return the memory that a program's values take; see `Program.memory`."""
    printer = Printer(program)
    owner: dict[tuple[Record, int], Hashable] = {}  # value -> what its memory is known by
    blocks: dict[Hashable, _Block] = {}
    leaves: dict[Hashable, Any] = {}
    work: dict[int, int] = {}
    end = len(program)
    done = _done(program)

    def block_of(operand: Any, spec: Spec) -> _Block:
        """Return the memory of an operand; of a leaf, that of the tensor."""
        key = owner.get(operand, operand) if type(operand) is tuple else id(operand.memory)
        block = blocks.get(key)
        if block is None:
            name = printer.leaves[operand if type(operand) is tuple else id(operand)]
            block = blocks[key] = _Block(name, spec, 0, None)
            leaves[key] = operand
        return block

    def use(block: _Block, spec: Spec, time: int) -> None:
        block.size = max(block.size, _extent(spec))
        block.last = max(block.last, time)

    for time, record in enumerate(program):
        begun, over = done[time]
        for operand, spec in zip(record.operands, record.inputs, strict=True):
            if operand is not None and not printer.is_number(operand):
                block = block_of(operand, spec)
                block.readers.add(record.phase)
                if record.phase == "backward" and block.around != record.scope:
                    block.around = common_scope((block.around, record.scope))
                # What a record's backward pass is given it holds until it is over.
                use(block, spec, over if block.first < begun else time)
        written = program.written.get(record, ())
        for index, spec in enumerate(record.outputs):
            source = written[index] if index < len(written) else record.operands[0] if record.primitive.view else None
            value = (record, index)
            if source is None or printer.is_number(source):
                block = blocks[value] = _Block(printer.values[value], spec, time, record)
                owner[value] = value
            else:
                block = block_of(source, spec)
                owner[value] = owner.get(source, source) if type(source) is tuple else id(source.memory)
                block.writers.add(record.phase)
            use(block, spec, time)
        size = _work(record)
        if size:
            work[time] = size
    for output in program.outputs:
        if output in owner:
            blocks[owner[output]].last = end

    owners = owners_of(program)
    again = {record for record, phases in zip(program, program.columns.get("recomputed", ())) if phases and all(phases)}
    states = _states(program)
    inputs = {id(tensor.memory) for _, tensor in program.inputs}
    holdings = []
    for key, block in blocks.items():
        leaf = leaves.get(key)
        kind = _kind(block, again) if leaf is None else INPUT if key in inputs else _leaf_kind(leaf, block)
        last = end if leaf is not None or kind == GRADIENT else block.last
        name = block.name
        if leaf is not None and kind == STATE and key in states:
            name = leaf.name or name
            leaf = states[key]
        module = block.made.scope if block.made is not None else owners.get(id(leaf), "")
        holdings.append(Holding(name, kind, block.size, block.first, min(last, end - 1), block.made, block.spec,
                                module, block.around))
    for time, size in work.items():
        record = program.records[time]
        holdings.append(Holding(f"work of {record.name}", WORK, size, time, time, record, record.outputs[0],
                                record.scope, record.scope))
    holdings.sort(key=lambda holding: holding.first)
    change = [0] * (end + 1)
    for holding in holdings:
        change[holding.first] += holding.size
        change[holding.last + 1] -= holding.size
    live = tuple(accumulate(change[:end]))
    peak = max(live, default=0)
    return MemoryUse(live, peak, program.records[live.index(peak)] if live else None, tuple(holdings))


def _states(program: Program) -> dict[Hashable, Any]:
    """Return which parameter an optimizer's state is for: memory of the state -> leaf.

    An optimizer's step overwrites its parameters and, behind them, each kind of state in the same order.
    """
    found: dict[Hashable, Any] = {}
    for record, written in program.written.items():
        if record.phase == "update" and not any(type(leaf) is tuple for leaf in written):
            parameters = [leaf for leaf in written if leaf.needs_grad]
            for place, leaf in enumerate(written):
                if parameters and not leaf.needs_grad:
                    found[id(leaf.memory)] = parameters[place % len(parameters)]
    return found


def _done(program: Program) -> list[tuple[int, int]]:
    """Return, for each record, the places of the first and last one that propagate back through the same record.

    What is computed again in between is for itself.
    """
    spans = [(place, place) for place in range(len(program))]
    known = zip(program.columns.get("origin", ()), program.columns.get("recomputed") or [()] * len(program))
    backward = [(place, origin) for place, (origin, again) in enumerate(known) if origin is not None and not again]
    for _, run in groupby(backward, key=lambda entry: id(entry[1])):
        places = [place for place, _ in run]
        for place in places:
            spans[place] = places[0], places[-1]
    return spans


def _kind(block: _Block, again: Set[Record]) -> str:
    """Return what kind of value a record has made; `again` are those that compute again what was computed before."""
    assert block.made is not None
    if block.made in again:
        return TEMPORARY
    if block.made.phase == "backward":
        # What a backward pass makes is read by it, or it was handed out: as the gradient of a leaf.
        handed_out = block.readers <= {"update"}
        return GRADIENT if handed_out else TEMPORARY
    return SAVED if block.made.phase == "forward" and "backward" in block.readers else TEMPORARY


def _leaf_kind(leaf: Any, block: _Block) -> str:
    if type(leaf) is tuple:
        return INPUT
    if is_parameter(leaf):
        return PARAMETER
    if leaf.needs_grad:
        return LEAF
    if "update" in block.writers:
        return STATE
    if "backward" in block.writers:
        return GRADIENT
    return BUFFER if leaf.name else INPUT


def is_parameter(leaf: Any) -> bool:
    """Tell whether a leaf is a parameter of a module; one that was read from text, if it requires a gradient.

    >>> import autodiff as ad
    >>> is_parameter(ad.nn.Parameter(ad.ones(2))), is_parameter(ad.ones(2, requires_grad=True))
    (True, False)
    """
    return bool(leaf.needs_grad) if type(leaf) is Leaf else type(leaf) is not tensor_class[0]


def _work(record: Record) -> int:
    """Return the bytes of a record's work arrays."""
    primitive = record.primitive
    if primitive.scratch is None:
        return 0
    specs = primitive.scratch(record.inputs, record.outputs, **record.params)
    return sum(spec.spec.nbytes * get_num_threads() if isinstance(spec, EachPart) else spec.nbytes for spec in specs)


def _extent(spec: Spec) -> int:
    """Return the bytes between the first and the last element, both included: a broadcast one takes one element."""
    if spec.order is not None or not spec.size:
        return spec.nbytes
    span = sum((size - 1) * abs(stride) for size, stride in zip(spec.shape, spec.strides, strict=True))
    return (span + 1) * spec.dtype.itemsize
