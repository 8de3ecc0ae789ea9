"""The backward sweep: a reversed loop over the records, calling vjps, which call `bind`.

There is only this one. `Tensor.backward`, `autograd.grad`, second derivatives and operations that have only a composed
twin all come through `sweep`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff import ops
from autodiff.bind import bind, rebase
from autodiff.errors import GradientError
from autodiff.ops.structural import slice_p
from autodiff.program import Record, call_hook, reachable
from autodiff.program_recorder import Recorder
from autodiff.thread_mode import MODE


def sweep(
    outputs: Sequence[Any], cotangents: Sequence[Any], targets: Sequence[Any] | None, *,
    create_graph: bool = False, retain_graph: bool = False,
) -> list[Any]:
    """Propagate `cotangents` from `outputs` backward.

    Args:
        outputs: tensors that require a gradient.
        cotangents: one tensor each, of the output's shape.
        targets: tensors to return the gradients of; None collects into the `.grad` of every leaf that is reached.
        create_graph: record the sweep itself, for higher derivatives.
        retain_graph: keep the saved tensors for another sweep.

    Returns:
        The targets' gradients, None for a target that was not reached; an empty list without targets.

    Leaves receive their gradients after the whole sweep, so an error on the way leaves every `.grad` as it was.
    """
    mode = MODE
    in_place = not create_graph
    recorder = mode.recorder
    pending: dict[Record, list[Any]] = {}
    arrived: dict[int, Any] = {}      # id of a leaf -> its gradient so far
    leaves: dict[int, Any] = {}
    owned: dict[int, bool] = {}       # whether nobody else looks at that gradient's memory
    sums: set[Any] = set()            # edges, and ids of leaves, whose gradient was added up here: it is ours to change
    wanted: dict[Any, Any] = {}       # edge of a target that is not a leaf -> its gradient
    collected: set[int] | None = None if targets is None else set()  # ids of the leaves to collect; None: all
    for target in targets or ():
        if type(target.edge) is tuple:
            wanted[target.edge] = None
        elif collected is not None:
            collected.add(id(target if target.edge is None else target.edge))

    def joined(before: Any, cotangent: Any, ours: bool) -> Any:
        """Add a cotangent to a sum, in its memory where that is ours and has no history."""
        return ops.add_(before, cotangent) if ours and in_place else ops.add(before, cotangent)

    def joins_part(record: Record, cotangent: Any) -> bool:
        """Add the cotangent of a slice to that place of a sum that is ours, instead of making zeros around it."""
        edge = record.edges[0]
        key: Any = edge
        if type(edge) is tuple:
            slots = pending.get(edge[0])
            whole = None if slots is None else slots[edge[1]]
        else:
            key = id(edge)
            whole = arrived.get(key)
        if whole is None:
            sums.add(key)  # what is delivered now is the first, made by this slice
            return False
        if key not in sums:
            return False
        shared = whole.memory.shared
        part = bind(slice_p, whole, **record.params)
        ops.add_(part, cotangent)
        if recorder is not None:
            part.base = whole
            rebase(part, None)  # the sum has changed with it
        whole.memory.shared = shared  # no one keeps that view
        return True

    def deliver(edge: Any, cotangent: Any, sources: Sequence[Any]) -> None:
        """Add a cotangent to what has arrived at a record or a leaf; `sources` are those it was made from."""
        if type(edge) is tuple:
            record, index = edge
            slots = pending.get(record)
            if slots is None:
                pending[record] = slots = [None] * len(record.outputs)
            if slots[index] is None:
                slots[index] = cotangent
            else:
                slots[index] = joined(slots[index], cotangent, edge in sums)
                sums.add(edge)
            return
        key = id(edge)
        if collected is not None and key not in collected:
            return
        before = arrived.get(key)
        if before is not None:
            arrived[key] = joined(before, cotangent, key in sums)
            sums.add(key)
            owned[key] = True
            return
        leaves[key] = edge
        arrived[key] = cotangent
        fresh = not cotangent.memory.shared
        for other in sources:
            if other is cotangent:
                fresh = False
        owned[key] = fresh

    for output, cotangent in zip(outputs, cotangents, strict=True):
        deliver(output if output.edge is None else output.edge, cotangent, (cotangent,))
    tape = reachable(list(pending))
    ways = _leading_to(tape, targets) if targets is not None else None

    grad, origin, wanted_before, phase, anomaly = mode.grad, mode.origin, mode.wanted, mode.phase, mode.anomaly
    mode.grad = create_graph
    mode.phase = "backward"
    try:
        while tape:
            record = tape.pop()
            slots = pending.pop(record, None)
            if slots is None:
                continue
            mode.origin, mode.wanted = record, None
            if record.hooks is not None:
                slots = _run_hooks(record, slots)
            if recorder is not None:
                _tell(recorder, [((record, index), cotangent) for index, cotangent in enumerate(slots)])
            if wanted:
                for index, cotangent in enumerate(slots):
                    if cotangent is not None and (record, index) in wanted:
                        wanted[record, index] = cotangent
            mask = record.tracked
            if ways is not None:
                if record not in ways:
                    continue
                mode.wanted = mask = ways[record]
            if in_place and record.primitive is slice_p and joins_part(record, slots[0]):
                continue
            vjp = record.primitive.vjp
            gradients = vjp(record, *slots) if vjp is not None else through_twin(record, slots)
            if anomaly:
                _refuse_nan(record, slots, gradients)
            for edge, needed, gradient in zip(record.edges, mask, gradients, strict=True):
                if needed and gradient is not None:
                    if type(edge) is tuple and edge[0] not in pending and len(edge[0].outputs) == 1:
                        pending[edge[0]] = [gradient]  # what `deliver` does in by far the most cases
                    else:
                        deliver(edge, gradient, slots)
            if record.saved and not retain_graph:
                record.saved = None
        mode.origin = None
        for key, gradient in arrived.items():
            for hook in tuple(leaves[key].hooks or ()):
                owned[key] = False  # the hook may keep it
                replaced = call_hook(hook, gradient)
                if replaced is not None:
                    arrived[key] = gradient = replaced
        if recorder is not None:
            _tell(recorder, [(leaves[key], gradient) for key, gradient in arrived.items()])
        if targets is None:
            for key, gradient in arrived.items():
                accumulate(leaves[key], gradient, owned[key] and not create_graph)
            return []
    finally:
        mode.grad, mode.origin, mode.wanted, mode.phase = grad, origin, wanted_before, phase
    return [wanted[t.edge] if type(t.edge) is tuple else arrived.get(id(t if t.edge is None else t.edge))
            for t in targets]


def backward(
    outputs: Sequence[Any], cotangents: Sequence[Any], inputs: Sequence[Any] | None, *,
    create_graph: bool, retain_graph: bool,
) -> None:  # fmt: skip
    """Sweep as above, and add the gradients of `inputs`, each once, to their `.grad`; None: of all leaves reached.

    Raises:
        GradientError: if there are no inputs.
    """
    if inputs is not None and not inputs:
        raise GradientError("backward", "inputs is empty", expected="at least one tensor",
                            fix="leave inputs out to get the gradients of all leaves")
    targets = None if inputs is None else tuple(dict.fromkeys(inputs))
    found = sweep(outputs, cotangents, targets, create_graph=create_graph, retain_graph=retain_graph)
    for target, gradient in zip(targets or (), found, strict=True):
        if gradient is not None:
            accumulate(target, gradient, False)


def _tell(recorder: Recorder, gradients: Sequence[tuple[Any, Any]]) -> None:
    """Tell a recorder what is the gradient of what."""
    for edge, gradient in gradients:
        if gradient is not None:
            recorder.arrived(edge, gradient)


def _leading_to(tape: list[Record], targets: Sequence[Any]) -> dict[Record, tuple[bool, ...]]:
    """Return the records whose gradients some target needs, and which of their inputs lead to one."""
    leaves = {id(t if t.edge is None else t.edge) for t in targets if type(t.edge) is not tuple}
    edges = {target.edge for target in targets if type(target.edge) is tuple}
    ways: dict[Record, tuple[bool, ...]] = {}
    for record in tape:
        mask = tuple([
            tracked and (edge[0] in ways or edge in edges if type(edge) is tuple else id(edge) in leaves)
            for edge, tracked in zip(record.edges, record.tracked, strict=True)
        ])  # fmt: skip
        if True in mask:
            ways[record] = mask
    return ways


def _refuse_nan(record: Record, slots: Sequence[Any], gradients: Sequence[Any]) -> None:
    """Raise if a gradient that an operation returned has NaN.

    Raises:
        GradientError: names the operation, the input and the line.
    """
    for position, gradient in enumerate(gradients):
        if gradient is None or not gradient.spec.floating or not np.isnan(gradient.array).any():
            continue
        came = any(c is not None and np.isnan(c.array).any() for c in slots)
        raise GradientError(
            record.name,
            f"the gradient of its input {position} has NaN"
            + (", and so has what the backward pass started from" if came else ", the first in this backward pass"),
            got=f"{int(np.isnan(gradient.array).sum())} of {gradient.spec.size} elements, shape {gradient.spec.shape}"
            + (f", in the module {record.scope}" if record.scope else ""),
            fix="look for 0 / 0, infinity * 0 and roots or logarithms of 0 in this line and behind it",
            line=record.line,
        )


def _run_hooks(record: Record, slots: list[Any]) -> list[Any]:
    """Let the hooks on this record's outputs see, and replace, the cotangents."""
    slots = list(slots)
    for index, hooks in (record.hooks or {}).items():
        for hook in list(hooks):
            if slots[index] is not None:
                replaced = call_hook(hook, slots[index])
                if replaced is not None:
                    replaced.memory.shared = True
                    slots[index] = replaced
    return slots


def through_twin(record: Record, slots: Sequence[Any]) -> list[Any]:
    """Differentiate an operation that has no vjp: run its twin under recording, and sweep that.

    Args:
        record: the operation.
        slots: the gradients of its outputs, None where there is none.

    Returns:
        The gradients of its inputs, None where none is wanted.
    """
    mode = MODE
    create_graph = mode.grad
    twin = record.primitive.twin
    assert twin is not None
    inputs = [record.input(i) for i in range(len(record.inputs))]
    mode.grad = True
    try:
        for position, needed in enumerate(record.mask):
            # The inner sweep ends at these tensors. With `create_graph` they are one record away from the inputs, so
            # that the outer history goes on behind them.
            if create_graph:
                inputs[position] = ops.alias(inputs[position])
            else:
                inputs[position].needs_grad = needed
        results = twin(*inputs, **record.params)
        results = results if isinstance(results, tuple) else (results,)
        pairs = [(r, c) for r, c in zip(results, slots, strict=True) if c is not None and r.needs_grad]
        targets = [x for x, needed in zip(inputs, record.mask, strict=True) if needed]
        found = iter(sweep([r for r, _ in pairs], [c for _, c in pairs], targets, create_graph=create_graph,
                           retain_graph=create_graph))
    finally:
        mode.grad = create_graph
    return [next(found) if needed else None for needed in record.mask]


def accumulate(leaf: Any, gradient: Any, owned: bool) -> None:
    """Add a gradient to `leaf.grad`; memory that nobody else looks at becomes the `.grad` without a copy."""
    if leaf.grad is None:
        keep = owned and gradient.spec is leaf.spec
        leaf.grad = gradient if keep else ops.copied(gradient, leaf.spec.order or tuple(range(leaf.spec.ndim)))
    elif MODE.grad:
        leaf.grad = ops.add(leaf.grad, gradient)
    else:
        ops.add_(leaf.grad, gradient)
    for hook in tuple(leaf.accumulate_hooks or ()):
        call_hook(hook, leaf)
