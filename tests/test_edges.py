"""Every size around the edges of registers, tiles and windows: right, with the same bits for any number of threads.

Arrays, those of results and scratch too, end or begin at a page without access: whoever leaves them ends the process.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import autodiff.nn.functional as F
from autodiff import threads
from autodiff_kernels.cpu import TILES, VECTOR_BYTES, VECTOR_REGISTERS
from tests.fence import Side, fence

Array = np.ndarray[Any, np.dtype[Any]]

RUNS: tuple[tuple[int, Side], ...] = ((1, "behind"), (2, "before"), (3, "behind"))  # threads, and where the page lies
ROWS = TILES[VECTOR_BYTES, VECTOR_REGISTERS][0]
COLUMNS = TILES[VECTOR_BYTES, VECTOR_REGISTERS][1] * VECTOR_BYTES // 4
LANES = VECTOR_BYTES // 4
LENGTHS = [*range(1, 2 * LANES + 2), *range(4 * LANES - 1, 4 * LANES + 2), 8 * LANES + 1, 257]


@pytest.fixture(autouse=True)
def _every_size_on_all_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = ad.get_num_threads()
    monkeypatch.setattr(threads, "PART", 1e-30)
    yield
    ad.set_num_threads(before)


def draw(*shape: int, dtype: Any = np.float32) -> Array:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


def results(function: Callable[..., Any], *arrays: Array) -> list[Array]:
    """Return what a function of tensors gives, then the gradient of each argument, for cotangents that are drawn."""
    leaves = [ad.tensor(x) for x in arrays]
    for leaf in leaves:
        leaf.requires_grad_()
    given = function(*leaves)
    given.backward(ad.tensor(draw(*given.shape, dtype=arrays[0].dtype)))
    return [given.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves if leaf.grad is not None)]


Call = Callable[[], list[Array]]


def everywhere(calls: Sequence[Call]) -> list[list[Array]]:
    """Return what each call gives, once all `RUNS` have given the same bits."""
    found: list[list[list[tuple[Any, ...]]]] = []
    for count, side in RUNS:
        ad.set_num_threads(count)
        with fence(side):
            found.append([[(x.dtype, x.shape, x.tobytes()) for x in call()] for call in calls])
    for number, (one, *others) in enumerate(zip(*found, strict=True)):
        assert all(other == one for other in others), f"call {number} depends on the number of threads or on a place"
    return [[np.frombuffer(data, dtype).reshape(shape) for dtype, shape, data in one] for one in found[0]]


def close(got: Array, expected: Any, what: object) -> None:
    tolerance = 2e-4 if got.dtype == np.float32 else 1e-11
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance, err_msg=str(what))


def check_linear(calls: Sequence[Call], arguments: Sequence[tuple[Array, ...]], references: Sequence[Any]) -> None:
    """Check results of functions that are linear in each argument, and gradients: <g, f(x)> = <f'(x) g, x>."""
    for given, inputs, reference in zip(everywhere(calls), arguments, references, strict=True):
        shapes = [x.shape for x in inputs]
        close(given[0], reference, shapes)
        product = np.vdot(draw(*given[0].shape), given[0].astype(np.float64))
        for gradient, x in zip(given[1:], inputs, strict=True):
            assert gradient.shape == x.shape
            scale = np.abs(gradient).astype(np.float64).ravel() @ np.abs(x).ravel() + 1
            assert abs(np.vdot(gradient.astype(np.float64), x) - product) <= 1e-5 * scale, shapes


# ---- Products --------------------------------------------------------------------------------------------------------


def products(sizes: Sequence[tuple[int, int, int]], dtype: Any, transposed: tuple[bool, bool]) -> None:
    factors = [(draw(m, k, dtype=dtype), draw(k, n, dtype=dtype)) for m, n, k in sizes]

    def call(a: Array, b: Array) -> list[Array]:
        tensors = [ad.tensor(np.ascontiguousarray(x.T)).T if turned else ad.tensor(x)
                   for x, turned in zip((a, b), transposed, strict=True)]
        return [ad.matmul(*tensors).numpy()]

    calls = [lambda a=a, b=b: call(a, b) for a, b in factors]
    for (given,), (a, b) in zip(everywhere(calls), factors, strict=True):
        close(given, a.astype(np.float64) @ b, (a.shape, b.shape, transposed))


@pytest.mark.parametrize("transposed", list(itertools.product([False, True], repeat=2)))
def test_products_of_all_sizes_up_to_two_tiles(transposed: tuple[bool, bool]) -> None:
    depths = itertools.cycle([1, 2, 3, 5, LANES, LANES + 1])
    sizes = [(m, n, next(depths)) for m in range(1, 2 * ROWS + 2) for n in range(1, 2 * COLUMNS + 2)]
    products(sizes, np.float32, transposed)
    products(sizes[:: 2 * ROWS + 5], np.float64, transposed)
    products([(m, n, k) for m in (1, 2, ROWS + 1) for n in (1, 3, LANES + 1) for k in range(LENGTHS[-4])], np.float32,
             transposed)


@pytest.mark.parametrize("transposed", list(itertools.product([False, True], repeat=2)))
def test_products_of_packed_factors(transposed: tuple[bool, bool]) -> None:
    rows = (8 * ROWS - 1, 8 * ROWS, 16 * ROWS + 1)
    others = ((4 * COLUMNS + 1, 399), (5 * COLUMNS - 1, 385), (1024, 65), (2049, 259))
    products([(m, n, k) for m in rows for n, k in others], np.float32, transposed)


def test_linear_layers() -> None:
    shapes = [((m, k), (n, k)) for m in (1, 2, ROWS - 1, ROWS + 1) for n in (1, LANES - 1, COLUMNS, COLUMNS + 1)
              for k in (1, 3, LANES + 1)]  # fmt: skip
    arguments = [(draw(*x), draw(*w)) for x, w in shapes]
    calls = [lambda given=given: results(F.linear, *given) for given in arguments]
    check_linear(calls, arguments, [x.astype(np.float64) @ w.T for x, w in arguments])
    bias = draw(COLUMNS + 1)
    with_bias = [lambda given=given: results(lambda x, w, b: F.linear(x, w, b), *given, bias[: len(given[1])])
                 for given in arguments]  # fmt: skip
    for (out, *_), (x, w) in zip(everywhere(with_bias), arguments, strict=True):
        close(out, x.astype(np.float64) @ w.T + bias[: len(w)], w.shape)


# ---- Windows ---------------------------------------------------------------------------------------------------------

GRIDS = [
    (height, 1 + (height * 5 + kernel + stride) % 9, kernel, 1 + (kernel + height) % 3, stride, padding)
    for height in range(1, 10) for kernel in (1, 2, 3) for stride in (1, 2) for padding in (0, 1)
]  # fmt: skip
GRIDS = [(h, w, kh, kw, stride, padding) for h, w, kh, kw, stride, padding in GRIDS
         if h + 2 * padding >= kh and w + 2 * padding >= kw]


def windows(x: Array, kh: int, kw: int, stride: int, padding: int, fill: float = 0) -> Array:
    """Return the windows of images as (N, C, OH, OW, kh, kw) in float64."""
    around = (0, 0), (0, 0), (padding, padding), (padding, padding)
    padded = np.pad(x.astype(np.float64), around, constant_values=fill)
    return np.lib.stride_tricks.sliding_window_view(padded, (kh, kw), (2, 3))[:, :, ::stride, ::stride]


def convolutions(channels: Sequence[tuple[int, int, int]], grids: Sequence[tuple[int, ...]], images: int = 2) -> None:
    """Check 2-D convolutions of (channels, outputs, groups), which go around, on all grids."""
    around = itertools.cycle(channels)
    arguments, calls, references = [], [], []
    for h, w, kh, kw, stride, padding in grids:
        inputs, outputs, groups = next(around)
        x, weight = draw(images, inputs, h, w), draw(outputs, inputs // groups, kh, kw)

        def function(x: Any, weight: Any, s: int = stride, p: int = padding, g: int = groups) -> Any:
            return F.conv2d(x, weight, stride=s, padding=p, groups=g)

        arguments.append((x, weight))
        calls.append(lambda given=arguments[-1], function=function: results(function, *given))
        seen = windows(x, kh, kw, stride, padding)
        seen = seen.reshape(images, groups, inputs // groups, *seen.shape[2:])
        grouped = weight.reshape(groups, outputs // groups, *weight.shape[1:])
        expected = np.einsum("ngchwij,gocij->ngohw", seen, grouped, optimize=True)
        references.append(expected.reshape(images, outputs, *expected.shape[3:]))
    check_linear(calls, arguments, references)


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (3, 5), (LANES + 1, COLUMNS + 1), (5, LANES), (16, 2)])
def test_convolutions(inputs: int, outputs: int) -> None:
    convolutions([(inputs, outputs, 1)], GRIDS)


def test_convolutions_in_groups() -> None:
    convolutions([(4, 6, 2), (9, 3, 3), (2 * LANES + 2, 2, 2)], GRIDS)


def test_convolutions_by_minimal_filtering() -> None:
    grids = [(h, w, 3, 3, 1, 1) for h in range(4, 10) for w in range(4, 10)]
    convolutions([(32, 32, 1), (33, 35, 1)], grids, images=13)


def test_depthwise_convolutions() -> None:
    channels = (1, 3, LANES - 1, LANES, LANES + 1, COLUMNS + 1, 2 * COLUMNS + 3)
    convolutions([(count, count, count) for count in channels], GRIDS + GRIDS[1:])


def test_pooling() -> None:
    counts = itertools.cycle([1, 3, 15, 16, 17, 33])
    calls, kept, references = [], [], []
    for (h, w, kh, kw, stride, padding), last in itertools.product(GRIDS, (False, True)):
        if padding > min(kh, kw) // 2:
            continue
        x = draw(2, next(counts), h, w)
        for name, fill, reduce in (("max_pool2d", -np.inf, np.max), ("avg_pool2d", 0, np.mean)):
            def function(x: Any, name: str = name, k: Any = (kh, kw), s: int = stride, p: int = padding) -> Any:
                return getattr(F, name)(x, k, s, p)

            # The transposition of a leaf in channels-last order gives images in that order.
            given = np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if last else x
            turned = (lambda x, function=function: function(x.permute(0, 3, 1, 2))) if last else function
            calls.append(lambda given=given, turned=turned: results(turned, given))
            kept.append((given,))
            references.append(reduce(windows(x, kh, kw, stride, padding, fill), (4, 5)))
    check_linear(calls, kept, references)


# ---- Rows and columns ------------------------------------------------------------------------------------------------


def beside(function: Callable[..., Any], twin: Callable[..., Any], arguments: Sequence[tuple[Array, ...]]) -> None:
    """Check results and gradients beside those of a function of simpler operations in float64."""
    calls = [lambda given=given: results(function, *given) for given in arguments]
    for found, given in zip(everywhere(calls), arguments, strict=True):
        leaves = [ad.tensor(x.astype(np.float64)) for x in given]
        for leaf in leaves:
            leaf.requires_grad_()
        expected = twin(*leaves)
        expected.backward(ad.tensor(draw(*expected.shape, dtype=found[0].dtype).astype(np.float64)))
        gradients = [leaf.grad.numpy() for leaf in leaves if leaf.grad is not None]
        for got, want in zip(found, [expected.detach().numpy(), *gradients], strict=True):
            close(got, want, [x.shape for x in given])


def rows_and_columns(most: int = 5) -> list[tuple[int, int]]:
    """Return matrices of every length with a few rows, and the other way around."""
    counts = itertools.cycle(range(1, most + 1))
    return [pair for length in LENGTHS for count in [next(counts)] for pair in ((count, length), (length, count))]


def test_expanded_tensors_are_copied_row_by_row() -> None:
    cases = [((rows, 1), (rows, length)) for rows in (15, 16, 33) for length in (63, 64, 64 + LANES, 257)]
    cases += [((2, 1, 9, 1), (2, 1, 9, 77)), ((3, 7, 1, 1), (3, 7, 8, 9)), ((4, 1, 8, 1), (4, 5, 8, 70))]
    for dtype in (np.float32, np.float64):
        arrays = [draw(*shape, dtype=dtype) for shape, _ in cases]
        calls = [lambda x=x, full=full: [ad.tensor(x).expand(full).clone().numpy()]
                 for x, (_, full) in zip(arrays, cases, strict=True)]
        calls += [lambda x=x: [ad.tensor(x)[..., None, None].expand(*x.shape, 9, 9)
                               .contiguous(memory_format=ad.channels_last).numpy()] for x in (draw(4, 5, dtype=dtype),)]
        arrays.append(draw(4, 5, dtype=dtype)[..., None, None])
        for (found,), x in zip(everywhere(calls), arrays, strict=True):
            np.testing.assert_array_equal(found, np.broadcast_to(x, found.shape))


@pytest.mark.parametrize("dim", [0, 1])
def test_softmax_and_its_kin(dim: int) -> None:
    def powers(x: Any) -> Any:
        return (x - x.detach().amax(dim, keepdim=True)).exp()

    arguments = [(draw(*shape),) for shape in rows_and_columns()]
    beside(lambda x: F.softmax(x, dim), lambda x: powers(x) / powers(x).sum(dim, keepdim=True), arguments)
    beside(lambda x: F.log_softmax(x, dim), lambda x: (powers(x) / powers(x).sum(dim, keepdim=True)).log(), arguments)
    beside(lambda x: x.logsumexp(dim), lambda x: powers(x).sum(dim).log() + x.detach().amax(dim), arguments)


def test_cross_entropy() -> None:
    for shape in rows_and_columns():
        for size in (shape, (shape[0], 3, shape[1])):
            target = np.random.default_rng(0).integers(0, size[1], (size[0], *size[2:]))

            def twin(x: Any, target: Any = target) -> Any:
                logs = (x.exp() / x.exp().sum(1, keepdim=True)).log()
                chosen = np.eye(x.shape[1])[target]
                return -(logs * ad.tensor(np.moveaxis(chosen, -1, 1))).sum(1)

            def function(x: Any, target: Any = target) -> Any:
                return F.cross_entropy(x, ad.tensor(target), reduction="none")

            beside(function, twin, [(draw(*size),)])


def standardised(x: Any, dims: Any, eps: float = 1e-5) -> Any:
    centred = x - x.mean(dims, keepdim=True)
    return centred / (centred.square().mean(dims, keepdim=True) + eps).sqrt()


def test_norms_of_rows() -> None:
    arguments = [(draw(rows, n), draw(n), draw(n, 1)[:, 0]) for rows, n in rows_and_columns() if n > 2]
    beside(lambda x, w, b: F.layer_norm(x, w.shape, w, b), lambda x, w, b: standardised(x, 1) * w + b, arguments)
    beside(lambda x, w: F.rms_norm(x, w.shape, w, 1e-5),
           lambda x, w: x / (x.square().mean(1, keepdim=True) + 1e-5).sqrt() * w, [(x, w) for x, w, _ in arguments])


def test_norms_of_channels() -> None:
    arguments = [(draw(rows, c), draw(c), draw(c, 1)[:, 0]) for rows, c in rows_and_columns(9) if rows > 2]
    beside(lambda x, w, b: F.batch_norm(x, None, None, w, b, True),
           lambda x, w, b: standardised(x, 0) * w + b, arguments)
    images = [(draw(2, c, h, w), draw(c), draw(c, 1)[:, 0])
              for c, h, w in [(c, 1 + c % 5, 2 + c % 7) for c in LENGTHS[::3]] + [(3, 1, n) for n in LENGTHS[1:]]]

    def channels(w: Any) -> Any:
        return w.reshape(-1, 1, 1)

    beside(lambda x, w, b: F.batch_norm(x, None, None, w, b, True),
           lambda x, w, b: standardised(x, (0, 2, 3)) * channels(w) + channels(b), images)
    beside(lambda x, w, b: F.group_norm(x, 1, w, b),
           lambda x, w, b: standardised(x, (1, 2, 3)) * channels(w) + channels(b), images)
    beside(lambda x, w, b: F.instance_norm(x, None, None, w, b),
           lambda x, w, b: standardised(x, (2, 3)) * channels(w) + channels(b), images)


REDUCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "sum": (lambda x, dim: x.sum(dim), np.sum),
    "mean": (lambda x, dim: x.mean(dim), np.mean),
    "prod": (lambda x, dim: x.prod(dim), np.prod),
    "amax": (lambda x, dim: x.amax(dim), np.max),
    "amin": (lambda x, dim: x.amin(dim), np.min),
    "norm": (lambda x, dim: x.square().sum(dim).sqrt(), lambda x, axis: np.sqrt(np.square(x).sum(axis))),
    "var": (lambda x, dim: x.var(dim, correction=0), np.var),
    "cumsum": (lambda x, dim: x.cumsum(dim), np.cumsum),
}


@pytest.mark.parametrize(("name", "dtype"), [(name, np.float32) for name in REDUCTIONS] + [("sum", np.float64)])
def test_reductions(name: str, dtype: Any) -> None:
    function, reference = REDUCTIONS[name]
    given = [(draw(*shape, dtype=dtype), dim) for shape in rows_and_columns() for dim in (0, 1)]
    calls = [lambda x=x, dim=dim: results(lambda x: function(x, dim), x) for x, dim in given]
    for (out, _), (x, dim) in zip(everywhere(calls), given, strict=True):
        close(out, reference(x.astype(np.float64), axis=dim), (x.shape, dim))
    if name != "cumsum":
        every = None if name == "prod" else (0, 1)
        calls = [lambda x=x: results(lambda x: function(x, every), x) for x, _ in given[::2]]
        for (out, _), (x, _) in zip(everywhere(calls), given[::2], strict=True):
            close(out, reference(x.astype(np.float64), axis=None), x.shape)


def test_element_wise_operations_of_every_length() -> None:
    arguments = [(draw(n), draw(n, 1)[:, 0]) for n in LENGTHS] + [(draw(3, n), draw(3, 1)) for n in LENGTHS]
    beside(lambda x, y: ad.tanh(x) * y + F.gelu(x - y), lambda x, y: ad.tanh(x) * y + F.gelu(x - y), arguments)
    turned = [(draw(n, 5), draw(5, n)) for n in LENGTHS]
    beside(lambda x, y: x.T * y.exp(), lambda x, y: x.T * y.exp(), turned)
