"""The folder that holds compiled kernels and generated sources, and the imports that make Numba use it.

What is compiled of a kernel depends on the functions that it calls, on Numba's version and on compile flags. So the
folder is named by a hash of all that: every kernel source, the versions of Python, Numba, llvmlite and NumPy, the CPU,
its features, registers and caches. Any change starts an empty folder. In it each compiled signature is a file of its
own (`kept.py`).

Nothing grows without bound: a folder's least recently used files are removed beyond `LIMIT`, and so are the least
recently used folders of other versions. A process keeps a shared lock on the folder that it uses: such a folder is not
removed. Beyond that processes need no lock: a file is written under another name and moved into place, never changed,
and found again or compiled again.

A folder that cannot be written is read all the same: what it lacks is compiled into a temporary folder that lives as
long as the process. Where nothing can be written, it is not kept.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import os
import shutil
import sysconfig
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

try:
    import fcntl
except ImportError:  # not a POSIX system: no folder counts as used by another process
    fcntl = None  # type: ignore[assignment, unused-ignore]

LIMIT = 500_000_000  # bytes that a version's folder may hold, and those of all others; all operations take 50 million
CHECKED = LIMIT // 20  # bytes after which a process that writes looks again at what there is

_importing = threading.RLock()
_unchecked = [CHECKED]  # bytes that this process has written since it looked


@functools.cache
def folders() -> list[Path]:
    """Return the folders that compiled kernels are read from; into the last one they are written.

    The first is this version's: `$AUTODIFF_CACHE_DIR`, or else `$XDG_CACHE_HOME`, or else `~/.cache`, and below that
    `autodiff/<hash>`, made when missing. Where that cannot be written, a temporary one follows.
    """
    path = base() / version()
    try:
        new = not path.is_dir()
        _hold(path)
        os.utime(path)  # when it was last used
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError:
        with contextlib.suppress(OSError):
            return [path, Path(_temporary_folder().name)]
        return [path]
    if new:
        remove_versions(LIMIT)
    return [path]


def folder() -> Path:
    """Return the folder that compiled kernels are written into."""
    return folders()[-1]


def read(name: str) -> bytes | None:
    """Return what a file of this version holds, or None where there is none; it counts as used now."""
    for place in folders():
        with contextlib.suppress(OSError):
            content = (place / name).read_bytes()
            with contextlib.suppress(OSError):  # it cannot be written
                os.utime(place / name)
            return content
    return None


def write(name: str, content: bytes) -> None:
    """Keep a file of this version, in one step: other processes see all of it or nothing.

    Where it cannot be written, it is not kept. The folder's least recently used files go beyond `LIMIT`.
    """
    path = folder() / name
    unfinished = path.with_name(f"{name.rpartition('/')[2]}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    except OSError:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        return
    _unchecked[0] += len(content)
    if _unchecked[0] >= CHECKED:
        _unchecked[0] = 0
        remove_files(folder(), LIMIT)


def remove_files(path: Path, keep: int) -> None:
    """Remove a folder's least recently used files, until the others hold at most `keep` bytes."""
    for _, size, file in sorted(_files(path), reverse=True):
        keep -= size
        if keep < 0:
            with contextlib.suppress(OSError):  # another process has removed it
                file.unlink()


def _files(path: Path) -> Iterator[tuple[float, int, Path]]:
    """Yield when each file below a folder was last used, its size in bytes and its path."""
    for file in path.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # another process removes it
            if file.is_file():
                status = file.stat()
                yield status.st_mtime, status.st_size, file


def base() -> Path:
    """Return the folder that holds one folder for each version."""
    place = os.environ.get("AUTODIFF_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(place).absolute() / "autodiff"


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
            size = sum(size for _, size, _ in _files(path))
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
                    if not version.path.exists():
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
    except OSError:  # another process has removed it, or another user's are not ours to remove
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
    told = numba.config.CPU_NAME, numba.config.CPU_FEATURES  # None where it is not told, and takes the host's
    target = (
        str(told),
        llvmlite.binding.get_host_cpu_name(),
        llvmlite.binding.get_host_cpu_features().flatten(),
        str(processor()),  # globals of the kernels, which are compiled in
        sysconfig.get_config_var("EXT_SUFFIX"),  # Python's version, build and platform
    )
    for text in (numba.__version__, llvmlite.__version__, numpy.__version__, *target):
        digest.update(text.encode() + b"\0")
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """While this is entered, functions of the kernels that are decorated with `cache=True` are kept in `folder()`.

    Kernels of the modules that were imported meanwhile get doors for the thread team (`entry.py`).

    Numba chooses what keeps a function's code when it is decorated. Users' own functions are kept as ever.
    """
    dispatcher: Any = importlib.import_module("numba.core.dispatcher")
    ccallback: Any = importlib.import_module("numba.core.ccallback")
    ours = importlib.import_module("autodiff_kernels.kept").choose
    with _importing:
        numbas = dispatcher.FunctionCache
        dispatcher.FunctionCache = ccallback.FunctionCache = ours
        try:
            yield
            if numbas is not ours:  # otherwise this is an import by a module that is not complete yet
                importlib.import_module("autodiff_kernels.entry").open_doors()
        finally:
            dispatcher.FunctionCache = ccallback.FunctionCache = numbas


def import_module(name: str) -> ModuleType:
    """Import the module `name`, with its kernels kept in `folder()`."""
    with importing():
        return importlib.import_module(name)
