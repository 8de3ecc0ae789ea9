"""Epilogues in compiled functions: what is joined to a product, what is not; the bits are those of eager runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import nn, threads
from autodiff.nn import functional as F
from autodiff.program import Program
from autodiff.utils.checkpoint import checkpoint
from tests.fence import fence


@pytest.fixture(autouse=True, params=[1, 2], ids=["1 thread", "2 threads"])
def _threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = ad.get_num_threads()
    monkeypatch.setattr(threads, "PART", 1e-30)
    ad.set_num_threads(request.param)
    yield
    ad.set_num_threads(before)


class Residual(nn.Module):
    """x + layer(relu(layer(x))), and a scaled product."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width, bias=False)

    def forward(self, x: Any) -> Any:
        x = x + self.second(F.relu(self.first(x)))
        return F.relu(x + 0.3 * (x @ self.second.weight))


def names(compiled: Any) -> list[str]:
    """Return what is replayed; the parts of what is followed, joined by `+`."""
    program = compiled.programs[0]
    return ["+".join(part.name for part in parts) if record.name == "followed" else record.name
            for record, parts in zip(program, program.columns["parts"], strict=True) if not record.primitive.view]


def same_bits(function: Callable[..., Any], *arguments: Any) -> Any:
    """Compile a function, require the bits of the function itself in three calls, and return what was compiled."""
    compiled = ad.compile(function)
    for _ in range(3):
        expected, found = function(*arguments), compiled(*arguments)
        for one, other in zip(*[x if isinstance(x, tuple) else (x,) for x in (expected, found)], strict=True):
            assert one.detach().numpy().tobytes() == other.detach().numpy().tobytes()
    return compiled


def net(activation: Any, *, dtype: Any = ad.float32) -> Any:
    ad.manual_seed(0)
    return nn.Sequential(nn.Linear(23, 45), activation, nn.Linear(45, 70), activation, nn.Linear(70, 5)).to(dtype)


@pytest.mark.parametrize("dtype", [ad.float32, ad.float64])
@pytest.mark.parametrize(("activation", "name"), [
    (nn.ReLU(), "relu"), (nn.Tanh(), "tanh"), (nn.Sigmoid(), "sigmoid"), (nn.GELU(), "gelu"), (nn.SiLU(), "silu"),
    (nn.GELU("tanh"), "gelu_tanh")])  # fmt: skip
def test_layers_with_activations(activation: Any, name: str, dtype: Any) -> None:
    model = net(activation, dtype=dtype).requires_grad_(False)
    compiled = same_bits(model.forward, ad.randn(33, 23, dtype=dtype))
    assert names(compiled) == [f"linear+{name}"] * 2 + ["linear"]


@pytest.mark.parametrize(("activation", "joined"), [
    (nn.ReLU(), "linear+relu"), (nn.Tanh(), "linear+tanh"), (nn.Sigmoid(), "linear+sigmoid"), (nn.GELU(), None)])
def test_whole_training_steps(activation: Any, joined: str | None) -> None:
    """The backward pass of gelu reads what it was applied to, so that is written."""
    models = [net(activation) for _ in range(2)]
    updates = [ad.optim.Adam(model.parameters()) for model in models]
    x, y = ad.randn(33, 23), ad.arange(33) % 5

    def step(i: int) -> Any:
        updates[i].zero_grad()
        loss = F.cross_entropy(models[i](x), y)
        loss.backward()
        updates[i].step()
        return loss

    compiled = ad.compile(lambda: step(1))
    for _ in range(5):
        assert step(0).item() == compiled().item()
    for mine, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert mine.detach().numpy().tobytes() == other.detach().numpy().tobytes()
    assert [name for name in names(compiled) if "+" in name] == ([joined] * 2 if joined else [])


def test_residual_blocks_and_scaled_products() -> None:
    ad.manual_seed(0)
    model = nn.Sequential(Residual(40), Residual(40)).requires_grad_(False)
    compiled = same_bits(model.forward, ad.randn(30, 40))
    assert names(compiled) == ["linear+relu", "linear+add", "matmul+mul+add+relu"] * 2


def test_shapes_and_layouts() -> None:
    a, b, r = ad.randn(3, 20, 30), ad.randn(3, 30, 10), ad.randn(3, 20, 10)
    assert names(same_bits(lambda: F.relu(r + a @ b))) == ["matmul+add+relu"]
    x, weight = ad.randn(4, 10, 30), ad.randn(8, 30)
    assert names(same_bits(lambda: F.linear(x, weight).tanh())) == ["linear+tanh"]
    assert names(same_bits(lambda: (a[0].T @ r[0]).sigmoid())) == ["matmul+sigmoid"]
    assert names(same_bits(lambda: (x @ weight.T).relu())) == ["matmul+relu"]  # of a view: a product of matrices
    c, d = ad.randn(20, 30), ad.randn(30, 20)
    assert names(same_bits(lambda: (c @ d).view(-1).tanh())) == ["matmul+tanh"]
    assert names(same_bits(lambda: (c @ d).T.relu())) == ["matmul", "relu"]
    assert names(same_bits(lambda: (c @ d).view(5, 80).relu_().sum()))[:2] == ["matmul", "relu"]
    assert names(same_bits(lambda: (lambda z: z + z.view(20, 20))(c @ d))) == ["matmul", "add"]
    y = ad.randn(4, 10, 8)
    assert names(same_bits(lambda: F.silu(y + x @ weight.T))) == ["matmul+add+silu"]
    assert names(same_bits(lambda: (lambda z: (z.view(-1).relu(), z.sum()))(c @ d)))[0] == "matmul"
    row, column = ad.randn(1, 30), ad.randn(400, 30)
    assert names(same_bits(lambda: (row @ ad.ones(30, 300)).tanh()))[-1] == "matmul+tanh"
    assert names(same_bits(lambda: (column @ row[0]).tanh())) == ["matvec+tanh"]


def test_what_does_not_follow() -> None:
    a, b, r = ad.randn(20, 30), ad.randn(30, 40), ad.randn(20, 40)
    other = ad.randn(40, 20).T
    assert names(same_bits(lambda: (a @ b).exp())) == ["matmul", "exp"]
    assert names(same_bits(lambda: (a @ b) + other)) == ["matmul", "add"]
    assert names(same_bits(lambda: F.relu(a @ b).double())) == ["matmul+relu", "copy"]
    assert "followed" not in names(same_bits(lambda: (a @ b).double().tanh()))
    assert "+" not in "".join(names(same_bits(lambda: (lambda y: (y, y.relu()))(a @ b))))
    assert "+" not in "".join(names(same_bits(lambda: (lambda y: y.T[0].sum() + y.relu().sum())(a @ b))))
    assert "+" not in "".join(names(same_bits(lambda: (a[:2] @ b[:, :3]).relu())))  # too small
    assert names(same_bits(lambda: r * (a @ b))) == ["matmul", "mul"]


def test_in_place() -> None:
    a, b = ad.randn(20, 30), ad.randn(30, 40)

    def follow() -> Any:
        y = a @ b
        y.mul_(0.5)
        return y.relu_()

    assert names(same_bits(follow)) == ["matmul+mul+relu"]

    def outside(total: Any, a: Any, b: Any) -> Any:
        total += a @ b
        return total.sum()

    for k, joined in ((30, True), (1000, False)):
        a, b = ad.randn(20, k), ad.randn(k, 40)
        totals = [ad.ones(20, 40) for _ in range(2)]
        compiled = ad.compile(lambda a, b, total=totals[1]: outside(total, a, b))
        for _ in range(4):
            assert outside(totals[0], a, b).item() == compiled(a, b).item()
            assert totals[0].numpy().tobytes() == totals[1].numpy().tobytes()
        assert ("matmul+add" in names(compiled)) is joined

    def square(x: Any) -> Any:
        y = x.clone()
        y += y @ y
        return y

    assert "followed" not in names(same_bits(square, ad.randn(40, 40)))


def test_hooks_see_what_lies_between() -> None:
    layer, seen = nn.Linear(30, 40), []
    layer.register_forward_hook(lambda module, inputs, output: seen.append(output.sum().item()))
    x = ad.randn(20, 30)
    compiled = ad.compile(lambda x: layer(x).tanh())
    for _ in range(4):
        compiled(x)
    assert len(set(seen)) == 1
    assert names(compiled).count("linear+tanh") == 0


@pytest.mark.parametrize("budget", [None, 0.5])
def test_checkpoints_and_budgets(budget: float | None) -> None:
    def made() -> tuple[Any, Callable[[], Any]]:
        model = net(nn.ReLU())
        x = ad.arange(33 * 23).reshape(33, 23) / 500

        def step() -> Any:
            for p in model.parameters():
                p.grad = None
            loss = checkpoint(model, x).square().mean()
            loss.backward()
            return loss

        return model, step

    (mine, eager), (other, step) = made(), made()
    compiled = ad.compile(step, memory_budget=budget)
    for _ in range(4):
        assert eager().item() == compiled().item()
        for p, q in zip(mine.parameters(), other.parameters(), strict=True):
            assert p.grad.numpy().tobytes() == q.grad.numpy().tobytes()
    assert "linear+relu" in names(compiled)


def test_the_product_alone_takes_no_memory() -> None:
    a, b = ad.randn(100, 100), ad.randn(100, 100)
    for function, temporaries in ((lambda: (a @ b).exp(), 2), (lambda: (a @ b).tanh(), 1)):
        holdings = same_bits(function).programs[0].memory().holdings
        assert [x.kind for x in holdings].count("temporary") == temporaries


def test_the_text_of_a_program_is_read_back() -> None:
    model = net(nn.ReLU()).requires_grad_(False)
    program = same_bits(model.forward, ad.randn(33, 23)).programs[0]
    assert 'followed(' in str(program)
    assert str(Program.parse(str(program))) == str(program)
    assert Program.parse(str(program)).structural_hash() == program.structural_hash()


def test_a_picture_shows_the_parts() -> None:
    model = net(nn.ReLU()).requires_grad_(False)
    compiled = same_bits(model.forward, ad.randn(33, 23))
    assert "linear" in ad.viz.draw(compiled, unfold=True).source
    source = ad.viz.draw(compiled).source
    assert "<B>linear</B>" in source
    assert ">then relu<" in source
    assert "<B>followed</B>" not in source


def test_arrays_that_end_at_a_page_without_access() -> None:
    with fence():
        a, b, r = (ad.from_numpy(np.ones(shape, np.float32)) for shape in ((21, 35), (35, 37), (21, 37)))
        assert names(same_bits(lambda: F.silu(r + 0.5 * (a @ b)))) == ["matmul+mul+add+silu"]


def test_sums_of_a_tensor_and_a_product_have_the_bits_of_the_steps() -> None:
    for shapes, function in [(((9, 35), (9, 40), (40, 35)), ad.addmm), (((9,), (9, 40), (40,)), ad.addmv),
                             (((2, 9, 35), (2, 9, 40), (2, 40, 35)), ad.baddbmm)]:
        tensors = [ad.randn(*shape) for shape in shapes]
        for settings in ({}, {"alpha": 0.3}, {"beta": 0.7, "alpha": -2}, {"beta": 0}):
            plain = function(*[x.clone().requires_grad_() for x in tensors], **settings)
            assert function(*tensors, **settings).numpy().tobytes() == plain.detach().numpy().tobytes()
        alpha = ad.tensor(0.5, requires_grad=True)
        assert function(*tensors, alpha=alpha).requires_grad  # type: ignore[operator]
        with pytest.raises(ad.errors.DTypeError, match="not a tensor"):
            function(2.0, *tensors[1:])  # type: ignore[operator]
