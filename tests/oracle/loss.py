"""Losses and distances, with PyTorch's reductions."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np

from .arrays import Array, array, ieee, real
from .elementwise import sigmoid, xlogy
from .probability import log_softmax
from .reduce import linalg_vector_norm


def _reduce(losses: Array, reduction: str) -> Array:
    return {"none": np.asarray, "sum": np.sum, "mean": lambda x: np.sum(x) / np.float64(np.size(x))}[reduction](losses)


@ieee
def nll_loss(input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> Array:
    """Minus the log-probability of each target, times its class's weight; classes are dimension 1 (0 without a batch).

    The mean is weighted: the sum of the losses divided by the sum of the weights of the targets that count.
    """
    log_probability, target = array(input), np.asarray(target)
    channels = 0 if log_probability.ndim == 1 else 1
    weight = np.ones(log_probability.shape[channels]) if weight is None else array(weight)
    losses = np.zeros(target.shape)
    weights = np.zeros(target.shape)
    for place in np.ndindex(target.shape):
        label = int(target[place])
        if label != ignore_index:
            losses[place] = -weight[label] * log_probability[place[:channels] + (label,) + place[channels:]]
            weights[place] = weight[label]
    return losses.sum() / weights.sum() if reduction == "mean" else _reduce(losses, reduction)


@ieee
def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Array:
    """Cross-entropy of softmax(input) with labels, or with probabilities when the target has the input's shape.

    With label smoothing e and C classes the target is (1 - e) target + e / C (Szegedy et al. 2016, section 7).
    """
    logits, target = array(input), array(target)
    channels = 0 if logits.ndim == 1 else 1
    classes = logits.shape[channels]
    logp = np.moveaxis(log_softmax(logits, channels), channels, -1)
    class_weight = np.ones(classes) if weight is None else array(weight)
    if target.shape == logits.shape and target.dtype.kind == "f":
        probability = np.moveaxis(target, channels, -1) * (1 - label_smoothing) + label_smoothing / classes
        losses = -(probability * class_weight * logp).sum(axis=-1)
        return losses.sum() / np.float64(losses.size) if reduction == "mean" else _reduce(losses, reduction)
    losses = np.zeros(target.shape)
    weights = np.zeros(target.shape)
    for place in np.ndindex(target.shape):
        label = int(target[place])
        if label != ignore_index:
            smooth = -(class_weight * logp[place]).sum()
            losses[place] = -(1 - label_smoothing) * class_weight[label] * logp[place + (label,)]
            losses[place] += label_smoothing / classes * smooth if label_smoothing else 0.0
            weights[place] = class_weight[label]
    return losses.sum() / weights.sum() if reduction == "mean" else _reduce(losses, reduction)


@ieee
def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Array:
    return _reduce((real(input) - real(target)) ** 2, reduction)


@ieee
def l1_loss(input: Any, target: Any, reduction: str = "mean") -> Array:
    return _reduce(np.abs(real(input) - real(target)), reduction)


@ieee
def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Array:
    """d^2 / (2 beta) where |d| < beta, else |d| - beta / 2."""
    d = np.abs(real(input) - real(target))
    return _reduce(np.where(d < beta, d**2 / (2 * np.float64(beta)), d - beta / 2), reduction)


@ieee
def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Array:
    """d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2)."""
    d = np.abs(real(input) - real(target))
    return _reduce(np.where(d <= delta, d**2 / 2, delta * (d - delta / 2)), reduction)


@ieee
def binary_cross_entropy(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Array:
    """-(y log p + (1 - y) log(1 - p)), the logarithms bounded below by -100."""
    p, y = real(input), real(target)
    losses = -(y * np.maximum(np.log(p), -100) + (1 - y) * np.maximum(np.log(1 - p), -100))
    return _reduce(losses if weight is None else losses * array(weight), reduction)


@ieee
def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Array:
    """-(pos_weight y log sigmoid(x) + (1 - y) log(1 - sigmoid(x)))."""
    x, y = real(input), real(target)
    positive = y if pos_weight is None else y * array(pos_weight)
    losses = positive * np.logaddexp(0, -x) + (1 - y) * np.logaddexp(0, x)
    return _reduce(losses if weight is None else losses * array(weight), reduction)


@ieee
def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Array:
    """Target (log target - input) for log-probabilities `input`; "batchmean" divides the sum by the first size."""
    x, y = real(input), real(target)
    losses = np.exp(y) * (y - x) if log_target else xlogy(y, y) - y * x
    return losses.sum() / np.float64(x.shape[0]) if reduction == "batchmean" else _reduce(losses, reduction)


@ieee
def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Array:
    """x1.x2 / (max(|x1|, eps) max(|x2|, eps))."""
    a, b = np.broadcast_arrays(real(x1), real(x2))
    lengths = [np.maximum(linalg_vector_norm(x, 2, dim), eps) for x in (a, b)]
    return (a * b).sum(axis=dim) / (lengths[0] * lengths[1])


@ieee
def cosine_embedding_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean") -> Array:
    """1 - cos for the target 1, max(0, cos - margin) for -1; 1e-12 is added to the squared lengths."""
    a, b, y = real(input1), real(input2), np.asarray(target)
    cosine = (a * b).sum(axis=-1) / np.sqrt(((a * a).sum(axis=-1) + 1e-12) * ((b * b).sum(axis=-1) + 1e-12))
    return _reduce(np.where(y == 1, 1 - cosine, np.maximum(cosine - margin, 0)), reduction)


@ieee
def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Array:
    return linalg_vector_norm(real(x1) - real(x2) + eps, p, -1, keepdim)


@ieee
def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Array:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin); `swap`: Balntas et al. 2016, section 3.1."""
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = np.minimum(far, pairwise_distance(positive, negative, p, eps))
    return _reduce(np.maximum(pairwise_distance(anchor, positive, p, eps) - far + margin, 0), reduction)


@ieee
def margin_ranking_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean") -> Array:
    return _reduce(np.maximum(-real(target) * (real(input1) - real(input2)) + margin, 0), reduction)


@ieee
def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, reduction: str = "mean") -> Array:
    x, y = real(input), np.asarray(target)
    return _reduce(np.where(y == 1, x, np.maximum(margin - x, 0)), reduction)


@ieee
def soft_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Array:
    return _reduce(np.logaddexp(0, -real(target) * real(input)), reduction)


@ieee
def poisson_nll_loss(
    input: Any, target: Any, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean"
) -> Array:
    """exp(x) - y x, or x - y log(x + eps); `full` adds Stirling's approximation of log(y!) where y > 1."""
    x, y = real(input), real(target)
    losses = np.exp(x) - y * x if log_input else x - y * np.log(x + eps)
    if full:
        losses = losses + np.where(y > 1, y * np.log(y) - y + 0.5 * np.log(2 * math.pi * y), 0.0)
    return _reduce(losses, reduction)


@ieee
def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Array:
    variance = np.maximum(real(var), eps)
    losses = 0.5 * (np.log(variance) + (real(input) - real(target)) ** 2 / variance)
    return _reduce(losses + (0.5 * math.log(2 * math.pi) if full else 0.0), reduction)


@ieee
def multilabel_soft_margin_loss(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Array:
    p, y = sigmoid(input), real(target)
    losses = -(y * np.log(p) + (1 - y) * np.log(1 - p))
    return _reduce((losses if weight is None else losses * array(weight)).mean(axis=-1), reduction)


@ieee
def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean"
) -> Array:
    """The sum over k != t of max(0, margin - x[t] + x[k])^p, times the weight of t, over the number of classes."""
    x, target = real(input), np.asarray(target)
    weight = np.ones(x.shape[-1]) if weight is None else real(weight)
    losses = np.zeros(target.shape)
    for place in np.ndindex(target.shape):
        label = int(target[place])
        hinge = np.maximum(margin - x[place][label] + x[place], 0) ** p
        losses[place] = weight[label] * (hinge.sum() - hinge[label]) / x.shape[-1]
    return _reduce(losses, reduction)


def multilabel_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Array:
    """The sum over right t and wrong k of max(0, 1 - x[t] + x[k]), over the number of classes."""
    x, target = real(input), np.asarray(target)
    losses = np.zeros(x.shape[:-1])
    for place in np.ndindex(losses.shape):
        row, labels = x[place], list(target[place])
        right = labels[: next((i for i, label in enumerate(labels) if label < 0), len(labels))]
        losses[place] = sum(max(0.0, 1 - row[t] + row[k]) for t in right for k in range(len(row)) if k not in right)
    return _reduce(losses / x.shape[-1], reduction)


def ctc_loss(
    log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: int = 0, reduction: str = "mean",
    zero_infinity: bool = False,
) -> Array:
    """Minus the logarithm of the sum of the probabilities of all sequences of classes that say the text."""
    x = real(log_probs)
    single = x.ndim == 2
    x = x[:, None] if single else x
    times, lengths = np.reshape(input_lengths, -1), np.reshape(target_lengths, -1)
    labels = np.asarray(targets)
    if labels.ndim == 1:
        rows = np.split(labels, np.cumsum(lengths)[:-1])
    else:
        rows = [row[:n] for row, n in zip(labels, lengths, strict=True)]
    losses = np.zeros(len(rows))
    for i, row in enumerate(rows):
        total = 0.0
        for path in product(range(x.shape[2]), repeat=int(times[i])):
            said = [c for t, c in enumerate(path) if c != blank and (t == 0 or c != path[t - 1])]
            if said == list(row):
                total += np.exp(x[np.arange(len(path)), i, list(path)].sum())
        losses[i] = -np.log(total) if total else 0.0 if zero_infinity else np.inf
    if reduction == "none":
        return losses.reshape(()) if single else losses
    return np.asarray((losses / np.maximum(lengths, 1)).mean() if reduction == "mean" else losses.sum())
