"""Products: of two vectors, matmul of every rank, linear layers and their gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, ShapeError
from autodiff.ops import strided
from autodiff.ops.broadcast import column_sums, expand, partial_sums, running_sums, sum_to
from autodiff.ops.broadcast import sum as total
from autodiff.ops.elementwise import mul, spread
from autodiff.ops.promotion import promote
from autodiff.ops.structural import contiguous, require_tensor, reshape, transpose, turned
from autodiff.primitive import EachPart, ErrorSample, Keep, Sample, Tail, define, no_errors
from autodiff.spec import Array, Cost, DType, Shape, Spec, moved

__all__ = ["dot", "linear", "matmul"]

_NO_BIAS = {np.dtype(t): np.empty(0, t) for t in (np.float32, np.float64)}


def no_bias(dtype: DType) -> Array:
    """Return the empty array that stands for a missing bias."""
    return _NO_BIAS[dtype]


def no_sums(dtype: DType) -> tuple[Array, Array]:
    """Return what a product gets where no sums of its left factor's rows are wanted."""
    return _NO_BIAS[dtype], _NO_BIAS[np.dtype(np.float64)]


def require_floats(operation: str, *specs: Spec) -> None:
    """Raise unless all specs have one and the same float dtype.

    Raises:
        DTypeError: names the dtypes.
    """
    if not specs[0].floating or any(spec.dtype != specs[0].dtype for spec in specs):
        raise DTypeError(operation, "the operands must have one float dtype", expected="float32 or float64 throughout",
                         got=" and ".join(spec.dtype.name for spec in specs),
                         fix="convert with x.float() or x.double()")


# ---- dot -------------------------------------------------------------------------------------------------------------


def _dot_infer(x: Spec, y: Spec) -> Spec:
    if x.ndim != 1 or y.ndim != 1:
        raise ShapeError("dot", "the operands have other numbers of dimensions", expected="two vectors",
                         got=f"{x.shape} and {y.shape}", fix="use matmul, which takes every rank")
    if x.shape != y.shape:
        raise ShapeError("dot", "the sizes do not fit", expected="equal sizes", got=f"{x.shape} and {y.shape}")
    return Spec.of((), x.dtype)


def _dot_prepare(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...]) -> Callable[..., None]:
    (out,), wide, compiled = outputs, partial_sums(inputs[0]).dtype, kernels.entry.compiled
    multiply = compiled(kernels.reduce.dot_partial, wide, *[spec.dtype for spec in inputs])
    combine = compiled(kernels.reduce.sum_combine, out.dtype, wide)

    def run(outs: Sequence[Array], ins: Sequence[Array]) -> None:
        multiply(outs[1], *ins, 0, 1)
        combine(*outs, 0, 1)

    return run


def _dot_vjp(record: Any, g: Any) -> tuple[Any, Any]:
    return (mul(g, record.input(1)) if record.mask[0] else None, mul(g, record.input(0)) if record.mask[1] else None)


dot_p = define(
    "dot",
    infer=_dot_infer,
    prepare=_dot_prepare,
    run=strided.nothing,
    scratch=lambda inputs, outputs: (partial_sums(inputs[0]),),
    vjp=_dot_vjp,
    saves=(Keep(inputs=(1,)), Keep(inputs=(0,))),
    cost=lambda inputs, outputs: Cost(2 * inputs[0].size, moved(*inputs, *outputs)),
    samples=lambda: [
        Sample(spread(-1, 1, 4), spread(-2, 2, 4)),
        Sample(spread(-1, 1, 8)[::2], spread(-2, 2, 4)),
        Sample(np.arange(3), np.arange(3)),
        Sample(spread(-1, 1, 0), spread(-1, 1, 0)),
        Sample(spread(-1, 1, 5000, dtype=np.float64), spread(-2, 2, 5000, dtype=np.float64), gradient=False),
    ],
    errors=lambda: [
        ErrorSample(Sample(np.ones(3, np.float32), np.ones((1, 3), np.float32)), ShapeError,
                    "other numbers of dimensions"),
        ErrorSample(Sample(np.ones(3, np.float32), np.ones(6, np.float32)), ShapeError, "do not fit"),
    ],
    call=lambda x, y: dot(x, y),
)


def dot(input: TensorT, tensor: Any) -> TensorT:
    """Return the scalar product of two vectors.

    Raises:
        ShapeError: if one is no vector, or their lengths differ.

    >>> import autodiff as ad
    >>> ad.dot(ad.tensor([1.0, 2.0]), ad.tensor([3.0, 4.0]))
    tensor(11.)
    """
    require_tensor("dot", input)
    require_tensor("dot", tensor)
    x, y = promote("dot", input, tensor)
    if x.spec.floating:
        return bind(dot_p, contiguous(x), contiguous(y))  # type: ignore[no-any-return]
    _dot_infer(x.spec, y.spec)
    return reshape(matmul(reshape(x, 1, -1), reshape(y, -1, 1)), ())  # type: ignore[no-any-return]


# ---- matmul ----------------------------------------------------------------------------------------------------------

# Batch dimensions merge into at most two, each with one stride an operand.
_Batch = tuple[tuple[int, int, int], tuple[int, int, int]]


def _merge_batch(a: Spec, b: Spec) -> _Batch | None:
    """Return two (size, stride of a, stride of b), outermost first; None where more dimensions are left."""
    batch = strided.broadcast("matmul", Spec.of(a.shape[:-2]), Spec.of(b.shape[:-2]))
    merged: list[tuple[int, int, int]] = []
    for axis in range(-len(batch), 0):
        size = batch[axis]
        if size == 1:
            continue
        step_a, step_b = (spec.strides[axis - 2] if spec.ndim - 2 >= -axis and spec.shape[axis - 2] != 1 else 0
                          for spec in (a, b))
        if merged and merged[-1][1] == step_a * size and merged[-1][2] == step_b * size:
            merged[-1] = (merged[-1][0] * size, step_a, step_b)
        else:
            merged.append((size, step_a, step_b))
    while len(merged) < 2:
        merged.insert(0, (1, 0, 0))
    return (merged[0], merged[1]) if len(merged) == 2 else None


def _product_infer(a: Spec, b: Spec) -> Spec:
    if a.shape[-1] != b.shape[-2]:
        raise ShapeError("matmul", "the inner sizes differ", expected=f"(..., {a.shape[-1]}) @ ({a.shape[-1]}, ...)",
                         got=f"{a.shape} @ {b.shape}", fix="transpose one of them, or check the layer's sizes")
    batch = strided.broadcast("matmul", Spec.of(a.shape[:-2]), Spec.of(b.shape[:-2]))
    return Spec.of((*batch, a.shape[-2], b.shape[-1]), a.dtype)


def _matmul_infer(a: Spec, b: Spec) -> Spec:
    require_floats("matmul", a, b)
    return _product_infer(a, b)


def _matmul_prepare(
    inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], tail: Tail | None = None
) -> Callable[..., None]:
    a, b = inputs
    if not outputs[0].size or (not a.size and tail is None):
        return _matmul_empty
    batch = _merge_batch(a, b)
    assert batch is not None, "matmul() copies operands whose batch dimensions do not merge"
    (outer, a_outer, b_outer), (inner, a_inner, b_inner) = batch
    sizes = (outer, inner, a.shape[-2], b.shape[-1], a.shape[-1])
    steps = (a_outer, a_inner, a.strides[-2], a.strides[-1], b_outer, b_inner, b.strides[-2], b.strides[-1])
    arguments, product = (*sizes, *steps, 0, 1), _product(a.dtype)
    missing, unsummed = _NO_BIAS[a.dtype], no_sums(a.dtype)
    if tail is None:
        alone = (missing, missing, missing, 0, *arguments)
        return lambda outs, ins: product(*outs, *unsummed, *ins, *alone)
    following = tail.arguments
    return lambda outs, ins: product(*outs, *unsummed, *ins[:2], missing, *following(ins, missing), *arguments)


def _product(dtype: DType) -> Callable[..., None]:
    """Return the kernel of products. Of the factors it takes the address of the first element only."""
    return kernels.entry.compiled(  # type: ignore[no-any-return]
        kernels.matmul.matmul, *[dtype] * 3, np.dtype(np.float64), *[dtype] * 5)


def _matmul_empty(outs: Sequence[Array], ins: Sequence[Array]) -> None:
    """The sum of no products is 0."""
    strided.fill_array(outs[0], 0)


def _scratch_size(m: int, n: int, k: int, a_row: int, b_column: int, dtype: DType) -> Spec:
    """Return the spec of the scratch of one part."""
    return Spec.of((kernels.matmul.matmul_scratch(m, n, k, a_row, b_column, dtype.itemsize, 1),), dtype)


def _matmul_scratch(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...]) -> tuple[EachPart, ...]:
    a, b = inputs
    return (EachPart(_scratch_size(a.shape[-2], b.shape[-1], a.shape[-1], a.strides[-2], b.strides[-1], a.dtype)),)


def _matmul_vjp(record: Any, g: Any) -> tuple[Any, Any]:
    a, b = record.inputs
    ga = sum_to(matmul(g, turned(record.input(1))), a.shape) if record.mask[0] else None
    gb = sum_to(matmul(turned(record.input(0)), g), b.shape) if record.mask[1] else None
    return ga, gb


def _product_cost(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...]) -> Cost:
    return Cost(2 * outputs[0].size * inputs[0].shape[-1], moved(*inputs, *outputs))


def _matmul_samples() -> list[Sample]:
    x = spread(-1, 1, 2, 3, 4)
    return [
        Sample(spread(-1, 1, 3, 4), spread(-1, 1, 4, 5)),
        Sample(x, spread(-1, 1, 2, 4, 3)),
        Sample(x, spread(-1, 1, 4, 2)),
        Sample(spread(-1, 1, 3, 2, 1, 2, 4), spread(-1, 1, 2, 3, 4, 2)),
        Sample(spread(-1, 1, 4), spread(-1, 1, 4)),
        Sample(spread(-1, 1, 4), spread(-1, 1, 2, 4, 3)),
        Sample(x, spread(-1, 1, 4)),
        Sample(spread(-1, 1, 4, 3).T, spread(-1, 1, 5, 4).T),
        Sample(np.zeros((2, 0), np.float32), np.zeros((0, 3), np.float32)),
        Sample(np.zeros((0, 2), np.float32), np.zeros((2, 3), np.float32)),
        Sample(spread(-1, 1, 7, 9, dtype=np.float64), spread(-1, 1, 9, 33, dtype=np.float64)),
        Sample(np.arange(6).reshape(2, 3), np.arange(3)),
        Sample(np.arange(3, dtype=np.int32), np.arange(3, dtype=np.int32)),
    ]


def _matmul_errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [
        ErrorSample(Sample(x, x), ShapeError, r"\[matmul\] the inner sizes differ.*\(2, 3\) @ \(2, 3\)"),
        ErrorSample(Sample(x > 0, x.T > 0), DTypeError, "one float dtype.*got bool"),
        ErrorSample(Sample(np.float32(1), x), ShapeError, "at least one dimension"),
        ErrorSample(Sample(np.ones((2, 2, 3), np.float32), np.ones((3, 3, 2), np.float32)), ShapeError,
                    "do not broadcast"),
    ]


matmul_p = define(
    "matmul",
    infer=_matmul_infer,
    run=_matmul_empty,
    prepare=_matmul_prepare,
    epilogue=_matmul_prepare,
    scratch=_matmul_scratch,
    vjp=_matmul_vjp,
    saves=(Keep(inputs=(1,)), Keep(inputs=(0,))),
    cost=_product_cost,
    samples=_matmul_samples,
    errors=_matmul_errors,
    call=lambda a, b: matmul(a, b),
)


def _integer_twin(a: Any, b: Any) -> Any:
    rows, columns = a.spec.shape, b.spec.shape
    return total(mul(reshape(a, (*rows, 1)), reshape(b, (*columns[:-2], 1, *columns[-2:]))), -2)


# The kernel knows floats only.
integer_matmul_p = define(
    "integer_matmul",
    host=True,
    infer=_product_infer,
    run=lambda outs, ins: np.matmul(ins[0], ins[1], out=outs[0]),
    vjp=None,
    twin=_integer_twin,
    cost=_product_cost,
    samples=lambda: [
        Sample(np.arange(12).reshape(3, 4), np.arange(20).reshape(5, 4).T),
        Sample(np.arange(12, dtype=np.int8).reshape(2, 3, 2), np.arange(4, dtype=np.int8).reshape(2, 2)),
        Sample(np.zeros((2, 0), np.int64), np.zeros((0, 3), np.int64)),
    ],
    errors=no_errors,
)


def matmul(input: TensorT, other: TensorT) -> TensorT:
    """Return the matrix product, for tensors of every rank from 1 on.

    ``(m, k) @ (k, n)`` is the matrix product; a vector on the left is a row, on the right a column, and its dimension
    is dropped from the result; further dimensions in front are a batch and are broadcast.

    Raises:
        ShapeError: if the inner sizes differ or the batch dimensions do not broadcast.
        DTypeError: for bools.

    >>> import autodiff as ad
    >>> ad.matmul(ad.tensor([[1.0, 2.0]]), ad.tensor([3.0, 4.0]))
    tensor([11.])
    """
    a: Any
    b: Any
    a, b = promote("matmul", input, other)
    shape_a: Shape = a.spec.shape
    shape_b: Shape = b.spec.shape
    if len(shape_a) == len(shape_b) == 2 and a.spec.floating:
        return bind(matmul_p, a, b)  # type: ignore[no-any-return]
    if not shape_a or not shape_b:
        raise ShapeError("matmul", "operands need at least one dimension", got=f"{shape_a} @ {shape_b}",
                         fix="multiply by a number with *")
    if len(shape_a) == len(shape_b) == 1 and shape_a == shape_b and a.spec.floating:
        return bind(dot_p, contiguous(a), contiguous(b))  # type: ignore[no-any-return]
    if len(shape_a) == 2 and len(shape_b) == 1 and shape_a[1] == shape_b[0] and a.spec.floating:
        return bind(matvec_p, a, contiguous(b))  # type: ignore[no-any-return]
    if len(shape_a) == 1 or len(shape_b) == 1:
        left = reshape(a, 1, -1) if len(shape_a) == 1 else a
        right = reshape(b, -1, 1) if len(shape_b) == 1 else b
        product: Any = matmul(left, right)
        shape = product.spec.shape
        rows = () if len(shape_a) == 1 else shape[-2:-1]
        columns = () if len(shape_b) == 1 else shape[-1:]
        return reshape(product, (*shape[:-2], *rows, *columns))  # type: ignore[no-any-return]
    if a.spec.dtype.kind in "iu":
        return bind(integer_matmul_p, a, b)  # type: ignore[no-any-return]
    if len(shape_b) == 2 and len(shape_a) > 2 and a.spec.contiguous and shape_a[-1] == shape_b[0]:
        # One product over all rows: its gradient then sums over the batch inside the kernel.
        folded = bind(matmul_p, reshape(a, math.prod(shape_a[:-1]), shape_a[-1]), b)
        return reshape(folded, (*shape_a[:-1], shape_b[1]))  # type: ignore[no-any-return]
    if len(shape_a) > 3 or len(shape_b) > 3:
        batch = strided.broadcast("matmul", Spec.of(shape_a[:-2]), Spec.of(shape_b[:-2]))
        if _merge_batch(a.spec, b.spec) is None:
            a, b = (contiguous(expand(x, (*batch, *x.spec.shape[-2:]))) for x in (a, b))
    return bind(matmul_p, a, b)  # type: ignore[no-any-return]


# ---- linear ----------------------------------------------------------------------------------------------------------


def _rows(spec: Spec) -> int:
    return spec.size // spec.shape[-1] if spec.shape[-1] else math.prod(spec.shape[:-1])


def _row_stride(spec: Spec) -> tuple[int, int]:
    """Return the strides of the rows and columns of a tensor read as (rows, columns)."""
    return (spec.strides[0], spec.strides[1]) if spec.ndim == 2 else (spec.shape[-1], 1)


def _linear_infer(x: Spec, weight: Spec, bias: Spec | None = None) -> Spec:
    require_floats("linear", x, weight, *(() if bias is None else (bias,)))
    if weight.ndim != 2:
        raise ShapeError("linear", "the weight is no matrix", expected="(out features, in features)",
                         got=str(weight.shape))
    if not x.ndim or x.shape[-1] != weight.shape[1]:
        raise ShapeError("linear", "the last size of the input is not the layer's number of input features",
                         expected=f"(..., {weight.shape[1]})", got=str(x.shape),
                         fix="check the layer's in_features, or flatten or transpose the input")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError("linear", "the bias does not fit the weight", expected=str(weight.shape[:1]),
                         got=str(bias.shape))
    return Spec.of((*x.shape[:-1], weight.shape[0]), x.dtype)


def _linear_prepare(
    inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], tail: Tail | None = None, at: tuple[int, int] = (0, 1)
) -> Callable[..., None]:
    """Return what runs a linear layer; `at` says where the input and the weight stand among the operands."""
    x_at, weight_at = at
    x, weight = inputs[x_at], inputs[weight_at]
    rows, (columns, features) = _rows(x), weight.shape
    if not rows * columns or (not features and tail is None):
        return _linear_empty
    sizes = (1, 1, rows, columns, features, 0, 0, *_row_stride(x), 0, 0, weight.strides[1], weight.strides[0])
    product, missing, shifted = _product(x.dtype), _NO_BIAS[x.dtype], len(inputs) == 3
    alone, unsummed = (missing, missing, 0), no_sums(x.dtype)

    def run(outs: Sequence[Array], ins: Sequence[Array]) -> None:
        bias = ins[2] if shifted else missing
        following = alone if tail is None else tail.arguments(ins, missing)
        product(*outs, *unsummed, ins[x_at], ins[weight_at], bias, *following, *sizes, 0, 1)

    return run


def _linear_empty(outs: Sequence[Array], ins: Sequence[Array]) -> None:
    """Without features or rows the result is the bias."""
    strided.fill_array(outs[0], 0)
    if len(ins) == 3:
        strided.copy_array(outs[0], ins[2])


def _linear_scratch(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...]) -> tuple[EachPart, ...]:
    x, weight = inputs[:2]
    columns, features = weight.shape
    return (EachPart(_scratch_size(_rows(x), columns, features, _row_stride(x)[0], weight.strides[0], x.dtype)),)


def _linear_vjp(record: Any, g: Any) -> tuple[Any, ...]:
    mask = record.mask
    g = contiguous(g)
    # The gradient of the input needs the weight, that of the weight the input.
    read = [record.input(position) for position in (0, 1) if mask[1 - position]]
    found = bind(linear_grad_p, g, *read, wanted=mask)
    if False not in mask:
        return found  # type: ignore[no-any-return]
    gradients = iter(found)
    return tuple([next(gradients) if needed else None for needed in mask])


def _linear_samples() -> list[Sample]:
    return [
        Sample(spread(-1, 1, 5, 3), spread(-1, 1, 4, 3), spread(-1, 1, 4)),
        Sample(spread(-1, 1, 2, 3, 4), spread(-1, 1, 2, 4)),
        Sample(spread(-1, 1, 3), spread(-1, 1, 2, 3), spread(-1, 1, 2)),
        Sample(spread(-1, 1, 3, 5).T, spread(-1, 1, 3, 2).T, spread(-1, 1, 2)),
        Sample(np.zeros((0, 3), np.float32), spread(-1, 1, 2, 3), spread(-1, 1, 2)),
        Sample(*[spread(-1, 1, *shape, dtype=np.float64) for shape in ((3, 2), (4, 2), (4,))]),
    ]


def _linear_errors() -> list[ErrorSample]:
    weight = np.ones((4, 3), np.float32)
    return [
        ErrorSample(Sample(np.ones((2, 5), np.float32), weight), ShapeError,
                    r"\[linear\].*expected \(\.\.\., 3\); got \(2, 5\)"),
        ErrorSample(Sample(np.ones((2, 3), np.float32), weight, np.ones(3, np.float32)), ShapeError,
                    "bias does not fit"),
        ErrorSample(Sample(np.ones((2, 3), np.int64), weight), DTypeError, "one float dtype"),
        ErrorSample(Sample(np.ones((2, 3), np.float32), np.ones(3, np.float32)), ShapeError, "no matrix"),
    ]


linear_p = define(
    "linear",
    infer=_linear_infer,
    run=_linear_empty,
    prepare=_linear_prepare,
    epilogue=_linear_prepare,
    scratch=_linear_scratch,
    vjp=_linear_vjp,
    saves=(Keep(inputs=(1,)), Keep(inputs=(0,)), Keep()),
    cost=lambda inputs, outputs: Cost(outputs[0].size * (2 * inputs[1].shape[1] + len(inputs) - 2),
                                      moved(*inputs, *outputs)),
    samples=_linear_samples,
    errors=_linear_errors,
    call=lambda x, weight, bias=None: linear(x, weight, bias),
)


def linear(input: TensorT, weight: TensorT, bias: TensorT | None = None) -> TensorT:
    """Return ``input @ weight.T + bias``.

    Args:
        input: (..., in features).
        weight: (out features, in features).
        bias: (out features,), or None.

    Returns:
        (..., out features).

    Raises:
        ShapeError: if the sizes do not fit.
        DTypeError: unless all have one float dtype.

    >>> import autodiff as ad
    >>> ad.nn.functional.linear(ad.ones(1, 2), ad.tensor([[1.0, 2.0]]), ad.tensor([0.5]))
    tensor([[3.5000]])
    """
    x: Any = input
    require_tensor("linear", x)
    require_tensor("linear", weight, "weight")
    if bias is not None:
        require_tensor("linear", bias, "bias")
    if x.spec.ndim != 2:
        x = contiguous(x)
    return bind(linear_p, x, weight, *(() if bias is None else (contiguous(bias),)))  # type: ignore[no-any-return]


def _matvec_vjp(record: Any, g: Any) -> tuple[Any, ...]:
    wanted = record.mask[::-1]
    read = [record.input(position) for position in (1, 0) if record.mask[1 - position]]
    gradients = iter(bind(linear_grad_p, contiguous(g), *read, wanted=wanted))
    return tuple([next(gradients) if needed else None for needed in wanted])[::-1]


# A matrix times a vector is a linear layer without bias, with the operands as they are written.
matvec_p = define(
    "matvec",
    infer=lambda matrix, vector: _linear_infer(vector, matrix),
    run=_linear_empty,
    prepare=partial(_linear_prepare, at=(1, 0)),
    epilogue=partial(_linear_prepare, at=(1, 0)),
    scratch=lambda inputs, outputs: _linear_scratch(inputs[::-1], outputs),
    vjp=_matvec_vjp,
    saves=(Keep(inputs=(1,)), Keep(inputs=(0,))),
    twin=lambda matrix, vector: linear(vector, matrix),
    cost=_product_cost,
    samples=lambda: [
        Sample(spread(-1, 1, 3, 4), spread(-1, 1, 4)),
        Sample(spread(-1, 1, 4, 3, dtype=np.float64).T, spread(-1, 1, 4, dtype=np.float64)),
        Sample(np.zeros((2, 0), np.float32), np.zeros(0, np.float32)),
    ],
    errors=no_errors,
)


# The gradients of a linear layer in one operation: outputs are those of (input, weight, bias) that `wanted` marks. It
# reads the cotangent, the input where the weight's gradient is wanted, and the weight where the input's is.


def _factors(operands: Sequence[Any], wanted: tuple[bool, ...]) -> tuple[Any, Any]:
    """Return the input and the weight among the operands of the gradient; None for what it does not read."""
    return operands[1] if wanted[1] else None, operands[-1] if wanted[0] else None


def _linear_grad_infer(*operands: Spec, wanted: tuple[bool, ...]) -> tuple[Spec, ...]:
    g, (x, weight) = operands[0], _factors(operands, wanted)
    shapes = []
    if weight is not None:
        shapes.append((*g.shape[:-1], weight.shape[-1]))
    if x is not None:
        shapes.append((g.shape[-1], x.shape[-1]))
    if len(wanted) == 3 and wanted[2]:
        shapes.append((g.shape[-1],))
    return tuple(Spec.of(shape, g.dtype) for shape in shapes)


def _linear_grad_prepare(
    inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], wanted: tuple[bool, ...]
) -> Callable[..., None]:
    g, (x, weight) = inputs[0], _factors(inputs, wanted)
    rows, columns = _rows(g), g.shape[-1]
    if not g.size:
        return _linear_grad_empty
    # Positions of the outputs, and the arguments of the products: sizes, then strides of both factors.
    at = [sum(wanted[:i]) for i in range(3)]
    to_input = to_weight = None
    if weight is not None and outputs[at[0]].size:
        to_input = (1, 1, rows, weight.shape[-1], columns, 0, 0, columns, 1, 0, 0, *weight.strides[-2:])
    if x is not None:
        to_weight = (1, 1, columns, x.shape[-1], rows, 0, 0, 1, columns, 0, 0, *_row_stride(x))
    bias_wanted = len(wanted) == 3 and wanted[2]
    product, add, none, unsummed = _product(g.dtype), column_sums(g.dtype), no_bias(g.dtype), no_sums(g.dtype)
    alone = (none, none, none, 0)  # no bias and no epilogue

    def run(outs: Sequence[Array], ins: Sequence[Array]) -> None:
        scratch, totals = outs[-2:]
        if to_input is not None:
            product(outs[at[0]], scratch, *unsummed, ins[0], ins[-1], *alone, *to_input, 0, 1)
        if to_weight is not None:
            sums = (outs[at[2]], totals) if bias_wanted else unsummed
            product(outs[at[1]], scratch, *sums, ins[0], ins[1], *alone, *to_weight, 0, 1)
        elif bias_wanted:
            add(outs[at[2]], totals, ins[0], 1, rows, columns, 1, 0, 1)

    return run


def _linear_grad_empty(outs: Sequence[Array], ins: Sequence[Array]) -> None:
    """Without rows every gradient is zero."""
    for out in outs[:-2]:
        strided.fill_array(out, 0)


def _linear_grad_scratch(
    inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], wanted: tuple[bool, ...]
) -> tuple[EachPart, ...]:
    g, (x, weight) = inputs[0], _factors(inputs, wanted)
    rows, columns = _rows(g), g.shape[-1]
    sizes = [0]
    if weight is not None:
        sizes.append(_scratch_size(rows, weight.shape[-1], columns, columns, weight.strides[1], g.dtype).size)
    if x is not None:
        sizes.append(_scratch_size(columns, x.shape[-1], rows, 1, _row_stride(x)[1], g.dtype).size)
    totals = running_sums(g) if x is None else EachPart(Spec.of((kernels.matmul.totals_size(columns),), np.float64))
    return EachPart(Spec.of((max(sizes),), g.dtype)), totals


def _linear_grad_twin(*operands: Any, wanted: tuple[bool, ...]) -> tuple[Any, ...]:
    g, (x, weight) = operands[0], _factors(operands, wanted)
    count = math.prod(g.spec.shape[:-1])
    rows = reshape(g, count, g.spec.shape[-1])
    results = []
    if weight is not None:
        results.append(matmul(g, weight))
    if x is not None:
        results.append(matmul(transpose(rows, 0, 1), reshape(x, count, x.spec.shape[-1])))
    if len(wanted) == 3 and wanted[2]:
        results.append(total(rows, 0))
    return tuple(results)


def _linear_grad_samples() -> list[Sample]:
    g, x, weight = spread(-1, 1, 2, 3, 4), spread(-1, 1, 2, 3, 5), spread(-1, 1, 4, 5)
    return [
        Sample(g, x, weight, wanted=(True, True, True)),
        Sample(g, x, wanted=(False, True)),
        Sample(spread(-1, 1, 390, 3, dtype=np.float64), spread(-1, 1, 390, 2, dtype=np.float64),
               wanted=(False, True, True)),
        Sample(g[0].astype(np.float64), weight.astype(np.float64), wanted=(True, False, True)),
    ]


linear_grad_p = define(
    "linear_grad",
    infer=_linear_grad_infer,
    run=_linear_grad_empty,
    prepare=_linear_grad_prepare,
    scratch=_linear_grad_scratch,
    vjp=None,
    twin=_linear_grad_twin,
    cost=lambda inputs, outputs, wanted: Cost(2 * inputs[0].size * sum(factor.shape[-1] for factor in inputs[1:]),
                                              moved(*inputs, *outputs)),
    samples=_linear_grad_samples,
    errors=lambda: [],
)
