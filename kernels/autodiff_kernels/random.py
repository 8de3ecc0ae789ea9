"""Random numbers by a counter: element i of draw k from a seed is the same in any number of parts.

Philox4x32-10 (Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 3.3) turns a
128-bit counter and a 64-bit key into four words of 32 bits. Here the key is the seed and the counter is (block, draw).
Every kernel takes

    out: 1-D array (out), filled whole.
    seed, draw: int64, any value; the number of a draw should not come twice with one seed.
    what the distribution needs, then part, parts.

Blocks are computed `LANES` at a time, so that the stores of each word stand side by side: element i of `out` comes from
word i // LANES % words of block i // (LANES * words) * LANES + i % LANES, where `words` is how many elements one
block makes: four of 32 random bits or two of 64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from autodiff_kernels.maths import log, root
from autodiff_kernels.memory import apply, forward, load, pointer, stack, store
from autodiff_kernels.parts import share
from autodiff_kernels.trigonometry import turn

Array = np.ndarray[Any, np.dtype[Any]]

LANES = 64
FOUR_LANES, TWO_LANES = 4 * LANES, 2 * LANES

LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)
MULTIPLIER0, MULTIPLIER1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
BUMP0, BUMP1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)

Words = tuple[Any, Any, Any, Any]


@njit(error_model="numpy", forceinline=True)
def philox(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Words:
    """Return the four random words of a counter and a key, all words of 32 bits held in uint64."""
    for _ in range(10):
        product0, product1 = MULTIPLIER0 * c0, MULTIPLIER1 * c2
        c0, c1, c2, c3 = (product1 >> HALF) ^ c1 ^ k0, product1 & LOW, (product0 >> HALF) ^ c3 ^ k1, product0 & LOW
        k0, k1 = (k0 + BUMP0) & LOW, (k1 + BUMP1) & LOW
    return c0, c1, c2, c3


@njit(error_model="numpy", forceinline=True)
def _words(lane: Any, first: Any, seed: Any, draw: Any) -> Words:
    """The random words of block `first + lane` of a draw."""
    block = first + lane
    return philox(block & LOW, block >> HALF, draw & LOW, draw >> HALF, seed & LOW, seed >> HALF)


@njit(error_model="numpy", forceinline=True)
def _pairs(lane: Any, first: Any, seed: Any, draw: Any) -> tuple[Any, Any]:
    """The same as two integers of 64 bits."""
    w0, w1, w2, w3 = _words(lane, first, seed, draw)
    return (w1 << HALF) | w0, (w3 << HALF) | w2


# ---- Filling an array with what a formula makes of each block --------------------------------------------------------
# These are always inlined: where a function remains an argument of another one, Numba does not cache the kernel.


@njit(error_model="numpy")
def _number(lanes: Any) -> None:
    for i in range(LANES):
        store(forward(lanes, i), np.uint64(i))


@njit(error_model="numpy")
def _copy(source: Any, target: Any, count: int) -> None:
    for i in range(count):
        store(forward(target, i), load(forward(source, i)))


@njit(error_model="numpy", forceinline=True)
def _fill_by_four(formula: Any, out: Array, seed: int, draw: int, numbers: Any, part: int, parts: int) -> None:
    """Fill `out` with the four values that `formula(lane, first block, seed, draw, *numbers)` makes of each block."""
    begin, end = share((out.size + FOUR_LANES - 1) // FOUR_LANES, part, parts)
    rest, lanes = stack(out, FOUR_LANES), stack(np.uint64(0), LANES)
    _number(lanes)
    for group in range(begin, end):
        count = min(FOUR_LANES, out.size - FOUR_LANES * group)
        target = pointer(out, FOUR_LANES * group)
        place = target if count == FOUR_LANES else rest
        outputs = (place, forward(place, LANES), forward(place, 2 * LANES), forward(place, 3 * LANES))
        counter = (np.uint64(group * LANES), np.uint64(seed), np.uint64(draw))
        apply(formula, min(LANES, count), outputs, (lanes,), counter + numbers)
        if count < FOUR_LANES:
            _copy(rest, target, count)


@njit(error_model="numpy", forceinline=True)
def _fill_by_two(formula: Any, out: Array, seed: int, draw: int, numbers: Any, part: int, parts: int) -> None:
    """The same for a formula that returns two values."""
    begin, end = share((out.size + TWO_LANES - 1) // TWO_LANES, part, parts)
    rest, lanes = stack(out, TWO_LANES), stack(np.uint64(0), LANES)
    _number(lanes)
    for group in range(begin, end):
        count = min(TWO_LANES, out.size - TWO_LANES * group)
        target = pointer(out, TWO_LANES * group)
        place = target if count == TWO_LANES else rest
        counter = (np.uint64(group * LANES), np.uint64(seed), np.uint64(draw))
        apply(formula, min(LANES, count), (place, forward(place, LANES)), (lanes,), counter + numbers)
        if count < TWO_LANES:
            _copy(rest, target, count)


@intrinsic
def _by_dtype(typing_context: Any, out: Any, single: Any, double: Any) -> Any:
    """_by_dtype(out, single, double): the function for the dtype of `out`, `single` for float32."""
    choice = single if out.dtype == types.float32 else double

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.get_dummy_value()

    return choice(out, single, double), generate


# ---- Distributions ---------------------------------------------------------------------------------------------------


@njit(error_model="numpy", forceinline=True)
def _uniform_single(lane: Any, first: Any, seed: Any, draw: Any) -> Words:
    w0, w1, w2, w3 = _words(lane, first, seed, draw)
    unit, spare = np.float32(2.0**-24), np.uint64(8)
    return (np.float32(np.int32(w0 >> spare)) * unit, np.float32(np.int32(w1 >> spare)) * unit,
            np.float32(np.int32(w2 >> spare)) * unit, np.float32(np.int32(w3 >> spare)) * unit)  # fmt: skip


@njit(error_model="numpy", forceinline=True)
def _unit_double(bits: Any) -> float:
    """The highest 53 of 64 bits as a number in [0, 1)."""
    return np.float64(np.int64(bits >> np.uint64(11))) * 2.0**-53


@njit(error_model="numpy", forceinline=True)
def _uniform_double(lane: Any, first: Any, seed: Any, draw: Any) -> tuple[float, float]:
    x, y = _pairs(lane, first, seed, draw)
    return _unit_double(x), _unit_double(y)


@njit(cache=True, nogil=True, error_model="numpy")
def uniform(out: Array, seed: int, draw: int, part: int, parts: int) -> None:
    """Uniform on [0, 1), a multiple of 2**-24 (float32) or 2**-53 (float64)."""
    fill = _by_dtype(out, _fill_by_four, _fill_by_two)
    fill(_by_dtype(out, _uniform_single, _uniform_double), out, seed, draw, (), part, parts)


@njit(error_model="numpy", forceinline=True)
def _normal_pair(u: float, v: float) -> tuple[float, float]:
    """Box & Muller 1958: two independent normal numbers from a u in (0, 1] and a v in [0, 1]."""
    radius = root(type(u)(-2) * log(u))
    x, y = turn(v)
    return radius * x, radius * y


@njit(error_model="numpy", forceinline=True)
def _unit_single(word: Any) -> Any:
    """All 32 bits, rounded to float32, as a number in [0, 1]."""
    return np.float32(np.int64(word)) * np.float32(2.0**-32)


@njit(error_model="numpy", forceinline=True)
def _normal_single(lane: Any, first: Any, seed: Any, draw: Any) -> Words:
    """With u from 32 bits the numbers reach to 6.7."""
    w0, w1, w2, w3 = _words(lane, first, seed, draw)
    x0, y0 = _normal_pair(_unit_single(w0) + np.float32(2.0**-33), _unit_single(w1))
    x1, y1 = _normal_pair(_unit_single(w2) + np.float32(2.0**-33), _unit_single(w3))
    return x0, y0, x1, y1


@njit(error_model="numpy", forceinline=True)
def _normal_double(lane: Any, first: Any, seed: Any, draw: Any) -> tuple[float, float]:
    x, y = _pairs(lane, first, seed, draw)
    return _normal_pair(1 - _unit_double(x), _unit_double(y))


@njit(cache=True, nogil=True, error_model="numpy")
def normal(out: Array, seed: int, draw: int, part: int, parts: int) -> None:
    """Normal with mean 0 and deviation 1, float32 or float64: sqrt(-2 log u) times cosine and sine of 2 pi v."""
    fill = _by_dtype(out, _fill_by_four, _fill_by_two)
    fill(_by_dtype(out, _normal_single, _normal_double), out, seed, draw, (), part, parts)


@njit(error_model="numpy", forceinline=True)
def _bernoulli(lane: Any, first: Any, seed: Any, draw: Any, threshold: Any, value: Any) -> Words:
    w0, w1, w2, w3 = _words(lane, first, seed, draw)
    zero = value - value
    return (value if w0 < threshold else zero, value if w1 < threshold else zero,
            value if w2 < threshold else zero, value if w3 < threshold else zero)  # fmt: skip


@njit(error_model="numpy", forceinline=True)
def _threshold(probability: float) -> Any:
    """The number that 32 random bits stay below with the probability."""
    return np.uint64(np.int64(probability * 2.0**32))


@njit(cache=True, nogil=True, error_model="numpy")
def bernoulli(out: Array, seed: int, draw: int, probability: float, value: float, part: int, parts: int) -> None:
    """`value` with the probability (0 to 1, in steps of 2**-32), else 0; `out` of any dtype, the same draws in each.

    For dropout, `value` is 1 / probability.
    """
    _fill_by_four(_bernoulli, out, seed, draw, (_threshold(probability), np.float64(value)), part, parts)


@njit(error_model="numpy")
def bernoulli_group(target: Any, lanes: Any, group: int, seed: int, draw: int, probability: float, value: Any) -> None:
    """Write elements group * FOUR_LANES and on, FOUR_LANES of them, of what `bernoulli` fills an array with.

    For kernels that use a draw without having it in memory. `lanes` has space for LANES uint64.
    """
    _number(lanes)
    outputs = (target, forward(target, LANES), forward(target, 2 * LANES), forward(target, 3 * LANES))
    counter = (np.uint64(group * LANES), np.uint64(seed), np.uint64(draw))
    apply(_bernoulli, LANES, outputs, (lanes,), (*counter, _threshold(probability), value))


@njit(error_model="numpy", forceinline=True)
def _scaled(bits: Any, span: Any, low: Any) -> Any:
    """low + (bits * span) // 2**64, the product of 128 bits from four of 64 (Knuth, TAOCP 2, section 4.3.1)."""
    b0, b1, s0, s1 = bits & LOW, bits >> HALF, span & LOW, span >> HALF
    middle = b1 * s0 + (b0 * s0 >> HALF)
    return np.int64(low + b1 * s1 + (middle >> HALF) + (b0 * s1 + (middle & LOW) >> HALF))


@njit(error_model="numpy", forceinline=True)
def _integers(lane: Any, first: Any, seed: Any, draw: Any, low: Any, span: Any) -> tuple[int, int]:
    x, y = _pairs(lane, first, seed, draw)
    return _scaled(x, span, low), _scaled(y, span, low)


@njit(cache=True, nogil=True, error_model="numpy")
def integers(out: Array, seed: int, draw: int, low: int, high: int, part: int, parts: int) -> None:
    """Integers from low, ..., high - 1, int64 (cast to the dtype of `out`), low < high.

    By multiplying 64 random bits with high - low and keeping the upper half: no value's probability is off by more
    than 2**-64 (Lemire 2019, "Fast random integer generation in an interval", without the rejection).
    """
    span = np.uint64(high) - np.uint64(low)
    _fill_by_two(_integers, out, seed, draw, (np.uint64(low), span), part, parts)


@njit(error_model="numpy", forceinline=True)
def _bits(lane: Any, first: Any, seed: Any, draw: Any) -> tuple[Any, Any]:
    x, y = _pairs(lane, first, seed, draw)
    return np.int64(x), np.int64(y)


@njit(cache=True, nogil=True, error_model="numpy")
def bits(out: Array, seed: int, draw: int, part: int, parts: int) -> None:
    """64 random bits, int64."""
    _fill_by_two(_bits, out, seed, draw, (), part, parts)


@njit(error_model="numpy", forceinline=True)
def _places(lane: Any, first: Any, seed: Any, draw: Any) -> tuple[int, int]:
    """For two elements i of a block, integers from 0, ..., i."""
    x, y = _pairs(lane, first, seed, draw)
    i = first + first + lane
    return (_scaled(x, i + np.uint64(1), np.uint64(0)),
            _scaled(y, i + np.uint64(LANES + 1), np.uint64(0)))  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy")
def permutation(out: Array, seed: int, draw: int, part: int, parts: int) -> None:
    """The numbers 0, ..., n - 1 in random order, int64.

    One after the other takes the place of one that stands there already, which moves to the end, or the end itself:
    Fisher and Yates' shuffle (Durstenfeld 1964, "Algorithm 235: Random permutation") without an array to begin with.
    The place of element i is made as `integers` makes element i from 0 to i. Each depends on all before it, so one
    part does it.
    """
    begin, end = share(1, part, parts)
    if begin == end:
        return
    places, lanes, numbers = stack(out, TWO_LANES), stack(np.uint64(0), LANES), pointer(out, 0)
    _number(lanes)
    for start in range(0, out.size, TWO_LANES):
        counter = (np.uint64(start // 2), np.uint64(seed), np.uint64(draw))
        apply(_places, LANES, (places, forward(places, LANES)), (lanes,), counter)
        for i in range(start, min(start + TWO_LANES, out.size)):
            chosen = forward(numbers, load(forward(places, i - start)))
            store(forward(numbers, i), load(chosen))
            store(chosen, i)
