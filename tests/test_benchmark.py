"""Timing and comparing, on libraries made for it: their clock is moved by the work itself, so every figure is known."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmark_builds import (
    build,
    build_with_answers,
    dying,
    dying_when_timed,
    filling,
    raising,
    threads_of,
    work_of_autodiff,
)

import autodiff
from autodiff.machine.kernels import STREAMS
from autodiff.roofline import limit_in_turn
from autodiff.utils.benchmark import Contender, Timer, compare
from autodiff.utils.benchmark.contender import Worker
from autodiff.utils.benchmark.rounds import difference, interval
from autodiff.utils.benchmark.timer import duration
from autodiff.utils.benchmark.worker import flattened
from benchmarks import revision
from benchmarks.__main__ import matches, selected
from benchmarks.case import Case
from benchmarks.cost import cost
from benchmarks.run import Budget, Pool, Results, measure, run

# A library whose work takes exactly `SECONDS` of its own clock, and `FIRST` more the first time.
LIBRARY = """
import os, time
now = first = 0.0
time.perf_counter = lambda: now
SECONDS, ANSWER, FIRST = {seconds}, {answer}, {first}

def work():
    global now, FIRST
    now += SECONDS + FIRST
    FIRST = 0.0
    return {{"sum": ANSWER, "parts": [ANSWER, 2 * ANSWER]}}
"""


@pytest.fixture
def library(tmp_path: Path) -> Callable[..., Contender]:
    def make(name: str, seconds: float = 0.001, answer: float = 1.0, first: float = 0.0, fresh: bool = False
             ) -> Contender:
        (tmp_path / f"{name}.py").write_text(LIBRARY.format(seconds=seconds, answer=answer, first=first))
        return Contender(name, path=(str(tmp_path),), fresh=fresh)

    return make


def test_ratios_are_those_of_the_work(library: Callable[..., Contender]) -> None:
    found = compare(build, [library("mine", 0.001, first=0.5), library("theirs", 0.003)], seconds=0.1).results
    assert found["mine"].status == found["theirs"].status == "ok"
    assert found["mine"].value == pytest.approx(0.001)
    assert found["mine"].first == pytest.approx(0.501)
    assert found["theirs"].first == pytest.approx(0.003)
    assert found["theirs"].ratio == pytest.approx(3)
    assert found["theirs"].low == pytest.approx(3)
    assert found["theirs"].high == pytest.approx(3)
    assert found["mine"].ratio is None
    assert len(found["mine"].rounds) == len(found["theirs"].rounds) >= 5
    assert found["mine"].difference == 0


def test_a_contender_that_disagrees_is_not_timed(library: Callable[..., Contender]) -> None:
    entrants = [library("mine"), library("theirs"), library("third", answer=1.01)]
    comparison = compare(build, entrants, seconds=0.05)
    wrong = comparison.results["third"]
    assert wrong.status == "wrong"
    assert wrong.value is None
    assert wrong.rounds == []
    assert wrong.message == "'sum' differs from theirs's by 1.0e-02 (allowed: 1e-04)"
    assert comparison.results["theirs"].ratio == pytest.approx(1)
    assert "third   wrong: 'sum' differs" in repr(comparison)
    assert compare(build, entrants, seconds=0.05, tolerance=0.02).results["third"].status == "ok"
    each = {"": 0.02, "parts": 1e-4, "parts.1": 0.02}
    wrong = compare(build, entrants, seconds=0.05, tolerance=each).results["third"]
    assert str(wrong.message).startswith("'parts.0' differs")


def test_nothing_is_timed_when_the_first_is_wrong(library: Callable[..., Contender]) -> None:
    found = compare(build_with_answers, [library("mine", answer=np.pi), library("theirs")], seconds=0.05).results
    assert found["mine"].status == "wrong"
    assert found["theirs"].status == "not timed"
    assert "mine" in str(found["theirs"].message)


def test_a_contender_that_is_not_installed_is_shown(library: Callable[..., Contender]) -> None:
    comparison = compare(build, [library("mine"), "no_such_library"], seconds=0.05)
    assert comparison.results["no_such_library"].status == "not installed"
    assert comparison.results["mine"].status == "ok"
    assert "no_such_library  not installed" in repr(comparison)


@pytest.mark.parametrize(("broken", "message"), [
    (raising, "ValueError: the fan-in is 0"),
    (dying, "its process ended with code 7: out of registers"),
    (dying_when_timed, "its process ended with code 7"),
])
def test_a_failure_is_that_of_its_contender_alone(
    library: Callable[..., Contender], broken: Callable[[Any], Any], message: str
) -> None:
    entrants = [library("mine"), library("theirs"), library("third")]
    found = compare({"mine": build, "theirs": broken, "third": build}, entrants, seconds=0.05).results
    assert (found["theirs"].status, found["theirs"].message) == ("failed", message)
    assert found["third"].ratio == pytest.approx(1)
    found = compare({"mine": broken, "theirs": build, "third": build}, entrants, seconds=0.05).results
    assert (found["mine"].status, found["mine"].message) == ("failed", message)
    assert found["third"].ratio is None


def test_threads_are_pinned(library: Callable[..., Contender]) -> None:
    for threads in {1, len(os.sched_getaffinity(0))}:
        with Worker(library("mine"), threads) as worker:
            worker.build(threads_of)
            assert [int(array) for array in worker.answers().values()] == [threads, threads]


def test_memory_is_counted_over_what_was_there(library: Callable[..., Contender]) -> None:
    with Worker(library("mine"), 1) as worker:
        _, peak = worker.build(functools.partial(filling, 64_000_000))
        assert peak is None or 60e6 < peak < 100e6
        _, peak = worker.build(build)
        assert peak is None or peak < 30e6


@pytest.mark.parametrize(("arguments", "error", "message"), [
    ((build, ()), ValueError, "contenders with different names"),
    ((build, ("numpy", "numpy")), ValueError, "different names"),
    (({"numpy": build}, ("numpy", "math")), ValueError, "no function to build for math; it has numpy"),
    ((lambda module: module, ("numpy",)), TypeError, "cannot be sent to another process"),
])
def test_compare_refuses(arguments: tuple[Any, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        compare(*arguments)
    with pytest.raises(ValueError, match="positive number of threads, got 0"):
        compare(build, ("numpy",), threads=0)


def test_the_example_of_the_documentation_runs(tmp_path: Path) -> None:
    lines = str(compare.__doc__).split("\n")
    start = next(i for i, line in enumerate(lines) if "mine.py" in line) + 1
    stop = next(i for i, line in enumerate(lines) if "print(compare(training))" in line) + 1
    program = "\n".join(line[8:] for line in lines[start:stop]).replace("training)", "training, ['autodiff'])")
    (tmp_path / "mine.py").write_text(program)
    done = subprocess.run([sys.executable, "mine.py"], cwd=tmp_path, capture_output=True, text=True, check=True,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert "autodiff" in done.stdout
    assert "1 thread" in done.stdout


def test_a_gradient_that_is_missing_is_seen() -> None:
    answers = flattened({"gradients": [None, np.ones(2)]})
    assert list(answers) == ["gradients.0", "gradients.1"]
    assert np.isnan(difference(answers["gradients.0"], 1.0))
    assert difference(answers["gradients.0"], np.nan) == 0  # missing on both sides


def test_differences() -> None:
    assert difference([1.0, 2.0], [1.0, 2.0]) == 0
    assert difference([1.0, 2.5], [1.0, -2.0]) == pytest.approx(2.25)
    assert difference([0.5], [0.0]) == 0.5
    assert difference([np.nan, np.inf], [np.nan, np.inf]) == 0
    assert np.isnan(difference([np.nan], [1.0]))
    assert np.isnan(difference([1.0], [np.nan]))
    assert np.isnan(difference([1.0, 2.0], [1.0]))
    assert difference([], []) == 0


def test_the_interval_covers_the_median_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        middle, low, high = interval(rng.lognormal(0, 0.1, 31))
        assert low <= middle <= high
        hits += low <= 1 <= high
    assert 0.9 <= hits / 200 <= 0.99


def test_timer() -> None:
    calls = []
    timer = Timer(lambda: calls.append(0), label="append")
    once = timer.timeit(10)
    assert (once.number_per_run, len(once.times), len(calls)) == (10, 1, 10)
    assert once.iqr == 0
    found = timer.blocked_autorange(min_run_time=0.02)
    assert len(found.times) >= 5
    assert min(found.times) <= found.median <= max(found.times)
    assert repr(found).startswith("append: ")
    assert repr(Timer("x + y", globals={"x": 1, "y": 2}).timeit(5)).startswith("x + y: ")
    with pytest.raises(ValueError, match="positive number of runs, got 0"):
        timer.timeit(0)
    assert [duration(x) for x in (2.5, 0.9999e-3, 1.5e-6, 2e-9)] == ["2.5 s", "1 ms", "1.5 us", "2 ns"]


# The suites' runner.

def case(name: str, *builds: tuple[str, Callable[[Any], Any]], **options: Any) -> Case:
    return Case(name, dict(builds), **options)


def test_a_run_keeps_every_row(library: Callable[..., Contender], tmp_path: Path) -> None:
    entrants = [library("mine", 0.001), library("theirs", 0.002), Contender("no_such_library")]
    both = (("mine", build), ("theirs", build))
    cases = [
        case("fake/all", *both, ("no_such_library", build), count=10, sweep=("size", 3)),
        case("fake/crash", ("mine", build), ("theirs", dying)),
        case("fake/after", *both),  # with a new process for the one that ended
        case("fake/memory", *both, measure="bytes"),
    ]
    results = Results(tmp_path / "out" / "results.json", {"date": "today"})
    shown: list[Any] = []

    def interrupt(row: Any) -> None:
        shown.append(row)
        if len(shown) == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(cases, entrants, (1, 2), Budget(quick=True), results, interrupt)
    results.save()
    data = json.loads((tmp_path / "out" / "results.json").read_text())
    assert data["date"] == "today"
    rows = data["rows"]
    assert [(row["case"], row["threads"]) for row in rows] == [
        ("fake/all", 1), ("fake/crash", 1), ("fake/after", 1), ("fake/memory", 1), ("fake/all", 2), ("fake/crash", 2),
    ]
    first = rows[0]
    assert (first["suite"], first["count"], first["sweep"], first["measure"]) == ("fake", 10, ["size", 3], "seconds")
    assert first["results"]["theirs"]["ratio"] == pytest.approx(2)
    assert first["results"]["no_such_library"]["status"] == "not installed"
    assert "benchmarks/README.md" in first["results"]["no_such_library"]["message"]
    assert rows[1]["results"]["theirs"]["status"] == "failed"
    assert rows[1]["results"]["mine"]["status"] == "ok"
    assert rows[2]["results"]["theirs"]["ratio"] == pytest.approx(2)
    assert rows[3]["results"]["mine"]["value"] == rows[3]["results"]["mine"]["peak"]
    assert rows[3]["results"]["mine"]["rounds"] == []


def test_cost_and_limit_of_a_row() -> None:
    level = {"name": "memory", "size": None, **dict.fromkeys(STREAMS, 1e9)}
    limits = {"flops": {"float32": 1e6, "float64": 1.0}, "levels": [level]}
    with Pool([Contender("autodiff")], 1) as pool:
        row = measure(case("fake/matmul", ("autodiff", work_of_autodiff)), pool, Budget(quick=True), limits)
    relu = 64 * 16
    assert row["cost"]["flops"] == 2 * 64 * 32 * 16 + relu
    assert row["cost"]["operand_bytes"] == 4 * (64 * 32 + 32 * 16 + 2 * relu)  # the transposed view counts once
    assert row["cost"]["itemsize"] == 4
    assert row["limit"] == {"seconds": pytest.approx(row["cost"]["flops"] / 1e6), "bound": "flops"}


def test_the_limit_of_a_compiled_function_is_the_sum_over_its_instructions() -> None:
    levels = [{"name": "cache", "size": 10_000, **dict.fromkeys(STREAMS, 1e6)},
              {"name": "memory", "size": None, **dict.fromkeys(STREAMS, 1e3)}]
    limits = {"flops": {"float32": 1e9, "float64": 1.0}, "levels": levels}
    compiled = autodiff.compile(lambda x, y: (x.sum(), y.sum()))
    x, y = autodiff.ones(100), autodiff.ones(10_000)
    for _ in range(2):
        compiled(x, y)
    found = cost(autodiff, functools.partial(compiled, x, y))
    assert found["instructions"] == []  # only of what is compiled itself
    compiled = autodiff.compile(lambda: (x.sum(), y.sum()))
    for _ in range(2):
        compiled()
    works = cost(autodiff, compiled)["instructions"]
    assert [work["operand_bytes"] for work in works] == [404, 40_004]
    assert limit_in_turn(works, limits) == {"seconds": pytest.approx(404 / 1e6 + 40_004 / 1e3), "bound": "memory"}


def test_a_change_in_place_costs_what_it_touches() -> None:
    image, row = autodiff.zeros(100, 10), autodiff.ones(10)
    changes: list[tuple[Callable[[], Any], int]] = [
        (lambda: image.add_(image.t().t()), 3 * 4000),
        (lambda: image.fill_(1), 4000 + 4),  # the number has been expanded, and is read once
        (lambda: image.__setitem__(3, row), 2 * 40),  # the rest of the image stays where it is
    ]
    for change, moved in changes:
        assert cost(autodiff, change)["bytes"] == moved


def test_patterns() -> None:
    assert matches("train/resnet20/32", "train")
    assert matches("train/resnet20/32", "train/resnet20")
    assert matches("train/resnet20/32", "train/res*")
    assert matches("train/resnet20/32", "*/32")
    assert not matches("train/resnet20/32", "train/resnet2")
    with pytest.raises(SystemExit, match="no case matches 'trian'"):
        selected(["trian"], quick=False)


@pytest.mark.parametrize(("result", "expected"), [
    ({"ratio": 1.2, "low": 1.1, "high": 1.3}, 1),
    ({"ratio": 1.2, "low": 0.9, "high": 1.3}, 0),
    ({"ratio": 1.01, "low": 1.005, "high": 1.02}, 0),
    ({"ratio": 0.9, "low": 0.8, "high": 0.95}, -1),
    ({"ratio": None, "low": None, "high": None}, 0),
])
def test_what_counts_as_moved(result: dict[str, Any], expected: int) -> None:
    assert revision.moves(result) == expected


def test_a_difference_is_confirmed_by_new_processes(library: Callable[..., Contender]) -> None:
    now, same, slower = library("now", 0.001), library("same", 0.001), library("slower", 0.0015)
    both = case("fake/all", ("autodiff", build))
    with Pool((now, same), 1) as pool:
        assert not revision.confirmed(both, pool, Budget(quick=True))[1]
    with Pool((now, slower), 1) as pool:
        row, moved = revision.confirmed(both, pool, Budget(quick=True))
    assert moved
    assert revision.sentence(row, "slower") == "fake/all, 1 threads: time is now 0.67 of what it was (0.67 to 0.67)"


def test_a_revision_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="there is no commit 'no-such' here"):
        revision.requested("no-such")
    (tmp_path / "old.json").write_text("[]")
    with pytest.raises(SystemExit, match="is not a results file"):
        revision.requested(str(tmp_path / "old.json"))
