"""The cache folder: what names it, what is found there, that it is bounded, and that users' functions keep theirs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numba
import pytest
from numba.core import dispatcher

import autodiff_kernels
import autodiff_kernels as kernels
from autodiff_kernels import cache
from autodiff_kernels.cpu import L1_BYTES, L2_BYTES, VECTOR_BYTES, VECTOR_REGISTERS


def run(folder: Path, code: str, **environment: str) -> str:
    path = os.pathsep.join(sys.path)
    variables = {**os.environ, "AUTODIFF_CACHE_DIR": str(folder), "PYTHONPATH": path, **environment}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


USE_KERNELS = """
import numpy as np
import autodiff_kernels as kernels
x = np.ones(3, np.float32)
walk = kernels.elementwise.plan((3,), (1,), [((3,), (1,))])
kernels.elementwise.tanh(x, x, walk, 0, 1)
kernels.random.uniform(x, 0, 0, 0, 1)
kernels.update.sgd(np.array([[x.ctypes.data, 0, x.ctypes.data, 3]]), x, 0.1, 0.0, 0.0, 0.0, False, False, 1, 0, 1)
used = (kernels.elementwise.tanh, kernels.random.uniform, kernels.update.sgd)
print(*(sum(f.stats.cache_hits.values()) for f in used), *(sum(f.stats.cache_misses.values()) for f in used))
"""


def test_a_second_process_compiles_nothing(tmp_path: Path) -> None:
    assert run(tmp_path, USE_KERNELS).split() == ["0", "0", "0", "1", "1", "1"]
    assert run(tmp_path, USE_KERNELS).split() == ["1", "1", "1", "0", "0", "0"]
    (folder,) = (tmp_path / "autodiff").iterdir()
    assert (folder / "generated" / "elementwise_tanh.py").read_text().startswith('"""The element-wise kernel')
    assert not list(folder.rglob("*.tmp"))


def test_whoever_waits_at_a_terminal_is_told_why_once(tmp_path: Path) -> None:
    terminal = """
import io, sys
from autodiff_kernels import kept
class Terminal(io.StringIO):
    isatty = lambda self: True
sys.stderr, kept.PATIENCE = Terminal(), {patience}
"""
    said = "print(sys.stderr.getvalue().count('compiling kernels'))"
    for patience, times in ((1e9, 0), (0, 1), (0, 0)):
        if times:
            shutil.rmtree(tmp_path / "autodiff")
        assert run(tmp_path, terminal.format(patience=patience) + USE_KERNELS + said).splitlines()[-1] == str(times)


def test_users_functions_keep_their_folder(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import numba\n"
        + USE_KERNELS
        + "@numba.njit(cache=True)\ndef mine(x):\n    return x + 1\n\nmine(1)\nprint(mine.stats.cache_path)\n"
        + "print(numba.config.CACHE_DIR)\n"
    )
    runner = f"import runpy; runpy.run_path({str(script)!r})"
    assert Path(run(tmp_path / "ours", runner).splitlines()[1]) == tmp_path / "__pycache__"
    *_, path, setting = run(tmp_path / "ours", runner, NUMBA_CACHE_DIR=str(tmp_path / "theirs")).splitlines()
    assert path.startswith(str(tmp_path / "theirs"))
    assert setting == str(tmp_path / "theirs")


def test_importing_the_package_loads_no_numba(tmp_path: Path) -> None:
    assert run(tmp_path, "import sys, autodiff_kernels; print('numba' in sys.modules)").strip() == "False"


def test_a_folder_that_cannot_be_made_is_replaced_by_a_temporary_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code = "from autodiff_kernels import cache; print(cache.folder())" + USE_KERNELS + "print(cache.folder().exists())"
    folder, _, exists = run(tmp_path / "file", code).splitlines()
    assert exists == "True"
    assert not folder.startswith(str(tmp_path))
    assert not Path(folder).exists()


def test_the_folder_stays_where_it_is_when_the_process_moves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTODIFF_CACHE_DIR", "here")
    assert cache.base() == tmp_path / "here" / "autodiff"


def test_folders_that_cannot_be_opened_are_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AUTODIFF_CACHE_DIR", str(tmp_path))
    (tmp_path / "autodiff" / "of another user").mkdir(parents=True)

    def refuse(*_: Any) -> int:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(cache.os, "open", refuse)
        assert cache.remove_versions(-1) == []
    assert (tmp_path / "autodiff" / "of another user").exists()


def test_the_name_depends_on_sources_versions_and_cpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = [cache.version()]
    for setting in ("CPU_NAME", "CPU_FEATURES"):
        for value in ("another", ""):  # an empty text is one, too
            with monkeypatch.context() as patch:
                patch.setattr(numba.config, setting, value)
                names.append(cache.version())
    others = {"VECTOR_BYTES": 16 if VECTOR_BYTES > 16 else 32, "VECTOR_REGISTERS": 48 - VECTOR_REGISTERS,
              "L1_BYTES": 2 * L1_BYTES, "L2_BYTES": 2 * L2_BYTES}  # fmt: skip
    for variable, value in others.items():
        with monkeypatch.context() as patch:
            patch.setenv(f"AUTODIFF_{variable}", str(value))
            names.append(cache.version())
    with monkeypatch.context() as patch:
        patch.setattr(numba, "__version__", "0.0")
        names.append(cache.version())
    (tmp_path / "cache.py").write_text("")
    with monkeypatch.context() as patch:
        patch.setattr(cache, "__file__", str(tmp_path / "cache.py"))
        names.append(cache.version())
        (tmp_path / "cache.py").write_text("# changed")
        names.append(cache.version())
    assert len(set(names)) == len(names)
    assert cache.version() == names[0]


def test_base_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AUTODIFF_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.folders.__wrapped__()[0].parent == tmp_path / "xdg" / "autodiff"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    assert cache.folders.__wrapped__()[0].parent == tmp_path / "home" / ".cache" / "autodiff"


def test_threads_import_one_after_the_other() -> None:
    before, found, failures = dispatcher.FunctionCache, [], []

    def work() -> None:
        try:
            for _ in range(50):
                with cache.importing():
                    found.append(dispatcher.FunctionCache)
                getattr(autodiff_kernels.elementwise, "negative")  # noqa: B009
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert set(found) == {kernels.kept.choose}
    assert before is dispatcher.FunctionCache is not kernels.kept.choose


def test_unknown_families_are_attribute_errors() -> None:
    package: Any = autodiff_kernels
    with pytest.raises(AttributeError, match="no family 'elementwize'"):
        package.elementwize  # noqa: B018


# ---- Folders that cannot be written ----------------------------------------------------------------------------------

USE_ONE = """
import numpy as np
import autodiff_kernels as kernels
x = np.ones(3, np.float32)
walk = kernels.elementwise.plan((3,), (1,), [((3,), (1,))])
kernels.elementwise.negative(x, x, walk, 0, 1)
used = kernels.elementwise.negative
"""
USE_TWO = USE_ONE + """
kernels.elementwise.square(x, x, walk, 0, 1)
print(x, sum(used.stats.cache_misses.values()), sum(kernels.elementwise.square.stats.cache_misses.values()))
print(kernels.cache.folder())
"""


def run_read_only(folder: Path, code: str) -> str:
    """Run code in a process for which the folder, with all that is in it, is read-only."""
    environment = {**os.environ, "AUTODIFF_CACHE_DIR": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code]
    if os.geteuid() == 0:  # whom no permission keeps from writing: mount the folder
        mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
        command = ["unshare", "--mount", "sh", "-c", mount, str(folder), *command]
        if not shutil.which("unshare") or subprocess.run([*command[:2], "true"], check=False).returncode:
            pytest.skip("no folder can be made read-only here")
    else:
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    finally:
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(os.name != "posix", reason="permissions and mounts of Unix")
def test_a_folder_that_cannot_be_written_is_read(tmp_path: Path) -> None:
    run(tmp_path, USE_ONE)
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
    result, folder = run_read_only(tmp_path, USE_TWO).splitlines()
    assert result == "[1. 1. 1.] 0 1"  # one found, one compiled
    assert not folder.startswith(str(tmp_path))
    assert not Path(folder).exists()
    assert before == sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))


@pytest.mark.skipif(os.name != "posix", reason="a limit of Unix")
def test_kernels_run_where_nothing_can_be_written(tmp_path: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
    assert run(tmp_path, limit + USE_TWO).splitlines()[0] == "[1. 1. 1.] 1 1"
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_broken_file_is_compiled_again(tmp_path: Path) -> None:
    run(tmp_path, USE_ONE)
    (path,) = tmp_path.rglob("elementwise_negative.*.nbc")
    path.write_bytes(path.read_bytes()[:1000])
    count = USE_ONE + "print(sum(used.stats.cache_misses.values()))"
    assert [run(tmp_path, count), run(tmp_path, count)] == ["1\n", "0\n"]


# ---- Bounds, locks, several processes --------------------------------------------------------------------------------


def make_version(folder: Path, name: str, size: int, age: float) -> Path:
    """Make the folder of another version: its size in bytes, and how many seconds ago it was used."""
    path = folder / "autodiff" / name
    path.mkdir(parents=True)
    (path / "kernel.nbc").write_bytes(bytes(size))
    os.utime(path, (time.time() - age,) * 2)
    return path


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("AUTODIFF_CACHE_DIR", str(tmp_path))
    return tmp_path


def test_the_least_recently_used_versions_are_removed(base: Path) -> None:
    for age, name in enumerate(("newest", "middle", "oldest")):
        make_version(base, name, 100, 60 * age)
    assert [version.path.name for version in cache.versions()] == ["newest", "middle", "oldest"]
    assert cache.remove_versions(300) == []
    (removed,) = cache.remove_versions(299)
    assert (removed.path.name, removed.size) == ("oldest", 100)
    assert [version.path.name for version in cache.versions()] == ["newest", "middle"]
    assert len(cache.remove_versions(-1)) == 2
    assert cache.versions() == []


def test_the_least_recently_used_files_of_a_version_are_removed(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "folders", lambda: [base])
    monkeypatch.setattr(cache, "LIMIT", 250)
    monkeypatch.setattr(cache, "CHECKED", 0)
    for age, name in ((60, "b"), (90, "generated/c"), (30, "a")):
        cache.write(name, bytes(100) if age == 30 else bytes(50))
        os.utime(base / name, (time.time() - age,) * 2)
    assert cache.read("b") == bytes(50)  # now it is the most recently used one
    cache.write("d", bytes(70))
    assert sorted(path.name for path in base.rglob("*") if path.is_file()) == ["a", "b", "d"]
    assert cache.read("generated/c") is None


TWO_DTYPES = USE_ONE + """
print("ready", flush=True)
input()
for dtype in {}:
    kernels.elementwise.square(x.astype(dtype), x.astype(dtype), walk, 0, 1)
print(sum(kernels.elementwise.square.stats.cache_misses.values()))
"""


def test_two_processes_that_compile_one_kernel_for_two_dtypes_keep_both(tmp_path: Path) -> None:
    run(tmp_path, USE_ONE)
    environment = {**os.environ, "AUTODIFF_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    dtypes = ["float32", "float64"]
    both = [subprocess.Popen([sys.executable, "-c", TWO_DTYPES.format([dtype])], env=environment, text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE) for dtype in dtypes]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate(timeout=300)[0] for process in both] == ["1\n", "1\n"]
    assert run(tmp_path, TWO_DTYPES.format(dtypes).replace("input()", "")) == "ready\n0\n"


def test_what_a_process_uses_is_kept(base: Path) -> None:
    used, _ = make_version(base, "used", 100, 600), make_version(base, "unused", 100, 60)
    code = (
        "import sys; from pathlib import Path; from autodiff_kernels import cache\n"
        f"cache._hold(Path({str(used)!r})); print('holds', flush=True); sys.stdin.read()"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "holds\n"
        assert [version.path.name for version in cache.remove_versions(-1)] == ["unused"]
        assert used.is_dir()
        holder.communicate("")
    assert [version.path.name for version in cache.remove_versions(-1)] == ["used"]


def test_a_new_version_removes_old_ones_beyond_the_limit(base: Path) -> None:
    old, older = make_version(base, "old", 100, 60), make_version(base, "older", 100, 600)
    code = "from autodiff_kernels import cache; cache.LIMIT = 150; print(cache.folder())"
    folder = Path(run(base, code).strip())
    assert folder.is_dir()
    assert old.is_dir()
    assert not older.exists()


def test_a_folder_that_is_removed_while_it_is_taken_is_made_again(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = base / "autodiff" / "version"
    real, removals = cache.fcntl.flock, []

    def lock(held: int, operation: int) -> None:
        if not removals:
            removals.append(path)
            path.rmdir()
        real(held, operation)

    monkeypatch.setattr(cache.fcntl, "flock", lock)
    cache._hold(path)
    assert path.is_dir()
    assert removals
    assert cache.remove_versions(-1) == []


def test_two_processes_compile_into_an_empty_folder_at_once(tmp_path: Path) -> None:
    environment = {**os.environ, "AUTODIFF_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    both = [
        subprocess.Popen([sys.executable, "-c", USE_KERNELS + "print(x)"], env=environment, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert said[0][0].splitlines()[1:] == said[1][0].splitlines()[1:]
    assert run(tmp_path, USE_KERNELS).split() == ["1", "1", "1", "0", "0", "0"]
    assert not list(tmp_path.rglob("*.tmp"))
