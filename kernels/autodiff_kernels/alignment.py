"""The probability of a text, summed over all ways to spread it over time, and its gradient; all in logarithms.

Source: Graves et al., "Connectionist temporal classification: labelling unsegmented sequence data with recurrent neural
networks", 2006, section 4.1.

A text of S labels has L = 2 S + 1 places: a blank before, between and behind them. A place is come to from itself,
from the place before, or, between two different labels, from the one before that. `states` holds, at each time of each
sequence, the logarithm of the probability of coming to each place, behind two places that nobody comes to: S labels in
`targets` take (2 S + 3) T numbers. Logarithms are float64: they become large, and only their differences matter.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.maths import LN2_HIGH_DOUBLE, LN2_LOW_DOUBLE, LOG_DOUBLE, LOG_SINGLE, exp, fma, polynomial
from autodiff_kernels.memory import forward, load, pointer, store
from autodiff_kernels.parts import share
from autodiff_kernels.scan import log_add
from autodiff_kernels.vectors import filled, read, select, width, write, zeros

Array = np.ndarray[Any, np.dtype[Any]]

BEFORE = 2  # places before each row of states
LEAST = -1.7976931348623157e308  # only -infinity is less
FAINT = -700.0  # a logarithm so far below another that the sum does not change; its exponential is a normal number


# ---- Sums of logarithms ----------------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def log_of_few(x: Any) -> Any:
    """Return the logarithm of a vector of numbers from 1 to 4."""
    half, quarter = x > 1.4142135623730951, x > 2.8284271247461903
    n = select(quarter, filled(x, 2.0), select(half, filled(x, 1.0), filled(x, 0.0)))
    f = x * select(quarter, filled(x, 0.25), select(half, filled(x, 0.5), filled(x, 1.0))) - 1.0
    s = f / (f + 2.0)
    z, square = s * s, f * f * 0.5
    rest = square - fma(s, fma(z, polynomial(z, LOG_SINGLE, LOG_DOUBLE), square), n * LN2_LOW_DOUBLE)
    return fma(n, LN2_HIGH_DOUBLE, f - rest)


@njit(error_model="numpy", forceinline=True)
def larger(x: Any, y: Any) -> Any:
    """Return the larger numbers of two vectors; x where one is NaN."""
    return select(x < y, y, x)


@njit(error_model="numpy", forceinline=True)
def log_sum(x: Any, y: Any, z: Any) -> Any:
    """Return log(exp(x) + exp(y) + exp(z)) of three vectors, -inf where all are."""
    most = larger(larger(x, y), z)
    none = most < LEAST
    shift = select(none, filled(x, 0.0), most)
    faint = filled(x, FAINT)
    total = exp(larger(x - shift, faint)) + exp(larger(y - shift, faint)) + exp(larger(z - shift, faint))
    return select(none, x + y + z, log_of_few(total) + most)


# ---- Texts -----------------------------------------------------------------------------------------------------------


@njit(error_model="numpy")
def text_of(n: int, targets: Array, each: int, lengths: Array, lasts: Array, times: int, classes: int) -> Any:
    """Return where the labels of a text begin, how many there are, and whether all numbers of the sequence fit."""
    start, count = 0, lengths[n]
    if each < 0:
        total = 0
        for i in range(lengths.shape[0]):
            start += lengths[i] if i < n else 0
            total += lengths[i]
        fits = total == targets.shape[0]
    else:
        start, fits = n * each, count <= each
    fits = fits and start >= 0 and 0 <= lasts[n] <= times and 0 <= count <= targets.shape[0] - start
    if fits:
        for i in range(start, start + count):
            fits = fits and 0 <= targets[i] < classes
    return start, count, fits


@njit(error_model="numpy", forceinline=True)
def note_skips(skips: Array, targets: Array, start: int, count: int, blank: int) -> None:
    """Write 0 for each place that is come to from the one before the place before, and behind all, -inf for others."""
    for place in range(2 * count + 1 + BEFORE):
        skips[place] = -math.inf
    for i in range(1, count):
        label = targets[start + i]
        if label != blank and label != targets[start + i - 1]:
            skips[2 * i + 1] = 0.0


@njit(error_model="numpy", forceinline=True)
def note_labels(found: Array, x: Array, t: int, n: int, targets: Array, start: int, count: int, blank: int) -> None:
    """Write the logarithms that x has for the classes of all places at a time."""
    row, of_blank = x[t, n], np.float64(x[t, n, blank])
    for i in range(count):
        found[2 * i], found[2 * i + 1] = of_blank, row[targets[start + i]]
    found[2 * count] = of_blank


# ---- Kernels ---------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def ctc(
    out: Array, states: Array, scratch: Array, status: Array, x: Array, targets: Array, lasts: Array, lengths: Array,
    each: int, blank: int, part: int, parts: int,
) -> None:
    """out[n] = minus the logarithm of the probability of text n; infinity where it cannot be aligned.

    Args:
        out: (N,), out; the type of x. Sequences are shared among the parts.
        states: (T (2 S + 3 N),), out; float64, see above; S is the size of targets. -inf behind the last time.
        scratch: (parts, 2, 2 M + 3), scratch; float64; M is the length of the longest text there can be.
        status: (parts,), out; int64. The first n of each part whose numbers do not fit, or -1.
        x: (T, N, C), in; float32 or float64; logarithms of probabilities.
        targets: (S,), in; int64. All texts, one behind the other.
        lasts: (N,), in; int64. How many times each sequence has.
        lengths: (N,), in; int64. How many labels each text has.
        each: how many places of targets each text has, or -1 where it has as many as labels.
        blank: the class that is no label.
    """
    T, N, C = x.shape
    skips, labels = scratch[part, 0], scratch[part, 1]
    like = zeros(states, 1, 1)
    status[part] = -1
    low, high = share(N, part, parts)
    for n in range(low, high):
        start, count, fits = text_of(n, targets, each, lengths, lasts, T, C)
        out[n] = 0
        if not fits:
            if status[part] < 0:
                status[part] = n
            continue
        places = 2 * count + 1
        length, last = places + BEFORE, lasts[n]
        begin = T * (2 * start + 3 * n)
        end = begin + T * (2 * (count if each < 0 else each) + 3)
        states[begin:end] = -math.inf
        note_skips(skips, targets, start, count, blank)
        for t in range(last):
            note_labels(labels, x, t, n, targets, start, count, blank)
            now = pointer(states, begin + t * length)
            if t == 0:
                for place in range(min(places, 2)):
                    store(forward(now, BEFORE + place), labels[place])
                continue
            before = pointer(states, begin + (t - 1) * length)
            for place in range(0, places, width(like)):
                left = places - place
                jump = read(before, place, like, left, 0) + read(pointer(skips, 0), place, like, left, 0)
                move = read(before, place + 1, like, left, 0)
                stay = read(before, place + 2, like, left, 0)
                found = log_sum(stay, move, jump) + read(pointer(labels, 0), place, like, left, 0)
                write(now, BEFORE + place, found, left)
        total = -math.inf
        if last > 0:
            final = pointer(states, begin + last * length - 2)
            total = load(forward(final, 1))
            if count > 0:
                total = log_add(total, load(final))
        elif count == 0:
            total = 0.0
        out[n] = -total


@njit(cache=True, nogil=True, error_model="numpy")
def ctc_grad(
    out: Array, scratch: Array, g: Array, x: Array, targets: Array, lasts: Array, lengths: Array, states: Array,
    each: int, blank: int, part: int, parts: int,
) -> None:
    """Write the gradient of `ctc` with respect to x: minus g times the probability of being at a label, given the text.

    It is 0 for a text that cannot be aligned. What can come of a place is summed as `states` are, from the end on.

    Args:
        out: (T, N, C), out; float32 or float64. Sequences are shared among the parts.
        scratch: (parts, 4, 2 M + 3), scratch; float64; M as for `ctc`.
        g: (N,), in; like out.
        x: (T, N, C), in; like out.
        targets: as for `ctc`; all numbers fit.
        lasts: as for `ctc`.
        lengths: as for `ctc`.
        states: as `ctc` wrote them.
        each: as for `ctc`.
        blank: as for `ctc`.
    """
    T, N, C = x.shape
    skips, labels, ahead, shares = scratch[part, 0], scratch[part, 1], scratch[part, 2], scratch[part, 3]
    like = zeros(states, 1, 1)
    low, high = share(N, part, parts)
    for n in range(low, high):
        start, count, _ = text_of(n, targets, each, lengths, lasts, T, C)
        out[:, n] = 0
        places, last = 2 * count + 1, lasts[n]
        length, begin = places + BEFORE, T * (2 * start + 3 * n)
        if last == 0:
            continue
        total = states[begin + last * length - 1]
        if count > 0:
            total = log_add(total, states[begin + last * length - 2])
        if total - total != 0.0:
            continue
        weight = -np.float64(g[n])
        note_skips(skips, targets, start, count, blank)
        ahead[: places + BEFORE] = -math.inf
        ahead[places], skips[places] = 0.0, 0.0  # the end comes of the last label, and of the blank behind it
        for step in range(last):
            t = last - 1 - step
            note_labels(labels, x, t, n, targets, start, count, blank)
            now = pointer(states, begin + t * length + BEFORE)
            for place in range(0, places, width(like)):
                left, follow = places - place, pointer(ahead, place)
                jump = read(follow, 2, like, left, 0) + read(pointer(skips, place), 2, like, left, 0)
                coming = log_sum(read(follow, 0, like, left, 0), read(follow, 1, like, left, 0), jump)
                chance = read(now, place, like, left, 0) + coming - total
                write(pointer(shares, place), 0, exp(chance) * weight, left)
                write(follow, 0, coming + read(pointer(labels, place), 0, like, left, 0), left)
            ahead[places] = -math.inf
            row, of_blank = out[t, n], 0.0
            for i in range(count):
                of_blank += shares[2 * i]
                row[targets[start + i]] += shares[2 * i + 1]
            row[blank] += of_blank + shares[2 * count]
