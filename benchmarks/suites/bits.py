"""Suite `bits`: a compiled training step does to the last bit what the step itself does.

The cases are those of `train` in full size. Nothing is timed: after many steps the losses, parameters, buffers,
gradients and optimizer states of both must be equal as bits, or the row is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.case import Case
from benchmarks.suites import train
from benchmarks.training import bits_build

STEPS = 50


def cases() -> Iterator[Case]:
    """Yield the training cases."""
    for case in train.cases():
        eager = case.builds["autodiff eager"].keywords
        builds = {
            "autodiff": partial(bits_build, steps=STEPS, compiled=True, **eager),
            "autodiff eager": partial(bits_build, steps=STEPS, **eager),
        }
        yield Case(case.name.replace("train", "bits", 1), builds, tolerance=0.0, measure="bits", quick=False)
