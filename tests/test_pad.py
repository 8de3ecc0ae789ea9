"""F.pad against NumPy's: any dimensions, layouts, dtypes, and widths that take places away."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.nn import functional as F

MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
rng = np.random.default_rng(0)


def expected(x: Any, widths: Any, mode: str, value: float = 0) -> Any:
    """Return what NumPy makes of it: places are taken away first."""
    cut = tuple(slice(max(-before, 0), n - max(-after, 0)) for n, (before, after) in zip(x.shape, widths, strict=True))
    added = [(max(before, 0), max(after, 0)) for before, after in widths]
    settings = {"constant_values": value} if mode == "constant" else {}
    return np.pad(x[cut], added, MODES[mode], **settings) if added else x  # NumPy refuses no dimensions


def flat(widths: Any) -> list[int]:
    return [n for ends in reversed(widths) for n in ends]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1), (3, 1, 0, 2)])
def test_any_dimensions_of_any_layout(mode: str, order: Any) -> None:
    lying = rng.standard_normal((3, 4, 5, 3))
    x = lying.transpose(np.argsort(order))
    for widths in [*product([(0, 0), (1, 2)], repeat=4), ((-1, 1), (2, 0), (0, -1), (1, -1)), ((0, 0), (-1, -1)) * 2]:
        leaf = ad.tensor(x, requires_grad=True)
        out = F.pad(leaf, flat(widths), mode, value=2.5 if mode == "constant" else None)
        np.testing.assert_array_equal(out.detach().numpy(), expected(x, widths, mode, 2.5))
        g = rng.integers(-9, 9, out.shape).astype(np.float64)
        numbers = expected(np.arange(1, x.size + 1).reshape(x.shape), widths, mode, 0)  # which element went where
        (gradient,) = ad.autograd.grad(out, leaf, ad.tensor(g))
        sums = np.bincount(numbers.ravel(), g.ravel(), x.size + 1)[1:]
        np.testing.assert_array_equal(gradient.numpy().ravel(), sums)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "int16", "int8", "uint8", "bool"])
def test_every_dtype_and_wide_places(mode: str, dtype: str) -> None:
    for shape, widths in [((2, 3), ((1, 1), (2, 0))), ((2, 3, 1100), ((1, 0), (2, 1), (0, 0))), ((), ()),
                          ((4,), ((3, 2),)), ((0, 2), ((0, 0), (1, 1))), ((4, 2), ((-1, -2), (0, 0)))]:
        x = (rng.standard_normal(shape) * 50).astype(dtype)
        out = F.pad(ad.tensor(x), flat(widths), mode).numpy()
        assert out.dtype == dtype
        np.testing.assert_array_equal(out, expected(x, widths, mode))


def test_layouts_are_kept() -> None:
    x = ad.tensor(rng.standard_normal((2, 3, 6, 6)).astype(np.float32)).to(memory_format=ad.channels_last)
    for image in (x, x[:, :, 1:-1, 1:-1]):
        image = image.detach().requires_grad_()
        out = F.pad(image, (1, 1, 1, 1), "reflect")
        assert out.is_contiguous(memory_format=ad.channels_last)
        out.backward(out.detach())
        assert image.grad.shape == image.shape
