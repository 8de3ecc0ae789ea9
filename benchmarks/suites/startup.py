"""Suite `startup`: new processes that import a library, or take the first steps of a training.

Cold, autodiff finds no compiled kernels and compiles those that the step runs; warm, it finds them on the disk. PyTorch
and JAX are used as they come: PyTorch compiles nothing, and JAX keeps nothing on the disk. A compiled step is taken
three times, for that is how often autodiff needs until it replays; `torch.compile` begins with an empty folder, too.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from benchmarks.case import Case
from benchmarks.training import jax_build, torch_build
from benchmarks.workloads import lenet, mlp, resnet

NETS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "mlp/tiny": (mlp.tiny_torch_like, mlp.tiny_jax_like),
    "mlp/digits": (mlp.digits_torch_like, mlp.digits_jax_like),
    "lenet": (lenet.torch_like, lenet.jax_like),
    "resnet/20": (partial(resnet.torch_like, depth=20), partial(resnet.jax_like, depth=20)),
    "resnet/56": (partial(resnet.torch_like, depth=56), partial(resnet.jax_like, depth=56)),
}
COMPILED = "autodiff", "torch.compile", "jax"


def cases() -> Iterator[Case]:
    """Yield the import, and the first step of each net with compiled kernels on the disk (warm) or without (cold)."""
    yield Case("startup/import", dict.fromkeys(("autodiff", "torch", "jax", "numpy"), import_build))
    for net, start in (("mlp/tiny", "cold"), ("mlp/tiny", "warm"), ("mlp/digits", "warm"), ("lenet", "cold"),
                       ("lenet", "warm")):
        build = partial(step_build, net=net, cold=start == "cold")
        yield Case(f"startup/{net}/{start}", dict.fromkeys(("autodiff", "torch", "jax"), build), quick=False)
    for net in ("resnet/20", "resnet/56"):
        for start in ("cold", "warm"):
            build = partial(step_build, net=net, cold=start == "cold", compiled=True)
            yield Case(f"startup/compiled/{net}/{start}", dict.fromkeys(COMPILED, build), tolerance=1e-3, quick=False)


def import_build(module: Any) -> Callable[[], dict[str, int]]:
    """Build a new process that imports a library."""

    def run() -> dict[str, int]:
        python(f"import {module.__name__}")
        return {"exit code": 0}

    return run


def step_build(module: Any, net: str, cold: bool, compiled: bool = False) -> Callable[[], dict[str, float]]:
    """Build a new process that takes the first training step of a net; cold, in an empty folder for kernels."""
    arguments = f"{module.__name__!r}, {net!r}, {compiled}"
    statement = f"from benchmarks.suites.startup import first_step; first_step({arguments})"

    def run() -> dict[str, float]:
        with tempfile.TemporaryDirectory() if cold else contextlib.nullcontext() as folder:
            return {"loss": float(python(statement, folder))}

    return run


def python(statement: str, kernels: str | None = None) -> str:
    """Run a statement in a new process that finds the same modules, and return what it prints.

    Raises:
        RuntimeError: with the last line of the error, if it fails.
    """
    # As users run Python: with its compiled files on disk.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    if kernels is not None:
        environment["AUTODIFF_CACHE_DIR"] = environment["TORCHINDUCTOR_CACHE_DIR"] = kernels
    done = subprocess.run([sys.executable, "-c", statement], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{statement!r} failed: {(done.stderr.strip().splitlines() or [''])[-1]}")
    return done.stdout


def first_step(name: str, net: str, compiled: bool = False) -> None:
    """Take one step with Adam, or three compiled ones, and print the loss. This is what the new process runs."""
    module = importlib.import_module(name)
    torch_like, jax_like = NETS[net]
    if name == "jax":
        step, _ = jax_build(module, jax_like, "adam")
    else:
        step, _ = torch_build(module, torch_like, "adam", compiled=compiled)
    for _ in range(3 if compiled else 1):
        loss = step()
    print((loss[0] if name == "jax" else loss).item())
