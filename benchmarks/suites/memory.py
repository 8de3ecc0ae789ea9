"""Suite `memory`: the peak memory of training steps.

The cases are those of `train` without the nets that fit into a cache, and without `torch.compile`, whose compiler would
take most of what is measured. JAX's compiler is part of its rows: it runs in the same process before the first step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.case import Case
from benchmarks.suites import train

SMALL = ("mlp", "kmeans", "surface")
QUICK = "lenet"  # each contender of each case starts a process, and JAX compiles in it


def cases() -> Iterator[Case]:
    """Yield the training cases that need memory."""
    for case in train.cases():
        _, workload, *_ = case.name.split("/")
        if workload in SMALL:
            continue
        builds = {name: build for name, build in case.builds.items() if name != "torch.compile"}
        name, quick = case.name.replace("train", "memory", 1), case.quick and workload == QUICK
        yield replace(case, name=name, builds=builds, measure="bytes", quick=quick)
