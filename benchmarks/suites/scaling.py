"""Suite `scaling`: how the time of a training step grows with one of its sizes, and of a chain with its operations.

Each series is a curve with a fitted exponent. The cases in `threads` have one size, and their curve goes over the
numbers of threads of the run: on one thread and on all cores, if none is named. An exponent of -1 would be ideal.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from benchmarks.case import Case
from benchmarks.differentiation import builds, normal
from benchmarks.training import training_case
from benchmarks.workloads import gpt, language, lenet, mlp

MOST_FOR_JAX = 1000  # operations in a chain, beyond which XLA takes minutes to compile


class Workload(NamedTuple):
    """A training workload for PyTorch and autodiff, and for JAX."""

    torch_like: Any
    jax_like: Any

    def sized(self, **sizes: Any) -> Workload:
        """Return the workload with these sizes."""
        return Workload(partial(self.torch_like, **sizes), partial(self.jax_like, **sizes))


class Series(NamedTuple):
    """A workload with one size that varies."""

    name: str
    workload: Workload
    size: str
    values: tuple[int, ...]


MLP = Workload(mlp.digits_torch_like, mlp.digits_jax_like)
LENET = Workload(lenet.torch_like, lenet.jax_like)
LSTM = Workload(language.torch_like, language.jax_like).sized(kind="LSTM", batch=4)
GPT = Workload(gpt.torch_like, gpt.jax_like).sized(depth=1, width=64, heads=2, batch=2, length=64)

QUICK = "batch/mlp"  # with its first three points, for JAX compiles each anew
SERIES = (
    Series("batch/mlp", MLP, "batch", (16, 64, 256, 1024, 4096)),
    Series("batch/lenet", LENET, "batch", (8, 32, 128, 512, 1024)),
    Series("width/gpt", GPT, "width", (32, 64, 128, 256, 512)),
    Series("depth/gpt", GPT, "depth", (1, 2, 4, 6, 8)),
    Series("length/gpt", GPT, "length", (32, 64, 128, 256, 512, 1024)),
    Series("length/lstm", LSTM, "length", (8, 16, 32, 64, 128)),
)
OPERATIONS = (10, 100, 1000, 3000, 10_000)
THREADS = {
    "mlp": MLP.sized(batch=2048),
    "lenet": LENET.sized(batch=512),
    "gpt": GPT.sized(depth=2, width=256, heads=4, batch=8, length=128),
}


def cases() -> Iterator[Case]:
    """Yield the points of all series."""
    for name, workload, size, values in SERIES:
        for place, value in enumerate(values):
            sized = workload.sized(**{size: value})
            yield step(f"scaling/{name}/{value}", sized, quick=name == QUICK and place < 3, sweep=(name, value))
    for count in OPERATIONS:
        settings: dict[str, Any] = {"jax": partial(jax_chain, count=count)} if count <= MOST_FOR_JAX else {}
        contenders = builds("forward+backward", partial(chain, count=count), {"x": normal(8)}, **settings)
        yield Case(f"scaling/operations/{count}", contenders, quick=count <= 1000, sweep=("operations", count))
    for name, workload in THREADS.items():
        yield step(f"scaling/threads/{name}", workload, quick=False, sweep=(f"threads/{name}", None))


def step(name: str, workload: Workload, **settings: Any) -> Case:
    """Return the case of a training step with Adam, without compiling it in PyTorch."""
    case = training_case(name, *workload, "adam")
    kept = {contender: build for contender, build in case.builds.items() if contender != "torch.compile"}
    return dataclasses.replace(case, builds=kept, **settings)


def chain(module: Any, x: Any, count: int) -> Any:
    """Return the end of a chain of operations, each of which reads the one before."""
    for _ in range(count // 2):
        x = module.tanh(x) * 1.25
    return x


def jax_chain(jax: Any, x: Any, count: int) -> Any:
    """Return the end of the chain in JAX."""
    return chain(jax.numpy, x, count)
