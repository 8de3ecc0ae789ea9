"""Every public name has a docstring, and every example in a docstring runs as it is printed."""

from __future__ import annotations

import doctest
import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from test_floors import FILES

MODULES = sorted(module for module in FILES if not any(part.startswith("_") for part in module.split(".")))


def is_ours(value: Any) -> bool:
    return str(getattr(value, "__module__", "")).split(".")[0] in ("autodiff", "autodiff_kernels")


def is_function(value: Any) -> bool:
    """Tell whether a value is a function, a compiled kernel or another wrapper around a function."""
    return inspect.isroutine(inspect.unwrap(value)) if callable(value) else False


def public_names(module: Any) -> Iterator[tuple[str, Any]]:
    """Yield the public functions and classes of a module, and the public methods and properties of its classes."""
    for name in dir(module):
        value = getattr(module, name)
        if name.startswith("_") or not is_ours(value):
            continue
        if inspect.isclass(value):
            yield name, value
            for member, attribute in vars(value).items():
                if not member.startswith("_") and (is_function(attribute) or isinstance(attribute, property)):
                    yield f"{name}.{member}", getattr(value, member)
        elif is_function(value):
            yield name, value


@pytest.mark.parametrize("name", MODULES)
def test_public_names_have_docstrings(name: str) -> None:
    module = importlib.import_module(name)
    assert (module.__doc__ or "").strip(), f"the module {name} has no docstring"
    without = [public for public, value in public_names(module) if not (inspect.getdoc(value) or "").strip()]
    assert not without, f"public names of {name} without a docstring: {', '.join(without)}"


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name: str) -> None:
    """Each example stands alone: it imports what it uses."""
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    report: list[str] = []
    for test in doctest.DocTestFinder().find(module, name):
        runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)
