"""Datasets: collections of samples, by number or one after the other."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from autodiff.creation import randperm
from autodiff.eager import Tensor
from autodiff.errors import DTypeError, PositionError, ShapeError, ValueRangeError
from autodiff.random import Generator
from autodiff.utils.data.collate import default_collate

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """Base of datasets whose samples have numbers: write ``__getitem__(index)`` and ``__len__()``.

    >>> from autodiff.utils.data import Dataset
    >>> class Squares(Dataset):
    ...     def __getitem__(self, index):
    ...         return index, index ** 2
    ...     def __len__(self):
    ...         return 5
    >>> Squares()[3]
    (3, 9)
    """

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__(self, index)")

    def __add__(self, other: Dataset[T_co]) -> ConcatDataset[T_co]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co]):
    """Base of datasets that come as a stream: write ``__iter__()``."""

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__(self)")

    def __add__(self, other: Dataset[T_co]) -> ChainDataset[T_co]:  # type: ignore[override]
        return ChainDataset([self, other])


def batch_of(dataset: Any, indices: Sequence[int]) -> Any:
    """Return ``default_collate([dataset[i] for i in indices])``, at once where the dataset consists of tensors."""
    own = type(dataset).__getitem__  # a subclass that overrides it decides what a sample is
    if own is TensorDataset.__getitem__:
        rows = np.asarray(indices, np.int64)
        return [tensor[rows] for tensor in dataset.tensors]
    if own is Subset.__getitem__:
        return batch_of(dataset.dataset, [dataset.indices[i] for i in indices])
    return default_collate(samples_of(dataset, indices))


def samples_of(dataset: Any, indices: Sequence[int]) -> list[Any]:
    """Return the samples with these numbers; a dataset may offer them all at once as ``__getitems__(indices)``."""
    if hasattr(dataset, "__getitems__"):
        return list(dataset.__getitems__(list(indices)))
    return [dataset[i] for i in indices]


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Samples cut from tensors along their first dimension: sample i is ``(t[i] for t in tensors)``.

    Args:
        tensors: tensors with the same size in dimension 0.

    Raises:
        ShapeError: if these sizes differ, or a tensor has no dimensions.
        DTypeError: for anything that is no tensor.

    >>> import autodiff as ad
    >>> from autodiff.utils.data import TensorDataset
    >>> data = TensorDataset(ad.tensor([[1.0], [2.0]]), ad.tensor([0, 1]))
    >>> len(data), data[1]
    (2, (tensor([2.]), tensor(1)))
    """

    def __init__(self, *tensors: Tensor) -> None:
        for x in tensors:
            if not isinstance(x, Tensor):
                raise DTypeError("TensorDataset", "this is no tensor", got=type(x).__name__,
                                 fix="convert it with autodiff.as_tensor")
        if not tensors or len({x.shape[:1] for x in tensors}) > 1 or not tensors[0].shape:
            raise ShapeError("TensorDataset", "the tensors must have the same size in dimension 0",
                             got=", ".join(str(x.shape) for x in tensors) or "no tensors")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple([x[index] for x in self.tensors])

    def __len__(self) -> int:
        return self.tensors[0].shape[0]


class StackDataset(Dataset[Any]):
    """Several datasets of one length side by side: sample i is the tuple, or dictionary, of their samples i.

    Args:
        args: datasets, for tuples.
        kwargs: named datasets, for dictionaries.

    Raises:
        ShapeError: if the lengths differ, or nothing is given.
        DTypeError: if both kinds are given.

    >>> from autodiff.utils.data import StackDataset
    >>> StackDataset(x=[1, 2], y=[3, 4])[1]
    {'x': 2, 'y': 4}
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args and kwargs:
            raise DTypeError("StackDataset", "datasets are given both with and without names", fix="use one of the two")
        self.datasets: Any = kwargs or args
        sizes = {len(dataset) for dataset in (*args, *kwargs.values())}
        if len(sizes) != 1:
            raise ShapeError("StackDataset", "the datasets must have the same length", got=str(sorted(sizes)))
        self._length = sizes.pop()

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple([dataset[index] for dataset in self.datasets])

    def __len__(self) -> int:
        return self._length


class ConcatDataset(Dataset[T_co]):
    """Datasets one after the other.

    Args:
        datasets: each with a length; none may be iterable-style.

    Attributes:
        cumulative_sizes: number of samples up to the end of each dataset.

    Raises:
        ValueRangeError: if there is none.
        DTypeError: for an `IterableDataset`, whose samples have no numbers.

    >>> from autodiff.utils.data import ConcatDataset
    >>> joined = ConcatDataset(["ab", "cde"])
    >>> len(joined), joined[3], joined[-1]
    (5, 'd', 'e')
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueRangeError("ConcatDataset", "there are no datasets to join")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise DTypeError("ConcatDataset", "the samples of an IterableDataset have no numbers",
                             fix="use ChainDataset")
        self.cumulative_sizes = list(itertools.accumulate(len(dataset) for dataset in self.datasets))

    def __getitem__(self, index: Any) -> Any:
        position = _position("ConcatDataset", int(index), len(self))
        which = bisect.bisect_right(self.cumulative_sizes, position)
        return self.datasets[which][position - (self.cumulative_sizes[which - 1] if which else 0)]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]


class ChainDataset(IterableDataset[T_co]):
    """Streams one after the other.

    Args:
        datasets: iterables.

    >>> from autodiff.utils.data import ChainDataset
    >>> list(ChainDataset(["ab", "c"]))
    ['a', 'b', 'c']
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = datasets

    def __iter__(self) -> Iterator[Any]:
        return itertools.chain.from_iterable(self.datasets)

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self.datasets)


class Subset(Dataset[T_co]):
    """The samples of a dataset with the given numbers, in that order.

    Args:
        dataset: with numbered samples.
        indices: their numbers.

    >>> from autodiff.utils.data import Subset
    >>> list(Subset("abcde", [3, 1]))
    ['d', 'b']
    """

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> Any:
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)


def random_split(dataset: Any, lengths: Sequence[int | float], generator: Generator | None = None) -> list[Subset[Any]]:
    """Divide a dataset into random parts without overlap.

    Args:
        dataset: with numbered samples.
        lengths: sizes of the parts, which add up to the dataset's; or fractions that add up to 1, where the parts are
            rounded down and what is left over goes to the first parts, one sample each.
        generator: where the order comes from; the default generator unless given.

    Raises:
        ValueRangeError: if the lengths do not add up, or one is negative.

    >>> import autodiff as ad
    >>> from autodiff.utils.data import random_split
    >>> first, second = random_split(range(10), [0.75, 0.25], ad.Generator().manual_seed(0))
    >>> len(first), len(second), sorted([*first, *second]) == list(range(10))
    (8, 2, True)
    """
    count = len(dataset)
    if min(lengths, default=0) < 0:
        raise ValueRangeError("random_split", "a part cannot have a negative length", got=str(list(lengths)))
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1 + 1e-9 and any(isinstance(n, float) for n in lengths):
        sizes = [math.floor(count * fraction + 1e-9) for fraction in lengths]
        for i in range(count - sum(sizes)):
            sizes[i % len(sizes)] += 1
    else:
        sizes = [int(n) for n in lengths]
    if sum(sizes) != count:
        raise ValueRangeError("random_split", "the lengths do not add up to the dataset's",
                              expected=f"{count}, or fractions that add up to 1",
                              got=f"{list(lengths)}, {sum(lengths)} together")
    order = randperm(count, generator=generator).tolist()
    ends = list(itertools.accumulate(sizes))
    return [Subset(dataset, order[end - size:end]) for size, end in zip(sizes, ends, strict=True)]


def _position(name: str, index: int, count: int) -> int:
    """Return an index counted from the front.

    Raises:
        PositionError: if it points outside.
    """
    if not -count <= index < count:
        raise PositionError(name, "the index points outside the dataset", expected=f"-{count} to {count - 1}",
                            got=str(index))
    return index % count
