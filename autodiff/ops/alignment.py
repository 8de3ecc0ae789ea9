"""Connectionist temporal classification: the probability of a text, summed over all ways to spread it over time.

Source: Graves et al., "Connectionist temporal classification: labelling unsegmented sequence data with recurrent neural
networks", 2006.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from autodiff.bind import TensorT
from autodiff.errors import DTypeError, PositionError, ShapeError, ValueRangeError
from autodiff.ops.broadcast import expand
from autodiff.ops.choice import where
from autodiff.ops.comparison import gt
from autodiff.ops.elementwise import add, div, neg
from autodiff.ops.functions import logaddexp
from autodiff.ops.host import from_array, values
from autodiff.ops.joining import stack, unbind
from autodiff.ops.loss import check_reduction, reduced
from autodiff.ops.promotion import is_tensor
from autodiff.ops.rearranging import pad
from autodiff.ops.scattering import gather
from autodiff.ops.shaping import shape_of, unsqueeze
from autodiff.ops.structural import narrow, require_tensor, reshape, select
from autodiff.primitive import ErrorSample, Sample, composed
from autodiff.spec import Array

__all__ = ["ctc_loss"]

# The logarithm of a probability of nothing: finite, so that sums of such states have gradients, which are then
# multiplied by an exact zero.
_NEVER = -1e30


def _lengths(what: str, lengths: Any, count: int, longest: int) -> Array:
    """Return one length for each text.

    Raises:
        DTypeError: if they are no integers.
        ShapeError: if there are fewer or more.
        ValueRangeError: if one is negative or too large.
    """
    found = values(lengths) if is_tensor(lengths) else np.asarray(lengths)
    if found.size and found.dtype.kind not in "iu":
        raise DTypeError("ctc_loss", f"{what} does not hold integers", expected="int64", got=found.dtype.name)
    if found.shape != (count,):
        raise ShapeError("ctc_loss", f"{what} does not have one length for each sequence", expected=str((count,)),
                         got=str(found.shape))
    if found.size and not 0 <= found.min() <= found.max() <= longest:
        raise ValueRangeError("ctc_loss", f"{what} has a length outside the sequences", expected=f"0 to {longest}",
                              got=str(found.tolist()))
    return found.astype(np.int64)


def _texts(targets: Any, lengths: Array, blank: int, classes: int) -> Array:
    """Return the texts with a blank before, between and behind their labels, one a row, filled up with blanks.

    Raises:
        ShapeError: if the targets do not fit the lengths.
        DTypeError: if they are no integers.
        PositionError: if a target is no class.
    """
    labels = values(targets)
    if labels.dtype.kind not in "iu":
        raise DTypeError("ctc_loss", "the targets do not hold integers", expected="int64", got=labels.dtype.name)
    if labels.ndim == 1 and labels.size == lengths.sum():
        starts = np.cumsum(lengths) - lengths
        rows = [labels[start:start + n] for start, n in zip(starts, lengths, strict=True)]
    elif labels.ndim == 2 and len(labels) == len(lengths) and lengths.max(initial=0) <= labels.shape[1]:
        rows = [row[:n] for row, n in zip(labels, lengths, strict=True)]
    else:
        raise ShapeError("ctc_loss", "the targets do not fit their lengths",
                         expected=f"({lengths.sum()},) or ({len(lengths)}, {lengths.max(initial=0)} or more)",
                         got=str(labels.shape))
    texts = np.full((len(rows), 2 * int(lengths.max(initial=0)) + 1), blank, np.int64)
    for text, row in zip(texts, rows, strict=True):
        text[1:2 * len(row):2] = row
        wrong = (row < 0) | (row >= classes)
        if wrong.any():
            raise PositionError("ctc_loss", "a target is no class", expected=f"0 to {classes - 1}",
                                got=str(row[wrong][0]))
    return texts


def _samples() -> list[Sample]:
    x = np.log(np.abs(np.sin(np.arange(6 * 3 * 4) ** 2 + 0.5)) + 0.1).astype(np.float32).reshape(6, 3, 4)
    targets, lengths = np.array([[1, 2, 2], [3, 1, 0], [1, 0, 0]]), np.array([3, 2, 1])
    return [
        Sample(x, targets, (6, 6, 6), (3, 2, 1)), Sample(x, targets, np.array([6, 5, 3]), lengths, reduction="none"),
        Sample(x, np.array([1, 2, 2, 3, 1, 1]), (6, 6, 4), (3, 2, 1), reduction="sum"),
        Sample(x[:, 0], targets[0], (6,), (3,)), Sample(x, targets, (6, 6, 6), (3, 0, 1), reduction="none"),
        Sample(x, targets - 1, (6, 6, 6), (2, 2, 1), blank=3),
        Sample(x.astype(np.float64), targets, (6, 6, 6), (3, 2, 1)),
        Sample(x, targets, (3, 6, 6), (3, 2, 1), reduction="none", gradient=False),
        Sample(x, targets, (3, 6, 6), (3, 2, 1), zero_infinity=True),
    ]


def _errors() -> list[ErrorSample]:
    x, targets = np.zeros((4, 2, 3), np.float32), np.array([[1, 2], [2, 1]])
    return [
        ErrorSample(Sample("3", targets, (4, 4), (2, 2)), DTypeError, "not a tensor"),
        ErrorSample(Sample(x[0, 0], targets, (4, 4), (2, 2)), ShapeError, r"\(T, N, C\)"),
        ErrorSample(Sample(x.astype(np.int64), targets, (4, 4), (2, 2)), DTypeError, "floats"),
        ErrorSample(Sample(x, targets, (4,), (2, 2)), ShapeError, r"input_lengths.*\(2,\); got \(1,\)"),
        ErrorSample(Sample(x, targets, (4, 5), (2, 2)), ValueRangeError, "input_lengths.*0 to 4; got"),
        ErrorSample(Sample(x, targets, (4, 4), (2, 3)), ShapeError, "targets do not fit"),
        ErrorSample(Sample(x, targets, (4, 4), (2.0, 1.0)), DTypeError, "target_lengths.*integers"),
        ErrorSample(Sample(x, targets + 1, (4, 4), (2, 2)), PositionError, "0 to 2; got 3"),
        ErrorSample(Sample(x, targets.astype(np.float32), (4, 4), (2, 2)), DTypeError, "targets do not hold integers"),
        ErrorSample(Sample(x, targets, (4, 4), (2, 2), blank=3), ValueRangeError, "blank is no class.*got 3"),
        ErrorSample(Sample(x, targets, (4, 4), (2, 2), reduction="avg"), ValueRangeError, "'mean' or 'sum' or 'none'"),
    ]


@composed(samples=_samples, errors=_errors)
def ctc_loss(log_probs: TensorT, targets: TensorT, input_lengths: Any, target_lengths: Any, blank: int = 0,
             reduction: str = "mean", zero_infinity: bool = False) -> TensorT:
    """Return minus the logarithm of the probability of each text: the sum over all alignments with the sequence.

    An alignment has a class for each place of time; without repetitions and blanks it is the text.

    Args:
        log_probs: logarithms of probabilities, as `log_softmax` returns them: (T, N, C), or (T, C) for one sequence.
        targets: labels, integers from 0 to C - 1: (N, S), or all texts one behind the other, (sum of target_lengths,).
        input_lengths: how many places of time each sequence has: N integers from 0 to T.
        target_lengths: how many labels each text has: N integers.
        blank: the class that is no label.
        reduction: ``"mean"``: each loss divided by the length of its text, then the mean; ``"sum"``, or ``"none"``.
        zero_infinity: take 0 for the loss of a text that its sequence is too short for.

    Returns:
        () or, for ``"none"``, (N,) or () for one sequence; infinity for a text that cannot be aligned. The gradient of
        such a text is 0. The gradient is that by `log_probs` itself; PyTorch's contains that of `log_softmax` already,
        and before `log_softmax` both are equal.

    Raises:
        ShapeError: if shapes do not fit.
        DTypeError: unless `log_probs` holds floats and the others integers.
        PositionError: if a target is no class.
        ValueRangeError: for a length outside the sequences, a blank that is no class, or another reduction.

    >>> import autodiff as ad
    >>> x = ad.log(ad.tensor([[[0.5, 0.5]], [[0.5, 0.5]]]))
    >>> ad.exp(-ad.nn.functional.ctc_loss(x, ad.tensor([[1]]), (2,), (1,)))
    tensor(0.7500)
    """
    operation = "ctc_loss"
    check_reduction(operation, reduction)
    require_tensor(operation, log_probs)
    require_tensor(operation, targets)
    x: Any = log_probs
    if not x.spec.floating:
        raise DTypeError(operation, "log_probs does not hold floats", expected="float32 or float64",
                         got=x.spec.dtype.name)
    shape = shape_of(x, operation)
    if len(shape) not in (2, 3) or 0 in shape:
        raise ShapeError(operation, "these are no sequences", expected="(T, N, C) or (T, C), with elements",
                         got=str(shape))
    single = len(shape) == 2
    x = unsqueeze(x, 1) if single else x
    times, count, classes = x.spec.shape
    if not 0 <= blank < classes:
        raise ValueRangeError(operation, "the blank is no class", expected=f"0 to {classes - 1}", got=str(blank))
    one = [np.reshape(values(n) if is_tensor(n) else n, 1) for n in (input_lengths, target_lengths)] if single else None
    lasts = _lengths("input_lengths", one[0] if one else input_lengths, count, times)
    lengths = _lengths("target_lengths", one[1] if one else target_lengths, count, np.iinfo(np.int64).max)
    texts = _texts(targets, lengths, blank, classes)
    width = texts.shape[1]

    # The probability of having come to each place of each text, step by step: from this place, from the one before, or,
    # between two different labels, from the one before that.
    skips = np.zeros((count, width), np.bool_)
    skips[:, 2:] = (texts[:, 2:] != blank) & (texts[:, 2:] != texts[:, :-2])
    skip = from_array(np.where(skips, 0, _NEVER).astype(x.spec.dtype))
    begun = from_array(np.where(np.arange(width) < 2, 0, _NEVER).astype(x.spec.dtype))
    labels = expand(from_array(texts), (times, count, width))
    steps = unbind(gather(x, 2, labels), 0)
    state = add(steps[0], begun)
    states = [state]
    for step in steps[1:]:
        before = pad(state, (2, 0), value=_NEVER)
        jumped = add(narrow(before, 1, 0, width), skip)
        state = add(logaddexp(logaddexp(state, narrow(before, 1, 1, width)), jumped), step)
        states.append(state)

    # A sequence of no places has only the empty text.
    begin = from_array(np.broadcast_to(np.where(np.arange(width) == 0, 0, _NEVER), (count, width)).astype(x.spec.dtype))
    if (lasts == times).all():
        final = state
    else:
        every = stack([begin, *states])
        final = select(gather(every, 0, expand(from_array(lasts.reshape(1, -1, 1)), (1, count, width))), 0, 0)
    ends = np.stack([2 * lengths, np.maximum(2 * lengths - 1, 0)], 1)
    both = gather(final, 1, from_array(ends))
    empty = from_array(lengths == 0)
    last, label = select(both, 1, 0), select(both, 1, 1)
    losses = neg(where(empty, last, logaddexp(last, label)))
    losses = where(gt(losses, -_NEVER / 2), 0.0 if zero_infinity else math.inf, losses)
    if reduction == "mean":
        losses = div(losses, from_array(np.maximum(lengths, 1).astype(x.spec.dtype)))
    losses = reshape(losses, ()) if single and reduction == "none" else losses
    return reduced(losses, reduction)  # type: ignore[no-any-return]
