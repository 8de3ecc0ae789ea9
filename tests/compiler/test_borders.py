"""Where a compiled function meets what lies around it: shared memory, optimizers, modules that are not called."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import autodiff_kernels as kernels
from autodiff.compiler import fusion
from autodiff.compiler.calls import RecordingError
from autodiff.errors import InPlaceError, ValueRangeError
from tests.compiler.steps import Net, batch


@pytest.fixture(autouse=True)
def _fuse_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fusion, "LEAST", 1)


def numbers(*values: float) -> ad.Tensor:
    return ad.tensor([float(x) for x in values])


def same(function: Callable[..., Any], *calls: tuple[Any, ...]) -> Any:
    """Assert that a function and its compiled form give the same for all of these arguments; return the latter."""
    compiled = ad.compile(function)
    for arguments in calls:
        expected, found = function(*arguments), compiled(*arguments)
        assert found.tolist() == expected.tolist()
    return compiled


def test_an_argument_that_is_also_found_outside() -> None:
    w, other = numbers(1, 2), numbers(10, 20)
    same(lambda x: x - 2 * w, (w,), (w,), (other,), (other,), (other,), (w,))


def test_a_tensor_of_a_tensor_is_read_anew() -> None:
    same(lambda x: ad.tensor(x.sum()) + ad.tensor(x, dtype=ad.int64), *[(numbers(i, 2),) for i in range(5)])


def test_a_gradient_that_is_retained() -> None:
    w = numbers(1, 2).requires_grad_()

    def function(x: ad.Tensor) -> Any:
        y = w * x
        y.retain_grad()
        (y * y).sum().backward()
        return y.grad

    same(function, *[(numbers(i, 2),) for i in range(5)])


def test_one_tensor_as_two_arguments() -> None:
    x, y = numbers(1, 2), numbers(10, 20)
    same(lambda a, b: a * 2 + b, (x, x), (x, x), (x, y), (x, y), (x, y), (y, y))


def test_arguments_that_share_memory() -> None:
    def function(a: ad.Tensor, b: ad.Tensor) -> ad.Tensor:
        first = b * 2
        a.mul_(0.5)
        return first - b * 3

    compiled = ad.compile(function)
    for _ in range(4):
        one, other = numbers(1, 2, 3, 4), numbers(1, 2, 3, 4)
        assert compiled(one, one[:]).tolist() == function(other, other[:]).tolist()


def test_arguments_on_one_numpy_array() -> None:
    """What is added in place is not written where the factor is still read."""

    def function(total: ad.Tensor, x: ad.Tensor) -> ad.Tensor:
        total += x * 2
        total += x @ ad.ones(30, 30)
        return total.sum()

    compiled = ad.compile(function)
    for number in range(7):
        found = []
        memories = [np.arange(1200, dtype=np.float32).reshape(40, 30) % 7 for _ in range(2)]
        for run, memory in zip((function, compiled), memories, strict=True):
            factor = memory[:20] if number in (4, 6) else memory[:20].copy()
            found.append(run(ad.from_numpy(memory[10:30]), ad.from_numpy(factor)).item())
        assert found[0] == found[1]
        np.testing.assert_array_equal(*memories)


def test_parts_of_one_numpy_array_that_lie_apart_are_recorded_once() -> None:
    numbers = np.arange(400, dtype=np.float32).reshape(100, 4)
    compiled = ad.compile(lambda x, y: (x * y).sum())
    for i, j in [(0, 10), (0, 30), (20, 5), (40, 70), (3, 90), (50, 13)]:
        parts = numbers[i : i + 5], numbers[j : j + 5]
        assert compiled(*map(ad.from_numpy, parts)).item() == (parts[0] * parts[1]).sum()
    assert len(compiled.programs) == 1


@pytest.mark.parametrize("view", [lambda w: w[1:3], lambda w: ad.from_numpy(w.numpy()[1:3])], ids=["view", "numpy"])
@pytest.mark.parametrize("recorded", [False, True])
def test_an_argument_on_memory_that_changes(view: Callable[[ad.Tensor], ad.Tensor], recorded: bool) -> None:
    """Sums of chains are run where they are needed, which would be too late for an argument that changes meanwhile."""
    w = numbers(1, 2, 3, 4)

    def function(x: ad.Tensor) -> ad.Tensor:
        before = x * 2
        w.mul_(0.5)
        return before + x

    compiled = ad.compile(function)
    for x in [numbers(1, 2), numbers(3, 4), numbers(5, 6)][: 3 * recorded] + [view(w)] * (not recorded):
        compiled(x)
    with pytest.raises(RecordingError, match=r"an argument shares memory with a tensor from outside.*clone\(\)"):
        compiled(view(w))
    assert compiled(view(w).clone()).shape == (2,)


def test_an_argument_on_memory_that_is_only_read() -> None:
    """Neighbours are looked up for a part of the data themselves, or for other points."""
    data = np.arange(12, dtype=np.float32).reshape(6, 2)
    points = ad.from_numpy(data)
    compiled = same(lambda x: (x * points[0]).sum() + points[1:3] * 2 + x, *[
        (x,) for x in [points[2:4], ad.from_numpy(data[1:3]), ad.ones(2, 2), ad.from_numpy(data[4:])] * 2])
    assert len(compiled.programs) == 1


def test_an_outside_tensor_on_the_memory_of_an_argument_can_be_returned() -> None:
    points = numbers(1, 2, 3, 4)
    compiled = ad.compile(lambda x: (x * 2, points, points[:2]))
    for x in [points[1:3], points[1:3], numbers(5, 6)]:
        double, whole, part = compiled(x)
        assert double.tolist() == (x * 2).tolist()
        assert whole is points
        assert part.tolist() == [1, 2]


def test_views_of_an_outside_tensor_on_the_memory_of_an_argument() -> None:
    points = ad.arange(24.0).reshape(8, 3)
    compiled = ad.compile(lambda x: (x.sum(), points[2:5], ad.linalg.svd(points[2:5])[1]))
    for x in [points[:3]] * 4 + [ad.zeros(3, 3)] * 2:
        total, part, values = compiled(x)
        assert total.item() == x.sum().item()
        assert part.tolist() == points[2:5].tolist()
        np.testing.assert_array_equal(values.numpy(), ad.linalg.svd(points[2:5])[1].numpy())


def test_windows_of_a_series_then_tensors_that_lie_apart() -> None:
    series = np.arange(40, dtype=np.float32)
    windows = [tuple(map(ad.from_numpy, (series[i : i + 8], series[j : j + 8]))) for i, j in ((0, 1), (1, 2), (2, 3))]
    apart = [(ad.zeros(8), ad.ones(8)), (ad.from_numpy(series[:8]), ad.from_numpy(series[20:28]))]
    same(lambda x, y: ((x - y) ** 2).sum(), *windows, *apart, *windows, *apart)


def test_a_parameter_on_the_memory_of_an_argument_is_watched() -> None:
    memory = np.ones(20, np.float32)
    w, x = ad.from_numpy(memory[10:]).requires_grad_(), ad.from_numpy(memory[:10])
    compiled = ad.compile(lambda x: (w * w * x).sum())
    for _ in range(3):
        compiled(x)
    loss = compiled(x)
    with ad.no_grad():
        w.add_(5)
    with pytest.raises(InPlaceError):
        loss.backward()


def test_a_gradient_as_numpy_array_can_be_an_argument() -> None:
    w = numbers(1, 2).requires_grad_()

    def function(x: ad.Tensor) -> ad.Tensor:
        w.grad = None
        y = w * x
        (y * y).sum().backward()
        return x + w.grad

    compiled = ad.compile(function)
    for number in range(5):
        x = numbers(number, 2) if number < 3 else ad.from_numpy(w.grad.numpy())
        expected = x + 2 * w.detach() * x * x
        assert compiled(x).tolist() == expected.tolist()


@pytest.mark.parametrize("view", [lambda x: x[0], lambda x: x.t(), lambda x: x.view(-1), lambda x: x.expand(2, 2, 2)])
def test_views_can_be_returned(view: Callable[[ad.Tensor], ad.Tensor]) -> None:
    w = ad.ones(2, 2, requires_grad=True)
    same(lambda x: view(w * x), *[(ad.full((2, 2), float(i)),) for i in range(4)])


def test_a_constant_that_is_returned_belongs_to_the_caller() -> None:
    @ad.compile
    def function(x: ad.Tensor) -> Any:
        total = ad.zeros(2)
        total += x
        return total, ad.zeros(2)

    kept = []
    for i in range(5):
        total, zeros = function(numbers(i, 2 * i))
        assert zeros.tolist() == [0, 0]
        zeros.add_(1)
        kept.append(total)
    assert [x.tolist() for x in kept] == [[i, 2 * i] for i in range(5)]


def test_gradients_of_arguments() -> None:
    @ad.compile
    def attack(x: ad.Tensor) -> ad.Tensor:
        loss = (x * x).sum()
        loss.backward()
        return loss

    for i in range(6):
        x = numbers(i, 2 * i).requires_grad_()
        attack(x)
        assert x.grad.tolist() == [2 * i, 4 * i]
    assert len(attack.programs) == 1


def test_the_gradient_of_the_last_call_can_be_used() -> None:
    def made() -> tuple[ad.Tensor, Callable[[ad.Tensor], ad.Tensor]]:
        w = ad.tensor([1.0, 2.0], requires_grad=True)

        def step(x: ad.Tensor) -> ad.Tensor:
            old = w.grad
            w.grad = None
            (w * w * x).sum().backward()
            return (old * 2).sum() if old is not None else ad.zeros(())

        return w, step

    (_, eager), (_, step) = made(), made()
    compiled = ad.compile(step)
    for i in range(6):
        x = numbers(i, 1)
        assert compiled(x).item() == eager(x).item()


def test_hooks_of_leaves_run_once() -> None:
    w = ad.tensor([1.0, 2.0], requires_grad=True)
    w.register_hook(lambda g: g * 2)
    loss = ad.compile(lambda x: (w * x).sum())
    for i in range(5):
        w.grad = None
        loss(numbers(i, 1)).backward()
        assert w.grad.tolist() == [2 * i, 2]


def test_an_unused_result_is_still_checked() -> None:
    table = ad.nn.Embedding(3, 2)

    @ad.compile
    def function(i: ad.Tensor) -> ad.Tensor:
        table(i)
        return i * 2

    for _ in range(3):
        function(ad.tensor([1]))
    with pytest.raises(IndexError, match="got 9"):
        function(ad.tensor([9]))


# ---- Optimizers ------------------------------------------------------------------------------------------------------


def sgd(**settings: float) -> tuple[ad.Tensor, Any, Any]:
    w = ad.tensor([1.0], requires_grad=True)
    optimizer = ad.optim.SGD([w], lr=0.5, **settings)

    def step() -> None:
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()

    return w, optimizer, step


def test_numbers_that_become_zero_or_cease_to_be() -> None:
    (w, one, step), (v, other, eager) = sgd(), sgd()
    compiled = ad.compile(step)
    for decay in (0.0, 0.0, 0.0, 0.5, 0.5, 0.5, 0.0, 0.0, 0.25):
        one.param_groups[0]["weight_decay"] = other.param_groups[0]["weight_decay"] = decay
        compiled()
        eager()
        assert w.item() == v.item()


@pytest.mark.parametrize("kind", [tuple, list])
def test_pairs_of_numbers_are_read_anew(kind: Any) -> None:
    weights = [ad.tensor([1.0], requires_grad=True) for _ in range(2)]
    optimizers = [ad.optim.Adam([w], lr=0.1, betas=kind((0.9, 0.99))) for w in weights]

    def stepping(w: ad.Tensor, optimizer: Any) -> Callable[[], None]:
        def step() -> None:
            optimizer.zero_grad()
            (w * w).sum().backward()
            optimizer.step()

        return step

    eager, compiled = stepping(weights[0], optimizers[0]), ad.compile(stepping(weights[1], optimizers[1]))
    for i in range(6):
        for optimizer in optimizers:
            group = optimizer.param_groups[0]
            if kind is list:
                group["betas"][0] = 0.5 + 0.05 * i
            else:
                group["betas"] = (0.5 + 0.05 * i, 0.99)
        eager()
        compiled()
        assert weights[0].item() == weights[1].item()
    assert compiled.explain().count("recorded") == 1


def test_lbfgs_takes_a_compiled_closure() -> None:
    weights = []
    for compiled in (False, True):
        w = ad.tensor([1.0, -2.0], requires_grad=True)
        optimizer = ad.optim.LBFGS([w], lr=0.1)

        def closure(w: Any = w, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = (w.square().square() + w).sum()
            loss.backward()
            return loss

        run = ad.compile(closure) if compiled else closure
        for _ in range(3):
            optimizer.step(run)
        weights.append(w.tolist())
        step = ad.compile(partial(optimizer.step, closure))
        step()
        with pytest.raises(RecordingError, match=r"LBFGS decides by numbers.*compile the closure"):
            step()
    assert weights[0] == weights[1]


def test_settings_that_come_back_find_their_program_again() -> None:
    (w, one, step), (v, other, eager) = sgd(momentum=0.5), sgd(momentum=0.5)
    compiled = ad.compile(step)
    for i in range(12):
        one.param_groups[0]["maximize"] = other.param_groups[0]["maximize"] = i % 4 > 1
        one.param_groups[0]["lr"] = other.param_groups[0]["lr"] = 0.1 * (i + 1)
        compiled()
        eager()
        assert w.item() == v.item()
    assert compiled.explain().count("recorded") == 2


def test_parameters_that_leave() -> None:
    w, optimizer, step = sgd()
    compiled = ad.compile(step)
    for _ in range(3):
        compiled()
    before = w.item()
    optimizer.param_groups[0]["params"].pop()
    compiled()
    assert w.item() == before


class _Own(ad.optim.SGD):
    def update(self, params: Any, grads: Any, states: Any, group: Any) -> None:
        with ad.no_grad():
            for p, g in zip(params, grads, strict=True):
                p.add_(g, alpha=-group["lr"])


def _twice(optimizer: Any) -> None:
    optimizer.step()
    optimizer.step()


def _schedule(optimizer: Any) -> None:
    optimizer.step()
    optimizer.param_groups[0]["lr"] *= 0.5


@pytest.mark.parametrize(("kind", "act", "message"), [
    (ad.optim.SGD, _twice, "takes two steps in one call"),
    (ad.optim.SGD, _schedule, "changes 'lr' of an optimizer"),
    (_Own, lambda optimizer: optimizer.step(), "_Own has an update of its own"),
    (ad.optim.SGD, lambda optimizer: ad.manual_seed(3), "sets the state of a generator"),
], ids=["two steps", "schedule", "own update", "seed"])  # fmt: skip
def test_what_a_replay_would_not_do_again(kind: Any, act: Callable[[Any], None], message: str) -> None:
    w = ad.tensor([1.0], requires_grad=True)
    optimizer = kind([w], lr=0.5)

    @ad.compile
    def step() -> None:
        optimizer.zero_grad()
        w.sum().backward()
        act(optimizer)

    step()
    with pytest.raises(RecordingError, match=message):
        step()


@pytest.mark.parametrize("value", [lambda w, x: x, lambda w, x: ad.zeros(1)], ids=["argument", "constant"])
def test_gradients_that_are_other_tensors_are_refused(value: Callable[..., Any]) -> None:
    w = ad.tensor([1.0], requires_grad=True)

    @ad.compile
    def step(x: ad.Tensor) -> None:
        w.grad = value(w, x)

    step(ad.ones(1))
    with pytest.raises(RecordingError, match=r"sets a \.grad to a tensor that has other uses"):
        step(ad.ones(1))


def test_the_sign_of_a_zero_among_the_settings() -> None:
    (w, one, step), (v, other, eager) = sgd(), sgd()
    compiled = ad.compile(step)
    for rate in (0.0, 0.0, 0.0, -0.0, 0.0, -0.0, 0.5):
        for p, optimizer, run in ((w, one, compiled), (v, other, eager)):
            with ad.no_grad():
                p.fill_(-0.0)
            optimizer.param_groups[0]["lr"] = rate
            run()
        assert (w.item(), np.signbit(w.item())) == (v.item(), np.signbit(v.item()))


def test_a_late_error_takes_back_what_an_optimizer_has_done() -> None:
    table = ad.nn.Embedding(3, 1)
    w, optimizer, step = sgd(momentum=0.5)

    @ad.compile
    def both(i: ad.Tensor) -> Any:
        step()
        return (table(i) * w).sum()

    for _ in range(3):
        both(ad.tensor([1]))
    before = w.item(), optimizer.state[w]["momentum_buffer"].item(), optimizer.state[w]["step"]
    with pytest.raises(IndexError, match="got 9"):
        both(ad.tensor([9]))
    assert (w.item(), optimizer.state[w]["momentum_buffer"].item(), optimizer.state[w]["step"]) == before
    both(ad.tensor([1]))
    assert w.item() != before[0]


@pytest.mark.parametrize("after", [True, False], ids=["after", "before"])
def test_an_interrupt_waits_for_the_step(after: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    w, optimizer, step = sgd(momentum=0.5)
    compiled, native = ad.compile(lambda: (step(), ad.rand(1))[1]), kernels.replay.run
    for _ in range(3):
        compiled()

    def run(*arguments: Any) -> int:
        if not after:
            raise KeyboardInterrupt
        native(*arguments)
        raise KeyboardInterrupt

    def state() -> Any:
        return w.item(), optimizer.state[w]["momentum_buffer"].item(), optimizer.state[w]["step"], ad.get_rng_state()[1]

    start = {"w": w.clone(), "state": optimizer.state_dict()["state"][0], "generator": ad.get_rng_state()}
    buffer = start["state"]["momentum_buffer"].clone()
    if after:
        compiled()
    expected = state()
    with ad.no_grad():
        w.copy_(start["w"])
        optimizer.state[w]["momentum_buffer"].copy_(buffer)
    optimizer.state[w]["step"] = 3
    ad.set_rng_state(start["generator"])
    with monkeypatch.context() as patch:
        patch.setattr(kernels.replay, "run", run)
        with pytest.raises(KeyboardInterrupt):
            compiled()
    assert state() == expected
    compiled()


def test_an_error_in_place_takes_back_what_it_has_written() -> None:
    total = ad.zeros(3)

    @ad.compile
    def add(i: ad.Tensor, x: ad.Tensor) -> Any:
        total.index_add_(0, i, x)
        x.mul_(2)
        return total.sum() * x[i]

    for _ in range(3):
        add(ad.tensor([0, 1]), ad.ones(2))
    x = ad.ones(2)
    with pytest.raises(IndexError, match="got 7"):
        add(ad.tensor([0, 7]), x)
    assert total.tolist() == [3, 3, 0]
    assert x.tolist() == [1, 1]


# ---- Modules and arguments -------------------------------------------------------------------------------------------


def test_modules_that_are_used_but_not_called() -> None:
    net = Net()
    net.eval()
    compiled = ad.compile(lambda x: net.inner(x) * net.scale)
    x = batch(0)[0]
    for scale in (1.0, 1.0, 1.0, 2.0, 2.0, 3.0):
        net.scale = scale
        assert compiled(x).tolist() == (net.inner(x) * scale).tolist()


def test_a_module_that_the_function_changes_is_named_with_its_line() -> None:
    net = Net()

    @ad.compile
    def step(x: ad.Tensor) -> ad.Tensor:
        net.scale = net.scale + 1  # the line to name
        return net(x)

    step(batch(0)[0])
    with pytest.raises(RecordingError, match=r"(?s)Net\.scale was set.*do it outside.*the line to name"):
        step(batch(0)[0])


def test_methods() -> None:
    class Scaled:
        def __init__(self, factor: float) -> None:
            self.factor = ad.tensor(factor)

        @ad.compile
        def apply(self, x: ad.Tensor) -> ad.Tensor:
            return x * self.factor

    two, three = Scaled(2.0), Scaled(3.0)
    for i in range(4):
        assert two.apply(ad.tensor(float(i))).item() == 2 * i
        assert three.apply(ad.tensor(float(i))).item() == 3 * i


def test_a_compiled_module_is_no_part_of_another() -> None:
    net = Net()
    with pytest.raises(TypeError, match="compile the whole"):
        net.inner = ad.compile(ad.nn.Linear(4, 6))


Pair = namedtuple("Pair", ["x", "y"])


def test_arguments_of_other_kinds() -> None:
    function = ad.compile(lambda pair, part: (pair.x * pair.y)[part])
    for i in range(4):
        assert function(Pair(numbers(i, 1), numbers(2, 3)), slice(0, 1)).tolist() == [2 * i]
    assert len(function.programs) == 1
    with pytest.raises(RecordingError, match=r"a NumPy array.*from_numpy"):
        function(np.ones(2), slice(0, 1))


def test_minus_zero_is_another_number() -> None:
    function = ad.compile(lambda x, number: x * number)
    for number in (0.0, 0.0, 0.0, -0.0, -0.0, -0.0):
        assert np.signbit(function(ad.ones(1), number).item()) == np.signbit(number)


def test_a_backward_pass_inside_ends_at_the_arguments() -> None:
    e = ad.tensor([2.0], requires_grad=True)

    @ad.compile
    def step(x: ad.Tensor) -> None:
        x.sum().backward()

    step(e * 1)
    with pytest.raises(RecordingError, match="would have to go on outside, behind an argument"):
        step(e * 1)


def test_gradients_of_slices_are_added_in_place() -> None:
    def step(x: ad.Tensor) -> ad.Tensor:
        w.grad = None
        ((w[0:2] + w[1:3] + w[2:4]) * x).sum().backward()
        return x * 1

    w = ad.zeros(4, requires_grad=True)
    compiled = ad.compile(step)
    for x in (1.0, 1.0, 1.0, -0.0, 0.0, float("nan"), float("-inf")):
        found = []
        for run in (step, compiled):
            run(ad.full((2,), x))
            assert w.grad is not None
            found.append(w.grad.numpy().tobytes())
        assert found[0] == found[1]
    (program,) = compiled.programs
    assert sum(record.name == "slice_grad" for record in program) == 1
    program.verify()


# ---- What Python does besides ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", [
    lambda optimizer: ad.optim.lr_scheduler.StepLR(optimizer, 100).step,
    lambda optimizer: partial(ad.optim.lr_scheduler.ReduceLROnPlateau(optimizer).step, 1.0),
], ids=["StepLR", "ReduceLROnPlateau"])  # fmt: skip
def test_a_schedule_steps_outside(schedule: Callable[[Any], Callable[[], None]]) -> None:
    _, optimizer, step = sgd()
    advance = schedule(optimizer)

    @ad.compile
    def both() -> None:
        step()
        advance()

    both()
    with pytest.raises(RecordingError, match="a schedule takes a step"):
        both()


def test_a_function_must_put_the_grad_mode_back() -> None:
    @ad.compile
    def function(x: ad.Tensor) -> ad.Tensor:
        ad.set_grad_enabled(False)
        return x * 2

    for _ in range(2):
        with pytest.raises(RecordingError, match="another grad mode"):
            function(ad.ones(1))
        assert ad.is_grad_enabled()


def test_with_fallback_a_function_may_leave_another_grad_mode_behind() -> None:
    function = ad.compile(lambda x: (ad.set_grad_enabled(False), x * 2)[1], fallback=True)
    try:
        with pytest.warns(UserWarning, match="another grad mode"):
            function(ad.ones(1))
        assert not ad.is_grad_enabled()
    finally:
        ad.set_grad_enabled(True)


def test_probabilities_are_checked_in_each_replay() -> None:
    loss = ad.compile(ad.nn.functional.binary_cross_entropy)
    target = numbers(0, 1)
    for _ in range(3):
        loss(numbers(0.5, 0.25), target)
    assert loss(numbers(0.5, float("nan")), target).isnan().item()
    with pytest.raises(ValueRangeError, match=r"a probability is out of range; expected 0 to 1; got 2 at \[1\]"):
        loss(numbers(0.5, 2), target)
