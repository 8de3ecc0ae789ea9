"""Columns of programs: what they say, and that measuring adds up. Times come from a clock of the test's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from steps import classifier_step

import autodiff as ad
from autodiff import measuring, nn
from autodiff.errors import ValueRangeError
from autodiff.program import Program
from autodiff.program_columns import saved_bytes, shares_of_roofline, statistics
from autodiff.program_recorder import Recorder
from autodiff.recording import record_with


class Clock:
    """A clock that goes on by what the operations of a test are to take."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(measuring, "clock", made)
    return made


@pytest.fixture
def training() -> tuple[Any, Any, Any, Any]:
    ad.manual_seed(1)
    inner = nn.Sequential(nn.Linear(300, 300), nn.Tanh())
    model = nn.Sequential(nn.Linear(8, 300), nn.ReLU(), inner, nn.Linear(300, 3))
    return model, classifier_step(model, ad.optim.Adam(model.parameters())), ad.randn(5, 8), ad.tensor([0, 1, 2, 0, 1])


# ---- Columns ---------------------------------------------------------------------------------------------------------


def test_a_column_has_an_entry_for_each_record() -> None:
    program = ad.record(lambda: ad.ones(2).exp())
    with pytest.raises(ValueError, match="the column 'seconds' has 2 entries for 1 records"):
        Program(program.records, columns={"seconds": [1.0, 2.0]})


def test_gradients_are_known(training: Any) -> None:
    model, step, x, y = training
    program = ad.record(step, x, y)
    gradient_of = {
        (target[0].name, target[0].scope) if type(target) is tuple else target.name: (record.name, record.scope, index)
        for record, pairs in zip(program, program.columns["gradient_of"])
        for index, target in pairs
    }
    assert gradient_of["linear", "Sequential.3"][0] == "cross_entropy_grad"
    assert gradient_of["tanh", "Sequential.2.1"] == ("linear_grad", "Sequential.3", 0)
    assert gradient_of["0.weight"] == ("linear_grad", "Sequential.0", 0)
    assert gradient_of["3.bias"] == ("linear_grad", "Sequential.3", 2)
    assert {name for name in gradient_of if isinstance(name, str)} == {name for name, _ in model.named_parameters()}


def test_one_value_can_be_the_gradient_of_several() -> None:
    x, y = (ad.ones(2, requires_grad=True) for _ in range(2))
    program = ad.record(lambda: (x + y).exp().sum().backward())
    targets = [target for pairs in program.columns["gradient_of"] for _, target in pairs]
    assert any(target is x for target in targets)
    assert any(target is y for target in targets)


def test_classes_of_modules(training: Any) -> None:
    _, step, x, y = training
    program = ad.record(step, x, y)
    classes = {record.scope: entry for record, entry in zip(program, program.columns["classes"])}
    assert classes["Sequential.2.1"] == ("Sequential", "Sequential", "Tanh")
    assert classes[""] == ()


def test_inputs_have_names() -> None:
    x, y = ad.ones(2), ad.ones(2)
    assert ad.record(lambda first, others: first * others[0], x, [y]).inputs == (("first", x), ("others[0]", y))


def test_statistics() -> None:
    assert statistics(np.array([[3.0, 0.0], [-4.0, 0.0]])) == {
        "norm": 5.0, "largest": 4.0, "mean": -0.25, "std": pytest.approx(2.487468592), "zeros": 0.5, "nans": 0.0}
    assert statistics(np.zeros((0, 3))) == {}
    assert statistics(np.array([np.nan, np.nan])) == {"nans": 1.0}
    assert statistics(np.array([1e200, 1e200]))["norm"] == pytest.approx(2**0.5 * 1e200)
    assert statistics(np.array([np.inf, 1]))["largest"] == np.inf
    assert statistics(np.array([True, False]))["mean"] == 0.5


def test_saved_bytes_are_those_that_the_backward_pass_reads(training: Any) -> None:
    model, step, x, y = training
    program = ad.record(step, x, y)
    found = {record.name: n for record, n in zip(program, saved_bytes(program)) if n and record.name != "cross_entropy"}
    assert found == {"relu": 5 * 300 * 4, "tanh": 5 * 300 * 4, "linear": 5 * 3 * 4}  # the loss reads the logits again
    forward = ad.record(model, x)
    del found["linear"]
    assert {r.name: n for r, n in zip(forward, saved_bytes(forward)) if n} == found


def test_a_view_is_saved_where_its_memory_was_made() -> None:
    x = ad.ones(4, requires_grad=True)
    program = ad.record(lambda: x.sin().reshape(2, 2).exp().reshape(4).exp())
    assert [(r.name, n) for r, n in zip(program, saved_bytes(program))] == [
        ("sin", 0), ("reshape", 0), ("exp", 16), ("reshape", 0), ("exp", 16)]


def test_shares_of_the_roofline() -> None:
    program = ad.record(lambda x: (x @ x).reshape(-1).exp(), ad.ones(64, 64))
    program.columns["seconds"] = [1e-3, 0.0, 1e-3]
    levels = [{"name": "L1", "size": 1 << 15, "copy": 1e9}, {"name": "memory", "size": None, "copy": 5e7, "axpy": 1e8}]
    limits = {"flops": {"float32": 1e9}, "levels": levels}
    flops, moved = program.records[0].cost.flops, program.records[2].cost.bytes
    assert shares_of_roofline(program, limits) == [flops / 1e6, None, max(moved, program.records[2].cost.flops) / 1e6]


# ---- Measuring -------------------------------------------------------------------------------------------------------


def test_an_operation_lasts_until_its_end(clock: Clock) -> None:
    def run(x: Any) -> Any:
        clock.now += 0.25
        x = x.exp()
        clock.now += 0.5
        return x.sum()

    program = ad.measure(run, ad.ones(3))
    assert program.columns["seconds"] == [0.25, 0.5]
    assert program.inputs[0][0] == "x"
    program.verify()


def test_what_comes_behind_the_last_operation_is_overhead(clock: Clock) -> None:
    def run(x: Any) -> Any:
        clock.now += 0.25
        x = x.exp()
        clock.now += 0.125
        return x

    program = ad.measure(run, ad.ones(3))
    assert (program.columns["seconds"], program.overhead) == ([0.25], 0.125)
    assert ad.record(run, ad.ones(3)).overhead is None


def test_a_usual_call_is_what_all_adds_up_to() -> None:
    """A third of the calls are quick, a few take very long: times are those of a call in the middle."""
    plain = [1.0, 1.0, 1.5, 1.5, 1.5, 9.0]
    seconds = measuring.without_watching([[0.75 * x, 0.25 * x] for x in plain], plain)
    assert seconds == pytest.approx([1.125, 0.375])


def test_what_watching_takes_is_taken_off(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    add = measuring.Stopwatch.add

    def slow(self: Any, *arguments: Any) -> None:
        clock.now += 1e-6
        add(self, *arguments)

    monkeypatch.setattr(measuring.Stopwatch, "add", slow)

    def run(x: Any) -> Any:
        for _ in range(5):
            clock.now += 4e-6
            x = x.exp()
        return x

    monkeypatch.setattr(measuring, "SECONDS", 1e-4)
    assert ad.measure(run, ad.zeros(2)).columns["seconds"] == pytest.approx([4e-6] * 5)


@pytest.mark.parametrize("busy", [0.5, 1.0, 3.0])
def test_operations_add_up_to_the_time_without_a_watch(busy: float) -> None:
    """Also where watching takes longer than short operations, or the machine is busier meanwhile."""
    own = [1e-7, 2e-7, 5e-6, 1e-3]
    seconds = measuring.without_watching([[busy * x + 8e-7 for x in own]] * 6, [sum(own)] * 6)
    assert sum(seconds) == pytest.approx(sum(own))
    assert seconds == sorted(seconds)
    assert all(x > 0 for x in seconds)


def test_statistics_and_gradients_are_measured(training: Any) -> None:
    _, step, x, y = training
    program = ad.measure(step, x, y)
    relu = next(i for i, record in enumerate(program) if record.name == "relu")
    assert 0.2 < program.columns["values"][relu][0]["zeros"] < 0.8
    assert all(len(entry) == len(record.outputs) for record, entry in zip(program, program.columns["values"]))
    assert all(seconds > 0 for seconds in program.columns["seconds"])


def test_numbers_are_those_of_the_moment() -> None:
    x = ad.ones(2)
    program = ad.measure(lambda: x.zero_().add_(2).mul_(3))
    assert [entry[0]["largest"] for entry in program.columns["values"]][-3:] == [0.0, 2.0, 6.0]


def test_another_program_in_each_call_is_an_error() -> None:
    calls: list[int] = []

    def run(x: Any) -> Any:
        calls.append(0)
        return x.exp() if len(calls) % 2 else x.sin()

    with pytest.raises(ValueRangeError, match=r"\[measure\] the function does not run the same operations"):
        ad.measure(run, ad.ones(2))


def test_no_recorder_stays_behind() -> None:
    with pytest.raises(ZeroDivisionError):
        ad.measure(lambda: 1 / 0)
    assert ad.autograd is not None
    assert record_with(Recorder(), lambda: None).records == []


# ---- Compiled --------------------------------------------------------------------------------------------------------


@pytest.fixture
def compiled(training: Any) -> tuple[Any, Any, Any]:
    _, step, x, y = training
    return ad.compile(step), x, y


def test_what_is_replayed_is_a_program(compiled: Any) -> None:
    step, x, y = compiled
    for _ in range(2):
        step(x, y)
    (program,) = step.programs
    program.verify()
    assert str(Program.parse(str(program))) == str(program)
    assert [name for name, _ in program.inputs] == ["x", "y"]
    stages = step.stages()
    assert stages["recorded"].verify() is None
    assert stages["with_chains"].structural_hash() == program.structural_hash()
    parameters = {leaf.name for leaf in program.leaves() if leaf.name}
    assert parameters == {leaf.name for leaf in stages["recorded"].leaves() if leaf.name}
    assert step.stages(-1).keys() == stages.keys()


def test_stages_of_a_recording_that_is_not_there(compiled: Any) -> None:
    step, x, y = compiled
    with pytest.raises(ValueRangeError, match=r"\[stages\] there is no such recording; got 0 of 0; the second call"):
        step.stages()
    for _ in range(2):
        step(x, y)
    with pytest.raises(ValueRangeError, match="got 1 of 1"):
        step.stages(1)


def test_fused_operations_name_their_parts() -> None:
    function = ad.compile(lambda x, y: ((x * y).exp() + y).sum())
    x = ad.ones(40, 40)
    for _ in range(2):
        function(x, x + 1)
    (program,) = function.programs
    fused = program.records[0]
    assert fused.name == "fused"
    assert [part.name for part in program.columns["parts"][0]] == ["mul", "exp", "add"]
    assert list(fused.operands) == [tensor for _, tensor in program.inputs]
    recorded = function.stages()["recorded"]
    assert [record.name for record in recorded] == ["mul", "exp", "add", "sum"]


def test_views_and_changes_in_place_are_seen() -> None:
    total = ad.zeros(2, 3)

    @ad.compile
    def function(x: Any) -> Any:
        with ad.no_grad():
            total.add_(x)
            total[0].mul_(2)
            return total.t() + total.t()

    for _ in range(2):
        function(ad.ones(2, 3))
    (program,) = function.programs
    program.verify()
    assert [record.name for record in program if not record.primitive.view] == ["add", "mul", "add"]
    first, add = program.records[0], program.records[-1]
    assert program.written[first] == (total,)
    view = add.operands[0][0]
    assert view.primitive.view
    assert all(operand[0].operands[0][0] is first for operand in add.operands)


def test_a_replay_is_measured(compiled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from autodiff.compiler import measuring as replaying

    step, x, y = compiled
    monkeypatch.setattr(replaying, "clock", clock)
    ticks = iter(range(10**9))
    for module in (measuring, replaying):
        monkeypatch.setattr(module, "clock", lambda: next(ticks) * 0.5)
    program = ad.measure(step, x, y)
    assert [bool(seconds) for seconds in program.columns["seconds"]] == [not r.primitive.view for r in program]
    # Of a call that is looked into, the instructions take one tick of three.
    usual = sum(program.columns["seconds"]) + program.overhead
    assert program.overhead == pytest.approx(usual * 2 / 3)
    assert all(len(entry) == len(record.outputs) for record, entry in zip(program, program.columns["values"]))
    made = {target.name for pairs in program.columns["gradient_of"] for _, target in pairs if type(target) is not tuple}
    assert {"0.weight", "3.bias"} <= made
    origins = {record.name: origin.name for record, origin in zip(program, program.columns["origin"]) if origin}
    assert origins["tanh_grad"] == "followed"  # a linear layer by tanh
    assert all(origin is None or origin in program.records for origin in program.columns["origin"])
    loss = program.outputs[0]
    place = program.records.index(loss[0])
    assert program.columns["values"][place][loss[1]]["mean"] == pytest.approx(step(x, y).item(), rel=0.3)


def test_measuring_is_a_step_like_any_other(compiled: Any) -> None:
    step, x, y = compiled
    before = float(step(x, y))
    ad.measure(step, x, y)
    assert float(step(x, y)) < before
