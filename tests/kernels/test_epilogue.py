"""The steps of an epilogue, done on blocks: the bits of the element-wise kernels, one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numba import njit
from run_parts import require_same
from test_matmul import product

from autodiff_kernels import elementwise, epilogue, matmul
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
        walk = elementwise.plan(x.shape, tuple(stride // x.itemsize for stride in out.strides), [
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
            require_same([memory], [want])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("m", "n", "k"), [
    (9, 33, 20), (200, 70, 300), (40, 40, 900), (1, 40, 7), (1, 2100, 500), (70, 1, 40), (1, 1, 300), (6, 35, 1),
    (6, 150, 1), (70, 5, 40), (70, 3, 500), (4, 5, 0), (0, 5, 4), (170, 34, 8), (40, 300, 20), (330, 400, 40),
    (170, 1450, 384)])
def test_products_with_an_epilogue(dtype: Any, m: int, n: int, k: int) -> None:
    names = [*epilogue.ACTIVATIONS, None]
    for number, (batch, transposed) in enumerate([((), False), ((), True), ((2, 1), True), ((3,), False)]):
        a, b = rng.standard_normal((*batch, m, k)).astype(dtype), rng.standard_normal((*batch, k, n)).astype(dtype)
        for trial, (adds, scales) in enumerate([(True, True), (False, True), (True, False), (False, False)]):
            how = {"transpose_a": transposed, "transpose_b": trial % 2 == 0, "bias": None}
            if trial % 2 or n == 1:
                how["bias"] = rng.standard_normal(n).astype(dtype)
            name = names[(number + 4 * trial + m + k) % len(names)]
            residual = rng.standard_normal((*batch, m, n) if adds else 0).astype(dtype)
            scale = rng.standard_normal(1 if scales else 0).astype(dtype)
            made = product(a, b, **how)
            want = steps(made, residual, scale, name) if made.size else made
            how |= {"residual": residual if adds else None, "scale": scale, "activation": 0}
            how["activation"] = epilogue.ACTIVATIONS[name] if name else epilogue.NONE
            places = [False, True] if adds and k <= matmul.STRETCH else [False]
            for parts in (1, 3):
                for in_place in places:
                    found = product(a, b, parts=parts, in_place=in_place, **how)
                    assert found.tobytes() == want.tobytes(), (batch, transposed, name, adds, scales, parts, in_place)
