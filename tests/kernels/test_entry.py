"""Calls of kernels as they are compiled."""

import numpy as np
import pytest

import autodiff_kernels as kernels

FLOAT32, FLOAT64, BOOL = map(np.dtype, (np.float32, np.float64, np.bool_))


@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3), (2, 0, 3), (2, 3, 2, 2)])
def test_arrays_of_any_rank_are_seen_as_one_row(shape):
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    partial, out = np.full((1, 1, 1), np.nan), np.full((1, 1), np.nan, np.float32)
    kernels.entry.compiled(kernels.reduce.dot_partial, FLOAT64, FLOAT32, FLOAT32)(partial, x, x, 0, 1)
    kernels.entry.compiled(kernels.reduce.sum_combine, FLOAT32, FLOAT64)(out, partial, 0, 1)
    assert out == (x * x).sum()


def test_an_array_with_gaps_is_seen_from_its_first_element_on():
    a, b = np.arange(12, dtype=np.float32).reshape(3, 4).T[1:, ::2], np.ones((2, 5), np.float32)
    out, none = np.full((3, 5), np.nan, np.float32), np.empty(0, np.float32)
    product = kernels.entry.compiled(kernels.matmul.matmul, *[FLOAT32] * 3, FLOAT64, *[FLOAT32] * 5)
    product(out, none, none, np.empty(0), a, b, none, none, none, 0, 1, 1, 3, 5, 2, 0, 0, 1, 8, 0, 0, 5, 1, 0, 1)
    np.testing.assert_array_equal(out, a @ b)


def test_there_is_one_for_each_choice_of_dtypes():
    equal = kernels.elementwise.equal
    walk = kernels.elementwise.plan((2,), (1,), [((2,), (1,))] * 2)
    for dtype in (FLOAT32, FLOAT64, BOOL):
        out, x, y = np.zeros(2, np.bool_), np.array([1, 0], dtype), np.array([1, 1], dtype)
        function = kernels.entry.compiled(equal, BOOL, dtype, dtype, walk.dtype)
        function(out, x, y, walk, 0, 1)
        assert out.tolist() == [True, False]
        assert kernels.entry.compiled(equal, BOOL, dtype, dtype, walk.dtype) is function


def test_an_array_is_kept_alive_by_a_call_that_is_written_down():
    function = kernels.entry.compiled(kernels.reduce.sum_combine, FLOAT32, FLOAT64)
    out, partial = np.zeros((1, 1), np.float32), np.ones((2, 2))
    (call,) = kernels.replay.record(function, out, partial, 0, 1)
    assert [x is y for x, y in zip(call.objects, (out, partial), strict=True)] == [True, True]
    assert out[0, 0] == 0
