"""The benchmark suites `kernels` and `overhead`, and what they make their cases with."""

from __future__ import annotations

import importlib.util
import pickle
import subprocess
import sys
from functools import partial
from typing import Any

import numpy as np
import pytest

import autodiff
from benchmarks import differentiation
from benchmarks.case import Case
from benchmarks.contenders import CONTENDERS
from benchmarks.differentiation import Inputs, builds, cotangent, draw, full, integers, normal, uniform
from benchmarks.suites import kernels, overhead

CASES = {case.name: case for suite in (kernels, overhead) for case in suite.cases()}

# One of each family, small enough for a test.
SMALL = [
    "kernels/matmul/TN/64x64x64/kernel",
    "kernels/matmul/batched/64x16x16x16",
    "kernels/linear/32x2x32",
    "kernels/convolution/lenet/6-16-5x5/weight-gradient/kernel",
    "kernels/convolution/1x1/32-64-stride-2",
    "kernels/batch_norm/32x64x8x8/channels-last",
    "kernels/batch_norm+relu/128x256",
    "kernels/layer_norm/512x128",
    "kernels/cross_entropy/128x10",
    "kernels/elementwise/add/8",
    "kernels/embedding/65x128/8x64",
    "kernels/adaptive_avg_pool2d/32x64x8x8/1",
    "kernels/attention/8x4x64x32/causal",
    "kernels/random/dropout/16384",
    "overhead/forward/add-row",
    "overhead/forward+backward/multiply",
    "overhead/index/mask",
    "overhead/module/linear/forward+backward",
]


def answers_of(build: Any, module: Any) -> dict[str, Any]:
    """Return the answers of a build as arrays."""
    made = build(module)
    run, answers = made if isinstance(made, tuple) else (made, None)
    found = run() if answers is None else answers()
    return {name: np.asarray(value) for name, value in flat(found).items()}


def flat(answers: dict[str, Any], place: str = "") -> dict[str, Any]:
    """Return nested answers in one table of arrays."""
    found = {}
    for name, value in answers.items():
        if isinstance(value, dict):
            found.update(flat(value, f"{place}{name}."))
        else:
            found[f"{place}{name}"] = value.detach().numpy() if hasattr(value, "detach") else value
    return found


def assert_agree(found: dict[str, Any], expected: dict[str, Any], tolerance: float) -> None:
    assert set(found) & set(expected)
    for name in set(found) & set(expected):
        assert found[name].shape == expected[name].shape, name
        assert np.abs(found[name] - expected[name]).max() <= tolerance * np.abs(expected[name]).max(), name


def peer(name: str) -> Any:
    return pytest.importorskip(name)


# ---- Cases -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", [kernels, overhead])
def test_names_are_paths_of_their_suite_and_unique(suite: Any) -> None:
    names = [case.name for case in suite.cases()]
    assert len(set(names)) == len(names)
    for name in names:
        assert name.startswith(f"{suite.__name__.rpartition('.')[2]}/")
        assert " " not in name


def test_cases_can_be_sent_to_the_contenders() -> None:
    known = {contender.name for contender in CONTENDERS}
    for case in CASES.values():
        assert {"autodiff", "torch"} <= set(case.builds) <= known, case.name
        for build in case.builds.values():
            assert callable(pickle.loads(pickle.dumps(build)))


def test_listing_cases_imports_no_framework() -> None:
    script = ("import sys\nfrom benchmarks.suites import kernels, overhead\n"
              "list(kernels.cases()), list(overhead.cases())\n"
              "print({'autodiff', 'autodiff_kernels', 'torch', 'jax', 'numba'} & set(sys.modules))")
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_every_family_takes_part_in_quick_runs() -> None:
    families = {case.name.split("/")[1] for case in CASES.values() if case.suite == "kernels" and case.quick}
    assert {"matmul", "linear", "convolution", "batch_norm", "layer_norm", "softmax", "cross_entropy", "elementwise",
            "reduction", "embedding", "attention", "random", "update"} <= families


@pytest.mark.parametrize("name", SMALL)
def test_a_case_runs_and_agrees_with_pytorch(name: str) -> None:
    case: Case = CASES[name]
    ours = answers_of(case.builds["autodiff"], autodiff)
    assert ours
    assert all(np.isfinite(value).all() for value in ours.values())
    if importlib.util.find_spec("torch") is not None:
        assert_agree(ours, answers_of(case.builds["torch"], peer("torch")), case.tolerance)


def test_an_update_agrees_with_jax() -> None:
    case = CASES["kernels/update/adam/mlp"]
    ours = answers_of(case.builds["autodiff"], autodiff)
    assert_agree(answers_of(case.builds["jax"], peer("jax")), ours, case.tolerance)


def test_runs_compute_the_same_again() -> None:
    run = CASES["kernels/linear/32x2x32"].builds["autodiff"](autodiff)
    first, second = flat(run()), flat(run())
    assert all(np.array_equal(first[name], second[name]) for name in first)  # gradients do not add up


# ---- Making builds ---------------------------------------------------------------------------------------------------


def product(module: Any, x: Any, y: Any) -> Any:
    return x * y + x


def product_and_sum(module: Any, x: Any, y: Any) -> Any:
    return x * y, x.sum()


def product_by_hand(numpy: Any, x: Any, y: Any) -> Any:
    return x * y + x, lambda g: {"x": g * (y + 1), "y": g * x}


def picked(module: Any, x: Any, rows: Any) -> Any:
    return x[rows]


def image_sum(module: Any, x: Any, weight: Any) -> Any:
    return module.nn.functional.conv2d(x, weight)


def image_sum_jax(jax: Any, x: Any, weight: Any) -> Any:
    return jax.lax.conv_general_dilated(x, weight, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


PAIR: Inputs = {"x": normal(3, 4), "y": uniform(3, 4, low=1.0, high=2.0)}


def test_inputs_are_the_same_each_time_and_what_they_say() -> None:
    inputs = {"n": normal(1000, scale=2.0, mean=5.0), "u": uniform(1000, low=-1.0), "i": integers(7, 1000),
              "c": full(3.0, 2, 2), "d": normal(2, dtype="float64")}
    first, second = draw(inputs), draw(inputs)
    assert all(np.array_equal(first[name], second[name]) for name in inputs)
    assert [array.dtype.name for array in first.values()] == ["float32", "float32", "int64", "float32", "float64"]
    assert abs(first["n"].mean() - 5) < 0.3
    assert abs(first["n"].std() - 2) < 0.2
    assert -1 <= first["u"].min() < first["u"].max() < 1
    assert set(first["i"]) == set(range(7))
    assert (first["c"] == 3).all()


def test_forward_and_backward_equal_the_formula() -> None:
    values = draw(PAIR)
    g = cotangent((3, 4), "float32")
    found = answers_of(builds("forward+backward", product, PAIR)["autodiff"], autodiff)
    assert list(found) == ["output", "gradient of x", "gradient of y"]
    np.testing.assert_allclose(found["output"], values["x"] * values["y"] + values["x"], rtol=1e-6)
    np.testing.assert_allclose(found["gradient of x"], g * (values["y"] + 1), rtol=1e-6)
    np.testing.assert_allclose(found["gradient of y"], g * values["x"], rtol=1e-6)
    by_hand = answers_of(builds("forward+backward", product, PAIR, numpy=product_by_hand)["numpy"], np)
    assert_agree(by_hand, found, 1e-6)


def test_the_backward_alone_equals_that_of_the_whole() -> None:
    whole = answers_of(builds("forward+backward", product, PAIR)["autodiff"], autodiff)
    alone = answers_of(builds("backward", product, PAIR, wrt=["y"])["autodiff"], autodiff)
    assert list(alone) == ["gradient of y"]
    assert np.array_equal(alone["gradient of y"], whole["gradient of y"])


def test_the_forward_alone_records_nothing_unless_asked() -> None:
    assert not builds("forward", product, PAIR)["autodiff"](autodiff)()["output"].requires_grad
    assert differentiation.forward(autodiff, product, PAIR, wrt=["x"])()["output"].requires_grad


def test_gradients_are_taken_for_floating_inputs_and_all_outputs() -> None:
    inputs = {"x": normal(5), "rows": integers(5, 3)}
    found = answers_of(builds("forward+backward", picked, inputs)["autodiff"], autodiff)
    assert list(found) == ["output", "gradient of x"]
    found = answers_of(builds("forward+backward", product_and_sum, PAIR)["autodiff"], autodiff)
    assert list(found) == ["output 0", "output 1", "gradient of x", "gradient of y"]
    expected = cotangent((3, 4), "float32") * draw(PAIR)["y"] + cotangent((), "float32")
    np.testing.assert_allclose(found["gradient of x"], expected, rtol=1e-5)


def test_images_can_be_channels_last() -> None:
    inputs = {"x": normal(2, 3, 5, 5), "weight": normal(4, 3, 2, 2)}
    tensors = differentiation.tensors_of(autodiff, draw(inputs), ["x"], channels_last=["x"])
    assert tensors["x"].is_contiguous(memory_format=autodiff.channels_last)
    assert tensors["x"].is_leaf
    assert tensors["weight"].is_contiguous()
    usual = answers_of(partial(differentiation.forward_backward, function=image_sum, inputs=inputs), autodiff)
    other = partial(differentiation.forward_backward, function=image_sum, inputs=inputs, channels_last=True)
    assert_agree(answers_of(other, autodiff), usual, 1e-5)


@pytest.mark.parametrize("what", ["forward", "backward", "forward+backward"])
def test_all_contenders_agree(what: Any) -> None:
    inputs = {"x": normal(2, 3, 5, 5), "weight": normal(4, 3, 2, 2)}
    table = builds(what, image_sum, inputs, jax=image_sum_jax, images=True)
    assert list(table) == ["autodiff", "torch", "torch channels_last", "jax"]
    ours = answers_of(table.pop("autodiff"), autodiff)
    for name, build in table.items():
        if importlib.util.find_spec(name.split()[0]) is not None:
            found = answers_of(build, peer(name.split()[0]))
            assert set(found) == set(ours)
            assert_agree(found, ours, 1e-5)
