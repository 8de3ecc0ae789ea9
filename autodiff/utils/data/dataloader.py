"""`DataLoader`: batches of a dataset, epoch by epoch."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from autodiff.errors import ValueRangeError
from autodiff.random import Generator
from autodiff.utils.data.collate import default_collate, default_convert
from autodiff.utils.data.dataset import IterableDataset, batch_of, samples_of
from autodiff.utils.data.sampler import BatchSampler, RandomSampler, SequentialSampler


class DataLoader:
    """Iterates over the batches of a dataset; every iteration is one epoch.

    Args:
        dataset: with ``dataset[i]`` and a length, or an `IterableDataset`.
        batch_size: samples a batch; None yields single samples as they are.
        shuffle: draw the samples in a new random order each epoch.
        sampler: yields sample numbers; instead of `shuffle`.
        batch_sampler: yields lists of sample numbers; instead of `batch_size`, `shuffle`, `sampler` and `drop_last`.
        num_workers: samples are loaded in this process whatever the number; more than 0 gives one warning.
        collate_fn: joins a list of samples into a batch; `default_collate` unless given.
        drop_last: leave out a last batch that is smaller.
        generator: where the order comes from; the default generator (`autodiff.manual_seed`) unless given.
        pin_memory, timeout, worker_init_fn, multiprocessing_context, prefetch_factor, persistent_workers: about
            worker processes and GPUs; accepted and without meaning here.

    Raises:
        ValueRangeError: for arguments that exclude each other, or a batch size that is not positive.

    >>> import autodiff as ad
    >>> from autodiff.utils.data import DataLoader, TensorDataset
    >>> loader = DataLoader(TensorDataset(ad.arange(5), ad.arange(5) * 2), batch_size=2)
    >>> [y.tolist() for x, y in loader]
    [[0, 2], [4, 6], [8]]
    """

    _warned = False

    def __init__(
        self, dataset: Any, batch_size: int | None = 1, shuffle: bool | None = None,
        sampler: Iterable[int] | None = None, batch_sampler: Iterable[Sequence[int]] | None = None,
        num_workers: int = 0, collate_fn: Callable[[list[Any]], Any] | None = None, pin_memory: bool = False,
        drop_last: bool = False, timeout: float = 0, worker_init_fn: Any = None, multiprocessing_context: Any = None,
        generator: Generator | None = None, *, prefetch_factor: int | None = None, persistent_workers: bool = False,
    ) -> None:
        streamed = isinstance(dataset, IterableDataset)
        if streamed and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueRangeError("DataLoader", "an IterableDataset comes in its own order",
                                  fix="leave out shuffle, sampler and batch_sampler")
        if sampler is not None and shuffle:
            raise ValueRangeError("DataLoader", "shuffle and sampler exclude each other", fix="pass one of them")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ValueRangeError("DataLoader", "batch_sampler excludes batch_size, shuffle, sampler and drop_last",
                                  fix="pass batch_sampler alone")
        if batch_sampler is None and batch_size is None and drop_last:
            raise ValueRangeError("DataLoader", "drop_last needs a batch_size")
        if num_workers < 0:
            raise ValueRangeError("DataLoader", "num_workers cannot be negative", got=str(num_workers))
        if num_workers and not DataLoader._warned:
            DataLoader._warned = True
            warnings.warn("DataLoader loads samples in the main process: num_workers > 0 has no effect here",
                          stacklevel=2)
        self.dataset = dataset
        self.batch_size = batch_size if batch_sampler is None else None
        self.drop_last = drop_last
        self.num_workers = num_workers
        self.collate_fn = collate_fn
        self.generator = generator
        if sampler is None and not streamed:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        self.sampler = sampler
        if batch_sampler is None and batch_size is not None:
            batch_sampler = BatchSampler(() if sampler is None else sampler, batch_size, drop_last)
        self.batch_sampler = batch_sampler

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self.dataset, IterableDataset):
            return self._stream()
        if self.batch_sampler is None:
            convert = self.collate_fn or default_convert
            return (convert(self.dataset[i]) for i in self.sampler or ())
        if self.collate_fn is None:
            return (batch_of(self.dataset, indices) for indices in self.batch_sampler)
        collate = self.collate_fn
        return (collate(samples_of(self.dataset, indices)) for indices in self.batch_sampler)

    def _stream(self) -> Iterator[Any]:
        """Yield batches of a dataset that is a stream."""
        samples = iter(self.dataset)
        if self.batch_size is None:
            yield from map(self.collate_fn or default_convert, samples)
            return
        collate = self.collate_fn or default_collate
        while batch := list(itertools.islice(samples, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield collate(batch)

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        if isinstance(self.dataset, IterableDataset):
            count = len(self.dataset)  # type: ignore[arg-type]
            if self.batch_size is None:
                return count
            return count // self.batch_size if self.drop_last else -(-count // self.batch_size)
        return len(self.sampler if self.batch_sampler is None else self.batch_sampler)  # type: ignore[arg-type]
