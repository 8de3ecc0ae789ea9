from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from run_parts import junk, run_parts

from autodiff_kernels import running

SHAPES = [(2, 5, 3), (1, 40, 1), (5, 100, 1), (3, 1, 2), (2, 0, 3), (0, 2, 2), (1, 7, 600)]
rng = np.random.default_rng(0)


def places_of(x: Any, found: Any) -> Any:
    """Return the last place of each running extreme: the last one up to here that equals it, or is NaN."""
    index = np.arange(x.shape[1])[:, None]
    return np.maximum.accumulate(np.where((x == found) | (x != x), index, 0), 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("name", "extreme"), [("cummax", np.maximum), ("cummin", np.minimum)])
def test_running_extremes(name: str, extreme: Any, shape: Any, dtype: Any) -> None:
    x = rng.integers(0, 9, shape).astype(dtype)
    if x.dtype.kind == "f":
        x[rng.random(shape) < 0.02] = np.nan
    values, places = run_parts(getattr(running, name), (junk(shape, dtype), junk(shape, np.int64)), x)
    expected = extreme.accumulate(x, 1)
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(places, places_of(x, expected))


def test_rising_numbers() -> None:
    x = np.arange(70.0).reshape(1, 70, 1)
    values, places = run_parts(running.cummax, (junk(x.shape, x.dtype), junk(x.shape, np.int64)), x)
    np.testing.assert_array_equal(values, x)
    np.testing.assert_array_equal(places, x)
