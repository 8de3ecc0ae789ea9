"""What the operating system and the installed packages say of themselves."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from autodiff.threads import cores

PACKAGES = ("numpy", "numba", "torch", "jax", "jaxlib")
CACHES = {"L1": 32 << 10, "L2": 512 << 10, "L3": 8 << 20}  # assumed where the system does not tell
CPUS = Path("/sys/devices/system/cpu")


def description() -> dict[str, Any]:
    """Return the name of the processor, the number of cores that this process may use, and the bytes of memory."""
    return {"cpu": processor(), "cores": len(cores()), "memory": memory(), "system": platform.platform(terse=True)}


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that are installed, without importing them."""
    found = {"python": platform.python_version()}
    own = own_version()
    if own:
        found["autodiff"] = own
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def own_version() -> str | None:
    """Return autodiff's version from its source: what runs may be a checkout that was never installed."""
    spec = importlib.util.find_spec("autodiff")
    if spec is None or spec.origin is None:
        return None
    match = re.search(r'^__version__ = "(.+)"', Path(spec.origin).read_text(encoding="utf-8"), re.MULTILINE)
    return match[1] if match else None


def processor() -> str:
    """Return the processor's name."""
    try:
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        match = None
    return match[1].strip() if match else platform.processor() or platform.machine()


def memory() -> int:
    """Return the bytes of memory of the machine; 8 GiB where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 8 << 30


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
                sizes[f"L{level}", shared] = parsed(size)
    total: dict[str, int] = {}
    for (level, _), count in sorted(sizes.items()):
        total[level] = total.get(level, 0) + count
    return total or {level: count * (1 if level == "L3" else len(used)) for level, count in CACHES.items()}


def parsed(size: str) -> int:
    """Return the number of bytes in a size such as "32K"."""
    unit = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(size[-1])
    return int(size[:-1]) * unit if unit else int(size)
