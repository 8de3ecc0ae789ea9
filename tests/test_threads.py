"""Operations on several threads: the same bits on every sample; the number of threads; errors and optimizers."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import errors, threads
from autodiff.primitive import OPERATIONS, Operation, Plan, Primitive, Sample
from autodiff.spec import Cost
from tests.fence import Side, fence
from tests.test_operations import SAMPLE_IDS, SAMPLES, converted, outputs_of, strided_copy

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _keep_the_setting() -> Iterator[None]:
    before = ad.get_num_threads()
    yield
    ad.set_num_threads(before)


@pytest.fixture
def every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let operations of any size use all threads."""
    monkeypatch.setattr(threads, "PART", 1e-30)


def results_of(operation: Operation, sample: Sample) -> list[Any]:
    """Return the arrays that a sample gives, and the gradients of its float inputs where it has any."""
    ad.manual_seed(0)
    leaves: list[ad.Tensor] = []

    def leaf(x: Any) -> ad.Tensor:
        tensor = ad.tensor(strided_copy(x))
        if sample.gradient and tensor.is_floating_point():
            leaves.append(tensor.requires_grad_())
        return tensor

    arguments, keywords = converted(sample, leaf)
    outputs = [x for x in outputs_of(operation.call(*arguments, **keywords)) if isinstance(x, ad.Tensor)]
    arrays = [x.detach().numpy().copy() for x in outputs]
    for output in outputs:
        if output.requires_grad:
            for x in leaves:
                x.grad = None
            output.backward(ad.tensor(np.linspace(-1, 1, output.numel(), dtype=output.array.dtype)
                                      .reshape(output.array.shape)), retain_graph=True)
            arrays += [x.grad.numpy().copy() for x in leaves if x.grad is not None]
    return arrays


@pytest.mark.usefixtures("every_size")
@pytest.mark.parametrize(("operation", "number", "sample"), SAMPLES, ids=SAMPLE_IDS)
def test_every_operation_gives_the_same_bits(operation: Operation, number: int, sample: Sample) -> None:
    """On arrays that end, or begin, at a page without access: a kernel that leaves them ends the process."""
    found = []
    sides: tuple[Side, ...] = ("behind", "before", "behind")
    for count, side in zip((1, 2, 3), sides, strict=True):
        ad.set_num_threads(count)
        with fence(side):
            found.append([(array.dtype, array.shape, array.tobytes()) for array in results_of(operation, sample)])
    assert found[0] == found[1] == found[2]


# ---- How many threads ------------------------------------------------------------------------------------------------


def plan_of(operation: Any, *tensors: ad.Tensor) -> Plan:
    """Return the plan of the operation for these inputs."""
    primitive = OPERATIONS[operation.__name__]
    assert isinstance(primitive, Primitive)
    operation(*tensors)
    return primitive.plans[tuple(x.spec for x in tensors)]


def test_the_size_decides() -> None:
    ad.set_num_threads(3)
    small, large = ad.ones(32, 32), ad.ones(1024, 1024)
    assert plan_of(ad.add, small, small).threads == 1
    assert plan_of(ad.add, large, large).threads == 3
    assert plan_of(ad.matmul, small, small).threads == 1
    assert plan_of(ad.matmul, large, large).threads == 3
    work = 5 * threads.PART // 2
    assert threads.threads_for(Cost(work * threads.FLOPS, 0)) == (2, work)
    assert threads.threads_for(Cost(0, work * threads.BYTES)) == (2, work)


def test_a_new_number_holds_from_the_next_operation_on() -> None:
    x = ad.randn(512, 512)
    results = []
    for count in (1, 3, 2):
        ad.set_num_threads(count)
        assert ad.get_num_threads() == count
        assert plan_of(ad.matmul, x, x).threads == count
        results.append(ad.matmul(x, x).numpy().tobytes())
    assert len(set(results)) == 1


@pytest.mark.parametrize("number", [0, -1, 1025, 2.0, True, "2", None])
def test_numbers_that_are_none(number: Any) -> None:
    with pytest.raises(errors.ValueRangeError, match=r"expected a whole number from 1 to 1024; got"):
        ad.set_num_threads(number)


def import_with(variable: str | None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")])}
    environment.pop("AUTODIFF_NUM_THREADS", None)
    if variable is not None:
        environment["AUTODIFF_NUM_THREADS"] = variable
    code = "import autodiff, os; print(autodiff.get_num_threads(), len(os.sched_getaffinity(0)))"
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


def test_the_number_to_begin_with() -> None:
    assert import_with("7").stdout.split()[0] == "7"
    for variable in (None, ""):
        chosen, cores = import_with(variable).stdout.split()
        assert chosen == cores
    for variable in ("0", "many", "-2", "1.5"):
        said = import_with(variable).stderr
        assert f"variable AUTODIFF_NUM_THREADS is no number of threads; {ALLOWED}; got '{variable}'" in said


ALLOWED = "expected a whole number from 1 to 1024"

# ---- Errors, optimizers, other threads -------------------------------------------------------------------------------


@pytest.mark.usefixtures("every_size")
def test_a_bad_index_is_reported_by_whichever_thread_meets_it() -> None:
    weight = ad.ones(5, 4)
    for place in (0, 40, 99):
        index = np.zeros(100, np.int64)
        index[place] = index[-1] = 7
        said = set()
        for count in (1, 2, 3):
            ad.set_num_threads(count)
            with pytest.raises(errors.PositionError) as caught:
                ad.nn.functional.embedding(ad.tensor(index), weight)
            said.add(str(caught.value).splitlines()[0])
        assert len(said) == 1, said


@pytest.mark.usefixtures("every_size")
def test_training_gives_the_same_bits() -> None:
    found = []
    for count in (1, 2, 3):
        ad.set_num_threads(count)
        ad.manual_seed(0)
        model = ad.nn.Sequential(ad.nn.Conv2d(3, 8, 3, padding=1), ad.nn.BatchNorm2d(8), ad.nn.ReLU(), ad.nn.Flatten(),
                                 ad.nn.Dropout(0.1), ad.nn.Linear(8 * 7 * 7, 5))
        optimizer = ad.optim.Adam(model.parameters(), lr=1e-2)
        x, target = ad.randn(9, 3, 7, 7), ad.randint(0, 5, (9,))
        for _ in range(5):
            optimizer.zero_grad()
            ad.nn.functional.cross_entropy(model(x), target).backward()
            optimizer.step()
        found.append([p.detach().numpy().tobytes() for p in model.parameters()])
    assert found[0] == found[1] == found[2]


@pytest.mark.usefixtures("every_size")
def test_two_threads_of_the_program_at_once() -> None:
    ad.set_num_threads(2)

    def gradient(seed: int) -> bytes:
        x = ad.tensor(np.random.default_rng(seed).standard_normal((50, 60)).astype(np.float32), requires_grad=True)
        ad.nn.functional.softmax(x @ x.T, dim=1).square().sum().backward()
        assert x.grad is not None
        return bytes(x.grad.numpy().tobytes())

    expected = [gradient(seed) for seed in range(3)]
    wrong: list[int] = []

    def work(seed: int) -> None:
        wrong.extend(seed for _ in range(100) if gradient(seed) != expected[seed])

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong
