"""A program from its printed form; `autodiff.program_text` describes the form and writes it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from functools import cache
from types import CodeType
from typing import Any, NoReturn

import numpy as np

from autodiff.errors import ParseError
from autodiff.primitive import NOTHING, OPERATIONS, Primitive
from autodiff.program import Memory, Program, Record
from autodiff.program_calls import Call
from autodiff.program_text import LITERALS, NUMBER, Shown, type_of_number
from autodiff.spec import Cost, Spec, channels_last_order, moved

_PHASES = ("forward", "backward", "update")
_DTYPES = {name: np.dtype(name) for name in ("float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool")}
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_TOKEN = re.compile(
    rf"(?P<string>{_QUOTED})|(?P<shown><[^<>]*>)|(?P<value>%\d+)|(?P<number>{NUMBER})|(?P<word>[\w.]+)"
    r"|(?P<mark>[:=(),\[\]@])|(?P<comment>#.*)"
)
_PLACE = re.compile(
    rf'#\s*(?:(?P<scope>{_QUOTED}|[\w.]+)(?!\S))?\s*(?:(?P<call>[^\W\d]\w*)\(\)(?: (?P<part>\d+) of \d+)?(?!\S))?'
    rf'\s*(?:(?P<file>{_QUOTED}|[^\s"]+):(?P<line>\d+))?\s*')


class Leaf:
    """A leaf of a program that was read from text: all that is known of a tensor but its numbers.

    Attributes:
        spec: shape, dtype, strides.
        name: None without one.
        needs_grad: whether it requires a gradient.
        array: the number that it stands for; None for any other leaf.
        memory: its own.
    """

    def __init__(self, spec: Spec, name: str | None = None, needs_grad: bool = False, number: Any = None) -> None:
        self.spec = spec
        self.name = name
        self.needs_grad = needs_grad
        self.array = number
        self.memory = Memory()


class _Line:
    """The tokens of one line, and the place that has been read up to."""

    def __init__(self, number: int, text: str) -> None:
        self.number = number
        self.text = text
        self.place = ""
        self.tokens: list[tuple[str, str, int]] = []
        self.next = column = 0
        self.end = len(text)
        while column < len(text):
            found = _TOKEN.match(text, column)
            if text[column].isspace():
                column += 1
                continue
            if found is None or found.lastgroup is None:
                self.fail("a character that begins nothing", column, got=repr(text[column]))
            if found.lastgroup == "comment":
                self.place = found.group()
                break
            self.tokens.append((found.lastgroup, found.group(), column))
            column = found.end()
        self.end = column

    def peek(self) -> tuple[str, str, int]:
        """Return the next token: kind, text and column; kind and text are empty at the end."""
        return self.tokens[self.next] if self.next < len(self.tokens) else ("", "", self.end)

    def at(self, text: str) -> bool:
        """Tell whether the next token is this mark or word, and go on if it is."""
        kind, found, _ = self.peek()
        if kind not in ("mark", "word") or found != text:
            return False
        self.next += 1
        return True

    def need(self, text: str) -> None:
        """Go on behind this mark."""
        if not self.at(text):
            self.fail("this cannot stand here", expected=repr(text))

    def take(self, kinds: Sequence[str], expected: str) -> tuple[str, str, int]:
        """Return the next token, which must be one of these kinds."""
        token = self.peek()
        if token[0] not in kinds:
            self.fail("this cannot stand here", expected=expected)
        self.next += 1
        return token

    def fail(self, what: str, column: int | None = None, *, expected: str = "", got: str = "") -> NoReturn:
        """Raise what is wrong here."""
        _, text, here = self.peek()
        column = here if column is None else column
        raise ParseError(
            "Program.parse",
            f"line {self.number}, column {column + 1}: {what}",
            expected=expected,
            got=got or (repr(text) if text else "the end of the line"),
        )


class _Parser:
    """What has been read of a program so far."""

    def __init__(self) -> None:
        self.phase = _PHASES[0]
        self.leaves: dict[str, Leaf] = {}
        self.values: dict[str, tuple[Record, int]] = {}
        self.records: list[Record] = []
        self.written: dict[Record, tuple[Any, ...]] = {}
        self.outputs: list[tuple[Record, int]] = []
        self.calls: list[Call | None] = []
        self.latest: dict[str, Call] = {}  # the last call of each function

    def line(self, line: _Line) -> None:
        """Read one line."""
        kind, text, _ = line.peek()
        if text in _PHASES and [token[1] for token in line.tokens[1:]] == [":"]:
            self.phase = text
            return
        if kind == "value":
            self.record(line)
        elif line.at("return"):
            self.outputs += self.list(line, lambda: self.value(line))
        else:
            name = self.name(line, "a leaf, a value, a phase or 'return'")
            line.need(":")
            spec = self.type(line)
            if name in self.leaves:
                line.fail("this leaf has been declared before", 0, got=name)
            word = name.rpartition("@")[0] if re.search(r"@\d+$", name) else name
            own = None if re.fullmatch(r"leaf\d+", word) else json.loads(word) if word[0] == '"' else word
            self.leaves[name] = Leaf(spec, own, line.at("requires_grad"))
        if line.peek()[0]:
            line.fail("the line should end here", expected="the end of the line")

    def record(self, line: _Line) -> None:
        """Read what an operation did."""
        results: list[str] = []
        outputs: list[Spec] = []
        written: list[Any] = []

        def result() -> None:
            _, name, column = line.take(["value"], "a value such as %0")
            if name in self.values or name in results:
                line.fail("this value has been made before", column, got=name)
            line.need(":")
            results.append(name)
            outputs.append(self.type(line))
            written.append(self.operand(line)[0] if line.at("in") else None)

        self.list(line, result)
        line.need("=")
        primitive = self.operation(line)
        line.need("(")
        operands = [] if line.at(")") else self.list(line, lambda: self.operand(line))
        if operands:
            line.need(")")
        params: dict[str, Any] = {}
        while line.peek()[0] == "word":
            _, name, column = line.take(["word"], "a parameter")
            if name in params:
                line.fail("this parameter has been given before", column, got=name)
            line.need("=")
            params[name] = self.setting(line)

        record = Record()
        record.number = len(self.records)
        record.primitive, record.params, record.phase = primitive, params, self.phase
        record.operands = record.edges = tuple(operand for operand, _ in operands)
        record.inputs, record.outputs = tuple(spec for _, spec in operands), tuple(outputs)
        record.tracked, record.keep, record.saved, record.hooks = (False,) * len(operands), NOTHING, None, None
        place = _place_in(line)
        record.scope, record.code, record.offset = _module_and_line(line, place)
        record.called, record.step = None, 0
        self.records.append(record)
        self.calls.append(self.call(place["call"], int(place["part"] or 1)))
        if any(before is not None for before in written):
            self.written[record] = tuple(written)
        self.values |= {name: (record, index) for index, name in enumerate(results)}

    def call(self, name: str | None, part: int) -> Call | None:
        """Return the call of a function that has made a record, as its so many-th."""
        if name is None:
            return None
        if part == 1 or name not in self.latest:
            self.latest[name] = Call(name)
        return self.latest[name]

    def list(self, line: _Line, item: Callable[[], Any]) -> list[Any]:
        """Read one or more items with commas between them."""
        items = [item()]
        while line.at(","):
            items.append(item())
        return items

    def operation(self, line: _Line) -> Primitive:
        """Read the name of an operation."""
        kind, name, column = line.take(["word", "string"], "the name of an operation")
        if kind == "string":
            return _foreign(_unquoted(line, name, column))
        found = OPERATIONS.get(name)
        if not isinstance(found, Primitive):
            line.fail("no operation has this name", column, expected="the name of an operation", got=repr(name))
        return found

    def name(self, line: _Line, expected: str) -> str:
        """Read the name of a leaf as it is written."""
        kind, text, column = line.take(["word", "string"], expected)
        if kind == "string":
            _unquoted(line, text, column)
        return text + (f"@{line.take(['number'], 'a number')[1]}" if line.at("@") else "")

    def value(self, line: _Line) -> tuple[Record, int]:
        """Read a value that was made above."""
        _, name, column = line.take(["value"], "a value such as %0")
        if name not in self.values:
            line.fail("no record above has made this value", column, got=name)
        return self.values[name]

    def operand(self, line: _Line) -> tuple[Any, Spec]:
        """Read an operand; return it and the type it is read as."""
        kind, text, column = line.peek()
        if kind == "value":
            operand: Any = self.value(line)
            spec = operand[0].outputs[operand[1]]
            return operand, self.type(line) if line.at(":") else spec
        if line.at("_"):
            line.need(":")
            return None, self.type(line)
        if kind == "number" or text in LITERALS:
            line.next += 1
            spec = self.type(line) if line.at(":") else type_of_number(text)
            try:
                number = np.array(LITERALS[text] if text in LITERALS else _number(text), spec.dtype)
            except (OverflowError, TypeError, ValueError):
                line.fail("this number does not fit its type", column, expected=repr(spec), got=text)
            if spec.shape:
                line.fail("a number has no dimensions", expected="[]", column=column, got=repr(spec))
            return Leaf(spec, number=number), spec
        name = self.name(line, "an operand")
        if name not in self.leaves:
            line.fail("no leaf above has this name", column, got=name)
        leaf = self.leaves[name]
        return leaf, self.type(line) if line.at(":") else leaf.spec

    def type(self, line: _Line) -> Spec:
        """Read dtype, shape and layout."""
        _, name, column = line.take(["word"], "a type such as float32[2,3]")
        if name not in _DTYPES:
            line.fail("no dtype has this name", column, expected=", ".join(_DTYPES), got=repr(name))
        return self.shape(line, _DTYPES[name])

    def shape(self, line: _Line, dtype: np.dtype[Any]) -> Spec:
        """Read what follows the dtype in a type."""
        line.need("[")
        shape = () if line.at("]") else tuple(self.list(line, lambda: self.integer(line)))
        if shape:
            line.need("]")
        column = line.peek()[2]
        if line.at("channels_last"):
            if len(shape) < 3:
                line.fail("only images have channels", column, expected="three dimensions or more", got=str(len(shape)))
            return Spec.of(shape, dtype, channels_last_order(len(shape)))
        if not line.at("strided"):
            return Spec.of(shape, dtype)
        line.need("(")
        strides = tuple(self.list(line, lambda: self.integer(line, negative=True)))
        if len(strides) != len(shape):
            line.fail("there is not one stride a dimension", column, expected=str(len(shape)), got=str(len(strides)))
        line.need(")")
        return Spec.strided(shape, dtype, strides)

    def integer(self, line: _Line, negative: bool = False) -> int:
        """Read a whole number."""
        _, text, column = line.take(["number"], "a whole number")
        if not (text[1:] if negative and text[0] == "-" else text).isdigit():
            line.fail("this is no size or stride", column, expected="a whole number", got=text)
        return int(text)

    def setting(self, line: _Line) -> Any:
        """Read the value of a parameter."""
        kind, text, column = line.peek()
        for mark, end, make in (("(", ")", tuple), ("[", "]", list)):
            if line.at(mark):
                items: list[Any] = []
                while not line.at(end):
                    if items:
                        line.need(",")
                        if line.at(end):
                            break
                    items.append(self.setting(line))
                return make(items)
        line.take(["number", "string", "shown", "word"], "a number, string, tuple, dtype or type")
        if kind == "number":
            return _number(text)
        if kind == "string":
            return _unquoted(line, text, column)
        if kind == "shown":
            return Shown(text)
        if text in LITERALS:
            return LITERALS[text]
        if text not in _DTYPES:
            line.fail("this is no value of a parameter", column, got=repr(text),
                      expected="a number, string, tuple, dtype or type")  # fmt: skip
        return self.shape(line, _DTYPES[text]) if line.peek()[1] == "[" else _DTYPES[text]


def parse(text: str) -> Program:
    """Return the program whose printed form is `text`; see `Program.parse`.

    Raises:
        ParseError: names line and column, what was expected and what was got.
    """
    parser = _Parser()
    for number, content in enumerate(text.split("\n"), 1):
        line = _Line(number, content)
        if line.tokens:
            parser.line(line)
    columns = {"call": parser.calls} if any(parser.calls) else {}
    return Program(parser.records, parser.outputs, parser.written, columns)


def _number(text: str) -> Any:
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _unquoted(line: _Line, text: str, column: int) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        line.fail("this string cannot be read", column, expected="a string as in JSON", got=text)


def _place_in(line: _Line) -> re.Match[str]:
    """Return what the comment behind a record says of its place."""
    found = _PLACE.fullmatch(line.place or "#")
    if found is None:
        line.fail("this is no place", line.end, expected="'# module.path  file.py:12'", got=repr(line.place))
    return found


def _module_and_line(line: _Line, found: re.Match[str]) -> tuple[str, CodeType | None, int]:
    """Return module path, and the user's line as code and offset."""
    words = found["scope"] or "", found["file"] or ""
    scope, file = (_unquoted(line, word, line.end) if word[:1] == '"' else word for word in words)
    return sys.intern(scope), _code_in(file, int(found["line"])) if found["line"] else None, -1


@cache
def _code_in(file: str, line: int) -> CodeType:
    """Return code that begins in this line of this file: before its first instruction, at -1, is that line."""
    return compile("", file, "exec").replace(co_firstlineno=line)


@cache
def _foreign(name: str) -> Primitive:
    """Return an operation of which the name is known: a user's own function, which is not in the table."""
    primitive = Primitive.__new__(Primitive)
    primitive.name = name
    primitive.cost = lambda inputs, outputs, **_: Cost(0, moved(*inputs, *outputs))
    primitive.view = primitive.differentiable = False
    primitive.vjp = primitive.twin = primitive.scratch = None
    primitive.progress = ()
    primitive.plans, primitive.keeps = {}, {}
    return primitive
