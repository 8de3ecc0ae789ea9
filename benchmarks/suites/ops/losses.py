"""Losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.suites.ops.table import MATRIX, ROWS, Shapes, constant, entries, reals, signs, whole

X = reals(MATRIX)
TARGET = constant(X)
PROBABILITY, TARGET_PROBABILITY = reals(MATRIX, 0.02, 0.98), constant(reals(MATRIX, 0.02, 0.98))
CLASSES = whole(ROWS, (32, 320, 2000))
SEVERAL: Shapes = ((8, 10), (64, 40), (256, 100))
SPEECH: Shapes = ((20, 4, 11), (50, 16, 21), (200, 32, 61))  # length, batch, classes
TEXTS: Shapes = ((4, 5), (16, 10), (32, 40))


def aligned(ctc_loss: Callable[..., Any], x: Any, texts: Any) -> Any:
    """Return the loss of scores and texts; class 0 is the blank."""
    length, batch, _ = x.shape
    return ctc_loss(x.log_softmax(2), texts + 1, (length,) * batch, (texts.shape[1],) * batch)


ENTRIES = [
    *entries("mse_loss l1_loss smooth_l1_loss huber_loss", X, TARGET),
    *entries("poisson_nll_loss", X, constant(reals(MATRIX, 0.0, 5.0))),
    *entries("gaussian_nll_loss", X, TARGET, reals(MATRIX, 0.5, 2.0)),
    *entries("kl_div", reals(MATRIX, -5.0, -0.1), TARGET_PROBABILITY, reduction="batchmean"),
    *entries("cross_entropy nll_loss multi_margin_loss", X, CLASSES),
    *entries("multilabel_margin_loss", reals(SEVERAL), whole(SEVERAL, (10, 40, 100))),
    *entries("binary_cross_entropy", PROBABILITY, TARGET_PROBABILITY),
    *entries("binary_cross_entropy_with_logits multilabel_soft_margin_loss", X, TARGET_PROBABILITY),
    *entries("soft_margin_loss hinge_embedding_loss", X, signs(MATRIX)),
    *entries("margin_ranking_loss", X, X, signs(MATRIX)),
    *entries("cosine_embedding_loss", X, X, signs(ROWS)),
    *entries("triplet_margin_loss triplet_margin_with_distance_loss", X, X, X),
    # PyTorch sums alignments in float32: its gradient is 5e-4 off in the largest case.
    *entries("ctc_loss", reals(SPEECH), whole(TEXTS, (10, 20, 60)), call=aligned, tolerance=2e-3),
]
