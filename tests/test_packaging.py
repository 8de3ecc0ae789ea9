"""What the wheel contains and what an import loads."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run_python(code: str) -> str:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")])}
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_kernels_is_a_source_root_and_no_package() -> None:
    """The import name is autodiff_kernels; another distribution owns the name `kernels`."""
    assert not (ROOT / "kernels" / "__init__.py").exists()


def test_wheel_contains_the_two_packages(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    answer = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    (wheel,) = tmp_path.glob("autodiff_tape-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    top_level = {name.split("/")[0] for name in names}
    assert {name for name in top_level if not name.endswith(".dist-info")} == {"autodiff", "autodiff_kernels"}
    assert {"autodiff/py.typed", "autodiff_kernels/py.typed", "autodiff/viz/memory_page.html"} <= set(names)


@pytest.mark.parametrize("module", ["autodiff", "autodiff.nn", "autodiff.optim", "autodiff.utils.data", "autodiff.cli"])
def test_import_loads_nothing_heavy(module: str) -> None:
    """Numba is loaded by the first operation, the other libraries by the functions that need them."""
    heavy = ("numba", "llvmlite", "graphviz", "pygraphviz", "matplotlib", "sklearn", "scipy", "torch", "jax")
    assert run_python(f"import sys, {module}; print(*set({heavy}) & set(sys.modules))").split() == []
