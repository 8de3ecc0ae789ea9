"""NumPy arrays with a page beside them that cannot be read or written: whoever leaves an array ends the process.

NumPy lets a program give it another allocator (NEP 49, https://numpy.org/neps/nep-0049.html); this one hands out
memory that ends just before such a page, or begins just behind one.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

Side = Literal["behind", "before"]

PAGE = mmap.PAGESIZE
_NO_ACCESS, _SET_HANDLER = 0, 304  # PROT_NONE; the place of PyDataMem_SetHandler in NumPy's table of C functions
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)

_MALLOC = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_CALLOC = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)
_REALLOC = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_FREE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class _Handler(ctypes.Structure):
    """PyDataMem_Handler."""

    _fields_ = (("name", ctypes.c_char * 127), ("version", ctypes.c_uint8), ("context", ctypes.c_void_p),
                ("malloc", _MALLOC), ("calloc", _CALLOC), ("realloc", _REALLOC), ("free", _FREE))


class _Allocator:
    def __init__(self, side: Side) -> None:
        self.side = side
        self.blocks: dict[int, tuple[mmap.mmap, int]] = {}
        self.handler = _Handler(b"fence", 1, None, _MALLOC(self.malloc), _CALLOC(self.calloc), _REALLOC(self.realloc),
                                _FREE(self.free))
        capsule = ctypes.pythonapi.PyCapsule_New
        capsule.restype, capsule.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
        self.capsule = capsule(ctypes.addressof(self.handler), b"mem_handler", None)

    def malloc(self, _: int | None, size: int) -> int:
        """Return memory for `size` bytes, all zero."""
        room = -(-size // PAGE) * PAGE
        block = mmap.mmap(-1, room + PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        start = ctypes.addressof(ctypes.c_char.from_buffer(block))
        wall, first = (start + room, start + room - size) if self.side == "behind" else (start, start + PAGE)
        if _LIBC.mprotect(wall, PAGE, _NO_ACCESS):
            raise OSError(ctypes.get_errno(), "mprotect")
        self.blocks[first] = block, size
        return first

    def calloc(self, _: int | None, count: int, size: int) -> int:
        return self.malloc(None, count * size)

    def realloc(self, _: int | None, old: int | None, size: int) -> int:
        new = self.malloc(None, size)
        if old is not None:
            ctypes.memmove(new, old, min(size, self.blocks[old][1]))
            self.free(None, old, 0)
        return new

    def free(self, _: int | None, place: int | None, size: int) -> None:
        if place is not None:
            self.blocks.pop(place)[0].close()


_ALLOCATORS: dict[Side, _Allocator] = {}  # kept for ever: arrays outlive the fence that they were made in


def _set_handler(capsule: Any) -> Any:
    address = ctypes.pythonapi.PyCapsule_GetPointer
    address.restype, address.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    table = ctypes.cast(address(np._core._multiarray_umath._ARRAY_API, None), ctypes.POINTER(ctypes.c_void_p))
    return ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(table[_SET_HANDLER])(capsule)


@contextlib.contextmanager
def fence(side: Side = "behind") -> Iterator[None]:
    """Give every array that this thread makes meanwhile a page without access behind its end, or before it."""
    if side not in _ALLOCATORS:
        _ALLOCATORS[side] = _Allocator(side)
    before = _set_handler(_ALLOCATORS[side].capsule)
    try:
        yield
    finally:
        _set_handler(before)
