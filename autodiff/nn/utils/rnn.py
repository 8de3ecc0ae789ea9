"""Batches of sequences of several lengths: padded to one length, or packed without padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from autodiff import ops
from autodiff.creation import from_numpy, full
from autodiff.eager import Tensor
from autodiff.errors import ShapeError, ValueRangeError
from autodiff.spec import Array


class PackedSequence(NamedTuple):
    """Sequences one beside the other, step by step, without padding: what recurrent layers read in its place.

    Attributes:
        data: (sum of lengths, ...): the first step of all sequences, the second of all that have one, and so on.
        batch_sizes: (longest,) int64: the number of sequences that reach each step.
        sorted_indices: order of the sequences by falling length; None when they came in it.
        unsorted_indices: the inverse of that order; None likewise.
    """

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None


def pad_sequence(
    sequences: Sequence[Tensor], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Return sequences of several lengths as one tensor, padded to the longest.

    Args:
        sequences: (length, ...) each, equal in the other dimensions.
        batch_first: the result is (batch, longest, ...) instead of (longest, batch, ...).
        padding_value: what is added.
        padding_side: ``"right"`` for the end of a sequence, ``"left"`` for its beginning.

    Raises:
        ShapeError: if there is no sequence, or they differ in another dimension.
        ValueRangeError: for another side.

    >>> import autodiff as ad
    >>> ad.nn.utils.rnn.pad_sequence([ad.tensor([1.0]), ad.tensor([2.0, 3.0])], batch_first=True)
    tensor([[1., 0.],
            [2., 3.]])
    """
    found = list(sequences)
    if not found:
        raise ShapeError("pad_sequence", "there is no sequence", expected="at least one")
    if padding_side not in ("right", "left"):
        raise ValueRangeError("pad_sequence", "padding_side is neither 'right' nor 'left'", got=repr(padding_side))
    longest = max(sequence.shape[0] for sequence in found)
    padded = []
    for sequence in found:
        missing = longest - sequence.shape[0]
        if missing:
            filling = full((missing, *sequence.shape[1:]), padding_value, dtype=sequence.dtype)
            sequence = ops.cat([sequence, filling] if padding_side == "right" else [filling, sequence])
        padded.append(sequence)
    return ops.stack(padded, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False) -> list[Tensor]:
    """Return the sequences that `pad_sequence` has padded.

    >>> import autodiff as ad
    >>> ad.nn.utils.rnn.unpad_sequence(ad.tensor([[1.0, 0.0], [2.0, 3.0]]), ad.tensor([1, 2]), batch_first=True)
    [tensor([1.]), tensor([2., 3.])]
    """
    sequences = ops.unbind(padded_sequences, 0 if batch_first else 1)
    return [ops.narrow(sequence, 0, 0, int(length)) for sequence,
            length in zip(sequences, lengths.tolist(), strict=True)]


def _batch_sizes(lengths: Array) -> Array:
    """Return the number of sequences that reach each step."""
    counts: Array = (lengths[None, :] > np.arange(lengths.max())[:, None]).sum(1)
    return counts


def pack_padded_sequence(
    input: Tensor, lengths: Tensor | Sequence[int], batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Return padded sequences packed, so that recurrent layers do not run over the padding.

    Args:
        input: (T, N, ...), or (N, T, ...) when `batch_first`.
        lengths: (N,): of the sequences, from 1 to T.
        batch_first: the batch is the first dimension.
        enforce_sorted: the lengths are promised not to rise; otherwise the sequences are sorted.

    Raises:
        ValueRangeError: if the lengths rise although they must not, or are outside 1 to T.
        ShapeError: if there are not N lengths.

    >>> import autodiff as ad
    >>> packed = ad.nn.utils.rnn.pack_padded_sequence(ad.tensor([[1.0, 2.0], [3.0, 0.0]]), [2, 1])
    >>> packed.data, packed.batch_sizes
    (tensor([1., 2., 3.]), tensor([2, 1]))
    """
    name = "pack_padded_sequence"
    x = ops.transpose(input, 0, 1) if batch_first else input
    steps, batch = x.shape[:2]
    # Lengths are data that shapes follow from: they are read on the host.
    sizes = np.asarray(lengths.tolist() if isinstance(lengths, Tensor) else lengths, np.int64)
    if sizes.shape != (batch,):
        raise ShapeError(name, "the number of lengths is not the number of sequences", expected=f"({batch},)",
                         got=str(sizes.shape))
    if sizes.min(initial=1) < 1 or sizes.max(initial=1) > steps:
        raise ValueRangeError(name, "a length is outside the padded sequences", expected=f"1 to {steps}",
                              got=str(sizes.tolist()))
    order = None
    if not enforce_sorted:
        order = np.argsort(-sizes, kind="stable")
        x, sizes = x[:, from_numpy(order)], sizes[order]
    elif (sizes[1:] > sizes[:-1]).any():
        raise ValueRangeError(name, "the lengths rise", expected="lengths that do not rise", got=str(sizes.tolist()),
                              fix="sort the sequences, or pass enforce_sorted=False")
    counts = _batch_sizes(sizes)
    data = ops.cat([ops.narrow(ops.select(x, 0, step), 0, 0, int(count)) for step, count in enumerate(counts)])
    if order is None:
        return PackedSequence(data, from_numpy(counts))
    return PackedSequence(data, from_numpy(counts), from_numpy(order), from_numpy(np.argsort(order)))


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Return sequences of several lengths packed.

    Args:
        sequences: (length, ...) each.
        enforce_sorted: the lengths are promised not to rise; otherwise the sequences are sorted.

    Raises:
        ValueRangeError: if the lengths rise although they must not.

    >>> import autodiff as ad
    >>> ad.nn.utils.rnn.pack_sequence([ad.tensor([1.0, 3.0]), ad.tensor([2.0])]).data
    tensor([1., 2., 3.])
    """
    lengths = [sequence.shape[0] for sequence in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """Return packed sequences padded to one length, and their lengths: the inverse of `pack_padded_sequence`.

    Args:
        sequence: packed.
        batch_first: the result is (N, T, ...) instead of (T, N, ...).
        padding_value: what is added.
        total_length: T; the longest length by default.

    Raises:
        ValueRangeError: if `total_length` is less than the longest length.

    >>> import autodiff as ad
    >>> packed = ad.nn.utils.rnn.pack_sequence([ad.tensor([1.0, 3.0]), ad.tensor([2.0])])
    >>> ad.nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
    (tensor([[1., 3.],
            [2., 0.]]), tensor([2, 1]))
    """
    data, counts = sequence.data, sequence.batch_sizes.numpy()
    steps = len(counts) if total_length is None else total_length
    if steps < len(counts):
        raise ValueRangeError("pad_packed_sequence", "total_length is less than the longest sequence",
                              expected=f"at least {len(counts)}", got=str(total_length))
    batch = int(counts[0])
    lengths = (np.arange(batch)[None, :] < counts[:, None]).sum(0)
    frames = []
    for frame in ops.split(data, tuple(counts.tolist())):
        missing = batch - frame.shape[0]
        filling = full((missing, *data.shape[1:]), padding_value, dtype=data.dtype)
        frames.append(ops.cat([frame, filling]) if missing else frame)
    frames += [full((batch, *data.shape[1:]), padding_value, dtype=data.dtype)] * (steps - len(counts))
    padded = ops.stack(frames, 1 if batch_first else 0)
    if sequence.unsorted_indices is not None:
        order = sequence.unsorted_indices
        padded = padded[order] if batch_first else padded[:, order]
        lengths = lengths[order.numpy()]
    return padded, from_numpy(lengths)
