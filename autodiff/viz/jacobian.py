"""The derivative of one operation, from its own vjp."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff import reverse
from autodiff.eager import wrap
from autodiff.errors import GradientError, ValueRangeError
from autodiff.program import Record
from autodiff.spec import Array
from autodiff.thread_mode import MODE

MOST = 1_000_000


def jacobian(record: Record | None, input: int = 0, output: int = 0) -> Array:
    """Return the derivative of an operation's output with respect to its input; see `Node.jacobian`."""
    if record is None:
        raise GradientError("jacobian", "this node is no single operation", fix="ask a node that shows one")
    line = record.line
    places = f"{record.name} has {len(record.inputs)} inputs and {len(record.outputs)} outputs"
    if not (0 <= input < len(record.inputs) and 0 <= output < len(record.outputs)):
        raise ValueRangeError("jacobian", "there is no such input or output", expected=places,
                              got=f"input {input}, output {output}", line=line)  # fmt: skip
    if not any(record.mask):
        raise GradientError("jacobian", f"nothing that {record.name} reads requires a gradient, so it saved nothing",
                            fix="draw it with inputs that do: x.requires_grad_()", line=line)  # fmt: skip
    if not record.mask[input] or not record.outputs[output].floating:
        raise GradientError("jacobian", f"no gradient flows through {record.name} from output {output} to input "
                            f"{input}", fix=_other_ways(record, output), line=line)  # fmt: skip
    if record.saved is None:
        raise GradientError("jacobian", f"what {record.name} has saved was freed by a backward pass", line=line,
                            fix="draw the forward pass alone, or call backward(retain_graph=True)")  # fmt: skip
    made, read = record.outputs[output], record.inputs[input]
    if made.size * read.size > MOST:
        raise ValueRangeError("jacobian", "it would be too large", expected=f"at most {MOST:,} elements", line=line,
                              got=f"{made.size:,} x {read.size:,}", fix="ask a smaller operation")  # fmt: skip
    rows = np.zeros((made.size, read.size), made.dtype)
    grad, MODE.grad = MODE.grad, False
    try:
        for i in range(made.size):
            cotangents: list[Any] = [None] * len(record.outputs)
            unit = np.zeros(made.size, made.dtype)
            unit[i] = 1
            cotangents[output] = wrap(unit.reshape(made.shape))
            vjp = record.primitive.vjp
            gradients = reverse.through_twin(record, cotangents) if vjp is None else vjp(record, *cotangents)
            gradient = gradients[input]
            if gradient is not None:
                rows[i] = gradient.array.reshape(-1)
    finally:
        MODE.grad = grad
    return rows.reshape(*made.shape, *read.shape)


def _other_ways(record: Record, output: int) -> str:
    """Return what to ask instead of a derivative that there is not."""
    if not record.outputs[output].floating:
        return "ask for an output of floating-point numbers"
    behind = f", {output}" if output else ""
    others = [f"jacobian({place}{behind})" for place, wanted in enumerate(record.mask) if wanted]
    return ", or ask ".join(["let the input require a gradient", *([" or ".join(others)] if others else [])])
