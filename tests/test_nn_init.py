"""First values of parameters: their distributions, and PyTorch's gains and defaults."""

from __future__ import annotations

import importlib.util
import math
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.nn import init

HAS_TORCH = importlib.util.find_spec("torch") is not None
SHAPE = (60, 20, 3, 3)  # fan in 180, fan out 540
FAN_IN, FAN_OUT = 180, 540


@pytest.fixture(autouse=True)
def seeded() -> None:
    ad.manual_seed(0)


def drawn(fill: Any, *args: Any, shape: tuple[int, ...] = SHAPE, **options: Any) -> Any:
    """Return what an init function writes; it returns its tensor and records nothing."""
    parameter = ad.nn.Parameter(ad.zeros(shape))
    assert fill(parameter, *args, **options) is parameter
    assert parameter.is_leaf
    return parameter.detach().numpy()


def assert_uniform(values: Any, bound: float) -> None:
    assert np.abs(values).max() <= bound
    assert np.abs(values).max() > 0.99 * bound
    assert abs(values.mean()) < 0.05 * bound
    np.testing.assert_allclose(values.std(), bound / math.sqrt(3), rtol=0.05)


def assert_normal(values: Any, std: float) -> None:
    assert abs(values.mean()) < 0.05 * std
    np.testing.assert_allclose(values.std(), std, rtol=0.05)
    assert np.abs(values).max() > 3 * std


def test_uniform_and_normal() -> None:
    values = drawn(init.uniform_, 1.0, 3.0)
    assert_uniform(values - 2, 1.0)
    assert_normal(drawn(init.normal_, 1.0, 2.0) - 1, 2.0)


def test_xavier() -> None:
    assert_uniform(drawn(init.xavier_uniform_, 2.0), 2 * math.sqrt(6 / (FAN_IN + FAN_OUT)))
    assert_normal(drawn(init.xavier_normal_), math.sqrt(2 / (FAN_IN + FAN_OUT)))


def test_kaiming() -> None:
    assert_uniform(drawn(init.kaiming_uniform_, math.sqrt(5)), 1 / math.sqrt(FAN_IN))
    assert_normal(drawn(init.kaiming_normal_, mode="fan_out", nonlinearity="relu"), math.sqrt(2 / FAN_OUT))
    with pytest.raises(ValueError,
                       match=r"\[kaiming_normal_\] the mode does not exist; expected 'fan_in' or 'fan_out'"):
        drawn(init.kaiming_normal_, mode="fan")
    with pytest.raises(ValueError, match=r"at least two dimensions.*got \(3,\)"):
        drawn(init.kaiming_uniform_, shape=(3,))
    assert drawn(init.kaiming_uniform_, shape=(0, 3)).size == 0


def test_truncated_normal() -> None:
    values = drawn(init.trunc_normal_, std=0.02)
    assert_normal(values, 0.02)
    values = drawn(init.trunc_normal_, 1.0, 2.0, 0.0, 1.5, shape=(20000,))
    assert values.min() >= 0
    assert values.max() <= 1.5
    # The mean of a truncated normal distribution: mean + std (pdf(a) - pdf(b)) / (cdf(b) - cdf(a)).
    pdf = [math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi) for z in (-0.5, 0.25)]
    cdf = [0.5 * (1 + math.erf(z / math.sqrt(2))) for z in (-0.5, 0.25)]
    np.testing.assert_allclose(values.mean(), 1 + 2 * (pdf[0] - pdf[1]) / (cdf[1] - cdf[0]), rtol=0.02)


def test_inverse_error_function() -> None:
    x = np.linspace(-3.5, 3.5, 201)
    there = np.array([math.erf(value) for value in x])
    np.testing.assert_allclose(init._erfinv(there), x, rtol=2e-6, atol=1e-9)
    assert init._erfinv(np.array([-1.0, 1.0])).tolist() == [-math.inf, math.inf]


def test_orthogonal() -> None:
    for shape in ((4, 4), (6, 3), (3, 6), (4, 2, 2, 2)):
        matrix = drawn(init.orthogonal_, 2.0, shape=shape).reshape(shape[0], -1)
        rows, columns = matrix.shape
        product = matrix @ matrix.T if rows <= columns else matrix.T @ matrix
        np.testing.assert_allclose(product, 4 * np.eye(min(rows, columns)), atol=1e-5)


def test_sparse() -> None:
    values = drawn(init.sparse_, 0.3, std=2.0, shape=(10, 50))
    assert ((values == 0).sum(0) == 3).all()
    np.testing.assert_allclose(values[values != 0].std(), 2.0, rtol=0.2)


def test_constants() -> None:
    assert (drawn(init.constant_, 0.5) == 0.5).all()
    assert (drawn(init.ones_) == 1).all()
    assert (drawn(init.zeros_) == 0).all()
    np.testing.assert_array_equal(drawn(init.eye_, shape=(2, 3)), np.eye(2, 3))
    with pytest.raises(ValueError, match="the tensor is no matrix"):
        init.eye_(ad.zeros(2))


def test_dirac_hands_channels_on() -> None:
    layer = ad.nn.Conv2d(4, 6, 3, padding=1, groups=2, bias=False)
    init.dirac_(layer.weight, groups=2)
    x = np.random.default_rng(0).standard_normal((1, 4, 5, 5)).astype(np.float32)
    out = layer(ad.tensor(x)).detach().numpy()
    np.testing.assert_array_equal(out[:, [0, 1, 3, 4]], x)
    assert not out[:, [2, 5]].any()


def test_the_generator_decides() -> None:
    one, other = (init.normal_(ad.zeros(5), generator=ad.Generator().manual_seed(3)).tolist() for _ in range(2))
    assert one == other
    assert init.normal_(ad.zeros(5)).tolist() != one
    assert init.xavier_uniform(ad.zeros(2, 2)).shape == (2, 2)


@pytest.mark.skipif(not HAS_TORCH, reason="PyTorch is not installed")
def test_gains_are_pytorchs() -> None:
    import torch

    for name in ("linear", "conv2d", "conv_transpose1d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"):
        assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    assert init.calculate_gain("leaky_relu", 0.3) == torch.nn.init.calculate_gain("leaky_relu", 0.3)
    with pytest.raises(ValueError, match="no gain"):
        init.calculate_gain("sin")


@pytest.mark.skipif(not HAS_TORCH, reason="PyTorch is not installed")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [
    lambda nn: nn.Linear(30, 40), lambda nn: nn.Conv2d(12, 24, 3, groups=3), lambda nn: nn.ConvTranspose2d(12, 24, 3),
    lambda nn: nn.Bilinear(20, 10, 8), lambda nn: nn.Embedding(50, 20), lambda nn: nn.LSTM(20, 16),
    lambda nn: nn.GRUCell(20, 16),
    lambda nn: nn.MultiheadAttention(24, 2, add_bias_kv=True), lambda nn: nn.MultiheadAttention(24, 2, kdim=12),
    lambda nn: nn.Transformer(16, 2, 1, 1, 32), lambda nn: nn.BatchNorm2d(7), lambda nn: nn.PReLU(3),
],
ids=["Linear", "Conv2d", "ConvTranspose2d", "Bilinear", "Embedding", "LSTM", "GRUCell", "attention", "attention-kdim",
     "Transformer",
        "BatchNorm2d", "PReLU"])
def test_layers_begin_like_pytorchs(make: Any) -> None:
    """Every parameter has the bounds and the spread that PyTorch gives it."""
    import torch

    torch.manual_seed(0)
    ours, theirs = make(ad.nn).state_dict(), make(torch.nn).state_dict()
    for name, value in theirs.items():
        mine, other = ours[name].numpy(), value.numpy()
        if other.size > 50:
            np.testing.assert_allclose(mine.std(), other.std(), rtol=0.25, atol=1e-7, err_msg=name)
            np.testing.assert_allclose(np.abs(mine).max(), np.abs(other).max(), rtol=0.3, err_msg=name)
        elif not other.any() or (other == other.flat[0]).all():
            np.testing.assert_array_equal(mine, other, err_msg=name)
