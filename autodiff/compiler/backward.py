"""The backward pass of what a function returns: it runs outside, and is recorded with the function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from autodiff import reverse
from autodiff.eager import Tensor, wrap
from autodiff.program import reachable


def has_history(x: Tensor) -> bool:
    """Return whether the backward pass of a result has still to run."""
    return x.needs_grad and type(x.edge) is tuple and all(r.saved is not None for r in reachable([x.edge[0]]))


class Backward(NamedTuple):
    """The backward pass of results.

    Attributes:
        cotangents: what it starts from.
        leaves: in the order in which their gradients arrive.
        gradients: one a leaf, None where none arrives.
        sources: for each leaf the results, by number, that lead back to it.
    """

    cotangents: Sequence[Tensor] = ()
    leaves: Sequence[Tensor] = ()
    gradients: Sequence[Tensor | None] = ()
    sources: Sequence[set[int]] = ()


def record_backward(roots: Sequence[Tensor]) -> Backward:
    """Run the backward pass of results that have one, while it is recorded."""
    if not roots:
        return Backward()
    cotangents = [wrap(np.zeros_like(x.spec.empty())) for x in roots]
    for cotangent in cotangents:
        cotangent.name = "cotangent"
    leaves = [*_leaves_of(roots).values()]
    sources: dict[int, set[int]] = {id(leaf): set() for leaf in leaves}
    for number, root in enumerate(roots):
        for key in _leaves_of([root]):
            sources[key].add(number)
    hooks = [leaf.hooks for leaf in leaves]
    for leaf in leaves:
        leaf.hooks = None  # they run when the gradient arrives at the leaf, outside
    try:
        gradients = reverse.sweep(roots, cotangents, leaves, retain_graph=True)
    finally:
        for leaf, before in zip(leaves, hooks, strict=True):
            leaf.hooks = before
    return Backward(cotangents, leaves, gradients, [sources[id(leaf)] for leaf in leaves])


def _leaves_of(roots: Sequence[Tensor]) -> dict[int, Tensor]:
    """Return the leaves that results lead back to, by id, in the order in which a sweep comes to them."""
    leaves: dict[int, Tensor] = {}
    for record in reversed(reachable([x.edge[0] for x in roots])):
        for edge, needed in zip(record.edges, record.tracked, strict=True):
            if needed and isinstance(edge, Tensor):
                leaves.setdefault(id(edge), edge)
    return leaves
