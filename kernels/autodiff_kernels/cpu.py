"""What the kernels need to know of this processor: how wide its vector registers are, and whether it has AVX-512."""

from __future__ import annotations

import os

import llvmlite.binding as llvm


def vector_bytes() -> int:
    """Return the width of a vector register in bytes: 64 with AVX-512, 32 with AVX2, else 16 (SSE2, NEON).

    The environment variable ``AUTODIFF_VECTOR_BYTES`` (16, 32 or 64) overrides it. A width that the processor lacks
    gives the same results, only slower. Compiled code depends on the width: each width has a cache folder of its own.

    Raises:
        ValueError: ``AUTODIFF_VECTOR_BYTES`` is something else.
    """
    override = os.environ.get("AUTODIFF_VECTOR_BYTES")
    if override is not None:
        if override not in ("16", "32", "64"):
            raise ValueError(f"AUTODIFF_VECTOR_BYTES must be 16, 32 or 64, not {override!r}")
        return int(override)
    features = llvm.get_host_cpu_features()
    if features.get("avx512f") and features.get("avx512vl"):
        return 64
    return 32 if features.get("avx2") and features.get("fma") else 16


VECTOR_BYTES: int = vector_bytes()
# Whether instructions of AVX-512 that LLVM has no portable name for may be used; not where Numba is told otherwise.
AVX512: bool = (VECTOR_BYTES == 64 and bool(llvm.get_host_cpu_features().get("avx512f"))
                and "NUMBA_CPU_NAME" not in os.environ and "NUMBA_CPU_FEATURES" not in os.environ)
