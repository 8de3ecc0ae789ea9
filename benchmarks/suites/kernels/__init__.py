"""Suite `kernels`: single operations over the shapes of real nets, forward and backward, against the machine's limit.

Rows are timed through the public API, forward and backward, from arrays as users have them: contiguous, images as
(N, C, H, W). Rows whose names end in ``/kernel`` time one kernel alone: a forward pass that records nothing, or one
gradient; there each library gets images in the layout that it works in (autodiff and JAX channels-last, PyTorch both).
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.case import Case
from benchmarks.suites.kernels import (
    attention,
    convolution,
    elementwise,
    embedding,
    matmul,
    norms,
    pooling,
    random,
    reductions,
    softmax,
    updates,
)

FAMILIES = (
    matmul, convolution, norms, softmax, elementwise, reductions, embedding, pooling, attention, random, updates,
)


def cases() -> Iterator[Case]:
    """Yield the cases, family by family."""
    for family in FAMILIES:
        yield from family.cases()
