"""Handwritten digits."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from autodiff.creation import randperm
from autodiff.eager import wrap
from autodiff.errors import ValueRangeError, missing_extra
from autodiff.random import Generator
from autodiff.utils.data import TensorDataset


class Split(NamedTuple):
    """Samples to train on, and samples to test with that training never sees."""

    train: TensorDataset
    test: TensorDataset


def digits(test_fraction: float = 0.2, seed: int = 0, standardise: bool = False) -> Split:
    """Return 1797 handwritten digits of 8 by 8 pixels: images float32 (N, 1, 8, 8), labels int64 (N,).

    They come with scikit-learn, so nothing is downloaded.

    Args:
        test_fraction: share of the samples that is held out.
        seed: of the permutation that chooses them; the same for every machine.
        standardise: subtract the mean and divide by the standard deviation of the training pixels; pixels are in [0, 1]
            otherwise.

    Raises:
        MissingExtraError: if scikit-learn is not installed.
        ValueRangeError: unless the fraction is between 0 and 1.

    Source: E. Alpaydin & C. Kaynak, "Optical recognition of handwritten digits", UCI Machine Learning Repository, 1998
    (its test set).

    >>> from autodiff.datasets import digits
    >>> train, test = digits()
    >>> len(train), len(test), train[0][0].shape
    (1438, 359, (1, 8, 8))
    """
    if not 0 < test_fraction < 1:
        raise ValueRangeError("digits", "the held-out share is outside its range", expected="0 < test_fraction < 1",
                              got=str(test_fraction))
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise missing_extra("digits", "scikit-learn", "data") from None
    pixels, labels = load_digits(return_X_y=True)
    images = (pixels.reshape(-1, 1, 8, 8) / 16).astype(np.float32)
    order = randperm(len(images), generator=Generator().manual_seed(seed)).array
    held_out = round(len(images) * test_fraction)
    test, train = order[:held_out], order[held_out:]
    if standardise:
        images = (images - images[train].mean(dtype=np.float64)) / images[train].std(dtype=np.float64)
        images = images.astype(np.float32)
    parts = [TensorDataset(wrap(images[part]), wrap(labels[part].astype(np.int64))) for part in (train, test)]
    return Split(*parts)
