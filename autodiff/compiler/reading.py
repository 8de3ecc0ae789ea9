"""Instructions as a program again, to be printed, drawn, priced and compared: what a replay really does."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from itertools import groupby
from typing import Any

from autodiff.compiler.instructions import Instruction, Kind, Step, Value
from autodiff.primitive import NOTHING, Primitive
from autodiff.program import Program, Record, common_items, common_scope
from autodiff.program_calls import Call, calls_of
from autodiff.program_scopes import around
from autodiff.slots import held


def program_of(step: Step, instructions: Sequence[Instruction]) -> Program:
    """Return the program of some of a step's instructions, in their order.

    Views run nothing in a replay. They are records all the same, just before the first call that reads them, so that it
    is seen where values come from. The columns are ``"parts"`` of fused instructions, ``"recomputed"``,
    ``"gradient_of"``, ``"classes"``, ``"module_calls"``, ``"call"`` and ``"instruction"``: which instruction a record
    is, None for a view.
    """
    return _Reader(step, instructions).program()


class _Reader:
    """Knows for each value which record has made its content last."""

    def __init__(self, step: Step, instructions: Sequence[Instruction]) -> None:
        self.step = step
        self.instructions = instructions
        self.records: list[Record] = []
        self.numbers: list[int | None] = []
        self.parts: list[tuple[Record, ...]] = []
        self.first: list[tuple[str, ...]] = []  # of what is computed again: the phases in which it was before
        self.again: dict[Record, str] = {}  # records that compute nothing else, and that phase
        self.likes: list[Record] = []  # the recorded one of each
        self.written: dict[Record, tuple[Any, ...]] = {}
        self.now: dict[Value, Any] = {}  # what a value is by now
        self.seen: dict[Value, Any] = {}  # what the source of a view was when the view was taken
        self.calls = dict(zip(step.program, calls_of(step.program), strict=True))
        self.came: dict[tuple[Record, int], tuple[Record, int]] = {}  # what a value of the recorded program is here

    def program(self) -> Program:
        """Read all instructions."""
        for call, run in groupby(enumerate(self.instructions), key=lambda entry: self.calls.get(entry[1].record)):
            instructions = list(run)
            if call is not None:
                self._take_views_before(call, [instruction for _, instruction in instructions])
            for number, instruction in instructions:
                self._add(number, instruction)
        outputs = [self._operand(value) for value in self.step.results]
        outputs = [operand for operand in outputs if type(operand) is tuple]
        columns: dict[str, list[Any]] = {
            "instruction": self.numbers, "parts": self.parts, "recomputed": self.first, **self._known()}
        return Program(self.records, outputs, self.written, columns, self.step.program.inputs)

    def _add(self, number: int, instruction: Instruction) -> None:
        """Append the record of an instruction."""
        operands = [self._operand(value) for value in instruction.inputs]
        before = [self._operand(value) if self._was_there(value) else None for value in instruction.outputs]
        record = self._append(instruction.record, instruction.primitive, operands, instruction.inputs,
                              instruction.outputs)  # fmt: skip
        record.params = {name: held(x) for name, x in instruction.params.items()}
        self.numbers[-1] = number
        self.parts[-1] = tuple(part.record for part in instruction.parts)
        phases = tuple(part.recomputed for part in instruction.parts or (instruction,))
        if any(phases):
            self.first[-1] = phases
        if all(phases):
            self.again[record] = phases[0]
        if instruction.parts:
            record.scope = common_scope(part.record.scope for part in instruction.parts)
        if any(x is not None for x in before):
            self.written[record] = tuple(before)
        for index, value in enumerate(instruction.outputs):
            self.now[value] = (record, index)
        for part in instruction.parts or (instruction,):
            for index, value in enumerate(part.outputs):
                if value in instruction.outputs:
                    self.came[part.record, index] = self.now[value]
        for value in instruction.outputs:
            if value.source is not None:
                self._place(value)

    def _append(
        self, like: Record, primitive: Primitive, operands: Sequence[Any], inputs: Sequence[Value],
        outputs: Sequence[Value],
    ) -> Record:  # fmt: skip
        record = copy(like)
        record.primitive = primitive
        record.operands = tuple(operands)
        record.inputs = tuple([value.spec for value in inputs])
        record.outputs = tuple([value.spec for value in outputs])
        record.tracked, record.keep = (False,) * len(operands), NOTHING
        self.records.append(record)
        self.likes.append(like)
        self.numbers.append(None)
        self.parts.append(())
        self.first.append(())
        return record

    def _was_there(self, value: Value) -> bool:
        return value in self.now or value.source is not None or value.region.kind not in (Kind.TEMPORARY, Kind.GRADIENT)

    def _operand(self, value: Value) -> Any:
        """Return what a value is by now: the output of a record, or a leaf."""
        if value.source is None or value.record is None:
            return self.now.get(value, value.leaf)
        source = self._operand(value.source)
        if value not in self.now or self.seen.get(value) != _key(source):
            self.seen[value] = _key(source)
            self._take_view(value, source)
        return self.now[value]

    def _take_view(self, value: Value, source: Any) -> None:
        """Append the record of a view."""
        assert value.source is not None
        assert value.record is not None
        like, index = value.record
        record = self._append(like, like.primitive, [source], [value.source], [value])
        record.outputs = like.outputs
        self.now[value] = (record, index)
        again = self.again.get(source[0]) if type(source) is tuple else None
        if again is None:
            self.came[like, index] = (record, index)
        else:  # a view of what is computed again is taken again
            record.phase, self.first[-1], self.again[record] = source[0].phase, (again,), again

    def _take_views_before(self, call: Call, instructions: Sequence[Instruction]) -> None:
        """Append the views that a call reads but has not made, as far as their sources are there.

        Between its instructions they would tear it apart: what is made from them could not stand before them.
        """
        for value in [value for instruction in instructions for value in instruction.inputs]:
            if value.source is None or value.record is None or self.calls.get(value.record[0]) is call:
                continue
            root = value
            while root.source is not None:
                root = root.source
            if self.now.get(root, root.leaf) is not None:
                self._operand(value)

    def _place(self, value: Value) -> None:
        """Append the record that says what writing into a view has made of its base."""
        root = value
        while root.source is not None:
            root = root.source
        like = value.place
        if like is not None:
            before = self._operand(root)
            record = self._append(like, like.primitive, [before, self.now[value]], [root, value], [root])
            self.written[record] = (before,)
            self.now[root] = (record, 0)
        source = value.source
        assert source is not None
        self.seen[value] = _key(self._operand(source))

    def _known(self) -> dict[str, list[Any]]:
        """Return the columns of the recorded program, as far as its records are still there."""
        known = self.step.program
        gradients: dict[Record, list[tuple[int, Any]]] = {}
        for record, pairs in zip(known, known.columns.get("gradient_of", ())):
            for index, target in pairs:
                gradient = self.came.get((record, index))
                left = self.came.get(target) if type(target) is tuple else target
                if gradient is not None and left is not None:
                    gradients.setdefault(gradient[0], []).append((gradient[1], left))
        origins = {record: self.came.get((origin, 0)) for record, origin in zip(known, known.columns.get("origin", ()))}
        classes: dict[str, tuple[str, ...]] = {}
        for record, names in zip(known, known.columns.get("classes", ())):
            classes |= {path: names[: i + 1] for i, path in enumerate(around(record.scope)[: len(names)])}
        modules = dict(zip(known, known.columns.get("module_calls", ())))
        return {
            "gradient_of": [tuple(gradients.get(record, ())) for record in self.records],
            "origin": [origin and origin[0] for origin in map(origins.get, self.likes)],
            "classes": [classes.get(record.scope, ()) for record in self.records],
            "module_calls": [common_items([modules.get(part, ()) for part in parts or (like,)])
                             for like, parts in zip(self.likes, self.parts, strict=True)],
            "call": [_common([self.calls.get(part) for part in parts or (like,)])
                     for like, parts in zip(self.likes, self.parts, strict=True)],
        }


def _common(calls: Sequence[Call | None]) -> Call | None:
    """Return the call that all of these are."""
    return calls[0] if len(set(calls)) == 1 else None


def _key(operand: Any) -> Any:
    return operand if type(operand) is tuple else id(operand)
