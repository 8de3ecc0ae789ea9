"""Resizing of images, lines and volumes: the nearest pixel, or interpolation; and the exchange of channels for pixels.

Resizing is linear: each of the two operations and its gradient are each other's vjp. All modes work axis by axis:
the planes of a volume are resized as images, and then its depth as a line.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops.adaptive import adaptive_avg_pool1d, adaptive_avg_pool2d
from autodiff.ops.elementwise import spread
from autodiff.ops.images import (
    Pair,
    Passes,
    as_image,
    channels_last,
    from_image,
    image_spec,
    in_memory,
    numbers,
    separable,
)
from autodiff.ops.pooling3d import adaptive_avg_pool3d
from autodiff.ops.products import require_floats
from autodiff.ops.structural import permute, require_tensor, reshape
from autodiff.primitive import OPERATIONS, ErrorSample, Primitive, Sample, composed, define, no_errors
from autodiff.spec import Array, Cost, DType, Shape, Spec, moved

__all__ = ["channel_shuffle", "interpolate", "pixel_shuffle", "pixel_unshuffle"]

# Input pixels that one output pixel covers, by rows and columns.
Scale = tuple[float, float]

# ---- The two operations ----------------------------------------------------------------------------------------------


def _resized(x: Spec, size: Pair, scale: Scale, align_corners: bool | None = None) -> Spec:
    return image_spec((*x.shape[:2], *size), x.dtype)


def _nearest_run(outs: list[Array], ins: list[Array], size: Pair, scale: Scale) -> None:
    kernels.resize.resize_nearest(in_memory(outs[0]), in_memory(ins[0]), *scale, 0, 1)


def _nearest_grad_run(outs: list[Array], ins: list[Array], size: Pair, scale: Scale) -> None:
    kernels.resize.resize_nearest_grad(in_memory(outs[0]), in_memory(ins[0]), *scale, 0, 1)


def _bilinear_run(outs: list[Array], ins: list[Array], size: Pair, scale: Scale, align_corners: bool) -> None:
    kernels.resize.resize_bilinear(in_memory(outs[0]), in_memory(ins[0]), *scale, int(align_corners), 0, 1)


def _bilinear_grad_run(outs: list[Array], ins: list[Array], size: Pair, scale: Scale, align_corners: bool) -> None:
    kernels.resize.resize_bilinear_grad(in_memory(outs[0]), in_memory(ins[0]), *scale, int(align_corners), 0, 1)


def _other_way(operation: str) -> Any:
    """Return the vjp: the operation of this name, back to the input's size."""

    def vjp(record: Any, g: Any) -> tuple[Any]:
        params = {**record.params, "size": record.inputs[0].shape[2:]}
        return (bind(OPERATIONS[operation], channels_last(g), **params),)  # type: ignore[arg-type]

    return vjp


def _nearest_weights(size: int, count: int, scale: float, centre: float = 0.0) -> Array:
    """Return the matrix (count, size) that takes the nearest places; positions are computed in float32."""
    weights = np.zeros((count, size))
    for i in range(count):
        weights[i, min(int(np.float32(i + centre) * np.float32(scale)), size - 1)] = 1
    return weights


def _linear_weights(size: int, count: int, scale: float, align_corners: bool, dtype: DType) -> Array:
    """Return the matrix (count, size) that interpolates between neighbouring places."""
    weights, step = np.zeros((count, size), dtype), dtype.type(scale)
    for i in range(count):
        position = i * step if align_corners else max((i + dtype.type(0.5)) * step - dtype.type(0.5), dtype.type(0))
        first = min(int(position), size - 1)
        weights[i, first] += 1 - min(position - first, 1)
        weights[i, min(first + 1, size - 1)] += min(position - first, 1)
    return weights


def _nearest_twin(x: Any, *, size: Pair, scale: Scale) -> Any:
    return separable(x, *[_nearest_weights(x.spec.shape[2 + i], size[i], scale[i]) for i in range(2)])


def _nearest_grad_twin(g: Any, *, size: Pair, scale: Scale) -> Any:
    return separable(g, *[_nearest_weights(size[i], g.spec.shape[2 + i], scale[i]).T for i in range(2)])


def _bilinear_twin(x: Any, *, size: Pair, scale: Scale, align_corners: bool) -> Any:
    return separable(x, *[_linear_weights(x.spec.shape[2 + i], size[i], scale[i], align_corners, x.spec.dtype)
                          for i in range(2)])


def _bilinear_grad_twin(g: Any, *, size: Pair, scale: Scale, align_corners: bool) -> Any:
    return separable(g, *[_linear_weights(size[i], g.spec.shape[2 + i], scale[i], align_corners, g.spec.dtype).T
                          for i in range(2)])


def _operation_samples(**options: Any) -> list[Sample]:
    x = spread(-1, 1, 2, 3, 4, 2).transpose(0, 3, 1, 2)
    return [Sample(x, size=(5, 7), scale=(3 / 5, 4 / 7), **options),
            Sample(x, size=(2, 4), scale=(1.5, 1.0), **options),
            Sample(x.astype(np.float64), size=(6, 2), scale=(0.4, 2.5), **options),
            Sample(x[:0], size=(1, 1), scale=(3.0, 4.0), **options)]


def _bilinear_samples() -> list[Sample]:
    return [*_operation_samples(align_corners=False), *_operation_samples(align_corners=True)]


def _define(name: str, run: Any, twin: Any, samples: Any, backward: str, flops: int) -> Primitive:
    def cost(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], **_: Any) -> Cost:
        wide = inputs[0] if name.endswith("_grad") else outputs[0]
        return Cost(flops * wide.size, moved(*inputs, *outputs))

    primitive = define(
        name, infer=_resized, run=run, vjp=_other_way(backward), twin=twin, cost=cost, samples=samples,
        errors=no_errors, call=lambda x, **params: bind(primitive, channels_last(x), **params),
    )
    return primitive


resize_nearest_p = _define("resize_nearest", _nearest_run, _nearest_twin, _operation_samples, "resize_nearest_grad", 0)
_define("resize_nearest_grad", _nearest_grad_run, _nearest_grad_twin, _operation_samples, "resize_nearest", 1)
resize_bilinear_p = _define("resize_bilinear", _bilinear_run, _bilinear_twin, _bilinear_samples,
                            "resize_bilinear_grad", 9)
_define("resize_bilinear_grad", _bilinear_grad_run, _bilinear_grad_twin, _bilinear_samples, "resize_bilinear", 8)

# ---- interpolate -----------------------------------------------------------------------------------------------------


def _cubic(d: Any, a: float) -> Any:
    """Return the weight of cubic interpolation at distances d: Keys (1981), equation 4."""
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


def _cubic_weights(size: int, count: int, scale: float, align_corners: bool) -> Array:
    """Return the matrix (count, size) of cubic interpolation."""
    weights = np.zeros((count, size))
    for i in range(count):
        position = i * scale if align_corners else (i + 0.5) * scale - 0.5
        for place in range(math.floor(position) - 1, math.floor(position) + 3):
            weights[i, min(max(place, 0), size - 1)] += _cubic(abs(position - place), a=-0.75)
    return weights


def _smooth_weights(size: int, count: int, scale: float, cubic: bool) -> Array:
    """Return the matrix (count, size) that averages what a place covers: by the mode's kernel, made wider by the scale.

    So details smaller than a pixel of the result do not turn into others. The cubic kernel has a = -0.5.
    """
    centres = (np.arange(count)[:, None] + 0.5) * scale
    distances = np.abs(np.arange(size) + 0.5 - centres) / max(scale, 1)
    weights = _cubic(distances, a=-0.5) if cubic else np.maximum(1 - distances, 0)
    return weights / weights.sum(1, keepdims=True)  # type: ignore[no-any-return]


# For each mode: for how many spatial dimensions, and whether align_corners means anything to it.
_MODES: dict[str, tuple[tuple[int, ...], bool]] = {
    "nearest": ((1, 2, 3), False), "nearest-exact": ((1, 2, 3), False),
    "linear": ((1,), True), "bilinear": ((2,), True), "trilinear": ((3,), True), "bicubic": ((2,), True),
    "area": ((1, 2, 3), False),
}
_SMOOTH = "bilinear", "bicubic"  # modes with antialias
_AREAS: dict[int, Any] = {1: adaptive_avg_pool1d, 2: adaptive_avg_pool2d, 3: adaptive_avg_pool3d}
_LAYOUT = {1: "(N, C, L)", 2: "(N, C, H, W)", 3: "(N, C, D, H, W)"}
_LINEAR = "linear", "bilinear", "trilinear"

_EXACT: dict[str, dict[float, float]] = {"nearest": {1.0: 1.0, 2.0: 0.5}, **{mode: {1.0: 1.0} for mode in _LINEAR}}


def _sizes(lengths: Shape, size: Any, scale_factor: Any, align_corners: bool, recompute: bool | None
           ) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return the output's sizes, and how many input pixels one output pixel covers.

    Raises:
        DTypeError: unless one of `size` and `scale_factor` is given.
        ValueRangeError: if the output would be empty.
    """
    rank = len(lengths)
    if (size is None) == (scale_factor is None):
        raise DTypeError("interpolate", "either size or scale_factor is needed, not both",
                         got=f"size={size}, scale_factor={scale_factor}")
    factors = None
    if scale_factor is None:
        if recompute:
            raise DTypeError("interpolate", "recompute_scale_factor needs scale_factor", got=f"size={size}")
        sizes = numbers("interpolate", "size", size, rank)
    else:
        given = tuple(scale_factor) if isinstance(scale_factor, tuple | list) else (scale_factor,) * rank
        if len(given) != rank:
            raise ShapeError("interpolate", "scale_factor has the wrong length", expected=f"1 or {rank} numbers",
                             got=repr(scale_factor))
        factors = tuple(float(factor) for factor in given)
        sizes = tuple(math.floor(n * factor) for n, factor in zip(lengths, factors, strict=True))
        if min(sizes) < 1:
            raise ValueRangeError("interpolate", "the output would be empty", expected="sizes of at least 1",
                                  got=f"{sizes} (input {lengths}, scale_factor={scale_factor})")
    if align_corners:
        return sizes, tuple((n - 1) / (m - 1) if m > 1 else 0.0 for n, m in zip(lengths, sizes, strict=True))
    if factors is not None and not recompute:
        return sizes, tuple(1 / factor for factor in factors)
    return sizes, tuple(n / m for n, m in zip(lengths, sizes, strict=True))


def _interpolate_samples() -> list[Sample]:
    x, line = spread(-1, 1, 2, 3, 4, 5), spread(-1, 1, 2, 3, 5)
    samples = [
        Sample(x, (6, 3)), Sample(x, None, 2), Sample(x, None, (1.5, 0.7)), Sample(line, 8), Sample(line, None, 1.7),
        Sample(x, (7, 3), mode="nearest-exact"), Sample(line, 3, mode="nearest-exact"),
        Sample(x.astype(np.float64), 7), Sample(x[:0], 3),
        Sample(line, 8, mode="linear"), Sample(line, 3, mode="linear", align_corners=True),
        Sample(line.astype(np.float64), None, (2.5,), "linear"),
    ]
    for mode in ("bilinear", "bicubic"):
        samples += [
            Sample(x, (6, 3), mode=mode), Sample(x, None, 2, mode), Sample(x, (3, 9), None, mode, True),
            Sample(x[:, ::2, ::-1], (1, 4), mode=mode, align_corners=True), Sample(x, None, 0.6, mode),
            Sample(x, None, 0.6, mode, recompute_scale_factor=True), Sample(x.astype(np.float64), (6, 7), mode=mode),
        ]
        samples += [Sample(x, (2, 7), mode=mode, antialias=True), Sample(x, (2, 3), None, mode, True, antialias=True),
                    Sample(x.astype(np.float64), None, (0.4, 1.5), mode, antialias=True)]
    solid = spread(-1, 1, 2, 3, 2, 4, 3)
    samples += [Sample(x, (2, 7), mode="area"), Sample(line, None, 0.5, "area"), Sample(solid, (1, 3, 2), mode="area"),
                Sample(x.astype(np.float64), None, (0.5, 2), "area"), Sample(x[:0], 3, mode="area")]
    for mode in ("nearest", "nearest-exact", "trilinear"):
        samples += [Sample(solid, (3, 2, 5), mode=mode), Sample(solid, None, (2, 0.5, 1.7), mode),
                    Sample(solid.astype(np.float64), 3, mode=mode), Sample(solid[:0], 2, mode=mode)]
    return [*samples, Sample(solid[:, ::2, ::-1], (1, 7, 3), None, "trilinear", True)]


def _interpolate_errors() -> list[ErrorSample]:
    x = np.ones((1, 2, 3, 3), np.float32)
    return [
        ErrorSample(Sample(x), DTypeError, r"\[interpolate\] either size or scale_factor is needed"),
        ErrorSample(Sample(x, 2, 2), DTypeError, "either size or scale_factor"),
        ErrorSample(Sample(x, 2, mode="linear"), ShapeError, r"mode 'linear'.*expected \(N, C, L\).*\(1, 2, 3, 3\)"),
        ErrorSample(Sample(x, 2, mode="trilinear"), ShapeError, r"mode 'trilinear'.*expected \(N, C, D, H, W\)"),
        ErrorSample(Sample(x[None], 2, mode="bilinear"), ShapeError, r"mode 'bilinear'.*\(1, 1, 2, 3, 3\)"),
        ErrorSample(Sample(x, 2, mode="cubic"), ValueRangeError, "unknown mode.*bicubic"),
        ErrorSample(Sample(x, 2, align_corners=True), ValueRangeError, "align_corners means nothing to mode 'nearest'"),
        ErrorSample(Sample(x, None, 0.1), ValueRangeError, "the output would be empty"),
        ErrorSample(Sample(x, (2, 3, 4)), ShapeError, "size has the wrong length"),
        ErrorSample(Sample(x, None, (2, 3, 4)), ShapeError, "scale_factor has the wrong length"),
        ErrorSample(Sample(x, 2, recompute_scale_factor=True), DTypeError, "recompute_scale_factor needs scale_factor"),
        ErrorSample(Sample(x.astype(np.int64), 2, mode="bilinear"), DTypeError, "one float dtype"),
        ErrorSample(Sample(x, 2, mode="area", antialias=True), ValueRangeError, "no antialias; expected bilinear"),
        ErrorSample(Sample(x[..., :0], 2), ShapeError, "the input has no places"),
    ]


@composed(samples=_interpolate_samples, errors=_interpolate_errors)
def interpolate(input: TensorT, size: int | tuple[int, ...] | None = None,
                scale_factor: float | tuple[float, ...] | None = None, mode: str = "nearest",
                align_corners: bool | None = None, recompute_scale_factor: bool | None = None,
                antialias: bool = False) -> TensorT:
    """Resize images, volumes or lines.

    Args:
        input: (N, C, H, W), (N, C, D, H, W) or (N, C, L).
        size: output size; one number, or one a spatial dimension.
        scale_factor: output size as a multiple of the input's, rounded down; either this or `size` is given.
        mode: ``"nearest"``, ``"nearest-exact"``, ``"area"`` (means, as in adaptive average pooling), ``"linear"``
            (lines), ``"bilinear"`` or ``"bicubic"`` (images), ``"trilinear"`` (volumes).
        align_corners: for the last four: whether the centres of the corner pixels coincide (else the images' edges).
        recompute_scale_factor: compute positions from the rounded sizes instead of from `scale_factor`.
        antialias: let each pixel of a smaller result average all that it covers; for bilinear and bicubic.

    Returns:
        (N, C, *size); in memory channels-last, but for ``"nearest-exact"``, ``"bicubic"`` and with `antialias`.

    Raises:
        ShapeError: if the input has another number of dimensions than the mode works on.
        DTypeError: unless one of `size` and `scale_factor` is given; or for integers, except by ``"nearest"``.
        ValueRangeError: for an unknown mode, or an empty output.

    >>> import autodiff as ad
    >>> ad.nn.functional.interpolate(ad.tensor([[[1.0, 2.0]]]), scale_factor=2, mode="linear")
    tensor([[[1.0000, 1.2500, 1.7500, 2.0000]]])
    """
    if mode not in _MODES:
        raise ValueRangeError("interpolate", "unknown mode", expected=" ".join(_MODES), got=repr(mode))
    if antialias and mode not in _SMOOTH:
        raise ValueRangeError("interpolate", "this mode has no antialias", expected=" or ".join(_SMOOTH),
                              got=repr(mode))
    ranks, aligns = _MODES[mode]
    require_tensor("interpolate", input)
    shape: Shape = input.spec.shape  # type: ignore[attr-defined]
    rank = len(shape) - 2
    if rank not in ranks:
        raise ShapeError("interpolate", f"mode '{mode}' does not work on this number of dimensions", got=str(shape),
                         expected=" or ".join(_LAYOUT[n] for n in ranks))
    if align_corners is not None and not aligns:
        raise ValueRangeError("interpolate", f"align_corners means nothing to mode '{mode}'", got=repr(align_corners))
    if 0 in shape[2:]:
        raise ShapeError("interpolate", "the input has no places", expected="sizes of at least 1", got=str(shape))
    sizes, scales = _sizes(shape[2:], size, scale_factor, bool(align_corners), recompute_scale_factor)
    if mode == "area":
        return _AREAS[rank](input, sizes)  # type: ignore[no-any-return]
    if mode in _EXACT:
        # PyTorch ignores scale_factor where the size stays, and in the nearest mode where it doubles.
        scales = tuple(_EXACT[mode].get(m / n, scale) for n, m, scale in zip(shape[2:], sizes, scales, strict=True))
    x: Any = as_image("interpolate", input, rank)
    if mode != "nearest":
        require_floats("interpolate", x.spec)
    align = bool(align_corners)
    if antialias:
        return separable(x, *[_smooth_weights(shape[2 + i], sizes[i], scales[i], mode == "bicubic") for i in range(2)])  # type: ignore[no-any-return]
    if rank == 2:
        return _resized_image(x, mode, sizes, scales, align)  # type: ignore[no-any-return]
    if rank == 1:
        return from_image(_resized_line(x, mode, sizes[0], scales[0], align), input, 1)  # type: ignore[no-any-return]
    passes = Passes(x)
    lines = passes.lines(_resized_image(passes.planes(), mode, sizes[1:], scales[1:], align))
    deep = _resized_line(as_image("interpolate", lines, 1), mode, sizes[0], scales[0], align)
    return passes.back(from_image(deep, lines, 1))  # type: ignore[no-any-return]


def _resized_line(line: Any, mode: str, size: int, scale: float, align_corners: bool) -> Any:
    """Return an image of height 1 in another width."""
    return _resized_image(line, mode, (1, size), (1.0, scale), align_corners)


def _resized_image(x: Any, mode: str, size: tuple[int, ...], scale: tuple[float, ...], align_corners: bool) -> Any:
    """Return an image in another size; `scale` is how many pixels of `x` one pixel of the result covers."""
    if mode == "nearest":
        return bind(resize_nearest_p, channels_last(x), size=size, scale=scale)
    if mode in _LINEAR:
        return bind(resize_bilinear_p, channels_last(x), size=size, scale=scale, align_corners=align_corners)
    rows, columns = (
        _cubic_weights(x.spec.shape[2 + i], size[i], scale[i], align_corners) if mode == "bicubic"
        else _nearest_weights(x.spec.shape[2 + i], size[i], scale[i], centre=0.5) for i in range(2)
    )
    return separable(x, rows, columns)


# ---- Channels and pixels ---------------------------------------------------------------------------------------------


def _shuffle_samples() -> list[Sample]:
    return [Sample(spread(-1, 1, 2, 8, 2, 3), 2), Sample(spread(-1, 1, 9, 1, 2), 3),
            Sample(spread(-1, 1, 2, 1, 4, 2, 2), 2),
            Sample(spread(-1, 1, 1, 3, 2, 4).transpose(0, 3, 1, 2), 1), Sample(spread(-1, 1, 0, 4, 2, 2), 2)]


def _shuffle_errors() -> list[ErrorSample]:
    x = np.ones((1, 6, 2, 2), np.float32)
    return [ErrorSample(Sample(x, 2), ShapeError, r"\[pixel_shuffle\].*multiple of 4; got 6"),
            ErrorSample(Sample(x[0, 0], 2), ShapeError, r"expected \(\.\.\., C, H, W\)"),
            ErrorSample(Sample(x, 0), ValueRangeError, "upscale_factor is too small")]


def _planes(operation: str, x: Any) -> tuple[Shape, int, int, int]:
    """Return the shape of the batch, the channels, the height and the width."""
    shape: Shape = x.spec.shape
    if len(shape) < 3:
        raise ShapeError(operation, "the input is no image", expected="(..., C, H, W)", got=str(shape))
    return shape[:-3], shape[-3], shape[-2], shape[-1]


@composed(samples=_shuffle_samples, errors=_shuffle_errors)
def pixel_shuffle(input: TensorT, upscale_factor: int) -> TensorT:
    """Turn groups of channels into blocks of pixels: (..., C * r * r, H, W) to (..., C, H * r, W * r).

    Args:
        input: (..., C, H, W).
        upscale_factor: r.

    Raises:
        ShapeError: if the channels are no multiple of r * r.
        ValueRangeError: if r is less than 1.

    Source: Shi et al., Real-Time Single Image and Video Super-Resolution (2016), equation 4.

    >>> import autodiff as ad
    >>> ad.nn.functional.pixel_shuffle(ad.tensor([[[1.0]], [[2.0]], [[3.0]], [[4.0]]]), 2)
    tensor([[[1., 2.],
             [3., 4.]]])
    """
    batch, channels, height, width = _planes("pixel_shuffle", input)
    (r,) = numbers("pixel_shuffle", "upscale_factor", upscale_factor, 1)
    if channels % (r * r):
        raise ShapeError("pixel_shuffle", "the channels do not make whole blocks of pixels",
                         expected=f"a multiple of {r * r}", got=f"{channels} (input {input.spec.shape})")  # type: ignore[attr-defined]
    n, lead = len(batch), range(len(batch))
    blocks = reshape(input, (*batch, channels // (r * r), r, r, height, width))
    return reshape(permute(blocks, (*lead, n, n + 3, n + 1, n + 4, n + 2)),
                   (*batch, channels // (r * r), height * r, width * r))


def _unshuffle_samples() -> list[Sample]:
    return [Sample(spread(-1, 1, 2, 2, 4, 6), 2), Sample(spread(-1, 1, 1, 3, 6), 3),
            Sample(spread(-1, 1, 2, 1, 1, 2, 2), 2),
            Sample(spread(-1, 1, 1, 2, 4, 3).transpose(0, 3, 1, 2), 2), Sample(spread(-1, 1, 0, 1, 2, 2), 2)]


def _unshuffle_errors() -> list[ErrorSample]:
    x = np.ones((1, 6, 2, 3), np.float32)
    return [ErrorSample(Sample(x, 2), ShapeError, r"\[pixel_unshuffle\].*multiples of 2; got 2 x 3"),
            ErrorSample(Sample(x, 0), ValueRangeError, "downscale_factor is too small")]


@composed(samples=_unshuffle_samples, errors=_unshuffle_errors)
def pixel_unshuffle(input: TensorT, downscale_factor: int) -> TensorT:
    """Turn blocks of pixels into channels: (..., C, H * r, W * r) to (..., C * r * r, H, W), undoing `pixel_shuffle`.

    Args:
        input: (..., C, H, W).
        downscale_factor: r.

    Raises:
        ShapeError: if height or width are no multiples of r.
        ValueRangeError: if r is less than 1.

    >>> import autodiff as ad
    >>> ad.nn.functional.pixel_unshuffle(ad.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 2).shape
    (4, 1, 1)
    """
    batch, channels, height, width = _planes("pixel_unshuffle", input)
    (r,) = numbers("pixel_unshuffle", "downscale_factor", downscale_factor, 1)
    if height % r or width % r:
        raise ShapeError("pixel_unshuffle", "height and width do not divide into blocks",
                         expected=f"multiples of {r}", got=f"{height} x {width}")
    n, lead = len(batch), range(len(batch))
    blocks = reshape(input, (*batch, channels, height // r, r, width // r, r))
    return reshape(permute(blocks, (*lead, n, n + 2, n + 4, n + 1, n + 3)),
                   (*batch, channels * r * r, height // r, width // r))


@composed(samples=lambda: [Sample(spread(-1, 1, 2, 6, 2, 3), 3), Sample(spread(-1, 1, 4, 2, 3), 2),
                           Sample(spread(-1, 1, 1, 4, 2, 3, 2), 2), Sample(spread(-1, 1, 2, 3, 2, 2), 1),
                           Sample(spread(-1, 1, 2, 6, 2, 2, dtype=np.float64), 2)],
          errors=lambda: [ErrorSample(Sample(np.ones((1, 6, 2, 3), np.float32), 4), ShapeError,
                                      "a multiple of 4; got 6"),
                          ErrorSample(Sample(np.ones((1, 6, 2, 3), np.float32), 0), ValueRangeError,
                                      "groups is too small"),
                          ErrorSample(Sample(np.ones((6, 2), np.float32), 2), ShapeError, "no image")])
def channel_shuffle(input: TensorT, groups: int) -> TensorT:
    """Take the channels of an image from its groups by turns: the first of each, then the second of each, and so on.

    Args:
        input: (N, C, ...).
        groups: number of groups.

    Raises:
        ShapeError: if the channels do not divide into groups.
        ValueRangeError: if there is less than one group.

    Source: Zhang et al., ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices (2018).

    >>> import autodiff as ad
    >>> ad.nn.functional.channel_shuffle(ad.arange(4.0).view(1, 4, 1), 2).view(4)
    tensor([0., 2., 1., 3.])
    """
    _planes("channel_shuffle", input)
    shape = input.spec.shape  # type: ignore[attr-defined]
    (count,) = numbers("channel_shuffle", "groups", groups, 1)
    if shape[1] % count:
        raise ShapeError("channel_shuffle", "the channels do not divide into groups",
                         expected=f"a multiple of {count}", got=str(shape[1]))
    parts = reshape(input, (shape[0], count, shape[1] // count, *shape[2:]))
    return reshape(permute(parts, (0, 2, 1, *range(3, len(shape) + 1))), shape)
