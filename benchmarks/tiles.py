"""Measures shapes of a product's register tile, and writes `docs/tiles.md`; `autodiff_kernels.cpu.TILES` is the choice.

    python -m benchmarks.tiles [--file docs/tiles.md]

Each shape has a process and a cache folder of its own, in which it stands in that table. They are measured in turns,
the best of some rounds counts. One thread, float32. It takes some five minutes, most of them to compile.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from autodiff.machine.description import processor

FILE = Path(__file__).parent.parent / "docs" / "tiles.md"
SHAPES = ((4, 2), (5, 2), (6, 2), (8, 2), (10, 2), (12, 2), (14, 2), (4, 3), (6, 3), (8, 3), (4, 4), (5, 4), (6, 4))
HIGHEST = 8  # rows of the largest tile that `matmul.multiply` has all heights of
DEPTHS = (64, 256, 384)
SIZES = ((64, 64, 64), (128, 128, 128), (512, 512, 512), (50, 70, 90), (37, 130, 400), (100, 300, 200), (197, 333, 551))
ROUNDS = 6
SECONDS = 0.004  # of a run
REGISTERS = ((64, 32), (32, 16), (16, 16), (16, 32))  # AVX-512, AVX2, SSE2; NEON's, which x86 with AVX-512 has, too


def choose(vector_bytes: int, registers: int, shape: tuple[int, int], folder: str) -> None:
    """Prepare a new process: registers and tile are these."""
    os.environ |= {"AUTODIFF_VECTOR_BYTES": str(vector_bytes), "AUTODIFF_VECTOR_REGISTERS": str(registers),
                   "AUTODIFF_CACHE_DIR": folder}  # fmt: skip
    from autodiff_kernels import cpu

    cpu.TILES[vector_bytes, registers] = shape


def speed(run: Callable[[int], object], flops: int) -> float:
    """Return the GFLOP/s of `run(times)`, which does `flops` each time; processor time of this thread."""
    run(1)
    times = 1
    while True:
        start = time.thread_time()
        run(times)
        spent = time.thread_time() - start
        if spent >= SECONDS:
            return times * flops / spent / 1e9
        times = times * 2 if spent < SECONDS / 4 else int(times * SECONDS / spent * 1.2) + 1


def ones(count: int) -> Any:
    """Return float32 numbers that begin at a line of the cache."""
    array = np.ones(count + 16, np.float32)
    start = -array.ctypes.data // 4 % 16
    return array[start : start + count]


_compiled: list[Any] = []  # of this process


def tile_speed(depth: int) -> float:
    """Return the GFLOP/s of the bare tile: the same sums, rows and panel over and over."""
    from numba import njit

    from autodiff_kernels import lanes
    from autodiff_kernels.cpu import VECTOR_BYTES

    rows, row_bytes, tile = lanes.TILE_ROWS, lanes.TILE_VECTORS * VECTOR_BYTES, lanes.full_tile
    address = lanes.address

    @njit(error_model="numpy")
    def run(out: Any, a: Any, b: Any, depth: int, row: int, times: int) -> None:
        for _ in range(times):
            tile(out, address(out), address(a), address(b), 0, depth, row_bytes, row, 4, row_bytes, rows, 0, 0, 0)

    if not _compiled:
        _compiled.append(run)
    row = depth + 16  # rows a power of two apart would share places in the cache
    arrays = ones(rows * row_bytes // 4), ones(rows * row), ones(depth * row_bytes // 4)
    return speed(lambda times: _compiled[0](*arrays, depth, 4 * row, times), 2 * depth * rows * row_bytes // 4)


def product_speed(m: int, n: int, k: int) -> float:
    """Return the GFLOP/s of a product of matrices in C order, with Python's call of the kernel."""
    from autodiff_kernels import matmul

    out, a, b, none = ones(m * n), ones(m * k), ones(k * n), np.zeros(0, np.float32)
    no_sums = none, np.zeros(0)
    scratch = ones(matmul.matmul_scratch(m, n, k, k, 1, 4, 1))

    def run(times: int) -> None:
        for _ in range(times):
            matmul.matmul(out, scratch, *no_sums, a, b, none, none, none, 0, 1, 1, m, n, k, 0, 0, k, 1, 0, 0, n, 1,
                          0, 1)

    return speed(run, 2 * m * n * k)


def measure(vector_bytes: int, registers: int) -> dict[tuple[int, int], list[float]]:
    """Return for each shape that fits the GFLOP/s at each of `DEPTHS` and, up to `HIGHEST` rows, of `SIZES`."""
    shapes = [(rows, vectors) for rows, vectors in SHAPES if rows * vectors + vectors + 1 <= registers]
    with tempfile.TemporaryDirectory() as folder:
        spawn = multiprocessing.get_context("spawn")
        workers = {
            shape: ProcessPoolExecutor(1, spawn, choose, (vector_bytes, registers, shape, f"{folder}/{shape}"))
            for shape in shapes
        }
        best: dict[tuple[int, int], list[float]] = {}
        for _ in range(ROUNDS):
            found: dict[tuple[int, int], list[float]] = {shape: [] for shape in shapes}
            for depth in DEPTHS:
                for shape, worker in workers.items():
                    found[shape].append(worker.submit(tile_speed, depth).result())
            for size in SIZES:
                for shape, worker in workers.items():
                    if shape[0] <= HIGHEST:
                        found[shape].append(worker.submit(product_speed, *size).result())
            best = {shape: [max(pair) for pair in zip(best.get(shape, speeds), speeds, strict=True)]
                    for shape, speeds in found.items()}  # fmt: skip
        for worker in workers.values():
            worker.shutdown()
    return best


def table(vector_bytes: int, registers: int, speeds: dict[tuple[int, int], list[float]]) -> str:
    """Return the section of one width; the shape that `TILES` has is bold."""
    from autodiff_kernels.cpu import TILES

    heads = [f"depth {depth}" for depth in DEPTHS] + ["x".join(map(str, size)) for size in SIZES]
    lines = [f"## {registers} registers of {vector_bytes} bytes", "| rows x registers | " + " | ".join(heads) + " |",
             "|---|" + "---:|" * len(heads)]  # fmt: skip
    for shape, found in speeds.items():
        name = f"{shape[0]} x {shape[1]}"
        cells = [f"**{name}**" if shape == TILES[vector_bytes, registers] else name, *(f"{x:.1f}" for x in found)]
        lines.append("| " + " | ".join(cells + [""] * (1 + len(heads) - len(cells))) + " |")
    return "\n".join(lines)


HEAD = """\
# Register tiles

Written by `python -m benchmarks.tiles`. Measured: GFLOP/s of one thread in float32, the best of {rounds} rounds in
turns, on {name}.

A product's tile is some rows by some vector registers of sums, which stay in registers while it walks down its depth.
A step loads a row of the right factor, as many registers, and multiplies it by one number of each row of the left
factor; sums, that row and the number must fit into the registers. The first columns are the bare tile, with its
numbers in the nearest caches. The others are products of matrices in C order (m x n x k) by `matmul`, which has tiles
of up to {highest} rows in all heights. The chosen shapes, bold, stand in `autodiff_kernels.cpu.TILES`. Bits of
results do not depend on them, but for triangular systems.

A multiply-add takes some 4 cycles, and processors begin one, two or (Apple's) four in each: from 4, 8 or 16 sums on
none waits for another. Loads are the other limit: rows + registers of them for rows x registers multiply-adds. Beyond
that a shape matters by its edges, where a lower or a masked tile runs.

- **AVX-512.** All shapes reach the peak, and no other one is better by more than 3% in most columns. Panels of two
  registers leave fewer columns over than wider ones; 8 rows go through a panel less often than 6.
- **AVX2, SSE2.** 6 x 2 is the best or within 3% of it but for few columns.
- **NEON** has 32 registers of 16 bytes. Measured are such registers of an x86 processor with AVX-512, not NEON: four
  of them beside one another are better than two, in products by 3% in the middle, and 24 sums feed four multiply-adds
  a cycle, which 12 would not. Of 5 x 4 and 6 x 4, which are equal, the latter divides the 96 rows that other kernels
  work on at a time.
"""


def page() -> str:
    """Measure and return the text of `docs/tiles.md`."""
    from autodiff_kernels.cpu import VECTOR_BYTES

    sections = []
    for registers in REGISTERS:
        if registers[0] <= VECTOR_BYTES:
            sections.append(table(*registers, measure(*registers)))
            print(sections[-1], flush=True)
    return "\n".join([HEAD.format(rounds=ROUNDS, name=processor(), highest=HIGHEST), "\n\n".join(sections), ""])


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure register tiles and write docs/tiles.md.")
    parser.add_argument("--file", type=Path, default=FILE)
    parser.parse_args().file.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
