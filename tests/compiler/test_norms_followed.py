"""Compiled norms with what follows them, and their gradients together with that of ReLU: the bits of eager runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

import autodiff as ad
from autodiff import nn, threads
from autodiff.nn import functional as F
from autodiff.utils.checkpoint import checkpoint
from benchmarks import training
from benchmarks.workloads import resnet, unet
from tests.fence import fence


@pytest.fixture(autouse=True, params=[1, 2], ids=["1 thread", "2 threads"])
def _threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = ad.get_num_threads()
    monkeypatch.setattr(threads, "PART", 1e-30)
    ad.set_num_threads(request.param)
    yield
    ad.set_num_threads(before)


def names(compiled: Any) -> Counter[str]:
    """Count what is replayed; the parts of what is followed, joined by `+`."""
    program = compiled.programs[0]
    return Counter("+".join(part.name for part in parts) if record.name == "followed" else record.name
                   for record, parts in zip(program, program.columns["parts"], strict=True))


def bits(model: Any) -> list[bytes]:
    values = [*model.parameters(), *[p.grad for p in model.parameters()], *model.buffers()]
    return [x.detach().numpy().tobytes() for x in values]


class Residual(nn.Module):
    """relu(norm(conv(x)) + x)."""

    def __init__(self, norm: Callable[[int], Any], channels: int) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(channels, channels, 3, padding=1, bias=False), norm(channels)

    def forward(self, x: Any) -> Any:
        return F.relu(self.norm(self.conv(x)) + x)


def layers(norm: Callable[[int], Any]) -> Any:
    return nn.Sequential(nn.Conv2d(3, 19, 3, padding=1), norm(19), nn.ReLU(), Residual(norm, 19),
                         nn.Conv2d(19, 6, 3, stride=2), norm(6), nn.ReLU(inplace=True))


def features() -> Any:
    return nn.Sequential(nn.Linear(12, 35), nn.BatchNorm1d(35), nn.ReLU(), nn.Linear(35, 33), nn.LayerNorm(33),
                         nn.Tanh(), nn.Linear(33, 20), nn.RMSNorm(20), nn.Sigmoid())


NETS = {
    "batch norm": partial(layers, nn.BatchNorm2d),
    "group norm": partial(layers, lambda channels: nn.GroupNorm(1, channels)),
    "instance norm": partial(layers, partial(nn.InstanceNorm2d, affine=True)),
    "features": features,
}


def compared(make: Callable[[], Any], shape: tuple[int, ...], wrap: Any = None, **options: Any) -> tuple[Any, Any]:
    """Train a model and its compiled twin, require the same bits, and return the compiled step and its model."""
    ad.manual_seed(0)
    x = ad.randn(*shape)
    models = []
    for compiled in (False, True):
        ad.manual_seed(1)
        model = make()
        optimizer = ad.optim.SGD(model.parameters(), lr=0.1)

        def step(model: Any = model, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = (model(x) if wrap is None else wrap(model, x)).square().mean()
            loss.backward()
            optimizer.step()
            return loss

        run = ad.compile(step, **options) if compiled else step
        models.append((model, [run().item() for _ in range(4)]))
    (one, losses), (other, found) = models
    assert losses == found
    assert bits(one) == bits(other)
    return run, other


@pytest.mark.parametrize("net", NETS)
def test_training_and_evaluation(net: str) -> None:
    shape = (40, 12) if net == "features" else (3, 3, 11, 9)
    step, model = compared(NETS[net], shape)
    found = names(step)
    if net == "features":
        expected = {"batch_norm+relu": 1, "batch_norm_relu_grad": 1, "layer_norm+tanh": 1, "rms_norm+sigmoid": 1}
    else:
        norm = "batch_norm" if net == "batch norm" else "group_norm"
        expected = {f"{norm}+relu": 2, f"{norm}+add+relu": 1, f"{norm}_relu_grad": 2, f"{norm}_grad": 1}
    assert {name: found[name] for name in expected} == expected
    model.eval()
    x = ad.randn(*shape)
    with ad.no_grad():
        evaluated = ad.compile(model.forward)
        results = [evaluated(x) for _ in range(3)]
        for result in results:
            assert result.numpy().tobytes() == model(x).numpy().tobytes()
    if net == "batch norm":
        assert names(evaluated)["batch_norm_given+add+relu"] == 1
        assert names(evaluated)["batch_norm_given+relu"] == 2


@pytest.mark.parametrize("order", ["rows", "planes"])
@pytest.mark.parametrize("activation", [F.relu, F.gelu, F.silu, lambda x: F.relu(0.5 * x), lambda x: (0.5 * x).tanh()])
def test_activations_in_both_layouts(order: str, activation: Any) -> None:
    x = ad.randn(3, 17, 5, 6)
    x = x.contiguous(memory_format=ad.channels_last) if order == "rows" else x
    for norm in (nn.BatchNorm2d(17).eval(), nn.BatchNorm2d(17), nn.GroupNorm(17, 17)):
        norm.requires_grad_(False)
        compiled = ad.compile(lambda x, norm=norm: activation(norm(x)))
        for _ in range(3):
            assert compiled(x).numpy().tobytes() == activation(norm(x)).numpy().tobytes()
        assert any(name.startswith(("batch_norm", "group_norm")) and "+" in name for name in names(compiled))


@pytest.mark.parametrize("training", [True, False])
def test_gradients_of_a_norm_with_given_statistics(training: bool) -> None:
    def make() -> Any:
        return nn.Sequential(nn.Linear(9, 40), nn.BatchNorm1d(40), nn.ReLU(), nn.Linear(40, 3)).train(training)

    assert names(compared(make, (30, 9))[0])["batch_norm_relu_grad"] == 1


def test_what_is_not_joined() -> None:
    weight, bias = ad.ones(20, requires_grad=True), ad.zeros(20, requires_grad=True)
    x = ad.randn(30, 20)

    def gradient(change: Callable[[Any, Any], Any]) -> Any:
        def step() -> Any:
            with ad.no_grad():
                bias.zero_()
            y = F.batch_norm(x * 2, None, None, weight, bias, True)
            z = F.relu(y)
            with ad.no_grad():
                extra = change(y, z)
            g_weight, = ad.autograd.grad((z * z).sum(), [weight])
            return (g_weight, extra) if extra is not None else g_weight

        return step

    def found(change: Callable[[Any, Any], Any]) -> Counter[str]:
        compiled = ad.compile(gradient(change))
        for _ in range(3):
            values, expected = compiled(), gradient(change)()
            pairs = zip(values, expected) if isinstance(values, tuple) else [(values, expected)]
            assert all(a.detach().numpy().tobytes() == b.detach().numpy().tobytes() for a, b in pairs)
        return names(compiled)

    assert found(lambda y, z: None)["batch_norm_relu_grad"] == 1
    assert found(lambda y, z: y + 1)["batch_norm_relu_grad"] == 1
    # The bias is another one by the time of the backward pass.
    assert found(lambda y, z: (bias.add_(1.0), None)[1])["batch_norm_relu_grad"] == 0


def test_the_cotangent_that_passed_has_other_readers() -> None:
    norm, shortcut = nn.BatchNorm1d(20), nn.Linear(20, 20)

    def step(x: Any) -> Any:
        norm.zero_grad()
        shortcut.zero_grad()
        loss = F.relu(norm(x * 2) + shortcut(x)).square().sum()
        loss.backward()
        return loss

    compiled = ad.compile(step)
    x = ad.randn(30, 20)
    for _ in range(3):
        assert compiled(x).item() == step(x).item()
    assert names(compiled)["batch_norm_relu_grad"] == 0


@pytest.mark.parametrize("budget", [None, 0.6])
def test_checkpoints_and_budgets(budget: float | None) -> None:
    step, _ = compared(NETS["batch norm"], (3, 3, 11, 9), wrap=checkpoint, memory_budget=budget)
    assert names(step)["batch_norm_relu_grad"] == 2


@pytest.mark.parametrize(("net", "sizes"), [(resnet, {"batch": 3, "depth": 8}), (unet, {"batch": 1})])
def test_whole_nets(net: Any, sizes: dict[str, int]) -> None:
    steps = [training.torch_build(ad, partial(net.torch_like, **sizes), "sgd", compiled=compiled)[0]
             for compiled in (False, True)]
    losses = [[step().item() for _ in range(4)] for step in steps]
    assert losses[0] == losses[1]
    assert names(steps[1])["batch_norm_relu_grad"] > 0


def test_arrays_that_end_at_a_page_without_access() -> None:
    with fence():
        compared(NETS["batch norm"], (3, 3, 11, 9))
        compared(NETS["group norm"], (2, 3, 7, 5))
        compared(features, (30, 12))
