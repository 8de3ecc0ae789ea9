"""Random numbers."""

from __future__ import annotations

from benchmarks.suites.ops.table import MATRIX, VECTOR, Shapes, entries, reals

X = reals(VECTOR)
# Many channels: where whole channels are dropped, the moments depend on how many.
SIGNAL: Shapes = ((16, 16, 4), (64, 64, 25), (64, 64, 1000))
VOLUME: Shapes = ((16, 16, 1, 2, 2), (64, 64, 5, 5, 1), (64, 64, 4, 8, 32))
IMAGE: Shapes = ((16, 16, 2, 2), (64, 64, 5, 5), (64, 64, 32, 32))

ENTRIES = [
    *entries("random_uniform", X, path="rand", call=lambda rand, x: rand(x.shape), gradient=False, random=True),
    *entries("random_normal", X, path="randn", call=lambda randn, x: randn(x.shape), gradient=False, random=True),
    *entries("random_bernoulli", X, path="Tensor.bernoulli_", p=0.5, gradient=False, random=True),
    *entries("random_integers", X, path="randint", call=lambda randint, x: randint(0, 1000, x.shape), gradient=False,
             random=True),
    *entries("random_permutation", X, path="randperm", call=lambda randperm, x: randperm(x.shape[0]), gradient=False,
             random=True),
    *entries("dropout alpha_dropout", X, p=0.5, training=True, random=True),
    *entries("gumbel_softmax", reals(MATRIX), random=True),
    *entries("dropout1d", reals(SIGNAL), random=True),
    *entries("dropout2d", reals(IMAGE), random=True, images=True),
    *entries("dropout3d", reals(VOLUME), random=True),
]
