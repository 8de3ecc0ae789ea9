"""The commands `autodiff cache info`, `clear` and `warm`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autodiff.cli import main
from autodiff_kernels import cache


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("AUTODIFF_CACHE_DIR", str(tmp_path))
    for name in ("another", cache.version()):
        folder = tmp_path / "autodiff" / name
        folder.mkdir(parents=True)
        (folder / "kernel.nbc").write_bytes(bytes(2_500_000))
    return tmp_path


def test_info(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "info"]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == f"{base / 'autodiff'}: 5.0 MB, at most 500.0 MB for one version and 500.0 MB for all others"
    assert len(lines) == 2
    (mine,) = [line for line in lines if line.endswith(", this version")]
    assert mine.startswith(f"  {cache.version()}     2.5 MB, last used 2")


def test_info_about_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUTODIFF_CACHE_DIR", str(tmp_path))
    assert main(["cache", "info"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "This version has not compiled anything yet; autodiff cache warm does."
    ]


def test_clear(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache._hold(base / "autodiff" / "another")
    assert main(["cache", "clear"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"removed 2.5 MB from {base / 'autodiff'}", "  kept another, which a process uses",
    ]
    assert [path.name for path in (base / "autodiff").iterdir()] == ["another"]


def test_clear_what_cannot_be_written(
    base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    assert main(["cache", "clear"]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == f"removed 0.0 MB from {base / 'autodiff'}"
    assert sorted(lines) == sorted(f"  kept {name}, which cannot be written" for name in ("another", cache.version()))


WARM = """
import autodiff.cli, autodiff.primitive
table = autodiff.primitive.OPERATIONS
autodiff.primitive.OPERATIONS = {name: table[name] for name in ("neg", "square")}
autodiff.cli.main(["cache", "warm", "--processes", "2"])
"""
USE = """
import autodiff as ad, autodiff_kernels as kernels
x = ad.ones(3, requires_grad=True)
(-x).sum().backward()
print(sum(kernels.elementwise.negative.stats.cache_misses.values()))
"""


def test_warm(tmp_path: Path) -> None:
    def run(code: str) -> str:
        variables = {**os.environ, "AUTODIFF_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    said = run(WARM)
    assert " kernels compiled in " in said
    assert said.endswith(", 0 were there\n")
    assert run(USE) == "0\n"
    assert "0 kernels compiled in " in run(WARM)


def test_warming_a_folder_that_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUTODIFF_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cache, "folder", lambda: tmp_path / "temporary")
    assert main(["cache", "warm"]) == 2
    assert f"{tmp_path / 'autodiff' / cache.version()} cannot be written" in capsys.readouterr().err
