"""Differences of neighbours along a dimension, and integrals by the trapezoidal rule."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.bind import TensorT
from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops import strided
from autodiff.ops.broadcast import sum
from autodiff.ops.comparison import ne
from autodiff.ops.elementwise import add, mul, sub
from autodiff.ops.joining import cat
from autodiff.ops.promotion import BOOL, is_tensor, real
from autodiff.ops.samples import spread
from autodiff.ops.scan import cumsum
from autodiff.ops.shaping import missing_dimension, shape_of
from autodiff.ops.structural import axis_index, clone, narrow, reshape
from autodiff.primitive import ErrorSample, Sample, composed

__all__ = ["cumulative_trapezoid", "diff", "trapezoid", "trapz"]


def _neighbours(x: Any, axis: int) -> tuple[Any, Any]:
    """Return all elements of a dimension but the last, and all but the first; both empty where there are none."""
    pairs = max(x.spec.shape[axis] - 1, 0)
    return narrow(x, axis, 0, pairs), narrow(x, axis, x.spec.shape[axis] - pairs, pairs)


def _diff_samples() -> list[Sample]:
    x = spread(-1, 1, 3, 4)
    return [Sample(x), Sample(x, 2), Sample(x, 1, 0), Sample(x.T, dim=0), Sample(x, 0), Sample(x, 5), Sample(x[:, :0]),
            Sample(x, prepend=x[:, :1], append=x[:, :2]), Sample(x, 2, 0, append=x[:1]), Sample(np.array([3, 1, 4])),
            Sample(np.array([True, False, False])), Sample(x.astype(np.float64), 3)]


@composed(samples=_diff_samples, errors=lambda: [
    *missing_dimension(1, 2),
    ErrorSample(Sample(np.float32(1)), ShapeError, "no dimension"),
    ErrorSample(Sample(np.ones(3, np.float32), -1), ValueRangeError, "negative.*got -1")])
def diff(input: TensorT, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> TensorT:
    """Return the differences ``x[i + 1] - x[i]`` of neighbours along a dimension, n times over.

    Args:
        input: any shape but (); of bools, whether the neighbours differ.
        n: how often.
        dim: dimension; it becomes n shorter.
        prepend: put before `input` first; sizes like its, except along `dim`.
        append: put behind `input` first.

    Raises:
        ShapeError: if the dimension does not exist, or `prepend` or `append` does not fit.
        ValueRangeError: if n is negative.

    >>> import autodiff as ad
    >>> ad.diff(ad.tensor([1, 4, 9])), ad.diff(ad.tensor([1, 4, 9]), n=2)
    (tensor([3, 5]), tensor([2]))
    """
    shape = shape_of(input, "diff")
    if not shape:
        raise ShapeError("diff", "there is no dimension along which elements are neighbours", got="()")
    if n < 0:
        raise ValueRangeError("diff", "the number of differences is negative", expected="0 or more", got=str(n))
    axis = axis_index("diff", dim, len(shape))
    parts = [part for part in (prepend, input, append) if part is not None]
    x: Any = cat(parts, axis) if len(parts) > 1 else input
    for _ in range(n):
        before, behind = _neighbours(x, axis)
        x = ne(behind, before) if x.spec.dtype == BOOL else sub(behind, before)
    return clone(x) if x is input else x


def _areas(operation: str, y: Any, x: Any, dx: Any, dim: int) -> tuple[Any, int]:
    """Return the areas under the lines between neighbours along a dimension, and that dimension.

    Raises:
        DTypeError: if both `x` and `dx` are given.
        ShapeError: if the dimension does not exist or the points do not fit.
    """
    shape = shape_of(y, operation)
    axis = axis_index(operation, dim, len(shape))
    if x is not None and dx is not None:
        raise DTypeError(operation, "both points and a distance are given", expected="x or dx", got="x and dx")
    y = real(operation, y)
    if not shape:
        raise ShapeError(operation, "there is no dimension to integrate over", got="()")
    before, behind = _neighbours(y, axis)
    heights = add(before, behind)
    if x is None:
        return mul(heights, mul(dx, 0.5) if is_tensor(dx) else 0.5 * (1 if dx is None else dx)), axis
    points = shape_of(x, operation)
    if len(points) == 1:
        x = reshape(x, (points[0], *(1,) * (len(shape) - axis - 1)))
    if x.spec.ndim < len(shape) - axis or x.spec.shape[axis - len(shape)] != shape[axis]:
        raise ShapeError(operation, "there is not one point for each value", expected=f"{shape[axis]} points",
                         got=str(points))
    start, end = _neighbours(x, x.spec.ndim + axis - len(shape))
    strided.broadcast(operation, heights.spec, start.spec)
    return mul(heights, mul(sub(end, start), 0.5)), axis + max(0, x.spec.ndim - len(shape))


def _area_samples() -> list[Sample]:
    y, x = spread(-1, 1, 3, 4), np.array([0, 0.5, 2, 3], np.float32)
    return [Sample(y), Sample(y, dx=0.5), Sample(y, dim=0), Sample(y, x), Sample(y.T, x, dim=0), Sample(y, y[::-1]),
            Sample(y, x[:3], dim=0), Sample(y[:, :1]), Sample(y[:, :0]), Sample(np.array([1, 2, 4])),
            Sample(y.astype(np.float64), x.astype(np.float64))]


def _area_errors() -> list[ErrorSample]:
    y = np.ones((2, 3), np.float32)
    return [*[ErrorSample(Sample(e.sample.arguments[0], dim=2), e.error, e.pattern) for e in missing_dimension()],
            ErrorSample(Sample(y, y[0, :2]), ShapeError, "not one point for each value; expected 3 points"),
            ErrorSample(Sample(y, y, dx=1), DTypeError, "x or dx")]


@composed(samples=_area_samples, errors=_area_errors)
def trapezoid(y: TensorT, x: Any = None, *, dx: Any = None, dim: int = -1) -> TensorT:
    """Return integrals along a dimension by the trapezoidal rule: the sum of ``(y[i] + y[i + 1]) / 2 * distance``.

    Args:
        y: values, any shape but (); integers become float32.
        x: points: one for each place of `dim`, or a tensor that broadcasts against `y`.
        dx: distance of the points, without `x`; 1 by default.
        dim: dimension; it is dropped.

    Raises:
        ShapeError: if the dimension does not exist or the points do not fit.
        DTypeError: if both `x` and `dx` are given.

    >>> import autodiff as ad
    >>> ad.trapezoid(ad.tensor([1.0, 2.0, 4.0])), ad.trapezoid(ad.tensor([1.0, 2.0]), ad.tensor([0.0, 4.0]))
    (tensor(4.5000), tensor(6.))
    """
    areas, axis = _areas("trapezoid", y, x, dx, dim)
    return sum(areas, axis)  # type: ignore[no-any-return]


@composed(samples=_area_samples, errors=_area_errors)
def cumulative_trapezoid(y: TensorT, x: Any = None, *, dx: Any = None, dim: int = -1) -> TensorT:
    """Return the integrals from the first point to each later one; see `trapezoid`.

    >>> import autodiff as ad
    >>> ad.cumulative_trapezoid(ad.tensor([1.0, 2.0, 4.0]))
    tensor([1.5000, 4.5000])
    """
    areas, axis = _areas("cumulative_trapezoid", y, x, dx, dim)
    return cumsum(areas, axis)  # type: ignore[no-any-return]


trapz = trapezoid
