"""Images read at any places: grids of places, and sampling on them.

Source: Jaderberg et al., "Spatial transformer networks", 2015.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

import autodiff_kernels as kernels
from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops.broadcast import sum as total
from autodiff.ops.choice import where
from autodiff.ops.comparison import eq, ge, gt, le, logical_and, lt
from autodiff.ops.elementwise import abs, add, div, floor, fmod, mul, round, spread, sub, trunc
from autodiff.ops.host import from_array
from autodiff.ops.images import channels_last, image_spec, in_memory
from autodiff.ops.joining import stack, zeros_of
from autodiff.ops.picking import index_add, index_select, numbers
from autodiff.ops.products import matmul
from autodiff.ops.promotion import INT64, cast, constant
from autodiff.ops.shaping import shape_of, unsqueeze
from autodiff.ops.structural import contiguous, permute, require_tensor, reshape, select, transpose
from autodiff.primitive import EachPart, ErrorSample, Keep, Primitive, Sample, composed, define, no_errors
from autodiff.spec import Array, Cost, Shape, Spec, moved

__all__ = ["affine_grid", "grid_sample"]

# ---- Grids -----------------------------------------------------------------------------------------------------------


def _places(size: int, align_corners: bool, dtype: Any) -> Any:
    """Return the coordinates of the pixels of a side; -1 and 1 are the middles or the edges of the outer ones."""
    if align_corners:
        return np.linspace(-1, 1, size, dtype=dtype) if size > 1 else np.zeros(size, dtype)
    return ((2 * np.arange(size) + 1) / size - 1).astype(dtype)


def _affine_samples() -> list[Sample]:
    flat, deep = spread(-1, 1, 2, 2, 3), spread(-1, 1, 1, 3, 4)
    return [Sample(flat, (2, 1, 3, 4), align_corners=False), Sample(flat, (2, 5, 3, 1), align_corners=True),
            Sample(deep, (1, 2, 2, 3, 4), align_corners=False), Sample(flat.astype(np.float64), (2, 1, 2, 2))]


@composed(samples=_affine_samples, errors=lambda: [
    ErrorSample(Sample(np.ones((2, 3, 3), np.float32), (2, 1, 4, 4)), ShapeError, r"\(2, 2, 3\); got \(2, 3, 3\)"),
    ErrorSample(Sample(np.ones((2, 2, 3), np.float32), (2, 4, 4)), ShapeError, "four or five numbers"),
    ErrorSample(Sample(np.ones((2, 2, 3), np.int64), (2, 1, 4, 4)), DTypeError, "floats"),
    ErrorSample(Sample(np.ones((2, 2, 3), np.float32), (2, 1, 0, 4)), ValueRangeError, "positive")])
def affine_grid(theta: TensorT, size: Any, align_corners: bool | None = None) -> TensorT:
    """Return, for each pixel of an image, the place that an affine map takes it to, for `grid_sample`.

    Args:
        theta: (N, 2, 3) for images, (N, 3, 4) for volumes: the map of (x, y, 1) or (x, y, z, 1).
        size: of the image, (N, C, H, W) or (N, C, D, H, W).
        align_corners: whether -1 and 1 are the middles of the outer pixels, or, by default, their outer edges.

    Returns:
        (N, H, W, 2) or (N, D, H, W, 3); x comes first.

    Raises:
        ShapeError: if the shapes do not fit.
        DTypeError: unless `theta` holds floats.
        ValueRangeError: if a size is not positive.

    >>> import autodiff as ad
    >>> ad.nn.functional.affine_grid(ad.eye(2, 3)[None], (1, 1, 1, 2))
    tensor([[[[-0.5000,  0.0000],
              [ 0.5000,  0.0000]]]])
    """
    require_tensor("affine_grid", theta)
    x: Any = theta
    if not x.spec.floating:
        raise DTypeError("affine_grid", "theta does not hold floats", expected="float32 or float64",
                         got=x.spec.dtype.name)
    size = tuple(int(n) for n in size)
    if len(size) not in (4, 5):
        raise ShapeError("affine_grid", "this is no size of images", expected="four or five numbers", got=str(size))
    if min(size) < 1:
        raise ValueRangeError("affine_grid", "the size is not positive", got=str(size))
    rank = len(size) - 2
    if x.spec.shape != (size[0], rank, rank + 1):
        raise ShapeError("affine_grid", "theta does not fit the size", expected=str((size[0], rank, rank + 1)),
                         got=str(x.spec.shape))
    sides = [_places(n, bool(align_corners), x.spec.dtype) for n in size[2:]]
    pixels = np.stack([*np.meshgrid(*sides, indexing="ij")[::-1], np.ones(size[2:], x.spec.dtype)], -1)
    grid = matmul(from_array(pixels.reshape(-1, rank + 1)), transpose(x, 1, 2))
    return reshape(grid, (size[0], *size[2:], rank))  # type: ignore[no-any-return]


# ---- Sampling in steps -----------------------------------------------------------------------------------------------

_MODES, _PADDINGS = ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection")


def _reflected(x: Any, low: float, high: float, volume: bool) -> tuple[Any, Any]:
    """Return numbers reflected at two borders until they lie between them, and the slopes: 1, or -1."""
    if low == high:
        return mul(x, 0), constant(0, x.spec.dtype)
    span = high - low
    distance = abs(sub(x, low))
    # PyTorch's remainder is exact in volumes, and rounded in images.
    beyond = fmod(distance, 2 * span) if volume else sub(distance, mul(trunc(div(distance, 2 * span)), 2 * span))
    near = le(beyond, span)
    slope = where(eq(near, ge(x, low)), constant(1, x.spec.dtype), -1)
    return add(where(near, beyond, sub(2 * span, beyond)), low), slope


def _bordered(x: Any, size: int, padding: str, align_corners: bool, volume: bool) -> tuple[Any, Any]:
    """Return coordinates in pixels, brought into the image as the padding says, and the slopes of that.

    On the border and beyond, clamped coordinates have no gradient, and NaN is held at the first pixel of an image and
    the last one of a volume, as in PyTorch.
    """
    slope: Any = constant(1, x.spec.dtype)
    if padding == "zeros":
        return x, slope
    if padding == "reflection":
        low, high = (0, size - 1) if align_corners else (-0.5, size - 0.5)
        x, slope = _reflected(x, low, high, volume)
    inside = logical_and(gt(x, 0), lt(x, size - 1))
    first, last = constant(0, x.spec.dtype), size - 1
    held = where(le(x, 0), first, last) if volume else where(ge(x, last), constant(last, x.spec.dtype), first)
    return where(inside, x, held), where(inside, slope, constant(0, x.spec.dtype))


def _cubic(distance: Any, a: float = -0.75) -> Any:
    """Return the weights of cubic convolution of pixels at a distance up to 2.

    Source: Keys, "Cubic convolution interpolation for digital image processing", 1981, with a = -0.75.
    """
    x = abs(distance)
    near = add(mul(mul(sub(mul(x, a + 2), a + 3), x), x), 1)
    far = sub(mul(add(mul(sub(mul(x, a), 5 * a), x), 8 * a), x), 4 * a)
    return where(le(x, 1), near, far)


class _Tap(NamedTuple):
    """A pixel of a line that takes part at each place.

    Attributes:
        line: where in memory what stands at that pixel begins, in pixels.
        weight: its share, 0 outside the image.
        slope: of the share by the place; only of linear interpolation.
    """

    line: Any
    weight: Any
    slope: Any


def _taps(shape: Shape, grid: Any, mode: str, padding: str, align_corners: bool) -> list[list[_Tap]]:
    """Return the pixels that take part, for each dimension of images of this shape, (N, C, ...)."""
    sizes, dtype = shape[2:], grid.spec.dtype
    zero, one = constant(0, dtype), constant(1, dtype)
    found = []
    for axis, size in enumerate(sizes):
        place = select(grid, -1, len(sizes) - 1 - axis)
        half = (size - 1) / 2 if align_corners else size / 2
        place, slope = mul(add(place, 1), half), one
        place = place if align_corners else sub(place, 0.5)
        if mode != "bicubic":
            place, slope = _bordered(place, size, padding, align_corners, len(sizes) == 3)
        chosen: list[tuple[Any, Any, Any]]
        if mode == "nearest":
            chosen = [(round(place), add(mul(place, 0), 1), zero)]  # its gradient is 0, and there
        else:
            first = floor(place)
            beyond = sub(place, first)
            if mode == "bilinear":
                chosen = [(first, sub(1, beyond), mul(slope, -half)), (add(first, 1), beyond, mul(slope, half))]
            else:
                held = [_bordered(add(first, i), size, padding, align_corners, False)[0] for i in (-1, 0, 1, 2)]
                chosen = [(pixel, _cubic(sub(beyond, i)), zero) for i, pixel in enumerate(held, -1)]
        step, taps = math.prod(sizes[axis + 1:]), []
        for pixel, weight, rise in chosen:
            inside = logical_and(ge(pixel, 0), le(pixel, size - 1))
            line = mul(cast(where(inside, pixel, zero), INT64), step)
            # The share of a pixel outside is 0; of images, as in PyTorch, NaN between pixels where the place is NaN.
            outside = mul(weight, 0) if mode != "nearest" and len(sizes) == 2 else zero
            taps.append(_Tap(line, where(inside, weight, outside), where(inside, rise, zero)))
        found.append(taps)
    images = reshape(mul(numbers(shape[0]), math.prod(sizes)), (shape[0], *(1,) * len(sizes)))
    found[0] = [tap._replace(line=add(tap.line, images)) for tap in found[0]]
    return found


def _last(x: Any) -> Any:
    """Return images with their channels last."""
    return permute(x, (0, *range(2, x.spec.ndim), 1))


def _first(x: Any) -> Any:
    """Return images with their channels, which are last, behind the batch."""
    return permute(x, (0, x.spec.ndim - 1, *range(1, x.spec.ndim - 1)))


def _combined(taps: tuple[_Tap, ...]) -> tuple[Any, Any]:
    """Return the pixels that one tap of each dimension names, as a vector of places in memory, and their weights."""
    line, weight = taps[0].line, taps[0].weight
    for tap in taps[1:]:
        line, weight = add(line, tap.line), mul(weight, tap.weight)
    return reshape(line, line.spec.size), weight


def _added(parts: Any) -> Any:
    result = None
    for part in parts:
        result = part if result is None else add(result, part)
    return result


def _rows(x: Any) -> Any:
    """Return the pixels of images as rows of channels."""
    last = _last(x)
    return reshape(last, (math.prod(last.spec.shape[:-1]), x.spec.shape[1]))


def _sampled(x: Any, grid: Any, mode: str, padding: str, align_corners: bool) -> Any:
    """Return what `grid_sample` returns, composed of other operations."""
    rows, shape = _rows(x), (*grid.spec.shape[:-1], x.spec.shape[1])
    found = []
    for taps in product(*_taps(x.spec.shape, grid, mode, padding, align_corners)):
        line, weight = _combined(taps)
        found.append(mul(reshape(index_select(rows, 0, line), shape), unsqueeze(weight, -1)))
    return _first(_added(found))


def _input_grad_twin(g: Any, grid: Any, size: tuple[int, int], nearest: bool, padding: str, align_corners: bool) -> Any:
    count, channels = g.spec.shape[:2]
    result = zeros_of(Spec.of((count * math.prod(size), channels), g.spec.dtype))
    for taps in product(*_taps((count, channels, *size), grid, _mode(nearest), padding, align_corners)):
        line, weight = _combined(taps)
        result = index_add(result, 0, line, reshape(mul(_last(g), unsqueeze(weight, -1)), (line.spec.size, channels)))
    return _first(reshape(result, (count, *size, channels)))


def _grid_grad_twin(g: Any, x: Any, grid: Any, padding: str, align_corners: bool) -> Any:
    rows, cotangent = _rows(x), _last(g)
    by_x, by_y = [], []
    for taps in product(*_taps(x.spec.shape, grid, "bilinear", padding, align_corners)):
        line, _ = _combined(taps)
        value = total(mul(reshape(index_select(rows, 0, line), cotangent.spec.shape), cotangent), -1)
        down, across = taps
        by_x.append(mul(value, mul(down.weight, across.slope)))
        by_y.append(mul(value, mul(down.slope, across.weight)))
    return stack([_added(by_x), _added(by_y)], -1)


def _mode(nearest: bool) -> str:
    return "nearest" if nearest else "bilinear"


# ---- Sampling of images in one operation -----------------------------------------------------------------------------

# Images are channels-last, grids in C order.


def _image_run(outs: list[Array], ins: list[Array], nearest: bool, padding: str, align_corners: bool) -> None:
    (out, scratch), (x, grid) = outs, ins
    kernels.sampling.sample(_places_of(out), scratch, in_memory(x), _places_of_grid(grid), int(nearest),
                            _PADDINGS.index(padding), int(align_corners), 0, 1)


def _places_of(image: Array) -> Array:
    """Return a channels-last image as (N, places, C)."""
    n, c, h, w = image.shape
    return in_memory(image).reshape(n, h * w, c)


def _places_of_grid(grid: Array) -> Array:
    n, h, w, _ = grid.shape
    return grid.reshape(n, h * w, 2)


def _image_vjp(record: Any, g: Any) -> tuple[Any, Any]:
    params, g = record.params, channels_last(g)
    x, grid = (record.input(i) if i in record.keep.inputs else None for i in range(2))
    by_x = by_grid = None
    if record.mask[0]:
        by_x = bind(image_sample_input_grad_p, g, grid, size=record.inputs[0].shape[2:], **params)
    if record.mask[1]:
        by_grid = _by_grid(g, x, grid, record.inputs[1], **params)
    return by_x, by_grid


def _by_grid(g: Any, x: Any, grid: Any, spec: Spec, nearest: bool, padding: str, align_corners: bool) -> Any:
    """Return the gradient by the grid, whose spec is `spec`: zeros where the nearest pixel is read."""
    if nearest:
        return zeros_of(spec)
    return bind(image_sample_grid_grad_p, g, x, grid, padding=padding, align_corners=align_corners)


def _small_image(*shape: int, dtype: Any = np.float32) -> Any:
    """Return numbers as an image (N, C, H, W) that lies channels-last in memory."""
    n, c, h, w = shape
    return spread(-1, 1, n, h, w, c, dtype=dtype).transpose(0, 3, 1, 2)


def _grid(height: int, width: int, *, dtype: Any = np.float32, reach: float = 1.3) -> Any:
    return spread(-reach, reach, 2, height, width, 2, dtype=dtype)


_SETTINGS: list[dict[str, Any]] = [{"padding": padding, "align_corners": corners} for padding in _PADDINGS
                                  for corners in (False, True)]


def _cost(inputs: Sequence[Spec], outputs: Sequence[Spec], **_: Any) -> Cost:
    return Cost(8 * max(spec.size for spec in (*inputs, *outputs)), moved(*inputs, *outputs))


def _zero_row(inputs: Sequence[Spec], outputs: Sequence[Spec], **_: Any) -> tuple[EachPart]:
    """Return the spec of the pixel that stands for those outside."""
    return (EachPart(Spec.of((1, inputs[0].shape[1]), inputs[0].dtype)),)


image_sample_p: Primitive = define(
    "image_sample",
    infer=lambda x, grid, **_: image_spec((*x.shape[:2], *grid.shape[1:3]), x.dtype),
    run=_image_run,
    scratch=_zero_row,
    vjp=_image_vjp,
    saves=(Keep(inputs=(1,)), Keep(inputs=(0, 1))),
    twin=lambda x, grid, nearest, padding, align_corners: _sampled(x, grid, _mode(nearest), padding, align_corners),
    cost=_cost,
    samples=lambda: [Sample(_small_image(2, 3, 4, 5), _grid(3, 4), nearest=nearest, tolerance=1e-4, **settings)
                     for settings in _SETTINGS for nearest in (False, True)],
    errors=no_errors,
    call=lambda x, grid, **params: bind(image_sample_p, channels_last(x), contiguous(grid), **params),
)


def _input_grad_run(outs: list[Array], ins: list[Array], size: tuple[int, int], nearest: bool, padding: str,
                    align_corners: bool) -> None:
    g, grid = ins
    kernels.sampling.sample_input_grad(in_memory(outs[0]), _places_of(g), _places_of_grid(grid), int(nearest),
                                       _PADDINGS.index(padding), int(align_corners), 0, 1)


def _input_grad_vjp(record: Any, h: Any) -> tuple[Any, Any]:
    # What is read from h, times g, is h times what g adds up to: the gradient by the grid is the same with h as image.
    h, g, grid = channels_last(h), record.input(0), record.input(1)
    params = {name: value for name, value in record.params.items() if name != "size"}
    by_g = bind(image_sample_p, h, grid, **params) if record.mask[0] else None
    return by_g, _by_grid(g, h, grid, record.inputs[1], **params) if record.mask[1] else None


image_sample_input_grad_p: Primitive = define(
    "image_sample_input_grad",
    infer=lambda g, grid, size, **_: image_spec((*g.shape[:2], *size), g.dtype),
    run=_input_grad_run,
    vjp=_input_grad_vjp,
    saves=Keep(inputs=(0, 1)),
    twin=_input_grad_twin,
    cost=_cost,
    samples=lambda: [
        *[Sample(_small_image(2, 3, 3, 4), _grid(3, 4), size=(4, 5), nearest=nearest, tolerance=1e-4, **settings)
          for settings in _SETTINGS for nearest in (False, True)],
        Sample(_small_image(2, 35, 3, 4), _grid(3, 4), size=(4, 5), nearest=False, padding="zeros",
               align_corners=False, tolerance=1e-4)],
    errors=no_errors,
    call=lambda g, grid, **params: bind(image_sample_input_grad_p, channels_last(g), contiguous(grid), **params),
)


def _grid_grad_run(outs: list[Array], ins: list[Array], padding: str, align_corners: bool) -> None:
    (out, scratch), (g, x, grid) = outs, ins
    kernels.sampling.sample_grid_grad(_places_of_grid(out), scratch, _places_of(g), in_memory(x),
                                      _places_of_grid(grid), _PADDINGS.index(padding), int(align_corners), 0, 1)


image_sample_grid_grad_p: Primitive = define(
    "image_sample_grid_grad",
    infer=lambda g, x, grid, **_: Spec.of(grid.shape, grid.dtype),
    run=_grid_grad_run,
    scratch=_zero_row,
    vjp=None,
    twin=_grid_grad_twin,
    cost=_cost,
    samples=lambda: [Sample(_small_image(2, 3, 3, 4), _small_image(2, 3, 4, 5), _grid(3, 4),
                            tolerance=1e-4, **settings) for settings in _SETTINGS],
    errors=no_errors,
    call=lambda g, x, grid, **params: bind(image_sample_grid_grad_p, channels_last(g), channels_last(x),
                                                contiguous(grid), **params),
)


# ---- The function ----------------------------------------------------------------------------------------------------


def _sample_samples() -> list[Sample]:
    x, volume = spread(-1, 1, 2, 3, 4, 5), spread(-1, 1, 2, 2, 3, 4, 3)
    samples = [Sample(x, _grid(3, 4), mode, padding, corners, tolerance=1e-4)
               for mode in _MODES for padding in _PADDINGS for corners in (False, True)]
    places = spread(-1.2, 1.2, 2, 2, 3, 2, 3)
    return [*samples, Sample(x.transpose(0, 1, 3, 2), _grid(2, 2)),
            Sample(x, _grid(2, 3, reach=4), padding_mode="reflection"),
            Sample(volume, places), Sample(volume, places, "nearest", "border", True),
            Sample(volume, places, padding_mode="reflection"),
            Sample(x[:, :, :1, :1], _grid(2, 2), "bilinear", "reflection", True),
            Sample(spread(-1, 1, 2, 19, 4, 5), _grid(3, 2), tolerance=1e-4),
            Sample(x.astype(np.float64), _grid(3, 2, dtype=np.float64))]


def _sample_errors() -> list[ErrorSample]:
    x, grid = np.ones((2, 3, 4, 5), np.float32), np.zeros((2, 3, 3, 2), np.float32)
    return [ErrorSample(Sample(x[0], grid), ShapeError, r"\(N, C, H, W\)"),
            ErrorSample(Sample(x, grid[:1]), ShapeError, r"\(2, \.\.\., 2\); got \(1, 3, 3, 2\)"),
            ErrorSample(Sample(x, grid[..., :1]), ShapeError, "the grid does not fit"),
            ErrorSample(Sample(x, grid.astype(np.float64)), DTypeError, "one float dtype"),
            ErrorSample(Sample(x[:, :, :0], grid), ShapeError, "no pixels"),
            ErrorSample(Sample(x, grid, "cubic"), ValueRangeError, "'bilinear'.*got 'cubic'"),
            ErrorSample(Sample(x, grid, padding_mode="circular"), ValueRangeError, "'zeros'.*got 'circular'"),
            ErrorSample(Sample(x[:, :, None], np.zeros((2, 1, 1, 1, 3), np.float32), "bicubic"), ValueRangeError,
                        "volumes")]


@composed(samples=_sample_samples, errors=_sample_errors)
def grid_sample(input: TensorT, grid: TensorT, mode: str = "bilinear", padding_mode: str = "zeros",
                align_corners: bool | None = None) -> TensorT:
    """Return an image read at the places of a grid, interpolated between pixels.

    Args:
        input: (N, C, H, W) or (N, C, D, H, W).
        grid: (N, H2, W2, 2) or (N, D2, H2, W2, 3): places (x, y) or (x, y, z), from -1 to 1 inside the image.
        mode: ``"bilinear"`` (of volumes trilinear), ``"nearest"`` or, for images, ``"bicubic"``.
        padding_mode: what lies outside: ``"zeros"``, ``"border"``: the nearest pixel; ``"reflection"``: the image
            reflected.
        align_corners: whether -1 and 1 are the middles of the outer pixels, or, by default, their outer edges.

    Returns:
        (N, C, H2, W2) or (N, C, D2, H2, W2).

    Raises:
        ShapeError: if the shapes do not fit, or there are no pixels.
        DTypeError: unless both hold one float dtype.
        ValueRangeError: for another mode.

    Gradients of pixels that are read several times are added in the order of the grid, for any number of threads.

    >>> import autodiff as ad
    >>> x = ad.tensor([[[[1.0, 3.0]]]])
    >>> ad.nn.functional.grid_sample(x, ad.tensor([[[[0.0, 0.0], [-0.5, 0.0]]]]))
    tensor([[[[2., 1.]]]])
    """
    operation = "grid_sample"
    shape, places = shape_of(input, operation), shape_of(grid, operation)
    rank = len(shape) - 2
    if rank not in (2, 3):
        raise ShapeError(operation, "these are no images", expected="(N, C, H, W) or (N, C, D, H, W)", got=str(shape))
    if len(places) != len(shape) or places[0] != shape[0] or places[-1] != rank:
        raise ShapeError(operation, "the grid does not fit the images", expected=f"({shape[0]}, ..., {rank})",
                         got=str(places))
    x: Any = input
    if not x.spec.floating or x.spec.dtype != grid.spec.dtype:  # type: ignore[attr-defined]
        raise DTypeError(operation, "the dtypes do not fit", expected="one float dtype",
                         got=f"{x.spec.dtype.name} and {grid.spec.dtype.name}")  # type: ignore[attr-defined]
    sizes = shape[2:]
    if not math.prod(sizes):
        raise ShapeError(operation, "there are no pixels", got=str(shape))
    for name, value, known in (("mode", mode, _MODES), ("padding_mode", padding_mode, _PADDINGS)):
        if value not in known:
            raise ValueRangeError(operation, f"this {name} does not exist", expected=", ".join(map(repr, known)),
                                  got=repr(value))
    if mode == "bicubic" and rank == 3:
        raise ValueRangeError(operation, "volumes have no bicubic interpolation", expected="'bilinear' or 'nearest'",
                              got="'bicubic'")
    corners = bool(align_corners)
    if mode == "bicubic" or rank == 3:
        return _sampled(x, grid, mode, padding_mode, corners)  # type: ignore[no-any-return]
    found = bind(image_sample_p, channels_last(x), contiguous(grid), nearest=mode == "nearest",
                 padding=padding_mode, align_corners=corners)
    return found  # type: ignore[no-any-return]
