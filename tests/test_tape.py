"""The life of records: made, swept, freed; gradient modes, hooks, leaves."""

from __future__ import annotations

import copy
import gc
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.errors import GradientError
from autodiff.primitive import OPERATIONS, Operation, Sample
from autodiff.program import Program, Record
from autodiff.thread_mode import MODE
from tests.test_operations import call


@pytest.fixture
def without_collector() -> Iterator[None]:
    """Freeing must not need the cycle collector."""
    gc.collect()
    gc.freeze()  # what other tests have left need not be looked through again and again
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


def live_records() -> int:
    return sum(type(o) is Record for o in gc.get_objects())


def test_gradients_accumulate_until_zeroed() -> None:
    x = ad.tensor([1.0, 2.0], requires_grad=True)
    (x * 3).sum().backward()
    (x * 4).sum().backward()
    assert x.grad.tolist() == [7.0, 7.0]
    x.grad = None
    (x * 5).sum().backward()
    assert x.grad.tolist() == [5.0, 5.0]


def test_a_gradient_is_nobody_elses_memory() -> None:
    a, b = ad.zeros(3, requires_grad=True), ad.zeros(3, requires_grad=True)
    seed = ad.ones(3)
    (a + b).backward(seed)
    assert len({id(t.array) for t in (a.grad, b.grad, seed)}) == 3
    a.grad.mul_(0)
    assert b.grad.tolist() == [1.0, 1.0, 1.0]
    assert seed.tolist() == [1.0, 1.0, 1.0]


def test_a_value_used_many_times_sums_its_gradients() -> None:
    x = ad.tensor(2.0, requires_grad=True)
    y = x * x
    (y * y + y + x).backward()
    assert x.grad.item() == 4 * 8 + 2 * 2 + 1


def test_what_nobody_wants_is_not_computed() -> None:
    x = ad.tensor([1.0, 2.0], requires_grad=True)
    backward = [record.name for record in ad.record(lambda: (x + 1).backward(ad.ones(2))) if record.phase == "backward"]
    assert backward == ["copy"]  # no sum for the gradient of the 1


def test_slices_of_one_tensor_add_up_in_one_place() -> None:
    x = ad.tensor(np.arange(12.0, dtype=np.float32).reshape(4, 3), requires_grad=True)
    y = x * 2
    seed = ad.tensor([1.0, 2.0, 3.0])
    kept: list[Any] = []
    y.register_hook(kept.append)
    total = y[0] + y[2] * y[0] + y[1:3, ::2].sum() + x[3] + x[3]
    total.backward(seed, retain_graph=True)
    assert x.grad is not None
    first = x.grad.numpy().copy()
    g, rows = seed.numpy(), y.detach().numpy()
    want = np.zeros((4, 3), np.float32)
    want[0], want[2] = g + g * rows[2], g * rows[0]
    want[1:3, ::2] += g.sum()
    np.testing.assert_array_equal(kept[0].numpy(), want)
    np.testing.assert_array_equal(first, 2 * want + [[0], [0], [0], [2]] * g)
    np.testing.assert_array_equal(seed.numpy(), [1, 2, 3])
    total.backward(seed)
    np.testing.assert_array_equal(kept[0].numpy(), want)
    np.testing.assert_array_equal(x.grad.numpy(), 2 * first)


def test_retain_graph_and_a_second_backward() -> None:
    x = ad.tensor(3.0, requires_grad=True)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 12
    with pytest.raises(GradientError, match=r"earlier backward pass has freed.*retain_graph=True"):
        y.backward()


def test_an_error_on_the_way_leaves_every_grad_as_it_was() -> None:
    x, w = ad.ones(2, requires_grad=True), ad.ones(2, requires_grad=True)
    y = x * 1.0
    z = (w * y * y).sum()
    y.detach().zero_()
    with pytest.raises(RuntimeError):
        z.backward()
    assert x.grad is None
    assert w.grad is None
    assert MODE.grad
    assert MODE.phase == "forward"


def test_create_graph_gives_every_order() -> None:
    x = ad.tensor(2.0, requires_grad=True)
    y = x**4
    for expected in (32.0, 48.0, 48.0, 24.0):
        (gradient,) = ad.autograd.grad(y, x, create_graph=True)
        assert gradient.item() == pytest.approx(expected)
        y = gradient


def test_grad_of_values_on_the_way_and_unused_inputs() -> None:
    x, other = ad.tensor(3.0, requires_grad=True), ad.tensor(1.0, requires_grad=True)
    y = x * 2
    gx, gy = ad.autograd.grad(y * y, [x, y])
    assert (gx.item(), gy.item()) == (24.0, 12.0)
    assert x.grad is None
    with pytest.raises(GradientError, match=r"do not depend on input 0.*allow_unused"):
        ad.autograd.grad(x * 2, other)
    assert ad.autograd.grad(x * 2, other, allow_unused=True) == (None,)
    assert ad.autograd.grad(x * 2, other, materialize_grads=True)[0].item() == 0


def test_only_the_way_to_the_inputs_is_swept() -> None:
    x, w = ad.ones(2, requires_grad=True), ad.ones(2, requires_grad=True)
    seen = []
    side = w * 3
    side.register_hook(seen.append)
    ad.autograd.grad((x * 2 + side * 0).sum(), x)
    assert not seen
    assert w.grad is None


def test_backward_adds_to_each_of_its_inputs_once() -> None:
    w = ad.tensor([3.0, 4.0], requires_grad=True)
    for backward in (ad.Tensor.backward, ad.autograd.backward):
        for inputs in (lambda x: x, lambda x: [x, x], lambda x: iter([x, x])):
            x = ad.tensor([1.0, 2.0], requires_grad=True)
            backward((x * x * w).sum(), inputs=inputs(x))
            assert x.grad.tolist() == [6, 16]
    assert w.grad is None


def test_only_the_gradients_on_that_way_are_computed() -> None:
    x, w = ad.ones(2, 3, requires_grad=True), ad.ones(3, 4, requires_grad=True)
    names = [record.name for record in ad.record(lambda: ad.autograd.grad((x @ w).sum(), x))]
    assert names.count("matmul") == 2  # of three: the gradient of w would be one, too
    (first,) = ad.autograd.grad((x @ w).exp().sum(), x, create_graph=True)
    (second,) = ad.autograd.grad(first.sum(), w)  # that of w was not computed, but is on the way now
    (want,) = ad.autograd.grad(ad.autograd.grad((x @ w).exp().sum(), (x, w), create_graph=True)[0].sum(), w)
    np.testing.assert_array_equal(second.numpy(), want.numpy())


def test_the_gradient_of_one_input_is_that_of_all() -> None:
    """Every operation, also where its gradient is differentiated again."""
    for operation in OPERATIONS.values():
        for sample in list(operation.samples())[:1]:
            leaves: list[Any] = []
            total = sums_of(operation, sample, leaves)
            if len(leaves) < 2 or not total or not sample.gradient:
                continue
            options = {"create_graph": True, "allow_unused": True}
            together = ad.autograd.grad(total, leaves, **options)
            for position, leaf in enumerate(leaves):
                (alone,) = ad.autograd.grad(total, leaf, **options)
                compare(operation, [alone], [together[position]])
                if alone is not None and alone.requires_grad:
                    again = [ad.autograd.grad(first.sum(), leaves, retain_graph=True, allow_unused=True)
                             for first in (alone, together[position])]  # fmt: skip
                    compare(operation, *again)


def compare(operation: Operation, found: Any, wanted: Any) -> None:
    for got, want in zip(found, wanted, strict=True):
        assert (got is None) == (want is None), operation.name
        if got is not None:
            np.testing.assert_array_equal(got.detach().numpy(), want.detach().numpy(), operation.name)


def test_gradient_modes_restore_what_was_before() -> None:
    x = ad.ones(1, requires_grad=True)
    with ad.no_grad():
        assert not (x * 2).requires_grad
        with ad.enable_grad():
            assert (x * 2).requires_grad
        assert not ad.is_grad_enabled()

    @ad.no_grad()
    def twice(y: Any) -> Any:
        return y * 2

    assert not twice(x).requires_grad
    with pytest.raises(ValueError, match="stop"), ad.no_grad():
        raise ValueError("stop")
    assert ad.is_grad_enabled()
    ad.set_grad_enabled(False)
    assert not ad.is_grad_enabled()
    ad.set_grad_enabled(True)
    with ad.inference_mode():
        assert not (x * 2).requires_grad

    @ad.no_grad()
    def numbers() -> Iterator[bool]:
        yield ad.is_grad_enabled()
        yield ad.is_grad_enabled()

    for inside in numbers():
        assert not inside
        assert ad.is_grad_enabled()


def test_modes_belong_to_the_thread() -> None:
    seen = []
    with ad.no_grad():
        thread = threading.Thread(target=lambda: seen.append(ad.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_hooks_see_and_replace_gradients() -> None:
    x = ad.ones(2, requires_grad=True)
    y = x * 3
    seen: list[Any] = []
    y.register_hook(lambda g: seen.append(g.tolist()))
    y.register_hook(lambda g: g * 10)
    handle = x.register_hook(lambda g: g + 1)
    y.sum().backward()
    assert seen == [[1.0, 1.0]]
    assert x.grad.tolist() == [31.0, 31.0]
    handle.remove()
    x.grad = None
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
    after: list[Any] = []
    x.register_post_accumulate_grad_hook(lambda t: after.append(t.grad.tolist()))
    (x * 2).sum().backward()
    assert after == [[4.0, 4.0]]
    with pytest.raises(GradientError, match="requires no gradient"):
        ad.ones(1).register_hook(lambda g: None)


def test_a_gradient_that_a_hook_keeps_does_not_change_later() -> None:
    x, kept = ad.ones(2, requires_grad=True), []
    x.register_hook(kept.append)
    for _ in range(2):
        (x * 3).sum().backward()
    assert kept[0].tolist() == [3.0, 3.0]
    assert x.grad.tolist() == [6.0, 6.0]


def test_grad_runs_the_hooks_of_its_inputs_only() -> None:
    x, w, seen = ad.ones(2, requires_grad=True), ad.ones(2, requires_grad=True), []
    x.register_hook(lambda g: seen.append("x"))
    w.register_hook(lambda g: seen.append("w"))
    ad.autograd.grad((x * w).sum(), x)
    assert seen == ["x"]


def test_retain_grad_keeps_the_gradient_of_a_result() -> None:
    x = ad.ones(2, requires_grad=True)
    y = x * 3
    y.retain_grad()
    (y * y).sum().backward()
    assert y.grad.tolist() == [6.0, 6.0]


def test_retain_grad_keeps_what_hooks_leave_of_a_gradient_once() -> None:
    x = ad.ones(2, requires_grad=True)
    y = x * 3
    y.retain_grad()
    y.retain_grad()
    y.register_hook(lambda g: g * 10)
    (y * 2).sum().backward()
    assert y.grad.tolist() == [20.0, 20.0]
    assert x.grad.tolist() == [60.0, 60.0]


def test_the_parameters_of_a_model_are_inputs_as_they_are() -> None:
    model = ad.nn.Linear(3, 2)
    loss = (model(ad.ones(4, 3)) ** 2).sum()
    found = ad.autograd.grad(loss, model.parameters(), retain_graph=True)
    assert [g.shape for g in found] == [(2, 3), (2,)]
    loss.backward(inputs=model.parameters(), retain_graph=True)
    assert all(ad.equal(p.grad, g) for p, g in zip(model.parameters(), found, strict=True))
    model.zero_grad()
    ad.autograd.backward(loss, inputs=model.parameters(), retain_graph=True)
    assert all(ad.equal(p.grad, g) for p, g in zip(model.parameters(), found, strict=True))
    model.zero_grad()
    loss.backward(inputs=model.bias)
    assert ad.equal(model.bias.grad, found[1])
    assert model.weight.grad is None


def test_what_is_no_tensor_has_no_gradient() -> None:
    x = ad.ones(2, requires_grad=True)
    for wrong, pattern in [
        (lambda: ad.autograd.grad(x.sum(), ad.nn.Linear(2, 2)), r"\[grad\] an input is no tensor; .* got Linear"),
        (lambda: ad.autograd.grad(2.0, x), r"\[grad\] an output is no tensor; .* got float"),
        (lambda: x.sum().backward(inputs=[1]), r"\[backward\] an input is no tensor; .* got int"),
        (lambda: x.backward(np.ones(2)), r"\[backward\] the cotangent is no tensor; .* got ndarray; wrap it"),
    ]:
        with pytest.raises(TypeError, match=pattern):
            wrong()


def test_detach_and_requires_grad() -> None:
    x = ad.ones(2, requires_grad=True)
    y = (x * 2).detach()
    assert not y.requires_grad
    assert y.is_leaf
    assert x.is_leaf
    assert not (x * 2).is_leaf
    with pytest.raises(TypeError, match="only tensors of floats"):
        ad.tensor([1]).requires_grad_()
    with pytest.raises(GradientError, match="only a leaf"):
        (x * 2).requires_grad_(False)


def test_a_long_chain_needs_no_recursion_and_is_freed_at_once(without_collector: None) -> None:
    x = ad.ones(2, requires_grad=True)
    before = live_records()
    y = x
    for _ in range(200_000):
        y = y + x
    y.sum().backward()
    assert x.grad.tolist() == [200_001.0, 200_001.0]
    assert live_records() >= before + 200_000
    del y
    assert live_records() == before


def test_forward_without_backward_keeps_one_turn(without_collector: None) -> None:
    weight = ad.ones(4, 4, requires_grad=True)
    x = ad.ones(4, 4)

    def model(x: Any) -> Any:
        return ((x @ weight).tanh() @ weight).relu().sum()

    model(x)
    gc.collect()  # what Numba leaves behind when it compiles
    out = model(x)
    one = live_records()
    for _ in range(1000):
        out = model(x)
    assert live_records() == one
    assert out.requires_grad


def test_no_operation_leaves_a_reference_cycle(without_collector: None) -> None:
    """Every operation's record, gradients and second derivatives are freed by reference counts alone."""
    for operation in OPERATIONS.values():
        for sample in list(operation.samples())[:1]:
            differentiate(operation, sample)
            gc.collect()  # what Numba leaves behind when it compiles
            before = live_records()
            differentiate(operation, sample)
            assert live_records() == before, f"{operation.name} keeps records alive"


def differentiate(operation: Operation, sample: Sample) -> None:
    """Run an operation and its gradient with a history, and let go of everything."""
    leaves: list[Any] = []
    total = sums_of(operation, sample, leaves)
    if total and sample.gradient:
        ad.autograd.grad(total, leaves, create_graph=True, materialize_grads=True)


def sums_of(operation: Operation, sample: Sample, leaves: list[Any]) -> list[Any]:
    """Run an operation on leaves, which are appended to the list, and return the sums of its results."""

    def leaf(x: Any) -> Any:
        tensor = ad.tensor(np.asarray(x))
        if tensor.dtype.kind == "f":
            leaves.append(tensor.requires_grad_())
        return tensor

    return [r.sum() for r in call(operation, sample, leaf) if isinstance(r, ad.Tensor) and r.requires_grad]


def test_records_know_the_users_line_and_the_tape_is_a_program() -> None:
    x = ad.ones(
        2,
        2,
        requires_grad=True,
    )
    y = (x @ x).tanh()
    loss = y.sum()
    program = Program.reaching([loss.edge])
    assert [record.name for record in program] == ["matmul", "tanh", "sum"]
    program.verify()
    assert program.records[0].line is not None
    assert "y = (x @ x).tanh()" in str(program.records[0].line)
    assert "test_tape.py" in str(program.records[2].line)
    assert program.cost().flops > 16
    assert "tanh(%0)" in str(program)


def test_same_numbers_eagerly_twice() -> None:
    def run() -> Any:
        ad.manual_seed(0)
        x = ad.randn(5, 7, requires_grad=True)
        (x @ x.T).softmax(-1).log().sum().backward()
        return x.grad.numpy()

    np.testing.assert_array_equal(run(), run())


def test_deepcopy_copies_leaves_only() -> None:
    x = ad.ones(2, requires_grad=True)
    x.sum().backward()
    y = copy.deepcopy(x)
    y.detach().zero_()
    assert x.tolist() == [1.0, 1.0]
    assert y.requires_grad
    assert y.grad.tolist() == [1.0, 1.0]
    with pytest.raises(GradientError, match="only leaf tensors"):
        copy.deepcopy(x * 2)


class Cube(ad.autograd.Function):
    """x**3, with a gradient of our own."""

    @staticmethod
    def forward(ctx: Any, x: Any, scale: float) -> Any:
        ctx.save_for_backward(x)
        ctx.scale = scale
        return x * x * x * scale

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        return g * 3 * x * x * ctx.scale, None


class Exp(ad.autograd.Function):
    """exp(x), which saves its output."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * ctx.saved_tensors[0]


def test_custom_functions(without_collector: None) -> None:
    x = ad.tensor([1.0, 2.0], dtype=ad.float64, requires_grad=True)
    assert ad.autograd.gradcheck(lambda t: Cube.apply(t, 2.0), x)
    assert ad.autograd.gradgradcheck(lambda t: Cube.apply(t, 2.0), x)
    assert ad.autograd.gradgradcheck(Exp.apply, x)
    gc.collect()  # what Numba leaves behind when it compiles
    before = live_records()
    y = Exp.apply(x)
    y.sum().backward()
    del y
    assert live_records() == before
    y = Exp.apply(x)
    y.sum().backward()
    with pytest.raises(GradientError, match="freed by an earlier backward"):
        y.sum().backward()


def test_a_custom_function_with_the_wrong_number_of_gradients() -> None:
    class Wrong(ad.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Any:
            return x * y

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g

    x = ad.ones(1, requires_grad=True)
    with pytest.raises(GradientError, match=r"wrong number of gradients; expected 2.*got 1"):
        Wrong.apply(x, x).backward()


def test_functional_derivatives() -> None:
    functional = ad.autograd.functional
    x = ad.tensor([1.0, 2.0, 3.0], dtype=ad.float64)
    matrix = ad.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, 4.0]], dtype=ad.float64)
    np.testing.assert_allclose(functional.jacobian(lambda t: matrix @ t, x).numpy(), matrix.numpy())
    quadratic = ad.tensor([[2.0, 1.0, 0.0], [1.0, 3.0, 0.5], [0.0, 0.5, 1.0]], dtype=ad.float64)
    f = lambda t: 0.5 * (t @ (quadratic @ t))  # noqa: E731
    np.testing.assert_allclose(functional.hessian(f, x).numpy(), quadratic.numpy())
    v = ad.tensor([1.0, -1.0, 0.5], dtype=ad.float64)
    np.testing.assert_allclose(functional.hvp(f, x, v)[1].numpy(), quadratic.numpy() @ v.numpy())
    np.testing.assert_allclose(
        functional.jvp(lambda t: (matrix @ t) ** 2, x, v)[1].numpy(),
        2 * (matrix.numpy() @ x.numpy()) * (matrix.numpy() @ v.numpy()),
    )
    np.testing.assert_allclose(
        functional.vjp(lambda t: matrix @ t, x, ad.ones(2, dtype=ad.float64))[1].numpy(), matrix.numpy().sum(0)
    )


def test_the_jacobian_of_a_fully_connected_layer() -> None:
    """z = V x + b with 2 outputs and 3 inputs: the 2 x 8 Jacobian by w = (V row by row, then b)."""
    x = np.array([1.0, 2.0, 3.0])
    w = ad.tensor(np.arange(8.0))

    def layer(w: Any) -> Any:
        return w[:6].reshape(2, 3) @ ad.tensor(x) + w[6:]

    jacobian = ad.autograd.functional.jacobian(layer, w).numpy()
    np.testing.assert_array_equal(jacobian, [[1, 2, 3, 0, 0, 0, 1, 0], [0, 0, 0, 1, 2, 3, 0, 1]])


def test_gradcheck_finds_a_wrong_gradient() -> None:
    class Wrong(ad.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 3

    x = ad.ones(2, dtype=ad.float64, requires_grad=True)
    with pytest.raises(ad.autograd.GradcheckError, match=r"differs from finite differences; expected 2.*got 3"):
        ad.autograd.gradcheck(Wrong.apply, x)
    assert not ad.autograd.gradcheck(Wrong.apply, x, raise_exception=False)
    with pytest.raises(TypeError, match=r"too coarse.*float64; got float32"):
        ad.autograd.gradcheck(ad.tanh, ad.ones(2, requires_grad=True))


def test_a_function_may_set_up_its_context_apart() -> None:
    class Scaled(ad.autograd.Function):
        @staticmethod
        def forward(x: Any, factor: float) -> Any:
            return x * factor

        @staticmethod
        def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            ctx.factor = inputs[1]

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * ctx.factor, None

    x = ad.ones(2, requires_grad=True)
    Scaled.apply(x, 3.0).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


# ---- Anomalies -------------------------------------------------------------------------------------------------------


def nan_in_backward() -> ad.Tensor:
    x = ad.tensor([0.0, 4.0], requires_grad=True)
    root = ad.sqrt(x)  # the line that is to blame
    return (root * ad.tensor([0.0, 1.0])).sum()


def test_an_anomaly_names_the_operation_and_the_line() -> None:
    nan_in_backward().backward()  # nobody looks
    with ad.autograd.detect_anomaly():
        assert ad.is_anomaly_enabled()
        loss = nan_in_backward()
        with pytest.raises(GradientError,
                           match=r"(?s)\[sqrt\].*input 0 has NaN, the first.*1 of 2 .*line that is to blame"):
            loss.backward()
        (ad.ones(2, requires_grad=True) ** 2).sum().backward()
    assert not ad.is_anomaly_enabled()


def test_anomalies_are_looked_for_from_a_call_on() -> None:
    ad.autograd.set_detect_anomaly(True)
    try:
        with pytest.raises(RuntimeError, match="sqrt"):
            nan_in_backward().backward()
        with ad.autograd.set_detect_anomaly(False):
            nan_in_backward().backward()
        assert ad.is_anomaly_enabled()
        with ad.autograd.detect_anomaly(check_nan=False):
            nan_in_backward().backward()
    finally:
        ad.autograd.set_detect_anomaly(False)
    x = ad.tensor([1.0], requires_grad=True)
    with ad.autograd.detect_anomaly(), pytest.raises(GradientError, match="what the backward pass started from"):
        (x * 2).backward(ad.tensor([float("nan")]))


def test_an_anomaly_names_the_module() -> None:
    class Root(ad.nn.Module):
        def forward(self, x: ad.Tensor) -> ad.Tensor:
            return ad.sqrt(x - x) * 0.0

    net = ad.nn.Sequential(ad.nn.Linear(2, 2), Root())
    with ad.autograd.detect_anomaly(), pytest.raises(GradientError, match=r"in the module .*1"):
        net(ad.ones(1, 2)).sum().backward()


def test_detect_anomaly_may_be_entered_twice() -> None:
    look = ad.autograd.detect_anomaly()
    with look:
        with look:
            assert ad.is_anomaly_enabled()
        assert ad.is_anomaly_enabled()
    assert not ad.is_anomaly_enabled()


def test_the_gradient_of_unbind_lies_as_its_input() -> None:
    x = ad.rand(2, 3, 8, requires_grad=True)

    def step() -> None:
        a, b = (x * 1).view(2, 3, 2, 4).permute(2, 0, 3, 1).unbind(0)
        (a.exp() * b).sum().backward()

    program = ad.record(step)
    assert "copy" not in [record.name for record in program]
    assert x.grad is not None
    a, b = x.detach().numpy().reshape(2, 3, 2, 4).transpose(2, 0, 1, 3)
    expected = np.stack([np.exp(a) * b, np.exp(a)], axis=2).reshape(2, 3, 8)
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-6)
