"""Numbers that Python reads while a function is recorded: they are looked at again, or refused."""

from __future__ import annotations

import copy
import pickle
import random
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.compiler.calls import RecordingError
from tests.compiler.test_conditions import recordings

NUMPY: Any = np.random
RNG, OWN, OLD = np.random.default_rng(0), random.Random(0), np.random.RandomState(0)
HELD = {"generator": np.random.default_rng(1)}


def _branch(x: ad.Tensor) -> ad.Tensor:
    if random.random() < 2:
        return x * 2
    return x


@pytest.mark.parametrize(("function", "name"), [
    (lambda x: x * random.random(), "random"),
    (lambda x: x * random.randint(1, 5), "random"),
    (_branch, "random"),
    (lambda x: x + ad.tensor(NUMPY.rand(2)), "numpy.random"),
    (lambda x: x * float(NUMPY.randn()), "numpy.random"),
    (lambda x: x[NUMPY.permutation(2).tolist()], "numpy.random"),
    (lambda x: x * RNG.random(), "a generator Generator"),
    (lambda x: x * OWN.gauss(0, 1), "a generator Random"),
    (lambda x: x * OLD.rand(), "a generator RandomState"),
    (lambda x: x * HELD["generator"].random(), "a generator Generator"),
    (lambda x: (x * 2, random.random())[0], "random"),
])  # fmt: skip
def test_draws_that_are_not_ours(function: Callable[..., Any], name: str) -> None:
    compiled = ad.compile(function)
    compiled(ad.ones(2))
    with pytest.raises(RecordingError, match=rf"(?s)draws from {name}, .*autodiff.rand.*at .*test_frozen.py:\d+"):
        compiled(ad.ones(2))


def test_draws_outside_and_draws_that_are_ours() -> None:
    compiled = ad.compile(lambda x, p: x * p + ad.rand(2))
    for _ in range(4):
        compiled(ad.ones(2), ad.tensor(random.random() + NUMPY.rand()))
    assert len(compiled.programs) == 1


@pytest.mark.parametrize("fallback", [False, True])
def test_draws_of_another_thread_are_not_the_function_s(fallback: bool) -> None:
    stop, drawn = threading.Event(), threading.Event()

    def load() -> None:
        while not stop.is_set():
            random.random()
            NUMPY.rand()
            drawn.set()

    def step(x: ad.Tensor) -> ad.Tensor:
        for _ in range(5):
            drawn.clear()
            drawn.wait(10)
            x = x.sin()
        return x

    compiled, thread = ad.compile(step, fallback=fallback), threading.Thread(target=load)
    thread.start()
    try:
        for number in range(4):
            x = ad.full((2,), float(number))
            assert compiled(x).numpy().tobytes() == step(x).numpy().tobytes()
    finally:
        stop.set()
        thread.join()
    assert len(compiled.programs) == 1


def test_a_generator_around_the_function_is_watched_beside_another_thread() -> None:
    compiled, stop = ad.compile(lambda x: x * RNG.random()), threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        compiled(ad.ones(2))
        with pytest.raises(RecordingError, match="draws from a generator Generator"):
            compiled(ad.ones(2))
    finally:
        stop.set()
        thread.join()


class Noisy(ad.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: ad.Tensor) -> ad.Tensor:
        return x * random.random()

    @staticmethod
    def backward(ctx: Any, g: ad.Tensor) -> ad.Tensor:
        return g * float(NUMPY.rand())


def test_functions_and_hooks_draw_in_each_replay() -> None:
    """Each replay calls those that look at numbers."""
    found = []
    for compiling in (lambda f: f, ad.compile):
        w = ad.ones(2, requires_grad=True)
        kept: list[float] = []
        w.register_hook(lambda g, kept=kept: kept.append(g.sum().item() * random.random()))
        random.seed(5)
        NUMPY.seed(5)

        def step(x: ad.Tensor, w: ad.Tensor = w) -> ad.Tensor:
            w.grad = None
            loss = Noisy.apply(w * x).sum()
            loss.backward()
            return loss

        run = compiling(step)
        losses = [(run(ad.full((2,), float(number))).item(), w.grad.tolist()) for number in range(5)]
        found.append((losses, kept))
    assert found[0] == found[1]


def test_a_hook_that_draws_and_takes_part() -> None:
    w = ad.ones(2, requires_grad=True)
    w.register_hook(lambda g: g * random.random())

    @ad.compile
    def step() -> None:
        w.sum().backward()

    step()
    with pytest.raises(RecordingError, match="draws from random"):
        step()


# ---- Settings of optimizers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("read", [
    lambda group: group["lr"], lambda group: group.get("lr"), lambda group: dict(group.items())["lr"],
])  # fmt: skip
def test_a_setting_that_the_function_reads(read: Callable[[Any], float]) -> None:
    w = ad.ones(1, requires_grad=True)
    optimizer = ad.optim.SGD([w], lr=0.5)

    @ad.compile
    def step(x: ad.Tensor) -> Any:
        optimizer.zero_grad()
        loss = (w * x).sum() * read(optimizer.param_groups[0])
        loss.backward()
        optimizer.step()
        return loss

    v = 1.0
    for number in range(12):
        rate = 0.5 ** (1 + number // 4)
        optimizer.param_groups[0]["lr"] = rate
        assert step(ad.ones(1)).item() == v * rate
        v -= rate * rate
        assert w.item() == v
    assert [reason.split(",")[0] for reason in recordings(step)] == [
        "the first recording",
        "'lr' of an optimizer is 0.25 instead of 0.5",
        "'lr' of an optimizer is 0.125 instead of 0.25",
    ]


def test_a_setting_that_a_hook_prints() -> None:
    w = ad.ones(1, requires_grad=True)
    optimizer = ad.optim.SGD([w], lr=0.5)
    seen: list[float] = []
    w.register_hook(lambda g: seen.append(optimizer.param_groups[0]["lr"]))

    @ad.compile
    def step() -> None:
        optimizer.zero_grad()
        w.sum().backward()
        optimizer.step()

    for number in range(5):
        optimizer.param_groups[0]["lr"] = float(number + 1)
        step()
    assert seen == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert recordings(step) == ["the first recording"]


@pytest.mark.parametrize("read", [
    lambda group: group.copy()["lr"], lambda group: (group | {})["lr"], lambda group: ({} | group)["lr"],
    lambda group: group.setdefault("lr", 1.0), lambda group: {**group}["lr"], lambda group: dict(group)["lr"],
    lambda group: (lambda lr, **others: lr)(**group), lambda group: copy.copy(group)["lr"],
    lambda group: copy.deepcopy(dict(group, params=()))["lr"], lambda group: dict(zip(group, group.values()))["lr"],
    lambda group: dict(group.items())["lr"], lambda group: "{lr}".format_map(group),
])  # fmt: skip
def test_ways_to_read_a_setting(read: Callable[[Any], Any]) -> None:
    x = ad.ones(1)

    def losses(compiled: bool) -> list[float]:
        w = ad.ones(1, requires_grad=True)
        optimizer = ad.optim.SGD([w], lr=0.5)

        def step() -> Any:
            optimizer.zero_grad()
            loss = (w * x).sum() * float(read(optimizer.param_groups[0]))
            loss.backward()
            optimizer.step()
            return loss

        run, found = ad.compile(step) if compiled else step, []
        for number in range(6):
            optimizer.param_groups[0]["lr"] = 0.5 ** (1 + number // 3)
            found.append(run().item())
        return found

    assert losses(True) == losses(False)


def test_a_setting_that_is_read_in_the_state() -> None:
    w = ad.ones(1, requires_grad=True)
    optimizer = ad.optim.SGD([w], lr=0.5)
    step = ad.compile(lambda x: x * optimizer.state_dict()["param_groups"][0]["lr"])
    for number in range(6):
        optimizer.param_groups[0]["lr"] = float(number // 3)
        assert step(ad.ones(1)).item() == number // 3


@pytest.mark.parametrize("read", [
    lambda group: group.get("decay", 0.0), lambda group: 2.0 if "decay" in group else 0.0,
    lambda group: {**group}.get("decay", 0.0), lambda group: sum(group[name] for name in group if name == "decay"),
])  # fmt: skip
def test_a_setting_that_comes_and_goes(read: Callable[[Any], float]) -> None:
    w = ad.ones(1, requires_grad=True)
    optimizer = ad.optim.SGD([w], lr=0.5)
    step = ad.compile(lambda x: x * read(optimizer.param_groups[0]))
    for number in range(9):
        if number == 3:
            optimizer.param_groups[0]["decay"] = 2.0
        if number == 6:
            del optimizer.param_groups[0]["decay"]
        assert step(ad.ones(1)).item() == (2 if 3 <= number < 6 else 0)


@pytest.mark.parametrize("write", [
    lambda group: group.update(lr=0.03), lambda group: group.update({"lr": 0.03}), lambda group: group.pop("tag"),
    lambda group: group.setdefault("other", 1), lambda group: group.clear(), lambda group: group.popitem(),
    lambda group: group.__setitem__("lr", 0.03), lambda group: group.__delitem__("tag"),
    lambda group: group.__ior__({"lr": 0.03}),
])  # fmt: skip
def test_a_setting_that_the_function_writes(write: Callable[[Any], Any]) -> None:
    w = ad.ones(1, requires_grad=True)
    optimizer = ad.optim.SGD([{"params": [w], "tag": 1}], lr=0.5)

    def group() -> Any:
        return optimizer.param_groups[0]

    @ad.compile
    def step() -> Any:
        write(group())
        return w * 2

    write(group())
    optimizer.param_groups[0] = type(group())({"params": [w], "lr": 0.5, "tag": 1})
    step()
    optimizer.param_groups[0] = type(group())({"params": [w], "lr": 0.5, "tag": 1})
    with pytest.raises(RecordingError, match=r"the function changes .* of an optimizer"):
        step()


def test_copies_of_settings() -> None:
    optimizer = ad.optim.SGD([ad.ones(1, requires_grad=True)], lr=0.5)
    group = optimizer.param_groups[0]
    for other in (copy.deepcopy(group), pickle.loads(pickle.dumps(group)), copy.copy(group)):
        assert type(other) is type(group)
        assert {**other, "params": 0} == {**group, "params": 0}
        assert other["params"][0].item() == 1
    assert list(group.items()) == list(zip(group.keys(), group.values(), strict=True))
    assert type(group.copy()) is type(group | {}) is dict
    assert ("lr", 0.5) in group.items()
    assert 0.5 in group.values()
