"""Runs cases: workers for the contenders, one row a case and number of threads, results on disk as they come."""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from autodiff import machine
from autodiff.utils.benchmark import Contender
from autodiff.utils.benchmark.contender import ContenderError, Worker
from autodiff.utils.benchmark.rounds import Result, contest
from benchmarks.case import Case
from benchmarks.cost import cost

Row = dict[str, Any]


class Pool:
    """The workers of all contenders for one number of threads. A context manager."""

    def __init__(self, contenders: Iterable[Contender], threads: int) -> None:
        self.contenders = {entry.name: entry for entry in contenders}
        self.threads = threads
        self.workers: dict[str, Worker] = {}

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def workers_for(self, case: Case) -> dict[str, Worker]:
        """Return a worker that is alive for each installed contender of a case; where memory counts, a new one."""
        for name in case.builds:
            worker, entry = self.workers.get(name), self.contenders[name]
            if worker is not None and (entry.fresh or case.measure == "bytes" or not worker.alive):
                worker.close()
                worker = None
            if worker is None and entry.installed:
                self.workers[name] = Worker(entry, self.threads)
        return {name: self.workers[name] for name in case.builds if name in self.workers}

    def close(self) -> None:
        """End all workers."""
        with ExitStack() as stack:
            for worker in self.workers.values():
                stack.callback(worker.close)
        self.workers.clear()


class Budget:
    """How long a case may take: seconds for each contender's rounds, and rounds at least."""

    def __init__(self, quick: bool) -> None:
        self.seconds = 0.1 if quick else 1.0
        self.fewest = 2 if quick else 5


def measure(case: Case, pool: Pool, budget: Budget, limits: dict[str, Any] | None = None) -> Row:
    """Run a case and return its row."""
    workers = pool.workers_for(case)
    if case.measure == "bytes":
        load(case, workers)
    results = contest(
        case.builds, workers, tolerance=case.tolerance, seconds=budget.seconds, fewest=budget.fewest,
        timed=case.measure == "seconds",
    )
    if case.measure == "bytes":
        weigh(results)
    for name, result in results.items():
        if result.status == "not installed":
            result.message = f"no module '{pool.contenders[name].module}': benchmarks/README.md says how to install it"
    timed = case.measure != "bits"
    price = priced(workers.get("autodiff"), results.get("autodiff")) if limits and timed else None
    instructions = price.pop("instructions") if price else []
    row = {
        "case": case.name, "suite": case.suite, "threads": pool.threads, "measure": case.measure, "count": case.count,
        "sweep": case.sweep, "cost": price,
        "limit": machine.limit_in_turn(instructions or [price], limits) if price and limits else None,
        "results": {name: plain(result) for name, result in results.items()},
    }
    for worker in workers.values():
        if worker.alive:
            with contextlib.suppress(ContenderError):
                worker.drop()
    return row


def plain(result: Result) -> dict[str, Any]:
    """Return a result as JSON has it: that knows no NaN, the difference of answers that cannot be subtracted."""
    found = asdict(result)
    if result.difference is not None and not math.isfinite(result.difference):
        found["difference"] = None
    return found


def load(case: Case, workers: dict[str, Worker]) -> None:
    """Run a case once and let it go: what a library loads then is not part of the case's memory."""
    for name, worker in workers.items():
        with contextlib.suppress(ContenderError):  # the case itself will tell of it
            worker.build(case.builds[name])
            worker.drop()


def priced(worker: Worker | None, result: Result | None) -> dict[str, Any] | None:
    """Return what the case costs by autodiff's records; None where autodiff does not run it."""
    if worker is None or result is None or result.status != "ok":
        return None
    try:
        found: dict[str, Any] = worker.apply(cost)
        return found if found["flops"] or found["bytes"] else None
    except ContenderError:
        return None


def weigh(results: dict[str, Result]) -> None:
    """Make the peaks of memory the values, and their quotients the ratios."""
    first = next(iter(results.values()))
    for result in results.values():
        if result.status != "ok":
            continue
        result.value = None if result.peak is None else float(result.peak)
        if result is not first and result.peak and first.peak:
            result.ratio = result.low = result.high = result.peak / first.peak


class Results:
    """The results of a run: one JSON file, written anew while rows come in, so that an interrupted run keeps them."""

    def __init__(self, path: Path, head: dict[str, Any]) -> None:
        self.path = path
        self.data: dict[str, Any] = {"schema": 1, **head, "rows": []}
        self.written = self.seconds = 0.0
        self.save()

    def add(self, row: Row) -> None:
        """Append a row."""
        self.data["rows"].append(row)
        if time.monotonic() - self.written > 2 + 20 * self.seconds:  # it grows, and should not slow the run down
            self.save()

    def save(self) -> None:
        """Write the file; a reader never sees half of it."""
        start = time.monotonic()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        half = self.path.with_suffix(".part")
        half.write_text(json.dumps(self.data), encoding="utf-8")
        os.replace(half, self.path)
        self.written = time.monotonic()
        self.seconds = self.written - start


def run(
    cases: Sequence[Case],
    contenders: Sequence[Contender],
    threads: Iterable[int],
    budget: Budget,
    results: Results,
    shown: Callable[[Row], None],
) -> None:
    """Run all cases for each number of threads. `shown` is called with each row as it is done."""
    limits = results.data.get("machine", {}).get("limits", {})
    try:
        for count in threads:
            with Pool(contenders, count) as pool:
                for case in cases:
                    row = measure(case, pool, budget, limits.get(str(count)))
                    results.add(row)
                    shown(row)
    finally:
        results.save()
