"""The thread team: equal bits, who may use it, how it waits, what fork, interrupts and the end do to it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff_kernels as kernels

team: Any = kernels.team  # loaded with its cache folder, as a program does
WORK = team.ENOUGH  # always wakes the workers
MOST_PARTS = 20


def product(m: int, n: int, k: int, seed: int = 0) -> tuple[Callable[[], None], Any]:
    """Return a function that multiplies two matrices, and the array that it writes."""
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal(m * k).astype(np.float32), rng.standard_normal(k * n).astype(np.float32)
    out, none = np.full(m * n, np.nan, np.float32), np.empty(0, np.float32)
    scratch = np.empty(kernels.matmul.matmul_scratch(m, n, k, k, 1, 4, MOST_PARTS), np.float32)
    numbers = (0, 1, 1, m, n, k, 0, 0, k, 1, 0, 0, n, 1, 0, 1)
    return lambda: kernels.matmul.matmul(out, scratch, none, np.empty(0), a, b, none, none, none, *numbers), out


def bits(run: Callable[[], None], out: Any, parts: int) -> bytes:
    out[...] = np.nan
    team.run(parts, WORK, run)
    return bytes(out.tobytes())


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 130, 7), (5, 3, 300), (64, 48, 32), (127, 65, 33), (300, 40, 17)])
def test_any_number_of_parts_gives_the_same_bits(shape: tuple[int, int, int]) -> None:
    run, out = product(*shape)
    alone = bits(run, out, 1)
    for parts in (2, 3, 8):
        for _ in range(20):
            assert bits(run, out, parts) == alone
    assert np.isfinite(out).all()


def test_kernels_that_come_from_generated_files_are_shared_too() -> None:
    x, out = np.linspace(-3, 3, 10_001), np.empty(10_001)
    walk = kernels.elementwise.plan(out.shape, (1,), [(x.shape, (1,))])
    run = lambda: kernels.elementwise.exp(out, x, walk, 0, 1)  # noqa: E731
    assert bits(run, out, 1) == bits(run, out, 3)


def test_a_call_for_a_share_stays_a_share() -> None:
    out, x = np.zeros(1024, np.float32), np.ones(1024, np.float32)
    walk = kernels.elementwise.plan(out.shape, (1,), [(x.shape, (1,))])
    team.run(3, WORK, kernels.elementwise.copy, out, x, walk, 1, 4)
    np.testing.assert_array_equal(out.reshape(4, 256).sum(1), [0, 256, 0, 0])


def test_what_the_function_returns_and_raises() -> None:
    assert team.run(2, WORK, lambda x, y: x + y, 1, 2) == 3
    with pytest.raises(ZeroDivisionError):
        team.run(2, WORK, lambda: 1 / 0)
    run, out = product(50, 50, 50)
    assert bits(run, out, 2) == bits(run, out, 1)


def test_nested_use() -> None:
    inner, inner_out = product(60, 60, 60)
    outer, outer_out = product(70, 70, 70)
    expected = bits(inner, inner_out, 1), bits(outer, outer_out, 1)

    def both() -> None:
        outer()
        team.run(3, WORK, inner)
        outer()

    outer_out[...] = inner_out[...] = np.nan
    team.run(2, WORK, both)
    assert (inner_out.tobytes(), outer_out.tobytes()) == expected


def test_what_comes_in_between_runs_alone_and_leaves_the_team_where_it_was() -> None:
    """As a function does that Python calls in the middle of an operation: a signal's, or a dying object's."""
    run, _ = product(60, 60, 60)
    seen = []

    def interrupted() -> None:
        team.run(3, WORK, lambda: seen.append(int(team.CONTROL[team.OWNER])))
        other = threading.Thread(target=lambda: team.run(2, WORK, lambda: seen.append(int(team.CONTROL[team.OWNER]))))
        other.start()
        other.join()
        seen.append(int(team.CONTROL[team.OWNER]))
        run()

    team.run(2, WORK, interrupted)
    me = threading.get_ident()
    assert seen == [0, me, me], "the other thread did not get the team, and this one has it still"
    assert team.CONTROL[team.OWNER] == 0


def test_a_system_that_allows_no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    run, out = product(90, 80, 70)
    alone = bits(run, out, 1)
    started = team.workers()[0]
    refused: list[int] = []
    monkeypatch.setattr(team, "_no_more_workers", refused)
    monkeypatch.setattr(team, "_posix", type("Posix", (), {"pthread_create": staticmethod(lambda *_: 11)}))
    assert bits(run, out, 20) == alone
    assert refused == [11]
    assert team.workers()[0] == started


def test_a_second_thread_runs_alone_while_the_team_is_busy() -> None:
    run, out = product(90, 80, 70)
    expected = bits(run, out, 1)
    taken, finish = threading.Event(), threading.Event()

    def keep() -> None:
        taken.set()
        assert finish.wait(30)

    keeper = threading.Thread(target=team.run, args=(2, WORK, keep))
    keeper.start()
    assert taken.wait(30)
    try:
        for _ in range(20):
            assert bits(run, out, 2) == expected
    finally:
        finish.set()
        keeper.join()


def test_many_threads_at_once() -> None:
    failures: list[int] = []

    def work(seed: int) -> None:
        run, out = product(40 + seed, 50, 60, seed)
        expected = bits(run, out, 1)
        failures.extend(turn for turn in range(200) if bits(run, out, 1 + turn % 3) != expected)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_who_waits_for_the_team_gets_it_next() -> None:
    """A thread that computes without a pause gives it up and takes it again at once; a fork would wait for ever."""
    given: list[bool] = []  # for each time it got the team, whether somebody waited for that
    stop = threading.Event()

    def compute() -> None:
        if team.CONTROL[team.OWNER] == threading.get_ident():
            given.append(time.monotonic() < team._wanted[0])
            time.sleep(0.002)

    def work() -> None:
        while not stop.is_set():
            team.run(2, WORK, compute)

    busy = threading.Thread(target=work)
    busy.start()
    try:
        for _ in range(10):
            while not given:
                time.sleep(1e-3)
            given.clear()
            with team.held():
                assert sum(given) <= 2  # it may have looked before, and have taken it after
                assert team.CONTROL[team.OWNER] == threading.get_ident()
    finally:
        stop.set()
        busy.join()


def test_an_interruption_of_who_waits_for_the_team_may_wait_for_it_too() -> None:
    script("""
def busy():
    with team.held():
        time.sleep(0.5)
def handle(*_):
    with team.held():
        print("held")
keeper = threading.Thread(target=busy)
keeper.start()
time.sleep(0.1)
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.1)
with team.held():
    print("held")
keeper.join()
""")


def sleeping_team(parts: int) -> None:
    """Use the team, then wait until all of its workers sleep."""
    run, _ = product(64, 64, 64)
    team.run(parts, WORK, run)
    limit, looks = time.monotonic() + 30, 0
    while looks < 20:  # one that was signalled counts as sleeping until it runs
        looks = looks + 1 if team.workers()[0] == team.workers()[1] else 0
        assert time.monotonic() < limit, team.workers()
        time.sleep(0.001)


def test_idle_workers_sleep() -> None:
    sleeping_team(3)
    assert team.workers()[0] >= 2
    used = []
    for _ in range(3):  # the least: other threads of this process may have something to do meanwhile
        before = time.process_time()
        time.sleep(0.2)
        used.append(time.process_time() - before)
    assert min(used) < 0.002


def test_workers_wake_again() -> None:
    run, out = product(120, 110, 100)
    alone = bits(run, out, 1)
    for _ in range(10):
        sleeping_team(2)
        assert bits(run, out, 2) == alone


def test_small_work_lets_them_sleep_for_a_while() -> None:
    run, out = product(60, 50, 40)
    alone = bits(run, out, 1)
    sleeping_team(2)
    for _ in range(3):
        out[...] = np.nan
        team.run(2, WORK // 5, run)
        assert out.tobytes() == alone
    assert team.CONTROL[team.ALONE] == 3 * (WORK // 5)
    team.run(2, WORK // 2, run)
    assert team.CONTROL[team.ALONE] == 0


SCRIPT = """
import os, signal, sys, threading, time
import numpy as np
import autodiff_kernels as kernels
team = kernels.team
rng = np.random.default_rng(0)
n = 150
a, b, out = (rng.standard_normal(n * n).astype(np.float32) for _ in range(3))
bias = np.empty(0, np.float32)

def run(out=out):
    scratch = np.empty(kernels.matmul.matmul_scratch(n, n, n, n, 1, 4, 3), np.float32)
    numbers = (0, 1, 1, n, n, n, 0, 0, n, 1, 0, 0, n, 1, 0, 1)
    kernels.matmul.matmul(out, scratch, bias, np.empty(0), a, b, bias, bias, bias, *numbers)

def same(parts=3):
    mine = np.full_like(out, np.nan)
    team.run(parts, 10**6, run, mine)
    return mine.tobytes() == expected

run()
expected = out.tobytes()
assert same()
"""


def script(code: str) -> str:
    """Run a program in another process; it must end by itself, without a word on standard error."""
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT + code], capture_output=True, text=True, timeout=120,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert not answer.stderr
    return answer.stdout


def test_fork() -> None:
    """The child makes its own team, and Python sees no other threads at the fork, about which it would warn."""
    said = script("""
for _ in range(5):
    child = os.fork()
    if child == 0:
        assert team.workers() == (0, 0)
        os._exit(0 if same() and same() and team.workers()[0] == 2 else 1)
    assert same()
    assert os.waitpid(child, 0)[1] == 0
print("done", team.workers()[0])
""")
    assert said == "done 2\n"


def test_fork_while_another_thread_computes() -> None:
    script("""
import warnings
warnings.simplefilter("ignore")  # Python warns of the other thread
stop = []
def work():
    while not stop:
        assert same()
worker = threading.Thread(target=work)
worker.start()
for _ in range(20):
    child = os.fork()
    if child == 0:
        os._exit(0 if same() else 1)
    assert os.waitpid(child, 0)[1] == 0
stop.append(1)
worker.join()
""")


@pytest.mark.parametrize("end", ["", "time.sleep(0.1)", "os._exit(0)", "sys.exit(0)"])
def test_the_process_ends(end: str) -> None:
    """Whether the workers still look for work or sleep already."""
    script(end)


def test_the_process_ends_while_a_thread_computes() -> None:
    script("""
def work():
    while True:
        assert same()
threading.Thread(target=work, daemon=True).start()
time.sleep(0.05)
""")


def test_operations_in_functions_that_run_at_exit() -> None:
    said = script("""
import atexit
def late():
    child = os.fork()
    if child == 0:
        os._exit(not same())
    print(same(), team.workers(), os.waitpid(child, 0)[1])
# Functions run in the opposite order of their registration: this one after the team is dissolved.
atexit._clear()
atexit.register(late)
atexit.register(team._close)
""")
    assert said == "True (0, 0) 0\n"


def test_interrupts() -> None:
    """Ctrl-C comes between two kernels, and leaves a team that works."""
    said = script("""
signal.signal(signal.SIGALRM, signal.default_int_handler)
caught = 0
while caught < 50:
    signal.setitimer(signal.ITIMER_REAL, 0.001 + 0.0001 * caught)
    try:
        while True:
            assert same()
    except KeyboardInterrupt:
        caught += 1
assert same() and team.CONTROL[team.OWNER] == 0
limit = time.monotonic() + 30
while team.workers() != (2, 2):
    assert time.monotonic() < limit
print(caught, team.workers())
""")
    assert said == "50 (2, 2)\n"


class Interrupted(dict[str, Any]):
    """Who has the team; who takes it is interrupted before it knows."""

    def setdefault(self, key: str, default: Any = None) -> Any:
        super().setdefault(key, default)
        raise KeyboardInterrupt


def test_an_interrupt_right_behind_the_taking_of_the_team_gives_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    team = kernels.team
    monkeypatch.setattr(team, "_owner", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        team.run(2, WORK, len, "")
    assert not team._owner
    with pytest.raises(KeyboardInterrupt), team.held():
        pass
    assert not team._owner


def test_every_kernel_has_a_door() -> None:
    """Also those whose file was imported by another kernel's file."""
    code = """
import sys
import autodiff_kernels as kernels
from autodiff_kernels import entry
kernels.loss, kernels.pool, kernels.elementwise.add
found = [kernel for name, module in list(sys.modules.items()) if name.startswith("autodiff_kernels.")
         for kernel in vars(module).values() if getattr(kernel, "targetoptions", {}).get("nogil")]
print(len(found) > 10, {kernel._compiler.pipeline_class is entry._Compiler for kernel in found})
"""
    assert script(code) == "True {True}\n"
