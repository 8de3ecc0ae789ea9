"""Arguments that are no integers or no numbers: refused by name, before any work, and never truncated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import autodiff.nn.functional as F
from autodiff import nn
from autodiff.errors import DTypeError, GradientError, ShapeError

X = ad.ones(3, 4)
IMAGE = ad.ones(1, 4, 8, 8)
CLASSES = ad.tensor([0, 1, 2])

WRONG: dict[str, Callable[[], Any]] = {
    "topk": lambda: ad.topk(X, 2.5),
    "kthvalue": lambda: ad.kthvalue(X, 1.5),
    "randint": lambda: ad.randint(0, 2.5, (3,)),
    "randint without size": lambda: ad.randint(5),
    "randperm": lambda: ad.randperm(3.5),
    "multinomial": lambda: ad.multinomial(ad.ones(3), 1.5),
    "pad": lambda: F.pad(X, (1.5, 1)),
    "split": lambda: ad.split(X, 1.5),
    "split into sizes": lambda: ad.split(X, [1.5, 1.5]),
    "chunk": lambda: ad.chunk(X, 1.5),
    "tensor_split": lambda: ad.tensor_split(X, 1.5),
    "tensor_split at places": lambda: ad.tensor_split(X, (1.5,)),
    "roll": lambda: ad.roll(X, 1.5, 0),
    "diag": lambda: ad.diag(X, 1.5),
    "diagonal": lambda: X.diagonal(0.5),
    "tril": lambda: ad.tril(X, 1.5),
    "triu": lambda: ad.triu(X, 1.5),
    "one_hot": lambda: F.one_hot(CLASSES, 3.5),
    "bincount": lambda: ad.bincount(CLASSES, minlength=2.5),
    "group_norm": lambda: F.group_norm(IMAGE, 2.5),
    "layer_norm": lambda: F.layer_norm(X, 4.5),
    "layer_norm of a list": lambda: F.layer_norm(X, [4.5]),
    "narrow": lambda: X.narrow(0, 0.5, 1),
    "select": lambda: X.select(0, 0.5),
    "linspace": lambda: ad.linspace(0, 1, 2.5),
    "logspace": lambda: ad.logspace(0, 1, 2.5),
    "eye": lambda: ad.eye(2.5),
    "repeat_interleave": lambda: ad.repeat_interleave(X, 1.5),
    "rot90": lambda: ad.rot90(X, 1.5),
    "unflatten": lambda: X.unflatten(1, (2.0, 2)),
    "movedim": lambda: X.movedim(0.5, 1),
    "nonzero_static": lambda: ad.nonzero_static(X, size=1.5),
    "cross_entropy": lambda: F.cross_entropy(X, CLASSES, ignore_index=1.5),
    "nll_loss": lambda: F.nll_loss(X, CLASSES, ignore_index=1.5),
    "ctc_loss": lambda: F.ctc_loss(ad.zeros(4, 1, 3), ad.tensor([[1]]), ad.tensor([4]), ad.tensor([1]), blank=0.5),
    "avg_pool2d": lambda: F.avg_pool2d(IMAGE, 2, divisor_override=1.5),
    "dropout": lambda: F.dropout(X, "a"),
    "Dropout": lambda: nn.Dropout("a"),
    "GroupNorm": lambda: nn.GroupNorm(2.5, 5),
    "LayerNorm": lambda: nn.LayerNorm("a"),
    "LSTM": lambda: nn.LSTM("a", 3),
    "LSTM of layers": lambda: nn.LSTM(3, 3, num_layers=1.5),
    "Upsample": lambda: nn.Upsample(scale_factor="a"),
    "clip_grad_norm_": lambda: nn.utils.clip_grad_norm_([X], "a"),
    "clip_grad_value_": lambda: nn.utils.clip_grad_value_([X], "a"),
    "StepLR": lambda: ad.optim.lr_scheduler.StepLR(ad.optim.SGD([ad.ones(2, requires_grad=True)], lr=0.1), 1.5),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_number_is_refused(case: str) -> None:
    with pytest.raises(DTypeError, match=r"is no (integer|number); expected an? \w+; got "):
        WRONG[case]()


@pytest.mark.parametrize("two", [2, np.int32(2), ad.tensor(2)])
def test_integers_of_each_kind_are_taken(two: Any) -> None:
    assert ad.topk(X, two).values.shape == (3, 2)
    assert ad.roll(ad.arange(3), two).tolist() == [1, 2, 0]


def test_backward_to_no_inputs_is_refused() -> None:
    with pytest.raises(GradientError, match="inputs is empty"):
        ad.ones(2, requires_grad=True).sum().backward(inputs=[])
    with pytest.raises(GradientError, match="inputs is empty"):
        ad.autograd.backward(ad.ones(2, requires_grad=True).sum(), inputs=[])


def test_sizes_in_arrays_and_tensors_are_taken() -> None:
    for sizes in (np.array([1, 2]), ad.tensor([1, 2]), (1, 2)):
        assert [part.shape[0] for part in ad.split(ad.arange(3), sizes)] == [1, 2]
    assert [part.shape[0] for part in ad.split(ad.arange(3), np.int64(2))] == [2, 1]
    assert [part.shape[0] for part in ad.tensor_split(ad.arange(5), ad.tensor([1, 3]))] == [1, 2, 2]
    with pytest.raises(ShapeError, match="a size is negative"):
        ad.randint(5, (-1,))


@pytest.mark.parametrize(("what", "wrong"), [
    ("generator", lambda: ad.rand(3, generator=5)),
    ("pair", lambda: ad.optim.AdamW([ad.ones(2, requires_grad=True)], betas=0.9)),
    ("pair", lambda: ad.optim.Rprop([ad.ones(2, requires_grad=True)], etas=(0.5,))),
])
def test_generators_and_pairs_of_numbers(what: str, wrong: Callable[[], Any]) -> None:
    with pytest.raises(DTypeError, match=rf"is no {what}.*; expected .*; got "):
        wrong()
