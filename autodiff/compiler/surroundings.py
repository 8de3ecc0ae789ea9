"""What lies around a function that is compiled: the variables of its closure and its globals, compared in each call."""

from __future__ import annotations

import dis
from collections.abc import Iterator, Sequence
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from autodiff.source import Line

_BY_VALUE = {int, float, bool, str, bytes, complex, type(None), np.dtype}


def identity(value: Any) -> Any:
    """Return what stands for a value that is compared: for a number, a string or the like its type and text.

    0.0 and -0.0 are two numbers. Of anything else it is None: only the same object is the same.
    """
    return (type(value), repr(value)) if type(value) in _BY_VALUE else None


def unchanged(now: Any, before: Any) -> bool:
    """Return whether a variable holds the same object, or an equal number, string or the like."""
    return now is before or (type(now) in _BY_VALUE and identity(now) == identity(before))


def all_unchanged(now: Sequence[Any], before: Sequence[Any]) -> bool:
    """Return whether variables hold the same objects, or equal numbers, strings and the like."""
    return len(now) == len(before) and all(map(unchanged, now, before))


def surroundings(fn: Any) -> list[Content | Global]:
    """Return what reads the variables of a function's closure, and the globals that it and functions inside it name.

    Of a module they are those of its `forward`.
    """
    function = _function_of(fn)
    if function is None:
        return []
    cells = zip(function.__closure__ or (), function.__code__.co_freevars, strict=True)
    named: dict[str, None] = {}
    for code in _codes(function):
        named.update(dict.fromkeys(name for name in code.co_names if name in function.__globals__))
    return [*[Content(cell, name) for cell, name in cells], *[Global(function.__globals__, name) for name in named]]


def _function_of(fn: Any) -> FunctionType | None:
    """Return the function that runs when something is called: of a module its `forward`."""
    function = getattr(fn, "__func__", fn)
    if not isinstance(function, FunctionType):
        function = getattr(type(fn), "forward", None)
    return function if isinstance(function, FunctionType) else None


def _codes(function: FunctionType) -> Iterator[CodeType]:
    """Yield the code of a function and of all functions inside it."""
    stack = [function.__code__]
    while stack:
        code = stack.pop()
        yield code
        stack += [constant for constant in code.co_consts if isinstance(constant, CodeType)]


def assignment(fn: Any, name: str) -> Line | None:
    """Return the line that gives a variable around a function another value; None if it is another function's."""
    function = _function_of(fn)
    for code in () if function is None else _codes(function):
        for instruction in dis.get_instructions(code):
            if instruction.opname in ("STORE_GLOBAL", "STORE_DEREF") and instruction.argval == name:
                return Line(code, instruction.offset)
    return None


class Content:
    """Reads a variable of a closure."""

    __slots__ = ("cell", "name")

    def __init__(self, cell: Any, name: str) -> None:
        self.cell = cell
        self.name = name

    def __str__(self) -> str:
        return f"the variable '{self.name}' of its closure"

    def __call__(self) -> Any:
        """Return what it holds now."""
        try:
            return self.cell.cell_contents
        except ValueError:  # not assigned yet
            return None


class Global:
    """Reads a global variable."""

    __slots__ = ("name", "names")

    def __init__(self, names: dict[str, Any], name: str) -> None:
        self.names = names
        self.name = name

    def __str__(self) -> str:
        return f"the global '{self.name}'"

    def __call__(self) -> Any:
        """Return what it holds now."""
        return self.names.get(self.name)
