"""Random draws, and the dropouts made of them.

A draw is an operation like any other: its input is the key, a tensor that holds the seed and the number of the draw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.arguments import integer, number
from autodiff.bind import TensorT, bind
from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops import strided
from autodiff.ops.elementwise import add, mul, spread
from autodiff.ops.in_place import copy_
from autodiff.ops.promotion import FLOAT32, INT64
from autodiff.ops.structural import require_tensor
from autodiff.primitive import ErrorSample, Sample, composed, define, no_errors
from autodiff.program import Memory, tensor_class
from autodiff.random import Generator, default_generator
from autodiff.spec import Array, Cost, DType, Shape, Spec, moved, spec_of
from autodiff.thread_mode import MODE

__all__ = [
    "alpha_dropout",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "random_bernoulli",
    "random_integers",
    "random_normal",
    "random_permutation",
    "random_uniform",
    "bernoulli_",
    "normal_",
    "uniform_",
]


_KEY = np.array([3, 5])
_KEY_SPEC = spec_of(_KEY)


def draw_key(generator: Generator | None = None) -> Any:
    """Return the key of the next draw as a tensor of two integers.

    Raises:
        DTypeError: if `generator` is none.
    """
    generator = generator or default_generator
    if not isinstance(generator, Generator):
        raise DTypeError("generator", "this is no generator of random numbers", expected="autodiff.Generator()",
                         got=repr(generator))
    key = tensor_class[0].__new__(tensor_class[0])
    key.array = generator.next_key()
    key.spec = _KEY_SPEC
    key.memory = Memory()
    if MODE.recorder is not None:
        MODE.recorder.drawn(key, generator)
    return key


def _count(inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], **_: Any) -> Cost:
    # Ten rounds of two products for four words, and the conversion.
    return Cost(10 * outputs[0].size, moved(*outputs))


def _real_prepare(
    kernel: str, inputs: tuple[Spec, ...], outputs: tuple[Spec, ...], shape: Shape, dtype: DType
) -> Callable[..., None]:
    function = kernels.entry.compiled(getattr(kernels.random, kernel), dtype)

    def run(outs: Sequence[Array], ins: Sequence[Array]) -> None:
        function(outs[0], *ins[0].tolist(), 0, 1)

    return run


def _bernoulli_run(outs: list[Array], ins: list[Array], p: float, scale: float, **_: Any) -> None:
    kernels.random.bernoulli(outs[0].reshape(-1), int(ins[0][0]), int(ins[0][1]), p, scale, 0, 1)


def _integers_run(outs: list[Array], ins: list[Array], low: int, high: int, **_: Any) -> None:
    kernels.random.integers(outs[0].reshape(-1), int(ins[0][0]), int(ins[0][1]), low, high, 0, 1)


def _permutation_run(outs: list[Array], ins: list[Array], n: int) -> None:
    kernels.random.permutation(outs[0], int(ins[0][0]), int(ins[0][1]), 0, 1)


uniform_p = define(
    "random_uniform",
    infer=lambda key, shape, dtype: Spec.of(shape, dtype),
    run=strided.nothing,
    prepare=partial(_real_prepare, "uniform"),
    vjp=None,
    cost=_count,
    samples=lambda: [Sample(_KEY, shape=(3, 5), dtype=FLOAT32), Sample(_KEY, shape=(7,), dtype=np.dtype(np.float64))],
    errors=no_errors,
)
normal_p = define(
    "random_normal",
    infer=lambda key, shape, dtype: Spec.of(shape, dtype),
    run=strided.nothing,
    prepare=partial(_real_prepare, "normal"),
    vjp=None,
    cost=_count,
    samples=lambda: [Sample(_KEY, shape=(3, 5), dtype=FLOAT32), Sample(_KEY, shape=(7,), dtype=np.dtype(np.float64))],
    errors=no_errors,
)
bernoulli_p = define(
    "random_bernoulli",
    infer=lambda key, shape, dtype, p, scale: Spec.of(shape, dtype),
    run=_bernoulli_run,
    vjp=None,
    cost=_count,
    samples=lambda: [Sample(_KEY, shape=(3, 7), dtype=FLOAT32, p=0.3, scale=2.0)],
    errors=no_errors,
)
integers_p = define(
    "random_integers",
    infer=lambda key, shape, low, high: Spec.of(shape, INT64),
    run=_integers_run,
    vjp=None,
    cost=_count,
    samples=lambda: [Sample(_KEY, shape=(3, 7), low=-2, high=9)],
    errors=no_errors,
)


permutation_p = define(
    "random_permutation",
    infer=lambda key, n: Spec.of((n,), INT64),
    run=_permutation_run,
    vjp=None,
    cost=_count,
    samples=lambda: [Sample(_KEY, n=300), Sample(_KEY, n=0)],
    errors=no_errors,
)


def random_uniform(
    shape: Shape, low: float = 0, high: float = 1, dtype: DType = FLOAT32, generator: Generator | None = None
) -> Any:
    """Return draws from the uniform distribution on [low, high).

    >>> import autodiff as ad
    >>> ad.ops.random_uniform((2, 3)).shape
    (2, 3)
    """
    draws = bind(uniform_p, draw_key(generator), shape=shape, dtype=dtype)
    if high - low != 1:
        draws = mul(draws, high - low)
    return add(draws, low) if low else draws


def random_normal(
    shape: Shape, mean: float = 0, std: float = 1, dtype: DType = FLOAT32, generator: Generator | None = None
) -> Any:
    """Return draws from the normal distribution.

    >>> import autodiff as ad
    >>> ad.ops.random_normal((2, 3)).shape
    (2, 3)
    """
    draws = bind(normal_p, draw_key(generator), shape=shape, dtype=dtype)
    if std != 1:
        draws = mul(draws, std)
    return add(draws, mean) if mean else draws


def random_bernoulli(
    shape: Shape, p: float, scale: float = 1, dtype: DType = FLOAT32, generator: Generator | None = None
) -> Any:
    """Return draws that are `scale` with probability `p` and 0 otherwise.

    >>> import autodiff as ad
    >>> ad.ops.random_bernoulli((3,), 1.0)
    tensor([1., 1., 1.])
    """
    return bind(bernoulli_p, draw_key(generator), shape=shape, dtype=dtype, p=float(p), scale=float(scale))


def random_integers(shape: Shape, low: int, high: int, generator: Generator | None = None) -> Any:
    """Return int64 draws from low, ..., high - 1.

    Raises:
        ValueRangeError: if the range is empty.

    >>> import autodiff as ad
    >>> ad.ops.random_integers((2,), 4, 5)
    tensor([4, 4])
    """
    low, high = integer("randint", "low", low), integer("randint", "high", high)
    if high <= low:
        raise ValueRangeError("randint", "the range is empty", expected="low < high", got=f"low {low}, high {high}")
    return bind(integers_p, draw_key(generator), shape=shape, low=low, high=high)


def random_permutation(n: int, generator: Generator | None = None) -> Any:
    """Return the numbers 0 to n - 1 in random order, int64.

    Raises:
        ValueRangeError: if `n` is negative.

    >>> import autodiff as ad
    >>> sorted(ad.ops.random_permutation(4).tolist())
    [0, 1, 2, 3]
    """
    n = integer("randperm", "n", n)
    if n < 0:
        raise ValueRangeError("randperm", "there are no permutations of fewer than 0 numbers", expected="n >= 0",
                              got=str(n))
    return bind(permutation_p, draw_key(generator), n=n)


def check_probability(operation: str, p: float, what: str = "of dropping") -> None:
    """Raise unless `p` is a probability.

    Raises:
        ValueRangeError: names the operation and the number.
    """
    if not 0 <= number(operation, "p", p) <= 1:
        raise ValueRangeError(
            operation, f"the probability {what} is outside its range", expected="0 <= p <= 1", got=str(p)
        )


def check_deviation(operation: str, std: float) -> None:
    """Raise unless `std` is a standard deviation.

    Raises:
        ValueRangeError: names the operation and the number.
    """
    if not std >= 0:
        raise ValueRangeError(operation, "the standard deviation is outside its range", expected="std >= 0",
                              got=str(std))


def uniform_(input: TensorT, a: float = 0, b: float = 1, *, generator: Generator | None = None) -> TensorT:
    """Fill `input` with draws from the uniform distribution on [a, b), and return it.

    Raises:
        ValueRangeError: unless ``a <= b``.
        InPlaceError: for a leaf that requires a gradient, while gradients are recorded.

    >>> import autodiff as ad
    >>> bool((ad.empty(9).uniform_(1, 2) >= 1).all())
    True
    """
    spec: Spec = input.spec  # type: ignore[attr-defined]
    if not a <= b:
        raise ValueRangeError("uniform_", "the range is empty", expected="a <= b", got=f"a {a}, b {b}")
    return copy_(input, random_uniform(spec.shape, a, b, spec.dtype, generator))


def normal_(input: TensorT, mean: float = 0, std: float = 1, *, generator: Generator | None = None) -> TensorT:
    """Fill `input` with draws from a normal distribution, and return it.

    Raises:
        ValueRangeError: unless ``std >= 0``.
        InPlaceError: for a leaf that requires a gradient, while gradients are recorded.

    >>> import autodiff as ad
    >>> ad.empty(2).normal_(3, 0)
    tensor([3., 3.])
    """
    spec: Spec = input.spec  # type: ignore[attr-defined]
    check_deviation("normal_", std)
    return copy_(input, random_normal(spec.shape, mean, std, spec.dtype, generator))


def bernoulli_(input: TensorT, p: float = 0.5, *, generator: Generator | None = None) -> TensorT:
    """Fill `input` with ones, with probability `p`, and zeros, and return it.

    Raises:
        ValueRangeError: unless ``0 <= p <= 1``.
        InPlaceError: for a leaf that requires a gradient, while gradients are recorded.

    >>> import autodiff as ad
    >>> ad.empty(2).bernoulli_(1.0)
    tensor([1., 1.])
    """
    spec: Spec = input.spec  # type: ignore[attr-defined]
    check_probability("bernoulli_", p, "of a one")
    return copy_(input, random_bernoulli(spec.shape, p, 1, spec.dtype, generator))


# ---- Dropout ---------------------------------------------------------------------------------------------------------


def _dropout_errors() -> list[ErrorSample]:
    return [ErrorSample(Sample(np.ones(3, np.float32), 1.5), ValueRangeError, "probability.*0 <= p <= 1; got 1.5")]


def _identity_samples() -> list[Sample]:
    x = spread(-2, 2, 2, 3, 4)
    return [Sample(x, p=0.0), Sample(x, 0.5, training=False)]


def _dropped(x: Any, p: float, shape: Shape) -> Any:
    """Return `x` times a mask of `shape` that is 0 with probability `p` and 1 / (1 - p) otherwise."""
    if not x.spec.floating:
        raise DTypeError("dropout", "integers cannot be divided by the share that is kept",
                         expected="float32 or float64", got=x.spec.dtype.name, fix="convert the input with x.float()")
    scale = 0.0 if p == 1 else 1 / (1 - p)
    mask = random_bernoulli(shape, 1 - p, scale, x.spec.dtype)
    return mul(x, mask)


@composed(samples=_identity_samples, errors=_dropout_errors)
def dropout(input: TensorT, p: float = 0.5, training: bool = True, inplace: bool = False) -> TensorT:
    """Return `input` with each element set to 0 with probability `p` and the others divided by 1 - p.

    Args:
        input: any shape, floats.
        p: probability of dropping an element.
        training: do nothing when False.
        inplace: write into `input`.

    Raises:
        ValueRangeError: unless 0 <= p <= 1.

    Source: Srivastava et al., "Dropout", JMLR 2014, in the form that needs no scaling at test time.

    >>> import autodiff as ad
    >>> ad.nn.functional.dropout(ad.ones(3), p=0.0)
    tensor([1., 1., 1.])
    """
    require_tensor("dropout", input)
    check_probability("dropout", p)
    if not training or p == 0:
        return input
    x: Any = input
    dropped = _dropped(x, p, x.spec.shape)
    return x.copy_(dropped) if inplace else dropped  # type: ignore[no-any-return]


def _channels_dropped(operation: str, x: Any, p: float, ranks: tuple[int, ...]) -> Any:
    check_probability(operation, p)
    if x.spec.ndim not in ranks:
        raise ShapeError(
            operation,
            "the input has the wrong number of dimensions",
            expected=" or ".join(map(str, ranks)),
            got=str(x.spec.shape),
        )
    if p == 0:
        return x
    lead = x.spec.ndim - (ranks[-1] - 2)
    return _dropped(x, p, (*x.spec.shape[:lead], *(1,) * (x.spec.ndim - lead)))


@composed(samples=_identity_samples, errors=_dropout_errors)
def dropout1d(input: TensorT, p: float = 0.5, training: bool = True, inplace: bool = False) -> TensorT:
    """Return `input` (N, C, L) with whole channels set to 0 with probability `p`, the others divided by 1 - p.

    Raises:
        ValueRangeError: unless 0 <= p <= 1.
        ShapeError: for another number of dimensions.

    >>> import autodiff as ad
    >>> ad.nn.functional.dropout1d(ad.ones(1, 2, 3), p=0.0).shape
    (1, 2, 3)
    """
    check_probability("dropout1d", p)
    return _channels_dropped("dropout1d", input, p, (2, 3)) if training else input


@composed(
    samples=lambda: [Sample(spread(-2, 2, 2, 3, 2, 2), p=0.0), Sample(spread(-2, 2, 2, 3, 2, 2), training=False)],
    errors=_dropout_errors,
)
def dropout2d(input: TensorT, p: float = 0.5, training: bool = True, inplace: bool = False) -> TensorT:
    """Return `input` (N, C, H, W) with whole channels set to 0 with probability `p`, the others divided by 1 - p.

    Raises:
        ValueRangeError: unless 0 <= p <= 1.
        ShapeError: for another number of dimensions.

    >>> import autodiff as ad
    >>> ad.nn.functional.dropout2d(ad.ones(1, 2, 3, 3), p=0.0).shape
    (1, 2, 3, 3)
    """
    check_probability("dropout2d", p)
    return _channels_dropped("dropout2d", input, p, (3, 4)) if training else input


@composed(
    samples=lambda: [Sample(spread(-2, 2, 2, 3, 2, 1, 2), p=0.0), Sample(spread(-2, 2, 2, 3, 2, 1, 2), training=False)],
    errors=_dropout_errors,
)
def dropout3d(input: TensorT, p: float = 0.5, training: bool = True, inplace: bool = False) -> TensorT:
    """Return `input` (N, C, D, H, W) with whole channels set to 0 with probability `p`, the others divided by 1 - p.

    Raises:
        ValueRangeError: unless 0 <= p <= 1.
        ShapeError: for another number of dimensions.

    >>> import autodiff as ad
    >>> ad.nn.functional.dropout3d(ad.ones(1, 2, 3, 3, 3), p=0.0).shape
    (1, 2, 3, 3, 3)
    """
    check_probability("dropout3d", p)
    return _channels_dropped("dropout3d", input, p, (4, 5)) if training else input


@composed(samples=_identity_samples, errors=_dropout_errors)
def alpha_dropout(input: TensorT, p: float = 0.5, training: bool = False, inplace: bool = False) -> TensorT:
    """Return `input` with elements set to SELU's negative saturation with probability `p`, mean and variance kept.

    Raises:
        ValueRangeError: unless 0 <= p <= 1.

    Source: Klambauer et al., "Self-normalizing neural networks", 2017, section 3.

    >>> import autodiff as ad
    >>> ad.nn.functional.alpha_dropout(ad.ones(2), p=0.0, training=True)
    tensor([1., 1.])
    """
    check_probability("alpha_dropout", p)
    x: Any = input
    if not training or p == 0:
        return input
    if p == 1:
        return mul(x, 0)  # type: ignore[no-any-return]
    saturation = -1.7580993408473766
    a = ((1 - p) * (1 + p * saturation**2)) ** -0.5
    kept = random_bernoulli(x.spec.shape, 1 - p, 1, x.spec.dtype)
    dropped = mul(add(mul(kept, -1), 1), saturation)
    return add(mul(add(mul(x, kept), dropped), a), -a * p * saturation)  # type: ignore[no-any-return]
