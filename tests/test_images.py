"""What the samples of the image operations do not show: running statistics, layouts, exact costs, kinks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import autodiff_kernels as kernels
from autodiff import ops
from autodiff.primitive import OPERATIONS
from autodiff.spec import Spec
from tests import oracle


def numbers(*shape: int) -> ad.Tensor:
    return ad.tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32))


@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 2), (2, 3, 4, 2)])
def test_batch_norm_moves_the_running_statistics(shape: tuple[int, ...]) -> None:
    x = numbers(*shape).requires_grad_()
    mean, variance = ad.ones(3), ad.ones(3) * 2
    want = oracle.batch_norm_running(x.detach().numpy(), np.ones(3), np.full(3, 2.0), 0.3)
    out = ops.batch_norm(x, mean, variance, training=True, momentum=0.3)
    np.testing.assert_allclose(mean.numpy(), want[0], rtol=1e-6)
    np.testing.assert_allclose(variance.numpy(), want[1], rtol=1e-6)
    assert not mean.requires_grad
    assert not variance.requires_grad
    out.sum().backward()  # the statistics in use were the batch's: their change in place does no harm


def test_batch_norm_in_evaluation_leaves_the_running_statistics() -> None:
    mean, variance = ad.zeros(3), ad.ones(3)
    ops.batch_norm(numbers(4, 3), mean, variance)
    assert mean.tolist() == [0, 0, 0]
    assert variance.tolist() == [1, 1, 1]


def test_running_statistics_without_gradients() -> None:
    mean = ad.zeros(3)
    with ad.no_grad():
        ops.batch_norm(numbers(4, 3), mean, None, training=True, momentum=1.0)
    np.testing.assert_allclose(mean.numpy(), numbers(4, 3).numpy().mean(0), rtol=1e-5)


def test_instance_norm_moves_the_running_statistics() -> None:
    x = numbers(2, 3, 4, 2)
    mean, variance = ad.zeros(3), ad.ones(3)
    ops.instance_norm(x, mean, variance, momentum=0.25)
    np.testing.assert_allclose(mean.numpy(), 0.25 * x.numpy().mean((2, 3)).mean(0), rtol=1e-5)
    want = 0.75 + 0.25 * x.numpy().var((2, 3), ddof=1).mean(0)
    np.testing.assert_allclose(variance.numpy(), want, rtol=1e-5)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_images_stay_channels_last(layout: str) -> None:
    x = numbers(2, 4, 6, 6)
    if layout == "channels_last":
        x = ad.tensor(x.numpy().transpose(0, 2, 3, 1).copy()).permute(0, 3, 1, 2)
    for out in (
        ops.conv2d(x, numbers(3, 4, 3, 3)), ops.conv_transpose2d(x, numbers(4, 3, 3, 3)),
        ops.adaptive_avg_pool2d(x, 2), ops.interpolate(x, 4), ops.interpolate(x, 4, mode="bilinear"),
    ):
        assert out.spec.layout == "channels_last"
    for out in (
        ops.batch_norm(x, training=True), ops.group_norm(x, 2), ops.max_pool2d(x, 2), ops.avg_pool2d(x, 2),
        *ops.max_pool2d(x, 3, 1, 1, return_indices=True),
    ):
        assert out.spec.layout == layout


def test_costs_of_convolutions_are_exact() -> None:
    x, weight = Spec.of((2, 6, 9, 8)), Spec.of((4, 3, 3, 2))
    kept = {"stride": (2, 1), "padding": (1, 1, 0, 0), "dilation": (1, 2), "groups": 2, "rank": 2}
    forward = OPERATIONS["conv2d"]
    out = forward.infer(x, weight, **kept)
    assert out.shape == (2, 4, 5, 6)
    flops = 2 * 2 * 5 * 6 * 4 * (6 // 2) * 3 * 2
    assert forward.cost((x, weight), (out,), **kept).flops == flops
    assert OPERATIONS["conv2d_input_grad"].cost((out, weight), (x,), size=(9, 8), **kept).flops == flops
    assert OPERATIONS["conv2d_weight_grad"].cost((out, x), (weight,), kernel=(3, 2), bias=False, **kept).flops == flops
    bias = Spec.of((4,))
    with_bias = forward.cost((x, weight, bias), (out,), **kept)
    assert with_bias.flops == flops + out.size
    assert with_bias.bytes == 4 * (x.size + weight.size + bias.size + out.size)


@pytest.mark.parametrize(("shape", "kernel", "groups"), [
    ((3, 70, 70), (3, 3, 5, 4), 1), ((32, 90, 90), (33, 32, 3, 3), 1), ((5, 80, 80), (5, 1, 3, 3), 5),
    ((4, 80, 90), (6, 2, 3, 3), 2), ((3, 80, 80), (4, 3, 1, 1), 1),
])  # direct, by minimal filtering, depthwise, in groups, as a product
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_gradient_of_a_bias_is_as_exact_as_a_sum(shape: Any, kernel: Any, groups: int, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    x, weight = (ad.tensor(rng.standard_normal(s).astype(dtype)).requires_grad_() for s in ((3, *shape), kernel))
    bias = ad.zeros(kernel[0], dtype=dtype, requires_grad=True)
    out = ops.conv2d(x, weight, bias, groups=groups)
    g = (rng.standard_normal(out.shape) * 10.0 ** rng.integers(-4, 4, out.shape)).astype(dtype)
    out.backward(ad.tensor(g))
    exact = [[fraction(channel.reshape(-1)) for channel in g.astype(np.float64).transpose(1, 0, 2, 3)] for fraction in
             (math.fsum, lambda x: math.fsum(np.abs(x)))]
    bound = 2 * np.spacing(np.array(exact[1]).astype(dtype))
    assert np.all(np.abs(bias.grad.numpy() - np.array(exact[0])) <= bound)
    alone = ad.zeros(kernel[0], dtype=dtype, requires_grad=True)
    ops.conv2d(x.detach(), weight.detach(), alone, groups=groups).backward(ad.tensor(g))
    np.testing.assert_allclose(alone.grad.numpy(), bias.grad.numpy(), rtol=1e-5)


def test_a_convolution_transposed_is_the_gradient_of_the_convolution() -> None:
    x, weight, g = numbers(1, 2, 7, 6).requires_grad_(), numbers(3, 2, 3, 3), numbers(1, 3, 3, 2)
    ops.conv2d(x, weight, stride=2).backward(g)
    np.testing.assert_allclose(
        x.grad.numpy(), ops.conv_transpose2d(g, weight, stride=2, output_padding=(0, 1)).numpy(), atol=1e-5
    )


def test_max_pool_gives_the_gradient_to_the_first_of_equal_elements() -> None:
    x = ad.zeros(1, 1, 2, 2).requires_grad_()
    ops.max_pool2d(x, 2).sum().backward()
    assert x.grad.tolist() == [[[[1, 0], [0, 0]]]]


def test_max_pool_keeps_nan() -> None:
    x = ad.tensor([[[1.0, float("nan"), 3.0, 2.0]]])
    out, places = ops.max_pool1d(x, 2, return_indices=True)
    assert np.isnan(out.numpy()[0, 0, 0])
    assert places.tolist() == [[[1, 2]]]


def test_interpolation_keeps_a_size_that_the_factor_rounds_to() -> None:
    """PyTorch reads pixel by pixel then, although 1 / 1.3 would read other places."""
    x = ad.tensor([[[1.0, 2.0]]])
    assert ops.interpolate(x, scale_factor=1.3).tolist() == [[[1, 2]]]
    assert ops.interpolate(x, scale_factor=1.3, mode="linear").tolist() == [[[1, 2]]]


def test_adaptive_pooling_to_no_place_has_gradients_of_0() -> None:
    for size in ((0, 3), (3, 0), (0, 0)):
        x = ad.full((2, 3, 4, 5), 3.0, requires_grad=True)
        ad.nn.functional.adaptive_avg_pool2d(x, size).sum().backward()
        assert not x.grad.numpy().any()


@pytest.mark.parametrize("threads", [1, 2])
def test_convolutions_that_pad_some_images_at_a_time_give_the_same_bits(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = (34, 3, 6, 5), (4, 3, 3, 2), (34, 4, 3, 3)
    before, plans = ad.get_num_threads(), [OPERATIONS[name].plans for name in ("conv2d", "conv2d_input_grad")]
    ad.set_num_threads(threads)
    try:
        found = []
        for least in (2**40, 0):
            monkeypatch.setattr(kernels.frames, "LEAST_FRAMES", least)
            for made in plans:
                made.clear()
            x, weight = (numbers(*shape).requires_grad_() for shape in shapes[:2])
            out = ops.conv2d(x, weight, stride=2, padding=1)
            gradient = ops.conv_transpose2d(numbers(*shapes[2]), weight.detach(), stride=2, padding=1)
            found.append([out.detach().numpy(), gradient.numpy()])
    finally:
        ad.set_num_threads(before)
        for made in plans:
            made.clear()
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
