"""What is found out about the processor, and the environment variables that override it."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import llvmlite.binding
import pytest

from autodiff_kernels import cpu

VARIABLES = ("AUTODIFF_VECTOR_BYTES", "AUTODIFF_VECTOR_REGISTERS", "AUTODIFF_L1_BYTES", "AUTODIFF_L2_BYTES")


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(("machine", "features", "width", "registers"), [
    ("x86_64", ("avx512f", "avx512vl", "avx2", "fma"), 64, 32),
    ("AMD64", ("avx2", "fma"), 32, 16),
    ("x86_64", ("avx512f", "avx2", "fma"), 32, 16),
    ("x86_64", (), 16, 16),
    ("aarch64", ("neon",), 16, 32),
    ("arm64", (), 16, 32),
])  # fmt: skip
def test_registers(machine: str, features: Any, width: int, registers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(llvmlite.binding, "get_host_cpu_features", lambda: dict.fromkeys(features, True))
    assert cpu.processor()[:2] == (width, registers)
    assert (width, registers) in cpu.TILES


def test_a_smaller_width_has_the_registers_of_a_processor_of_that_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setenv("AUTODIFF_VECTOR_BYTES", "32")
    assert cpu.processor()[:2] == (32, 16)


def test_variables_override_what_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in zip(VARIABLES, ("16", "32", "65536", "2097152"), strict=True):
        monkeypatch.setenv(variable, value)
    assert cpu.processor() == cpu.Processor(16, 32, 1 << 16, 1 << 21)


@pytest.mark.parametrize(("variable", "value", "allowed"), [
    ("AUTODIFF_VECTOR_BYTES", "8", "16, 32 or 64"),
    ("AUTODIFF_VECTOR_REGISTERS", "many", "16 or 32"),
    ("AUTODIFF_L1_BYTES", "32", "a number of bytes from 4 KiB to 1 GiB"),
    ("AUTODIFF_L2_BYTES", "-1", "a number of bytes from 4 KiB to 1 GiB"),
])  # fmt: skip
def test_values_that_are_refused(variable: str, value: str, allowed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValueError, match=f"{variable} must be {allowed}, not '{value}'"):
        cpu.processor()


@pytest.mark.parametrize(("width", "registers"), cpu.TILES)
def test_tiles_fit_into_the_registers(width: int, registers: int) -> None:
    rows, vectors = cpu.TILES[width, registers]
    assert rows * vectors + vectors + 1 <= registers


def test_caches_that_are_shared_count_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    caches = [("Data", "1", "32K", None), ("Instruction", "1", "64K", None), ("Unified", "2", "1M", None),
              ("Unified", "3", "16M", "0-3")]
    for core in range(2):
        for index, (kind, level, size, shared) in enumerate(caches):
            folder = tmp_path / f"cpu{core}" / "cache" / f"index{index}"
            folder.mkdir(parents=True)
            for name, text in {"type": kind, "level": level, "size": size,
                               "shared_cpu_list": shared or str(core)}.items():
                (folder / name).write_text(text + "\n")
    monkeypatch.setattr(cpu, "CPUS", tmp_path)
    assert cpu.caches([0]) == {"L1": 32 << 10, "L2": 1 << 20, "L3": 16 << 20}
    assert cpu.caches([0, 1]) == {"L1": 64 << 10, "L2": 2 << 20, "L3": 16 << 20}
    monkeypatch.setattr(cpu, "CPUS", tmp_path / "nothing")
    assert cpu.caches([0, 1]) == {"L1": 64 << 10, "L2": 1 << 20, "L3": 8 << 20}


def test_a_system_that_does_not_tell_its_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "CPUS", tmp_path)
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    assert cpu.processor()[2:] == (32 << 10, 512 << 10)
