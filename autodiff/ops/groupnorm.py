"""Group and instance normalisation.

Sources: Wu and He, Group Normalization (2018); Ulyanov et al., Instance Normalization (2016).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.arguments import integer
from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops.batchnorm import (
    affine,
    as_planes,
    batch_norm,
    bias_of,
    channel_shape,
    cube,
    differentiated,
    follow,
    following,
    grad_infer,
    in_planes,
    laid_out,
    none,
    passed,
    require_shape,
    summed,
    with_statistics,
    with_tail,
)
from autodiff.ops.broadcast import expand
from autodiff.ops.broadcast import sum as total
from autodiff.ops.elementwise import add, mul, reciprocal, spread, square, sub
from autodiff.ops.products import require_floats
from autodiff.ops.reduce import mean as mean_of
from autodiff.ops.structural import ordered, require_tensor, reshape
from autodiff.primitive import ErrorSample, Joined, Keep, Primitive, Sample, Tail, composed, define, no_errors
from autodiff.spec import Array, Shape, Spec, channels_last_order

__all__ = ["group_norm", "instance_norm"]


def _spaced(array: Array) -> Array:
    """Return an (N, C, ...) array whose channels lie innermost as (N, places, C)."""
    inside = array.transpose(channels_last_order(array.ndim))
    return inside.reshape(inside.shape[0], math.prod(inside.shape[1:-1]), inside.shape[-1])


def _group_norm_infer(x: Spec, weight: Spec, bias: Spec, groups: int, eps: float) -> tuple[Spec, Spec, Spec]:
    require_floats("group_norm", x, weight, bias)
    statistics = Spec.of((x.shape[0], groups), x.dtype)
    return Spec.of(x.shape, x.dtype, x.order), statistics, statistics


def _factors(x: Spec) -> tuple[Spec, ...]:
    """Return the spec of the factors of each channel, which the kernels for channels side by side need."""
    return () if in_planes(x) else (Spec.of((x.shape[0], 4, x.shape[1]), np.float64),)


def _group_norm_run(outs: list[Array], ins: list[Array], eps: float, planes: bool, tail: Tail | None = None) -> None:
    out, mean, rstd, *factors = outs
    x, weight, bias = ins[:3]
    after = following(tail, ins)
    if planes:
        kernels.planes.group_norm(as_planes(out), mean, rstd, as_planes(x), weight, bias, *after, eps, 0, 1)
    else:
        kernels.norm.group_norm(_spaced(out), mean, rstd, *factors, _spaced(x), weight, bias, *after, eps, 0, 1)


def _group_norm_prepare(
    inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], groups: int, eps: float
) -> dict[str, Any]:
    return {"eps": eps, "planes": in_planes(inputs[0])}


def _grouped(x: Spec, groups: int) -> Shape:
    """Return the shape (N, G, C / G, ...) of an (N, C, ...) tensor."""
    return (x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])


def _group_norm_vjp(record: Any, g: Any, g_mean: Any, g_rstd: Any) -> tuple[Any, ...]:
    x, weight, mean, rstd = record.input(0), record.input(1), record.output(1), record.output(2)
    gx = g_weight = g_bias = None
    if g is not None:
        gx, g_weight, g_bias = bind(group_norm_grad_p, ordered(g, x.spec.order), x, mean, rstd, weight)
    if record.mask[0] and not (g_mean is None and g_rstd is None):
        shape = _grouped(x.spec, record.params["groups"])
        lead = (*shape[:2], *(1,) * (len(shape) - 2))
        size = max(1, math.prod(shape[2:]))  # images of no places, too
        terms = [
            None if g_mean is None else expand(reshape(mul(g_mean, 1 / size), lead), shape),
            None if g_rstd is None else mul(sub(reshape(x, shape), reshape(mean, lead)),
                                            reshape(mul(mul(g_rstd, cube(rstd)), -1 / size), lead)),
        ]
        gx = with_statistics(gx, *[None if term is None else reshape(term, x.spec.shape) for term in terms])
    return gx, g_weight, g_bias


def _group_norm_samples() -> list[Sample]:
    x, weight, bias = spread(-2, 3, 2, 4, 3, 2), spread(0.5, 2, 4), spread(-1, 1, 4)
    image = spread(-2, 3, 2, 3, 3, 6).transpose(0, 3, 1, 2)
    return [Sample(x, 2), Sample(x, 2, weight, bias), Sample(x, 1, weight), Sample(x, 4, weight, bias, 0.1),
            Sample(image, 3), Sample(spread(-2, 3, 3, 6), 3, bias=spread(-1, 1, 6)), Sample(spread(-2, 3, 2, 4, 5), 2),
            Sample(x[:0], 2, weight, bias), Sample(x.astype(np.float64), 2),
            Sample(spread(-2, 3, 2, 4, 5, 7), 2, weight, bias)]


def _group_norm_errors() -> list[ErrorSample]:
    x, one = np.ones((2, 4, 3), np.float32), np.ones(3, np.float32)
    return [ErrorSample(Sample(x, 3), ShapeError, r"\[group_norm\] the channels do not divide.*num_groups=3; got 4"),
            ErrorSample(Sample(x, 0), ValueRangeError, "num_groups is too small"),
            ErrorSample(Sample(x, 2, one), ShapeError, r"weight does not fit.*\(4,\); got \(3,\)"),
            ErrorSample(Sample(one, 3), ShapeError, "the input has no channels"),
            ErrorSample(Sample(x.astype(np.int64), 2), DTypeError, "one float dtype")]


group_norm_p = define(
    "group_norm",
    infer=_group_norm_infer,
    run=_group_norm_run,
    prepare=_group_norm_prepare,
    epilogue=with_tail(_group_norm_prepare),
    scratch=lambda inputs, outputs, **_: _factors(inputs[0]),
    vjp=_group_norm_vjp,
    saves=Keep(inputs=(0, 1), outputs=(1, 2)),
    cost=summed(7),
    samples=_group_norm_samples,
    errors=_group_norm_errors,
    call=lambda *arguments, **keywords: group_norm(*arguments, **keywords),
)


def _group_norm_grad_scratch(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...]) -> tuple[Spec, ...]:
    sums = Spec.of(inputs[1].shape[:2], np.float64)
    return sums, sums, *_factors(inputs[1])


def _group_norm_grad_run(outs: list[Array], ins: list[Array], planes: bool) -> None:
    gx, g_weight, g_bias, weights, biases, *factors = outs
    g, x, mean, rstd, weight = ins[:5]
    bias = ins[5] if len(ins) == 6 else none(x.dtype)
    if planes:
        gx, g, x = as_planes(gx), as_planes(g), as_planes(x)
        kernels.planes.group_norm_grad(gx, weights, biases, g, x, mean, rstd, weight, bias, 0, 1)
    else:
        gx, g, x = _spaced(gx), _spaced(g), _spaced(x)
        kernels.norm.group_norm_grad(gx, weights, biases, *factors, g, x, mean, rstd, weight, bias, 0, 1)
    kernels.norm.sum_blocks(g_weight, weights, 0, 1)
    kernels.norm.sum_blocks(g_bias, biases, 0, 1)


def _group_norm_grad_twin(g: Any, x: Any, mean: Any, rstd: Any, weight: Any) -> tuple[Any, ...]:
    shape = _grouped(x.spec, mean.spec.shape[1])
    lead = (*shape[:2], *(1,) * (len(shape) - 2))
    dims, scale = tuple(range(2, len(shape))), reshape(rstd, lead)
    normal = mul(sub(reshape(x, shape), reshape(mean, lead)), scale)
    inner = reshape(mul(g, reshape(weight, channel_shape(x.spec.ndim))), shape)
    gx = sub(sub(inner, mean_of(inner, dims, True)), mul(normal, mean_of(mul(inner, normal), dims, True)))
    outside = (0, *range(2, x.spec.ndim))
    return (reshape(mul(gx, scale), x.spec.shape), total(mul(g, reshape(normal, x.spec.shape)), outside),
            total(g, outside))


def _group_norm_grad_samples() -> list[Sample]:
    g, x = (spread(low, 2, 2, 3, 2, 6).transpose(0, 3, 1, 2) for low in (-1, -2))
    mean, rstd, weight = spread(-1, 1, 2, 3), spread(0.5, 1, 2, 3), spread(0.5, 2, 6)
    double = [a.astype(np.float64) for a in (g, x, mean[:, :1], rstd[:, :1], weight)]
    planes = [spread(low, 2, 2, 6, 5, 7) for low in (-1, -2)]
    return [Sample(g, x, mean, rstd, weight), Sample(*double), Sample(*planes, mean, rstd, weight)]


group_norm_grad_p: Primitive = define(
    "group_norm_grad",
    infer=grad_infer,
    run=_group_norm_grad_run,
    prepare=lambda inputs, outputs: {"planes": in_planes(inputs[1])},
    scratch=_group_norm_grad_scratch,
    vjp=None,
    twin=_group_norm_grad_twin,
    cost=summed(9),
    samples=_group_norm_grad_samples,
    errors=no_errors,
    call=lambda g, x, *others: differentiated(group_norm_grad_p, g, x, *others),
)


def _relu_grad_twin(g: Any, x: Any, mean: Any, rstd: Any, weight: Any, bias: Any) -> tuple[Any, ...]:
    shape, channels = _grouped(x.spec, mean.spec.shape[1]), channel_shape(x.spec.ndim)
    lead = (*shape[:2], *(1,) * (len(shape) - 2))
    normal = mul(sub(reshape(x, shape), reshape(mean, lead)), reshape(rstd, lead))
    result = add(mul(reshape(normal, x.spec.shape), reshape(weight, channels)), reshape(bias, channels))
    return _group_norm_grad_twin(passed(g, result), x, mean, rstd, weight)


# The gradient of ReLU(group norm), as `batch_norm_relu_grad`.
group_norm_relu_grad_p: Primitive = define(
    "group_norm_relu_grad",
    infer=grad_infer,
    run=_group_norm_grad_run,
    prepare=lambda inputs, outputs: {"planes": in_planes(inputs[1])},
    scratch=_group_norm_grad_scratch,
    joined=Joined("relu", "relu_grad", "group_norm_grad", {"group_norm": (0, 4, 5, 1, 2)}),
    vjp=None,
    twin=_relu_grad_twin,
    cost=summed(12),
    samples=lambda: [Sample(*sample.arguments, bias_of(sample)) for sample in _group_norm_grad_samples()],
    errors=no_errors,
    call=lambda g, x, *others: differentiated(group_norm_relu_grad_p, g, x, *others),
)


def _by_groups(operation: str, x: Any, groups: int, weight: Any, bias: Any, eps: float) -> Any:
    """Normalise by groups of channels; return the output and the statistics."""
    require_tensor(operation, x)
    shape: Shape = x.spec.shape
    if len(shape) < 2:
        raise ShapeError(operation, "the input has no channels", expected="(N, C, ...)", got=str(shape))
    if groups < 1:
        raise ValueRangeError(operation, "num_groups is too small", expected="at least 1", got=str(groups))
    if shape[1] % groups:
        raise ShapeError(operation, "the channels do not divide into the groups",
                         expected=f"a multiple of num_groups={groups}", got=f"{shape[1]} (input {shape})")
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None:
            require_tensor(operation, value, name)
            require_shape(operation, name, value.spec, shape[1:2])
    x = laid_out(x)
    return bind(group_norm_p, x, *affine(x, weight, bias, shape[1:2]), groups=groups, eps=float(eps))


def group_norm(input: TensorT, num_groups: int, weight: TensorT | None = None, bias: TensorT | None = None,
               eps: float = 1e-05) -> TensorT:
    """Normalise over groups of channels and all places of one sample.

    Args:
        input: (N, C, ...).
        num_groups: divides C; 1 normalises over everything, C over each channel alone.
        weight: (C,), or None for ones.
        bias: (C,), or None for zeros.
        eps: added to the (biased) variance.

    Returns:
        The shape of `input`, and its layout if its channels are innermost in memory or planes.

    Raises:
        ShapeError: if the channels do not divide into the groups, or weight or bias have another shape.
        DTypeError: unless all have one float dtype.
        ValueRangeError: if `num_groups` is less than 1.

    Source: Wu and He, Group Normalization (2018).

    >>> import autodiff as ad
    >>> ad.nn.functional.group_norm(ad.tensor([[1.0, 3.0, 0.0, 4.0]]), 2)
    tensor([[-1.0000,  1.0000, -1.0000,  1.0000]])
    """
    groups = integer("group_norm", "num_groups", num_groups)
    out: TensorT = _by_groups("group_norm", input, groups, weight, bias, eps)[0]
    return out


def _instance_norm_samples() -> list[Sample]:
    x, values = spread(-2, 3, 2, 3, 4, 2), (spread(0.5, 2, 3), spread(-1, 1, 3))
    statistics = spread(-1, 1, 3), spread(0.5, 2, 3)
    return [Sample(x), Sample(x, None, None, *values), Sample(x[:, :, 0], None, None, *values, eps=0.1), Sample(x[0]),
            Sample(x, *statistics, *values, use_input_stats=False), Sample(x.astype(np.float64)),
            Sample(spread(-2, 3, 2, 4, 2, 3).transpose(0, 3, 1, 2), weight=values[0])]


def _instance_norm_errors() -> list[ErrorSample]:
    x = np.ones((2, 3, 1), np.float32)
    return [ErrorSample(Sample(x), ShapeError, r"\[instance_norm\].*more than one place.*\(2, 3, 1\)"),
            ErrorSample(Sample(x[..., 0]), ShapeError, "more than one place"),
            ErrorSample(Sample(x, use_input_stats=False), DTypeError, "running_mean and running_var are missing")]


def _averages(mean: Any, rstd: Any, eps: float) -> tuple[Any, Any]:
    """Return mean and variance of a channel, averaged over the samples."""
    return mean_of(mean, 0), sub(mean_of(reciprocal(square(rstd)), 0), eps)


@composed(samples=_instance_norm_samples, errors=_instance_norm_errors)
def instance_norm(input: TensorT, running_mean: TensorT | None = None, running_var: TensorT | None = None,
                  weight: TensorT | None = None, bias: TensorT | None = None, use_input_stats: bool = True,
                  momentum: float = 0.1, eps: float = 1e-05) -> TensorT:
    """Normalise each channel of each sample over its places.

    Args:
        input: (N, C, ...).
        running_mean: (C,), or None; moves in place towards the samples' average mean.
        running_var: (C,), or None; moves in place towards the samples' average unbiased variance.
        weight: (C,), or None for ones.
        bias: (C,), or None for zeros.
        use_input_stats: otherwise the running statistics are used, as in `batch_norm`.
        momentum: weight of this input in the running statistics.
        eps: added to the (biased) variance.

    Returns:
        The shape of `input`, and its layout if its channels are innermost in memory or planes.

    Raises:
        ShapeError: if there is only one place a channel, or weight or bias have another shape.
        DTypeError: unless all have one float dtype.

    Source: Ulyanov et al., Instance Normalization (2016).

    >>> import autodiff as ad
    >>> ad.nn.functional.instance_norm(ad.tensor([[[1.0, 3.0], [0.0, 4.0]]]))
    tensor([[[-1.0000,  1.0000],
             [-1.0000,  1.0000]]])
    """
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    require_tensor("instance_norm", input)
    shape: Shape = input.spec.shape  # type: ignore[attr-defined]
    places = math.prod(shape[2:])
    if places < 2:
        raise ShapeError("instance_norm", "there is no variance in one place a channel",
                         expected="more than one place a channel", got=str(shape))
    out, mean, rstd = _by_groups("instance_norm", input, max(shape[1], 1), weight, bias, eps)
    if running_mean is not None or running_var is not None:
        follow(running_mean, running_var, *_averages(mean, rstd, eps), places, momentum)
    return out  # type: ignore[no-any-return]
