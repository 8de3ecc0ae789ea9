"""Suite `memory`: the peak memory of training steps.

The cases are those of `train` without the nets that fit into a cache, and without `torch.compile`, whose compiler would
take most of what is measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.case import Case
from benchmarks.suites import train

SMALL = ("mlp", "kmeans", "surface")


def cases() -> Iterator[Case]:
    """Yield the training cases that need memory."""
    for case in train.cases():
        _, workload, *_ = case.name.split("/")
        if workload in SMALL:
            continue
        builds = {name: build for name, build in case.builds.items() if name != "torch.compile"}
        yield replace(case, name=case.name.replace("train", "memory", 1), builds=builds, measure="bytes")
