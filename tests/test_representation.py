"""How tensors print: as in PyTorch, character by character."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.errors import ValueRangeError

SHAPES = [(), (1,), (3,), (0,), (0, 3), (2, 3), (30,), (25, 3), (2, 3, 4), (1001,), (2000, 3), (40, 40), (5, 5, 50)]
NUMBERS = {
    "normal": lambda x: x,
    "whole": lambda x: np.round(50 * x),
    "halves": lambda x: np.round(x) / 2,
    "wide": lambda x: x**15,
    "tiny": lambda x: 1e-6 * x,
    "large": lambda x: np.round(1e9 * x),
    "zero": lambda x: 0 * x,
    "not finite": lambda x: np.where(x > 1, np.inf, np.where(x < -1, np.nan, x)),
    "nan": lambda x: np.nan * x,
}
OPTIONS: list[dict[str, Any]] = [
    {}, {"precision": 2, "edgeitems": 2}, {"sci_mode": False}, {"sci_mode": True}, {"linewidth": 120},
    {"threshold": 10}, {"profile": "short"}, {"profile": "full"},
]


@pytest.fixture(autouse=True)
def _defaults() -> Iterator[None]:
    yield
    ad.set_printoptions(profile="default")


def arrays() -> Iterator[Any]:
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        for change in NUMBERS.values():
            for dtype in (np.float32, np.float64):
                yield np.asarray(change(rng.standard_normal(shape)), dtype)
        for dtype in (np.int64, np.int32, np.uint8):
            yield np.asarray(rng.integers(-99 if dtype == np.int64 else 0, 100, shape), dtype)
        yield np.asarray(rng.random(shape) < 0.5)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_tensors_print_as_in_pytorch(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    ad.set_printoptions(profile="default")
    ad.set_printoptions(**options)
    torch.set_printoptions(profile="default")
    torch.set_printoptions(**options)
    try:
        for array in arrays():
            ours, theirs = ad.tensor(array, dtype=array.dtype), torch.tensor(array)
            if array.dtype == np.float32:
                assert repr(ours.clone().requires_grad_()) == repr(theirs.clone().requires_grad_())
            # A dtype is shorter here, so that it may stand on the last line of numbers.
            want = re.sub(r",\s+dtype=torch\.", ", dtype=", repr(theirs))
            assert re.sub(r",\s+dtype=", ", dtype=", repr(ours)) == want
    finally:
        torch.set_printoptions(profile="default")


def test_history_and_parameters_show() -> None:
    x = ad.ones(2, requires_grad=True)
    assert repr(x) == "tensor([1., 1.], requires_grad=True)"
    assert repr(x * 2) == "tensor([2., 2.], grad_fn=<mul>)"
    assert repr(ad.nn.Parameter(ad.ones(1))) == "Parameter containing:\ntensor([1.], requires_grad=True)"
    assert f"{ad.tensor(0.5):.2f} {ad.tensor(3)} {ad.ones(1)}" == "0.50 3 tensor([1.])"


def test_options() -> None:
    ad.set_printoptions(precision=2)
    assert repr(ad.tensor([0.123])) == "tensor([0.12])"
    ad.set_printoptions(sci_mode=True)
    assert repr(ad.tensor([0.123])) == "tensor([1.23e-01])"
    with pytest.raises(ValueRangeError, match="got 'long'"):
        ad.set_printoptions(profile="long")
