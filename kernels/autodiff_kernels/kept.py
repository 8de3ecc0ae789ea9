"""How a kernel's machine code is kept on disk: a file for each compiled signature, named by a hash of it.

Numba's own cache has an index for each function, which says which file holds which signature. Processes that compile
several signatures of a function at once can write the index of one over a file of the other, and a kernel would get
arrays of another dtype than it was compiled for. It also has no way to read a folder that cannot be written.
"""

from __future__ import annotations

import hashlib
import math
import multiprocessing
import pickle
import sys
import time
from typing import Any

from numba.core import caching, compiler, serialize

from autodiff_kernels import cache

DIGEST = 16  # bytes of a hash
PATIENCE = 2.0  # seconds of compiling until the user is told what takes so long


class Kept(caching.NullCache):  # type: ignore[misc, unused-ignore]
    """What Numba asks for a function's compiled code, and hands it to."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self._began = 0.0

    @property
    def cache_path(self) -> str:
        """Where new code is kept."""
        return str(cache.folder())

    def load_overload(self, signature: Any, context: Any) -> Any:
        """Return what was compiled for a signature, or None."""
        content = cache.read(self._name(signature))
        if content is None or _digest(content[DIGEST:]) != content[:DIGEST]:  # a file may be cut off by a crash
            self._began = time.monotonic()
            _tell()
            return None
        context.refresh()
        return compiler.CompileResult._rebuild(context, *pickle.loads(content[DIGEST:]))

    def save_overload(self, signature: Any, result: Any) -> None:
        """Keep what was compiled for a signature, unless it holds addresses of this process."""
        _spent[0] += time.monotonic() - self._began
        if not result.library.has_dynamic_globals:
            content = serialize.dumps(result._reduce())
            cache.write(self._name(signature), _digest(content) + content)

    def _name(self, signature: Any) -> str:
        """Return the file's name. Versions and sources need no part in it: the folder is named by them."""
        function = self._function
        name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"
        return f"{name}.{_digest(repr((function.__module__, name, signature)).encode()).hex()}.nbc"


_spent = [0.0]  # seconds of compiling; -inf once that has been told


def _tell() -> None:
    """Say on a terminal, once, what is going on. Processes that others have started keep silent."""
    terminal = sys.stderr is not None and sys.stderr.isatty()
    if _spent[0] >= PATIENCE and terminal and multiprocessing.parent_process() is None:
        _spent[0] = -math.inf
        print(f"autodiff: compiling kernels for this processor; they are kept in {cache.folder()} for the next time "
              "(`autodiff cache warm` compiles all of them beforehand)", file=sys.stderr)


def choose(function: Any) -> Any:
    """Return what keeps a function's code: Numba's own cache, if it is none of ours."""
    return (Kept if function.__module__.startswith("autodiff_kernels.") else caching.FunctionCache)(function)


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=DIGEST).digest()
