"""Who takes part in a comparison, and the process that works for it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import Any

from autodiff.threads import cores

SCRIPT = Path(__file__).with_name("worker.py")
TIMEOUT = 900.0  # seconds for one command: compilers may take minutes, nothing takes longer


class ContenderError(Exception):
    """What went wrong in a contender's process, in one line."""


@dataclass(frozen=True)
class Contender:
    """A library that takes part in a comparison, as it is set up.

    Args:
        name: unique in a comparison.
        module: name of the module that is imported in its process and handed to `build`; the name by default.
        environment: variables that are set for its process, besides those that fix the number of threads.
        path: folders that its process searches for modules before all others.
        fresh: whether each comparison gets a new process.

    >>> from autodiff.utils.benchmark import Contender
    >>> Contender("torch without oneDNN", "torch", environment={"TORCH_MKLDNN_ENABLED": "0"}).module
    'torch'
    """

    name: str
    module: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    path: tuple[str, ...] = ()
    fresh: bool = False

    def __post_init__(self) -> None:
        if not self.module:
            object.__setattr__(self, "module", self.name)

    @property
    def installed(self) -> bool:
        """Whether its module can be imported."""
        if self.path:
            return True
        try:
            return importlib.util.find_spec(self.module) is not None
        except ModuleNotFoundError:  # of the package that it is in
            return False


def thread_settings(threads: int) -> dict[str, str]:
    """Return the environment that makes the libraries use `threads` threads."""
    count = str(threads)
    names = ("AUTODIFF", "OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB_MAXIMUM", "NUMBA")
    xla = "" if threads > 1 else "--xla_cpu_multi_thread_eigen=false"
    return {f"{name}_NUM_THREADS": count for name in names} | {
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {xla}".strip(),
        "JAX_PLATFORMS": "cpu",
        # In powers of two of clock ticks. By default OpenBLAS's threads spin for some 70 ms after a product, on the
        # cores that the next contender is to have; all others' stop within 5.
        "OPENBLAS_THREAD_TIMEOUT": "20",
    }


class Worker:
    """A process that builds and times functions for a contender, on `threads` cores. A context manager.

    Raises:
        ContenderError: from each method, if the contender's code raises, or its process ends or takes too long.
    """

    def __init__(self, contender: Contender, threads: int) -> None:
        self.contender = contender
        self.last = ""
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the worker)
        self.connection, theirs = Pipe()
        environment = {**os.environ, **thread_settings(threads), **contender.environment}
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, str(SCRIPT), str(theirs.fileno())],
                pass_fds=[theirs.fileno()], env=environment, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                start_new_session=True,  # Ctrl-C is the driver's to handle
            )
        self.connection.send({
            "module": contender.module,
            "path": [*contender.path, *sys.path],
            "cpus": cores()[:threads],
            "main": getattr(sys.modules["__main__"], "__file__", None),
        })

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def build(self, build: Callable[[Any], Any]) -> tuple[float, int | None]:
        """Build what is timed; return the seconds of its first call and the peak memory in bytes, where it is known."""
        found: tuple[float, int | None] = self._ask("build", pickled(build))
        return found

    def answers(self) -> dict[str, Any]:
        """Return the arrays that must agree, by name."""
        found: dict[str, Any] = self._ask("answers")
        return found

    def round(self, calls: int) -> float:
        """Return the mean seconds of one of `calls` calls."""
        found: float = self._ask("round", calls)
        return found

    def apply(self, function: Callable[[Any, Any], Any]) -> Any:
        """Return ``function(module, run)``, computed in the worker after `build`."""
        return self._ask("apply", pickled(function))

    def drop(self) -> None:
        """Let go of what was built."""
        self._ask("drop")

    def _ask(self, *command: Any) -> Any:
        try:
            self.connection.send(command)
            if not self.connection.poll(TIMEOUT):
                self.close()
                raise ContenderError(f"no answer for {TIMEOUT:g} seconds")
            status, result = self.connection.recv()
        except (EOFError, OSError):
            raise ContenderError(self._obituary()) from None
        if status == "failed":
            raise ContenderError(result)
        return result

    def _obituary(self) -> str:
        """Return what the process said last, once it has ended."""
        if not self.log.closed:
            self.process.wait()
            self.log.seek(0)
            lines = self.log.read().decode(errors="replace").split("\n")
            self.last = next((": " + line.strip() for line in reversed(lines) if line.strip()), "")
        self.close()
        return f"its process ended with code {self.process.returncode}{self.last}"

    @property
    def alive(self) -> bool:
        """Whether the process can take commands."""
        return not self.connection.closed and self.process.poll() is None

    def close(self) -> None:
        """Hang up and end the process."""
        self.connection.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=0.2)
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)  # with the processes that it has started
            self.process.wait()
        self.log.close()


def pickled(function: Callable[..., Any]) -> bytes:
    """Return a function in the form in which it is sent to a worker.

    Raises:
        TypeError: if the worker could not find it: it must stand at the top of a file.
    """
    main = sys.modules["__main__"]
    try:
        payload = pickle.dumps(function)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(f"{function!r} cannot be sent to another process ({error}); compare needs a function that is "
                        "defined at the top of a file, or a functools.partial of one") from None
    if b"__main__" in payload and not hasattr(main, "__file__"):
        raise TypeError(f"{function!r} was defined in an interactive session, where another process cannot find it; "
                        "put it into a file and import it from there")
    return payload
