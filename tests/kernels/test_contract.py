"""The contract of `kernels/README.md`, read off the source of every kernel."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "kernels" / "autodiff_kernels"
FILES = sorted(FOLDER.glob("*.py"))
KERNEL_FLAGS = {"cache": True, "nogil": True, "error_model": "numpy"}
FORBIDDEN = {"fastmath", "parallel", "boundscheck", "nopython", "forceobj"}


def compiled_functions(path: Path) -> list[tuple[ast.FunctionDef, dict[str, object]]]:
    """Return the functions of a file that Numba compiles, with the flags that stand on them."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            name = decorator.func if isinstance(decorator, ast.Call) else decorator
            if isinstance(name, ast.Name) and name.id in {"njit", "jit"}:
                keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
                found.append((node, {k.arg or "**": ast.literal_eval(k.value) for k in keywords}))
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_flags_stand_literally_on_each_function(path: Path) -> None:
    for function, flags in compiled_functions(path):
        assert flags.get("error_model") == "numpy", f"{function.name}: a division by zero would raise"
        assert not FORBIDDEN & set(flags), f"{function.name}: {FORBIDDEN & set(flags)} changes results or is not ours"
        if flags.get("cache"):
            assert flags == KERNEL_FLAGS, f"{function.name}: {flags}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_kernels_end_with_their_share_and_say_what_they_take(path: Path) -> None:
    for function, flags in compiled_functions(path):
        if not flags.get("cache") or function.name == "replay":  # which runs kernels, and is none
            continue
        names = [argument.arg for argument in function.args.args]
        assert names[-2:] == ["part", "parts"], f"{function.name} does not do its own share: {names}"
        assert ast.get_docstring(function), f"{function.name} has no docstring"
        assert not function.args.defaults, f"{function.name}: a default is another signature"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_kernels_neither_raise_nor_allocate(path: Path) -> None:
    for function, flags in compiled_functions(path):
        if not flags.get("cache"):
            continue
        for node in ast.walk(function):
            assert not isinstance(node, ast.Raise | ast.Try | ast.Assert), f"{function.name}, line {node.lineno}"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert node.func.attr not in {"empty", "zeros", "ones", "full", "copy", "arange"}, (
                    f"{function.name}, line {node.lineno}, allocates"
                )
