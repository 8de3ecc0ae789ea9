"""A chain of element-wise operations gives the bits of its steps, for every operation, any strides and any threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autodiff as ad
from autodiff.bind import bind
from autodiff.ops.fused import Step, fusable, fused_p
from autodiff.primitive import OPERATIONS, Primitive
from autodiff.program_recorder import Recorder
from autodiff.spec import Spec
from autodiff.thread_mode import MODE
from tests.test_operations import call
from tests.test_properties import arrays

Array = np.ndarray[Any, np.dtype[Any]]
SPECIAL = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-40]


def assert_same_bits(found: Any, expected: Any) -> None:
    """Require equal specs, and equal bits except those of a NaN."""
    for one, other in zip(found, expected, strict=True):
        assert one.spec is other.spec
        a, b = one.detach().numpy(), other.detach().numpy()
        np.testing.assert_array_equal(a, b)
        if a.dtype.kind == "f":
            np.testing.assert_array_equal(np.signbit(a[a == 0]), np.signbit(b[b == 0]))


def run_both(inputs: list[Any], steps: tuple[Step, ...], results: tuple[int, ...]) -> None:
    assert_same_bits(
        bind(fused_p, *inputs, steps=steps, results=results), fused_p.twin(*inputs, steps=steps, results=results)
    )


# ---- Every operation -------------------------------------------------------------------------------------------------

FUSABLE = [operation for operation in OPERATIONS.values() if fusable(operation)]


def test_what_can_be_a_step() -> None:
    names = {operation.name for operation in FUSABLE}
    assert {"add", "mul", "where", "gt", "copy", "relu", "relu_grad", "gelu_grad", "clamp", "tanh"} <= names
    assert not names & {"sum", "matmul", "sin", "fmod", "fused", "cat", "dropout"}


def tensor_of(spec: Spec, rng: np.random.Generator) -> ad.Tensor:
    """Return a tensor of this spec: strides with gaps and of any sign, special values among its numbers."""
    spans = [(size - 1) * step for size, step in zip(spec.shape, spec.strides, strict=True)]
    start = -sum(span for span in spans if span < 0)
    memory = rng.standard_normal(start + sum(span for span in spans if span > 0) + 1) * 3
    if spec.floating:
        memory = np.where(rng.integers(0, 8, memory.shape) == 0, rng.choice(SPECIAL, memory.shape), memory)
    memory = (np.abs(memory) if spec.dtype.kind == "u" else memory).astype(spec.dtype)
    strides = [step * spec.dtype.itemsize for step in spec.strides]
    return ad.from_numpy(np.lib.stride_tricks.as_strided(memory[start:], spec.shape, strides))


@pytest.mark.parametrize("operation", FUSABLE, ids=lambda operation: operation.name)
def test_a_chain_of_one_step_has_the_bits_of_the_operation(operation: Primitive) -> None:
    calls = set()
    for sample in operation.samples():
        MODE.recorder = Recorder()
        try:
            call(operation, sample, lambda x: ad.from_numpy(np.asarray(x)))
            records = MODE.recorder.records
        finally:
            MODE.recorder = None
        calls.update((r.inputs, tuple(r.params.items())) for r in records if r.primitive is operation)
    assert calls
    rng = np.random.default_rng(0)
    for specs, params in sorted(calls, key=repr):
        if 0 not in [spec.size for spec in specs]:
            step = (operation.name, params, tuple(range(len(specs))))
            run_both([tensor_of(spec, rng) for spec in specs], (step,), (0,))


# ---- Chains ----------------------------------------------------------------------------------------------------------

FLOATS = "float32", "float64"
UNARY = ["neg", "relu", "exp", "tanh", "sigmoid", "square", "abs", "sqrt", "gelu"]
BINARY = ["add", "sub", "mul", "div", "maximum", "tanh_grad", "relu_grad", "gelu_tanh_grad"]
COMPARISONS = ["gt", "eq", "le"]


@st.composite
def chains(draw: Any) -> tuple[list[Any], tuple[Step, ...], tuple[int, ...]]:
    """Draw inputs whose shapes broadcast, steps that may use all before them, and one to three results."""
    shape = tuple(draw(st.lists(st.integers(1, 4), max_size=4)))
    main = draw(st.sampled_from(FLOATS))
    inputs = [ad.from_numpy(draw(arrays(shape=shape)).astype(main))]
    for _ in range(draw(st.integers(0, 3))):
        cut = draw(st.integers(0, len(shape)))
        part = tuple(1 if draw(st.booleans()) else n for n in shape[cut:])
        inputs.append(ad.from_numpy(draw(arrays(shape=part)).astype(main, order="K")))
    kinds, steps = [main] * len(inputs), []

    def operand(kind: str) -> int:
        return int(draw(st.sampled_from([k for k, found in enumerate(kinds) if found == kind])))

    def put(name: str, kind: str, *operands: int, **params: Any) -> None:
        steps.append((name, tuple(params.items()), operands))
        kinds.append(kind)

    for _ in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from([found for found in kinds if found in FLOATS]))
        what = draw(st.sampled_from(["unary", "binary", "binary", "compare", "convert"]))
        if what == "unary":
            put(draw(st.sampled_from(UNARY)), kind, operand(kind))
        elif what == "binary":
            put(draw(st.sampled_from(BINARY)), kind, operand(kind), operand(kind))
        elif what == "compare":
            put(draw(st.sampled_from(COMPARISONS)), "bool", operand(kind), operand(kind))
            put("where", kind, len(kinds) - 1, operand(kind), operand(kind))
        else:
            other = draw(st.sampled_from(["float32", "float64", "int32", "bool"]))
            put("copy", other, operand(kind), dtype=np.dtype(other), order=None)
    put("add", main, 0, operand(main))  # has the shape of all inputs
    shapes = [tuple(spec) for spec in _shapes(inputs, steps)]
    full = [i for i, found in enumerate(shapes) if found == shape]
    results = draw(st.lists(st.sampled_from(full), min_size=1, max_size=3, unique=True))
    return inputs, tuple(steps), tuple(results)


def _shapes(inputs: list[Any], steps: list[Step]) -> list[tuple[int, ...]]:
    found = [x.shape for x in inputs]
    for _, _, operands in steps:
        found.append(np.broadcast_shapes(*[found[k] for k in operands]))
    return found[len(inputs) :]


@given(chains())
@settings(max_examples=40)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_random_chains_have_the_bits_of_their_steps(chain: Any) -> None:
    run_both(*chain)


NORM: tuple[Step, ...] = (("sub", (), (0, 1)), ("mul", (), (3, 2)), ("relu", (), (4,)))


def test_large_chains_on_several_threads() -> None:
    rng = np.random.default_rng(0)
    before = ad.get_num_threads()
    try:
        for threads in (1, 2, 3):
            ad.set_num_threads(threads)
            for shape, order in (((300, 700), "C"), ((4, 30, 40, 50), "channels last")):
                x = rng.standard_normal(shape).astype(np.float32)
                if order != "C":
                    x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
                inputs = [ad.from_numpy(a) for a in (x, x[-1:], x[(slice(0, 1),) * x.ndim].copy())]
                run_both(inputs, NORM, (0, 2))
    finally:
        ad.set_num_threads(before)


def test_a_gradient_is_that_of_the_steps() -> None:
    x, y, z = (ad.rand(3, 4, requires_grad=True) for _ in range(3))
    first, last = bind(fused_p, x, y, z, steps=NORM, results=(0, 2))
    (first * last).sum().backward()
    expected = ad.autograd.grad((((x - y) * ad.relu((x - y) * z)).sum()), [x, y, z])
    for tensor, gradient in zip((x, y, z), expected, strict=True):
        np.testing.assert_allclose(tensor.grad.numpy(), gradient.numpy(), rtol=1e-6)


def test_the_cost_is_all_flops_and_the_bytes_of_inputs_and_outputs() -> None:
    inputs, out = (Spec.of((3, 4)), Spec.of((4,)), Spec.of(())), (Spec.of((3, 4)),)
    assert fused_p.cost(inputs, out, steps=NORM, results=(2,)) == (36, 4 * (12 + 4 + 1 + 12))
