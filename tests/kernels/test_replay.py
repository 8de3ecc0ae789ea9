"""Calls of kernels that are written down instead of run, and replayed."""

from __future__ import annotations

import gc
import threading
from typing import Any

import numpy as np
import pytest
from numba import njit

import autodiff_kernels as kernels


def table_of(calls: list[Any], threads: int = 1) -> Any:
    """Return the table of calls without status words."""
    rows = [[c.entry, c.block.ctypes.data, threads, 1_000_000, 0, 0] for c in calls]
    return np.array([*rows, [0] * kernels.replay.COLUMNS], np.int64)


def add(out: Any, x: Any, y: Any) -> None:
    """Call the kernel as an operation does, with a walk that nobody keeps."""
    walk = kernels.elementwise.plan(out.shape, (1,), [(x.shape, (1,)), (y.shape, (1,))])
    kernels.elementwise.add(out.ravel(), x.ravel(), y.ravel(), walk.copy(), 0, 1)


def test_a_kernel_that_would_run_instead_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is after ``import autodiff_kernels.layout``: compiled as Numba does it, and unknown to the doors."""
    bare = njit(nogil=True)(kernels.layout.transpose.py_func)
    bare(np.empty((1, 2, 3)), np.ones((1, 3, 2)), 0, 1)
    monkeypatch.setattr(kernels.layout, "transpose", bare)
    monkeypatch.setattr(kernels.entry, "_open", kernels.entry._open - {"autodiff_kernels.layout"})
    with pytest.raises(ImportError, match=r"'from autodiff_kernels import layout'"):
        kernels.replay.record(add, np.zeros(2), np.ones(2), np.ones(2))


def test_a_call_is_written_down_and_not_run() -> None:
    x, y, out = np.arange(5.0), np.ones(5), np.zeros(5)
    calls = kernels.replay.record(add, out, x, y)
    assert len(calls) == 1
    assert out.tolist() == [0] * 5
    assert kernels.replay.run(table_of(calls), 0, 1, 1, 0) == -1
    assert out.tolist() == [1, 2, 3, 4, 5]
    add(out, y, y)  # calls run again as ever
    assert out.tolist() == [2] * 5


def test_arrays_of_a_call_are_kept() -> None:
    x, y, out = np.arange(300.0), np.ones(300), np.zeros(300)
    calls = kernels.replay.record(add, out, x, y)
    gc.collect()
    others = [np.full(7, 1 << 40) for _ in range(1000)]  # would lie where the walk has been
    kernels.replay.run(table_of(calls), 0, 1, 1, 0)
    assert np.array_equal(out, x + y)
    assert len(others) == 1000
    assert any(isinstance(x, np.ndarray) for x in calls[0].objects)


def test_addresses_can_be_changed() -> None:
    x, y, out = np.arange(5.0), np.ones(5), np.zeros(5)
    (call,) = kernels.replay.record(add, out, x, y)
    other = np.full(5, 10.0)
    for place in call.arrays:
        word = place + kernels.replay.ADDRESS
        if call.block[word] == x.ctypes.data:
            call.block[word] = other.ctypes.data
    kernels.replay.run(table_of([call]), 0, 1, 1, 0)
    assert out.tolist() == [11] * 5


def test_large_calls_run_on_the_team() -> None:
    x, y = np.random.default_rng(0).standard_normal((2, 100_000))
    found = []
    for threads in (1, 2, 3):
        out = np.zeros(100_000)
        calls = kernels.replay.record(add, out, x, y)
        kernels.replay.run(table_of(calls, threads), 0, 1, threads, 1_000_000)
        found.append(out.tobytes())
    assert found[0] == found[1] == found[2] == (x + y).tobytes()


def test_a_bad_value_stops_the_replay() -> None:
    x, y, out, status = np.arange(5.0), np.ones(5), np.zeros(5), np.array([-1, -1])
    calls = kernels.replay.record(add, out, x, y) + kernels.replay.record(add, out, out, y)
    table = table_of(calls)
    table[0, kernels.replay.STATUS], table[0, kernels.replay.STATUSES] = status.ctypes.data, 2
    assert kernels.replay.run(table, 0, 2, 1, 0) == -1
    assert out.tolist() == [2, 3, 4, 5, 6]
    status[1] = 3
    assert kernels.replay.run(table, 0, 2, 1, 0) == 0
    assert out.tolist() == [1, 2, 3, 4, 5]
    assert table[-1, 0] == 1  # only one has run to the end


def test_other_threads_go_on_while_one_records() -> None:
    x, y, other = np.arange(5.0), np.ones(5), np.zeros(5)

    def record(out: Any) -> None:
        add(out, x, y)
        worker = threading.Thread(target=add, args=(other, x, y))
        worker.start()
        worker.join()

    calls = kernels.replay.record(record, np.zeros(5))
    assert len(calls) == 1
    assert other.tolist() == [1, 2, 3, 4, 5]
