"""What a case must do at least, by the cost records of the operations that it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def cost(_: Any, run: Callable[[], Any]) -> dict[str, Any]:
    """Run a function once and return its flops, the bytes its operations move, and the bytes of all it touches.

    Applied in autodiff's worker. ``operand_bytes`` counts every array once, however many operations read it, and views
    not at all: it decides which level of the cache holds the case. ``itemsize`` is that of the largest floating-point
    array. Of a compiled function that has been recorded, ``instructions`` are the same of each that a replay runs.
    """
    from autodiff.program_columns import work_of
    from autodiff.recording import record

    program = record(run)
    arrays: dict[Any, Any] = {}
    for entry in program:
        for position, (operand, spec) in enumerate(zip(entry.operands, entry.inputs)):
            while type(operand) is tuple and copies_nothing(operand[0]):
                producer = operand[0]
                operand, spec = producer.operands[0], producer.inputs[0]
            if operand is None:  # a constant
                operand = (entry, -1 - position)
            arrays[operand if type(operand) is tuple else id(operand)] = spec
        if not copies_nothing(entry) and entry.phase != "update":  # an update overwrites what it reads
            arrays.update(((entry, index), spec) for index, spec in enumerate(entry.outputs))
    floating = [spec for spec in arrays.values() if spec.floating]
    return {
        "flops": sum(entry.cost.flops for entry in program),
        "bytes": sum(entry.cost.bytes for entry in program if not copies_nothing(entry)),
        "operand_bytes": sum(spec.nbytes for spec in arrays.values()),
        "itemsize": max(floating, key=lambda spec: spec.nbytes).dtype.itemsize if floating else 4,
        "instructions": [work for program in getattr(run, "programs", [])[:1] for entry in program
                         if not copies_nothing(entry) and (work := work_of(entry)) is not None],
    }


def copies_nothing(entry: Any) -> bool:
    """Tell whether a record stands for an array that was there: a view, or the base of a view that was changed.

    In a backward pass the latter, ``place``, is an operation like any other.
    """
    return bool(entry.primitive.view or (entry.name == "place" and entry.phase == "forward"))
