"""Memory that arrays have left stays in the process, for the next arrays.

A training step takes and leaves the same arrays again and again. The GNU C library by default gives large blocks back
to the system, which then has to find and clear new pages for the next step: a fifth of the time of a step of ResNet-20.
"""

from __future__ import annotations

import ctypes
import os

# https://man7.org/linux/man-pages/man3/mallopt.3.html
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT = 2**31 - 1  # bytes at the end of the heap that stay: the largest number that can be set
_LARGEST = 32 * 2**20  # bytes of a block that comes from the heap: likewise


def keep_freed_memory() -> None:
    """Have `malloc` keep up to 2 GB of freed memory; blocks over 32 MB still come from the system and go back to it.

    It holds for the whole process. It does nothing where the C library is another one, or where the environment
    variables that set the same (``MALLOC_TRIM_THRESHOLD_``, ``MALLOC_MMAP_THRESHOLD_``, ``GLIBC_TUNABLES``) are there:
    they stand.
    """
    set_there = {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"} & os.environ.keys()
    if os.name != "posix" or set_there or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(_MMAP_THRESHOLD, _LARGEST)
        library.mallopt(_TRIM_THRESHOLD, _KEPT)
