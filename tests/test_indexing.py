"""Square brackets as a whole: random indices against NumPy's rules, writing and its history, order of sums."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import oracle
import pytest

import autodiff as ad
from autodiff.errors import GradientError, InPlaceError, PositionError

rng = np.random.default_rng(0)


def random_index(choose: random.Random, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Return integers, slices, None, index arrays and masks that fit a shape."""
    items: list[Any] = []
    count = choose.choice([1, 2, 3])
    axis = 0
    while axis < len(shape) and choose.random() < 0.9:
        n = shape[axis]
        kind = choose.choice(["int", "slice", "slice", "new", "array", "array", "mask", "bool"])
        if kind == "int":
            items.append(choose.randrange(-n, n))
        elif kind == "slice":
            items.append(slice(choose.choice([None, choose.randrange(-n, n)]), None, choose.choice([None, 1, 2])))
        elif kind == "array":
            items.append(rng.integers(-n, n, choose.choice([(count,), (1,), (2, count)])))
        elif kind == "mask":
            mask = np.zeros(n, np.bool_)
            mask[rng.choice(n, min(n, count), replace=False)] = True
            items.append(mask if mask.sum() == count else slice(None))
        else:
            items.append(None if kind == "new" else True)
        axis += kind not in ("new", "bool")
    return tuple(items)


@pytest.mark.parametrize("seed", range(300))
def test_random_indices(seed: int) -> None:
    """Values, and the gradient as the transpose: <x[i], g> = <x, gradient>."""
    choose = random.Random(seed)
    shape = tuple(choose.randrange(1, 5) for _ in range(choose.randrange(1, 5)))
    order = choose.sample(range(len(shape)), len(shape))
    array = rng.standard_normal(shape).transpose(order)
    index = random_index(choose, array.shape)
    x = ad.from_numpy(array).requires_grad_()
    y = x[tuple(ad.from_numpy(item) if isinstance(item, np.ndarray) else item for item in index)]
    expected = oracle.FUNCTIONS["getitem"](array, index)
    np.testing.assert_array_equal(y.detach().numpy(), expected)
    g = rng.standard_normal(y.shape)
    y.backward(ad.tensor(g))
    np.testing.assert_allclose((array * x.grad.numpy()).sum(), (expected * g).sum(), atol=1e-12)

    # As an index tensor may pick an element twice, one number is written.
    changed = ad.from_numpy(array.copy(order="K"))
    changed[index] = 3.0
    np.testing.assert_array_equal(changed.numpy(), oracle.FUNCTIONS["setitem"](array, index, 3.0))


@pytest.mark.parametrize("index", [1, (slice(None), 1), slice(0, 2), (..., None, 0), np.array([2, 0]),
                                   (slice(None), np.array([3, 1])), np.arange(12).reshape(3, 4) % 3 == 0])
def test_history_of_writing(index: Any) -> None:
    """What is overwritten gets no gradient, what is written gets that of its places, also through views and bases."""
    key = ad.tensor(index) if isinstance(index, np.ndarray) else index
    x = ad.tensor(rng.standard_normal((3, 4)), requires_grad=True)
    v = ad.tensor(rng.standard_normal(x.detach()[key].shape), requires_grad=True)
    y = x * 2
    part, turned = y[1:], y.transpose(0, 1)
    y[key] = v
    weights = rng.standard_normal((3, 4))
    loss = (y * y * ad.tensor(weights)).sum() + part.sum() + (turned * turned).sum()
    loss.backward()

    final = (x.detach() * 2).numpy().copy()
    final[index] = v.detach().numpy()
    slope = 2 * final * weights + 2 * final
    slope[1:] += 1
    np.testing.assert_allclose(v.grad.numpy(), slope[index])
    slope[index] = 0
    np.testing.assert_allclose(x.grad.numpy(), 2 * slope)


def test_views_share_memory_and_copies_do_not() -> None:
    x = ad.zeros(3, 4)
    x[1][2] = 5.0
    assert x.numpy()[1, 2] == 5
    x[:, 1:3][0] = 7.0
    np.testing.assert_array_equal(x.numpy()[0], [0, 7, 7, 0])
    x[ad.tensor([0, 1])].add_(1)
    assert x.numpy()[0, 0] == 0


def test_a_leaf_that_requires_a_gradient_cannot_be_written() -> None:
    x = ad.zeros(3, requires_grad=True)
    for index in (0, slice(None), ad.tensor([1]), ad.tensor([True, False, True])):
        with pytest.raises(InPlaceError, match="leaf"):
            x[index] = 1.0
    with ad.no_grad():
        x[ad.tensor([1])] = 1.0
    np.testing.assert_array_equal(x.detach().numpy(), [0, 1, 0])


def test_a_copy_that_stands_for_a_view_cannot_be_written() -> None:
    flat = ad.zeros(2, 3).transpose(0, 1).reshape(-1)
    for index in (0, ad.tensor([1])):
        with pytest.raises(InPlaceError, match="copy that stands for a view"):
            flat[index] = 1.0


def test_a_saved_tensor_that_was_written_is_found() -> None:
    x = ad.ones(3, requires_grad=True)
    y = x * 2
    z = (y * y).sum()
    y[ad.tensor([0])] = 0.0
    with pytest.raises(InPlaceError, match="changed in place"):
        z.backward()


def test_sums_run_in_the_order_of_the_index() -> None:
    """The gradient of a repeated row is the sum taken in order: the same bits on every call."""
    rows = rng.standard_normal((1000, 3)).astype(np.float32)
    index = rng.integers(0, 4, 1000)
    weight = ad.zeros(4, 3, requires_grad=True)
    weight[ad.tensor(index)].backward(ad.tensor(rows))
    expected = np.zeros((4, 3), np.float32)
    for k, row in zip(index, rows, strict=True):
        expected[k] += row
    np.testing.assert_array_equal(weight.grad.numpy(), expected)


def test_nothing_is_written_when_an_index_is_wrong() -> None:
    x = ad.zeros(3)
    with pytest.raises(PositionError, match=r"place \(1,\).*got 3"):
        x[ad.tensor([0, 3])] = 1.0
    np.testing.assert_array_equal(x.numpy(), 0)


def test_positions_carry_no_gradient() -> None:
    x = ad.tensor([3.0, 1.0, 2.0], requires_grad=True)
    values, indices = ad.sort(x)
    values.backward(ad.tensor([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(x.grad.numpy(), [3, 1, 2])
    with pytest.raises(GradientError):
        indices.sum().backward()
