"""What lies around a function that is compiled: the variables of its closure and its globals, compared in each call."""

from __future__ import annotations

import dis
import re
from collections.abc import Container, Iterable, Iterator, Sequence
from types import CodeType, FunctionType, MemberDescriptorType, ModuleType
from typing import Any

import numpy as np

from autodiff.eager import Tensor
from autodiff.slots import Settings
from autodiff.source import Line

_Root = tuple[str, str]  # a kind of variable and its name
_Path = tuple[_Root, tuple[tuple[bool, Any], ...]]  # from there to attributes, or (True) to items

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


class Surroundings:
    """A function's closure, the globals that it and functions inside it name, and what it names of those.

    Of a module they are those of its `forward`. What is named of something stands behind a dot, or as a constant in
    brackets: `config.rate`, `config["rate"]`; also by way of a local variable, `c = config`. What tells when it changes
    is left out: modules, groups and states of optimizers, and what every tensor has.
    """

    def __init__(self, fn: Any) -> None:
        self._roots: list[Content | Global] = []
        self._paths: list[tuple[Any, tuple[tuple[bool, Any], ...]]] = []  # what reads the variable, and the steps
        function = _function_of(fn)
        if function is None:
            return
        known: dict[Any, Any] = {}
        for cell, name in zip(function.__closure__ or (), function.__code__.co_freevars, strict=True):
            known["DEREF", name] = Content(cell, name)
        for code in _codes(function):
            for name in code.co_names:
                if name in function.__globals__:
                    known.setdefault(("GLOBAL", name), Global(function.__globals__, name))
        self._roots = list(known.values())
        owner = getattr(fn, "__self__", None if isinstance(fn, FunctionType) else fn)
        if owner is not None and function.__code__.co_varnames:
            for scope in ("FAST", "DEREF"):  # functions inside it see a cell
                known[scope, function.__code__.co_varnames[0]] = lambda: owner
        self._paths = [(known[root], steps) for root, steps in dict.fromkeys(_paths(_codes(function), known))]

    def readers(self) -> list[Content | Global]:
        """Return what reads all of them, as they lie now."""
        members: dict[tuple[int, Any], Member] = {}
        for root, steps in self._paths:
            value = root()
            for by_item, key in steps:
                found = _members(value, by_item, key)
                if not found:
                    break
                value = found[-1]()
                members |= {(id(x.names), key): x for x in found if not isinstance(x, _Told)}
        return [*self._roots, *members.values()]


def _paths(codes: Iterable[CodeType], known: Container[_Root]) -> Iterator[_Path]:
    """Yield what code names of known variables, and of variables that it sets to what it names of those."""
    names: dict[_Root, dict[_Path, None]] = {}
    for code in codes:
        names = {variable: paths for variable, paths in names.items() if variable[0] != "FAST"}
        top: dict[_Path, None] = {}  # what may lie on top of the stack
        before = ""
        key: Any = None
        for operation, argument in _instructions(code):
            kind, _, scope = operation.partition("_")
            constant = before in ("LOAD_CONST", "LOAD_SMALL_INT")
            if scope in ("GLOBAL", "DEREF", "FAST"):
                variable = (scope, argument)
                if kind == "LOAD":
                    top = ({(variable, ()): None} if variable in known else {}) | names.get(variable, {})
                else:
                    names.setdefault(variable, {}).update({} if constant else top)
                    top = top if before == "COPY" else {}
            elif operation in ("LOAD_ATTR", "LOAD_METHOD", "BINARY_SUBSCR"):
                step = (True, key) if operation == "BINARY_SUBSCR" else (False, argument)
                top = {(root, (*steps, step)): None for root, steps in top if constant or not step[0]}
                yield from top
            elif operation not in ("LOAD_CONST", "LOAD_SMALL_INT", "COPY", "EXTENDED_ARG"):
                top = {}
            before, key = operation, argument


def _instructions(code: CodeType) -> Iterator[tuple[str, Any]]:
    """Yield operations and their arguments, as Python 3.11 has them: later ones do two in one, under other names."""
    for instruction in dis.get_instructions(code):
        variables = re.findall("(?:LOAD|STORE)_(?:FAST|DEREF|GLOBAL)", instruction.opname)
        if len(variables) > 1:
            yield from zip(variables, instruction.argval, strict=True)
        elif instruction.opname == "BINARY_OP" and instruction.argrepr == "[]":
            yield "BINARY_SUBSCR", None
        else:
            yield (variables or [instruction.opname])[0], instruction.argval


def _members(owner: Any, by_item: bool, key: Any) -> list[Member]:
    """Return what reads an attribute or an item, the last its value; nothing where that is made anew each time."""
    if by_item:
        plain = isinstance(owner, dict) and not isinstance(owner, Settings)  # those tell who reads them
        return [Member(owner, key, owner)] if plain and key in owner else []
    own, classes = getattr(owner, "__dict__", {}), type(owner).__mro__
    if isinstance(owner, type):
        own, classes = {}, owner.__mro__
    if isinstance(owner, ModuleType) and owner.__name__.partition(".")[0] in ("autodiff", "numpy"):
        return []
    read = (_Told if _tells(owner, key) else Member)(own, key, owner)
    if key in own:
        return [read]
    for cls in classes:
        if key in vars(cls):
            value = vars(cls)[key]
            if isinstance(value, MemberDescriptorType) and not isinstance(owner, type):
                return [Member(_Slots(owner), key, owner)]
            return [] if hasattr(type(value), "__get__") else [read, Member(vars(cls), key, owner)]
    return []


def _tells(owner: Any, key: str) -> bool:
    """Return whether an object tells when an attribute changes."""
    if isinstance(owner, Tensor):
        return key in Tensor.__annotations__
    if not hasattr(type(owner), "_watch"):
        return False
    return key in ("param_groups", "state", "_watched") if hasattr(owner, "param_groups") else True


def _function_of(fn: Any) -> FunctionType | None:
    """Return the function that runs when something is called: of a module `forward`, of another object `__call__`."""
    function = getattr(fn, "__func__", fn)
    if not isinstance(function, FunctionType):
        function = getattr(type(fn), "forward", type(fn).__call__)
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
            if instruction.opname in ("STORE_GLOBAL", "STORE_DEREF", "STORE_ATTR") and instruction.argval == name:
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

    def __init__(self, names: Any, name: Any) -> None:
        self.names = names  # has `get`
        self.name = name

    def __str__(self) -> str:
        return f"the global '{self.name}'"

    def __call__(self) -> Any:
        """Return what it holds now."""
        return self.names.get(self.name)


class Member(Global):
    """Reads an attribute of an object, or an item of a dictionary."""

    __slots__ = ("kind",)

    def __init__(self, names: Any, name: Any, owner: Any) -> None:
        super().__init__(names, name)
        self.kind = type(owner).__name__

    def __str__(self) -> str:
        return f"'{self.name}' of a {self.kind}"


class _Told(Member):
    """Reads an attribute of something that tells when it changes."""

    __slots__ = ()


class _Slots:
    """Attributes of an object that has no dictionary of them."""

    __slots__ = ("owner",)

    def __init__(self, owner: Any) -> None:
        self.owner = owner

    def get(self, name: str) -> Any:
        """Return what an attribute holds now."""
        return getattr(self.owner, name, None)
