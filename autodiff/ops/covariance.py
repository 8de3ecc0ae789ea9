"""Covariances and correlations of variables that are rows of a matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from autodiff.bind import TensorT
from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops.broadcast import sum
from autodiff.ops.choice import clamp, clamp_min
from autodiff.ops.contraction import mm
from autodiff.ops.diagonals import diagonal
from autodiff.ops.elementwise import div, mul, sub
from autodiff.ops.functions import sqrt
from autodiff.ops.host import values
from autodiff.ops.promotion import cast, real
from autodiff.ops.samples import spread
from autodiff.ops.shaping import shape_of, unsqueeze
from autodiff.ops.structural import reshape, transpose
from autodiff.primitive import ErrorSample, Sample, composed

__all__ = ["corrcoef", "cov"]


def _weights(what: str, weights: Any, kinds: str, shape: tuple[int, ...]) -> Any:
    """Return weights of observations.

    Raises:
        DTypeError: for frequencies that are no integers, or weights that are no floats.
        ShapeError: if there is not one for each observation.
        ValueRangeError: if one is negative.
    """
    if weights.spec.dtype.kind not in kinds:
        raise DTypeError("cov", f"{what} has the wrong dtype", expected="integers" if "i" in kinds else "floats",
                         got=weights.spec.dtype.name)
    if weights.spec.shape != shape:
        raise ShapeError("cov", f"{what} does not have one weight for each observation", expected=str(shape),
                         got=str(weights.spec.shape))
    if values(weights).min(initial=0) < 0:
        raise ValueRangeError("cov", f"{what} has a negative weight", expected="0 or more")
    return weights


def _cov_samples() -> list[Sample]:
    x = spread(-1, 1, 3, 5)
    often, weight = np.array([1, 2, 0, 1, 3]), spread(0.2, 1, 5)
    return [Sample(x), Sample(x[0]), Sample(x, correction=0), Sample(x.T[::2]), Sample(x, fweights=often),
            Sample(x, aweights=weight), Sample(x, fweights=often, aweights=weight, correction=0.5),
            Sample(np.float32(2)),
            Sample(np.array([[1, 2, 4], [3, 1, 0]])), Sample(x.astype(np.float64))]


@composed(samples=_cov_samples, errors=lambda: [
    ErrorSample(Sample("3"), DTypeError, "not a tensor"),
    ErrorSample(Sample(np.ones((2, 2, 2), np.float32)), ShapeError, "at most two dimensions"),
    ErrorSample(Sample(np.array([True])), DTypeError, "bools have no covariance"),
    ErrorSample(Sample(np.ones((2, 3), np.float32), fweights=np.ones(3, np.float32)), DTypeError, "fweights.*integers"),
    ErrorSample(Sample(np.ones((2, 3), np.float32), aweights=np.array([1, 2, 3])), DTypeError, "aweights.*floats"),
    ErrorSample(Sample(np.ones((2, 3), np.float32), fweights=np.ones(2, np.int64)), ShapeError, r"\(3,\); got \(2,\)"),
    ErrorSample(Sample(np.ones((2, 3), np.float32), fweights=np.array([1, -1, 1])), ValueRangeError,
                "negative weight")])
def cov(input: TensorT, *, correction: float = 1, fweights: Any = None, aweights: Any = None) -> TensorT:
    """Return the covariances of all pairs of variables, ``sum(w * (x - mean(x)) * (y - mean(y))) / n``.

    Args:
        input: (variables, observations), or (observations,) of one variable; integers become float32.
        correction: n is ``sum(w) - correction``, with `aweights` ``sum(w) - correction * sum(w * a) / sum(w)``.
        fweights: (observations,), integers: how often each observation counts.
        aweights: (observations,), floats: the weight a of each observation.

    Returns:
        (variables, variables), or () for one variable.

    Raises:
        DTypeError: for bools, `fweights` that are no integers or `aweights` that are no floats.
        ShapeError: for more than two dimensions, or weights that do not fit.
        ValueRangeError: for a negative weight.

    >>> import autodiff as ad
    >>> ad.cov(ad.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    shape = shape_of(input, "cov")
    if len(shape) > 2:
        raise ShapeError("cov", "the input is no matrix", expected="at most two dimensions", got=str(shape))
    if input.spec.dtype.kind == "b":  # type: ignore[attr-defined]
        raise DTypeError("cov", "bools have no covariance", got="bool", fix="convert with x.float()")
    x: Any = real("cov", input)
    x = x if len(shape) == 2 else reshape(x, (1, *(shape or (1,))))
    observations = x.spec.shape[1]
    often = None if fweights is None else cast(_weights("fweights", fweights, "iu", (observations,)), x.spec.dtype)
    weight = None if aweights is None else cast(_weights("aweights", aweights, "f", (observations,)), x.spec.dtype)
    both = mul(often, weight) if often is not None and weight is not None else often if weight is None else weight
    count = observations if both is None else sum(both)
    center = div(sum(x if both is None else mul(x, both), 1, True), count)
    x = sub(x, center)
    if weight is None:
        number: Any = sub(count, correction) if both is not None else count - correction
    else:
        number = sub(count, mul(div(sum(mul(both, weight)), count), correction))
    number = max(number, 0.0) if isinstance(number, int | float) else clamp_min(number, 0.0)
    result = div(mm(x, transpose(x if both is None else mul(x, both), 0, 1)), number)
    return result if len(shape) == 2 else reshape(result, ())  # type: ignore[no-any-return]


@composed(samples=lambda: [Sample(spread(-1, 1, 3, 5)), Sample(spread(-1, 1, 5)), Sample(spread(-1, 1, 3, 5).T),
                           Sample(np.array([[1, 2, 4], [3, 1, 0]])), Sample(spread(-1, 1, 2, 6, dtype=np.float64))],
          errors=lambda: [ErrorSample(Sample(np.ones((2, 2, 2), np.float32)), ShapeError, "at most two dimensions")])
def corrcoef(input: TensorT) -> TensorT:
    """Return Pearson's correlation coefficients of all pairs of variables, from -1 to 1.

    Args:
        input: (variables, observations), or (observations,) of one variable; integers become float32.

    Returns:
        (variables, variables), or () for one variable; NaN for a variable that does not vary.

    Raises:
        DTypeError: for bools.
        ShapeError: for more than two dimensions.

    >>> import autodiff as ad
    >>> ad.corrcoef(ad.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    covariances: Any = cov(input)
    if not covariances.spec.ndim:
        return div(covariances, covariances)  # type: ignore[no-any-return]
    deviations = sqrt(diagonal(covariances))
    return clamp(div(div(covariances, unsqueeze(deviations, 1)), deviations), -1, 1)  # type: ignore[no-any-return]
