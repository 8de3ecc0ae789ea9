"""Every operation's samples, forward and backward, compiled: a replay on other numbers gives the operation's bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.compiler.calls import RecordingError
from autodiff.errors import AutodiffError
from autodiff.primitive import Operation, Sample
from tests.test_operations import SAMPLE_IDS, SAMPLES, converted, outputs_of, strided_copy

# Of some samples of these, the shape of the result depends on the numbers, or what is computed does.
DEPENDENT = {
    "argwhere", "bincount", "cov", "ctc_loss_grad", "getitem", "histc", "histogram", "index_put", "linalg_lstsq",
    "masked_scatter", "masked_select", "nanquantile", "nonzero", "one_hot", "quantile",
    "repeat_interleave", "setitem", "unique", "unique_consecutive",
}  # fmt: skip
# Their input is the key of a draw, which the compiler gives them. tests/compiler/test_compile.py draws.
DRAWS = {"random_bernoulli", "random_integers", "random_normal", "random_permutation", "random_uniform"}
REPLAYED = [(*entry, name) for entry, name in zip(SAMPLES, SAMPLE_IDS, strict=True) if entry[0].name not in DRAWS]


def turned(array: Any) -> Any:
    """Return the array with its elements in reverse order along the first dimension, in the same layout."""
    array = np.asarray(array)
    return strided_copy(array) if array.ndim == 0 else _like(array, array[::-1])


def _like(array: Any, values: Any) -> Any:
    copy = np.empty_like(array)
    copy[...] = values
    return copy


def called(operation: Operation, sample: Sample, *tensors: ad.Tensor) -> list[ad.Tensor]:
    """Return the outputs of a sample on these tensors, and the gradients of those that require one."""
    rest = iter(tensors)
    arguments, keywords = converted(sample, lambda _: next(rest))
    outputs = [x for x in outputs_of(operation.call(*arguments, **keywords)) if isinstance(x, ad.Tensor)]
    found = [x.detach() for x in outputs]
    leaves = [x for x in tensors if x.requires_grad]
    for output in outputs:
        if output.requires_grad:
            cotangent = ad.ones_like(output).cumsum(-1) if output.ndim else ad.ones_like(output)
            found += [g for g in ad.autograd.grad(output, leaves, cotangent, retain_graph=True, allow_unused=True)
                      if g is not None]
    return found


def tensors_of(sample: Sample, change: Any) -> list[ad.Tensor]:
    """Return the arrays of a sample as tensors; floats require gradients where the sample has some."""
    found: list[ad.Tensor] = []

    def note(array: Any) -> Any:
        tensor = ad.tensor(change(array))
        found.append(tensor.requires_grad_() if sample.gradient and tensor.is_floating_point() else tensor)
        return array

    converted(sample, note)
    return found


def bits(tensors: list[ad.Tensor]) -> list[tuple[Any, ...]]:
    return [(x.dtype, x.shape, x.detach().numpy().tobytes()) for x in tensors]


@pytest.mark.parametrize(("operation", "sample"), [(x[0], x[2]) for x in REPLAYED], ids=[x[3] for x in REPLAYED])
def test_a_replay_gives_the_bits_of_the_operation(operation: Operation, sample: Sample) -> None:
    def function(*tensors: ad.Tensor) -> list[ad.Tensor]:
        return called(operation, sample, *tensors)

    same, other = tensors_of(sample, strided_copy), tensors_of(sample, turned)
    ad.manual_seed(0)
    try:
        outputs = function(*other)
    except AutodiffError:  # these numbers do not suit the operation
        other = tensors_of(sample, strided_copy)
        ad.manual_seed(0)
        outputs = function(*other)
    expected = bits(outputs)
    before = bits(other)
    compiled = ad.compile(function)
    compiled(*same)
    try:
        compiled(*same)
    except RecordingError:
        if operation.name in DEPENDENT:
            return
        raise
    ad.manual_seed(0)
    found = compiled(*other)
    assert bits(found) == expected
    assert bits(other) == before or operation.name.endswith("_")


@pytest.mark.parametrize("name", ["linear", "layer_norm", "conv1d"])
def test_a_replay_reads_a_bias_with_gaps_anew(name: str) -> None:
    def function(x: ad.Tensor, table: ad.Tensor) -> ad.Tensor:
        weight, bias = ad.eye(2), table[:, 1]
        if name == "layer_norm":
            return ad.nn.functional.layer_norm(x, (2,), table[:, 0], bias)
        if name == "conv1d":
            return ad.nn.functional.conv1d(x.reshape(2, 2, 1), weight.reshape(2, 2, 1), bias)
        return ad.nn.functional.linear(x, weight, bias)

    compiled = ad.compile(function)
    for number in range(4):
        x, table = ad.arange(4.0).reshape(2, 2), ad.arange(4.0).reshape(2, 2) + number
        assert compiled(x, table).tolist() == function(x, table).tolist()
