"""Batch normalisation, and what all normalisations share.

A normalisation also gives the statistics it used, and its gradient is an operation of its own that reads them; the
statistics are differentiated like any output, so that second derivatives are those of the formula::

    xhat = (x - mean) * rstd,   rstd = 1 / sqrt(variance + eps),   out = xhat * weight + bias

A missing weight or bias is a tensor of ones or zeros.

Images keep their layout: there are kernels for channels side by side, which sum over blocks of rows, and for channels
that are planes. An image in another layout, or one of small planes, is copied channels-last.

Source: Ioffe and Szegedy, Batch Normalization (2015).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.bind import TensorT, bind, bind_into
from autodiff.errors import DTypeError, ShapeError
from autodiff.ops.broadcast import expand
from autodiff.ops.broadcast import sum as total
from autodiff.ops.choice import where
from autodiff.ops.comparison import le
from autodiff.ops.elementwise import add, lerp_p, mul, spread, sub
from autodiff.ops.functions import rsqrt
from autodiff.ops.host import from_array
from autodiff.ops.products import require_floats
from autodiff.ops.promotion import constant
from autodiff.ops.structural import contiguous, ordered, require_tensor, reshape
from autodiff.primitive import ErrorSample, Joined, Keep, Primitive, Sample, Tail, define, no_errors
from autodiff.spec import Array, Cost, DType, Shape, Spec, channels_last_order, moved
from autodiff.thread_mode import MODE

__all__ = ["batch_norm"]

# ---- What all share --------------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _filled(shape: Shape, dtype: DType, value: float) -> Any:
    """Return a constant tensor, the same for every call."""
    return from_array(np.full(shape, value, dtype))


def affine(x: Any, weight: Any, bias: Any, shape: Shape) -> tuple[Any, Any]:
    """Return weight and bias in C order, ones and zeros where they are missing."""
    return (_filled(shape, x.spec.dtype, 1.0) if weight is None else contiguous(weight),
            _filled(shape, x.spec.dtype, 0.0) if bias is None else contiguous(bias))


def require_shape(operation: str, name: str, found: Spec, shape: Shape) -> None:
    """Raise a `ShapeError` unless a weight or the like has this shape."""
    if found.shape != shape:
        raise ShapeError(operation, f"the {name} does not fit the input", expected=str(shape), got=str(found.shape))


def none(dtype: DType) -> Array:
    """Return an array of length 0: for a kernel, no residual, no scale and no bias."""
    return _NONE[dtype]


_NONE = {np.dtype(dtype): np.empty(0, dtype) for dtype in (np.float32, np.float64)}


def with_tail(prepare: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Return the `epilogue` of an operation whose `run` takes its tail as a keyword, from its `prepare`."""
    return lambda inputs, outputs, tail, **params: prepare(inputs, outputs, **params) | {"tail": tail}


def following(tail: Tail | None, ins: list[Array]) -> tuple[Array, Array, int]:
    """Return residual, scale and activation, as kernels take them: arrays in the order of memory."""
    missing = none(ins[0].dtype)
    if tail is None:
        return missing, missing, kernels.epilogue.NONE
    residual, scale, activation = tail.arguments(ins, missing)
    return (residual if residual.flags.c_contiguous else as_rows(residual)).reshape(-1), scale.reshape(-1), activation


def channel_shape(ndim: int) -> Shape:
    """Return the shape in which a value a channel broadcasts against (N, C, ...)."""
    return (1, -1) + (1,) * (ndim - 2)


PLANE = 16  # places from which on channels in C order are worked on as planes


def in_planes(x: Spec) -> bool:
    """Whether the channels of an (N, C, ...) tensor are planes of neighbouring numbers, and worked on as such."""
    return x.contiguous and x.size > 0 and math.prod(x.shape[2:]) >= PLANE


def laid_out(x: TensorT) -> TensorT:
    """Return an (N, C, ...) tensor in planes, or with its channels innermost in memory: itself, or else a copy."""
    spec: Spec = x.spec  # type: ignore[attr-defined]
    return x if in_planes(spec) else ordered(x, channels_last_order(spec.ndim))


def as_rows(array: Array) -> Array:
    """Return an (N, C, ...) array whose channels lie innermost as (pixels, C)."""
    return array.transpose(channels_last_order(array.ndim)).reshape(-1, array.shape[1])


def as_planes(array: Array) -> Array:
    """Return an (N, C, ...) array in C order as (N, C, places)."""
    return array.reshape(*array.shape[:2], -1)


def block_sums(rows: int, columns: int) -> Spec:
    """Return the spec of the float64 sums over blocks of rows."""
    return Spec.of((-(-rows // kernels.norm.ROWS), columns), np.float64)


def summed(flops: int) -> Callable[..., Cost]:
    """Return the cost function of so many operations an element."""
    return lambda inputs, outputs, **_: Cost(flops * outputs[0].size, moved(*inputs, *outputs))


def with_statistics(gx: Any, *terms: Any) -> Any:
    """Add what flows into x through the statistics, where anything does."""
    for term in terms:
        if term is not None:
            gx = term if gx is None else add(gx, term)
    return gx


# ---- Batch normalisation ---------------------------------------------------------------------------------------------


def _pixels(x: Spec) -> int:
    return x.size // x.shape[1] if x.shape[1] else 0


def _require_channels(operation: str, x: Spec, **values: Spec) -> None:
    if x.ndim < 2:
        raise ShapeError(operation, "the input has no channels", expected="(N, C) or (N, C, ...)", got=str(x.shape))
    require_floats(operation, x, *values.values())
    for name, spec in values.items():
        require_shape(operation, name, spec, x.shape[1:2])


def _batch_norm_infer(x: Spec, weight: Spec, bias: Spec, eps: float) -> tuple[Spec, ...]:
    _require_channels("batch_norm", x, weight=weight, bias=bias)
    if _pixels(x) < 2:
        raise ShapeError("batch_norm", "there is no variance in one value a channel",
                         expected="more than one value a channel in training", got=str(x.shape),
                         fix="use a larger batch, or eval() to normalise with the running statistics")
    statistics = Spec.of(x.shape[1:2], x.dtype)
    return Spec.of(x.shape, x.dtype, x.order), statistics, statistics, statistics


def _channel_sums(x: Spec) -> tuple[Spec, Spec]:
    """Return the specs of two float64 sums a channel, over each plane or each block of rows."""
    sums = Spec.of(x.shape[:2], np.float64) if in_planes(x) else block_sums(_pixels(x), x.shape[1])
    return sums, sums


def _batch_norm_run(outs: list[Array], ins: list[Array], eps: float, planes: bool, tail: Tail | None = None) -> None:
    out, mean, variance, rstd, means, deviations = outs
    x, weight, bias = ins[:3]
    after = following(tail, ins)
    if planes:
        x, out = as_planes(x), as_planes(out)
        places = x.shape[2]
        kernels.planes.moments(means, deviations, x, 0, 1)
        kernels.norm.batch_norm_combine(mean, variance, rstd, means, deviations, len(x) * places, places, eps, 0, 1)
        kernels.planes.batch_norm(out, x, mean, rstd, weight, bias, *after, 0, 1)
        return
    x, out = as_rows(x), as_rows(out)
    kernels.norm.batch_norm_partial(means, deviations, x, 0, 1)
    kernels.norm.batch_norm_combine(mean, variance, rstd, means, deviations, len(x), kernels.norm.ROWS, eps, 0, 1)
    kernels.norm.batch_norm(out, x, mean, rstd, weight, bias, *after, 0, 1)


def _batch_norm_prepare(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], eps: float) -> dict[str, Any]:
    return {"eps": eps, "planes": in_planes(inputs[0])}


def _batch_norm_vjp(record: Any, g: Any, g_mean: Any, g_variance: Any, g_rstd: Any) -> tuple[Any, ...]:
    x, weight, mean, rstd = record.input(0), record.input(1), record.output(1), record.output(3)
    gx = g_weight = g_bias = None
    if g is not None:
        gx, g_weight, g_bias = bind(batch_norm_grad_p, ordered(g, x.spec.order), x, mean, rstd, weight, training=True)
    if record.mask[0]:
        shape, count = channel_shape(x.spec.ndim), _pixels(x.spec)
        if g_rstd is not None:
            through = mul(g_rstd, mul(cube(rstd), -0.5))
            g_variance = through if g_variance is None else add(g_variance, through)
        gx = with_statistics(
            gx,
            None if g_mean is None else expand(reshape(mul(g_mean, 1 / count), shape), x.spec.shape),
            None if g_variance is None else
            mul(sub(x, reshape(mean, shape)), reshape(mul(g_variance, 2 / count), shape)),
        )
    return gx, g_weight, g_bias


def cube(x: Any) -> Any:
    """Return ``x ** 3``."""
    return mul(x, mul(x, x))


def _batch_norm_samples() -> list[Sample]:
    x, weight, bias = spread(-2, 3, 5, 3), spread(0.5, 2, 3), spread(-1, 1, 3)
    mean, variance = spread(-1, 1, 3), spread(0.5, 2, 3)
    image = spread(-2, 3, 2, 3, 4, 3).transpose(0, 3, 1, 2)
    planes, double = spread(-2, 3, 2, 3, 5, 7), [a.astype(np.float64) for a in (image, weight, bias)]
    return [
        Sample(x, training=True), Sample(x, None, None, weight, bias, True),
        Sample(image, None, None, weight, bias, True),
        Sample(image, weight=weight, training=True, eps=0.1), Sample(spread(-2, 3, 2, 3, 5), bias=bias, training=True),
        Sample(spread(-2, 3, 300, 2), training=True), Sample(x[::2, ::-1], None, None, weight, bias, True),
        Sample(double[0], None, None, *double[1:], training=True),
        Sample(image, mean, variance, weight, bias), Sample(x, mean, variance), Sample(x[:0], mean, variance, weight),
        Sample(planes, None, None, weight, bias, True), Sample(planes, mean, variance, weight, bias),
    ]


def _batch_norm_errors() -> list[ErrorSample]:
    x, one = np.ones((4, 3), np.float32), np.ones(3, np.float32)
    return [
        ErrorSample(Sample(x[:1], training=True), ShapeError, r"\[batch_norm\].*more than one value.*\(1, 3\)"),
        ErrorSample(Sample(x, weight=one[:2], training=True), ShapeError, r"weight does not fit.*\(3,\); got \(2,\)"),
        ErrorSample(Sample(x, one[:2], one), ShapeError, "running_mean does not fit"),
        ErrorSample(Sample(x), DTypeError, "running_mean and running_var are missing"),
        ErrorSample(Sample(one, one, one), ShapeError, "the input has no channels"),
        ErrorSample(Sample(x.astype(np.int64), training=True), DTypeError, "one float dtype"),
    ]


batch_norm_p = define(
    "batch_norm",
    infer=_batch_norm_infer,
    run=_batch_norm_run,
    prepare=_batch_norm_prepare,
    epilogue=with_tail(_batch_norm_prepare),
    scratch=lambda inputs, outputs, eps: _channel_sums(inputs[0]),
    vjp=_batch_norm_vjp,
    saves=Keep(inputs=(0, 1), outputs=(1, 3)),
    cost=summed(7),
    samples=_batch_norm_samples,
    errors=_batch_norm_errors,
    call=lambda *arguments, **keywords: batch_norm(*arguments, **keywords),
)


def grad_infer(g: Spec, x: Spec, mean: Spec, rstd: Spec, weight: Spec, *_: Spec, **params: Any) -> tuple[Spec, ...]:
    """Return the specs of the gradients of x, weight and bias: for batch, layer and group normalisation."""
    gradient = Spec.of(weight.shape, x.dtype)
    return Spec.of(x.shape, x.dtype, x.order), gradient, gradient


def _batch_norm_grad_run(outs: list[Array], ins: list[Array], training: bool, planes: bool) -> None:
    gx, g_weight, g_bias, weights, biases = outs
    g, x, mean, rstd, weight = ins[:5]
    bias = ins[5] if len(ins) == 6 else none(x.dtype)
    view, kernel = (as_planes, kernels.planes) if planes else (as_rows, kernels.norm)
    g, x = view(g), view(x)
    kernel.batch_norm_grad_partial(weights, biases, g, x, mean, rstd, weight, bias, 0, 1)
    kernels.norm.sum_blocks(g_weight, weights, 0, 1)
    kernels.norm.sum_blocks(g_bias, biases, 0, 1)
    kernel.batch_norm_grad(view(gx), g, x, mean, rstd, weight, bias, g_weight, g_bias, int(training), 0, 1)


def _batch_norm_grad_prepare(
    inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], training: bool
) -> dict[str, Any]:
    return {"training": training, "planes": in_planes(inputs[1])}


def _batch_norm_grad_twin(g: Any, x: Any, mean: Any, rstd: Any, weight: Any, *, training: bool) -> tuple[Any, ...]:
    shape = channel_shape(x.spec.ndim)
    dims = (0, *range(2, x.spec.ndim))
    normal = mul(sub(x, reshape(mean, shape)), reshape(rstd, shape))
    g_weight, g_bias = total(mul(g, normal), dims), total(g, dims)
    inner = g
    if training:
        share = 1 / _pixels(x.spec)
        inner = sub(sub(g, reshape(mul(g_bias, share), shape)), mul(normal, reshape(mul(g_weight, share), shape)))
    return mul(inner, reshape(mul(weight, rstd), shape)), g_weight, g_bias


def _batch_norm_grad_samples() -> list[Sample]:
    image = [spread(low, 2, 2, 3, 4, 3).transpose(0, 3, 1, 2) for low in (-1, -2)]
    statistics = spread(-1, 1, 3), spread(0.5, 1, 3), spread(1, 2, 3)
    double = [a.astype(np.float64) for a in (spread(-1, 1, 5, 3), spread(-2, 2, 5, 3), *statistics)]
    return [Sample(*image, *statistics, training=True), Sample(*image, *statistics, training=False),
            Sample(*double, training=True), Sample(*double, training=False),
            Sample(spread(-1, 2, 2, 3, 5, 7), spread(-2, 2, 2, 3, 5, 7), *statistics, training=True)]


def bias_of(sample: Sample) -> Array:
    """Return a bias for the gradient of a norm and its ReLU, from a sample of that of the norm."""
    weight = sample.arguments[4]
    return spread(-1, 1, *weight.shape).astype(weight.dtype)


batch_norm_grad_p: Primitive = define(
    "batch_norm_grad",
    infer=grad_infer,
    run=_batch_norm_grad_run,
    prepare=_batch_norm_grad_prepare,
    scratch=lambda inputs, outputs, training: _channel_sums(inputs[1]),
    vjp=None,
    twin=_batch_norm_grad_twin,
    cost=summed(11),
    samples=_batch_norm_grad_samples,
    errors=no_errors,
    call=lambda g, x, *others, training: differentiated(batch_norm_grad_p, g, x, *others, training=training),
)


def passed(g: Any, normal: Any) -> Any:
    """Return the gradient of ReLU, from what it was given."""
    return where(le(normal, 0), 0, g)


def _relu_grad_twin(
    g: Any, x: Any, mean: Any, rstd: Any, weight: Any, bias: Any, *, training: bool
) -> tuple[Any, ...]:
    shape = channel_shape(x.spec.ndim)
    scaled = mul(sub(x, reshape(mean, shape)), reshape(mul(rstd, weight), shape))
    return _batch_norm_grad_twin(passed(g, add(scaled, reshape(bias, shape))), x, mean, rstd, weight, training=training)


# The gradient of ReLU(batch norm). What ReLU was given is computed again from x: its sign says what passed. So nobody
# writes the cotangent that passed, to read it twice, or reads the result of ReLU.
batch_norm_relu_grad_p: Primitive = define(
    "batch_norm_relu_grad",
    infer=grad_infer,
    run=_batch_norm_grad_run,
    prepare=_batch_norm_grad_prepare,
    scratch=lambda inputs, outputs, training: _channel_sums(inputs[1]),
    joined=Joined("relu", "relu_grad", "batch_norm_grad",
                  {"batch_norm": (0, 4, 6, 1, 2), "batch_norm_given": (0, 1, 6, 3, 4)}),
    vjp=None,
    twin=_relu_grad_twin,
    cost=summed(14),
    samples=lambda: [Sample(*sample.arguments, bias_of(sample), **sample.keywords)
                     for sample in _batch_norm_grad_samples()],
    errors=no_errors,
    call=lambda g, x, *others, training: differentiated(batch_norm_relu_grad_p, g, x, *others, training=training),
)


def differentiated(primitive: Primitive, g: Any, x: Any, *others: Any, **params: Any) -> Any:
    """Bind the gradient of a norm of images, with the cotangent in the layout of the input."""
    x = laid_out(x)
    return bind(primitive, ordered(g, x.spec.order), x, *map(contiguous, others), **params)


def _given_infer(x: Spec, mean: Spec, variance: Spec, weight: Spec, bias: Spec, eps: float) -> tuple[Spec, Spec]:
    _require_channels("batch_norm", x, running_mean=mean, running_var=variance, weight=weight, bias=bias)
    return Spec.of(x.shape, x.dtype, x.order), Spec.of(x.shape[1:2], x.dtype)


def _given_run(outs: list[Array], ins: list[Array], eps: float, planes: bool, tail: Tail | None = None) -> None:
    out, rstd = outs
    x, mean, variance, weight, bias = ins[:5]
    after = following(tail, ins)
    view, kernel = (as_planes, kernels.planes) if planes else (as_rows, kernels.norm)
    kernels.norm.reciprocal_std(rstd, variance, eps, 0, 1)
    kernel.batch_norm(view(out), view(x), mean, rstd, weight, bias, *after, 0, 1)


def _given_vjp(record: Any, g: Any, g_rstd: Any) -> tuple[Any, ...]:
    x, mean, weight, rstd = record.input(0), record.input(1), record.input(3), record.output(1)
    gx = g_mean = g_variance = g_weight = g_bias = None
    if g is not None:
        gx, g_weight, g_bias = bind(batch_norm_grad_p, ordered(g, x.spec.order), x, mean, rstd, weight, training=False)
        if record.mask[1]:
            g_mean = mul(mul(g_bias, mul(weight, rstd)), -1.0)
        if record.mask[2]:
            g_variance = mul(mul(g_weight, mul(weight, mul(rstd, rstd))), -0.5)
    if record.mask[2] and g_rstd is not None:
        g_variance = with_statistics(g_variance, mul(g_rstd, mul(cube(rstd), -0.5)))
    return gx, g_mean, g_variance, g_weight, g_bias


def _given_twin(x: Any, mean: Any, variance: Any, weight: Any, bias: Any, *, eps: float) -> tuple[Any, Any]:
    shape = channel_shape(x.spec.ndim)
    rstd = rsqrt(add(variance, eps))
    scaled = mul(sub(x, reshape(mean, shape)), reshape(mul(rstd, weight), shape))
    return add(scaled, reshape(bias, shape)), rstd


def _given_samples() -> list[Sample]:
    values = spread(-1, 1, 3), spread(0.5, 2, 3), spread(0.5, 2, 3), spread(-1, 1, 3)
    return [Sample(spread(-2, 3, 2, 3, 4, 3).transpose(0, 3, 1, 2), *values, eps=1e-5),
            Sample(*[a.astype(np.float64) for a in (spread(-2, 3, 4, 3), *values)], eps=0.1)]


batch_norm_given_p: Primitive = define(
    "batch_norm_given",
    infer=_given_infer,
    run=_given_run,
    prepare=_batch_norm_prepare,
    epilogue=with_tail(_batch_norm_prepare),
    vjp=_given_vjp,
    twin=_given_twin,
    saves=Keep(inputs=(0, 1, 3), outputs=(1,)),
    cost=summed(3),
    samples=_given_samples,
    errors=no_errors,
    call=lambda x, *values, eps: bind(batch_norm_given_p, laid_out(x), *map(contiguous, values), eps=eps),
)


def _update(running: Any, value: Any, momentum: float) -> None:
    """Let a running statistic follow: ``running += momentum * (value - running)``, in place."""
    bind_into(running, lerp_p, running, value, constant(momentum, running.spec.dtype))


def batch_norm(input: TensorT, running_mean: TensorT | None = None, running_var: TensorT | None = None,
               weight: TensorT | None = None, bias: TensorT | None = None, training: bool = False,
               momentum: float = 0.1, eps: float = 1e-05) -> TensorT:
    """Normalise each channel over the batch: ``(x - mean) / sqrt(variance + eps) * weight + bias``.

    In training, mean and (biased) variance are those of this batch, and the running statistics, where given, move
    towards them in place: ``running = (1 - momentum) * running + momentum * statistic``, with the unbiased variance.
    Otherwise the running statistics are used.

    Args:
        input: (N, C) or (N, C, ...).
        running_mean: (C,); may be None in training.
        running_var: (C,); may be None in training.
        weight: (C,), or None for ones.
        bias: (C,), or None for zeros.
        training: which statistics to use.
        momentum: weight of this batch in the running statistics.
        eps: added to the variance.

    Returns:
        The shape of `input`, and its layout if its channels are innermost in memory or planes.

    Raises:
        ShapeError: if a size does not fit, or in training with only one value a channel.
        DTypeError: unless all have one float dtype, or when running statistics are missing outside of training.

    Source: Ioffe and Szegedy, Batch Normalization (2015), algorithms 1 and 2.

    >>> import autodiff as ad
    >>> ad.nn.functional.batch_norm(ad.tensor([[1.0], [3.0]]), training=True)
    tensor([[-1.0000],
            [ 1.0000]])
    """
    x: Any = input
    require_tensor("batch_norm", x)
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None:
            require_tensor("batch_norm", value, name)
    if x.spec.ndim >= 2:
        x = laid_out(x)
    scale, shift = affine(x, weight, bias, x.spec.shape[1:2])
    if not training:
        if running_mean is None or running_var is None:
            raise DTypeError("batch_norm", "running_mean and running_var are missing",
                             got="training=False without them",
                             fix="pass them, or normalise with the batch's own statistics: training=True")
        given = contiguous(running_mean), contiguous(running_var)
        return bind(batch_norm_given_p, x, *given, scale, shift, eps=float(eps))[0]  # type: ignore[no-any-return]
    out, mean, variance, _ = bind(batch_norm_p, x, scale, shift, eps=float(eps))
    count = _pixels(x.spec)
    follow(running_mean, running_var, mean, variance, count, momentum)
    return out  # type: ignore[no-any-return]


def follow(running_mean: Any, running_var: Any, mean: Any, variance: Any, count: int, momentum: float) -> None:
    """Move the running statistics, where there are any, towards those of `count` values, in place, unrecorded."""
    grad, MODE.grad = MODE.grad, False
    try:
        if running_mean is not None:
            _update(running_mean, mean, momentum)
        if running_var is not None:
            _update(running_var, mul(variance, count / (count - 1)), momentum)
    finally:
        MODE.grad = grad
