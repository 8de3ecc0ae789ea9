"""What moved between another revision and the code at hand: both run side by side, then again where they differ.

A process has properties that last as long as it does, such as where its memory lies, and they move small timings by a
few percent. So a difference counts only if it is found again, in the same direction, by two more pairs of processes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from autodiff.utils.benchmark import Contender
from benchmarks.case import Case
from benchmarks.run import Budget, Pool, Results, Row, measure

ROOT = Path(__file__).parent.parent
NOISE = 0.03  # differences below this are not looked for


def compare(other: str, cases: Sequence[Case], threads: Sequence[int], budget: Budget, out: Path) -> int:
    """Run the cases on this code and on another revision, print what moved, and write ``compare.json``.

    Args:
        other: a git revision, or a results file: then its revision, on the cases that it holds.
        cases: what to run.
        threads: for each of these numbers of threads.
        budget: how long.
        out: folder of the results.

    Returns:
        0, also if something moved.

    Raises:
        SystemExit: if the revision cannot be had.
    """
    revision, names = requested(other)
    cases = [case for case in cases if "autodiff" in case.builds and (names is None or case.name in names)]
    if not cases:
        raise SystemExit(f"none of the selected cases is in {other}")
    with library(revision) as path:
        old = Contender(f"autodiff {revision[:10]}", "autodiff", path=path)
        now = Contender("autodiff")
        results = Results(out / "compare.json", {"revision": revision, "command": " ".join(sys.argv)})
        moved = done = 0
        with tqdm(total=len(cases) * len(threads), unit="case") as bar, contextlib.suppress(KeyboardInterrupt):
            for count in threads:
                with Pool((now, old), count) as pool:
                    for case in cases:
                        row, found = confirmed(case, pool, budget)
                        results.add({**row, "moved": found})
                        done += 1
                        moved += found
                        if found:
                            bar.write(sentence(row, old.name))
                        elif problem(row):
                            bar.write(f"{row['case']}, {count} threads: {problem(row)}")
                        bar.update()
        results.save()
    print(f"{moved} of {done} rows moved beyond noise since {revision[:10]}. {results.path}")
    return 0


def confirmed(case: Case, pool: Pool, budget: Budget) -> tuple[Row, bool]:
    """Measure a case on both revisions, longer in new processes if it seems to move, and return whether it did."""
    _, old = pool.contenders
    pair = dataclasses.replace(case, builds=dict.fromkeys(pool.contenders, case.builds["autodiff"]))
    row = measure(pair, pool, budget)
    direction = moves(row["results"][old])
    if not direction:
        return row, False
    for _ in range(2):
        with Pool(pool.contenders.values(), pool.threads) as fresh:
            row = measure(pair, fresh, Budget(quick=False))
        if moves(row["results"][old]) != direction:
            return row, False
    return row, True


def moves(result: dict[str, Any]) -> int:
    """Return 1 if the code at hand is faster than the other revision beyond noise, -1 if slower, 0 otherwise."""
    if result["ratio"] is None:
        return 0
    if result["low"] > 1 and result["ratio"] > 1 + NOISE:
        return 1
    return -1 if result["high"] < 1 and result["ratio"] < 1 - NOISE else 0


def sentence(row: Row, name: str) -> str:
    """Say how a row moved."""
    result = row["results"][name]
    ratio, low, high = result["ratio"], result["low"], result["high"]
    word = "memory" if row["measure"] == "bytes" else "time"
    return (f"{row['case']}, {row['threads']} threads: {word} is now {1 / ratio:.2f} of what it was "
            f"({1 / high:.2f} to {1 / low:.2f})")


def problem(row: Row) -> str:
    """Return what kept a row from being compared, or nothing."""
    return "; ".join(
        f"{name} {result['status']}: {result['message']}" for name, result in row["results"].items()
        if result["status"] not in ("ok", "not timed")
    )


def requested(other: str) -> tuple[str, set[str] | None]:
    """Return the commit that `other` names, and the cases of a results file.

    Raises:
        SystemExit: if there is no such commit.
    """
    names = None
    revision = other
    if other.endswith(".json"):
        try:
            data = json.loads(Path(other).read_text())
            revision, names = data["commit"], {row["case"] for row in data["rows"]}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SystemExit(f"{other} is not a results file: {error!r}") from None
        if data.get("dirty"):
            print(f"{other} was measured with uncommitted changes; comparing with its commit", file=sys.stderr)
    commit = git("rev-parse", "--verify", "--quiet", revision + "^{commit}")
    if not commit:
        raise SystemExit(f"--compare {other}: there is no commit '{revision}' here, or this is no git checkout")
    return commit, names


def git(*arguments: str) -> str:
    """Return what a git command prints; empty where it fails."""
    try:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


@contextlib.contextmanager
def library(revision: str) -> Iterator[tuple[str, str]]:
    """Write the packages of a revision, and nothing else of it, to a temporary folder; yield where modules are found.

    The cases are those of the code at hand, for both.
    """
    command = ["git", "archive", revision, "autodiff", "kernels"]
    packed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    with tempfile.TemporaryDirectory(prefix="autodiff-revision-") as folder:
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
            archive.extractall(folder, filter="data")
        yield folder, str(Path(folder, "kernels"))
