"""What ``autodiff cache`` does: list, remove and make the compiled kernels on disk.

Where they lie and when they go by themselves is decided in `autodiff_kernels/cache.py`.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from autodiff_kernels import cache


def info() -> None:
    """Print the folders of compiled kernels: size, when a process last began to use it, which one is this version's."""
    versions = cache.versions()
    current = cache.base() / cache.version()
    print(f"{cache.base()}: {megabytes(sum(version.size for version in versions))}, "
          f"at most {megabytes(cache.LIMIT)} for one version and {megabytes(cache.LIMIT)} for all others")
    for version in versions:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(version.used))
        note = ", this version" if version.path == current else ""
        print(f"  {version.path.name}  {megabytes(version.size):>9}, last used {used}{note}")
    if all(version.path != current for version in versions):
        print("This version has not compiled anything yet; autodiff cache warm does.")


def clear() -> None:
    """Remove all folders of compiled kernels that no process uses."""
    removed = cache.remove_versions(-1)
    print(f"removed {megabytes(sum(version.size for version in removed))} from {cache.base()}")
    for version in cache.versions():
        reason = "a process uses" if removable(version.path) else "cannot be written"
        print(f"  kept {version.path.name}, which {reason}")


def removable(folder: Path) -> bool:
    """Return whether this user may remove a folder and what is in it."""
    return os.access(folder, os.W_OK) and os.access(folder.parent, os.W_OK)


def warm(processes: int | None = None) -> None:
    """Compile what the operations' samples need, in several processes (one alone compiles one kernel at a time).

    Chains of element-wise operations are not among them: their kernels are made for the programs that have them.

    Args:
        processes: how many; by default as many as an operation would use threads.

    Raises:
        PermissionError: if the folder cannot be written, so that nothing would be kept.
    """
    from autodiff.primitive import OPERATIONS
    from autodiff.threads import get_num_threads

    if cache.folder() != (home := cache.base() / cache.version()):
        raise PermissionError(f"{home} cannot be written, so nothing would be kept; make it writable, or name another "
                              "folder in the environment variable AUTODIFF_CACHE_DIR")
    start = time.perf_counter()
    before = kernels_on_disk()
    # A fresh interpreter each: nothing of this one's threads or locks is inherited.
    with multiprocessing.get_context("spawn").Pool(processes or get_num_threads()) as pool:
        done = pool.imap_unordered(run_samples, list(OPERATIONS))
        for _ in tqdm(done, "compiling", len(OPERATIONS), unit=" operations", disable=None):
            pass
    print(f"{cache.folder()}: {kernels_on_disk() - before} kernels compiled in {time.perf_counter() - start:.0f} s, "
          f"{before} were there")


def kernels_on_disk() -> int:
    """Return how many kernels this version has compiled, counted once a dtype."""
    return sum(1 for _ in cache.folder().rglob("*.nbc"))


def megabytes(size: int) -> str:
    """Return a size as text.

    >>> from autodiff.compiled import megabytes
    >>> megabytes(1_250_000)
    '1.2 MB'
    """
    return f"{size / 1e6:.1f} MB"


def run_samples(name: str) -> None:
    """Run an operation on all its samples, and the gradients of the differentiable ones."""
    import autodiff as ad
    import autodiff_kernels as kernels
    from autodiff.primitive import OPERATIONS
    from autodiff.threads import HAS_TEAM

    def to_tensors(x: Any, gradient: bool) -> Any:
        if isinstance(x, np.ndarray | np.generic):
            tensor = ad.tensor(np.asarray(x))
            return tensor.requires_grad_() if gradient and tensor.is_floating_point() else tensor
        if isinstance(x, list | tuple) and not hasattr(x, "_fields"):
            return type(x)(to_tensors(item, gradient) for item in x)
        return x

    if HAS_TEAM:
        kernels.team  # noqa: B018  its code is compiled by its import
    operation = OPERATIONS[name]
    for sample in operation.samples():
        arguments = [to_tensors(x, sample.gradient) for x in sample.arguments]
        keywords = {key: to_tensors(x, sample.gradient) for key, x in sample.keywords.items()}
        results = operation.call(*arguments, **keywords)
        for result in results if isinstance(results, Sequence) else [results]:
            if isinstance(result, ad.Tensor) and result.requires_grad:
                result.backward(ad.ones_like(result.detach()), retain_graph=True)
