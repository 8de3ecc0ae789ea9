"""Reductions, scans and what sorts."""

from __future__ import annotations

from benchmarks.suites.ops.table import (
    MATRIX,
    ROWS,
    VECTOR,
    Shapes,
    booleans,
    constant,
    distinct,
    entries,
    reals,
    rising,
    whole,
)

X = reals(MATRIX)
DISTINCT = distinct(MATRIX)
NEAR_ONE = reals(MATRIX, 0.95, 1.05)  # products of a row neither vanish nor overflow
CLASSES = (10, 100, 1000)
POINTS: Shapes = ((32, 16), (320, 64), (1500, 64))

ENTRIES = [
    *entries("sum mean nansum nanmean var std var_mean std_mean logsumexp", X, dim=1),
    *entries("norm", X, dim=1),
    *entries("vector_norm", X, path="linalg.vector_norm", dim=1),
    *entries("prod", NEAR_ONE, dim=1, tolerance=1e-3),
    *entries("all any", booleans(MATRIX), dim=1, gradient=False),
    *entries("count_nonzero", X, dim=1, gradient=False),
    *entries("amax amin aminmax max min median", DISTINCT, dim=1),
    *entries("argmax argmin", DISTINCT, dim=1, gradient=False),
    *entries("cumsum logcumsumexp", X, dim=1),
    *entries("cumprod", NEAR_ONE, dim=1, tolerance=1e-3),
    *entries("cosine_similarity pairwise_distance", X, X),
    *entries("normalize", X),
    *entries("cummax cummin", DISTINCT, dim=1),
    *entries("diff trapezoid cumulative_trapezoid cov corrcoef", X),
    *entries("dist", X, X),
    *entries("cdist", reals(POINTS), reals(POINTS), tolerance=1e-3),
    *entries("pdist", reals(POINTS)),
    *entries("linalg_vecdot", X, X, path="linalg.vecdot"),
    *entries("bincount", whole(VECTOR, CLASSES), gradient=False),
    *entries("histc", X, gradient=False, bins=10, min=-3, max=3),
    *entries("histogram", constant(X), gradient=False, call=lambda histogram,
             x: tuple(histogram(x, 10, range=(-3.0, 3.0)))),
    # What sorts
    *entries("quantile nanquantile", DISTINCT, q=0.3, dim=1),
    *entries("nanmedian", DISTINCT, dim=1),
    # Which of several equal elements PyTorch points at depends on how it sorts.
    *entries("mode", whole(MATRIX, CLASSES), gradient=False, call=lambda mode, x: mode(x, 1)[0]),
    *entries("sort", DISTINCT, dim=1),
    *entries("msort", DISTINCT),
    *entries("topk kthvalue", DISTINCT, k=10, dim=1),
    *entries("argsort", DISTINCT, dim=1, gradient=False),
    *entries("searchsorted", rising(ROWS), constant(reals(VECTOR, 0, 1)), gradient=False),
    *entries("bucketize", constant(reals(VECTOR, 0, 1)), rising(ROWS), gradient=False),
    *entries("isin", whole(VECTOR, (1000, 1000, 1000)), whole(ROWS, (1000, 1000, 1000)), gradient=False),
    *entries("unique unique_consecutive", whole(VECTOR, CLASSES), gradient=False),
]
