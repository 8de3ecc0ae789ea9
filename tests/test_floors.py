"""The floors of the architecture: a file imports only from lower floors.

Every import is parsed from the source, those inside functions and under TYPE_CHECKING included. Files of one floor may
import each other only inside one package (`nn/`, `optim/`, or the modules that lie directly in `autodiff/`).
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = {"autodiff": ROOT / "autodiff", "autodiff_kernels": ROOT / "kernels" / "autodiff_kernels"}

# The names directly in autodiff/ (modules and packages alike). A new one is entered here with its floor.
FLOOR_OF_NAME = {
    name: floor
    for floor, names in {
        1: "arguments errors config slots spec random roofline source thread_mode threads allocation dtypes devices "
        "cuda backends",
        2: "machine primitive program program_text program_reading program_diff program_memory program_columns "
        "program_checkpoint program_scopes program_calls program_recorder bind",
        3: "ops",
        4: "reverse",
        5: "eager creation functional methods conversion indexing representation recording measuring",
        6: "autograd compiler viz cost memory",
        7: "nn optim utils linalg fft special serialization distributions",
        8: "train datasets landscape distributed",
        9: "cli cli_graph compiled demo __main__",  # the commands: on the top floor, and they may use all of it
    }.items()
    for name in names.split()
}
FRONT = 8.5  # `import autodiff` itself: it re-exports from every floor, so only commands may import it
KERNELS_MAY_IMPORT = {"numpy", "numba", "llvmlite", "autodiff_kernels", *sys.stdlib_module_names}


def module_name(file: Path) -> str:
    for package, folder in SOURCES.items():
        if file.is_relative_to(folder):
            parts = file.relative_to(folder).with_suffix("").parts
            return ".".join([package, *parts]).removesuffix(".__init__")
    raise ValueError(file)


FILES = {module_name(file): file for folder in SOURCES.values() for file in sorted(folder.rglob("*.py"))}
PACKAGES = sorted(module for module, file in FILES.items() if file.name == "__init__.py")


def floor(module: str) -> float:
    package, _, rest = module.partition(".")
    if package == "autodiff_kernels":
        return 0
    return FLOOR_OF_NAME[rest.split(".")[0]] if rest else FRONT


def unit(module: str) -> str:
    """The package inside which files of one floor may import each other."""
    parts = module.split(".")
    return ".".join(parts[:2]) if len(parts) > 2 or module in PACKAGES else parts[0]


class Import(NamedTuple):
    line: int
    target: str
    binds: str


def imports(module: str, source: str, is_package: bool) -> list[Import]:
    """Return every import of a file, with relative ones resolved."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [Import(node.lineno, alias.name, alias.asname or alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                enclosing = parts[: len(parts) - node.level + is_package]
                base = ".".join([*enclosing, *([base] if base else [])])
            for alias in node.names:
                name = f"{base}.{alias.name}"
                found.append(Import(node.lineno, name if name in FILES else base, alias.asname or alias.name))
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            found += [
                Import(node.lineno, str(name.value), "") for name in node.args[:1] if isinstance(name, ast.Constant)
            ]
    return found


def wrong_imports(module: str, source: str, is_package: bool = False) -> list[str]:
    wrong = []
    for line, target, _ in imports(module, source, is_package):
        package = target.split(".")[0]
        if module.startswith("autodiff_kernels") and package not in KERNELS_MAY_IMPORT:
            wrong.append(f"line {line}: a kernel imports {target}")
        elif package in SOURCES and module != "autodiff":
            lower = floor(target) < floor(module)
            same_unit = floor(target) == floor(module) and unit(target) == unit(module)
            if not (lower or same_unit):
                wrong.append(f"line {line}: floor {floor(module)} imports {target} of floor {floor(target)}")
    return wrong


@pytest.mark.parametrize("module", FILES)
def test_file_imports_only_lower_floors(module: str) -> None:
    package, _, rest = module.partition(".")
    if package == "autodiff" and rest:
        assert rest.split(".")[0] in FLOOR_OF_NAME, f"{FILES[module]} has no floor: enter its name in FLOOR_OF_NAME"
    source = FILES[module].read_text(encoding="utf-8")
    wrong = wrong_imports(module, source, FILES[module].name == "__init__.py")
    assert not wrong, f"{FILES[module]} imports from its own or a higher floor:\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("autodiff.reverse", "def late():\n    from autodiff.eager import Tensor"),
        ("autodiff.ops.matmul", "if TYPE_CHECKING:\n    from ..reverse import sweep"),
        ("autodiff.ops.matmul", "from .. import eager"),
        ("autodiff.viz.draw", "import autodiff.compiler.passes"),
        ("autodiff.nn.linear", "import autodiff"),
        ("autodiff.nn.linear", "importlib.import_module('autodiff.optim.adam')"),
        ("autodiff_kernels.softmax", "import autodiff.spec"),
        ("autodiff_kernels.softmax", "import scipy.special"),
    ],
)
def test_an_import_upwards_is_found(module: str, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FILES, "autodiff.eager", Path("eager.py"))
    assert wrong_imports(module, source)


def names_bound_by(package: str) -> set[str]:
    """Return the names that a package's __init__.py binds to something other than one of its own modules."""
    source = FILES[package].read_text(encoding="utf-8")
    defined = {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    imported = {name for _, target, name in imports(package, source, True) if target != f"{package}.{name}"}
    return defined | imported


SHADOWED = """
import importlib, json, sys
package = importlib.import_module(sys.argv[1])
print(json.dumps([name for name in sys.argv[2:] if callable(getattr(package, name, None))]))
"""


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_has_the_name_of_a_public_function(package: str) -> None:
    """Importing a submodule binds its name in the package, which would replace the function of that name."""
    modules = [name.rpartition(".")[2] for name in FILES if name.rpartition(".")[0] == package]
    shadowed = sorted(set(modules) & names_bound_by(package))
    assert not shadowed, f"modules of {package} with the name of a function of {package}: {shadowed}"
    modules = [name for name in modules if name != "__main__"]
    answer = subprocess.run(
        [sys.executable, "-c", SHADOWED, package, *modules],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")])},
    )
    assert json.loads(answer.stdout) == []
