"""The thread team: native threads that run the parts of a kernel side by side.

    team.run(parts, work, function, *arguments)

calls `function`; every kernel that it calls from Python for all of the work (part 0 of 1) is run as `parts` parts by
the calling thread and the team's workers. The way there is the door of `entry.py`.

**A launch** publishes a job: entry, argument block, number of parts. Parts are claimed one after the other by whoever
is free: the calling thread begins with part 0, and goes on for as long as there are parts that nobody has claimed. A
worker that wakes late, or that a busy machine does not let run, finds nothing left and has delayed nobody.

**Waiting.** A worker looks for a job for some 30 us, then for a while gives up its turn each time
(`sched_yield`), and then sleeps on a POSIX mutex and condition, until a launch wakes it. No part of this takes the GIL.
To wake a worker costs the one who wakes it some 25 us. So a launch that finds workers asleep lets them sleep until
`ENOUGH` work has been done without them: `work` says how many nanoseconds the kernels would take alone, at least.

**Who may.** One Python thread at a time has the team. Another one that asks meanwhile runs its kernels alone. Before
`os.fork()` the team is dissolved, so that no lock is held and no thread is missed in the child; parent and child make
theirs again when they next need one. It is dissolved at exit, too. While somebody waits who must have the team, as a
fork, no kernel takes it.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from llvmlite import ir
from numba import cfunc, njit, types
from numba.extending import intrinsic

from autodiff_kernels import inner
from autodiff_kernels.entry import CONTROL, ENTRY, LAUNCH, LINE, OWNER

Result = TypeVar("Result")

# Words of the control block. What one side writes while the other reads stands on a line of its own.
PARTS, WORK, ALONE = 1 * LINE, 1 * LINE + 1, 1 * LINE + 2  # parts, work of a kernel, work done since the last waking
JOB, BLOCK = 2 * LINE, 2 * LINE + 1  # address of the entry, address of the arguments
CLAIM = 3 * LINE  # number of the job, its parts, and how many of them are claimed, in one word
DONE = 4 * LINE  # how many are finished
PARKED, STOP, WORKERS = 5 * LINE, 5 * LINE + 1, 5 * LINE + 2  # how many sleep; whether all should leave; how many
MUTEX, CONDITION = 6 * LINE, 8 * LINE  # room for the largest pthread_mutex_t and pthread_cond_t, 128 bytes each

# Turns of the two phases of waiting: some 30 us of looking, then as many turns of sched_yield as take some 50 us on
# an idle machine. The next operation of an eager program comes after 5 to 30 us.
LOOK, YIELD = 50_000, 100
ENOUGH = 100_000  # nanoseconds
POLL = 1e-4  # seconds between two looks of a thread that waits for the team

_WORD = ir.IntType(64)


def _foreign(name: str, *arguments: Any) -> Any:
    return types.ExternalFunction(name, types.int32(*arguments))


_mutex_lock = _foreign("pthread_mutex_lock", types.intp)
_mutex_unlock = _foreign("pthread_mutex_unlock", types.intp)
_wait = _foreign("pthread_cond_wait", types.intp, types.intp)
_signal = _foreign("pthread_cond_signal", types.intp)
_sched_yield = _foreign("sched_yield")
this_thread = types.ExternalFunction("pthread_self", types.intp())


@intrinsic
def load(typing_context: Any, control: Any, word: Any) -> Any:
    """Read a word of the control block, in one order with all other reads and writes of its words."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load_atomic(_place(builder, *arguments), "seq_cst", 8)

    return types.intp(types.intp, types.intp), generate


@intrinsic
def store(typing_context: Any, control: Any, word: Any, value: Any) -> Any:
    """Write a word of the control block, in one order with all other reads and writes of its words."""
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store_atomic(arguments[2], _place(builder, *arguments[:2]), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), generate


@intrinsic
def add(typing_context: Any, control: Any, word: Any, value: Any) -> Any:
    """Add to a word of the control block, and return what it held."""
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.atomic_rmw("add", _place(builder, *arguments[:2]), arguments[2], "seq_cst")

    return types.intp(types.intp, types.intp, types.intp), generate


@intrinsic
def _replace(typing_context: Any, control: Any, word: Any, old: Any, new: Any) -> Any:
    """Write `new` where `old` stands; say whether it stood there."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(builder, *arguments[:2])
        return builder.extract_value(builder.cmpxchg(place, *arguments[2:], "seq_cst", "seq_cst"), 1)

    return types.boolean(*[types.intp] * 4), generate


@intrinsic
def enter(typing_context: Any, entry: Any, block: Any, part: Any, parts: Any) -> Any:
    """Call ``entry(block, part, parts)``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.call(builder.inttoptr(arguments[0], ENTRY.as_pointer()), arguments[1:])
        return context.get_dummy_value()

    return types.void(*[types.intp] * 4), generate


def _place(builder: Any, control: Any, word: Any) -> Any:
    return builder.inttoptr(builder.add(control, builder.mul(word, _WORD(8))), _WORD.as_pointer())


@njit(error_model="numpy")
def _nothing_left(claim: int) -> bool:
    return claim & 0xFFFF >= claim >> 16 & 0xFFFF


@njit(error_model="numpy")
def _take_parts(control: int) -> None:
    """Run parts of the job until all are claimed.

    The claim succeeds only where the word has not changed since it was read, and as long as a part of a job is not
    claimed no other job is published: so entry and block are those of the claimed part.
    """
    while True:
        claim = load(control, CLAIM)
        if _nothing_left(claim):
            return
        entry, block = load(control, JOB), load(control, BLOCK)
        if _replace(control, CLAIM, claim, claim + 1):
            enter(entry, block, claim & 0xFFFF, claim >> 16 & 0xFFFF)
            add(control, DONE, 1)


@njit(error_model="numpy")
def run_parts(control: int, entry: int, block: int) -> None:
    """Run a kernel in `PARTS` parts on the team, which the calling thread has."""
    parts = load(control, PARTS)
    store(control, JOB, entry)
    store(control, BLOCK, block)
    store(control, DONE, 0)
    job = (load(control, CLAIM) >> 32) + 1 & 0x7FFFFFFF
    store(control, CLAIM, job << 32 | parts << 16)
    missing = parts - 1 - (load(control, WORKERS) - load(control, PARKED))
    alone = load(control, ALONE) + load(control, WORK) if missing > 0 else 0
    store(control, ALONE, alone if alone < ENOUGH else 0)
    if alone >= ENOUGH:
        _mutex_lock(control + 8 * MUTEX)
        for _ in range(missing):
            _signal(control + 8 * CONDITION)
        _mutex_unlock(control + 8 * MUTEX)
    _take_parts(control)
    turns = 0
    while load(control, DONE) < parts:
        turns += 1
        if turns > LOOK:
            _sched_yield()


inner.kernels_of(__name__)  # before what comes next is compiled


@cfunc(types.void(types.intp, types.intp, types.intp, types.intp), cache=True, error_model="numpy")
def _launch(control: int, entry: int, block: int, form: int) -> None:
    """Run a kernel in as many parts as the owner of the team wants; whole for any other thread."""
    if load(control, OWNER) != this_thread():
        enter(entry, block, 0, 1)
        return
    run_parts(control, entry, block)


@cfunc(types.intp(types.intp), cache=True, error_model="numpy")
def _work(control: int) -> int:
    """What a worker does from its start until it is told to stop."""
    turns = 0
    while load(control, STOP) == 0:
        claim = load(control, CLAIM)
        turns += 1
        if not _nothing_left(claim):
            _take_parts(control)
            turns = 0
        elif turns > LOOK + YIELD:
            _mutex_lock(control + 8 * MUTEX)
            add(control, PARKED, 1)
            # A launch either sees PARKED and signals, after this thread has let go of the mutex, or came before.
            while load(control, CLAIM) == claim and load(control, STOP) == 0:
                _wait(control + 8 * CONDITION, control + 8 * MUTEX)
            add(control, PARKED, -1)
            _mutex_unlock(control + 8 * MUTEX)
            turns = 0
        elif turns > LOOK:
            _sched_yield()
    return 0


_posix: Any = ctypes.CDLL(None)
# At most one key, with the number of the thread that has the team. Its setdefault lets one call in, which knows its own
# tuple again, without a lock that could stay held.
_owner: dict[str, tuple[int]] = {}
_NOBODY = (-1,)  # owns the team once it is closed
_wanted = [0.0]  # until when others leave the team to a thread that waits for it
_forking: list[tuple[int]] = []  # the owner that a fork made, if any
_workers: list[ctypes.c_void_p] = []
_no_more_workers: list[int] = []  # the error with which the system refused one
_address = CONTROL.ctypes.data
_words = CONTROL.data
CONTROL[LAUNCH] = _launch.address


def run(parts: int, work: int, function: Callable[..., Result], *arguments: Any) -> Result:
    """Call the function, and run each kernel that it calls in `parts` parts on the team; return what it returns.

    `work` is how many nanoseconds a kernel would take alone, at least. With `ENOUGH` all workers are woken that are
    needed. Where another thread has the team or waits for it, or this one has it already (`function` was interrupted,
    and what came in between computes, too), or the process is ending, kernels run alone: with the same bits.
    """
    me = (threading.get_ident(),)
    holder: Any = None
    try:
        holder = _owner.get("thread", ()) if time.monotonic() < _wanted[0] else _owner.setdefault("thread", me)
        if holder is not me:
            return _alone(function, *arguments) if holder == me else function(*arguments)
        while len(_workers) < parts - 1 and not _no_more_workers:
            _start_worker()
        _words[PARTS] = parts
        _words[WORK] = work
        _words[OWNER] = me[0]
        return function(*arguments)
    finally:
        # An interrupt comes in where something has been called: behind `setdefault`, then not before `clear` is done.
        if holder is me or (holder is None and {"thread": None, **_owner}["thread"] is me):
            _words[OWNER] = 0
            _owner.clear()


def _alone(function: Callable[..., Result], *arguments: Any) -> Result:
    """Call the function without the team that this thread has."""
    before = _words[OWNER]
    _words[OWNER] = 0
    try:
        return function(*arguments)
    finally:
        _words[OWNER] = before


def workers() -> tuple[int, int]:
    """Return how many workers the team has, and how many of them sleep."""
    return _words[WORKERS], _words[PARKED]


def _start_worker() -> None:
    """Start a native thread. It takes no signals: those are Python's business, in the main thread."""
    thread = ctypes.c_void_p()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - _FAULTS)
    try:
        error = _posix.pthread_create(ctypes.byref(thread), None, ctypes.c_void_p(_work.address),
                                      ctypes.c_void_p(_address))
        if error:  # the system allows no more: the others, or the calling thread alone, do all the work
            _no_more_workers.append(error)
            return
        _workers.append(thread)
        _words[WORKERS] = len(_workers)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}  # must reach the thread that made them


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Have this thread's kernels launched while this is entered; it waits until no other thread has the team."""
    me = (threading.get_ident(),)
    holder, before = None, 0
    try:
        holder = _wait_for_team(me)
        before = _words[OWNER]
        _words[OWNER] = me[0]
        yield
    finally:  # as in `run`
        if holder is not None:
            _words[OWNER] = before
        if holder is me or (holder is None and {"thread": None, **_owner}["thread"] is me):
            _owner.clear()


def _wait_for_team(me: tuple[int]) -> tuple[int, ...]:
    """Wait until no other thread has the team, and take it for `me`, this thread; return who has it now."""
    holder = _owner.get("thread", ())
    if holder == me or holder is _NOBODY:
        return holder
    if time.monotonic() < _wanted[0]:
        time.sleep(POLL)  # whoever waited before comes first
    while (holder := _owner.setdefault("thread", me)) not in (me, _NOBODY):
        _wanted[0] = time.monotonic() + 100 * POLL  # passes by itself, should this thread be interrupted
        time.sleep(POLL)
    return holder


def _take_over() -> None:
    """Wait until no other thread has the team, take it, and dissolve it."""
    me = (threading.get_ident(),)
    _forking[:] = [me] if _wait_for_team(me) is me else []
    _words[STOP] = 1
    try:
        _posix.pthread_mutex_lock(_MUTEX)
        _posix.pthread_cond_broadcast(_CONDITION)
        _posix.pthread_mutex_unlock(_MUTEX)
        while _workers:
            _posix.pthread_join(_workers[-1], None)
            _workers.pop()
            _words[WORKERS] = len(_workers)
    finally:
        _words[STOP] = 0


def _close() -> None:
    """Dissolve the team for good: what runs after that runs alone."""
    _take_over()
    _owner["thread"] = _NOBODY


def _give_back() -> None:
    """Let the team go after a fork, unless it was held before."""
    if _forking and _owner.get("thread") is _forking[0]:
        _owner.clear()


_MUTEX, _CONDITION = ctypes.c_void_p(_address + 8 * MUTEX), ctypes.c_void_p(_address + 8 * CONDITION)
_posix.pthread_mutex_init(_MUTEX, None)
_posix.pthread_cond_init(_CONDITION, None)
os.register_at_fork(before=_take_over, after_in_parent=_give_back, after_in_child=_give_back)
atexit.register(_close)
