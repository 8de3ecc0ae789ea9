from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from run_parts import junk, run_parts

from autodiff_kernels import resize

FLOATS = [np.float32, np.float64]
SIZES = [((5, 4), (10, 8)), ((7, 5), (3, 4)), ((4, 6), (4, 1)), ((1, 3), (6, 7)), ((9, 2), (13, 9))]
rng = np.random.default_rng(0)


def images(shape: Any, dtype: Any) -> Any:
    return rng.standard_normal(shape).astype(dtype)


def scales(sizes: Any, outputs: Any, align_corners: int) -> Any:
    if align_corners:
        return [(size - 1) / (output - 1) if output > 1 else 0.0 for size, output in zip(sizes, outputs)]
    return [size / output for size, output in zip(sizes, outputs)]


def nearest_matrix(size: int, output: int, scale: float) -> Any:
    source = np.minimum(np.floor(np.arange(output, dtype=np.float32) * np.float32(scale)).astype(int), size - 1)
    return np.eye(size)[source]


def linear_matrix(size: int, output: int, scale: float, align_corners: int) -> Any:
    """Return the weights (output, size): the hat function around each source position."""
    position = np.arange(output) * scale if align_corners else (np.arange(output) + 0.5) * scale - 0.5
    return np.maximum(1 - np.abs(np.clip(position, 0, size - 1)[:, None] - np.arange(size)), 0)


def close(dtype: Any) -> Any:
    return {"rtol": 1e-5, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-12}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(("N", "C"), [(2, 3), (0, 2), (1, 17)])
def test_against_weight_matrices(dtype: Any, sizes: Any, N: int, C: int) -> None:
    x, g = images((N, *sizes[0], C), dtype), images((N, *sizes[1], C), dtype)
    for align_corners in (None, 0, 1):
        scale = scales(*sizes, bool(align_corners))
        if align_corners is None:
            forward, backward, flags = resize.resize_nearest, resize.resize_nearest_grad, ()
            rows, columns = (nearest_matrix(*numbers) for numbers in zip(*sizes, scale))
        else:
            forward, backward, flags = resize.resize_bilinear, resize.resize_bilinear_grad, (align_corners,)
            rows, columns = (linear_matrix(*numbers, align_corners) for numbers in zip(*sizes, scale))
        out = run_parts(forward, junk(g.shape, dtype), x, *scale, *flags)
        np.testing.assert_allclose(out, np.einsum("ph,qw,nhwc->npqc", rows, columns, x), **close(dtype))
        out = run_parts(backward, junk(x.shape, dtype), g, *scale, *flags)
        np.testing.assert_allclose(out, np.einsum("ph,qw,npqc->nhwc", rows, columns, g), **close(dtype))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(("mode", "corners"), [("nearest", None), ("bilinear", False), ("bilinear", True)])
def test_like_pytorch(dtype: Any, sizes: Any, mode: str, corners: bool | None) -> None:
    torch = pytest.importorskip("torch")
    x, g = images((2, *sizes[0], 3), dtype), images((2, *sizes[1], 3), dtype)
    planes = torch.from_numpy(x).permute(0, 3, 1, 2).requires_grad_()
    expected = torch.nn.functional.interpolate(planes, sizes[1], mode=mode, align_corners=corners)
    expected.backward(torch.from_numpy(g).permute(0, 3, 1, 2))
    numbers = [*scales(*sizes, bool(corners)), *([] if corners is None else [int(corners)])]
    forward, backward = getattr(resize, f"resize_{mode}"), getattr(resize, f"resize_{mode}_grad")
    out = run_parts(forward, junk(g.shape, dtype), x, *numbers)
    np.testing.assert_allclose(out, expected.detach().numpy().transpose(0, 2, 3, 1), **close(dtype))
    out = run_parts(backward, junk(x.shape, dtype), g, *numbers)
    np.testing.assert_allclose(out, planes.grad.numpy().transpose(0, 2, 3, 1), **close(dtype))
