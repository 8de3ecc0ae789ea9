"""What a case must do at least, by the cost records of the operations that it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def cost(_: Any, run: Callable[[], Any]) -> dict[str, int]:
    """Run a function once and return its flops, the bytes its operations move, and the bytes of all it touches.

    Applied in autodiff's worker. ``operand_bytes`` counts every array once, however many operations read it, and views
    not at all: it decides which level of the cache holds the case. ``itemsize`` is that of the largest floating-point
    array.
    """
    from autodiff.recording import record

    program = record(run)
    arrays: dict[Any, Any] = {}
    for entry in program:
        for position, (operand, spec) in enumerate(zip(entry.operands, entry.inputs)):
            while type(operand) is tuple and operand[0].primitive.view:
                producer = operand[0]
                operand, spec = producer.operands[0], producer.inputs[0]
            if operand is None:  # a constant
                operand = (entry, -1 - position)
            arrays[operand if type(operand) is tuple else id(operand)] = spec
        if not entry.primitive.view and entry.phase != "update":  # an update overwrites what it reads
            arrays.update(((entry, index), spec) for index, spec in enumerate(entry.outputs))
    floating = [spec for spec in arrays.values() if spec.floating]
    total = program.cost()
    return {
        "flops": total.flops,
        "bytes": total.bytes,
        "operand_bytes": sum(spec.nbytes for spec in arrays.values()),
        "itemsize": max(floating, key=lambda spec: spec.nbytes).dtype.itemsize if floating else 4,
    }
