"""The printed form of a program, and the way back.

One line a record, under the heading of its phase; before them a line for each leaf, after them the results::

    x: float32[4,2]
    fc.weight: float32[8,2] requires_grad
    forward:
      %0: float32[4,8] = linear(x, fc.weight, 0.5)  # Net.fc  train.py:12
      %1: float32[4,8] in %0 = relu(%0)  # Net  relu_()  train.py:13
    return %1

``in`` says whose memory a result was written into. A leaf without a name is ``leaf0``, ``leaf1``, ...; the second leaf
of one name is ``name@2``. An unnamed leaf without dimensions that nobody changes and that needs no gradient is a
number: it stands where it is read. Values of records outside of the program are leaves, too. An operand shows its type
where that is not the one it was made with, or that its number stands for. What is no plain word (a name with spaces, an
operation that is not in the table) stands in quotes.

Behind ``#`` stand the module, the function that the user's program has called, where that has another name than the
operation, and the line. Of a call that has made several records each says which it is: ``l1_loss() 2 of 3``.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cached_property
from typing import Any

import numpy as np

from autodiff.primitive import OPERATIONS, Primitive
from autodiff.program import Program, Record
from autodiff.program_calls import Call, named
from autodiff.slots import Slot
from autodiff.spec import Spec

NUMBER = r"-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|inf|nan)(?![\w.])"
LITERALS = {"None": None, "True": True, "False": False}
_WORD = re.compile(r"[\w.]+")
_RESERVED = re.compile(rf"{NUMBER}|leaf\d+|_|in|return|None|True|False")
_NO_FILE_NAME = re.compile(r'[\s"]|^$')


class Shown:
    """A parameter that text cannot hold, such as a table of addresses: known by what is shown of it alone."""

    def __init__(self, text: str) -> None:
        self.text = text


def text_of_type(spec: Spec) -> str:
    """Return dtype, shape and, where it is not C order, the layout.

    >>> from autodiff.spec import Spec
    >>> import numpy as np
    >>> text_of_type(Spec.of((2, 3))), text_of_type(Spec.strided((3,), np.dtype("int64"), (4,)))
    ('float32[2,3]', 'int64[3] strided(4)')
    """
    text = f"{spec.dtype.name}[{','.join(map(str, spec.shape))}]"
    if spec.contiguous:
        return text
    return text + (" channels_last" if spec.channels_last else f" strided({','.join(map(str, spec.strides))})")


def text_of_setting(x: Any) -> str:
    """Return a parameter of an operation as text.

    >>> import numpy as np
    >>> text_of_setting((1, 2.5, None, "mean", np.dtype("int8"))), text_of_setting(np.zeros((2, 3)))
    ('(1, 2.5, None, "mean", int8)', '<array float64[2,3]>')
    """
    if x is None or isinstance(x, bool):
        return repr(x)
    if isinstance(x, int):
        return int.__repr__(x)
    if isinstance(x, float):
        return float.__repr__(x)
    if isinstance(x, str):
        return json.dumps(x)
    if isinstance(x, Spec):
        return text_of_type(x)
    if isinstance(x, np.dtype):
        return x.name
    if isinstance(x, tuple):
        return f"({', '.join(map(text_of_setting, x))}{',' * (len(x) == 1)})"
    if isinstance(x, list):
        return f"[{', '.join(map(text_of_setting, x))}]"
    if isinstance(x, np.ndarray):
        return f"<array {x.dtype.name}[{','.join(map(str, x.shape))}]>"
    if isinstance(x, Slot):
        return "<slot>"
    return x.text if isinstance(x, Shown) else f"<{type(x).__name__}>"


def settings_of(record: Record, progress: bool = True) -> list[str]:
    """Return the parameters of a record as ``name=value``, with or without those that say how far a run has come."""
    return [f"{name}={text_of_setting(x)}" for name, x in record.params.items()
            if progress or name not in record.primitive.progress]


class Printer:
    """The texts of a program's parts.

    Args:
        program: what to print.
        anonymous: whether to leave out all that does not matter to what the program does: names, phases, places.
    """

    def __init__(self, program: Program, anonymous: bool = False) -> None:
        self.program = program
        self.anonymous = anonymous
        self.inside = set(program.records)
        self.changed = {key_of(x) for written in program.written.values() for x in written}
        self.values: dict[tuple[Record, int], str] = {}
        self.types: dict[Any, Spec] = {}
        self.leaves: dict[Any, str] = {}
        self.counts: Counter[str] = Counter()
        for record in program:
            for operand, spec in zip(record.operands, record.inputs, strict=True):
                self._meet(operand, spec)
            for operand, spec in zip(program.written.get(record, ()), record.outputs):
                self._meet(operand, spec)
            for index, spec in enumerate(record.outputs):
                self.types[record, index] = spec
                self.values[record, index] = f"%{len(self.values)}"

    def _meet(self, operand: Any, spec: Spec) -> None:
        """Give a leaf its name when it is met first."""
        key = key_of(operand)
        if operand is None or key in self.types or self.is_value(operand) or self.is_number(operand):
            return
        self.types[key] = spec
        name = None if self.anonymous or type(operand) is tuple else operand.name
        if not name:
            self.leaves[key] = f"leaf{self.counts['']}"
            self.counts[""] += 1
            return
        self.counts[name] += 1
        self.leaves[key] = _word(name) + (f"@{self.counts[name]}" if self.counts[name] > 1 else "")

    def is_value(self, operand: Any) -> bool:
        """Tell whether an operand is made by a record of the program."""
        return type(operand) is tuple and operand[0] in self.inside

    def is_number(self, operand: Any) -> bool:
        """Tell whether an operand is a leaf that stands for a number."""
        return not (
            operand is None
            or type(operand) is tuple
            or operand.array is None
            or operand.spec.shape
            or operand.needs_grad
            or operand.name
            or id(operand) in self.changed
        )

    def operand(self, operand: Any, spec: Spec) -> str:
        """Return how a record reads an operand as `spec`."""
        if operand is None:
            return f"_: {text_of_type(spec)}"
        if self.is_number(operand):
            text = str(operand.array[()])
            stands_for: Spec | None = type_of_number(text)
        else:
            text = self.values[operand] if self.is_value(operand) else self.leaves[key_of(operand)]
            stands_for = self.types[key_of(operand)]
        return text if stands_for is spec else f"{text}: {text_of_type(spec)}"

    def record(self, record: Record) -> str:
        """Return what a record does."""
        written = self.program.written.get(record, ())
        results = []
        for index, spec in enumerate(record.outputs):
            before = written[index] if index < len(written) else None
            into = "" if before is None else f" in {self.operand(before, spec)}"
            results.append(f"{self.values[record, index]}: {text_of_type(spec)}{into}")
        operands = ", ".join(map(self.operand, record.operands, record.inputs))
        settings = "".join(f" {text}" for text in settings_of(record, progress=not self.anonymous))
        return f"{', '.join(results)} = {text_of_operation(record.primitive)}({operands}){settings}"

    def place(self, record: Record) -> str:
        """Return module, call and the user's line of a record, as a comment; without folders, which differ."""
        text = f"  {_word(record.scope)}" if record.scope else ""
        text += f"  {self._calls[record]}" if record in self._calls else ""
        line = record.line
        if line is not None:
            file = line.filename.replace("\\", "/").rpartition("/")[2]
            text += f"  {json.dumps(file) if _NO_FILE_NAME.search(file) else file}:{line.number}"
        return f"  #{text[1:]}" if text else ""

    @cached_property
    def _calls(self) -> dict[Record, str]:
        """What is to be said of the call that has made a record."""
        called = [(record, made) for record, made in zip(self.program, named(self.program), strict=True)
                  if made is not None and record.phase != "backward"]  # fmt: skip
        total, met = Counter(made.call for _, made in called), Counter[Call]()
        texts = {}
        for record, (call, alone) in called:
            met[call] += 1
            if not alone:
                texts[record] = f"{call.name}() {met[call]} of {total[call]}"
            elif call.name != record.name:
                texts[record] = f"{call.name}()"
        return texts

    def results(self) -> str:
        """Return the line of the outputs; empty without any."""
        names = ", ".join(self.values[value] for value in self.program.outputs if value in self.values)
        return f"return {names}" if names else ""

    def __str__(self) -> str:
        wants = {id(leaf) for leaf in self.program.leaves() if leaf.needs_grad and not self.anonymous}
        lines = [
            f"{name}: {text_of_type(self.types[key])}{' requires_grad' if key in wants else ''}"
            for key, name in self.leaves.items()
        ]
        phase = None
        for record in self.program:
            if record.phase != phase and not self.anonymous:
                phase = record.phase
                lines.append(f"{phase}:")
            lines.append(self.record(record) if self.anonymous else f"  {self.record(record)}{self.place(record)}")
        return "\n".join([*lines, self.results()] if self.results() else lines)


def key_of(operand: Any) -> Any:
    """Return what an operand is known by: a record's output by itself, a leaf by its identity."""
    return operand if type(operand) is tuple else id(operand)


def text_of_operation(primitive: Primitive) -> str:
    """Return the name of an operation; in quotes when it is not the one that the table has under that name."""
    return primitive.name if OPERATIONS.get(primitive.name) is primitive else json.dumps(primitive.name)


def _word(name: str) -> str:
    return name if _WORD.fullmatch(name) and not _RESERVED.fullmatch(name) else json.dumps(name)


def type_of_number(text: str) -> Spec:
    """Return the type that a written number has unless another one stands beside it."""
    if text in LITERALS:
        return Spec.of((), np.bool_)
    return Spec.of((), np.int64 if text.lstrip("-").isdigit() else np.float32)
