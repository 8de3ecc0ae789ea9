"""How often numbers occur: bincount and histograms.

Weights of one bin are added in the order of the elements, for any number of threads.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from autodiff.arguments import integer
from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops.broadcast import expand
from autodiff.ops.broadcast import sum as total
from autodiff.ops.choice import minimum, where
from autodiff.ops.comparison import eq, ge, le, logical_and
from autodiff.ops.elementwise import div, mul, sub
from autodiff.ops.host import from_array, values
from autodiff.ops.promotion import INT64, cast, constant, is_tensor
from autodiff.ops.samples import spread, unary_errors
from autodiff.ops.scattering import gather_grad_p
from autodiff.ops.shaping import flatten, shape_of
from autodiff.ops.sorting import searchsorted
from autodiff.ops.structural import contiguous, narrow, require_tensor
from autodiff.primitive import ErrorSample, Sample, composed

__all__ = ["bincount", "histc", "histogram"]


def _sums(weights: Any, places: Any, bins: int) -> Any:
    """Return the sums of the weights that go to each of `bins` places."""
    return bind(gather_grad_p, contiguous(weights), contiguous(places), dim=0, size=bins)


def _bincount_samples() -> list[Sample]:
    x = np.array([3, 1, 3, 0, 3])
    return [Sample(x), Sample(x, minlength=6), Sample(x, spread(-1, 1, 5)), Sample(x, spread(-1, 1, 5), 5),
            Sample(x, np.arange(5)), Sample(x[:0]), Sample(x[:0], minlength=2), Sample(x.astype(np.uint8)),
            Sample(x.astype(np.int32), spread(-1, 1, 5, dtype=np.float64))]


def _bincount_errors() -> list[ErrorSample]:
    x = np.array([1, 2])
    return [ErrorSample(Sample("3"), DTypeError, "not a tensor"),
            ErrorSample(Sample(np.ones(2, np.float32)), DTypeError, "integers.*got float32"),
            ErrorSample(Sample(x[None]), ShapeError, r"one dimension; got \(1, 2\)"),
            ErrorSample(Sample(np.array([1, -2])), ValueRangeError, "negative; got -2"),
            *[ErrorSample(Sample(np.array([1, n])), ValueRangeError, f"not enough memory.*got {n + 1} counts")
              for n in (1 << 45, (1 << 63) - 1)],
            ErrorSample(Sample(x, np.ones(3, np.float32)), ShapeError, r"one weight for each.*\(2,\); got \(3,\)"),
            ErrorSample(Sample(x, minlength=-1), ValueRangeError, "minlength is negative")]


@composed(samples=_bincount_samples, errors=_bincount_errors)
def bincount(input: TensorT, weights: Any = None, minlength: int = 0) -> TensorT:
    """Return how often each of 0, 1, 2, ... stands in a vector, or the sums of the weights that stand there.

    Args:
        input: (n,); integers from 0 on.
        weights: (n,); gradients flow to them.
        minlength: least length of the result, which is otherwise the largest element + 1.

    Returns:
        int64 without weights; else float32 for float32 weights and float64 for others, as in PyTorch.

    Raises:
        DTypeError: if `input` does not hold integers.
        ShapeError: unless `input` is a vector and `weights` is as long.
        ValueRangeError: for a negative element or `minlength`, or one for which there is not enough memory.

    >>> import autodiff as ad
    >>> ad.bincount(ad.tensor([0, 2, 2])), ad.bincount(ad.tensor([0, 2, 2]), ad.tensor([0.5, 1.0, 2.0]))
    (tensor([1, 0, 2]), tensor([0.5000, 0.0000, 3.0000]))
    """
    x: Any = input
    shape = shape_of(x, "bincount")
    if x.spec.dtype.kind not in "iu":
        raise DTypeError("bincount", "only integers are counted", expected="an integer dtype", got=x.spec.dtype.name)
    if len(shape) != 1:
        raise ShapeError("bincount", "the input is no vector", expected="one dimension", got=str(shape))
    if minlength < 0:
        raise ValueRangeError("bincount", "minlength is negative", expected="0 or more", got=str(minlength))
    numbers = values(x)
    if numbers.size and numbers.min() < 0:
        raise ValueRangeError("bincount", "an element is negative", got=str(numbers.min()))
    if weights is None:
        weights = expand(constant(1, INT64), shape)
    else:
        if shape_of(weights, "bincount") != shape:
            raise ShapeError("bincount", "there is not one weight for each element", expected=str(shape),
                             got=str(shape_of(weights)))
        weights = weights if weights.spec.dtype == np.float32 else cast(weights, np.dtype(np.float64))
    bins = max(int(numbers.max()) + 1 if numbers.size else 0, integer("bincount", "minlength", minlength))
    try:
        np.empty(bins, np.int64)  # asks for memory without touching it
    except (MemoryError, OverflowError, ValueError):
        raise ValueRangeError("bincount", "there is not enough memory to count up to the largest element",
                              got=f"{bins} counts", fix="give its distinct elements small numbers: "
                              "x.unique(return_inverse=True)[1].bincount()") from None
    return _sums(weights, cast(x, INT64), bins)  # type: ignore[no-any-return]


def _range(operation: str, x: Any, low: float, high: float) -> tuple[float, float]:
    """Return the outer edges of a histogram: those of the elements where none are given, and never equal ones.

    Raises:
        ValueRangeError: if they are not finite, or not in order.
    """
    if low == high and x.spec.size:
        numbers = values(x)
        low, high = float(numbers.min()), float(numbers.max())
    if low == high:
        low, high = low - 1, high + 1
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueRangeError(operation, "these are no limits of a range",
                              expected="finite numbers, the lower one first",
                              got=f"{low} and {high}")
    return low, high


def _require_bins(operation: str, x: Any, bins: int) -> None:
    """Raise unless floats are put into a positive number of bins.

    Raises:
        DTypeError: for integers and bools.
        ValueRangeError: for a number of bins below 1.
    """
    require_tensor(operation, x)
    if not x.spec.floating:
        raise DTypeError(operation, "only floats are put into bins", expected="float32 or float64",
                         got=x.spec.dtype.name, fix="convert with x.float()")
    if bins < 1:
        raise ValueRangeError(operation, "there are no bins", expected="1 or more", got=str(bins))


def _histogram_errors() -> list[ErrorSample]:
    x = np.array([0, np.inf], np.float32)
    return [*unary_errors(), ErrorSample(Sample(np.array([1, 2]), 4), DTypeError, "only floats.*got int64"),
            ErrorSample(Sample(x, 0), ValueRangeError, "no bins"),
            ErrorSample(Sample(x, 4), ValueRangeError, "no limits of a range.*inf")]


@composed(samples=lambda: [Sample(spread(-1, 1, 5, 7), 4), Sample(spread(-1, 1, 40), 8, -0.5, 0.5),
                           Sample(np.array([0, 1, 1, 2, 4], np.float32), 4), Sample(np.ones(3, np.float32), 4),
                           Sample(np.array([0, np.nan, 1, 9], np.float32), 2, 0, 1), Sample(np.zeros(0, np.float32), 3),
                           Sample(spread(-1, 1, 5, 7, dtype=np.float64), 10, max=1)],
          errors=_histogram_errors)
def histc(input: TensorT, bins: int = 100, min: float = 0, max: float = 0) -> TensorT:
    """Return how many elements fall into each of several bins of equal width; the last one includes its upper edge.

    Args:
        input: any shape; floats. Elements outside the range, and NaN, are not counted.
        bins: how many.
        min: lower edge of the range.
        max: upper edge; where both are equal, the range is that of the elements.

    Returns:
        (bins,), in the dtype of `input`; without a gradient.

    Raises:
        DTypeError: for integers and bools.
        ValueRangeError: if there are no bins, or the range is not finite or not in order.

    >>> import autodiff as ad
    >>> ad.histc(ad.tensor([1.0, 2.0, 1.0]), bins=4, min=0, max=3)
    tensor([0., 2., 1., 0.])
    """
    _require_bins("histc", input, bins)
    x: Any = flatten(input)
    low, high = _range("histc", x, float(min), float(max))
    place = minimum(div(mul(sub(x, low), bins), high - low), bins - 1)
    # What lies outside goes to a bin of its own. Conversion to integers cuts off the part behind the point.
    place = cast(where(logical_and(ge(x, low), le(x, high)), place, bins), INT64)
    counts = _sums(expand(constant(1, x.spec.dtype), x.spec.shape), place, bins + 1)
    return narrow(counts, 0, 0, bins)  # type: ignore[no-any-return]


class Histogram(NamedTuple):
    """What `histogram` returns: the counts, and the edges of the bins."""

    hist: Any
    bin_edges: Any


def _edge_samples() -> list[Sample]:
    x, edges = spread(-1, 1, 5, 7), np.array([-0.7, 0, 0.1, 0.9], np.float32)
    return [Sample(x, 4), Sample(x, edges), Sample(x, edges, weight=x[::-1]), Sample(x, 6, range=(-0.5, 0.5)),
            Sample(x, edges, density=True), Sample(np.array([0, 1, 1, 2, 4], np.float32), 4),
            Sample(x.astype(np.float64), 3, weight=np.abs(x).astype(np.float64), density=True,
                   gradient=False)]


@composed(samples=_edge_samples, errors=lambda: [
    *_histogram_errors()[1:],
    ErrorSample(Sample(np.ones(3, np.float32), np.ones((2, 2), np.float32)), ShapeError, "edges are no vector"),
    ErrorSample(Sample(np.ones(3, np.float32), 2, weight=np.ones(2, np.float32)), ShapeError, "one weight for each")])
def histogram(input: TensorT, bins: Any, *, range: tuple[float, float] | None = None, weight: Any = None,
              density: bool = False) -> Histogram:
    """Return how many elements fall into each of several bins, ``edge[i] <= x < edge[i + 1]``, and the edges.

    Args:
        input: any shape; floats.
        bins: number of bins of equal width, or a vector of rising edges. The last bin includes its upper edge.
        range: lower and upper edge, with a number of bins; those of the elements by default.
        weight: what each element counts for, 1 by default; the shape of `input`. Gradients flow to it.
        density: divide by the sum of all and by the widths, so that the integral is 1.

    Returns:
        ``(hist, bin_edges)``, in the dtype of `input`.

    Raises:
        DTypeError: for integers and bools.
        ShapeError: if the edges are no vector, or the weights do not fit.
        ValueRangeError: if there are no bins, or the range is not finite or not in order.

    >>> import autodiff as ad
    >>> ad.histogram(ad.tensor([1.0, 2.0, 1.0]), bins=2, range=(0.0, 2.0)).hist
    tensor([0., 3.])
    """
    _require_bins("histogram", input, 1 if is_tensor(bins) else bins)
    x: Any = flatten(input)
    dtype = x.spec.dtype
    if is_tensor(bins):
        edges = cast(bins, dtype)
        if edges.spec.ndim != 1 or edges.spec.size < 2:
            raise ShapeError("histogram", "the edges are no vector", expected="two or more numbers",
                             got=str(edges.spec.shape))
    else:
        low, high = _range("histogram", x, *(range or (0.0, 0.0)))
        edges = from_array(np.linspace(low, high, bins + 1, dtype=dtype))
    count = edges.spec.size - 1
    if weight is None:
        weight = expand(constant(1, dtype), x.spec.shape)
    elif shape_of(weight, "histogram") != shape_of(input):
        raise ShapeError("histogram", "there is not one weight for each element", expected=str(shape_of(input)),
                         got=str(shape_of(weight)))
    last = narrow(edges, 0, count, 1)
    # Bin 0 takes what lies below, the last one what lies above; an element at the upper edge belongs to the one before.
    place = where(eq(x, last), count, searchsorted(edges, x, right=True))
    hist = narrow(_sums(flatten(weight), place, count + 2), 0, 1, count)
    if density:
        hist = div(hist, mul(total(hist), sub(narrow(edges, 0, 1, count), narrow(edges, 0, 0, count))))
    return Histogram(hist, edges)
