"""What the workers of `test_benchmark.py` build. They import this file, so it imports little itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np


def build(module: Any) -> Callable[[], Any]:
    return module.work


def build_with_answers(module: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    return module.work, lambda: {"answer": np.full(3, module.ANSWER)}


def raising(module: Any) -> Callable[[], Any]:
    raise ValueError("the fan-in is 0")


def dying(module: Any) -> Callable[[], Any]:
    os.write(2, b"out of registers\n")
    os._exit(7)


def dying_when_timed(module: Any) -> Callable[[], Any]:
    calls = []

    def work() -> Any:
        calls.append(0)
        if len(calls) > 4:
            os._exit(7)
        return module.work()

    return work


def threads_of(module: Any) -> Callable[[], Any]:
    """Answer with what the environment says of threads."""
    def work() -> Any:
        module.work()
        return [int(os.environ["OMP_NUM_THREADS"]), len(os.sched_getaffinity(0))]

    return work


def filling(size: int, module: Any) -> Callable[[], Any]:
    def work() -> Any:
        return np.ones(size // 8).sum()

    return work


def work_of_autodiff(autodiff: Any) -> Callable[[], Any]:
    x = autodiff.ones(64, 32, requires_grad=True)
    w = autodiff.ones(32, 16)
    return lambda: autodiff.relu(x.matmul(w).t())
