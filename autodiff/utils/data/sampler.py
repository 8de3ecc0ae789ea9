"""Samplers: in which order the samples of a dataset are drawn. Chance comes from the library's generator."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from autodiff.creation import as_tensor, multinomial, randint, randperm
from autodiff.errors import ValueRangeError
from autodiff.random import Generator

T_co = TypeVar("T_co", covariant=True)


class Sampler(Generic[T_co]):
    """Base of the samplers: write ``__iter__()``, which yields sample numbers for one epoch, and ``__len__()``.

    Args:
        data_source: accepted and not used.
    """

    def __init__(self, data_source: Any = None) -> None:
        pass

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__(self)")


class SequentialSampler(Sampler[int]):
    """All samples in order.

    Args:
        data_source: the dataset.

    >>> from autodiff.utils.data import SequentialSampler
    >>> list(SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, data_source: Any) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """All samples in random order, another one each epoch.

    Args:
        data_source: the dataset.
        replacement: draw each time from all samples.
        num_samples: how many to draw an epoch; as many as there are unless given.
        generator: where chance comes from; the default generator unless given. The same seed gives the same orders.

    Raises:
        ValueRangeError: if `num_samples` is not positive.

    >>> import autodiff as ad
    >>> from autodiff.utils.data import RandomSampler
    >>> sorted(RandomSampler("abc", generator=ad.Generator().manual_seed(1)))
    [0, 1, 2]
    """

    def __init__(self, data_source: Any, replacement: bool = False, num_samples: int | None = None,
                 generator: Generator | None = None) -> None:
        if num_samples is not None and num_samples <= 0:
            raise ValueRangeError("RandomSampler", "num_samples must be positive", got=str(num_samples))
        self.data_source = data_source
        self.replacement = replacement
        self.generator = generator
        self._num_samples = num_samples

    @property
    def num_samples(self) -> int:
        """How many samples are drawn an epoch."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        count = len(self.data_source)
        if not count:
            return
        if self.replacement:
            yield from randint(0, count, (self.num_samples,), generator=self.generator).tolist()
            return
        left = self.num_samples
        while left > 0:
            order = randperm(count, generator=self.generator).tolist()
            yield from order[:left]
            left -= count

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """The given sample numbers in random order.

    Args:
        indices: sample numbers.
        generator: where chance comes from.

    >>> from autodiff.utils.data import SubsetRandomSampler
    >>> sorted(SubsetRandomSampler([5, 7]))
    [5, 7]
    """

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        for i in randperm(len(self.indices), generator=self.generator).tolist():
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Samples drawn with probabilities proportional to weights.

    Args:
        weights: one a sample, not negative.
        num_samples: how many to draw an epoch.
        replacement: whether a sample may be drawn twice.
        generator: where chance comes from.

    Raises:
        ValueRangeError: if `num_samples` is not positive; when iterated, for impossible weights.

    >>> from autodiff.utils.data import WeightedRandomSampler
    >>> list(WeightedRandomSampler([0.0, 1.0], 3))
    [1, 1, 1]
    """

    def __init__(
        self, weights: Any, num_samples: int, replacement: bool = True, generator: Generator | None = None
    ) -> None:
        if num_samples <= 0:
            raise ValueRangeError("WeightedRandomSampler", "num_samples must be positive", got=str(num_samples))
        self.weights = as_tensor(weights)
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        return iter(multinomial(self.weights, self.num_samples, self.replacement, generator=self.generator).tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """The numbers of another sampler in lists of `batch_size`.

    Args:
        sampler: any iterable of sample numbers.
        batch_size: length of the lists.
        drop_last: leave out a last list that is shorter.

    Raises:
        ValueRangeError: if `batch_size` is not a positive integer.

    >>> from autodiff.utils.data import BatchSampler
    >>> list(BatchSampler(range(5), 2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        if type(batch_size) is not int or batch_size <= 0:
            raise ValueRangeError("BatchSampler", "batch_size must be a positive integer", got=repr(batch_size))
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        numbers = iter(self.sampler)
        while batch := list(itertools.islice(numbers, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        count = len(self.sampler)  # type: ignore[arg-type]
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)
