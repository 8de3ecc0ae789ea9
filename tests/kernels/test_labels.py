from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from run_parts import junk, run_parts

from autodiff_kernels import labels

rng = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("N", "C"), [(5, 7), (1, 1), (4, 40), (0, 3)])
def test_against_all_pairs(N: int, C: int, dtype: Any) -> None:
    x, g = rng.standard_normal((N, C)).astype(dtype), rng.standard_normal(N).astype(dtype)
    names = rng.integers(-1, C, (N, C))
    losses, slopes = np.zeros(N), np.zeros((N, C))
    for n in range(N):
        right = list(names[n, : next((i for i in range(C) if names[n, i] < 0), C)])
        for t in right:
            for k in set(range(C)) - set(right):
                short = float(1 - x[n, t] + x[n, k])
                losses[n] += max(short, 0) / C
                slopes[n, k] += (short > 0) / C
                slopes[n, t] -= (short > 0) / C
    scratch = np.zeros((2, C), np.int64)
    out, status = run_parts(labels.multilabel_margin, junk((N,), dtype), x, names, scratch=scratch, status=True)
    assert status == -1
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(out, losses, rtol=tolerance, atol=tolerance)
    out = run_parts(labels.multilabel_margin_grad, junk((N, C), dtype), g, x, names, scratch=scratch)
    np.testing.assert_allclose(out, g[:, None] * slopes, rtol=tolerance, atol=tolerance)


def test_labels_that_are_no_classes_are_reported() -> None:
    x, names = np.zeros((4, 3)), np.full((4, 3), -1)
    names[1, 2] = 9  # behind the end
    names[2:, :2] = [[0, 3], [2, 3]]
    found = run_parts(labels.multilabel_margin, junk((4,), x.dtype), x, names, scratch=np.zeros((2, 3), np.int64),
                      status=True)
    assert found[1] == 7


def test_a_score_that_is_no_number_shows() -> None:
    x, names = np.array([[0.0, np.nan]]), np.array([[0, -1]])
    out, _ = run_parts(labels.multilabel_margin, junk((1,), x.dtype), x, names, scratch=np.zeros((2, 2), np.int64),
                       status=True)
    assert np.isnan(out[0])
