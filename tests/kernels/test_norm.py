from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from run_parts import junk, run_parts

from autodiff_kernels import epilogue, norm

FLOATS = [np.float32, np.float64]
EPS = 1e-5
rng = np.random.default_rng(0)


def close(dtype: Any, size: Any = 1) -> Any:
    """Return the tolerance of numbers that are differences of numbers of the given size."""
    relative = 2e-5 if dtype == np.float32 else 1e-12
    return {"rtol": 10 * relative, "atol": relative * np.max(size, initial=1)}


def numbers(shape: Any, dtype: Any, mean: float = 0.0) -> Any:
    return (rng.standard_normal(shape) + mean).astype(dtype)


def nothing(dtype: Any) -> Any:
    """Return an array of length 0: no residual, no scale, no ReLU."""
    return np.empty(0, dtype)


def alone(dtype: Any) -> Any:
    """Return the arguments of a norm that nothing follows: residual, scale and activation."""
    return nothing(dtype), nothing(dtype), epilogue.NONE


def normalised(x: Any, axes: Any) -> Any:
    """Return mean, reciprocal standard deviation and xhat over the axes."""
    x = x.astype(np.float64)
    mean = x.mean(axes, keepdims=True)
    rstd = 1 / np.sqrt(((x - mean) ** 2).mean(axes, keepdims=True) + EPS)
    return mean, rstd, (x - mean) * rstd


def gradient(h: Any, rstd: Any, xhat: Any, axes: Any) -> Any:
    return rstd * (h - h.mean(axes, keepdims=True) - xhat * (h * xhat).mean(axes, keepdims=True))


def sum_blocks(partial: Any, dtype: Any) -> Any:
    return run_parts(norm.sum_blocks, junk(partial.shape[1], dtype), partial)


def batch_statistics(x: Any) -> Any:
    R, C = x.shape
    partial = junk((-(-R // norm.ROWS), C), np.float64)
    blocks = run_parts(norm.batch_norm_partial, (partial, partial), x)
    out = junk(C, x.dtype)
    return run_parts(norm.batch_norm_combine, (out, out, out), *blocks, R, norm.ROWS, EPS)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("R", "C"), [(300, 5), (2, 20), (1, 3), (129, 1), (4, 0), (35, 150), (3, 1100)])
def test_batch_norm(dtype: Any, R: int, C: int) -> None:
    x, g, gamma, beta = numbers((R, C), dtype, 3), numbers((R, C), dtype), numbers(C, dtype), numbers(C, dtype)
    mean, variance, rstd = batch_statistics(x)
    true_mean, true_rstd, xhat = normalised(x, 0)
    np.testing.assert_allclose(mean, true_mean[0], **close(dtype))
    np.testing.assert_allclose(variance, x.astype(np.float64).var(0), **close(dtype))
    np.testing.assert_allclose(rstd, true_rstd[0], **close(dtype))
    np.testing.assert_allclose(run_parts(norm.reciprocal_std, junk(C, dtype), variance, EPS), rstd, 1e-6)
    out = run_parts(norm.batch_norm, junk(x.shape, dtype), x, mean, rstd, gamma, beta, *alone(dtype))
    np.testing.assert_allclose(out, xhat * gamma + beta, **close(dtype))
    partial = junk((-(-R // norm.ROWS), C), np.float64)
    operands = g, x, mean, rstd, gamma, nothing(dtype)
    blocks = run_parts(norm.batch_norm_grad_partial, (partial, partial), *operands)
    dgamma, dbeta = (sum_blocks(block, dtype) for block in blocks)
    np.testing.assert_allclose(dgamma, (g * xhat).sum(0), **close(dtype))
    np.testing.assert_allclose(dbeta, g.sum(0, dtype=np.float64), **close(dtype))
    arguments = junk(x.shape, dtype), *operands, dgamma, dbeta
    np.testing.assert_allclose(
        run_parts(norm.batch_norm_grad, *arguments, 1), gradient(g * gamma, true_rstd, xhat, 0), **close(dtype, rstd)
    )
    np.testing.assert_allclose(run_parts(norm.batch_norm_grad, *arguments, 0), g * gamma * true_rstd, **close(dtype))


@pytest.mark.parametrize("dtype", FLOATS)
def test_sums_of_a_channel_do_not_depend_on_its_neighbours(dtype: Any) -> None:
    """Rows that fill one strip of registers and longer ones are gone through differently."""
    R, few, C = 150, 5, 300
    x, g, mean, rstd = numbers((R, C), dtype, 3), numbers((R, C), dtype), numbers(C, dtype, 3), numbers(C, dtype)
    gamma, beta = numbers(C, dtype), numbers(C, dtype)
    operands = g, x, mean, rstd, gamma, beta
    for kernel, arguments in ((norm.batch_norm_partial, (x,)), (norm.batch_norm_grad_partial, operands)):
        cut = [np.ascontiguousarray(array[..., :few]) for array in arguments]
        alone, beside = (
            run_parts(kernel, (junk((2, columns), np.float64),) * 2, *operands)
            for columns, operands in ((few, cut), (C, arguments))
        )
        for one, other in zip(alone, beside, strict=True):
            np.testing.assert_array_equal(one, other[:, :few])


def test_statistics_far_from_zero() -> None:
    x = numbers((1000, 2), np.float64, 1e8)
    _, variance, _ = batch_statistics(x)
    np.testing.assert_allclose(variance, (x - 1e8).var(0), rtol=1e-7)
    x = numbers((3, 1000), np.float32, 1e4)
    outputs = junk(x.shape, x.dtype), junk(3, x.dtype), junk(3, x.dtype)
    _, _, rstd = run_parts(norm.layer_norm, outputs, x, np.ones(1000, x.dtype), np.zeros(1000, x.dtype),
                           *alone(x.dtype), EPS)
    np.testing.assert_allclose(rstd, 1 / np.sqrt(x.astype(np.float64).var(1) + EPS), rtol=1e-6)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("R", "K"), [(5, 37), (300, 4), (3, 1), (0, 6)])
def test_layer_norm(dtype: Any, R: int, K: int) -> None:
    x, g, gamma, beta = numbers((R, K), dtype, 3), numbers((R, K), dtype), numbers(K, dtype), numbers(K, dtype)
    outputs = junk(x.shape, dtype), junk(R, dtype), junk(R, dtype)
    out, mean, rstd = run_parts(norm.layer_norm, outputs, x, gamma, beta, *alone(dtype), EPS)
    true_mean, true_rstd, xhat = normalised(x, 1)
    np.testing.assert_allclose(mean, true_mean[:, 0], **close(dtype))
    np.testing.assert_allclose(rstd, true_rstd[:, 0], **close(dtype))
    np.testing.assert_allclose(out, xhat * gamma + beta, **close(dtype))
    partial = junk((-(-R // norm.ROWS), K), np.float64)
    outputs = junk(x.shape, dtype), partial, partial
    out, dgammas, dbetas = run_parts(norm.layer_norm_grad, outputs, g, x, mean, rstd, gamma)
    np.testing.assert_allclose(out, gradient(g * gamma, true_rstd, xhat, 1), **close(dtype, rstd))
    np.testing.assert_allclose(sum_blocks(dgammas, dtype), (g * xhat).sum(0), **close(dtype))
    np.testing.assert_allclose(sum_blocks(dbetas, dtype), g.sum(0, dtype=np.float64), **close(dtype))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("R", "K"), [(5, 37), (300, 4), (3, 1), (0, 6)])
def test_rms_norm(dtype: Any, R: int, K: int) -> None:
    x, g, gamma = numbers((R, K), dtype, 1), numbers((R, K), dtype), numbers(K, dtype)
    wide = x.astype(np.float64)
    scale = 1 / np.sqrt((wide**2).mean(1, keepdims=True) + EPS)
    out, rstd = run_parts(norm.rms_norm, (junk(x.shape, dtype), junk(R, dtype)), x, gamma, *alone(dtype), EPS)
    np.testing.assert_allclose(rstd, scale[:, 0], **close(dtype))
    np.testing.assert_allclose(out, wide * scale * gamma, **close(dtype))
    h, xhat = g * gamma, wide * scale
    partial = junk((-(-R // norm.ROWS), K), np.float64)
    out, dgammas = run_parts(norm.rms_norm_grad, (junk(x.shape, dtype), partial), g, x, rstd, gamma)
    np.testing.assert_allclose(out, scale * (h - xhat * (h * xhat).mean(1, keepdims=True)), **close(dtype))
    np.testing.assert_allclose(sum_blocks(dgammas, dtype), (g * xhat).sum(0), **close(dtype))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("N", "S", "C", "G"),
    [(2, 9, 6, 2), (1, 5, 150, 150), (3, 4, 6, 1), (2, 1, 4, 4), (0, 3, 4, 2), (5, 35, 150, 3), (1, 3, 1100, 1)],
)
def test_group_norm(dtype: Any, N: int, S: int, C: int, G: int) -> None:
    x, g, gamma, beta = numbers((N, S, C), dtype, 3), numbers((N, S, C), dtype), numbers(C, dtype), numbers(C, dtype)
    scratch = np.full((N, 4, C), np.nan)

    def kernel(function: Any, outputs: Any, *arguments: Any) -> Any:
        count = len(outputs)
        return run_parts(lambda *rest: function(*rest[:count], scratch, *rest[count:]), outputs, *arguments)

    outputs = junk(x.shape, dtype), junk((N, G), dtype), junk((N, G), dtype)
    out, mean, rstd = kernel(norm.group_norm, outputs, x, gamma, beta, *alone(dtype), EPS)
    grouped = x.reshape(N, S, G, C // G)
    true_mean, true_rstd, xhat = normalised(grouped, (1, 3))
    np.testing.assert_allclose(mean, true_mean[:, 0, :, 0], **close(dtype))
    np.testing.assert_allclose(rstd, true_rstd[:, 0, :, 0], **close(dtype))
    xhat_flat = xhat.reshape(x.shape)
    np.testing.assert_allclose(out, xhat_flat * gamma + beta, **close(dtype))
    partial = junk((N, C), np.float64)
    outputs = junk(x.shape, dtype), partial, partial.copy()
    out, dgammas, dbetas = kernel(norm.group_norm_grad, outputs, g, x, mean, rstd, gamma, nothing(dtype))
    np.testing.assert_allclose(sum_blocks(dgammas, dtype), (g * xhat_flat).sum((0, 1)), **close(dtype))
    np.testing.assert_allclose(sum_blocks(dbetas, dtype), g.sum((0, 1), dtype=np.float64), **close(dtype))
    expected = gradient((g * gamma).reshape(grouped.shape), true_rstd, xhat, (1, 3)).reshape(x.shape)
    np.testing.assert_allclose(out, expected, **close(dtype, rstd))


def test_nan_stays_in_its_row_group_and_channel() -> None:
    x = numbers((4, 6), np.float64)
    x[1, 2] = np.nan
    mean, _, rstd = batch_statistics(x)
    assert np.isnan(mean).nonzero()[0].tolist() == np.isnan(rstd).nonzero()[0].tolist() == [2]
    one, zero = np.ones(6), np.zeros(6)
    outputs = junk(x.shape, x.dtype), junk(4, x.dtype), junk(4, x.dtype)
    out, _, _ = run_parts(norm.layer_norm, outputs, x, one, zero, *alone(x.dtype), EPS)
    assert np.isnan(out).all(1).tolist() == np.isnan(out).any(1).tolist() == [False, True, False, False]


def test_like_pytorch() -> None:
    torch = pytest.importorskip("torch")
    x, g, gamma, beta = (torch.from_numpy(numbers(shape, np.float64)) for shape in ((2, 6, 5), (2, 6, 5), 6, 6))
    x.requires_grad_()
    out = torch.nn.functional.group_norm(x, 3, gamma, beta, EPS)
    out.backward(g)
    last = [np.ascontiguousarray(y.detach().numpy().transpose(0, 2, 1)) for y in (x, g, out, x.grad)]
    (x, g, expected, expected_dx), (gamma, beta) = last, (gamma.numpy(), beta.numpy())
    scratch, statistics, sums = np.empty((2, 4, 6)), np.empty((2, 3)), np.empty((2, 6))
    out, mean, rstd, dgammas, dbetas = np.empty_like(x), statistics, statistics.copy(), sums, sums.copy()
    norm.group_norm(out, mean, rstd, scratch, x, gamma, beta, *alone(x.dtype), EPS, 0, 1)
    np.testing.assert_allclose(out, expected, 1e-12, 1e-12)
    norm.group_norm_grad(out, dgammas, dbetas, scratch, g, x, mean, rstd, gamma, nothing(x.dtype), 0, 1)
    np.testing.assert_allclose(out, expected_dx, 1e-12, 1e-12)
