"""The steps of an epilogue, done on blocks: the bits of the element-wise kernels, one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numba import njit

from autodiff_kernels import elementwise, epilogue
from autodiff_kernels.lanes import address

FLOATS = [np.float32, np.float64]
rng = np.random.default_rng(0)


@njit
def finish(out: Any, start: int, residual: Any, scale: Any, activation: int, rows: int, row: int, columns: int) -> None:
    size = out.itemsize
    epilogue.finish(out, address(out) + start * size, address(residual) + start * size if residual.shape[0] > 0 else 0,
                    address(scale) if scale.shape[0] > 0 else 0, activation, rows, row * size, columns)


def steps(x: Any, residual: Any, scale: Any, name: str | None) -> Any:
    """The same by the kernels of element-wise operations."""

    def run(kernel: str, *operands: Any) -> Any:
        out = np.empty(x.shape, x.dtype)
        walk = elementwise.plan(x.shape, (x.shape[1], 1), [
            (operand.shape, tuple(stride // x.itemsize for stride in operand.strides)) for operand in operands])
        getattr(elementwise, kernel)(*[elementwise.carrier(a) for a in (out, *operands)], walk, 0, 1)
        return out

    x = run("multiply", x, scale.reshape(())) if scale.size else x
    x = run("add", x, residual) if residual.size else x
    return run(name, x) if name else x


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", [None, *epilogue.ACTIVATIONS])
def test_bits_are_those_of_the_steps(name: str | None, dtype: Any) -> None:
    for rows, columns, gap, start in [(1, 1, 0, 0), (3, 5, 2, 0), (40, 32, 9, 3), (2, 700, 0, 1), (1, 1100, 0, 0),
                                      (9, 64, 64, 0), (3, 161, 1, 7), (1, 0, 0, 0), (0, 4, 0, 0)]:
        for adds, scales in [(True, True), (False, True), (True, False), (False, False)]:
            row = columns + gap
            memory = rng.standard_normal(start + rows * row).astype(dtype) * 3
            memory[start + 2 :: 13] = -0.0
            memory[start + 3 :: 17] = [np.nan, np.inf, -np.inf][rows % 3]
            residual = rng.standard_normal(memory.size if adds else 0).astype(dtype)
            scale = rng.standard_normal(1 if scales else 0).astype(dtype)

            def block(values: Any, start: int = start, shape: tuple[int, int] = (rows, row), n: int = columns) -> Any:
                return values[start:].reshape(shape)[:, :n]

            want = memory.copy()
            with np.errstate(all="ignore"):
                if rows * columns:
                    added = block(residual) if adds else residual
                    block(want)[:] = steps(block(memory).copy(), added.copy(), scale, name)
            code = epilogue.ACTIVATIONS[name] if name else epilogue.NONE
            finish(memory, start, residual, scale, code, rows, row, columns)
            assert memory.tobytes() == want.tobytes()
