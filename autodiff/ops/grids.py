"""Images read at any places: grids of places, and sampling on them.

Source: Jaderberg et al., "Spatial transformer networks", 2015.
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np

from autodiff.bind import TensorT
from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops.choice import clamp, where
from autodiff.ops.comparison import ge, gt, le, logical_and, lt
from autodiff.ops.elementwise import abs, add, floor, mul, remainder, round, spread, sub
from autodiff.ops.host import from_array
from autodiff.ops.picking import index_select, numbers
from autodiff.ops.products import matmul
from autodiff.ops.promotion import INT64, cast, constant
from autodiff.ops.shaping import shape_of, unsqueeze
from autodiff.ops.structural import permute, require_tensor, reshape, select, transpose
from autodiff.primitive import ErrorSample, Sample, composed

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


# ---- Sampling --------------------------------------------------------------------------------------------------------

_MODES, _PADDINGS = ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection")


def _reflected(x: Any, low: float, high: float) -> Any:
    """Return numbers reflected at two borders until they lie between them."""
    if low == high:
        return mul(x, 0)
    span = high - low
    distance = abs(sub(x, low))
    beyond = remainder(distance, 2 * span)
    return add(where(le(beyond, span), beyond, sub(2 * span, beyond)), low)


def _bordered(x: Any, size: int, padding: str, align_corners: bool) -> Any:
    """Return coordinates in pixels, brought into the image as the padding says.

    On the border and beyond, clamped coordinates have no gradient, as in PyTorch.
    """
    if padding == "zeros":
        return x
    if padding == "reflection":
        x = _reflected(x, 0, size - 1) if align_corners else _reflected(x, -0.5, size - 0.5)
    return where(logical_and(gt(x, 0), lt(x, size - 1)), x, clamp(x, 0, size - 1).detach())


def _cubic(distance: Any, a: float = -0.75) -> Any:
    """Return the weights of cubic convolution of pixels at a distance up to 2.

    Source: Keys, "Cubic convolution interpolation for digital image processing", 1981, with a = -0.75.
    """
    x = abs(distance)
    near = add(mul(mul(sub(mul(x, a + 2), a + 3), x), x), 1)
    far = sub(mul(add(mul(sub(mul(x, a), 5 * a), x), 8 * a), x), 4 * a)
    return where(le(x, 1), near, far)


def _grid(height: int, width: int, *, dtype: Any = np.float32, reach: float = 1.3) -> Any:
    return spread(-reach, reach, 2, height, width, 2, dtype=dtype)


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
    coordinates = []
    for axis, size in enumerate(sizes):
        place = select(grid, -1, rank - 1 - axis)
        coordinates.append(mul(add(place, 1), (size - 1) / 2) if corners else sub(mul(add(place, 1), size / 2), 0.5))
    if mode != "bicubic":
        coordinates = [_bordered(c, n, padding_mode, corners) for c, n in zip(coordinates, sizes, strict=True)]

    # For each dimension the pixels that take part: where in memory their lines begin, and their weights, 0 outside.
    taps: list[list[tuple[Any, Any]]] = []
    zero = constant(0, x.spec.dtype)
    for axis, place in enumerate(coordinates):
        if mode == "nearest":
            chosen = [(round(place), constant(1, x.spec.dtype))]
        else:
            first = floor(place)
            beyond = sub(place, first)
            if mode == "bilinear":
                chosen = [(first, sub(1, beyond)), (add(first, 1), beyond)]
            else:
                chosen = [(_bordered(add(first, i), sizes[axis], padding_mode, corners), _cubic(sub(beyond, i)))
                          for i in (-1, 0, 1, 2)]
        step, last = math.prod(sizes[axis + 1:]), sizes[axis] - 1
        taps.append([])
        for pixel, weight in chosen:
            inside = logical_and(ge(pixel, 0), le(pixel, last))
            taps[axis].append((mul(cast(where(inside, pixel, zero), INT64), step), where(inside, weight, zero)))

    pixels = reshape(permute(x, (0, *range(2, rank + 2), 1)), (shape[0] * math.prod(sizes), shape[1]))
    images = reshape(mul(numbers(shape[0]), math.prod(sizes)), (shape[0], *(1,) * rank))
    taps[0] = [(add(line, images), weight) for line, weight in taps[0]]
    total: Any = None
    for lines in product(*taps):
        index, weight = lines[0]
        for line, share in lines[1:]:
            index, weight = add(index, line), mul(weight, share)
        found = index_select(pixels, 0, reshape(index, index.spec.size))
        found = mul(reshape(found, (*places[:-1], shape[1])), unsqueeze(weight, -1))
        total = found if total is None else add(total, found)
    return permute(total, (0, rank + 1, *range(1, rank + 1)))  # type: ignore[no-any-return]
