"""First values of parameters. Every function writes into its tensor, records nothing, and returns the tensor.

Sources: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010 (xavier);
He et al., "Delving deep into rectifiers", 2015 (kaiming); Saxe, McClelland and Ganguli 2014 (orthogonal); Martens 2010
(sparse).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from autodiff import ops
from autodiff.autograd.modes import no_grad
from autodiff.creation import from_numpy
from autodiff.eager import Tensor
from autodiff.errors import ShapeError, ValueRangeError
from autodiff.ops.host import values
from autodiff.random import Generator
from autodiff.spec import Array

_LINEAR = ("linear", "sigmoid", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
           "conv_transpose3d")


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return the factor that keeps the variance of signals through an activation function.

    Args:
        nonlinearity: name of the function: ``"linear"``, ``"sigmoid"``, ``"tanh"``, ``"relu"``, ``"leaky_relu"``,
            ``"selu"``, or a convolution.
        param: slope of ``"leaky_relu"``; 0.01 by default.

    Raises:
        ValueRangeError: for another name.

    >>> import autodiff as ad
    >>> ad.nn.init.calculate_gain("leaky_relu", 1.0)
    1.0
    """
    if nonlinearity in _LINEAR:
        return 1.0
    if nonlinearity == "tanh":
        return 5 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else float(param)
        return math.sqrt(2 / (1 + slope**2))
    if nonlinearity == "selu":
        return 3 / 4
    raise ValueRangeError("calculate_gain", "there is no gain for this function", got=repr(nonlinearity),
                          expected=f"{', '.join(_LINEAR)}, tanh, relu, leaky_relu or selu")


# ---- Draws and constants ---------------------------------------------------------------------------------------------


@no_grad()
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill with draws from the uniform distribution on [a, b).

    >>> import autodiff as ad
    >>> ad.nn.init.uniform_(ad.zeros(2), 3.0, 3.0)
    tensor([3., 3.])
    """
    tensor.uniform_(a, b, generator=generator)
    return tensor


@no_grad()
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill with draws from the normal distribution.

    >>> import autodiff as ad
    >>> ad.nn.init.normal_(ad.zeros(2), 3.0, 0.0)
    tensor([3., 3.])
    """
    tensor.normal_(mean, std, generator=generator)
    return tensor


@no_grad()
def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Fill with draws from the normal distribution within [a, b]: uniform draws through its inverse.

    >>> import autodiff as ad
    >>> x = ad.nn.init.trunc_normal_(ad.zeros(100), std=5.0, a=-1.0, b=1.0)
    >>> bool((x.abs() <= 1).all())
    True
    """
    low, high = (math.erf((bound - mean) / (std * math.sqrt(2))) for bound in (a, b))
    draws = values(ops.random_uniform(tensor.shape, low, high, generator=generator))
    return _write(tensor, np.clip(mean + std * math.sqrt(2) * _erfinv(draws.astype(np.float64)), a, b))


def _erfinv(x: Array) -> Array:
    """Return the inverse error function, to 2e-7 relative.

    Source: Giles, "Approximating the erfinv function", GPU Computing Gems, 2011, table for single precision.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        w = -np.log((1 - x) * (1 + x))
        near = np.polyval([2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
                           -0.00125372503, -0.00417768164, 0.246640727, 1.50140941], w - 2.5)
        far = np.polyval([-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
                          -0.0076224613, 0.00943887047, 1.00167406, 2.83297682], np.sqrt(w) - 3)
        result: Array = np.where(np.isinf(w), np.copysign(np.inf, x), np.where(w < 5, near, far) * x)
    return result


@no_grad()
def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with one number.

    >>> import autodiff as ad
    >>> ad.nn.init.constant_(ad.zeros(2), 0.5)
    tensor([0.5000, 0.5000])
    """
    tensor.fill_(val)
    return tensor


def ones_(tensor: Tensor) -> Tensor:
    """Fill with 1.

    >>> import autodiff as ad
    >>> ad.nn.init.ones_(ad.zeros(2))
    tensor([1., 1.])
    """
    return constant_(tensor, 1)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with 0.

    >>> import autodiff as ad
    >>> ad.nn.init.zeros_(ad.ones(2))
    tensor([0., 0.])
    """
    return constant_(tensor, 0)


def _write(tensor: Tensor, array: Array) -> Tensor:
    """Copy an array into the tensor."""
    with no_grad():
        tensor.copy_(from_numpy(np.ascontiguousarray(array, tensor.dtype)))
    return tensor


def eye_(tensor: Tensor) -> Tensor:
    """Write the identity matrix.

    Raises:
        ShapeError: unless there are two dimensions.

    >>> import autodiff as ad
    >>> ad.nn.init.eye_(ad.zeros(2, 3))
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    if tensor.ndim != 2:
        raise ShapeError("eye_", "the tensor is no matrix", expected="two dimensions", got=str(tensor.shape))
    return _write(tensor, np.eye(tensor.shape[0], tensor.shape[1]))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Write the convolution weights that hand the channels on unchanged, as many as there are.

    Args:
        tensor: (output channels, input channels / groups, ...), with one to three further dimensions.
        groups: the same in each group.

    Raises:
        ShapeError: for another number of dimensions, or if the groups do not divide the output channels.

    >>> import autodiff as ad
    >>> ad.nn.init.dirac_(ad.zeros(1, 1, 3))
    tensor([[[0., 1., 0.]]])
    """
    shape = tensor.shape
    if tensor.ndim not in (3, 4, 5):
        raise ShapeError("dirac_", "these are no convolution weights", expected="three to five dimensions",
                         got=str(shape))
    if shape[0] % groups:
        raise ShapeError("dirac_", "the groups do not divide the output channels",
                         expected=f"a multiple of {groups}", got=str(shape[0]))
    values = np.zeros(shape)
    each = shape[0] // groups
    centre = tuple(n // 2 for n in shape[2:])
    for group in range(groups):
        for channel in range(min(each, shape[1])):
            values[(group * each + channel, channel, *centre)] = 1
    return _write(tensor, values)


# ---- By the number of connections ------------------------------------------------------------------------------------


def _fans(tensor: Tensor) -> tuple[int, int]:
    """Return the number of inputs that an output sees, and of outputs that an input reaches.

    Raises:
        ShapeError: for fewer than two dimensions.
    """
    shape = tensor.shape
    if len(shape) < 2:
        raise ShapeError("init", "fan in and fan out need at least two dimensions", expected="(out, in, ...)",
                         got=str(shape), fix="use uniform_, normal_ or constant_ for biases")
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill with uniform draws on ±a, ``a = gain sqrt(6 / (fan_in + fan_out))``.

    Raises:
        ShapeError: for fewer than two dimensions.

    >>> import autodiff as ad
    >>> bool((ad.nn.init.xavier_uniform_(ad.zeros(3, 3)).abs() <= 1).all())
    True
    """
    bound = gain * math.sqrt(6 / (sum(_fans(tensor)) or 1))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill with normal draws, ``std = gain sqrt(2 / (fan_in + fan_out))``.

    Raises:
        ShapeError: for fewer than two dimensions.

    >>> import autodiff as ad
    >>> ad.nn.init.xavier_normal_(ad.zeros(3, 2)).shape
    (3, 2)
    """
    return normal_(tensor, 0.0, gain * math.sqrt(2 / (sum(_fans(tensor)) or 1)), generator)


def _kaiming_std(operation: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    fans = dict(zip(("fan_in", "fan_out"), _fans(tensor), strict=True))
    if mode not in fans:
        raise ValueRangeError(operation, "the mode does not exist", expected="'fan_in' or 'fan_out'", got=repr(mode))
    return calculate_gain(nonlinearity, a) / math.sqrt(fans[mode] or 1)


def kaiming_uniform_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Fill with uniform draws on ±b, ``b = gain sqrt(3 / fan)``.

    Args:
        tensor: (out, in, ...).
        a: slope of ``"leaky_relu"``.
        mode: ``"fan_in"`` keeps the variance forward, ``"fan_out"`` backward.
        nonlinearity: gives the gain; see `calculate_gain`.
        generator: the default one when None.

    Raises:
        ShapeError: for fewer than two dimensions.
        ValueRangeError: for another mode or function.

    >>> import autodiff as ad
    >>> bool((ad.nn.init.kaiming_uniform_(ad.zeros(2, 6)).abs() <= 1).all())
    True
    """
    bound = math.sqrt(3.0) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Fill with normal draws, ``std = gain / sqrt(fan)``; arguments as for `kaiming_uniform_`.

    Raises:
        ShapeError: for fewer than two dimensions.
        ValueRangeError: for another mode or function.

    >>> import autodiff as ad
    >>> ad.nn.init.kaiming_normal_(ad.zeros(3, 2), mode="fan_out", nonlinearity="relu").shape
    (3, 2)
    """
    return normal_(tensor, 0.0, _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity), generator)


@no_grad()
def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """Fill with a random orthogonal matrix times `gain`: (out, everything else), its rows or columns orthonormal.

    Raises:
        ShapeError: for fewer than two dimensions.

    >>> import autodiff as ad
    >>> q = ad.nn.init.orthogonal_(ad.zeros(3, 3))
    >>> ad.allclose(q @ q.transpose(0, 1), ad.eye(3), atol=1e-5)
    True
    """
    if tensor.ndim < 2:
        raise ShapeError("orthogonal_", "the tensor is no matrix", expected="at least two dimensions",
                         got=str(tensor.shape))
    if tensor.spec.size == 0:
        return tensor
    rows = tensor.shape[0]
    columns = tensor.spec.size // rows
    draws = values(ops.random_normal((max(rows, columns), min(rows, columns)), generator=generator))
    q, r = np.linalg.qr(draws.astype(np.float64))
    # With these signs the distribution is uniform over orthogonal matrices: Mezzadri 2007.
    q = q * np.sign(np.diagonal(r))
    return _write(tensor, gain * (q.T if rows < columns else q).reshape(tensor.shape))


@no_grad()
def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Fill a matrix with normal draws, and set a share of every column to zero.

    Args:
        tensor: (rows, columns).
        sparsity: share of the rows that are zero in each column.
        std: of the others.
        generator: the default one when None.

    Raises:
        ShapeError: unless there are two dimensions.

    >>> import autodiff as ad
    >>> int((ad.nn.init.sparse_(ad.ones(10, 3), 0.5) == 0).sum())
    15
    """
    if tensor.ndim != 2:
        raise ShapeError("sparse_", "the tensor is no matrix", expected="two dimensions", got=str(tensor.shape))
    rows, columns = tensor.shape
    draws = values(ops.random_normal((rows, columns), 0.0, std, generator=generator))
    for column in range(columns):
        draws[values(ops.random_permutation(rows, generator))[: math.ceil(sparsity * rows)], column] = 0
    return _write(tensor, draws)


# PyTorch's older names, which many programs still use.
uniform: Callable[..., Any] = uniform_
normal: Callable[..., Any] = normal_
constant: Callable[..., Any] = constant_
eye: Callable[..., Any] = eye_
dirac: Callable[..., Any] = dirac_
xavier_uniform: Callable[..., Any] = xavier_uniform_
xavier_normal: Callable[..., Any] = xavier_normal_
kaiming_uniform: Callable[..., Any] = kaiming_uniform_
kaiming_normal: Callable[..., Any] = kaiming_normal_
orthogonal: Callable[..., Any] = orthogonal_
sparse: Callable[..., Any] = sparse_
