"""The suites ops, startup, scaling and graph of the benchmarks: that they are complete, and that their cases run."""

from __future__ import annotations

import pickle
from collections import Counter
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import autodiff
import autodiff.nn
from autodiff.primitive import OPERATIONS
from benchmarks.case import Case
from benchmarks.suites import graph, ops, scaling, startup
from benchmarks.suites.ops.table import find
from benchmarks.training import torch_build

SUITES = (ops, startup, scaling, graph)
ALL = {case.name: case for suite in SUITES for case in suite.cases()}


def answers(case: Case, contender: str, module: Any) -> dict[str, Any]:
    """Build a case in this process, call it once, and return its answers as arrays."""
    built = case.builds[contender](module)
    run, answers = built if isinstance(built, tuple) else (built, None)
    result = run()
    found = answers() if answers else result
    return {name: np.array(x.detach().numpy() if hasattr(x, "detach") else x) for name, x in found.items()}


def test_every_operation_has_an_entry_or_a_reason() -> None:
    named = Counter(entry.name for family in ops.FAMILIES for entry in family.ENTRIES)
    named.update(name for names in ops.EXCLUDED.values() for name in names.split())
    twice = [name for name, count in named.items() if count > 1]
    assert not twice, f"more than one entry or reason in benchmarks/suites/ops: {twice}"
    missing, unknown = sorted(OPERATIONS.keys() - named.keys()), sorted(named.keys() - OPERATIONS.keys())
    assert not missing, f"operations without an entry in benchmarks/suites/ops: {missing}"
    assert not unknown, f"entries of benchmarks/suites/ops that are no operations: {unknown}"


@pytest.mark.parametrize("library", ["autodiff", "torch"])
def test_every_entry_names_a_function(library: str) -> None:
    module = pytest.importorskip(library)
    for entry in ops.TABLE.values():
        assert callable(find(module, entry.path)), entry.path


def test_names_are_unique_and_begin_with_the_suite() -> None:
    for suite in SUITES:
        names = [case.name for case in suite.cases()]
        assert len(names) == len(set(names))
        assert all(name.startswith(suite.__name__.rpartition(".")[2] + "/") and " " not in name for name in names)


def test_a_quick_run_has_each_of_its_operations_once_and_all_families() -> None:
    quick = Counter(case.name.split("/")[1] for case in ops.cases() if case.quick)
    assert quick == dict.fromkeys(ops.QUICK.split(), 1)
    for family in ops.FAMILIES:
        assert quick.keys() & {entry.name for entry in family.ENTRIES}, family


def test_builds_can_be_sent_to_a_worker() -> None:
    for case in ALL.values():
        for build in case.builds.values():
            pickle.loads(pickle.dumps(build))


def test_a_series_has_points_enough_for_a_line() -> None:
    for quick in (True, False):
        points = Counter(
            case.sweep[0] for case in ALL.values()
            if case.sweep and case.sweep[1] is not None and (case.quick or not quick)
        )
        assert all(count >= 3 for count in points.values()), points


@pytest.mark.parametrize(
    "name",
    [
        "ops/exp/small/forward+backward",
        "ops/var_mean/small/forward+backward",
        "ops/topk/small/forward+backward",
        "ops/setitem/small/forward+backward",
        "ops/cat/small/forward+backward",
        "ops/embedding/small/forward+backward",
        "ops/linear/small/forward+backward",
        "ops/layer_norm/small/forward+backward",
        "ops/multi_head_attention_forward/small/forward",
        "ops/cross_entropy/small/forward+backward",
        "ops/dropout/small/forward+backward",
        "scaling/operations/10",
        "graph/trace/10",
        "graph/dot/step/1",
    ],
)
def test_a_case_runs(name: str) -> None:
    found = answers(ALL[name], "autodiff", autodiff)
    assert found
    for key, value in found.items():
        assert np.isfinite(value).all(), key
    if name.endswith("forward+backward"):
        assert any("gradient of" in key for key in found)


def test_what_draws_gives_moments() -> None:
    found = answers(ALL["ops/random_uniform/medium/forward"], "autodiff", autodiff)
    np.testing.assert_allclose(found["moments of output"], [1 / 2, 3**-0.5], atol=0.005)
    assert found["shape of output"] == [100_000]
    assert found["dtype of output"] == np.dtype(np.float32).num


def test_a_trace_has_as_many_operations_as_were_called() -> None:
    assert answers(ALL["graph/trace/30"], "autodiff", autodiff)["operations"] == 30


def test_the_import_is_that_of_a_new_process() -> None:
    assert answers(ALL["startup/import"], "numpy", np) == {"exit code": 0}
    with pytest.raises(RuntimeError, match="No module named 'no_such_library'"):
        startup.import_build(ModuleType("no_such_library"))()


def test_a_process_prints_the_loss_of_its_first_step(capsys: pytest.CaptureFixture[str]) -> None:
    startup.first_step("autodiff", "mlp/tiny")
    loss = float(capsys.readouterr().out)
    step, _ = torch_build(autodiff, startup.NETS["mlp/tiny"][0], "adam")
    assert loss == step().item() > 0


def test_a_cold_start_finds_an_empty_folder_for_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = []

    def listed(statement: str, kernels: str | None = None) -> str:
        folders.append(kernels)
        return startup_python("import os; print(len(os.listdir(os.environ['AUTODIFF_CACHE_DIR'])))", kernels)

    startup_python = startup.python
    monkeypatch.setattr(startup, "python", listed)
    run = startup.step_build(autodiff, "mlp/tiny", cold=True)
    assert run() == run() == {"loss": 0.0}
    assert len({*folders, None}) == 3
