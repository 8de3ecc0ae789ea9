"""The machine's limits: what is measured has its form and is plausible; the roofline is exact on given limits."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from autodiff import machine
from autodiff.machine import limits
from autodiff.machine.kernels import CHAINS, STREAMS, UNROLL, Kernels

LIMITS: dict[str, Any] = {
    "flops": {"float32": 100e9, "float64": 50e9},
    "levels": [
        {"name": "L1", "size": 1000, "copy": 40e9, "triad": 50e9, "axpy": 30e9},
        {"name": "L2", "size": 10000, "copy": 20e9, "triad": 20e9, "axpy": 25e9},
        {"name": "memory", "size": None, "copy": 5e9, "triad": 5e9, "axpy": 5e9},
    ],
}


@pytest.mark.parametrize(
    ("flops", "moved", "operands", "itemsize", "seconds", "bound"),
    [
        (1000, 100, 1000, 4, 1e-8, "flops"),
        (1000, 100, 1000, 8, 2e-8, "flops"),
        (0, 100, 1000, 4, 2e-9, "L1"),
        (0, 100, 1001, 4, 4e-9, "L2"),
        (100, 100, 10**6, 4, 2e-8, "memory"),
        (0, 0, 0, 4, 0.0, "L1"),
    ],
)
def test_limit_is_the_longer_of_arithmetic_and_traffic(
    flops: int, moved: int, operands: int, itemsize: int, seconds: float, bound: str
) -> None:
    cost = {"flops": flops, "bytes": moved, "operand_bytes": operands, "itemsize": itemsize}
    assert machine.limit(cost, LIMITS) == {"seconds": pytest.approx(seconds), "bound": bound}


def test_measure_describes_the_machine_and_every_limit() -> None:
    found = limits.measured([1, 2], 0.2)
    assert json.loads(json.dumps(found)) == found
    assert found["cpu"]
    assert found["cores"] >= 1
    assert found["memory"] > 1 << 28
    assert found["vector_bytes"] in (16, 32, 64)
    assert list(found["limits"]) == ["1", "2"]
    for each in found["limits"].values():
        assert set(each["flops"]) == {"float32", "float64"}
        assert all(0 < rate < 1e15 for rate in each["flops"].values())
        names = [level["name"] for level in each["levels"]]
        assert names[0] == "L1"
        assert names[-1] == "memory"
        sizes = [level["size"] for level in each["levels"][:-1]]
        assert sizes == sorted(sizes)
        assert each["levels"][-1]["size"] is None
        assert all(0 < level[stream] < 1e15 for level in each["levels"] for stream in STREAMS)


def test_measure_runs_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SECONDS", {True: 0.1})
    found = machine.measure([1], quick=True)
    assert list(found["limits"]) == ["1"]


@pytest.mark.parametrize("width", [16, 32, 64])
def test_streams_compute_what_they_are_named_for(width: int) -> None:
    kernels = Kernels(width)
    count = 3 * UNROLL * width // 4
    expected = {"copy": lambda x, y, z: y, "triad": lambda x, y, z: y + z / 2, "axpy": lambda x, y, z: x / 2 + y}
    for name in STREAMS:
        x, y, z = np.arange(3 * count, dtype=np.float32).reshape(3, count)
        before = x.copy()
        kernels.function(name)(x.ctypes.data, y.ctypes.data, z.ctypes.data, 4 * count, 1)
        np.testing.assert_array_equal(x, expected[name](before, y, z))


@pytest.mark.parametrize("bits", [32, 64])
def test_multiply_adds_go_through_all_chains(bits: int) -> None:
    kernels = Kernels(32)
    source = np.arange(CHAINS * 256 // bits, dtype=f"float{bits}")
    target = np.zeros_like(source)
    kernels.function(f"float{bits}")(target.ctypes.data, source.ctypes.data, 2)
    np.testing.assert_array_equal(target, (source / 2 + 0.5) / 2 + 0.5)


def test_working_sets_lie_between_the_levels() -> None:
    found = limits.working_sets({"L1": 32 << 10, "L2": 512 << 10, "L3": 32 << 20}, 1)
    assert found == {"L1": 16 << 10, "L2": 128 << 10, "L3": 4 << 20, "memory": found["memory"]}
    assert found["memory"] > 32 << 20


def test_versions_are_told_without_importing() -> None:
    found = machine.versions()
    assert found["numpy"] == np.__version__
    assert found["autodiff"]
