"""What the kernels need to know of this processor: its vector registers and its caches.

Registers decide how many sums a loop holds, caches how much is worked on at a time. Bits of results depend on neither,
but where a row is summed in lanes of registers (`rows.py`) and in blocks as high as a tile (`triangular.py`): lengths
that are part of a result's definition, as `matmul.STRETCH`, are the same on every processor. What is compiled does
depend on them, so that each set of these numbers has a cache folder of its own.
"""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import llvmlite.binding as llvm

CACHES = {"L1": 32 << 10, "L2": 512 << 10, "L3": 8 << 20}  # assumed where the system does not tell
CPUS = Path("/sys/devices/system/cpu")  # Linux
# Rows and registers of the tile of sums that a matrix product holds in registers, by the width of a register and how
# many there are. A step needs the registers of sums, those of a row of the right factor, and one number of the left.
# docs/tiles.md has the measurements: `python -m benchmarks.tiles`.
TILES = {
    (64, 32): (8, 2), (64, 16): (6, 2), (32, 32): (6, 4), (32, 16): (6, 2), (16, 32): (6, 4), (16, 16): (6, 2),
}  # fmt: skip


class Processor(NamedTuple):
    """What kernels are compiled for.

    Attributes:
        vector_bytes: width of a vector register.
        vector_registers: how many of them there are.
        level_1: bytes of a core's first-level data cache.
        level_2: bytes of its second-level cache.
    """

    vector_bytes: int
    vector_registers: int
    level_1: int
    level_2: int


def processor() -> Processor:
    """Return what this processor has; what it does not tell is assumed, as `CACHES` says.

    A register has 64 bytes with AVX-512, 32 with AVX2, else 16 (SSE2, NEON). x86 has 16 registers, or 32 with AVX-512;
    others have 32. Environment variables override each number, so that one machine can run what others would:
    ``AUTODIFF_VECTOR_BYTES``, ``AUTODIFF_VECTOR_REGISTERS``, ``AUTODIFF_L1_BYTES`` and ``AUTODIFF_L2_BYTES``. Numbers
    that the processor lacks give the same results, only slower.

    Raises:
        ValueError: a variable is not a number that is allowed.
    """
    width = _override("AUTODIFF_VECTOR_BYTES", (16, 32, 64), "16, 32 or 64") or _vector_bytes()
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    registers = _override("AUTODIFF_VECTOR_REGISTERS", (16, 32), "16 or 32") or (16 if x86 and width < 64 else 32)
    sizes, allowed = CACHES | caches([0]), (range(1 << 12, (1 << 30) + 1), "a number of bytes from 4 KiB to 1 GiB")
    level_1 = _override("AUTODIFF_L1_BYTES", *allowed) or sizes["L1"]
    level_2 = _override("AUTODIFF_L2_BYTES", *allowed) or sizes["L2"]
    return Processor(width, registers, level_1, level_2)


def _vector_bytes() -> int:
    features = llvm.get_host_cpu_features()
    if features.get("avx512f") and features.get("avx512vl"):
        return 64
    return 32 if features.get("avx2") and features.get("fma") else 16


def _override(variable: str, allowed: Collection[int], meaning: str) -> int | None:
    """Return the number in the environment variable, or None where it is not set."""
    text = os.environ.get(variable)
    if text is None:
        return None
    if not text.isdecimal() or int(text) not in allowed:
        raise ValueError(f"{variable} must be {meaning}, not {text!r}")
    return int(text)


def caches(used: Collection[int]) -> dict[str, int]:
    """Return how many bytes of data each level of the caches holds for the given cores together.

    Cores that share a cache count it once.
    """
    sizes: dict[tuple[str, str], int] = {}
    for core in used:
        for folder in CPUS.glob(f"cpu{core}/cache/index*"):
            try:
                kind, level, size, shared = (
                    (folder / name).read_text().strip() for name in ("type", "level", "size", "shared_cpu_list")
                )
            except OSError:
                continue
            if kind != "Instruction":
                sizes[f"L{level}", shared] = _bytes_of(size)
    total: dict[str, int] = {}
    for (level, _), count in sorted(sizes.items()):
        total[level] = total.get(level, 0) + count
    return total or {level: count * (1 if level == "L3" else len(used)) for level, count in _told_by_macos().items()}


def _bytes_of(size: str) -> int:
    """Return the number of bytes in a size such as "32K"."""
    unit = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(size[-1])
    return int(size[:-1]) * unit if unit else int(size)


def _told_by_macos() -> dict[str, int]:
    """Return `CACHES`, with a performance core's share of each level where macOS tells."""
    if platform.system() != "Darwin":
        return CACHES

    def value(name: str) -> int:
        number, size = ctypes.c_int64(), ctypes.c_size_t(8)
        places = ctypes.byref(number), ctypes.byref(size)
        failed = ctypes.CDLL(None).sysctlbyname(name.encode(), *places, None, ctypes.c_size_t(0))
        return 0 if failed else number.value

    level_1 = value("hw.perflevel0.l1dcachesize") or value("hw.l1dcachesize")
    shared = value("hw.perflevel0.l2cachesize")
    level_2 = shared // max(value("hw.perflevel0.cpusperl2"), 1) or value("hw.l2cachesize")
    return {level: size or CACHES[level] for level, size in (("L1", level_1), ("L2", level_2), ("L3", 0))}


VECTOR_BYTES, VECTOR_REGISTERS, L1_BYTES, L2_BYTES = processor()
