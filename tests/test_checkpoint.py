"""`utils.checkpoint`: the same gradients to the bit, without what the operations saved."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import nn
from autodiff.errors import GradientError, InPlaceError
from autodiff.nn import functional as F
from autodiff.program import Program
from autodiff.program_checkpoint import checkpointed
from autodiff.program_columns import saved_bytes
from autodiff.utils.checkpoint import checkpoint, checkpoint_sequential
from autodiff.viz import draw
from autodiff.viz.graph import Group


def same(first: Any, second: Any) -> None:
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())


def plain(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


def values() -> tuple[Any, Any]:
    generator = ad.Generator().manual_seed(1)
    return (ad.randn(4, 3, generator=generator).requires_grad_(), ad.randn(3, 3, generator=generator).requires_grad_())


@pytest.mark.parametrize("second", [False, True])
def test_the_same_gradients(second: bool) -> None:
    """Through an argument, a leaf from outside, and a tensor computed outside from that same leaf."""
    def gradients(call: Callable[..., Any]) -> list[Any]:
        x, w = values()
        outside = (w * 2).sum()

        def block(a: Any, b: Any) -> tuple[Any, Any]:
            y = ad.tanh(a @ w) * outside
            return y * b, ad.exp(y).sum()

        y, z = call(block, x * 1.5, ad.ones(3))
        loss = (y * y).sum() + z
        found = ad.autograd.grad(loss, (x, w), create_graph=second)
        if second:
            found = ad.autograd.grad(sum((g * g).sum() for g in found), (x, w))
        return list(found)

    same(gradients(plain), gradients(checkpoint))


def test_backward_into_leaves_and_hooks() -> None:
    x, w = values()
    seen = []

    def block(a: Any) -> Any:
        h = a @ w
        if not seen:
            h.register_hook(lambda g: seen.append(g))
        return (h * h).sum()

    checkpoint(block, x, use_reentrant=False).backward()
    want = 2 * (x @ w)
    np.testing.assert_allclose(seen[0].numpy(), want.detach().numpy(), rtol=1e-6)
    np.testing.assert_allclose(w.grad.numpy(), (x.t() @ want).detach().numpy(), rtol=1e-5)


def test_backward_twice() -> None:
    x, w = values()
    loss = checkpoint(lambda a: ad.tanh(a @ w).sum(), x)
    first = ad.autograd.grad(loss, (x, w), retain_graph=True)
    same(first, ad.autograd.grad(loss, (x, w)))
    with pytest.raises(GradientError, match="retain_graph"):
        ad.autograd.grad(loss, (x, w))


def test_saved_arrays_are_freed_and_come_back_only_for_the_backward_pass() -> None:
    gc.collect()
    gc.disable()
    try:
        x, w = values()
        made: list[list[Any]] = []

        def block(a: Any) -> Any:
            inner = [a @ w]
            for _ in range(3):
                inner.append(ad.tanh(inner[-1]) * 2.0)
            made.append([weakref.ref(y.array) for y in inner])
            return inner[-1].sum()

        loss = checkpoint(block, x)
        assert [ref() for ref in made[0]] == [None] * 4
        assert len(made) == 1
        loss.backward()
        assert len(made) == 2
        assert [ref() for ref in made[1]] == [None] * 4
        record = weakref.ref(loss.grad_fn)
        del loss
        assert record() is None
        # An argument that later takes part in a change in place with the result closes no cycle either.
        h = x * 1.0
        out = checkpoint(block, h)
        h.copy_(out)
        record = weakref.ref(out.grad_fn)
        del out, h
        assert record() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("preserve", [True, False])
def test_random_numbers(preserve: bool) -> None:
    def run(call: Callable[..., Any]) -> Any:
        ad.manual_seed(0)
        x = ad.ones(1000, requires_grad=True)
        y = call(lambda a: ad.dropout(a * 1.0, 0.5) * a, x)
        after = ad.rand(1)
        y.sum().backward()
        return x.grad, after, ad.rand(1)

    want = run(plain)
    got = run(lambda *args: checkpoint(*args, preserve_rng_state=preserve))
    if preserve:
        same(want, got)
    else:
        same(want[1:2], got[1:2])
        assert not ad.equal(want[0], got[0])


def test_nested() -> None:
    calls = []

    def inner(a: Any, w: Any) -> Any:
        calls.append("inner")
        return ad.tanh(a @ w)

    def outer(a: Any, w: Any, call: Callable[..., Any]) -> Any:
        calls.append("outer")
        return call(inner, call(inner, a * 2, w), w).sum()

    x, w = values()
    want = ad.autograd.grad(outer(x, w, plain), (x, w))
    calls.clear()
    loss = checkpoint(outer, x, w, checkpoint)
    got = ad.autograd.grad(loss, (x, w))
    same(want, got)
    assert calls.count("outer") == 2
    assert calls.count("inner") == 6


def test_modules_and_keyword_arguments() -> None:
    ad.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2))
    x = ad.randn(5, 3)

    def gradients(out: Any) -> list[Any]:
        model.zero_grad()
        (out * out).sum().backward()
        return [p.grad for p in model.parameters()]

    want = gradients(model(x))
    same(want, gradients(checkpoint(model, x)))  # no argument requires a gradient, the parameters do
    same(want, gradients(checkpoint(model, input=x)))
    for segments in (1, 2, 3, 5):
        same(want, gradients(checkpoint_sequential(model, segments, x)))


def test_without_gradients_it_is_a_call() -> None:
    with ad.no_grad():
        assert not checkpoint(lambda a: a * 2, ad.ones(2, requires_grad=True)).requires_grad
    assert checkpoint(lambda a: (a, 3), ad.ones(2))[1] == 3


def test_errors() -> None:
    x, w = values()
    with pytest.raises(InPlaceError, match="its arguments in place"):
        checkpoint(lambda a: a.mul_(2).sum(), x * 1)

    h = x * 1
    loss = checkpoint(lambda a: (a @ w).sum(), h)
    h.add_(1)
    with pytest.raises(InPlaceError, match="changed in place"):
        loss.backward()

    loss = checkpoint(lambda a: (a @ w).sum(), x)
    with ad.no_grad():
        w.mul_(2)
    with pytest.raises(InPlaceError, match="saved for the backward pass and then changed in place"):
        loss.backward()

    calls = []

    def fickle(a: Any) -> Any:
        calls.append(1)
        return (a * a).sum() if len(calls) == 1 else ad.exp(a).sum()

    loss = checkpoint(fickle, x)
    with pytest.raises(GradientError, match="other operations"):
        loss.backward()


def narrow(width: int, many: int) -> nn.Module:
    """Return blocks that keep much in the forward pass, and a narrow end."""
    parts = [nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, width), nn.GELU()) for _ in range(many)]
    return nn.Sequential(*parts, nn.Linear(width, 1))


class Blocks(nn.Module):
    """A net that calls each of its blocks through a function."""

    def __init__(self, width: int = 4, many: int = 2) -> None:
        super().__init__()
        self.layers = narrow(width, many)
        self.call: Callable[..., Any] = checkpoint

    def forward(self, x: Any) -> Any:
        *blocks, head = self.layers
        for block in blocks:
            x = self.call(block, x)
        return head(x)

    def step(self, x: Any) -> Any:
        self.zero_grad()
        loss = self(x).square().mean()
        loss.backward()
        return loss


def recorded(net: Blocks, call: Callable[..., Any], x: Any) -> Program:
    net.call = call
    return ad.record(net.step, x)


def test_what_is_recorded_is_what_runs() -> None:
    net, x = Blocks(), ad.randn(8, 4)
    program, kept = recorded(net, checkpoint, x), recorded(net, plain, x)
    program.verify()
    block = ["linear", "tanh", "linear", "gelu"]
    again = [record for record, phases in zip(program, program.columns["recomputed"], strict=True) if phases]
    assert [record.name for record in again] == 2 * block
    assert {phases for phases in program.columns["recomputed"] if phases} == {("forward",)}
    assert [record.name for record in program if record not in again] == [record.name for record in kept]
    forward = [record for record in program if record.phase == "forward"]
    assert {record.scope for record in again} == {record.scope for record in forward[:8]}
    # Of the forward pass that is read which a checkpoint was given, or which came behind the last one.
    last = forward.index(next(record for record in forward if record.scope == "Blocks.2"))
    read = {x[0] for record in program if record.phase == "backward" for x in record.operands if type(x) is tuple}
    assert {forward.index(record) for record in read if record in forward} == {3, 7, last}
    assert "recomputed" not in kept.columns


def test_memory_and_flops_of_a_recorded_step() -> None:
    net, x = Blocks(256, 3), ad.randn(512, 256)
    programs = [recorded(net, call, x) for call in (plain, checkpoint)]
    expected = checkpointed(programs[0], [f"Blocks.{i}" for i in range(3)])
    assert programs[1].cost() == expected.cost()
    assert programs[1].memory().peak == expected.memory().peak
    for call, program in zip((plain, checkpoint), programs, strict=True):
        net.call = call
        net.step(x)
        net.zero_grad()
        tracemalloc.start()
        try:
            net.step(x)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        use = program.memory()
        there = sum(holding.size for holding in use.holdings if holding.record is None)
        assert use.peak - there == pytest.approx(peak, rel=0.05)


def test_a_recording_holds_no_more_than_a_step() -> None:
    net, x = Blocks(), ad.randn(8, 4)
    arrays: list[weakref.ref[Any]] = []

    def noted(block: Any, x: Any) -> Any:
        arrays.append(weakref.ref(x.array))
        return checkpoint(block, x)

    gc.collect()
    gc.disable()
    try:
        program = recorded(net, noted, x)
        assert [reference() is None for reference in arrays] == [False, True]
        assert all(record.saved in ((), None) for record in program)
    finally:
        gc.enable()


def test_a_part_that_was_recorded_in_another_one() -> None:
    net, x = Blocks(), ad.randn(8, 4)
    program = recorded(net, lambda block, x: checkpoint(lambda x: checkpoint(block, x) * 1.0, x), x)
    program.verify()
    names = [record.name for record, phases in zip(program, program.columns["recomputed"], strict=True) if phases]
    block = ["linear", "tanh", "linear", "gelu"]
    assert names == 2 * [*block, "mul", *block]
    assert {phases for phases in program.columns["recomputed"] if phases} == {("forward",)}


def test_a_backward_pass_that_is_recorded_alone() -> None:
    net, x = Blocks(), ad.randn(8, 4)
    for given in (x, x * ad.ones(8, 4, requires_grad=True)):
        loss = net(given).sum()
        program = ad.record(loss.backward)
        assert sum(map(bool, program.columns["recomputed"])) == 8
        again = {record for record, phases in zip(program, program.columns["recomputed"], strict=True) if phases}
        read = {x[0] for record in program for x in record.operands if type(x) is tuple}
        assert len(again & read) >= 6


def test_a_picture_shows_what_is_computed_again() -> None:
    net, x = Blocks(), ad.randn(8, 4)
    for picture in (draw(net, x, backward=True), draw(net.step, x), draw(net(x), backward=True)):
        again = [node for node in picture.graph.nodes if node.recomputed]
        assert len(again) == 8
        assert {node.phase for node in again} == {"forward"}
        saved = [edge.tail for edge in picture.graph.edges if edge.saved]
        assert {node.record.scope for node in saved} <= {"Blocks.0.3", "Blocks.1.3", "Blocks.2", ""}


def test_what_is_computed_again_is_called_as_before() -> None:
    x = ad.ones(2, 3, requires_grad=True)
    graph = draw(lambda x: checkpoint(lambda x: x.exp().max(dim=1).values.exp() * F.l1_loss(x, x.T.T), x), x,
                 backward=True).graph
    groups = [graph.root]
    for group in groups:
        groups += [member for member in group.members if isinstance(member, Group)]
    assert [group.title for group in groups if group.is_call and group.phase == "forward"].count("l1_loss") == 2
    names = Counter(node.title for node in graph.nodes if node.phase == "forward" and node.kind == "operation")
    assert names["T"] == 4
    assert {name for name, number in names.items() if number == 1} == {"sum"}  # what is drawn starts from it


def test_drawing_a_tape_runs_nothing() -> None:
    calls = []

    def block(x: Any) -> Any:
        calls.append(1)
        return ad.tanh(x).exp()

    loss = checkpoint(block, ad.ones(3, requires_grad=True)).sum()
    draw(loss)
    assert len(calls) == 1


def test_what_is_kept_without_a_backward_pass() -> None:
    net, x = Blocks(), ad.randn(8, 4)
    program = ad.record(lambda x: net(x * 1.0), x)
    kept = [record for record, size in zip(program, saved_bytes(program), strict=True) if size]
    assert [(record.name, record.scope[-3:]) for record in kept] == [("mul", ""), ("gelu", "0.3"), ("gelu", "1.3")]


def test_recording_leaves_alone_what_the_second_run_leaves_behind() -> None:
    class Keeping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(2, 2)

        def forward(self, x: ad.Tensor) -> ad.Tensor:
            self.last = (self.linear(x) * 2).tanh()
            return self.last.sum()

    def step(module: Keeping) -> None:
        checkpoint(module, ad.ones(1, 2)).backward()
        module.last.sum().backward()

    for run in (plain, ad.record, ad.measure):
        run(step, Keeping())


def test_an_argument_without_gradient_does_not_keep_its_history() -> None:
    x = ad.ones(3, requires_grad=True)
    mask = x.exp().exp()
    history = weakref.ref(mask.grad_fn)
    result = checkpoint(lambda x, mask: x * x * (mask.detach() > 0).float(), x, mask)
    del mask
    assert history() is None
    result.sum().backward()


def test_what_is_computed_again_after_an_update_is_of_the_same_step() -> None:
    nets = [nn.Sequential(nn.Linear(2, 2), nn.Tanh()) for _ in range(2)]
    optimizers = [ad.optim.SGD(net.parameters(), lr=0.1) for net in nets]

    def step(x: ad.Tensor) -> None:
        losses = [checkpoint(net, x).sum() for net in nets]
        for loss, optimizer in zip(losses, optimizers, strict=True):
            loss.backward()
            optimizer.step()

    assert [lane.title for lane in draw(step, ad.ones(3, 2)).graph.root.members] == ["forward", "backward", "update"]


def test_what_is_computed_again_stands_at_the_line_of_the_first_run() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Tanh())

    def step() -> None:
        checkpoint(net, ad.ones(3, 2)).sum().backward()

    program = ad.record(step)
    lines = {record.line.number for record, again in zip(program, program.columns["recomputed"], strict=True) if again}
    assert lines == {step.__code__.co_firstlineno + 1}


def test_a_recording_does_not_hold_what_a_public_function_has_dropped() -> None:
    x = ad.ones(500, 500)

    def peak(run: Callable[..., Any]) -> float:
        run(lambda: ad.linalg.matrix_power(x, 5))
        tracemalloc.start()
        run(lambda: ad.linalg.matrix_power(x, 5))
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found / 1e6

    assert peak(ad.record) < peak(plain) + 0.5
