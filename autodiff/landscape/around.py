"""The loss around the weights of a model: along a line, and over a plane.

Goodfellow et al., "Qualitatively characterizing neural network optimization problems", 2015 (lines between solutions);
Li et al., "Visualizing the loss landscape of neural nets", 2018, arXiv:1712.09913 (filter-normalised directions).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from autodiff.autograd.modes import no_grad
from autodiff.eager import Tensor, wrap
from autodiff.errors import ShapeError, ValueRangeError
from autodiff.nn.module import Module
from autodiff.ops import random_normal
from autodiff.random import Generator, default_generator
from autodiff.spec import Array

Direction = dict[str, Array]  # name of a parameter or buffer -> what to add to it
Measure = Callable[[], Any]

# Versions of memory that no change in place outside of a measurement comes to.
_APART = count(-(1 << 62), 1 << 32)


class LossLine(NamedTuple):
    """What was measured along a line.

    Attributes:
        x: (points,), how far along the direction.
        values: name -> (points,).
    """

    x: Array
    values: dict[str, Array]


class LossSurface(NamedTuple):
    """What was measured over a plane.

    Attributes:
        x: (columns,), how far along the first direction.
        y: (rows,), how far along the second.
        values: name -> (rows, columns).
    """

    x: Array
    y: Array
    values: dict[str, Array]


@contextmanager
def kept(model: Module) -> Iterator[dict[str, tuple[Tensor, Array]]]:
    """Bring back parameters, buffers and the default generator, bit for bit, whatever happens inside the block.

    A backward pass that was pending before may go on afterwards: the numbers it needs are there again. One that was
    recorded inside, where gradients were switched on again, may not: the numbers it needs are gone.

    Args:
        model: whose tensors may change inside; no gradients are recorded there, and no `.grad` is touched.

    Yields:
        Name -> tensor, and its numbers before.
    """
    tensors = {name: (x, x.array.copy()) for name, x in (*model.named_parameters(), *model.named_buffers())}
    versions = {x.memory: (x.memory.version, x.memory.changed) for x, _ in tensors.values()}
    state = default_generator.state()
    for memory in versions:
        memory.version = next(_APART)
    try:
        with no_grad():
            yield tensors
    finally:
        default_generator.restore(state)
        with no_grad():
            for x, before in tensors.values():
                x.copy_(wrap(before))
        for memory, (version, changed) in versions.items():
            memory.version, memory.changed = version, changed


def filter_normalised(model: Module, generator: Generator | None = None) -> Direction:
    """Return a random direction in which each filter is as long as the model's own (Li et al. 2018, section 4).

    A filter is what makes one output: a row of a linear layer's weight, all weights of one channel of a convolution.
    Parameters of one dimension (biases, scales of norms) stay as they are.

    Args:
        model: whose parameters it is for.
        generator: of the random numbers; by default the default one.

    >>> import autodiff as ad
    >>> from autodiff.landscape import filter_normalised
    >>> model = ad.nn.Linear(3, 2)
    >>> direction = filter_normalised(model)
    >>> row, weights = direction["weight"][0], model.weight.detach().numpy()[0]
    >>> bool(abs((row**2).sum() - (weights**2).sum()) < 1e-5), sorted(direction)
    (True, ['weight'])
    """
    direction = {}
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2:
            continue
        draw = random_normal(parameter.shape, dtype=parameter.dtype, generator=generator).array
        axes = tuple(range(1, parameter.ndim))
        length, own = (np.sqrt(np.square(x, dtype=np.float64).sum(axes, keepdims=True))
                       for x in (draw, parameter.array))
        direction[name] = (draw * (own / np.maximum(length, np.finfo(np.float64).tiny))).astype(draw.dtype)
    return direction


def towards(model: Module, solution: Mapping[str, Any]) -> Direction:
    """Return the direction from a model's weights to others: 0 along it are the model's, 1 the others.

    Args:
        model: where the line begins.
        solution: a `state_dict`. Its running statistics are gone towards, too; its counters are not.

    Raises:
        ValueRangeError: if it lacks a parameter.
        ShapeError: if one has another shape.

    >>> import autodiff as ad
    >>> from autodiff.landscape import towards
    >>> model = ad.nn.Linear(1, 1, bias=False)
    >>> bool(towards(model, {"weight": model.weight + 1})["weight"] == 1)
    True
    """
    direction = {}
    parameters = dict(model.named_parameters())
    for name, x in (*parameters.items(), *model.named_buffers()):
        if name not in solution:
            if name in parameters:
                raise ValueRangeError("towards", "the solution lacks a parameter", expected=name,
                                      got=", ".join(solution) or "nothing")
            continue
        end = solution[name].array
        if end.shape != x.shape:
            raise ShapeError("towards", f"'{name}' has another shape in the solution", expected=str(x.shape),
                             got=str(end.shape))
        if x.spec.floating:
            direction[name] = end - x.array
    return direction


def loss_along(
    measure: Measure, model: Module, direction: Direction, start: float = -1.0, stop: float = 1.0, points: int = 41
) -> LossLine:
    """Measure a model along a line through its weights; it is afterwards what it was before.

    Args:
        measure: returns the loss of the model as it is, or several numbers by name: ``{"loss": ..., "accuracy": ...}``.
            It runs without gradients. In training mode running statistics and random draws start from the same state
            at every point.
        model: its weights are 0 on the line.
        direction: 1 on the line; see `towards` and `filter_normalised`.
        start, stop: ends of the line: with `towards`, -0.5 and 1.5 go past both solutions.
        points: number of places, at even distances.

    Returns:
        Places and numbers; `viz.plots.loss_line` draws them.

    Raises:
        ValueRangeError: if there are no points, or the direction names something that the model does not have.
        Whatever `measure` raises, after the weights have been brought back.

    >>> import autodiff as ad
    >>> from autodiff.landscape import loss_along
    >>> model = ad.nn.Linear(1, 1, bias=False)
    >>> line = loss_along(lambda: (model.weight**2).sum(), model, {"weight": -model.weight.detach().numpy()}, points=3)
    >>> bool(line.values["loss"][2] == 0), bool(line.values["loss"][0] == 4 * line.values["loss"][1])
    (True, True)
    """
    if points < 1:
        raise ValueRangeError("loss_along", "there must be a point to measure at", got=f"points={points}")
    x = np.linspace(start, stop, points)
    return LossLine(x, _measured("loss_along", measure, model, [direction], [(t,) for t in x]))


def loss_over(
    measure: Measure, model: Module, first: Direction, second: Direction,
    box: tuple[float, float, float, float] = (-1.0, 1.0, -1.0, 1.0), points: int = 25,
) -> LossSurface:
    """Measure a model over a plane through its weights; it is afterwards what it was before.

    Args:
        measure, model: as for `loss_along`.
        first, second: the plane's directions: two that are `filter_normalised`, or `towards` two other solutions.
        box: left, right, bottom, top, in lengths of the directions.
        points: along each side.

    Returns:
        Places and numbers; `viz.plots.loss_surface` draws them.

    Raises:
        ValueRangeError, and whatever `measure` raises: as `loss_along`.

    >>> import autodiff as ad
    >>> from autodiff.landscape import filter_normalised, loss_over
    >>> model = ad.nn.Linear(2, 2)
    >>> directions = filter_normalised(model), filter_normalised(model)
    >>> loss_over(lambda: model(ad.ones(1, 2)).square().sum(), model, *directions, points=5).values["loss"].shape
    (5, 5)
    """
    if points < 1:
        raise ValueRangeError("loss_over", "there must be a point to measure at", got=f"points={points}")
    left, right, bottom, top = box
    x, y = np.linspace(left, right, points), np.linspace(bottom, top, points)
    found = _measured("loss_over", measure, model, [first, second], [(a, b) for b in y for a in x])
    return LossSurface(x, y, {name: values.reshape(points, points) for name, values in found.items()})


def _measured(
    operation: str, measure: Measure, model: Module, directions: list[Direction], places: list[tuple[Any, ...]]
) -> dict[str, Array]:
    """Return what is measured at weights + sum of place * direction, by name."""
    rows = []
    with kept(model) as tensors:
        unknown = {name for direction in directions for name in direction} - set(tensors)
        if unknown:
            raise ValueRangeError(operation, "the direction names what the model does not have",
                                  expected=", ".join(tensors), got=", ".join(sorted(unknown)))
        state = default_generator.state()
        for place in places:
            for name, (x, before) in tensors.items():
                shift = sum(t * direction[name] for t, direction in zip(place, directions) if name in direction)
                x.copy_(wrap(np.asarray(before + shift, before.dtype)))
            default_generator.restore(state)
            rows.append(numbers_of(measure()))
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def numbers_of(measured: Any) -> dict[str, float]:
    """Return what a measurement gave as numbers by name; a single number is the loss."""
    named = measured if isinstance(measured, Mapping) else {"loss": measured}
    return {name: float(value.item() if isinstance(value, Tensor) else value) for name, value in named.items()}
