"""`nn.utils`: clipping, parameters as a vector, padded and packed sequences; recurrent layers over packed sequences."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import nn
from autodiff.errors import ShapeError
from autodiff.nn.utils import rnn

HAS_TORCH = importlib.util.find_spec("torch") is not None
RNG = np.random.default_rng(0)


def numbers(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def with_gradients(*gradients: Any) -> list[Any]:
    parameters = [nn.Parameter(ad.zeros(np.shape(gradient))) for gradient in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = ad.tensor(gradient)
    return parameters


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, float("inf")])
@pytest.mark.parametrize("limit", [0.5, 100.0])
def test_clip_grad_norm(p: float, limit: float) -> None:
    gradients = [numbers(3, 4), numbers(5)]
    parameters = [*with_gradients(*gradients), nn.Parameter(ad.zeros(2))]
    flat = np.concatenate([gradient.reshape(-1) for gradient in gradients])
    total = np.abs(flat).max() if p == float("inf") else (np.abs(flat) ** p).sum() ** (1 / p)
    np.testing.assert_allclose(nn.utils.clip_grad_norm_(parameters, limit, p).item(), total, rtol=1e-5)
    factor = min(1, limit / (total + 1e-6))
    for parameter, gradient in zip(parameters, gradients, strict=False):
        np.testing.assert_allclose(parameter.grad.numpy(), gradient * factor, rtol=1e-5)
        assert not parameter.grad.requires_grad
    assert parameters[2].grad is None


@pytest.mark.parametrize("count", [1, 3])
def test_the_norm_of_order_0_counts_tensors_as_in_pytorch(count: int) -> None:
    tensors = [ad.tensor([3.0, 4.0]), ad.tensor([0.0, 1.0]), ad.zeros(5)][:count]
    assert nn.utils.get_total_norm(tensors, 0).item() == min(count, 2)


def test_clip_grad_norm_of_one_tensor_of_none_and_of_nan() -> None:
    (parameter,) = with_gradients(np.array([3.0, 4.0], np.float32))
    assert nn.utils.clip_grad_norm_(parameter, 10).item() == 5
    assert nn.utils.clip_grad_norm_([nn.Parameter(ad.zeros(2))], 10).item() == 0
    parameters = with_gradients(np.array([np.nan], np.float32))
    assert np.isnan(nn.utils.clip_grad_norm_(parameters, 1.0).item())
    with pytest.raises(RuntimeError, match="not finite"):
        nn.utils.clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_clipped_together_have_the_bits_of_one_after_the_other(dtype: Any) -> None:
    shapes: list[tuple[int, ...]] = [(), (1,), (0, 3), (7, 5), (131_077,), (70_001,)]
    gradients = [ad.tensor(numbers(*shape).astype(dtype)) for shape in shapes]
    gradients.append(ad.tensor(numbers(2, 3, 4, 4).astype(dtype)).contiguous(memory_format=ad.channels_last))
    parameters = [nn.Parameter(ad.zeros_like(gradient)) for gradient in gradients]
    norm = ad.linalg.vector_norm(ad.stack([ad.linalg.vector_norm(gradient) for gradient in gradients]))
    factor = (1.0 / (norm + 1e-6)).clamp(max=1.0)
    threads = ad.get_num_threads()
    for number in (1, 2):
        ad.set_num_threads(number)
        try:
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient.clone()
            assert nn.utils.clip_grad_norm_(parameters, 1.0).numpy().tobytes() == norm.numpy().tobytes()
            scaled = [parameter.grad.clone() for parameter in parameters]
            nn.utils.clip_grad_value_(parameters, 1e-4)
        finally:
            ad.set_num_threads(threads)
        for parameter, before, gradient in zip(parameters, scaled, gradients, strict=True):
            assert before.numpy().tobytes() == (gradient * factor).numpy().tobytes()
            assert parameter.grad.numpy().tobytes() == before.clamp(-1e-4, 1e-4).numpy().tobytes()


def test_gradients_that_share_memory_or_a_dtype_are_clipped_as_one_after_the_other() -> None:
    shared = ad.tensor([3.0, 4.0])
    parameters = [nn.Parameter(ad.zeros(2)) for _ in range(2)]
    for parameter in parameters:
        parameter.grad = shared
    nn.utils.clip_grads_with_norm_(parameters, 1.0, ad.tensor(2.0))
    np.testing.assert_allclose(shared.numpy(), [0.75, 1.0], rtol=1e-5)
    wide = nn.Parameter(ad.zeros(2, dtype=ad.float64))
    wide.grad = ad.tensor([6.0, 8.0], dtype=ad.float64)
    parameters[0].grad = ad.tensor([0.0, 0.0])
    assert nn.utils.clip_grad_norm_([parameters[0], wide], 5.0).item() == 10
    np.testing.assert_allclose(wide.grad.numpy(), [3, 4], rtol=1e-5)


def test_gradients_on_parts_of_one_array_are_clipped_one_after_the_other_where_they_overlap() -> None:
    lying = np.arange(6, dtype=np.float32)
    parts = [ad.from_numpy(lying[a:b]) for a, b in ((3, 6), (0, 3), (2, 4))]
    clip_grad = sys.modules["autodiff.nn.utils.clip_grad"]
    assert clip_grad._writable(parts[:2])
    assert not clip_grad._writable(parts)
    parameters = [nn.Parameter(ad.zeros(part.shape)) for part in parts]
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.grad = part
    nn.utils.clip_grads_with_norm_(parameters, 1.0, ad.tensor(2.0))
    np.testing.assert_allclose(lying, np.arange(6) * [0.5, 0.5, 0.25, 0.25, 0.5, 0.5], rtol=1e-5)


def test_clipping_is_a_change_in_place() -> None:
    w = ad.ones(2, requires_grad=True)
    parameters = with_gradients(np.array([3.0, 4.0], np.float32), np.array([1.0], np.float32))
    for clip in (nn.utils.clip_grad_norm_, nn.utils.clip_grad_value_):
        loss = (w * parameters[0].grad).sum()
        clip(parameters, 1.0)
        with pytest.raises(RuntimeError, match="test_nn_utils"):
            loss.backward()
    fixed = np.array([1.0], np.float32)
    fixed.flags.writeable = False
    parameters[1].grad = ad.from_numpy(fixed)
    with pytest.raises(RuntimeError, match="read-only"):
        nn.utils.clip_grad_norm_(parameters, 1.0)


def test_gradients_are_clipped_by_one_norm() -> None:
    parameters = with_gradients(np.array([3.0, 4.0], np.float32))
    with pytest.raises(ShapeError, match=r"not one number; expected \(\); got \(2,\)"):
        nn.utils.clip_grads_with_norm_(parameters, 1.0, ad.ones(2))


def test_clip_grad_value() -> None:
    parameters = with_gradients(np.array([-3.0, 0.5, 2.0, np.nan, -np.inf], np.float32))
    nn.utils.clip_grad_value_([*parameters, nn.Parameter(ad.zeros(2))], 1)
    np.testing.assert_array_equal(parameters[0].grad.numpy(), [-1, 0.5, 1, np.nan, -1])


def test_parameters_to_vector_and_back() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    vector = nn.utils.parameters_to_vector(net.parameters())
    assert vector.shape == (13,)
    (vector * 2).sum().backward()
    assert all((parameter.grad.numpy() == 2).all() for parameter in net.parameters())
    nn.utils.vector_to_parameters(ad.arange(13).float(), net.parameters())
    assert net[0].bias.tolist() == [6, 7, 8]
    assert net(ad.ones(1, 2)).shape == (1, 1)
    with pytest.raises(ValueError, match=r"expected \(13,\); got \(12,\)"):
        nn.utils.vector_to_parameters(ad.zeros(12), net.parameters())


def test_pad_and_unpad() -> None:
    sequences = [ad.tensor(numbers(n, 2), requires_grad=True) for n in (3, 1, 4)]
    padded = rnn.pad_sequence(sequences, batch_first=True, padding_value=7.0)
    assert padded.shape == (3, 4, 2)
    assert (padded[1, 1:].detach().numpy() == 7).all()
    padded.sum().backward()
    assert all((sequence.grad.numpy() == 1).all() for sequence in sequences)
    left = rnn.pad_sequence(sequences, padding_side="left")
    np.testing.assert_array_equal(left[3].detach().numpy(), np.stack([s.detach().numpy()[-1] for s in sequences]))
    for sequence, again in zip(sequences, rnn.unpad_sequence(padded, ad.tensor([3, 1, 4]), batch_first=True),
                               strict=True):
        np.testing.assert_array_equal(sequence.detach().numpy(), again.detach().numpy())


def test_pack_and_unpack() -> None:
    padded, lengths = numbers(4, 3, 2), [2, 4, 1]
    packed = rnn.pack_padded_sequence(ad.tensor(padded), lengths, enforce_sorted=False)
    assert packed.batch_sizes.tolist() == [3, 2, 1, 1]
    assert packed.sorted_indices.tolist() == [1, 0, 2]
    back, again = rnn.pad_packed_sequence(packed, padding_value=9.0, total_length=5)
    assert again.tolist() == lengths
    assert back.shape == (5, 3, 2)
    for n, length in enumerate(lengths):
        np.testing.assert_array_equal(back.numpy()[:length, n], padded[:length, n])
        assert (back.numpy()[length:, n] == 9).all()
    with pytest.raises(ValueError, match=r"the lengths rise.*enforce_sorted=False"):
        rnn.pack_padded_sequence(ad.tensor(padded), lengths)
    with pytest.raises(ValueError, match="expected 1 to 4"):
        rnn.pack_padded_sequence(ad.tensor(padded), [5, 4, 1])
    with pytest.raises(ValueError, match=r"number of lengths.*expected \(3,\); got \(2,\)"):
        rnn.pack_padded_sequence(ad.tensor(padded), [2, 1])
    with pytest.raises(ValueError, match="at least 4; got 3"):
        rnn.pad_packed_sequence(packed, total_length=3)


LAYERS = [(nn.LSTM, {}), (nn.GRU, {"bidirectional": True, "num_layers": 2}), (nn.RNN, {"bidirectional": True}),
          (nn.LSTM, {"bidirectional": True, "num_layers": 2, "batch_first": True})]


@pytest.mark.parametrize(("layer", "options"), LAYERS)
def test_a_packed_sequence_gives_what_each_sequence_gives_alone(layer: Any, options: dict[str, Any]) -> None:
    model = layer(3, 4, **options)
    states = model.num_layers * (2 if model.bidirectional else 1)
    lengths = [2, 5, 3]
    sequences = [ad.tensor(numbers(n, 3)) for n in lengths]
    starts = [ad.tensor(numbers(states, 3, 4)) for _ in range(2 if layer is nn.LSTM else 1)]
    packed = rnn.pack_sequence(sequences, enforce_sorted=False)
    out, last = model(packed, tuple(starts) if layer is nn.LSTM else starts[0])
    padded, again = rnn.pad_packed_sequence(out, batch_first=True)
    assert again.tolist() == lengths
    last = last if layer is nn.LSTM else (last,)
    for n, sequence in enumerate(sequences):
        own = [start[:, n] for start in starts]
        alone, alone_last = model(sequence, tuple(own) if layer is nn.LSTM else own[0])
        np.testing.assert_allclose(padded[n, : lengths[n]].detach().numpy(), alone.detach().numpy(), rtol=1e-5,
                                   atol=1e-6)
        alone_last = alone_last if layer is nn.LSTM else (alone_last,)
        for mine, other in zip(last, alone_last, strict=True):
            np.testing.assert_allclose(mine[:, n].detach().numpy(), other.detach().numpy(), rtol=1e-5, atol=1e-6)
    padded.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.skipif(not HAS_TORCH, reason="PyTorch is not installed")
def test_packing_agrees_with_pytorch() -> None:
    import torch

    padded, lengths = numbers(3, 4, 2), [2, 4, 1]
    mine = rnn.pack_padded_sequence(ad.tensor(padded), ad.tensor(lengths), batch_first=True, enforce_sorted=False)
    other = torch.nn.utils.rnn.pack_padded_sequence(torch.from_numpy(padded), torch.tensor(lengths), batch_first=True,
                                                    enforce_sorted=False)
    for one, two in zip(mine, other, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())


@pytest.mark.skipif(not HAS_TORCH, reason="PyTorch is not installed")
def test_static_keys_agree_with_pytorch() -> None:
    import torch

    arrays = {"query": numbers(3, 2, 4), "weight": numbers(12, 4), "bias": numbers(12), "out": numbers(4, 4),
              "static": numbers(4, 5, 2)}
    results = []
    for library, make in ((ad.nn.functional, ad.tensor), (torch.nn.functional, torch.from_numpy)):
        t = {name: make(value) for name, value in arrays.items()}
        results.append(library.multi_head_attention_forward(
            t["query"], t["query"], t["query"], 4, 2, t["weight"], t["bias"], None, None, False, 0.0, t["out"], None,
            static_k=t["static"], static_v=t["static"]))
    for one, two in zip(*results, strict=True):
        np.testing.assert_allclose(one.numpy(), two.numpy(), rtol=1e-4, atol=1e-5)


def test_dropout_between_recurrent_layers_and_in_attention() -> None:
    ad.manual_seed(0)
    x = ad.ones(3, 2, 4)
    for model, call in ((nn.LSTM(4, 4, 2, dropout=0.5), lambda m: m(x)[0]),
                        (nn.MultiheadAttention(4, 2, dropout=0.5), lambda m: m(x, x, x)[0])):
        assert not np.array_equal(call(model).detach().numpy(), call(model).detach().numpy())
        model.eval()
        np.testing.assert_array_equal(call(model).detach().numpy(), call(model).detach().numpy())


def test_a_target_that_sees_nothing_gives_zeros_and_no_nan() -> None:
    x = ad.tensor(numbers(2, 3, 4), requires_grad=True)
    hidden = ad.tensor([[True, True, True], [False, False, True]])
    for mask in (hidden, ad.zeros(2, 3).masked_fill(hidden, float("-inf"))):
        model = nn.MultiheadAttention(4, 2, batch_first=True, bias=False)
        out, weights = model(x, x, x, key_padding_mask=mask)
        assert not out[0].detach().numpy().any()
        assert not weights[0].detach().numpy().any()
        out.sum().backward()
        assert np.isfinite(x.grad.numpy()).all()
