"""What the wheel contains and what an import loads."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tomllib
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


def test_distributions_contain_the_two_packages(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    build = [sys.executable, "-m", "hatchling", "build", "--directory", str(tmp_path)]
    answer = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    (wheel,) = tmp_path.glob("autodiff_tape-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    top_level = {name.split("/")[0] for name in names}
    assert {name for name in top_level if not name.endswith(".dist-info")} == {"autodiff", "autodiff_kernels"}
    assert {"autodiff/py.typed", "autodiff_kernels/py.typed", "autodiff/viz/memory_page.html"} <= set(names)
    assert {f"autodiff/viz/web/{file}" for file in page_files()} <= set(names)
    assert any(name.endswith(".dist-info/licenses/autodiff/viz/web/graphviz/LICENSES.txt") for name in names)
    (source,) = tmp_path.glob("autodiff_tape-*.tar.gz")
    with tarfile.open(source) as archive:
        in_source = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"autodiff/viz/web/{file}" for file in page_files()} <= in_source


def page_files() -> list[str]:
    web = ROOT / "autodiff" / "viz" / "web"
    return [file.relative_to(web).as_posix() for file in web.rglob("*") if file.is_file()]


def test_graphviz_in_pages_is_what_was_published() -> None:
    """Its licences ask that they go with it; the hash tells whether somebody or something has changed it."""
    folder = ROOT / "autodiff" / "viz" / "web" / "graphviz"
    notes = dict(line.split(maxsplit=1) for line in (folder / "VERSION.txt").read_text().splitlines())
    code = (folder / "graphviz.js").read_bytes()
    assert hashlib.sha256(code).hexdigest() == notes["sha256"]
    assert f"Viz.js {notes['version']}".encode() in code[:200]
    licences = (folder / "LICENSES.txt").read_text(encoding="utf-8")
    for text in (f"Viz.js {notes['version']}", *notes["holds"].split(", "), "Michael Daines", "Expat maintainers",
                 "Emscripten authors", "Rich Felker", "The above copyright notice and this permission notice",
                 "Eclipse Public License - v 2.0", "Its source is available"):
        assert text in licences, text


def test_the_licence_of_the_project_names_those_of_what_it_contains() -> None:
    names = {"the MIT License": "MIT", "the Eclipse Public License 2.0": "EPL-2.0"}
    licences = (ROOT / "autodiff" / "viz" / "web" / "graphviz" / "LICENSES.txt").read_text(encoding="utf-8")
    headings = re.findall(r"^={9,}\n.*\), (the .*)\n={9,}$", licences, re.MULTILINE)
    assert len(headings) == 5
    own = (ROOT / "LICENSE").read_text(encoding="utf-8").splitlines()[0].removesuffix(" License")
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    assert set(project["license"].split(" AND ")) == {own, *(names[heading] for heading in headings)}


@pytest.mark.parametrize("module", ["autodiff", "autodiff.nn", "autodiff.optim", "autodiff.utils.data", "autodiff.cli"])
def test_import_loads_nothing_heavy(module: str) -> None:
    """Numba is loaded by the first operation, the other libraries by the functions that need them."""
    heavy = ("numba", "llvmlite", "graphviz", "pygraphviz", "matplotlib", "sklearn", "scipy", "torch", "jax")
    assert run_python(f"import sys, {module}; print(*set({heavy}) & set(sys.modules))").split() == []
