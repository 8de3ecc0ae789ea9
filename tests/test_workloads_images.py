"""The training workloads on images: they train, and all libraries compute the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest

import autodiff
from autodiff.utils.benchmark.rounds import difference
from benchmarks import training
from benchmarks.workloads import lenet, resnet, unet, vgg, vit

NETS = [
    pytest.param(lenet, {"batch": 4}, "sgd", id="lenet"),
    pytest.param(resnet, {"batch": 4, "depth": 8}, "sgd", id="resnet"),
    pytest.param(vgg, {"batch": 2}, "sgd", id="vgg"),
    pytest.param(unet, {"batch": 2}, "adam", id="unet"),
    pytest.param(vit, {"batch": 2}, "adamw", id="vit"),
]
Workload = Callable[[Any], Any]


@pytest.mark.parametrize(("net", "sizes", "optimizer"), NETS)
def test_loss_falls(net: Any, sizes: dict[str, int], optimizer: str) -> None:
    step, _ = training.torch_build(autodiff, partial(net.torch_like, **sizes), optimizer)
    losses = [step().item() for _ in range(6)]
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize(("net", "sizes", "optimizer"), NETS)
def test_jax_has_the_same_parameters_and_batch(net: Any, sizes: dict[str, int], optimizer: str) -> None:
    ours, theirs = net.torch_like(autodiff, **sizes), net.jax_like(MagicMock(), **sizes)
    shapes = {name: tuple(value.shape) for name, value in ours.model.state_dict().items()}
    assert theirs.shapes == {name: shape for name, shape in shapes.items() if not name.endswith("num_batches_tracked")}
    for x, y in zip(ours.batch, theirs.batch, strict=True):
        np.testing.assert_array_equal(x.transpose(0, 2, 3, 1) if x.ndim == 4 else x, y)


@pytest.mark.parametrize("depth", [20, 56])
def test_residual_nets_have_the_sizes_of_the_paper(depth: int) -> None:
    """He et al. 2016, table 6: 0.27 and 0.85 million parameters."""
    model = resnet.torch_like(autodiff, depth=depth, batch=1).model
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 2) == {20: 0.27, 56: 0.85}[depth]
    layers = [p for p in model.parameters() if p.ndim > 1]
    assert len(layers) == depth


# Libraries are compared in float64. In float32, each rounds differently, so that a few of the many activations near the
# kink of ReLU fall on its other side, and one of those may change a gradient by a percent.


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let initial values be float64."""
    narrow = training.initial
    monkeypatch.setattr(training, "initial", lambda name, shape: widened(narrow(name, shape)))


def widened(array: training.Array) -> training.Array:
    return array.astype(np.float64) if array.dtype == np.float32 else array


def in_double(workload: Workload, module: Any) -> Any:
    """Build a workload with a batch, and in PyTorch and autodiff a model, in float64."""
    made = workload(module)
    if isinstance(made, training.Training):
        made.model.double()
    return made._replace(batch=tuple(widened(array) for array in made.batch))


def assert_same(found: Any, expected: Any) -> None:
    for name in ("loss", "loss after two steps"):
        assert difference(found[name], expected[name]) < 1e-6
    for group in ("gradients", "statistics"):
        assert found[group].keys() == expected[group].keys()
        worst = {name: difference(found[group][name], expected[group][name]) for name in expected[group]}
        assert all(value < 1e-6 for value in worst.values()), worst


def assert_torch_agrees(workload: Workload, optimizer: str, **layout: bool) -> None:
    torch = pytest.importorskip("torch")
    _, ours = training.torch_build(autodiff, partial(in_double, workload), optimizer)
    _, theirs = training.torch_build(torch, partial(in_double, workload), optimizer, **layout)
    assert_same(ours(), theirs())


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(("net", "sizes", "optimizer"), NETS)
def test_pytorch_computes_the_same(net: Any, sizes: dict[str, int], optimizer: str) -> None:
    assert_torch_agrees(partial(net.torch_like, **sizes), optimizer)


@pytest.mark.usefixtures("double")
def test_pytorch_computes_the_same_channels_last() -> None:
    assert_torch_agrees(partial(resnet.torch_like, batch=4, depth=8), "sgd", channels_last=True)


@pytest.fixture
def jax() -> Iterator[Any]:
    """JAX with float64."""
    module = pytest.importorskip("jax")
    before = module.config.read("jax_enable_x64")
    module.config.update("jax_enable_x64", True)
    yield module
    module.config.update("jax_enable_x64", before)


@pytest.mark.usefixtures("double")
def test_jax_computes_the_same(jax: Any) -> None:
    """One small net: JAX takes seconds to compile each."""
    sizes = {"batch": 4, "depth": 8}
    _, ours = training.torch_build(autodiff, partial(in_double, partial(resnet.torch_like, **sizes)), "sgd")
    _, theirs = training.jax_build(jax, partial(in_double, partial(resnet.jax_like, **sizes)), "sgd")
    assert_same(ours(), theirs())
