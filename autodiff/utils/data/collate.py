"""From a list of samples to one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from autodiff import ops
from autodiff.creation import as_tensor, tensor
from autodiff.eager import Tensor
from autodiff.errors import DTypeError, ShapeError


def default_collate(batch: Sequence[Any]) -> Any:
    """Join samples into a batch: tensors are stacked, containers are joined entry by entry.

    Args:
        batch: samples of one kind: tensors and NumPy arrays (of one shape) are stacked along a new first dimension;
            Python floats become a float64 tensor, integers an int64 one, bools a bool one; strings and bytes stay a
            list; dictionaries, named tuples, tuples and lists are joined entry by entry, the last two into a list.

    Raises:
        DTypeError: for samples of another type.
        ShapeError: for sequences of different lengths.

    >>> from autodiff.utils.data import default_collate
    >>> default_collate([(1, "one"), (2, "two")])
    [tensor([1, 2]), ['one', 'two']]
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return ops.stack(list(batch))
    if isinstance(first, np.ndarray | np.generic):
        return tensor(np.stack(batch))
    if isinstance(first, bool | int):
        return tensor(list(batch))
    if isinstance(first, float):
        return tensor(list(batch), dtype=np.float64)
    if isinstance(first, str | bytes):
        return list(batch)
    if isinstance(first, Mapping):
        return {key: default_collate([sample[key] for sample in batch]) for key in first}
    if isinstance(first, tuple | list):
        if any(len(sample) != len(first) for sample in batch):
            raise ShapeError("default_collate", "the samples of a batch have different lengths",
                             expected=str(len(first)), got=str(sorted({len(sample) for sample in batch})),
                             fix="pass a collate_fn that pads them")
        columns = [default_collate(column) for column in zip(*batch, strict=True)]
        return type(first)(*columns) if hasattr(first, "_fields") else columns
    raise DTypeError("default_collate", "samples of this type cannot be joined into a batch",
                     expected="tensors, arrays, numbers, strings, or dictionaries, tuples and lists of them",
                     got=type(first).__name__, fix="pass a collate_fn to the DataLoader")


def default_convert(data: Any) -> Any:
    """Return a sample with its NumPy arrays turned into tensors: what a loader without batches yields.

    >>> import numpy as np
    >>> from autodiff.utils.data import default_convert
    >>> default_convert({"x": np.arange(2), "name": "a"})
    {'x': tensor([0, 1]), 'name': 'a'}
    """
    if isinstance(data, np.ndarray):
        return as_tensor(data)
    if isinstance(data, np.generic):
        return tensor(data)
    if isinstance(data, Mapping):
        return {key: default_convert(value) for key, value in data.items()}
    if isinstance(data, tuple | list):
        converted = [default_convert(value) for value in data]
        return type(data)(*converted) if hasattr(data, "_fields") else type(data)(converted)
    return data
