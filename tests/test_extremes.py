"""What `docs/accuracy.md` says of extreme inputs: here, and beside PyTorch where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import autodiff as ad

INF, NAN = np.inf, np.nan
TINY = 2.0**-149  # the least subnormal number of float32
Array = np.ndarray[Any, np.dtype[Any]]


class Case(NamedTuple):
    """A call and its result.

    Attributes:
        call: takes the library (autodiff or torch) and the inputs as its tensors.
        inputs: become float32.
        expected: the result.
        torch: whether PyTorch's is the same.
    """

    call: Callable[..., Any]
    inputs: tuple[Any, ...]
    expected: Any
    torch: bool = True


def row(name: str, *arguments: Any) -> Callable[..., Any]:
    """Return a call of a function of the library."""
    return lambda lib, *x: getattr(lib, name)(*x, *arguments)


def of_nn(name: str, *arguments: Any, **options: Any) -> Callable[..., Any]:
    """Return a call of a function of `nn.functional`."""
    return lambda lib, *x: getattr(lib.nn.functional, name)(*x, *arguments, **options)


def norm(name: str) -> Callable[..., Any]:
    """Return a call of a norm of (N, C, H, W)."""
    calls: dict[str, Callable[[Any, Any], Any]] = {
        "batch": lambda F, x: F.batch_norm(x, None, None, training=True),
        "layer": lambda F, x: F.layer_norm(x, x.shape[1:]),
        "group": lambda F, x: F.group_norm(x, 2),
        "instance": lambda F, x: F.instance_norm(x),
        "RMS": lambda F, x: F.rms_norm(x, x.shape[1:], eps=1e-5),
    }
    return lambda lib, x: calls[name](lib.nn.functional, x)


NORMS = "batch", "layer", "group", "instance", "RMS"
SHAPES = (4, 4, 3, 3), (2, 32, 5, 5)
LARGE = 1e4, 0.0, -1e4
OPEN = ((INF, INF, INF), (-INF, -INF, -INF), (NAN, 0, 1), (INF, 0, 1))

SOFTMAX = {
    "softmax of 1e4": Case(row("softmax", -1), (LARGE,), [1, 0, 0]),
    "log_softmax of 1e4": Case(row("log_softmax", -1), (LARGE,), [0, -1e4, -2e4]),
    "logsumexp of 1e4": Case(row("logsumexp", -1), (LARGE,), 1e4),
    "cross_entropy of 1e4": Case(
        lambda lib, x: lib.nn.functional.cross_entropy(x, lib.tensor([2])), ([LARGE],), 2e4),
    "cross_entropy of 1e4, labels": Case(
        lambda lib, x: lib.nn.functional.cross_entropy(x, lib.tensor([[0, 0.5, 0.5]])), ([LARGE],), 1.5e4),
    "cross_entropy with -inf, labels": Case(
        lambda lib, x: lib.nn.functional.cross_entropy(x, lib.tensor([[0, 0.5, 0.5]])), ([(-INF, 0, 0)],), NAN),
    "softmax with -inf": Case(row("softmax", -1), ((-INF, 0, 0),), [0, 0.5, 0.5]),
    "log_softmax with -inf": Case(row("log_softmax", -1), ((-INF, 0, 0),), [-INF, -np.log(2), -np.log(2)]),
    "logsumexp of -inf": Case(row("logsumexp", -1), ((-INF, -INF),), -INF),
    "logsumexp with inf": Case(row("logsumexp", -1), ((INF, 0),), INF),
    "logsumexp with NaN": Case(row("logsumexp", -1), ((NAN, 0),), NAN),
    **{f"softmax of {x}": Case(row("softmax", -1), (x,), [NAN] * 3) for x in OPEN},
    **{f"log_softmax of {x}": Case(row("log_softmax", -1), (x,), [NAN] * 3) for x in OPEN},
    "cross_entropy of 1e4, binary": Case(
        of_nn("binary_cross_entropy_with_logits"), ((1e4, -1e4), (0, 0)), 5e3),
}

ELEMENTARY = {
    "exp overflows": Case(row("exp"), ((1e4, -1e4, INF, -INF, NAN),), [INF, 0, INF, 0, NAN]),
    "log": Case(row("log"), ((0, -1, INF, NAN, TINY),), [-INF, NAN, INF, NAN, np.log(TINY)]),
    "sqrt": Case(row("sqrt"), ((-1, INF, NAN, 4 * TINY),), [NAN, INF, NAN, np.sqrt(4 * TINY)]),
    "sin": Case(row("sin"), ((INF, -INF, NAN, TINY),), [NAN, NAN, NAN, TINY]),
    "sigmoid": Case(row("sigmoid"), ((1e4, -1e4, INF, -INF, NAN),), [1, 0, 1, 0, NAN]),
    "tanh": Case(row("tanh"), ((1e4, -1e4, INF, -INF, NAN),), [1, -1, 1, -1, NAN]),
    "softplus": Case(of_nn("softplus"), ((1e4, -1e4, INF, -INF, NAN),), [1e4, 0, INF, 0, NAN]),
    "silu": Case(of_nn("silu"), ((1e4, -1e4, INF, -INF, NAN),), [1e4, 0, INF, NAN, NAN]),
    "gelu": Case(of_nn("gelu"), ((1e4, -1e4, INF, -INF, NAN),), [1e4, 0, INF, NAN, NAN], torch=False),
    "logaddexp": Case(row("logaddexp"), ((1e4, INF, -INF, NAN), (1e4, 0, -INF, 0)), [1e4 + np.log(2), INF, -INF, NAN]),
    "a subnormal sum": Case(lambda lib, x, y: x + y, ((TINY, 1e-40), (TINY, 2e-40)), [2 * TINY, 3e-40]),
    "a subnormal product": Case(lambda lib, x, y: x * y, ((2**-70, 1e-30), (2**-70, 1e-30)), [2**-140, 0]),
}

SUMS = {
    "sum": Case(row("sum"), ((INF, 1, 2),), INF),
    "sum of both infinities": Case(row("sum"), ((INF, -INF, 2),), NAN),
    "sum with NaN": Case(row("sum"), ((NAN, 1, 2),), NAN),
    "max with NaN": Case(row("amax", 0), ((NAN, 1, INF),), NAN),
    "min with NaN": Case(row("amin", 0), ((1, NAN, -INF),), NAN),
    "max of -inf": Case(row("amax", 0), ((-INF, -INF),), -INF),
    "variance with inf": Case(row("var"), ((INF, 1, 2),), NAN),
    "sort": Case(lambda lib, x: lib.sort(x)[0], ((NAN, INF, 1, -INF, TINY, 0),), [-INF, 0, TINY, 1, INF, NAN]),
    "argmax with NaN": Case(row("argmax"), ((1, NAN, INF),), 1),
    "matmul": Case(row("matmul"), ([[INF, 1], [NAN, 1], [INF, 0]], [[1.0], [2]]), [[INF], [NAN], [INF]]),
    "matmul of inf and 0": Case(row("matmul"), ([[INF, 1]], [[0.0], [2]]), [[NAN]]),
    "max_pool2d with NaN": Case(of_nn("max_pool2d", 2), ([[[[NAN, 1], [INF, 2]]]],), [[[[NAN]]]]),
    "max_pool2d with inf": Case(of_nn("max_pool2d", 2), ([[[[-INF, 1], [INF, 2]]]],), [[[[INF]]]]),
    "avg_pool2d with inf": Case(of_nn("avg_pool2d", 2), ([[[[0, 1], [INF, 2]]]],), [[[[INF]]]]),
}


def attended(mask: Any) -> Callable[..., Any]:
    """Return a call of attention with a mask of booleans."""
    return lambda lib, q, k, v: lib.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=lib.tensor(mask))


QKV = np.ones((1, 1, 2, 4)), np.ones((1, 1, 3, 4)), np.arange(12.0).reshape(1, 1, 3, 4)
ATTENTION = {
    "a fully masked row": Case(
        attended([[False] * 3, [True, True, False]]), QKV, [[[[0, 0, 0, 0], [2, 3, 4, 5]]]]),
    "logits of 1e4": Case(
        attended([[True] * 3] * 2), (100 * QKV[0], [[[[200] * 4, [100] * 4, [0] * 4]]], QKV[2]),
        [[[[0, 1, 2, 3]] * 2]]),
}
CASES = {**SOFTMAX, **ELEMENTARY, **SUMS, **ATTENTION}


def result(lib: Any, case: Case) -> Array:
    """Return what a library computes."""
    inputs = [lib.tensor(np.asarray(x, np.float32)) for x in case.inputs]
    return np.asarray(case.call(lib, *inputs).numpy())


@pytest.mark.parametrize("name", CASES)
def test_a_call_gives_what_the_page_says(name: str) -> None:
    np.testing.assert_allclose(result(ad, CASES[name]), np.asarray(CASES[name].expected, np.float64), rtol=1e-6)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.torch])
def test_pytorch_gives_the_same(name: str) -> None:
    torch = pytest.importorskip("torch")
    np.testing.assert_allclose(result(torch, CASES[name]), np.asarray(CASES[name].expected, np.float64), rtol=1e-6)


def images(shape: tuple[int, ...]) -> Array:
    return np.random.default_rng(3).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("scale", [1e20, 1e30])
def test_norms_of_numbers_whose_squares_overflow_are_nan(name: str, shape: tuple[int, ...], scale: float) -> None:
    assert np.isnan(norm(name)(ad, ad.tensor(images(shape) * np.float32(scale))).numpy()).all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("size", [1e15, 1e17])
def test_norms_of_large_numbers_are_those_of_numbers_about_1(name: str, shape: tuple[int, ...], size: float) -> None:
    x = images(shape)
    large = norm(name)(ad, ad.tensor(x * np.float32(size))).numpy()
    np.testing.assert_allclose(large, norm(name)(ad, ad.tensor(x)).numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("value", [INF, -INF, NAN])
def test_an_infinity_or_nan_makes_what_is_normed_with_it_nan(name: str, shape: tuple[int, ...], value: float) -> None:
    x = images(shape)
    x[0, 1, 1, 1] = value
    got = norm(name)(ad, ad.tensor(x)).numpy()
    together: Any = {"batch": np.s_[:, 1], "layer": 0, "RMS": 0, "instance": np.s_[0, 1],
                     "group": np.s_[0, : shape[1] // 2]}[name]
    expected = np.zeros(shape, bool)
    expected[together] = True
    np.testing.assert_array_equal(np.isnan(got), expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", [name for name in NORMS if name != "RMS"])
@pytest.mark.parametrize("value", [INF, NAN])
def test_pytorch_norms_with_an_infinity_or_nan_alike(name: str, shape: tuple[int, ...], value: float) -> None:
    torch = pytest.importorskip("torch")
    x = images(shape)
    x[0, 1, 1, 1] = value
    got = norm(name)(ad, ad.tensor(x)).numpy()
    np.testing.assert_allclose(got, norm(name)(torch, torch.tensor(x)).numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", [name for name in NORMS if name != "RMS"])
@pytest.mark.parametrize("value", [0.1, 7.3, 1e4, 1e30])
def test_norms_of_equal_numbers_are_zero(name: str, shape: tuple[int, ...], value: float) -> None:
    np.testing.assert_array_equal(norm(name)(ad, ad.full(shape, value)).numpy(), np.zeros(shape))


@pytest.mark.parametrize("name", NORMS)
def test_norms_of_subnormal_numbers_are_finite(name: str) -> None:
    x = ad.tensor(images(SHAPES[0]) * np.float32(1e-40), requires_grad=True)
    out = norm(name)(ad, x)
    out.sum().backward()
    assert x.grad is not None
    assert np.isfinite(out.detach().numpy()).all()
    assert np.isfinite(x.grad.numpy()).all()


def test_an_infinite_pixel_is_infinite_in_what_a_direct_convolution_makes_of_it() -> None:
    x = np.zeros((1, 1, 5, 5), np.float32)
    x[0, 0, 0, 0] = INF
    out = ad.nn.functional.conv2d(ad.tensor(x), ad.ones(1, 1, 3, 3)).numpy()
    assert out[0, 0, 0, 0] == INF
    assert np.count_nonzero(out) == 1


def test_given_statistics_leave_an_infinity_alone() -> None:
    x = images(SHAPES[0])
    x[0, 1, 1, 1] = INF
    out = ad.nn.functional.batch_norm(ad.tensor(x), ad.zeros(4), ad.ones(4)).numpy()
    assert out[0, 1, 1, 1] == INF
    assert np.count_nonzero(np.isfinite(out)) == x.size - 1


@pytest.mark.parametrize("value", [INF, NAN])
def test_a_pixel_makes_no_more_than_its_tiles_nan_in_minimal_filtering(value: float) -> None:
    x = np.zeros((1, 32, 16, 16), np.float32)
    x[0, 0, 0, 0] = value
    out = ad.nn.functional.conv2d(ad.tensor(x), ad.ones(32, 32, 3, 3)).numpy()
    assert not np.isfinite(out[:, :, 0, 0]).any()
    assert np.count_nonzero(out[:, :, 2:]) == np.count_nonzero(out[:, :, :, 2:]) == 0


@pytest.mark.parametrize(
    ("norm", "shape"),
    [(lambda x: ad.nn.functional.layer_norm(x, (0,)), (3, 0)),
     (lambda x: ad.nn.functional.rms_norm(x, (0,)), (3, 0)),
     (lambda x: ad.nn.functional.group_norm(x, 2), (3, 4, 0))],
)  # fmt: skip
def test_norms_of_nothing_have_second_derivatives_of_nothing(norm: Any, shape: tuple[int, ...]) -> None:
    x = ad.zeros(shape, requires_grad=True)
    (first,) = ad.autograd.grad(norm(x).sum(), x, create_graph=True)
    (second,) = ad.autograd.grad(first.sum(), x)
    assert first.shape == second.shape == shape


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_gradient_of_sinc_near_0_is_that_of_its_parabola(dtype: Any) -> None:
    near = np.array([0, 1e-40, -1e-20, 1e-8, 1e-5, -1e-4], dtype)
    x = ad.tensor(near, requires_grad=True)
    (first,) = ad.autograd.grad(ad.sinc(x).sum(), x, create_graph=True)
    (second,) = ad.autograd.grad(first.sum(), x)
    np.testing.assert_allclose(first.detach().numpy(), -np.pi**2 / 3 * near, rtol=1e-6, atol=TINY)
    np.testing.assert_allclose(second.numpy(), np.full(6, -np.pi**2 / 3), rtol=1e-6)


def test_the_gradient_of_an_inverse_square_at_its_ends() -> None:
    x = ad.tensor([0.0, -0.0, INF, -INF, 1e20], requires_grad=True)
    y = x**-2
    y.sum().backward()
    np.testing.assert_array_equal(y.detach().numpy(), np.array([INF, INF, 0, 0, 1e-40], np.float32))
    np.testing.assert_array_equal(x.grad.numpy(), np.array([-INF, INF, 0, 0, 0], np.float32))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_gradients_of_an_angle_at_the_origin_are_0(dtype: Any) -> None:
    y, x = (ad.tensor(np.array(values, dtype), requires_grad=True) for values in ([0, -0.0, 0, 3], [0, 0, 2, 4]))
    first = ad.autograd.grad(ad.atan2(y, x).sum(), [y, x], create_graph=True)
    np.testing.assert_allclose(first[0].detach().numpy(), [0, 0, 0.5, 0.16], rtol=1e-6)
    np.testing.assert_allclose(first[1].detach().numpy(), [0, 0, 0, -0.12], rtol=1e-6)
    second = ad.autograd.grad((first[0] + first[1]).sum(), [y, x])
    assert all(bool(g.isfinite().all()) for g in second)
