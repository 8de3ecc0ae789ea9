"""Measures how fast the machine could be at most: multiply-adds in registers, streams through each level of memory.

A limit is a maximum, so each figure is the best of many short runs, and those are spread over the whole measurement:
a machine that is busy for half a second spoils some runs of every figure and not all runs of one.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from autodiff.machine.description import description, memory
from autodiff.machine.kernels import CHAINS, STREAMS, UNROLL, Kernels
from autodiff.threads import cores, get_num_threads

SECONDS = {True: 1.5, False: 5.0}  # of the measurement, by whether it is a quick one
RUN = 0.002  # seconds of one run: long against waking up a thread
PAGE = 4096
SKEW = 640  # operands start at different places of a page: equal ones collide in caches and store buffers


def measure(threads: Sequence[int], quick: bool = False) -> dict[str, Any]:
    """Describe the machine and measure its limits, in a process of its own. Takes 4 s (`quick`) to 10 s.

    Returns:
        "cpu", "cores", "memory" (bytes), "system", "vector_bytes", and "limits": for each number of threads, as a
        string, "flops" (dtype -> FLOP/s) and "levels": a list, smallest level first, of "name", "size" (the bytes that
        it holds for this many cores; None for memory) and bytes a second, read and written, of each of ``STREAMS``.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(measured, sorted(set(threads)), SECONDS[quick]).result()


def limits_here() -> dict[str, Any]:
    """Return the limits of this machine for the number of threads that operations use here, measured once a process.

    It takes some 2 s, on a machine that does nothing else. `autodiff.viz.draw` shows shares of the roofline by them.
    """
    return _limits_of(get_num_threads())


@cache
def _limits_of(threads: int) -> dict[str, Any]:
    # In this process: another one would run the script of a user who calls this outside of any function.
    limits: dict[str, Any] = measured([threads], SECONDS[True])["limits"][str(threads)]
    return limits


def measured(threads: Sequence[int], seconds: float) -> dict[str, Any]:
    """Do what ``measure`` says, in this process, for this many seconds besides the time to compile."""
    from autodiff_kernels.cpu import VECTOR_BYTES

    kernels = Kernels(VECTOR_BYTES)
    teams = [Team(count) for count in threads]
    probes = {team.threads: team_probes(team, kernels) for team in teams}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for team in teams:
            for probe in probes[team.threads]:
                probe.run(team)
    limits = {str(team.threads): summary(team, probes[team.threads]) for team in teams}
    for team in teams:
        team.close()
    return {**description(), "vector_bytes": VECTOR_BYTES, "limits": limits}


class Team:
    """Threads on cores of their own, each with memory of its own, which start together."""

    def __init__(self, threads: int) -> None:
        from autodiff_kernels.cpu import caches

        available = cores()
        self.threads = threads
        self.cores = [available[i % len(available)] for i in range(threads)]
        self.caches = caches(sorted(set(self.cores)))
        self.working_sets = working_sets(self.caches, threads)
        self.barrier = threading.Barrier(threads)
        self.pools = [ThreadPoolExecutor(1) for _ in self.cores]
        size = self.working_sets["memory"] + 3 * (SKEW + PAGE)
        places = [pool.submit(prepare, core, size) for pool, core in zip(self.pools, self.cores)]
        self.arenas = [place.result() for place in places]
        self.starts = [-(-arena.ctypes.data // PAGE) * PAGE for arena in self.arenas]

    def run(self, work: Callable[[int], None]) -> float:
        """Let each thread call `work` with the address of its memory; return the seconds until all are done."""
        def timed(start: int) -> tuple[float, float]:
            self.barrier.wait()
            begin = time.perf_counter()
            work(start)
            return begin, time.perf_counter()

        times = [future.result() for future in [
            pool.submit(timed, start) for pool, start in zip(self.pools, self.starts)
        ]]
        return max(end for _, end in times) - min(begin for begin, _ in times)

    def close(self) -> None:
        """End the threads."""
        for pool in self.pools:
            pool.shutdown()


def prepare(core: int, size: int) -> Any:
    """Bind this thread to a core and return memory that it was the first to touch."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    return np.ones(size // 4, np.float32)


def working_sets(capacities: dict[str, int], threads: int) -> dict[str, int]:
    """Return the bytes that each thread goes through to measure each level.

    They lie half-way, on a logarithmic scale, between what the level below holds and what this one does: too much for
    the one, and for the other little enough to stay.
    """
    shares = {level: size // threads for level, size in capacities.items()}
    found = {}
    below = 0
    for level, share in shares.items():
        found[level] = math.isqrt(below * share) if below else share // 2
        below = share
    # Several times what the last level holds, unless that is a large part of the machine's memory.
    found["memory"] = min(max(4 * sum(capacities.values()), 128 << 20), memory() // 8) // threads
    return found


@dataclass
class Probe:
    """A function and what it does in one repetition, in flops or bytes, with the best rate so far."""

    level: str  # or "registers"
    name: str
    function: Callable[[int, int], None]  # address of the memory, repetitions
    work: int
    repeats: int = 1
    best: float = 0.0

    def run(self, team: Team) -> None:
        """Run once and keep the rate if it is the best; the next run is longer if this one was too short."""
        seconds = team.run(lambda start: self.function(start, self.repeats))
        self.best = max(self.best, self.work * self.repeats * team.threads / seconds)
        if seconds < RUN:
            self.repeats *= 4


def team_probes(team: Team, kernels: Kernels) -> list[Probe]:
    """Return all that is measured for a number of threads."""
    probes = [arithmetic(kernels, bits) for bits in (32, 64)]
    for level, size in team.working_sets.items():
        probes += [traffic(kernels, name, level, size) for name in STREAMS]
    return probes


def arithmetic(kernels: Kernels, bits: int) -> Probe:
    """Return a probe of multiply-adds."""
    turns = 1000
    function = kernels.function(f"float{bits}")

    def run(start: int, repeats: int) -> None:
        function(start, start + PAGE, turns * repeats)

    return Probe("registers", f"float{bits}", run, 2 * CHAINS * (8 * kernels.width // bits) * turns)


def traffic(kernels: Kernels, name: str, level: str, size: int) -> Probe:
    """Return a probe of a stream through `size` bytes."""
    function = kernels.function(name)
    moved, operands = STREAMS[name]
    turn = UNROLL * kernels.width
    each = size // operands // turn * turn

    def run(start: int, repeats: int) -> None:
        function(start, start + each + SKEW, start + 2 * (each + SKEW), each, repeats)

    return Probe(level, name, run, moved * each)


def summary(team: Team, probes: list[Probe]) -> dict[str, Any]:
    """Return the limits that the probes found."""
    levels: dict[str, Any] = {level: {"name": level, "size": team.caches.get(level)} for level in team.working_sets}
    for probe in probes[2:]:
        levels[probe.level][probe.name] = probe.best
    return {"flops": {probe.name: probe.best for probe in probes[:2]}, "levels": list(levels.values())}
