"""`python -m benchmarks`: run suites beside the peers that are installed, and write a JSON file and a page.

    python -m benchmarks                           every suite, on one thread and on all
    python -m benchmarks train ops/softmax --quick
    python -m benchmarks 'kernels/matmul/*' --threads 1 --without jax
    python -m benchmarks train --compare v0.2      what moved since then

A pattern is a suite, the beginning of a case's name up to a slash, or a pattern with * and ? for whole names.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import fnmatch
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from autodiff import machine
from autodiff.threads import cores
from autodiff.utils.benchmark import Contender
from benchmarks import report, revision
from benchmarks.case import Case
from benchmarks.contenders import CONTENDERS
from benchmarks.run import Budget, Results, Row, run

SUITES = ("train", "kernels", "ops", "overhead", "scaling", "graph", "startup", "memory", "bits")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    found = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument("patterns", nargs="*", metavar="suite", help=f"{', '.join(SUITES)}, or a pattern of case names")
    found.add_argument("--quick", action="store_true",
                       help="a selection of the cases with short rounds, on all cores, no torch.compile: five minutes")
    found.add_argument("--threads", type=int, metavar="N",
                       help="threads of each library (default: 1, then all cores; of --quick: all)")
    found.add_argument("--without", action="append", default=[], metavar="CONTENDER",
                       help=f"leave one out: {', '.join(entry.name for entry in CONTENDERS[1:])}")
    found.add_argument("--out", type=Path, default=Path("out/benchmarks"), metavar="DIR",
                       help="where results.json and index.html go (default: out/benchmarks)")
    found.add_argument("--compare", metavar="JSON|REVISION",
                       help="run this code and that of a git revision, or of the one that a results file is of, "
                            "side by side instead of the peers")
    found.add_argument("--list", action="store_true", help="print the names of the selected cases and stop")
    return found


def selected(patterns: Sequence[str], quick: bool) -> list[Case]:
    """Return the cases that the patterns name, in the order of the suites.

    Raises:
        SystemExit: if a pattern names none.
    """
    cases = [case for name in SUITES for case in importlib.import_module(f"benchmarks.suites.{name}").cases()]
    for pattern in patterns:
        if not any(matches(case.name, pattern) for case in cases):
            raise SystemExit(f"no case matches '{pattern}'. The suites are {', '.join(SUITES)}; "
                             "python -m benchmarks SUITE --list prints the names of their cases.")
    chosen = [case for case in cases if not patterns or any(matches(case.name, pattern) for pattern in patterns)]
    if quick and not any(case.quick for case in chosen):
        raise SystemExit(f"{chosen[0].name} is not part of quick runs: leave --quick out")
    return [case for case in chosen if case.quick or not quick]


def matches(name: str, pattern: str) -> bool:
    """Tell whether a pattern names a case."""
    return name.startswith(pattern.rstrip("/") + "/") or fnmatch.fnmatchcase(name, pattern)


def without(cases: Sequence[Case], contenders: Sequence[Contender]) -> list[Case]:
    """Return the cases with only the given contenders."""
    names = {entry.name for entry in contenders}
    return [
        dataclasses.replace(case, builds={name: build for name, build in case.builds.items() if name in names})
        for case in cases
    ]


def head(arguments: argparse.Namespace, contenders: Sequence[Contender], threads: Sequence[int]) -> dict[str, Any]:
    """Return what the results say of the run as a whole, the machine's limits measured now."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": revision.git("rev-parse", "HEAD"),
        "dirty": bool(revision.git("status", "--porcelain", "--untracked-files=no")),
        "command": " ".join(["python -m benchmarks", *sys.argv[1:]]),
        "quick": arguments.quick,
        "machine": machine.measure(threads, quick=arguments.quick),
        "versions": machine.versions(),
        "contenders": [entry.name for entry in contenders],
        "missing": {entry.name: f"no module '{entry.module}'" for entry in contenders if not entry.installed},
    }


def main() -> int:
    """Run what the command line asks for; return the exit code."""
    arguments = parser().parse_args()
    unknown = sorted(set(arguments.without) - {entry.name for entry in CONTENDERS[1:]})
    if unknown:
        raise SystemExit(f"--without {unknown[0]}: the contenders are {', '.join(e.name for e in CONTENDERS[1:])}")
    most = len(cores())
    if arguments.threads is not None and not 1 <= arguments.threads <= most:
        raise SystemExit(f"--threads {arguments.threads}: this process may use 1 to {most} cores")
    cases = selected(arguments.patterns, arguments.quick)
    if arguments.list:
        print("\n".join(case.name for case in cases))
        return 0
    left_out = {*arguments.without, *(["torch.compile"] if arguments.quick else [])}
    contenders = [entry for entry in CONTENDERS if entry.name not in left_out]
    threads = [arguments.threads] if arguments.threads else [most] if arguments.quick else sorted({1, most})
    budget = Budget(arguments.quick)
    if arguments.compare:
        return revision.compare(arguments.compare, cases, threads, budget, arguments.out)
    print("Measuring the machine's limits", file=sys.stderr)
    results = Results(arguments.out / "results.json", head(arguments, contenders, threads))
    code = 0
    with tqdm(total=len(cases) * len(threads), unit="case") as bar:

        def shown(row: Row) -> None:
            bar.write(report.line(row))
            bar.update()

        try:
            run(without(cases, contenders), contenders, threads, budget, results, shown)
        except KeyboardInterrupt:
            code = 130
    page = arguments.out / "index.html"
    page.write_text(report.page(results.data), encoding="utf-8")
    print(report.summary(results.data))
    print(f"{'Interrupted. ' if code else ''}{results.path} and {page}")
    return code


if __name__ == "__main__":
    sys.exit(main())
