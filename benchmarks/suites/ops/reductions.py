"""Reductions, scans and what sorts."""

from __future__ import annotations

from benchmarks.suites.ops.table import (
    MATRIX,
    ROWS,
    VECTOR,
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
    # What sorts
    *entries("sort", DISTINCT, dim=1),
    *entries("msort", DISTINCT),
    *entries("topk kthvalue", DISTINCT, k=10, dim=1),
    *entries("argsort", DISTINCT, dim=1, gradient=False),
    *entries("searchsorted", rising(ROWS), constant(reals(VECTOR, 0, 1)), gradient=False),
    *entries("bucketize", constant(reals(VECTOR, 0, 1)), rising(ROWS), gradient=False),
    *entries("isin", whole(VECTOR, (1000, 1000, 1000)), whole(ROWS, (1000, 1000, 1000)), gradient=False),
    *entries("unique unique_consecutive", whole(VECTOR, CLASSES), gradient=False),
]
