"""A chain of element-wise operations as one operation: one pass over memory.

A step is named like the operation it stands for, and rounds its result as that does. So the outputs have the same bits
as those of the steps run one after the other, which is the twin: it differentiates the chain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.bind import bind
from autodiff.errors import ShapeError, ValueRangeError
from autodiff.ops import strided
from autodiff.ops.samples import spread
from autodiff.primitive import OPERATIONS, ErrorSample, Operation, Primitive, Sample, define
from autodiff.spec import Cost, Spec, moved

__all__: list[str] = []

# Name of the operation, its parameters, its operands: the inputs of the chain are numbered first, then its steps.
Step = tuple[str, tuple[tuple[str, Any], ...], tuple[int, ...]]
Steps = tuple[Step, ...]


def fusable(operation: Operation | None) -> bool:
    """Return whether an operation can be a step: it is element-wise, and its formula holds for all operands."""
    formula = operation.formula if isinstance(operation, Primitive) else None
    return formula is not None and formula not in kernels.elementwise.PARTIAL


def _primitive(name: str) -> Primitive:
    operation = OPERATIONS.get(name)
    if not isinstance(operation, Primitive) or not fusable(operation):
        raise ValueRangeError("fused", "this operation cannot be a step",
                              expected="an element-wise operation whose formula holds everywhere", got=repr(name))
    return operation


def _values(inputs: tuple[Any, ...], steps: Steps, apply: Callable[..., Any]) -> list[Any]:
    """Return the results of all steps; `apply` gets a primitive, its operands and its parameters."""
    values = list(inputs)
    for name, params, operands in steps:
        if not all(0 <= k < len(values) for k in operands):
            raise ValueRangeError("fused", f"an operand of '{name}' is neither an input nor an earlier step",
                                  expected=f"0 to {len(values) - 1}", got=str(operands))
        values.append(apply(_primitive(name), *[values[k] for k in operands], **dict(params)))
    return values[len(inputs) :]


def _infer_step(primitive: Primitive, *operands: Spec, **params: Any) -> Any:
    return primitive.infer(*operands, **params)


def _infer(*inputs: Spec, steps: Steps, results: tuple[int, ...]) -> tuple[Spec, ...]:
    specs = _values(inputs, steps, _infer_step)
    outputs = tuple(specs[i] for i in results)
    shape = strided.broadcast("fused", *inputs)
    if any(spec.shape != shape for spec in outputs):
        raise ShapeError("fused", "a result does not have the shape of the chain", expected=str(shape),
                         got=" and ".join(str(spec.shape) for spec in outputs))
    return outputs


def _prepare(
    inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], steps: Steps, results: tuple[int, ...]
) -> Callable[..., None]:
    out = outputs[0]
    if out.size == 0:
        return strided.nothing
    specs = _values(inputs, steps, _infer_step)
    formulas = tuple(
        (str(_primitive(name).formula), operands, spec.dtype.name)
        for (name, _, operands), spec in zip(steps, specs, strict=True)
    )
    numbers = frozenset(k for k, spec in enumerate(inputs) if spec.size == 1 < out.size)
    arrays = [spec for k, spec in enumerate(inputs) if k not in numbers]
    walk = kernels.elementwise.plan(
        out.shape, out.strides, [(spec.shape, spec.strides) for spec in (*outputs[1:], *arrays)]
    )
    kernel = kernels.elementwise.fused(formulas, results, len(inputs), numbers)
    return strided.run_along(walk, kernel, *outputs, *inputs)


def _cost(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], steps: Steps, results: tuple[int, ...]) -> Cost:
    specs = _values(inputs, steps, _infer_step)
    known = (*inputs, *specs)
    flops = sum(
        _primitive(name).cost(tuple(known[k] for k in operands), (spec,), **dict(params)).flops
        for (name, params, operands), spec in zip(steps, specs, strict=True)
    )
    return Cost(flops, moved(*inputs, *outputs))


def _twin(*inputs: Any, steps: Steps, results: tuple[int, ...]) -> tuple[Any, ...]:
    values = _values(inputs, steps, bind)
    return tuple(values[i] for i in results)


def _samples() -> list[Sample]:
    x, y, z = spread(-2, 2, 3, 5), spread(-1, 3, 5), spread(0.5, 2, 3, 1)
    image = spread(-2, 2, 2, 2, 3, 3).transpose(0, 3, 1, 2)
    number = np.full((), 0.3, np.float32)
    gate: Steps = (("sigmoid", (), (0,)), ("tanh", (), (1,)), ("mul", (), (3, 4)), ("sub", (), (2, 5)))
    norm: Steps = (("sub", (), (0, 1)), ("mul", (), (3, 2)), ("relu", (), (4,)))
    chosen: Steps = (("gt", (), (0, 1)), ("mul", (), (0, 2)), ("where", (), (3, 4, 1)))
    dropped: Steps = (("copy", (("dtype", np.dtype(np.float32)), ("order", None)), (1,)), ("mul", (), (0, 3)),
                      ("mul", (), (4, 2)))
    wide: Steps = (("copy", (("dtype", np.dtype(np.float64)), ("order", None)), (0,)), ("exp", (), (1,)),
                   ("copy", (("dtype", np.dtype(np.float32)), ("order", None)), (2,)))
    gradients: Steps = (("tanh_grad", (), (0, 1)), ("gelu_grad", (), (2, 1)), ("add", (), (3, 0)))
    return [
        Sample(x, x[::-1], y, steps=gate, results=(3,)),
        Sample(x, x[::-1], y, steps=gate, results=(3, 0, 2)),
        Sample(x, y, z, steps=norm, results=(0, 2)),
        Sample(image, spread(-1, 1, 3, 1, 1), image[::-1], steps=norm, results=(1, 2)),
        Sample(image, -np.ascontiguousarray(image), image, steps=norm, results=(2,)),
        Sample(spread(-2, 2, 6, 8)[::2, ::-2], number, spread(-1, 1, 4), steps=norm, results=(0, 2)),
        Sample(x, number, z, steps=chosen, results=(0, 2)),
        Sample(number, -number, number, steps=norm, results=(2,)),
        Sample(x[:0], y, number, steps=norm, results=(2, 0)),
        Sample(x, x[::-1] > 0, number, steps=dropped, results=(2,), gradient=False),
        Sample(x, steps=wide, results=(2,), gradient=False),
        Sample(x, x[:, ::-1], steps=gradients, results=(0, 2)),
        Sample(x.astype(np.float64), y.astype(np.float64), z.astype(np.float64), steps=norm, results=(0, 2)),
        Sample(np.array([[7, -7], [3, -3]]), np.array([2, 5]), np.array([[1], [2]]), steps=norm, results=(2,)),
    ]


def _errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [
        ErrorSample(Sample(x, steps=(("sum", (), (0,)),), results=(0,)), ValueRangeError, "cannot be a step.*'sum'"),
        ErrorSample(Sample(x, steps=(("sin", (), (0,)),), results=(0,)), ValueRangeError, "cannot be a step.*'sin'"),
        ErrorSample(Sample(x, steps=(("add", (), (0, 1)),), results=(0,)), ValueRangeError, "neither an input nor"),
        ErrorSample(Sample(x, x[0], steps=(("relu", (), (1,)),), results=(0,)), ShapeError, "the shape of the chain"),
        ErrorSample(Sample(x, x[:, :2], steps=(("add", (), (0, 1)),), results=(0,)), ShapeError, "do not broadcast"),
    ]


# Parameters: `steps`, and `results`, the numbers of the steps that have outputs.
fused_p: Primitive = define(
    "fused", infer=_infer, run=strided.nothing, prepare=_prepare, vjp=None, twin=_twin, cost=_cost, samples=_samples,
    errors=_errors,
)
