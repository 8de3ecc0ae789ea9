"""Every operation of the table, on every one of its samples, against the oracle and against finite differences.

Nothing here names an operation: a new one is tested as soon as it is defined, and fails when it brings no samples.
"""

from __future__ import annotations

import sys
import zlib
from collections import Counter
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff.primitive import OPERATIONS, ErrorSample, Operation, Primitive, Sample
from autodiff.program_recorder import Recorder
from autodiff.spec import Cost, spec_of
from autodiff.thread_mode import MODE
from tests import oracle
from tests.oracle import primitives

REFERENCES = {**oracle.FUNCTIONS, **{n: f for n, f in vars(primitives).items() if callable(f)}}
SAMPLES = [(operation, i, sample) for operation in OPERATIONS.values() for i, sample in enumerate(operation.samples())]
SAMPLE_IDS = [f"{operation.name}-{i}" for operation, i, _ in SAMPLES]
ERRORS = [(operation, error) for operation in OPERATIONS.values() for error in operation.errors()]
ERROR_IDS = [f"{operation.name}-{i}" for i, (operation, _) in enumerate(ERRORS)]


def is_array(x: Any) -> bool:
    return isinstance(x, np.ndarray | np.generic)


def convert(x: Any, change: Any) -> Any:
    """Return `x` with every array in it, also inside lists and tuples, replaced by `change(array)`."""
    if is_array(x):
        return change(x)
    if isinstance(x, list):
        return [convert(item, change) for item in x]
    if isinstance(x, tuple) and any(is_array(item) for item in x):
        return tuple(convert(item, change) for item in x)
    return x


def converted(sample: Sample, change: Any) -> tuple[list[Any], dict[str, Any]]:
    return [convert(x, change) for x in sample.arguments], {k: convert(v, change) for k, v in sample.keywords.items()}


def strided_copy(array: Any) -> Any:
    """Return a copy with the same strides, element order and (lack of) contiguity."""
    array = np.asarray(array)
    copy = np.empty_like(array)  # keeps the order of the dimensions
    copy[...] = array
    return copy


def outputs_of(result: Any) -> list[Any]:
    return [r for r in result if r is not None] if isinstance(result, tuple | list) else [result]


def call(operation: Operation, sample: Sample, change: Any) -> list[Any]:
    arguments, keywords = converted(sample, change)
    return outputs_of(operation.call(*arguments, **keywords))


def reference(operation: Operation, sample: Sample) -> list[Any]:
    """Return what the operation should give, in float64."""
    widen = lambda x: np.asarray(x, np.float64) if np.asarray(x).dtype.kind == "f" else np.asarray(x)  # noqa: E731
    function = REFERENCES.get(operation.name)
    if function is not None:
        arguments, keywords = converted(sample, widen)
        return [np.asarray(r) for r in outputs_of(function(*arguments, **keywords))]
    twin = getattr(operation, "twin", None)
    assert twin is not None, f"'{operation.name}' has neither an oracle function of its name nor a twin"
    arguments, keywords = converted(sample, lambda x: ad.tensor(widen(x)))
    return [r.numpy() for r in outputs_of(twin(*arguments, **keywords))]


def test_every_operation_has_samples() -> None:
    missing = [operation.name for operation in OPERATIONS.values() if not list(operation.samples())]
    assert not missing, f"operations without samples: {missing}"


def compiled_kernels() -> list[tuple[str, Any]]:
    """Return the kernels that have been imported, by name."""
    return [
        (f"{name}.{kernel.__name__}", kernel)
        for name, module in list(sys.modules.items())
        if "autodiff_kernels" in name
        for kernel in vars(module).values()
        if getattr(kernel, "targetoptions", {}).get("nogil")
    ]


def test_every_operation_with_a_kernel_runs_in_some_sample() -> None:
    met: set[str] = set()
    before = {kernel: set(kernel.signatures) for _, kernel in compiled_kernels()}  # by other tests, in odd ways too
    for operation, _, sample in SAMPLES:
        MODE.recorder = Recorder()
        try:
            call(operation, sample, lambda x: ad.tensor(strided_copy(x)))
            met.update(record.name for record in MODE.recorder.records)
        finally:
            MODE.recorder = None
    missing = {operation.name for operation in OPERATIONS.values() if isinstance(operation, Primitive)} - met
    assert not missing, f"no sample reaches {missing}"

    # Rank, sizes and strides are data: a kernel is compiled once a dtype, however it is called.
    for name, kernel in compiled_kernels():
        added = set(kernel.signatures) - before.get(kernel, set())
        dtypes = Counter(tuple(str(getattr(t, "dtype", "number")) for t in types) for types in added)
        assert max(dtypes.values(), default=0) <= 2, f"{name}: {added}"


@pytest.mark.parametrize(("operation", "number", "sample"), SAMPLES, ids=SAMPLE_IDS)
def test_value(operation: Operation, number: int, sample: Sample) -> None:
    """The value equals the oracle's; inputs stay as they were; the same call gives the same bits."""
    arrays: list[tuple[Any, Any]] = []

    def share(x: Any) -> ad.Tensor:
        array = strided_copy(x)
        arrays.append((array, array.copy()))
        return ad.from_numpy(array)

    MODE.recorder = Recorder()
    try:
        results = call(operation, sample, share)
        records = MODE.recorder.records
    finally:
        MODE.recorder = None
    for array, before in arrays:
        np.testing.assert_array_equal(array, before, err_msg="an input has changed")

    expected = reference(operation, sample)
    assert len(results) == len(expected)
    widths = [a.dtype for a, _ in arrays if a.dtype.kind == "f"]
    for result, want in zip(results, expected, strict=True):
        value = result.detach().numpy() if isinstance(result, ad.Tensor) else np.asarray(result)
        assert value.shape == want.shape
        assert value.dtype.kind == want.dtype.kind or (value.dtype.kind, want.dtype.kind) in {("i", "u"), ("u", "i")}
        if value.dtype.kind == "f":
            keeps = "dtype" not in sample.keywords
            if keeps and widths and all(w == widths[0] for w in widths):
                assert value.dtype == widths[0], "a float dtype has changed silently"
            tolerance = sample.tolerance if value.dtype == np.float32 else 1e-11
            scale = np.abs(want[np.isfinite(want)]).max(initial=1e-30)
            np.testing.assert_allclose(value, want, rtol=tolerance, atol=tolerance * min(scale, 1) + 1e-12)
        else:
            np.testing.assert_array_equal(value, want)

    for record in records:
        assert isinstance(record.cost, Cost)
        assert min(record.cost) >= 0
    if isinstance(operation, Primitive) and not operation.view:
        for result in results:
            for array, _ in arrays:
                assert result.array is not array or array.size == 0
    again = call(operation, sample, lambda x: ad.tensor(strided_copy(x)))
    for result, second in zip(results, again, strict=True):
        if isinstance(result, ad.Tensor):
            assert spec_of(result.array) is result.spec, "the shape rule and the array disagree"
            np.testing.assert_array_equal(result.array, second.array)


# Gradient operations are called by vjps, which lay out what they pass; users call only these.
PUBLIC = [(o, i, s) for o, i, s in SAMPLES if o.name in oracle.FUNCTIONS]


@pytest.mark.parametrize(("operation", "number", "sample"), PUBLIC, ids=[f"{o.name}-{i}" for o, i, _ in PUBLIC])
def test_strided_inputs(operation: Operation, number: int, sample: Sample) -> None:
    """Inputs with gaps in memory give the same values."""

    def spaced(x: Any) -> ad.Tensor:
        x = np.asarray(x)
        wide = np.zeros(tuple(2 * n for n in x.shape), x.dtype)
        view = wide[(*(slice(None, None, 2) for _ in x.shape), ...)]
        view[...] = x
        return ad.from_numpy(view)

    for dense, strided in zip(
        call(operation, sample, lambda x: ad.tensor(np.asarray(x))), call(operation, sample, spaced), strict=True
    ):
        if isinstance(dense, ad.Tensor):
            np.testing.assert_allclose(strided.detach().numpy(), dense.detach().numpy(), rtol=1e-5, atol=1e-6)


def _leaves(operation: Operation, sample: Sample) -> tuple[list[ad.Tensor], Any]:
    """Return float64 leaves for the float inputs of a sample, and a function that calls the operation on values."""
    leaves: list[ad.Tensor] = []

    def collect(x: Any) -> ad.Tensor:
        x = np.asarray(x)
        if x.dtype.kind == "f":
            leaves.append(ad.tensor(strided_copy(x.astype(np.float64)), requires_grad=True))
        return ad.tensor(x)

    converted(sample, collect)

    def run(values: list[ad.Tensor]) -> list[ad.Tensor]:
        remaining = iter(values)
        results = call(
            operation,
            sample,
            lambda x: next(remaining) if np.asarray(x).dtype.kind == "f" else ad.tensor(np.asarray(x)),
        )
        return [r for r in results if isinstance(r, ad.Tensor) and r.dtype.kind == "f"]

    return leaves, run


def _project(results: list[ad.Tensor], rng: np.random.Generator) -> ad.Tensor:
    """Return a random combination of all elements of all results."""
    total = ad.zeros((), dtype=np.float64)
    for result in results:
        weights = ad.tensor(rng.standard_normal(result.shape))
        total = total + (result * weights).sum()
    return total


def _values(leaves: list[ad.Tensor], directions: list[Any], step: float) -> list[ad.Tensor]:
    return [
        ad.tensor(leaf.detach().numpy() + step * d, requires_grad=True)
        for leaf, d in zip(leaves, directions, strict=True)
    ]


GRADIENT = [(o, i, s) for o, i, s in SAMPLES if s.gradient]


@pytest.mark.parametrize(("operation", "number", "sample"), GRADIENT, ids=[f"{o.name}-{i}" for o, i, _ in GRADIENT])
def test_derivatives(operation: Operation, number: int, sample: Sample) -> None:
    """First and second derivatives along random directions equal central differences, in float64."""
    seed = zlib.crc32(f"{operation.name}-{number}".encode())
    leaves, run = _leaves(operation, sample)
    if not leaves:
        return
    rng = np.random.default_rng(seed)
    directions = [rng.standard_normal(leaf.shape) for leaf in leaves]
    seconds = [rng.standard_normal(leaf.shape) for leaf in leaves]

    def first(values: list[ad.Tensor]) -> ad.Tensor:
        return _project(run(values), np.random.default_rng(seed + 1))

    def slope(values: list[ad.Tensor], create_graph: bool) -> ad.Tensor:
        found = ad.autograd.grad(first(values), values, create_graph=create_graph, materialize_grads=True)
        total = ad.zeros((), dtype=np.float64)
        for gradient, direction in zip(found, directions, strict=True):
            assert gradient.dtype == np.float64
            total = total + (gradient * ad.tensor(direction)).sum()
        return total

    if not first(leaves).requires_grad:
        return
    step = 1e-5
    numeric = (first(_values(leaves, directions, step)).item() - first(_values(leaves, directions, -step)).item()) / (
        2 * step
    )
    at_leaves = slope(leaves, create_graph=True)
    np.testing.assert_allclose(at_leaves.item(), numeric, rtol=2e-6, atol=1e-6)
    if not at_leaves.requires_grad:
        return
    numeric = (
        slope(_values(leaves, seconds, step), False).item() - slope(_values(leaves, seconds, -step), False).item()
    ) / (2 * step)
    found = ad.autograd.grad(at_leaves, leaves, materialize_grads=True)
    analytic = sum(float((g.detach().numpy() * d).sum()) for g, d in zip(found, seconds, strict=True))
    np.testing.assert_allclose(analytic, numeric, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize(("operation", "error"), ERRORS, ids=ERROR_IDS)
def test_errors(operation: Operation, error: ErrorSample) -> None:
    """A mistake raises the declared error, names the operation, and names this file as the user's."""
    with pytest.raises(error.error, match=f"(?s){error.pattern}") as caught:
        call(operation, error.sample, lambda x: ad.from_numpy(np.array(x)))
    assert "test_operations.py" in str(caught.value), "the message does not name the user's line"
