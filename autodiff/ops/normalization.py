"""Layer and RMS normalisation.

Sources: Ba, Kiros, Hinton, Layer Normalization (2016); Zhang and Sennrich, Root Mean Square Layer Normalization (2019).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.arguments import integers
from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, ShapeError
from autodiff.ops.batchnorm import (
    affine,
    block_sums,
    cube,
    following,
    grad_infer,
    require_shape,
    summed,
    with_statistics,
    with_tail,
)
from autodiff.ops.broadcast import expand
from autodiff.ops.broadcast import sum as total
from autodiff.ops.elementwise import mul, spread, sub
from autodiff.ops.products import require_floats
from autodiff.ops.reduce import mean as mean_of
from autodiff.ops.structural import contiguous, require_tensor, reshape
from autodiff.primitive import ErrorSample, Keep, Primitive, Sample, Tail, define, no_errors
from autodiff.spec import Array, Shape, Spec

__all__ = ["layer_norm", "rms_norm"]

# ---- Layer normalisation ---------------------------------------------------------------------------------------------


def _lead(x: Spec, weight: Spec) -> Shape:
    """Return the dimensions in front of the normalised ones."""
    return x.shape[: x.ndim - weight.ndim]


def _rows(x: Spec, weight: Spec) -> tuple[int, int]:
    return math.prod(_lead(x, weight)), weight.size


def _last_dimensions(operation: str, x: Any, shape: Sequence[int] | int, **values: Any) -> Shape:
    """Return the shape that is normalised.

    Raises:
        ShapeError: unless the input ends in it, and weight and bias have it.
    """
    require_tensor(operation, x)
    wanted = integers(operation, "normalized_shape", shape)
    found: Shape = x.spec.shape
    if not wanted or found[len(found) - len(wanted):] != wanted:
        raise ShapeError(operation, "the input does not end in normalized_shape",
                         expected=f"(..., {', '.join(map(str, wanted))})", got=str(found))
    for name, value in values.items():
        if value is not None:
            require_tensor(operation, value, name)
            require_shape(operation, name, value.spec, wanted)
    return wanted


def _layer_norm_infer(x: Spec, weight: Spec, bias: Spec, eps: float) -> tuple[Spec, Spec, Spec]:
    require_floats("layer_norm", x, weight, bias)
    statistics = Spec.of(_lead(x, weight), x.dtype)
    return Spec.of(x.shape, x.dtype), statistics, statistics


def _layer_norm_run(
    outs: list[Array], ins: list[Array], rows: tuple[int, int], eps: float, tail: Tail | None = None
) -> None:
    out, mean, rstd = outs
    x, weight, bias = ins[:3]
    kernels.norm.layer_norm(out.reshape(rows), mean.reshape(-1), rstd.reshape(-1), x.reshape(rows), weight.reshape(-1),
                            bias.reshape(-1), *following(tail, ins), eps, 0, 1)


def _prepare(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], eps: float) -> dict[str, Any]:
    return {"rows": _rows(*inputs[:2]), "eps": eps}


def _layer_norm_vjp(record: Any, g: Any, g_mean: Any, g_rstd: Any) -> tuple[Any, ...]:
    x, weight, mean, rstd = record.input(0), record.input(1), record.output(1), record.output(2)
    gx = g_weight = g_bias = None
    if g is not None:
        gx, g_weight, g_bias = bind(layer_norm_grad_p, contiguous(g), x, mean, rstd, weight)
    if record.mask[0]:
        lead = (*mean.spec.shape, *(1,) * weight.spec.ndim)
        size = max(1, weight.spec.size)  # rows of no features, too
        gx = with_statistics(
            gx,
            None if g_mean is None else expand(reshape(mul(g_mean, 1 / size), lead), x.spec.shape),
            None if g_rstd is None else
            mul(sub(x, reshape(mean, lead)), reshape(mul(mul(g_rstd, cube(rstd)), -1 / size), lead)),
        )
    return gx, g_weight, g_bias


def _layer_norm_samples() -> list[Sample]:
    x, weight, bias = spread(-2, 3, 2, 3, 5), spread(0.5, 2, 5), spread(-1, 1, 5)
    return [
        Sample(x, (5,)), Sample(x, (5,), weight, bias), Sample(x, [3, 5], spread(0.5, 2, 3, 5)),
        Sample(x, (5,), bias=bias), Sample(x[0, 0], (5,), weight), Sample(x[:, :, ::-1], (5,), weight, bias, 0.1),
        Sample(x[:0], (5,), weight, bias), Sample(spread(-2, 3, 150, 2), (2,), weight[:2], bias[:2], 0.1),
        Sample(x.astype(np.float64), (5,), weight.astype(np.float64), bias.astype(np.float64)),
    ]


def _layer_norm_errors() -> list[ErrorSample]:
    x, one = np.ones((2, 3), np.float32), np.ones(3, np.float32)
    return [ErrorSample(Sample(x, (2,)), ShapeError, r"\[layer_norm\].*expected \(\.\.\., 2\); got \(2, 3\)"),
            ErrorSample(Sample(x, (3,), one[:2]), ShapeError, r"weight does not fit.*\(3,\); got \(2,\)"),
            ErrorSample(Sample(x, (3,), one, one[:1]), ShapeError, "bias does not fit"),
            ErrorSample(Sample(x.astype(np.int64), (3,), one), DTypeError, "one float dtype")]


layer_norm_p = define(
    "layer_norm",
    infer=_layer_norm_infer,
    run=_layer_norm_run,
    prepare=_prepare,
    epilogue=with_tail(_prepare),
    vjp=_layer_norm_vjp,
    saves=Keep(inputs=(0, 1), outputs=(1, 2)),
    cost=summed(8),
    samples=_layer_norm_samples,
    errors=_layer_norm_errors,
    call=lambda *arguments, **keywords: layer_norm(*arguments, **keywords),
)


def _layer_norm_grad_run(outs: list[Array], ins: list[Array], rows: tuple[int, int]) -> None:
    gx, g_weight, g_bias, weights, biases = outs
    g, x, mean, rstd, weight = ins
    g, x, mean, rstd = g.reshape(rows), x.reshape(rows), mean.reshape(-1), rstd.reshape(-1)
    kernels.norm.layer_norm_grad(gx.reshape(rows), weights, biases, g, x, mean, rstd, weight.reshape(-1), 0, 1)
    kernels.norm.sum_blocks(g_weight.reshape(-1), weights, 0, 1)
    kernels.norm.sum_blocks(g_bias.reshape(-1), biases, 0, 1)


def _layer_norm_grad_twin(g: Any, x: Any, mean: Any, rstd: Any, weight: Any) -> tuple[Any, ...]:
    lead = mean.spec.ndim
    dims = tuple(range(lead, x.spec.ndim))
    shape = (*mean.spec.shape, *(1,) * len(dims))
    scale = reshape(rstd, shape)
    normal = mul(sub(x, reshape(mean, shape)), scale)
    inner = mul(g, weight)
    gx = sub(sub(inner, mean_of(inner, dims, True)), mul(normal, mean_of(mul(inner, normal), dims, True)))
    return mul(gx, scale), _over_lead(mul(g, normal), lead), _over_lead(g, lead)


def _over_lead(x: Any, lead: int) -> Any:
    """Return the sum over the first `lead` dimensions."""
    return total(x, tuple(range(lead))) if lead else x


def _layer_norm_grad_samples() -> list[Sample]:
    g, x, weight = spread(-1, 1, 2, 3, 5), spread(-2, 2, 2, 3, 5), spread(0.5, 2, 5)
    mean, rstd = spread(-1, 1, 2, 3), spread(0.5, 1, 2, 3)
    double = [a.astype(np.float64) for a in (g, x, mean[:, 0], rstd[:, 0], spread(0.5, 2, 3, 5))]
    return [Sample(g, x, mean, rstd, weight), Sample(*double),
            Sample(g[0, 0], x[0, 0], mean[0, 0], rstd[0, 0], weight)]


def _grad_scratch(count: int) -> Any:
    """Return the scratch function of a gradient that sums `count` values a column over blocks of rows."""
    return lambda inputs, outputs: (block_sums(*_rows(inputs[1], inputs[-1])),) * count


layer_norm_grad_p: Primitive = define(
    "layer_norm_grad",
    infer=grad_infer,
    run=_layer_norm_grad_run,
    prepare=lambda inputs, outputs: {"rows": _rows(inputs[1], inputs[4])},
    scratch=_grad_scratch(2),
    vjp=None,
    twin=_layer_norm_grad_twin,
    cost=summed(16),
    samples=_layer_norm_grad_samples,
    errors=no_errors,
    call=lambda *inputs: bind(layer_norm_grad_p, *map(contiguous, inputs)),
)


def layer_norm(input: TensorT, normalized_shape: Sequence[int] | int, weight: TensorT | None = None,
               bias: TensorT | None = None, eps: float = 1e-05) -> TensorT:
    """Normalise over the last dimensions: ``(x - mean) / sqrt(variance + eps) * weight + bias``, the variance biased.

    Args:
        input: (..., *normalized_shape).
        normalized_shape: the last dimensions.
        weight: of that shape, or None for ones.
        bias: of that shape, or None for zeros.
        eps: added to the variance.

    Returns:
        The shape of `input`.

    Raises:
        ShapeError: if `input` does not end in `normalized_shape`, or weight or bias have another shape.
        DTypeError: unless all have one float dtype.

    Source: Ba, Kiros, Hinton, Layer Normalization (2016).

    >>> import autodiff as ad
    >>> ad.nn.functional.layer_norm(ad.tensor([[1.0, 3.0], [0.0, 4.0]]), (2,))
    tensor([[-1.0000,  1.0000],
            [-1.0000,  1.0000]])
    """
    shape = _last_dimensions("layer_norm", input, normalized_shape, weight=weight, bias=bias)
    x = contiguous(input)
    out: TensorT = bind(layer_norm_p, x, *affine(x, weight, bias, shape), eps=float(eps))[0]
    return out


# ---- RMS normalisation -----------------------------------------------------------------------------------------------


def _rms_norm_infer(x: Spec, weight: Spec, eps: float) -> tuple[Spec, Spec]:
    require_floats("rms_norm", x, weight)
    return Spec.of(x.shape, x.dtype), Spec.of(_lead(x, weight), x.dtype)


def _rms_norm_run(
    outs: list[Array], ins: list[Array], rows: tuple[int, int], eps: float, tail: Tail | None = None
) -> None:
    out, rstd = outs
    x, weight = ins[:2]
    kernels.norm.rms_norm(out.reshape(rows), rstd.reshape(-1), x.reshape(rows), weight.reshape(-1),
                          *following(tail, ins), eps, 0, 1)


def _rms_norm_vjp(record: Any, g: Any, g_rstd: Any) -> tuple[Any, ...]:
    x, weight, rstd = record.input(0), record.input(1), record.output(1)
    gx = g_weight = None
    if g is not None:
        gx, g_weight = bind(rms_norm_grad_p, contiguous(g), x, rstd, weight)
    if record.mask[0] and g_rstd is not None:
        lead = (*rstd.spec.shape, *(1,) * weight.spec.ndim)
        size = max(1, weight.spec.size)  # rows of no features, too
        gx = with_statistics(gx, mul(x, reshape(mul(mul(g_rstd, cube(rstd)), -1 / size), lead)))
    return gx, g_weight


def _rms_norm_samples() -> list[Sample]:
    x, weight = spread(-2, 3, 2, 3, 5), spread(0.5, 2, 5)
    return [Sample(x, (5,)), Sample(x, (5,), weight), Sample(x, [3, 5], spread(0.5, 2, 3, 5), 0.1),
            Sample(x[0, 0], (5,)), Sample(x[:, :, ::-1], (5,), weight), Sample(x[:0], (5,), weight),
            Sample(x.astype(np.float64), (5,), weight.astype(np.float64), 1e-5)]


def _rms_norm_errors() -> list[ErrorSample]:
    x = np.ones((2, 3), np.float32)
    return [ErrorSample(Sample(x, (2,)), ShapeError, r"\[rms_norm\].*expected \(\.\.\., 2\); got \(2, 3\)"),
            ErrorSample(Sample(x, (3,), x), ShapeError, "weight does not fit"),
            ErrorSample(Sample(x.astype(np.int64), (3,)), DTypeError, "one float dtype")]


rms_norm_p = define(
    "rms_norm",
    infer=_rms_norm_infer,
    run=_rms_norm_run,
    prepare=_prepare,
    epilogue=with_tail(_prepare),
    vjp=_rms_norm_vjp,
    saves=Keep(inputs=(0, 1), outputs=(1,)),
    cost=summed(4),
    samples=_rms_norm_samples,
    errors=_rms_norm_errors,
    call=lambda *arguments, **keywords: rms_norm(*arguments, **keywords),
)


def _rms_norm_grad_run(outs: list[Array], ins: list[Array], rows: tuple[int, int]) -> None:
    gx, g_weight, weights = outs
    g, x, rstd, weight = ins
    g, x, rstd = g.reshape(rows), x.reshape(rows), rstd.reshape(-1)
    kernels.norm.rms_norm_grad(gx.reshape(rows), weights, g, x, rstd, weight.reshape(-1), 0, 1)
    kernels.norm.sum_blocks(g_weight.reshape(-1), weights, 0, 1)


def _rms_norm_grad_twin(g: Any, x: Any, rstd: Any, weight: Any) -> tuple[Any, Any]:
    lead = rstd.spec.ndim
    dims = tuple(range(lead, x.spec.ndim))
    scale = reshape(rstd, (*rstd.spec.shape, *(1,) * len(dims)))
    normal, inner = mul(x, scale), mul(g, weight)
    gx = sub(inner, mul(normal, mean_of(mul(inner, normal), dims, True)))
    return mul(gx, scale), _over_lead(mul(g, normal), lead)


def _rms_norm_grad_samples() -> list[Sample]:
    g, x, rstd, weight = spread(-1, 1, 2, 3, 5), spread(-2, 2, 2, 3, 5), spread(0.5, 1, 2, 3), spread(0.5, 2, 5)
    double = [a.astype(np.float64) for a in (g, x, rstd[:, 0], spread(0.5, 2, 3, 5))]
    return [Sample(g, x, rstd, weight), Sample(*double)]


rms_norm_grad_p: Primitive = define(
    "rms_norm_grad",
    infer=lambda g, x, rstd, weight: (Spec.of(x.shape, x.dtype), Spec.of(weight.shape, x.dtype)),
    run=_rms_norm_grad_run,
    prepare=lambda inputs, outputs: {"rows": _rows(inputs[1], inputs[3])},
    scratch=_grad_scratch(1),
    vjp=None,
    twin=_rms_norm_grad_twin,
    cost=summed(11),
    samples=_rms_norm_grad_samples,
    errors=no_errors,
    call=lambda *inputs: bind(rms_norm_grad_p, *map(contiguous, inputs)),
)


def rms_norm(input: TensorT, normalized_shape: Sequence[int] | int, weight: TensorT | None = None,
             eps: float | None = None) -> TensorT:
    """Divide by the root of the mean square over the last dimensions: ``x / sqrt(mean(x ** 2) + eps) * weight``.

    Args:
        input: (..., *normalized_shape).
        normalized_shape: the last dimensions.
        weight: of that shape, or None for ones.
        eps: added to the mean square; by default the distance from 1 to the next number of the dtype.

    Returns:
        The shape of `input`.

    Raises:
        ShapeError: if `input` does not end in `normalized_shape`, or `weight` has another shape.
        DTypeError: unless both have one float dtype.

    Source: Zhang and Sennrich, Root Mean Square Layer Normalization (2019).

    >>> import autodiff as ad
    >>> ad.nn.functional.rms_norm(ad.tensor([1.0, 7.0]), (2,))
    tensor([0.2000, 1.4000])
    """
    shape = _last_dimensions("rms_norm", input, normalized_shape, weight=weight)
    x: Any = contiguous(input)
    if eps is None:
        eps = float(np.finfo(x.spec.dtype).eps) if x.spec.floating else 0.0
    out: TensorT = bind(rms_norm_p, x, affine(x, weight, None, shape)[0], eps=float(eps))[0]
    return out
