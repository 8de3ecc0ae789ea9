"""The process that builds and times the functions of one contender. It is run as a script, never imported.

It imports nothing of autodiff by itself: beside another library it would change what is measured, and the contender may
be autodiff of another checkout. The driver sends ``(command, *arguments)`` and receives ``("done", result)`` or
``("failed", message)``.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import io
import math
import os
import pickle
import runpy
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np


class Unpickler(pickle.Unpickler):
    """Finds the names of the driver's main program by running its file under another name, as multiprocessing does."""

    main: str | None = None
    names: dict[str, Any] | None = None

    def find_class(self, module: str, name: str) -> Any:
        """Return what `name` stands for in `module`."""
        if module != "__main__":
            return super().find_class(module, name)
        if Unpickler.names is None:
            assert Unpickler.main is not None
            Unpickler.names = runpy.run_path(Unpickler.main, run_name="__mp_main__")
        return Unpickler.names[name]


def unpickled(payload: bytes) -> Any:
    """Return the object in `payload`."""
    return Unpickler(io.BytesIO(payload)).load()


class Work:
    """The commands: each method is one."""

    def __init__(self, module: str) -> None:
        self.module = importlib.import_module(module)
        self.finish: Callable[[Any], Any] = getattr(self.module, "block_until_ready", lambda result: result)
        self.run: Callable[[], Any] | None = None
        self.answers_of: Callable[[], Any] | None = None
        self.first_result: Any = None

    def build(self, payload: bytes) -> tuple[float, int | None]:
        """Build the function, call it, and return the seconds of the first call and the peak memory in bytes.

        The peak is that of the process over what it held before: of two calls, where the answers come from a function
        of their own, otherwise of one and the copy of its answers.
        """
        if self.run is not None:
            self.drop()
        before = start_peak()
        made = unpickled(payload)(self.module)
        self.run, self.answers_of = made if isinstance(made, tuple) else (made, None)
        assert self.run is not None
        start = time.perf_counter()
        result = self.finish(self.run())
        first = time.perf_counter() - start
        if self.answers_of is None:
            self.first_result = flattened(result)
        else:
            # An optimizer makes its state at the end of the first step: the second has that and the activations.
            result = self.finish(self.run())
        return first, None if before is None else max(0, resident("VmHWM") - before)

    def answers(self) -> dict[str, Any]:
        """Return the arrays that must agree among contenders, by name."""
        return self.first_result if self.answers_of is None else flattened(self.answers_of())

    def round(self, calls: int) -> float:
        """Return the mean seconds of a call, over `calls` calls."""
        run, finish = self.run, self.finish
        assert run is not None
        if calls > 1:
            finish(run())  # caches hold what another process needed
        start = time.perf_counter()
        for _ in range(calls):
            finish(run())
        seconds = (time.perf_counter() - start) / calls
        time.sleep(0.005)  # threads of a team may spin for milliseconds: the next process is to have the cores
        return seconds

    def apply(self, payload: bytes) -> Any:
        """Return ``function(module, run)`` of the function in `payload`."""
        return unpickled(payload)(self.module, self.run)

    def drop(self) -> None:
        """Let go of what was built."""
        self.run = self.answers_of = self.first_result = None
        gc.collect()
        gc.freeze()  # what is left is the library's: to search it again in each case would take a tenth of a second


def flattened(value: Any, name: str = "") -> dict[str, Any]:
    """Return the arrays in nested mappings and sequences of tensors, by their path."""
    if isinstance(value, Mapping):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, Sequence) and not isinstance(value, str):
        items = [(str(key), item) for key, item in enumerate(value)]
    else:
        return {name or "result": host(value)}
    found = {}
    for key, item in items:
        found.update(flattened(item, f"{name}.{key}" if name else key))
    return found


def host(value: Any) -> Any:
    """Return a tensor of any library as a NumPy array of its own; NaN for None, so that a missing gradient shows."""
    if value is None:
        return np.array(math.nan)
    return np.array(value.detach().numpy() if hasattr(value, "detach") else value)


def start_peak() -> int | None:
    """Start a new peak of the process's memory, and return what it holds now; None where the system does not tell."""
    try:
        ctypes.CDLL(None).malloc_trim(0)  # gives back what is free, so that it does not hide what is taken next
        Path("/proc/self/clear_refs").write_text("5")
        return resident("VmRSS")
    except (OSError, AttributeError):
        return None


def resident(field: str) -> int:
    """Return a line of the process's status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(field)


def main() -> None:
    """Serve the driver until it hangs up."""
    connection = Connection(int(sys.argv[1]))
    setup = connection.recv()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, setup["cpus"])
    sys.path[:] = setup["path"]
    Unpickler.main = setup["main"]
    work: Work | None = None
    while True:
        try:
            command, *arguments = connection.recv()
        except EOFError:
            return
        try:
            if work is None:
                work = Work(setup["module"])
            answer = ("done", getattr(work, command)(*arguments))
        except (Exception, SystemExit) as error:
            answer = ("failed", f"{type(error).__name__}: {error}")
        connection.send(answer)


if __name__ == "__main__":
    main()
