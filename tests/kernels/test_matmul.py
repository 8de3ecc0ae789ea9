"""Matrix products against NumPy in float64."""

import os
import subprocess
import sys

import numpy as np
import pytest

from autodiff_kernels import matmul as family
from autodiff_kernels import reduce
from autodiff_kernels.cpu import VECTOR_BYTES

matmul, matmul_scratch, STRETCH = family.matmul, family.matmul_scratch, family.STRETCH

GUARD = 7.0
SIZES = [0, 1, 2, 7, 8, 9, 10, 16, 31, 33, 70, 130]


def product(a, b, bias=None, parts=1, transpose_a=False, transpose_b=False, residual=None, scale=None, activation=0,
            in_place=False):
    """a @ b by the kernel, with what follows; the factors are stored transposed where asked, so that strides differ.

    `in_place`: the residual is what the result's memory holds.
    """
    m, n, k, itemsize = a.shape[-2], b.shape[-1], a.shape[-1], a.itemsize
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    outer, inner = (1,) * (2 - len(batch)) + batch
    strides, buffers = [], []
    for factor, transposed in ((a, transpose_a), (b, transpose_b)):
        stored = np.ascontiguousarray(factor.swapaxes(-1, -2) if transposed else factor)
        buffers.append(stored.reshape(-1))
        stored = stored.swapaxes(-1, -2) if transposed else stored
        seen = np.broadcast_to(stored, (outer, inner, *stored.shape[-2:]))
        strides += [stride // itemsize for stride in seen.strides]
    memory = np.full(outer * inner * m * n + 64, GUARD, a.dtype)
    out = memory[: memory.size - 64]
    out[:] = residual.reshape(-1) if in_place else np.nan
    none = np.zeros(0, a.dtype)
    no_sums = (none, np.zeros(0))
    other = none if residual is None else out if in_place else residual.reshape(-1)
    following = (other, none if scale is None else scale, activation)
    scratch = np.full(matmul_scratch(m, n, k, strides[2], strides[7], itemsize, parts) + 16, np.nan, a.dtype)
    scratch[-16:] = GUARD
    for part in reversed(range(parts)):
        matmul(out, scratch, *no_sums, *buffers, none if bias is None else bias, *following,
               outer, inner, m, n, k, *strides, part, parts)
    assert (memory[out.size :] == GUARD).all()
    assert (scratch[-16:] == GUARD).all()
    return out.reshape(*batch, m, n)


def check(a, b, bias=None, **how):
    got = product(a, b, bias, **how)
    want = a.astype(np.float64) @ b.astype(np.float64) + (0 if bias is None else bias)
    k = a.shape[-1]
    tolerance = np.finfo(a.dtype).eps * (np.abs(a).astype(np.float64) @ np.abs(b) + 2) * (np.sqrt(k) + 2)
    assert got.dtype == a.dtype
    assert (np.abs(got - want) <= tolerance).all()
    again = product(a, b, bias, **{**how, "parts": 3})
    np.testing.assert_array_equal(got, again)
    return got


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_sizes_and_transpositions(dtype, transpose_a, transpose_b):
    rng = np.random.default_rng(0)
    for trial in range(120):
        m, n, k = (int(size) for size in rng.choice(SIZES, 3))
        k = int(rng.integers(250, 800)) if trial % 5 == 0 else k
        bias = rng.standard_normal(n).astype(dtype) if trial % 2 else None
        a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
        check(a, b, bias, transpose_a=transpose_a, transpose_b=transpose_b)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("transpose_b", [False, True])
def test_few_columns_have_the_same_bits_however_the_left_factor_lies(dtype, transpose_b):
    """Where its columns lie in memory one after the other, the transposed product is computed."""
    rng = np.random.default_rng(3)
    for n in range(2, 34):
        m, k = int(rng.integers(30, 75)), int(rng.choice([1, 2, 40, 500]))
        a, b = rng.standard_normal((2, m, k)).astype(dtype), rng.standard_normal((2, k, n)).astype(dtype)
        bias = rng.standard_normal(n).astype(dtype) if n % 2 else None
        turned = check(a, b, bias, transpose_a=True, transpose_b=transpose_b)
        np.testing.assert_array_equal(turned, product(a, b, bias, transpose_b=transpose_b))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("batch_a", "batch_b"), [((3,), (3,)), ((2, 3), (2, 3)), ((2, 1), (1, 3)), ((), (2, 2)),
                                                  ((5,), ()), ((0,), (0,)), ((2, 0), (1, 1))])
@pytest.mark.parametrize(("m", "n", "k"), [(9, 33, 20), (1, 40, 7), (40, 1, 7), (1, 1, 300), (6, 35, 1), (4, 5, 0)])
def test_batches_broadcast(dtype, batch_a, batch_b, m, n, k):
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((*batch_a, m, k)).astype(dtype), rng.standard_normal((*batch_b, k, n)).astype(dtype)
    for transpose_b in (False, True):
        check(a, b, rng.standard_normal(n).astype(dtype), transpose_a=not transpose_b, transpose_b=transpose_b)


def test_no_stride_is_one():
    rng = np.random.default_rng(2)
    wide_a, wide_b = (rng.standard_normal((2 * 40, 3 * 40)).astype(np.float32) for _ in range(2))
    out = np.empty(40 * 40, np.float32)
    scratch = np.empty(matmul_scratch(40, 40, 40, 240, 3, 4, 1), np.float32)
    none = np.zeros(0, np.float32)
    matmul(out, scratch, none, np.zeros(0), wide_a.reshape(-1), wide_b.reshape(-1), none, none, none, 0, 1, 1,
           40, 40, 40, 0, 0, 240, 3, 0, 0, 240, 3, 0, 1)
    a, b = (x[::2, ::3] for x in (wide_a, wide_b))
    np.testing.assert_array_equal(out.reshape(40, 40), product(np.ascontiguousarray(a), np.ascontiguousarray(b)))


def product_and_sums(a, b, parts):
    """a.T @ b and the sums of a's rows by the kernel."""
    (k, m), n = a.shape, b.shape[1]
    out, none, room = np.full((m, n), np.nan, a.dtype), np.zeros(0, a.dtype), family.totals_size(m)
    scratch = np.empty(matmul_scratch(m, n, k, 1, 1, a.itemsize, parts), a.dtype)
    sums, totals = np.full(m + 16, GUARD, a.dtype), np.full(parts * room + 16, GUARD)
    for part in reversed(range(parts)):
        matmul(out.reshape(-1), scratch, sums[:m], totals[: parts * room], a.reshape(-1), b.reshape(-1), none, none,
               none, 0, 1, 1, m, n, k, 0, 0, 1, m, 0, 0, n, 1, part, parts)
    assert (sums[m:] == GUARD).all()
    assert (totals[parts * room :] == GUARD).all()
    return out, sums[:m]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("m", "n", "k"), [(1, 5, 7), (5, 1, 7), (7, 40, 1), (70, 70, 1), (9, 0, 5), (9, 33, 0),
                                           (10, 256, 131), (67, 3, 500), (300, 16, 1003), (700, 300, 777),
                                           (2100, 5, 390), (31, 1000, 1550)])
def test_sums_of_the_left_factor_are_those_of_a_reduction(dtype, m, n, k):
    rng = np.random.default_rng(8)
    a, b = rng.standard_normal((k, m)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    want = np.empty(m, dtype)
    reduce.sum_axes(want, np.empty(2 * reduce.TILE), a.reshape(-1), 1, k, m, 1, 0, 1)
    for parts in (1, 2, 3, 7):
        got, sums = product_and_sums(a, b, parts)
        np.testing.assert_array_equal(got, product(np.ascontiguousarray(a.T), b, transpose_a=True))
        np.testing.assert_array_equal(sums, want)
    exact = np.abs(a).sum(0, dtype=np.float64)
    assert (np.abs(sums - a.sum(0, dtype=np.float64)) <= 2 * np.finfo(dtype).eps * exact).all()


def test_sums_that_are_not_finite_stay_in_their_columns():
    a = np.ones((801, 40), np.float32)
    a[3, 1], a[:2, 2], a[400, 39] = np.inf, (np.inf, -np.inf), np.nan
    for parts in (1, 3):
        _, sums = product_and_sums(a, a, parts)
        np.testing.assert_array_equal(sums, [801, np.inf, np.nan, *[801] * 36, np.nan])


def test_not_a_number_stays_in_its_row_and_column():
    a, b = np.ones((9, 17), np.float32), np.ones((17, 35), np.float32)
    a[8, 16], b[3, 34] = np.nan, np.inf
    for transpose in (False, True):
        out = product(a, b, transpose_a=transpose, transpose_b=transpose)
        assert np.isnan(out[8]).all()
        assert (out[:8, :34] == 17).all()
        assert np.isinf(out[:8, 34]).all()


def test_stretches_are_summed_apart_and_the_bias_last():
    # 2**24 + 1 is no float32: each 1 added to 2**24 alone is lost, the second stretch's sum is not.
    a = np.ones((8, 2 * STRETCH), np.float32)
    b = np.ones((2 * STRETCH, 32), np.float32)
    a[:, 0] = 2.0**24
    out = product(a, b, np.full(32, -(2.0**24), np.float32))
    assert (out == STRETCH).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("m", "n", "k"), [(200, 70, 300), (400, 130, 70), (7, 600, 33), (1, 700, 600), (900, 1, 40),
                                           (1, 5, 9000), (1, 1, 5000), (3, 200, 64), (300, 40, 17), (200, 2200, 256),
                                           (150, 216, 800)])
def test_packed_blocks_and_single_rows(dtype, m, n, k):
    rng = np.random.default_rng(5)
    a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    bias = rng.standard_normal(n).astype(dtype)
    for transpose_a in (False, True):
        for transpose_b in (False, True):
            check(a, b, bias, transpose_a=transpose_a, transpose_b=transpose_b)


def test_rows_a_page_apart():
    rng = np.random.default_rng(6)
    a, b = rng.standard_normal((60, 1024)).astype(np.float32), rng.standard_normal((1024, 1024)).astype(np.float32)
    assert matmul_scratch(60, 1024, 1024, 1024, 1, 4, 1) > 0
    check(a, b)


DIGEST = """
import hashlib, test_matmul, numpy as np
rng = np.random.default_rng(3)
digest = hashlib.sha256()
for m, n, k in [(9, 35, 300), (1, 130, 40), (50, 1, 40), (16, 16, 16), (210, 140, 40), (1, 40, 5000)]:
    for transpose in (False, True):
        a, b = rng.standard_normal((m, k)).astype(np.float32), rng.standard_normal((k, n)).astype(np.float32)
        digest.update(test_matmul.product(a, b, None, 1, transpose, transpose).tobytes())
    for got in test_matmul.product_and_sums(np.ascontiguousarray(a.T), b, 2):
        digest.update(got.tobytes())
print(digest.hexdigest(), test_matmul.matmul.stats.cache_hits.total())
"""


def run_digest(cache, **environment):
    path = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path, "AUTODIFF_CACHE_DIR": str(cache), **environment}
    return subprocess.run([sys.executable, "-c", DIGEST], env=environment, capture_output=True, text=True,
                          check=True).stdout.split()


OTHERS = {
    **{f"{width} bytes": {"VECTOR_BYTES": width} for width in (16, 32) if width < VECTOR_BYTES},
    "16 bytes, 32 registers": {"VECTOR_BYTES": 16, "VECTOR_REGISTERS": 32},
    "tiny caches": {"L1_BYTES": 4096, "L2_BYTES": 8192},
    "large caches": {"L1_BYTES": 1 << 20, "L2_BYTES": 1 << 24},
}


def test_bits_do_not_depend_on_registers_and_caches_and_the_disk_cache_is_hit(tmp_path):
    bits, _ = run_digest(tmp_path)
    assert run_digest(tmp_path) == [bits, "1"]
    for name, numbers in OTHERS.items():
        environment = {f"AUTODIFF_{variable}": str(value) for variable, value in numbers.items()}
        assert run_digest(tmp_path, **environment) == [bits, "0"], name
