"""Norms with what follows them, and the gradients of norm and ReLU together: the bits of one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from run_parts import junk, require_same, run_parts
from test_epilogue import steps
from test_norm import EPS, FLOATS, alone, batch_statistics, nothing, numbers

from autodiff_kernels import elementwise, epilogue, norm, planes

ROWS = [(40, 5), (20, 70), (3, 150), (37, 16)]
PLANES = [(2, 6, 37), (3, 2, 100), (1, 3, 16)]
TAILS = [(adds, scales, name) for adds in (False, True) for scales in (False, True) for name in (None, "relu", "gelu")]


def special(shape: Any, dtype: Any) -> Any:
    """Return numbers, among them zeros of both signs, infinities and NaN; the first channel and the first row are 0."""
    x = numbers(shape, dtype, 0.3)
    x[..., 0] = 0
    x[0] = 0
    x.flat[11::19] = np.resize([-0.0, np.inf, np.nan, -np.inf], x.flat[11::19].shape)
    return x


def parameters(count: int, dtype: Any) -> Any:
    """Return weight and bias; some are 0, so that results are zeros of both signs."""
    gamma, beta = numbers(count, dtype), numbers(count, dtype)
    gamma[::4] *= 0
    beta[::4] = 0
    beta[::8] = -0.0
    return gamma, beta


def as_tuple(x: Any) -> Any:
    return x if isinstance(x, tuple) else (x,)


def check_epilogues(kernel: Any, outputs: Any, operands: Any, *rest: Any, scratch: Any = ()) -> None:
    def run(*tail: Any) -> Any:
        count = len(outputs)
        return as_tuple(run_parts(lambda *given: kernel(*given[:count], *scratch, *given[count:]), outputs, *operands,
                                  *tail, *rest))

    shape, dtype = outputs[0].shape, outputs[0].dtype
    with np.errstate(all="ignore"):
        plain, *others = run(*alone(dtype))
        for adds, scales, name in TAILS:
            residual = special(shape, dtype) if adds else nothing(dtype)
            scale = numbers(1 if scales else 0, dtype)
            code = epilogue.ACTIVATIONS[name] if name else epilogue.NONE
            require_same(run(residual.reshape(-1), scale, code), [steps(plain, residual, scale, name), *others])


@pytest.mark.parametrize("dtype", FLOATS)
def test_epilogues(dtype: Any) -> None:
    for shape in ROWS:
        R, C = shape
        x, (gamma, beta) = special(shape, dtype), parameters(C, dtype)
        mean, _, rstd = batch_statistics(numbers(shape, dtype))
        out, row = junk(shape, dtype), junk(R, dtype)
        check_epilogues(norm.batch_norm, (out,), (x, mean, rstd, gamma, beta))
        check_epilogues(norm.layer_norm, (out, row, row), (x, gamma, beta), EPS)
        check_epilogues(norm.rms_norm, (out, row), (x, gamma), EPS)
        for G in {1, C}:
            groups, scratch = junk((2, G), dtype), np.full((2, 4, C), np.nan)
            check_epilogues(norm.group_norm, (junk((2, R, C), dtype), groups, groups),
                            (special((2, R, C), dtype), gamma, beta), EPS, scratch=(scratch,))
    for shape in PLANES:
        N, C, _ = shape
        x, (gamma, beta), out = special(shape, dtype), parameters(C, dtype), junk(shape, dtype)
        check_epilogues(planes.batch_norm, (out,), (x, numbers(C, dtype), numbers(C, dtype), gamma, beta))
        for G in {1, C}:
            check_epilogues(planes.group_norm, (out, *[junk((N, G), dtype)] * 2), (x, gamma, beta), EPS)


def masked(g: Any, y: Any) -> Any:
    """Return the cotangent that ReLU lets pass."""
    out = np.empty(g.shape, g.dtype)
    walk = elementwise.plan(g.shape, tuple(step // g.itemsize for step in out.strides), [
        (a.shape, tuple(step // a.itemsize for step in a.strides)) for a in (g, y)])
    elementwise.relu_grad(*[elementwise.carrier(a) for a in (out, g, y)], walk, 0, 1)
    return out


def check_mask(kernel: Any, outputs: Any, operands: Any, beta: Any, y: Any, *rest: Any, scratch: Any = ()) -> None:
    def run(g: Any, shift: Any) -> Any:
        count = len(outputs)
        return as_tuple(run_parts(lambda *given: kernel(*given[:count], *scratch, *given[count:]), outputs, g,
                                  *operands, shift, *rest))

    with np.errstate(all="ignore"):
        for g in (special(y.shape, y.dtype), numbers(y.shape, y.dtype)):
            found = run(g, beta)
            require_same(found, run(masked(g, y), nothing(y.dtype)))
        different = [a.tobytes() != b.tobytes() for a, b in zip(found, run(g, nothing(y.dtype)), strict=True)]
        assert any(different)


def relu(dtype: Any) -> Any:
    return nothing(dtype), nothing(dtype), epilogue.ACTIVATIONS["relu"]


@pytest.mark.parametrize("dtype", FLOATS)
def test_gradients_of_relu_of_a_norm(dtype: Any) -> None:
    for shape in ROWS:
        R, C = shape
        x, (gamma, beta) = special(shape, dtype), parameters(C, dtype)
        mean, _, rstd = batch_statistics(numbers(shape, dtype))
        y = run_parts(norm.batch_norm, junk(shape, dtype), x, mean, rstd, gamma, beta, *relu(dtype))
        sums = junk((-(-R // norm.ROWS), C), np.float64)
        check_mask(norm.batch_norm_grad_partial, (sums, sums), (x, mean, rstd, gamma), beta, y)
        for training in (0, 1):
            check_mask(norm.batch_norm_grad, (junk(shape, dtype),), (x, mean, rstd, gamma), beta, y,
                       numbers(C, dtype), numbers(C, dtype), training)
        for G in {1, C}:
            image, groups, scratch = numbers((2, R, C), dtype), junk((2, G), dtype), np.full((2, 4, C), np.nan)
            outputs = junk(image.shape, dtype), groups, groups
            y, mean_g, rstd_g = run_parts(
                lambda *given, scratch=scratch: norm.group_norm(*given[:3], scratch, *given[3:]), outputs, image,
                gamma, beta, *relu(dtype), EPS)
            check_mask(norm.group_norm_grad, (outputs[0], *[junk((2, C), np.float64)] * 2),
                       (image, mean_g, rstd_g, gamma), beta, y, scratch=(scratch,))
    for shape in PLANES:
        N, C, _ = shape
        x, (gamma, beta), sums = special(shape, dtype), parameters(C, dtype), junk((N, C), np.float64)
        mean, rstd, out = numbers(C, dtype), numbers(C, dtype), junk(shape, dtype)
        y = run_parts(planes.batch_norm, out, x, mean, rstd, gamma, beta, *relu(dtype))
        check_mask(planes.batch_norm_grad_partial, (sums, sums), (x, mean, rstd, gamma), beta, y)
        check_mask(planes.batch_norm_grad, (out,), (x, mean, rstd, gamma), beta, y, numbers(C, dtype),
                   numbers(C, dtype), 1)
        for G in {1, C}:
            x, groups = numbers(shape, dtype), junk((N, G), dtype)
            y, mean_g, rstd_g = run_parts(planes.group_norm, (out, groups, groups), x, gamma, beta, *relu(dtype), EPS)
            check_mask(planes.group_norm_grad, (out, sums, sums), (x, mean_g, rstd_g, gamma), beta, y)
