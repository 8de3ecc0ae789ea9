"""The training workloads of the benchmarks but those on images: they train, and all libraries compute the same."""

from __future__ import annotations

import math
from functools import partial
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

import autodiff
from autodiff.utils.benchmark.rounds import difference
from autodiff.utils.benchmark.worker import flattened
from benchmarks.suites import memory, train
from benchmarks.training import bits_build, jax_build, numpy_build, torch_build
from benchmarks.workloads import autoencoder, gpt, kmeans, language, mlp, surface

TEXT = {"vocabulary": 20, "width": 8, "hidden": 12, "batch": 3, "length": 5}
SMALL_GPT = {"depth": 2, "width": 16, "heads": 2, "batch": 2, "length": 8}

# The workloads at sizes that are fast: functions for PyTorch and autodiff, and for JAX; the optimizer.
SMALL: dict[str, tuple[Any, Any, str]] = {
    "tiny": (mlp.tiny_torch_like, mlp.tiny_jax_like, "adamw"),
    "digits": (mlp.digits_torch_like, mlp.digits_jax_like, "sgd"),
    "autoencoder": (*train.both(autoencoder, batch=4), "adam"),
    "kmeans": (*train.both(kmeans), "sgd"),
    "surface": (*train.both(surface), "sgd"),
    "LSTM": (*train.both(language, kind="LSTM", **TEXT), "adam"),
    "GRU": (*train.both(language, kind="GRU", **TEXT), "adam"),
    "gpt": (*train.both(gpt, **SMALL_GPT), "adamw"),
}

BY_HAND = {
    "tiny": (mlp.tiny_torch_like, mlp.tiny_numpy_like),
    "digits": (mlp.digits_torch_like, mlp.digits_numpy_like),
}


def assert_same_answers(found: dict[str, Any], expected: dict[str, Any], tolerance: float = 1e-5) -> None:
    """Check that all answers are there, and equal but for rounding."""
    found, expected = flattened(found), flattened(expected)
    assert set(found) == set(expected)
    differences = {name: difference(value, expected[name]) for name, value in found.items()}
    assert max(differences.values()) < tolerance, differences


@pytest.mark.parametrize("name", SMALL)
def test_training_lowers_the_loss(name: str) -> None:
    torch_like, _, optimizer = SMALL[name]
    step, _ = torch_build(autodiff, torch_like, optimizer)
    losses = [step().item() for _ in range(4)]
    assert all(map(math.isfinite, losses))
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", SMALL)
def test_jax_trains_the_parameters_of_the_model(name: str) -> None:
    torch_like, jax_like, _ = SMALL[name]
    model, _, batch = torch_like(autodiff)
    shapes, _, theirs = jax_like(Mock())  # nothing of JAX runs before the loss is called
    own = {key: tuple(value.shape) for key, value in model.state_dict().items() if "num_batches" not in key}
    assert shapes == own
    assert [x.size for x in batch] == [x.size for x in theirs]


def test_answers_start_from_the_initial_weights_whenever_they_are_asked_for() -> None:
    step, answers = torch_build(autodiff, mlp.digits_torch_like, "adam")
    first = answers()
    step()
    assert_same_answers(answers(), first, tolerance=1e-12)
    assert set(first) == {"loss", "gradients", "statistics", "loss after two steps"}
    assert first["loss after two steps"] < first["loss"]


@pytest.mark.parametrize("optimizer", train.OPTIMIZERS)
@pytest.mark.parametrize("name", BY_HAND)
def test_nets_by_hand_compute_the_same(name: str, optimizer: str) -> None:
    torch_like, numpy_like = BY_HAND[name]
    expected = torch_build(autodiff, torch_like, optimizer)[1]()
    assert_same_answers(numpy_build(np, numpy_like, optimizer)[1](), expected)


@pytest.mark.parametrize("name", ["tiny", "LSTM"])
@pytest.mark.parametrize("peer", ["torch", "jax"])
def test_peers_compute_the_same(name: str, peer: str) -> None:
    module = pytest.importorskip(peer)
    torch_like, jax_like, optimizer = SMALL[name]
    expected = torch_build(autodiff, torch_like, optimizer)[1]()
    theirs = partial(jax_build, module, jax_like) if peer == "jax" else partial(torch_build, module, torch_like)
    assert_same_answers(theirs(optimizer)[1](), expected)


@pytest.mark.parametrize("suite", [train, memory])
def test_suites_name_every_case_once(suite: Any) -> None:
    cases = list(suite.cases())
    names = [case.name for case in cases]
    assert len(set(names)) == len(names)
    assert {case.suite for case in cases} == {suite.__name__.rpartition(".")[2]}
    assert all({"autodiff", "torch", "jax"} <= set(case.builds) for case in cases)
    assert any(case.quick for case in cases)
    assert any(not case.quick for case in cases)


def test_the_bits_of_a_training_are_all_that_it_changes() -> None:
    found = [bits_build(autodiff, mlp.tiny_torch_like, "adam", steps=4, compiled=compiled)[1]()
             for compiled in (False, True)]  # fmt: skip
    assert {"losses", "0.weight", "0.weight.grad", "0.weight.exp_avg_sq"} <= set(found[0])
    assert all(difference(found[1][name], found[0][name]) == 0 for name in found[0])
    longer = bits_build(autodiff, mlp.tiny_torch_like, "adam", steps=5)[1]()
    assert all(difference(longer[name], found[0][name]) != 0 for name in found[0] if "weight" in name)
