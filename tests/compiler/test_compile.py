"""What a call of a compiled function means: results, gradients, state, changes, errors."""

from __future__ import annotations

import math
import re
import threading
import warnings
import weakref
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.compiler.calls import RecordingError
from autodiff.errors import GradientError, InPlaceError, PositionError
from tests.compiler.steps import Net, batch, bits, classifying, falling, twins


def replayed(compiled: Any) -> int:
    return len(compiled.programs)


# ---- Results and gradients -------------------------------------------------------------------------------------------


def test_results_are_copies() -> None:
    double = ad.compile(lambda x: x * 2)
    x = ad.tensor([1.0, 2.0])
    results = [double(x * i) for i in range(4)]
    assert [r.tolist() for r in results] == [[0, 0], [2, 4], [4, 8], [6, 12]]


def test_results_keep_their_structure() -> None:
    weight = ad.ones(2)

    @ad.compile
    def several(x: Any, *, times: int) -> Any:
        return {"sum": x + weight, "both": (x, [x * times, None, "text"]), "weight": weight}

    x = ad.tensor([1.0, 2.0])
    for _ in range(4):
        found = several(x, times=3)
    assert found["sum"].tolist() == [2, 3]
    assert found["both"][0] is x
    assert found["both"][1][0].tolist() == [3, 6]
    assert found["both"][1][1:] == [None, "text"]
    assert found["weight"] is weight


def test_the_backward_pass_of_a_result_runs_outside() -> None:
    (net, loss), (other, other_loss) = twins()
    compiled = ad.compile(other_loss)
    for number in range(5):
        for model, function in ((net, loss), (other, compiled)):
            model.zero_grad()
            ad.manual_seed(number)
            function(*batch(number)).backward()
        assert bits(net) == bits(other)


def test_several_results_wait_for_their_backward_passes() -> None:
    net = Net()
    net.eval()
    compiled = ad.compile(net)
    xs = [batch(i)[0] for i in range(5)]
    for x in xs[:2]:
        compiled(x)
    first, second = compiled(xs[2]), compiled(xs[3])
    net.zero_grad()
    (first.sum() + second.square().sum()).backward()
    found = bits(net)
    net.zero_grad()
    (net(xs[2]).sum() + net(xs[3]).square().sum()).backward()
    assert bits(net) == found


def test_gradients_flow_through_a_compiled_function_to_what_made_its_arguments() -> None:
    x = ad.tensor([1.0, 2.0], requires_grad=True)
    square = ad.compile(lambda y: (y * y).sum())
    for _ in range(4):
        x.grad = None
        (square(x * 3) * 2).backward()
        assert x.grad.tolist() == [36, 72]


def test_compiled_functions_in_compiled_functions() -> None:
    inner = ad.compile(lambda x: x * 2)
    outer = ad.compile(lambda x: inner(x) + 1)
    assert [outer(ad.tensor(float(i))).item() for i in range(4)] == [1, 3, 5, 7]
    assert replayed(inner) == 0


def test_gradients_accumulate_over_calls() -> None:
    (net, loss), (other, other_loss) = twins()

    def add_up(model: Any, function: Any) -> Callable[..., None]:
        def step(*data: Any) -> None:
            function(*data).backward()

        return step

    eager, compiled = add_up(net, loss), ad.compile(add_up(other, other_loss))
    for number in range(9):
        for model, function in ((net, eager), (other, compiled)):
            if number % 3 == 0:
                model.zero_grad()
            ad.manual_seed(number)
            function(*batch(number))
        assert bits(net) == bits(other), number
    assert replayed(compiled) == 2  # with and without a gradient to add to


def test_a_gradient_can_be_kept() -> None:
    w = ad.tensor(2.0, requires_grad=True)

    @ad.compile
    def step(x: Any) -> None:
        w.grad = None
        (w * x).backward()

    kept = []
    for i in range(5):
        step(ad.tensor(float(i)))
        kept.append(w.grad.clone())
    assert [g.item() for g in kept] == [0, 1, 2, 3, 4]


# ---- State -----------------------------------------------------------------------------------------------------------


def test_random_numbers_go_on_as_without() -> None:
    noise = ad.compile(lambda x: x + ad.randn(3) + ad.nn.functional.dropout(x, 0.5))
    x = ad.ones(3)
    ad.manual_seed(5)
    compiled = [noise(x).tolist() for _ in range(4)] + [ad.rand(2).tolist()]
    ad.manual_seed(5)
    eager = [noise._fn(x).tolist() for _ in range(4)] + [ad.rand(2).tolist()]
    assert compiled == eager


def test_tensors_that_the_function_makes_and_changes_begin_anew() -> None:
    @ad.compile
    def counted(x: Any) -> Any:
        total = ad.zeros(2)
        for _ in range(3):
            total += x
        total[0] *= 10
        return total

    assert [counted(ad.full((2,), float(i))).tolist() for i in range(4)] == [[0, 0], [30, 3], [60, 6], [90, 9]]


def test_two_batch_sizes_have_two_programs() -> None:
    (_, loss), (_, other_loss) = twins()
    compiled = ad.compile(other_loss)
    with ad.no_grad():
        for number in range(8):
            data = [x[: 3 if number % 2 else 5] for x in batch(number)]
            results = []
            for function in (loss, compiled):
                ad.manual_seed(0)
                results.append(function(*data).item())
            assert results[0] == results[1]
    assert replayed(compiled) == 2


def test_training_and_evaluation() -> None:
    net = Net()
    compiled = ad.compile(net)
    x = batch(0)[0]
    for number in range(12):
        net.train(number % 6 < 3)
        ad.manual_seed(number)
        found = compiled(x).tolist()
        ad.manual_seed(number)
        state = net.state_dict()
        assert found == net(x).tolist() if not net.training else state
    assert "eval() was called" in compiled.explain()
    assert len(compiled.programs) == 2
    before = compiled.explain()
    for number in range(6):
        compiled.train(number % 2 == 0)(x)
    assert compiled.explain() == before  # nothing is recorded again
    assert compiled.eval() is compiled


def test_attributes_of_a_module_are_found() -> None:
    net = Net()
    compiled = ad.compile(net)
    assert compiled.training
    assert [name for name, _ in compiled.named_parameters()] == [name for name, _ in net.named_parameters()]


@pytest.mark.parametrize("change", [
    lambda net: setattr(net, "scale", 3.0),
    lambda net: net.register_forward_hook(lambda module, args, result: result * 2),
    lambda net: setattr(net.inner.weight, "data", ad.ones_like(net.inner.weight)),
    lambda net: setattr(net, "inner", ad.nn.Linear(4, 6)),
    lambda net: net.double().float(),
], ids=["attribute", "hook", "data", "module", "dtype"])  # fmt: skip
def test_changes_are_noticed(change: Callable[[Any], Any]) -> None:
    net = Net()
    net.eval()
    compiled = ad.compile(net)
    x = batch(0)[0]
    for _ in range(3):
        compiled(x)
    change(net)
    for _ in range(3):
        assert compiled(x).tolist() == net(x).tolist()
    lines = compiled.explain().splitlines()
    assert [line.split()[0] for line in lines] == ["recorded:", "recorded:", "program", "passes:"]  # one is still good


def test_explain_names_what_python_runs_what_passes_did_and_what_loses() -> None:
    weight = ad.eye(3)

    @ad.compile
    def step(x: Any) -> Any:
        y = ad.linalg.inv(weight + x)  # runs in Python
        return (y * 2 + 1).relu().sum(), (x @ x).sum()

    x = ad.ones(200, 3, 3)
    for _ in range(2):
        step(x)
    before = step.explain()
    assert re.search(r"run by Python:\n +linalg_inv at .*test_compile.py:\d+ in step", before)
    numbers = [int(n) for n in re.findall(r"\d+", before[before.index("passes:") :])]
    assert numbers[0] > numbers[-1]  # the chain
    assert re.search(r"one instruction each: mul \+ add \+ relu$", before, re.MULTILINE)
    assert "roofline" not in before
    ad.measure(step, x)
    after = step.explain()
    assert after.startswith(before)
    row = r"\d.* [nµm]?s \(\d+% of all\), \d+% of the roofline"
    assert re.search(rf"furthest from the roofline, what loses most time first:\n +{row}: linalg_inv at .*:\d+", after)


def test_values_in_place_need_no_new_program() -> None:
    net = Net()
    net.eval()
    compiled = ad.compile(net)
    x = batch(0)[0]
    for factor in (1.0, 2.0, 0.5, 3.0):
        with ad.no_grad():
            net.inner.weight.mul_(factor)
        assert compiled(x).tolist() == net(x).tolist()
    net.load_state_dict(Net().state_dict())
    assert compiled(x).tolist() == net(x).tolist()
    assert compiled.explain().count("recorded") == 1


FACTOR = 2.0


def test_variables_around_the_function_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    offset = 1.0

    @ad.compile
    def function(x: Any) -> Any:
        return x * FACTOR + offset

    x = ad.tensor(1.0)
    assert [function(x).item() for _ in range(3)] == [3, 3, 3]
    offset = 5.0
    assert [function(x).item() for _ in range(3)] == [7, 7, 7]
    monkeypatch.setitem(globals(), "FACTOR", 10.0)
    assert [function(x).item() for _ in range(3)] == [15, 15, 15]


def test_equal_numbers_around_the_function_need_no_new_program() -> None:
    offset = float("1.5")

    @ad.compile
    def function(x: Any) -> Any:
        return x + offset

    for i in range(5):
        offset = float("1.5")
        assert function(ad.tensor(float(i))).item() == i + 1.5
    assert function.explain().count("recorded") == 1


def test_a_variable_that_holds_nothing_any_more() -> None:
    offset = 1.0

    @ad.compile
    def function(x: Any) -> Any:
        return x + offset

    x = ad.tensor(1.0)
    assert [function(x).item() for _ in range(3)] == [2, 2, 2]
    del offset
    with pytest.raises(NameError):
        function(x)
    offset = 2.0
    assert [function(x).item() for _ in range(3)] == [3, 3, 3]


def test_numbers_of_an_optimizer_are_read_anew_and_settings_are_compared() -> None:
    w, optimizer, step = falling()
    found = []
    for number in range(8):
        optimizer.param_groups[0]["lr"] = 2.0**number
        optimizer.param_groups[0]["maximize"] = number > 5
        before = w.item()
        step()
        found.append(w.item() - before)
    assert found == [-1, -2, -4, -8, -16, -32, 64, 128]
    assert optimizer.state[w]["step"] == 8


def test_versions_rise() -> None:
    w, _, step = falling()
    for _ in range(3):
        step()
    product = w * w
    step()
    with pytest.raises(InPlaceError, match="changed in place"):
        product.sum().backward()


def test_two_threads_take_turns() -> None:
    total = ad.zeros(1)

    @ad.compile
    def add(x: Any) -> Any:
        total.add_(x)
        return x * 2

    found: list[float] = []

    def work(number: int) -> None:
        found.extend(add(ad.tensor([float(number)])).item() for _ in range(100))

    workers = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(found) == [0.0] * 100 + [2.0] * 100 + [4.0] * 100
    assert total.item() == 300


# ---- Errors in a replay ----------------------------------------------------------------------------------------------


def test_a_bad_index_raises_and_names_the_line() -> None:
    table = ad.nn.Embedding(4, 2)
    compiled = ad.compile(lambda i: table(i) * 2)  # the line to name
    for _ in range(3):
        compiled(ad.tensor([0, 3]))
    with pytest.raises(PositionError, match=r"(?s)got 7.*the line to name"):
        compiled(ad.tensor([7, 0]))
    assert compiled(ad.tensor([1, 2])).shape == (2, 2)


def test_an_error_leaves_parameters_and_state_as_they_were() -> None:
    net = ad.nn.Linear(3, 4)
    optimizer = ad.optim.Adam(net.parameters())

    step = classifying(net, optimizer)
    x, y = ad.ones(2, 3), ad.tensor([0, 3])
    for _ in range(3):
        step(x, y)
    before = bits(net)[: len(list(net.parameters()))]
    with pytest.raises(PositionError, match="got 9"):
        step(x, ad.tensor([0, 9]))
    assert bits(net)[: len(before)] == before
    assert {state["step"] for state in optimizer.state.values()} == {3}
    step(x, y)
    assert {state["step"] for state in optimizer.state.values()} == {4}


# ---- What cannot be recorded -----------------------------------------------------------------------------------------

STATE = {"hidden": ad.zeros(2)}
KEPT: list[Any] = []
COUNT = 0


def _counts(x: Any) -> Any:
    global COUNT
    COUNT += 1
    return x * COUNT


def _carries(x: Any) -> Any:
    STATE["hidden"] = STATE["hidden"] + x
    return STATE["hidden"] * 2


def _keeps(x: Any) -> Any:
    KEPT.append(x * 2)
    return x + 1


def _makes_a_parameter(x: Any) -> Any:
    return x * ad.nn.Parameter(ad.ones(2))


def _retains(x: Any) -> Any:
    y = x.detach().requires_grad_() * 2
    y.retain_grad()
    y.sum().backward()
    return y


UNSUPPORTED: dict[str, tuple[Callable[..., Any], str]] = {
    "item": (lambda x: x * x.sum().item(), "item asks for the numbers of a tensor"),
    "bool": (lambda x: x if x.sum() > 0 else -x, "bool asks for the numbers"),
    "int": (lambda x: x * int(x.sum()), "item asks for the numbers"),
    "float": (lambda x: x * float(x.sum()), "item asks for the numbers"),
    "numpy": (lambda x: x + ad.tensor(x.numpy()), "numpy asks for the numbers"),
    "tolist": (lambda x: ad.tensor(x.tolist()), "tolist asks for the numbers"),
    "print": (lambda x: x * len(str(x)), "print asks for the numbers"),
    "numpy call": (lambda x: x + np.sum(np.asarray(x)), "numpy asks for the numbers"),
    "nonzero": (lambda x: x.nonzero(), "this operation asks for the numbers.*keep the shape"),
    "mask": (lambda x: x[x > 0], "this operation asks for the numbers.*keep the shape"),
    "unique": (lambda x: ad.unique(x), "this operation asks for the numbers.*keep the shape"),
    "tensor": (lambda x: ad.tensor([x[0], x[1]]), r"tensor asks for the numbers.*stack\(\)"),
    "deepcopy": (lambda x: x + deepcopy(x.detach()), r"deepcopy asks for the numbers.*clone\(\)"),
    "orthogonal": (lambda x: x @ ad.nn.init.orthogonal_(ad.zeros(2, 2)), "this operation asks for the numbers"),
    "generator": (lambda x: x + ad.get_rng_state(), "reads the state of a generator.*read it outside"),
    "grad of a result": (_retains, "a tensor that is returned has a .grad.*return the gradient"),
    "escape": (_keeps, "outlives the call.*return it"),
    "global": (_counts, "changes the global 'COUNT'"),
    "parameter": (_makes_a_parameter, "makes a parameter.*copy_"),
    "carried": (_carries, "outlives the call"),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_cannot_be_recorded_is_an_error_that_names_the_line(name: str) -> None:
    function, message = UNSUPPORTED[name]
    compiled = ad.compile(function)
    x = ad.tensor([1.0, 2.0])
    compiled(x)
    with pytest.raises(RecordingError, match=f"(?s){message}.*at .*test_compile.py:\\d+ in (?!test_)"):
        compiled(x)
    assert ad.tensor([1.0]).item() == 1  # nothing is being recorded any more


def test_fallback_runs_the_function_as_it_is() -> None:
    compiled = ad.compile(lambda x: x if x.sum() > 0 else -x, fallback=True)
    compiled(ad.ones(2))
    with pytest.warns(UserWarning, match="bool asks for the numbers"):
        compiled(ad.ones(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compiled(-ad.ones(2)).tolist() == [1, 1]
    assert "cannot be recorded" in compiled.explain()


def test_history_of_an_earlier_call() -> None:
    w = ad.tensor([1.0], requires_grad=True)
    state = [w * 2]

    @ad.compile
    def step(x: Any) -> Any:
        return (state[0] * x).sum()

    step(ad.ones(1))
    with pytest.raises(RecordingError, match=r"with the history of an earlier call.*detach"):
        step(ad.ones(1))


def test_an_iterator_as_argument() -> None:
    compiled = ad.compile(lambda values: next(values) * 2)
    with pytest.raises(RecordingError, match="an argument is an iterator"):
        compiled(iter([ad.ones(1)] * 5))


def test_backward_through_an_earlier_replay() -> None:
    w = ad.tensor(2.0, requires_grad=True)

    @ad.compile
    def step() -> Any:
        loss = w * w
        w.grad = None
        loss.backward()
        return loss

    for _ in range(3):
        loss = step()
    with pytest.raises(GradientError, match=r"its backward pass ran inside a compiled function at .*loss = w \* w"):
        loss.backward()
    square = ad.compile(lambda: w * w)
    for _ in range(3):
        result = square()
    result.backward()
    with pytest.raises(GradientError, match="runs once for each call"):
        result.backward()


def test_backward_after_a_change() -> None:
    w = ad.tensor([2.0], requires_grad=True)
    square = ad.compile(lambda x: (w * w * x).sum())
    for _ in range(3):
        result = square(ad.ones(1))
    with ad.no_grad():
        w.mul_(2)
    with pytest.raises(InPlaceError, match="has changed since the call"):
        result.backward()


def test_too_many_recordings() -> None:
    compiled = ad.compile(lambda x, n: x * n)
    x = ad.ones(1)

    def many() -> None:
        for n in range(20):
            compiled(x, float(n))
            compiled(x, float(n))

    with pytest.raises(RecordingError, match=r"there are 16 recordings.*pass numbers that vary as tensors"):
        many()


def test_a_failure_while_recording_leaves_nothing_behind() -> None:
    fail = [False]

    @ad.compile
    def step(x: Any) -> Any:
        if fail[0]:
            raise KeyError("mine")
        return x * 2

    step(ad.ones(1))
    fail[0] = True
    with pytest.raises(KeyError):
        step(ad.ones(1))
    fail[0] = False
    assert [step(ad.ones(1)).item() for _ in range(3)] == [2, 2, 2]


def test_options_of_pytorch_have_no_effect() -> None:
    assert ad.compile(lambda x: x + 1, fullgraph=True, dynamic=False, mode="max-autotune")(ad.ones(1)).item() == 2
    with pytest.raises(TypeError, match="unexpected keyword argument 'speed'"):
        ad.compile(lambda x: x, speed=3)
    with pytest.raises(TypeError, match="wants a function or a module"):
        ad.compile(3)


def test_check_finds_what_a_recording_cannot_see() -> None:
    mode = {"exp": False}

    @ad.compile
    def function(x: Any) -> Any:
        y = x * 2
        return (y.exp() if mode["exp"] else y).tanh()

    x = ad.ones(3)
    with pytest.raises(RecordingError, match="nothing has been recorded"):
        function.check(x)
    for _ in range(3):
        function(x)
    assert function.check(x) == ""
    mode["exp"] = True
    assert function.check(x).startswith("+ %1: float32[3] = exp(%0)")


def test_an_error_that_the_function_swallows() -> None:
    @ad.compile
    def function(x: Any) -> Any:
        try:
            value = x.sum().item()
        except RuntimeError:
            value = 0.0
        return x * value

    function(ad.ones(2))
    with pytest.raises(RecordingError, match="item asks for the numbers"):
        function(ad.ones(2))


def test_fallback_also_when_no_recording_fits() -> None:
    compiled = ad.compile(lambda x, n: x * n, fallback=True)
    with pytest.warns(UserWarning, match="there are 16 recordings"):
        found = [compiled(ad.ones(1), float(n // 2)).item() for n in range(40)]
    assert found == [n // 2 for n in range(40)]


def test_a_leaf_made_inside() -> None:
    layer = ad.nn.Linear(3, 2)

    def attack(x: Any) -> Any:
        delta = ad.zeros(4, 3, requires_grad=True)
        layer(x + delta).square().sum().backward()
        return x + delta.grad.sign() * 0.1

    compiled = ad.compile(attack)
    for number in range(5):
        x = ad.full((4, 3), float(number))
        layer.zero_grad()
        expected = attack(x).tolist()
        layer.zero_grad()
        assert compiled(x).tolist() == expected


def test_recording_keeps_nothing_alive_that_the_function_lets_go() -> None:
    alive: list[int] = []
    tensors: list[Any] = []

    def function(x: Any) -> Any:
        for _ in range(5):
            x = x.exp()
            tensors.append(weakref.ref(x))
        alive.append(sum(reference() is not None for reference in tensors))
        return x

    compiled = ad.compile(function)
    for _ in range(2):
        tensors.clear()
        compiled(ad.ones(3))
    assert alive == [1, 1]


def test_under_detect_anomaly_the_function_itself_says_where_the_first_nan_is() -> None:
    x = ad.tensor([-1.0], requires_grad=True)

    @ad.compile
    def step() -> Any:
        x.grad = None
        loss = x.sqrt().sum()
        loss.backward()
        return loss

    for _ in range(3):
        step()
    with ad.autograd.detect_anomaly(), pytest.raises(GradientError, match="NaN"):
        step()
    assert math.isnan(step().item())
