"""Plots: what is drawn where, on given axes and on their own, without pyplot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import nn, optim
from autodiff.errors import DTypeError, MissingExtraError, ShapeError, ValueRangeError
from autodiff.landscape import Walk, descend, heights, loss_along, loss_over, saddle
from autodiff.viz import plots
from autodiff.viz.plots.distribution import hills

matplotlib = pytest.importorskip("matplotlib", reason="the extra plots brings matplotlib")
from matplotlib.figure import Figure  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
HISTORY = [{"epoch": i, "train_loss": 1 / i, "test_loss": 2 / i, "train_accuracy": 1 - 1 / i} for i in (1, 2, 3)]


def walked() -> Walk:
    model = nn.Linear(2, 1)
    optimizer, walk = optim.SGD(model.parameters(), lr=0.1), Walk(model, points=3)
    for _ in range(3):
        optimizer.zero_grad()
        model(ad.ones(1, 2)).square().sum().backward()
        with walk.step(lambda: model(ad.ones(1, 2)).square().sum()):
            optimizer.step()
    return walk


def line() -> Any:
    model = nn.Linear(2, 1)
    return loss_along(lambda: model(ad.ones(1, 2)).square().sum(), model, {"bias": np.ones(1, np.float32)}, points=5)


def surface() -> Any:
    model = nn.Linear(2, 1)
    directions = {"bias": np.ones(1, np.float32)}, {"weight": np.ones((1, 2), np.float32)}
    return loss_over(lambda: model(ad.ones(1, 2)).square().sum() + 1, model, *directions, points=5)


PATHS = {"SGD": descend(saddle, lambda p: optim.SGD(p, lr=0.1), (1.0, 0.5), 10)}
GROUND = heights(saddle, (-1, 1.5, -2, 2), 20)
DRAWN = {
    "training_curves": lambda ax: plots.training_curves(HISTORY, ax),
    "descent": lambda ax: plots.descent(GROUND, PATHS, ax, minimum=(0, 1.4)),
    "loss_line": lambda ax: plots.loss_line(line(), ax),
    "loss_surface": lambda ax: plots.loss_surface(surface(), ax, log=True),
    "walk": lambda ax: plots.walk(walked(), ax),
    "distributions": lambda ax: plots.distributions({"a": np.arange(9.0), "b": np.zeros(3)}, ax),
}


@pytest.mark.parametrize("name", DRAWN)
def test_each_draws_on_given_axes_or_its_own_and_returns_them(name: str, tmp_path: Path) -> None:
    from matplotlib import pyplot

    given = Figure().subplots()
    assert DRAWN[name](given) is given
    assert given.has_data()
    own = DRAWN[name](None)
    assert own.figure is not given.figure
    assert pyplot.get_fignums() == []
    plots.save_figure(own, tmp_path / "first.svg")
    plots.save_figure(DRAWN[name](None).figure, tmp_path / "second.svg")
    first = (tmp_path / "first.svg").read_bytes()
    assert first.count(b"<svg") == 1
    if name not in ("loss_line", "loss_surface", "walk"):  # these begin with random weights
        assert first == (tmp_path / "second.svg").read_bytes()


def test_surfaces_in_space() -> None:
    assert plots.descent(GROUND, PATHS, flat=False).name == "3d"
    assert plots.loss_surface(surface(), flat=False).name == "3d"
    panel = Figure().add_subplot(projection="3d")
    assert plots.descent(GROUND, ax=panel, flat=False) is panel


def test_curves_of_a_history() -> None:
    ax = plots.training_curves(HISTORY)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["train", "test"]
    assert ax.get_yscale() == "log"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "loss")
    np.testing.assert_allclose(ax.lines[1].get_ydata(), [2, 1, 2 / 3])
    ax = plots.training_curves(HISTORY, value="accuracy")
    assert ax.get_yscale() == "linear"
    assert ax.yaxis.get_major_formatter()(0.5, 0) == "50%"
    assert plots.training_curves([1.0, 0.0]).get_yscale() == "linear"  # zero has no logarithm


def test_curves_of_several_runs() -> None:
    ax = plots.training_curves({"first": HISTORY, "second": HISTORY[:2]})
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["first train", "first test", "second train", "second test"]
    assert ax.lines[0].get_color() == ax.lines[1].get_color() != ax.lines[2].get_color()
    ax = plots.training_curves([4.0, 2.0, 0.5], average=2)
    assert ax.get_xlabel() == "step"
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [4, 2, 0.5])
    np.testing.assert_allclose(ax.lines[1].get_ydata(), [4, 3, 1.25])


def test_a_number_alone_is_a_dot() -> None:
    def dots(ax: Any, line: int = 0) -> list[int]:
        return list(ax.lines[line].get_markevery()) if ax.lines[line].get_marker() == "o" else []

    nan, inf = np.nan, np.inf
    assert dots(plots.training_curves([0.5])) == [0]
    assert dots(plots.training_curves([1.0, nan, 0.5, inf, 0.3, 0.2, nan])) == [0, 2]
    assert dots(plots.training_curves([1.0, 0.5])) == []
    averaged = plots.training_curves([nan, 1.0, nan, 0.5, 0.4], average=2)
    assert (dots(averaged), dots(averaged, 1)) == ([1], [4])
    assert plots.training_curves(HISTORY[:1]).lines[0].get_markevery() is None  # all of a history are dots
    assert dots(plots.loss_line(([0.0, 0.5, 1.0], {"loss": [nan, 2.0, nan]}))) == [1]
    ticks = plots.training_curves([0.5]).xaxis.get_major_locator().tick_values(0.945, 1.055)
    assert all(tick == int(tick) for tick in ticks)  # no step 0.96


def test_numbers_that_are_not_finite_leave_the_axis_logarithmic() -> None:
    assert plots.training_curves([1.0, np.nan, 0.01, np.inf]).get_yscale() == "log"
    assert plots.training_curves({"a": [np.nan], "b": [1.0]}).get_yscale() == "log"
    assert plots.training_curves([1.0, np.nan, -1.0]).get_yscale() == "linear"
    assert plots.training_curves([np.nan]).get_yscale() == "linear"


@pytest.mark.parametrize(("last", "expected"), [
    (1, [1, 2, 3, 6]), (2, [1, 1.5, 2.5, 4.5]), (3, [1, 1.5, 2, 11 / 3]), (9, [1, 1.5, 2, 3])])
def test_running_average(last: int, expected: list[float]) -> None:
    np.testing.assert_allclose(plots.running_average([1, 2, 3, 6], last), expected)


def test_an_infinite_loss_stays_in_its_windows() -> None:
    assert plots.running_average([1, np.inf, 1, 1], 2).tolist() == [1, np.inf, np.inf, 1]
    assert plots.running_average([], 3).tolist() == []


def test_hills() -> None:
    edges, found = hills({"a": np.array([-2.0, -1.0, 0.0, 0.0, 1.5, 9.0, np.nan, np.inf])}, bins=4, reach=2.0)
    assert edges.tolist() == [-2, -1, 0, 1, 2]
    assert found[0].share.tolist() == [1 / 8, 1 / 8, 0, 1 / 8]
    assert (found[0].zeros, found[0].outside, found[0].bad) == (2 / 8, 1 / 8, 2 / 8)
    for values in ([], [np.nan], [0.0]):
        edges, found = hills({"a": np.array(values), "b": np.zeros(0)}, bins=2)
        assert edges.tolist() == [-1, 0, 1]
        assert not found[0].share.any()
        plots.distributions({"a": np.array(values)})


def test_a_constant_layer_is_a_line_at_its_value() -> None:
    def drawn(values: Any, **options: Any) -> tuple[list[Any], str]:
        ax = plots.distributions({"layer": values, "other": np.linspace(-1, 1, 99)}, **options)
        lines = [list(line.get_xdata()) for line in ax.lines[:-1] if len(line.get_xdata()) == 2]
        return lines, ax.texts[0].get_text()

    assert drawn(np.full(50, 0.3)) == ([[0.3, 0.3]], "σ 0, at 0.3")
    assert drawn(np.zeros(3)) == ([[0, 0]], "σ 0, 100% zero")
    assert drawn([0.0, 0.5]) == ([[0.5, 0.5]], "σ 0.25, at 0.5, 50% zero")
    assert drawn(1 + 1e-6 * np.arange(3)) == ([[1 + 1e-6] * 2], "σ 8.2e-07, at 1")
    assert drawn([0.5, 0.6])[0] == []
    assert drawn(np.full(9, 5.0), reach=2.0) == ([], "σ 0, at 5")
    # A constant layer is no steep hill that makes those of the others flat.
    ax = plots.distributions({"wide": np.linspace(-1, 1, 800), "ones": np.ones(9)}, bins=80)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), 1 + 1.6, rtol=0.05)
    assert ax.get_xlim()[1] > 1  # the line stands beside the frame


def test_a_walk_by_its_quantities() -> None:
    walk = walked()
    assert len(plots.walk(walk).lines) == 6  # a line and a dot for each step
    for quantity, first in (("heights", 1), ("distances", 1), ("lengths", 1), ("angles", 2)):
        ax = plots.walk(walk, quantity=quantity)
        assert ax.lines[0].get_xdata()[0] == first
        assert ax.lines[0].get_xdata()[-1] == 3


def test_animation(tmp_path: Path) -> None:
    from PIL import Image

    file = tmp_path / "new" / "walk.gif"
    plots.animate_descent(GROUND, PATHS, file, frames=4, seconds=2, width=2, height=1.5, dpi=50)
    with Image.open(file) as picture:
        assert (picture.format, picture.n_frames, picture.info["loop"]) == ("GIF", 4, 0)
        assert picture.size == (100, 75)


def test_errors() -> None:
    with pytest.raises(ValueRangeError, match="no run has a"):
        plots.training_curves([{"epoch": 1, "train_loss": 1.0}], value="accuracy")
    with pytest.raises(ValueRangeError, match="nothing to draw"):
        plots.training_curves([])
    with pytest.raises(ValueRangeError, match="nothing to animate"):
        plots.animate_descent(GROUND, {}, "x.gif")
    with pytest.raises(ValueRangeError, match=r"not measured.*expected loss"):
        plots.loss_line(line(), value="accuracy")
    with pytest.raises(ValueRangeError, match="no such quantity"):
        plots.walk(walked(), quantity="speed")
    with pytest.raises(ValueRangeError, match="nothing to draw yet"):
        plots.walk(Walk(nn.Linear(1, 1)))
    with pytest.raises(ValueRangeError, match="nothing to draw"):
        plots.distributions({})
    with pytest.raises(ValueRangeError, match="needs a value"):
        plots.running_average([1.0], 0)


@pytest.mark.parametrize(("draw", "text"), [
    (lambda: plots.training_curves(5), r"no row of numbers.*got int"),
    (lambda: plots.training_curves({"a": ["x"]}), "no row of numbers"),
    (lambda: plots.training_curves([1.0, 2.0], average=0), "average needs a value"),
    (lambda: plots.training_curves(HISTORY, value="speed"),
     r"no run has a speed; expected value='accuracy' or 'loss'; got value='speed'"),
    (lambda: plots.training_curves([{"epoch": 1, "lr": 0.1}]),
     r"no run has a loss; expected numbers, or .*entries with train_loss or test_loss; got entries with epoch, lr"),
    (lambda: plots.training_curves({"a": [], "b": []}), r"no run has a loss; .*; got 2 runs without numbers"),
    (lambda: plots.training_curves([{"train_loss": "low"}]), "no row of numbers"),
    (lambda: plots.training_curves([1.0], Figure()), r"cannot be drawn on this; expected axes.*got Figure"),
    (lambda: plots.training_curves([1.0], Figure().subplots(1, 2)), "got ndarray"),
    (lambda: plots.running_average([1.0], 1.5), "needs a value"),
    (lambda: plots.plot_curves([{"epoch": 1}], "x.svg"), r"nothing to draw; expected train_loss.*got epoch"),
    (lambda: plots.descent(PATHS["SGD"]), r"\[descent\] this is no surface"),
    (lambda: plots.descent((GROUND.x, GROUND.y, GROUND.z[:3])), r"do not fit the grid.*got \(3, 20\)"),
    (lambda: plots.descent(GROUND._replace(z=GROUND.z * np.nan)), "no height is finite"),
    (lambda: plots.descent(GROUND, PATHS["SGD"]), r"no paths; expected a dict.*got Path"),
    (lambda: plots.descent(GROUND, {"SGD": [1.0, 2.0]}), "no paths"),
    (lambda: plots.descent(GROUND, ax=Figure().subplots(), flat=False), r"projection='3d'\); got Axes"),
    (lambda: plots.descent(GROUND, ax=Figure().add_subplot(projection="3d")), r"got Axes3D"),
    (lambda: plots.animate_descent(GROUND, PATHS, "walk.png"), r"ends in \.gif; got 'walk\.png'"),
    (lambda: plots.animate_descent(GROUND, PATHS, "walk.gif", seconds=0), "0 seconds"),
    (lambda: plots.loss_line(surface()), r"not measured; expected what autodiff\.landscape\.loss_along returns"),
    (lambda: plots.loss_surface(line()), r"not measured; expected what autodiff\.landscape\.loss_over returns"),
    (lambda: plots.walk([1.0]), r"no walk; expected an autodiff\.landscape\.Walk; got list"),
    (lambda: plots.distributions(nn.Linear(2, 2)), r"no layers; expected a dict.*got Linear"),
    (lambda: plots.distributions({"a": np.ones(3)}, reach=0.0), "no width"),
    (lambda: plots.distributions({"a": np.ones(3)}, bins=2.5), "nothing to draw"),
    (lambda: plots.save_figure(plots.training_curves([1.0]), "curve.xyz"), r"no format.*png.*svg.*got 'xyz'"),
])
def test_wrong_inputs(draw: Any, text: str) -> None:
    with pytest.raises((DTypeError, ShapeError, ValueRangeError), match=text):
        draw()


def test_tensors_are_numbers() -> None:
    losses = [ad.tensor(3.0, requires_grad=True), ad.tensor(1.0), 0.5]
    np.testing.assert_allclose(plots.training_curves(losses).lines[0].get_ydata(), [3, 1, 0.5])
    np.testing.assert_allclose(plots.running_average(ad.tensor([4.0, 2.0], requires_grad=True), 2), [4, 3])


def test_a_surface_with_holes(tmp_path: Path) -> None:
    z = GROUND.z.copy()
    z[3, 4], z[5, 5] = np.nan, np.inf
    plots.save_figure(plots.descent(GROUND._replace(z=z)), tmp_path / "holes.png")


@pytest.mark.parametrize("name", DRAWN)
def test_without_matplotlib(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"autodiff-tape\[plots\]"):
        DRAWN[name](None)


def test_matplotlib_is_imported_late() -> None:
    code = "import sys, autodiff.viz, autodiff.train, autodiff.landscape; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT,
                   env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")])})
