"""Powers and exponentials of matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autodiff.arguments import integer
from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops.broadcast import sum
from autodiff.ops.choice import constant_of, where
from autodiff.ops.comparison import eq
from autodiff.ops.elementwise import abs, div, mul
from autodiff.ops.extremes import amax
from autodiff.ops.host import from_array
from autodiff.ops.joining import cat
from autodiff.ops.matrices import identity, inv, square_samples
from autodiff.ops.matrix_batches import require_matrices
from autodiff.ops.products import matmul
from autodiff.ops.structural import clone, narrow, require_tensor, turned
from autodiff.primitive import ErrorSample, Keep, Primitive, Sample, composed, define, no_errors
from autodiff.spec import Array, Cost, Spec, moved

# The names that PyTorch has outside `linalg` too, with the same meaning.
__all__ = ["matrix_exp", "matrix_power"]

# ---- Powers ----------------------------------------------------------------------------------------------------------


@composed(samples=lambda: [
    *[Sample(x.arguments[0], n) for x in square_samples()[:2] for n in (0, 1, 2, 5, -2)],
    *[Sample(np.array([[1, 1], [1, 0]]), n) for n in (0, 1, 10)]],
    errors=lambda: [ErrorSample(Sample(np.ones((2, 3), np.float32), 2), ShapeError, "no square matrices"),
                    ErrorSample(Sample(np.ones((2, 2), np.float32), 1.5), DTypeError, "no integer.*1.5"),
                    ErrorSample(Sample(np.eye(2, dtype=np.int64), -1), DTypeError, r"\[matrix_power\].*float.*int64"),
                    ErrorSample(Sample(np.ones((2, 2), np.float32), -1), ValueRangeError, "is singular")])
def matrix_power(input: TensorT, n: int) -> TensorT:
    """Return powers of square matrices, ``input @ input @ ...``.

    Args:
        input: (..., m, m), floats or integers.
        n: exponent; with a negative one, of the inverse of floats.

    Raises:
        ShapeError: unless the matrices are square.
        DTypeError: unless n is an integer, and `input` holds floats if n is negative.
        ValueRangeError: for a negative n, if a matrix is singular.

    >>> import autodiff as ad
    >>> ad.matrix_power(ad.tensor([[1, 1], [1, 0]]), 10)
    tensor([[89, 55],
            [55, 34]])
    """
    require_tensor("matrix_power", input)
    x: Any = input
    n = integer("matrix_power", "the exponent", n)
    require_matrices("matrix_power", x.spec, floats=n < 0)
    if n == 0:
        return constant_of(x, identity(x, x.spec.shape[-1]))  # type: ignore[no-any-return]
    factor, result, left = (inv(x) if n < 0 else x), None, math.trunc(n if n > 0 else -n)
    while left:
        if left % 2:
            result = factor if result is None else matmul(result, factor)
        left //= 2
        if left:
            factor = matmul(factor, factor)
    return clone(result) if result is x else result  # type: ignore[return-value]


# ---- Exponentials ----------------------------------------------------------------------------------------------------

_DEGREE = 19  # of Taylor's polynomial: for a norm of 1, the rest is 1 / 20!, far below one unit of float64


def _scaled(a: Array) -> tuple[Array, Array, Array]:
    """Return matrices divided by powers of 2 until their norm is at most 1, how often by 2, and which are finite."""
    n = a.shape[-1]
    x = a.reshape(math.prod(a.shape[:-2]), n, n)
    norm = np.abs(x).sum(-1, dtype=np.float64).max(-1, initial=0)
    regular = np.isfinite(norm)
    halvings = np.where(regular, np.maximum(np.frexp(norm)[1], 0), 0)
    return np.ldexp(x, -halvings[:, None, None]), halvings, regular


def _exp_run(outs: list[Array], ins: list[Array]) -> None:
    """Scale each matrix by its own norm, take the polynomial, and square as often as it was halved."""
    n = ins[0].shape[-1]
    with np.errstate(all="ignore"):
        x, halvings, regular = _scaled(ins[0])
        powers = [np.eye(n, dtype=x.dtype), x]
        while len(powers) < 5:
            powers.append(powers[-1] @ x)
        value = np.zeros_like(x)
        for start in range(_DEGREE - 3, -1, -4):
            value = powers[4] @ value
            for i in range(4):
                value += powers[i] * x.dtype.type(1 / math.factorial(start + i))
        for step in range(halvings.max(initial=0)):
            larger = halvings > step
            value[larger] = value[larger] @ value[larger]
        value[~regular] = np.nan
        outs[0][...] = np.exp(ins[0]) if n == 1 else value.reshape(outs[0].shape)


def _exp_grad_run(outs: list[Array], ins: list[Array]) -> None:
    """Do the same with the derivatives, at the transposed matrices in the direction of the cotangent, beside it."""
    g, a = ins
    n = a.shape[-1]
    with np.errstate(all="ignore"):
        x, halvings, regular = _scaled(np.swapaxes(a, -1, -2))
        direction = np.ldexp(g.reshape(x.shape), -halvings[:, None, None])
        powers, slopes = [np.eye(n, dtype=x.dtype), x], [np.zeros((n, n), x.dtype), direction]
        while len(powers) < 5:
            slopes.append(powers[-1] @ direction + slopes[-1] @ x)
            powers.append(powers[-1] @ x)
        value, slope = np.zeros_like(x), np.zeros_like(x)
        for start in range(_DEGREE - 3, -1, -4):
            slope = powers[4] @ slope + slopes[4] @ value
            value = powers[4] @ value
            for i in range(4):
                factor = x.dtype.type(1 / math.factorial(start + i))
                value += powers[i] * factor
                slope += slopes[i] * factor
        for step in range(halvings.max(initial=0)):
            larger = halvings > step
            v, s = value[larger], slope[larger]
            value[larger], slope[larger] = v @ v, v @ s + s @ v
        slope[~regular] = np.nan
        outs[0][...] = g * np.exp(a) if n == 1 else slope.reshape(outs[0].shape)


def _exp_infer(a: Spec) -> Spec:
    require_matrices("matrix_exp", a)
    return Spec.of(a.shape, a.dtype)


def _exp_grad_twin(g: Any, a: Any) -> Any:
    # The exponential of [[A, G], [0, A]] has in its corner the derivative at A in the direction G (Higham, Functions of
    # matrices, 2008, theorem 3.6), and the transposed map is the derivative at the transposed A. It is linear in G, so
    # G is given the norm 1: a larger one would be scaled down, and A with it.
    a, n = turned(a), g.spec.shape[-1]
    if not a.spec.size:
        return g
    norm = amax(sum(abs(g), -1, True), -2, True)
    norm = where(eq(norm, 0), 1.0, norm)
    zeros = from_array(np.zeros(a.spec.shape, a.spec.dtype))
    block = cat([cat([a, div(g, norm)], -1), cat([zeros, a], -1)], -2)
    return mul(narrow(narrow(bind(matrix_exp_p, block), -2, 0, n), -1, n, n), norm)


matrix_exp_p: Primitive = define(
    "matrix_exp",
    host=True,
    infer=_exp_infer,
    run=_exp_run,
    vjp=lambda record, g: (bind(matrix_exp_grad_p, g, record.input(0)),),
    saves=Keep(inputs=(0,)),
    cost=lambda inputs, outputs: Cost(20 * inputs[0].size * inputs[0].shape[-1], moved(*inputs, *outputs)),
    samples=lambda: [
        *[Sample(x.arguments[0] * np.float32(0.2)) for x in square_samples()],
        Sample(square_samples()[0].arguments[0], tolerance=1e-4), Sample(np.zeros((2, 2), np.float32)),
        Sample(np.zeros((0, 0), np.float32)), Sample(np.array([[[np.inf]], [[-np.inf]]], np.float32), gradient=False),
        Sample(np.array([[[0, 1], [np.nan, 0]], [[0, 1], [1, 0]]], np.float32), gradient=False)],
    errors=lambda: [ErrorSample(Sample(np.ones((2, 3), np.float32)), ShapeError, "no square matrices"),
                    ErrorSample(Sample(np.ones((2, 2), np.int64)), DTypeError, "float dtype.*int64")],
    call=lambda x: matrix_exp(x),
)
matrix_exp_grad_p: Primitive = define(
    "matrix_exp_grad",
    host=True,
    infer=lambda g, a: Spec.of(a.shape, a.dtype),
    run=_exp_grad_run,
    vjp=None,
    twin=_exp_grad_twin,
    cost=lambda inputs, outputs: Cost(60 * inputs[0].size * inputs[0].shape[-1], moved(*inputs, *outputs)),
    samples=lambda: [
        *[Sample(100 * np.cos(x.arguments[0]), x.arguments[0] * np.float32(0.2)) for x in square_samples()],
        Sample(np.ones((3, 3)), square_samples()[1].arguments[0])],
    errors=no_errors,
)


def matrix_exp(input: TensorT) -> TensorT:
    """Return the exponentials of matrices, ``1 + A + A @ A / 2 + A @ A @ A / 6 + ...``.

    Args:
        input: (..., n, n), floats. The exponential of a larger matrix that is not finite is NaN.

    Raises:
        ShapeError: unless the matrices are square.
        DTypeError: unless `input` holds floats.

    Source: scaling and squaring, Moler & Van Loan, Nineteen dubious ways to compute the exponential of a matrix, 2003;
    the polynomial in blocks, Paterson & Stockmeyer, On the number of nonscalar multiplications necessary to evaluate
    polynomials, 1973.

    >>> import autodiff as ad
    >>> ad.matrix_exp(ad.tensor([[0.0, 1.0], [0.0, 0.0]]))
    tensor([[1., 1.],
            [0., 1.]])
    """
    require_tensor("matrix_exp", input)
    return bind(matrix_exp_p, input)  # type: ignore[no-any-return]
