"""What the operating system and the installed packages say of themselves."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
from pathlib import Path
from typing import Any

from autodiff.threads import cores

PACKAGES = ("numpy", "numba", "torch", "jax", "jaxlib")


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
