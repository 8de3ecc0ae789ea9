"""Hooks on gradients in compiled functions: what they compute is recorded, what they do besides is done each time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import autodiff as ad
from autodiff.compiler.calls import RecordingError


def trained(hook: Callable[[Any], Any], calls: int = 5, compiled: bool = True) -> list[Any]:
    """Return the gradients of a step with a hook on a result inside."""
    w = ad.tensor([1.0, 2.0], requires_grad=True)

    def step(x: ad.Tensor) -> None:
        w.grad = None
        y = w * x
        y.register_hook(hook)
        (y * y).sum().backward()

    run = ad.compile(step) if compiled else step
    gradients = []
    for number in range(calls):
        run(ad.tensor([float(number), 1.0]))
        assert w.grad is not None
        gradients.append(w.grad.tolist())
    return gradients


@pytest.mark.parametrize("kept", [
    lambda seen, g: seen.append(g),
    lambda seen, g: seen.append(g.detach()),
    lambda seen, g: seen.append((g * 2).clone()),
    lambda seen, g: seen.__setitem__(slice(None), [g]),
], ids=["itself", "detached", "computed", "replaced"])  # fmt: skip
def test_a_hook_may_keep_what_it_is_given(kept: Callable[[list[Any], Any], Any]) -> None:
    lists: list[list[Any]] = [[], []]
    for compiled, seen in zip((False, True), lists, strict=True):
        def hook(g: Any, seen: list[Any] = seen) -> None:
            kept(seen, g)

        trained(hook, compiled=compiled)
    assert [x.tolist() for x in lists[0]] == [x.tolist() for x in lists[1]]
    assert not any(x.requires_grad for x in lists[1])


def test_a_hook_may_look_at_numbers_and_print(capsys: pytest.CaptureFixture[str]) -> None:
    norms: list[float] = []

    def hook(g: Any) -> None:
        norms.append(g.norm().item())
        print(f"{g.sum().item():.0f}")

    trained(hook)
    assert norms == [pytest.approx((4 * i * i + 16) ** 0.5) for i in range(5)]
    assert capsys.readouterr().out.split() == [str(2 * i + 4) for i in range(5)]


def test_hooks_run_in_their_order_and_at_their_place() -> None:
    state, order = ad.zeros(2), []
    w = ad.ones(2, requires_grad=True)
    w.register_hook(lambda g: order.append(("w", state.array.tolist())))

    def count(g: Any) -> None:
        state.add_(g)

    def step(x: ad.Tensor) -> None:
        w.grad = None
        y = (w * x).tanh()
        z = y * 3
        y.register_hook(lambda g: order.append(("y", state.array.tolist())))
        z.register_hook(count)
        z.register_hook(lambda g: order.append(("z", state.array.tolist())))
        z.sum().backward()

    compiled = ad.compile(step)
    for _ in range(4):
        compiled(ad.ones(2))
    assert order == [(name, [float(i)] * 2) for i in range(1, 5) for name in "zyw"]
    (program,) = compiled.programs
    assert [record.name for record in program].count("hook") == 3
    assert "functions of yours that it calls: 3" in compiled.explain()


def test_what_a_hook_returns_is_recorded() -> None:
    def hook(g: Any) -> Any:
        return g * 2

    assert trained(hook) == trained(hook, compiled=False)


def test_a_hook_that_changes_tensors_is_recorded() -> None:
    totals = []
    for compiled in (False, True):
        total = ad.zeros(2)

        def hook(g: Any, total: Any = total) -> None:
            total.add_(g)
            g.mul_(0.5)

        totals.append((trained(hook, compiled=compiled), total.tolist()))
    assert totals[0] == totals[1]


@pytest.mark.parametrize("hook", [
    lambda g: g * g.sum().item(),
    lambda g: (g.mul_(2 if g.sum().item() > 0 else 1), None)[1],
], ids=["returns", "changes"])  # fmt: skip
def test_a_hook_that_takes_part_must_not_look_at_numbers(hook: Callable[[Any], Any]) -> None:
    with pytest.raises(RecordingError, match="item asks for the numbers"):
        trained(hook)


def test_a_hook_that_begins_to_return_something_is_an_error() -> None:
    calls: list[int] = []

    def hook(g: Any) -> Any:
        calls.append(1)
        return g * 2 if len(calls) > 3 else None

    with pytest.raises(RecordingError, match="returns something that returned nothing when it was recorded"):
        trained(hook)


def test_hooks_of_the_backward_pass_outside() -> None:
    w = ad.tensor([1.0, 2.0], requires_grad=True)
    seen: list[Any] = []

    def loss(x: ad.Tensor) -> ad.Tensor:
        y = w * x
        y.register_hook(lambda g: seen.append(g.tolist()))
        return (y * y).sum()

    compiled = ad.compile(loss)
    found = []
    for number in range(5):
        result = compiled(ad.tensor([float(number), 1.0]))
        seen.clear()  # while the backward pass is recorded, its hooks see zeros
        result.backward()
        found += seen
    assert found == [[2.0 * i, 4.0] for i in range(5)]


def test_backward_hooks_of_modules() -> None:
    results = []
    for compiled in (False, True):
        ad.manual_seed(0)
        net, seen = ad.nn.Linear(2, 2), []
        net.register_full_backward_hook(
            lambda module, inputs, outputs, seen=seen: seen.append((inputs[0].tolist(), outputs[0].sum().item()))
        )

        def step(x: ad.Tensor, net: Any = net) -> None:
            net.zero_grad()
            net(x * 1).tanh().sum().backward()

        run = ad.compile(step) if compiled else step
        for number in range(5):
            run(ad.full((3, 2), 0.1 * number, requires_grad=True))
        results.append(seen)
    assert len(results[0]) == 5
    assert results[0] == results[1]


def test_backward_hooks_of_modules_where_the_loss_is_returned() -> None:
    """The history of the loss outlives the call; what a hook was given does not."""
    net, seen = ad.nn.Linear(2, 2), []
    net.register_full_backward_hook(lambda module, inputs, outputs: seen.append(outputs[0].sum().item()))

    @ad.compile
    def step(x: ad.Tensor) -> ad.Tensor:
        net.zero_grad()
        loss = net(x).square().sum()
        loss.backward()
        return loss

    losses = [step(ad.full((3, 2), 0.1 * number)).item() for number in range(5)]
    assert len(seen) == len(set(losses)) == 5
    assert len(set(seen)) == 5


def test_what_a_hook_makes_for_itself_may_change() -> None:
    x, seen = ad.ones(3, requires_grad=True), []

    def hook(gradient: ad.Tensor) -> None:
        sizes = gradient.abs()
        sizes[0].add_(1)
        seen.append(sizes.sum().item())

    @ad.compile
    def step(scale: ad.Tensor) -> None:
        x.grad = None
        y = x * scale
        y.register_hook(hook)
        (y * scale).sum().backward()

    for number in range(5):
        step(ad.full((3,), float(number)))
    assert seen == [3.0 * number + 1 for number in range(5)]


@pytest.mark.parametrize("look", [
    lambda x, y: x.sum().item(), lambda x, y: x.numpy(), lambda x, y: x[0].tolist(), lambda x, y: (y * y).sum().item(),
])  # fmt: skip
def test_a_hook_sees_no_other_tensors_of_the_function(look: Any) -> None:
    w, seen = ad.ones(3, requires_grad=True), []

    @ad.compile
    def step(x: ad.Tensor) -> None:
        w.grad = None
        y = w * x
        y.register_hook(lambda gradient: seen.append(look(x, y)))
        (y * y).sum().backward()

    step(ad.ones(3))
    with pytest.raises(RecordingError, match="a hook looks at a tensor of the function that it is not given"):
        step(ad.ones(3))


def test_a_hook_sees_parameters_as_they_are() -> None:
    net, seen = ad.nn.Linear(2, 1), []
    optimizer = ad.optim.SGD(net.parameters(), lr=0.01)

    def step(x: ad.Tensor) -> None:
        optimizer.zero_grad()
        y = net(x)
        y.register_hook(lambda gradient: seen.append(net.weight.sum().item()))
        y.square().sum().backward()
        optimizer.step()

    start = {name: value.clone() for name, value in net.state_dict().items()}
    for _ in range(5):
        step(ad.ones(3, 2))
    expected = list(seen)
    seen.clear()
    net.load_state_dict(start)
    compiled = ad.compile(step)
    for _ in range(5):
        compiled(ad.ones(3, 2))
    assert seen == expected
    assert len(set(seen)) == 5


# ---- Hooks of modules, and of leaves after accumulation --------------------------------------------------------------


def both(make: Callable[[bool], tuple[Callable[..., Any], list[Any]]], *arguments: Any) -> list[Any]:
    """Return what a step has noted in five calls, once as it is and once compiled, with equal starts."""
    found = []
    for compiled in (False, True):
        ad.manual_seed(0)
        step, seen = make(compiled)
        run = ad.compile(step) if compiled else step
        for number in range(5):
            run(ad.full((3, 2), 0.1 * number))
        found.append(seen)
    return found


def test_forward_hooks_are_called_in_each_replay() -> None:
    def make(compiled: bool) -> tuple[Callable[..., Any], list[Any]]:
        net, seen = ad.nn.Sequential(ad.nn.Linear(2, 2), ad.nn.Tanh()), []
        net[0].register_forward_pre_hook(lambda module, args: seen.append(("before", args[0].sum().item())))
        net[1].register_forward_hook(lambda module, args, out: seen.append(
            ("after", args[0].tolist(), out.mean().item(), net[0].weight.sum().item())
        ))
        optimizer = ad.optim.SGD(net.parameters(), lr=0.1)

        def step(x: ad.Tensor) -> Any:
            optimizer.zero_grad()
            loss = net(x).square().sum()
            loss.backward()
            optimizer.step()
            return loss

        return step, seen

    eager, compiled = both(make)
    assert len(eager) == 10
    assert eager == compiled


def test_a_forward_hook_may_keep_what_it_is_given() -> None:
    def make(compiled: bool) -> tuple[Callable[..., Any], list[Any]]:
        net, seen = ad.nn.Linear(2, 2), []
        net.register_forward_hook(lambda module, args, out: seen.append((args[0], out, (out * 2).detach())))
        return net, seen

    eager, compiled = both(make)
    assert [[x.tolist() for x in xs] for xs in eager] == [[x.tolist() for x in xs] for xs in compiled]


def seen_by(make: Callable[[bool], tuple[Callable[..., Any], list[Any]]], compiled: bool) -> list[Any]:
    """Return what a step that was made anew, compiled or not, has seen in five calls."""
    ad.manual_seed(0)
    run, seen = make(compiled)
    for number in range(5):
        run(ad.full((3, 2), 0.1 * number))
    return seen



@pytest.mark.parametrize("inside", [True, False], ids=["inside", "outside"])
def test_a_forward_hook_that_hands_tensors_on_is_recorded(inside: bool) -> None:
    def make(compiled: bool) -> tuple[Callable[..., Any], list[Any]]:
        net, kept, seen = ad.nn.Sequential(ad.nn.Linear(2, 2), ad.nn.Tanh()), [], []
        net[0].register_forward_hook(lambda module, args, out: kept.append(out * 1))

        def step(x: ad.Tensor) -> Any:
            net.zero_grad()
            loss = net(x).square().sum() + kept.pop().square().sum()
            if inside:
                loss.backward()
            return loss

        run = ad.compile(step) if compiled else step

        def whole(x: ad.Tensor) -> None:
            loss = run(x)
            if not inside:
                loss.backward()
            seen.append((loss.item(), net[0].weight.grad.tolist(), len(kept)))

        return whole, seen

    assert seen_by(make, compiled=False) == seen_by(make, compiled=True)


def test_a_hook_may_use_what_another_one_has_kept() -> None:
    def make(compiled: bool) -> tuple[Callable[..., Any], list[Any]]:
        net, kept, seen = ad.nn.Linear(2, 2), {}, []

        def after(module: Any, args: Any, out: Any) -> None:
            kept["out"] = out.detach()

        net.register_forward_hook(after)
        net.register_full_backward_hook(lambda module, inputs, outputs: seen.append(
            (kept["out"] * outputs[0]).sum().item()
        ))

        def step(x: ad.Tensor) -> None:
            net.zero_grad()
            net(x).square().sum().backward()

        return step, seen

    eager, compiled = both(make)
    assert len(eager) == 5
    assert eager == compiled


@pytest.mark.parametrize("hook", [
    lambda module, args, out: out * 2,
    lambda module, args, out: (out.mul_(2), None)[1],
    lambda module, args, out: (out[:, 0].mul_(2), None)[1],
    lambda module, args, out: (out.register_hook(lambda g: g * 3), None)[1],
], ids=["returns", "changes", "changes a part", "registers"])  # fmt: skip
def test_forward_hooks_that_take_part_are_recorded(hook: Callable[..., Any]) -> None:
    def make(compiled: bool) -> tuple[Callable[..., Any], list[Any]]:
        net, seen = ad.nn.Linear(2, 2), []
        net.register_forward_hook(hook)

        def step(x: ad.Tensor) -> Any:
            net.zero_grad()
            loss = net(x).square().sum()
            loss.backward()
            return loss

        run = ad.compile(step) if compiled else step

        def noted(x: ad.Tensor) -> None:
            seen.append((run(x).item(), net.weight.grad.tolist()))

        return noted, seen

    assert seen_by(make, compiled=False) == seen_by(make, compiled=True)


def test_a_pre_hook_that_replaces_the_input_is_recorded() -> None:
    net = ad.nn.Linear(2, 2)
    net.register_forward_pre_hook(lambda module, args: (args[0] * 3,))
    compiled = ad.compile(net)
    for number in range(5):
        x = ad.full((3, 2), 0.1 * number)
        assert compiled(x).tolist() == net(x).tolist()


def test_hooks_after_accumulation_see_the_gradient() -> None:
    def make(compiled: bool) -> tuple[Callable[..., Any], list[Any]]:
        net, seen = ad.nn.Linear(2, 1), []
        optimizer = ad.optim.SGD(net.parameters(), lr=0.1)
        for p in net.parameters():
            p.register_post_accumulate_grad_hook(lambda p: seen.append((p.name, p.tolist(), p.grad.clone())))

        def step(x: ad.Tensor) -> None:
            optimizer.zero_grad()
            for part in (x[:2], x[1:]):
                net(part).square().sum().backward()
            ad.nn.utils.clip_grad_norm_(net.parameters(), 0.1)
            optimizer.step()

        return step, seen

    eager, compiled = both(make)
    assert len(eager) == 20
    assert [(name, p, g.tolist()) for name, p, g in eager] == [(name, p, g.tolist()) for name, p, g in compiled]


def test_an_optimizer_may_step_in_a_hook_after_accumulation() -> None:
    weights = []
    for compiled in (False, True):
        ad.manual_seed(0)
        net = ad.nn.Linear(2, 1)
        for p in net.parameters():
            optimizer = ad.optim.Adam([p], lr=0.1)

            def update(p: Any, optimizer: Any = optimizer) -> None:
                optimizer.step()
                optimizer.zero_grad()

            p.register_post_accumulate_grad_hook(update)

        def step(x: ad.Tensor, net: Any = net) -> None:
            net(x).square().sum().backward()

        run = ad.compile(step) if compiled else step
        for number in range(5):
            run(ad.full((3, 2), 0.1 * number))
        weights.append([p.tolist() for p in net.parameters()])
        assert all(p.grad is None for p in net.parameters())
    assert weights[0] == weights[1]


def test_a_hook_that_begins_to_change_a_tensor_is_an_error() -> None:
    net, calls = ad.nn.Linear(2, 2), []

    def hook(module: Any, args: Any, out: Any) -> None:
        calls.append(1)
        if len(calls) > 3:
            out.mul_(2)

    net.register_forward_hook(hook)
    compiled = ad.compile(net)
    with ad.no_grad():
        for _ in range(3):
            compiled(ad.ones(1, 2))
        with pytest.raises(RecordingError, match="changes a tensor that it left alone"):
            compiled(ad.ones(1, 2))


def test_a_function_must_not_register_hooks_on_parameters() -> None:
    net = ad.nn.Linear(2, 1)

    @ad.compile
    def step(x: ad.Tensor) -> None:
        net.weight.register_hook(print)  # the line to name
        net(x).sum().backward()

    step(ad.ones(1, 2))
    with pytest.raises(RecordingError, match=r"(?s)registers a hook on a tensor from outside.*the line to name"):
        step(ad.ones(1, 2))


def test_hooks_of_arguments() -> None:
    seen: list[Any] = []

    @ad.compile
    def step(x: ad.Tensor) -> None:
        (x * x).sum().backward()

    def hook(gradient: Any) -> None:
        seen.append(gradient.tolist())

    for number in range(8):
        x = ad.full((1,), float(number), requires_grad=True)
        if number > 3:
            x.register_hook(hook)
        step(x)
        assert x.grad is not None
        assert x.grad.tolist() == [2.0 * number]
    assert seen == [[2.0 * number] for number in range(4, 8)]


def test_an_error_of_a_hook_leaves_everything_as_it_was() -> None:
    """Also what an optimizer has changed before the hook was called."""
    one, other, calls = ad.nn.Linear(2, 2), ad.nn.Linear(2, 2), []
    optimizers = [ad.optim.Adam(net.parameters(), lr=0.1) for net in (one, other)]

    def hook(module: Any, args: Any, out: Any) -> None:
        calls.append(1)
        if len(calls) == 4:
            raise KeyError("stop")

    other.register_forward_hook(hook)

    @ad.compile
    def step(x: ad.Tensor) -> None:
        for net, optimizer in zip((one, other), optimizers, strict=True):
            optimizer.zero_grad()
            net(one(x)).square().sum().backward()
            optimizer.step()

    def state() -> list[Any]:
        tensors = [*one.parameters(), *other.parameters()]
        states = [value for optimizer in optimizers for values in optimizer.state.values() for value in values.values()]
        return [x.tolist() if isinstance(x, ad.Tensor) else x for x in (*tensors, *states)]

    for _ in range(3):
        step(ad.ones(1, 2))
    before = state()
    with pytest.raises(KeyError, match="stop"):
        step(ad.ones(1, 2))
    assert state() == before
    step(ad.ones(1, 2))
    assert state() != before


def every_hook(net: Any, seen: list[Any]) -> None:
    """Register hooks of each kind, which note sums."""
    for module in net:
        module.register_forward_pre_hook(lambda module, args: seen.append(("before", args[0].sum().item())))
        module.register_forward_hook(lambda module, args, out: seen.append(("after", out.sum().item(), out.shape)))
        module.register_full_backward_hook(lambda module, inputs, outputs: seen.append(outputs[0].sum().item()))
    for p in net.parameters():
        p.register_hook(lambda gradient: seen.append(("gradient", gradient.sum().item())))
        p.register_post_accumulate_grad_hook(lambda p: seen.append(("grad", p.grad.sum().item(), p.sum().item())))


@pytest.mark.parametrize("kind", ["plain", "budget", "twice", "outside"])
def test_hooks_of_every_kind_together(kind: str) -> None:
    def make(compiled: bool) -> tuple[Callable[..., Any], list[Any]]:
        nn, seen = ad.nn, []
        net = nn.Sequential(nn.Linear(2, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.3), nn.Linear(5, 2))
        optimizer = ad.optim.Adam(net.parameters(), lr=0.01)
        every_hook(net, seen)

        def loss_of(x: ad.Tensor) -> Any:
            loss = net(x).square().mean()
            if kind == "twice":
                (gradient,) = ad.autograd.grad(loss, net[0].weight, create_graph=True)
                loss = loss + gradient.square().sum()
            return loss

        inner = ad.compile(loss_of) if compiled and kind == "outside" else loss_of

        def step(x: ad.Tensor) -> Any:
            optimizer.zero_grad()
            loss = inner(x)
            loss.backward()
            optimizer.step()
            return loss.detach()

        budget = 0.5 if kind == "budget" else None
        run = ad.compile(step, memory_budget=budget) if compiled and kind != "outside" else step
        return lambda x: seen.append(run(x).item()), seen

    found = []
    for compiled in (False, True):
        ad.manual_seed(0)
        run, seen = make(compiled)
        for number in range(5):
            if number == 2:
                seen.clear()  # the second call of a loss function records its backward pass, on zeros
            run(ad.full((3, 2), 0.1 * number + 0.05) * ad.tensor([[1.0], [2.0], [-1.0]]))
        # A compiled loss function hands its gradients to the leaves in another order.
        found.append(sorted(seen, key=repr) if kind == "outside" else seen)
    assert found[0] == found[1]
    assert len(found[0]) > 60


def test_a_hook_that_calls_the_compiled_function_that_calls_it_is_an_error() -> None:
    module, inner = ad.nn.Linear(4, 4), [False]

    def hook(*_: Any) -> None:
        if inner[0]:
            inner[0] = False
            compiled(ad.zeros(3, 4))

    module.register_forward_hook(hook)
    compiled = ad.compile(lambda x: (module(x) * 2).exp().sum() + (x * 3).sum())
    x = ad.ones(3, 4)
    expected = [compiled(x).item() for _ in range(3)][-1]
    inner[0] = True
    with pytest.raises(RecordingError, match="calls the compiled function that calls it"):
        compiled(x)
    assert compiled(x).item() == expected


def test_a_hook_that_the_function_registers_on_an_argument() -> None:
    def scaled(x: Any, p: Any) -> Any:
        p.register_hook(lambda g: g * 10)
        return (x * p).sum()

    compiled = ad.compile(scaled)
    compiled(ad.ones(1), ad.ones(1, requires_grad=True))
    with pytest.raises(RecordingError, match="registers a hook on an argument, and its backward pass runs outside"):
        compiled(ad.ones(1), ad.ones(1, requires_grad=True))

    @ad.compile
    def step(x: Any, p: Any) -> Any:
        scaled(x, p).backward()
        return p.grad * 1

    assert [step(ad.ones(1), ad.ones(1, requires_grad=True)).item() for _ in range(4)] == [10] * 4
