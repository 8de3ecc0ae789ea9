"""Memory that arrays have left is used again, without a way to the system and back."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

FAULTS = """
import resource
import autodiff
import numpy as np

def use():
    arrays = [np.empty(n, np.float32) for n in (10**5, 10**6, 3 * 10**6)]
    for array in arrays:
        array[...] = 1

use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(**variables: str) -> int:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    environment |= {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")]), **variables}
    # NumPy asks for large pages, and those come 512 at a time: the count is to tell of all.
    environment["NUMPY_MADVISE_HUGEPAGE"] = "0"
    done = subprocess.run([sys.executable, "-c", FAULTS], env=environment, capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library's malloc has other settings")
def test_freed_memory_stays_in_the_process() -> None:
    assert page_faults() < 100
    assert page_faults(MALLOC_TRIM_THRESHOLD_="131072") > 10_000, "what the user's environment says stands"
