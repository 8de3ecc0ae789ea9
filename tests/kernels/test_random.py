"""Random kernels: published answers of Philox, the same numbers in any parts, and the distributions' moments."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numba import njit

from autodiff_kernels import random

Array = np.ndarray[Any, np.dtype[Any]]

# name, dtype, arguments between `draw` and `part`
KERNELS: list[tuple[str, Any, tuple[Any, ...]]] = [
    ("uniform", np.float32, ()), ("uniform", np.float64, ()), ("normal", np.float32, ()), ("normal", np.float64, ()),
    ("bernoulli", np.float32, (0.3, 2.5)), ("bernoulli", np.float64, (0.3, 2.5)), ("bernoulli", np.bool_, (0.3, 1.0)),
    ("integers", np.int64, (-3, 9)), ("bits", np.int64, ()),
]  # fmt: skip
IDS = [f"{name}-{np.dtype(dtype)}" for name, dtype, _ in KERNELS]


def draw(
    name: str, dtype: Any, extra: tuple[Any, ...], count: int, seed: int = 7, number: int = 3, parts: int = 1
) -> Array:
    out = np.ones(count, dtype)
    for part in range(parts):
        getattr(random, name)(out, seed, number, *extra, part, parts)
    return out


@njit
def philox(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Any:
    return random.philox(c0, c1, c2, c3, k0, k1)


def test_philox_gives_the_published_answers() -> None:
    """The vectors `philox4x32 10` of the file `kat_vectors` of Random123, the authors' library."""
    ones = 0xFFFFFFFF
    known = [
        ((0, 0, 0, 0, 0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((ones, ones, ones, ones, ones, ones), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0),
         (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
    ]  # fmt: skip
    for counter_and_key, words in known:
        assert philox(*(np.uint64(word) for word in counter_and_key)) == words


def test_bits_are_the_words_of_philox() -> None:
    seed, number = 0x0123456789ABCDEF, 0x1122334455667788
    got = draw("bits", np.int64, (), 300, seed, number).view(np.uint64)
    for i in (0, 63, 64, 128, 191, 192, 299):
        block = i // 128 * 64 + i % 64
        low = np.uint64(0xFFFFFFFF)
        key = (np.uint64(seed) & low, np.uint64(seed) >> np.uint64(32))
        counter = (np.uint64(block), np.uint64(0), np.uint64(number) & low, np.uint64(number) >> np.uint64(32))
        words = philox(*counter, *key)
        w = words[:2] if i // 64 % 2 == 0 else words[2:]
        assert int(got[i]) == w[0] | w[1] << 32


@pytest.mark.parametrize(("name", "dtype", "extra"), KERNELS, ids=IDS)
def test_same_numbers_in_any_parts_and_any_length(name: str, dtype: Any, extra: tuple[Any, ...]) -> None:
    whole = draw(name, dtype, extra, 1500)
    for parts in (2, 3, 7, 40):
        assert draw(name, dtype, extra, 1500, parts=parts).tobytes() == whole.tobytes()
    for count in (0, 1, 10, 64, 127, 256, 300):
        assert draw(name, dtype, extra, count).tobytes() == whole[:count].tobytes()


@pytest.mark.parametrize(("name", "dtype", "extra"), KERNELS, ids=IDS)
def test_seeds_and_draws_differ(name: str, dtype: Any, extra: tuple[Any, ...]) -> None:
    keys = ((0, 0), (0, 1), (1, 0), (1, 1), (2**40, 0), (-1, 0))
    draws = [draw(name, dtype, extra, 200, *key).tobytes() for key in keys]
    assert len(set(draws)) == len(draws)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_uniform(dtype: Any) -> None:
    x = draw("uniform", dtype, (), 100_000)
    assert 0 <= x.min() < 1e-4
    assert 1 - 1e-4 < x.max() < 1
    assert abs(x.mean(dtype=np.float64) - 0.5) < 0.005
    assert abs(x.var(dtype=np.float64) - 1 / 12) < 0.002
    counts = np.histogram(x, 50, (0, 1))[0]
    assert ((counts - 2000) ** 2 / 2000).sum() < 100  # chi-squared with 49 degrees of freedom
    assert abs(np.corrcoef(x[:-1], x[1:])[0, 1]) < 0.015
    steps = x * (2**24 if dtype == np.float32 else 2**53)
    np.testing.assert_array_equal(steps, np.floor(steps))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normal(dtype: Any) -> None:
    x = draw("normal", dtype, (), 200_000).astype(np.float64)
    assert np.isfinite(x).all()
    for moment, want, tolerance in ((1, 0, 0.01), (2, 1, 0.02), (3, 0, 0.05), (4, 3, 0.12)):
        assert abs((x**moment).mean() - want) < tolerance
    edges = np.linspace(-3, 3, 31)
    cdf = np.array([0.5 * (1 + math.erf(edge / math.sqrt(2))) for edge in edges])
    want_counts = 200_000 * np.diff(cdf)
    assert ((np.histogram(x, edges)[0] - want_counts) ** 2 / want_counts).sum() < 75
    for lag in (1, 16, 64, 128):
        assert abs(np.corrcoef(x[:-lag], x[lag:])[0, 1]) < 0.01


def test_normal_follows_box_and_muller() -> None:
    words = draw("bits", np.int64, (), 128).view(np.uint64)
    u, v = 1 - (words[:64] >> np.uint64(11)) * 2.0**-53, (words[64:] >> np.uint64(11)) * 2.0**-53
    radius = np.sqrt(-2 * np.log(u))
    want = np.concatenate([radius * np.cos(2 * np.pi * v), radius * np.sin(2 * np.pi * v)])
    np.testing.assert_allclose(draw("normal", np.float64, (), 128), want, rtol=1e-12, atol=1e-14)


def test_bernoulli() -> None:
    for p in (0.0, 0.1, 0.5, 0.9, 1.0):
        x = draw("bernoulli", np.float32, (p, 4.0), 50_000)
        assert set(np.unique(x)) <= {0.0, 4.0}
        assert abs((x != 0).mean() - p) <= 0.01 * (0 < p < 1)
    masks = [draw("bernoulli", dtype, (0.3, 1.0), 500) for dtype in (np.bool_, np.float32, np.float64)]
    np.testing.assert_array_equal(masks[0], masks[1])
    np.testing.assert_array_equal(masks[0], masks[2])


def test_integers() -> None:
    counts = np.bincount(draw("integers", np.int64, (-2, 5), 70_000) + 2)
    assert counts.shape == (7,)
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 25
    words = draw("bits", np.int64, (), 500).view(np.uint64)
    for low, high in ((0, 1), (-(2**63), 2**63 - 1), (5, 2**40), (-(2**62), 2**62), (-1, 2**33 + 7)):
        want = [low + (int(word) * (high - low) >> 64) for word in words]
        np.testing.assert_array_equal(draw("integers", np.int64, (low, high), 500), want)


def test_permutations() -> None:
    for count in (0, 1, 127, 128, 1000):
        order = draw("permutation", np.int64, (), count)
        np.testing.assert_array_equal(np.sort(order), np.arange(count))
        np.testing.assert_array_equal(order, draw("permutation", np.int64, (), count, parts=3))
    found = [tuple(draw("permutation", np.int64, (), 4, number=k)) for k in range(2400)]
    counts = np.array([found.count(order) for order in sorted(set(found))])
    assert len(counts) == 24
    assert ((counts - 100) ** 2 / 100).sum() < 54  # chi-squared of 23 degrees of freedom: one in 4000 is above
    last = np.bincount([draw("permutation", np.int64, (), 300, number=k)[-1] for k in range(3000)], minlength=300)
    assert ((last - 10) ** 2 / 10).sum() < 390
