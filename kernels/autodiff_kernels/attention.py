"""Attention, softmax(scale q k' + mask) v, forward and backward, without the matrix of all scores in memory.

A block of targets meets the sources block by block. The softmax is worked out as the blocks come: a running maximum and
sum for each target, and a rescaling of what has been added where the maximum rises (Milakov and Gimelshein, Online
normalizer calculation for softmax, 2018; Dao et al., FlashAttention, 2022). The way back makes the weights again from
the logarithm of each target's sum. Blocks have fixed sizes, so the order of every sum depends on the shape alone.
Dropout multiplies the weights by the draw that `random.bernoulli` fills an array of all weights with; both ways make
the numbers of a block when it comes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from autodiff_kernels.cpu import VECTOR_BYTES
from autodiff_kernels.lanes import TILE_VECTORS, address, address_at, row_dot, row_maximum
from autodiff_kernels.maths import exp
from autodiff_kernels.matmul import multiply_panels, pack_panels, panel_size
from autodiff_kernels.memory import apply, forward, pointer, stack
from autodiff_kernels.parts import share
from autodiff_kernels.random import FOUR_LANES, LANES, bernoulli_group

Array = np.ndarray[Any, np.dtype[Any]]

TARGETS = 96  # of a block
SOURCES = 256  # of a block
UNITS = 4  # into which the work of fewer matrices is divided on the way back
LINE = 64  # bytes between the rows of a block, beside the row: so that rows do not share a place in the cache


def _panels(depth: int, columns: int, itemsize: int) -> int:
    lanes = VECTOR_BYTES // itemsize
    width = TILE_VECTORS * lanes
    return (columns + width - 1) // width * width * (depth + -depth % lanes)


def forward_scratch(sources: int, features: int, columns: int, itemsize: int, parts: int) -> int:
    """Return how many elements of scratch `attention` needs; (sources, features) keys, (sources, columns) values.

    >>> from autodiff_kernels.attention import forward_scratch
    >>> forward_scratch(sources=64, features=32, columns=32, itemsize=4, parts=2) < 100000
    True
    """
    rows = TARGETS * (features + SOURCES + 2 * (LINE // itemsize) + 2)
    return parts * (rows + _panels(features, sources, itemsize) + _panels(sources, columns, itemsize))


def gradient_scratch(sources: int, features: int, columns: int, itemsize: int, parts: int) -> int:
    """Return how many elements of scratch `attention_grad` needs.

    >>> from autodiff_kernels.attention import gradient_scratch
    >>> gradient_scratch(sources=64, features=32, columns=32, itemsize=4, parts=1) < 120000
    True
    """
    rows = TARGETS * (features + columns + 2 * SOURCES + 4 * (LINE // itemsize) + 1)
    return parts * (rows + _panels(features, sources, itemsize) + _panels(columns, sources, itemsize)
                    + _panels(sources, features, itemsize))


def chunks_of(matrices: int, targets: int) -> int:
    """Return into how many chunks `attention_grad` divides the targets of a matrix; the shape alone decides.

    >>> from autodiff_kernels.attention import chunks_of
    >>> chunks_of(matrices=1, targets=1000), chunks_of(matrices=12, targets=1000), chunks_of(matrices=1, targets=50)
    (4, 1, 1)
    """
    return max(min(-(-UNITS // max(matrices, 1)), -(-targets // TARGETS)), 1)


@njit(error_model="numpy", forceinline=True)
def _times(x: float, factor: float) -> float:
    return x * factor


@njit(error_model="numpy", forceinline=True)
def _plus(x: float, y: float) -> float:
    return x + y


@njit(error_model="numpy", forceinline=True)
def _power(x: float, shift: float) -> float:
    return exp(x - shift)


@njit(error_model="numpy", forceinline=True)
def _score_gradient(p: float, g: float, mean: float) -> float:
    return p * (g - mean)


@njit(error_model="numpy", forceinline=True)
def _product(x: float, y: float) -> float:
    return x * y


@njit(error_model="numpy", forceinline=True)
def _dropped_gradients(p: float, g: float, factor: float, mean: float) -> tuple[float, float]:
    """Return the weight after dropout and the gradient of the score."""
    return p * factor, p * (g * factor - mean)


@njit(error_model="numpy", forceinline=True)
def _constant(x: float, value: float) -> float:
    return value


@njit(error_model="numpy")
def _matrix_size(like: Array, depth: int, columns: int) -> int:
    width = TILE_VECTORS * (VECTOR_BYTES // like.itemsize)
    return (columns + width - 1) // width * panel_size(like, depth)


@njit(error_model="numpy")
def _scores(like: Array, scores: int, row: int, targets: int, target_row: int, count: int, keys: int, features: int,
            begin: int, wide: int) -> None:
    """Write the scores of `count` targets and `wide` sources from `begin` on; `keys` are packed; strides in bytes."""
    size = like.itemsize
    each = panel_size(like, features) * size
    width = TILE_VECTORS * VECTOR_BYTES
    multiply_panels(like, scores, row, targets, target_row, size, count, keys + begin * size // width * each, width,
                    each, features, wide, 0, 0)


@njit(error_model="numpy", forceinline=True)
def _overlap(group: int, origin: int, count: int) -> tuple[int, int]:
    """Return which of the `count` weights from number `origin` on have their factors in a group, first and behind."""
    return max(group * FOUR_LANES - origin, 0), min((group + 1) * FOUR_LANES - origin, count)


@njit(cache=True, nogil=True, error_model="numpy")
def attention(out: Array, logs: Array, scratch: Array, q: Array, k: Array, v: Array, mask: Array, outer: int,
              inner: int, targets: int, sources: int, features: int, columns: int, scale: float, causal: int,
              q_outer: int, q_inner: int, q_row: int, k_outer: int, k_inner: int, k_row: int,
              v_outer: int, v_inner: int, v_row: int, mask_outer: int, mask_inner: int, mask_row: int,
              seed: int, draw: int, kept: float, part: int, parts: int) -> None:
    """out[b] = (softmax(scale q[b] k[b]' + mask[b]) * factors[b]) v[b] for each b = (i, j), i < outer, j < inner.

    A target whose mask is -inf throughout gives zeros. Shares are blocks of targets.

    Args:
        out: (outer, inner, targets, columns), out; float32 or float64.
        logs: (outer inner targets,), out; like out: logarithm of the sum of the exponentials of the scores; +inf for a
            target that attends to nothing.
        scratch: `forward_scratch` elements; like out.
        q: in; like out, of which only the address of the first element is used: row i of matrix (p, q) begins
            ``p * q_outer + q * q_inner + i * q_row`` elements further, and its `features` elements are neighbours.
        k: in, `sources` rows of `features`, likewise.
        v: in, `sources` rows of `columns`, likewise.
        mask: in, `targets` rows of `sources` to add to the scores, likewise; of length 0 for none.
        scale: factor of the scores.
        causal: 1 to let target i attend to sources 0 to i alone.
        seed, draw: of the factors (outer, inner, targets, sources), as `bernoulli` draws them: dropout's.
        kept: probability of a factor 1 / kept instead of 0; with 1 nothing is drawn.
    """
    size = out.itemsize
    kind = out.dtype.type
    factor, lowest, masked = kind(scale), kind(-math.inf), mask.shape[0] > 0
    feature_row, score_row = features * size + LINE, SOURCES * size + LINE
    own = _matrix_size(out, features, sources) + _matrix_size(out, sources, columns) + TARGETS * (
        features + SOURCES + 2 * (LINE // size) + 2)
    first = part * own
    query = address(scratch) + first * size
    scores = query + TARGETS * feature_row
    top, sums = first + TARGETS * (features + SOURCES + 2 * (LINE // size)), 0
    sums = top + TARGETS
    keys = address(scratch) + (sums + TARGETS) * size
    values = keys + _matrix_size(out, features, sources) * size
    dropping, inverse, held = kept < 1, kind(0) if kept == 0 else kind(1 / kept), -1
    factors, lanes = stack(out, FOUR_LANES), stack(np.uint64(0), LANES)
    one = stack(out, SOURCES)
    apply(_constant, SOURCES, (one,), (one,), (kind(1),))
    blocks = (targets + TARGETS - 1) // TARGETS
    lo, hi = share(outer * inner * blocks, part, parts)
    packed = -1
    for unit in range(lo, hi):
        matrix = unit // blocks
        p, r = matrix // inner, matrix % inner
        if matrix != packed:
            packed = matrix
            key = address(k) + (p * k_outer + r * k_inner) * size
            value = address(v) + (p * v_outer + r * v_inner) * size
            pack_panels(out, keys, key, size, k_row * size, features, sources)
            pack_panels(out, values, value, v_row * size, size, sources, columns)
        begin = unit % blocks * TARGETS
        count = min(TARGETS, targets - begin)
        goal = address(out) + (matrix * targets + begin) * columns * size
        for i in range(count):
            apply(_times, features, (pointer(scratch, first + i * (feature_row // size)),),
                  (pointer(q, p * q_outer + r * q_inner + (begin + i) * q_row),), (factor,))
            scratch[top + i], scratch[sums + i] = lowest, kind(0)
        last = min(sources, begin + count) if causal else sources
        for start in range(0, last, SOURCES):
            wide = min(SOURCES, last - start)
            _scores(out, scores, score_row, query, feature_row, count, keys, features, start, wide)
            for i in range(count):
                place = first + TARGETS * (feature_row // size) + i * (score_row // size)
                row, at = pointer(scratch, place), scores + i * score_row
                seen = min(wide, max(begin + i + 1 - start, 0)) if causal else wide
                if masked:
                    apply(_plus, seen, (row,),
                          (row, pointer(mask, p * mask_outer + r * mask_inner + (begin + i) * mask_row + start)), ())
                before = scratch[top + i]
                highest = max(before, row_maximum(out, at, at, seen))
                if seen < wide:
                    rest = forward(row, seen)
                    apply(_constant, wide - seen, (rest,), (rest,), (kind(0),))
                if highest == lowest and (masked or seen == 0):
                    apply(_constant, seen, (row,), (row,), (kind(0),))
                    continue
                apply(_power, seen, (row,), (row,), (highest,))
                shrink = exp(before - highest)
                scratch[top + i] = highest
                scratch[sums + i] = scratch[sums + i] * shrink + row_dot(out, at, address_at(one), seen)
                if dropping:
                    origin = (matrix * targets + begin + i) * sources + start
                    for group in range(origin // FOUR_LANES, (origin + seen - 1) // FOUR_LANES + 1):
                        if group != held:  # rows shorter than a group share it
                            bernoulli_group(factors, lanes, group, seed, draw, kept, inverse)
                            held = group
                        near, far = _overlap(group, origin, seen)
                        weights = forward(row, near)
                        apply(_product, far - near, (weights,),
                              (weights, forward(factors, origin + near - group * FOUR_LANES)), ())
                if start > 0 and shrink != kind(1):
                    result = pointer(out, (matrix * targets + begin + i) * columns)
                    apply(_times, columns, (result,), (result,), (shrink,))
            width = TILE_VECTORS * VECTOR_BYTES
            multiply_panels(out, goal, columns * size, scores, score_row, size, count, values + start * width, width,
                            panel_size(out, sources) * size, wide, columns, 0, start)
        for i in range(count):
            total, result = scratch[sums + i], pointer(out, (matrix * targets + begin + i) * columns)
            nothing = total == kind(0)
            apply(_times, columns, (result,), (result,), (kind(1) if nothing else kind(1) / total,))
            logs[matrix * targets + begin + i] = kind(math.inf) if nothing else scratch[top + i] + math.log(total)


@njit(cache=True, nogil=True, error_model="numpy")
def attention_grad(d_q: Array, d_k: Array, d_v: Array, scratch: Array, partial: Array, g: Array, q: Array, k: Array,
                   v: Array, mask: Array, out: Array, logs: Array, outer: int, inner: int, targets: int, sources: int,
                   features: int, columns: int, scale: float, causal: int,
                   q_outer: int, q_inner: int, q_row: int, k_outer: int, k_inner: int, k_row: int,
                   v_outer: int, v_inner: int, v_row: int, mask_outer: int, mask_inner: int, mask_row: int,
                   seed: int, draw: int, kept: float, chunks: int, part: int, parts: int) -> None:
    """Write the gradients of `attention`: d_q = scale D k, d_k = scale D' q, d_v = (P * F)' g.

    P are the weights, F dropout's factors, and D = P * (F * (g v') - the sum of g * out over the columns): that sum is
    the one of P * F * (g v') over the sources. Shares are chunks of matrices: every `chunks`-th block of targets, so
    that also causal ones are alike. A chunk has its own sums over the targets, which `attention_grad_sum` adds up.

    Args:
        d_q: (outer, inner, targets, features), out; float32 or float64.
        d_k: (outer, inner, sources, features), out; like d_q.
        d_v: (outer, inner, sources, columns), out; like d_q.
        scratch: `gradient_scratch` elements; like d_q.
        partial: (outer inner, chunks - 1, sources, features + columns), out; like d_q: d_k, then d_v, of the chunks
            behind the first, whose sums are in d_k and d_v themselves.
        g: (outer, inner, targets, columns), in; the gradient with respect to the output; like d_q.
        q, k, v, mask, scale, causal, seed, draw, kept: in, as for `attention`.
        out, logs: in, as `attention` leaves them.
        chunks: from `chunks_of`.
    """
    size = out.itemsize
    kind = out.dtype.type
    factor, masked = kind(scale), mask.shape[0] > 0
    line = LINE // size
    feature_row, column_row, score_row = features + line, columns + line, SOURCES + line
    turned, value_size, straight = (_matrix_size(out, features, sources), _matrix_size(out, columns, sources),
                                    _matrix_size(out, sources, features))
    own = TARGETS * (features + columns + 2 * SOURCES + 4 * line + 1) + turned + value_size + straight
    query = part * own
    upper = query + TARGETS * feature_row
    weights = upper + TARGETS * column_row
    slopes = weights + TARGETS * score_row
    means = slopes + TARGETS * score_row
    base = address(scratch)
    keys = base + (means + TARGETS) * size
    values = keys + turned * size
    rows = values + value_size * size
    width = TILE_VECTORS * VECTOR_BYTES
    dropping, inverse, held = kept < 1, kind(0) if kept == 0 else kind(1 / kept), -1
    factors, lanes = stack(out, FOUR_LANES), stack(np.uint64(0), LANES)
    lo, hi = share(outer * inner * chunks, part, parts)
    packed = -1
    for unit in range(lo, hi):
        matrix, chunk = unit // chunks, unit % chunks
        p, r = matrix // inner, matrix % inner
        if matrix != packed:
            packed = matrix
            key = address(k) + (p * k_outer + r * k_inner) * size
            value = address(v) + (p * v_outer + r * v_inner) * size
            pack_panels(out, keys, key, size, k_row * size, features, sources)
            pack_panels(out, rows, key, k_row * size, size, sources, features)
            pack_panels(out, values, value, size, v_row * size, columns, sources)
        key_sums = pointer(d_k, matrix * sources * features)
        value_sums = pointer(d_v, matrix * sources * columns)
        if chunk > 0:
            key_sums = pointer(partial, (matrix * (chunks - 1) + chunk - 1) * sources * (features + columns))
            value_sums = forward(key_sums, sources * features)
        apply(_constant, sources * features, (key_sums,), (key_sums,), (kind(0),))
        apply(_constant, sources * columns, (value_sums,), (value_sums,), (kind(0),))
        for begin in range(chunk * TARGETS, targets, chunks * TARGETS):
            count = min(TARGETS, targets - begin)
            for i in range(count):
                own_row = (matrix * targets + begin + i) * columns
                apply(_times, features, (pointer(scratch, query + i * feature_row),),
                      (pointer(q, p * q_outer + r * q_inner + (begin + i) * q_row),), (factor,))
                apply(_times, columns, (pointer(scratch, upper + i * column_row),), (pointer(g, own_row),), (kind(1),))
                scratch[means + i] = row_dot(out, address(g) + own_row * size, address(out) + own_row * size, columns)
            goal = address(d_q) + (matrix * targets + begin) * features * size
            last = min(sources, begin + count) if causal else sources
            for start in range(0, last, SOURCES):
                wide = min(SOURCES, last - start)
                _scores(out, base + weights * size, score_row * size, base + query * size, feature_row * size, count,
                        keys, features, start, wide)
                _scores(out, base + slopes * size, score_row * size, base + upper * size, column_row * size, count,
                        values, columns, start, wide)
                for i in range(count):
                    row, slope = pointer(scratch, weights + i * score_row), pointer(scratch, slopes + i * score_row)
                    seen = min(wide, max(begin + i + 1 - start, 0)) if causal else wide
                    if masked:
                        added = p * mask_outer + r * mask_inner + (begin + i) * mask_row + start
                        apply(_plus, seen, (row,), (row, pointer(mask, added)), ())
                    apply(_power, seen, (row,), (row,), (logs[matrix * targets + begin + i],))
                    if dropping:
                        origin = (matrix * targets + begin + i) * sources + start
                        for group in range(origin // FOUR_LANES, (origin + seen - 1) // FOUR_LANES + 1):
                            if group != held:
                                bernoulli_group(factors, lanes, group, seed, draw, kept, inverse)
                                held = group
                            near, far = _overlap(group, origin, seen)
                            both = (forward(row, near), forward(slope, near))
                            drawn = forward(factors, origin + near - group * FOUR_LANES)
                            apply(_dropped_gradients, far - near, both, (*both, drawn), (scratch[means + i],))
                    else:
                        apply(_score_gradient, seen, (slope,), (row, slope), (scratch[means + i],))
                    if seen < wide:
                        for rest in (forward(row, seen), forward(slope, seen)):
                            apply(_constant, wide - seen, (rest,), (rest,), (kind(0),))
                multiply_panels(out, address_at(value_sums) + start * columns * size, columns * size,
                                base + weights * size, size, score_row * size, wide, base + upper * size,
                                column_row * size, width, count, columns, 0, 1)
                multiply_panels(out, address_at(key_sums) + start * features * size, features * size,
                                base + slopes * size, size, score_row * size, wide, base + query * size,
                                feature_row * size, width, count, features, 0, 1)
                multiply_panels(out, goal, features * size, base + slopes * size, score_row * size, size, count,
                                rows + start * width, width, panel_size(out, sources) * size, wide, features, 0, start)
            for i in range(count):
                result = pointer(d_q, (matrix * targets + begin + i) * features)
                apply(_times, features, (result,), (result,), (factor,))


@njit(error_model="numpy", forceinline=True)
def _add_chunks(out: Any, partial: Any, first: int, chunks: int, step: int, begin: int, end: int) -> None:
    for chunk in range(chunks - 1):
        target = forward(out, begin)
        apply(_plus, end - begin, (target,), (target, pointer(partial, first + chunk * step + begin)), ())


@njit(cache=True, nogil=True, error_model="numpy")
def attention_grad_sum(d_k: Array, d_v: Array, partial: Array, matrices: int, sources: int, features: int, columns: int,
                       chunks: int, part: int, parts: int) -> None:
    """Add the sums of the chunks that `attention_grad` left in `partial` to d_k and d_v. Sources are shared.

    Args:
        d_k: (matrices, sources, features), in/out; float32 or float64.
        d_v: (matrices, sources, columns), in/out; like d_k.
        partial: (matrices, chunks - 1, sources, features + columns), in; like d_k.
    """
    step = sources * (features + columns)
    lo, hi = share(sources, part, parts)
    for matrix in range(matrices):
        first = matrix * (chunks - 1) * step
        _add_chunks(pointer(d_k, matrix * sources * features), partial, first, chunks, step, lo * features,
                    hi * features)
        _add_chunks(pointer(d_v, matrix * sources * columns), partial, first + sources * features, chunks, step,
                    lo * columns, hi * columns)
