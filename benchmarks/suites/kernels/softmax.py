"""Softmax, log-softmax and cross-entropy, for a few classes up to a vocabulary."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.case import Case
from benchmarks.differentiation import builds, integers, normal, uniform

# Rows and classes.
SHAPES = [(1024, 2), (128, 10), (128, 100), (512, 1000), (64, 10_000), (32, 50_000)]


def softmax(module: Any, x: Any) -> Any:
    return module.softmax(x, 1)


def softmax_jax(jax: Any, x: Any) -> Any:
    return jax.nn.softmax(x, 1)


def softmax_numpy(numpy: Any, x: Any) -> Any:
    """Return the softmax and its pullback."""
    e = numpy.exp(x - x.max(1, keepdims=True))
    y = e / e.sum(1, keepdims=True)
    return y, lambda g: {"x": y * (g - (g * y).sum(1, keepdims=True))}


def log_softmax(module: Any, x: Any) -> Any:
    return module.log_softmax(x, 1)


def log_softmax_jax(jax: Any, x: Any) -> Any:
    return jax.nn.log_softmax(x, 1)


def logsumexp(module: Any, x: Any) -> Any:
    return module.logsumexp(x, 1)


def logsumexp_jax(jax: Any, x: Any) -> Any:
    return jax.nn.logsumexp(x, 1)


def cross_entropy(module: Any, x: Any, labels: Any, label_smoothing: float = 0.0) -> Any:
    return module.nn.functional.cross_entropy(x, labels, label_smoothing=label_smoothing)


def cross_entropy_jax(jax: Any, x: Any, labels: Any, label_smoothing: float = 0.0) -> Any:
    """Return the mean cross-entropy of logits whose classes are dimension 1."""
    logs = jax.nn.log_softmax(x, 1)
    chosen = jax.numpy.take_along_axis(logs, jax.numpy.expand_dims(labels, 1), 1)
    return -(1 - label_smoothing) * chosen.mean() - label_smoothing * logs.mean()


def cross_entropy_weighted(module: Any, x: Any, labels: Any, weight: Any) -> Any:
    return module.nn.functional.cross_entropy(x, labels, weight)


def cross_entropy_soft_jax(jax: Any, x: Any, targets: Any) -> Any:
    return -(targets * jax.nn.log_softmax(x, 1)).sum() / len(x)


def cases() -> Iterator[Case]:
    """Yield the softmax family."""
    for rows, classes in SHAPES:
        inputs, place = {"x": normal(rows, classes, scale=3)}, f"{rows}x{classes}"
        found = builds("forward+backward", softmax, inputs, jax=softmax_jax, numpy=softmax_numpy)
        yield Case(f"kernels/softmax/{place}", found, quick=classes == 50_000)
        if classes in (10, 1000, 50_000):
            found = builds("forward+backward", log_softmax, inputs, jax=log_softmax_jax)
            yield Case(f"kernels/log_softmax/{place}", found, quick=False)
        labelled = inputs | {"labels": integers(classes, rows)}
        found = builds("forward+backward", cross_entropy, labelled, jax=cross_entropy_jax)
        yield Case(f"kernels/cross_entropy/{place}", found, quick=classes in (10, 1000))
    for rows, classes in SHAPES[-3:-1]:
        found = builds("forward", softmax, {"x": normal(rows, classes, scale=3)}, jax=softmax_jax)
        yield Case(f"kernels/softmax/{rows}x{classes}/kernel", found, quick=False)
    found = builds("forward+backward", logsumexp, {"x": normal(512, 1000, scale=3)}, jax=logsumexp_jax)
    yield Case("kernels/logsumexp/512x1000", found, quick=False)
    # Segmentation: classes are not the last dimension.
    inputs = {"x": normal(8, 21, 64, 64, scale=3)}
    yield Case("kernels/softmax/8x21x64x64/axis-1", builds("forward+backward", softmax, inputs, jax=softmax_jax),
               quick=False)
    labelled = inputs | {"labels": integers(21, 8, 64, 64)}
    found = builds("forward+backward", cross_entropy, labelled, jax=cross_entropy_jax)
    yield Case("kernels/cross_entropy/8x21x64x64/axis-1", found, quick=False)
    inputs = {"x": normal(512, 1000, scale=3), "labels": integers(1000, 512)}
    smooth, smooth_jax = (partial(f, label_smoothing=0.1) for f in (cross_entropy, cross_entropy_jax))
    found = builds("forward+backward", smooth, inputs, jax=smooth_jax)
    yield Case("kernels/cross_entropy/512x1000/label-smoothing", found, quick=False)
    weighted = inputs | {"weight": uniform(1000, low=0.5, high=1.5)}
    found = builds("forward+backward", cross_entropy_weighted, weighted, wrt=("x",))
    yield Case("kernels/cross_entropy/512x1000/class-weights", found, quick=False)
    soft = {"x": normal(512, 1000, scale=3), "targets": uniform(512, 1000, high=0.002)}
    found = builds("forward+backward", cross_entropy, soft, wrt=("x",), jax=cross_entropy_soft_jax)
    yield Case("kernels/cross_entropy/512x1000/soft-labels", found, quick=False)
