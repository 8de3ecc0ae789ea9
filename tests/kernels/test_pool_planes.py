"""Pooling of planes against pooling of channels that lie side by side: the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autodiff_kernels import pool, pool_planes, pool_turned
from tests.kernels.run_parts import junk, run_parts

FLOATS = [np.float32, np.float64]
# images (N, C, H, W), kernel, stride, padding, dilation; outputs of which windows leave the image, on both sides
CASES = [
    ((2, 3, 8, 80), (2, 2), (2, 2), (0, 0), (1, 1)),
    ((1, 2, 7, 77), (3, 3), (2, 2), (1, 1), (1, 1)),
    ((2, 2, 9, 41), (3, 5), (1, 1), (1, 2), (1, 1)),
    ((1, 3, 11, 40), (2, 3), (3, 1), (1, 1), (2, 3)),
    ((1, 2, 12, 50), (3, 4), (3, 3), (0, 1), (1, 1)),
    ((1, 2, 6, 70), (3, 2), (1, 2), (1, 1), (1, 2)),
    ((1, 2, 5, 3), (4, 4), (2, 2), (2, 2), (1, 1)),
    ((2, 1, 1, 64), (1, 2), (1, 2), (0, 1), (1, 1)),
    ((0, 2, 4, 4), (2, 2), (2, 2), (0, 0), (1, 1)),
]


def windows(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """Return how many windows begin inside the padded image, the last ones of which leave it (`ceil_mode`)."""
    count = -((size + 2 * padding - dilation * (kernel - 1) - 1) // -stride) + 1
    return count - 1 if (count - 1) * stride >= size + padding else count


def turned(array: Any) -> Any:
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1))


def beside(name: str, outputs: tuple[Any, ...], ins: tuple[Any, ...], numbers: tuple[int, ...],
           scratch: Any = None) -> None:
    """Require the bits of the kernel for channels side by side from those for planes."""
    expected = [turned(out) for out in outputs]
    getattr(pool, name)(*expected, *map(turned, ins), *numbers, 0, 1)
    found = run_parts(getattr(pool_planes, name), outputs, *ins, *numbers, scratch=scratch)
    same(found if isinstance(found, tuple) else (found,), expected)
    if hasattr(pool_turned, name):
        for parts in (1, 3):
            found = tuple(out.copy() for out in outputs)
            image, pooled = (outputs, ins) if name.endswith("_grad") else (ins, outputs)
            tiles = [junk((parts, 2, array.shape[2] * array.shape[3]), array.dtype) for array in (*image, *pooled)]
            for part in range(parts):
                getattr(pool_turned, name)(*found, *tiles, *ins, *numbers, part, parts)
            same(found, expected)


def same(found: tuple[Any, ...], expected: list[Any]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(turned(one), other)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_as_of_channels_side_by_side(case: Any, dtype: Any) -> None:
    shape, kernel, stride, padding, dilation = case
    rng = np.random.default_rng(0)
    x = rng.integers(-4, 5, shape).astype(dtype)  # with many equal ones
    x[:, 0, :, ::7] = np.nan
    P, Q = (windows(shape[2 + i], kernel[i], stride[i], padding[i], dilation[i]) for i in range(2))
    out, indices = junk((*shape[:2], P, Q), dtype), junk((*shape[:2], P, Q), np.int64)
    beside("max_pool2d", (out, indices), (x,), (*kernel, *stride, *padding, *dilation))
    g = rng.standard_normal(out.shape).astype(dtype)
    places = rng.integers(0, shape[2] * shape[3], out.shape)
    beside("max_pool2d_grad", (junk(shape, dtype),), (g, places), ())
    P, Q = (windows(shape[2 + i], kernel[i], stride[i], padding[i], 1) for i in range(2))
    x, g = rng.standard_normal(shape).astype(dtype), rng.standard_normal((*shape[:2], P, Q)).astype(dtype)
    for more in ((1, 0), (0, 0), (1, 5)):
        beside("avg_pool2d", (junk(g.shape, dtype),), (x,), (*kernel, *stride, *padding, *more))
        beside("avg_pool2d_grad", (junk(shape, dtype),), (g,), (*kernel, *stride, *padding, *more), junk(P * Q, dtype))
