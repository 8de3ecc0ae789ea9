"""Calls of kernels written down, and replayed by one native loop.

`record(run, ...)` calls a Python function, and keeps each kernel that it would have run as a `Call`: the kernel's entry
and the block with its arguments (`entry.py`). Nothing is computed. `replay(table, ...)` runs such calls one after the
other, large ones on the thread team, without Python in between.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import cfunc, njit, types
from numba.extending import intrinsic

from autodiff_kernels import team
from autodiff_kernels.entry import CONTROL, LAUNCH, LINE, OWNER, open_doors
from autodiff_kernels.team import PARTS, WORK, enter, load, run_parts, store, this_thread

# Words of the control block: where calls are written down, how many words that has, and how many are in use.
NOTES, ROOM, USED = 10 * LINE, 10 * LINE + 1, 10 * LINE + 2

# Columns of the table of calls.
ENTRY, BLOCK, THREADS, LEAST, STATUS, STATUSES = range(6)
COLUMNS = 6

# Words of an array in a block, as Numba lays it out: its Python object, and its address.
OBJECT, ADDRESS = 1, 4

_hold_gil = types.ExternalFunction("PyGILState_Ensure", types.int32())
_let_gil_go = types.ExternalFunction("PyGILState_Release", types.void(types.int32))
_keep = types.ExternalFunction("Py_IncRef", types.void(types.intp))


@intrinsic
def _at(typing_context: Any, address: Any, word: Any) -> Any:
    """The word at an address, counted in words."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(builder.gep(builder.inttoptr(arguments[0], ir.IntType(64).as_pointer()), [arguments[1]]))

    return types.intp(types.intp, types.intp), generate


@cfunc(types.void(types.intp, types.intp, types.intp, types.intp), cache=True, error_model="numpy")
def _note(control: int, entry: int, block: int, form: int) -> None:
    """Write a call down: entry, form, the words of the block. Its arrays are kept alive, for Python may drop them."""
    if load(control, OWNER) != this_thread():
        enter(entry, block, 0, 1)
        return
    words, arrays = _at(form, 0) // 8, _at(form, 1)
    notes, used = load(control, NOTES), load(control, USED)
    store(control, USED, used + 2 + words)
    if used + 2 + words > load(control, ROOM):
        return
    store(notes, used, entry)
    store(notes, used + 1, form)
    for word in range(words):
        store(notes, used + 2 + word, _at(block, word))
    gil = _hold_gil()
    for i in range(arrays):
        _keep(_at(block, _at(form, 2 + i) // 8 + OBJECT))
    _let_gil_go(gil)


@njit(cache=True, nogil=True, error_model="numpy")
def replay(control: int, table: Any, first: int, last: int) -> int:
    """Run the calls `first` to `last` - 1 of the table; return the number of the first that met a bad value, or -1.

    The table has a row a call: address of its entry, address of its block, number of threads, nanoseconds of work a
    kernel (at least), address and number of the status words that it may have written (0: none). A last row, which is
    no call, counts in its first word how often calls have run to the end: so Python knows whether an interrupt came
    before or after.
    """
    together = load(control, OWNER) == this_thread()
    for i in range(first, last):
        if together and table[i, THREADS] > 1:
            store(control, PARTS, table[i, THREADS])
            store(control, WORK, table[i, LEAST])
            run_parts(control, table[i, ENTRY], table[i, BLOCK])
        else:
            enter(table[i, ENTRY], table[i, BLOCK], 0, 1)
        for word in range(table[i, STATUSES]):
            if _at(table[i, STATUS], word) >= 0:
                return i
    table[len(table) - 1, 0] += 1
    return -1


class Call(NamedTuple):
    """A kernel with its arguments.

    Attributes:
        entry: address of the entry.
        block: the words of the argument block.
        arrays: at which words of the block its arrays lie.
        objects: the arrays, kept alive.
    """

    entry: int
    block: Any
    arrays: tuple[int, ...]
    objects: tuple[Any, ...]


_notes = np.empty(1 << 16, np.int64)


def record(run: Callable[..., Any], *arguments: Any) -> list[Call]:
    """Call ``run(*arguments)`` and return the kernels that it would have run, in order.

    Raises:
        MemoryError: if there are too many, or too large ones.
        ImportError: if a kernel was compiled without a door, through which it would run instead.
    """
    open_doors()
    with team.held():
        CONTROL[NOTES], CONTROL[ROOM], CONTROL[USED] = _notes.ctypes.data, len(_notes), 0
        before = CONTROL[LAUNCH]
        CONTROL[LAUNCH] = _note.address
        try:
            run(*arguments)
        finally:
            CONTROL[LAUNCH] = before
            used = int(CONTROL[USED])
            calls = _calls(min(used, len(_notes)))
    if used > len(_notes):
        raise MemoryError("an operation makes too many calls of kernels to be written down")
    return calls


def _calls(used: int) -> list[Call]:
    """Read the calls that have been written down."""
    calls = []
    at = 0
    while at + 2 <= used:
        entry, form = int(_notes[at]), int(_notes[at + 1])
        size, arrays = ctypes.cast(form, ctypes.POINTER(ctypes.c_int64))[:2]
        places = ctypes.cast(form, ctypes.POINTER(ctypes.c_int64))[2 : 2 + arrays]
        block = _notes[at + 2 : at + 2 + size // 8].copy()
        at += 2 + size // 8
        if at > used:
            break
        objects = []
        for place in places:
            address = ctypes.c_void_p(int(block[place // 8 + OBJECT]))
            objects.append(ctypes.cast(address, ctypes.py_object).value)
            ctypes.pythonapi.Py_DecRef(address)  # the reference that `_note` took
        calls.append(Call(entry, block, tuple(place // 8 for place in places), tuple(objects)))
    return calls


def run(table: Any, first: int, last: int, threads: int, work: int) -> int:
    """Run calls of a table, on the team where one of them wants more than one thread; see `replay`."""
    if threads > 1:
        return team.run(threads, work, _replay, _control, table, first, last)
    return _replay(_control, table, first, last)


_control = CONTROL.ctypes.data
# Called as what it was compiled to: the dispatcher would look at the types of the arguments each time.
_replay: Callable[..., int] = replay.compile("intp(intp, int64[:,::1], intp, intp)")
