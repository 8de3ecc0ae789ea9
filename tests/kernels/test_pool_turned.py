from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autodiff_kernels import pool, pool_turned

FLOATS = [np.float32, np.float64]
SHAPES = [(2, 3, 7, 6), (1, 20, 5, 8), (3, 16, 9, 9), (0, 5, 5, 4)]
rng = np.random.default_rng(0)


def tiles(parts: int, *images: Any) -> list[Any]:
    """Return a tile of eight channels for each image (N, H, W, C), filled with what a kernel must overwrite."""
    return [np.full((parts, 8, image.shape[1] * image.shape[2]), 77, image.dtype) for image in images]


def run(name: str, outputs: list[Any], ins: list[Any], gradient: bool) -> None:
    """Require of a kernel for planes, on one part and on three, the bits of the one for channels side by side."""
    expected = [np.full_like(out, 77) for out in outputs]
    getattr(pool, name)(*expected, *ins, 0, 1)
    for parts in (1, 3):
        found = [np.full_like(out, 77) for out in outputs]
        given, made = list(ins), list(found)
        planes = made if gradient else given
        planes[0] = np.ascontiguousarray(planes[0].transpose(0, 3, 1, 2))
        scratch = tiles(parts, *(outputs + ins if gradient else ins + outputs))
        for part in range(parts):
            getattr(pool_turned, name)(*made, *scratch, *given, part, parts)
        if gradient:
            found = [made[0].transpose(0, 2, 3, 1)]
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_as_of_channels_side_by_side(dtype: Any, shape: Any) -> None:
    N, C, H, W = shape
    x = rng.standard_normal((N, H, W, C)).astype(dtype)
    x[..., :1, 0] = np.nan
    out, indices = np.empty((N, 3, 2, C), dtype), np.empty((N, 3, 2, C), np.int64)
    g = rng.standard_normal(out.shape).astype(dtype)
    run("adaptive_max_pool2d", [out, indices], [x], False)
    run("adaptive_avg_pool2d", [out], [x], False)
    run("adaptive_avg_pool2d_grad", [x], [g], True)
