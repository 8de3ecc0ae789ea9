"""Changes in place: views, bases, leaves and saved tensors, by PyTorch's rules.

Each behaviour is a function of the library; where PyTorch is installed, both must give the same numbers.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.errors import InPlaceError, ShapeError

BEHAVIOURS: list[Callable[[Any], Any]] = []


def behaviour(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    BEHAVIOURS.append(function)
    return function


def leaf(torch: Any, *shape: int) -> Any:
    n = int(np.prod(shape))
    return torch.tensor((np.arange(n).reshape(shape) + 1) / 4, requires_grad=True)


@behaviour
def add_to_a_result(torch: Any) -> Any:
    x = leaf(torch, 3)
    y = x * 2
    y += x
    y.add_(1)
    y.backward(torch.ones(3, dtype=torch.float64))
    return y, x.grad


@behaviour
def multiply_a_view_of_a_result(torch: Any) -> Any:
    x = leaf(torch, 2, 3)
    y = x * 2
    y[0].mul_(x[1])
    y.sum().backward()
    return y, x.grad


@behaviour
def a_view_taken_before_sees_a_change_of_its_base(torch: Any) -> Any:
    x = leaf(torch, 4)
    y = x * 1
    view = y[1:3]
    y.mul_(x)
    (view * 3).sum().backward()
    return view, x.grad


@behaviour
def a_view_sees_a_change_through_another_view(torch: Any) -> Any:
    x = leaf(torch, 4)
    y = x * 1
    first, last = y[:3], y[1:]
    first.mul_(x[:3])
    (last * x[1:]).sum().backward()
    return last, x.grad


@behaviour
def a_view_of_a_view(torch: Any) -> Any:
    x = leaf(torch, 2, 3)
    y = x * 1
    y.t()[1:].mul_(2)
    y.view(-1)[2:4].add_(x[0, 0])
    (y * y).sum().backward()
    return y, x.grad


@behaviour
def a_base_without_gradient_gains_one(torch: Any) -> Any:
    x = leaf(torch, 2)
    buffer = torch.zeros(4, dtype=torch.float64)
    buffer[1:3] = x * 2
    buffer[0] = x[1]
    (buffer * buffer).sum().backward()
    return buffer, x.grad


@behaviour
def constants_replace_history(torch: Any) -> Any:
    x = leaf(torch, 3)
    y = x * 2
    y[1] = 5.0
    y.sum().backward()
    return y, x.grad


@behaviour
def zero_and_fill(torch: Any) -> Any:
    x = leaf(torch, 3)
    y = x * 2
    y[:2].zero_()
    z = x * 3
    z.fill_(4)
    (y + x).sum().backward()
    return y, z, x.grad


@behaviour
def copy_and_clamp(torch: Any) -> Any:
    x = leaf(torch, 3)
    y = torch.zeros(2, 3, dtype=torch.float64)
    y.copy_(x)
    y.clamp_(0.3, 0.6)
    y.sum().backward()
    return y, x.grad


@behaviour
def relu_in_place(torch: Any) -> Any:
    x = leaf(torch, 4)
    y = x - 0.6
    z = torch.nn.functional.relu(y, inplace=True)
    (z * z).sum().backward()
    return y, x.grad


@behaviour
def leaves_change_without_gradients(torch: Any) -> Any:
    x = leaf(torch, 3)
    with torch.no_grad():
        x.sub_(0.5)
        x[0] = 7.0
    (x * x).sum().backward()
    return x, x.grad


@behaviour
def advanced_index_assignment(torch: Any) -> Any:
    x = leaf(torch, 3)
    y = torch.zeros(5, dtype=torch.float64)
    y[torch.tensor([4, 0, 2])] = x * 2
    y[y > 1.2] = 1.0
    (y * y).sum().backward()
    return y, x.grad


@behaviour
def in_place_on_a_detached_tensor_shares_memory(torch: Any) -> Any:
    x = leaf(torch, 3)
    x.detach().mul_(2)
    (x * x).sum().backward()
    return x, x.grad


@behaviour
def second_derivative_through_a_change_in_place(torch: Any) -> Any:
    x = leaf(torch, 3)
    y = x * x
    y[1:].mul_(x[:2])
    (first,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    first.sum().backward()
    return first, x.grad


@behaviour
def running_sum(torch: Any) -> Any:
    x = leaf(torch, 3)
    total = torch.zeros(3, dtype=torch.float64)
    for i in range(3):
        total += x * i
    (total * x).sum().backward()
    return total, x.grad


def values(results: Any) -> list[Any]:
    return [r.detach().numpy() for r in results]


# What PyTorch 2.13 gives, written by `python tests/test_in_place.py`.
EXPECTED = json.loads((Path(__file__).parent / "in_place.json").read_text())


@pytest.mark.parametrize("function", BEHAVIOURS, ids=lambda f: f.__name__)
def test_behaves_as_pytorch(function: Callable[[Any], Any]) -> None:
    for mine, theirs in zip(values(function(ad)), EXPECTED[function.__name__], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
@pytest.mark.parametrize("function", BEHAVIOURS, ids=lambda f: f.__name__)
def test_pytorch_behaves_as_written_down(function: Callable[[Any], Any]) -> None:
    import torch

    for value, theirs in zip(values(function(torch)), EXPECTED[function.__name__], strict=True):
        np.testing.assert_allclose(value, theirs, rtol=1e-12)


def test_leaves_that_require_a_gradient_may_not_change() -> None:
    x = ad.ones(3, requires_grad=True)
    with pytest.raises(InPlaceError, match=r"\] a leaf that requires a gradient"):
        x.add_(1)
    with pytest.raises(InPlaceError, match=r"\] a leaf that requires a gradient"):
        ad.zeros(4)[:2].requires_grad_().add_(1)
    with pytest.raises(InPlaceError, match="a view of a leaf"):
        x[0] = 1.0
    with pytest.raises(InPlaceError, match="share one place in memory"):
        ad.ones(1).expand(3).add_(1)
    with pytest.raises(TypeError, match="cannot change the dtype"):
        ad.ones(2, dtype=ad.int64).add_(1.5)
    with pytest.raises(ValueError, match="cannot change the shape"):
        ad.ones(2).add_(ad.ones(3, 2))


def test_a_view_made_a_leaf_stays_one_when_its_base_changes() -> None:
    flat = ad.zeros(4)
    weight = flat[:2].requires_grad_()
    with ad.no_grad():
        flat.add_(1)
    (weight * weight).sum().backward()
    assert weight.is_leaf
    assert weight.grad.tolist() == [2.0, 2.0]


class Doubled(ad.autograd.Function):
    """Doubles its argument in place."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.mark_dirty(x)
        return x.mul_(2)

    @staticmethod
    def backward(ctx: Any, *cotangents: Any) -> Any:
        return cotangents[0] * 2


def test_a_function_may_change_a_view_in_place_but_no_leaf() -> None:
    x = ad.ones(3, requires_grad=True)
    y = x * 1
    Doubled.apply(y[:2])
    (y * y).sum().backward()
    assert x.grad.tolist() == [8.0, 8.0, 2.0]
    with pytest.raises(InPlaceError, match="a leaf that requires a gradient"):
        Doubled.apply(x)


def test_a_view_whose_base_changed_knows_its_history_wherever_it_is_asked() -> None:
    x = ad.ones(3, requires_grad=True)

    def stale() -> Any:
        y = ad.zeros(3)
        view = y[:2]
        y.add_(x * 3)
        return view

    assert stale().requires_grad
    assert not stale().is_leaf
    with pytest.raises(RuntimeError, match="lose this tensor's gradient"):
        stale().numpy()
    assert ad.autograd.grad(stale(), x, ad.ones(2))[0].tolist() == [3.0, 3.0, 0.0]
    stale().backward(ad.ones(2))
    assert x.grad.tolist() == [3.0, 3.0, 0.0]
    assert ad.autograd.grad(Doubled.apply(stale()).sum(), x)[0].tolist() == [6.0, 6.0, 0.0]


def test_a_changed_saved_tensor_is_named_with_both_lines() -> None:
    layer = ad.nn.Linear(2, 2)
    x = ad.ones(1, 2)
    hidden = layer(x)
    out = hidden.tanh()
    loss = (out * out).sum()
    out.add_(1)  # the change
    with pytest.raises(InPlaceError) as caught:
        loss.backward()
    text = str(caught.value)
    assert "made by tanh" in text
    assert "loss = (out * out).sum()" in text
    assert "out.add_(1)  # the change" in text


def test_a_changed_parameter_is_named() -> None:
    layer = ad.nn.Linear(2, 2)
    loss = layer(layer(ad.ones(1, 2))).sum()
    with ad.no_grad():
        layer.weight.mul_(2)
    with pytest.raises(InPlaceError, match=r"'weight'.*changed in place"):
        loss.backward()


def test_a_copy_that_stands_for_a_view_refuses_changes() -> None:
    image = ad.nn.functional.conv2d(ad.ones(2, 3, 4, 4), ad.ones(5, 3, 3, 3))
    flat = image.view(2, -1)
    with pytest.raises(InPlaceError, match=r"contiguous\(\)"):
        flat.add_(1)


def test_overlapping_operands() -> None:
    x = ad.arange(5, dtype=ad.float32)
    x[1:] += x[:-1]
    assert x.tolist() == [0, 1, 3, 5, 7]
    y = ad.arange(4, dtype=ad.float32).reshape(2, 2)
    y.add_(y.t())
    assert y.tolist() == [[0, 3], [3, 6]]


def test_detached_tensors_share_versions() -> None:
    x = ad.ones(2, requires_grad=True)
    y = x * 1
    z = (y * y).sum()
    y.detach().add_(1)
    with pytest.raises(InPlaceError):
        z.backward()


if __name__ == "__main__":
    import torch

    found = {f.__name__: [value.tolist() for value in values(f(torch))] for f in BEHAVIOURS}
    (Path(__file__).parent / "in_place.json").write_text(json.dumps(found, indent=1) + "\n")


def test_a_value_that_does_not_fit_names_the_writing() -> None:
    with pytest.raises(ShapeError, match=r"\[copy_\] the value does not fit.* broadcasts to \(2,\); got \(3,\)"):
        ad.zeros(4)[:2] = ad.ones(3)
