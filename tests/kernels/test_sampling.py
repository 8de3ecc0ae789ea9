from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from run_parts import junk, run_parts

from autodiff_kernels import sampling

FLOATS = [np.float32, np.float64]
PADDINGS = ["zeros", "border", "reflection"]
rng = np.random.default_rng(0)


def close(dtype: Any) -> Any:
    return {"rtol": 2e-5, "atol": 2e-5} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-12}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("padding", range(3))
@pytest.mark.parametrize("corners", [0, 1])
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize(("H", "W", "C"), [(4, 5, 3), (1, 1, 2), (7, 2, 40), (3, 3, 16)])
def test_like_pytorch(H: int, W: int, C: int, mode: str, corners: int, padding: int, dtype: Any) -> None:
    torch = pytest.importorskip("torch")
    x, grid = rng.standard_normal((2, H, W, C)).astype(dtype), rng.uniform(-2.5, 2.5, (2, 11, 2)).astype(dtype)
    g, settings = rng.standard_normal((2, 11, C)).astype(dtype), (padding, corners)
    planes = torch.from_numpy(x).permute(0, 3, 1, 2).requires_grad_()
    places = torch.from_numpy(grid)[:, None].requires_grad_()
    expected = torch.nn.functional.grid_sample(planes, places, mode, PADDINGS[padding], bool(corners))
    expected.backward(torch.from_numpy(g).permute(0, 2, 1)[:, :, None])

    nearest, row = int(mode == "nearest"), np.full(C, np.nan, dtype)
    out = run_parts(sampling.sample, junk(g.shape, dtype), x, grid, nearest, *settings, scratch=row)
    np.testing.assert_allclose(out, expected.detach().numpy()[:, :, 0].transpose(0, 2, 1), **close(dtype))
    out = run_parts(sampling.sample_input_grad, junk(x.shape, dtype), g, grid, nearest, *settings)
    np.testing.assert_allclose(out, planes.grad.numpy().transpose(0, 2, 3, 1), **close(dtype))
    if not nearest:
        out = run_parts(sampling.sample_grid_grad, junk(grid.shape, dtype), g, x, grid, *settings, scratch=row)
        np.testing.assert_allclose(out, places.grad.numpy()[:, 0], **close(dtype))


@pytest.mark.parametrize("padding", range(3))
def test_places_that_are_no_numbers_stay_within_the_image(padding: int) -> None:
    x, grid = np.ones((1, 2, 3, 4)), np.array([[[np.nan, 0], [0, np.inf], [1e300, -1e300]]])
    for nearest in (0, 1):
        out = run_parts(sampling.sample, junk((1, 3, 4), x.dtype), x, grid, nearest, padding, 0, scratch=np.zeros(4))
        missing = 0 if nearest else np.nan
        np.testing.assert_array_equal(out[0, :, 0], 1 if padding else [missing, missing, 0])
        run_parts(sampling.sample_input_grad, junk(x.shape, x.dtype), np.ones((1, 3, 4)), grid, nearest, padding, 0)


def test_what_lies_outside_is_not_read() -> None:
    x = np.full((1, 2, 2, 3), np.nan)
    grid = np.array([[[5.0, 5.0]]])
    out = run_parts(sampling.sample, junk((1, 1, 3), x.dtype), x, grid, 0, 0, 0, scratch=np.zeros(3))
    np.testing.assert_array_equal(out, 0)
