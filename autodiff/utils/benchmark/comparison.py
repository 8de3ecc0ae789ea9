"""`compare`: the same work in several libraries, timed side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from autodiff.utils.benchmark.contender import Contender, Worker, pickled
from autodiff.utils.benchmark.rounds import Result, Tolerance, contest
from autodiff.utils.benchmark.timer import duration

Build = Callable[[Any], Any]


class Comparison:
    """What `compare` found. `print` shows it as a table.

    Attributes:
        results: contender -> `Result`, in the order given.
        threads: how many threads each had.
    """

    def __init__(self, results: Mapping[str, Result], threads: int) -> None:
        self.results = dict(results)
        self.threads = threads

    def __repr__(self) -> str:
        first = next(iter(self.results))
        width = max(len(name) for name in self.results)
        noun = "thread" if self.threads == 1 else "threads"
        lines = [f"{'':{width}}  {'a call':>10}  {'first call':>10}  {'peak':>8}  time / {first}'s   "
                 f"({self.threads} {noun})"]
        for name, result in self.results.items():
            if result.value is None:
                lines.append(f"{name:{width}}  {result.status}" + (f": {result.message}" if result.message else ""))
                continue
            ratio = "1" if name == first else ""
            if result.ratio is not None:
                ratio = f"{result.ratio:.2f} ({result.low:.2f} to {result.high:.2f})"
            peak = "" if result.peak is None else f"{result.peak / 1e6:.0f} MB"
            first_call = "" if result.first is None else duration(result.first)
            lines.append(f"{name:{width}}  {duration(result.value):>10}  {first_call:>10}  {peak:>8}  {ratio}")
        return "\n".join(lines)


def compare(
    build: Build | Mapping[str, Build],
    contenders: Sequence[str | Contender] = ("autodiff", "torch"),
    *,
    threads: int = 1,
    tolerance: Tolerance = 1e-4,
    seconds: float = 1.0,
) -> Comparison:
    """Time the same work in several libraries, side by side, after a check that they compute the same.

    Each library gets a process of its own, on the same cores and with as many threads. The processes take turns in
    short rounds, A B B A, so that a busy machine slows all alike; the ratio is the median over the rounds, with a
    bootstrap 95% interval. A contender whose answers differ is reported as wrong and not timed.

    Args:
        build: a function that is called in each process with the imported module. It returns the function to time; or
            that and a function which returns the answers to compare. Answers are tensors or arrays, nested in tuples,
            lists and dictionaries; without the second function they are what the first call returned. Instead of one
            function for all, a mapping from contender to function may be given. Each must stand at the top of a file,
            as another process has to find it.
        contenders: names of modules, or `Contender` objects. The ratios are against the first.
        threads: threads of each library.
        tolerance: largest difference between answers, relative to the largest magnitude in the answer. Or one for each
            beginning of their names, as in ``{"": 1e-4, "gradients": 1e-2}``: the longest that fits holds.
        seconds: time to spend on each contender.

    Raises:
        TypeError: if `build` cannot be sent to another process.
        ValueError: if there are no contenders, two have one name, one lacks a build, `threads` is not positive, or
            the tolerances have none for all other answers.

    Example, a file ``mine.py``::

        import numpy as np
        from autodiff.utils.benchmark import compare

        def training(torch):                        # torch is autodiff in one process and PyTorch in the other
            model = torch.nn.Linear(64, 1)
            with torch.no_grad():                   # the same weights in both
                model.weight.fill_(0.01), model.bias.zero_()
            x = torch.tensor(np.random.default_rng(0).standard_normal((128, 64)).astype("float32"))

            def step():
                model.zero_grad()
                loss = model(x).square().mean()
                loss.backward()
                return loss, model.weight.grad

            return step

        if __name__ == "__main__":                  # the other processes run this file, too
            print(compare(training))

    >>> from autodiff.utils.benchmark import compare
    >>> compare(lambda torch: torch.ones, ["autodiff"])
    Traceback (most recent call last):
    TypeError: <function <lambda> at ...> cannot be sent to another process (...); compare needs a function that ...
    """
    entrants = [Contender(entry) if isinstance(entry, str) else entry for entry in contenders]
    names = [entry.name for entry in entrants]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"compare needs contenders with different names, got {names}")
    builds = dict(build) if isinstance(build, Mapping) else dict.fromkeys(names, build)
    lacking = [name for name in names if name not in builds]
    if lacking:
        raise ValueError(f"compare got no function to build for {', '.join(lacking)}; it has {', '.join(builds)}")
    if threads < 1:
        raise ValueError(f"compare needs a positive number of threads, got {threads}")
    if isinstance(tolerance, Mapping) and "" not in tolerance:
        raise ValueError(f"compare needs a tolerance for '', all other answers; got those for {', '.join(tolerance)}")
    for name in names:
        pickled(builds[name])
    with ExitStack() as stack:
        workers = {
            entry.name: stack.enter_context(Worker(entry, threads)) for entry in entrants if entry.installed
        }
        results = contest({name: builds[name] for name in names}, workers, tolerance=tolerance, seconds=seconds)
    return Comparison(results, threads)
