"""An operation and what follows it, element by element, as one operation: the result is finished in the cache.

    activation(residual + scale * result)

Every step rounds its result as the operation that it is named after does. So the outputs have the same bits as those of
the operations run one after the other, which is the twin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import autodiff_kernels as kernels
from autodiff.bind import bind
from autodiff.errors import ShapeError, ValueRangeError
from autodiff.ops import convolution_samples
from autodiff.ops.samples import spread
from autodiff.ops.structural import reshape
from autodiff.primitive import OPERATIONS, EachPart, ErrorSample, Operation, Primitive, Sample, Tail, define
from autodiff.spec import Cost, Shape, Spec, moved

__all__: list[str] = []

# Name of an operation and its parameters; names of what follows.
First = tuple[str, tuple[tuple[str, Any], ...]]
Steps = tuple[str, ...]

NO_STEP, SCALE, RESIDUAL, ACTIVATION = range(-1, 3)  # steps may follow in this order, each once at most

PRODUCTS = ("matmul", "linear", "matvec")  # of their result they know where it begins, and no more


def leads(operation: Operation | None) -> bool:
    """Return whether an operation can be followed by steps: it has an epilogue, and meets no bad values."""
    return isinstance(operation, Primitive) and operation.epilogue is not None and operation.status is None


def kind(operation: Operation | None) -> int:
    """Return which step an operation can be."""
    if isinstance(operation, Primitive) and operation.formula in kernels.epilogue.ACTIVATIONS:
        return ACTIVATION
    return NO_STEP if operation is None else {"mul": SCALE, "add": RESIDUAL}.get(operation.name, NO_STEP)


def in_order(kinds: Sequence[int]) -> bool:
    """Return whether an operation may be followed by steps of these kinds."""
    return NO_STEP not in kinds and list(kinds) == sorted(set(kinds)) != []


def fits(step: int, operand: Spec, result: Spec) -> bool:
    """Return whether the other operand of a step is one number, or a tensor that lies like the result."""
    if step == RESIDUAL:
        return operand is result
    return operand.size == 1 and operand.ndim <= result.ndim and operand.dtype == result.dtype


def accumulates(first: Primitive, inputs: Sequence[Spec]) -> bool:
    """Return whether the residual may be the memory of the result: a product's, whose sums are never left there."""
    return first.name in PRODUCTS and inputs[0].shape[-1] <= kernels.matmul.STRETCH


def is_seen(first: Primitive, result: Spec, view: Spec) -> bool:
    """Return whether steps may follow a view that holds the same elements in the same order."""
    alike = (result.contiguous, result.size, result.dtype) == (view.contiguous, view.size, view.dtype)
    return first.name in PRODUCTS and result.contiguous and alike


def wiring(inputs: int, outputs: int, params: Mapping[str, Any]) -> tuple[list[tuple[int, ...]], list[int]]:
    """Return what each part of an operation `fused` or `followed` reads, and which part makes each output.

    Inputs of the operation are numbered first, then the results of its parts.
    """
    steps = params["steps"]
    if "results" in params:
        return [operands for _, _, operands in steps], list(params["results"])
    kinds = [kind(OPERATIONS.get(step)) for step in steps]
    others = iter(range(inputs - sum(step != ACTIVATION for step in kinds), inputs))
    read = [(inputs + k,) if step == ACTIVATION else (inputs + k, next(others)) for k, step in enumerate(kinds)]
    return [tuple(range(inputs - sum(len(pair) - 1 for pair in read))), *read], [len(steps), *[0] * (outputs - 1)]


class _Parts(NamedTuple):
    """The operation with its parameters and inputs, the steps, and the other operands of scale and residual."""

    first: Primitive
    params: dict[str, Any]
    own: tuple[Any, ...]
    steps: tuple[Primitive, ...]
    others: tuple[Any, ...]


def _parts(inputs: tuple[Any, ...], first: First, steps: Steps) -> _Parts:
    name, params = first
    leader, followers = OPERATIONS.get(name), [OPERATIONS.get(step) for step in steps]
    if not leads(leader):
        raise ValueRangeError("followed", "nothing can follow this operation", expected="an operation with an epilogue",
                              got=repr(name))
    kinds = [kind(follower) for follower in followers]
    if not in_order(kinds):
        raise ValueRangeError("followed", "these steps cannot follow",
                              expected="'mul' by a number, 'add' and one activation, in this order and each at most "
                                       "once", got=repr(steps))
    begin = len(inputs) - sum(step != ACTIVATION for step in kinds)
    return _Parts(leader, dict(params), inputs[:begin], tuple(followers), inputs[begin:])  # type: ignore[arg-type]


def _infer(*inputs: Spec, first: First, steps: Steps, shape: Shape | None = None) -> Spec | Sequence[Spec]:
    parts = _parts(inputs, first, steps)
    outputs: Spec | Sequence[Spec] = parts.first.infer(*parts.own, **parts.params)
    result = outputs if isinstance(outputs, Spec) else outputs[0]
    if shape is not None:
        seen = Spec.of(shape, result.dtype)
        if not is_seen(parts.first, result, seen):
            raise ShapeError("followed", "the result cannot be seen in this shape", got=str(shape),
                             expected=f"{result.size} elements of a product")
        result = seen
    for step, operand in zip(map(kind, parts.steps), parts.others, strict=False):
        if not fits(step, operand, result):
            what, expected = "this is no number to multiply by", f"one {result.dtype.name}"
            if step == RESIDUAL:
                what, expected = "the tensor that is added lies otherwise than the result", repr(result)
            raise ShapeError("followed", what, expected=expected, got=repr(operand))
    return result if isinstance(outputs, Spec) else (result, *outputs[1:])


def _prepare(
    inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], first: First, steps: Steps, shape: Shape | None = None
) -> Callable[..., None]:
    parts = _parts(inputs, first, steps)
    at = dict(zip(map(kind, parts.steps), range(len(parts.own), len(inputs)), strict=False))
    last = parts.steps[-1]
    activation = kernels.epilogue.ACTIVATIONS[last.formula] if kind(last) == ACTIVATION else kernels.epilogue.NONE
    tail = Tail(activation, at.get(SCALE), at.get(RESIDUAL))
    assert parts.first.epilogue is not None
    prepared = parts.first.epilogue(parts.own, outputs, tail, **parts.params)
    return prepared if callable(prepared) else partial(parts.first.run, **prepared)


def _scratch(
    inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], first: First, steps: Steps, shape: Shape | None = None
) -> Sequence[Spec | EachPart]:
    parts = _parts(inputs, first, steps)
    return parts.first.scratch(parts.own, outputs, **parts.params) if parts.first.scratch else ()


def _cost(
    inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], first: First, steps: Steps, shape: Shape | None = None
) -> Cost:
    parts = _parts(inputs, first, steps)
    cost, result = parts.first.cost(parts.own, outputs, **parts.params), outputs[0]
    each = [step.cost((result,), (result,)).flops for step in parts.steps]
    return Cost(cost.flops + sum(each), cost.bytes + moved(*parts.others))


def _twin(*inputs: Any, first: First, steps: Steps, shape: Shape | None = None) -> Any:
    parts = _parts(inputs, first, steps)
    results = bind(parts.first, *parts.own, **parts.params)
    value, *rest = results if isinstance(results, tuple) else (results,)
    value = value if shape is None else reshape(value, shape)
    others = iter(parts.others)
    for step in parts.steps:
        value = bind(step, value) if kind(step) == ACTIVATION else bind(step, value, next(others))
    return (value, *rest) if isinstance(results, tuple) else value


def _samples() -> list[Sample]:
    number = np.full((), 0.3, np.float32)
    matmul, linear, matvec = (("matmul", ()), ("linear", ()), ("matvec", ()))
    x, weight, bias, r = spread(-1, 1, 5, 3), spread(-1, 1, 4, 3), spread(-1, 1, 4), spread(-2, 2, 5, 4)
    doubles = [array.astype(np.float64) for array in (x, weight, bias, number, r)]
    image = spread(-1, 1, 2, 3, 4)
    return [
        *[Sample(x, weight, bias, first=linear, steps=(name,))
          for name in ("relu", "gelu", "gelu_tanh", "tanh", "sigmoid", "silu")],
        Sample(x, weight, bias, number, r, first=linear, steps=("mul", "add", "tanh")),
        Sample(*doubles, first=linear, steps=("mul", "add", "silu")),
        Sample(*doubles[:2], first=linear, steps=("gelu",)),
        Sample(x, weight, r, first=linear, steps=("add", "sigmoid")),
        Sample(image, spread(-1, 1, 5, 4), spread(-1, 1, 2, 3, 5), first=linear, steps=("add",)),
        Sample(x[0], weight, number, first=linear, steps=("mul", "relu")),
        Sample(x[:1], weight, bias, r[:1], first=linear, steps=("add", "gelu")),
        Sample(x, weight.T, number, r, first=matmul, steps=("mul", "add")),
        Sample(x.T, r, spread(-1, 1, 3, 4), first=matmul, steps=("add", "relu")),
        Sample(image, spread(-1, 1, 2, 4, 2), number, first=matmul, steps=("mul", "tanh")),
        Sample(image, image.transpose(0, 2, 1), spread(-1, 1, 2, 3, 3), first=matmul, steps=("add",)),
        Sample(x[:, :1], weight[:1], spread(-1, 1, 5, 3), first=matmul, steps=("add", "sigmoid")),
        Sample(spread(-1, 1, 9, 40), spread(-1, 1, 40, 35), number, first=matmul, steps=("mul", "gelu")),
        Sample(x, np.ones((3, 1), np.float32), number, first=matmul, steps=("mul", "silu")),
        Sample(x, x[0], spread(-1, 1, 5), first=matvec, steps=("add", "tanh")),
        Sample(x[:, :0], weight[:, :0], bias, r, first=linear, steps=("add", "relu")),
        Sample(x[:, :0], weight.T[:0], number, r, first=matmul, steps=("mul", "add")),
        Sample(x[:0], weight, bias, r[:0], first=linear, steps=("add", "tanh")),
        Sample(x, weight.T, r.reshape(5, 2, 2), first=matmul, steps=("add", "relu"), shape=(5, 2, 2)),
        *convolution_samples.followed_samples(),
    ]


def _errors() -> list[ErrorSample]:
    x, y = np.ones((2, 3), np.float32), np.ones((3, 4), np.float32)
    matmul = ("matmul", ())
    return [
        ErrorSample(Sample(x, first=("sum", ()), steps=("relu",)), ValueRangeError, "nothing can follow.*'sum'"),
        ErrorSample(Sample(x, y, first=matmul, steps=("exp",)), ValueRangeError, "cannot follow.*'exp'"),
        ErrorSample(Sample(x, y, first=matmul, steps=()), ValueRangeError, "cannot follow"),
        ErrorSample(Sample(x, y, x, first=matmul, steps=("relu", "add")), ValueRangeError, "in this order"),
        ErrorSample(Sample(x, y, y, first=matmul, steps=("mul",)), ShapeError, "no number"),
        ErrorSample(Sample(x, y, y, first=matmul, steps=("add",)), ShapeError, "lies otherwise"),
        ErrorSample(Sample(x, y, np.ones((4, 2), np.float32).T, first=matmul, steps=("add",)), ShapeError,
                    "lies otherwise"),
        ErrorSample(Sample(x, x, x, first=matmul, steps=("add",)), ShapeError, "inner sizes differ"),
        ErrorSample(Sample(x, y, first=matmul, steps=("relu",), shape=(2, 3)), ShapeError, "seen in this shape"),
    ]


def _unprepared(*_: Any) -> None:
    raise AssertionError


# Parameters: `first`; `steps`, names of operations; where they follow a view of the result, the `shape` of that.
# Inputs: those of the first operation, then the number that "mul" and the tensor that "add" takes.
followed_p: Primitive = define(
    "followed", infer=_infer, run=_unprepared, prepare=_prepare, scratch=_scratch, vjp=None, twin=_twin, cost=_cost,
    samples=_samples, errors=_errors,
)
