from __future__ import annotations

import numpy as np
import pytest
from run_parts import junk, run_parts

from autodiff_kernels import positions

rng = np.random.default_rng(0)


@pytest.mark.parametrize("count", [0, 1, 7, 100])
def test_positions_equal_ravel_multi_index(count: int) -> None:
    sizes = (3, 5, 2)
    indices = [rng.integers(-n, n, count) for n in sizes]
    for parts in (1, 3):
        out, status = junk((count,), np.int64), np.full(parts, 7)
        for number, (index, size) in enumerate(zip(indices, sizes, strict=True)):
            for part in range(parts):
                positions.combine(out, status, index, size, int(number == 0), part, parts)
        assert (status == -1).all()
        wrapped = tuple(index % size for index, size in zip(indices, sizes, strict=True))
        np.testing.assert_array_equal(out, np.ravel_multi_index(wrapped, sizes))


@pytest.mark.parametrize("wrong", [-4, 3, 99])
def test_a_place_outside_is_reported(wrong: int) -> None:
    index = np.array([0, 2, wrong, -3, wrong])
    out, status = run_parts(positions.combine, junk((5,), np.int64), index, 3, 1, status=True)
    assert status == 2
    np.testing.assert_array_equal(out, [0, 2, 0, 0, 0])
