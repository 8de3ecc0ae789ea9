"""Run a kernel by one part, by three in turn and by two at once, and require the same bits from all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

THREADS = ThreadPoolExecutor(2)  # kernels release the interpreter's lock: two parts run side by side


def run_parts(kernel: Any, outputs: Any, *arguments: Any, scratch: Any = None, status: bool = False) -> Any:
    """Return the outputs of `kernel`, as a tuple if there are several; with `status` the first bad position comes last.

    `outputs` are arrays that give the shape and the type, and the start value of in/out arguments. `scratch` is the
    scratch of one part.
    """
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    results = []
    for parts in (1, 3, 2):
        copies = tuple(output.copy() for output in outputs)
        rows = () if scratch is None else (np.repeat(scratch[None], parts, axis=0),)
        places = (np.full(parts, 7, np.int64),) if status else ()
        given = (*copies, *rows, *places, *arguments)
        run = THREADS.map if parts == 2 else map
        for _ in run(lambda part, given=given, parts=parts: kernel(*given, part, parts), range(parts)):
            pass
        if status:
            met = places[0][places[0] >= 0]
            copies += (int(met.min()) if met.size else -1,)
        results.append(copies)
    for one, *others in zip(*results):
        for other in others:
            assert np.asarray(one).tobytes() == np.asarray(other).tobytes(), "the number of parts changes the result"
    return results[0] if len(results[0]) > 1 else results[0][0]


def junk(shape: Any, dtype: Any) -> Any:
    """Return an array whose content a kernel must overwrite."""
    return np.full(shape, True if dtype == np.bool_ else 77, dtype)


def require_same(found: Any, expected: Any) -> None:
    """Require the same bits of all arrays, but for a NaN's: its sign and payload are the instructions' choice."""
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(np.signbit(one[one == 0]), np.signbit(other[other == 0]))
