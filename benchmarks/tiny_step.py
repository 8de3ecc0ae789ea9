"""What an eager training step costs when the numbers cost nothing: a 2-32-32-1 tanh net on 32 samples.

    python benchmarks/tiny_step.py [--rounds N]

Times forward + backward, and a whole step with Adam, through modules, beside PyTorch where it is installed (one thread
each). The two take turns in short rounds, so that a busy machine slows both alike; the figure is the median of the
rounds' ratios, with the quartiles beside it.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np

STEPS = 100  # steps a round


def workload(torch: Any) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return forward + backward, and a step with Adam, written for either library."""
    nn = torch.nn
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))
    rng = np.random.default_rng(0)
    x = torch.tensor(rng.standard_normal((32, 2)).astype(np.float32))
    y = torch.tensor(rng.standard_normal((32, 1)).astype(np.float32))
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def forward_backward() -> None:
        model.zero_grad()
        criterion(model(x), y).backward()

    def step() -> None:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()

    return forward_backward, step


def microseconds(function: Callable[[], None]) -> float:
    """Return the time of one call, averaged over a round."""
    start = time.perf_counter()
    for _ in range(STEPS):
        function()
    return (time.perf_counter() - start) / STEPS * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    rounds = parser.parse_args().rounds
    import autodiff.nn
    import autodiff.optim

    ours = workload(autodiff)
    theirs = None
    if importlib.util.find_spec("torch") is not None:
        import torch

        torch.set_num_threads(1)
        theirs = workload(torch)
    for number, name in enumerate(("forward + backward", "step with Adam")):
        for pair in (ours, theirs):
            if pair is not None:
                microseconds(pair[number])
        times = []
        for turn in range(rounds):
            order = (ours, theirs) if turn % 2 else (theirs, ours)
            taken = {id(pair): microseconds(pair[number]) for pair in order if pair is not None}
            times.append((taken[id(ours)], taken.get(id(theirs), float("nan"))))
        mine, other = np.array(times).T
        line = f"{name:>20}: autodiff {np.median(mine):6.1f} us"
        if theirs is None:
            line += ", PyTorch not installed"
        else:
            low, middle, high = np.percentile(mine / other, (25, 50, 75))
            line += f", PyTorch {np.median(other):6.1f} us, ratio {middle:.2f} (quartiles {low:.2f} to {high:.2f})"
        print(line)


if __name__ == "__main__":
    main()
