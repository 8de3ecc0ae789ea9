"""Tensors on the memory of NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autodiff as ad


def test_strides_that_are_no_multiples_of_the_item_size_are_refused() -> None:
    records = np.zeros(4, dtype=[("weight", "f4"), ("flag", "i1")])
    with pytest.raises(ValueError, match=r"no multiples.*array\.copy\(\)"):
        ad.from_numpy(records["weight"])
    assert ad.from_numpy(records["weight"].copy()).shape == (4,)


@pytest.mark.parametrize("array", [np.ma.masked_array([1.0, 2.0], [True, False]), np.ones((2, 3)).view(np.matrix)])
def test_subclasses_of_arrays_become_plain_arrays_on_the_same_memory(array: Any) -> None:
    x = ad.from_numpy(array)
    assert type(x.numpy()) is np.ndarray
    assert (x + 1).sum() == np.asarray(array).sum() + array.size
    x.zero_()
    assert not np.asarray(array).any()
