"""A compiled step gives the bits of the step itself: every workload, every optimizer, on one thread and on two."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import threads
from autodiff.compiler import fusion
from benchmarks.training import initial
from benchmarks.workloads import autoencoder, gpt, kmeans, language, lenet, mlp, resnet, surface, unet, vgg, vit

WORKLOADS: dict[str, Any] = {
    "mlp/tiny": mlp.tiny_torch_like,
    "mlp/digits": partial(mlp.digits_torch_like, batch=9),
    "kmeans": kmeans.torch_like,
    "surface": surface.torch_like,
    "autoencoder": partial(autoencoder.torch_like, batch=5),
    "lenet": partial(lenet.torch_like, batch=3),
    "resnet": partial(resnet.torch_like, depth=8, batch=2),
    "vgg": partial(vgg.torch_like, batch=2),
    "unet": partial(unet.torch_like, batch=1),
    "vit": partial(vit.torch_like, batch=2),
    "lstm": partial(language.torch_like, kind="LSTM", vocabulary=30, width=8, hidden=12, batch=3, length=5),
    "gru": partial(language.torch_like, kind="GRU", vocabulary=30, width=8, hidden=12, batch=3, length=5),
    "gpt": partial(gpt.torch_like, depth=2, width=16, heads=2, batch=2, length=7),
}
OPTIMIZERS = ("SGD", "Adam", "AdamW", "NAdam", "RAdam", "Adamax", "ASGD", "Adagrad", "RMSprop", "Adadelta", "Rprop")


@pytest.fixture(autouse=True, params=[1, 2], ids=["1 thread", "2 threads"])
def _threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Use that many threads, and fuse, also for what is small."""
    before = ad.get_num_threads()
    monkeypatch.setattr(threads, "PART", 1e-30)
    monkeypatch.setattr(fusion, "LEAST", 1)
    ad.set_num_threads(request.param)
    yield
    ad.set_num_threads(before)


def training(
    workload: Callable[[Any], Any], optimizer: str = "Adam", **settings: Any
) -> tuple[Any, Any, Callable[..., Any], list[Any]]:
    """Return model, optimizer, step and batch of a workload with its usual initial weights."""
    model, loss, arrays = workload(ad)
    batch = [ad.tensor(array) for array in arrays]
    model.load_state_dict({name: ad.tensor(initial(name, tuple(x.shape))) for name, x in model.state_dict().items()})
    update = getattr(ad.optim, optimizer)(model.parameters(), **settings)

    def step(*batch: Any) -> Any:
        update.zero_grad()
        value = loss(model, *batch)
        value.backward()
        ad.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        update.step()
        return value

    return model, update, step, batch


def state_of(model: Any, update: Any) -> dict[str, bytes]:
    """Return all that a step may change, as bytes."""
    found = {name: x.detach().numpy().tobytes() for name, x in model.state_dict().items()}
    for name, p in model.named_parameters():
        found[f"{name}.grad"] = p.grad.numpy().tobytes()
        for key, x in update.state[p].items():
            found[f"{name}.{key}"] = x.numpy().tobytes() if isinstance(x, ad.Tensor) else np.float64(x).tobytes()
    return found


def compare(
    workload: Any, steps: int, optimizer: str = "Adam", memory_budget: float | None = None, **settings: Any
) -> Any:
    """Take steps, eager and compiled; assert that after each of them everything has the same bits."""
    model, update, step, batch = training(workload, optimizer, **settings)
    other, other_update, other_step, _ = training(workload, optimizer, **settings)
    compiled = ad.compile(other_step, memory_budget=memory_budget)
    for number in range(steps):
        results = []
        for run in (step, compiled):
            ad.manual_seed(number)
            results.append(run(*batch).detach().numpy().tobytes())
        assert results[0] == results[1], f"the loss of step {number}"
        mine, others = state_of(model, update), state_of(other, other_update)
        assert [name for name in mine if mine[name] != others[name]] == [], f"after step {number}"
        if number == 3:
            for group in (*update.param_groups, *other_update.param_groups):
                group["lr"] /= 2
    assert len(compiled.programs) == 1
    return compiled


@pytest.mark.parametrize("name", WORKLOADS)
def test_workloads(name: str) -> None:
    compare(WORKLOADS[name], 6)


@pytest.mark.parametrize("name", WORKLOADS)
def test_workloads_in_little_memory(name: str) -> None:
    compare(WORKLOADS[name], 3, memory_budget=0.3)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizers(optimizer: str) -> None:
    compare(mlp.tiny_torch_like, 20, optimizer)


@pytest.mark.parametrize(("optimizer", "settings"), [
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("Adam", {"amsgrad": True, "weight_decay": 0.01}),
    ("RMSprop", {"momentum": 0.5, "centered": True}),
    ("NAdam", {"decoupled_weight_decay": True, "weight_decay": 0.1}),
])  # fmt: skip
def test_optimizers_with_settings(optimizer: str, settings: dict[str, Any]) -> None:
    compare(mlp.tiny_torch_like, 20, optimizer, **settings)


@pytest.mark.parametrize("name", ["silu", "mish", "softplus", "gelu", "logsigmoid"])
def test_higher_derivatives_through_operations_that_have_only_a_twin(name: str) -> None:
    def third(x: ad.Tensor) -> ad.Tensor:
        y = getattr(ad.nn.functional, name)(x)
        for order in range(3):
            (y,) = ad.autograd.grad((y * y).sum(), [x], create_graph=order < 2)
        return y

    compiled = ad.compile(third)
    for number in range(4):
        x = (ad.arange(6.0) / 4 - number / 2).requires_grad_()
        assert compiled(x).tolist() == third(x).tolist()
    assert len(compiled.programs) == 1
