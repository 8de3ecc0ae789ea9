"""What the classic mistakes are told: what is wrong, what was expected, what was got, what to do, and where."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import nn
from autodiff.nn import functional as F

X = ad.ones(2, 3)
W = ad.ones(3, requires_grad=True)


def cut_by_detach() -> None:
    hidden = (X * W).detach()
    hidden.sum().backward()


def cut_by_no_grad() -> None:
    with ad.no_grad():
        hidden = X * W
    (hidden * 2).sum().backward()


def cut_by_integers() -> None:
    hidden = (X * W).argmax(1)
    hidden.float().sum().backward()


def cut_by_numpy() -> None:
    array = (X * W).detach().numpy() * 2
    ad.from_numpy(array).sum().backward()


def read_only() -> Any:
    array = np.ones(2)
    array.flags.writeable = False
    return array


MISTAKES: list[tuple[str, Callable[[], Any], type[Exception], str]] = [
    ("linear", lambda: nn.Linear(4, 2)(X), ValueError, r"\[linear\] .* expected \(\.\.\., 4\); got \(2, 3\); check"),
    ("conv", lambda: nn.Conv2d(4, 2, 3)(ad.ones(1, 3, 8, 8)), ValueError, r"\[conv2d\] .*expected .*4.*; got .*3"),
    ("conv rank", lambda: nn.Conv2d(3, 2, 3)(X), ValueError, r"\[conv2d\] .*got .*\(2, 3\)"),
    ("matmul", lambda: X @ X, ValueError, r"\[matmul\] the inner sizes differ; expected .*; got \(2, 3\) @ \(2, 3\)"),
    ("broadcast", lambda: X + ad.ones(2), ValueError, r"\[add\] the shapes do not broadcast; .* got \(2, 3\) and \(2,\)"),
    ("dtype", lambda: F.linear(ad.ones(2, 3, dtype=ad.int64), ad.ones(1, 3)), TypeError, r"one float dtype.*got int64"),
    ("numpy operand", lambda: X + np.ones(3), TypeError, r"NumPy array cannot be mixed.*from_numpy"),
    ("numpy input", lambda: F.linear(np.ones((2, 3)), W), TypeError, r"\[linear\] the input is not a tensor.*got ndarray; wrap it"),
    ("numpy reduced", lambda: ad.sum(np.ones(3)), TypeError, r"\[sum\] the input is not a tensor"),
    ("target", lambda: F.cross_entropy(X, ad.tensor([0, 3])), IndexError, r"\[cross_entropy\] .*3"),
    ("embedding", lambda: nn.Embedding(4, 2)(ad.tensor([1, 7])), IndexError, r"\[embedding\] .*7"),
    ("index", lambda: X[ad.tensor([0, 5])], IndexError, r"5"),
    ("mse broadcast", lambda: F.mse_loss(ad.ones(3, 1), ad.ones(3)), ValueError, r"\[mse_loss\] .*\(3, 1\).*\(3,\)"),
    ("non-scalar", lambda: (X * W).backward(), RuntimeError, r"\[backward\] .*one element; got \(2, 3\); reduce it first"),
    ("detach", cut_by_detach, RuntimeError, r"cut by detach\(\) at .*test_messages.py.*`hidden = \(X \* W\).detach\(\)`"),
    ("no_grad", cut_by_no_grad, RuntimeError, r"under no_grad\(\) at .*`hidden = X \* W`"),
    ("integers", cut_by_integers, RuntimeError, r"argmax made int64, which has no derivative, at .*`hidden = \(X \* W\).argmax\(1\)`"),
    ("NumPy round trip", cut_by_numpy, RuntimeError, r"made from NumPy data at .*`ad.from_numpy\(array\)"),
    ("a copy without history", lambda: ad.tensor(W * 2).sum().backward(), RuntimeError, r"copied by tensor\(\).*at .*ad.tensor\(W \* 2\)"),
    ("deepcopy", lambda: copy.deepcopy(W * 2), RuntimeError, r"only leaf tensors can be deep-copied"),
    ("read-only array", lambda: ad.from_numpy(read_only()).add_(1), RuntimeError, r"\[add_\] .*read-only; write into x.clone\(\)"),
    ("numpy()", lambda: (X * W).numpy(), RuntimeError, r"NumPy would lose.*x\.detach\(\)\.numpy\(\)"),
    ("bool", lambda: bool(X > 0), ValueError, r"ambiguous; got \(2, 3\); use x\.any\(\) or x\.all\(\)"),
    ("item", lambda: X.item(), ValueError, r"\[item\] .*got \(2, 3\)"),
    ("device", lambda: X.to("cuda"), TypeError, r"CPU only; expected 'cpu'; got cuda"),
    ("learning rate", lambda: ad.optim.SGD([W], lr=-1), ValueError, r"\[SGD\] 'lr' is outside its range; expected 0 <= lr"),
    ("no parameters", lambda: ad.optim.Adam([]), ValueError, r"\[Adam\] there are no parameters"),
    ("state dict", lambda: nn.Linear(2, 2).load_state_dict({}), RuntimeError, r"missing names \(weight, bias\)"),
    ("ragged rows", lambda: ad.tensor([[1, 2], [3]]), ValueError, r"\[tensor\] .*different lengths; .*got lengths 2, 1; pad"),
    ("ragged deeper", lambda: ad.tensor([[[1], [2]], [[3], [4, 5]]]), ValueError, r"got lengths 1, 2; pad"),
    ("negative size", lambda: ad.zeros(-1), ValueError, r"\[zeros\] a size is negative; .* got \(-1,\)"),
    ("size of another type", lambda: ad.ones(2, "3"), TypeError, r"a size is no integer; .* got 2, '3'"),
    ("fraction as a size", lambda: ad.randn(2.5), TypeError, r"a size is no integer; .* got 2.5"),
    ("dimension", lambda: X.sum(dim="a"), TypeError, r"\[sum\] the dimension is no integer; .*-2 to 1; got 'a'"),
    ("features", lambda: nn.Linear("a", 2), TypeError, r"\[Linear\] in_features is no integer; .* got 'a'"),
    ("channels", lambda: nn.Conv2d(3, 2.0, 3), TypeError, r"\[Conv2d\] out_channels is no integer; .* got 2.0"),
    ("num_features", lambda: nn.BatchNorm2d(3)(ad.ones(1, 4, 2, 2)), ValueError,
     r"\[BatchNorm2d\] .* num_features; expected 3 in dimension 1; got 4 .*make the layer with num_features=4"),
    ("a model to optimize", lambda: ad.optim.SGD(nn.Linear(2, 2)), TypeError,
     r"\[SGD\] .* iterable of tensors; got a Linear; .*model.parameters\(\)"),
    ("layers to optimize", lambda: ad.optim.SGD(nn.Sequential(nn.ReLU())), TypeError, r"\[SGD\] .*got ReLU; .*model.parameters\(\)"),
    ("a learning rate as text", lambda: ad.optim.AdamW([W], lr="1e-3"), TypeError, r"\[AdamW\] 'lr' is no number; got '1e-3'; write float"),
    ("a model to clip", lambda: nn.utils.clip_grad_norm_(nn.Linear(2, 2), 1), TypeError,
     r"\[clip_grad_norm_\] .*got a Linear; pass .*model.parameters\(\)"),
    ("layers to clip", lambda: nn.utils.clip_grad_value_(nn.Sequential(nn.ReLU()), 1), TypeError, r"got a ReLU; pass"),
    ("targets of NumPy", lambda: F.cross_entropy(X, np.zeros(2, np.int64)), TypeError, r"got ndarray; wrap them with autodiff.tensor"),
    ("weights of NumPy", lambda: F.linear(X, np.ones((2, 3))), TypeError, r"\[linear\] the weight is not a tensor; .* got ndarray; wrap it"),
    ("kernels of NumPy", lambda: F.conv2d(ad.ones(1, 1, 3, 3), np.ones((1, 1, 3, 3))), TypeError, r"\[conv2d\] the weight is not a tensor"),
    ("a kernel's bias of NumPy", lambda: F.conv2d(ad.ones(1, 1, 3, 3), ad.ones(1, 1, 3, 3), np.ones(1)), TypeError, r"the bias is not a tensor"),
    ("layer norm of NumPy", lambda: F.layer_norm(np.ones((2, 3)), (3,)), TypeError, r"\[layer_norm\] the input is not a tensor"),
    ("layer norm with a list", lambda: F.layer_norm(X, (3,), [1, 1, 1]), TypeError, r"\[layer_norm\] the weight is not a tensor"),
    ("group norm of NumPy", lambda: F.group_norm(np.ones((2, 4)), 2), TypeError, r"\[group_norm\] the input is not a tensor"),
    ("batch norm with a list", lambda: F.batch_norm(X, None, None, [1, 1, 1], training=True), TypeError, r"\[batch_norm\] the weight is"),
    ("images of NumPy", lambda: F.interpolate(np.ones((1, 1, 4, 4)), size=2), TypeError, r"\[interpolate\] the input is not a tensor"),
    ("a running sum of a list", lambda: ad.cumsum([1, 2], 0), TypeError, r"\[cumsum\] the input is not a tensor"),
    ("attention of NumPy", lambda: F.scaled_dot_product_attention(X, np.ones((2, 3)), X), TypeError, r"the key is not a tensor"),
    ("dropout of integers", lambda: F.dropout(ad.arange(9), 0.3), TypeError, r"\[dropout\] .* got int64; convert .*float"),
    ("weights in a cube", lambda: ad.multinomial(ad.ones(1, 2, 3), 1), ValueError, r"\[multinomial\] .* \(rows, n\); got \(1, 2, 3\)"),
    ("a group without parameters", lambda: ad.optim.SGD([{"param": [W]}]), ValueError, r"\[SGD\] .*key 'params'; got 'param'"),
    ("one value per channel", lambda: nn.BatchNorm1d(3)(ad.ones(1, 3)), ValueError, r"\[batch_norm\] "),
]


@pytest.mark.parametrize(("mistake", "error", "pattern"), [m[1:] for m in MISTAKES], ids=[m[0] for m in MISTAKES])
def test_the_message(mistake: Callable[[], Any], error: type[Exception], pattern: str) -> None:
    with pytest.raises(error) as caught:
        mistake()
    text = str(caught.value)
    assert re.search(pattern, text), text
    assert "test_messages.py" in text, "the message does not name the user's line"


def test_an_error_changes_nothing() -> None:
    """A mistake is found before anything is written."""
    layer = nn.Linear(2, 2)
    before = layer.weight.detach().clone()
    with pytest.raises(RuntimeError):
        layer.load_state_dict({"weight": ad.zeros(2, 2), "bias": ad.zeros(3)})
    assert ad.equal(layer.weight, before)
    total = ad.zeros(2)
    with pytest.raises(ValueError, match="shapes do not broadcast"):
        total += ad.ones(3)
    assert total.tolist() == [0, 0]
