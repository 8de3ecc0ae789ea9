"""The folder that holds compiled kernels and generated sources, and the imports that make Numba use it.

Numba keys its disk cache by one function's own source: it does not see a change of a function that a kernel calls, of
Numba's version or of compile flags. So the folder is named by a hash of all that: every kernel source, the versions of
Numba, llvmlite and NumPy, the CPU and its features. Any change starts an empty folder.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

_importing = threading.RLock()


@functools.cache
def folder() -> Path:
    """Return this version's cache folder, made when missing.

    It is `$AUTODIFF_CACHE_DIR`, or else `$XDG_CACHE_HOME`, or else `~/.cache`, and below that `autodiff/<hash>`. Where
    that cannot be written, it is a temporary folder that lives as long as the process.
    """
    base = os.environ.get("AUTODIFF_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    path = Path(base) / "autodiff" / _version()
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError:
        return Path(_temporary_folder().name)


@functools.cache
def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="autodiff-")


def _version() -> str:
    import llvmlite
    import llvmlite.binding
    import numba
    import numpy

    digest = hashlib.blake2b(digest_size=16)
    target = (
        numba.config.CPU_NAME or llvmlite.binding.get_host_cpu_name(),
        numba.config.CPU_FEATURES or llvmlite.binding.get_host_cpu_features().flatten(),
    )
    for text in (numba.__version__, llvmlite.__version__, numpy.__version__, *target):
        digest.update(text.encode() + b"\0")
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """While this is entered, functions decorated with `njit(cache=True)` are cached in `folder()`.

    Numba chooses a function's cache folder when it is decorated, from a setting of the whole process: one thread at a
    time holds it, and it is put back at the end, so users' own functions keep theirs.
    """
    from numba import config

    with _importing:
        before = config.CACHE_DIR
        config.CACHE_DIR = str(folder())
        try:
            yield
        finally:
            config.CACHE_DIR = before


def import_module(name: str) -> ModuleType:
    """Import the module `name`, with its kernels cached in `folder()`."""
    with importing():
        return importlib.import_module(name)
