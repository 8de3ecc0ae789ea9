"""What makes a compiled function record again, and what does not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

import autodiff as ad
from autodiff.compiler.calls import RecordingError
from autodiff.compiler.surroundings import _paths
from autodiff.slots import Changes
from tests.compiler.steps import Net, batch, bits, classifying, falling


def recordings(compiled: Any) -> list[str]:
    """Return why it was recorded, each time."""
    return [line.removeprefix("recorded: ") for line in compiled.explain().splitlines() if line.startswith("recorded")]


def _make_an_optimizer() -> None:
    ad.optim.Adam(ad.nn.Linear(2, 2).parameters()).add_param_group({"params": [ad.ones(1, requires_grad=True)]})


def _load_an_optimizer() -> None:
    optimizer = ad.optim.SGD([ad.ones(1, requires_grad=True)], lr=0.1)
    optimizer.load_state_dict(optimizer.state_dict())


def _train_another_model() -> None:
    net = Net()
    step = classifying(net, ad.optim.SGD(net.parameters(), lr=0.1))
    for _ in range(3):
        step(*batch(0))
    net.scale = 2.0
    net.inner.weight.requires_grad_(False)
    net.inner.register_forward_hook(lambda *_: None).remove()
    net.inner.weight.data = ad.zeros(6, 4)
    net.eval()


def _hook_a_tensor() -> None:
    x = ad.ones(1, requires_grad=True)
    x.register_hook(lambda g: g).remove()
    (x * 2).register_hook(lambda g: g).remove()


def _change_a_module() -> None:
    net = Net()
    net.inner.register_forward_pre_hook(lambda *_: None).remove()
    del net.scale
    net.eval().double()


@pytest.mark.parametrize("happens", [
    _make_an_optimizer, _load_an_optimizer, _train_another_model, _hook_a_tensor, _change_a_module,
])  # fmt: skip
def test_what_happens_elsewhere_concerns_nobody(happens: Callable[[], None]) -> None:
    w, _, step = falling()
    for _ in range(3):
        step()
    happens()
    step()
    assert w.item() == -3
    assert recordings(step) == ["the first recording"]


@pytest.mark.parametrize("act", [
    lambda optimizer, w: optimizer.zero_grad(),
    lambda optimizer, w: [p.grad.zero_() for group in optimizer.param_groups for p in group["params"]],
], ids=["zero_grad", "by hand"])  # fmt: skip
def test_a_group_that_is_added(act: Callable[..., None]) -> None:
    w, v = ad.ones(1, requires_grad=True), ad.ones(1, requires_grad=True)
    optimizer = ad.optim.SGD([w], lr=1.0)

    @ad.compile
    def step() -> None:
        act(optimizer, w)

    for _ in range(3):
        w.grad = ad.ones(1)
        step()
    optimizer.add_param_group({"params": [v]})
    for _ in range(3):
        w.grad, v.grad = ad.ones(1), ad.ones(1)
        step()
        assert v.grad is None or v.grad.item() == 0
    assert recordings(step) == ["the first recording", "SGD was given a parameter group"]


def test_a_state_that_is_loaded() -> None:
    w, optimizer, step = falling()
    optimizer.param_groups[0]["momentum"] = 0.5
    for _ in range(3):
        step()
    state = optimizer.state_dict()
    state = {**state, "state": {0: {**state["state"][0], "momentum_buffer": ad.full((1,), 100.0)}}}
    optimizer.load_state_dict(state)
    before = w.item()
    step()
    assert before - w.item() == 51
    assert recordings(step)[-1] == "SGD was given another state"


@pytest.mark.parametrize("inside", [True, False])
def test_a_generator_and_a_discriminator(inside: bool) -> None:
    """Each freezes the other while it learns."""
    found = []
    for compiling in (lambda step: step, ad.compile):
        ad.manual_seed(0)
        nets = [ad.nn.Linear(3, 3), ad.nn.Linear(3, 1)]
        optimizers = [ad.optim.Adam(net.parameters(), lr=0.1) for net in nets]

        def learning(own: int, nets: Any = nets, optimizers: Any = optimizers) -> Callable[..., ad.Tensor]:
            def learn(noise: ad.Tensor) -> ad.Tensor:
                if inside:
                    nets[1 - own].requires_grad_(False)
                optimizers[own].zero_grad()
                loss = nets[1](nets[0](noise)).sigmoid().log().mean() * (-1) ** own
                loss.backward()
                optimizers[own].step()
                if inside:
                    nets[1 - own].requires_grad_(True)
                return loss

            return learn

        steps = [compiling(learning(0)), compiling(learning(1))]
        losses = []
        for number in range(6):
            for own, step in enumerate(steps):
                if not inside:
                    nets[1 - own].requires_grad_(False)
                losses.append(step(ad.full((4, 3), number / 3)).item())
                if not inside:
                    nets[1 - own].requires_grad_(True)
        found.append((losses, bits(nets[0]), bits(nets[1])))
        if compiling is ad.compile:
            assert [recordings(step) for step in steps] == [["the first recording"]] * 2
    assert found[0] == found[1]


def test_a_switch_that_is_left_is_refused() -> None:
    net = Net()

    @ad.compile
    def step(x: ad.Tensor) -> ad.Tensor:
        net.train(not net.training)  # the line to name
        return net(x)

    step(batch(0)[0])
    with pytest.raises(RecordingError, match=r"(?s)Net\.eval\(\) was called|Net\.train\(\) was called.*line to name"):
        step(batch(0)[0])


def test_modules_in_a_list_are_watched() -> None:
    class Listed(ad.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = [ad.nn.Dropout(0.5)]

        def forward(self, x: ad.Tensor) -> Any:
            return self.parts[0](x)

    net = Listed()
    compiled = ad.compile(net)
    for _ in range(3):
        compiled(ad.ones(64))
    net.parts[0].eval()
    assert compiled(ad.ones(64)).tolist() == [1.0] * 64


def test_new_hooks_on_each_argument() -> None:
    @ad.compile
    def step(x: ad.Tensor) -> None:
        (x * x).sum().backward()

    def run() -> None:
        for number in range(20):
            x = ad.full((2,), float(number), requires_grad=True)
            x.register_hook(lambda g: g * 2)
            step(x)
            assert x.grad.tolist() == [4.0 * number] * 2

    with pytest.raises(RecordingError, match=r"there are 16 recordings.*an argument has other hooks: register the"):
        run()
    assert recordings(step)[1].startswith("an argument has other hooks")


def test_an_optimizer_that_the_function_makes() -> None:
    w = ad.ones(1, requires_grad=True)

    @ad.compile
    def step() -> None:
        optimizer = ad.optim.SGD([w], lr=0.1, momentum=0.9)  # the line to name
        w.sum().backward()
        optimizer.step()

    step()
    with pytest.raises(RecordingError, match=r"(?s)makes an optimizer.*make it outside.*the line to name"):
        step()


def test_frozen_parameters_have_a_program_of_their_own() -> None:
    net = Net()
    net.eval()
    compiled = ad.compile(net)
    x = batch(0)[0]
    for number in range(9):
        net.inner.requires_grad_(number % 4 < 2)
        net.zero_grad()
        compiled(x).sum().backward()
        assert (net.inner.weight.grad is None) is (number % 4 > 1)
    assert len(recordings(compiled)) == len(compiled.programs) == 2


class Config:
    rate = 2.0


CONFIG = {"rate": 2.0, "inner": {"rate": 2.0}, "function": ad.tanh}


class Scaled:
    rate = 2.0

    def __init__(self) -> None:
        self.config = Config()

    def method(self, x: ad.Tensor) -> ad.Tensor:
        return x * self.rate * self.config.rate

    def __call__(self, x: ad.Tensor) -> ad.Tensor:
        return x * self.rate

    def inside(self, x: ad.Tensor) -> ad.Tensor:
        return (lambda y: y * self.rate)(x)

    def looped(self, x: ad.Tensor) -> ad.Tensor:
        return sum([x * self.rate for _ in range(2)])

    def local(self, x: ad.Tensor) -> ad.Tensor:
        first = second = self.config
        other = first
        return x * other.rate + second.rate

    def local_inside(self, x: ad.Tensor) -> ad.Tensor:
        config = self.config
        return (lambda y: y * config.rate)(x)

    def count(self, x: ad.Tensor) -> ad.Tensor:
        self.rate += 1  # the line to name
        return x * self.rate


class ScaledModule(ad.nn.Module):
    rate = 2.0

    def __init__(self) -> None:
        super().__init__()
        self.config = Config()

    def forward(self, x: ad.Tensor) -> ad.Tensor:
        return x * self.rate * self.config.rate


@dataclass(slots=True)
class Slotted:
    rate: float = 2.0
    inner: Any = None


class WithArray:
    def __init__(self) -> None:
        self.array = None
        self.rate = 2.0


def _attribute_of_the_optimizer(x: ad.Tensor) -> ad.Tensor:
    return x * OPTIMIZER.factor * OPTIMIZER.param_groups[0].get("other", 1.0)


def _set(owner: Any, value: float) -> None:
    owner.rate = value


OBJECT, MODULE, SLOTTED, WITH_ARRAY = Scaled(), ScaledModule(), Slotted(inner=Slotted()), WithArray()
TENSOR, PYTHON_MODULE = ad.ones(2), ModuleType("settings")
OPTIMIZER: Any = ad.optim.SGD([ad.ones(1, requires_grad=True)], lr=0.1)
NAMED: dict[str, tuple[Callable[..., Any], Callable[[float], Any]]] = {
    "item": (lambda x: x * CONFIG["rate"], lambda value: CONFIG.update(rate=value)),
    "item of an item": (lambda x: x * CONFIG["inner"]["rate"], lambda value: CONFIG["inner"].update(rate=value)),
    "function": (lambda x: CONFIG["function"](x), lambda value: CONFIG.update(function=lambda x: x * value)),
    "class": (lambda x: x * Config.rate, lambda value: _set(Config, value)),
    "attribute": (lambda x: x * OBJECT.rate, lambda value: _set(OBJECT, value)),
    "attribute of a class": (lambda x: x * OBJECT.config.rate, lambda value: _set(Config, value)),
    "method": (OBJECT.method, lambda value: _set(OBJECT.config, value)),
    "callable": (OBJECT, lambda value: _set(OBJECT, value)),
    "module": (MODULE, lambda value: _set(MODULE.config, value)),
    "function inside a method": (Scaled.inside.__get__(OBJECT), lambda value: _set(OBJECT, value)),
    "loop in a method": (OBJECT.looped, lambda value: _set(OBJECT, value)),
    "local name": (OBJECT.local, lambda value: _set(OBJECT.config, value)),
    "local name in a function inside": (OBJECT.local_inside, lambda value: _set(OBJECT.config, value)),
    "slots": (lambda x: x * SLOTTED.rate, lambda value: _set(SLOTTED, value)),
    "slots in slots": (lambda x: x * SLOTTED.inner.rate, lambda value: _set(SLOTTED.inner, value)),
    "object with an array": (lambda x: x * WITH_ARRAY.rate, lambda value: _set(WITH_ARRAY, value)),
    "attribute of a tensor": (lambda x: x * TENSOR.rate, lambda value: _set(TENSOR, value)),  # type: ignore[attr-defined]
    "attribute of an optimizer": (_attribute_of_the_optimizer, lambda value: setattr(OPTIMIZER, "factor", value)),
    "Python module": (lambda x: x * PYTHON_MODULE.rate, lambda value: _set(PYTHON_MODULE, value)),
    "class of a module": (MODULE, lambda value: _set(ScaledModule, value)),
}


@pytest.mark.parametrize("name", NAMED)
def test_what_a_function_names_of_what_lies_around_it(name: str) -> None:
    function, change = NAMED[name]
    compiled = ad.compile(function)
    for number in range(9):
        if number % 3 == 0:
            change(number + 1.0)
        x = ad.full((2,), float(number))
        assert compiled(x).numpy().tobytes() == function(x).numpy().tobytes()
    assert len(recordings(compiled)) == 3


class Instruction(NamedTuple):
    opname: str
    argval: Any
    argrepr: str = ""


@pytest.mark.parametrize("instructions", [
    [("LOAD_FAST_LOAD_FAST", ("x", "self")), ("LOAD_ATTR", "rate")],
    [("LOAD_FAST_BORROW_LOAD_FAST_BORROW", ("x", "self")), ("LOAD_ATTR", "rate")],
    [("LOAD_FAST_BORROW", "self"), ("LOAD_ATTR", "rate")],
    [("LOAD_FAST_CHECK", "self"), ("LOAD_ATTR", "rate")],
    [("STORE_FAST_LOAD_FAST", ("x", "self")), ("LOAD_ATTR", "rate")],
    [("LOAD_FAST", "self"), ("STORE_FAST_LOAD_FAST", ("c", "c")), ("LOAD_ATTR", "rate")],
    [("LOAD_FAST", "self"), ("COPY", 1), ("STORE_FAST_STORE_FAST", ("b", "c")), ("LOAD_FAST", "b"),
     ("LOAD_ATTR", "rate")],
])  # fmt: skip
def test_attributes_in_the_code_of_later_pythons(instructions: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dis.get_instructions", lambda code: [Instruction(*x) for x in instructions])
    code = test_attributes_in_the_code_of_later_pythons.__code__
    assert list(_paths([code], {("FAST", "self")})) == [(("FAST", "self"), ((False, "rate"),))]


@pytest.mark.parametrize("instructions", [
    [("LOAD_CONST", 1), ("BINARY_SUBSCR", None)],
    [("LOAD_SMALL_INT", 1), ("BINARY_OP", 26, "[]")],
])  # fmt: skip
def test_items_in_the_code_of_later_pythons(instructions: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    instructions = [("LOAD_GLOBAL", "c"), *instructions]
    monkeypatch.setattr("dis.get_instructions", lambda code: [Instruction(*x) for x in instructions])
    code = test_items_in_the_code_of_later_pythons.__code__
    assert list(_paths([code], {("GLOBAL", "c")})) == [(("GLOBAL", "c"), ((True, 1),))]


def test_a_constant_and_the_result_of_a_call_are_no_names() -> None:
    def function(x: Any) -> Any:
        a = CONFIG
        b = 1
        c = x(CONFIG)
        return a.one, b.two, c.three  # type: ignore[attr-defined]

    assert list(_paths([function.__code__], {("GLOBAL", "CONFIG")})) == [(("GLOBAL", "CONFIG"), ((False, "one"),))]


def test_an_optimizer_s_method_compiled() -> None:
    found = []
    for compiling in (lambda f: f, ad.compile):
        w = ad.ones(2, requires_grad=True)
        w.grad = ad.ones(2)
        step = compiling(ad.optim.Adam([w], lr=0.5).step)
        for _ in range(4):
            step()
        found.append(w.tolist())
    assert found[0] == found[1]


def test_an_object_that_the_function_changes_is_named_with_its_line() -> None:
    compiled = ad.compile(Scaled().count)
    compiled(ad.ones(1))
    with pytest.raises(RecordingError, match=r"(?s)changes 'rate' of a Scaled.*the line to name"):
        compiled(ad.ones(1))


def test_a_list_of_parameters_that_is_replaced() -> None:
    w, v = ad.ones(2, requires_grad=True), ad.ones(2, requires_grad=True)
    optimizer = ad.optim.SGD([w], lr=1.0)

    @ad.compile
    def step() -> None:
        w.grad = v.grad = None
        (w.sum() + v.sum()).backward()
        optimizer.step()

    for _ in range(3):
        step()
    optimizer.param_groups[0]["params"] = [v]
    for _ in range(3):
        step()
    assert (w.tolist(), v.tolist()) == ([-2, -2], [-2, -2])
    assert recordings(step) == ["the first recording", "an optimizer has other groups, or another list of parameters"]


# ---- States of optimizers --------------------------------------------------------------------------------------------


class _Heads(ad.nn.Module):
    """The second head works in training only."""

    def __init__(self) -> None:
        super().__init__()
        ad.manual_seed(5)
        self.one, self.two = ad.nn.Linear(3, 2), ad.nn.Linear(3, 2)

    def forward(self, x: ad.Tensor) -> Any:
        return self.one(x) + self.two(x) if self.training else self.one(x)


def _freeze(model: Any, optimizer: Any, number: int) -> None:
    model.one.weight.requires_grad_(not 3 <= number < 6)


def _evaluate(model: Any, optimizer: Any, number: int) -> None:
    model.train(not 3 <= number < 6)


def _step_outside(model: Any, optimizer: Any, number: int) -> None:
    if number == 3:
        optimizer.zero_grad()
        model.one.bias.grad = ad.ones(2)
        optimizer.step()


def _begin_again(model: Any, optimizer: Any, number: int) -> None:
    if number == 3:
        optimizer.state[model.one.bias]["step"] = 0


def runs(
    kind: Any, act: Callable[[Any, Any, int], None], compiled: bool, calls: int = 9
) -> tuple[list[list[bytes]], list[str]]:  # fmt: skip
    """Return the bits of the weights after each call, and why the step was recorded."""
    model = _Heads()
    optimizer = kind(model.parameters(), lr=0.1)

    def step(x: ad.Tensor) -> Any:
        optimizer.zero_grad()
        loss = (model(x) ** 2).sum()
        loss.backward()
        optimizer.step()
        return loss

    run = ad.compile(step) if compiled else step
    found = []
    for number in range(calls):
        act(model, optimizer, number)
        run(ad.ones(4, 3))
        found.append(bits(model))
    return found, recordings(run) if compiled else []


@pytest.mark.parametrize("kind", [ad.optim.Adam, ad.optim.AdamW, ad.optim.NAdam])
@pytest.mark.parametrize("act", [_freeze, _evaluate, _step_outside, _begin_again])
def test_parameters_that_have_made_different_numbers_of_steps(kind: Any, act: Callable[..., None]) -> None:
    expected, _ = runs(kind, act, compiled=False)
    found, reasons = runs(kind, act, compiled=True)
    assert found == expected
    assert len(reasons) == (3 if act in (_freeze, _evaluate) else 2)
    if len(reasons) == 2:
        assert reasons[1] == "parameters that an optimizer updates together have made different numbers of steps"


def _tag(make: Callable[[], Any]) -> Callable[..., None]:
    def act(model: Any, optimizer: Any, number: int) -> None:
        if number in (0, 4):
            optimizer.param_groups[0]["tag"] = make()
        optimizer.param_groups[0]["lr"] = 0.1 / (1 + number)

    return act


@pytest.mark.parametrize("make", [lambda: ad.ones(3), lambda: ad.ones(1), lambda: np.ones(3), lambda: [None]])
def test_what_else_stands_among_the_settings(make: Callable[[], Any]) -> None:
    expected, _ = runs(ad.optim.Adam, _tag(make), compiled=False)
    found, reasons = runs(ad.optim.Adam, _tag(make), compiled=True)
    assert found == expected
    assert reasons == ["the first recording", "'tag' of an optimizer changed"]


def test_a_change_is_known_before_it_is_counted() -> None:
    changes = Changes()
    counts = []

    class Known(dict[Any, Any]):
        def __setitem__(self, key: Any, value: Any) -> None:
            counts.append((changes.count, value))
            super().__setitem__(key, value)

    changes.known = Known()
    changes.note(changes, "a")
    changes.switch(changes, "b", "b")
    assert counts == [(0, (1, "a")), (1, (2, "b"))]
    assert (changes.of(changes), changes.of(changes, switch="b")) == ("a", "b")


# ---- What is replaced in a list or a dictionary ----------------------------------------------------------------------


def _replace_a_group(model: Any, optimizer: Any, number: int) -> None:
    if number == 4:
        optimizer.param_groups[0] = {**optimizer.param_groups[0], "lr": 0.01}


def _replace_the_groups(model: Any, optimizer: Any, number: int) -> None:
    if number == 4:
        optimizer.param_groups = [{**group, "lr": 0.01} for group in optimizer.param_groups]
    if number > 5:
        optimizer.param_groups[0]["lr"] = 0.1 / number


def _replace_the_state(model: Any, optimizer: Any, number: int) -> None:
    if number == 4:
        optimizer.state = defaultdict(dict, {p: {**state, "step": 1} for p, state in optimizer.state.items()})


@pytest.mark.parametrize("act", [_replace_a_group, _replace_the_groups, _replace_the_state])
def test_groups_and_states_that_are_replaced(act: Callable[..., None]) -> None:
    expected, _ = runs(ad.optim.Adam, act, compiled=False)
    found, reasons = runs(ad.optim.Adam, act, compiled=True)
    assert found == expected
    assert len(reasons) == 2
    assert reasons[1].startswith("an optimizer has other groups")


def _adam(model: Any) -> Any:
    return ad.optim.Adam(model.parameters(), lr=0.1)


@pytest.mark.parametrize(("holder", "read"), [
    (lambda x: [x], lambda holder: holder[0]),
    (lambda x: {"a": x, "n": 0}, lambda holder: next(iter(holder.values()))),
    (lambda x: {"a": [x], "n": 0}, lambda holder: next(iter(holder.values()))[0]),
    (lambda x: [(x, 1)], lambda holder: holder[0][0]),
])  # fmt: skip
@pytest.mark.parametrize("replaced", ["model", "optimizer"])
def test_modules_and_optimizers_that_are_replaced(
    holder: Callable[[Any], Any], read: Callable[[Any], Any], replaced: str
) -> None:  # fmt: skip
    def run(compiled: bool) -> tuple[list[list[bytes]], int]:
        model = _Heads()
        models, optimizers = holder(model), holder(_adam(model))

        def step(x: ad.Tensor) -> Any:
            read(optimizers).zero_grad()
            loss = (read(models)(x) ** 2).sum()
            loss.backward()
            read(optimizers).step()
            return loss

        call, found = ad.compile(step) if compiled else step, []
        for number in range(8):
            if isinstance(models, dict):
                models["n"] = optimizers["n"] = number
            if number == 4:
                if replaced == "model":
                    model = _Heads()
                    _put(models, holder(model))
                _put(optimizers, holder(_adam(model)))
            call(ad.ones(4, 3))
            found.append(bits(model))
        return found, len(recordings(call)) if compiled else 2

    assert run(True) == run(False)


def _put(container: Any, other: Any) -> None:
    if isinstance(container, dict):
        container["a"] = other["a"]
    else:
        container[:] = other


def test_a_parameter_that_the_function_only_asks_about() -> None:
    def act(model: Any, number: int) -> None:
        model.two.requires_grad_(3 <= number < 5)

    def run(compiled: bool) -> list[float]:
        model = _Heads().eval()

        def penalty(x: ad.Tensor) -> Any:
            return model(x).sum() + sum((p * p).sum() for p in model.parameters() if p.requires_grad)

        call, found = ad.compile(penalty) if compiled else penalty, []
        for number in range(7):
            act(model, number)
            found.append(call(ad.ones(4, 3)).item())
        return found

    assert run(True) == run(False)
