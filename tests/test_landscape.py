"""The loss around weights, walks and descents: right numbers, and a model that is afterwards what it was."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import landscape, nn, optim
from autodiff.autograd import gradcheck
from autodiff.errors import InPlaceError, ShapeError, ValueRangeError
from autodiff.landscape import (
    Walk,
    activations,
    descend,
    filter_normalised,
    gradients,
    heights,
    loss_along,
    loss_over,
    towards,
    weights,
)
from autodiff.random import default_generator


def number(value: Any) -> Any:
    return ad.tensor(value, dtype=ad.float64)


@pytest.mark.parametrize(("function", "formula"), [
    (landscape.beale, lambda x, y: (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2),
    (landscape.rosenbrock, lambda x, y: (1 - x) ** 2 + 100 * (y - x * x) ** 2),
    (landscape.saddle, lambda x, y: x**2 - y**2 + y**4 / 4),
    (landscape.tanh_product, lambda x, y: (0.5 - np.tanh(x * np.tanh(y / 2))) ** 2),
    (landscape.square_of_product, lambda x, y: (x * y) ** 2),
])
def test_surfaces_are_their_formulas(function: Any, formula: Any) -> None:
    x, y = np.random.default_rng(0).uniform(-2, 2, (2, 7))
    np.testing.assert_allclose(function(ad.from_numpy(x), ad.from_numpy(y)).numpy(), formula(x, y), rtol=1e-12)
    x, y = (ad.tensor(v, dtype=ad.float64, requires_grad=True) for v in (0.7, -1.3))
    assert gradcheck(function, (x, y))


@pytest.mark.parametrize(("function", "minimum", "value"), [
    (landscape.beale, (3, 0.5), 0), (landscape.rosenbrock, (1, 1), 0), (landscape.saddle, (0, 2**0.5), -1),
    (landscape.tanh_product, (2 * math.atanh(0.5), 2 * math.atanh(0.5)), None),
    (landscape.square_of_product, (0, 5), 0),
])
def test_minima(function: Any, minimum: tuple[float, float], value: float | None) -> None:
    x, y = (ad.tensor(v, dtype=ad.float64, requires_grad=True) for v in map(float, minimum))
    result = function(x, y)
    if value is not None:
        assert result.item() == pytest.approx(value, abs=1e-12)
        result.backward()
        assert abs(x.grad.item()) < 1e-12
        assert abs(y.grad.item()) < 1e-12


def test_the_saddle_of_the_tanh_surface() -> None:
    surface = heights(landscape.tanh_product, (-4, 4, -4, 4), 81)
    assert surface.z[40, 40] == pytest.approx(0.25)
    np.testing.assert_allclose(surface.z, surface.z[::-1, ::-1], atol=1e-15)  # two ravines that mirror each other
    assert surface.z[60, 60] < 0.25 < surface.z[20, 60]


def test_a_weight_split_in_two_has_a_cross_for_a_minimum() -> None:
    surface = heights(landscape.square_of_product, (-1, 1, -2, 2), 5)
    assert not surface.z[2].any()
    assert not surface.z[:, 2].any()
    assert surface.z[0, 0] == 4
    assert landscape.square(number(-3.0)).item() == 9


def test_descend_does_what_the_optimizer_does() -> None:
    path = descend(lambda x, y: x * x + 2 * y * y, lambda p: optim.SGD(p, lr=0.1), (1.0, -2.0), 3)
    expected = [(0.8**i, -2 * 0.6**i) for i in range(4)]
    np.testing.assert_allclose(path.points, expected, rtol=1e-14)
    np.testing.assert_allclose(path.values, [x * x + 2 * y * y for x, y in expected], rtol=1e-14)
    with ad.no_grad():
        assert descend(landscape.beale, lambda p: optim.Adam(p, lr=0.1), (1.0, 1.5), 2).points.shape == (3, 2)
    assert descend(landscape.saddle, lambda p: optim.SGD(p, lr=0.1), (1.0, 1.0), 0).values.shape == (1,)
    with pytest.raises(ValueRangeError, match="point of the plane"):
        descend(landscape.beale, lambda p: optim.SGD(p, lr=0.1), (1.0,), 2)  # type: ignore[arg-type]
    with pytest.raises(ValueRangeError, match="nothing to look at"):
        heights(landscape.beale, (1, 0, 0, 1))


class Net(nn.Module):
    """Everything that a measurement could change: weights, running statistics, random draws."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        return self.head(self.drop(self.norm(self.conv(x)).mean((2, 3))))


def everything(model: Any) -> dict[str, Any]:
    state = {name: x.numpy().copy() for name, x in model.state_dict().items()}
    return state | {f"{name}.grad": None if p.grad is None else p.grad for name, p in model.named_parameters()}


def assert_unchanged(before: dict[str, Any], model: Any) -> None:
    now = everything(model)
    assert now.keys() == before.keys()
    for name, value in before.items():
        if name.endswith(".grad"):
            assert now[name] is value
        else:
            np.testing.assert_array_equal(now[name], value)


@pytest.fixture
def net() -> Any:
    ad.manual_seed(0)
    model = Net()
    model(ad.randn(5, 1, 6, 6)).sum().backward()
    return model


def test_measuring_leaves_the_model_as_it_was(net: Any) -> None:
    x = ad.randn(5, 1, 6, 6)
    before, state = everything(net), default_generator.state()
    direction = filter_normalised(net, ad.Generator().manual_seed(0))
    assert default_generator.state() == state
    line = loss_along(lambda: net(x).square().mean(), net, direction, points=5)
    assert_unchanged(before, net)
    assert default_generator.state() == state
    # Every point starts from the same statistics and draws, so the middle is what the model itself gives.
    assert line.values["loss"][2] == net(x).square().mean().item()


def test_a_backward_pass_may_be_pending_while_the_model_is_measured() -> None:
    ad.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1))
    x = ad.randn(5, 3)
    expected = ad.autograd.grad(model(x).square().sum(), list(model.parameters()))
    inside = []

    def measure() -> Any:
        with ad.enable_grad():
            inside.append(model(x).square().sum())
        return inside[-1]

    loss = model(x).square().sum()
    loss_along(measure, model, filter_normalised(model), points=3)
    loss.backward()
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        np.testing.assert_array_equal(parameter.grad.numpy(), gradient.numpy())
    # The weights of a point between are gone, however often they change afterwards.
    for _ in range(3):
        with pytest.raises(InPlaceError):
            inside[0].backward(retain_graph=True)
        with ad.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1.0)


@pytest.mark.parametrize("measure_over", ["line", "surface"])
def test_an_error_while_measuring_leaves_the_model_as_it_was(net: Any, measure_over: str) -> None:
    before = everything(net)
    calls = []

    def measure() -> float:
        net(ad.randn(5, 1, 6, 6))
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("no more")
        return 0.0

    direction = filter_normalised(net)
    look, directions = (loss_along, [direction]) if measure_over == "line" else (loss_over, [direction, direction])
    with pytest.raises(RuntimeError, match="no more"):
        look(measure, net, *directions)
    assert_unchanged(before, net)


def test_filters_of_a_direction_are_as_long_as_the_models(net: Any) -> None:
    with ad.no_grad():
        net.conv.weight[1] = 0.0
    direction = filter_normalised(net)
    assert direction.keys() == {"conv.weight", "head.weight"}
    for name, parameter in (("conv.weight", net.conv.weight), ("head.weight", net.head.weight)):
        for row, own in zip(direction[name], parameter.detach().numpy(), strict=True):
            assert np.linalg.norm(row) == pytest.approx(np.linalg.norm(own), rel=1e-5)
        assert direction[name].dtype == np.float32


def test_a_line_goes_through_both_solutions(net: Any) -> None:
    ad.manual_seed(1)
    other = Net()
    x = ad.randn(5, 1, 6, 6)
    net.eval()
    other.eval()
    line = loss_along(lambda: net(x).square().mean(), net, towards(net, other.state_dict()), -0.5, 1.5, 9)
    np.testing.assert_allclose(line.x, np.linspace(-0.5, 1.5, 9))
    assert line.values["loss"][2] == net(x).square().mean().item()
    assert line.values["loss"][6] == pytest.approx(other(x).square().mean().item(), rel=1e-5)


def test_a_surface_has_rows_for_the_second_direction() -> None:
    model = nn.Linear(2, 1, bias=False)
    with ad.no_grad():
        model.weight.copy_(ad.tensor([[1.0, 10.0]]))
    first, second = np.array([[1, 0]], np.float32), np.array([[0, 1]], np.float32)
    surface = loss_over(lambda: {"first": model.weight[0, 0], "second": model.weight[0, 1]}, model,
                        {"weight": first}, {"weight": second}, (-1, 1, -2, 2), 3)
    np.testing.assert_allclose(surface.values["first"], [[0, 1, 2]] * 3)
    np.testing.assert_allclose(surface.values["second"], [[8] * 3, [10] * 3, [12] * 3])
    assert surface.y.tolist() == [-2, 0, 2]


def test_errors_of_directions(net: Any) -> None:
    with pytest.raises(ValueRangeError, match="does not have"):
        loss_along(lambda: 0.0, net, {"unknown": np.zeros(1)})
    with pytest.raises(ValueRangeError, match="lacks a parameter"):
        towards(net, {})
    with pytest.raises(ShapeError, match="another shape"):
        towards(net, {name: ad.zeros(1) for name, _ in net.named_parameters()})
    with pytest.raises(ValueRangeError, match="must be a point"):
        loss_along(lambda: 0.0, net, {}, points=0)
    with pytest.raises(ValueRangeError, match="must be a point"):
        loss_over(lambda: 0.0, net, {}, {}, points=0)
    with pytest.raises(ValueRangeError, match="two ends"):
        Walk(net, points=1)


def test_a_walk_on_a_parabola() -> None:
    model = nn.Linear(1, 1, bias=False)
    with ad.no_grad():
        model.weight.fill_(1.0)
    optimizer, walk = optim.SGD(model.parameters(), lr=0.75), Walk(model, points=5)

    def measure() -> Any:
        return (model.weight**2).sum()

    for _ in range(3):
        optimizer.zero_grad()
        measure().backward()
        with walk.step(measure):
            optimizer.step()
    # Each step goes from w to -w / 2, across the valley: lowest at two thirds of the way.
    np.testing.assert_allclose(walk.losses[0], np.linspace(1, -0.5, 5) ** 2, rtol=1e-6)
    np.testing.assert_allclose(walk.distances, [1.5, 0.75, 1.125], rtol=1e-6)
    np.testing.assert_allclose(walk.lengths, [1.5, 0.75, 0.375], rtol=1e-6)
    np.testing.assert_allclose(walk.angles, [180, 180])
    np.testing.assert_allclose(walk.heights, [losses[0] - losses[3] for losses in walk.losses])
    assert model.weight.item() == pytest.approx(-0.125)


def test_a_walk_does_not_change_the_training(net: Any) -> None:
    x = [ad.randn(5, 1, 6, 6) for _ in range(4)]

    def train(watched: bool) -> dict[str, Any]:
        ad.manual_seed(0)
        model = Net()
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        walk = Walk(model, points=3)
        for batch in x:
            optimizer.zero_grad()
            model(batch).square().mean().backward()
            if watched:
                with walk.step(lambda batch=batch: model(batch).square().mean()):
                    optimizer.step()
            else:
                optimizer.step()
        return {name: value.numpy() for name, value in model.state_dict().items()}

    plain, watched = train(False), train(True)
    for name, value in plain.items():
        np.testing.assert_array_equal(watched[name], value)


def test_layers(net: Any) -> None:
    before = everything(net)
    found = activations(net, ad.ones(5, 1, 6, 6))
    assert_unchanged(before, net)
    assert {name: values.shape for name, values in found.items()} == {
        "conv": (5 * 4 * 16,), "norm": (5 * 4 * 16,), "drop": (20,), "head": (10,)}
    assert not net.conv._hooks_of("forward")
    twice = nn.ReLU()
    again = nn.Sequential(twice, nn.Linear(2, 2), twice)
    assert list(activations(again, ad.ones(1, 2))) == ["0", "1", "0 (2)"]
    assert weights(net)["conv.weight"].shape == (36,)
    assert gradients(net).keys() == dict(net.named_parameters()).keys()
    net.zero_grad()
    assert gradients(net) == {}
    with pytest.raises(ShapeError):
        activations(net, ad.ones(5, 3, 6, 6))
    assert not net.conv._hooks_of("forward")
    assert_unchanged({name: value for name, value in before.items() if not name.endswith(".grad")}
                     | {f"{name}.grad": None for name, _ in net.named_parameters()}, net)


def test_a_walk_draws_the_same_masks_in_each_place() -> None:
    ad.manual_seed(0)
    net = ad.nn.Sequential(ad.nn.Linear(4, 8), ad.nn.Dropout(0.5), ad.nn.Linear(8, 1))
    x, optimizer = ad.randn(6, 4), ad.optim.SGD(net.parameters(), lr=0.0)
    walk = Walk(net)
    net(x).square().mean().backward()
    with walk.step(lambda: net(x).square().mean()):
        optimizer.step()
    assert len(set(walk.losses[0])) == 1
