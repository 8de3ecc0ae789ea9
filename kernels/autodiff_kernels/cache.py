"""The folder that holds compiled kernels and generated sources, and the imports that make Numba use it.

Numba keys its disk cache by one function's own source: it does not see a change of a function that a kernel calls, of
Numba's version or of compile flags. So the folder is named by a hash of all that: every kernel source, the versions of
Numba, llvmlite and NumPy, the CPU, its features, registers and caches. Any change starts an empty folder, and the
folders of other versions are removed, the least recently used first, until they hold no more than `LIMIT`. This
version's own folder is not bounded: it gets files for each fused structure that a program has. A process keeps a shared
lock on the folder that it uses: such a folder is not removed. Beyond that processes need no lock: Numba and `generate`
write files under other names and move them into place.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

try:
    import fcntl
except ImportError:  # not a POSIX system: no folder counts as used by another process
    fcntl = None  # type: ignore[assignment, unused-ignore]

LIMIT = 500_000_000  # bytes that the folders of other versions may hold; one version's is some 50 million

_importing = threading.RLock()


@functools.cache
def folder() -> Path:
    """Return this version's cache folder, made when missing.

    It is `$AUTODIFF_CACHE_DIR`, or else `$XDG_CACHE_HOME`, or else `~/.cache`, and below that `autodiff/<hash>`. Where
    that cannot be written, it is a temporary folder that lives as long as the process.
    """
    path = base() / version()
    try:
        new = not path.is_dir()
        _hold(path)
        os.utime(path)  # when it was last used
        with tempfile.TemporaryFile(dir=path):
            pass
        if new:
            remove_versions(LIMIT)
        return path
    except OSError:
        return Path(_temporary_folder().name)


def base() -> Path:
    """Return the folder that holds one folder for each version."""
    place = os.environ.get("AUTODIFF_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(place) / "autodiff"


def _hold(path: Path) -> None:
    """Make the folder where it is missing, and lock it against removal as long as this process lives."""
    while True:
        path.mkdir(parents=True, exist_ok=True)
        if fcntl is None:
            return
        held = os.open(path, os.O_RDONLY)
        with contextlib.suppress(OSError):  # on a file system without locks the folder is used as it is
            fcntl.flock(held, fcntl.LOCK_SH)
        if path.exists() and os.path.samestat(os.fstat(held), path.stat()):
            return
        os.close(held)  # it was removed in between


class Version(NamedTuple):
    """A version's folder.

    Attributes:
        path: the folder.
        size: bytes of its files.
        used: when a process last began to use it, in seconds since 1970.
    """

    path: Path
    size: int
    used: float


def versions() -> list[Version]:
    """Return the folders of all versions, the most recently used one first."""
    found = []
    for path in base().iterdir() if base().is_dir() else ():
        with contextlib.suppress(FileNotFoundError):  # another process removes it
            size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            found.append(Version(path, size, path.stat().st_mtime))
    return sorted(found, key=lambda version: -version.used)


def remove_versions(keep: int) -> list[Version]:
    """Remove the least recently used folders, until those that no process uses hold at most `keep` bytes.

    Returns:
        the removed ones.
    """
    removed = []
    for version in versions():
        with _unused(version.path) as unused:
            if unused:
                keep -= version.size
                if keep < 0:
                    shutil.rmtree(version.path, ignore_errors=True)
                    removed.append(version)
    return removed


@contextlib.contextmanager
def _unused(path: Path) -> Iterator[bool]:
    """Say whether no process uses the folder; none begins to while this is entered."""
    if fcntl is None:
        yield path != folder()
        return
    try:
        held = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    try:
        unused = True
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # another process holds it, or this file system cannot tell
            unused = False
        yield unused
    finally:
        os.close(held)


@functools.cache
def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="autodiff-")


def version() -> str:
    """Return the name of this version's folder: a hash of whatever changes what is compiled."""
    import llvmlite
    import llvmlite.binding
    import numba
    import numpy

    from autodiff_kernels.cpu import processor

    digest = hashlib.blake2b(digest_size=16)
    target = (
        numba.config.CPU_NAME or llvmlite.binding.get_host_cpu_name(),
        numba.config.CPU_FEATURES or llvmlite.binding.get_host_cpu_features().flatten(),
        str(processor()),  # globals of the kernels: Numba compiles them in, but does not key its files by them
    )
    for text in (numba.__version__, llvmlite.__version__, numpy.__version__, *target):
        digest.update(text.encode() + b"\0")
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """While this is entered, functions decorated with `njit(cache=True)` are cached in `folder()`.

    Kernels of the modules that were imported meanwhile get doors for the thread team (`entry.py`).

    Numba chooses a function's cache folder when it is decorated, from a setting of the whole process: one thread at a
    time holds it, and it is put back at the end, so users' own functions keep theirs.
    """
    from numba import config

    with _importing:
        before, ours = config.CACHE_DIR, str(folder())
        config.CACHE_DIR = ours
        try:
            yield
            if before != ours:  # otherwise this is an import by a module that is not complete yet
                importlib.import_module("autodiff_kernels.entry").open_doors()
        finally:
            config.CACHE_DIR = before


def import_module(name: str) -> ModuleType:
    """Import the module `name`, with its kernels cached in `folder()`."""
    with importing():
        return importlib.import_module(name)
