"""What kernels are written in: vectors (`vectors.py`) and the instructions below them (`lanes.py`), beside NumPy.

Arrays are as long as what may be touched of them, and end or begin at a page without access.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numba import njit, types
from numba.extending import intrinsic as _intrinsic

from autodiff_kernels import lanes, maths, vectors
from autodiff_kernels.cpu import VECTOR_BYTES
from autodiff_kernels.lanes import DOT_BYTES, DOT_ROWS, TILE_ROWS, Lanes, address
from autodiff_kernels.memory import pointer
from autodiff_kernels.vectors import filled, first, kept, read, select, width, write, zeros
from tests.fence import PAGE, fence

Array = Any
intrinsic: Any = _intrinsic
REGISTERS = 4  # of the wide vectors


@pytest.fixture(params=["behind", "before"], autouse=True)
def _fence(request: pytest.FixtureRequest) -> Iterator[None]:
    with fence(request.param):
        yield


@pytest.fixture(params=[np.float32, np.float64])
def dtype(request: pytest.FixtureRequest) -> Any:
    return request.param


def count_of(dtype: Any) -> int:
    """Return the number of lanes of a register."""
    return VECTOR_BYTES // np.dtype(dtype).itemsize


def draw(dtype: Any, *shape: int) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


def bits(x: Array) -> bytes:
    return bytes(np.ascontiguousarray(x).tobytes())


# ---- Reading and writing ---------------------------------------------------------------------------------------------


@njit
def copy(out: Array, x: Array, left: int, written: int, fill: float, wide: bool) -> int:
    """Read `left` numbers, and the fill for the others of a vector; write `written` of them."""
    source, target = pointer(x, 0), pointer(out, 0)
    if wide:
        like = zeros(x, REGISTERS, REGISTERS)
        write(target, 0, read(source, 0, like, left, fill), written)
        return width(like)
    one = zeros(x, 1, 1)
    write(target, 0, read(source, 0, one, left, fill), written)
    return width(one)


@pytest.mark.parametrize("wide", [False, True])
def test_every_count_is_read_and_written(dtype: Any, wide: bool) -> None:
    lanes = count_of(dtype) * (REGISTERS if wide else 1)
    for count in range(lanes + 1):
        x, whole, some = draw(dtype, count), np.full(lanes, 7, dtype), np.full(count, 7, dtype)
        assert copy(whole, x, count, lanes + 1, -2.5, wide) == lanes
        assert bits(whole) == bits(np.append(x, np.full(lanes - count, -2.5, dtype)))
        copy(some, whole, lanes, count, 0, wide)
        assert bits(some) == bits(x)
        guarded = np.full(lanes, 7, dtype)
        copy(guarded, whole, lanes + 3, count, 0, wide)
        assert bits(guarded) == bits(np.append(x, np.full(lanes - count, 7, dtype)))
    none = np.zeros(0, dtype)
    copy(none, none, -1, -1, 0, wide)


@njit
def masked(out: Array, x: Array, count: int) -> None:
    value = read(pointer(x, 0), 0, zeros(x, 1, 1), x.size, 0)
    n = width(value)
    write(pointer(out, 0), 0, select(first(value, count), value, 0 - value), n)
    write(pointer(out, n), 0, kept(value, count), n)
    write(pointer(out, 2 * n), 0, select(first(value, count), 1, filled(value, 3)), n)


@njit
def ends(x: Array, n: int) -> int:
    return vectors.whole(n, zeros(x, 1, 1))


def test_masks_of_every_count(dtype: Any) -> None:
    n = count_of(dtype)
    x, places = draw(dtype, n), np.arange(n)
    for count in (-5, *range(n + 2), 1 << 20):
        out = np.empty((3, n), dtype)
        masked(out.reshape(-1), x, count)
        expected = [np.where(places < count, *pair) for pair in ((x, 0 - x), (x, 0), (1, 3))]
        np.testing.assert_array_equal(out, expected)
        assert ends(x, max(count, 0)) == max(count, 0) // n * n


# ---- Arithmetic ------------------------------------------------------------------------------------------------------


@njit
def operate(out: Array, x: Array, y: Array, number: float) -> None:
    like = zeros(x, 1, 1)
    n = width(like)
    a, b, goal = read(pointer(x, 0), 0, like, n, 0), read(pointer(y, 0), 0, like, n, 0), pointer(out, 0)
    write(goal, 0, a + b, n)
    write(goal, n, a - b, n)
    write(goal, 2 * n, a * b, n)
    write(goal, 3 * n, a / b, n)
    write(goal, 4 * n, a + number, n)
    write(goal, 5 * n, number - a, n)
    write(goal, 6 * n, a * number, n)
    write(goal, 7 * n, number / a, n)


def test_operators(dtype: Any) -> None:
    n = count_of(dtype)
    x, y, number = draw(dtype, n), draw(dtype, n, 1)[:, 0], dtype(1.7)
    x[0], y[1] = np.inf, 0
    out = np.empty((8, n), dtype)
    operate(out.reshape(-1), x, y, number)
    with np.errstate(all="ignore"):
        expected = [x + y, x - y, x * y, x / y, x + number, number - x, x * number, number / x]
    np.testing.assert_array_equal(out, np.array(expected))
    assert out.dtype == dtype


@njit
def multiply_add(out: Array, x: Array, y: Array, z: float) -> None:
    like = zeros(x, 1, 1)
    n = width(like)
    a, b = read(pointer(x, 0), 0, like, n, 0), read(pointer(y, 0), 0, like, n, 0)
    write(pointer(out, 0), 0, maths.fma(a, b, z), n)


def test_a_multiply_add_is_rounded_once(dtype: Any) -> None:
    n = count_of(dtype)
    small = np.finfo(dtype).eps * np.arange(1, n + 1).astype(dtype)
    out = np.empty(n, dtype)
    multiply_add(out, 1 + small, 1 - small, -1.0)
    np.testing.assert_array_equal(out, -(small**2))  # (1 + s)(1 - s) rounded is 1


@njit
def compare(out: Array, x: Array, y: Array) -> None:
    like = zeros(x, 1, 1)
    n = width(like)
    a, b, goal = read(pointer(x, 0), 0, like, n, 0), read(pointer(y, 0), 0, like, n, 0), pointer(out, 0)
    write(goal, 0, select(a < b, filled(a, 1), 0), n)
    write(goal, n, select(a > b, filled(a, 1), 0), n)
    write(goal, 2 * n, select(a != b, filled(a, 1), 0), n)
    write(goal, 3 * n, select((a < b) | (a > b), filled(a, 1), 0), n)
    write(goal, 4 * n, select(a < 0, a, b), n)


def test_comparisons_and_selection(dtype: Any) -> None:
    n = count_of(dtype)
    values = np.array([-1, 0, -0.0, 1, np.nan, np.inf, -np.inf, 2], dtype)
    for shift in range(len(values)):
        x, y = np.resize(values, n), np.resize(np.roll(values, shift), n)
        out = np.empty((5, n), dtype)
        compare(out.reshape(-1), x, y)
        np.testing.assert_array_equal(out, [x < y, x > y, x != y, (x < y) | (x > y), np.where(x < 0, x, y)])


@njit
def converted(wider: Array, back: Array, x: Array) -> None:
    value = read(pointer(x, 0), 0, zeros(x, 2, 4), x.size, 0)
    double = vectors.widen(value)
    write(pointer(wider, 0), 0, double, x.size)
    write(pointer(back, 0), 0, vectors.rounded(double * (1 + 2.0**-26), value), x.size)


def test_widening_and_rounding(dtype: Any) -> None:
    x = draw(dtype, 2 * VECTOR_BYTES // 4)
    wider, back = np.empty(x.size), np.empty(x.size, dtype)
    converted(wider, back, x)
    np.testing.assert_array_equal(wider, x.astype(np.float64))
    np.testing.assert_array_equal(back, (wider * (1 + 2.0**-26)).astype(dtype))


# ---- Reductions ------------------------------------------------------------------------------------------------------


@njit
def reduce(out: Array, registers: Array, x: Array, errors: Array) -> None:
    value = read(pointer(x, 0), 0, zeros(x, REGISTERS, REGISTERS), x.size, 0)
    out[0], out[1], out[2] = vectors.sum_of(value), vectors.product_of(value), vectors.largest_of(value)
    out[3], out[4] = vectors.exact_sum_of(value, read(pointer(errors, 0), 0, value, x.size, 0))
    folded = vectors.folded(value)
    write(pointer(registers, 0), 0, folded, width(folded))


def halved(x: Array, combine: Callable[..., Array], count: int = 1) -> Array:
    while len(x) > count:
        x = combine(x[: len(x) // 2], x[len(x) // 2 :])
    return x


def test_reductions(dtype: Any) -> None:
    n = count_of(dtype)
    x, errors = draw(dtype, REGISTERS * n), draw(dtype, REGISTERS * n) * np.finfo(dtype).eps
    out, registers = np.empty(5, dtype), np.empty(n, dtype)
    reduce(out, registers, x, errors)
    np.testing.assert_array_equal(out[:3], [halved(x, np.add)[0], halved(x, np.multiply)[0], x.max()])
    np.testing.assert_array_equal(registers, halved(x, np.add, n))
    exact = math.fsum(map(float, np.append(x, errors)))
    assert abs(float(out[3]) + float(out[4]) - exact) <= 4 * np.finfo(dtype).eps ** 2 * np.abs(x).sum()
    assert out[3] == out[0]


# ---- Prefetching -----------------------------------------------------------------------------------------------------


@njit
def prefetch(x: Array, offset: int) -> None:
    vectors.fetch(pointer(x, 0), offset, zeros(x, REGISTERS, REGISTERS))


def test_prefetching_what_cannot_be_read_does_nothing(dtype: Any) -> None:
    x = draw(dtype, 5)
    for offset in (0, 5, -1, PAGE, -PAGE, -x.ctypes.data // x.itemsize, 1 << 58):
        prefetch(x, offset)


# ---- Below vectors ---------------------------------------------------------------------------------------------------


@intrinsic
def instructions(typing_context: Any, like: Any, out: Any, x: Any, y: Any, count: Any) -> Any:
    """Write to `out`: x[:count], then y; one number everywhere; x and y alternating; and at last x[:count] alone."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, out, x, y, count = arguments
        emit = Lanes(builder, signature.args[0].dtype)
        places = [builder.add(out, out.type(i * VECTOR_BYTES)) for i in range(4)]
        mask, other = emit.first(count), emit.load(y)
        emit.store(emit.load(x, mask, other), places[0])
        emit.store(emit.load_broadcast(y), places[1])
        alternating = [i // 2 + i % 2 * emit.count for i in range(emit.count)]
        emit.store(emit.shuffle(other, emit.load(y), alternating), places[2])
        emit.prefetch(x)
        emit.store_first(emit.load(x, mask), places[3], count)
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 4), generate


@njit
def run_instructions(out: Array, x: Array, y: Array, count: int) -> None:
    instructions(x, address(out), address(x), address(y), count)


def test_instructions(dtype: Any) -> None:
    n = count_of(dtype)
    y = draw(dtype, n)
    for count in range(n + 1):
        x, out = draw(dtype, count), np.empty(3 * n + count, dtype)
        run_instructions(out, x, y, count)
        expected = np.concatenate([x, y[count:], np.full(n, y[0]), np.repeat(y[: n // 2], 2), x])
        assert bits(out) == bits(expected)


@njit
def copy_rows(out: Array, x: Array, rows: int, columns: int, row: int, column: int) -> None:
    size = x.itemsize
    if column == 1:
        lanes.copy_block(x, address(out), columns * size, address(x), row * size, rows, columns)
    else:
        for i in range(rows):
            lanes.copy_row(x, address(out) + i * columns * size, address(x) + i * row * size, column * size, columns)


@pytest.mark.parametrize("step", [1, 3])
def test_copies_of_every_count(dtype: Any, step: int) -> None:
    for columns in range(2 * count_of(dtype) + 2):
        for rows in range(4):
            size = max((rows - 1) * (columns * step + 2) + (columns - 1) * step + 1, 0) if rows and columns else 0
            x, out = draw(dtype, size), np.empty(rows * columns, dtype)
            copy_rows(out, x, rows, columns, columns * step + 2, step)
            expected = [x[i * (columns * step + 2) :][: columns * step : step] for i in range(rows)] if size else []
            assert bits(out) == bits(np.array(expected, dtype))


@njit
def transpose(out: Array, x: Array, rows: int, columns: int, row: int) -> None:
    n, size = width(zeros(x, 1, 1)), x.itemsize
    lanes.transpose_square(x, address(out), n * size, address(x), row * size, rows, columns)


def test_squares_of_every_shape_are_transposed(dtype: Any) -> None:
    n = count_of(dtype)
    for rows in range(1, n + 1):
        for columns in range(1, n + 1):
            row = columns + rows % 3
            x, out = draw(dtype, (rows - 1) * row + columns), np.empty((n, n), dtype)
            transpose(out.reshape(-1), x, rows, columns, row)
            expected = np.zeros((n, n), dtype)
            for i in range(n):
                expected[:columns, i] = x[min(i, rows - 1) * row :][:columns]
            assert bits(out) == bits(expected), (rows, columns)


@njit
def interleave(out: Array, x: Array, column: int, rows: int, columns: int) -> None:
    lanes.interleave(x, address(out), address(x), column * x.itemsize, rows, columns)


def test_rows_of_tiles_are_interleaved(dtype: Any) -> None:
    n = count_of(dtype)
    for rows in range(1, TILE_ROWS + 1):
        for columns in range(4):
            x = draw(dtype, max((columns - 1) * (rows + 1) + rows, 0) if columns else 0)
            out = np.empty(columns * TILE_ROWS + (-TILE_ROWS % n if columns else 0), dtype)
            interleave(out, x, rows + 1, rows, columns)
            for k in range(columns):
                assert bits(out[k * TILE_ROWS :][:rows]) == bits(x[k * (rows + 1) :][:rows])


# ---- Products of a row -----------------------------------------------------------------------------------------------


@njit
def combine(out: Array, a: Array, b: Array, count: int, again: int) -> None:
    size = out.itemsize
    if a.size == 1:
        lanes.combine_row(out, address(out), address(a), address(b), 0, 0, count, again)
    else:
        lanes.combine_rows(out, address(out), address(a), address(b), size, count * size, count, again)


@pytest.mark.parametrize("rows", [1, lanes.COMBINED_ROWS])
def test_multiples_of_rows_are_added(dtype: Any, rows: int) -> None:
    for count in range(2 * count_of(dtype) + 2):
        a, b, before = draw(dtype, rows), draw(dtype, rows, count), draw(dtype, count)
        for again in (0, 1):
            out = before.copy()
            combine(out, a, b.reshape(-1), count, again)
            expected = before * again + a.astype(np.float64) @ b
            np.testing.assert_allclose(out, expected, rtol=0, atol=20 * np.finfo(dtype).eps)


@njit
def dots(out: Array, a: Array, b: Array, height: int, depth: int, again: int) -> None:
    lanes.dot_rows(out, address(out), address(a), address(b), depth * out.itemsize, height, depth, again)


def test_dot_products_of_every_length(dtype: Any) -> None:
    for depth in range(2 * DOT_BYTES // np.dtype(dtype).itemsize + 2):
        for height in range(1, DOT_ROWS + 1):
            a, b, before = draw(dtype, depth), draw(dtype, height, depth), draw(dtype, height)
            for again in (0, 1):
                out = before.copy()
                dots(out, a, b.reshape(-1), height, depth, again)
                expected = before * again + b.astype(np.float64) @ a
                np.testing.assert_allclose(out, expected, rtol=0, atol=60 * np.finfo(dtype).eps)


@njit
def one_row(x: Array, y: Array) -> tuple[float, float]:
    return lanes.row_maximum(x, address(x), address(x), x.size), lanes.row_dot(x, address(x), address(y), x.size)


def test_reductions_of_a_row_of_every_length(dtype: Any) -> None:
    for count in range(2 * DOT_BYTES // np.dtype(dtype).itemsize + 2):
        x, y = draw(dtype, count), draw(dtype, count, 1)[:, 0]
        largest, dot = one_row(x, y)
        assert largest == (x.max() if count else -np.inf)
        np.testing.assert_allclose(dot, x.astype(np.float64) @ y, rtol=0, atol=60 * np.finfo(dtype).eps)
        if count > 1:
            x[x.argmin()] = np.nan
            assert one_row(x, y)[0] == largest


def test_a_row_of_nothing_but_not_a_number_has_no_largest(dtype: Any) -> None:
    x = np.full(3, np.nan, dtype)
    assert one_row(x, x)[0] == -np.inf
