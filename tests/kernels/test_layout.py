from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from run_parts import junk, run_parts

from autodiff_kernels import layout


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(2, 16, 32), (1, 3, 50), (3, 21, 1), (2, 5, 17), (0, 4, 4), (1, 100, 7), (2, 3, 600),
                                   (2, 601, 9), (1, 530, 270), (1, 8, 1), (3, 1, 5)])
def test_transpose(dtype: Any, shape: Any) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    out = run_parts(layout.transpose, junk((shape[0], shape[2], shape[1]), dtype), x)
    np.testing.assert_array_equal(out, x.transpose(0, 2, 1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(5, 33), (1, 1), (7, 16), (0, 4), (3, 0), (2, 300)])
def test_repeat(dtype: Any, shape: Any) -> None:
    x = np.random.default_rng(0).standard_normal(shape[0]).astype(dtype)
    out = run_parts(layout.repeat, junk(shape, dtype), x)
    np.testing.assert_array_equal(out, np.broadcast_to(x[:, None], shape))
