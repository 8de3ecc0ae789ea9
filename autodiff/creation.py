"""Functions that make tensors out of numbers, arrays and nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from autodiff import ops
from autodiff.arguments import integer, integers
from autodiff.bind import Cut, bind
from autodiff.devices import check_device
from autodiff.eager import FLOAT32, SUPPORTED, Tensor, wrap
from autodiff.errors import DTypeError, ShapeError, ValueRangeError
from autodiff.ops.host import values
from autodiff.ops.random import check_deviation
from autodiff.ops.ranges import require_range
from autodiff.ops.structural import copy_p, shape_argument
from autodiff.random import Generator, default_generator
from autodiff.source import here
from autodiff.spec import Array, DType, Shape
from autodiff.thread_mode import MODE

INT64 = np.dtype(np.int64)
BOOL = np.dtype(np.bool_)


def dtype_of(dtype: Any, default: DType = FLOAT32) -> DType:
    """Return a supported NumPy dtype; `default` for None.

    Raises:
        DTypeError: for a dtype that this library does not compute in.
    """
    if dtype is None:
        return default
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found not in SUPPORTED:  # NumPy takes None for float64 when it compares
        raise DTypeError(
            "dtype", "this dtype is not supported", expected=", ".join(d.name for d in SUPPORTED), got=str(dtype)
        )
    return found  # type: ignore[no-any-return]


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Return a new leaf tensor with a copy of `data`.

    Args:
        data: number, nested sequence, NumPy array or tensor. Python floats give float32, integers int64; arrays keep
            their dtype.
        dtype: of the result.
        device: the CPU; accepted for PyTorch's sake.
        requires_grad: collect gradients here.

    Raises:
        DTypeError: for data or a dtype that is not supported.

    >>> import autodiff as ad
    >>> ad.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    """
    check_device(device)
    round_trip = isinstance(data, np.ndarray | np.generic)
    result: Tensor
    if isinstance(data, Tensor):
        result = bind(copy_p, data.detach(), dtype=dtype_of(dtype, data.dtype), order=None)
        result.cut = None
        if data.needs_grad or data.cut is not None:
            result.cut = data.cut or Cut("it was copied by tensor(), which keeps no history,", here())
    elif round_trip:
        result = wrap(np.array(data, dtype=dtype_of(dtype, data.dtype)))
        result.cut = Cut("it was made from NumPy data", here())
    else:
        result = wrap(_from_numbers(data, dtype))
    return result.requires_grad_() if requires_grad else result


def _from_numbers(data: Any, dtype: Any) -> Array:
    if isinstance(data, Sequence) and not isinstance(data, str):
        data = _unwrapped(data)
    try:
        array = np.array(data)
    except ValueError:  # NumPy's words for it are about an "inhomogeneous shape"
        raise ShapeError(
            "tensor",
            "the rows of the data have different lengths",
            expected="sequences of equal length",
            got=_ragged(data),
            fix="pad the rows to one length (nn.utils.rnn.pad_sequence), or keep a list of tensors",
        ) from None
    if array.dtype.kind not in "biuf":
        raise DTypeError(
            "tensor",
            "this is not rectangular data of numbers",
            expected="numbers, or sequences of equal length",
            got=f"{type(data).__name__} (NumPy reads it as {array.dtype})",
        )
    if dtype is not None:
        return array.astype(dtype_of(dtype))
    if array.dtype.kind == "f":
        return array.astype(FLOAT32)
    return array.astype(BOOL if array.dtype.kind == "b" else INT64)


def _ragged(data: Any) -> str:
    """Return which lengths stand side by side where nested sequences are not rectangular."""
    rows = list(data)
    lengths = [np.shape(row)[0] if isinstance(row, np.ndarray) and row.ndim else len(row)
               if isinstance(row, Sequence) else 0 for row in rows]  # fmt: skip
    if len(set(lengths)) > 1:
        return "lengths " + ", ".join(map(str, lengths[:10])) + (", ..." if len(lengths) > 10 else "")
    return next(filter(None, map(_ragged, (row for row in rows if isinstance(row, Sequence)))), "")


def _unwrapped(data: Any) -> Any:
    """Replace tensors inside sequences by arrays."""
    if isinstance(data, Tensor):
        if MODE.recorder is not None:
            MODE.recorder.asked("tensor", data, "put tensors together with stack() or cat()")
        return data.array
    if isinstance(data, list | tuple):
        return [_unwrapped(item) for item in data]
    return data


def from_numpy(array: Array) -> Tensor:
    """Return a leaf tensor on the memory of a NumPy array: a change of one is seen in the other.

    Raises:
        DTypeError: if the dtype is not supported.
        ShapeError: if the strides are no multiples of the item size, as in one field of a structured array.

    >>> import numpy as np, autodiff as ad
    >>> ad.from_numpy(np.arange(3.0))
    tensor([0., 1., 2.], dtype=float64)
    """
    if not isinstance(array, np.ndarray):
        raise DTypeError(
            "from_numpy",
            "this is no NumPy array",
            expected="numpy.ndarray",
            got=type(array).__name__,
            fix="use autodiff.tensor(data)",
        )
    dtype_of(array.dtype)
    if any(stride % array.itemsize for stride, n in zip(array.strides, array.shape, strict=True) if n > 1):
        raise ShapeError(
            "from_numpy",
            "the array's strides are no multiples of its item size",
            got=f"strides {array.strides} of {array.itemsize} bytes",
            fix="pass array.copy()",
        )
    result = wrap(np.asarray(array))  # kernels know no subclasses
    result.memory.shared = True
    result.cut = Cut("it was made from NumPy data", here())
    return result


def as_tensor(data: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Return `data` as a tensor, sharing memory where its dtype is right already.

    >>> import autodiff as ad
    >>> ad.as_tensor([1.5, 2.5])
    tensor([1.5000, 2.5000])
    """
    check_device(device)
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    if isinstance(data, np.ndarray) and (dtype is None or dtype_of(dtype) == data.dtype):
        return from_numpy(data)
    return tensor(data, dtype=dtype)


def _sizes(operation: str, size: tuple[Any, ...]) -> Shape:
    """Return the sizes of a new tensor.

    Raises:
        ShapeError: if one is negative.
        DTypeError: if one is no integer.
    """
    found = shape_argument(size)
    if min(found, default=0) < 0:
        raise ShapeError(operation, "a size is negative", expected="sizes of at least 0", got=str(found))
    return found


def _filled(
    operation: str, shape: tuple[Any, ...], value: Any, dtype: Any, device: Any, requires_grad: bool
) -> Tensor:
    check_device(device)
    result = wrap(np.full(_sizes(operation, shape), value, dtype_of(dtype)))
    return result.requires_grad_() if requires_grad else result


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Return a tensor of zeros of the given sizes.

    >>> import autodiff as ad
    >>> ad.zeros(2)
    tensor([0., 0.])
    """
    return _filled("zeros", size, 0, dtype, device, requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Return a tensor of ones of the given sizes.

    >>> import autodiff as ad
    >>> ad.ones(2)
    tensor([1., 1.])
    """
    return _filled("ones", size, 1, dtype, device, requires_grad)


def full(size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Return a tensor filled with one number; its type decides the dtype: bool, int64 or float32.

    >>> import autodiff as ad
    >>> ad.full((2,), 7)
    tensor([7, 7])
    """
    if dtype is None:
        dtype = BOOL if isinstance(fill_value, bool) else INT64 if isinstance(fill_value, int) else FLOAT32
    sizes = (size,) if isinstance(size, int) else tuple(size)
    return _filled("full", sizes, fill_value, dtype, device, requires_grad)


def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Return a tensor of the given sizes whose contents are arbitrary.

    >>> import autodiff as ad
    >>> ad.empty(2, 3).shape
    (2, 3)
    """
    check_device(device)
    result = wrap(np.empty(_sizes("empty", size), dtype_of(dtype)))
    return result.requires_grad_() if requires_grad else result


def _like(x: Tensor, dtype: Any) -> Array:
    spec = x.spec.like(dtype=dtype_of(dtype, x.dtype))
    return spec.empty() if spec.size else np.empty(spec.shape, spec.dtype)


def _filled_like(x: Tensor, value: Any, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    check_device(device)
    array = _like(x, dtype)
    array[...] = value
    result = wrap(array)
    return result.requires_grad_() if requires_grad else result


def zeros_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Return zeros of the shape, dtype and layout of another tensor.

    >>> import autodiff as ad
    >>> ad.zeros_like(ad.ones(2))
    tensor([0., 0.])
    """
    return _filled_like(input, 0, dtype, device, requires_grad)


def ones_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Return ones of the shape, dtype and layout of another tensor.

    >>> import autodiff as ad
    >>> ad.ones_like(ad.zeros(2))
    tensor([1., 1.])
    """
    return _filled_like(input, 1, dtype, device, requires_grad)


def full_like(
    input: Tensor, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Return one number in the shape, dtype and layout of another tensor.

    >>> import autodiff as ad
    >>> ad.full_like(ad.zeros(2), 3)
    tensor([3., 3.])
    """
    return _filled_like(input, fill_value, dtype, device, requires_grad)


def empty_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Return a tensor of the shape, dtype and layout of another one, with arbitrary contents.

    >>> import autodiff as ad
    >>> ad.empty_like(ad.zeros(2, 3)).shape
    (2, 3)
    """
    check_device(device)
    result = wrap(_like(input, dtype))
    return result.requires_grad_() if requires_grad else result


def arange(
    start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Return start, start + step, ... below `end`; one argument counts from 0. Integers give int64, floats float32.

    >>> import autodiff as ad
    >>> ad.arange(3), ad.arange(1, 2, 0.5)
    (tensor([0, 1, 2]), tensor([1.0000, 1.5000]))
    """
    check_device(device)
    start, end = (0, start) if end is None else (start, end)
    numbers = [x.item() if isinstance(x, Tensor) else x for x in (start, end, step)]
    default = INT64 if all(isinstance(x, int | np.integer) for x in numbers) else FLOAT32
    # Each element is start + i * step in float64, rounded once.
    exact = np.arange(*numbers)
    result = wrap(exact.astype(dtype_of(dtype, default)))
    return result.requires_grad_() if requires_grad else result


def linspace(
    start: float, end: float, steps: int, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Return `steps` numbers at equal distances from `start` to `end`, both included.

    >>> import autodiff as ad
    >>> ad.linspace(0, 1, 3)
    tensor([0.0000, 0.5000, 1.0000])
    """
    check_device(device)
    result = wrap(np.linspace(float(start), float(end), integer("linspace", "steps", steps)).astype(dtype_of(dtype)))
    return result.requires_grad_() if requires_grad else result


def logspace(
    start: float,
    end: float,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return `base` to the powers of `linspace`.

    >>> import autodiff as ad
    >>> ad.logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    """
    check_device(device)
    count = integer("logspace", "steps", steps)
    result = wrap(np.logspace(float(start), float(end), count, base=base).astype(dtype_of(dtype)))
    return result.requires_grad_() if requires_grad else result


def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Return the (n, m) matrix with ones on the diagonal and zeros elsewhere.

    >>> import autodiff as ad
    >>> ad.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    check_device(device)
    rows = integer("eye", "n", n)
    columns = rows if m is None else integer("eye", "m", m)
    result = wrap(np.eye(rows, columns, dtype=dtype_of(dtype)))
    return result.requires_grad_() if requires_grad else result


# ---- Random ----------------------------------------------------------------------------------------------------------


def rand(
    *size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Return draws from the uniform distribution on [0, 1).

    >>> import autodiff as ad
    >>> ad.rand(2, 3).shape
    (2, 3)
    """
    check_device(device)
    result: Tensor = ops.random_uniform(_sizes("rand", size), dtype=dtype_of(dtype), generator=generator)
    return result.requires_grad_() if requires_grad else result


def randn(
    *size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Return draws from the standard normal distribution.

    >>> import autodiff as ad
    >>> ad.randn(2, 3).shape
    (2, 3)
    """
    check_device(device)
    result: Tensor = ops.random_normal(_sizes("randn", size), dtype=dtype_of(dtype), generator=generator)
    return result.requires_grad_() if requires_grad else result


def randint(
    low: Any,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return integers from low, ..., high - 1; ``randint(high, size)`` counts from 0.

    Raises:
        ValueRangeError: if the range is empty.

    >>> import autodiff as ad
    >>> ad.randint(0, 10, (4,)).dtype.name
    'int64'
    >>> ad.randint(3, size=(2, 2)).shape
    (2, 2)
    """
    check_device(device)
    if size is None:
        high, size = None, high
    if high is None:
        low, high = 0, low
    result: Tensor = ops.random_integers(_sizes("randint", integers("randint", "size", size)), low, high, generator)
    result = result if dtype is None else ops.cast_to(result, dtype_of(dtype))
    return result.requires_grad_() if requires_grad else result


def randperm(n: int, *, generator: Generator | None = None, dtype: Any = None, device: Any = None) -> Tensor:
    """Return the numbers 0 to n - 1 in random order.

    Raises:
        ValueRangeError: if `n` is negative.

    >>> import autodiff as ad
    >>> sorted(ad.randperm(3).tolist())
    [0, 1, 2]
    """
    check_device(device)
    result: Tensor = ops.random_permutation(n, generator)
    return result if dtype is None else ops.cast_to(result, dtype_of(dtype))


def rand_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Return uniform draws of the shape and dtype of another tensor; see `rand`.

    >>> import autodiff as ad
    >>> ad.rand_like(ad.zeros(2, 3)).shape
    (2, 3)
    """
    return rand(input.shape, dtype=dtype_of(dtype, input.dtype), device=device, requires_grad=requires_grad)


def randn_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Return standard normal draws of the shape and dtype of another tensor; see `randn`.

    >>> import autodiff as ad
    >>> ad.randn_like(ad.zeros(2, 3)).shape
    (2, 3)
    """
    return randn(input.shape, dtype=dtype_of(dtype, input.dtype), device=device, requires_grad=requires_grad)


def randint_like(
    input: Tensor,
    low: int,
    high: int | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return integer draws of the shape and dtype of another tensor; see `randint`.

    >>> import autodiff as ad
    >>> ad.randint_like(ad.zeros(2), 5, 6)
    tensor([5., 5.])
    """
    low, high = (0, low) if high is None else (low, high)
    return randint(
        low, high, input.shape, dtype=dtype_of(dtype, input.dtype), device=device, requires_grad=requires_grad
    )


def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
) -> Tensor:
    """Return normal draws with the given means and standard deviations, numbers (then with `size`) or tensors.

    Raises:
        ValueRangeError: for a negative standard deviation.

    >>> import autodiff as ad
    >>> ad.normal(0.0, 1.0, (2, 3)).shape
    (2, 3)
    """
    check_device(device)
    if isinstance(std, Tensor):
        require_range("normal", "a standard deviation is", std, 0, math.inf)
    else:
        check_deviation("normal", std)
    if size is None:
        size = (ops.add(mean, std) if isinstance(mean, Tensor) else ops.add(std, mean)).shape
    draws = ops.random_normal(_sizes("normal", tuple(size)), dtype=dtype_of(dtype), generator=generator)
    result: Tensor = ops.add(ops.mul(draws, std), mean)
    return result


def bernoulli(input: Tensor, *, generator: Generator | None = None) -> Tensor:
    """Return draws that are 1 with the probabilities `input` and 0 otherwise, of its shape and dtype.

    Raises:
        ValueRangeError: if `input` leaves [0, 1].

    >>> import autodiff as ad
    >>> ad.bernoulli(ad.tensor([0.0, 1.0]))
    tensor([0., 1.])
    """
    require_range("bernoulli", "a probability is", input, 0, 1, "pass probabilities, sigmoid(logits)")
    draws = ops.random_uniform(input.shape, dtype=input.dtype, generator=generator)
    below: Tensor = ops.lt(draws, input.detach()).to(input.dtype)
    return below


def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Return indices drawn with probabilities proportional to the last dimension of `input`.

    Args:
        input: (n,) or (rows, n), non-negative weights.
        num_samples: draws a row.
        replacement: whether an index may be drawn twice.

    Returns:
        int64, (num_samples,) or (rows, num_samples).

    Raises:
        ShapeError: for another number of dimensions.
        ValueRangeError: for negative weights, a row without weight, or more draws than weights without replacement.

    >>> import autodiff as ad
    >>> ad.multinomial(ad.tensor([0.0, 1.0, 0.0]), 2, replacement=True)
    tensor([1, 1])
    """
    if input.ndim not in (1, 2):
        raise ShapeError("multinomial", "the weights are neither a row nor rows", expected="(n,) or (rows, n)",
                         got=str(input.shape))
    num_samples = integer("multinomial", "num_samples", num_samples)
    weights = np.atleast_2d(values(input).astype(np.float64))
    if not (weights >= 0).all() or not np.isfinite(weights).all() or not (weights.sum(-1) > 0).all():
        raise ValueRangeError("multinomial", "weights must be finite, not negative, and not all zero in a row")
    if not replacement and ((weights > 0).sum(-1) < num_samples).any():
        raise ValueRangeError(
            "multinomial",
            "there are fewer positive weights than draws",
            expected=f"{num_samples} or more",
            fix="draw fewer, or pass replacement=True",
        )
    rows = weights.shape[0]
    if replacement:
        draws = ops.random_uniform((rows, num_samples), dtype=np.dtype(np.float64), generator=generator).array
        edges = np.cumsum(weights, -1)
        found = np.stack(
            [np.searchsorted(edge, u * edge[-1], side="right") for edge, u in zip(edges, draws, strict=True)]
        )
        # A draw that rounds up to the total belongs to the last index with weight.
        last = weights.shape[1] - 1 - np.argmax(weights[:, ::-1] > 0, -1)
        found = np.minimum(found, last[:, None])
    else:
        # The largest keys u^(1/w) are a draw without replacement (Efraimidis & Spirakis 2006); here as -log(u) / w.
        draws = ops.random_uniform(weights.shape, dtype=np.dtype(np.float64), generator=generator).array
        with np.errstate(divide="ignore"):
            keys = -np.log1p(-draws) / weights
        found = np.argsort(keys, -1, kind="stable")[:, :num_samples]
    return wrap(np.ascontiguousarray(found.reshape((*input.shape[:-1], num_samples))).astype(INT64))


def get_rng_state() -> Tensor:
    """Return the state of the default generator, for `set_rng_state`: int64 ``[seed, number of draws]``.

    >>> import autodiff as ad
    >>> state = ad.get_rng_state()
    >>> first = ad.rand(3)
    >>> ad.set_rng_state(state)
    >>> ad.equal(first, ad.rand(3))
    True
    """
    if MODE.recorder is not None:
        MODE.recorder.opaque("the function reads the state of a generator", "read it outside")
    return wrap(np.array(default_generator.state(), np.int64))


def set_rng_state(new_state: Tensor) -> None:
    """Put the default generator back into a state that `get_rng_state` returned."""
    default_generator.restore(tuple(new_state.tolist()))
