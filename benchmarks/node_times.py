"""Whether the times of a measured program add up to that of a step that is timed by itself.

    python -m benchmarks.node_times [--threads 1] [--rounds 5]

For each workload, eager and compiled, it prints a row of a table: the time of a step (of a block of steps, before and
after each measurement), and what part of it `autodiff.measure` gives to operations, to the overhead of the call, and to
both together. Each figure is the median over the rounds. On a machine that does nothing else the last one is 1 within a
tenth.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import Any, NamedTuple

import autodiff as ad
from autodiff.utils.benchmark import Timer
from autodiff.utils.benchmark.timer import duration
from benchmarks.training import Training, torch_build
from benchmarks.workloads import gpt, language, lenet, mlp, resnet

SECONDS = 0.5  # of the steps before and after a measurement
WORKLOADS: dict[str, tuple[Callable[[Any], Training], str]] = {
    "MLP 2-32-32-1, batch 32, Adam": (mlp.tiny_torch_like, "adam"),
    "MLP 784-256-128-10, batch 128, Adam": (mlp.digits_torch_like, "adam"),
    "LeNet, batch 128, SGD": (lenet.torch_like, "sgd"),
    "ResNet-20, batch 32, SGD": (resnet.torch_like, "sgd"),
    "LSTM, Adam": (partial(language.torch_like, kind="LSTM"), "adam"),
    "GPT 3x128, batch 8, AdamW": (partial(gpt.torch_like, depth=3, width=128, heads=4, batch=8, length=64), "adamw"),
}


class Shares(NamedTuple):
    """What a measurement says of a step.

    Attributes:
        records: operations of the program.
        step: seconds of a step that is timed by itself.
        operations, overhead: their shares of it.
    """

    records: int
    step: float
    operations: float
    overhead: float


def shares(workload: Callable[[Any], Training], optimizer: str, compiled: bool) -> Iterator[Shares]:
    """Yield what one measurement after the other says of a workload's step."""
    step, _ = torch_build(ad, workload, optimizer, compiled=compiled)
    for _ in range(3):  # the second call of a compiled function records it
        step()
    timer = Timer(step)
    before = timer.blocked_autorange(SECONDS).median
    while True:
        program = ad.measure(step)
        after = timer.blocked_autorange(SECONDS).median
        seconds, overhead = program.columns["seconds"], program.overhead
        assert overhead is not None
        alone = (before + after) / 2
        yield Shares(len(program), alone, sum(seconds) / alone, overhead / alone)
        before = after


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.node_times", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of an operation (default: 1)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each workload (default: 5)")
    arguments = parser.parse_args()
    ad.set_num_threads(arguments.threads)
    print("| | | records | step | operations / step | overhead / step | sum / step |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for name, (workload, optimizer) in WORKLOADS.items():
        for compiled in (False, True):
            rounds = [found for found, _ in zip(shares(workload, optimizer, compiled), range(arguments.rounds))]
            records, step, operations, overhead = (median(column) for column in zip(*rounds, strict=True))
            together = median(found.operations + found.overhead for found in rounds)
            mode = "compiled" if compiled else "eager"
            print(f"| {name} | {mode} | {records:.0f} | {duration(step)} | {operations:.2f} | {overhead:.2f} "
                  f"| {together:.2f} |", flush=True)


if __name__ == "__main__":
    main()
