"""Connectionist temporal classification: the probability of a text, summed over all ways to spread it over time.

Source: Graves et al., "Connectionist temporal classification: labelling unsegmented sequence data with recurrent neural
networks", 2006.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import autodiff_kernels as kernels
from autodiff.arguments import integer
from autodiff.bind import TensorT, bind
from autodiff.errors import AutodiffError, DTypeError, PositionError, ShapeError, ValueRangeError
from autodiff.ops.broadcast import expand
from autodiff.ops.choice import clamp_min, where
from autodiff.ops.comparison import eq, gt, logical_and
from autodiff.ops.elementwise import add, div, mul, neg, spread, sub
from autodiff.ops.functions import exp, logaddexp
from autodiff.ops.host import from_array, values
from autodiff.ops.joining import stack, unbind, zeros_of
from autodiff.ops.loss import check_reduction, reduced
from autodiff.ops.padding import pad
from autodiff.ops.probability import logsumexp
from autodiff.ops.promotion import INT64, cast, constant, is_tensor
from autodiff.ops.scattering import gather, scatter_add
from autodiff.ops.shaping import shape_of, unsqueeze
from autodiff.ops.structural import contiguous, narrow, require_tensor, reshape, select
from autodiff.primitive import EachPart, ErrorSample, Keep, Primitive, Sample, define, no_errors
from autodiff.spec import Array, Cost, Spec, moved

__all__ = ["ctc_loss"]

# ---- Sums over all alignments ----------------------------------------------------------------------------------------
# A place of a text (blanks and labels) is come to from itself, from the place before, or, between two different labels,
# from the one before that.


def _skips(texts: Array, blank: int) -> Array:
    """Return for each place of each text whether it is come to from the one before the place before."""
    found = np.zeros(texts.shape, np.bool_)
    found[:, 2:] = (texts[:, 2:] != blank) & (texts[:, 2:] != texts[:, :-2])
    return found


def _turned_skips(texts: Array, blank: int) -> Array:
    """Return for each place whether it leads to the one behind the next place."""
    found = np.zeros(texts.shape, np.bool_)
    found[:, :-2] = _skips(texts, blank)[:, 2:]
    return found


def _ends(lengths: Array, width: int) -> Array:
    """Return the places of each text at which an alignment may end: the last label, and the blank behind it."""
    places = np.arange(width)
    found: Array = (places == 2 * lengths[:, None]) | (places == 2 * lengths[:, None] - 1)
    return found


def _each(targets: Array) -> int:
    """Return how many places each text has, or -1 where it has as many as labels."""
    return targets.shape[1] if targets.ndim == 2 else -1


def _states(x: Spec, targets: Spec) -> Spec:
    """Return the spec of what the kernel notes of each place at each time."""
    times, count, _ = x.shape
    return Spec.of((times * (2 * targets.size + 3 * count),), np.float64)


def _places(rows: int, targets: Spec) -> tuple[EachPart]:
    """Return the spec of so many rows of all places of the longest text."""
    return (EachPart(Spec.of((1, rows, 2 * targets.shape[-1] + 3), np.float64)),)


def _loss_run(outs: list[Array], ins: list[Array], blank: int) -> None:
    x, targets, lasts, lengths = ins
    kernels.alignment.ctc(*outs, x, targets.reshape(-1), lasts, lengths, _each(targets), blank, 0, 1)


def _loss_status(position: int, ins: list[Array], blank: int) -> Exception:
    try:
        _check(*ins)
    except AutodiffError as error:
        return error
    raise AssertionError


def _loss_grad_run(outs: list[Array], ins: list[Array], blank: int) -> None:
    g, x, targets, lasts, lengths, states = ins
    kernels.alignment.ctc_grad(*outs, g, x, targets.reshape(-1), lasts, lengths, states, _each(targets), blank, 0, 1)


_NEVER = -1e30  # the logarithm of a probability of nothing: finite, so that its derivatives are


def _step(state: Any, skip: Any, forward: bool) -> Any:
    """Return the logarithms of the sums of three states: a place's, its neighbour's and, by `skip`, the next one's."""
    width = state.spec.shape[1]
    padded = pad(state, (2, 0) if forward else (0, 2), value=_NEVER)
    stay, move, jump = (narrow(padded, 1, start, width) for start in ((2, 1, 0) if forward else (0, 1, 2)))
    return logaddexp(logaddexp(stay, move), add(jump, skip))


def _loss_grad_twin(g: Any, x: Any, targets: Any, lasts: Any, lengths: Any, noted: Any, blank: int) -> Any:
    labels, last = _texts(values(targets), values(lengths), blank), values(lasts)
    texts = from_array(labels)
    times, count, classes = x.spec.shape
    width, dtype = labels.shape[1], x.spec.dtype

    def allowed(where_: Array) -> Any:
        return from_array(np.where(where_, 0, _NEVER).astype(dtype))

    steps = unbind(gather(x, 2, expand(texts, (times, count, width))), 0)
    skip, turned = allowed(_skips(labels, blank)), allowed(_turned_skips(labels, blank))
    ends = allowed(_ends(values(lengths), width))
    states = [add(steps[0], allowed(np.broadcast_to(np.arange(width) < 2, labels.shape)))]
    for step in steps[1:]:
        states.append(add(_step(states[-1], skip, True), step))
    place = from_array(np.broadcast_to(np.maximum(last - 1, 0)[:, None], (1, count, width)).copy())
    totals = logsumexp(add(select(gather(stack(states), 0, place), 0, 0), ends), 1, True)
    possible = logical_and(gt(totals, _NEVER / 2), from_array((last > 0)[:, None]))
    weight = neg(unsqueeze(g, 1))
    found: list[Any] = []
    coming: Any = constant(_NEVER, dtype)
    for t in range(times - 1, -1, -1):
        if found:
            coming = _step(add(coming, steps[t + 1]), turned, False)
        coming = where(from_array(last[:, None] - 1 == t), ends, coming)
        share = where(possible, exp(sub(add(states[t], coming), totals)), 0.0)
        found.append(scatter_add(zeros_of(Spec.of((count, classes), dtype)), 1, texts, mul(share, weight)))
    return stack(found[::-1])


def _loss_vjp(record: Any, g: Any, _: Any = None) -> tuple[Any, ...]:
    inputs = [record.input(i) for i in range(4)]
    found = bind(ctc_loss_grad_p, contiguous(g), *inputs, record.output(1), blank=record.params["blank"])
    return found, None, None, None


# ---- The loss --------------------------------------------------------------------------------------------------------


def _check(x: Array, targets: Array, lasts: Array, lengths: Array) -> None:
    """Raise unless the numbers fit.

    Raises:
        ValueRangeError: if a length is negative or too large.
        ShapeError: if the targets do not fit the lengths.
        PositionError: if a target is no class.
    """
    times, count, classes = x.shape
    for what, found, most in (("input_lengths", lasts, times), ("target_lengths", lengths, np.iinfo(np.int64).max)):
        if not 0 <= found.min(initial=0) <= found.max(initial=0) <= most:
            raise ValueRangeError("ctc_loss", f"{what} has a length outside the sequences", expected=f"0 to {most}",
                                  got=str(found.tolist()))
    total, longest = int(lengths.sum()), int(lengths.max(initial=0))
    if targets.size != total if targets.ndim == 1 else targets.shape[1] < longest:
        raise ShapeError("ctc_loss", "the targets do not fit their lengths",
                         expected=f"({total},) or ({count}, {longest} or more)", got=str(targets.shape))
    for row in _rows(targets, lengths):
        wrong = (row < 0) | (row >= classes)
        if wrong.any():
            raise PositionError("ctc_loss", "a target is no class", expected=f"0 to {classes - 1}",
                                got=str(row[wrong][0]))


def _rows(targets: Array, lengths: Array) -> list[Array]:
    """Return the labels of each text."""
    if targets.ndim == 2:
        return [row[:n] for row, n in zip(targets, lengths, strict=True)]
    return [targets[end - n:end] for end, n in zip(np.cumsum(lengths), lengths, strict=True)]


def _texts(targets: Array, lengths: Array, blank: int) -> Array:
    """Return the texts with a blank before, between and behind their labels, one a row, filled up with blanks."""
    texts = np.full((len(lengths), 2 * int(lengths.max(initial=0)) + 1), blank, np.int64)
    for text, row in zip(texts, _rows(targets, lengths), strict=True):
        text[1:2 * len(row):2] = row
    return texts


def _lengths(what: str, lengths: Any, count: int, single: bool) -> Any:
    """Return one length for each text, as int64.

    Raises:
        DTypeError: if they are no integers.
        ShapeError: if there are fewer or more.
    """
    found = lengths if is_tensor(lengths) else from_array(np.asarray(lengths))
    found = reshape(found, 1) if single and found.spec.size == 1 else found
    if found.spec.dtype.kind not in "iu":
        raise DTypeError("ctc_loss", f"{what} does not hold integers", expected="int64", got=found.spec.dtype.name)
    if found.spec.shape != (count,):
        raise ShapeError("ctc_loss", f"{what} does not have one length for each sequence", expected=str((count,)),
                         got=str(found.spec.shape))
    return contiguous(cast(found, INT64))


def _scores() -> Array:
    found: Array = np.log(np.abs(np.sin(np.arange(6 * 3 * 4) ** 2 + 0.5)) + 0.1).astype(np.float32).reshape(6, 3, 4)
    return found


def _samples() -> list[Sample]:
    x = _scores()
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


ctc_loss_p: Primitive = define(
    "ctc_loss",
    infer=lambda x, targets, lasts, lengths, blank: (Spec.of(lengths.shape, x.dtype), _states(x, targets)),
    run=_loss_run,
    scratch=lambda inputs, outputs, blank: _places(2, inputs[1]),
    status=_loss_status,
    vjp=_loss_vjp,
    saves=Keep(inputs=(0, 1, 2, 3), outputs=(1,)),
    cost=lambda inputs, outputs, blank: Cost(100 * outputs[1].size, moved(*inputs, *outputs)),
    samples=_samples,
    errors=_errors,
    call=lambda *a, **k: ctc_loss(*a, **k),
)


def _grad_samples() -> list[Sample]:
    """What the loss has noted takes part; its derivative is that of the scores, so it is not checked here."""
    found = []
    for lasts, lengths in (([6, 4, 5], [2, 2, 1]), ([1, 0, 5], [2, 0, 0])):
        inputs = _scores(), np.array([[1, 2], [3, 3], [1, 0]]), np.array(lasts), np.array(lengths)
        states = bind(ctc_loss_p, *[from_array(x) for x in inputs], blank=0)[1]
        found.append(Sample(spread(-1, 2, 3), *inputs, states.array, blank=0, gradient=False))
    return found


ctc_loss_grad_p: Primitive = define(
    "ctc_loss_grad",
    infer=lambda g, x, targets, lasts, lengths, states, blank: Spec.of(x.shape, x.dtype),
    run=_loss_grad_run,
    scratch=lambda inputs, outputs, blank: _places(4, inputs[2]),
    vjp=None,
    twin=_loss_grad_twin,
    cost=lambda inputs, outputs, blank: Cost(120 * inputs[5].size, moved(*inputs, *outputs)),
    samples=_grad_samples,
    errors=no_errors,
)


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
    _, count, classes = x.spec.shape
    blank = integer(operation, "blank", blank)
    if not 0 <= blank < classes:
        raise ValueRangeError(operation, "the blank is no class", expected=f"0 to {classes - 1}", got=str(blank))
    labels: Any = targets
    if labels.spec.dtype.kind not in "iu":
        raise DTypeError(operation, "the targets do not hold integers", expected="int64", got=labels.spec.dtype.name)
    if labels.spec.ndim != 1 and (labels.spec.ndim != 2 or labels.spec.shape[0] != count):
        raise ShapeError(operation, "the targets are no texts", expected=f"({count}, labels), or all in one vector",
                         got=str(labels.spec.shape))
    lasts = _lengths("input_lengths", input_lengths, count, single)
    lengths = _lengths("target_lengths", target_lengths, count, single)
    losses, _ = bind(ctc_loss_p, contiguous(x), contiguous(cast(labels, INT64)), lasts, lengths, blank=blank)
    if zero_infinity:
        losses = where(eq(losses, math.inf), 0.0, losses)
    if reduction == "mean":
        losses = div(losses, cast(clamp_min(lengths, 1), x.spec.dtype))
    losses = reshape(losses, ()) if single and reduction == "none" else losses
    return reduced(losses, reduction)  # type: ignore[no-any-return]
