"""Random shapes, strides and dimensions: what the samples of single operations might miss."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import autodiff as ad

Array = np.ndarray[Any, np.dtype[Any]]


@st.composite
def arrays(draw: Any, min_rank: int = 0, max_rank: int = 4, shape: tuple[int, ...] | None = None) -> Array:
    """Draw a float64 array: dimensions permuted, with gaps, reversed, of size 0 or 1 now and then."""
    if shape is None:
        shape = tuple(draw(st.lists(st.integers(0, 4), min_size=min_rank, max_size=max_rank)))
    order = draw(st.permutations(range(len(shape))))
    steps = [draw(st.sampled_from((1, 1, 2, -1))) for _ in shape]
    wide = [shape[axis] * abs(steps[axis]) for axis in order]
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    memory = rng.standard_normal(wide).transpose(np.argsort(order))
    return memory[tuple(slice(None, None, step) for step in steps)] if shape else memory


@st.composite
def broadcast_pairs(draw: Any) -> tuple[Array, Array]:
    """Draw two arrays whose shapes broadcast."""
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=4)))
    both = []
    for _ in range(2):
        cut = draw(st.integers(0, len(shape)))
        both.append(tuple(1 if draw(st.booleans()) else n for n in shape[cut:]))
    return draw(arrays(shape=both[0])), draw(arrays(shape=both[1]))


@given(broadcast_pairs())
def test_broadcasting_and_its_gradient(pair: tuple[Array, Array]) -> None:
    x, y = (ad.from_numpy(a).requires_grad_() for a in pair)
    z = x * y - x
    np.testing.assert_array_equal(z.detach().numpy(), pair[0] * pair[1] - pair[0])
    z.sum().backward()
    for tensor, slope in ((x, pair[1] - 1), (y, pair[0])):
        # The gradient is the slope, broadcast to the result and summed back.
        full = np.broadcast_to(slope, z.shape)
        lead = tuple(range(full.ndim - tensor.ndim))
        kept = full.sum(lead).reshape((*full.shape[len(lead) :],))
        axes = tuple(i for i, n in enumerate(tensor.shape) if n == 1)
        np.testing.assert_allclose(tensor.grad.numpy(), kept.sum(axes, keepdims=True), atol=1e-12)


@given(arrays(), st.data())
def test_reductions_over_any_dimensions(array: Array, data: Any) -> None:
    dims = tuple(data.draw(st.lists(st.sampled_from(range(array.ndim)), unique=True))) if array.ndim else ()
    keepdim = data.draw(st.booleans())
    x = ad.from_numpy(array)
    axes = dims or None
    np.testing.assert_allclose(x.sum(dims or None, keepdim).numpy(), array.sum(axes, keepdims=keepdim), atol=1e-12)
    if array.size:
        mean = x.mean(dims or None, keepdim).numpy()
        np.testing.assert_allclose(mean, array.mean(axes, keepdims=keepdim), atol=1e-12)
        np.testing.assert_array_equal(x.amax(dims, keepdim).numpy(), array.max(axes, keepdims=keepdim))
    if array.ndim and array.shape[-1]:
        np.testing.assert_array_equal(x.argmax(-1).numpy(), array.argmax(-1))
        shifted = np.exp(array - array.max(-1, keepdims=True))
        np.testing.assert_allclose(x.softmax(-1).numpy(), shifted / shifted.sum(-1, keepdims=True), rtol=1e-12)


@given(arrays(min_rank=1), st.data())
def test_views_read_and_write_the_same_memory(array: Array, data: Any) -> None:
    order = data.draw(st.permutations(range(array.ndim)))
    x, model = ad.from_numpy(array.copy()), array.copy()
    np.testing.assert_array_equal(x.permute(order).contiguous().numpy(), model.transpose(order))
    np.testing.assert_array_equal(x.permute(order).reshape(-1).numpy(), model.transpose(order).reshape(-1))
    start = data.draw(st.integers(0, array.shape[0]))
    step = data.draw(st.integers(1, 3))
    x[start::step] *= 2
    model[start::step] *= 2
    np.testing.assert_array_equal(x.numpy(), model)


@given(st.data())
def test_matmul_of_any_layout(data: Any) -> None:
    m, k, n = (data.draw(st.integers(0, 20)) for _ in range(3))
    batch = tuple(data.draw(st.lists(st.integers(1, 3), max_size=2)))
    a = data.draw(arrays(shape=(*batch, m, k)))
    b = data.draw(arrays(shape=(k, n)))
    product = ad.from_numpy(a) @ ad.from_numpy(b)
    np.testing.assert_allclose(product.numpy(), a @ b, atol=1e-11)


@given(arrays(min_rank=1), st.data())
def test_advanced_indexing_and_its_gradient(array: Array, data: Any) -> None:
    axis = data.draw(st.integers(0, array.ndim - 1))
    size = array.shape[axis]
    picks = data.draw(st.lists(st.integers(-size, size - 1), max_size=6)) if size else []
    index = (*(slice(None),) * axis, np.array(picks, np.int64))
    x = ad.from_numpy(array).requires_grad_()
    picked = x[(*(slice(None),) * axis, ad.tensor(picks, dtype=ad.int64))]
    np.testing.assert_array_equal(picked.detach().numpy(), array[index])
    picked.sum().backward()
    expected = np.zeros(array.shape)
    np.add.at(expected, index, 1)
    np.testing.assert_array_equal(x.grad.numpy(), expected)
