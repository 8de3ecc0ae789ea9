"""Operations in place give what their out-of-place form gives, values and gradients, under PyTorch's rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import ops
from autodiff.errors import DTypeError, GradientError, InPlaceError, ShapeError, ValueRangeError
from autodiff.ops import in_place, in_place_comparison

UNARY = [
    name for name in in_place.__all__
    if name not in {"fill_", "zero_", "copy_", "masked_fill_"} and "bitwise" not in name
    and not name.startswith(("add", "sub", "mul", "div", "floor_div", "fmod", "remain", "pow", "lerp", "cl"))
]
X = np.array([0.3, 0.55, 0.81])
Y = np.array([1.5, 0.7, 0.9])
Z = np.array([2.5, 1.7, 1.1])
CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    *[(name, (), {}) for name in [*UNARY, "relu_"]],
    ("add_", (Y,), {}), ("add_", (Y,), {"alpha": -2}), ("sub_", (Y,), {}), ("sub_", (2,), {"alpha": 0.5}),
    ("mul_", (Y,), {}),
    ("mul_", (3,), {}), ("div_", (Y,), {}), ("div_", (Y,), {"rounding_mode": "floor"}),
    ("div_", (0.2,), {"rounding_mode": "trunc"}),
    ("floor_divide_", (0.2,), {}), ("remainder_", (0.2,), {}), ("fmod_", (Y,), {}), ("pow_", (2,), {}),
    ("pow_", (Y,), {}),
    ("lerp_", (Y, Z), {}), ("lerp_", (Y, 0.25), {}), ("addcmul_", (Y, Z), {"value": 0.5}), ("addcdiv_", (Y, Z), {}),
    ("clamp_", (0.4, 0.6), {}), ("clamp_", (), {"max": Y * 0.6}), ("clamp_min_", (0.5,), {}),
    ("clamp_max_", (0.5,), {}),
    ("masked_fill_", (np.array([True, False, True]), 7), {}), ("round_", (), {"decimals": 1}), ("logit_", (0.4,), {}),
]


def build(value: Any, dtype: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    return ad.tensor(value) if value.dtype.kind == "b" else ad.tensor(value, dtype=dtype, requires_grad=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "arguments", "keywords"), CALLS)
def test_equals_the_form_out_of_place(name: str, arguments: Any, keywords: Any, dtype: Any) -> None:
    results = []
    for change in (True, False):
        x = ad.tensor(X, dtype=dtype, requires_grad=True)
        others = [build(value, dtype) for value in arguments]
        options = {key: build(value, dtype) for key, value in keywords.items()}
        y = x * 1
        out = getattr(ops, name if change else name[:-1])(y, *others, **options)
        assert (out is y) is change
        (out * ad.tensor(Z, dtype=dtype)).sum().backward()
        leaves = [t for t in (x, *others, *options.values()) if isinstance(t, ad.Tensor) and t.requires_grad]
        results.append([out.detach().numpy()] + [0 if t.grad is None else t.grad.numpy() for t in leaves])
    for inside, outside in zip(*results, strict=True):
        np.testing.assert_allclose(inside, outside, rtol=1e-6)
    method = getattr(ad.tensor(X, dtype=dtype), name)
    with ad.no_grad():
        np.testing.assert_allclose(method(*others, **options).numpy(), results[0][0], rtol=1e-6)


@pytest.mark.parametrize("dtype", [ad.float32, ad.float64, ad.int64, ad.uint8, ad.bool])
@pytest.mark.parametrize("name", in_place_comparison.__all__)
def test_comparisons_and_logic_write_ones_and_zeros(name: str, dtype: Any) -> None:
    x, y = ad.tensor([0, 1, 2, 3]).to(dtype), ad.tensor([0, 2, 1, 3]).to(dtype)
    others = () if name == "logical_not_" else (y,)
    expected = getattr(ops, name[:-1])(x, *others)
    found = getattr(x, name)(*others)
    assert found is x
    assert (x.dtype, x.tolist()) == (dtype, expected.to(dtype).tolist())


def test_both_operands_may_be_the_same_tensor() -> None:
    x = ad.tensor([2.0, 3.0], requires_grad=True)
    y = x * 1
    y.mul_(y)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [4, 6])


def test_a_leaf_that_requires_a_gradient_may_change_under_no_grad_only() -> None:
    x = ad.tensor([2.0, 3.0], requires_grad=True)
    for change in (lambda: x.add_(1), lambda: x.log2_(), lambda: x[0:1].mul_(2), lambda: x.zero_()):
        with pytest.raises(InPlaceError, match="leaf"):
            change()
    with ad.no_grad():
        x.add_(1)
    np.testing.assert_array_equal(x.detach().numpy(), [3, 4])
    assert x.requires_grad


def test_a_saved_tensor_that_changed_is_found() -> None:
    x = ad.tensor([2.0, 3.0], requires_grad=True)
    y = x * 1
    z = y * y
    y.add_(1)
    with pytest.raises(InPlaceError, match="saved for the backward pass"):
        z.sum().backward()


def test_an_output_that_its_own_gradient_needs_is_found_when_it_changes() -> None:
    x = ad.tensor([2.0, 3.0], requires_grad=True)
    y = ad.exp(x)
    y.mul_(2)
    with pytest.raises(InPlaceError, match="its output"):
        y.sum().backward()


def test_a_change_through_a_view_reaches_its_base() -> None:
    x = ad.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = x * 1
    y[0].mul_(ad.tensor([10.0, 20.0]))
    y[:, 1].fill_(5)
    (y * y).sum().backward()
    np.testing.assert_array_equal(y.detach().numpy(), [[10, 5], [3, 5]])
    np.testing.assert_array_equal(x.grad.numpy(), [[200, 0], [6, 0]])


def test_copy_sends_the_gradient_to_its_source() -> None:
    source = ad.tensor([1.0], requires_grad=True)
    x = ad.zeros(2, 3, dtype=ad.float64)
    x.copy_(source)
    (x * 2).sum().backward()
    assert source.grad.dtype == np.float32
    np.testing.assert_array_equal(source.grad.numpy(), [12])


def test_integers_and_shapes_do_not_change() -> None:
    x = ad.tensor([1, 2])
    for change in (lambda: x.add_(1.5), lambda: x.div_(2), lambda: x.exp_(), lambda: x.log2_(), lambda: x.pow_(0.5),
                   lambda: x.clamp_(max=1.5), lambda: ad.tensor([True]).add_(1)):
        with pytest.raises(DTypeError):
            change()
    with pytest.raises(ShapeError, match="cannot change the shape"):
        x.add_(ad.ones(3, 2, dtype=ad.int64))
    with pytest.raises(ValueRangeError):
        x.clamp_()
    assert x.mul_(True).add_(ad.tensor(3, dtype=ad.int32)).tolist() == [4, 5]


def test_overlapping_operands_are_read_before_they_are_written() -> None:
    x = ad.arange(5, dtype=ad.float32)
    x[1:].add_(x[:-1])
    assert x.tolist() == [0, 1, 3, 5, 7]
    with pytest.raises(InPlaceError, match="share one place"):
        ad.zeros(1).expand(3).add_(1)


@pytest.mark.parametrize("name", ["relu", "relu6", "hardtanh", "leaky_relu", "elu", "selu", "celu", "silu", "mish",
                                  "hardswish", "hardsigmoid"])
def test_inplace_option_of_activations(name: str) -> None:
    gradients = []
    for inplace in (True, False):
        x = ad.tensor([-1.5, -0.2, 0.7, 2.0], requires_grad=True)
        y = x * 1
        out = getattr(ops, name)(y, inplace=inplace)
        assert (out is y) is inplace
        (out * out).sum().backward()
        gradients.append((out.detach().numpy(), x.grad.numpy()))
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-6)


def test_gradients_stop_at_new_constants() -> None:
    x = ad.tensor([1.0, 2.0], requires_grad=True)
    y = x * 1
    y.zero_()
    with pytest.raises(GradientError):
        y.sum().backward()
