"""What a suite is made of: cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Build = Callable[[Any], Any]


@dataclass(frozen=True)
class Case:
    """The same work in several libraries.

    Attributes:
        name: ``"kernels/matmul/NN/512x512x512"``: the suite, then a path of the suite's own; unique, without spaces.
        builds: contender -> function that is called in the contender's process with its module and returns the function
            to time, or that and a function which returns the answers (see `autodiff.utils.benchmark.compare`).
        tolerance: largest difference between answers, relative to the largest magnitude in the answer; or one for each
            beginning of their names.
        measure: what is compared: seconds of a call, bytes at the peak, or nothing but the answers.
        quick: whether it belongs to `--quick`.
        sweep: a series and the place in it, where the case is one point of a curve; None for the place stands for the
            number of threads that it runs on.
        count: operations in a call, where time per operation is of interest.
    """

    name: str
    builds: Mapping[str, Build]
    tolerance: float | Mapping[str, float] = 1e-4
    measure: Literal["seconds", "bytes", "bits"] = "seconds"
    quick: bool = True
    sweep: tuple[str, float | None] | None = None
    count: int = 1

    @property
    def suite(self) -> str:
        """The first part of the name."""
        return self.name.partition("/")[0]
