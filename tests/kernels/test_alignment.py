from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from run_parts import junk, run_parts

from autodiff_kernels import alignment

rng = np.random.default_rng(0)


def collapsed(path: Any, blank: int) -> list[int]:
    """Return the text of an alignment: repetitions count once, then blanks are left out."""
    return [c for i, c in enumerate(path) if c != blank and (i == 0 or c != path[i - 1])]


def chances(x: Any, text: list[int], blank: int) -> tuple[float, Any]:
    """Return the probability of a text, and of it with each class at each time, from all alignments."""
    total, each = 0.0, np.zeros(x.shape)
    for path in product(range(x.shape[1]), repeat=len(x)):
        if collapsed(path, blank) == text:
            chance = np.exp(sum(x[t, c] for t, c in enumerate(path)))
            total += chance
            for t, c in enumerate(path):
                each[t, c] += chance
    return total, each


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("padded", [True, False])
def test_against_all_alignments(padded: bool, blank: int, dtype: Any) -> None:
    T, C = 5, 3
    first, second = [c for c in range(C) if c != blank]
    texts = [[first, second], [first, first, second], [], [second], [first] * 4, [second, first]]
    lasts, lengths = np.array([5, 5, 4, 3, 5, 0]), np.array([len(text) for text in texts])
    N, S = len(texts), max(lengths)
    targets = np.zeros((N, S), np.int64)
    for row, text in zip(targets, texts):
        row[:len(text)] = text
    flat = targets.reshape(-1) if padded else np.concatenate(texts).astype(np.int64)
    x, g = rng.uniform(-3, 0, (T, N, C)).astype(dtype), rng.standard_normal(N).astype(dtype)
    width, each = 2 * (S if padded else flat.size) + 3, S if padded else -1
    states = np.zeros(T * (2 * flat.size + 3 * N))
    out, states, status = run_parts(alignment.ctc, (junk((N,), dtype), states), x, flat, lasts, lengths, each, blank,
                                    scratch=np.full((2, width), np.nan), status=True)
    found = run_parts(alignment.ctc_grad, junk(x.shape, dtype), g, x, flat, lasts, lengths, states, each, blank,
                      scratch=np.full((4, width), np.nan))
    assert status == -1
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    for n, text in enumerate(texts):
        total, shares = chances(x[:lasts[n], n].astype(np.float64), text, blank)
        with np.errstate(divide="ignore"):
            np.testing.assert_allclose(out[n], -np.log(total), rtol=tolerance, atol=tolerance)
        expected = np.zeros((T, C))
        if total:
            expected[:lasts[n]] = -g[n] * shares / total
        np.testing.assert_allclose(found[:, n], expected, rtol=tolerance, atol=tolerance)


def test_probabilities_of_nothing_and_of_next_to_nothing() -> None:
    x = np.array([[[-np.inf, 0.0]], [[-5000.0, -9000.0]], [[0.0, -np.inf]]])
    arguments = x, np.array([1]), np.array([3]), np.array([1]), 1, 0
    out, states, _ = run_parts(alignment.ctc, (junk((1,), x.dtype), np.zeros(3 * 5)), *arguments,
                               scratch=np.zeros((2, 5)), status=True)
    np.testing.assert_allclose(out, 5000)
    found = run_parts(alignment.ctc_grad, junk(x.shape, x.dtype), np.ones(1), *arguments[:4], states, 1, 0,
                      scratch=np.zeros((4, 5)))
    np.testing.assert_allclose(found[:, 0], [[0, -1], [-1, 0], [-1, 0]], atol=1e-15)


def test_lengths_whose_sum_wraps_are_reported() -> None:
    x, lengths = np.zeros((4, 3, 3)), np.array([6, 2**63 - 1, 2**63 - 1])
    assert lengths.sum() == 4
    *_, status = run_parts(alignment.ctc, (junk((3,), x.dtype), np.zeros(4 * 17)), x, np.array([1, 1, 2, 1]),
                           np.array([4, 4, 4]), lengths, -1, 0, scratch=np.zeros((2, 11)), status=True)
    assert status == 0


def test_numbers_that_do_not_fit_are_reported() -> None:
    x = np.zeros((4, 2, 3))
    for targets, lasts, lengths, each in (
        ([1, 1, 2, 3], [4, 4], [2, 2], 2), ([1, 1, 2, 1], [4, 5], [2, 2], 2), ([1, 1, 2, 1], [4, 4], [2, 3], 2),
        ([1, 1, 2, 1], [4, 4], [2, -1], 2), ([1, 1, 2, -1], [4, -1], [2, 2], -1),
    ):
        size = len(targets)
        *_, status = run_parts(alignment.ctc, (junk((2,), x.dtype), np.zeros(4 * (2 * size + 6))), x,
                               np.array(targets), np.array(lasts), np.array(lengths), each, 0,
                               scratch=np.zeros((2, 2 * size + 3)), status=True)
        assert status == 1
    *_, status = run_parts(alignment.ctc, (junk((2,), x.dtype), np.zeros(4 * 14)), x, np.array([1, 1, 2, 1]),
                           np.array([4, 4]), np.array([2, 1]), -1, 0, scratch=np.zeros((2, 11)), status=True)
    assert status == 0
