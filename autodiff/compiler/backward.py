"""The backward pass of what a function returns: it runs outside, and is recorded with the function."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autodiff import reverse
from autodiff.eager import Tensor, wrap
from autodiff.program import reachable


def has_history(x: Tensor) -> bool:
    """Return whether the backward pass of a result has still to run."""
    return x.needs_grad and type(x.edge) is tuple and all(r.saved is not None for r in reachable([x.edge[0]]))


def record_backward(roots: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Tensor | None]]:
    """Record the backward pass of results that have one: return its cotangents, its leaves and their gradients."""
    if not roots:
        return [], [], []
    cotangents = [wrap(np.zeros_like(x.spec.empty())) for x in roots]
    for cotangent in cotangents:
        cotangent.name = "cotangent"
    leaves: dict[int, Tensor] = {}
    for record in reachable([x.edge[0] for x in roots]):
        for edge, needed in zip(record.edges, record.mask, strict=True):
            if needed and isinstance(edge, Tensor):
                leaves[id(edge)] = edge
    targets = list(leaves.values())
    hooks = [leaf.hooks for leaf in targets]
    for leaf in targets:
        leaf.hooks = None  # they run when the gradient arrives at the leaf, outside
    try:
        return cotangents, targets, reverse.sweep(roots, cotangents, targets, retain_graph=True)
    finally:
        for leaf, before in zip(targets, hooks, strict=True):
            leaf.hooks = before
