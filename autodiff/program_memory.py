"""How much memory a program's values take while it runs: from when each is made and when it is read last."""

from __future__ import annotations

from collections.abc import Hashable
from itertools import accumulate
from typing import Any, NamedTuple

from autodiff.program import Program, Record
from autodiff.program_text import Printer
from autodiff.spec import Spec


class MemoryUse(NamedTuple):
    """Bytes of a program's values.

    Attributes:
        live: while each record runs, its inputs and outputs among them.
        peak: the most of these; 0 for a program without records.
        record: the first record that needs so much; None without records.
    """

    live: tuple[int, ...]
    peak: int
    record: Record | None


def memory_of(program: Program) -> MemoryUse:
    """Return the memory that a program's values take; see `Program.memory`."""
    is_number = Printer(program).is_number
    blocks: dict[tuple[Record, int], Hashable] = {}  # value -> the memory it lies on
    size: dict[Hashable, int] = {}
    first: dict[Hashable, int] = {}
    last: dict[Hashable, int] = {}

    def block_of(operand: Any) -> Hashable:
        """Return what the memory of an operand is known by; of a leaf, that of the tensor."""
        return blocks.get(operand, operand) if type(operand) is tuple else id(operand.memory)

    def use(block: Hashable, spec: Spec, time: int) -> None:
        size[block] = max(size.get(block, 0), _extent(spec))
        first.setdefault(block, 0)
        last[block] = time

    for time, record in enumerate(program):
        for operand, spec in zip(record.operands, record.inputs, strict=True):
            if operand is not None and not is_number(operand):
                use(block_of(operand), spec, time)
        written = program.written.get(record, ())
        for index, spec in enumerate(record.outputs):
            source = written[index] if index < len(written) else record.operands[0] if record.primitive.view else None
            made_here = source is None or is_number(source)
            block = (record, index) if made_here else block_of(source)
            if made_here:
                first[block] = time
            blocks[record, index] = block
            use(block, spec, time)
    end = len(program)
    for output in program.outputs:
        last[block_of(output)] = end
    change = [0] * (end + 1)
    for block, bytes_ in size.items():
        change[first[block]] += bytes_
        if block in blocks and last[block] < end:
            change[last[block] + 1] -= bytes_
    live = tuple(accumulate(change[:end]))
    peak = max(live, default=0)
    return MemoryUse(live, peak, program.records[live.index(peak)] if live else None)


def _extent(spec: Spec) -> int:
    """Return the bytes between the first and the last element, both included: a broadcast one takes one element."""
    if not spec.size:
        return 0
    span = sum((size - 1) * abs(stride) for size, stride in zip(spec.shape, spec.strides, strict=True))
    return (span + 1) * spec.dtype.itemsize
