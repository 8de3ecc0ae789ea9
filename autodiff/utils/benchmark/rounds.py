"""Contenders take turns: the check that they compute the same, then short rounds in the order A B B A.

A machine that is shared or changes its clock slows neighbouring rounds alike. So the figure of a contender against the
first is the median of the ratios of rounds that ran side by side, and its uncertainty is that of the median.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autodiff.utils.benchmark.contender import ContenderError, Worker

Tolerance = float | Mapping[str, float]

ROUND = 0.02  # seconds: long against the clock's resolution, short against the machine's moods
# Seconds of a round -> rounds that say enough: a long one holds many of the machine's moods.
ENOUGH = {0.3: 3, 2.0: 2}
MOST_ROUNDS = 30


@dataclass
class Result:
    """What a contender did.

    Attributes:
        status: ``"ok"``, ``"wrong"`` (it computed something else than the others), ``"failed"``, ``"not installed"``
            or ``"not timed"`` (the first contender was wrong or failed, so there is nothing to compare with).
        message: what went wrong.
        rounds: mean seconds of a call in each round.
        value: median seconds of a call.
        first: seconds of the first call, which traces or compiles.
        peak: largest memory of the process while the function was built and called once, over what it held before, in
            bytes.
        ratio: its time divided by the first contender's: above 1, the first is faster. Median over the rounds.
        low, high: bootstrap 95% interval of the ratio; of five rounds or fewer it is the range of all of them.
        difference: largest difference of an answer from the reference's, relative to the largest magnitude in it.
    """

    status: str = "ok"
    message: str | None = None
    value: float | None = None
    rounds: list[float] = field(default_factory=list)
    first: float | None = None
    peak: int | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    difference: float | None = None


def contest(
    builds: Mapping[str, Callable[[Any], Any]],
    workers: Mapping[str, Worker],
    *,
    tolerance: Tolerance,
    seconds: float,
    fewest: int = 5,
    timed: bool = True,
) -> dict[str, Result]:
    """Check and time one function for each contender.

    Args:
        builds: contender -> function that builds what is timed; the ratios are against the first.
        workers: contender -> its process. A contender without one is not installed.
        tolerance: largest relative difference between answers; one for all, or by the beginning of their names.
        seconds: time to spend on each contender's rounds.
        fewest: rounds at least, however long they take; but three are enough of rounds over 0.3 seconds, two over 2.
        timed: whether to run the rounds; otherwise only the first call is measured.

    Returns:
        A result for each contender. The workers hold what they built until they build something else.
    """
    results = {name: Result() for name in builds}
    answers: dict[str, dict[str, Any]] = {}
    for name, build in builds.items():
        result = results[name]
        if name not in workers:
            result.status = "not installed"
            continue
        try:
            result.first, result.peak = workers[name].build(build)
            answers[name] = workers[name].answers()
        except ContenderError as error:
            result.status, result.message = "failed", str(error)
    check(answers, results, tolerance)
    first = next(iter(builds))
    ready = [name for name, result in results.items() if result.status == "ok"]
    if results[first].status in ("wrong", "failed"):
        for name in ready:
            results[name].status = "not timed"
            results[name].message = f"{first} is not there to compare with"
    elif timed:
        take_turns(first, ready, workers, results, seconds, fewest)
    return results


def check(answers: Mapping[str, Mapping[str, Any]], results: Mapping[str, Result], tolerance: Tolerance) -> None:
    """Mark the contenders whose answers differ from the second's, which is the reference: the first is in question."""
    if len(answers) < 2:
        return
    reference = list(answers)[1]
    for name, found in answers.items():
        if name == reference:
            continue
        shared = [key for key in answers[reference] if key in found]
        distances = {key: difference(found[key], answers[reference][key]) for key in shared}
        results[name].difference = max(distances.values(), key=lambda x: math.inf if math.isnan(x) else x, default=None)
        off = [key for key in shared if not distances[key] <= allowed(tolerance, key)]  # NaN is off
        if not shared:
            results[name].status = "wrong"
            results[name].message = f"it and {reference} have no answer in common"
        elif off:
            results[name].status = "wrong"
            results[name].message = (f"'{off[0]}' differs from {reference}'s by {distances[off[0]]:.1e} "
                                     f"(allowed: {allowed(tolerance, off[0]):.0e})")


def allowed(tolerance: Tolerance, name: str) -> float:
    """Return the tolerance of an answer: that of the longest beginning of its name."""
    if not isinstance(tolerance, Mapping):
        return tolerance
    return tolerance[max((start for start in tolerance if name.startswith(start)), key=len, default="")]


def difference(found: Any, expected: Any) -> float:
    """Return the largest difference of two arrays, relative to the largest magnitude in the second.

    It is NaN if they differ in shape, or in where they are not finite.
    """
    try:
        found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    except (TypeError, ValueError):  # not numbers
        return math.nan
    if found.shape != expected.shape:
        return math.nan
    finite = np.isfinite(expected)
    if not np.array_equal(found[~finite], expected[~finite], equal_nan=True):
        return math.nan
    found, expected = found[finite], expected[finite]
    if not found.size:
        return 0.0
    scale = float(np.max(np.abs(expected)))
    return float(np.max(np.abs(found - expected))) / (scale or 1.0)


def take_turns(
    first: str,
    names: list[str],
    workers: Mapping[str, Worker],
    results: Mapping[str, Result],
    seconds: float,
    fewest: int,
) -> None:
    """Fill in the rounds of the contenders that can be timed, and their ratios to the first, if that is one of them."""
    calls: dict[str, int] = {}
    taken: dict[str, float] = {}
    for name in list(names):
        try:
            calls[name], taken[name] = calibrate(workers[name])
        except ContenderError as error:
            fail(name, names, results, error)
    longest = max(taken.values(), default=0.0)
    enough = [rounds for least, rounds in ENOUGH.items() if longest > least]
    fewest, begun = min([fewest, *enough]), 1 if enough else 0
    if enough:  # minutes go by in such cases: what calibrated them is their first round
        for name in names:
            results[name].rounds.append(taken[name] / calls[name])
    for turn in range(begun, max(fewest, min(MOST_ROUNDS, int(seconds / max(longest, 1e-9))))):
        for name in list(names if turn % 2 == 0 else reversed(names)):
            try:
                results[name].rounds.append(workers[name].round(calls[name]))
            except ContenderError as error:
                fail(name, names, results, error)
    for name in names:
        rounds = results[name].rounds
        results[name].value = float(np.median(rounds))
        if name != first and first in names:
            ratios = np.array(rounds) / np.array(results[first].rounds)
            results[name].ratio, results[name].low, results[name].high = interval(ratios)


def fail(name: str, names: list[str], results: Mapping[str, Result], error: Exception) -> None:
    """Take a contender that failed out of the contest."""
    names.remove(name)
    results[name].status, results[name].message, results[name].rounds = "failed", str(error), []


def calibrate(worker: Worker) -> tuple[int, float]:
    """Return the number of calls that fill a round, and the seconds that such a round takes.

    Of a few calls the shortest of three rounds counts: one that something interrupted says nothing of them.
    """
    calls = 1
    while True:
        taken = calls * worker.round(calls)
        if calls < 10 and taken < 10 * ROUND:
            taken = min(taken, *(calls * worker.round(calls) for _ in range(2)))
        if taken >= ROUND / 2:
            return calls, taken
        calls = min(calls * 10, math.ceil(calls * ROUND / max(taken, 1e-9)))


def interval(ratios: Any, confidence: float = 0.95) -> tuple[float, float, float]:
    """Return the median and its bootstrap interval (Efron & Tibshirani 1993, section 13.3: the percentile interval)."""
    rng = np.random.default_rng(0)
    draws = np.median(rng.choice(ratios, (1000, len(ratios))), axis=1)
    low, high = np.quantile(draws, ((1 - confidence) / 2, (1 + confidence) / 2))
    return float(np.median(ratios)), float(low), float(high)
