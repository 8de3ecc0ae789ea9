"""Attention with dropout as users meet it: beside the steps, in little memory, on several threads, compiled."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.errors import ValueRangeError
from autodiff.nn import functional as F
from autodiff.ops.attending import attend

SHAPES = [((2, 3), 5, 7, 4), ((1, 2), 130, 300, 8), ((1, 1), 100, 512, 4)]
HOW = ["", "causal", "hidden"]


def tensors(*shapes: tuple[int, ...], dtype: Any = np.float32) -> list[ad.Tensor]:
    rng = np.random.default_rng(0)
    return [ad.tensor(rng.standard_normal(shape).astype(dtype), requires_grad=True) for shape in shapes]


def operands(batch: tuple[int, ...], targets: int, sources: int, features: int) -> list[ad.Tensor]:
    # One matrix of values serves the whole batch: the draw is the batch's all the same.
    return tensors((*batch, targets, features), (*batch, sources, features), (sources, features + 1))


def with_gradients(inputs: list[ad.Tensor], how: str, p: float, *, steps: bool) -> list[np.ndarray]:
    """Return the output of `attend` and the gradients, and a second derivative, after the same seed."""
    mask = None
    if how == "hidden":
        mask = np.arange(inputs[0].shape[-2] * inputs[1].shape[-2]).reshape(inputs[0].shape[-2], -1) % 3 != 1
        mask[2] = False
        mask = ad.tensor(mask)
    ad.manual_seed(4)
    out, _ = attend(*inputs, mask, how == "causal", p, 0.4, steps)
    gradients = ad.autograd.grad((out * out).sum(), inputs, create_graph=True)
    seconds = ad.autograd.grad(sum((g * g).sum() for g in gradients), inputs)
    return [x.detach().numpy() for x in (out, *gradients, *seconds)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("p", [0.3, 1.0])
def test_dropout_draws_what_the_steps_draw(shape: Any, how: str, p: float) -> None:
    inputs = operands(*shape)
    for one, other in zip(with_gradients(inputs, how, p, steps=False), with_gradients(inputs, how, p, steps=True),
                          strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=2e-5 * max(1, np.abs(other).max()))


def test_the_share_that_is_dropped() -> None:
    ad.manual_seed(0)
    n = 200
    zeros = ad.zeros(2, n, 4)  # all weights are 1 / n, and each value shows one of them
    out = F.scaled_dot_product_attention(zeros, zeros, ad.eye(n), dropout_p=0.3).numpy() * n
    dropped = out == 0
    assert abs(dropped.mean() - 0.3) < 0.01
    np.testing.assert_allclose(out[~dropped], 1 / 0.7, rtol=1e-5)
    assert abs(np.corrcoef(dropped[0].ravel(), dropped[1].ravel())[0, 1]) < 0.03


def test_nothing_dropped_is_no_dropout() -> None:
    inputs = operands((2,), 9, 20, 4)
    state = ad.get_rng_state()
    plain = F.scaled_dot_product_attention(*inputs).detach().numpy()
    assert F.scaled_dot_product_attention(*inputs, dropout_p=0.0).detach().numpy().tobytes() == plain.tobytes()
    assert ad.equal(state, ad.get_rng_state())


@pytest.mark.parametrize("p", [-0.1, 1.5])
def test_no_probability(p: float) -> None:
    with pytest.raises(ValueRangeError, match="0 <= p <= 1"):
        F.scaled_dot_product_attention(*operands((), 2, 3, 4), dropout_p=p)


@pytest.mark.parametrize("p", [0.0, 0.2])
def test_the_matrix_of_weights_is_never_in_memory(p: float) -> None:
    n = 2048
    inputs = tensors(*[(1, 1, n, 16)] * 3)
    small = tensors(*[(1, 1, 4, 16)] * 3)
    for x in (small, inputs):  # first, kernels and plans are made
        tracemalloc.start()
        F.scaled_dot_product_attention(*x, dropout_p=p).sum().backward()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < n * n * 4 / 4


@pytest.mark.parametrize("how", HOW)
def test_threads_do_not_change_the_bits(how: str) -> None:
    before, found = ad.get_num_threads(), []
    try:
        for threads in (1, 2):
            ad.set_num_threads(threads)
            found.append(with_gradients(operands((2, 4), 130, 300, 16), how, 0.3, steps=False)[:4])
    finally:
        ad.set_num_threads(before)
    for one, two in zip(*found, strict=True):
        assert one.tobytes() == two.tobytes()


def test_each_replay_draws_anew_and_as_without_compiling() -> None:
    def step(*inputs: ad.Tensor) -> list[ad.Tensor]:
        out = F.scaled_dot_product_attention(*inputs, dropout_p=0.5, is_causal=True)
        return [out.detach(), *ad.autograd.grad((out * out).sum(), inputs)]

    inputs, compiled, runs = operands((2,), 9, 20, 4), ad.compile(step), []
    for function in (step, compiled):
        ad.manual_seed(6)
        runs.append([[x.numpy().copy() for x in function(*inputs)] for _ in range(4)])
    for expected, found in zip(*runs, strict=True):
        for one, other in zip(expected, found, strict=True):
            assert one.tobytes() == other.tobytes()
    assert not np.array_equal(runs[1][2][0], runs[1][3][0])
    assert [record.name for record in compiled.programs[0]].count("attention_grad") == 1
