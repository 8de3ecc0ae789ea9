"""Every public name has a docstring, and every example in a docstring runs as it is printed."""

from __future__ import annotations

import doctest
import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from test_floors import FILES, SOURCES

import autodiff_kernels

MODULES = sorted(module for module in FILES if not any(part.startswith("_") for part in module.split(".")))


def is_function(value: Any) -> bool:
    """Tell whether a value is a function or a compiled kernel."""
    return inspect.isroutine(value) or hasattr(value, "py_func")


def public_names(module: Any) -> Iterator[tuple[str, Any]]:
    """Yield the public functions and classes of a module, and the public methods and properties of its classes.

    A name belongs to the module that defines it and to the packages that export it. A method that overrides one of a
    base class may leave the description to it.
    """
    for name in dir(module):
        value = getattr(module, name)
        home = str(getattr(value, "__module__", ""))
        exported = FILES[module.__name__].name == "__init__.py" and home.partition(".")[0] in SOURCES
        if name.startswith("_") or not (exported or home == module.__name__):
            continue
        if inspect.isclass(value):
            yield name, value
            for member, attribute in vars(value).items():
                if member.startswith("_") or any(hasattr(base, member) for base in value.__bases__):
                    continue
                if isinstance(attribute, staticmethod | classmethod | property) or is_function(attribute):
                    yield f"{name}.{member}", getattr(value, member)
        elif is_function(value):
            yield name, value


def imported(name: str) -> Any:
    """Return a module, one with kernels as the package imports it: with their doors."""
    package, _, last = name.rpartition(".")
    return getattr(autodiff_kernels, last) if package == "autodiff_kernels" else importlib.import_module(name)


@pytest.mark.parametrize("name", MODULES)
def test_public_names_have_docstrings(name: str) -> None:
    module = imported(name)
    assert (module.__doc__ or "").strip(), f"the module {name} has no docstring"
    without = [public for public, value in public_names(module) if not (inspect.getdoc(value) or "").strip()]
    assert not without, f"public names of {name} without a docstring: {', '.join(without)}"


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name: str) -> None:
    """Each example stands alone: it imports what it uses."""
    module = imported(name)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    report: list[str] = []
    for test in doctest.DocTestFinder().find(module, name):
        runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)
